// graph_faults_test.go tests crashes, restart loops, conflicts and reloads with the real server: only those concerned feel them.

//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRow03_DyingWhileStarting(t *testing.T) {
	never := "[health]\ntype = \"tcp\"\ntarget = \"127.0.0.1:1\"\n"
	unharmed(t, map[string]string{
		"exits":  playing(waiting+once+never, "exit=3"),
		"zero":   playing(waiting+once+never, "exit=0"),
		"dies":   playing(waiting+once+never, "die=KILL"),
		"slow":   playing(waiting+once+"start_timeout_ms = 100\n"+never, "block"),
		"task":   playing(waiting+"oneshot = true\n"+once, "exit=7"),
		"needs":  playing(waiting+"[dependencies]\nrequires = [\"task\"]\n", "block"),
		"missed": playing(waiting+once, "exit=127"),
	}, func(s *server) {
		for name, want := range map[string]string{"exits": "exit code 3", "zero": "exit code 0", "dies": "SIGKILL", "slow": "start", "task": "exit code 7", "missed": "exit code 127"} {
			if out, code := s.zinit("start", name, "--wait"); code != 3 && name != "missed" {
				t.Errorf("%s: exit code %d\n%s", name, code, out)
			}
			s.is("failed", name)
			says(t, s.status(name).Reason.String(), want)
		}
		if st := s.status("missed"); st.Reason.Type != "exit_code" {
			t.Errorf("exit code 127 of the program itself is %+v", st.Reason)
		}
		s.zinit("start", "needs")
		s.is("failed", "needs")
		says(t, s.ok("why", "needs"), "task", "exit code 7")
	})
}

func TestRow26_RestartLoops(t *testing.T) {
	unharmed(t, map[string]string{
		"for-ever": playing(waiting+"[lifecycle]\nrestart = \"always\"\nrestart_delay_ms = 0\n", "exit=0"),
		"slower":   playing(waiting+"[lifecycle]\nrestart_delay_ms = 20\nrestart_delay_max_ms = 100000\n", "exit=1"),
		"thrice":   playing(waiting+"[lifecycle]\nmax_restarts = 3\nrestart_delay_ms = 1\n", "print=run", "exit=1"),
		"no-such":  "[service]\nexec = \"/no/such\"\n" + waiting + "[lifecycle]\nrestart_delay_ms = 1\nrestart_delay_max_ms = 2\n",
	}, func(s *server) {
		began := time.Now()
		s.zinit("start", "for-ever", "slower", "thrice", "no-such")
		eventually(t, "it restarts and restarts", func() bool { return s.status("for-ever").RestartCount > 50 && s.status("no-such").RestartCount > 50 })
		n := 0
		eventually(t, "slower was restarted six times", func() bool { n = s.status("slower").RestartCount; return n >= 6 })
		// 20 + 40 + 80 … ms, of which a tenth may be missing.
		if took, least := time.Since(began), 18*time.Millisecond*time.Duration(1<<n-1); took < least {
			t.Errorf("%d restarts in %v: the delays double from 20 ms, that is %v at least", n, took, least)
		}
		eventually(t, "it failed for good", func() bool {
			st := s.status("thrice")
			return st.State == failed && st.RestartInMS == nil && st.RestartCount == 3
		})
		if runs := strings.Count(s.ok("logs", "thrice"), "run"); runs != 4 {
			t.Errorf("max_restarts = 3 ran it %d times, want 4", runs)
		}
		s.ok("stop", "for-ever", "--wait")
		st := s.status("for-ever")
		if st.PID != 0 || st.RestartInMS != nil || st.Wish != "down" {
			t.Errorf("stopped: %+v", st)
		}
	})
}

