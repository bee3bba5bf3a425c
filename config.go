// config.go declares what a service file can say, as Go types with their defaults; the table of its keys is in config_keys.go. It reads and writes nothing itself.

package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// config is one unit as its file describes it, defaults filled in.
type config struct {
	Kind         unitKind   // which section the file has
	Service      serviceDef // of a target only Name, Description, Status and Class count
	Dependencies dependencyDef
	Conditions   conditionDef
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
	Instances         []string // of a template
	Exec              execDef
	Dir, Description  string
	Env               map[string]string
	EnvFiles          []string // in order; with a leading "-" it may be missing
	Expand            bool
	Status            loadStatus
	Class             unitClass
	Critical, Oneshot bool
	User, Group       string // a number that was written as one has its sign: +1000
	Ports             []int
	RuntimeDirs       []string
	ProcessFilter     string
	KillOthers        bool
	Stdin             stdinKind
	TTY               string
	PIDFile           string // "": the first process is the main process
}

// execDef is a command as written in the file. At most one of the two is set; if neither is, there is no command.
type execDef struct {
	Line string
	Argv []string
}

type dependencyDef struct {
	Requires, After, Wants, Conflicts, Binds []string // names of units
	Mounts                                   []string // paths
}

// needed are the units that must be satisfied before a start: first those of requires, then those of binds.
func (d *dependencyDef) needed() []string {
	if len(d.Binds) == 0 {
		return d.Requires
	}
	return slices.Concat(d.Requires, d.Binds)
}

// conditionDef is what must hold for a start. An entry with a leading ! is about the opposite.
type conditionDef struct{ Env, Exists []string }

type lifecycleDef struct {
	Restart                                        restartPolicy
	RestartDelay, RestartDelayMax, StabilityPeriod time.Duration
	MaxRestarts                                    int           // 0: no limit
	StartTimeout                                   time.Duration // 0: none
	ReadyAfter                                     time.Duration // 0: at once
	StopTimeout                                    time.Duration
	StopSignal                                     int
	StopExec                                       execDef // run instead of the signal, when it is set
	KillMode                                       killMode
	SuccessCodes, RestartPrevent                   []ending
}

// ending is one way in which a process ends: with an exit code, or by a signal if that is not 0.
type ending struct{ Code, Signal int }

type healthDef struct {
	Type                             healthType
	Target                           string  // of tcp, http, fd and log
	Exec                             execDef // of exec
	Interval, Timeout, StartInterval time.Duration
	Retries                          int
}

type loggingDef struct {
	BufferLines int
	File        string
	MaxSize     int64 // bytes; 0: never rotated
	Keep        int
	Format      logFormat // of the file
	Console     *bool     // nil: as the mode of the server has it
	// ConsoleFormat is how lines look there.
	ConsoleFormat logFormat
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
	Line    int    `json:"line"`   // from 1; 0: unknown
	Column  int    `json:"column"` // from 1, in characters; 0: unknown
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

// Limits of a service file.
const (
	maxFileBytes  = 1 << 20
	maxFileValues = 10000 // keys and list elements
	maxFileDepth  = 16    // nesting of lists and tables, parts of a dotted key
	maxKeyBytes   = 256
	maxProblems   = 100
	maxMillis     = int64(100 * 365 * 24 * time.Hour / time.Millisecond)
)

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
	for _, section := range allSections {
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
	for _, f := range fieldsOf(section) {
		if f.def != nil {
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

// same says whether two configs are equal in everything that a file can say. No list and an empty one are the same.
func (c *config) same(d *config) bool {
	differ := func(f *field) bool {
		has := c.has(f.section)
		return has != d.has(f.section) || has && tomlText(f.value(c)) != tomlText(f.value(d))
	}
	return c.Kind == d.Kind && c.Service.Class == d.Service.Class && !slices.ContainsFunc(fields, differ)
}

// unitKind says what a file describes: it is the name of its first section.
type unitKind string

const (
	unitService unitKind = "service"
	unitTarget  unitKind = "target"
	unitXinet   unitKind = "xinet"
)

// unitKinds are the kinds that have a state. A proxy has none.
var unitKinds = []string{string(unitService), string(unitTarget)}

// loadStatus says what to do with a unit when it is loaded.
type loadStatus string

const (
	statusStart  loadStatus = "start"
	statusStop   loadStatus = "stop"
	statusIgnore loadStatus = "ignore"
)

var loadStatuses = []string{string(statusStart), string(statusStop), string(statusIgnore)}

// unitClass says whether the bulk methods touch a unit.
type unitClass string

const (
	classUser   unitClass = "user"
	classSystem unitClass = "system"
)

var unitClasses = []string{string(classUser), string(classSystem)}

// killMode says whom a stop reaches.
type killMode string

const (
	killGroup   killMode = "group"
	killMixed   killMode = "mixed"
	killProcess killMode = "process"
)

var killModes = []string{string(killGroup), string(killMixed), string(killProcess)}

// restartPolicy says when a service is started again after its end.
type restartPolicy string

const (
	restartAlways    restartPolicy = "always"
	restartOnFailure restartPolicy = "on-failure"
	restartNever     restartPolicy = "never"
)

var restartPolicies = []string{string(restartAlways), string(restartOnFailure), string(restartNever)}

// healthType is how a check looks at a service.
type healthType string

const (
	healthTCP    healthType = "tcp"
	healthHTTP   healthType = "http"
	healthExec   healthType = "exec"
	healthNotify healthType = "notify"
	healthFD     healthType = "fd"
	healthLog    healthType = "log"
)

var healthTypes = []string{string(healthTCP), string(healthHTTP), string(healthExec), string(healthNotify), string(healthFD), string(healthLog)}

// logFormat is how lines are written to the log file and the console.
type logFormat string

const (
	formatRaw  logFormat = "raw"
	formatTime logFormat = "time"
	formatJSON logFormat = "json"

	formatPrefix logFormat = "prefix" // of the console: NAME | text
	formatPlain  logFormat = "plain"  // of the console: the line as it came, whole
)

var consoleFormats = []string{string(formatPrefix), string(formatPlain), string(formatTime), string(formatJSON)}

var logFormats = []string{string(formatRaw), string(formatTime), string(formatJSON)}
