// nfc.go: whether a text is in Unicode normal form C (encoding.md). Go's standard library cannot tell.

package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

type nfcTables struct {
	class     map[rune]int
	decompose map[rune][]rune
	compose   map[[2]rune]rune
}

var loadNFC = sync.OnceValue(func() nfcTables {
	t := nfcTables{map[rune]int{}, map[rune][]rune{}, map[[2]rune]rune{}}
	for _, item := range strings.Fields(combiningData) {
		var first, last rune
		var class int
		fmt.Sscanf(item, "%X-%X=%d", &first, &last, &class)
		for r := first; r <= last; r++ {
			t.class[r] = class
		}
	}
	for _, item := range strings.Fields(canonicalData) {
		var from rune
		name, parts, _ := strings.Cut(item[1:], "=")
		fmt.Sscanf(name, "%X", &from)
		var to []rune
		for _, part := range strings.Split(parts, ",") {
			var r rune
			fmt.Sscanf(part, "%X", &r)
			to = append(to, r)
		}
		t.decompose[from] = to
		if item[0] == '+' {
			t.compose[[2]rune{to[0], to[1]}] = from
		}
	}
	return t
})

const (
	hangulS, hangulL, hangulV, hangulT = 0xac00, 0x1100, 0x1161, 0x11a7
	countL, countV, countT             = 19, 21, 28
)

func isNFC(s string) bool {
	plain := true
	for _, r := range s {
		plain = plain && r < 0x300
	}
	if plain {
		return true
	}
	t := loadNFC()
	var out []rune
	var push func(r rune)
	push = func(r rune) {
		if r >= hangulS && r < hangulS+countL*countV*countT {
			i := r - hangulS
			out = append(out, hangulL+i/(countV*countT), hangulV+i%(countV*countT)/countT)
			if i%countT != 0 {
				out = append(out, hangulT+i%countT)
			}
		} else if parts, ok := t.decompose[r]; ok {
			for _, part := range parts {
				push(part)
			}
		} else {
			out = append(out, r)
		}
	}
	for _, r := range s {
		push(r)
	}
	for i := 0; i < len(out); { // canonical order
		if t.class[out[i]] == 0 {
			i++
			continue
		}
		j := i
		for j < len(out) && t.class[out[j]] != 0 {
			j++
		}
		slices.SortStableFunc(out[i:j], func(a, b rune) int { return t.class[a] - t.class[b] })
		i = j
	}
	return string(composed(t, out)) == s
}

func composed(t nfcTables, in []rune) []rune {
	var out []rune
	starter, last := -1, -1 // place of the last starter in out, class of the last mark behind it
	for _, r := range in {
		class := t.class[r]
		if starter >= 0 && (last < class || last == -1) && !(last == 0) {
			if c, ok := pair(t, out[starter], r); ok && (last == -1 || last < class) {
				out[starter] = c
				continue
			}
		}
		out = append(out, r)
		if class == 0 {
			starter, last = len(out)-1, -1
		} else {
			last = class
		}
	}
	return out
}

func pair(t nfcTables, a, b rune) (rune, bool) {
	if a >= hangulL && a < hangulL+countL && b >= hangulV && b < hangulV+countV {
		return hangulS + ((a-hangulL)*countV+b-hangulV)*countT, true
	}
	if i := a - hangulS; i >= 0 && i < countL*countV*countT && i%countT == 0 && b > hangulT && b < hangulT+countT {
		return a + b - hangulT, true
	}
	c, ok := t.compose[[2]rune{a, b}]
	return c, ok
}
