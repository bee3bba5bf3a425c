// init_cmdline_test.go tries the reading of the kernel's command line.

//go:build linux

package main

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestBootWords(t *testing.T) {
	for _, c := range []struct {
		line       string
		want       bootWords
		complaints string
	}{
		{"BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro quiet\n", bootWords{readOnly: true, quiet: true}, ""},
		{"single", bootWords{emergency: true}, ""},
		{"quiet zinit.debug", bootWords{quiet: true, debug: true}, ""},
		{"zinit.shutdown-timeout-ms=5000 zinit.shutdown-timeout-ms=soon", bootWords{shutdownTimeout: "5000"}, "zinit.shutdown-timeout-ms=soon: it must be a number of milliseconds"},
		{"zinit.debug zinit.emergency", bootWords{debug: true, emergency: true}, ""},
		{"zinit.debug=1 zinit.debug=off", bootWords{}, ""},
		{"zinit.config=/etc/a zinit.config=/etc/b", bootWords{config: "/etc/b"}, ""},
		{`zinit.config="/etc/my services" zinit.target=web`, bootWords{config: "/etc/my services", target: "web"}, ""},
		{`"zinit.config=/etc/my services"`, bootWords{config: "/etc/my services"}, ""},
		{"zinit.root=UUID=ab-cd rootfstype=ext4 rootflags=noatime,discard ro rw", bootWords{root: "UUID=ab-cd", rootType: "ext4", rootFlags: "noatime,discard"}, ""},
		{"zinit.watchdog=/dev/watchdog init=/bin/x", bootWords{watchdog: "/dev/watchdog", init: "/bin/x"}, ""},
		{"zinit.power-button=ignore zinit.shutdown-timeout-ms=0", bootWords{powerButton: "ignore", shutdownTimeout: "0"}, ""},
		{"zinit.debug -- zinit.emergency", bootWords{debug: true}, ""},
		{"zinit.targte=web", bootWords{}, "unknown word `zinit.targte`; did you mean `zinit.target`?"},
		{"zinit.qqqqqqqqqqq", bootWords{}, "unknown word `zinit.qqqqqqqqqqq`; there are zinit.debug, zinit.emergency, zinit.config, zinit.target, zinit.root, zinit.watchdog, zinit.power-button, zinit.shutdown-timeout-ms"},
		{"zinit.target=", bootWords{}, "zinit.target needs a value: zinit.target=..."},
	} {
		got, complaints := parseBootWords(c.line)
		if got != c.want || strings.Join(complaints, "\n") != c.complaints {
			t.Errorf("%q:\n got %+v %q\nwant %+v %q", c.line, got, complaints, c.want, c.complaints)
		}
	}
}

// TestShutdownTimeOfTheCommandLine: 0 is no limit, for PID 1 and for the server that it starts.
func TestShutdownTimeOfTheCommandLine(t *testing.T) {
	for word, want := range map[string]time.Duration{"": 30 * time.Second, "0": noLimit, "5000": 5 * time.Second} {
		k := &keeper{opts: keeperOptions{limit: 30 * time.Second}}
		k.obeyCommandLine(bootWords{shutdownTimeout: word})
		if k.opts.limit != want || k.opts.limitSet != (word != "") {
			t.Errorf("%q: %v, set %v", word, k.opts.limit, k.opts.limitSet)
		}
		if got, _, err := shutdownLimit(strconv.FormatInt(k.opts.limit.Milliseconds(), 10), false); err != nil || got != want {
			t.Errorf("%q: the server has %v, %v", word, got, err)
		}
	}
}

func FuzzBootWords(f *testing.F) {
	f.Add(`a=b "c d" zinit.debug --`)
	f.Fuzz(func(t *testing.T, line string) {
		w, _ := parseBootWords(line)
		if w.debug && !strings.Contains(strings.ReplaceAll(line, `"`, ""), "zinit.debug") {
			t.Fatalf("%q asks for no debug", line)
		}
		for _, word := range splitBootLine(line) {
			if strings.Contains(word, `"`) {
				t.Fatalf("a quote is left in %q of %q", word, line)
			}
		}
	})
}
