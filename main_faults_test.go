// main_faults_test.go is what tests of faults share: services that obey words, and a server that must hold no more after a fault than before.

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// playing is the file of a service that obeys words (see childArgv). more goes behind exec: keys of [service] first, then sections.
func playing(more string, words ...string) string { return "[service]\n" + execOf(words...) + more }

func execOf(words ...string) string {
	argv, _ := json.Marshal(childArgv(words...))
	return "exec = " + string(argv) + "\n"
}

const (
	waiting = "status = \"stop\"\n" // the test starts it
	once    = "[lifecycle]\nrestart = \"never\"\n"
)

// holdings is what a server has in its hands. Threads are not counted: the runtime keeps those that it once made.
type holdings struct{ fds, goroutines, children, zombies, files int }

// holds looks at the server over one connection, which counts too.
func (s *server) holds(c *testClient) holdings {
	s.t.Helper()
	var h holdings
	var state struct{ Text string }
	if err := json.Unmarshal(c.call("debug.state", "[]"), &state); err != nil {
		s.t.Fatal(err)
	}
	at := strings.LastIndex(state.Text[:strings.Index(state.Text, " goroutines")], "\n") + 1
	if _, err := fmt.Sscanf(state.Text[at:], "%d goroutines, %d descriptors", &h.goroutines, &h.fds); err != nil {
		s.t.Fatalf("%v in %s", err, state.Text)
	}
	pid := s.cmd.Process.Pid
	_ = filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == "services" {
			return filepath.SkipDir
		}
		h.files++
		return nil
	})
	for _, child := range sysChildren(nil, pid) {
		h.children++
		if st, err := readStat(child); err == nil && st.dead() {
			h.zombies++
		}
	}
	return h
}

// unharmed runs a fault on a server that also runs `bystander`. Afterwards the bystander must have its pid, and the server, once
// everything else is stopped, hold no more than before.
func unharmed(t *testing.T, services map[string]string, fault func(s *server)) {
	t.Helper()
	all := map[string]string{"bystander": playing("", "print=here", "block")}
	for name, text := range services {
		all[name] = text
	}
	unharmedServer(startServer(t, all), 0, fault)
}

// unharmedServer is unharmed for a server that runs already. It may keep spare descriptors for later.
func unharmedServer(s *server, spare int, fault func(s *server)) {
	t := s.t
	t.Helper()
	s.is("running", "bystander")
	c, pid := s.dial(), s.status("bystander").PID
	before, same := s.holds(c), 0
	eventually(t, "the server is at rest", func() bool {
		now := s.holds(c)
		if same++; now != before {
			before, same = now, 0
		}
		return same == 20
	})
	s.dialed = nil
	fault(s)
	for _, conn := range s.dialed {
		conn.Close()
	}
	for line := range strings.Lines(s.ok("--json", "list")) {
		var list []serviceStatusFull
		if err := json.Unmarshal([]byte(line), &list); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		for _, st := range list {
			if st.Name != "bystander" {
				s.ok("stop", st.Name, "--wait")
			}
		}
	}
	if now := s.status("bystander"); now.PID != pid || now.State != running {
		t.Errorf("the bystander was %d, and is %+v", pid, now)
	}
	var after holdings
	end := time.Now().Add(patience)
	for tick := time.NewTicker(5 * time.Millisecond); time.Now().Before(end); <-tick.C {
		if after = s.holds(c); after.fds <= before.fds+spare && after.goroutines <= before.goroutines && after.children <= before.children && after.zombies == 0 && after.files <= before.files {
			return
		}
	}
	fds, _ := exec.Command("ls", "-l", fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid)).Output()
	_ = s.cmd.Process.Signal(syscall.SIGQUIT) // its log gets the stacks of all goroutines
	t.Errorf("the server held %+v before, %+v after\n%s", before, after, fds)
}

// memoryPeak is VmHWM of proc(5), in bytes.
func memoryPeak(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}
