// init.go is the keeper: PID 1, from its first instruction to power-off; it parses no configuration and serves no client.

package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// --- the link: records between keeper and server, with descriptors

// packet is one record. It fits one datagram of a SOCK_SEQPACKET pair, so it arrives whole or not at all.
type packet struct {
	op   byte
	a, b int64
	text string
	fds  []int
	sent chan struct{} // closed once the record has left, or never will; nil: nobody waits. With op 0 there is no record
}

// What keeper and server tell each other. The keeper parses nothing else.
const (
	opStore   = 'P' // server: keep these descriptors under text. keeper: here they are
	opDrop    = 'D' // server: close what is kept under text
	opExits   = 'E' // keeper: exits, 20 bytes each in text: seq, pid, status
	opAck     = 'A' // server: exits that are saved, 8 bytes each in text: seq
	opLive    = 'L' // keeper: that was all. server: I have adopted everything
	opSync    = 'S' // server: say this back, so that I know that all exits until now have come
	opClosing = 'C' // server: a shutdown begins: a exit code, b time limit in ms, text kind. keeper: one is under way, b ms are left
	opDone    = 'X' // server: the shutdown is complete
	opDo      = 'G' // keeper: do text: reload, shutdown KIND, handover
	opCommand = 'M' // server: start CMD now. keeper: CMD has pid a (0: not started), status b once it ended
	opUpgrade = 'U' // server: go over to the binary text. keeper: the result, "" is success
	opAsk     = '?' // keeper: are you there? server: the same back
)

const packetHead = 17

func (p *packet) encode() []byte {
	b := make([]byte, packetHead, packetHead+len(p.text))
	b[0] = p.op
	binary.LittleEndian.PutUint64(b[1:], uint64(p.a))
	binary.LittleEndian.PutUint64(b[9:], uint64(p.b))
	return append(b, p.text...)
}

func decodePacket(b []byte, fds []int) (packet, bool) {
	if len(b) < packetHead {
		return packet{}, false
	}
	return packet{op: b[0], a: int64(binary.LittleEndian.Uint64(b[1:])), b: int64(binary.LittleEndian.Uint64(b[9:])), text: string(b[packetHead:]), fds: fds}, true
}

// link is one end of the pair. send never waits; one goroutine writes, in order.
type link struct {
	fd   int
	file *os.File
	raw  syscall.RawConn
	out  queue[packet]
	buf  []byte
}

// maxPacket bounds a record: 1000 exits fit.
const maxPacket = 32 << 10

func newLink(fd int) (*link, error) {
	l := &link{fd: fd, file: os.NewFile(uintptr(fd), "link"), buf: make([]byte, maxPacket)}
	raw, err := l.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	l.raw = raw
	l.out.init()
	background("link", l.write)
	return l, nil
}

func (l *link) send(p packet) { l.out.put(p) }

// flush waits until what was sent has left, at most limit.
func (l *link) flush(limit time.Duration) { l.sendNow(packet{}, limit) }

// sendNow sends a record and waits until it has left, at most limit.
func (l *link) sendNow(p packet, limit time.Duration) {
	p.sent = make(chan struct{})
	l.out.put(p)
	wait := time.NewTimer(limit)
	defer wait.Stop()
	select {
	case <-p.sent:
	case <-wait.C:
	}
}

func (l *link) write() {
	broken := false
	for range l.out.wake {
		for _, p := range l.out.take() {
			if p.op != 0 && !broken {
				broken = !l.put(p)
			}
			if p.sent != nil {
				close(p.sent)
			}
		}
	}
}

// put writes one record; false when there will never be a reader again. Descriptors on their way count against a limit of the
// kernel's (unix(7), ETOOMANYREFS): then the reader needs a moment.
func (l *link) put(p packet) bool {
	data := p.encode()
	for {
		var err error
		if e := l.raw.Write(func(fd uintptr) bool {
			err = sysSendPacket(int(fd), data, p.fds)
			return err != syscall.EAGAIN
		}); e != nil || err == syscall.EPIPE || err == syscall.ECONNRESET {
			return false
		}
		if err == nil {
			return true
		}
		if err != syscall.ETOOMANYREFS && err != syscall.ENOBUFS && err != syscall.ENOMEM && err != syscall.EINTR {
			logf(logError, "a record between keeper and server is lost: %v", err)
			return true
		}
		time.Sleep(time.Millisecond)
	}
}

// recv waits for the next record; an error means that the other side is gone.
func (l *link) recv() (packet, error) {
	var p packet
	var n int
	var fds []int
	var err error
	if e := l.raw.Read(func(fd uintptr) bool {
		n, fds, err = sysRecvPacket(int(fd), l.buf)
		return err != syscall.EAGAIN
	}); e != nil {
		return p, e
	}
	if err != nil {
		return p, err
	}
	p, ok := decodePacket(l.buf[:n], fds)
	if !ok {
		return p, fmt.Errorf("the other side of the link has gone")
	}
	return p, nil
}

func (l *link) close() { l.file.Close() }

