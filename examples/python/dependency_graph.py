#!/usr/bin/env python3
"""Shows what needs what: as a tree, and in the language of Graphviz or Mermaid.

usage: PYTHONPATH=clients/python dependency_graph.py [dot|mermaid]
"""
import sys

from zinit import Client

with Client() as zinit:
    print(zinit.service_tree()["text"])
    print(zinit.service_graph(format=sys.argv[1] if len(sys.argv) > 1 else "mermaid")["text"])
