// rpc_logs.go answers the methods that read the logs.

//go:build !windows

package main

import "time"

// Bounds of one answer with log lines; the newest are kept.
const (
	logLinesMax = 1 << 20
	logBytesMax = rpcAnswerMax
)

func newestAnswer(lines []logLine) []logLine {
	size := 0
	for i := len(lines) - 1; i >= 0; i-- {
		if size += len(lines[i].Text) + 128; size > logBytesMax {
			return lines[i+1:]
		}
	}
	return listed(lines)
}

// lines is the parameter lines, within bounds.
func (q *rpcCall) lines() int { return int(min(q.num("lines"), logLinesMax)) }

// hasLog refuses the log of a service that is unknown.
func (q *rpcCall) hasLog(name string) error {
	if name == syslogName {
		return nil
	}
	return q.lookAt(name, func(*graph, *unit, time.Time) {})
}

func (q *rpcCall) tailLines() ([]logLine, error) {
	if err := q.hasLog(q.str("name")); err != nil {
		return nil, err
	}
	return newestAnswer(q.core().logs.tail(q.str("name"), q.lines())), nil
}

func doLogsTail(q *rpcCall) (any, error) {
	list, err := q.tailLines()
	return &list, err
}

func doLogsGet(q *rpcCall) (any, error) {
	lines, err := q.tailLines()
	texts := make(textList, len(lines))
	for i := range lines {
		texts[i] = lines[i].Text
	}
	return &texts, err
}

func doLogsFilter(q *rpcCall) (any, error) {
	f := logQuery{Service: q.str("service"), Stream: logStream(q.str("stream")), Contains: q.str("contains"), SinceMS: q.num("since_ms"), UntilMS: q.num("until_ms"),
		Lines: q.lines()}
	if f.Service != "" {
		if err := q.hasLog(f.Service); err != nil {
			return nil, err
		}
	}
	list := newestAnswer(q.core().logs.filter(f))
	return &list, nil
}