// pause has recv return an error, without taking anything more, until goOn.
func (l *link) pause() { _ = l.file.SetReadDeadline(time.Unix(1, 0)) }
func (l *link) goOn()  { _ = l.file.SetReadDeadline(time.Time{}) }

// --- options

// keeperOptions is what the command line and the environment say about `zinit init`.
type keeperOptions struct {
	container bool
	dryRun    bool
	server    []string // flags that are the server's
	limit     time.Duration
	cmd       []string
	cmdWait   time.Duration
	group     bool // -g
	subreaper bool // -s
	okCodes   []int
	parentSig int // -p
	rewrite   map[int]int
	logLevel  string
}

// initFlags are the flags of `zinit init`; those of the server are passed on to it.
func initFlags() []commandFlag {
	own := []commandFlag{
		{name: "container", short: 'c', help: "be PID 1 of a container: no mounts, exit instead of power-off"},
		{name: "rewrite", arg: "FROM:TO", help: "CMD gets signal TO for FROM; TO 0 drops it (may be repeated)"},
		{name: "group", short: 'g', help: "signal CMD's whole process group"},
		{name: "subreaper", short: 's', help: "adopt orphans when not PID 1"},
		{name: "exit-ok", short: 'e', arg: "CODE", help: "turn this exit code of CMD into 0 (may be repeated)"},
		{name: "parent-signal", short: 'p', arg: "SIGNAL", help: "what CMD gets when our parent dies"},
		{name: "cmd-wait-ms", arg: "MS", help: "CMD starts at the latest after this time (5000)"},
		{name: "dry-run", help: "print the steps of the boot and do nothing"},
	}
	for _, f := range serverFlags() {
		if f.name == "config-dir" {
			f.short = 0
		}
		if f.name != "version" && f.help != "" {
			own = append(own, f)
		}
	}
	return append(own, commandFlag{name: "socket", arg: "PATH", help: "socket of the server"})
}

// parseInit reads the words behind `zinit init`. Under a kernel, which hands on boot words that it does not know, strict is false and those are ignored.
func parseInit(args []string, strict bool) (keeperOptions, error) {
	o := keeperOptions{container: os.Getenv("ZINIT_CONTAINER") == "1", cmdWait: 5 * time.Second, rewrite: map[int]int{}, logLevel: os.Getenv("ZINIT_LOG_LEVEL")}
	flags := initFlags()
	for i := 0; i < len(args); i++ {
		word := args[i]
		if word == "--" {
			o.cmd = args[i+1:]
			break
		}
		name, value, inline := strings.Cut(word, "=")
		at := slices.IndexFunc(flags, func(f commandFlag) bool {
			return name == "--"+f.name || f.short != 0 && name == "-"+string(f.short)
		})
		if at < 0 {
			if !strict && !strings.HasPrefix(word, "-") {
				continue
			}
			return o, fmt.Errorf("zinit init: unknown flag or word `%s`; a program to run stands behind --", word)
		}
		f := flags[at]
		if f.arg != "" && !inline {
			if i++; i >= len(args) {
				return o, fmt.Errorf("zinit init: %s needs %s", word, f.arg)
			}
			value = args[i]
		}
		if err := o.set(f.name, value); err != nil {
			return o, err
		}
	}
	if o.limit == 0 {
		o.limit = 30 * time.Second
		if o.container {
			o.limit = 8 * time.Second
		}
	}
	if len(o.cmd) > 0 && !o.container {
		return o, fmt.Errorf("zinit init: a program behind -- belongs to a container; add -c")
	}
	return o, nil
}

func (o *keeperOptions) set(name, value string) error {
	bad := func(want string) error { return fmt.Errorf("zinit init: bad --%s `%s`: %s", name, value, want) }
	switch name {
	case "container":
		o.container = true
	case "group":
		o.group = true
	case "subreaper":
		o.subreaper = true
	case "dry-run":
		o.dryRun = true
	case "exit-ok":
		n, err := strconv.ParseUint(value, 10, 8)
		if err != nil {
			return bad("an exit code from 0 to 255")
		}
		o.okCodes = append(o.okCodes, int(n))
	case "parent-signal":
		n, err := parseSignal(value)
		if err != nil {
			return bad("a signal")
		}
		o.parentSig = n
	case "rewrite":
		from, to, _ := strings.Cut(value, ":")
		f, err := parseSignal(from)
		if err != nil {
			return bad("FROM:TO, two signals; TO 0 drops it")
		}
		t := 0
		if to != "0" {
			if t, err = parseSignal(to); err != nil {
				return bad("FROM:TO, two signals; TO 0 drops it")
			}
		}
		o.rewrite[f] = t
	case "cmd-wait-ms", "shutdown-timeout-ms":
		d, err := parseMillis(value)
		if err != nil {
			return bad("a number of milliseconds")
		}
		if name == "cmd-wait-ms" {
			o.cmdWait = d
			break
		}
		o.limit = max(d, time.Millisecond)
	default:
		if name == "log-level" {
			o.logLevel = value
		}
		o.server = append(o.server, "--"+name, value)
	}
	return nil
}

