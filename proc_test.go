//go:build linux

// proc_test.go tries the process table with real processes.
//
// Row 18 (a process in uninterruptible sleep survives SIGKILL) cannot be produced without a broken device; TestRow18 gives the table a
// process that it cannot kill instead. Row 8 (out of memory) belongs to the cgroup of a service, which is not made here.
// While a table is open its reaper takes every child of the test process: nothing here may use os/exec.

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
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

func newTestProcs(t testing.TB) *procs {
	t.Helper()
	tab := newProcs()
	tab.run()
	t.Cleanup(func() {
		tab.mu.Lock()
		for pid := range tab.live {
			_ = unix.Kill(-pid, unix.SIGKILL)
		}
		tab.mu.Unlock()
		eventually(t, "all children are reaped", func() bool {
			tab.mu.Lock()
			defer tab.mu.Unlock()
			return len(tab.live) == 0
		})
		tab.close()
	})
	return tab
}

// run1 is one service under test.
type run1 struct {
	t   testing.TB
	p   *process
	end chan exit
	out string // file that holds its stdout and stderr
}

func childSpec(out int, env []string, argv ...string) *spec {
	return &spec{Path: argv[0], Argv: argv, Env: append(os.Environ(), env...), Stdin: -1, Stdout: out, Stderr: out, UID: -1, GID: -1}
}

var invocations atomic.Int64

// startChild starts a child that obeys words, with an invocation id of its own.
func startChild(t testing.TB, tab *procs, words ...string) *run1 {
	t.Helper()
	return startArgv(t, tab, childArgv(words...)...)
}

