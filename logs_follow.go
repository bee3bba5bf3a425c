// logs_follow.go gives new lines to those who follow, each at its own pace; a service that prints never waits for a follower.
//
// New lines go once into a backlog, which there is only while somebody follows, and followers that sleep are woken: printing costs next to nothing more.
// Each follower reads the backlog at its own pace. What was dropped from it before a follower read it is lost to that follower, and counted.

//go:build !windows

package main

import (
	"bytes"
	"slices"
)

const (
	followerLines    = 10000    // lines from before that a follower may begin with …
	followerBytes    = 1 << 20  // … and their bytes
	backlogBytes     = 4 << 20  // new lines that wait for all followers together …
	backlogParts     = 1 << 14  // … in parts …
	backlogPartBytes = 16 << 10 // … of about this size
)

// backlogPart is a run of lines of one service and stream, each with its newline. It may grow at its end; what there was stays.
type backlogPart struct {
	service string
	stream  uint8
	n       int    // lines
	seq     uint64 // of the first
	ms      int64
	data    []byte
}

// backlog holds the newest lines that anybody follows.
type backlog struct {
	parts []backlogPart // the oldest first
	first uint64        // number of the oldest part, counted since the start
	bytes int
}

func (b *backlog) add(p backlogPart) {
	for all := p.data; len(all) > 0; {
		end := len(all)
		if end > backlogPartBytes {
			end = backlogPartBytes + 1 + bytes.IndexByte(all[backlogPartBytes:], '\n')
		}
		p.data, all = all[:end], all[end:]
		p.n = bytes.Count(p.data, newline)
		b.put(p)
		p.seq += uint64(p.n)
	}
	drop := 0
	for ; b.bytes > backlogBytes || len(b.parts)-drop > backlogParts; drop++ {
		b.bytes -= len(b.parts[drop].data)
		b.parts[drop] = backlogPart{}
	}
	b.parts, b.first = b.parts[drop:], b.first+uint64(drop)
}

// put joins a part with the newest where they belong together: a service that prints line by line fills few parts.
func (b *backlog) put(p backlogPart) {
	b.bytes += len(p.data)
	if n := len(b.parts); n > 0 {
		last := &b.parts[n-1]
		if last.service == p.service && last.stream == p.stream && last.ms == p.ms && last.seq+uint64(last.n) == p.seq && len(last.data) < backlogPartBytes {
			last.data, last.n = append(last.data, p.data...), last.n+p.n
			return
		}
	}
	p.data = bytes.Clone(p.data)
	b.parts = append(b.parts, p)
}

// follower reads new lines for one client. wake has room for one: it is filled when there is something for a follower that sleeps.
type follower struct {
	wake     chan struct{}
	hub      *logHub
	services map[string]bool // nil: all
	stream   logStream       // "": all
	old      []logLine       // lines from before, still to be taken

	// under hub.emit
	asleep  bool
	due     uint64 // lines that were printed for it, and were neither taken nor counted as lost
	at      uint64 // the part of the backlog that was read last, and how much of it
	size, n int
}

// follow begins with the newest lines that match (at most lines of them, and followerBytes) and goes on with all that come. services nil or empty: all.
func (h *logHub) follow(services []string, stream logStream, lines int) *follower {
	f := &follower{wake: make(chan struct{}, 1), hub: h, stream: stream}
	if len(services) > 0 {
		f.services = map[string]bool{}
	}
	for _, name := range services {
		f.services[name] = true
	}
	h.emit.Lock()
	h.followers = append(h.followers, f)
	last := h.seq
	f.at = h.backlog.first + uint64(len(h.backlog.parts))
	if n := len(h.backlog.parts); n > 0 {
		f.hasRead(f.at-1, &h.backlog.parts[n-1])
	}
	h.emit.Unlock()
	f.old = h.search(logQuery{Stream: stream, Lines: min(lines, followerLines)}, func(name string) bool { return f.services == nil || f.services[name] }, last)
	from := len(f.old)
	for left := followerBytes; from > 0 && left >= len(f.old[from-1].Text); from-- {
		left -= len(f.old[from-1].Text)
	}
	f.old = f.old[from:]
	f.wake <- struct{}{}
	return f
}

func (f *follower) wants(p *backlogPart) bool {
	return (f.services == nil || f.services[p.service]) && (f.stream == "" || f.stream == streams[p.stream])
}

// hasRead notes that all of a part has been read.
func (f *follower) hasRead(at uint64, p *backlogPart) { f.at, f.size, f.n = at, len(p.data), p.n }

// publish puts lines into the backlog if anybody follows them, and wakes who does. Call it with emit held.
func (h *logHub) publish(p backlogPart) {
	followed := false
	for _, f := range h.followers {
		if !f.wants(&p) {
			continue
		}
		followed = true
		f.due += uint64(p.n)
		if f.asleep {
			f.asleep = false
			select {
			case f.wake <- struct{}{}:
			default:
			}
		}
	}
	if followed {
		h.backlog.add(p)
	}
}

// take returns the next lines, of about so many bytes, and how many were lost before them. When there is none the follower sleeps until wake.
func (f *follower) take(most int) (lines []logLine, lost uint64) {
	for size := 0; len(f.old) > 0 && size < most; f.old = f.old[1:] {
		size += len(f.old[0].Text)
		lines = append(lines, f.old[0])
	}
	if lines != nil {
		return lines, 0
	}
	parts, lost := f.unread(most)
	for _, p := range parts {
		for line := range bytes.Lines(p.data) {
			lines = append(lines, logLine{p.seq, p.ms, p.service, streams[p.stream], validText(line[:len(line)-1])})
			p.seq++
		}
	}
	return lines, lost
}

// unread goes on by about so many bytes and returns the parts there.
func (f *follower) unread(most int) (parts []backlogPart, lost uint64) {
	b := &f.hub.backlog
	f.hub.emit.Lock()
	defer f.hub.emit.Unlock()
	if f.at < b.first {
		f.at, f.size, f.n = b.first, 0, 0
	}
	begin, waiting := f.at, uint64(0)
	for i := f.at - b.first; i < uint64(len(b.parts)); i++ {
		whole := &b.parts[i]
		p := *whole
		if b.first+i == begin {
			p.data, p.seq, p.n = p.data[f.size:], p.seq+uint64(f.n), p.n-f.n
		}
		wanted := f.wants(&p) && p.n > 0
		switch {
		case most > 0:
			f.hasRead(b.first+i, whole)
			if wanted {
				parts = append(parts, p)
				most -= len(p.data)
				f.due -= uint64(p.n)
			}
		case wanted:
			waiting += uint64(p.n)
		}
	}
	lost = f.due - waiting
	f.due = waiting
	f.asleep = len(parts) == 0
	return parts, lost
}

// close ends the subscription.
func (f *follower) close() {
	h := f.hub
	h.emit.Lock()
	defer h.emit.Unlock()
	h.followers = slices.DeleteFunc(h.followers, func(o *follower) bool { return o == f })
	if len(h.followers) == 0 {
		h.backlog = backlog{first: h.backlog.first + uint64(len(h.backlog.parts))}
	}
}
