// graph_depend_test.go tests with the real server what a service feels of the crash, the stop and the absence of what it depends on.

//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRow24_ConflictsNeverLiveTogether(t *testing.T) {
	port := strconv.Itoa(freePort(t))
	text := func(other string) string {
		return playing("[dependencies]\nconflicts = ["+other+"]\n[lifecycle]\nstop_timeout_ms = 50\n", "ignore=TERM", "listen="+port, "block")
	}
	unharmed(t, map[string]string{"one": text(`"two"`), "two": text("")}, func(s *server) {
		s.is("running", "one")
		s.is("blocked", "two")
		says(t, s.ok("why", "two"), "conflicts with one", "zinit stop one")
		for range 5 {
			s.ok("stop", "one")
			s.is("running", "two")
			s.ok("start", "one")
			s.ok("stop", "two")
			s.is("running", "one")
			s.ok("start", "two")
		}
		for _, name := range []string{"one", "two"} {
			if out := s.ok("logs", name, "-n", "1000"); strings.Contains(out, "in use") {
				t.Errorf("both lived at once:\n%s", out)
			}
		}
	})
}

// TestRow22_CrashSparesDependentsStopDoesNot is what TestStack shows with real programs.
func TestRow22_CrashSparesDependentsStopDoesNot(t *testing.T) {
	unharmed(t, map[string]string{
		"db":  playing("[lifecycle]\nrestart_delay_ms = 1\n", "block"),
		"app": playing("[dependencies]\nrequires = [\"db\"]\n", "block"),
	}, func(s *server) {
		s.is("running", "db", "app")
		db, app := s.status("db").PID, s.status("app").PID
		s.ok("kill", "db", "KILL")
		eventually(t, "db is back", func() bool { st := s.status("db"); return st.State == running && st.PID != db })
		if s.status("app").PID != app {
			t.Error("the crash of db touched app")
		}
		s.ok("stop", "db", "--wait")
		if st := s.status("app"); st.State != blocked || st.Wish != "up" || alive(app) {
			t.Errorf("db is stopped, app is %+v", st)
		}
		s.ok("start", "db")
		s.is("running", "app")
	})
}

// TestRow75_NothingStartsOnAnEmptyMountPoint: a service whose mount is absent waits for it, and says so; others do not.
func TestRow75_NothingStartsOnAnEmptyMountPoint(t *testing.T) {
	dir := filepath.Join(shortDir(t), "my data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := "[dependencies]\nmounts = [\"/proc\", \"" + dir + "\"]\n"
	unharmed(t, map[string]string{"app": playing(waiting+text, "block")}, func(s *server) {
		if out, code := s.zinit("start", "app", "--wait"); code != 3 || !strings.Contains(out, "mount "+dir) {
			t.Errorf("start: exit code %d\n%s", code, out)
		}
		says(t, s.ok("why", "app"), dir+" is not a mount point", "mount it")
		if st := s.status("app"); st.State != blocked || len(st.BlockedBy) != 1 || st.BlockedBy[0] != "mount "+dir {
			t.Errorf("without the mount: %+v", st)
		}
		if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
			skip(t, "mounting a tmpfs needs CAP_SYS_ADMIN")
		}
		t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
		s.is("running", "app")
		s.ok("stop", "app", "--wait")
	})
}

// TestRow81_BoundServicesEndWithTheOther: what is bound to a service that crashes is stopped and comes back with it; what only requires it keeps running.
func TestRow81_BoundServicesEndWithTheOther(t *testing.T) {
	slow := "[lifecycle]\nrestart_delay_ms = 100000\n"
	unharmed(t, map[string]string{
		"vm":      playing(waiting+slow, "block"),
		"inside":  playing(waiting+"[dependencies]\nbinds = [\"vm\"]\n", "block"),
		"user":    playing(waiting+"[dependencies]\nrequires = [\"inside\"]\n", "block"),
		"outside": playing(waiting+"[dependencies]\nrequires = [\"vm\"]\n", "block"),
	}, func(s *server) {
		s.ok("start", "vm", "inside", "user", "outside", "--wait")
		pids := map[string]int{}
		for _, n := range []string{"vm", "inside", "user", "outside"} {
			pids[n] = s.status(n).PID
		}
		s.ok("kill", "vm", "KILL")
		s.is("blocked", "inside")
		says(t, s.ok("why", "inside"), "is bound to vm, which is failed")
		s.ok("start", "vm")
		eventually(t, "all are back", func() bool {
			for n, pid := range pids {
				if st := s.status(n); st.State != running || (st.PID == pid) != (n == "outside") || st.Wish != "up" {
					return false
				}
			}
			return true
		})
		says(t, s.ok("tree", "inside"), "`- vm (running)")
		s.ok("stop", "vm", "--wait")
		for _, n := range []string{"inside", "user", "outside"} {
			if st := s.status(n); st.State != blocked || st.Wish != "up" {
				t.Errorf("after the stop of vm: %+v", st)
			}
		}
	})
}
