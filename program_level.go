// program_level.go names the levels and formats of the server's own log.

package main

import (
	"fmt"
	"slices"
	"strings"
)

// logLevel is the weight of a message in the server's own log; zero is info.
type logLevel int32

const (
	logDebug logLevel = iota - 1
	logInfo
	logWarn
	logError
)

var levelNames = [...]string{"debug", "info", "warn", "error"}

func (l logLevel) String() string { return levelNames[l-logDebug] }

// ownLogFormats are how the server's own log can look.
var ownLogFormats = []string{"text", "json"}

func parseLogLevel(name string) (logLevel, error) {
	i := slices.Index(levelNames[:], name)
	if i < 0 {
		return logInfo, fmt.Errorf("unknown log level %q; use %s or %s", name, strings.Join(levelNames[:len(levelNames)-1], ", "), levelNames[len(levelNames)-1])
	}
	return logLevel(i) + logDebug, nil
}
