// logs_faults_test.go tests services that print too much, full disks, and a server whose output nobody reads.

//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRow10_AServiceThatNeverStopsPrinting(t *testing.T) {
	unharmed(t, map[string]string{
		"fire":  playing(waiting+"[lifecycle]\nstop_timeout_ms = 60000\n", "fill"),
		"quiet": playing(waiting+once, "sleep=50", "print=still here", "exit=0"),
	}, func(s *server) {
		s.ok("start", "fire", "--wait")
		eventually(t, "it fills its pipe", func() bool { return strings.Contains(s.ok("logs", "fire"), "lazy dog") })
		s.ok("start", "quiet", "--wait")
		s.is("exited", "quiet")
		says(t, s.ok("logs", "quiet"), "still here")
		c, began := s.dial(), time.Now()
		for range 100 {
			c.call("service.status", `["fire"]`)
		}
		if took := time.Since(began); took > slack {
			t.Errorf("100 calls beside it took %v", took)
		}
		began = time.Now()
		s.ok("stop", "fire", "--wait")
		if took := time.Since(began); took > slack {
			t.Errorf("its stop took %v", took)
		}
	})
}

func TestRow11_HundredMegabytesOnOneLineFromAService(t *testing.T) {
	file := filepath.Join(shortDir(t), "app.log")
	unharmed(t, map[string]string{
		"long": playing(waiting+once+fmt.Sprintf("[logging]\nfile = %q\nformat = \"time\"\nmax_size_bytes = 1000000\nkeep = 1\n", file), "flood=100000000", "print=", "print=the end", "exit=0"),
	}, func(s *server) {
		s.ok("start", "long")
		s.is("exited", "long")
		var lines []logLine
		if err := json.Unmarshal(s.dial().call("logs.tail", `["long",1000]`), &lines); err != nil {
			t.Fatal(err)
		}
		if n := len(lines); n < 100 || lines[n-1].Text != "the end" {
			t.Errorf("%d lines are kept", n)
		}
		for _, l := range lines {
			if len(l.Text) > 16<<10 {
				t.Fatalf("a line of %d bytes", len(l.Text))
			}
		}
		if peak := memoryPeak(t, s.cmd.Process.Pid); peak > 80<<20 { // a server that kept the line would take more than it has
			t.Errorf("the server took %d MB", peak>>20)
		}
	})
}

// TestRow09_FullDiskUnderLogsAndFiles: with no room left, services run and their newest lines are kept; a configuration that cannot
// be written is refused, and the old file stays whole.
func TestRow09_FullDiskUnderLogsAndFiles(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	s := &server{t: t, dir: shortDir(t)}
	s.socket = filepath.Join(s.dir, "s.sock")
	services := filepath.Join(s.dir, "services")
	if err := errors.Join(os.Mkdir(services, 0o755), unix.Mount("tmpfs", services, "tmpfs", 0, "size=256k")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(services, unix.MNT_DETACH) })
	logging := func(name string) string { return fmt.Sprintf("[logging]\nfile = %q\n", filepath.Join(services, name)) }
	s.write("bystander", playing(logging("bystander.log"), "print=here", "block"))
	s.write("chatty", playing(waiting+once+logging("chatty.log"), "lines=20000", "print=the end", "exit=0"))
	s.run()
	eventually(t, "a log file was written to", func() bool { b, _ := os.ReadFile(services + "/bystander.log"); return len(b) > 0 })
	unharmedServer(s, 2, func(s *server) { // the pipe of a second worker for log files, beside the bystander's
		c := s.dial()
		set := func(more string) *testError {
			exe, _ := json.Marshal(childArgv("block"))
			_, fail := c.try("service.set", fmt.Sprintf(`{"config":{"service":{"name":"kept","exec":%s,"description":%q}}}`, exe, more))
			return fail
		}
		if fail := set("first"); fail != nil {
			t.Fatalf("with room: %+v", fail)
		}
		s.is("running", "kept")
		pid, file := s.status("kept").PID, filepath.Join(services, "kept.toml")
		before, _ := os.ReadFile(file)
		ballast := filepath.Join(services, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("filling the disk: %v", err)
		}
		fail := set(strings.Repeat("second ", 2000))
		if fail == nil || fail.Code != -32008 || !strings.Contains(fail.Message, "no space left on device") || !strings.Contains(fail.Message, file) {
			t.Errorf("on a full disk: %+v", fail)
		}
		if now, err := os.ReadFile(file); err != nil || string(now) != string(before) || s.status("kept").PID != pid {
			t.Errorf("the refused change changed something: %v\n%s", err, now)
		}
		out, code := s.zinit("create", "fresh", "--exec", "sleep 1", "--persist")
		if says(t, out, "no space left on device"); code != 1 {
			t.Errorf("create on a full disk: exit code %d", code)
		}
		if left, _ := filepath.Glob(services + "/.*"); len(left) > 0 || !strings.Contains(s.ok("list"), "kept") || strings.Contains(s.ok("list"), "fresh") {
			t.Errorf("left behind: %v\n%s", left, s.ok("list"))
		}
		s.ok("start", "chatty", "--wait")
		s.is("exited", "chatty")
		says(t, s.ok("logs", "chatty", "-n", "1"), "the end")
		log := func() string { b, _ := os.ReadFile(filepath.Join(s.dir, "server.log")); return string(b) }
		eventually(t, "the log says so", func() bool {
			return strings.Contains(log(), "chatty.log") && strings.Contains(log(), "no space left on device")
		})
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if fail := set("third"); fail != nil {
			t.Errorf("with room again: %+v", fail)
		}
		eventually(t, "the file goes on", func() bool {
			s.ok("restart", "chatty", "--wait")
			s.is("exited", "chatty")
			b, _ := os.ReadFile(services + "/chatty.log")
			return strings.Contains(string(b), "the end\n")
		})
		says(t, log(), "chatty.log of chatty works again:", "lines lost")
		s.ok("delete", "kept")
	})
}

// TestRow30_HostileClients: garbage, halves, floods, idlers and the deaf, while others are served.
// TestClientsThatVanish: what they waited for, followed and began ends with their connection, or goes on where it must.
// TestTheFirstClientFindsAllServices: whoever connects as soon as the socket is there is not told that a service does not exist.
func TestRow14_NobodyReadsTheServersOutput(t *testing.T) {
	s := &server{t: t, dir: shortDir(t)}
	s.socket = filepath.Join(s.dir, "s.sock")
	if err := os.Mkdir(filepath.Join(s.dir, "services"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("loud", playing("[logging]\nconsole = true\n", "lines=2000", "block"))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.prepare = func(cmd *exec.Cmd) { cmd.Stdout, cmd.Stderr = w, w; r.Close() }
	s.run("--log-level", "debug")
	w.Close()
	eventually(t, "all is kept", func() bool { return strings.Contains(s.ok("logs", "loud", "-n", "1"), "2000") })
	s.is("running", "loud")
	if n := s.status("loud").RestartCount; n != 0 {
		t.Errorf("it was restarted %d times", n)
	}
	s.stop()
}
