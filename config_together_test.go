// config_together_test.go tests what keys mean together.

//go:build unix

package main

import (
	"strings"
	"testing"
	"time"
)

func TestStartTimeoutOfAOneshot(t *testing.T) {
	for _, row := range []struct {
		text string
		want time.Duration
		file string // what toml says about it
	}{
		{"exec = \"x\"", 30 * time.Second, ""},
		{"exec = \"x\"\noneshot = true", 0, ""},
		{"exec = \"x\"\noneshot = true\n[lifecycle]\nstart_timeout_ms = 30000", 30 * time.Second, "start_timeout_ms = 30000"},
		{"exec = \"x\"\n[lifecycle]\nstart_timeout_ms = 0", 0, "start_timeout_ms = 0"},
	} {
		c := good(t, "[service]\n"+row.text)
		if c.Lifecycle.StartTimeout != row.want {
			t.Errorf("%q: %v, want %v", row.text, c.Lifecycle.StartTimeout, row.want)
		}
		if text := string(c.toml()); row.file == "" && strings.Contains(text, "start_timeout") || !strings.Contains(text, row.file) {
			t.Errorf("%q is written as\n%s", row.text, text)
		}
		roundTrip(t, c)
	}
}

func TestWarnings(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"oneshot = true\n[lifecycle]\nrestart = \"always\"", "5:1: a oneshot with restart = \"always\" runs again for ever and never satisfies what requires it"},
		{"[lifecycle]\nrestart_delay_ms = 120000", "4:1: restart_delay_ms (120000) is more than restart_delay_max_ms (60000)"},
		{"[lifecycle]\nsuccess_codes = []", "4:1: with no success_codes every exit counts as a failure"},
		{"kill_others = true", "3:1: kill_others does nothing without process_filter"},
		{"dir = \"data\"", "3:1: `dir` is relative"},
		{"oneshot = true\ndir = \"/\"\n[limits]", ""},
	} {
		c, errs, warns := parseTOML([]byte("[service]\nexec = \"x\"\n"+row.text), "app.toml", "app")
		var got []string
		for _, w := range warns {
			got = append(got, w.String())
		}
		if c == nil || len(errs) > 0 {
			t.Errorf("%q is refused: %v", row.text, errs)
		}
		if row.want == "" && len(got) > 0 || row.want != "" && (len(got) != 1 || !strings.Contains(got[0], row.want)) {
			t.Errorf("%q warns %q, want %q", row.text, got, row.want)
		}
	}
}
