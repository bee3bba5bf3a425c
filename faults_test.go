// faults_test.go does to the real program what goes wrong in real life, from the outside, and sees that only the one who caused it feels it.

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// playing is the file of a service that obeys words (see childArgv). more goes behind exec: keys of [service] first, then sections.
func playing(more string, words ...string) string { return "[service]\n" + execOf(words...) + more }

func execOf(words ...string) string {
	argv, _ := json.Marshal(childArgv(words...))
	return "exec = " + string(argv) + "\n"
}

const (
	waiting = "status = \"stop\"\n" // the test starts it
	once    = "[lifecycle]\nrestart = \"never\"\n"
)

// holdings is what a server has in its hands. Threads are not counted: the runtime keeps those that it once made.
type holdings struct{ fds, goroutines, children, zombies, files int }

// holds looks at the server over one connection, which counts too.
func (s *server) holds(c *testClient) holdings {
	s.t.Helper()
	var h holdings
	var state struct{ Text string }
	if err := json.Unmarshal(c.call("debug.state", "[]"), &state); err != nil {
		s.t.Fatal(err)
	}
	at := strings.LastIndex(state.Text[:strings.Index(state.Text, " goroutines")], "\n") + 1
	if _, err := fmt.Sscanf(state.Text[at:], "%d goroutines, %d descriptors", &h.goroutines, &h.fds); err != nil {
		s.t.Fatalf("%v in %s", err, state.Text)
	}
	pid := s.cmd.Process.Pid
	_ = filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == "services" {
			return filepath.SkipDir
		}
		h.files++
		return nil
	})
	for _, child := range sysChildren(nil, pid) {
		h.children++
		if st, err := readStat(child); err == nil && st.dead() {
			h.zombies++
		}
	}
	return h
}

// unharmed runs a fault on a server that also runs `bystander`. Afterwards the bystander must have its pid, and the server, once
// everything else is stopped, hold no more than before.
func unharmed(t *testing.T, services map[string]string, fault func(s *server)) {
	t.Helper()
	all := map[string]string{"bystander": playing("", "print=here", "block")}
	for name, text := range services {
		all[name] = text
	}
	unharmedServer(startServer(t, all), 0, fault)
}

// unharmedServer is unharmed for a server that runs already. It may keep spare descriptors for later.
func unharmedServer(s *server, spare int, fault func(s *server)) {
	t := s.t
	t.Helper()
	s.is("running", "bystander")
	c, pid := s.dial(), s.status("bystander").PID
	before, same := s.holds(c), 0
	eventually(t, "the server is at rest", func() bool {
		now := s.holds(c)
		if same++; now != before {
			before, same = now, 0
		}
		return same == 20
	})
	s.dialed = nil
	fault(s)
	for _, conn := range s.dialed {
		conn.Close()
	}
	for line := range strings.Lines(s.ok("--json", "list")) {
		var list []serviceStatusFull
		if err := json.Unmarshal([]byte(line), &list); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		for _, st := range list {
			if st.Name != "bystander" {
				s.ok("stop", st.Name, "--wait")
			}
		}
	}
	if now := s.status("bystander"); now.PID != pid || now.State != running {
		t.Errorf("the bystander was %d, and is %+v", pid, now)
	}
	var after holdings
	end := time.Now().Add(patience)
	for tick := time.NewTicker(5 * time.Millisecond); time.Now().Before(end); <-tick.C {
		if after = s.holds(c); after.fds <= before.fds+spare && after.goroutines <= before.goroutines && after.children <= before.children && after.zombies == 0 && after.files <= before.files {
			return
		}
	}
	fds, _ := exec.Command("ls", "-l", fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid)).Output()
	_ = s.cmd.Process.Signal(syscall.SIGQUIT) // its log gets the stacks of all goroutines
	t.Errorf("the server held %+v before, %+v after\n%s", before, after, fds)
}

func TestRow23_BrokenFilesAndCyclesBesideGoodOnes(t *testing.T) {
	sleeps := func(deps string) string { return playing("[dependencies]\n"+deps+"\n", "block") }
	unharmed(t, map[string]string{
		"typo":    "[service]\nexec = \"sleep 1\"\nrestat = \"always\"\n",
		"syntax":  "[service\nexec = 1",
		"types":   "[service]\nexec = 5\noneshot = \"yes\"\n",
		"empty":   "",
		"binary":  "\x00\x01\xff\xfe",
		"a":       sleeps(`requires = ["b"]`),
		"b":       sleeps(`after = ["c"]`),
		"c":       sleeps(`requires = ["a"]`),
		"needs-a": sleeps(`requires = ["a"]`),
		"self":    sleeps(`after = ["self"]`),
		"torn":    sleeps("requires = [\"bystander\"]\nconflicts = [\"bystander\"]"),
		"orphan":  sleeps(`requires = ["nowhere"]`),
		"leans":   sleeps(`requires = ["bystander"]`),
		"a b":     playing("", "block"),
	}, func(s *server) {
		s.is("running", "leans")
		if got := s.ok("call", "service.list"); strings.Join(strings.Fields(got), "") != `["bystander","leans","needs-a","orphan"]` {
			t.Errorf("loaded: %s", got)
		}
		out, code := s.zinit("check", filepath.Join(s.dir, "services"))
		if code != 1 {
			t.Errorf("check: exit code %d", code)
		}
		reload, code := s.zinit("reload")
		if code != 1 {
			t.Errorf("reload: exit code %d", code)
		}
		log, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
		for who, text := range map[string]string{"check": out, "reload": reload, "the log": string(log)} {
			t.Log(who)
			says(t, text, "typo.toml:3:1: unknown key `restat`; did you mean `restart`?", "syntax.toml:1:", "types.toml:2:", "types.toml:3:",
				"empty.toml:1:1:", "binary.toml:1:", "a.toml:4:13: ", "b.toml:4:10: ", "c.toml:4:13: ", "a -> b -> c -> a", "self -> self", "torn.toml:", "a b.toml:")
		}
		out, code = s.zinit("why", "orphan")
		says(t, out, "nowhere")
		leans, _ := s.zinit("why", "needs-a")
		says(t, leans, "requires a, whose file is not loaded", "a.toml:4:13: dependency cycle: a -> b -> c -> a")
		lost, gone := s.zinit("start", "b")
		if gone != 4 {
			t.Errorf("start of what is not loaded: exit code %d", gone)
		}
		says(t, lost, "its file is not loaded", "a -> b -> c -> a")
		if st := s.status("orphan"); code != 0 || st.State != failed || st.Reason == nil || st.Reason.Type != "missing_dependency" {
			t.Errorf("orphan: %+v", st)
		}
		cycle := `{"config":{"service":{"name":"bystander","exec":"sleep 1"},"dependencies":{"requires":["leans"]}}}`
		if _, fail := s.dial().try("service.set", cycle); fail == nil || fail.Code != -32010 || !strings.Contains(fail.Message, "bystander -> leans -> bystander") {
			t.Errorf("set that closes a cycle: %+v", fail)
		}
		for _, name := range []string{"typo", "syntax", "types", "empty", "binary", "a", "b", "c", "self", "torn", "a b"} {
			os.Remove(filepath.Join(s.dir, "services", name+".toml"))
		}
		s.ok("reload")
	})
}

