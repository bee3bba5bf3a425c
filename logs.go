// logs.go keeps the newest lines of every service and hands them to those who ask; it knows where the lines of a service go and numbers them. It never makes a service wait.
//
// How it works. One loop waits for all pipes at once (sys_*.go: epoll behind the runtime's poller). A pipe that is readable is read into a shared
// buffer, one batch a turn, so that nobody starves; the batch is numbered and goes into the ring of its service, to the followers and the console queue.
//
// The console and the server's own log are queues of whole lines with a writer that lives only while it has work; the oldest are dropped and counted.
//
// Locks are taken in this order: reading, pipe, then hub.emit or hub.mu, then service or file, and the console last. None is held while a file or the console is written.

//go:build !windows

package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const seqMark = 20 // mark is called every 2^20 lines

// streamNumber is the place of a stream's name; what is no stream counts as syslog.
func streamNumber(name logStream) uint8 {
	if i := slices.Index(streams[:], name); i >= 0 {
		return uint8(i)
	}
	return uint8(len(streams) - 1)
}

// logService is what the hub knows of one name.
type logService struct {
	name  string
	mu    sync.Mutex // the ring
	ring  lineRing
	count uint64 // lines ever
	sinks atomic.Pointer[logSinks]
}

// logSinks says where lines go besides the ring. It is replaced as a whole.
type logSinks struct {
	def     loggingDef
	console bool
	file    *logFile // nil: none
}

// rawFile says whether the bytes of the service go into a file as they come.
func (s *logSinks) rawFile() bool { return s.file != nil && !isLineFormat(s.def.Format) }

// plain says whether the console gets whole lines as they come, which the ring has in pieces.
func (s *logSinks) plain() bool { return s.console && s.def.ConsoleFormat == formatPlain }

// logHub owns the rings, pipes, files and followers.
type logHub struct {
	consoles [2]*lineWriter // copies of stdout and stderr

	mu       sync.Mutex
	services map[string]*logService
	files    map[string]*logFile
	open     map[int]*logPipe // by descriptor number
	poller   *logPoller
	grown    int         // pipes that were enlarged
	fifos    string      // directory of named pipes; "": plain pipes
	spent    chan string // names in it that nobody needs any more
	fifoAt   int         // descriptor of that directory
	mark     func()      // called now and then as seq grows, so that it is saved

	emit      sync.Mutex // orders seq, rings and the backlog
	seq       uint64
	clockAt   time.Time   // of the newest line
	clocks    []clockMark // when the clock was set, oldest first
	followers []*follower
	backlog   backlog

	scratches chan *scratch
	drains    sync.Mutex   // a thousand ends at once need one scratch
	reading   sync.RWMutex // held for reading while something is taken out of a pipe or the socket of syslog; for writing since freeze
}

// newLogHub makes an empty hub. Console copies of stdout go to the descriptor console, those of stderr to where the server's own log goes.
func newLogHub(console int) *logHub {
	h := &logHub{
		consoles: [2]*lineWriter{serverLog, serverLog}, services: map[string]*logService{}, files: map[string]*logFile{},
		open: map[int]*logPipe{}, scratches: make(chan *scratch, 2),
	}
	if console != serverLog.fd && !logSameFile(console, serverLog.fd) {
		h.consoles[0] = newLineWriter(console)
	}
	return h
}

// service finds or makes the entry of a name.
func (h *logHub) service(name string) *logService {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.services[name]
	if s == nil {
		s = &logService{name: name}
		s.ring.limit = 1000
		s.sinks.Store(&logSinks{})
		h.services[name] = s
	}
	return s
}

