// rpc.go is one request: parse it, find its method, check who may call it, run it, and answer. No socket is touched, and no method is known by name here.

//go:build !windows

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// rpcServer serves all connections of one socket.
type rpcServer struct {
	s        *supervisor
	l        *controlSocket
	byName   map[string]*rpcMethod
	names    []string
	budget   rpcBudget
	turns    feedTurns
	nextSub  atomic.Int64
	detached atomic.Int32
	subs     atomic.Int32
	ending   atomic.Bool // subscriptions send what they have, and end
	configs  sync.Mutex  // one change of the configuration at a time

	once        sync.Once
	description json.RawMessage // what rpc.discover answers

	mu      sync.Mutex
	conns   map[*rpcConn]struct{}
	closed  bool
	reserve *os.File // given up to tell a client that there are no descriptors left
}

// newRPC is a server without a socket.
func newRPC(s *supervisor) *rpcServer {
	r := &rpcServer{s: s, byName: map[string]*rpcMethod{}, conns: map[*rpcConn]struct{}{}}
	for _, m := range rpcMethods {
		m.resolve()
		r.byName[m.name] = &m
		r.names = append(r.names, m.name)
	}
	return r
}

// serveRPC answers the clients of l until close. It returns at once.
func serveRPC(s *supervisor, l *controlSocket) *rpcServer {
	r := newRPC(s)
	r.l = l
	r.reserve, _ = os.Open(os.DevNull)
	background("rpc accept", r.accept)
	return r
}

// close ends all connections and removes the socket.
func (r *rpcServer) close() {
	r.l.close()
	r.lastWords(100 * time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for c := range r.conns {
		c.sock.Close()
	}
}

// lastWords lets subscriptions, and requests that the end of the services has answered, still send what they have.
func (r *rpcServer) lastWords(limit time.Duration) {
	r.ending.Store(true)
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		busy := false
		r.mu.Lock()
		for c := range r.conns {
			c.mu.Lock()
			for id, stop := range c.subs {
				close(stop)
				c.subs[id] = make(chan struct{}) // for whoever ends it next
			}
			busy = busy || c.waiting > 0
			c.mu.Unlock()
		}
		r.mu.Unlock()
		if !busy && r.subs.Load() == 0 {
			return
		}
	}
}

// begin serves one connection of a user if there is room; it may do everything or only read.
func (r *rpcServer) begin(sock *net.UnixConn, uid int, all bool) {
	raw, err := sock.SyscallConn()
	if err != nil {
		sock.Close()
		return
	}
	c := &rpcConn{srv: r, sock: sock, raw: raw, gone: make(chan struct{}), uid: uid, full: all}
	c.calm.L = &c.mu
	r.mu.Lock()
	room := !r.closed && r.budget.take(uid, 1, 0)
	if room {
		r.conns[c] = struct{}{}
	}
	r.mu.Unlock()
	if !room {
		refuseConn(sock, refuse(kindInternalError, "too many connections; close some"))
		return
	}
	background("rpc connection", c.serve)
}

func (r *rpcServer) forget(c *rpcConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
	r.budget.give(c.uid, 1, 0)
}

// rpcCall is one request on its way through a handler.
type rpcCall struct {
	conn   *rpcConn
	row    *rpcMethod
	id     json.RawMessage               // as it came; nil: a notification
	values [rpcParamsMax]json.RawMessage // by the row's order; nil: absent
	later  func() (any, error)           // set by a handler that has to wait: the rest of it, for a goroutine of its own
	then   func()                        // set by a handler, or by its later part, whose it is then: to be done once the answer is out
}

// request runs one request and appends its answer, if that is known now. What waits answers later, to the client or into batch.
func (c *rpcConn) request(out, text []byte, batch *rpcBatch) ([]byte, *rpcCall) {
	r, fail := parseRequest(text)
	q := &rpcCall{conn: c, id: r.id}
	if fail != nil {
		return appendFailure(out, r.id, fail), q
	}
	result, err := q.run(&r)
	if err == nil && q.later != nil {
		c.finish(q, batch)
		return out, q
	}
	return q.answer(out, result, err), q
}

// answer appends what a request is answered: nothing if it is a notification.
func (q *rpcCall) answer(out []byte, result any, err error) []byte {
	switch refused, is := errors.AsType[*rpcError](err); {
	case q.id == nil:
		return out
	case is:
		return appendFailure(out, q.id, refused)
	case err != nil:
		return appendFailure(out, q.id, refuse(kindInternalError, "%v", err))
	}
	return appendAnswer(out, q.id, result)
}

// run finds the method, checks access and parameters, and calls the handler.
func (q *rpcCall) run(r *rpcRequest) (any, error) {
	row := q.server().byName[r.method]
	if row == nil {
		return nil, q.server().unknownMethod(r.method)
	}
	if err := q.conn.mayCall(row.name); err != nil {
		return nil, err
	}
	q.row = row
	if err := q.bind(r); err != nil {
		return nil, err
	}
	return row.handle(q)
}

