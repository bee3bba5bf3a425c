// init_other.go answers `zinit init` where there is no keeper: on every system but Linux.

//go:build !linux

package main

import "errors"

func initMain([]string, []*commandFlag) int {
	errorf("zinit init runs on Linux only")
	hint("zinit server runs services under another init")
	return exitRefused
}

func checkRecord(int, []*commandFlag) error { return errors.New("there is no keeper on this system") }
