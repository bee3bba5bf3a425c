// supervisor_stop_test.go tests stop_exec with real processes: before the signal, and of a oneshot that has exited.

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// asking is a line of [lifecycle] with a stop_exec that obeys words.
func asking(words ...string) string {
	argv, _ := json.Marshal(childArgv(words...))
	return "[lifecycle]\nrestart = \"never\"\nstop_exec = " + string(argv) + "\n"
}

// TestSignalFollowsStopExec: what it says is in the log of the service, and what does not end of it gets the stop signal.
func TestSignalFollowsStopExec(t *testing.T) {
	unharmed(t, map[string]string{
		"deaf":  playing(waiting+asking("print=asked", "env=MAINPID", "eprint=and said"), "on=TERM:0", "block"),
		"fails": playing(waiting+asking("write=no end of a line", "exit=3"), "on=TERM:0", "block"),
		"slow":  playing(waiting+asking("on=TERM:0", "block")+"stop_timeout_ms = 300\n", "on=TERM:0", "block"),
	}, func(s *server) {
		s.ok("start", "deaf", "fails", "slow", "--wait")
		pid := s.status("deaf").PID
		s.ok("stop", "deaf", "fails", "slow", "--wait")
		for name, want := range map[string]state{"deaf": exited, "fails": exited, "slow": failed} {
			if st := s.status(name); st.State != want {
				t.Errorf("%s: %+v", name, st)
			}
		}
		says(t, s.ok("logs", "deaf"), "asked", fmt.Sprint("MAINPID=", pid), "and said")
		says(t, s.ok("logs", "fails"), "no end of a line")
		if r := s.status("slow").Reason; r == nil || r.Type != reasonStopTimeout {
			t.Errorf("a stop_exec that does not end in time: %+v", r)
		}
	})
}

// TestRow76_WhatAOneshotSetUpIsTakenDown: by a stop, by one that a server does not live to see the end of, and by a shutdown.
func TestRow76_WhatAOneshotSetUpIsTakenDown(t *testing.T) {
	dir := shortDir(t)
	up, held := filepath.Join(dir, "up"), filepath.Join(dir, "held")
	s := startServer(t, map[string]string{
		"mount": "[service]\noneshot = true\nexec = \"touch " + up + "\"\n[lifecycle]\nstop_exec = \"echo taking it down; while [ -e " + held + " ]; do sleep 0.01; done; rm -f " + up + "\"\n",
		"app":   playing("[dependencies]\nrequires = [\"mount\"]\n", "block"),
	})
	there := func(want bool) {
		t.Helper()
		if _, err := os.Stat(up); (err == nil) != want {
			t.Errorf("what the oneshot set up is there: %v, want %v", err == nil, want)
		}
	}
	s.is("running", "app")
	there(true)
	s.ok("stop", "mount", "--wait")
	there(false)
	s.is("exited", "mount")
	s.is("blocked", "app")
	says(t, s.ok("logs", "mount"), "taking it down")

	s.ok("start", "mount")
	s.is("running", "app")
	if err := os.WriteFile(held, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.ok("stop", "mount")
	s.is("stopping", "mount")
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.ended <- nil
	s.run()
	if st := s.status("mount"); st.State != stopping {
		t.Errorf("the next server: %+v", st)
	}
	there(true)
	_ = os.Remove(held)
	s.is("exited", "mount")
	there(false)

	s.ok("start", "mount")
	s.is("running", "app")
	there(true)
	s.stop()
	there(false)
	text, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
	if strings.Contains(string(text), "stop_exec of") {
		t.Errorf("stop_exec failed:\n%s", text)
	}
}
