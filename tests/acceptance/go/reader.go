// Reads a log of ours with the code by which Go reads its checksum database, which knows nothing
// of ours: golang.org/x/mod/sumdb/note and tlog.
//
//	reader check DIR        checkpoint, cosignatures, inclusion, consistency, tiles and entries in DIR
//	reader mldsa DIR        the ML-DSA-44 signatures of the checkpoint in DIR; Go 1.27 and later
//	reader tiles OLD NEW    the tiles that a tree writes when it grows
//	reader sign ORIGIN      a checkpoint made and signed here, behind its verifier key
package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8 // C2SP tiles are always of 256 hashes; their paths leave the height out

func main() {
	log.SetFlags(0)
	switch os.Args[1] {
	case "check":
		check(os.Args[2])
	case "mldsa":
		checkQuantumSafe(os.Args[2])
	case "tiles":
		tiles(number(os.Args[2]), number(os.Args[3]))
	case "sign":
		sign(os.Args[2])
	}
}

func check(dir string) {
	logKey, err := note.NewVerifier(read(dir, "log.vkey"))
	must(err, "the log's verifier key")
	old := open(read(dir, "old-checkpoint.txt"), logKey, 1)
	now := open(read(dir, "checkpoint.txt"), logKey, 1)

	witnesses := []note.Verifier{logKey}
	for _, vkey := range strings.Fields(read(dir, "witnesses.vkeys")) {
		witnesses = append(witnesses, cosigner(vkey))
	}
	opened, err := note.Open([]byte(read(dir, "checkpoint.txt")), note.VerifierList(witnesses...))
	must(err, "the cosignatures")
	fmt.Printf("cosigned by %d witnesses\n", len(opened.Sigs)-1)

	index, path, under := proof(read(dir, "leaf.tlog-proof"))
	proven := open(under, logKey, 1)
	leaf := tlog.RecordHash([]byte(read(dir, "leaf.bin")))
	must(tlog.CheckRecord(path, proven.N, proven.Hash, index, leaf), "inclusion")
	fmt.Printf("leaf %d is in the tree of %d\n", index, proven.N)

	steps, asked := request(read(dir, "request.txt"), old.N)
	submitted := open(asked, logKey, 1)
	must(tlog.CheckTree(steps, submitted.N, submitted.Hash, old.N, old.Hash), "consistency")
	fmt.Printf("the tree of %d begins with that of %d\n", submitted.N, old.N)

	// Every hash that this reader gives out was checked against the checkpoint's root.
	reader := tlog.TileHashReader(now, files(dir))
	for n := int64(0); n < now.N; n++ {
		ours, err := tlog.ProveRecord(now.N, n, reader)
		must(err, "tiles")
		must(tlog.CheckRecord(ours, now.N, now.Hash, n, tlog.RecordHash(entry(dir, now.N, n))), "entries")
		if n == index && fmt.Sprint(ours) != fmt.Sprint(path) {
			log.Fatalf("the path of leaf %d differs from the one out of the tiles", n)
		}
	}
	grown, err := tlog.ProveTree(now.N, old.N, reader)
	must(err, "tiles")
	if fmt.Sprint(grown) != fmt.Sprint(steps) {
		log.Fatal("the consistency proof differs from the one out of the tiles")
	}
	fmt.Printf("%d entries are under the root\n", now.N)
}

func open(text string, key note.Verifier, want int) tlog.Tree {
	opened, err := note.Open([]byte(text), note.VerifierList(key))
	must(err, "a checkpoint")
	if len(opened.Sigs) != want {
		log.Fatalf("%d signatures of the log verified", len(opened.Sigs))
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != key.Name() || lines[3] != "" {
		log.Fatal("the note is no checkpoint of this log")
	}
	return tlog.Tree{N: number(lines[1]), Hash: hash(lines[2])}
}

func proof(text string) (int64, tlog.RecordProof, string) {
	head, checkpoint, found := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if !found || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "index ") {
		log.Fatal("no tlog-proof")
	}
	return number(strings.TrimPrefix(lines[1], "index ")), hashes(lines[2:]), checkpoint
}

func request(text string, old int64) (tlog.TreeProof, string) {
	head, checkpoint, found := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if !found || lines[0] != fmt.Sprintf("old %d", old) {
		log.Fatal("no add-checkpoint request")
	}
	return tlog.TreeProof(hashes(lines[1:])), checkpoint
}

// files reads tiles where tlog-tiles puts them; it is a tlog.TileReader.
type files string

func (files) Height() int { return height }

func (dir files) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		data, err := os.ReadFile(filepath.Join(string(dir), c2spPath(tile)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (files) SaveTiles([]tlog.Tile, [][]byte) {}

func c2spPath(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
}

func entry(dir string, size, n int64) []byte {
	tile := tlog.TileForIndex(height, tlog.StoredHashIndex(0, n))
	tile.W = 1 << height
	if (tile.N+1)<<height > size {
		tile.W = int(size % (1 << height))
	}
	path := strings.Replace(c2spPath(tile), "tile/0/", "tile/entries/", 1)
	data := []byte(read(dir, path))
	for skip := n % (1 << height); skip > 0; skip-- {
		data = data[2+binary.BigEndian.Uint16(data):]
	}
	return data[2 : 2+binary.BigEndian.Uint16(data)]
}

// witness verifies timestamped Ed25519 cosignatures, type 0x04; it is a note.Verifier.
type witness struct {
	name string
	id   uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.id }

func (w witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(signature), text)
	return ed25519.Verify(w.key, []byte(message), signature[8:])
}

func cosigner(vkey string) note.Verifier {
	parts := strings.SplitN(vkey, "+", 3)
	material, err := base64.StdEncoding.DecodeString(parts[2])
	must(err, "a witness's verifier key")
	digest := sha256.Sum256(append([]byte(parts[0]+"\n"), material...))
	id, err := strconv.ParseUint(parts[1], 16, 32)
	must(err, "a witness's key id")
	if material[0] != 4 || len(material) != 33 || binary.BigEndian.Uint32(digest[:]) != uint32(id) {
		log.Fatal("no verifier key of an Ed25519 witness")
	}
	return witness{parts[0], uint32(id), material[1:]}
}

func tiles(old, now int64) {
	for _, tile := range tlog.NewTiles(height, old, now) {
		fmt.Println(c2spPath(tile))
	}
}

func sign(origin string) {
	secret, vkey, err := note.GenerateKey(rand.Reader, origin)
	must(err, "a key")
	signer, err := note.NewSigner(secret)
	must(err, "a signer")
	root := tlog.RecordHash([]byte("the only leaf"))
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n1\n%s\n", origin, root)}, signer)
	must(err, "a signature")
	fmt.Printf("%s\n%s", vkey, signed)
}

func read(dir, path string) string {
	data, err := os.ReadFile(filepath.Join(dir, path))
	if errors.Is(err, os.ErrNotExist) {
		log.Fatalf("%s is missing", path)
	}
	must(err, path)
	return string(data)
}

func hashes(lines []string) []tlog.Hash {
	var all []tlog.Hash
	for _, line := range lines {
		all = append(all, hash(line))
	}
	return all
}

func hash(text string) tlog.Hash {
	found, err := tlog.ParseHash(text)
	must(err, "a hash")
	return found
}

func number(text string) int64 {
	found, err := strconv.ParseInt(text, 10, 64)
	must(err, "a number")
	return found
}

func must(err error, what string) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
}
