// rpc.go is the control socket: frames in, frames out, who may do what, and the errors. Below stands the table of methods and what each does; no service state lives here.

package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits: the first two are promised, the rest are our own. Together they bound what all clients can make the server hold.
const (
	rpcLineMax     = 1 << 20          // longest request line
	rpcPendingMax  = 4 << 20          // a client with this much unread is disconnected
	rpcFlowMax     = 16 << 10         // subscriptions stop sending, and drop, while this much is unread
	rpcPieceMax    = 32 << 10         // what a subscription sends at once, about
	rpcNamesMax    = 4096             // services that a subscription names
	rpcSubsMax     = 2048             // subscriptions of all connections
	rpcHeldMax     = 64 << 20         // partial lines and unread answers of all connections
	rpcConnsMax    = 1200             // connections in total …
	rpcReadersMax  = 1024             // … of which those that may only read get at most this many
	rpcWaitingMax  = 256              // waiting requests and subscriptions of one connection
	rpcDetachedMax = 1024             // deletions that go on although their client went away
	rpcBatchMax    = 10000            // requests in a batch
	rpcBatchBytes  = 16 << 20         // answers of a batch
	rpcDepthMax    = 128              // nesting of a request
	rpcLineTime    = 60 * time.Second // a line that began must be complete after this
	rpcBufferSize  = 16 << 10
)

// rpcError is an error of JSON-RPC: kind goes to error.data.kind, data holds what else is known.
type rpcError struct {
	code int
	kind string
	text string
	data map[string]any
}

func (e *rpcError) Error() string { return e.text }

// rpcKinds gives each kind of error its code. The first five are those of the standard.
var rpcKinds = []struct {
	kind string
	code int
	doc  string
}{
	{"parse_error", -32700, "the line is no JSON text"},
	{"invalid_request", -32600, "the JSON text is no request"},
	{"method_not_found", -32601, "there is no such method"},
	{"invalid_params", -32602, "a parameter is missing, surplus or wrong"},
	{"internal_error", -32603, "the server could not do it"},
	{"service_not_found", -32000, "there is no such service"},
	{"service_is_down", -32003, "the service has no process"},
	{"invalid_signal", -32004, "there is no such signal"},
	{"config_error", -32005, "the configuration is wrong"},
	{"shutting_down", -32006, "the server is shutting down"},
	{"already_exists", -32007, "a service of this name exists"},
	{"service_file_error", -32008, "the service's file cannot be written or deleted"},
	{"invalid_state", -32009, "not possible in this state"},
	{"dependency_error", -32010, "a cycle, or others require it"},
	{"process_error", -32011, "fork or kill failed"},
	{"xinet_error", -32012, "unknown proxy, or address in use"},
	{"permission_denied", -32013, "this client may only read"},
	{"timeout", -32014, "the time to wait ran out"},
	{"not_supported", -32015, "not possible on this system or in this mode"},
}

// rpcFail makes an error of a kind of rpcKinds.
func rpcFail(kind, format string, args ...any) *rpcError {
	e := &rpcError{code: -32603, kind: kind, text: fmt.Sprintf(format, args...)}
	for _, k := range rpcKinds {
		if k.kind == kind {
			e.code = k.code
		}
	}
	return e
}

// rpcFailure turns any error into one that can be sent. What the core refuses keeps its kind.
func rpcFailure(err error) *rpcError {
	if e, ok := errors.AsType[*rpcError](err); ok {
		return e
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		e := rpcFail(r.kind, "%s", r.text)
		if len(r.names) > 0 {
			e.data = map[string]any{"names": r.names}
		}
		return e
	}
	return rpcFail("internal_error", "%v", err)
}

// --- the socket ---

// rpcListener is the bound socket.
type rpcListener struct {
	path string // or "@name" in the abstract namespace of Linux
	sock *net.UnixListener
	file os.FileInfo // of the socket file as we made it; nil for an abstract name
	gid  int         // members may do everything; -1: nobody by group
}

// listenRPC binds the control socket. A live server there is an error that names its pid, a stale socket file is replaced, and
// anything else at the path is left alone. The socket appears under its name only with its final mode and group.
func listenRPC(o serverOptions) (*rpcListener, error) {
	l := &rpcListener{path: o.socket, gid: -1}
	if o.socketMode&0o020 != 0 {
		l.gid = os.Getegid()
	}
	if o.socketGroup != "" {
		_, gid, _, _, err := lookupUser("", o.socketGroup)
		if err != nil {
			return nil, fmt.Errorf("cannot open %s to group %s: %w", o.socket, visible(o.socketGroup), err)
		}
		l.gid = gid
	}
	if strings.HasPrefix(l.path, "@") {
		return l, l.listenAbstract()
	}
	dirMode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		dirMode = 0o755
	}
	dir := filepath.Dir(l.path)
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("cannot make the directory of the control socket: %w", err)
	}
	unlock := lockDir(dir)
	defer unlock()
	if err := socketIsFree(l.path); err != nil {
		return nil, err
	}
	if err := l.listenAt(dir, o); err != nil {
		return nil, fmt.Errorf("cannot make the control socket %s: %w", l.path, err)
	}
	return l, nil
}

func (l *rpcListener) listenAbstract() (err error) {
	l.sock, err = listenUnix(l.path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	if err := socketIsFree(l.path); err != nil {
		return err
	}
	l.sock, err = listenUnix(l.path) // who had it did not listen, and may be gone
	return err
}

// listenAt binds in a new directory that nobody else may enter, sets mode and group, and moves the socket to its place.
func (l *rpcListener) listenAt(dir string, o serverOptions) error {
	private := filepath.Join(dir, fmt.Sprintf(".z%05x", time.Now().UnixNano()&0xfffff)) // short: the path of a socket may have 107 bytes
	err := os.Mkdir(private, 0o700)
	if err != nil {
		return err
	}
	defer os.RemoveAll(private)
	temp := filepath.Join(private, "s")
	if l.sock, err = listenUnix(temp); err != nil {
		return err
	}
	err = os.Chmod(temp, o.socketMode)
	if err == nil && o.socketGroup != "" {
		err = os.Lchown(temp, -1, l.gid)
	}
	if err == nil {
		l.file, err = os.Lstat(temp)
	}
	if err == nil {
		err = os.Rename(temp, l.path)
	}
	if err != nil {
		l.sock.Close()
	}
	return err
}

// listenUnix listens at a path that does not exist, or at an abstract name. Closing it leaves the path: other descriptors may listen there too.
func listenUnix(path string) (*net.UnixListener, error) {
	sock, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		sock.SetUnlinkOnClose(false)
	}
	return sock, err
}

// socketIsFree says why path cannot be taken, or nil: nothing is there, or a socket that nobody listens on.
func socketIsFree(path string) error {
	if !strings.HasPrefix(path, "@") {
		info, err := os.Lstat(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot look at %s: %w", path, err)
		}
		if info.Mode().Type() != os.ModeSocket {
			return fmt.Errorf("%s exists and is no socket; it is left alone: move it away, or choose another --socket", path)
		}
	}
	conn, err := dialUnix(path, 2*time.Second)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s is in use, or not ours: %w", path, err)
	}
	defer conn.Close()
	pid := peerOf(conn).pid
	if pid > 0 && errors.Is(sysKill(pid, 0), syscall.ESRCH) {
		return nil // its server has died; a child that it was just starting holds the socket until it executes
	}
	if pid > 0 {
		return fmt.Errorf("a server is live at %s: pid %d; stop it, or choose another --socket", path, pid)
	}
	return fmt.Errorf("a server is live at %s; stop it, or choose another --socket", path)
}

// close stops listening and removes the socket file, but only while it is still ours.
func (l *rpcListener) close() {
	l.sock.Close()
	if l.file == nil {
		return
	}
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.file) {
		os.Remove(l.path)
	}
}

// --- the server ---

// rpcServer serves all connections of one socket.
type rpcServer struct {
	s        *supervisor
	l        *rpcListener
	byName   map[string]*rpcMethod
	names    []string
	held     atomic.Int64
	turns    feedTurns
	nextSub  atomic.Int64
	detached atomic.Int32
	subs     atomic.Int32
	ending   atomic.Bool // subscriptions send what they have, and end
	configs  sync.Mutex  // one change of the configuration at a time

	mu      sync.Mutex
	conns   map[*rpcConn]struct{}
	readers int
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
func serveRPC(s *supervisor, l *rpcListener) *rpcServer {
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

func (r *rpcServer) accept() {
	for {
		sock, err := r.l.sock.AcceptUnix()
		switch {
		case err == nil:
			r.admit(sock)
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
			r.turnAway()
		default:
			logf(logWarn, "control socket: %v", err)
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// turnAway answers one client although no descriptor is left: it gives up the reserve for as long as that takes.
func (r *rpcServer) turnAway() {
	if r.reserve == nil {
		time.Sleep(50 * time.Millisecond)
	} else {
		r.reserve.Close()
	}
	r.l.sock.SetDeadline(time.Now().Add(100 * time.Millisecond))
	if sock, err := r.l.sock.AcceptUnix(); err == nil {
		refuseConn(sock, "the server has no file descriptors left; try again later")
	}
	r.l.sock.SetDeadline(time.Time{})
	r.reserve, _ = os.Open(os.DevNull)
}

func refuseConn(sock *net.UnixConn, why string) {
	sock.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	sock.Write(append(appendError(nil, nil, rpcFail("internal_error", "%s", why)), '\n'))
	sock.Close()
}

// admit looks at who connected.
func (r *rpcServer) admit(sock *net.UnixConn) {
	who := peerOf(sock)
	if r.l.file == nil && who.pid == 0 {
		refuseConn(sock, "this client is in another pid namespace")
		return
	}
	r.begin(sock, who.mayAll(r.l.gid))
}

// begin serves one connection if there is room; it may do everything or only read.
func (r *rpcServer) begin(sock *net.UnixConn, all bool) {
	raw, err := sock.SyscallConn()
	if err != nil {
		sock.Close()
		return
	}
	c := &rpcConn{srv: r, sock: sock, raw: raw, gone: make(chan struct{}), full: all}
	c.calm.L = &c.mu
	r.mu.Lock()
	room := !r.closed && len(r.conns) < rpcConnsMax && (all || r.readers < rpcReadersMax)
	if room {
		r.conns[c] = struct{}{}
		if !c.full {
			r.readers++
		}
	}
	r.mu.Unlock()
	if !room {
		refuseConn(sock, "too many connections; close some")
		return
	}
	background("rpc connection", c.serve)
}

func (r *rpcServer) forget(c *rpcConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
	if !c.full {
		r.readers--
	}
}

// peer is who is at the other end, as the kernel tells.
type peer struct {
	known    bool
	pid, uid int
	groups   []int // all of them, the primary one first
}

// mayAll says who may do everything: root, our own uid, and members of the socket's group.
func (p peer) mayAll(gid int) bool {
	if !p.known {
		return false
	}
	if p.uid == 0 || p.uid == os.Geteuid() {
		return true
	}
	for _, g := range p.groups {
		if gid >= 0 && g == gid {
			return true
		}
	}
	return false
}

// --- one connection ---

// rpcConn is one client. Its goroutine reads, and answers what is quick; requests that wait, subscriptions and
// unread answers have goroutines of their own only for as long as they exist.
type rpcConn struct {
	srv  *rpcServer
	sock *net.UnixConn
	raw  syscall.RawConn
	full bool // may do everything, not only read
	gone chan struct{}

	// of the reading goroutine
	in      []byte // nil while nothing has arrived
	scanned int    // of in, known to hold no newline
	owned   int    // of in, counted in srv.held
	readErr error

	mu      sync.Mutex
	calm    sync.Cond // the unread bytes became few, or the end came
	out     []byte    // waits for the writer
	pending int       // bytes not yet taken by the kernel
	writing bool
	dead    bool
	half    bool // the peer sends nothing more, but may still read
	waiting int
	subs    map[int64]chan struct{}
}

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
		bigger := make([]byte, len(c.in), 2*cap(c.in))
		copy(bigger, c.in)
		c.release()
		c.in, c.owned = bigger, cap(bigger)
		c.srv.held.Add(int64(c.owned))
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
	c.srv.held.Add(-int64(c.owned))
	c.in, c.owned = nil, 0
}

// consume handles the complete lines that are there. It returns false when the connection must end.
func (c *rpcConn) consume() bool {
	rest, out, fresh := c.in, getFrame(), c.scanned == 0
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
	putFrame(out)
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
	if c.srv.held.Load() > rpcHeldMax && c.owned > 0 {
		c.flush(appendError(nil, nil, rpcFail("internal_error", "all clients together hold too much memory; try again later")))
		return false
	}
	return true
}

func (c *rpcConn) timedOut(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.flush(appendError(nil, nil, rpcFail("invalid_request", "the line was not complete after %v", rpcLineTime)))
	}
}

// tooLong answers a line over the limit and reads the rest of it, within bounds, so that a client which writes first and reads then gets the answer.
func (c *rpcConn) tooLong(out []byte, complete bool) {
	c.flush(append(appendError(out, nil, rpcFail("invalid_request", "the line is longer than %d bytes", rpcLineMax)), '\n'))
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
	if c.pending >= rpcPendingMax || c.srv.held.Load() > rpcHeldMax {
		logf(logInfo, "control socket: a client that does not read was disconnected with %d bytes waiting", c.pending)
		c.cut()
		return
	}
	c.out = append(c.out, b...)
	c.pending += len(b)
	c.srv.held.Add(int64(len(b)))
	if !c.writing {
		c.writing = true
		background("rpc writer", c.write)
	}
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
	c.srv.held.Add(-int64(n))
	if c.pending < rpcFlowMax {
		c.calm.Broadcast()
	}
}

// drop gives up what is unsent.
func (c *rpcConn) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.srv.held.Add(-int64(c.pending))
	c.out, c.pending, c.writing = nil, 0, false
	c.cut()
}

func (c *rpcConn) flush(b []byte) {
	if len(b) > 0 && b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	c.send(b)
}

func errWaiting() error {
	return rpcFail("internal_error", "this connection has %d requests and subscriptions waiting already; use another one", rpcWaitingMax)
}

// reserve counts one more waiting request or subscription, or refuses it.
func (c *rpcConn) reserve() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting+len(c.subs) >= rpcWaitingMax {
		return errWaiting()
	}
	c.waiting++
	return nil
}

func (c *rpcConn) unreserve() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting--
	c.settled()
}

// rpcFeed is what a subscription sends. take appends about a piece of what waits, or nothing: then it signals wake when something comes.
type rpcFeed struct {
	wake <-chan struct{}
	take func(b []byte, id int64) []byte
	done func()
}