// --- the keeper

// exitRecord is one end of a child, kept until the server has saved what follows from it.
type exitRecord struct {
	seq    uint64
	pid    int
	status uint32
}

// keeper is the parent of the server, of every service and of CMD. One goroutine owns it. Times are deadlines; zero is none.
type keeper struct {
	opts keeperOptions
	one  bool   // we are PID 1
	self string // our program, absolute
	prog int    // our program, open; -1: none
	memo int    // the server's state, a memfd; -1: none

	signals chan os.Signal
	packets chan from
	results chan trial

	server  serverChild
	tries   int       // servers in a row that never came up
	downAt  time.Time // since when there has been none that was up
	quick   int       // servers in a row that died within quickDeath of adopting
	startAt time.Time // when to start the next server

	store map[string][]int // descriptors that outlive a server
	exits []exitRecord
	seq   uint64
	told  uint64 // up to which exit the present server has been told

	closing    *keeperClosing
	cmd        mainProgram
	emergency  bool
	leftBehind bool

	trying  bool      // a new binary is being tried
	newPath string    // the binary that we go over to
	newBy   time.Time // until when its server must be live
}

// from is a record with the server that sent it.
type from struct {
	link *link
	p    packet
	gone bool
}

// serverChild is the present server.
type serverChild struct {
	pid     int
	link    *link
	live    bool
	liveAt  time.Time
	planned bool      // it was told to hand over
	killAt  time.Time // when a handover takes too long
	askedAt time.Time // since when an answer is missing
}

// keeperClosing is a shutdown under way, as the keeper must be able to end it without a server.
type keeperClosing struct {
	kind   string
	code   int
	at     time.Time // when its time is over
	taken  bool      // the keeper does it by itself
	killAt time.Time
	forced bool
}

// Signal numbers of Linux, the only system with a keeper. sigTerm and sigKill are those of every system.
const (
	sigHup  = 1
	sigInt  = 2
	sigUsr1 = 10
	sigUsr2 = 12
	sigPipe = 13
	sigChld = 17
	sigCont = 18
	sigStop = 19
	sigTstp = 20
	sigTtin = 21
	sigTtou = 22
)

const (
	quickDeath   = 2 * time.Second
	maxTries     = 10
	maxDown      = time.Minute
	ownTime      = 500 * time.Millisecond // before the end of a shutdown's time the keeper takes over
	handoverTime = 2 * time.Second
	answerTime   = 5 * time.Second
	maxExits     = 1 << 16
	exitLost     = 70
)

// initMain is the role of `zinit init`, with the words after that name. It returns the exit code; a machine's PID 1 never returns.
func initMain(args []string) int {
	one := os.Getpid() == 1
	o, err := parseInit(args, !one)
	if err != nil {
		errorf("%v", err)
		hint("zinit help init")
		if one && !o.container {
			return emergencyForEver(err.Error())
		}
		return exitUsage
	}
	if o.logLevel != "" {
		if err := setLogLevel(o.logLevel); err != nil {
			errorf("%v", err)
			return exitUsage
		}
	}
	if o.dryRun {
		return printBoot(o)
	}
	if !sysHasKeeper {
		errorf("zinit init runs on Linux only")
		hint("zinit server runs services under another init")
		return exitRefused
	}
	k := newKeeper(o, one)
	if !o.container && one {
		if code, over := k.bootSystem(); over {
			return code
		}
	}
	return k.run()
}

func newKeeper(o keeperOptions, one bool) *keeper {
	k := &keeper{opts: o, one: one, self: ownProgram(), prog: -1, memo: -1, store: map[string][]int{},
		signals: make(chan os.Signal, 256), packets: make(chan from), results: make(chan trial, 1), downAt: time.Now()}
	signal.Notify(k.signals, keeperSignals()...)
	if fd, err := sysOpenProgram(k.self); err == nil {
		k.prog = fd
	}
	if fd, err := sysMemfd("zinit-state"); err == nil {
		k.memo = fd
	} else {
		logf(logWarn, "no memory for the state of the server (%v): if it dies, running services are stopped and started anew", err)
	}
	sysSubreaper()
	return k
}

// program is the path by which our own binary can be executed: where it was, or, when another file is there now, the open one.
func (k *keeper) program() string {
	if open := fmt.Sprintf("/proc/self/fd/%d", k.prog); k.prog >= 0 && !sysSameFile(k.prog, k.self) {
		if _, err := os.Stat(open); err == nil {
			return open
		}
	}
	return k.self
}

