// proc_stage.go is the stage: a process that is to become a service does to itself what its parent cannot do to it, and then executes the program. It knows no configuration.

//go:build !windows

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// stageStep is one thing that a stage does. Without a wish in the order it does nothing.
type stageStep struct {
	key string // of the configuration; an error begins with it
	do  func(o *stageOrder) error
}

// execFailed is the exit code of a fork whose execve failed, before anybody could be told (the Go runtime's), and of a stage that could not execute the program.
const execFailed = 253

// stageSteps are done in this order. What needs privileges comes before they are given up, and what leaves little room for ourselves (open files, memory) comes late.
var stageSteps = []stageStep{
	{"tty", (*stageOrder).takeTerminal},
	{"limits.oom_score_adj", (*stageOrder).setOOM},
	{"limits.nice", (*stageOrder).setNice},
	{"limits.umask", (*stageOrder).setUmask},
	{"", (*stageOrder).openCgroup},
	{"limits.chroot", (*stageOrder).changeRoot},
	{"limits.caps", (*stageOrder).keepCaps},
	{"", (*stageOrder).setRlimits},
	{"", (*stageOrder).enterCgroup}, // late: it may have room for one small process, and this one is larger
	{"user", (*stageOrder).changeUser},
	{"limits.caps", (*stageOrder).setCaps},
	{"limits.no_new_privs", (*stageOrder).noNewPrivs},
	{"dir", (*stageOrder).changeDir},
	{"", (*stageOrder).setPIDs},
	{"", (*stageOrder).execute},
}

// Called under the name of the stage, the program is the stage and never reaches main.
func init() {
	if len(os.Args) == 3 && os.Args[0] == stageName {
		stageMain(os.Args[1])
	}
}

// stageMain obeys the order on descriptor first, and reports on the next one what went wrong. It does not return.
func stageMain(first string) {
	runtime.LockOSThread() // capabilities and more belong to a thread: to the one that executes
	debug.SetGCPercent(-1)
	fd, err := strconv.Atoi(first)
	if err != nil {
		os.Exit(exitUsage)
	}
	sysCloexec(fd)
	sysCloexec(fd + 1)
	o := &stageOrder{}
	data, err := sysReadAll(fd)
	if err == nil {
		err = json.Unmarshal(data, o)
	}
	if err == nil {
		err = o.do()
	}
	r := stageReport{Text: err.Error()}
	r.Errno, _ = errors.AsType[syscall.Errno](err)
	text, _ := json.Marshal(r)
	_, _ = unix.Write(fd+1, text)
	os.Exit(execFailed)
}

