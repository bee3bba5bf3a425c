// health_notify_test.go tries services that say of themselves how they are: sd_notify, the newline of s6's protocol, and a line of the log.

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseNotice(t *testing.T) {
	text := func(s string) *string { return &s }
	for message, want := range map[string]notice{
		"":                               {},
		"READY=1":                        {ready: true},
		"READY=1\n":                      {ready: true},
		"READY=1\x00":                    {ready: true},
		"READY=0\nNOISE\n=\nX=READY=1":   {},
		"STATUS=all is well\nREADY=1":    {ready: true, status: text("all is well")},
		"STATUS=a=b":                     {status: text("a=b")},
		"STATUS=":                        {status: text("")},
		"STATUS=\xff":                    {status: text("\uFFFD")},
		"RELOADING=1\nMONOTONIC_USEC=5":  {reloading: true},
		"STOPPING=1\nERRNO=2":            {stopping: true, errno: 2},
		"MAINPID=17\nMAINPID=18":         {mainPID: 18},
		"MAINPID=x":                      {},
		"WATCHDOG=1":                     {alive: true},
		"WATCHDOG=trigger":               {trigger: true},
		"WATCHDOG_USEC=1500000":          {watchdog: 1500 * time.Millisecond},
		"EXTEND_TIMEOUT_USEC=20000000":   {extend: 20 * time.Second},
		"EXTEND_TIMEOUT_USEC=-1":         {},
		"BARRIER=1":                      {barrier: true},
		"FDSTORE=1\nFDNAME=x":            {store: true},
		"WATCHDOG_USEC=9999999999999999": {watchdog: time.Duration(maxMillis) * time.Millisecond},
	} {
		if got := parseNotice([]byte(message)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %+v, want %+v", message, got, want)
		}
	}
}

func FuzzNotice(f *testing.F) {
	f.Add([]byte("READY=1\nSTATUS=x\nMAINPID=3"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := parseNotice(b); n.watchdog < 0 || n.extend < 0 {
			t.Fatalf("%q: %+v", b, n)
		}
	})
}

const notifies = "[health]\ntype = \"notify\"\n"

// TestNotify is the life of a service that says everything that sd_notify(3) has a word for.
func TestNotify(t *testing.T) {
	dir := shortDir(t)
	step := func(n int) string { return fmt.Sprintf("await=%s/%d", dir, n) }
	s := startServer(t, map[string]string{"web": playing(notifies,
		"notify=STATUS=reading files", step(1), "notify=READY=1\nSTATUS=serving", step(2), "notify=RELOADING=1", step(3), "notify=READY=1\nERRNO=2", step(4), "notify=FDSTORE=1",
		"notify=STOPPING=1", "block"),
		"user": playing("[dependencies]\nrequires = [\"web\"]\n", "block")})
	next := func(n int) { touch(t, fmt.Sprintf("%s/%d", dir, n)) }
	says := func(text string) {
		t.Helper()
		eventually(t, "it says "+text, func() bool { return s.status("web").StatusText == text })
	}
	says("reading files")
	if st := s.status("web"); st.State != starting || st.Health.OK {
		t.Errorf("before READY=1 it is %+v", st)
	}
	if out, _ := s.zinit("why", "web"); !strings.Contains(out, "waiting for its READY=1 (sd_notify); it says: reading files") {
		t.Error(out)
	}
	s.is("blocked", "user")
	next(1)
	s.is("running", "web", "user")
	says("serving")
	if out := s.ok("status", "web"); !strings.Contains(out, "serving") || !s.status("web").Health.OK {
		t.Error(out)
	}
	next(2)
	says("serving; reloading")
	next(3)
	says("serving; error 2")
	next(4)
	says("serving; error 2; ending by itself")
	eventually(t, "the descriptor store is refused with a word", func() bool {
		log, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
		return strings.Contains(string(log), "web: descriptors are not kept for services (FDSTORE=1)")
	})
	s.is("running", "web")
	s.ok("stop", "web", "--wait")
	if entries, _ := os.ReadDir(s.socket + ".notify"); len(entries) > 0 {
		t.Errorf("the socket of the service is left: %v", entries)
	}
	s.stop()
}

