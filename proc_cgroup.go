// proc_cgroup.go gives a service a control group of its own (cgroup v2, cgroups(7)), which limits it, finds and kills all of it, and counts what it uses. It decides about no service.

//go:build !windows

package main

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupKeys are the keys of [limits] that need a control group: the controller, its file, and what is written there. A group without a limit is written "max".
var cgroupKeys = []struct {
	key, controller, file string
	text                  func(l *limitsDef) string
}{
	{"memory_max_bytes", "memory", "memory.max", func(l *limitsDef) string { return cgroupMax(l.MemoryMax, 1, "") }},
	{"cpu_max_percent", "cpu", "cpu.max", func(l *limitsDef) string { return cgroupMax(l.CPUMax, 1000, " 100000") }}, // µs in each 100 ms
	{"pids_max", "pids", "pids.max", func(l *limitsDef) string { return cgroupMax(l.PidsMax, 1, "") }},
}

func cgroupMax(value *int64, factor int64, rest string) string {
	if value == nil || *value == 0 {
		return "max"
	}
	return strconv.FormatInt(*value*factor, 10) + rest
}

// wantsCgroup says whether services of c get a control group: where one of the keys for it is set. To enter one takes the kernel 5 to 15 ms, and a start without takes 1.
func (c *config) wantsCgroup() bool {
	l := c.Limits
	return l != nil && (l.MemoryMax != nil || l.CPUMax != nil || l.PidsMax != nil)
}

// cgroups is where the control groups of services are made: in a directory below the group in which this server was started.
type cgroups struct {
	name  string // of the directory: two servers in one group must not take the services of the other for theirs
	root  int    // all that descends from it is ours
	all   bool   // all processes beside us are: we serve a container
	mu    sync.Mutex
	ready bool
}

// newCgroups is for a server with that socket; keeper: it runs under `zinit init`, container: of a container.
func newCgroups(socket string, keeper, container bool) *cgroups {
	if !keeper {
		return &cgroups{name: fmt.Sprintf("zinit.%08x", crc32.ChecksumIEEE([]byte(socket))), root: os.Getpid()}
	}
	return &cgroups{name: "zinit", root: os.Getppid(), all: container}
}

// cgroupInit is the group that we go to when services get groups: the kernel hands controllers only to children of a group that has no processes itself.
const cgroupInit = "zinit.init"

// own is the control group in which this server was started.
func (c *cgroups) own() string {
	dir := sysCgroup(os.Getpid())
	if path.Base(dir) == cgroupInit {
		return path.Dir(dir)
	}
	return dir
}

// usable says where groups can be made, and of which keys the controllers are not there; or why none can be made.
func (c *cgroups) usable() (dir string, missing []string, err error) {
	own := c.own()
	if own == "" {
		return "", nil, errors.New("there is no cgroup v2 in /sys/fs/cgroup")
	}
	if err := unix.Access(own, unix.W_OK); err != nil {
		return "", nil, fmt.Errorf("%s: %w", own, err)
	}
	dir = path.Join(own, c.name)
	have, err := os.ReadFile(dir + "/cgroup.controllers")
	if err != nil {
		have, _ = os.ReadFile(own + "/cgroup.controllers")
	}
	for _, k := range cgroupKeys {
		if !slices.Contains(strings.Fields(string(have)), k.controller) {
			missing = append(missing, k.key)
		}
	}
	return dir, missing, nil
}

// says is what `info` tells of it: where the groups are, and what does not work here.
func (c *cgroups) says() (where, lacks string) {
	dir, missing, err := c.usable()
	switch {
	case err != nil:
		return "none", fmt.Sprintf("services get no control groups (%v): memory_max_bytes, cpu_max_percent and pids_max are not applied, and what leaves its session, wipes its environment and loses its parent in an unexpected death is not found", err)
	case missing != nil:
		return dir, fmt.Sprintf("%s lacks controllers: %s not applied; control groups only find and kill what belongs to a service", path.Dir(dir), strings.Join(missing, ", ")+map[bool]string{true: " is", false: " are"}[len(missing) == 1])
	}
	return dir, ""
}

// prepare makes the directory, once, and has the kernel hand controllers down to it. What it does not hand down is seen when a limit is set.
func (c *cgroups) prepare() (dir string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if dir, _, err = c.usable(); err != nil || c.ready {
		return dir, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, syscall.EEXIST) {
		return "", err
	}
	own := path.Dir(dir)
	for range 10 { // what is forked meanwhile is moved in the next round
		if servesMachine || sysExists(own+"/cgroup.type") { // the root of all may have processes
			c.moveOurs(own)
		}
		if !errors.Is(handDown(own), syscall.EBUSY) {
			break
		}
	}
	_ = handDown(dir)
	c.ready = true
	return dir, nil
}

// moveOurs brings us and what is ours out of a group that is to hand controllers down.
func (c *cgroups) moveOurs(own string) {
	to := leaf(path.Join(own, cgroupInit))
	_ = os.Mkdir(string(to), 0o755)
	ours := []int{c.root}
	for _, k := range descendantsOf(c.root) {
		ours = append(ours, k.pid)
	}
	for _, pid := range cgroupProcs(own) {
		if c.all || slices.Contains(ours, pid) {
			_ = to.write("cgroup.procs", strconv.Itoa(pid))
		}
	}
}

