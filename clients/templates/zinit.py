"""Client of the zinit supervisor, blocking (Client) and for asyncio (AsyncClient): JSON-RPC 2.0 over its Unix socket.

Python 3.11 or newer, standard library only. Results are dicts that look as in docs/rpc.md, with types for checkers (TypedDict):
members that a newer server adds are there too, `from` is a key like any other, and json.dumps prints them.

# @notice@
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


# @types@


class ServerGone(ConnectionError):
    """No server answers, or the connection broke before an answer. Whether a changing request was carried out is then not known."""


class ZinitError(Exception):
    """What the server refused. There is a subclass for each kind; programs read `data`, never the message."""

    def __init__(self, code: int, kind: str, message: str, data: ErrorData) -> None:
        super().__init__(message)
        self.code, self.kind, self.message, self.data = code, kind, message, data


# @errors@


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

    # @async methods@


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

    # @methods@
