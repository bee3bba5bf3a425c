// main.go selects the role of the process: keeper, server or client. It knows nothing of how they work.

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

func main() {
	os.Exit(role(os.Args, os.Getpid()))
}

// role selects the role by the name of the program, then by the command, then by being PID 1, runs it and returns the exit code.
// The kernel passes boot parameters that it does not know to init, so PID 1 ignores words that are not a command.
func role(argv []string, pid int) int {
	name, args := "zinit", []string(nil)
	if len(argv) > 0 {
		name, args = strings.TrimSuffix(filepath.Base(argv[0]), ".exe"), argv[1:]
	}
	c := newCLI()
	switch name {
	case "init", "zinit-pid1":
		if power := runlevels[strings.Join(args, " ")]; power != "" && pid != 1 {
			return c.dispatch([]string{power})
		}
		runtime.UnlockOSThread()
		return initMain(args, initFlags)
	case "zinit-server":
		return c.dispatch(append([]string{"server"}, args...))
	case "poweroff", "reboot", "halt":
		return c.dispatch(append([]string{name}, args...))
	case "shutdown":
		return c.dispatch(shutdownWords(args))
	}
	if pid == 1 && !c.namesCommand(args) {
		runtime.UnlockOSThread()
		return initMain(nil, initFlags)
	}
	return c.dispatch(args)
}

func init() {
	commands = commandTable[:] // set here, since commands refer to the table: in its declaration that is an initialization cycle
	if slices.ContainsFunc(os.Args, func(word string) bool { return strings.HasSuffix(word, "server") }) {
		runtime.LockOSThread() // for serverMain; it costs a thread more, which short commands would notice
	}
}
