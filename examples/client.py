#!/usr/bin/env python3
"""Talks to zinit with the standard library only: JSON-RPC 2.0, one JSON text per line over a Unix socket.

usage: client.py list | watch [EVENTS] | graph | create NAME PROGRAM [ARGUMENT...]
"""
import json
import os
import socket
import sys


class Zinit:
    def __init__(self, path=os.environ.get("ZINIT_SOCKET", "/run/zinit.sock")):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.lines = self.sock.makefile("r", encoding="utf-8")
        self.id = 0
        self.notes = []  # notifications that came while an answer was awaited

    def call(self, method, **params):
        self.id += 1
        request = {"jsonrpc": "2.0", "id": self.id, "method": method, "params": params}
        self.sock.sendall(json.dumps(request).encode() + b"\n")
        while True:
            message = self.receive()
            if message.get("id") != self.id:
                self.notes.append(message)
            elif "error" in message:
                raise RuntimeError("{message} ({code})".format(**message["error"]))
            else:
                return message["result"]

    def receive(self):
        line = self.lines.readline()
        if not line:
            raise ConnectionError("the server closed the connection")
        return json.loads(line)

    def events(self, **params):
        self.call("events.subscribe", **params)
        while True:
            note = self.notes.pop(0) if self.notes else self.receive()
            yield note["params"]


def main(words):
    zinit = Zinit()
    if words[:1] == ["list"]:
        for s in zinit.call("service.list_full"):
            print("{name:20} {state:10} {pid}".format(**s))
    elif words[:1] == ["watch"]:
        left = int(words[1]) if len(words) > 1 else -1
        for e in zinit.events(types=["state"]):
            print(e["service"], e["from"], "->", e["to"], json.dumps(e["reason"]) if e["reason"] else "", flush=True)
            left -= 1
            if left == 0:
                break
    elif words[:1] == ["graph"]:
        for line in zinit.call("service.graph", format="mermaid")["text"].splitlines():
            print(line)
    elif words[:1] == ["create"] and len(words) > 2:
        zinit.call("service.create", config={"service": {"name": words[1], "exec": words[2:]}})
        print(words[1], "is", zinit.call("service.wait", name=words[1], timeout_ms=10000)["state"])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