// handDown enables the controllers that there are for the children of a group. An error that matters is EBUSY: there are processes in it.
func handDown(dir string) error {
	var errs []error
	have, _ := os.ReadFile(dir + "/cgroup.controllers")
	for _, k := range cgroupKeys {
		if slices.Contains(strings.Fields(string(have)), k.controller) {
			errs = append(errs, leaf(dir).write("cgroup.subtree_control", "+"+k.controller))
		}
	}
	return errors.Join(errs...)
}

// make makes the control group of a service with its limits. problems are what cannot be had of them here. Processes left in it by an earlier start are killed, except in mode process.
func (c *cgroups) make(cfg *config) (f leaf, problems []string) {
	dir, err := c.prepare()
	if err == nil {
		f = leaf(path.Join(dir, cfg.Service.Name))
		for end := time.Now().Add(time.Second); cfg.Lifecycle.KillMode != killProcess && f.remove() != nil && time.Now().Before(end); time.Sleep(leftoverPace / 10) {
			f.kill()
		}
		if err = os.Mkdir(string(f), 0o755); errors.Is(err, syscall.EEXIST) {
			err = nil
		}
	}
	if err != nil {
		return "", []string{fmt.Sprintf("[limits] of its control group are not applied: %v", err)}
	}
	for _, k := range cgroupKeys {
		text := k.text(cfg.Limits)
		if err := f.write(k.file, text); err != nil && text != "max" {
			problems = append(problems, fmt.Sprintf("%s is not applied: %v", k.key, err))
		}
	}
	return f, problems
}

// find is the control group of a service that runs as pid, or ran.
func (c *cgroups) find(name string, pid int) leaf {
	dir := sysCgroup(pid)
	if path.Base(dir) != name || !strings.HasPrefix(path.Base(path.Dir(dir)), "zinit") {
		dir = path.Join(c.own(), c.name, name)
	}
	if !sysExists(dir + "/cgroup.procs") {
		return ""
	}
	return leaf(dir)
}

// tidy removes the control groups of services that are no more, but for those in which something lives.
func (c *cgroups) tidy(used map[leaf]bool) {
	if c.own() == "" {
		return
	}
	dir := path.Join(c.own(), c.name)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if f := leaf(path.Join(dir, e.Name())); e.IsDir() && !used[f] {
			_ = f.remove()
		}
	}
	if len(used) == 0 {
		_ = syscall.Rmdir(dir)
	}
}

// leaf is the directory of the control group of a service; "": it has none.
type leaf string

// write writes to a file of the group that exists.
func (f leaf) write(file, text string) error {
	w, err := os.OpenFile(string(f)+"/"+file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer w.Close()
	_, err = w.WriteString(text)
	return err
}

// each does something with all groups below and, last, with this one: a service may divide its own.
func (f leaf) each(do func(dir string)) {
	entries, _ := os.ReadDir(string(f))
	for _, e := range entries {
		if e.IsDir() {
			leaf(path.Join(string(f), e.Name())).each(do)
		}
	}
	do(string(f))
}

// pids lists the processes in the group.
func (f leaf) pids() (all []int) {
	if f != "" {
		f.each(func(dir string) { all = append(all, cgroupProcs(dir)...) })
	}
	return all
}

func cgroupProcs(dir string) (pids []int) {
	text, _ := os.ReadFile(dir + "/cgroup.procs")
	for word := range strings.FieldsSeq(string(text)) {
		if pid, _ := strconv.Atoi(word); pid > 0 { // 0: of another pid namespace
			pids = append(pids, pid)
		}
	}
	return pids
}

// kill kills all at once, so that nothing forks on; before Linux 5.14 there is no such way.
func (f leaf) kill() {
	if f != "" {
		_ = f.write("cgroup.kill", "1")
	}
}

// remove removes the group, unless something lives in it.
func (f leaf) remove() (err error) {
	f.each(func(dir string) { err = syscall.Rmdir(dir) })
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return err
}

// number is a value in a file of the group: of a line "key value", or the only one; -1: there is none.
func (f leaf) number(file, key string) int64 {
	text, err := os.ReadFile(string(f) + "/" + file)
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, key); found && err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64); err == nil {
				return n
			}
		}
	}
	return -1
}

// measure counts what the whole of a service uses whose main process is given. Memory includes the caches of files that the kernel may take back.
func (f leaf) measure(s *statsResult, main *procStat) {
	if f == "" {
		return
	}
	s.Processes = len(f.pids())
	if n := f.number("memory.current", ""); n >= 0 {
		s.MemoryBytes = n
	}
	all := *main
	all.PID, all.CPU = -main.PID, time.Duration(f.number("cpu.stat", "usage_usec "))*time.Microsecond
	s.CPUPercent = cpuPercent(&all, time.Now())
}

// leave removes the control group of p, of which nothing is left, after it has noted whether the kernel killed something in there for want of memory. False: the kernel is
// not done with the last process yet.
func (p *process) leave() bool {
	if p.leaf == "" {
		return true
	}
	if p.leaf.number("memory.events", "oom_kill ") > 0 {
		p.t.mu.Lock()
		p.result.OOM = true
		p.t.mu.Unlock()
	}
	return p.leaf.remove() == nil || p.mode == killProcess
}
