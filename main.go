// main.go says who we are (keeper, server or client) and nothing about how they work: the roles, usage, paths and exit codes.

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// version is what `zinit version` and system.ping answer.
const version = "0.1.0"

// The exit codes of the client.
const (
	exitDone        = 0
	exitRefused     = 1   // the server (or a file) says no
	exitUsage       = 2   // the command line is wrong
	exitNotRunning  = 3   // not running, not healthy, or failed
	exitNoService   = 4   // no service has that name
	exitNoServer    = 5   // no server answers
	exitInterrupted = 130 // Ctrl-C, as a shell reports it: 128 + SIGINT
)

// stderr is where people are told what went wrong; tests put a buffer here.
var stderr io.Writer = os.Stderr

// errorf tells a person in one line what could not be done. Control characters in it are made visible.
func errorf(format string, args ...any) {
	tell("zinit: " + fmt.Sprintf(format, args...))
}

// hint tells a person in one line what to try next.
func hint(format string, args ...any) {
	tell("hint: " + fmt.Sprintf(format, args...))
}

// tell writes a line to stderr, at a terminal broken between words.
func tell(text string) {
	lines := []string{visible(text)}
	if cols, _, ok := terminalSize(2); ok && cols > 0 && stderr == io.Writer(os.Stderr) {
		lines = fold(text, cols)
	}
	for _, line := range lines {
		fmt.Fprintln(stderr, line)
	}
}

// panicked reports a panic and does what it means. What is to be left of a PID 1 after that is for the keeper to say.
func panicked(what string, r any) {
	fmt.Fprintf(os.Stderr, "zinit: panic in %s: %v\n%s", what, r, debug.Stack())
	afterPanic()
}

var afterPanic = func() { os.Exit(70) }

// background runs f on a goroutine of its own. A panic in it is reported with its stack
// and ends the process with exit code 70 (EX_SOFTWARE of sysexits.h): half a supervisor is worse than a restarted one.
func background(what string, f func()) {
	go reported(what, f)
}

// later is time.AfterFunc for what background does.
func later(d time.Duration, what string, f func()) *time.Timer {
	return time.AfterFunc(d, func() { reported(what, f) })
}

func reported(what string, f func()) {
	defer func() {
		if r := recover(); r != nil {
			panicked(what, r)
		}
	}()
	f()
}

// spareThreads has the runtime make threads for up to n goroutines at once, where few processes are allowed here; it keeps them. When it needs a new one later, and the
// kernel grants none (RLIMIT_NPROC of the user, the pids limit of a container), it ends the process, and nothing can recover from that. They are at most
// a share of what is allowed, so that services find room too.
func spareThreads(n int) {
	const many, own, share = 1024, 16, 3 // own: the threads of a keeper and a server that do little
	allowed := sysProcessLimit()
	if allowed >= many {
		return
	}
	n = max(0, min(n, (allowed-own)/share))
	var there sync.WaitGroup
	there.Add(n)
	for range n {
		background("spare thread", func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			there.Done()
			there.Wait() // as long as each has one of its own
		})
	}
	there.Wait()
}

// guarded turns a panic into an error: a defect in one step must not end PID 1.
func guarded(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return do()
}

func main() {
	os.Exit(role(os.Args, os.Getpid()))
}

// role picks what to be by the name we were called by, then by the command, then by being PID 1, and returns the exit code.
// The kernel hands boot words which it does not know to init: PID 1 ignores words that are no command.
func role(argv []string, pid int) int {
	name, args := "zinit", []string(nil)
	if len(argv) > 0 {
		name, args = strings.TrimSuffix(filepath.Base(argv[0]), ".exe"), argv[1:]
	}
	c := newCLI()
	switch name {
	case "init", "zinit-pid1":
		runtime.UnlockOSThread()
		return initMain(args)
	case "zinit-server":
		return c.dispatch(append([]string{"server"}, args...))
	case "poweroff", "reboot", "halt":
		return c.dispatch(append([]string{name}, args...))
	}
	if pid == 1 && !c.namesCommand(args) {
		runtime.UnlockOSThread()
		return initMain(nil)
	}
	return c.dispatch(args)
}

// serverOptions is what the flags and the environment say about a server. Zero values stand for "not said",
// except configDirs and socket, which have their defaults.
type serverOptions struct {
	socket          string
	socketSet       bool // by flag or environment
	configDirs      []string
	systemDir       string
	logLevel        string
	socketMode      os.FileMode
	socketGroup     string
	shutdownTimeout time.Duration

	keeper       bool // we run under `zinit init`: the link is descriptor 3, the state 4
	container    bool
	discardState bool   // what the state describes is stopped, not adopted
	checkState   bool   // say whether the state on descriptor 3 can be read, nothing else …
	checkKeeper  bool   // … but for what the keeper holds, on descriptor 4
	target       string // what to start instead of everything with status start
	withCmd      bool
	cmdWait      time.Duration
}

