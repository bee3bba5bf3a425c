// supervisor_xinet_test.go runs proxies in the real server, before real services: started by a connection, stopped when idle, reloaded, and handed from server to server.

//go:build linux

package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unicode"
)

var proxied = flag.Int("proxied", 600, "connections of each TestProxyRace…, at random times")

// echoService is a service that sends back what comes to an address. Two of it at once are an error that its log shows.
func echoService(address string) string {
	return playing(fmt.Sprintf("status = \"stop\"\n[health]\ntype = \"tcp\"\ntarget = %q\nstart_interval_ms = 20\ninterval_ms = 60000\n[lifecycle]\nrestart = \"never\"\n", address), "echo="+address, "block")
}

func proxyFile(listen, backend, service, more string) string {
	return fmt.Sprintf("[xinet]\nlisten = [%q]\nbackend = %q\nservice = %q\n%s", listen, backend, service, more)
}

// reach sends something to an echo behind an address and says what went wrong.
func reach(address string) error {
	network, at := splitAddress(address)
	conn, err := net.DialTimeout(network, at, patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	return exchange(conn, randomBytes(rand.IntN(3000)+1))
}

func (s *server) proxy(name string) (st xinetStatus) {
	s.t.Helper()
	if err := decodeJSON([]byte(s.ok("--json", "xinet", "status", name)), &st); err != nil {
		s.t.Fatal(err)
	}
	return st
}

// TestProxyOfNginx: nginx is started by the first request, answers many at once, is stopped when nobody asks, and started again.
func TestProxyOfNginx(t *testing.T) {
	t.Parallel()
	needs(t, "nginx")
	dir := shortDir(t)
	port, front := freePort(t), filepath.Join(dir, "front")
	conf := fmt.Sprintf("daemon off; pid %s/pid; error_log stderr; events {} http { access_log off; server { listen 127.0.0.1:%d; location / { return 200 hello; } } }", dir, port)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	back := fmt.Sprintf("localhost:%d", port)
	s := startServer(t, map[string]string{
		"nginx": fmt.Sprintf("[service]\nexec = \"nginx -c %s/conf\"\nstatus = \"stop\"\n[health]\ntype = \"tcp\"\ntarget = %q\n", dir, back),
		"web":   proxyFile(front, back, "nginx", "idle_timeout = 1\n"),
	})
	s.ok("list") // all is loaded
	get := func() string {
		conn := dialProxy(t, front)
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		text, err := io.ReadAll(bufio.NewReader(conn))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	for range 2 {
		if st := s.status("nginx"); st.State == running {
			t.Errorf("%+v", st)
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if text := get(); !strings.HasPrefix(text, "HTTP/1.1 200 OK") || !strings.HasSuffix(text, "\r\n\r\nhello") {
					t.Errorf("the answer is %q", text)
				}
			})
		}
		all.Wait()
		eventually(t, "nginx is stopped again", func() bool { return s.status("nginx").State == exited })
	}
	if st := s.proxy("web"); st.TotalConnections != 40 || st.ActiveConnections != 0 || st.Running || st.BytesFromBackend < 40*100 || st.LastError != "" {
		t.Errorf("%+v", st)
	}
	says(t, s.ok("xinet", "status"), "web", front, "nginx", "not running", "40")
	says(t, s.ok("xinet", "status", "web"), "listens on", "40 in all", "after 1 s without a connection")
}

// TestProxyRace: connections at random times, as often as not in the moment in which the service is being stopped for being idle. None is refused or lost, and there are
// never two instances. -proxied says how many connections.
func TestProxyRace(t *testing.T) {
	t.Parallel()
	const pairs, burst = 6, 10
	services, fronts := map[string]string{}, []string{}
	for i := range pairs {
		back := fmt.Sprintf("127.0.0.1:%d", freePort(t))
		fronts = append(fronts, fmt.Sprintf("127.0.0.1:%d", freePort(t)))
		services[fmt.Sprint("back", i)] = echoService(back)
		services[fmt.Sprint("front", i)] = proxyFile(fronts[i], back, fmt.Sprint("back", i), "idle_timeout = 1\nconnect_timeout = 170\n")
	}
	s := startServer(t, services)
	s.ok("list") // all is loaded
	seed := rand.Uint64()
	t.Logf("seed %d, %d connections", seed, *proxied)
	var all sync.WaitGroup
	for i, front := range fronts {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			for range *proxied / pairs / burst {
				var some sync.WaitGroup
				for range burst {
					at := time.Duration(random.IntN(60)) * time.Millisecond
					some.Go(func() {
						time.Sleep(at)
						if err := reach(front); err != nil {
							t.Errorf("%s: %v", front, err)
						}
					})
				}
				some.Wait()
				time.Sleep(970*time.Millisecond + time.Duration(random.IntN(60))*time.Millisecond)
			}
		})
	}
	all.Wait()
	for i := range pairs {
		name := fmt.Sprint("back", i)
		if log := s.ok("logs", name); strings.Contains(log, "in use") {
			t.Errorf("%s ran twice:\n%s", name, log)
		}
		if st := s.status(name); st.State == failed {
			t.Errorf("%+v", st)
		}
	}
	text, _ := os.ReadFile(s.out.Name())
	starts := strings.Count(string(text), "somebody connects to it")
	t.Logf("%d starts", starts)
	if starts < 2*pairs {
		t.Errorf("%d starts are too few to say anything", starts)
	}
}