func TestRow07_WhatCannotStartSaysWhy(t *testing.T) {
	unharmed(t, nil, func(s *server) {
		script := filepath.Join(shortDir(t), "script")
		if err := os.WriteFile(script, []byte("#!/no/interpreter\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		for what, c := range map[string]struct{ text, want string }{
			"program":     {`exec = "/no/such/program"`, "/no/such/program does not exist"},
			"path":        {`exec = "no-such-program"`, "no-such-program was not found in PATH"},
			"interpreter": {fmt.Sprintf("exec = %q", script), "needs the interpreter /no/interpreter"},
			"directory":   {execOf("block") + `dir = "/no/such/dir"`, "dir /no/such/dir does not exist"},
			"user":        {execOf("block") + `user = "nobody-at-all"`, `user "nobody-at-all"`},
			"group":       {execOf("block") + `group = "nobody-at-all"`, `group "nobody-at-all"`},
			"env-file":    {execOf("block") + `env_file = "/no/such.env"`, "/no/such.env"},
		} {
			s.write(what, "[service]\n"+waiting+c.text+"\n"+once)
			s.ok("reload")
			if out, code := s.zinit("start", what, "--wait"); code != 3 {
				t.Errorf("%s: exit code %d\n%s", what, code, out)
			} else {
				says(t, out, what+" is failed", c.want, "zinit why "+what)
			}
			if st := s.status(what); st.State != failed || st.PID != 0 || st.Reason == nil || st.Reason.Type != "spawn_error" {
				t.Errorf("%s: %+v", what, st)
			}
			out := s.ok("why", what)
			says(t, out, c.want)
		}
	})
}

// TestRow47_48_49_EmptyRoot runs the server in a directory that holds nothing but the program: no shell, /dev, /proc, /etc, /tmp.
func TestRow47_48_49_EmptyRoot(t *testing.T) {
	if os.Getuid() != 0 {
		skip(t, "chroot needs root")
	}
	s := &server{t: t, dir: shortDir(t)}
	s.socket = filepath.Join(s.dir, "s.sock")
	program, err := os.ReadFile(zinitBinary(t))
	if err := errors.Join(err, os.Mkdir(filepath.Join(s.dir, "services"), 0o755), os.WriteFile(filepath.Join(s.dir, "zinit"), program, 0o755)); err != nil {
		t.Fatal(err)
	}
	s.write("plain", "[service]\nexec = [\"/zinit\", \"server\", \"--socket\", \"/other.sock\", \"--config-dir\", \"/none\"]\nuser = 12345\ngroup = 12345\n")
	s.write("root", "[service]\nexec = \"/zinit server --socket /other.sock --config-dir /none\"\n")
	s.write("shell", "[service]\nexec = \"echo hello | cat\"\n"+once)
	s.write("named", "[service]\nexec = \"/zinit version\"\nuser = \"www\"\n"+once)
	s.prepare = func(cmd *exec.Cmd) {
		cmd.Path, cmd.Args = "/zinit", []string{"zinit", "server", "--socket", "/s.sock", "--config-dir", "/services"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: s.dir}
		cmd.Dir = "/"
	}
	s.run()
	s.is("running", "root")
	s.is("failed", "shell", "named")
	says(t, s.status("shell").Reason.String(), "needs a shell (echo hello | cat)", "/bin/sh", `exec = ["/path/to/program", "argument"]`)
	says(t, s.status("named").Reason.String(), `user "www"`)
	eventually(t, "a numeric user starts without /etc/passwd", func() bool { return s.status("plain").RestartCount > 0 || s.status("plain").State == running })
	pid := s.status("root").PID
	s.ok("stop", "root", "--wait")
	if alive(pid) {
		t.Error("root is stopped, its process lives")
	}
	s.stop()
}

// TestRow05_RunningAwayDoesNotHelp: what a service leaves behind is ended with it, also when it is a stranger by then.
func TestRow05_RunningAwayDoesNotHelp(t *testing.T) {
	dir := shortDir(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	deaf := "ignore=TERM,ignore=HUP,ignore=INT,block"
	unharmed(t, map[string]string{
		"parent": playing(waiting+"[lifecycle]\nstop_timeout_ms = 200\n", "fork=touch="+at("fork")+","+deaf, "setsid=touch="+at("setsid")+","+deaf, "runaway=touch="+at("runaway")+","+deaf, "block"),
		"leader": playing(waiting+once, "setsid=touch="+at("left")+","+deaf, "await="+at("left"), "exit=0"),
		"orphan": playing(waiting, "runaway=sleep=20", "runaway=sleep=30", "block"),
	}, func(s *server) {
		s.ok("start", "parent", "leader", "orphan")
		for _, name := range []string{"fork", "setsid", "runaway"} {
			eventually(t, name+" runs", func() bool { _, err := os.Stat(at(name)); return err == nil })
		}
		s.is("exited", "leader")
		s.ok("stop", "parent", "--wait")
		for _, name := range []string{"fork", "setsid", "runaway", "left"} {
			text, err := os.ReadFile(at(name))
			pid, _ := strconv.Atoi(string(text))
			if err != nil || pid == 0 || alive(pid) {
				t.Errorf("%s: process %d, alive: %v, %v", name, pid, alive(pid), err)
			}
		}
	})
}

func TestRow19_DeafToSIGTERM(t *testing.T) {
	unharmed(t, map[string]string{
		"deaf":  playing(waiting+"[lifecycle]\nstop_timeout_ms = 100\n", "ignore=TERM", "print=ready", "fork=ignore=TERM,block", "block"),
		"other": playing(waiting+"[lifecycle]\nstop_signal = \"USR1\"\n", "ignore=TERM", "on=USR1:0", "print=ready", "block"),
	}, func(s *server) {
		s.ok("start", "deaf", "other", "--wait")
		for _, name := range []string{"deaf", "other"} {
			eventually(t, name+" is ready", func() bool { return strings.Contains(s.ok("logs", name), "ready") })
		}
		pid := s.status("deaf").PID
		out, code := s.zinit("stop", "deaf", "--wait")
		if st := s.status("deaf"); code != 0 || alive(pid) || st.State != failed || st.Reason.Type != "stop_timeout" || st.RestartInMS != nil {
			t.Errorf("deaf: exit code %d, %+v\n%s", code, st, out)
		}
		s.ok("stop", "other", "--wait")
		s.is("exited", "other")
	})
}

// TestStopExec: it is told who is to be stopped, and what is left is removed as after a signal: the list of descendants is made before it.
func TestStopExec(t *testing.T) {
	needs(t, "setsid", "env")
	dir := shortDir(t)
	s := startServer(t, map[string]string{
		"asked": "[service]\nexec = \"sleep 1000 & setsid env -i sleep 1000 & echo $! > " + dir + "/child; exec sleep 1000\"\n[lifecycle]\nstop_exec = \"echo $MAINPID $ZINIT_SERVICE > " + dir + "/told; kill $MAINPID\"\n",
	})
	child := 0
	eventually(t, "the child has a session and no environment", func() bool {
		text, _ := os.ReadFile(dir + "/child")
		child, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return child != 0 && commandLine(child) == "sleep 1000" && len(sysEnviron(child)) == 0
	})
	pid := s.status("asked").PID
	s.ok("stop", "asked", "--wait")
	if told, _ := os.ReadFile(dir + "/told"); string(told) != fmt.Sprintf("%d asked\n", pid) {
		t.Errorf("stop_exec was told %q", told)
	}
	if st := s.status("asked"); st.State != exited || alive(child) {
		t.Errorf("it is %+v; its child is alive: %v", st, alive(child))
	}
}

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

// memoryPeak is VmHWM of proc(5), in bytes.
func memoryPeak(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// TestClosedOutputIsNoEnd: a service may close its output and live on; the server must neither take that for its end nor spin on it.
func TestClosedOutputIsNoEnd(t *testing.T) {
	unharmed(t, map[string]string{"mute": playing(waiting+once, "print=last words", "closeout", "sleep=500", "exit=0")}, func(s *server) {
		busy := func() time.Duration {
			st, err := readStat(s.cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			return st.CPU
		}
		c := s.dial()
		before := busy()
		c.call("service.start", `{"name":"mute","wait":true}`)
		c.call("service.wait", `{"name":"mute","state":"exited","timeout_ms":20000}`)
		if took := busy() - before; took > 250*time.Millisecond {
			t.Errorf("the server was busy for %v of the half second", took)
		}
		says(t, s.ok("logs", "mute"), "last words")
	})
}

func TestRow03_DyingWhileStarting(t *testing.T) {
	never := "[health]\ntype = \"tcp\"\ntarget = \"127.0.0.1:1\"\n"
	unharmed(t, map[string]string{
		"exits":  playing(waiting+once+never, "exit=3"),
		"zero":   playing(waiting+once+never, "exit=0"),
		"dies":   playing(waiting+once+never, "die=KILL"),
		"slow":   playing(waiting+once+"start_timeout_ms = 100\n"+never, "block"),
		"task":   playing(waiting+"oneshot = true\n"+once, "exit=7"),
		"needs":  playing(waiting+"[dependencies]\nrequires = [\"task\"]\n", "block"),
		"missed": playing(waiting+once, "exit=127"),
	}, func(s *server) {
		for name, want := range map[string]string{"exits": "exit code 3", "zero": "exit code 0", "dies": "SIGKILL", "slow": "start", "task": "exit code 7", "missed": "exit code 127"} {
			if out, code := s.zinit("start", name, "--wait"); code != 3 && name != "missed" {
				t.Errorf("%s: exit code %d\n%s", name, code, out)
			}
			s.is("failed", name)
			says(t, s.status(name).Reason.String(), want)
		}
		if st := s.status("missed"); st.Reason.Type != "exit_code" {
			t.Errorf("exit code 127 of the program itself is %+v", st.Reason)
		}
		s.zinit("start", "needs")
		s.is("failed", "needs")
		says(t, s.ok("why", "needs"), "task", "exit code 7")
	})
}

func TestRow26_RestartLoops(t *testing.T) {
	unharmed(t, map[string]string{
		"for-ever": playing(waiting+"[lifecycle]\nrestart = \"always\"\nrestart_delay_ms = 0\n", "exit=0"),
		"slower":   playing(waiting+"[lifecycle]\nrestart_delay_ms = 20\nrestart_delay_max_ms = 100000\n", "exit=1"),
		"thrice":   playing(waiting+"[lifecycle]\nmax_restarts = 3\nrestart_delay_ms = 1\n", "print=run", "exit=1"),
		"no-such":  "[service]\nexec = \"/no/such\"\n" + waiting + "[lifecycle]\nrestart_delay_ms = 1\nrestart_delay_max_ms = 2\n",
	}, func(s *server) {
		began := time.Now()
		s.zinit("start", "for-ever", "slower", "thrice", "no-such")
		eventually(t, "it restarts and restarts", func() bool { return s.status("for-ever").RestartCount > 50 && s.status("no-such").RestartCount > 50 })
		n := 0
		eventually(t, "slower was restarted six times", func() bool { n = s.status("slower").RestartCount; return n >= 6 })
		// 20 + 40 + 80 … ms, of which a tenth may be missing.
		if took, least := time.Since(began), 18*time.Millisecond*time.Duration(1<<n-1); took < least {
			t.Errorf("%d restarts in %v: the delays double from 20 ms, that is %v at least", n, took, least)
		}
		eventually(t, "it failed for good", func() bool {
			st := s.status("thrice")
			return st.State == failed && st.RestartInMS == nil && st.RestartCount == 3
		})
		if runs := strings.Count(s.ok("logs", "thrice"), "run"); runs != 4 {
			t.Errorf("max_restarts = 3 ran it %d times, want 4", runs)
		}
		s.ok("stop", "for-ever", "--wait")
		st := s.status("for-ever")
		if st.PID != 0 || st.RestartInMS != nil || st.Wish != "down" {
			t.Errorf("stopped: %+v", st)
		}
	})
}

// TestRow25_StartAndStopFromFiftyConnections: the last wish wins, everyone is answered once, and no service ever has two processes:
// each listens on a port of its own, so a second one would say that the address is in use.
func TestRow25_StartAndStopFromFiftyConnections(t *testing.T) {
	const clients = 50
	words := []string{"start", "stop", "start", "stop", "restart", "stop", "start", "start", "stop", "stop"}
	unharmed(t, map[string]string{
		"quick":    playing(waiting+"[lifecycle]\nrestart_delay_ms = 1\n", "on=TERM:0", "listen="+strconv.Itoa(freePort(t)), "block"),
		"stubborn": playing(waiting+"[lifecycle]\nrestart_delay_ms = 1\nstop_timeout_ms = 30\n", "ignore=TERM", "listen="+strconv.Itoa(freePort(t)), "block"),
	}, func(s *server) {
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for n := range clients {
			c := s.dial()
			wg.Go(func() {
				<-begin
				name, waits := []string{"quick", "stubborn"}[n%2], n%3 == 0
				for i, w := range words {
					fmt.Fprintf(c.Conn, `{"jsonrpc":"2.0","id":%d,"method":"service.%s","params":{"name":%q,"wait":%v,"timeout_ms":30000}}`+"\n", i, w, name, waits)
				}
				answered := map[int]int{}
				for range words {
					var a struct {
						ID    int
						Error *testError
					}
					line, err := c.in.ReadString('\n')
					if err := errors.Join(err, json.Unmarshal([]byte(line), &a)); err != nil {
						t.Errorf("client %d: %v in %q", n, err, line)
						return
					}
					if answered[a.ID]++; a.Error != nil || answered[a.ID] > 1 {
						t.Errorf("client %d: answer %d to %s %s: %s", n, answered[a.ID], words[a.ID], name, line)
					}
				}
			})
		}
		close(begin)
		wg.Wait()
		// Every client's last word was stop, so whichever came last was one.
		eventually(t, "only the bystander is left", func() bool {
			return s.status("quick").PID == 0 && s.status("stubborn").PID == 0 && len(sysChildren(nil, s.cmd.Process.Pid)) == 1
		})
		for _, name := range []string{"quick", "stubborn"} {
			s.ok("start", name, "--wait")
			first := s.status(name).PID
			if got := len(sysChildren(nil, s.cmd.Process.Pid)); name == "quick" && got != 2 {
				t.Errorf("%d processes, want the bystander and %s", got, name)
			}
			c := s.dial()
			c.call("service.stop", fmt.Sprintf("[%q]", name))
			c.call("service.start", fmt.Sprintf(`{"name":%q,"wait":true}`, name))
			s.is("running", name)
			if st := s.status(name); alive(first) || st.PID == first || st.Wish != "up" {
				t.Errorf("a start while it stopped: pid %d (alive %v), then %+v", first, alive(first), st)
			}
			c.call("service.restart", fmt.Sprintf("[%q]", name))
			c.call("service.stop", fmt.Sprintf(`{"name":%q,"wait":true}`, name))
			if st := s.status(name); st.PID != 0 || st.Wish != "down" {
				t.Errorf("a stop while it restarted: %+v", st)
			}
			if out := s.ok("logs", name, "-n", "1000"); strings.Contains(out, "in use") {
				t.Errorf("two processes of %s at once:\n%s", name, out)
			}
		}
	})
}

func TestRow24_ConflictsNeverLiveTogether(t *testing.T) {
	port := strconv.Itoa(freePort(t))
	text := func(other string) string {
		return playing("[dependencies]\nconflicts = ["+other+"]\n[lifecycle]\nstop_timeout_ms = 50\n", "ignore=TERM", "listen="+port, "block")
	}
	unharmed(t, map[string]string{"one": text(`"two"`), "two": text("")}, func(s *server) {
		s.is("running", "one")
		s.is("blocked", "two")
		says(t, s.ok("why", "two"), "conflicts with one", "zinit stop one")
		for range 5 {
			s.ok("stop", "one")
			s.is("running", "two")
			s.ok("start", "one")
			s.ok("stop", "two")
			s.is("running", "one")
			s.ok("start", "two")
		}
		for _, name := range []string{"one", "two"} {
			if out := s.ok("logs", name, "-n", "1000"); strings.Contains(out, "in use") {
				t.Errorf("both lived at once:\n%s", out)
			}
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

// TestRow22_CrashSparesDependentsStopDoesNot is what TestStack shows with real programs.
func TestRow22_CrashSparesDependentsStopDoesNot(t *testing.T) {
	unharmed(t, map[string]string{
		"db":  playing("[lifecycle]\nrestart_delay_ms = 1\n", "block"),
		"app": playing("[dependencies]\nrequires = [\"db\"]\n", "block"),
	}, func(s *server) {
		s.is("running", "db", "app")
		db, app := s.status("db").PID, s.status("app").PID
		s.ok("kill", "db", "KILL")
		eventually(t, "db is back", func() bool { st := s.status("db"); return st.State == running && st.PID != db })
		if s.status("app").PID != app {
			t.Error("the crash of db touched app")
		}
		s.ok("stop", "db", "--wait")
		if st := s.status("app"); st.State != blocked || st.Wish != "up" || alive(app) {
			t.Errorf("db is stopped, app is %+v", st)
		}
		s.ok("start", "db")
		s.is("running", "app")
	})
}

func TestRow28_ReloadWhileRunning(t *testing.T) {
	unharmed(t, map[string]string{"web": playing("", "print=old", "block"), "api": playing("", "block")}, func(s *server) {
		s.is("running", "web", "api")
		pid := s.status("web").PID
		s.write("web", playing("[dependencies]\nafter = [\"api\"]\n", "print=new", "block"))
		s.write("api", "[service]\nexec = 5\n")
		if out, code := s.zinit("reload"); code != 1 || !strings.Contains(out, "api.toml:2:") {
			t.Errorf("reload: exit code %d\n%s", code, out)
		}
		if st := s.status("web"); st.PID != pid || !st.ConfigChanged {
			t.Errorf("a changed file: %+v", st)
		}
		if st := s.status("api"); st.State != running || st.ConfigChanged {
			t.Errorf("a file that became wrong: %+v", st)
		}
		s.write("api", playing("[dependencies]\nrequires = [\"web\"]\n", "block"))
		if out, code := s.zinit("reload"); code != 1 || !strings.Contains(out, "api -> web -> api") {
			t.Errorf("a cycle: exit code %d\n%s", code, out)
		}
		if st := s.status("api"); st.State != running || st.ConfigChanged {
			t.Errorf("a file that would close a cycle: %+v", st)
		}
		s.write("api", playing("", "block"))
		if out := s.ok("reload", "--restart"); !strings.Contains(out, "web") {
			t.Errorf("reload --restart: %s", out)
		}
		eventually(t, "web runs as its file says", func() bool { st := s.status("web"); return st.State == running && st.PID != pid && !st.ConfigChanged })
		os.Remove(filepath.Join(s.dir, "services", "api.toml"))
		_ = s.cmd.Process.Signal(syscall.SIGHUP)
		eventually(t, "the removed service is gone", func() bool { return !strings.Contains(s.ok("call", "service.list"), "api") })
	})
}

// TestRow39_AKilledServerIsFollowedByOneThatAdopts: no service is stopped or started twice by that, what they print meanwhile is kept,
// and an end that nobody saw counts as a failure without a code.
func TestRow39_AKilledServerIsFollowedByOneThatAdopts(t *testing.T) {
	flag := filepath.Join(shortDir(t), "flag")
	s := startServer(t, map[string]string{
		"lives": playing("", "print=before", "await="+flag, "print=meanwhile", "block"),
		"ends":  playing(once, "await="+flag, "exit=0"),
		"down":  playing(waiting, "block"),
	})
	s.is("running", "lives", "ends")
	eventually(t, "it printed", func() bool { return strings.Contains(s.ok("logs", "lives"), "before") })
	lives, ends := s.status("lives").PID, s.status("ends").PID
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.ended <- nil
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one ended while there was no server", func() bool { return !alive(ends) })
	s.run()
	s.is("running", "lives")
	eventually(t, "what it printed meanwhile is there", func() bool { return strings.Contains(s.ok("logs", "lives"), "meanwhile") })
	if now := s.status("lives"); now.PID != lives || now.RestartCount != 0 {
		t.Errorf("lives had pid %d, and is %+v", lives, now)
	}
	s.is("failed", "ends")
	if now := s.status("ends"); now.Reason == nil || now.Reason.Type != "exit_code" || now.ExitCode != nil {
		t.Errorf("ends is %+v", now)
	}
	if now := s.status("down"); now.PID != 0 {
		t.Errorf("down is %+v", now)
	}
	s.ok("stop", "lives", "--wait")
	if alive(lives) {
		t.Error("the adopted process was not stopped")
	}
	s.stop()
}

// TestPlannedRestart: between a standalone server that ends by system.prepare_restart and the next, no line is lost, and the rings are kept.
func TestPlannedRestart(t *testing.T) {
	flag := filepath.Join(shortDir(t), "flag")
	s := startServer(t, map[string]string{"lives": playing("", "print=before", "write=half", "await="+flag, "print= and half", "block")})
	eventually(t, "it printed", func() bool { return strings.Contains(s.ok("logs", "lives"), "before") })
	first, pid := s.ok("--json", "logs", "lives", "-n", "1"), s.status("lives").PID
	s.ok("call", "system.prepare_restart")
	if err := <-s.ended; err != nil {
		t.Fatal(err)
	}
	s.ended <- nil
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.run()
	eventually(t, "the rest of the line is there", func() bool { return strings.Contains(s.ok("logs", "lives"), "half and half") })
	if now := s.status("lives"); now.PID != pid {
		t.Errorf("the pid was %d and is %d", pid, now.PID)
	}
	if now := s.ok("--json", "logs", "lives"); !strings.HasPrefix(now, strings.TrimSuffix(first, "]\n")) {
		t.Errorf("the ring had\n%sand has\n%s", first, now)
	}
}

// TestUnreadableState: what a standalone server left running, and nobody knows any more, is stopped before anything starts.
func TestUnreadableState(t *testing.T) {
	s := startServer(t, map[string]string{"lives": playing("", "fork=block", "block")})
	s.is("running", "lives")
	old := s.status("lives").PID
	eventually(t, "it has a child", func() bool { return len(sysChildren(nil, old)) == 1 })
	child := sysChildren(nil, old)[0]
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.ended <- nil
	if err := os.WriteFile(s.socket+".state", bytes.Repeat([]byte("nonsense"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run()
	s.is("running", "lives")
	if now := s.status("lives").PID; now == old || alive(old) || alive(child) {
		t.Errorf("the pid was %d and is %d; alive: %v, and its child: %v", old, now, alive(old), alive(child))
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

// TestRow51_AnOrdinaryUser: without root the server runs what it may, and refuses what it may not with the reason.
func TestRow51_AnOrdinaryUser(t *testing.T) {
	s := &server{t: t, dir: shortDir(t)}
	s.socket = filepath.Join(s.dir, "s.sock")
	if err := os.Mkdir(filepath.Join(s.dir, "services"), 0o755); err != nil {
		t.Fatal(err)
	}
	me := os.Getuid()
	if me == 0 {
		me = 65534
		if err := os.Chown(s.dir, me, me); err != nil {
			t.Fatal(err)
		}
		s.prepare = func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(me), Gid: uint32(me)}}
		}
	}
	s.write("mine", fmt.Sprintf("[service]\nexec = \"sleep 1000\"\nuser = %d\n", me))
	s.write("root", "[service]\nexec = \"sleep 1000\"\nuser = 0\n"+once)
	s.run()
	s.is("running", "mine")
	s.is("failed", "root")
	says(t, s.status("root").Reason.String(), "not permitted to switch to uid 0", fmt.Sprintf("zinit runs as uid %d", me))
	s.stop()
}

// TestUpgradeWithoutHome: a server whose user has no home goes over to a new binary too.
func TestUpgradeWithoutHome(t *testing.T) {
	s := newServer(t, map[string]string{"mine": "[service]\nexec = \"sleep 1000\"\n"})
	s.ordinary()
	user := s.prepare
	s.prepare = func(cmd *exec.Cmd) {
		if user != nil {
			user(cmd)
		}
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), suiteMark + "=" + suiteDir}
	}
	s.run()
	s.is("running", "mine")
	pid := s.status("mine").PID
	s.ok("upgrade")
	eventually(t, "the new image listens", func() bool {
		text, _ := os.ReadFile(s.out.Name())
		return strings.Count(string(text), "is listening on") == 2
	})
	if now := s.status("mine"); now.PID != pid || now.State != running {
		t.Errorf("mine was %d, and is %+v", pid, now)
	}
	s.stop()
}

// TestRow53_ZombiesOfOthers: a child that a service does not wait for is the service's own; it goes with it.
func TestRow53_ZombiesOfOthers(t *testing.T) {
	unharmed(t, map[string]string{"careless": playing(waiting+"[lifecycle]\nstop_timeout_ms = 60000\n", "fork=exit=0", "fork=exit=0", "block")}, func(s *server) {
		s.ok("start", "careless", "--wait")
		pid := s.status("careless").PID
		eventually(t, "it has two zombies", func() bool {
			n := 0
			for _, child := range sysChildren(nil, pid) {
				if st, err := readStat(child); err == nil && st.dead() {
					n++
				}
			}
			return n == 2
		})
		s.is("running", "careless")
		s.ok("stats", "careless")
		began := time.Now()
		s.ok("stop", "careless", "--wait")
		if s.is("exited", "careless"); time.Since(began) > slack {
			t.Errorf("zombies held its stop up for %v", time.Since(began))
		}
	})
}

func TestRow55_ManyServicesNeedFewThreads(t *testing.T) {
	services := map[string]string{}
	for n := range 300 {
		services[fmt.Sprintf("s%03d", n)] = "[service]\nexec = \"sleep 1000\"\n"
	}
	s := startServer(t, services)
	c := s.dial()
	eventually(t, "all run", func() bool {
		return strings.Count(string(c.call("service.list_full", "[]")), `"state":"running"`) == len(services)
	})
	if st, err := readStat(s.cmd.Process.Pid); err != nil || st.Threads > 24 {
		t.Errorf("%d threads, %v", st.Threads, err)
	}
	if h := s.holds(c); h.goroutines > 40 {
		t.Errorf("%d goroutines", h.goroutines)
	}
	s.stop()
}

// TestEveryServiceOfABootStarts: no start is left behind, however often a boot is done.
func TestEveryServiceOfABootStarts(t *testing.T) {
	services := map[string]string{}
	for n := range 40 {
		services[fmt.Sprintf("s%02d", n)] = "[service]\nexec = \"sleep 1000\"\n"
	}
	for range 15 {
		s := startServer(t, services)
		c := s.dial()
		eventually(t, "all run", func() bool {
			return strings.Count(string(c.call("service.list_full", "[]")), `"state":"running"`) == len(services)
		})
		s.stop()
	}
}

// TestRow07_NoMoreProcesses: when the kernel grants no further process, a start fails with that reason and is tried again; all that runs goes on.
func TestRow07_NoMoreProcesses(t *testing.T) {
	needs(t, "prlimit")
	const sleeps = "[service]\nexec = \"sleep 1000\"\n"
	s := newServer(t, map[string]string{
		"bystander": sleeps,
		"late":      sleeps + waiting + "[lifecycle]\nrestart_delay_ms = 10\nrestart_delay_max_ms = 200\n",
		"probed":    sleeps + "[health]\ntype = \"exec\"\ntarget = [\"/bin/true\"]\ninterval_ms = 20\nretries = 1000000\n",
	})
	s.ordinary()
	s.run()
	s.is("running", "bystander", "probed")
	limit := func(soft string) { // by the same user: nobody else may, without CAP_SYS_RESOURCE
		cmd := exec.Command("prlimit", "--pid", strconv.Itoa(s.cmd.Process.Pid), "--nproc="+soft+":")
		cmd.SysProcAttr = s.cmd.SysProcAttr
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("prlimit: %v: %s", err, out)
		}
	}
	var ours unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &ours); err != nil {
		t.Fatal(err)
	}
	pid := s.status("bystander").PID
	limit("1")
	s.zinit("start", "late")
	eventually(t, "the start was tried again and again", func() bool { return s.status("late").RestartCount > 3 })
	st := s.status("late")
	for st.Reason == nil { // between two tries
		st = s.status("late")
	}
	says(t, st.Reason.String(), "no more processes allowed here (pids limit or RLIMIT_NPROC of the user)")
	for range 50 {
		s.ok("ping")
	}
	if now := s.status("bystander"); now.PID != pid || now.State != running {
		t.Errorf("the bystander was %d, and is %+v", pid, now)
	}
	limit(strconv.FormatInt(int64(ours.Cur), 10)) // -1: none
	s.is("running", "late")
	s.stop()
}

// TestRow07_NoMoreThreads: when services have taken all processes that a user may have, the server and its keeper, which count too, live on and serve.
func TestRow07_NoMoreThreads(t *testing.T) {
	prlimit, err := exec.LookPath("prlimit")
	if err != nil {
		skip(t, "no prlimit")
	}
	if os.Getuid() != 0 {
		skip(t, "the limit counts all processes of a user: that needs a user of its own")
	}
	const limit, uid = 44, 61007
	for what, role := range map[string][]string{"server": {"server"}, "keeper and server": {"init", "-c"}} {
		t.Run(what, func(t *testing.T) {
			s := newServer(t, nil)
			for i := range 60 {
				s.write(fmt.Sprintf("s%02d", i), "[service]\nexec = \"sleep 1000\"\n[lifecycle]\nrestart_delay_ms = 50\nrestart_delay_max_ms = 100\n")
			}
			s.ordinary()
			for _, dir := range []string{s.dir, filepath.Join(s.dir, "services")} {
				if err := os.Chown(dir, uid, uid); err != nil {
					t.Fatal(err)
				}
			}
			s.prepare = func(cmd *exec.Cmd) {
				argv := append([]string{"prlimit", "--nproc=" + strconv.Itoa(limit), cmd.Path}, role...)
				cmd.Path, cmd.Args = prlimit, append(argv, cmd.Args[2:]...)
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
			}
			s.run()
			refused := func() (n int) {
				for i := range 60 {
					if st := s.status(fmt.Sprintf("s%02d", i)); st.RestartCount > 5 {
						n++
					}
				}
				return n
			}
			eventually(t, "ten services were refused again and again", func() bool { return refused() >= 10 })
			var clients sync.WaitGroup
			for range 4 {
				clients.Go(func() {
					c, err := net.Dial("unix", s.socket)
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					lines := bufio.NewReader(c)
					for range 20 {
						_, _ = io.WriteString(c, `{"jsonrpc":"2.0","id":1,"method":"service.list_full"}`+"\n")
						if _, err := lines.ReadBytes('\n'); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			clients.Wait()
			s.ok("status", "--json")
			s.stop()
		})
	}
}

// TestRow56_ProgramReplacedWhileRunning: what runs goes on with the file that it was started from, the next start takes what is there then,
// and a program that is gone is an error until it is back.
func TestRow56_ProgramReplacedWhileRunning(t *testing.T) {
	program := filepath.Join(shortDir(t), "program")
	install := func(text string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(program+".new", []byte("#!"+shell(t)+"\n"+text+"\nwhile sleep 1000; do :; done\n"), 0o755), os.Rename(program+".new", program)); err != nil {
			t.Fatal(err)
		}
	}
	install("echo first")
	unharmed(t, map[string]string{
		"app": fmt.Sprintf("[service]\nexec = %q\n[lifecycle]\nrestart_delay_ms = 10\nrestart_delay_max_ms = 100\n", program),
	}, func(s *server) {
		says := func(text string) {
			t.Helper()
			eventually(t, "app says "+text, func() bool { return strings.Contains(s.ok("logs", "app", "-n", "1"), text) })
		}
		says("first")
		pid := s.status("app").PID
		install("echo second")
		s.ok("reload")
		if st := s.status("app"); st.PID != pid || st.State != running || st.ConfigChanged {
			t.Errorf("another file at its place did something: %+v", st)
		}
		s.ok("kill", "app", "KILL")
		says("second")
		if err := os.Remove(program); err != nil {
			t.Fatal(err)
		}
		s.is("running", "app")
		s.ok("stats", "app")
		s.ok("kill", "app", "KILL")
		eventually(t, "the start fails, and says why", func() bool {
			st := s.status("app")
			return st.State == failed && st.Reason.Type == "spawn_error" && strings.Contains(st.Reason.String(), program+" does not exist")
		})
		install("echo third")
		says("third")
		s.is("running", "app")
	})
}

// TestRow57_InjectedEnvironment: no variable makes the program load foreign code, and no file gives a service the mark of another.
func TestRow57_InjectedEnvironment(t *testing.T) {
	library := filepath.Join(shortDir(t), "library.so")
	if err := os.WriteFile(library, []byte("no library"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(zinitBinary(t), "version")
	cmd.Env = []string{"LD_PRELOAD=" + library, "LD_LIBRARY_PATH=" + filepath.Dir(library), "LD_AUDIT=" + library, "GCONV_PATH=" + filepath.Dir(library)}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "zinit "+version+"\n" { // a dynamic loader would complain
		t.Errorf("with LD_PRELOAD: %v: %s", err, out)
	}
	if info, err := os.Stat(zinitBinary(t)); err != nil || info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	file := filepath.Join(filepath.Dir(library), "env")
	if err := os.WriteFile(file, []byte("ZINIT_SERVICE=file\nZINIT_INVOCATION_ID=file\nONLY=file\nBOTH=file\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	unharmed(t, map[string]string{
		"app": playing(fmt.Sprintf("env_file = %q\nenv = { ZINIT_SERVICE = \"bystander\", ZINIT_INVOCATION_ID = \"0\", BOTH = \"table\", NOTIFY_SOCKET = \"mine\" }\n", file),
			"env=ZINIT_SERVICE", "env=ZINIT_INVOCATION_ID", "env=ONLY", "env=BOTH", "env=NOTIFY_SOCKET", "env=LISTEN_FDS", "print=end", "block"),
	}, func(s *server) {
		eventually(t, "app has printed all", func() bool { return strings.Contains(s.ok("logs", "app"), "end") })
		log := s.ok("logs", "app")
		says(t, log, "ZINIT_SERVICE=app\n", "ONLY=file\n", "BOTH=table\n", "NOTIFY_SOCKET=mine\n", "LISTEN_FDS unset\n")
		if !regexp.MustCompile("ZINIT_INVOCATION_ID=[0-9a-f]{32}\n").MatchString(log) {
			t.Errorf("the invocation id is not ours:\n%s", log)
		}
	})
}

// TestRow58_SameUserCannotLookInside: a service with the uid of the server, when that is not root, can neither trace the server nor open what it has open.
func TestRow58_SameUserCannotLookInside(t *testing.T) {
	s := newServer(t, map[string]string{"spy": "[service]\nexec = [\"sh\", \"-c\", \"for what in fd/0 environ mem maps; do cat /proc/$PPID/$what >/dev/null && echo open $what; done; echo end; sleep 1000\"]\n"})
	s.ordinary()
	s.run()
	eventually(t, "the spy has tried", func() bool { return strings.Contains(s.ok("logs", "spy"), "end") })
	log := s.ok("logs", "spy")
	if strings.Contains(log, "open ") || strings.Count(log, "denied") != 4 {
		t.Errorf("what the spy could do:\n%s", log)
	}
	s.ok("restart", "spy", "--wait")
	s.stop()
}

// TestGetFillsInTheDefaults: service.get says what counts, `zinit get` only what differs, and set with either changes nothing.
func TestGetFillsInTheDefaults(t *testing.T) {
	s := startServer(t, map[string]string{"one": playing(waiting)})
	said := s.ok("--json", "get", "one")
	says(t, said, `"console":false`, `"stop_signal":"SIGTERM"`, `"start_timeout_ms":30000`)
	text := s.ok("get", "one")
	if strings.Contains(text, "console") || strings.Contains(text, "timeout") {
		t.Errorf("defaults in\n%s", text)
	}
	s.ok("call", "service.set", `{"config": `+said+`}`)
	if again := s.ok("--json", "get", "one"); again != said {
		t.Errorf("set with\n%s\nit is\n%s", said, again)
	}
}

// TestDeadMount: what a service has on a mount that does not answer is trouble for this service alone.
func TestDeadMount(t *testing.T) {
	if os.Getuid() != 0 || unix.Access("/dev/fuse", unix.W_OK) != nil {
		skip(t, "a mount that hangs needs root and /dev/fuse")
	}
	dead := shortDir(t)
	quick := "[lifecycle]\nrestart = \"never\"\nstart_timeout_ms = 500\n"
	services := map[string]string{
		"other":  playing(waiting, "block"),
		"dir":    playing(waiting+"dir = \""+dead+"/dir\"\n"+quick, "block"),
		"env":    playing(waiting+"env_file = \""+dead+"/env\"\n"+quick, "block"),
		"path":   "[service]\nexec = \"program\"\nenv = { PATH = \"" + dead + "\" }\n" + waiting + quick,
		"probed": playing(waiting+"[health]\ntype = \"exec\"\ntarget = \""+dead+"/probe\"\ntimeout_ms = 100\n", "block"),
		"stops":  playing(waiting+"[lifecycle]\nstop_timeout_ms = 200\nstop_exec = \""+dead+"/stop\"\n", "block"),
		"log":    playing(waiting+"[logging]\nfile = \""+dead+"/log\"\n", "print=here", "block"),
	}
	for n := range 20 {
		services[fmt.Sprint("p", n)] = "[service]\nexec = \"" + dead + "/program\"\n" + waiting + quick
	}
	s := newServer(t, services)
	s.prepare = func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"server", "@pid1", "hang=" + dead, "--"}, cmd.Args...)
		cmd.Path = "/proc/self/exe"
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	}
	s.run()
	for n := range 20 {
		s.ok("start", fmt.Sprint("p", n))
	}
	s.ok("start", "dir", "env", "path", "probed", "stops", "log")
	s.ok("start", "other", "--wait") // while the others hang
	for name, path := range map[string]string{"p0": "/program", "p19": "/program", "dir": "/dir", "env": "/env", "path": "/program"} {
		s.is("failed", name)
		if r := s.status(name).Reason; r == nil || !strings.HasPrefix(fmt.Sprint(r.Message), dead+path+" does not answer") {
			t.Errorf("%s failed: %+v", name, r)
		}
	}
	eventually(t, "a check that hangs has failed", func() bool {
		h := s.status("probed").Health
		return h != nil && h.Checks >= 2 && strings.Contains(fmt.Sprint(h.LastError), "hangs")
	})
	s.is("running", "stops", "log")
	eventually(t, "the ring has the line", func() bool { return strings.Contains(s.ok("logs", "log"), "here") })
	for _, name := range []string{"other", "probed", "log", "stops"} { // its end is seen
		s.ok("stop", name, "--wait")
	}
	if r := s.status("stops").Reason; r == nil || r.Type != "stop_timeout" {
		t.Errorf("the service whose stop_exec hangs failed: %+v", r)
	}
	s.stop()
}

// Stop means that nothing is left, also of a check that was asking the service when it ended.
func TestRow29_ACheckEndsWithItsService(t *testing.T) {
	file := filepath.Join(t.TempDir(), "check")
	argv, _ := json.Marshal(childArgv("ignore=TERM", "touch="+file, "block"))
	s := startServer(t, map[string]string{"web": playing("[health]\ntype = \"exec\"\ntimeout_ms = 600000\ntarget = "+string(argv)+
		"\n[lifecycle]\nstart_timeout_ms = 0\n", "block")})
	eventually(t, "the check runs", func() bool { _, err := os.Stat(file); return err == nil })
	check := pidIn(t, file)
	s.ok("stop", "web", "--wait")
	if alive(check) {
		t.Errorf("the check (process %d) outlived its service", check)
	}
	s.stop()
}

// TestChainOfStarts: each link starts after the one before and prints what it prints once, what cannot start says so, and no pipe is left of what did not.
func TestChainOfStarts(t *testing.T) {
	nowhere := "[service]\nexec = [\"/nowhere\"]\n" + once
	services := map[string]string{"x0": nowhere, "y0": playing("", "block")}
	const n = 40
	requires := func(name string) string { return "[dependencies]\nrequires = [\"" + name + "\"]\n" }
	for i := range n {
		more := ""
		if i > 0 {
			more = requires(fmt.Sprintf("s%02d", i-1))
		}
		services[fmt.Sprintf("s%02d", i)] = playing(more, fmt.Sprintf("print=this is %d", i), "block")
	}
	for i := range 3 {
		services[fmt.Sprintf("x%d", i+1)] = playing(requires(fmt.Sprintf("x%d", i)), "print=never", "block")
		services[fmt.Sprintf("y%d", i+1)] = nowhere + requires(fmt.Sprintf("y%d", i))
	}
	s := newServer(t, services)
	s.run()
	s.is("running", fmt.Sprintf("s%02d", n-1))
	s.is("failed", "x0", "x1", "x2", "x3", "y1", "y2", "y3")
	before := int64(0)
	for i := range n {
		name := fmt.Sprintf("s%02d", i)
		st := s.status(name)
		if st.State != running || st.LastStart < before {
			t.Errorf("%s is %s, started at %d, the one before at %d", name, st.State, st.LastStart, before)
		}
		before = st.LastStart
		eventually(t, name+" has printed", func() bool { return strings.Contains(s.ok("logs", name), "this is") })
		if out := s.ok("logs", name); strings.Count(out, "\n") != 1 || !strings.Contains(out, fmt.Sprintf("this is %d", i)) {
			t.Errorf("%s printed %q", name, out)
		}
	}
	says(t, s.status("y1").Reason.String(), "/nowhere does not exist")
	eventually(t, "the server has two pipes for each service that runs, and no more", func() bool {
		if os.Getuid() != 0 { // only root may look at them
			return true
		}
		pipes := 0
		fds, _ := filepath.Glob(procPath(s.cmd.Process.Pid, "/fd/*"))
		for _, fd := range fds {
			if to, _ := os.Readlink(fd); strings.HasSuffix(to, ".stdout") || strings.HasSuffix(to, ".stderr") {
				pipes++
			}
		}
		return pipes == 2*(n+1)
	})
	s.stop()
}
