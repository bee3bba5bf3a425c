// wire_logs.go declares a line of a log and its stream, as the server sends it and the client reads it.

package main

import (
	"slices"
	"sort"
)

// logLine is one line of a service, in valid UTF-8.
type logLine struct {
	Seq     uint64    `json:"seq"` // grows by 1 over all services
	TimeMS  int64     `json:"time_ms"`
	Service string    `json:"service"`
	Stream  logStream `json:"stream"`
	Text    string    `json:"text"`
}

// logStream is where a line came from.
type logStream string

const (
	streamStdout logStream = "stdout"
	streamStderr logStream = "stderr"
	streamSyslog logStream = "syslog"
)

// streams are all of them, each at its number in the ring.
var streams = [...]logStream{streamStdout, streamStderr, streamSyslog}

var streamWords = []string{string(streamStdout), string(streamStderr), string(streamSyslog)}

// newestOf is the newest of the lines, at most so many, the oldest first.
func newestOf(lines []logLine, most int) []logLine {
	lines = slices.Clone(lines)
	sort.Slice(lines, func(i, j int) bool { return lines[i].Seq < lines[j].Seq })
	return lines[max(0, len(lines)-most):]
}
