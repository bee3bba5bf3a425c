// logs_console.go writes the server's own log and the console copies of lines: queues of whole lines for descriptors that may be slow, stuck or gone. It never makes the caller wait.

//go:build !windows

package main

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	consoleMax = 256 << 10 // bytes that wait for the console …
	consoleBig = 4 << 20   // … where some lines are very long
	chunkMax   = 4096      // bytes of one write to the console: PIPE_BUF, which pipe(7) keeps in one piece
)

// lineWriter writes whole lines to a descriptor that may be slow, stuck or gone. The caller of add never waits: when consoleMax bytes are pending
// (consoleBig since a very long line has come) the oldest lines are dropped, and their number is written instead.
type lineWriter struct {
	fd int

	mu       sync.Mutex
	pending  []byte
	big      bool // a very long line has come
	lost     int
	lostEver uint64
	idle     chan struct{} // closed when the writer ends; nil: none runs
	reopen   time.Time     // not before
}

func newLineWriter(fd int) *lineWriter { return &lineWriter{fd: fd} }

// add queues complete lines.
func (w *lineWriter) add(lines []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = append(w.pending, lines...)
	most := consoleMax
	if w.big = w.big || len(lines) > consoleMax/2; w.big {
		most = consoleBig
	}
	if extra := len(w.pending) - most; extra > 0 {
		// At least a quarter goes, so that not every line moves the rest.
		cut := min(max(extra, most/4), len(w.pending)-1)
		cut += bytes.IndexByte(w.pending[cut:], '\n') + 1
		n := bytes.Count(w.pending[:cut], newline)
		w.lost += n
		w.lostEver += uint64(n)
		w.pending = slices.Delete(w.pending, 0, cut)
	}
	if w.idle == nil {
		w.idle = make(chan struct{})
		background("console", w.work)
	}
}

// work writes until nothing is left. Chunks are whole lines and, unless one line is longer, so small that nobody else's write gets between.
func (w *lineWriter) work() {
	gone := false
	for {
		w.mu.Lock()
		batch, lost := w.pending, w.lost
		if len(batch) == 0 && (lost == 0 || gone) {
			close(w.idle)
			w.idle = nil
			w.mu.Unlock()
			return
		}
		w.pending, w.lost = nil, 0
		w.mu.Unlock()
		if lost > 0 {
			batch = append(serverLine(logWarn, fmt.Sprintf("%d lines lost here: they were not read in time", lost)), batch...)
		}
		rest := w.writeChunks(batch)
		if gone = len(rest) > 0; gone {
			missing := bytes.Count(rest, newline)
			if lost > 0 && len(rest) == len(batch) {
				missing += lost - 1 // the message itself is no loss
			}
			w.mu.Lock()
			w.lost += missing
			w.lostEver += uint64(missing)
			w.mu.Unlock()
		}
	}
}

// writeChunks writes whole lines and returns what could not be written.
func (w *lineWriter) writeChunks(batch []byte) []byte {
	for len(batch) > 0 {
		end := len(batch)
		if end > chunkMax {
			if end = bytes.LastIndexByte(batch[:chunkMax], '\n') + 1; end == 0 {
				end = bytes.IndexByte(batch, '\n') + 1
			}
		}
		if !w.write(batch[:end]) {
			break
		}
		batch = batch[end:]
	}
	return batch
}

// write writes all of b. After a hang-up of the terminal it tries to open it again, at most once a second.
func (w *lineWriter) write(b []byte) bool {
	n, err := logWrite(w.fd, b)
	if err == nil {
		return true
	}
	now := time.Now()
	if now.Before(w.reopen) {
		return false
	}
	w.reopen = now.Add(retryEvery)
	if logReopen(w.fd) != nil {
		return false
	}
	_, err = logWrite(w.fd, b[n:])
	return err == nil
}

// flush waits until all is written, at most limit.
func (w *lineWriter) flush(limit time.Duration) {
	w.mu.Lock()
	idle := w.idle
	w.mu.Unlock()
	if idle != nil {
		waitFor(idle, limit)
	}
}

var (
	serverLog      = newLineWriter(2)
	serverLogLevel atomic.Int32 // a logLevel
	serverLogJSON  atomic.Bool
)

// setLogFormat chooses how lines of the server's own log look: text or json.
func setLogFormat(name string) error {
	if !slices.Contains(ownLogFormats, name) {
		return fmt.Errorf("unknown log format %s; use %s", quoted(name), orList(ownLogFormats))
	}
	serverLogJSON.Store(name == ownLogFormats[1])
	return nil
}

// serverLine is a line of the server's own log.
func serverLine(level logLevel, text string) []byte {
	if serverLogJSON.Load() {
		return append(appendJSON(nil, &ownLine{time.Now().UTC().Format(time.RFC3339Nano), level.String(), text}), '\n')
	}
	return fmt.Appendf(nil, "zinit: %s: %s\n", level, visible(text))
}

// ownLine is a line of the server's own log as JSON.
type ownLine struct {
	Time    string `json:"time"` // RFC 3339, UTC
	Level   string `json:"level"`
	Message string `json:"message"`
}

// setLogLevel chooses the least level that is written, by its name.
func setLogLevel(name string) error {
	level, err := parseLogLevel(name)
	if err == nil {
		serverLogLevel.Store(int32(level))
	}
	return err
}

// logf writes a line to the server's own log on descriptor 2, like "zinit: warn: text", or as JSON. It never waits.
func logf(level logLevel, format string, args ...any) {
	if int32(level) < serverLogLevel.Load() {
		return
	}
	serverLog.add(serverLine(level, fmt.Sprintf(format, args...)))
}
