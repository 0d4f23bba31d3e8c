#!/usr/bin/env python3
"""A name server that never answers: a user's calls to names of his own end in their time, and nobody else waits for them.

usage: dns.py [--calls N]     needs the right to make a network of its own (root); says so where it has not, and proves nothing
prints one line of figures; exit code 1 and what went wrong"""
import argparse
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "scenario"))
from harness.client import RpcError  # noqa: E402
from harness.daemon import SLOW, Daemon, until  # noqa: E402
from harness.upstream import Upstream  # noqa: E402

TIMEOUT = 1.0
PLACES, PLACES_OF_A_USER = 32, 4  # look-ups of users' names at once, of each loop (core/loop/http_engine.c)


def threads_of(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def lost(d, user, name, took, problems):
    """A question to a name that nobody resolves."""
    c = d.connect()
    begin = time.monotonic()
    error = None
    try:
        c.call("configure", user=user, provider="Any", model="m", base_url=f"http://{name}.hole.test/v1", credentials={"api_key": "k"}, deadline_ms=20000)
    except RpcError as e:
        error = e.kind
    took.append(time.monotonic() - begin)
    if error not in ("unreachable", "timeout"):
        problems.append(f"{name}: {error}")
    c.close()


def cancelled(d, n, problems):
    """One user asks for names nobody resolves, and cancels each time; how many threads there were at most."""
    c, most = d.connect(), 0
    for i in range(n):
        spec = {"provider": "Any", "model": "m", "base_url": f"http://c{i}.hole.test/v1", "credentials": {"api_key": "k"}}
        task = c.call("task.submit", user="one", method="configure", params=spec)["task"]
        if c.call("task.cancel", user="one", task=task)["state"] != "cancelled":
            problems.append(f"call {i} of one user was not cancelled")
        most = max(most, threads_of(d.process.pid))
    c.close()
    return most


def run(calls):
    problems, took, times = [], [], []
    black = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    black.bind(("127.0.0.1", 53))
    yaml = ("contexts: {persistence: false}\nlog: {level: error}\negress: {allow_private: true}\ncalls: {attempts: 1, connect_timeout: 1s}\nloops: 1\nproviders:\n"
            "  Any: {plugin: openai}\n  Good: {plugin: openai, base_url: \"%s\"}\n")
    with Upstream() as up, Daemon(yaml % up.base.replace("127.0.0.1", "localhost")) as d:
        neighbour = d.connect()
        neighbour.call("configure", user="n", provider="Good", model="model1", credentials={"api_key": "n"})
        base = threads_of(d.process.pid)
        threads = [threading.Thread(target=lost, args=(d, f"evil{i}", f"n{i}", took, problems)) for i in range(calls)]
        [t.start() for t in threads]
        while any(t.is_alive() for t in threads):
            begin = time.monotonic()
            neighbour.call("chat.complete", user="n", messages=[{"role": "user", "content": "x"}])
            times.append(time.monotonic() - begin)
        most = threads_of(d.process.pid)
        if most > base + PLACES + 1:
            problems.append(f"{most - base} threads more while names were looked up; {PLACES} look-ups have a place")
        until(lambda: threads_of(d.process.pid) <= base + 1, 60, "the end of the threads that resolve")
        by_one = cancelled(d, calls * 2, problems) - base
        if by_one > PLACES_OF_A_USER + 1:
            problems.append(f"{by_one} threads more for one user who asks and cancels")
        if max(took) > TIMEOUT * 1.5 * SLOW + 1:
            problems.append(f"a call to a name that is not resolved took {max(took):.1f} s, {TIMEOUT:g} are set")
        if max(times) > TIMEOUT * 0.8:
            problems.append(f"the neighbour waited {max(times):.2f} s")
        until(lambda: threads_of(d.process.pid) <= base + 1, 60, "the end of the threads that resolve")
    if len(times) < 20:
        problems.append(f"only {len(times)} calls of the neighbour")
    return (f"{calls} calls to names that no server resolves ended after {min(took):.2f} to {max(took):.2f} s ({TIMEOUT:g} set); the neighbour's {len(times):,} calls took at most "
            f"{max(times) * 1000:.0f} ms; threads {base}, at most {most}, and {base} again; {calls * 2} that one user cancelled: at most {by_one} more"), problems


def inside(calls):
    folder = tempfile.mkdtemp(prefix="tda-dns-")
    resolv = pathlib.Path(folder) / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "--bind", str(resolv), os.path.realpath("/etc/resolv.conf")], check=True)
    line, found = run(calls)
    print("\n".join(found[:10]))
    print(line)
    return 1 if found else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.inside:
        sys.exit(inside(o.calls))
    if subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True).returncode:
        print("not shown: a network of its own needs root")
        sys.exit(0)
    sys.exit(subprocess.run(["unshare", "-n", "-m", sys.executable, __file__, "--inside", "--calls", str(o.calls)]).returncode)
