// init_test.go tries PID 1 as a whole: signals, empty roots, and a keeper that is not PID 1.

//go:build linux

package main

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestKeeperBesideAnother: without -c a keeper is PID 1 or nothing; with it, it leaves a live server's services alone.
func TestKeeperBesideAnother(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "touch="+shortDir(t)+"/web block")}, boxOptions{notOne: true}).up()
	b.is("running", "web")
	for _, row := range []struct {
		words []string
		says  string
	}{
		{[]string{"init"}, "`zinit server`"},
		{[]string{"init", "-c", "--socket", b.socket, "--config-dir", b.dir + "/services", "--", "/bin/true"}, "a server is live at " + b.socket},
	} {
		cmd := exec.Command(zinitBinary(t), row.words...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != exitRefused || !strings.Contains(string(out), row.says) {
			t.Errorf("zinit %s: %v\n%s", strings.Join(row.words, " "), err, out)
		}
	}
}

func TestRow44_SignalTable(t *testing.T) {
	t.Parallel()
	b := func(t *testing.T) *box {
		t.Parallel()
		return startInit(t, map[string]string{"web": service(t, "print=hello block")}, boxOptions{}).up()
	}
	for _, row := range []struct {
		name string
		n    int
	}{{"SIGTERM", sigTerm}, {"SIGINT", sigInt}, {"SIGPWR", sigPwr}, {"SIGRTMIN+3", sigRtmin + 3}, {"SIGRTMIN+4", sigRtmin + 4}, {"SIGRTMIN+5", sigRtmin + 5}} {
		t.Run(row.name+" ends the container", func(t *testing.T) {
			b := b(t)
			b.is("running", "web")
			b.signal(row.n)
			if code := b.ends(patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
	t.Run("SIGHUP reloads", func(t *testing.T) {
		b := b(t)
		b.write("late", service(t, "block"))
		b.signal(sigHup)
		eventually(t, "late runs", func() bool { out, _ := b.zinit("list"); return strings.Contains(out, "late") })
		b.is("running", "late", "web")
	})
	t.Run("SIGUSR1 replaces the server", func(t *testing.T) {
		b := b(t)
		b.is("running", "web")
		pid, old := b.status("web").PID, b.serverPID()
		b.signal(sigUsr1)
		b.newServer(old)
		b.up()
		if st := b.status("web"); st.PID != pid || st.State != running || st.RestartCount != 0 {
			t.Errorf("web was pid %d and is %+v", pid, st)
		}
		if out := b.ok("logs", "web"); !strings.Contains(out, "hello") {
			t.Errorf("the log lines did not survive a planned restart: %q", out)
		}
	})
	t.Run("SIGUSR2 goes over to the binary on disk", func(t *testing.T) {
		b := b(t)
		b.is("running", "web")
		pid, old := b.status("web").PID, b.serverPID()
		b.signal(sigUsr2)
		b.newServer(old)
		b.says("PID 1 is version " + version + " now")
		b.up()
		if st := b.status("web"); st.PID != pid || st.State != running {
			t.Errorf("web was pid %d and is %+v", pid, st)
		}
		b.signal(sigTerm)
		if code := b.ends(patience); code != 0 {
			t.Errorf("exit code %d after the upgrade and SIGTERM", code)
		}
	})
	t.Run("others do nothing", func(t *testing.T) {
		b := b(t)
		b.is("running", "web")
		pid, old := b.status("web").PID, b.serverPID()
		meaning := []int{sigHup, sigInt, sigKill, sigUsr1, sigUsr2, sigTerm, sigQuit, sigStop, sigPwr, sigRtmin + 3, sigRtmin + 4, sigRtmin + 5}
		for n := 1; n <= 64; n++ {
			if !slices.Contains(meaning, n) {
				b.signal(n)
			}
		}
		b.write("late", service(t, "block"))
		b.signal(sigHup)
		b.is("running", "web", "late")
		if b.status("web").PID != pid || b.serverPID() != old {
			t.Error("a signal without a meaning did something")
		}
		// Those of the C library would kill a PID 1 that blocks them for a moment: it ignores them, and nobody else does.
		private := func(pid int) uint64 {
			data, _ := os.ReadFile(procPath(pid, "/status"))
			_, ignored, _ := strings.Cut(string(data), "SigIgn:\t")
			mask, _, _ := strings.Cut(ignored, "\n")
			n, err := strconv.ParseUint(mask, 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n >> 31 & 7
		}
		if got := private(b.cmd.Process.Pid); got&5 != 5 {
			t.Errorf("of the signals 32 to 34 PID 1 ignores %b", got)
		}
		children := sysChildren(nil, b.cmd.Process.Pid)
		for _, pid := range children {
			if got := private(pid); got != 0 {
				t.Errorf("of the signals 32 to 34 process %d ignores %b", pid, got)
			}
		}
		if len(children) != 3 { // the server and two services
			t.Errorf("PID 1 has the children %v", children)
		}
	})
}

// TestRow50_NotPID1: as an ordinary child it reaps all the same and ends with CMD's code.
func TestRow50_NotPID1(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"side": service(t, "print=up block")}, boxOptions{notOne: true, flags: []string{"-s"},
		cmd: []string{actorBinary(t), "orphans=300", "print=here", "on=15:9", "block"}}).up()
	b.says("\nhere\n")
	eventually(t, "the orphans are reaped", func() bool { return len(b.children()) == 3 })
	side := b.status("side").PID
	b.signal(sigTerm)
	if code := b.ends(patience); code != 9 {
		t.Errorf("exit code %d", code)
	}
	if alive(side) {
		t.Error("a service is left")
	}
}

// TestParentSignal: -p is what CMD gets when our parent dies.
func TestParentSignal(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		skip(t, "a mount namespace needs root")
	}
	dir := shortDir(t)
	if err := os.Mkdir(dir+"/services", 0o755); err != nil {
		t.Fatal(err)
	}
	parent := exec.Command("/proc/self/exe", "@pid1", "dev", "--", "/bin/sh", "-c", `"$@" & wait`, "sh", zinitBinary(t), "init", "-c", "-p", "SIGUSR1", "--socket", dir+"/s", "--config-dir", dir+"/services", "--",
		actorBinary(t), "sign=10:"+dir+"/got", "touch="+dir+"/ready", "block")
	parent.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "CMD runs", func() bool { _, err := os.Stat(dir + "/ready"); return err == nil })
	_ = parent.Process.Kill()
	_ = parent.Wait()
	eventually(t, "CMD has got the signal", func() bool { _, err := os.Stat(dir + "/got"); return err == nil })
	eventually(t, "all have ended", func() bool { _, err := os.Stat(dir + "/s"); return err != nil })
}

func TestRow46_EmptyRoots(t *testing.T) {
	t.Parallel()
	needs(t, "nsenter")
	for _, row := range []struct {
		name   string
		dirs   []string // in the root, open to all
		enter  []string
		socket string
	}{
		{"nothing but the program", nil, nil, "/run/zinit.sock"},
		{"with /proc", []string{"proc"}, []string{"proc"}, "/run/zinit.sock"},
		{"read-only", []string{"proc"}, []string{"proc", "ro"}, "@zinit"},
		{"read-only without /proc", nil, []string{"ro"}, "@zinit"},
		{"another uid, /tmp", []string{"proc", "tmp"}, []string{"proc", "uid=1234"}, "/tmp"},
		{"another uid, nothing writable", nil, []string{"ro", "uid=1234"}, "@zinit"},
		{"no capability", []string{"proc"}, []string{"proc", "nocaps"}, "/run/zinit.sock"},
		{"no capability, another uid, read-only, /dev/shm", []string{"proc", "dev/shm"}, []string{"proc", "nocaps", "uid=1234"}, "/dev/shm/zinit."},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := startInit(t, map[string]string{"web": "[service]\nexec = [\"/actor\", \"ids\", \"print=up\", \"block\"]\n",
				"crash": "[service]\nexec = [\"/actor\", \"exit=1\"]\n[lifecycle]\nrestart_delay_ms = 100\n"}, boxOptions{empty: true, dirs: row.dirs, enter: row.enter})
			b.says("web | up")
			b.up()
			b.is("running", "web")
			b.says("listening on " + row.socket)
			pid, old := b.status("web").PID, b.serverPID()
			_ = syscall.Kill(old, syscall.SIGKILL)
			b.newServer(old)
			b.up()
			if st := b.status("web"); st.PID != pid || st.State != running {
				t.Errorf("after the death of the server web was pid %d and is %+v", pid, st)
			}
			eventually(t, "crash is still restarted", func() bool { return b.status("crash").RestartCount > 3 })
			b.signal(sigTerm)
			if code := b.ends(patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestRow65_StopSignalsOfImages: what base images have as STOPSIGNAL ends the container, or is explained once.
func TestRow65_StopSignalsOfImages(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	b.is("running", "web")
	b.signal(sigWinch)
	b.says("zinit: warn: SIGWINCH stops nothing here")
	b.signal(sigWinch)
	b.signal(sigQuit)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if n := strings.Count(b.output(), "SIGWINCH stops nothing here"); n != 1 || !strings.Contains(b.output(), "STOPSIGNAL") {
		t.Errorf("it is said %d times:\n%s", n, b.output())
	}
}

// TestRow59_TheOutputOfPID1IsOpenToRoot: CMD and services write to /proc/1/fd/1 and read /proc/1/environ, as in images of nginx, also without any capability.
func TestRow59_TheOutputOfPID1IsOpenToRoot(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": "[service]\nexec = [\"/bin/sh\", \"-c\", \"echo of-web >>/proc/1/fd/1; exec sleep 1000\"]\n"}, boxOptions{enter: []string{"nocaps"},
		cmd: []string{"/bin/sh", "-c", `echo of-cmd >>/proc/1/fd/1; tr "\\0" "\\n" </proc/1/environ | grep ZINIT_TEST_MARK; exec sleep 1000`}, env: []string{"ZINIT_TEST_MARK=seen"}})
	b.says("\nof-cmd\n")
	b.says("\nZINIT_TEST_MARK=seen\n")
	b.says("\nof-web\n")
	data, err := os.ReadFile(procPath(b.serverPID(), "/environ"))
	if err != nil || len(data) == 0 {
		t.Errorf("the environment of the server: %d bytes, %v", len(data), err)
	}
}
