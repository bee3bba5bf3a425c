// init_root.go goes over from an initramfs to the root file system (switch_root) and executes the init there.

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// newRootDir is where the root file system is mounted before it becomes /.
const newRootDir = "/sysroot"

// initPlaces is where a root file system may have its init: what `init=` says, then where the kernel looks.
func (w *bootWords) initPlaces() []string {
	return slices.DeleteFunc([]string{w.init, "/sbin/init", "/etc/init", "/bin/init"}, func(p string) bool { return p == "" })
}

func (b *boot) rootSteps() []bootStep {
	if b.words.root == "" {
		return nil
	}
	s := bootStep{what: "go over to the root file system on " + b.words.root, vital: true, do: func() error { return b.switchRoot(b.words.root) }}
	if !sysVolatile(b.path("/")) {
		s.done = "/ is a root file system already"
	}
	return []bootStep{s}
}

// rootIsReadOnly asks the kernel's list of mounts.
func (b *boot) rootIsReadOnly() bool {
	mounts := b.mounts()
	i := slices.IndexFunc(mounts, func(m mountEntry) bool { return m.target == "/" && m.kind != "rootfs" })
	return i >= 0 && slices.Contains(strings.Split(mounts[i].options, ","), "ro")
}

// switchRoot mounts a device, makes it /, deletes what was in the initramfs and executes the init that is there; or this very program,
// from memory, if there is none. It returns only on error. If the new / is not in place by then, the mounts are moved back; the device stays mounted at newRootDir, and /tmp may be unmounted.
func (b *boot) switchRoot(dev string) error {
	target := b.path(newRootDir)
	if !sysMounted(target) {
		if err := b.mountRoot(dev, target); err != nil {
			return err
		}
	}
	if err := makeMountpoints(target); err != nil {
		return err
	}
	self, err := os.Open("/proc/self/exe") // before it is deleted
	if err != nil {
		return err
	}
	defer self.Close()
	for _, m := range takenAlong {
		if err := moveMount(b.path(m), target+m); err != nil {
			logf(logWarn, "boot: cannot take %s along: %v", m, err)
		}
	}
	_ = sysUnmount(b.path("/tmp"), true)
	if err := sysSwitchRoot(target); err != nil {
		for _, m := range takenAlong {
			_ = moveMount(target+m, b.path(m))
		}
		return fmt.Errorf("cannot make %s the root: %w", dev, err)
	}
	serverLog.flush(time.Second)
	args, env := append([]string{"init"}, os.Args[1:]...), os.Environ()
	for _, place := range b.words.initPlaces() {
		args[0] = place
		if err := sysExec(place, args, env); !errors.Is(err, os.ErrNotExist) {
			logf(logWarn, "boot: cannot execute %s of the root file system: %v", place, err)
		}
	}
	args[0] = "init"
	return fmt.Errorf("cannot go on in the root file system: %w", sysExec("/proc/self/fd/"+strconv.Itoa(int(self.Fd())), args, env))
}

// mountRoot mounts the device with the kernel's own words for that: rootfstype, rootflags, ro.
func (b *boot) mountRoot(dev, target string) error {
	source, err := b.device(dev, time.Now().Add(deviceWait))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := b.fsck(source, "/", b.words.rootType); err != nil {
		return err
	}
	o := mountOptions(b.words.rootFlags)
	if b.words.readOnly {
		o.flags |= unix.MS_RDONLY
	}
	return b.mountAny(source, target, b.words.rootType, o)
}

// takenAlong are the mounts that move into the root file system, with all below them.
var takenAlong = []string{"/dev", "/proc", "/sys", "/run"}

// makeMountpoints makes what is missing for them. One that cannot be made is an error: without /dev there would not even be a console.
func makeMountpoints(root string) error {
	for _, m := range takenAlong {
		if info, err := os.Stat(root + m); err == nil && info.IsDir() {
			continue
		}
		if err := os.Mkdir(root+m, 0o755); err != nil {
			return fmt.Errorf("it has no directory %s, and none can be made: %w", m, reasonOf(err))
		}
	}
	return nil
}

func moveMount(from, to string) error {
	if !sysMounted(from) {
		return nil
	}
	return sysMount(from, to, "", unix.MS_MOVE, "")
}
