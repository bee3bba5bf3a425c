// client_repl_test.go talks to the REPL at a terminal, without one, as a script, and without anything around it.

//go:build linux

package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestREPL(t *testing.T) {
	s := tuiServer(t)
	home := t.TempDir()
	start := func() *tty {
		return openTTY(t, 80, 24, []string{"HOME=" + home}, zinitBinary(t), "--socket", s.path, "repl")
	}
	p := start()
	p.shows("zinit>")
	p.keys("kill web \"US\x7f\x7fHUP\"\r")
	p.shows("web: sent HUP")
	p.keys("monitor\r")
	subscriptions := func(n int) {
		eventually(t, "the subscription", func() bool { return strings.Count(strings.Join(s.requests(), " "), "events.subscribe") == n })
	}
	subscriptions(1)
	p.keys("\x03")
	p.shows("monitor\n^C\nzinit>\n")
	p.keys("nonsense\x03list 'x\r")
	p.shows("nonsense^C", "the single quote at character 6 is never closed")
	p.keys("server\r")
	p.shows("server does not run inside the repl", "\nzinit>\n")
	p.keys("lis\t\r")
	p.shows("zinit> list\nNAME ", "exit code 1", "\nzinit>\n")
	p.keys("\x04")
	p.leaves(exitDone)
	history := filepath.Join(home, ".local/state/zinit/history")
	if fi, err := os.Stat(history); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("history: %v %v", fi, err)
	}
	p = start()
	p.shows("zinit>")
	p.keys("\x12mon\r")
	p.shows("zinit> monitor")
	subscriptions(2)
	p.keys("\x03")
	p.shows("monitor\n^C\nzinit>\n")
	p.keys("\x1b[A\x1b[A\x1b[A")
	p.shows("zinit> server")
	p.keys("\x15quit\r")
	p.leaves(exitDone)
	p = start()
	p.shows("zinit>")
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	p.leaves(143)
}

func TestREPLWithoutCapabilities(t *testing.T) {
	s := tuiServer(t)
	for _, term := range []string{"TERM=dumb", "TERM="} {
		p := openTTY(t, 80, 24, []string{term}, zinitBinary(t), "--socket", s.path, "repl")
		p.shows("zinit>")
		p.keys("half a li")
		p.shows("zinit> half a li")
		p.keys("\x03")
		p.shows("^C\nzinit>")
		p.keys("is-running web\r")
		p.shows("no method service.is_running")
		p.keys("exit\r")
		p.leaves(exitDone)
		if raw := p.written(); strings.Contains(raw, "\x1b") {
			t.Errorf("%s: escapes were written: %q", term, raw)
		}
	}
}

func TestREPLReadsAScript(t *testing.T) {
	s := tuiServer(t)
	cmd := exec.Command(zinitBinary(t), "--socket", s.path, "repl")
	cmd.Stdin = strings.NewReader("kill web HUP\n\n  zinit version\nis-running web")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != exitRefused || !strings.HasPrefix(string(out), "web: sent HUP\nzinit "+version+"\n") || strings.Contains(string(out), ">") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestREPLNeedsNothing(t *testing.T) {
	cmd := exec.Command(zinitBinary(t), "repl")
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.Stdin = strings.NewReader("help list\nping\n")
	out, _ := cmd.CombinedOutput()
	if !strings.Contains(string(out), "usage: zinit list") {
		t.Errorf("without environment: %s", out)
	}
}

// TestInterruptBeforeTheConnection: Ctrl-C ends a command that has no connection yet as soon as it gets one. Another program's Ctrl-C is not for the command.
func TestInterruptBeforeTheConnection(t *testing.T) {
	for _, lent := range []bool{false, true} {
		here, there := net.Pipe()
		defer there.Close()
		i := new(interrupter)
		if lent {
			i.hold(nil)
		}
		i.interrupt()
		i.hold(here)
		if closed := here.SetDeadline(time.Time{}) != nil; closed == lent || i.interrupted() == lent {
			t.Errorf("lent to another program: %v, closed: %v, interrupted: %v", lent, closed, i.interrupted())
		}
		here.Close()
	}
}
