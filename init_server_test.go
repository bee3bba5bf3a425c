// init_server_test.go tries a server that hangs, dies or cannot start: what the keeper does, and that services, exits and clients outlive it.

//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

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

func TestHungServerIsReplaced(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	b.is("running", "web")
	pid, old := b.status("web").PID, b.serverPID()
	_ = syscall.Kill(old, syscall.SIGSTOP)
	b.signal(sigUsr1)
	b.newServer(old)
	b.up()
	if st := b.status("web"); st.PID != pid || st.State != running {
		t.Errorf("web was pid %d and is %+v", pid, st)
	}
}

func TestServerThatCannotStart(t *testing.T) {
	t.Parallel()
	b := startInit(t, nil, boxOptions{flags: []string{"--socket-mode", "nonsense"}})
	if code := b.ends(patience); code != 70 {
		t.Errorf("exit code %d, not 70", code)
	}
	if n := strings.Count(b.output(), "the server did not come up"); n != 10 {
		t.Errorf("%d tries, not 10", n)
	}
}

func TestRow39_KeeperDies(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	b := startInit(t, map[string]string{"db": service(t, "sign=15:"+dir+"/order block"), "web": service(t, "sign=15:"+dir+"/order block", "[dependencies]\nrequires = [\"db\"]")},
		boxOptions{notOne: true}).up()
	b.is("running", "web", "db")
	server, db := b.serverPID(), b.status("db").PID
	_ = b.cmd.Process.Kill()
	eventually(t, "the server has stopped all and ended", func() bool { return !alive(server) && !alive(db) })
	if order, _ := os.ReadFile(dir + "/order"); string(order) != "web\ndb\n" {
		t.Errorf("they stopped in the order %q", order)
	}
}

// TestRow39_KeeperDiesBesideCommand: CMD, which was the keeper's child, is stopped with the services.
func TestRow39_KeeperDiesBesideCommand(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{notOne: true, cmd: []string{actorBinary(t), "print=here", "block"}}).up()
	b.says("\nhere\n")
	b.is("running", "web", "cmd")
	server, web, cmd := b.serverPID(), b.status("web").PID, b.status("cmd").PID
	_ = b.cmd.Process.Kill()
	within(t, patience, "all have ended", func() bool { return !alive(server) && !alive(web) && !alive(cmd) })
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

// oneLoad is held by the test that has a load: two of them would only be in each other's way.
var oneLoad sync.Mutex

// load is fifty services that notice if anything happens to them. They keep what they see in dir.
func load(t testing.TB, dir, actor, more string) map[string]string {
	oneLoad.Lock()
	t.Cleanup(oneLoad.Unlock)
	all := map[string]string{}
	file := func(words string, lines ...string) string {
		var argv []string
		for _, w := range append([]string{actor}, strings.Fields(words)...) {
			argv = append(argv, strconv.Quote(w))
		}
		return "[service]\nexec = [" + strings.Join(argv, ", ") + "]\n" + more + strings.Join(lines, "\n") + "\n"
	}
	for i := range 16 {
		name := fmt.Sprintf("printer%02d", i)
		all[name] = file("lock="+dir+"/"+name+" count="+dir+"/"+name+".last:20000", "[logging]\nfile = \""+dir+"/"+name+".log\"\nmax_size_bytes = 1000000000\nconsole = false")
	}
	for i := range 12 {
		name := fmt.Sprintf("crasher%02d", i)
		all[name] = file(fmt.Sprintf("lock=%s/%s tick=%s/%s.starts print=x sleep=%d exit=1", dir, name, dir, name, 20+i*25),
			"[lifecycle]\nrestart_delay_ms = 20\nrestart_delay_max_ms = 200\n[logging]\nconsole = false\nfile = \""+dir+"/"+name+".log\"")
	}
	for i := range 8 {
		name := fmt.Sprintf("checked%02d", i)
		all[name] = file("lock="+dir+"/"+name+" tick="+dir+"/"+name+".starts block", "[health]\ntype = \"exec\"\ntarget = [\""+actor+"\", \"exit=0\"]\ninterval_ms = 200\nstart_interval_ms = 50")
	}
	for i := range 8 {
		name := fmt.Sprintf("sleeper%02d", i)
		all[name] = file("lock="+dir+"/"+name+" tick="+dir+"/"+name+".starts block", "[dependencies]\nrequires = [\"oneshot00\"]")
	}
	for i := range 6 {
		name := fmt.Sprintf("oneshot%02d", i)
		all[name] = file("once="+dir+"/"+name+" exit=0", "oneshot = true")
	}
	return all
}

