// client_test.go is the client's manual: what is typed, what is sent, what is printed, and with which exit code.

//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeServer speaks JSON-RPC on a real socket: for each method one canned result (a JSON text) or error.
type fakeServer struct {
	path string
	mu   sync.Mutex
	sent []string // "method params" of every request
	conn net.Conn // of the newest client

	breaks int // so many requests are answered by the end of the connection
}

// fakeServe answers each method with what `answers` has for it: a result, an error ("!{...}"), nothing ("", the call waits),
// several lines ("\n" between: notifications around the result), or the end of the connection ("EOF").
func fakeServe(t *testing.T, answers map[string]string) *fakeServer {
	t.Helper()
	s := &fakeServer{path: filepath.Join(shortDir(t), "s")}
	l, err := net.Listen("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conn = conn
			s.mu.Unlock()
			go s.talk(conn, answers)
		}
	}()
	return s
}

func (s *fakeServer) talk(conn net.Conn, answers map[string]string) {
	defer conn.Close()
	for in := bufio.NewScanner(conn); in.Scan(); {
		var req struct {
			ID     json.RawMessage
			Method string
			Params json.RawMessage
		}
		if json.Unmarshal(in.Bytes(), &req) != nil {
			return
		}
		call := strings.TrimSpace(req.Method + " " + string(req.Params))
		s.mu.Lock()
		s.sent = append(s.sent, call)
		s.breaks--
		broken := s.breaks >= 0
		s.mu.Unlock()
		if broken {
			return
		}
		answer, known := answers[call]
		if !known {
			answer, known = answers[req.Method]
		}
		if !known {
			answer = `!{"code": -32601, "message": "no method ` + req.Method + `"}`
		}
		for _, line := range strings.Split(answer, "\n") {
			switch {
			case line == "":
			case line == "EOF":
				return
			case strings.HasPrefix(line, "!"):
				fmt.Fprintf(conn, `{"jsonrpc":"2.0","id":%s,"error":%s}`+"\n", req.ID, line[1:])
			case strings.HasPrefix(line, "note "):
				fmt.Fprintln(conn, line[5:])
			default:
				fmt.Fprintf(conn, `{"jsonrpc":"2.0","id":%s,"result":%s}`+"\n", req.ID, line)
			}
		}
	}
}

func (s *fakeServer) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.sent...)
}

// typed is what a command line came to.
type typed struct {
	out, err string
	code     int
}

// zinit runs a command line in this process as if it were typed at a terminal of so many columns; 0: in a pipe.
func zinit(t *testing.T, width int, words ...string) typed {
	t.Helper()
	var out, errs bytes.Buffer
	old := stderr
	stderr = &errs
	defer func() { stderr = old }()
	c := newCLI()
	c.out, c.width, c.color, c.progress = bufio.NewWriter(&out), width, false, false
	code := c.dispatch(words)
	return typed{out.String(), errs.String(), code}
}

// via runs a command line against a fake server.
func (s *fakeServer) via(t *testing.T, words ...string) typed {
	t.Helper()
	return zinit(t, 80, append([]string{"--socket", s.path}, words...)...)
}

// expect compares output with the manual, line by line; the leading newline of a raw string does not count.
func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("%s:\n--- got\n%s--- want\n%s", what, got, want)
	}
}

func (r typed) exits(t *testing.T, code int) typed {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d\nstdout: %sstderr: %s", r.code, code, r.out, r.err)
	}
	return r
}

const (
	webFull = `{"name":"web","kind":"service","state":"running","wish":"up","pid":123,"exit_code":null,"reason":null,` +
		`"health":{"ok":true,"last_error":"","checks":9,"failures":0},"uptime_ms":192000,"restart_count":0,"restart_in_ms":null,` +
		`"blocked_by":[],"config_changed":false,"last_start":0,"last_stop":0,"cpu_percent":1.25,"memory_bytes":1572864,` +
		`"class":"user","critical":true,"oneshot":false,"path":"/etc/zinit/services/web.toml","description":"the shop"}`
	dbFull = `{"name":"db","kind":"service","state":"failed","wish":"up","pid":0,"exit_code":1,"reason":{"type":"exit_code","code":1},` +
		`"health":null,"uptime_ms":0,"restart_count":2,"restart_in_ms":4000,"blocked_by":[],"config_changed":false,"last_start":0,` +
		`"last_stop":0,"cpu_percent":0,"memory_bytes":0,"class":"user","critical":false,"oneshot":false,"path":null,"description":""}`
	appFull = `{"name":"日本語\u001b[31m","kind":"service","state":"blocked","wish":"up","pid":0,"exit_code":null,"reason":null,` +
		`"health":null,"uptime_ms":0,"restart_count":0,"restart_in_ms":null,"blocked_by":["a-service-with-a-rather-long-name","another-one"],` +
		`"config_changed":false,"last_start":0,"last_stop":0,"cpu_percent":0,"memory_bytes":0,"class":"user","critical":false,"oneshot":false,"path":null,"description":""}`
	listFull = `[` + appFull + `, ` + dbFull + `,` + webFull + `]`
	notFound = `!{"code":-32000,"message":"no service wbe","data":{"kind":"service_not_found"}}`
)

