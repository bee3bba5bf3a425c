// client_system_test.go is the manual of the commands that end a server.

//go:build unix

package main

import (
	"fmt"
	"os"
	"testing"
)

// Silence is no answer: only a connection that the server ends says that it goes down.
func TestGoingDown(t *testing.T) {
	for _, verb := range []string{"shutdown", "poweroff", "reboot", "halt"} {
		s := fakeServe(t, map[string]string{"system." + verb: ""})
		r := s.via(t, "--timeout", "50", verb).exits(t, exitNoServer)
		says(t, r.err, "does not answer within 50ms", fmt.Sprintf("kill -TERM %d", os.Getpid()))
		s = fakeServe(t, map[string]string{"system." + verb: "EOF"})
		s.via(t, verb).exits(t, exitDone)
		s = fakeServe(t, map[string]string{"system." + verb: `{"ok":true}`})
		says(t, s.via(t, "--timeout", "50", verb).exits(t, exitRefused).err, "still runs after 50ms")
		s = fakeServe(t, map[string]string{"system." + verb: "{\"ok\":true}\nnote nonsense"})
		s.via(t, verb).exits(t, exitNoServer)
	}
}
