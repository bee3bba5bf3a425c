// config.go turns a service file (TOML, or JSON over RPC) into a config and back, with every complaint about it; it never starts, signals or watches anything.

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// config is one unit as its file describes it, defaults filled in.
type config struct {
	Kind         unitKind   // which section the file has
	Service      serviceDef // of a target only Name, Description, Status and Class count
	Dependencies dependencyDef
	Lifecycle    lifecycleDef
	Health       *healthDef // nil: no health check
	Logging      loggingDef
	Limits       *limitsDef // nil: everything inherited
	Xinet        *xinetDef
	path         string // the file it came from, or ""
	system       bool   // from the system directory
	persist      bool   // it has a file that is ours to rewrite and delete
	source       string // the text of its file, until the state is saved; "": written anew by toml
}

type serviceDef struct {
	Name              string
	Exec              execDef
	Dir, Description  string
	Env               map[string]string
	EnvFile           string
	Status            loadStatus
	Class             unitClass
	Critical, Oneshot bool
	User, Group       string // a number that was written as one has its sign: +1000
	Ports             []int
	ProcessFilter     string
	KillOthers        bool
}

// execDef is a command as it was written: exactly one of the two is set; neither means that there is no command.
type execDef struct {
	Line string
	Argv []string
}

type dependencyDef struct{ Requires, After, Wants, Conflicts []string }

type lifecycleDef struct {
	Restart                                        restartPolicy
	RestartDelay, RestartDelayMax, StabilityPeriod time.Duration
	MaxRestarts                                    int           // 0: no limit
	StartTimeout                                   time.Duration // 0: none
	StopTimeout                                    time.Duration
	StopSignal                                     int
	StopExec                                       execDef // run instead of the signal, when it is set
	SuccessCodes                                   []int
}

type healthDef struct {
	Type                             healthType
	Target                           string  // of tcp and http
	Exec                             execDef // of exec
	Interval, Timeout, StartInterval time.Duration
	Retries                          int
}

type loggingDef struct {
	BufferLines int
	File        string
	MaxSize     int64 // bytes; 0: never rotated
	Keep        int
	Format      logFormat
	Console     *bool // nil: as the mode of the server has it
}

// limitsDef is what a process gets instead of what it would inherit; nil means inherited.
type limitsDef struct {
	Nofile, Nproc, Core, As, Memlock *int64 // unlimited is -1
	Nice, OOMScoreAdj                *int64
	Umask                            *string // octal digits
	NoNewPrivs                       *bool
	Caps                             []string // lower case, without cap_
	Chroot                           *string
	MemoryMax, CPUMax, PidsMax       *int64 // bytes, percent of one processor, number
}

type xinetDef struct {
	Name, Description           string
	Listen                      []string
	Backend, Service            string
	ConnectTimeout, IdleTimeout int // seconds
	SingleConnection, Pass      bool
}

