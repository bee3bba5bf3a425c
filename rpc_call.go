// rpc_call.go is one request on its way: its envelope, batches, finding the method, and the answer. No socket is touched here.

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
)

// line appends the answer to one line of input, if one is due now.
func (c *rpcConn) line(out, line []byte) []byte {
	if line = bytes.TrimLeft(line, " \t\r"); len(line) == 0 {
		return out
	}
	if line[0] == '[' {
		return c.batch(out, line)
	}
	before := len(out)
	out, q := c.request(out, line, nil)
	if len(out) > before {
		out = append(out, '\n')
	}
	if q.later == nil && q.then != nil {
		c.flush(out)
		q.then()
		return out[:0]
	}
	return out
}

// rpcBatch collects the answers of one batch in the order in which they become known. Until all are there they wait for the client like any other answer.
type rpcBatch struct {
	c      *rpcConn
	mu     sync.Mutex
	out    []byte
	parked int // bytes of out that are counted
	room   int // bytes that results may still add, so that what follows them fits into one answer too
	left   int // requests without an end, and the pass over the batch itself
	after  []func()
}

// rpcFailRoom is what the error of a request that a batch has no room for takes, but for its id.
const rpcFailRoom = 192

// add takes the end of one request: its answer, or nothing for a notification. The last one sends the batch.
func (b *rpcBatch) add(id json.RawMessage, frame []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(frame) > b.room+rpcFailRoom {
		frame = appendFailure(nil, id, rpcFail(kindInternalError, "the answers of this batch are over %d bytes; ask for this one by itself", rpcAnswerMax))
	}
	if len(frame) > 0 && b.c.park(len(frame)) {
		b.parked += len(frame)
		b.room -= max(0, len(frame)-rpcFailRoom)
		b.out = append(append(b.out, ','), frame...)
	}
	if b.left--; b.left > 0 {
		return
	}
	b.c.unpark(b.parked)
	if len(b.out) > 0 {
		b.out[0] = '['
		b.c.send(append(b.out, ']', '\n'))
	}
	for _, then := range b.after {
		then()
	}
}

// batch runs the requests of a batch. What was answered before it goes out first; the batch is answered by one frame when all of it is done.
func (c *rpcConn) batch(out, line []byte) []byte {
	var elements []json.RawMessage
	var fail *rpcError
	_, err := checkText(line)
	if err == nil {
		err = json.Unmarshal(line, &elements)
	}
	switch {
	case err != nil:
		fail = rpcFail(kindParseError, "%v", err)
	case len(elements) == 0:
		fail = rpcFail(kindInvalidRequest, "the batch is empty")
	case len(elements) > rpcBatchMax:
		fail = rpcFail(kindInvalidRequest, "the batch has more than %d requests", rpcBatchMax)
	}
	if fail != nil {
		return append(appendFailure(out, nil, fail), '\n')
	}
	c.flush(out)
	b := &rpcBatch{c: c, left: 1 + len(elements), room: rpcAnswerMax - len(line) - rpcFailRoom*len(elements)}
	for _, e := range elements {
		c.batched(b, e)
	}
	b.add(nil, nil)
	return out[:0]
}

func (c *rpcConn) batched(b *rpcBatch, element []byte) {
	b.mu.Lock()
	full := b.room <= 0
	b.mu.Unlock()
	if full {
		var frame []byte
		r, _ := parseRequest(element)
		if r.id != nil {
			frame = appendFailure(nil, r.id, rpcFail(kindInternalError, "not run: the answers of this batch are over %d bytes", rpcAnswerMax))
		}
		b.add(r.id, frame)
		return
	}
	frame, q := c.request(nil, element, b)
	if q.later != nil {
		return
	}
	if q.then != nil {
		b.mu.Lock()
		b.after = append(b.after, q.then)
		b.mu.Unlock()
	}
	b.add(q.id, frame)
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
	switch {
	case err == nil && q.later != nil:
		c.finish(q, batch)
	case r.id == nil:
	case err != nil:
		out = appendFailure(out, r.id, rpcFailure(err))
	default:
		out = appendAnswer(out, r.id, result)
	}
	return out, q
}

// run finds the method, checks access and parameters, and calls the handler.
func (q *rpcCall) run(r *rpcRequest) (any, error) {
	row := q.server().byName[r.method]
	if row == nil {
		return nil, q.server().unknownMethod(r.method)
	}
	if !q.conn.full && !row.read {
		return nil, rpcFail(kindPermissionDenied, "%s: this client may only read; it needs to be root, the server's user or a member of the socket's group", row.name)
	}
	q.row = row
	if err := q.bind(r); err != nil {
		return nil, err
	}
	return row.handle(q)
}

func (r *rpcServer) unknownMethod(name string) error {
	text := "no method " + shortened(name)
	if near := nearest(name, r.names); near != "" {
		e := rpcFail(kindMethodNotFound, "%s; did you mean %s?", text, near)
		e.Data.Names = []string{near}
		return e
	}
	return rpcFail(kindMethodNotFound, "%s; rpc.discover lists them all", text)
}

// finish does the rest of a request that waits.
func (c *rpcConn) finish(q *rpcCall, batch *rpcBatch) {
	background("rpc "+q.row.name, func() {
		result, err := q.later()
		var frame []byte
		switch {
		case q.id == nil:
		case err != nil:
			frame = appendFailure(nil, q.id, rpcFailure(err))
		default:
			frame = appendAnswer(nil, q.id, result)
		}
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
		return r, rpcFail(kindParseError, "%v", err)
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil || members == nil {
		return r, rpcFail(kindInvalidRequest, "a request is an object, or a list of them")
	}
	r.id = members["id"]
	if twice != nil && twice[0] == "id" || len(r.id) > 0 && strings.IndexByte("{[tf", r.id[0]) >= 0 {
		r.id = nil
		return r, rpcFail(kindInvalidRequest, "id must be given once, as a string, a number or null")
	}
	if len(twice) > 1 && twice[0] == "params" {
		r.twice = twice[1:]
	} else if twice != nil {
		return r, rpcFail(kindInvalidRequest, "%s is given twice", visible(strings.Join(twice, ".")))
	}
	return r, r.check(members)
}

// check looks at the members of the envelope. A params of null counts as none.
func (r *rpcRequest) check(members map[string]json.RawMessage) *rpcError {
	if string(members["jsonrpc"]) != `"`+rpcVersion+`"` {
		return rpcFail(kindInvalidRequest, "jsonrpc must be %q", rpcVersion)
	}
	if method := members["method"]; len(method) == 0 || method[0] != '"' {
		return rpcFail(kindInvalidRequest, "method must be a string")
	}
	r.method = unquoted(members["method"])
	if r.params = members["params"]; string(r.params) == "null" {
		r.params = nil
	}
	if r.params != nil && r.params[0] != '{' && r.params[0] != '[' {
		return rpcFail(kindInvalidRequest, "params must be an object or a list")
	}
	return nil
}

// unquoted is the text of a JSON string that is known to be well formed.
func unquoted(v json.RawMessage) (s string) {
	json.Unmarshal(v, &s)
	return s
}
