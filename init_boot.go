// init_boot.go does the early boot of a machine, step by step from one table; it starts no service.

//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// bootStep is one action of the boot. One that fails is logged and skipped.
type bootStep struct {
	what  string       // an order with the values in it: "mount proc on /proc (nosuid,noexec,nodev)"
	done  string       // why nothing has to be done, or ""
	first string       // what is done before, for who reads the table; or ""
	vital bool         // without it the boot cannot go on
	maybe bool         // it was asked for as one that may fail
	say   bool         // why nothing has to be done is worth a line
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
	{name: "utmp", steps: (*boot).utmpSteps},
}

// run does the whole table. An error is one that a person must look at: the root file system could not be reached.
// It may be run again: what is done already is left alone.
func (b *boot) run() error {
	b.until = time.Now().Add(deviceWait)
	for _, stage := range bootTable {
		if err := runSteps(b.stepsOf(stage)); err != nil {
			return err
		}
		if b.words.debug || b.words.quiet {
			_ = setLogLevel(b.words.logLevel().String())
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

// runSteps does what is to be done. It returns the error of a vital step, and errReboot of any; other errors are only logged.
func runSteps(steps []bootStep) error {
	for _, s := range steps {
		if s.done != "" {
			level := logDebug
			if s.say {
				level = logInfo
			}
			logf(level, "boot: %s: %s", s.what, s.done)
			continue
		}
		err := guarded(s.do)
		switch {
		case err == nil:
			logf(logDebug, "boot: %s", s.what)
		case s.maybe:
			logf(logInfo, "boot: did not %s: %v", s.what, err)
		case s.vital || errors.Is(err, errReboot):
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
			if more := cmp.Or(s.done, s.first); more != "" {
				line += ": " + more
			}
			fmt.Fprintln(w, "  "+visible(line))
		}
	}
}

// failedStep is the step that stands for something that could not even be read.
func failedStep(what string, err error) bootStep {
	return bootStep{what: what, do: func() error { return err }}
}

// path is a path of the machine inside the tree that is booted.
func (b *boot) path(p string) string { return path.Join(b.root, p) }

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
	names, _ := readNames(b.path(dir))
	for _, name := range names {
		if strings.HasSuffix(name, ".conf") && name[0] != '.' {
			files = append(files, dir+"/"+name)
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

// printBoot is --dry-run: the steps as they would be done on this machine.
func printBoot(o keeperOptions) int {
	if o.container {
		fmt.Println("container: nothing is mounted, loaded or set; the server is started at once")
		return exitDone
	}
	newBoot("/").print(os.Stdout)
	return exitDone
}

// bootMachine is what system mode adds before the server: the early boot, once, and what the kernel's command line says.
func (k *keeper) bootMachine() {
	defer sysSpare() // /proc is there then
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
		k.obeyCommandLine(w)
		return nil
	})
}

// bootSystem runs the early boot of a machine. If a vital step fails it opens the emergency console and then tries again; zinit.emergency opens the console too.
func (k *keeper) bootSystem() {
	b := newBoot("/")
	for {
		err := b.run()
		if err == nil && !b.words.emergency {
			break
		}
		if errors.Is(err, errReboot) {
			logf(logWarn, "boot: %v", err)
			machineDown(powerReboot, nil)
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
	k.obeyCommandLine(b.words)
}

// logLevel is the level of our own log if the command line sets one: zinit.debug takes precedence over quiet.
func (w *bootWords) logLevel() logLevel {
	if w.debug {
		return logDebug
	}
	return logWarn
}

// obeyCommandLine takes what the kernel command line says to the server, and opens the power button and the watchdog.
func (k *keeper) obeyCommandLine(w bootWords) {
	if w.debug || w.quiet {
		k.opts.logLevel = w.logLevel().String()
		_ = setLogLevel(k.opts.logLevel)
	}
	if w.shutdownTimeout != "" {
		k.opts.limit, k.opts.limitSet, _ = shutdownLimit(w.shutdownTimeout, false)
	}
	if w.config != "" {
		k.opts.server = append(k.opts.server, "--config-dir", w.config)
	}
	if w.target != "" {
		k.opts.server = append(k.opts.server, "--target", w.target)
	}
	if w.powerButton != "ignore" && onMachine() {
		k.watchButton()
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
