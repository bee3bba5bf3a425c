// proc_limits.go has a service begin in the stage: this program, executed between its fork and its own program, which applies [limits] and tty. It applies nothing itself.

//go:build !windows

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stageName is the first word of the command line of a stage. Behind it stand the number of the first of its descriptors, and whose it is.
const stageName = "zinit-stage"

// stageLimit is how long a stage may take for the program of a helper.
const stageLimit = 30 * time.Second

// stageReport is why a stage could not execute the program.
type stageReport struct {
	Text  string
	Errno syscall.Errno // 0: it was none
}

// stageOf returns what a stage must do for services of c, or nil if there is nothing to do. at is called with the chroot directory before it is examined, which may block.
func stageOf(c *config, at func(string)) (*stageStart, error) {
	tty, l := c.Service.TTY, c.Limits
	if l == nil {
		if tty == "" {
			return nil, nil
		}
		l = &limitsDef{}
	}
	o := stageOrder{TTY: tty, Rlimits: map[string]uint64{}, Nice: l.Nice, OOM: l.OOMScoreAdj, Caps: l.Caps}
	for key, value := range map[string]*int64{"nofile": l.Nofile, "nproc": l.Nproc, "core": l.Core, "as": l.As, "memlock": l.Memlock} {
		if value != nil {
			o.Rlimits[key] = uint64(*value) // -1 is RLIM_INFINITY
		}
	}
	if l.Umask != nil {
		n, err := strconv.ParseInt(*l.Umask, 8, 32)
		if err != nil {
			return nil, cannotExec(nil, "limits.umask: %v", err)
		}
		o.Umask = &n
	}
	o.NoNewPrivs = l.NoNewPrivs != nil && *l.NoNewPrivs
	if l.Chroot != nil {
		o.Chroot = *l.Chroot
		at(o.Chroot)
		if err := checkDir(o.Chroot); err != nil {
			return nil, cannotExec(err, "limits.chroot: %v", err)
		}
	}
	if tty == "" && len(o.Rlimits) == 0 && o.Nice == nil && o.OOM == nil && o.Umask == nil && !o.NoNewPrivs && len(o.Caps) == 0 && o.Chroot == "" {
		return nil, nil
	}
	return &stageStart{order: o}, nil
}

// withoutTerminal is the same stage without the terminal, for helpers of the service.
func (g *stageStart) withoutTerminal() *stageStart {
	if g == nil || g.order.TTY == "" {
		return g
	}
	other := *g
	other.order.TTY = ""
	return &other
}

// chroot says whether the program is to be looked for in another root than ours.
func (g *stageStart) chroot() bool { return g != nil && g.order.Chroot != "" }

// open makes what the server and the stage of sp have in common: the order, in a file in memory, and a pipe for the report.
func (g *stageStart) open(sp *spec) error {
	if g == nil {
		return nil
	}
	if !haveProc() { // by any other name it might be the program of somebody else
		return cannotExec(nil, "limits, a terminal and passed sockets need /proc, where our own program is found: mount it")
	}
	o := &g.order
	o.Name, o.Path, o.Argv, o.Env, o.Dir = sp.variable("ZINIT_SERVICE"), sp.Path, sp.Argv, sp.Env, sp.Dir
	o.UID, o.GID, o.Groups, o.Switch = sp.ids()
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	order, err := sysMemfdWith("zinit-stage", data)
	if err != nil {
		return cannotExec(errnoOf(err), "no file for the limits of the service: %v", err)
	}
	if g.report, g.given, err = os.Pipe(); err != nil {
		_ = sysClose(order)
		return cannotExec(errnoOf(err), "no pipe for the limits of the service: %v", err)
	}
	g.fds = []int{order, int(g.given.Fd())}
	return nil
}

// passed closes what the child has got.
func (g *stageStart) passed() {
	if g != nil && g.given != nil {
		_ = sysClose(g.fds[0])
		g.given.Close()
		g.given = nil
	}
}

// close gives up a stage that was not forked, or has reported.
func (g *stageStart) close() {
	if g != nil && g.report != nil {
		g.passed()
		g.report.Close()
	}
}

// wait returns nil when the program of the service is executed, or why it is not. At the limit, and soon after hurry, it gives up; then the process may still be there.
func (g *stageStart) wait(limit time.Duration) error {
	defer g.close()
	late := later(limit, "stage", g.hurry)
	defer late.Stop()
	data, err := io.ReadAll(g.report)
	var r stageReport
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return cannotExec(nil, "its [limits] or its program cannot be reached: %s does not answer", visible(cmp.Or(g.order.Chroot, g.order.Path)))
	case len(data) == 0:
		return nil
	case json.Unmarshal(data, &r) != nil || r.Text == "":
		return cannotExec(nil, "its [limits] could not be applied")
	case r.Errno == 0:
		return cannotExec(nil, "%s", r.Text)
	}
	return cannotExec(r.Errno, "%s", r.Text)
}

// hurry makes wait return within 100 ms, when the service is no longer wanted.
func (g *stageStart) hurry() {
	const soon = 100 * time.Millisecond
	_ = g.report.SetReadDeadline(time.Now().Add(soon))
}

// program is what is executed instead of sp: the stage. Of the environment it has only what says whose process it is: the rest could mean something to us.
func (g *stageStart) program(sp *spec) *spec {
	run := *sp
	run.Path, run.Argv = "/proc/self/exe", []string{stageName, strconv.Itoa(3 + len(sp.Extra)), g.order.Name}
	run.Env = slices.DeleteFunc(slices.Clone(sp.Env), func(entry string) bool {
		return !strings.HasPrefix(entry, "ZINIT_SERVICE=") && !strings.HasPrefix(entry, "ZINIT_INVOCATION_ID=")
	})
	run.Dir, run.UID, run.GID = "", -1, -1
	run.Extra = slices.Concat(sp.Extra, g.fds)
	return &run
}

// lend lists the descriptors that the thread that forks must have for sp, and borrow takes them there.
func (sp *spec) lend() []int {
	fds := []int{sp.Stdout, sp.Stderr}
	if sp.Stdin >= 0 {
		fds = append(fds, sp.Stdin)
	}
	fds = append(fds, present(sp.Extra)...)
	if sp.stage != nil {
		fds = append(fds, sp.stage.fds...)
	}
	return fds
}

func (sp *spec) borrow(fds []int) bool {
	if len(fds) != len(sp.lend()) {
		return false
	}
	sp.Stdout, sp.Stderr, fds = fds[0], fds[1], fds[2:]
	if sp.Stdin >= 0 {
		sp.Stdin, fds = fds[0], fds[1:]
	}
	for i, fd := range sp.Extra {
		if fd >= 0 {
			sp.Extra[i], fds = fds[0], fds[1:]
		}
	}
	if sp.stage != nil {
		mine := *sp.stage
		mine.fds = fds
		sp.stage = &mine
	}
	return true
}

// giveAt has the child get a descriptor under a number from 3 on.
func (sp *spec) giveAt(at, fd int) {
	for len(sp.Extra) <= at-3 {
		sp.Extra = append(sp.Extra, -1)
	}
	sp.Extra[at-3] = fd
}

// present are those of some descriptors that are there.
func present(fds []int) []int {
	return slices.DeleteFunc(slices.Clone(fds), func(fd int) bool { return fd < 0 })
}

// variable is a value of the environment.
func (sp *spec) variable(name string) string {
	for _, entry := range sp.Env {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			return v
		}
	}
	return ""
}
