// logs_syslog_test.go tries the syslog socket.

//go:build linux

package main

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// loggedLines are the lines of a service.
func (s *server) loggedLines(service string) (lines []logLine) {
	s.t.Helper()
	out, code := s.zinit("call", "logs.filter", `{"service": "`+service+`", "lines": 100000}`)
	if err := json.Unmarshal([]byte(out), &lines); err != nil || code != 0 {
		s.t.Fatalf("logs.filter: %d %v\n%s", code, err, out)
	}
	return lines
}

// TestSyslog: a message goes to the log of the service whose process sent it, whatever that process is to it; else to syslog.
func TestSyslog(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	b := startInit(t, map[string]string{
		"main":  service(t, "syslog=main[7]:here print=end block", "[logging]\nformat = \"time\"\nfile = \""+dir+"/main.log\""),
		"child": service(t, "daemon=syslog=child:here,sleep=300 print=end block"),
		"away":  service(t, "daemon=setsid,syslog=away:here,sleep=300 print=end block"),
		"odd":   service(t, "rawlog=<999999>what rawlog=<34>1-5424 rawlog= rawlog=<13>no-time print=end block"),
	}, boxOptions{}).up()
	for name, want := range map[string][]string{"main": {"main[7]:here"}, "child": {"child:here"}, "away": {"away:here"}, "odd": {"<999999>what", "1-5424", "", "no-time"}} {
		var got []string
		eventually(t, name+" has its messages", func() bool {
			got = nil
			for _, l := range b.loggedLines(name) {
				if l.Stream == "syslog" {
					got = append(got, l.Text)
				}
			}
			return len(got) >= len(want)
		})
		if !slices.Equal(got[:len(want)], want) {
			t.Errorf("%s has %q, not %q", name, got, want)
		}
	}
	b.says("\nchild | child:here\n")
	eventually(t, "the file has it", func() bool {
		text, _ := os.ReadFile(dir + "/main.log")
		return strings.Contains(string(text), "Z syslog main[7]:here\n")
	})
	// What belongs to no service.
	stranger := exec.Command("nsenter", "-t", strconv.Itoa(b.cmd.Process.Pid), "-m", "-p", actorBinary(t), "syslog=stranger:here")
	needs(t, "nsenter")
	if out, err := stranger.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "syslog has it", func() bool {
		all := b.loggedLines("syslog")
		return len(all) == 1 && all[0].Text == "stranger:here" && all[0].Stream == "syslog"
	})
	if out := b.ok("call", "logs.get", `{"name": "syslog"}`); !strings.Contains(out, "stranger:here") {
		t.Errorf("logs.get of syslog: %s", out)
	}
	if out := b.ok("logs", "syslog"); !strings.Contains(out, "stranger:here") {
		t.Errorf("zinit logs syslog: %s", out)
	}
}

// TestSyslogSurvives: what is sent while there is no server waits for the next one, and nothing is lost, nor held up for longer than that takes.
func TestSyslogSurvives(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	b := startInit(t, map[string]string{"talker": service(t, "syslogs=3000:700 touch="+dir+"/done block", "[logging]\nconsole = false\nfile = \""+dir+"/log\"")}, boxOptions{}).up()
	kills := 0
	for began := time.Now(); time.Since(began) < 20*time.Second; kills++ {
		if _, err := os.Stat(dir + "/done"); err == nil {
			break
		}
		old := b.newServer(0)
		<-time.After(time.Duration(rand.IntN(200)) * time.Millisecond)
		if kills%4 == 3 {
			b.signal(sigUsr1)
		} else {
			_ = syscall.Kill(old, syscall.SIGKILL)
		}
		b.newServer(old)
	}
	b.up()
	var got []string
	eventually(t, "the last message is in the file", func() bool {
		got = lines(dir + "/log")
		return len(got) > 0 && got[len(got)-1] == "3000"
	})
	if twice := len(got) - 3000; twice < 0 || twice > kills {
		t.Errorf("3000 messages were sent, %d are in the file", len(got))
	}
	if got = slices.Compact(got); len(got) != 3000 {
		t.Errorf("%d of 3000 messages are in the file", len(got))
	}
	t.Logf("%d servers died", kills)
}

// TestRow70_DevLogIsTakenAgain: another program takes /dev/log as rsyslog does, and when it has gone, with its file or without, messages come to us again. So they do
// with the next server.
func TestRow70_DevLogIsTakenAgain(t *testing.T) {
	t.Parallel()
	needs(t, "python3", "nsenter")
	taker := `import os, socket, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (os.unlink("/dev/log") if sys.argv[1] == "clean" else None, sys.exit(0)))
os.unlink("/dev/log")
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/dev/log")
print("taken", flush=True)
while True:
    print("taker has", s.recv(1000).decode(), flush=True)
`
	taking := func(how string) string {
		return "[service]\nexec = [\"python3\", \"-c\", " + tomlString(taker) + ", \"" + how + "\"]\nstatus = \"stop\"\n"
	}
	b := startInit(t, map[string]string{"clean": taking("clean"), "killed": taking("killed")}, boxOptions{}).up()
	send := func(text string) error {
		return exec.Command("nsenter", "-t", strconv.Itoa(b.cmd.Process.Pid), "-m", "-p", actorBinary(t), "syslog="+text).Run()
	}
	heard := func(text string) func() bool {
		return func() bool {
			_ = send(text)
			return slices.ContainsFunc(b.loggedLines("syslog"), func(l logLine) bool { return l.Text == text })
		}
	}
	eventually(t, "syslog is served", heard("at:first"))
	for _, name := range []string{"clean", "killed"} {
		b.ok("start", name, "--wait")
		eventually(t, name+" has it", func() bool { _ = send("to:" + name); return strings.Contains(b.ok("logs", name), "to:"+name) })
		if name == "clean" {
			b.ok("stop", name, "--wait")
		} else {
			b.ok("kill", name, "KILL")
			b.ok("stop", name, "--wait")
		}
		eventually(t, "syslog is served again after "+name, heard("after:"+name))
	}
	old := b.serverPID()
	_ = syscall.Kill(old, syscall.SIGKILL)
	b.newServer(old)
	b.up()
	eventually(t, "the next server hears it", heard("at:last"))
}