// ownProgram is the absolute path of our binary, taken once: after an upgrade the link in /proc names the old file as deleted.
func ownProgram() string {
	if p, err := os.Executable(); err == nil && p != "" {
		return strings.TrimSuffix(p, " (deleted)")
	}
	if p := os.Args[0]; strings.ContainsRune(p, '/') {
		if abs, err := filepath.Abs(p); err == nil {
			return abs
		}
	}
	for _, p := range []string{"/zinit", "/sbin/init", "/init", "/usr/bin/zinit", "/bin/zinit", "/usr/local/bin/zinit"} {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return os.Args[0]
}

// keeperSignals are all that may be caught and mean something: not those that the runtime uses itself or that report a fault of ours.
func keeperSignals() []os.Signal {
	var all []os.Signal
	for n := 1; n <= 64; n++ {
		switch n {
		case sigKill, sigStop, 11, 7, 8, 4, 5, 23, 27, 32, 33: // SEGV BUS FPE ILL TRAP URG PROF and two of the threads
			continue
		}
		all = append(all, syscall.Signal(n))
	}
	return all
}

// run is the keeper's loop.
func (k *keeper) run() int {
	defer k.flush()
	if len(k.opts.cmd) > 0 {
		k.cmd.startAt = time.Now().Add(k.opts.cmdWait + time.Second)
	}
	if k.opts.parentSig != 0 {
		sysParentSignal(k.opts.parentSig)
	}
	k.resume()
	k.reap()
	if k.server.pid == 0 && k.startAt.IsZero() {
		k.startServer()
	}
	timer := time.NewTimer(time.Hour)
	for {
		if d := k.nextDue(); d.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(d))
		}
		select {
		case s := <-k.signals:
			k.onSignal(int(s.(syscall.Signal)))
		case f := <-k.packets:
			k.onPacket(f)
		case r := <-k.results:
			k.onTried(r)
		case <-timer.C:
		}
		if code, over := k.onTime(time.Now()); over {
			return code
		}
	}
}

func (k *keeper) flush() { serverLog.flush(300 * time.Millisecond) }

// nextDue is the earliest deadline.
func (k *keeper) nextDue() time.Time {
	all := []time.Time{k.startAt, k.server.killAt, k.cmd.startAt, k.newBy}
	if !k.server.askedAt.IsZero() {
		all = append(all, k.server.askedAt.Add(answerTime))
	}
	if k.server.pid != 0 && !k.server.live {
		all = append(all, k.downAt.Add(maxDown))
	}
	if c := k.closing; c != nil {
		if !c.taken {
			all = append(all, c.at.Add(-k.ownTime()))
		}
		all = append(all, c.killAt)
	}
	var t time.Time
	for _, d := range all {
		if !d.IsZero() && (t.IsZero() || d.Before(t)) {
			t = d
		}
	}
	return t
}

func over(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }

// onTime does what the time asks for; over is the end of the keeper.
func (k *keeper) onTime(now time.Time) (code int, done bool) {
	if over(k.startAt, now) {
		k.startAt = time.Time{}
		k.startServer()
	}
	if over(k.server.killAt, now) && k.server.pid != 0 {
		logf(logWarn, "the server (pid %d) does not hand over; it is killed", k.server.pid)
		k.server.killAt = time.Time{}
		_ = sysKill(k.server.pid, sigKill)
	}
	if a := k.server.askedAt; !a.IsZero() && over(a.Add(answerTime), now) {
		k.server.askedAt = time.Time{}
		logf(logError, "the server (pid %d) has not answered for %s; kill -USR1 %d replaces it", k.server.pid, span(answerTime), os.Getpid())
	}
	if k.server.pid != 0 && !k.server.live && over(k.downAt.Add(maxDown), now) && !k.leftBehind {
		k.giveUp("it does not come up")
	}
	if over(k.newBy, now) {
		k.upgradeLate()
	}
	if over(k.cmd.startAt, now) {
		k.startCommand()
	}
	return k.onClosing(now)
}

// onClosing ends a shutdown whose time is over, with or without a server.
func (k *keeper) onClosing(now time.Time) (code int, done bool) {
	c := k.closing
	if c == nil {
		return 0, false
	}
	if !c.taken && over(c.at.Add(-k.ownTime()), now) {
		logf(logWarn, "the server has not finished the shutdown; stopping everything that is left")
		k.takeOver()
	}
	if c.taken && (over(c.killAt, now) || !k.anythingLeft()) {
		if over(c.killAt, now) {
			sysKillAll(k.one, sigKill)
			k.reapFor(2 * time.Second)
		}
		return k.end()
	}
	return 0, false
}

// takeOver stops everything without the server's help.
func (k *keeper) takeOver() {
	c := k.closing
	c.taken = true
	if k.server.pid != 0 {
		_ = sysKill(k.server.pid, sigKill)
	}
	sig, wait := sigTerm, k.ownTime()
	if c.forced {
		sig = sigKill
	}
	sysKillAll(k.one, sig)
	sysKillAll(k.one, sigCont) // what is stopped ends only when it goes on
	if c.killAt.IsZero() {
		c.killAt = time.Now().Add(wait)
	}
}

// ownTime is how long before the end of a shutdown's time the keeper no longer waits for the server.
func (k *keeper) ownTime() time.Duration { return min(ownTime, k.opts.limit/16) }

// anythingLeft says whether there is a process besides us that we must wait for.
func (k *keeper) anythingLeft() bool { return k.server.pid != 0 || k.cmd.pid != 0 || sysAnyChild() }