// loaded waits until all of the load is as it should be, and returns the pids of what never ends.
func (s *server) loaded() map[string]int {
	s.t.Helper()
	pids := map[string]int{}
	eventually(s.t, "the load is up", func() bool {
		for _, st := range s.all() {
			want := "running"
			switch {
			case strings.HasPrefix(st.Name, "crasher"), st.Name == "cmd":
				continue
			case strings.HasPrefix(st.Name, "oneshot"):
				want = "exited"
			default:
				pids[st.Name] = st.PID
			}
			if st.State.String() != want {
				return false
			}
		}
		return len(pids) == 32
	})
	return pids
}

// all is service.list_full.
func (s *server) all() (all []serviceStatusFull) {
	out, _ := s.zinit("--json", "list")
	_ = json.Unmarshal([]byte(out), &all)
	return all
}

// intact checks, once everything has been stopped, that nothing was stopped, doubled or forgotten, that every number is in the raw file
// exactly once, and says how long a write was held up at most.
func intact(t *testing.T, dir string, what string) {
	t.Helper()
	doubles, _ := filepath.Glob(dir + "/*.double")
	for _, f := range doubles {
		text, _ := os.ReadFile(f)
		t.Errorf("%s: there were two: %s", filepath.Base(f), text)
	}
	starts, _ := filepath.Glob(dir + "/[sc][lh]*.starts")
	for _, f := range starts {
		if n := len(lines(f)); n != 1 {
			t.Errorf("%s started %d times", filepath.Base(f), n)
		}
	}
	gap, total := 0, 0
	for i := range 16 {
		name := fmt.Sprintf("%s/printer%02d", dir, i)
		text, _ := os.ReadFile(name + ".last")
		var last, most int
		if n, _ := fmt.Sscan(string(text), &last, &most); n != 2 {
			t.Errorf("%s: %q", name, text)
			continue
		}
		raw, err := os.ReadFile(name + ".log")
		if err != nil {
			t.Error(err)
			continue
		}
		lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
		for at, line := range lines {
			if line != strconv.Itoa(at+1) {
				t.Errorf("%s: line %d is %q", filepath.Base(name), at+1, line)
				break
			}
		}
		if len(lines) != last {
			t.Errorf("%s printed %d lines, its file has %d", filepath.Base(name), last, len(lines))
		}
		gap, total = max(gap, most), total+last
	}
	t.Logf("%s: %d lines, each once; the longest write took %.1f ms", what, total, float64(gap)/1000)
}

// same checks that what never ends still has its pid, and that the crashers go on.
func (s *server) same(pids map[string]int) {
	s.t.Helper()
	for name, pid := range s.loaded() {
		if pid != pids[name] {
			s.t.Errorf("%s had pid %d and has %d", name, pids[name], pid)
		}
	}
	before := map[string]int{}
	for _, st := range s.all() {
		before[st.Name] = st.RestartCount
	}
	eventually(s.t, "every crasher is restarted again", func() bool {
		for _, st := range s.all() {
			if strings.HasPrefix(st.Name, "crasher") && st.RestartCount <= before[st.Name] {
				return false
			}
		}
		return true
	})
}