// serverFlags are the flags of `zinit server`. --socket is one for all commands.
var serverFlags = []*commandFlag{
	{name: "config-dir", short: 'c', arg: "DIR", help: configDirHelp},
	&systemDirFlag, &logLevelFlag, &socketModeFlag, &socketGroupFlag, &shutdownTimeoutFlag,
	{name: "version", help: "print the version"},
	// What the keeper says to its server; people need none of these, so they have no help.
	{name: "keeper"}, {name: "container"}, {name: "discard-state"}, {name: "check-state"}, {name: "check-keeper"}, {name: "with-cmd", arg: "MS"}, {name: "target", arg: "NAME"},
}

// cmdServer is the server role: flags beat the environment, which beats the defaults.
func cmdServer(c *cli) int {
	if c.has("version") {
		return cmdVersion(c)
	}
	if runtime.GOOS == "windows" {
		errorf("the server does not run on Windows, only the client does")
		hint("run the server under WSL and pass its socket with --socket")
		return exitRefused
	}
	opts, err := c.serverOptions()
	if err != nil {
		errorf("%v", err)
		hint("zinit help server")
		return exitUsage
	}
	return serverMain(opts)
}

// serverOptions reads the flags of the server role and the environment behind them.
func (c *cli) serverOptions() (serverOptions, error) {
	o := serverOptions{
		socket:          firstSet(c.socket, os.Getenv("ZINIT_SOCKET")),
		configDirs:      configDirs(c.list("config-dir"), c.has("keeper")),
		systemDir:       c.flag("system-dir"),
		logLevel:        firstSet(c.flag("log-level"), os.Getenv("ZINIT_LOG_LEVEL"), logInfo.String()),
		socketMode:      0o600,
		socketGroup:     c.flag("socket-group"),
		shutdownTimeout: 30 * time.Second,
		keeper:          c.has("keeper"),
		container:       c.has("container"),
		discardState:    c.has("discard-state"),
		checkState:      c.has("check-state"),
		checkKeeper:     c.has("check-keeper"),
		withCmd:         c.has("with-cmd"),
		target:          c.flag("target"),
	}
	if d, err := parseMillis(c.flag("with-cmd")); err == nil {
		o.cmdWait = d
	}
	o.socketSet = o.socket != ""
	if !o.socketSet {
		o.socket = defaultSocket()
	}
	if o.socket == "" && !o.keeper && !o.checkState {
		return o, errors.New("no place for the socket: neither XDG_RUNTIME_DIR nor HOME is set; use --socket PATH")
	}
	if _, err := parseLogLevel(o.logLevel); err != nil {
		return o, err
	}
	if o.socketGroup != "" {
		o.socketMode = 0o660
	}
	if s := c.flag("socket-mode"); s != "" {
		n, err := strconv.ParseUint(s, 8, 32)
		if err != nil || n > 0o777 {
			return o, fmt.Errorf("bad --socket-mode `%s`: an octal number such as 0660", s)
		}
		o.socketMode = os.FileMode(n)
	}
	if s := c.flag("shutdown-timeout-ms"); s != "" {
		d, err := parseMillis(s)
		if err != nil {
			return o, fmt.Errorf("bad --shutdown-timeout-ms `%s`: a number of milliseconds", s)
		}
		o.shutdownTimeout = d
	}
	return o, nil
}

// parseMillis reads a count of milliseconds.
func parseMillis(s string) (time.Duration, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	return time.Duration(n) * time.Millisecond, err
}

func firstSet(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

// home is the home directory of whoever runs us, or "".
func home() string {
	if runtime.GOOS == "windows" {
		return firstSet(os.Getenv("HOME"), os.Getenv("USERPROFILE"))
	}
	return os.Getenv("HOME")
}

// inHome is a path below the home directory, or "" for somebody without one.
func inHome(elem ...string) string {
	h := home()
	if h == "" {
		return ""
	}
	return filepath.Join(append([]string{h}, elem...)...)
}

const systemSocket = "/run/zinit.sock"

// isSystem says whether the paths of the whole machine are ours: root on Linux.
func isSystem() bool { return runtime.GOOS == "linux" && os.Geteuid() == 0 }

// userSocket is the socket of a server that is not the system's, or "" when there is no place for one.
func userSocket() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && runtime.GOOS == "linux" {
		return filepath.Join(dir, "zinit.sock")
	}
	return inHome("hero", "var", "zinit.sock")
}

// defaultSocket is where a server listens when nobody says otherwise.
func defaultSocket() string {
	if isSystem() {
		return systemSocket
	}
	return userSocket()
}

