// config_words.go holds the words that a service file chooses from, each once: what may be written, what the schema lists and what the server compares.

package main

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
)

var healthTypes = []string{string(healthTCP), string(healthHTTP), string(healthExec), string(healthNotify)}

// logFormat is how lines are written to the log file and the console.
type logFormat string

const (
	formatRaw  logFormat = "raw"
	formatTime logFormat = "time"
	formatJSON logFormat = "json"
)

var logFormats = []string{string(formatRaw), string(formatTime), string(formatJSON)}
