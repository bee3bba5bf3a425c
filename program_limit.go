// program_limit.go says how long a shutdown may take, by flag, environment or default: the keeper, the server and the check of files must agree on it.

package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// noLimit is a shutdown's time without a bound.
const noLimit = 10 * 365 * 24 * time.Hour

// shutdownLimit is the time of a shutdown: as a flag says, else as the environment does, else 30 s, and 8 s in a container, to fit the 10 s of `docker stop`.
// 0 is no limit.
// set says that it is no default.
func shutdownLimit(flag string, container bool) (limit time.Duration, set bool, err error) {
	from := "--shutdown-timeout-ms"
	limit = 30 * time.Second
	if container {
		limit = 8 * time.Second
	}
	if flag == "" {
		flag, from = os.Getenv("ZINIT_SHUTDOWN_TIMEOUT_MS"), "ZINIT_SHUTDOWN_TIMEOUT_MS"
	}
	if flag == "" {
		return limit, false, nil
	}
	n, err := strconv.ParseUint(flag, 10, 63)
	limit = time.Duration(min(n, uint64(noLimit/time.Millisecond))) * time.Millisecond
	switch {
	case err != nil:
		return 0, true, fmt.Errorf("bad %s `%s`: a number of milliseconds", from, flag)
	case n == 0:
		return noLimit, true, nil
	}
	return limit, true, nil
}