// clientSockets lists where a server may be found, the system's first, then the user's,
// then the places that a container without a writable /run falls back to.
func clientSockets() []string {
	var paths []string
	if runtime.GOOS == "linux" {
		paths = append(paths, systemSocket)
	}
	if p := userSocket(); p != "" {
		paths = append(paths, p)
	}
	if runtime.GOOS != "linux" {
		return paths
	}
	paths = append(paths, "/tmp/zinit.sock")
	if ns, err := os.Readlink("/proc/self/ns/pid"); err == nil { // pid:[4026531836]
		paths = append(paths, "/dev/shm/zinit."+strings.Trim(ns, "pid:[]")+"/zinit.sock")
	}
	return append(paths, "@zinit")
}

// keeperSockets lists where a server under the keeper makes its socket: the first place that it can write to.
func keeperSockets() []string {
	return slices.DeleteFunc(clientSockets(), func(p string) bool { return p == userSocket() && p != systemSocket })
}

// configDirs gives the services directories: those named, else of the environment, else the default. Under `zinit init` that is where an
// image has them, whatever user it runs as.
func configDirs(named []string, keeper bool) []string {
	if len(named) > 0 {
		return named
	}
	if env := filepath.SplitList(os.Getenv("ZINIT_CONFIG_DIR")); len(env) > 0 {
		return env
	}
	if isSystem() || keeper {
		return []string{"/etc/zinit/services"}
	}
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" && runtime.GOOS == "linux" {
		return []string{filepath.Join(dir, "zinit", "services")}
	}
	if dir := inHome("hero", "cfg", "zinit"); dir != "" {
		return []string{dir}
	}
	return nil
}

// defaultSystemDir is where a machine keeps its system services, or "" where there are none.
func defaultSystemDir() string {
	if isSystem() {
		return "/etc/zinit/system"
	}
	return ""
}

// command is one row of the table that drives dispatch, help, suggestions and completion.
type command struct {
	name    string
	aliases []string
	args    string // "NAME", "[NAME]", "NAME...", "[NAME...]"; a word after `--` too if it says so
	group   string // heading in the help; "" hides the command
	help    string // one line
	more    string // what else there is to know
	flags   []*commandFlag
	server  bool // needs a connection before it runs
	raw     bool // takes its words unparsed
	alone   bool // is a program of its own: not within a REPL
	run     func(*cli) int
}

// commandFlag is one flag of a command.
type commandFlag struct {
	name   string
	short  byte
	arg    string   // name of its value; "" for a switch
	values []string // the words that it can be, if there are few
	help   string   // %s stands for those
}

func (f *commandFlag) helpText() string { return strings.Replace(f.help, "%s", orList(f.values), 1) }

// orList is a list for people: "start, stop or ignore".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// globalFlags are understood with every command, before and after its name.
var globalFlags = []*commandFlag{
	&socketFlag,
	{name: "json", help: "print the result as JSON, unchanged"},
	{name: "no-color", help: "no colours (also: NO_COLOR=1)"},
	{name: "timeout", arg: "MS", help: "give up after so many milliseconds"},
	{name: "help", short: 'h', help: "what the command does"},
}

const configDirHelp = "services directory (may be repeated)"

// Flags of more than one command.
var (
	socketFlag          = commandFlag{name: "socket", arg: "PATH", help: "socket of the server"}
	systemDirFlag       = commandFlag{name: "system-dir", arg: "DIR", help: "directory of system services"}
	logLevelFlag        = commandFlag{name: "log-level", arg: "LEVEL", values: levelNames[:], help: "%s (info)"}
	socketModeFlag      = commandFlag{name: "socket-mode", arg: "MODE", help: "mode of the socket (0600; of a group 0660)"}
	socketGroupFlag     = commandFlag{name: "socket-group", arg: "GROUP", help: "group of the socket: may do everything"}
	shutdownTimeoutFlag = commandFlag{name: "shutdown-timeout-ms", arg: "MS", help: "a shutdown kills what is left then (30000)"}
	waitFlag            = commandFlag{name: "wait", short: 'w', help: "until it is done; --timeout limits how long"}
	persistFlag         = commandFlag{name: "persist", help: "write its file too, so that it stays"}
)

// commands has one row per command: data, which nothing builds when the program starts.
var commands []*command

func init() {
	commands = commandTable[:] // commands show the table, and a variable must not be made of what looks at it
	runtime.LockOSThread()     // until it is known that we are no server, see serverMain
}

