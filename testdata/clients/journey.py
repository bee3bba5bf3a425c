"""What a user of clients/python does with a server. usage: journey.py blocking|async|faults|find NAME; "replace" is printed when the server is to be replaced."""

import asyncio
import itertools
import sys
import threading
import warnings

import zinit

CONFIG: zinit.Config = {
    "service": {"exec": ["sh", "-c", "echo hello; echo oops >&2; exec sleep 600"], "status": "stop"},
    "lifecycle": {"stop_timeout_ms": 5000},
}


def refused(kind, call, *args, **options):
    """The error of a call, which must be of this kind."""
    try:
        call(*args, **options)
    except kind as error:
        return error
    raise AssertionError(f"{call.__name__} is not refused")


def blocking(name):
    with zinit.Client() as c:
        pid = c.system_ping()["pid"]
        made = c.service_create(CONFIG | {"service": CONFIG["service"] | {"name": name}})
        assert made["name"] == name and made["path"] is None, made
        assert name in c.service_list()
        assert c.service_status(name)["state"] == "inactive"
        assert c.service_get(name)["lifecycle"]["stop_timeout_ms"] == 5000

        events, lines = c.events(services=[name], types=["state"]), c.follow(services=[name], lines=0)
        c.service_start(name)
        assert c.service_wait(name)["state"] == "running"
        assert [(e["from"], e["to"]) for e in itertools.islice(events, 2)] == [("inactive", "starting"), ("starting", "running")]
        assert {(n["stream"], n["text"]) for n in itertools.islice(lines, 2)} == {("stdout", "hello"), ("stderr", "oops")}
        assert sorted(c.logs_get(name, lines=2)) == ["hello", "oops"]

        error = refused(zinit.ServiceNotFound, c.service_status, name + "x")
        assert error.code == -32000 and error.kind == "service_not_found" and name in error.data["names"], error.data
        assert isinstance(refused(zinit.ZinitError, c.service_create, {"service": {"name": name, "exec": "true"}}), zinit.AlreadyExists)
        error = refused(zinit.ConfigError, c.service_create, {"service": {"name": "x", "exec": "true", "statsu": "stop"}})
        assert "status" in error.data["errors"][0]["message"], error.data
        refused(zinit.Timeout, c.service_wait, name, state="exited", timeout_ms=1)

        results = []  # one request waits, others on the same connection do not
        waiting = threading.Thread(target=lambda: results.append(c.service_wait(name, state="exited")))
        waiting.start()
        assert c.service_is_running(name) and not results
        c.service_stop(name)
        waiting.join()
        assert results == [{"state": "exited"}], results
        c.service_start(name, wait=True)

        before = c.logs_tail(name, lines=1)[0]["seq"]
        found = []  # the iterators go on, and say that something may be missing

        def read():
            found.append(next(e for e in events if e.get("lost")))
            found.append(next(n for n in lines if n["seq"] > before and n["text"] == "hello"))

        reader = threading.Thread(target=read)
        reader.start()
        print("replace", flush=True)
        while c.system_ping()["pid"] == pid:
            assert c.service_status(name)["state"] == "running"
        while reader.is_alive():
            c.service_restart(name, wait=True)
            reader.join(0.1)
        assert found[0]["service"] == found[1]["service"] == name
        events.close()
        lines.close()
        assert list(events) == []

        c.service_delete(name)
        assert name not in c.service_list()


async def alone(name):
    async with zinit.AsyncClient() as c:
        pid = (await c.system_ping())["pid"]
        await c.service_create(CONFIG | {"service": CONFIG["service"] | {"name": name}})
        assert name in await c.service_list()
        async with c.events(services=[name], types=["state"]) as events, c.follow(services=[name]) as lines:
            await c.service_start(name)
            async for e in events:
                if e["to"] == "running":
                    break
            assert {(await anext(lines))["text"], (await anext(lines))["text"]} == {"hello", "oops"}

            waiting = asyncio.create_task(c.service_wait(name, state="exited"))
            statuses = await asyncio.gather(*[c.service_status(name) for _ in range(50)])
            assert all(s["state"] == "running" for s in statuses) and not waiting.done()
            await c.service_stop(name)
            assert await waiting == {"state": "exited"}
            await c.service_start(name, wait=True)
            try:
                await c.service_kill(name, signal="NOSUCH")
                raise AssertionError("not refused")
            except zinit.InvalidSignal as error:
                assert error.kind == "invalid_signal"

            before = (await c.logs_tail(name, lines=1))[0]["seq"]

            async def read():
                while not (await anext(events)).get("lost"):
                    pass
                while (n := await anext(lines))["seq"] <= before or n["text"] != "hello":
                    pass

            reader = asyncio.create_task(read())
            print("replace", flush=True)
            while (await c.system_ping())["pid"] == pid:
                assert (await c.service_status(name))["state"] == "running"
            while not reader.done():
                await c.service_restart(name, wait=True)
                await asyncio.wait([reader], timeout=0.1)
            await reader
        await c.service_delete(name)
        assert name not in await c.service_list()


def faults(_):
    """Against the pretended server of clients_test.go, which breaks the first connection in the middle of service.list and of service.start."""
    with zinit.Client() as c:
        assert c.service_list() == ["x"]
        refused(zinit.ServerGone, c.service_start, "x")
        lines = c.follow()
        assert c.service_list() == ["x"]
        first = next(lines)
        assert first["seq"] == 6 and first["lost"] == 5 + 2, first
        with warnings.catch_warnings(record=True) as caught:
            assert c.logs_get("x") == []
        assert "lacks 7 entries" in str(caught[0].message)


def find(_):
    with zinit.Client() as c:
        print(c.path)


if __name__ == "__main__":
    way, service = sys.argv[1:]
    asyncio.run(alone(service)) if way == "async" else {"blocking": blocking, "faults": faults, "find": find}[way](service)
    print("done")
