// graph_restart_test.go tests restarts with the real server: loops, their delays and messages, and exits that end them.

//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
