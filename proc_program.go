// proc_program.go looks at a program before a start, and says why one cannot be executed.

//go:build !windows

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"
)

// lookProgram finds the program file: a name without / in the PATH of the service, a relative one below its directory.
func lookProgram(sp *spec, at func(string)) (string, error) {
	name := sp.Argv[0]
	if strings.Contains(name, "/") {
		at(name)
		return name, checkProgram((&spec{Path: name, Dir: sp.Dir}).file())
	}
	search, ok := variableIn(sp.Env)("PATH")
	if !ok {
		search = defaultPath
	}
	var found error
	for _, dir := range strings.Split(search, ":") {
		file := path.Join(dir, name)
		if !path.IsAbs(file) {
			file = path.Join(sp.Dir, file)
		}
		at(file)
		err := checkProgram(file)
		if err == nil {
			return file, nil
		}
		if found == nil && !errors.Is(err, syscall.ENOTDIR) {
			if _, statErr := os.Stat(file); statErr == nil {
				found = err
			}
		}
	}
	if found != nil {
		return "", found
	}
	return "", cannotExec(syscall.ENOENT, "%s was not found in PATH (%s): %v; give its full path", visible(name), visible(search), syscall.ENOENT)
}

// spawnError is why a program cannot be executed, for people; errors.Is finds the errno.
type spawnError struct {
	text string
	err  error
}

// cannotExec makes a spawnError with its cause, which may be nil.
func cannotExec(cause error, format string, args ...any) error {
	return &spawnError{fmt.Sprintf(format, args...), cause}
}

// Error is the sentence, with the words of the errno (errno(3)) where it lacks them.
func (e *spawnError) Error() string {
	errno, ok := e.err.(syscall.Errno)
	if !ok || e.text == "" || strings.Contains(e.text, errno.Error()) {
		return e.text
	}
	return e.text + " (" + errno.Error() + ")"
}

func (e *spawnError) Unwrap() error { return e.err }

// execFailures are the errnos of execve(2) and fork(2) that one sentence explains; %s is the program.
func execFailures() map[syscall.Errno]string {
	return map[syscall.Errno]string{
		syscall.EACCES:  "%s is not executable for the user of the service: check its mode (chmod +x), its directories, and that its file system is not mounted noexec",
		syscall.ENOEXEC: "%s: exec format error: no #! line or wrong architecture",
		syscall.ETXTBSY: "%s: text file busy: somebody has it open for writing",
		syscall.E2BIG:   "%s: its arguments and environment are too long",
		syscall.EAGAIN:  "%s: no more processes allowed here (pids limit or RLIMIT_NPROC of the user)",
		syscall.ENOMEM:  "%s: not enough memory to start it",
	}
}

// explainExec turns the errno of a failed start into a sentence that names what is missing: execve(2) answers ENOENT both for
// the program and for its interpreter.
func explainExec(sp *spec, err error) error {
	if sp.Dir != "" {
		if dirErr := checkDir(sp.Dir); dirErr != nil {
			return dirErr
		}
	}
	switch {
	case errors.Is(err, syscall.ENOENT):
		if progErr := checkProgram(sp.file()); progErr != nil {
			return progErr
		}
		return cannotExec(err, "%s exists, but something that it needs to be executed does not (its interpreter or dynamic loader)", sp.Path)
	case errors.Is(err, syscall.EPERM) && (sp.UID >= 0 || sp.GID >= 0):
		return cannotExec(err, "not permitted to switch to uid %d, gid %d: zinit runs as uid %d (give it CAP_SETUID and CAP_SETGID, or remove user and group)", sp.UID, sp.GID, os.Geteuid())
	}
	errno, _ := errnoOf(err).(syscall.Errno)
	if format := execFailures()[errno]; format != "" {
		return cannotExec(err, format, sp.Path)
	}
	return cannotExec(err, "%s: %v", sp.Path, err)
}

// checkDir says why dir cannot be a working directory.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return cannotExec(nil, "dir %s does not exist (%v)", dir, syscall.ENOENT) // errors.Is ENOENT is for programs: it makes exit code 127
	case err != nil:
		return cannotExec(errnoOf(err), "dir %s: %v", dir, errnoOf(err))
	case !info.IsDir():
		return cannotExec(syscall.ENOTDIR, "dir %s is not a directory", dir)
	}
	return nil
}

// checkProgram reads the first bytes of a program, and looks for the interpreter that its #! line names (execve(2)).
// Ordinary blocking calls: on a dead mount it does not return, which is why it is done before a fork and on a goroutine.
func checkProgram(file string) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return cannotExec(syscall.ENOENT, "%s does not exist", file)
	case err != nil:
		return cannotExec(errnoOf(err), "%s: %v", file, errnoOf(err))
	case info.IsDir():
		return cannotExec(syscall.EACCES, "%s is a directory, not a program", file)
	case !info.Mode().IsRegular():
		return cannotExec(syscall.EACCES, "%s is not a regular file", file)
	case info.Mode()&0o111 == 0:
		return cannotExec(syscall.EACCES, "%s is not executable: permission denied (chmod +x)", file)
	}
	var head [4096]byte
	n, err := sysReadHead(file, head[:])
	if err != nil {
		return nil // execute permission without read permission is enough for execve
	}
	if loader := elfLoader(head[:n]); loader != "" {
		if _, err := os.Stat(loader); err != nil {
			return cannotExec(errnoOf(err), "%s needs the dynamic loader %s, which does not exist here: link it statically or add the loader", file, visible(loader))
		}
		return nil
	}
	line, ok := bytes.CutPrefix(head[:n], []byte("#!"))
	if !ok {
		return nil
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	words := strings.FieldsFunc(string(line), func(r rune) bool { return r == ' ' || r == '\t' })
	if len(words) == 0 {
		return cannotExec(syscall.ENOEXEC, "%s: its #! line names no interpreter", file)
	}
	if _, err := os.Stat(words[0]); err != nil {
		hint := ""
		if strings.HasSuffix(words[0], "\r") {
			hint = " (the file has Windows line ends)"
		}
		return cannotExec(errnoOf(err), "%s needs the interpreter %s, which does not exist%s", file, visible(words[0]), hint)
	}
	return nil
}

// elfLoader is the PT_INTERP of a little-endian ELF file (elf(5)) as far as its first bytes show it; "" for everything else.
func elfLoader(head []byte) string {
	if len(head) < 64 || string(head[:4]) != "\x7fELF" || head[5] != 1 {
		return ""
	}
	le := binary.LittleEndian
	table, size, count := int(le.Uint32(head[28:])), int(le.Uint16(head[42:])), int(le.Uint16(head[44:]))
	offset, length := 4, 16
	if head[4] == 2 { // 64 bit
		table, size, count = int(le.Uint32(head[32:])), int(le.Uint16(head[54:])), int(le.Uint16(head[56:]))
		offset, length = 8, 32
	}
	for i := range count {
		at := table + i*size
		if at < 0 || size < length+4 || at+size > len(head) {
			return ""
		}
		entry := head[at : at+size]
		if le.Uint32(entry) != 3 { // PT_INTERP
			continue
		}
		from := int(le.Uint32(entry[offset:]))
		to := from + int(le.Uint32(entry[length:]))
		if from < 0 || to > len(head) || to <= from {
			return ""
		}
		return string(bytes.TrimRight(head[from:to], "\x00"))
	}
	return ""
}