func startArgv(t testing.TB, tab *procs, argv ...string) *run1 {
	t.Helper()
	r := &run1{t: t, end: make(chan exit, 8), out: filepath.Join(t.TempDir(), "out")}
	f, err := os.Create(r.out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	id := fmt.Sprintf("%032x", invocations.Add(1)+int64(os.Getpid())<<32)
	r.p, err = tab.start(childSpec(int(f.Fd()), []string{"ZINIT_INVOCATION_ID=" + id}, argv...), "test", id, func(e exit) { r.end <- e })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ended waits for the end of the service.
func (r *run1) ended() exit {
	r.t.Helper()
	select {
	case e := <-r.end:
		return e
	case <-time.After(patience):
		r.t.Fatalf("pid %d is not gone after ten seconds", r.p.pid)
	}
	return exit{}
}

func (r *run1) still(t testing.TB) bool {
	t.Helper()
	select {
	case e := <-r.end:
		t.Fatalf("gone too early: %v", e)
	default:
	}
	return true
}

func (r *run1) text() string {
	data, _ := os.ReadFile(r.out)
	return string(data)
}

// pidIn waits for the file that a child touches, and returns the pid in it.
func pidIn(t testing.TB, file string) int {
	t.Helper()
	eventually(t, file+" exists", func() bool { _, err := os.Stat(file); return err == nil })
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return number(strings.TrimSpace(string(data)))
}

func TestRow03_ExitIsDecoded(t *testing.T) {
	tab := newTestProcs(t)
	for _, c := range []struct {
		word string
		want exit
		text string
	}{
		{"exit=0", exit{Known: true}, "exit code 0"},
		{"exit=1", exit{Known: true, Code: 1}, "exit code 1"},
		{"exit=126", exit{Known: true, Code: 126}, "exit code 126"},
		{"exit=127", exit{Known: true, Code: 127}, "exit code 127"},
		{"exit=143", exit{Known: true, Code: 143}, "exit code 143"},
		{"die=KILL", exit{Known: true, Signal: 9}, "killed by SIGKILL"},
		{"die=TERM", exit{Known: true, Signal: 15}, "killed by SIGTERM"},
	} {
		if got := startChild(t, tab, c.word).ended(); got != c.want || got.String() != c.text {
			t.Errorf("%s: got %+v %q, want %+v %q", c.word, got, got, c.want, c.text)
		}
	}
	if got := decodeStatus(0x8b); got != (exit{Known: true, Signal: 11, Core: true}) {
		t.Errorf("a core dump reads as %+v", got)
	}
	if got := (exit{}).String(); got != "exit status unknown" {
		t.Errorf("an unknown end reads as %q", got)
	}
}

func TestRow01_StormOfOrphansIsReaped(t *testing.T) {
	tab := newTestProcs(t)
	const storm = 2000
	// A shell leaves children behind in one go; each becomes ours when the shell ends, most of them dead.
	sh := shell(t)
	e := startArgv(t, tab, sh, "-c", fmt.Sprintf("i=0; while [ $i -lt %d ]; do (exit 3) & i=$((i+1)); done; exit 7", storm)).ended()
	if e.Code != 7 {
		t.Fatalf("the shell ended with %v", e)
	}
	eventually(t, "no child is left", func() bool { return len(sysChildren(nil, os.Getpid())) == 0 })
}

func TestRow02_ExitBeforeRegistration(t *testing.T) {
	tab := newTestProcs(t)
	const many = 100
	var wg sync.WaitGroup
	var codes atomic.Int64
	for range 4 {
		wg.Go(func() {
			for range many / 4 {
				end := make(chan exit, 1)
				if _, err := tab.start(childSpec(-1, nil, shell(t), "-c", "exit 5"), "quick", "", func(e exit) { end <- e }); err != nil {
					t.Error(err)
					return
				}
				codes.Add(int64((<-end).Code))
			}
		})
	}
	wg.Wait()
	if got := codes.Load(); got != 5*many {
		t.Errorf("the exit codes add up to %d, want %d", got, 5*many)
	}
}

// TestRow02_NothingIsReapedDuringAFork: an exit that the reaper takes is that of a process that is in the table, however short it lived.
func TestRow02_NothingIsReapedDuringAFork(t *testing.T) {
	tab := newTestProcs(t)
	tab.birth.Lock() // as a fork does
	pid, _, err := sysFork(childSpec(-1, nil, shell(t), "-c", "exit 9"), false)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is a zombie", func() bool { st, err := readStat(pid); return err == nil && st.dead() })
	end := make(chan exit, 1)
	p := tab.process("quick", "", func(e exit) { end <- e })
	tab.poke()
	tab.mu.Lock()
	p.pid = pid
	tab.live[pid] = p
	tab.mu.Unlock()
	tab.birth.Unlock()
	if e := <-end; e != (exit{Known: true, Code: 9}) {
		t.Errorf("it ended with %v", e)
	}
}

func TestRow04_AReapedPidIsNeverSignalled(t *testing.T) {
	tab := newTestProcs(t)
	r := startChild(t, tab, "exit=0")
	r.ended()
	// A bystander stands for whoever got the number: it must survive everything that is done to the process which has ended.
	by := startChild(t, tab, "block")
	r.p.pid = by.p.pid
	r.p.stop(sigTerm)
	r.p.kill()
	if err := r.p.signal(sigKill); !errors.Is(err, errGone) {
		t.Errorf("signal after the end: %v, want errGone", err)
	}
	for range 3 {
		tab.sweep(time.Now())
	}
	if !by.still(t) || !alive(by.p.pid) {
		t.Error("a process that is not ours was signalled")
	}
	if err := sysKillOne(kin{by.p.pid, 1}, sigKill); !errors.Is(err, syscall.ESRCH) || !alive(by.p.pid) {
		t.Errorf("a pid with another start time was signalled: %v", err)
	}
}

func TestGoneIsToldOnce(t *testing.T) {
	tab := newTestProcs(t)
	r := startChild(t, tab, "block")
	for range 3 {
		r.p.stop(sigTerm)
		r.p.kill()
	}
	r.ended()
	r.p.kill()
	tab.sweep(time.Now())
	r.still(t)
}

func TestRow05_DoubleForkEscapes(t *testing.T) {
	for _, c := range []struct {
		name, fork string
		stop       bool
	}{
		{"found by its invocation id after a death", "runaway", false},
		{"found by its invocation id after a stop", "runaway", true},
		{"still a descendant in a session of its own after a stop", "setsid", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab := newTestProcs(t)
			file := filepath.Join(t.TempDir(), "stray")
			r := startChild(t, tab, c.fork+"=ignore=TERM,touch="+file+",block", "await="+file, "touch="+file+".main", "block")
			stray := pidIn(t, file)
			pidIn(t, file+".main")
			if c.stop {
				r.p.stop(sigTerm)
			} else if err := r.p.signal(sigKill); err != nil {
				t.Fatal(err)
			}
			r.ended()
			if alive(stray) {
				t.Error("a process that left the session outlived its service")
			}
		})
	}
}

func TestRow05_CleanDescendantFoundByTheList(t *testing.T) {
	tab := newTestProcs(t)
	file := filepath.Join(t.TempDir(), "stray")
	// The child of the main process leaves the session and starts a grandchild; nobody's environment has the id.
	r := startArgv(t, tab, append([]string{shell(t), "-c", `env -i "$@" & wait`, "sh"}, childArgv("setsid=touch="+file+",ignore=TERM,block", "ignore=TERM", "block")...)...)
	stray := pidIn(t, file)
	r.p.stop(sigTerm)
	r.p.kill()
	r.ended()
	if alive(stray) {
		t.Error("a listed descendant outlived its service")
	}
}

func TestRow06_LeaderDiesChildIgnoresTerm(t *testing.T) {
	tab := newTestProcs(t)
	file := filepath.Join(t.TempDir(), "child")
	r := startChild(t, tab, "fork=ignore=TERM,touch="+file+",block", "await="+file, "on=TERM:0", "touch="+file+".main", "block")
	child := pidIn(t, file)
	pidIn(t, file+".main")
	r.p.stop(sigTerm)
	eventually(t, "the leader has ended", func() bool { return errors.Is(r.p.signal(0), errGone) })
	if !alive(child) || !r.still(t) {
		t.Fatal("the group must have time until kill")
	}
	r.p.kill()
	if e := r.ended(); e != (exit{Known: true}) {
		t.Errorf("ended with %+v", e)
	}
	if alive(child) {
		t.Error("the child outlived kill")
	}
}

func TestRow06_GroupEndsByItselfAfterStop(t *testing.T) {
	tab := newTestProcs(t)
	dir := t.TempDir()
	r := startChild(t, tab, "fork=ignore=TERM,touch="+dir+"/child,await="+dir+"/go", "await="+dir+"/child", "on=TERM:0", "touch="+dir+"/main", "block")
	pidIn(t, dir+"/main")
	r.p.stop(sigTerm)
	eventually(t, "the leader has ended", func() bool { return errors.Is(r.p.signal(0), errGone) })
	r.still(t)
	if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.ended()
}

func TestDeathOfTheLeaderEndsTheGroup(t *testing.T) {
	tab := newTestProcs(t)
	file := filepath.Join(t.TempDir(), "child")
	r := startChild(t, tab, "fork=ignore=TERM,touch="+file+",block", "await="+file, "exit=3")
	if e := r.ended(); e != (exit{Known: true, Code: 3}) {
		t.Errorf("ended with %+v", e)
	}
	if alive(pidIn(t, file)) {
		t.Error("the child outlived the main process")
	}
}

func TestRow18_WhatSurvivesSigkillIsGivenUp(t *testing.T) {
	tab := newTestProcs(t)
	by := startChild(t, tab, "block")
	end := make(chan exit, 1)
	stuck := &process{t: tab, pid: 0x3ffffff0, pidfd: -1, gone: func(e exit) { end <- e }} // a number above pid_max: nothing that we send arrives
	stuck.kin = []kin{{by.p.pid, by.p.ticks()}}
	begin := time.Now()
	if left := stuck.survivors(false); left != 1 {
		t.Errorf("%d survivors, want 1", left)
	}
	stuck.kin = nil
	tab.mu.Lock()
	stuck.killed, stuck.killedAt = true, begin
	tab.pending = append(tab.pending, stuck)
	tab.mu.Unlock()
	tab.sweep(begin.Add(leftoverLimit - time.Millisecond))
	if len(end) != 0 {
		t.Fatal("given up too early")
	}
	tab.sweep(begin.Add(leftoverLimit))
	if e := <-end; e.Known {
		t.Errorf("the end of a process that did not end is known: %+v", e)
	}
}

func TestRow07_ErrorsOfExecAreExact(t *testing.T) {
	tab := newTestProcs(t)
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		full := filepath.Join(dir, name)
		if err := os.WriteFile(full, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return full
	}
	for _, c := range []struct {
		what  string
		exec  execDef
		dir   string
		want  string
		errno error
	}{
		{"missing", execDef{Argv: []string{"/no/such"}}, "", "/no/such does not exist (no such file or directory)", syscall.ENOENT},
		{"not in PATH", execDef{Argv: []string{"no-such-program"}}, "", "no-such-program was not found in PATH (/usr/bin:/bin): no such file or directory; give its full path", syscall.ENOENT},
		{"interpreter", execDef{Argv: []string{file("interp", "#!/no/interp -x\n", 0o755)}}, "", dir + "/interp needs the interpreter /no/interp, which does not exist (no such file or directory)", syscall.ENOENT},
		{"mode", execDef{Argv: []string{file("mode", "#!/bin/sh\n", 0o644)}}, "", dir + "/mode is not executable: permission denied (chmod +x)", syscall.EACCES},
		{"directory", execDef{Argv: []string{dir}}, "", dir + " is a directory, not a program (permission denied)", syscall.EACCES},
		{"no #!", execDef{Argv: []string{file("plain", "echo\n", 0o755)}}, "", dir + "/plain: exec format error: no #! line or wrong architecture", syscall.ENOEXEC},
		{"loader", execDef{Argv: []string{file("elf", elfWithLoader("/no/ld.so"), 0o755)}}, "", dir + "/elf needs the dynamic loader /no/ld.so, which does not exist here: link it statically or add the loader (no such file or directory)", syscall.ENOENT},
		{"dir", execDef{Argv: []string{"/bin/sh"}}, "/no/dir", "dir /no/dir does not exist (no such file or directory)", nil},
		{"dir is a file", execDef{Argv: []string{"/bin/sh"}}, dir + "/plain", "dir " + dir + "/plain is not a directory", syscall.ENOTDIR},
	} {
		t.Run(c.what, func(t *testing.T) {
			cfg := &config{Service: serviceDef{Name: "x", Dir: c.dir, Env: map[string]string{"PATH": "/usr/bin:/bin"}}}
			sp, err := resolve(cfg, c.exec, "", func(string) {})
			if err == nil {
				_, err = tab.start(sp, "x", "", func(exit) { t.Error("it started") })
			}
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if c.errno != nil && !errors.Is(err, c.errno) {
				t.Errorf("errno of %q is not %v", err, c.errno)
			}
		})
	}
	eventually(t, "no child is left", func() bool { return len(sysChildren(nil, os.Getpid())) == 0 })
}

func TestRow07_TheProgramVanishesAfterTheCheck(t *testing.T) {
	tab := newTestProcs(t)
	_, err := tab.start(childSpec(-1, nil, "/no/such"), "x", "", func(exit) {})
	if err == nil || err.Error() != "/no/such does not exist (no such file or directory)" {
		t.Errorf("got %v", err)
	}
	busy := filepath.Join(t.TempDir(), "busy")
	f, err := os.OpenFile(busy, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := tab.start(childSpec(-1, nil, busy), "x", "", func(exit) {}); !errors.Is(err, syscall.ETXTBSY) {
		t.Errorf("a program that is being written: %v", err)
	}
}

// elfWithLoader is the beginning of a 64-bit ELF file whose PT_INTERP is loader.
func elfWithLoader(loader string) string {
	b := make([]byte, 64+56, 256)
	copy(b, "\x7fELF\x02\x01\x01")
	b[32], b[54], b[56] = 64, 56, 1
	b[64] = 3
	b[64+8], b[64+32] = 64+56, byte(len(loader)+1)
	return string(append(append(b, loader...), 0))
}

func TestElfLoaderSurvivesGarbage(t *testing.T) {
	good := elfWithLoader("/lib/ld.so")
	if got := elfLoader([]byte(good)); got != "/lib/ld.so" {
		t.Fatalf("loader %q", got)
	}
	for n := range len(good) {
		for _, v := range []byte{0, 0x7f, 0xff} {
			bad := []byte(good)
			bad[n] = v
			_ = elfLoader(bad)
			_ = elfLoader(bad[:n])
		}
	}
}

func TestUserSwitch(t *testing.T) {
	if os.Geteuid() != 0 {
		skip(t, "only root may become somebody else")
	}
	tab := newTestProcs(t)
	same, err := resolve(&config{Service: serviceDef{User: "0", Env: map[string]string{"PATH": "/bin"}}}, execDef{Argv: []string{"sh"}}, "", func(string) {})
	if err != nil || same.UID != -1 {
		t.Errorf("becoming who we are: %+v, %v", same, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan exit, 1)
	sp := childSpec(int(w.Fd()), nil, shell(t), "-c", "id -u; id -g; id -G")
	sp.UID, sp.GID, sp.Groups = 4321, 1234, []int{77}
	if _, err := tab.start(sp, "x", "", func(e exit) { end <- e }); err != nil {
		t.Fatal(err)
	}
	w.Close()
	<-end
	if out, _ := io.ReadAll(r); string(out) != "4321\n1234\n1234 77\n" {
		t.Errorf("ids of the child: %q", out)
	}
	err = explainExec(sp, syscall.EPERM)
	if want := "not permitted to switch to uid 4321, gid 1234: zinit runs as uid 0 (give it CAP_SETUID and CAP_SETGID, or remove user and group) (operation not permitted)"; err.Error() != want {
		t.Errorf("got %q", err)
	}
}

func TestRow12_13_15_16_TheChildStartsClean(t *testing.T) {
	leak, err := unix.Open("/", unix.O_RDONLY, 0) // as if whoever started us had left it open
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	signal.Ignore(syscall.SIGUSR1)
	defer signal.Reset(syscall.SIGUSR1)
	var usr2, old unix.Sigset_t
	usr2.Val[0] = 1 << (unix.SIGUSR2 - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &usr2, &old); err != nil {
		t.Fatal(err)
	}
	tab := newTestProcs(t)
	r := startArgv(t, tab, shell(t), "-c", `cat; grep -E "^Sig(Blk|Ign)" /proc/self/status; ls -l /proc/self/fd; ulimit -n; ps -o pid= -o pgid= -o sid= -p $$`)
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
	maskedAtStart.Store(false)
	r.ended()
	text := r.text()
	for _, want := range []string{"SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "0 -> /dev/null", "1 -> " + r.out} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if n := strings.Count(text, " -> "); n != 4 { // 0, 1, 2 and the directory that ls reads
		t.Errorf("%d descriptors in the child:\n%s", n, text)
	}
	st := startChild(t, tab, "session", "stdin")
	st.ended()
	if want := fmt.Sprintf("%d %d %d\nstdin 0\n", st.p.pid, st.p.pid, st.p.pid); st.text() != want {
		t.Errorf("session of the child %q, want %q", st.text(), want)
	}
}

func TestChildrenGetTheOriginalDescriptorLimit(t *testing.T) {
	tab := newTestProcs(t)
	var ours unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &ours); err != nil {
		t.Fatal(err)
	}
	// A child starts with a low soft limit, raises it for itself as every Go program does, and its own child must see the low one.
	r := startArgv(t, tab, append([]string{shell(t), "-c", `ulimit -S -n 100; exec "$@"`, "sh"}, childArgv("spawn="+shell(t)+",-c,ulimit -n")...)...)
	r.ended()
	if got := strings.TrimSpace(r.text()); got != "100" {
		t.Errorf("the limit of the grandchild is %q, want 100 (ours: %d)", got, ours.Cur)
	}
}

func TestStdinWithoutDevNull(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	tab := newTestProcs(t)
	sp := childSpec(-1, nil, shell(t), "-c", "read x && exit 1; exit 4")
	sp.Stdin = int(r.Fd()) // what nullFile falls back to
	end := make(chan exit, 1)
	if _, err := tab.start(sp, "x", "", func(e exit) { end <- e }); err != nil {
		t.Fatal(err)
	}
	if e := <-end; e.Code != 4 {
		t.Errorf("reading from a closed pipe: %v", e)
	}
}

func TestAdoption(t *testing.T) {
	tab := newTestProcs(t)
	adopted := func(pid int, start uint64) (*process, chan exit) {
		t.Helper()
		end := make(chan exit, 4)
		p, err := tab.adopt(pid, "a", start, "", func(e exit) { end <- e })
		if err != nil {
			t.Fatal(err)
		}
		return p, end
	}
	file := filepath.Join(t.TempDir(), "pid")
	owner := startChild(t, tab, "setsid=touch="+file+",block", "block") // the parent of the process to adopt is not us
	pid := pidIn(t, file)
	st, err := readStat(pid)
	if err != nil {
		t.Fatal(err)
	}
	p, end := adopted(pid, st.Start)
	if p.ticks() != st.Start {
		t.Errorf("start time %d, want %d", p.ticks(), st.Start)
	}
	if err := p.signal(0); err != nil {
		t.Error(err)
	}
	_, other := adopted(pid, st.Start+1)
	if e := <-other; e.Known {
		t.Errorf("a number that was reused: %+v", e)
	}
	if !alive(pid) {
		t.Error("adopting another process with its number hurt this one")
	}
	p.stop(sigTerm)
	eventually(t, "the adopted process is a zombie of its own parent", func() bool { return !alive(pid) })
	if e := <-end; e != (exit{}) {
		t.Errorf("the end of an adopted process: %+v", e)
	}
	owner.p.kill()
	owner.ended()
	_, gone := adopted(pid, st.Start)
	if e := <-gone; e.Known {
		t.Errorf("adopting what has ended: %+v", e)
	}
}

func TestAdoptionOfOurOwnChildKeepsItsStatus(t *testing.T) {
	first := newProcs() // never reaps, as an image that is replaced
	defer first.close()
	dir := t.TempDir()
	pid, _, err := sysFork(childSpec(-1, nil, childArgv("await="+dir+"/go", "exit=6")...), false)
	if err != nil {
		t.Fatal(err)
	}
	st, err := readStat(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is a zombie", func() bool { return !alive(pid) })
	second := newProcs()
	defer second.close()
	end := make(chan exit, 1)
	if _, err := second.adopt(pid, "a", st.Start, "", func(e exit) { end <- e }); err != nil {
		t.Fatal(err)
	}
	second.run()
	if e := <-end; e != (exit{Known: true, Code: 6}) {
		t.Errorf("its status is lost: %+v", e)
	}
}

func TestExitsReportedByAnotherReaper(t *testing.T) {
	tab := newProcsOf(false)
	defer tab.close()
	tab.root = os.Getpid()
	end := make(chan exit, 1)
	pid, _, err := sysFork(childSpec(-1, nil, childArgv("block")...), false) // stands for a sibling: the reaper is the test
	if err != nil {
		t.Fatal(err)
	}
	st, err := readStat(pid)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tab.adopt(pid, "a", st.Start, "", func(e exit) { end <- e })
	if err != nil {
		t.Fatal(err)
	}
	p.stop(sigKill)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.signal(sigTerm); !errors.Is(err, errGone) {
		t.Errorf("signal between the reaping and its report: %v, want errGone", err)
	}
	tab.reaped(pid, uint32(status))
	if e := <-end; e != (exit{Known: true, Signal: 9}) {
		t.Errorf("reported as %+v", e)
	}
}

func TestServicesCanBeSiblings(t *testing.T) {
	for name, words := range map[string][]string{"few descriptors": {"sibling=exit=9"}, "many descriptors": {"crowd=500", "sibling=exit=9"}} {
		t.Run(name, func(t *testing.T) { testSibling(t, words...) })
	}
}

func testSibling(t *testing.T, words ...string) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	server, _, err := sysFork(childSpec(int(w.Fd()), nil, childArgv(words...)...), false)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(server, &status, 0, nil); err != nil || status != 0 {
		t.Errorf("the server: %v, %v", status, err)
	}
	if _, err := syscall.Wait4(number(strings.TrimSpace(string(out))), &status, 0, nil); err != nil || status.ExitStatus() != 9 {
		t.Errorf("the service is not our child: %v, %v", status, err)
	}
}

// TestRow12_TheThreadThatForks has a table of descriptors of its own: what the rest of us opens is not in it, a service sees no difference, and what is handed over
// is closed again.
func TestRow12_TheThreadThatForks(t *testing.T) {
	tab := newTestProcs(t)
	jobs := make(chan func(table *forkTable))
	defer close(jobs)
	made := make(chan *forkTable)
	go func() {
		table := newForkTable(tab.pidfdOf)
		made <- table
		for f := range jobs {
			f(table)
		}
	}()
	table := <-made
	if !table.apart {
		skip(t, "unshare(CLONE_FILES) is not permitted here")
	}
	id := uint64(0)
	tab.execute = func(p *process, sp *spec) (err error) {
		mine := *sp
		id++
		if err := table.give(id, []int{sp.Stdout, sp.Stderr}); err != nil {
			return err
		}
		done := make(chan struct{})
		jobs <- func(table *forkTable) {
			fds := table.take(id)
			mine.Stdout, mine.Stderr = fds[0], fds[1]
			err = tab.begin(p, &mine)
			closeAll(fds)
			close(done)
		}
		<-done
		return err
	}
	for range 500 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	before := -1
	for range 3 {
		r := startChild(t, tab, "fds", "session", "exit=7")
		if e := r.ended(); e.Code != 7 {
			t.Errorf("it ended by %v", e)
		}
		if want := "fd 0 /dev/null\nfd 1 " + r.out + "\nfd 2 " + r.out + "\n"; !strings.HasPrefix(r.text(), want) {
			t.Errorf("the child has\n%swant\n%s", r.text(), want)
		}
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tab.start(childSpec(int(null.Fd()), nil, "/no/such"), "", "", func(exit) {}); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("a missing program: %v", err)
		}
		null.Close()
		if before < 0 {
			before = sysFDs(os.Getpid())
		}
	}
	noMoreThan(t, before)
	own := make(chan int)
	jobs <- func(table *forkTable) {
		n := len(numericNames("/proc/thread-self/fd"))
		own <- n
	}
	if n := <-own; n > 100 {
		t.Errorf("the thread that forks has %d descriptors", n)
	}
	jobs <- func(table *forkTable) { own <- len(table.take(id + 1)) }
	if n := <-own; n != 0 {
		t.Errorf("of what was not given %d descriptors came", n)
	}
}

// TestAnEndOnTheThreadThatForks gives back the pidfd in the table of the process, and nothing in the thread's own.
func TestAnEndOnTheThreadThatForks(t *testing.T) {
	r := startChild(t, newTestProcs(t), "block")
	tab := newProcsOf(false)
	t.Cleanup(tab.close)
	p := tab.adoptReported(r.p.pid, "", "", nil, func(exit) {})
	pidfd := p.pidfd
	if pidfd < 0 {
		skip(t, "pidfd_open is not permitted here")
	}
	type seen struct{ apart, there bool }
	done := make(chan seen)
	background("forking thread", func() {
		table := newForkTable(tab.pidfdOf)
		tab.reaped(p.pid, 0)
		fd, err := sysDup(pidfd)
		_ = sysClose(fd)
		done <- seen{table.apart, err == nil}
	})
	s := <-done
	if !s.apart {
		skip(t, "unshare(CLONE_FILES) is not permitted here")
	}
	if !s.there {
		t.Error("a descriptor in the table of the thread that forks was closed")
	}
	eventually(t, "the pidfd is closed", func() bool {
		to, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", pidfd))
		return !strings.Contains(to, "pidfd")
	})
}

// noMoreThan waits until we have as many descriptors as before, at most: the sweeper of a table opens files of /proc for a moment.
func noMoreThan(t testing.TB, before int) {
	t.Helper()
	eventually(t, fmt.Sprintf("no more than %d descriptors are open", before), func() bool { return sysFDs(os.Getpid()) <= before })
}

func TestNoDescriptorIsLeftBehind(t *testing.T) {
	tab := newTestProcs(t)
	before := -1
	for range 3 {
		r := startChild(t, tab, "block")
		p, err := tab.adopt(r.p.pid, "a", r.p.ticks(), "", func(exit) {})
		if err != nil {
			t.Fatal(err)
		}
		tab.mu.Lock()
		p.closePidfd()
		tab.live[r.p.pid] = r.p
		tab.mu.Unlock()
		r.p.kill()
		r.ended()
		if _, _, err := tab.helper(childSpec(-1, nil, childArgv("exit=0")...), patience, 10, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := tab.start(childSpec(-1, nil, "/no/such"), "", "", func(exit) {}); err == nil {
			t.Fatal("it started")
		}
		if before < 0 {
			before = sysFDs(os.Getpid())
		}
	}
	noMoreThan(t, before)
}

func TestHelper(t *testing.T) {
	tab := newTestProcs(t)
	file := filepath.Join(t.TempDir(), "child")
	e, out, err := tab.helper(childSpec(-1, nil, childArgv("lines=1000", "eprint=last", "exit=2")...), patience, 10, nil)
	if err != nil || e.Code != 2 || string(out) != "1000\nlast\n"[len("1000\nlast\n")-10:] {
		t.Errorf("got %+v %q %v", e, out, err)
	}
	hung := childSpec(-1, nil, childArgv("ignore=TERM", "fork=ignore=TERM,touch="+file+",block", "await="+file, "print=here", "block")...)
	begin, limit := time.Now(), 300*time.Millisecond
	for e, out, err = tab.helper(hung, limit, 100, nil); string(out) == "" && limit < patience; e, out, err = tab.helper(hung, limit, 100, nil) {
		begin, limit = time.Now(), 2*limit // it had no time to begin
	}
	if err == nil || err.Error() != fmt.Sprintf("no end within %v, killed", limit) || e.Signal != 9 || string(out) != "here\n" {
		t.Errorf("got %+v %q %v", e, out, err)
	}
	if took := time.Since(begin); took > limit+slack {
		t.Errorf("a helper with %v took %v", limit, took)
	}
	if alive(pidIn(t, file)) {
		t.Error("a child of the helper outlived it")
	}
	eventually(t, "no zombie is left", func() bool { return len(sysChildren(nil, os.Getpid())) == 0 })
}

func TestHelperWhosePipeIsHeldByAStray(t *testing.T) {
	tab := newTestProcs(t)
	file := filepath.Join(t.TempDir(), "stray")
	begin := time.Now()
	e, _, err := tab.helper(childSpec(-1, nil, childArgv("runaway=touch="+file+",block", "await="+file)...), 2*patience, 10, nil)
	if err != nil || e.Code != 0 || time.Since(begin) > patience {
		t.Errorf("got %+v %v after %v", e, err, time.Since(begin))
	}
	_ = unix.Kill(pidIn(t, file), unix.SIGKILL)
}

func TestEnvironment(t *testing.T) {
	t.Setenv("FROM_SERVER", "1") // not seen: the server's own is taken once
	serverEnv()
	s := &serviceDef{Name: "web", Env: map[string]string{"PATH": "/x", "A": "b=c"}, User: "5"}
	env, err := serviceEnv(s, "00ff", "/home/u")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"PATH": "/x", "A": "b=c", "ZINIT_SERVICE": "web", "ZINIT_INVOCATION_ID": "00ff", "HOME": "/home/u"} {
		all := slices.DeleteFunc(slices.Clone(env), func(e string) bool { return !strings.HasPrefix(e, name+"=") })
		if len(all) != 1 || all[0] != name+"="+want {
			t.Errorf("%s: %q, want once %q", name, all, want)
		}
	}
}

func TestResolveFindsPrograms(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"tool", "sub/tool"} {
		full := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte("#!/bin/sh\n"), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		exec       execDef
		dir, path  string
		wantPath   string
		wantLength int
	}{
		{execDef{Line: "tool a b"}, "", dir, dir + "/tool", 3},
		{execDef{Argv: []string{"tool"}}, "", "/none:" + dir, dir + "/tool", 1},
		{execDef{Argv: []string{"./sub/tool"}}, dir, "", "./sub/tool", 1},
		{execDef{Argv: []string{"tool"}}, dir, "sub", dir + "/sub/tool", 1},
		{execDef{Line: "tool | cat"}, "", dir, "/bin/sh", 3},
	} {
		sp, err := resolve(&config{Service: serviceDef{Dir: c.dir, Env: map[string]string{"PATH": c.path}}}, c.exec, "", func(string) {})
		if err != nil || sp.Path != c.wantPath || len(sp.Argv) != c.wantLength {
			t.Errorf("%v in %q with PATH=%s: %+v, %v", c.exec, c.dir, c.path, sp, err)
		}
	}
}

