#!/usr/bin/env python3
"""Services and MCP servers that do their worst, one mode after the other, for one user; a neighbour goes on with good ones. The host's memory stays below twice what
its caps allow, the neighbour gets every answer, and (with --time) waits no longer than twice as long as alone.

usage: hostile.py [--only MODE] [--rounds N] [--time]
prints one line of figures; exit code 1 and what went wrong"""
import argparse
import gzip
import multiprocessing
import os
import pathlib
import socket
import statistics
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "scenario"))
from harness.client import Client, RpcError  # noqa: E402
from harness.daemon import SLOW, Daemon  # noqa: E402
from harness.upstream import Upstream  # noqa: E402

CAP = 2 << 20  # calls.max_answer and mcp.max_line
AT_ONCE = 4  # calls that the hostile user has in flight
ROOM = 2 * AT_ONCE * CAP + (8 << 20) * SLOW  # the last is what the allocator may keep
BOMB = gzip.compress(b"\0" * (200 << 20), 1)
OK_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


# ---- services ----

def send_until_gone(s, piece, pause=0.0):
    try:
        while True:
            s.sendall(piece)
            if pause:
                time.sleep(pause)
    except OSError:
        pass


def sse_flood(s):
    s.sendall(OK_HEAD + b"\r\n")
    send_until_gone(s, b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 4000 + b'"}}]}\n\n')


def comment_flood(s):
    s.sendall(OK_HEAD + b"\r\n")
    send_until_gone(s, b": " + b"x" * 4000 + b"\n")


def drip(s):
    s.sendall(OK_HEAD + b"\r\n")
    send_until_gone(s, b":", 0.3)


def one_event(s):
    s.sendall(OK_HEAD + b"\r\ndata: ")
    send_until_gone(s, b"x" * 65536)


def header_flood(s):
    s.sendall(b"HTTP/1.1 200 OK\r\n")
    send_until_gone(s, b"x-more: " + b"y" * 900 + b"\r\n")


def header_line(s):
    s.sendall(b"HTTP/1.1 200 OK\r\nx: ")
    send_until_gone(s, b"y" * 65536)


def interim(s):
    send_until_gone(s, b"HTTP/1.1 100 Continue\r\n\r\n")


def bomb(s):
    """200 MiB of nothing, in 200 KB."""
    s.sendall(OK_HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(BOMB))
    s.sendall(BOMB)


