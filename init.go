// init.go is the keeper: PID 1, from its first instruction to power-off; it parses no configuration and serves no client.

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

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
var initFlags = []*commandFlag{
	{name: "container", short: 'c', help: "be PID 1 of a container"},
	{name: "rewrite", arg: "FROM:TO", help: "CMD gets TO for FROM; TO 0 drops it"},
	{name: "group", short: 'g', help: "signal CMD's whole process group"},
	{name: "subreaper", short: 's', help: "adopt orphans when not PID 1"},
	{name: "exit-ok", short: 'e', arg: "CODE", help: "this exit code of CMD counts as 0"},
	{name: "parent-signal", short: 'p', arg: "SIGNAL", help: "CMD gets it when our parent dies"},
	{name: "cmd-wait-ms", arg: "MS", help: "CMD starts at the latest after this time (5000)"},
	{name: "dry-run", help: "print the steps of the boot and do nothing"},
	{name: "config-dir", arg: "DIR", help: configDirHelp},
	&systemDirFlag, &logLevelFlag, &socketModeFlag, &socketGroupFlag, &shutdownTimeoutFlag, &socketFlag,
}

// parseInit reads the words behind `zinit init`. In a container the first word that is no flag begins CMD, with or without "--" before it.
// Under a kernel, which hands on boot words that it does not know, strict is false and those are ignored.
func parseInit(args []string, strict bool) (keeperOptions, error) {
	o := keeperOptions{container: os.Getenv("ZINIT_CONTAINER") == "1", cmdWait: 5 * time.Second, rewrite: map[int]int{}, logLevel: os.Getenv("ZINIT_LOG_LEVEL")}
	unknown := ""
	for len(args) > 0 && o.cmd == nil {
		n, word := 1, args[0]
		switch {
		case word == "--":
			o.cmd = args[1:]
		case len(word) > 1 && word[0] == '-':
			flags, used, err := initFlag(args)
			if _, is := err.(*unknownFlag); is {
				unknown = firstSet(unknown, word)
				break
			}
			for _, f := range flags {
				if err == nil {
					err = o.set(f.name, f.value)
				}
			}
			if err != nil {
				return o, err
			}
			n = used
		case o.container:
			o.cmd = args
		case strict:
			unknown = firstSet(unknown, word)
		}
		args = args[n:]
	}
	if unknown != "" {
		err := fmt.Errorf("zinit init: unknown flag or word `%s`; a program to run stands behind --", unknown)
		if strict || o.container {
			return o, err
		}
		logf(logWarn, "%v; ignored", err) // a machine boots all the same
	}
	if o.limit == 0 {
		o.limit = 30 * time.Second
		if o.container {
			o.limit = 8 * time.Second
		}
	}
	if len(o.cmd) > 0 && !o.container {
		return o, errors.New("zinit init: a program behind -- belongs to a container; add -c")
	}
	return o, nil
}

// namedValue is a flag as it was given.
type namedValue struct{ name, value string }

// unknownFlag is a word that looks like a flag and is none.
type unknownFlag struct{ word string }

func (e *unknownFlag) Error() string { return "unknown flag " + e.word }

