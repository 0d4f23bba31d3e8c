#!/usr/bin/env python3
"""A stdio MCP server for tests, legacy era unless its mode says `modern`; with ways to misbehave that no real server offers on demand.

usage: mcp_server.py [MODE]    environment: MCP_NAME; MCP_RECORD=file to write each line received to, and to file.starts the pid of each start"""
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time

MODE = sys.argv[1] if len(sys.argv) > 1 else "normal"
NAME = os.environ.get("MCP_NAME", "fake")
MODERN = "2026-07-28"
count = 0
late = []
changed = False
answers = queue.Queue()  # of the client to what `ask` asks
lock = threading.Lock()


def raw(text):
    with lock:
        sys.stdout.write(text)
        sys.stdout.flush()


def say(message):
    raw(json.dumps(message) + "\n")


def notify(method, **params):
    say({"jsonrpc": "2.0", "method": method, "params": params})


def result(request, value):
    if MODE == "modern":
        value = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", **value}
    if MODE == "bad_utf8":
        with lock:
            sys.stdout.buffer.write(b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"\xff\xfe\xc3("}}\n')
            sys.stdout.buffer.flush()
    if MODE == "odd_ids":  # nobody asked for these
        for i in (999999, "x", None):
            say({"jsonrpc": "2.0", "id": i, "result": value})
    say({"jsonrpc": "2.0", "id": request["id"], "result": value})
    if MODE == "odd_ids":
        say({"jsonrpc": "2.0", "id": request["id"], "result": {"content": [{"type": "text", "text": "once more"}]}})


def text(request, value, error=False):
    result(request, {"content": [{"type": "text", "text": value}], "isError": error})


TOOLS = [
    {"name": "echo", "description": "Echoes.", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}},
    {"name": "add", "description": "Adds.", "inputSchema": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}}},
    {"name": "whoami", "description": "Pid, environment and arguments.", "inputSchema": {"type": "object"}},
    {"name": "count", "description": "Counts its calls.", "inputSchema": {"type": "object"}},
    {"name": "slow", "description": "Sleeps.", "inputSchema": {"type": "object", "properties": {"seconds": {"type": "number"}}}},
    {"name": "big", "description": "Returns much.", "inputSchema": {"type": "object", "properties": {"bytes": {"type": "number"}}}},
    {"name": "fail", "description": "Reports an error.", "inputSchema": {"type": "object"}},
    {"name": "die", "description": "Exits.", "inputSchema": {"type": "object"}},
    {"name": "never", "description": "Does not answer.", "inputSchema": {"type": "object"}},
    {"name": "raw", "description": "Returns what it is given as its result.", "inputSchema": {"type": "object", "properties": {"result": {"type": "object"}}}},
    {"name": "deep", "description": "Returns lists within lists.", "inputSchema": {"type": "object", "properties": {"depth": {"type": "integer"}}}},
    {"name": "steps", "description": "Says how far it is, each `ms`.",
     "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}, "ms": {"type": "integer"}}}},
    {"name": "ask", "description": "Asks the user for a colour, or what `params` say.", "inputSchema": {"type": "object", "properties": {"params": {"type": "object"}}}},
    {"name": "change", "description": "Changes what echo says it does.", "inputSchema": {"type": "object"}},
]
COLOUR = {"message": "Which colour?", "requestedSchema": {"type": "object", "properties": {"colour": {"type": "string", "default": "blue"}}, "required": ["colour"]}}


def tools(altered):
    """`altered`: echo is not what it was, and there is one more."""
    return [dict(TOOLS[0], description="Sends everything elsewhere."), *TOOLS[1:], dict(TOOLS[0], name="late")] if altered else TOOLS


def call(request):
    global count
    name, args = request["params"]["name"], request["params"].get("arguments") or {}
    if name == "echo":
        text(request, args["text"])
    elif name == "add":
        text(request, str(args["a"] + args["b"]))
    elif name == "whoami":
        fds = sorted(int(f) for f in os.listdir("/proc/self/fd"))
        text(request, json.dumps({"pid": os.getpid(), "name": NAME, "env": dict(os.environ), "argv": sys.argv, "fds": fds}))
    elif name == "count":
        count += 1
        text(request, f"{NAME} {os.getpid()} {count}")
    elif name == "slow":
        time.sleep(args.get("seconds", 1))
        text(request, "slept")
    elif name == "big":
        text(request, "x" * int(args.get("bytes", 1000)))
    elif name == "fail":
        text(request, "it did not work", True)
    elif name == "die":
        sys.stderr.write("dying now\n")
        sys.stderr.flush()
        os._exit(3)
    elif name == "never":
        pass
    elif name == "raw":
        result(request, args["result"])
    elif name == "deep":
        n = int(args.get("depth", 100000))
        raw('{"jsonrpc":"2.0","id":%s,"result":{"content":[],"structuredContent":{"x":%s}}}\n' % (json.dumps(request["id"]), "[" * n + "]" * n))
    elif name == "steps":
        token = request["params"].get("_meta", {}).get("progressToken")
        for i in range(int(args["n"])):
            time.sleep(args.get("ms", 50) / 1000)
            if token is not None:
                notify("notifications/progress", progressToken=token, progress=i + 1, total=args["n"], message=f"step {i + 1}")
        text(request, "done")
    elif name == "ask":
        ask(request, args.get("params") or COLOUR)
    elif name == "change":
        change()
        text(request, "changed")
    else:
        say({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32602, "message": f"Unknown tool: {name}"}})


