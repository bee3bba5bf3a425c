// rpc_limits.go holds the limits of clients, and counts what they make the server hold: for each uid and for all together. Nothing is sent here.

//go:build !windows

package main

import (
	"errors"
	"os"
	"sync"
	"time"
)

// Limits: the first is promised, the rest are our own. Those who may do everything to the server anyway, root and its own user, have a part for themselves.
const (
	rpcPendingMax    = 4 << 20 // a client with this much waiting for it is disconnected
	rpcHeldMax       = 64 << 20
	rpcStrangersHeld = 48 << 20 // of rpcHeldMax, what all other users get …
	rpcStrangerHeld  = 16 << 20 // … and each of them
	rpcConnsMax      = 1200
	rpcStrangersMax  = 1024
	rpcStrangerMax   = 512
)

// What a waiting request and a subscription count for, beside the texts that belong to them.
const (
	rpcWaitPrice = 8 << 10
	rpcSubPrice  = 32 << 10
)

// rpcShare is what some connections use.
type rpcShare struct{ conns, held int }

func (s *rpcShare) fits(conns, held, connsMax, heldMax int) bool {
	return s.conns+conns <= connsMax && s.held+held <= heldMax
}

func (s *rpcShare) add(conns, held int) {
	s.conns += conns
	s.held += held
}

// rpcBudget is what all connections use.
type rpcBudget struct {
	mu        sync.Mutex
	all       rpcShare
	strangers rpcShare
	each      map[int]*rpcShare // by uid, of strangers
}

// hasReserve says whether a user may do everything to us anyway. A peer that the kernel does not tell has uid -1.
func hasReserve(uid int) bool { return uid == 0 || uid == os.Geteuid() }

// take counts more connections and bytes for a user; false: there is no room for them, and nothing is counted.
func (b *rpcBudget) take(uid, conns, held int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.all.fits(conns, held, rpcConnsMax, rpcHeldMax) {
		return false
	}
	if !hasReserve(uid) {
		one := b.each[uid]
		if one == nil {
			one = &rpcShare{}
		}
		if !b.strangers.fits(conns, held, rpcStrangersMax, rpcStrangersHeld) || !one.fits(conns, held, rpcStrangerMax, rpcStrangerHeld) {
			return false
		}
		if b.each == nil {
			b.each = map[int]*rpcShare{}
		}
		b.each[uid] = one
		b.strangers.add(conns, held)
		one.add(conns, held)
	}
	b.all.add(conns, held)
	return true
}

// give takes back what take has counted.
func (b *rpcBudget) give(uid, conns, held int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all.add(-conns, -held)
	if one := b.each[uid]; one != nil {
		b.strangers.add(-conns, -held)
		if one.add(-conns, -held); *one == (rpcShare{}) {
			delete(b.each, uid)
		}
	}
}

// used is what all connections use together.
func (b *rpcBudget) used() rpcShare {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all
}

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

// errTooMuch ends the reading of a connection for which there is no memory left.
var errTooMuch = errors.New("the clients of this user hold too much memory")

// tooMuch and tooManyWaiting are what clients are told that ask for too much. They are made when they are needed: a start is quicker without.
func tooMuch() *rpcError {
	return refuse(kindInternalError, "the clients of this user hold too much memory; try again later")
}

func tooManyWaiting() *rpcError {
	return refuse(kindInternalError, "this connection has %d requests and subscriptions waiting already; use another one", rpcWaitingMax)
}

// reserve counts one more waiting request, with what its id holds, or refuses it.
func (c *rpcConn) reserve(id int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.waiting+len(c.subs) >= rpcWaitingMax:
		return tooManyWaiting()
	case c.pending+c.parked+id > rpcPendingMax || !c.srv.budget.take(c.uid, 0, rpcWaitPrice+id):
		return tooMuch()
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
