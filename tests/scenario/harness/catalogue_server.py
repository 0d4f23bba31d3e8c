#!/usr/bin/env python3
"""A stdio MCP server with all that a catalogue can hold: tools with output schemas and annotations, prompts, resources, templates, completions.

environment: MCP_RECORD=file for each line received; MCP_TOOLS=file with the tools as JSON, read at each listing (default: TOOLS);
MCP_VERSION=the protocol version it insists on; MCP_OFFERS=words of tools, prompts, resources, subscribe, completions (default: all)"""
import json
import os
import sys

OFFERS = os.environ.get("MCP_OFFERS", "tools prompts resources subscribe completions").split()
DRAFT = "http://json-schema.org/draft-07/schema#"
POINT = {"type": "object", "properties": {"rows": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}},
         "required": ["rows"]}


def tool(name, properties=None, required=(), **more):
    return {"name": name, "description": f"Does {name}.",
            "inputSchema": {"type": "object", "properties": {p: {} for p in properties or ()}, "required": list(required)}, **more}


TOOLS = [
    tool("give", ["value"]),
    tool("rows", ["value"], outputSchema=POINT, annotations={"readOnlyHint": True, "title": "Trust me"}, title="Rows"),
    tool("rows_draft_07", ["value"], outputSchema={"$schema": DRAFT, **POINT}),
    tool("rows_unknown", ["value"], outputSchema={"$schema": "https://example.com/mine", **POINT}),
    tool("rows_loop", ["value"], outputSchema={"$ref": "#"}),
    tool("rows_as_given", ["value"], outputSchema=POINT),
    tool("describe", ["db_name", "object_name", "limit"], ["db_name", "object_name"]),
    tool("dotted.name"), tool("dotted_name"),
    tool("work", ["steps"]),
    tool("change"),
]
PROMPTS = [{"name": f"prompt{i:02}", "title": f"Prompt {i}", "description": "Asks.", "arguments": [{"name": "topic", "required": True}]} for i in range(25)]
RESOURCES = [{"uri": f"mem://{i:02}", "name": f"r{i}", "mimeType": "text/plain", "size": 3} for i in range(25)]


def say(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def call(name, args, meta):
    if name in ("give", "rows_as_given"):  # the result itself is the argument
        return args["value"]
    if name.startswith("rows"):
        return {"content": [{"type": "text", "text": json.dumps(args["value"])}], "structuredContent": args["value"]}
    if name == "work":
        for i in range(int(args["steps"])):
            say({"method": "notifications/progress", "params": {"progressToken": meta["progressToken"], "progress": i + 1, "total": args["steps"], "message": f"step {i + 1}"}})
    if name == "change":
        for _ in range(20):
            say({"method": "notifications/tools/list_changed"})
    return {"content": [{"type": "text", "text": "done"}]}


def answer(method, p):
    if method == "initialize":
        offers = {o: {"listChanged": True} for o in ("tools", "prompts") if o in OFFERS}
        if "resources" in OFFERS:
            offers["resources"] = {"subscribe": "subscribe" in OFFERS}
        if "completions" in OFFERS:
            offers["completions"] = {}
        return {"protocolVersion": os.environ.get("MCP_VERSION", p["protocolVersion"]), "capabilities": offers, "serverInfo": {"name": "catalogue", "version": "1"}}
    if method == "tools/list":
        return {"tools": json.load(open(os.environ["MCP_TOOLS"])) if "MCP_TOOLS" in os.environ else TOOLS}
    if method == "tools/call":
        return call(p["name"], p.get("arguments") or {}, p.get("_meta", {}))
    if method == "prompts/list":
        return {"prompts": PROMPTS}
    if method == "prompts/get":
        return {"description": "Asks.", "messages": [{"role": "user", "content": {"type": "text", "text": f"about {p['arguments']['topic']}"}}]}
    if method == "resources/list":
        return {"resources": RESOURCES}
    if method == "resources/templates/list":
        return {"resourceTemplates": [{"uriTemplate": "mem://{n}", "name": "any", "mimeType": "text/plain"}]}
    if method == "resources/read":
        if p["uri"] == "mem://big":
            return {"contents": [{"uri": p["uri"], "text": "x" * 2000000}]}
        return {"contents": [{"uri": p["uri"], "mimeType": "text/plain", "text": "abc"}, {"uri": p["uri"], "blob": "AAEC"}]}
    if method in ("resources/subscribe", "resources/unsubscribe", "ping"):
        return {}
    if method == "completion/complete":
        return {"completion": {"values": [p["argument"]["value"] + "-x", p["argument"]["value"] + "-y"], "total": 7, "hasMore": True}}
    raise KeyError(method)


record = open(os.environ["MCP_RECORD"], "a", buffering=1) if "MCP_RECORD" in os.environ else None
for line in sys.stdin:
    if record:
        record.write(line)
    message = json.loads(line)
    if "id" not in message or "method" not in message:
        continue
    try:
        say({"id": message["id"], "result": answer(message["method"], message.get("params", {}))})
    except (KeyError, TypeError) as e:
        say({"id": message["id"], "error": {"code": -32602, "message": f"wrong: {e}"}})
    if message["method"] == "resources/subscribe":
        for _ in range(2):
            say({"method": "notifications/resources/updated", "params": {"uri": message["params"]["uri"]}})
        say({"method": "notifications/resources/updated", "params": {"uri": "mem://another"}})