// restarts compares how often the crashers say that they started with what the server has counted.
func (s *server) restarts(dir string) {
	s.t.Helper()
	for i := range 12 {
		name := fmt.Sprintf("crasher%02d", i)
		s.ok("stop", name, "--wait")
		st := s.status(name)
		started := lines(dir + "/" + name + ".starts")
		// One that was stopped while it ran may not have come to say that it had started.
		if n := len(started); n != st.RestartCount+1 && (n != st.RestartCount || st.State != exited) {
			printed := map[string]int{}
			for _, line := range lines(dir + "/" + name + ".log") {
				printed[line]++
			}
			s.t.Errorf("%s started %d times, %d restarts were counted; it is %s and printed %v", name, n, st.RestartCount, st.State, printed)
		}
		slices.Sort(started)
		if n := len(started) - len(slices.Compact(slices.Clone(started))); n > 0 {
			s.t.Errorf("%s: %d starts happened twice", name, n)
		}
	}
}

// lines are the lines of a file.
func lines(file string) []string {
	text, _ := os.ReadFile(file)
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}

func TestKillTheServerAHundredTimes(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	b := startInit(t, load(t, dir, actorBinary(t), ""), boxOptions{}).up()
	pids := b.loaded()
	began := time.Now()
	for range 100 {
		old := b.newServer(0)
		pause := time.NewTimer(time.Duration(rand.IntN(150)) * time.Millisecond)
		<-pause.C // any moment, also while it adopts
		_ = syscall.Kill(old, syscall.SIGKILL)
		b.newServer(old)
	}
	b.up()
	t.Logf("100 kills in %v", time.Since(began).Round(time.Millisecond))
	b.same(pids)
	b.restarts(dir)
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	intact(t, dir, "kill -9")
}

// TestKillTheServerWithoutProc is the same in an image that has no /proc: nothing can be looked up there, and still nothing runs twice.
func TestKillTheServerWithoutProc(t *testing.T) {
	t.Parallel()
	needs(t, "nsenter")
	b := startInit(t, load(t, "/d", "/actor", ""), boxOptions{empty: true, dirs: []string{"d"}}).up()
	pids := b.loaded()
	for range 60 {
		old := b.newServer(0)
		<-time.After(time.Duration(rand.IntN(150)) * time.Millisecond)
		_ = syscall.Kill(old, syscall.SIGKILL)
		b.newServer(old)
	}
	b.up()
	b.same(pids)
	b.restarts(b.dir + "/d")
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	intact(t, b.dir+"/d", "kill -9 without /proc")
}

// TestStateSurvives: wishes, back-off and counters go on where they were.
func TestStateSurvives(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{
		"stopped":  service(t, "block"),
		"limited":  service(t, "exit=1", "[lifecycle]\nrestart_delay_ms = 10\nmax_restarts = 3"),
		"waiting":  service(t, "exit=1", "[lifecycle]\nrestart_delay_ms = 60000"),
		"stopping": service(t, "ignore=15 print=up block", "[lifecycle]\nstop_timeout_ms = 3000"),
		"blocked":  service(t, "block", "[dependencies]\nrequires = [\"nothing\"]"),
	}, boxOptions{}).up()
	b.says("stopping | up")
	b.ok("stop", "stopped", "--wait")
	b.is("failed", "waiting", "limited", "blocked")
	eventually(t, "limited has given up", func() bool { st := b.status("limited"); return st.RestartCount == 3 && st.RestartInMS == nil })
	b.ok("create", "added", "--exec", "sleep 1000")
	b.is("running", "added")
	added := b.status("added").PID
	b.ok("stop", "stopping")
	b.is("stopping", "stopping")
	old := b.serverPID()
	_ = syscall.Kill(old, syscall.SIGKILL)
	b.newServer(old)
	b.up()
	b.is("exited", "stopped")
	if st := b.status("stopped"); st.Wish != "down" {
		t.Errorf("stopped is %+v", st)
	}
	if st := b.status("limited"); st.State != failed || st.RestartCount != 3 || st.ExitCode == nil || *st.ExitCode != 1 {
		t.Errorf("limited is %+v", st)
	}
	if st := b.status("waiting"); st.State != failed || st.RestartInMS == nil || *st.RestartInMS < 30000 || *st.RestartInMS > 60000 {
		t.Errorf("waiting is %+v", st)
	}
	if st := b.status("added"); st.State != running || st.PID != added {
		t.Errorf("added was pid %d and is %+v", added, st)
	}
	if out := b.ok("why", "blocked"); !strings.Contains(out, "nothing") {
		t.Errorf("why blocked: %s", out)
	}
	b.is("failed", "stopping")
	if st := b.status("stopping"); st.Reason == nil || st.Reason.Type != "stop_timeout" {
		t.Errorf("stopping is %+v", st)
	}
}

