// init_options.go turns the words behind `zinit init` and the environment into the options of the keeper; it does nothing with them.

//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// keeperOptions is what the command line and the environment say about `zinit init`.
type keeperOptions struct {
	container bool
	dryRun    bool
	server    []string // flags that are the server's, and their values
	socket    string   // the one of these that names its socket
	logLevel  string
	logFormat string
	limit     time.Duration
	cmd       []string
	cmdWait   time.Duration
	limitSet  bool // by flag or environment
	group     bool // -g
	subreaper bool // -s
	okCodes   []int
	parentSig int // -p
	rewrite   map[int]int
}

// parseInit reads the words behind `zinit init`. In a container the first word that is no flag begins CMD, with or without "--" before it.
// Under a kernel, which passes on boot words that it does not know, strict is false and those are ignored.
func parseInit(args []string, flags []*commandFlag, strict bool) (keeperOptions, error) {
	var c flagValues
	o := keeperOptions{container: os.Getenv("ZINIT_CONTAINER") == "1"}
	unknown, verbose := "", 0
	for len(args) > 0 && o.cmd == nil {
		n, word := 1, args[0]
		switch {
		case word == "--":
			o.cmd = args[1:]
		case word == "-w" && o.container: // tini says then what it reaps; we reap without a word
		case o.container && len(word) > 1 && strings.Trim(word[1:], "v") == "" && word[0] == '-':
			verbose += len(word) - 1
		case len(word) > 1 && word[0] == '-':
			used, err := c.parseFlag(args, flags)
			usage, is := err.(*usageError)
			switch {
			case err == nil:
				n, o.container = used, o.container || c.has("container")
			case is && usage.unknown:
				unknown = cmp.Or(unknown, word)
			default:
				return o, fmt.Errorf("zinit init: %w", err)
			}
		case o.container:
			o.cmd = args
		case strict:
			unknown = cmp.Or(unknown, word)
		}
		args = args[n:]
	}
	if err := o.take(c); err != nil {
		return o, fmt.Errorf("zinit init: %w", err)
	}
	if verbose > 0 && !c.has("log-level") { // -v and -vv of tini
		o.logLevel = []string{logInfo.String(), logDebug.String()}[min(verbose, 2)-1]
	}
	if unknown != "" {
		err := fmt.Errorf("zinit init: unknown flag or word `%s`; %s", unknown, cmp.Or(insteadOf[unknown], "a program to run stands behind --"))
		if strict || o.container {
			return o, err
		}
		logf(logWarn, "%v; ignored", err) // a machine boots all the same
	}
	if len(o.cmd) > 0 && !o.container {
		return o, errors.New("zinit init: a program behind -- belongs to a container; add -c")
	}
	return o, nil
}

// insteadOf says what becomes of flags of tini and dumb-init that are none here.
var insteadOf = map[string]string{
	"-h": "`zinit help init` tells what there is", "--help": "`zinit help init` tells what there is",
	"-l": versionInstead, "-V": versionInstead, "--version": versionInstead,
	"--single-child": "leave it out: without -g CMD alone gets signals",
}

const versionInstead = "leave it out: `zinit version` tells the version"

// setOwnLog applies log level and format to our own log. An invalid value is returned as an error and otherwise ignored: a machine boots all the same.
func (o *keeperOptions) setOwnLog() (err error) {
	if o.logLevel != "" {
		if err = setLogLevel(o.logLevel); err != nil {
			os.Unsetenv("ZINIT_LOG_LEVEL")
			o.logLevel = ""
		}
	}
	if o.logFormat != "" {
		if formatErr := setLogFormat(o.logFormat); formatErr != nil {
			err = formatErr
			os.Unsetenv("ZINIT_LOG_FORMAT")
			o.logFormat = ""
		}
	}
	return err
}

// take reads the values of the flags.
func (o *keeperOptions) take(c flagValues) (err error) {
	bad := func(flag, value, want string) error { return fmt.Errorf("bad --%s `%s`: %s", flag, value, want) }
	o.dryRun, o.group, o.subreaper = c.has("dry-run"), c.has("group"), c.has("subreaper")
	o.logLevel = cmp.Or(c.flag("log-level"), os.Getenv("ZINIT_LOG_LEVEL"))
	o.logFormat = cmp.Or(c.flag("log-format"), os.Getenv("ZINIT_LOG_FORMAT"))
	o.socket = c.flag("socket")
	for _, name := range []string{"config-dir", "system-dir", "socket-mode", "socket-group", "socket"} {
		for _, value := range c.list(name) {
			o.server = append(o.server, "--"+name, value)
		}
	}
	for _, value := range c.list("exit-ok") {
		n, err := strconv.ParseUint(value, 10, 8)
		if err != nil {
			return bad("exit-ok", value, "an exit code from 0 to 255")
		}
		o.okCodes = append(o.okCodes, int(n))
	}
	if value := c.flag("parent-signal"); c.has("parent-signal") {
		if o.parentSig, err = parseSignal(value); err != nil {
			return bad("parent-signal", value, "a signal")
		}
	}
	o.rewrite = map[int]int{}
	for _, value := range c.list("rewrite") {
		from, to, _ := strings.Cut(value, ":")
		f, err := parseSignal(from)
		t := 0
		if err == nil && to != "0" {
			t, err = parseSignal(to)
		}
		if err != nil {
			return bad("rewrite", value, "FROM:TO, two signals; TO 0 drops it")
		}
		o.rewrite[f] = t
	}
	o.cmdWait = 5 * time.Second
	if c.has("cmd-wait-ms") {
		if o.cmdWait, err = parseMillis(c.flag("cmd-wait-ms")); err != nil {
			return bad("cmd-wait-ms", c.flag("cmd-wait-ms"), "a number of milliseconds")
		}
	}
	o.limit, o.limitSet, err = shutdownLimit(c.flag("shutdown-timeout-ms"), o.container)
	return err
}