// problem is one complaint about a configuration. Line and Column count from 1, the column in characters; 0 is unknown.
type problem struct {
	Path    string `json:"path"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// String is the complaint as compilers write it: path:line:column: message.
func (p problem) String() string {
	s := p.Message
	if p.Line > 0 {
		s = fmt.Sprintf("%d:%d: %s", p.Line, p.Column, s)
	}
	if p.Path == "" {
		return s
	}
	if p.Line > 0 {
		return visible(p.Path) + ":" + s
	}
	return visible(p.Path) + ": " + s
}

// Bounds of what a file may ask of us. A service file of a thousand lines is already strange.
const (
	maxFileBytes  = 1 << 20
	maxFileValues = 10000 // keys and list elements
	maxFileDepth  = 16    // nesting of lists and tables, parts of a dotted key
	maxKeyBytes   = 256
	maxProblems   = 100
	maxMillis     = int64(100 * 365 * 24 * time.Hour / time.Millisecond)
)

// --- the table of keys ---

// kind says what a key takes. With the type that field.at points to, it decides how a value is read and written.
type kind uint8

const (
	kindText kind = iota
	kindFlag
	kindNumber // *int, *int64, **int64, or *time.Duration for milliseconds
	kindTexts
	kindNumbers
	kindTable    // of strings
	kindCommand  // string or list of strings
	kindIdentity // name or number of a user or group
	kindSignal
	kindRlimit // number or "unlimited"
	kindProbe  // what a health check looks at: string, or for exec a command
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
var fields = []field{
	{section: "service", key: "name", check: validName, doc: "what the service is called; default: the file's name without .toml", at: func(c *config) any { return &c.Service.Name }},
	{section: "service", key: "exec", kind: kindCommand, must: true, doc: "the command to run", at: func(c *config) any { return &c.Service.Exec }},
	{section: "service", key: "dir", doc: "working directory", at: func(c *config) any { return &c.Service.Dir }},
	{section: "service", key: "description", doc: "shown to people", at: func(c *config) any { return &c.Service.Description }},
	{section: "service", key: "env", kind: kindTable, doc: "added to the server's own environment", at: func(c *config) any { return &c.Service.Env }},
	{section: "service", key: "env_file", doc: "file of KEY=VALUE lines; with a leading - it may be missing", at: func(c *config) any { return &c.Service.EnvFile }},
	{section: "service", key: "status", def: string(statusStart), oneOf: loadStatuses, doc: "what to do with it when it is loaded", at: func(c *config) any { return (*string)(&c.Service.Status) }},
	{section: "service", key: "class", def: string(classUser), oneOf: unitClasses, doc: "system services are left alone by start_all, stop_all and delete_all", at: func(c *config) any { return (*string)(&c.Service.Class) }},
	{section: "service", key: "critical", kind: kindFlag, def: false, doc: "its end for good ends the container or opens the emergency shell", at: func(c *config) any { return &c.Service.Critical }},
	{section: "service", key: "oneshot", kind: kindFlag, def: false, doc: "does its work and exits", at: func(c *config) any { return &c.Service.Oneshot }},
	{section: "service", key: "user", kind: kindIdentity, doc: "user to run as", at: func(c *config) any { return &c.Service.User }},
	{section: "service", key: "group", kind: kindIdentity, doc: "group to run as", at: func(c *config) any { return &c.Service.Group }},
	{section: "service", key: "ports", kind: kindNumbers, min: 1, max: 65535, doc: "TCP ports that must be free before a start", at: func(c *config) any { return &c.Service.Ports }},
	{section: "service", key: "process_filter", doc: "a foreign process with this in its name blocks a start", at: func(c *config) any { return &c.Service.ProcessFilter }},
	{section: "service", key: "kill_others", kind: kindFlag, def: false, doc: "kill what process_filter finds instead of waiting for its end", at: func(c *config) any { return &c.Service.KillOthers }},

	{section: "target", key: "name", check: validName, doc: "what the target is called; default: the file's name without .toml", at: func(c *config) any { return &c.Service.Name }},
	{section: "target", key: "description", doc: "shown to people", at: func(c *config) any { return &c.Service.Description }},
	{section: "target", key: "status", def: string(statusStart), oneOf: loadStatuses, doc: "what to do with it when it is loaded", at: func(c *config) any { return (*string)(&c.Service.Status) }},

	{section: "dependencies", key: "requires", kind: kindTexts, check: validName, doc: "start only when these run or are done", at: func(c *config) any { return &c.Dependencies.Requires }},
	{section: "dependencies", key: "after", kind: kindTexts, check: validName, doc: "start after these, if they start at all", at: func(c *config) any { return &c.Dependencies.After }},
	{section: "dependencies", key: "wants", kind: kindTexts, check: validName, doc: "start these too, without waiting", at: func(c *config) any { return &c.Dependencies.Wants }},
	{section: "dependencies", key: "conflicts", kind: kindTexts, check: validName, doc: "never run at the same time as these", at: func(c *config) any { return &c.Dependencies.Conflicts }},

	{section: "lifecycle", key: "restart", def: string(restartOnFailure), oneOf: restartPolicies, doc: "when to start it again after its end", at: func(c *config) any { return (*string)(&c.Lifecycle.Restart) }},
	{section: "lifecycle", key: "restart_delay_ms", kind: kindNumber, def: 1000, max: maxMillis, doc: "pause before the first restart; doubles with each one", at: func(c *config) any { return &c.Lifecycle.RestartDelay }},
	{section: "lifecycle", key: "restart_delay_max_ms", kind: kindNumber, def: 60000, max: maxMillis, doc: "the longest pause before a restart", at: func(c *config) any { return &c.Lifecycle.RestartDelayMax }},
	{section: "lifecycle", key: "stability_period_ms", kind: kindNumber, def: 10000, max: maxMillis, doc: "running this long makes the pause start over", at: func(c *config) any { return &c.Lifecycle.StabilityPeriod }},
	{section: "lifecycle", key: "max_restarts", kind: kindNumber, def: 0, doc: "restarts in a row before it is left failed; 0: no limit", at: func(c *config) any { return &c.Lifecycle.MaxRestarts }},
	{section: "lifecycle", key: "start_timeout_ms", kind: kindNumber, def: 30000, max: maxMillis, doc: "time from spawn to running; 0: none; default of a oneshot: 0", at: func(c *config) any { return &c.Lifecycle.StartTimeout }},
	{section: "lifecycle", key: "stop_timeout_ms", kind: kindNumber, def: 10000, max: maxMillis, doc: "time from the stop signal to SIGKILL", at: func(c *config) any { return &c.Lifecycle.StopTimeout }},
	{section: "lifecycle", key: "stop_signal", kind: kindSignal, def: "SIGTERM", doc: "asks it to end", at: func(c *config) any { return &c.Lifecycle.StopSignal }},
	{section: "lifecycle", key: "stop_exec", kind: kindCommand, doc: "command that asks it to end, instead of the signal", at: func(c *config) any { return &c.Lifecycle.StopExec }},
	{section: "lifecycle", key: "success_codes", kind: kindNumbers, def: []any{int64(0)}, max: 255, doc: "exit codes that count as clean", at: func(c *config) any { return &c.Lifecycle.SuccessCodes }},

	{section: "health", key: "type", must: true, oneOf: healthTypes, doc: "how to see whether it works", at: func(c *config) any { return (*string)(&c.Health.Type) }},
	{section: "health", key: "target", kind: kindProbe, doc: "what to look at", at: func(c *config) any { return c.Health }},
	{section: "health", key: "interval_ms", kind: kindNumber, def: 10000, min: 1, max: maxMillis, doc: "pace of the checks while running", at: func(c *config) any { return &c.Health.Interval }},
	{section: "health", key: "timeout_ms", kind: kindNumber, def: 5000, min: 1, max: maxMillis, doc: "time for one check", at: func(c *config) any { return &c.Health.Timeout }},
	{section: "health", key: "retries", kind: kindNumber, def: 3, min: 1, doc: "failures in a row that make it fail", at: func(c *config) any { return &c.Health.Retries }},
	{section: "health", key: "start_interval_ms", kind: kindNumber, def: 100, min: 1, max: maxMillis, doc: "pace of the checks until the first one passes", at: func(c *config) any { return &c.Health.StartInterval }},

	{section: "logging", key: "buffer_lines", kind: kindNumber, def: 1000, max: 1000000, doc: "newest lines kept in memory; 0: none", at: func(c *config) any { return &c.Logging.BufferLines }},
	{section: "logging", key: "file", doc: "log file", at: func(c *config) any { return &c.Logging.File }},
	{section: "logging", key: "max_size_bytes", kind: kindNumber, def: 10485760, max: 1 << 60, doc: "size at which the file is rotated; 0: never", at: func(c *config) any { return &c.Logging.MaxSize }},
	{section: "logging", key: "keep", kind: kindNumber, def: 3, max: 1000, doc: "rotated files to keep", at: func(c *config) any { return &c.Logging.Keep }},
	{section: "logging", key: "format", def: string(formatRaw), oneOf: logFormats, doc: "of file and console", at: func(c *config) any { return (*string)(&c.Logging.Format) }},
	{section: "logging", key: "console", kind: kindFlag, doc: "copy to the server's own output; default: only in a container", at: func(c *config) any { return &c.Logging.Console }},

	{section: "limits", key: "nofile", kind: kindRlimit, max: math.MaxInt64, doc: "open files", at: func(c *config) any { return &c.Limits.Nofile }},
	{section: "limits", key: "nproc", kind: kindRlimit, max: math.MaxInt64, doc: "processes of the user", at: func(c *config) any { return &c.Limits.Nproc }},
	{section: "limits", key: "core", kind: kindRlimit, max: math.MaxInt64, doc: "size of a core file, bytes", at: func(c *config) any { return &c.Limits.Core }},
	{section: "limits", key: "as", kind: kindRlimit, max: math.MaxInt64, doc: "address space, bytes", at: func(c *config) any { return &c.Limits.As }},
	{section: "limits", key: "memlock", kind: kindRlimit, max: math.MaxInt64, doc: "locked memory, bytes", at: func(c *config) any { return &c.Limits.Memlock }},
	{section: "limits", key: "nice", kind: kindNumber, min: -20, max: 19, doc: "scheduling priority; 19 is the humblest", at: func(c *config) any { return &c.Limits.Nice }},
	{section: "limits", key: "oom_score_adj", kind: kindNumber, min: -1000, max: 1000, doc: "1000: the first to go when memory runs out", at: func(c *config) any { return &c.Limits.OOMScoreAdj }},
	{section: "limits", key: "umask", check: validUmask, doc: "octal digits", at: func(c *config) any { return &c.Limits.Umask }},
	{section: "limits", key: "no_new_privs", kind: kindFlag, doc: "no setuid programs for it", at: func(c *config) any { return &c.Limits.NoNewPrivs }},
	{section: "limits", key: "caps", kind: kindTexts, check: validCap, doc: "ambient capabilities", at: func(c *config) any { return &c.Limits.Caps }},
	{section: "limits", key: "chroot", check: validChroot, doc: "its root directory", at: func(c *config) any { return &c.Limits.Chroot }},
	{section: "limits", key: "memory_max_bytes", kind: kindNumber, max: 1 << 60, doc: "memory of the control group; 0: no limit", at: func(c *config) any { return &c.Limits.MemoryMax }},
	{section: "limits", key: "cpu_max_percent", kind: kindNumber, max: 1000000, doc: "of one processor; 0: no limit", at: func(c *config) any { return &c.Limits.CPUMax }},
	{section: "limits", key: "pids_max", kind: kindNumber, doc: "processes of the control group; 0: no limit", at: func(c *config) any { return &c.Limits.PidsMax }},

	{section: "xinet", key: "name", check: validName, doc: "what the proxy is called; default: the file's name without .toml", at: func(c *config) any { return &c.Xinet.Name }},
	{section: "xinet", key: "listen", kind: kindTexts, must: true, check: validAddress, doc: "where to listen: host:port, :port, tcp:host:port, /path or unix:/path", at: func(c *config) any { return &c.Xinet.Listen }},
	{section: "xinet", key: "backend", check: validAddress, doc: "where the service listens", at: func(c *config) any { return &c.Xinet.Backend }},
	{section: "xinet", key: "service", must: true, check: validName, doc: "the service to start on demand", at: func(c *config) any { return &c.Xinet.Service }},
	{section: "xinet", key: "connect_timeout", kind: kindNumber, def: 30, min: 1, doc: "seconds to wait for the backend", at: func(c *config) any { return &c.Xinet.ConnectTimeout }},
	{section: "xinet", key: "idle_timeout", kind: kindNumber, def: 0, doc: "seconds without a connection before the service is stopped; 0: never", at: func(c *config) any { return &c.Xinet.IdleTimeout }},
	{section: "xinet", key: "single_connection", kind: kindFlag, def: false, doc: "one connection at a time", at: func(c *config) any { return &c.Xinet.SingleConnection }},
	{section: "xinet", key: "description", doc: "shown to people", at: func(c *config) any { return &c.Xinet.Description }},
	{section: "xinet", key: "pass", kind: kindFlag, def: false, doc: "give the sockets to the service instead of copying", at: func(c *config) any { return &c.Xinet.Pass }},
}

// sectionsOf says which sections may stand beside each other, by the one that says what the file describes.
func sectionsOf(kind unitKind) []string {
	switch kind {
	case unitService:
		return []string{"service", "dependencies", "lifecycle", "health", "logging", "limits"}
	case unitTarget:
		return []string{"target", "dependencies"}
	case unitXinet:
		return []string{"xinet"}
	}
	return nil
}

// allSections is every section there is, in the order in which a file is written.
var allSections = []string{"service", "target", "xinet", "dependencies", "lifecycle", "health", "logging", "limits"}

// notYet is what can be written but does not work in this version; the value says it.
func notYet(what string) string {
	switch what {
	case string(unitXinet):
		return "[xinet] proxies do not work yet in version " + version
	case string(healthNotify):
		return `health checks of type "notify" do not work yet in version ` + version + `; use "tcp", "http" or "exec"`
	}
	return ""
}

// limitsNotYet: [limits] is read and checked, but nothing applies it.
const limitsNotYet = true

// foreignKeys are the words of other supervisors for what we call otherwise.
var foreignKeys = [][2]string{
	{"command", "exec"}, {"cmd", "exec"}, {"run", "exec"}, {"execstart", "exec"}, {"args", "exec"}, {"cwd", "dir"}, {"workdir", "dir"},
	{"working_dir", "dir"}, {"working_directory", "dir"}, {"workingdirectory", "dir"}, {"environment", "env"}, {"environmentfile", "env_file"},
	{"depends", "requires"}, {"depends_on", "requires"}, {"dependencies", "requires"}, {"before", "after"}, {"autostart", "status"},
	{"log_file", "file"}, {"log", "file"}, {"killsignal", "stop_signal"},
}

// pairOf is the second word of the pair that begins with key, or "".
func pairOf(pairs [][2]string, key string) string {
	for _, p := range pairs {
		if p[0] == key {
			return p[1]
		}
	}
	return ""
}

func fieldOf(section, key string) *field {
	for i := range fields {
		if fields[i].section == section && fields[i].key == key {
			return &fields[i]
		}
	}
	return nil
}

func keysOf(section string) (keys []string) {
	for i := range fields {
		if fields[i].section == section {
			keys = append(keys, fields[i].key)
		}
	}
	return keys
}

// newConfig is a config in which every key has its default, without the sections that may be absent.
func newConfig() *config {
	c := *blank()
	c.Health, c.Limits, c.Xinet = nil, nil, nil
	c.Lifecycle.SuccessCodes = slices.Clone(c.Lifecycle.SuccessCodes)
	return &c
}

// blank has every section with its defaults. Nobody changes it.
var blank = sync.OnceValue(func() *config {
	c := &config{}
	for _, section := range []string{"service", "target", "dependencies", "lifecycle", "logging", "xinet", "health", "limits"} {
		c.open(section)
	}
	return c
})

// open makes room for a section and fills in its defaults.
func (c *config) open(section string) {
	switch section {
	case "health":
		c.Health = &healthDef{}
	case "limits":
		c.Limits = &limitsDef{}
	case "xinet":
		c.Xinet = &xinetDef{}
	}
	for i := range fields {
		if f := &fields[i]; f.section == section && f.def != nil {
			f.set(c, plainValue(f.def))
		}
	}
}

// has says whether there is a place for the keys of a section.
func (c *config) has(section string) bool {
	switch section {
	case "health":
		return c.Health != nil
	case "limits":
		return c.Limits != nil
	case "xinet":
		return c.Xinet != nil
	}
	return true
}

// --- writing one value ---

// value is what the key has in c, as a plain value that JSON and TOML can write; nil: it is not set and has no default.
func (f *field) value(c *config) any {
	switch p := f.at(c).(type) {
	case *string:
		if n, err := strconv.ParseInt(*p, 10, 64); f.kind == kindIdentity && err == nil && (*p)[0] == '+' {
			return n
		}
		return *p
	case *bool:
		return *p
	case *int:
		if f.kind == kindSignal {
			if name := signalName(*p); !isDigits(name) {
				return name
			}
		}
		return int64(*p)
	case *int64:
		return *p
	case *time.Duration:
		return p.Milliseconds()
	case *[]string:
		return append([]string{}, *p...)
	case *[]int:
		return append([]int{}, *p...)
	case *map[string]string:
		table := make(map[string]string, len(*p))
		for k, v := range *p {
			table[k] = v
		}
		return table
	case *execDef:
		return p.written()
	case *healthDef:
		if p.Target != "" {
			return p.Target
		}
		return p.Exec.written()
	}
	return f.optional(c)
}

// optional is value for the keys that may be absent.
func (f *field) optional(c *config) any {
	switch p := f.at(c).(type) {
	case **string:
		if *p != nil {
			return **p
		}
	case **bool:
		if *p != nil {
			return **p
		}
	case **int64:
		if *p != nil && f.kind == kindRlimit && **p < 0 {
			return "unlimited"
		}
		if *p != nil {
			return **p
		}
	}
	return nil
}

// none says that no command was written.
func (e execDef) none() bool { return e.Line == "" && len(e.Argv) == 0 }

// written is the command as it was written: a string, a list, or nil for none.
func (e execDef) written() any {
	switch {
	case e.Line != "":
		return e.Line
	case len(e.Argv) > 0:
		return append([]string{}, e.Argv...)
	}
	return nil
}

// sections are the sections that c has, in the order of a file.
func (c *config) sections() (names []string) {
	for _, s := range allSections {
		if slices.Contains(sectionsOf(c.Kind), s) && c.has(s) {
			names = append(names, s)
		}
	}
	return names
}

// value is CONFIG as service.get answers it: every key with its default, commands as they were written.
// Absent are only keys that have neither a value nor a default of their own (stop_exec, console, and those of [limits]).
func (c *config) value() map[string]any {
	all := map[string]any{}
	for _, section := range c.sections() {
		table := map[string]any{}
		for i := range fields {
			f := &fields[i]
			if f.section != section {
				continue
			}
			if v := f.value(c); v != nil {
				table[f.key] = v
			}
		}
		all[section] = table
	}
	return all
}

// toml is the text of the file: the name, and what differs from the defaults. Read again it gives the same config.
func (c *config) toml() []byte {
	var b bytes.Buffer
	for _, section := range c.sections() {
		var keys []string
		for i := range fields {
			f := &fields[i]
			if f.section != section {
				continue
			}
			if text := tomlText(f.value(c)); text != "" && text != f.defaultText(c) {
				keys = append(keys, f.key+" = "+text)
			}
		}
		if len(keys) == 0 && (section == "dependencies" || section == "lifecycle" || section == "logging") {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "[%s]\n", section)
		for _, k := range keys {
			b.WriteString(k + "\n")
		}
	}
	return b.Bytes()
}

// defaultText is what the key would be if the file did not say it. A oneshot takes as long as it takes.
func (f *field) defaultText(c *config) string {
	if f.key == "start_timeout_ms" && c.Service.Oneshot {
		return "0"
	}
	return tomlText(f.value(blank()))
}

// same says whether two configs are equal in everything that a file can say.
func (c *config) same(d *config) bool {
	return alike(reflect.ValueOf(c).Elem(), reflect.ValueOf(d).Elem())
}

// alike compares the exported fields of two values, however deep. No list and an empty one are alike: they mean the same.
func alike(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Pointer:
		return a.IsNil() == b.IsNil() && (a.IsNil() || alike(a.Elem(), b.Elem()))
	case reflect.Struct:
		for i := range a.NumField() {
			if a.Type().Field(i).IsExported() && !alike(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice:
		for i := range a.Len() {
			if a.Len() != b.Len() || !alike(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return a.Len() == b.Len()
	case reflect.Map:
		for _, k := range a.MapKeys() {
			if v := b.MapIndex(k); !v.IsValid() || !alike(a.MapIndex(k), v) {
				return false
			}
		}
		return a.Len() == b.Len()
	}
	return a.Equal(b)
}

// tomlText writes a plain value; "" for nil and what cannot be written.
func tomlText(v any) string {
	switch v := v.(type) {
	case string:
		return tomlString(v)
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []string:
		parts := make([]string, len(v))
		for i, s := range v {
			parts[i] = tomlString(s)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case []int:
		parts := make([]string, len(v))
		for i, n := range v {
			parts[i] = strconv.Itoa(n)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]string:
		if len(v) == 0 {
			return "{}"
		}
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, tomlKey(k)+" = "+tomlString(v[k]))
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	}
	return ""
}

// tomlString writes a basic string (TOML 1.0): control characters, quote and backslash are escaped.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func tomlKey(s string) string {
	bare := func(r rune) bool { return isNameByte(r) && r != '.' }
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !bare(r) }) < 0 {
		return s
	}
	return tomlString(s)
}

// configSchema is the JSON Schema of CONFIG, from the same table as everything else.
func configSchema() map[string]any {
	sections := map[string]any{}
	for _, s := range allSections {
		keys, must := map[string]any{}, []string{}
		for i := range fields {
			if f := &fields[i]; f.section == s {
				keys[f.key] = f.schema()
				if f.must {
					must = append(must, f.key)
				}
			}
		}
		section := map[string]any{"type": "object", "properties": keys, "additionalProperties": false}
		if len(must) > 0 {
			section["required"] = must
		}
		sections[s] = section
	}
	return map[string]any{"type": "object", "properties": sections, "additionalProperties": false}
}

func (f *field) schema() map[string]any {
	number := map[string]any{"type": "integer", "minimum": f.min}
	if f.max > 0 {
		number["maximum"] = f.max
	}
	text := map[string]any{"type": "string"}
	texts := map[string]any{"type": "array", "items": text}
	s := map[kind]map[string]any{
		kindText:     {"type": "string"},
		kindFlag:     {"type": "boolean"},
		kindNumber:   number,
		kindTexts:    texts,
		kindNumbers:  {"type": "array", "items": number},
		kindTable:    {"type": "object", "additionalProperties": text},
		kindCommand:  {"oneOf": []any{text, texts}},
		kindProbe:    {"oneOf": []any{text, texts}},
		kindIdentity: {"type": []string{"string", "integer"}},
		kindSignal:   {"type": []string{"string", "integer"}},
		kindRlimit:   {"oneOf": []any{number, map[string]any{"enum": []string{"unlimited", "infinity"}}}},
	}[f.kind]
	if len(f.oneOf) > 0 {
		s["enum"] = f.oneOf
	}
	if f.def != nil {
		s["default"] = f.value(blank())
	}
	s["description"] = f.doc
	return s
}

// --- reading: decoded TOML or JSON into a config: one value, one section, and what sections say together; it opens no file.

// --- reading one value ---

// complaint is what is wrong with a value; sub is the element's index or the table's key, or "".
type complaint struct{ sub, text string }

// what names the kind of value that a key takes, for people.
func (f *field) what() string {
	if len(f.oneOf) > 0 {
		return "one of " + quotedList(f.oneOf)
	}
	switch f.kind {
	case kindFlag:
		return "true or false"
	case kindNumber:
		switch {
		case strings.HasSuffix(f.key, "_ms"):
			return "an integer (milliseconds)"
		case strings.HasSuffix(f.key, "_bytes"):
			return "an integer (bytes)"
		case strings.HasSuffix(f.key, "_timeout"):
			return "an integer (seconds)"
		}
		return "an integer"
	case kindTexts:
		return "a list of strings"
	case kindNumbers:
		return "a list of integers"
	case kindTable:
		return "a table of strings"
	case kindCommand, kindProbe:
		return "a string or a list of strings"
	case kindIdentity:
		return "a name or a number"
	case kindSignal:
		return "the name or the number of a signal"
	case kindRlimit:
		return `an integer or "unlimited"`
	}
	return "a string"
}

// set reads a plain value (string, bool, int64, []any, map[string]any) into the config and says all that is wrong with it.
func (f *field) set(c *config, v any) []complaint {
	p := f.at(c)
	switch f.kind {
	case kindFlag:
		return f.setFlag(p, v)
	case kindNumber, kindRlimit:
		return f.setNumber(p, v)
	case kindTexts:
		return f.setTexts(p.(*[]string), v)
	case kindNumbers:
		return f.setNumbers(p.(*[]int), v)
	case kindTable:
		return f.setTable(p.(*map[string]string), v)
	case kindCommand:
		return f.setCommand(p.(*execDef), v)
	case kindProbe:
		return f.setProbe(p.(*healthDef), v)
	case kindSignal:
		return f.setSignal(p.(*int), v)
	case kindIdentity:
		if n, ok := v.(int64); ok {
			v = fmt.Sprintf("%+d", n)
		}
		return f.setText(p, v)
	}
	return f.setText(p, v)
}

func (f *field) wrongType(v any) []complaint {
	text := fmt.Sprintf("`%s` must be %s, not %s", f.key, f.what(), typeName(v))
	if s := f.suggest(v); s != "" {
		text += "; write " + s
	}
	return []complaint{{"", text}}
}

// suggest is the line that somebody who wrote v may have meant, or an example; "" when there is none.
func (f *field) suggest(v any) string {
	s, isText := v.(string)
	n, isNumber := v.(int64)
	switch f.kind {
	case kindFlag:
		yes := isNumber && n == 1 || isText && slices.Contains([]string{"true", "yes", "on", "1"}, strings.ToLower(s))
		return f.key + " = " + strconv.FormatBool(yes)
	case kindNumber, kindRlimit:
		if m, ok := numberIn(s, f.key); ok {
			return fmt.Sprintf("%s = %d", f.key, m)
		}
	case kindTexts:
		if isText {
			return fmt.Sprintf("%s = [%s]", f.key, tomlString(shorten(s)))
		}
	case kindNumbers:
		if isNumber {
			return fmt.Sprintf("%s = [%d]", f.key, n)
		}
	case kindTable:
		return f.key + ` = { NAME = "value" }`
	case kindText:
		if f.key == "umask" {
			return `umask = "022"`
		}
		if isNumber && len(f.oneOf) == 0 {
			return fmt.Sprintf("%s = \"%d\"", f.key, n)
		}
	}
	if text := tomlText(plainValue(f.def)); text != "" {
		return f.key + " = " + text
	}
	return ""
}

// numberIn finds the number that a string was meant to be: "8080", "10s" for a key of milliseconds, "512M" for one of bytes.
func numberIn(s, key string) (int64, bool) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	d, err := time.ParseDuration(s)
	if err == nil && strings.HasSuffix(key, "_ms") {
		return d.Milliseconds(), true
	}
	if err == nil && strings.HasSuffix(key, "_timeout") {
		return int64(d / time.Second), true
	}
	digits := strings.TrimRight(strings.ToUpper(s), "IB")
	if digits == "" || !strings.HasSuffix(key, "_bytes") {
		return 0, false
	}
	shift := 10 * (1 + strings.IndexByte("KMGT", digits[len(digits)-1]))
	n, err := strconv.ParseInt(strings.TrimSpace(digits[:len(digits)-1]), 10, 16)
	return n << shift, err == nil && shift > 0
}

// badText says what makes a string unusable for this key; "" when it is fine.
func (f *field) badText(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		return fmt.Sprintf("`%s` contains a NUL character, which no program can be given", f.key)
	}
	if len(f.oneOf) > 0 && !slices.Contains(f.oneOf, s) {
		text := fmt.Sprintf("`%s` must be %s, not %s", f.key, f.what(), quoted(s))
		if near := nearest(s, f.oneOf); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		return text
	}
	if f.check != nil {
		if err := f.check(s); err != nil {
			return fmt.Sprintf("`%s`: %v", f.key, err)
		}
	}
	if f.kind == kindIdentity {
		return badIdentity(f.key, s)
	}
	return ""
}

func badIdentity(key, s string) string {
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err == nil && (n < 0 || n >= math.MaxUint32) || errors.Is(err, strconv.ErrRange):
		return fmt.Sprintf("`%s` must be a name or a number from 0 to %d, not %s", key, uint32(math.MaxUint32-1), quoted(strings.TrimPrefix(s, "+")))
	case strings.ContainsAny(s, ":/ \t\r\n"):
		return fmt.Sprintf("`%s` %s is no name of a user or group; give one name or number", key, quoted(s))
	}
	return ""
}

func (f *field) setText(p, v any) []complaint {
	s, ok := v.(string)
	if !ok {
		return f.wrongType(v)
	}
	if bad := f.badText(s); bad != "" {
		return []complaint{{"", bad}}
	}
	switch p := p.(type) {
	case *string:
		*p = s
	case **string:
		*p = &s
	}
	return nil
}

func (f *field) setFlag(p, v any) []complaint {
	b, ok := v.(bool)
	if !ok {
		return f.wrongType(v)
	}
	switch p := p.(type) {
	case *bool:
		*p = b
	case **bool:
		*p = &b
	}
	return nil
}

// outOfRange says that a number is not allowed for this key; "" when it is.
func (f *field) outOfRange(n int64) string {
	most := f.max
	if most == 0 {
		most = math.MaxInt32
	}
	switch {
	case n < f.min && f.min == 0:
		return fmt.Sprintf("`%s` must not be negative, but is %d", f.key, n)
	case n < f.min && (most == math.MaxInt32 || most == maxMillis):
		return fmt.Sprintf("`%s` must be at least %d, but is %d", f.key, f.min, n)
	case n > most && most == maxMillis:
		return fmt.Sprintf("`%s` must be at most %d (a hundred years in milliseconds), but is %d", f.key, most, n)
	case n < f.min || n > most:
		return fmt.Sprintf("`%s` must be from %d to %d, but is %d", f.key, f.min, most, n)
	}
	return ""
}

func (f *field) setNumber(p, v any) []complaint {
	n, ok := v.(int64)
	unlimited := f.kind == kindRlimit && (v == "unlimited" || v == "infinity")
	if !ok && !unlimited {
		return f.wrongType(v)
	}
	if unlimited {
		n = -1
	} else if bad := f.outOfRange(n); bad != "" {
		return []complaint{{"", bad}}
	}
	switch p := p.(type) {
	case *int:
		*p = int(n)
	case *int64:
		*p = n
	case **int64:
		*p = &n
	case *time.Duration:
		*p = time.Duration(n) * time.Millisecond
	}
	return nil
}

func (f *field) setSignal(p *int, v any) []complaint {
	s, ok := v.(string)
	if n, isNumber := v.(int64); isNumber {
		s, ok = strconv.FormatInt(n, 10), true
	}
	if !ok {
		return f.wrongType(v)
	}
	n, err := parseSignal(s)
	if err != nil {
		return []complaint{{"", fmt.Sprintf("`%s`: %v", f.key, err)}}
	}
	*p = n
	return nil
}

func (f *field) setTexts(p *[]string, v any) []complaint {
	list, ok := v.([]any)
	if !ok {
		return f.wrongType(v)
	}
	texts, bad := f.texts(list)
	if f.key == "caps" {
		for i, s := range texts {
			texts[i] = strings.TrimPrefix(strings.ToLower(s), "cap_")
		}
	}
	*p = texts
	return bad
}

// texts reads a list of strings and checks each.
func (f *field) texts(list []any) (texts []string, bad []complaint) {
	for i, v := range list {
		s, ok := v.(string)
		text := ""
		if !ok {
			text = fmt.Sprintf("`%s` must be a list of strings, but element %d is %s", f.key, i+1, typeName(v))
		} else {
			text = f.badText(s)
		}
		if text != "" {
			bad = append(bad, complaint{strconv.Itoa(i), text})
			continue
		}
		texts = append(texts, s)
	}
	return texts, bad
}

func (f *field) setNumbers(p *[]int, v any) (bad []complaint) {
	list, ok := v.([]any)
	if !ok {
		return f.wrongType(v)
	}
	*p = nil
	for i, v := range list {
		n, ok := v.(int64)
		text := ""
		if !ok {
			text = fmt.Sprintf("`%s` must be a list of integers, but element %d is %s", f.key, i+1, typeName(v))
		} else {
			text = f.outOfRange(n)
		}
		if text != "" {
			bad = append(bad, complaint{strconv.Itoa(i), text})
			continue
		}
		*p = append(*p, int(n))
	}
	return bad
}

func (f *field) setTable(p *map[string]string, v any) (bad []complaint) {
	table, ok := v.(map[string]any)
	if !ok {
		return f.wrongType(v)
	}
	*p = make(map[string]string, len(table))
	for _, key := range slices.Sorted(maps.Keys(table)) {
		v := table[key]
		s, ok := v.(string)
		text := ""
		switch {
		case !ok:
			text = fmt.Sprintf("`%s`: the value of %s must be a string, not %s", f.key, quoted(key), typeName(v))
			if plain := tomlText(v); plain != "" {
				text += fmt.Sprintf("; write %s = %s", tomlKey(shorten(key)), tomlString(plain))
			}
		case key == "" || strings.ContainsAny(key, "=\x00"):
			text = fmt.Sprintf("`%s`: %s is no name of a variable; it must not be empty nor contain =", f.key, quoted(key))
		default:
			text = f.badText(s)
		}
		if text != "" {
			bad = append(bad, complaint{key, text})
			continue
		}
		(*p)[key] = s
	}
	return bad
}

func (f *field) setCommand(p *execDef, v any) []complaint {
	switch v := v.(type) {
	case string:
		if bad := f.badText(v); bad != "" {
			return []complaint{{"", bad}}
		}
		if _, _, err := splitExec(v); err != nil {
			return []complaint{{"", fmt.Sprintf("`%s`: %v", f.key, err)}}
		}
		*p = execDef{Line: v}
		return nil
	case []any:
		argv, bad := f.texts(v)
		if len(bad) == 0 && (len(argv) == 0 || argv[0] == "") {
			bad = []complaint{{"", fmt.Sprintf("`%s` names no program: the list begins with it, as in [\"/usr/bin/app\", \"--port\", \"80\"]", f.key)}}
		}
		*p = execDef{Argv: argv}
		return bad
	}
	return f.wrongType(v)
}

// setProbe only keeps what was written: which form is right depends on the type (see checkProbe).
func (f *field) setProbe(h *healthDef, v any) []complaint {
	h.Target, h.Exec = "", execDef{}
	if s, ok := v.(string); ok {
		h.Target = s
		if s == "" {
			return []complaint{{"", "`target` is empty; it says what to look at, as in \"localhost:8080\""}}
		}
		if bad := f.badText(s); bad != "" {
			return []complaint{{"", bad}}
		}
		return nil
	}
	return f.setCommand(&h.Exec, v)
}

// --- reading a whole file ---

// reader collects what is found while a configuration is read.
type reader struct {
	c           *config
	path        string
	text        string           // empty for JSON
	places      map[string]place // by path of keys; nil for JSON
	errs, warns []problem
}

// place is where a key and its value stand in the text, as byte offsets.
type place struct{ key, value int }

// pathKey is the path of keys as an index of reader.places.
func pathKey(parts ...string) string { return strings.Join(parts, "\x00") }

// problemAt makes a complaint about a byte of the text.
func (r *reader) problemAt(offset int, message string) problem {
	offset = min(max(offset, 0), len(r.text))
	before := r.text[:offset]
	start := strings.LastIndexByte(before, '\n') + 1
	return problem{r.path, 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[start:]), message}
}

// about makes a complaint about a key (or its value), or about the nearest thing around it that the text has.
func (r *reader) about(value bool, message string, parts ...string) problem {
	if r.places == nil {
		return problem{Path: r.path, Message: message}
	}
	for n := len(parts); n > 0; n-- {
		at, ok := r.places[pathKey(parts[:n]...)]
		if ok && value && n == len(parts) {
			return r.problemAt(at.value, message)
		}
		if ok {
			return r.problemAt(at.key, message)
		}
	}
	return r.problemAt(0, message)
}

func (r *reader) fail(value bool, parts []string, format string, args ...any) {
	r.errs = append(r.errs, r.about(value, fmt.Sprintf(format, args...), parts...))
}

func (r *reader) warn(parts []string, format string, args ...any) {
	r.warns = append(r.warns, r.about(false, fmt.Sprintf(format, args...), parts...))
}

// listing is a complaint about a name in the dependencies of c, at its place there as long as c has the text of its file.
func (c *config) listing(name, text string) problem {
	r := readTOML([]byte(c.source), c.path, c.Service.Name)
	d := &c.Dependencies
	for i, names := range [][]string{d.Requires, d.After, d.Wants, d.Conflicts} {
		if at := slices.Index(names, name); at >= 0 {
			return r.about(true, text, "dependencies", keysOf("dependencies")[i], strconv.Itoa(at))
		}
	}
	return r.problemAt(0, text)
}

// parseTOML reads the text of a file. All its errors are reported at once, and then the config is nil; warnings alone do not hinder it.
// defaultName is the name if the file gives none.
func parseTOML(data []byte, path, defaultName string) (*config, []problem, []problem) {
	r := readTOML(data, path, defaultName)
	return r.result()
}

func (r *reader) result() (*config, []problem, []problem) {
	order := func(list []problem) []problem {
		slices.SortStableFunc(list, func(a, b problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		if len(list) > maxProblems {
			more := len(list) - maxProblems
			list = append(list[:maxProblems:maxProblems], problem{r.path, list[maxProblems].Line, list[maxProblems].Column, fmt.Sprintf("and %d more of this kind", more)})
		}
		return list
	}
	if len(r.errs) > 0 {
		return nil, order(r.errs), order(r.warns)
	}
	return r.c, nil, order(r.warns)
}

func readTOML(data []byte, path, defaultName string) *reader {
	r := &reader{c: newConfig(), path: path, text: strings.TrimPrefix(string(data), "\ufeff"), places: map[string]place{}}
	s := scanner{text: r.text, places: r.places}
	s.file()
	if s.tooMuch != "" {
		r.errs = append(r.errs, r.problemAt(s.at, s.tooMuch))
		return r
	}
	tree, bad := decodeTOML(r.text[:s.checked()])
	if bad != nil {
		r.errs = append(r.errs, r.problemAt(bad.Position.Start, syntaxMessage(bad.Message)))
		return r
	}
	if s.lost {
		r.errs = append(r.errs, r.problemAt(s.at, "this is not TOML; a line is `key = value`, a [section] or a # comment"))
		return r
	}
	r.document(tree, defaultName)
	return r
}

// decodeTOML runs the library; should it panic over a strange file, that is an error of the file.
func decodeTOML(text string) (tree map[string]any, bad *toml.ParseError) {
	defer func() {
		if p := recover(); p != nil {
			tree, bad = nil, &toml.ParseError{Message: fmt.Sprint(p)}
		}
	}()
	var whole any // as it was read; into a map it would be copied
	_, err := toml.Decode(text, &whole)
	var pe toml.ParseError
	switch {
	case errors.As(err, &pe):
		return nil, &pe
	case err != nil:
		return nil, &toml.ParseError{Message: err.Error()}
	}
	return plainValue(whole).(map[string]any), nil
}

// syntaxMessage makes the library's complaint one of ours, with what to try where that is clear.
func syntaxMessage(s string) string {
	s = visible(s)
	first, size := utf8.DecodeRuneInString(s)
	if strings.HasPrefix(s, "Key '") {
		first = unicode.ToLower(first)
	}
	s = string(first) + s[size:]
	switch {
	case strings.HasPrefix(s, "expected value but found"):
		s += "; strings stand in quotes, as in key = \"value\""
	case strings.HasPrefix(s, "strings cannot contain newlines"):
		s += "; is the closing quote missing?"
	case strings.HasPrefix(s, "invalid escape"):
		s += "; write \\\\ for a backslash, or use 'single quotes'"
	}
	return s
}

// parseJSON reads CONFIG as it comes over RPC: the same keys and checks as a file. Its problems have no path and no line.
// What only the graph forbids (a dependency on itself and the like) is left to checkGraph.
func parseJSON(data []byte) (*config, []problem, []problem) {
	r := &reader{c: newConfig()}
	var tree any
	twice, err := checkText(data)
	if err == nil {
		err = decodeJSON(data, &tree)
	}
	if err == nil && twice != nil {
		err = fmt.Errorf("not clear: %s is given twice", strings.Join(twice, "."))
	}
	if err != nil {
		r.fail(false, nil, "the config is %v", err)
		return r.result()
	}
	table, ok := plainValue(tree).(map[string]any)
	if !ok {
		r.fail(false, nil, `the config must be an object of sections, as in {"service": {"name": "app", "exec": "/usr/bin/app"}}, not %s`, typeName(tree))
		return r.result()
	}
	r.document(table, "")
	return r.result()
}

// plainValue brings what TOML and JSON decode to into one form: string, bool, int64, float64, []any, map[string]any without nulls.
func plainValue(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
		f, _ := strconv.ParseFloat(string(v), 64)
		if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return int64(f)
		}
		return f
	case []map[string]any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plainValue(v[i])
		}
		return list
	case []any: // it may be a default, which all share
		list := make([]any, len(v))
		for i := range v {
			list[i] = plainValue(v[i])
		}
		return list
	case map[string]any:
		for k, e := range v {
			if e == nil {
				delete(v, k)
				continue
			}
			v[k] = plainValue(e)
		}
	}
	return v
}

func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case int64:
		return "an integer"
	case float64, json.Number:
		return "a number with a fraction"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case time.Time:
		return "a date"
	}
	return "something else"
}

// document reads the decoded file: sections, then what they say together.
func (r *reader) document(tree map[string]any, defaultName string) {
	if !r.findKind(tree) {
		return
	}
	kind := r.c.Kind
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		table, ok := tree[name].(map[string]any)
		switch {
		case !slices.Contains(allSections, name):
			r.unknownSection(name, tree[name])
		case !ok:
			r.fail(true, []string{name}, "`%s` must be a section, not %s; write [%s] on a line of its own", name, typeName(tree[name]), name)
		case sectionsOf(unitKind(name)) != nil && name != string(kind):
			r.fail(false, []string{name}, "a file describes one thing: [%s] and [%s] cannot stand together; put them into two files", kind, name)
		case !slices.Contains(sectionsOf(kind), name):
			r.fail(false, []string{name}, "[%s] has no meaning for a [%s], which has no process; its sections are %s", name, kind, bracketList(sectionsOf(kind)))
		default:
			r.section(name, table)
		}
	}
	if table, ok := tree[string(kind)].(map[string]any); ok {
		r.name(kind, table, defaultName)
		r.checkTogether(tree)
	}
}

// findKind finds out what the file describes; false when it describes nothing.
func (r *reader) findKind(tree map[string]any) bool {
	for _, k := range []unitKind{unitService, unitTarget, unitXinet} {
		if _, ok := tree[string(k)]; ok {
			r.c.Kind = k
			return true
		}
	}
	const want = "a file needs [service] (a program), [target] (a milestone) or [xinet] (a proxy)"
	if len(tree) == 0 {
		r.fail(false, nil, "the configuration is empty; %s, and beside [service] there may be %s", want, bracketList(sectionsOf(unitService)[1:]))
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		if !slices.Contains(allSections, name) {
			r.unknownSection(name, tree[name])
		}
	}
	if len(r.errs) == 0 {
		r.fail(false, []string{slices.Sorted(maps.Keys(tree))[0]}, "nothing says what this is: %s", want)
	}
	return false
}

func (r *reader) unknownSection(name string, v any) {
	if _, isTable := v.(map[string]any); !isTable {
		for _, section := range append([]string{string(r.c.Kind)}, allSections...) {
			if fieldOf(section, name) != nil {
				r.fail(false, []string{name}, "`%s` stands outside a section; it belongs below [%s]", name, section)
				return
			}
		}
	}
	text := fmt.Sprintf("unknown section [%s]", visible(shorten(name)))
	if near := nearest(name, allSections); near != "" {
		text += fmt.Sprintf("; did you mean [%s]?", near)
	} else {
		text += "; there are " + bracketList(allSections)
	}
	r.fail(false, []string{name}, "%s", text)
}

// section reads the keys of one section.
func (r *reader) section(name string, table map[string]any) {
	r.c.open(name)
	excused := map[string]bool{} // keys that were probably meant by a misspelt one
	for _, key := range slices.Sorted(maps.Keys(table)) {
		f := fieldOf(name, key)
		if f == nil {
			excused[r.unknownKey(name, key)] = true
			continue
		}
		for _, bad := range f.set(r.c, table[key]) {
			parts := []string{name, key}
			if bad.sub != "" {
				parts = append(parts, bad.sub)
			}
			r.fail(true, parts, "%s", bad.text)
		}
	}
	for i := range fields {
		f := &fields[i]
		if _, ok := table[f.key]; !ok && f.section == name && f.must && !excused[f.key] {
			r.fail(false, []string{name}, "[%s] lacks the key `%s`: %s (%s)", name, f.key, f.doc, f.what())
		}
	}
}

// unknownKey complains about a key and returns the key of this section that was probably meant, or "".
func (r *reader) unknownKey(section, key string) string {
	at := []string{section, key}
	mine := keysOf(section)
	if near := nearest(key, mine); near != "" {
		r.fail(false, at, "unknown key `%s`; did you mean `%s`?", visible(key), near)
		return near
	}
	meant := pairOf(foreignKeys, strings.ToLower(strings.ReplaceAll(key, "-", "_")))
	if slices.Contains(mine, meant) {
		r.fail(false, at, "unknown key `%s`; did you mean `%s`?", visible(key), meant)
		return meant
	}
	for _, word := range []string{key, meant} {
		for _, other := range sectionsOf(r.c.Kind) {
			if fieldOf(other, word) != nil {
				r.fail(false, at, "unknown key `%s` in [%s]; `%s` belongs in [%s]", visible(key), section, word, other)
				return ""
			}
		}
	}
	for _, other := range sectionsOf(r.c.Kind) {
		if near := nearest(key, keysOf(other)); near != "" {
			r.fail(false, at, "unknown key `%s`; did you mean `%s`? It belongs in [%s]", visible(key), near, other)
			return ""
		}
	}
	r.fail(false, at, "unknown key `%s` in [%s]; there are %s", visible(shorten(key)), section, strings.Join(mine, ", "))
	return ""
}

// name fills in the name that the file leaves to its own name.
func (r *reader) name(kind unitKind, table map[string]any, defaultName string) {
	name := &r.c.Service.Name
	if kind == unitXinet {
		name = &r.c.Xinet.Name
	}
	if _, ok := table["name"]; !ok {
		*name = defaultName
		switch {
		case defaultName == "":
			r.fail(false, []string{string(kind)}, "[%s] lacks the key `name`: what it is called", kind)
		case validName(defaultName) != nil:
			r.fail(false, []string{string(kind)}, "the file's name cannot be the name of the %s: %v; rename the file or set `name`", kind, validName(defaultName))
		}
	}
	r.c.Service.Name = *name
}

// checkTogether looks at what several keys say together.
func (r *reader) checkTogether(tree map[string]any) {
	c := r.c
	if text := notYet(string(c.Kind)); text != "" {
		r.fail(false, []string{string(c.Kind)}, "%s", text)
	}
	xinet, _ := tree["xinet"].(map[string]any)
	if _, given := xinet["backend"]; c.Kind == unitXinet && !given && !c.Xinet.Pass {
		r.fail(false, []string{"xinet"}, "[xinet] lacks the key `backend`: where the service listens; only with `pass = true` it is not needed")
	}
	if r.places != nil {
		r.checkNames()
	}
	if c.Kind != unitService {
		return
	}
	lifecycle, _ := tree["lifecycle"].(map[string]any)
	if _, set := lifecycle["start_timeout_ms"]; c.Service.Oneshot && !set {
		c.Lifecycle.StartTimeout = 0
	}
	if health, ok := tree["health"].(map[string]any); ok {
		_, given := health["target"]
		r.checkProbe(given)
	}
	r.warnings(lifecycle)
}

// checkNames finds what one file alone shows to be an impossible graph.
func (r *reader) checkNames() {
	d, self := r.c.Dependencies, r.c.Service.Name
	element := func(key string, i int) []string { return []string{"dependencies", key, strconv.Itoa(i)} }
	for _, list := range []struct {
		key   string
		names []string
	}{{"requires", d.Requires}, {"after", d.After}, {"wants", d.Wants}} {
		if i := slices.Index(list.names, self); i >= 0 && self != "" {
			r.fail(true, element(list.key, i), "%s depends on itself: dependency cycle: %s -> %s; take it out of `%s`", self, self, self, list.key)
		}
	}
	for i, name := range d.Conflicts {
		switch {
		case name == self:
			r.fail(true, element("conflicts", i), "%s conflicts with itself: %s -> %s; take it out of `conflicts`", self, self, self)
		case slices.Contains(d.Requires, name):
			r.fail(true, element("conflicts", i), "%s both requires and conflicts with %s: %s -> %s -> %s; take it out of one of the lists", self, name, self, name, self)
		}
	}
}

// checkProbe checks the target of a health check, given or not, against its type.
func (r *reader) checkProbe(given bool) {
	h, at := r.c.Health, []string{"health", "target"}
	if text := notYet(string(h.Type)); text != "" {
		r.fail(true, []string{"health", "type"}, "%s", text)
	}
	written := h.Target != "" || len(h.Exec.Argv) > 0
	switch h.Type {
	case healthNotify:
		if written {
			r.fail(false, at, "a health check of type \"notify\" has no `target`: the service itself says when it is ready")
		}
		return
	case healthTCP, healthHTTP, healthExec:
	default:
		return // the type was complained about
	}
	example := map[healthType]string{healthTCP: `"localhost:8080" or "/run/app.sock"`, healthHTTP: `"http://localhost:8080/health"`, healthExec: `"/usr/bin/app --check" or ["/usr/bin/app", "--check"]`}[h.Type]
	if !given {
		r.fail(false, []string{"health"}, "[health] lacks the key `target`: what to look at; for type %q it is like %s", h.Type, example)
		return
	}
	if !written {
		return // what was given was complained about
	}
	var err error
	switch h.Type {
	case healthExec:
		if h.Target != "" {
			h.Exec, h.Target = execDef{Line: h.Target}, ""
		}
		_, _, err = h.Exec.split()
	case healthTCP:
		err = validEndpoint(h.Target)
	case healthHTTP:
		err = validURL(h.Target)
	}
	if len(h.Exec.Argv) > 0 && h.Type != healthExec {
		err = errors.New("a list is a command, which is for type \"exec\" only")
	}
	if err != nil {
		r.fail(true, at, "`target` of type %q: %v; write for example %s", h.Type, err, example)
	}
}

// warnings are about what is allowed and probably not meant.
func (r *reader) warnings(lifecycle map[string]any) {
	c, l := r.c, r.c.Lifecycle
	if c.Service.Oneshot && l.Restart == restartAlways {
		r.warn([]string{"lifecycle", "restart"}, "a oneshot with restart = \"always\" runs again for ever and never satisfies what requires it")
	}
	if l.RestartDelayMax < l.RestartDelay {
		r.warn([]string{"lifecycle", "restart_delay_ms"}, "restart_delay_ms (%d) is more than restart_delay_max_ms (%d), which is the longest delay there will be", l.RestartDelay.Milliseconds(), l.RestartDelayMax.Milliseconds())
	}
	if list, set := lifecycle["success_codes"].([]any); set && len(list) == 0 {
		r.warn([]string{"lifecycle", "success_codes"}, "with no success_codes every exit counts as a failure")
	}
	if c.Service.KillOthers && c.Service.ProcessFilter == "" {
		r.warn([]string{"service", "kill_others"}, "kill_others does nothing without process_filter")
	}
	for _, p := range []struct{ section, key, path string }{
		{"service", "dir", c.Service.Dir},
		{"service", "env_file", strings.TrimPrefix(c.Service.EnvFile, "-")},
		{"logging", "file", c.Logging.File},
	} {
		if p.path != "" && p.path[0] != '/' {
			r.warn([]string{p.section, p.key}, "`%s` is relative: it counts from the directory in which the server was started", p.key)
		}
	}
	if limitsNotYet && c.Limits != nil {
		var set []string
		for _, key := range keysOf("limits") {
			if fieldOf("limits", key).value(c) != nil && !(key == "caps" && len(c.Limits.Caps) == 0) {
				set = append(set, key)
			}
		}
		if len(set) > 0 {
			r.warn([]string{"limits"}, "[limits] is not applied yet in version %s: %s", version, strings.Join(set, ", "))
		}
	}
}

// --- files: how configurations get from and to the disk: directories, bounded files, positions in a text, saving, env files, users; it never judges what a key says.

// loadResult is what a round over the directories found.
type loadResult struct {
	configs          []*config // in load order: the system directory first, then the others as given; files in name order
	errors, warnings []problem
	unreadable       []string // directories that exist and cannot be read
	missing          []string // directories that do not exist
	read             []string // directories that were read
}

// loadDirs reads every NAME.toml of the directories ("" is skipped). A bad file is reported and hinders no other; of two files with
// the same name inside, the second one is refused. It may block as long as the disk does.
func loadDirs(systemDir string, dirs []string) *loadResult {
	loaded := &loadResult{}
	first := map[string]*config{} // by the name inside
	seen := map[string]bool{}
	for i, dir := range append([]string{systemDir}, dirs...) {
		if dir == "" || seen[filepath.Clean(dir)] {
			continue
		}
		seen[filepath.Clean(dir)] = true
		for _, f := range readFiles(loaded.list(dir), i == 0) {
			if f.bad != nil {
				loaded.errors = append(loaded.errors, *f.bad)
				continue
			}
			loaded.warnings = append(loaded.warnings, f.warns...)
			loaded.errors = append(loaded.errors, f.errs...)
			c := f.c
			if c == nil {
				continue
			}
			name := c.Service.Name
			if other := first[name]; other != nil {
				loaded.errors = append(loaded.errors, f.reader.about(true, fmt.Sprintf("the name %q is already taken by %s; give one of them another name", name, visible(other.path)), string(c.Kind), "name"))
				continue
			}
			first[name] = c
			loaded.configs = append(loaded.configs, c)
		}
	}
	return loaded
}

// fileRead is a file that was read, or why it could not be.
type fileRead struct {
	reader      *reader
	c           *config // nil: it is refused
	errs, warns []problem
	bad         *problem
}

// readFiles reads files with as many hands as there are processors: a boot waits for it.
func readFiles(paths []string, system bool) []fileRead {
	all := make([]fileRead, len(paths))
	var next atomic.Int64
	var hands sync.WaitGroup
	read := func() {
		for i := int(next.Add(1)) - 1; i < len(paths); i = int(next.Add(1)) - 1 {
			f := &all[i]
			if f.reader, f.bad = readFile(paths[i], system); f.bad == nil {
				f.c, f.errs, f.warns = f.reader.result()
			}
		}
	}
	const each = 10 // files that are worth a hand
	for range min(runtime.NumCPU()-1, len(paths)/each) {
		hands.Add(1)
		background("read", func() { defer hands.Done(); read() })
	}
	read()
	hands.Wait()
	return all
}

// list gives the service files of a directory in name order.
func (l *loadResult) list(dir string) (paths []string) {
	dir = filepath.Clean(dir)
	names, err := readNames(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.missing = append(l.missing, dir)
		l.warnings = append(l.warnings, problem{Path: dir, Message: "there is no such directory, so no services come from it; create it, or name another one with --config-dir"})
		return nil
	case err != nil:
		l.unreadable = append(l.unreadable, dir)
		l.errors = append(l.errors, problem{Path: dir, Message: "cannot read the directory: " + reasonOf(err).Error()})
		return nil
	}
	l.read = append(l.read, dir)
	for _, name := range names {
		if name[0] != '.' && strings.HasSuffix(name, ".toml") {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	slices.Sort(paths)
	return paths
}

// readNames lists what is in a directory, in no order.
func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// reasonOf is the error without the path that the complaint already names.
func reasonOf(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// parseFile reads one file. With system its class is "system" whatever it says.
func parseFile(path string, system bool) (*config, []problem, []problem) {
	r, bad := readFile(path, system)
	if bad != nil {
		return nil, []problem{*bad}, nil
	}
	return r.result()
}

func readFile(path string, system bool) (*reader, *problem) {
	data, err := readRegular(path, maxFileBytes)
	if err != nil {
		return nil, &problem{path, 1, 1, "cannot read the file: " + reasonOf(err).Error()}
	}
	r := readTOML(data, path, strings.TrimSuffix(filepath.Base(path), ".toml"))
	r.c.path, r.c.system, r.c.persist, r.c.source = path, system, !system, string(data)
	if system {
		r.c.Service.Class = classSystem
	}
	return r, nil
}

// readRegular reads a regular file of at most limit bytes. It never waits for the writer of a FIFO and opens no device.
func readRegular(path string, limit int64) ([]byte, error) {
	if data, ok := sysReadRegular(path, limit); ok {
		return data, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := regular(info, limit); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err == nil {
		err = regular(info, limit)
	}
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = tooLarge(limit)
	}
	return data, err
}

func regular(info fs.FileInfo, limit int64) error {
	switch mode := info.Mode(); {
	case mode.IsDir():
		return errors.New("it is a directory, not a file")
	case mode&fs.ModeNamedPipe != 0:
		return errors.New("it is a named pipe, not a regular file")
	case !mode.IsRegular():
		return errors.New("it is a device or a socket, not a regular file")
	case info.Size() > limit:
		return tooLarge(limit)
	}
	return nil
}

func tooLarge(limit int64) error {
	return fmt.Errorf("it is larger than %d bytes, the most that such a file may have", limit)
}

// saveFile writes text as the file of c. It is atomic (a new file renamed over the old one), so that on any error the old file stays as it
// was, and a symbolic link is replaced, not followed. A file that describes another service is left alone.
func saveFile(path string, c *config, text []byte) error {
	if err := validName(c.Service.Name); err != nil {
		return err
	}
	if r, bad := readFile(path, false); bad == nil {
		if other := r.c.Service.Name; other != "" && other != c.Service.Name {
			return fmt.Errorf("it describes %q; rename that file first", other)
		}
	}
	return replaceFile(path, text)
}

// replaceFile puts data at path, durably and all or nothing. What is there keeps its mode and owner; a new file has mode 0644.
func replaceFile(path string, data []byte) error {
	dir, name := filepath.Split(path)
	before, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Clean(dir), "."+name+".*.new") // hidden: a directory that is being read skips it
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	mode := fs.FileMode(0o644)
	if err == nil && before != nil {
		mode, err = before.Mode().Perm(), sysKeepOwner(f, path)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	if d, err := os.Open(filepath.Clean(dir)); err == nil {
		_ = d.Sync() // not every file system can; the rename itself has happened
		d.Close()
	}
	return nil
}

// --- positions ---

// scanner finds where the keys and values of a TOML text stand. It judges nothing but size: the library does, for the text up to checked().
type scanner struct {
	text    string
	at      int
	places  map[string]place
	tooMuch string // the text exceeds a bound, at `at`
	lost    bool   // the text is no TOML from about `at` on
}

// checked is how much of the text the scanner vouches for: all, or where it got lost to the end of that line.
func (s *scanner) checked() int {
	if !s.lost {
		return len(s.text)
	}
	if end := strings.IndexByte(s.text[s.at:], '\n'); end >= 0 {
		return s.at + end + 1
	}
	return len(s.text)
}

func (s *scanner) stop() bool { return s.lost || s.tooMuch != "" }

func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// file scans headers and pairs until the end or until it is lost.
func (s *scanner) file() {
	var section []string
	for !s.stop() {
		s.blank(true)
		if s.at >= len(s.text) {
			return
		}
		if s.peek() == '[' {
			section = s.header()
		} else {
			s.pair(section, 0)
		}
		s.blank(false)
		if c := s.peek(); s.at < len(s.text) && c != '\n' {
			s.lost = true
		}
	}
}

func (s *scanner) header() []string {
	start := s.at
	for s.peek() == '[' && s.at < start+2 {
		s.at++
	}
	path := s.key(nil)
	s.note(path, start, start)
	for s.peek() == ']' {
		s.at++
	}
	return path
}

// blank skips spaces; with lines also line ends, and comments in any case.
func (s *scanner) blank(lines bool) {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == ' ' || c == '\t' || c == '\r' || lines && c == '\n':
		case c == '#':
			end := strings.IndexByte(s.text[s.at:], '\n')
			if end < 0 {
				s.at = len(s.text)
				return
			}
			s.at += end - 1
		default:
			return
		}
	}
}

// note remembers a place and counts it. The first place of a path stays: there the table was opened.
func (s *scanner) note(path []string, key, value int) {
	if len(s.places) >= maxFileValues {
		s.tooMuch = fmt.Sprintf("the file has more than %d keys and values", maxFileValues)
		return
	}
	for n := 1; n <= len(path); n++ {
		at := pathKey(path[:n]...)
		if _, known := s.places[at]; !known {
			s.places[at] = place{key, value}
		}
	}
}

// key reads a bare, quoted or dotted key and appends its parts to base.
func (s *scanner) key(base []string) []string {
	path := append([]string{}, base...)
	for !s.stop() {
		s.blank(false)
		start := s.at
		part := ""
		if c := s.peek(); c == '"' || c == '\'' {
			s.quoted(false)
			part = unquoteKey(s.text[start:s.at])
		} else {
			for s.at < len(s.text) && (isNameByte(rune(s.peek())) && s.peek() != '.' || s.peek() >= utf8Start) {
				s.at++
			}
			part = s.text[start:s.at]
		}
		switch {
		case s.at == start:
			s.lost = true
		case len(part) > maxKeyBytes:
			s.tooMuch = fmt.Sprintf("the key is longer than %d bytes", maxKeyBytes)
		case len(path) >= maxFileDepth:
			s.tooMuch = fmt.Sprintf("tables are nested more than %d deep", maxFileDepth)
		}
		path = append(path, part)
		s.blank(false)
		if s.peek() != '.' {
			break
		}
		s.at++
	}
	return path
}

// utf8Start is the first byte value that ASCII does not have; the library says whether such a key is allowed.
const utf8Start = 0x80

// unquoteKey is what a quoted key says; one with escapes that Go does not know only loses its position.
func unquoteKey(raw string) string {
	if raw[0] == '"' {
		if s, err := strconv.Unquote(raw); err == nil {
			return s
		}
	}
	return strings.Trim(raw, `'"`)
}

