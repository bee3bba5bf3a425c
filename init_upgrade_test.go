// init_upgrade_test.go tries going over to a new binary, good and bad, and that nothing is lost on the way.

//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestUpgradeOfPID1IsProvenFirst: a binary that reads the state of the server, but does not say that it reads what PID 1 holds, changes nothing.
func TestUpgradeOfPID1IsProvenFirst(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	b.is("running", "web")
	pid, old := b.status("web").PID, b.serverPID()
	bad := filepath.Join(b.dir, "bad")
	if err := os.WriteFile(bad, []byte("#!/bin/sh\ncase \"$*\" in *--check-state*) echo state ok 9.9;; *) exec "+zinitBinary(t)+" \"$@\";; esac\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, code := b.zinit("upgrade", bad); code != exitRefused || !strings.Contains(out, "state ok 9.9") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if b.serverPID() != old || b.status("web").PID != pid {
		t.Error("a refused upgrade has changed something")
	}
}

// openFiles are the descriptors of a process, by what they lead to.
func openFiles(pid int) (list []string) {
	entries, _ := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	for _, e := range entries {
		if to, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/fd/" + e.Name()); err == nil {
			list = append(list, to)
		}
	}
	return list
}

// TestFailedUpgradesLeaveNothingOpen: neither in PID 1 nor in the server, however they fail.
func TestFailedUpgradesLeaveNothingOpen(t *testing.T) {
	t.Parallel()
	const bad = `#!/bin/sh
case "$*" in *--check-state*) rm -f "$0"; echo state ok 9.9; echo keeper ok;; esac
`
	fails := func(s *server, pid func() int, upgrade func(binary string)) {
		again := func() {
			path := filepath.Join(s.dir, "bad")
			if err := os.WriteFile(path, []byte(bad), 0o755); err != nil {
				s.t.Fatal(err)
			}
			upgrade(path)
		}
		again() // the first may open what stays
		before := openFiles(pid())
		for range 5 {
			again()
		}
		if now := openFiles(pid()); len(now) > len(before)+1 { // something may be under way
			s.t.Errorf("%d descriptors, and %d after 5 failed upgrades:\n%q\n%q", len(before), len(now), before, now)
		}
	}
	count := func(s *server, text string) int {
		said, _ := os.ReadFile(s.out.Name())
		return strings.Count(string(said), text)
	}
	t.Run("standalone", func(t *testing.T) {
		s := startServer(t, map[string]string{"web": service(t, "block")})
		fails(s, func() int { return s.cmd.Process.Pid }, func(binary string) {
			n := count(s, "going on with the present version")
			s.zinit("call", "system.upgrade", `{"binary": "`+binary+`"}`)
			eventually(t, "the upgrade has failed", func() bool { return count(s, "going on with the present version") > n })
		})
		s.stop()
	})
	t.Run("keeper", func(t *testing.T) {
		b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
		upgrade := func(binary string) {
			n := count(&b.server, "takes over again")
			b.zinit("call", "system.upgrade", `{"binary": "`+binary+`"}`)
			eventually(t, "the old binary serves", func() bool { return count(&b.server, "takes over again") > n })
			b.up()
		}
		fails(&b.server, func() int { return b.cmd.Process.Pid }, upgrade)
		fails(&b.server, b.serverPID, upgrade)
	})
}

// TestUpgradeReturnsWhenTheNewServerAnswers: under PID 1 and standalone, so that what follows it in a script works.
func TestUpgradeReturnsWhenTheNewServerAnswers(t *testing.T) {
	t.Parallel()
	for _, standalone := range []bool{false, true} {
		var s *server
		if standalone {
			s = startServer(t, map[string]string{"web": service(t, "block")})
		} else {
			s = &startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up().server
		}
		s.is("running", "web")
		end := s.callers(1)
		for range 5 {
			out := s.ok("upgrade")
			if !strings.Contains(out, "has taken over") {
				t.Errorf("it says %q", out)
			}
			s.ok("list")
		}
		answered, broken := end()
		t.Logf("standalone %v: %d answers, %d connections broke", standalone, answered, broken)
		if standalone {
			s.stop()
		}
	}
}

