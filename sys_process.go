// sys_process.go holds the types that system calls about processes take and return, for every system that has a server.

//go:build !windows

package main

import (
	"errors"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"time"
)

var errNotSupported = errors.New("not supported on this system")

// spec is everything that the kernel must be told to execute a program.
type spec struct {
	Path                  string
	Argv, Env             []string
	Dir                   string      // "" = the server's own
	Stdin, Stdout, Stderr int         // descriptors; -1 = /dev/null
	UID, GID              int         // -1 = keep
	Groups                []int       // supplementary groups; used when UID or GID is not -1
	helper                bool        // serves a service, and leads no session
	Extra                 []int       // descriptors from 3 on; -1 = none
	stage                 *stageStart // what the process does before it executes the program; nil: nothing
}

// stageOrder is all that a stage is to do. What is zero is left as it was inherited.
type stageOrder struct {
	Name       string
	Path       string // "": to be looked for below Chroot
	Argv, Env  []string
	Dir        string
	Switch     bool // become UID, GID and Groups
	UID, GID   uint32
	Groups     []uint32
	Rlimits    map[string]uint64 // by their keys in [limits]
	Nice, OOM  *int64
	Umask      *int64
	NoNewPrivs bool
	Caps       []string
	Chroot     string
	Cgroup     string   // directory of the control group to enter
	TTY        string   // terminal to have instead of the descriptors 0 to 2
	SetPID     []string // names of variables that get the pid of the process

	procs *os.File // of Cgroup, opened before the root changes
}

// stageStart is the way of one service through a stage, as the server sees it. A nil one is none.
type stageStart struct {
	order  stageOrder
	fds    []int    // the order, and where the report is written, for the child
	given  *os.File // … what keeps the second one open
	report *os.File // ends when the program is executed
}

// files are the descriptors of the child from 0 on.
func (sp *spec) files() []uintptr {
	fds := []uintptr{0, 0, 0}
	for i, fd := range [3]int{sp.Stdin, sp.Stdout, sp.Stderr} {
		if fd < 0 {
			fd = nullFile()
		}
		fds[i] = uintptr(fd)
	}
	for _, fd := range sp.Extra {
		fds = append(fds, uintptr(fd)) // -1: closed
	}
	return fds
}

// ids are the user to become; switched is false when we stay who we are. What is not given stays as it is.
func (sp *spec) ids() (uid, gid uint32, groups []uint32, switched bool) {
	if sp.UID < 0 && sp.GID < 0 {
		return 0, 0, nil, false
	}
	uid, gid = uint32(os.Geteuid()), uint32(os.Getegid())
	if sp.UID >= 0 {
		uid = uint32(sp.UID)
	}
	if sp.GID >= 0 {
		gid = uint32(sp.GID)
	}
	for _, g := range sp.Groups {
		groups = append(groups, uint32(g))
	}
	return uid, gid, groups, true
}

// file is the program as we see it: a relative path counts from the working directory that the child will have.
func (sp *spec) file() string {
	if sp.Dir == "" || path.IsAbs(sp.Path) {
		return sp.Path
	}
	return path.Join(sp.Dir, sp.Path)
}

// nullFile is /dev/null for all services, opened once; where there is none, the read end of a closed pipe: reading ends at once, writing fails.
var nullFile = sync.OnceValue(func() int {
	if fd, err := sysOpenNull(); err == nil {
		return fd
	}
	r, w, err := os.Pipe()
	if err != nil {
		return -1
	}
	w.Close()
	keepOpen.Store(r)
	return int(r.Fd())
})

// keepOpen holds the file behind nullFile, which nobody else refers to.
var keepOpen atomic.Pointer[os.File]

// procID is a process that we know to descend from a service; the start time tells it from a later one with the same pid.
type procID struct {
	pid   int
	start uint64
}

// stat is what the kernel tells of a process, if it still runs.
func (k procID) stat() (st procStat, runs bool) {
	st, err := readStat(k.pid)
	return st, err == nil && st.Start == k.start && !st.dead()
}

// descendantsOf lists all descendants of pid with their start times.
func descendantsOf(pid int) []procID {
	pids := sysChildren(nil, pid)
	var all []procID
	for i := 0; i < len(pids); i++ {
		if st, err := readStat(pids[i]); err == nil {
			all = append(all, procID{st.PID, st.Start})
			pids = sysChildren(pids, st.PID)
		}
	}
	return all
}

// procStat is what the kernel tells about any process without asking the process.
type procStat struct {
	PID, PPID, PGID, Session int
	Comm                     string
	State                    byte // R S D Z X T …
	Start                    uint64
	CPU                      time.Duration
	Threads                  int
	Memory                   int64 // resident bytes
	Kernel                   bool  // a kernel thread
}

// dead reports whether the process has ended and was not reaped yet. If only its first thread has ended, others still run or hold its files.
func (st *procStat) dead() bool { return st.State == 'X' || st.State == 'Z' && st.Threads <= 1 }

// Age is how long the process lives.
func (st *procStat) Age() time.Duration { return sysAge(st.Start) }

// closeAll closes descriptors.
func closeAll(fds []int) {
	for _, fd := range fds {
		_ = sysClose(fd)
	}
}