func (s *scanner) pair(base []string, depth int) {
	start := s.at
	path := s.key(base)
	if s.stop() || s.peek() != '=' {
		s.lost = s.tooMuch == ""
		return
	}
	s.at++
	s.blank(false)
	s.note(path, start, s.at)
	s.value(path, depth)
}

// value skips one value and notes the elements of lists and the keys of tables in it.
func (s *scanner) value(path []string, depth int) {
	if depth > maxFileDepth {
		s.tooMuch = fmt.Sprintf("lists and tables are nested more than %d deep", maxFileDepth)
		return
	}
	switch s.peek() {
	case '"', '\'':
		s.quoted(true)
	case '[':
		s.list(depth, ']', func(i int) {
			element := append(append([]string{}, path...), strconv.Itoa(i))
			s.note(element, s.at, s.at)
			s.value(element, depth+1)
		})
	case '{':
		s.list(depth, '}', func(int) { s.pair(path, depth+1) })
	default:
		start := s.at
		for s.at < len(s.text) && strings.IndexByte(",]}#\n", s.text[s.at]) < 0 {
			s.at++
		}
		s.lost = s.at == start
	}
}

// list skips what stands between brackets and calls one at each element.
func (s *scanner) list(depth int, end byte, one func(i int)) {
	s.at++
	for i := 0; !s.stop(); i++ {
		s.blank(true)
		if s.peek() == end {
			s.at++
			return
		}
		if s.at >= len(s.text) {
			s.lost = true
			return
		}
		one(i)
		s.blank(true)
		switch s.peek() {
		case ',':
			s.at++
		case end:
		default:
			s.lost = s.tooMuch == ""
		}
	}
}

