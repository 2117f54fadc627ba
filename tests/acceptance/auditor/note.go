// note.go: signed checkpoints, their cosignatures, and the quorum that makes one witnessed (ledger.md, witness.md).

package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/mldsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxNote       = 1 << 20
	maxNoteLines  = 512
	typeEd25519   = 0x01
	typeCosigned  = 0x04
	typeMLDSA     = 0x06
	signatureMark = "— "
)

// noteKeys are the raw keys with which a log or a witness signs.
type noteKeys struct {
	name        string
	ed, lattice []byte
	possession  []byte
}

func keyNumber(name string, kind byte, key []byte) [4]byte {
	sum := sha256.Sum256(append(append([]byte(name), '\n', kind), key...))
	return [4]byte(sum[:4])
}

// vkey is C2SP's spelling of a verifier key.
func vkey(name string, kind byte, key []byte) string {
	raw := append([]byte{kind}, key...)
	return fmt.Sprintf("%s+%x+%s", name, keyNumber(name, kind, key), base64.StdEncoding.EncodeToString(raw))
}

type noteLine struct {
	name   string
	number [4]byte
	rest   []byte
}

type checkpoint struct {
	text   string // the three lines
	origin string
	size   uint64
	root   hash
	lines  []noteLine
}

// base64One reads the one spelling of base64.
func base64One(s string) ([]byte, bool) {
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	return raw, err == nil && base64.StdEncoding.EncodeToString(raw) == s
}

// decimal reads a number without a sign and without leading zeros.
func decimal(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil && strconv.FormatUint(n, 10) == s
}

