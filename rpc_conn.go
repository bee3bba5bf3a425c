// rpc_conn.go is one connection: lines in, answers out without ever waiting for the client, and batches. What a request means is not known here.

//go:build !windows

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// rpcConn is one client. Its goroutine reads, and answers what is quick; requests that wait, subscriptions and
// unread answers have goroutines of their own only for as long as they exist.
type rpcConn struct {
	srv  *rpcServer
	sock *net.UnixConn
	raw  syscall.RawConn
	uid  int
	full bool // may do everything, not only read
	gone chan struct{}

	// of the reading goroutine
	in      []byte // nil while nothing has arrived
	scanned int    // of in, known to hold no newline
	owned   int    // of in, counted in the budget
	readErr error

	mu      sync.Mutex
	calm    sync.Cond // the unread bytes became few, or the end came
	out     []byte    // waits for the writer
	pending int       // bytes not yet taken by the kernel
	parked  int       // bytes that wait with requests which are not done
	writing bool
	dead    bool
	half    bool // the peer sends nothing more, but may still read
	waiting int
	subs    map[int64]chan struct{}
}

// rpcFrames are buffers for answers.
var rpcFrames = sync.Pool{New: func() any { return new([]byte) }}

var rpcBuffers = sync.Pool{New: func() any { return new([rpcBufferSize]byte) }}

// serve reads until the peer is gone, then cancels what it waited for.
func (c *rpcConn) serve() {
	defer c.end()
	read := c.readSome
	for {
		c.readErr = nil
		if err := c.raw.Read(read); err != nil {
			c.timedOut(err)
			return
		}
		if c.readErr == errTooMuch {
			c.flush(appendFailure(nil, nil, tooMuch()))
			return
		}
		if c.readErr != nil {
			break
		}
		if !c.consume() {
			return
		}
	}
	if c.readErr == io.EOF && len(c.in) > 0 {
		c.flush(c.line(nil, c.in))
	}
	c.release()
	if c.readErr == io.EOF && c.linger() {
		c.sock.SetReadDeadline(time.Time{})
		c.raw.Read(hungUp)
	}
}

// readSome is called when the socket may be readable. It holds a buffer only while there is something in it.
func (c *rpcConn) readSome(fd uintptr) bool {
	if c.in == nil {
		c.in = rpcBuffers.Get().(*[rpcBufferSize]byte)[:0]
	}
	if len(c.in) == cap(c.in) {
		size := 2 * cap(c.in)
		if !c.srv.budget.take(c.uid, 0, size) {
			c.readErr = errTooMuch
			return true
		}
		bigger := make([]byte, len(c.in), size)
		copy(bigger, c.in)
		c.release()
		c.in, c.owned = bigger, size
	}
	n, err := readNow(fd, c.in[len(c.in):cap(c.in)])
	if err == syscall.EAGAIN {
		if len(c.in) == 0 {
			c.release()
		}
		return false
	}
	c.in, c.readErr = c.in[:len(c.in)+max(n, 0)], err
	if n == 0 && err == nil {
		c.readErr = io.EOF
	}
	return true
}

// release gives the input buffer back.
func (c *rpcConn) release() {
	if cap(c.in) == rpcBufferSize {
		rpcBuffers.Put((*[rpcBufferSize]byte)(c.in[:rpcBufferSize]))
	}
	if c.owned > 0 {
		c.srv.budget.give(c.uid, 0, c.owned)
	}
	c.in, c.owned = nil, 0
}

// consume handles the complete lines that are there. It returns false when the connection must end.
func (c *rpcConn) consume() bool {
	rest, fresh := c.in, c.scanned == 0
	frame := rpcFrames.Get().(*[]byte)
	out := (*frame)[:0]
	for {
		n := bytes.IndexByte(rest[c.scanned:], '\n')
		if n < 0 {
			break
		}
		line := rest[:c.scanned+n]
		rest, c.scanned = rest[c.scanned+n+1:], 0
		if !fresh {
			c.sock.SetReadDeadline(time.Time{})
			fresh = true
		}
		if len(line) > rpcLineMax {
			c.tooLong(out, true)
			return false
		}
		out = c.line(out, line)
		if len(out) > rpcPieceMax {
			c.flush(out)
			out = out[:0]
		}
	}
	if len(rest) > rpcLineMax {
		c.tooLong(out, false)
		return false
	}
	c.flush(out)
	if cap(out) <= rpcBufferSize {
		*frame = out
	}
	rpcFrames.Put(frame)
	c.scanned = len(rest)
	if len(rest) == 0 && c.owned > 0 {
		c.release()
	}
	if c.in != nil {
		c.in = c.in[:copy(c.in, rest)]
	}
	if fresh && len(rest) > 0 { // a client that sends a byte a minute must not hold memory for ever
		c.sock.SetReadDeadline(time.Now().Add(rpcLineTime))
	}
	return true
}

func (c *rpcConn) timedOut(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.flush(appendFailure(nil, nil, refuse(kindInvalidRequest, "the line was not complete after %v", rpcLineTime)))
	}
}

