// init_later_test.go tries a shutdown at a later time: who is warned, who keeps the time, and that it comes.

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// plannedAt is when the shutdown that is planned begins; nil: none is.
func (b *box) plannedAt() *int64 {
	b.t.Helper()
	var info infoResult
	if err := json.Unmarshal([]byte(b.ok("--json", "info")), &info); err != nil {
		b.t.Fatal(err)
	}
	return info.ShutdownAtMS
}

// TestRow78_ShutdownLater: the keeper keeps the time, over the death of the server and over its own upgrade, until it is cancelled or comes.
func TestRow78_ShutdownLater(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	b.is("running", "web")
	if b.plannedAt() != nil {
		t.Fatal("a shutdown is planned by nobody")
	}
	b.ok("shutdown", "-c") // none is planned: no error
	b.ok("shutdown", "-r", "+5", "disk change")
	b.says("disk change")
	first := b.plannedAt()
	if first == nil || time.Until(time.UnixMilli(*first)) > 5*time.Minute || time.Until(time.UnixMilli(*first)) < 2*time.Minute {
		t.Fatalf("planned at %v", first)
	}
	old := b.serverPID()
	_ = sysKill(old, sigKill)
	b.newServer(old)
	b.up()
	if now := b.plannedAt(); now == nil || *now-*first > 10000 || *first-*now > 10000 {
		t.Errorf("the next server has it at %v, the first one at %d", now, *first)
	}
	b.signal(sigUsr2)
	b.says("PID 1 is version")
	b.up()
	if b.plannedAt() == nil {
		t.Error("the next PID 1 has forgotten it")
	}
	b.ok("shutdown", "-c")
	b.says("the planned shutdown is cancelled")
	if b.plannedAt() != nil {
		t.Error("it is cancelled, and planned")
	}
	b.ok("call", "system.poweroff", `{"delay_ms": 300}`)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	b.says("the planned exit begins")
}

// TestRow78_WithoutAServer: where no server answers root tells PID 1 by a signal, and by force the kernel.
func TestRow78_WithoutAServer(t *testing.T) {
	t.Parallel()
	needs(t, "nsenter")
	start := func() *box {
		return startInit(t, map[string]string{"web": "[service]\nexec = [\"/actor\", \"block\"]\n"}, boxOptions{system: true, empty: true, dirs: []string{"dev"}, enter: []string{"tmpfs=dev"}}).up()
	}
	b := start()
	if err := os.Remove(fmt.Sprintf("/proc/%d/root/run/zinit.sock", b.cmd.Process.Pid)); err != nil {
		t.Fatal(err)
	}
	if out, code := b.zinit("poweroff"); code != exitDone || !strings.Contains(out, "no server answers; PID 1 was told by a signal") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	b = start()
	b.zinit("reboot", "-f")
	if code := b.ends(patience); code != -1 || b.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGHUP { // so the kernel says in a pid namespace: reboot(2)
		t.Errorf("exit code %d", code)
	}
}

// TestStandalonePlansNothing: nobody would keep the time.
func TestStandalonePlansNothing(t *testing.T) {
	s := startServer(t, nil)
	for _, words := range []string{"shutdown +1", "shutdown -r now", "poweroff"} {
		if out, code := s.zinit(strings.Fields(words)...); code != exitRefused {
			t.Errorf("%s: exit code %d, %s", words, code, out)
		}
	}
	s.ok("shutdown", "-c")
	s.ok("ping")
}

// TestTerminalsOfSessions: a shell that leads a session on a terminal is found there, and is told.
func TestTerminalsOfSessions(t *testing.T) {
	needs(t, "sleep")
	master, slave := openPTY(t)
	name := slave.Name()
	cmd := exec.Command("sleep", "1000")
	cmd.Stdin = slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	eventually(t, name+" is found", func() bool {
		for _, path := range sysSessionTerminals() {
			if path == name {
				return true
			}
		}
		return false
	})
	if err := sysTellTerminal(name, "goodbye\r\n"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := master.Read(buf); err != nil || !strings.Contains(string(buf[:n]), "goodbye") {
		t.Errorf("the terminal shows %q, %v", buf[:n], err)
	}
}
