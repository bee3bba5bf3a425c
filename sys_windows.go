// sys_windows.go says "not supported" for what a server needs; on Windows there is only the client.

package main

import (
	"os"
	"strings"
	"syscall"
	"time"
)

// --- logs ---

const logSplices = false

const logOpenFlags = 0

func logNewPipe(int, int) (int, int, error) { return -1, -1, errNotSupported }

func logSetNonblock(int) error { return errNotSupported }

func logRead(int, []byte) (int, bool) { return 0, true }

// logWrite writes to the standard streams only.
func logWrite(fd int, b []byte) (int, error) {
	if fd == 1 {
		return os.Stdout.Write(b)
	}
	return os.Stderr.Write(b)
}

func logClose(int) {}

func logGrow(int, int) {}

func logSameFile(a, b int) bool { return a == b }

func logReopen(int) error { return errNotSupported }

func logLinks(os.FileInfo) uint64 { return 1 }

type logInner struct{}

func (*logInner) close() {}

func (*scratch) peek(int) ([]byte, bool, error) { return nil, false, errNotSupported }

func logSplice(int, *os.File, int) (int, error) { return 0, errUnspliced }

type logPoller struct{}

func newLogPoller() (*logPoller, error) { return nil, errNotSupported }

func (*logPoller) watch(int) error { return errNotSupported }

func (*logPoller) ignore(int) {}

func (*logPoller) run(func(fd int, sc *scratch) bool) {}

func (*logPoller) close() {}

// --- rpc ---

func peerOf(syscall.Conn) peer { return peer{} }

func kernelName() string { return "Windows" }

func readNow(uintptr, []byte) (int, error) { return 0, errNotSupported }

func writeNow(uintptr, []byte) (int, error) { return 0, errNotSupported }

func hungUp(uintptr) bool { return true }

func lockDir(string) (unlock func()) { return func() {} }

// --- proc ---

func sysChildDefaults() {}

func sysReaper(chan os.Signal) {}

func sysReaperEnd(chan os.Signal) {}

func sysMakeRoom(int) {}

func sysShield() {}

func sysFork(*spec, bool) (pid, pidfd int, err error) { return 0, -1, errNotSupported }

func sysWait() (pid int, status uint32) { return -1, 0 }

func sysWaitFor(int) (int, uint32) { return -1, 0 }

func sysKill(int, int) error { return errNotSupported }

func sysClose(int) error { return errNotSupported }

func sysKillGroup(int, int, int) error { return errNotSupported }

func sysKillOne(kin, int) error { return errNotSupported }

func sysPidfd(int) (int, error) { return -1, errNotSupported }

func sysPidfdAlive(int) bool { return false }

// pidWatch would wait for processes that are no children of ours.
type pidWatch struct{}

func newPidWatch(func(int)) (*pidWatch, error) { return nil, errNotSupported }

func (*pidWatch) add(int) error { return errNotSupported }

func (*pidWatch) close() {}

func sysChildren(dst []int, _ int) []int { return dst }

func sysOrphans(int) []int { return nil }

func sysAllPids() []int { return nil }

func readStat(int) (procStat, error) { return procStat{}, syscall.ESRCH }

func sysTicks() uint64 { return 0 }

func sysReadRegular(string, int64) ([]byte, bool) { return nil, false }

func sysReadHead(string, []byte) (int, error) { return 0, errNotSupported }

func sysAge(uint64) time.Duration { return 0 }

func sysEnviron(int) []byte { return nil }

func sysCmdline(int) []byte { return nil }

func sysFDs(int) int { return 0 }

func sysSmapsRollup(int) []byte { return nil }

func sysStatmResident(int) int64 { return 0 }

func sysStatmExact() bool { return true }

func sysOtherNamespace(int) bool { return false }

func sysOurProgram(int) bool { return false }

func sysOpenNull() (int, error) { return -1, errNotSupported }

func sysBind(int) error { return nil }

// --- terminal ---

// terminalSize finds no terminal: output is plain and not cut.
func terminalSize(int) (cols, rows int, ok bool) { return 0, 0, false }

type termState struct{}

func terminalRaw(int) (*termState, error) { return nil, errNotSupported }

func terminalSet(int, *termState) error { return errNotSupported }

func waitReadable(int, int) bool { return true }

func terminalSignals(chan os.Signal) {}

func isStop(os.Signal) bool { return false }

func suspend() {}

func stopUntilContinued() {}

// --- keeper ---

const (
	sysHasKeeper = false
	sigRtmin     = 34
	sigRtmax     = 64
)

// The signals are those of Linux: only their names are of use here.
const (
	sigHup  = 1
	sigInt  = 2
	sigKill = 9
	sigUsr1 = 10
	sigUsr2 = 12
	sigPipe = 13
	sigTerm = 15
	sigChld = 17
	sigCont = 18
	sigStop = 19
	sigTstp = 20
	sigTtin = 21
	sigTtou = 22
	sigUrg  = 23
	sigProf = 27
	sigPwr  = 30
)

