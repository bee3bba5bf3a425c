// journey_test.go drives the real program with real services, from the outside: what a user does, and what a user sees.

//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a running `zinit server` with its own directories.
type server struct {
	t       *testing.T
	dir     string
	socket  string
	cmd     *exec.Cmd
	out     *os.File
	ended   chan error
	via     []string        // runs the client elsewhere, on the default socket
	dialed  []net.Conn      // raw connections
	prepare func(*exec.Cmd) // changes how the server is run; may be nil
}

// startServer runs the program on services written as NAME -> text, and waits until it answers. It is killed at the end of the test.
func startServer(t *testing.T, services map[string]string, args ...string) *server {
	t.Helper()
	dir := shortDir(t)
	s := &server{t: t, dir: dir, socket: filepath.Join(dir, "s.sock")}
	if err := os.MkdirAll(filepath.Join(dir, "services"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range services {
		s.write(name, text)
	}
	s.run(args...)
	return s
}

// ordinary has the server run as a user who may not do everything: a number of its own, or whoever runs the test.
func (s *server) ordinary() (uid int) {
	s.t.Helper()
	if uid = os.Getuid(); uid != 0 {
		return uid
	}
	uid = 61000
	for _, dir := range []string{s.dir, filepath.Join(s.dir, "services")} {
		if err := os.Chown(dir, uid, uid); err != nil {
			s.t.Fatal(err)
		}
	}
	s.prepare = func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	return uid
}

// newServer makes the directories of a server that is to be run later.
func newServer(t *testing.T, services map[string]string) *server {
	t.Helper()
	dir := shortDir(t)
	s := &server{t: t, dir: dir, socket: filepath.Join(dir, "s.sock")}
	if err := os.MkdirAll(filepath.Join(dir, "services"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range services {
		s.write(name, text)
	}
	return s
}

func (s *server) run(args ...string) {
	s.t.Helper()
	out, err := os.Create(filepath.Join(s.dir, "server.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.out = out
	s.cmd = exec.Command(zinitBinary(s.t), append([]string{"server", "--socket", s.socket, "--config-dir", filepath.Join(s.dir, "services")}, args...)...)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.Env = append(os.Environ(), "NO_COLOR=1")
	if s.prepare != nil {
		s.prepare(s.cmd)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan error) { ended <- cmd.Wait() }(s.cmd, s.ended)
	cmd, ended := s.cmd, s.ended // of this run: a test may run the server again
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			s.t.Error("the server did not end after SIGTERM")
		}
		out.Close()
		if s.t.Failed() {
			text, _ := os.ReadFile(out.Name())
			s.t.Logf("the server said:\n%s", text)
		}
	})
	eventually(s.t, "the server answers", func() bool {
		c, err := net.Dial("unix", s.socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (s *server) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "services", name+".toml"), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// zinit runs a command as a user would and returns what it printed and its exit code.
func (s *server) zinit(args ...string) (string, int) {
	s.t.Helper()
	argv := append([]string{zinitBinary(s.t), "--socket", s.socket}, args...)
	if s.via != nil {
		argv = append(slices.Clone(s.via), args...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		s.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// ok runs a command that must succeed.
func (s *server) ok(args ...string) string {
	s.t.Helper()
	out, code := s.zinit(args...)
	if code != 0 {
		s.t.Fatalf("zinit %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// status is service.status_full of one service.
func (s *server) status(name string) serviceStatusFull {
	s.t.Helper()
	var st serviceStatusFull
	out, code := s.zinit("--json", "status", name)
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		s.t.Fatalf("status %s (exit code %d): %v\n%s", name, code, err, out)
	}
	return st
}

// is waits until all these services are in a state.
func (s *server) is(state string, names ...string) {
	s.t.Helper()
	for _, n := range names {
		eventually(s.t, n+" is "+state, func() bool { return s.status(n).State.String() == state })
	}
}

// dial is one raw connection to the server.
func (s *server) dial() *testClient {
	s.t.Helper()
	conn, err := net.Dial("unix", s.socket)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	s.dialed = append(s.dialed, conn)
	conn.SetDeadline(time.Now().Add(2 * patience))
	return &testClient{conn, bufio.NewReader(conn), s.t}
}

// stop ends the server as its user does. What would only end by a timeout of more than patience fails the test.
func (s *server) stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
		s.ended <- nil
	case <-time.After(patience):
		s.t.Fatalf("the server did not end within %v", patience)
	}
}

// says fails the test unless text has all of these.
func says(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in\n%s", w, text)
		}
	}
}

// needs skips a test where a program is missing.
func needs(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			skip(t, "no "+p+" on this machine")
		}
	}
}

// freePort is a port that nobody else is given: not by the kernel, whose ports for clients begin at 32768, and hardly by another run of these tests.
func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 10000 + rand.IntN(22000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		l.Close()
		if _, taken := portsTaken.LoadOrStore(port, true); !taken {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

var portsTaken sync.Map

// alive says whether a process with this pid exists and is no zombie.
func alive(pid int) bool {
	st, err := readStat(pid)
	return err == nil && !st.dead()
}

// TestStack runs PostgreSQL, Redis and nginx the way a small product would, and everything that happens to them in a life.
func TestStack(t *testing.T) {
	needs(t, "redis-server", "nginx")
	pg, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(pg) == 0 {
		skip(t, "no PostgreSQL on this machine")
	}
	if os.Getuid() != 0 {
		skip(t, "PostgreSQL runs as another user, which only root can switch to")
	}
	if _, err := user.Lookup("postgres"); err != nil {
		skip(t, "no user postgres")
	}
	dir := shortDir(t)
	db, cache, web := freePort(t), freePort(t), freePort(t)
	page := filepath.Join(dir, "page")
	nginx := filepath.Join(dir, "nginx.conf")
	conf := fmt.Sprintf("daemon off; pid %s/nginx.pid; error_log stderr; events {} http { access_log off; server { listen 127.0.0.1:%d; root %s; } }", dir, web, page)
	for path, text := range map[string]string{nginx: conf, filepath.Join(page, "index.html"): "hello\n"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(dir, "pg")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("chown", "postgres", data).CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	psql := fmt.Sprintf("%s/psql -h 127.0.0.1 -p %d -U postgres", pg[len(pg)-1], db)
	quick := "\n[lifecycle]\nrestart_delay_ms = 100\n"
	s := startServer(t, map[string]string{
		"initdb": fmt.Sprintf("[service]\nexec = \"%s/initdb -D %s -U postgres -A trust\"\nuser = \"postgres\"\noneshot = true\n", pg[len(pg)-1], data),
		"db": fmt.Sprintf("[service]\nexec = \"%s/postgres -D %s -p %d -h 127.0.0.1 -k %s\"\nuser = \"postgres\"\nports = [%d]\n[dependencies]\nrequires = [\"initdb\"]\n"+
			"[health]\ntype = \"tcp\"\ntarget = \"127.0.0.1:%d\"\n[lifecycle]\nrestart_delay_ms = 100\nstop_signal = \"SIGINT\"\n", pg[len(pg)-1], data, db, data, db, db),
		"schema":  fmt.Sprintf("[service]\nexec = '%s -v ON_ERROR_STOP=1 -c \"create table if not exists visits(n int)\"'\noneshot = true\n[dependencies]\nrequires = [\"db\"]\n", psql) + quick,
		"cache":   fmt.Sprintf("[service]\nexec = \"redis-server --port %d --save ''\"\n[health]\ntype = \"tcp\"\ntarget = \"localhost:%d\"\n", cache, cache) + quick,
		"web":     fmt.Sprintf("[service]\nexec = \"nginx -c %s\"\n[dependencies]\nrequires = [\"db\", \"schema\", \"cache\"]\n[health]\ntype = \"http\"\ntarget = \"http://127.0.0.1:%d/\"\n", nginx, web) + quick,
		"product": "[target]\ndescription = \"all of it\"\n[dependencies]\nrequires = [\"web\", \"cache\"]\n",
	})
	t.Log("first boot: initdb, then the database, the schema, the web server, the target")
	s.is("running", "db", "cache", "web", "product")
	s.is("exited", "initdb", "schema")
	s.ok("health")
	if out, err := exec.Command("sh", "-c", psql+" -tc 'select count(*) from visits'").CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "0" {
		t.Fatalf("the schema is not there: %v %s", err, out)
	}

	seen := s.dial()
	seen.call("events.subscribe", `{"types": ["state"]}`)
	t.Log("each is killed, and comes back; what requires it runs on")
	for _, name := range []string{"db", "cache", "web"} {
		before := s.status(name)
		others := map[string]int{}
		for _, o := range []string{"db", "cache", "web"} {
			others[o] = s.status(o).PID
		}
		if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, name+" is back", func() bool {
			now := s.status(name)
			return now.State == running && now.PID != before.PID && now.RestartCount > before.RestartCount
		})
		for o, pid := range others {
			if now := s.status(o).PID; o != name && now != pid {
				t.Errorf("%s was touched when %s was killed: pid %d, then %d", o, name, pid, now)
			}
		}
	}
	s.is("running", "product")

	t.Log("the database is stopped: what requires it stops first, and waits for it")
	s.ok("stop", "db", "--wait")
	s.is("exited", "db")
	s.is("blocked", "web", "product")
	s.is("running", "cache")
	if out := s.ok("why", "web"); !strings.Contains(out, "db") || !strings.Contains(out, "zinit start db") {
		t.Errorf("why web does not name the cause and the way out:\n%s", out)
	}
	if out, code := s.zinit("health"); code != 3 {
		t.Errorf("health with a blocked service: exit code %d\n%s", code, out)
	}
	s.ok("start", "db")
	s.is("running", "db", "web", "product")

	t.Log("a changed file counts from the next start, or at once with reload --restart")
	s.write("cache", fmt.Sprintf("[service]\nexec = \"redis-server --port %d --save '' --databases 3\"\n[health]\ntype = \"tcp\"\ntarget = \"localhost:%d\"\n", cache, cache)+quick)
	s.write("broken", "[service]\nexce = \"x\"\n")
	if out, code := s.zinit("reload"); !strings.Contains(out, "exce") || !strings.Contains(out, "cache") {
		t.Errorf("reload with a broken file beside a changed one: exit code %d\n%s", code, out)
	}
	old := s.status("cache")
	if !old.ConfigChanged || old.State != running {
		t.Errorf("after the reload cache is %+v", old)
	}
	s.ok("restart", "cache", "--wait")
	s.is("running", "cache", "web", "product")
	if out := commandLine(s.status("cache").PID); !strings.Contains(out, "redis-server") || s.status("cache").ConfigChanged {
		t.Errorf("cache runs as %q, changed: %v", out, s.status("cache").ConfigChanged)
	}

	var pids []int
	for _, k := range kinOf(s.cmd.Process.Pid) {
		pids = append(pids, k.pid)
	}
	if len(pids) < 8 {
		t.Errorf("only %d processes: three services, and those that PostgreSQL and nginx have", len(pids))
	}
	t.Log("the server is stopped: nothing is left")
	s.stop()
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d (%s) is left", pid, commandLine(pid))
		}
	}
	s.cameInOrder(seen,
		"db: running -> failed", "db: blocked -> starting", "db: starting -> running", // killed
		"cache: running -> failed", "cache: failed -> starting", "cache: starting -> running",
		"web: running -> failed", "web: failed -> starting", "web: starting -> running", "product: starting -> running",
		"product: running -> blocked", "web: running -> stopping", "web: stopping -> blocked", "db: running -> stopping", "db: stopping -> exited", // db is stopped
		"db: blocked -> starting", "db: starting -> running", "web: blocked -> starting", "web: starting -> running", "product: starting -> running",
		"product: running -> blocked", "web: stopping -> blocked", "cache: stopping -> starting", "cache: starting -> running", "web: starting -> running", "product: starting -> running",
		"product: running -> stopping", "web: running -> stopping", "web: stopping -> exited", "db: running -> stopping", "db: stopping -> exited") // the server is stopped
}

// cameInOrder fails the test unless these changes came in this order, whatever came between. It reads what came until the end of the server.
func (s *server) cameInOrder(c *testClient, want ...string) {
	s.t.Helper()
	var all []string
	for lines := bufio.NewScanner(c.in); lines.Scan(); {
		var e struct {
			Params struct{ Service, From, To string }
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			s.t.Fatalf("%v in %s", err, lines.Text())
		}
		all = append(all, e.Params.Service+": "+e.Params.From+" -> "+e.Params.To)
		if len(want) > 0 && all[len(all)-1] == want[0] {
			want = want[1:]
		}
	}
	if len(want) > 0 {
		s.t.Errorf("%q did not come, or not in its place:\n%s", want[0], strings.Join(all, "\n"))
	}
}

func commandLine(pid int) string {
	return strings.TrimSpace(strings.ReplaceAll(string(sysCmdline(pid)), "\x00", " "))
}
