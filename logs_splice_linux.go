// logs_splice_linux.go moves the bytes of pipes into log files with tee(2) and splice(2), and waits for pipes with epoll(7).

package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// logSplices says that bytes can go from a pipe into a file without passing through us.
const logSplices = true

// logInner is the pipe into which tee(2) copies what lies in a service's pipe. It is empty between uses.
type logInner struct{ r, w int }

func (in *logInner) close() {
	if in.w > 0 {
		unix.Close(in.r)
		unix.Close(in.w)
	}
	*in = logInner{}
}

// peek shows the first bytes in the pipe fd without taking them out, at sc.buf[maxLine:]. eof: it is empty and has no writer.
func (sc *scratch) peek(fd int) (b []byte, eof bool, err error) {
	if sc.inner.w == 0 {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
			return nil, false, os.NewSyscallError("pipe2", err)
		}
		sc.inner = logInner{fds[0], fds[1]}
		logGrow(sc.inner.w, 4*batchMax)
	}
	var n int64
	for {
		n, err = unix.Tee(fd, sc.inner.w, batchMax, unix.SPLICE_F_NONBLOCK)
		if err != unix.EINTR {
			break
		}
	}
	switch {
	case err == unix.EAGAIN:
		return nil, false, nil
	case unspliceable(err):
		return nil, false, errUnspliced
	case err != nil:
		return nil, false, os.NewSyscallError("tee", err)
	}
	b = sc.buf[maxLine : maxLine+int(n)]
	for got := 0; got < len(b); {
		k, _ := logRead(sc.inner.r, b[got:])
		if k == 0 {
			sc.inner.close()
			return nil, false, errors.New("the inner pipe lost bytes")
		}
		got += k
	}
	return b, n == 0, nil
}

// unspliceable says whether tee(2) or splice(2) failed because the kernel, the file system or a sandbox does not have it. Whatever else
// such an error means, a write to the file says it again.
func unspliceable(err error) bool {
	return err == unix.EINVAL || err == unix.ENOSYS || err == unix.EPERM || err == unix.EACCES
}

// logSplice moves the first n bytes of a pipe to the end of a file. Each byte is in one of the two at any time, see splice(2).
func logSplice(pipe int, file *os.File, n int) (done int, err error) {
	fd := int(file.Fd())
	for done < n {
		k, err := unix.Splice(pipe, nil, fd, nil, n-done, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		switch {
		case k > 0:
			done += int(k)
		case err == unix.EINTR:
		case unspliceable(err) && done == 0:
			return 0, errUnspliced
		case err == nil || err == unix.EAGAIN:
			return done, errSuperseded // somebody took the bytes
		default:
			return done, err
		}
	}
	return done, nil
}

// logPoller waits for all pipes in one epoll set, which itself is watched by the runtime's poller: no thread, no wake-up when idle.
type logPoller struct {
	fd   int
	file *os.File
}

func newLogPoller() (*logPoller, error) {
	fd, file, err := newEpoll("log pipes")
	return &logPoller{fd, file}, err
}

func (lp *logPoller) watch(fd int) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(lp.fd, unix.EPOLL_CTL_ADD, fd, &ev))
}

func (lp *logPoller) ignore(fd int) { _ = unix.EpollCtl(lp.fd, unix.EPOLL_CTL_DEL, fd, nil) }

// run calls ready for each readable pipe, in turns, until the poller is closed.
func (lp *logPoller) run(ready func(fd int, sc *scratch) bool) {
	rc, err := lp.file.SyscallConn()
	if err != nil {
		return
	}
	sc := newScratch()
	events := make([]unix.EpollEvent, 128)
	for {
		n := 0
		if err := rc.Read(func(uintptr) bool {
			n, _ = unix.EpollWait(lp.fd, events, 0)
			return n > 0
		}); err != nil {
			return
		}
		for _, ev := range events[:n] {
			for turns := 0; turns < 16 && ready(int(ev.Fd), sc); turns++ { // reading again is cheaper than asking, and the others wait not long
			}
		}
	}
}

func (lp *logPoller) close() { lp.file.Close() }