// quoted skips a string of one of the four sorts; multi says that the ones of three quotes may come.
func (s *scanner) quoted(multi bool) {
	mark := s.text[s.at : s.at+1]
	escapes := mark == `"`
	if triple := strings.Repeat(mark, 3); multi && strings.HasPrefix(s.text[s.at:], triple) {
		mark = triple
	}
	s.at += len(mark)
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case escapes && c == '\\':
			s.at++
		case strings.HasPrefix(s.text[s.at:], mark):
			s.at += len(mark)
			for n := 0; len(mark) == 3 && s.peek() == mark[0] && n < 2; n++ {
				s.at++ // up to two quotes may stand before the closing three
			}
			return
		case c == '\n' && len(mark) == 1:
			s.lost = true
			return
		}
		s.at++
	}
	s.at = len(s.text)
	s.lost = true
}

// --- env files ---

// readEnvFile reads KEY=VALUE lines; blank lines and those that begin with # are skipped. There are no quotes, no escapes and no export:
// the value is everything behind the first =.
func readEnvFile(path string) ([]string, error) {
	data, err := readRegular(path, maxFileBytes)
	if err != nil {
		return nil, fmt.Errorf("cannot read env_file %s: %w; a leading - in env_file makes a missing one no error", visible(path), reasonOf(err))
	}
	var env []string
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimLeft(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimRight(key, " \t")
		switch {
		case !ok || key == "":
			return nil, fmt.Errorf("%s:%d: %s is not KEY=VALUE", visible(path), i+1, quoted(line))
		case strings.HasPrefix(key, "export "):
			return nil, fmt.Errorf("%s:%d: an env_file is no shell script: leave out `export`", visible(path), i+1)
		case strings.ContainsAny(key, " \t\x00") || strings.IndexByte(value, 0) >= 0:
			return nil, fmt.Errorf("%s:%d: %s is no name of a variable", visible(path), i+1, quoted(key))
		}
		env = append(env, key+"="+value)
	}
	return env, nil
}

