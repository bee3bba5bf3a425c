// init_server.go is the keeper's watch over its server: when it asks for a sign of life, how long it waits for one, and what follows when none comes.

//go:build linux

package main

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// The keeper asks only when there is something to ask for, so that it never wakes up when nothing happens: it has given the server a task
// (a signal, a shutdown), exits are not acknowledged, clients are not accepted, or a watchdog wants to be fed. "Live" is the first answer of every server.
const (
	answerStep = 2 * time.Second
	stillSteps = 5               // silent, and it computes nothing, for 10 s: it is stopped, or waits for something that never comes
	allSteps   = 15              // silent for 30 s, however busy
	ackTime    = 5 * time.Second // for exits, until the server is asked
	stillTime  = time.Millisecond
)

// answerWait is the wait for a sign of life, in steps. A step that ends late does not count: then this process had no processor itself, or all
// of us were frozen. A server on a busy machine is slow, but it computes; one that computes without an answer gets more time.
type answerWait struct {
	next  time.Time     // the end of the present step; zero: no answer is missing
	cpu   time.Duration // what the server had computed when it began
	still int           // steps in a row in which it computed next to nothing …
	steps int           // … and all that counted
}

func (w *answerWait) begin(cpu time.Duration, now time.Time) {
	*w = answerWait{next: now.Add(answerStep), cpu: cpu}
}

// step ends a step; cpu is what the server has computed until now, below 0 if nobody knows. It says whether the server is to be taken for hung.
func (w *answerWait) step(cpu time.Duration, now time.Time) bool {
	if now.Sub(w.next) < answerStep/2 {
		w.steps++
		w.still++
		if cpu < 0 || cpu-w.cpu >= stillTime {
			w.still = 0
		}
	}
	w.next, w.cpu = now.Add(answerStep), cpu
	return w.still >= stillSteps || w.steps >= allSteps
}

// ask has the server give a sign of life.
func (k *keeper) ask() {
	s := &k.server
	if s.link == nil {
		return
	}
	s.link.send(packet{op: opAsk})
	if s.answer.next.IsZero() {
		s.answer.begin(sysComputed(s.pid), time.Now())
	}
}

// expectAcks has the server asked when it does not acknowledge exits in time.
func (k *keeper) expectAcks() {
	s := &k.server
	if s.live && len(k.exits) > 0 && s.askAt.IsZero() {
		s.askAt = time.Now().Add(ackTime)
	}
}

// lookForLife asks when that is due, and kills a server that does not answer: serverEnded starts the next one.
func (k *keeper) lookForLife(now time.Time) {
	s := &k.server
	if s.pid == 0 {
		return
	}
	if over(s.askAt, now) {
		s.askAt = time.Time{}
		if len(k.exits) > 0 {
			k.ask()
		}
	}
	if !over(s.answer.next, now) || !s.answer.step(sysComputed(s.pid), now) {
		return
	}
	s.answer, s.hung = answerWait{}, true
	logf(logError, "the server (pid %d) gives no sign of life; it is killed and replaced, services run on", s.pid)
	_ = sysKill(s.pid, sigKill)
}

// holdSocket makes clients see the pid of the keeper while no server runs: from the pid of the dead one they would conclude that no server uses the socket.
func (k *keeper) holdSocket() {
	for key, fds := range k.store {
		if strings.HasPrefix(key, socketKey) && len(fds) == 1 {
			_ = sysListenAgain(fds[0])
		}
	}
}

// letGo closes all that was kept for servers: a socket whose file is gone keeps its file system from becoming read-only.
func (k *keeper) letGo() {
	for key, fds := range k.store {
		closeAll(fds)
		delete(k.store, key)
		k.watchSocket(key)
	}
}

