// logs.go keeps the newest lines of every service and hands them to those who ask or follow; it reads the pipes of services and writes their files and the console, and it never makes a service wait.

package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"
)

const (
	seqMark       = 20       // mark is called every 2^20 lines
	maxLine       = 16 << 10 // longer lines are split
	ringMax       = 4 << 20  // bytes of one ring, whatever buffer_lines says
	ringRecord    = 8 << 10  // a batch is stored in records of about this size, the unit that is forgotten
	followerLines = 10000    // lines from before that a follower may begin with …
	followerBytes = 1 << 20  // … and their bytes
	tapeBytes     = 4 << 20  // new lines that wait for all followers together …
	tapeParts     = 1 << 14  // … in parts …
	tapePartBytes = 16 << 10 // … of about this size
)

// logLine is one line of a service, in valid UTF-8.
type logLine struct {
	Seq     uint64    `json:"seq"`
	TimeMS  int64     `json:"time_ms"`
	Service string    `json:"service"`
	Stream  logStream `json:"stream"`
	Text    string    `json:"text"`
}

// logStream is where a line came from.
type logStream string

const (
	streamStdout logStream = "stdout"
	streamStderr logStream = "stderr"
	streamSyslog logStream = "syslog"
)

// streams are all of them, each at its number in the ring.
var streams = [...]logStream{streamStdout, streamStderr, streamSyslog}

var streamWords = []string{string(streamStdout), string(streamStderr), string(streamSyslog)}

// streamNumber is the place of a stream's name; what is no stream counts as syslog.
func streamNumber(name logStream) uint8 {
	if i := slices.Index(streams[:], name); i >= 0 {
		return uint8(i)
	}
	return uint8(len(streams) - 1)
}

// validText makes text fit for JSON: every byte that is no UTF-8 becomes U+FFFD.
func validText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return string([]rune(string(b)))
}

// ---- the ring ----

// lineRing holds the newest lines of one service as they came, in records of consecutive lines of one stream.
// It grows as needed up to ringMax and keeps at least limit lines if they fit.
type lineRing struct {
	buf        []byte // circular
	head, used int
	lines      int // lines in it, may be more than limit by one record
	limit      int
}

// record is the head of a stored record; size bytes of text follow, n lines that each end in a newline.
type record struct {
	seq    uint64 // of the first line
	ms     int64
	size   uint32
	n      uint32
	stream uint8
}

const recordHead = 25

func (r record) put(b []byte) {
	binary.LittleEndian.PutUint64(b, r.seq)
	binary.LittleEndian.PutUint64(b[8:], uint64(r.ms))
	binary.LittleEndian.PutUint32(b[16:], r.size)
	binary.LittleEndian.PutUint32(b[20:], r.n)
	b[24] = r.stream
}

func getRecord(b []byte) record {
	return record{
		seq: binary.LittleEndian.Uint64(b), ms: int64(binary.LittleEndian.Uint64(b[8:])),
		size: binary.LittleEndian.Uint32(b[16:]), n: binary.LittleEndian.Uint32(b[20:]), stream: b[24],
	}
}

// at copies the bytes from offset pos (counted from the buffer's start, wrapping) into b.
func (r *lineRing) at(pos int, b []byte) {
	n := copy(b, r.buf[pos%len(r.buf):])
	copy(b[n:], r.buf)
}

func (r *lineRing) store(b []byte) {
	end := (r.head + r.used) % len(r.buf)
	n := copy(r.buf[end:], b)
	copy(r.buf, b[n:])
	r.used += len(b)
}

func (r *lineRing) recordAt(pos int) record {
	var head [recordHead]byte
	r.at(pos, head[:])
	return getRecord(head[:])
}

// push adds n complete lines; seq is the first one's.
func (r *lineRing) push(stream uint8, seq uint64, ms int64, data []byte, n int) {
	if r.limit <= 0 {
		return
	}
	if n > r.limit {
		data = newestLines(data, r.limit)
		seq += uint64(n - r.limit)
		n = r.limit
	}
	for len(data) > 0 {
		end := len(data)
		if end > ringRecord {
			if end = bytes.LastIndexByte(data[:ringRecord], '\n') + 1; end == 0 {
				end = ringRecord + bytes.IndexByte(data[ringRecord:], '\n') + 1
			}
		}
		lines := n
		if end < len(data) {
			lines = bytes.Count(data[:end], newline)
		}
		n -= lines
		rec := record{seq: seq, ms: ms, size: uint32(end), n: uint32(lines), stream: stream}
		r.makeRoom(recordHead+end, int(rec.n))
		var head [recordHead]byte
		rec.put(head[:])
		r.store(head[:])
		r.store(data[:end])
		r.lines += int(rec.n)
		seq += uint64(rec.n)
		data = data[end:]
	}
}

// makeRoom finds place for a record of n lines: first what is surplus goes, then the buffer grows, then the oldest go.
func (r *lineRing) makeRoom(need, n int) {
	for r.used+need > len(r.buf) {
		if r.used > 0 {
			old := r.recordAt(r.head)
			if r.lines-int(old.n)+n >= r.limit || len(r.buf) >= ringMax {
				size := recordHead + int(old.size)
				r.head = (r.head + size) % len(r.buf)
				r.used -= size
				r.lines -= int(old.n)
				continue
			}
		}
		grown := make([]byte, min(max(2*len(r.buf), r.used+need, 512), ringMax))
		if r.used > 0 {
			r.at(r.head, grown[:r.used])
		}
		r.buf, r.head = grown, 0
	}
}

// newest copies the records of the newest k lines out; skip of the first one's lines are not wanted. Reading them needs no lock any more.
func (r *lineRing) newest(k int) (raw []byte, skip int) {
	k = min(k, r.limit, r.lines)
	if k <= 0 {
		return nil, 0
	}
	pos, left, bytesLeft := r.head, r.lines, r.used
	for {
		rec := r.recordAt(pos)
		if left-int(rec.n) < k {
			break
		}
		size := recordHead + int(rec.size)
		left -= int(rec.n)
		pos += size
		bytesLeft -= size
	}
	raw = make([]byte, bytesLeft)
	r.at(pos, raw)
	return raw, left - k
}

// eachLine calls f for the lines that newest returned.
func eachLine(raw []byte, skip int, f func(rec record, seq uint64, text []byte)) {
	for len(raw) > 0 {
		rec := getRecord(raw)
		text := raw[recordHead : recordHead+int(rec.size)]
		for i := range int(rec.n) {
			end := bytes.IndexByte(text, '\n')
			if skip > 0 {
				skip--
			} else {
				f(rec, rec.seq+uint64(i), text[:end])
			}
			text = text[end+1:]
		}
		raw = raw[recordHead+int(rec.size):]
	}
}

var newline = []byte{'\n'}

