// program_paths.go says where sockets and services directories are when nobody names them; it opens none of them.

package main

import (
	"cmp"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// defaultPath is where programs are looked for when nobody says where, and the PATH of what we start then.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// home is the home directory of whoever runs us, or "".
func home() string {
	if runtime.GOOS == "windows" {
		return cmp.Or(os.Getenv("HOME"), os.Getenv("USERPROFILE"))
	}
	return os.Getenv("HOME")
}

// inHome is a path below the home directory, or "" for somebody without one.
func inHome(elem ...string) string {
	h := home()
	if h == "" {
		return ""
	}
	return filepath.Join(append([]string{h}, elem...)...)
}

const systemSocket = "/run/zinit.sock"

// isSystem says whether the paths of the whole machine are ours: root on Linux.
func isSystem() bool { return runtime.GOOS == "linux" && os.Geteuid() == 0 }

// userSocket is the socket of a server that is not the system's, or "" when there is no place for one.
func userSocket() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && runtime.GOOS == "linux" {
		return filepath.Join(dir, "zinit.sock")
	}
	return inHome("hero", "var", "zinit.sock")
}

// defaultSocket is where a server listens when nobody says otherwise.
func defaultSocket() string {
	if isSystem() {
		return systemSocket
	}
	return userSocket()
}

// clientSockets lists where a server may be found, the system's first, then the user's,
// then the places that a container without a writable /run falls back to.
func clientSockets() []string {
	var paths []string
	if runtime.GOOS == "linux" {
		paths = append(paths, systemSocket)
	}
	if p := userSocket(); p != "" {
		paths = append(paths, p)
	}
	if runtime.GOOS != "linux" {
		return paths
	}
	paths = append(paths, "/tmp/zinit.sock")
	if ns, err := os.Readlink("/proc/self/ns/pid"); err == nil { // pid:[4026531836]
		paths = append(paths, "/dev/shm/zinit."+strings.Trim(ns, "pid:[]")+"/zinit.sock")
	}
	return append(paths, "@zinit")
}

// keeperSockets lists where a server under the keeper makes its socket: the first place that it can write to.
func keeperSockets() []string {
	return slices.DeleteFunc(clientSockets(), func(p string) bool { return p == userSocket() && p != systemSocket })
}

// configDirs gives the services directories: those named, else of the environment, else the default. Under `zinit init` that is where an
// image has them, whatever user it runs as.
func configDirs(named []string, keeper bool) []string {
	if len(named) > 0 {
		return named
	}
	if env := filepath.SplitList(os.Getenv("ZINIT_CONFIG_DIR")); len(env) > 0 {
		return env
	}
	if isSystem() || keeper {
		return []string{"/etc/zinit/services"}
	}
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" && runtime.GOOS == "linux" {
		return []string{filepath.Join(dir, "zinit", "services")}
	}
	if dir := inHome("hero", "cfg", "zinit"); dir != "" {
		return []string{dir}
	}
	return nil
}

// defaultSystemDir is where a machine keeps its system services, or "" where there are none.
func defaultSystemDir() string {
	if isSystem() {
		return "/etc/zinit/system"
	}
	return ""
}

// readNames lists what is in a directory, in the order of the names.
func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}
