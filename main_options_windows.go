// main_options_windows.go answers `zinit server` on Windows, where only the client runs.

package main

func cmdServer(c *cli) int {
	if c.has("version") {
		return cmdVersion(c)
	}
	errorf("the server does not run on Windows, only the client does")
	hint("run the server under WSL and pass its socket with --socket")
	return exitRefused
}
