// wire.go is what goes over the control socket as Go types: errors, results and notifications, written by the server and read by the client. Nothing is done here.

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
)

// errorKind is what programs read in error.data.kind.
type errorKind string

const (
	kindParseError       errorKind = "parse_error"
	kindInvalidRequest   errorKind = "invalid_request"
	kindMethodNotFound   errorKind = "method_not_found"
	kindInvalidParams    errorKind = "invalid_params"
	kindInternalError    errorKind = "internal_error"
	kindServiceNotFound  errorKind = "service_not_found"
	kindServiceIsDown    errorKind = "service_is_down"
	kindInvalidSignal    errorKind = "invalid_signal"
	kindConfigError      errorKind = "config_error"
	kindShuttingDown     errorKind = "shutting_down"
	kindAlreadyExists    errorKind = "already_exists"
	kindServiceFileError errorKind = "service_file_error"
	kindInvalidState     errorKind = "invalid_state"
	kindDependencyError  errorKind = "dependency_error"
	kindProcessError     errorKind = "process_error"
	kindXinetError       errorKind = "xinet_error"
	kindPermissionDenied errorKind = "permission_denied"
	kindTimeout          errorKind = "timeout"
	kindNotSupported     errorKind = "not_supported"
)

// kindRow is what clients are told of a kind of errors.
type kindRow struct {
	kind errorKind
	code int
	doc  string
}

// errorKinds gives each kind its code. The first five are those of the standard.
var errorKinds = []kindRow{
	{kindParseError, -32700, "the line is no JSON text"},
	{kindInvalidRequest, -32600, "the JSON text is no request"},
	{kindMethodNotFound, -32601, "there is no such method"},
	{kindInvalidParams, -32602, "a parameter is missing, surplus or wrong"},
	{kindInternalError, -32603, "the server could not do it"},
	{kindServiceNotFound, -32000, "there is no such service"},
	{kindServiceIsDown, -32003, "the service has no process"},
	{kindInvalidSignal, -32004, "there is no such signal"},
	{kindConfigError, -32005, "the configuration is wrong"},
	{kindShuttingDown, -32006, "the server is shutting down"},
	{kindAlreadyExists, -32007, "a service of this name exists"},
	{kindServiceFileError, -32008, "the service's file cannot be written or deleted"},
	{kindInvalidState, -32009, "not possible in this state"},
	{kindDependencyError, -32010, "a cycle, or others require it"},
	{kindProcessError, -32011, "fork or kill failed"},
	{kindXinetError, -32012, "unknown proxy, or address in use"},
	{kindPermissionDenied, -32013, "this client may only read"},
	{kindTimeout, -32014, "the time to wait ran out"},
	{kindNotSupported, -32015, "not possible on this system or in this mode"},
}

// rpcError is an error of JSON-RPC.
type rpcError struct {
	Code    int       `json:"code"`
	Message string    `json:"message"`
	Data    errorData `json:"data"`
}

// errorData is what programs read of an error.
type errorData struct {
	Kind      errorKind `json:"kind"`
	Param     string    `json:"param,omitempty"`      // the parameter that is wrong
	Names     []string  `json:"names,omitempty"`      // near matches of a name that is unknown, or those in the way
	NotLoaded string    `json:"not_loaded,omitempty"` // why the file of a name that is unknown is not loaded
	Errors    []problem `json:"errors,omitempty"`     // what is wrong with a configuration
}

func (e *rpcError) Error() string { return e.Message }

// refuse makes an error of a kind.
func refuse(kind errorKind, format string, args ...any) *rpcError {
	e := &rpcError{Code: -32603, Message: fmt.Sprintf(format, args...), Data: errorData{Kind: kind}}
	for _, k := range errorKinds {
		if k.kind == kind {
			e.Code = k.code
		}
	}
	return e
}

// rpcVersion is the member jsonrpc of every frame.
const rpcVersion = "2.0"

// answerFrame carries a result. LeftOut is how many entries it lacks, because it would have been larger than an answer may be.
type answerFrame struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"` // as it came
	Result  any             `json:"result"`
	LeftOut int             `json:"left_out,omitempty"`
}

// partial is part of a result that is made no larger than a client can use. leftOut is how many entries it lacks from the beginning; the answer's frame says it.
type partial struct{ leftOut int }

func (s partial) lacking() int { return s.leftOut }

type errorFrame struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Error   *rpcError       `json:"error"`
}

// noteFrame is a notification.
type noteFrame struct {
	Version string `json:"jsonrpc"`
	Method  string `json:"method"`
	Params  any    `json:"params"`
}

