// init_fstab.go mounts what /etc/fstab says and turns its swap on; where a device is found is for init_device.go.

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// mountWords are the options of mount(8) that are bits for the kernel: those that the word sets and those that it clears.
func mountWords() map[string]struct{ set, clear uintptr } {
	return map[string]struct{ set, clear uintptr }{
		"ro": {unix.MS_RDONLY, 0}, "rw": {0, unix.MS_RDONLY}, "nosuid": {unix.MS_NOSUID, 0}, "suid": {0, unix.MS_NOSUID},
		"nodev": {unix.MS_NODEV, 0}, "dev": {0, unix.MS_NODEV}, "noexec": {unix.MS_NOEXEC, 0}, "exec": {0, unix.MS_NOEXEC},
		"sync": {unix.MS_SYNCHRONOUS, 0}, "async": {0, unix.MS_SYNCHRONOUS}, "dirsync": {unix.MS_DIRSYNC, 0}, "remount": {unix.MS_REMOUNT, 0},
		"mand": {unix.MS_MANDLOCK, 0}, "nomand": {0, unix.MS_MANDLOCK}, "nosymfollow": {unix.MS_NOSYMFOLLOW, 0}, "symfollow": {0, unix.MS_NOSYMFOLLOW},
		"noatime": {unix.MS_NOATIME, 0}, "atime": {0, unix.MS_NOATIME}, "nodiratime": {unix.MS_NODIRATIME, 0}, "diratime": {0, unix.MS_NODIRATIME},
		"bind": {unix.MS_BIND, 0}, "rbind": {unix.MS_BIND | unix.MS_REC, 0}, "silent": {unix.MS_SILENT, 0}, "loud": {0, unix.MS_SILENT},
		"relatime": {unix.MS_RELATIME, 0}, "norelatime": {0, unix.MS_RELATIME}, "strictatime": {unix.MS_STRICTATIME, 0}, "nostrictatime": {0, unix.MS_STRICTATIME},
		"lazytime": {unix.MS_LAZYTIME, 0}, "nolazytime": {0, unix.MS_LAZYTIME},
		"user": {unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, 0}, "users": {unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, 0},
		"owner": {unix.MS_NOSUID | unix.MS_NODEV, 0}, "group": {unix.MS_NOSUID | unix.MS_NODEV, 0},
		"defaults": {0, unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_SYNCHRONOUS},
		"auto":     {0, 0}, "nouser": {0, 0}, // for mount(8) itself
	}
}

// fsOptions is the fourth field of an fstab line.
type fsOptions struct {
	flags                        uintptr
	data                         string // what the file system itself understands
	noAuto, noFail, netDev, loop bool
	wait                         time.Duration // how long its device is waited for, from the start of the boot; 0: deviceWait
	priority                     int           // of a swap space; -1: the kernel chooses
	discard                      bool
}

// mountOptions reads options as mount(8) does; a later one beats an earlier one.
func mountOptions(text string) fsOptions {
	o := fsOptions{priority: -1}
	var data []string
	for _, word := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(word, "=")
		bits, known := mountWords()[word]
		switch {
		case known:
			o.flags = o.flags&^bits.clear | bits.set
		case word == "noauto":
			o.noAuto = true
		case word == "nofail":
			o.noFail = true
		case word == "_netdev":
			o.netDev = true
		case key == "x-systemd.device-timeout":
			o.wait = systemdSpan(value)
		case key == "loop":
			o.loop = true
		case key == "pri":
			if n, err := strconv.Atoi(value); err == nil && n >= 0 && n <= 32767 {
				o.priority = n
			}
		case word == "" || key == "comment" || strings.HasPrefix(word, "x-") || strings.HasPrefix(word, "X-"): // notes for other programs
		default:
			o.discard = o.discard || key == "discard"
			data = append(data, word)
		}
	}
	o.data = strings.Join(data, ",")
	return o
}

// systemdSpan reads a time as systemd.time(7) writes it, of which fstab has "30", "90s", "1min" and "500ms"; 0 if it is none, or without end.
func systemdSpan(text string) time.Duration {
	text = strings.NewReplacer(" ", "", "min", "m", "sec", "s").Replace(text)
	d, err := time.ParseDuration(text)
	if err != nil {
		d, _ = time.ParseDuration(text + "s")
	}
	return d
}

