#!/usr/bin/env python3
"""Lists all services, and what keeps those that wait.

usage: PYTHONPATH=clients/python list_services.py
"""
from zinit import Client

with Client() as zinit:
    for s in zinit.service_list_full():
        blockers = "waits for " + ", ".join(s["blocked_by"]) if s["blocked_by"] else ""
        print(f"{s['name']:20} {s['state']:10} {s['pid'] or '-':>8}  {blockers}".rstrip())
