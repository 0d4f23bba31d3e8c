#!/usr/bin/env python3
"""Between a client and an MCP server: says for the client that it has roots, and swallows its answer when the server asks for them. A real server is thus left waiting.

usage: roots.py COMMAND..."""
import json
import subprocess
import sys

server = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, text=True)  # its stdout is ours: what it says, roots/list among it, reaches the client as it is
for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "initialize":
        message["params"]["capabilities"]["roots"] = {}
    if "method" in message:  # no answers to the server
        server.stdin.write(json.dumps(message) + "\n")
        server.stdin.flush()
server.stdin.close()
sys.exit(server.wait())
