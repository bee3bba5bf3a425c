// main_options.go turns the flags and the environment of the server role into its options; it starts nothing.

//go:build !windows

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// cmdServer is the server role: flags beat the environment, which beats the defaults.
func cmdServer(c *cli) int {
	if c.has("version") {
		return cmdVersion(c)
	}
	opts, err := c.serverOptions()
	if err != nil {
		errorf("%v", err)
		hint("zinit help server")
		return exitUsage
	}
	if opts.checkKeeper {
		if err := checkRecord(4, initFlags); err != nil {
			fmt.Println("state bad", err)
			return exitRefused
		}
	}
	return serverMain(opts, func(s *supervisor, l *controlSocket) func() { return serveRPC(s, l).close })
}

// serverOptions reads the flags of the server role and the environment behind them.
func (c *cli) serverOptions() (serverOptions, error) {
	o := serverOptions{
		socket:       cmp.Or(c.socket, os.Getenv("ZINIT_SOCKET")),
		configDirs:   configDirs(c.list("config-dir"), c.has("keeper")),
		systemDir:    c.flag("system-dir"),
		logLevel:     cmp.Or(c.flag("log-level"), os.Getenv("ZINIT_LOG_LEVEL"), logInfo.String()),
		logFormat:    cmp.Or(c.flag("log-format"), os.Getenv("ZINIT_LOG_FORMAT"), ownLogFormats[0]),
		socketMode:   0o600,
		socketGroup:  c.flag("socket-group"),
		keeper:       c.has("keeper"),
		container:    c.has("container"),
		discardState: c.has("discard-state"),
		checkState:   c.has("check-state"),
		checkKeeper:  c.has("check-keeper"),
		withCmd:      c.has("with-cmd"),
		target:       c.flag("target"),
	}
	if d, err := parseMillis(c.flag("with-cmd")); err == nil {
		o.cmdWait = d
	}
	o.socketSet = o.socket != ""
	o.dirsSet = len(c.list("config-dir")) > 0 || os.Getenv("ZINIT_CONFIG_DIR") != ""
	if !o.socketSet {
		o.socket = defaultSocket()
	}
	if o.socket == "" && !o.keeper && !o.checkState {
		return o, errors.New("no place for the socket: neither XDG_RUNTIME_DIR nor HOME is set; use --socket PATH")
	}
	if _, err := parseLogLevel(o.logLevel); err != nil {
		return o, err
	}
	if err := setLogFormat(o.logFormat); err != nil {
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
	var err error
	o.shutdownTimeout, o.limitSet, err = shutdownLimit(c.flag("shutdown-timeout-ms"), o.container)
	return o, err
}
