#!/usr/bin/env python3
"""The host's wall clock jumps by a day, and by more than a year, forward and back, while users work: whatever is in flight ends as it would, whatever is judged by
its age goes when its age has passed and not before, and what is judged by the date (a token's expiry, a day's quota) is judged by the date there is.

usage: clock.py [--seconds N] [--whole]     N seconds after each jump, at least 6; whole: by 400 days too, and each twice
prints one line of figures; exit code 1 and what went wrong"""
import argparse
import pathlib
import struct
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "scenario"))
from harness.client import RpcError  # noqa: E402
from harness.daemon import BUILD, Daemon, until  # noqa: E402
from harness.oauth_server import AuthServer, Resource  # noqa: E402
from harness.tasks import follow  # noqa: E402
from harness.upstream import Upstream  # noqa: E402

DAY = 86400
DELAY, TIMEOUT, IDLE, RATE = 0.3, 2.0, 4, 1200
QUOTA, DEAR = 1000000, 200000  # tokens of a day, of one answer of the dear service
LATE = 2.5  # what a busy machine may add
SERVER = ROOT / "tests" / "scenario" / "harness" / "mcp_server.py"


class Clock:
    """What tests/proof/clock.c reads."""

    def __init__(self, speed=1):
        self.speed, self.folder = speed, tempfile.TemporaryDirectory(prefix="tda-clock-")
        self.path = pathlib.Path(self.folder.name) / "clock"
        self.path.write_bytes(struct.pack("qq", 0, speed))
        self.env = {"LD_PRELOAD": f"{BUILD}/lib/proof_clock.so", "PROOF_CLOCK": str(self.path)}

    def jump(self, days):
        with open(self.path, "r+b") as f:
            f.write(struct.pack("q", int(days * DAY * 1e9)))


class Work:
    """Users who go on calling; each call must end as it should, and when it should."""

    def __init__(self, d, up, problems):
        self.d, self.up, self.problems, self.counts, self.stopping = d, up, problems, {}, False
        kinds = {"call": self.call, "stream": self.stream, "turn": self.turn, "tool": self.tool, "task": self.task, "late-model": self.late_model, "late-tool": self.late_tool}
        self.threads = [threading.Thread(target=self.go, args=(kind, f), daemon=True) for kind, f in kinds.items()]
        for user in kinds:
            d.client.call("configure", user=user, provider="Fake", model="model1", credentials={"api_key": user}, mcp_server={"name": "own"})
        up.key_faults["late-model"] = "stall"  # from now on
        self.session = d.client.call("session.create", user="turn")["session"]
        [t.start() for t in self.threads]

    def go(self, kind, f):
        c, n = self.d.connect(), 0
        while not self.stopping:
            n += 1
            begin = time.monotonic()
            try:
                error, least = f(c, n)
            except (RpcError, OSError, AssertionError, KeyError) as e:
                error, least = f"{getattr(e, 'kind', '')} {e!r}"[:300], 0
            took = time.monotonic() - begin
            if error or not least <= took + 0.02 or took > least + LATE:
                self.problems.append(f"{kind} {n}: {error or ''} after {took:.2f} s, {least:g} to {least + LATE:g} are right")
            self.counts[kind] = n
        c.close()

    def call(self, c, n):
        text = c.call("chat.complete", user="call", messages=[{"role": "user", "content": f"word {n}"}])["text"]
        return text != f"echo: word {n}" and text, DELAY

    def stream(self, c, n):
        task = c.call("task.submit", user="stream", method="chat.complete", params={"messages": [{"role": "user", "content": f"word {n}"}]})["task"]
        last, events = follow(c, "stream", task)
        text = "".join(e.get("text", "") for e in events)
        return (last["state"] != "complete" or f"echo: word {n}" not in text) and f"{last} {text}", DELAY

    def turn(self, c, n):
        text = c.call("agent.run", user="turn", session=self.session, input=f'{n} use slow {{"seconds":{DELAY}}}')["text"]
        return text != "tool said: slept" and text, DELAY * (3 if n == 1 else 1)  # the service sees the first one's result ever after

    def tool(self, c, n):
        r = c.call("tools.call", user="tool", name="slow", arguments={"seconds": DELAY})
        return r["is_error"] and r, DELAY

    def task(self, c, n):
        last, _ = follow(c, "task", c.call("task.submit", user="task", method="agent.run", params={"input": f'use slow {{"seconds":{DELAY}}}'})["task"])
        return last["state"] != "complete" and last, 3 * DELAY

    def late_model(self, c, n):
        e = c.error("chat.complete", user="late-model", messages=[{"role": "user", "content": "x"}])
        return e.kind != "timeout" and repr(e), TIMEOUT

    def late_tool(self, c, n):
        try:
            return c.call("tools.call", user="late-tool", name="never"), 0
        except RpcError as e:
            return e.kind not in ("timeout", "tool_timeout") and f"{e.kind} {e!r}", TIMEOUT

    def stop(self):
        self.stopping = True
        [t.join() for t in self.threads]
        self.up.released.set()


