#!/usr/bin/env python3
"""Makes a service and one that requires it, restarts the first with the second, and takes both away again.

usage: PYTHONPATH=clients/python create_service.py [NAME]
"""
import sys

from zinit import AlreadyExists, Client

name = sys.argv[1] if len(sys.argv) > 1 else "example"
follower = name + "-follower"
with Client() as zinit:
    lines = zinit.follow(services=[name])
    try:
        zinit.service_create({
            "service": {"name": name, "exec": 'echo "hello from $ZINIT_SERVICE"; exec sleep 3600', "description": "made by create_service"},
            "lifecycle": {"restart": "always"},
        })  # with persist=True its file is written too
    except AlreadyExists as error:
        sys.exit(str(error))
    print(name, "is", zinit.service_wait(name)["state"])
    print(next(lines)["text"])

    zinit.service_create({"service": {"name": follower, "exec": ["sleep", "3600"]}, "dependencies": {"requires": [name]}})
    zinit.service_restart(name, wait=True)
    zinit.service_wait(follower)
    print(zinit.service_tree(name=follower)["text"])

    zinit.service_delete(follower)
    zinit.service_delete(name)
