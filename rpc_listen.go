// rpc_listen.go hands the control socket from one server to the next, so that it never goes away: clients wait in its queue meanwhile.

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// key is the name under which the socket is handed on: behind socketKey stand the identity of the file and the path.
func (l *rpcListener) key() string { return socketKey + socketID(l.path) + " " + l.path }

// socketID identifies the file of a socket; "-" is an abstract name, "" no file.
func socketID(path string) string {
	if strings.HasPrefix(path, "@") {
		return "-"
	}
	return sysFileID(path)
}

// descriptor is another descriptor of the socket, to be handed on.
func (l *rpcListener) descriptor() (fd int, err error) {
	raw, err := l.sock.SyscallConn()
	if err != nil {
		return -1, err
	}
	if e := raw.Control(func(own uintptr) { fd, err = sysDup(int(own)) }); e != nil {
		return -1, e
	}
	return fd, err
}

// takeRPC goes on with a socket that was handed on, unless its file is gone or another socket is wanted. It owns fd.
func takeRPC(o serverOptions, key string, fd int) (*rpcListener, error) {
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
	l := &rpcListener{path: path}
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
func (l *rpcListener) pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused == nil {
		l.paused = make(chan struct{})
		_ = l.sock.SetDeadline(time.Unix(1, 0))
	}
}

func (l *rpcListener) goOn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused != nil {
		_ = l.sock.SetDeadline(time.Time{})
		close(l.paused)
		l.paused = nil
	}
}

// waitPaused returns when goOn was called.
func (l *rpcListener) waitPaused() {
	l.mu.Lock()
	paused := l.paused
	l.mu.Unlock()
	if paused != nil {
		<-paused
	}
}
