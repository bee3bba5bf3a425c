#!/bin/sh
# Makes a service at run time, looks at it, and takes it away again.
# Usage: create_service.sh [NAME]
set -eu
name=${1:-example}

# From a file, here standard input. `zinit set -` would write it to the services directory, so that it stays.
zinit add - <<TOML
[service]
name = "$name"
exec = 'echo "hello from \$ZINIT_SERVICE"; exec sleep 3600'
description = "made by create_service.sh"

[lifecycle]
restart = "always"
TOML
zinit wait "$name" # until it is running; exit code 3 when it fails
zinit status "$name"
until zinit logs "$name" | grep .; do # it runs already, but may not have written yet
	sleep 0.1
done

# The same in one line, with a dependency. A restart of the first one takes the second along.
zinit create "$name-follower" --requires "$name" -- sleep 3600
zinit restart --wait "$name"
zinit wait "$name-follower"
zinit tree "$name-follower"

zinit delete "$name-follower"
zinit delete "$name"
