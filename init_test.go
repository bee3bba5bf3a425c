// init_test.go holds the keeper's parts against what they promise, and PID 1 against servers that hang, upgrades that fail and clients that never stop.

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// --- the command line

func TestInitWords(t *testing.T) {
	t.Setenv("ZINIT_CONTAINER", "")
	for _, row := range []struct {
		words  string
		strict bool
		cmd    string
		check  func(o keeperOptions) bool
		fails  string
	}{
		{"-c /app -x --y", true, "/app -x --y", nil, ""},
		{"-c /app -x --y", false, "/app -x --y", nil, ""},
		{"-c -- /app", true, "/app", nil, ""},
		{"-c -g app -- b", true, "app -- b", func(o keeperOptions) bool { return o.group }, ""},
		{"-cgs app", true, "app", func(o keeperOptions) bool { return o.group && o.subreaper }, ""},
		{"-c -e143 -e 7 -e=8 --exit-ok=9 --exit-ok 10 app", true, "app", func(o keeperOptions) bool { return slices.Equal(o.okCodes, []int{143, 7, 8, 9, 10}) }, ""},
		{"-cge143 app", true, "app", func(o keeperOptions) bool { return o.group && slices.Equal(o.okCodes, []int{143}) }, ""},
		{"-c -p TERM app", true, "app", func(o keeperOptions) bool { return o.parentSig == sigTerm }, ""},
		{"-c -pTERM app", true, "app", func(o keeperOptions) bool { return o.parentSig == sigTerm }, ""},
		{"-c --parent-signal=SIGTERM app", true, "app", func(o keeperOptions) bool { return o.parentSig == sigTerm }, ""},
		{"-c --socket=/s app", true, "app", func(o keeperOptions) bool { return slices.Equal(o.server, []string{"--socket", "/s"}) }, ""},
		{"single -b quiet 3", false, "", nil, ""},
		{"app", true, "", nil, "unknown flag or word `app`"},
		{"-c --bogus app", true, "", nil, "unknown flag or word `--bogus`"},
		{"-c -x app", false, "", nil, "unknown flag or word `-x`"},
		{"-c -gx app", true, "", nil, "unknown flag or word `-gx`"},
		{"-c --group=yes app", true, "", nil, "takes no value"},
		{"-c -e", true, "", nil, "-e needs CODE"},
		{"-c -e256 app", true, "", nil, "an exit code"},
		{"-- app", true, "", nil, "add -c"},
	} {
		o, err := parseInit(strings.Fields(row.words), row.strict)
		if (err == nil) != (row.fails == "") || err != nil && !strings.Contains(err.Error(), row.fails) {
			t.Errorf("%s: error %v, not %q", row.words, err, row.fails)
			continue
		}
		if err == nil && (strings.Join(o.cmd, " ") != row.cmd || row.check != nil && !row.check(o)) {
			t.Errorf("%s: %+v", row.words, o)
		}
	}
	t.Setenv("ZINIT_CONTAINER", "1")
	if o, err := parseInit([]string{"app", "-c"}, false); err != nil || strings.Join(o.cmd, " ") != "app -c" {
		t.Errorf("with ZINIT_CONTAINER=1: %+v, %v", o, err)
	}
}

// TestCommandWithoutDashes: `zinit init -c -e42 /app` runs it, as tini does.
func TestCommandWithoutDashes(t *testing.T) {
	t.Parallel()
	b := startInit(t, nil, boxOptions{flags: []string{"-e42", actorBinary(t), "print=hello", "exit=42"}})
	if code := b.ends(patience); code != 0 || !strings.Contains(b.output(), "hello") {
		t.Errorf("exit code %d", code)
	}
}

// TestKeeperBesideAnother: without -c a keeper is PID 1 or nothing; with it, it leaves a live server's services alone.
func TestKeeperBesideAnother(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "touch="+shortDir(t)+"/web block")}, boxOptions{notOne: true}).up()
	b.is("running", "web")
	for _, row := range []struct {
		words []string
		says  string
	}{
		{[]string{"init"}, "`zinit server`"},
		{[]string{"init", "-c", "--socket", b.socket, "--config-dir", b.dir + "/services", "--", "/bin/true"}, "a server is live at " + b.socket},
	} {
		cmd := exec.Command(zinitBinary(t), row.words...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != exitRefused || !strings.Contains(string(out), row.says) {
			t.Errorf("zinit %s: %v\n%s", strings.Join(row.words, " "), err, out)
		}
	}
}

