// wire_state.go has the words of states and of the reasons for them, as results and events contain them.

package main

import (
	"encoding/json"
	"fmt"
	"slices"
)

// state is one of seven. Only enter assigns it.
type state uint8

const (
	inactive state = iota
	blocked
	starting
	running
	stopping
	exited
	failed
)

var stateNames = [...]string{"inactive", "blocked", "starting", "running", "stopping", "exited", "failed"}

func (s state) String() string { return stateNames[s] }

func (s state) MarshalText() ([]byte, error) { return []byte(stateNames[s]), nil }

func (s *state) UnmarshalText(text []byte) error {
	i := slices.Index(stateNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is no state of a service", text)
	}
	*s = state(i)
	return nil
}

// live says whether a unit in this state has, or may have, a process.
func (s state) live() bool { return s == starting || s == running || s == stopping }

// reasonType says why a unit failed.
type reasonType string

const (
	reasonExitCode          reasonType = "exit_code"
	reasonSignal            reasonType = "signal"
	reasonStartTimeout      reasonType = "start_timeout"
	reasonStopTimeout       reasonType = "stop_timeout"
	reasonHealth            reasonType = "health_check_failed"
	reasonDependencyFailed  reasonType = "dependency_failed"
	reasonSpawnError        reasonType = "spawn_error"
	reasonMissingDependency reasonType = "missing_dependency"
)

// failureReason is why a unit is failed. Type names which of the other fields count.
type failureReason struct {
	Type       reasonType `json:"type"`
	Code       *int       `json:"code"` // nil: adopted, and nobody could learn its exit status
	Signal     int        `json:"signal"`
	Name       string     `json:"name"` // of the signal
	Core       bool       `json:"core"`
	OOM        bool       `json:"oom,omitempty"` // memory had run out: known where it has a control group
	Attempts   int        `json:"attempts"`
	LastError  string     `json:"last_error"`
	Service    string     `json:"service"`
	Message    string     `json:"message"`   // of stop_timeout: what limit it was, if not its own
	NotFound   bool       `json:"not_found"` // of spawn_error: the program is not there
	Dependency string     `json:"dependency"`
}

// reasonRows are the types of reasons with the members that each has in results and events, in the order of the types.
var reasonRows = [...]struct {
	kind    reasonType
	members []string
}{
	{reasonDependencyFailed, []string{"service"}},
	{reasonExitCode, []string{"code"}},
	{reasonHealth, []string{"attempts", "last_error"}},
	{reasonMissingDependency, []string{"dependency"}},
	{reasonSignal, []string{"signal", "name", "core", "oom"}},
	{reasonSpawnError, []string{"message"}},
	{reasonStartTimeout, nil},
	{reasonStopTimeout, []string{"message"}},
}

// wireReason is a reason as clients get it: with the members of its type, and no others.
type wireReason failureReason

func (r *wireReason) String() string { return (*failureReason)(r).String() }

func (r *wireReason) MarshalJSON() ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(appendJSON(nil, (*failureReason)(r)), &members); err != nil {
		return nil, err
	}
	b := fmt.Appendf(nil, `{"type":%s`, members["type"])
	for _, row := range reasonRows {
		for _, m := range row.members {
			if row.kind == r.Type && members[m] != nil {
				b = fmt.Appendf(b, `,"%s":%s`, m, members[m])
			}
		}
	}
	return append(b, '}'), nil
}

// String is the sentence that people read.
func (r *failureReason) String() string {
	switch r.Type {
	case reasonExitCode:
		if r.Code == nil {
			return "ended with an exit status that nobody could learn"
		}
		return fmt.Sprintf("exit code %d", *r.Code)
	case reasonSignal:
		s := "killed by " + signalName(r.Signal)
		if r.Core {
			s += " (core dumped)"
		}
		if r.OOM {
			s += " (out of memory)"
		}
		return s
	case reasonStartTimeout:
		return "was not ready within its start timeout"
	case reasonStopTimeout:
		if r.Message != "" {
			return r.Message
		}
		return "did not stop within its stop timeout and was killed"
	case reasonHealth:
		if r.Attempts <= 1 {
			return "failed its health check: " + r.LastError
		}
		return fmt.Sprintf("failed %d health checks in a row: %s", r.Attempts, r.LastError)
	case reasonDependencyFailed:
		return "requires " + r.Service + ", which failed"
	case reasonMissingDependency:
		return "requires " + r.Dependency + ", which does not exist"
	case reasonSpawnError:
		return "could not be started: " + r.Message
	}
	return string(r.Type)
}

// bulkFailure is what a bulk operation could not do to one unit.
type bulkFailure struct {
	Name    string `json:"name"`
	Message string `json:"message"`
}

// whyKind says what one link of the chain of reasons is. Those of a blocker are the first nine.
type whyKind string

const (
	whyRequires      whyKind = "requires"
	whyBinds         whyKind = "binds"
	whyAfter         whyKind = "after"
	whyConflicts     whyKind = "conflicts"
	whyMissing       whyKind = "missing"
	whyFailed        whyKind = "failed"
	whyMount         whyKind = "mount"
	whyPort          whyKind = "port"
	whyProcessFilter whyKind = "process_filter"
	whyCondition     whyKind = "condition"
	whyRestartDelay  whyKind = "restart_delay"
	whyWish          whyKind = "wish"
)

// whyReason is one link of the chain from a unit down to the causes of its state.
type whyReason struct {
	Type    whyKind `json:"type"`
	Service string  `json:"service"`
	State   string  `json:"state"`
	Detail  string  `json:"detail"` // for people
}

// treeNode is one unit in the tree of what needs what. Truncated says that there is more below it.
type treeNode struct {
	Name      string     `json:"name"`
	State     string     `json:"state"`
	Kind      string     `json:"kind"`
	Children  []treeNode `json:"children"`            // what it requires
	Truncated bool       `json:"truncated,omitempty"` // there is more below it
}

// edge is one dependency in a drawing of the graph.
type edge struct {
	From string `json:"from"`
	To   string `json:"to"`
	Type string `json:"type"`
}

type outlineNode struct {
	Name  string   `json:"name"`
	Kind  unitKind `json:"kind"`
	State state    `json:"state"`
}

// reloadResult is what a reload did.
type reloadResult struct {
	Added     []string  `json:"added"`
	Removed   []string  `json:"removed"`
	Changed   []string  `json:"changed"` // whose file changed
	Unchanged []string  `json:"unchanged"`
	Restarted []string  `json:"restarted"` // with the parameter restart
	Errors    []problem `json:"errors"`
	Warnings  []problem `json:"warnings"`
}
