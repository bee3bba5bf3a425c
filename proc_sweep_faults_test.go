// proc_sweep_faults_test.go tests that a stop leaves nothing of a service behind, and that its end is that of its main process.

//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRow05_RunningAwayDoesNotHelp: what a service leaves behind is ended with it, also when it is a stranger by then.
func TestRow05_RunningAwayDoesNotHelp(t *testing.T) {
	dir := shortDir(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	deaf := "ignore=TERM,ignore=HUP,ignore=INT,block"
	unharmed(t, map[string]string{
		"parent": playing(waiting+"[lifecycle]\nstop_timeout_ms = 200\n", "fork=touch="+at("fork")+","+deaf, "setsid=touch="+at("setsid")+","+deaf, "runaway=touch="+at("runaway")+","+deaf, "block"),
		"leader": playing(waiting+once, "setsid=touch="+at("left")+","+deaf, "await="+at("left"), "exit=0"),
		"orphan": playing(waiting, "runaway=sleep=20", "runaway=sleep=30", "block"),
	}, func(s *server) {
		s.ok("start", "parent", "leader", "orphan")
		for _, name := range []string{"fork", "setsid", "runaway"} {
			eventually(t, name+" runs", func() bool { _, err := os.Stat(at(name)); return err == nil })
		}
		s.is("exited", "leader")
		s.ok("stop", "parent", "--wait")
		for _, name := range []string{"fork", "setsid", "runaway", "left"} {
			text, err := os.ReadFile(at(name))
			pid, _ := strconv.Atoi(string(text))
			if err != nil || pid == 0 || alive(pid) {
				t.Errorf("%s: process %d, alive: %v, %v", name, pid, alive(pid), err)
			}
		}
	})
}

func TestRow19_DeafToSIGTERM(t *testing.T) {
	unharmed(t, map[string]string{
		"deaf":  playing(waiting+"[lifecycle]\nstop_timeout_ms = 100\n", "ignore=TERM", "print=ready", "fork=ignore=TERM,block", "block"),
		"other": playing(waiting+"[lifecycle]\nstop_signal = \"USR1\"\n", "ignore=TERM", "on=USR1:0", "print=ready", "block"),
	}, func(s *server) {
		s.ok("start", "deaf", "other", "--wait")
		for _, name := range []string{"deaf", "other"} {
			eventually(t, name+" is ready", func() bool { return strings.Contains(s.ok("logs", name), "ready") })
		}
		pid := s.status("deaf").PID
		out, code := s.zinit("stop", "deaf", "--wait")
		if st := s.status("deaf"); code != 0 || alive(pid) || st.State != failed || st.Reason.Type != "stop_timeout" || st.RestartInMS != nil {
			t.Errorf("deaf: exit code %d, %+v\n%s", code, st, out)
		}
		s.ok("stop", "other", "--wait")
		s.is("exited", "other")
	})
}

// TestStopExec: it is told who is to be stopped, and what is left is removed as after a signal: the list of descendants is made before it.
func TestStopExec(t *testing.T) {
	needs(t, "setsid", "env")
	dir := shortDir(t)
	s := startServer(t, map[string]string{
		"asked": "[service]\nexec = \"sleep 1000 & setsid env -i sleep 1000 & echo $! > " + dir + "/child; exec sleep 1000\"\n[lifecycle]\nstop_exec = \"echo $MAINPID $ZINIT_SERVICE > " + dir + "/told; kill $MAINPID\"\n",
	})
	child := 0
	eventually(t, "the child has a session and no environment", func() bool {
		text, _ := os.ReadFile(dir + "/child")
		child, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return child != 0 && commandLine(child) == "sleep 1000" && len(sysEnviron(child)) == 0
	})
	pid := s.status("asked").PID
	s.ok("stop", "asked", "--wait")
	if told, _ := os.ReadFile(dir + "/told"); string(told) != fmt.Sprintf("%d asked\n", pid) {
		t.Errorf("stop_exec was told %q", told)
	}
	if st := s.status("asked"); st.State != exited || alive(child) {
		t.Errorf("it is %+v; its child is alive: %v", st, alive(child))
	}
}

// TestClosedOutputIsNoEnd: a service may close its output and live on; the server must neither take that for its end nor spin on it.
func TestClosedOutputIsNoEnd(t *testing.T) {
	unharmed(t, map[string]string{"mute": playing(waiting+once, "print=last words", "closeout", "sleep=500", "exit=0")}, func(s *server) {
		busy := func() time.Duration {
			st, err := readStat(s.cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			return st.CPU
		}
		c := s.dial()
		before := busy()
		c.call("service.start", `{"name":"mute","wait":true}`)
		c.call("service.wait", `{"name":"mute","state":"exited","timeout_ms":20000}`)
		if took := busy() - before; took > 250*time.Millisecond {
			t.Errorf("the server was busy for %v of the half second", took)
		}
		says(t, s.ok("logs", "mute"), "last words")
	})
}

// TestRow53_ZombiesOfOthers: a child that a service does not wait for is the service's own; it goes with it.
func TestRow53_ZombiesOfOthers(t *testing.T) {
	unharmed(t, map[string]string{"careless": playing(waiting+"[lifecycle]\nstop_timeout_ms = 60000\n", "fork=exit=0", "fork=exit=0", "block")}, func(s *server) {
		s.ok("start", "careless", "--wait")
		pid := s.status("careless").PID
		eventually(t, "it has two zombies", func() bool {
			n := 0
			for _, child := range sysChildren(nil, pid) {
				if st, err := readStat(child); err == nil && st.dead() {
					n++
				}
			}
			return n == 2
		})
		s.is("running", "careless")
		s.ok("stats", "careless")
		began := time.Now()
		s.ok("stop", "careless", "--wait")
		if s.is("exited", "careless"); time.Since(began) > slack {
			t.Errorf("zombies held its stop up for %v", time.Since(began))
		}
	})
}