// --- the boot and the end

// TestBootStepsThatCannotBeWorkedOut: a panic in what reads a file is a step that failed, and an error of the boot only where it cannot go on.
func TestBootStepsThatCannotBeWorkedOut(t *testing.T) {
	b := newBoot(t.TempDir())
	broken := bootStage{name: "modules", steps: func(*boot) []bootStep { panic("as the test wants it") }}
	if err := runSteps(b.stepsOf(broken)); err != nil {
		t.Error(err)
	}
	broken.vital = true
	if err := runSteps(b.stepsOf(broken)); err == nil || !strings.Contains(err.Error(), "cannot work out what to do: modules: panic: as the test wants it") {
		t.Errorf("a vital stage: %v", err)
	}
}

// TestMachineBootsPastAPanic: a defect in one part of the boot, or in the reading of the kernel's words, is no kernel panic.
func TestMachineBootsPastAPanic(t *testing.T) {
	t.Parallel()
	needs(t, "nsenter")
	b := startInit(t, map[string]string{"web": "[service]\nexec = [\"/actor\", \"block\"]\n"}, boxOptions{system: true, empty: true, binary: probeBinary(t), panics: true,
		dirs: []string{"dev"}, enter: []string{"tmpfs=dev"}, env: []string{"ZINIT_TEST_BROKEN_BOOT=1"}})
	b.says("cannot work out what to do: broken: panic: as the test wants it")
	b.says("web is running")
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
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

// TestWatchdogIsFedOnTheWayDown: together the parts may take longer than its time.
func TestWatchdogIsFedOnTheWayDown(t *testing.T) {
	name := filepath.Join(t.TempDir(), "watchdog")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := &watchdog{f, 2 * time.Millisecond}
	fed := func() int { data, _ := os.ReadFile(name); return len(data) }
	hangs, done := make(chan struct{}), false
	defer close(hangs)
	doParts([]downPart{
		{"be slow", func() { eventually(t, "it is fed", func() bool { return fed() >= 10 }) }},
		{"panic", func() { panic("as the test wants it") }},
		{"hang", func() { <-hangs }},
		{"be the last", func() { done = true }},
	}, patience/60, w)
	if !done || fed() < 20 {
		t.Errorf("done %v, fed %d times", done, fed())
	}
}

// --- the link and the exits

func TestLinkThatCannotBeMade(t *testing.T) {
	if l, err := newLink(-1); err == nil || l != nil {
		t.Errorf("a link of no descriptor: %v, %v", l, err)
	}
	file, err := os.CreateTemp(t.TempDir(), "") // the poller takes no files
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if l, err := newLink(fd); err == nil || l != nil {
		t.Errorf("a link of a file: %v, %v", l, err)
	}
	if err := syscall.Close(fd); err != syscall.EBADF {
		t.Errorf("the descriptor is left open: %v", err)
	}
}

// TestLinkEnds: whoever waits until something has left a closed link does not wait for long.
func TestLinkEnds(t *testing.T) {
	ours, theirs, err := sysSocketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer sysClose(theirs)
	l, err := newLink(ours)
	if err != nil {
		t.Fatal(err)
	}
	l.close()
	l.close()
	began := time.Now()
	l.flush(patience)
	l.sendNow(packet{op: opAsk}, patience)
	if took := time.Since(began); took > slack {
		t.Errorf("it took %v", took)
	}
}

func TestExitsInPackets(t *testing.T) {
	want := []exitRecord{{1, 2, 3}, {1 << 40, 1 << 22, 0x7f | leaderBit}}
	if got := parseExits(encodeExits(want)); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// TestExitsAreBounded: what nobody acknowledges is bounded, and the end of a service is never dropped for the ends of orphans.
func TestExitsAreBounded(t *testing.T) {
	k := &keeper{procs: map[string]int{"log web 1": 7}}
	k.exits = append(k.exits, exitRecord{1, 7, 0}, exitRecord{2, 8, leaderBit})
	for seq := uint64(3); seq < 3*maxExits; seq++ {
		k.exits = append(k.exits, exitRecord{seq: seq, pid: int(seq)})
		k.boundExits()
	}
	if n := len(k.exits); n > maxExits+maxExits/16 || n < maxExits/2 || k.exits[0].pid != 7 || k.exits[1].pid != 8 || k.exits[n-1].seq != 3*maxExits-1 {
		t.Errorf("%d exits, %v … %v", n, k.exits[:3], k.exits[n-1])
	}
	for seq := uint64(3 * maxExits); seq < 6*maxExits; seq++ {
		k.exits = append(k.exits, exitRecord{seq: seq, pid: int(seq), status: leaderBit})
		k.boundExits()
	}
	if n := len(k.exits); n > 2*maxExits+maxExits/16 || k.exits[0].pid != 7 || k.exits[n-1].seq != 6*maxExits-1 {
		t.Errorf("%d exits that led a session, %v … %v", n, k.exits[:3], k.exits[n-1])
	}
}

// TestServerReapedWhileTheLinkComesToRest: a record that has the keeper reap may be the server's last.
func TestServerReapedWhileTheLinkComesToRest(t *testing.T) {
	if !inNamespaces(t) { // it reaps whatever ends
		return
	}
	ours, theirs, err := sysSocketPair()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"zinit", "version"}, &syscall.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil { // it has ended, and is left for the keeper
		t.Fatal(err)
	}
	k := newKeeper(keeperOptions{container: true, limit: time.Second}, true)
	k.closing = &keeperClosing{kind: "exit", taken: true}
	l, err := newLink(ours)
	if err != nil {
		t.Fatal(err)
	}
	k.server = serverChild{pid: pid, link: l, live: true}
	k.listen()
	sync := packet{op: opSync}
	if err := sysSendPacket(theirs, sync.encode(), nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is read, and waits for the keeper", func() bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(ours), Events: unix.POLLIN}}, 0)
		return n == 0 && err == nil
	})
	quiet := make(chan struct{})
	go func() { k.quiesce(); close(quiet) }()
	select {
	case <-quiet:
	case <-time.After(slack):
		t.Fatal("it waits for ever")
	}
	if k.server.pid != 0 || k.server.link != nil {
		t.Errorf("the server is still there: %+v", k.server)
	}
}

