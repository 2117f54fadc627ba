//go:build !go1.27

package main

import (
	"fmt"
	"os"
)

func checkQuantumSafe(string) {
	fmt.Println("this Go has no crypto/mldsa")
	os.Exit(3)
}