// newestLines returns the last n lines of data, which ends in a newline and has more of them.
// bytes.Count is much faster than a look for each line, so whole blocks are counted first.
func newestLines(data []byte, n int) []byte {
	const block = 4 << 10
	start := len(data)
	for n > 0 {
		from := max(start-block, 0)
		c := bytes.Count(data[from:start], newline)
		if c > n {
			// The lines wanted begin after the (c-n)th newline of this block.
			for ; c > n; c-- {
				from += bytes.IndexByte(data[from:], '\n') + 1
			}
			return data[from:]
		}
		n -= c
		start = from
	}
	// The newline that ends the line before them stands further ahead.
	return data[bytes.LastIndexByte(data[:start], '\n')+1:]
}

// cutLine is the length of the first piece of a line that is longer than maxLine: no UTF-8 sequence is torn.
func cutLine(b []byte) int {
	for n := maxLine; n > maxLine-utf8.UTFMax; n-- {
		if utf8.RuneStart(b[n]) {
			return n
		}
	}
	return maxLine
}

// splitLong returns complete lines with a newline put in wherever one is longer than maxLine; data itself when none is.
func splitLong(data []byte) []byte {
	for rest := data; len(rest) > maxLine; {
		i := bytes.LastIndexByte(rest[:maxLine+1], '\n')
		if i < 0 {
			return splitAll(data)
		}
		rest = rest[i+1:]
	}
	return data
}

func splitAll(data []byte) []byte {
	out := make([]byte, 0, len(data)+len(data)/maxLine+8)
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		for line := data[:end]; ; {
			if len(line) <= maxLine {
				out = append(append(out, line...), '\n')
				break
			}
			n := cutLine(line)
			out = append(append(out, line[:n]...), '\n')
			line = line[n:]
		}
		data = data[end+1:]
	}
	return out
}

// ---- services and the hub ----

// logService is what the hub knows of one name.
type logService struct {
	name  string
	mu    sync.Mutex // the ring
	ring  lineRing
	sinks atomic.Pointer[logSinks]
}

// logSinks says where lines go besides the ring. It is replaced as a whole.
type logSinks struct {
	def     loggingDef
	console bool
	file    *logFile // nil: none
}

// logHub owns the rings, pipes, files and followers.
type logHub struct {
	console *lineWriter

	mu       sync.Mutex
	services map[string]*logService
	files    map[string]*logFile
	pipesBy  []*logPipe // by descriptor number
	poller   *logPoller
	grown    int        // pipes that were enlarged
	fifos    string     // directory of named pipes; "": plain pipes
	fifoAt   int        // its descriptor, in all tables
	frozen   []*logPipe // since freeze
	mark     func()     // called now and then as seq grows, so that it is saved

	emit      sync.Mutex // orders seq, rings and the tape
	seq       uint64
	everyone  audience
	audiences map[string]*audience // of those who follow only some services, by their names
	tape      tape

	drains  sync.Mutex // owns drainSC: a thousand ends at once need one buffer
	drainSC *scratch

	scratches chan *scratch

	syslogging sync.Mutex // held from the look at a message until it is out of the socket
}