// envFile is what the service's env_file says; none without one, and none if it is missing and begins with "-".
func (d *serviceDef) envFile() ([]string, error) {
	path, optional := strings.CutPrefix(d.EnvFile, "-")
	if path == "" {
		return nil, nil
	}
	env, err := readEnvFile(path)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return env, err
}

// --- users ---

// lookupUser finds the numbers of a user and a group; -1 is "keep", for an empty one. Numbers always work. Without a group it is the
// user's own one and groups are the supplementary ones; a number that /etc/passwd does not have gets the group of the same number,
// so that nothing is left with the group of root.
func lookupUser(name, group string) (uid, gid int, groups []int, home string, err error) {
	uid, gid = -1, -1
	if name != "" {
		account, err := findUser(name)
		if err != nil {
			return -1, -1, nil, "", err
		}
		if uid, err = strconv.Atoi(account.Uid); err == nil {
			gid, err = strconv.Atoi(account.Gid)
		}
		if err != nil {
			return -1, -1, nil, "", fmt.Errorf("user %s has no number: %w", quoted(name), err)
		}
		home, groups = account.HomeDir, groupsOf(account)
	}
	if group != "" {
		if gid, err = findGroup(group); err != nil {
			return -1, -1, nil, "", err
		}
	}
	return uid, gid, groups, home, nil
}

