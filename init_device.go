// init_device.go finds a device by its path, UUID or label, and tells what is on it; it mounts nothing.

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// deviceTags are the ways of fstab(5) to name a device by what is on it, and the directories where a device manager has links for them.
var deviceTags = [][2]string{{"UUID", "by-uuid"}, {"LABEL", "by-label"}, {"PARTUUID", "by-partuuid"}, {"PARTLABEL", "by-partlabel"}}

// errNoDevice says that a device has not appeared within the time to wait for it. The name of the device follows.
var errNoDevice = errors.New("there is no")

// device finds what fstab or zinit.root means: a path, UUID=, LABEL= and the like. It waits until then for it to appear.
// A name that is neither (tmpfs, a tag of virtiofs, host:/dir) is given back as it is.
func (b *boot) device(source string, until time.Time) (string, error) {
	tag, value, _ := strings.Cut(source, "=")
	dir := pairOf(deviceTags, tag)
	if dir == "" && !strings.HasPrefix(source, "/") {
		return source, nil
	}
	value = strings.Trim(value, `"`)
	for {
		p := b.path(source)
		if dir != "" {
			p = b.path("/dev/disk/" + dir + "/" + value)
		}
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
		if p := b.findByContent(tag, value); p != "" {
			return p, nil
		}
		if !time.Now().Before(until) {
			return "", fmt.Errorf("%w %s; is the module of its driver in /etc/modules?", errNoDevice, source)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// findByContent looks at all disks for a UUID or label: without a device manager nobody else makes links for them.
func (b *boot) findByContent(tag, value string) string {
	if tag != "UUID" && tag != "LABEL" {
		return ""
	}
	disks, _ := readNames(b.path("/sys/class/block"))
	for _, d := range disks {
		size, _ := b.read("/sys/class/block/" + d + "/size")
		if strings.TrimSpace(size) == "0" || strings.HasPrefix(d, "fd") { // an empty drive is slow to say so
			continue
		}
		p := b.path("/dev/" + strings.ReplaceAll(d, "!", "/"))
		f, err := os.Open(p)
		if err != nil {
			continue
		}
		_, uuid, label := probeDevice(f)
		f.Close()
		if tag == "UUID" && strings.EqualFold(uuid, value) || tag == "LABEL" && label == value {
			return p
		}
	}
	return ""
}

// superblocks says where file systems have their mark, their UUID and their label. Offsets are in bytes from the start of the device;
// they are those of the headers in the kernel's sources, and of blkid.
var superblocks = []struct {
	kind          string
	magic         string
	at            int64
	uuid          int64
	uuidBytes     int // 16; 4 for the serial number of FAT
	label         int64
	labelMaxBytes int
}{
	{"ext4", "\x53\xef", 0x438, 0x468, 16, 0x478, 16},
	{"xfs", "XFSB", 0, 32, 16, 108, 12},
	{"btrfs", "_BHRfS_M", 0x10040, 0x10020, 16, 0x1012b, 256},
	{"vfat", "FAT32   ", 0x52, 0x43, 4, 0x47, 11},
	{"vfat", "FAT16   ", 0x36, 0x27, 4, 0x2b, 11},
	{"f2fs", "\x10\x20\xf5\xf2", 0x400, 0x46c, 16, 0, 0},
	{"erofs", "\xe2\xe1\xf5\xe0", 0x400, 0x430, 16, 0x440, 16},
	{"squashfs", "hsqs", 0, 0, 0, 0, 0},
	{"iso9660", "CD001", 0x8001, 0, 0, 0x8028, 32},
	{"swap", "SWAPSPACE2", 4086, 1036, 16, 1052, 16},
}

// probeDevice tells what is on a device; "" if it is nothing that we know.
func probeDevice(r io.ReaderAt) (kind, uuid, label string) {
	at := func(offset int64, n int) string {
		buf := make([]byte, n)
		n, _ = r.ReadAt(buf, offset)
		return string(buf[:n])
	}
	for _, s := range superblocks {
		if at(s.at, len(s.magic)) != s.magic {
			continue
		}
		label, _, _ = strings.Cut(at(s.label, s.labelMaxBytes), "\x00")
		id := at(s.uuid, s.uuidBytes)
		switch len(id) {
		case 16:
			uuid = fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
		case 4:
			uuid = fmt.Sprintf("%02X%02X-%02X%02X", id[3], id[2], id[1], id[0])
		}
		return s.kind, uuid, strings.TrimRight(label, " ")
	}
	return "", "", ""
}