// networkTypes are the file systems that need the network even where nobody has written _netdev.
var networkTypes = []string{"nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "sshfs", "fuse.sshfs"}

// fsLine is a line of /etc/fstab: see fstab(5). Its field for dump is ignored.
type fsLine struct {
	line                          int
	source, target, kind, options string
	pass                          int // for fsck; 0: it is not checked
}

// parseFstab reads the lines that can be read and complains about the rest.
func parseFstab(text string) (lines []fsLine, complaints []error) {
	for _, line := range contentLines(text) {
		f := strings.Fields(line.text)
		if len(f) < 3 {
			complaints = append(complaints, fmt.Errorf("line %d has %d words; it needs: device, directory, type, options", line.n, len(f)))
			continue
		}
		l := fsLine{line: line.n, source: unescapeOctal(f[0]), target: path.Clean(unescapeOctal(f[1])), kind: f[2], options: "defaults"}
		if len(f) > 3 {
			l.options = unescapeOctal(f[3])
		}
		if len(f) > 5 {
			l.pass, _ = strconv.Atoi(f[5])
		}
		if l.kind != "swap" && l.target[0] != '/' {
			complaints = append(complaints, fmt.Errorf("line %d: %s is no absolute path", line.n, quoted(l.target)))
			continue
		}
		lines = append(lines, l)
	}
	return lines, complaints
}

// fstabHas says whether fstab has a line for that directory.
func (b *boot) fstabHas(target string) bool {
	text, _ := b.read("/etc/fstab")
	lines, _ := parseFstab(text)
	return slices.ContainsFunc(lines, func(l fsLine) bool { return l.target == target })
}

func (b *boot) fstabSteps() (steps []bootStep) {
	text, err := b.read("/etc/fstab")
	if err != nil {
		return []bootStep{failedStep("read /etc/fstab", err)}
	}
	lines, complaints := parseFstab(text)
	for _, c := range complaints {
		steps = append(steps, failedStep("read all of /etc/fstab", c))
	}
	for _, l := range lines {
		if l.target == "/" && l.pass != 0 && b.rootIsReadOnly() {
			steps = append(steps, b.fsckRoot(l))
		}
		steps = append(steps, b.fstabStep(l))
	}
	if !b.fstabHas("/") && !b.words.readOnly && b.rootIsReadOnly() {
		steps = append(steps, bootStep{what: "remount / for writing (the kernel's command line does not say ro)", do: func() error {
			return sysMount("", b.path("/"), "", unix.MS_REMOUNT, "")
		}})
	}
	return steps
}

// fstabStep says what one line asks for.
func (b *boot) fstabStep(l fsLine) bootStep {
	o := mountOptions(l.options)
	s := bootStep{what: fmt.Sprintf("mount %s on %s (%s, %s)", l.source, l.target, l.kind, l.options), do: func() error { return b.mountLine(l, o) }}
	ours := slices.ContainsFunc(apiMounts, func(m apiMount) bool { return m.target == l.target && m.kind == l.kind })
	switch {
	case o.noAuto:
		s.done = "noauto"
	case o.netDev || slices.Contains(networkTypes, l.kind):
		s.done, s.say = "left to the service that brings up the network", true
	case l.kind == "swap":
		s.what = fmt.Sprintf("swap on %s (%s)", l.source, l.options)
		s.do = func() error { return b.swapLine(l, o) }
	case l.kind == "ignore":
		s.done = "to be ignored"
	case o.flags&unix.MS_REMOUNT != 0: // a mount that an earlier line made
	case l.target == "/" || ours && sysMounted(b.path(l.target)):
		s.what = fmt.Sprintf("remount %s (%s)", l.target, l.options)
		s.do = func() error { return sysMount(l.source, b.path(l.target), l.kind, o.flags|unix.MS_REMOUNT, o.data) }
	case sysMounted(b.path(l.target)):
		s.done = "already mounted"
	case l.pass != 0 && o.flags&unix.MS_BIND == 0:
		s.first = b.fsckFirst(l.kind)
	}
	if do := s.do; o.noFail {
		s.do = func() error {
			err := do()
			if errors.Is(err, errNoDevice) {
				logf(logInfo, "boot: did not %s: %v", s.what, err)
				return nil
			}
			return err
		}
	}
	return s
}

func (b *boot) swapLine(l fsLine, o fsOptions) error {
	dev, err := b.deviceOf(l, o)
	if err == nil {
		err = sysSwapOn(dev, o.priority, o.discard)
	}
	if err == syscall.EBUSY { // it is in use already
		return nil
	}
	return err
}

// deviceOf finds the device of a line, which may come late.
func (b *boot) deviceOf(l fsLine, o fsOptions) (string, error) {
	until := b.until
	if o.wait > 0 {
		until = until.Add(o.wait - deviceWait)
	}
	return b.device(l.source, until)
}

// mountLine mounts what a line says. A bind mount takes its flags only in a second call (mount(2), "Remounting an existing mount").
func (b *boot) mountLine(l fsLine, o fsOptions) error {
	if o.loop {
		return errors.New("loop devices are not set up here; let a oneshot service run mount")
	}
	target := b.path(l.target)
	source, err := b.deviceOf(l, o)
	if err != nil {
		return err
	}
	if o.flags&unix.MS_REMOUNT != 0 {
		return sysMount(source, target, "", o.flags, o.data)
	}
	info, err := os.Stat(source)
	if bind := o.flags&unix.MS_BIND != 0; !bind || err == nil && info.IsDir() { // a file may be bound over a file
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if !bind {
			if l.pass != 0 {
				if err := b.fsck(source, l.target, l.kind); err != nil {
					return err
				}
			}
			return b.mountAny(source, target, l.kind, o)
		}
	}
	if err := sysMount(source, target, "", o.flags&(unix.MS_BIND|unix.MS_REC), ""); err != nil || o.flags&^(unix.MS_BIND|unix.MS_REC) == 0 {
		return err
	}
	return sysMount("", target, "", o.flags&^unix.MS_REC|unix.MS_REMOUNT, "")
}

// mountAny mounts a device whose type may be a list, or "auto": then its first blocks tell, or else every type that the kernel knows is tried.
func (b *boot) mountAny(source, target, kind string, o fsOptions) error {
	kinds := strings.Split(kind, ",")
	if kind == "auto" || kind == "" {
		kinds = b.knownTypes()
		if f, err := os.Open(source); err == nil {
			if found, _, _ := probeDevice(f); found != "" {
				kinds = []string{found}
			}
			f.Close()
		}
	}
	var errs error
	for _, k := range kinds {
		err := b.mountOne(source, target, k, o)
		if err == nil {
			return nil
		}
		errs = errors.Join(errs, fmt.Errorf("as %s: %w", k, err))
	}
	if errs == nil {
		return errors.New("this kernel knows no file system for disks; load its module in /etc/modules")
	}
	return errors.New(strings.ReplaceAll(errs.Error(), "\n", "; "))
}

// mountOne mounts one type, with its module if the kernel lacks it, and read-only if the device or its file system is.
func (b *boot) mountOne(source, target, kind string, o fsOptions) error {
	err := sysMount(source, target, kind, o.flags, o.data)
	if err == syscall.ENODEV {
		if t, tableErr := b.moduleTable(); tableErr == nil && b.loadModule(t, wantedModule{name: moduleName(kind)}) == nil {
			err = sysMount(source, target, kind, o.flags, o.data)
		}
	}
	if (err == syscall.EROFS || err == syscall.EACCES) && o.flags&unix.MS_RDONLY == 0 {
		logf(logWarn, "boot: %s cannot be written: mounting it read-only", source)
		err = sysMount(source, target, kind, o.flags|unix.MS_RDONLY, o.data)
	}
	return err
}

// knownTypes lists the file systems for devices that the kernel has now.
func (b *boot) knownTypes() (kinds []string) {
	text, _ := b.read("/proc/filesystems")
	for _, line := range strings.Split(text, "\n") {
		if kind, found := strings.CutPrefix(line, "\t"); found { // others begin with "nodev"
			kinds = append(kinds, strings.TrimSpace(kind))
		}
	}
	return kinds
}
