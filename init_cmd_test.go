// init_cmd_test.go tries CMD, the main program of a container.

//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestCommandExitCodes(t *testing.T) {
	t.Parallel()
	actor := actorBinary(t)
	noexec := filepath.Join(shortDir(t), "noexec")
	if err := os.WriteFile(noexec, []byte("\x7fELFnothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name  string
		cmd   []string
		flags []string
		code  int
		says  string
	}{
		{"0", []string{actor, "exit=0"}, nil, 0, ""},
		{"its code", []string{actor, "print=hello", "exit=42"}, nil, 42, "hello"},
		{"128+9", []string{actor, "die=9"}, nil, 137, ""},
		{"128+15", []string{actor, "die=15"}, nil, 143, ""},
		{"not found", []string{"/no/such"}, nil, 127, "cannot run /no/such"},
		{"not in PATH", []string{"no-such-program"}, nil, 127, "cannot run no-such-program"},
		{"not executable", []string{noexec}, nil, 126, "cannot run " + noexec},
		{"-e", []string{actor, "exit=42"}, []string{"-e", "143", "-e", "42"}, 0, ""},
		{"-e of a signal", []string{actor, "die=15"}, []string{"-e", "143"}, 0, ""},
		{"found through PATH", []string{"sh", "-c", "exit 9"}, nil, 9, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := startInit(t, map[string]string{"side": service(t, "block")}, boxOptions{cmd: row.cmd, flags: row.flags})
			if code := b.ends(patience); code != row.code {
				t.Errorf("exit code %d, not %d", code, row.code)
			}
			if !strings.Contains(b.output(), row.says) {
				t.Errorf("it does not say %q", row.says)
			}
		})
	}
}

// TestRow43_CommandGetsEverySignal as often as it comes. CMD is the only one who knows what they mean.
func TestRow43_CommandGetsEverySignal(t *testing.T) {
	t.Parallel()
	b := startInit(t, nil, boxOptions{cmd: []string{actorBinary(t), "signals"}, flags: []string{"--rewrite", "SIGWINCH:SIGALRM", "--rewrite", "1:0", "--shutdown-timeout-ms", "60000"}})
	b.says("\nready\n")
	count := func(n int) int { return strings.Count(b.output(), fmt.Sprintf("got %d\n", n)) }
	for n := 2; n <= 64; n++ {
		switch n {
		case 3, sigKill, sigStop, sigChld, sigUrg, sigProf, int(syscall.SIGWINCH), 32, 33, 34: // URG, PROF and the first of the real-time ones are for the Go runtime alone
			continue
		}
		for times := 1; times <= 3; times++ {
			before := count(n)
			b.signal(n)
			eventually(t, fmt.Sprintf("CMD has got signal %d for the %d. time", n, times), func() bool { return count(n) > before })
		}
	}
	before := count(14)
	b.signal(1)
	b.signal(28)
	eventually(t, "SIGWINCH came as SIGALRM", func() bool { return count(14) == before+1 })
	if count(1)+count(28) > 0 {
		t.Error("CMD has got what --rewrite takes away")
	}
	b.signal(3)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestCommandGetsOneSignalForOne: the shutdown that SIGTERM or SIGINT begins brings no second signal to CMD.
func TestCommandGetsOneSignalForOne(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ sent, got int }{{sigInt, sigInt}, {sigTerm, 3}} {
		t.Run(signalName(row.sent), func(t *testing.T) {
			t.Parallel()
			b := startInit(t, nil, boxOptions{cmd: []string{actorBinary(t), "signals"}, flags: []string{"--rewrite", "15:QUIT", "--shutdown-timeout-ms", "4000"}}).up()
			b.says("\nready\n")
			b.signal(row.sent)
			if row.got != 3 { // at which it ends
				b.is("stopping", "cmd")
			}
			code := b.ends(patience)
			if want := map[int]int{sigInt: 128 + sigKill, 3: 0}[row.got]; code != want {
				t.Errorf("exit code %d, not %d", code, want)
			}
			if got := strings.Count(b.output(), "got "); got != 1 || !strings.Contains(b.output(), fmt.Sprintf("got %d\n", row.got)) {
				t.Errorf("CMD has got %d signals:\n%s", got, b.output())
			}
		})
	}
}

