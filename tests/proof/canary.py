#!/usr/bin/env python3
"""A thousand users, each with a mark in key, model and words, talk at once; some cancel, some run out of time, some configure again, and the sweep comes every 10 ms.
Whatever anybody sees afterwards must be his alone.

usage: canary.py [--users N] [--calls N]     calls: of each user
prints one line of figures; exit code 1 and what was found when a mark was where it must not be"""
import argparse
import json
import multiprocessing
import pathlib
import random
import sqlite3
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "scenario"))
from harness.client import Client, RpcError  # noqa: E402
from harness.daemon import BUILD, Daemon  # noqa: E402
from upstream import Recorder, owners  # noqa: E402

PARTS = 2  # processes that play the users
WINDOW = 24  # users of a process that wait for something at one time
WITH_SERVER = 16  # every so manieth user has an MCP server of his own
GONE = ("not_configured", "timeout", "cancelled", "deadline", "too_many_children", "busy", "denied", "not_found", "already_finished")


class User:
    planted = False

    def __init__(self, name, base):
        self.name, self.base, self.generation, self.word = name, base, 0, 0
        self.chance = random.Random(name)
        self.server = {"mcp_server": {"name": "data"}} if int(name[1:]) % WITH_SERVER == 0 else {}

    def configure(self):
        self.generation += 1
        return "configure", {"provider": "Fake", "model": f"canary-model-{self.name}", "credentials": {"api_key": f"canary-key-{self.name}-{self.generation}"}, **self.server}

    def say(self, more=""):
        self.word += 1
        return [{"role": "user", "content": f"canary-word-{self.name}-{self.word} {more}" + (" canary-word-u1-1" if User.planted and self.name == "u2" else "")}]

    def next(self):
        dice = self.chance.random()
        if dice < 0.02:
            return self.configure()
        if dice < 0.07:
            return "chat.complete", {"messages": self.say("slowly"), "deadline_ms": 20}
        if dice < 0.17:
            return "task.submit", {"method": "chat.complete", "params": {"messages": self.say("slowly")}}
        if dice < 0.27 and not self.server:
            return "agent.run", {"input": self.say()[0]["content"], "session": self.session}
        if dice < 0.29:
            return "status", {}
        return "chat.complete", {"messages": self.say()}


def reply_of(client, slot):
    raw = client.wait(slot, 60)
    reply = json.loads(raw)
    return raw, reply.get("result"), (reply.get("error") or {}).get("data", {}).get("kind")


def play(url, base, names, calls, out):
    """Rounds: each user of a window begins something, then all are waited for."""
    client, counts, foreign = Client(url), {"calls": 0, "cancelled": 0, "timeouts": 0, "configured": 0, "gone": 0}, []
    users = [User(n, base) for n in names]
    other = {}
    for user in users:
        method, params = user.configure()
        client.call(method, user=user.name, **params)
        user.session = client.call("session.create", user=user.name)["session"]
    for i in range(calls):
        if i == calls // 2:
            time.sleep(3)  # all are idle for once, and swept away
        for at in range(0, len(users), WINDOW):
            begun = []
            for user in users[at:at + WINDOW]:
                method, params = user.next()
                begun.append((user, method, client.begin(method, user=user.name, **params)))
            again = []
            for user, method, slot in begun:
                raw, result, kind = reply_of(client, slot)
                counts["calls"] += 1
                counts["configured"] += method == "configure"
                counts["timeouts"] += kind == "timeout"
                if owners(raw) - {user.name.encode()}:
                    foreign.append(raw[:1000].decode(errors="replace"))
                if method == "task.submit" and result:
                    again.append((user, "task.cancel", client.begin("task.cancel", user=user.name, task=result["task"])))
                elif kind == "not_configured":
                    counts["gone"] += 1
                    method, params = user.configure()
                    again.append((user, method, client.begin(method, user=user.name, **params)))
                elif kind and kind not in GONE:
                    other[kind] = other.get(kind, 0) + 1
            for user, method, slot in again:
                raw, result, kind = reply_of(client, slot)
                counts["cancelled"] += method == "task.cancel" and kind is None
                if owners(raw) - {user.name.encode()}:
                    foreign.append(raw[:1000].decode(errors="replace"))
    out.put((counts, foreign, other))
    client.close()


