// text_size_test.go tests how durations, sizes and widths are written.

package main

import (
	"strings"
	"testing"
	"time"
)

func TestDurationsSizesAndColumns(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0ms", 850 * time.Millisecond: "850ms", 42 * time.Second: "42s", 192 * time.Second: "3m 12s",
		2*time.Hour + 5*time.Minute + time.Second: "2h 5m", 99 * time.Hour: "4d 3h"} {
		if got := span(d); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1024: "1.0K", 1048575: "1.0M", 1572864: "1.5M", 5 << 40: "5.0T"} {
		if got := size(n); got != want {
			t.Errorf("%d bytes are written %s, want %s", n, got, want)
		}
	}
	for s, want := range map[string]int{"": 0, "abc": 3, "日本": 4, "e\u0301": 1, "🙂": 2, "ä": 1} {
		if got := columns(s); got != want {
			t.Errorf("%q has %d columns, want %d", s, got, want)
		}
	}
	for n, want := range map[int]string{5: "日本…", 4: "日…"} {
		if got := cut("日本語", n); got != want {
			t.Errorf("cut to %d columns: %s, want %s", n, got, want)
		}
	}
}

func TestFoldKeepsWords(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"short", 10, "short"},
		{"some words here", 10, "some words|here"},
		{"some words here", 7, "some|words|here"},
		{"abcdefghij", 4, "abcd|efgh|ij"},
		{"  indented text goes on", 12, "  indented|  text goes|  on"},
		{"日本語日本語", 5, "日本|語日|本語"},
		{"\x1b[1m", 80, "^[[1m"},
		{"", 5, ""},
	} {
		if got := strings.Join(fold(c.text, c.width), "|"); got != c.want {
			t.Errorf("fold(%q, %d) = %q, want %q", c.text, c.width, got, c.want)
		}
	}
}