// TestProxyRaceOverKills: servers are killed at the moment in which the service is stopped for being idle, with connections in the queue of the kernel. All of them are
// served, and there are never two instances. -proxied says how many connections.
func TestProxyRaceOverKills(t *testing.T) {
	t.Parallel()
	back, front := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	b := startInit(t, map[string]string{"back": echoService(back), "front": proxyFile(front, back, "back", "idle_timeout = 1\nconnect_timeout = 170\n")}, boxOptions{}).up()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	const burst = 100
	for range *proxied / burst {
		if err := reach(front); err != nil {
			t.Error(err)
		}
		time.Sleep(970*time.Millisecond + time.Duration(random.IntN(60))*time.Millisecond) // a random time, around that of the idle stop
		old := b.newServer(0)
		halt(t, old)
		conns := make([]net.Conn, burst)
		for k := range conns {
			conns[k] = dialProxy(t, front)
		}
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for k, conn := range conns {
			if err := exchange(conn, []byte(fmt.Sprint("hello ", k))); err != nil {
				t.Errorf("who waited while the server was killed: %v", err)
			}
			conn.Close()
		}
		b.newServer(old)
	}
	b.up()
	if st := b.status("back"); st.State == failed || strings.Contains(b.output(), "in use") {
		t.Errorf("it ran twice: %+v\n%s", st, b.output())
	}
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// halt stops a process, and waits until none of its threads runs any more.
func halt(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is stopped", func() bool {
		files, _ := filepath.Glob(procPath(pid, "/task/*/status"))
		for _, f := range files {
			if text, err := os.ReadFile(f); err == nil && !strings.Contains(string(text), "State:\tT") {
				return false
			}
		}
		return len(files) > 0
	})
}

// visitors connect to an echo all the time until the test ends it. Nobody may be refused; what a server had accepted when it died may break.
func visitors(t *testing.T, address string, n int) (served *atomic.Int64, end func() (served, broken int)) {
	stop := make(chan struct{})
	var group sync.WaitGroup
	var broken atomic.Int64
	served = new(atomic.Int64)
	for range n {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				switch err := reach(address); {
				case err == nil:
					served.Add(1)
				case errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ENOENT):
					t.Errorf("a connection was refused, or nobody answered: %v", err)
					return
				default:
					broken.Add(1)
				}
			}
		})
	}
	return served, func() (int, int) {
		close(stop)
		group.Wait()
		return int(served.Load()), int(broken.Load())
	}
}