// tooLong answers a line over the limit and reads the rest of it, within bounds, so that a client which writes first and reads then gets the answer.
func (c *rpcConn) tooLong(out []byte, complete bool) {
	c.flush(append(appendFailure(out, nil, refuse(kindInvalidRequest, "the line is longer than %d bytes", rpcLineMax)), '\n'))
	c.release()
	if complete {
		return
	}
	c.sock.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := rpcBuffers.Get().(*[rpcBufferSize]byte)
	defer rpcBuffers.Put(buf)
	for left := 64 << 20; left > 0; {
		n, err := c.sock.Read(buf[:])
		if err != nil || bytes.IndexByte(buf[:n], '\n') >= 0 {
			return
		}
		left -= n
	}
}

// linger says whether a peer that has ended its side still waits for something.
func (c *rpcConn) linger() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.half = true
	return !c.dead && c.busy()
}

func (c *rpcConn) busy() bool { return c.waiting > 0 || len(c.subs) > 0 || c.pending > 0 }

// settled ends a half-closed connection once nothing is due to it. Call it with mu held.
func (c *rpcConn) settled() {
	if c.half && !c.busy() {
		c.sock.Close()
	}
}

// end cancels what the peer waited for and forgets the connection.
func (c *rpcConn) end() {
	c.release()
	c.mu.Lock()
	c.dead = true
	if c.pending > 0 {
		c.sock.SetWriteDeadline(time.Now().Add(5 * time.Second))
	}
	for id, stop := range c.subs {
		close(stop)
		delete(c.subs, id)
	}
	c.calm.Broadcast()
	writing := c.writing
	c.mu.Unlock()
	close(c.gone)
	if !writing {
		c.sock.Close()
	}
	c.srv.forget(c)
}

// send gives frames to the client without ever waiting: what the kernel does not take now goes to a writer.
func (c *rpcConn) send(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sendLocked(b)
}

func (c *rpcConn) sendLocked(b []byte) {
	if c.dead || len(b) == 0 {
		return
	}
	if !c.writing {
		n, err := c.writeSome(b)
		if err != nil {
			c.cut()
			return
		}
		if b = b[n:]; len(b) == 0 {
			return
		}
	}
	if !c.holds(len(b)) {
		return
	}
	c.out = append(c.out, b...)
	c.pending += len(b)
	if !c.writing {
		c.writing = true
		background("rpc writer", c.write)
	}
}

// holds counts bytes that wait for the client; false: there are too many, and it is disconnected. Call it with mu held.
func (c *rpcConn) holds(n int) bool {
	waiting := c.pending + c.parked
	if waiting < rpcPendingMax && c.srv.budget.take(c.uid, 0, n) {
		return true
	}
	logf(logInfo, "control socket: a client of user %d was disconnected with %d bytes waiting for it", c.uid, waiting)
	c.cut()
	return false
}

// park counts bytes that are kept until a request is done; false: there are too many, or the client is gone, and they are not to be kept.
func (c *rpcConn) park(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || !c.holds(n) {
		return false
	}
	c.parked += n
	return true
}

func (c *rpcConn) unpark(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parked -= n
	c.srv.budget.give(c.uid, 0, n)
}

// writeSome writes what the kernel takes at once.
func (c *rpcConn) writeSome(b []byte) (n int, err error) {
	rawErr := c.raw.Write(func(fd uintptr) bool {
		n, err = writeNow(fd, b)
		return true
	})
	if err == syscall.EAGAIN {
		return 0, nil
	}
	return max(n, 0), errors.Join(err, rawErr)
}

// cut disconnects. Call it with mu held.
func (c *rpcConn) cut() {
	c.dead = true
	c.sock.Close()
	c.calm.Broadcast()
}

// write empties the queue, waiting for the client, and ends.
func (c *rpcConn) write() {
	for {
		c.mu.Lock()
		b := c.out
		c.out = nil
		if len(b) == 0 {
			c.writing = false
			if c.dead {
				c.sock.Close()
			}
			c.settled()
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		for len(b) > 0 {
			n, err := c.sock.Write(b[:min(len(b), 2*rpcPieceMax)])
			c.wrote(n)
			b = b[n:]
			if err != nil {
				c.drop()
				return
			}
		}
	}
}

func (c *rpcConn) wrote(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending -= n
	c.srv.budget.give(c.uid, 0, n)
	if c.pending < rpcFlowMax {
		c.calm.Broadcast()
	}
}

// drop gives up what is unsent.
func (c *rpcConn) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.srv.budget.give(c.uid, 0, c.pending)
	c.out, c.pending, c.writing = nil, 0, false
	c.cut()
}

func (c *rpcConn) flush(b []byte) {
	if len(b) > 0 && b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	c.send(b)
}

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
		frame = appendFailure(nil, id, refuse(kindInternalError, "the answers of this batch are over %d bytes; ask for this one by itself", rpcAnswerMax))
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
		fail = refuse(kindParseError, "%v", err)
	case len(elements) == 0:
		fail = refuse(kindInvalidRequest, "the batch is empty")
	case len(elements) > rpcBatchMax:
		fail = refuse(kindInvalidRequest, "the batch has more than %d requests", rpcBatchMax)
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
			frame = appendFailure(nil, r.id, refuse(kindInternalError, "not run: the answers of this batch are over %d bytes", rpcAnswerMax))
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
