// auditor_test.go: spoils a genuine bundle and a genuine receipt in many ways, and asks that each is refused. That
// needs AUDITOR_BUNDLE, AUDITOR_RECEIPT and AUDITOR_ROOT, and is skipped without them. AUDITOR_ROUNDS sets how often.

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

type files map[string][]byte

func genuine(t *testing.T, what string) (string, hash) {
	path, root := os.Getenv(what), os.Getenv("AUDITOR_ROOT")
	if path == "" || root == "" {
		t.Skip("no genuine input is named")
	}
	pinned, ok := readHash(strings.Join(strings.Fields(root), ""))
	if !ok {
		t.Fatal("AUDITOR_ROOT is no hash")
	}
	return path, pinned
}

func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("AUDITOR_ROUNDS")); err == nil {
		return n
	}
	return 20
}

func load(t *testing.T, dir string) files {
	out := files{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		out[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// list writes bundle.txt again, so that what is spoiled has to be found by what is in it.
func (f files) list() {
	head := strings.Join(strings.SplitAfter(string(f[listName]), "\n")[:10], "")
	for _, name := range sorted(f) {
		if name != listName {
			head += fmt.Sprintf("%x %d %s\n", sha256.Sum256(f[name]), len(f[name]), name)
		}
	}
	f[listName] = []byte(head)
}

func (f files) audit(t *testing.T, pinned hash) *report {
	dir := t.TempDir()
	defer os.RemoveAll(dir)
	for name, data := range f {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := newReport()
	if _, err := auditBundle(dir, pinned, r); err != nil {
		r.fail("unusable", "%v", err)
	}
	return r
}

func (f files) refused(t *testing.T, pinned hash, what string) {
	t.Helper()
	if r := f.audit(t, pinned); len(r.failures) == 0 {
		t.Errorf("%s: accepted, %d things not checked", what, len(r.unchecked))
	}
}

func flip(data []byte, at int) []byte {
	out := bytes.Clone(data)
	out[at] ^= 1 << rand.IntN(8)
	return out
}

func TestGenuineBundle(t *testing.T) {
	path, pinned := genuine(t, "AUDITOR_BUNDLE")
	if r := load(t, path).audit(t, pinned); len(r.failures)+len(r.unchecked) > 0 {
		t.Fatal(r.failures, r.unchecked)
	}
	wrong := pinned
	wrong[0] ^= 1
	load(t, path).refused(t, wrong, "another root hash")
}

func TestFlippedBytes(t *testing.T) {
	path, pinned := genuine(t, "AUDITOR_BUNDLE")
	good := load(t, path)
	for _, name := range sorted(good) {
		for range rounds() {
			f := maps.Clone(good)
			at := rand.IntN(len(f[name]))
			f[name] = flip(f[name], at)
			if name == listName {
				if line := bytes.Count(good[name][:at], []byte("\n")); line == 7 || line == 8 || line == 2 || line == 6 {
					continue // nothing follows from `made` and `program`; `coordinator` and `from` are looked at below
				}
			}
			f.refused(t, pinned, fmt.Sprintf("%s, byte %d", name, at))
			if name == listName || name == "README.txt" {
				continue
			}
			f.list()
			if strings.HasSuffix(name, "/checkpoint") || strings.Contains(name, "milestones") {
				if strangers(good[name], f[name]) {
					continue // a witness's line became one of an unknown key, which is paid no heed
				}
			}
			f.refused(t, pinned, fmt.Sprintf("%s, byte %d, listed again", name, at))
		}
	}
}

// strangers says whether a changed checkpoint names other keys than before.
func strangers(before, after []byte) bool {
	a, err := parseCheckpoint(before)
	b, err2 := parseCheckpoint(after)
	if err != nil || err2 != nil || len(a.lines) != len(b.lines) {
		return false
	}
	for i := range a.lines {
		if a.lines[i].name != b.lines[i].name || a.lines[i].number != b.lines[i].number {
			return !strings.Contains(a.lines[i].name, a.origin) // the log's own lines are needed
		}
	}
	return false
}

func TestFilesDroppedAndExchanged(t *testing.T) {
	path, pinned := genuine(t, "AUDITOR_BUNDLE")
	good := load(t, path)
	names := sorted(good)
	for _, name := range names {
		f := maps.Clone(good)
		delete(f, name)
		f.refused(t, pinned, "dropped "+name)
		if name != listName && !strings.Contains(name, "milestones") {
			f.list()
			f.refused(t, pinned, "dropped and not listed "+name)
		}
		f = maps.Clone(good)
		f[name+"x"] = f[name]
		delete(f, name)
		f.refused(t, pinned, "renamed "+name)
		if name != listName {
			f.list()
			f.refused(t, pinned, "renamed and listed "+name)
		}
		for _, other := range names {
			if name >= other || name == listName || other == listName || bytes.Equal(good[name], good[other]) {
				continue
			}
			f := maps.Clone(good)
			f[name], f[other] = f[other], f[name]
			f.refused(t, pinned, "exchanged "+name+" and "+other)
			if name != "README.txt" {
				f.list()
				f.refused(t, pinned, "exchanged and listed "+name+" and "+other)
			}
		}
	}
	f := maps.Clone(good)
	f["extra"] = []byte("x")
	f.refused(t, pinned, "a file more")
	f.list()
	f.refused(t, pinned, "a listed file more")
}

type record struct {
	index uint64
	data  []byte
}

func unpack(data []byte) (out []record) {
	for len(data) > 0 {
		n := 12 + binary.BigEndian.Uint32(data[8:])
		out = append(out, record{binary.BigEndian.Uint64(data), data[12:n]})
		data = data[n:]
	}
	return out
}

func pack(records []record) (out []byte) {
	for _, r := range records {
		out = binary.BigEndian.AppendUint64(out, r.index)
		out = binary.BigEndian.AppendUint32(out, uint32(len(r.data)))
		out = append(out, r.data...)
	}
	return out
}

func TestRecords(t *testing.T) {
	path, pinned := genuine(t, "AUDITOR_BUNDLE")
	good := load(t, path)
	for _, name := range []string{"ack/statements/000", "ack/headers/000"} {
		records := unpack(good[name])
		spoil := func(what string, changed []record) {
			f := maps.Clone(good)
			f[name] = pack(changed)
			f.list()
			f.refused(t, pinned, name+": "+what)
		}
		for i := range records {
			spoil(fmt.Sprint("without record ", i), slices.Delete(slices.Clone(records), i, i+1))
			for j := range i {
				changed := slices.Clone(records)
				changed[i].data, changed[j].data = changed[j].data, changed[i].data
				spoil(fmt.Sprint("exchanged ", i, " and ", j), changed)
				a, b := records[i].data, records[j].data // with each other's signatures
				at := func(d []byte) int { return bytes.Index(d, []byte{0xc5, 0x0d, 0x2d}) + 3 }
				x, y := bytes.Clone(a), bytes.Clone(b)
				if bytes.Equal(x[at(a):at(a)+signatureSize], b[at(b):at(b)+signatureSize]) {
					continue
				}
				copy(x[at(a):], b[at(b):at(b)+signatureSize])
				copy(y[at(b):], a[at(a):at(a)+signatureSize])
				changed[i].data, changed[j].data = x, y
				spoil(fmt.Sprint("signatures of ", i, " and ", j), changed)
			}
		}
	}
}

// TestLeavesWrittenAgain spoils statements as a coordinator could that controls the log: the leaf and the checkpoint
// are made to fit by leaving the checkpoint's failure aside. Something at the leaf itself has to be found.
func TestLeavesWrittenAgain(t *testing.T) {
	path, pinned := genuine(t, "AUDITOR_BUNDLE")
	good := load(t, path)
	var entries string
	for name := range good {
		if strings.HasPrefix(name, "ack/tile/entries/000") {
			entries = name
		}
	}
	records := unpack(good["ack/statements/000"])
	for i := range records {
		for range rounds() {
			changed := slices.Clone(records)
			at := rand.IntN(len(changed[i].data))
			changed[i].data = flip(changed[i].data, at)
			f := maps.Clone(good)
			f["ack/statements/000"] = pack(changed)
			leaves := bytes.Clone(f[entries])
			digest := tagged("leaf", changed[i].data)
			copy(leaves[44*records[i].index+12:], digest[:])
			f[entries] = leaves
			f.list()
			r := f.audit(t, pinned)
			where := leafName(records[i].index) + ":"
			if !slices.ContainsFunc(r.failures, func(s string) bool { return strings.HasPrefix(s, where) }) {
				t.Errorf("%s byte %d of the statement: %v", where, at, r.failures)
			}
		}
	}
}

// TestDocumentsWrittenAgain does the same to trust documents. A signature beyond the threshold may be spoiled.
func TestDocumentsWrittenAgain(t *testing.T) {
	path, pinned := genuine(t, "AUDITOR_BUNDLE")
	good := load(t, path)
	for _, name := range sorted(good) {
		number, ok := strings.CutPrefix(name, "dir/documents/")
		if !ok {
			continue
		}
		index, _ := strconv.Atoi(number)
		for range rounds() {
			f := maps.Clone(good)
			at := rand.IntN(len(f[name]))
			f[name] = flip(f[name], at)
			entries := fmt.Sprintf("dir/tile/entries/000.p/%s", strings.Fields(string(bytes.Split(f[listName],
				[]byte("\n"))[4]))[1])
			leaves := bytes.Clone(f[entries])
			place := leaves
			for range index {
				place = place[2+binary.BigEndian.Uint16(place):]
			}
			digest := tagged("leaf", f[name])
			copy(place[2+binary.BigEndian.Uint16(place)-32:], digest[:])
			f[entries] = leaves
			f.list()
			r := f.audit(t, pinned)
			if !slices.ContainsFunc(r.failures, func(s string) bool { return strings.HasPrefix(s, name+":") }) {
				t.Errorf("%s byte %d of %d: %v", name, at, len(f[name]), r.failures)
			}
		}
	}
}

func auditText(t *testing.T, text []byte, pinned hash) *report {
	path := filepath.Join(t.TempDir(), "receipt.txt")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	r := newReport()
	if _, err := auditReceipt(path, pinned, r); err != nil {
		r.fail("unusable", "%v", err)
	}
	return r
}

func TestReceipt(t *testing.T) {
	path, pinned := genuine(t, "AUDITOR_RECEIPT")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if r := auditText(t, text, pinned); len(r.failures) > 0 {
		t.Fatal(r.failures)
	}
	wrong := pinned
	wrong[31] ^= 1
	if len(auditText(t, text, wrong).failures) == 0 {
		t.Error("another root hash: accepted")
	}
	start := bytes.Index(text, []byte("\n\ncommunity")) + 1
	for range 50 * rounds() {
		at := start + rand.IntN(len(text)-start)
		if len(auditText(t, flip(text, at), pinned).failures) == 0 {
			t.Errorf("byte %d: accepted", at)
		}
		cut := start + rand.IntN(len(text)-start-1)
		if len(auditText(t, text[:cut], pinned).failures) == 0 && text[cut-1] != '\n' {
			t.Errorf("cut to %d: accepted", cut)
		}
	}
	for at, end := range text { // cut behind a line: true or not, it must be read to its end
		if end == '\n' && rand.IntN(20) == 0 {
			auditText(t, text[:at+1], pinned)
		}
	}
	parts := strings.Split(string(text[start+1:]), "\n\n")
	for i := range parts {
		for j := range i {
			twice := slices.Insert(slices.Clone(parts), i, parts[j])
			name, _, _ := strings.Cut(parts[j], "\n")
			if name == "document" || name == "notice" || name == "statement" {
				if len(auditText(t, again(text, start, twice), pinned).failures) == 0 {
					t.Errorf("part %d again at %d: accepted", j, i)
				}
			}
		}
		name, _, _ := strings.Cut(parts[i], "\n")
		if name == "document" || name == "notice" {
			rest := slices.Delete(slices.Clone(parts), i, i+1)
			if len(auditText(t, again(text, start, rest), pinned).failures) == 0 {
				t.Errorf("without part %d (%s): accepted", i, name)
			}
		}
	}
}

func again(text []byte, start int, parts []string) []byte {
	body := strings.Join(parts, "\n\n")
	if !strings.HasSuffix(body, "\n") {
		body += "\n"
	}
	return append(bytes.Clone(text[:start+1]), body...)
}

func TestSmallOrderAndNormalForm(t *testing.T) {
	for _, s := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		raw, _ := readHash(s)
		for range 2 {
			if admitEd25519(raw[:]) == nil {
				t.Errorf("admitted %x", raw)
			}
			raw[31] ^= 0x80
		}
	}
	for s, want := range map[string]bool{"señal": true, "sen\u0303al": false, "\u212b": false, "한글": true,
		"\u1112\u1161\u11ab": false, "q\u0323\u0307": true, "q\u0307\u0323": false,
		"\U000e0fff": true} {
		if isNFC(s) != want {
			t.Errorf("isNFC(%q) is not %v", s, want)
		}
	}
}

func unhex(s string) []byte {
	raw, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return raw
}

// TestExamplesOfThePages compares with values that the specification prints.
func TestExamplesOfThePages(t *testing.T) {
	n, err := parseNotice(unhex("95c4ba9d010101c3a3584141c420650e3ddd6d04694b4d3888a0af9b54c6ac9390ca3b8e2ee920830316c579f9a7c4108d9a" +
		"ad7f0f35bd4218ad243dd267920acf0000019ca756a780cf0000019cb6c9bb809201c4208f59249af4eba0bed0cd3dd0d5e5" +
		"22ae55e79f2f5053b14c2e15b6a88875367d9192a3584242c4208e7fa6195919479f9f9d7e3c08257b9e2db4cc8316e24d87" +
		"b6dae648b4e9ea9494ac7861612d6e6174696f6e616c01a5677261766504cf0000019ca832618091c420421e37bf21318a89" +
		"ca35868d0b6ddcaf1da4714d519627b2af76af22642de2a6c42040a773d9115dd823a9b80482b2f5241635579e530cf16518" +
		"35eb9ce62437c1c2cd044890"))
	const envelope = "e908539d782a3f0cce9a6f5bd743c3f4e1ff6ef5edd736483e980b3d774fbb5e"
	if err != nil || fmt.Sprintf("%x", n.envelope) != envelope {
		t.Error("notice.md: manifest", err)
	}
	body := unhex("dc0010010101a3584242c420a509500c8ac4fe3e6cfce77d7021dbc87ac9aeb47e47e2813869f4666c42027fc420bcf97cc6" +
		"65a5b8f35c4bb5f93054be963d49725dbcb0379154856ebd46114277c420e908539d782a3f0cce9a6f5bd743c3f4e1ff6ef5" +
		"edd736483e980b3d774fbb5ecf0000019ca756ab6801c4200000000000000000000000000000000000000000000000000000" +
		"0000000000009201c4208f59249af4eba0bed0cd3dd0d5e522ae55e79f2f5053b14c2e15b6a88875367dc0c0c0c4200d389c" +
		"3b4a382206508bb4ff26669a9a7405fcf42ededdd5582349cbf9294dfec0")
	s := &statement{}
	if err := parsing("the example", func() { s.parseBody(decode(body).structure(16)) }); err != nil {
		t.Error("statement.md: received", err)
	}
	if fmt.Sprintf("%x", tagged("aid", body)) != "77a8f159496e6b7e0664799046da67970e089c38693c052729d7e361fc7d284c" {
		t.Error("statement.md: id")
	}
	leaf := func(text string) hash {
		inner := sha256.Sum256(pae("notice", []byte(text)))
		return leafHash(inner[:])
	}
	var batch tree
	for _, text := range []string{"smoke in the north", "smoke in the east", "smoke in the west"} {
		batch.add(leaf(text))
	}
	root := batch.root(3)
	if fmt.Sprintf("%x", root) != "117fd283630ce997b7d857cef2120d412a020a415f9759b19e7c55eae144ffe8" {
		t.Error("signatures.md: batch")
	}
	if got, err := pathRoot(leaf("smoke in the west"), 2, 3, []hash{batch.root(2)}); err != nil || got != root {
		t.Error("signatures.md: path")
	}
	if _, err := pathRoot(leaf("smoke in the west"), 2, 3, []hash{batch.root(2), root}); err == nil {
		t.Error("a path that is too long")
	}
	for _, text := range []string{"92cc01c0", "9201c50001ff", "dc000201c0", "8201c0", "9201c000", "9201", "91c1",
		"91cb", "a3656e", "a165cc81", "a101", "ff", "cf8000000000000000", "cd00ff", "dd00000001c0", "d90161"} {
		if parsing("it", func() { decode(unhex(text)) }) == nil {
			t.Error("encoding.md: accepted", text)
		}
	}
}

func TestMalformedList(t *testing.T) {
	dir := t.TempDir()
	if code := run([]string{dir, strings.Repeat("00", 32)}); code != 2 {
		t.Error("no list: exit code", code)
	}
	if err := os.WriteFile(filepath.Join(dir, listName), []byte("almenara-bundle v1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := run([]string{dir, strings.Repeat("00", 32)}); code != 3 {
		t.Error("a malformed list: exit code", code)
	}
}

func TestNesting(t *testing.T) {
	for depth, want := range map[int]bool{12: true, 13: false} {
		data := append(bytes.Repeat([]byte{0x91}, depth-1), 0x90)
		if got := parsing("it", func() { decode(data) }) == nil; got != want {
			t.Errorf("%d arrays: read is %v", depth, got)
		}
	}
}
