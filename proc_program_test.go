// proc_program_test.go tries programs that cannot be executed, and what is said of them.

//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestRow07_ErrorsOfExecAreExact(t *testing.T) {
	tab := newTestProcs(t)
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		full := filepath.Join(dir, name)
		if err := os.WriteFile(full, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return full
	}
	for _, c := range []struct {
		what  string
		exec  execDef
		dir   string
		want  string
		errno error
	}{
		{"missing", execDef{Argv: []string{"/no/such"}}, "", "/no/such does not exist (no such file or directory)", syscall.ENOENT},
		{"not in PATH", execDef{Argv: []string{"no-such-program"}}, "", "no-such-program was not found in PATH (/usr/bin:/bin): no such file or directory; give its full path", syscall.ENOENT},
		{"interpreter", execDef{Argv: []string{file("interp", "#!/no/interp -x\n", 0o755)}}, "", dir + "/interp needs the interpreter /no/interp, which does not exist (no such file or directory)", syscall.ENOENT},
		{"mode", execDef{Argv: []string{file("mode", "#!/bin/sh\n", 0o644)}}, "", dir + "/mode is not executable: permission denied (chmod +x)", syscall.EACCES},
		{"directory", execDef{Argv: []string{dir}}, "", dir + " is a directory, not a program (permission denied)", syscall.EACCES},
		{"no #!", execDef{Argv: []string{file("plain", "echo\n", 0o755)}}, "", dir + "/plain: exec format error: no #! line or wrong architecture", syscall.ENOEXEC},
		{"loader", execDef{Argv: []string{file("elf", elfWithLoader("/no/ld.so"), 0o755)}}, "", dir + "/elf needs the dynamic loader /no/ld.so, which does not exist here: link it statically or add the loader (no such file or directory)", syscall.ENOENT},
		{"dir", execDef{Argv: []string{"/bin/sh"}}, "/no/dir", "dir /no/dir does not exist (no such file or directory)", nil},
		{"dir is a file", execDef{Argv: []string{"/bin/sh"}}, dir + "/plain", "dir " + dir + "/plain is not a directory", syscall.ENOTDIR},
	} {
		t.Run(c.what, func(t *testing.T) {
			cfg := &config{Service: serviceDef{Name: "x", Dir: c.dir, Env: map[string]string{"PATH": "/usr/bin:/bin"}}}
			sp, err := resolve(cfg, c.exec, "", func(string) {})
			if err == nil {
				_, err = tab.start(sp, "x", "", func(exit) { t.Error("it started") })
			}
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if c.errno != nil && !errors.Is(err, c.errno) {
				t.Errorf("errno of %q is not %v", err, c.errno)
			}
		})
	}
	eventually(t, "no child is left", func() bool { return len(sysChildren(nil, os.Getpid())) == 0 })
}

func TestRow07_TheProgramVanishesAfterTheCheck(t *testing.T) {
	tab := newTestProcs(t)
	_, err := tab.start(childSpec(-1, nil, "/no/such"), "x", "", func(exit) {})
	if err == nil || err.Error() != "/no/such does not exist (no such file or directory)" {
		t.Errorf("got %v", err)
	}
	busy := filepath.Join(t.TempDir(), "busy")
	f, err := os.OpenFile(busy, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := tab.start(childSpec(-1, nil, busy), "x", "", func(exit) {}); !errors.Is(err, syscall.ETXTBSY) {
		t.Errorf("a program that is being written: %v", err)
	}
}

// elfWithLoader is the beginning of a 64-bit ELF file whose PT_INTERP is loader.
func elfWithLoader(loader string) string {
	b := make([]byte, 64+56, 256)
	copy(b, "\x7fELF\x02\x01\x01")
	b[32], b[54], b[56] = 64, 56, 1
	b[64] = 3
	b[64+8], b[64+32] = 64+56, byte(len(loader)+1)
	return string(append(append(b, loader...), 0))
}

func TestElfLoaderSurvivesGarbage(t *testing.T) {
	good := elfWithLoader("/lib/ld.so")
	if got := elfLoader([]byte(good)); got != "/lib/ld.so" {
		t.Fatalf("loader %q", got)
	}
	for n := range len(good) {
		for _, v := range []byte{0, 0x7f, 0xff} {
			bad := []byte(good)
			bad[n] = v
			_ = elfLoader(bad)
			_ = elfLoader(bad[:n])
		}
	}
}
