// logs_format.go splits, cleans and formats lines; it keeps nothing.

//go:build !windows

package main

import (
	"bytes"
	"time"
	"unicode/utf8"
)

const (
	maxLine  = 16 << 10 // longer lines are split
	maxPlain = 1 << 20  // … those on a plain console here
)

// validText makes text fit for JSON: every byte that is no UTF-8 becomes U+FFFD.
func validText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return string([]rune(string(b)))
}

// cutLine is the length of the first piece of a line that is longer than most: no UTF-8 sequence is torn.
func cutLine(b []byte, most int) int {
	for n := most; n > most-utf8.UTFMax; n-- {
		if utf8.RuneStart(b[n]) {
			return n
		}
	}
	return most
}

// cutLong adds the pieces of a line that is too long to out, each with a newline, and returns what is left.
func cutLong(out, line []byte, most int) (pieces, rest []byte) {
	for len(line) > most {
		n := cutLine(line, most)
		out = append(append(out, line[:n]...), '\n')
		line = line[n:]
	}
	return out, line
}

// splitLong returns complete lines with a newline put in wherever one is longer than most; data itself when none is.
func splitLong(data []byte, most int) []byte {
	for rest := data; len(rest) > most; {
		i := bytes.LastIndexByte(rest[:most+1], '\n')
		if i >= 0 {
			rest = rest[i+1:]
			continue
		}
		var out []byte
		for line := range bytes.Lines(data) {
			out, line = cutLong(out, line[:len(line)-1], most)
			out = append(append(out, line...), '\n')
		}
		return out
	}
	return data
}

func isLineFormat(format logFormat) bool { return format == formatTime || format == formatJSON }

// formatLines turns complete lines into those of a file or, with the name in front, of the console. A line in the json format stays pure JSON: it has the name inside.
func formatLines(format logFormat, name string, console bool, stream uint8, seq uint64, ms int64, data []byte) []byte {
	out := make([]byte, 0, len(data)+64)
	prefix := ""
	if console {
		prefix = name + " | "
	}
	if format == formatTime {
		prefix += time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00") + " " + string(streams[stream]) + " "
	}
	for line := range bytes.Lines(data) {
		if format == formatJSON {
			out = append(appendJSON(out, &logLine{seq, ms, name, streams[stream], validText(line[:len(line)-1])}), '\n')
		} else {
			out = append(append(out, prefix...), line...)
		}
		seq++
	}
	return out
}
