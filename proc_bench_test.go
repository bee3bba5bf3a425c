//go:build linux

// proc_bench_test.go measures the process table against the barest loop that does the same, in one run and interleaved; run with -bench Ratio.

package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const benchServices = 1000

// sleeper is a small program that stays: not a Go program, whose start would hide what we measure.
func sleeper(b *testing.B) *spec {
	if _, err := os.Stat("/bin/sleep"); err != nil {
		skip(b, "no /bin/sleep")
	}
	return childSpec(-1, nil, "/bin/sleep", "1000")
}

// bareUp forks and executes n programs, with nothing around it.
func bareUp(b *testing.B, sp *spec, n int) []int {
	pids := make([]int, n)
	for i := range pids {
		pid, err := syscall.ForkExec(sp.Path, sp.Argv, &syscall.ProcAttr{Env: sp.Env, Files: sp.files(), Sys: &syscall.SysProcAttr{Setsid: true}})
		if err != nil {
			b.Fatal(err)
		}
		pids[i] = pid
	}
	return pids
}

// bareDown kills and waits for them.
func bareDown(pids []int) {
	for _, pid := range pids {
		_ = unix.Kill(pid, unix.SIGTERM)
	}
	for range pids {
		_, _ = unix.Wait4(-1, nil, 0, nil)
	}
}

func median(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/2])
}

// oursUp starts n services, each with an invocation id of its own; gone counts their ends.
func oursUp(b *testing.B, tab *procs, sp *spec, n int, gone *sync.WaitGroup) []*process {
	gone.Add(n)
	all := make([]*process, n)
	for i := range all {
		id := fmt.Sprintf("%032x", i)
		mine := *sp
		mine.Env = append(slices.Clone(sp.Env), "ZINIT_INVOCATION_ID="+id)
		p, err := tab.start(&mine, strconv.Itoa(i), id, func(exit) { gone.Done() })
		if err != nil {
			b.Fatal(err)
		}
		all[i] = p
	}
	return all
}

// BenchmarkRatioServices starts and stops a thousand services: ours ÷ bare. The two take turns in going first.
func BenchmarkRatioServices(b *testing.B) {
	sp := sleeper(b)
	var up, down, bareUps, bareDowns []time.Duration
	bare := func() {
		begin := time.Now()
		pids := bareUp(b, sp, benchServices)
		mid := time.Now()
		bareDown(pids)
		bareUps, bareDowns = append(bareUps, mid.Sub(begin)), append(bareDowns, time.Since(mid))
	}
	ours := func() {
		tab := newProcs()
		defer tab.close()
		var gone sync.WaitGroup
		begin := time.Now()
		all := oursUp(b, tab, sp, benchServices, &gone)
		mid := time.Now()
		for _, p := range all {
			p.stop(sigTerm)
		}
		gone.Wait()
		up, down = append(up, mid.Sub(begin)), append(down, time.Since(mid))
	}
	for i := 0; b.Loop(); i++ {
		if i%2 == 0 {
			bare()
			ours()
			continue
		}
		ours()
		bare()
	}
	b.ReportMetric(median(up)/median(bareUps), "up-ratio")
	b.ReportMetric(median(down)/median(bareDowns), "down-ratio")
	b.ReportMetric(median(bareUps)/1e6, "bare-up-ms")
	b.ReportMetric(median(bareDowns)/1e6, "bare-down-ms")
}

// orphans makes n zombies that are children of ours: bare forks that end at once.
func orphans(b *testing.B, n int) {
	for range n {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			b.Fatal(errno)
		}
		if pid == 0 {
			for {
				_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
			}
		}
	}
	eventually(b, "all are zombies", func() bool {
		return !slices.ContainsFunc(sysChildren(nil, os.Getpid()), runs)
	})
}

// BenchmarkRatioOrphans reaps ten thousand zombies: ours ÷ a bare wait loop.
func BenchmarkRatioOrphans(b *testing.B) {
	const many = 10000
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		b.Fatal(err)
	}
	var ours, bare []time.Duration
	for b.Loop() {
		orphans(b, many)
		begin := time.Now()
		for {
			if _, err := unix.Wait4(-1, nil, 0, nil); err != nil {
				break
			}
		}
		bare = append(bare, time.Since(begin))
		tab := newProcs()
		orphans(b, many)
		begin = time.Now()
		tab.reapAll()
		ours = append(ours, time.Since(begin))
		tab.close()
	}
	b.ReportMetric(median(ours)/median(bare), "ratio")
	b.ReportMetric(median(bare)/1e6, "bare-ms")
}

// BenchmarkRestart is the time from SIGKILL to the report that nothing is left, and on to the next exec: ours ÷ one bare fork+exec.
func BenchmarkRestart(b *testing.B) {
	sp := sleeper(b)
	tab := newProcs()
	tab.run()
	defer tab.close()
	end := make(chan exit, 1)
	start := func() *process {
		p, err := tab.start(sp, "x", "00", func(e exit) { end <- e })
		if err != nil {
			b.Fatal(err)
		}
		return p
	}
	var ours, bare []time.Duration
	for b.Loop() {
		begin := time.Now()
		pids := bareUp(b, sp, 1)
		bare = append(bare, time.Since(begin))
		_ = unix.Kill(pids[0], unix.SIGKILL)
		eventually(b, "it is reaped", func() bool { return unix.Kill(pids[0], 0) != nil })

		p := start()
		begin = time.Now()
		_ = unix.Kill(p.pid, unix.SIGKILL)
		<-end
		p = start()
		ours = append(ours, time.Since(begin))
		p.kill()
		<-end
	}
	b.ReportMetric(median(ours)/median(bare), "ratio")
	b.ReportMetric(median(bare)/1e6, "bare-ms")
}
