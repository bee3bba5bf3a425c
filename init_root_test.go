// init_root_test.go tries the way from an initramfs into the root file system.

//go:build linux

package main

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSwitchRootNeverDeletesOnADisk(t *testing.T) {
	if !inNamespaces(t) {
		return
	}
	old := treeOf(t, nil).root
	for _, step := range []error{
		unix.Mount("tmpfs", old, "tmpfs", 0, ""), os.MkdirAll(old+"/a/b", 0o755), os.WriteFile(old+"/a/b/c", nil, 0o644),
		os.Symlink("/etc", old+"/link"), os.Mkdir(old+"/other", 0o755), unix.Mount("tmpfs", old+"/other", "tmpfs", 0, ""),
		os.WriteFile(old+"/other/keep", nil, 0o644),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	fd, err := unix.Open(old, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	emptyTree(fd, uint64(st.Dev))
	entries, _ := os.ReadDir(old)
	if len(entries) != 1 || entries[0].Name() != "other" {
		t.Errorf("left: %v", entries)
	}
	if _, err := os.Stat(old + "/other/keep"); err != nil {
		t.Errorf("deleted in another file system: %v", err)
	}
	if _, err := os.Stat("/etc/passwd"); err != nil {
		t.Errorf("deleted through a link: %v", err)
	}
	if sysVolatile("/proc") || !sysVolatile(old) {
		t.Error("memory and other file systems are mixed up")
	}
}

func TestRootFileSystemWithoutMountpointsThatCannotBeWritten(t *testing.T) {
	if !inNamespaces(t) {
		return
	}
	root := treeOf(t, nil).root
	for _, step := range []error{
		unix.Mount("tmpfs", root, "tmpfs", 0, ""), os.Mkdir(root+"/dev", 0o755), unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	err := makeMountpoints(root)
	if err == nil || err.Error() != "it has no directory /proc, and none can be made: read-only file system" {
		t.Errorf("got %v", err)
	}
	if err := unix.Mount("", root, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	if err := makeMountpoints(root); err != nil {
		t.Error(err)
	}
}