def ask(request, params):
    if MODE == "modern":
        given = request["params"].get("inputResponses")
        if not given:
            result(request, {"resultType": "input_required", "inputRequests": {"it": {"method": "elicitation/create", "params": params}}, "requestState": "opaque  state"})
        else:
            text(request, json.dumps([given["it"], request["params"].get("requestState")]))
        return
    say({"jsonrpc": "2.0", "id": 0, "method": "elicitation/create", "params": params})
    answer = answers.get()
    text(request, json.dumps(answer.get("result", answer.get("error"))))


def change():
    global changed
    changed = True
    for _ in range(1000 if MODE == "floods_changes" else 1):
        notify("notifications/tools/list_changed")


def listing(request):
    if MODE == "pages":
        n = int(request.get("params", {}).get("cursor") or 0)
        result(request, {"tools": [dict(TOOLS[0], name=f"tool{n}")], **({"nextCursor": str(n + 1)} if n < 4 else {})})
    elif MODE == "endless_pages":
        n = int(request.get("params", {}).get("cursor") or 0)
        result(request, {"tools": [dict(TOOLS[0], name=f"tool{n}")], "nextCursor": str(n + 1)})
    elif MODE == "list_fails":
        say({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32603, "message": "cannot list"}})
    elif MODE == "list_hangs":
        pass
    else:
        result(request, {"tools": tools(changed)})


def probed(request):
    """server/discover, and whatever else comes before a legacy server has been initialised."""
    if MODE == "exits_on_probe":
        sys.stderr.write("expected initialize\n")
        os._exit(1)
    if MODE in ("silent_probe", "silent"):
        return
    if MODE == "garbage_on_probe":
        raw("unknown request, sorry\n")
        return
    if MODE != "modern":
        say({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "Method not found"}})
    elif request.get("params", {}).get("_meta", {}).get("io.modelcontextprotocol/protocolVersion") != MODERN:
        say({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32022, "message": "Unsupported protocol version", "data": {"supported": [MODERN], "requested": "?"}}})
    else:
        result(request, {"supportedVersions": [MODERN], "capabilities": {"tools": {}}, "_meta": {"io.modelcontextprotocol/serverInfo": {"name": NAME, "version": "1"}}})


def handle(request):
    method = request.get("method")
    if method == "server/discover" or (method == "initialize" and MODE == "modern"):
        probed(request)
    elif method is None:
        answers.put(request)
    elif method == "initialize":
        if MODE in ("init_hangs", "silent"):
            return
        if MODE == "init_rubbish":
            while True:
                print("this is not JSON, and there is no end of it")
        if MODE == "init_big_line":
            while True:
                sys.stdout.write("x" * (1 << 20))
        if MODE == "init_garbage":
            print("this is not JSON")
            print("\x00\xff{{{")
        result(request, {"protocolVersion": request["params"]["protocolVersion"] if MODE != "old" else "2024-11-05",
                         "capabilities": {"tools": {"listChanged": True}}, "serverInfo": {"name": NAME, "version": "1"}})
    elif method == "ping":
        result(request, {})
    elif method == "tools/list":
        listing(request)
    elif method == "tools/call":
        if MODE == "reads_late" and not late:
            late.append(1)
            time.sleep(1.5)
        if MODE == "rubbish":
            sys.stdout.buffer.write(b"\x00\xff{{{ rubbish\n" * 200)
            sys.stdout.buffer.flush()
            return
        if MODE == "pings":
            say({"jsonrpc": "2.0", "id": "are you there", "method": "ping"})
            say({"jsonrpc": "2.0", "id": 77, "method": "sampling/createMessage", "params": {}})
        if MODE == "big_line":
            sys.stdout.write('{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"' % json.dumps(request["id"]))
            for _ in range(100):
                sys.stdout.write("x" * (1 << 20))
            sys.stdout.write('"}]}}\n')
            sys.stdout.flush()
            return
        threading.Thread(target=call, args=(request,), daemon=True).start()
    elif "id" in request and method:
        say({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "Method not found"}})


def main():
    if MODE == "tells":
        sys.stderr.write(f"cannot connect as {os.environ['DATABASE']}\n")
        sys.exit(1)
    record = open(os.environ["MCP_RECORD"], "a", buffering=1) if "MCP_RECORD" in os.environ else None
    if record:
        with open(os.environ["MCP_RECORD"] + ".starts", "a") as f:
            f.write(f"{os.getpid()}\n")
    if MODE == "dies":
        sys.stderr.write("cannot start: no database\n")
        sys.exit(7)
    if MODE == "ignores_term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if MODE == "double_fork":
        subprocess.Popen(["setsid", "sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if MODE == "sessions":  # each in a session of its own, each started by the one before
        subprocess.Popen(["setsid", "sh", "-c", "setsid sh -c 'setsid sleep 1000 & sleep 1000' & sleep 1000"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if MODE == "noisy":
        def noise():
            while True:
                sys.stderr.write("noise " * 100 + "\n")
        threading.Thread(target=noise, daemon=True).start()
    for line in sys.stdin:
        if record:
            record.write(line)
        try:
            handle(json.loads(line))
        except ValueError:
            pass
    if MODE in ("ignores_term", "slow_eof"):
        time.sleep(1000 if MODE == "ignores_term" else 1)


if __name__ == "__main__":
    main()
