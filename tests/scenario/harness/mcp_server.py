#!/usr/bin/env python3
"""A stdio MCP server for tests: tools echo, add, whoami, count, slow, big; and ways to misbehave that no real server offers on demand.

usage: mcp_server.py [MODE]    environment: MCP_RECORD=file to write each line received to, MCP_NAME"""
import json
import os
import signal
import subprocess
import sys
import threading
import time

MODE = sys.argv[1] if len(sys.argv) > 1 else "normal"
NAME = os.environ.get("MCP_NAME", "fake")
count = 0
late = []
lock = threading.Lock()


def say(message):
    with lock:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def result(request, value):
    say({"jsonrpc": "2.0", "id": request["id"], "result": value})


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
]


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
    else:
        say({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32602, "message": f"Unknown tool: {name}"}})


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
        result(request, {"tools": TOOLS})


def handle(request):
    method = request.get("method")
    if method == "initialize":
        if MODE == "init_hangs":
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
    record = open(os.environ["MCP_RECORD"], "a", buffering=1) if "MCP_RECORD" in os.environ else None
    for line in sys.stdin:
        if record:
            record.write(line)
        try:
            handle(json.loads(line))
        except ValueError:
            pass
    if MODE in ("ignores_term", "slow_eof"):
        time.sleep(1000 if MODE == "ignores_term" else 1)


main()