func TestCommandGroup(t *testing.T) {
	t.Parallel()
	for _, group := range []bool{false, true} {
		t.Run(fmt.Sprint(group), func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			o := boxOptions{cmd: []string{actorBinary(t), "fork=sign=10:" + dir + "/got,touch=" + dir + "/ready,block", "await=" + dir + "/ready", "signals"}}
			if group {
				o.flags = []string{"-g"}
			}
			b := startInit(t, nil, o)
			b.says("\nready\n")
			b.signal(sigUsr1)
			b.says("got 10\n")
			if group {
				eventually(t, "the child has got it too", func() bool { _, err := os.Stat(dir + "/got"); return err == nil })
			} else if _, err := os.Stat(dir + "/got"); err == nil {
				t.Error("without -g the child of CMD has got the signal")
			}
		})
	}
}

// TestCommandIsAService: it is listed, it comes after the services, and what would make no sense is refused.
func TestCommandIsAService(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	b := startInit(t, map[string]string{
		"slow": service(t, "touch="+dir+"/slow block", "[health]\ntype = \"exec\"\ntarget = \"test -e "+dir+"/healthy\"\nstart_interval_ms = 20"),
		"cmd":  service(t, "block"),
	}, boxOptions{cmd: []string{actorBinary(t), "touch=" + dir + "/cmd", "print=here", "on=15:7", "block"}, flags: []string{"--cmd-wait-ms", "60000"}}).up()
	eventually(t, "slow starts", func() bool { _, err := os.Stat(dir + "/slow"); return err == nil })
	if _, err := os.Stat(dir + "/cmd"); err == nil {
		t.Error("CMD did not wait for slow")
	}
	if err := os.WriteFile(dir+"/healthy", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b.says("\nhere\n") // no prefix: it has the container's own stdout
	b.says("cmd is the name of the main program")
	b.is("running", "cmd")
	st := b.status("cmd")
	if st.Class != "system" || st.PID == 0 {
		t.Errorf("cmd is %+v", st)
	}
	for _, args := range [][]string{{"restart", "cmd"}, {"delete", "cmd"}, {"call", "service.set", `{"config": {"service": {"name": "cmd", "exec": "true"}}}`}} {
		if out, code := b.zinit(args...); code != 1 {
			t.Errorf("%v: exit code %d\n%s", args, code, out)
		}
	}
	if out := b.ok("stop", "cmd"); out != "cmd: stopping\n" {
		t.Errorf("stop says %q", out)
	}
	if code := b.ends(patience); code != 7 {
		t.Errorf("the stop of cmd is a shutdown; exit code %d, not CMD's 7", code)
	}
}

// TestCommandComesLater than --cmd-wait-ms at no price.
func TestCommandComesLater(t *testing.T) {
	t.Parallel()
	after := func(ms string) *box {
		return startInit(t, map[string]string{"slow": service(t, "block", "[lifecycle]\nstart_timeout_ms = 0\n[health]\ntype = \"exec\"\ntarget = \"/bin/false\"")},
			boxOptions{cmd: []string{actorBinary(t), "print=here", "exit=6"}, flags: []string{"--cmd-wait-ms", ms}})
	}
	patient, hasty := after("600000"), after("200")
	if code := hasty.ends(patience); code != 6 {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains("\n"+patient.output(), "\nhere\n") {
		t.Error("CMD did not wait for slow as long as it should")
	}
}

// TestCommandOutlivesServices: services stop after CMD, or at three quarters of the time while CMD still runs.
func TestCommandOutlivesServices(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	b := startInit(t, map[string]string{"db": service(t, "sign=15:"+dir+"/order block")},
		boxOptions{cmd: []string{actorBinary(t), "ignore=15", "print=here", "block"}, flags: []string{"--shutdown-timeout-ms", "6000"}}).up()
	b.says("\nhere\n")
	b.is("running", "db")
	began := time.Now()
	b.signal(sigTerm)
	eventually(t, "db is asked to stop", func() bool { _, err := os.Stat(dir + "/order"); return err == nil })
	if took := time.Since(began); took < 4*time.Second {
		t.Errorf("db was stopped after %v, while CMD still ran", took)
	}
	if code := b.ends(patience); code != 137 {
		t.Errorf("exit code %d: CMD was killed", code)
	}
}

// TestCommandAloneHasNoLimit: a CMD beside no service has the time that the engine gives it, more than the 8 s of ours.
func TestCommandAloneHasNoLimit(t *testing.T) {
	t.Parallel()
	b := startInit(t, nil, boxOptions{cmd: []string{"sh", "-c", "trap 'sleep 9; echo saved; exit 3' TERM; echo here; while :; do sleep 0.1; done"}}).up()
	b.says("here\n")
	b.signal(sigTerm)
	if code := b.ends(patience); code != 3 || !strings.Contains(b.output(), "saved") {
		t.Errorf("exit code %d", code)
	}
}

// TestJobControl: a CMD that stops itself as under a terminal is continued: nobody else would.
func TestJobControl(t *testing.T) {
	t.Parallel()
	for _, n := range []int{sigTstp, sigTtin, sigTtou} {
		t.Run(signalName(n), func(t *testing.T) {
			t.Parallel()
			b := startInit(t, nil, boxOptions{cmd: []string{"sh", "-c", fmt.Sprintf("kill -%d $$; echo continued; exit 3", n)}})
			if code := b.ends(patience); code != 3 || !strings.Contains(b.output(), "continued") {
				t.Errorf("exit code %d", code)
			}
		})
	}
	t.Run("not PID 1 stops with it", func(t *testing.T) {
		t.Parallel()
		b := startInit(t, nil, boxOptions{notOne: true, cmd: []string{"sh", "-c", "echo here; kill -TSTP $$; echo continued; exit 3"}})
		b.says("\nhere\n")
		state := func() string {
			st, err := readStat(b.cmd.Process.Pid)
			if err != nil {
				return ""
			}
			return string(st.State)
		}
		eventually(t, "the keeper has stopped itself", func() bool { return state() == "T" })
		b.signal(sigCont)
		if code := b.ends(patience); code != 3 || !strings.Contains(b.output(), "continued") {
			t.Errorf("exit code %d", code)
		}
	})
}

// TestRow16_CommandHasTheTerminal: it is the foreground group, so that Ctrl-C goes to it and to nobody else.
func TestRow16_CommandHasTheTerminal(t *testing.T) {
	t.Parallel()
	ours, theirs := openPTY(t)
	b := startInit(t, map[string]string{"side": service(t, "block")}, boxOptions{cmd: []string{actorBinary(t), "tty", "on=2:5", "print=here", "block"}, stdin: theirs, tty: true})
	var mu sync.Mutex
	var seen bytes.Buffer
	go func() {
		buf := make([]byte, 4096)
		for n, err := ours.Read(buf); err == nil; n, err = ours.Read(buf) {
			mu.Lock()
			seen.Write(buf[:n])
			mu.Unlock()
		}
	}()
	text := func() string { mu.Lock(); defer mu.Unlock(); return seen.String() }
	eventually(t, "CMD runs on the terminal", func() bool { return strings.Contains("\n"+text(), "\nhere\r") })
	if !strings.Contains(text(), "tty true foreground true") {
		t.Errorf("CMD says %q", text())
	}
	if _, err := ours.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	if code := b.ends(patience); code != 5 {
		t.Errorf("exit code %d: Ctrl-C did not reach CMD alone\n%s", code, text())
	}
}

// TestCMDAloneHasTheTerminalToItself: in the place of tini, with no services and all well, nothing but what CMD prints is seen.
func TestCMDAloneHasTheTerminalToItself(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		skip(t, "a mount namespace needs root")
	}
	for _, row := range []struct {
		flags []string
		code  int
		want  string
	}{{nil, 0, "hello\n"}, {nil, 3, "hello\n"}, {[]string{"--log-level", "info"}, 0, "listening on"}} {
		argv := append([]string{"@pid1", "dev", "--", zinitBinary(t), "init", "-c", "-s", "--socket", shortDir(t) + "/s"}, row.flags...)
		cmd := exec.Command("/proc/self/exe", append(argv, "--", "/bin/sh", "-c", "echo hello; exit "+strconv.Itoa(row.code))...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		cmd.Env = append(os.Environ(), "ZINIT_CONFIG_DIR=")
		out, err := cmd.CombinedOutput()
		if got := string(out); cmd.ProcessState.ExitCode() != row.code || row.flags == nil && got != row.want || !strings.Contains(got, row.want) {
			t.Errorf("%q: %v, printed %q, want %q", row.flags, err, got, row.want)
		}
	}
}
