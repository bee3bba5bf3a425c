// config_together.go checks what several keys of one file say together, and warns of what is probably not meant; a single value is checked in config_value.go, the graph of all in config_cycles.go.

package main

import (
	"slices"
	"strconv"
	"strings"
)

// checkTogether looks at what several keys say together.
func (r *reader) checkTogether(tree map[string]any) {
	c := r.c
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
		r.checkHealth(health)
	}
	if c.Service.TTY != "" && c.Service.Stdin == stdinFromPipe {
		r.fail(true, []string{"service", "tty"}, "%s", "with `tty` the terminal is its stdin; take `stdin` out")
	}
	if c.Service.Expand {
		r.checkReferences()
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
	}{{"requires", d.Requires}, {"after", d.After}, {"wants", d.Wants}, {"binds", d.Binds}} {
		if i := slices.Index(list.names, self); i >= 0 && self != "" {
			r.fail(true, element(list.key, i), "%s depends on itself: dependency cycle: %s -> %s; take it out of `%s`", self, self, self, list.key)
		}
	}
	for i, name := range d.Conflicts {
		switch {
		case name == self:
			r.fail(true, element("conflicts", i), "%s conflicts with itself: %s -> %s; take it out of `conflicts`", self, self, self)
		case slices.Contains(d.needed(), name):
			r.fail(true, element("conflicts", i), "%s both requires and conflicts with %s: %s -> %s -> %s; take it out of one of the lists", self, name, self, name, self)
		}
	}
}

// warnings are about what is allowed and probably not meant.
func (r *reader) warnings(lifecycle map[string]any) {
	c, l := r.c, r.c.Lifecycle
	if c.Service.Oneshot && l.Restart == restartAlways {
		r.warn([]string{"lifecycle", "restart"}, "a oneshot with restart = \"always\" runs again for ever and never satisfies what requires it")
	}
	if l.RestartDelayMax < l.RestartDelay {
		r.warn([]string{"lifecycle", "restart_delay_ms"}, "restart_delay_ms (%d) is more than restart_delay_max_ms (%d): the delay does not grow, and is always the first", l.RestartDelay.Milliseconds(), l.RestartDelayMax.Milliseconds())
	}
	if list, set := lifecycle["success_codes"].([]any); set && len(list) == 0 {
		r.warn([]string{"lifecycle", "success_codes"}, "with no success_codes every exit counts as a failure")
	}
	if isPipe(c.Service.Exec.Line) {
		r.warn([]string{"service", "exec"}, "the exit code of a pipe is that of its last program: a failure of the others is not seen, and what zinit starts, signals and restarts is the shell; [logging] has files and formats of its own")
	}
	if l.ReadyAfter > 0 && (c.Health != nil || c.Service.Oneshot) {
		r.warn([]string{"lifecycle", "ready_after_ms"}, "ready_after_ms does nothing with [health], and for a oneshot")
	}
	if c.Service.Oneshot && c.Service.PIDFile != "" {
		r.warn([]string{"service", "pid_file"}, "pid_file does nothing for a oneshot, which has no main process after its end")
	}
	if c.Service.KillOthers && c.Service.ProcessFilter == "" {
		r.warn([]string{"service", "kill_others"}, "kill_others does nothing without process_filter")
	}
	for _, p := range []struct{ section, key, path string }{
		{"service", "dir", c.Service.Dir},
		{"logging", "file", c.Logging.File},
	} {
		if p.path != "" && p.path[0] != '/' && !(c.Service.Expand && p.path[0] == '$') {
			r.warn([]string{p.section, p.key}, "`%s` is relative: it counts from the directory in which the server was started", p.key)
		}
	}
	for i, path := range c.Service.EnvFiles {
		if !strings.HasPrefix(strings.TrimPrefix(path, "-"), "/") {
			r.warn([]string{"service", "env_file", strconv.Itoa(i)}, "`env_file` %s is relative: it counts from the directory in which the server was started", quoted(path))
		}
	}
}
