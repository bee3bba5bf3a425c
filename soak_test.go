// soak_test.go lives through hours in minutes: sixty services that do what services do, clients that ask for anything, servers that are killed.
// soak_check_test.go looks all the while whether something goes wrong.
//
//	go test -run TestSoak -soak 10m -v              half of the time as PID 1 of a container, half of it without a keeper
//	go test -run TestSoak -soak 10m -soak-seed N    the same choices once more (the machine makes its own)

//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var (
	soakTime = flag.Duration("soak", 0, "how long TestSoak goes on")
	soakSeed = flag.Uint64("soak-seed", 0, "the seed of TestSoak; 0: a new one")
)

func TestSoak(t *testing.T) {
	if *soakTime == 0 {
		t.Log("give -soak DURATION: it takes as long as it is told to")
		return
	}
	if *soakSeed == 0 {
		*soakSeed = rand.Uint64N(1 << 32)
	}
	for _, mode := range []string{"container", "standalone"} {
		t.Run(mode, func(t *testing.T) {
			fmt.Printf("soak: %s, %v, -soak-seed %d\n", mode, *soakTime/2, *soakSeed)
			newSoak(t, mode == "container").live(*soakTime / 2)
		})
	}
}

// soak is one server, or one keeper, through which much goes.
type soak struct {
	t                        *testing.T
	dir, socket              string
	box                      *box // nil: standalone
	cmd                      atomic.Pointer[exec.Cmd]
	out                      *os.File
	began                    time.Time
	calm, print, sets, kills []string // services that only wait; that number what they print; that may be changed; that may be killed
	all                      []string

	era   atomic.Int64  // odd while a server is being replaced
	over  atomic.Bool   // it is being shut down
	ended chan struct{} // the keeper, or the last server, has ended
	stop  chan struct{} // no more requests
	busy  sync.WaitGroup
	watch sync.WaitGroup // the sampler
	files sync.Mutex

	dump     sync.Once
	faults   sync.Mutex
	said     map[string]int
	asked    atomic.Int64
	refused  atomic.Int64
	replaced atomic.Int64
	looks    looks
}

