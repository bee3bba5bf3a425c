// logs_file.go gets lines and bytes into log files, also where disks are full or do not answer; how a file is opened and rotated is in logs_rotate.go.
//
// A file is written by a worker that lives only while it has work. Formatted lines reach it through a bounded queue.
// In the raw format on Linux the pipe itself is lent to the worker: tee(2) shows it the bytes for the ring, splice(2) moves exactly those into the file.
// A byte is therefore either in the pipe or in the file, whenever we are killed.
// A file that cannot be written (full, read-only, gone) loses lines, which are counted; the ring and the service go on. The same when
// the disk does not answer for stallLimit: a second worker then takes the pipes over and only feeds the ring until the first comes back.

//go:build !windows

package main

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	queueMax   = 1 << 20          // bytes that wait for one file, not counting the newest batch
	stallLimit = time.Second      // a disk that takes longer loses lines; a busy one may take less
	sayEvery   = 10 * time.Second // shortest time between messages about the same recurring error
	retryEvery = time.Second      // interval at which a failed file is tried again, and at which it is checked whether the file was moved
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
	lostEver   uint64 // lines
	lostBytes  int
	complained string    // the trouble that was reported
	retryAt    time.Time // no try before
	said       string    // the trouble whose end was reported last, and when
	saidAt     time.Time

	// the worker's
	file     *os.File
	size     int64
	midLine  bool // the last byte written is no newline
	appends  bool // O_APPEND is set
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
	f.lostEver += uint64(bytes.Count(b, newline))
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

// start runs the worker of a new generation, and checkStall as long as it runs. The caller holds the lock.
func (f *logFile) start() {
	f.gen++
	gen := f.gen
	background("log file "+f.path, func() { f.work(gen) })
	if f.watch == nil {
		f.watch = later(stallLimit, "watch over log file "+f.path, f.checkStall)
		return
	}
	f.watch.Reset(stallLimit)
}

// checkStall is called every stallLimit while a worker runs. If one operation lasts that long, the next worker takes over: it leaves the disk alone.
func (f *logFile) checkStall() {
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
		queue, p, more := f.next(gen)
		if !more || len(queue) > 0 && !f.writeQueue(gen, queue) { // the worker that took over has the pipe too
			return
		}
		if p != nil && f.pump(gen, p, sc) {
			f.lend(p)
		}
	}
}

// next is what the worker is to do now; more is false when it is to end: there is nothing, or another worker took over.
func (f *logFile) next(gen int) (queue []byte, p *logPipe, more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gen != gen {
		return nil, nil, false
	}
	if !f.stalled {
		queue, f.queue = f.queue, nil
	}
	f.pumping = nil
	if len(f.ready) > 0 {
		f.pumping = f.ready[0]
		f.ready = slices.Delete(f.ready, 0, 1)
	}
	if len(queue) > 0 || f.pumping != nil {
		return queue, f.pumping, true
	}
	f.running = false
	f.watch.Stop()
	if (f.refs == 0 || f.resting) && !f.stalled && f.file != nil {
		f.file.Close()
		f.file, f.resting = nil, false
	}
	return nil, nil, false
}

// operation runs one thing on the disk, with the time for checkStall. It returns false when this worker was superseded meanwhile:
// the disk works again then, but the pipes are another's.
func (f *logFile) operation(gen int, do func()) bool {
	f.mu.Lock()
	f.since = time.Now()
	f.mu.Unlock()
	do()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.since = time.Time{}
	if f.gen == gen {
		return true
	}
	f.stalled = false
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

// finished notes how a write ended: lost is what did not get into the file.
func (f *logFile) finished(err error, lost []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && len(lost) == 0 {
		f.recovered()
		return
	}
	if err != nil && err != errSuperseded && err != errUnspliced {
		f.retryAt = time.Now().Add(retryEvery)
		f.complain(reasonOf(err).Error())
	}
	if len(lost) > 0 {
		f.lose(lost)
	}
}

// writeQueue writes queued bytes. It returns false when the worker was superseded.
func (f *logFile) writeQueue(gen int, b []byte) (current bool) {
	current = true
	done, err := 0, error(nil)
	if f.mayTry() {
		current = f.operation(gen, func() {
			done, err = f.store(b, f.write)
		})
	}
	f.finished(err, b[done:])
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
	waitFor(w.done, limit)
}

// closeWhenIdle has the file closed when all is written: its service has ended, and must not keep a file system busy. The next line opens it again.
func (f *logFile) closeWhenIdle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.resting = true
	f.kick()
}