func TestListFitsTheTerminal(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list_full": listFull})
	r := s.via(t, "list").exits(t, exitDone)
	expect(t, "list", r.out, `
NAME          STATE    PID  UPTIME  MEMORY  DETAIL
日本語^[[31m  blocked    -       -       -  waits for a-service-with-a-rather-l…
db            failed     -       -       -  exit code 1; restart in 4s; restart…
web           running  123  3m 12s    1.5M
`)
	for _, line := range strings.Split(r.out, "\n") {
		if columns(line) > 80 {
			t.Errorf("wider than the terminal: %q", line)
		}
	}
	if r := zinit(t, 0, "list", "--socket="+s.path); !strings.Contains(r.out, "another-one") {
		t.Errorf("cut although it is no terminal: %s", r.out)
	}
}

func TestNarrowTerminalCutsEveryColumn(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list_full": listFull})
	for width := 1; width < 60; width++ {
		r := zinit(t, width, "--socket", s.path, "list").exits(t, exitDone)
		for _, line := range strings.Split(r.out, "\n") {
			if columns(line) > width {
				t.Fatalf("%d columns: %q has %d", width, line, columns(line))
			}
		}
	}
}

// A number that would be cut is left out: a part of it says something else.
func TestNarrowTerminalCutsNoNumber(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list_full": listFull})
	for width := 10; width < 60; width++ {
		out := zinit(t, width, "--socket", s.path, "list").exits(t, exitDone).out
		web := out[strings.Index(out, "\nweb")+1:]
		for _, word := range strings.Fields(web)[1:] {
			if !strings.Contains("running 123 3m 12s 1.5M", word) && !strings.HasSuffix(word, "…") || strings.ContainsAny(word, "0123456789") && strings.HasSuffix(word, "…") {
				t.Errorf("%d columns: %q", width, web)
			}
		}
	}
}

func TestStatusOfOne(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.status_full": webFull})
	expect(t, "status", s.via(t, "status", "web").exits(t, exitDone).out, `
web - the shop
  state     running
  wish      up
  process   123, up 3m 12s
  uses      1.5M memory, 1.2% CPU
  health    ok, 9 checks
  kind      service, class user, critical
  file      /etc/zinit/services/web.toml
`)
}

func TestStatusOfAllCountsThem(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list_full": listFull})
	r := s.via(t, "status").exits(t, exitDone)
	if !strings.HasSuffix(r.out, "\n\n3 services: 1 running, 1 blocked, 1 failed\n") {
		t.Errorf("no tally: %s", r.out)
	}
}

func TestJSONIsTheResultUnchanged(t *testing.T) {
	odd := `{"z": 1,  "a":"<\u001b>", "n": 12345678901234567890, "code":-0.50}`
	s := fakeServe(t, map[string]string{"service.list_full": `[` + odd + `]`, "service.status_full": odd, "logs.filter": "[" + odd + "]",
		"service.start": odd, "service.why": odd, "system.ping": odd, "service.tree": odd, "service.list": `["a","b"]`, "x.y": odd,
		"service.reload": odd, "service.get": odd})
	for line, want := range map[string]string{
		"--json list":       "[" + odd + "]\n",
		"list --json":       "[" + odd + "]\n",
		"--json status":     "[" + odd + "]\n",
		"--json status a":   odd + "\n",
		"status a b --json": "[" + odd + "," + odd + "]\n",
		"--json logs":       "[" + odd + "]\n",
		"--json start a":    odd + "\n",
		"--json start *":    "[" + odd + "," + odd + "]\n",
		"--json why a":      odd + "\n",
		"--json ping":       odd + "\n",
		"--json tree":       odd + "\n",
		"--json get a":      odd + "\n",
		"--json reload":     odd + "\n",
		"--json call x.y":   odd + "\n",
	} {
		expect(t, line, s.via(t, strings.Fields(line)...).exits(t, exitDone).out, want)
	}
}

