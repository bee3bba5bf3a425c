// rpc_metrics.go answers system.metrics: numbers of all services as OpenMetrics text, for those who collect them.

//go:build !windows

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// metric is one family of numbers (OpenMetrics 1.0): a value for each service, or several with a further label. The text of a counter has the suffix _total.
type metric struct {
	name, kind, unit, help string
	of                     func(m *measured, add func(label string, value float64))
}

// measured is what is known of one service.
type measured struct {
	serviceStatusFull
	exits uint64
	cpu   time.Duration // of the main process
	lines uint64
	lost  uint64
}

// serviceMetrics are the families with a value for each service.
var serviceMetrics = []metric{
	{"zinit_service_state", "gauge", "", "1 for the present state, 0 for the others", func(m *measured, add func(string, float64)) {
		for _, name := range stateNames {
			add(`,state="`+name+`"`, oneIf(m.State.String() == name))
		}
	}},
	{"zinit_service_wanted", "gauge", "", "1 if it is to be up", func(m *measured, add func(string, float64)) { add("", oneIf(m.Wish == "up")) }},
	{"zinit_service_restarts", "counter", "", "automatic restarts since the last start request", func(m *measured, add func(string, float64)) { add("", float64(m.RestartCount)) }},
	{"zinit_service_exits", "counter", "", "ends of its main process, of whatever kind", func(m *measured, add func(string, float64)) { add("", float64(m.exits)) }},
	{"zinit_service_start_time_seconds", "gauge", "seconds", "last start, seconds since 1970", func(m *measured, add func(string, float64)) {
		if m.LastStart != 0 {
			add("", float64(m.LastStart)/1000)
		}
	}},
	{"zinit_service_cpu_seconds", "counter", "seconds", "processor time of the main process", func(m *measured, add func(string, float64)) {
		if m.PID != 0 {
			add("", m.cpu.Seconds())
		}
	}},
	{"zinit_service_memory_bytes", "gauge", "bytes", "resident memory of the main process", func(m *measured, add func(string, float64)) {
		if m.PID != 0 {
			add("", float64(m.MemoryBytes))
		}
	}},
	{"zinit_service_log_lines", "counter", "", "lines in its log", func(m *measured, add func(string, float64)) { add("", float64(m.lines)) }},
	{"zinit_service_log_lost_lines", "counter", "", "lines that its log file could not take", func(m *measured, add func(string, float64)) { add("", float64(m.lost)) }},
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func doMetrics(q *rpcCall) (any, error) {
	s := q.core()
	var all []measured
	s.view(func(g *graph, now time.Time) {
		all = make([]measured, len(g.names()))
		for i, n := range g.names() {
			fillFull(&all[i].serviceStatusFull, g, g.unit(n), now)
			all[i].exits = g.unit(n).exits
		}
	})
	lines, lost, console := s.logs.counts()
	for i := range all {
		m := &all[i]
		m.measure(false)
		m.lines, m.lost = lines[m.Name], lost[m.Name]
		if st, err := readStat(m.PID); m.PID != 0 && err == nil {
			m.cpu = st.CPU
		}
	}
	var b strings.Builder
	writeHead(&b, metric{name: "zinit", kind: "info", help: "the server"})
	fmt.Fprintf(&b, "zinit_info{version=\"%s\",mode=\"%s\"} 1\n", version, s.mode)
	writeHead(&b, metric{name: "zinit_start_time_seconds", kind: "gauge", unit: "seconds", help: "start of the server, seconds since 1970"})
	fmt.Fprintf(&b, "zinit_start_time_seconds %s\n", metricValue(float64(presentTime(s.begun, time.Now()).UnixMilli())/1000))
	writeHead(&b, metric{name: "zinit_console_lost_lines", kind: "counter", help: "lines that were not read in time from the output of the server"})
	fmt.Fprintf(&b, "zinit_console_lost_lines_total %d\n", console)
	for _, f := range serviceMetrics {
		writeHead(&b, f)
		sample := f.name
		if f.kind == "counter" {
			sample += "_total"
		}
		for i := range all {
			m := &all[i]
			f.of(m, func(label string, value float64) {
				fmt.Fprintf(&b, "%s{service=\"%s\"%s} %s\n", sample, m.Name, label, metricValue(value))
			})
		}
	}
	b.WriteString("# EOF\n")
	return &textResult{Text: b.String()}, nil
}

func writeHead(b *strings.Builder, f metric) {
	fmt.Fprintf(b, "# TYPE %s %s\n", f.name, f.kind)
	if f.unit != "" {
		fmt.Fprintf(b, "# UNIT %s %s\n", f.name, f.unit)
	}
	fmt.Fprintf(b, "# HELP %s %s\n", f.name, f.help)
}

func metricValue(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
