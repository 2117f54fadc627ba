//go:build go1.27

package main

import (
	"crypto/mldsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// quantumSafe verifies ML-DSA-44 cosignatures, type 0x06; it is a note.Verifier.
type quantumSafe struct {
	name string
	id   uint32
	key  *mldsa.PublicKey
}

func (w quantumSafe) Name() string    { return w.name }
func (w quantumSafe) KeyHash() uint32 { return w.id }

func (w quantumSafe) Verify(text, signature []byte) bool {
	if len(signature) != 8+2420 {
		return false
	}
	lines := strings.Split(string(text), "\n")
	root := hash(lines[2])
	message := []byte("subtree/v1\n\x00")
	message = append(append(message, byte(len(w.name))), w.name...)
	message = append(message, signature[:8]...)
	message = append(append(message, byte(len(lines[0]))), lines[0]...)
	message = binary.BigEndian.AppendUint64(message, 0)
	message = binary.BigEndian.AppendUint64(message, uint64(number(lines[1])))
	message = append(message, root[:]...)
	return mldsa.Verify(w.key, message, signature[8:], nil) == nil
}

func checkQuantumSafe(dir string) {
	var keys []note.Verifier
	for _, vkey := range strings.Fields(read(dir, "mldsa44.vkeys")) {
		parts := strings.SplitN(vkey, "+", 3)
		material, err := base64.StdEncoding.DecodeString(parts[2])
		must(err, "a verifier key")
		digest := sha256.Sum256(append([]byte(parts[0]+"\n"), material...))
		id := binary.BigEndian.Uint32(digest[:])
		if material[0] != 6 || parts[1] != fmt.Sprintf("%08x", id) {
			log.Fatal("no verifier key of ML-DSA-44")
		}
		key, err := mldsa.NewPublicKey(mldsa.MLDSA44(), material[1:])
		must(err, "a public key")
		keys = append(keys, quantumSafe{parts[0], id, key})
	}
	opened, err := note.Open([]byte(read(dir, "checkpoint.txt")), note.VerifierList(keys...))
	must(err, "the ML-DSA-44 signatures")
	fmt.Printf("%d ML-DSA-44 signatures verify\n", len(opened.Sigs))
}
