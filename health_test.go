//go:build linux

// health_test.go tries each kind of check against real servers: quick, slow, hung and wrong ones.

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
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
		"https://x/":         "https is not supported, use http:// or an exec check",
		"x:80":               "an http target is http://host[:port]/path",
		"http:///path":       "an http target is http://host[:port]/path, with an IPv6 address in [ ]",
		"http://::1/":        "an http target is http://host[:port]/path, with an IPv6 address in [ ]",
		"http://u:p@h:80/":   "an http target is http://host[:port]/path, with an IPv6 address in [ ]",
		"http://h:99999/":    `port "99999" is not a number from 1 to 65535`,
		"http://h/a b":       "the url contains a space or a control character; write it as %20",
		"http://h/\r\nX: y":  "the url contains a space or a control character; write it as %20",
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
	run := func(program execDef, timeout time.Duration) error { return tab.probe(cfg, program, "", timeout, nil) }
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
	run := func(program execDef, timeout time.Duration) error { return tab.probe(cfg, program, "", timeout, nil) }
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
	if err := check(&healthDef{Type: "notify"}, nil); err != nil {
		t.Errorf("notify services are not asked: %v", err)
	}
	if err := check(&healthDef{Type: "ping"}, nil); err == nil {
		t.Error("an unknown type passes")
	}
	want := errors.New("as it is")
	if err := check(&healthDef{Type: "exec"}, func(execDef, time.Duration) error { return want }); err != want {
		t.Errorf("got %v", err)
	}
}

// --- sockets ---

// sockPair connects to l by dial and returns both ends.
func sockPair(t *testing.T, l *sock, dial func() (*sock, error)) (client, server *sock) {
	t.Helper()
	client, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	if server, err = l.accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func TestSockets(t *testing.T) {
	dir := t.TempDir()
	portOf := func(l *sock) int {
		_, port, _ := splitHostPort(l.localAddr())
		var n int
		fmt.Sscan(port, &n)
		return n
	}
	unix := func(path string) func(*sock) (*sock, error) {
		return func(*sock) (*sock, error) { return dialUnix(path, patience) }
	}
	tcp := func(host string) func(*sock) (*sock, error) {
		return func(l *sock) (*sock, error) { return dialTCP(host, portOf(l), patience) }
	}
	abstract := fmt.Sprintf("@zinit-test-%d", os.Getpid())
	for _, c := range []struct {
		what   string
		listen func() (*sock, error)
		dial   func(l *sock) (*sock, error)
		addr   string // how the listener's address begins
		peer   string // how the client's looks to the server
	}{
		{"a path", func() (*sock, error) { return listenUnix(dir + "/s") }, unix(dir + "/s"), dir + "/s", ""},
		{"an abstract name", func() (*sock, error) { return listenUnix(abstract) }, unix(abstract), abstract, ""},
		{"IPv4", func() (*sock, error) { return listenTCP("127.0.0.1", 0) }, tcp("127.0.0.1"), "127.0.0.1:", "127.0.0.1:"},
		{"IPv6", func() (*sock, error) { return listenTCP("::1", 0) }, tcp("::1"), "[::1]:", "[::1]:"},
		{"localhost by the second address", func() (*sock, error) { return listenTCP("::1", 0) }, tcp("localhost"), "[::1]:", "[::1]:"},
		{"everywhere, from IPv4", func() (*sock, error) { return listenTCP("", 0) }, tcp("127.0.0.1"), "[::]:", "127.0.0.1:"},
		{"everywhere, from IPv6", func() (*sock, error) { return listenTCP("", 0) }, tcp("::1"), "[::]:", "[::1]:"},
		{"a zone by name", func() (*sock, error) { return listenTCP("::1%lo", 0) }, tcp("::1%1"), "[::1]:", "[::1]:"},
	} {
		l, err := c.listen()
		if err != nil {
			skip(t, c.what+": "+err.Error())
		}
		defer l.Close()
		client, server := sockPair(t, l, func() (*sock, error) { return c.dial(l) })
		if !strings.HasPrefix(l.localAddr(), c.addr) || !strings.HasPrefix(server.remoteAddr(), c.peer) || client.remoteAddr() != server.localAddr() {
			t.Errorf("%s: listens at %q, peer %q, ends %q and %q", c.what, l.localAddr(), server.remoteAddr(), client.remoteAddr(), server.localAddr())
		}
		io.WriteString(client, "ping")
		if err := client.closeWrite(); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if got, err := io.ReadAll(server); string(got) != "ping" || err != nil {
			t.Errorf("%s: the server got %q, %v", c.what, got, err)
		}
		io.WriteString(server, "pong") // half-closed is not closed
		server.Close()
		if got, err := io.ReadAll(client); string(got) != "pong" || err != nil {
			t.Errorf("%s: the client got %q, %v", c.what, got, err)
		}
	}
}

func TestSocketWaits(t *testing.T) {
	l, err := listenUnix(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	client, server := sockPair(t, l, func() (*sock, error) { return dialUnix(l.localAddr(), patience) })
	if p := peerOf(client); !p.known || p.pid != os.Getpid() || p.uid != os.Geteuid() {
		t.Errorf("peer %+v", p)
	}
	if err := client.closeRead(); err != nil {
		t.Error(err)
	}
	if _, err := io.WriteString(server, "x"); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("writing to who reads no more: %v", err)
	}
	client, server = sockPair(t, l, func() (*sock, error) { return dialUnix(l.localAddr(), patience) })
	client.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read at its deadline: %v", err)
	}
	l.SetDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := l.accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an accept at its deadline: %v", err)
	}
	l.SetDeadline(time.Time{})
	ends := make(chan error, 2)
	begun := make(chan bool, 2)
	go func() { begun <- true; _, err := server.Read(make([]byte, 1)); ends <- err }()
	go func() { begun <- true; _, err := l.accept(); ends <- err }()
	<-begun
	<-begun
	server.Close()
	l.Close()
	for range 2 {
		if err := <-ends; !errors.Is(err, os.ErrClosed) {
			t.Errorf("a call that waits at Close: %v", err)
		}
	}
	if _, err := l.accept(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("accept after Close: %v", err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a deadline stays: %v", err)
	}
}