var commandTable = [...]*command{
	{name: "list", aliases: []string{"ls"}, group: "look", server: true, run: cmdList,
		help: "all services, one line each"},
	{name: "status", args: "[NAME...]", group: "look", server: true, run: cmdStatus,
		help: "everything about a service; without a name: all of them",
		more: "The exit code is 0 whatever the state is; for a test use `zinit is-running`."},
	{name: "stats", args: "NAME...", group: "look", server: true, run: cmdStats,
		help: "CPU, memory, threads and processes of a service"},
	{name: "tree", args: "[NAME]", group: "look", server: true, run: cmdTree,
		help: "services with what they require below them"},
	{name: "why", args: "NAME...", group: "look", server: true, run: cmdWhy,
		help: "why a service is not running, and what to do about it"},
	{name: "logs", args: "[NAME...]", group: "look", server: true, run: cmdLogs,
		help: "what services have written",
		more: "T is how long ago (90s, 10m, 2h) or a time\n(14:30, 2026-01-31, \"2026-01-31 14:30\").\nControl characters are shown as ^X unless --raw is given.",
		flags: []*commandFlag{
			{name: "follow", short: 'f', help: "go on with new lines as they come"},
			{name: "lines", short: 'n', arg: "N", help: "the newest N lines (1000; with -f 10)"},
			{name: "stream", arg: "S", values: streamWords, help: "only %s"},
			{name: "since", arg: "T", help: "only lines since then"},
			{name: "grep", arg: "TEXT", help: "only lines with that text"},
			{name: "time", short: 't', help: "show when each line was written"},
			{name: "raw", help: "pass control characters on"},
		}},
	{name: "tui", group: "look", server: true, run: cmdTUI,
		help: "all services, their logs and states on the full screen",
		more: "Keys: arrows choose a service, s start, t stop, r restart, k kill, w why, l log,\n/ filter, o sort, ? help, q quit."},
	{name: "monitor", args: "[NAME...]", group: "look", server: true, run: cmdMonitor,
		help: "state changes as they happen"},
	{name: "health", args: "[NAME...]", group: "look", server: true, run: cmdHealth,
		help: "exit 0 when all wanted services are running or done, else 3",
		more: "Made for HEALTHCHECK of a Dockerfile: HEALTHCHECK CMD [\"/zinit\", \"health\"]"},
	{name: "analyze", args: "[blame|chain|plot]", group: "look", server: true, run: cmdAnalyze,
		help:  "how the boot went: who took how long, and who was waited for",
		more:  "blame: the slowest first. chain: who waited for whom. plot: a chart, as SVG:\nzinit analyze plot > boot.svg",
		flags: []*commandFlag{{name: "output", short: 'o', arg: "PATH", help: "write the chart to that file"}}},
	{name: "graph", group: "look", server: true, run: cmdGraph,
		help: "the dependency graph, for a drawing program",
		flags: []*commandFlag{{name: "format", arg: "F", values: drawingFormats,
			help: "%s (dot)"}}},

	{name: "start", args: "NAME...", group: "run", server: true, run: cmdStart,
		help:  "start services and keep them up",
		more:  "With --wait a service that fails, or is blocked until a person acts,\ngives exit code 3.\nNAME may be a glob, in quotes: 'web*'.",
		flags: []*commandFlag{{name: "tree", help: "also what they require and want"}, &waitFlag}},
	{name: "stop", args: "NAME...", group: "run", server: true, run: cmdStop,
		help: "stop services; what requires them stops first",
		more: "NAME may be a glob, in quotes: 'web*'.", flags: []*commandFlag{&waitFlag}},
	{name: "restart", args: "NAME...", group: "run", server: true, run: cmdRestart,
		help: "stop services and start them again",
		more: "NAME may be a glob, in quotes: 'web*'.", flags: []*commandFlag{&waitFlag}},
	{name: "kill", args: "NAME [SIGNAL]", group: "run", server: true, run: cmdKill,
		help: "send a signal to a service (SIGTERM)",
		more: "SIGNAL is a name (HUP, SIGHUP) or a number. The service is still wanted: its\nrestart policy applies. To end it use `zinit stop`."},
	{name: "wait", args: "NAME...", group: "run", server: true, run: cmdWait,
		help: "wait until a service is running (or done)",
		more: "Exit code 3 when it fails or is blocked until a person acts,\n1 when --timeout ran out.",
		flags: []*commandFlag{{name: "state", arg: "S", values: stateNames[:],
			help: "the state to wait for (running)"}}},
	{name: "is-running", args: "NAME...", group: "run", server: true, run: cmdIsRunning,
		help: "exit 0 when it is running, else 3"},
	{name: "start-all", group: "run", server: true, run: cmdStartAll,
		help: "start all services of class user"},
	{name: "stop-all", group: "run", server: true, run: cmdStopAll,
		help: "stop all services of class user"},

	{name: "add", args: "FILE", group: "configure", server: true, run: cmdAdd,
		help: "add the service that a TOML file describes (- is stdin)", flags: []*commandFlag{&persistFlag}},
	{name: "create", args: "NAME [-- CMD ARG...]", group: "configure", server: true, run: cmdCreate,
		help: "add a service from the command line",
		more: "The program stands in --exec (as in the file) or after --, word by word.\nLists may be repeated or have commas: --after a,b",
		flags: []*commandFlag{
			{name: "exec", arg: "CMD", help: "command line"},
			{name: "dir", arg: "DIR", help: "working directory"},
			{name: "description", arg: "TEXT", help: "what it is, for people"},
			{name: "env", arg: "K=V", help: "environment variable (may be repeated)"},
			{name: "user", arg: "USER", help: "run as this user"},
			{name: "status", arg: "S", values: loadStatuses, help: "%s"},
			{name: "oneshot", help: "it is done when it exits"},
			{name: "critical", help: "the machine or container ends with it"},
			{name: "requires", arg: "NAME", help: "what must be up first"},
			{name: "after", arg: "NAME", help: "what comes first, if wanted"},
			{name: "wants", arg: "NAME", help: "what is started along with it"},
			{name: "conflicts", arg: "NAME", help: "what must not run with it"},
			{name: "restart", arg: "P", values: restartPolicies, help: "%s"},
			&persistFlag,
		}},
	{name: "get", args: "NAME", group: "configure", server: true, run: cmdGet,
		help: "the configuration of a service, as TOML",
		more: "With --json everything is there, also what has its default."},
	{name: "set", args: "FILE", group: "configure", server: true, run: cmdSet,
		help: "add or replace a service by a TOML file, for good",
		more: "A running service is restarted with it. - reads the file from stdin."},
	{name: "edit", args: "NAME", group: "configure", server: true, run: cmdEdit,
		help: "change the file of a service in $EDITOR",
		more: "The file is checked before it counts. A running service is restarted with it."},
	{name: "delete", args: "NAME...", group: "configure", server: true, run: cmdDelete,
		help:  "stop a service and forget it, with its file",
		flags: []*commandFlag{{name: "force", help: "also when others require it"}}},
	{name: "delete-all", group: "configure", server: true, run: cmdDeleteAll,
		help: "delete all services of class user"},
	{name: "reload", group: "configure", server: true, run: cmdReload,
		help:  "read all files again",
		flags: []*commandFlag{{name: "restart", help: "restart services whose file changed"}}},
	{name: "check", args: "[PATH...]", group: "configure", run: cmdCheck,
		help: "look for mistakes in files or directories, without a server"},
	{name: "xinet", args: "list|status|create|delete [NAME|FILE]", group: "configure", server: true, run: cmdXinet,
		help: "proxies that start a service on demand (not in this version)"},

	{name: "ping", group: "server", server: true, run: cmdPing, help: "does the server answer?"},
	{name: "info", group: "server", server: true, run: cmdInfo,
		help: "the server, and what works on this machine"},
	{name: "shutdown", group: "server", server: true, run: cmdShutdown,
		help: "stop all services, then the server; a system powers off"},
	{name: "poweroff", group: "server", server: true, run: cmdPoweroff,
		help: "stop all services and power off"},
	{name: "reboot", group: "server", server: true, run: cmdReboot, help: "stop all services and reboot"},
	{name: "halt", group: "server", server: true, run: cmdHalt, help: "stop all services and halt"},
	{name: "upgrade", args: "[BINARY]", group: "server", server: true, run: cmdUpgrade, help: "go over to a new binary; the services run on"},
	{name: "server", group: "server", alone: true, run: cmdServer, help: "be the server, in the foreground",
		more:  "Environment: ZINIT_SOCKET, ZINIT_CONFIG_DIR (DIR:DIR), ZINIT_LOG_LEVEL.\nA flag beats the environment.",
		flags: serverFlags},
	{name: "init", args: "[-c] [-- CMD ARG...]", group: "server", raw: true, alone: true, run: cmdInit,
		help: "be PID 1: of a container (-c) or of a machine", flags: initFlags},

	{name: "call", args: "METHOD [JSON]", group: "other", server: true, run: cmdCall,
		help: "call an RPC method: zinit call service.get '{\"name\": \"web\"}'"},
	{name: "discover", group: "other", server: true, run: cmdDiscover,
		help: "all RPC methods, as an OpenRPC document"},
	{name: "probe", args: "TARGET", group: "other", run: cmdProbe,
		help: "one check without a server: exit 0 or 3",
		more: "TARGET is tcp:HOST:PORT, http://HOST[:PORT]/PATH or unix:/PATH.\nIt has --timeout milliseconds to answer, 5000 by default."},
	{name: "completion", args: "SHELL", group: "other", run: cmdCompletion,
		help: "completion for bash, zsh or fish",
		more: "bash: source <(zinit completion bash)\nzsh:  zinit completion zsh > ~/.zfunc/_zinit\nfish: zinit completion fish > ~/.config/fish/completions/zinit.fish"},
	{name: "repl", group: "other", alone: true, run: cmdREPL,
		help: "the same commands, line by line, with history and completion",
		more: "Keys are those of a shell: arrows, Ctrl-A, -E, -K, -U, -W, -Y, Alt-B, -F, -D;\nCtrl-R searches, Tab completes, Ctrl-C ends a command, Ctrl-D leaves."},
	{name: "help", args: "[COMMAND]", group: "other", run: cmdHelp,
		help: "this, a command, or `all` of them in a line each"},
	{name: "version", group: "other", run: cmdVersion, help: "the version of this program"},
	{name: "__complete", raw: true, run: cmdComplete, help: "what a word can become, for completion"},
}