func TestStats(t *testing.T) {
	tab := newTestProcs(t)
	file := filepath.Join(t.TempDir(), "child")
	r := startChild(t, tab, "fork=touch="+file+",block", "await="+file, "block")
	child := pidIn(t, file)
	u, err := procStats(r.p.pid)
	if err != nil || u.PPID != os.Getpid() || u.Memory < 1<<16 || u.Threads < 1 || u.FDs < 3 || !strings.Contains(u.Command, "@child fork=") {
		t.Errorf("got %+v, %v", u, err)
	}
	kids := childrenOf(r.p.pid)
	if len(kids) != 1 || kids[0].PID != child || kids[0].PPID != r.p.pid {
		t.Errorf("children %+v, want pid %d", kids, child)
	}
	if _, err := procStats(0x3ffffff0); err == nil {
		t.Error("stats of nobody")
	}
	st := &procStat{PID: 1, Start: 7, CPU: time.Second}
	now := time.Now()
	cpuPercent(st, now)
	st.CPU += 500 * time.Millisecond
	if got := cpuPercent(st, now.Add(time.Second)); got != 50 {
		t.Errorf("half a second of CPU in one is %v %%", got)
	}
}

func TestStatOfAProcessWithAStrangeName(t *testing.T) {
	tab := newTestProcs(t)
	sleep, err := os.ReadFile(childProgram())
	if err != nil {
		t.Fatal(err)
	}
	odd := filepath.Join(t.TempDir(), ") R 1 (x")
	if err := os.WriteFile(odd, sleep, 0o755); err != nil {
		t.Fatal(err)
	}
	end := make(chan exit, 1)
	p, err := tab.start(childSpec(-1, nil, odd, "@child", "block"), "x", "", func(e exit) { end <- e })
	if err != nil {
		t.Fatal(err)
	}
	if st, err := readStat(p.pid); err != nil || st.PPID != os.Getpid() || st.PGID != p.pid || st.Session != p.pid {
		t.Errorf("got %+v, %v", st, err)
	}
	p.kill()
	<-end
}

