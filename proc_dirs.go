// proc_dirs.go makes the directories that a service needs before each start. It may hang like the disk that they are on.

//go:build !windows

package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// makeRuntimeDirs makes directories of mode 0755 for a user and group (-1: ours), and makes missing parents, which belong to us. An existing directory
// gets owner and mode only if it is empty or already belongs to the user. at is called with each path before it is examined. Errors are spawn errors.
func makeRuntimeDirs(dirs []string, uid, gid int, at func(string)) error {
	if uid < 0 {
		uid = os.Geteuid()
	}
	for _, dir := range dirs {
		at(dir)
		err := makeParents(filepath.Dir(filepath.Clean(dir)))
		if err == nil {
			err = makeRuntimeDir(filepath.Clean(dir), uid, gid)
		}
		if err != nil {
			return cannotExec(errnoOf(err), "cannot make %s, one of runtime_dirs: %v", visible(dir), errnoOf(err))
		}
	}
	return nil
}

// makeParents makes a directory and all above it, with mode 0755 whatever our umask is. Those that exist are left alone.
func makeParents(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeParents(filepath.Dir(dir)); err == nil {
			err = os.Mkdir(dir, 0o755)
		}
	}
	switch {
	case err == nil:
		return os.Chmod(dir, 0o755)
	case errors.Is(err, fs.ErrExist):
		return nil
	}
	if info, statErr := os.Stat(dir); statErr == nil && info.IsDir() { // mkdir(2) may look at our rights, or at the file system, first
		return nil
	}
	return err
}

// makeRuntimeDir makes one directory. It never follows a symbolic link: what is above may belong to somebody else.
func makeRuntimeDir(dir string, uid, gid int) error {
	err := os.Mkdir(dir, 0o700)
	made := err == nil
	f, openErr := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if openErr != nil {
		if !made && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return openErr
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !made && ok && int(owner.Uid) != uid {
		if _, err := f.Readdirnames(1); err != io.EOF {
			return nil // not ours to give away
		}
	}
	err = f.Chown(uid, gid)
	if err == nil {
		err = f.Chmod(0o755)
	}
	if !made && errors.Is(err, fs.ErrPermission) {
		return nil // we are not root: whoever made it knows for whom
	}
	return err
}
