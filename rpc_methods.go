// rpc_methods.go is the table of methods: names, parameters, results, errors and help of each; which of them clients that may only read can call is in wire_methods.go. A method stands here, with its handler, and nowhere else.

//go:build !windows

package main

import (
	"slices"
	"strings"
)

type kinds []errorKind

// rpcMethod is one method: everything that dispatch, help and rpc.discover know of it.
type rpcMethod struct {
	name   string
	waits  bool // may take long; then it does not hold up the requests after it
	doc    string
	params string // their keys in rpcParams, in order
	result any    // a value of the result's type
	sends  string // the notification that it subscribes to, of rpcNotes
	errors kinds  // besides invalid_params and permission_denied
	handle func(q *rpcCall) (any, error)
	takes  []*rpcParam // what params names
}

// rpcParam is one parameter of a method. kind is string, bool, integer, strings, signal (a name or number) or config.
type rpcParam struct {
	key        string // in rpcMethod.params; "": the name
	name, kind string
	required   bool
	preset     any      // the default; nil: none
	among      []string // allowed values of a string
	doc        string
}

// rpcParams are the parameters of all methods. The key is the name, unless methods differ in what they mean by that name.
// This table and the next are almost entirely static data, so that the program starts fast.
var rpcParams = []rpcParam{
	{name: "name", kind: "string", required: true, doc: "the service or target"},
	{key: "root", name: "name", kind: "string", doc: "the unit to begin with; absent: all"},
	{key: "proxy", name: "name", kind: "string", required: true, doc: "the proxy"},
	{name: "config", kind: "config", required: true, doc: "the configuration, with the sections and keys of the TOML file"},
	{key: "proxy_config", name: "config", kind: "config", required: true, doc: "the proxy: the section [xinet] as in the file, or its keys alone"},
	{name: "persist", kind: "bool", preset: false, doc: "also write its file, so that it is there after the next start of the server"},
	{name: "text", kind: "string", doc: "the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config"},
	{key: "line", name: "text", kind: "string", required: true, doc: "what to write; a newline follows"},
	{name: "force", kind: "bool", preset: false, doc: "also when others require it"},
	{name: "restart", kind: "bool", preset: false, doc: "restart the services whose configuration changed"},
	{name: "tree", kind: "bool", preset: false, doc: "also what it requires and wants"},
	{name: "wait", kind: "bool", preset: false, doc: "answer when it is done, not at once"},
	{name: "timeout_ms", kind: "integer", doc: "how long to wait; absent or 0: as long as it takes"},
	{name: "state", kind: "string", preset: running.String(), among: stateNames[:], doc: "the state to wait for"},
	{name: "signal", kind: "signal", preset: "SIGTERM", doc: "name, with or without SIG, or number"},
	{name: "group", kind: "bool", preset: false, doc: "to all processes of the service, not only to the main one"},
	{name: "binary", kind: "string", doc: "its path; absent: the server's own"},
	{key: "drawing", name: "format", kind: "string", preset: "dot", among: drawingFormats, doc: "the language of the drawing"},
	{key: "analysis", name: "format", kind: "string", preset: "json", among: []string{"json", "text"}, doc: "data, or a text for people"},
	{name: "services", kind: "strings", doc: "only these services; absent or empty: all"},
	{name: "types", kind: "strings", among: changeTypes, doc: "only events of these types; absent: all"},
	{name: "delay_ms", kind: "integer", doc: "not now but after this time; a planned shutdown takes the place of one that was planned before"},
	{name: "message", kind: "string", doc: "told on the console and the terminals of those who are logged in, when it is planned"},
	{name: "cancel", kind: "bool", preset: false, doc: "give up the shutdown that is planned; no error when none is"},
	{name: "subscription", kind: "integer", required: true, doc: "its number"},
	{name: "service", kind: "string", doc: "only this service"},
	{name: "stream", kind: "string", among: streamWords, doc: "only this stream"},
	{name: "since_ms", kind: "integer", doc: "ms since the epoch"},
	{name: "until_ms", kind: "integer", doc: "ms since the epoch"},
	{name: "contains", kind: "string", doc: "text that the line contains"},
	{name: "lines", kind: "integer", preset: 100, doc: "the newest lines, at most this many"},
	{key: "lines_10", name: "lines", kind: "integer", preset: 10, doc: "the newest lines, at most this many"},
	{key: "lines_1000", name: "lines", kind: "integer", preset: 1000, doc: "the newest lines, at most this many"},
}

