// proc_spec_faults_test.go tests what is executed and as whom: what cannot be started says why, and harms nobody else.

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRow07_WhatCannotStartSaysWhy(t *testing.T) {
	unharmed(t, nil, func(s *server) {
		script := filepath.Join(shortDir(t), "script")
		if err := os.WriteFile(script, []byte("#!/no/interpreter\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		for what, c := range map[string]struct{ text, want string }{
			"program":     {`exec = "/no/such/program"`, "/no/such/program does not exist"},
			"path":        {`exec = "no-such-program"`, "no-such-program was not found in PATH"},
			"interpreter": {fmt.Sprintf("exec = %q", script), "needs the interpreter /no/interpreter"},
			"directory":   {execOf("block") + `dir = "/no/such/dir"`, "dir /no/such/dir does not exist"},
			"user":        {execOf("block") + `user = "nobody-at-all"`, `user "nobody-at-all"`},
			"group":       {execOf("block") + `group = "nobody-at-all"`, `group "nobody-at-all"`},
			"env-file":    {execOf("block") + `env_file = "/no/such.env"`, "/no/such.env"},
		} {
			s.write(what, "[service]\n"+waiting+c.text+"\n"+once)
			s.ok("reload")
			if out, code := s.zinit("start", what, "--wait"); code != 3 {
				t.Errorf("%s: exit code %d\n%s", what, code, out)
			} else {
				says(t, out, what+" is failed", c.want, "zinit why "+what)
			}
			if st := s.status(what); st.State != failed || st.PID != 0 || st.Reason == nil || st.Reason.Type != "spawn_error" {
				t.Errorf("%s: %+v", what, st)
			}
			out := s.ok("why", what)
			says(t, out, c.want)
		}
	})
}

// TestRow47_48_49_EmptyRoot runs the server in a directory that holds nothing but the program: no shell, /dev, /proc, /etc, /tmp.
func TestRow47_48_49_EmptyRoot(t *testing.T) {
	if os.Getuid() != 0 {
		skip(t, "chroot needs root")
	}
	s := &server{t: t, dir: shortDir(t)}
	s.socket = filepath.Join(s.dir, "s.sock")
	program, err := os.ReadFile(zinitBinary(t))
	if err := errors.Join(err, os.Mkdir(filepath.Join(s.dir, "services"), 0o755), os.WriteFile(filepath.Join(s.dir, "zinit"), program, 0o755)); err != nil {
		t.Fatal(err)
	}
	s.write("plain", "[service]\nexec = [\"/zinit\", \"server\", \"--socket\", \"/other.sock\", \"--config-dir\", \"/none\"]\nuser = 12345\ngroup = 12345\n")
	s.write("root", "[service]\nexec = \"/zinit server --socket /other.sock --config-dir /none\"\n")
	s.write("shell", "[service]\nexec = \"echo hello | cat\"\n"+once)
	s.write("named", "[service]\nexec = \"/zinit version\"\nuser = \"www\"\n"+once)
	s.prepare = func(cmd *exec.Cmd) {
		cmd.Path, cmd.Args = "/zinit", []string{"zinit", "server", "--socket", "/s.sock", "--config-dir", "/services"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: s.dir}
		cmd.Dir = "/"
	}
	s.run()
	s.is("running", "root")
	s.is("failed", "shell", "named")
	says(t, s.status("shell").Reason.String(), "needs a shell (echo hello | cat)", "/bin/sh", `exec = ["/path/to/program", "argument"]`)
	says(t, s.status("named").Reason.String(), `user "www"`)
	eventually(t, "a numeric user starts without /etc/passwd", func() bool { return s.status("plain").RestartCount > 0 || s.status("plain").State == running })
	pid := s.status("root").PID
	s.ok("stop", "root", "--wait")
	if alive(pid) {
		t.Error("root is stopped, its process lives")
	}
	s.stop()
}

// TestRow51_AnOrdinaryUser: without root the server runs what it may, and refuses what it may not with the reason.
func TestRow51_AnOrdinaryUser(t *testing.T) {
	s := &server{t: t, dir: shortDir(t)}
	s.socket = filepath.Join(s.dir, "s.sock")
	if err := os.Mkdir(filepath.Join(s.dir, "services"), 0o755); err != nil {
		t.Fatal(err)
	}
	me := os.Getuid()
	if me == 0 {
		me = 65534
		if err := os.Chown(s.dir, me, me); err != nil {
			t.Fatal(err)
		}
		s.prepare = func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(me), Gid: uint32(me)}}
		}
	}
	s.write("mine", fmt.Sprintf("[service]\nexec = \"sleep 1000\"\nuser = %d\n", me))
	s.write("root", "[service]\nexec = \"sleep 1000\"\nuser = 0\n"+once)
	s.run()
	s.is("running", "mine")
	s.is("failed", "root")
	says(t, s.status("root").Reason.String(), "not permitted to switch to uid 0", fmt.Sprintf("zinit runs as uid %d", me))
	s.stop()
}

