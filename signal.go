// signal.go has the names and numbers of signals; it sends none and does not say what one means.

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// commonSignals are those that people send.
var commonSignals = []string{"TERM", "HUP", "INT", "QUIT", "USR1", "USR2", "KILL", "STOP", "CONT"}

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
	if n := slices.Index(names, word); n > 0 {
		return n, nil
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