// TestRow25_StartAndStopFromFiftyConnections: the last wish wins, everyone is answered once, and no service ever has two processes:
// each listens on a port of its own, so a second one would say that the address is in use.
func TestRow25_StartAndStopFromFiftyConnections(t *testing.T) {
	const clients = 50
	words := []string{"start", "stop", "start", "stop", "restart", "stop", "start", "start", "stop", "stop"}
	unharmed(t, map[string]string{
		"quick":    playing(waiting+"[lifecycle]\nrestart_delay_ms = 1\n", "on=TERM:0", "listen="+strconv.Itoa(freePort(t)), "block"),
		"stubborn": playing(waiting+"[lifecycle]\nrestart_delay_ms = 1\nstop_timeout_ms = 30\n", "ignore=TERM", "listen="+strconv.Itoa(freePort(t)), "block"),
	}, func(s *server) {
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for n := range clients {
			c := s.dial()
			wg.Go(func() {
				<-begin
				name, waits := []string{"quick", "stubborn"}[n%2], n%3 == 0
				for i, w := range words {
					fmt.Fprintf(c.Conn, `{"jsonrpc":"2.0","id":%d,"method":"service.%s","params":{"name":%q,"wait":%v,"timeout_ms":30000}}`+"\n", i, w, name, waits)
				}
				answered := map[int]int{}
				for range words {
					var a struct {
						ID    int
						Error *testError
					}
					line, err := c.in.ReadString('\n')
					if err := errors.Join(err, json.Unmarshal([]byte(line), &a)); err != nil {
						t.Errorf("client %d: %v in %q", n, err, line)
						return
					}
					if answered[a.ID]++; a.Error != nil || answered[a.ID] > 1 {
						t.Errorf("client %d: answer %d to %s %s: %s", n, answered[a.ID], words[a.ID], name, line)
					}
				}
			})
		}
		close(begin)
		wg.Wait()
		// Every client's last word was stop, so whichever came last was one.
		eventually(t, "only the bystander is left", func() bool {
			return s.status("quick").PID == 0 && s.status("stubborn").PID == 0 && len(sysChildren(nil, s.cmd.Process.Pid)) == 1
		})
		for _, name := range []string{"quick", "stubborn"} {
			s.ok("start", name, "--wait")
			first := s.status(name).PID
			if got := len(sysChildren(nil, s.cmd.Process.Pid)); name == "quick" && got != 2 {
				t.Errorf("%d processes, want the bystander and %s", got, name)
			}
			c := s.dial()
			c.call("service.stop", fmt.Sprintf("[%q]", name))
			c.call("service.start", fmt.Sprintf(`{"name":%q,"wait":true}`, name))
			s.is("running", name)
			if st := s.status(name); alive(first) || st.PID == first || st.Wish != "up" {
				t.Errorf("a start while it stopped: pid %d (alive %v), then %+v", first, alive(first), st)
			}
			c.call("service.restart", fmt.Sprintf("[%q]", name))
			c.call("service.stop", fmt.Sprintf(`{"name":%q,"wait":true}`, name))
			if st := s.status(name); st.PID != 0 || st.Wish != "down" {
				t.Errorf("a stop while it restarted: %+v", st)
			}
			if out := s.ok("logs", name, "-n", "1000"); strings.Contains(out, "in use") {
				t.Errorf("two processes of %s at once:\n%s", name, out)
			}
		}
	})
}

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

