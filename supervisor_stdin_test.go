// supervisor_stdin_test.go is the manual of what is sent to the stdin of a service: by send, by attach, and over the death of servers.

//go:build linux

package main

import (
	"os/exec"
	"strings"
	"testing"
)

// echoing is a service that says what it reads.
const echoing = `[service]
exec = ["/bin/sh", "-c", "while read -r line; do echo got $line; done; echo closed"]
stdin = "pipe"
`

func TestSend(t *testing.T) {
	s := startServer(t, map[string]string{
		"echo": echoing,
		"deaf": playing("stdin = \"pipe\"\n", "block"),
		"shut": "[service]\nexec = \"exec <&-; echo shut; sleep 1000\"\nstdin = \"pipe\"\n",
		"null": playing("", "block"),
		"down": playing("stdin = \"pipe\"\nstatus = \"stop\"\n", "block"),
	})
	s.is("running", "echo", "deaf", "shut", "null")
	s.ok("send", "echo", "hello world")
	s.logged("echo", "got hello world")
	old := s.status("echo").PID
	s.ok("restart", "echo", "--wait")
	s.ok("send", "echo", "again")
	s.logged("echo", "got again")
	if s.status("echo").PID == old {
		t.Error("it was not restarted")
	}
	s.logged("shut", "shut")
	for name, want := range map[string]string{"null": "its stdin is no pipe", "down": "has no process", "shut": "closed its stdin"} {
		if out, code := s.zinit("send", name, "x"); code == 0 || !strings.Contains(out, want) {
			t.Errorf("send to %s: exit code %d, %s", name, code, out)
		}
	}
	c := s.dial()
	line := strings.Repeat("x", 4095)
	for n := range 100 { // 16 of them fill the pipe
		if _, fail := c.try("service.send", `{"name":"deaf","text":"`+line+`"}`); fail != nil {
			if fail.Data["kind"] != string(kindInvalidState) || !strings.Contains(fail.Message, "is full") || n == 0 {
				t.Errorf("message %d: %+v", n, fail)
			}
			return
		}
	}
	t.Error("a pipe that nobody reads is never full")
}

// TestAttach: what is typed goes to the service, what it answers is shown, and the end of the input ends attach alone.
func TestAttach(t *testing.T) {
	s := startServer(t, map[string]string{"echo": echoing, "null": playing("", "block")})
	s.is("running", "echo", "null")
	cmd := exec.Command(zinitBinary(t), "--socket", s.socket, "attach", "echo")
	cmd.Stdin = strings.NewReader("one\ntwo\nlast, without a newline")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	says(t, string(out), "got one\ngot two\ngot last, without a newline\n")
	s.is("running", "echo")
	if out, code := s.zinit("attach", "null"); code != exitRefused || !strings.Contains(out, "is no pipe") {
		t.Errorf("attach to null: exit code %d, %s", code, out)
	}
}

// TestStdinOutlivesServers: a service does not see that the server died, and what is sent to the next one arrives.
func TestStdinOutlivesServers(t *testing.T) {
	t.Run("standalone", func(t *testing.T) {
		s := startServer(t, map[string]string{"echo": echoing})
		s.ok("send", "echo", "one")
		s.logged("echo", "got one")
		pid := s.status("echo").PID
		_ = s.cmd.Process.Kill()
		<-s.ended
		s.ended <- nil
		s.run()
		s.ok("send", "echo", "two")
		s.logged("echo", "got two")
		if now := s.status("echo"); now.PID != pid || strings.Contains(s.ok("logs", "echo"), "closed") {
			t.Errorf("it was pid %d and is %+v", pid, now)
		}
		s.ok("stop", "echo", "--wait")
	})
	t.Run("under the keeper", func(t *testing.T) {
		b := startInit(t, map[string]string{"echo": "[service]\nstdin = \"pipe\"\nexec = [\"" + shell(t) + "\", \"-c\", \"while read -r line; do echo got $line; done; echo closed\"]\n"}, boxOptions{notOne: true}).up()
		b.ok("send", "echo", "one")
		b.logged("echo", "got one")
		pid, old := b.status("echo").PID, b.serverPID()
		_ = sysKill(old, sigKill)
		b.newServer(old)
		b.up()
		b.ok("send", "echo", "two")
		b.logged("echo", "got two")
		if now := b.status("echo"); now.PID != pid || strings.Contains(b.ok("logs", "echo"), "closed") {
			t.Errorf("it was pid %d and is %+v", pid, now)
		}
	})
}