func newSoak(t *testing.T, container bool) *soak {
	if os.Getuid() != 0 {
		skip(t, "new namespaces need root")
	}
	s := &soak{t: t, ended: make(chan struct{}), stop: make(chan struct{}), said: map[string]int{}, began: time.Now()}
	s.dir = shortDir(t)
	services := s.services()
	if container {
		s.inBox(services, boxOptions{flags: []string{"--shutdown-timeout-ms", "20000"}})
		background("wait", func() {
			err := <-s.box.ended
			s.box.ended <- err
			if !s.over.Load() {
				s.fault("the keeper ended", "%v", err)
			}
			close(s.ended)
		})
		return s
	}
	s.socket = filepath.Join(s.dir, "s.sock")
	if err := os.Mkdir(filepath.Join(s.dir, "services"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range services {
		s.write(name, text)
	}
	out, err := os.OpenFile(filepath.Join(s.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	s.out = out
	s.runServer()
	t.Cleanup(func() { _ = s.cmd.Load().Process.Kill() })
	return s
}

// inBox starts PID 1 of a container with the services.
func (s *soak) inBox(services map[string]string, o boxOptions) {
	s.t.Helper()
	s.box = startInit(s.t, services, o)
	s.socket = s.box.socket
	s.cmd.Store(s.box.cmd)
	out, err := os.Open(s.box.out.Name()) // its own descriptor is for writing
	if err != nil {
		s.t.Fatal(err)
	}
	s.out = out
}

// runServer runs a server without a keeper, and another one whenever it ends.
func (s *soak) runServer() {
	cmd := exec.Command(zinitBinary(s.t), "server", "--socket", s.socket, "--config-dir", s.servicesDir(), "--shutdown-timeout-ms", "20000")
	cmd.Stdout, cmd.Stderr = s.out, s.out
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.cmd.Store(cmd)
	background("wait", func() {
		err := cmd.Wait()
		if s.over.Load() {
			close(s.ended)
			return
		}
		if s.era.Load()%2 == 0 {
			s.fault("the server ended", "%v", err)
		}
		s.runServer()
	})
}

func (s *soak) servicesDir() string {
	if s.box != nil {
		return filepath.Join(s.box.dir, "services")
	}
	return filepath.Join(s.dir, "services")
}

// write gives a service another file, at once.
func (s *soak) write(name, text string) {
	path := filepath.Join(s.servicesDir(), name+".toml")
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil || os.Rename(path+".new", path) != nil {
		s.fault("cannot write a file", "%v", err)
	}
}

// services are sixty, as NAME -> text.
func (s *soak) services() map[string]string {
	all := map[string]string{}
	add := func(kind *[]string, name, words, more string) {
		all[name] = service(s.t, strings.ReplaceAll(words, "DIR", s.dir), strings.ReplaceAll(more, "DIR", s.dir))
		s.all = append(s.all, name)
		if kind != nil {
			*kind = append(*kind, name)
		}
	}
	const quick = "[lifecycle]\nrestart_delay_ms = 20\nrestart_delay_max_ms = 500\nstop_timeout_ms = 300\n"
	for i := range 8 {
		n := fmt.Sprint("crash", i)
		add(&s.sets, n, "sole=DIR/"+n+" print=up doze=1:900 "+[]string{"exit=3", "die=9", "die=15", "exit=0"}[i%4], strings.Replace(quick, "]\n", "]\nrestart = \"always\"\n", 1)+"[logging]\nconsole = false")
		n = fmt.Sprint("print", i)
		add(&s.print, n, fmt.Sprintf("sole=DIR/%s serial=DIR/%s:%d:%d", n, n, []int{5000, 50000}[i%2], []int{1, 90}[i%2]),
			quick+fmt.Sprintf("[logging]\nconsole = false\nfile = \"DIR/%s.log\"\nmax_size_bytes = 2000000\nkeep = 100", n))
		n = fmt.Sprint("dep", i)
		deps := fmt.Sprintf("[dependencies]\n%s = [\"dep%d\"]\n", []string{"requires", "after", "wants"}[i%3], max(i-1, 0))
		if i == 0 {
			deps = ""
		}
		add(&s.calm, n, "sole=DIR/"+n+" block", deps+quick)
	}
	for i := range 4 {
		n := fmt.Sprint("json", i)
		add(nil, n, "sole=DIR/"+n+" serial=DIR/"+n+":20000:3", quick+"[logging]\nconsole = false\nformat = \"json\"\nfile = \"DIR/"+n+".json\"\nmax_size_bytes = 200000\nkeep = 5")
		n = fmt.Sprint("check", i)
		add(nil, n, "sole=DIR/"+n+" block", quick+fmt.Sprintf("[health]\ntype = \"exec\"\ntarget = [%q, \"doze=0:30\", \"maybe=%d\"]\ninterval_ms = 100\ntimeout_ms = 5000\nstart_interval_ms = 20\nretries = 2", actorBinary(s.t), 10*i))
		n = fmt.Sprint("stage", i)
		all[n] = fmt.Sprintf("[target]\nname = %q\n[dependencies]\nrequires = [\"dep%d\", \"once%d\"]\n", n, i, i)
		s.all = append(s.all, n)
		n = fmt.Sprint("pair", i)
		add(nil, n, fmt.Sprint("sole=DIR/pair-", i/2, " block"), quick+"[dependencies]\nconflicts = [\""+fmt.Sprint("pair", i^1)+"\"]")
	}
	for i := range 6 {
		n := fmt.Sprint("fork", i)
		add(nil, n, "sole=DIR/"+n+[]string{" fork=mark=DIR,ignore=15,block", " stray=DIR:0", " stray=DIR:800:clean"}[i%3]+[]string{" block", " doze=200:2000 exit=1"}[i/3], quick)
		n = fmt.Sprint("hang", i)
		add(&s.kills, n, "sole=DIR/"+n+" ignore=15 block", strings.Replace(quick, "300", "150", 1))
		n = fmt.Sprint("once", i)
		more := "oneshot = true\n" + quick
		if i%2 == 1 {
			more += fmt.Sprintf("stop_exec = [%q, \"exit=1\"]\n", actorBinary(s.t))
		}
		add(nil, n, "sole=DIR/"+n+" doze=0:200 maybe="+fmt.Sprint(10*i)+" exit=0", more)
	}
	for i := range 2 {
		n, port := fmt.Sprint("tcp", i), freePort(s.t)
		add(nil, n, fmt.Sprint("sole=DIR/", n, " port=", port), fmt.Sprintf("ports = [%d]\n%s[health]\ntype = \"tcp\"\ntarget = \"127.0.0.1:%d\"\ninterval_ms = 100\nstart_interval_ms = 20\n", port, quick, port))
		n = fmt.Sprint("critical", i)
		add(nil, n, "sole=DIR/"+n+" block", "critical = true\n"+strings.Replace(quick, "]\n", "]\nrestart = \"always\"\n", 1))
	}
	s.sets = append(s.sets, s.calm...)
	s.kills = append(append(s.kills, s.sets...), s.print...)
	return all
}

// live is the whole life.
func (s *soak) live(long time.Duration) {
	s.looks.init()
	first := s.client(1)
	s.rest(first, "after the start")
	s.looks.base = s.look()
	first.ask("service.start_all", nil, patience)
	s.watch.Add(1)
	background("sampler", func() {
		defer s.watch.Done()
		s.sampler()
	})
	s.go_(func() { s.pinger() })
	s.go_(func() { s.watcher() })
	for n := range 8 {
		s.go_(func() { s.requests(s.client(uint64(n) + 10)) })
	}
	s.go_(func() { s.killer(long) })
	select {
	case <-time.After(long):
	case <-s.ended:
	}
	close(s.stop)
	s.busy.Wait()
	s.finish()
	s.report()
	if text, err := os.ReadFile(s.out.Name()); err == nil && s.t.Failed() {
		path := filepath.Join(cacheDir, "soak-"+filepath.Base(s.t.Name())+".log")
		_ = os.WriteFile(path, text, 0o600)
		for line := range strings.Lines(string(text)) {
			if turnLine.MatchString(line) {
				s.t.Log(strings.TrimSpace(line))
			}
		}
		s.t.Logf("all that the server said is in %s; its end:\n%s", path, text[max(0, len(text)-4000):])
	}
}

// turnLine tells of servers that come and go, and of faults.
var turnLine = regexp.MustCompile("error: |going over|is listening|adopted|the server ended|no upgrade|take over|takes over")

func (s *soak) go_(do func()) {
	s.busy.Add(1)
	background("soak", func() {
		defer s.busy.Done()
		do()
	})
}

// stopped says whether the time is over.
func (s *soak) stopped() bool {
	select {
	case <-s.stop:
		return true
	case <-s.ended:
		return true
	default:
		return false
	}
}

// pause waits, or not when the time is over.
func (s *soak) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.stop:
	case <-s.ended:
	}
}

// killer replaces the server every ten seconds, a few times in a short life.
func (s *soak) killer(long time.Duration) {
	c := s.client(2)
	for every := min(10*time.Second, long/4); ; {
		s.pause(every/2 + time.Duration(c.rng.Int64N(int64(every))))
		if s.stopped() {
			return
		}
		s.replace(c.rng.IntN(2) == 0, []string{"kill", "kill", "kill", "kill", "restart", "upgrade"}[c.rng.IntN(6)])
	}
}

// replace has another server take over, by a signal or a request, and waits until it answers. Connections may break meanwhile.
func (s *soak) replace(signal bool, how string) {
	old := s.client(3)
	defer old.close()
	if old.ask("system.ping", nil, patience).Result == nil { // so that the old server has accepted it, and not the new one from the queue
		return
	}
	s.era.Add(1)
	defer s.era.Add(1)
	s.replaced.Add(1)
	what, began := how+" of the server", time.Now()
	s.t.Logf("after %v: %s", time.Since(s.began).Round(time.Millisecond), what)
	switch {
	case how == "kill" && s.box != nil:
		_ = syscall.Kill(s.serverPID(), syscall.SIGKILL)
	case how == "kill":
		_ = s.cmd.Load().Process.Kill()
	case s.box != nil && signal:
		_ = s.box.cmd.Process.Signal(map[string]syscall.Signal{"restart": syscall.SIGUSR1, "upgrade": syscall.SIGUSR2}[how])
	default:
		method := map[string]string{"restart": "system.prepare_restart", "upgrade": "system.upgrade"}[how]
		if a := old.ask(method, nil, patience); a.Error != nil || a.Result == nil {
			s.fault(method+" is refused", "%+v", a.Error)
			return
		}
	}
	old.conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := old.in.ReadByte(); errors.Is(err, os.ErrDeadlineExceeded) {
		s.fault("no new server", "a minute after the %s the old one is still connected", what)
		return
	}
	for end := time.Now().Add(patience); time.Now().Before(end) && !s.gone(); {
		next := s.client(4)
		if next.dial() && next.ask("system.ping", nil, slack).Result != nil {
			next.close()
			if s.box == nil && how != "upgrade" {
				s.looks.gap(began)
			}
			return
		}
		next.close()
	}
	s.fault("no new server", "a minute after the %s nobody answers", what)
}

func (s *soak) gone() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

func (s *soak) serverPID() int {
	if s.box == nil {
		return s.cmd.Load().Process.Pid
	}
	for end := time.Now().Add(slack); time.Now().Before(end); {
		if pid := s.box.serverPID(); pid != 0 {
			return pid
		}
	}
	return -1 << 20 // nobody's
}

// soakClient is one client: it connects whenever it has to.
type soakClient struct {
	s    *soak
	rng  *rand.Rand
	conn net.Conn
	in   *bufio.Reader
	era  int64
	id   int
}

func (s *soak) client(n uint64) *soakClient {
	return &soakClient{s: s, rng: rand.New(rand.NewPCG(*soakSeed, n))}
}

func (c *soakClient) close() {
	if c.conn != nil {
		c.conn.Close()
	}
	c.conn = nil
}

// dial connects, which takes some tries while there is no server.
func (c *soakClient) dial() bool {
	for end := time.Now().Add(patience); time.Now().Before(end) && !c.s.gone(); time.Sleep(2 * time.Millisecond) {
		era := c.s.era.Load()
		conn, err := net.Dial("unix", c.s.socket)
		if err == nil {
			c.conn, c.in, c.era = conn, bufio.NewReaderSize(conn, 64<<10), era
			return true
		}
		if c.s.looks.based() {
			c.s.refused.Add(1)
			if c.s.box != nil && !c.s.over.Load() {
				c.s.fault("a connection is refused", "though the keeper holds the socket: %v", err)
			}
		}
	}
	if !c.s.gone() {
		c.s.fault("nobody listens", "for a minute no connection could be made")
	}
	return false
}

// pardon says whether a connection may break: its server has been replaced.
func (c *soakClient) pardon() bool {
	return c.era%2 == 1 || c.s.era.Load() != c.era || c.s.gone()
}

type soakAnswer struct {
	Result json.RawMessage
	Error  *testError
}

// ask sends one request and waits for its answer; neither result nor error: the server was replaced meanwhile.
func (c *soakClient) ask(method string, params any, limit time.Duration) (a soakAnswer) {
	if c.conn == nil && !c.dial() {
		return a
	}
	c.id++
	text, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": c.id, "method": method, "params": params})
	if params == nil {
		text = fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":%q}`, c.id, method)
	}
	era := c.s.era.Load()
	if !c.write(append(text, '\n'), string(text)) {
		return a
	}
	for {
		line, ok := c.read(limit+slack, string(text))
		if !ok {
			return a
		}
		var b struct {
			ID any
			soakAnswer
		}
		if err := json.Unmarshal(line, &b); err != nil {
			c.s.fault("an answer that cannot be read", "%v in %.300q", err, line)
			return a
		}
		if b.ID == nil { // a notification
			continue
		}
		if id, _ := b.ID.(float64); int(id) != c.id {
			c.s.fault("an answer to nothing", "%v came, %d was asked: %.300s", b.ID, c.id, line)
			continue
		}
		if era%2 == 0 && c.s.era.Load() == era {
			c.era = era // this server is no longer to be replaced
		}
		if b.Error != nil && !c.pardon() {
			c.judge(string(text), b.Error)
		}
		return b.soakAnswer
	}
}

// judge complains about errors that no request of ours may get.
func (c *soakClient) judge(request string, e *testError) {
	switch e.Code {
	case -32603, -32601, -32602, -32600, -32700, -32004, -32006, -32011, -32012, -32013, -32015:
		c.s.fault(fmt.Sprint("error ", e.Code), "%.300s: %s", request, e.Message)
	}
}

func (c *soakClient) write(text []byte, what string) bool {
	c.s.asked.Add(1)
	c.conn.SetWriteDeadline(time.Now().Add(slack))
	_, err := c.conn.Write(text)
	if err != nil {
		if !c.pardon() {
			c.s.fault("a connection broke", "writing %.200s: %v", what, err)
		}
		c.close()
	}
	return err == nil
}

func (c *soakClient) read(limit time.Duration, what string) ([]byte, bool) {
	c.conn.SetReadDeadline(time.Now().Add(limit))
	line, err := c.in.ReadBytes('\n')
	if err != nil {
		if !c.pardon() {
			c.s.fault("no answer", "%.200s: %v", what, err)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.s.dump.Do(func() { _ = syscall.Kill(c.s.serverPID(), syscall.SIGQUIT) }) // what all goroutines do, in the log
			}
		}
		c.close()
	}
	return line, err == nil
}
