// rpc_test.go tests the control socket: the protocol, its limits, who may do what, and that each method answers as rpc.discover says.

//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// testDoor is a server over a real socket, whose services are never spawned unless a test starts one.
type testDoor struct {
	s   *supervisor
	r   *rpcServer
	l   *rpcListener
	dir string
}

func newTestDoor(t testing.TB) *testDoor {
	t.Helper()
	dir := shortDir(t)
	services := filepath.Join(dir, "services")
	if err := os.Mkdir(services, 0o755); err != nil {
		t.Fatal(err)
	}
	opts := serverOptions{socket: filepath.Join(dir, "z.sock"), socketMode: 0o600, configDirs: []string{services}, shutdownTimeout: time.Second}
	d := &testDoor{s: newSupervisor(opts, "standalone"), dir: dir}
	d.s.logs = newLogHub(1)
	d.s.do = d.do
	go d.s.run(nil)
	var err error
	if d.l, err = listenRPC(opts); err != nil {
		t.Fatal(err)
	}
	d.r = serveRPC(d.s, d.l)
	t.Cleanup(d.r.close)
	return d
}

// do is what the supervisor does, without processes: no spawn succeeds, so that no test, and no fuzzer, executes what it makes up.
func (d *testDoor) do(e *effect) {
	switch e.kind {
	case effectReply:
		e.ticket.done <- e.reply()
	case effectSpawn:
		d.s.submit(event{kind: eventSpawnFailed, name: e.name, gen: e.gen, text: "no spawning in this test"})
	case effectMoved, effectConfigure, effectForget:
		d.s.moves.tell(e)
	}
}

// testClient is one connection, line by line.
type testClient struct {
	net.Conn
	in *bufio.Reader
	t  testing.TB
}

func (d *testDoor) dial(t testing.TB) *testClient {
	t.Helper()
	conn, err := net.Dial("unix", d.l.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(2 * patience))
	return &testClient{conn, bufio.NewReader(conn), t}
}

func (c *testClient) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *testClient) line() string {
	c.t.Helper()
	s, err := c.in.ReadString('\n')
	if err != nil {
		c.t.Fatalf("no answer: %v (got %q)", err, s)
	}
	return strings.TrimSuffix(s, "\n")
}

func (c *testClient) ask(text string) string {
	c.t.Helper()
	c.send(text + "\n")
	return c.line()
}

// call asks one method with params as JSON and returns its result; a failure fails the test.
func (c *testClient) call(method, params string) json.RawMessage {
	c.t.Helper()
	result, fail := c.try(method, params)
	if fail != nil {
		c.t.Fatalf("%s %s: %d %s", method, params, fail.Code, fail.Message)
	}
	return result
}

type testError struct {
	Code    int
	Message string
	Data    map[string]any
}

func (c *testClient) try(method, params string) (json.RawMessage, *testError) {
	c.t.Helper()
	var a struct {
		Result json.RawMessage
		Error  *testError
	}
	text := c.ask(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params))
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		c.t.Fatalf("%s: %v in %s", method, err, text)
	}
	return a.Result, a.Error
}

const pinged = `,"result":\{"version":"[^"]+","pid":\d+,"uptime_ms":\d+,"mode":"standalone"\}\}`

