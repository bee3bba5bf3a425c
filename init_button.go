// init_button.go hears the power button of a machine, which is a key of an input device; what a press of it does is the keeper's to decide.

//go:build linux

package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// buttonModules are what makes an input device of the ACPI power button; they are loaded where the kernel has them as modules.
var buttonModules = []string{"button", "evdev"}

// keyPower is the key of a power button (linux/input-event-codes.h).
const keyPower = 116

// hasPowerKey reads the capabilities of an input device as sysfs shows them: words of the kernel's unsigned long in hex, the highest first.
func hasPowerKey(capabilities string) bool {
	words := strings.Fields(capabilities)
	i := len(words) - 1 - keyPower/strconv.IntSize
	if i < 0 {
		return false
	}
	n, _ := strconv.ParseUint(words[i], 16, 64)
	return n>>(keyPower%strconv.IntSize)&1 == 1
}

// powerPressed says whether there is a press of the power key among the events that were read: struct input_event of linux/input.h, a time of two
// longs, then type, code and value. A release and a key that is held down are none.
func powerPressed(events []byte) bool {
	const at = 2 * strconv.IntSize / 8
	for ; len(events) >= at+8; events = events[at+8:] {
		const typeKey, press = 1, 1
		if binary.NativeEndian.Uint16(events[at:]) == typeKey && binary.NativeEndian.Uint16(events[at+2:]) == keyPower && binary.NativeEndian.Uint32(events[at+4:]) == press {
			return true
		}
	}
	return false
}

// watchButton has every press of a power button of this machine come as SIGTERM, a second one too. It costs nothing while nobody presses a key.
func (k *keeper) watchButton() {
	names, _ := filepath.Glob("/dev/input/event*")
	for _, name := range names {
		text, _ := os.ReadFile("/sys/class/input/" + filepath.Base(name) + "/device/capabilities/key")
		if !hasPowerKey(string(text)) {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			logf(logWarn, "the power button is not heard: %v", err)
			continue
		}
		background("power button", func() {
			defer f.Close()
			for buf := make([]byte, 64*24); ; {
				n, err := f.Read(buf)
				if err != nil {
					return
				}
				if powerPressed(buf[:n]) {
					logf(logInfo, "the power button was pressed")
					k.signals <- syscall.SIGTERM
				}
			}
		})
	}
}
