// supervisor_stdin.go keeps our ends of the pipes that some services have as their stdin, and writes there what is sent. Nothing waits for a service to read.

//go:build !windows

package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// stdinPipe is our end of the stdin of one start. The service's end of a FIFO is open for writing too, so that it sees no end of file while no server lives.
type stdinPipe struct{ file *os.File }

// newStdin makes the stdin of one start: the end of the service, which belongs to uid and gid, and ours. The caller closes the first one when the service has it.
func (s *supervisor) newStdin(name string, gen uint64, uid, gid int) (service int, p *stdinPipe, err error) {
	var ours int
	if s.logs.fifos == "" {
		if service, ours, err = logNewPipe(uid, gid); err == nil {
			err = errors.Join(sysBlocking(service, true), sysBlocking(ours, false))
		}
	} else {
		service, ours, err = s.newStdinFifo(fifoName(name, gen, stdinStream), uid, gid)
	}
	if err != nil {
		return -1, nil, fmt.Errorf("cannot make the pipe for its stdin: %w", err)
	}
	return service, adoptStdin(ours), nil
}

// stdinStream names the FIFO of a stdin among those of the streams.
const stdinStream logStream = "stdin"

func (s *supervisor) newStdinFifo(name string, uid, gid int) (service, ours int, err error) {
	r, service, err := sysNewFifo(s.logs.fifoAt, name, uid, gid)
	if err != nil {
		return -1, -1, err
	}
	defer sysClose(r)
	if ours, err = sysWriteFifo(s.logs.fifoAt, name); err != nil {
		_ = sysClose(service)
		return -1, -1, err
	}
	return service, ours, nil
}

// adoptStdin takes over our end of a stdin; it must not block.
func adoptStdin(fd int) *stdinPipe { return &stdinPipe{os.NewFile(uintptr(fd), "stdin of a service")} }

// fds returns our end, for the keeper to hold; nil if the service has no such pipe.
func (p *stdinPipe) fds() (fds []int) {
	if p == nil {
		return nil
	}
	raw, err := p.file.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { fds = []int{int(fd)} })
	}
	return fds
}

// closeStdin gives up our end of the stdin of one start, if it has one.
func (s *supervisor) closeStdin(p *stdinPipe, name string, gen uint64) {
	if p == nil {
		return
	}
	_ = p.file.Close()
	if s.logs.fifos != "" {
		sysRemoveAt(s.logs.fifoAt, fifoName(name, gen, stdinStream))
	}
}

// write writes what the pipe takes at once, and says how many bytes that was. Up to 4096 bytes (PIPE_BUF of Linux) it takes all or nothing.
func (p *stdinPipe) write(data []byte) (n int, err error) {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	for err == nil && n < len(data) {
		var part int
		var failed error
		err = raw.Write(func(fd uintptr) bool {
			part, failed = syscall.Write(int(fd), data[n:])
			return true
		})
		n += max(part, 0)
		if err == nil && failed != syscall.EINTR {
			err = failed
		}
	}
	return n, err
}

// sendText writes a text that somebody sends to the stdin of a service.
func (l *life) sendText(name, text string) *rpcError {
	if l == nil {
		return refuse(kindServiceIsDown, "cannot send to %s: it has no process", name)
	}
	if l.stdin == nil {
		return refuse(kindInvalidState, "cannot send to %s: its stdin is lost", name)
	}
	n, err := l.stdin.write([]byte(text + "\n"))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EAGAIN) && n == 0:
		return refuse(kindInvalidState, "cannot send to %s: the pipe of its stdin is full, it does not read", name)
	case errors.Is(err, syscall.EAGAIN):
		return refuse(kindInvalidState, "only the first %d bytes were sent to %s: the pipe of its stdin is full", n, name)
	case errors.Is(err, syscall.EPIPE):
		return refuse(kindInvalidState, "cannot send to %s: it has closed its stdin", name)
	}
	return refuse(kindProcessError, "cannot send to %s: %v", name, err)
}