// idNumber reads a numeric uid or gid.
func idNumber(word string) (n int, ok bool) {
	n, err := strconv.Atoi(word)
	return n, err == nil && n >= 0 && int64(n) < math.MaxUint32
}

// findUser looks a user up by name or number. One that is only a number has a group of the same number, and nothing else.
func findUser(word string) (*user.User, error) {
	account, err := user.Lookup(word)
	if err == nil {
		return account, nil
	}
	n, isNumber := idNumber(word)
	if !isNumber {
		return nil, unknownAccount("user", word, "/etc/passwd", err)
	}
	id := strconv.Itoa(n)
	if account, err = user.LookupId(id); err == nil {
		return account, nil
	}
	return &user.User{Uid: id, Gid: id}, nil
}

func findGroup(word string) (gid int, err error) {
	g, err := user.LookupGroup(word)
	if err == nil {
		return strconv.Atoi(g.Gid)
	}
	if n, isNumber := idNumber(word); isNumber {
		return n, nil
	}
	return -1, unknownAccount("group", word, "/etc/group", err)
}

// groupsOf lists the groups that name a user as a member; the user's own is no member's.
func groupsOf(account *user.User) (groups []int) {
	if account.Username == "" {
		return nil
	}
	ids, _ := account.GroupIds() // without /etc/group there are none
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil && id != account.Gid {
			groups = append(groups, n)
		}
	}
	return groups
}