func TestDescendantsWithoutTheChildrenFile(t *testing.T) {
	tab := newTestProcs(t)
	var want []int
	for range 3 {
		want = append(want, startChild(t, tab, "block").p.pid)
	}
	slices.Sort(want)
	for how, got := range map[string][]int{"the children file": sysChildren(nil, os.Getpid()), "a scan": childrenByScan(nil, os.Getpid())} {
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("by %s: %v, want %v", how, got, want)
		}
	}
}

func TestPortFree(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", ":0", "[::1]:0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			skip(t, "no address "+addr)
		}
		port := l.Addr().(*net.TCPAddr).Port
		if portFree(port) {
			t.Errorf("port %d of %s counts as free while it is listened on", port, addr)
		}
		l.Close()
		if !portFree(port) {
			t.Errorf("port %d is not free after the close", port)
		}
	}
}

func TestForeign(t *testing.T) {
	tab := newTestProcs(t)
	dir := t.TempDir()
	name := "zt" + strconv.Itoa(os.Getpid())
	script := filepath.Join(dir, name)
	// exec keeps the shell from being replaced by its last command.
	if err := os.WriteFile(script, []byte("#!"+shell(t)+"\necho $$ > "+dir+"/new; mv "+dir+"/new $1; while sleep 60; do :; done\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ours := startArgv(t, tab, script, dir+"/ours")
	pidIn(t, dir+"/ours")
	if got := tab.foreign(name); len(got) != 0 {
		t.Errorf("our own service is foreign: %v (ours %d)", got, ours.p.pid)
	}
	pid, _, err := sysFork(childSpec(-1, nil, script, dir+"/theirs"), false) // not in the table
	if err != nil {
		t.Fatal(err)
	}
	pidIn(t, dir+"/theirs")
	// A command of the script looks like the script itself between its fork and its exec.
	eventually(t, fmt.Sprintf("only pid %d is foreign", pid), func() bool { return slices.Equal(tab.foreign(strings.ToUpper(name)), []int{pid}) })
	if left := removeForeign([]int{pid}, patience); len(left) != 0 || alive(pid) {
		t.Errorf("left after kill_others: %v", left)
	}
	for _, self := range []string{"zinit.test", "init", "kthreadd"} {
		for _, pid := range tab.foreign(self) {
			if pid == os.Getpid() || pid == 1 || pid == 2 {
				t.Errorf("filter %q finds pid %d", self, pid)
			}
		}
	}
}

func TestProcessNames(t *testing.T) {
	for _, c := range []struct {
		argv string
		want string
	}{
		{"/usr/bin/app --port 80", "app"},
		{"/usr/bin/python3.12 -u /srv/old-app.py x", "python3.12 old-app.py"},
		{"-bash", "-bash"},
		{"sh -c old-app", "sh"},
		{"", "."},
	} {
		if got := strings.Join(processNames(strings.Split(c.argv, " ")), " "); got != c.want {
			t.Errorf("%q goes by %q, want %q", c.argv, got, c.want)
		}
	}
}

func TestForeignMemoryThatDoesNotAnswer(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	begin := time.Now()
	if _, ok := foreignMemory(1, func(int) []byte { <-hang; return nil }); ok {
		t.Error("it answered")
	}
	if took := time.Since(begin); took < slowRead || took > slowRead+slack {
		t.Errorf("gave up after %v", took)
	}
	if _, ok := foreignMemory(1, func(int) []byte { return nil }); ok {
		t.Error("it was asked again while it hangs")
	}
}

// TestMemoryOfSmallProcesses: the counters of Linux 6.1 are late, and a small process shows a page or little more. What lists tell is within a factor of two
// all the same, and what one service is told is exact. The files were read on such a kernel, on a machine with one processor.
func TestMemoryOfSmallProcesses(t *testing.T) {
	for name, want := range map[string]int64{"sleep": 1380 << 10, "busybox": 1444 << 10, "zinit": 5876 << 10} {
		read := func(file string) []byte {
			data, err := os.ReadFile(filepath.Join("testdata/proc/6.1", name, file))
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		st, err := parseStat(81, read("stat"))
		if err != nil {
			t.Fatal(err)
		}
		if got := rollupRss(read("smaps_rollup")); got != want {
			t.Errorf("%s: %d bytes in smaps_rollup, want %d", name, got, want)
		}
		if counted := st.Memory; counted >= lateMemory() || counted*2 >= want && name == "busybox" {
			t.Errorf("%s: the counters say %d of %d bytes, and are believed", name, counted, want)
		}
	}
	for _, text := range []string{"", "Rss: 7 kB", "a\nRss: kB\n", "a\nRss:"} {
		if got := rollupRss([]byte(text)); got != 0 {
			t.Errorf("%q has %d bytes", text, got)
		}
	}
}

// TestMemoryOfLiveProcesses compares what is told of processes with what smaps_rollup says.
func TestMemoryOfLiveProcesses(t *testing.T) {
	tab := newTestProcs(t)
	small := startChild(t, tab, "block").p.pid
	large := os.Getpid()
	ballast := make([]byte, 64<<20)
	for i := range ballast {
		ballast[i] = 1
	}
	for _, pid := range []int{small, large} {
		st, err := readStat(pid)
		if err != nil {
			t.Fatal(err)
		}
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			skip(t, "no smaps_rollup: "+err.Error())
		}
		want := rollupRss(rollup)
		for _, exact := range []bool{false, true} {
			if got := st.resident(exact); got < want/2 || got > want*2 {
				t.Errorf("pid %d, exact %v: %d bytes, want %d", pid, exact, got, want)
			}
		}
		if got := sysStatmResident(pid); got == 0 {
			t.Errorf("pid %d: nothing in statm", pid)
		}
	}
	before := sysStatmExact
	defer func() { sysStatmExact = before }()
	sysStatmExact = func() bool { return false } // an older kernel
	page := int64(os.Getpagesize())
	if got, counted := (&procStat{PID: small, Memory: page}).resident(false), sysStatmResident(small); got < counted/2 || got > counted*2 {
		t.Errorf("a small process with late counters: %d bytes, want %d", got, counted)
	}
	if got := (&procStat{PID: small, Memory: 64 << 20}).resident(false); got != 64<<20 {
		t.Errorf("a large process in a list: %d bytes, want what is counted", got)
	}
	runtime.KeepAlive(ballast)
	if got := (&procStat{PID: 1 << 30, Memory: 7}).resident(true); got != 7 {
		t.Errorf("a process that cannot be looked at: %d bytes, want what the counters said", got)
	}
}

// TestCPUOfThousands: each of thousands of processes is measured between two looks, in linear time, and those that nobody asks for any more are forgotten.
func TestCPUOfThousands(t *testing.T) {
	const n = 20000
	cpuSamples.Lock()
	cpuSamples.last, cpuSamples.older = nil, nil
	cpuSamples.Unlock()
	now := time.Now()
	look := func(first, n int, at time.Duration, cpu time.Duration) (wrong int) {
		for i := first; i < first+n; i++ {
			st := &procStat{PID: i, Start: 1, CPU: cpu}
			if got := cpuPercent(st, now.Add(at)); at > 0 && (got < 49.99 || got > 50.01) {
				wrong++
			}
		}
		return wrong
	}
	look(0, n, 0, 0)
	begin := time.Now()
	for second := range time.Duration(10) {
		at := (second + 1) * time.Second
		if wrong := look(0, n, at, at/2); wrong > 0 {
			t.Fatalf("after %v %d of %d are wrong", at, wrong, n)
		}
	}
	if took := time.Since(begin); took > slack {
		t.Errorf("%d looks took %v", 10*n, took)
	}
	for minute := range time.Duration(8) { // others come and go
		look(n*int(minute+1), n, (minute+1)*time.Minute, 0)
	}
	cpuSamples.Lock()
	defer cpuSamples.Unlock()
	if kept := len(cpuSamples.last) + len(cpuSamples.older); kept > 7*n {
		t.Errorf("%d samples are kept", kept)
	}
	if _, is := cpuSamples.older[kin{0, 1}]; is {
		t.Error("a sample of 8 minutes ago is kept")
	}
}

func TestEnvValue(t *testing.T) {
	block := []byte("A=1\x00ZINIT_INVOCATION_IDX=no\x00ZINIT_INVOCATION_ID=ff=00\x00B")
	if got := envValue(block, "ZINIT_INVOCATION_ID"); got != "ff=00" {
		t.Errorf("got %q", got)
	}
	if got := envValue(bytes.Repeat([]byte{0}, 10), "A"); got != "" {
		t.Errorf("got %q", got)
	}
}

// shell is a shell that children can be.
func shell(t testing.TB) string {
	t.Helper()
	if _, err := os.Stat("/bin/sh"); err != nil {
		skip(t, "no /bin/sh")
	}
	return "/bin/sh"
}
