// init_mounts.go mounts the file systems of the kernel, makes what is missing in /dev, opens the console and lists what is mounted; disks are for init_fstab.go.

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// apiMount is a file system that the kernel or memory provides.
type apiMount struct{ kind, target, options string }

// apiMounts are the mounts that programs expect, with the flags that are customary.
var apiMounts = []apiMount{
	{"proc", "/proc", "nosuid,noexec,nodev"},
	{"sysfs", "/sys", "nosuid,noexec,nodev"},
	{"devtmpfs", "/dev", "nosuid,mode=0755"},
	{"devpts", "/dev/pts", "nosuid,noexec,gid=5,mode=620,ptmxmode=666"},
	{"tmpfs", "/dev/shm", "nosuid,nodev,mode=1777"},
	{"tmpfs", "/run", "nosuid,nodev,mode=0755"},
	{"tmpfs", "/tmp", "nosuid,nodev,mode=1777"},
	{"cgroup2", "/sys/fs/cgroup", "nosuid,noexec,nodev,nsdelegate"},
}

// deviceNodes are the devices that programs cannot do without, for a kernel that has no devtmpfs.
var deviceNodes = []struct {
	name         string
	mode         uint32
	major, minor uint32
}{
	{"console", 0o600, 5, 1}, {"null", 0o666, 1, 3}, {"zero", 0o666, 1, 5}, {"full", 0o666, 1, 7},
	{"random", 0o666, 1, 8}, {"urandom", 0o666, 1, 9}, {"tty", 0o666, 5, 0},
}

// deviceLinks are the names in /dev that lead elsewhere.
var deviceLinks = [][2]string{
	{"/dev/fd", "/proc/self/fd"}, {"/dev/stdin", "/proc/self/fd/0"}, {"/dev/stdout", "/proc/self/fd/1"},
	{"/dev/stderr", "/proc/self/fd/2"}, {"/dev/core", "/proc/kcore"}, {"/dev/ptmx", "pts/ptmx"},
}

func (b *boot) mountSteps() (steps []bootStep) {
	for _, m := range apiMounts {
		s := bootStep{what: "mount " + m.kind + " on " + m.target + " (" + m.options + ")", do: func() error { return b.mountAPI(m) }}
		switch {
		case sysMounted(b.path(m.target)):
			s.done = "already mounted"
		case m.target == "/tmp" && b.fstabHas(m.target):
			s.done = "/etc/fstab has one of its own"
		}
		steps = append(steps, s)
	}
	link := bootStep{what: "make links in /dev:", done: "all there", do: b.linkDevices}
	for _, l := range deviceLinks {
		if _, err := os.Lstat(b.path(l[0])); err != nil {
			link.done = ""
			link.what += " " + l[0]
		}
	}
	return append(steps, link)
}

// mountAPI mounts one, on a directory that it makes if need be. That it is mounted already (EBUSY of mount(2)) is fine.
func (b *boot) mountAPI(m apiMount) error {
	target := b.path(m.target)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	o := mountOptions(m.options)
	err := sysMount(m.kind, target, m.kind, o.flags, o.data)
	switch {
	case err == syscall.EINVAL && m.kind == "cgroup2": // nsdelegate came with Linux 4.13
		err = sysMount(m.kind, target, m.kind, o.flags, "")
	case err != nil && err != syscall.EBUSY && m.kind == "devtmpfs":
		return b.makeDevices(o)
	}
	if err == syscall.EBUSY {
		return nil
	}
	return err
}

// makeDevices fills a tmpfs with the device nodes that nothing works without.
func (b *boot) makeDevices(o fsOptions) error {
	if err := sysMount("dev", b.path("/dev"), "tmpfs", o.flags, o.data); err != nil {
		return err
	}
	var errs error
	for _, d := range deviceNodes {
		p := b.path("/dev/" + d.name)
		if err := sysMknod(p, d.mode, d.major, d.minor); err != nil {
			errs = errors.Join(errs, fmt.Errorf("/dev/%s: %w", d.name, err))
			continue
		}
		errs = errors.Join(errs, os.Chmod(p, os.FileMode(d.mode))) // mknod obeys the umask
	}
	return errs
}

func (b *boot) linkDevices() (errs error) {
	for _, l := range deviceLinks {
		if err := os.Symlink(l[1], b.path(l[0])); err != nil && !errors.Is(err, os.ErrExist) {
			errs = errors.Join(errs, err)
		}
	}
	return errs
}

// consoleSteps gives the descriptors 0, 1 and 2 to the console where they lead nowhere: closed, or at /dev/null,
// where the Go runtime puts those that the kernel could not open.
func (b *boot) consoleSteps() []bootStep {
	var fds []int
	for fd := range 3 {
		if sysLeadsNowhere(fd) {
			fds = append(fds, fd)
		}
	}
	s := bootStep{what: fmt.Sprintf("open /dev/console as descriptors %v", fds), do: func() error {
		return sysConsole(b.path("/dev/console"), fds)
	}}
	if len(fds) == 0 {
		s.what, s.done = "open /dev/console", "standard input, output and error are open"
	}
	return []bootStep{s}
}

// mountEntry is a line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type mountEntry struct{ source, target, kind, options string }

// parseMountinfo reads the mounts, in the order in which they were made.
func parseMountinfo(text string) (mounts []mountEntry) {
	for _, line := range strings.Split(text, "\n") {
		left, right, _ := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if len(l) < 6 || len(r) < 2 {
			continue
		}
		m := mountEntry{source: unescapeOctal(r[1]), target: unescapeOctal(l[4]), kind: r[0], options: l[5]}
		if len(r) > 2 {
			m.options += "," + r[2]
		}
		mounts = append(mounts, m)
	}
	return mounts
}

func (b *boot) mounts() []mountEntry {
	text, _ := b.read("/proc/self/mountinfo")
	return parseMountinfo(text)
}
