"""Client of the zinit supervisor, blocking (Client) and for asyncio (AsyncClient): JSON-RPC 2.0 over its Unix socket.

Python 3.11 or newer, standard library only. Results are dicts that look as in docs/rpc.md, with types for checkers (TypedDict):
members that a newer server adds are there too, `from` is a key like any other, and json.dumps prints them.

Made by clients/generate.py from the API document of the server; do not edit it:
the part that is written by hand is clients/templates/zinit.py.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import json
import os
import socket
import struct
import sys
import threading
import time
import warnings
from collections.abc import Coroutine
from typing import Any, Generic, Literal, NotRequired, TypedDict, TypeVar


class BootResult(TypedDict):
    chain: list[str]
    services: list[BootUnit]
    total_ms: int


class BootUnit(TypedDict):
    blocked_ms: int | None
    kind: UnitKind
    name: str
    ready_ms: int | None
    starting_ms: int | None
    state: State


class BulkFailure(TypedDict):
    message: str
    name: str


class BulkResult(TypedDict):
    errors: list[BulkFailure]
    ok: bool
    services: list[str]
    skipped: list[str]


ChangeType = Literal["state", "config", "removed"]


class CheckResult(TypedDict):
    errors: list[Problem]
    ok: bool
    warnings: list[Problem]


class ChildProcess(TypedDict):
    command: str
    cpu_percent: float
    memory_bytes: int
    pid: int
    ppid: int


class ConfigConditions(TypedDict, total=False):
    env: list[str]  # variables: NAME is set and not empty, NAME=VALUE has this value; with a leading ! the opposite
    exists: list[str]  # paths that exist; with a leading ! that do not


class ConfigDependencies(TypedDict, total=False):
    after: list[str]  # start after these, if they are started at all
    binds: list[str]  # as requires; it is also stopped when one of these ends in whatever way, and started again with it
    conflicts: list[str]  # never run at the same time as these
    mounts: list[str]  # paths that must be mount points before a start
    requires: list[str]  # start only when these are running or done; stop before they are stopped
    wants: list[str]  # start these too, without waiting


class ConfigHealth(TypedDict):
    interval_ms: NotRequired[int]  # time between checks while it is running; 0: none after the first that passes. notify: the longest time between two signs of life (the watchdog); default 0, none (default 10000)
    retries: NotRequired[int]  # failures in a row while it is running that make it fail; 0: they are only shown (default 3)
    start_interval_ms: NotRequired[int]  # time between checks until the first one passes (default 100)
    target: NotRequired[str | list[str] | int]  # tcp: host:port or the path of a socket; http: http://host[:port]/path; exec: a command; fd: a number from 3 to 19; log: a text; notify: none
    timeout_ms: NotRequired[int]  # time limit of one check (default 5000)
    type: Literal["tcp", "http", "exec", "notify", "fd", "log"]  # how to see whether it works


class ConfigLifecycle(TypedDict, total=False):
    kill_mode: Literal["group", "mixed", "process"]  # whom a stop reaches. group: the stop signal goes to all of the service, SIGKILL to what is left after stop_timeout_ms; mixed: the stop signal goes to the main process only, SIGKILL to what is left when it has ended; process: only the main process is stopped, what it leaves behind lives on (default "group")
    max_restarts: int  # restarts in a row before it is left failed (3 means 4 runs); 0: no limit
    ready_after_ms: int  # without [health]: it is running only after it has lived this long
    restart: Literal["always", "on-failure", "never"]  # after which kind of end it is started again (default "on-failure")
    restart_delay_max_ms: int  # the longest delay before a restart; with less than restart_delay_ms the delay does not grow (default 60000)
    restart_delay_ms: int  # delay before the first restart; doubles with each one; 0: none (default 1000)
    restart_prevent: list[int | str]  # exit codes, or signal names, after which no policy starts it again
    stability_period_ms: int  # after running this long the delay and the count of restarts start over (default 10000)
    start_timeout_ms: int  # time from execution to running; 0: no limit, which is the default of a oneshot (default 30000)
    stop_exec: str | list[str]  # command that asks it to end, before the signal; of a oneshot that has exited: run when it is stopped
    stop_signal: str | int  # signal that asks it to end (default "SIGTERM")
    stop_timeout_ms: int  # time from the stop signal to SIGKILL (default 10000)
    success_codes: list[int | str]  # exit codes, or signal names, that count as success (default [0])


ConfigLimits = TypedDict("ConfigLimits", {
    "as": 'int | Literal["unlimited", "infinity"]',  # address space, bytes
    "caps": 'list[str]',  # ambient capabilities, such as net_bind_service
    "chroot": 'str',  # its root directory
    "core": 'int | Literal["unlimited", "infinity"]',  # size of a core file, bytes
    "cpu_max_percent": 'int',  # processor time of its control group; 150 is one and a half processors; 0: no limit
    "memlock": 'int | Literal["unlimited", "infinity"]',  # locked memory, bytes
    "memory_max_bytes": 'int',  # memory of its control group; 0: no limit
    "nice": 'int',  # scheduling priority; 19 is the lowest
    "no_new_privs": 'bool',  # no setuid programs for it
    "nofile": 'int | Literal["unlimited", "infinity"]',  # open files
    "nproc": 'int | Literal["unlimited", "infinity"]',  # processes of the user
    "oom_score_adj": 'int',  # 1000: the first to be killed when memory runs out
    "pids_max": 'int',  # processes and threads of its control group; 0: no limit
    "umask": 'str',  # octal digits, as a string
}, total=False)


class ConfigLogging(TypedDict, total=False):
    buffer_lines: int  # newest lines kept in memory, at most 4 MiB; 0: none (default 1000)
    console: bool  # copy to stdout and stderr of the server, each to its own; default: only under init -c
    console_format: Literal["prefix", "plain", "time", "json"]  # NAME | text, the line as it came, with time and stream, or a JSON object for each line (default "prefix")
    file: str  # log file; missing directories are made
    format: Literal["raw", "time", "json"]  # of the file: the bytes as they came, with time and stream, or a JSON object for each line (default "raw")
    keep: int  # rotated files to keep (default 3)
    max_size_bytes: int  # size at which the file is rotated to file.1, file.2, ...; 0: never (default 10485760)


ConfigService = TypedDict("ConfigService", {
    "class": 'NotRequired[UnitClass]',  # system services are left alone by start_all, stop_all and delete_all (default "user")
    "critical": 'NotRequired[bool]',  # its permanent end ends the container, or opens the emergency shell of a machine
    "description": 'NotRequired[str]',  # shown to people
    "dir": 'NotRequired[str]',  # working directory; default: that of the server
    "env": 'NotRequired[dict[str, str]]',  # added to the environment of the server
    "env_file": 'NotRequired[str | list[str]]',  # file with lines KEY=VALUE, or a list of them, later ones win; env wins over all; with a leading - it may be missing
    "exec": 'str | list[str]',  # the command to run, in the foreground; a list is executed as it is
    "expand": 'NotRequired[bool]',  # put the values of the environment in for ${NAME} and ${NAME:-default}, without a shell
    "group": 'NotRequired[str | int]',  # group to run as; default: that of the user
    "instances": 'NotRequired[list[str]]',  # of a template, a file NAME@.toml: the instances that always exist
    "kill_others": 'NotRequired[bool]',  # stop what process_filter finds (SIGTERM, stop_timeout_ms, SIGKILL) instead of waiting for its end
    "name": 'NotRequired[str]',  # what the service is called; default: the file's name without .toml
    "oneshot": 'NotRequired[bool]',  # does its work and exits; done when it exits with a success code
    "pid_file": 'NotRequired[str]',  # for a program that goes into the background: its start is done when the first process has exited with 0 and this file names a live process of the service, which is the main process from then on
    "ports": 'NotRequired[list[int]]',  # TCP ports that must be free before a start
    "process_filter": 'NotRequired[str]',  # a foreign process with this in its name, in upper or lower case, blocks a start
    "runtime_dirs": 'NotRequired[list[str]]',  # directories made before each start, of mode 0755 and of user and group; missing ones above are made too
    "status": 'NotRequired[Literal["start", "stop", "ignore"]]',  # start: it is started when it is loaded; stop: only loaded; ignore: only loaded, and never restarted automatically (default "start")
    "stdin": 'NotRequired[Literal["null", "pipe"]]',  # null: it reads nothing; pipe: what `zinit send` and `zinit attach` write (default "null")
    "tty": 'NotRequired[str]',  # terminal that becomes its stdin, stdout, stderr and controlling terminal; then nothing is logged
    "user": 'NotRequired[str | int]',  # user to run as; default: that of the server
})


class ConfigTarget(TypedDict, total=False):
    description: str  # shown to people
    name: str  # what the target is called; default: the file's name without .toml
    status: Literal["start", "stop", "ignore"]  # start: it is started when it is loaded; stop, ignore: only loaded (default "start")


class Config(TypedDict, total=False):
    conditions: ConfigConditions
    dependencies: ConfigDependencies
    health: ConfigHealth
    lifecycle: ConfigLifecycle
    limits: ConfigLimits
    logging: ConfigLogging
    service: ConfigService
    target: ConfigTarget
    xinet: Proxy


class DebugResult(TypedDict):
    services: list[DebugService]
    text: str


class DebugService(TypedDict):
    config: Config
    generation: int
    invocation: str
    status: ServiceStatusFull


class ErrorData(TypedDict):
    errors: NotRequired[list[Problem]]
    kind: str
    names: NotRequired[list[str]]
    not_loaded: NotRequired[str]
    param: NotRequired[str]


class HealthStatus(TypedDict):
    checks: int
    failures: int
    last_error: str
    ok: bool


class InfoResult(TypedDict):
    cgroup: str
    config_dirs: list[str]
    degraded: list[str]
    kernel: str
    mode: ServerMode
    pid: int
    shutdown_at_ms: int | None
    socket: str
    started_ms: int
    version: str


class LogLine(TypedDict):
    seq: int
    service: str
    stream: LogStream
    text: str
    time_ms: int


class LogNote(TypedDict):
    lost: NotRequired[int]
    seq: int
    service: str
    stream: LogStream
    subscription: int
    text: str
    time_ms: int


LogStream = Literal["stdout", "stderr", "syslog"]


class PingResult(TypedDict):
    mode: ServerMode
    pid: int
    uptime_ms: int
    version: str


class Problem(TypedDict):
    column: int
    line: int
    message: str
    path: str


class ProcessNode(TypedDict):
    children: list[ProcessNode]
    command: str
    pid: int
    ppid: int
    service: str


class ProcessResult(TypedDict):
    roots: list[ProcessNode]
    text: str


Proxy = TypedDict("Proxy", {
    "backend": 'NotRequired[str]',  # where the service listens
    "connect_timeout": 'NotRequired[int]',  # seconds to wait for the backend (default 30)
    "description": 'NotRequired[str]',  # shown to people
    "idle_timeout": 'NotRequired[int]',  # seconds without a connection before the service is stopped; 0: never
    "listen": 'list[str]',  # where to listen: host:port, :port, tcp:host:port, /path or unix:/path
    "name": 'NotRequired[str]',  # what the proxy is called; default: the file's name without .toml
    "pass": 'NotRequired[bool]',  # give the sockets to the service instead of copying
    "service": 'str',  # the service to start on demand
    "single_connection": 'NotRequired[bool]',  # only one connection at a time
})


class PutResult(TypedDict):
    name: str
    ok: bool
    path: str | None
    warnings: list[Problem]


class Reason(TypedDict):
    service: NotRequired[str]
    type: Literal["dependency_failed", "exit_code", "health_check_failed", "missing_dependency", "signal", "spawn_error", "start_timeout", "stop_timeout"]
    code: NotRequired[int | None]
    attempts: NotRequired[int]
    last_error: NotRequired[str]
    dependency: NotRequired[str]
    core: NotRequired[bool]
    name: NotRequired[str]
    oom: NotRequired[bool]
    signal: NotRequired[int]
    message: NotRequired[str]


class ReloadResult(TypedDict):
    added: list[str]
    changed: list[str]
    errors: list[Problem]
    removed: list[str]
    restarted: list[str]
    unchanged: list[str]
    warnings: list[Problem]


class RestartResult(TypedDict):
    ok: bool
    services: list[str]
    state_file: str | None


ServerMode = Literal["standalone", "container", "system"]


ServiceEvent = TypedDict("ServiceEvent", {
    "from": 'State | None',
    "lost": 'NotRequired[int]',
    "reason": 'Reason | None',
    "seq": 'int',
    "service": 'str',
    "subscription": 'int',
    "time_ms": 'int',
    "to": 'State | None',
    "type": 'ChangeType',
})


class ServiceStatus(TypedDict):
    blocked_by: list[str]
    config_changed: bool
    exit_code: int | None
    health: HealthStatus | None
    kind: UnitKind
    name: str
    pid: int
    reason: Reason | None
    restart_count: int
    restart_in_ms: int | None
    skipped: NotRequired[str]
    state: State
    status_text: NotRequired[str]
    uptime_ms: int
    wish: Wish


ServiceStatusFull = TypedDict("ServiceStatusFull", {
    "blocked_by": 'list[str]',
    "class": 'UnitClass',
    "config_changed": 'bool',
    "cpu_percent": 'float',
    "critical": 'bool',
    "description": 'str',
    "exit_code": 'int | None',
    "health": 'HealthStatus | None',
    "kind": 'UnitKind',
    "last_start": 'int',
    "last_stop": 'int',
    "log_error": 'NotRequired[str]',
    "memory_bytes": 'int',
    "name": 'str',
    "oneshot": 'bool',
    "path": 'str',
    "pid": 'int',
    "reason": 'Reason | None',
    "restart_count": 'int',
    "restart_in_ms": 'int | None',
    "skipped": 'NotRequired[str]',
    "state": 'State',
    "status_text": 'NotRequired[str]',
    "uptime_ms": 'int',
    "wish": 'Wish',
})


State = Literal["inactive", "blocked", "starting", "running", "stopping", "exited", "failed"]


class StateResult(TypedDict):
    blocked_by: NotRequired[list[str]]
    ok: bool
    state: State


class StatsResult(TypedDict):
    children: list[ChildProcess]
    cpu_percent: float
    fds: int
    memory_bytes: int
    name: str
    pid: int
    processes: int
    threads: int


class SubscribeResult(TypedDict):
    subscription: int


class TextResult(TypedDict):
    text: str


class TreeNode(TypedDict):
    children: list[TreeNode]
    kind: str
    name: str
    state: str
    truncated: NotRequired[bool]


class TreeResult(TypedDict):
    roots: list[TreeNode]
    text: str


UnitClass = Literal["user", "system"]


UnitKind = Literal["service", "target"]


class UpgradeResult(TypedDict):
    ok: bool
    version: str


class WaitResult(TypedDict):
    blocked_by: NotRequired[list[str]]
    state: State


class WhyReason(TypedDict):
    detail: str
    service: str
    state: str
    type: str


class WhyResult(TypedDict):
    blocked: bool
    name: str
    reasons: list[WhyReason]
    state: State
    text: str
    todo: list[str]


Wish = Literal["up", "down"]


class XinetStatus(TypedDict):
    active_connections: int
    backend: str
    bytes_from_backend: int
    bytes_to_backend: int
    connect_timeout: int
    description: str
    idle_timeout: int
    last_error: str
    listen: list[str]
    name: str
    running: bool
    service: str
    single_connection: bool
    total_connections: int


class ServerGone(ConnectionError):
    """No server answers, or the connection broke before an answer. Whether a changing request was carried out is then not known."""


class ZinitError(Exception):
    """What the server refused. There is a subclass for each kind; programs read `data`, never the message."""

    def __init__(self, code: int, kind: str, message: str, data: ErrorData) -> None:
        super().__init__(message)
        self.code, self.kind, self.message, self.data = code, kind, message, data


class AlreadyExists(ZinitError):
    """-32007: a service of this name exists."""


class ConfigError(ZinitError):
    """-32005: the configuration is wrong."""


class DependencyError(ZinitError):
    """-32010: a cycle, or others require it."""


class InternalError(ZinitError):
    """-32603: the server could not do it."""


class InvalidParams(ZinitError):
    """-32602: a parameter is missing, surplus or wrong."""


class InvalidRequest(ZinitError):
    """-32600: the JSON text is no request."""


class InvalidSignal(ZinitError):
    """-32004: there is no such signal."""


class InvalidState(ZinitError):
    """-32009: not possible in this state."""


class MethodNotFound(ZinitError):
    """-32601: there is no such method."""


class NotSupported(ZinitError):
    """-32015: not possible on this system or in this mode."""


class ParseError(ZinitError):
    """-32700: the line is no JSON text."""


class PermissionDenied(ZinitError):
    """-32013: this client may only read."""


class ProcessError(ZinitError):
    """-32011: fork or kill failed."""


class ServiceFileError(ZinitError):
    """-32008: the service's file cannot be written or deleted."""


