// report.go: what was found wrong, what could not be checked, and what was checked; kept apart as bundle.md asks.

package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
)

const maxShown = 200

type report struct {
	failures  []string
	unchecked []string
	counts    map[string]int
}

func newReport() *report { return &report{counts: map[string]int{}} }

func (r *report) fail(where, format string, args ...any) {
	r.failures = append(r.failures, shown(where+": "+fmt.Sprintf(format, args...)))
}

func (r *report) skip(where, format string, args ...any) {
	r.unchecked = append(r.unchecked, shown(where+": "+fmt.Sprintf(format, args...)))
}

// shown keeps what came with the input from steering the terminal.
func shown(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// instant writes milliseconds since 1970 as a time in UTC.
func instant(ms uint64) string {
	return time.UnixMilli(int64(ms)).UTC().Format("2006-01-02T15:04:05.000Z")
}

func (r *report) count(what string) { r.counts[what]++ }

// print writes the verdict and its reasons, and gives the exit code.
func (r *report) print(summary string) int {
	code, verdict := 0, "OK: "+summary
	if n := len(r.failures); n > 0 {
		code, verdict = 3, fmt.Sprintf("FAILED: %d thing(s) are wrong, first %s", n, r.failures[0])
	} else if n := len(r.unchecked); n > 0 {
		verdict += fmt.Sprintf("; %d thing(s) could not be checked", n)
	}
	fmt.Println(verdict)
	for _, group := range []struct {
		word  string
		items []string
	}{{"wrong", r.failures}, {"could not be checked", r.unchecked}} {
		for i, item := range group.items {
			if i == maxShown {
				fmt.Printf("%s: and %d more\n", group.word, len(group.items)-i)
				break
			}
			fmt.Printf("%s: %s\n", group.word, item)
		}
	}
	for _, what := range sorted(r.counts) {
		fmt.Printf("checked: %d %s\n", r.counts[what], what)
	}
	return code
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func unusable(err error) int {
	fmt.Println("UNUSABLE:", shown(err.Error()))
	return 2
}
