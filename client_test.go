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
	"path/filepath"
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

	listener net.Listener

	breaks int // so many requests are answered by the end of the connection
}

// fakeServe answers each method with what `answers` has for it: a result, an error ("!{...}"), nothing ("", the call waits),
// several lines ("\n" between: notifications around the result), the end of the connection ("EOF"), or that of the server ("END").
func fakeServe(t *testing.T, answers map[string]string) *fakeServer {
	t.Helper()
	s := &fakeServer{path: filepath.Join(shortDir(t), "s")}
	l, err := net.Listen("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	s.listener = l
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
			case line == "END": // of the server
				s.listener.Close()
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
	expect(t, "environment", zinit(t, 80, "ping").exits(t, exitDone).out, "zinit 1 answers: pid 7, up 1.5s, standalone\n")
	zinit(t, 80, "--socket", s.path+"x", "ping").exits(t, exitNoServer)
	t.Setenv("ZINIT_SOCKET", s.path+"x")
	s.via(t, "ping").exits(t, exitDone)
}

func TestGlobsNameManyServices(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list": `["db","web1","web2"]`, "service.stop": `{"ok":true,"state":"stopping"}`})
	expect(t, "stop", s.via(t, "stop", "web*", "web1", "other").exits(t, exitDone).out, "web1: stopping\nweb2: stopping\nother: stopping\n")
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
		if strings.Contains(r.out, "?.") {
			t.Errorf("%v: a question with a full stop:\n%s", words, r.out)
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
	want := serverOptions{socket: "/env/socket", socketSet: true, configDirs: []string{"/one", "/two"}, dirsSet: true, logLevel: "warn", logFormat: "text", socketMode: 0o600, shutdownTimeout: 30 * time.Second}
	if fmt.Sprint(o) != fmt.Sprint(want) || err != nil {
		t.Errorf("environment: %+v %v", o, err)
	}
	o, err = options("-c", "/a", "--config-dir=/b", "--system-dir", "/s", "--socket", "/x", "--log-level=debug", "--socket-mode", "660", "--socket-group", "g", "--shutdown-timeout-ms", "5")
	want = serverOptions{socket: "/x", socketSet: true, configDirs: []string{"/a", "/b"}, systemDir: "/s", logLevel: "debug", socketMode: 0o660, socketGroup: "g", dirsSet: true, logFormat: "text", limitSet: true, shutdownTimeout: 5 * time.Millisecond}
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

func TestSince(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]string{"10m": "11:50:00", "1h30m": "10:30:00", "09:15": "09:15:00", "2026-01-31 07:08": "07:08:00", "2026-01-31T07:08:09Z": "07:08:09"} {
		ms, err := parseTime("since", s, now)
		if got := time.UnixMilli(ms).UTC().Format(time.TimeOnly); got != want || err != nil {
			t.Errorf("--since %q is %s (%v), want %s", s, got, err, want)
		}
	}
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
