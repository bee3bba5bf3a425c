// supervisor_files.go opens and removes what a server keeps for the next one: the file of its state and, without a keeper, the pipes of its services.

//go:build !windows

package main

import (
	"os"
	"path"
	"strings"
	"time"
)

func (s *supervisor) statePath() string { return s.opts.socket + ".state" }

// makeFifoDir makes the directory of the log pipes, or finds that of an earlier server. It is in memory if possible, since on a disk
// a FIFO costs more than the spawn that it is for; else beside the socket. state is the open state file, whose identity is in the name.
func (s *supervisor) makeFifoDir(state int) (string, error) {
	beside := s.opts.socket + ".pipes"
	if fi, err := os.Lstat(beside); err == nil && fi.IsDir() {
		return beside, nil
	}
	if dir := sysMemoryName(state); dir != "" {
		if err := os.Mkdir(dir, 0o700); err == nil || os.IsExist(err) && sysOwnDir(dir) {
			return dir, nil
		}
	}
	return beside, os.Mkdir(beside, 0o700)
}

// keepState opens the journal of a standalone server beside its socket, and returns what an earlier one left there, if that still counts.
func (s *supervisor) keepState() *savedState {
	if strings.HasPrefix(s.opts.socket, "@") {
		return nil
	}
	fifos := ""
	fd, err := sysOpenState(s.statePath())
	if err == nil {
		if fifos, err = s.makeFifoDir(fd); err == nil {
			err = s.logs.keepFifos(fifos)
		}
	}
	if err != nil {
		if err != errNotSupported {
			logf(logWarn, "the state cannot be kept beside the socket (%v): if this server dies, its services are not adopted", err)
		}
		return nil
	}
	return s.openState(fd, false)
}

// openState has the state kept in a file from now on, and returns what an earlier server saved there; nil when there is nothing, it is of another boot, or it is to be
// ended unread.
func (s *supervisor) openState(fd int, unread bool) *savedState {
	j, err := openJournal(fd)
	var st *savedState
	if err == nil && !unread {
		st, err = readState(j)
	}
	switch {
	case err != nil:
		logf(logError, "%v: what it describes is stopped, and everything is started anew", err)
		s.discard()
	case unread:
		s.discard()
	}
	if st != nil && st.server.Boot == s.bootID {
		s.saver.journal = j
		return st
	}
	if j == nil {
		if err = sysTruncate(fd); err == nil {
			j, err = openJournal(fd)
		}
		if j == nil {
			logf(logWarn, "the state cannot be kept (%v): if this server dies, its services are not adopted", err)
			return nil
		}
	}
	j.clear()
	s.saver.journal = j
	return nil
}

// forgetState removes what only the next server after a crash would need.
func (s *supervisor) forgetState() {
	if s.holdsSyslog() {
		_ = os.Remove(syslogPath)
	}
	if dir := s.notifyDirName(); dir != "" && sysOwnedDir(dir) {
		_ = os.RemoveAll(dir)
	}
	if s.keeper == nil && s.saver.journal != nil {
		_ = os.Remove(s.statePath())
		_ = os.RemoveAll(s.logs.fifos)
	}
}

// fifoStore lists the pipes that an earlier standalone server left, as the keeper would hand them. Names of output that is no live service's are removed: that server
// was killed before it came to that.
func (s *supervisor) fifoStore(st *savedState) map[string][]int {
	store, used := map[string][]int{}, map[string]bool{}
	for n, u := range st.units {
		started := u.PID != 0 || u.Staged != 0 || n == st.start.Name && u.Gen == st.start.Gen
		if !u.State.live() || !started {
			continue
		}
		outName, errName := fifoName(n, u.Gen, streamStdout), fifoName(n, u.Gen, streamStderr)
		used[outName], used[errName] = true, true
		out, err1 := sysOpenFifo(s.logs.fifoAt, outName)
		err, err2 := sysOpenFifo(s.logs.fifoAt, errName)
		if err1 != nil || err2 != nil {
			if u.PID != 0 {
				logf(logWarn, "the output of %s cannot be read any more: %v", n, firstError(err1, err2))
			}
			continue
		}
		fds := []int{out, err}
		if st.cfg[n].Service.Stdin == stdinFromPipe {
			if stdin, err := sysWriteFifo(s.logs.fifoAt, fifoName(n, u.Gen, stdinStream)); err == nil {
				fds = append(fds, stdin)
			}
		}
		store[logKey(n, u.Gen)] = fds
	}
	names, _ := readNames(s.logs.fifos)
	for _, name := range names {
		if output := path.Ext(name); !used[name] && (output == "."+string(streamStdout) || output == "."+string(streamStderr)) {
			sysRemoveAt(s.logs.fifoAt, name)
		}
	}
	return store
}

// discard stops what an unreadable state left running: under the keeper, the children of the keeper that have an invocation ID. After a
// standalone server they are children of somebody else; ours are those that write to our pipes.
func (s *supervisor) discard() {
	var left []int
	for _, p := range sysAllPids() {
		if st, err := readStat(p); err != nil || p == os.Getpid() || s.keeper != nil && st.PPID != os.Getppid() {
			continue
		}
		if s.keeper == nil && !writesBelow(p, s.logs.fifos) {
			continue
		}
		if invocationOf(p) != "" {
			logf(logWarn, "stopping process %d: it belongs to a service of a server whose state cannot be read", p)
			left = append(left, p)
		}
	}
	removeForeign(left, 2*time.Second)
}
