// xinet_test.go is the manual of proxies: who waits for what, what is passed on, and when a service is started and stopped. The service here is part of the test.

//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// stageService is a service that proxies can ask for: it listens while it is up, and serves each connection with talk.
type stageService struct {
	t       *testing.T
	address string
	talk    func(net.Conn)
	slow    chan struct{} // a start waits for it; nil: starts at once

	mu        sync.Mutex
	sock      net.Listener
	starts    int
	dismissed int
	fault     error // of the next demands
}

func (s *stageService) isUp(string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sock != nil
}

func (s *stageService) stateOf(string) string { return "on its way" }

func (s *stageService) demand(_ string, cancel <-chan struct{}) error {
	s.mu.Lock()
	slow := s.slow
	s.mu.Unlock()
	if slow != nil {
		select {
		case <-slow:
		case <-cancel:
			return errors.New("cancelled")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil || s.sock != nil {
		return s.fault
	}
	network, address := splitAddress(s.address)
	sock, err := net.Listen(network, address)
	if err != nil {
		s.t.Errorf("the service started twice, or cannot listen: %v", err)
		return err
	}
	s.sock = sock
	s.starts++
	go func() {
		for {
			conn, err := sock.Accept()
			if err != nil {
				return
			}
			go s.talk(conn)
		}
	}()
	return nil
}

func (s *stageService) dismiss(string) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sock != nil {
		s.sock.Close()
		s.sock = nil
		s.dismissed++
	}
	return func() {}
}

func (s *stageService) counts() (starts, dismissed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.starts, s.dismissed
}

// echo sends back what comes, and ends when the other side has.
func echo(conn net.Conn) {
	defer conn.Close()
	_, _ = io.Copy(conn, conn)
}

// stageProxy is a proxy before a service that is part of the test.
func stageProxy(t *testing.T, s *stageService, def xinetDef) *proxy {
	t.Helper()
	c, err := newCopier()
	if err != nil {
		t.Fatal(err)
	}
	return stageProxyOn(t, c, s, def)
}

// stageProxyOn is stageProxy with a copier that may be special.
func stageProxyOn(t *testing.T, c *copier, s *stageService, def xinetDef) *proxy {
	t.Helper()
	s.t = t
	def.Name, def.Service, def.Backend = "front", "back", s.address
	if def.ConnectTimeout == 0 {
		def.ConnectTimeout = 60
	}
	var ls []*listener
	for _, address := range def.Listen {
		l, err := openListeners(address, false)
		if err != nil {
			t.Fatal(err)
		}
		ls = append(ls, l...)
	}
	back := newBacking("back", s)
	back.setIdle(time.Duration(def.IdleTimeout) * time.Second)
	p := newProxy(&def, back, c, ls)
	p.serve()
	t.Cleanup(func() {
		p.close()
		closeListeners(ls)
		s.dismiss("")
		eventually(t, "no connection is left", func() bool { return p.active.Load() == 0 })
	})
	return p
}

// stageAddress is an address of a kind: tcp4, tcp6 or unix.
func stageAddress(t *testing.T, kind, name string) string {
	switch kind {
	case "tcp4":
		return fmt.Sprintf("127.0.0.1:%d", freePort(t))
	case "tcp6":
		return fmt.Sprintf("tcp:[::1]:%d", freePort(t))
	}
	return "unix:" + filepath.Join(shortDir(t), name)
}

// dialProxy connects to where a proxy listens.
func dialProxy(t testing.TB, address string) net.Conn {
	t.Helper()
	network, at := splitAddress(address)
	conn, err := net.Dial(network, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// closeWrite ends what we send, and nothing else.
func closeWrite(t testing.TB, conn net.Conn) {
	t.Helper()
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

// exchange sends data through a proxy to an echo, and returns what is wrong with what comes back.
func exchange(conn net.Conn, data []byte) error {
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(data)
		if err == nil {
			err = conn.(interface{ CloseWrite() error }).CloseWrite()
		}
		sent <- err
	}()
	got, err := io.ReadAll(conn)
	if err = errors.Join(err, <-sent); err != nil {
		return fmt.Errorf("after %d of %d bytes: %w", len(got), len(data), err)
	}
	if !bytes.Equal(got, data) {
		return fmt.Errorf("%d bytes came back of %d, and they are others", len(got), len(data))
	}
	return nil
}

func randomBytes(n int) []byte {
	data := make([]byte, n)
	for i := 0; i+8 <= n; i += 8 {
		x := rand.Uint64()
		for k := range 8 {
			data[i+k] = byte(x >> (8 * k))
		}
	}
	return data
}

// TestProxyPairs: TCP v4 and v6 and Unix sockets on both sides, all at once on one proxy; every byte arrives, and is counted.
func TestProxyPairs(t *testing.T) {
	kinds := []string{"tcp4", "tcp6", "unix"}
	for _, back := range kinds {
		t.Run(back, func(t *testing.T) {
			var listen []string
			for _, front := range kinds {
				listen = append(listen, stageAddress(t, front, "front"))
			}
			s := &stageService{address: stageAddress(t, back, "back"), talk: echo}
			p := stageProxy(t, s, xinetDef{Listen: listen})
			const each = 3<<20 + 5
			var all sync.WaitGroup
			for _, front := range listen {
				conn := dialProxy(t, front)
				all.Go(func() {
					if err := exchange(conn, randomBytes(each)); err != nil {
						t.Errorf("from %s: %v", front, err)
					}
				})
			}
			all.Wait()
			eventually(t, "all is counted", func() bool {
				st := p.status()
				return st.TotalConnections == 3 && st.ActiveConnections == 0 && st.BytesToBackend == 3*each && st.BytesFromBackend == 3*each
			})
			if starts, _ := s.counts(); starts != 1 || !p.status().Running {
				t.Errorf("%d starts, %+v", starts, p.status())
			}
		})
	}
}

// TestProxyHalfClose: the end of one direction is passed on, and the other goes on.
func TestProxyHalfClose(t *testing.T) {
	for _, kind := range []string{"tcp4", "unix"} {
		heard := make(chan string, 2)
		s := &stageService{address: stageAddress(t, kind, "back"), talk: func(conn net.Conn) {
			defer conn.Close()
			first := make([]byte, 5)
			_, _ = io.ReadFull(conn, first)
			if string(first) == "you 1" { // the service ends first
				_, _ = io.WriteString(conn, "bye")
				_ = conn.(interface{ CloseWrite() error }).CloseWrite()
			}
			rest, err := io.ReadAll(conn)
			heard <- fmt.Sprint(string(first)+string(rest), err)
			if string(first) == "me 1 " {
				_, _ = io.WriteString(conn, "late answer")
			}
		}}
		p := stageProxy(t, s, xinetDef{Listen: []string{stageAddress(t, kind, "front")}})
		conn := dialProxy(t, p.def.Listen[0])
		_, _ = io.WriteString(conn, "me 1 st")
		closeWrite(t, conn)
		if h := <-heard; h != "me 1 st<nil>" && h != "me 1 st <nil>" {
			t.Errorf("%s: the service heard %q", kind, h)
		}
		if got, err := io.ReadAll(conn); string(got) != "late answer" || err != nil {
			t.Errorf("%s: the client got %q, %v", kind, got, err)
		}
		conn = dialProxy(t, p.def.Listen[0])
		_, _ = io.WriteString(conn, "you 1st")
		if got, err := io.ReadAll(conn); string(got) != "bye" || err != nil {
			t.Errorf("%s: the client got %q, %v", kind, got, err)
		}
		_, _ = io.WriteString(conn, " and more")
		closeWrite(t, conn)
		if h := <-heard; !strings.HasPrefix(h, "you 1st and more") {
			t.Errorf("%s: the service heard %q after its end", kind, h)
		}
	}
}

// TestProxyReset: a connection that one side breaks is broken for the other, not ended as if all had been said.
func TestProxyReset(t *testing.T) {
	broken := make(chan error, 1)
	s := &stageService{address: stageAddress(t, "tcp4", ""), talk: func(conn net.Conn) {
		first := make([]byte, 1)
		_, _ = io.ReadFull(conn, first)
		if first[0] == 'b' {
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
			return
		}
		_, _ = conn.Write(first)
		_, err := io.ReadAll(conn)
		broken <- err
	}}
	p := stageProxy(t, s, xinetDef{Listen: []string{stageAddress(t, "tcp6", "")}})
	conn := dialProxy(t, p.def.Listen[0])
	_, _ = io.WriteString(conn, "c")
	_, _ = io.ReadFull(conn, make([]byte, 1))
	_ = conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
	if err := <-broken; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the service saw %v", err)
	}
	conn = dialProxy(t, p.def.Listen[0])
	_, _ = io.WriteString(conn, "b")
	if _, err := io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client saw %v", err)
	}
}

// TestProxyOfASlowReader: who does not read holds up nobody else, and the sender is held up, not remembered.
func TestProxyOfASlowReader(t *testing.T) {
	const size = 64 << 20
	sent := atomic.Int64{}
	s := &stageService{address: stageAddress(t, "unix", "back"), talk: func(conn net.Conn) {
		defer conn.Close()
		first := make([]byte, 1)
		if _, err := io.ReadFull(conn, first); err != nil || first[0] == 'e' {
			_, _ = conn.Write(first)
			return
		}
		block := make([]byte, 64<<10)
		for sent.Load() < size {
			n, err := conn.Write(block)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}}
	p := stageProxy(t, s, xinetDef{Listen: []string{stageAddress(t, "tcp4", "")}})
	slow := dialProxy(t, p.def.Listen[0])
	_, _ = io.WriteString(slow, "s")
	last := int64(-1)
	eventually(t, "the sender is held up", func() bool {
		now := sent.Load()
		still := now == last && now > 0
		last = now
		if !still {
			time.Sleep(100 * time.Millisecond)
		}
		return still
	})
	if last >= size {
		t.Errorf("all %d bytes are on their way to one who does not read", last)
	}
	for range 20 {
		conn := dialProxy(t, p.def.Listen[0])
		_, _ = io.WriteString(conn, "e")
		if got, err := io.ReadAll(conn); string(got) != "e" || err != nil {
			t.Fatalf("beside the slow reader: %q, %v", got, err)
		}
	}
	if n, err := io.Copy(io.Discard, slow); n != size || err != nil {
		t.Errorf("the slow reader got %d bytes, %v", n, err)
	}
}

// TestProxyStartsItsService: who connects waits until the service is ready, and none is dropped.
func TestProxyStartsItsService(t *testing.T) {
	s := &stageService{address: stageAddress(t, "unix", "back"), talk: echo, slow: make(chan struct{})}
	p := stageProxy(t, s, xinetDef{Listen: []string{stageAddress(t, "tcp4", ""), stageAddress(t, "unix", "front")}})
	var all sync.WaitGroup
	for i := range 50 {
		conn := dialProxy(t, p.def.Listen[i%2])
		all.Go(func() {
			if err := exchange(conn, []byte(fmt.Sprint("hello ", i))); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all are there", func() bool { return p.active.Load() == 50 })
	if starts, _ := s.counts(); starts != 0 || p.status().Running {
		t.Errorf("%d starts before it was ready", starts)
	}
	close(s.slow)
	all.Wait()
	if starts, _ := s.counts(); starts != 1 {
		t.Errorf("%d starts", starts)
	}
}

// TestProxyGivesUp: a backend that never comes closes the client after connect_timeout, and the status says why.
func TestProxyGivesUp(t *testing.T) {
	s := &stageService{address: stageAddress(t, "tcp4", ""), talk: echo, fault: errors.New("back is failed: no such program")}
	p := stageProxy(t, s, xinetDef{Listen: []string{stageAddress(t, "unix", "front")}, ConnectTimeout: 2})
	begin := time.Now()
	if got, err := io.ReadAll(dialProxy(t, p.def.Listen[0])); len(got) > 0 || err != nil {
		t.Errorf("the client got %q, %v", got, err)
	}
	if took := time.Since(begin); took < 2*time.Second {
		t.Errorf("closed after %v", took)
	}
	eventually(t, "the status says why", func() bool {
		return p.status().LastError == "1 waiting client closed after 2 s: back is failed: no such program"
	})

	s.mu.Lock()
	s.fault = nil
	s.mu.Unlock()
	if err := exchange(dialProxy(t, p.def.Listen[0]), []byte("again")); err != nil {
		t.Errorf("once it can start: %v", err)
	}
}

// TestProxyWaitsForTheBackend: a service that is up before its port is listened on is waited for, too; one whose port never answers ends the wait.
func TestProxyWaitsForTheBackend(t *testing.T) {
	s := &stageService{address: stageAddress(t, "unix", "back"), talk: echo}
	p := stageProxy(t, s, xinetDef{Listen: []string{stageAddress(t, "tcp4", "")}, ConnectTimeout: 2})
	p.mu.Lock()
	elsewhere := stageAddress(t, "unix", "other")
	p.backend = newBackend(elsewhere)
	p.mu.Unlock()
	late := dialProxy(t, p.def.Listen[0])
	eventually(t, "the backend was tried", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return strings.Contains(p.why, "does not accept")
	})
	_, at := splitAddress(elsewhere)
	sock, err := net.Listen("unix", at)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for conn, err := sock.Accept(); err == nil; conn, err = sock.Accept() {
			echo(conn)
		}
	}()
	if err := exchange(late, []byte("you are late")); err != nil {
		t.Error(err)
	}
	sock.Close()
	if got, err := io.ReadAll(dialProxy(t, p.def.Listen[0])); len(got) > 0 || err != nil {
		t.Errorf("the client got %q, %v", got, err)
	}
	eventually(t, "the status says why", func() bool { return strings.Contains(p.status().LastError, elsewhere+" does not accept: ") })
}

// TestProxyStopsWhatIsIdle: nobody connected for idle_timeout, the service is stopped; a connection, also one on which nothing is said, keeps it; the next one starts it.
func TestProxyStopsWhatIsIdle(t *testing.T) {
	s := &stageService{address: stageAddress(t, "unix", "back"), talk: echo}
	p := stageProxy(t, s, xinetDef{Listen: []string{stageAddress(t, "tcp4", "")}, IdleTimeout: 1})
	quiet := dialProxy(t, p.def.Listen[0])
	eventually(t, "it is started", func() bool { starts, _ := s.counts(); return starts == 1 })
	if err := exchange(dialProxy(t, p.def.Listen[0]), []byte("short")); err != nil {
		t.Error(err)
	}
	begin := time.Now()
	for time.Since(begin) < 1500*time.Millisecond {
		if _, dismissed := s.counts(); dismissed > 0 {
			t.Fatal("it was stopped under a connection")
		}
		time.Sleep(10 * time.Millisecond)
	}
	begin = time.Now()
	quiet.Close()
	eventually(t, "it is stopped", func() bool { _, dismissed := s.counts(); return dismissed == 1 })
	if took := time.Since(begin); took < time.Second {
		t.Errorf("it was stopped after %v", took)
	}
	if err := exchange(dialProxy(t, p.def.Listen[0]), []byte("again")); err != nil {
		t.Error(err)
	}
	if starts, _ := s.counts(); starts != 2 {
		t.Errorf("%d starts", starts)
	}
}

// TestProxySingleConnection: the next one waits for its turn, in the order in which they came.
func TestProxySingleConnection(t *testing.T) {
	var now, most atomic.Int64
	s := &stageService{address: stageAddress(t, "tcp4", ""), talk: func(conn net.Conn) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		data, _ := io.ReadAll(conn)
		_, _ = conn.Write(data)
		now.Add(-1)
		conn.Close()
	}}
	p := stageProxy(t, s, xinetDef{Listen: []string{stageAddress(t, "unix", "front"), stageAddress(t, "tcp4", "")}, SingleConnection: true})
	first := dialProxy(t, p.def.Listen[0])
	_, _ = io.WriteString(first, "first")
	eventually(t, "the first one is served", func() bool { return now.Load() == 1 })
	var all sync.WaitGroup
	for i := range 20 {
		conn := dialProxy(t, p.def.Listen[i%2])
		all.Go(func() {
			if err := exchange(conn, []byte(fmt.Sprint("next ", i))); err != nil {
				t.Error(err)
			}
		})
	}
	if n := p.status().ActiveConnections; n != 1 {
		t.Errorf("%d at once", n)
	}
	closeWrite(t, first)
	if got, err := io.ReadAll(first); string(got) != "first" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	all.Wait()
	if most.Load() != 1 {
		t.Errorf("%d at once", most.Load())
	}
}

// TestRow54_ProxiesLeaveDescriptors: more connections than there may be wait in the queue of the kernel.
func TestRow54_ProxiesLeaveDescriptors(t *testing.T) {
	s := &stageService{address: stageAddress(t, "unix", "back"), talk: echo}
	p := stageProxy(t, s, xinetDef{Listen: []string{stageAddress(t, "unix", "front")}})
	p.copier.count.Store(p.copier.limit - 2) // as if others were there
	defer func() { p.copier.count.Add(2 - p.copier.limit) }()
	conns := make([]net.Conn, 5)
	for i := range conns {
		conns[i] = dialProxy(t, p.def.Listen[0])
	}
	eventually(t, "the first are served", func() bool { return p.active.Load() >= 2 })
	for _, conn := range conns {
		if err := exchange(conn, []byte("in turn")); err != nil {
			t.Error(err)
		}
		conn.Close()
		if n := p.active.Load(); n > 3 { // one that waited for its accept comes beside
			t.Errorf("%d connections", n)
		}
	}
}

// TestProxyChanges: another backend for the next connections, and no waiting one is dropped; what is closed refuses.
func TestProxyChanges(t *testing.T) {
	named := func(name string) func(net.Conn) {
		return func(conn net.Conn) { _, _ = io.WriteString(conn, name); _, _ = io.Copy(io.Discard, conn); conn.Close() }
	}
	read := func(conn net.Conn) string {
		b := make([]byte, 3)
		_, _ = io.ReadFull(conn, b)
		return string(b)
	}
	one := &stageService{address: stageAddress(t, "unix", "one"), talk: named("one")}
	two := &stageService{t: t, address: stageAddress(t, "unix", "two"), talk: named("two")}
	t.Cleanup(func() { two.dismiss("") })
	p := stageProxy(t, one, xinetDef{Listen: []string{stageAddress(t, "tcp4", "")}})
	first := dialProxy(t, p.def.Listen[0])
	if got := read(first); got != "one" {
		t.Errorf("first: %q", got)
	}
	one.dismiss("")
	one.mu.Lock()
	one.slow = make(chan struct{})
	one.mu.Unlock()
	waits := dialProxy(t, p.def.Listen[0])
	eventually(t, "it waits", func() bool { return p.active.Load() == 2 })
	def := *p.def
	def.Backend = two.address
	p.change(&def, newBacking("two", two), p.listeners, true)
	if got := read(waits); got != "two" {
		t.Errorf("who waited got %q", got)
	}
	closeWrite(t, first)
	if _, err := io.ReadAll(first); err != nil {
		t.Errorf("the first one broke: %v", err)
	}
}

// TestListenTwice: an address in use is an error that names it, a socket that nobody listens on is replaced, and a file is left alone.
func TestListenTwice(t *testing.T) {
	for _, kind := range []string{"tcp4", "unix"} {
		address := stageAddress(t, kind, "twice")
		ls, err := openListeners(address, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openListeners(address, false); err == nil || !strings.Contains(err.Error(), "cannot listen on "+address+": address already in use") {
			t.Errorf("the second one: %v", err)
		}
		closeListeners(ls)
		if ls, err = openListeners(address, false); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		closeListeners(ls)
	}
	address := stageAddress(t, "unix", "stale")
	_, path := splitAddress(address)
	sock, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	sock.(*net.UnixListener).SetUnlinkOnClose(false)
	sock.Close()
	ls, err := openListeners(address, false)
	if err != nil {
		t.Errorf("over a socket that nobody listens on: %v", err)
	}
	closeListeners(ls)
}
