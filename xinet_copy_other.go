// xinet_copy_other.go copies between two sockets where there is no splice(2): with two goroutines for each connection.

//go:build !linux && !windows

package main

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// copier copies for all proxies of a server.
type copier struct{ connectionBound }

func newCopier() (*copier, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, os.NewSyscallError("getrlimit", err)
	}
	return &copier{connectionBound{limit: max(1, int64(min(limit.Cur, 1<<30))*3/8)}}, nil // two descriptors each, and a quarter for others
}

// wire is the sockets of a client.
type wire struct {
	fd      int
	mu      sync.Mutex
	backend int // being connected; 0: none
}

// init takes the socket of a client.
func (c *client) init(fd int) { c.fd = fd }

// drop closes a client that waits.
func (c *client) drop() { unix.Close(c.fd) }

// connect begins to connect to the first of the client's addresses; the proxy is told how it went.
func (c *client) connect() {
	end := c.addresses[0]
	background("proxied connection", func() {
		fd, err := c.dial(end)
		if err != nil {
			c.p.connected(c, err)
			return
		}
		ends := [2]net.Conn{}
		for i, fd := range []int{c.fd, fd} {
			file := os.NewFile(uintptr(fd), "proxied connection")
			conn, e := net.FileConn(file)
			file.Close()
			if ends[i] = conn; e != nil {
				err = e
			}
		}
		c.p.connected(c, nil)
		if err == nil {
			c.copyBoth(ends)
		}
		for _, conn := range ends {
			if conn != nil {
				conn.Close()
			}
		}
		c.p.forget(c)
	})
}

// dial connects, and can be interrupted.
func (c *client) dial(end endpoint) (int, error) {
	to, family := end.sockaddr()
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, err
	}
	c.mu.Lock()
	c.backend = fd
	c.mu.Unlock()
	err = unix.Connect(fd, to)
	c.mu.Lock()
	c.backend = 0
	c.mu.Unlock()
	if err != nil {
		unix.Close(fd)
	}
	return fd, err
}

// interrupt ends the wait for a backend that does not answer.
func (c *client) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.backend != 0 {
		_ = unix.Shutdown(c.backend, unix.SHUT_RDWR)
	}
}

// copyBoth copies until both directions are done. A connection that one side broke is broken for the other.
func (c *client) copyBoth(ends [2]net.Conn) {
	var both sync.WaitGroup
	for from, counter := range []*atomic.Int64{&c.p.toBackend, &c.p.fromBackend} {
		both.Add(1)
		background("proxied connection", func() {
			defer both.Done()
			to := ends[1-from]
			_, err := io.Copy(countedWriter{to, counter}, ends[from])
			if err == nil {
				err = to.(interface{ CloseWrite() error }).CloseWrite()
			}
			if err == nil {
				return
			}
			for _, conn := range ends {
				if tcp, is := conn.(*net.TCPConn); is {
					_ = tcp.SetLinger(0)
				}
				conn.Close()
			}
		})
	}
	both.Wait()
}

// countedWriter counts what goes through.
type countedWriter struct {
	io.Writer
	n *atomic.Int64
}

func (w countedWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	w.n.Add(int64(n))
	return n, err
}

// watchedFile is what the runtime's poller watches for a listener: the socket, which has no other mode than non-blocking then.
func watchedFile(l *listener) (*os.File, error) {
	if !l.pass {
		return os.NewFile(uintptr(l.fd), l.address), nil
	}
	fd, err := sysDup(l.fd)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	return os.NewFile(uintptr(fd), l.address), err
}

// acceptNow takes a client that is there.
func acceptNow(fd int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	n, _, err := unix.Accept(fd)
	if err == nil {
		unix.CloseOnExec(n)
	}
	return n, err
}

// tuneListener sets what accepted TCP sockets inherit.
func tuneListener(fd int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
}
