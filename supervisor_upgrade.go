// supervisor_upgrade.go replaces this server by another one, of the same or another version, which adopts the services.

//go:build !windows

package main

import (
	"cmp"
	"fmt"
	"os"
	"time"
)

// upgradeTold answers the upgrade that waits for the keeper's word.
func (s *supervisor) upgradeTold(p packet) {
	s.mu.Lock()
	wait := s.upgrading
	s.upgrading = nil
	s.mu.Unlock()
	if wait != nil {
		wait <- p
	}
}

// upgrade goes over to another binary ("": the one on disk); nothing has happened when it returns an error. after is to be called
// once the answer is on its way.
func (s *supervisor) upgrade(binary string) (ver string, after func(), err error) {
	if s.keeper == nil {
		return s.upgradeInPlace(binary)
	}
	wait, answered := make(chan packet, 1), make(chan struct{})
	s.mu.Lock()
	busy := s.upgrading != nil
	if !busy {
		s.upgrading, s.answered = wait, answered
	}
	s.mu.Unlock()
	if busy {
		return "", nil, refuse(kindInvalidState, "another upgrade is under way")
	}
	s.keeper.send(packet{op: opUpgrade, text: binary})
	select {
	case p := <-wait:
		if p.a != 0 {
			close(answered)
			return "", nil, refuse(kindProcessError, "cannot go over to the new binary: %s", p.text)
		}
		return p.text, func() { close(answered) }, nil
	case <-time.After(upgradeTime + 2*time.Second):
		s.upgradeTold(packet{})
		close(answered)
		return "", nil, refuse(kindTimeout, "PID 1 does not answer")
	}
}

// upgradeInPlace is the upgrade of a standalone server: the same process executes the new binary, and adopts what it left.
func (s *supervisor) upgradeInPlace(binary string) (string, func(), error) {
	path := cmp.Or(binary, ownProgram())
	if s.saver.journal == nil {
		return "", nil, refuse(kindNotSupported, "the state of this server cannot be saved, so that a new binary could not adopt the services")
	}
	state, err := sysOpenState(s.statePath())
	if err != nil {
		return "", nil, refuse(kindProcessError, "cannot read the state: %v", err)
	}
	out, err := sysTryBinary(path, []string{"zinit", "server", "--check-state"}, []int{state}, 1, upgradeTime)
	_ = sysClose(state)
	ver := ""
	if err == nil {
		ver, err = provenVersion(out, false)
	}
	if err != nil {
		return "", nil, refuse(kindProcessError, "cannot go over to %s: %v", visible(path), err)
	}
	return ver, func() { background("upgrade", func() { s.goOver(path) }) }, nil
}

// goOver executes the new binary in this process. It returns only when that failed, and then all goes on as before.
func (s *supervisor) goOver(path string) {
	s.socket.pause()
	resume := s.pauseProxies()
	thaw := s.freeze()
	env, keep := os.Environ(), []int(nil)
	if rings, err := sysMemfdWith("zinit-logs", s.packRings()); err == nil {
		env, keep = append(env, ringsVar+"="+fmt.Sprint(rings)), append(keep, rings)
	}
	if fd, err := s.socket.descriptor(); err == nil {
		env, keep = append(env, fmt.Sprintf("%s=%d %s", socketVar, fd, s.socket.key())), append(keep, fd)
	}
	listeners, fds := s.listenersForNext()
	env, keep = append(env, listeners), append(keep, fds...)
	speakers, fds := s.speakersForNext()
	env, keep = append(env, speakers), append(keep, fds...)
	outputs, fds := s.outputsForNext()
	env, keep = append(env, outputs), append(keep, fds...)
	err := sysExecKeeping(path, os.Args, env, keep)
	closeAll(keep)
	s.catch()
	logf(logError, "cannot execute %s: %v; going on with the present version", visible(path), err)
	thaw()
	resume()
	s.socket.goOn()
}

// outputsVar names descriptors of the pipes that services write to, one a line, for the next image of this process: while they are open nothing is lost of what a
// service wrote that ends before the next image has opened its FIFOs by name (fifo(7)).
const outputsVar = "ZINIT_OUTPUTS"

// outputsForNext gives copies of them, and what tells the next image of this process of them, as many as fit into an entry of the environment (execve(2)).
func (s *supervisor) outputsForNext() (env string, fds []int) {
	const most = 100 << 10
	env = outputsVar + "="
	for _, fd := range s.logs.readEndsOfAll() {
		if len(env) > most {
			break
		}
		if kept, err := sysDup(fd); err == nil {
			env += fmt.Sprintln(kept)
			fds = append(fds, kept)
		}
	}
	return env, fds
}

// freeze stops the owner and the reading of logs: from here on nothing changes until thaw is called. An owner that hangs is not waited for.
func (s *supervisor) freeze() (thaw func()) {
	r := &restRequest{make(chan struct{}), make(chan struct{})}
	s.inbox.put(note{rest: r})
	select {
	case <-r.resting:
	case <-time.After(time.Second):
		logf(logWarn, "the supervisor does not come to rest")
	}
	s.logs.freeze()
	s.logs.flushLogs(300 * time.Millisecond)
	return func() {
		s.logs.thaw()
		close(r.over)
	}
}

// handover ends this server for the next one: under the keeper, which keeps everything.
func (s *supervisor) handover() {
	if s.socket != nil {
		s.socket.pause()
	}
	s.pauseProxies()
	s.mu.Lock()
	answered := s.answered
	s.mu.Unlock()
	if answered != nil {
		select {
		case <-answered:
		case <-time.After(200 * time.Millisecond):
		}
	}
	s.freeze()
	if rings, err := sysMemfdWith("zinit-logs", s.packRings()); err == nil {
		s.keeper.send(packet{op: opStore, text: ringsKey, fds: []int{rings}})
	}
	s.keeper.flush(500 * time.Millisecond)
	os.Exit(0)
}

// prepareRestart saves the state; after ends this server and leaves the services to the next one.
func (s *supervisor) prepareRestart() (file *string, names []string, after func(), err error) {
	s.view(func(g *graph, _ time.Time) {
		for _, n := range g.names() {
			if u := g.units[n]; u.state.live() && u.cfg.Kind == unitService {
				names = append(names, n)
			}
		}
	})
	if s.keeper != nil {
		return nil, names, func() { s.keeper.send(packet{op: opDo, text: "handover"}) }, nil
	}
	if s.saver.journal == nil {
		return nil, nil, nil, refuse(kindNotSupported, "the state of this server cannot be saved")
	}
	path := s.statePath()
	return &path, names, func() {
		background("restart", func() {
			s.freeze()
			_ = os.WriteFile(s.ringsFile(), s.packRings(), 0o600) // without it the rings are empty
			logf(logInfo, "ending; the services go on, and the next server adopts them")
			s.logs.flushLogs(time.Second)
			os.Exit(0)
		})
	}, nil
}
