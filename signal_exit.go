// signal_exit.go says how a process ended, as wait(2) reports it and in words.

package main

import "strconv"

// exit says how a main process ended. Known is false when nobody could learn it (an adopted process, or one that survived SIGKILL).
type exit struct {
	Known  bool
	Code   int
	Signal int // 0: it ended by itself, with Code
	Core   bool
	OOM    bool // the kernel killed processes of its control group for lack of memory
	Left   int  // processes that survive even SIGKILL
}

// String is the sentence for people: "exit code 1", "killed by SIGKILL".
func (e exit) String() string {
	switch {
	case !e.Known:
		return "exit status unknown"
	case e.Signal == 0:
		return "exit code " + strconv.Itoa(e.Code)
	case e.Core:
		return "killed by " + signalName(e.Signal) + " (core dumped)"
	}
	return "killed by " + signalName(e.Signal)
}

// decodeStatus reads a wait status as wait(2) of Linux and of the BSDs encodes it: low 7 bits the signal, bit 7 the core flag, then the code.
func decodeStatus(status uint32) exit {
	return exit{Known: true, Code: int(status >> 8 & 0xff), Signal: int(status & 0x7f), Core: status&0x80 != 0}
}