// unknownAccount says that a name was not found, and which one may be meant.
func unknownAccount(what, word, file string, err error) error {
	_, noUser := errors.AsType[user.UnknownUserError](err)
	_, noGroup := errors.AsType[user.UnknownGroupError](err)
	if !noUser && !noGroup {
		return fmt.Errorf("cannot look up the %s %s: %v; a number works without that file, as in `%s = 1000`", what, quoted(word), err, what)
	}
	text := fmt.Sprintf("%s %s is not in %s", what, quoted(word), file)
	if near := nearest(word, accountNames(file)); near != "" {
		return fmt.Errorf("%s; did you mean %s?", text, quoted(near))
	}
	return fmt.Errorf("%s; create it, or give a number", text)
}

// accountNames lists the names in passwd(5) or group(5).
func accountNames(file string) (names []string) {
	data, _ := readRegular(file, 64<<20) // what cannot be read has no names
	for line := range strings.Lines(string(data)) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			names = append(names, name)
		}
	}
	return names
}

// --- words: the small languages inside a configuration (command lines, signals, names, addresses) and how to show foreign text; it touches no file and no state.

// --- command lines ---

// split is splitExec for a command in either form; a list never needs a shell.
func (e execDef) split() (argv []string, needsShell bool, err error) {
	if e.Line == "" {
		return e.Argv, false, nil
	}
	return splitExec(e.Line)
}

// splitExec splits a command line by the quoting rules of POSIX sh (XCU 2.2). When it has something that only a shell can do (an operator,
// expansion, pattern or comment outside quotes, or a leading VAR=value), needsShell is true and argv is nil.
// An unclosed quote is an error that names its position in characters, unless the line goes to a shell and has a construct
// in which quotes count otherwise (comment, here-document, nested expansion): then the shell judges.
func splitExec(line string) (argv []string, needsShell bool, err error) {
	s := splitter{line: line}
	for s.at < len(line) && s.err == nil {
		s.next()
	}
	s.endWord()
	switch {
	case s.err != nil && s.shell && containsAny(line, "#", "<<", "$(", "${", "`"):
		return nil, true, nil
	case s.err != nil:
		return nil, false, s.err
	case len(s.argv) == 0 && !s.shell:
		return nil, false, errors.New("the command is empty; give the program and its arguments, as in \"/usr/bin/app --port 80\"")
	case s.shell:
		return nil, true, nil
	case s.argv[0] == "":
		return nil, false, errors.New("the command begins with an empty word, which is no program")
	}
	return s.argv, false, nil
}

// splitWords splits a line that no shell sees by the quoting rules of splitExec; what only a shell could do stands for itself.
func splitWords(line string) ([]string, error) {
	s := splitter{line: line}
	for s.at < len(line) && s.err == nil {
		s.next()
	}
	s.endWord()
	return s.argv, s.err
}

// splitter is the state of splitExec between two characters.
type splitter struct {
	line    string
	at      int
	argv    []string
	word    strings.Builder
	inWord  bool
	literal bool // something of the word was quoted, so that it is no VAR=value any more
	newline bool // a line end outside quotes since the last word
	shell   bool
	err     error
}

func (s *splitter) put(c byte) {
	s.beginWord()
	s.word.WriteByte(c)
}

// beginWord notes that a word has begun. Line ends separate commands, but only if a word stands on both sides.
func (s *splitter) beginWord() {
	s.shell = s.shell || s.newline && len(s.argv) > 0
	s.inWord, s.newline = true, false
}

func (s *splitter) endWord() {
	if s.inWord {
		s.argv = append(s.argv, s.word.String())
	}
	s.word.Reset()
	s.inWord, s.literal = false, false
}

