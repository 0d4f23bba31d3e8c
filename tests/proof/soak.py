#!/usr/bin/env python3
"""Many users come, are configured, ask, are deleted or left to the sweep, for as long as a host runs in months: its clocks go SPEED times too fast (clock.c), so that
sweeps, retention, days of usage and idle ends come thousands of times. Memory, descriptors and threads must stay flat over the second half. soak.c brings the load
at full rate; beside it a few users with servers, tools, tasks and streams.

usage: soak.py [--users N] [--speed N] [--keep FOLDER]     5.6 requests of soak.c for each user; FOLDER gets soak.csv and soak.svg
prints one line of figures; exit code 1 and what went wrong"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from clock import Clock  # noqa: E402
from harness.client import RpcError  # noqa: E402
from harness.daemon import BIN, BUILD, SLOW, Daemon, until  # noqa: E402
from harness.tasks import follow  # noqa: E402

AT_ONCE, QUESTIONS = 64, 4
SLOPE = 1024  # KiB for a million requests, over the second half
NOISE = 8192  # KiB that a short run may differ by
COLUMNS = ("seconds", "requests", "resident_kib", "descriptors", "threads", "children", "contexts", "sweeps", "retentions")


def settings(port, speed, planted):
    """In seconds of ours: sweeps and retention each tenth, or each second of an unhurried daemon; what is idle goes after 5, a server after 1, sessions after 24."""
    def span(seconds):
        return f"{max(1, int(seconds * speed))}s"

    return (f"contexts: {{persistence: false}}\nlog: {{level: error}}\nwatchdog: {{timeout: {span(6)}}}\n"
            f"calls: {{attempt_timeout: {span(6)}, idle_timeout: {span(6)}, turn_timeout: {span(30)}, tool_timeout: {span(30)}, connect_timeout: {span(1)}}}\n"
            f"mcp: {{ready_timeout: {span(SLOW)}, idle_close: {span(1)}}}\nlimits: {{handshake_timeout: {span(1)}, per_user: {{requests_per_minute: 100k}}}}\n"
            f"sessions: {{title: question}}\nmaintenance: {{context_cleanup: {{interval: {span(0.1)}, max_age: {'365d' if planted else span(5)}}}, "
            f"session_retention: {{interval: {span(0.1)}, max_age: {span(24)}, keys_max_age: {span(24)}, usage_max_age: 1d}}}}\n"
            f"providers:\n  Fake: {{plugin: openai, base_url: \"http://127.0.0.1:{port}/v1\"}}\n"
            f"mcp_servers:\n  a: {{command: [{BUILD}/bin/mcp-sqlite, {BUILD}/share/tda/sample.db]}}\n")


class Variety:
    """A few users who do at a low rate what costs more: a child each, tools, tasks that stream, keys."""

    def __init__(self, d):
        self.d, self.ended, self.counts, self.failed = d, threading.Event(), [0] * 2, []
        self.threads = [threading.Thread(target=self.go, args=(i,), daemon=True) for i in range(len(self.counts))]
        [t.start() for t in self.threads]

    def go(self, index):
        chance = random.Random(index)
        while not self.ended.wait(0.1):
            c, name = self.d.connect(), f"v{index}-{chance.randrange(200)}"
            try:
                self.once(c, name, chance)
                self.counts[index] += 1
            except (RpcError, OSError, AssertionError, KeyError) as e:
                if getattr(e, "kind", None) != "not_configured":
                    self.failed.append(f"{name}: {e!r}"[:300])
            c.close()

    @staticmethod
    def once(c, name, chance):
        if chance.random() < 0.3:
            c.call("configure", user=name, provider="offline", model="offline-1", mcp_server={"name": "a"})
            c.call("agent.run", user=name, input="How many customers are there?", session=c.call("session.create", user=name)["session"], idempotency_key=str(chance.random()))
            assert c.call("tools.call", user=name, name="list_tables")["is_error"] is False
            if chance.random() < 0.5:  # else the server goes when it is idle
                c.call("user.delete", user=name)
        else:
            c.call("configure", user=name, provider="Fake", model="m", credentials={"api_key": f"key-of-{name}"})
            task = c.call("task.submit", user=name, method="chat.complete", params={"input": "MARK-54321"})["task"]
            last, _ = follow(c, name, task)
            assert last["state"] == "complete", last

    def stop(self):
        self.ended.set()
        [t.join() for t in self.threads]


def look(d, begin, requests):
    pid, stats = d.process.pid, d.stats()
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    number = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if len(line.split()) > 1}
    jobs = {j["name"]: j["runs"] for j in d.client.call("job.list")["jobs"]}
    return (round(time.monotonic() - begin, 1), requests, int(number["VmRSS"]), stats["descriptors"], int(number["Threads"]), stats["children"], stats["contexts"],
            jobs["context_cleanup"], jobs["session_retention"])


def slope(samples):
    """KiB for a million requests: the line that fits best."""
    n, x, y = len(samples), [s[1] / 1e6 for s in samples], [s[2] for s in samples]
    mx, my = sum(x) / n, sum(y) / n
    return sum((a - mx) * (b - my) for a, b in zip(x, y)) / (sum((a - mx) ** 2 for a in x) or 1)


def plot(samples):
    """An SVG: memory, descriptors and threads over the requests, each of its own height, with its least and greatest."""
    width, height, text = 800, 120, []
    for row, (at, name) in enumerate(((2, "resident KiB"), (3, "descriptors"), (4, "threads"))):
        values, top = [s[at] for s in samples], 30 + row * (height + 40)
        most = max(values) * 1.1
        points = " ".join(f"{60 + s[1] / samples[-1][1] * (width - 80):.1f},{top + height - s[at] / most * height:.1f}" for s in samples)
        text += [f'<text x="60" y="{top - 8}">{name}: {min(values):,} to {max(values):,}, at the end {values[-1]:,}</text>',
                 f'<path d="M60 {top}V{top + height}H{width - 20}" fill="none" stroke="#999"/><text x="30" y="{top + height}">0</text>',
                 f'<polyline points="{points}" fill="none" stroke="#246"/>']
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{3 * (height + 40) + 30}" font-family="sans-serif" font-size="12">\n'
            + "\n".join(text) + f'\n<text x="60" y="{3 * (height + 40) + 12}">0 to {samples[-1][1]:,} requests</text>\n</svg>\n')


def keep(folder, samples):
    folder.mkdir(parents=True, exist_ok=True)
    few = samples[::max(1, len(samples) // 300)]
    (folder / "soak.csv").write_text("\n".join(",".join(map(str, row)) for row in (COLUMNS, *few)) + "\n")
    (folder / "soak.svg").write_text(plot(few))


def judge(samples, load, variety):
    half = [s for s in samples if s[1] >= samples[-1][1] / 2]
    kib, grown = slope(half), half[-1][2] - half[0][2]
    problems = [f"{what}: {load[what]} {load['first_error']}" for what in ("wrong", "errors") if load[what]] + variety.failed[:5]
    if load["swept"] > load["users"] / 100:
        problems.append(f"{load['swept']} contexts in use were swept")
    if len(half) < 3 or not all(variety.counts):
        problems.append(f"too short to show anything: {len(half)} samples, rounds {variety.counts}")
    if kib > SLOPE and grown > NOISE * SLOW:
        problems.append(f"memory is not flat: {kib:.0f} KiB for a million requests, {grown} KiB more")
    quarter = len(half) // 4 or 1
    for at, name, more in ((3, "descriptors", 20), (4, "threads", 4)):
        before, after = (sum(s[at] for s in part) / len(part) for part in (half[:quarter], half[-quarter:]))
        if after > before + more:
            problems.append(f"{name} are not flat: {before:.0f}, then {after:.0f}")
    return half, kib, problems


def run(n, speed, folder, planted):
    clock = Clock(speed if (BUILD / "lib" / "proof_clock.so").exists() else 1)
    up = subprocess.Popen([str(BIN / "bench_sse_upstream"), "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    samples, load = [], None
    with Daemon(settings(up.stdout.readline().strip(), clock.speed, planted), env=clock.env if clock.speed > 1 else {}) as d:
        begin, variety = time.monotonic(), Variety(d)
        client = subprocess.Popen([str(BIN / "proof_soak"), f"{d.dir}/tda.sock", str(AT_ONCE), str(n), str(QUESTIONS)], stdout=subprocess.PIPE, text=True)
        for line in client.stdout:
            said = json.loads(line)
            load = said if isinstance(said, dict) else None
            clock.jump(len(samples) + 1)  # and a day of usage each second
            samples.append(look(d, begin, load["requests"] if load else said))
        took = time.monotonic() - begin
        variety.stop()
        if client.wait() or not load:
            return "", [f"soak.c ended with {client.returncode}"]
        if folder:
            keep(folder, samples)
        half, kib, problems = judge(samples, load, variety)
        if not problems:  # all of them go, and so does what ran for them
            until(lambda: d.stats()["contexts"] == 0 and d.stats()["children"] == 0, 60, what="the end of what was left to the sweep")
    up.stdin.close()
    up.wait()
    return (f"{load['requests']:,} requests of {load['users']:,} users in {took:.0f} s, {load['requests'] / took:,.0f} a second, and {sum(variety.counts):,} rounds with servers and "
            f"tasks; clocks {clock.speed} times too fast: {took * clock.speed / 86400 + len(samples):.1f} days, {samples[-1][7]:,} sweeps, {samples[-1][8]:,} retentions; memory {half[-1][2]:,} KiB, "
            f"{kib:+.0f} KiB for a million requests over the second half; descriptors {half[0][3]} and {half[-1][3]}, threads {half[0][4]} and {half[-1][4]}"), problems


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1000000)
    parser.add_argument("--speed", type=int, default=600)
    parser.add_argument("--keep", type=pathlib.Path, help="folder for soak.csv and soak.svg")
    parser.add_argument("--planted", action="store_true", help="with a sweep that takes nobody, which must be found")
    o = parser.parse_args()
    if o.speed > 600:
        parser.error("--speed: at most 600, or an hour, the longest timeout there is, is too short for a busy machine")
    line, found = run(o.users // SLOW, o.speed, o.keep, o.planted)
    print("\n".join(found[:10]))
    print(line)
    sys.exit(1 if found else 0)
