// rpc_listen.go accepts clients on the control socket, and refuses them when descriptors are short. Who may do what is in rpc_access.go; no request is read here.

//go:build !windows

package main

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

func (r *rpcServer) accept() {
	for {
		sock, err := r.l.sock.AcceptUnix()
		switch {
		case err == nil:
			r.admit(sock)
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			r.l.waitPaused()
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
			r.turnAway()
		default:
			logf(logWarn, "control socket: %v", err)
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// turnAway answers one client although no descriptor is left: it gives up the reserve for as long as that takes.
func (r *rpcServer) turnAway() {
	if r.reserve == nil {
		time.Sleep(50 * time.Millisecond)
	} else {
		r.reserve.Close()
	}
	r.l.sock.SetDeadline(time.Now().Add(100 * time.Millisecond))
	if sock, err := r.l.sock.AcceptUnix(); err == nil {
		refuseConn(sock, refuse(kindInternalError, "the server has no file descriptors left; try again later"))
	}
	r.l.sock.SetDeadline(time.Time{})
	r.reserve, _ = os.Open(os.DevNull)
}

func refuseConn(sock *net.UnixConn, why *rpcError) {
	sock.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	sock.Write(append(appendFailure(nil, nil, why), '\n'))
	sock.Close()
}

// admit looks at who connected.
func (r *rpcServer) admit(sock *net.UnixConn) {
	who := peerOf(sock)
	all, refused := r.l.admits(who)
	if refused != nil {
		refuseConn(sock, refused)
		return
	}
	r.begin(sock, who.user(), all)
}
