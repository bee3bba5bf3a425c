// rpc_listen_linux_test.go tests how the control socket comes into being and is handed on, with what only Linux has.

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSocketIsNeverOpenTooWide: the socket comes to its directory with its mode and group, whatever the umask; until then nobody else can reach it.
func TestSocketIsNeverOpenTooWide(t *testing.T) {
	dir := t.TempDir()
	watch, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(watch)
	if _, err := syscall.InotifyAddWatch(watch, dir, syscall.IN_ALL_EVENTS); err != nil {
		t.Fatal(err)
	}
	defer syscall.Umask(syscall.Umask(0))
	l, err := listenControl(serverOptions{socket: filepath.Join(dir, "s"), socketMode: 0o660, socketGroup: fmt.Sprint(os.Getegid())})
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if info, err := os.Lstat(l.path); err != nil || info.Mode() != os.ModeSocket|0o660 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	buf := make([]byte, 64<<10)
	n, err := syscall.Read(watch, buf)
	if err != nil {
		t.Fatal(err)
	}
	came := false
	for buf = buf[:n]; len(buf) > 0; {
		mask, size := binary.NativeEndian.Uint32(buf[4:]), binary.NativeEndian.Uint32(buf[12:])
		name := strings.TrimRight(string(buf[16:16+size]), "\x00")
		buf = buf[16+size:]
		switch {
		case mask&syscall.IN_ISDIR != 0:
		case name == "s" && mask == syscall.IN_MOVED_TO:
			came = true
		default:
			t.Errorf("%q was in the directory before it was complete (event %#x)", name, mask)
		}
	}
	if !came {
		t.Error("the socket was not moved to its place")
	}
}

// TestListenerIsHandedOn: whoever gets the descriptor goes on listening, at the same path, when the first listener is closed.
func TestListenerIsHandedOn(t *testing.T) {
	l, err := listenControl(serverOptions{socket: filepath.Join(t.TempDir(), "s"), socketMode: 0o600})
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.sock.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l.sock.Close()
	conn, err := dialUnix(l.path, patience)
	if err != nil {
		t.Fatalf("nobody listens any more: %v", err)
	}
	defer conn.Close()
	second, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	server, err := second.Accept()
	if err != nil {
		t.Fatalf("who connected in between is lost: %v", err)
	}
	server.Close()
}

// TestSocketOfADyingServer: a kill -9 has returned, but the kernel still takes clients in for the old server. The next one waits until that is over.
func TestSocketOfADyingServer(t *testing.T) {
	for _, path := range []string{filepath.Join(shortDir(t), "s"), fmt.Sprintf("@zinit-dying-%d", os.Getpid())} {
		old, err := listenControl(serverOptions{socket: path})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := old.sock.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		dead := make(chan error, 1)
		go func() { // dies with a client in its queue, without having accepted it
			err := raw.Control(func(fd uintptr) {
				for n := 0; n == 0; {
					n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
				}
			})
			old.sock.Close()
			dead <- err
		}()
		next, err := listenControl(serverOptions{socket: path})
		if err != nil {
			old.sock.Close()
			t.Fatalf("%s of a server that is dying: %v", path, err)
		}
		next.close()
		if err := <-dead; err != nil {
			t.Error(err)
		}
	}
}

// TestAbstractNameIsTakenOrFree: there is no success without a socket, also when the name belongs to one that does not listen.
func TestAbstractNameIsTakenOrFree(t *testing.T) {
	name := fmt.Sprintf("@zinit-test-%d", os.Getpid())
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: name}); err != nil {
		t.Fatal(err)
	}
	l, err := listenControl(serverOptions{socket: name})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("the name of another: %+v, %v", l, err)
	}
	syscall.Close(fd)
	if l, err = listenControl(serverOptions{socket: name}); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if _, err := listenControl(serverOptions{socket: name}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("pid %d", os.Getpid())) {
		t.Errorf("a second server: %v", err)
	}
}

func TestRow54_AcceptWithoutDescriptors(t *testing.T) {
	l, err := listenUnix(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := dialUnix(l.Addr().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	runtime.GC() // what earlier tests forgot to close is closed now, and not when there must be no room
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	next, err := syscall.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(next)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(next), Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	_, err = l.AcceptUnix()
	if back := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); back != nil {
		t.Fatal(back)
	}
	if !errors.Is(err, syscall.EMFILE) {
		t.Errorf("without descriptors: %v, want EMFILE", err)
	}
	server, err := l.AcceptUnix()
	if err != nil {
		t.Fatalf("the connection is lost: %v", err)
	}
	server.Close()
}

// TestAbstractNameRefusesAnotherUser asks as another user, over a real socket.
func TestAbstractNameRefusesAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		skip(t, "needs root")
	}
	d := newTestDoor(t)
	opts := d.s.opts
	opts.socket = fmt.Sprintf("@zinit-test-%d", os.Getpid())
	l, err := listenControl(opts)
	if err != nil {
		t.Fatal(err)
	}
	r := serveRPC(d.s, l)
	defer r.close()
	ask := func() (string, error) {
		conn, err := net.Dial("unix", opts.socket)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		io.WriteString(conn, `{"jsonrpc":"2.0","id":1,"method":"service.list"}`+"\n")
		conn.(*net.UnixConn).CloseWrite()
		answer, _ := io.ReadAll(conn)
		return string(answer), nil
	}
	if got, err := ask(); err != nil || !strings.Contains(got, `"result":[]`) {
		t.Errorf("root got %s, %v", got, err)
	}
	type result struct {
		text string
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its user
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			done <- result{err: errno}
			return
		}
		text, err := ask()
		done <- result{text, err}
	}()
	if got := <-done; got.err != nil || !strings.Contains(got.text, "-32013") || strings.Contains(got.text, "result") {
		t.Errorf("another user got %s, %v", got.text, got.err)
	}
}
