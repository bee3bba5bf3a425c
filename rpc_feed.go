// rpc_feed.go is subscriptions: events and followed logs, sent as notifications to clients that may be slow. What happened is told by others.

//go:build !windows

package main

import (
	"sync"
	"sync/atomic"
	"time"
)

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
		return 0, nil, tooManyWaiting()
	}
	if !c.srv.budget.take(c.uid, 0, rpcSubPrice+f.size) {
		return 0, nil, tooMuch()
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
// the output of services is still read.
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

func doLogsFollow(q *rpcCall) (any, error) {
	return q.feed(func(services []string) rpcFeed {
		f := q.core().logs.follow(services, logStream(q.str("stream")), q.lines())
		return rpcFeed{f.wake, logNotes(f), f.close, sizeOf(services)}
	})
}

func doSubscribe(q *rpcCall) (any, error) {
	return q.feed(func(services []string) rpcFeed {
		var types []changeType
		for _, t := range q.list("types") {
			types = append(types, changeType(t))
		}
		f := q.core().events.subscribe(services, types)
		return rpcFeed{f.wake, eventNotes(f), f.close, sizeOf(services) + 64*len(types)}
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

// eventNotes makes notifications of the events that wait.
func eventNotes(f *eventFeed) func(b []byte, id int64) []byte {
	return func(b []byte, id int64) []byte {
		for len(b) < rpcPieceMax {
			ev, some := f.next()
			if !some {
				break
			}
			ev.Subscription = id
			b = append(appendJSON(b, &noteFrame{rpcVersion, "event", &ev}), '\n')
		}
		return b
	}
}

// logNotes makes notifications of the lines that wait.
func logNotes(f *follower) func(b []byte, id int64) []byte {
	return func(b []byte, id int64) []byte {
		lines, lost := f.take(rpcPieceMax)
		for i := range lines {
			b = append(appendJSON(b, &noteFrame{rpcVersion, "log", &logNote{id, followedLine{lines[i], lost}}}), '\n')
			lost = 0
		}
		return b
	}
}
