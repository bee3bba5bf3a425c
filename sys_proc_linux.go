// sys_proc_linux.go reads what the kernel tells of processes, in /proc and without it.

package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// procPath is /proc/PID/… without the formatting machinery: it is on the way of every stop.
func procPath(pid int, rest string) string {
	b := make([]byte, 0, 40)
	b = append(b, "/proc/"...)
	b = strconv.AppendInt(b, int64(pid), 10)
	return string(append(b, rest...))
}

// readSmall reads a file of /proc without the poller and allocations of package os.
func readSmall(name string, buf []byte) ([]byte, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n := 0
	for {
		if n == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
		got, err := unix.Read(fd, buf[n:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, err
		case got == 0:
			return buf[:n], nil
		default:
			n += got
		}
	}
}

// sysReadHead reads the beginning of a file without the poller and allocations of package os. A file that cannot be opened is an error; one that cannot be read counts as empty.
func sysReadHead(name string, buf []byte) (int, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Read(fd, buf)
		if err != unix.EINTR {
			return max(n, 0), nil
		}
	}
}

// childrenFile says whether the kernel has /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN).
var childrenFile = sync.OnceValue(func() bool {
	return unix.Access(procPath(os.Getpid(), "/task/"+strconv.Itoa(os.Getpid())+"/children"), unix.R_OK) == nil
})

// sysChildren appends the children of pid, of all its threads. One thread is the common case and costs four calls.
func sysChildren(dst []int, pid int) []int {
	if !childrenFile() {
		return childrenByScan(dst, pid)
	}
	var stack [512]byte
	task := procPath(pid, "/task/")
	var st unix.Stat_t
	if unix.Stat(task, &st) != nil {
		return dst
	}
	if st.Nlink == 3 { // ., .. and one thread: the first
		data, _ := readSmall(task+strconv.Itoa(pid)+"/children", stack[:])
		return appendInts(dst, data)
	}
	for _, tid := range numericNames(task) {
		data, _ := readSmall(task+strconv.Itoa(tid)+"/children", stack[:])
		dst = appendInts(dst, data)
	}
	return dst
}

// sysOrphans lists the children of pid among which are all that it inherited: the kernel gives orphans to the first living thread
// (find_alive_thread in kernel/exit.c), which in a Go program is the main one. One file instead of one per thread, after every end of a service.
func sysOrphans(pid int) []int {
	if !childrenFile() {
		return childrenByScan(nil, pid)
	}
	data, _ := readSmall(procPath(pid, "/task/"+strconv.Itoa(pid)+"/children"), make([]byte, 1024))
	return appendInts(nil, data)
}

// childrenByScan looks through all processes, for kernels without the children file.
func childrenByScan(dst []int, pid int) []int {
	for _, other := range sysAllPids() {
		if st, err := readStat(other); err == nil && st.PPID == pid {
			dst = append(dst, other)
		}
	}
	return dst
}

func appendInts(dst []int, data []byte) []int {
	n, in := 0, false
	for _, c := range data {
		switch {
		case c >= '0' && c <= '9':
			n, in = n*10+int(c-'0'), true
		case in:
			dst, n, in = append(dst, n), 0, false
		}
	}
	return dst
}

// numericNames lists the entries of a directory of /proc that are numbers.
func numericNames(dir string) []int {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var numbers []int
	var names []string
	for buf := make([]byte, 4096); ; {
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return numbers
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names[:0])
		for _, name := range names {
			if n, err := strconv.Atoi(name); err == nil {
				numbers = append(numbers, n)
			}
		}
	}
}

func sysAllPids() []int { return numericNames("/proc") }

const (
	userHZ      = 100        // ticks per second in /proc, the same on all systems of ours
	flagKthread = 0x00200000 // PF_KTHREAD of linux/sched.h
)

// readStat reads /proc/PID/stat (proc_pid_stat(5)). The name in parentheses may contain anything, also parentheses.
func readStat(pid int) (procStat, error) {
	var stack [1024]byte
	data, err := readSmall(procPath(pid, "/stat"), stack[:])
	if err != nil {
		return procStat{}, err
	}
	return parseStat(pid, data)
}

