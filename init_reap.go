// init_reap.go reaps all children and keeps their exit statuses until the server has acknowledged them; what an exit means is decided elsewhere.

//go:build linux

package main

import (
	"encoding/binary"
	"slices"
	"time"
)

// reap takes every end there is: SIGCHLD is one bit, however many children ended.
func (k *keeper) reap() {
	for {
		pid, status, leader := sysWaitAny()
		if pid <= 0 {
			break
		}
		if stopped(status) {
			k.commandStopped(pid, int(status>>8&0xff))
			continue
		}
		switch pid {
		case k.server.pid:
			k.serverEnded(status)
			continue
		case k.cmd.PID:
			k.commandEnded(status)
		}
		if leader {
			status |= leaderBit
		}
		k.seq++
		k.exits = append(k.exits, exitRecord{k.seq, pid, status})
	}
	k.boundExits()
	k.sendExits()
}

// boundExits drops what nobody may ask for when too many ends are not acknowledged: the oldest of orphans, which lead no session as every start
// does; and only when that is not enough, the oldest of unknown processes.
func (k *keeper) boundExits() {
	if len(k.exits) <= max(maxExits, k.bound) {
		return
	}
	ours := map[int]bool{}
	for _, pid := range k.procs {
		ours[pid] = true
	}
	const some = maxExits / 16 // more than need be, so that it is not done for every exit
	n := len(k.exits) - maxExits + some
	k.dropExits(n, func(e exitRecord) bool { return e.status&leaderBit == 0 && !ours[e.pid] })
	if n = len(k.exits) - 2*maxExits; n > 0 {
		k.dropExits(n+some, func(e exitRecord) bool { return !ours[e.pid] })
	}
	k.bound = len(k.exits) + some
}

// dropExits drops the n oldest for which that is allowed.
func (k *keeper) dropExits(n int, may func(exitRecord) bool) {
	k.exits = slices.DeleteFunc(k.exits, func(e exitRecord) bool {
		drop := n > 0 && may(e)
		if drop {
			n--
		}
		return drop
	})
}

// reapFor reaps until no child is left, at most for a time.
func (k *keeper) reapFor(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end) && sysAnyChild(); time.Sleep(5 * time.Millisecond) {
		for pid, _, _ := sysWaitAny(); pid > 0; pid, _, _ = sysWaitAny() {
			if pid == k.server.pid {
				k.server.pid = 0
			}
		}
	}
}

// stopped says whether a wait status tells of a stop, not of an end (wait(2), WIFSTOPPED).
func stopped(status uint32) bool { return status&0xff == 0x7f }

// sendExits tells the server of the ends that it has not heard of.
func (k *keeper) sendExits() {
	if k.server.link == nil {
		return
	}
	first := len(k.exits)
	for first > 0 && k.exits[first-1].seq > k.told {
		first--
	}
	list := k.exits[first:]
	k.told = k.seq
	k.expectAcks()
	for len(list) > 0 {
		n := min(len(list), 1000)
		k.server.link.send(packet{op: opExits, text: encodeExits(list[:n])})
		list = list[n:]
	}
}

func (k *keeper) acknowledged(text string) {
	saved := make(map[uint64]bool, len(text)/8)
	for b := []byte(text); len(b) >= 8; b = b[8:] {
		saved[binary.LittleEndian.Uint64(b)] = true
	}
	k.exits = slices.DeleteFunc(k.exits, func(e exitRecord) bool { return saved[e.seq] })
	k.server.askAt = time.Time{}
	k.expectAcks()
}