def sweep(url, stop, swept):
    client = Client(url)
    while not stop.is_set():
        client.call("job.run", name="context_cleanup")
        swept[0] += 1
        stop.wait(0.01)
    client.close()


def files_of(d):
    """Bytes of what the daemon leaves behind, by name."""
    return {p.name: p.read_bytes() for p in d.dir.iterdir() if p.is_file() and p.name not in ("tda.yaml",)}


def look_behind(d, keys_only, problems):
    """Keys must be nowhere; words and models only where the user's own things are kept."""
    for name, data in files_of(d).items():
        if b"canary-key-" in data:
            problems.append(f"a key is in {name}")
        if keys_only.match(name) is None and b"canary-" in data:
            problems.append(f"a user's words are in {name}")


def look_at_children(d, problems):
    for pid in d.descendants():
        for what in ("environ", "cmdline"):
            try:
                if b"canary-" in pathlib.Path(f"/proc/{pid}/{what}").read_bytes():
                    problems.append(f"a mark is in /proc/{pid}/{what} of a child")
            except OSError:
                pass


def look_into_store(path, problems):
    store = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    rows = 0
    for (table,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for row in store.execute(f'SELECT * FROM "{table}"'):
            rows += 1
            marks = owners(repr(row).encode())
            if len(marks) > 1:
                problems.append(f"a row of {table} holds marks of {sorted(marks)}")
    return rows


def run(users, calls):
    import re
    problems = []
    with Recorder() as up, Daemon("contexts: {persistence: false}\nlog: {level: debug}\ncalls: {attempts: 1}\nlimits: {children: 400}\n"
                                  "maintenance: {context_cleanup: {interval: 1s, max_age: 2s}}\n"
                                  f"providers:\n  Fake: {{plugin: openai, base_url: \"{up.base}\"}}\n"
                                  f"mcp_servers:\n  data: {{command: [{BUILD}/bin/mcp-sqlite, {BUILD}/share/tda/sample.db], env: {{WHO: \"${{user_hash}}\"}}}}\n",
                                  env={"TDA_LOG_LEVEL": "debug"}) as d:
        names = [f"u{i}" for i in range(users)]
        out, stop, swept = multiprocessing.Queue(), threading.Event(), [0]
        begin = time.monotonic()
        players = [multiprocessing.Process(target=play, args=(d.url, up.base, names[i::PARTS], calls, out)) for i in range(PARTS)]
        [p.start() for p in players]
        sweeper = threading.Thread(target=sweep, args=(d.url, stop, swept))
        sweeper.start()
        total, other = {}, {}
        for _ in players:
            counts, foreign, strange = out.get()
            total = {k: total.get(k, 0) + v for k, v in counts.items()}
            other = {k: other.get(k, 0) + strange.get(k, 0) for k in {*other, *strange}}
            problems += [f"a reply holds another's mark: {f}" for f in foreign]
        [p.join() for p in players]
        look_at_children(d, problems)
        stop.set()
        sweeper.join()
        seconds = time.monotonic() - begin
        figures = up.figures()
        problems += [f"the upstream got another's mark: {f}" for f in figures["foreign"]]
        look_behind(d, re.compile("sessions.db"), problems)
        rows = look_into_store(d.dir / "sessions.db", problems)
        if other:
            problems.append(f"calls ended otherwise than foreseen: {other}")
    if not total["cancelled"] or not total["timeouts"] or not total["gone"] or figures["requests"] < total["calls"] / 2:
        problems.append(f"too little happened: {total}, {figures['requests']} requests upstream")
    text = (f"{users:,} users, {total['calls']:,} calls in {seconds:.0f} s, {total['cancelled']:,} cancelled, {total['timeouts']:,} out of time, {total['configured'] + total['gone']:,} "
            f"configured again, {total['gone']:,} of these swept away before; {swept[0]:,} sweeps; {figures['requests']:,} requests upstream, {rows:,} rows kept; foreign marks: {len(problems)}")
    return text, problems


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--planted", action="store_true", help="one user speaks of another, to see that it is found")
    o = parser.parse_args()
    User.planted = o.planted
    line, found = run(o.users, o.calls)
    print(line)
    print("\n".join(found[:20]))
    sys.exit(1 if found else 0)
