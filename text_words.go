// text_words.go splits a line into words as a shell does, with quotes and escapes and nothing else. It expands nothing.

package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// splitWords splits a line that no shell sees by the quoting rules of splitExec; what only a shell could do stands for itself.
func splitWords(line string) ([]string, error) {
	s := splitLine(line)
	return s.argv, s.err
}

func splitLine(line string) *splitter {
	s := &splitter{line: line}
	for s.at < len(line) && s.err == nil {
		s.next()
	}
	s.endWord()
	return s
}

// splitter is the state of splitExec between two characters.
type splitter struct {
	line    string
	at      int
	argv    []string
	word    strings.Builder
	inWord  bool
	literal bool // something of the word was quoted, so that it is no VAR=value any more
	newline bool // a line end outside quotes since the last word
	shell   bool
	pipe    bool // … because of | outside quotes
	err     error
}

func (s *splitter) put(c byte) {
	s.beginWord()
	s.word.WriteByte(c)
}

// beginWord notes that a word has begun. Line ends separate commands, but only if a word stands on both sides.
func (s *splitter) beginWord() {
	s.shell = s.shell || s.newline && len(s.argv) > 0
	s.inWord, s.newline = true, false
}

func (s *splitter) endWord() {
	if s.inWord {
		s.argv = append(s.argv, s.word.String())
	}
	s.word.Reset()
	s.inWord, s.literal = false, false
}

// next consumes one character outside quotes, or a whole quoted part.
func (s *splitter) next() {
	c := s.line[s.at]
	s.at++
	switch c {
	case ' ', '\t':
		s.endWord()
	case '\n':
		s.endWord()
		s.newline = true
	case '\\':
		s.escape()
	case '\'', '"':
		s.quote(c)
	case '|', '&', ';', '<', '>', '(', ')', '$', '*', '?', '[', ']', '{', '}', '~', '#', '!', '`':
		s.shell = true
		s.put(c)
		if c == '|' && s.at < len(s.line) && s.line[s.at] == '|' { // ||, which is no pipe
			s.put(c)
			s.at++
		} else if c == '|' {
			s.pipe = true
		}
	case '=':
		if len(s.argv) == 0 && !s.literal && isVariable(s.word.String()) {
			s.shell = true
		}
		s.put(c)
	default:
		s.put(c)
	}
}

// escape handles a backslash outside quotes: the next character is itself, and a line end vanishes.
func (s *splitter) escape() {
	if s.at >= len(s.line) {
		s.err = fmt.Errorf("the backslash at character %d, the last one, escapes nothing; write \\\\ for a backslash", s.character(s.at-1))
		return
	}
	if c := s.line[s.at]; c != '\n' {
		s.literal = true
		s.put(c)
	}
	s.at++
}

// quote handles a quoted part. Between single quotes nothing is special; between double quotes $ and ` still need a shell, and a
// backslash escapes only $ ` " \ and the line end.
func (s *splitter) quote(mark byte) {
	start := s.at - 1
	s.beginWord()
	s.literal = true
	for s.at < len(s.line) {
		c := s.line[s.at]
		s.at++
		switch {
		case c == mark:
			return
		case mark == '"' && (c == '$' || c == '`'):
			s.shell = true
		case mark == '"' && c == '\\' && s.at < len(s.line) && strings.IndexByte("$`\"\\\n", s.line[s.at]) >= 0:
			c = s.line[s.at]
			s.at++
			if c == '\n' {
				continue
			}
		}
		s.word.WriteByte(c)
	}
	name := map[byte]string{'"': "double", '\'': "single"}[mark]
	s.err = fmt.Errorf("the %s quote at character %d is never closed", name, s.character(start))
}

func (s *splitter) character(offset int) int { return 1 + utf8.RuneCountInString(s.line[:offset]) }
