// term_edit_test.go checks that keys edit a line, and that what is shown of it fits the screen.

//go:build linux

package main

import "testing"

func TestLineEditing(t *testing.T) {
	const up, left, right, home, end, del = "\x1b[A", "\x1b[D", "\x1b[C", "\x1b[H", "\x1b[F", "\x1b[3~"
	for _, c := range []struct{ typed, want string }{
		{"abc", "abc|"}, {"abc" + left + "x", "abx|c"}, {"abc" + home + del + right + "\x7f", "|c"}, {"abc" + home + "\x04", "|bc"},
		{"one two\x17", "one |"}, {"one two\x17\x17\x19\x19", "one one |"}, {"one two\x01\x0b\x19!", "one two!|"}, {"one two\x1bb\x15", "|two"},
		{"one-two\x1b\x7f", "one-|"}, {"one-two\x1bb\x1bbx\x1bfy", "xoney|-two"}, {"one two" + home + "\x1bd", "| two"}, {"a b\x1b[1;5D\x1b[1;5Dc" + end, "ca b|"},
		{"e\u0301x" + left + left + "y", "y|e\u0301x"}, {"日本" + left + "\x7f", "|本"}, {"e\u0301\x7f", "|"},
		{up, "logs web|"}, {up + up, "status db|"}, {up + up + up + up, "list|"}, {"new" + up + "\x1b[B", "new|"}, {up + "x" + up, "status db|"},
		{"\x12sta", "|status db"}, {"\x12s\x12", "|status db"}, {"\x12s" + end + "!", "logs web!|"}, {"\x12zzz", "|"}, {"\x12list\x7f\x7f\x7f\x1b", "|logs web"}, {"new" + left + "\x12list\x07!", "ne!|w"},
	} {
		e := &editor{history: []string{"list", "status db", "logs web"}}
		e.begin()
		for b := []byte(c.typed); len(b) > 0; {
			k, n := decodeKey(b, true)
			b = b[n:]
			if act := e.key(k); act != editMore {
				t.Errorf("%q: %v is no editing", c.typed, k)
			}
		}
		if got := string(e.text[:e.at]) + "|" + string(e.text[e.at:]); got != c.want {
			t.Errorf("%q makes %q, want %q", c.typed, got, c.want)
		}
		for cols := 3; cols < 30; cols++ { // whatever is shown fits, with the cursor
			v := newVT(cols, 2)
			v.write([]byte(e.draw(replPrompt, cols)))
			if v.y != 0 {
				t.Errorf("%q at %d columns: wrapped", c.typed, cols)
			}
		}
	}
}