// subscribe registers a feed and returns its number; begin, called after the answer is out, starts to send.
func (c *rpcConn) subscribe(f rpcFeed) (id int64, begin func(), err error) {
	id, stop := c.srv.nextSub.Add(1), make(chan struct{})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting+len(c.subs) >= rpcWaitingMax {
		return 0, nil, errWaiting()
	}
	if c.srv.subs.Add(1) > rpcSubsMax {
		c.srv.subs.Add(-1)
		return 0, nil, rpcFail("internal_error", "there are %d subscriptions already; end some", rpcSubsMax)
	}
	if c.subs == nil {
		c.subs = map[int64]chan struct{}{}
	}
	c.subs[id] = stop
	return id, func() { background("rpc subscription", func() { c.feed(id, f, stop) }) }, nil
}

// feed sends what the subscription has until it ends. It takes nothing while the client has much unread: what that costs it is counted where it waits.
func (c *rpcConn) feed(id int64, f rpcFeed, stop <-chan struct{}) {
	defer c.srv.subs.Add(-1)
	defer f.done()
	for c.calmFor(id) {
		if n := c.srv.feedOne(c, id, f); n < 0 {
			continue
		} else if n > 0 {
			if n < rpcPieceMax { // let some more come together, the more subscriptions there are: a turn costs more than a line
				time.Sleep(feedPause * time.Duration(1+c.srv.subs.Load()/10))
			}
			continue
		}
		select {
		case <-f.wake:
		case <-stop:
			if c.srv.ending.Load() {
				c.send(f.take(nil, id))
			}
			return
		case <-c.gone:
			return
		}
	}
}

// calmFor waits until the client has read most of what it was sent; false: the subscription has ended.
func (c *rpcConn) calmFor(id int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.pending >= rpcFlowMax && c.subs[id] != nil {
		c.calm.Wait()
	}
	return c.subs[id] != nil
}

const feedPause = 5 * time.Millisecond

// feedTurns lets one feed work at a time, and all together at most half of the time of one processor while several want to: however many there are,
// who reads the services' output is not kept from it.
type feedTurns struct {
	sync.Mutex
	waiting atomic.Int32
	owed    time.Duration
}

// feedOne sends one piece and returns its size; 0: there was none; -1: it was not the time.
func (r *rpcServer) feedOne(c *rpcConn, id int64, f rpcFeed) int {
	r.turns.waiting.Add(1)
	r.turns.Lock()
	defer r.turns.Unlock()
	others := r.turns.waiting.Add(-1) > 0
	c.mu.Lock()
	may := c.pending < rpcFlowMax && c.subs[id] != nil
	c.mu.Unlock()
	if !may {
		return -1
	}
	began := time.Now()
	b := f.take(nil, id)
	c.mu.Lock()
	if c.subs[id] != nil {
		c.sendLocked(b)
	}
	c.mu.Unlock()
	if r.turns.owed += time.Since(began); r.turns.owed > 2*time.Millisecond {
		if others {
			time.Sleep(r.turns.owed)
		}
		r.turns.owed = 0
	}
	return len(b)
}

// unsubscribe ends a feed; false: there is none of this number here.
func (c *rpcConn) unsubscribe(id int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	stop := c.subs[id]
	if stop == nil {
		return false
	}
	close(stop)
	delete(c.subs, id)
	c.calm.Broadcast()
	return true
}

// --- rpc call: is one request on its way: reading JSON, batches, finding the method, checking its parameters, writing the answer. No socket is touched here.

// --- requests ---

var rpcFrames = sync.Pool{New: func() any { return new([4096]byte) }}

func getFrame() []byte { return rpcFrames.Get().(*[4096]byte)[:0] }

func putFrame(b []byte) {
	if cap(b) == 4096 {
		rpcFrames.Put((*[4096]byte)(b[:4096]))
	}
}

// line appends the answer to one line of input, if one is due now.
func (c *rpcConn) line(out, line []byte) []byte {
	i := skipSpace(line, 0)
	if i == len(line) {
		return out
	}
	if !utf8.Valid(line) {
		return append(appendError(out, nil, rpcFail("parse_error", "the line is not valid UTF-8")), '\n')
	}
	if line[i] == '[' {
		return c.batch(out, line)
	}
	before := len(out)
	out, q := c.request(out, line, nil)
	if len(out) > before {
		out = append(out, '\n')
	}
	if q != nil && q.then != nil {
		c.flush(out)
		q.then()
		return out[:0]
	}
	return out
}

// rpcBatch collects the answers of one batch in the order in which they become known.
type rpcBatch struct {
	c     *rpcConn
	mu    sync.Mutex
	out   []byte
	left  int // requests without an end, and the pass over the batch itself
	after []func()
}

// add takes the end of one request: its answer, or nothing for a notification. The last one sends the batch.
func (b *rpcBatch) add(frame []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(frame) > 0 {
		b.out = append(append(b.out, ','), frame...)
	}
	if b.left--; b.left > 0 {
		return
	}
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
	count := 0
	err := oneValue(line, func(i int) (int, error) {
		return each(line, i, func(_, _ []byte) error { count++; return nil })
	})
	var fail *rpcError
	switch {
	case err != nil:
		fail = rpcFail("parse_error", "%v", err)
	case count == 0:
		fail = rpcFail("invalid_request", "the batch is empty")
	case count > rpcBatchMax:
		fail = rpcFail("invalid_request", "the batch has more than %d requests", rpcBatchMax)
	}
	if fail != nil {
		return append(appendError(out, nil, fail), '\n')
	}
	c.flush(out)
	b := &rpcBatch{c: c, left: 1 + count}
	each(line, skipSpace(line, 0), func(_, element []byte) error {
		c.batched(b, element)
		return nil
	})
	b.add(nil)
	return out[:0]
}

func (c *rpcConn) batched(b *rpcBatch, element []byte) {
	b.mu.Lock()
	full := len(b.out) > rpcBatchBytes
	b.mu.Unlock()
	if full {
		var frame []byte
		if q, _ := parseRequest(element); q.id != nil {
			frame = appendError(nil, q.id, rpcFail("internal_error", "not run: the answers of this batch are over %d bytes", rpcBatchBytes))
		}
		b.add(frame)
		return
	}
	frame, q := c.request(nil, element, b)
	if q != nil && q.then != nil {
		b.mu.Lock()
		b.after = append(b.after, q.then)
		b.mu.Unlock()
	}
	if q == nil || q.later == nil {
		b.add(frame)
	}
}

// rpcCall is one request on its way through a handler.
type rpcCall struct {
	conn   *rpcConn
	row    *rpcMethod
	id     []byte               // as it came; nil: a notification
	values [rpcParamsMax][]byte // by the row's order; nil: absent. They alias the input: copy what must last
	later  func() (any, error)  // set by a handler that has to wait: the rest of it, for a goroutine of its own
	then   func()               // set by a handler, or by its later part: to be done once the answer is out
}

// request runs one request and appends its answer, if that is known now. What waits answers later, to the client or into batch.
func (c *rpcConn) request(out, text []byte, batch *rpcBatch) ([]byte, *rpcCall) {
	r, fail := parseRequest(text)
	if fail != nil {
		return appendError(out, r.id, fail), nil
	}
	q, result, err := c.run(&r)
	if err == nil && q.later != nil {
		q.id = bytes.Clone(r.id)
		c.finish(q, batch)
		return out, q
	}
	if r.id == nil {
		return out, q
	}
	if err != nil {
		return appendError(out, r.id, rpcFailure(err)), nil
	}
	return appendResult(out, r.id, result), q
}

// run finds the method, checks access and parameters, and calls the handler.
func (c *rpcConn) run(r *rpcRequest) (*rpcCall, any, error) {
	row := c.srv.byName[string(r.method)]
	if row == nil {
		return nil, nil, c.srv.unknownMethod(string(r.method))
	}
	if !c.full && !row.read {
		return nil, nil, rpcFail("permission_denied", "%s: this client may only read; it needs to be root, the server's user or a member of the socket's group", row.name)
	}
	q := &rpcCall{conn: c, row: row, id: r.id}
	if err := q.bind(r.params); err != nil {
		return nil, nil, err
	}
	result, err := row.handle(q)
	return q, result, err
}

func (r *rpcServer) unknownMethod(name string) error {
	text := "no method " + shortened(name)
	if near := nearest(name, r.names); near != "" {
		return &rpcError{-32601, "method_not_found", text + "; did you mean " + near + "?", map[string]any{"names": []string{near}}}
	}
	return rpcFail("method_not_found", "%s; rpc.discover lists them all", text)
}

// finish does the rest of a request that waits.
func (c *rpcConn) finish(q *rpcCall, batch *rpcBatch) {
	background("rpc "+q.row.name, func() {
		result, err := q.later()
		var frame []byte
		switch {
		case q.id == nil:
		case err != nil:
			frame = appendError(nil, q.id, rpcFailure(err))
		default:
			frame = appendResult(nil, q.id, result)
		}
		if batch != nil {
			batch.add(frame)
		} else {
			c.flush(frame)
		}
		c.unreserve()
		if q.then != nil {
			q.then()
		}
	})
}

func appendID(b, id []byte) []byte {
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	if id == nil {
		return append(b, "null"...)
	}
	return append(b, id...)
}

func appendResult(b, id []byte, result any) []byte {
	b = append(appendID(b, id), `,"result":`...)
	return append(appendJSON(b, result), '}')
}

func appendError(b, id []byte, e *rpcError) []byte {
	b = append(appendID(b, id), `,"error":{"code":`...)
	b = strconv.AppendInt(b, int64(e.code), 10)
	b = append(b, `,"message":`...)
	b = appendString(b, e.text)
	data := map[string]any{"kind": e.kind}
	for k, v := range e.data {
		data[k] = v
	}
	b = append(b, `,"data":`...)
	return append(appendJSON(b, data), "}}"...)
}

// rpcRequest is the envelope of a request. All of it aliases the input.
type rpcRequest struct {
	id     []byte // nil: there is none, it is a notification
	method []byte
	params []byte // nil: none
}

// parseRequest reads one request object. With an error, id is what the answer must carry.
func parseRequest(text []byte) (r rpcRequest, fail *rpcError) {
	i := skipSpace(text, 0)
	if i == len(text) || text[i] != '{' {
		if err := checkJSON(text); err != nil {
			return r, rpcFail("parse_error", "%v", err)
		}
		return r, rpcFail("invalid_request", "a request is an object, or a list of them")
	}
	var version, method []byte
	twice := ""
	member := func(key, value []byte) error {
		var into *[]byte
		switch string(key) {
		case "jsonrpc":
			into = &version
		case "method":
			into = &method
		case "params":
			into = &r.params
		case "id":
			into = &r.id
		default:
			return nil
		}
		if *into != nil {
			twice = string(key)
		}
		*into = value
		return nil
	}
	err := oneValue(text, func(i int) (int, error) { return each(text, i, member) })
	if err != nil {
		return rpcRequest{}, rpcFail("parse_error", "%v", err)
	}
	if twice == "id" || len(r.id) > 0 && strings.IndexByte("{[tf", r.id[0]) >= 0 {
		r.id = nil
		return r, rpcFail("invalid_request", "id must be given once, as a string, a number or null")
	}
	if twice != "" {
		return r, rpcFail("invalid_request", "%s is given twice", twice)
	}
	return r, r.check(version, method)
}

// check looks at the members of the envelope. A params of null counts as none.
func (r *rpcRequest) check(version, method []byte) *rpcError {
	if string(version) != `"2.0"` {
		return rpcFail("invalid_request", "jsonrpc must be \"2.0\"")
	}
	if len(method) == 0 || method[0] != '"' {
		return rpcFail("invalid_request", "method must be a string")
	}
	r.method = unquoted(method)
	if string(r.params) == "null" {
		r.params = nil
	}
	if r.params != nil && r.params[0] != '{' && r.params[0] != '[' {
		return rpcFail("invalid_request", "params must be an object or a list")
	}
	return nil
}

// --- parameters ---

// rpcParamsMax is the most parameters that a method has.
const rpcParamsMax = 6

// rpcParam is one parameter of a method. kind is string, bool, integer, strings, signal (a name or number) or config.
type rpcParam struct {
	key        string // in rpcMethod.params; "": the name
	name, kind string
	required   bool
	preset     any      // the default; nil: none
	among      []string // allowed values of a string
	doc        string
}

// bind brings params into the row's order and checks them. Every complaint names the parameter and says what is expected.
func (q *rpcCall) bind(params []byte) error {
	var err error
	switch {
	case params == nil:
	case params[0] == '{':
		_, err = each(params, 0, q.bindNamed)
	default:
		n := 0
		_, err = each(params, 0, func(_, value []byte) error {
			if n++; n > len(q.row.takes) {
				return q.wrong("#"+strconv.Itoa(n), "surplus: %s takes %s", q.row.name, q.row.signature())
			}
			return q.set(n-1, value)
		})
	}
	if err != nil {
		return err
	}
	for i, p := range q.row.takes {
		if p.required && q.values[i] == nil {
			return q.wrong(p.name, "missing: it is %s", p.expected())
		}
	}
	return nil
}

func (q *rpcCall) bindNamed(key, value []byte) error {
	names := make([]string, 0, rpcParamsMax)
	for i, p := range q.row.takes {
		if p.name == string(key) {
			if q.values[i] != nil {
				return q.wrong(string(key), "given twice")
			}
			return q.set(i, value)
		}
		names = append(names, p.name)
	}
	if near := nearest(string(key), names); near != "" {
		return q.wrong(string(key), "unknown; did you mean %s?", near)
	}
	return q.wrong(string(key), "unknown: %s takes %s", q.row.name, q.row.signature())
}

// set checks one value against its parameter. null counts as absent.
func (q *rpcCall) set(i int, value []byte) error {
	p := q.row.takes[i]
	if string(value) == "null" {
		return nil
	}
	if !p.accepts(value) {
		return q.wrong(p.name, "%s is not %s", visible(shorten(string(value))), p.expected())
	}
	q.values[i] = value
	return nil
}

func (q *rpcCall) wrong(name, format string, args ...any) error {
	e := rpcFail("invalid_params", "parameter %s: %s", visible(name), fmt.Sprintf(format, args...))
	e.data = map[string]any{"param": name}
	return e
}

func (p *rpcParam) accepts(value []byte) bool {
	switch p.kind {
	case "string":
		if value[0] != '"' {
			return false
		}
		for _, a := range p.among {
			if a == string(unquoted(value)) {
				return true
			}
		}
		return p.among == nil
	case "bool":
		return value[0] == 't' || value[0] == 'f'
	case "integer":
		_, ok := wholeNumber(value)
		return ok
	case "signal":
		_, ok := wholeNumber(value)
		return ok || value[0] == '"'
	case "strings":
		if value[0] != '[' {
			return false
		}
		_, err := each(value, 0, func(_, v []byte) error {
			if v[0] != '"' {
				return errSyntax(v, 0, "a string")
			}
			return nil
		})
		return err == nil
	}
	return value[0] == '{'
}