// --- a server that hangs

func TestWaitForAnAnswer(t *testing.T) {
	now := time.Now()
	play := func(cpu func(step int) time.Duration, late func(step int) bool) (steps int) {
		var w answerWait
		w.begin(0, now)
		for steps = 1; steps <= 100; steps++ {
			at := w.next
			if late(steps) {
				at = at.Add(answerStep)
			}
			if w.step(cpu(steps), at) {
				return steps
			}
		}
		return steps
	}
	still := func(int) time.Duration { return 5 }
	busy := func(n int) time.Duration { return time.Duration(n) * time.Second }
	unknown := func(int) time.Duration { return -1 }
	never := func(int) bool { return false }
	for _, row := range []struct {
		what string
		cpu  func(int) time.Duration
		late func(int) bool
		want int
	}{
		{"stopped", still, never, stillSteps},
		{"busy", busy, never, allSteps},
		{"nobody knows", unknown, never, allSteps},
		{"frozen with us", still, func(n int) bool { return n <= 3 }, stillSteps + 3},
		{"always frozen", still, func(int) bool { return true }, 101},
		{"busy, then still", func(n int) time.Duration { return time.Duration(min(n, 4)) * time.Second }, never, stillSteps + 4},
	} {
		if got := play(row.cpu, row.late); got != row.want {
			t.Errorf("%s: taken for hung after %d steps, not %d", row.what, got, row.want)
		}
	}
}