func cmdInit(c *cli) int { return initMain(c.args) }

func cmdVersion(c *cli) int {
	if c.json {
		fmt.Fprintf(c.out, "{\"version\":%q}\n", version)
		return exitDone
	}
	fmt.Fprintln(c.out, "zinit "+version)
	return exitDone
}

// cli is one command on its way: its words, where its output goes, and its connection.
type cli struct {
	out      *bufio.Writer
	width    int  // columns of the terminal that out is; 0: no terminal, no limit
	color    bool // out takes colours
	progress bool // stderr is a terminal: waiting may show what it waits for
	json     bool
	socket   string        // --socket
	timeout  time.Duration // --timeout; 0: none
	cmd      *command
	args     []string // positional words
	tail     []string // words after `--` of a command that takes a program
	flags    map[string][]string
	server   *serverConn
	guarded  bool         // Ctrl-C is looked after
	kept     string       // what a person has to know when the command does not come to its end; "": nothing
	stop     *interrupter // of the REPL that runs this command; nil: none
}

// newCLI looks at the terminal and the environment.
func newCLI() *cli {
	c := &cli{out: bufio.NewWriterSize(os.Stdout, 32<<10)}
	if cols, _, ok := terminalSize(1); ok {
		c.width = cols
		c.color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	_, _, c.progress = terminalSize(2)
	c.progress = c.progress && os.Getenv("TERM") != "dumb" // it goes back to the begin of its line
	return c
}

func (c *cli) has(flag string) bool      { return len(c.flags[flag]) > 0 }
func (c *cli) list(flag string) []string { return c.flags[flag] }

// flag is the value of a flag, the last one when it was given more than once; "" without it.
func (c *cli) flag(flag string) string {
	if v := c.flags[flag]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// dispatch runs one command line and returns its exit code.
func (c *cli) dispatch(words []string) int {
	code := c.dispatchUnflushed(words)
	if c.server != nil {
		c.server.conn.Close()
	}
	if err := c.out.Flush(); err != nil && code == exitDone {
		errorf("cannot write the output: %v", err)
		return exitRefused
	}
	return code
}

func (c *cli) dispatchUnflushed(words []string) int {
	if len(words) == 0 {
		if c.width == 0 {
			errorf("no command")
			hint("zinit help")
			return exitUsage
		}
		return c.overview()
	}
	if err := c.parse(words); err != nil {
		errorf("%v", err)
		if u, ok := err.(*usageError); ok && u.hint != "" {
			hint("%s", u.hint)
		}
		return exitUsage
	}
	if c.cmd != nil && (c.has("help") || c.cmd.raw && len(c.args) > 0 && (c.args[0] == "--help" || c.args[0] == "-h")) {
		return c.commandHelp(c.cmd)
	}
	if c.cmd == nil {
		return c.overview()
	}
	if c.cmd.alone && c.stop != nil {
		errorf("%s does not run inside the repl", c.cmd.name)
		return exitUsage
	}
	if c.cmd.server {
		if code := c.connect(); code != exitDone {
			return code
		}
	}
	if c.cmd.name != "server" {
		runtime.UnlockOSThread()
	}
	return c.cmd.run(c)
}

// usageError is a complaint about the command line with what to try instead.
type usageError struct{ text, hint string }

func (e *usageError) Error() string { return e.text }

// find gives the row of a command by its name or alias, or nil.
func (c *cli) find(name string) *command {
	for _, cmd := range commands {
		if cmd.name == name || slices.Contains(cmd.aliases, name) {
			return cmd
		}
	}
	return nil
}

// namesCommand says whether the words have a command, or ask for help or the version; boot words do not.
func (c *cli) namesCommand(words []string) bool {
	other := &cli{}
	return len(words) > 0 && other.parseCommand(words) == nil
}

// parseCommand is parse up to the name of the command: what follows is not looked at.
func (c *cli) parseCommand(words []string) error {
	if len(words) > 0 && (words[0] == "--version" || words[0] == "-V") {
		words = []string{"version"}
	}
	for len(words) > 0 && len(words[0]) > 1 && words[0][0] == '-' {
		n, err := c.parseFlag(words, globalFlags)
		if err != nil {
			return err
		}
		words = words[n:]
	}
	if len(words) == 0 {
		return nil
	}
	if c.cmd = c.find(words[0]); c.cmd == nil {
		return c.unknownCommand(words[0])
	}
	c.args = words[1:]
	return nil
}

// known are the flags of a command and those of all.
func (cmd *command) known() []*commandFlag {
	return append(append([]*commandFlag(nil), globalFlags...), cmd.flags...)
}

// parse takes the command line apart. Flags that all commands have may stand before and after the command.
func (c *cli) parse(words []string) error {
	if err := c.parseCommand(words); err != nil {
		return err
	}
	if c.cmd == nil || c.cmd.raw {
		return c.takeGlobals()
	}
	rest := c.args
	c.args = nil
	known := c.cmd.known()
	for len(rest) > 0 {
		w := rest[0]
		if w == "--" {
			if strings.Contains(c.cmd.args, "[-- ") {
				c.tail = rest[1:]
				break
			}
			c.args = append(c.args, rest[1:]...)
			break
		}
		if len(w) < 2 || w[0] != '-' || w[1] >= '0' && w[1] <= '9' {
			c.args = append(c.args, w)
			rest = rest[1:]
			continue
		}
		n, err := c.parseFlag(rest, known)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	if err := c.takeGlobals(); err != nil || c.has("help") {
		return err
	}
	return c.checkArgs()
}

func (c *cli) unknownCommand(word string) error {
	var names []string
	for _, cmd := range commands {
		if cmd.group != "" {
			names = append(append(names, cmd.name), cmd.aliases...)
		}
	}
	e := &usageError{"unknown command `" + word + "`", "zinit help"}
	if near := nearest(word, names); near != "" {
		e.hint = "did you mean `zinit " + near + "`?"
	}
	return e
}

// parseFlag reads the flag that words begin with (--name, --name=value, --name value, -n, -n5) and returns how many words it took.
func (c *cli) parseFlag(words []string, known []*commandFlag) (int, error) {
	w := words[0]
	var f *commandFlag
	name, value, inline := strings.Cut(w, "=")
	for _, k := range known {
		if name == "--"+k.name {
			f = k
		}
		if k.short != 0 && w[1] == k.short && w[1] != '-' {
			f, value, inline = k, strings.TrimPrefix(w[2:], "="), len(w) > 2
		}
	}
	if f == nil {
		return 0, c.unknownFlag(name, known)
	}
	if c.flags == nil {
		c.flags = map[string][]string{}
	}
	if f.arg == "" {
		if inline {
			return 0, &usageError{"flag " + w + " takes no value", c.usageHint()}
		}
		c.flags[f.name] = append(c.flags[f.name], "true")
		return 1, nil
	}
	used := 1
	if !inline {
		if len(words) < 2 {
			return 0, &usageError{"flag " + w + " needs a value: " + f.arg, c.usageHint()}
		}
		value, used = words[1], 2
	}
	if f.values != nil && !slices.Contains(f.values, value) {
		return 0, &usageError{"--" + f.name + " cannot be `" + value + "`", "one of: " + strings.Join(f.values, " ")}
	}
	c.flags[f.name] = append(c.flags[f.name], value)
	return used, nil
}

func containsWord(words, word string) bool {
	for _, w := range strings.Fields(words) {
		if w == word {
			return true
		}
	}
	return false
}

func (c *cli) unknownFlag(name string, known []*commandFlag) error {
	var names []string
	for _, f := range known {
		names = append(names, "--"+f.name)
	}
	e := &usageError{"unknown flag `" + name + "`", c.usageHint()}
	if near := nearest(name, names); near != "" {
		e.hint = "did you mean `" + near + "`?"
	}
	return e
}

// takeGlobals moves the flags of all commands to where they are used.
func (c *cli) takeGlobals() error {
	c.socket = c.flag("socket")
	c.json = c.has("json")
	if c.has("no-color") {
		c.color = false
	}
	if s := c.flag("timeout"); s != "" {
		d, err := parseMillis(s)
		if err != nil || d == 0 {
			return &usageError{"bad --timeout `" + s + "`: a number of milliseconds", c.usageHint()}
		}
		c.timeout = d
	}
	return nil
}

// checkArgs compares the number of positional words with what the row of the command says.
func (c *cli) checkArgs() error {
	positional, _, _ := strings.Cut(c.cmd.args, "[-- ")
	words := strings.Fields(positional)
	for i, w := range words {
		if i >= len(c.args) && w[0] != '[' {
			return &usageError{c.cmd.name + " needs a " + strings.TrimSuffix(w, "..."), c.usageHint()}
		}
	}
	if strings.Contains(positional, "...") || len(c.args) <= len(words) {
		return nil
	}
	return &usageError{"too many words for " + c.cmd.name + ": `" + c.args[len(words)] + "`", c.usageHint()}
}

func (c *cli) usageHint() string {
	if c.cmd == nil {
		return "zinit help"
	}
	return "usage: zinit " + c.cmd.usage()
}

// usage is the command line of a command: its name, words and flags.
func (cmd *command) usage() string {
	u := cmd.name
	positional, program, hasProgram := strings.Cut(cmd.args, "[-- ")
	if p := strings.TrimSpace(positional); p != "" {
		u += " " + p
	}
	if len(cmd.flags) > 4 {
		u += " [FLAG...]"
	} else {
		for _, f := range cmd.flags {
			u += " [" + f.spelling() + "]"
		}
	}
	if hasProgram {
		u += " [-- " + program
	}
	return u
}

// spelling is how a flag is written, the short way where there is one: "-n N", "--since T".
func (f *commandFlag) spelling() string {
	s := "--" + f.name
	if f.arg != "" {
		s += " " + f.arg
	}
	return s
}

func cmdHelp(c *cli) int {
	if len(c.args) == 0 {
		return c.overview()
	}
	if c.args[0] == "all" {
		for _, cmd := range commands {
			if cmd.group != "" {
				c.entry(13, cmd.name, cmd.help, "")
			}
		}
		return exitDone
	}
	cmd := c.find(c.args[0])
	if cmd == nil {
		err := c.unknownCommand(c.args[0]).(*usageError)
		errorf("%s", err.text)
		hint("%s", strings.Replace(err.hint, "`zinit ", "`zinit help ", 1))
		return exitUsage
	}
	return c.commandHelp(cmd)
}

// overview is the help that fits one screen of 80 columns and 24 lines.
func (c *cli) overview() int {
	c.paragraph("zinit " + version + " starts, watches and stops services.\n\nusage: zinit [--socket PATH] [--json] [--no-color] [--timeout MS] COMMAND ...")
	fmt.Fprintln(c.out)
	width := 80
	if c.width > 0 {
		width = min(width, c.width)
	}
	for _, group := range []string{"look", "run", "configure", "server", "other"} {
		var names []string
		for _, cmd := range commands {
			if cmd.group == group {
				names = append(names, cmd.name)
			}
		}
		head := group
		for _, line := range wrap(names, width-13) {
			fmt.Fprintf(c.out, "  %s %s\n", c.paint(styleBold, fmt.Sprintf("%-10s", head)), line)
			head = ""
		}
	}
	fmt.Fprintln(c.out)
	for _, e := range [][2]string{
		{"zinit list", "what there is, and how it is"},
		{"zinit create hello -- sleep 60", "a first service"},
		{"zinit why web", "why it does not run, and what to do"},
		{"zinit logs -f web", "what it writes"},
		{"zinit help logs", "more about a command"},
		{"zinit help all", "a line about every command"},
	} {
		c.entry(38, "  "+e[0], e[1], "")
	}
	return exitDone
}

// wrap joins words by spaces to lines of at most width columns.
func wrap(words []string, width int) []string {
	var lines []string
	for _, w := range words {
		if n := len(lines); n > 0 && len(lines[n-1])+1+len(w) <= width {
			lines[n-1] += " " + w
			continue
		}
		lines = append(lines, w)
	}
	return lines
}

// commandHelp prints all there is to know about one command.
func (c *cli) commandHelp(cmd *command) int {
	c.paragraph("usage: zinit " + cmd.usage())
	if len(cmd.aliases) > 0 {
		fmt.Fprintln(c.out, "also:  zinit "+strings.Join(cmd.aliases, ", "))
	}
	fmt.Fprintln(c.out)
	c.paragraph(strings.ToUpper(cmd.help[:1]) + cmd.help[1:] + ".\n" + cmd.more)
	if len(cmd.flags) > 0 {
		fmt.Fprintln(c.out)
	}
	for _, f := range cmd.flags {
		if f.help == "" {
			continue
		}
		short := "    "
		if f.short != 0 {
			short = "-" + string(f.short) + ", "
		}
		c.entry(31, "  "+short+f.spelling(), f.helpText(), "")
	}
	if !cmd.raw {
		c.paragraph("\nWith every command: [--socket PATH] [--json] [--no-color] [--timeout MS]")
	}
	return exitDone
}
