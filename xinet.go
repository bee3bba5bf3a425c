// xinet.go is a proxy: it accepts clients, has its service started for them, and keeps those that wait until the backend accepts. It starts and stops nothing itself, it asks.
//
// How it works. Each listener has a goroutine that accepts. If the service is up the client is connected to the backend at once; else it waits, and one goroutine of the
// proxy asks for the service and then connects all that wait. Waiting for the backend, and copying, is done by the copier (xinet_copy_*.go), which tells the proxy how it ended.
//
// Locks are taken in this order: proxy, backing. None of them is held while the graph is looked at, or anything is waited for.

//go:build !windows

package main

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// proxy is one proxy at work.
type proxy struct {
	copier *copier

	mu        sync.Mutex
	def       *xinetDef // immutable; a change replaces it
	back      *backing
	backend   *backend
	listeners []*listener
	queue     []*client            // wait for the service
	pending   map[*client]struct{} // all that the backend has not accepted yet
	bringing  bool                 // a goroutine brings the queue to the backend
	due       *time.Timer          // fires when the first of pending has waited too long; nil: nobody is pending
	notBefore time.Time            // when the next try makes sense, after one that failed
	pause     time.Duration        // between tries
	why       string               // why those that wait do so
	lastError string
	changed   chan struct{} // closed when the definition is another, or the proxy closed
	closed    chan struct{}
	busy      chan struct{} // with single_connection: holds one token while there is a connection

	total, active          atomic.Int64
	toBackend, fromBackend atomic.Int64
}

// client is one connection to a proxy, from its acceptance to its end.
type client struct {
	p         *proxy
	back      *backing
	due       time.Time  // when it has waited too long for the backend
	addresses []endpoint // of the backend, that are still to be tried
	single    bool       // it has the turn of a proxy with single_connection
	wire                 // its sockets
}

// The pace of tries to connect to a backend that does not accept although its service is up, and of starts that failed, of which there are several within connect_timeout.
const (
	firstPause = 5 * time.Millisecond
	maxPause   = 200 * time.Millisecond
	startPause = time.Second
)

// newProxy is a proxy that does not serve yet.
func newProxy(def *xinetDef, back *backing, c *copier, ls []*listener) *proxy {
	return &proxy{copier: c, def: def, back: back, backend: newBackend(def.Backend), listeners: ls, pending: map[*client]struct{}{},
		changed: make(chan struct{}), closed: make(chan struct{}), busy: make(chan struct{}, 1)}
}

// serve begins to accept, also on listeners that came later.
func (p *proxy) serve() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.listeners {
		if l.used {
			continue
		}
		l.used = true
		do := p.accept
		if p.def.Pass {
			do = p.watch
		}
		background("proxy "+p.def.Name, func() { do(l) })
	}
}

// change gives the proxy another definition, the service behind it, and the listeners for it; serve: they are used at once. Connections go on; those that wait do so for
// the new backend.
func (p *proxy) change(def *xinetDef, back *backing, ls []*listener, serve bool) {
	p.mu.Lock()
	p.def, p.backend, p.listeners = def, newBackend(def.Backend), ls
	for _, c := range p.queue {
		back.count()
		c.back.done()
		c.back = back
	}
	p.back = back
	close(p.changed)
	p.changed = make(chan struct{})
	p.notBefore, p.pause = time.Time{}, 0
	p.mu.Unlock()
	if serve {
		p.serve()
	}
}

// close ends the proxy: nothing is accepted any more, those that wait are closed, and connections go on until they end.
func (p *proxy) close() {
	p.mu.Lock()
	if p.isClosed() {
		p.mu.Unlock()
		return
	}
	close(p.closed)
	close(p.changed)
	p.changed = make(chan struct{})
	waiting := p.queue
	p.queue = nil
	for _, c := range waiting {
		delete(p.pending, c)
	}
	p.mu.Unlock()
	for _, c := range waiting {
		c.drop()
		p.forget(c)
	}
}

func (p *proxy) isClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

// accept takes the clients of a listener until that or the proxy is closed.
func (p *proxy) accept(l *listener) {
	for {
		single := p.definition().SingleConnection
		if single {
			if !l.wait() || !p.takeTurn() {
				return
			}
		}
		if !p.copier.room(p.closed) {
			return
		}
		fd, err := l.accept(!single)
		switch {
		case err == nil:
			p.arrived(fd, single)
		case single:
			<-p.busy // nobody came after all
		}
		if err != nil && !p.acceptFailed(l, err) {
			return
		}
	}
}

