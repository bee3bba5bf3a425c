// xinet_copy_linux.go copies between two sockets with splice(2), for all connections of all proxies in a few epoll(7) loops; it knows nothing of services.
//
// A connection that is idle costs its two descriptors and a few hundred bytes: no goroutine, no buffer, and no pipe. A pipe is taken when there is something to move, and given
// back when it is empty.

package main

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	clientEnd, backendEnd = 0, 1

	pipeSize   = 256 << 10 // bytes of a pipe, where the kernel grants them
	sparePipes = 32        // empty ones that a loop keeps
	pumpTurns  = 16        // moves of one connection before others have their turn
)

// copier copies for all proxies of a server.
type copier struct {
	connectionBound
	loops  []*copyLoop
	next   atomic.Uint32
	splice func(from, to, n int) (int, error) // splice(2); tests put a kernel without it here
}

func newCopier() (*copier, error) {
	c := &copier{connectionBound: connectionBound{limit: connectionLimit()}, splice: spliceNow}
	for range min(runtime.GOMAXPROCS(0), 8) {
		l, err := newCopyLoop(c)
		if err != nil {
			return nil, err
		}
		c.loops = append(c.loops, l)
	}
	return c, nil
}

// flow is one direction of a connection.
type flow struct {
	pipe *copyPipe // what is on its way; nil: nothing
	rest []byte    // the same, where the kernel does not splice
	held int       // bytes in pipe or rest
	eof  bool      // nothing more comes
	done bool      // … and the other side knows it
}

// wire is the sockets of a client, and what is between them. From the call of connect on it belongs to its loop, until that tells the proxy how it went.
type wire struct {
	fd         [2]int32
	loop       *copyLoop
	slot       int32
	connecting bool
	queued     bool // in ready
	ended      bool
	plain      bool // the kernel does not splice here
	readable   [2]bool
	writable   [2]bool
	flows      [2]flow // from the client, and from the backend
}

// copyPipe is a pipe(2) between the two calls of splice that a move takes.
type copyPipe struct{ r, w int }

// copyLoop serves a share of the connections on one goroutine.
type copyLoop struct {
	all  *copier
	ep   int
	file *os.File // ep, watched by the runtime's poller: no thread waits
	mu   sync.Mutex
	at   []*client // by slot
	age  []int32   // how often a slot was given away: what epoll says of an earlier owner is dropped
	free []int32

	ready []*client // have more to move, after the others
	pipes []*copyPipe
	buf   []byte // for what the kernel does not splice
}

func newCopyLoop(all *copier) (*copyLoop, error) {
	ep, file, err := newEpoll("proxied connections")
	if err != nil {
		return nil, err
	}
	l := &copyLoop{all: all, ep: ep, file: file}
	background("proxied connections", l.run)
	return l, nil
}

// init takes the socket of a client.
func (c *client) init(fd int) {
	all := c.p.copier
	c.fd, c.loop = [2]int32{int32(fd), -1}, all.loops[all.next.Add(1)%uint32(len(all.loops))]
}

// drop closes a client that waits.
func (c *client) drop() { unix.Close(int(c.fd[clientEnd])) }

// connect begins to connect to the first of the client's addresses; the proxy is told how it went.
func (c *client) connect() {
	if err := c.begin(); err != nil {
		c.p.connected(c, err)
	}
}

func (c *client) begin() error {
	to, family := c.addresses[0].sockaddr()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if family != unix.AF_UNIX {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err = unix.Connect(fd, to); err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return err
	}
	c.fd[backendEnd], c.connecting = int32(fd), true
	if err = c.loop.add(c); err != nil {
		unix.Close(fd)
	}
	return err
}

// interrupt ends the wait for a backend that does not answer.
func (c *client) interrupt() {
	l := c.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	if slot := int(c.slot); slot < len(l.at) && l.at[slot] == c && c.connecting {
		_ = unix.Shutdown(int(c.fd[backendEnd]), unix.SHUT_RDWR)
	}
}

// add begins to watch a client whose backend is being connected.
func (l *copyLoop) add(c *client) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.free) == 0 {
		l.free = append(l.free, int32(len(l.at)))
		l.at, l.age = append(l.at, nil), append(l.age, 0)
	}
	c.slot = l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	l.at[c.slot] = c
	err := l.watch(c, backendEnd)
	if err != nil {
		l.remove(c)
	}
	return err
}