// watchSocket looks whether clients wait for long, when what is kept under key has changed. It costs nothing while nobody comes.
func (k *keeper) watchSocket(key string) {
	if !strings.HasPrefix(key, socketKey) {
		return
	}
	if k.queue != nil {
		k.queue.Close()
		k.queue = nil
	}
	if fds := k.store[key]; len(fds) == 1 {
		if fd, err := sysDup(fds[0]); err == nil {
			k.queue = os.NewFile(uintptr(fd), "control socket")
			k.watchQueue(k.queue)
		}
	}
}

// watchQueue reports, until it is closed, clients that were not accepted within a moment.
func (k *keeper) watchQueue(queue *os.File) {
	raw, err := queue.SyscallConn()
	if err != nil || queue.SetReadDeadline(time.Time{}) != nil {
		return // the poller does not take it
	}
	background("control socket", func() {
		for raw.Read(func(fd uintptr) bool { return sysReadable(int(fd)) }) == nil {
			time.Sleep(answerStep)
			still := false
			_ = raw.Control(func(fd uintptr) { still = sysReadable(int(fd)) })
			if still {
				select {
				case k.waiting <- struct{}{}:
				default:
				}
			}
		}
	})
}

// serverChild is the present server.
type serverChild struct {
	pid     int
	link    *link
	read    chan struct{} // closed when its link is not read any more
	live    bool
	liveAt  time.Time
	planned bool       // it was told to hand over
	hung    bool       // it was killed because it did not answer
	starved int        // how often the kernel had killed for want of memory when it was started
	killAt  time.Time  // when a handover takes too long
	answer  answerWait // for the sign of life that is missing
	askAt   time.Time  // when to ask for one, because of exits that it has not acknowledged
}

// startServer runs the next server and gives it everything that it must know.
func (k *keeper) startServer() {
	path := cmp.Or(k.newPath, k.program())
	ours, theirs, err := sysSocketPair()
	var l *link
	if err == nil {
		if l, err = newLink(ours); err != nil {
			_ = sysClose(theirs)
		}
	}
	if err != nil {
		logf(logError, "cannot make the link to the server: %v", err)
		k.serverFailed()
		return
	}
	argv := append([]string{"zinit", "server", "--keeper"}, k.opts.server...)
	if k.opts.logLevel != "" {
		argv = append(argv, "--log-level", k.opts.logLevel)
	}
	if k.opts.logFormat != "" {
		argv = append(argv, "--log-format", k.opts.logFormat)
	}
	if k.opts.limitSet {
		argv = append(argv, "--shutdown-timeout-ms", strconv.FormatInt(k.opts.limit.Milliseconds(), 10))
	}
	if k.opts.container {
		argv = append(argv, "--container")
	}
	if k.quick >= 3 {
		argv = append(argv, "--discard-state")
		k.quick = 0
	}
	if len(k.opts.cmd) > 0 {
		argv = append(argv, "--with-cmd", strconv.FormatInt(k.opts.cmdWait.Milliseconds(), 10))
	}
	pid, err := sysForkServer(path, argv, []int{0, 1, 2, theirs, k.memo})
	_ = sysClose(theirs)
	if err != nil {
		l.close()
		logf(logError, "cannot run the server %s: %v", path, err)
		k.serverFailed()
		return
	}
	k.server = serverChild{pid: pid, link: l, starved: sysOutOfMemory()}
	k.listen()
	k.welcome()
	k.server.answer.begin(sysComputed(pid), time.Now()) // "live" is its first answer
}

// listen brings the records of the server to the keeper's loop.
func (k *keeper) listen() {
	l, read := k.server.link, make(chan struct{})
	k.server.read = read
	background("link of the server", func() {
		defer close(read)
		for {
			p, err := l.recv()
			if err != nil {
				return
			}
			k.packets <- from{l, p}
		}
	})
}

