// list.go: the hash list of a bundle, the names that may stand in it, and the files themselves (bundle.md, steps 1
// to 4).

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	maxList   = 32 << 20
	maxFiles  = 200000
	packSpan  = 256
	listName  = "bundle.txt"
	maxOfPack = packSpan * (12 + maxHeader)
)

var errNoBundle = errors.New("there is no readable bundle.txt: the input is no bundle")

var errCrowded = errors.New("there are too many files")

type listed struct {
	hash hash
	size uint64
}

type bundle struct {
	dir         string
	community   hash
	coordinator string
	ackSize     uint64
	dirSize     uint64
	member      string // empty: bodies all
	from        uint64
	names       []string // in the list's order
	list        map[string]listed
	here        map[string]fs.FileInfo
}

// tilePath spells a number in path elements of three digits.
func tilePath(n uint64) string {
	s := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		s = fmt.Sprintf("x%03d/%s", n%1000, s)
	}
	return s
}

func readTilePath(s string) (n uint64, ok bool) {
	if len(s) > 40 {
		return 0, false
	}
	for _, part := range strings.Split(s, "/") {
		for _, r := range strings.TrimPrefix(part, "x") {
			if r < '0' || r > '9' {
				return 0, false
			}
			n = n*10 + uint64(r-'0')
		}
		if n > maxUint/100000 {
			return 0, false
		}
	}
	return n, tilePath(n) == s
}

// limit is how many bytes a file of this name may have; 0 if no file may have it.
func (b *bundle) limit(name string) uint64 {
	switch name {
	case "README.txt":
		return 64 << 10
	case "ack/checkpoint", "dir/checkpoint", "ack/policy.txt", "dir/policy.txt":
		return 1 << 20
	}
	if s, ok := strings.CutPrefix(name, "ack/milestones/"); ok {
		if n, ok := decimal(s); ok && n >= 1 && n <= b.ackSize {
			return 1 << 20
		}
		return 0
	}
	for prefix, record := range map[string]uint64{"ack/statements/": maxStatement, "ack/headers/": maxHeader} {
		if s, ok := strings.CutPrefix(name, prefix); ok {
			if n, ok := readTilePath(s); ok && n < (b.ackSize+packSpan-1)/packSpan {
				return packSpan * (12 + record)
			}
			return 0
		}
	}
	if s, ok := strings.CutPrefix(name, "dir/documents/"); ok {
		if n, ok := readTilePath(s); ok && n < b.dirSize {
			return maxSigned
		}
		return 0
	}
	for _, log := range []struct {
		prefix string
		size   uint64
		leaf   uint64
	}{{"ack/tile/entries/", b.ackSize, 44}, {"dir/tile/entries/", b.dirSize, 69}} {
		if s, ok := strings.CutPrefix(name, log.prefix); ok {
			path, width, partial := strings.Cut(s, ".p/")
			n, ok := readTilePath(path)
			if ok && !partial && n < log.size/packSpan {
				return packSpan * log.leaf
			}
			if w := log.size % packSpan; ok && partial && w > 0 && n == log.size/packSpan && width == fmt.Sprint(w) {
				return w * log.leaf
			}
			return 0
		}
	}
	return 0
}

// entryFiles are the names of the files of entries of one log.
func entryFiles(log string, size uint64) (out []string) {
	for n := uint64(0); n < size/packSpan; n++ {
		out = append(out, log+"/tile/entries/"+tilePath(n))
	}
	if w := size % packSpan; w > 0 {
		out = append(out, fmt.Sprintf("%s/tile/entries/%s.p/%d", log, tilePath(size/packSpan), w))
	}
	return out
}

func (b *bundle) required() []string {
	out := []string{"README.txt", "ack/checkpoint", "ack/policy.txt", "dir/checkpoint", "dir/policy.txt"}
	out = append(append(out, entryFiles("ack", b.ackSize)...), entryFiles("dir", b.dirSize)...)
	for n := uint64(0); n < b.dirSize; n++ {
		out = append(out, "dir/documents/"+tilePath(n))
	}
	return out
}