// TestRow56_ProgramReplacedWhileRunning: what runs goes on with the file that it was started from, the next start takes what is there then,
// and a program that is gone is an error until it is back.
func TestRow56_ProgramReplacedWhileRunning(t *testing.T) {
	program := filepath.Join(shortDir(t), "program")
	install := func(text string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(program+".new", []byte("#!"+shell(t)+"\n"+text+"\nwhile sleep 1000; do :; done\n"), 0o755), os.Rename(program+".new", program)); err != nil {
			t.Fatal(err)
		}
	}
	install("echo first")
	unharmed(t, map[string]string{
		"app": fmt.Sprintf("[service]\nexec = %q\n[lifecycle]\nrestart_delay_ms = 10\nrestart_delay_max_ms = 100\n", program),
	}, func(s *server) {
		says := func(text string) {
			t.Helper()
			eventually(t, "app says "+text, func() bool { return strings.Contains(s.ok("logs", "app", "-n", "1"), text) })
		}
		says("first")
		pid := s.status("app").PID
		install("echo second")
		s.ok("reload")
		if st := s.status("app"); st.PID != pid || st.State != running || st.ConfigChanged {
			t.Errorf("another file at its place did something: %+v", st)
		}
		s.ok("kill", "app", "KILL")
		says("second")
		if err := os.Remove(program); err != nil {
			t.Fatal(err)
		}
		s.is("running", "app")
		s.ok("stats", "app")
		s.ok("kill", "app", "KILL")
		eventually(t, "the start fails, and says why", func() bool {
			st := s.status("app")
			return st.State == failed && st.Reason.Type == "spawn_error" && strings.Contains(st.Reason.String(), program+" does not exist")
		})
		install("echo third")
		says("third")
		s.is("running", "app")
	})
}

