#!/bin/sh
# Watches a service, and says what it wrote and what can be done whenever it fails. Ctrl-C ends it.
# Usage: monitor_service.sh NAME
set -eu
name=${1:?usage: monitor_service.sh NAME}

zinit is-running "$name" || true
zinit monitor "$name" | while read -r time service from arrow to rest; do
	echo "$time $service $from $arrow $to $rest"
	if [ "$to" = failed ]; then
		zinit logs -n 5 "$name"
		zinit why "$name"
	fi
done
