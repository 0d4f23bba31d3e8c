#!/usr/bin/env python3
"""The least client that passes tools_call in both eras, to see that suite.py can tell passing from failing. usage: trivial_client.py [--wrong] URL"""
import json
import os
import sys
import urllib.request

MODERN = "2026-07-28"
version = os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"]
url = sys.argv[-1]


def post(i, method, params):
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    if method != "initialize":
        headers["mcp-protocol-version"] = version
    if version == MODERN:
        headers["mcp-method"] = method
        if "name" in params:
            headers["mcp-name"] = params["name"]
        params = {**params, "_meta": {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {},
                                      "io.modelcontextprotocol/clientInfo": {"name": "trivial", "version": "1"}}}
    body = {"jsonrpc": "2.0", "method": method, "params": params, **({} if i is None else {"id": i})}
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=10).read()


if version != MODERN:
    post(1, "initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "trivial", "version": "1"}})
    post(None, "notifications/initialized", {})
post(2, "tools/list", {})
post(3, "tools/call", {"name": "add_numbers", "arguments": {"a": "2" if "--wrong" in sys.argv else 2, "b": 3}})