// next consumes one character outside quotes, or a whole quoted part.
func (s *splitter) next() {
	c := s.line[s.at]
	s.at++
	switch c {
	case ' ', '\t':
		s.endWord()
	case '\n':
		s.endWord()
		s.newline = true
	case '\\':
		s.escape()
	case '\'', '"':
		s.quote(c)
	case '|', '&', ';', '<', '>', '(', ')', '$', '*', '?', '[', ']', '{', '}', '~', '#', '!', '`':
		s.shell = true
		s.put(c)
	case '=':
		if len(s.argv) == 0 && !s.literal && isVariable(s.word.String()) {
			s.shell = true
		}
		s.put(c)
	default:
		s.put(c)
	}
}

// escape handles a backslash outside quotes: the next character is itself, and a line end vanishes.
func (s *splitter) escape() {
	if s.at >= len(s.line) {
		s.err = fmt.Errorf("the backslash at character %d, the last one, escapes nothing; write \\\\ for a backslash", s.character(s.at-1))
		return
	}
	if c := s.line[s.at]; c != '\n' {
		s.literal = true
		s.put(c)
	}
	s.at++
}

// quote handles a quoted part. Between single quotes nothing is special; between double quotes $ and ` still need a shell, and a
// backslash escapes only $ ` " \ and the line end.
func (s *splitter) quote(mark byte) {
	start := s.at - 1
	s.beginWord()
	s.literal = true
	for s.at < len(s.line) {
		c := s.line[s.at]
		s.at++
		switch {
		case c == mark:
			return
		case mark == '"' && (c == '$' || c == '`'):
			s.shell = true
		case mark == '"' && c == '\\' && s.at < len(s.line) && strings.IndexByte("$`\"\\\n", s.line[s.at]) >= 0:
			c = s.line[s.at]
			s.at++
			if c == '\n' {
				continue
			}
		}
		s.word.WriteByte(c)
	}
	name := map[byte]string{'"': "double", '\'': "single"}[mark]
	s.err = fmt.Errorf("the %s quote at character %d is never closed", name, s.character(start))
}

func (s *splitter) character(offset int) int { return 1 + utf8.RuneCountInString(s.line[:offset]) }

// isVariable says whether a word can be the name of a shell variable (POSIX XBD 3.216).
func isVariable(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func containsAny(s string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// --- signals ---

// otherSignals are second names.
var otherSignals = [][2]string{{"IOT", "ABRT"}, {"CLD", "CHLD"}, {"POLL", "IO"}}

// parseSignal reads TERM, SIGTERM, sigterm, RTMIN+3, RTMAX-1 or a number of this system.
func parseSignal(s string) (int, error) {
	names := sysSignals()
	most := max(len(names)-1, sigRtmax)
	word := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > most {
			return 0, fmt.Errorf("signal numbers go from 1 to %d, not %d", most, n)
		}
		return n, nil
	}
	if other := pairOf(otherSignals, word); other != "" {
		word = other
	}
	for n := 1; n < len(names); n++ {
		if names[n] == word {
			return n, nil
		}
	}
	for _, base := range []struct {
		name  string
		n     int
		signs string
	}{{"RTMIN", sigRtmin, "+"}, {"RTMAX", sigRtmax, "-"}} {
		rest, ok := strings.CutPrefix(word, base.name)
		if !ok || base.n == 0 {
			continue
		}
		if rest == "" {
			return base.n, nil
		}
		n, err := strconv.Atoi(rest)
		if err == nil && strings.HasPrefix(rest, base.signs) && base.n+n >= sigRtmin && base.n+n <= sigRtmax {
			return base.n + n, nil
		}
		return 0, fmt.Errorf("unknown signal %s; the real-time signals are SIGRTMIN+0 to SIGRTMIN+%d", quoted(s), sigRtmax-sigRtmin)
	}
	if near := nearest(word, names[1:]); near != "" {
		return 0, fmt.Errorf("unknown signal %s; did you mean \"SIG%s\"?", quoted(s), near)
	}
	return 0, fmt.Errorf("unknown signal %s; give a name like \"SIGTERM\", \"SIGINT\" or \"SIGRTMIN+3\", or a number from 1 to %d", quoted(s), most)
}

// signalName is SIGTERM, SIGRTMIN+3, or the bare number of a signal without a name.
func signalName(n int) string {
	names := sysSignals()
	switch {
	case n > 0 && n < len(names):
		return "SIG" + names[n]
	case sigRtmin > 0 && n == sigRtmin:
		return "SIGRTMIN"
	case sigRtmin > 0 && n > sigRtmin && n <= sigRtmax:
		return fmt.Sprintf("SIGRTMIN+%d", n-sigRtmin)
	}
	return strconv.Itoa(n)
}

// --- names and addresses ---

// maxNameBytes keeps NAME.toml, NAME.log.1 and the like well below what file systems allow.
const maxNameBytes = 64

func isNameByte(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || isDigit(r) || r == '-' || r == '_' || r == '.'
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

func isDigits(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !isDigit(r) }) < 0
}

// validName checks the name of a service, target or proxy.
func validName(s string) error {
	const rule = "a name has A-Z a-z 0-9 - _ . and begins with a letter or digit"
	if s == "" {
		return errors.New("the name is empty; " + rule)
	}
	if len(s) > maxNameBytes {
		return fmt.Errorf("the name %s is longer than %d bytes", quoted(s), maxNameBytes)
	}
	for i, r := range s {
		if !isNameByte(r) || i == 0 && strings.ContainsRune("-_.", r) {
			return fmt.Errorf("%s is not allowed as a name because of %s at character %d; %s", quoted(s), quoted(string(r)), 1+utf8.RuneCountInString(s[:i]), rule)
		}
	}
	return nil
}

func validUmask(s string) error {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o777 || len(s) > 4 {
		return fmt.Errorf("a umask is octal, from \"000\" to \"777\", not %s", quoted(s))
	}
	return nil
}

func validChroot(s string) error {
	if !strings.HasPrefix(s, "/") {
		return fmt.Errorf("%s is not an absolute path; it begins with /", quoted(s))
	}
	return nil
}

// capabilities are those of capabilities(7), Linux 6.x, by number.
const capabilities = `chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable
	net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct
	sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap
	mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore`

func validCap(s string) error {
	word := strings.TrimPrefix(strings.ToLower(s), "cap_")
	known := strings.Fields(capabilities)
	for _, c := range known {
		if c == word {
			return nil
		}
	}
	if near := nearest(word, known); near != "" {
		return fmt.Errorf("unknown capability %s; did you mean %q?", quoted(s), near)
	}
	return fmt.Errorf("unknown capability %s; capabilities(7) lists them, as in \"net_bind_service\"", quoted(s))
}

// validAddress checks where a proxy listens or its service does: host:port, :port, tcp:host:port, /path or unix:/path.
func validAddress(s string) error {
	rest, unix := strings.CutPrefix(s, "unix:")
	if unix && !strings.HasPrefix(rest, "/") {
		return fmt.Errorf("%s: behind unix: comes an absolute path", quoted(s))
	}
	if strings.HasPrefix(rest, "/") {
		return socketPath(rest)
	}
	return hostPort(strings.TrimPrefix(s, "tcp:"))
}

// validEndpoint checks what a tcp health check connects to: host:port or the path of a socket.
func validEndpoint(s string) error {
	if strings.HasPrefix(s, "/") {
		return socketPath(s)
	}
	return hostPort(s)
}

// socketPath checks the length that sockaddr_un allows (unix(7): 108 bytes with the closing NUL; 104 on macOS).
func socketPath(s string) error {
	if len(s) > 103 {
		return fmt.Errorf("the path %s has %d bytes, and the name of a socket at most 103", quoted(s), len(s))
	}
	return nil
}

func hostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%s is no host:port", quoted(s))
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || !isDigits(port) {
		return fmt.Errorf("%s has no port from 1 to 65535", quoted(s))
	}
	if strings.ContainsAny(host, " \t\r\n/@\"") {
		return fmt.Errorf("%s is no name of a host", quoted(host))
	}
	return nil
}

// validURL checks what an http health check asks for: http://host[:port]/path.
func validURL(s string) error {
	rest, ok := strings.CutPrefix(s, "http://")
	switch {
	case strings.HasPrefix(s, "https://"):
		return errors.New("https is not offered; ask the plain port, or use type \"exec\" with a program that can")
	case !ok:
		return fmt.Errorf("%s does not begin with http://", quoted(s))
	case strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) >= 0:
		return fmt.Errorf("%s has a space or control character; write %%20 for a space", quoted(s))
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	host := authority
	if strings.LastIndexByte(authority, ':') <= strings.LastIndexByte(authority, ']') {
		host += ":80"
	}
	if authority == "" || strings.HasPrefix(authority, ":") {
		return fmt.Errorf("%s names no host", quoted(s))
	}
	return hostPort(host)
}

// --- words for people ---

// visible makes everything in foreign text that could command a terminal or mislead the eye readable instead: control
// characters as ^[ (that is ESC), direction overrides as \u202e, bytes that are no UTF-8 as \xff. Tabs and all other text stay.
func visible(s string) string {
	plain := func(r rune) bool { return r >= ' ' && r < 0x7f || r == '\t' }
	hidden := func(r rune) bool {
		return r >= 0x7f && r < 0xa0 || r >= 0x200e && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff
	}
	i := 0
	for i < len(s) && plain(rune(s[i])) {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:i])
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < ' ' && r != '\t' || r == 0x7f:
			b.WriteString("^" + string(r^0x40))
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case hidden(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// shortened shows foreign text in an error: visible, quoted and not long.
func shortened(s string) string {
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "") + "…"
	}
	return strconv.Quote(visible(s))
}

// shorten keeps a message readable when what it is about is long.
func shorten(s string) string {
	const most = 80
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i] + "…"
		}
	}
	return s
}

// quoted is foreign text inside a message.
func quoted(s string) string { return `"` + visible(shorten(s)) + `"` }

func quotedList(words []string) string { return `"` + strings.Join(words, `", "`) + `"` }

func bracketList(words []string) string { return "[" + strings.Join(words, "], [") + "]" }

// nearest is the word that was probably meant: the same but for case and separators, the closest by typing errors (a third of the letters
// at most), or the shortest that begins with it; "" when nothing is near.
func nearest(word string, among []string) string {
	plain := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }
	w := plain(word)
	if w == "" || len(w) > 4*maxNameBytes {
		return ""
	}
	best, bestDistance := "", max(1, len(w)/3)+1
	for _, candidate := range among {
		c := plain(candidate)
		if len(c)-len(w) >= bestDistance || len(w)-len(c) >= bestDistance {
			continue
		}
		if d := typingErrors(w, c); d < bestDistance && d < len(c) {
			best, bestDistance = candidate, d
		}
	}
	if best != "" || len(w) < 3 {
		return best
	}
	for _, candidate := range among {
		c := plain(candidate)
		begins := strings.HasPrefix(c, w) || len(c) > 3 && strings.HasPrefix(w, c)
		if begins && (best == "" || len(candidate) < len(best)) {
			best = candidate
		}
	}
	return best
}

// typingErrors counts the letters to insert, drop, replace or swap with their neighbour that make a into b (optimal string alignment).
func typingErrors(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