// TestServerThatHangs is replaced once there is something that it does not do; services run on. A busy machine is no hang, SIGSTOP is one.
func TestServerThatHangs(t *testing.T) {
	t.Parallel()
	for name, notice := range map[string]func(b *box, dir string){
		"a signal is not obeyed":      func(b *box, _ string) { b.signal(sigHup) },
		"an exit is not acknowledged": func(_ *box, dir string) { _ = os.WriteFile(dir+"/go", nil, 0o600) },
		"a shutdown is not begun":     func(b *box, _ string) { b.signal(sigTerm) },
		"before it is live":           func(b *box, _ string) { b.signal(sigHup) }, // for the case that it was live already
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			b := startInit(t, map[string]string{"web": service(t, "block"), "victim": service(t, "await="+dir+"/go exit=1", "[lifecycle]\nrestart = \"never\"")},
				boxOptions{flags: []string{"--shutdown-timeout-ms", "60000"}}).up()
			b.is("running", "web", "victim")
			web, old := b.status("web").PID, b.serverPID()
			if strings.Contains(name, "live") {
				_ = syscall.Kill(old, syscall.SIGKILL)
				old = b.newServer(old)
			}
			_ = syscall.Kill(old, syscall.SIGSTOP)
			notice(b, dir)
			began := time.Now()
			b.says("gives no sign of life")
			if took := time.Since(began); took > (allSteps+2)*answerStep+slack {
				t.Errorf("it took %v", took)
			}
			if strings.Contains(name, "shutdown") {
				if code := b.ends(patience); code != 0 || time.Since(began) > 50*time.Second {
					t.Errorf("exit code %d after %v", code, time.Since(began))
				}
				return
			}
			b.newServer(old)
			b.up()
			if st := b.status("web"); st.PID != web || st.State != running {
				t.Errorf("web was pid %d and is %+v", web, st)
			}
			if strings.Contains(name, "exit") {
				b.is("failed", "victim")
			}
		})
	}
}

// --- what began the end gives the code

func TestCriticalBesideCommand(t *testing.T) {
	t.Parallel()
	never := "critical = true\n[lifecycle]\nrestart = \"never\"\n"
	for _, row := range []struct {
		name, words string
		code        int
		kill        bool // the server, once the shutdown has begun
	}{
		{"its exit code", "await=%s/go exit=3", 3, false},
		{"ended by itself with 0", "await=%s/go exit=0", 0, false},
		{"a signal", "await=%s/go die=9", 137, false},
		{"with another server in between", "await=%s/go exit=3", 3, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			services := map[string]string{"main": service(t, fmt.Sprintf(row.words, dir), never)}
			if row.kill {
				services["slow"] = service(t, "ignore=15 print=up block", "[lifecycle]\nstop_timeout_ms = 3000")
			}
			b := startInit(t, services, boxOptions{cmd: []string{actorBinary(t), "print=here", "on=15:43", "block"}, flags: []string{"--shutdown-timeout-ms", "8000"}}).up()
			b.says("\nhere\n")
			b.is("running", "cmd")
			if row.kill {
				b.says("slow | up")
			}
			if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if row.kill {
				b.says("the critical service main")
				old := b.serverPID()
				_ = syscall.Kill(old, syscall.SIGKILL)
			}
			if code := b.ends(patience); code != row.code {
				t.Errorf("exit code %d, not %d", code, row.code)
			}
		})
	}
}

// --- what the next image of PID 1 reads

func recordFD(t *testing.T, text []byte) int {
	t.Helper()
	fd, err := sysMemfdWith("test", text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sysClose(fd) })
	return fd
}