func (r *rpcServer) unknownMethod(name string) error {
	text := "no method " + quoted(name)
	if near := nearest(name, r.names); near != "" {
		e := refuse(kindMethodNotFound, "%s; did you mean %s?", text, near)
		e.Data.Names = []string{near}
		return e
	}
	return refuse(kindMethodNotFound, "%s; rpc.discover lists them all", text)
}

// finish does the rest of a request that waits.
func (c *rpcConn) finish(q *rpcCall, batch *rpcBatch) {
	background("rpc "+q.row.name, func() {
		result, err := q.later()
		frame := q.answer(nil, result, err)
		if batch != nil {
			batch.add(q.id, frame)
		} else {
			c.flush(frame)
		}
		c.unreserve(len(q.id))
		if q.then != nil {
			q.then()
		}
	})
}

// rpcRequest is the envelope of a request.
type rpcRequest struct {
	id     json.RawMessage // nil: there is none, it is a notification
	method string
	params json.RawMessage // nil: none
	twice  []string        // the path in params to a key that is there twice; nil: there is none
}

// parseRequest reads one request object. With an error, id is what the answer must carry. Members that it does not know, other spellings of
// those that it knows among them, are left alone.
func parseRequest(text []byte) (r rpcRequest, fail *rpcError) {
	twice, err := checkText(text)
	if err != nil {
		return r, refuse(kindParseError, "%v", err)
	}
	members := jsonMembers(bytes.Clone(text)) // the request may wait, and the buffer of the connection does not
	if members == nil {
		return r, refuse(kindInvalidRequest, "a request is an object, or a list of them")
	}
	r.id = members["id"]
	if twice != nil && twice[0] == "id" || len(r.id) > 0 && strings.IndexByte("{[tf", r.id[0]) >= 0 {
		r.id = nil
		return r, refuse(kindInvalidRequest, "id must be given once, as a string, a number or null")
	}
	if len(twice) > 1 && twice[0] == "params" {
		r.twice = twice[1:]
	} else if twice != nil {
		return r, refuse(kindInvalidRequest, "%s is given twice", visible(strings.Join(twice, ".")))
	}
	return r, r.check(members)
}

// check looks at the members of the envelope. A params of null counts as none.
func (r *rpcRequest) check(members map[string]json.RawMessage) *rpcError {
	if string(members["jsonrpc"]) != `"`+rpcVersion+`"` {
		return refuse(kindInvalidRequest, "jsonrpc must be %q", rpcVersion)
	}
	if method := members["method"]; len(method) == 0 || method[0] != '"' {
		return refuse(kindInvalidRequest, "method must be a string")
	}
	r.method = unquoted(members["method"])
	if r.params = members["params"]; string(r.params) == "null" {
		r.params = nil
	}
	if r.params != nil && r.params[0] != '{' && r.params[0] != '[' {
		return refuse(kindInvalidRequest, "params must be an object or a list")
	}
	return nil
}

func (q *rpcCall) server() *rpcServer { return q.conn.srv }

func (q *rpcCall) core() *supervisor { return q.conn.srv.s }

// ask submits an event that is settled at once.
func (q *rpcCall) ask(ev event) (answer, error) { return q.core().ask(ev, nil) }

// park submits an event now and leaves the waiting for its answer to the background; finish makes the result. The wait ends with the client, but for
// what must be finished even then.
func (q *rpcCall) park(ev event, toEnd bool, finish func(answer) (any, error)) (any, error) {
	if err := q.conn.reserve(len(q.id)); err != nil {
		return nil, err
	}
	r, cancel := q.server(), q.conn.gone
	if toEnd {
		cancel = nil
		if r.detached.Add(1) > rpcDetachedMax {
			r.detached.Add(-1)
			q.conn.unreserve(len(q.id))
			return nil, refuse(kindInternalError, "too many deletions are waiting; try again later")
		}
	}
	t := r.s.post(ev)
	q.later = func() (any, error) {
		if toEnd {
			defer r.detached.Add(-1)
		}
		a, err := r.s.settle(ev.name, t, cancel)
		if err != nil {
			return nil, err
		}
		return finish(a)
	}
	return nil, nil
}

// look calls f with the unit that the call names.
func (q *rpcCall) look(f func(g *graph, u *unit, now time.Time)) error {
	return q.lookAt(q.str("name"), f)
}

func (q *rpcCall) lookAt(name string, f func(g *graph, u *unit, now time.Time)) (fail error) {
	q.core().view(func(g *graph, now time.Time) {
		if u := g.unit(name); u != nil {
			f(g, u, now)
		} else {
			fail = g.unknown(name)
		}
	})
	return fail
}
