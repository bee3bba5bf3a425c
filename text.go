// text.go writes text for people: foreign text made visible, quoted and shortened, the word that was probably meant, lists of words; it knows nothing of services.

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"
)

// visible makes everything in foreign text that could command a terminal or mislead the eye readable instead: control
// characters as ^[ (that is ESC), direction overrides as \u202e, bytes that are no UTF-8 as \xff. Tabs and all other text stay.
func visible(s string) string {
	hidden := func(r rune) bool {
		return r >= 0x7f && r < 0xa0 || r >= 0x200e && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff
	}
	i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f })
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:i])
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < ' ' && r != '\t' || r == 0x7f:
			b.WriteString("^" + string(r^0x40))
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case hidden(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// quoted is foreign text inside a message.
func quoted(s string) string { return `"` + visible(shorten(s)) + `"` }

// shorten keeps a message readable when what it is about is long.
func shorten(s string) string {
	const most = 80
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i] + "…"
		}
	}
	return s
}

func quotedList(words []string) string { return `"` + strings.Join(words, `", "`) + `"` }

func bracketList(words []string) string { return "[" + strings.Join(words, "], [") + "]" }

// orList is a list for people: "start, stop or ignore".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// plural is a number of things: "1 line", "3 processes".
func plural(n int, what string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(what, "s"):
		what += "es"
	default:
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// pairOf is the second word of the pair that begins with key, or "".
func pairOf(pairs [][2]string, key string) string {
	for _, p := range pairs {
		if p[0] == key {
			return p[1]
		}
	}
	return ""
}

// isVariable says whether a word can be the name of a shell variable (POSIX XBD 3.216).
func isVariable(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// reasonOf is the error without the path that the complaint already names.
func reasonOf(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// nearest is the word that was probably meant: the same but for case and separators, the closest by typing errors (a third of the letters
// at most), or the shortest that begins with it; "" when nothing is near.
func nearest(word string, among []string) string {
	plain := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }
	w := plain(word)
	if w == "" || len(w) > 256 {
		return ""
	}
	best, bestDistance := "", max(1, len(w)/3)+1
	for _, candidate := range among {
		c := plain(candidate)
		if len(c)-len(w) >= bestDistance || len(w)-len(c) >= bestDistance {
			continue
		}
		if d := typingErrors(w, c); d < bestDistance && d < len(c) {
			best, bestDistance = candidate, d
		}
	}
	if best != "" || len(w) < 3 {
		return best
	}
	for _, candidate := range among {
		c := plain(candidate)
		begins := strings.HasPrefix(c, w) || len(c) > 3 && strings.HasPrefix(w, c)
		if begins && (best == "" || len(candidate) < len(best)) {
			best = candidate
		}
	}
	return best
}

// typingErrors counts the letters to insert, drop, replace or swap with their neighbour that make a into b (optimal string alignment).
func typingErrors(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// linesOf are the lines of a text, without empty ones at its end.
func linesOf(text string) []string {
	return strings.Split(strings.TrimRight(text, "\n"), "\n")
}

// sortedKeys are the keys of a table in the order of their letters.
func sortedKeys[K ~string, V any](table map[K]V) []K {
	keys := make([]K, 0, len(table))
	for k := range table {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// errnoOf strips the path and the call from an error of package os.
func errnoOf(err error) error {
	if errno, is := errors.AsType[syscall.Errno](err); is {
		return errno
	}
	return err
}