// serviceStatus is the answer of service.status. Its fields describe it to rpc.discover.
type serviceStatus struct {
	Name          string        `json:"name"`
	Kind          unitKind      `json:"kind"`
	State         state         `json:"state"`
	Wish          wish          `json:"wish"`                  // what is wanted
	PID           int           `json:"pid"`                   // 0: no process
	ExitCode      *int          `json:"exit_code"`             // of the last end; null: it did not end, or by a signal
	Reason        *wireReason   `json:"reason"`                // why it failed; null: it did not
	Health        *healthStatus `json:"health"`                // null: no check
	StatusText    string        `json:"status_text,omitempty"` // what it says of itself, as STATUS= of sd_notify
	UptimeMS      int64         `json:"uptime_ms"`             // since the start of the present process; 0: none
	RestartCount  int           `json:"restart_count"`         // since the last request
	RestartInMS   *int64        `json:"restart_in_ms"`         // null: no restart is pending
	BlockedBy     []string      `json:"blocked_by"`            // names of what is in the way
	ConfigChanged bool          `json:"config_changed"`        // its file has changed since it was started
	Skipped       string        `json:"skipped,omitempty"`     // the entry of its [conditions] that did not hold at its last start
}

// serviceStatusFull is serviceStatus and what takes longer to find out.
type serviceStatusFull struct {
	serviceStatus
	LastStart   int64     `json:"last_start"`   // ms since the epoch; 0: never
	LastStop    int64     `json:"last_stop"`    // ms since the epoch; 0: never
	CPUPercent  float64   `json:"cpu_percent"`  // of the main process, 100 is one core
	MemoryBytes int64     `json:"memory_bytes"` // resident memory of the main process
	Class       unitClass `json:"class"`
	Critical    bool      `json:"critical"`
	Oneshot     bool      `json:"oneshot"`
	Path        string    `json:"path"` // its file
	Description string    `json:"description"`
	LogError    string    `json:"log_error,omitempty"` // why its log file takes no lines now
}

type healthStatus struct {
	OK        bool   `json:"ok"`         // the last check passed
	LastError string `json:"last_error"` // why the last one that failed did
	Checks    int    `json:"checks"`     // since the start
	Failures  int    `json:"failures"`   // in a row
}

// tenth rounds to what people read, and keeps numbers away that JSON does not have.
func tenth(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return math.Round(f*10) / 10
}

// serverMode is what a server is: on its own, or beside the keeper of a container or of a machine.
type serverMode string

const (
	modeStandalone serverMode = "standalone"
	modeContainer  serverMode = "container"
	modeSystem     serverMode = "system"
)

// wish is what is wanted of a unit.
type wish string

const (
	wishUp   wish = "up"
	wishDown wish = "down"
)

// wordsOf are the words of a type that has few. rpc.discover lists them.
func wordsOf(t reflect.Type) []string {
	switch t {
	case reflect.TypeFor[state]():
		return stateNames[:]
	case reflect.TypeFor[wish]():
		return []string{string(wishUp), string(wishDown)}
	case reflect.TypeFor[serverMode]():
		return []string{string(modeStandalone), string(modeContainer), string(modeSystem)}
	case reflect.TypeFor[unitKind]():
		return unitKinds
	case reflect.TypeFor[unitClass]():
		return unitClasses
	case reflect.TypeFor[logStream]():
		return streamWords
	case reflect.TypeFor[changeType]():
		return changeTypes
	}
	return nil
}

type okResult struct {
	OK bool `json:"ok"`
}

type pingResult struct {
	Version  string     `json:"version"`
	PID      int        `json:"pid"`
	UptimeMS int64      `json:"uptime_ms"`
	Mode     serverMode `json:"mode"`
}

type infoResult struct {
	Version    string     `json:"version"`
	Mode       serverMode `json:"mode"`
	PID        int        `json:"pid"`
	StartedMS  int64      `json:"started_ms"` // since the epoch
	ConfigDirs []string   `json:"config_dirs"`
	Socket     string     `json:"socket"`
	Kernel     string     `json:"kernel"`
	Cgroup     string     `json:"cgroup"`
	Degraded   []string   `json:"degraded"` // what does not work here, and what that means

	ShutdownAtMS *int64 `json:"shutdown_at_ms"` // when the planned shutdown begins, since the epoch; null: none is planned
}

type putResult struct {
	OK       bool      `json:"ok"`
	Name     string    `json:"name"`
	Path     *string   `json:"path"` // the file that was written; null: none
	Warnings []problem `json:"warnings"`
}

type checkResult struct {
	OK       bool      `json:"ok"`
	Errors   []problem `json:"errors"`
	Warnings []problem `json:"warnings"`
}

// stateResult is what start, stop, restart answer. BlockedBy is there when the state is blocked.
type stateResult struct {
	OK        bool     `json:"ok"`
	State     state    `json:"state"`
	BlockedBy []string `json:"blocked_by,omitempty"` // with the state blocked: names of what is in the way
}

type waitResult struct {
	State     state    `json:"state"`
	BlockedBy []string `json:"blocked_by,omitempty"` // with the state blocked: names of what is in the way
}

type bulkResult struct {
	OK       bool          `json:"ok"`
	Services []string      `json:"services"` // those that it was done to
	Skipped  []string      `json:"skipped"`  // those of class system
	Errors   []bulkFailure `json:"errors"`   // where it failed
}