// expected says what a parameter must be.
func (p *rpcParam) expected() string {
	switch {
	case p.among != nil:
		return "one of " + strings.Join(p.among, ", ")
	case p.kind == "integer":
		return "a whole number, 0 or more"
	case p.kind == "strings":
		return "a list of strings"
	case p.kind == "signal":
		return "the name or number of a signal"
	case p.kind == "config":
		return "an object: a service's configuration with the sections of its file"
	case p.kind == "bool":
		return "true or false"
	}
	return "a string"
}

// wholeNumber reads an integer from 0 to 2^53, also when it is written like 5.0 or 1e3.
func wholeNumber(value []byte) (int64, bool) {
	if n, err := strconv.ParseInt(string(value), 10, 64); err == nil {
		return n, n >= 0 && n <= 1<<53
	}
	f, err := strconv.ParseFloat(string(value), 64)
	return int64(f), err == nil && f >= 0 && f <= 1<<53 && f == float64(int64(f))
}

// raw is the text of a parameter, nil when it is absent. A name that the row does not have is a mistake in the handler.
func (q *rpcCall) raw(name string) (*rpcParam, []byte) {
	for i, p := range q.row.takes {
		if p.name == name {
			return p, q.values[i]
		}
	}
	panic("no parameter " + name + " in " + q.row.name)
}

func (q *rpcCall) has(name string) bool {
	_, v := q.raw(name)
	return v != nil
}

func (q *rpcCall) str(name string) string {
	p, v := q.raw(name)
	if v == nil {
		s, _ := p.preset.(string)
		return s
	}
	if v[0] != '"' {
		return string(v)
	}
	return string(unquoted(v))
}

func (q *rpcCall) flag(name string) bool {
	_, v := q.raw(name)
	return v != nil && v[0] == 't'
}

func (q *rpcCall) num(name string) int64 {
	p, v := q.raw(name)
	if v == nil {
		n, _ := p.preset.(int)
		return int64(n)
	}
	n, _ := wholeNumber(v)
	return n
}

// list is a list of strings; nil when it is absent.
func (q *rpcCall) list(name string) (words []string) {
	_, v := q.raw(name)
	if v == nil {
		return nil
	}
	words = []string{}
	each(v, 0, func(_, e []byte) error {
		words = append(words, string(unquoted(e)))
		return nil
	})
	return words
}

// millis is a time in milliseconds; 0, absent, and what is over a hundred years mean none.
func (q *rpcCall) millis(name string) time.Duration {
	n := q.num(name)
	if n > 100*366*24*3600*1000 {
		return 0
	}
	return time.Duration(n) * time.Millisecond
}

// --- JSON: reads and writes the texts of RFC 8259; nothing here knows what they say. A few functions do what the program needs of a library many times their size.

// jsonDepthMax bounds the nesting of what a server answers: the tree of a long chain of services is deep.
const jsonDepthMax = 10000

// rawJSON is a part of a text that is passed on as it came.
type rawJSON []byte

// jsonNumber is a number as it was written, so that nothing of it is lost.
type jsonNumber string

var rawType, numberType = reflect.TypeOf(rawJSON(nil)), reflect.TypeOf(jsonNumber(""))

// appender is a value that writes its own JSON, for those asked for often.
type appender interface{ appendJSON(b []byte) []byte }

// appendJSON keeps the text on one line: between the values of a JSON text a space says the same as a newline, and inside them there is none.
func (r rawJSON) appendJSON(b []byte) []byte {
	if r == nil {
		return append(b, "null"...)
	}
	from := len(b)
	b = append(b, r...)
	for i := from; i < len(b); i++ {
		if b[i] == '\n' || b[i] == '\r' {
			b[i] = ' '
		}
	}
	return b
}

// appendJSON appends v on one line: appenders, and what bool, numbers, strings, lists, structs and maps with strings as keys (sorted)
// are made of. Of a struct go the exported fields by their json tag (a name, omitempty, -), without one by their name in lower case.
// A list that is nil is an empty one. What JSON does not have, as NaN or a function, becomes null.
func appendJSON(b []byte, v any) []byte { return appendReflected(b, reflect.ValueOf(v)) }

func appendReflected(b []byte, v reflect.Value) []byte {
	kind := v.Kind()
	switch kind {
	case reflect.Pointer, reflect.Interface, reflect.Map:
		if v.IsNil() {
			return append(b, "null"...)
		}
	}
	if a := appenderOf(v); a != nil {
		return a.appendJSON(b)
	}
	switch kind {
	case reflect.Pointer, reflect.Interface:
		return appendReflected(b, v.Elem())
	case reflect.String:
		if v.Type() == numberType {
			return append(b, v.String()...)
		}
		return appendString(b, v.String())
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.AppendUint(b, v.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		return appendFloat(b, v.Float(), v.Type().Bits())
	case reflect.Struct:
		return appendStruct(b, v)
	case reflect.Map:
		return appendMap(b, v)
	case reflect.Slice, reflect.Array:
		b = append(b, '[')
		for i := range v.Len() {
			b = appendReflected(separated(b, i), v.Index(i))
		}
		return append(b, ']')
	}
	return append(b, "null"...)
}

// appenderOf is v as one that writes itself, also when its pointer does; nil: it does not.
func appenderOf(v reflect.Value) appender {
	switch v.Kind() {
	case reflect.Struct:
		if v.CanAddr() {
			v = v.Addr()
		}
	case reflect.Pointer, reflect.Slice:
	default:
		return nil
	}
	a, _ := v.Interface().(appender)
	return a
}

// separated appends the comma that stands before all members but the first.
func separated(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}

func appendFloat(b []byte, f float64, bits int) []byte {
	size := math.Abs(f)
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return append(b, "null"...)
	case size != 0 && (size < 1e-6 || size >= 1e21):
		return strconv.AppendFloat(b, f, 'e', -1, bits)
	}
	return strconv.AppendFloat(b, f, 'f', -1, bits)
}

func appendStruct(b []byte, v reflect.Value) []byte {
	b = append(b, '{')
	written := 0
	for _, f := range fieldsOf(v.Type()) {
		e := v.Field(f.at[0])
		for _, i := range f.at[1:] {
			e = e.Field(i)
		}
		if f.omitEmpty && isEmpty(e) {
			continue
		}
		b = append(separated(b, written), f.key...)
		b = appendReflected(b, e)
		written++
	}
	return append(b, '}')
}

// isEmpty is what omitempty leaves out.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.Array:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

func appendMap(b []byte, v reflect.Value) []byte {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
	b = append(b, '{')
	for n, key := range keys {
		b = append(appendString(separated(b, n), key.String()), ':')
		b = appendReflected(b, v.MapIndex(key))
	}
	return append(b, '}')
}

// jsonField is a field of a struct as JSON knows it; those of embedded structs count as its own. No name may be there twice.
type jsonField struct {
	name, key string // key is the name as it stands before the value
	at        []int
	omitEmpty bool
}

var jsonFields sync.Map // of []jsonField by reflect.Type

func fieldsOf(t reflect.Type) []jsonField {
	if known, ok := jsonFields.Load(t); ok {
		return known.([]jsonField)
	}
	all := []jsonField{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			for _, inner := range fieldsOf(f.Type) {
				all = append(all, jsonField{inner.name, inner.key, append([]int{i}, inner.at...), inner.omitEmpty})
			}
		case f.IsExported():
			if name == "" {
				name = strings.ToLower(f.Name)
			}
			all = append(all, jsonField{name, string(appendString(nil, name)) + ":", []int{i}, option == "omitempty"})
		}
	}
	jsonFields.Store(t, all)
	return all
}

// appendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD; of control characters none is written as such, also not those behind U+007E.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		ch := s[i]
		if ch >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[from:i]...), "\uFFFD"...)
				from = i + 1
			} else if r < 0xa0 { // a terminal would obey them
				b = append(append(b, s[from:i]...), '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
				from = i + n
			}
			i += n
			continue
		}
		if ch < 0x20 || ch == 0x7f || ch == '"' || ch == '\\' {
			b = append(b, s[from:i]...)
			switch ch {
			case '"', '\\':
				b = append(b, '\\', ch)
			case '\n':
				b = append(b, '\\', 'n')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[ch>>4], hex[ch&15])
			}
			from = i + 1
		}
		i++
	}
	return append(append(b, s[from:]...), '"')
}

// --- JSON: reading

// errSyntax says what would have been right at a byte of a text.
func errSyntax(b []byte, at int, want string) error {
	if at >= len(b) {
		return fmt.Errorf("not JSON: it ends at byte %d, where %s is expected", at, want)
	}
	return fmt.Errorf("not JSON: at byte %d %s is expected, not %s", at+1, want, shortened(string(b[at:min(len(b), at+8)])))
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// oneValue lets read take the one value that the text holds, from an index to the one behind it.
func oneValue(b []byte, read func(i int) (int, error)) error {
	end, err := read(skipSpace(b, 0))
	if end = skipSpace(b, end); err == nil && end < len(b) {
		return errSyntax(b, end, "the end of the text")
	}
	return err
}

// checkJSON says why a text is not one JSON value.
func checkJSON(b []byte) error {
	return oneValue(b, func(i int) (int, error) { return skipValue(b, i, jsonDepthMax) })
}

// skipValue returns the index behind the value that begins at b[i]. Lists and objects may stand in each other up to depth levels.
func skipValue(b []byte, i, depth int) (int, error) {
	if i >= len(b) {
		return i, errSyntax(b, i, "a value")
	}
	switch ch := b[i]; {
	case ch == '"':
		return skipString(b, i)
	case ch == '{' || ch == '[':
		return walk(b, i, depth, func(_ []byte, i int) (int, error) { return skipValue(b, i, depth-1) })
	case ch == '-' || ch >= '0' && ch <= '9':
		return skipNumber(b, i)
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if len(b)-i >= len(word) && string(b[i:i+len(word)]) == word {
			return i + len(word), nil
		}
	}
	return i, errSyntax(b, i, "a value")
}

func skipString(b []byte, i int) (int, error) {
	for i++; i < len(b); i++ {
		switch ch := b[i]; {
		case ch == '"':
			return i + 1, nil
		case ch < 0x20:
			return i, errSyntax(b, i, `an escape such as \n`)
		case ch == '\\':
			i++
			if i < len(b) && b[i] == 'u' {
				for n := 1; n <= 4; n++ {
					if i+n >= len(b) || strings.IndexByte("0123456789abcdefABCDEF", b[i+n]) < 0 {
						return i, errSyntax(b, i+n, "a hexadecimal digit")
					}
				}
				i += 4
			} else if i >= len(b) || strings.IndexByte(jsonEscapes, b[i]) < 0 {
				return i, errSyntax(b, i, "one of "+jsonEscapes+"u")
			}
		}
	}
	return i, errSyntax(b, i, "a closing quote")
}

// jsonEscapes are the characters behind a backslash and, in the same order, what they stand for.
const (
	jsonEscapes = `"\/bfnrt`
	jsonEscaped = "\"\\/\b\f\n\r\t"
)

func skipDigits(b []byte, i int) (int, error) {
	from := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == from {
		return i, errSyntax(b, i, "a digit")
	}
	return i, nil
}

func skipNumber(b []byte, i int) (end int, err error) {
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		end = i + 1
	} else if end, err = skipDigits(b, i); err != nil {
		return end, err
	}
	if end < len(b) && b[end] == '.' {
		if end, err = skipDigits(b, end+1); err != nil {
			return end, err
		}
	}
	if end < len(b) && (b[end] == 'e' || b[end] == 'E') {
		end++
		if end < len(b) && (b[end] == '+' || b[end] == '-') {
			end++
		}
		return skipDigits(b, end)
	}
	return end, nil
}

// walk goes through the object or list at b[i] and returns the index behind it. For every member it calls f with the key, still quoted
// and nil in a list, and the index of the value; f returns the index behind the value.
func walk(b []byte, i, depth int, f func(key []byte, i int) (int, error)) (int, error) {
	if depth == 0 {
		return i, fmt.Errorf("nested deeper than is read here, at byte %d", i+1)
	}
	object, closing := b[i] == '{', b[i]+2
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == closing {
		return i + 1, nil
	}
	for {
		var key []byte
		if object {
			if i >= len(b) || b[i] != '"' {
				return i, errSyntax(b, i, "a key in quotes")
			}
			end, err := skipString(b, i)
			if err != nil {
				return end, err
			}
			key = b[i:end]
			i = skipSpace(b, end)
			if i >= len(b) || b[i] != ':' {
				return i, errSyntax(b, i, "a colon")
			}
			i = skipSpace(b, i+1)
		}
		end, err := f(key, i)
		if err != nil {
			return end, err
		}
		if i = skipSpace(b, end); i < len(b) && b[i] == closing {
			return i + 1, nil
		}
		if i >= len(b) || b[i] != ',' {
			return i, errSyntax(b, i, "a comma or "+string(rune(closing)))
		}
		i = skipSpace(b, i+1)
	}
}

// each calls f for every member of the object or list at b[i], in a list with nil as the key, and returns the index behind it.
func each(b []byte, i int, f func(key, value []byte) error) (int, error) {
	return walk(b, i, rpcDepthMax, func(key []byte, i int) (int, error) {
		end, err := skipValue(b, i, rpcDepthMax-1)
		if err != nil {
			return end, err
		}
		if key != nil {
			key = unquoted(key)
		}
		return end, f(key, b[i:end])
	})
}

// unquoted is the text of a JSON string that is known to be well formed. Half a surrogate pair and bytes that are no UTF-8 become U+FFFD.
func unquoted(v []byte) []byte {
	v = v[1 : len(v)-1]
	if bytes.IndexByte(v, '\\') < 0 && utf8.Valid(v) {
		return v
	}
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); {
		r, size := utf8.DecodeRune(v[i:])
		if r == '\\' {
			r, size = escaped(v[i:])
		}
		out = utf8.AppendRune(out, r)
		i += size
	}
	return out
}

// escaped is the character that the escape at the begin of v stands for, and the length of the escape.
func escaped(v []byte) (rune, int) {
	if v[1] != 'u' {
		return rune(jsonEscaped[strings.IndexByte(jsonEscapes, v[1])]), 2
	}
	r := hexRune(v)
	if utf16.IsSurrogate(r) {
		if len(v) >= 12 && v[6] == '\\' && v[7] == 'u' {
			if pair := utf16.DecodeRune(r, hexRune(v[6:])); pair != utf8.RuneError {
				return pair, 12
			}
		}
		return utf8.RuneError, 6
	}
	return r, 6
}

func hexRune(v []byte) rune {
	n, _ := strconv.ParseUint(string(v[2:6]), 16, 16)
	return rune(n)
}

// parseJSONText reads a text as map[string]any, []any, string, jsonNumber, bool and nil. Of a key that is there twice the last one counts.
func parseJSONText(b []byte) (v any, err error) {
	err = oneValue(b, func(i int) (end int, err error) {
		v, end, err = parseValue(b, i, rpcDepthMax)
		return end, err
	})
	return v, err
}

