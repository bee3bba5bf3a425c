// init_fstab_test.go tries the reading of /etc/fstab and what follows from it.

//go:build linux

package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestFstab(t *testing.T) {
	lines, complaints := parseFstab(`# a comment
UUID=6a1f  /  ext4  errors=remount-ro  0  1
/dev/vdb1	/srv/my\040files	auto
tmpfs /tmp tmpfs size=10M,mode=1777

/dev/vdb2 none swap sw,pri=5 0 0
/dev/vdc1 data ext4 defaults 0 0
nonsense
`)
	want := []fsLine{
		{2, "UUID=6a1f", "/", "ext4", "errors=remount-ro", 1},
		{3, "/dev/vdb1", "/srv/my files", "auto", "defaults", 0},
		{4, "tmpfs", "/tmp", "tmpfs", "size=10M,mode=1777", 0},
		{6, "/dev/vdb2", "none", "swap", "sw,pri=5", 0},
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got %+v\nwant %+v", lines, want)
	}
	if got := errors.Join(complaints...).Error(); got != "line 7: \"data\" is no absolute path\nline 8 has 1 words; it needs: device, directory, type, options" {
		t.Errorf("complaints: %s", got)
	}
}

func TestMountOptions(t *testing.T) {
	for text, want := range map[string]fsOptions{
		"defaults":                           {priority: -1},
		"ro,nosuid,noexec,nodev":             {flags: unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV, priority: -1},
		"ro,rw":                              {priority: -1},
		"users,exec":                         {flags: unix.MS_NOSUID | unix.MS_NODEV, priority: -1},
		"rbind,remount":                      {flags: unix.MS_BIND | unix.MS_REC | unix.MS_REMOUNT, priority: -1},
		"noatime,size=10%,mode=1777":         {flags: unix.MS_NOATIME, data: "size=10%,mode=1777", priority: -1},
		"relatime,strictatime,lazytime,sync": {flags: unix.MS_RELATIME | unix.MS_STRICTATIME | unix.MS_LAZYTIME | unix.MS_SYNCHRONOUS, priority: -1},
		"noauto,nofail,x-systemd.automount":  {noAuto: true, noFail: true, priority: -1},
		"_netdev,comment=hello":              {netDev: true, priority: -1},
		"pri=7,discard":                      {priority: 7, discard: true, data: "discard"},
		"pri=-3,loop=/dev/loop1":             {priority: -1, loop: true},
		"dirsync,nodiratime,silent,mand":     {flags: unix.MS_DIRSYNC | unix.MS_NODIRATIME | unix.MS_SILENT | unix.MS_MANDLOCK, priority: -1},
		"x-systemd.device-timeout=90":        {wait: 90 * time.Second, priority: -1},
		"x-systemd.device-timeout=1min 30s":  {wait: 90 * time.Second, priority: -1},
		"x-systemd.device-timeout=500ms":     {wait: 500 * time.Millisecond, priority: -1},
		"x-systemd.device-timeout=0":         {priority: -1},
		"x-systemd.device-timeout=infinity":  {priority: -1},
		"nosymfollow,bind":                   {flags: 0x100 | unix.MS_BIND, priority: -1},
	} {
		if got := mountOptions(text); got != want {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
	}
}

func FuzzFstab(f *testing.F) {
	f.Add("/dev/vda / ext4 ro,x=\\040 0 0\n\\ \\134\\0 a\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines, complaints := parseFstab(text)
		if n := strings.Count(text, "\n") + 1; len(lines)+len(complaints) > n {
			t.Fatalf("%d lines and %d complaints from %d lines", len(lines), len(complaints), n)
		}
		for _, l := range lines {
			if l.kind != "swap" && l.target[0] != '/' {
				t.Fatalf("target %q", l.target)
			}
			_ = mountOptions(l.options)
		}
	})
}

func TestFstabSteps(t *testing.T) {
	b := treeOf(t, map[string]string{"/etc/fstab": `
/dev/vda / ext4 noatime
/dev/vdb /data ext4 noauto
host:/x /net ext4 _netdev
host:/y /more nfs4
/dev/vdc /other ext4 nofail
/dev/vdd /loop ext4 loop
/dev/vde none swap sw
`})
	var got []string
	for _, s := range b.fstabSteps() {
		got = append(got, s.what+": "+s.done)
	}
	want := []string{
		"remount / (noatime): ",
		"mount /dev/vdb on /data (ext4, noauto): noauto",
		"mount host:/x on /net (ext4, _netdev): left to the service that brings up the network",
		"mount host:/y on /more (nfs4, defaults): left to the service that brings up the network",
		"mount /dev/vdc on /other (ext4, nofail): ",
		"mount /dev/vdd on /loop (ext4, loop): ",
		"swap on /dev/vde (sw): ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	steps := b.fstabSteps()
	if !steps[2].say || !steps[3].say || steps[1].say {
		t.Error("what is left to others is not said")
	}
	if err := steps[6].do(); err == nil || !strings.Contains(err.Error(), "there is no /dev/vde") {
		t.Errorf("a missing swap device: %v", err)
	}
}

// TestAbsentDevices: one that comes late is mounted, nofail or not; one that never comes is an error unless there is nofail. How long it is waited for is
// ten seconds, or what the line says.
func TestAbsentDevices(t *testing.T) {
	b := treeOf(t, map[string]string{"/dev/here": ""})
	b.until = time.Now().Add(deviceWait)
	try := func(options, source string) error {
		return b.fstabStep(fsLine{source: source, target: "/x", kind: "ext4", options: options}).do()
	}
	if err := try("x-systemd.device-timeout=1ms", "/dev/none"); !errors.Is(err, errNoDevice) {
		t.Errorf("absent: %v", err)
	}
	if err := try("nofail,x-systemd.device-timeout=1ms", "UUID=none"); err != nil {
		t.Errorf("absent, nofail: %v", err)
	}
	if err := try("nofail", "/dev/here"); err == nil { // nofail is for absence only
		t.Error("a file that is no device was mounted")
	}
	for _, options := range []string{"defaults", "nofail", "x-systemd.device-timeout=2h"} {
		late := "/dev/late-" + options[:3]
		result := make(chan error)
		go func() { result <- try(options, late) }()
		writeTree(t, b.root, map[string]string{late: ""})
		if err := <-result; err == nil || errors.Is(err, errNoDevice) { // what it says is that this is no device
			t.Errorf("late, %s: %v", options, err)
		}
	}
}

func TestRootBecomesWritableUnlessTheKernelIsToldOtherwise(t *testing.T) {
	const mounted = "22 1 254:0 / / ro,relatime - ext4 /dev/root rw\n"
	b := treeOf(t, map[string]string{"/proc/self/mountinfo": mounted})
	if steps := b.fstabSteps(); len(steps) != 1 || !strings.Contains(steps[0].what, "remount / for writing") {
		t.Errorf("steps: %+v", steps)
	}
	b.words.readOnly = true
	if steps := b.fstabSteps(); len(steps) != 0 {
		t.Errorf("with ro: %+v", steps)
	}
}