type statsResult struct {
	Name        string         `json:"name"`
	PID         int            `json:"pid"`
	CPUPercent  float64        `json:"cpu_percent"` // 100 is one processor
	MemoryBytes int64          `json:"memory_bytes"`
	Threads     int            `json:"threads"`
	FDs         int            `json:"fds"`       // open files
	Processes   int            `json:"processes"` // itself and its descendants
	Children    []childProcess `json:"children"`
}

type childProcess struct {
	PID         int     `json:"pid"`
	PPID        int     `json:"ppid"`
	Command     string  `json:"command"`
	CPUPercent  float64 `json:"cpu_percent"` // 100 is one processor
	MemoryBytes int64   `json:"memory_bytes"`
}

type whyResult struct {
	partial
	Name    string      `json:"name"`
	State   state       `json:"state"`
	Blocked bool        `json:"blocked"`
	Reasons []whyReason `json:"reasons"` // the chain down to the root causes
	Todo    []string    `json:"todo"`    // what a person can do about the root causes
	Text    string      `json:"text"`    // all of it for people
}

type treeResult struct {
	partial
	Text  string     `json:"text"`
	Roots []treeNode `json:"roots"`
}

type processResult struct {
	Text  string        `json:"text"`
	Roots []processNode `json:"roots"`
}

// processNode is a process; Service names whose main process it is, or is "".
type processNode struct {
	PID      int           `json:"pid"`
	PPID     int           `json:"ppid"`
	Command  string        `json:"command"`
	Service  string        `json:"service"` // whose main process it is; "": of none
	Children []processNode `json:"children"`
}

type textResult struct {
	partial
	Text string `json:"text"`
}

type debugResult struct {
	Text     string         `json:"text"`
	Services []debugService `json:"services"`
}

type debugService struct {
	Status     serviceStatusFull `json:"status"`
	Invocation string            `json:"invocation"` // ZINIT_INVOCATION_ID of the present or last start
	Generation uint64            `json:"generation"` // number of the present or last start
	Config     configValue       `json:"config"`
}

type subscribeResult struct {
	Subscription int64 `json:"subscription"` // its number in notifications, and for events.unsubscribe
}

type restartResult struct {
	OK        bool     `json:"ok"`
	StateFile *string  `json:"state_file"` // null under the keeper
	Services  []string `json:"services"`   // those that keep running
}

type upgradeResult struct {
	OK      bool   `json:"ok"`
	Version string `json:"version"` // of the new binary
}

type xinetStatus struct {
	Name              string   `json:"name"`
	Listen            []string `json:"listen"`
	Backend           string   `json:"backend"`
	Service           string   `json:"service"`
	Running           bool     `json:"running"`
	TotalConnections  int64    `json:"total_connections"`
	ActiveConnections int64    `json:"active_connections"`
	BytesToBackend    int64    `json:"bytes_to_backend"`
	BytesFromBackend  int64    `json:"bytes_from_backend"`
	ConnectTimeout    int      `json:"connect_timeout"`
	IdleTimeout       int      `json:"idle_timeout"`
	SingleConnection  bool     `json:"single_connection"`
	Description       string   `json:"description"`
	LastError         string   `json:"last_error"`
}

// changeType says what an event is: a change of state, a new or changed configuration, or the end of a service.
type changeType string

const (
	changeState   changeType = "state"
	changeConfig  changeType = "config"
	changeRemoved changeType = "removed"
)

var changeTypes = []string{string(changeState), string(changeConfig), string(changeRemoved)}

// serviceEvent is the params of an `event` notification. From, To and Reason belong to type state.
type serviceEvent struct {
	Subscription int64       `json:"subscription"`
	Seq          uint64      `json:"seq"` // grows by 1 over all events
	TimeMS       int64       `json:"time_ms"`
	Type         changeType  `json:"type"`
	Service      string      `json:"service"`
	From         *state      `json:"from"`           // of type state
	To           *state      `json:"to"`             // of type state
	Reason       *wireReason `json:"reason"`         // of type state; null: it did not fail
	Lost         uint64      `json:"lost,omitempty"` // events that this client missed before
}

// logNote is the params of a `log` notification.
type logNote struct {
	Subscription int64 `json:"subscription"`
	followedLine
}

// followedLine is a line, and how many a slow client missed before it.
type followedLine struct {
	logLine
	Lost uint64 `json:"lost,omitempty"` // lines that this client missed before
}

// textList is the texts of log lines.
type textList []string

type (
	configValue map[string]any // CONFIG
	document    map[string]any // any JSON object
	eitherOf    []any          // a result of one of these types
)

// configError refuses a configuration for what is wrong with it.
func configError(errs []problem) *rpcError {
	e := refuse(kindConfigError, "%s", errs[0].Message)
	if len(errs) > 1 {
		e.Message += fmt.Sprintf(" (and %d more)", len(errs)-1)
	}
	e.Data.Errors = errs
	return e
}