func noteName(s string) bool {
	for _, r := range s {
		if unicode.IsSpace(r) || r == '+' || isControl(r) {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 255 && utf8.ValidString(s)
}

func parseCheckpoint(data []byte) (*checkpoint, error) {
	if len(data) > maxNote {
		return nil, errors.New("too large for a checkpoint")
	}
	if !utf8.Valid(data) {
		return nil, errors.New("the checkpoint is not UTF-8")
	}
	lines := strings.Split(string(data), "\n")
	if len(lines) < 6 || lines[len(lines)-1] != "" || lines[3] != "" {
		return nil, errors.New("the checkpoint has not three lines, an empty one, and signatures")
	}
	c := &checkpoint{text: strings.Join(lines[:3], "\n") + "\n", origin: lines[0]}
	var ok bool
	if !noteName(c.origin) {
		return nil, errors.New("the checkpoint's origin is no name")
	}
	if c.size, ok = decimal(lines[1]); !ok {
		return nil, errors.New("the checkpoint's size is no number")
	}
	root, ok := base64One(lines[2])
	if !ok || len(root) != 32 {
		return nil, errors.New("the checkpoint's root is no hash")
	}
	c.root = hash(root)
	signatures := lines[4 : len(lines)-1]
	if len(signatures) > maxNoteLines {
		return nil, errors.New("the checkpoint has too many signatures")
	}
	for _, line := range signatures {
		body, ok := strings.CutPrefix(line, signatureMark)
		name, encoded, ok2 := strings.Cut(body, " ")
		raw, ok3 := base64One(encoded)
		if !ok || !ok2 || !ok3 || !noteName(name) || len(raw) < 5 {
			return nil, errors.New("a signature line of the checkpoint is malformed")
		}
		c.lines = append(c.lines, noteLine{name, [4]byte(raw[:4]), raw[4:]})
	}
	return c, nil
}

type witness struct {
	code string
	keys noteKeys
}

// judgement is what a set of keys makes of a checkpoint.
type judgement struct {
	strangers int               // signature lines of keys that are not known
	cosigned  map[string]uint64 // state: the later of its two times, in seconds
}

func (c *checkpoint) cosignedStructure(name string, time uint64) []byte {
	b := []byte("subtree/v1\n\x00")
	b = append(b, byte(len(name)))
	b = append(b, name...)
	b = binary.BigEndian.AppendUint64(b, time)
	b = append(b, byte(len(c.origin)))
	b = append(b, c.origin...)
	b = binary.BigEndian.AppendUint64(b, 0)
	b = binary.BigEndian.AppendUint64(b, c.size)
	return append(b, c.root[:]...)
}

func verifyLattice(key, message, signature []byte, context string) bool {
	public, err := mldsa.NewPublicKey(mldsa.MLDSA44(), key)
	return err == nil && mldsa.Verify(public, message, signature, &mldsa.Options{Context: context}) == nil
}

// verifyLine verifies one signature line; the time is that of a cosignature.
func (c *checkpoint) verifyLine(line noteLine, kind byte, key []byte) (time uint64, ok bool) {
	rest := line.rest
	if kind == typeEd25519 {
		return 0, len(rest) == ed25519.SignatureSize && ed25519.Verify(key, []byte(c.text), rest)
	}
	length := ed25519.SignatureSize
	if kind == typeMLDSA {
		length = mldsa.MLDSA44SignatureSize
	}
	if len(rest) != 8+length {
		return 0, false
	}
	time = binary.BigEndian.Uint64(rest)
	if time < 1 || time > maxUint {
		return 0, false
	}
	if kind == typeMLDSA {
		return time, verifyLattice(key, c.cosignedStructure(line.name, time), rest[8:], "")
	}
	text := fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, c.text)
	return time, ed25519.Verify(key, []byte(text), rest[8:])
}

// judge verifies every line that names a known key. An error is a refusal of the whole checkpoint.
func (c *checkpoint) judge(origin string, log noteKeys, witnesses []witness) (judgement, error) {
	j := judgement{cosigned: map[string]uint64{}}
	if c.origin != origin {
		return j, fmt.Errorf("it is of the log %q, not of %q", c.origin, origin)
	}
	type known struct {
		name   string
		number [4]byte
	}
	type holder struct {
		code string // empty: the log
		kind byte
		key  []byte
	}
	keys := map[known]holder{
		{origin, keyNumber(origin, typeEd25519, log.ed)}:    {"", typeEd25519, log.ed},
		{origin, keyNumber(origin, typeMLDSA, log.lattice)}: {"", typeMLDSA, log.lattice},
	}
	for _, w := range witnesses {
		name := w.keys.name
		keys[known{name, keyNumber(name, typeCosigned, w.keys.ed)}] = holder{w.code, typeCosigned, w.keys.ed}
		keys[known{name, keyNumber(name, typeMLDSA, w.keys.lattice)}] = holder{w.code, typeMLDSA, w.keys.lattice}
	}
	done := map[known]bool{}
	halves := map[string]int{}
	for _, line := range c.lines {
		id := known{line.name, line.number}
		holder, ok := keys[id]
		if !ok {
			j.strangers++
			continue
		}
		if done[id] {
			return j, fmt.Errorf("two signature lines of one key of %s", line.name)
		}
		done[id] = true
		time, ok := c.verifyLine(line, holder.kind, holder.key)
		if !ok {
			return j, fmt.Errorf("a signature of %s does not verify", line.name)
		}
		halves[holder.code]++
		if holder.code != "" && halves[holder.code] <= 2 {
			j.cosigned[holder.code] = max(j.cosigned[holder.code], time)
		}
	}
	if halves[""] != 2 {
		return j, errors.New("the log has not signed it with both keys")
	}
	for code := range j.cosigned {
		if halves[code] != 2 {
			delete(j.cosigned, code)
		}
	}
	return j, nil
}

var errQuorum = errors.New("no quorum of witnesses has cosigned it")

// quorumOf says how many of n witnesses make a quorum.
func quorumOf(n int) int {
	if n == 0 {
		return 1 // nobody is there to witness anything
	}
	return (n+(n-1)/3)/2 + 1
}

// witnessedMs is the time by which a quorum of n was full, in milliseconds.
func (j judgement) witnessedMs(n int) (uint64, error) {
	var times []uint64
	for _, t := range j.cosigned {
		times = append(times, t)
	}
	slices.Sort(times)
	q := quorumOf(n)
	if len(times) < q {
		return 0, fmt.Errorf("%w: %d of %d, %d are needed", errQuorum, len(times), n, q)
	}
	t := times[q-1]
	if t > maxTime/1000 {
		return 0, errors.New("it is cosigned at an impossible time")
	}
	return t * 1000, nil
}

// policy is the tlog-policy of one log.
func policy(origin string, log noteKeys, witnesses []witness, active int) []byte {
	var b, groups bytes.Buffer
	fmt.Fprintf(&b, "log %s\nlog %s\n", vkey(origin, typeEd25519, log.ed), vkey(origin, typeMLDSA, log.lattice))
	states := ""
	for _, w := range witnesses {
		fmt.Fprintf(&b, "witness %s/ed25519 %s\n", w.code, vkey(w.keys.name, typeCosigned, w.keys.ed))
		fmt.Fprintf(&b, "witness %s/mldsa44 %s\n", w.code, vkey(w.keys.name, typeMLDSA, w.keys.lattice))
		fmt.Fprintf(&groups, "group %s all %[1]s/ed25519 %[1]s/mldsa44\n", w.code)
		states += " " + w.code
	}
	if len(witnesses) == 0 {
		b.WriteString("quorum none\n")
		return b.Bytes()
	}
	b.Write(groups.Bytes())
	fmt.Fprintf(&b, "group states %d%s\nquorum states\n", min(quorumOf(active), len(witnesses)), states)
	return b.Bytes()
}