// TestProtocol is JSON-RPC 2.0: what is sent, and a pattern for the whole answer. Where nothing is answered the ping behind it is.
func TestProtocol(t *testing.T) {
	fails := func(id string, code int, text string) string {
		return fmt.Sprintf(`\{"jsonrpc":"2.0","id":%s,"error":\{"code":%d,"message":"[^"]*%s.*`, id, code, text)
	}
	ping := func(id string) string { return `{"jsonrpc":"2.0","id":` + id + `,"method":"system.ping"}` }
	pong := func(id string) string { return `\{"jsonrpc":"2.0","id":` + id + pinged }
	last := pong("99")
	for _, c := range []struct{ what, send, want string }{
		{"a number as id", ping("7"), pong("7")},
		{"a number as id, byte for byte", ping("1.50e+3"), pong(`1\.50e\+3`)},
		{"a huge number as id", ping("123456789012345678901234567890"), pong("123456789012345678901234567890")},
		{"a string as id, byte for byte", ping(`"a\u0062\/ü"`), pong(`"a\\u0062\\/ü"`)},
		{"null as id is answered", ping("null"), pong("null")},
		{"an object as id", ping("{}"), fails("null", -32600, "id must be")},
		{"true as id", ping("true"), fails("null", -32600, "id must be")},
		{"two ids", `{"jsonrpc":"2.0","id":1,"id":2,"method":"system.ping"}`, fails("null", -32600, "id must be")},
		{"two methods", `{"jsonrpc":"2.0","id":1,"method":"system.ping","method":"x"}`, fails("1", -32600, "method is given twice")},
		{"unknown members", `{"jsonrpc":"2.0","id":1,"method":"system.ping","trace":{"a":[1,2]}}`, pong("1")},
		{"spaces everywhere", " { \"jsonrpc\" : \"2.0\" , \"id\" : 1 , \"method\" : \"system.ping\" , \"params\" : [ ] } \r", pong("1")},
		{"an escaped method", `{"jsonrpc":"2.0","id":1,"method":"system\u002eping"}`, pong("1")},
		{"params of null", `{"jsonrpc":"2.0","id":1,"method":"system.ping","params":null}`, pong("1")},
		{"a notification", `{"jsonrpc":"2.0","method":"system.ping"}`, last},
		{"a notification of an unknown method", `{"jsonrpc":"2.0","method":"nope"}`, last},
		{"a notification with wrong params", `{"jsonrpc":"2.0","method":"service.status"}`, last},
		{"blank lines", "\n\r\n  \t", last},
		{"no version", `{"id":1,"method":"system.ping"}`, fails("1", -32600, "jsonrpc must be")},
		{"another version", `{"jsonrpc":"1.0","id":1,"method":"system.ping"}`, fails("1", -32600, "jsonrpc must be")},
		{"no method", `{"jsonrpc":"2.0","id":1}`, fails("1", -32600, "method must be")},
		{"a number as method", `{"jsonrpc":"2.0","method":1,"params":"bar"}`, fails("null", -32600, "method must be")},
		{"a string as params", `{"jsonrpc":"2.0","id":1,"method":"system.ping","params":"x"}`, fails("1", -32600, "params must be")},
		{"a number", `5`, fails("null", -32600, "a request is an object")},
		{"no JSON", `{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]`, fails("null", -32700, "not JSON")},
		{"a word", `hello`, fails("null", -32700, "not JSON")},
		{"a comma too many", `{"jsonrpc":"2.0","id":1,"method":"system.ping",}`, fails("null", -32700, "not JSON")},
		{"two values", `{"jsonrpc":"2.0","id":1,"method":"system.ping"} {}`, fails("null", -32700, "not JSON")},
		{"a number with a leading zero", ping("01"), fails("null", -32700, "not JSON")},
		{"a wrong escape", ping(`"\x"`), fails("null", -32700, "not JSON")},
		{"invalid UTF-8", ping("\"\xff\""), fails("null", -32700, "UTF-8")},
		{"too deep", `{"jsonrpc":"2.0","id":1,"method":"system.ping","x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, fails("null", -32700, "nested deeper")},
		{"an unknown method", `{"jsonrpc":"2.0","id":1,"method":"system.pin"}`, `.*-32601.*no method \\"system.pin\\"; did you mean system.ping\?.*`},
		{"a wrong value", `{"jsonrpc":"2.0","id":1,"method":"logs.filter","params":{"stream":"x"}}`, `.*-32602.*parameter stream: \\"x\\" is not one of stdout.*`},
		{"an empty batch", `[]`, fails("null", -32600, "empty")},
		{"a broken batch", `[{"jsonrpc":"2.0","id":1,"method":"system.ping"},`, fails("null", -32700, "not JSON")},
		{"a batch of nonsense", `[1]`, `\[` + fails("null", -32600, "a request is an object") + `\]`},
		{"a batch of notifications", `[{"jsonrpc":"2.0","method":"system.ping"},{"jsonrpc":"2.0","method":"nope"}]`, last},
		{"a batch", `[` + ping("1") + `,{"jsonrpc":"2.0","method":"system.ping"},` + ping(`"2"`) + `,{}]`, `\[` + pong("1") + "," + pong(`"2"`) + "," + fails("null", -32600, "") + `\]`},
	} {
		t.Run(c.what, func(t *testing.T) {
			client := newTestDoor(t).dial(t)
			client.send(c.send + "\n" + ping("99") + "\n")
			got := client.line()
			if !regexp.MustCompile("^" + c.want + "$").MatchString(got) {
				t.Errorf("sent %s\ngot  %s\nwant %s", c.send, got, c.want)
			}
			if c.want != last {
				if got := client.line(); !regexp.MustCompile("^" + last + "$").MatchString(got) {
					t.Errorf("the connection did not go on: %s", got)
				}
			}
		})
	}
}

// TestParams: by name, by position, and what each mistake is told.
func TestParams(t *testing.T) {
	c := newTestDoor(t).dial(t)
	c.call("service.add", `{"config":{"service":{"name":"web","exec":"/bin/true","status":"stop"}}}`)
	for _, ok := range []string{`{"name":"web"}`, `["web"]`, `{"n\u0061me":"we\u0062"}`} {
		if got := string(c.call("service.is_running", ok)); got != "false" {
			t.Errorf("%s: %s", ok, got)
		}
	}
	for _, r := range []struct{ method, params, param, text string }{
		{"service.status", `{}`, "name", "missing: it is a string"},
		{"service.status", `[]`, "name", "missing"},
		{"service.status", `{"name":null}`, "name", "missing"},
		{"service.status", `{"name":5}`, "name", `name: 5 is not a string`},
		{"service.status", `["web",1]`, "#2", "surplus: service.status takes name"},
		{"service.status", `{"nmae":"web"}`, "nmae", "did you mean name?"},
		{"service.status", `{"name":"web","colour":1}`, "colour", "unknown: service.status takes name"},
		{"service.status", `{"name":"web","name":"db"}`, "name", "given twice"},
		{"service.start", `{"name":"web","wait":"yes"}`, "wait", "not true or false"},
		{"service.start", `["web",false,false,-1]`, "timeout_ms", "not a whole number"},
		{"service.start", `["web",false,false,1.5]`, "timeout_ms", "not a whole number"},
		{"service.wait", `["web","up"]`, "state", "one of inactive, blocked"},
		{"service.add", `{"config":"x"}`, "config", "not an object"},
		{"events.subscribe", `{"services":"web"}`, "services", "not a list of strings"},
		{"events.subscribe", `{"types":["stat"]}`, "types", "did you mean state?"},
		{"system.ping", `[1]`, "#1", "takes no parameters"},
	} {
		_, fail := c.try(r.method, r.params)
		if fail == nil || fail.Code != -32602 || fail.Data["param"] != r.param || !strings.Contains(fail.Message, r.text) {
			t.Errorf("%s %s: got %+v, want -32602 for %s with %q", r.method, r.params, fail, r.param, r.text)
		}
	}
	if _, fail := c.try("service.status", `["wbe"]`); fail == nil || fail.Code != -32000 || fail.Data["kind"] != "service_not_found" || !strings.Contains(fail.Message, "did you mean web?") {
		t.Errorf("a near name: %+v", fail)
	}
	if _, fail := c.try("service.kill", `["web","SIGNOPE"]`); fail == nil || fail.Code != -32004 {
		t.Errorf("an unknown signal: %+v", fail)
	}
	if _, fail := c.try("service.kill", `["web",15]`); fail == nil || fail.Code != -32003 {
		t.Errorf("kill without a process: %+v", fail)
	}
	if _, fail := c.try("system.reboot", `{}`); fail == nil || fail.Code != -32015 {
		t.Errorf("reboot standalone: %+v", fail)
	}
}

// TestOrder: quick requests are answered in the order in which they came, and one that waits does not hold them up.
func TestOrder(t *testing.T) {
	d := newTestDoor(t)
	c := d.dial(t)
	c.call("service.add", `{"config":{"target":{"name":"t","status":"stop"}}}`)
	var text strings.Builder
	text.WriteString(`{"jsonrpc":"2.0","id":"waits","method":"service.wait","params":["t"]}` + "\n")
	for i := range 500 {
		fmt.Fprintf(&text, `{"jsonrpc":"2.0","id":%d,"method":"service.list"}`+"\n", i)
	}
	c.send(text.String())
	for i := range 500 {
		if got, want := c.line(), fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":["t"]}`, i); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	d.dial(t).call("service.start", `["t"]`)
	if got := c.line(); got != `{"jsonrpc":"2.0","id":"waits","result":{"state":"running"}}` {
		t.Errorf("the waiting one: %s", got)
	}
	if got := c.ask(`[{"jsonrpc":"2.0","id":1,"method":"service.stop","params":["t",true]},{"jsonrpc":"2.0","id":2,"method":"service.list"}]`); !strings.HasPrefix(got, `[{"jsonrpc":"2.0","id":`) || strings.Count(got, `"result"`) != 2 {
		t.Errorf("a batch with one that waits: %s", got)
	}
}

// waitersOf counts the requests that are parked in a unit.
func (d *testDoor) waitersOf(name string) (n int) {
	d.s.view(func(g *graph, _ time.Time) { n = len(g.unit(name).waiters) })
	return n
}

// TestPeerGone: the waiting requests of a client end with it, also when it had closed its sending side before; as long as it only did that, it is answered.
func TestPeerGone(t *testing.T) {
	d := newTestDoor(t)
	c := d.dial(t)
	c.call("service.add", `{"config":{"target":{"name":"t","status":"stop"}}}`)
	for _, half := range []bool{false, true} {
		gone := d.dial(t)
		gone.send(`{"jsonrpc":"2.0","id":1,"method":"service.wait","params":["t","failed"]}` + "\n")
		eventually(t, "the request is parked", func() bool { return d.waitersOf("t") == 1 })
		if half {
			gone.Conn.(*net.UnixConn).CloseWrite()
			c.call("service.list", `[]`)
		}
		gone.Close()
		eventually(t, "its waiter is cancelled", func() bool { return d.waitersOf("t") == 0 })
	}
	half := d.dial(t)
	half.send(`{"jsonrpc":"2.0","id":1,"method":"service.wait","params":["t"]}`)
	half.Conn.(*net.UnixConn).CloseWrite()
	eventually(t, "the last line counts without its end", func() bool { return d.waitersOf("t") == 1 })
	c.call("service.start", `["t"]`)
	if got := half.line(); !strings.Contains(got, `"state":"running"`) {
		t.Errorf("a half-closed client: %s", got)
	}
	if _, err := half.in.ReadByte(); err != io.EOF {
		t.Errorf("after the last answer: %v, want the end", err)
	}
	eventually(t, "only one connection is left", func() bool { d.r.mu.Lock(); defer d.r.mu.Unlock(); return len(d.r.conns) == 1 })
}

func TestRow30_OversizedLine(t *testing.T) {
	d := newTestDoor(t)
	for what, text := range map[string]string{"without an end": strings.Repeat("x", rpcLineMax+1), "with an end": strings.Repeat(" ", rpcLineMax+1) + "\n"} {
		c := d.dial(t)
		go io.WriteString(c.Conn, text)
		if got := c.line(); !strings.Contains(got, `"id":null,"error":{"code":-32600`) {
			t.Errorf("%s: %s", what, got)
		}
		c.Conn.(*net.UnixConn).CloseWrite()
		if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
			t.Errorf("%s: after it came %q, %v", what, rest, err)
		}
	}
	c := d.dial(t)
	go io.WriteString(c.Conn, strings.Repeat(" ", rpcLineMax-60)+`{"jsonrpc":"2.0","id":1,"method":"service.list"}`+"\n")
	if got := c.line(); got != `{"jsonrpc":"2.0","id":1,"result":[]}` {
		t.Errorf("a line just within the limit: %s", got)
	}
	eventually(t, "all memory is given back", func() bool { return d.r.budget.used().held == 0 })
}

func TestRow30_ClientThatDoesNotRead(t *testing.T) {
	d := newTestDoor(t)
	c := d.dial(t)
	ask := []byte(strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}`+"\n", 100))
	for {
		if _, err := c.Conn.Write(ask); err != nil {
			break
		}
	}
	eventually(t, "it is disconnected and its memory given back", func() bool {
		d.r.mu.Lock()
		defer d.r.mu.Unlock()
		return len(d.r.conns) == 0 && d.r.budget.used().held == 0
	})
	if got := d.dial(t).ask(`{"jsonrpc":"2.0","id":1,"method":"service.list"}`); !strings.Contains(got, "[]") {
		t.Errorf("another client: %s", got)
	}
}

func TestRow30_ManyIdleConnections(t *testing.T) {
	d := newTestDoor(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 1000 {
		c, err := net.Dial("unix", d.l.path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, `{"jsonrpc":"2.0","id":1,"method":"service.list"}`+"\n")
	}
	c := d.dial(t)
	c.call("service.list", "[]")
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapInuse+after.StackInuse) - int64(before.HeapInuse+before.StackInuse)) / 1000
	t.Logf("%d bytes for each connection, both ends", each)
	if each > 20<<10 {
		t.Errorf("an idle connection holds %d bytes", each)
	}
	for range rpcConnsMax {
		c, err := net.Dial("unix", d.l.path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	over := d.dial(t)
	if got := over.line(); !strings.Contains(got, "too many connections") {
		t.Errorf("over the limit: %s", got)
	}
	c.call("service.list", "[]")
}

func TestWaitingLimit(t *testing.T) {
	d := newTestDoor(t)
	c := d.dial(t)
	c.call("service.add", `{"config":{"target":{"name":"t","status":"stop"}}}`)
	for range rpcWaitingMax {
		c.send(`{"jsonrpc":"2.0","id":1,"method":"service.wait","params":["t"]}` + "\n")
	}
	if _, fail := c.try("service.wait", `["t"]`); fail == nil || !strings.Contains(fail.Message, "256 requests") {
		t.Errorf("one more: %+v", fail)
	}
	if _, fail := c.try("events.subscribe", `[]`); fail == nil {
		t.Error("one more subscription was accepted")
	}
}

// nobody is a user who may only read.
const nobody = 65534

// dialReader is a connection that the server takes for one that may only read.
func (d *testDoor) dialReader(t *testing.T, uid int) *testClient {
	t.Helper()
	l, err := listenUnix(filepath.Join(t.TempDir(), "r"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	sock, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	d.r.begin(sock, uid, false)
	return &testClient{conn, bufio.NewReader(conn), t}
}

func TestAccess(t *testing.T) {
	me := os.Geteuid()
	for _, c := range []struct {
		who  peer
		gid  int
		want bool
	}{
		{peer{known: true, uid: 0, groups: []int{0}}, -1, true},
		{peer{known: true, uid: me, groups: []int{7}}, -1, true},
		{peer{known: true, uid: me + 1, groups: []int{7}}, -1, false},
		{peer{known: true, uid: me + 1, groups: []int{7, 50}}, 50, true},
		{peer{known: true, uid: me + 1, groups: []int{7, 51}}, 50, false},
		{peer{}, -1, false},
	} {
		if got := c.who.mayAll(c.gid); got != c.want {
			t.Errorf("%+v with socket group %d: %v", c.who, c.gid, got)
		}
	}
	c := newTestDoor(t).dialReader(t, nobody)
	table := rpcMethods
	for i := range table {
		if m := &table[i]; !m.read {
			if _, fail := c.try(m.name, `{}`); fail == nil || fail.Code != -32013 {
				t.Errorf("%s by a reader: %+v", m.name, fail)
			}
		}
	}
	c.call("service.list", `[]`)
}

func TestRow33_SocketPath(t *testing.T) {
	d := newTestDoor(t)
	opts := d.s.opts
	info, err := os.Lstat(d.l.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the socket: %v, %v", info.Mode(), err)
	}
	if _, err := listenRPC(opts); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("pid %d", os.Getpid())) {
		t.Errorf("a second server: %v, want a refusal that names pid %d", err, os.Getpid())
	}
	for what, place := range map[string]func(path string) error{
		"file":      func(p string) error { return os.WriteFile(p, []byte("mine"), 0o600) },
		"directory": func(p string) error { return os.Mkdir(p, 0o700) },
		"symlink":   func(p string) error { return os.Symlink(d.l.path, p) },
	} {
		opts.socket = filepath.Join(d.dir, what)
		if err := place(opts.socket); err != nil {
			t.Fatal(err)
		}
		if _, err := listenRPC(opts); err == nil || !strings.Contains(err.Error(), "left alone") {
			t.Errorf("a %s at the path: %v", what, err)
		}
		if _, err := os.Lstat(opts.socket); err != nil {
			t.Errorf("the %s is gone: %v", what, err)
		}
	}
	opts.socket, opts.socketMode, opts.socketGroup = filepath.Join(d.dir, "new/deep/stale"), 0o660, fmt.Sprint(os.Getegid())
	first, err := listenRPC(opts)
	if err != nil {
		t.Fatal(err)
	}
	first.sock.Close() // as if it had been killed: the file stays
	second, err := listenRPC(opts)
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	if info, _ := os.Lstat(opts.socket); info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v", info.Mode())
	}
	first.close()
	if _, err := os.Lstat(opts.socket); err != nil {
		t.Error("the first server removed the socket of the second")
	}
	second.close()
	if left, _ := os.ReadDir(filepath.Dir(opts.socket)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRow54_NoDescriptors(t *testing.T) {
	d := newTestDoor(t)
	opts := d.s.opts
	opts.socket = filepath.Join(d.dir, "other")
	l, err := listenRPC(opts)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	r := newRPC(d.s)
	r.l = l
	r.reserve, _ = os.Open(os.DevNull)
	conn, err := net.Dial("unix", opts.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r.turnAway()
	got, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(got), "no file descriptors left") {
		t.Errorf("the client got %q, %v", got, err)
	}
	if r.reserve == nil {
		t.Error("the reserve was not taken again")
	}
}

// TestConfigFiles: what create, set, update and delete do to the files, and that a refused change changes nothing.
func TestConfigFiles(t *testing.T) {
	d := newTestDoor(t)
	c := d.dial(t)
	file := filepath.Join(d.s.opts.configDirs[0], "web.toml")
	text := func() string { b, _ := os.ReadFile(file); return string(b) }
	conf := func(extra string) string {
		return `{"config":{"service":{"name":"web","exec":"/bin/true","status":"stop"}` + extra + `}}`
	}
	refused := func(method, params string, code int) {
		t.Helper()
		before := text()
		if _, fail := c.try(method, params); fail == nil || fail.Code != code {
			t.Errorf("%s %s: %+v, want %d", method, params, fail, code)
		}
		if text() != before {
			t.Errorf("%s %s was refused, but changed the file", method, params)
		}
	}
	refused("service.update", conf(""), -32000)
	if got := string(c.call("service.monitor", conf(""))); got != `{"ok":true,"name":"web","path":null,"warnings":[]}` || text() != "" {
		t.Errorf("monitor: %s, file %q", got, text())
	}
	refused("service.create", conf(""), -32007)
	if got := string(c.call("service.set", conf(""))); !strings.Contains(got, file) || !strings.Contains(text(), "/bin/true") {
		t.Errorf("set: %s, file %q", got, text())
	}
	c.call("service.update", conf(`,"dependencies":{"requires":["db"]}`))
	if !strings.Contains(text(), "db") {
		t.Errorf("update kept the file %q", text())
	}
	c.call("service.add", `{"config":{"target":{"name":"db","status":"stop"},"dependencies":{"requires":["base"]}}}`)
	refused("service.set", conf(`,"dependencies":{"requires":["web"]}`), -32010)
	refused("service.register", `{"config":{"target":{"name":"base"},"dependencies":{"after":["web"]}}}`, -32010)
	refused("service.set", `{"config":{"service":{"name":"web","exce":"x"}}}`, -32005)
	refused("service.delete", `["db"]`, -32010)
	if got := string(c.call("service.check", `{"config":{"target":{"name":"base"},"dependencies":{"after":["web"]}}}`)); !strings.Contains(got, `"ok":false`) {
		t.Errorf("check of a cycle: %s", got)
	}
	c.call("service.delete", `["web"]`)
	if _, err := os.Lstat(file); err == nil {
		t.Error("the file of a deleted service is still there")
	}
	if err := os.WriteFile(file, []byte("[service]\nexce = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused("service.register", conf(""), -32008)
	if got := string(c.call("service.reload", `{}`)); !strings.Contains(got, "exce") {
		t.Errorf("reload: %s", got)
	}
}

// TestSubscriptions: events and log lines come after the answer, only what was asked for, and end when told.
func TestSubscriptions(t *testing.T) {
	d := newTestDoor(t)
	c, other := d.dial(t), d.dial(t)
	for _, n := range []string{"a", "b"} {
		other.call("service.add", `{"config":{"target":{"name":"`+n+`","status":"stop"}}}`)
	}
	var sub subscribeResult
	json.Unmarshal(c.call("events.subscribe", `{"services":["b"],"types":["state"]}`), &sub)
	other.call("service.start", `["a"]`)
	other.call("service.start", `["b",false,true]`)
	var to []string
	for slices.Index(to, "running") < 0 {
		var note struct {
			Method string
			Params serviceEvent
		}
		text := c.line()
		if err := json.Unmarshal([]byte(text), &note); err != nil || note.Method != "event" || note.Params.Service != "b" || note.Params.Subscription != sub.Subscription || note.Params.Type != "state" {
			t.Fatalf("%v: %s", err, text)
		}
		to = append(to, note.Params.To.String())
	}
	if got := string(c.call("events.unsubscribe", fmt.Sprintf("[%d]", sub.Subscription))); got != `{"ok":true}` {
		t.Errorf("unsubscribe: %s", got)
	}
	if _, fail := c.try("events.unsubscribe", fmt.Sprintf("[%d]", sub.Subscription)); fail == nil || fail.Code != -32602 {
		t.Errorf("unsubscribe again: %+v", fail)
	}
	d.s.logs.add("a", "stdout", "first")
	follow := d.dial(t)
	json.Unmarshal(follow.call("logs.follow", `{}`), &sub)
	for _, want := range []string{"first", "second"} {
		text := follow.line()
		var note struct {
			Method string
			Params struct {
				logLine
				Subscription int64
			}
		}
		if err := json.Unmarshal([]byte(text), &note); err != nil || note.Method != "log" || note.Params.Text != want || note.Params.Subscription != sub.Subscription {
			t.Fatalf("%v: %s, want %s", err, text, want)
		}
		d.s.logs.add("a", "stdout", "second")
	}
}

// TestEventFeedDropsOldest: who tells never waits for a slow subscriber; the newest events stay and the lost ones are counted.
func TestEventFeedDropsOldest(t *testing.T) {
	h := newMoveHub()
	f := h.subscribe(nil, nil)
	for range eventFeedMax + 5 {
		h.tell(&effect{kind: effectMoved, name: "x", from: starting, to: running})
	}
	var text []byte
	for len(f.ring) > 0 {
		text = append(text, f.take(nil, 3)...)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != eventFeedMax || !strings.Contains(lines[0], `"seq":6,`) || !strings.Contains(lines[0], `"lost":5`) || strings.Contains(lines[1], "lost") {
		t.Errorf("%d events, first %s", len(lines), lines[0])
	}
	f.close()
	h.tell(&effect{kind: effectMoved})
	if len(f.ring) != 0 {
		t.Error("a closed feed got an event")
	}
}

// --- fuzzing ---

// answered sends text on a connection of its own, half-closes it and returns all lines that came back; each must be JSON.
func answered(t *testing.T, d *testDoor, text []byte) (lines [][]byte) {
	c := d.dial(t)
	defer c.Close()
	go func() {
		c.Conn.Write(text)
		c.Conn.(*net.UnixConn).CloseWrite()
	}()
	all, err := io.ReadAll(c.in)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	for _, line := range bytes.Split(bytes.TrimSuffix(all, []byte("\n")), []byte("\n")) {
		if len(line) > 0 && !json.Valid(line) {
			t.Fatalf("%q was answered by %q", text, line)
		}
		lines = append(lines, line)
	}
	return lines
}

// FuzzFrames: whatever comes over the wire, only JSON goes back, and the server goes on.
func FuzzFrames(f *testing.F) {
	for _, s := range []string{`{"jsonrpc":"2.0","id":1,"method":"system.ping"}`, "[]", "[1,2]", "\r\n", `{"jsonrpc":"2.0","id":"\ud800","method":"service.list"}`, "{", `[[]]`, "\x00\xff",
		`{"jsonrpc":"2.0","id":1e999,"method":"service.status","params":{"name":"\u0000"}}` + "\n[" + `{"jsonrpc":"2.0","method":"x"}` + "]"} {
		f.Add([]byte(s))
	}
	d := newTestDoor(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Contains(text, []byte("shutdown")) || bytes.Contains(text, []byte(`\u`)) {
			return
		}
		answered(t, d, text)
		if got := answered(t, d, []byte(`{"jsonrpc":"2.0","id":5,"method":"service.is_running","params":["x"]}`)); len(got) != 1 || !bytes.Contains(got[0], []byte(`"id":5`)) {
			t.Fatalf("after %q: %q", text, got)
		}
	})
}

// FuzzParams: every method answers any params exactly once.
func FuzzParams(f *testing.F) {
	table := rpcMethods
	for i := range table {
		for _, p := range []string{"[]", "{}", `["web"]`, `{"name":"web","wait":true,"timeout_ms":1}`, `[{"service":{"name":"web","exec":"x","status":"stop"}}]`, `[1,null,"x",[],{},true,5]`} {
			f.Add(i, p)
		}
	}
	d := newTestDoor(f)
	f.Fuzz(func(t *testing.T, i int, params string) {
		m := &table[uint(i)%uint(len(table))]
		if m.name == "system.shutdown" || !json.Valid([]byte(params)) || m.name == "service.wait" && !strings.Contains(params, "timeout_ms") {
			return
		}
		params = strings.Join(strings.Fields(params), " ")
		text := fmt.Sprintf(`{"jsonrpc":"2.0","id":"q","method":%q,"params":%s}`, m.name, params)
		c := d.dial(t)
		defer c.Close()
		var first map[string]any
		if err := json.Unmarshal([]byte(c.ask(text)), &first); err != nil || first["id"] != "q" && first["error"] == nil {
			t.Fatalf("%s: %v, %v", text, err, first)
		}
	})
}

// TestMissingDependencyIsAWarning: a service is added although what it requires is not there, and the answer names it.
func TestMissingDependencyIsAWarning(t *testing.T) {
	c := newTestDoor(t).dial(t)
	for _, method := range []string{"service.monitor", "service.set"} {
		got := string(c.call(method, `{"config":{"service":{"name":"web","exec":"/bin/true","status":"stop"},"dependencies":{"requires":["gone"],"wants":["lost"],"after":["later"]}}}`))
		for _, want := range []string{`"ok":true`, "web requires gone, which does not exist", "web wants lost, which does not exist"} {
			if !strings.Contains(got, want) || strings.Contains(got, "later") {
				t.Errorf("%s: %s, want %s", method, got, want)
			}
		}
	}
}
