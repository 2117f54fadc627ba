// msgpack.go: the strict reader of encoding.md. One object has exactly one sequence of bytes; everything else is
// refused. Shapes are taken from the decoded value by a cursor that panics with `malformed`, which `parsing` turns
// into an error.

package main

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	maxUint = 1<<63 - 1
	maxTime = 253402300799999
	maxNest = 12
)

type hash [32]byte

type value struct {
	kind  byte // 'n'il, 'b'ool, 'u'int, 'x' bytes, 't'ext, 'a'rray
	u     uint64
	bytes []byte
	items []value
}

type malformed string

func (m malformed) Error() string { return string(m) }

func bad(format string, args ...any) { panic(malformed(fmt.Sprintf(format, args...))) }

// parsing runs f and returns what it refused.
func parsing(what string, f func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			m, ok := r.(malformed)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("%s is malformed: %s", what, string(m))
		}
	}()
	f()
	return nil
}

// decode reads exactly one object; it panics with malformed.
func decode(data []byte) value {
	v, rest := decodeOne(data, 1)
	if len(rest) != 0 {
		bad("%d bytes follow the object", len(rest))
	}
	return v
}

func decodeOne(p []byte, depth int) (value, []byte) {
	if len(p) == 0 {
		bad("the object is cut off")
	}
	first, p := p[0], p[1:]
	number := func(width int, least uint64) uint64 {
		if len(p) < width {
			bad("the object is cut off")
		}
		var full [8]byte
		copy(full[8-width:], p[:width])
		p = p[width:]
		n := binary.BigEndian.Uint64(full[:])
		if n < least {
			bad("a number or length is not in its shortest form")
		}
		return n
	}
	take := func(n uint64) []byte {
		if n > uint64(len(p)) {
			bad("a length promises more than is there")
		}
		out := p[:n:n]
		p = p[n:]
		return out
	}
	text := func(n uint64) value {
		raw := take(n)
		checkText(raw)
		return value{kind: 't', bytes: raw}
	}
	array := func(n uint64) value {
		if depth > maxNest {
			bad("arrays are nested too deep")
		}
		if n > uint64(len(p)) {
			bad("an array promises more than is there")
		}
		items := make([]value, 0, n)
		for range n {
			var v value
			v, p = decodeOne(p, depth+1)
			items = append(items, v)
		}
		return value{kind: 'a', items: items}
	}
	var v value
	switch {
	case first <= 0x7f:
		v = value{kind: 'u', u: uint64(first)}
	case first >= 0x90 && first <= 0x9f:
		v = array(uint64(first & 0x0f))
	case first >= 0xa0 && first <= 0xbf:
		v = text(uint64(first & 0x1f))
	case first == 0xc0:
		v = value{kind: 'n'}
	case first == 0xc2 || first == 0xc3:
		v = value{kind: 'b', u: uint64(first & 1)}
	case first == 0xc4:
		v = value{kind: 'x', bytes: take(number(1, 0))}
	case first == 0xc5:
		v = value{kind: 'x', bytes: take(number(2, 1<<8))}
	case first == 0xc6:
		v = value{kind: 'x', bytes: take(number(4, 1<<16))}
	case first == 0xcc:
		v = value{kind: 'u', u: number(1, 1<<7)}
	case first == 0xcd:
		v = value{kind: 'u', u: number(2, 1<<8)}
	case first == 0xce:
		v = value{kind: 'u', u: number(4, 1<<16)}
	case first == 0xcf:
		v = value{kind: 'u', u: number(8, 1<<32)}
		if v.u > maxUint {
			bad("a number is above 2^63-1")
		}
	case first == 0xd9:
		v = text(number(1, 32))
	case first == 0xda:
		v = text(number(2, 1<<8))
	case first == 0xdb:
		v = text(number(4, 1<<16))
	case first == 0xdc:
		v = array(number(2, 16))
	case first == 0xdd:
		v = array(number(4, 1<<16))
	default:
		bad("type byte %#02x is not of the profile", first)
	}
	return v, p
}

func checkText(raw []byte) {
	if !utf8.Valid(raw) {
		bad("a text is not UTF-8")
	}
	s := string(raw)
	for _, r := range s {
		if isControl(r) && r != '\n' && r != '\t' {
			bad("a text holds a control character")
		}
	}
	if !isNFC(s) {
		bad("a text is not in normal form C")
	}
}

func isControl(r rune) bool { return r < 0x20 || r >= 0x7f && r <= 0x9f }

// cursor walks over the members of one array.
type cursor struct {
	items []value
	at    int
}

// structure opens an array of exactly n members.
func (v value) structure(n int) *cursor {
	if v.kind != 'a' || len(v.items) != n {
		bad("expected an array of %d members", n)
	}
	return &cursor{items: v.items}
}

func (c *cursor) next() value { v := c.items[c.at]; c.at++; return v }

func (c *cursor) sub(n int) *cursor { return c.next().structure(n) }

func (c *cursor) tag(tag string) {
	if v := c.next(); v.kind != 't' || string(v.bytes) != tag {
		bad("expected the tag %q", tag)
	}
}

func (c *cursor) list(least, most int) []value {
	v := c.next()
	if v.kind != 'a' || len(v.items) < least || len(v.items) > most {
		bad("expected an array of %d to %d", least, most)
	}
	return v.items
}

func (v value) uint(least, most uint64) uint64 {
	if v.kind != 'u' || v.u < least || v.u > most {
		bad("expected a number from %d to %d", least, most)
	}
	return v.u
}

func (v value) blob(least, most int) []byte {
	if v.kind != 'x' || len(v.bytes) < least || len(v.bytes) > most {
		bad("expected %d to %d bytes", least, most)
	}
	return v.bytes
}

func (v value) hash() hash { return hash(v.blob(32, 32)) }

func (c *cursor) uint(least, most uint64) uint64 { return c.next().uint(least, most) }
func (c *cursor) time() uint64                   { return c.uint(0, maxTime) }
func (c *cursor) blob(least, most int) []byte    { return c.next().blob(least, most) }
func (c *cursor) hash() hash                     { return c.next().hash() }

func (c *cursor) bool() bool {
	v := c.next()
	if v.kind != 'b' {
		bad("expected true or false")
	}
	return v.u == 1
}

// isNil looks at the next member, and steps over it if it is nil.
func (c *cursor) isNil() bool {
	if c.items[c.at].kind == 'n' {
		c.at++
		return true
	}
	return false
}

func (c *cursor) hashOrNil() *hash {
	if c.isNil() {
		return nil
	}
	h := c.hash()
	return &h
}

func (c *cursor) text(least, most int) string {
	v := c.next()
	if v.kind != 't' {
		bad("expected a text")
	}
	if n := utf8.RuneCount(v.bytes); n < least || n > most {
		bad("a text has %d characters, not %d to %d", n, least, most)
	}
	return string(v.bytes)
}

func (c *cursor) line() string {
	s := c.text(1, 200)
	if strings.ContainsAny(s, "\n\t") {
		bad("a line holds a line feed or a tab")
	}
	return s
}

var (
	slugForm = regexp.MustCompile(`\A[a-z0-9][a-z0-9.-]{0,63}\z`)
	codeForm = regexp.MustCompile(`\A[A-Z0-9][A-Z0-9-]{1,15}\z`)
)

func (c *cursor) matching(form *regexp.Regexp) string {
	v := c.next()
	if v.kind != 't' || !form.Match(v.bytes) {
		bad("a name is not of the form %s", form)
	}
	return string(v.bytes)
}

func (c *cursor) slug() string { return c.matching(slugForm) }
func (c *cursor) code() string { return c.matching(codeForm) }
