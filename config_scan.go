// config_scan.go finds where every key and value of a TOML text stands, and bounds what the text may ask of us; what the text means, and whether it is TOML at all, is for the library.

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// place is where a key and its value stand in the text, as byte offsets.
type place struct{ key, value int }

// pathKey is the path of keys as an index of scanner.places.
func pathKey(parts ...string) string { return strings.Join(parts, "\x00") }

// scanner walks through a text. Up to the first mistake it sees what the library sees; behind it the places mean nothing, and the library does not get there.
type scanner struct {
	text    string
	at      int
	places  map[string]place
	tooMuch string // the text exceeds a bound, at `at`
}

func (s *scanner) done() bool { return s.at >= len(s.text) || s.tooMuch != "" }

// take steps over one character, if it is this one.
func (s *scanner) take(c byte) bool {
	if s.at >= len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

// skip steps over what cannot be here, which is a mistake for the library to explain.
func (s *scanner) skip() { s.at = min(s.at+1, len(s.text)) }

// blank skips spaces, line ends and comments.
func (s *scanner) blank() {
	for !s.done() {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		case '#':
			s.until("\n")
		default:
			return
		}
	}
}

// until goes to the next of these characters.
func (s *scanner) until(chars string) {
	if s.tooMuch != "" {
		return
	}
	if n := strings.IndexAny(s.text[s.at:], chars); n >= 0 {
		s.at += n
	} else {
		s.at = len(s.text)
	}
}

// file scans headers and pairs.
func (s *scanner) file() {
	var section []string
	for s.blank(); !s.done(); s.blank() {
		start := s.at
		if !s.take('[') {
			s.pair(section, 0)
			continue
		}
		s.take('[')
		section = s.key(nil)
		s.note(section, start, start)
		s.until("]\n")
		if s.take(']') {
			s.take(']')
		}
	}
}

// note remembers a place and counts it. The first place of a path stays: there the table was opened.
func (s *scanner) note(path []string, key, value int) {
	if s.tooMuch == "" && len(s.places) >= maxFileValues {
		s.tooMuch = fmt.Sprintf("the file has more than %d keys and values", maxFileValues)
	}
	for n := 1; n <= len(path) && s.tooMuch == ""; n++ {
		at := pathKey(path[:n]...)
		if _, known := s.places[at]; !known {
			s.places[at] = place{key, value}
		}
	}
}

// key reads a bare, quoted or dotted key and appends its parts to base.
func (s *scanner) key(base []string) []string {
	path := slices.Clone(base)
	for !s.done() {
		s.blank()
		start := s.at
		s.word(" \t\r\n.=]}#", false)
		part := s.text[start:s.at]
		if plain, err := strconv.Unquote(part); err == nil && part[0] == '"' {
			part = plain
		} else {
			part = strings.Trim(part, `'"`)
		}
		path = append(path, part)
		switch {
		case len(part) > maxKeyBytes:
			s.tooMuch = fmt.Sprintf("the key is longer than %d bytes", maxKeyBytes)
		case len(path) > maxFileDepth:
			s.tooMuch = fmt.Sprintf("tables are nested more than %d deep", maxFileDepth)
		}
		s.blank()
		if !s.take('.') {
			break
		}
	}
	return path
}

func (s *scanner) pair(base []string, depth int) {
	start := s.at
	path := s.key(base)
	if !s.take('=') {
		s.skip()
		return
	}
	s.blank()
	s.note(path, start, s.at)
	s.value(path, depth)
}

// value skips one value and notes the elements of lists and the keys of tables in it.
func (s *scanner) value(path []string, depth int) {
	if depth > maxFileDepth && s.tooMuch == "" {
		s.tooMuch = fmt.Sprintf("lists and tables are nested more than %d deep", maxFileDepth)
	}
	switch {
	case s.done():
	case s.take('['):
		for i := 0; s.another(']'); i++ {
			element := append(slices.Clone(path), strconv.Itoa(i))
			s.note(element, s.at, s.at)
			s.value(element, depth+1)
		}
	case s.take('{'):
		for s.another('}') {
			s.pair(path, depth+1)
		}
	default:
		start := s.at
		if s.word(",]}#\n", true); s.at == start {
			s.skip()
		}
	}
}

// another goes to the next element of a list or table; false at its end.
func (s *scanner) another(end byte) bool {
	s.blank()
	if s.take(',') {
		s.blank()
	}
	return !s.done() && !s.take(end)
}

// word skips a string of one of the four sorts, or a bare word that ends before one of these characters; multi says that strings of three quotes may come.
func (s *scanner) word(end string, multi bool) {
	if s.done() || s.text[s.at] != '"' && s.text[s.at] != '\'' {
		s.until(end)
		return
	}
	mark := s.text[s.at : s.at+1]
	if triple := strings.Repeat(mark, 3); multi && strings.HasPrefix(s.text[s.at:], triple) {
		mark = triple
	}
	for s.at += len(mark); s.at < len(s.text); s.at++ {
		switch {
		case s.text[s.at] == '\\' && mark[0] == '"':
			s.at++
		case strings.HasPrefix(s.text[s.at:], mark):
			s.at += len(mark)
			for n := 0; len(mark) == 3 && n < 2 && s.take(mark[0]); n++ { // up to two quotes may stand before the closing three
			}
			return
		case s.text[s.at] == '\n' && len(mark) == 1:
			return // a mistake
		}
	}
	s.at = len(s.text)
}
