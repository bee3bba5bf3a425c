#!/bin/sh
# Shows what needs what: as a tree, as Mermaid (for Markdown), and as a picture where Graphviz is installed.
# Usage: dependency_graph.sh [PICTURE.svg]
set -eu

zinit tree
echo
zinit graph --format mermaid
if [ $# -gt 0 ] && command -v dot >/dev/null; then
	zinit graph | dot -Tsvg -o "$1"
	echo "drawn to $1"
fi
