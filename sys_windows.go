// sys_windows.go has what the client needs of Windows; there is no server there.

package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
)

func peerOf(syscall.Conn) peer { return peer{} }

func sysReadRegular(string, int64) ([]byte, bool) { return nil, false }

// terminalSize finds no terminal: output is plain and not cut.
func terminalSize(int) (cols, rows int, ok bool) { return 0, 0, false }

func sysForceDown(string) error { return errors.ErrUnsupported }

func sysAskInit(string) bool { return false }

type termState struct{}

func terminalRaw(int) (*termState, error) { return nil, errors.ErrUnsupported }

func terminalSet(int, *termState) error { return errors.ErrUnsupported }

func waitReadable(int, int) bool { return true }

func terminalSignals(chan os.Signal) {}

func isStop(os.Signal) bool { return false }

func suspend() {}

func stopUntilContinued() {}

const (
	sigRtmin = 34
	sigRtmax = 64
)

// sysSignals are the names of the signals by number, without SIG; the first is none.
func sysSignals() []string {
	return strings.Fields(`- HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT
		CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS`)
}

func sysKeepOwner(*os.File, string) error { return nil }

// sysProcessLimit finds no limit.
func sysProcessLimit() int { return 1 << 30 }

func sysForeground(string, []string) (string, error) { return "", errors.ErrUnsupported }
