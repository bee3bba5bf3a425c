"""What a type checker must accept of clients/python, and, where it says so, refuse."""

import zinit


def blocking(c: zinit.Client) -> int:
    config: zinit.Config = {"service": {"exec": ["true"], "class": "user", "env": {"A": "b"}}, "lifecycle": {"restart": "always"}}
    wrong: zinit.Config = {"lifecycle": {"restrat": "always"}}  # type: ignore[typeddict-item]
    c.service_create(config, persist=True)
    c.service_wait("web", state="up")  # type: ignore[arg-type]
    c.service_status("web")["stat"]  # type: ignore[typeddict-item]
    proxy: zinit.Proxy = {"listen": [":80"], "service": "web", "pass": True}
    c.xinet_create(proxy)
    c.xinet_register({"xinet": proxy})
    c.xinet_create({"listen": ":80", "service": "web"})  # type: ignore[typeddict-item]
    for event in c.events(types=["state"]):
        to: zinit.State | None = event["to"]
        print(to, event.get("lost", 0) + 1, wrong)
    return c.service_status("web")["pid"]


async def alone(c: zinit.AsyncClient) -> list[str]:
    async with c.follow(lines=0) as lines:
        async for line in lines:
            stream: zinit.LogStream = line["stream"]
            print(stream)
    return await c.service_list()
