// xinet_listen.go opens the sockets of proxies, takes over those of an earlier server, and finds the addresses of backends; it accepts nobody by itself.

//go:build !windows

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// listener is one listening socket of a proxy.
type listener struct {
	address string // as it is written
	fd      int    // the socket
	path    string // what it is bound to: the path of a Unix socket, or …
	port    int    // … a TCP port
	pass    bool   // it is for the service to accept on, in the mode (O_NONBLOCK) that it wants: not ours to change
	file    *os.File
	raw     syscall.RawConn
	socket  os.FileInfo // the file of a Unix socket; nil: none
	used    bool        // by a goroutine that accepts or watches
	closed  atomic.Bool
}

// splitAddress is the network and address of what validAddress allows.
func splitAddress(s string) (network, address string) {
	if path := strings.TrimPrefix(s, "unix:"); strings.HasPrefix(path, "/") {
		return "unix", path
	}
	return "tcp", strings.TrimPrefix(s, "tcp:")
}

// bindAddresses are the addresses that one `listen` means: `localhost` is 127.0.0.1, and ::1 where there is one.
func bindAddresses(s string) (network string, addresses []string, optional int) {
	network, address := splitAddress(s)
	if network == "unix" {
		return network, []string{address}, 0
	}
	host, port, err := net.SplitHostPort(address)
	if err == nil && strings.EqualFold(host, "localhost") {
		return network, []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}, 1
	}
	return network, []string{address}, 0
}

// openListeners listens at what one element of `listen` means; pass: for the service to accept. Nothing is open when it returns an error. It may wait for a look-up or a
// file system.
func openListeners(s string, pass bool) (list []*listener, err error) {
	network, addresses, optional := bindAddresses(s)
	for i, address := range addresses {
		l, err := openListener(s, network, address, pass)
		if err != nil && i >= len(addresses)-optional && !errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			closeListeners(list)
			return nil, fmt.Errorf("cannot listen on %s: %w", s, errnoOf(err))
		}
		list = append(list, l)
	}
	return list, nil
}

func closeListeners(list []*listener) {
	for _, l := range list {
		l.close()
	}
}

func openListener(s, network, address string, pass bool) (*listener, error) {
	if network == "unix" {
		if err := makeWay(address); err != nil {
			return nil, err
		}
	}
	sock, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	defer sock.Close()
	var file *os.File
	switch sock := sock.(type) {
	case *net.UnixListener:
		sock.SetUnlinkOnClose(false)
		if err = os.Chmod(address, 0o666); err == nil { // as systemd's sockets: the directory says who may come near
			file, err = sock.File()
		}
	case *net.TCPListener:
		file, err = sock.File()
	}
	if err != nil {
		return nil, err
	}
	fd := int(file.Fd())
	copied, err := sysDup(fd)
	file.Close()
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(copied, false); err != nil {
		_ = sysClose(copied)
		return nil, err
	}
	return takeListener(s, copied, pass)
}

// takeListener goes on with a socket that listens. It owns fd.
func takeListener(s string, fd int, pass bool) (*listener, error) {
	l := &listener{address: s, fd: fd, pass: pass}
	err := unix.Listen(fd, 1<<16-1)
	if err == nil {
		err = l.find()
	}
	if err == nil && !pass {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		_ = sysClose(fd)
		return nil, err
	}
	if l.file, err = watchedFile(l); err != nil {
		_ = sysClose(fd)
		return nil, err
	}
	if l.raw, err = l.file.SyscallConn(); err == nil {
		err = l.file.SetReadDeadline(time.Time{}) // the poller could not take it
	}
	if err != nil {
		l.shut()
		return nil, err
	}
	return l, nil
}

// find fills in what the socket is bound to.
func (l *listener) find() error {
	at, err := syscall.Getsockname(l.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	switch at := at.(type) {
	case *syscall.SockaddrUnix:
		l.path = at.Name
		l.socket, err = os.Lstat(l.path)
		return err
	case *syscall.SockaddrInet4:
		l.port = at.Port
	case *syscall.SockaddrInet6:
		l.port = at.Port
	}
	tuneListener(l.fd)
	return nil
}

// shut closes what is ours of the socket.
func (l *listener) shut() {
	l.file.Close()
	if l.pass {
		_ = sysClose(l.fd) // else it is that of file
	}
}

// makeWay makes the directory of a Unix socket, and removes a socket at its path on which nobody listens.
func makeWay(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return nil // bind says what is wrong, if anything
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return syscall.EADDRINUSE
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return err
}

// close stops listening. The file of a Unix socket goes too, if it is still this one.
func (l *listener) close() {
	if l.closed.Swap(true) {
		return
	}
	if l.socket != nil {
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.socket) {
			_ = os.Remove(l.path)
		}
	}
	l.shut()
}

