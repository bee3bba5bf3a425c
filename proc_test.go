// proc_test.go tries the process table with real processes.
//
// Row 18 (a process in uninterruptible sleep survives SIGKILL) cannot be produced without a broken device; TestRow18 gives the table a
// process that it cannot kill instead. Row 8 (out of memory) is tested in a machine.
// While a table is open its reaper takes every child of the test process: nothing here may use os/exec.

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	tab := newProcs(true)
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
	tab.forkMu.Lock() // as a fork does
	pid, _, err := sysFork(childSpec(-1, nil, shell(t), "-c", "exit 9"), false)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is a zombie", func() bool { st, err := readStat(pid); return err == nil && st.dead() })
	end := make(chan exit, 1)
	p := tab.process("quick", "", killGroup, func(e exit) { end <- e })
	tab.wakeLoop()
	tab.mu.Lock()
	p.pid = pid
	tab.live[pid] = p
	tab.mu.Unlock()
	tab.forkMu.Unlock()
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
	if err := r.p.signal(sigKill, false); !errors.Is(err, errGone) {
		t.Errorf("signal after the end: %v, want errGone", err)
	}
	for range 3 {
		tab.sweep(time.Now())
	}
	if !by.still(t) || !alive(by.p.pid) {
		t.Error("a process that is not ours was signalled")
	}
	if err := sysKillOne(procID{by.p.pid, 1}, sigKill); !errors.Is(err, syscall.ESRCH) || !alive(by.p.pid) {
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

// shell is a shell that children can be.
func shell(t testing.TB) string {
	t.Helper()
	if _, err := os.Stat("/bin/sh"); err != nil {
		skip(t, "no /bin/sh")
	}
	return "/bin/sh"
}