// sysSignals are the names of the signals by number, without SIG; the first is none.
func sysSignals() []string {
	return strings.Fields(`- HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT
		CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS`)
}

func sysSubreaper() {}

func sysPrivate() {}

func sysSocketPair() (int, int, error) { return -1, -1, errNotSupported }

func sysSendPacket(int, []byte, []int) error { return errNotSupported }

func sysRecvPacket(int, []byte) (int, []int, error) { return 0, nil, errNotSupported }

func sysMemfd(string) (int, error) { return -1, errNotSupported }

func sysMemfdWith(string, []byte) (int, error) { return -1, errNotSupported }

func sysReadAll(int) ([]byte, error) { return nil, errNotSupported }

func sysCloexec(int) {}

func sysOpenProgram(string) (int, error) { return -1, errNotSupported }

func sysSameFile(int, string) bool { return true }

func sysForkServer(string, []string, []int) (int, error) { return 0, errNotSupported }

func sysParentSignal(int) {}

func sysLeads(int) bool { return false }

const sysMaxPid = 1

func sysHasOpen(int, int, []int) bool { return false }

func sysForkCommand(string, []string) (int, bool, error) { return 0, false, errNotSupported }

func sysTakeTerminal() {}

func sysGiveTerminal(int) {}

func sysWaitAny() (int, uint32, bool) { return 0, 0, false }

func sysAnyChild() bool { return false }

func sysKillAll(bool, int) {}

func sysTryBinary(string, []string, []int, int, time.Duration) (string, error) {
	return "", errNotSupported
}

func sysComputed(int) time.Duration { return -1 }

func sysExecKeeping(string, []string, []string, []int) error { return errNotSupported }

var monoStart = time.Now()

// sysMono is a clock that only this process knows: there is no adoption here.
func sysMono() int64 { return int64(time.Since(monoStart)) }

func sysPwrite(int, []byte, int64) error { return errNotSupported }

func sysBootID() string { return "" }

func sysMemoryName(int) string { return "" }

func sysOwnDir(string) bool { return false }

func sysOpenDir(string) (int, error) { return -1, errNotSupported }

func sysNewFifo(int, string, int, int) (int, int, error) { return -1, -1, errNotSupported }

func sysRemoveAt(int, string) {}

func sysOpenFifo(int, string) (int, error) { return -1, errNotSupported }

func sysOpenState(string) (int, error) { return -1, errNotSupported }

func sysIsFile(int) bool { return false }

// --- boot ---

const oNoCtty = 0

func sysMount(source, target, kind string, flags uintptr, data string) error { return errNotSupported }

func sysUnmount(string, bool) error { return errNotSupported }

func sysMounted(string) bool { return false }

func sysVolatile(string) bool { return false }

func sysMknod(name string, mode, major, minor uint32) error { return errNotSupported }

func sysLeadsNowhere(int) bool { return false }

func sysConsole(string, []int) error { return errNotSupported }

func sysLoadModule(*os.File, string, bool) error { return errNotSupported }

func sysSetHostname(string) error { return errNotSupported }

func sysLoopbackUp() error { return errNotSupported }

func sysSwapOn(string, int, bool) error { return errNotSupported }

func sysSwapOff(string) error { return errNotSupported }

func sysSync() {}

func sysReboot(powerKind) error { return errNotSupported }

func sysSwitchRoot(string) error { return errNotSupported }

func sysExec(string, []string, []string) error { return errNotSupported }

func sysStartOn(*os.File, string, []string, []string) (int, error) { return 0, errNotSupported }

func sysWatchdogTimeout(*os.File, int) (int, error) { return 0, errNotSupported }

func sysPeekMessage(int, []byte) (int, int, error) { return 0, 0, errNotSupported }

func sysDropMessage(int) {}

func sysSession(int) int { return 0 }

func sysGroup(int) int { return 0 }

func sysListenSyslog(string) (int, error) { return -1, errNotSupported }

func sysKeepMask() {}

func sysUnread(int) bool { return false }

func sysKeepOwner(*os.File, string) error { return nil }

func sysForeground(string, []string) (string, error) { return "", errNotSupported }

func sysLeaders(int) []byte { return nil }

func sysHungUp(int) bool { return false }

func sysOutOfMemory() int { return 0 }

func sysOwnTable() bool { return false }

func sysDup(int) (int, error) { return -1, errNotSupported }

func sysFileID(string) string { return "" }

func sysFileSize(int) (int, error) { return 0, errNotSupported }

func sysMap(int, int) ([]byte, error) { return nil, errNotSupported }

func sysForget([]byte) {}

func sysUnmap([]byte) {}

func sysTruncate(int) error { return errNotSupported }

func sysListenAgain(int) error { return errNotSupported }

func sysReadable(int) bool { return false }

func sysProcessLimit() int { return 1 << 30 }
