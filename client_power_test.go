// client_power_test.go is the manual of shutdown, poweroff, reboot and halt: now, later, by force, and by the names of other inits.

//go:build unix

package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestShutdownWords(t *testing.T) {
	for line, want := range map[string]string{
		"":                   "shutdown +1 -P",
		"now":                "shutdown now -P",
		"+5 disk change":     "shutdown +5 disk change -P",
		"-h now":             "shutdown -P now",
		"-hP now":            "shutdown -PP now",
		"-r":                 "shutdown -r",
		"-r +10 back at ten": "shutdown -r +10 back at ten",
		"-H now":             "shutdown -H now",
		"-c":                 "shutdown -c",
	} {
		if got := strings.Join(shutdownWords(strings.Fields(line)), " "); got != want {
			t.Errorf("shutdown %s: %s, want %s", line, got, want)
		}
	}
}

// TestShutdownLater: a time turns a shutdown into a plan, which is answered at once.
func TestShutdownLater(t *testing.T) {
	for line, call := range map[string]string{
		"shutdown +2":                     `system.shutdown {"delay_ms":120000}`,
		"shutdown -r +1 back soon":        `system.reboot {"delay_ms":60000,"message":"back soon"}`,
		"shutdown -P +1":                  `system.poweroff {"delay_ms":60000}`,
		"shutdown -H +1":                  `system.halt {"delay_ms":60000}`,
		"shutdown -c":                     `system.shutdown {"cancel":true}`,
		"shutdown --cancel":               `system.shutdown {"cancel":true}`,
		"shutdown --reboot +1 --no-color": `system.reboot {"delay_ms":60000}`,
	} {
		s := fakeServe(t, map[string]string{call: `{"ok":true}`})
		if r := s.via(t, strings.Fields(line)...); r.code != exitDone {
			t.Errorf("%s: exit code %d\n%s", line, r.code, r.err)
		}
	}
	s := fakeServe(t, map[string]string{"system.reboot": "EOF"})
	s.via(t, "shutdown", "-r").exits(t, exitDone)
	s.via(t, "shutdown", "-r", "now").exits(t, exitDone)
	says(t, s.via(t, "shutdown", "tomorrow").exits(t, exitUsage).err, "bad time `tomorrow`: now or +MINUTES")
}

// TestInitNames: whoever is not PID 1 and is called init tells the real one by 0 and 6; shutdown is a program too.
func TestInitNames(t *testing.T) {
	t.Setenv("ZINIT_SOCKET", "/nonexistent/s")
	var errs strings.Builder
	old := stderr
	stderr = &errs
	defer func() { stderr = old }()
	for _, line := range []string{"init 0", "/sbin/init 6", "shutdown", "shutdown -r now"} {
		if code := role(strings.Fields(line), 99); code != exitNoServer {
			t.Errorf("%s: exit code %d", line, code)
		}
	}
}

// TestForceNeedsRoot: -f asks nobody, and is for root only.
func TestForceNeedsRoot(t *testing.T) {
	for _, name := range []string{"poweroff", "reboot", "halt"} {
		cmd := exec.Command(zinitBinary(t), name, "-f")
		if os.Getuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 61000, Gid: 61000}}
		}
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), name+": operation not permitted") {
			t.Errorf("%s -f: %v, %s", name, err, out)
		}
	}
}
