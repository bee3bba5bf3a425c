// supervisor_stack_test.go drives a real server with PostgreSQL, Redis and nginx: what a user does, and what a user sees.

//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

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
	for _, k := range descendantsOf(s.cmd.Process.Pid) {
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
