#!/bin/sh
# Lists all services: a table for people, then one line for each for programs.
# Usage: list_services.sh          (ZINIT_SOCKET says which server; `zinit` must be in PATH)
set -eu

zinit list

echo
echo "running now:"
for name in $(zinit call service.list | tr -d '[]",'); do
	if zinit is-running "$name" >/dev/null; then # exit code 0: running, 3: not
		echo "  $name"
	fi
done