// fullListener listens with room for one connection at most, and fills it.
func fullListener(t *testing.T, e endpoint) (at endpoint) {
	t.Helper()
	fd, addr, err := sockFor(e, syscall.SOCK_STREAM)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, addr), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	addr, _ = syscall.Getsockname(fd)
	at = endpointOf(addr)
	network := "tcp"
	if at.ip == nil {
		network = "unix"
	}
	for range 8 {
		conn, err := sysDial(network, at, time.Now().Add(20*time.Millisecond))
		if err != nil { // full, or we were not given the processor for so long
			conn, err = sysDial(network, at, time.Now().Add(500*time.Millisecond))
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
	for _, e := range []endpoint{{path: filepath.Join(t.TempDir(), "s")}, {ip: []byte{127, 0, 0, 1}}} {
		at := fullListener(t, e).String()
		begin := time.Now()
		err := check(&healthDef{Type: "tcp", Target: at, Timeout: 50 * time.Millisecond}, nil)
		if err == nil || err.Error() != at+": no answer within 50ms" || time.Since(begin) > slack {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	}
}

func TestRow54_AcceptWithoutDescriptors(t *testing.T) {
	l, err := listenUnix(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := dialUnix(l.localAddr(), patience)
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
	_, err = l.accept()
	if back := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); back != nil {
		t.Fatal(back)
	}
	if !errors.Is(err, syscall.EMFILE) {
		t.Errorf("without descriptors: %v, want EMFILE", err)
	}
	server, err := l.accept()
	if err != nil {
		t.Fatalf("the connection is lost: %v", err)
	}
	server.Close()
}

// TestNoPackageNet: net and what it brings along is an eighth of a program that has sockets of its own.
func TestNoPackageNet(t *testing.T) {
	for _, system := range []string{"linux", "darwin"} {
		list := exec.Command("go", "list", "-buildvcs=false", "-deps", ".")
		list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system)
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		if packages := strings.Fields(string(out)); slices.Contains(packages, "net") || !slices.Contains(packages, "os") {
			t.Errorf("%s: package net is in the program", system)
		}
	}
}

// --- host names ---

// fakeDNS answers queries by UDP and TCP on one port, of 127.0.0.1. answer gets the name and the kind, and returns datagrams to send.
func fakeDNS(t *testing.T, answer func(name string, query []byte, tcp bool) [][]byte) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); udp.Close() })
	nameIn := func(query []byte) string {
		var labels []string
		for b := query[dnsHeader:]; b[0] != 0; b = b[1+b[0]:] {
			labels = append(labels, string(b[1:1+b[0]]))
		}
		return strings.Join(labels, ".")
	}
	go func() {
		for buf := make([]byte, 2048); ; {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, msg := range answer(nameIn(buf[:n]), bytes.Clone(buf[:n]), false) {
				udp.WriteTo(msg, from)
			}
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			query := make([]byte, 2048)
			n, _ := c.Read(query)
			for _, msg := range answer(nameIn(query[2:n]), bytes.Clone(query[2:n]), true) {
				c.Write(append([]byte{byte(len(msg) >> 8), byte(len(msg))}, msg...))
			}
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// dnsReply answers a query with a code and records, each a kind and its data; their names point to the question's.
func dnsReply(query []byte, code byte, records ...any) []byte {
	msg := bytes.Clone(query)
	msg[2], msg[3], msg[7] = 0x81, 0x80|code, byte(len(records)/2)
	for i := 0; i < len(records); i += 2 {
		data := records[i+1].([]byte)
		msg = append(msg, 0xc0, dnsHeader, 0, byte(records[i].(int)), 0, 1, 0, 0, 0, 60, 0, byte(len(data)))
		msg = append(msg, data...)
	}
	return msg
}

func TestResolver(t *testing.T) {
	v4, v6 := []byte{192, 0, 2, 1}, []byte{0x20, 1, 0xd, 0xb8, 15: 1}
	const cname = 5
	var mu sync.Mutex
	asked := map[string]int{}
	port := fakeDNS(t, func(name string, q []byte, tcp bool) [][]byte {
		kind := int(q[len(q)-3])
		mu.Lock()
		asked[fmt.Sprint(name, kind)]++
		again := asked[fmt.Sprint(name, kind)] > 1
		mu.Unlock()
		ip := v4
		if kind == dnsAAAA {
			ip = v6
		}
		good := dnsReply(q, 0, kind, ip)
		switch name {
		case "both.example", "web.corp.example", "a.b.c.example", "top":
			return [][]byte{good}
		case "alias.example":
			return [][]byte{dnsReply(q, 0, cname, []byte("\x04real\x07example\x00"), kind, ip)}
		case "big.example":
			if !tcp {
				good[2] |= 2
				return [][]byte{good[:len(q)]}
			}
			return [][]byte{dnsReply(q, 0, kind, ip, kind, ip, kind, ip)}
		case "liar.example":
			otherID, otherName, question := dnsReply(q, 0, kind, make([]byte, len(ip))), dnsReply(q, 0, kind, make([]byte, len(ip))), bytes.Clone(q)
			otherID[0]++
			otherName[dnsHeader+1]++
			return [][]byte{otherID, otherName, question, {}, {1, 2, 3}, good, good}
		case "lost.example":
			if again {
				return [][]byte{good}
			}
			return nil
		case "old.example": // a server that ignores what it does not know
			if kind == dnsA {
				return [][]byte{good}
			}
			return nil
		case "LOUD.example":
			return [][]byte{bytes.Replace(good, []byte("LOUD"), []byte("loud"), 1)}
		case "empty.example":
			return [][]byte{dnsReply(q, 0)}
		case "broken.example":
			return [][]byte{dnsReply(q, 2)}
		case "silent.example":
			return nil
		}
		return [][]byte{dnsReply(q, dnsNoName)}
	})
	dir := t.TempDir()
	r := resolver{filepath.Join(dir, "hosts"), filepath.Join(dir, "resolv.conf"), port}
	write := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(r.hosts, "# all\n10.0.0.1 alpha.example alpha # one\n\nfd00::1\tALPHA\nnonsense alpha\n10.0.0.2 beta\n")
	const twoServers = "; first nobody, then ours\nnameserver 127.0.0.77\nnameserver 127.0.0.1\nsearch corp.example other.example.\noptions ndots:2 rotate timeout:1\n"
	for _, c := range []struct{ conf, host, want string }{
		{twoServers, "Alpha", "10.0.0.1 fd00::1"},
		{twoServers, "beta.", "10.0.0.2"},
		{twoServers, "both.example.", "192.0.2.1 2001:db8::1"},
		{twoServers, "alias.example", "192.0.2.1 2001:db8::1"},
		{"", "big.example", "192.0.2.1 192.0.2.1 192.0.2.1 2001:db8::1 2001:db8::1 2001:db8::1"},
		{"", "liar.example", "192.0.2.1 2001:db8::1"},
		{"", "lost.example", "192.0.2.1 2001:db8::1"},
		{"", "old.example", "192.0.2.1"},
		{"", "LOUD.example", "192.0.2.1 2001:db8::1"},
		{twoServers, "web", "192.0.2.1 2001:db8::1"},
		{twoServers, "a.b.c.example", "192.0.2.1 2001:db8::1"},
		{twoServers, "top", "192.0.2.1 2001:db8::1"},
		{"", "web", "cannot find the address of web"},
		{twoServers, "empty.example", "cannot find the address of empty.example"},
		{"", "broken.example", "cannot find the address of broken.example: the name server 127.0.0.1 has error 2"},
		{"nameserver 127.0.0.77\n", "x.example", "cannot find the address of x.example: the name server 127.0.0.77 does not answer"},
		{"", "a..b", "cannot find the address of a..b: it is no name of a host"},
		{"", strings.Repeat("x", 64) + ".de", "cannot find the address of " + strings.Repeat("x", 64) + ".de: it is no name of a host"},
	} {
		write(r.conf, c.conf)
		limit := patience
		if c.host == "lost.example" || c.host == "old.example" { // half of it passes
			limit = 2 * time.Second
		}
		found, err := r.lookup(c.host, time.Now().Add(limit))
		var texts []string
		for _, e := range found {
			texts = append(texts, ipText(e.ip))
		}
		if err != nil {
			texts = append(texts, err.Error())
		}
		if got := strings.Join(texts, " "); got != c.want {
			t.Errorf("%q by %q: got %s, want %s", c.host, c.conf, got, c.want)
		}
	}
	begin := time.Now()
	if _, err := r.lookup("silent.example", begin.Add(400*time.Millisecond)); err == nil || err.Error() != "cannot find the address of silent.example: the name server 127.0.0.1 does not answer" || time.Since(begin) > slack {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	eventually(t, "a server that does not answer was asked twice", func() bool { mu.Lock(); defer mu.Unlock(); return asked["silent.example1"] == 2 })
	mu.Lock()
	defer mu.Unlock()
	if asked["top.other.example1"] != 1 || asked["a.b.c.example.corp.example1"] != 0 {
		t.Errorf("search domains: %v", asked)
	}
}

func TestRow49_NoResolverFiles(t *testing.T) {
	port := fakeDNS(t, func(_ string, q []byte, _ bool) [][]byte {
		return [][]byte{dnsReply(q, 0, dnsA, []byte{192, 0, 2, 9})}
	})
	found, err := resolver{"/no/hosts", "/no/resolv.conf", port}.lookup("db", time.Now().Add(patience))
	if err != nil || len(found) != 1 || !slices.Equal(found[0].ip, []byte{192, 0, 2, 9}) {
		t.Errorf("got %v, %v", found, err)
	}
}

// FuzzDNS: no message makes the parser fail, or give an address that is not in it.
func FuzzDNS(f *testing.F) {
	query := dnsQuery("a.example", dnsA)
	f.Add([]byte{})
	f.Add(query)
	f.Add(dnsReply(query, 0, dnsA, []byte{192, 0, 2, 1}))
	f.Add(dnsReply(query, 3, 5, []byte("\x01b\x00"), dnsAAAA, make([]byte, 16), dnsA, []byte{1}))
	f.Add(append(dnsReply(query, 0), 0xc0, 0xc0, 0xc0))
	f.Fuzz(func(t *testing.T, msg []byte) {
		a := readAnswer(msg, query)
		if a == nil {
			return
		}
		if len(msg) < len(query) || msg[0] != query[0] || msg[1] != query[1] || len(a.ips) > resolveMost {
			t.Fatalf("%x was taken for an answer: %+v", msg, a)
		}
		for _, ip := range a.ips {
			if len(ip) != 4 || !bytes.Contains(msg, ip) {
				t.Fatalf("%x gave %v", msg, ip)
			}
		}
	})
}
