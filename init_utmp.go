// init_utmp.go notes boots and shutdowns in utmp and wtmp, where who(1), last(1) and uptime(1) find them; sessions are noted by the programs that open them.

//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"strings"
	"time"
)

const (
	utmpFile = "/run/utmp"
	wtmpFile = "/var/log/wtmp"
)

// Types of a record: utmp(5). A shutdown is noted as runlevel(8) and systemd note it: a change of the runlevel by the user "shutdown".
const (
	utmpRunLevel = 1
	utmpBoot     = 2
)

// utmpRecord is a struct utmp of glibc: numbers are those of the machine, and times have 32 bits for the sake of 32-bit programs but on arm64
// (__WORDSIZE_TIME64_COMPAT32 of bits/wordsize.h).
func utmpRecord(kind uint16, user, host string, now time.Time, arch string) []byte {
	r, e := make([]byte, 384), binary.NativeEndian
	if arch == "arm64" {
		r = make([]byte, 400)
		e.PutUint64(r[344:], uint64(now.Unix()))
		e.PutUint64(r[352:], uint64(now.Nanosecond()/1000))
	} else {
		e.PutUint32(r[340:], uint32(now.Unix()))
		e.PutUint32(r[344:], uint32(now.Nanosecond()/1000))
	}
	e.PutUint16(r, kind)
	copy(r[8:40], "~")
	copy(r[40:44], "~~")
	copy(r[44:76], user)
	copy(r[76:332], host)
	return r
}

// utmpSteps notes the boot in wtmp, and begins a utmp anew with it, which gets the owner and mode of wtmp. A machine without wtmp wants neither.
func (b *boot) utmpSteps() []bootStep {
	s := bootStep{what: "note the boot in " + wtmpFile + " and " + utmpFile, do: func() error {
		return errors.Join(b.note(wtmpFile, os.O_APPEND, utmpBoot, "reboot"), b.note(utmpFile, os.O_CREATE|os.O_TRUNC, utmpBoot, "reboot"))
	}}
	if _, err := os.Stat(b.path(wtmpFile)); err != nil {
		s.done = "there is no " + wtmpFile
	}
	return []bootStep{s}
}

// noteDown notes a shutdown in wtmp, if there is one.
func (b *boot) noteDown() error {
	if _, err := os.Stat(b.path(wtmpFile)); err != nil {
		return nil
	}
	return b.note(wtmpFile, os.O_APPEND, utmpRunLevel, "shutdown")
}

// note writes a record of the running kernel to a file, which is like wtmp in owner and mode.
func (b *boot) note(name string, flags int, kind uint16, user string) error {
	f, err := os.OpenFile(b.path(name), os.O_WRONLY|flags, 0o600)
	if err != nil {
		return err
	}
	st, err := os.Stat(b.path(wtmpFile))
	if err == nil {
		err = errors.Join(f.Chmod(st.Mode().Perm()), sysKeepOwner(f, b.path(wtmpFile))) // whatever the umask is
	}
	_, release, _ := strings.Cut(kernelName(), " ")
	_, writeErr := f.Write(utmpRecord(kind, user, release, time.Now(), runtime.GOARCH))
	return errors.Join(err, writeErr, f.Close())
}