func parseValue(b []byte, i, depth int) (v any, end int, err error) {
	switch {
	case i < len(b) && b[i] == '{':
		m := map[string]any{}
		end, err = walk(b, i, depth, func(key []byte, i int) (int, error) {
			e, end, err := parseValue(b, i, depth-1)
			m[string(unquoted(key))] = e
			return end, err
		})
		return m, end, err
	case i < len(b) && b[i] == '[':
		list := []any{}
		end, err = walk(b, i, depth, func(_ []byte, i int) (int, error) {
			e, end, err := parseValue(b, i, depth-1)
			list = append(list, e)
			return end, err
		})
		return list, end, err
	}
	if end, err = skipValue(b, i, depth); err != nil {
		return nil, end, err
	}
	switch b[i] {
	case '"':
		return string(unquoted(b[i:end])), end, nil
	case 't', 'f':
		return b[i] == 't', end, nil
	case 'n':
		return nil, end, nil
	}
	return jsonNumber(b[i:end]), end, nil
}

// decodeJSON reads a text into what the pointer into points to, by the rules of appendJSON; an any gets what parseJSONText makes.
// Members that a struct does not have are left out, null leaves what cannot be nil as it is, and a wrong type or a number out of range is an error.
func decodeJSON(b []byte, into any) error {
	return oneValue(b, func(i int) (int, error) { return decodeValue(b, i, jsonDepthMax, reflect.ValueOf(into).Elem()) })
}

func decodeValue(b []byte, i, depth int, v reflect.Value) (end int, err error) {
	kind := v.Kind()
	switch {
	case v.Type() == rawType:
		if end, err = skipValue(b, i, depth); err == nil {
			v.SetBytes(bytes.Clone(b[i:end]))
		}
		return end, err
	case i < len(b) && b[i] == 'n':
		if end, err = skipValue(b, i, depth); err == nil && (kind == reflect.Pointer || kind == reflect.Slice || kind == reflect.Map || kind == reflect.Interface) {
			v.SetZero()
		}
		return end, err
	case kind == reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return decodeValue(b, i, depth, v.Elem())
	case kind == reflect.Interface:
		e, end, err := parseValue(b, i, depth)
		if err == nil {
			v.Set(reflect.ValueOf(e))
		}
		return end, err
	case kind == reflect.Struct || kind == reflect.Map:
		return decodeObject(b, i, depth, v)
	case kind == reflect.Slice:
		return decodeList(b, i, depth, v)
	}
	if end, err = skipValue(b, i, depth); err == nil && !setScalar(v, b[i:end]) {
		err = errType(b, i, end, v)
	}
	return end, err
}

func errType(b []byte, i, end int, v reflect.Value) error {
	return fmt.Errorf("%s at byte %d does not fit: %s is expected", shortened(string(b[i:end])), i+1, v.Kind())
}

// mismatch is the error for a value at b[i] that is not of the kind of v.
func mismatch(b []byte, i, depth int, v reflect.Value) (int, error) {
	end, err := skipValue(b, i, depth)
	if err == nil {
		err = errType(b, i, end, v)
	}
	return end, err
}

func decodeList(b []byte, i, depth int, v reflect.Value) (int, error) {
	if i >= len(b) || b[i] != '[' {
		return mismatch(b, i, depth, v)
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	return walk(b, i, depth, func(_ []byte, i int) (int, error) {
		v.Grow(1)
		v.SetLen(v.Len() + 1)
		return decodeValue(b, i, depth-1, v.Index(v.Len()-1))
	})
}

func decodeObject(b []byte, i, depth int, v reflect.Value) (int, error) {
	if i >= len(b) || b[i] != '{' {
		return mismatch(b, i, depth, v)
	}
	if v.Kind() == reflect.Map {
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		return walk(b, i, depth, func(key []byte, i int) (int, error) {
			e := reflect.New(v.Type().Elem()).Elem()
			end, err := decodeValue(b, i, depth-1, e)
			if err == nil {
				v.SetMapIndex(reflect.ValueOf(string(unquoted(key))), e)
			}
			return end, err
		})
	}
	fields := fieldsOf(v.Type())
	return walk(b, i, depth, func(key []byte, i int) (int, error) {
		key = unquoted(key)
		for _, f := range fields {
			if f.name == string(key) {
				return decodeValue(b, i, depth-1, v.FieldByIndex(f.at))
			}
		}
		return skipValue(b, i, depth-1)
	})
}

// setScalar gives v a string, bool or number; false: it does not fit.
func setScalar(v reflect.Value, text []byte) bool {
	var err error
	switch number := text[0] == '-' || text[0] <= '9' && text[0] >= '0'; v.Kind() {
	case reflect.String:
		if text[0] != '"' {
			return false
		}
		v.SetString(string(unquoted(text)))
	case reflect.Bool:
		if text[0] != 't' && text[0] != 'f' {
			return false
		}
		v.SetBool(text[0] == 't')
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		var n int64
		n, err = strconv.ParseInt(string(text), 10, v.Type().Bits())
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var n uint64
		n, err = strconv.ParseUint(string(text), 10, v.Type().Bits())
		v.SetUint(n)
	case reflect.Float32, reflect.Float64:
		var f float64
		f, err = strconv.ParseFloat(string(text), v.Type().Bits())
		v.SetFloat(f)
		return number && err == nil
	default:
		return false
	}
	return err == nil
}

// indentJSON is a text that is known to be JSON on many lines, for people.
func indentJSON(b []byte) []byte {
	var out []byte
	oneValue(b, func(i int) (int, error) { return indentValue(&out, b, i, "\n") })
	return out
}

// indentValue appends the value at b[i]; line is the newline and the indentation of the line that it stands on.
func indentValue(out *[]byte, b []byte, i int, line string) (int, error) {
	if i >= len(b) || b[i] != '{' && b[i] != '[' {
		end, err := skipValue(b, i, 1)
		*out = append(*out, b[i:end]...)
		return end, err
	}
	*out = append(*out, b[i])
	inner, members := line+"  ", 0
	end, err := walk(b, i, jsonDepthMax, func(key []byte, i int) (int, error) {
		*out = append(separated(*out, members), inner...)
		members++
		if key != nil {
			*out = append(append(*out, key...), ": "...)
		}
		return indentValue(out, b, i, inner)
	})
	if members > 0 {
		*out = append(*out, line...)
	}
	if err == nil {
		*out = append(*out, b[end-1])
	}
	return end, err
}

// --- methods: is the table of methods: names, parameters, results, access and errors of each, and the OpenRPC document made from it. It does nothing with services.

// --- what goes over the wire; the client reads the same types ---

// serviceStatus is the answer of service.status. Its tags describe it to rpc.discover: `enum` lists the values of a string.
type serviceStatus struct {
	Name          string        `json:"name"`
	Kind          string        `json:"kind" enum:"service|target"`
	State         string        `json:"state" enum:"inactive|blocked|starting|running|stopping|exited|failed"`
	Wish          string        `json:"wish" enum:"up|down"`
	PID           int           `json:"pid"`
	ExitCode      *int          `json:"exit_code"`
	Reason        *wireReason   `json:"reason"`
	Health        *healthStatus `json:"health"`
	UptimeMS      int64         `json:"uptime_ms"`
	RestartCount  int           `json:"restart_count"`
	RestartInMS   *int64        `json:"restart_in_ms"`
	BlockedBy     []string      `json:"blocked_by"`
	ConfigChanged bool          `json:"config_changed"`
}

// serviceStatusFull is serviceStatus and what takes longer to find out.
type serviceStatusFull struct {
	serviceStatus
	LastStart   int64   `json:"last_start"` // ms since the epoch, 0: never
	LastStop    int64   `json:"last_stop"`
	CPUPercent  float64 `json:"cpu_percent"` // of the main process, 100 is one core
	MemoryBytes int64   `json:"memory_bytes"`
	Class       string  `json:"class" enum:"user|system"`
	Critical    bool    `json:"critical"`
	Oneshot     bool    `json:"oneshot"`
	Path        string  `json:"path"`
	Description string  `json:"description"`
}

type healthStatus struct {
	OK        bool   `json:"ok"`
	LastError string `json:"last_error"`
	Checks    int    `json:"checks"`
	Failures  int    `json:"failures"`
}

// wireReason is a FailureReason: only the members of its type are written.
type wireReason struct {
	Type       string `json:"type"`
	Code       *int   `json:"code"` // null: nobody could learn it
	Signal     int    `json:"signal"`
	Name       string `json:"name"`
	Core       bool   `json:"core"`
	Attempts   int    `json:"attempts"`
	LastError  string `json:"last_error"`
	Service    string `json:"service"`
	Message    string `json:"message"`
	Dependency string `json:"dependency"`
}

// wireReasonMembers says which members a reason of each type has.
var wireReasonMembers = []struct {
	kind    string
	members []string
}{
	{"exit_code", []string{"code"}},
	{"signal", []string{"signal", "name", "core"}},
	{"start_timeout", nil},
	{"stop_timeout", nil},
	{"health_check_failed", []string{"attempts", "last_error"}},
	{"dependency_failed", []string{"service"}},
	{"spawn_error", []string{"message"}},
	{"missing_dependency", []string{"dependency"}},
}

func wireReasonOf(r *failureReason) *wireReason {
	if r == nil {
		return nil
	}
	w := &wireReason{Type: r.Type, Signal: r.Signal, Core: r.Core, Attempts: r.Attempts, LastError: r.LastError,
		Service: r.Service, Message: r.Message, Dependency: r.Dependency}
	if r.CodeKnown {
		w.Code = &r.Code
	}
	if r.Type == "signal" {
		w.Name = signalName(r.Signal)
	}
	return w
}

// String is the sentence for people, the same that the server writes to its log.
func (w *wireReason) String() string {
	f := failureReason{Type: w.Type, Signal: w.Signal, Core: w.Core, Attempts: w.Attempts, LastError: w.LastError,
		Service: w.Service, Message: w.Message, Dependency: w.Dependency}
	if w.Code != nil {
		f.Code, f.CodeKnown = *w.Code, true
	}
	return f.String()
}

func (w *wireReason) appendJSON(b []byte) []byte {
	b = appendString(append(b, `{"type":`...), w.Type)
	switch w.Type {
	case "exit_code":
		b = appendIntOrNull(append(b, `,"code":`...), w.Code)
	case "signal":
		b = strconv.AppendInt(append(b, `,"signal":`...), int64(w.Signal), 10)
		b = appendString(append(b, `,"name":`...), w.Name)
		b = strconv.AppendBool(append(b, `,"core":`...), w.Core)
	case "health_check_failed":
		b = strconv.AppendInt(append(b, `,"attempts":`...), int64(w.Attempts), 10)
		b = appendString(append(b, `,"last_error":`...), w.LastError)
	case "dependency_failed":
		b = appendString(append(b, `,"service":`...), w.Service)
	case "spawn_error":
		b = appendString(append(b, `,"message":`...), w.Message)
	case "missing_dependency":
		b = appendString(append(b, `,"dependency":`...), w.Dependency)
	}
	return append(b, '}')
}

func appendIntOrNull[T int | int64](b []byte, n *T) []byte {
	if n == nil {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, int64(*n), 10)
}

func (s *serviceStatus) appendJSON(b []byte) []byte { return append(s.appendMembers(b), '}') }

// appendMembers writes everything but the closing brace. The status is what clients ask for most, so it is written by hand.
func (s *serviceStatus) appendMembers(b []byte) []byte {
	b = appendString(append(b, `{"name":`...), s.Name)
	b = appendString(append(b, `,"kind":`...), s.Kind)
	b = appendString(append(b, `,"state":`...), s.State)
	b = appendString(append(b, `,"wish":`...), s.Wish)
	b = strconv.AppendInt(append(b, `,"pid":`...), int64(s.PID), 10)
	b = appendIntOrNull(append(b, `,"exit_code":`...), s.ExitCode)
	b = append(b, `,"reason":`...)
	if s.Reason == nil {
		b = append(b, "null"...)
	} else {
		b = s.Reason.appendJSON(b)
	}
	b = append(b, `,"health":`...)
	if h := s.Health; h == nil {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendBool(append(b, `{"ok":`...), h.OK)
		b = appendString(append(b, `,"last_error":`...), h.LastError)
		b = strconv.AppendInt(append(b, `,"checks":`...), int64(h.Checks), 10)
		b = strconv.AppendInt(append(b, `,"failures":`...), int64(h.Failures), 10)
		b = append(b, '}')
	}
	b = strconv.AppendInt(append(b, `,"uptime_ms":`...), s.UptimeMS, 10)
	b = strconv.AppendInt(append(b, `,"restart_count":`...), int64(s.RestartCount), 10)
	b = appendIntOrNull(append(b, `,"restart_in_ms":`...), s.RestartInMS)
	b = append(b, `,"blocked_by":[`...)
	for i, n := range s.BlockedBy {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, n)
	}
	return strconv.AppendBool(append(b, `],"config_changed":`...), s.ConfigChanged)
}

func (s *serviceStatusFull) appendJSON(b []byte) []byte {
	b = s.appendMembers(b)
	b = strconv.AppendInt(append(b, `,"last_start":`...), s.LastStart, 10)
	b = strconv.AppendInt(append(b, `,"last_stop":`...), s.LastStop, 10)
	b = strconv.AppendFloat(append(b, `,"cpu_percent":`...), s.CPUPercent, 'f', -1, 64)
	b = strconv.AppendInt(append(b, `,"memory_bytes":`...), s.MemoryBytes, 10)
	b = appendString(append(b, `,"class":`...), s.Class)
	b = strconv.AppendBool(append(b, `,"critical":`...), s.Critical)
	b = strconv.AppendBool(append(b, `,"oneshot":`...), s.Oneshot)
	b = appendString(append(b, `,"path":`...), s.Path)
	b = appendString(append(b, `,"description":`...), s.Description)
	return append(b, '}')
}

type (
	fullList []serviceStatusFull
	lineList []logLine
)

func (l fullList) appendJSON(b []byte) []byte {
	b = append(b, '[')
	for i := range l {
		if i > 0 {
			b = append(b, ',')
		}
		b = l[i].appendJSON(b)
	}
	return append(b, ']')
}

func (l lineList) appendJSON(b []byte) []byte {
	b = append(b, '[')
	for i := range l {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendLine(append(b, '{'), &l[i]), '}')
	}
	return append(b, ']')
}

// appendLine writes the members of a LogLine.
func appendLine(b []byte, l *logLine) []byte {
	b = strconv.AppendUint(append(b, `"seq":`...), l.Seq, 10)
	b = strconv.AppendInt(append(b, `,"time_ms":`...), l.TimeMS, 10)
	b = appendString(append(b, `,"service":`...), l.Service)
	b = appendString(append(b, `,"stream":`...), l.Stream)
	return appendString(append(b, `,"text":`...), l.Text)
}

// tenth rounds to what people read, and keeps numbers away that JSON does not have.
func tenth(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return math.Round(f*10) / 10
}

type okResult struct {
	OK bool `json:"ok"`
}

