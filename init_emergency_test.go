// init_emergency_test.go tries the console of an emergency.

//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// emergencyTree has a console that is a terminal of the test.
func emergencyTree(t *testing.T) (*emergencyConsole, *os.File) {
	t.Helper()
	master, slave := openPTY(t)
	b := treeOf(t, map[string]string{"/dev/x": ""})
	if err := os.Symlink(slave.Name(), b.path("/dev/console")); err != nil {
		t.Fatal(err)
	}
	e := newEmergencyConsole(waitUntilEnd)
	e.root = b.root
	return e, master
}

// typeAndRead opens the room, types when it is asked to, and gives what was printed until the room was left.
func typeAndRead(t *testing.T, e *emergencyConsole, master *os.File, prompt, keys string) (printed, wish string) {
	t.Helper()
	done := make(chan string, 1)
	go func() { done <- e.open("web is failed \x1b[2J") }()
	buf := make([]byte, 4096)
	for !strings.Contains(printed, prompt) {
		n, err := master.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		printed += string(buf[:n])
	}
	if _, err := io.WriteString(master, keys); err != nil {
		t.Fatal(err)
	}
	wish = <-done
	for { // what is left in the terminal; it was not closed: the test holds its other end
		if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(master.Fd()), Events: unix.POLLIN}}, 0); n == 0 {
			return printed, wish
		}
		n, err := master.Read(buf)
		if err != nil {
			return printed, wish
		}
		printed += string(buf[:n])
	}
}

func TestEmergencyGivesAShellWithJobControl(t *testing.T) {
	e, master := emergencyTree(t)
	if err := os.MkdirAll(filepath.Join(e.root, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/bin/sh", filepath.Join(e.root, "bin/sh")); err != nil {
		t.Fatal(err)
	}
	e.sleep = func(time.Duration) {}
	printed, wish := typeAndRead(t, e, master, "to try again", "exec 3</dev/tty && echo terminal-$((40+2)); exit\n")
	if wish != "" || !strings.Contains(printed, "terminal-42") || !strings.Contains(printed, "emergency: web is failed ^[[2J; in a container use `zinit init -c`\r") {
		t.Errorf("wish %q, printed:\n%s", wish, printed)
	}
}

// TestForgottenContainerFlag: without -c a container with a CMD ends, and says why; there is nobody at its console.
func TestForgottenContainerFlag(t *testing.T) {
	t.Parallel()
	b := startInit(t, nil, boxOptions{system: true, cmd: []string{actorBinary(t), "exit=0"}})
	if code := b.ends(patience); code != exitUsage || !strings.Contains(b.output(), "a program behind -- belongs to a container; add -c") {
		t.Errorf("exit code %d", code)
	}
}

func TestRow41_EmergencyWithoutAShellIsALineLoop(t *testing.T) {
	e, master := emergencyTree(t)
	consoleProgram = func() string { return "/bin/echo" }
	defer func() { consoleProgram = ownProgram }()
	writeTree(t, e.root, map[string]string{"/etc/motd": "look \x1b[31m here\n"})
	keys := "nonsense\nshow " + e.root + "/etc\nshow " + e.root + "/etc/motd\nshow /no/such\nreboot\n"
	printed, wish := typeAndRead(t, e, master, "zinit> ", keys)
	if wish != "reboot" {
		t.Errorf("wish %q", wish)
	}
	for _, want := range []string{"nonsense\r", "motd\r", "look ^[[31m here", "no such file"} {
		if !strings.Contains(printed, want) {
			t.Errorf("missing %q in:\n%s", want, printed)
		}
	}
}

func TestRow41_EmergencyThatEndsAtOnceIsSlowedDown(t *testing.T) {
	e, _ := emergencyTree(t)
	var pauses []time.Duration
	e.sleep = func(d time.Duration) { pauses = append(pauses, d) }
	writeTree(t, e.root, map[string]string{"/bin/sh": ""})
	e.run = func(func() (int, error)) error { return nil }
	for range 7 {
		if wish := e.open("x"); wish != "" {
			t.Fatalf("wish %q", wish)
		}
	}
	if err := os.Remove(filepath.Join(e.root, "/dev/console")); err != nil {
		t.Fatal(err)
	}
	e.open("without a console") // row 17: nothing worse than a pause
	if got := fmt.Sprint(pauses); got != "[1s 2s 4s 8s 16s 30s 30s 30s]" {
		t.Errorf("pauses %s", got)
	}
}

// TestEmergencyOutlivesAPanic: the room is offered again, a moment later.
func TestEmergencyOutlivesAPanic(t *testing.T) {
	e, _ := emergencyTree(t)
	slept := 0
	e.sleep = func(time.Duration) { slept++ }
	e.run = func(func() (int, error)) error { panic("as the test wants it") }
	if err := os.MkdirAll(filepath.Join(e.root, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(e.root, "bin/sh"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if wish := e.offer("a test"); wish != "" || slept != 1 {
		t.Errorf("wish %q, slept %d times", wish, slept)
	}
}