// end is what a finished shutdown comes to: an exit code in a container, and no way back on a machine.
func (k *keeper) end() (int, bool) {
	c := k.closing
	if k.opts.container || !k.one {
		return c.code, true
	}
	k.flush()
	powerDown(c.kind)
	return c.code, true
}

// --- the server's life

// startServer runs the next server and gives it everything that it must know.
func (k *keeper) startServer() {
	path := firstSet(k.newPath, k.program())
	ours, theirs, err := sysSocketPair()
	if err != nil {
		logf(logError, "cannot make the link to the server: %v", err)
		k.serverFailed()
		return
	}
	argv := append([]string{"zinit", "server", "--keeper"}, k.opts.server...)
	argv = append(argv, "--shutdown-timeout-ms", strconv.FormatInt(k.opts.limit.Milliseconds(), 10))
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
		k.newPath, k.newBy = "", time.Time{}
		_ = sysClose(ours)
		logf(logError, "cannot run the server %s: %v", path, err)
		k.serverFailed()
		return
	}
	l, err := newLink(ours)
	if err != nil {
		logf(logError, "cannot watch the server: %v", err)
	}
	k.server = serverChild{pid: pid, link: l}
	k.listen(l)
	k.welcome()
}

// listen brings the records of a server to the keeper's loop.
func (k *keeper) listen(l *link) {
	background("link of the server", func() {
		for {
			p, err := l.recv()
			k.packets <- from{l, p, err != nil}
			if err != nil {
				return
			}
		}
	})
}

// welcome hands the new server what outlived the last one: descriptors, exits, CMD, a shutdown under way.
func (k *keeper) welcome() {
	l := k.server.link
	for _, key := range sortedKeys(k.store) {
		l.send(packet{op: opStore, text: key, fds: k.store[key]})
	}
	k.told = 0
	k.sendExits()
	if len(k.opts.cmd) > 0 {
		l.send(k.commandState())
	}
	if c := k.closing; c != nil {
		l.send(packet{op: opClosing, a: int64(c.code), b: time.Until(c.at).Milliseconds(), text: c.kind})
	}
	l.send(packet{op: opLive})
}

// serverEnded decides what the end of the server means.
func (k *keeper) serverEnded(status uint32) {
	s := k.server
	how := decodeStatus(status)
	if s.link != nil {
		s.link.close()
	}
	k.server = serverChild{}
	if k.closing != nil && k.closing.taken {
		return
	}
	if s.live && !s.planned && how.Signal != sigKill { // SIGKILL comes from outside: it says nothing about the state
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
	default:
		logf(logError, "the server did not come up (%s)", how)
		k.serverFailed()
	}
}

// serverFailed plans the next try, with a growing delay, or gives up after ten.
func (k *keeper) serverFailed() {
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
		k.closing = &keeperClosing{kind: "exit", code: exitLost, at: time.Now(), killAt: time.Now().Add(5 * time.Second)}
		k.takeOver()
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
		emergency(why)
		k.packets <- from{p: packet{op: opDo, text: "emergency over"}}
	})
}

// onPacket takes a record of the server.
func (k *keeper) onPacket(f from) {
	if f.link == nil {
		k.emergency = false
		if k.server.pid == 0 && k.closing == nil {
			k.startAt = time.Now()
		}
		return
	}
	if f.link != k.server.link || f.gone {
		closeAll(f.p.fds)
		return
	}
	p := f.p
	k.server.askedAt = time.Time{}
	switch p.op {
	case opStore:
		closeAll(k.store[p.text])
		k.store[p.text] = p.fds
	case opDrop:
		closeAll(k.store[p.text])
		delete(k.store, p.text)
	case opAck:
		k.acknowledged(p.text)
	case opSync:
		k.reap()
		f.link.send(packet{op: opSync})
	case opLive:
		k.server.live, k.server.liveAt, k.tries = true, time.Now(), 0
		k.confirmUpgrade()
	case opClosing:
		if k.closing != nil {
			break
		}
		k.closing = &keeperClosing{kind: p.text, code: int(p.a), at: time.Now().Add(time.Duration(p.b) * time.Millisecond)}
	case opDone:
		if k.closing == nil {
			k.closing = &keeperClosing{kind: p.text, code: int(p.a)}
		}
		k.closing.taken, k.closing.killAt = true, time.Now().Add(ownTime)
		sysKillAll(k.one, sigKill)
	case opCommand:
		k.startCommand()
	case opUpgrade:
		k.tryUpgrade(p.text)
	case opDo:
		k.doFor(p.text)
	}
}

// doFor does what only PID 1 can, for the server.
func (k *keeper) doFor(what string) {
	what, arg, _ := strings.Cut(what, " ")
	switch what {
	case "handover":
		k.handover()
	case "emergency":
		k.openEmergency(arg)
	case "signal":
		if n, err := strconv.Atoi(arg); err == nil {
			k.signalCommand(n)
		}
	}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = sysClose(fd)
	}
}