// TestStateThatKillsServers: the third server that dies of itself within two seconds of adopting makes the state one that cannot be read. A kill -9 says
// nothing about the state, however many there are.
func TestStateThatKillsServers(t *testing.T) {
	t.Parallel()
	t.Cleanup(func() { _ = os.Remove("/dev/shm/web") }) // /dev/shm is that of the host
	b := startInit(t, map[string]string{"web": service(t, "lock=/dev/shm/web print=up block")}, boxOptions{}).up()
	b.says("web | up")
	web := b.status("web").PID
	for range 6 {
		old := b.newServer(0)
		_ = syscall.Kill(old, syscall.SIGKILL)
		b.newServer(old)
		b.up()
	}
	if st := b.status("web"); st.PID != web || st.RestartCount != 0 {
		t.Fatalf("web was pid %d and is %+v", web, st)
	}
	for range 3 {
		old := b.newServer(0)
		_ = syscall.Kill(old, syscall.SIGSEGV)
		b.newServer(old)
		b.up()
	}
	b.says("servers died again and again with the saved state")
	b.is("running", "web")
	eventually(t, "web runs anew", func() bool { return strings.Count(b.output(), "web | up") == 2 })
	if st := b.status("web"); st.PID == web {
		t.Errorf("web is still pid %d", web)
	}
}

// TestRow37_DamagedState: of a state that cannot be read nothing is believed: what runs is stopped, and only then started anew.
func TestRow37_DamagedState(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(f *os.File) error{
		"head":    func(f *os.File) error { _, err := f.WriteAt([]byte("zinit-state 9\n"), 0); return err },
		"garbage": func(f *os.File) error { _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, 4096), 0); return err },
		"cut":     func(f *os.File) error { return f.Truncate(20) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			b := startInit(t, map[string]string{"web": service(t, "lock="+dir+"/web print=up block")}, boxOptions{}).up()
			b.says("web | up")
			web, old := b.status("web").PID, b.serverPID()
			fds := fmt.Sprintf("/proc/%d/fd/", b.cmd.Process.Pid)
			damaged := false
			entries, _ := os.ReadDir(fds)
			for _, e := range entries {
				if to, _ := os.Readlink(fds + e.Name()); strings.HasPrefix(to, "/memfd:zinit-state") {
					f, err := os.OpenFile(fds+e.Name(), os.O_RDWR, 0)
					if err == nil {
						_ = syscall.Kill(old, syscall.SIGSTOP) // so that it writes no more
						err = damage(f)
						f.Close()
					}
					if err != nil {
						t.Fatal(err)
					}
					damaged = true
				}
			}
			if !damaged {
				t.Fatal("PID 1 has no state")
			}
			_ = syscall.Kill(old, syscall.SIGKILL)
			b.newServer(old)
			b.up()
			b.is("running", "web")
			eventually(t, "web runs anew", func() bool { return strings.Count(b.output(), "web | up") == 2 })
			if b.status("web").PID == web {
				t.Error("web was adopted")
			}
			if double, err := os.ReadFile(dir + "/web.double"); err == nil {
				t.Errorf("there were two: %s", double)
			}
			b.signal(sigTerm)
			if code := b.ends(patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}