// initFlag reads the flags in the first of the words (--name, --name=value, -c, -cg, -e143) and says how many words that took.
func initFlag(words []string) (flags []namedValue, used int, err error) {
	word := words[0]
	for letters := word; ; {
		name, value, joined := strings.Cut(letters, "=")
		rest := ""
		if name[1] != '-' && len(name) > 2 { // letters that follow: a value, or more flags
			name, value, rest = letters[:2], strings.TrimPrefix(letters[2:], "="), letters[2:]
			joined = true
		}
		f := flagNamed(name, initFlags)
		if f == nil {
			return nil, 1, &unknownFlag{word}
		}
		if f.arg == "" && joined && rest == "" {
			return nil, 1, fmt.Errorf("zinit init: %s takes no value", name)
		}
		if f.arg == "" {
			flags = append(flags, namedValue{name: f.name})
			if rest == "" {
				return flags, 1, nil
			}
			letters = "-" + rest
			continue
		}
		if joined {
			return append(flags, namedValue{f.name, value}), 1, nil
		}
		if len(words) < 2 {
			return nil, 1, fmt.Errorf("zinit init: %s needs %s", word, f.arg)
		}
		return append(flags, namedValue{f.name, words[1]}), 2, nil
	}
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

// keeper is the parent of the server, of every service and of CMD. One goroutine owns it. Times are deadlines; zero is none.
type keeper struct {
	opts keeperOptions
	args []string // behind `zinit init`, as the next image of this process reads them
	one  bool     // we are PID 1
	self string   // our program, absolute
	prog int      // our program, open; -1: none
	memo int      // the server's state, a memfd; -1: none

	signals chan os.Signal
	packets chan from
	results chan trial
	waiting chan struct{} // clients are not accepted
	queue   *os.File      // the control socket, as far as we look at it; nil: none
	broken  chan struct{} // a goroutine of ours has panicked
	panics  int           // in a row …
	brokeAt int64         // … and when the first of them was, by sysMono

	server  serverChild
	tries   int       // servers in a row that never came up
	downAt  time.Time // since when there has been none that was up
	quick   int       // servers in a row that died within quickDeath of adopting
	startAt time.Time // when to start the next server

	store map[string][]int // descriptors that outlive a server
	procs map[string]int   // processes that belong to them
	exits []exitRecord
	bound int // how many of them there may be before some are dropped
	seq   uint64
	told  uint64 // up to which exit the present server has been told

	closing    *keeperClosing
	cmd        mainProgram
	emergency  bool
	leftBehind bool

	watchdog *watchdog      // nil: none
	feedAt   time.Time      // when to ask the server for a sign of life for it
	console  *emergencyRoom // made when first needed

	trying  bool      // a new binary is being tried
	newPath string    // the binary that we go over to
	newBy   time.Time // until when its server must be live
}

// from is a record with the server that sent it; without a link it is the end of the emergency.
type from struct {
	link *link
	p    packet
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

// becauseCritical stands behind the kind of a shutdown that the end of a critical service began: then its code is the one that counts.
const becauseCritical = "critical"

// keeperClosing is a shutdown under way, as the keeper must be able to end it without a server.
type keeperClosing struct {
	kind   powerKind
	code   int
	at     time.Time // when its time is over
	fixed  bool      // the code counts, whatever CMD answers: it began the end
	taken  bool      // the keeper does it by itself
	killAt time.Time
	forced bool
}

const (
	quickDeath   = 2 * time.Second
	maxTries     = 10
	maxDown      = time.Minute
	ownTime      = 500 * time.Millisecond // before the end of a shutdown's time the keeper takes over
	handoverTime = 2 * time.Second
	maxExits     = 1 << 16
	exitLost     = 70
)

// initMain is the role of `zinit init`, with the words after that name. It returns the exit code; a machine's PID 1 never returns.
func initMain(args []string) (code int) {
	one := os.Getpid() == 1
	container := !one
	if one {
		afterPanic = func() {} // a goroutine less is better than a kernel without PID 1; the keeper's loop knows more
	}
	defer func() {
		if r := recover(); r != nil {
			panicked("PID 1", r)
			code = exitLost
			if !container {
				code = emergencyForEver(fmt.Sprintf("a defect of PID 1 itself: %v", r))
			}
		}
	}()
	o, err := parseInit(args, !one)
	container = container || o.container
	if err != nil {
		errorf("%v", err)
		hint("zinit help init")
		if !container {
			return emergencyForEver(err.Error())
		}
		return exitUsage
	}
	if o.logLevel != "" {
		if err := setLogLevel(o.logLevel); err != nil {
			errorf("%v", err)
			if container {
				return exitUsage
			}
			os.Unsetenv("ZINIT_LOG_LEVEL") // a machine boots all the same
			if i := slices.Index(o.server, "--log-level"); i >= 0 {
				o.server = slices.Delete(o.server, i, i+2)
			}
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
	if !one && !mayRunBeside(o) {
		return exitRefused
	}
	k := newKeeper(o, one)
	k.args = args
	if _, err := os.Stat(containerDir); err == nil && o.container && os.Getenv("ZINIT_CONFIG_DIR") == "" && !slices.Contains(o.server, "--config-dir") {
		k.opts.server = append(k.opts.server, "--config-dir", containerDir)
	}
	if !o.container {
		if err := guarded(func() error { k.asMachine(); return nil }); err != nil {
			logf(logError, "boot: %v; going on with what there is", err)
		}
	}
	return k.run()
}

// mayRunBeside says whether a keeper that is not PID 1 may run, and says why not: a machine has one PID 1, and a server that lives at the socket
// runs the same services already.
func mayRunBeside(o keeperOptions) bool {
	if !o.container {
		errorf("zinit init without -c is for PID 1 of a machine; this is pid %d", os.Getpid())
		hint("`zinit server` runs services under another init; `zinit init -c` is for containers")
		return false
	}
	if os.Getenv(resumeVar) != "" {
		return true // the server at the socket is ours
	}
	paths := keeperSockets()
	if p := os.Getenv("ZINIT_SOCKET"); p != "" {
		paths = []string{p}
	}
	for i := 0; i < len(o.server); i += 2 { // flags and their values
		if o.server[i] == "--socket" {
			paths = []string{o.server[i+1]}
		}
	}
	for _, p := range paths {
		conn, err := dialUnix(p, 2*time.Second)
		if err != nil {
			continue
		}
		pid := peerOf(conn).pid
		conn.Close()
		if pid > 0 && errors.Is(sysKill(pid, 0), syscall.ESRCH) {
			continue // it has died; a child that it was just starting holds the socket until it executes
		}
		errorf("a server is live at %s: pid %d; its services would run twice", p, pid)
		hint("stop it with `zinit --socket %s shutdown`, or choose another --socket", p)
		return false
	}
	return true
}

// containerDir is where an image has its services, for whatever user the container runs as.
const containerDir = "/etc/zinit/services"

func newKeeper(o keeperOptions, one bool) *keeper {
	spareThreads(8)
	k := &keeper{opts: o, one: one, self: ownProgram(), prog: -1, memo: -1, store: map[string][]int{}, procs: map[string]int{},
		signals: make(chan os.Signal, 256), packets: make(chan from), results: make(chan trial, 1), waiting: make(chan struct{}, 1), broken: make(chan struct{}, 1), downAt: time.Now()}
	signal.Notify(k.signals, keeperSignals()...)
	sysShield()
	sysKeepMask()
	if fd, err := sysOpenProgram(k.self); err == nil {
		k.prog = fd
	}
	if fd, err := sysMemfd("zinit-state"); err == nil {
		k.memo = fd
	} else {
		logf(logWarn, "no memory for the state of the server (%v): if it dies, running services are stopped and started anew", err)
	}
	sysSubreaper()
	sysPrivate()
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

// keeperSignals are all that can be caught, but not those that the runtime uses itself. Those that report a fault (SEGV and its like) come
// here only when somebody sent them.
func keeperSignals() []os.Signal {
	var all []os.Signal
	for n := 1; n <= 64; n++ {
		switch n {
		case sigKill, sigStop, sigUrg, sigProf, 32, 33, 34: // the last are those of threads
			continue
		}
		all = append(all, syscall.Signal(n))
	}
	return all
}

// run is the keeper's loop.
func (k *keeper) run() (code int) {
	defer k.flush()
	afterPanic = func() {
		select {
		case k.broken <- struct{}{}:
		default:
		}
	}
	defer func() {
		if r := recover(); r != nil {
			panicked("PID 1", r)
			code = k.survive()
		}
	}()
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
		case <-k.waiting:
			k.ask()
		case <-k.broken:
			return k.survive()
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
	all := []time.Time{k.startAt, k.server.killAt, k.server.answer.next, k.server.askAt, k.cmd.startAt, k.newBy, k.feedAt}
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
	k.lookForLife(now)
	if k.server.pid != 0 && !k.server.live && over(k.downAt.Add(maxDown), now) && !k.leftBehind {
		k.giveUp("it does not come up")
	}
	if over(k.newBy, now) {
		k.upgradeLate()
	}
	if over(k.feedAt, now) {
		k.feed()
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
	k.letGo()
	machineDown(c.kind, k.watchdog)
	return c.code, true
}

// --- the server's life

// startServer runs the next server and gives it everything that it must know.
func (k *keeper) startServer() {
	path := firstSet(k.newPath, k.program())
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
	for _, key := range slices.Sorted(maps.Keys(k.store)) {
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

// serverFailed plans the next try, with a growing delay, or gives up after ten.
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
		k.closing = &keeperClosing{kind: powerExit, code: exitLost, at: time.Now(), killAt: time.Now().Add(5 * time.Second)}
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
		wish := k.offer(why)
		k.packets <- from{p: packet{op: opDo, text: wish}}
	})
}

// onPacket takes a record of the server.
func (k *keeper) onPacket(f from) {
	if f.link == nil {
		k.emergency = false
		if f.p.text != "" {
			k.shutdown(powerKind(f.p.text), 0, false)
			return
		}
		if k.server.pid == 0 && k.closing == nil {
			k.startAt = time.Now()
		}
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
		if k.closing != nil {
			break
		}
		kind, why, _ := strings.Cut(p.text, " ")
		k.closing = &keeperClosing{kind: powerKind(kind), code: int(p.a), at: time.Now().Add(time.Duration(p.b) * time.Millisecond), fixed: why == becauseCritical}
	case opDone:
		if k.closing == nil {
			k.closing = &keeperClosing{kind: powerKind(p.text), code: int(p.a)}
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
	closeAll(p.fds)
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
		if n, err := strconv.Atoi(arg); err == nil && !k.cmd.asked {
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
	k.boundExits()
	k.sendExits()
}

// boundExits drops what nobody may ask for when too many ends are not acknowledged: the oldest of orphans, which lead no session as every start
// does; and only when that is not enough, the oldest of unknown processes.
func (k *keeper) boundExits() {
	if len(k.exits) <= max(maxExits, k.bound) {
		return
	}
	ours := map[int]bool{}
	for _, pid := range k.procs {
		ours[pid] = true
	}
	const some = maxExits / 16 // more than need be, so that it is not done for every exit
	n := len(k.exits) - maxExits + some
	k.dropExits(n, func(e exitRecord) bool { return e.status&leaderBit == 0 && !ours[e.pid] })
	if n = len(k.exits) - 2*maxExits; n > 0 {
		k.dropExits(n+some, func(e exitRecord) bool { return !ours[e.pid] })
	}
	k.bound = len(k.exits) + some
}

// dropExits drops the n oldest for which that is allowed.
func (k *keeper) dropExits(n int, may func(exitRecord) bool) {
	k.exits = slices.DeleteFunc(k.exits, func(e exitRecord) bool {
		drop := n > 0 && may(e)
		n -= b2i(drop)
		return drop
	})
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
	k.expectAcks()
	for len(list) > 0 {
		n := min(len(list), 1000)
		k.server.link.send(packet{op: opExits, text: encodeExits(list[:n])})
		list = list[n:]
	}
}

func (k *keeper) acknowledged(text string) {
	saved := make(map[uint64]bool, len(text)/8)
	for b := []byte(text); len(b) >= 8; b = b[8:] {
		saved[binary.LittleEndian.Uint64(b)] = true
	}
	k.exits = slices.DeleteFunc(k.exits, func(e exitRecord) bool { return saved[e.seq] })
	k.server.askAt = time.Time{}
	k.expectAcks()
}

// --- signals

// onSignal does what a signal to PID 1 means: the table is in the README.
func (k *keeper) onSignal(s int) {
	if s == sigChld {
		k.reap()
		return
	}
	if s == sigPipe && (sysUnread(1) || sysUnread(2)) {
		return // of a write of our own
	}
	if len(k.opts.cmd) > 0 {
		k.signalForCommand(s)
		return
	}
	var kind powerKind
	switch {
	case s == sigTerm:
		kind = powerOff
	case s == sigInt:
		kind = powerReboot
	case s == sigPwr, s == sigRtmin+4:
		kind = powerOff
	case s == sigRtmin+3:
		kind = powerHalt
	case s == sigRtmin+5:
		kind = powerReboot
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
func (k *keeper) shutdown(kind powerKind, code int, again bool) {
	if k.opts.container || !k.one {
		kind = powerExit
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
	k.tell("shutdown " + string(kind))
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
	asked   bool // it has got the signal that began the shutdown: it gets no other for that
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
		k.shutdown(powerExit, code, false)
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
	if k.closing != nil && !k.closing.fixed {
		k.closing.code = code
	}
	if k.server.link != nil {
		k.server.link.send(k.commandState())
	}
	k.shutdown(powerExit, code, false)
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
			k.shutdown(powerExit, 0, stop)
		}
		return
	}
	k.signalCommand(n)
	if stop {
		k.cmd.asked = true
		k.shutdown(powerExit, 0, false)
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
		r.err = errors.New("a shutdown is under way")
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
	k.server.link.flush(linkTime) // it answers before it goes
	_ = sysKill(k.server.pid, sigTerm)
}

// upgradeLate takes the old binary back when the new server has not adopted everything in time.
func (k *keeper) upgradeLate() {
	logf(logError, "the new binary %s did not adopt the services in %s; the old one takes over again", k.newPath, span(upgradeTime))
	k.newPath, k.newBy, k.tries = "", time.Time{}, 0
	if k.server.pid != 0 {
		k.server.planned = true
		_ = sysKill(k.server.pid, sigKill)
	}
}

// confirmUpgrade is the last step: PID 1 executes the new binary and goes on with all that it holds.
func (k *keeper) confirmUpgrade() {
	if k.newPath == "" || k.server.pid == 0 {
		return
	}
	path := k.newPath
	k.newPath, k.newBy = "", time.Time{}
	if k.closing != nil || k.emergency {
		return // the old binary knows how to end this
	}
	l := k.server.link
	k.quiesce()
	if k.server.link != l { // it has died just now
		return
	}
	if k.closing != nil {
		k.goOn()
		return
	}
	err := k.goOver(path)
	logf(logError, "PID 1 cannot go over to %s: %v; it stays with the old binary", path, err)
	k.goOn()
}

// ignoreForExec has the next image born with SIGHUP and SIGINT ignored. The runtime leaves it at that (sigInstallGoHandler in its signal_unix.go), where
// otherwise one of them would be its end as long as it has not asked for it. For SIGTERM there is no such way.
func ignoreForExec() { signal.Ignore(syscall.SIGHUP, syscall.SIGINT) }

// survive goes on after a panic of ours: this process executes its program again, with all that it holds. When even that does not help, a
// machine offers the emergency for ever and a container ends.
func (k *keeper) survive() int {
	if now := sysMono(); now-k.brokeAt > int64(time.Minute) {
		k.panics, k.brokeAt = 0, now
	}
	err := errors.New("it happens again and again")
	if k.panics++; k.panics <= 3 {
		bounded("go on after a panic", 2*time.Second, k.quiesce)
		err = guarded(func() error { return k.goOver(k.program()) })
	}
	why := "a defect of PID 1 itself (see above): " + err.Error()
	if k.one && !k.opts.container {
		return emergencyForEver(why)
	}
	logf(logError, "%s", why)
	return exitLost
}

// goOn reads the link again after quiesce.
func (k *keeper) goOn() {
	signal.Notify(k.signals, keeperSignals()...)
	sysShield()
	if k.server.link != nil {
		k.server.link.goOn()
		k.listen()
	}
}

// quiesce brings the link to rest before an execve: what was read from it has been taken, what was sent has left, and the rest stays
// in the socket for the next image. A server that dies meanwhile may have been followed by another one.
func (k *keeper) quiesce() {
	for {
		l := k.server.link
		k.takeRead()
		for more := true; more; {
			select {
			case s := <-k.signals:
				k.onSignal(int(s.(syscall.Signal)))
			default:
				more = false
			}
		}
		if k.server.link == l {
			if l != nil {
				l.flush(time.Second)
			}
			return
		}
	}
}

// takeRead ends the reading of the link, after what was read has been taken. That may be the end of the server, so that there is no link any more.
func (k *keeper) takeRead() {
	if k.server.link == nil {
		return
	}
	read := k.server.read
	k.server.link.pause()
	for {
		select {
		case f := <-k.packets:
			k.onPacket(f)
		case <-read:
			return
		}
	}
}

// lastWords takes what the server sent before it died: pipes of what it was just starting, pids, ends that are saved.
func (k *keeper) lastWords() {
	l := k.server.link
	k.takeRead()
	for {
		n, fds, err := sysRecvPacket(l.fd, l.buf)
		p, ok := decodePacket(l.buf[:max(n, 0)], fds)
		if err != nil || !ok {
			break
		}
		k.onPacket(from{link: l, p: p})
	}
	l.close()
}

// --- system mode: what the keeper does around the boot

// printBoot is --dry-run: the steps as they would be done on this machine.
func printBoot(o keeperOptions) int {
	if o.container {
		fmt.Println("container: nothing is mounted, loaded or set; the server is started at once")
		return exitDone
	}
	newBoot("/").print(os.Stdout)
	return exitDone
}

// asMachine is what system mode adds before the server: the early boot, once, and what the kernel's words say.
func (k *keeper) asMachine() {
	const dir = "/etc/zinit/system"
	if _, err := os.Stat(dir); err == nil && !slices.Contains(k.opts.server, "--system-dir") {
		k.opts.server = append(k.opts.server, "--system-dir", dir)
	}
	if os.Getenv(resumeVar) == "" {
		k.bootSystem()
		return
	}
	_ = guarded(func() error { // of a parser; the last image has read the same
		line, _ := newBoot("/").read("/proc/cmdline")
		w, _ := parseBootWords(line)
		k.words(w)
		return nil
	})
}

// bootSystem does the early boot of a machine, until it works: what cannot be done without offers the emergency first.
func (k *keeper) bootSystem() {
	b := newBoot("/")
	for {
		err := b.run()
		if err == nil && !b.words.emergency {
			break
		}
		why := "asked for on the kernel command line"
		if err != nil {
			why = err.Error()
		}
		k.flush()
		wish := k.offer(why)
		if wish != "" {
			k.flush()
			machineDown(powerKind(wish), nil)
		}
		if err == nil {
			break
		}
	}
	k.words(b.words)
}

// words takes what the kernel command line says to the server, and opens the watchdog.
func (k *keeper) words(w bootWords) {
	if w.debug {
		k.opts.server = append(k.opts.server, "--log-level", logDebug.String())
		_ = setLogLevel(logDebug.String())
	}
	if w.config != "" {
		k.opts.server = append(k.opts.server, "--config-dir", w.config)
	}
	if w.target != "" {
		k.opts.server = append(k.opts.server, "--target", w.target)
	}
	if w.watchdog == "" {
		return
	}
	device, err := openWatchdog(w.watchdog, watchdogSeconds)
	if err != nil {
		logf(logError, "%v", err)
		return
	}
	k.watchdog = device
	k.feedAt = time.Now()
}

// watchdogSeconds is the time after which the hardware resets a machine whose server does not answer.
const watchdogSeconds = 30

// feed asks the server for a sign of life; what it answers feeds the watchdog.
func (k *keeper) feed() {
	k.feedAt = time.Now().Add(k.watchdog.every)
	if k.closing != nil {
		_ = k.watchdog.feed()
		return
	}
	k.ask()
}

// offer opens the emergency, and returns what the person wishes. There is one at a time.
func (k *keeper) offer(why string) (wish string) {
	if k.console == nil {
		k.console = newEmergencyRoom(waitUntilEnd)
	}
	return k.console.offer(why)
}

// offer is open that outlives a panic in it.
func (e *emergencyRoom) offer(why string) (wish string) {
	err := guarded(func() error { wish = e.open(why); return nil })
	if err != nil {
		logf(logError, "emergency: %v", err)
		e.wait()
	}
	return wish
}

// emergencyForEver is the end of a PID 1 that cannot go on, or was called with words that it does not understand: it offers the console and never exits.
func emergencyForEver(why string) int {
	room := newEmergencyRoom(reapUntilEnd)
	for {
		if wish := room.offer(why); wish != "" {
			machineDown(powerKind(wish), nil)
		}
	}
}

// --- boot: is what a machine needs before its first service and after its last: mounts, modules, settings, the way into the root file
// system, the emergency, power-off. It starts no service and serves no client.

// --- boot: the table of actions ---

// bootStep is one action of the boot. One that fails is logged and skipped.
type bootStep struct {
	what  string       // an order with the values in it: "mount proc on /proc (nosuid,noexec,nodev)"
	done  string       // why nothing has to be done, or ""
	vital bool         // without it the boot cannot go on
	maybe bool         // whoever asked for it said that it may fail
	do    func() error // nil only with done
}

// bootStage is a group of actions. They are worked out when their turn comes: a stage may read what an earlier one has mounted.
type bootStage struct {
	name  string
	steps func(*boot) []bootStep
	vital bool // the boot cannot go on when its actions cannot be worked out
}

// boot is one way through the table.
type boot struct {
	root  string    // "/"; a test has a tree of its own
	words bootWords // of the kernel's command line, once that stage was reached
	until time.Time // devices that fstab names are waited for until then, all together
}

// deviceWait is how long a device may take to appear after its driver was loaded.
const deviceWait = 10 * time.Second

func newBoot(root string) *boot { return &boot{root: root} }

// bootTable is the early boot of a machine, in its order. What follows "root" is done by the init in the root file system
// when there is one to go over to.
var bootTable = []bootStage{
	{name: "file systems of the kernel", steps: (*boot).mountSteps},
	{name: "console", steps: (*boot).consoleSteps},
	{name: "kernel command line", steps: (*boot).wordSteps},
	{name: "kernel modules", steps: (*boot).moduleSteps},
	{name: "root", steps: (*boot).rootSteps, vital: true},
	{name: "host name", steps: (*boot).hostnameSteps},
	{name: "loopback", steps: (*boot).loopbackSteps},
	{name: "/etc/fstab", steps: (*boot).fstabSteps},
	{name: "sysctl", steps: (*boot).sysctlSteps},
	{name: "Ctrl-Alt-Del", steps: (*boot).ctrlAltDelSteps},
	{name: "random seed", steps: (*boot).seedSteps},
}

// run does the whole table. An error is one that a person must look at: the root file system could not be reached.
// It may be run again: what is done already is left alone.
func (b *boot) run() error {
	b.until = time.Now().Add(deviceWait)
	for _, stage := range bootTable {
		if err := runSteps(b.stepsOf(stage)); err != nil {
			return err
		}
		if b.words.debug {
			_ = setLogLevel(logDebug.String())
		}
	}
	return nil
}

// stepsOf works out the actions of a stage. A panic in there, of a parser for example, is a step that fails.
func (b *boot) stepsOf(stage bootStage) (steps []bootStep) {
	err := guarded(func() error { steps = stage.steps(b); return nil })
	if err != nil {
		failed := failedStep("work out what to do: "+stage.name, err)
		failed.vital = stage.vital
		steps = []bootStep{failed}
	}
	return steps
}

// runSteps does what is to be done. It returns the error of a vital step; other errors are only logged.
func runSteps(steps []bootStep) error {
	for _, s := range steps {
		if s.done != "" {
			logf(logDebug, "boot: %s: %s", s.what, s.done)
			continue
		}
		err := guarded(s.do)
		switch {
		case err == nil:
			logf(logDebug, "boot: %s", s.what)
		case s.maybe:
			logf(logInfo, "boot: did not %s: %v", s.what, err)
		case s.vital:
			return fmt.Errorf("cannot %s: %w", s.what, err)
		default:
			logf(logWarn, "boot: cannot %s: %v", s.what, err)
		}
	}
	return nil
}

// print shows the table as it would be done on this machine now, and does nothing.
func (b *boot) print(w io.Writer) {
	for _, stage := range bootTable {
		fmt.Fprintln(w, stage.name+":")
		for _, s := range b.stepsOf(stage) {
			line := s.what
			if s.done != "" {
				line += ": " + s.done
			}
			fmt.Fprintln(w, "  "+visible(line))
		}
	}
}

// failedStep is the step that stands for something that could not even be read.
func failedStep(what string, err error) bootStep {
	return bootStep{what: what, do: func() error { return err }}
}

// path is a path of the machine inside the tree that is booted. It stays one function because it is called from many places.
func (b *boot) path(p string) string { return filepath.Join(b.root, p) }

// read gives a file of the tree; one that does not exist is empty.
func (b *boot) read(p string) (string, error) {
	data, err := os.ReadFile(b.path(p))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		err = reasonOf(err)
	}
	return string(data), err
}

// confFiles lists the *.conf of a directory in name order.
func (b *boot) confFiles(dir string) (files []string) {
	entries, _ := os.ReadDir(b.path(dir))
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".conf") && e.Name()[0] != '.' {
			files = append(files, dir+"/"+e.Name())
		}
	}
	return files
}

// numbered is a line of a file.
type numbered struct {
	n    int
	text string
}

// contentLines gives the lines of a text that are neither blank nor a comment (# or ;), trimmed.
func contentLines(text string) (lines []numbered) {
	for n := 1; text != ""; n++ {
		line, rest, _ := strings.Cut(text, "\n")
		text = rest
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && line[0] != ';' {
			lines = append(lines, numbered{n, line})
		}
	}
	return lines
}

// --- boot: file systems of the kernel ---

// apiMount is a file system that the kernel or memory provides.
type apiMount struct{ kind, target, options string }

// apiMounts are the mounts that programs expect, with the flags that are customary.
func apiMounts() []apiMount {
	return []apiMount{
		{"proc", "/proc", "nosuid,noexec,nodev"},
		{"sysfs", "/sys", "nosuid,noexec,nodev"},
		{"devtmpfs", "/dev", "nosuid,mode=0755"},
		{"devpts", "/dev/pts", "nosuid,noexec,gid=5,mode=620,ptmxmode=666"},
		{"tmpfs", "/dev/shm", "nosuid,nodev,mode=1777"},
		{"tmpfs", "/run", "nosuid,nodev,mode=0755"},
		{"tmpfs", "/tmp", "nosuid,nodev,mode=1777"},
		{"cgroup2", "/sys/fs/cgroup", "nosuid,noexec,nodev,nsdelegate"},
	}
}

// deviceNodes are the devices that programs cannot do without, for a kernel that has no devtmpfs.
var deviceNodes = []struct {
	name         string
	mode         uint32
	major, minor uint32
}{
	{"console", 0o600, 5, 1}, {"null", 0o666, 1, 3}, {"zero", 0o666, 1, 5}, {"full", 0o666, 1, 7},
	{"random", 0o666, 1, 8}, {"urandom", 0o666, 1, 9}, {"tty", 0o666, 5, 0},
}

// deviceLinks are the names in /dev that lead elsewhere.
var deviceLinks = [][2]string{
	{"/dev/fd", "/proc/self/fd"}, {"/dev/stdin", "/proc/self/fd/0"}, {"/dev/stdout", "/proc/self/fd/1"},
	{"/dev/stderr", "/proc/self/fd/2"}, {"/dev/core", "/proc/kcore"}, {"/dev/ptmx", "pts/ptmx"},
}

func (b *boot) mountSteps() (steps []bootStep) {
	for _, m := range apiMounts() {
		s := bootStep{what: "mount " + m.kind + " on " + m.target + " (" + m.options + ")", do: func() error { return b.mountAPI(m) }}
		switch {
		case sysMounted(b.path(m.target)):
			s.done = "already mounted"
		case m.target == "/tmp" && b.fstabHas(m.target):
			s.done = "/etc/fstab has one of its own"
		}
		steps = append(steps, s)
	}
	link := bootStep{what: "make links in /dev:", done: "all there", do: b.linkDevices}
	for _, l := range deviceLinks {
		if _, err := os.Lstat(b.path(l[0])); err != nil {
			link.done = ""
			link.what += " " + l[0]
		}
	}
	return append(steps, link)
}

// mountAPI mounts one, on a directory that it makes if need be. That it is mounted already (EBUSY of mount(2)) is fine.
func (b *boot) mountAPI(m apiMount) error {
	target := b.path(m.target)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	o := mountOptions(m.options)
	err := sysMount(m.kind, target, m.kind, o.flags, o.data)
	switch {
	case err == syscall.EINVAL && m.kind == "cgroup2": // nsdelegate came with Linux 4.13
		err = sysMount(m.kind, target, m.kind, o.flags, "")
	case err != nil && err != syscall.EBUSY && m.kind == "devtmpfs":
		return b.makeDevices(o)
	}
	if err == syscall.EBUSY {
		return nil
	}
	return err
}

// makeDevices fills a tmpfs with the device nodes that nothing works without.
func (b *boot) makeDevices(o fsOptions) error {
	if err := sysMount("dev", b.path("/dev"), "tmpfs", o.flags, o.data); err != nil {
		return err
	}
	var errs error
	for _, d := range deviceNodes {
		p := b.path("/dev/" + d.name)
		if err := sysMknod(p, d.mode, d.major, d.minor); err != nil {
			errs = errors.Join(errs, fmt.Errorf("/dev/%s: %w", d.name, err))
			continue
		}
		errs = errors.Join(errs, os.Chmod(p, os.FileMode(d.mode))) // mknod obeys the umask
	}
	return errs
}

func (b *boot) linkDevices() (errs error) {
	for _, l := range deviceLinks {
		if err := os.Symlink(l[1], b.path(l[0])); err != nil && !errors.Is(err, os.ErrExist) {
			errs = errors.Join(errs, err)
		}
	}
	return errs
}

// --- boot: console ---

// consoleSteps gives the descriptors 0, 1 and 2 to the console where they lead nowhere: closed, or at /dev/null,
// where the Go runtime puts those that the kernel could not open.
func (b *boot) consoleSteps() []bootStep {
	var fds []int
	for fd := range 3 {
		if sysLeadsNowhere(fd) {
			fds = append(fds, fd)
		}
	}
	s := bootStep{what: fmt.Sprintf("open /dev/console as descriptors %v", fds), do: func() error {
		return sysConsole(b.path("/dev/console"), fds)
	}}
	if len(fds) == 0 {
		s.what, s.done = "open /dev/console", "standard input, output and error are open"
	}
	return []bootStep{s}
}

// --- boot: the kernel's command line ---

// bootWords is what the kernel's command line says to us.
type bootWords struct {
	debug, emergency bool
	config           string // services directory
	target           string // what to start instead of everything
	root             string // device to go over to from an initramfs
	watchdog         string // device to feed

	// Words of the kernel that count for the root file system too.
	init, rootType, rootFlags string
	readOnly                  bool
}

// bootKey is one word that we know: a switch or a text.
type bootKey struct {
	name string
	on   *bool
	text *string
}

func (w *bootWords) keys() []bootKey {
	return []bootKey{
		{"zinit.debug", &w.debug, nil}, {"zinit.emergency", &w.emergency, nil}, {"zinit.config", nil, &w.config},
		{"zinit.target", nil, &w.target}, {"zinit.root", nil, &w.root}, {"zinit.watchdog", nil, &w.watchdog},
		{"init", nil, &w.init}, {"rootfstype", nil, &w.rootType}, {"rootflags", nil, &w.rootFlags},
	}
}

// parseBootWords reads a kernel command line: words with blanks between them, double quotes around what has blanks, up to "--".
// The last of several equal keys counts. Words that begin with "zinit." and mean nothing are complained about.
func parseBootWords(line string) (w bootWords, complaints []string) {
	keys := w.keys()
	for _, word := range splitBootLine(line) {
		if word == "--" {
			break
		}
		key, value, valued := strings.Cut(word, "=")
		switch key {
		case "ro", "rw":
			w.readOnly = key == "ro"
			continue
		}
		var known *bootKey
		for i := range keys {
			if keys[i].name == key {
				known = &keys[i]
			}
		}
		switch {
		case known == nil:
			if strings.HasPrefix(key, "zinit.") {
				complaints = append(complaints, unknownBootKey(key, keys))
			}
		case known.on != nil:
			*known.on = !valued || !containsWord("0 n no off false", value)
		case value == "":
			complaints = append(complaints, key+" needs a value: "+key+"=...")
		default:
			*known.text = value
		}
	}
	return w, complaints
}

func unknownBootKey(key string, keys []bootKey) string {
	var names []string
	for _, k := range keys {
		if strings.HasPrefix(k.name, "zinit.") {
			names = append(names, k.name)
		}
	}
	text := "unknown word `" + key + "`"
	if near := nearest(key, names); near != "" {
		return text + "; did you mean `" + near + "`?"
	}
	return text + "; there are " + strings.Join(names, ", ")
}

// splitBootLine splits as the kernel does (next_arg in lib/cmdline.c): a double quote anywhere in a word protects blanks; quotes are dropped.
func splitBootLine(line string) (words []string) {
	word, quoted, open := []byte(nil), false, false
	for i := range len(line) {
		switch c := line[i]; {
		case c == '"':
			quoted, open = !quoted, true
		case !quoted && (c == ' ' || c >= '\t' && c <= '\r' || c == 0):
			if open {
				words = append(words, string(word))
			}
			word, open = word[:0], false
		default:
			word, open = append(word, c), true
		}
	}
	if open {
		words = append(words, string(word))
	}
	return words
}

func (b *boot) wordSteps() (steps []bootStep) {
	text, err := b.read("/proc/cmdline")
	if err != nil {
		return []bootStep{failedStep("read /proc/cmdline", err)}
	}
	var complaints []string
	b.words, complaints = parseBootWords(text)
	for _, k := range b.words.keys() {
		switch {
		case k.on != nil && *k.on:
			steps = append(steps, bootStep{what: k.name, done: "noted"})
		case k.text != nil && *k.text != "":
			steps = append(steps, bootStep{what: k.name + "=" + *k.text, done: "noted"})
		}
	}
	for _, c := range complaints {
		steps = append(steps, failedStep("obey the kernel's command line", errors.New(c)))
	}
	return steps
}

// --- boot: kernel modules ---

// moduleTable knows the modules of the running kernel by their name, with _ for -.
type moduleTable struct {
	dir     string              // as the machine sees it: /lib/modules/RELEASE
	needs   map[string][]string // file of a module: those of what it needs
	file    map[string]string   // name: file, relative to dir
	builtin string              // the text of modules.builtin
}

// wantedModule is one line of /etc/modules: a name and its parameters.
type wantedModule struct{ name, options string }

// moduleName is how the kernel calls the module in a file: modprobe(8) takes - and _ for the same.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// parseModulesDep reads what depmod(8) wrote: "kernel/a.ko: kernel/b.ko kernel/c.ko".
func parseModulesDep(text string) (file map[string]string, needs map[string][]string) {
	file, needs = map[string]string{}, map[string][]string{}
	for _, l := range contentLines(text) {
		if name, rest, _ := strings.Cut(l.text, ":"); name != l.text && name != "" {
			file[moduleName(name)] = name
			needs[name] = strings.Fields(rest)
		}
	}
	return file, needs
}

// loadOrder lists the files to load for one module, it last. What is needed comes before what needs it, each once, also if the table has a circle.
func (t *moduleTable) loadOrder(file string) []string {
	var order []string
	seen := map[string]bool{}
	var visit func(string)
	visit = func(f string) {
		if seen[f] {
			return
		}
		seen[f] = true
		for _, need := range t.needs[f] {
			visit(need)
		}
		order = append(order, f)
	}
	visit(file)
	return order
}

// moduleTable reads the table of the running kernel.
func (b *boot) moduleTable() (*moduleTable, error) {
	_, release, _ := strings.Cut(kernelName(), " ")
	var err error
	for _, dir := range []string{"/lib/modules/", "/usr/lib/modules/"} {
		t := &moduleTable{dir: dir + release}
		var data []byte
		if data, err = os.ReadFile(b.path(t.dir + "/modules.dep")); err == nil {
			t.file, t.needs = parseModulesDep(string(data))
			t.builtin, _ = b.read(t.dir + "/modules.builtin")
			return t, nil
		}
	}
	return nil, fmt.Errorf("cannot read /lib/modules/%s/modules.dep: %w; depmod makes it", release, reasonOf(err))
}

// wantedModules reads /etc/modules and /etc/modules-load.d/*.conf: each name once.
func (b *boot) wantedModules() (wanted []wantedModule) {
	seen := map[string]bool{}
	for _, f := range append([]string{"/etc/modules"}, b.confFiles("/etc/modules-load.d")...) {
		text, err := b.read(f)
		if err != nil {
			logf(logWarn, "boot: cannot read %s: %v", f, err)
		}
		for _, l := range contentLines(text) {
			name, options, _ := strings.Cut(l.text, " ")
			if name = moduleName(name); !seen[name] {
				seen[name] = true
				wanted = append(wanted, wantedModule{name, strings.TrimSpace(options)})
			}
		}
	}
	return wanted
}

func (b *boot) moduleSteps() (steps []bootStep) {
	wanted := b.wantedModules()
	if len(wanted) == 0 {
		return nil
	}
	t, err := b.moduleTable()
	if err != nil {
		return []bootStep{failedStep("load kernel modules", err)}
	}
	for _, m := range wanted {
		s := bootStep{what: "load module " + m.name, do: func() error { return b.loadModule(t, m) }}
		if file, known := t.file[m.name]; known {
			for i, f := range t.loadOrder(file) {
				if f != file {
					s.what += [2]string{" ", " after "}[b2i(i == 0)] + moduleName(f)
				}
			}
		}
		if m.options != "" {
			s.what += " (" + m.options + ")"
		}
		if b.moduleLoaded(m.name) {
			s.done = "already loaded"
		}
		steps = append(steps, s)
	}
	return steps
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// moduleLoaded says whether the kernel has it: sysfs has a directory for each, also for most that are built in.
func (b *boot) moduleLoaded(name string) bool {
	_, err := os.Stat(b.path("/sys/module/" + name))
	return err == nil
}

// loadModule loads one with all that it needs. One that is loaded, or built into the kernel, is fine.
func (b *boot) loadModule(t *moduleTable, m wantedModule) error {
	file, known := t.file[m.name]
	if !known {
		if b.moduleLoaded(m.name) || strings.Contains(strings.ReplaceAll(t.builtin, "-", "_"), "/"+m.name+".ko") {
			return nil
		}
		return fmt.Errorf("%s/modules.dep has none of that name", t.dir)
	}
	for _, f := range t.loadOrder(file) {
		name, options := moduleName(f), ""
		if f == file {
			options = m.options
		}
		if b.moduleLoaded(name) {
			continue
		}
		if err := loadModuleFile(b.path(t.dir+"/"+f), options); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// loadModuleFile hands a file to the kernel, which unpacks it by itself if it can (Linux 5.17, CONFIG_MODULE_DECOMPRESS).
func loadModuleFile(file, options string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	packed := !strings.HasSuffix(file, ".ko")
	err = sysLoadModule(f, options, packed)
	switch {
	case err == syscall.EEXIST:
		return nil
	case packed && (err == syscall.EOPNOTSUPP || err == syscall.EINVAL || err == syscall.ENOEXEC):
		return fmt.Errorf("this kernel cannot unpack %s (%v); unpack it and run depmod", filepath.Base(file), err)
	}
	return err
}

// --- boot: host name, loopback, keys ---

func (b *boot) hostnameSteps() []bootStep {
	text, err := b.read("/etc/hostname")
	if err != nil {
		return []bootStep{failedStep("read /etc/hostname", err)}
	}
	name := ""
	if lines := contentLines(text); len(lines) > 0 { // the first line that is no comment: hostname(5)
		name = lines[0].text
	}
	s := bootStep{what: "set the host name to " + name, do: func() error { return sysSetHostname(name) }}
	if now, _ := os.Hostname(); now == name {
		s.done = "it is already"
	}
	if name == "" {
		s.what, s.done = "set the host name", "/etc/hostname has none"
	}
	if len(name) > 64 { // HOST_NAME_MAX of Linux
		s.do = func() error { return errors.New("it is longer than 64 bytes") }
	}
	return []bootStep{s}
}

func (b *boot) loopbackSteps() []bootStep {
	return []bootStep{{what: "bring up the network interface lo", do: sysLoopbackUp}}
}

func (b *boot) ctrlAltDelSteps() []bootStep {
	return []bootStep{{what: "have Ctrl-Alt-Del sent to PID 1 as SIGINT", do: func() error { return sysReboot("cad") }}}
}

// --- boot: /etc/fstab ---

// The flags of mount(2), the same on all architectures of Linux.
const (
	msReadOnly = 1 << iota
	msNoSuid
	msNoDev
	msNoExec
	msSync
	msRemount
	msMandLock
	msDirSync
	msNoSymFollow
	_
	msNoAtime
	msNoDirAtime
	msBind
	msMove
	msRec
	msSilent
	msRelAtime    = 1 << 21
	msStrictAtime = 1 << 24
	msLazyTime    = 1 << 25
)

// mountWords are the options of mount(8) that are bits for the kernel: those that the word sets and those that it clears.
var mountWords = []struct {
	word       string
	set, clear uintptr
}{
	{"ro", msReadOnly, 0}, {"rw", 0, msReadOnly}, {"nosuid", msNoSuid, 0}, {"suid", 0, msNoSuid},
	{"nodev", msNoDev, 0}, {"dev", 0, msNoDev}, {"noexec", msNoExec, 0}, {"exec", 0, msNoExec},
	{"sync", msSync, 0}, {"async", 0, msSync}, {"dirsync", msDirSync, 0}, {"remount", msRemount, 0},
	{"mand", msMandLock, 0}, {"nomand", 0, msMandLock}, {"nosymfollow", msNoSymFollow, 0}, {"symfollow", 0, msNoSymFollow},
	{"noatime", msNoAtime, 0}, {"atime", 0, msNoAtime}, {"nodiratime", msNoDirAtime, 0}, {"diratime", 0, msNoDirAtime},
	{"bind", msBind, 0}, {"rbind", msBind | msRec, 0}, {"silent", msSilent, 0}, {"loud", 0, msSilent},
	{"relatime", msRelAtime, 0}, {"norelatime", 0, msRelAtime}, {"strictatime", msStrictAtime, 0}, {"nostrictatime", 0, msStrictAtime},
	{"lazytime", msLazyTime, 0}, {"nolazytime", 0, msLazyTime},
	{"user", msNoSuid | msNoDev | msNoExec, 0}, {"users", msNoSuid | msNoDev | msNoExec, 0},
	{"owner", msNoSuid | msNoDev, 0}, {"group", msNoSuid | msNoDev, 0},
	{"defaults", 0, msReadOnly | msNoSuid | msNoDev | msNoExec | msSync},
	{"auto", 0, 0}, {"nouser", 0, 0}, // for mount(8) itself
}

// fsOptions is the fourth field of an fstab line.
type fsOptions struct {
	flags                        uintptr
	data                         string // what the file system itself understands
	noAuto, noFail, netDev, loop bool
	priority                     int // of a swap space; -1: the kernel chooses
	discard                      bool
}

// mountOptions reads options as mount(8) does; a later one beats an earlier one.
func mountOptions(text string) fsOptions {
	o := fsOptions{priority: -1}
	var data []string
next:
	for _, word := range strings.Split(text, ",") {
		for _, w := range mountWords {
			if w.word == word {
				o.flags = o.flags&^w.clear | w.set
				continue next
			}
		}
		switch key, value, _ := strings.Cut(word, "="); {
		case word == "noauto":
			o.noAuto = true
		case word == "nofail":
			o.noFail = true
		case word == "_netdev":
			o.netDev = true
		case key == "loop":
			o.loop = true
		case key == "pri":
			if n, err := strconv.Atoi(value); err == nil && n >= 0 && n <= 32767 {
				o.priority = n
			}
		case word == "" || key == "comment" || strings.HasPrefix(word, "x-") || strings.HasPrefix(word, "X-"): // notes for other programs
		default:
			o.discard = o.discard || key == "discard"
			data = append(data, word)
		}
	}
	o.data = strings.Join(data, ",")
	return o
}

// fsLine is a line of /etc/fstab: see fstab(5). Its last two fields (dump, fsck) are ignored.
type fsLine struct {
	line                          int
	source, target, kind, options string
}

// parseFstab reads the lines that can be read and complains about the rest.
func parseFstab(text string) (lines []fsLine, complaints []error) {
	for _, line := range contentLines(text) {
		f := strings.Fields(line.text)
		if len(f) < 3 {
			complaints = append(complaints, fmt.Errorf("line %d has %d words; it needs: device, directory, type, options", line.n, len(f)))
			continue
		}
		l := fsLine{line: line.n, source: unescapeOctal(f[0]), target: path.Clean(unescapeOctal(f[1])), kind: f[2], options: "defaults"}
		if len(f) > 3 {
			l.options = unescapeOctal(f[3])
		}
		if l.kind != "swap" && l.target[0] != '/' {
			complaints = append(complaints, fmt.Errorf("line %d: %s is no absolute path", line.n, quoted(l.target)))
			continue
		}
		lines = append(lines, l)
	}
	return lines, complaints
}

// unescapeOctal undoes \040 and the like, by which fstab and /proc write blanks in names.
func unescapeOctal(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil && n != 0 {
				out = append(out, byte(n))
				i += 3
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// fstabHas says whether fstab has a line for that directory.
func (b *boot) fstabHas(target string) bool {
	text, _ := b.read("/etc/fstab")
	lines, _ := parseFstab(text)
	for _, l := range lines {
		if l.target == target {
			return true
		}
	}
	return false
}

func (b *boot) fstabSteps() (steps []bootStep) {
	text, err := b.read("/etc/fstab")
	if err != nil {
		return []bootStep{failedStep("read /etc/fstab", err)}
	}
	lines, complaints := parseFstab(text)
	for _, c := range complaints {
		steps = append(steps, failedStep("read all of /etc/fstab", c))
	}
	rootLine := false
	for _, l := range lines {
		rootLine = rootLine || l.target == "/"
		steps = append(steps, b.fstabStep(l))
	}
	if !rootLine && !b.words.readOnly && b.rootIsReadOnly() {
		steps = append(steps, bootStep{what: "remount / for writing (the kernel's command line does not say ro)", do: func() error {
			return sysMount("", b.path("/"), "", msRemount, "")
		}})
	}
	return steps
}

// fstabStep says what one line asks for.
func (b *boot) fstabStep(l fsLine) bootStep {
	o := mountOptions(l.options)
	s := bootStep{what: fmt.Sprintf("mount %s on %s (%s, %s)", l.source, l.target, l.kind, l.options),
		maybe: o.noFail, do: func() error { return b.mountLine(l, o) }}
	ours := false
	for _, m := range apiMounts() {
		ours = ours || m.target == l.target && m.kind == l.kind
	}
	switch {
	case o.noAuto:
		s.done = "noauto"
	case o.netDev:
		s.done = "needs the network, which services bring up"
	case l.kind == "swap":
		s.what = fmt.Sprintf("swap on %s (%s)", l.source, l.options)
		s.do = func() error { return b.swapLine(l, o) }
	case l.kind == "ignore":
		s.done = "to be ignored"
	case o.flags&msRemount != 0: // a mount that an earlier line made
	case l.target == "/" || ours && sysMounted(b.path(l.target)):
		s.what = fmt.Sprintf("remount %s (%s)", l.target, l.options)
		s.do = func() error { return sysMount(l.source, b.path(l.target), l.kind, o.flags|msRemount, o.data) }
	case sysMounted(b.path(l.target)):
		s.done = "already mounted"
	}
	return s
}

// waitFor is until when a line may wait for its device: not at all if it may fail.
func (b *boot) waitFor(o fsOptions) time.Time {
	if o.noFail {
		return time.Time{}
	}
	return b.until
}

func (b *boot) swapLine(l fsLine, o fsOptions) error {
	dev, err := b.device(l.source, b.waitFor(o))
	if err != nil {
		return err
	}
	if err := sysSwapOn(dev, o.priority, o.discard); err != nil && err != syscall.EBUSY { // EBUSY: it is in use already
		return err
	}
	return nil
}

// mountLine mounts what a line says. A bind mount takes its flags only in a second call (mount(2), "Remounting an existing mount").
func (b *boot) mountLine(l fsLine, o fsOptions) error {
	if o.loop {
		return errors.New("loop devices are not set up here; let a oneshot service run mount")
	}
	target := b.path(l.target)
	source, err := b.device(l.source, b.waitFor(o))
	if err != nil {
		return err
	}
	if o.flags&msRemount != 0 {
		return sysMount(source, target, "", o.flags, o.data)
	}
	if o.flags&msBind == 0 {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		return b.mountAny(source, target, l.kind, o)
	}
	if info, err := os.Stat(source); err == nil && info.IsDir() {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
	}
	if err := sysMount(source, target, "", o.flags&(msBind|msRec), ""); err != nil || o.flags&^(msBind|msRec) == 0 {
		return err
	}
	return sysMount("", target, "", o.flags&^msRec|msRemount, "")
}

// mountAny mounts a device whose type may be a list, or "auto": then its first blocks tell, or else every type that the kernel knows is tried.
func (b *boot) mountAny(source, target, kind string, o fsOptions) error {
	kinds := strings.Split(kind, ",")
	if kind == "auto" || kind == "" {
		kinds = b.knownTypes()
		if f, err := os.Open(source); err == nil {
			if found, _, _ := probeDevice(f); found != "" {
				kinds = []string{found}
			}
			f.Close()
		}
	}
	var errs error
	for _, k := range kinds {
		err := b.mountOne(source, target, k, o)
		if err == nil {
			return nil
		}
		errs = errors.Join(errs, fmt.Errorf("as %s: %w", k, err))
	}
	if errs == nil {
		return errors.New("this kernel knows no file system for disks; load its module in /etc/modules")
	}
	return errors.New(strings.ReplaceAll(errs.Error(), "\n", "; "))
}

// mountOne mounts one type, with its module if the kernel lacks it, and read-only if the device or its file system is.
func (b *boot) mountOne(source, target, kind string, o fsOptions) error {
	err := sysMount(source, target, kind, o.flags, o.data)
	if err == syscall.ENODEV {
		if t, tableErr := b.moduleTable(); tableErr == nil && b.loadModule(t, wantedModule{name: moduleName(kind)}) == nil {
			err = sysMount(source, target, kind, o.flags, o.data)
		}
	}
	if (err == syscall.EROFS || err == syscall.EACCES) && o.flags&msReadOnly == 0 {
		logf(logWarn, "boot: %s cannot be written: mounting it read-only", source)
		err = sysMount(source, target, kind, o.flags|msReadOnly, o.data)
	}
	return err
}

// knownTypes lists the file systems for devices that the kernel has now.
func (b *boot) knownTypes() (kinds []string) {
	text, _ := b.read("/proc/filesystems")
	for _, line := range strings.Split(text, "\n") {
		if kind, found := strings.CutPrefix(line, "\t"); found { // others begin with "nodev"
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// --- boot: devices by name ---

// deviceTags are the ways of fstab(5) to name a device by what is on it, and the directories where a device manager has links for them.
var deviceTags = [][2]string{{"UUID", "by-uuid"}, {"LABEL", "by-label"}, {"PARTUUID", "by-partuuid"}, {"PARTLABEL", "by-partlabel"}}

// device finds what fstab or zinit.root means: a path, UUID=, LABEL= and the like. It waits until then for it to appear.
// A name that is neither (tmpfs, a tag of virtiofs, host:/dir) is given back as it is.
func (b *boot) device(source string, until time.Time) (string, error) {
	tag, value, _ := strings.Cut(source, "=")
	dir := pairOf(deviceTags, tag)
	if dir == "" && !strings.HasPrefix(source, "/") {
		return source, nil
	}
	value = strings.Trim(value, `"`)
	for {
		p := b.path(source)
		if dir != "" {
			p = b.path("/dev/disk/" + dir + "/" + value)
		}
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
		if p := b.findByContent(tag, value); p != "" {
			return p, nil
		}
		if !time.Now().Before(until) {
			return "", fmt.Errorf("there is no %s; is the module of its driver in /etc/modules?", source)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// findByContent looks at all disks for a UUID or label: without a device manager nobody else makes links for them.
func (b *boot) findByContent(tag, value string) string {
	if tag != "UUID" && tag != "LABEL" {
		return ""
	}
	disks, _ := os.ReadDir(b.path("/sys/class/block"))
	for _, d := range disks {
		size, _ := b.read("/sys/class/block/" + d.Name() + "/size")
		if strings.TrimSpace(size) == "0" || strings.HasPrefix(d.Name(), "fd") { // an empty drive is slow to say so
			continue
		}
		p := b.path("/dev/" + strings.ReplaceAll(d.Name(), "!", "/"))
		f, err := os.Open(p)
		if err != nil {
			continue
		}
		_, uuid, label := probeDevice(f)
		f.Close()
		if tag == "UUID" && strings.EqualFold(uuid, value) || tag == "LABEL" && label == value {
			return p
		}
	}
	return ""
}

// superblocks says where file systems have their mark, their UUID and their label. Offsets are in bytes from the start of the device;
// they are those of the headers in the kernel's sources, and of blkid.
var superblocks = []struct {
	kind          string
	magic         string
	at            int64
	uuid          int64
	uuidBytes     int // 16; 4 for the serial number of FAT
	label         int64
	labelMaxBytes int
}{
	{"ext4", "\x53\xef", 0x438, 0x468, 16, 0x478, 16},
	{"xfs", "XFSB", 0, 32, 16, 108, 12},
	{"btrfs", "_BHRfS_M", 0x10040, 0x10020, 16, 0x1012b, 256},
	{"vfat", "FAT32   ", 0x52, 0x43, 4, 0x47, 11},
	{"vfat", "FAT16   ", 0x36, 0x27, 4, 0x2b, 11},
	{"f2fs", "\x10\x20\xf5\xf2", 0x400, 0x46c, 16, 0, 0},
	{"erofs", "\xe2\xe1\xf5\xe0", 0x400, 0x430, 16, 0x440, 16},
	{"squashfs", "hsqs", 0, 0, 0, 0, 0},
	{"iso9660", "CD001", 0x8001, 0, 0, 0x8028, 32},
	{"swap", "SWAPSPACE2", 4086, 1036, 16, 1052, 16},
}

// probeDevice tells what is on a device; "" if it is nothing that we know.
func probeDevice(r io.ReaderAt) (kind, uuid, label string) {
	at := func(offset int64, n int) string {
		buf := make([]byte, n)
		n, _ = r.ReadAt(buf, offset)
		return string(buf[:n])
	}
	for _, s := range superblocks {
		if at(s.at, len(s.magic)) != s.magic {
			continue
		}
		label, _, _ = strings.Cut(at(s.label, s.labelMaxBytes), "\x00")
		id := at(s.uuid, s.uuidBytes)
		switch len(id) {
		case 16:
			uuid = fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
		case 4:
			uuid = fmt.Sprintf("%02X%02X-%02X%02X", id[3], id[2], id[1], id[0])
		}
		return s.kind, uuid, strings.TrimRight(label, " ")
	}
	return "", "", ""
}

// --- boot: sysctl ---

// sysctlLine is one setting of a sysctl.d(5) file.
type sysctlLine struct {
	line       int
	key, value string // key as written
	optional   bool   // it began with -: errors do not matter
}

// parseSysctl reads "key = value" lines and complains about others.
func parseSysctl(text string) (settings []sysctlLine, complaints []error) {
	for _, l := range contentLines(text) {
		key, value, found := strings.Cut(l.text, "=")
		key, optional := strings.CutPrefix(strings.TrimSpace(key), "-")
		if sysctlPath(key) == "" || !found && !optional {
			complaints = append(complaints, fmt.Errorf("line %d: %s is not KEY = VALUE", l.n, quoted(l.text)))
			continue
		}
		if found { // "-key" alone takes a key out of a pattern in other programs
			settings = append(settings, sysctlLine{l.n, key, strings.TrimSpace(value), optional})
		}
	}
	return settings, complaints
}

// sysctlPath is where a key lives below /proc/sys, or "" if it can be nowhere. The first separator decides (sysctl.d(5)):
// after a dot, dots are slashes and slashes dots; after a slash everything stays.
func sysctlPath(key string) string {
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		key = strings.NewReplacer(".", "/", "/", ".").Replace(key)
	}
	for _, part := range strings.Split(key, "/") {
		if part == "" || part == "." || part == ".." {
			return ""
		}
	}
	return key
}

func (b *boot) sysctlSteps() (steps []bootStep) {
	for _, f := range append(b.confFiles("/etc/sysctl.d"), "/etc/sysctl.conf") {
		text, err := b.read(f)
		if err != nil {
			steps = append(steps, failedStep("read "+f, err))
		}
		settings, complaints := parseSysctl(text)
		for _, c := range complaints {
			steps = append(steps, failedStep("read all of "+f, c))
		}
		for _, s := range settings {
			steps = append(steps, bootStep{what: fmt.Sprintf("set %s = %s (%s:%d)", s.key, s.value, f, s.line),
				maybe: s.optional, do: func() error { return b.setSysctl(s) }})
		}
	}
	return steps
}

// setSysctl writes a setting, or all that its pattern means. A value that the kernel refuses is an error with its reason.
func (b *boot) setSysctl(s sysctlLine) (errs error) {
	files := matchTree(b.path("/proc/sys"), strings.Split(sysctlPath(s.key), "/"))
	if len(files) == 0 {
		return errors.New("this kernel has no such setting; does it come with a module?")
	}
	for _, name := range files {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString(s.value)
			f.Close()
		}
		if err != nil {
			errs = errors.Join(errs, reasonOf(err))
		}
	}
	return errs
}

// matchTree lists the files below dir whose path fits the parts, which may be patterns of path.Match.
func matchTree(dir string, parts []string) (files []string) {
	names := []string{parts[0]}
	if strings.ContainsAny(parts[0], "*?[") {
		names = nil
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if fits, _ := path.Match(parts[0], e.Name()); fits {
				names = append(names, e.Name())
			}
		}
	}
	for _, name := range names {
		p := dir + "/" + name
		if len(parts) > 1 {
			files = append(files, matchTree(p, parts[1:])...)
			continue
		}
		if info, err := os.Stat(p); err == nil && !info.IsDir() {
			files = append(files, p)
		}
	}
	return files
}

// --- boot: random seed ---

// seedFile keeps randomness over a boot; /var/lib/misc is where the FHS has state that needs no directory of its own.
const seedFile = "/var/lib/misc/random-seed"

const seedBytes = 512 // the pool of the kernel

func (b *boot) seedSteps() []bootStep {
	s := bootStep{what: "load the random seed from " + seedFile, do: b.loadSeed}
	if _, err := os.Stat(b.path(seedFile)); err != nil {
		s.done = "there is none yet"
	}
	return []bootStep{s}
}

// loadSeed mixes the seed into the kernel's pool, without credit, and replaces it at once: the same seed must not be used in two boots.
func (b *boot) loadSeed() error {
	seed, err := os.ReadFile(b.path(seedFile))
	if err != nil {
		return err
	}
	f, err := os.OpenFile(b.path("/dev/urandom"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(seed)
	f.Close()
	if err != nil {
		return err
	}
	return b.saveSeed()
}

// saveSeed writes a new seed for the next boot, for root's eyes only. In an initramfs there is nothing to save it in.
func (b *boot) saveSeed() error {
	name := b.path(seedFile)
	if sysVolatile(b.path("/")) {
		return nil
	}
	seed := make([]byte, seedBytes)
	random, err := os.Open(b.path("/dev/urandom"))
	if err != nil {
		return err
	}
	_, err = io.ReadFull(random, seed)
	random.Close()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(seed) // in place: one block, and a torn seed is as good as any
	return errors.Join(err, f.Sync(), f.Close())
}

// --- boot: over to the root file system ---

// newRootDir is where the root file system is mounted before it becomes /.
const newRootDir = "/sysroot"

// initPlaces is where a root file system may have its init: what `init=` says, then where the kernel looks.
func (w *bootWords) initPlaces() []string {
	places := []string{"/sbin/init", "/etc/init", "/bin/init"}
	if w.init != "" {
		places = append([]string{w.init}, places...)
	}
	return places
}

func (b *boot) rootSteps() []bootStep {
	if b.words.root == "" {
		return nil
	}
	s := bootStep{what: "go over to the root file system on " + b.words.root, vital: true, do: func() error { return b.switchRoot(b.words.root) }}
	if !sysVolatile(b.path("/")) {
		s.done = "/ is a root file system already"
	}
	return []bootStep{s}
}

// rootIsReadOnly asks the kernel's list of mounts.
func (b *boot) rootIsReadOnly() bool {
	for _, m := range b.mounts() {
		if m.target == "/" && m.kind != "rootfs" {
			return containsWord(strings.ReplaceAll(m.options, ",", " "), "ro")
		}
	}
	return false
}

// switchRoot mounts a device, makes it /, deletes what was in the initramfs and executes the init that is there; or this very program,
// from memory, if there is none. It returns only when that failed; before the new / is in place everything is as it was.
func (b *boot) switchRoot(dev string) error {
	target := b.path(newRootDir)
	if !sysMounted(target) {
		if err := b.mountRoot(dev, target); err != nil {
			return err
		}
	}
	if err := makeMountpoints(target); err != nil {
		return err
	}
	self, err := os.Open("/proc/self/exe") // before it is deleted
	if err != nil {
		return err
	}
	defer self.Close()
	for _, m := range takenAlong {
		if err := moveMount(b.path(m), target+m); err != nil {
			logf(logWarn, "boot: cannot take %s along: %v", m, err)
		}
	}
	_ = sysUnmount(b.path("/tmp"), true)
	if err := sysSwitchRoot(target); err != nil {
		for _, m := range takenAlong {
			_ = moveMount(target+m, b.path(m))
		}
		return fmt.Errorf("cannot make %s the root: %w", dev, err)
	}
	serverLog.flush(time.Second)
	args, env := append([]string{"init"}, os.Args[1:]...), os.Environ()
	for _, place := range b.words.initPlaces() {
		args[0] = place
		if err := sysExec(place, args, env); !errors.Is(err, os.ErrNotExist) {
			logf(logWarn, "boot: cannot execute %s of the root file system: %v", place, err)
		}
	}
	args[0] = "init"
	return fmt.Errorf("cannot go on in the root file system: %w", sysExec("/proc/self/fd/"+strconv.Itoa(int(self.Fd())), args, env))
}

// mountRoot mounts the device with the kernel's own words for that: rootfstype, rootflags, ro.
func (b *boot) mountRoot(dev, target string) error {
	source, err := b.device(dev, time.Now().Add(deviceWait))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	o := mountOptions(b.words.rootFlags)
	if b.words.readOnly {
		o.flags |= msReadOnly
	}
	return b.mountAny(source, target, b.words.rootType, o)
}

// takenAlong are the mounts that move into the root file system, with all below them.
var takenAlong = []string{"/dev", "/proc", "/sys", "/run"}

// makeMountpoints makes what is missing for them. One that cannot be made is an error: without /dev there would not even be a console.
func makeMountpoints(root string) error {
	for _, m := range takenAlong {
		if info, err := os.Stat(root + m); err == nil && info.IsDir() {
			continue
		}
		if err := os.Mkdir(root+m, 0o755); err != nil {
			return fmt.Errorf("it has no directory %s, and none can be made: %w", m, reasonOf(err))
		}
	}
	return nil
}

func moveMount(from, to string) error {
	if !sysMounted(from) {
		return nil
	}
	return sysMount(from, to, "", msMove, "")
}

// --- boot: power-off ---

// mountEntry is a line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type mountEntry struct{ source, target, kind, options string }

// parseMountinfo reads the mounts, in the order in which they were made.
func parseMountinfo(text string) (mounts []mountEntry) {
	for _, line := range strings.Split(text, "\n") {
		left, right, _ := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if len(l) < 6 || len(r) < 2 {
			continue
		}
		m := mountEntry{source: unescapeOctal(r[1]), target: unescapeOctal(l[4]), kind: r[0], options: l[5]}
		if len(r) > 2 {
			m.options += "," + r[2]
		}
		mounts = append(mounts, m)
	}
	return mounts
}

func (b *boot) mounts() []mountEntry {
	text, _ := b.read("/proc/self/mountinfo")
	return parseMountinfo(text)
}

// toUnmount picks what must go before power-off, last mount first: all that is below the root, but not /proc, /sys and /dev, which no disk
// has to do with and which are needed until the end.
func (b *boot) toUnmount(mounts []mountEntry) (targets []string) {
	for i := len(mounts) - 1; i >= 0; i-- {
		rel, below := strings.CutPrefix(mounts[i].target, strings.TrimSuffix(b.root, "/")+"/")
		top, _, _ := strings.Cut(rel, "/")
		if below && top != "" && !containsWord("proc sys dev", top) {
			targets = append(targets, mounts[i].target)
		}
	}
	return targets
}

// unmountAll leaves no file system below the root that could lose something: unmounted, or, what is busy, read-only, or else detached.
// Then the root becomes read-only. It touches nothing if it cannot see what is mounted.
func (b *boot) unmountAll(list func() []mountEntry) {
	for range 3 { // one that goes may free another
		for _, t := range b.toUnmount(list()) {
			_ = sysUnmount(t, false)
		}
	}
	left := list()
	for _, t := range b.toUnmount(left) {
		err := sysMount("", t, "", msRemount|msReadOnly, "")
		if err == nil {
			continue
		}
		logf(logWarn, "%s is busy and cannot be made read-only: %v", t, err)
		_ = sysUnmount(t, true)
	}
	if len(left) == 0 {
		return
	}
	if err := sysMount("", b.root, "", msRemount|msReadOnly, ""); err != nil && !sysVolatile(b.root) {
		logf(logWarn, "cannot make / read-only: %v", err)
	}
}

// swapOff gives all swap spaces back, as far as memory allows.
func (b *boot) swapOff() {
	text, _ := b.read("/proc/swaps")
	for i, line := range strings.Split(text, "\n") {
		if f := strings.Fields(line); i > 0 && len(f) > 0 {
			if err := sysSwapOff(unescapeOctal(f[0])); err != nil {
				logf(logWarn, "cannot turn off swap on %s: %v", f[0], err)
			}
		}
	}
}

// onMachine says whether it is for us to power off: PID 1, and not in a pid namespace of a container. The first namespace has a fixed
// number (PROC_PID_INIT_INO of linux/proc_ns.h). Without /proc nobody knows; then reboot(2) ends the namespace, which is as good.
func onMachine() bool {
	ns, err := os.Readlink("/proc/self/ns/pid")
	return os.Getpid() == 1 && (err != nil || ns == "pid:[4026531836]")
}

// machineDown is the end, after all processes are gone: kind is poweroff, reboot or halt. Every part of it is limited in time, because a
// disk may be dead. It returns at once where the machine is not ours; on a real machine it never returns.
func machineDown(kind powerKind, w *watchdog) {
	if !onMachine() {
		return
	}
	b := newBoot("/")
	doParts([]downPart{
		{"save the random seed", func() {
			if err := b.saveSeed(); err != nil {
				logf(logWarn, "cannot save the random seed: %v", err)
			}
		}},
		{"write all to disk", sysSync},
		{"turn off swap", b.swapOff},
		{"unmount file systems", func() { b.unmountAll(b.mounts) }},
		{"write all to disk", sysSync},
	}, 15*time.Second, w)
	w.close()
	logf(logInfo, "%s", kind)
	serverLog.flush(time.Second)
	err := sysReboot(kind)
	for ; ; time.Sleep(time.Minute) {
		logf(logError, "the kernel does not do it (%s: %v); the machine can be switched off", kind, err)
	}
}

// downPart is a part of going down.
type downPart struct {
	what string
	do   func()
}

// doParts does each within the limit. The watchdog is fed meanwhile: together they may take longer than its time, but not for ever.
func doParts(parts []downPart, limit time.Duration, w *watchdog) {
	for _, part := range parts {
		_ = w.feed()
		done := make(chan struct{})
		background(part.what, func() {
			defer close(done)
			if err := guarded(func() error { part.do(); return nil }); err != nil {
				logf(logError, "cannot %s: %v", part.what, err)
			}
		})
		if !w.feedUntil(done, limit) {
			logf(logError, "gave up trying to %s", part.what)
		}
	}
}

// bounded says whether do was done within the limit. It goes on in the background if not.
func bounded(what string, limit time.Duration, do func()) bool {
	done := make(chan struct{})
	background(what, func() {
		defer close(done)
		if err := guarded(func() error { do(); return nil }); err != nil {
			logf(logError, "cannot %s: %v", what, err)
		}
	})
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// --- boot: emergency ---

// emergencyRoom is where a person mends a machine that cannot go on.
type emergencyRoom struct {
	root  string                                        // "/"
	run   func(start func() (pid int, err error)) error // starts a program and returns when it has ended
	pause time.Duration                                 // grows while shells end at once
	sleep func(time.Duration)
}

// newEmergencyRoom takes the way to run a program: waitUntilEnd, or reapUntilEnd where nobody reaps yet.
func newEmergencyRoom(run func(start func() (pid int, err error)) error) *emergencyRoom {
	return &emergencyRoom{root: "/", run: run, sleep: time.Sleep}
}

// waitUntilEnd starts a program and returns when it has ended, also if somebody else reaps it.
func waitUntilEnd(start func() (pid int, err error)) error {
	pid, err := start()
	if err != nil {
		return err
	}
	for got := 0; got == 0; got, _ = sysWaitFor(pid) {
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// reapUntilEnd is waitUntilEnd for a PID 1 that has no reaper yet: it reaps all that ends.
func reapUntilEnd(start func() (pid int, err error)) error {
	pid, err := start()
	if err != nil {
		return err
	}
	for {
		switch got, _ := sysWait(); {
		case got == pid || got < 0:
			return nil
		case got == 0:
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// consoleREPL talks to a person where there is no shell, until its input ends. What it returns is a wish: "" (try again), poweroff, reboot or halt.
var consoleREPL = plainREPL

// open says on the console what happened and gives a shell there, or consoleREPL. It returns when the person leaves it; with a growing
// delay when that happens at once, as it does without a terminal. The console is opened anew each time, since it may have hung up.
func (e *emergencyRoom) open(reason string) (wish string) {
	console, err := os.OpenFile(filepath.Join(e.root, "/dev/console"), os.O_RDWR|oNoCtty, 0)
	if err != nil {
		logf(logError, "emergency: %s; and there is no console: %v", reason, err)
		e.wait()
		return ""
	}
	defer console.Close()
	began := time.Now()
	fmt.Fprintf(console, "\r\nzinit: emergency: %s\r\n", visible(reason))
	shell := filepath.Join(e.root, "/bin/sh")
	if _, statErr := os.Stat(shell); statErr == nil {
		fmt.Fprint(console, "zinit: this is /bin/sh; mend what is wrong and leave it (exit) to try again\r\n")
		err = e.run(func() (int, error) { return sysStartOn(console, shell, []string{"sh"}, shellEnv()) })
		if err == nil {
			e.settle(began)
			return ""
		}
		fmt.Fprintf(console, "zinit: /bin/sh does not start: %v\r\n", err)
	}
	wish = consoleREPL(console)
	if wish == "" {
		e.settle(began)
	}
	return wish
}

// settle delays the next try if the room was left within a second.
func (e *emergencyRoom) settle(began time.Time) {
	if time.Since(began) >= time.Second {
		e.pause = 0
		return
	}
	e.wait()
}

func (e *emergencyRoom) wait() {
	e.pause = min(max(2*e.pause, time.Second), 30*time.Second)
	e.sleep(e.pause)
}

// shellEnv is our environment with what a shell needs.
func shellEnv() []string {
	env := os.Environ()
	for _, d := range [][2]string{{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, {"TERM", "linux"}, {"HOME", "/"}} {
		if os.Getenv(d[0]) == "" {
			env = append(env, d[0]+"="+d[1])
		}
	}
	return env
}

// plainREPL knows just enough to find out what is wrong and to go on.
func plainREPL(console io.ReadWriter) (wish string) {
	say := func(format string, args ...any) {
		fmt.Fprint(console, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\r\n"))
	}
	say("zinit: there is no /bin/sh. Words: retry, poweroff, reboot, halt, show PATH, and the commands of zinit (help)\n")
	in := bufio.NewReader(console)
	for {
		say("zinit> ")
		line, err := in.ReadString('\n')
		if err != nil {
			return ""
		}
		word, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "":
		case "retry", "exit", "quit":
			return ""
		case string(powerOff), string(powerReboot), string(powerHalt):
			return word
		case "show":
			text, err := show(arg)
			if err != nil {
				text = err.Error()
			}
			for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
				say("%s\n", visible(l))
			}
		default:
			runOnConsole(console, strings.Fields(line))
		}
	}
}

// consoleProgram is the program whose commands the line loop knows; tests, which are another one, put something else here.
var consoleProgram = ownProgram

// runOnConsole runs a command of our own program there.
func runOnConsole(console io.ReadWriter, words []string) {
	file, ok := console.(*os.File)
	if !ok {
		fmt.Fprintf(console, "no such word: %s\r\n", visible(words[0]))
		return
	}
	err := waitUntilEnd(func() (int, error) {
		return sysStartOn(file, consoleProgram(), append([]string{"zinit"}, words...), shellEnv())
	})
	if err != nil {
		fmt.Fprintf(console, "cannot run zinit %s: %v\r\n", visible(words[0]), err)
	}
}

// show gives a file (its first 64 KiB) or the names in a directory.
func show(name string) (string, error) {
	if entries, err := os.ReadDir(name); err == nil {
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return strings.Join(names, "\n"), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return string(data), err
}

// --- boot: watchdog ---

// watchdog is a device that resets the machine unless it is fed. A nil one is none.
type watchdog struct {
	file  *os.File
	every time.Duration // the pace to feed it at: a quarter of its time
}

// openWatchdog opens the device, which starts it, and asks for a time of so many seconds; a device that cannot (WDIOC_SETTIMEOUT of the
// kernel's watchdog-api) keeps its own.
func openWatchdog(name string, seconds int) (*watchdog, error) {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the watchdog: %w", err)
	}
	if got, err := sysWatchdogTimeout(f, seconds); err == nil && got > 0 {
		seconds = got
	} else {
		logf(logWarn, "watchdog %s keeps its own time: %v", name, err)
		seconds = 8
	}
	return &watchdog{f, time.Duration(seconds) * time.Second / 4}, nil
}

// feed tells the device that all is well.
func (w *watchdog) feed() error {
	if w == nil {
		return nil
	}
	_, err := w.file.WriteString("1")
	return err
}

// feedUntil feeds the device until done is closed, at most for a time, and says whether it was closed.
func (w *watchdog) feedUntil(done <-chan struct{}, limit time.Duration) bool {
	every := limit
	if w != nil {
		every = min(w.every, limit)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; {
		select {
		case <-done:
			return true
		case <-tick.C:
			if !time.Now().Before(end) {
				return false
			}
			_ = w.feed()
		}
	}
}

// close stops the device: V is the letter that says so on purpose.
func (w *watchdog) close() {
	if w != nil {
		_, _ = w.file.WriteString("V")
		w.file.Close()
	}
}
