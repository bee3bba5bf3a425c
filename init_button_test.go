// init_button_test.go tries the reading of what input devices say about power keys.

//go:build linux

package main

import (
	"encoding/binary"
	"slices"
	"strconv"
	"testing"
)

func TestPowerKey(t *testing.T) {
	if strconv.IntSize == 64 {
		for capabilities, want := range map[string]bool{
			"10000000000000 0\n": true, // of the ACPI power button
			"402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe\n": true, // a keyboard
			"402000000 3803078f800d001 feefffdfffefffff fffffffffffffffe\n": false,
			"1f0000 0 0 0 0\n": false, // a mouse
			"":                 false,
			"4000 0\n":         false, // a sleep button
		} {
			if got := hasPowerKey(capabilities); got != want {
				t.Errorf("%q: %v, want %v", capabilities, got, want)
			}
		}
	}
	event := func(kind, code uint16, value uint32) []byte {
		e := make([]byte, 2*strconv.IntSize/8, 24)
		e = binary.NativeEndian.AppendUint16(e, kind)
		e = binary.NativeEndian.AppendUint16(e, code)
		return binary.NativeEndian.AppendUint32(e, value)
	}
	press, release, sync, other := event(1, keyPower, 1), event(1, keyPower, 0), event(0, 0, 0), event(1, 30, 1)
	if !powerPressed(slices.Concat(other, press, sync, release)) || powerPressed(slices.Concat(release, sync, other, event(2, keyPower, 1), press[:len(press)-1])) || powerPressed(nil) {
		t.Error("a press is not told from other events")
	}
}
