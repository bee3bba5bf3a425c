// supervisor_pidfile.go waits for the main process of programs that go into the background: a file names it. Nothing is decided about the service.

//go:build !windows

package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// How often a pid_file is looked at: at first, and after a while.
const pidFilePace, pidFileSlowPace = 10 * time.Millisecond, 200 * time.Millisecond

// handOver is how long a process that the file names may still be the child of one that is about to end; after that it is taken as it is.
const handOver = time.Second

// expectFork notes that the first process of a start is not the main one, where that has a pid_file.
func (s *supervisor) expectFork(l *life, invocation string) {
	if l.cfg.Service.PIDFile != "" && !l.cfg.Service.Oneshot {
		s.forking.Store(invocation, l)
	}
}

// wentIntoBackground says whether another process is to become the main one of a service whose main process has ended: it was the first one of a program with a
// pid_file, and exited with 0. Then somebody waits for that.
func (s *supervisor) wentIntoBackground(p *process) bool {
	v, forking := s.forking.LoadAndDelete(p.invocation)
	if !forking || p.howEnded() != (exit{Known: true}) {
		return false
	}
	background("pid file", func() { s.awaitMain(v.(*life)) })
	return true
}

// awaitMain waits until the pid_file names a live process of the service, which becomes its main process, or until the service is to stop: its start timeout is that too.
func (s *supervisor) awaitMain(l *life) {
	pace := pidFilePace
	for begun := time.Now(); !l.proc.toStop(); time.Sleep(pace) {
		pid := pidOfFile(l.cfg.Service.PIDFile)
		if pid > 1 && s.procs.belongs(l.proc, pid, time.Since(begun) > handOver) && l.proc.become(pid) == nil {
			s.submit(event{kind: eventMainPID, name: l.name, gen: l.gen, pid: pid})
			return
		}
		if time.Since(begun) > handOver {
			pace = pidFileSlowPace
		}
	}
	l.proc.conclude()
}

// pidOfFile is the number in a pid file; 0 where there is none.
func pidOfFile(path string) int {
	data, ok := sysReadRegular(path, 64)
	if !ok {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return pid
}

// removeStale removes a pid file, unless it names a running process that is older than the file: that belongs to another program, and is not taken for the main process.
func removeStale(path string) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	if st, err := readStat(pidOfFile(path)); err == nil && !st.dead() && time.Now().Add(-st.Age()).Before(info.ModTime()) {
		return
	}
	_ = os.Remove(path)
}