// welcome hands the new server what outlived the last one: descriptors, exits, CMD, a shutdown under way.
func (k *keeper) welcome() {
	l := k.server.link
	for _, key := range sortedKeys(k.store) {
		l.send(packet{op: opStore, text: key, fds: k.store[key]})
		if pid := k.procs[key]; pid != 0 {
			l.send(packet{op: opStarted, a: int64(pid), text: key})
		}
	}
	k.told = 0
	k.sendExits()
	if len(k.opts.cmd) > 0 {
		l.send(k.commandState())
	}
	if c := k.closing; c != nil {
		l.send(packet{op: opClosing, a: int64(c.code), b: time.Until(c.at).Milliseconds(), text: string(c.kind)})
	}
	if k.later != nil {
		l.send(packet{op: opDo, text: k.planned()})
	}
	l.send(packet{op: opLive})
}

// serverEnded decides what the end of the server means.
func (k *keeper) serverEnded(status uint32) {
	how := decodeStatus(status)
	k.server.pid = 0
	if k.server.link != nil {
		k.lastWords()
	}
	s := k.server
	k.server = serverChild{}
	k.holdSocket()
	if k.closing != nil && k.closing.taken {
		return
	}
	outside := how.Signal == sigKill && !s.hung // somebody's wish: it says nothing about the state …
	if outside && sysOutOfMemory() > s.starved {
		outside = false // … unless it was the kernel's
		logf(logError, "the memory was used up when the server was killed")
	}
	if s.live && !s.planned && !outside {
		if time.Since(s.liveAt) < quickDeath {
			k.quick++
		} else {
			k.quick = 0
		}
	}
	switch {
	case s.planned:
		k.downAt = time.Now()
		k.startServer()
	case s.live:
		logf(logWarn, "the server ended (%s); starting it again, services run on", how)
		k.downAt = time.Now()
		k.startAt = time.Now().Add(min(time.Duration(k.quick)*100*time.Millisecond, 2*time.Second))
	case outside && time.Since(k.downAt) < maxDown: // that is no failure to come up
		logf(logWarn, "the server was killed before it was up; starting it again")
		k.startAt = time.Now().Add(10 * time.Millisecond)
	default:
		logf(logError, "the server did not come up (%s)", how)
		k.serverFailed()
	}
}

// serverFailed plans the next try with a growing delay, or gives up after maxTries tries or maxDown without a server. A new binary that fails is replaced by the old one.
func (k *keeper) serverFailed() {
	if k.newPath != "" {
		logf(logError, "the new binary %s does not come up; the old one takes over again", k.newPath)
		k.newPath, k.newBy, k.tries = "", time.Time{}, 0
		k.startAt = time.Now()
		return
	}
	k.tries++
	if k.tries >= maxTries || time.Since(k.downAt) > maxDown {
		k.giveUp(fmt.Sprintf("%d tries", k.tries))
		return
	}
	k.startAt = time.Now().Add(time.Duration(k.tries*k.tries) * 50 * time.Millisecond)
}

// giveUp is the end of trying to have a server. A container ends with code 70; a machine offers the emergency and then tries again.
func (k *keeper) giveUp(why string) {
	if k.opts.container || !k.one {
		k.leftBehind = true
		logf(logError, "no server can be started (%s); ending everything", why)
		k.closing = &keeperClosing{kind: powerExit, code: exitLost, at: time.Now()}
		k.takeOver(5 * time.Second)
		return
	}
	k.openEmergency("no server can be started: " + why)
	k.tries, k.downAt = 0, time.Now()
}

// openEmergency gives the console to a person, on a goroutine: the keeper goes on reaping. Afterwards a server is tried again.
func (k *keeper) openEmergency(why string) {
	if k.emergency {
		return
	}
	k.emergency = true
	k.flush()
	background("emergency", func() {
		wish := k.offer(why)
		k.packets <- from{p: packet{op: opDo, text: wish}}
	})
}

// emergencyEnded does what the user at the console wishes: a power-off of some kind, or "" for another server.
func (k *keeper) emergencyEnded(wish string) {
	k.emergency = false
	switch {
	case wish != "":
		k.shutdown(powerKind(wish), 0, false)
	case k.server.pid == 0 && k.closing == nil:
		k.startAt = time.Now()
	}
}

