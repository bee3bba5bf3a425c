// init.go is the keeper: PID 1, from its first instruction to power-off; it parses no configuration and serves no client.

package main

// initMain is the role of `zinit init`, with the words after that name; it returns the exit code.
func initMain(args []string) int {
	errorf("zinit init is not available in this version")
	hint("zinit server runs services under another init")
	return exitRefused
}
