// rpc_conn_test.go tests a connection: requests in flight, batches, clients that leave, send too much or do not read.

//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

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

// TestBatchIsOneAnswer: a batch whose answers would be larger than one answer may be says for each request that has none that it has none.
func TestBatchIsOneAnswer(t *testing.T) {
	d := newTestDoor(t)
	c := d.dial(t)
	one := `{"jsonrpc":"2.0","id":"a","method":"rpc.discover"}`
	size := len(c.ask(one))
	count := 3 * rpcAnswerMax / size
	text := "[" + one + strings.Repeat(","+one, count-1) + "]"
	got := c.ask(text)
	var all []struct {
		ID     string
		Result any
		Error  *testError
	}
	if err := json.Unmarshal([]byte(got), &all); err != nil || len(all) != count || len(got) > rpcAnswerMax {
		t.Fatalf("%d answers of %d in %d bytes: %v", len(all), count, len(got), err)
	}
	results := 0
	for i, a := range all {
		if a.ID != "a" || (a.Result == nil) == (a.Error == nil) {
			t.Fatalf("answer %d: %+v", i, a.Error)
		}
		if a.Result != nil {
			results++
		}
	}
	if results < count/4 {
		t.Errorf("only %d of %d requests have a result", results, count)
	}
	eventually(t, "nothing is held", func() bool { return d.r.budget.used().held == 0 })
}

// TestWhatFollowsAnAnswerThatWaitsIsDoneOnce: after an answer that comes later, not at once as well. An upgrade executed the new program twice.
func TestWhatFollowsAnAnswerThatWaitsIsDoneOnce(t *testing.T) {
	d := newTestDoor(t)
	var done atomic.Int32
	m := *d.r.byName["system.ping"]
	m.handle = func(q *rpcCall) (any, error) {
		if err := q.conn.reserve(len(q.id)); err != nil {
			return nil, err
		}
		q.then = func() { done.Add(1) }
		q.later = func() (any, error) {
			q.then = func() { done.Add(1) }
			return okResult{true}, nil
		}
		return nil, nil
	}
	d.r.byName["test.later"] = &m
	c := d.dial(t)
	one := `{"jsonrpc":"2.0","id":1,"method":"test.later"}`
	for n, text := range []string{one, "[" + one + "]"} {
		c.ask(text)
		c.ask(`{"jsonrpc":"2.0","id":2,"method":"system.ping"}`)
		eventually(t, "what follows is done", func() bool { return int(done.Load()) > n })
		if got := int(done.Load()); got != n+1 {
			t.Errorf("%s: done %d times", text, got-n)
		}
	}
}