// newLogHub makes an empty hub whose console copies go to the descriptor console.
func newLogHub(console int) *logHub {
	h := &logHub{services: map[string]*logService{}, files: map[string]*logFile{}, audiences: map[string]*audience{}, scratches: make(chan *scratch, 2)}
	h.console = serverLog
	if console != serverLog.fd && !logSameFile(console, serverLog.fd) {
		h.console = newLineWriter(console)
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
		f = newLogFile(h, path, name)
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
	ms := time.Now().UnixMilli()
	first := h.seq + 1
	h.seq += uint64(n)
	if h.mark != nil && h.seq>>seqMark != (first-1)>>seqMark {
		h.mark()
	}
	s.mu.Lock()
	s.ring.push(stream, first, ms, data, n)
	s.mu.Unlock()
	if len(h.everyone.followers)+len(h.audiences) > 0 {
		h.publish(tapePart{s.name, stream, n, first, ms, data})
	}
	h.emit.Unlock()
	if sinks.console {
		h.console.add(formatLines(sinks.def.Format, s.name, true, stream, first, ms, data))
	}
	if sinks.file != nil && isLineFormat(sinks.def.Format) {
		sinks.file.enqueue(formatLines(sinks.def.Format, s.name, false, stream, first, ms, data))
	}
}

// add puts a message that did not come through a pipe into the log of a service: ours about it, or syslog.
func (h *logHub) add(name string, stream logStream, text string) {
	s := h.service(name)
	data := splitLong([]byte(strings.TrimSuffix(text, "\n") + "\n"))
	h.emitLines(s, streamNumber(stream), data)
	if sinks := s.sinks.Load(); sinks.file != nil && !isLineFormat(sinks.def.Format) {
		sinks.file.enqueue(data)
	}
}

// syslogWait is how long a message may wait for the file that it goes into, before the next one is looked at.
const syslogWait = 100 * time.Millisecond

// serveSyslog reads the socket of syslog(3) for ever; owner names the service of a process. A message leaves the socket when it has been
// written: a successor of ours, which gets the same socket, finds what we had not done.
func (h *logHub) serveSyslog(fd int, owner func(pid int) string) error {
	file := os.NewFile(uintptr(fd), "syslog")
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	for buf := make([]byte, 2<<10); ; {
		var n, pid int
		var failed error
		if err := raw.Read(func(fd uintptr) bool {
			n, pid, failed = sysPeekMessage(int(fd), buf)
			return failed != syscall.EAGAIN
		}); err != nil || failed != nil {
			return errors.Join(err, failed)
		}
		if n > len(buf) {
			buf = make([]byte, n)
			continue
		}
		name := owner(pid)
		if name == "" {
			name = syslogName
		}
		h.syslogging.Lock()
		h.add(name, streamSyslog, syslogText(buf[:n]))
		if f := h.service(name).sinks.Load().file; f != nil {
			f.flush(syslogWait)
		}
		sysDropMessage(fd)
		h.syslogging.Unlock()
	}
}

// syslogName is where messages go whose sender belongs to no service.
const syslogName = "syslog"

// syslogText is a message of syslog(3) without its priority and time, which each line has of its own: <13>Nov  5 20:00:01 tag[77]: text
// (RFC 3164, as the C libraries send it). What looks otherwise stays as it is.
func syslogText(b []byte) string {
	text := strings.TrimRight(string(b), "\x00\n")
	rest := text
	if pri, after, found := strings.Cut(text, ">"); found && len(pri) > 1 && len(pri) <= 4 && pri[0] == '<' && strings.Trim(pri[1:], "0123456789") == "" {
		rest = after
	}
	if len(rest) >= 16 && rest[3] == ' ' && rest[6] == ' ' && rest[9] == ':' && rest[12] == ':' && rest[15] == ' ' {
		return rest[16:]
	}
	if strings.HasPrefix(rest, "1 ") { // RFC 5424
		return text
	}
	return rest
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

// newestOf is the newest of the lines, at most so many, the oldest first.
func newestOf(lines []logLine, most int) []logLine {
	lines = slices.Clone(lines)
	slices.SortFunc(lines, func(a, b logLine) int { return cmp.Compare(a.Seq, b.Seq) })
	return lines[max(0, len(lines)-most):]
}

// search is filter with a choice of services and a highest seq.
func (h *logHub) search(q logQuery, wanted func(string) bool, last uint64) []logLine {
	if q.Lines <= 0 {
		return nil
	}
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
			if seq < lowest || seq > last || q.SinceMS > 0 && rec.ms < q.SinceMS || q.UntilMS > 0 && rec.ms > q.UntilMS ||
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

// ---- followers ----

// Who prints does next to nothing for those who follow: its lines go once onto a tape, which there is only while somebody follows, and who sleeps is
// woken. Each follower reads the tape at its own pace. What has fallen off its end before a follower came there is lost to it, and counted.

// tapePart is a run of lines of one service and stream, each with its newline. It may grow at its end; what there was stays.
type tapePart struct {
	service string
	stream  uint8
	n       int    // lines
	seq     uint64 // of the first
	ms      int64
	data    []byte
}

// tape holds the newest lines that anybody follows.
type tape struct {
	parts []tapePart // the oldest first
	first uint64     // number of the oldest, counted since ever
	bytes int
}

func (t *tape) add(p tapePart) {
	for all := p.data; len(all) > 0; {
		end := len(all)
		if end > tapePartBytes {
			end = tapePartBytes + 1 + bytes.IndexByte(all[tapePartBytes:], '\n')
		}
		p.data, all = all[:end], all[end:]
		p.n = bytes.Count(p.data, newline)
		t.put(p)
		p.seq += uint64(p.n)
	}
	drop := 0
	for ; t.bytes > tapeBytes || len(t.parts)-drop > tapeParts; drop++ {
		t.bytes -= len(t.parts[drop].data)
		t.parts[drop] = tapePart{}
	}
	t.parts, t.first = t.parts[drop:], t.first+uint64(drop)
}

// put joins a part with the newest where they belong together: a service that prints line by line fills few parts.
func (t *tape) put(p tapePart) {
	t.bytes += len(p.data)
	if n := len(t.parts); n > 0 {
		last := &t.parts[n-1]
		if last.service == p.service && last.stream == p.stream && last.ms == p.ms && last.seq+uint64(last.n) == p.seq && len(last.data) < tapePartBytes {
			last.data, last.n = append(last.data, p.data...), last.n+p.n
			return
		}
	}
	p.data = bytes.Clone(p.data)
	t.parts = append(t.parts, p)
}

// audience is those who follow one service, or all.
type audience struct {
	followers []*follower
	printed   [len(streams)]uint64 // lines of each stream, since somebody follows
}

// follower reads new lines for one client. wake has room for one: it is filled when there is something for a follower that sleeps.
type follower struct {
	wake     chan struct{}
	hub      *logHub
	services map[string]bool // nil: all
	stream   logStream       // "": all
	in       []*audience

	asleep  bool   // under hub.emit
	counted uint64 // lines that were taken or lost
	at      uint64 // the part of the tape that was read last, and how much of it
	size, n int
	old     []logLine // lines from before, still to be taken
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
	f.join()
	last := h.seq
	f.counted = f.printed()
	f.at = h.tape.first + uint64(len(h.tape.parts))
	if n := len(h.tape.parts); n > 0 {
		f.passed(f.at-1, &h.tape.parts[n-1])
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

func (f *follower) wants(service string, stream uint8) bool {
	return (f.services == nil || f.services[service]) && f.wantsStream(stream)
}

func (f *follower) wantsStream(stream uint8) bool {
	return f.stream == "" || f.stream == streams[stream]
}

// join puts the follower where those are that want the same. Call it with emit held.
func (f *follower) join() {
	if f.services == nil {
		f.in = []*audience{&f.hub.everyone}
	}
	for name := range f.services {
		if f.hub.audiences[name] == nil {
			f.hub.audiences[name] = &audience{}
		}
		f.in = append(f.in, f.hub.audiences[name])
	}
	for _, a := range f.in {
		a.followers = append(a.followers, f)
	}
}

// printed counts what there was for the follower to read. Call it with emit held.
func (f *follower) printed() (lines uint64) {
	for _, a := range f.in {
		for stream, n := range a.printed {
			if f.wantsStream(uint8(stream)) {
				lines += n
			}
		}
	}
	return lines
}

// passed notes that all of a part has been read.
func (f *follower) passed(at uint64, p *tapePart) { f.at, f.size, f.n = at, len(p.data), p.n }

// publish puts lines onto the tape if anybody follows their service, and wakes who does. Call it with emit held.
func (h *logHub) publish(p tapePart) {
	heard := false
	for _, a := range [...]*audience{&h.everyone, h.audiences[p.service]} {
		if a == nil || len(a.followers) == 0 {
			continue
		}
		heard = true
		a.printed[p.stream] += uint64(p.n)
		for _, f := range a.followers {
			if f.asleep && f.wantsStream(p.stream) {
				f.rouse()
			}
		}
	}
	if heard {
		h.tape.add(p)
	}
}

func (f *follower) rouse() {
	f.asleep = false
	select {
	case f.wake <- struct{}{}:
	default:
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
		for ; len(p.data) > 0; p.seq++ {
			end := bytes.IndexByte(p.data, '\n')
			lines = append(lines, logLine{p.seq, p.ms, p.service, streams[p.stream], validText(p.data[:end])})
			p.data = p.data[end+1:]
		}
	}
	return lines, lost
}

// unread moves on by about so many bytes and returns the parts there.
func (f *follower) unread(most int) (parts []tapePart, lost uint64) {
	t := &f.hub.tape
	f.hub.emit.Lock()
	defer f.hub.emit.Unlock()
	if f.at < t.first {
		f.at, f.size, f.n = t.first, 0, 0
	}
	begin, waiting := f.at, uint64(0)
	for i := f.at - t.first; i < uint64(len(t.parts)); i++ {
		p := t.parts[i]
		whole := p
		if t.first+i == begin {
			p.data, p.seq, p.n = p.data[f.size:], p.seq+uint64(f.n), p.n-f.n
		}
		wanted := f.wants(p.service, p.stream)
		if wanted {
			waiting += uint64(p.n)
		}
		if most <= 0 {
			continue
		}
		f.passed(t.first+i, &whole)
		if wanted && p.n > 0 {
			parts = append(parts, p)
			most -= len(p.data)
			f.counted += uint64(p.n)
			waiting -= uint64(p.n)
		}
	}
	lost = f.printed() - f.counted - waiting
	f.counted += lost
	f.asleep = len(parts) == 0
	return parts, lost
}

// close ends the subscription.
func (f *follower) close() {
	h := f.hub
	h.emit.Lock()
	defer h.emit.Unlock()
	for _, a := range f.in {
		a.followers = slices.DeleteFunc(a.followers, func(o *follower) bool { return o == f })
	}
	for name := range f.services {
		if len(h.audiences[name].followers) == 0 {
			delete(h.audiences, name)
		}
	}
	if len(h.everyone.followers)+len(h.audiences) == 0 {
		h.tape = tape{first: h.tape.first + uint64(len(h.tape.parts))}
	}
}

// --- pipes, the console and the server's own log
//
// How it works. One loop waits for all pipes at once (sys_*.go: epoll behind the runtime's poller). A pipe that is readable is read into a shared
// buffer, one batch a turn, so that nobody starves; the batch is numbered and goes into the ring of its service, to the followers and the console queue.
//
// The console and the server's own log are queues of whole lines with a writer that lives only while it has work; the oldest are dropped and counted.
//
// Locks are taken in this order: pipe, hub.emit, service, follower; a file's lock is taken under a pipe's and holds nothing else. None is held while writing.

const (
	batchMax   = 128 << 10       // bytes read from one pipe in one turn
	pipeMax    = 1 << 20         // the most that a pipe holds (/proc/sys/fs/pipe-max-size)
	consoleMax = 256 << 10       // bytes that wait for the console
	chunkMax   = 4096            // bytes of one write to the console: PIPE_BUF, which pipe(7) keeps in one piece
	drainLimit = 2 * time.Second // the longest wait for a file at the end of a service
	retryEvery = time.Second     // pace at which a broken file is tried again, and at which one is looked for that was moved away
)

// ---- pipes ----

// scratch is what one reader works with: a buffer with room for an unfinished line in front, and on Linux a pipe for tee(2).
type scratch struct {
	buf   []byte // maxLine + batchMax bytes
	inner logInner
}

func newScratch() *scratch { return &scratch{buf: make([]byte, maxLine+batchMax)} }

// takeScratch and giveScratch keep up to two of them for the workers of files.
func (h *logHub) takeScratch() *scratch {
	select {
	case sc := <-h.scratches:
		return sc
	default:
		return newScratch()
	}
}

func (h *logHub) giveScratch(sc *scratch) {
	select {
	case h.scratches <- sc:
	default:
		sc.inner.close()
	}
}

// logPipe is the read end of one stream of one run. Who may read it: the loop (or drain) under mu, unless it is lent to the worker of a file.
type logPipe struct {
	hub        *logHub
	svc        *logService
	mu         sync.Mutex
	fd         int // -1: closed
	stream     uint8
	lent       bool  // to the worker of a raw file, or to nobody: frozen
	lentBefore bool  // while frozen
	grown      bool  // its capacity was raised
	full       uint8 // big batches in a row

	partial []byte        // an unfinished line, at most maxLine
	drained chan struct{} // not nil: the service is gone; closed when the pipe is
	left    int           // bytes that may still be read while drained is not nil
	fed     int           // bytes at the pipe's head that the ring has already; under the file's lock
}

// logPipes are the write ends for a child that is about to be started: blocking and close-on-exec.
type logPipes struct {
	Out, Err int // -1: closed
	out, err *logPipe
	gen      uint64 // of the start that they are for
}

// pipes makes the stdout and stderr of one run of a service. The pipes belong to uid and gid (-1: leave), so that a service of another user
// may open /dev/stdout again. The caller closes the write ends when the child has them; after the end (or a failed start) it drains.
func (h *logHub) pipes(name string, gen uint64, uid, gid int) (*logPipes, error) {
	lp := &logPipes{Out: -1, Err: -1, gen: gen}
	for _, end := range []struct {
		stream uint8
		write  *int
		pipe   **logPipe
	}{{0, &lp.Out, &lp.out}, {1, &lp.Err, &lp.err}} {
		r, w, err := h.newPipe(fifoName(name, gen, streams[end.stream]), uid, gid)
		if err == nil {
			*end.write = w
			*end.pipe, err = h.register(name, end.stream, r, nil)
		}
		if err != nil {
			lp.closeWriteEnds()
			lp.drain()
			return nil, fmt.Errorf("cannot make the pipes for its output: %w", err)
		}
	}
	return lp, nil
}

// newPipe makes one pipe, or where its read end must outlive us and nobody keeps it, a FIFO with a name.
func (h *logHub) newPipe(name string, uid, gid int) (r, w int, err error) {
	if h.fifos == "" {
		return logNewPipe(uid, gid)
	}
	return sysNewFifo(h.fifoAt, name, uid, gid)
}

// removeFifos removes the names of the pipes of one run, where they have any.
func (h *logHub) removeFifos(name string, gen uint64) {
	if h.fifos != "" {
		for _, stream := range streams[:2] {
			sysRemoveAt(h.fifoAt, fifoName(name, gen, stream))
		}
	}
}

// keepFifos has the pipes from now on made in a directory, with names. It stays open: from it the way to a name is short.
func (h *logHub) keepFifos(dir string) (err error) {
	if h.fifoAt, err = sysOpenDir(dir); err == nil {
		h.fifos = dir
	}
	return err
}

// fifoName names the FIFO of a stream of one run.
func fifoName(name string, gen uint64, stream logStream) string {
	return name + "." + strconv.FormatUint(gen, 10) + "." + string(stream)
}

// readFDs are our ends of both streams, for the keeper.
func (lp *logPipes) readFDs() (fds []int) {
	for _, p := range []*logPipe{lp.out, lp.err} {
		p.mu.Lock()
		fds = append(fds, p.fd)
		p.mu.Unlock()
	}
	return fds
}

// freeze keeps the reader off all pipes until thaw; what is being read is finished.
func (h *logHub) freeze() {
	h.syslogging.Lock()
	h.mu.Lock()
	h.frozen = slices.DeleteFunc(slices.Clone(h.pipesBy), func(p *logPipe) bool { return p == nil })
	h.mu.Unlock()
	for _, p := range h.frozen {
		p.mu.Lock()
		p.lentBefore = p.lent
		p.lent = true
		p.mu.Unlock()
	}
}

func (h *logHub) thaw() {
	for _, p := range h.frozen {
		p.mu.Lock()
		p.lent = p.lentBefore
		p.mu.Unlock()
	}
	h.frozen = nil
	h.syslogging.Unlock()
}

// names lists the services that have lines, sorted.
func (h *logHub) names() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.services))
}

// closeWriteEnds closes our copies of the child's ends; without that no end of file would ever come.
func (lp *logPipes) closeWriteEnds() {
	for _, fd := range []*int{&lp.Out, &lp.Err} {
		if *fd >= 0 {
			logClose(*fd)
			*fd = -1
		}
	}
}

// register takes over fd, a non-blocking read end that has or had a writer, as a stream of a service, and has it read; on an error it closes it.
func (h *logHub) register(name string, stream uint8, fd int, partial []byte) (*logPipe, error) {
	p := &logPipe{hub: h, svc: h.service(name), fd: fd, stream: stream, partial: partial}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.poller == nil {
		poller, err := newLogPoller()
		if err != nil {
			logClose(fd)
			return nil, err
		}
		h.poller = poller
		background("log reader", func() { poller.run(h.ready) })
	}
	for len(h.pipesBy) <= fd {
		h.pipesBy = append(h.pipesBy, make([]*logPipe, fd+64-len(h.pipesBy))...)
	}
	h.pipesBy[fd] = p
	if err := h.poller.watch(fd); err != nil {
		h.pipesBy[fd] = nil
		logClose(fd)
		return nil, err
	}
	return p, nil
}

// logEnd is the read end of a stream, for a process that holds it while servers come and go, with the beginning of a line that was read already.
type logEnd struct {
	Stream  logStream
	FD      int
	Partial []byte
}

// readEnds returns the open read ends of a service. They stay ours.
func (h *logHub) readEnds(name string) []logEnd {
	h.mu.Lock()
	pipes := slices.Clone(h.pipesBy)
	h.mu.Unlock()
	var ends []logEnd
	for _, p := range pipes {
		if p == nil || p.svc.name != name {
			continue
		}
		p.mu.Lock()
		if p.fd >= 0 {
			ends = append(ends, logEnd{streams[p.stream], p.fd, slices.Clone(p.partial)})
		}
		p.mu.Unlock()
	}
	return ends
}

// adopt goes on with read ends that an earlier server had: as pipes does with new ones. What it cannot go on with is closed.
func (h *logHub) adopt(name string, gen uint64, ends []logEnd) (lp *logPipes, err error) {
	lp = &logPipes{Out: -1, Err: -1, gen: gen}
	for i, end := range ends {
		if err = logSetNonblock(end.FD); err != nil {
			logClose(end.FD)
		}
		var p *logPipe
		if err == nil {
			p, err = h.register(name, streamNumber(end.Stream), end.FD, end.Partial)
		}
		if err != nil {
			for _, left := range ends[i+1:] {
				logClose(left.FD)
			}
			return lp, err
		}
		if p.stream == 0 {
			lp.out = p
		} else {
			lp.err = p
		}
	}
	return lp, nil
}

// ready reads one batch from a descriptor that the poller found readable. more: it may not be empty yet.
func (h *logHub) ready(fd int, sc *scratch) (more bool) {
	h.mu.Lock()
	var p *logPipe
	if fd < len(h.pipesBy) {
		p = h.pipesBy[fd]
	}
	h.mu.Unlock()
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fd != fd || p.lent {
		return false
	}
	if f := p.lender(); f != nil {
		p.lend(f)
		return false
	}
	if f := p.svc.sinks.Load().file; f != nil && f.full() {
		p.lend(f) // it comes back when the queue is written
		return false
	}
	return p.readBatch(sc)
}

// lend takes the pipe from the loop and gives it to the worker of f. The caller holds the pipe's lock.
func (p *logPipe) lend(f *logFile) {
	p.hub.poller.ignore(p.fd)
	p.lent = true
	f.lend(p)
}

// lender is the file that wants to read the pipe itself; nil: none.
func (p *logPipe) lender() *logFile {
	sinks := p.svc.sinks.Load()
	if !logSplices || sinks.file == nil || isLineFormat(sinks.def.Format) || sinks.file.unspliced.Load() {
		return nil
	}
	return sinks.file
}

// readBatch reads once and passes on what came. The caller owns the pipe. At the end of file it closes it.
func (p *logPipe) readBatch(sc *scratch) (more bool) {
	n, eof := logRead(p.fd, sc.buf[maxLine:])
	if n > 0 {
		if f := p.svc.sinks.Load(); f.file != nil && !isLineFormat(f.def.Format) {
			f.file.enqueue(sc.buf[maxLine : maxLine+n])
		}
		p.feed(sc, n)
		p.consider(n)
	}
	return p.spent(n, eof)
}

// spent accounts for n bytes read of the pipe and closes it when it has ended: at the end of file, or empty after its service is gone.
func (p *logPipe) spent(n int, eof bool) (more bool) {
	if p.drained != nil {
		p.left -= n
		eof = eof || n == 0 || p.left <= 0
	}
	if eof {
		p.finish()
		return false
	}
	return n > 0
}

// consider enlarges the pipe of a service that prints much: fewer turns, so that it runs nearly as fast as into cat.
// Only a few may have that, as it is memory of the kernel.
func (p *logPipe) consider(n int) {
	if n < 32<<10 {
		p.full = 0
		return
	}
	if p.full++; p.grown || p.full < 8 {
		return
	}
	p.full = 0
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	if p.hub.grown < 8 {
		p.hub.grown++
		p.grown = true
		logGrow(p.fd, 1<<20)
	}
}

// feed passes on the n bytes at sc.buf[maxLine:]: complete lines to the ring and the sinks, the rest becomes the unfinished line.
func (p *logPipe) feed(sc *scratch, n int) {
	start := maxLine - len(p.partial)
	copy(sc.buf[start:], p.partial)
	data := sc.buf[start : maxLine+n]
	complete := bytes.LastIndexByte(data, '\n') + 1
	if complete > 0 {
		p.hub.emitLines(p.svc, p.stream, splitLong(data[:complete]))
	}
	rest := data[complete:]
	if len(rest) > maxLine {
		var pieces []byte
		for len(rest) > maxLine {
			n := cutLine(rest)
			pieces = append(append(pieces, rest[:n]...), '\n')
			rest = rest[n:]
		}
		p.hub.emitLines(p.svc, p.stream, pieces)
	}
	if len(rest) == 0 && cap(p.partial) > 512 {
		p.partial = nil
		return
	}
	p.partial = append(p.partial[:0], rest...)
}

// finish ends a pipe: the unfinished line counts, the descriptor is closed. The caller owns the pipe.
func (p *logPipe) finish() {
	if len(p.partial) > 0 {
		p.hub.emitLines(p.svc, p.stream, append(p.partial, '\n'))
	}
	p.partial = nil
	h := p.hub
	h.mu.Lock()
	if !p.lent { // the keeper may have it too, so that closing it here does not end the watch
		h.poller.ignore(p.fd)
	}
	h.pipesBy[p.fd] = nil
	if p.grown {
		h.grown--
	}
	h.mu.Unlock()
	logClose(p.fd)
	p.fd = -1
	if p.drained != nil {
		close(p.drained)
	}
}

// drain is called when the service is gone: it reads what is there, ends unfinished lines and closes the read ends, so that all that was printed is in
// the ring, and in the file unless the disk does not answer within drainLimit. It never waits for a process that still holds the pipe.
func (lp *logPipes) drain() {
	end := time.Now().Add(drainLimit)
	for _, p := range []*logPipe{lp.out, lp.err} {
		if p != nil {
			p.drain(end)
		}
	}
	for _, p := range []*logPipe{lp.out, lp.err} {
		if p == nil {
			continue
		}
		if f := p.svc.sinks.Load().file; f != nil {
			f.flush(time.Until(end))
			f.rest()
		}
		return
	}
}

// drain reads a pipe to its end, at most pipeMax bytes. Where there is a file its worker does that, so that no queue runs over; it is waited for until end.
func (p *logPipe) drain(end time.Time) {
	p.mu.Lock()
	if p.fd < 0 {
		p.mu.Unlock()
		return
	}
	p.drained = make(chan struct{})
	p.left = pipeMax
	f := p.svc.sinks.Load().file
	if !p.lent && f == nil {
		p.hub.drains.Lock()
		if p.hub.drainSC == nil {
			p.hub.drainSC = newScratch()
		}
		for p.readBatch(p.hub.drainSC) {
		}
		p.hub.drains.Unlock()
		p.mu.Unlock()
		return
	}
	if !p.lent {
		p.lend(f)
	}
	done := p.drained
	p.mu.Unlock()
	wait := time.NewTimer(time.Until(end))
	defer wait.Stop()
	select {
	case <-done:
	case <-wait.C:
	}
}

// ---- lines of files and the console ----

func isLineFormat(format logFormat) bool { return format == formatTime || format == formatJSON }

// formatLines turns complete lines into those of a file or, with the name in front, of the console.
// A console line in the json format stays pure JSON: it has the name inside.
func formatLines(format logFormat, name string, console bool, stream uint8, seq uint64, ms int64, data []byte) []byte {
	out := make([]byte, 0, len(data)+64)
	prefix := ""
	if console {
		prefix = name + " | "
	}
	if format == formatTime {
		prefix += time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00") + " " + string(streams[stream]) + " "
	}
	for ; len(data) > 0; seq++ {
		end := bytes.IndexByte(data, '\n')
		line := data[:end]
		data = data[end+1:]
		if format == formatJSON {
			out = append(appendJSON(out, &logLine{seq, ms, name, streams[stream], validText(line)}), '\n')
			continue
		}
		out = append(append(append(out, prefix...), line...), '\n')
	}
	return out
}

// ---- the console and the server's own log ----

// lineWriter writes whole lines to a descriptor that may be slow, stuck or gone. Who adds a line never waits: when consoleMax bytes wait
// the oldest lines are dropped, and their number is written instead.
type lineWriter struct {
	fd int

	mu      sync.Mutex
	pending []byte
	lost    int
	idle    chan struct{} // closed when the writer ends; nil: none runs
	reopen  time.Time     // not before
}

func newLineWriter(fd int) *lineWriter { return &lineWriter{fd: fd} }

// add queues complete lines.
func (w *lineWriter) add(lines []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if extra := len(w.pending) + len(lines) - consoleMax; extra > 0 {
		// At least a quarter goes, so that not every line moves the rest.
		w.pending = append(w.pending, lines...)
		cut := min(max(extra, consoleMax/4), len(w.pending)-1)
		cut += bytes.IndexByte(w.pending[cut:], '\n') + 1
		w.lost += bytes.Count(w.pending[:cut], newline)
		w.pending = w.pending[:copy(w.pending, w.pending[cut:])]
	} else {
		w.pending = append(w.pending, lines...)
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
			batch = append(fmt.Appendf(nil, "zinit: warn: %d lines lost here: they were not read in time\n", lost), batch...)
		}
		rest := w.writeChunks(batch)
		if gone = len(rest) > 0; gone {
			missing := bytes.Count(rest, newline)
			if lost > 0 && len(rest) == len(batch) {
				missing += lost - 1 // the message itself is no loss
			}
			w.mu.Lock()
			w.lost += missing
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
	if idle == nil {
		return
	}
	wait := time.NewTimer(limit)
	defer wait.Stop()
	select {
	case <-idle:
	case <-wait.C:
	}
}

// logLevel is the weight of a message in the server's own log; zero is info.
type logLevel int32

const (
	logDebug logLevel = iota - 1
	logInfo
	logWarn
	logError
)

var levelNames = [...]string{"debug", "info", "warn", "error"}

var (
	serverLog      = newLineWriter(2)
	serverLogLevel atomic.Int32 // a logLevel
)

func (l logLevel) String() string { return levelNames[l-logDebug] }

func parseLogLevel(name string) (logLevel, error) {
	i := slices.Index(levelNames[:], name)
	if i < 0 {
		return logInfo, fmt.Errorf("unknown log level %q; use %s or %s", name, strings.Join(levelNames[:len(levelNames)-1], ", "), levelNames[len(levelNames)-1])
	}
	return logLevel(i) + logDebug, nil
}

// setLogLevel chooses the least level that is written, by its name.
func setLogLevel(name string) error {
	level, err := parseLogLevel(name)
	if err == nil {
		serverLogLevel.Store(int32(level))
	}
	return err
}

// logf writes a line to the server's own log on descriptor 2, like "zinit: warn: text". It never waits.
func logf(level logLevel, format string, args ...any) {
	if int32(level) < serverLogLevel.Load() {
		return
	}
	serverLog.add(fmt.Appendf(nil, "zinit: %s: %s\n", level, visible(fmt.Sprintf(format, args...))))
}

// flushLogs waits until the server's own log and the console copies are written, at most limit; for the end of the server.
func (h *logHub) flushLogs(limit time.Duration) {
	end := time.Now().Add(limit)
	h.console.flush(limit)
	serverLog.flush(time.Until(end))
}

// --- log files: rotation, disks that are full or do not answer, bytes that must arrive exactly once; it never makes a service wait.
//
// A file is written by a worker that lives only while it has work. Formatted lines reach it through a bounded queue.
// In the raw format on Linux the pipe itself is lent to the worker: tee(2) shows it the bytes for the ring, splice(2) moves exactly those into the file.
// A byte is therefore either in the pipe or in the file, whenever we are killed.
// A file that cannot be written (full, read-only, gone) loses lines, which are counted; the ring and the service go on. The same when
// the disk does not answer for stallLimit: a second worker then takes the pipes over and only feeds the ring until the first comes back.

const (
	queueMax   = 1 << 20          // bytes that wait for one file, not counting the newest batch
	stallLimit = time.Second      // a disk that takes longer loses lines; less would be the hiccup of a busy one
	sayEvery   = 10 * time.Second // pace of messages about one trouble that comes and goes
)

// logFile is one file that lines go to. All services that name the same path share it.
// The fields below "the worker's" belong to the worker that is not superseded (gen); an operation on the disk runs without the lock.
type logFile struct {
	hub       *logHub
	path      string
	service   string      // who asked for it first, for messages
	unspliced atomic.Bool // splice(2) does not work here: bytes come through the queue

	mu         sync.Mutex
	refs       int
	resting    bool // close the file when there is nothing to write
	maxSize    int64
	keep       int
	raw        bool
	queue      []byte
	queued     uint64 // bytes ever queued …
	handled    uint64 // … and written or given up
	flushes    []logFlush
	ready      []*logPipe // lent to us, not empty
	pumping    *logPipe   // the one whose turn it is
	running    bool
	gen        int       // of the running worker
	since      time.Time // start of its operation on the disk; zero: none
	watch      *time.Timer
	stalled    bool // an earlier worker still waits for the disk
	lostLines  int
	lostBytes  int
	complained string    // the trouble that was reported
	retryAt    time.Time // no try before
	said       string    // the trouble whose end was reported last, and when
	saidAt     time.Time

	// the worker's
	file     *os.File
	size     int64
	midLine  bool // the last byte written is no newline
	lookAt   time.Time
	rotateAt time.Time // no rotation before
}

type logFlush struct {
	at   uint64
	done chan struct{}
}

var (
	errSuperseded = errors.New("another worker took over")
	errUnspliced  = errors.New("tee or splice does not work here")
)

func newLogFile(h *logHub, path, service string) *logFile {
	return &logFile{hub: h, path: path, service: service}
}

// lend gives a pipe to the worker, to move what is in it into the file.
func (f *logFile) lend(p *logPipe) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(f.ready, p) {
		f.ready = append(f.ready, p)
	}
	f.kick()
}

// full says that a pipe should not be read until the queue is written: true as long as the disk works, however slowly, but no longer than
// stallLimit when it does not answer.
func (f *logFile) full() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.queue) > queueMax/4 && !f.stalled
}

