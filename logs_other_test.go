// logs_other_test.go has for other unixes what the tests of logs need from logs_linux_test.go.

//go:build !linux && !windows

package main

import "golang.org/x/sys/unix"

// testDupOver makes the descriptor over a duplicate of fd.
func testDupOver(fd, over int) error { return unix.Dup2(fd, over) }
