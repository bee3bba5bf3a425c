#!/usr/bin/env python3
"""Watches a service, and says what it wrote last and what can be done whenever it fails. Ctrl-C ends it.

usage: PYTHONPATH=clients/python monitor_service.py NAME
"""
import contextlib
import sys

from zinit import Client

if len(sys.argv) != 2:
    sys.exit(__doc__)
name = sys.argv[1]
with Client() as zinit, contextlib.suppress(KeyboardInterrupt):
    events = zinit.events(services=[name], types=["state"])
    print(f"{name} is {zinit.service_status(name)['state']}", flush=True)
    for event in events:
        if event.get("lost"):
            print(f"(at least {event['lost']} events lost)")
        print(f"{name}: {event['from']} -> {event['to']}", flush=True)
        if event["to"] == "failed":
            for line in zinit.logs_get(name, lines=5):
                print("  | " + line)
            print(zinit.service_why(name)["text"], flush=True)