class Judge:
    """What must be so at each date."""

    def __init__(self, d, up, problems):
        self.d, self.c, self.up, self.problems = d, d.client, up, problems
        self.began, self.list, self.updated = time.monotonic(), [], {}
        self.users = ("short", "long")
        for user in self.users:
            self.c.call("configure", user=user, provider="offline", model="offline-1", mcp_server={"name": user})
        self.come()
        self.token = self.c.call("token.create", user="guest", expires="12h")["token"]
        self.kept = self.c.call("session.create", user="keyed")["session"]
        self.tokens_seen = set()

    def come(self):
        """Those who are away between jumps, and whose contexts are swept."""
        for user in ("keyed", "sessions"):
            self.c.call("configure", user=user, provider="Fake", model="model1", credentials={"api_key": user})
        self.c.call("configure", user="fast", provider="offline", model="offline-1")

    def wrong(self, when, text):
        self.problems.append(f"{when}: {text}")

    def at(self, when, days):
        """Just after a jump."""
        self.come()
        self.keys(when), self.order(when), self.quota(when, days), self.expiry(when, days), self.rate(when)
        up = self.c.call("host.stats")["uptime_s"]
        if abs(up - (time.monotonic() - self.began)) > 3:
            self.wrong(when, f"on for {up} s, says it")
        mine = self.c.call("tools.call", user="long", name="whoami")["content"][0]["text"]
        self.tokens_seen.add(mine)
        if len(self.tokens_seen) > 1:
            self.wrong(when, "an access token that is good for an hour was renewed")
        self.short = self.c.call("tools.call", user="short", name="whoami")["content"][0]["text"]
        self.c.call("configure", user="idle", provider="offline", model="offline-1")

    def held(self, when, seconds, before):
        """After some seconds at that date."""
        if self.c.call("tools.call", user="short", name="whoami")["content"][0]["text"] == self.short:
            self.wrong(when, "an access token that is good for 2 s was not renewed")
        if self.has("idle"):
            self.wrong(when, f"a context that was idle for {seconds:g} s, not for {IDLE}, is still there")
        for name, runs in self.runs().items():
            done = runs - before[name]
            if not seconds * 0.5 <= done <= seconds * 1.5 + 3:
                self.wrong(when, f"{name} ran {done} times in {seconds:g} s, each second is set")

    def has(self, user):
        return any(x["user"] == user for x in self.c.call("context.list")["contexts"])

    def runs(self):
        return {j["name"]: j["runs"] for j in self.c.call("job.list")["jobs"] if j["name"] in ("context_cleanup", "session_retention", "report")}

    def keys(self, when):
        """Of a turn and of a call: answered from what is kept, for they are a few seconds old."""
        for method, more in (("agent.run", {"session": self.kept, "input": "keyed turn"}), ("chat.complete", {"messages": [{"role": "user", "content": "keyed call"}]})):
            self.c.call(method, user="keyed", idempotency_key=f"key of {method}", **more)
        asked = [s.json["messages"][-1]["content"] for s in self.up.seen if s.key == "keyed" and s.body]
        if sorted(asked) != ["keyed call", "keyed turn"]:
            self.wrong(when, f"of two keys the service was asked {asked}")

    def order(self, when):
        """The session used last comes first, whenever that was; nothing is missing."""
        new = self.c.call("session.create", user="sessions")["session"]
        for session in (new, self.list[0] if self.list else new):
            self.c.call("agent.run", user="sessions", session=session, input="hello")
            if session in self.list:
                self.list.remove(session)
            self.list.append(session)
        there = self.c.call("session.list", user="sessions", limit=100)["sessions"]
        if [x["session"] for x in there] != self.list[::-1]:
            self.wrong(when, f"order of sessions: {[self.list.index(x['session']) for x in there]} of {len(self.list)}")
        for x in there:
            if x["updated"] < max(x["created"], self.updated.get(x["session"], "")):
                self.wrong(when, f"updated went back to {x['updated']}")
            self.updated[x["session"]] = x["updated"]

    def quota(self, when, days):
        """Five questions a day, and none more for jumping to and fro."""
        granted = 0
        for _ in range(10):
            try:
                if granted == 0:  # also this is refused when the day is spent
                    self.c.call("configure", user="spent", provider="Dear", model="model1", credentials={"api_key": "spent"})
                self.c.call("chat.complete", user="spent", messages=[{"role": "user", "content": "x"}])
                granted += 1
            except RpcError as e:
                if e.kind != "quota_exceeded" or not 0 < e.data["retry_ms"] <= DAY * 1000:
                    self.wrong(when, f"a quota: {e!r}")
        first = days not in self.spent_on
        self.spent_on.add(days)
        if granted != (QUOTA // DEAR if first else 0):
            self.wrong(when, f"{granted} questions were granted, on a day that was {'new' if first else 'spent'}")

    spent_on = set()

    def expiry(self, when, days):
        try:
            self.c.call("context.get", user="guest", auth=self.token)
            kind = "a context"
        except RpcError as e:
            kind = e.kind
        if kind != ("token_expired" if days > 0.5 else "not_configured"):  # he is let in, and has no context
            self.wrong(when, f"a token for 12 hours: {kind}")
        self.c.call("job.run", name="token_save")  # which also forgets tokens that expired long ago

    def rate(self, when):
        """RATE requests a minute, whatever minute the wall shows."""
        granted, waits, begin = 0, [], time.monotonic()
        for _ in range(10):
            slots = [self.c.begin("chat.complete", user="fast", messages=[{"role": "user", "content": "x"}]) for _ in range(200)]
            for slot in slots:
                try:
                    self.c.end(slot)
                    granted += 1
                except RpcError as e:
                    waits.append(e.data["retry_ms"])
        self.granted += granted
        most = RATE + RATE / 60 * (time.monotonic() - self.rate_began) + 5
        if self.granted > most or not waits or max(waits) > 60000 / RATE * 2 or granted < RATE / 60 * (time.monotonic() - begin) * 0.5 - 2:
            self.wrong(when, f"{granted} requests were granted, {self.granted} of at most {most:.0f}; the longest wait was {max(waits, default=-1)} ms")

    granted, rate_began = 0, time.monotonic()


def use(d, users, problems, ended):
    """Contexts that are in use, which no sweep may take."""
    c, was = d.connect(), time.monotonic()
    while not ended.wait(IDLE / 8):
        for user in users:
            try:
                c.call("chat.complete", user=user, messages=[{"role": "user", "content": "x"}])
            except RpcError as e:
                problems.append(f"a context in use, of {user}: {e.kind}, used {time.monotonic() - was:.1f} s ago")
        was = time.monotonic()
    c.close()


def settings(up, dear, long, short):
    who = 'client_id: me, client_secret: "${env:SECRET}"'
    return ("contexts: {persistence: false}\nlog: {level: info}\nloops: 1\negress: {allow_private: true}\n"
            f"calls: {{attempts: 1, attempt_timeout: {TIMEOUT:g}s, tool_timeout: {TIMEOUT:g}s}}\nsessions: {{title: question}}\n"
            f"limits: {{per_user: {{tokens_per_day: {QUOTA}, requests_per_minute: {RATE}}}}}\n"
            f"maintenance: {{context_cleanup: {{interval: 1s, max_age: {IDLE}s}}, report: {{interval: 1s}}, "
            "session_retention: {interval: 1s, keys_max_age: 2h, usage_max_age: 1d}}\n"
            f"providers:\n  Fake: {{plugin: openai, base_url: \"{up.base}\"}}\n  Dear: {{plugin: openai, base_url: \"{dear.base}\"}}\nmcp_servers:\n  own: {{command: [python3, {SERVER}]}}\n"
            + "".join(f"  {name}: {{url: \"{r.url}\", oauth: {{grant: client_credentials, {who}}}}}\n" for name, r in (("long", long), ("short", short))))


def run(seconds, jumps):
    problems, clock, ended = [], Clock(), threading.Event()
    long, short = Resource(AuthServer()), Resource(AuthServer())
    short.auth.expires_in = 2
    long.auth.gives_refresh = short.auth.gives_refresh = False
    with Upstream() as up, Upstream() as dear, Daemon(settings(up, dear, long, short), env={"SECRET": "secret", **clock.env}) as d:
        up.delay = DELAY
        dear.usages = [{"prompt_tokens": DEAR - 1, "completion_tokens": 1, "total_tokens": DEAR}] * 1000
        judge = Judge(d, up, problems)
        user = threading.Thread(target=use, args=(d, judge.users, problems, ended), daemon=True)
        user.start()
        work = Work(d, up, problems)
        for days in jumps:
            when = f"{days:+g} d"
            clock.jump(days)
            before = judge.runs()
            begin = time.monotonic()
            judge.at(when, days)
            time.sleep(seconds)
            judge.held(when, time.monotonic() - begin, before)
            print(f"... {when}: {len(problems)} problems", flush=True)
        work.stop()
        ended.set()
        user.join()
        stats = d.stats()
        slowest = max(m["max_us"] for m in stats["latency"]["methods"] + stats["latency"]["providers"] + stats["latency"]["servers"])
        if slowest > 30e6:
            problems.append(f"a latency of {slowest / 1e6:.0f} s")
        if min(work.counts.values(), default=0) < 2 or len(work.counts) < 7:
            problems.append(f"too few calls to show anything: {work.counts}")
        until(lambda: d.stats()["requests"]["in_flight"] == 1, what="the end of all that was in flight")
        counts = ", ".join(f"{n} {kind}" for kind, n in work.counts.items())
    return (f"the wall clock jumped {len(jumps)} times, to {', '.join(f'{j:+g}' for j in sorted(set(jumps)))} days, amid {counts}: each ended as it would, late ones after their "
            f"{TIMEOUT:g} s; sweeps, retention and reports went on each second; {len(judge.list)} sessions in order; slowest {slowest / 1000:.0f} ms"), problems


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--whole", action="store_true")
    o = parser.parse_args()
    if o.seconds < 6:
        parser.error("--seconds: at least 6, for what is idle must go meanwhile")
    line, found = run(o.seconds, [0, 1, 0, -1, 0, 400, 0, 1, -1, 400, 0] if o.whole else [0, 1, 0, -1, 0])
    print("\n".join(found[:10]))
    print(line)
    sys.exit(1 if found else 0)
