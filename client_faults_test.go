// client_faults_test.go tests that control characters of services are shown by the client, never obeyed by a terminal.

//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRow36_EscapesOfServicesAreShownNotObeyed(t *testing.T) {
	unharmed(t, map[string]string{
		"evil": playing("description = \"\\u001b]0;owned\\u0007\"\n", "print=\x1b[2J\x1b]52;c;cm0gLXJmIC8=\x07red\rfake", "exit=1"),
		"file": "[service]\nexec = \"/no/\\u001b[31msuch\"\n" + once,
	}, func(s *server) {
		s.is("failed", "evil", "file")
		eventually(t, "its line is there", func() bool { return strings.Contains(s.ok("logs", "evil"), "fake") })
		for _, words := range [][]string{{"logs", "evil"}, {"status", "evil"}, {"status", "file"}, {"list"}, {"why", "file"}, {"tree"}, {"start", "\x1b[31m"}, {"get", "evil"}} {
			if out, _ := s.zinit(words...); strings.ContainsAny(out, "\x1b\x07\r") {
				t.Errorf("zinit %q: %q", words, out)
			}
		}
		log, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
		if strings.ContainsAny(string(log), "\x1b\x07\r") {
			t.Errorf("the server's log: %q", log)
		}
	})
}