func TestKeeperRecord(t *testing.T) {
	k := &keeper{args: []string{"-c", "--", "/app", "-x"}, one: true, memo: 4, seq: 9, panics: 1, brokeAt: 5, store: map[string][]int{"log a 1": {5, 6}}, procs: map[string]int{"log a 1": 77},
		exits:   []exitRecord{{8, 77, 256 | leaderBit}},
		closing: &keeperClosing{kind: "exit", code: 3, at: time.Now().Add(time.Hour), fixed: true}, cmd: mainProgram{pid: 12, started: true, tty: true, asked: true}}
	r := k.record("/a\xff\n")
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readRecord(recordFD(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := json.Marshal(got); !bytes.Equal(again, text) || string(got.Self) != "/a\xff\n" {
		t.Errorf("wrote %s\nread  %s", text, again)
	}
	if err := checkRecord(recordFD(t, text)); err != nil {
		t.Error(err)
	}
	for what, bad := range map[string]string{
		"version 3 of it":     strings.Replace(string(text), `"Version":2`, `"Version":3`, 1),
		"no version":          strings.Replace(string(text), `"Version":2,`, ``, 1),
		"a field more":        strings.Replace(string(text), `"Seq":9`, `"Seq":9,"Hope":1`, 1),
		"half of it":          string(text[:len(text)/2]),
		"text behind it":      string(text) + "{}",
		"the old text":        "version 1\nstate 4\nseq 9\n",
		"nothing":             "",
		"flags of the future": strings.Replace(string(text), `"-c"`, `"-c","--hover"`, 1),
	} {
		if bad == string(text) {
			t.Fatalf("%s: nothing was replaced in %s", what, text)
		}
		if err := checkRecord(recordFD(t, []byte(bad))); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

func TestProvenVersion(t *testing.T) {
	for _, row := range []struct {
		out    string
		keeper bool
		want   string
	}{
		{"state ok 1.2\n", false, "1.2"}, {"keeper ok\nstate ok 1.2\n", true, "1.2"}, {"state ok 1.2\nkeeper ok\n", true, "1.2"},
		{"state ok 1.2\n", true, ""}, {"keeper ok\n", true, ""}, {"state bad x\n", false, ""}, {"", false, ""},
	} {
		if got, err := provenVersion(row.out, row.keeper); got != row.want || (err == nil) != (row.want != "") {
			t.Errorf("%q: %q, %v", row.out, got, err)
		}
	}
}

// TestUpgradeOfPID1IsProvenFirst: a binary that reads the state of the server, but does not say that it reads what PID 1 holds, changes nothing.
func TestUpgradeOfPID1IsProvenFirst(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	b.is("running", "web")
	pid, old := b.status("web").PID, b.serverPID()
	bad := filepath.Join(b.dir, "bad")
	if err := os.WriteFile(bad, []byte("#!/bin/sh\ncase \"$*\" in *--check-state*) echo state ok 9.9;; *) exec "+zinitBinary(t)+" \"$@\";; esac\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, code := b.zinit("upgrade", bad); code != exitRefused || !strings.Contains(out, "state ok 9.9") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if b.serverPID() != old || b.status("web").PID != pid {
		t.Error("a refused upgrade has changed something")
	}
}

// openFiles are the descriptors of a process, by what they lead to.
func openFiles(pid int) (list []string) {
	entries, _ := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	for _, e := range entries {
		if to, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/fd/" + e.Name()); err == nil {
			list = append(list, to)
		}
	}
	return list
}

// TestFailedUpgradesLeaveNothingOpen: neither in PID 1 nor in the server, however they fail.
func TestFailedUpgradesLeaveNothingOpen(t *testing.T) {
	t.Parallel()
	const bad = `#!/bin/sh
case "$*" in *--check-state*) rm -f "$0"; echo state ok 9.9; echo keeper ok;; esac
`
	fails := func(s *server, pid func() int, upgrade func(binary string)) {
		again := func() {
			path := filepath.Join(s.dir, "bad")
			if err := os.WriteFile(path, []byte(bad), 0o755); err != nil {
				s.t.Fatal(err)
			}
			upgrade(path)
		}
		again() // the first may open what stays
		before := openFiles(pid())
		for range 5 {
			again()
		}
		if now := openFiles(pid()); len(now) > len(before)+1 { // something may be under way
			s.t.Errorf("%d descriptors, and %d after 5 failed upgrades:\n%q\n%q", len(before), len(now), before, now)
		}
	}
	count := func(s *server, text string) int {
		said, _ := os.ReadFile(s.out.Name())
		return strings.Count(string(said), text)
	}
	t.Run("standalone", func(t *testing.T) {
		s := startServer(t, map[string]string{"web": service(t, "block")})
		fails(s, func() int { return s.cmd.Process.Pid }, func(binary string) {
			n := count(s, "going on with the present version")
			s.zinit("call", "system.upgrade", `{"binary": "`+binary+`"}`)
			eventually(t, "the upgrade has failed", func() bool { return count(s, "going on with the present version") > n })
		})
		s.stop()
	})
	t.Run("keeper", func(t *testing.T) {
		b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
		upgrade := func(binary string) {
			n := count(&b.server, "takes over again")
			b.zinit("call", "system.upgrade", `{"binary": "`+binary+`"}`)
			eventually(t, "the old binary serves", func() bool { return count(&b.server, "takes over again") > n })
			b.up()
		}
		fails(&b.server, func() int { return b.cmd.Process.Pid }, upgrade)
		fails(&b.server, b.serverPID, upgrade)
	})
}

// --- the control socket never goes away

// callers connect anew all the time and ask, until the test ends it. Nobody may be refused; a connection that the old server had accepted when it died may break.
func (s *server) callers(n int) (end func() (answered, broken int)) {
	s.t.Helper()
	stop := make(chan struct{})
	var group sync.WaitGroup
	var answered, broken atomic.Int64
	for range n {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				conn, err := net.Dial("unix", s.socket)
				if errors.Is(err, syscall.EAGAIN) { // the queue is full
					continue
				}
				if err != nil {
					s.t.Errorf("a client was refused: %v", err)
					return
				}
				_ = conn.SetDeadline(time.Now().Add(patience))
				fmt.Fprintln(conn, `{"jsonrpc":"2.0","id":1,"method":"system.ping"}`)
				line, err := bufio.NewReader(conn).ReadString('\n')
				conn.Close()
				switch {
				case errors.Is(err, os.ErrDeadlineExceeded):
					s.t.Errorf("a client got no answer for %v", patience)
					return
				case err != nil:
					broken.Add(1)
				case !strings.Contains(line, `"result"`):
					s.t.Errorf("a client was answered %s", line)
					return
				default:
					answered.Add(1)
				}
			}
		}()
	}
	return func() (int, int) {
		close(stop)
		group.Wait()
		return int(answered.Load()), int(broken.Load())
	}
}

// TestClientsAreNeverRefused: over 50 kill -9 of the server, 20 SIGUSR1 and 3 upgrades.
func TestClientsAreNeverRefused(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	b.is("running", "web")
	web := b.status("web").PID
	end := b.callers(3)
	for range 50 {
		old := b.newServer(0)
		_ = syscall.Kill(old, syscall.SIGKILL)
		b.newServer(old)
	}
	_, killed := end()
	b.up()
	end = b.callers(3)
	for i := range 20 {
		old := b.serverPID()
		b.signal(sigUsr1)
		eventually(t, "SIGUSR1 is obeyed", func() bool { return strings.Count(b.output(), "replacing the server") == i+1 })
		b.newServer(old)
		b.up()
	}
	for range 3 {
		b.ok("upgrade")
		b.ok("list")
	}
	answered, broken := end()
	t.Logf("%d answers; connections that broke: %d over 50 kills, %d over 20 restarts and 3 upgrades", answered, killed, broken)
	if answered < 100 {
		t.Errorf("only %d answers", answered)
	}
	if st := b.status("web"); st.PID != web || st.State != running {
		t.Errorf("web was pid %d and is %+v", web, st)
	}
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Lstat(b.socket); err == nil {
		t.Error("the socket is left behind")
	}
}

// TestUpgradeReturnsWhenTheNewServerAnswers: under PID 1 and standalone, so that what follows it in a script works.
func TestUpgradeReturnsWhenTheNewServerAnswers(t *testing.T) {
	t.Parallel()
	for _, standalone := range []bool{false, true} {
		var s *server
		if standalone {
			s = startServer(t, map[string]string{"web": service(t, "block")})
		} else {
			s = &startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up().server
		}
		s.is("running", "web")
		end := s.callers(1)
		for range 5 {
			out := s.ok("upgrade")
			if !strings.Contains(out, "has taken over") {
				t.Errorf("it says %q", out)
			}
			s.ok("list")
		}
		answered, broken := end()
		t.Logf("standalone %v: %d answers, %d connections broke", standalone, answered, broken)
		if standalone {
			s.stop()
		}
	}
}

// TestUpgradeThatComesToNothing exits with 1 and says so, also when the failure comes after the answer.
func TestUpgradeThatComesToNothing(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	bad := filepath.Join(b.dir, "bad")
	if err := os.WriteFile(bad, []byte("#!/bin/sh\ncase \"$*\" in *--check-state*) echo keeper ok; echo state ok 9.9;; *) exit 1;; esac\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, code := b.zinit("upgrade", bad); code != exitRefused || !strings.Contains(out, "version 9.9 did not come up; version "+version+" goes on") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// TestSocketIsHeldWhileNoServerLives: another server does not take a socket for stale whose server has just died.
func TestSocketIsHeldWhileNoServerLives(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{notOne: true}).up()
	old := b.serverPID()
	if p := peerAt(t, b.socket); p != old {
		t.Errorf("the socket shows pid %d, the server is %d", p, old)
	}
	_ = syscall.Kill(old, syscall.SIGKILL)
	now := b.newServer(old)
	b.up()
	if p := peerAt(t, b.socket); p != now {
		t.Errorf("the socket shows pid %d, the server is %d", p, now)
	}
	if err := socketIsFree(b.socket); err == nil {
		t.Error("the socket of a live server counts as free")
	}
	b.signal(sigTerm)
	b.ends(patience)
}

func peerAt(t *testing.T, socket string) int {
	t.Helper()
	conn, err := dialUnix(socket, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return peerOf(conn).pid
}

// TestSocketFileThatWasRemoved: the next server makes a new one.
func TestSocketFileThatWasRemoved(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	for range 3 {
		old := b.serverPID()
		if err := os.Remove(b.socket); err != nil {
			t.Fatal(err)
		}
		b.signal(sigUsr1)
		b.newServer(old)
		b.up()
	}
	b.ok("upgrade")
	b.ok("list")
}

// TestAbstractSocketIsKept: in an image where nothing can be written.
func TestAbstractSocketIsKept(t *testing.T) {
	t.Parallel()
	needs(t, "nsenter")
	b := startInit(t, map[string]string{"web": "[service]\nexec = [\"/actor\", \"block\"]\n"}, boxOptions{empty: true, enter: []string{"ro"}}).up()
	if out := b.ok("info"); !strings.Contains(out, "@zinit") {
		t.Errorf("the socket is not abstract:\n%s", out)
	}
	for range 5 {
		old := b.serverPID()
		_ = syscall.Kill(old, syscall.SIGKILL)
		b.ok("list")
		b.newServer(old)
		b.ok("list")
	}
	if strings.Contains(b.output(), "cannot be used any more") {
		t.Error("the socket was not kept")
	}
}

// TestServerWithoutASocket: one that cannot be made is tried again by the next server.
func TestServerWithoutASocket(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "print=up block")}, boxOptions{flags: []string{"--socket", "/proc/none/s"}})
	b.says("web | up")
	old := b.newServer(0)
	_ = syscall.Kill(old, syscall.SIGKILL)
	b.newServer(old)
	eventually(t, "it is tried again", func() bool { return strings.Count(b.output(), "nobody can ask or command") == 2 })
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestHungServerWithAClient: a client that waits is a reason to ask, too.
func TestHungServerWithAClient(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	_ = syscall.Kill(b.serverPID(), syscall.SIGSTOP)
	if out, code := b.zinit("--timeout", "60000", "status", "web"); code != 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
	b.says("gives no sign of life")
}

// TestUpgradesLeaveNothingToServices: what one image hands to the next, no service gets, and nothing is left open for ever.
func TestUpgradesLeaveNothingToServices(t *testing.T) {
	t.Parallel()
	s := startServer(t, map[string]string{"web": service(t, "block")})
	for range 3 {
		s.ok("upgrade")
	}
	s.ok("restart", "web", "--wait")
	for _, file := range openFiles(s.status("web").PID) {
		if strings.Contains(file, "memfd:") || strings.HasPrefix(file, "socket:") {
			t.Errorf("web has %s", file)
		}
	}
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", s.cmd.Process.Pid))
	for _, task := range tasks {
		files, _ := os.ReadDir("/proc/" + task.Name() + "/fd")
		for _, f := range files {
			if to, _ := os.Readlink("/proc/" + task.Name() + "/fd/" + f.Name()); strings.Contains(to, "zinit-logs") {
				t.Errorf("thread %s still has %s", task.Name(), to)
			}
		}
	}
	s.stop()
}