// TestRow57_InjectedEnvironment: no variable makes the program load foreign code, and no file gives a service the mark of another.
func TestRow57_InjectedEnvironment(t *testing.T) {
	library := filepath.Join(shortDir(t), "library.so")
	if err := os.WriteFile(library, []byte("no library"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(zinitBinary(t), "version")
	cmd.Env = []string{"LD_PRELOAD=" + library, "LD_LIBRARY_PATH=" + filepath.Dir(library), "LD_AUDIT=" + library, "GCONV_PATH=" + filepath.Dir(library)}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "zinit "+version+"\n" { // a dynamic loader would complain
		t.Errorf("with LD_PRELOAD: %v: %s", err, out)
	}
	if info, err := os.Stat(zinitBinary(t)); err != nil || info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	file := filepath.Join(filepath.Dir(library), "env")
	if err := os.WriteFile(file, []byte("ZINIT_SERVICE=file\nZINIT_INVOCATION_ID=file\nONLY=file\nBOTH=file\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	unharmed(t, map[string]string{
		"app": playing(fmt.Sprintf("env_file = %q\nenv = { ZINIT_SERVICE = \"bystander\", ZINIT_INVOCATION_ID = \"0\", BOTH = \"table\", NOTIFY_SOCKET = \"mine\" }\n", file),
			"env=ZINIT_SERVICE", "env=ZINIT_INVOCATION_ID", "env=ONLY", "env=BOTH", "env=NOTIFY_SOCKET", "env=LISTEN_FDS", "print=end", "block"),
	}, func(s *server) {
		eventually(t, "app has printed all", func() bool { return strings.Contains(s.ok("logs", "app"), "end") })
		log := s.ok("logs", "app")
		says(t, log, "ZINIT_SERVICE=app\n", "ONLY=file\n", "BOTH=table\n", "NOTIFY_SOCKET=mine\n", "LISTEN_FDS unset\n")
		if !regexp.MustCompile("ZINIT_INVOCATION_ID=[0-9a-f]{32}\n").MatchString(log) {
			t.Errorf("the invocation id is not ours:\n%s", log)
		}
	})
}

// TestRow58_SameUserCannotLookInside: a service with the uid of the server, when that is not root, can neither trace the server nor open what it has open.
func TestRow58_SameUserCannotLookInside(t *testing.T) {
	s := newServer(t, map[string]string{"spy": "[service]\nexec = [\"sh\", \"-c\", \"for what in fd/0 environ mem maps; do cat /proc/$PPID/$what >/dev/null && echo open $what; done; echo end; sleep 1000\"]\n"})
	s.ordinary()
	s.run()
	eventually(t, "the spy has tried", func() bool { return strings.Contains(s.ok("logs", "spy"), "end") })
	log := s.ok("logs", "spy")
	if strings.Contains(log, "open ") || strings.Count(log, "denied") != 4 {
		t.Errorf("what the spy could do:\n%s", log)
	}
	s.ok("restart", "spy", "--wait")
	s.stop()
}

// TestDeadMount: what a service has on a mount that does not answer is trouble for this service alone.
func TestDeadMount(t *testing.T) {
	if os.Getuid() != 0 || unix.Access("/dev/fuse", unix.W_OK) != nil {
		skip(t, "a mount that hangs needs root and /dev/fuse")
	}
	dead := shortDir(t)
	quick := "[lifecycle]\nrestart = \"never\"\nstart_timeout_ms = 500\n"
	services := map[string]string{
		"other":  playing(waiting, "block"),
		"dir":    playing(waiting+"dir = \""+dead+"/dir\"\n"+quick, "block"),
		"env":    playing(waiting+"env_file = \""+dead+"/env\"\n"+quick, "block"),
		"path":   "[service]\nexec = \"program\"\nenv = { PATH = \"" + dead + "\" }\n" + waiting + quick,
		"probed": playing(waiting+"[health]\ntype = \"exec\"\ntarget = \""+dead+"/probe\"\ntimeout_ms = 100\n", "block"),
		"stops":  playing(waiting+"[lifecycle]\nstop_timeout_ms = 200\nstop_exec = \""+dead+"/stop\"\n", "block"),
		"mount":  playing(waiting+"[dependencies]\nmounts = [\""+dead+"\"]\n", "block"),
		"log":    playing(waiting+"[logging]\nfile = \""+dead+"/log\"\n", "print=here", "block"),
	}
	for n := range 20 {
		services[fmt.Sprint("p", n)] = "[service]\nexec = \"" + dead + "/program\"\n" + waiting + quick
	}
	s := newServer(t, services)
	s.prepare = func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"server", "@pid1", "hang=" + dead, "--"}, cmd.Args...)
		cmd.Path = "/proc/self/exe"
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	}
	s.run()
	for n := range 20 {
		s.ok("start", fmt.Sprint("p", n))
	}
	s.ok("start", "dir", "env", "path", "probed", "stops", "log")
	s.ok("start", "other", "mount", "--wait") // while the others hang
	for name, path := range map[string]string{"p0": "/program", "p19": "/program", "dir": "/dir", "env": "/env", "path": "/program"} {
		s.is("failed", name)
		if r := s.status(name).Reason; r == nil || !strings.HasPrefix(fmt.Sprint(r.Message), dead+path+" does not answer") {
			t.Errorf("%s failed: %+v", name, r)
		}
	}
	eventually(t, "a check that hangs has failed", func() bool {
		h := s.status("probed").Health
		return h != nil && h.Checks >= 2 && strings.Contains(fmt.Sprint(h.LastError), "hangs")
	})
	s.is("running", "stops", "log")
	eventually(t, "the ring has the line", func() bool { return strings.Contains(s.ok("logs", "log"), "here") })
	for _, name := range []string{"other", "probed", "log", "stops"} { // its end is seen
		s.ok("stop", name, "--wait")
	}
	if r := s.status("stops").Reason; r == nil || r.Type != "stop_timeout" {
		t.Errorf("the service whose stop_exec hangs failed: %+v", r)
	}
	s.stop()
}
