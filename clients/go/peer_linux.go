package zinit

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// refuseStranger refuses a server that is neither root's nor our own: anybody can make a socket in /tmp, or an abstract one.
func refuseStranger(sock net.Conn, path string) error {
	raw, err := sock.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	var peer *syscall.Ucred
	if e := raw.Control(func(fd uintptr) {
		peer, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); e != nil {
		return e
	}
	if err != nil {
		return err
	}
	if peer.Uid != 0 && int(peer.Uid) != os.Geteuid() || path[0] == '@' && peer.Pid == 0 {
		return fmt.Errorf("the server belongs to user %d, or is in another container; name the socket if you trust it", peer.Uid)
	}
	return nil
}
