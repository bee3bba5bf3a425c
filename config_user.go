// config_user.go finds the numbers of users and groups by name; it changes to none of them.

package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os/user"
	"runtime"
	"strconv"
	"strings"
)

// lookupUser finds the numbers of a user and a group; -1 is "keep", for an empty one. Numbers always work. Without a group it is the
// user's own one and groups are the supplementary ones; a number that /etc/passwd does not have gets the group of the same number,
// so that nothing is left with the group of root, and the home directory /.
func lookupUser(name, group string) (uid, gid int, groups []int, home string, err error) {
	uid, gid = -1, -1
	if name != "" {
		account, err := findUser(name)
		if err != nil {
			return -1, -1, nil, "", err
		}
		if uid, err = strconv.Atoi(account.Uid); err == nil {
			gid, err = strconv.Atoi(account.Gid)
		}
		if err != nil {
			return -1, -1, nil, "", fmt.Errorf("user %s has no number: %w", quoted(name), err)
		}
		home, groups = cmp.Or(account.HomeDir, "/"), groupsOf(account)
	}
	if group != "" {
		if gid, err = findGroup(group); err != nil {
			return -1, -1, nil, "", err
		}
	}
	return uid, gid, groups, home, nil
}

// idNumber reads a numeric uid or gid.
func idNumber(word string) (n int, ok bool) {
	n, err := strconv.Atoi(word)
	return n, err == nil && n >= 0 && int64(n) < math.MaxUint32
}

// findUser looks a user up by name or number. One that is only a number has a group of the same number, and nothing else.
func findUser(word string) (*user.User, error) {
	account, err := user.Lookup(word)
	if err == nil {
		return account, nil
	}
	n, isNumber := idNumber(word)
	if !isNumber {
		return nil, unknownAccount("user", word, "/etc/passwd", err)
	}
	id := strconv.Itoa(n)
	account, err = user.LookupId(id)
	if err == nil && (runtime.GOOS != "linux" || passwdEntry(id) != nil) { // of our own number os/user says what HOME is, entry or not
		return account, nil
	}
	return &user.User{Uid: id, Gid: id}, nil
}

// loginShell is the shell that passwd(5) has for a user given by name or number.
func loginShell(word string) string {
	if entry := passwdEntry(strings.TrimPrefix(word, "+")); entry != nil && entry[6] != "" {
		return entry[6]
	}
	return "/bin/sh"
}

// passwdEntry is the line of passwd(5) of a user given by name or number; nil: there is none.
func passwdEntry(word string) []string {
	data, _ := readRegular("/etc/passwd", 64<<20) // what cannot be read has no entries
	for _, line := range strings.Split(string(data), "\n") {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == 7 && (f[0] == word || f[2] == word) {
			return f
		}
	}
	return nil
}

func findGroup(word string) (gid int, err error) {
	g, err := user.LookupGroup(word)
	if err == nil {
		return strconv.Atoi(g.Gid)
	}
	if n, isNumber := idNumber(word); isNumber {
		return n, nil
	}
	return -1, unknownAccount("group", word, "/etc/group", err)
}

// groupsOf lists the groups that name a user as a member; the user's own is no member's.
func groupsOf(account *user.User) (groups []int) {
	if account.Username == "" {
		return nil
	}
	ids, _ := account.GroupIds() // without /etc/group there are none
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil && id != account.Gid {
			groups = append(groups, n)
		}
	}
	return groups
}

// unknownAccount says that a name was not found, and which one may be meant.
func unknownAccount(what, word, file string, err error) error {
	_, noUser := errors.AsType[user.UnknownUserError](err)
	_, noGroup := errors.AsType[user.UnknownGroupError](err)
	if !noUser && !noGroup {
		return fmt.Errorf("cannot look up the %s %s: %v; a number works without that file, as in `%s = 1000`", what, quoted(word), err, what)
	}
	text := fmt.Sprintf("%s %s is not in %s", what, quoted(word), file)
	if near := nearest(word, accountNames(file)); near != "" {
		return fmt.Errorf("%s; did you mean %s?", text, quoted(near))
	}
	return fmt.Errorf("%s; create it, or give a number", text)
}

// accountNames lists the names in passwd(5) or group(5).
func accountNames(file string) (names []string) {
	data, _ := readRegular(file, 64<<20) // what cannot be read has no names
	for _, line := range strings.Split(string(data), "\n") {
		if name, _, ok := strings.Cut(line, ":"); ok {
			names = append(names, name)
		}
	}
	return names
}
