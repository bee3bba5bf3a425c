// proc_stat.go measures processes, and reads the files of /proc that can block on the process.

//go:build !windows

package main

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// slowRead bounds every look at memory of a foreign process: environ and cmdline block on its mmap lock.
const slowRead = time.Second

// envValue reads one variable from a NUL-separated block as /proc/PID/environ has it.
func envValue(block []byte, name string) string {
	for _, entry := range bytes.Split(block, []byte{0}) {
		if v, ok := bytes.CutPrefix(entry, []byte(name+"=")); ok {
			return string(v)
		}
	}
	return ""
}

// invocationOf is the name of the start that a process belongs to, by its environment; "": it does not say.
func invocationOf(pid int) string {
	return envValue(foreignMemory(pid, sysEnviron), "ZINIT_INVOCATION_ID")
}

// serviceOf is the name of the service that a process was started for, by its environment; "": it does not say.
func serviceOf(pid int) string { return envValue(foreignMemory(pid, sysEnviron), "ZINIT_SERVICE") }

// memoryReads holds the reads under way of the memory of each process; one that has not answered in time is not asked again.
var memoryReads = struct {
	sync.Mutex
	busy map[int]*memoryRead
}{busy: map[int]*memoryRead{}}

type memoryRead struct {
	count int
	late  bool
}

const memoryReadsMax = 8 // of one process, for as many clients that ask at the same time

// foreignMemory runs read(pid) for at most slowRead, on a goroutine that may stay behind. nil: the process did not answer.
func foreignMemory(pid int, read func(int) []byte) []byte {
	memoryReads.Lock()
	r := memoryReads.busy[pid]
	if r == nil {
		r = &memoryRead{}
		memoryReads.busy[pid] = r
	}
	hung := r.late || r.count == memoryReadsMax
	if !hung {
		r.count++
	}
	memoryReads.Unlock()
	if hung {
		return nil
	}
	answer := make(chan []byte, 1)
	background("reading /proc", func() {
		data := read(pid)
		memoryReads.Lock()
		r.late = false
		if r.count--; r.count == 0 {
			delete(memoryReads.busy, pid)
		}
		memoryReads.Unlock()
		answer <- data
	})
	limit := time.NewTimer(slowRead)
	defer limit.Stop()
	select {
	case data := <-answer:
		return data
	case <-limit.C:
		memoryReads.Lock()
		defer memoryReads.Unlock()
		r.late = true
		return nil
	}
}

// cpuSamples holds the last CPU reading of each process that was asked about; percentages are between two looks. There are two generations of
// readings: once the newer one is old or large it takes the place of the older one, so that readings nobody asked for again go all at once.
var cpuSamples struct {
	sync.Mutex
	last, older map[procID]cpuSample
	since       time.Time // last was begun then
}

type cpuSample struct {
	cpu     time.Duration
	at      time.Time
	percent float64
}

const (
	cpuSampleGap = 100 * time.Millisecond // below it the previous percentage is more exact than a new one
	cpuSampleAge = 2 * time.Minute        // a look after that long begins anew
	cpuSampleMax = 1 << 16                // of a generation
)

// cpuPercent is the share of one CPU since the last look, or over the lifetime at the first.
func cpuPercent(st *procStat, now time.Time) float64 {
	cpuSamples.Lock()
	defer cpuSamples.Unlock()
	key := procID{st.PID, st.Start}
	last, seen := cpuSamples.last[key]
	if !seen {
		last, seen = cpuSamples.older[key]
	}
	span := now.Sub(last.at)
	if seen && span < cpuSampleGap {
		return last.percent
	}
	used := st.CPU - last.cpu
	if !seen || span > cpuSampleAge {
		used, span = st.CPU, max(st.Age(), cpuSampleGap)
	}
	if cpuSamples.last == nil || now.Sub(cpuSamples.since) > cpuSampleAge || len(cpuSamples.last) >= cpuSampleMax {
		cpuSamples.older, cpuSamples.last, cpuSamples.since = cpuSamples.last, map[procID]cpuSample{}, now
	}
	percent := tenth(float64(used) / float64(span) * 100)
	cpuSamples.last[key] = cpuSample{st.CPU, now, percent}
	return percent
}

// usage measures a process. It may wait up to slowRead for one whose memory is locked.
func (st *procStat) usage() childProcess {
	return childProcess{PID: st.PID, PPID: st.PPID, Command: commandOf(st), CPUPercent: cpuPercent(st, time.Now()), MemoryBytes: st.resident(true)}
}

// resident is the resident memory of a process (Rss of proc_pid_smaps(5)), in bytes. exact: counted page by page, which takes the longer the more
// there is of it. Otherwise that is done only where the kernel's counters may be far off, for small processes. Without permission, or if the
// process does not answer in time, it returns the counters.
func (st *procStat) resident(exact bool) int64 {
	counted := max(st.Memory, sysStatmResident(st.PID))
	if !exact && (counted >= lateMemory() || sysStatmExact()) {
		return counted
	}
	if rss := rollupRss(foreignMemory(st.PID, sysSmapsRollup)); rss > 0 {
		return rss
	}
	return counted
}

// lateMemory is the memory from which on the counters of a process are right within a factor of two. Before Linux 6.2 the last 64 page faults of a thread,
// each for up to 16 pages, are not in them yet; since then each processor keeps up to 32 pages back, or twice as many as there are processors.
func lateMemory() int64 {
	cpus := runtime.NumCPU()
	return 2 * int64(os.Getpagesize()) * int64(max(64*16, cpus*max(32, 2*cpus)))
}

// rollupRss finds the resident bytes in a smaps_rollup file; 0: it has none.
func rollupRss(text []byte) int64 {
	_, rest, _ := strings.Cut(string(text), "\nRss:")
	line, _, _ := strings.Cut(rest, "\n")
	kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(line, "kB")), 10, 64)
	return kb << 10
}

// childrenOf measures all descendants of pid, parents before children.
func childrenOf(pid int) []childProcess {
	all := []childProcess{}
	for _, k := range descendantsOf(pid) {
		if st, runs := k.stat(); runs {
			all = append(all, st.usage())
		}
	}
	return all
}

// commandOf is the command line of a process with spaces between its words, or [comm] where there is none (ps(1)).
func commandOf(st *procStat) string {
	line := bytes.TrimRight(foreignMemory(st.PID, sysCmdline), "\x00")
	if len(line) == 0 {
		return "[" + st.Comm + "]"
	}
	return strings.ToValidUTF8(string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})), "\uFFFD")
}
