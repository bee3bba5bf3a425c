// config_health.go checks what the keys of [health] say together: which target fits which type, and what a type has no use for; and says of a type how it works.

package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// targetExamples are targets as they are written, by type.
var targetExamples = map[healthType]string{
	healthTCP:  `"localhost:8080" or "/run/app.sock"`,
	healthHTTP: `"http://localhost:8080/health"`,
	healthExec: `"/usr/bin/app --check" or ["/usr/bin/app", "--check"]`,
	healthFD:   "3",
	healthLog:  `"ready to accept connections"`,
}

// checkHealth checks the section [health] as it was written.
func (r *reader) checkHealth(written map[string]any) {
	h := r.c.Health
	_, given := written["target"]
	r.checkProbe(given)
	if !h.tells() {
		return
	}
	if r.c.Service.Oneshot && h.Type != healthNotify {
		r.fail(true, []string{"health", "type"}, "a oneshot is ready when it has ended: it has no health check of type %q", h.Type)
	}
	if _, set := written["interval_ms"]; !set {
		h.Interval = 0
	} else if h.Type != healthNotify && h.Interval > 0 {
		r.warn([]string{"health", "interval_ms"}, "interval_ms does nothing with type %q: it says once that it is ready", h.Type)
	}
}

// checkProbe checks the target of a health check, given or not, against its type.
func (r *reader) checkProbe(given bool) {
	h, at := r.c.Health, []string{"health", "target"}
	written := h.Target != "" || len(h.Exec.Argv) > 0
	example := targetExamples[h.Type]
	switch {
	case h.Type == healthNotify:
		if written {
			r.fail(false, at, "a health check of type \"notify\" has no `target`: the service itself says when it is ready")
		}
		return
	case example == "":
		return // the type was complained about
	case !given:
		r.fail(false, []string{"health"}, "[health] lacks the key `target`: what to look at; for type %q it is like %s", h.Type, example)
		return
	case !written:
		return // what was given was complained about
	}
	var err error
	switch expanded := r.c.isExpanded(h.Target); h.Type {
	case healthExec:
		if h.Target != "" {
			h.Exec, h.Target = execDef{Line: h.Target}, ""
		}
		_, _, err = h.Exec.split()
	case healthTCP:
		if !expanded {
			err = validEndpoint(h.Target)
		}
	case healthHTTP:
		if !expanded {
			_, _, _, err = splitURL(h.Target)
		}
	case healthFD:
		if n, bad := strconv.Atoi(h.Target); bad != nil || n < minReadyFD || n > maxReadyFD {
			err = fmt.Errorf("it is the number of a descriptor from %d to %d", minReadyFD, maxReadyFD)
		}
	case healthLog:
		if strings.ContainsAny(h.Target, "\r\n") {
			err = errors.New("a line contains no line break")
		}
	}
	if len(h.Exec.Argv) > 0 && h.Type != healthExec {
		err = errors.New("a list is a command, which is for type \"exec\" only")
	}
	if err != nil {
		r.fail(true, at, "`target` of type %q: %v; write for example %s", h.Type, err, example)
	}
}

// asked reports whether the check polls the service. With the other types the service reports readiness itself (tells). Without a check both are false.
func (h *healthDef) asked() bool {
	return h != nil && (h.Type == healthTCP || h.Type == healthHTTP || h.Type == healthExec)
}

func (h *healthDef) tells() bool { return h != nil && !h.asked() }

// descriptor is the number under which a service of type fd has the pipe that it writes a newline to.
func (h *healthDef) descriptor() int {
	n, _ := strconv.Atoi(h.Target)
	return n
}

// Numbers that descriptor may be.
const minReadyFD, maxReadyFD = 3, 19

// awaited says for people what makes the service ready.
func (h *healthDef) awaited() string {
	switch h.Type {
	case healthNotify:
		return "its READY=1 (sd_notify)"
	case healthFD:
		return "a newline on its descriptor " + h.Target
	case healthLog:
		return "a line of its output that contains " + quoted(h.Target)
	}
	return "its first health check"
}