func TestExitCodes(t *testing.T) {
	s := fakeServe(t, map[string]string{
		"service.start":                                 `{"ok":true,"state":"starting"}`,
		`service.start {"name":"nil"}`:                  notFound,
		"service.stop":                                  `!{"code":-32006,"message":"shutting down"}`,
		"service.is_running":                            `false`,
		`service.is_running {"name":"web"}`:             `true`,
		"service.list":                                  `["db","web"]`,
		"service.list_full":                             listFull,
		"service.wait":                                  `{"state":"failed"}`,
		`service.wait {"name":"web","state":"running"}`: `{"state":"running"}`,
		`service.wait {"name":"slow","state":"running","timeout_ms":50}`: `!{"code":-32014,"message":"slow is still starting"}`,
		"service.status":  dbFull,
		"system.ping":     `EOF`,
		"system.shutdown": "{\"ok\":true}\nEOF",
	})
	for _, row := range []struct {
		line string
		code int
	}{
		{"start web", exitDone}, {"start --tree web db", exitDone},
		{"stop web", exitRefused}, {"frobnicate", exitUsage}, {"start", exitUsage}, {"start --wat web", exitUsage},
		{"list web", exitUsage}, {"wait web --state flying", exitUsage}, {"--timeout soon list", exitUsage},
		{"logs --since yesterdayish", exitUsage}, {"kill", exitUsage}, {"call x notjson", exitUsage}, {"--timeout", exitUsage},
		{"is-running web", exitDone}, {"is-running db", exitNotRunning}, {"is-running web db", exitNotRunning},
		{"health", exitNotRunning}, {"health web", exitDone}, {"health wbe", exitNoService},
		{"wait web", exitDone}, {"wait db", exitNotRunning}, {"wait slow --timeout 50", exitRefused},
		{"start nope*", exitNoService}, {"ping", exitNoServer}, {"shutdown", exitDone},
		{"probe nonsense", exitUsage}, {"probe unix:/nonexistent/socket", exitNotRunning}, {"version", exitDone}, {"help", exitDone},
		{"help lst", exitUsage}, {"xinet", exitUsage}, {"xinet show", exitUsage}, {"xinet delete", exitUsage}, {"start --help", exitDone}, {"get", exitUsage}, {"discover", exitRefused},
	} {
		if got := s.via(t, strings.Fields(row.line)...); got.code != row.code {
			t.Errorf("zinit %s exits %d, want %d\n%s%s", row.line, got.code, row.code, got.out, got.err)
		}
	}
}

// A connection that breaks before the answer, as when the server is replaced, costs a reader nothing. What changes something is never asked twice.
func TestOnlyReadersAskAgain(t *testing.T) {
	for _, c := range []struct {
		words, method string
		times, code   int
	}{
		{"list", "service.list_full", 2, exitDone}, {"status web", "service.status_full", 2, exitDone}, {"wait web", "service.wait", 2, exitDone},
		{"why web", "service.why", 2, exitDone}, {"start web", "service.start", 1, exitNoServer}, {"start --wait web", "service.start", 1, exitNoServer},
		{"delete web", "service.delete", 1, exitNoServer}, {"kill web", "service.kill", 1, exitNoServer}, {"reload", "service.reload", 1, exitNoServer},
	} {
		s := fakeServe(t, map[string]string{"service.list_full": listFull, "service.status_full": webFull, "service.why": `{"text":"so"}`,
			"service.wait": `{"state":"running"}`, "service.start": `{"ok":true,"state":"running"}`, "service.delete": `{"ok":true}`,
			"service.kill": `{"ok":true}`, "service.reload": `{}`})
		s.breaks = 1
		s.via(t, strings.Fields(c.words)...).exits(t, c.code)
		if got := strings.Count(strings.Join(s.requests(), "\n"), c.method); got != c.times {
			t.Errorf("%s: asked %d times, want %d", c.words, got, c.times)
		}
	}
	s := fakeServe(t, map[string]string{"service.list_full": listFull})
	s.breaks = 2
	s.via(t, "list").exits(t, exitNoServer)
}

// Silence is no answer: only a connection that the server ends says that it goes down.
func TestGoingDown(t *testing.T) {
	for _, verb := range []string{"shutdown", "poweroff", "reboot", "halt"} {
		s := fakeServe(t, map[string]string{"system." + verb: ""})
		r := s.via(t, "--timeout", "50", verb).exits(t, exitNoServer)
		says(t, r.err, "does not answer within 50ms", fmt.Sprintf("kill -TERM %d", os.Getpid()))
		s = fakeServe(t, map[string]string{"system." + verb: "EOF"})
		s.via(t, verb).exits(t, exitDone)
		s = fakeServe(t, map[string]string{"system." + verb: `{"ok":true}`})
		says(t, s.via(t, "--timeout", "50", verb).exits(t, exitRefused).err, "still runs after 50ms")
		s = fakeServe(t, map[string]string{"system." + verb: "{\"ok\":true}\nnote nonsense"})
		s.via(t, verb).exits(t, exitNoServer)
	}
}