class ServiceIsDown(ZinitError):
    """-32003: the service has no process."""


class ServiceNotFound(ZinitError):
    """-32000: there is no such service."""


class ShuttingDown(ZinitError):
    """-32006: the server is shutting down."""


class Timeout(ZinitError):
    """-32014: the time to wait ran out."""


class XinetError(ZinitError):
    """-32012: unknown proxy, or address in use."""


_KINDS: dict[str, type[ZinitError]] = {
    "already_exists": AlreadyExists,
    "config_error": ConfigError,
    "dependency_error": DependencyError,
    "internal_error": InternalError,
    "invalid_params": InvalidParams,
    "invalid_request": InvalidRequest,
    "invalid_signal": InvalidSignal,
    "invalid_state": InvalidState,
    "method_not_found": MethodNotFound,
    "not_supported": NotSupported,
    "parse_error": ParseError,
    "permission_denied": PermissionDenied,
    "process_error": ProcessError,
    "service_file_error": ServiceFileError,
    "service_is_down": ServiceIsDown,
    "service_not_found": ServiceNotFound,
    "shutting_down": ShuttingDown,
    "timeout": Timeout,
    "xinet_error": XinetError,
}


def _refusal(error: Any) -> ZinitError:
    kind = error["data"]["kind"]
    return _KINDS.get(kind, ZinitError)(error["code"], kind, error["message"], error["data"])


