// main.go says who we are (keeper, server or client) and nothing about how they work: the roles, usage, paths and exit codes.

package main

import (
	"fmt"
	"os"
	"runtime/debug"
)

// version is what `zinit version` and system.ping answer.
const version = "0.1.0"

// background runs f on a goroutine of its own. A panic in it is reported with its stack
// and ends the process with exit code 70 (EX_SOFTWARE of sysexits.h): half a supervisor is worse than a restarted one.
func background(what string, f func()) {
	go func() {
		defer func() {
			if r := recover(); r != nil {
				fmt.Fprintf(os.Stderr, "zinit: panic in %s: %v\n%s", what, r, debug.Stack())
				os.Exit(70)
			}
		}()
		f()
	}()
}

func main() {}