// takeTurn waits until there is no other connection; false: the proxy is closed.
func (p *proxy) takeTurn() bool {
	select {
	case p.busy <- struct{}{}:
		return true
	case <-p.closed:
		return false
	}
}

// acceptFailed says whether it makes sense to go on after an error of accept(2).
func (p *proxy) acceptFailed(l *listener, err error) bool {
	switch {
	case l.closed.Load() || p.isClosed():
		return false
	case isNobody(err):
		return true
	}
	p.fail("cannot accept on %s: %v", l.address, err)
	return passes(acceptPause, p.closed) // out of descriptors or memory: what waits in the queue of the kernel can wait a moment longer
}

const acceptPause = 100 * time.Millisecond

// connectionBound bounds how many connections all proxies have at once: the rest of the server needs descriptors too.
type connectionBound struct {
	limit int64
	count atomic.Int64
}

// room waits until one more connection may be accepted; false: quit was closed. Who is not accepted waits in the queue of the kernel.
func (c *connectionBound) room(quit <-chan struct{}) bool {
	for c.count.Load() >= c.limit {
		if !passes(acceptPause, quit) {
			return false
		}
	}
	return true
}

func (p *proxy) definition() *xinetDef {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.def
}

// arrived takes a client that was accepted. single: it has the turn of the proxy.
func (p *proxy) arrived(fd int, single bool) {
	p.total.Add(1)
	p.active.Add(1)
	p.copier.count.Add(1)
	p.mu.Lock()
	c := &client{p: p, back: p.back, due: time.Now().Add(time.Duration(p.def.ConnectTimeout) * time.Second), addresses: p.backend.known, single: single}
	p.mu.Unlock()
	c.init(fd)
	up := c.back.use()
	p.mu.Lock()
	if p.isClosed() {
		p.mu.Unlock()
		c.drop()
		p.forget(c)
		return
	}
	p.pending[c] = struct{}{}
	if p.due == nil {
		p.due = later(time.Until(c.due), "proxy", p.expire)
	}
	p.mu.Unlock()
	if !up || len(c.addresses) == 0 {
		p.wait(c, "")
	} else {
		c.connect()
	}
}

// wait puts a client into the queue for the service. why is why the backend did not accept it; "": it was not tried yet.
func (p *proxy) wait(c *client, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if why != "" {
		p.why = why
		p.pause = min(max(firstPause, 2*p.pause), maxPause)
		p.notBefore = time.Now().Add(p.pause)
	}
	p.queue = append(p.queue, c)
	if !p.bringing {
		p.bringing = true
		background("proxy "+p.def.Name, p.bring)
	}
}

// bring has the service started, and connects those that wait, until nobody does.
func (p *proxy) bring() {
	for {
		p.mu.Lock()
		if len(p.queue) == 0 || p.isClosed() {
			p.bringing = false
			p.mu.Unlock()
			return
		}
		back, to, changed, pause := p.back, p.backend, p.changed, time.Until(p.notBefore)
		p.mu.Unlock()
		if pause > 0 && !passes(pause, changed) {
			continue
		}
		err := back.demand(changed)
		var addresses []endpoint
		if err == nil {
			addresses, err = to.resolve()
		}
		p.mu.Lock()
		var ready []*client
		switch {
		case changed != p.changed:
		case err != nil:
			p.why, p.lastError = err.Error(), err.Error()
			p.notBefore = time.Now().Add(min(startPause, time.Duration(p.def.ConnectTimeout)*time.Second/4))
		default:
			ready, p.queue = p.queue, nil
		}
		p.mu.Unlock()
		for _, c := range ready {
			c.addresses = addresses
			c.connect()
		}
	}
}

// passes waits; false: quit was closed meanwhile.
func passes(d time.Duration, quit <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-quit:
		return false
	}
}

// connected is told by the copier that the backend has accepted a client, or why not.
func (p *proxy) connected(c *client, err error) {
	if err == nil {
		p.mu.Lock()
		delete(p.pending, c)
		p.pause = 0
		p.mu.Unlock()
		return
	}
	if c.addresses = c.addresses[1:]; len(c.addresses) > 0 {
		c.connect()
		return
	}
	p.mu.Lock()
	why := fmt.Sprintf("%s does not accept: %s", p.backend.text, errnoOf(err))
	p.mu.Unlock()
	if time.Now().Before(c.due) && !p.isClosed() {
		p.wait(c, why)
		return
	}
	p.mu.Lock()
	p.why = why
	p.mu.Unlock()
	p.giveUp([]*client{c})
}

