// health_test.go tries each kind of check against real servers: quick, slow, hung and wrong ones.

//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serve accepts connections on address and gives each, after the request's head was read, to answer.
func serveConn(t *testing.T, network, address string, answer func(request string, c net.Conn)) net.Addr {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		skip(t, "cannot listen on "+address+": "+err.Error())
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var head strings.Builder
				for r := bufio.NewReader(c); ; {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					head.WriteString(line)
					if line == "\r\n" {
						break
					}
				}
				answer(head.String(), c)
			}()
		}
	}()
	return l.Addr()
}

func httpCheck(target string, timeout time.Duration) error {
	return check(&healthDef{Type: "http", Target: target, Timeout: timeout}, nil)
}

func TestCheckHTTPStatus(t *testing.T) {
	for _, c := range []struct{ answer, want string }{
		{"HTTP/1.1 200 OK\r\n\r\n", ""},
		{"HTTP/1.0 204 No Content\r\n\r\n", ""},
		{"HTTP/1.1 200\n\n", ""},
		{"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", ""},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", ""},
		{"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 500 No\r\n\r\n", "status 500 No"},
		{"HTTP/1.1 404 Not Found\r\n\r\n", "status 404 Not Found"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n" + strings.Repeat("x", 2*httpLimit), ""}, // the body is not read
		{"HTTP/1.1 301 Moved\r\nLocation: https://no.such.host/\r\nContent-Length: 99999999999\r\n\r\n", ""},
		{"HTTP/2 200\r\n\r\n", `the answer is not HTTP: "HTTP/2 200\r\n"`},
		{"HTTP/1.1 -20 OK\r\n\r\n", `the answer is not HTTP: "HTTP/1.1 -20 OK\r\n"`},
		{"HTTP/1.1  200 OK\r\n\r\n", `the answer is not HTTP: "HTTP/1.1  200 OK\r\n"`},
		{"HTTP/1.1 099 Odd\r\n\r\n", `the answer is not HTTP: "HTTP/1.1 099 Odd\r\n"`},
		{"HTTP/1.1 600 Odd\r\n\r\n", "status 600 Odd"},
		{"200 OK\r\n\r\n", `the answer is not HTTP: "200 OK\r\n"`},
		{"\r\n\r\n", `the answer is not HTTP: "\r\n"`},
		{"HTTP/1.1 503 Service Unavailable\r\n\r\n", "status 503 Service Unavailable"},
		{"", "the connection ended before the answer"},
		{"HTTP/1.1 100 Continue\r\n\r\n", "the connection ended before the answer"},
		{"HTTP/1.1 2000 OK\r\n\r\n", `the answer is not HTTP: "HTTP/1.1 2000 OK\r\n"`},
		{"SSH-2.0-OpenSSH\r\n", `the answer is not HTTP: "SSH-2.0-OpenSSH\r\n"`},
		{strings.Repeat("x", 2*httpLimit), "the connection ended before the answer"},
		{"HTTP/1.1 100 X\r\n" + strings.Repeat("A: b\r\n", httpLimit/4), "the connection ended before the answer"},
	} {
		addr := serveConn(t, "tcp", "127.0.0.1:0", func(_ string, conn net.Conn) { fmt.Fprint(conn, c.answer) })
		url := "http://" + addr.String() + "/"
		err := httpCheck(url, patience)
		got := ""
		if err != nil {
			got = strings.TrimPrefix(err.Error(), url+": ")
		}
		if got != c.want && !(len(c.answer) > httpLimit && strings.Contains(got, "connection")) {
			t.Errorf("answer %.60q: got %q, want %q", c.answer, got, c.want)
		}
	}
}

func TestCheckHTTPRequest(t *testing.T) {
	requests := make(chan string, 1)
	for _, c := range []struct{ listen, host, path, wantLine string }{
		{"127.0.0.1:0", "127.0.0.1", "/health?full=1#frag", "GET /health?full=1 HTTP/1.1"},
		{"127.0.0.1:0", "localhost", "", "GET / HTTP/1.1"},
		{"[::1]:0", "[::1]", "/v6", "GET /v6 HTTP/1.1"},
		{"[::1]:0", "localhost", "?q", "GET /?q HTTP/1.1"},
	} {
		addr := serveConn(t, "tcp", c.listen, func(request string, conn net.Conn) {
			requests <- request
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n\r\n")
		})
		host := fmt.Sprintf("%s:%d", c.host, addr.(*net.TCPAddr).Port)
		if err := httpCheck("http://"+host+c.path, patience); err != nil {
			t.Error(err)
			continue
		}
		request := <-requests
		if !strings.HasPrefix(request, c.wantLine+"\r\n") || !strings.Contains(request, "\r\nHost: "+host+"\r\n") || !strings.Contains(request, "\r\nConnection: close\r\n") {
			t.Errorf("request %q, want %q for host %s", request, c.wantLine, host)
		}
	}
}

func TestCheckHTTPWrongTargets(t *testing.T) {
	for target, want := range map[string]string{
		"https://x/":         "https is not offered; ask the plain port, or use type \"exec\" with a program that can",
		"x:80":               "the URL does not begin with http://",
		"http:///path":       "the URL names no host",
		"http://::1/":        "the URL names no host",
		"http://u:p@h:80/":   "\"u:p@h:80\" is no host:port",
		"http://h:99999/":    `"h:99999" has no port from 1 to 65535`,
		"http://h/a b":       "the URL has a space or control character; write %20 for a space",
		"http://h/\r\nX: y":  "the URL has a space or control character; write %20 for a space",
		"http://127.0.0.1:1": "connection refused",
	} {
		if err := httpCheck(target, patience); err == nil || err.Error() != target+": "+want {
			t.Errorf("got  %v\nwant %s: %s", err, target, want)
		}
	}
}

func TestRow29_SlowServersEndAtTheTimeout(t *testing.T) {
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	for name, answer := range map[string]func(string, net.Conn){
		"silent": func(string, net.Conn) { <-never },
		"one byte at a time": func(_ string, c net.Conn) {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for range tick.C {
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
			}
		},
		"slow headers of a 1xx": func(_ string, c net.Conn) {
			fmt.Fprint(c, "HTTP/1.1 100 Continue\r\nA: ")
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for range tick.C {
				if _, err := c.Write([]byte("b")); err != nil {
					return
				}
			}
		},
		"endless 1xx": func(_ string, c net.Conn) {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for range tick.C {
				if _, err := c.Write([]byte("HTTP/1.1 102 Processing\r\n\r\n")); err != nil {
					return
				}
			}
		},
	} {
		addr := serveConn(t, "tcp", "127.0.0.1:0", answer)
		url := "http://" + addr.String() + "/"
		begin := time.Now()
		err := httpCheck(url, 200*time.Millisecond)
		if err == nil || err.Error() != url+": no answer within 200ms" {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(begin); took > 200*time.Millisecond+slack {
			t.Errorf("%s: a check of 200 ms took %v", name, took)
		}
	}
}

func TestCheckTCP(t *testing.T) {
	v4 := serveConn(t, "tcp", "127.0.0.1:0", nil).(*net.TCPAddr)
	v6 := serveConn(t, "tcp", "[::1]:0", nil).(*net.TCPAddr)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	socket := filepath.Join(t.TempDir(), "s")
	serveConn(t, "unix", socket, nil)
	for _, c := range []struct{ target, want string }{
		{v4.String(), ""},
		{v6.String(), ""},
		{fmt.Sprintf("localhost:%d", v4.Port), ""},
		{fmt.Sprintf("localhost:%d", v6.Port), ""},
		{fmt.Sprintf("tcp:localhost:%d", v4.Port), ""},
		{fmt.Sprintf(":%d", v4.Port), ""},
		{socket, ""},
		{"unix:" + socket, ""},
		{closed.Addr().String(), "connection refused"},
		{socket + ".not", "no such socket"},
		{"nonsense", "a tcp target is host:port or the path of a socket"},
	} {
		err := check(&healthDef{Type: "tcp", Target: c.target, Timeout: patience}, nil)
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.target+": "+c.want {
			t.Errorf("%s: got %v, want %q", c.target, err, c.want)
		}
	}
}

func TestCheckExec(t *testing.T) {
	tab := newTestProcs(t)
	dir := t.TempDir()
	cfg := &config{Service: serviceDef{Name: "web", Dir: dir, Env: map[string]string{"COLOUR": "blue"}}}
	run := func(program execDef, timeout time.Duration) error {
		return tab.probe(cfg, program, "", timeout, nil, nil)
	}
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"exit=0"}, ""},
		{[]string{"exit=1"}, "exit code 1"},
		{[]string{"print=one", "eprint=cannot reach db", "exit=3"}, "exit code 3: cannot reach db"},
		{[]string{"die=KILL"}, "killed by SIGKILL"},
		{[]string{"env=COLOUR", "exit=1"}, "exit code 1: COLOUR=blue"},
		{[]string{"cwd", "exit=1"}, "exit code 1: " + dir},
	} {
		err := check(&healthDef{Type: "exec", Exec: execDef{Argv: childArgv(c.words...)}, Timeout: patience}, run)
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%v: got %v, want %q", c.words, err, c.want)
		}
	}
	if err := check(&healthDef{Type: "exec", Exec: execDef{Argv: []string{"/no/such"}}, Timeout: patience}, run); err == nil || err.Error() != "/no/such does not exist (no such file or directory)" {
		t.Errorf("got %v", err)
	}
}

