// rpc.go is the control socket: frames in, frames out, who may do what, and the errors. Below stands the table of methods and what each does; no service state lives here.

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Limits: the first is promised, the rest are our own.
const (
	rpcLineMax     = 1 << 20          // longest request line
	rpcFlowMax     = 16 << 10         // subscriptions stop sending, and drop, while this much is unread
	rpcPieceMax    = 32 << 10         // what a subscription sends at once, about
	rpcNamesMax    = 4096             // services that a subscription names
	rpcWaitingMax  = 256              // waiting requests and subscriptions of one connection
	rpcDetachedMax = 1024             // deletions that go on although their client went away
	rpcBatchMax    = 10000            // requests in a batch
	rpcLineTime    = 60 * time.Second // a line that began must be complete after this
	rpcBufferSize  = 16 << 10
)

// rpcFailure turns any error into one that can be sent. What the core refuses keeps its kind.
func rpcFailure(err error) *rpcError {
	if e, ok := errors.AsType[*rpcError](err); ok {
		return e
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		e := rpcFail(r.kind, "%s", r.text)
		e.Data.Names, e.Data.NotLoaded = r.names, r.notLoaded
		return e
	}
	return rpcFail(kindInternalError, "%v", err)
}

// --- the socket ---

// rpcListener is the bound socket.
type rpcListener struct {
	path string // or "@name" in the abstract namespace of Linux
	sock *net.UnixListener
	file os.FileInfo // of the socket file as we made it; nil for an abstract name
	gid  int         // members may do everything; -1: nobody by group

	mu     sync.Mutex
	paused chan struct{} // closed when new clients are accepted again; nil: they are
}

// openTo finds the group whose members may do everything.
func (l *rpcListener) openTo(o serverOptions) error {
	l.gid = -1
	if o.socketMode&0o020 != 0 {
		l.gid = os.Getegid()
	}
	if o.socketGroup == "" {
		return nil
	}
	_, gid, _, _, err := lookupUser("", o.socketGroup)
	if err != nil {
		return fmt.Errorf("cannot open %s to group %s: %w", l.path, visible(o.socketGroup), err)
	}
	l.gid = gid
	return nil
}

// listenRPC binds the control socket. A live server there is an error that names its pid, a stale socket file is replaced, and
// anything else at the path is left alone. The socket appears under its name only with its final mode and group.
func listenRPC(o serverOptions) (*rpcListener, error) {
	l := &rpcListener{path: o.socket}
	if err := l.openTo(o); err != nil {
		return nil, err
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
		case errors.Is(err, os.ErrDeadlineExceeded):
			r.l.waitPaused()
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
		refuseConn(sock, rpcFail(kindInternalError, "the server has no file descriptors left; try again later"))
	}
	r.l.sock.SetDeadline(time.Time{})
	r.reserve, _ = os.Open(os.DevNull)
}

func refuseConn(sock *net.UnixConn, why *rpcError) {
	sock.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	sock.Write(append(appendFailure(nil, nil, why), '\n'))
	sock.Close()
}

// admit looks at who connected.
func (r *rpcServer) admit(sock *net.UnixConn) {
	who := peerOf(sock)
	all, refused := r.l.admits(who)
	if refused != nil {
		refuseConn(sock, refused)
		return
	}
	r.begin(sock, who.user(), all)
}

