// signal_test.go tests the names and numbers of signals.

//go:build unix

package main

import (
	"runtime"
	"testing"
)

func TestSignals(t *testing.T) {
	for _, row := range []struct {
		word, name string
	}{
		{"TERM", "SIGTERM"}, {"SIGTERM", "SIGTERM"}, {"sigterm", "SIGTERM"}, {"15", "SIGTERM"}, {"9", "SIGKILL"}, {"SIGCLD", "SIGCHLD"}, {"usr1", "SIGUSR1"}, {"WINCH", "SIGWINCH"},
	} {
		n, err := parseSignal(row.word)
		if err != nil || signalName(n) != row.name {
			t.Errorf("%s is %s (%v), want %s", row.word, signalName(n), err, row.name)
		}
	}
	for _, word := range []string{"", "0", "-1", "65", "SIGFOO", "RTMIN+31", "RTMAX+1", "RTMINx", "SIG", "-", "SIG-", "TERM "} {
		if n, err := parseSignal(word); err == nil {
			t.Errorf("%q is accepted as signal %d", word, n)
		}
	}
	if runtime.GOOS != "linux" {
		return
	}
	for word, want := range map[string]int{"HUP": sigHup, "INT": sigInt, "USR1": sigUsr1, "USR2": sigUsr2, "PIPE": sigPipe, "CHLD": sigChld, "CONT": sigCont, "STOP": sigStop,
		"TSTP": sigTstp, "TTIN": sigTtin, "TTOU": sigTtou, "URG": sigUrg, "PROF": sigProf, "PWR": sigPwr, "RTMIN": sigRtmin, "RTMAX": sigRtmax} {
		if n, err := parseSignal(word); err != nil || n != want {
			t.Errorf("%s is %d (%v), and %d for the keeper", word, n, err, want)
		}
	}
	for word, want := range map[string]int{"SIGRTMIN": 34, "RTMIN+3": 37, "RTMAX": 64, "SIGRTMAX-1": 63, "SIGPWR": 30, "SYS": 31, "32": 32} {
		if n, err := parseSignal(word); err != nil || n != want {
			t.Errorf("%s is %d (%v), want %d", word, n, err, want)
		}
	}
	for n := 1; n <= 64; n++ {
		if back, err := parseSignal(signalName(n)); err != nil || back != n {
			t.Errorf("signal %d is called %s, which is %d (%v)", n, signalName(n), back, err)
		}
	}
}
