// program.go is what all roles of the program share: its version, its exit codes, its own path, and how it tells a person in a line what went wrong.

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// version is what `zinit version` and system.ping answer.
const version = "0.1.0"

// The exit codes of the client.
const (
	exitDone        = 0
	exitRefused     = 1   // the server (or a file) says no
	exitUsage       = 2   // the command line is wrong
	exitNotRunning  = 3   // not running, not healthy, or failed
	exitNoService   = 4   // no service has that name
	exitNoServer    = 5   // no server answers
	exitInterrupted = 130 // Ctrl-C, as a shell reports it: 128 + SIGINT
)

// stderr is where people are told what went wrong; tests put a buffer here.
var stderr io.Writer = os.Stderr

// errorf tells a person in one line what could not be done. Control characters in it are made visible.
func errorf(format string, args ...any) {
	tell("zinit: " + fmt.Sprintf(format, args...))
}

// hint tells a person in one line what to try next.
func hint(format string, args ...any) {
	tell("hint: " + fmt.Sprintf(format, args...))
}

// tell writes a line to stderr, at a terminal broken between words.
func tell(text string) {
	lines := []string{visible(text)}
	if cols, _, ok := terminalSize(2); ok && cols > 0 && stderr == io.Writer(os.Stderr) {
		lines = fold(text, cols)
	}
	for _, line := range lines {
		fmt.Fprintln(stderr, line)
	}
}

// ownProgram is the absolute path of our binary, taken once: after an upgrade the link in /proc names the old file as deleted.
func ownProgram() string {
	if p, err := os.Executable(); err == nil && p != "" {
		return strings.TrimSuffix(p, " (deleted)")
	}
	if p := os.Args[0]; strings.ContainsRune(p, '/') {
		if abs, err := filepath.Abs(p); err == nil {
			return abs
		}
	}
	for _, p := range []string{"/zinit", "/sbin/init", "/init", "/usr/bin/zinit", "/bin/zinit", "/usr/local/bin/zinit"} {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return os.Args[0]
}