def redirect(s):
    s.sendall(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n")


def cut(s):
    s.sendall(OK_HEAD + b"content-length: 100000\r\n\r\ndata: {")


def silent(s):
    s.settimeout(20)
    try:
        s.recv(1)
    except OSError:
        pass


def noise(s):
    send_until_gone(s, bytes(range(256)) * 64)


def deep(s):
    s.sendall(OK_HEAD + b"\r\ndata: " + b"[" * 200000 + b"\n\n")
    send_until_gone(s, b"data: " + b'{"a":' * 2000 + b"\n\n")


SERVICES = [sse_flood, comment_flood, drip, one_event, header_flood, header_line, interim, bomb, redirect, cut, silent, noise, deep]


class Hostile:
    """One of these, for all who come."""

    def __init__(self, mode):
        self.mode, self.taken = mode, 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.base = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        with s:
            try:
                s.recv(65536)
                self.taken += 1
                self.mode(s)
            except OSError:
                pass

    def close(self):
        self.listener.close()


# ---- MCP servers: modes of harness/mcp_server.py, the tool that brings it out, and whether it is started again each time ----

SERVERS = [("big_line", "big", {"bytes": 64 << 20}, False), ("ignores_term", "whoami", {}, True), ("double_fork", "whoami", {}, True), ("noisy", "echo", {"text": "x"}, False),
           ("slow_eof", "whoami", {}, True), ("rubbish", "echo", {"text": "x"}, False), ("init_rubbish", "echo", {"text": "x"}, False), ("init_big_line", "echo", {"text": "x"}, False),
           ("init_hangs", "echo", {"text": "x"}, False), ("list_hangs", "echo", {"text": "x"}, False), ("dies", "die", {}, False), ("pings", "count", {}, False), ("normal", "never", {}, False)]


# ---- the assault, in a process of its own ----

def attack(url, method, params, restart, stop, ended):
    client = Client(url)
    while not stop.is_set():
        try:
            client.call(method, user="hostile", **params)
            ended["ok"] = ended.get("ok", 0) + 1
            if restart:
                client.call("mcp.restart", user="hostile", server=restart)
        except RpcError as e:
            ended[e.kind] = ended.get(e.kind, 0) + 1
            if e.kind in ("busy", "mcp_parked"):
                stop.wait(0.1)
        except (OSError, TimeoutError) as e:
            ended[repr(e)] = ended.get(repr(e), 0) + 1
            return
    client.close()


def assault(url, mode, method, params, restart, pipe):
    """Tells the address of its service, waits to be let loose, and tells at the end what came of it."""
    os.nice(19)  # it would be another machine's processor
    service = Hostile(mode) if mode else None
    pipe.send(service.base if service else None)
    pipe.recv()
    stop, ended = threading.Event(), {}
    threads = [threading.Thread(target=attack, args=(url, method, params, restart, stop, ended)) for _ in range(AT_ONCE)]
    [t.start() for t in threads]
    pipe.recv()
    stop.set()
    [t.join(60) for t in threads]
    pipe.send((ended, service.taken if service else 1))


class Assault:
    def __init__(self, d, mode, method, params, restart=None):
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=assault, args=(d.url, mode, method, params, restart, theirs), daemon=True)
        self.process.start()
        self.base = self.pipe.recv()

    def begin(self):
        self.pipe.send("go")

    def end(self):
        self.pipe.send("stop")
        ended, taken = self.pipe.recv()
        self.process.join(10)
        self.process.kill()
        return ended, taken


# ---- the run ----

class Neighbour:
    """Asks one thing after the other, and notes how long each took."""

    def __init__(self, d):
        self.client = d.connect()
        self.client.call("configure", user="neighbour", provider="Good", model="model1", credentials={"api_key": "n"})
        self.failed = []

    def ask(self, n):
        times = []
        for _ in range(n):
            begin = time.monotonic()
            try:
                self.client.call("chat.complete", user="neighbour", messages=[{"role": "user", "content": "hello"}])
            except (RpcError, TimeoutError, ConnectionError) as e:
                self.failed.append(repr(e))
            times.append(time.monotonic() - begin)
        return times


def p99(times):
    return statistics.quantiles(times, n=100)[98]


def one(d, neighbour, name, assault, rounds):
    """Memory before and at most, and how the neighbour fared alone and beside the assault."""
    alone = neighbour.ask(rounds)
    before = most = d.rss()
    assault.begin()
    beside, end = [], time.monotonic() + 2
    while time.monotonic() < end or len(beside) < rounds:
        beside += neighbour.ask(5)
        most = max(most, d.rss())
    ended, taken = assault.end()
    return {"name": name, "grown": most - before, "alone": p99(alone), "beside": p99(beside), "ended": ended, "taken": taken, "n": len(beside)}


def slowed(r):
    """How many times as long the neighbour waited, 2 ms being nothing."""
    return r["beside"] / max(r["alone"], 0.002)


def tried(d, neighbour, name, assault, rounds, timed):
    """What else the machine does can only add: the quietest of three tries tells of the assault."""
    tries = []
    while not tries or (timed and slowed(tries[-1]) > 2 and len(tries) < 3):
        tries.append(one(d, neighbour, name, assault(), rounds))
    best = min(tries, key=slowed)
    return {**best, "grown": max(r["grown"] for r in tries), "tries": len(tries)}


def services(d, neighbour, only, rounds, timed):
    for mode in SERVICES:
        if only and mode.__name__ != only:
            continue
        def assault():
            a = Assault(d, mode, "chat.complete", {"messages": [{"role": "user", "content": "x"}], "deadline_ms": 4000})
            d.config.write_text(d.config.read_text().replace(d.bad, a.base))
            d.bad = a.base
            d.client.call("config.reload")
            d.client.call("context.set", user="hostile", fields={"provider": "Bad", "model": "m"})
            return a
        yield tried(d, neighbour, mode.__name__, assault, rounds, timed)


