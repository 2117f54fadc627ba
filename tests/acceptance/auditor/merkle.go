// merkle.go: the trees of RFC 6962, section 2.1, and their inclusion paths as RFC 9162, section 2.1.3.2 verifies
// them.

package main

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// tagged is H(label, x) of encoding.md.
func tagged(label string, parts ...[]byte) hash {
	h := sha256.New()
	h.Write([]byte("almenara/1/" + label + "\x00"))
	for _, p := range parts {
		h.Write(p)
	}
	return hash(h.Sum(nil))
}

func leafHash(leaf []byte) hash {
	return sha256.Sum256(append([]byte{0}, leaf...))
}

func innerHash(left, right hash) hash {
	var b [65]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

// tree keeps the hashes of all complete subtrees, so that the root at any earlier size is at hand.
type tree struct{ levels [][]hash }

func (t *tree) add(h hash) {
	for level := 0; ; level++ {
		if level == len(t.levels) {
			t.levels = append(t.levels, nil)
		}
		t.levels[level] = append(t.levels[level], h)
		row := t.levels[level]
		if len(row)%2 == 1 {
			return
		}
		h = innerHash(row[len(row)-2], row[len(row)-1])
	}
}

func (t *tree) size() uint64 {
	if len(t.levels) == 0 {
		return 0
	}
	return uint64(len(t.levels[0]))
}

// root is the root over the first n leaves; n is at most the size.
func (t *tree) root(n uint64) hash {
	if n == 0 {
		return sha256.Sum256(nil)
	}
	var root hash
	have := false
	for level := 0; n>>level > 0; level++ {
		if n>>level&1 == 0 {
			continue
		}
		part := t.levels[level][n>>level-1]
		if have {
			root = innerHash(part, root)
		} else {
			root, have = part, true
		}
	}
	return root
}

var errPath = errors.New("the path has not the length that index and size ask for")

// pathRoot is the root to which a path leads.
func pathRoot(leaf hash, index, size uint64, path []hash) (hash, error) {
	if index >= size {
		return hash{}, errPath
	}
	fn, sn, r := index, size-1, leaf
	for _, p := range path {
		if sn == 0 {
			return hash{}, errPath
		}
		if fn&1 == 1 || fn == sn {
			r = innerHash(p, r)
			for fn&1 == 0 && fn != 0 {
				fn >>= 1
				sn >>= 1
			}
		} else {
			r = innerHash(r, p)
		}
		fn >>= 1
		sn >>= 1
	}
	if sn != 0 {
		return hash{}, errPath
	}
	return r, nil
}

// statementLeaf is the leaf of a statement (ledger.md).
func statementLeaf(kind, recorded uint64, digest hash) []byte {
	leaf := binary.BigEndian.AppendUint64([]byte{1, byte(kind)}, recorded)
	return append(leaf, digest[:]...)
}
