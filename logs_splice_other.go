// logs_splice_other.go waits for pipes where there is no epoll(7); there is no splice(2) either.

//go:build !linux && !windows

package main

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// logSplices is false: bytes for a raw file pass through its queue.
const logSplices = false

// logInner is nothing where there is no tee(2).
type logInner struct{}

func (*logInner) close() {}

func (*scratch) peek(int) ([]byte, bool, error) { return nil, false, errUnspliced }

func logSplice(int, *os.File, int) (int, error) { return 0, errUnspliced }

// logPoller waits for each pipe on a goroutine of its own, which takes a buffer only when there is something to read.
type logPoller struct {
	scratches sync.Pool
	mu        sync.Mutex
	files     map[int]*os.File // duplicates of the watched descriptors
	ready     func(fd int, sc *scratch) bool
	ended     chan struct{}
	started   chan struct{}
}

func newLogPoller() (*logPoller, error) {
	return &logPoller{
		scratches: sync.Pool{New: func() any { return newScratch() }},
		files:     map[int]*os.File{}, ended: make(chan struct{}), started: make(chan struct{}),
	}, nil
}

// watch calls ready whenever fd is readable, until ignore.
func (lp *logPoller) watch(fd int) error {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(dup), "log pipe")
	lp.mu.Lock()
	lp.files[fd] = f
	lp.mu.Unlock()
	background("log pipe", func() {
		<-lp.started
		rc, err := f.SyscallConn()
		if err != nil {
			return
		}
		_ = rc.Read(func(uintptr) bool {
			sc := lp.scratches.Get().(*scratch)
			for lp.watches(fd, f) && lp.ready(fd, sc) {
			}
			lp.scratches.Put(sc)
			return !lp.watches(fd, f)
		})
	})
	return nil
}

func (lp *logPoller) watches(fd int, f *os.File) bool {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	return lp.files[fd] == f
}

func (lp *logPoller) ignore(fd int) {
	lp.mu.Lock()
	f := lp.files[fd]
	delete(lp.files, fd)
	lp.mu.Unlock()
	if f != nil {
		background("log pipe", func() { f.Close() }) // a close waits for the reader, who may be the caller
	}
}

// run gives the goroutines their function and returns when the poller is closed.
func (lp *logPoller) run(ready func(fd int, sc *scratch) bool) {
	lp.ready = ready
	close(lp.started)
	<-lp.ended
}

func (lp *logPoller) close() { close(lp.ended) }
