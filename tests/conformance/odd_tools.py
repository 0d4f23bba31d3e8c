#!/usr/bin/env python3
"""A stdio MCP server whose tools have names that no vendor takes."""
import json
import sys

NAMES = ["org.acme/do it", "org.acme/do.it", "größe", "a" * 100, "plain"]
TOOLS = [{"name": n, "description": f"tool {i}", "inputSchema": {"type": "object", "properties": {"x": {"type": "number"}}}}
         for i, n in enumerate(NAMES)]


def answer(request):
    method, params = request["method"], request.get("params", {})
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "odd", "version": "1"}}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        said = f"{params['name']} got {json.dumps(params.get('arguments'), sort_keys=True)}"
        return {"content": [{"type": "text", "text": said}], "isError": False}
    return {}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answer(message)}), flush=True)
