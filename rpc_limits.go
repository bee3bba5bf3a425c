// rpc_limits.go counts what clients make the server hold, for each uid and for all together. Nothing is sent or refused here.

package main

import (
	"os"
	"sync"
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
