// supervisor_pidfile_test.go is the manual of pid_file: programs that go into the background, and those that do not do it well.

//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// daemonized is a service whose first process starts a daemon and exits with a code; the daemon writes its pid into a file, and exits with 7 on USR1.
func daemonized(dir, name, daemon string, code int, more string) string {
	file := filepath.Join(dir, name+".pid")
	return fmt.Sprintf(`[service]
pid_file = "%[1]s"
exec = ["/bin/sh", "-c", '''
(setsid sh -c 'trap "exit 7" USR1; trap "echo bye; exit 0" TERM; %[2]s; while :; do sleep 0.05; done' &)
exit %[3]d
''']
[lifecycle]
restart = "never"
%[4]s
`, file, fmt.Sprintf(daemon, file), code, more)
}

// TestRow73_PidFile: the start is done when the first process has exited with 0 and the file names a live process of the service; that one is watched, stopped, and
// its exit code counts.
func TestRow73_PidFile(t *testing.T) {
	needs(t, "setsid")
	dir := shortDir(t)
	if err := os.WriteFile(dir+"/late.pid", []byte("999999\n"), 0o644); err != nil { // a stale one
		t.Fatal(err)
	}
	s := startServer(t, map[string]string{
		"web":     daemonized(dir, "web", "echo $$ >%s", 0, ""),
		"late":    daemonized(dir, "late", "sleep 0.5; echo $$ >%s", 0, ""),
		"never":   daemonized(dir, "never", "echo $$ >%s.not", 0, "start_timeout_ms = 500"),
		"foreign": daemonized(dir, "foreign", fmt.Sprintf("echo $$ >%%[1]s.not; echo %d >%%[1]s", os.Getpid()), 0, "start_timeout_ms = 500"),
		"wrong":   daemonized(dir, "wrong", "echo $$ >%s", 3, ""),
	})
	for _, name := range []string{"web", "late"} {
		s.is("running", name)
		if pid := s.status(name).PID; pid != pidIn(t, filepath.Join(dir, name+".pid")) || !alive(pid) {
			t.Errorf("the pid of %s is %d", name, pid)
		}
	}
	s.is("failed", "never", "foreign", "wrong")
	for _, name := range []string{"never", "foreign"} {
		if st := s.status(name); st.Reason.Type != reasonStartTimeout {
			t.Errorf("%s is %+v", name, st.Reason)
		}
		if pid := pidIn(t, filepath.Join(dir, name+".pid.not")); alive(pid) {
			t.Errorf("the daemon of %s is left", name)
		}
	}
	if st := s.status("wrong"); st.ExitCode == nil || *st.ExitCode != 3 {
		t.Errorf("wrong is %+v", st)
	}
	s.ok("kill", "web", "USR1")
	s.is("failed", "web")
	if st := s.status("web"); st.ExitCode == nil || *st.ExitCode != 7 {
		t.Errorf("web is %+v", st)
	}
	pid := s.status("late").PID
	began := time.Now()
	s.ok("stop", "late", "--wait")
	s.is("exited", "late")
	s.logged("late", "bye")
	if alive(pid) || time.Since(began) > slack {
		t.Errorf("the daemon lives: %v, after %v", alive(pid), time.Since(began))
	}
}

// TestPidFileOfNginx: it overwrites its environment, so that only its parent and its age tell whose it is.
func TestPidFileOfNginx(t *testing.T) {
	needs(t, "nginx")
	dir, port := shortDir(t), freePort(t)
	conf := fmt.Sprintf("daemon on;\npid %[1]s/nginx.pid;\nerror_log %[1]s/error.log;\nevents {}\nhttp { access_log off; server { listen 127.0.0.1:%[2]d; return 200 ok; } }\n", dir, port)
	if err := os.WriteFile(dir+"/nginx.conf", []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, map[string]string{"nginx": fmt.Sprintf("[service]\nexec = [\"nginx\", \"-p\", \"%[1]s\", \"-c\", \"%[1]s/nginx.conf\"]\npid_file = \"%[1]s/nginx.pid\"\n[health]\ntype = \"tcp\"\ntarget = \"127.0.0.1:%[2]d\"\n", dir, port)})
	s.is("running", "nginx")
	pid := s.status("nginx").PID
	if pid != pidIn(t, dir+"/nginx.pid") {
		t.Errorf("the pid of nginx is %d", pid)
	}
	workers := sysChildren(nil, pid)
	s.ok("stop", "nginx", "--wait")
	s.is("exited", "nginx")
	for _, p := range append(workers, pid) {
		if alive(p) {
			t.Errorf("process %d of nginx is left", p)
		}
	}
}

// TestPidFileOverServers: a server that dies while the file is awaited, or later, changes nothing.
func TestPidFileOverServers(t *testing.T) {
	dir := shortDir(t)
	b := startInit(t, map[string]string{"web": daemonized(dir, "web", "echo started >"+dir+"/started; while ! [ -e "+dir+"/go ]; do sleep 0.05; done; echo $$ >%s", 0, "")}, boxOptions{notOne: true}).up()
	eventually(t, "the daemon runs", func() bool { _, err := os.Stat(dir + "/started"); return err == nil })
	b.is("starting", "web")
	old := b.serverPID()
	_ = sysKill(old, sigKill)
	b.newServer(old)
	b.up()
	b.is("starting", "web")
	if err := os.WriteFile(dir+"/go", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b.is("running", "web")
	pid := b.status("web").PID
	if text, _ := os.ReadFile(dir + "/web.pid"); string(text) != strconv.Itoa(pid)+"\n" {
		t.Errorf("the pid is %d, the file says %s", pid, text)
	}
	old = b.serverPID()
	_ = sysKill(old, sigKill)
	b.newServer(old)
	b.up()
	if st := b.status("web"); st.State != running || st.PID != pid {
		t.Errorf("it was pid %d and is %+v", pid, st)
	}
	b.ok("kill", "web", "USR1")
	b.is("failed", "web")
	if st := b.status("web"); st.ExitCode == nil || *st.ExitCode != 7 {
		t.Errorf("web is %+v", st)
	}
}
