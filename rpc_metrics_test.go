// rpc_metrics_test.go tests what collectors get.

//go:build linux

package main

import (
	"regexp"
	"strings"
	"testing"
)

// TestMetrics: one call has the numbers of all services, in the form of OpenMetrics.
func TestMetrics(t *testing.T) {
	s := startServer(t, map[string]string{
		"web":  "[service]\nexec = [\"/bin/sh\", \"-c\", \"echo one; echo two >&2; exec sleep 1000\"]\n",
		"once": "[service]\nexec = \"/bin/sh -c 'exit 3'\"\n[lifecycle]\nmax_restarts = 2\nrestart_delay_ms = 1\n",
		"idle": "[service]\nexec = \"sleep 1000\"\nstatus = \"stop\"\n",
	})
	s.is("running", "web")
	eventually(t, "once has given up", func() bool { return strings.Contains(s.ok("why", "once"), "max_restarts = 2 is used up") })
	eventually(t, "web has said it", func() bool { return strings.Count(s.ok("logs", "web"), "\n") == 2 })
	text := s.ok("metrics")
	says(t, text, "zinit_info{version=\""+version+"\",mode=\"standalone\"} 1\n",
		`zinit_service_state{service="web",state="running"} 1`+"\n", `zinit_service_state{service="web",state="failed"} 0`+"\n", `zinit_service_state{service="once",state="failed"} 1`+"\n",
		`zinit_service_wanted{service="idle"} 0`+"\n", `zinit_service_restarts_total{service="once"} 2`+"\n", `zinit_service_exits_total{service="once"} 3`+"\n",
		`zinit_service_log_lines_total{service="web"} 2`+"\n", `zinit_service_log_lost_lines_total{service="web"} 0`+"\n", "zinit_console_lost_lines_total 0\n")
	if !strings.HasSuffix(text, "\n# EOF\n") || strings.Contains(text, `cpu_seconds_total{service="idle"}`) {
		t.Errorf("the end, or a process that is none:\n%s", text)
	}
	line := regexp.MustCompile(`^(# (TYPE|UNIT|HELP) zinit[a-z_]* .+|# EOF|zinit[a-z_]*(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+)$`)
	seen := map[string]bool{}
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		if !line.MatchString(l) {
			t.Errorf("a line is %q", l)
		}
		sample, _, _ := strings.Cut(l, " ")
		if seen[sample] && sample != "#" {
			t.Errorf("%s is there twice", sample)
		}
		seen[sample] = true
	}
	memory := regexp.MustCompile(`zinit_service_memory_bytes\{service="web"\} ([1-9][0-9]{3,})\n`)
	if !memory.MatchString(text) {
		t.Errorf("no memory of web in\n%s", text)
	}
}