// admits says whether a peer may do everything, or only read, or nothing. An abstract name has no mode that keeps others out.
func (l *rpcListener) admits(who peer) (all bool, refused *rpcError) {
	all = who.mayAll(l.gid)
	if l.file == nil {
		switch {
		case who.pid == 0:
			return false, rpcFail(kindPermissionDenied, "this client is in another pid namespace")
		case !all:
			return false, rpcFail(kindPermissionDenied, "this client is neither root, nor the server's user, nor a member of the socket's group")
		}
	}
	return all, nil
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
		refuseConn(sock, rpcFail(kindInternalError, "too many connections; close some"))
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

// peer is who is at the other end, as the kernel tells.
type peer struct {
	known    bool
	pid, uid int
	groups   []int // all of them, the primary one first
}

// user is whose limits count for the peer.
func (p peer) user() int {
	if !p.known {
		return -1
	}
	return p.uid
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

var errNoRoom = errors.New("the clients of this user hold too much memory; try again later")

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
		if c.readErr == errNoRoom {
			c.flush(appendFailure(nil, nil, rpcFail(kindInternalError, "%v", errNoRoom)))
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
			c.readErr = errNoRoom
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
		c.flush(appendFailure(nil, nil, rpcFail(kindInvalidRequest, "the line was not complete after %v", rpcLineTime)))
	}
}

// tooLong answers a line over the limit and reads the rest of it, within bounds, so that a client which writes first and reads then gets the answer.
func (c *rpcConn) tooLong(out []byte, complete bool) {
	c.flush(append(appendFailure(out, nil, rpcFail(kindInvalidRequest, "the line is longer than %d bytes", rpcLineMax)), '\n'))
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

func errWaiting() error {
	return rpcFail(kindInternalError, "this connection has %d requests and subscriptions waiting already; use another one", rpcWaitingMax)
}

// reserve counts one more waiting request, with what its id holds, or refuses it.
func (c *rpcConn) reserve(id int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.waiting+len(c.subs) >= rpcWaitingMax:
		return errWaiting()
	case c.pending+c.parked+id > rpcPendingMax || !c.srv.budget.take(c.uid, 0, rpcWaitPrice+id):
		return rpcFail(kindInternalError, "%v", errNoRoom)
	}
	c.waiting++
	c.parked += id
	return nil
}

func (c *rpcConn) unreserve(id int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting--
	c.parked -= id
	c.srv.budget.give(c.uid, 0, rpcWaitPrice+id)
	c.settled()
}

// rpcFeed is what a subscription sends. take appends about a piece of what waits, or nothing: then it signals wake when something comes.
type rpcFeed struct {
	wake <-chan struct{}
	take func(b []byte, id int64) []byte
	done func()
	size int // of the texts that it keeps
}

// subscribe registers a feed and returns its number; begin, called after the answer is out, starts to send.
func (c *rpcConn) subscribe(f rpcFeed) (id int64, begin func(), err error) {
	id, stop := c.srv.nextSub.Add(1), make(chan struct{})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting+len(c.subs) >= rpcWaitingMax {
		return 0, nil, errWaiting()
	}
	if !c.srv.budget.take(c.uid, 0, rpcSubPrice+f.size) {
		return 0, nil, rpcFail(kindInternalError, "%v", errNoRoom)
	}
	c.srv.subs.Add(1)
	if c.subs == nil {
		c.subs = map[int64]chan struct{}{}
	}
	c.subs[id] = stop
	return id, func() { background("rpc subscription", func() { c.feed(id, f, stop) }) }, nil
}

// feed sends what the subscription has until it ends. It takes nothing while the client has much unread: what that costs it is counted where it waits.
func (c *rpcConn) feed(id int64, f rpcFeed, stop <-chan struct{}) {
	defer c.srv.subs.Add(-1)
	defer c.srv.budget.give(c.uid, 0, rpcSubPrice+f.size)
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

// --- methods: is the table of methods: names, parameters, results, access and errors of each, and the OpenRPC document made from it. It does nothing with services.

// --- the table ---

type kinds []errorKind

// rpcMethod is one method: everything that dispatch, help and rpc.discover know of it.
type rpcMethod struct {
	name   string
	read   bool // allowed to clients that may only read
	waits  bool // may take long; then it does not hold up the requests after it
	doc    string
	params string // their keys in rpcParams, in order
	result any    // a value of the result's type
	errors kinds  // besides invalid_params and permission_denied
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
	{name: "state", kind: "string", preset: running.String(), among: stateNames[:], doc: "the state to wait for"},
	{name: "signal", kind: "signal", preset: "SIGTERM", doc: "name, with or without SIG, or number"},
	{name: "binary", kind: "string", doc: "its path; absent: the server's own"},
	{key: "drawing", name: "format", kind: "string", preset: "dot", among: drawingFormats, doc: "the language of the drawing"},
	{key: "analysis", name: "format", kind: "string", preset: "json", among: []string{"json", "text"}, doc: "data, or a text for people"},
	{name: "services", kind: "strings", doc: "only these services; absent or empty: all"},
	{name: "types", kind: "strings", doc: "only events of these types: " + eventTypes + "; absent: all"},
	{name: "subscription", kind: "integer", required: true, doc: "its number"},
	{name: "service", kind: "string", doc: "only this service"},
	{name: "stream", kind: "string", among: streamWords, doc: "only this stream"},
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
	{name: "system.reboot", doc: "reboots the machine", result: okResult{}, errors: kinds{kindNotSupported}, handle: doPower},
	{name: "system.poweroff", doc: "powers the machine off", result: okResult{}, errors: kinds{kindNotSupported}, handle: doPower},
	{name: "system.halt", doc: "halts the machine", result: okResult{}, errors: kinds{kindNotSupported}, handle: doPower},
	{name: "system.prepare_restart", doc: "saves the state and ends the server; the services go on", result: restartResult{}, errors: kinds{kindShuttingDown, kindNotSupported}, handle: doPrepareRestart},
	{name: "system.upgrade", waits: true, doc: "goes over to a new binary; the services go on", params: "binary", result: upgradeResult{},
		errors: kinds{kindShuttingDown, kindNotSupported, kindProcessError, kindInvalidState, kindTimeout}, handle: doUpgrade},
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
	{name: "service.update", doc: "replaces a service, and its file if it has one; if it runs it is restarted", params: "config text", result: putResult{}, errors: append(kinds{kindServiceNotFound}, setErrors...), handle: doUpdate},
	{name: "service.get", read: true, doc: "the configuration of a service, defaults filled in", params: "name", result: configValue(nil), errors: kinds{kindServiceNotFound}, handle: doGet},
	{name: "service.check", read: true, doc: "what service.set would say about a configuration; changes nothing", params: "config", result: checkResult{}, handle: doCheck},
	{name: "service.reload", doc: "reads the directories again", params: "restart", result: reloadResult{}, errors: kinds{kindShuttingDown}, handle: doReload},

	{name: "service.list", read: true, doc: "the names of all services, sorted", result: nameList(nil), handle: doList},
	{name: "service.list_full", read: true, doc: "all services, sorted by name", result: serviceList{}, handle: doListFull},
	{name: "service.status", read: true, doc: "the state of a service", params: "name", result: serviceStatus{}, errors: kinds{kindServiceNotFound}, handle: doStatus},
	{name: "service.status_full", read: true, doc: "the state of a service, with resources and what its file says", params: "name", result: serviceStatusFull{}, errors: kinds{kindServiceNotFound}, handle: doStatusFull},
	{name: "service.stats", read: true, doc: "the resources of a service: of its main process, and of each of its descendants", params: "name", result: statsResult{}, errors: kinds{kindServiceNotFound}, handle: doStats},
	{name: "service.children", read: true, doc: "the descendants of a service's main process", params: "name", result: childList(nil), errors: kinds{kindServiceNotFound}, handle: doChildren},
	{name: "service.is_running", read: true, doc: "whether a service is running", params: "name", result: false, errors: kinds{kindServiceNotFound}, handle: doIsRunning},
	{name: "service.why", read: true, doc: "why a service is in its state, down to the root causes", params: "name", result: whyResult{}, errors: kinds{kindServiceNotFound}, handle: doWhy},
	{name: "service.tree", read: true, doc: "what needs what", params: "root", result: treeResult{}, errors: kinds{kindServiceNotFound}, handle: doTree},
	{name: "service.graph", read: true, doc: "the graph as a drawing for other programs", params: "drawing", result: textResult{}, handle: doGraph},

	{name: "service.start", waits: true, doc: "wishes a service up; with wait: until it is running, exited or failed, or blocked until a person acts",
		params: "name tree wait timeout_ms", result: stateResult{}, errors: actionErrors, handle: doStart},
	{name: "service.stop", waits: true, doc: "stops a service, those that require it first", params: "name wait timeout_ms", result: stateResult{}, errors: actionErrors, handle: doStop},
	{name: "service.restart", waits: true, doc: "stops and starts a service", params: "name wait timeout_ms", result: stateResult{}, errors: actionErrors, handle: doRestart},
	{name: "service.kill", doc: "sends a signal to a service; the wish stays", params: "name signal", result: okResult{},
		errors: kinds{kindServiceNotFound, kindServiceIsDown, kindInvalidSignal, kindProcessError}, handle: doKill},
	{name: "service.wait", read: true, waits: true, doc: "waits until a service is in a state; answers at once when it is blocked until a person acts",
		params: "name state timeout_ms", result: waitResult{}, errors: kinds{kindServiceNotFound, kindTimeout}, handle: doWait},
	{name: "service.start_all", doc: "starts all services of class user", result: bulkResult{}, errors: kinds{kindShuttingDown}, handle: doStartAll},
	{name: "service.stop_all", doc: "stops all services of class user", result: bulkResult{}, handle: doStopAll},
	{name: "service.delete_all", waits: true, doc: "deletes all services of class user, and their files", result: bulkResult{}, errors: kinds{kindShuttingDown}, handle: doDeleteAll},

	{name: "logs.get", read: true, doc: "the newest lines of a service as texts", params: "name lines", result: textList(nil), errors: kinds{kindServiceNotFound}, handle: doLogsGet},
	{name: "logs.tail", read: true, doc: "the newest lines of a service", params: "name lines", result: lineList{}, errors: kinds{kindServiceNotFound}, handle: doLogsTail},
	{name: "logs.filter", read: true, doc: "the newest lines that match, of all services in the order of time",
		params: "service stream since_ms until_ms contains lines_1000", result: lineList{}, errors: kinds{kindServiceNotFound}, handle: doLogsFilter},
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
var (
	createErrors = kinds{kindConfigError, kindAlreadyExists, kindDependencyError, kindServiceFileError, kindShuttingDown}
	setErrors    = kinds{kindConfigError, kindDependencyError, kindServiceFileError, kindInvalidState, kindShuttingDown}
	deleteErrors = kinds{kindServiceNotFound, kindDependencyError, kindServiceFileError, kindInvalidState}
	actionErrors = kinds{kindServiceNotFound, kindInvalidState, kindShuttingDown, kindTimeout}
	xinetErrors  = kinds{kindXinetError, kindNotSupported}
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
	shared := document{"Config": configSchema(), "Answer": answerSchema()}
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

// answerSchema is what stands around a result.
func answerSchema() document {
	return document{"type": "object", "required": []string{"jsonrpc", "id", "result"}, "properties": document{
		"jsonrpc":  document{"const": rpcVersion},
		"id":       document{"description": "that of the request"},
		"result":   document{"description": "as the method says"},
		"left_out": document{"type": "integer", "minimum": 1, "description": "how many entries the result lacks, because it would have been too large; absent: it is whole"},
	}}
}

func describeMethod(m *rpcMethod, shared document) document {
	params := []any{}
	for _, p := range m.takes {
		params = append(params, document{"name": p.name, "description": p.doc, "required": p.required, "schema": p.schema()})
	}
	listed := slices.Clone(m.errors)
	if len(m.takes) > 0 {
		listed = append(listed, kindInvalidParams)
	}
	if !m.read {
		listed = append(listed, kindPermissionDenied)
	}
	errs := []any{}
	for _, k := range errorKinds {
		if slices.Contains(listed, k.kind) {
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
	if words := wireWords(t); words != nil {
		return document{"type": "string", "enum": words}
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
		members, must := document{"type": document{"type": "string", "enum": []reasonType{r.kind}}}, []string{"type"}
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
		return answer{}, rpcFail(kindTimeout, "the client went away")
	}
}

func (q *rpcCall) server() *rpcServer { return q.conn.srv }

func (q *rpcCall) core() *supervisor { return q.conn.srv.s }

// ask submits an event that is settled at once.
func (q *rpcCall) ask(ev event) (answer, error) { return q.core().ask(ev, nil) }

// park submits an event now and leaves the waiting for its answer to the background; finish makes the result. It ends with the client.
func (q *rpcCall) park(ev event, finish func(answer) any) (any, error) {
	if err := q.conn.reserve(len(q.id)); err != nil {
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
	if err := q.conn.reserve(len(q.id)); err != nil {
		return nil, err
	}
	r := q.server()
	if r.detached.Add(1) > rpcDetachedMax {
		r.detached.Add(-1)
		q.conn.unreserve(len(q.id))
		return nil, rpcFail(kindInternalError, "too many deletions are waiting; try again later")
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
	r := q.server()
	r.once.Do(func() { r.description = appendJSON(nil, r.openRPC(q.core().info().Socket)) })
	return r.description, nil
}

func doPing(q *rpcCall) (any, error) {
	i := q.core().info()
	return pingResult{i.Version, i.PID, time.Since(i.Started).Milliseconds(), i.Mode}, nil
}

func doInfo(q *rpcCall) (any, error) {
	i := q.core().info()
	return infoResult{Version: i.Version, Mode: i.Mode, PID: i.PID, StartedMS: i.Started.UnixMilli(), ConfigDirs: listed(i.ConfigDirs),
		Socket: i.Socket, Kernel: kernelName(), Cgroup: "none", Degraded: append([]string{
			"cgroups are not used: what leaves its session, wipes its environment and loses its parent in an unexpected death is not found"}, i.Degraded...)}, nil
}

// doPower is system.shutdown and its sisters: as PID 1 of a machine it does as named, in a container it ends the container, standalone only shutdown works.
func doPower(q *rpcCall) (any, error) {
	do := strings.TrimPrefix(q.row.name, "system.")
	switch mode := q.core().info().Mode; {
	case mode == modeStandalone && do != "shutdown":
		return nil, rpcFail(kindNotSupported, "cannot %s: this server is not PID 1; system.shutdown ends it", do)
	case mode == modeSystem && do == "shutdown":
		do = string(powerOff)
	case mode != modeSystem:
		do = string(powerExit)
	}
	_, err := q.ask(event{kind: eventShutdown, power: powerKind(do)})
	return okResult{true}, err
}

// notClosing refuses what a shutdown makes pointless.
func (q *rpcCall) notClosing() (err error) {
	q.core().view(func(g *graph, _ time.Time) {
		if g.closing != nil {
			err = rpcFail(kindShuttingDown, "cannot do %s: the system is shutting down", q.row.name)
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
	return &restartResult{true, file, listed(names)}, nil
}

func doUpgrade(q *rpcCall) (any, error) {
	binary := q.str("binary")
	if err := q.notClosing(); err != nil {
		return nil, err
	}
	if err := q.conn.reserve(len(q.id)); err != nil {
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
	return nil, rpcFail(kindNotSupported, "%s is not supported by this version", q.row.name)
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
	if len(errs) == 0 && c.Kind == unitXinet {
		errs = []problem{{Message: "this is a proxy, not a service: use xinet.create"}}
	}
	if len(errs) > 0 {
		return nil, warnings, configError(errs)
	}
	return c, warnings, nil
}

// configError refuses a configuration for what is wrong with it.
func configError(errs []problem) *rpcError {
	e := rpcFail(kindConfigError, "%s", errs[0].Message)
	if len(errs) > 1 {
		e.Message += fmt.Sprintf(" (and %d more)", len(errs)-1)
	}
	e.Data.Errors = errs
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
	result := &putResult{OK: true, Name: c.Service.Name, Warnings: listed(append(warnings, a.Warnings...))}
	if c.path != "" {
		result.Path = &c.path
	}
	return result, nil
}

// precheck says what is there under the name now, and refuses what the graph would refuse.
func (q *rpcCall) precheck(c *config, w putWish) (old *config, err error) {
	name := c.Service.Name
	owner, text := "", ""
	q.core().view(func(g *graph, _ time.Time) {
		if u := g.unit(name); u != nil {
			old = u.newest()
		} else if w.mustExist {
			err = g.unknown(name)
			return
		}
		text = g.misfitOf(c)
	})
	if w.persist && err == nil {
		owner = q.ownerOf(q.target(c, old), name)
	}
	switch {
	case err != nil:
	case old != nil && !w.replace:
		err = rpcFail(kindAlreadyExists, "%s exists already; service.set replaces it", name)
	case old != nil && old.system && old.path != "":
		err = rpcFail(kindInvalidState, "%s comes from the system directory; edit %s and reload", name, old.path)
	case owner != "":
		err = rpcFail(kindServiceFileError, "cannot write %s: it is the file of %s", q.target(c, old), owner)
	case text != "":
		err = rpcFail(kindDependencyError, "%s", text)
	}
	return old, err
}

// ownerOf names the service that has this file, other than the one that is to be written there. Who writes a new file need not look.
func (q *rpcCall) ownerOf(path, name string) (owner string) {
	if _, err := os.Lstat(path); err != nil {
		return ""
	}
	q.core().view(func(g *graph, _ time.Time) {
		if u := g.unit(name); u != nil && u.newest().path == path {
			return
		}
		for n, u := range g.units {
			if n != name && u.newest().path == path {
				owner = n
			}
		}
	})
	return owner
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
		return nil, rpcFail(kindServiceFileError, "cannot keep %s: the server has no services directory", c.Service.Name)
	}
	before, readErr := os.ReadFile(path)
	if readErr == nil && old == nil {
		return nil, rpcFail(kindServiceFileError, "cannot write %s: there is a file already that is not loaded; service.reload says why, or move it away", path)
	}
	if readErr != nil && !errors.Is(readErr, os.ErrNotExist) {
		return nil, rpcFail(kindServiceFileError, "cannot write %s: %v", path, readErr)
	}
	text, err := q.fileText(c, path)
	if err != nil {
		return nil, err
	}
	if err := saveFile(path, c, text); err != nil {
		return nil, rpcFail(kindServiceFileError, "cannot write %s: %v", path, err)
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
	if len(errs) == 0 && c.Kind != unitXinet {
		text := ""
		q.core().view(func(g *graph, _ time.Time) { text = g.misfitOf(c) })
		if text != "" {
			errs = append(errs, problem{Message: text})
		}
	}
	return &checkResult{len(errs) == 0, listed(errs), listed(warnings)}, nil
}

func doGet(q *rpcCall) (any, error) {
	var c *config
	if err := q.look(func(_ *graph, u *unit, _ time.Time) { c = u.newest() }); err != nil {
		return nil, err
	}
	all := c.value()
	if logging, ok := all["logging"].(map[string]any); ok && logging["console"] == nil {
		logging["console"] = q.core().mode == modeContainer
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
			return rpcFail(kindServiceFileError, "%s is stopped and removed, but its file is still there: %v", name, err)
		}
	}
	return nil
}

func doReload(q *rpcCall) (any, error) {
	q.server().configs.Lock()
	defer q.server().configs.Unlock()
	a, err := q.ask(event{kind: eventReload, load: q.core().load(), restart: q.flag("restart")})
	if err != nil {
		return nil, err
	}
	r := a.Reload
	for _, l := range []*[]string{&r.Added, &r.Removed, &r.Changed, &r.Unchanged, &r.Restarted} {
		*l = listed(*l)
	}
	r.Errors, r.Warnings = listed(r.Errors), listed(r.Warnings)
	return r, nil
}

// --- looking ---

// fillStatus copies what service.status tells.
func fillStatus(s *serviceStatus, g *graph, u *unit, now time.Time) {
	*s = serviceStatus{Name: u.name, Kind: u.kind(), State: u.state, Wish: wishDown, PID: u.pid, Reason: wireReasonOf(u.reason),
		RestartCount: u.restartCount, ConfigChanged: u.next != nil}
	if u.up {
		s.Wish = wishUp
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
	s.BlockedBy = listed(s.BlockedBy)
}

// fillFull copies what status_full tells, without the resources.
func fillFull(f *serviceStatusFull, g *graph, u *unit, now time.Time) {
	fillStatus(&f.serviceStatus, g, u, now)
	d := &u.cfg.Service
	f.LastStart, f.LastStop = epoch(u.lastStart), epoch(u.lastStop)
	f.Class, f.Critical, f.Oneshot, f.Path, f.Description = d.Class, d.Critical, d.Oneshot, u.cfg.path, d.Description
	if f.Class == "" {
		f.Class = classUser
	}
}

// measure adds the resources of the main process, exact for one service and quick for lists. It reads /proc: never under the lock of the graph.
func (f *serviceStatusFull) measure(exact bool) {
	if f.PID == 0 {
		return
	}
	if st, err := readStat(f.PID); err == nil {
		f.CPUPercent, f.MemoryBytes = tenth(cpuPercent(&st, time.Now())), st.resident(exact)
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
	names = listed(names)
	return (*nameList)(&names), nil
}

func doListFull(q *rpcCall) (any, error) {
	list := serviceList{}
	q.core().view(func(g *graph, now time.Time) {
		names := g.names()
		list = make(serviceList, len(names))
		for i, n := range names {
			fillFull(&list[i], g, g.unit(n), now)
		}
	})
	for i := range list {
		list[i].measure(false)
	}
	return &list, nil
}

func doStatus(q *rpcCall) (any, error) {
	s := &serviceStatus{}
	err := q.look(func(g *graph, u *unit, now time.Time) { fillStatus(s, g, u, now) })
	return s, err
}

func doStatusFull(q *rpcCall) (any, error) {
	f := &serviceStatusFull{}
	err := q.look(func(g *graph, u *unit, now time.Time) { fillFull(f, g, u, now) })
	f.measure(true)
	return f, err
}

// pid is the main process of the service that the call names, 0: none.
func (q *rpcCall) pid() (pid int, err error) {
	err = q.look(func(_ *graph, u *unit, _ time.Time) { pid = u.pid })
	return pid, err
}

func childrenWire(pid int) childList {
	list := childList{}
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
	s := &statsResult{Name: q.str("name"), PID: pid, Children: childrenWire(pid)}
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
	list := childrenWire(pid)
	return &list, err
}

func doIsRunning(q *rpcCall) (any, error) {
	is := false
	err := q.look(func(_ *graph, u *unit, _ time.Time) { is = u.state == running })
	return is, err
}

func doWhy(q *rpcCall) (any, error) {
	w := &whyResult{}
	err := q.look(func(g *graph, u *unit, now time.Time) {
		w.Name, w.State = u.name, u.state
		e := g.why(u, now)
		w.Blocked, w.Reasons, w.leftOut, w.Todo, w.Text = e.blocked, e.reasons, e.leftOut, e.todo, e.text
	})
	w.Reasons, w.Todo = listed(w.Reasons), listed(w.Todo)
	return w, err
}

func doTree(q *rpcCall) (t any, err error) {
	q.core().view(func(g *graph, _ time.Time) {
		if name := q.str("name"); q.has("name") && g.unit(name) == nil {
			err = g.unknown(name)
			return
		}
		drawn := g.tree(q.str("name"))
		t = &treeResult{partial{drawn.leftOut}, drawn.text.String(), drawn.roots}
	})
	return t, err
}

func doGraph(q *rpcCall) (any, error) {
	t := &textResult{}
	var lists outline
	q.core().view(func(g *graph, _ time.Time) {
		switch q.str("format") {
		case "dot":
			t.Text, t.leftOut = g.dot()
		case "mermaid":
			t.Text, t.leftOut = g.mermaid()
		default:
			lists = g.outline()
			t.leftOut = lists.leftOut
		}
	})
	if q.str("format") == "json" {
		t.Text = jsonText(lists)
	}
	return t, nil
}

// --- acting ---

func stateOf(a answer) any { return stateResult{true, a.State, a.BlockedBy} }

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
		return nil, rpcFail(kindInvalidSignal, "%v", err)
	}
	_, err = q.ask(event{kind: eventKill, name: q.str("name"), sig: sig})
	return okResult{true}, err
}

func doWait(q *rpcCall) (any, error) {
	var until state
	if err := until.UnmarshalText([]byte(q.str("state"))); err != nil {
		return nil, err
	}
	ev := event{kind: eventWait, name: q.str("name"), until: until, timeout: q.millis("timeout_ms")}
	return q.park(ev, func(a answer) any { return waitResult{a.State, a.BlockedBy} })
}

func bulkOf(a answer) *bulkResult {
	return &bulkResult{len(a.Errs) == 0, listed(a.Names), listed(a.Skipped), listed(a.Errs)}
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
	logBytesMax = rpcAnswerMax
)

func newestAnswer(lines []logLine) lineList {
	size := 0
	for i := len(lines) - 1; i >= 0; i-- {
		if size += len(lines[i].Text) + 128; size > logBytesMax {
			return lines[i+1:]
		}
	}
	return listed(lines)
}

func (q *rpcCall) tailLines() (lineList, error) {
	if err := q.look(func(*graph, *unit, time.Time) {}); err != nil && q.str("name") != syslogName {
		return nil, err
	}
	return newestAnswer(q.core().logs.tail(q.str("name"), int(min(q.num("lines"), logLinesMax)))), nil
}

func doLogsTail(q *rpcCall) (any, error) {
	list, err := q.tailLines()
	return &list, err
}

func doLogsGet(q *rpcCall) (any, error) {
	lines, err := q.tailLines()
	texts := make(textList, len(lines))
	for i := range lines {
		texts[i] = lines[i].Text
	}
	return &texts, err
}

func doLogsFilter(q *rpcCall) (any, error) {
	f := logQuery{Service: q.str("service"), Stream: logStream(q.str("stream")), Contains: q.str("contains"), SinceMS: q.num("since_ms"), UntilMS: q.num("until_ms"),
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
	list := newestAnswer(q.core().logs.filter(f))
	return &list, nil
}

func doLogsFollow(q *rpcCall) (any, error) {
	return q.feed(func(services []string) rpcFeed {
		f := q.core().logs.follow(services, logStream(q.str("stream")), int(min(q.num("lines"), logLinesMax)))
		return rpcFeed{f.wake, logFeed(f), f.close, sizeOf(services)}
	})
}

func doSubscribe(q *rpcCall) (any, error) {
	types := q.list("types")
	for _, t := range types {
		if slices.Contains(strings.Split(eventTypes, ", "), t) {
			continue
		}
		if near := nearest(t, strings.Split(eventTypes, ", ")); near != "" {
			return nil, q.near(q.wrong("types", "%s is no type of event; did you mean %s?", shortened(t), near), near)
		}
		return nil, q.wrong("types", "%s is no type of event; there are %s", shortened(t), eventTypes)
	}
	return q.feed(func(services []string) rpcFeed {
		f := q.core().moves.subscribe(services, types)
		return rpcFeed{f.wake, f.take, f.close, sizeOf(services) + sizeOf(types)}
	})
}

// sizeOf is about what a set of names takes.
func sizeOf(names []string) (n int) {
	for _, name := range names {
		n += len(name) + 64
	}
	return n
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
	r, result := q.server(), &debugResult{Services: []debugService{}}
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
	used := r.budget.used()
	i := q.core().info()
	var b strings.Builder
	fmt.Fprintf(&b, "zinit %s, %s, pid %d, up %v\n", i.Version, i.Mode, i.PID, time.Since(i.Started).Round(time.Millisecond))
	fmt.Fprintf(&b, "socket %s: %d connections, %d bytes held, %d deletions waiting\n", i.Socket, used.conns, used.held, r.detached.Load())
	fmt.Fprintf(&b, "%d goroutines, %d descriptors, %s %s/%s\n", runtime.NumGoroutine(), sysFDs(os.Getpid()), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for n := range result.Services {
		s := &result.Services[n]
		s.Status.measure(false)
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
	result := &processResult{Roots: []processNode{}}
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
	report := &bootResult{Services: []bootUnit{}, Chain: []string{}}
	needs := map[string][]string{}
	q.core().view(func(g *graph, _ time.Time) {
		for _, n := range g.names() {
			u := g.unit(n)
			report.Services = append(report.Services, bootUnit{n, u.kind(), u.state, since(u.bootBlocked), since(u.bootStarting), since(u.bootReady)})
			needs[n] = slices.Concat(u.cfg.Dependencies.Requires, u.cfg.Dependencies.After)
		}
	})
	report.chain(needs)
	if q.str("format") == "text" {
		return &textResult{Text: report.text()}, nil
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
		from, to := e.from, e.to
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
		b = append(appendJSON(b, &noteFrame{rpcVersion, "event", &ev}), '\n')
	}
	return b
}

// logFeed appends what waits in a follower of the logs, or a piece of it, as notifications.
func logFeed(f *follower) func(b []byte, id int64) []byte {
	return func(b []byte, id int64) []byte {
		lines, lost := f.take(rpcPieceMax)
		for i := range lines {
			b = append(appendJSON(b, &noteFrame{rpcVersion, "log", &logNote{id, followedLine{lines[i], lost}}}), '\n')
			lost = 0
		}
		return b
	}
}
