// rpc_listen_test.go tests the control socket: what may be at its path, and a server without descriptors.

//go:build unix

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRow33_SocketPath(t *testing.T) {
	d := newTestDoor(t)
	opts := d.s.opts
	info, err := os.Lstat(d.l.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the socket: %v, %v", info.Mode(), err)
	}
	if _, err := listenControl(opts); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("pid %d", os.Getpid())) {
		t.Errorf("a second server: %v, want a refusal that names pid %d", err, os.Getpid())
	}
	for what, place := range map[string]func(path string) error{
		"file":      func(p string) error { return os.WriteFile(p, []byte("mine"), 0o600) },
		"directory": func(p string) error { return os.Mkdir(p, 0o700) },
		"symlink":   func(p string) error { return os.Symlink(d.l.path, p) },
	} {
		opts.socket = filepath.Join(d.dir, what)
		if err := place(opts.socket); err != nil {
			t.Fatal(err)
		}
		if _, err := listenControl(opts); err == nil || !strings.Contains(err.Error(), "left alone") {
			t.Errorf("a %s at the path: %v", what, err)
		}
		if _, err := os.Lstat(opts.socket); err != nil {
			t.Errorf("the %s is gone: %v", what, err)
		}
	}
	for length, works := range map[int]bool{maxSocketPath: true, maxSocketPath + 1: false} {
		opts.socket = filepath.Join(d.dir, strings.Repeat("x", length-len(d.dir)-3), "s")
		l, err := listenControl(opts)
		if (err == nil) != works || !works && !strings.Contains(err.Error(), fmt.Sprintf("has %d bytes, and a socket may have %d at most", length, maxSocketPath)) {
			t.Errorf("a path of %d bytes: %v", length, err)
		}
		if err == nil {
			conn, err := dialUnix(opts.socket, patience)
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
			l.close()
		}
	}
	opts.socket, opts.socketMode, opts.socketGroup = filepath.Join(d.dir, "new/deep/stale"), 0o660, fmt.Sprint(os.Getegid())
	first, err := listenControl(opts)
	if err != nil {
		t.Fatal(err)
	}
	first.sock.Close() // as if it had been killed: the file stays
	second, err := listenControl(opts)
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	if info, _ := os.Lstat(opts.socket); info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v", info.Mode())
	}
	first.close()
	if _, err := os.Lstat(opts.socket); err != nil {
		t.Error("the first server removed the socket of the second")
	}
	second.close()
	if left, _ := os.ReadDir(filepath.Dir(opts.socket)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRow54_NoDescriptors(t *testing.T) {
	d := newTestDoor(t)
	opts := d.s.opts
	opts.socket = filepath.Join(d.dir, "other")
	l, err := listenControl(opts)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	r := newRPC(d.s)
	r.l = l
	r.reserve, _ = os.Open(os.DevNull)
	conn, err := net.Dial("unix", opts.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r.turnAway()
	got, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(got), "no file descriptors left") {
		t.Errorf("the client got %q, %v", got, err)
	}
	if r.reserve == nil {
		t.Error("the reserve was not taken again")
	}
}
