// supervisor_socket.go is the control socket: how it comes to be, who may connect, and how one server hands it to the next. No client is served here.

//go:build !windows

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// controlSocket is the bound socket.
type controlSocket struct {
	path string // or "@name" in the abstract namespace of Linux
	sock *net.UnixListener
	file os.FileInfo // of the socket file as we made it; nil for an abstract name
	gid  int         // members may do everything; -1: nobody by group

	mu     sync.Mutex
	paused chan struct{} // closed when new clients are accepted again; nil: they are
}

// openTo finds the group whose members may do everything.
func (l *controlSocket) openTo(o serverOptions) error {
	l.gid = -1
	if o.socketMode&0o020 != 0 {
		l.gid = os.Getegid()
	}
	if o.socketGroup == "" {
		return nil
	}
	_, gid, _, _, err := lookupUser("", o.socketGroup)
	if err != nil {
		return fmt.Errorf("cannot open %s to group %s: %w", l.path, visible(o.socketGroup), err)
	}
	l.gid = gid
	return nil
}

// listenControl binds the control socket. A live server there is an error that names its pid, a stale socket file is replaced, and
// anything else at the path is left alone. The socket appears under its name only with its final mode and group.
func listenControl(o serverOptions) (*controlSocket, error) {
	l := &controlSocket{path: o.socket}
	if err := socketPathFits(l.path); err != nil {
		return nil, err
	}
	if err := l.openTo(o); err != nil {
		return nil, err
	}
	if strings.HasPrefix(l.path, "@") {
		return l, l.listenAbstract()
	}
	dirMode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		dirMode = 0o755
	}
	dir := filepath.Dir(l.path)
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("cannot make the directory of the control socket: %w", err)
	}
	unlock := lockDir(dir)
	defer unlock()
	if err := socketIsFree(l.path); err != nil {
		return nil, err
	}
	if err := l.listenAt(dir, o); err != nil {
		return nil, fmt.Errorf("cannot make the control socket %s: %w", l.path, err)
	}
	return l, nil
}

func (l *controlSocket) listenAbstract() (err error) {
	l.sock, err = listenUnix(l.path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	if err := socketIsFree(l.path); err != nil {
		return err
	}
	l.sock, err = listenUnix(l.path) // who had it did not listen, and may be gone
	return err
}

// listenAt binds in a new directory that nobody else may enter, sets mode and group, and moves the socket to its place.
func (l *controlSocket) listenAt(dir string, o serverOptions) error {
	private := path.Join(dir, fmt.Sprintf(".z%05x", time.Now().UnixNano()&0xfffff)) // short: the path of a socket may have 107 bytes
	err := os.Mkdir(private, 0o700)
	if err != nil {
		return err
	}
	defer os.RemoveAll(private)
	temp := path.Join(private, "s")
	bind := temp
	if len(bind) > maxSocketPath { // where the name itself fits
		d, err := os.Open(private)
		if err != nil {
			return err
		}
		defer d.Close()
		bind = fmt.Sprintf("/proc/self/fd/%d/s", d.Fd())
	}
	if l.sock, err = listenUnix(bind); err != nil {
		return err
	}
	err = os.Chmod(temp, o.socketMode)
	if err == nil && o.socketGroup != "" {
		err = os.Lchown(temp, -1, l.gid)
	}
	if err == nil {
		l.file, err = os.Lstat(temp)
	}
	if err == nil {
		err = os.Rename(temp, l.path)
	}
	if err != nil {
		l.sock.Close()
	}
	return err
}

// listenUnix listens at a path that does not exist, or at an abstract name. Closing it leaves the path: other descriptors may listen there too.
func listenUnix(path string) (*net.UnixListener, error) {
	sock, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		sock.SetUnlinkOnClose(false)
	}
	return sock, err
}

