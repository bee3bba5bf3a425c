// sys_peer.go connects to a Unix socket and says who is at the other end, as every system tells it.

package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// peer is who is at the other end, as the kernel tells.
type peer struct {
	known    bool
	pid, uid int
	groups   []int // all of them, the primary one first
}

// user is whose limits count for the peer.
func (p peer) user() int {
	if !p.known {
		return -1
	}
	return p.uid
}

const unixRetry = 10 * time.Millisecond // pace of the tries while the queue of a Unix socket is full

// maxSocketPath is how many bytes the path of a socket may have (unix(7)).
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// socketPathFits says why a path is too long for a socket, or nil.
func socketPathFits(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("the path of the socket has %d bytes, and a socket may have %d at most (unix(7)): choose a shorter one; it is %s", len(path), maxSocketPath, path)
	}
	return nil
}

// dialUnix connects to the socket at a path, or on Linux to "@name" in the abstract namespace. While the server's queue of new connections
// is full (EAGAIN) it tries again until the timeout.
func dialUnix(path string, timeout time.Duration) (*net.UnixConn, error) {
	if path == "" {
		return nil, errors.New("the path of the socket is empty")
	}
	if err := socketPathFits(path); err != nil {
		return nil, err
	}
	for due := time.Now().Add(timeout); ; time.Sleep(unixRetry) {
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		if !errors.Is(err, syscall.EAGAIN) || time.Until(due) < unixRetry {
			return conn, err
		}
	}
}