def servers(d, neighbour, only, rounds, timed):
    for mode, tool, args, restart in SERVERS:
        if only and mode != only:
            continue
        d.client.call("context.set", user="hostile", fields={"provider": "offline", "model": "offline-1", "mcp_server_name": mode})
        yield tried(d, neighbour, mode, lambda: Assault(d, None, "tools.call", {"name": tool, "arguments": args, "deadline_ms": 4000}, mode if restart else None),
                    rounds, timed)
        d.client.call("context.delete", user="hostile")


def judge(r, timed, problems):
    if r["grown"] > ROOM:
        problems.append(f"{r['name']}: memory grew by {r['grown'] >> 20} MiB, {ROOM >> 20} are allowed")
    if timed and slowed(r) > 2:
        problems.append(f"{r['name']}: the neighbour's p99 went from {r['alone'] * 1000:.1f} to {r['beside'] * 1000:.1f} ms")
    if not sum(r["ended"].values()) or not r["taken"]:
        problems.append(f"{r['name']}: nothing was attacked: {r}")
    print(f"... {r['name']:14} memory {r['grown'] >> 10:+7} KiB, neighbour's p99 {r['alone'] * 1000:5.1f} -> {r['beside'] * 1000:5.1f} ms, attacks {r['ended']}", flush=True)


def run(only, rounds, timed):
    problems, results = [], []
    server = ROOT / "tests" / "scenario" / "harness" / "mcp_server.py"
    with Upstream() as good:
        bad = "http://127.0.0.1:9/v1"
        yaml = (f"contexts: {{persistence: false, users_may_use_host_keys: true}}\nlog: {{level: error}}\ncalls: {{attempts: 1, idle_timeout: 2s, max_answer: {CAP}, tool_timeout: 2s}}\n"
                f"mcp: {{max_line: {CAP}, ready_timeout: 2s, stop_grace: 200ms}}\nproviders:\n  Good: {{plugin: openai, base_url: \"{good.base}\"}}\n"
                f"  Bad: {{plugin: openai, base_url: \"{bad}\", api_key: k}}\n"
                "mcp_servers:\n" + "".join(f"  {m}: {{command: [python3, {server}, {m}]}}\n" for m, *_ in SERVERS))
        with Daemon(yaml) as d:
            d.bad = bad
            neighbour = Neighbour(d)
            neighbour.ask(50)
            for r in (*services(d, neighbour, only, rounds, timed), *servers(d, neighbour, only, rounds, timed)):
                judge(r, timed, problems)
                results.append(r)
            problems += [f"the neighbour was let down: {f}" for f in neighbour.failed[:5]]
            if d.client.call("host.ping") != {"pong": True}:
                problems.append("the host does not answer")
    worst = max(results, key=lambda r: r["grown"])
    slowest, again = max(results, key=slowed), sum(r["tries"] > 1 for r in results)
    return (f"{len(results)} hostile modes, {sum(sum(r['ended'].values()) for r in results):,} attacks; memory at most {worst['grown'] / 2**20:+.1f} MiB ({worst['name']}; allowed {ROOM >> 20}); "
            f"neighbour: {sum(r['n'] for r in results):,} calls, {len(neighbour.failed)} failed, p99 at most {slowed(slowest):.2f}x ({slowest['name']})"
            + (f"; {again} modes in the quietest of up to three tries" if again else "")), problems


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="one mode")
    parser.add_argument("--rounds", type=int, default=200, help="the neighbour's calls for each figure")
    parser.add_argument("--time", action="store_true", help="also judge the neighbour's p99, on a machine that does nothing else")
    o = parser.parse_args()
    line, found = run(o.only, o.rounds, o.time)
    print("\n".join(found[:20]))
    print(line)
    sys.exit(1 if found else 0)
