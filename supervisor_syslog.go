// supervisor_syslog.go binds the socket of syslog(3) if it is not in use, and binds it again when the program that replaced it has ended. Its messages are read in logs_syslog.go.

//go:build !windows

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// syslogKey begins the key of the socket of syslog(3) in the keeper's store. Behind it stands which file it is.
const syslogKey, syslogPath = "syslog", "/dev/log"

const (
	syslogGrace = time.Second            // for a program that replaces the socket: it removes our file first and binds its own then
	syslogPace  = 2 * time.Second        // between two checks whether the program that has it still runs
	syslogAgain = 100 * time.Millisecond // after its file has gone
)

// syslogSocket is the socket of syslog(3) as we hold it.
type syslogSocket struct {
	fd   int                    // 0: none
	file atomic.Pointer[string] // which file is ours; nil: none
}

// openSyslog takes the socket over from the last server, or makes it where nobody else has one.
func (s *supervisor) openSyslog(store map[string][]int) {
	for key, fds := range store {
		if file, is := strings.CutPrefix(key, syslogKey); is && (file == "" || file[0] == ' ') && len(fds) == 1 {
			delete(store, key)
			s.syslog.fd = fds[0]
			file = cmp.Or(strings.TrimSpace(file), sysFileID(syslogPath))
			s.syslog.file.Store(&file)
			return
		}
	}
	if s.mode == modeSystem { // so many messages may wait while a server is replaced; the kernel's 10 are few
		_ = os.WriteFile("/proc/sys/net/unix/max_dgram_qlen", []byte("512"), 0)
	}
	if err := s.takeSyslog(); err != nil && !errors.Is(err, syscall.EADDRINUSE) {
		s.degraded = append(s.degraded, fmt.Sprintf("%s is not served (%v): messages of syslog(3) are lost", syslogPath, err))
	}
}

// takeSyslog makes the socket, and has the keeper hold it instead of an earlier one.
func (s *supervisor) takeSyslog() error {
	fd, err := sysListenSyslog(syslogPath)
	if err != nil {
		return err
	}
	if old := s.syslog.file.Load(); old != nil {
		s.keeper.sendNow(packet{op: opDrop, text: syslogKey + " " + *old}, linkTime)
	}
	file := sysFileID(syslogPath)
	s.syslog.fd = fd
	s.syslog.file.Store(&file)
	s.keeper.sendNow(packet{op: opStore, text: syslogKey + " " + file, fds: []int{fd}}, linkTime)
	return nil
}

// holdsSyslog says whether the file that programs find is ours.
func (s *supervisor) holdsSyslog() bool {
	file := s.syslog.file.Load()
	return file != nil && *file == sysFileID(syslogPath)
}

// serveSyslog reads the socket from when it is known which service has which process.
func (s *supervisor) serveSyslog() {
	if s.keeper == nil {
		return
	}
	s.view(func(g *graph, _ time.Time) {
		if g.units[syslogName] == nil {
			s.logs.configure(syslogName, newConfig().Logging, s.mode == modeContainer)
		}
	})
	background("syslog", s.keepSyslog)
}

// keepSyslog has the socket read, and makes a new one when whoever took its place has gone: told by the kernel when a file in its directory comes or goes, and with
// polling while another program has it, since a killed program leaves the file behind.
func (s *supervisor) keepSyslog() {
	stop := func() {}
	if s.syslog.fd != 0 {
		stop = s.readSyslog(s.syslog.fd)
	}
	changed := sysWatchDir(syslogPath)
	for {
		ours := s.holdsSyslog()
		wait := syslogPace
		switch _, err := os.Lstat(syslogPath); {
		case ours:
			wait = 0
		case err != nil:
			wait = syslogAgain
		}
		if !awaitChange(changed, wait) {
			return // nobody can take it
		}
		if ours {
			time.Sleep(syslogGrace)
		}
		if s.holdsSyslog() || s.ending.Load() || s.takeSyslog() != nil {
			continue
		}
		logf(logInfo, "%s is served here again", syslogPath)
		stop()
		stop = s.readSyslog(s.syslog.fd)
	}
}

// awaitChange waits for a change, or for so long; 0 is for ever. It is false when neither can come.
func awaitChange(changed <-chan struct{}, wait time.Duration) bool {
	if wait == 0 {
		if changed != nil {
			<-changed
		}
		return changed != nil
	}
	limit := time.NewTimer(wait)
	defer limit.Stop()
	select {
	case <-changed:
	case <-limit.C:
	}
	return true
}

// readSyslog reads a socket until what is returned is called.
func (s *supervisor) readSyslog(fd int) (stop func()) {
	var stopped atomic.Bool
	file := os.NewFile(uintptr(fd), "syslog")
	background("syslog reader", func() {
		if err := s.logs.serveSyslog(file, fd, s.procs.owner); err != nil && !stopped.Load() {
			logf(logError, "cannot read %s any more: %v", syslogPath, err)
		}
	})
	return func() {
		stopped.Store(true)
		file.Close()
	}
}