// do returns only when something went wrong.
func (o *stageOrder) do() error {
	for _, step := range stageSteps {
		if err := step.do(o); err != nil && step.key != "" {
			return fmt.Errorf("%s: %w", step.key, err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// spec is the program in the form that lookProgram and explainExec take.
func (o *stageOrder) spec() *spec {
	sp := &spec{Path: o.Path, Argv: o.Argv, Env: o.Env, Dir: o.Dir, UID: -1, GID: -1}
	if o.Switch {
		sp.UID, sp.GID = int(o.UID), int(o.GID)
	}
	return sp
}

// takeTerminal makes a terminal the descriptors 0 to 2 and the controlling terminal, and gives it to the user of the service. A line without a carrier is opened all the same.
func (o *stageOrder) takeTerminal() error {
	if o.TTY == "" {
		return nil
	}
	fd, err := unix.Open(o.TTY, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		if err = unix.SetNonblock(fd, false); err == nil {
			err = sysTakeControl(fd)
		}
	}
	if err == nil && o.Switch {
		err = unix.Fchown(fd, int(o.UID), -1)
	}
	for to := 0; to <= 2 && err == nil; to++ {
		err = sysDupTo(fd, to)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.TTY, err)
	}
	return nil
}

// rlimits are the limits of setrlimit(2) in the order in which they are set: memory comes last.
var rlimits = [...]struct {
	key   string
	which int
}{{"nofile", unix.RLIMIT_NOFILE}, {"nproc", unix.RLIMIT_NPROC}, {"core", unix.RLIMIT_CORE}, {"memlock", unix.RLIMIT_MEMLOCK}, {"as", unix.RLIMIT_AS}}

// setRlimits sets both the soft and the hard limits.
func (o *stageOrder) setRlimits() error {
	for _, l := range rlimits {
		value, wanted := o.Rlimits[l.key]
		if !wanted {
			continue
		}
		var old unix.Rlimit
		_ = unix.Getrlimit(l.which, &old)
		err := unix.Setrlimit(l.which, &unix.Rlimit{Cur: value, Max: value})
		if errors.Is(err, syscall.EPERM) && value > old.Max {
			err = fmt.Errorf("%s is above the hard limit %s, which zinit may not raise here: %w", rlimitWord(value), rlimitWord(old.Max), err)
		}
		if err != nil {
			return fmt.Errorf("limits.%s: %w", l.key, err)
		}
	}
	return nil
}

func rlimitWord(n uint64) string {
	if n == math.MaxUint64 {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}

func (o *stageOrder) setOOM() error {
	if o.OOM == nil {
		return nil
	}
	err := os.WriteFile("/proc/self/oom_score_adj", strconv.AppendInt(nil, *o.OOM, 10), 0)
	switch {
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%d is lower than zinit may set here (it lacks CAP_SYS_RESOURCE): %w", *o.OOM, errnoOf(err))
	case err != nil:
		return fmt.Errorf("/proc/self/oom_score_adj: %w", errnoOf(err))
	}
	return nil
}

func (o *stageOrder) setNice() error {
	if o.Nice == nil {
		return nil
	}
	err := unix.Setpriority(unix.PRIO_PROCESS, 0, int(*o.Nice))
	if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("%d is lower than zinit may set here (it lacks CAP_SYS_NICE): %w", *o.Nice, err)
	}
	return err
}

func (o *stageOrder) setUmask() error {
	if o.Umask != nil {
		unix.Umask(int(*o.Umask))
	}
	return nil
}

// changeRoot makes a directory the root, and looks for the program there: from outside, symbolic links in it lead elsewhere.
func (o *stageOrder) changeRoot() (err error) {
	if o.Chroot == "" {
		return nil
	}
	if err = unix.Chroot(o.Chroot); err == nil {
		err = unix.Chdir("/")
	}
	if errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("zinit, as uid %d, may not change the root directory (it lacks CAP_SYS_CHROOT): %w", os.Geteuid(), err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.Chroot, err)
	}
	sp := o.spec()
	if sp.Dir != "" {
		if err := checkDir(sp.Dir); err != nil {
			return fmt.Errorf("in %s: %w", o.Chroot, err)
		}
	}
	if o.Path, err = lookProgram(sp, func(string) {}); err != nil {
		return fmt.Errorf("in %s: %w", o.Chroot, err)
	}
	return nil
}

func (o *stageOrder) openCgroup() (err error) {
	if o.Cgroup != "" {
		o.procs, err = os.OpenFile(o.Cgroup+"/cgroup.procs", os.O_WRONLY, 0)
	}
	return err
}

// enterCgroup moves this process into its control group. It must need no new thread from here on: there may be no room for one.
func (o *stageOrder) enterCgroup() error {
	if o.Cgroup == "" {
		return nil
	}
	if err := sysWriteHolding(int(o.procs.Fd()), "0"); err != nil {
		return fmt.Errorf("its control group %s: %w", o.Cgroup, err)
	}
	return nil
}

func (o *stageOrder) changeUser() error {
	if !o.Switch {
		return nil
	}
	groups := make([]int, len(o.Groups))
	for i, g := range o.Groups {
		groups[i] = int(g)
	}
	for _, err := range []error{syscall.Setgroups(groups), syscall.Setregid(int(o.GID), int(o.GID)), syscall.Setreuid(int(o.UID), int(o.UID))} {
		if err != nil {
			return explainExec(o.spec(), err)
		}
	}
	return nil
}

func (o *stageOrder) changeDir() error {
	if o.Dir == "" {
		return nil
	}
	if err := unix.Chdir(o.Dir); err != nil {
		return fmt.Errorf("%s: %w", o.Dir, err)
	}
	return nil
}

func (o *stageOrder) noNewPrivs() error {
	if !o.NoNewPrivs {
		return nil
	}
	return sysNoNewPrivs()
}

// keepCaps has the capabilities survive the change of the user, after it has seen that they are there.
func (o *stageOrder) keepCaps() error {
	if len(o.Caps) == 0 {
		return nil
	}
	if missing := sysMissingCaps(o.capNumbers()); missing >= 0 {
		return fmt.Errorf("%s cannot be given: zinit does not have it here: %w", strings.Fields(capabilities)[missing], syscall.EPERM)
	}
	return sysKeepCaps()
}

func (o *stageOrder) setCaps() error {
	if len(o.Caps) == 0 {
		return nil
	}
	return sysAmbientCaps(o.capNumbers(), os.Geteuid() != 0)
}

func (o *stageOrder) capNumbers() (numbers []int) {
	for number, name := range strings.Fields(capabilities) {
		for _, wanted := range o.Caps {
			if wanted == name {
				numbers = append(numbers, number)
			}
		}
	}
	return numbers
}

// setPIDs fills in the variables that name the process itself.
func (o *stageOrder) setPIDs() error {
	for _, name := range o.SetPID {
		o.Env = setEnv(o.Env, name+"="+strconv.Itoa(os.Getpid()))
	}
	return nil
}

func (o *stageOrder) execute() error {
	return explainExec(o.spec(), sysExec(o.Path, o.Argv, o.Env))
}