type pingResult struct {
	Version  string `json:"version"`
	PID      int    `json:"pid"`
	UptimeMS int64  `json:"uptime_ms"`
	Mode     string `json:"mode" enum:"standalone|container|system"`
}

type infoResult struct {
	Version    string   `json:"version"`
	Mode       string   `json:"mode" enum:"standalone|container|system"`
	PID        int      `json:"pid"`
	StartedMS  int64    `json:"started_ms"` // since the epoch
	ConfigDirs []string `json:"config_dirs"`
	Socket     string   `json:"socket"`
	Kernel     string   `json:"kernel"`
	Cgroup     string   `json:"cgroup"`
	Degraded   []string `json:"degraded"`
}

type putResult struct {
	OK       bool      `json:"ok"`
	Name     string    `json:"name"`
	Path     *string   `json:"path"`
	Warnings []problem `json:"warnings"`
}

type checkResult struct {
	OK       bool      `json:"ok"`
	Errors   []problem `json:"errors"`
	Warnings []problem `json:"warnings"`
}

// stateResult is what start, stop, restart answer. BlockedBy is there when the state is blocked.
type stateResult struct {
	OK        bool     `json:"ok"`
	State     string   `json:"state" enum:"inactive|blocked|starting|running|stopping|exited|failed"`
	BlockedBy []string `json:"blocked_by,omitempty"`
}

type waitResult struct {
	State     string   `json:"state" enum:"inactive|blocked|starting|running|stopping|exited|failed"`
	BlockedBy []string `json:"blocked_by,omitempty"`
}

type bulkResult struct {
	OK       bool        `json:"ok"`
	Services []string    `json:"services"`
	Skipped  []string    `json:"skipped"`
	Errors   []nameError `json:"errors"`
}

type statsResult struct {
	Name        string         `json:"name"`
	PID         int            `json:"pid"`
	CPUPercent  float64        `json:"cpu_percent"`
	MemoryBytes int64          `json:"memory_bytes"`
	Threads     int            `json:"threads"`
	FDs         int            `json:"fds"`
	Processes   int            `json:"processes"`
	Children    []childProcess `json:"children"`
}

type childProcess struct {
	PID         int     `json:"pid"`
	PPID        int     `json:"ppid"`
	Command     string  `json:"command"`
	CPUPercent  float64 `json:"cpu_percent"`
	MemoryBytes int64   `json:"memory_bytes"`
}

type whyResult struct {
	Name    string      `json:"name"`
	State   string      `json:"state" enum:"inactive|blocked|starting|running|stopping|exited|failed"`
	Blocked bool        `json:"blocked"`
	Reasons []whyReason `json:"reasons"`
	Text    string      `json:"text"`
}

type treeResult struct {
	Text  string     `json:"text"`
	Roots []treeNode `json:"roots"`
}

type processResult struct {
	Text  string        `json:"text"`
	Roots []processNode `json:"roots"`
}

// processNode is a process; Service names whose main process it is, or is "".
type processNode struct {
	PID      int           `json:"pid"`
	PPID     int           `json:"ppid"`
	Command  string        `json:"command"`
	Service  string        `json:"service"`
	Children []processNode `json:"children"`
}

type textResult struct {
	Text string `json:"text"`
}

type debugResult struct {
	Text     string         `json:"text"`
	Services []debugService `json:"services"`
}

type debugService struct {
	Status     *serviceStatusFull `json:"status" null:"no"`
	Invocation string             `json:"invocation"`
	Generation uint64             `json:"generation"`
	Config     configValue        `json:"config"`
}

// bootUnit holds times in ms since the server started; null: it did not come to that.
type bootUnit struct {
	Name       string `json:"name"`
	Kind       string `json:"kind" enum:"service|target"`
	State      string `json:"state" enum:"inactive|blocked|starting|running|stopping|exited|failed"`
	BlockedMS  *int64 `json:"blocked_ms"`
	StartingMS *int64 `json:"starting_ms"`
	ReadyMS    *int64 `json:"ready_ms"`
}

type bootResult struct {
	TotalMS  int64      `json:"total_ms"` // until the last unit was ready
	Services []bootUnit `json:"services"`
	Chain    []string   `json:"chain"` // the critical chain, first to last
}

type subscribeResult struct {
	Subscription int64 `json:"subscription"`
}

type restartResult struct {
	OK        bool     `json:"ok"`
	StateFile *string  `json:"state_file"`
	Services  []string `json:"services"`
}

type upgradeResult struct {
	OK      bool   `json:"ok"`
	Version string `json:"version"`
}

type xinetStatus struct {
	Name              string   `json:"name"`
	Listen            []string `json:"listen"`
	Backend           string   `json:"backend"`
	Service           string   `json:"service"`
	Running           bool     `json:"running"`
	TotalConnections  int64    `json:"total_connections"`
	ActiveConnections int64    `json:"active_connections"`
	BytesToBackend    int64    `json:"bytes_to_backend"`
	BytesFromBackend  int64    `json:"bytes_from_backend"`
	ConnectTimeout    int      `json:"connect_timeout"`
	IdleTimeout       int      `json:"idle_timeout"`
	SingleConnection  bool     `json:"single_connection"`
	Description       string   `json:"description"`
	LastError         string   `json:"last_error"`
}

type (
	configValue map[string]any // CONFIG
	document    map[string]any // any JSON object
	eitherOf    []any          // a result of one of these types
)

// --- the table ---

// rpcMethod is one method: everything that dispatch, help and rpc.discover know of it.
type rpcMethod struct {
	name   string
	read   bool // allowed to clients that may only read
	waits  bool // may take long; then it does not hold up the requests after it
	doc    string
	params string // their keys in rpcParams, in order
	result any    // a value of the result's type
	errors string // kinds besides invalid_params and permission_denied
	handle func(q *rpcCall) (any, error)
	takes  []*rpcParam // what params names
}

// rpcParams are the parameters of all methods. The key is the name, unless methods differ in what they mean by that name.
// This table and the next are data without code: the compiler lays them out, nothing builds them.
var rpcParams = []rpcParam{
	{name: "name", kind: "string", required: true, doc: "the service or target"},
	{key: "root", name: "name", kind: "string", doc: "the unit to begin with; absent: all"},
	{key: "proxy", name: "name", kind: "string", required: true, doc: "the proxy"},
	{name: "config", kind: "config", required: true, doc: "the configuration, with the sections and keys of the TOML file"},
	{key: "proxy_config", name: "config", kind: "config", required: true, doc: "the proxy, as in the file"},
	{name: "persist", kind: "bool", preset: false, doc: "also write its file, so that it is there after the next start of the server"},
	{name: "text", kind: "string", doc: "the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config"},
	{name: "force", kind: "bool", preset: false, doc: "also when others require it"},
	{name: "restart", kind: "bool", preset: false, doc: "restart the services whose configuration changed"},
	{name: "tree", kind: "bool", preset: false, doc: "also what it requires and wants"},
	{name: "wait", kind: "bool", preset: false, doc: "answer when it is done, not at once"},
	{name: "timeout_ms", kind: "integer", doc: "how long to wait; absent or 0: as long as it takes"},
	{name: "state", kind: "string", preset: "running", among: stateNames[:], doc: "the state to wait for"},
	{name: "signal", kind: "signal", preset: "SIGTERM", doc: "name, with or without SIG, or number"},
	{name: "binary", kind: "string", doc: "its path; absent: the server's own"},
	{key: "drawing", name: "format", kind: "string", preset: "dot", among: []string{"dot", "mermaid", "json"}, doc: "the language of the drawing"},
	{key: "analysis", name: "format", kind: "string", preset: "json", among: []string{"json", "text"}, doc: "data, or a text for people"},
	{name: "services", kind: "strings", doc: "only these services; absent or empty: all"},
	{name: "types", kind: "strings", doc: "only events of these types: " + eventTypes + "; absent: all"},
	{name: "subscription", kind: "integer", required: true, doc: "its number"},
	{name: "service", kind: "string", doc: "only this service"},
	{name: "stream", kind: "string", among: []string{"stdout", "stderr", "syslog"}, doc: "only this stream"},
	{name: "since_ms", kind: "integer", doc: "ms since the epoch"},
	{name: "until_ms", kind: "integer", doc: "ms since the epoch"},
	{name: "contains", kind: "string", doc: "text that the line contains"},
	{name: "lines", kind: "integer", preset: 100, doc: "the newest lines, at most this many"},
	{key: "lines_10", name: "lines", kind: "integer", preset: 10, doc: "the newest lines, at most this many"},
	{key: "lines_1000", name: "lines", kind: "integer", preset: 1000, doc: "the newest lines, at most this many"},
}

// rpcMethods is the list of all methods. A new one is a row here and nothing elsewhere but its handler.
var rpcMethods = []rpcMethod{
	{name: "rpc.discover", read: true, doc: "describes all methods as an OpenRPC document", result: document(nil), handle: doDiscover},
	{name: "system.ping", read: true, doc: "answers when the server is alive", result: pingResult{}, handle: doPing},
	{name: "system.info", read: true, doc: "what works here and what does not", result: infoResult{}, handle: doInfo},
	{name: "system.shutdown", doc: "stops all services and ends the server; as PID 1 of a machine: powers off", result: okResult{}, handle: doPower},
	{name: "system.reboot", doc: "reboots the machine", result: okResult{}, errors: "not_supported", handle: doPower},
	{name: "system.poweroff", doc: "powers the machine off", result: okResult{}, errors: "not_supported", handle: doPower},
	{name: "system.halt", doc: "halts the machine", result: okResult{}, errors: "not_supported", handle: doPower},
	{name: "system.prepare_restart", doc: "saves the state and ends the server; the services go on", result: restartResult{}, errors: "shutting_down not_supported", handle: doPrepareRestart},
	{name: "system.upgrade", waits: true, doc: "goes over to a new binary; the services go on", params: "binary", result: upgradeResult{},
		errors: "shutting_down not_supported process_error invalid_state timeout", handle: doUpgrade},
	{name: "debug.state", read: true, doc: "everything that the server knows", result: debugResult{}, handle: doDebugState},
	{name: "debug.process_tree", read: true, doc: "all processes of all services", result: processResult{}, handle: doProcessTree},
	{name: "boot.analyze", read: true, doc: "how long each service took to start, and the critical chain", params: "analysis", result: eitherOf{bootResult{}, textResult{}}, handle: doBootAnalyze},
	{name: "events.subscribe", read: true, doc: "sends an `event` notification for each change from now on", params: "services types", result: subscribeResult{}, handle: doSubscribe},
	{name: "events.unsubscribe", read: true, doc: "ends a subscription of events.subscribe or logs.follow on this connection", params: "subscription", result: okResult{}, handle: doUnsubscribe},

	{name: "service.create", doc: "adds a new service, and starts it when its status says so", params: "config persist text", result: putResult{}, errors: createErrors, handle: doCreate},
	{name: "service.add", doc: "adds a new service, and starts it when its status says so", params: "config persist text", result: putResult{}, errors: createErrors, handle: doCreate},
	{name: "service.delete", waits: true, doc: "stops a service, waits until it is gone and deletes its file", params: "name force", result: okResult{}, errors: deleteErrors, handle: doDelete},
	{name: "service.remove", waits: true, doc: "stops a service, waits until it is gone and deletes its file", params: "name force", result: okResult{}, errors: deleteErrors, handle: doDelete},
	{name: "service.register", doc: "adds a new service and writes its file", params: "config text", result: putResult{}, errors: createErrors, handle: doRegister},
	{name: "service.monitor", doc: "adds a new service without a file", params: "config", result: putResult{}, errors: createErrors, handle: doMonitor},
	{name: "service.set", doc: "adds or replaces a service and writes its file; if it runs it is restarted", params: "config text", result: putResult{}, errors: setErrors, handle: doSet},
	{name: "service.update", doc: "replaces a service, and its file if it has one; if it runs it is restarted", params: "config text", result: putResult{}, errors: "service_not_found " + setErrors, handle: doUpdate},
	{name: "service.get", read: true, doc: "the configuration of a service, defaults filled in", params: "name", result: configValue(nil), errors: "service_not_found", handle: doGet},
	{name: "service.check", read: true, doc: "what service.set would say about a configuration; changes nothing", params: "config", result: checkResult{}, handle: doCheck},
	{name: "service.reload", doc: "reads the directories again", params: "restart", result: reloadResult{}, errors: "shutting_down", handle: doReload},

	{name: "service.list", read: true, doc: "the names of all services, sorted", result: []string(nil), handle: doList},
	{name: "service.list_full", read: true, doc: "all services, sorted by name", result: fullList{}, handle: doListFull},
	{name: "service.status", read: true, doc: "the state of a service", params: "name", result: serviceStatus{}, errors: "service_not_found", handle: doStatus},
	{name: "service.status_full", read: true, doc: "the state of a service, with resources and what its file says", params: "name", result: serviceStatusFull{}, errors: "service_not_found", handle: doStatusFull},
	{name: "service.stats", read: true, doc: "the resources of a service: of its main process, and of each of its descendants", params: "name", result: statsResult{}, errors: "service_not_found", handle: doStats},
	{name: "service.children", read: true, doc: "the descendants of a service's main process", params: "name", result: []childProcess(nil), errors: "service_not_found", handle: doChildren},
	{name: "service.is_running", read: true, doc: "whether a service is running", params: "name", result: false, errors: "service_not_found", handle: doIsRunning},
	{name: "service.why", read: true, doc: "why a service is in its state, down to the root causes", params: "name", result: whyResult{}, errors: "service_not_found", handle: doWhy},
	{name: "service.tree", read: true, doc: "what needs what", params: "root", result: treeResult{}, errors: "service_not_found", handle: doTree},
	{name: "service.graph", read: true, doc: "the graph as a drawing for other programs", params: "drawing", result: textResult{}, handle: doGraph},

	{name: "service.start", waits: true, doc: "wishes a service up; with wait: until it is running, exited or failed, or blocked until a person acts",
		params: "name tree wait timeout_ms", result: stateResult{}, errors: actionErrors, handle: doStart},
	{name: "service.stop", waits: true, doc: "stops a service, those that require it first", params: "name wait timeout_ms", result: stateResult{}, errors: actionErrors, handle: doStop},
	{name: "service.restart", waits: true, doc: "stops and starts a service", params: "name wait timeout_ms", result: stateResult{}, errors: actionErrors, handle: doRestart},
	{name: "service.kill", doc: "sends a signal to a service; the wish stays", params: "name signal", result: okResult{},
		errors: "service_not_found service_is_down invalid_signal process_error", handle: doKill},
	{name: "service.wait", read: true, waits: true, doc: "waits until a service is in a state; answers at once when it is blocked until a person acts",
		params: "name state timeout_ms", result: waitResult{}, errors: "service_not_found timeout", handle: doWait},
	{name: "service.start_all", doc: "starts all services of class user", result: bulkResult{}, errors: "shutting_down", handle: doStartAll},
	{name: "service.stop_all", doc: "stops all services of class user", result: bulkResult{}, handle: doStopAll},
	{name: "service.delete_all", waits: true, doc: "deletes all services of class user, and their files", result: bulkResult{}, errors: "shutting_down", handle: doDeleteAll},

	{name: "logs.get", read: true, doc: "the newest lines of a service as texts", params: "name lines", result: []string(nil), errors: "service_not_found", handle: doLogsGet},
	{name: "logs.tail", read: true, doc: "the newest lines of a service", params: "name lines", result: lineList{}, errors: "service_not_found", handle: doLogsTail},
	{name: "logs.filter", read: true, doc: "the newest lines that match, of all services in the order of time",
		params: "service stream since_ms until_ms contains lines_1000", result: lineList{}, errors: "service_not_found", handle: doLogsFilter},
	{name: "logs.follow", read: true, doc: "sends the newest lines and then each new one as a `log` notification", params: "services stream lines_10", result: subscribeResult{}, handle: doLogsFollow},

	{name: "xinet.create", doc: "adds a proxy", params: "proxy_config", result: okResult{}, errors: xinetErrors, handle: doNotYet},
	{name: "xinet.register", doc: "adds or replaces a proxy", params: "proxy_config", result: okResult{}, errors: xinetErrors, handle: doNotYet},
	{name: "xinet.delete", doc: "removes a proxy", params: "proxy", result: okResult{}, errors: xinetErrors, handle: doNotYet},
	{name: "xinet.unregister", doc: "removes a proxy", params: "proxy", result: okResult{}, errors: xinetErrors, handle: doNotYet},
	{name: "xinet.get", read: true, doc: "the configuration of a proxy", params: "proxy", result: document(nil), errors: xinetErrors, handle: doNotYet},
	{name: "xinet.list", read: true, doc: "the names of all proxies", result: []string(nil), errors: xinetErrors, handle: doNotYet},
	{name: "xinet.status", read: true, doc: "the state of a proxy", params: "proxy", result: xinetStatus{}, errors: xinetErrors, handle: doNotYet},
	{name: "xinet.status_all", read: true, doc: "the state of all proxies", result: []xinetStatus(nil), errors: xinetErrors, handle: doNotYet},
}