func TestRow28_ReloadWhileRunning(t *testing.T) {
	unharmed(t, map[string]string{"web": playing("", "print=old", "block"), "api": playing("", "block")}, func(s *server) {
		s.is("running", "web", "api")
		pid := s.status("web").PID
		s.write("web", playing("[dependencies]\nafter = [\"api\"]\n", "print=new", "block"))
		s.write("api", "[service]\nexec = 5\n")
		if out, code := s.zinit("reload"); code != 1 || !strings.Contains(out, "api.toml:2:") {
			t.Errorf("reload: exit code %d\n%s", code, out)
		}
		if st := s.status("web"); st.PID != pid || !st.ConfigChanged {
			t.Errorf("a changed file: %+v", st)
		}
		if st := s.status("api"); st.State != running || st.ConfigChanged {
			t.Errorf("a file that became wrong: %+v", st)
		}
		s.write("api", playing("[dependencies]\nrequires = [\"web\"]\n", "block"))
		if out, code := s.zinit("reload"); code != 1 || !strings.Contains(out, "api -> web -> api") {
			t.Errorf("a cycle: exit code %d\n%s", code, out)
		}
		if st := s.status("api"); st.State != running || st.ConfigChanged {
			t.Errorf("a file that would close a cycle: %+v", st)
		}
		s.write("api", playing("", "block"))
		if out := s.ok("reload", "--restart"); !strings.Contains(out, "web") {
			t.Errorf("reload --restart: %s", out)
		}
		eventually(t, "web runs as its file says", func() bool { st := s.status("web"); return st.State == running && st.PID != pid && !st.ConfigChanged })
		os.Remove(filepath.Join(s.dir, "services", "api.toml"))
		_ = s.cmd.Process.Signal(syscall.SIGHUP)
		eventually(t, "the removed service is gone", func() bool { return !strings.Contains(s.ok("call", "service.list"), "api") })
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

// TestRow80_ExitCodesThatMeanNeverAgain: restart_prevent ends a restart loop, also one that a later server finds.
func TestRow80_ExitCodesThatMeanNeverAgain(t *testing.T) {
	always := waiting + "[lifecycle]\nrestart = \"always\"\nrestart_delay_ms = 1\n"
	s := startServer(t, map[string]string{
		"never":  playing(always+"restart_prevent = [3, \"KILL\"]\n", "print=run", "exit=3"),
		"killed": playing(always+"restart_prevent = [3, \"KILL\"]\n", "block"),
		"clean":  playing(always+"success_codes = [\"HUP\"]\nrestart_prevent = [\"SIGHUP\"]\n", "block"),
	})
	s.ok("start", "killed", "clean", "--wait")
	s.zinit("start", "never")
	s.ok("kill", "killed", "KILL")
	s.ok("kill", "clean", "HUP")
	s.is("failed", "never", "killed")
	s.is("exited", "clean")
	look := func() {
		t.Helper()
		says(t, s.ok("why", "never"), "exit code 3; not restarted: restart_prevent forbids it")
		for _, n := range []string{"never", "killed", "clean"} {
			if st := s.status(n); st.RestartInMS != nil || st.RestartCount != 0 || st.Wish != "up" {
				t.Errorf("%s: %+v", n, st)
			}
		}
	}
	look()
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.ended <- nil
	s.run()
	look()
	if runs := strings.Count(s.ok("logs", "never"), "run"); runs > 1 {
		t.Errorf("it ran %d times", runs)
	}
}

// TestRestartLoopIsSaidEveryTenthTime: the first turn of a loop is said, and then every tenth; a later start by request is said again.
func TestRestartLoopIsSaidEveryTenthTime(t *testing.T) {
	s := startServer(t, map[string]string{"loop": playing(waiting+"[lifecycle]\nrestart = \"always\"\nrestart_delay_ms = 0\nstability_period_ms = 0\n", "exit=1")})
	s.ok("start", "loop")
	n := 0
	eventually(t, "it restarts and restarts", func() bool { n = s.status("loop").RestartCount; return n > 40 })
	says(t, s.ok("why", "loop"), "loop is ")
	s.ok("stop", "loop", "--wait")
	n = s.status("loop").RestartCount
	text, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
	log := string(text)
	says(t, log, "loop failed: exit code 1\n", "loop failed: exit code 1 (10 times in a row; every tenth time is said)", "(40 times in a row")
	if said := strings.Count(log, "loop failed"); said < 5 || said > n/10+3 {
		t.Errorf("%d turns, %d said", n, said)
	}
	if said := strings.Count(log, "loop is running"); said < 5 || said > n/10+3 {
		t.Errorf("%d turns, %d said to run", n, said)
	}
}
