// text_test.go tests how foreign text is shown and how the word that was meant is found.

//go:build unix

package main

import (
	"strings"
	"testing"
)

func TestRow36_ForeignTextIsMadeVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain\tä ☃": "plain\tä ☃", "\x1b[31mred": "^[[31mred", "a\x00b\x07\x7f": `a^@b^G^?`, "a\r\nb": `a\r\nb`,
		"\u009b31m": `\u009b31m`, "\u202eabc": `\u202eabc`, "\xff\xc3": `\xff\xc3`, "": "",
	} {
		if got := visible(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"exec", "env", "env_file", "start_timeout_ms", "database", "data"}
	for word, want := range map[string]string{
		"exce": "exec", "EXEC": "exec", "env-file": "env_file", "start_timeout": "start_timeout_ms", "databse": "database", "dat": "data", "x": "", "zzzz": "", "": "", "start": "start_timeout_ms",
		strings.Repeat("x", 5000): "",
	} {
		if got := nearest(word, keys); got != want {
			t.Errorf("nearest to %.20q is %q, want %q", word, got, want)
		}
	}
}