// The errors of methods that are alike.
const (
	createErrors = "config_error already_exists dependency_error service_file_error shutting_down"
	setErrors    = "config_error dependency_error service_file_error invalid_state shutting_down"
	deleteErrors = "service_not_found dependency_error service_file_error invalid_state"
	actionErrors = "service_not_found invalid_state shutting_down timeout"
	xinetErrors  = "xinet_error not_supported"
)

// readsOnly says whether a method changes nothing, so that a client may ask again when its connection broke.
func readsOnly(method string) bool {
	return slices.ContainsFunc(rpcMethods, func(m rpcMethod) bool { return m.name == method && m.read })
}

// resolve finds what params names.
func (m *rpcMethod) resolve() {
	for key := range strings.FieldsSeq(m.params) {
		i := slices.IndexFunc(rpcParams, func(p rpcParam) bool { return p.key == key || p.key == "" && p.name == key })
		m.takes = append(m.takes, &rpcParams[i])
	}
}

// signature shows the parameters for people.
func (m *rpcMethod) signature() string {
	if len(m.takes) == 0 {
		return "no parameters"
	}
	var words []string
	for _, p := range m.takes {
		word := p.name
		if !p.required {
			word += "?"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// --- OpenRPC ---

// openRPC describes all methods as an OpenRPC 1.3 document (https://spec.open-rpc.org). Schemas are JSON Schema draft 07.
func (r *rpcServer) openRPC(socket string) document {
	shared := document{"Config": configSchema()}
	var methods []any
	for _, name := range r.names {
		methods = append(methods, describeMethod(r.byName[name], shared))
	}
	return document{
		"openrpc": "1.3.2",
		"info":    document{"title": "zinit", "version": version, "description": "The control socket of the zinit supervisor: JSON-RPC 2.0, one JSON text per line over a Unix stream socket."},
		"servers": []any{document{"name": "local", "url": "unix://" + strings.ReplaceAll(socket, "@", "%40")}},
		"methods": methods,
		"components": document{
			"schemas": shared,
		},
	}
}

func describeMethod(m *rpcMethod, shared document) document {
	params := []any{}
	for _, p := range m.takes {
		params = append(params, document{"name": p.name, "description": p.doc, "required": p.required, "schema": p.schema()})
	}
	kinds := strings.Fields(m.errors)
	if len(m.takes) > 0 {
		kinds = append(kinds, "invalid_params")
	}
	if !m.read {
		kinds = append(kinds, "permission_denied")
	}
	errs := []any{}
	for _, k := range rpcKinds {
		if slices.Contains(kinds, k.kind) {
			errs = append(errs, document{"code": k.code, "message": k.doc, "data": document{"kind": k.kind}})
		}
	}
	d := document{"name": m.name, "summary": m.doc, "paramStructure": "either", "params": params, "errors": errs,
		"result": document{"name": strings.ReplaceAll(m.name, ".", "_") + "_result", "schema": schemaOf(reflect.TypeOf(m.result), reflect.ValueOf(m.result), shared)}}
	if m.waits {
		d["description"] = "It may wait; requests behind it on the same connection do not wait for it."
	}
	return d
}

// schema is the JSON Schema of a parameter.
func (p *rpcParam) schema() document {
	d := document{"type": p.kind}
	switch p.kind {
	case "bool":
		d["type"] = "boolean"
	case "integer":
		d["minimum"] = 0
	case "strings":
		d["type"], d["items"] = "array", document{"type": "string"}
	case "signal":
		d["type"] = []string{"string", "integer"}
	case "config":
		if p.key == "" {
			return document{"$ref": "#/components/schemas/Config"}
		}
		d["type"] = "object"
	}
	if p.among != nil {
		d["enum"] = p.among
	}
	if p.preset != nil {
		d["default"] = p.preset
	}
	return d
}

// schemaOf is the JSON Schema of a result type. Recursive types go to shared.
func schemaOf(t reflect.Type, v reflect.Value, shared document) document {
	switch t {
	case reflect.TypeFor[configValue]():
		return document{"$ref": "#/components/schemas/Config"}
	case reflect.TypeFor[eitherOf]():
		var any []any
		for _, one := range v.Interface().(eitherOf) {
			any = append(any, schemaOf(reflect.TypeOf(one), reflect.ValueOf(one), shared))
		}
		return document{"oneOf": any}
	case reflect.TypeFor[wireReason]():
		return reasonSchema()
	case reflect.TypeFor[treeNode](), reflect.TypeFor[processNode]():
		name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
		if shared[name] == nil {
			shared[name] = document{}
			shared[name] = structSchema(t, shared)
		}
		return document{"$ref": "#/components/schemas/" + name}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return document{"oneOf": []any{schemaOf(t.Elem(), reflect.Value{}, shared), document{"type": "null"}}}
	case reflect.Slice:
		return document{"type": "array", "items": schemaOf(t.Elem(), reflect.Value{}, shared)}
	case reflect.Struct:
		return structSchema(t, shared)
	case reflect.Bool:
		return document{"type": "boolean"}
	case reflect.Float64:
		return document{"type": "number"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return document{"type": "integer"}
	case reflect.Map:
		return document{"type": "object"}
	}
	return document{"type": "string"}
}

func structSchema(t reflect.Type, shared document) document {
	members, must := document{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			inner := structSchema(f.Type, shared)
			for k, v := range inner["properties"].(document) {
				members[k] = v
			}
			must = append(must, inner["required"].([]string)...)
			continue
		}
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		of := f.Type
		if f.Tag.Get("null") == "no" {
			of = of.Elem()
		}
		s := schemaOf(of, reflect.Value{}, shared)
		if e := f.Tag.Get("enum"); e != "" {
			s["enum"] = strings.Split(e, "|")
		}
		members[name] = s
		if option != "omitempty" {
			must = append(must, name)
		}
	}
	return document{"type": "object", "properties": members, "required": must, "additionalProperties": false}
}

// reasonSchema is one alternative for each type of reason.
func reasonSchema() document {
	types := document{"code": document{"type": []string{"integer", "null"}}, "signal": document{"type": "integer"}, "core": document{"type": "boolean"}, "attempts": document{"type": "integer"}}
	var all []any
	for _, r := range wireReasonMembers {
		members, must := document{"type": document{"type": "string", "enum": []string{r.kind}}}, []string{"type"}
		for _, m := range r.members {
			members[m] = document{"type": "string"}
			if types[m] != nil {
				members[m] = types[m]
			}
			must = append(must, m)
		}
		all = append(all, document{"type": "object", "properties": members, "required": must, "additionalProperties": false})
	}
	return document{"oneOf": all}
}

// jsonText is v as indented JSON.
func jsonText(v any) string {
	return string(indentJSON(appendJSON(nil, v))) + "\n"
}

// --- handlers: does what the methods say, by the two doors of the supervisor: look, or submit and wait. It holds no state of its own.

// --- asking the core ---

// post submits an event whose answer settle waits for. Requests take effect in the order in which they are posted.
func (r *rpcServer) post(ev event) *ticket {
	ev.to = &ticket{done: make(chan reply, 1)}
	r.s.submit(ev)
	return ev.to
}

// settle waits for the answer to a posted event. A nil cancel never cancels.
func (r *rpcServer) settle(name string, t *ticket, cancel <-chan struct{}) (answer, error) {
	select {
	case a := <-t.done:
		if a.err != nil {
			return a.answer, a.err
		}
		return a.answer, nil
	case <-cancel:
		r.s.submit(event{kind: eventCancel, name: name, to: t})
		return answer{}, rpcFail("timeout", "the client went away")
	}
}

func (q *rpcCall) server() *rpcServer { return q.conn.srv }

func (q *rpcCall) core() *supervisor { return q.conn.srv.s }

// ask submits an event that is settled at once.
func (q *rpcCall) ask(ev event) (answer, error) { return q.core().ask(ev, nil) }

// park submits an event now and leaves the waiting for its answer to the background; finish makes the result. It ends with the client.
func (q *rpcCall) park(ev event, finish func(answer) any) (any, error) {
	if err := q.conn.reserve(); err != nil {
		return nil, err
	}
	t := q.server().post(ev)
	q.later = func() (any, error) {
		a, err := q.server().settle(ev.name, t, q.conn.gone)
		if err != nil {
			return nil, err
		}
		return finish(a), nil
	}
	return nil, nil
}

// parkToEnd is park for what must be finished even when the client goes away.
func (q *rpcCall) parkToEnd(ev event, finish func(answer) (any, error)) (any, error) {
	if err := q.conn.reserve(); err != nil {
		return nil, err
	}
	r := q.server()
	if r.detached.Add(1) > rpcDetachedMax {
		r.detached.Add(-1)
		q.conn.unreserve()
		return nil, rpcFail("internal_error", "too many deletions are waiting; try again later")
	}
	t := r.post(ev)
	q.later = func() (any, error) {
		defer r.detached.Add(-1)
		a, err := r.settle(ev.name, t, nil)
		if err != nil {
			return nil, err
		}
		return finish(a)
	}
	return nil, nil
}

// look calls f with the unit that the call names.
func (q *rpcCall) look(f func(g *graph, u *unit, now time.Time)) error {
	name := q.str("name")
	var fail error
	q.core().view(func(g *graph, now time.Time) {
		u := g.unit(name)
		if u == nil {
			fail = g.unknown(name)
			return
		}
		f(g, u, now)
	})
	return fail
}

// --- system ---

func doDiscover(q *rpcCall) (any, error) {
	return q.server().openRPC(q.core().info().Socket), nil
}

func doPing(q *rpcCall) (any, error) {
	i := q.core().info()
	return pingResult{i.Version, i.PID, time.Since(i.Started).Milliseconds(), i.Mode}, nil
}

func doInfo(q *rpcCall) (any, error) {
	i := q.core().info()
	return infoResult{Version: i.Version, Mode: i.Mode, PID: i.PID, StartedMS: i.Started.UnixMilli(), ConfigDirs: i.ConfigDirs,
		Socket: i.Socket, Kernel: kernelName(), Cgroup: "none", Degraded: append([]string{
			"cgroups are not used: what leaves its session, wipes its environment and loses its parent in an unexpected death is not found"}, i.Degraded...)}, nil
}

// doPower is system.shutdown and its sisters: as PID 1 of a machine it does as named, in a container it ends the container, standalone only shutdown works.
func doPower(q *rpcCall) (any, error) {
	do := strings.TrimPrefix(q.row.name, "system.")
	switch mode := q.core().info().Mode; {
	case mode == "standalone" && do != "shutdown":
		return nil, rpcFail("not_supported", "cannot %s: this server is not PID 1; system.shutdown ends it", do)
	case mode == "system" && do == "shutdown":
		do = "poweroff"
	case mode != "system":
		do = "exit"
	}
	_, err := q.ask(event{kind: eventShutdown, power: do})
	return okResult{true}, err
}

// notClosing refuses what a shutdown makes pointless.
func (q *rpcCall) notClosing() (err error) {
	q.core().view(func(g *graph, _ time.Time) {
		if g.closing != nil {
			err = rpcFail("shutting_down", "cannot do %s: the system is shutting down", q.row.name)
		}
	})
	return err
}

// doPrepareRestart answers first: the connection is gone with the server.
func doPrepareRestart(q *rpcCall) (any, error) {
	if err := q.notClosing(); err != nil {
		return nil, err
	}
	file, names, after, err := q.core().prepareRestart()
	if err != nil {
		return nil, err
	}
	q.then = after
	return restartResult{true, file, names}, nil
}

func doUpgrade(q *rpcCall) (any, error) {
	binary := q.str("binary")
	if err := q.notClosing(); err != nil {
		return nil, err
	}
	q.later = func() (any, error) {
		ver, after, err := q.core().upgrade(binary)
		if err != nil {
			return nil, err
		}
		q.then = after
		return upgradeResult{true, ver}, nil
	}
	return nil, nil
}

func doNotYet(q *rpcCall) (any, error) {
	return nil, rpcFail("not_supported", "%s is not supported by this version", q.row.name)
}

// --- configuration ---

// putWish is what a method of the service.set family wants.
type putWish struct {
	replace, mustExist, persist bool
}

func doCreate(q *rpcCall) (any, error)   { return q.put(putWish{persist: q.flag("persist")}) }
func doRegister(q *rpcCall) (any, error) { return q.put(putWish{persist: true}) }
func doMonitor(q *rpcCall) (any, error)  { return q.put(putWish{}) }
func doSet(q *rpcCall) (any, error)      { return q.put(putWish{replace: true, persist: true}) }
func doUpdate(q *rpcCall) (any, error)   { return q.put(putWish{replace: true, mustExist: true}) }

// config reads the parameter config.
func (q *rpcCall) config() (*config, []problem, error) {
	_, text := q.raw("config")
	c, errs, warnings := parseJSON(text)
	if len(errs) == 0 && c.Kind == "xinet" {
		errs = []problem{{Message: "this is a proxy, not a service: use xinet.create"}}
	}
	if len(errs) > 0 {
		return nil, warnings, configError(errs)
	}
	return c, warnings, nil
}

// configError refuses a configuration for what is wrong with it.
func configError(errs []problem) *rpcError {
	e := rpcFail("config_error", "%s", errs[0].Message)
	if len(errs) > 1 {
		e.text += fmt.Sprintf(" (and %d more)", len(errs)-1)
	}
	e.data = map[string]any{"errors": errs}
	return e
}

// put adds or replaces a service: the file first, then the graph; when the graph refuses, the file is as it was.
func (q *rpcCall) put(w putWish) (any, error) {
	c, warnings, err := q.config()
	if err != nil {
		return nil, err
	}
	r := q.server()
	r.configs.Lock()
	defer r.configs.Unlock()
	old, err := q.precheck(c, w)
	if err != nil {
		return nil, err
	}
	if w.mustExist {
		w.persist = old.persist
	}
	undo := func() {}
	if w.persist {
		if undo, err = q.save(c, old); err != nil {
			return nil, err
		}
	}
	a, err := q.ask(event{kind: eventPut, name: c.Service.Name, cfg: c, replace: w.replace, restart: w.replace})
	if err != nil {
		undo()
		return nil, err
	}
	result := putResult{OK: true, Name: c.Service.Name, Warnings: append(warnings, a.Warnings...)}
	if c.path != "" {
		result.Path = &c.path
	}
	return result, nil
}

// precheck says what is there under the name now, and refuses what the graph would refuse.
func (q *rpcCall) precheck(c *config, w putWish) (old *config, err error) {
	name := c.Service.Name
	var all map[string]*config
	owner := ""
	q.core().view(func(g *graph, _ time.Time) {
		all = g.future()
		if old = all[name]; old == nil && w.mustExist {
			err = g.unknown(name)
		}
		for n, o := range all {
			if w.persist && n != name && o.path != "" && o.path == q.target(c, old) {
				owner = n
			}
		}
	})
	switch {
	case err != nil:
	case old != nil && !w.replace:
		err = rpcFail("already_exists", "%s exists already; service.set replaces it", name)
	case old != nil && old.system && old.path != "":
		err = rpcFail("invalid_state", "%s comes from the system directory; edit %s and reload", name, old.path)
	case owner != "":
		err = rpcFail("service_file_error", "cannot write %s: it is the file of %s", q.target(c, old), owner)
	default:
		all[name] = c
		if text := checkGraph(all)[name].text; text != "" {
			err = rpcFail("dependency_error", "%s", text)
		}
	}
	return old, err
}

// target is the file that c is to be written to, "" when there is no directory for it.
func (q *rpcCall) target(c, old *config) string {
	if old != nil && old.persist && old.path != "" {
		return old.path
	}
	if dirs := q.core().info().ConfigDirs; len(dirs) > 0 {
		return filepath.Join(dirs[0], c.Service.Name+".toml")
	}
	return ""
}

// save writes the file of c and returns what puts the former one back.
func (q *rpcCall) save(c, old *config) (undo func(), err error) {
	path := q.target(c, old)
	if path == "" {
		return nil, rpcFail("service_file_error", "cannot keep %s: the server has no services directory", c.Service.Name)
	}
	before, readErr := os.ReadFile(path)
	if readErr == nil && old == nil {
		return nil, rpcFail("service_file_error", "cannot write %s: there is a file already that is not loaded; service.reload says why, or move it away", path)
	}
	if readErr != nil && !errors.Is(readErr, os.ErrNotExist) {
		return nil, rpcFail("service_file_error", "cannot write %s: %v", path, readErr)
	}
	text, err := q.fileText(c, path)
	if err != nil {
		return nil, err
	}
	if err := saveFile(path, c, text); err != nil {
		return nil, rpcFail("service_file_error", "cannot write %s: %v", path, err)
	}
	c.path, c.persist = path, true
	return func() {
		err := os.Remove(path)
		if readErr == nil {
			err = replaceFile(path, before)
		}
		if err != nil {
			logf(logError, "cannot put %s back: %v", path, err)
		}
	}, nil
}

// fileText is what the file of c is to contain: the parameter text, which must say what c says when it is read from that path, or c written anew.
func (q *rpcCall) fileText(c *config, path string) ([]byte, error) {
	if !q.has("text") {
		return c.toml(), nil
	}
	text := q.str("text")
	d, errs, _ := parseTOML([]byte(text), path, strings.TrimSuffix(filepath.Base(path), ".toml"))
	switch {
	case len(errs) > 0:
		return nil, configError(errs)
	case len(text) > maxFileBytes:
		return nil, q.wrong("text", "%v", tooLarge(maxFileBytes))
	case d.Service.Name != c.Service.Name:
		return nil, q.wrong("text", "it describes %s, not %s; give it name = \"%s\"", d.Service.Name, c.Service.Name, c.Service.Name)
	case !d.same(c):
		return nil, q.wrong("text", "it does not say the same as config")
	}
	c.source = text
	return []byte(text), nil
}

func doCheck(q *rpcCall) (any, error) {
	_, text := q.raw("config")
	c, errs, warnings := parseJSON(text)
	if len(errs) == 0 && c.Kind != "xinet" {
		var all map[string]*config
		q.core().view(func(g *graph, _ time.Time) { all = g.future() })
		all[c.Service.Name] = c
		if text := checkGraph(all)[c.Service.Name].text; text != "" {
			errs = append(errs, problem{Message: text})
		}
	}
	return checkResult{len(errs) == 0, errs, warnings}, nil
}

func doGet(q *rpcCall) (any, error) {
	var c *config
	if err := q.look(func(_ *graph, u *unit, _ time.Time) { c = u.newest() }); err != nil {
		return nil, err
	}
	all := c.value()
	if logging, ok := all["logging"].(map[string]any); ok && logging["console"] == nil {
		logging["console"] = q.core().mode == "container"
	}
	return configValue(all), nil
}

func doDelete(q *rpcCall) (any, error) {
	var files map[string]string
	err := q.look(func(_ *graph, u *unit, _ time.Time) { files = map[string]string{u.name: ownFile(u)} })
	if err != nil {
		return nil, err
	}
	return q.parkToEnd(event{kind: eventDelete, name: q.str("name"), force: q.flag("force")}, func(answer) (any, error) {
		return okResult{true}, q.server().deleteFiles(files)
	})
}

func doDeleteAll(q *rpcCall) (any, error) {
	files := map[string]string{}
	q.core().view(func(g *graph, _ time.Time) {
		for _, n := range g.names() {
			files[n] = ownFile(g.unit(n))
		}
	})
	return q.parkToEnd(event{kind: eventDeleteAll}, func(a answer) (any, error) {
		for _, n := range a.Names {
			if err := q.server().deleteFiles(map[string]string{n: files[n]}); err != nil {
				a.Errs = append(a.Errs, nameError{n, err.Error()})
			}
		}
		return bulkOf(a), nil
	})
}

// ownFile is the file that goes with a unit when it is deleted, or "".
func ownFile(u *unit) string {
	if c := u.newest(); c.persist {
		return c.path
	}
	return ""
}

// deleteFiles removes the files of deleted services, but not of one that has been added again meanwhile.
func (r *rpcServer) deleteFiles(files map[string]string) error {
	r.configs.Lock()
	defer r.configs.Unlock()
	for name, path := range files {
		back := false
		r.s.view(func(g *graph, _ time.Time) { back = g.unit(name) != nil })
		if path == "" || back {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return rpcFail("service_file_error", "%s is stopped and removed, but its file is still there: %v", name, err)
		}
	}
	return nil
}

func doReload(q *rpcCall) (any, error) {
	r := q.server()
	r.configs.Lock()
	defer r.configs.Unlock()
	a, err := q.ask(event{kind: eventReload, load: q.core().load(), restart: q.flag("restart")})
	if err != nil {
		return nil, err
	}
	return a.Reload, nil
}

// --- looking ---

// fillStatus copies what service.status tells.
func fillStatus(s *serviceStatus, g *graph, u *unit, now time.Time) {
	*s = serviceStatus{Name: u.name, Kind: u.kind(), State: u.state.String(), Wish: "down", PID: u.pid, Reason: wireReasonOf(u.reason),
		RestartCount: u.restartCount, ConfigChanged: u.next != nil}
	if u.up {
		s.Wish = "up"
	}
	if u.exitCode != nil {
		code := *u.exitCode
		s.ExitCode = &code
	}
	if u.cfg.Health != nil {
		s.Health = &healthStatus{u.health.ok, u.health.lastError, u.health.checks, u.health.failures}
	}
	if u.pid != 0 && !u.started.IsZero() {
		s.UptimeMS = max(0, now.Sub(u.started).Milliseconds())
	}
	if u.pending {
		in := max(0, u.restartDue.Sub(now).Milliseconds())
		s.RestartInMS = &in
	}
	if u.state == blocked {
		s.BlockedBy = g.blockedBy(u)
	}
}

// fillFull copies what status_full tells, without the resources.
func fillFull(f *serviceStatusFull, g *graph, u *unit, now time.Time) {
	fillStatus(&f.serviceStatus, g, u, now)
	d := &u.cfg.Service
	f.LastStart, f.LastStop = epoch(u.lastStart), epoch(u.lastStop)
	f.Class, f.Critical, f.Oneshot, f.Path, f.Description = d.Class, d.Critical, d.Oneshot, u.cfg.path, d.Description
	if f.Class == "" {
		f.Class = "user"
	}
}

// measure adds the resources of the main process. It reads /proc: never under the lock of the graph.
func (f *serviceStatusFull) measure() {
	if f.PID == 0 {
		return
	}
	if st, err := readStat(f.PID); err == nil {
		f.CPUPercent, f.MemoryBytes = tenth(cpuPercent(&st, time.Now())), st.Memory
	}
}

// epoch is t in ms since 1970; never is 0.
func epoch(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func doList(q *rpcCall) (any, error) {
	var names []string
	q.core().view(func(g *graph, _ time.Time) { names = slices.Clone(g.names()) })
	return names, nil
}

func doListFull(q *rpcCall) (any, error) {
	list := fullList{}
	q.core().view(func(g *graph, now time.Time) {
		names := g.names()
		list = make(fullList, len(names))
		for i, n := range names {
			fillFull(&list[i], g, g.unit(n), now)
		}
	})
	for i := range list {
		list[i].measure()
	}
	return list, nil
}

func doStatus(q *rpcCall) (any, error) {
	s := &serviceStatus{}
	err := q.look(func(g *graph, u *unit, now time.Time) { fillStatus(s, g, u, now) })
	return s, err
}

func doStatusFull(q *rpcCall) (any, error) {
	f := &serviceStatusFull{}
	err := q.look(func(g *graph, u *unit, now time.Time) { fillFull(f, g, u, now) })
	f.measure()
	return f, err
}

// pid is the main process of the service that the call names, 0: none.
func (q *rpcCall) pid() (pid int, err error) {
	err = q.look(func(_ *graph, u *unit, _ time.Time) { pid = u.pid })
	return pid, err
}

func childrenWire(pid int) []childProcess {
	list := []childProcess{}
	if pid == 0 {
		return list
	}
	for _, u := range childrenOf(pid) {
		list = append(list, childProcess{u.PID, u.PPID, u.Command, tenth(u.CPUPercent), u.Memory})
	}
	return list
}

func doStats(q *rpcCall) (any, error) {
	pid, err := q.pid()
	if err != nil {
		return nil, err
	}
	s := statsResult{Name: q.str("name"), PID: pid, Children: childrenWire(pid)}
	if pid == 0 {
		return s, nil
	}
	s.Processes = len(s.Children)
	if u, err := procStats(pid); err == nil {
		s.CPUPercent, s.MemoryBytes, s.Threads, s.FDs = tenth(u.CPUPercent), u.Memory, u.Threads, u.FDs
		s.Processes++
	}
	return s, nil
}

func doChildren(q *rpcCall) (any, error) {
	pid, err := q.pid()
	return childrenWire(pid), err
}

func doIsRunning(q *rpcCall) (any, error) {
	is := false
	err := q.look(func(_ *graph, u *unit, _ time.Time) { is = u.state == running })
	return is, err
}

func doWhy(q *rpcCall) (any, error) {
	w := whyResult{}
	err := q.look(func(g *graph, u *unit, now time.Time) {
		w.Name, w.State = u.name, u.state.String()
		w.Blocked, w.Reasons, w.Text = g.why(u, now)
	})
	return w, err
}

func doTree(q *rpcCall) (t any, err error) {
	q.core().view(func(g *graph, _ time.Time) {
		if name := q.str("name"); q.has("name") && g.unit(name) == nil {
			err = g.unknown(name)
			return
		}
		text, roots := g.tree(q.str("name"))
		t = treeResult{text, roots}
	})
	return t, err
}

// graphNode is a node of service.graph in the format json.
type graphNode struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	State string `json:"state"`
}

func doGraph(q *rpcCall) (any, error) {
	var t textResult
	var nodes []graphNode
	var edges []edge
	q.core().view(func(g *graph, _ time.Time) {
		switch q.str("format") {
		case "dot":
			t.Text = g.dot()
		case "mermaid":
			t.Text = g.mermaid()
		default:
			for _, n := range g.names() {
				u := g.unit(n)
				nodes = append(nodes, graphNode{n, u.kind(), u.state.String()})
			}
			edges = g.edges()
		}
	})
	if q.str("format") == "json" {
		t.Text = jsonText(map[string]any{"nodes": nodes, "edges": edges})
	}
	return t, nil
}

// --- acting ---

func stateOf(a answer) any { return stateResult{true, a.State.String(), a.BlockedBy} }

// act submits start, stop or restart, and answers at once unless the call waits.
func (q *rpcCall) act(ev event) (any, error) {
	ev.name, ev.wait, ev.timeout = q.str("name"), q.flag("wait"), q.millis("timeout_ms")
	if ev.wait {
		return q.park(ev, stateOf)
	}
	a, err := q.ask(ev)
	return stateOf(a), err
}

func doStart(q *rpcCall) (any, error)   { return q.act(event{kind: eventStart, tree: q.flag("tree")}) }
func doStop(q *rpcCall) (any, error)    { return q.act(event{kind: eventStop}) }
func doRestart(q *rpcCall) (any, error) { return q.act(event{kind: eventRestart}) }

func doKill(q *rpcCall) (any, error) {
	sig, err := parseSignal(q.str("signal"))
	if err != nil {
		return nil, rpcFail("invalid_signal", "%v", err)
	}
	_, err = q.ask(event{kind: eventKill, name: q.str("name"), sig: sig})
	return okResult{true}, err
}

func doWait(q *rpcCall) (any, error) {
	ev := event{kind: eventWait, name: q.str("name"), until: q.str("state"), timeout: q.millis("timeout_ms")}
	return q.park(ev, func(a answer) any { return waitResult{a.State.String(), a.BlockedBy} })
}

func bulkOf(a answer) bulkResult {
	return bulkResult{len(a.Errs) == 0, a.Names, a.Skipped, a.Errs}
}

func doStartAll(q *rpcCall) (any, error) {
	a, err := q.ask(event{kind: eventStartAll})
	return bulkOf(a), err
}

func doStopAll(q *rpcCall) (any, error) {
	a, err := q.ask(event{kind: eventStopAll})
	return bulkOf(a), err
}

// --- logs and events ---

// Bounds of one answer with log lines; the newest are kept.
const (
	logLinesMax = 1 << 20
	logBytesMax = 8 << 20
)

func newestAnswer(lines []logLine) lineList {
	size := 0
	for i := len(lines) - 1; i >= 0; i-- {
		if size += len(lines[i].Text) + 128; size > logBytesMax {
			return lines[i+1:]
		}
	}
	return lines
}

func (q *rpcCall) tailLines() (lineList, error) {
	if err := q.look(func(*graph, *unit, time.Time) {}); err != nil && q.str("name") != syslogName {
		return nil, err
	}
	return newestAnswer(q.core().logs.tail(q.str("name"), int(min(q.num("lines"), logLinesMax)))), nil
}

func doLogsTail(q *rpcCall) (any, error) { return q.tailLines() }

func doLogsGet(q *rpcCall) (any, error) {
	lines, err := q.tailLines()
	texts := make([]string, len(lines))
	for i := range lines {
		texts[i] = lines[i].Text
	}
	return texts, err
}

func doLogsFilter(q *rpcCall) (any, error) {
	f := logQuery{Service: q.str("service"), Stream: q.str("stream"), Contains: q.str("contains"), SinceMS: q.num("since_ms"), UntilMS: q.num("until_ms"),
		Lines: int(min(q.num("lines"), logLinesMax))}
	if f.Service != "" && f.Service != syslogName {
		var err error
		q.core().view(func(g *graph, _ time.Time) {
			if g.unit(f.Service) == nil {
				err = g.unknown(f.Service)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return newestAnswer(q.core().logs.filter(f)), nil
}

func doLogsFollow(q *rpcCall) (any, error) {
	return q.feed(func(services []string) rpcFeed {
		f := q.core().logs.follow(services, q.str("stream"), int(min(q.num("lines"), logLinesMax)))
		return rpcFeed{f.wake, logFeed(f), f.close}
	})
}

func doSubscribe(q *rpcCall) (any, error) {
	types := q.list("types")
	for _, t := range types {
		if slices.Contains(strings.Split(eventTypes, ", "), t) {
			continue
		}
		if near := nearest(t, strings.Split(eventTypes, ", ")); near != "" {
			return nil, q.wrong("types", "%s is no type of event; did you mean %s?", shortened(t), near)
		}
		return nil, q.wrong("types", "%s is no type of event; there are %s", shortened(t), eventTypes)
	}
	return q.feed(func(services []string) rpcFeed {
		f := q.core().moves.subscribe(services, types)
		return rpcFeed{f.wake, f.take, f.close}
	})
}

// feed registers a subscription to the services that the call names. As a notification it would have no number, so nothing is begun.
func (q *rpcCall) feed(begin func(services []string) rpcFeed) (any, error) {
	services := q.list("services")
	switch {
	case len(services) > rpcNamesMax:
		return nil, q.wrong("services", "at most %d names; without it: all services", rpcNamesMax)
	case q.id == nil:
		return nil, nil
	}
	f := begin(services)
	id, then, err := q.conn.subscribe(f)
	if err != nil {
		f.done()
		return nil, err
	}
	q.then = then
	return subscribeResult{id}, nil
}

func doUnsubscribe(q *rpcCall) (any, error) {
	if !q.conn.unsubscribe(q.num("subscription")) {
		return nil, q.wrong("subscription", "there is no subscription %d on this connection", q.num("subscription"))
	}
	return okResult{true}, nil
}

// --- debugging ---

func doDebugState(q *rpcCall) (any, error) {
	r, result := q.server(), debugResult{Services: []debugService{}}
	var configs []*config
	q.core().view(func(g *graph, now time.Time) {
		for _, n := range g.names() {
			u := g.unit(n)
			f := &serviceStatusFull{}
			fillFull(f, g, u, now)
			result.Services = append(result.Services, debugService{Status: f, Invocation: u.invocation, Generation: u.gen})
			configs = append(configs, u.cfg)
		}
	})
	r.mu.Lock()
	conns, readers := len(r.conns), r.readers
	r.mu.Unlock()
	i := q.core().info()
	var b strings.Builder
	fmt.Fprintf(&b, "zinit %s, %s, pid %d, up %v\n", i.Version, i.Mode, i.PID, time.Since(i.Started).Round(time.Millisecond))
	fmt.Fprintf(&b, "socket %s: %d connections (%d read only), %d bytes held, %d deletions waiting\n", i.Socket, conns, readers, r.held.Load(), r.detached.Load())
	fmt.Fprintf(&b, "%d goroutines, %d descriptors, %s %s/%s\n", runtime.NumGoroutine(), sysFDs(os.Getpid()), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for n := range result.Services {
		s := &result.Services[n]
		s.Status.measure()
		s.Config = configs[n].value()
		fmt.Fprintf(&b, "%s: %s, wish %s, pid %d, generation %d, restarts %d\n", s.Status.Name, s.Status.State, s.Status.Wish, s.Status.PID, s.Generation, s.Status.RestartCount)
	}
	result.Text = b.String()
	return result, nil
}

func doProcessTree(q *rpcCall) (any, error) {
	type main struct {
		name string
		pid  int
	}
	var mains []main
	q.core().view(func(g *graph, _ time.Time) {
		for _, n := range g.names() {
			if u := g.unit(n); u.pid != 0 {
				mains = append(mains, main{n, u.pid})
			}
		}
	})
	result := processResult{Roots: []processNode{}}
	var b strings.Builder
	for _, m := range mains {
		top, err := procStats(m.pid)
		if err != nil {
			continue
		}
		below := map[int][]childProcess{}
		for _, c := range childrenWire(m.pid) {
			below[c.PPID] = append(below[c.PPID], c)
		}
		node := processBranch(childProcess{PID: top.PID, PPID: top.PPID, Command: top.Command}, below)
		node.Service = m.name
		result.Roots = append(result.Roots, node)
		fmt.Fprintf(&b, "%s\n", m.name)
		writeProcesses(&b, &node, 1)
	}
	result.Text = b.String()
	return result, nil
}

// processBranch hangs the processes below p under it. Each is taken once, so that it ends whatever /proc said.
func processBranch(p childProcess, below map[int][]childProcess) processNode {
	n := processNode{PID: p.PID, PPID: p.PPID, Command: p.Command, Children: []processNode{}}
	children := below[p.PID]
	delete(below, p.PID)
	for _, c := range children {
		n.Children = append(n.Children, processBranch(c, below))
	}
	return n
}

func writeProcesses(b *strings.Builder, n *processNode, depth int) {
	fmt.Fprintf(b, "%s%d %s\n", strings.Repeat("  ", min(depth, 40)), n.PID, visible(n.Command))
	for i := range n.Children {
		writeProcesses(b, &n.Children[i], depth+1)
	}
}

// --- boot ---

func doBootAnalyze(q *rpcCall) (any, error) {
	begun := q.core().info().Started
	since := func(t time.Time) *int64 {
		if t.IsZero() {
			return nil
		}
		ms := max(0, t.Sub(begun).Milliseconds())
		return &ms
	}
	report := bootResult{Services: []bootUnit{}, Chain: []string{}}
	needs := map[string][]string{}
	q.core().view(func(g *graph, _ time.Time) {
		for _, n := range g.names() {
			u := g.unit(n)
			report.Services = append(report.Services, bootUnit{n, u.kind(), u.state.String(), since(u.bootBlocked), since(u.bootStarting), since(u.bootReady)})
			needs[n] = slices.Concat(u.cfg.Dependencies.Requires, u.cfg.Dependencies.After)
		}
	})
	report.chain(needs)
	if q.str("format") == "text" {
		return textResult{report.text()}, nil
	}
	return report, nil
}

// chain finds the critical chain: the unit that was ready last, before it the last one that it waited for, and so on.
func (r *bootResult) chain(needs map[string][]string) {
	ready := map[string]int64{}
	last := ""
	for i := range r.Services {
		u := &r.Services[i]
		if u.ReadyMS == nil {
			continue
		}
		if ready[u.Name] = *u.ReadyMS; last == "" || *u.ReadyMS > r.TotalMS {
			last, r.TotalMS = u.Name, *u.ReadyMS
		}
	}
	for last != "" {
		r.Chain = append(r.Chain, last)
		at, next, latest := ready[last], "", int64(-1)
		delete(ready, last)
		for _, n := range needs[last] {
			if t, known := ready[n]; known && t <= at && t > latest {
				next, latest = n, t
			}
		}
		last = next
	}
	slices.Reverse(r.Chain)
}

// unit is the unit of that name, or nil.
func (r *bootResult) unit(name string) *bootUnit {
	for i := range r.Services {
		if r.Services[i].Name == name {
			return &r.Services[i]
		}
	}
	return nil
}

// took is how many ms a unit needed from its start until it was ready; -1 when it is not ready.
func (u *bootUnit) took() int64 {
	if u.ReadyMS == nil || u.StartingMS == nil {
		return -1
	}
	return *u.ReadyMS - *u.StartingMS
}

// order is when a unit was started, in ms since the server was; after all others when it still is not, -1 when it never was wanted.
func (u *bootUnit) order() int64 {
	switch {
	case u.StartingMS != nil:
		return *u.StartingMS
	case u.BlockedMS != nil:
		return 1 << 62
	}
	return -1
}

// slowest are the units by the time that they took, the slowest first.
func (r *bootResult) slowest() (list []*bootUnit) {
	for i := range r.Services {
		list = append(list, &r.Services[i])
	}
	slices.SortStableFunc(list, func(a, b *bootUnit) int { return cmp.Compare(b.took(), a.took()) })
	return list
}

// text is the report for people: the slowest first, then the critical chain.
func (r *bootResult) text() string {
	var b strings.Builder
	for _, u := range r.slowest() {
		if t := u.took(); t >= 0 {
			fmt.Fprintf(&b, "%8d ms  %s\n", t, u.Name)
			continue
		}
		fmt.Fprintf(&b, "%8s     %s (%s)\n", "-", u.Name, u.State)
	}
	fmt.Fprintf(&b, "ready after %d ms: %s\n", r.TotalMS, strings.Join(r.Chain, " -> "))
	return b.String()
}

// --- events: fans the changes of services out to subscribers. Who tells never waits: a subscriber that is slow loses the oldest, and is told how many.

// eventTypes are the types of events: a change of state, a new or changed configuration, a service that is gone.
const eventTypes = "state, config, removed"

// serviceEvent is the params of an `event` notification. From, To and Reason belong to type state.
type serviceEvent struct {
	Subscription int64       `json:"subscription"`
	Seq          uint64      `json:"seq"` // grows by 1 over all events
	TimeMS       int64       `json:"time_ms"`
	Type         string      `json:"type"`
	Service      string      `json:"service"`
	From         *string     `json:"from"`
	To           *string     `json:"to"`
	Reason       *wireReason `json:"reason"`
	Lost         uint64      `json:"lost,omitempty"`
}

// eventFeedMax is how many events wait for a slow subscriber.
const eventFeedMax = 1024

// moveHub knows all subscribers.
type moveHub struct {
	mu    sync.Mutex
	seq   uint64
	feeds map[*eventFeed]struct{}
}

func newMoveHub() *moveHub { return &moveHub{feeds: map[*eventFeed]struct{}{}} }

// tell passes an effect on: effectMoved, effectConfigure and effectForget are of interest.
func (h *moveHub) tell(e *effect) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	if len(h.feeds) == 0 {
		return
	}
	at := e.at
	if at.IsZero() {
		at = time.Now()
	}
	ev := serviceEvent{Seq: h.seq, TimeMS: at.UnixMilli(), Service: e.name}
	switch e.kind {
	case effectMoved:
		from, to := e.from.String(), e.to.String()
		ev.Type, ev.From, ev.To, ev.Reason = "state", &from, &to, wireReasonOf(e.reason)
	case effectForget:
		ev.Type = "removed"
	default:
		ev.Type = "config"
	}
	for f := range h.feeds {
		f.put(ev)
	}
}

// eventFeed is the queue of one subscriber.
type eventFeed struct {
	hub      *moveHub
	services map[string]bool // none: all
	types    []string        // none: all
	wake     chan struct{}

	mu   sync.Mutex
	ring []serviceEvent
	head int // the oldest, once the ring is full
	lost uint64
}

// subscribe begins a feed of events of these services and types; none means all.
func (h *moveHub) subscribe(services, types []string) *eventFeed {
	f := &eventFeed{hub: h, services: map[string]bool{}, types: types, wake: make(chan struct{}, 1)}
	for _, n := range services {
		f.services[n] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.feeds[f] = struct{}{}
	return f
}

func (f *eventFeed) close() {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	delete(f.hub.feeds, f)
}

func (f *eventFeed) put(ev serviceEvent) {
	if len(f.services) > 0 && !f.services[ev.Service] || len(f.types) > 0 && !slices.Contains(f.types, ev.Type) {
		return
	}
	f.mu.Lock()
	if len(f.ring) < eventFeedMax {
		f.ring = append(f.ring, ev)
	} else {
		f.ring[f.head] = ev
		f.head = (f.head + 1) % eventFeedMax
		f.lost++
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// take appends what waits, or a piece of it, as notifications of the subscription id.
func (f *eventFeed) take(b []byte, id int64) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.head > 0 {
		f.ring, f.head = slices.Concat(f.ring[f.head:], f.ring[:f.head]), 0
	}
	for len(f.ring) > 0 && len(b) < rpcPieceMax {
		ev := f.ring[0]
		ev.Subscription, ev.Lost = id, f.lost
		f.ring, f.lost = f.ring[1:], 0
		b = append(b, `{"jsonrpc":"2.0","method":"event","params":`...)
		b = append(appendJSON(b, &ev), "}\n"...)
	}
	return b
}

// logFeed appends what waits in a follower of the logs, or a piece of it, as notifications.
func logFeed(f *follower) func(b []byte, id int64) []byte {
	return func(b []byte, id int64) []byte {
		lines, lost := f.take(rpcPieceMax)
		for i := range lines {
			b = strconv.AppendInt(append(b, `{"jsonrpc":"2.0","method":"log","params":{"subscription":`...), id, 10)
			b = appendLine(append(b, ','), &lines[i])
			if i == 0 && lost > 0 {
				b = strconv.AppendUint(append(b, `,"lost":`...), lost, 10)
			}
			b = append(b, "}}\n"...)
		}
		return b
	}
}
