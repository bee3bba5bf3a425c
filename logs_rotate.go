// logs_rotate.go opens, fills, rotates and replaces the file at the path of a log file; it decides nothing about losses.

//go:build !windows

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// store opens the file if need be and puts b into it by put, with rotation in between. It returns how much of b is in the file.
func (f *logFile) store(b []byte, put func([]byte) (int, error)) (done int, err error) {
	if err = f.open(); err != nil {
		return 0, err
	}
	for done < len(b) {
		room := f.room(b[done:])
		if room == 0 {
			if err = f.rotate(); err != nil {
				return done, err
			}
			continue
		}
		var n int
		n, err = put(b[done : done+room])
		if n > 0 {
			f.size += int64(n)
			done += n
			f.midLine = b[done-1] != '\n'
		}
		if err != nil {
			return f.mend(b, done), err
		}
	}
	return done, nil
}

// mend takes half a line back out of a file of whole lines after a failed write.
func (f *logFile) mend(b []byte, done int) int {
	if f.raw || !f.midLine {
		return done
	}
	whole := bytes.LastIndexByte(b[:done], '\n') + 1
	start := f.size - int64(done-whole)
	if f.file.Truncate(start) != nil {
		return done
	}
	if _, err := f.file.Seek(start, 0); err != nil {
		return done
	}
	f.size, f.midLine = start, false
	return whole
}

// room is how many bytes of b may go into the file as it is; 0: rotate first. Files end at a line's end and are never larger than maxSize,
// except that a raw line is cut when it alone is larger or was begun already, and a formatted one that alone is larger is not.
func (f *logFile) room(b []byte) int {
	f.mu.Lock()
	limit, raw := f.maxSize, f.raw
	f.mu.Unlock()
	fit := limit - f.size
	if limit <= 0 || int64(len(b)) <= fit || time.Now().Before(f.rotateAt) {
		return len(b)
	}
	fit = max(fit, 0)
	if n := bytes.LastIndexByte(b[:fit], '\n') + 1; n > 0 {
		return n
	}
	if f.size > 0 && !f.midLine {
		return 0
	}
	if raw || f.size > 0 {
		return int(fit)
	}
	if n := bytes.IndexByte(b, '\n') + 1; n > 0 {
		return n
	}
	return len(b)
}

// rotate moves file to file.1, file.1 to file.2 and so on, forgets what is older than file.keep, and begins a new file.
// If the directory does not permit that, the old file is continued; it is tried again, with a warning, at most once per retryEvery.
func (f *logFile) rotate() error {
	f.mu.Lock()
	keep := f.keep
	f.mu.Unlock()
	name := func(i int) string { return f.path + "." + strconv.Itoa(i) }
	var err error
	if keep > 0 {
		top := 1
		for top < keep && fileExists(name(top)) {
			top++
		}
		for ; top > 1 && err == nil; top-- {
			err = os.Rename(name(top-1), name(top))
		}
		if err == nil {
			err = os.Rename(f.path, name(1))
		}
	} else {
		err = os.Remove(f.path)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		f.rotateAt = time.Now().Add(retryEvery)
		logf(logWarn, "log file %s of %s cannot be rotated and grows beyond max_size_bytes: %v", f.path, f.service, err)
		return nil
	}
	f.file.Close()
	f.file = nil
	return f.open()
}

func fileExists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// open opens the file if it is not, or not the one at its path any more (looked at once a second while lines come).
// It must be a regular file with one name: through a link a service could make us write to any file, and a device or FIFO may block.
func (f *logFile) open() error {
	if f.file != nil {
		if f.current() {
			return nil
		}
		f.file.Close()
		f.file = nil
	}
	f.lookAt = time.Now().Add(retryEvery)
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return err
	}
	if fi, err := os.Lstat(f.path); err == nil {
		if err = suitable(fi); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|logOpenFlags, 0o644)
	if err != nil {
		return err
	}
	fi, err := file.Stat()
	if err == nil {
		err = suitable(fi)
	}
	if err == nil {
		f.size, err = file.Seek(0, 2)
	}
	if err != nil {
		file.Close()
		return err
	}
	f.file, f.midLine, f.appends = file, false, false
	return nil
}

// current says whether the open file is the one at its path (looked at once a second), and goes to its end, where that is another than we left: somebody
// has truncated the file.
func (f *logFile) current() bool {
	have, err := f.file.Stat()
	if err == nil && have.Size() != f.size {
		f.midLine = false
		f.size, err = f.file.Seek(0, 2)
	}
	if now := time.Now(); err == nil && !now.Before(f.lookAt) {
		f.lookAt = now.Add(retryEvery)
		at, err := os.Lstat(f.path)
		return err == nil && os.SameFile(have, at)
	}
	return err == nil
}

// write appends to the open file, wherever its end is by now.
func (f *logFile) write(b []byte) (int, error) {
	if err := f.append(true); err != nil {
		return 0, err
	}
	return f.file.Write(b)
}

// append has the kernel put each write at the end of the file, or not: splice(2) refuses such a file.
func (f *logFile) append(on bool) error {
	if f.appends == on {
		return nil
	}
	if err := logAppend(int(f.file.Fd()), on); err != nil {
		return err
	}
	f.appends = on
	return nil
}

// suitable says why a file must not be written to; nil: it may.
func suitable(fi os.FileInfo) error {
	switch mode := fi.Mode(); {
	case mode&os.ModeSymlink != 0:
		return errors.New("it is a symbolic link, which is not followed; name the file itself")
	case mode.IsDir():
		return errors.New("it is a directory; name a file in it")
	case !mode.IsRegular():
		return errors.New("it is a device, FIFO or socket; only an ordinary file can be a log file")
	case logLinks(fi) != 1:
		return errors.New("it has several names (hard links); remove the others or name another file")
	}
	return nil
}