_T = TypeVar("_T")
_FRAME_MAX = 256 << 20  # bytes of one line
_FEED_MAX = 10_000  # notifications that wait for one iterator; logs.follow also gives no more lines from before
_PAUSE = 0.05  # seconds between two attempts to connect


def _sockets() -> list[str]:
    """Where a server may be found when nobody names a socket: the places of the zinit command, the system's first."""
    linux = sys.platform == "linux"
    places = ["/run/zinit.sock"] if linux else []
    if linux and os.environ.get("XDG_RUNTIME_DIR"):
        places.append(os.environ["XDG_RUNTIME_DIR"] + "/zinit.sock")
    elif os.environ.get("HOME"):
        places.append(os.environ["HOME"] + "/hero/var/zinit.sock")
    if linux:
        places.append("/tmp/zinit.sock")
        try:
            namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
            places.append(f"/dev/shm/zinit.{namespace}/zinit.sock")
        except OSError:
            pass
        places.append("@zinit")
    return places


def _refuse_strangers(sock: Any, path: str) -> None:
    """Refuse a server that is neither root's nor our own: anybody can make a socket in /tmp, or an abstract one."""
    if sys.platform == "linux":
        pid, uid, _ = struct.unpack("=iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid not in (0, os.geteuid()) or path.startswith("@") and pid == 0:
            raise PermissionError(f"the server belongs to user {uid}, or is in another container; name the socket if you trust it")


class _Feed:
    """The notifications of one subscription that nobody has read yet. Where they are too many the oldest are dropped and counted."""

    def __init__(self) -> None:
        self.items: collections.deque[Any] = collections.deque()
        self.lost = 0
        self.ended = False
        self.changed = asyncio.Event()

    def put(self, item: Any) -> None:
        if len(self.items) == _FEED_MAX:
            self.lost += 1 + self.items.popleft().get("lost", 0)
        self.items.append(item)
        self.changed.set()

    def end(self) -> None:
        self.ended = True
        self.changed.set()

    async def get(self) -> Any:
        while not self.items:
            if self.ended:
                raise ServerGone("the server closed the connection")
            self.changed.clear()
            await self.changed.wait()
        item = self.items.popleft()
        if self.lost:
            item["lost"], self.lost = item.get("lost", 0) + self.lost, 0
        return item


class _Connection:
    """A connection: answers go to the requests with their ids, notifications to the feeds of their subscriptions."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
        self.writer, self.path, self.gone = writer, path, False
        self.ids = itertools.count(1)
        self.waiting: dict[int, tuple[asyncio.Future[Any], _Feed | None]] = {}
        self.feeds: dict[int, _Feed] = {}
        self.task = asyncio.create_task(self._read(reader))

    def send(self, request: dict[str, Any]) -> None:
        if self.gone:
            raise ServerGone(f"the server at {self.path} closed the connection")
        self.writer.write(json.dumps({"jsonrpc": "2.0"} | request).encode() + b"\n")

    async def request(self, method: str, params: dict[str, Any], feed: _Feed | None) -> Any:
        number, answer = next(self.ids), asyncio.get_running_loop().create_future()
        self.send({"id": number, "method": method, "params": params})
        self.waiting[number] = answer, feed
        try:
            return await answer
        finally:
            del self.waiting[number]

    def unsubscribe(self, feed: _Feed) -> None:
        for number in [n for n, f in self.feeds.items() if f is feed]:
            del self.feeds[number]
            if not self.gone:
                self.send({"method": "events.unsubscribe", "params": {"subscription": number}})

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._take(json.loads(line))
        except (OSError, ValueError):
            pass  # it broke, also in the middle of a line
        finally:
            self.close()

    def _take(self, frame: Any) -> None:
        if "method" in frame:
            if feed := self.feeds.get(frame["params"]["subscription"]):
                feed.put(frame["params"])
            return
        if frame["id"] is None:  # of a line that the server could not read: it closes the connection
            self._fail(_refusal(frame["error"]))
            return
        answer, feed = self.waiting.get(frame["id"], (None, None))
        if answer is None or answer.done():
            return
        if "error" in frame:
            answer.set_exception(_refusal(frame["error"]))
            return
        if feed:
            self.feeds[frame["result"]["subscription"]] = feed
        answer.set_result((frame["result"], frame.get("left_out", 0)))

    def _fail(self, error: Exception) -> None:
        for answer, _ in self.waiting.values():
            if not answer.done():
                answer.set_exception(error)

    def close(self) -> None:
        self.gone = True
        self.writer.close()
        self.task.cancel()
        self._fail(ServerGone(f"the server at {self.path} closed the connection before it answered"))
        for feed in self.feeds.values():
            feed.end()


class AsyncStream(Generic[_T]):
    """The notifications of a subscription, as an asynchronous iterator that goes on when the server is replaced.

    `async with` subscribes at its beginning, `async for` alone with the first item; the end of either, and `close`, end the subscription.
    An item's `lost` says how many were missed before it: this client was too slow, or, then at least 1, the server was replaced.
    """

    def __init__(self, client: AsyncClient, method: str, params: dict[str, Any], numbered: bool) -> None:
        self._client, self._method, self._params, self._numbered = client, method, params, numbered
        self._feed: _Feed | None = None
        self._last, self._gap, self._closed = 0, False, False

    async def __aenter__(self) -> AsyncStream[_T]:
        await self._subscribe()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> AsyncStream[_T]:
        return self

    async def _subscribe(self) -> None:
        feed = _Feed()
        await self._client._call(self._method, self._params, reading=True, feed=feed)
        self._feed = feed

    async def __anext__(self) -> _T:
        while not (self._closed or self._client._closed):
            if self._feed is None:
                await self._subscribe()
            assert self._feed
            try:
                item = await self._feed.get()
            except ServerGone:
                self._feed, self._gap = None, True
                if self._numbered and self._last:  # go on behind the last line, when the next server has it
                    self._params = self._params | {"lines": _FEED_MAX}
                continue
            if self._numbered and item["seq"] <= self._last:
                self._gap = False  # the next server has all lines since
                continue
            self._last = item["seq"]
            if self._gap:
                item["lost"], self._gap = item.get("lost", 0) + 1, False
            return item
        raise StopAsyncIteration

    def close(self) -> None:
        """End the subscription."""
        self._closed = True
        if self._feed and self._client._connection:
            self._client._connection.unsubscribe(self._feed)
            self._feed.end()

    def __del__(self) -> None:
        if self._feed and not self._closed and not self._client._closed:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._client._loop.call_soon_threadsafe(self.close)


class AsyncClient:
    """A connection to the server at path; without one, to ZINIT_SOCKET, or where the zinit command looks. Use it with `async with`.

    Tasks may share it: several requests can wait on one connection. When the server is replaced, requests that only read are sent again,
    for at most timeout seconds; one that changes something is never sent twice, and raises ServerGone. A server that does not answer
    within timeout seconds, where nothing is to be waited for, raises TimeoutError.
    """

    def __init__(self, path: str | None = None, timeout: float = 30.0) -> None:
        self.path, self.timeout = path or os.environ.get("ZINIT_SOCKET"), timeout
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    async def __aenter__(self) -> AsyncClient:
        await self._connected()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; iterators end."""
        self._closed = True
        if self._connection:
            self._connection.close()

    async def _connected(self) -> _Connection:
        """The connection, made again if it broke. Only then the server may take its time: it is being replaced."""
        until = time.monotonic() + (self.timeout if self._connection else 0)
        async with self._connecting:
            while not self._connection or self._connection.gone:
                if self._closed:
                    raise ServerGone("this client is closed")
                try:
                    self._connection = await self._dial()
                except ServerGone:
                    if time.monotonic() >= until:
                        raise
                    await asyncio.sleep(_PAUSE)
            return self._connection

    async def _dial(self) -> _Connection:
        self._loop = asyncio.get_running_loop()
        tried = []
        for path in [self.path] if self.path else _sockets():
            name = "\0" + path[1:] if path.startswith("@") else path
            try:
                reader, writer = await asyncio.open_unix_connection(name, limit=_FRAME_MAX)
            except OSError as error:
                tried.append(f"{path}: {error.strerror or error}")
                continue
            try:
                if not self.path:
                    _refuse_strangers(writer.get_extra_info("socket"), path)
            except OSError as error:
                writer.close()
                tried.append(f"{path}: {error}")
                continue
            self.path = path
            return _Connection(reader, writer, path)
        raise ServerGone("no server answers (" + "; ".join(tried) + ")")

    async def _call(self, method: str, params: dict[str, Any], *, reading: bool = False, waits: bool = False, feed: _Feed | None = None) -> Any:
        params = {key: value for key, value in params.items() if value is not None}
        until = None
        while True:
            connection = await self._connected()
            try:
                async with asyncio.timeout(None if waits else self.timeout):
                    result, left_out = await connection.request(method, params, feed)
            except ServerGone:
                until = until or time.monotonic() + self.timeout
                if not reading or self._closed or time.monotonic() > until:
                    raise
                await asyncio.sleep(_PAUSE)
                continue
            except TimeoutError:
                raise TimeoutError(f"the server at {self.path} does not answer within {self.timeout:g} s") from None
            if left_out:
                warnings.warn(f"the answer to {method} would be too large: it lacks {left_out} entries", stacklevel=3)
            return result

    async def rpc_discover(self) -> dict[str, Any]:
        """Describes all methods as an OpenRPC document."""
        return await self._call("rpc.discover", {}, reading=True)

    async def system_ping(self) -> PingResult:
        """Answers when the server is alive."""
        return await self._call("system.ping", {}, reading=True)

    async def system_info(self) -> InfoResult:
        """What works here and what does not."""
        return await self._call("system.info", {}, reading=True)

    async def system_metrics(self) -> TextResult:
        """Numbers of all services as OpenMetrics text."""
        return await self._call("system.metrics", {}, reading=True)

    async def system_shutdown(self, *, delay_ms: int | None = None, message: str | None = None, cancel: bool | None = None) -> None:
        """Stops all services and ends the server; as PID 1 of a machine: powers off.

        delay_ms: not now but after this time; a planned shutdown takes the place of one that was planned before
        message: told on the console and the terminals of those who are logged in, when it is planned
        cancel: give up the shutdown that is planned; no error when none is
        Raises InvalidParams, PermissionDenied, NotSupported.
        """
        await self._call("system.shutdown", {"delay_ms": delay_ms, "message": message, "cancel": cancel})

    async def system_reboot(self, *, delay_ms: int | None = None, message: str | None = None) -> None:
        """Reboots the machine.

        delay_ms: not now but after this time; a planned shutdown takes the place of one that was planned before
        message: told on the console and the terminals of those who are logged in, when it is planned
        Raises InvalidParams, PermissionDenied, NotSupported.
        """
        await self._call("system.reboot", {"delay_ms": delay_ms, "message": message})

    async def system_poweroff(self, *, delay_ms: int | None = None, message: str | None = None) -> None:
        """Powers the machine off.

        delay_ms: not now but after this time; a planned shutdown takes the place of one that was planned before
        message: told on the console and the terminals of those who are logged in, when it is planned
        Raises InvalidParams, PermissionDenied, NotSupported.
        """
        await self._call("system.poweroff", {"delay_ms": delay_ms, "message": message})

    async def system_halt(self, *, delay_ms: int | None = None, message: str | None = None) -> None:
        """Halts the machine.

        delay_ms: not now but after this time; a planned shutdown takes the place of one that was planned before
        message: told on the console and the terminals of those who are logged in, when it is planned
        Raises InvalidParams, PermissionDenied, NotSupported.
        """
        await self._call("system.halt", {"delay_ms": delay_ms, "message": message})

    async def system_prepare_restart(self) -> RestartResult:
        """Saves the state and ends the server; the services go on.

        Raises ShuttingDown, PermissionDenied, NotSupported.
        """
        return await self._call("system.prepare_restart", {})

    async def system_upgrade(self, *, binary: str | None = None) -> UpgradeResult:
        """Goes over to a new binary; the services go on.

        binary: its path; absent: the server's own
        Raises InvalidParams, ShuttingDown, InvalidState, ProcessError, PermissionDenied, Timeout, NotSupported.
        """
        return await self._call("system.upgrade", {"binary": binary}, waits=True)

    async def debug_state(self) -> DebugResult:
        """Everything that the server knows."""
        return await self._call("debug.state", {}, reading=True)

    async def debug_process_tree(self) -> ProcessResult:
        """All processes of all services."""
        return await self._call("debug.process_tree", {}, reading=True)

    async def boot_analyze(self, *, format: Literal["json", "text"] | None = None) -> BootResult | TextResult:
        """How long each service took to start, and the critical chain.

        format: data, or a text for people (default "json")
        Raises InvalidParams.
        """
        return await self._call("boot.analyze", {"format": format}, reading=True)

    def events(self, *, services: list[str] | None = None, types: list[ChangeType] | None = None) -> AsyncStream[ServiceEvent]:
        """Sends an `event` notification for each change from now on.

        services: only these services; absent or empty: all
        types: only events of these types; absent: all
        Raises InvalidParams.
        """
        return AsyncStream(self, "events.subscribe", {"services": services, "types": types}, False)

    async def service_create(self, config: Config, *, persist: bool | None = None, text: str | None = None) -> PutResult:
        """Adds a new service, and starts it when its status says so.

        config: the configuration, with the sections and keys of the TOML file
        persist: also write its file, so that it is there after the next start of the server
        text: the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config
        Raises InvalidParams, ConfigError, ShuttingDown, AlreadyExists, ServiceFileError, DependencyError, PermissionDenied.
        """
        return await self._call("service.create", {"config": config, "persist": persist, "text": text})

    async def service_add(self, config: Config, *, persist: bool | None = None, text: str | None = None) -> PutResult:
        """Adds a new service, and starts it when its status says so.

        config: the configuration, with the sections and keys of the TOML file
        persist: also write its file, so that it is there after the next start of the server
        text: the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config
        Raises InvalidParams, ConfigError, ShuttingDown, AlreadyExists, ServiceFileError, DependencyError, PermissionDenied.
        """
        return await self._call("service.add", {"config": config, "persist": persist, "text": text})

    async def service_delete(self, name: str, *, force: bool | None = None) -> None:
        """Stops a service, waits until it is gone and deletes its file.

        name: the service or target
        force: also when others require it
        Raises InvalidParams, ServiceNotFound, ServiceFileError, InvalidState, DependencyError, PermissionDenied.
        """
        await self._call("service.delete", {"name": name, "force": force}, waits=True)

    async def service_remove(self, name: str, *, force: bool | None = None) -> None:
        """Stops a service, waits until it is gone and deletes its file.

        name: the service or target
        force: also when others require it
        Raises InvalidParams, ServiceNotFound, ServiceFileError, InvalidState, DependencyError, PermissionDenied.
        """
        await self._call("service.remove", {"name": name, "force": force}, waits=True)

    async def service_register(self, config: Config, *, text: str | None = None) -> PutResult:
        """Adds a new service and writes its file.

        config: the configuration, with the sections and keys of the TOML file
        text: the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config
        Raises InvalidParams, ConfigError, ShuttingDown, AlreadyExists, ServiceFileError, DependencyError, PermissionDenied.
        """
        return await self._call("service.register", {"config": config, "text": text})

    async def service_monitor(self, config: Config) -> PutResult:
        """Adds a new service without a file.

        config: the configuration, with the sections and keys of the TOML file
        Raises InvalidParams, ConfigError, ShuttingDown, AlreadyExists, ServiceFileError, DependencyError, PermissionDenied.
        """
        return await self._call("service.monitor", {"config": config})

    async def service_set(self, config: Config, *, text: str | None = None) -> PutResult:
        """Adds or replaces a service and writes its file; if it runs it is restarted.

        config: the configuration, with the sections and keys of the TOML file
        text: the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config
        Raises InvalidParams, ConfigError, ShuttingDown, ServiceFileError, InvalidState, DependencyError, PermissionDenied.
        """
        return await self._call("service.set", {"config": config, "text": text})

    async def service_update(self, config: Config, *, text: str | None = None) -> PutResult:
        """Replaces a service, and its file if it has one; if it runs it is restarted.

        config: the configuration, with the sections and keys of the TOML file
        text: the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config
        Raises InvalidParams, ServiceNotFound, ConfigError, ShuttingDown, ServiceFileError, InvalidState, DependencyError, PermissionDenied.
        """
        return await self._call("service.update", {"config": config, "text": text})

    async def service_get(self, name: str) -> Config:
        """The configuration of a service, defaults filled in.

        name: the service or target
        Raises InvalidParams, ServiceNotFound.
        """
        return await self._call("service.get", {"name": name}, reading=True)

    async def service_check(self, config: Config) -> CheckResult:
        """What service.set would say about a configuration; changes nothing.

        config: the configuration, with the sections and keys of the TOML file
        Raises InvalidParams.
        """
        return await self._call("service.check", {"config": config}, reading=True)

    async def service_reload(self, *, restart: bool | None = None) -> ReloadResult:
        """Reads the directories again.

        restart: restart the services whose configuration changed
        Raises InvalidParams, ShuttingDown, PermissionDenied.
        """
        return await self._call("service.reload", {"restart": restart})

    async def service_list(self) -> list[str]:
        """The names of all services, sorted."""
        return await self._call("service.list", {}, reading=True)

    async def service_list_full(self) -> list[ServiceStatusFull]:
        """All services, sorted by name."""
        return await self._call("service.list_full", {}, reading=True)

    async def service_status(self, name: str) -> ServiceStatus:
        """The state of a service.

        name: the service or target
        Raises InvalidParams, ServiceNotFound.
        """
        return await self._call("service.status", {"name": name}, reading=True)

    async def service_status_full(self, name: str) -> ServiceStatusFull:
        """The state of a service, with resources and what its file says.

        name: the service or target
        Raises InvalidParams, ServiceNotFound.
        """
        return await self._call("service.status_full", {"name": name}, reading=True)

    async def service_stats(self, name: str) -> StatsResult:
        """The resources of a service: of its main process, and of each of its descendants.

        name: the service or target
        Raises InvalidParams, ServiceNotFound.
        """
        return await self._call("service.stats", {"name": name}, reading=True)

    async def service_children(self, name: str) -> list[ChildProcess]:
        """The descendants of a service's main process.

        name: the service or target
        Raises InvalidParams, ServiceNotFound.
        """
        return await self._call("service.children", {"name": name}, reading=True)

    async def service_is_running(self, name: str) -> bool:
        """Whether a service is running.

        name: the service or target
        Raises InvalidParams, ServiceNotFound.
        """
        return await self._call("service.is_running", {"name": name}, reading=True)

    async def service_why(self, name: str) -> WhyResult:
        """Why a service is in its state, down to the root causes.

        name: the service or target
        Raises InvalidParams, ServiceNotFound.
        """
        return await self._call("service.why", {"name": name}, reading=True)

    async def service_tree(self, *, name: str | None = None) -> TreeResult:
        """What needs what.

        name: the unit to begin with; absent: all
        Raises InvalidParams, ServiceNotFound.
        """
        return await self._call("service.tree", {"name": name}, reading=True)

    async def service_graph(self, *, format: Literal["dot", "mermaid", "json"] | None = None) -> TextResult:
        """The graph as a drawing for other programs.

        format: the language of the drawing (default "dot")
        Raises InvalidParams.
        """
        return await self._call("service.graph", {"format": format}, reading=True)

    async def service_start(self, name: str, *, tree: bool | None = None, wait: bool | None = None, timeout_ms: int | None = None) -> StateResult:
        """Starts a service and keeps it up; with wait it answers when the service is running, exited or failed, or blocked until a person acts.

        name: the service or target
        tree: also what it requires and wants
        wait: answer when it is done, not at once
        timeout_ms: how long to wait; absent or 0: as long as it takes
        Raises InvalidParams, ServiceNotFound, ShuttingDown, InvalidState, PermissionDenied, Timeout.
        """
        return await self._call("service.start", {"name": name, "tree": tree, "wait": wait, "timeout_ms": timeout_ms}, waits=True)

    async def service_stop(self, name: str, *, wait: bool | None = None, timeout_ms: int | None = None) -> StateResult:
        """Stops a service, those that require it first.

        name: the service or target
        wait: answer when it is done, not at once
        timeout_ms: how long to wait; absent or 0: as long as it takes
        Raises InvalidParams, ServiceNotFound, ShuttingDown, InvalidState, PermissionDenied, Timeout.
        """
        return await self._call("service.stop", {"name": name, "wait": wait, "timeout_ms": timeout_ms}, waits=True)

    async def service_restart(self, name: str, *, wait: bool | None = None, timeout_ms: int | None = None) -> StateResult:
        """Stops and starts a service.

        name: the service or target
        wait: answer when it is done, not at once
        timeout_ms: how long to wait; absent or 0: as long as it takes
        Raises InvalidParams, ServiceNotFound, ShuttingDown, InvalidState, PermissionDenied, Timeout.
        """
        return await self._call("service.restart", {"name": name, "wait": wait, "timeout_ms": timeout_ms}, waits=True)

    async def service_kill(self, name: str, *, signal: str | int | None = None, group: bool | None = None) -> None:
        """Sends a signal to the main process of a service, or to all of it; the wish stays.

        name: the service or target
        signal: name, with or without SIG, or number (default "SIGTERM")
        group: to all processes of the service, not only to the main one
        Raises InvalidParams, ServiceNotFound, ServiceIsDown, InvalidSignal, ProcessError, PermissionDenied.
        """
        await self._call("service.kill", {"name": name, "signal": signal, "group": group})

    async def service_send(self, name: str, text: str) -> None:
        """Writes a text and a newline to the stdin of a service that has stdin = "pipe"; up to 4095 bytes are written whole or not at all.

        name: the service or target
        text: what to write; a newline follows
        Raises InvalidParams, ServiceNotFound, ServiceIsDown, InvalidState, ProcessError, PermissionDenied.
        """
        await self._call("service.send", {"name": name, "text": text})

    async def service_wait(self, name: str, *, state: State | None = None, timeout_ms: int | None = None) -> WaitResult:
        """Waits until a service is in a state; answers at once when it is blocked until a person acts.

        name: the service or target
        state: the state to wait for (default "running")
        timeout_ms: how long to wait; absent or 0: as long as it takes
        Raises InvalidParams, ServiceNotFound, Timeout.
        """
        return await self._call("service.wait", {"name": name, "state": state, "timeout_ms": timeout_ms}, reading=True, waits=True)

    async def service_start_all(self) -> BulkResult:
        """Starts all services of class user.

        Raises ShuttingDown, PermissionDenied.
        """
        return await self._call("service.start_all", {})

    async def service_stop_all(self) -> BulkResult:
        """Stops all services of class user.

        Raises PermissionDenied.
        """
        return await self._call("service.stop_all", {})

    async def service_delete_all(self) -> BulkResult:
        """Deletes all services of class user, and their files.

        Raises ShuttingDown, PermissionDenied.
        """
        return await self._call("service.delete_all", {}, waits=True)

    async def logs_get(self, name: str, *, lines: int | None = None) -> list[str]:
        """The newest lines of a service as texts.

        name: the service or target
        lines: the newest lines, at most this many (default 100)
        Raises InvalidParams, ServiceNotFound.
        """
        return await self._call("logs.get", {"name": name, "lines": lines}, reading=True)

    async def logs_tail(self, name: str, *, lines: int | None = None) -> list[LogLine]:
        """The newest lines of a service.

        name: the service or target
        lines: the newest lines, at most this many (default 100)
        Raises InvalidParams, ServiceNotFound.
        """
        return await self._call("logs.tail", {"name": name, "lines": lines}, reading=True)

    async def logs_filter(self, *, service: str | None = None, stream: LogStream | None = None, since_ms: int | None = None, until_ms: int | None = None, contains: str | None = None, lines: int | None = None) -> list[LogLine]:
        """The newest lines that match, of all services in the order of time.

        service: only this service
        stream: only this stream
        since_ms: ms since the epoch
        until_ms: ms since the epoch
        contains: text that the line contains
        lines: the newest lines, at most this many (default 1000)
        Raises InvalidParams, ServiceNotFound.
        """
        return await self._call("logs.filter", {"service": service, "stream": stream, "since_ms": since_ms, "until_ms": until_ms, "contains": contains, "lines": lines}, reading=True)

    def follow(self, *, services: list[str] | None = None, stream: LogStream | None = None, lines: int | None = None) -> AsyncStream[LogNote]:
        """Sends the newest lines and then each new one as a `log` notification.

        services: only these services; absent or empty: all
        stream: only this stream
        lines: the newest lines, at most this many (default 10)
        Raises InvalidParams.
        """
        return AsyncStream(self, "logs.follow", {"services": services, "stream": stream, "lines": lines}, True)

    async def xinet_create(self, config: Proxy | Config) -> None:
        """Adds a proxy, without a file.

        config: the proxy: the section [xinet] as in the file, or its keys alone
        Raises InvalidParams, ConfigError, ShuttingDown, AlreadyExists, ServiceFileError, XinetError, PermissionDenied.
        """
        await self._call("xinet.create", {"config": config})

    async def xinet_register(self, config: Proxy | Config) -> None:
        """Adds a proxy, or replaces one, and its file if it has one.

        config: the proxy: the section [xinet] as in the file, or its keys alone
        Raises InvalidParams, ConfigError, ShuttingDown, AlreadyExists, ServiceFileError, XinetError, PermissionDenied.
        """
        await self._call("xinet.register", {"config": config})

    async def xinet_delete(self, name: str) -> None:
        """Removes a proxy, and its file; its service stays as it is.

        name: the proxy
        Raises InvalidParams, ServiceFileError, XinetError, PermissionDenied.
        """
        await self._call("xinet.delete", {"name": name})

    async def xinet_unregister(self, name: str) -> None:
        """Removes a proxy, and its file; its service stays as it is.

        name: the proxy
        Raises InvalidParams, ServiceFileError, XinetError, PermissionDenied.
        """
        await self._call("xinet.unregister", {"name": name})

    async def xinet_get(self, name: str) -> Config:
        """The configuration of a proxy.

        name: the proxy
        Raises InvalidParams, XinetError.
        """
        return await self._call("xinet.get", {"name": name}, reading=True)

    async def xinet_list(self) -> list[str]:
        """The names of all proxies."""
        return await self._call("xinet.list", {}, reading=True)

    async def xinet_status(self, name: str) -> XinetStatus:
        """The state of a proxy.

        name: the proxy
        Raises InvalidParams, XinetError.
        """
        return await self._call("xinet.status", {"name": name}, reading=True)

    async def xinet_status_all(self) -> list[XinetStatus]:
        """The state of all proxies."""
        return await self._call("xinet.status_all", {}, reading=True)


class Stream(Generic[_T]):
    """The notifications of a subscription, as an iterator that goes on when the server is replaced. `close`, or the end of `with`, ends it.

    An item's `lost` says how many were missed before it: this client was too slow, or, then at least 1, the server was replaced.
    """

    def __init__(self, client: Client, stream: AsyncStream[_T]) -> None:
        self._client, self._stream = client, stream
        client._run(stream._subscribe())

    def __enter__(self) -> Stream[_T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Stream[_T]:
        return self

    def __next__(self) -> _T:
        try:
            return self._client._run(self._stream.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """End the subscription."""
        self._client._loop.call_soon_threadsafe(self._stream.close)


class Client:
    """AsyncClient for programs without asyncio: each method waits for its answer. Threads may share it. Use it with `with`."""

    def __init__(self, path: str | None = None, timeout: float = 30.0) -> None:
        self._async = AsyncClient(path, timeout)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="zinit", daemon=True)
        self._thread.start()
        try:
            self._run(self._async._connected())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> str | None:
        """The socket."""
        return self._async.path

    def close(self) -> None:
        """Close the connection; iterators end."""
        if self._thread.is_alive():
            self._run(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self) -> None:
        self._async.close()
        if others := asyncio.all_tasks() - {asyncio.current_task()}:  # of other threads
            _, late = await asyncio.wait(others, timeout=2 * _PAUSE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # Ctrl-C ends the request too
            future.cancel()
            raise

    def rpc_discover(self) -> dict[str, Any]:
        """Describes all methods as an OpenRPC document."""
        return self._run(self._async.rpc_discover())

    def system_ping(self) -> PingResult:
        """Answers when the server is alive."""
        return self._run(self._async.system_ping())

    def system_info(self) -> InfoResult:
        """What works here and what does not."""
        return self._run(self._async.system_info())

    def system_metrics(self) -> TextResult:
        """Numbers of all services as OpenMetrics text."""
        return self._run(self._async.system_metrics())

    def system_shutdown(self, *, delay_ms: int | None = None, message: str | None = None, cancel: bool | None = None) -> None:
        """Stops all services and ends the server; as PID 1 of a machine: powers off.

        delay_ms: not now but after this time; a planned shutdown takes the place of one that was planned before
        message: told on the console and the terminals of those who are logged in, when it is planned
        cancel: give up the shutdown that is planned; no error when none is
        Raises InvalidParams, PermissionDenied, NotSupported.
        """
        self._run(self._async.system_shutdown(delay_ms=delay_ms, message=message, cancel=cancel))

    def system_reboot(self, *, delay_ms: int | None = None, message: str | None = None) -> None:
        """Reboots the machine.

        delay_ms: not now but after this time; a planned shutdown takes the place of one that was planned before
        message: told on the console and the terminals of those who are logged in, when it is planned
        Raises InvalidParams, PermissionDenied, NotSupported.
        """
        self._run(self._async.system_reboot(delay_ms=delay_ms, message=message))

    def system_poweroff(self, *, delay_ms: int | None = None, message: str | None = None) -> None:
        """Powers the machine off.

        delay_ms: not now but after this time; a planned shutdown takes the place of one that was planned before
        message: told on the console and the terminals of those who are logged in, when it is planned
        Raises InvalidParams, PermissionDenied, NotSupported.
        """
        self._run(self._async.system_poweroff(delay_ms=delay_ms, message=message))

    def system_halt(self, *, delay_ms: int | None = None, message: str | None = None) -> None:
        """Halts the machine.

        delay_ms: not now but after this time; a planned shutdown takes the place of one that was planned before
        message: told on the console and the terminals of those who are logged in, when it is planned
        Raises InvalidParams, PermissionDenied, NotSupported.
        """
        self._run(self._async.system_halt(delay_ms=delay_ms, message=message))

    def system_prepare_restart(self) -> RestartResult:
        """Saves the state and ends the server; the services go on.

        Raises ShuttingDown, PermissionDenied, NotSupported.
        """
        return self._run(self._async.system_prepare_restart())

    def system_upgrade(self, *, binary: str | None = None) -> UpgradeResult:
        """Goes over to a new binary; the services go on.

        binary: its path; absent: the server's own
        Raises InvalidParams, ShuttingDown, InvalidState, ProcessError, PermissionDenied, Timeout, NotSupported.
        """
        return self._run(self._async.system_upgrade(binary=binary))

    def debug_state(self) -> DebugResult:
        """Everything that the server knows."""
        return self._run(self._async.debug_state())

    def debug_process_tree(self) -> ProcessResult:
        """All processes of all services."""
        return self._run(self._async.debug_process_tree())

    def boot_analyze(self, *, format: Literal["json", "text"] | None = None) -> BootResult | TextResult:
        """How long each service took to start, and the critical chain.

        format: data, or a text for people (default "json")
        Raises InvalidParams.
        """
        return self._run(self._async.boot_analyze(format=format))

    def events(self, *, services: list[str] | None = None, types: list[ChangeType] | None = None) -> Stream[ServiceEvent]:
        """Sends an `event` notification for each change from now on.

        services: only these services; absent or empty: all
        types: only events of these types; absent: all
        Raises InvalidParams.
        """
        return Stream(self, self._async.events(services=services, types=types))

    def service_create(self, config: Config, *, persist: bool | None = None, text: str | None = None) -> PutResult:
        """Adds a new service, and starts it when its status says so.

        config: the configuration, with the sections and keys of the TOML file
        persist: also write its file, so that it is there after the next start of the server
        text: the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config
        Raises InvalidParams, ConfigError, ShuttingDown, AlreadyExists, ServiceFileError, DependencyError, PermissionDenied.
        """
        return self._run(self._async.service_create(config, persist=persist, text=text))

    def service_add(self, config: Config, *, persist: bool | None = None, text: str | None = None) -> PutResult:
        """Adds a new service, and starts it when its status says so.

        config: the configuration, with the sections and keys of the TOML file
        persist: also write its file, so that it is there after the next start of the server
        text: the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config
        Raises InvalidParams, ConfigError, ShuttingDown, AlreadyExists, ServiceFileError, DependencyError, PermissionDenied.
        """
        return self._run(self._async.service_add(config, persist=persist, text=text))

    def service_delete(self, name: str, *, force: bool | None = None) -> None:
        """Stops a service, waits until it is gone and deletes its file.

        name: the service or target
        force: also when others require it
        Raises InvalidParams, ServiceNotFound, ServiceFileError, InvalidState, DependencyError, PermissionDenied.
        """
        self._run(self._async.service_delete(name, force=force))

    def service_remove(self, name: str, *, force: bool | None = None) -> None:
        """Stops a service, waits until it is gone and deletes its file.

        name: the service or target
        force: also when others require it
        Raises InvalidParams, ServiceNotFound, ServiceFileError, InvalidState, DependencyError, PermissionDenied.
        """
        self._run(self._async.service_remove(name, force=force))

    def service_register(self, config: Config, *, text: str | None = None) -> PutResult:
        """Adds a new service and writes its file.

        config: the configuration, with the sections and keys of the TOML file
        text: the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config
        Raises InvalidParams, ConfigError, ShuttingDown, AlreadyExists, ServiceFileError, DependencyError, PermissionDenied.
        """
        return self._run(self._async.service_register(config, text=text))

    def service_monitor(self, config: Config) -> PutResult:
        """Adds a new service without a file.

        config: the configuration, with the sections and keys of the TOML file
        Raises InvalidParams, ConfigError, ShuttingDown, AlreadyExists, ServiceFileError, DependencyError, PermissionDenied.
        """
        return self._run(self._async.service_monitor(config))

    def service_set(self, config: Config, *, text: str | None = None) -> PutResult:
        """Adds or replaces a service and writes its file; if it runs it is restarted.

        config: the configuration, with the sections and keys of the TOML file
        text: the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config
        Raises InvalidParams, ConfigError, ShuttingDown, ServiceFileError, InvalidState, DependencyError, PermissionDenied.
        """
        return self._run(self._async.service_set(config, text=text))

    def service_update(self, config: Config, *, text: str | None = None) -> PutResult:
        """Replaces a service, and its file if it has one; if it runs it is restarted.

        config: the configuration, with the sections and keys of the TOML file
        text: the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config
        Raises InvalidParams, ServiceNotFound, ConfigError, ShuttingDown, ServiceFileError, InvalidState, DependencyError, PermissionDenied.
        """
        return self._run(self._async.service_update(config, text=text))

    def service_get(self, name: str) -> Config:
        """The configuration of a service, defaults filled in.

        name: the service or target
        Raises InvalidParams, ServiceNotFound.
        """
        return self._run(self._async.service_get(name))

    def service_check(self, config: Config) -> CheckResult:
        """What service.set would say about a configuration; changes nothing.

        config: the configuration, with the sections and keys of the TOML file
        Raises InvalidParams.
        """
        return self._run(self._async.service_check(config))

    def service_reload(self, *, restart: bool | None = None) -> ReloadResult:
        """Reads the directories again.

        restart: restart the services whose configuration changed
        Raises InvalidParams, ShuttingDown, PermissionDenied.
        """
        return self._run(self._async.service_reload(restart=restart))

    def service_list(self) -> list[str]:
        """The names of all services, sorted."""
        return self._run(self._async.service_list())

    def service_list_full(self) -> list[ServiceStatusFull]:
        """All services, sorted by name."""
        return self._run(self._async.service_list_full())

    def service_status(self, name: str) -> ServiceStatus:
        """The state of a service.

        name: the service or target
        Raises InvalidParams, ServiceNotFound.
        """
        return self._run(self._async.service_status(name))

    def service_status_full(self, name: str) -> ServiceStatusFull:
        """The state of a service, with resources and what its file says.

        name: the service or target
        Raises InvalidParams, ServiceNotFound.
        """
        return self._run(self._async.service_status_full(name))

    def service_stats(self, name: str) -> StatsResult:
        """The resources of a service: of its main process, and of each of its descendants.

        name: the service or target
        Raises InvalidParams, ServiceNotFound.
        """
        return self._run(self._async.service_stats(name))

    def service_children(self, name: str) -> list[ChildProcess]:
        """The descendants of a service's main process.

        name: the service or target
        Raises InvalidParams, ServiceNotFound.
        """
        return self._run(self._async.service_children(name))

    def service_is_running(self, name: str) -> bool:
        """Whether a service is running.

        name: the service or target
        Raises InvalidParams, ServiceNotFound.
        """
        return self._run(self._async.service_is_running(name))

    def service_why(self, name: str) -> WhyResult:
        """Why a service is in its state, down to the root causes.

        name: the service or target
        Raises InvalidParams, ServiceNotFound.
        """
        return self._run(self._async.service_why(name))

    def service_tree(self, *, name: str | None = None) -> TreeResult:
        """What needs what.

        name: the unit to begin with; absent: all
        Raises InvalidParams, ServiceNotFound.
        """
        return self._run(self._async.service_tree(name=name))

    def service_graph(self, *, format: Literal["dot", "mermaid", "json"] | None = None) -> TextResult:
        """The graph as a drawing for other programs.

        format: the language of the drawing (default "dot")
        Raises InvalidParams.
        """
        return self._run(self._async.service_graph(format=format))

    def service_start(self, name: str, *, tree: bool | None = None, wait: bool | None = None, timeout_ms: int | None = None) -> StateResult:
        """Starts a service and keeps it up; with wait it answers when the service is running, exited or failed, or blocked until a person acts.

        name: the service or target
        tree: also what it requires and wants
        wait: answer when it is done, not at once
        timeout_ms: how long to wait; absent or 0: as long as it takes
        Raises InvalidParams, ServiceNotFound, ShuttingDown, InvalidState, PermissionDenied, Timeout.
        """
        return self._run(self._async.service_start(name, tree=tree, wait=wait, timeout_ms=timeout_ms))

    def service_stop(self, name: str, *, wait: bool | None = None, timeout_ms: int | None = None) -> StateResult:
        """Stops a service, those that require it first.

        name: the service or target
        wait: answer when it is done, not at once
        timeout_ms: how long to wait; absent or 0: as long as it takes
        Raises InvalidParams, ServiceNotFound, ShuttingDown, InvalidState, PermissionDenied, Timeout.
        """
        return self._run(self._async.service_stop(name, wait=wait, timeout_ms=timeout_ms))

    def service_restart(self, name: str, *, wait: bool | None = None, timeout_ms: int | None = None) -> StateResult:
        """Stops and starts a service.

        name: the service or target
        wait: answer when it is done, not at once
        timeout_ms: how long to wait; absent or 0: as long as it takes
        Raises InvalidParams, ServiceNotFound, ShuttingDown, InvalidState, PermissionDenied, Timeout.
        """
        return self._run(self._async.service_restart(name, wait=wait, timeout_ms=timeout_ms))

    def service_kill(self, name: str, *, signal: str | int | None = None, group: bool | None = None) -> None:
        """Sends a signal to the main process of a service, or to all of it; the wish stays.

        name: the service or target
        signal: name, with or without SIG, or number (default "SIGTERM")
        group: to all processes of the service, not only to the main one
        Raises InvalidParams, ServiceNotFound, ServiceIsDown, InvalidSignal, ProcessError, PermissionDenied.
        """
        self._run(self._async.service_kill(name, signal=signal, group=group))

    def service_send(self, name: str, text: str) -> None:
        """Writes a text and a newline to the stdin of a service that has stdin = "pipe"; up to 4095 bytes are written whole or not at all.

        name: the service or target
        text: what to write; a newline follows
        Raises InvalidParams, ServiceNotFound, ServiceIsDown, InvalidState, ProcessError, PermissionDenied.
        """
        self._run(self._async.service_send(name, text))

    def service_wait(self, name: str, *, state: State | None = None, timeout_ms: int | None = None) -> WaitResult:
        """Waits until a service is in a state; answers at once when it is blocked until a person acts.

        name: the service or target
        state: the state to wait for (default "running")
        timeout_ms: how long to wait; absent or 0: as long as it takes
        Raises InvalidParams, ServiceNotFound, Timeout.
        """
        return self._run(self._async.service_wait(name, state=state, timeout_ms=timeout_ms))

    def service_start_all(self) -> BulkResult:
        """Starts all services of class user.

        Raises ShuttingDown, PermissionDenied.
        """
        return self._run(self._async.service_start_all())

    def service_stop_all(self) -> BulkResult:
        """Stops all services of class user.

        Raises PermissionDenied.
        """
        return self._run(self._async.service_stop_all())

    def service_delete_all(self) -> BulkResult:
        """Deletes all services of class user, and their files.

        Raises ShuttingDown, PermissionDenied.
        """
        return self._run(self._async.service_delete_all())

    def logs_get(self, name: str, *, lines: int | None = None) -> list[str]:
        """The newest lines of a service as texts.

        name: the service or target
        lines: the newest lines, at most this many (default 100)
        Raises InvalidParams, ServiceNotFound.
        """
        return self._run(self._async.logs_get(name, lines=lines))

    def logs_tail(self, name: str, *, lines: int | None = None) -> list[LogLine]:
        """The newest lines of a service.

        name: the service or target
        lines: the newest lines, at most this many (default 100)
        Raises InvalidParams, ServiceNotFound.
        """
        return self._run(self._async.logs_tail(name, lines=lines))

    def logs_filter(self, *, service: str | None = None, stream: LogStream | None = None, since_ms: int | None = None, until_ms: int | None = None, contains: str | None = None, lines: int | None = None) -> list[LogLine]:
        """The newest lines that match, of all services in the order of time.

        service: only this service
        stream: only this stream
        since_ms: ms since the epoch
        until_ms: ms since the epoch
        contains: text that the line contains
        lines: the newest lines, at most this many (default 1000)
        Raises InvalidParams, ServiceNotFound.
        """
        return self._run(self._async.logs_filter(service=service, stream=stream, since_ms=since_ms, until_ms=until_ms, contains=contains, lines=lines))

    def follow(self, *, services: list[str] | None = None, stream: LogStream | None = None, lines: int | None = None) -> Stream[LogNote]:
        """Sends the newest lines and then each new one as a `log` notification.

        services: only these services; absent or empty: all
        stream: only this stream
        lines: the newest lines, at most this many (default 10)
        Raises InvalidParams.
        """
        return Stream(self, self._async.follow(services=services, stream=stream, lines=lines))

    def xinet_create(self, config: Proxy | Config) -> None:
        """Adds a proxy, without a file.

        config: the proxy: the section [xinet] as in the file, or its keys alone
        Raises InvalidParams, ConfigError, ShuttingDown, AlreadyExists, ServiceFileError, XinetError, PermissionDenied.
        """
        self._run(self._async.xinet_create(config))

    def xinet_register(self, config: Proxy | Config) -> None:
        """Adds a proxy, or replaces one, and its file if it has one.

        config: the proxy: the section [xinet] as in the file, or its keys alone
        Raises InvalidParams, ConfigError, ShuttingDown, AlreadyExists, ServiceFileError, XinetError, PermissionDenied.
        """
        self._run(self._async.xinet_register(config))

    def xinet_delete(self, name: str) -> None:
        """Removes a proxy, and its file; its service stays as it is.

        name: the proxy
        Raises InvalidParams, ServiceFileError, XinetError, PermissionDenied.
        """
        self._run(self._async.xinet_delete(name))

    def xinet_unregister(self, name: str) -> None:
        """Removes a proxy, and its file; its service stays as it is.

        name: the proxy
        Raises InvalidParams, ServiceFileError, XinetError, PermissionDenied.
        """
        self._run(self._async.xinet_unregister(name))

    def xinet_get(self, name: str) -> Config:
        """The configuration of a proxy.

        name: the proxy
        Raises InvalidParams, XinetError.
        """
        return self._run(self._async.xinet_get(name))

    def xinet_list(self) -> list[str]:
        """The names of all proxies."""
        return self._run(self._async.xinet_list())

    def xinet_status(self, name: str) -> XinetStatus:
        """The state of a proxy.

        name: the proxy
        Raises InvalidParams, XinetError.
        """
        return self._run(self._async.xinet_status(name))

    def xinet_status_all(self) -> list[XinetStatus]:
        """The state of all proxies."""
        return self._run(self._async.xinet_status_all())
