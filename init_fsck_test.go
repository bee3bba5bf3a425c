// init_fsck_test.go tries the check of a file system before it is mounted, with programs that answer every code and with e2fsck.

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// fsckTree is a tree with a device and a program for its type.
func fsckTree(t *testing.T, script string) *boot {
	t.Helper()
	b := treeOf(t, map[string]string{"/dev/vda": "", "/sbin/fsck.ext4": "#!/bin/sh\n" + script, "/sbin/fsck.xfs": "not to be executed"})
	if err := os.Chmod(b.path("/sbin/fsck.ext4"), 0o755); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRow74_TheAnswerOfFsckDecides: 0 and 1 are good, 2 asks for a reboot, everything else keeps the file system from being mounted.
func TestRow74_TheAnswerOfFsckDecides(t *testing.T) {
	b := fsckTree(t, `echo "$@" >"$0.words"; exit "$(cat "$0.code")"`)
	for code, want := range map[int]string{
		0: "", 1: "", 2: errReboot.Error(), 3: errReboot.Error(), 4: "exit code 4", 6: "exit code 6", 8: "exit code 8", 127: "exit code 127",
	} {
		writeTree(t, b.root, map[string]string{"/sbin/fsck.ext4.code": fmt.Sprint(code)})
		err := b.fsck(b.path("/dev/vda"), "/data", "ext4")
		if got := fmt.Sprint(err); want == "" && err != nil || !strings.Contains(got, want) {
			t.Errorf("code %d: %v, want %q", code, err, want)
		}
		if words, _ := b.read("/sbin/fsck.ext4.words"); words != "-a "+b.path("/dev/vda")+"\n" {
			t.Errorf("called with %q", words)
		}
	}
	killed := fsckTree(t, "kill -9 $$")
	if err := killed.fsck(killed.path("/dev/vda"), "/data", "ext4"); err == nil || !strings.Contains(err.Error(), "killed by SIGKILL") {
		t.Errorf("killed: %v", err)
	}
	if err := b.fsck(b.path("/dev/vda"), "/data", "xfs"); err != nil { // no program, but a file of that name
		t.Error(err)
	}
}

// TestFsckComesBeforeTheMount: by field 6, and a file system that cannot be mended is not mounted; one that needs a reboot ends the boot.
func TestFsckComesBeforeTheMount(t *testing.T) {
	b := fsckTree(t, `echo checked >>"$0.log"; exit "$(cat "$0.code")"`)
	for line, want := range map[string]string{
		"/dev/vda /data ext4 defaults 0 2":    "fsck.ext4",
		"/dev/vda /data ext4 defaults 0 0":    "",
		"/dev/vda /data ext4 noauto 0 2":      "",
		"/dev/vda /data ext4 remount,ro 0 2":  "",
		"tmpfs /dev/vda tmpfs defaults 0 2":   "",
		"host:/x /data nfs defaults 0 2":      "",
		"/dev/vda /data ext4 nofail 0 2":      "fsck.ext4",
		"/dev/vda /data ext4,xfs nofail 0 2":  "", // the type of what is on it, which is nothing
		"LABEL=none /data ext4 noauto,ro 0 2": "",
	} {
		_ = os.Remove(b.path("/sbin/fsck.ext4.log"))
		lines, _ := parseFstab(line)
		writeTree(t, b.root, map[string]string{"/sbin/fsck.ext4.code": "4"})
		s := b.fstabStep(lines[0])
		err := error(nil)
		if s.done == "" {
			err = s.do()
		}
		log, _ := b.read("/sbin/fsck.ext4.log")
		if (log != "") != (want != "") || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: %v, checked %q", line, err, log)
		}
	}
	writeTree(t, b.root, map[string]string{"/sbin/fsck.ext4.code": "3", "/etc/fstab": "/dev/vda /data ext4 defaults 0 2\n"})
	if err := runSteps(b.fstabSteps()); !errors.Is(err, errReboot) {
		t.Errorf("the boot goes on after %v", err)
	}
}

// TestTheTableOfTheBootHasChecks: who reads it sees what is checked before it is mounted.
func TestTheTableOfTheBootHasChecks(t *testing.T) {
	b := fsckTree(t, "")
	writeTree(t, b.root, map[string]string{"/etc/fstab": "/dev/vda /data ext4 defaults 0 2\n/dev/vdb /other xfs defaults 0 2\n/dev/vdc /any auto defaults 0 2\n/dev/vdd /not ext4 defaults 0 0\n/data /bound none bind 0 2\n"})
	var out strings.Builder
	b.print(&out)
	for _, want := range []string{
		"mount /dev/vda on /data (ext4, defaults): checked first, by fsck.ext4\n", "mount /dev/vdb on /other (xfs, defaults): not checked, there is no fsck.xfs\n",
		"mount /dev/vdc on /any (auto, defaults): checked first, by the fsck of what is on it\n", "mount /dev/vdd on /not (ext4, defaults)\n", "mount /data on /bound (none, bind)\n",
	} {
		if !strings.Contains(out.String(), "\n  "+want) {
			t.Errorf("missing %q in\n%s", want, out.String())
		}
	}
}

// TestFsckOfTheRootFileSystem: while the kernel has it read-only, and what cannot be mended is an emergency.
func TestFsckOfTheRootFileSystem(t *testing.T) {
	b := fsckTree(t, "exit 4")
	for options, checks := range map[string]bool{"ro": true, "rw": false} {
		writeTree(t, b.root, map[string]string{
			"/etc/fstab":           "/dev/vda / ext4 defaults 0 1\n",
			"/proc/self/mountinfo": "22 1 254:0 / / " + options + ",relatime - ext4 /dev/root rw\n",
		})
		steps := b.fstabSteps()
		if checks != (len(steps) == 2) {
			t.Fatalf("%s: %+v", options, steps)
		}
		if checks {
			if err := runSteps(steps[:1]); err == nil || !strings.Contains(err.Error(), "cannot check / before it is written: fsck.ext4") {
				t.Errorf("the boot goes on: %v", err)
			}
		}
	}
}

// TestFsckMends has e2fsck itself look at an image that is marked as one with errors.
func TestFsckMends(t *testing.T) {
	needs(t, "e2fsck", "debugfs")
	image := machineDisk(t, "data", nil, nil)
	if out, err := exec.Command("debugfs", "-w", "-R", "ssv state 2", image).CombinedOutput(); err != nil {
		t.Fatalf("debugfs: %v\n%s", err, out)
	}
	program, err := exec.LookPath("e2fsck")
	if err != nil {
		t.Fatal(err)
	}
	b := treeOf(t, map[string]string{"/sbin/.keep": ""})
	if kind, clean := b.superblock(image); kind != "ext4" || clean {
		t.Errorf("%s, clean %v", kind, clean)
	}
	said := captureServerLog(t)
	if err := b.fsck(image, "/data", "ext4"); err != nil {
		t.Error(err)
	}
	says(t, said(), image+" on /data is not clean and there is no fsck.ext4; not checked")
	if err := os.Symlink(program, b.path("/sbin/fsck.ext4")); err != nil {
		t.Fatal(err)
	}
	if err := b.fsck(image, "/data", "auto"); err != nil {
		t.Error(err)
	}
	if kind, clean := b.superblock(image); kind != "ext4" || !clean {
		t.Errorf("afterwards: %s, clean %v", kind, clean)
	}
	isClean(t, image)
}
