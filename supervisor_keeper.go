// supervisor_keeper.go is our end of the link to the keeper: what it hands over, reports and asks, and which ends of processes it may forget.

//go:build !windows

package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// ackList remembers which exit records of the keeper wait to be saved. It belongs to the owner.
type ackList struct {
	byPID   map[int]uint64 // of our services, until the graph has saved their end
	settled []settledEnd   // the graph has taken the end; its record may be unsaved yet
	ready   []uint64
	last    uint64 // the newest that came
}

type settledEnd struct {
	pid  int
	name string
}

// handed is what the keeper gives a new server before "live".
type handed struct {
	store   map[string][]int
	procs   map[string]int // processes by the key of their pipes in store
	exits   []exitRecord
	cmd     packet
	closing *packet
	plan    string // the shutdown that is planned; "": none
}

// greet reads what the keeper has for us.
func greet(l *link) (handed, error) {
	h := handed{store: map[string][]int{}, procs: map[string]int{}}
	for {
		p, err := l.recv()
		if err != nil {
			return h, err
		}
		switch p.op {
		case opStore:
			h.store[p.text] = append(h.store[p.text], p.fds...)
		case opStarted:
			h.procs[p.text] = int(p.a)
		case opExits:
			h.exits = append(h.exits, parseExits(p.text)...)
		case opCommand:
			h.cmd = p
		case opClosing:
			h.closing = &p
		case opDo:
			h.plan = p.text
		case opLive:
			return h, nil
		}
	}
}

// logKey names the pipes of one start in the keeper's store.
func logKey(name string, gen uint64) string { return fmt.Sprintf("log %s %d", name, gen) }

// follow handles the records of the keeper until the link ends. Then the keeper, which was not PID 1, has died, and all services are stopped.
func (s *supervisor) follow() {
	for _, p := range s.early {
		s.heard(p)
	}
	s.early = nil
	for {
		p, err := s.keeper.recv()
		if err != nil {
			logf(logError, "the keeper has gone: stopping all services")
			close(s.abandoned)
			s.procs.orphaned()
			s.submit(event{kind: eventShutdown, power: powerExit})
			return
		}
		s.heard(p)
	}
}

func (s *supervisor) heard(p packet) {
	switch p.op {
	case opExits:
		s.inbox.put(note{exits: parseExits(p.text)})
	case opAsk:
		s.inbox.put(note{ask: true})
	case opCommand:
		s.command(p)
	case opUpgrade:
		s.upgradeTold(p)
	case opDo:
		s.obey(p.text)
	}
}

func (s *supervisor) isAbandoned() bool {
	select {
	case <-s.abandoned:
		return true
	default:
		return false
	}
}

// exited hands exits to the table of processes. Those of services are acknowledged when the graph has saved what follows.
func (s *supervisor) exited(list []exitRecord) {
	for _, e := range list {
		s.acks.last = e.seq
		if s.procs.has(e.pid) {
			s.acks.byPID[e.pid] = e.seq
		} else {
			s.acks.ready = append(s.acks.ready, e.seq)
		}
		s.procs.reaped(e.pid, e.status&^leaderBit)
	}
}

// sendAcks acknowledges the ends that are saved.
func (s *supervisor) sendAcks() {
	if s.keeper == nil {
		return
	}
	a := &s.acks
	a.settled = slices.DeleteFunc(a.settled, func(e settledEnd) bool {
		if s.saver.unsaved(e.name) {
			return false
		}
		if seq, ok := a.byPID[e.pid]; ok {
			delete(a.byPID, e.pid)
			a.ready = append(a.ready, seq)
		}
		return true
	})
	for len(a.ready) > 0 {
		n := min(len(a.ready), 3000)
		var b []byte
		for _, seq := range a.ready[:n] {
			b = binary.LittleEndian.AppendUint64(b, seq)
		}
		a.ready = a.ready[n:]
		s.keeper.send(packet{op: opAck, text: string(b)})
	}
}

// obey does what the keeper asks for on behalf of a signal.
func (s *supervisor) obey(what string) {
	word, rest, _ := strings.Cut(what, " ")
	switch word {
	case "reload":
		background("reload", s.reload)
	case "shutdown":
		s.submit(event{kind: eventShutdown, power: powerKind(rest)})
	case planWord:
		s.planned(rest)
	case "kill":
		s.submit(event{kind: eventShutdownNow, power: powerExit})
	}
}

// release gives up what outlives a server of one start: the keeper's copies of its pipes, and the way in which it says that it is ready. That waits until the end is saved: pipes
// without an end say that the process may be there.
func (s *supervisor) release(name string, gen uint64) {
	s.silence(name, gen)
	if s.keeper != nil {
		s.keeper.send(packet{op: opDrop, text: logKey(name, gen)})
	}
}