// onPacket takes a record of the server.
func (k *keeper) onPacket(f from) {
	if f.link == nil {
		k.emergencyEnded(f.p.text)
		return
	}
	if f.link != k.server.link {
		closeAll(f.p.fds)
		return
	}
	p := f.p
	if !k.server.live && k.server.pid != 0 {
		k.server.answer.begin(sysComputed(k.server.pid), time.Now()) // it is getting on
	}
	switch p.op {
	case opStore:
		closeAll(k.store[p.text])
		k.store[p.text], p.fds = p.fds, nil
		k.watchSocket(p.text)
	case opDrop:
		closeAll(k.store[p.text])
		delete(k.store, p.text)
		delete(k.procs, p.text)
		k.watchSocket(p.text)
	case opStarted:
		k.procs[p.text] = int(p.a)
	case opAck:
		k.acknowledged(p.text)
	case opAsk:
		k.server.answer = answerWait{}
		k.expectAcks()
		_ = k.watchdog.feed()
	case opSync:
		if k.server.pid != 0 {
			k.reap()
		}
		f.link.send(packet{op: opSync})
	case opFind:
		f.link.send(packet{op: opFind, text: string(sysLeaders(k.server.pid))})
	case opLive:
		k.server.live, k.server.liveAt, k.tries = true, time.Now(), 0
		k.server.answer = answerWait{}
		k.expectAcks()
		k.confirmUpgrade()
	case opClosing:
		k.serverCloses(p)
	case opDone:
		k.serverDone(p)
	case opCommand:
		k.startCommand()
	case opUpgrade:
		k.tryUpgrade(p.text)
	case opDo:
		k.doFor(p.text)
	}
	closeAll(p.fds)
}

// serverCloses notes the shutdown that the server has begun, or that ours has no limit, since there is nothing but CMD.
func (k *keeper) serverCloses(p packet) {
	if c := k.closing; c != nil {
		if !k.opts.limitSet && !c.forced && !c.taken && p.b == noLimit.Milliseconds() {
			c.at = time.Now().Add(noLimit)
		}
		return
	}
	kind, why, _ := strings.Cut(p.text, " ")
	k.closing = &keeperClosing{kind: powerKind(kind), code: int(p.a), at: time.Now().Add(time.Duration(p.b) * time.Millisecond), fixed: why == becauseCritical}
}

// leftTime is how long what belongs to no service may take to end when all services are stopped: what CMD leaves behind, and what kill_mode = "process" lets live.
const leftTime = 3 * time.Second

// serverDone asks what is left to end, within the time of the shutdown, when the server has stopped all services.
func (k *keeper) serverDone(p packet) {
	if k.closing == nil {
		k.closing = &keeperClosing{kind: powerKind(p.text), code: int(p.a), at: time.Now().Add(k.opts.limit)}
	}
	k.takeOver(max(0, min(leftTime, time.Until(k.closing.at))))
}

// doFor does what only PID 1 can, for the server.
func (k *keeper) doFor(what string) {
	what, arg, _ := strings.Cut(what, " ")
	switch what {
	case "handover":
		k.handover()
	case "emergency":
		k.openEmergency(arg)
	case planWord:
		k.plan(arg)
	case "signal":
		if n, err := strconv.Atoi(arg); err == nil && !k.cmd.Asked {
			k.signalCommand(n)
		}
	}
}

// tell gives the server a task, and expects to hear from it.
func (k *keeper) tell(what string) {
	if k.server.link == nil {
		return
	}
	k.server.link.send(packet{op: opDo, text: what})
	k.ask()
}

// handover replaces the server by a new one: it saves what it must and ends, or is killed after two seconds.
func (k *keeper) handover() {
	if k.server.pid == 0 || k.server.planned || k.closing != nil {
		return
	}
	k.server.planned = true
	k.server.killAt = time.Now().Add(handoverTime)
	_ = sysKill(k.server.pid, sigTerm)
	_ = sysKill(k.server.pid, sigCont)
}
