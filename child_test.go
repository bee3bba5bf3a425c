// child_test.go is the program that tests run as a service: it does one word after the other.

package main

import (
	"fmt"
	"os"
)

// childMain obeys its words in order: print=TEXT, exit=CODE … (see the switch).
func childMain(words []string) {
	for _, w := range words {
		fmt.Fprintln(os.Stderr, "unknown word", w)
		os.Exit(99)
	}
}