func TestMistypedNamesGetTheNearestOne(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.status_full": notFound, "service.list": `["db","web"]`})
	expect(t, "command", s.via(t, "strat", "web").exits(t, exitUsage).err, "zinit: unknown command `strat`\nhint: did you mean `zinit start`?\n")
	expect(t, "flag", s.via(t, "start", "--wiat", "web").exits(t, exitUsage).err, "zinit: unknown flag `--wiat`\nhint: did you mean `--wait`?\n")
	expect(t, "service", s.via(t, "status", "wbe").exits(t, exitNoService).err, "zinit: no service wbe\nhint: did you mean `web`?\n")
}

func TestNoServerNamesThePathsTried(t *testing.T) {
	t.Setenv("ZINIT_SOCKET", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	if conn, err := net.Dial("unix", systemSocket); err == nil {
		conn.Close()
		skip(t, "a server runs on this machine")
	}
	r := zinit(t, 80, "list").exits(t, exitNoServer)
	for _, want := range append(clientSockets(), "zinit: no server answers", "no such socket", "hint: ") {
		if !strings.Contains(r.err, want) {
			t.Errorf("%q is missing in:\n%s", want, r.err)
		}
	}
	r = zinit(t, 80, "--socket", "/nonexistent/s", "list").exits(t, exitNoServer)
	if !strings.Contains(r.err, "/nonexistent/s: no such socket") || strings.Contains(r.err, systemSocket) {
		t.Errorf("with --socket only that counts:\n%s", r.err)
	}
}

// A server of an ordinary user in XDG_RUNTIME_DIR is found without any flag; the environment beats the search, a flag the environment.
func TestWhereTheServerIsLookedFor(t *testing.T) {
	s := fakeServe(t, map[string]string{"system.ping": `{"version":"1","pid":7,"uptime_ms":1500,"mode":"standalone"}`})
	t.Setenv("ZINIT_SOCKET", s.path)
	expect(t, "environment", zinit(t, 80, "ping").exits(t, exitDone).out, "zinit 1 answers: pid 7, up 1s, standalone\n")
	zinit(t, 80, "--socket", s.path+"x", "ping").exits(t, exitNoServer)
	t.Setenv("ZINIT_SOCKET", s.path+"x")
	s.via(t, "ping").exits(t, exitDone)
}

func TestNoColourInAPipe(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list_full": listFull})
	cmd := exec.Command(zinitBinary(t), "--socket", s.path, "list")
	cmd.Env = append(os.Environ(), "TERM=xterm")
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.ContainsRune(out, 0x1b) || !bytes.Contains(out, []byte("running")) {
		t.Errorf("%v: %q", err, out)
	}
}

func TestColourOnATerminalOnly(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list_full": listFull})
	colour := func(c *cli, words ...string) string {
		var out bytes.Buffer
		c.out, c.width, c.color = bufio.NewWriter(&out), 80, true
		c.dispatch(append([]string{"--socket", s.path, "list"}, words...))
		return out.String()
	}
	if got := colour(newCLI()); !strings.Contains(got, "\x1b[32mrunning\x1b[0m") {
		t.Errorf("no green: %q", got)
	}
	if got := colour(newCLI(), "--no-color"); strings.Contains(got, "\x1b") {
		t.Errorf("--no-color: %q", got)
	}
	plain := regexp.MustCompile("\x1b\\[[0-9]*m").ReplaceAllString(colour(newCLI()), "")
	expect(t, "colours take no room", plain, s.via(t, "list").out)
}

func TestGlobsNameManyServices(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list": `["db","web1","web2"]`, "service.stop": `{"ok":true,"state":"stopping"}`})
	expect(t, "stop", s.via(t, "stop", "web*", "web1", "other").exits(t, exitDone).out, "web1: stopping\nweb2: stopping\nother: stopping\n")
}

func TestStartWaitAsksForAllAtOnce(t *testing.T) {
	s := fakeServe(t, map[string]string{
		`service.start {"name":"db","timeout_ms":9000,"tree":false,"wait":true}`:  `{"ok":true,"state":"failed"}`,
		`service.start {"name":"web","timeout_ms":9000,"tree":false,"wait":true}`: `{"ok":true,"state":"running"}`,
		`service.start {"name":"app","timeout_ms":9000,"tree":false,"wait":true}`: `{"ok":true,"state":"blocked","blocked_by":["db"]}`,
		"service.status": dbFull,
		"service.wait":   `{"state":"blocked","blocked_by":["db"]}`,
		"service.why":    `{"todo":["zinit start db"],"text":"app is blocked:\n  requires db, which is exited: it was stopped\nwhat to do:\n  zinit start db\n"}`,
	})
	r := s.via(t, "start", "--wait", "--timeout=9000", "db", "web", "app").exits(t, exitNotRunning)
	expect(t, "stdout", r.out, "web: running\n")
	expect(t, "stderr", r.err, `
zinit: db is failed (exit code 1; restart in 4s; restarted 2×)
hint: zinit why db
zinit: app is blocked, waits for db
hint: zinit start db
hint: zinit why app
`)
}

// web is asked for before db is: its first answer is "blocked", and it is waited for again, but not started again.
func TestStartWaitInAnyOrder(t *testing.T) {
	s := fakeServe(t, map[string]string{
		`service.start {"name":"web","tree":false,"wait":true}`: `{"ok":true,"state":"blocked","blocked_by":["db"]}`,
		`service.start {"name":"db","tree":false,"wait":true}`:  `{"ok":true,"state":"running"}`,
		`service.wait {"name":"web","state":"running"}`:         `{"state":"running"}`,
	})
	expect(t, "stdout", s.via(t, "start", "--wait", "web", "db").exits(t, exitDone).out, "web: running\ndb: running\n")
	if n := len(s.requests()); n != 3 {
		t.Errorf("%d requests: %q", n, s.requests())
	}
}

func TestWaitingShowsWhoIsToGo(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.start": "", "service.status": appFull})
	var errs lockedBuffer
	old := stderr
	stderr = &errs
	defer func() { stderr = old }()
	c := newCLI()
	c.out, c.progress, c.width, c.color = bufio.NewWriter(&bytes.Buffer{}), true, 50, false
	code := make(chan int, 1)
	go func() { code <- c.dispatch([]string{"--socket", s.path, "start", "--wait", "web", "app"}) }()
	eventually(t, "the line says what app waits for", func() bool {
		return strings.Contains(errs.String(), "2 to go: web waits for a-service-with-a-rather")
	})
	s.mu.Lock()
	s.conn.Close()
	s.mu.Unlock()
	if got := <-code; got != exitNoServer {
		t.Errorf("exit code %d after the server was lost", got)
	}
	for _, line := range strings.Split(errs.String(), "\r\x1b[K") {
		if first, _, _ := strings.Cut(line, "\n"); columns(first) > 80 {
			t.Errorf("a progress line wraps: %q", first)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Ctrl-C leaves with 130 and asks the server for nothing more.
func TestInterruptedWaitLeavesTheServerAlone(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.stop": ""})
	cmd := exec.Command(zinitBinary(t), "--socket", s.path, "stop", "--wait", "web")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request has come", func() bool { return len(s.requests()) == 1 })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		skip(t, "no signals here: "+err.Error())
	}
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != exitInterrupted {
		t.Errorf("exit code %d", got)
	}
	if got := s.requests(); len(got) != 1 {
		t.Errorf("more was asked: %q", got)
	}
}

func TestLogs(t *testing.T) {
	lines := `[{"seq":1,"time_ms":1000,"service":"web","stream":"stdout","text":"hello"},
{"seq":2,"time_ms":2000,"service":"db","stream":"stderr","text":"\u001b[2Jgone"}]`
	s := fakeServe(t, map[string]string{"logs.filter": strings.ReplaceAll(lines, "\n", "")})
	expect(t, "all", s.via(t, "logs").exits(t, exitDone).out, "web | hello\ndb  | ^[[2Jgone\n")
	expect(t, "one", s.via(t, "logs", "web", "-n", "5", "--grep", "h", "--stream=stdout").exits(t, exitDone).out, "hello\n^[[2Jgone\n")
	expect(t, "request", s.requests()[1], `logs.filter {"contains":"h","lines":5,"service":"web","stream":"stdout"}`)
	expect(t, "raw", s.via(t, "logs", "--raw", "-n5").exits(t, exitDone).out, "web | hello\ndb  | \x1b[2Jgone\n")
}

func TestLogsFollow(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list": `["db","web"]`, "logs.follow": `{"subscription":3}
note {"jsonrpc":"2.0","method":"log","params":{"subscription":3,"seq":8,"time_ms":5,"service":"web","stream":"stdout","text":"one <b>"}}
note {"jsonrpc":"2.0","method":"log","params":{"subscription":3,"seq":9,"time_ms":6,"service":"web","stream":"stdout","text":"two","lost":4}}
EOF`})
	r := s.via(t, "logs", "-f", "web", "-n", "2").exits(t, exitNoServer)
	expect(t, "request", s.requests()[1], `logs.follow {"lines":2,"services":["web"]}`)
	expect(t, "text", r.out, "one <b>\n(4 lines lost: too slow)\ntwo\n")
	expect(t, "a name of nobody", s.via(t, "logs", "-f", "wbe").exits(t, exitNoService).err, "zinit: no service `wbe`\nhint: did you mean `web`?\n")
	expect(t, "json", s.via(t, "logs", "-f", "--json").out, `
{"seq":8,"time_ms":5,"service":"web","stream":"stdout","text":"one <b>"}
{"seq":9,"time_ms":6,"service":"web","stream":"stdout","text":"two","lost":4}
`)
}

func TestMonitor(t *testing.T) {
	event := `{"subscription":1,"seq":1,"time_ms":0,"type":"state","service":"web","from":"running","to":"failed","reason":{"type":"signal","signal":9,"name":"SIGKILL","core":false}}`
	s := fakeServe(t, map[string]string{"events.subscribe": "{\"subscription\":1}\nnote {\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":" + event + "}\nEOF"})
	expect(t, "text", s.via(t, "monitor", "web").out, "never web: running -> failed (killed by SIGKILL)\n")
	expect(t, "json", s.via(t, "monitor", "--json").out, event+"\n")
}

func TestWhyPrintsTheTextOfTheServer(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.why": `{"name":"web","state":"blocked","blocked":true,"text":"web is blocked\n  requires db: failed (exit code 1)",` +
		`"reasons":[{"type":"requires","service":"db","state":"failed","detail":""},{"type":"failed","service":"db","state":"failed","detail":"exit code 1"}]}`})
	expect(t, "why", s.via(t, "why", "web").exits(t, exitDone).out, `
web is blocked
  requires db: failed (exit code 1)
`)
}

func TestHealthForDocker(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list_full": listFull, "service.list": `["db"]`})
	expect(t, "text", s.via(t, "health", "db").exits(t, exitNotRunning).out, "db is failed (exit code 1; restart in 4s; restarted 2×)\n")
	expect(t, "json", s.via(t, "health", "db", "web", "--json").exits(t, exitNotRunning).out,
		`{"ok":false,"services":[{"name":"db","state":"failed","ok":false},{"name":"web","state":"running","ok":true}]}`+"\n")
	expect(t, "good", s.via(t, "health", "web").exits(t, exitDone).out, "ok, 1 service\n")
	stopped := fakeServe(t, map[string]string{"service.list_full": `[{"name":"job","state":"exited","wish":"up"},{"name":"web","state":"exited","wish":"down"}]`})
	expect(t, "only what is wanted", stopped.via(t, "health").exits(t, exitDone).out, "ok, 1 service\n")
	expect(t, "stopped by a person", stopped.via(t, "health", "web").exits(t, exitNotRunning).out, "web is exited\n")
}

func TestCreateBuildsAConfiguration(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.create": `{"ok":true,"name":"web","path":"/x/web.toml","warnings":[]}`})
	r := s.via(t, "create", "web", "--after", "a,b", "--env", "K=V=W", "--oneshot", "--persist", "--", "sleep", "--json", "5").exits(t, exitDone)
	expect(t, "stdout", r.out, "web is added, file /x/web.toml\n")
	expect(t, "request", s.requests()[0], `service.create {"config":{"dependencies":{"after":["a","b"]},"service":{"env":{"K":"V=W"},"exec":["sleep","--json","5"],"name":"web","oneshot":true}},"persist":true}`)
	s.via(t, "create", "web").exits(t, exitUsage)
}

func TestConfigErrorsAreListed(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.create": `!{"code":-32005,"message":"web is not valid","data":{"kind":"config_error","errors":[{"path":"","line":0,"column":0,"message":"unknown signal BOO\u001b"}]}}`})
	expect(t, "stderr", s.via(t, "create", "web", "--exec", "x").exits(t, exitRefused).err, "zinit: web is not valid\n  unknown signal BOO^[\n")
}

func TestCheckNeedsNoServer(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	write("web.toml", "[service]\nexec = \"true\"\n[dependencies]\nrequires = [\"databas\"]\n")
	good := write("database.toml", "[service]\nexec = \"true\"\n")
	r := zinit(t, 80, "check", dir).exits(t, exitDone)
	if !strings.Contains(r.out, "warning: "+filepath.Join(dir, "web.toml")) || !strings.Contains(r.out, "did you mean `database`?") {
		t.Errorf("no word of the name that nobody has:\n%s", r.out)
	}
	bad := write("bad.toml", "[service]\nexec = \"true\"\nrestat = 1\n")
	r = zinit(t, 80, "check", dir).exits(t, exitRefused)
	if !strings.Contains(r.out, bad+":3:1: ") || !strings.Contains(r.out, "2 good files, 1 error") {
		t.Errorf("the mistake is not shown:\n%s", r.out)
	}
	expect(t, "one file as JSON", zinit(t, 80, "check", "--json", good).exits(t, exitDone).out, `{"ok":true,"errors":[],"warnings":[]}`+"\n")
	zinit(t, 80, "check", filepath.Join(dir, "none")).exits(t, exitRefused)
	write("a.toml", "[service]\nexec = \"true\"\n[dependencies]\nrequires = [\"b\"]\n")
	write("b.toml", "[service]\nexec = \"true\"\n[dependencies]\nrequires = [\"a\"]\n")
	if r := zinit(t, 80, "check", dir).exits(t, exitRefused); !strings.Contains(r.out, "a -> b -> a") {
		t.Errorf("the cycle is not shown:\n%s", r.out)
	}
}

func TestEveryHelpFitsTheScreen(t *testing.T) {
	screens := [][]string{{"help"}}
	for _, cmd := range commands {
		screens = append(screens, []string{"help", cmd.name})
	}
	for _, words := range screens {
		r := zinit(t, 80, words...).exits(t, exitDone)
		if n := strings.Count(r.out, "\n"); n > 23 {
			t.Errorf("%v has %d lines", words, n)
		}
		for _, line := range strings.Split(r.out, "\n") {
			if columns(line) > 80 {
				t.Errorf("%v: too wide: %s", words, line)
			}
		}
	}
	for _, words := range append(screens, []string{"help", "all"}) {
		for _, width := range []int{30, 40, 60} { // narrow ones scroll, but break no word
			for _, line := range strings.Split(zinit(t, width, words...).exits(t, exitDone).out, "\n") {
				if columns(line) > width {
					t.Errorf("%v: wider than %d: %s", words, width, line)
				}
			}
		}
	}
	r := zinit(t, 80, "help", "all")
	for _, cmd := range commands {
		if cmd.group != "" && !strings.Contains(r.out, "\n"+cmd.name+" ") && !strings.HasPrefix(r.out, cmd.name+" ") {
			t.Errorf("%s is missing in help all", cmd.name)
		}
	}
}

func TestServerFlags(t *testing.T) {
	t.Setenv("ZINIT_SOCKET", "/env/socket")
	t.Setenv("ZINIT_CONFIG_DIR", "/one:/two")
	t.Setenv("ZINIT_LOG_LEVEL", "warn")
	options := func(words ...string) (serverOptions, error) {
		c := newCLI()
		if err := c.parse(append([]string{"server"}, words...)); err != nil {
			return serverOptions{}, err
		}
		return c.serverOptions()
	}
	o, err := options()
	want := serverOptions{socket: "/env/socket", socketSet: true, configDirs: []string{"/one", "/two"}, logLevel: "warn", socketMode: 0o600, shutdownTimeout: 30 * time.Second}
	if fmt.Sprint(o) != fmt.Sprint(want) || err != nil {
		t.Errorf("environment: %+v %v", o, err)
	}
	o, err = options("-c", "/a", "--config-dir=/b", "--system-dir", "/s", "--socket", "/x", "--log-level=debug", "--socket-mode", "660", "--socket-group", "g", "--shutdown-timeout-ms", "5")
	want = serverOptions{socket: "/x", socketSet: true, configDirs: []string{"/a", "/b"}, systemDir: "/s", logLevel: "debug", socketMode: 0o660, socketGroup: "g", shutdownTimeout: 5 * time.Millisecond}
	if fmt.Sprint(o) != fmt.Sprint(want) || err != nil {
		t.Errorf("flags: %+v %v", o, err)
	}
	if o, err = options("--socket-group", "g"); err != nil || o.socketMode != 0o660 {
		t.Errorf("a group alone: %+v %v", o, err)
	}
	for _, bad := range [][]string{{"--log-level", "loud"}, {"--socket-mode", "rw"}, {"--shutdown-timeout-ms", "soon"}, {"extra"}, {"--config-dir"}} {
		if _, err := options(bad...); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}

// PID 1 is init whatever the kernel hands it, unless a command is named; the names of links say what to be.
func TestRolesByName(t *testing.T) {
	var errs bytes.Buffer
	old := stderr
	stderr = &errs
	defer func() { stderr = old }()
	c := newCLI()
	for line, want := range map[string]bool{"quiet ro": false, "": false, "list": true, "--json list": true, "-s": false, "--version": true} {
		if got := c.namesCommand(strings.Fields(line)); got != want {
			t.Errorf("%q names a command: %v", line, got)
		}
	}
	t.Setenv("ZINIT_SOCKET", "/nonexistent/s")
	for _, argv := range []string{"/sbin/reboot", "poweroff", "halt", "zinit ping"} {
		if code := role(strings.Fields(argv), 99); code != exitNoServer {
			t.Errorf("%s: exit code %d", argv, code)
		}
	}
}

func TestTextForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0ms", 850 * time.Millisecond: "850ms", 42 * time.Second: "42s", 192 * time.Second: "3m 12s",
		2*time.Hour + 5*time.Minute + time.Second: "2h 5m", 99 * time.Hour: "4d 3h"} {
		expect(t, "duration", people(d), want)
	}
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1024: "1.0K", 1048575: "1.0M", 1572864: "1.5M", 5 << 40: "5.0T"} {
		expect(t, "size", size(n), want)
	}
	for s, want := range map[string]int{"": 0, "abc": 3, "日本": 4, "e\u0301": 1, "🙂": 2, "ä": 1} {
		if got := columns(s); got != want {
			t.Errorf("%q has %d columns, want %d", s, got, want)
		}
	}
	expect(t, "cut", cut("日本語", 5), "日本…")
	expect(t, "cut", cut("日本語", 4), "日…")
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]string{"10m": "11:50:00", "1h30m": "10:30:00", "09:15": "09:15:00", "2026-01-31 07:08": "07:08:00", "2026-01-31T07:08:09Z": "07:08:09"} {
		ms, err := parseSince(s, now)
		if got := time.UnixMilli(ms).UTC().Format(time.TimeOnly); got != want || err != nil {
			t.Errorf("--since %q is %s (%v), want %s", s, got, err, want)
		}
	}
}

func TestCompletionOfAWord(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list": `["db","web"]`})
	for words, want := range map[string]string{
		"sto": "stop\tstop services; what requires them stops first\nstop-all\tstop all services of class user\n", "stop w": "web\n", "--socket " + s.path + " stop d": "db\n",
		"stop --w": "--wait\tuntil it is done; --timeout limits how long\n", "graph --format = m": "mermaid\n", "graph --format=m": "--format=mermaid\n", "graph --format =": "dot\nmermaid\njson\n",
		"kill web US": "USR1\nUSR2\n", "add /e": ":\n", "server --keep": "", "nonsense w": "", "create x -- /bin/w": ":\n",
	} {
		expect(t, words, s.via(t, append([]string{"__complete"}, strings.Split(words, " ")...)...).exits(t, exitDone).out, want)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if r := s.via(t, "completion", shell).exits(t, exitDone); !strings.Contains(r.out, "start-all") || strings.Contains(r.out, "PROGRAM") {
			t.Errorf("%s: %s", shell, r.out)
		}
	}
	s.via(t, "completion", "tcsh").exits(t, exitUsage)
}

// TestUnknownServersAreRefused: nobody but root and ourselves is trusted, and nobody whom the kernel does not name.
func TestUnknownServersAreRefused(t *testing.T) {
	me := os.Geteuid()
	for _, c := range []struct {
		who   peer
		path  string
		named bool
		want  string
	}{
		{peer{known: true, pid: 7, uid: 0}, "/tmp/s", false, ""},
		{peer{known: true, pid: 7, uid: me}, "/tmp/s", false, ""},
		{peer{known: true, pid: 0, uid: me}, "/tmp/s", false, ""},
		{peer{known: true, pid: 7, uid: me + 1}, "/tmp/s", false, fmt.Sprintf("belongs to user %d", me+1)},
		{peer{known: true, pid: 7, uid: me + 1}, "/tmp/s", true, ""},
		{peer{}, "/tmp/s", false, "its user cannot be known"},
		{peer{}, "/tmp/s", true, ""},
		{peer{known: true, pid: 7, uid: me}, "@s", false, ""},
		{peer{known: true, pid: 0, uid: me}, "@s", false, "in another container"},
		{peer{known: true, pid: 0, uid: 0}, "@s", true, "in another container"},
		{peer{}, "@s", true, "in another container"},
	} {
		if err := trusted(c.who, c.path, c.named); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v at %s (named: %v): %v, want %q", c.who, c.path, c.named, err, c.want)
		}
	}
}

// TestCutAnswerIsSaid: a person learns that a list is not whole.
func TestCutAnswerIsSaid(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list_full": `[],"left_out":12`})
	if r := s.via(t, "list").exits(t, exitDone); !strings.Contains(r.err, "the answer to service.list_full lacks 12 more") {
		t.Errorf("%q", r.err)
	}
}

// TestDeleteSaysHowToForceIt: the server's words are for all its clients, the flag is the command line's.
func TestDeleteSaysHowToForceIt(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.delete": `!{"code":-32010,"message":"cannot delete db: required by web","data":{"kind":"dependency_error","names":["web"]}}`})
	if r := s.via(t, "delete", "db").exits(t, exitRefused); !strings.Contains(r.err, "zinit delete --force db, or first zinit delete web") {
		t.Errorf("%q", r.err)
	}
}

// TestAddShowsWarnings: a service whose dependency does not exist is added, and the person is told.
func TestAddShowsWarnings(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.create": `{"ok":true,"name":"x","path":null,"warnings":[{"path":"","line":0,"column":0,"message":"x requires gone, which does not exist"}]}`,
		"service.add": `{"ok":true,"name":"x","path":null,"warnings":[{"path":"","line":0,"column":0,"message":"x requires gone, which does not exist"}]}`})
	if r := s.via(t, "create", "x", "--requires", "gone", "--", "/bin/true").exits(t, exitDone); !strings.Contains(r.err, "warning: x requires gone, which does not exist") {
		t.Errorf("%q", r.err)
	}
}