// tell gives the server a task, and expects to hear from it.
func (k *keeper) tell(what string) {
	if k.server.link == nil {
		return
	}
	k.server.link.send(packet{op: opDo, text: what})
	k.server.link.send(packet{op: opAsk})
	if k.server.askedAt.IsZero() {
		k.server.askedAt = time.Now()
	}
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

// --- reaping

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
		case k.cmd.pid:
			k.commandEnded(status)
		}
		if leader {
			status |= leaderBit
		}
		k.seq++
		k.exits = append(k.exits, exitRecord{k.seq, pid, status})
	}
	if n := len(k.exits) - maxExits; n > 0 {
		k.exits = slices.Delete(k.exits, 0, n)
	}
	k.sendExits()
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

const exitSize = 20

// leaderBit marks, in the status of an exit record, what led a session of its own, as the main process of every service does.
const leaderBit = 1 << 31

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
	for len(list) > 0 {
		n := min(len(list), 1000)
		var b []byte
		for _, e := range list[:n] {
			b = binary.LittleEndian.AppendUint64(b, e.seq)
			b = binary.LittleEndian.AppendUint64(b, uint64(e.pid))
			b = binary.LittleEndian.AppendUint32(b, e.status)
		}
		k.server.link.send(packet{op: opExits, text: string(b)})
		list = list[n:]
	}
}

func (k *keeper) acknowledged(text string) {
	saved := make(map[uint64]bool, len(text)/8)
	for b := []byte(text); len(b) >= 8; b = b[8:] {
		saved[binary.LittleEndian.Uint64(b)] = true
	}
	k.exits = slices.DeleteFunc(k.exits, func(e exitRecord) bool { return saved[e.seq] })
}

// --- signals

// onSignal is the table of contract 6.
func (k *keeper) onSignal(s int) {
	if s == sigChld {
		k.reap()
		return
	}
	if len(k.opts.cmd) > 0 && s != sigPipe {
		k.signalForCommand(s)
		return
	}
	kind := ""
	switch {
	case s == sigTerm:
		kind = "poweroff"
	case s == sigInt:
		kind = "reboot"
	case s == sigPwr, s == sigRtmin+4:
		kind = "poweroff"
	case s == sigRtmin+3:
		kind = "halt"
	case s == sigRtmin+5:
		kind = "reboot"
	case s == sigUsr1:
		logf(logInfo, "replacing the server; services run on")
		k.handover()
		return
	case s == sigUsr2:
		k.tryUpgrade("")
		return
	case s == sigHup:
		k.tell("reload")
		return
	default:
		return
	}
	k.shutdown(kind, 0, s == sigTerm || s == sigInt)
}

// shutdown begins to stop everything; a second SIGTERM or SIGINT kills at once.
func (k *keeper) shutdown(kind string, code int, again bool) {
	if k.opts.container || !k.one {
		kind = "exit"
	}
	if c := k.closing; c != nil {
		if again && !c.forced {
			c.forced = true
			logf(logWarn, "killing what is left")
			k.tell("kill")
			c.at = time.Now().Add(time.Second)
		}
		return
	}
	k.closing = &keeperClosing{kind: kind, code: code, at: time.Now().Add(k.opts.limit)}
	if k.server.pid == 0 && k.startAt.IsZero() {
		k.takeOver()
		return
	}
	k.tell("shutdown " + kind)
}

// --- CMD, the main program of a container

// mainProgram is CMD: what runs in the foreground of the container.
type mainProgram struct {
	pid     int
	started bool
	ended   bool
	status  uint32
	startAt time.Time // at the latest
	tty     bool
}

func (k *keeper) commandState() packet {
	p := packet{op: opCommand, a: int64(k.cmd.pid)}
	switch {
	case k.cmd.ended:
		p.text, p.b = "ended", int64(k.cmd.status)
	case k.cmd.started:
		p.text = "running"
	}
	p.text += "\x00" + strings.Join(k.opts.cmd, "\x00")
	return p
}

// startCommand runs CMD, once. One that cannot be executed ends the container: 127 when it is not there, else 126.
func (k *keeper) startCommand() {
	k.cmd.startAt = time.Time{}
	if k.cmd.started || len(k.opts.cmd) == 0 || k.closing != nil {
		if k.server.link != nil {
			k.server.link.send(k.commandState())
		}
		return
	}
	k.cmd.started = true
	path, err := lookCommand(k.opts.cmd[0])
	if err == nil {
		k.cmd.pid, k.cmd.tty, err = sysForkCommand(path, k.opts.cmd)
	}
	if err != nil {
		code := 126
		if os.IsNotExist(err) {
			code = 127
		}
		logf(logError, "cannot run %s: %v", visible(k.opts.cmd[0]), err)
		k.cmd.ended, k.cmd.status = true, uint32(code)<<8
		k.shutdown("exit", code, false)
	}
	if k.server.link != nil {
		k.server.link.send(k.commandState())
	}
}