// TestNotifyToRunning measures how long it takes from READY=1 to the answer of a client that waits for it.
func TestNotifyToRunning(t *testing.T) {
	const rounds = 20
	dir := shortDir(t)
	services := map[string]string{}
	for i := range rounds {
		services[fmt.Sprint("s", i)] = playing(notifies, fmt.Sprintf("await=%s/%d", dir, i), fmt.Sprintf("touch=%s/sent%d", dir, i), "notify=READY=1", "block")
	}
	s := startServer(t, services)
	best := time.Hour
	for i := range rounds {
		c, name := s.dial(), fmt.Sprint("s", i)
		s.is("starting", name)
		done := make(chan time.Time, 1)
		go func() {
			c.call("service.wait", `{"name": "`+name+`"}`)
			done <- time.Now()
		}()
		touch(t, fmt.Sprintf("%s/%d", dir, i))
		at := <-done
		info, err := os.Stat(fmt.Sprintf("%s/sent%d", dir, i))
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, at.Sub(info.ModTime()))
	}
	t.Logf("from just before READY=1 to the answer of a client that waits: %v at best", best)
	s.stop()
}

// TestNotifySenders: who may speak for a service.
func TestNotifySenders(t *testing.T) {
	needs(t, "systemd-notify")
	s := startServer(t, map[string]string{
		"main":      playing(notifies, "notify=READY=1", "block"),
		"helper":    "[service]\nexec = [\"/bin/sh\", \"-c\", \"systemd-notify --ready --status='by a helper'; exec sleep 600\"]\n" + notifies,
		"escaped":   playing(notifies, "runaway=notify=READY=1,block", "block"),
		"clean":     playing(notifies, "setsid=notify=READY=1", "block"),
		"patient":   playing(notifies, "env=NOTIFY_SOCKET", "block"),
		"of-nobody": "[service]\nuser = \"nobody\"\nexec = [\"/bin/sh\", \"-c\", \"systemd-notify --ready; exec sleep 600\"]\n" + notifies,
	})
	s.is("running", "main", "helper", "escaped", "clean")
	if os.Getuid() == 0 {
		s.is("running", "of-nobody")
	}
	socket := ""
	eventually(t, "the service has printed its socket", func() bool {
		_, socket, _ = strings.Cut(s.ok("logs", "patient"), "NOTIFY_SOCKET=")
		socket = strings.TrimSpace(socket)
		return socket != ""
	})
	if fi, err := os.Stat(socket); err != nil || fi.Mode().Perm() != 0o666 {
		t.Errorf("the socket: %v %v", fi, err)
	}
	t.Setenv("NOTIFY_SOCKET", socket)
	childActs("notify", "READY=1") // by us, who live and are not of the service
	childActs("notify", strings.Repeat("x", notifyLimit+1))
	eventually(t, "it is complained about", func() bool {
		log, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
		return strings.Contains(string(log), "patient: a message of sd_notify came from process "+strconv.Itoa(os.Getpid())) &&
			strings.Contains(string(log), "patient: a message of sd_notify is longer than 4096 bytes")
	})
	s.stop()
}