// rpcMethods is the list of all methods. A new one is a row here and nothing elsewhere but its handler.
var rpcMethods = []rpcMethod{
	{name: "rpc.discover", doc: "describes all methods as an OpenRPC document", result: document(nil), handle: doDiscover},
	{name: "system.ping", doc: "answers when the server is alive", result: pingResult{}, handle: doPing},
	{name: "system.info", doc: "what works here and what does not", result: infoResult{}, handle: doInfo},
	{name: "system.metrics", doc: "numbers of all services as OpenMetrics text", result: textResult{}, handle: doMetrics},
	{name: "system.shutdown", doc: "stops all services and ends the server; as PID 1 of a machine: powers off", params: "delay_ms message cancel", result: okResult{}, errors: kinds{kindNotSupported}, handle: doPower},
	{name: "system.reboot", doc: "reboots the machine", params: "delay_ms message", result: okResult{}, errors: kinds{kindNotSupported}, handle: doPower},
	{name: "system.poweroff", doc: "powers the machine off", params: "delay_ms message", result: okResult{}, errors: kinds{kindNotSupported}, handle: doPower},
	{name: "system.halt", doc: "halts the machine", params: "delay_ms message", result: okResult{}, errors: kinds{kindNotSupported}, handle: doPower},
	{name: "system.prepare_restart", doc: "saves the state and ends the server; the services go on", result: restartResult{}, errors: kinds{kindShuttingDown, kindNotSupported}, handle: doPrepareRestart},
	{name: "system.upgrade", waits: true, doc: "goes over to a new binary; the services go on", params: "binary", result: upgradeResult{},
		errors: kinds{kindShuttingDown, kindNotSupported, kindProcessError, kindInvalidState, kindTimeout}, handle: doUpgrade},
	{name: "debug.state", doc: "everything that the server knows", result: debugResult{}, handle: doDebugState},
	{name: "debug.process_tree", doc: "all processes of all services", result: processResult{}, handle: doProcessTree},
	{name: "boot.analyze", doc: "how long each service took to start, and the critical chain", params: "analysis", result: eitherOf{bootResult{}, textResult{}}, handle: doBootAnalyze},
	{name: "events.subscribe", doc: "sends an `event` notification for each change from now on", params: "services types", result: subscribeResult{}, sends: "event", handle: doSubscribe},
	{name: "events.unsubscribe", doc: "ends a subscription of events.subscribe or logs.follow on this connection", params: "subscription", result: okResult{}, handle: doUnsubscribe},

	{name: "service.create", doc: "adds a new service, and starts it when its status says so", params: "config persist text", result: putResult{}, errors: createErrors, handle: doCreate},
	{name: "service.add", doc: "adds a new service, and starts it when its status says so", params: "config persist text", result: putResult{}, errors: createErrors, handle: doCreate},
	{name: "service.delete", waits: true, doc: "stops a service, waits until it is gone and deletes its file", params: "name force", result: okResult{}, errors: deleteErrors, handle: doDelete},
	{name: "service.remove", waits: true, doc: "stops a service, waits until it is gone and deletes its file", params: "name force", result: okResult{}, errors: deleteErrors, handle: doDelete},
	{name: "service.register", doc: "adds a new service and writes its file", params: "config text", result: putResult{}, errors: createErrors, handle: doRegister},
	{name: "service.monitor", doc: "adds a new service without a file", params: "config", result: putResult{}, errors: createErrors, handle: doMonitor},
	{name: "service.set", doc: "adds or replaces a service and writes its file; if it runs it is restarted", params: "config text", result: putResult{}, errors: setErrors, handle: doSet},
	{name: "service.update", doc: "replaces a service, and its file if it has one; if it runs it is restarted", params: "config text", result: putResult{}, errors: append(kinds{kindServiceNotFound}, setErrors...), handle: doUpdate},
	{name: "service.get", doc: "the configuration of a service, defaults filled in", params: "name", result: configValue(nil), errors: kinds{kindServiceNotFound}, handle: doGet},
	{name: "service.check", doc: "what service.set would say about a configuration; changes nothing", params: "config", result: checkResult{}, handle: doCheck},
	{name: "service.reload", doc: "reads the directories again", params: "restart", result: reloadResult{}, errors: kinds{kindShuttingDown}, handle: doReload},

	{name: "service.list", doc: "the names of all services, sorted", result: []string(nil), handle: doList},
	{name: "service.list_full", doc: "all services, sorted by name", result: []serviceStatusFull{}, handle: doListFull},
	{name: "service.status", doc: "the state of a service", params: "name", result: serviceStatus{}, errors: kinds{kindServiceNotFound}, handle: doStatus},
	{name: "service.status_full", doc: "the state of a service, with resources and what its file says", params: "name", result: serviceStatusFull{}, errors: kinds{kindServiceNotFound}, handle: doStatusFull},
	{name: "service.stats", doc: "the resources of a service: of its main process, and of each of its descendants", params: "name", result: statsResult{}, errors: kinds{kindServiceNotFound}, handle: doStats},
	{name: "service.children", doc: "the descendants of a service's main process", params: "name", result: []childProcess(nil), errors: kinds{kindServiceNotFound}, handle: doChildren},
	{name: "service.is_running", doc: "whether a service is running", params: "name", result: false, errors: kinds{kindServiceNotFound}, handle: doIsRunning},
	{name: "service.why", doc: "why a service is in its state, down to the root causes", params: "name", result: whyResult{}, errors: kinds{kindServiceNotFound}, handle: doWhy},
	{name: "service.tree", doc: "what needs what", params: "root", result: treeResult{}, errors: kinds{kindServiceNotFound}, handle: doTree},
	{name: "service.graph", doc: "the graph as a drawing for other programs", params: "drawing", result: textResult{}, handle: doGraph},

	{name: "service.start", waits: true, doc: "starts a service and keeps it up; with wait it answers when the service is running, exited or failed, or blocked until a person acts",
		params: "name tree wait timeout_ms", result: stateResult{}, errors: actionErrors, handle: doStart},
	{name: "service.stop", waits: true, doc: "stops a service, those that require it first", params: "name wait timeout_ms", result: stateResult{}, errors: actionErrors, handle: doStop},
	{name: "service.restart", waits: true, doc: "stops and starts a service", params: "name wait timeout_ms", result: stateResult{}, errors: actionErrors, handle: doRestart},
	{name: "service.kill", doc: "sends a signal to the main process of a service, or to all of it; the wish stays", params: "name signal group", result: okResult{},
		errors: kinds{kindServiceNotFound, kindServiceIsDown, kindInvalidSignal, kindProcessError}, handle: doKill},
	{name: "service.send", doc: "writes a text and a newline to the stdin of a service that has stdin = \"pipe\"; up to 4095 bytes are written whole or not at all", params: "name line", result: okResult{},
		errors: kinds{kindServiceNotFound, kindServiceIsDown, kindInvalidState, kindProcessError}, handle: doSend},
	{name: "service.wait", waits: true, doc: "waits until a service is in a state; answers at once when it is blocked until a person acts",
		params: "name state timeout_ms", result: waitResult{}, errors: kinds{kindServiceNotFound, kindTimeout}, handle: doWait},
	{name: "service.start_all", doc: "starts all services of class user", result: bulkResult{}, errors: kinds{kindShuttingDown}, handle: doStartAll},
	{name: "service.stop_all", doc: "stops all services of class user", result: bulkResult{}, handle: doStopAll},
	{name: "service.delete_all", waits: true, doc: "deletes all services of class user, and their files", result: bulkResult{}, errors: kinds{kindShuttingDown}, handle: doDeleteAll},

	{name: "logs.get", doc: "the newest lines of a service as texts", params: "name lines", result: textList(nil), errors: kinds{kindServiceNotFound}, handle: doLogsGet},
	{name: "logs.tail", doc: "the newest lines of a service", params: "name lines", result: []logLine(nil), errors: kinds{kindServiceNotFound}, handle: doLogsTail},
	{name: "logs.filter", doc: "the newest lines that match, of all services in the order of time",
		params: "service stream since_ms until_ms contains lines_1000", result: []logLine(nil), errors: kinds{kindServiceNotFound}, handle: doLogsFilter},
	{name: "logs.follow", doc: "sends the newest lines and then each new one as a `log` notification", params: "services stream lines_10", result: subscribeResult{}, sends: "log", handle: doLogsFollow},

	{name: "xinet.create", doc: "adds a proxy, without a file", params: "proxy_config", result: okResult{}, errors: xinetPutErrors, handle: doXinetCreate},
	{name: "xinet.register", doc: "adds a proxy, or replaces one, and its file if it has one", params: "proxy_config", result: okResult{}, errors: xinetPutErrors, handle: doXinetRegister},
	{name: "xinet.delete", doc: "removes a proxy, and its file; its service stays as it is", params: "proxy", result: okResult{}, errors: kinds{kindXinetError, kindServiceFileError}, handle: doXinetDelete},
	{name: "xinet.unregister", doc: "removes a proxy, and its file; its service stays as it is", params: "proxy", result: okResult{}, errors: kinds{kindXinetError, kindServiceFileError}, handle: doXinetDelete},
	{name: "xinet.get", doc: "the configuration of a proxy", params: "proxy", result: configValue(nil), errors: xinetErrors, handle: doXinetGet},
	{name: "xinet.list", doc: "the names of all proxies", result: []string(nil), handle: doXinetList},
	{name: "xinet.status", doc: "the state of a proxy", params: "proxy", result: xinetStatus{}, errors: xinetErrors, handle: doXinetStatus},
	{name: "xinet.status_all", doc: "the state of all proxies", result: []xinetStatus(nil), handle: doXinetStatusAll},
}

