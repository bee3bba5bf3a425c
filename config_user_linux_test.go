// config_user_linux_test.go tests how users and groups are found, with account files of its own, which only a mount namespace can give.

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// withAccounts calls f on a thread whose /etc holds these files and nothing else.
func withAccounts(t *testing.T, dir string, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		skip(t, "a mount namespace needs root")
	}
	done := make(chan error)
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount(dir, "/etc", "", unix.MS_BIND, "")
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		skip(t, "no mount namespace: "+err.Error())
	}
}

func TestRow49_UsersWithAndWithoutPasswd(t *testing.T) {
	full := files(t, map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/sh\nbroken\napp:x:100:101:App:/srv/app:/bin/false\n",
		"group":  "root:x:0:\napp:x:101:\nlog:x:102:other,app\nvideo:x:103:app\n",
	})
	empty := t.TempDir()
	for _, row := range []struct {
		files, user, group string
		uid, gid           int
		groups, home, err  string
	}{
		{full, "", "", -1, -1, "[]", "", ""},
		{full, "app", "", 100, 101, "[102 103]", "/srv/app", ""},
		{full, "100", "", 100, 101, "[102 103]", "/srv/app", ""},
		{full, "app", "log", 100, 102, "[102 103]", "/srv/app", ""},
		{full, "app", "7", 100, 7, "[102 103]", "/srv/app", ""},
		{full, "5000", "", 5000, 5000, "[]", "/", ""},
		{full, "", "video", -1, 103, "[]", "", ""},
		{empty, "5000", "6000", 5000, 6000, "[]", "/", ""},
		{empty, "app", "", -1, -1, "[]", "", "a number"},
		{empty, "", "app", -1, -1, "[]", "", "a number"},
		{full, "ap", "", -1, -1, "[]", "", `user "ap" is not in /etc/passwd; did you mean "app"?`},
		{full, "app", "vide", -1, -1, "[]", "", `group "vide" is not in /etc/group; did you mean "video"?`},
		{full, "app", "nogroup", -1, -1, "[]", "", `group "nogroup" is not in /etc/group; create it, or give a number`},
		{full, "-1", "", -1, -1, "[]", "", `user "-1" is not in`},
		{full, "4294967295", "", -1, -1, "[]", "", `user "4294967295" is not in`},
	} {
		withAccounts(t, row.files, func() {
			uid, gid, groups, home, err := lookupUser(row.user, row.group)
			if uid != row.uid || gid != row.gid || fmt.Sprint(groups) != row.groups || home != row.home {
				t.Errorf("%q %q: %d %d %v %q", row.user, row.group, uid, gid, groups, home)
			}
			if (err == nil) != (row.err == "") || err != nil && !strings.Contains(err.Error(), row.err) {
				t.Errorf("%q %q: error %v, want %q", row.user, row.group, err, row.err)
			}
		})
	}
}
