// term_test.go checks that keys are decoded, that a stop from outside gives the terminal back, and that errors are folded to its width.

//go:build linux

package main

import (
	"syscall"
	"testing"
)

func TestKeysOfTerminals(t *testing.T) {
	for _, c := range []struct {
		typed string
		want  key
		used  int // when more may follow
	}{
		{"a", key{code: 'a'}, 1}, {"é", key{code: 'é'}, 2}, {"\xc3", key{code: keyNone}, 0}, {"\xff", key{code: keyNone}, 1},
		{"\x1b", key{code: keyEscape}, 0}, {"\x1b\x1b", key{code: keyEscape}, 1}, {"\x1b[", key{code: keyNone}, 0}, {"\x1bO", key{code: 'O', alt: true}, 0},
		{"\x1b[A", key{code: keyUp}, 3}, {"\x1bOB", key{code: keyDown}, 3}, {"\x1b[[A", key{code: keyUp}, 4},
		{"\x1b[1;5C", key{code: keyWordRight}, 6}, {"\x1b[1;3D", key{code: keyWordLeft}, 6}, {"\x1b[1;2D", key{code: keyLeft}, 6},
		{"\x1b[H", key{code: keyHome}, 3}, {"\x1b[4~", key{code: keyEnd}, 4}, {"\x1b[3~", key{code: keyDelete}, 4}, {"\x1b[5;5~", key{code: keyPageUp}, 6},
		{"\x1b[6~", key{code: keyPageDown}, 4}, {"\x1b[24~", key{code: keyNone}, 5}, {"\x1bb", key{code: 'b', alt: true}, 2}, {"\x1b\x7f", key{code: keyBackspace, alt: true}, 2},
	} {
		if _, used := decodeKey([]byte(c.typed), false); used != c.used {
			t.Errorf("%q: %d bytes taken, want %d", c.typed, used, c.used)
		}
		if k, used := decodeKey([]byte(c.typed), true); k != c.want || used == 0 {
			t.Errorf("%q at the end: %v (%d bytes), want %v", c.typed, k, used, c.want)
		}
	}
}

// A SIGTSTP from elsewhere is obeyed as Ctrl-Z is: the terminal is as it was while the process is stopped, and shows everything again when
// it is continued. The line editor does the same, and so does what runs within it.
func TestStopFromOutside(t *testing.T) {
	s := tuiServer(t)
	for _, c := range []struct{ command, typed, shows, after, leave string }{
		{"tui", "", "> db", "> db", "q"},
		{"repl", "half a li", "zinit> half a li", "zinit> half a li", "\x15exit\r"},
		{"repl", "tui\r", "> db", "> db", "q"},
		{"repl", "monitor\r", "zinit> monitor", "", "\x03exit\r"},
	} {
		p := openTTY(t, 80, 24, nil, "/bin/sh", "-mc", `"$@"; echo shell; read line; fg; echo end`, "sh", zinitBinary(t), "--socket", s.path, c.command)
		if c.command == "repl" {
			p.shows("zinit>")
		}
		p.keys(c.typed)
		p.shows(c.shows)
		pid := p.onlyChild()
		if c.after == "" {
			eventually(t, "the command runs", func() bool { return *p.modes() == *p.before })
		}
		if err := syscall.Kill(pid, syscall.SIGTSTP); err != nil {
			t.Fatal(err)
		}
		p.shows("shell")
		if *p.modes() != *p.before {
			t.Errorf("%s: stopped, and the keyboard is not given back", c.command)
		}
		if c.shows == "> db" {
			p.shows("!> db")
		}
		p.keys("\n")
		eventually(t, "it is continued", func() bool { st, err := readStat(pid); return err == nil && st.State != 'T' })
		if p.shows(c.after); c.after != "" {
			eventually(t, "the keyboard is taken again", func() bool { return *p.modes() != *p.before })
		}
		if c.after == "zinit> half a li" {
			p.keys("st")
			p.shows("half a list")
		}
		p.keys(c.leave)
		if c.typed == "tui\r" {
			p.shows("\nzinit>\n")
			p.keys("exit\r")
		}
		p.shows("end")
		p.leaves(exitDone)
	}
}

// Errors at a terminal are broken between words; elsewhere they are one line.
func TestErrorsAreBrokenBetweenWords(t *testing.T) {
	for cols, want := range map[int]string{40: "zinit: bad --since `x`: such as 10m,\n14:30, 2026-01-31 or \"2026-01-31 14:30\"\nhint: usage: zinit logs [NAME...]\n[FLAG...]\n",
		80: "zinit: bad --since `x`: such as 10m, 14:30, 2026-01-31 or \"2026-01-31 14:30\"\nhint: usage: zinit logs [NAME...] [FLAG...]\n"} {
		s := fakeServe(t, nil)
		p := openTTY(t, cols, 24, nil, zinitBinary(t), "--socket", s.path, "logs", "--since", "x")
		p.is(want)
		p.leaves(exitUsage)
	}
}