func parseStat(pid int, data []byte) (procStat, error) {
	left, right := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if left < 0 || right < left || right+2 >= len(data) {
		return procStat{}, unix.EINVAL
	}
	st := procStat{PID: pid, Comm: string(data[left+1 : right]), State: data[right+2]}
	var field [24]uint64 // field[0] is number 3 of the manual
	rest := data[right+2:]
	for i := range field {
		word, after, _ := bytes.Cut(rest, []byte{' '})
		rest = after
		for _, c := range word {
			if c >= '0' && c <= '9' {
				field[i] = field[i]*10 + uint64(c-'0')
			}
		}
	}
	st.PPID, st.PGID, st.Session = int(field[1]), int(field[2]), int(field[3])
	st.Kernel = field[6]&flagKthread != 0
	st.CPU = time.Duration(field[11]+field[12]) * (time.Second / userHZ)
	st.Threads, st.Start = int(field[17]), field[19]
	st.Memory = int64(field[21]) * int64(os.Getpagesize())
	return st, nil
}

// sysTicks is the start time that a process made now would have in readStat: a fork between two equal answers has it.
func sysTicks() uint64 {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return 0
	}
	return uint64(now.Nano()) / uint64(time.Second/userHZ)
}

// sysAge is the time since a start time of readStat, which counts from boot, suspension included.
func sysAge(start uint64) time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return 0
	}
	return max(0, time.Duration(now.Nano())-time.Duration(start)*(time.Second/userHZ))
}

// sysEnviron reads the environment that a process was executed with; it blocks on the lock of its memory.
func sysEnviron(pid int) []byte {
	data, _ := readSmall(procPath(pid, "/environ"), make([]byte, 8192))
	return data
}

// sysCmdline reads the arguments of a process, NUL-separated; it blocks like sysEnviron.
func sysCmdline(pid int) []byte {
	data, _ := readSmall(procPath(pid, "/cmdline"), make([]byte, 1024))
	return data
}

// sysSmapsRollup reads the sums over all mappings of a process; it blocks like sysEnviron.
func sysSmapsRollup(pid int) []byte {
	data, _ := readSmall(procPath(pid, "/smaps_rollup"), make([]byte, 1024))
	return data
}

// sysStatmExact says whether statm adds up what each processor keeps back, as it does since Linux 6.16.
var sysStatmExact = sync.OnceValue(func() bool {
	_, release, _ := strings.Cut(kernelName(), " ")
	numbers := strings.FieldsFunc(release, func(r rune) bool { return r < '0' || r > '9' })
	if len(numbers) < 2 {
		return false
	}
	major, _ := strconv.Atoi(numbers[0])
	minor, _ := strconv.Atoi(numbers[1])
	return major > 6 || major == 6 && minor >= 16
})

// sysStatmResident is the resident memory of statm.
func sysStatmResident(pid int) int64 {
	data, _ := readSmall(procPath(pid, "/statm"), make([]byte, 128))
	if words := strings.Fields(string(data)); len(words) > 1 {
		pages, _ := strconv.ParseInt(words[1], 10, 64)
		return pages * int64(os.Getpagesize())
	}
	return 0
}

// sysFDs counts the open descriptors; 0 when we may not look.
func sysFDs(pid int) int { return len(numericNames(procPath(pid, "/fd"))) }

// sysOtherNamespace says whether a process lives in a pid namespace below ours: NSpid of its status has then more than one number.
func sysOtherNamespace(pid int) bool {
	data, _ := readSmall(procPath(pid, "/status"), make([]byte, 2048))
	_, line, found := strings.Cut(string(data), "\nNSpid:")
	line, _, _ = strings.Cut(line, "\n")
	return found && len(strings.Fields(line)) > 1
}

// sysOurProgram says whether a process runs the same binary as we do.
func sysOurProgram(pid int) bool {
	var mine, theirs unix.Stat_t
	return unix.Stat("/proc/self/exe", &mine) == nil && unix.Stat(procPath(pid, "/exe"), &theirs) == nil &&
		mine.Dev == theirs.Dev && mine.Ino == theirs.Ino
}

// sysProcessLimit is how many processes and threads are allowed here: for the user (setrlimit(2), RLIMIT_NPROC, which does not bind root), and in our cgroup
// (pids.max). A very large number where nothing limits them.
func sysProcessLimit() int {
	limit := int64(1 << 30)
	var r unix.Rlimit
	if os.Geteuid() != 0 && unix.Getrlimit(unix.RLIMIT_NPROC, &r) == nil && r.Cur < uint64(limit) {
		limit = int64(r.Cur)
	}
	groups, _ := os.ReadFile("/proc/self/cgroup")
	for _, line := range strings.Split(strings.TrimSpace(string(groups)), "\n") {
		kinds, dir, _ := strings.Cut(line[strings.IndexByte(line, ':')+1:], ":")
		root := "/sys/fs/cgroup"
		switch kinds {
		case "":
		case "pids":
			root += "/pids"
		default:
			continue
		}
		text, err := os.ReadFile(root + dir + "/pids.max")
		if err != nil { // of a container that sees its own as the root
			text, _ = os.ReadFile(root + "/pids.max")
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
			limit = min(limit, n)
		}
	}
	return int(limit)
}