func TestRow29_HungProbeIsKilledWithItsGroup(t *testing.T) {
	tab := newTestProcs(t)
	file := filepath.Join(t.TempDir(), "child")
	cfg := &config{Service: serviceDef{Name: "web"}}
	def := &healthDef{Type: "exec", Timeout: 400 * time.Millisecond,
		Exec: execDef{Argv: childArgv("ignore=TERM", "fork=ignore=TERM,touch="+file+",block", "await="+file, "print=asking", "block")}}
	run := func(program execDef, timeout time.Duration) error {
		return tab.probe(cfg, program, "", timeout, nil, nil)
	}
	begin := time.Now()
	err := check(def, run)
	for !strings.Contains(fmt.Sprint(err), "asking") && def.Timeout < patience { // it had no time to begin
		def.Timeout *= 2
		begin = time.Now()
		err = check(def, run)
	}
	if err == nil || !strings.HasPrefix(err.Error(), "no end within ") || !strings.HasSuffix(err.Error(), ", killed: asking") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begin); took > def.Timeout+slack {
		t.Errorf("took %v", took)
	}
	if alive(pidIn(t, file)) {
		t.Error("a child of the probe outlived it")
	}
	eventually(t, "no zombie is left", func() bool { return len(sysChildren(nil, os.Getpid())) == 0 })
}