// configure creates a service or changes how its lines are kept. Lines that it has stay, as far as they fit. It never waits:
// a file is opened by the first line that goes into it.
func (h *logHub) configure(name string, def loggingDef, consoleDefault bool) {
	s := h.service(name)
	sinks := &logSinks{def: def, console: consoleDefault}
	if def.Console != nil {
		sinks.console = *def.Console
	}
	if def.File != "" {
		sinks.file = h.file(def, name)
	}
	old := s.sinks.Swap(sinks)
	if old.file != nil {
		h.release(old.file)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if shrink := def.BufferLines < s.ring.limit; shrink {
		raw, skip := s.ring.newest(def.BufferLines)
		s.ring = lineRing{limit: def.BufferLines}
		eachLine(raw, skip, func(rec record, seq uint64, text []byte) {
			s.ring.push(rec.stream, seq, rec.ms, append(text[:len(text):len(text)], '\n'), 1)
		})
	}
	s.ring.limit = def.BufferLines
}

// file finds or makes the file of def, and counts the use.
func (h *logHub) file(def loggingDef, name string) *logFile {
	path := filepath.Clean(def.File)
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.files[path]
	if f == nil {
		f = &logFile{hub: h, path: path, service: name}
		h.files[path] = f
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refs++
	f.maxSize, f.keep, f.raw = def.MaxSize, def.Keep, def.Format == formatRaw || def.Format == ""
	return f
}

// release gives a file back; the last one that does so closes it, after what still waits for it is written.
func (h *logHub) release(f *logFile) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refs--
	if f.refs == 0 {
		delete(h.files, f.path)
		f.kick()
	}
}

// forget drops a name with its lines. Pipes that are still open are read to their end, into nowhere.
func (h *logHub) forget(name string) {
	h.mu.Lock()
	s := h.services[name]
	delete(h.services, name)
	h.mu.Unlock()
	if s == nil {
		return
	}
	if old := s.sinks.Swap(&logSinks{}); old.file != nil {
		h.release(old.file)
	}
	s.mu.Lock()
	s.ring = lineRing{}
	s.mu.Unlock()
}

// emitLines numbers complete lines (each with its newline, none too long) and gives them to everything but a raw file.
func (h *logHub) emitLines(s *logService, stream uint8, data []byte) {
	n := bytes.Count(data, newline)
	if n == 0 {
		return
	}
	sinks := s.sinks.Load()
	h.emit.Lock()
	now := time.Now()
	h.lookAtClock(now)
	ms := now.UnixMilli()
	first := h.seq + 1
	h.seq += uint64(n)
	if h.mark != nil && h.seq>>seqMark != (first-1)>>seqMark {
		h.mark()
	}
	s.mu.Lock()
	s.ring.push(stream, first, ms, data, n)
	s.count += uint64(n)
	s.mu.Unlock()
	if len(h.followers) > 0 {
		h.publish(backlogPart{s.name, stream, n, first, ms, data})
	}
	h.emit.Unlock()
	if sinks.console && !sinks.plain() {
		h.consoleOf(stream).add(formatLines(sinks.def.ConsoleFormat, s.name, true, stream, first, ms, data))
	}
	if sinks.file != nil && !sinks.rawFile() {
		sinks.file.enqueue(formatLines(sinks.def.Format, s.name, false, stream, first, ms, data))
	}
}

// add puts a message that did not come through a pipe into the log of a service: ours about it, or syslog.
func (h *logHub) add(name string, stream logStream, text string) {
	s := h.service(name)
	data := splitLong([]byte(strings.TrimSuffix(text, "\n")+"\n"), maxLine)
	h.emitLines(s, streamNumber(stream), data)
	sinks := s.sinks.Load()
	if sinks.rawFile() {
		sinks.file.enqueue(data)
	}
	if sinks.plain() {
		h.consoleOf(streamNumber(stream)).add(data)
	}
}

// consoleOf is where the copies of a stream go.
func (h *logHub) consoleOf(stream uint8) *lineWriter {
	if stream == streamNumber(streamStderr) {
		return h.consoles[1]
	}
	return h.consoles[0]
}

// counts are, by service, how many lines there have been and how many its file has lost, and how many the consoles have.
func (h *logHub) counts() (lines, lost map[string]uint64, console uint64) {
	lines, lost = map[string]uint64{}, map[string]uint64{}
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, s := range h.services {
		s.mu.Lock()
		lines[name] = s.count
		s.mu.Unlock()
		if f := s.sinks.Load().file; f != nil {
			f.mu.Lock()
			lost[name] = f.lostEver
			f.mu.Unlock()
		}
	}
	for i, w := range h.consoles {
		if i == 0 || w != h.consoles[0] {
			w.mu.Lock()
			console += w.lostEver
			w.mu.Unlock()
		}
	}
	return lines, lost, console
}

// trouble is why the log file of a service takes no lines now, and what that has cost so far; "": it does, or there is none.
func (h *logHub) trouble(name string) string {
	h.mu.Lock()
	s := h.services[name]
	h.mu.Unlock()
	if s == nil || s.sinks.Load().file == nil {
		return ""
	}
	f := s.sinks.Load().file
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.complained == "" {
		return ""
	}
	return visible(f.complained) + "; " + plural(f.lostLines, "line") + " lost"
}

// lines returns the newest k lines of the service.
func (s *logService) lines(k int) []logLine {
	s.mu.Lock()
	raw, skip := s.ring.newest(k)
	s.mu.Unlock()
	var out []logLine
	eachLine(raw, skip, func(rec record, seq uint64, text []byte) {
		out = append(out, logLine{seq, rec.ms, s.name, streams[rec.stream], validText(text)})
	})
	return out
}

// tail returns the newest n lines of a service, oldest first; none for an unknown name.
func (h *logHub) tail(name string, n int) []logLine {
	h.mu.Lock()
	s := h.services[name]
	h.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.lines(n)
}

// logQuery selects lines; empty and zero fields select all.
type logQuery struct {
	Service, Contains string
	Stream            logStream
	SinceMS, UntilMS  int64
	Lines             int // the newest so many of those that match
}

// filter returns the newest q.Lines lines that match, oldest first, over all services. Its memory is bounded by q.Lines
// and one ring; no service waits longer than a copy of its ring takes.
func (h *logHub) filter(q logQuery) []logLine {
	return h.search(q, func(name string) bool { return q.Service == "" || q.Service == name }, ^uint64(0))
}

// search is filter with a choice of services and a highest seq.
func (h *logHub) search(q logQuery, wanted func(string) bool, last uint64) []logLine {
	if q.Lines <= 0 {
		return nil
	}
	h.emit.Lock()
	h.lookAtClock(time.Now())
	clocks := slices.Clone(h.clocks)
	h.emit.Unlock()
	h.mu.Lock()
	var chosen []*logService
	for name, s := range h.services {
		if wanted(name) {
			chosen = append(chosen, s)
		}
	}
	h.mu.Unlock()
	var found []logLine
	var lowest uint64 // what is older cannot be among the newest any more
	newestFirst := func() {
		many := len(found) > q.Lines
		if found = newestOf(found, q.Lines); many {
			lowest = found[0].Seq
		}
	}
	for _, s := range chosen {
		s.mu.Lock()
		raw, skip := s.ring.newest(s.ring.limit)
		s.mu.Unlock()
		eachLine(raw, skip, func(rec record, seq uint64, text []byte) {
			ms := rec.ms + setSince(clocks, seq) // what was asked for is by today's clock
			if seq < lowest || seq > last || q.SinceMS > 0 && ms < q.SinceMS || q.UntilMS > 0 && ms > q.UntilMS ||
				q.Stream != "" && q.Stream != streams[rec.stream] {
				return
			}
			line := validText(text)
			if !strings.Contains(line, q.Contains) {
				return
			}
			found = append(found, logLine{seq, rec.ms, s.name, streams[rec.stream], line})
			if len(found) >= 4*q.Lines+1000 {
				newestFirst()
			}
		})
	}
	newestFirst()
	return found
}

// snapshot returns all lines of a service, for a successor's restore.
func (h *logHub) snapshot(name string) []logLine { return h.tail(name, int(^uint(0)>>1)) }

// restore puts lines of a snapshot back, with their numbers and times, and lets seq go on after them.
func (h *logHub) restore(name string, lines []logLine) {
	s := h.service(name)
	for _, l := range lines {
		h.seqAtLeast(l.Seq)
		s.mu.Lock()
		s.ring.push(streamNumber(l.Stream), l.Seq, l.TimeMS, append([]byte(l.Text), '\n'), 1)
		s.mu.Unlock()
	}
}

// seqAtLeast makes the next line's number greater than n.
func (h *logHub) seqAtLeast(n uint64) {
	h.emit.Lock()
	defer h.emit.Unlock()
	h.seq = max(h.seq, n)
}

// lastSeq is the number of the newest line.
func (h *logHub) lastSeq() uint64 {
	h.emit.Lock()
	defer h.emit.Unlock()
	return h.seq
}

// names lists all services that the hub knows, sorted; some may have no lines.
func (h *logHub) names() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return sortedKeys(h.services)
}

// flushLogs waits until the server's own log and the console copies are written, at most limit; for the end of the server.
func (h *logHub) flushLogs(limit time.Duration) {
	end := time.Now().Add(limit)
	h.consoles[0].flush(limit)
	serverLog.flush(time.Until(end))
}
