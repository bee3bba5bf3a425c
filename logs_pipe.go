// logs_pipe.go makes and reads the pipes of services; what is read goes to the hub, and no read waits.

//go:build !windows

package main

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"sync"
	"time"
)

const (
	batchMax   = 128 << 10       // bytes read from one pipe in one turn
	pipeMax    = 1 << 20         // the most that a pipe holds (/proc/sys/fs/pipe-max-size)
	drainLimit = 2 * time.Second // the longest wait for a file at the end of a service
)

// scratch is what one reader works with: a buffer with room for an unfinished line in front, and on Linux a pipe for tee(2).
type scratch struct {
	buf   []byte // maxLine + batchMax bytes
	inner logInner
}

func newScratch() *scratch { return &scratch{buf: make([]byte, maxLine+batchMax)} }

// takeScratch and giveScratch keep up to two of them for the workers of files and for drains.
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

// logPipe is the read end of one stream of one run. It is read by the loop (or drain) under mu, unless it is lent to the worker of a file.
type logPipe struct {
	hub    *logHub
	svc    *logService
	mu     sync.Mutex
	fd     int // -1: closed
	stream uint8
	lent   bool  // to the worker of a file
	grown  bool  // its capacity was raised
	full   uint8 // big batches in a row

	partial []byte        // an unfinished line, at most maxLine
	whole   []byte        // all of that line, where the console is plain; nil: nothing of one
	drained chan struct{} // not nil: the service is gone; closed when the pipe is
	left    int           // bytes that may still be read while drained is not nil
	await   *logAwait     // not nil: the service is ready at a line that is looked for
	fed     int           // bytes at the pipe's head that the ring has already; under the file's lock
}

// logPipes are the pipes for the stdout and stderr of one start. The write ends, for the child, are blocking and close-on-exec.
type logPipes struct {
	Out, Err int         // -1: closed
	read     [2]*logPipe // by stream; nil: none
	gen      uint64      // of the start that they are for
}