func TestCheckOfOtherTypes(t *testing.T) {
	if err := check(&healthDef{Type: "ping"}, nil); err == nil {
		t.Error("an unknown type passes")
	}
	want := errors.New("as it is")
	if err := check(&healthDef{Type: "exec"}, func(execDef, time.Duration) error { return want }); err != want {
		t.Errorf("got %v", err)
	}
}

// --- sockets ---

// fullListener is the address of a listener whose queue is full.
func fullListener(t *testing.T, family int, addr syscall.Sockaddr) (at string) {
	t.Helper()
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, addr), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	network := "unix"
	if unix, is := addr.(*syscall.SockaddrUnix); is {
		at = unix.Name
	} else {
		addr, _ = syscall.Getsockname(fd)
		network, at = "tcp", fmt.Sprintf("127.0.0.1:%d", addr.(*syscall.SockaddrInet4).Port)
	}
	for range 8 {
		conn, err := net.DialTimeout(network, at, 20*time.Millisecond)
		if err != nil { // full, or we were not given the processor for so long
			conn, err = net.DialTimeout(network, at, 500*time.Millisecond)
		}
		if err != nil {
			return at
		}
		t.Cleanup(func() { conn.Close() })
	}
	skip(t, "a queue of connections never fills on this kernel")
	return at
}

func TestDialEndsAtTheTimeout(t *testing.T) {
	for _, at := range []string{
		fullListener(t, syscall.AF_UNIX, &syscall.SockaddrUnix{Name: filepath.Join(t.TempDir(), "s")}),
		fullListener(t, syscall.AF_INET, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}),
	} {
		begin := time.Now()
		err := check(&healthDef{Type: "tcp", Target: at, Timeout: 50 * time.Millisecond}, nil)
		if err == nil || err.Error() != at+": no answer within 50ms" || time.Since(begin) > slack {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	}
}

// TestRow49_NoResolverFiles: in a root that holds nothing, localhost is found, and what cannot be found is said.
func TestRow49_NoResolverFiles(t *testing.T) {
	if os.Getuid() != 0 {
		skip(t, "chroot needs root")
	}
	root := shortDir(t)
	program, err := os.ReadFile(zinitBinary(t))
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "zinit"), program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	v4 := serveConn(t, "tcp", "127.0.0.1:0", nil).(*net.TCPAddr).Port
	v6 := serveConn(t, "tcp", "[::1]:0", nil).(*net.TCPAddr).Port
	for _, c := range []struct {
		target, want string
		code         int
	}{
		{fmt.Sprintf("tcp:localhost:%d", v4), "", exitDone},
		{fmt.Sprintf("tcp:LOCALHOST:%d", v6), "", exitDone},
		{fmt.Sprintf("tcp::%d", v6), "", exitDone},
		{"tcp:no-such-host.invalid:80", "cannot find the address of no-such-host.invalid: ", exitNotRunning},
	} {
		cmd := exec.Command("/zinit", "probe", c.target)
		cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: root}
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("probe %s: exit code %d: %s", c.target, code, out)
		}
	}
}
