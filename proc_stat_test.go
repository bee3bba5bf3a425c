// proc_stat_test.go tries what is measured of processes, and those that do not answer.

//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestStats(t *testing.T) {
	tab := newTestProcs(t)
	file := filepath.Join(t.TempDir(), "child")
	r := startChild(t, tab, "fork=touch="+file+",block", "await="+file, "block")
	child := pidIn(t, file)
	self, err := readStat(r.p.pid)
	u := self.usage()
	if err != nil || u.PPID != os.Getpid() || u.MemoryBytes < 1<<16 || self.Threads < 1 || sysFDs(r.p.pid) < 3 || !strings.Contains(u.Command, "@child fork=") {
		t.Errorf("got %+v, %v", u, err)
	}
	kids := childrenOf(r.p.pid)
	if len(kids) != 1 || kids[0].PID != child || kids[0].PPID != r.p.pid {
		t.Errorf("children %+v, want pid %d", kids, child)
	}
	if _, err := readStat(0x3ffffff0); err == nil {
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

// TestRow05_FirstThreadHasEnded: a process is not gone while one of its threads lives, which may hold its files and ports.
func TestRow05_FirstThreadHasEnded(t *testing.T) {
	for line, dead := range map[string]bool{
		"7 (a) S 1 7 7 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 3 0 99 0 0 0": false,
		"7 (a) Z 1 7 7 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 3 0 99 0 0 0": false,
		"7 (a) Z 1 7 7 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 99 0 0 0": true,
		"7 (a) X 0 -1 -1 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 0 0 99 0 0": true,
	} {
		if st, err := parseStat(7, []byte(line)); err != nil || st.dead() != dead {
			t.Errorf("%s: dead is %v, %v", line, st.dead(), err)
		}
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

func TestForeignMemoryThatDoesNotAnswer(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	begin := time.Now()
	if foreignMemory(1, func(int) []byte { <-hang; return []byte{} }) != nil {
		t.Error("it answered")
	}
	if took := time.Since(begin); took < slowRead || took > slowRead+slack {
		t.Errorf("gave up after %v", took)
	}
	if foreignMemory(1, func(int) []byte { return []byte{} }) != nil {
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
	if _, is := cpuSamples.older[procID{0, 1}]; is {
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