// lookCommand finds a program as execvp(3) does: through PATH unless its name has a slash.
func lookCommand(name string) (string, error) {
	if strings.ContainsRune(name, '/') {
		return name, nil
	}
	path := os.Getenv("PATH")
	if path == "" {
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	for _, dir := range filepath.SplitList(path) {
		p := filepath.Join(firstSet(dir, "."), name)
		if st, err := os.Stat(p); err == nil && !st.IsDir() && st.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", os.ErrNotExist
}

// commandEnded is the end of the container: the services are stopped, and its code counts.
func (k *keeper) commandEnded(status uint32) {
	how := decodeStatus(status)
	code := how.Code
	if how.Signal != 0 {
		code = 128 + how.Signal
	}
	if slices.Contains(k.opts.okCodes, code) {
		code = 0
	}
	k.cmd.pid, k.cmd.ended, k.cmd.status = 0, true, status
	if k.cmd.tty {
		sysTakeTerminal()
	}
	if k.closing != nil {
		k.closing.code = code
	}
	if k.server.link != nil {
		k.server.link.send(k.commandState())
	}
	k.shutdown("exit", code, false)
}

// signalForCommand passes a signal on to CMD, as --rewrite says, as often as it comes.
func (k *keeper) signalForCommand(n int) {
	stop := n == sigTerm || n == sigInt
	if to, mapped := k.opts.rewrite[n]; mapped {
		if n = to; n == 0 {
			return
		}
	}
	if k.cmd.pid == 0 {
		if stop || k.cmd.ended {
			k.shutdown("exit", 0, stop)
		}
		return
	}
	k.signalCommand(n)
	if stop {
		k.shutdown("exit", 0, false)
	}
}

func (k *keeper) signalCommand(n int) {
	if k.cmd.pid == 0 {
		return
	}
	pid := k.cmd.pid
	if k.opts.group {
		pid = -pid
	}
	if err := sysKill(pid, n); err != nil {
		logf(logWarn, "cannot send %s to CMD: %v", signalName(n), err)
	}
}

// commandStopped continues a CMD that a terminal signal stopped, for nobody else would. When we are not PID 1 there is a shell above us:
// then we stop too, and CMD goes on when we are continued.
func (k *keeper) commandStopped(pid, sig int) {
	if pid != k.cmd.pid || pid == 0 {
		return
	}
	switch sig {
	case sigTstp, sigTtin, sigTtou:
	default:
		return
	}
	if !k.one {
		sysTakeTerminal()
		_ = sysKill(os.Getpid(), sigStop)
		if k.cmd.tty {
			sysGiveTerminal(k.cmd.pid)
		}
	}
	_ = sysKill(-k.cmd.pid, sigCont)
}

// --- going over to a new binary

// trial is what a new binary said of our state.
type trial struct {
	path    string
	version string
	err     error
}

// upgradeTime is how long a new binary has to read the state, and then its server to adopt everything.
const upgradeTime = 10 * time.Second

// tryUpgrade has a new binary ("": the one on disk at our own path) prove that it runs and reads the state, on a goroutine; the
// result comes to onTried. Nothing has changed until then.
func (k *keeper) tryUpgrade(path string) {
	if path == "" {
		path = k.self
	}
	if k.closing != nil || k.server.planned || k.trying {
		k.upgraded(trial{path: path, err: fmt.Errorf("a shutdown or another upgrade is under way")})
		return
	}
	k.trying = true
	memo := k.memo
	background("trying a new binary", func() {
		version, err := sysTryBinary(path, memo, upgradeTime)
		k.results <- trial{path, version, err}
	})
}

func (k *keeper) upgraded(r trial) {
	p := packet{op: opUpgrade, text: r.version}
	if r.err != nil {
		p.a, p.text = 1, r.err.Error()
		logf(logError, "no upgrade to %s: %v; the present version goes on", r.path, r.err)
	}
	if k.server.link != nil {
		k.server.link.send(p)
	}
}

// onTried replaces the server by one of the new binary. PID 1 itself goes over when that one has adopted everything.
func (k *keeper) onTried(r trial) {
	k.trying = false
	if r.err == nil && k.closing != nil {
		r.err = fmt.Errorf("a shutdown is under way")
	}
	k.upgraded(r)
	if r.err != nil {
		return
	}
	logf(logInfo, "going over to version %s of %s", r.version, r.path)
	k.newPath, k.newBy = r.path, time.Now().Add(upgradeTime+handoverTime)
	k.server.planned = true
	k.server.killAt = time.Now().Add(handoverTime)
	if k.server.pid == 0 {
		k.startAt = time.Now()
		return
	}
	_ = sysKill(k.server.pid, sigTerm)
}

// upgradeLate takes the old binary back when the new server has not adopted everything in time.
func (k *keeper) upgradeLate() {
	logf(logError, "the new binary %s did not adopt the services in %s; the old one takes over again", k.newPath, span(upgradeTime))
	k.newPath, k.newBy = "", time.Time{}
	if k.server.pid != 0 {
		k.server.planned = true
		_ = sysKill(k.server.pid, sigKill)
	}
}

// confirmUpgrade is the last step: PID 1 executes the new binary and goes on with all that it holds.
func (k *keeper) confirmUpgrade() {
	if k.newPath == "" {
		return
	}
	path := k.newPath
	k.newPath, k.newBy = "", time.Time{}
	if k.closing != nil || k.emergency {
		return // the old binary knows how to end this
	}
	k.quiesce()
	if k.closing != nil || k.server.link == nil {
		return
	}
	memo, err := k.resumeMemo(path)
	if err == nil {
		k.flush()
		err = sysExecKeeping(path, os.Args, append(os.Environ(), resumeVar+"="+strconv.Itoa(memo)), k.held(memo))
		_ = sysClose(memo)
	}
	logf(logError, "PID 1 cannot go over to %s: %v; it stays with the old binary", path, err)
	k.server.link.goOn()
	k.listen(k.server.link)
}

// quiesce brings the link to rest before an execve: what was read from it has been taken, what was sent has left, and the rest stays
// in the socket for the next image.
func (k *keeper) quiesce() {
	l := k.server.link
	l.pause()
	for f := range k.packets {
		if f.link == l && f.gone {
			break
		}
		k.onPacket(f)
	}
	for more := true; more; {
		select {
		case s := <-k.signals:
			k.onSignal(int(s.(syscall.Signal)))
		default:
			more = false
		}
	}
	if k.server.link != nil {
		l.flush(time.Second)
	}
}

// resumeVar names the descriptor with what an earlier image of this keeper held.
const resumeVar = "ZINIT_RESUME"

// held lists the descriptors that the next image needs.
func (k *keeper) held(memo int) []int {
	fds := []int{memo, k.memo, k.server.link.fd}
	for _, list := range k.store {
		fds = append(fds, list...)
	}
	return slices.DeleteFunc(fds, func(fd int) bool { return fd < 0 })
}

// resumeMemo writes what the keeper holds into memory that survives its execve: lines of a word and numbers.
func (k *keeper) resumeMemo(path string) (int, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "version 1\nserver %d %d\nstate %d\nseq %d\nself %s\n", k.server.pid, k.server.link.fd, k.memo, k.seq, path)
	for _, e := range k.exits {
		fmt.Fprintf(&b, "exit %d %d %d\n", e.seq, e.pid, e.status)
	}
	for _, key := range sortedKeys(k.store) {
		fmt.Fprintf(&b, "store %s", key)
		for _, fd := range k.store[key] {
			fmt.Fprintf(&b, "\t%d", fd)
		}
		b.WriteByte('\n')
	}
	c := &k.cmd
	fmt.Fprintf(&b, "cmd %d %t %t %d %t\n", c.pid, c.started, c.ended, c.status, c.tty)
	return sysMemfdWith("zinit-keeper", []byte(b.String()))
}

// resume takes over what an earlier image of this process held; false when there was none.
func (k *keeper) resume() bool {
	fd, err := strconv.Atoi(os.Getenv(resumeVar))
	os.Unsetenv(resumeVar)
	if err != nil {
		return false
	}
	data, err := sysReadAll(fd)
	_ = sysClose(fd)
	if err != nil {
		logf(logError, "cannot read what the last image of PID 1 left: %v", err)
		return false
	}
	linkFD := -1
	for _, line := range strings.Split(string(data), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "server":
			fmt.Sscanf(rest, "%d %d", &k.server.pid, &linkFD)
		case "state":
			_ = sysClose(k.memo)
			fmt.Sscanf(rest, "%d", &k.memo)
			sysCloexec(k.memo)
		case "self":
			k.self = rest
		case "seq":
			fmt.Sscanf(rest, "%d", &k.seq)
		case "exit":
			var e exitRecord
			fmt.Sscanf(rest, "%d %d %d", &e.seq, &e.pid, &e.status)
			k.exits = append(k.exits, e)
		case "store":
			fields := strings.Split(rest, "\t")
			for _, f := range fields[1:] {
				if n, err := strconv.Atoi(f); err == nil {
					sysCloexec(n)
					k.store[fields[0]] = append(k.store[fields[0]], n)
				}
			}
		case "cmd":
			c := &k.cmd
			fmt.Sscanf(rest, "%d %t %t %d %t", &c.pid, &c.started, &c.ended, &c.status, &c.tty)
		}
	}
	if linkFD < 0 || k.server.pid == 0 {
		return true
	}
	sysCloexec(linkFD)
	l, err := newLink(linkFD)
	if err != nil {
		logf(logError, "cannot go on with the server: %v", err)
		_ = sysKill(k.server.pid, sigKill)
		return true
	}
	k.server.link, k.server.live, k.server.liveAt = l, true, time.Now()
	k.listen(l)
	logf(logInfo, "PID %d is version %s now", os.Getpid(), version)
	return true
}

func printBoot(o keeperOptions) int       { return 0 }
func (k *keeper) bootSystem() (int, bool) { return 0, false }
func emergencyForEver(why string) int     { return 1 }
func emergency(why string)                {}
func powerDown(kind string)               {}