// socketIsFree says why path cannot be taken, or nil: nothing is there, or a socket that nobody listens on.
func socketIsFree(path string) error {
	if !strings.HasPrefix(path, "@") {
		info, err := os.Lstat(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot look at %s: %w", path, err)
		}
		if info.Mode().Type() != os.ModeSocket {
			return fmt.Errorf("%s exists and is no socket; it is left alone: move it away, or choose another --socket", path)
		}
	}
	for due := time.Now().Add(dyingTime); ; {
		conn, err := dialUnix(path, dyingTime)
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s is in use, or not ours: %w", path, err)
		}
		pid := peerOf(conn).pid
		if pid > 0 && errors.Is(sysKill(pid, 0), syscall.ESRCH) {
			conn.Close()
			return nil // its server has died; a child that it was just starting holds the socket until it executes
		}
		if hangsUp(conn, due) {
			continue
		}
		if pid > 0 {
			return fmt.Errorf("a server is live at %s: pid %d; stop it, or choose another --socket", path, pid)
		}
		return fmt.Errorf("a server is live at %s; stop it, or choose another --socket", path)
	}
}

// dyingTime is how long a server that was killed may take to give up its socket.
const dyingTime = 2 * time.Second

// hangsUp says whether the listening process goes away before due without an answer. For a moment after a kill -9 the kernel still takes clients in for a process that
// will answer none; then it breaks their connections. It closes the connection.
func hangsUp(conn *net.UnixConn, due time.Time) bool {
	defer conn.Close()
	conn.SetDeadline(due)
	_, err := conn.Write([]byte(`{"jsonrpc":"2.0","id":1,"method":"system.ping"}` + "\n"))
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// close stops listening and removes the socket file, but only while it is still ours.
func (l *controlSocket) close() {
	l.sock.Close()
	if l.file == nil {
		return
	}
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.file) {
		os.Remove(l.path)
	}
}

// key is the name under which the socket is handed on: behind socketKey stand the identity of the file and the path.
func (l *controlSocket) key() string { return socketKey + socketID(l.path) + " " + l.path }

// socketID identifies the file of a socket; "-" is an abstract name, "" no file.
func socketID(path string) string {
	if strings.HasPrefix(path, "@") {
		return "-"
	}
	return sysFileID(path)
}

// descriptor is another descriptor of the socket, to be handed on.
func (l *controlSocket) descriptor() (fd int, err error) {
	raw, err := l.sock.SyscallConn()
	if err != nil {
		return -1, err
	}
	if e := raw.Control(func(own uintptr) { fd, err = sysDup(int(own)) }); e != nil {
		return -1, e
	}
	return fd, err
}

// takeControl goes on with a socket that was handed on, unless its file is gone or another socket is wanted. It owns fd.
func takeControl(o serverOptions, key string, fd int) (*controlSocket, error) {
	file := os.NewFile(uintptr(fd), "control socket")
	if file == nil {
		return nil, errors.New("there is no descriptor")
	}
	defer file.Close()
	id, path, _ := strings.Cut(strings.TrimPrefix(key, socketKey), " ")
	if o.socketSet && path != o.socket {
		return nil, fmt.Errorf("%s is to be used, not %s", o.socket, path)
	}
	if now := socketID(path); id != now || now == "" {
		return nil, fmt.Errorf("the file %s is gone", path)
	}
	l := &controlSocket{path: path}
	if err := l.openTo(o); err != nil {
		return nil, err
	}
	if err := sysListenAgain(fd); err != nil {
		return nil, err
	}
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	l.sock, _ = listener.(*net.UnixListener)
	if l.sock == nil {
		listener.Close()
		return nil, errors.New("it is no such socket")
	}
	l.sock.SetUnlinkOnClose(false)
	if id != "-" {
		l.file, err = os.Lstat(path)
	}
	return l, err
}

// pause leaves new clients in the queue until goOn: this server is about to be replaced.
func (l *controlSocket) pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused == nil {
		l.paused = make(chan struct{})
		_ = l.sock.SetDeadline(time.Unix(1, 0))
	}
}

func (l *controlSocket) goOn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused != nil {
		_ = l.sock.SetDeadline(time.Time{})
		close(l.paused)
		l.paused = nil
	}
}

// waitPaused returns when goOn was called.
func (l *controlSocket) waitPaused() {
	l.mu.Lock()
	paused := l.paused
	l.mu.Unlock()
	if paused != nil {
		<-paused
	}
}
