// supervisor_adopt_faults_test.go tests servers that were killed or replaced: the next one goes on with the services.

//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRow39_AKilledServerIsFollowedByOneThatAdopts: no service is stopped or started twice by that, what they print meanwhile is kept,
// and an end that nobody saw counts as a failure without a code.
func TestRow39_AKilledServerIsFollowedByOneThatAdopts(t *testing.T) {
	flag := filepath.Join(shortDir(t), "flag")
	s := startServer(t, map[string]string{
		"lives": playing("", "print=before", "await="+flag, "print=meanwhile", "block"),
		"ends":  playing(once, "await="+flag, "exit=0"),
		"down":  playing(waiting, "block"),
	})
	s.is("running", "lives", "ends")
	eventually(t, "it printed", func() bool { return strings.Contains(s.ok("logs", "lives"), "before") })
	lives, ends := s.status("lives").PID, s.status("ends").PID
	pipe, _ := os.Readlink(procPath(lives, "/fd/1"))
	stale := filepath.Join(filepath.Dir(pipe), "gone.7.stdout")
	if err := syscall.Mkfifo(stale, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.ended <- nil
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one ended while there was no server", func() bool { return !alive(ends) })
	s.run()
	s.is("running", "lives")
	if sysExists(stale) || !sysExists(pipe) {
		t.Errorf("%s is still there, or %s is not", stale, pipe)
	}
	eventually(t, "what it printed meanwhile is there", func() bool { return strings.Contains(s.ok("logs", "lives"), "meanwhile") })
	if now := s.status("lives"); now.PID != lives || now.RestartCount != 0 {
		t.Errorf("lives had pid %d, and is %+v", lives, now)
	}
	s.is("failed", "ends")
	if now := s.status("ends"); now.Reason == nil || now.Reason.Type != "exit_code" || now.ExitCode != nil {
		t.Errorf("ends is %+v", now)
	}
	if now := s.status("down"); now.PID != 0 {
		t.Errorf("down is %+v", now)
	}
	s.ok("stop", "lives", "--wait")
	if alive(lives) {
		t.Error("the adopted process was not stopped")
	}
	s.stop()
}

// TestPlannedRestart: between a standalone server that ends by system.prepare_restart and the next, no line is lost, and the rings are kept.
func TestPlannedRestart(t *testing.T) {
	flag := filepath.Join(shortDir(t), "flag")
	s := startServer(t, map[string]string{"lives": playing("", "print=before", "write=half", "await="+flag, "print= and half", "block")})
	eventually(t, "it printed", func() bool { return strings.Contains(s.ok("logs", "lives"), "before") })
	first, pid := s.ok("--json", "logs", "lives", "-n", "1"), s.status("lives").PID
	s.ok("call", "system.prepare_restart")
	if err := <-s.ended; err != nil {
		t.Fatal(err)
	}
	s.ended <- nil
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.run()
	eventually(t, "the rest of the line is there", func() bool { return strings.Contains(s.ok("logs", "lives"), "half and half") })
	if now := s.status("lives"); now.PID != pid {
		t.Errorf("the pid was %d and is %d", pid, now.PID)
	}
	if now := s.ok("--json", "logs", "lives"); !strings.HasPrefix(now, strings.TrimSuffix(first, "]\n")) {
		t.Errorf("the ring had\n%sand has\n%s", first, now)
	}
}

// TestUnreadableState: what a standalone server left running, and nobody knows any more, is stopped before anything starts.
func TestUnreadableState(t *testing.T) {
	s := startServer(t, map[string]string{"lives": playing("", "fork=block", "block")})
	s.is("running", "lives")
	old := s.status("lives").PID
	eventually(t, "it has a child", func() bool { return len(sysChildren(nil, old)) == 1 })
	child := sysChildren(nil, old)[0]
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.ended <- nil
	if err := os.WriteFile(s.socket+".state", bytes.Repeat([]byte("nonsense"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run()
	s.is("running", "lives")
	if now := s.status("lives").PID; now == old || alive(old) || alive(child) {
		t.Errorf("the pid was %d and is %d; alive: %v, and its child: %v", old, now, alive(old), alive(child))
	}
}

// TestUpgradeWithoutHome: a server whose user has no home goes over to a new binary too.
func TestUpgradeWithoutHome(t *testing.T) {
	s := newServer(t, map[string]string{"mine": "[service]\nexec = \"sleep 1000\"\n"})
	s.ordinary()
	user := s.prepare
	s.prepare = func(cmd *exec.Cmd) {
		if user != nil {
			user(cmd)
		}
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), suiteMark + "=" + suiteDir}
	}
	s.run()
	s.is("running", "mine")
	pid := s.status("mine").PID
	s.ok("upgrade")
	eventually(t, "the new image listens", func() bool {
		text, _ := os.ReadFile(s.out.Name())
		return strings.Count(string(text), "is listening on") == 2
	})
	if now := s.status("mine"); now.PID != pid || now.State != running {
		t.Errorf("mine was %d, and is %+v", pid, now)
	}
	s.stop()
}
