// logs_await.go looks through what a service prints for the text that says that it is ready; what follows from that is decided elsewhere.

//go:build !windows

package main

import (
	"bytes"
	"sync/atomic"
)

// logAwait is the wait for a line of either stream that contains a text. found is called once, before the line is taken out of its pipe where that is possible.
type logAwait struct {
	text  []byte
	found func()
	done  atomic.Bool
}

// joined puts the unfinished line before the n bytes at sc.buf[maxLine:].
func (p *logPipe) joined(sc *scratch, n int) []byte {
	start := maxLine - len(p.partial)
	copy(sc.buf[start:], p.partial)
	return sc.buf[start : maxLine+n]
}

// look says when the text that is awaited is in a complete line, or in a whole piece of a long one.
func (p *logPipe) look(data []byte) {
	a := p.await
	if a == nil {
		return
	}
	lines := bytes.LastIndexByte(data, '\n') + 1
	whole := lines + (len(data)-lines)/maxLine*maxLine
	if bytes.Contains(data[:whole], a.text) && !a.done.Swap(true) {
		a.found()
	}
	if a.done.Load() {
		p.await = nil
	}
}

// await has both streams looked through for a line that says that the service is ready. It is called before the service is started.
func (lp *logPipes) await(a *logAwait) {
	for _, p := range lp.read {
		p.mu.Lock()
		p.await = a
		p.mu.Unlock()
	}
}
