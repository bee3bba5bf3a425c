// main_commands.go is the table of commands and the way from words to the function of one; it knows nothing of what they do.

package main

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"
)

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

// commands has one row per command: data, which nothing builds when the program starts.
var commands []*command

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
			{name: "until", arg: "T", help: "only lines until then"},
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
		help:  "send a signal to a service (SIGTERM)",
		more:  "SIGNAL is a name (HUP, SIGHUP) or a number. It goes to the main process, which\npasses it on to its workers if that is what it means to it; with --group to all.\nThe service is still wanted: its restart policy applies. To end it use `zinit stop`.",
		flags: []*commandFlag{{name: "group", help: "to all processes of the service"}}},
	{name: "send", args: "NAME TEXT", group: "run", server: true, run: cmdSend,
		help: "write a line to the stdin of a service",
		more: "The service needs stdin = \"pipe\" in its file."},
	{name: "attach", args: "NAME", group: "run", server: true, alone: true, run: cmdAttach,
		help: "show the log of a service, and write what is typed to its stdin",
		more: "The service needs stdin = \"pipe\" in its file. Ctrl-C or the end of the input ends\nattach, not the service."},
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
		help: "add or replace a service by a TOML file, permanently",
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
	{name: "xinet", args: "list|status|create|delete [PROXY|FILE]", group: "configure", server: true, run: cmdXinet,
		help: "proxies that start a service when somebody connects"},

	{name: "ping", group: "server", server: true, run: cmdPing, help: "does the server answer?"},
	{name: "info", group: "server", server: true, run: cmdInfo,
		help: "the server, and what works on this machine"},
	{name: "metrics", group: "server", server: true, run: cmdMetrics,
		help: "states, restarts, exits, CPU, memory and log lines as OpenMetrics text"},
	{name: "shutdown", args: "[now|+MIN] [TEXT...]", group: "server", run: cmdGoDown,
		help: "stop all services, then the server; a system powers off",
		more: "+MIN: that many minutes from now, with TEXT as a warning for who is logged in;\nonly under zinit init. Called as `shutdown` it is shutdown(8): -h -P -r -H -c, and\n+1 without any word.",
		flags: []*commandFlag{
			{name: "poweroff", short: 'P', help: "power off; a container ends"},
			{name: "reboot", short: 'r', help: "reboot"},
			{name: "halt", short: 'H', help: "halt"},
			{name: "cancel", short: 'c', help: "give up the one that is planned"},
		}},
	{name: "poweroff", group: "server", run: cmdGoDown, flags: []*commandFlag{&powerForceFlag},
		help: "stop all services and power off"},
	{name: "reboot", group: "server", run: cmdGoDown, flags: []*commandFlag{&powerForceFlag}, help: "stop all services and reboot"},
	{name: "halt", group: "server", run: cmdGoDown, flags: []*commandFlag{&powerForceFlag}, help: "stop all services and halt"},
	{name: "upgrade", args: "[BINARY]", group: "server", server: true, run: cmdUpgrade, help: "go over to a new binary; the services run on"},
	{name: "server", group: "server", alone: true, run: cmdServer, help: "be the server, in the foreground",
		more:  "Environment: ZINIT_SOCKET, ZINIT_CONFIG_DIR (DIR:DIR), ZINIT_LOG_LEVEL, ZINIT_LOG_FORMAT, ZINIT_SHUTDOWN_TIMEOUT_MS.\nA flag beats the environment.",
		flags: serverFlags},
	{name: "init", args: "[-c] [-- CMD ARG...]", group: "server", raw: true, alone: true, run: cmdInit,
		help:  "be PID 1: of a container (-c) or of a machine",
		more:  "With a CMD: --log-level is warn where there is no services directory, and a\nshutdown has no limit of its own where there is no service.",
		flags: initFlags},

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
	flagValues
	server  *serverConn
	guarded bool         // Ctrl-C is looked after
	kept    string       // what a person has to know when the command does not come to its end; "": nothing
	stop    *interrupter // of the REPL that runs this command; nil: none
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
		u := err.(*usageError)
		hint("%s", cmp.Or(u.hint, c.usageHint()))
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

// find gives the row of a command by its name or alias, or nil.
func (c *cli) find(name string) *command {
	for _, cmd := range commands {
		if cmd.name == name || slices.Contains(cmd.aliases, name) {
			return cmd
		}
	}
	return nil
}

func (c *cli) unknownCommand(word string) error {
	var names []string
	for _, cmd := range commands {
		if cmd.group != "" {
			names = append(append(names, cmd.name), cmd.aliases...)
		}
	}
	e := &usageError{text: "unknown command `" + word + "`", hint: "zinit help"}
	if near := nearest(word, names); near != "" {
		e.hint = "did you mean `zinit " + near + "`?"
	}
	return e
}

func cmdInit(c *cli) int { return initMain(c.args, initFlags) }

func cmdVersion(c *cli) int {
	if c.json {
		fmt.Fprintf(c.out, "{\"version\":%q}\n", version)
		return exitDone
	}
	fmt.Fprintln(c.out, "zinit "+version)
	return exitDone
}
