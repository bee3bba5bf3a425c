// rpc_test.go tests requests: the protocol, the order of answers, and whatever bytes may come. The server that these tests share stands here too.

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
	"strings"
	"testing"
	"time"
)

// testDoor is a server over a real socket, whose services are never spawned unless a test starts one.
type testDoor struct {
	s   *supervisor
	r   *rpcServer
	l   *controlSocket
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
	if d.l, err = listenControl(opts); err != nil {
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
		d.s.events.tell(e)
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

// TestWaitingRequestKeepsItsTerms: one that waits does not live in the buffer that the next lines are read into.
func TestWaitingRequestKeepsItsTerms(t *testing.T) {
	d := newTestDoor(t)
	c := d.dial(t)
	c.call("service.add", `{"config":{"target":{"name":"t","status":"stop"}}}`)
	c.send(`{"jsonrpc":"2.0","id":"the one that waits","method":"service.wait","params":{"name":"t","timeout_ms":60000}}` + "\n")
	other := `{"jsonrpc":"2.0","id":` + strings.Repeat("7", 15) + `,"method":"system.ping","params":[          ]}`
	for range 8 {
		c.ask(other)
		d.dial(t).ask(other)
	}
	d.dial(t).call("service.start", `["t"]`)
	if got := c.line(); got != `{"jsonrpc":"2.0","id":"the one that waits","result":{"state":"running"}}` {
		t.Errorf("the waiting one: %s", got)
	}
}

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