// enqueue copies bytes for the file. When queueMax bytes wait already they are lost and counted.
func (f *logFile) enqueue(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) > queueMax {
		f.lose(b)
		return
	}
	f.queue = append(f.queue, b...)
	f.queued += uint64(len(b))
	f.kick()
}

// lose counts bytes that will not be in the file. The caller holds the lock.
func (f *logFile) lose(b []byte) {
	switch {
	case f.stalled:
		f.complain("the disk does not answer")
	case f.complained == "":
		f.complain("it takes lines too slowly")
	}
	f.lostLines += bytes.Count(b, newline)
	f.lostBytes += len(b)
}

// kick starts a worker if there is none. The caller holds the lock.
func (f *logFile) kick() {
	if f.running {
		return
	}
	f.running = true
	f.start()
}

// start runs the worker of a new generation, and a look at it as long as it runs. The caller holds the lock.
func (f *logFile) start() {
	f.gen++
	gen := f.gen
	background("log file "+f.path, func() { f.work(gen) })
	if f.watch == nil {
		f.watch = later(stallLimit, "watch over log file "+f.path, f.look)
		return
	}
	f.watch.Reset(stallLimit)
}

// look is called every stallLimit while a worker runs. If one operation lasts that long, the next worker takes over: it leaves the disk alone.
func (f *logFile) look() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.running {
		return
	}
	if f.since.IsZero() || time.Since(f.since) < stallLimit || f.stalled {
		f.watch.Reset(stallLimit)
		return
	}
	f.stalled = true
	if f.pumping != nil {
		f.ready = append(f.ready, f.pumping)
	}
	f.start()
}