// pump moves one batch of a lent pipe into the file, and into the ring. more: the pipe may not be empty, and is still ours.
// While the disk is not to be tried the bytes are only read. A pipe that was lent because the queue was full goes back.
func (f *logFile) pump(gen int, p *logPipe, sc *scratch) (more bool) {
	p.mu.Lock()
	if p.spliceFile() != f || !f.mayTry() {
		defer p.mu.Unlock()
		return f.bypass(p, sc)
	}
	b, eof, err := sc.peek(p.fd)
	if err != nil { // tee(2) is refused, or no descriptors or memory are left for the inner pipe
		defer p.mu.Unlock()
		f.unspliced.Store(err == errUnspliced)
		f.finished(err, nil)
		return f.bypass(p, sc)
	}
	if last := bytes.LastIndexByte(b, '\n') + 1; last > 0 {
		b = b[:last] // the rest goes with its end, if that comes soon: files are cut at line ends
	}
	if len(b) == 0 { // decided under the lock, so that a drain that begins now does not take this for the end of what was printed
		defer p.mu.Unlock()
		return p.giveBack(p.hasRead(0, eof))
	}
	p.feed(sc, len(b))
	f.setFed(p, len(b))
	p.mu.Unlock()
	done := 0
	current := f.operation(gen, func() { done, err = f.store(b, func(b []byte) (int, error) { return f.splice(gen, p, b) }) })
	if !current {
		f.mu.Lock()
		defer f.mu.Unlock()
		p.fed = max(0, p.fed-done)
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f.discard(p, sc, len(b)-done, err)
	if err == nil {
		f.finished(nil, nil)
	}
	f.setFed(p, 0)
	p.enlarge(len(b))
	return p.giveBack(p.hasRead(len(b), eof))
}

func (f *logFile) setFed(p *logPipe, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.fed = n
}

// splice moves bytes from the pipe into the file, and ends with an error once another worker took over.
func (f *logFile) splice(gen int, p *logPipe, b []byte) (int, error) {
	if err := f.append(false); err != nil {
		return 0, err
	}
	n, err := logSplice(p.fd, f.file, len(b))
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && f.gen != gen {
		err = errSuperseded
	}
	return n, err
}

// discard takes n bytes out of the pipe that did not get into the file because of err: they are lost, or go through the queue where it is splice(2) that does not work.
func (f *logFile) discard(p *logPipe, sc *scratch, n int, err error) {
	if err == errUnspliced {
		f.unspliced.Store(true)
	}
	for n > 0 {
		got, _ := logRead(p.fd, sc.buf[maxLine:maxLine+n])
		if got == 0 {
			return
		}
		if b := sc.buf[maxLine : maxLine+got]; err == errUnspliced {
			f.enqueue(b)
		} else {
			f.finished(err, b)
		}
		n -= got
	}
}

// bypass reads a batch of a lent pipe into the ring only, or gives the pipe back when the file is not its file any more.
func (f *logFile) bypass(p *logPipe, sc *scratch) (more bool) {
	if p.spliceFile() != f {
		return p.giveBack(p.drained != nil && p.readBatch(sc))
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
	return p.giveBack(p.hasRead(n, eof))
}

// giveBack returns an empty pipe to the loop. The caller holds the pipe's lock.
func (p *logPipe) giveBack(more bool) bool {
	if !more && p.fd >= 0 {
		p.lent = false
		if p.hub.poller.watch(p.fd) != nil {
			p.lent = true
			p.finish()
		}
	}
	return more
}
