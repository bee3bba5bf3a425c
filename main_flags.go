// main_flags.go is the one parser of command lines and the table of the flags that several commands share; what a flag does is up to its command.

package main

import (
	"slices"
	"strings"
)

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
	logFormatFlag       = commandFlag{name: "log-format", arg: "FORMAT", values: ownLogFormats, help: "of its own log: %s (text)"}
	socketModeFlag      = commandFlag{name: "socket-mode", arg: "MODE", help: "mode of the socket (0600; of a group 0660)"}
	socketGroupFlag     = commandFlag{name: "socket-group", arg: "GROUP", help: "group of the socket: may do everything"}
	shutdownTimeoutFlag = commandFlag{name: "shutdown-timeout-ms", arg: "MS", help: "a shutdown kills what is left then (30000; 0: never)"}
	waitFlag            = commandFlag{name: "wait", short: 'w', help: "until it is done; --timeout limits how long"}
	powerForceFlag      = commandFlag{name: "force", short: 'f', help: "at once: no service is stopped, only sync(2)"}
	persistFlag         = commandFlag{name: "persist", help: "write its file too, so that it stays"}
)

// serverFlags are the flags of `zinit server`. --socket is one for all commands.
var serverFlags = []*commandFlag{
	{name: "config-dir", short: 'c', arg: "DIR", help: configDirHelp},
	&systemDirFlag, &logLevelFlag, &logFormatFlag, &socketModeFlag, &socketGroupFlag, &shutdownTimeoutFlag,
	{name: "version", help: "print the version"},
	// What the keeper says to its server; people need none of these, so they have no help.
	{name: "keeper"}, {name: "container"}, {name: "discard-state"}, {name: "check-state"}, {name: "check-keeper"}, {name: "with-cmd", arg: "MS"}, {name: "target", arg: "NAME"},
}

// initFlags are the flags of `zinit init`; those of the server are passed on to it.
var initFlags = []*commandFlag{
	{name: "container", short: 'c', help: "be PID 1 of a container"},
	{name: "rewrite", short: 'r', arg: "FROM:TO", help: "CMD gets TO for FROM; TO 0 drops it"},
	{name: "group", short: 'g', help: "signal CMD's whole process group"},
	{name: "subreaper", short: 's', help: "adopt orphans when not PID 1"},
	{name: "exit-ok", short: 'e', arg: "CODE", help: "this exit code of CMD counts as 0"},
	{name: "parent-signal", short: 'p', arg: "SIGNAL", help: "CMD gets it when our parent dies"},
	{name: "cmd-wait-ms", arg: "MS", help: "CMD starts at the latest after this time (5000)"},
	{name: "dry-run", help: "print the steps of the boot and do nothing"},
	{name: "config-dir", arg: "DIR", help: configDirHelp}, // -c is --container here
	&systemDirFlag, &logLevelFlag, &logFormatFlag, &socketModeFlag, &socketGroupFlag,
	{name: "shutdown-timeout-ms", arg: "MS", help: "a shutdown kills what is left then (30000; -c: 8000; 0: never)"},
	&socketFlag,
}

// known are the flags of a command and those of all.
func (cmd *command) known() []*commandFlag {
	return slices.Concat(globalFlags, cmd.flags)
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
	for known := c.cmd.known(); len(rest) > 0 && rest[0] != "--"; {
		n, w := 1, rest[0]
		if len(w) < 2 || w[0] != '-' || w[1] >= '0' && w[1] <= '9' {
			c.args = append(c.args, w)
		} else if used, err := c.parseFlag(rest, known); err != nil {
			return err
		} else {
			n = used
		}
		rest = rest[n:]
	}
	switch {
	case len(rest) == 0:
	case strings.Contains(c.cmd.args, "[-- "):
		c.tail = rest[1:]
	default:
		c.args = append(c.args, rest[1:]...)
	}
	if err := c.takeGlobals(); err != nil || c.has("help") {
		return err
	}
	return c.checkArgs()
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
			return &usageError{text: "bad --timeout `" + s + "`: a number of milliseconds"}
		}
		c.timeout = d
	}
	return nil
}

// checkArgs compares the values of flags and the number of positional words with what the row of the command says.
func (c *cli) checkArgs() error {
	for _, f := range c.cmd.flags {
		for _, value := range c.list(f.name) {
			if f.values != nil && !slices.Contains(f.values, value) {
				return &usageError{text: "--" + f.name + " cannot be `" + value + "`", hint: "one of: " + strings.Join(f.values, " ")}
			}
		}
	}
	positional, _, _ := strings.Cut(c.cmd.args, "[-- ")
	words := strings.Fields(positional)
	for i, w := range words {
		if i >= len(c.args) && w[0] != '[' {
			return &usageError{text: c.cmd.name + " needs a " + strings.TrimSuffix(w, "...")}
		}
	}
	if strings.Contains(positional, "...") || len(c.args) <= len(words) {
		return nil
	}
	return &usageError{text: "too many words for " + c.cmd.name + ": `" + c.args[len(words)] + "`"}
}