// pipes makes the stdout and stderr of one run of a service. The pipes belong to uid and gid (-1: leave), so that a service of another user
// may open /dev/stdout again. The caller closes the write ends when the child has them; after the end (or a failed start) it drains.
func (h *logHub) pipes(name string, gen uint64, uid, gid int) (*logPipes, error) {
	lp := &logPipes{Out: -1, Err: -1, gen: gen}
	for i, write := range []*int{&lp.Out, &lp.Err} {
		r, w, err := h.newPipe(fifoName(name, gen, streams[i]), uid, gid)
		if err == nil {
			*write = w
			lp.read[i], err = h.register(name, uint8(i), r, nil, nil)
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

// removeFifos removes the names of the pipes of one run, if they have any: in the background, since many services may end at once.
func (h *logHub) removeFifos(name string, gen uint64) {
	if h.fifos == "" {
		return
	}
	for _, stream := range streams[:2] {
		select {
		case h.spent <- fifoName(name, gen, stream):
		default:
			sysRemoveAt(h.fifoAt, fifoName(name, gen, stream))
		}
	}
}

// keepFifos makes all further pipes as FIFOs in a directory, which stays open for openat(2) and unlinkat(2).
func (h *logHub) keepFifos(dir string) (err error) {
	if h.fifoAt, err = sysOpenDir(dir); err != nil {
		return err
	}
	h.fifos = dir
	h.spent = make(chan string, 4096)
	background("spent pipes", func() {
		for name := range h.spent {
			sysRemoveAt(h.fifoAt, name)
		}
	})
	return nil
}

// fifoName names the FIFO of a stream of one run.
func fifoName(name string, gen uint64, stream logStream) string {
	return name + "." + strconv.FormatUint(gen, 10) + "." + string(stream)
}

// readFDs are our ends of both streams, for the keeper.
func (lp *logPipes) readFDs() (fds []int) {
	for _, p := range lp.read {
		p.mu.Lock()
		fds = append(fds, p.fd)
		p.mu.Unlock()
	}
	return fds
}

// freeze keeps the loop, drains and the reader of syslog off what they read, until thaw; what is being read is finished.
func (h *logHub) freeze() { h.reading.Lock() }

func (h *logHub) thaw() { h.reading.Unlock() }

// closeWriteEnds closes our copies of the child's ends; without that no end of file would ever come.
func (lp *logPipes) closeWriteEnds() {
	for _, fd := range []*int{&lp.Out, &lp.Err} {
		if *fd >= 0 {
			_ = sysClose(*fd)
			*fd = -1
		}
	}
}

// register takes over fd, a non-blocking read end that has or had a writer, as a stream of a service, and has it read; on an error it closes it.
func (h *logHub) register(name string, stream uint8, fd int, partial []byte, await *logAwait) (*logPipe, error) {
	p := &logPipe{hub: h, svc: h.service(name), fd: fd, stream: stream, partial: partial, await: await}
	if p.svc.sinks.Load().plain() && len(partial) > 0 {
		p.whole = slices.Clone(partial) // what an earlier server had of a longer one is lost
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.poller == nil {
		poller, err := newLogPoller()
		if err != nil {
			_ = sysClose(fd)
			return nil, err
		}
		h.poller = poller
		background("log reader", func() { poller.run(h.ready) })
	}
	h.open[fd] = p
	if err := h.poller.watch(fd); err != nil {
		delete(h.open, fd)
		_ = sysClose(fd)
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
func (h *logHub) readEnds(name string) (ends []logEnd) {
	h.mu.Lock()
	var pipes []*logPipe
	for _, p := range h.open {
		if p.svc.name == name {
			pipes = append(pipes, p)
		}
	}
	h.mu.Unlock()
	sort.Slice(pipes, func(i, j int) bool { return pipes[i].stream < pipes[j].stream })
	for _, p := range pipes {
		p.mu.Lock()
		if p.fd >= 0 {
			ends = append(ends, logEnd{streams[p.stream], p.fd, slices.Clone(p.partial)})
		}
		p.mu.Unlock()
	}
	return ends
}

// readEndsOfAll returns the open read ends of all services. They stay ours.
func (h *logHub) readEndsOfAll() (fds []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for fd := range h.open {
		fds = append(fds, fd)
	}
	return fds
}

// adopt goes on with read ends that an earlier server had: as pipes does with new ones, and await with await where that is not nil. What it cannot go on with is closed.
func (h *logHub) adopt(name string, gen uint64, ends []logEnd, await *logAwait) (*logPipes, error) {
	lp := &logPipes{Out: -1, Err: -1, gen: gen}
	var failed error
	for _, end := range ends {
		if failed == nil {
			failed = logSetNonblock(end.FD)
		}
		if failed != nil {
			_ = sysClose(end.FD)
			continue
		}
		stream := streamNumber(end.Stream)
		lp.read[stream], failed = h.register(name, stream, end.FD, end.Partial, await)
	}
	return lp, failed
}

// ready reads one batch from a descriptor that the poller found readable. more: it may not be empty yet.
func (h *logHub) ready(fd int, sc *scratch) (more bool) {
	h.reading.RLock()
	defer h.reading.RUnlock()
	h.mu.Lock()
	p := h.open[fd]
	h.mu.Unlock()
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fd != fd || p.lent {
		return false
	}
	f := p.spliceFile()
	if f == nil {
		if f = p.svc.sinks.Load().file; f == nil || !f.full() {
			return p.readBatch(sc)
		}
	}
	p.lend(f) // because of its queue only until that is written
	return false
}

// lend takes the pipe from the loop and gives it to the worker of f. The caller holds the pipe's lock.
func (p *logPipe) lend(f *logFile) {
	p.hub.poller.ignore(p.fd)
	p.lent = true
	f.lend(p)
}

// spliceFile is the file whose worker is to read the pipe itself; nil: none.
func (p *logPipe) spliceFile() *logFile {
	sinks := p.svc.sinks.Load()
	if !logSplices || !sinks.rawFile() || sinks.file.unspliced.Load() {
		return nil
	}
	return sinks.file
}

// readBatch reads once and passes on what came. The caller owns the pipe. At the end of file it closes it.
func (p *logPipe) readBatch(sc *scratch) (more bool) {
	if p.await != nil {
		if b, _, err := sc.peek(p.fd); err == nil {
			p.look(p.joined(sc, len(b)))
		}
	}
	n, eof := logRead(p.fd, sc.buf[maxLine:])
	if n > 0 {
		if sinks := p.svc.sinks.Load(); sinks.rawFile() {
			sinks.file.enqueue(sc.buf[maxLine : maxLine+n])
		}
		p.feed(sc, n)
		p.enlarge(n)
	}
	return p.hasRead(n, eof)
}

// hasRead accounts for n bytes read of the pipe and closes it when it has ended: at the end of file, or empty after its service is gone.
func (p *logPipe) hasRead(n int, eof bool) (more bool) {
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

// enlarge raises the capacity of the pipe of a service that prints much, so that fewer reads are needed.
// Only a few may have that, as it is memory of the kernel. n is the size of the newest batch.
func (p *logPipe) enlarge(n int) {
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
		logGrow(p.fd, pipeMax)
	}
}

// feed passes on the n bytes at sc.buf[maxLine:]: complete lines to the ring and the sinks, the rest becomes the unfinished line.
func (p *logPipe) feed(sc *scratch, n int) {
	data := p.joined(sc, n)
	p.look(data)
	complete := bytes.LastIndexByte(data, '\n') + 1
	if p.svc.sinks.Load().plain() || p.whole != nil {
		p.feedPlain(sc.buf[maxLine : maxLine+n])
	}
	p.hub.emitLines(p.svc, p.stream, splitLong(data[:complete], maxLine))
	pieces, rest := cutLong(nil, data[complete:], maxLine)
	p.hub.emitLines(p.svc, p.stream, pieces)
	if len(rest) == 0 && cap(p.partial) > 512 {
		p.partial = nil
		return
	}
	p.partial = append(p.partial[:0], rest...)
}

// feedPlain passes on bytes to a plain console: complete lines of up to maxPlain bytes, longer ones in pieces.
func (p *logPipe) feedPlain(data []byte) {
	if p.whole != nil {
		p.whole = append(p.whole, data...)
		data = p.whole
	}
	complete := bytes.LastIndexByte(data, '\n') + 1
	pieces, rest := cutLong(nil, data[complete:], maxPlain)
	console := p.hub.consoleOf(p.stream)
	console.add(splitLong(data[:complete], maxPlain))
	console.add(pieces)
	if len(rest) == 0 || !p.svc.sinks.Load().plain() {
		p.whole = nil
		return
	}
	p.whole = append(p.whole[:0], rest...)
}

// finish ends a pipe: the unfinished line counts, the descriptor is closed. The caller owns the pipe.
func (p *logPipe) finish() {
	if len(p.whole) > 0 {
		p.hub.consoleOf(p.stream).add(append(p.whole, '\n'))
		p.whole = nil
	}
	if len(p.partial) > 0 {
		p.hub.emitLines(p.svc, p.stream, append(p.partial, '\n'))
	}
	p.partial = nil
	h := p.hub
	h.mu.Lock()
	if !p.lent { // the keeper may have it too, so that closing it here does not end the watch
		h.poller.ignore(p.fd)
	}
	delete(h.open, p.fd)
	if p.grown {
		h.grown--
	}
	h.mu.Unlock()
	_ = sysClose(p.fd)
	p.fd = -1
	if p.drained != nil {
		close(p.drained)
	}
}

// drain is called when the service is gone: it reads what is there, ends unfinished lines and closes the read ends, so that all that was printed is in
// the ring, and in the file unless the disk does not answer within drainLimit. It never waits for a process that still holds the pipe.
func (lp *logPipes) drain() {
	end := time.Now().Add(drainLimit)
	var svc *logService
	for _, p := range lp.read {
		if p != nil {
			p.drain(end)
			svc = p.svc
		}
	}
	if svc == nil {
		return
	}
	if f := svc.sinks.Load().file; f != nil {
		f.flush(time.Until(end))
		f.closeWhenIdle()
	}
}

// drain reads a pipe to its end, at most pipeMax bytes. Where there is a file its worker does that, so that no queue runs over; it is waited for until end.
func (p *logPipe) drain(end time.Time) {
	p.hub.reading.RLock()
	done := p.beginDrain()
	p.hub.reading.RUnlock()
	if done != nil {
		waitFor(done, time.Until(end))
	}
}

func (p *logPipe) beginDrain() (done chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fd < 0 {
		return nil
	}
	done = make(chan struct{})
	p.drained, p.left = done, pipeMax
	switch f := p.svc.sinks.Load().file; {
	case p.lent:
	case f != nil:
		p.lend(f)
	default:
		p.hub.drains.Lock()
		defer p.hub.drains.Unlock()
		sc := p.hub.takeScratch()
		defer p.hub.giveScratch(sc)
		for p.readBatch(sc) {
		}
	}
	return done
}