// TestProxyOutlivesServers: over kill -9 of the server, restarts and upgrades nobody is refused, and who waited in the queue of the kernel is served.
func TestProxyOutlivesServers(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	back, front := fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	b := startInit(t, map[string]string{"back": echoService(back)}, boxOptions{}).up()
	path := filepath.Join(b.dir, "front.sock")
	b.write("front", fmt.Sprintf("[xinet]\nlisten = [%q, %q]\nbackend = %q\nservice = \"back\"\n", front, path, back))
	says(t, b.ok("reload"), "added: front")
	for i := range 5 {
		conns := make([]net.Conn, 20)
		old := b.newServer(0)
		halt(t, old)
		for k := range conns {
			conns[k] = dialProxy(t, []string{front, path}[k%2])
		}
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for k, conn := range conns {
			if err := exchange(conn, []byte(fmt.Sprint("hello ", k))); err != nil {
				t.Errorf("kill %d: who waited while the server was killed: %v", i, err)
			}
		}
		b.newServer(old)
	}
	b.up()
	pid := b.status("back").PID
	_, tcp := visitors(t, front, 2)
	_, unix := visitors(t, path, 2)
	for range 10 {
		old := b.newServer(0)
		_ = syscall.Kill(old, syscall.SIGKILL)
		b.newServer(old)
	}
	b.up()
	for i := range 3 {
		old := b.serverPID()
		b.signal(sigUsr1)
		eventually(t, "SIGUSR1 is obeyed", func() bool { return strings.Count(b.output(), "replacing the server") == i+1 })
		b.newServer(old)
		b.up()
	}
	b.ok("upgrade")
	b.ok("list")
	served1, broken1 := tcp()
	served2, broken2 := unix()
	t.Logf("%d connections served, %d broke", served1+served2, broken1+broken2)
	if served1 < 20 || served2 < 20 {
		t.Errorf("too few are served: %d and %d", served1, served2)
	}
	if st := b.status("back"); st.PID != pid || st.State != running || st.RestartCount != 0 {
		t.Errorf("back was pid %d and is %+v", pid, st)
	}
	b.ok("xinet", "delete", "front")
	if conn, err := net.Dial("tcp", front); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after its deletion: %v %v", conn, err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("its socket is left behind")
	}
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestProxySplicesByStrace: what strace(1) counts in the server while 8 MB go there and back is splice(2), and no call that would bring the bytes into the program.
func TestProxySplicesByStrace(t *testing.T) {
	t.Parallel()
	needs(t, "strace")
	dir := shortDir(t)
	back, front, counts := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t)), filepath.Join(dir, "counts")
	s := startServer(t, map[string]string{"back": echoService(back), "front": proxyFile(front, back, "back", "")})
	s.ok("list")
	if err := reach(front); err != nil {
		t.Fatal(err)
	}
	strace := exec.Command("strace", "-f", "-c", "-e", "trace=splice,read,write,recvfrom,sendto", "-U", "name,calls", "-o", counts, "-p", fmt.Sprint(s.cmd.Process.Pid))
	said, err := strace.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := strace.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil || !strings.Contains(line, "attached") {
		_ = strace.Wait()
		skip(t, "strace may not look at another process: "+line)
	}
	const size = 8 << 20
	failed := exchange(dialProxy(t, front), randomBytes(size))
	_ = strace.Process.Signal(os.Interrupt)
	_ = strace.Wait() // it ends by the signal
	if failed != nil {
		t.Fatal(failed)
	}
	text, _ := os.ReadFile(counts)
	calls := map[string]int{}
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) == 2 && unicode.IsDigit(rune(f[1][0])) {
			calls[f[0]] = number(f[1])
		}
	}
	t.Logf("calls: %v", calls)
	if others := calls["read"] + calls["write"] + calls["recvfrom"] + calls["sendto"]; calls["splice"] < 4*size>>20 || others > calls["splice"] {
		t.Errorf("%d calls of splice, %d of others:\n%s", calls["splice"], others, text)
	}
}

