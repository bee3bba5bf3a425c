// proc_stop_test.go is the manual of what reaches the processes of a service: signals, the three modes of a stop, and what becomes of what is left.

//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// family is a service of shells that say what they get: its main process, a worker in its group, and one in a session of its own.
const family = `[service]
exec = ["/bin/sh", "-c", '''
setsid sh -c 'trap "echo outside TERM; exit 0" TERM; trap "echo outside USR1" USR1; echo $$ >%[1]s/outside; while :; do sleep 0.05; done' &
sh -c 'trap "echo worker TERM; exit 0" TERM; trap "echo worker USR1" USR1; echo $$ >%[1]s/worker; while :; do sleep 0.05; done' &
trap "echo main TERM; exit 0" TERM
trap "echo main USR1" USR1
while ! [ -s %[1]s/outside ] || ! [ -s %[1]s/worker ]; do sleep 0.05; done
echo ready
while :; do sleep 0.05; done
''']
[lifecycle]
kill_mode = "%[2]s"
`

// startFamily runs that service and returns the pids of its worker and of the process outside its group.
func startFamily(t *testing.T, mode string) (s *server, worker, outside int) {
	t.Helper()
	needs(t, "setsid")
	dir := shortDir(t)
	s = startServer(t, map[string]string{"app": fmt.Sprintf(family, dir, mode)})
	s.logged("app", "ready")
	return s, pidIn(t, dir+"/worker"), pidIn(t, dir+"/outside")
}

// logged waits until a service has written these.
func (s *server) logged(name string, lines ...string) {
	s.t.Helper()
	for _, line := range lines {
		eventually(s.t, name+" writes "+line, func() bool { return strings.Contains(s.ok("logs", name), line) })
	}
}

// said waits until the server's own log has a text.
func (s *server) said(text string) {
	s.t.Helper()
	eventually(s.t, "the server says "+text, func() bool {
		log, _ := os.ReadFile(s.out.Name())
		return strings.Contains(string(log), text)
	})
}

// TestRow61_KillGoesToTheMainProcess: workers get a signal only when they are meant too.
func TestRow61_KillGoesToTheMainProcess(t *testing.T) {
	s, _, _ := startFamily(t, "group")
	s.ok("kill", "app", "USR1")
	s.logged("app", "main USR1")
	s.ok("kill", "--group", "app", "USR1")
	s.logged("app", "worker USR1", "outside USR1")
	eventually(t, "the main process got two", func() bool { return strings.Count(s.ok("logs", "app"), "main USR1") == 2 })
	if text := s.ok("logs", "app"); strings.Count(text, "worker USR1") != 1 || strings.Count(text, "outside USR1") != 1 {
		t.Errorf("the others got what was not for them:\n%s", text)
	}
	s.is("running", "app")
}

// TestKillMode: whom the stop signal reaches, and who is left.
func TestKillMode(t *testing.T) {
	for _, row := range []struct {
		mode string
		says []string
		not  []string
		left bool
	}{
		{"group", []string{"main TERM", "worker TERM", "outside TERM"}, nil, false},
		{"mixed", []string{"main TERM"}, []string{"worker TERM", "outside TERM"}, false},
		{"process", []string{"main TERM"}, []string{"worker TERM", "outside TERM"}, true},
	} {
		t.Run(row.mode, func(t *testing.T) {
			s, worker, outside := startFamily(t, row.mode)
			s.ok("stop", "app", "--wait")
			s.is("exited", "app")
			s.logged("app", row.says...)
			for _, line := range row.not {
				if strings.Contains(s.ok("logs", "app"), line) {
					t.Errorf("%q was asked too", line)
				}
			}
			if alive(worker) != row.left || alive(outside) != row.left {
				t.Errorf("the worker lives: %v, the one outside: %v", alive(worker), alive(outside))
			}
			if row.left {
				s.stop()
				if !alive(worker) || !alive(outside) {
					t.Errorf("at the end of the server the worker lives: %v, the one outside: %v", alive(worker), alive(outside))
				}
				_, _ = sysKill(worker, sigKill), sysKill(outside, sigKill)
				eventually(t, "they are gone", func() bool { return !alive(worker) && !alive(outside) })
			}
		})
	}
}

// TestRow62_MixedLeavesWorkersToTheMainProcess: it may end its work in peace; only who is left after it is killed.
func TestRow62_MixedLeavesWorkersToTheMainProcess(t *testing.T) {
	s := startServer(t, map[string]string{"app": "[lifecycle]\nkill_mode = \"mixed\"\n[service]\nexec = ['/bin/sh', '-c', '''\n" +
		`sh -c 'trap "exit 1" TERM; sleep 0.3; echo worked' & worker=$!
trap 'wait $worker; echo "it ended with $?"; exit 0' TERM
echo ready
wait $worker
sleep 1000` + "''']\n"})
	s.logged("app", "ready")
	s.ok("stop", "app", "--wait")
	s.is("exited", "app")
	s.logged("app", "worked", "it ended with 0")
}

