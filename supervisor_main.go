// supervisor_main.go turns options into a running server, and ends it. What happens in between is the owner's.

//go:build !windows

package main

import (
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// load reads the directories.
func (s *supervisor) load() *loadResult {
	l := loadDirs(s.opts.systemDir, s.opts.configDirs, s.wantedInstances())
	l.warnings = append(l.warnings, shutdownWarnings(l.configs, s.opts.shutdownTimeout)...)
	const each = 2 // pipes that a service has
	descriptors := each * len(l.configs)
	background("room for descriptors", func() { sysMakeRoom(descriptors) })
	return l
}

// boot loads the services and starts what is to be started. Problems are said, and keep nothing else from starting.
func (s *supervisor) boot() {
	defer s.booted.Store(true)
	defer s.serveProxies()
	r, err := s.reloadAll(s.opts.target, false)
	if err != nil {
		return
	}
	if s.withCmd && !s.opts.dirsSet { // CMD alone needs no services
		r.Warnings = slices.DeleteFunc(r.Warnings, func(p problem) bool { return slices.Contains(s.opts.configDirs, p.Path) })
	}
	s.complain(r)
	units := 0
	s.view(func(g *graph, _ time.Time) { units = len(g.units) })
	if units == 0 && s.mode == modeSystem {
		s.keeper.send(packet{op: opDo, text: "emergency nothing could be loaded from " + strings.Join(s.opts.configDirs, ", ")})
	}
}

// reload is SIGHUP.
func (s *supervisor) reload() {
	r, err := s.reloadAll("", false)
	if err != nil {
		logf(logWarn, "reload: %v", err)
		return
	}
	s.complain(r)
	logf(logInfo, "reloaded: %d added, %d removed, %d changed, %d unchanged", len(r.Added), len(r.Removed), len(r.Changed), len(r.Unchanged))
}

func (s *supervisor) complain(r *reloadResult) {
	for _, p := range r.Errors {
		logf(logError, "%s", p)
	}
	for _, p := range r.Warnings {
		logf(logWarn, "%s", p)
	}
}

// loadPatience is how long clients wait in the queue of the socket for the first load, so that the first one already finds every service.
const loadPatience = 2 * time.Second

// serverMain is `zinit server`: the daemon, until a signal, a client or the keeper ends it. serve answers clients until what it returns is called.
// It returns the exit code.
//
// It keeps the main thread for itself, which does nothing but wait. The kernel prefers that thread for the signals of a process (complete_signal in
// kernel/signal.c), and one that hangs on a dead mount takes none: no end of a service would be seen any more.
func serverMain(opts serverOptions, serve func(*supervisor, *controlSocket) (end func())) int {
	if opts.checkState {
		return checkState(opts.checkKeeper)
	}
	if err := setLogLevel(opts.logLevel); err != nil {
		return cannotServe(err, exitUsage)
	}
	for i, d := range opts.configDirs {
		if abs, err := filepath.Abs(d); err == nil {
			opts.configDirs[i] = abs
		}
	}
	spareThreads(16) // before services can have taken all that the user or container may have
	nullFile()       // in both tables of descriptors under one number
	s := newSupervisor(opts, modeOf(opts))
	servesMachine = s.mode == modeSystem
	s.catch() // from here on a SIGTERM must clean up
	parent := !opts.keeper || !sysTrySiblings()
	if opts.keeper && parent {
		s.degraded = append(s.degraded, "the kernel refuses CLONE_PARENT, as QEMU's user emulation does: services are children of the server. If it dies they run on and are adopted, but how one ended that ended with it is not known")
	}
	s.procs = newProcs(parent)
	s.procs.succession = s.mayBeFollowed
	startOwner := s.begetOwner()
	sysPrivate()
	s.memory = newBurst(func() { s.inbox.put(note{idle: true}) })
	s.logs = newLogHub(1)
	s.logs.mark = func() { s.submit(event{kind: eventCancel}) }
	var foreign []procID // what a shell that executed us had begun
	if os.Getenv(ringsVar) == "" {
		foreign = descendantsOf(os.Getpid())
	}
	h, err := s.greet()
	if err == nil {
		s.socket, err = s.open(h)
	}
	if err != nil {
		return cannotServe(err, exitRefused)
	}
	st, h := s.inherit(h)
	s.takeOver(st, h)
	if s.withCmd {
		s.addMain(h.cmd)
	}
	startOwner()
	background("signals to services", s.sendSignals)
	s.procs.run()
	s.serveSyslog()
	endService := s.serveWhenLoaded(s.begin(st, h), serve)
	s.memory.add(1)
	s.end(s.waitForEnd(), foreign, endService)
	return exitDone
}

func cannotServe(err error, code int) int {
	logf(logError, "%v", err)
	serverLog.flush(time.Second)
	return code
}

// serveWhenLoaded has clients served as soon as the services are loaded, or that takes too long.
func (s *supervisor) serveWhenLoaded(loaded <-chan struct{}, serve func(*supervisor, *controlSocket) (end func())) (end func()) {
	if s.socket == nil {
		return func() {}
	}
	select {
	case <-loaded:
	case <-time.After(loadPatience):
		logf(logWarn, "the services directory does not answer; clients are served without what is in it")
	}
	end = serve(s, s.socket)
	logf(logInfo, "zinit %s is listening on %s", version, s.opts.socket)
	return end
}

// end is what a server does after the last service has ended. endService comes as late as this: clients want to see that.
func (s *supervisor) end(e effect, foreign []procID, endService func()) {
	if s.keeper == nil {
		mayLeave := map[string]bool{}
		s.view(func(g *graph, _ time.Time) {
			for name, u := range g.units {
				mayLeave[name] = u.cfg.Lifecycle.KillMode == killProcess
			}
		})
		s.procs.killOrphans(foreign, mayLeave)
	}
	if e.incomplete {
		logf(logError, "some processes did not end even after SIGKILL")
	}
	s.shutProxies()
	logf(logInfo, "all services are stopped")
	s.logs.flushLogs(time.Second)
	s.cgroups.tidy(nil)
	endService()
	s.forgetState()
	if s.keeper != nil {
		s.keeper.send(packet{op: opDone, a: int64(e.sig), text: e.text})
		<-s.abandoned // the keeper ends us
	}
}

// catch has the signals reported that mean something to a server. SIGPIPE means nothing, but must be caught: one comes for each client that is gone before its
// answer, and os/signal drops what finds a channel full, so it has one of its own.
func (s *supervisor) catch() {
	signal.Notify(s.signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

// begetOwner starts the goroutine of the owner, on a thread with its own table of descriptors, while few are open. It begins its work when the returned function
// is called; until then all that is the owner's belongs to the caller.
func (s *supervisor) begetOwner() (own func()) {
	made, begin := make(chan struct{}), make(chan struct{})
	passed := passedOn()
	for _, fd := range passed {
		sysCloexec(fd)
	}
	background("supervisor", func() {
		debug.SetPanicOnFault(true) // a page of the state that the disk does not give is an error, not the end
		s.table = newForkTable(s.procs.pidfdOf)
		if s.table.apart {
			closeAll(passed) // the copies in our table
		}
		close(made)
		<-begin
		if j := s.saver.journal; j != nil {
			if fds := s.table.take(0); len(fds) == 1 {
				j.fd = fds[0]
			}
		}
		s.run(nil)
	})
	<-made
	s.procs.execute, s.procs.handOff = s.execute, s.table.giveBack
	return func() {
		if j := s.saver.journal; j != nil {
			if err := s.table.give(0, []int{j.fd}); err != nil {
				logf(logError, "the state cannot grow: %v", err)
			}
		}
		close(begin)
	}
}

func modeOf(o serverOptions) serverMode {
	switch {
	case o.keeper && o.container:
		return modeContainer
	case o.keeper:
		return modeSystem
	}
	return modeStandalone
}

// greet takes what the keeper, or an earlier image of this process, hands over.
func (s *supervisor) greet() (handed, error) {
	if !s.opts.keeper {
		h := handed{store: map[string][]int{}}
		for _, name := range []string{socketVar, listenersVar, speakersVar} {
			for _, line := range strings.Split(os.Getenv(name), "\n") {
				number, key, _ := strings.Cut(line, " ")
				if fd, err := strconv.Atoi(number); err == nil {
					h.store[key] = []int{fd}
				}
			}
			os.Unsetenv(name)
		}
		return h, nil
	}
	l, err := newLink(keeperLink)
	if err != nil {
		return handed{}, fmt.Errorf("cannot talk to the keeper: %w", err)
	}
	h, err := greet(l)
	if err != nil {
		return h, fmt.Errorf("the keeper does not say what there is: %w", err)
	}
	s.keeper = l
	return h, nil
}

// passedOn lists the descriptors that an earlier image of this process left open for us.
func passedOn() (fds []int) {
	for _, name := range []string{ringsVar, socketVar, listenersVar, speakersVar, outputsVar} {
		fds = append(fds, passedIn(name)...)
	}
	return fds
}

// passedIn lists those that one variable names.
func passedIn(name string) (fds []int) {
	for _, line := range strings.Split(os.Getenv(name), "\n") {
		number, _, _ := strings.Cut(line, " ")
		if fd, err := strconv.Atoi(number); err == nil {
			fds = append(fds, fd)
		}
	}
	return fds
}

// socketVar names the descriptor of the control socket, and its key, for the next image of this process.
const socketVar = "ZINIT_CONTROL"

// open takes the control socket that was handed over, or makes one. Under the keeper the services matter more than the socket: without one they
// run all the same.
func (s *supervisor) open(h handed) (*controlSocket, error) {
	for key, fds := range h.store {
		if !strings.HasPrefix(key, socketKey) || len(fds) != 1 {
			continue
		}
		delete(h.store, key)
		socket, err := takeControl(s.opts, key, fds[0])
		if err == nil {
			s.opts.socket = socket.path
			return socket, nil
		}
		logf(logWarn, "the control socket of the last server cannot be used any more (%v); making a new one", err)
		if s.keeper != nil {
			s.keeper.send(packet{op: opDrop, text: key})
		}
	}
	paths := []string{s.opts.socket}
	if s.opts.keeper && !s.opts.socketSet {
		paths = keeperSockets()
	}
	var firstErr error
	for _, p := range paths {
		o := s.opts
		o.socket = p
		socket, err := listenControl(o)
		if err == nil {
			s.opts.socket = p
			if firstErr != nil {
				s.degraded = append(s.degraded, fmt.Sprintf("the socket is %s (%v)", p, firstErr))
			}
			s.keepSocket(socket)
			return socket, nil
		}
		if firstErr == nil {
			firstErr = err
		}
	}
	if s.opts.keeper {
		logf(logWarn, "%v; the services run, but nobody can ask or command", firstErr)
		return nil, nil
	}
	return nil, firstErr
}

// keepSocket has the keeper hold the socket for the next server.
func (s *supervisor) keepSocket(socket *controlSocket) {
	if s.keeper == nil {
		return
	}
	fd, err := socket.descriptor()
	if err != nil {
		logf(logWarn, "the control socket cannot be kept for the next server: %v", err)
		return
	}
	s.keeper.sendNow(packet{op: opStore, text: socket.key(), fds: []int{fd}}, linkTime)
	_ = sysClose(fd)
}

// inherit takes over what an earlier server left: from the keeper, or from the files beside the socket. A nil state is a fresh start.
func (s *supervisor) inherit(h handed) (*savedState, handed) {
	s.bootID = sysBootID()
	s.proxies.takeHanded(h.store)
	if _, err := readStat(os.Getpid()); err != nil {
		s.degraded = append(s.degraded, "there is no /proc: CPU and memory of services are unknown, and what leaves the process group of a service is not found")
	}
	if !s.opts.keeper {
		st := s.keepState()
		if st != nil {
			maps.Copy(h.store, s.fifoStore(st))
			s.takeRings(nil)
		}
		closeAll(passedIn(outputsVar)) // now they are open by their names
		os.Unsetenv(outputsVar)
		return st, h
	}
	s.withCmd = s.opts.withCmd
	var st *savedState
	if fd := keeperState; sysIsFile(fd) {
		if s.opts.discardState {
			logf(logError, "servers died again and again with the saved state: what it describes is stopped, and everything is started anew")
		}
		st = s.openState(fd, s.opts.discardState)
	} else {
		s.discard()
	}
	s.takeRings(h.store[ringsKey])
	delete(h.store, ringsKey)
	s.keeper.send(packet{op: opDrop, text: ringsKey})
	s.openSyslog(h.store)
	if st == nil {
		for key, fds := range h.store {
			closeAll(fds)
			s.keeper.send(packet{op: opDrop, text: key})
		}
		for _, e := range h.exits {
			s.acks.ready = append(s.acks.ready, e.seq)
		}
	}
	return st, h
}

// Descriptors that the keeper gives the server.
const (
	keeperLink  = 3
	keeperState = 4
)

// begin starts what is to be started, or lets what was adopted go on. What it returns is closed when the services are loaded.
func (s *supervisor) begin(st *savedState, h handed) <-chan struct{} {
	loaded := make(chan struct{})
	if s.withCmd {
		background("wait for CMD", s.waitForMain)
	}
	if s.keeper != nil {
		background("keeper", s.follow)
		if h.plan != "" {
			s.obey(h.plan)
		}
		if c := h.closing; c != nil {
			s.submit(event{kind: eventShutdown, power: powerKind(c.text), sig: int(c.a), timeout: time.Duration(max(c.b, 1)) * time.Millisecond})
		}
		s.keeper.send(packet{op: opLive})
	}
	if st == nil || s.keeper == nil || !st.server.Loaded {
		background("boot", func() { s.boot(); close(loaded) })
		return loaded
	}
	s.booted.Store(true)
	background("proxies", s.serveProxies)
	s.submit(event{kind: eventCancel})
	close(loaded)
	return loaded
}

// waitForEnd takes signals until the shutdown that one of them, or a client, began is complete. A second SIGTERM or SIGINT kills at once.
func (s *supervisor) waitForEnd() effect {
	asked := false
	for {
		select {
		case e := <-s.finished:
			return e
		case sig := <-s.signals:
			switch sig {
			case syscall.SIGHUP:
				background("reload", s.reload)
			case syscall.SIGTERM, syscall.SIGINT:
				if s.keeper != nil {
					if sig == syscall.SIGTERM {
						s.handover()
					}
					continue
				}
				kind := eventShutdown
				if asked {
					kind = eventShutdownNow
				}
				asked = true
				logf(logInfo, "stopping all services")
				s.submit(event{kind: kind, power: powerExit})
			}
		}
	}
}

// serverOptions is what the flags and the environment say about a server. Zero values stand for "not said",
// except configDirs and socket, which have their defaults.
type serverOptions struct {
	socket          string
	socketSet       bool // by flag or environment
	configDirs      []string
	dirsSet         bool // by flag or environment
	systemDir       string
	logLevel        string
	logFormat       string
	socketMode      os.FileMode
	socketGroup     string
	shutdownTimeout time.Duration
	limitSet        bool // by flag or environment

	keeper       bool // we run under `zinit init`: the link is descriptor 3, the state 4
	container    bool
	discardState bool   // what the state describes is stopped, not adopted
	checkState   bool   // say whether the state on descriptor 3 can be read, nothing else …
	checkKeeper  bool   // … but for what the keeper holds, on descriptor 4
	target       string // what to start instead of everything with status start
	withCmd      bool
	cmdWait      time.Duration
}