// TestProxyStandalone: without a keeper a proxy that was made by a client is there after a kill -9, and an upgrade refuses nobody.
func TestProxyStandalone(t *testing.T) {
	t.Parallel()
	back, front := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	s := startServer(t, map[string]string{"back": echoService(back)})
	file := filepath.Join(s.dir, "made.toml")
	if err := os.WriteFile(file, []byte(proxyFile(front, back, "back", "idle_timeout = 1\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	says(t, s.ok("xinet", "create", file), "made is created")
	if err := reach(front); err != nil {
		t.Error(err)
	}
	pid := s.status("back").PID
	for range 2 {
		_ = s.cmd.Process.Kill()
		err := <-s.ended
		s.ended <- err
		s.run()
		if got := strings.TrimSpace(s.ok("xinet", "list")); got != "made" {
			t.Fatalf("the next server has the proxies %q", got)
		}
	}
	if now := s.status("back").PID; now != pid && now != 0 {
		t.Errorf("back was pid %d and is %d", pid, now)
	}
	eventually(t, "a service that an earlier server had started is stopped", func() bool { return s.status("back").State == exited })
	count, end := visitors(t, front, 2)
	for i := range 3 {
		eventually(t, "some are served", func() bool { return count.Load() > int64(10*i) })
		before, _ := os.ReadFile(s.out.Name())
		s.ok("upgrade")
		eventually(t, "the new image listens", func() bool {
			text, _ := os.ReadFile(s.out.Name())
			return strings.Count(string(text), "is listening on") > strings.Count(string(before), "is listening on")
		})
		s.ok("list")
	}
	served, broken := end()
	t.Logf("%d served, %d broke", served, broken)
	s.ok("xinet", "delete", "made")
	if got := strings.TrimSpace(s.ok("xinet", "list")); got != "" {
		t.Errorf("after the deletion there is %q", got)
	}
}

// TestProxyFiles: added, changed and removed files are proxies that come, change and go; what is wrong is said and hinders nobody.
func TestProxyFiles(t *testing.T) {
	t.Parallel()
	back, one, two := fmt.Sprintf("127.0.0.1:%d", freePort(t)), freePort(t), freePort(t)
	front := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	s := startServer(t, map[string]string{
		"back":  echoService(back),
		"front": proxyFile(front(one), back, "back", ""),
		// Ports that our own proxies hold hinder no start.
		"guarded": playing(fmt.Sprintf("ports = [%d]\n", one), "block"),
	})
	s.is("running", "guarded")
	if err := reach(front(one)); err != nil {
		t.Error(err)
	}
	says(t, s.ok("reload"), "nothing changed")
	keeps := dialProxy(t, front(one))
	_, _ = io.WriteString(keeps, "one")
	_, _ = io.ReadFull(keeps, make([]byte, 3))
	s.write("front", proxyFile(front(two), back, "back", "description = \"moved\"\n"))
	says(t, s.ok("reload"), "changed: front")
	if err := exchange(keeps, []byte("and on")); err != nil {
		t.Errorf("a connection over the change: %v", err)
	}
	if _, err := net.Dial("tcp", front(one)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the old address: %v", err)
	}
	if err := reach(front(two)); err != nil {
		t.Error(err)
	}

	s.write("front", "[xinet]\nlisten = [\"nonsense\"]\n")
	if out, code := s.zinit("reload"); code != exitRefused || !strings.Contains(out, "nonsense") {
		t.Errorf("an invalid file: %d %s", code, out)
	}
	if err := reach(front(two)); err != nil {
		t.Errorf("an invalid file took the proxy away: %v", err)
	}
	s.write("front", proxyFile(front(two), back, "back", ""))
	s.ok("reload")

	busy, err := net.Listen("tcp", front(one))
	if err != nil {
		t.Fatal(err)
	}
	s.write("second", proxyFile(front(one), back, "back", ""))
	out, code := s.zinit("reload")
	says(t, out, "added: second", "cannot listen on "+front(one)+": address already in use; it is tried again")
	if code != exitDone || !strings.Contains(s.proxy("second").LastError, "in use") {
		t.Errorf("%d %+v", code, s.proxy("second"))
	}
	busy.Close()
	eventually(t, "the address is free, and taken", func() bool { return reach(front(one)) == nil })

	os.Remove(filepath.Join(s.dir, "services", "second.toml"))
	says(t, s.ok("reload"), "removed: second")
	if _, err := net.Dial("tcp", front(one)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after its removal: %v", err)
	}
	c := s.dial()
	for params, want := range map[string]struct {
		kind errorKind
		text string
	}{
		`{"config":{"name":"x","listen":["` + front(two) + `"],"backend":"/x","service":"back"}}`: {kindXinetError, "address already in use"},
		`{"config":{"xinet":{"name":"front","listen":[":9"],"backend":"/x","service":"back"}}}`:   {kindAlreadyExists, "front exists already"},
		`{"config":{"service":{"name":"x","exec":"true"}}}`:                                       {kindConfigError, "use service.create"},
		`{"config":{"name":"x","listen":["nonsense"],"backend":"/x","service":"back"}}`:           {kindConfigError, "nonsense"},
	} {
		if _, err := c.try("xinet.create", params); err == nil || err.Data["kind"] != string(want.kind) || !strings.Contains(err.Message, want.text) {
			t.Errorf("xinet.create %s: %+v", params, err)
		}
	}
	for _, method := range []string{"xinet.get", "xinet.status", "xinet.delete", "xinet.unregister"} {
		if _, err := c.try(method, `{"name":"frond"}`); err == nil || err.Data["kind"] != string(kindXinetError) || !strings.Contains(err.Message, `no proxy "frond"; did you mean front?`) {
			t.Errorf("%s: %+v", method, err)
		}
	}
	c.call("xinet.register", `{"config":{"name":"front","listen":["`+front(one)+`"],"backend":"`+back+`","service":"back"}}`)
	if text, _ := os.ReadFile(filepath.Join(s.dir, "services", "front.toml")); !strings.Contains(string(text), front(one)) {
		t.Errorf("its file says %s", text)
	}
	says(t, string(c.call("xinet.get", `{"name":"front"}`)), `"xinet"`, front(one), `"connect_timeout":30`)
	if got := s.ok("__complete", "xinet", "status", ""); got != "front\n" {
		t.Errorf("behind `xinet status` there may be %q", got)
	}
	if got := s.ok("__complete", "xinet", "create", ""); got != ":\n" {
		t.Errorf("behind `xinet create` there may be %q", got)
	}
	s.write("typo", proxyFile(filepath.Join(s.dir, "typo.sock"), back, "bakc", ""))
	says(t, s.ok("check", filepath.Join(s.dir, "services")), "typo.toml:1:1: is for the service `bakc`, which is in none of the files; did you mean `back`?")
	says(t, s.ok("reload"), "added: typo", "the proxy typo is for bakc, which does not exist")
	s.ok("xinet", "delete", "front")
	if _, err := os.Lstat(filepath.Join(s.dir, "services", "front.toml")); err == nil {
		t.Error("the file of a deleted proxy is left behind")
	}
}