// TestMainPID: a service names its main process while it runs, or with its last words; only one of its own counts.
func TestMainPID(t *testing.T) {
	dir := shortDir(t)
	s := startServer(t, map[string]string{
		"hands-over": playing(notifies+once, "fork=touch="+dir+"/a,await="+dir+"/go,exit=7", "await="+dir+"/a", "notify=READY=1\nMAINPID=@"+dir+"/a", "exit=0"),
		"daemon":     playing(notifies+once, "runaway=touch="+dir+"/b,block", "await="+dir+"/b", "notify=READY=1\nMAINPID=@"+dir+"/b", "exit=0"),
		"liar":       playing(notifies, "notify=MAINPID=1\nREADY=1", "block"),
	})
	s.is("running", "hands-over", "daemon", "liar")
	for name, file := range map[string]string{"hands-over": "a", "daemon": "b"} {
		want := pidIn(t, filepath.Join(dir, file))
		eventually(t, name+" has another main process", func() bool { return s.status(name).PID == want })
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
	if !strings.Contains(string(log), "liar: process 1 cannot become its main process") {
		t.Errorf("%s", log)
	}
	s.is("running", "hands-over", "daemon", "liar")
	t.Log("the next server knows them")
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.ended <- nil
	s.run()
	daemon := pidIn(t, filepath.Join(dir, "b"))
	if st := s.status("daemon"); st.State != running || st.PID != daemon {
		t.Errorf("daemon is %+v", st)
	}
	touch(t, dir+"/go")
	s.is("failed", "hands-over")
	s.ok("stop", "daemon", "--wait")
	if alive(daemon) {
		t.Error("the main process outlived a stop")
	}
	s.stop()
}

// TestWatchdog: interval_ms of type notify is how often a service must say that it is alive, once it is ready.
func TestWatchdog(t *testing.T) {
	watched := notifies + "interval_ms = 400\n" + once
	s := startServer(t, map[string]string{
		"silent":   playing(watched, "env=WATCHDOG_USEC", "env=WATCHDOG_PID", "pid", "notify=READY=1", "block"),
		"alive":    "[service]\nexec = [\"/bin/sh\", \"-c\", \"systemd-notify --ready; while :; do systemd-notify WATCHDOG=1; sleep 0.1; done\"]\n" + watched,
		"triggers": playing(watched, "notify=READY=1\nWATCHDOG=trigger", "block"),
		"sets-it":  playing(notifies+once, "notify=WATCHDOG_USEC=100000\nREADY=1", "block"),
		"slow":     playing(watched, "block"), // is not asked before it is ready
	})
	s.is("failed", "silent", "triggers", "sets-it")
	for name, want := range map[string]string{"silent": "no sign of life within 400ms (watchdog)", "triggers": "it has triggered its watchdog", "sets-it": "no sign of life within 100ms (watchdog)"} {
		if st := s.status(name); st.Reason.Type != reasonHealth || st.Reason.LastError != want {
			t.Errorf("%s failed by %+v", name, st.Reason)
		}
	}
	out := s.ok("logs", "silent")
	_, pid, _ := strings.Cut(out, "WATCHDOG_PID=")
	if lines := strings.Fields(pid); !strings.Contains(out, "WATCHDOG_USEC=400000") || len(lines) < 2 || !strings.HasSuffix(lines[len(lines)-1], lines[0]) {
		t.Error(out)
	}
	s.is("running", "alive")
	s.is("starting", "slow")
	s.stop()
}

// TestExtendTimeout: EXTEND_TIMEOUT_USEC moves the limit under way, that of a stop too.
func TestExtendTimeout(t *testing.T) {
	dir := shortDir(t)
	s := startServer(t, map[string]string{
		"slow":  playing(notifies+"[lifecycle]\nstart_timeout_ms = 1000\n", "notify=EXTEND_TIMEOUT_USEC=600000000", "await="+dir+"/go", "notify=READY=1", "block"),
		"quits": playing(notifies+"[lifecycle]\nstop_timeout_ms = 300\nrestart = \"never\"\n", "ignore=TERM", "notify=READY=1", "notify=STOPPING=1", "block"),
	})
	s.is("failed", "quits")
	if st := s.status("quits"); st.Reason.Type != reasonStopTimeout {
		t.Errorf("it said that it ends, did not, and failed by %+v", st.Reason)
	}
	eventually(t, "more than its start timeout is over", func() bool { return s.status("slow").UptimeMS > 1200 })
	s.is("starting", "slow")
	touch(t, dir+"/go")
	s.is("running", "slow")
	s.stop()
}

// TestNewline is s6's protocol: a newline on a descriptor, and whatever else may happen to that.
func TestNewline(t *testing.T) {
	needs(t, "python3")
	fd := func(n int) string { return fmt.Sprintf("[health]\ntype = \"fd\"\ntarget = %d\n", n) + once }
	python := "import os, time; os.write(5, b'x'); time.sleep(0.1); os.write(5, b'\\\\n'); os.close(5); time.sleep(600)"
	s := startServer(t, map[string]string{
		"python":  "[service]\nexec = [\"python3\", \"-c\", \"" + python + "\"]\n" + fd(5),
		"third":   playing(fd(3), "fds", "tellfd=3:\n", "block"),
		"last":    playing(fd(19), "tellfd=19:all is well\n", "closefd=19", "block"),
		"closes":  playing(fd(3), "tellfd=3:no newline", "closefd=3", "block"),
		"ends":    playing(fd(3), "exit=0"),
		"patient": playing(strings.Replace(fd(7), "7", "\"7\"", 1), "fds", "block"),
	})
	s.is("running", "python", "third", "last")
	s.is("failed", "closes", "ends")
	if st := s.status("closes"); st.Reason.Type != reasonHealth || st.Reason.LastError != "closed before it was ready" {
		t.Errorf("closes failed by %+v", st.Reason)
	}
	s.is("starting", "patient")
	if out := s.ok("logs", "patient"); !strings.Contains(out, "fd 7 ") || strings.Contains(out, "fd 5 ") {
		t.Errorf("its descriptors:\n%s", out)
	}
	s.stop()
}

// TestReadyByLog: the first line of either stream, or piece of a long one, that contains the text.
func TestReadyByLog(t *testing.T) {
	dir := shortDir(t)
	line := "[health]\ntype = \"log\"\ntarget = \"ready to serve\"\n" + once
	raw := line + "[logging]\nfile = \"" + dir + "/raw.log\"\n"
	s := startServer(t, map[string]string{
		"out":    playing(line, "print=starting", "print=now ready to serve you", "block"),
		"err":    playing(line, "eprint=ready to serve", "block"),
		"raw":    playing(raw, "print=ready to serve", "block"),
		"long":   playing(line, "write=ready to serve"+strings.Repeat(".", maxLine), "block"),
		"prompt": playing(line, "write=ready to serve", "await="+dir+"/go", "print=.", "block"),
		"other":  playing(line, "print=ready to sleep", "block"),
		"mute":   playing(line+"[logging]\nbuffer_lines = 0\n", "print=ready to serve", "block"),
	})
	s.is("running", "out", "err", "raw", "long", "mute")
	eventually(t, "the line without the text is there", func() bool { return strings.Contains(s.ok("logs", "other"), "sleep") })
	s.is("starting", "prompt", "other")
	if out, _ := s.zinit("why", "other"); !strings.Contains(out, "waiting for a line of its output that contains \"ready to serve\"") {
		t.Error(out)
	}
	touch(t, dir+"/go")
	s.is("running", "prompt")
	s.stop()
}

// TestReadyAfter: without a check a service is running once it has lived so long.
func TestReadyAfter(t *testing.T) {
	after := "[lifecycle]\nrestart = \"never\"\nstart_timeout_ms = 100\nready_after_ms = "
	s := startServer(t, map[string]string{"lives": playing(after+"500\n", "block"), "ends": playing(after+"600000\n", "sleep=50", "exit=0"), "long": playing(after+"600000\n", "block")})
	s.is("failed", "ends")
	if st := s.status("ends"); st.Reason.Type != reasonExitCode || *st.Reason.Code != 0 {
		t.Errorf("ends failed by %+v", st.Reason)
	}
	s.is("running", "lives")
	s.is("starting", "long")
	s.stop()
}

// TestRow77_AProbeThatMustNotKill: with interval_ms = 0 a service is not asked again once it was ready, with retries = 0 it is, but nothing follows.
func TestRow77_AProbeThatMustNotKill(t *testing.T) {
	flag := filepath.Join(shortDir(t), "sick")
	check := "[health]\ntype = \"exec\"\ntarget = [\"/bin/sh\", \"-c\", \"! test -e " + flag + "\"]\n"
	s := startServer(t, map[string]string{"once": playing(check+"interval_ms = 0\n", "block"), "shown": playing(check+"interval_ms = 20\nretries = 0\n", "block")})
	s.is("running", "once", "shown")
	once := s.status("once").Health.Checks
	touch(t, flag)
	eventually(t, "many checks have failed", func() bool { return s.status("shown").Health.Failures > 10 })
	if st := s.status("shown"); st.State != running || st.Health.OK || st.RestartCount != 0 {
		t.Errorf("shown is %+v", st)
	}
	if st := s.status("once"); st.State != running || st.Health.Checks != once {
		t.Errorf("once is %+v", st)
	}
	s.stop()
}

// TestReadinessOutlivesServers: whatever a service says while a server dies is heard by the next one, under the keeper.
func TestReadinessOutlivesServers(t *testing.T) {
	dir := shortDir(t)
	go1 := "await=" + dir + "/go"
	services := map[string]string{
		"notify": playing(notifies, "touch="+dir+"/notify", go1, "notify=STATUS=done\nREADY=1\nWATCHDOG_USEC=600000000", "touch="+dir+"/notify.sent", "block"),
		"fd":     playing("[health]\ntype = \"fd\"\ntarget = 3\n", "touch="+dir+"/fd", go1, "tellfd=3:\n", "closefd=3", "touch="+dir+"/fd.sent", "block"),
		"log":    playing("[health]\ntype = \"log\"\ntarget = \"ready\"\n", "touch="+dir+"/log", go1, "print=I am ready", "touch="+dir+"/log.sent", "block"),
		"daemon": playing(notifies+once, "fork=touch="+dir+"/child,block", "touch="+dir+"/daemon", go1, "notify=READY=1\nMAINPID=@"+dir+"/child", "touch="+dir+"/daemon.sent", "exit=0"),
		"lives":  playing("[lifecycle]\nready_after_ms = 1500\n", "touch="+dir+"/lives", "touch="+dir+"/lives.sent", "block"),
	}
	b := startInit(t, services, boxOptions{}).up()
	names := []string{"notify", "fd", "log", "daemon", "lives"}
	all := func(what, suffix string) {
		t.Helper()
		eventually(t, what, func() bool {
			for _, n := range names {
				if _, err := os.Stat(filepath.Join(dir, n+suffix)); err != nil {
					return false
				}
			}
			return true
		})
	}
	all("all have begun", "")
	b.is("starting", "notify", "fd", "log", "daemon")
	pids := map[string]int{}
	for _, n := range names {
		pids[n] = b.status(n).PID
	}
	server := b.serverPID()
	_ = syscall.Kill(server, syscall.SIGSTOP)
	touch(t, dir+"/go")
	all("all have spoken, and nobody has listened", ".sent")
	_ = syscall.Kill(server, syscall.SIGKILL)
	server = b.newServer(server)
	b.is("running", names...)
	check := func() {
		t.Helper()
		for _, n := range names {
			st := b.status(n)
			if n == "daemon" {
				eventually(t, "the child is the main process", func() bool { return b.status(n).PID != pids[n] })
			} else if st.PID != pids[n] {
				t.Errorf("%s had pid %d, and is %+v", n, pids[n], st)
			}
			if st.State != running || st.RestartCount != 0 {
				t.Errorf("%s is %+v", n, st)
			}
		}
		if st := b.status("notify"); st.StatusText != "done" {
			t.Errorf("notify says %q", st.StatusText)
		}
	}
	check()
	t.Log("the next server knows what the last one had heard")
	_ = syscall.Kill(server, syscall.SIGKILL)
	server = b.newServer(server)
	b.up()
	check()
	b.ok("call", "system.upgrade")
	b.newServer(server)
	b.up()
	check()
	b.signal(sigTerm)
	b.ends(patience)
}

// TestReadinessOutlivesStandaloneServers: what was said before is known to the next server, and it hears what is said from then on.
func TestReadinessOutlivesStandaloneServers(t *testing.T) {
	dir := shortDir(t)
	await := func(n string) string { return "await=" + dir + "/" + n }
	s := startServer(t, map[string]string{
		"notify": playing(notifies, "notify=STATUS=one", await("go"), "notify=READY=1", await("more"), "notify=STATUS=two", "block"),
		"fd":     playing("[health]\ntype = \"fd\"\ntarget = 3\n", await("go"), "tellfd=3:\n", "block"),
		"log":    playing("[health]\ntype = \"log\"\ntarget = \"ready\"\n", await("go"), "print=I am ready", "block"),
	})
	eventually(t, "the first word", func() bool { return s.status("notify").StatusText == "one" })
	pid := s.status("notify").PID
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.ended <- nil
	s.run()
	s.is("starting", "notify", "fd", "log")
	touch(t, dir+"/go")
	s.is("running", "notify", "fd", "log")
	t.Log("an upgrade keeps the sockets")
	s.ok("upgrade")
	touch(t, dir+"/more")
	eventually(t, "the second word", func() bool { return s.status("notify").StatusText == "two" })
	if st := s.status("notify"); st.PID != pid || st.State != running {
		t.Errorf("notify is %+v", st)
	}
	s.stop()
}

// TestRealPeers: redis and PostgreSQL as their packages have it.
func TestRealPeers(t *testing.T) {
	needs(t, "redis-server")
	dir, port := shortDir(t), freePort(t)
	s := startServer(t, map[string]string{
		"redis": fmt.Sprintf("[service]\nexec = [\"redis-server\", \"--supervised\", \"systemd\", \"--port\", \"%d\", \"--save\", \"\", \"--dir\", %q]\n", port, dir) + notifies,
		"user":  "[service]\nexec = [\"redis-cli\", \"-p\", \"" + strconv.Itoa(port) + "\", \"ping\"]\noneshot = true\n[dependencies]\nrequires = [\"redis\"]\n",
	})
	s.is("running", "redis")
	s.is("exited", "user")
	if text := s.status("redis").StatusText; text != "Ready to accept connections" {
		t.Errorf("redis says %q", text)
	}
	s.ok("stop", "redis", "--wait")
	if st := s.status("redis"); st.State != exited || !strings.Contains(st.StatusText, "ending by itself") {
		t.Errorf("redis is %+v", st)
	}
	s.stop()
}

// TestPostgresByLog: the line that says that PostgreSQL is ready is the one that counts.
func TestPostgresByLog(t *testing.T) {
	bin, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(bin) == 0 {
		skip(t, "no PostgreSQL on this machine")
	}
	if os.Getuid() != 0 {
		skip(t, "PostgreSQL runs as another user, which only root can switch to")
	}
	dir, port := shortDir(t), freePort(t)
	data, pg := filepath.Join(dir, "pg"), bin[len(bin)-1]
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("chown", "postgres", data).CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	s := startServer(t, map[string]string{
		"initdb": fmt.Sprintf("[service]\nexec = \"%s/initdb -D %s -U postgres -A trust\"\nuser = \"postgres\"\noneshot = true\n", pg, data),
		"db": fmt.Sprintf("[service]\nexec = \"%s/postgres -D %s -p %d -h 127.0.0.1 -k %s\"\nuser = \"postgres\"\n[dependencies]\nrequires = [\"initdb\"]\n"+
			"[health]\ntype = \"log\"\ntarget = \"ready to accept connections\"\n[lifecycle]\nstop_signal = \"SIGINT\"\n", pg, data, port, data),
		"ask": fmt.Sprintf("[service]\nexec = \"%s/psql -h 127.0.0.1 -p %d -U postgres -tc 'select 1'\"\noneshot = true\n[dependencies]\nrequires = [\"db\"]\n[lifecycle]\nrestart = \"never\"\n", pg, port),
	})
	s.is("running", "db")
	s.is("exited", "ask")
	s.stop()
}

// TestReadinessErrors: what cannot be.
func TestReadinessErrors(t *testing.T) {
	for text, want := range map[string]string{
		"type = \"fd\"\ntarget = 2\n":          "it is the number of a descriptor from 3 to 19; write for example 3",
		"type = \"fd\"\ntarget = \"20\"\n":     "it is the number of a descriptor from 3 to 19; write for example 3",
		"type = \"fd\"\n":                      "[health] lacks the key `target`: what to look at; for type \"fd\" it is like 3",
		"type = \"log\"\ntarget = \"\"\n":      "`target` is empty",
		"type = \"log\"\ntarget = \"a\\nb\"\n": "a line contains no line break",
		"type = \"log\"\ntarget = [\"a\"]\n":   "a list is a command, which is for type \"exec\" only",
		"type = \"notify\"\ntarget = \"x\"\n":  "a health check of type \"notify\" has no `target`",
	} {
		_, errs, _ := parseTOML([]byte("[service]\nexec = \"x\"\n[health]\n"+text), "a.toml", "a")
		if len(errs) != 1 || !strings.Contains(errs[0].Message, want) {
			t.Errorf("%q: %v, want %s", text, errs, want)
		}
	}
	for _, kind := range []string{"fd\"\ntarget = \"3", "log\"\ntarget = \"x"} {
		_, errs, _ := parseTOML([]byte("[service]\nexec = \"x\"\noneshot = true\n[health]\ntype = \""+kind+"\"\n"), "a.toml", "a")
		if len(errs) != 1 || !strings.Contains(errs[0].Message, "a oneshot is ready when it has ended") {
			t.Errorf("%s in a oneshot: %v", kind, errs)
		}
	}
	c, errs, _ := parseTOML([]byte("[service]\nexec = \"x\"\n[health]\ntype = \"fd\"\ntarget = 5\n"), "a.toml", "a")
	if len(errs) > 0 || c.Health.descriptor() != 5 || c.Health.Interval != 0 {
		t.Fatalf("%+v %v", c, errs)
	}
	again, errs, _ := parseTOML(c.toml(), "a.toml", "a")
	if len(errs) > 0 || !again.same(c) {
		t.Errorf("written anew it is\n%s\n%v", c.toml(), errs)
	}
	if value, _ := json.Marshal(c.value()["health"]); !strings.Contains(string(value), `"target":"5"`) {
		t.Errorf("as CONFIG it is %s", value)
	}
}
