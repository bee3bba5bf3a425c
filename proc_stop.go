// proc_stop.go signals services: whom a signal, a stop and a kill reach. What becomes of what is left when a main process has ended is for proc_sweep.go.

//go:build !windows

package main

import (
	"errors"
	"slices"
	"syscall"
)

// signal sends sig to the main process, or to all of the service: its process group, and what has left it. errGone: there is no main process any more.
func (p *process) signal(sig int, all bool) error {
	if !all {
		p.t.mu.Lock()
		defer p.t.mu.Unlock()
		return p.send(sig, false)
	}
	p.t.noteDescendants(p)
	p.t.noteStrays(p)
	p.t.mu.Lock()
	err := p.send(sig, true)
	p.t.mu.Unlock()
	if err != nil {
		return err
	}
	group := p.groupNow().pid
	p.relativesMu.Lock()
	defer p.relativesMu.Unlock()
	for _, r := range p.relatives {
		if st, runs := r.stat(); runs && st.PGID != group {
			_ = sysKillOne(r.procID, sig)
		}
	}
	return nil
}

// stop asks a service to end by sig: all of it, or the main process only, as its mode says. From here on what is left has time until kill.
func (p *process) stop(sig int) { p.t.stop([]*process{p}, []int{sig}) }

// stop stops many, each with its own signal. Their descendants are listed before; that takes a look at /proc, and strays another one, for which no main process waits.
func (t *procs) stop(all []*process, sigs []int) {
	t.prepareStop(all, sigs)
	var wide []*process
	t.mu.Lock() // once for all: the reaper, which wants it too, has nothing to do before
	for i, p := range all {
		if group := p.mode == killGroup; p.send(sigs[i], group) == nil && group {
			p.asked = true
		}
	}
	t.mu.Unlock()
	for i, p := range all {
		if p.mode == killGroup {
			p.askRelatives(sigs[i])
			wide = append(wide, p)
		}
	}
	for p := range t.noteStrays(wide...) {
		p.askRelatives(p.stopSig)
	}
}

// prepareStop notes that these are about to be asked to end, by this signal or in a way of their own: what is left when a main process has ended is asked then.
func (t *procs) prepareStop(all []*process, sigs []int) {
	t.noteDescendants(withLeftovers(all)...)
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, p := range all {
		p.stopping, p.stopSig = true, sigs[i]
	}
}

// withLeftovers are those whose end is the end of all that belongs to them.
func withLeftovers(all []*process) []*process {
	return slices.DeleteFunc(slices.Clone(all), func(p *process) bool { return p.mode == killProcess })
}

// askRelatives sends the stop signal to the relatives that have not got it yet. Those in the process group got it with that.
func (p *process) askRelatives(sig int) {
	group := p.groupNow().pid
	p.relativesMu.Lock()
	defer p.relativesMu.Unlock()
	for i := range p.relatives {
		r := &p.relatives[i]
		if st, runs := r.stat(); runs && !r.asked && st.PGID != group {
			_ = sysKillOne(r.procID, sig)
		}
		r.asked = true
	}
}

// kill sends SIGKILL to everything that is left, and goes on doing so until nothing is; in mode process to the main process only.
func (p *process) kill() { p.t.kill([]*process{p}) }

func (t *procs) kill(all []*process) {
	t.noteDescendants(withLeftovers(all)...)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range all {
		p.markKilled()
		_ = p.send(sigKill, p.mode != killProcess)
		t.queue(p)
	}
}

// send signals the main process or its group, under mu, and only while the main process has not been reaped.
func (p *process) send(sig int, group bool) error {
	if p.ended || (p.adopted || !p.t.parent) && p.pidfd < 0 && !p.stillThere() {
		return errGone
	}
	var err error
	switch {
	case !group:
		err = sysKillMain(p.pid, p.pidfd, sig)
	case p.group.pid != 0:
		err = p.sendGroup(sig)
	default:
		err = sysKillGroup(p.pid, p.pidfd, sig)
	}
	if errors.Is(err, syscall.ESRCH) {
		return errGone
	}
	return err
}