// expireStep is the least time between two looks for clients that have waited for too long: each has its line in the log.
const expireStep = 50 * time.Millisecond

// expire closes the clients that have waited for too long.
func (p *proxy) expire() {
	now := time.Now()
	var over, late []*client
	p.mu.Lock()
	p.queue = slices.DeleteFunc(p.queue, func(c *client) bool {
		if !c.due.After(now) {
			over = append(over, c)
			delete(p.pending, c)
		}
		return !c.due.After(now)
	})
	var next time.Time
	for c := range p.pending {
		due := c.due
		if !due.After(now) { // the copier is about to give it back
			late = append(late, c)
			due = now.Add(maxPause)
		}
		if next.IsZero() || due.Before(next) {
			next = due
		}
	}
	p.due = nil
	if !next.IsZero() {
		p.due = later(max(next.Sub(now), expireStep), "proxy", p.expire)
	}
	p.mu.Unlock()
	for _, c := range late {
		c.interrupt()
	}
	p.giveUp(over)
}

// giveUp closes clients for which the backend did not come, and says why.
func (p *proxy) giveUp(list []*client) {
	if len(list) == 0 {
		return
	}
	p.mu.Lock()
	why, timeout := p.why, p.def.ConnectTimeout
	for _, c := range list {
		delete(p.pending, c)
	}
	p.mu.Unlock()
	if why == "" {
		why = list[0].back.name + " is " + list[0].back.run.stateOf(list[0].back.name)
	}
	p.fail("%s closed after %d s: %s", plural(len(list), "waiting client"), timeout, why)
	for _, c := range list {
		c.drop()
		p.forget(c)
	}
}

// fail notes and logs an error.
func (p *proxy) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.mu.Lock()
	p.lastError = text
	name := p.def.Name
	p.mu.Unlock()
	logf(logWarn, "proxy %s: %s", name, text)
}

// forget takes a client off the books; its sockets are closed. The copier calls it for each that the backend has accepted, when it has ended.
func (p *proxy) forget(c *client) {
	p.active.Add(-1)
	c.back.done()
	p.copier.count.Add(-1)
	if c.single {
		<-p.busy
	}
}

// watch has the service started when somebody connects, without accepting: the service does that.
func (p *proxy) watch(l *listener) {
	for {
		p.mu.Lock()
		back, changed := p.back, p.changed
		p.mu.Unlock()
		select {
		case <-back.whenDown():
		case <-changed:
			if p.isClosed() {
				return
			}
			continue
		}
		if !l.wait() {
			return
		}
		if !back.isDown() || !l.readable() {
			continue
		}
		if err := back.demand(changed); err != nil {
			p.fail("%v", err)
			passes(startPause, changed)
		}
	}
}

// status is the proxy for a client of the server.
func (p *proxy) status() xinetStatus {
	p.mu.Lock()
	back := p.back
	p.mu.Unlock()
	up := back.isUp()
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.def
	return xinetStatus{Name: d.Name, Listen: d.Listen, Backend: d.Backend, Service: d.Service, Running: up,
		TotalConnections: p.total.Load(), ActiveConnections: p.active.Load(), BytesToBackend: p.toBackend.Load(), BytesFromBackend: p.fromBackend.Load(),
		ConnectTimeout: d.ConnectTimeout, IdleTimeout: d.IdleTimeout, SingleConnection: d.SingleConnection, Description: d.Description, LastError: p.lastError}
}

// listening are the sockets of the proxy. The caller must not change the list.
func (p *proxy) listening() []*listener {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.listeners
}

// lacks says whether an address of the proxy has no socket.
func (p *proxy) lacks() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.def.Listen, func(address string) bool {
		return !slices.ContainsFunc(p.listeners, func(l *listener) bool { return l.address == address })
	})
}

// note keeps an error for the status; nil: what there was is over.
func (p *proxy) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastError = ""
	if err != nil {
		p.lastError = err.Error()
	}
}

// ports are the TCP ports that the proxy holds.
func (p *proxy) ports() (list []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.listeners {
		if l.port != 0 {
			list = append(list, l.port)
		}
	}
	return list
}