// complain reports a new trouble once. The caller holds the lock.
func (f *logFile) complain(trouble string) {
	if trouble != f.complained {
		f.complained = trouble
		logf(logWarn, "log file %s of %s: %s; its lines are kept in memory only as long as that is so", f.path, f.service, trouble)
	}
}

// recovered reports the end of a trouble and what it cost. The caller holds the lock.
func (f *logFile) recovered() {
	if f.complained == "" || f.stalled || time.Since(f.saidAt) < sayEvery && f.complained == f.said {
		return
	}
	f.said, f.saidAt = f.complained, time.Now()
	logf(logWarn, "log file %s of %s works again: %d lines lost (%d bytes)", f.path, f.service, f.lostLines, f.lostBytes)
	f.complained, f.lostLines, f.lostBytes, f.retryAt = "", 0, 0, time.Time{}
}

// work empties the queue and the lent pipes, in turns, and ends when nothing is left.
func (f *logFile) work(gen int) {
	sc := f.hub.takeScratch()
	defer f.hub.giveScratch(sc)
	for {
		f.mu.Lock()
		if f.gen != gen {
			f.mu.Unlock()
			return
		}
		usable := !f.stalled
		var queue []byte
		if usable {
			queue, f.queue = f.queue, nil
		}
		var p *logPipe
		if len(f.ready) > 0 {
			p = f.ready[0]
			f.ready = slices.Delete(f.ready, 0, 1)
		}
		f.pumping = p
		if len(queue) == 0 && p == nil {
			f.running = false
			f.watch.Stop()
			if (f.refs == 0 || f.resting) && usable && f.file != nil {
				f.file.Close()
				f.file, f.resting = nil, false
			}
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		if len(queue) > 0 && !f.writeQueue(gen, queue) {
			return // the worker that took over has the pipe too
		}
		if p != nil && f.pump(gen, p, sc) {
			f.lend(p)
		}
	}
}

// operation runs one thing on the disk under the eyes of look. It returns false when this worker was superseded meanwhile:
// the disk works again then, but the pipes are another's.
func (f *logFile) operation(gen int, do func()) bool {
	f.mu.Lock()
	f.since = time.Now()
	f.mu.Unlock()
	do()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gen == gen {
		f.since = time.Time{}
		return true
	}
	f.stalled = false
	f.since = time.Time{}
	f.recovered()
	f.kick() // for what waits in the queue, or to close the file
	return false
}

// mayTry says whether the disk should be tried now.
func (f *logFile) mayTry() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.stalled && (f.retryAt.IsZero() || !time.Now().Before(f.retryAt))
}