// renewed returns a new listener for the same socket in another mode, or nil if that fails. The old one is closed, and its goroutine ends.
func (l *listener) renewed(pass bool) *listener {
	fd, err := l.descriptor()
	if err != nil {
		return nil
	}
	l.closed.Store(true)
	l.shut()
	_ = unix.SetNonblock(fd, false)
	n, err := takeListener(l.address, fd, pass)
	if err != nil {
		return nil
	}
	return n
}

// pause leaves new clients in the queue of the kernel until goOn.
func (l *listener) pause() { _ = l.file.SetReadDeadline(time.Unix(1, 0)) }
func (l *listener) goOn()  { _ = l.file.SetReadDeadline(time.Time{}) }

// descriptor is another descriptor of the socket, to be handed on.
func (l *listener) descriptor() (fd int, err error) {
	if e := l.raw.Control(func(uintptr) { fd, err = sysDup(l.fd) }); e != nil { // it is not closed meanwhile
		return -1, e
	}
	return fd, err
}

// lend is a descriptor for the service, in the mode in which systemd hands sockets out (blocking).
func (l *listener) lend() (int, error) {
	fd, err := l.descriptor()
	if err == nil {
		err = unix.SetNonblock(fd, false)
	}
	return fd, err
}

// wait returns when a client is there, or the socket is paused; false: it is closed.
func (l *listener) wait() bool {
	err := l.raw.Read(func(fd uintptr) bool { return sysReadable(int(fd)) })
	return err == nil || l.paused(err)
}

// paused waits out a pause; false: err is no pause, but the end.
func (l *listener) paused(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || l.closed.Load() {
		return false
	}
	time.Sleep(acceptPause)
	return !l.closed.Load()
}

// readable says whether a client waits to be accepted.
func (l *listener) readable() (is bool) {
	_ = l.raw.Control(func(fd uintptr) { is = sysReadable(int(fd)) })
	return is
}

// accept takes the next client; wait: it waits for one. The descriptor is non-blocking.
func (l *listener) accept(wait bool) (fd int, err error) {
	for {
		e := l.raw.Read(func(own uintptr) bool {
			fd, err = acceptNow(int(own))
			return !wait || err != syscall.EAGAIN
		})
		switch {
		case e == nil:
			return fd, err
		case !l.paused(e):
			return -1, e
		}
	}
}

// isNobody says that an error of accept(2) is about one client only, or that there is none.
func isNobody(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.EINTR) || errors.Is(err, syscall.EPROTO) || errors.Is(err, syscall.EPERM)
}

// backend is where a service listens.
type backend struct {
	text  string
	known []endpoint // what its address means without a look-up
	host  string     // else what is to be looked up, and …
	port  int
}

// newBackend takes what validAddress allows, or "" for none.
func newBackend(s string) *backend {
	b := &backend{text: s}
	network, address := splitAddress(s)
	if network == "unix" {
		b.known = []endpoint{{path: address}}
		return b
	}
	host, port, _ := net.SplitHostPort(address)
	b.port, _ = strconv.Atoi(port)
	if ip, err := netip.ParseAddr(host); err == nil {
		b.known = []endpoint{endpointOf(ip, b.port)}
	} else if host == "" || strings.EqualFold(host, "localhost") {
		b.known = []endpoint{endpointOf(netip.AddrFrom4([4]byte{127, 0, 0, 1}), b.port), endpointOf(netip.IPv6Loopback(), b.port)}
	} else {
		b.host = host
	}
	return b
}

// resolveTime bounds a look-up.
const resolveTime = 5 * time.Second

// resolve gives the addresses, after a look-up where that is needed.
func (b *backend) resolve() ([]endpoint, error) {
	if b.host == "" {
		return b.known, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTime)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", b.host)
	if err != nil {
		return nil, fmt.Errorf("cannot find the address of %s: %w", b.host, err)
	}
	var list []endpoint
	for _, ip := range ips {
		list = append(list, endpointOf(ip, b.port))
	}
	return list, nil
}

// endpoint is one address to connect to: the path of a Unix socket, or an IP address and port.
type endpoint struct {
	path string
	ip   netip.AddrPort
}

func endpointOf(ip netip.Addr, port int) endpoint {
	return endpoint{ip: netip.AddrPortFrom(ip.Unmap(), uint16(port))}
}

// sockaddr is the endpoint for connect(2), and its family. It is made anew each time, since the call writes in it.
func (e endpoint) sockaddr() (unix.Sockaddr, int) {
	ip, port := e.ip.Addr(), int(e.ip.Port())
	switch {
	case e.path != "":
		return &unix.SockaddrUnix{Name: e.path}, unix.AF_UNIX
	case ip.Is4():
		return &unix.SockaddrInet4{Port: port, Addr: ip.As4()}, unix.AF_INET
	}
	a := &unix.SockaddrInet6{Port: port, Addr: ip.As16()}
	if ip.Zone() != "" {
		if zone, err := net.InterfaceByName(ip.Zone()); err == nil {
			a.ZoneId = uint32(zone.Index)
		}
	}
	return a, unix.AF_INET6
}
