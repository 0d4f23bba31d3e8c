#!/usr/bin/env python3
"""System calls that fail, once and for ever, under the whole daemon: no acknowledged turn is lost, no false answer is given, and the host goes on, or goes on again
when they work once more. strace makes them fail.

usage: faults.py [--only CASE]
prints one line of figures; exit code 1 and what went wrong"""
import argparse
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "scenario"))
from harness.client import RpcError  # noqa: E402
from harness.daemon import BUILD, Daemon  # noqa: E402
from harness.upstream import Upstream  # noqa: E402

# What is broken, from which call of a thread on (strace's `when`), and whether the store is what it hits.
CASES = {
    "disk full once": ("pwrite64:error=ENOSPC:when=60", True), "disk full": ("pwrite64:error=ENOSPC:when=60+", True),
    "write error once": ("pwrite64:error=EIO:when=60", True), "write error": ("pwrite64:error=EIO:when=60+", True),
    "sync error once": ("fdatasync:error=EIO:when=10", True), "sync error": ("fdatasync:error=EIO:when=10+", True),
}
ROUNDS = 40


def yaml(up, folder):
    return (f"contexts: {{persistence: false}}\nlog: {{level: error}}\ncalls: {{attempts: 2, retry_base: 1ms}}\nsessions: {{path: {folder}/sessions.db}}\n"
            f"providers:\n  A: {{plugin: openai, base_url: \"{up.base}\"}}\nmcp_servers:\n  data: {{command: [{BUILD}/bin/mcp-sqlite, {BUILD}/share/tda/sample.db]}}\n")


def turns(d, acknowledged, kinds):
    """Turns in a session, calls without one, tools; each answer must be the one to its question."""
    wrong = []
    for i in range(ROUNDS):
        try:
            client = d.connect()
        except (OSError, ConnectionError):
            kinds["no connection"] = kinds.get("no connection", 0) + 1
            continue
        for what, call in (("turn", lambda: client.call("agent.run", user="u", session=d.session, input=f"word {i}", timeout=20)),
                           ("call", lambda: client.call("chat.complete", user="u", messages=[{"role": "user", "content": f"word {i}"}], timeout=20)),
                           ("tool", lambda: client.call("tools.call", user="u", name="list_tables", timeout=20) if i % 8 == 0 else None)):
            try:
                reply = call()
                kinds["ok"] = kinds.get("ok", 0) + 1
                if what != "tool" and f"word {i}" not in reply["text"]:
                    wrong.append(f"{what} {i}: {reply['text']}")
                if what == "turn":
                    acknowledged.append(f"word {i}")
            except RpcError as e:
                kinds[e.kind] = kinds.get(e.kind, 0) + 1
            except (OSError, ConnectionError, TimeoutError) as e:
                kinds[type(e).__name__] = kinds.get(type(e).__name__, 0) + 1
                break
        client.close()
    return wrong


def one(name, inject, hits_store, up, problems):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tda-faults-", dir="/tmp"))
    acknowledged, kinds = [], {}
    call = inject.split(":")[0]
    strace = ["strace", "-f", "-qq", "-D", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={inject}"]
    d = Daemon(yaml(up, folder), env={"ASAN_OPTIONS": "detect_leaks=0", "TDA_SESSIONS_PATH": f"{folder}/sessions.db"}, under=strace)
    try:
        d.client.call("configure", user="u", provider="A", model="model1", credentials={"api_key": "k"}, mcp_server={"name": "data"})
        d.session = d.client.call("session.create", user="u")["session"]
        problems += [f"{name}: {w}" for w in turns(d, acknowledged, kinds)]
        if d.client.call("host.ping") != {"pong": True} or d.process.poll() is not None:
            problems.append(f"{name}: the host does not answer")
    except (RpcError, OSError, ConnectionError, TimeoutError, AssertionError) as e:
        problems.append(f"{name}: {e!r}"[:600])
    refused = sum(n for kind, n in kinds.items() if kind != "ok")
    print(f"... {name:28} {kinds}", flush=True)
    if not refused and "once" not in name and "interrupted" not in name:
        problems.append(f"{name}: nothing failed, so nothing is shown")
    d.process.terminate()
    try:
        d.process.wait(60)
    except subprocess.TimeoutExpired:
        problems.append(f"{name}: it does not stop")
        d.kill()
    if hits_store:
        kept_after(name, up, folder, d.session, acknowledged, problems)
    shutil.rmtree(folder)
    shutil.rmtree(d.dir, ignore_errors=True)
    return len(acknowledged), refused


def kept_after(name, up, folder, session, acknowledged, problems):
    with Daemon(yaml(up, folder), env={"TDA_SESSIONS_PATH": f"{folder}/sessions.db"}) as d:
        kept = d.client.call("session.export", user="u", session=session)["lines"]
        lost = [a for a in acknowledged if f'{a}"' not in kept]
        if lost:
            problems.append(f"{name}: acknowledged and lost: {lost[:5]} of {len(acknowledged)}")


def descriptors(up, problems):
    """160 descriptors in all, and more clients than that: those who find room are served, and all are once the rest has gone."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tda-faults-", dir="/tmp"))
    d = Daemon(yaml(up, folder), under=["prlimit", "--nofile=160:160"], env={"TDA_SESSIONS_PATH": f"{folder}/sessions.db"})
    sockets, served = [], 0
    for _ in range(300):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(2)
        try:
            s.connect(d.url.removeprefix("ipc://"))
            s.sendall(b"\0SP\0\0\x30\0\0")
        except OSError:
            pass
        sockets.append(s)
    try:
        d.client.call("configure", user="u", provider="A", model="model1", credentials={"api_key": "k"})
    except RpcError as e:
        served = e.kind  # no socket for the service is an error, and no end
    [s.close() for s in sockets]
    fresh = d.connect()
    fresh.call("configure", user="u", provider="A", model="model1", credentials={"api_key": "k"}, mcp_server={"name": "data"})
    if not fresh.call("chat.complete", user="u", messages=[{"role": "user", "content": "again"}])["text"]:
        problems.append("descriptors run out: it does not recover")
    print(f"... descriptors run out: amid 300 clients {served or 'served'}, recovered", flush=True)
    d.stop()
    shutil.rmtree(folder)
    return 1 if served else 0


def run(only):
    problems, kept, refused, n = [], 0, 0, 0
    with Upstream() as up:
        if not only:
            refused, n = descriptors(up, problems), 1
        for name, (inject, hits_store) in CASES.items():
            if only and only not in name:
                continue
            a, r = one(name, inject, hits_store, up, problems)
            kept, refused, n = kept + a, refused + r, n + 1
    return f"{n} ways in which system calls fail: {refused:,} calls refused with an error, {kept:,} turns acknowledged, none lost; the host went on each time", problems


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="cases whose name holds this")
    o = parser.parse_args()
    line, found = run(o.only)
    print("\n".join(found[:20]))
    print(line if not found else f"failed: {len(found)}")
    sys.exit(1 if found else 0)
