// init_fsck.go has the program of its type check a file system before it is mounted, as field 6 of fstab(5) asks; it mounts nothing.

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// errReboot says that a check has repaired a file system in use, and that the machine must be rebooted (code 2 of fsck(8)).
var errReboot = errors.New("the file system was mended, and the machine must be rebooted")

// fsckPace is how often it is said that a check still runs.
const fsckPace = 10 * time.Second

// fsck has fsck.TYPE of the tree check a device and mend what is safe to mend (-a, which is preen), by the type of fstab or else of the superblock. An error
// means that the file system must not be written; the codes are those of fsck(8). Without such a program an ext file system that is not clean is said.
func (b *boot) fsck(dev, target, kind string) error {
	found, clean := b.superblock(dev)
	if kind == "auto" || kind == "" || strings.Contains(kind, ",") {
		kind = found
	}
	program := b.fsckProgram(kind)
	if kind == "" || program == "" {
		if !clean {
			logf(logWarn, "boot: %s on %s is not clean and there is no fsck.%s; not checked", dev, target, kind)
		}
		return nil
	}
	pid, err := sysForkServer(program, []string{"fsck." + kind, "-a", dev}, []int{0, 1, 2})
	if err != nil {
		logf(logWarn, "boot: %s on %s is not checked: cannot run %s: %v", dev, target, program, err)
		return nil
	}
	began := time.Now()
	said, status := began, uint32(0)
	for got := 0; got == 0; got, status = sysWaitFor(pid) {
		time.Sleep(20 * time.Millisecond)
		if time.Since(said) >= fsckPace {
			said = time.Now()
			logf(logInfo, "boot: fsck.%s has checked %s for %s", kind, dev, span(time.Since(began)))
		}
	}
	switch how := decodeStatus(status); {
	case how.Signal != 0 || how.Code&^3 != 0:
		return fmt.Errorf("fsck.%s %s: %s; mend it by hand", kind, dev, how)
	case how.Code&2 != 0:
		return errReboot
	case how.Code != 0:
		logf(logInfo, "boot: fsck.%s has mended %s", kind, dev)
	}
	return nil
}

// fsckFirst says for the table of the boot how a file system of that type is checked before it is mounted.
func (b *boot) fsckFirst(kind string) string {
	switch {
	case kind == "auto" || strings.Contains(kind, ","):
		return "checked first, by the fsck of what is on it"
	case b.fsckProgram(kind) == "":
		return "not checked, there is no fsck." + kind
	}
	return "checked first, by fsck." + kind
}

// fsckProgram is the path of fsck.TYPE in the tree; "" if there is none.
func (b *boot) fsckProgram(kind string) string {
	for _, dir := range filepath.SplitList(defaultPath) {
		p := b.path(dir + "/fsck." + kind)
		if st, err := os.Stat(p); err == nil && st.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

// superblock tells the type of what is on a device, and whether it is clean as far as we can read that: ext2, ext3 and ext4 have it in s_state and in
// s_feature_incompat (fs/ext4/ext4.h of the kernel: EXT4_VALID_FS, EXT4_ERROR_FS, EXT4_FEATURE_INCOMPAT_RECOVER).
func (b *boot) superblock(dev string) (kind string, clean bool) {
	f, err := os.Open(dev)
	if err != nil {
		return "", true
	}
	defer f.Close()
	kind, _, _ = probeDevice(f)
	super := make([]byte, 0x61)
	if n, _ := f.ReadAt(super, 1024); kind != "ext4" || n < len(super) {
		return kind, true
	}
	return kind, super[0x3a]&3 == 1 && super[0x60]&4 == 0
}

// fsckRoot is the check of / by its line of fstab, while the kernel has it read-only. One that fails leaves it so, and is for a person to look at.
func (b *boot) fsckRoot(l fsLine) bootStep {
	return bootStep{what: "check / before it is written", vital: true, do: func() error {
		dev, err := b.device(l.source, b.until)
		if err != nil {
			logf(logWarn, "boot: / is not checked: %v", err)
			return nil
		}
		return b.fsck(dev, "/", l.kind)
	}}
}
