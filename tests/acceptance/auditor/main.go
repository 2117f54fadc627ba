// almenara-auditor: verifies a bundle or a receipt of an Almenara ledger, from nothing but the pinned root hash.
// Written from the pages of protocol/spec alone, to find out whether they suffice; it shares no code with the
// project's programs.
//
//	verifier BUNDLE-OR-RECEIPT ROOT-HASH-HEX
//
// It needs Go 1.27 and nothing beside the standard library: go build -o verifier .
//
// Exit codes: 0 it holds; 3 something is wrong, and the lines below the verdict name where; 2 the input is unusable.

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	if len(args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: verifier BUNDLE-OR-RECEIPT ROOT-HASH-HEX")
		return 2
	}
	pinned, ok := readHash(strings.ToLower(strings.Join(strings.Fields(args[1]), "")))
	if !ok {
		return unusable(fmt.Errorf("the root hash is not 64 hexadecimal digits"))
	}
	info, err := os.Stat(args[0])
	if err != nil {
		return unusable(err)
	}
	r := newReport()
	var summary string
	if info.IsDir() {
		dir, err := filepath.EvalSymlinks(args[0])
		if err != nil {
			return unusable(err)
		}
		if summary, err = auditBundle(dir, pinned, r); err != nil {
			return unusable(err)
		}
	} else if !info.Mode().IsRegular() {
		return unusable(fmt.Errorf("it is neither a directory nor a regular file"))
	} else if summary, err = auditReceipt(args[0], pinned, r); err != nil {
		return unusable(err)
	}
	return r.print(summary)
}
