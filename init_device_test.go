// init_device_test.go tries how a device is found by what is on it.

//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestProbeDevice(t *testing.T) {
	image := func(parts map[int]string) *bytes.Reader {
		data := make([]byte, 0x11000)
		for at, s := range parts {
			copy(data[at:], s)
		}
		return bytes.NewReader(data)
	}
	id := "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef"
	const uuid = "01234567-89ab-cdef-0123-456789abcdef"
	for _, c := range []struct {
		parts             map[int]string
		kind, uuid, label string
	}{
		{map[int]string{0x438: "\x53\xef", 0x468: id, 0x478: "data"}, "ext4", uuid, "data"},
		{map[int]string{0: "XFSB", 32: id, 108: "twelve-chars"}, "xfs", uuid, "twelve-chars"},
		{map[int]string{0x10040: "_BHRfS_M", 0x10020: id, 0x1012b: "pool"}, "btrfs", uuid, "pool"},
		{map[int]string{0x52: "FAT32   ", 0x43: "\x78\x56\x34\x12", 0x47: "EFI        "}, "vfat", "1234-5678", "EFI"},
		{map[int]string{4086: "SWAPSPACE2", 1036: id}, "swap", uuid, ""},
		{map[int]string{0: "hsqs"}, "squashfs", "", ""},
		{nil, "", "", ""},
	} {
		kind, uuid, label := probeDevice(image(c.parts))
		if kind != c.kind || uuid != c.uuid || label != c.label {
			t.Errorf("got %s %s %q, want %s %s %q", kind, uuid, label, c.kind, c.uuid, c.label)
		}
	}
	if kind, _, _ := probeDevice(strings.NewReader("short")); kind != "" {
		t.Errorf("a short device is %s", kind)
	}
}

func TestDeviceIsFoundByItsContent(t *testing.T) {
	swap := make([]byte, 8192)
	copy(swap[4086:], "SWAPSPACE2")
	copy(swap[1036:], "0123456789abcdef")
	copy(swap[1052:], "more")
	b := treeOf(t, map[string]string{"/sys/class/block/vda/size": "0\n", "/sys/class/block/vdb/size": "16\n", "/dev/vda": "", "/dev/vdb": string(swap)})
	for source, want := range map[string]string{
		"LABEL=more": "/dev/vdb",
		"UUID=30313233-3435-3637-3839-616263646566":   "/dev/vdb",
		`UUID="30313233-3435-3637-3839-616263646566"`: "/dev/vdb",
		"/dev/vda": "/dev/vda",
	} {
		if got, err := b.device(source, time.Time{}); err != nil || got != b.path(want) {
			t.Errorf("%s is %s, %v; want %s", source, got, err, want)
		}
	}
	if got, err := b.device("tmpfs", time.Time{}); err != nil || got != "tmpfs" {
		t.Errorf("tmpfs is %s, %v", got, err)
	}
	if _, err := b.device("UUID=none", time.Time{}); err == nil || err.Error() != "there is no UUID=none; is the module of its driver in /etc/modules?" {
		t.Errorf("no device: %v", err)
	}
}

func TestDeviceIsWaitedFor(t *testing.T) {
	b := treeOf(t, map[string]string{"/dev/x": ""})
	found := make(chan error)
	go func() {
		_, err := b.device("/dev/late", time.Now().Add(patience))
		found <- err
	}()
	writeTree(t, b.root, map[string]string{"/dev/late": ""})
	if err := <-found; err != nil {
		t.Error(err)
	}
}