// rpcNotes are the notifications that subscriptions send.
var rpcNotes = []struct {
	name, doc string
	params    any // a value of their type
}{
	{"event", "a change of a service", serviceEvent{}},
	{"log", "a line that a service wrote", logNote{}},
}

// The errors of methods that are alike.
var (
	createErrors = kinds{kindConfigError, kindAlreadyExists, kindDependencyError, kindServiceFileError, kindShuttingDown}
	setErrors    = kinds{kindConfigError, kindDependencyError, kindServiceFileError, kindInvalidState, kindShuttingDown}
	deleteErrors = kinds{kindServiceNotFound, kindDependencyError, kindServiceFileError, kindInvalidState}
	actionErrors = kinds{kindServiceNotFound, kindInvalidState, kindShuttingDown, kindTimeout}
	xinetErrors  = kinds{kindXinetError}
	// of those that make or change a proxy
	xinetPutErrors = kinds{kindConfigError, kindAlreadyExists, kindXinetError, kindServiceFileError, kindShuttingDown}
)

// resolve finds what params names.
func (m *rpcMethod) resolve() {
	for _, key := range strings.Fields(m.params) {
		i := slices.IndexFunc(rpcParams, func(p rpcParam) bool { return p.key == key || p.key == "" && p.name == key })
		m.takes = append(m.takes, &rpcParams[i])
	}
}

// signature shows the parameters for people.
func (m *rpcMethod) signature() string {
	if len(m.takes) == 0 {
		return "no parameters"
	}
	var words []string
	for _, p := range m.takes {
		word := p.name
		if !p.required {
			word += "?"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}
