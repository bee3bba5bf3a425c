// init_emergency.go gives the console to a person when PID 1 cannot go on; it repairs nothing by itself.

//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"
)

// offer opens the emergency, and returns what the person wishes. There is one at a time.
func (k *keeper) offer(why string) (wish string) {
	if k.console == nil {
		k.console = newEmergencyConsole(waitUntilEnd)
	}
	return k.console.offer(why)
}

// emergencyConsole is where a person repairs a machine that cannot go on.
type emergencyConsole struct {
	root  string                                        // "/"
	run   func(start func() (pid int, err error)) error // starts a program and returns when it has ended
	pause time.Duration                                 // grows while shells end at once
	sleep func(time.Duration)
	told  bool // that this is for machines
}

// offer calls open, and survives a panic in it.
func (e *emergencyConsole) offer(why string) (wish string) {
	err := guarded(func() error { wish = e.open(why); return nil })
	if err != nil {
		logf(logError, "emergency: %v", err)
		e.wait()
	}
	return wish
}

// emergencyForEver offers the emergency console and never returns: for a PID 1 that cannot continue, or that was started with invalid arguments.
func emergencyForEver(why string) int {
	console := newEmergencyConsole(reapUntilEnd)
	for {
		if wish := console.offer(why); wish != "" {
			machineDown(powerKind(wish), nil)
		}
	}
}

// newEmergencyConsole takes the way to run a program: waitUntilEnd, or reapUntilEnd where nobody reaps yet.
func newEmergencyConsole(run func(start func() (pid int, err error)) error) *emergencyConsole {
	return &emergencyConsole{root: "/", run: run, sleep: time.Sleep}
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

// open says on the console what happened and gives a shell there, or a REPL where there is none. It returns when the person leaves it; with a growing
// delay when that happens at once, as it does without a terminal. The console is opened anew each time, since it may have hung up.
func (e *emergencyConsole) open(reason string) (wish string) {
	if !e.told && (!onMachine() || fileExists(path.Join(e.root, "/.dockerenv"))) {
		e.told = true
		reason += "; in a container use `zinit init -c`"
	}
	console, err := os.OpenFile(path.Join(e.root, "/dev/console"), os.O_RDWR|oNoCtty, 0)
	if err != nil {
		logf(logError, "emergency: %s; and there is no console: %v", reason, err)
		e.wait()
		return ""
	}
	defer console.Close()
	began := time.Now()
	fmt.Fprintf(console, "\r\nzinit: emergency: %s\r\n", visible(reason))
	shell := path.Join(e.root, "/bin/sh")
	if _, statErr := os.Stat(shell); statErr == nil {
		fmt.Fprint(console, "zinit: this is /bin/sh; mend what is wrong and leave it (exit) to try again\r\n")
		err = e.run(func() (int, error) { return sysStartOn(console, shell, []string{"sh"}, shellEnv()) })
		if err == nil {
			e.settle(began)
			return ""
		}
		fmt.Fprintf(console, "zinit: /bin/sh does not start: %v\r\n", err)
	}
	wish = converse(console)
	if wish == "" {
		e.settle(began)
	}
	return wish
}

// settle delays the next try if the shell was left within a second.
func (e *emergencyConsole) settle(began time.Time) {
	if time.Since(began) >= time.Second {
		e.pause = 0
		return
	}
	e.wait()
}

func (e *emergencyConsole) wait() {
	e.pause = min(max(2*e.pause, time.Second), 30*time.Second)
	e.sleep(e.pause)
}

// shellEnv is our environment with what a shell needs.
func shellEnv() []string {
	env := os.Environ()
	for _, d := range [][2]string{{"PATH", defaultPath}, {"TERM", "linux"}, {"HOME", "/"}} {
		if os.Getenv(d[0]) == "" {
			env = append(env, d[0]+"="+d[1])
		}
	}
	return env
}

// converse is the REPL of the client on a console without a shell, until its input ends. It knows in addition what a user needs to go on:
// it returns "" (try again), poweroff, reboot or halt. The commands run in a process of their own.
func converse(console *os.File) (wish string) {
	say := func(format string, args ...any) {
		fmt.Fprint(console, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\r\n"))
	}
	say("zinit: there is no /bin/sh. Words: retry, poweroff, reboot, halt, show PATH, and the commands of zinit (help)\n")
	read := func() (line string, ok bool) {
		say(replPrompt)
		return readPlain(console)
	}
	run := func(words []string) (more bool) {
		switch words[0] {
		case "retry", "exit", "quit":
			return false
		case string(powerOff), string(powerReboot), string(powerHalt):
			wish = words[0]
			return false
		case "show":
			text, err := show(strings.Join(words[1:], " "))
			if err != nil {
				text = err.Error()
			}
			for _, line := range linesOf(text) {
				say("%s\n", visible(line))
			}
		default:
			err := waitUntilEnd(func() (int, error) {
				return sysStartOn(console, consoleProgram(), append([]string{"zinit"}, words...), shellEnv())
			})
			if err != nil {
				say("cannot run zinit %s: %v\n", visible(words[0]), err)
			}
		}
		return true
	}
	commandLoop(read, run, func(err error) { say("%v\n", err) })
	return wish
}

// consoleProgram returns the path of the zinit program that converse runs; tests replace it.
var consoleProgram = ownProgram

// show gives a file (its first 64 KiB) or the names in a directory.
func show(name string) (string, error) {
	if names, err := readNames(name); err == nil {
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