// TestRow63_ProcessLeavesSessionsAlive: they outlive a restart of what started them, and are not counted.
func TestRow63_ProcessLeavesSessionsAlive(t *testing.T) {
	dir := shortDir(t)
	s := startServer(t, map[string]string{
		"shells": playing("[lifecycle]\nkill_mode = \"process\"\n", "runaway=touch="+dir+"/session,block", "await="+dir+"/session", "block"),
		"once":   playing("oneshot = true\n[lifecycle]\nkill_mode = \"process\"\n", "setsid=touch="+dir+"/daemon,block", "await="+dir+"/daemon", "exit=0"),
	})
	session, daemon := pidIn(t, dir+"/session"), pidIn(t, dir+"/daemon")
	s.is("exited", "once")
	s.is("running", "shells")
	s.ok("restart", "shells", "--wait")
	s.ok("stop", "shells", "--wait")
	if !alive(session) || !alive(daemon) {
		t.Errorf("the session lives: %v, the daemon: %v", alive(session), alive(daemon))
	}
	if log, _ := os.ReadFile(s.out.Name()); strings.Contains(string(log), "behind") {
		t.Errorf("the server complains:\n%s", log)
	}
	for _, pid := range []int{session, daemon} {
		_ = sysKill(pid, sigKill)
		eventually(t, "it is gone", func() bool { return !alive(pid) })
	}
	text, _ := os.ReadFile(dir + "/session") // of the second start
	_ = sysKill(number(strings.TrimSpace(string(text))), sigKill)
}

// TestRow66_WhatIsLeftIsAskedFirst: in the group or outside of it, it gets the stop signal and the rest of the time.
func TestRow66_WhatIsLeftIsAskedFirst(t *testing.T) {
	needs(t, "setsid")
	dir := shortDir(t)
	shell := func(script string) string { return "[service]\nexec = ['/bin/sh', '-c', '''" + script + "''']\n" }
	s := startServer(t, map[string]string{
		"outside": shell(`setsid sh -c 'trap "sleep 0.2; echo saved; exit 0" TERM; echo ready; while :; do sleep 0.05; done' & wait`),
		"inside":  shell(`sh -c 'trap "sleep 0.2; echo saved; exit 0" TERM; echo ready; while :; do sleep 0.05; done' & wait`),
		"astray":  shell(`(setsid sh -c 'trap "sleep 0.2; echo saved; exit 0" TERM; echo ready; while :; do sleep 0.05; done' &) ; while :; do sleep 0.05; done`),
		"deaf":    shell(`setsid sh -c 'trap "" TERM; echo $$ >`+dir+`/deaf; echo ready; while :; do sleep 0.05; done' & wait`) + "[lifecycle]\nstop_timeout_ms = 300\n",
		"by_exec": shell(`sh -c 'trap "echo saved; exit 0" TERM; echo ready; while :; do sleep 0.05; done' & sleep 1000`) + "[lifecycle]\nstop_exec = \"kill -KILL $MAINPID\"\n",
	})
	for _, name := range []string{"outside", "inside", "astray", "deaf", "by_exec"} {
		s.logged(name, "ready")
		s.ok("stop", name, "--wait")
		if name == "deaf" {
			if pid := pidIn(t, filepath.Join(dir, "deaf")); alive(pid) {
				t.Error("what is deaf to the stop signal outlives the stop")
			}
			if st := s.status(name); st.State != failed || st.Reason.Type != reasonStopTimeout {
				t.Errorf("deaf is %+v", st)
			}
			continue
		}
		s.is("exited", name)
		if text := s.ok("logs", name); strings.Count(text, "saved") != 1 {
			t.Errorf("%s wrote\n%s", name, text)
		}
	}
}

// TestRow73_LeftBehindIsSaid: a daemon that forks into the background is killed, and the server's log says so by name and number.
func TestRow73_LeftBehindIsSaid(t *testing.T) {
	dir := shortDir(t)
	s := startServer(t, map[string]string{
		"daemon": playing(once, "runaway=touch="+dir+"/d,block", "await="+dir+"/d", "exit=0"),
		"crash":  playing(once, "fork=touch="+dir+"/c,block", "setsid=touch="+dir+"/e,block", "await="+dir+"/c", "await="+dir+"/e", "exit=3"),
		"clean":  playing(once, "exit=0"),
	})
	s.is("exited", "daemon", "clean")
	s.is("failed", "crash")
	s.said(fmt.Sprintf("daemon left 1 process behind: %s %d, killed", comm(t), pidIn(t, dir+"/d")))
	log, _ := os.ReadFile(s.out.Name())
	says(t, string(log), "crash left 2 processes behind: ", fmt.Sprintf("%s %d", comm(t), pidIn(t, dir+"/c")), fmt.Sprintf("%s %d", comm(t), pidIn(t, dir+"/e")))
	if strings.Contains(string(log), "clean left") || strings.Count(string(log), "behind") != 2 {
		t.Errorf("the server says\n%s", log)
	}
	for _, file := range []string{"/d", "/c", "/e"} {
		if alive(pidIn(t, dir+file)) {
			t.Errorf("%s lives", file)
		}
	}
}

// comm is the name of the processes that tests run as services.
func comm(t *testing.T) string {
	t.Helper()
	st, err := readStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return st.Comm
}