// readFile reads at most limit bytes of a regular file, and nothing behind a link.
func (b *bundle) readFile(name string, limit uint64) ([]byte, error) {
	info, ok := b.here[name]
	if !ok {
		return nil, errors.New("it is not there")
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if uint64(info.Size()) > limit {
		return nil, fmt.Errorf("it has %d bytes, at most %d are allowed", info.Size(), limit)
	}
	f, err := os.Open(filepath.Join(b.dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if now, err := f.Stat(); err != nil || !os.SameFile(now, info) {
		return nil, errors.New("it was changed while it was read")
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && uint64(len(data)) > limit {
		err = errors.New("it grew while it was read")
	}
	return data, err
}

// openBundle reads the list. errNoBundle means that the input is unusable.
func openBundle(dir string, r *report) (*bundle, error) {
	b := &bundle{dir: dir, list: map[string]listed{}, here: map[string]fs.FileInfo{}}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return nil
		}
		if len(b.here) > maxFiles {
			return errCrowded
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		b.here[filepath.ToSlash(name)] = info
		return err
	})
	if errors.Is(err, errCrowded) {
		r.fail("files", "%v", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if _, ok := b.here[listName]; !ok {
		return nil, errNoBundle
	}
	data, err := b.readFile(listName, maxList)
	if err == nil {
		err = b.parseList(string(data))
	}
	if err != nil {
		r.fail(listName, "%v", err)
		return nil, nil
	}
	return b, nil
}

var listLine = regexp.MustCompile(`\A([0-9a-f]{64}) ([0-9]+) ([!-~]+)\z`)

func readHash(s string) (h hash, ok bool) {
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != 32 || hex.EncodeToString(raw) != s {
		return h, false
	}
	return hash(raw), true
}

func (b *bundle) parseList(data string) error {
	for i := range len(data) {
		if data[i] != '\n' && (data[i] < 0x20 || data[i] > 0x7e) {
			return errors.New("the list is not printable ASCII")
		}
	}
	lines := strings.Split(data, "\n")
	if len(lines) < 11 || lines[len(lines)-1] != "" {
		return errors.New("the list is cut off")
	}
	var value [9]string
	for i, key := range []string{"almenara-bundle", "community", "coordinator", "ack", "dir", "bodies", "from", "made",
		"program"} {
		rest, ok := strings.CutPrefix(lines[i], key+" ")
		if !ok {
			return fmt.Errorf("line %d of the list is not `%s`", i+1, key)
		}
		value[i] = rest
	}
	var ok [6]bool
	b.community, ok[0] = readHash(value[1])
	b.coordinator, ok[1] = value[2], codeForm.MatchString(value[2])
	b.ackSize, ok[2] = decimal(value[3])
	b.dirSize, ok[3] = decimal(value[4])
	if value[5] == "all" {
		ok[4] = true
	} else if code, is := strings.CutPrefix(value[5], "member "); is {
		b.member, ok[4] = code, codeForm.MatchString(code)
	}
	b.from, ok[5] = decimal(value[6])
	made, err := time.Parse("2006-01-02T15:04:05.000Z", value[7])
	if value[0] != "v1" || ok != [6]bool{true, true, true, true, true, true} || err != nil ||
		made.Format("2006-01-02T15:04:05.000Z") != value[7] || len(value[8]) > 200 || lines[9] != "" {
		return errors.New("the head of the list is malformed")
	}
	if (b.ackSize/packSpan)+b.dirSize+b.dirSize/packSpan > maxFiles {
		return errors.New("logs of these sizes have more files than a bundle may have")
	}
	last := ""
	for _, line := range lines[10 : len(lines)-1] {
		m := listLine.FindStringSubmatch(line)
		if m == nil {
			return errors.New("a line of the list is malformed")
		}
		sum, ok := readHash(m[1])
		size, ok2 := decimal(m[2])
		if !ok || !ok2 || m[3] <= last {
			return errors.New("a line of the list is malformed or not in order")
		}
		last = m[3]
		b.list[last] = listed{sum, size}
		b.names = append(b.names, last)
	}
	if len(b.names) > maxFiles {
		return errors.New("the list names too many files")
	}
	return nil
}

// checkNames is step 3.
func (b *bundle) checkNames(r *report) {
	for _, name := range sorted(b.here) {
		info := b.here[name]
		if !info.Mode().IsRegular() {
			r.fail(name, "it is not a regular file")
		}
		if name == listName {
			continue
		}
		entry, ok := b.list[name]
		if !ok {
			r.fail(name, "it is not on the list")
		} else if uint64(info.Size()) != entry.size {
			r.fail(name, "it has %d bytes, the list says %d", info.Size(), entry.size)
		}
	}
	for _, name := range b.names {
		if limit := b.limit(name); limit == 0 {
			r.fail(name, "no file of this name belongs into this bundle")
		} else if b.list[name].size > limit {
			r.fail(name, "it is listed with more than %d bytes", limit)
		}
		if _, ok := b.here[name]; !ok {
			r.fail(name, "it is listed and not there")
		}
	}
	for _, name := range b.required() {
		if _, ok := b.list[name]; !ok {
			r.fail(name, "it has to be there and is not listed")
		}
	}
}

// read gives a listed file and compares its hash (step 4); nil if it is not listed or cannot be read.
func (b *bundle) read(name string, r *report) []byte {
	entry, ok := b.list[name]
	limit := b.limit(name)
	if _, is := b.here[name]; !ok || !is || limit == 0 {
		return nil // step 3 has said so
	}
	data, err := b.readFile(name, limit)
	if err != nil {
		r.fail(name, "%v", err)
		return nil
	}
	if sha256.Sum256(data) != entry.hash {
		r.fail(name, "its SHA-256 is not the listed one")
	}
	r.count("files")
	return data
}
