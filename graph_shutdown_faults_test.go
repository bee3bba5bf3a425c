// graph_shutdown_faults_test.go tests the shutdown of the real server: its order, its bounds, and that nothing is left.

//go:build linux

package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestRow20_ShutdownWhileStarting(t *testing.T) {
	s := startServer(t, map[string]string{
		"starting": playing("[health]\ntype = \"tcp\"\ntarget = \"127.0.0.1:1\"\n[lifecycle]\nstart_timeout_ms = 0\n", "block"),
		"task":     playing("oneshot = true\n", "block"),
		"blocked":  playing("[dependencies]\nrequires = [\"starting\"]\n", "block"),
		"backoff":  playing("[lifecycle]\nrestart_delay_ms = 60000\n", "exit=1"),
	})
	s.is("starting", "starting", "task")
	s.is("blocked", "blocked")
	s.is("failed", "backoff")
	var pids []int
	for _, name := range []string{"starting", "task"} {
		eventually(t, name+" has a process", func() bool { return s.status(name).PID != 0 })
		pids = append(pids, s.status(name).PID)
	}
	c := s.dial()
	c.send(`{"jsonrpc":"2.0","id":1,"method":"service.wait","params":["starting"]}` + "\n")
	s.stop()
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
	if _, err := os.Lstat(s.socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

// TestNothingBeginsDuringAShutdown: what would start something, or go over to another server, is refused; looking, stopping and killing go on.
func TestNothingBeginsDuringAShutdown(t *testing.T) {
	s := startServer(t, map[string]string{"deaf": playing("[lifecycle]\nstop_timeout_ms = 60000\n", "ignore=TERM", "print=up", "block"), "off": playing(waiting, "block")})
	eventually(t, "it is deaf", func() bool { return strings.Contains(s.ok("logs", "deaf"), "up") })
	c := s.dial()
	c.call("system.shutdown", `[]`)
	const fresh = `[{"service":{"name":"fresh","exec":"sleep 1"}}]`
	for method, params := range map[string]string{"service.start": `["off"]`, "service.restart": `["deaf"]`, "service.start_all": `[]`, "service.reload": `[]`, "service.create": fresh, "service.set": fresh,
		"service.delete_all": `[]`, "system.prepare_restart": `[]`, "system.upgrade": `[]`} {
		if _, fail := c.try(method, params); fail == nil || fail.Code != -32006 || fail.Data["kind"] != "shutting_down" {
			t.Errorf("%s: %+v", method, fail)
		}
	}
	for method, params := range map[string]string{"service.status": `["deaf"]`, "service.stop": `["deaf"]`, "system.shutdown": `[]`} {
		c.call(method, params)
	}
	c.call("service.kill", `["deaf","KILL"]`)
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
	s.ended <- nil
}

// TestShutdownLeavesNothing: what left its session, its parent and its environment belongs to nobody, but to the server's end it does.
// Who watches sees every service end before the connection closes.
func TestShutdownLeavesNothing(t *testing.T) {
	dir := shortDir(t)
	at := filepath.Join(dir, "away")
	s := startServer(t, map[string]string{"parent": playing("", "clean-runaway=ignore=TERM,touch="+at+",block", "block")})
	eventually(t, "the runaway runs", func() bool { _, err := os.Stat(at); return err == nil })
	text, _ := os.ReadFile(at)
	pid, _ := strconv.Atoi(string(text))
	eventually(t, "its parent has ended", func() bool { st, err := readStat(pid); return err == nil && st.PPID == s.cmd.Process.Pid })
	c := s.dial()
	c.call("events.subscribe", "[]")
	s.stop()
	if pid == 0 || alive(pid) {
		t.Errorf("process %d is left", pid)
	}
	seen, _ := io.ReadAll(c.in)
	says(t, string(seen), `"from":"stopping","to":"exited"`)
}

// TestRow21_StopOrder watches a shutdown over the socket: who requires stops before what it requires, and what is independent at once.
func TestRow21_StopOrder(t *testing.T) {
	text := func(deps string) string {
		return playing("[dependencies]\n"+deps+"\n[lifecycle]\nstop_timeout_ms = 100\n", "ignore=TERM", "print=ready", "block")
	}
	s := startServer(t, map[string]string{"db": text(""), "app": text(`requires = ["db"]`), "web": text(`after = ["app"]`), "alone": text("")})
	s.is("running", "db", "app", "web", "alone")
	for _, n := range []string{"db", "app", "web", "alone"} {
		eventually(t, n+" is ready", func() bool { return strings.Contains(s.ok("logs", n), "ready") })
	}
	c := s.dial()
	c.call("events.subscribe", "[]")
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	var order []string
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			break
		}
		var n struct {
			Params struct{ Service, To string }
		}
		if err := json.Unmarshal([]byte(line), &n); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		order = append(order, n.Params.Service+" "+n.Params.To)
	}
	s.stop()
	at := func(what string) int {
		for i, o := range order {
			if o == what {
				return i
			}
		}
		t.Fatalf("no %q in %v", what, order)
		return 0
	}
	for _, pair := range [][2]string{{"web failed", "app stopping"}, {"app failed", "db stopping"}, {"alone stopping", "web failed"}} {
		if at(pair[0]) > at(pair[1]) {
			t.Errorf("%s came after %s: %v", pair[0], pair[1], order)
		}
	}
}

func TestRow42_TheSecondSignalKills(t *testing.T) {
	s := startServer(t, map[string]string{"deaf": playing("[lifecycle]\nstop_timeout_ms = 60000\n", "ignore=TERM", "print=ready", "block")})
	eventually(t, "it is deaf", func() bool { return strings.Contains(s.ok("logs", "deaf"), "ready") })
	pid := s.status("deaf").PID
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	s.is("stopping", "deaf")
	if out, code := s.zinit("start", "deaf"); code != 1 || !strings.Contains(out, "shutting down") {
		t.Errorf("a start during the shutdown: exit code %d\n%s", code, out)
	}
	s.stop()
	if alive(pid) {
		t.Error("it lives")
	}
}
