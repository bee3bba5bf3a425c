// logs_format_test.go tests how lines look in files and on the console.

//go:build !windows

package main

import "testing"

func TestFormats(t *testing.T) {
	data := []byte("a<b>\nc\xffd\n")
	for _, tc := range []struct {
		format  string
		console bool
		want    string
	}{
		{"prefix", true, "web | a<b>\nweb | c\xffd\n"},
		{"time", false, "2023-11-14T22:13:20.123Z stderr a<b>\n2023-11-14T22:13:20.123Z stderr c\xffd\n"},
		{"time", true, "web | 2023-11-14T22:13:20.123Z stderr a<b>\nweb | 2023-11-14T22:13:20.123Z stderr c\xffd\n"},
		{"json", true, `{"seq":7,"time_ms":1700000000123,"service":"web","stream":"stderr","text":"a<b>"}` + "\n" +
			`{"seq":8,"time_ms":1700000000123,"service":"web","stream":"stderr","text":"c` + "\ufffd" + `d"}` + "\n"},
	} {
		if got := string(formatLines(logFormat(tc.format), "web", tc.console, 1, 7, 1700000000123, data)); got != tc.want {
			t.Errorf("%s, console %v:\n%s\nwant\n%s", tc.format, tc.console, got, tc.want)
		}
	}
}