// watch has each change of a socket reported once.
func (l *copyLoop) watch(c *client, end int) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: c.slot<<1 | int32(end), Pad: l.age[c.slot]}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, int(c.fd[end]), &ev))
}

// remove gives the slot of a client away. l.mu is held.
func (l *copyLoop) remove(c *client) {
	l.at[c.slot] = nil
	l.age[c.slot]++
	l.free = append(l.free, c.slot)
}

// owner is the client that an event is about, and its end; nil: it is gone.
func (l *copyLoop) owner(ev *unix.EpollEvent) (*client, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slot := ev.Fd >> 1; l.age[slot] == ev.Pad {
		return l.at[slot], int(ev.Fd & 1)
	}
	return nil, 0
}

// run handles events until the epoll instance fails.
func (l *copyLoop) run() {
	raw, err := l.file.SyscallConn()
	if err != nil {
		logf(logError, "proxies cannot copy: %v", err)
		return
	}
	events := make([]unix.EpollEvent, 256)
	for {
		n := 0
		if err := raw.Read(func(uintptr) bool {
			n, _ = unix.EpollWait(l.ep, events, 0)
			return n > 0 || len(l.ready) > 0
		}); err != nil {
			return
		}
		for i := range max(n, 0) {
			l.happened(&events[i])
		}
		ready := l.ready
		l.ready = nil
		for _, c := range ready {
			c.queued = false
			if !c.ended {
				l.pump(c)
			}
		}
	}
}

// happened takes what epoll reports.
func (l *copyLoop) happened(ev *unix.EpollEvent) {
	c, end := l.owner(ev)
	if c == nil {
		return
	}
	if c.connecting {
		l.answered(c)
		return
	}
	if ev.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.readable[end] = true
	}
	if ev.Events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.writable[end] = true
	}
	l.pump(c)
}

// answered looks how the connection to the backend went.
func (l *copyLoop) answered(c *client) {
	fd := int(c.fd[backendEnd])
	err := error(nil)
	if code, e := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); e != nil {
		err = e
	} else if code != 0 {
		err = unix.Errno(code)
	} else if _, e := syscall.Getpeername(fd); e != nil { // interrupted
		err = e
	}
	l.mu.Lock()
	c.connecting = false
	if err == nil {
		err = l.watch(c, clientEnd)
	}
	if err != nil {
		l.remove(c)
		unix.Close(fd)
		c.fd[backendEnd] = -1
		l.mu.Unlock()
		c.p.connected(c, err)
		return
	}
	l.mu.Unlock()
	c.addresses = nil
	c.p.connected(c, nil)
	c.readable[backendEnd], c.writable[backendEnd], c.writable[clientEnd] = true, true, true // or it turns out that they are not
	l.pump(c)
}

// pump moves what there is in both directions, and ends the connection when both are done.
func (l *copyLoop) pump(c *client) {
	more := false
	for from := range c.flows {
		again, err := l.move(c, from)
		if err != nil {
			l.end(c, true)
			return
		}
		more = more || again
	}
	switch {
	case c.flows[0].done && c.flows[1].done:
		l.end(c, false)
	case more && !c.queued:
		c.queued = true
		l.ready = append(l.ready, c)
	}
}

// move moves what there is in one direction. again: there may be more, but others have their turn first. An error is the end of the connection.
func (l *copyLoop) move(c *client, from int) (again bool, err error) {
	f, to := &c.flows[from], 1-from
	for range pumpTurns {
		if f.done {
			return false, nil
		}
		if f.held == 0 && !f.eof {
			if !c.readable[from] {
				return false, nil
			}
			if err := l.fill(c, from); err != nil {
				return false, err
			}
			if f.held == 0 && !f.eof {
				return false, nil
			}
		}
		if f.held == 0 {
			f.done = true
			if !c.flows[to].done { // else both are closed at once
				_ = unix.Shutdown(int(c.fd[to]), unix.SHUT_WR)
			}
			return false, nil
		}
		if !c.writable[to] {
			return false, nil
		}
		if err := l.empty(c, from); err != nil {
			return false, err
		}
	}
	return true, nil
}

