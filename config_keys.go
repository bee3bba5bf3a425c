// config_keys.go is the table of the keys of service files: a row for each, from which reading, writing, suggestions, the schema and the manual come. A new key is a new row here, and a field in config.go for its value.

package main

import "math"

// kind says what a key takes. With the type that field.at points to, it decides how a value is read and written.
type kind uint8

const (
	kindText kind = iota
	kindFlag
	kindNumber // *int, *int64, **int64, or *time.Duration for milliseconds
	kindTexts
	kindOneOrMore // a string or a list of strings; "" is an empty list
	kindNumbers
	kindTable    // of strings
	kindCommand  // string or list of strings
	kindIdentity // name or number of a user or group
	kindSignal
	kindEndings // exit codes and names of signals
	kindRlimit  // number or "unlimited"
	kindProbe   // what a health check looks at: string, or for exec a command
)

// field is one key of the configuration: reading, writing, suggestions and the schema all come from its row.
type field struct {
	section, key string
	kind         kind
	def          any // nil: nothing
	must         bool
	min, max     int64 // of numbers; max 0: what an int32 holds
	oneOf        []string
	check        func(string) error // of every string
	doc          string
	at           func(*config) any // where the value is kept
}

// fields is every key there is, in the order in which a file is written.
var fields = []*field{
	{section: "service", key: "name", check: validUnit, doc: "what the service is called; default: the file's name without .toml", at: func(c *config) any { return &c.Service.Name }},
	{section: "service", key: "exec", kind: kindCommand, must: true, doc: "the command to run, in the foreground; a list is executed as it is", at: func(c *config) any { return &c.Service.Exec }},
	{section: "service", key: "dir", doc: "working directory; default: that of the server", at: func(c *config) any { return &c.Service.Dir }},
	{section: "service", key: "description", doc: "shown to people", at: func(c *config) any { return &c.Service.Description }},
	{section: "service", key: "env", kind: kindTable, doc: "added to the environment of the server", at: func(c *config) any { return &c.Service.Env }},
	{section: "service", key: "env_file", kind: kindOneOrMore, check: validEnvFile, doc: "file with lines KEY=VALUE, or a list of them, later ones win; env wins over all; with a leading - it may be missing", at: func(c *config) any { return &c.Service.EnvFiles }},
	{section: "service", key: "expand", kind: kindFlag, def: false, doc: "put the values of the environment in for ${NAME} and ${NAME:-default}, without a shell", at: func(c *config) any { return &c.Service.Expand }},
	{section: "service", key: "runtime_dirs", kind: kindTexts, check: validRuntimeDir, doc: "directories made before each start, of mode 0755 and of user and group; missing ones above are made too", at: func(c *config) any { return &c.Service.RuntimeDirs }},
	{section: "service", key: "tty", check: validOptional, doc: "terminal that becomes its stdin, stdout, stderr and controlling terminal; then nothing is logged", at: func(c *config) any { return &c.Service.TTY }},
	{section: "service", key: "status", def: string(statusStart), oneOf: loadStatuses, doc: "start: it is started when it is loaded; stop: only loaded; ignore: only loaded, and never restarted automatically", at: func(c *config) any { return (*string)(&c.Service.Status) }},
	{section: "service", key: "class", def: string(classUser), oneOf: unitClasses, doc: "system services are left alone by start_all, stop_all and delete_all", at: func(c *config) any { return (*string)(&c.Service.Class) }},
	{section: "service", key: "critical", kind: kindFlag, def: false, doc: "its permanent end ends the container, or opens the emergency shell of a machine", at: func(c *config) any { return &c.Service.Critical }},
	{section: "service", key: "oneshot", kind: kindFlag, def: false, doc: "does its work and exits; done when it exits with a success code", at: func(c *config) any { return &c.Service.Oneshot }},
	{section: "service", key: "user", kind: kindIdentity, doc: "user to run as; default: that of the server", at: func(c *config) any { return &c.Service.User }},
	{section: "service", key: "group", kind: kindIdentity, doc: "group to run as; default: that of the user", at: func(c *config) any { return &c.Service.Group }},
	{section: "service", key: "ports", kind: kindNumbers, min: 1, max: 65535, doc: "TCP ports that must be free before a start", at: func(c *config) any { return &c.Service.Ports }},
	{section: "service", key: "process_filter", doc: "a foreign process with this in its name, in upper or lower case, blocks a start", at: func(c *config) any { return &c.Service.ProcessFilter }},
	{section: "service", key: "kill_others", kind: kindFlag, def: false, doc: "stop what process_filter finds (SIGTERM, stop_timeout_ms, SIGKILL) instead of waiting for its end", at: func(c *config) any { return &c.Service.KillOthers }},
	{section: "service", key: "pid_file", check: validOptional, doc: "for a program that goes into the background: its start is done when the first process has exited with 0 and this file names a live process of the service, which is the main process from then on", at: func(c *config) any { return &c.Service.PIDFile }},
	{section: "service", key: "stdin", def: string(stdinFromNull), oneOf: stdinKinds, doc: "null: it reads nothing; pipe: what `zinit send` and `zinit attach` write", at: func(c *config) any { return (*string)(&c.Service.Stdin) }},
	{section: "service", key: "instances", kind: kindTexts, check: validInstance, doc: "of a template, a file NAME@.toml: the instances that always exist", at: func(c *config) any { return &c.Service.Instances }},

	{section: "target", key: "name", check: validUnit, doc: "what the target is called; default: the file's name without .toml", at: func(c *config) any { return &c.Service.Name }},
	{section: "target", key: "description", doc: "shown to people", at: func(c *config) any { return &c.Service.Description }},
	{section: "target", key: "status", def: string(statusStart), oneOf: loadStatuses, doc: "start: it is started when it is loaded; stop, ignore: only loaded", at: func(c *config) any { return (*string)(&c.Service.Status) }},

	{section: "dependencies", key: "requires", kind: kindTexts, check: validUnit, doc: "start only when these are running or done; stop before they are stopped", at: func(c *config) any { return &c.Dependencies.Requires }},
	{section: "dependencies", key: "after", kind: kindTexts, check: validUnit, doc: "start after these, if they are started at all", at: func(c *config) any { return &c.Dependencies.After }},
	{section: "dependencies", key: "wants", kind: kindTexts, check: validUnit, doc: "start these too, without waiting", at: func(c *config) any { return &c.Dependencies.Wants }},
	{section: "dependencies", key: "conflicts", kind: kindTexts, check: validUnit, doc: "never run at the same time as these", at: func(c *config) any { return &c.Dependencies.Conflicts }},
	{section: "dependencies", key: "binds", kind: kindTexts, check: validUnit, doc: "as requires; it is also stopped when one of these ends in whatever way, and started again with it", at: func(c *config) any { return &c.Dependencies.Binds }},
	{section: "dependencies", key: "mounts", kind: kindTexts, check: validMount, doc: "paths that must be mount points before a start", at: func(c *config) any { return &c.Dependencies.Mounts }},

	{section: "conditions", key: "env", kind: kindTexts, check: validEnvCondition, doc: "variables: NAME is set and not empty, NAME=VALUE has this value; with a leading ! the opposite", at: func(c *config) any { return &c.Conditions.Env }},
	{section: "conditions", key: "exists", kind: kindTexts, check: validExistsCondition, doc: "paths that exist; with a leading ! that do not", at: func(c *config) any { return &c.Conditions.Exists }},

	{section: "lifecycle", key: "restart", def: string(restartOnFailure), oneOf: restartPolicies, doc: "after which kind of end it is started again", at: func(c *config) any { return (*string)(&c.Lifecycle.Restart) }},
	{section: "lifecycle", key: "restart_delay_ms", kind: kindNumber, def: 1000, max: maxMillis, doc: "delay before the first restart; doubles with each one; 0: none", at: func(c *config) any { return &c.Lifecycle.RestartDelay }},
	{section: "lifecycle", key: "restart_delay_max_ms", kind: kindNumber, def: 60000, max: maxMillis, doc: "the longest delay before a restart; with less than restart_delay_ms the delay does not grow", at: func(c *config) any { return &c.Lifecycle.RestartDelayMax }},
	{section: "lifecycle", key: "stability_period_ms", kind: kindNumber, def: 10000, max: maxMillis, doc: "after running this long the delay and the count of restarts start over", at: func(c *config) any { return &c.Lifecycle.StabilityPeriod }},
	{section: "lifecycle", key: "max_restarts", kind: kindNumber, def: 0, doc: "restarts in a row before it is left failed (3 means 4 runs); 0: no limit", at: func(c *config) any { return &c.Lifecycle.MaxRestarts }},
	{section: "lifecycle", key: "start_timeout_ms", kind: kindNumber, def: 30000, max: maxMillis, doc: "time from execution to running; 0: no limit, which is the default of a oneshot", at: func(c *config) any { return &c.Lifecycle.StartTimeout }},
	{section: "lifecycle", key: "ready_after_ms", kind: kindNumber, def: 0, max: maxMillis, doc: "without [health]: it is running only after it has lived this long", at: func(c *config) any { return &c.Lifecycle.ReadyAfter }},
	{section: "lifecycle", key: "stop_timeout_ms", kind: kindNumber, def: 10000, max: maxMillis, doc: "time from the stop signal to SIGKILL", at: func(c *config) any { return &c.Lifecycle.StopTimeout }},
	{section: "lifecycle", key: "stop_signal", kind: kindSignal, def: "SIGTERM", doc: "signal that asks it to end", at: func(c *config) any { return &c.Lifecycle.StopSignal }},
	{section: "lifecycle", key: "stop_exec", kind: kindCommand, doc: "command that asks it to end, before the signal; of a oneshot that has exited: run when it is stopped", at: func(c *config) any { return &c.Lifecycle.StopExec }},
	{section: "lifecycle", key: "kill_mode", def: string(killGroup), oneOf: killModes, doc: "whom a stop reaches. group: the stop signal goes to all of the service, SIGKILL to what is left after stop_timeout_ms; mixed: the stop signal goes to the main process only, SIGKILL to what is left when it has ended; process: only the main process is stopped, what it leaves behind lives on", at: func(c *config) any { return (*string)(&c.Lifecycle.KillMode) }},
	{section: "lifecycle", key: "success_codes", kind: kindEndings, def: []any{int64(0)}, max: 255, doc: "exit codes, or signal names, that count as success", at: func(c *config) any { return &c.Lifecycle.SuccessCodes }},
	{section: "lifecycle", key: "restart_prevent", kind: kindEndings, max: 255, doc: "exit codes, or signal names, after which no policy starts it again", at: func(c *config) any { return &c.Lifecycle.RestartPrevent }},

	{section: "health", key: "type", must: true, oneOf: healthTypes, doc: "how to see whether it works", at: func(c *config) any { return (*string)(&c.Health.Type) }},
	{section: "health", key: "target", kind: kindProbe, doc: "tcp: host:port or the path of a socket; http: http://host[:port]/path; exec: a command; fd: a number from 3 to 19; log: a text; notify: none", at: func(c *config) any { return c.Health }},
	{section: "health", key: "interval_ms", kind: kindNumber, def: 10000, max: maxMillis, doc: "time between checks while it is running; 0: none after the first that passes. notify: the longest time between two signs of life (the watchdog); default 0, none", at: func(c *config) any { return &c.Health.Interval }},
	{section: "health", key: "timeout_ms", kind: kindNumber, def: 5000, min: 1, max: maxMillis, doc: "time limit of one check", at: func(c *config) any { return &c.Health.Timeout }},
	{section: "health", key: "retries", kind: kindNumber, def: 3, doc: "failures in a row while it is running that make it fail; 0: they are only shown", at: func(c *config) any { return &c.Health.Retries }},
	{section: "health", key: "start_interval_ms", kind: kindNumber, def: 100, min: 1, max: maxMillis, doc: "time between checks until the first one passes", at: func(c *config) any { return &c.Health.StartInterval }},

	{section: "logging", key: "buffer_lines", kind: kindNumber, def: 1000, max: 1000000, doc: "newest lines kept in memory, at most 4 MiB; 0: none", at: func(c *config) any { return &c.Logging.BufferLines }},
	{section: "logging", key: "file", doc: "log file; missing directories are made", at: func(c *config) any { return &c.Logging.File }},
	{section: "logging", key: "max_size_bytes", kind: kindNumber, def: 10485760, max: 1 << 60, doc: "size at which the file is rotated to file.1, file.2, ...; 0: never", at: func(c *config) any { return &c.Logging.MaxSize }},
	{section: "logging", key: "keep", kind: kindNumber, def: 3, max: 1000, doc: "rotated files to keep", at: func(c *config) any { return &c.Logging.Keep }},
	{section: "logging", key: "format", def: string(formatRaw), oneOf: logFormats, doc: "of the file: the bytes as they came, with time and stream, or a JSON object for each line", at: func(c *config) any { return (*string)(&c.Logging.Format) }},
	{section: "logging", key: "console", kind: kindFlag, doc: "copy to stdout and stderr of the server, each to its own; default: only under init -c", at: func(c *config) any { return &c.Logging.Console }},
	{section: "logging", key: "console_format", def: string(formatPrefix), oneOf: consoleFormats, doc: "NAME | text, the line as it came, with time and stream, or a JSON object for each line", at: func(c *config) any { return (*string)(&c.Logging.ConsoleFormat) }},

	{section: "limits", key: "nofile", kind: kindRlimit, max: math.MaxInt64, doc: "open files", at: func(c *config) any { return &c.Limits.Nofile }},
	{section: "limits", key: "nproc", kind: kindRlimit, max: math.MaxInt64, doc: "processes of the user", at: func(c *config) any { return &c.Limits.Nproc }},
	{section: "limits", key: "core", kind: kindRlimit, max: math.MaxInt64, doc: "size of a core file, bytes", at: func(c *config) any { return &c.Limits.Core }},
	{section: "limits", key: "as", kind: kindRlimit, max: math.MaxInt64, doc: "address space, bytes", at: func(c *config) any { return &c.Limits.As }},
	{section: "limits", key: "memlock", kind: kindRlimit, max: math.MaxInt64, doc: "locked memory, bytes", at: func(c *config) any { return &c.Limits.Memlock }},
	{section: "limits", key: "nice", kind: kindNumber, min: -20, max: 19, doc: "scheduling priority; 19 is the lowest", at: func(c *config) any { return &c.Limits.Nice }},
	{section: "limits", key: "oom_score_adj", kind: kindNumber, min: -1000, max: 1000, doc: "1000: the first to be killed when memory runs out", at: func(c *config) any { return &c.Limits.OOMScoreAdj }},
	{section: "limits", key: "umask", check: validUmask, doc: "octal digits, as a string", at: func(c *config) any { return &c.Limits.Umask }},
	{section: "limits", key: "no_new_privs", kind: kindFlag, doc: "no setuid programs for it", at: func(c *config) any { return &c.Limits.NoNewPrivs }},
	{section: "limits", key: "caps", kind: kindTexts, check: validCap, doc: "ambient capabilities, such as net_bind_service", at: func(c *config) any { return &c.Limits.Caps }},
	{section: "limits", key: "chroot", check: validAbsolute, doc: "its root directory", at: func(c *config) any { return &c.Limits.Chroot }},
	{section: "limits", key: "memory_max_bytes", kind: kindNumber, max: 1 << 60, doc: "memory of its control group; 0: no limit", at: func(c *config) any { return &c.Limits.MemoryMax }},
	{section: "limits", key: "cpu_max_percent", kind: kindNumber, max: 1000000, doc: "processor time of its control group; 150 is one and a half processors; 0: no limit", at: func(c *config) any { return &c.Limits.CPUMax }},
	{section: "limits", key: "pids_max", kind: kindNumber, doc: "processes and threads of its control group; 0: no limit", at: func(c *config) any { return &c.Limits.PidsMax }},

	{section: "xinet", key: "name", check: validName, doc: "what the proxy is called; default: the file's name without .toml", at: func(c *config) any { return &c.Xinet.Name }},
	{section: "xinet", key: "listen", kind: kindTexts, must: true, check: validAddress, doc: "where to listen: host:port, :port, tcp:host:port, /path or unix:/path", at: func(c *config) any { return &c.Xinet.Listen }},
	{section: "xinet", key: "backend", check: validAddress, doc: "where the service listens", at: func(c *config) any { return &c.Xinet.Backend }},
	{section: "xinet", key: "service", must: true, check: validUnit, doc: "the service to start on demand", at: func(c *config) any { return &c.Xinet.Service }},
	{section: "xinet", key: "connect_timeout", kind: kindNumber, def: 30, min: 1, doc: "seconds to wait for the backend", at: func(c *config) any { return &c.Xinet.ConnectTimeout }},
	{section: "xinet", key: "idle_timeout", kind: kindNumber, def: 0, doc: "seconds without a connection before the service is stopped; 0: never", at: func(c *config) any { return &c.Xinet.IdleTimeout }},
	{section: "xinet", key: "single_connection", kind: kindFlag, def: false, doc: "only one connection at a time", at: func(c *config) any { return &c.Xinet.SingleConnection }},
	{section: "xinet", key: "description", doc: "shown to people", at: func(c *config) any { return &c.Xinet.Description }},
	{section: "xinet", key: "pass", kind: kindFlag, def: false, doc: "give the sockets to the service instead of copying", at: func(c *config) any { return &c.Xinet.Pass }},
}

// sectionsOf lists the sections that a file of this kind may have; nil for an unknown kind.
func sectionsOf(kind unitKind) []string {
	switch kind {
	case unitService:
		return []string{"service", "dependencies", "conditions", "lifecycle", "health", "logging", "limits"}
	case unitTarget:
		return []string{"target", "dependencies"}
	case unitXinet:
		return []string{"xinet"}
	}
	return nil
}

// allSections is every section there is, in the order in which a file is written.
var allSections = []string{"service", "target", "xinet", "dependencies", "conditions", "lifecycle", "health", "logging", "limits"}

func fieldOf(section, key string) *field {
	for _, f := range fields {
		if f.section == section && f.key == key {
			return f
		}
	}
	return nil
}

func fieldsOf(section string) (list []*field) {
	for _, f := range fields {
		if f.section == section {
			list = append(list, f)
		}
	}
	return list
}

func keysOf(section string) (keys []string) {
	for _, f := range fieldsOf(section) {
		keys = append(keys, f.key)
	}
	return keys
}
