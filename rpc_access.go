// rpc_access.go decides who may do what over the control socket: everything, only read (the methods in wire_methods.go), or nothing.

//go:build !windows

package main

import "os"

// admits says whether a peer may do everything, or only read, or nothing. An abstract name has no mode that keeps others out.
func (l *controlSocket) admits(who peer) (all bool, refused *rpcError) {
	all = who.mayAll(l.gid)
	if l.file == nil {
		switch {
		case who.pid == 0:
			return false, refuse(kindPermissionDenied, "this client is in another pid namespace")
		case !all:
			return false, refuse(kindPermissionDenied, "this client is neither root, nor the server's user, nor a member of the socket's group")
		}
	}
	return all, nil
}

// mayAll says who may do everything: root, our own uid, and members of the socket's group.
func (p peer) mayAll(gid int) bool {
	if !p.known {
		return false
	}
	if p.uid == 0 || p.uid == os.Geteuid() {
		return true
	}
	for _, g := range p.groups {
		if gid >= 0 && g == gid {
			return true
		}
	}
	return false
}

// mayCall says why the client of a connection may not call a method, or nil.
func (c *rpcConn) mayCall(method string) error {
	if c.full || readsOnly(method) {
		return nil
	}
	return refuse(kindPermissionDenied, "%s: this client may only read; it needs to be root, the server's user or a member of the socket's group", method)
}