// fill takes from a socket what is there.
func (l *copyLoop) fill(c *client, from int) error {
	f := &c.flows[from]
	if c.plain {
		return l.fillPlain(c, from)
	}
	if err := l.takePipe(f); err != nil {
		return err
	}
	n, err := l.all.splice(int(c.fd[from]), f.pipe.w, pipeSize)
	switch {
	case n > 0:
		f.held = n
		return nil
	case err == nil:
		f.eof = true
	case err == unix.EAGAIN:
		c.readable[from], err = false, nil
	case unspliceable(err):
		c.plain, err = true, nil
	}
	l.givePipe(f)
	if c.plain {
		return l.fillPlain(c, from)
	}
	return err
}

// empty gives to the other socket what was taken from one.
func (l *copyLoop) empty(c *client, from int) error {
	f, to := &c.flows[from], 1-from
	n, err := 0, error(nil)
	if f.pipe == nil {
		n, err = writeNow(uintptr(c.fd[to]), f.rest)
		f.rest = f.rest[max(n, 0):]
	} else {
		n, err = l.all.splice(f.pipe.r, int(c.fd[to]), f.held)
		if unspliceable(err) {
			c.plain = true
			return l.unpipe(f)
		}
	}
	if n > 0 {
		f.held -= n
		counter := &c.p.toBackend
		if from == backendEnd {
			counter = &c.p.fromBackend
		}
		counter.Add(int64(n))
	}
	if f.held == 0 {
		f.rest = nil
		l.givePipe(f)
	}
	if err == unix.EAGAIN {
		c.writable[to], err = false, nil
	}
	return err
}

// spliceNow moves up to n bytes between a socket and a pipe.
func spliceNow(from, to, n int) (int, error) {
	for {
		k, err := unix.Splice(from, nil, to, nil, n, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if err != unix.EINTR {
			return int(k), err
		}
	}
}

// fillPlain is fill where the kernel, or a sandbox, does not splice.
func (l *copyLoop) fillPlain(c *client, from int) error {
	if l.buf == nil {
		l.buf = make([]byte, 64<<10)
	}
	f := &c.flows[from]
	n, err := readNow(uintptr(c.fd[from]), l.buf)
	switch {
	case n > 0:
		f.rest, f.held = slices.Clone(l.buf[:n]), n
	case err == nil:
		f.eof = true
	case err == unix.EAGAIN:
		c.readable[from], err = false, nil
	}
	return err
}

// unpipe takes what a pipe holds out of it.
func (l *copyLoop) unpipe(f *flow) error {
	f.rest = make([]byte, f.held)
	for got := 0; got < f.held; {
		n, err := readNow(uintptr(f.pipe.r), f.rest[got:])
		if n <= 0 {
			return errors.Join(err, unix.EIO)
		}
		got += n
	}
	l.givePipe(f)
	return nil
}

func (l *copyLoop) takePipe(f *flow) error {
	if f.pipe != nil {
		return nil
	}
	if n := len(l.pipes); n > 0 {
		f.pipe = l.pipes[n-1]
		l.pipes = l.pipes[:n-1]
		return nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	logGrow(fds[1], pipeSize)
	f.pipe = &copyPipe{fds[0], fds[1]}
	return nil
}

// givePipe takes an empty pipe back; one with something in it is closed.
func (l *copyLoop) givePipe(f *flow) {
	p := f.pipe
	if p == nil {
		return
	}
	f.pipe = nil
	if f.held == 0 && len(l.pipes) < sparePipes {
		l.pipes = append(l.pipes, p)
		return
	}
	unix.Close(p.r)
	unix.Close(p.w)
}

// end closes both sockets of a connection. reset: one side broke it, and the other is to see that too.
func (l *copyLoop) end(c *client, reset bool) {
	for i := range c.flows {
		l.givePipe(&c.flows[i])
	}
	l.mu.Lock()
	l.remove(c)
	for _, fd := range c.fd {
		if reset { // socket(7): close sends RST instead of FIN; a Unix socket has no such thing
			_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		}
		unix.Close(int(fd))
	}
	l.mu.Unlock()
	c.ended = true
	c.p.forget(c)
}