// settle notes how a write ended: lost is what did not get into the file.
func (f *logFile) settle(err error, lost []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && len(lost) == 0 {
		f.recovered()
		return
	}
	if err != nil && err != errSuperseded && err != errUnspliced {
		f.retryAt = time.Now().Add(retryEvery)
		f.complain(plainError(err))
	}
	if len(lost) > 0 {
		f.lose(lost)
	}
}

// plainError is the reason alone, without the call and the path that the message names anyway.
func plainError(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// writeQueue writes queued bytes. It returns false when the worker was superseded.
func (f *logFile) writeQueue(gen int, b []byte) bool {
	current := true
	done := 0
	if f.mayTry() {
		var err error
		current = f.operation(gen, func() {
			done, err = f.store(b, func(b []byte) (int, error) { return f.file.Write(b) }, func() bool { return true })
		})
		f.settle(err, b[done:])
	} else {
		f.settle(nil, b)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handled += uint64(len(b))
	f.flushes = slices.DeleteFunc(f.flushes, func(w logFlush) bool {
		if w.at > f.handled {
			return false
		}
		close(w.done)
		return true
	})
	return current
}

// flush waits until what is queued now was written, at most limit, and not at all for a disk that does not answer.
func (f *logFile) flush(limit time.Duration) {
	f.mu.Lock()
	if f.handled >= f.queued || f.stalled {
		f.mu.Unlock()
		return
	}
	w := logFlush{f.queued, make(chan struct{})}
	f.flushes = append(f.flushes, w)
	f.mu.Unlock()
	wait := time.NewTimer(limit)
	defer wait.Stop()
	select {
	case <-w.done:
	case <-wait.C:
	}
}

// rest has the file closed when all is written: its service has ended, and what runs no more holds no file system busy. The next line opens it again.
func (f *logFile) rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.resting = true
	f.kick()
}

// pump moves one batch of a lent pipe into the file, and into the ring. more: the pipe may not be empty, and is still ours.
// While the disk is not to be tried the bytes are only read. A pipe that was lent because the queue was full goes back.
func (f *logFile) pump(gen int, p *logPipe, sc *scratch) (more bool) {
	p.mu.Lock()
	if p.lender() != f || !f.mayTry() {
		defer p.mu.Unlock()
		return f.bypass(p, sc)
	}
	b, eof, err := sc.peek(p.fd)
	if err != nil { // tee(2) is refused, or no descriptors or memory are left for the inner pipe
		defer p.mu.Unlock()
		f.unspliced.Store(err == errUnspliced)
		f.settle(err, nil)
		return f.bypass(p, sc)
	}
	if last := bytes.LastIndexByte(b, '\n') + 1; last > 0 {
		b = b[:last] // the rest goes with its end, if that comes soon: files are cut at line ends
	}
	p.feed(sc, len(b))
	f.mu.Lock()
	p.fed = len(b)
	f.mu.Unlock()
	p.mu.Unlock()
	done := 0
	if len(b) > 0 {
		current := f.operation(gen, func() {
			done, err = f.store(b, func(b []byte) (int, error) { return logSplice(p.fd, f.file, len(b)) }, func() bool { return f.current(gen) })
		})
		if !current {
			f.mu.Lock()
			p.fed = max(0, p.fed-done)
			f.mu.Unlock()
			return false
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == errUnspliced {
		f.unspliced.Store(true)
	}
	for gone := done; gone < len(b); { // not in the file: out of the pipe
		n, _ := logRead(p.fd, sc.buf[maxLine:maxLine+len(b)-gone])
		if n == 0 {
			break
		}
		if err == errUnspliced {
			f.enqueue(sc.buf[maxLine : maxLine+n])
		} else {
			f.settle(err, sc.buf[maxLine:maxLine+n])
		}
		gone += n
	}
	if err == nil && len(b) > 0 {
		f.settle(nil, nil)
	}
	f.mu.Lock()
	p.fed = 0
	f.mu.Unlock()
	p.consider(len(b))
	return p.returned(p.spent(len(b), eof))
}

// bypass reads a batch of a lent pipe into the ring only, or gives the pipe back when the file is not its file any more.
func (f *logFile) bypass(p *logPipe, sc *scratch) (more bool) {
	if p.lender() != f {
		return p.returned(p.drained != nil && p.readBatch(sc))
	}
	n, eof := logRead(p.fd, sc.buf[maxLine:])
	if n > 0 {
		f.mu.Lock()
		known := min(p.fed, n) // the ring has these: the worker that hangs had seen them
		p.fed -= known
		f.lose(sc.buf[maxLine : maxLine+n])
		f.mu.Unlock()
		copy(sc.buf[maxLine:], sc.buf[maxLine+known:maxLine+n])
		p.feed(sc, n-known)
	}
	return p.returned(p.spent(n, eof))
}

// returned gives an empty pipe back to the loop. The caller holds the pipe's lock.
func (p *logPipe) returned(more bool) bool {
	if !more && p.fd >= 0 {
		p.lent = false
		if p.hub.poller.watch(p.fd) != nil {
			p.lent = true
			p.finish()
		}
	}
	return more
}

func (f *logFile) current(gen int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gen == gen
}

// store opens the file if need be and puts b into it by put, with rotation in between. It returns how much of b is in the file.
func (f *logFile) store(b []byte, put func([]byte) (int, error), current func() bool) (done int, err error) {
	if err = f.open(); err != nil {
		return 0, err
	}
	for done < len(b) {
		room := f.room(b[done:])
		if room == 0 {
			if err = f.rotate(); err != nil {
				return done, err
			}
			continue
		}
		var n int
		n, err = put(b[done : done+room])
		if n > 0 {
			f.size += int64(n)
			done += n
			f.midLine = b[done-1] != '\n'
		}
		if err == nil && !current() {
			err = errSuperseded
		}
		if err != nil {
			return f.mend(b, done), err
		}
	}
	return done, nil
}

// mend takes half a line back out of a file of whole lines after a failed write.
func (f *logFile) mend(b []byte, done int) int {
	if f.raw || !f.midLine {
		return done
	}
	whole := bytes.LastIndexByte(b[:done], '\n') + 1
	start := f.size - int64(done-whole)
	if f.file.Truncate(start) != nil {
		return done
	}
	if _, err := f.file.Seek(start, 0); err != nil {
		return done
	}
	f.size, f.midLine = start, false
	return whole
}

// room is how many bytes of b may go into the file as it is; 0: rotate first. Files end at a line's end and are never larger than maxSize,
// except that a raw line is cut when it alone is larger or was begun already, and a formatted one that alone is larger is not.
func (f *logFile) room(b []byte) int {
	f.mu.Lock()
	limit, raw := f.maxSize, f.raw
	f.mu.Unlock()
	fit := limit - f.size
	if limit <= 0 || int64(len(b)) <= fit || time.Now().Before(f.rotateAt) {
		return len(b)
	}
	fit = max(fit, 0)
	if n := bytes.LastIndexByte(b[:fit], '\n') + 1; n > 0 {
		return n
	}
	if f.size > 0 && !f.midLine {
		return 0
	}
	if raw || f.size > 0 {
		return int(fit)
	}
	if n := bytes.IndexByte(b, '\n') + 1; n > 0 {
		return n
	}
	return len(b)
}

// rotate moves file to file.1, file.1 to file.2 and so on, forgets what is older than file.keep, and begins a new file.
// When the directory does not allow that, the old file goes on and that is said once.
func (f *logFile) rotate() error {
	f.mu.Lock()
	keep := f.keep
	f.mu.Unlock()
	name := func(i int) string { return f.path + "." + strconv.Itoa(i) }
	var err error
	if keep > 0 {
		top := 1
		for top < keep && fileExists(name(top)) {
			top++
		}
		for ; top > 1 && err == nil; top-- {
			err = os.Rename(name(top-1), name(top))
		}
		if err == nil {
			err = os.Rename(f.path, name(1))
		}
	} else {
		err = os.Remove(f.path)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		f.rotateAt = time.Now().Add(retryEvery)
		logf(logWarn, "log file %s of %s cannot be rotated and grows beyond max_size_bytes: %v", f.path, f.service, err)
		return nil
	}
	f.file.Close()
	f.file = nil
	return f.open()
}

func fileExists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// open opens the file if it is not, or not the one at its path any more (looked at once a second while lines come).
// It must be an ordinary file with one name: through a link a service could have us write to any file, and a device or FIFO does what it likes.
func (f *logFile) open() error {
	now := time.Now()
	if f.file != nil && now.Before(f.lookAt) {
		return nil
	}
	f.lookAt = now.Add(retryEvery)
	if f.file != nil {
		have, err := f.file.Stat()
		at, err2 := os.Lstat(f.path)
		if err == nil && err2 == nil && os.SameFile(have, at) && have.Size() == f.size {
			return nil
		}
		f.file.Close()
		f.file = nil
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return err
	}
	if fi, err := os.Lstat(f.path); err == nil {
		if err = suitable(fi); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|logOpenFlags, 0o644)
	if err != nil {
		return err
	}
	fi, err := file.Stat()
	if err == nil {
		err = suitable(fi)
	}
	if err == nil {
		f.size, err = file.Seek(0, 2)
	}
	if err != nil {
		file.Close()
		return err
	}
	f.file, f.midLine = file, false
	return nil
}

// suitable says why a file must not be written to; nil: it may.
func suitable(fi os.FileInfo) error {
	switch mode := fi.Mode(); {
	case mode&os.ModeSymlink != 0:
		return errors.New("it is a symbolic link, which is not followed; name the file itself")
	case mode.IsDir():
		return errors.New("it is a directory; name a file in it")
	case !mode.IsRegular():
		return errors.New("it is a device, FIFO or socket; only an ordinary file can be a log file")
	case logLinks(fi) != 1:
		return errors.New("it has several names (hard links); remove the others or name another file")
	}
	return nil
}