// TestUpgradeThatComesToNothing exits with 1 and says so, also when the failure comes after the answer.
func TestUpgradeThatComesToNothing(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	bad := filepath.Join(b.dir, "bad")
	if err := os.WriteFile(bad, []byte("#!/bin/sh\ncase \"$*\" in *--check-state*) echo keeper ok; echo state ok 9.9;; *) exit 1;; esac\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, code := b.zinit("upgrade", bad); code != exitRefused || !strings.Contains(out, "version 9.9 did not come up; version "+version+" goes on") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// TestUpgradesLeaveNothingToServices: what one image hands to the next, no service gets, and nothing is left open for ever.
func TestUpgradesLeaveNothingToServices(t *testing.T) {
	t.Parallel()
	s := startServer(t, map[string]string{"web": service(t, "block")})
	for range 3 {
		s.ok("upgrade")
	}
	s.ok("restart", "web", "--wait")
	for _, file := range openFiles(s.status("web").PID) {
		if strings.Contains(file, "memfd:") || strings.HasPrefix(file, "socket:") {
			t.Errorf("web has %s", file)
		}
	}
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", s.cmd.Process.Pid))
	for _, task := range tasks {
		files, _ := os.ReadDir("/proc/" + task.Name() + "/fd")
		for _, f := range files {
			if to, _ := os.Readlink("/proc/" + task.Name() + "/fd/" + f.Name()); strings.Contains(to, "zinit-logs") {
				t.Errorf("thread %s still has %s", task.Name(), to)
			}
		}
	}
	s.stop()
}

func TestUpgradeTwentyTimes(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	mine := filepath.Join(dir, "zinit")
	copyFile(t, zinitBinary(t), mine)
	b := startInit(t, load(t, dir, actorBinary(t), ""), boxOptions{binary: mine}).up()
	pids := b.loaded()
	for i := range 20 {
		old := b.serverPID()
		text := strings.Count(b.output(), "is version "+version+" now")
		if i%4 == 0 { // another file at the same place, as a package manager does
			copyFile(t, zinitBinary(t), mine+".new")
			if err := os.Rename(mine+".new", mine); err != nil {
				t.Fatal(err)
			}
		}
		b.ok("upgrade")
		b.newServer(old)
		eventually(t, "PID 1 has gone over", func() bool { return strings.Count(b.output(), "is version "+version+" now") > text })
		b.up()
	}
	for range 20 {
		old := b.serverPID()
		b.signal(sigUsr1)
		b.newServer(old)
		b.up()
	}
	b.same(pids)
	b.restarts(dir)
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	intact(t, dir, "upgrades and restarts")
}

// TestUpgradeLosesNoSignal: one that comes while PID 1 executes its next image has its effect all the same.
func TestUpgradeLosesNoSignal(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	deaf := 0 // how often it met an image that caught nothing yet
	status := "/proc/" + strconv.Itoa(b.cmd.Process.Pid) + "/status"
	for i := range 20 {
		text := strings.Count(b.output(), "is version "+version+" now")
		eventually(t, "an upgrade is taken", func() bool { // not by a server that the last SIGUSR1 is just replacing
			_, code := b.zinit("upgrade")
			return code == 0
		})
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
			data, _ := os.ReadFile(status)
			_, caught, _ := strings.Cut(string(data), "SigCgt:\t")
			if n, err := strconv.ParseUint(strings.TrimSpace(caught[:min(16, len(caught))]), 16, 64); err == nil && n&(1<<(sigUsr1-1)) == 0 {
				deaf++
				break
			}
			if strings.Count(b.output(), "is version "+version+" now") > text {
				break
			}
		}
		b.signal(sigUsr1)
		eventually(t, fmt.Sprintf("SIGUSR1 number %d is obeyed", i), func() bool { return strings.Count(b.output(), "replacing the server") > i })
		eventually(t, "PID 1 has gone over", func() bool { return strings.Count(b.output(), "is version "+version+" now") > text })
		b.up()
	}
	t.Logf("%d of 20 came when PID 1 caught none", deaf)
	if deaf == 0 {
		t.Error("none came when it mattered")
	}
}

// TestRow40_PID1SurvivesItsOwnPanic: it executes its program again and goes on; nobody notices. When that does not help it says so and ends.
func TestRow40_PID1SurvivesItsOwnPanic(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := startInit(t, map[string]string{"web": service(t, "print=hello block"), "stubborn": service(t, "ignore=15 block")},
		boxOptions{binary: self, panics: true, flags: []string{"--shutdown-timeout-ms", "3000"}}).up()
	b.is("running", "web")
	web, server := b.status("web").PID, b.serverPID()
	for i := range 3 {
		b.signal(sigRtmin + 10)
		eventually(t, "PID 1 goes on", func() bool { return strings.Count(b.output(), "PID 1 is version") == i+1 })
		b.up()
		if b.status("web").PID != web || b.serverPID() != server {
			t.Fatal("web or the server has changed")
		}
	}
	if out := b.ok("logs", "web"); !strings.Contains(out, "hello") {
		t.Errorf("the lines are gone: %q", out)
	}
	b.signal(sigRtmin + 10)
	if code := b.ends(patience); code != 70 {
		t.Errorf("exit code %d after the fourth panic in a minute", code)
	}
}

// TestRow38_BrokenUpgrade: a binary that does not run, or cannot read the state, changes nothing.
func TestRow38_BrokenUpgrade(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	b.is("running", "web")
	pid, old := b.status("web").PID, b.serverPID()
	text := filepath.Join(b.dir, "text")
	if err := os.WriteFile(text, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"/no/such", text, "/bin/true", "/bin/cat"} {
		if out, code := b.zinit("upgrade", bad); code != 1 {
			t.Errorf("upgrade to %s: exit code %d\n%s", bad, code, out)
		}
	}
	if b.serverPID() != old || b.status("web").PID != pid {
		t.Error("a refused upgrade has changed something")
	}
	b.ok("upgrade")
	b.newServer(old)
	b.up()
	if b.status("web").PID != pid {
		t.Error("the upgrade has touched web")
	}
}

// TestRow38_NewServerThatFails: a binary that reads the state and then does not serve is given up, and the old one takes over again.
func TestRow38_NewServerThatFails(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{"hangs": "sleep 1000", "exits": "exit 1", "dies": "kill -SEGV $$"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
			b.is("running", "web")
			web, old := b.status("web").PID, b.serverPID()
			bad := filepath.Join(b.dir, "bad")
			text := "#!/bin/sh\ncase \"$*\" in *--check-state*) echo keeper ok; echo state ok 9.9;; *) " + line + ";; esac\n"
			if err := os.WriteFile(bad, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if out, code := b.zinit("upgrade", bad); code != exitRefused || !strings.Contains(out, "did not come up") {
				t.Errorf("exit code %d\n%s", code, out)
			}
			b.says("the old one takes over again")
			within(t, patience, "the old one serves", func() bool {
				return strings.Contains(commandLine(b.serverPID()), "server --keeper") && b.serverPID() != old
			})
			b.up()
			if took := time.Since(began); took > upgradeTime+handoverTime+slack {
				t.Errorf("it took %v", took)
			}
			if st := b.status("web"); st.PID != web || st.State != running {
				t.Errorf("web was pid %d and is %+v", web, st)
			}
			b.ok("upgrade")
			b.says("PID 1 is version " + version + " now")
			b.up()
			if b.status("web").PID != web {
				t.Error("the upgrade has touched web")
			}
		})
	}
}

func TestStandaloneServerIsReplaced(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	s := startServer(t, load(t, dir, actorBinary(t), ""))
	t.Cleanup(func() { // what a failed test leaves behind
		for _, pid := range sysAllPids() {
			if strings.Contains(string(sysCmdline(pid)), "lock="+dir+"/") {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	pids := s.loaded()
	again := func(what string, code int) {
		t.Helper()
		select {
		case err := <-s.ended:
			s.ended <- err // also the end of the test wants to know
		case <-time.After(patience):
			t.Fatal(what + ": the server has not ended")
		}
		if got := s.cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("%s: exit code %d", what, got)
		}
		s.run()
		s.same(pids)
	}
	for range 5 {
		_ = s.cmd.Process.Kill()
		again("kill -9", -1)
	}
	s.ok("call", "system.prepare_restart")
	again("prepare_restart", 0)
	for range 3 {
		said := func() int {
			text, _ := os.ReadFile(s.out.Name())
			return strings.Count(string(text), "is listening on")
		}
		before := said()
		s.ok("upgrade")
		eventually(t, "the new image listens", func() bool { return said() > before })
		s.same(pids)
	}
	s.stop()
	intact(t, dir, "standalone")
}