// sysCgroup is the directory of the control group of a process; "": there is no version 2 of them, or not where it belongs (beside version 1 that is unified).
func sysCgroup(pid int) string {
	text, _ := os.ReadFile(procPath(pid, "/cgroup"))
	for line := range strings.Lines(string(text)) {
		if group, found := strings.CutPrefix(strings.TrimSpace(line), "0::/"); found {
			for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
				if dir := path.Join(root, group); sysExists(dir + "/cgroup.controllers") {
					return dir
				}
			}
		}
	}
	return ""
}

func sysExists(name string) bool { return unix.Access(name, unix.F_OK) == nil }

// sysOutOfMemory counts how often the kernel has killed a process for want of memory: in our control group, or on the whole machine.
func sysOutOfMemory() int {
	for _, name := range []string{sysCgroup(os.Getpid()) + "/memory.events", "/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control", "/proc/vmstat"} {
		text, _ := os.ReadFile(name)
		if _, rest, found := strings.Cut("\n"+string(text), "\noom_kill "); found {
			line, _, _ := strings.Cut(rest, "\n")
			n, _ := strconv.Atoi(line)
			return n
		}
	}
	return 0
}

// sysComputed is the processor time that a process has used; below 0 where nobody may know. The clock of another process is made of its
// pid (CPUCLOCK_SCHED of linux/posix-timers.h), so that no /proc is needed.
func sysComputed(pid int) time.Duration {
	var ts unix.Timespec
	if pid <= 0 || unix.ClockGettime(int32(^pid<<3|2), &ts) != nil {
		return -1
	}
	return time.Duration(ts.Nano())
}

// sysSessionTerminals lists the terminals of all sessions, without the console: somebody may be logged in there. A number of tty_nr in proc_pid_stat(5) has 8
// bits of the major number and 20 of the minor one.
func sysSessionTerminals() (paths []string) {
	for _, pid := range sysAllPids() {
		if !sysLeads(pid) {
			continue
		}
		data, _ := readSmall(procPath(pid, "/stat"), make([]byte, 1024))
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		if len(fields) < 5 {
			continue
		}
		n, _ := strconv.Atoi(fields[4])
		major, minor := n>>8&0xfff, n&0xff|n>>12&0xfff00
		path := ""
		switch {
		case major == 4 && minor > 0 && minor < 64:
			path = "/dev/tty" + strconv.Itoa(minor)
		case major == 4 && minor >= 64:
			path = "/dev/ttyS" + strconv.Itoa(minor-64)
		case major >= 136 && major < 144:
			path = "/dev/pts/" + strconv.Itoa((major-136)<<8+minor)
		}
		if path != "" && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// sysTellTerminal writes to a terminal what it takes at once.
func sysTellTerminal(path, text string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(text))
	return err
}

// sysLeads says whether a process leads a session.
func sysLeads(pid int) bool { return sysSession(pid) == pid }

// sysMaxPid is above every pid (PID_MAX_LIMIT).
const sysMaxPid = 4 << 20

// sysHasOpen says whether a descriptor of a process is one of these files, without /proc; false also where we may not know.
func sysHasOpen(pid, number int, files []int) bool {
	pidfd, err := sysPidfd(pid)
	if err != nil {
		return false
	}
	defer unix.Close(pidfd)
	fd, err := unix.PidfdGetfd(pidfd, number, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var st, own unix.Stat_t
	return unix.Fstat(fd, &st) == nil && slices.ContainsFunc(files, func(file int) bool {
		return unix.Fstat(file, &own) == nil && own.Dev == st.Dev && own.Ino == st.Ino
	})
}

// sysSession and sysGroup ask for the session and the process group of a process, without /proc; 0: there is no such process.
func sysSession(pid int) int { sid, _ := unix.Getsid(pid); return max(sid, 0) }

func sysGroup(pid int) int { pgid, _ := unix.Getpgid(pid); return max(pgid, 0) }

// sysLeaders lists the children of ours that run and lead a session, of the pids up to last, 8 bytes each: without /proc.
func sysLeaders(last int) (list []byte) {
	for pid := 2; pid <= last; pid++ {
		if sysLeads(pid) && unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil) == nil {
			list = binary.LittleEndian.AppendUint64(list, uint64(pid))
		}
	}
	return list
}
