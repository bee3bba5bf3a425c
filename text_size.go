// text_size.go writes durations, times and sizes for people, and measures, cuts and wraps text by the columns of a terminal; it knows nothing of services.

package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

func millis(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// span is a duration for people: "850ms", "1.25s", "42s", "3m 12s", "2h 5m", "4d 3h".
func span(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s < 1:
		return fmt.Sprintf("%dms", max(0, d.Milliseconds()))
	case s < 10:
		return d.Truncate(10 * time.Millisecond).String()
	case s < 60:
		return d.Truncate(100 * time.Millisecond).String()
	case s < 3600:
		return fmt.Sprintf("%dm %ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh %dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd %dh", s/86400, s/3600%24)
}

// clock is a time of the server in the time zone of whoever looks; 0 is never.
func clock(ms int64, layout string) string {
	if ms == 0 {
		return "never"
	}
	return time.UnixMilli(ms).Format(layout)
}

// size is a number of bytes as people say it, in powers of 1024: "512B", "1.5M".
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	f, unit := float64(n), 0
	for f >= 1023.95 && unit < 5 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f%c", f, " KMGTP"[unit])
}

// columns is how wide a text is on a terminal: 2 for wide East Asian characters and emoji, 0 for marks that combine.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

// wide holds the ranges that terminals draw two columns wide (East Asian Width W and F of UAX #11, emoji).
var wide = [...][2]rune{{0x1100, 0x115f}, {0x231a, 0x231b}, {0x2e80, 0x303e}, {0x3041, 0xa4cf}, {0xa960, 0xa97c}, {0xac00, 0xd7a3},
	{0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff01, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd}}

func runeColumns(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	for _, w := range wide {
		if r >= w[0] && r <= w[1] {
			return 2
		}
	}
	return 1
}

// cut shortens a text to n columns and marks that it did.
func cut(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	if strings.TrimSpace(s) == "" || n < 1 {
		return s[:min(n, len(s))]
	}
	used := 0
	for i, r := range s {
		if used+runeColumns(r) > n-1 {
			return s[:i] + "…"
		}
		used += runeColumns(r)
	}
	return s
}

// wrap joins words by spaces to lines of at most width columns.
func wrap(words []string, width int) []string {
	var lines []string
	for _, w := range words {
		if n := len(lines); n > 0 && len(lines[n-1])+1+len(w) <= width {
			lines[n-1] += " " + w
			continue
		}
		lines = append(lines, w)
	}
	return lines
}

// fold breaks a text into lines of at most so many columns, at spaces where that is not wasteful. What it goes on with is indented as it began.
func fold(s string, width int) []string {
	s = strings.ReplaceAll(visible(s), "\t", "    ")
	width = max(width, 2)
	indent := s[:len(s)-len(strings.TrimLeft(s, " "))]
	if len(indent) > width/2 {
		indent = ""
	}
	var lines []string
	for columns(s) > width {
		used, space, end := 0, -1, len(s)
		for i, r := range s {
			if used += runeColumns(r); used > width {
				end = i
				if r == ' ' {
					space = i
				}
				break
			}
			if r == ' ' && used > width/2 {
				space = i
			}
		}
		if space > 0 {
			end = space
		}
		lines = append(lines, s[:end])
		s = indent + strings.TrimPrefix(s[end:], " ")
	}
	return append(lines, s)
}
