// term_loop.go reads commands line by line, from a terminal or from anything else, until one of them or the input ends it. It knows no command.

package main

import (
	"io"
	"strings"
)

// commandLoop reads a command per line and runs it, until run says that it was the last one, or the input ends.
// It is the loop of every REPL: that of a terminal or a script, and that of PID 1 on a console without a shell.
func commandLoop(read func() (line string, ok bool), run func(words []string) (more bool), complain func(error)) {
	for more := true; more; {
		line, ok := read()
		if !ok {
			return
		}
		words, err := splitWords(line)
		if err != nil {
			complain(err)
			continue
		}
		if len(words) > 0 && words[0] == "zinit" {
			words = words[1:]
		}
		more = len(words) == 0 || run(words)
	}
}

// readPlain reads a line byte by byte, so that nothing is taken from a command that reads the same input.
func readPlain(f io.Reader) (string, bool) {
	var line []byte
	for b := make([]byte, 1); len(line) < 64<<10; {
		n, err := f.Read(b)
		switch {
		case n == 1 && b[0] == '\n':
			return strings.TrimSuffix(string(line), "\r"), true
		case n == 1:
			line = append(line, b[0])
		case err != nil:
			return string(line), len(line) > 0
		}
	}
	return string(line), true
}

const replPrompt = "zinit> "
