"""Tasks: acceptance line 44; polls that wait, are slow or never come; what is kept of a task, and for how long."""
import json
import pathlib
import signal
import subprocess
import threading
import time
import unittest

from harness.client import RpcError
from harness.daemon import BIN, SLOW, Daemon, until
from harness.tasks import ENDED, follow, submit
from harness.upstream import Upstream

SERVER = pathlib.Path(__file__).parent / "harness" / "mcp_server.py"


def host(up, more=""):
    return (f"contexts: {{persistence: false}}\n{more}providers:\n  Fake: {{plugin: openai, base_url: \"{up.base}\"}}\nmcp_servers:\n" +
            "".join(f"  {m}: {{command: [python3, {SERVER}, {m}]}}\n" for m in ("normal", "init_hangs")))


def configure(c, user, **more):
    c.call("configure", user=user, provider="Fake", model="model1", credentials={"api_key": f"key-of-{user}"}, **more)


class Tasks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Upstream()
        cls.d = Daemon(host(cls.up, "calls: {retry_base: 20ms}\n"))
        cls.c = cls.d.client
        for user in "uv":
            configure(cls.c, user, mcp_server={"name": "normal"})

    @classmethod
    def tearDownClass(cls):
        cls.up.close()
        cls.d.stop()

    def setUp(self):
        self.up.faults, self.up.delay = [], 0

    def test_a_task_does_what_the_call_does_and_tells_what_happens(self):
        asked = 'use normal__add {"a": 1, "b": 2} use normal__fail {}'
        direct = self.c.call("agent.run", user="u", input=asked)
        n = len(self.up.chats())
        reply, events = follow(self.c, "u", submit(self.c, "u", asked))
        self.assertEqual(reply["state"], "complete")
        self.assertEqual(reply["result"]["text"], direct["text"])
        self.assertEqual(reply["result"]["steps"], direct["steps"])
        self.assertEqual(reply["result"]["meta"]["usage"], direct["meta"]["usage"])
        self.assertEqual([e["n"] for e in events], list(range(1, len(events) + 1)))
        kinds = [e["type"] for e in events]
        self.assertEqual((kinds[0], kinds[-1]), ("start", "end"))
        self.assertEqual([k for k in kinds if k != "text"], ["start", "usage", "tool_call", "tool_call", "tool_result", "tool_result", "usage", "end"])
        self.assertEqual({(e["tool"], e["is_error"], e["text"]) for e in events if e["type"] == "tool_result"},
                         {("add", False, "3"), ("fail", True, "it did not work")})
        self.assertEqual("".join(e["text"] for e in events if e["type"] == "text"), direct["text"])
        self.assertEqual(len(self.up.chats()) - n, 2, "the service was asked as often as by the call")

    def test_every_method_that_takes_long_can_be_submitted(self):
        for method, params, member in (("chat.complete", {"input": "x"}, "text"), ("tools.list", {}, "tools"), ("tools.call", {"name": "count"}, "content"),
                                       ("configure", {"provider": "Fake", "model": "model1"}, "status")):
            task = self.c.call("task.submit", user="v", method=method, params=params)["task"]
            reply, _ = follow(self.c, "v", task)
            self.assertIn(member, reply["result"], method)
        for method, params, kind in (("host.ping", {}, "invalid_param"), ("task.poll", {"task": "x"}, "invalid_param"), ("agent.ran", {}, "unknown_method"),
                                     ("agent.run", {"user": "v", "input": "x"}, "invalid_param"), ("agent.run", {"inputt": "x"}, "unknown_param")):
            self.assertEqual(self.c.error("task.submit", user="u", method=method, params=params).kind, kind)
        self.assertEqual(self.c.error("task.submit", user="nobody", method="agent.run", params={"input": "x"}).kind, "not_configured")

    def test_44_whose_it_is(self):
        self.up.delay = 0.5
        running = submit(self.c, "u", "hello")
        for method, more in (("task.poll", {}), ("task.cancel", {}), ("task.respond", {"request": "1", "json": {}})):
            e = self.c.error(method, user="v", task=running, **more)
            self.assertEqual((e.kind, e.code), ("denied", -32013), method)
            e = self.c.error(method, user="u", task=running.rsplit("-", 1)[0] + "-999999", **more)
            self.assertEqual((e.kind, e.code), ("not_found", -32004), method)
            for task in ("", "x", "t-", running + "0", running.upper(), running + " ", "t-1-1"):
                self.assertEqual(self.c.error(method, user="u", task=task, **more).kind, "not_found", task)
        self.assertEqual([t["task"] for t in self.c.call("task.list", user="v")["tasks"] if t["task"] == running], [])
        self.assertEqual(follow(self.c, "u", running)[0]["state"], "complete", "the attempts of others did nothing to it")

    def test_44_states(self):
        self.up.delay = 0.3
        task = submit(self.c, "u", "hello")
        self.assertIn(self.c.call("task.poll", user="u", task=task)["state"], ("pending", "running"))
        self.assertEqual(follow(self.c, "u", task)[0]["state"], "complete")
        self.up.delay, self.up.faults = 0, ["401"]
        reply, events = follow(self.c, "u", submit(self.c, "u", "hello"))
        self.assertEqual((reply["state"], reply["error"]["data"]["kind"]), ("error", "credentials_refused"))
        self.assertNotIn("result", reply, "a failed run is never complete")
        self.assertEqual((events[-1]["type"], events[-1]["stop"], events[-1]["kind"]), ("end", "error", "credentials_refused"))
        for task in (task, reply["task"]):
            self.assertEqual(self.c.error("task.cancel", user="u", task=task).kind, "already_finished")
            self.assertEqual(self.c.error("task.respond", user="u", task=task, request="1", json=None).kind, "already_finished")

    def cancelled(self, task, what):
        begin = time.monotonic()
        self.assertEqual(self.c.call("task.cancel", user="u", task=task)["state"], "cancelled", what)
        self.assertLess(time.monotonic() - begin, 3, what)
        reply, events = follow(self.c, "u", task)
        self.assertEqual((reply["state"], reply["error"]["data"]["kind"]), ("cancelled", "cancelled"), what)
        self.assertEqual((events[-1]["type"], events[-1]["stop"]), ("end", "cancelled"), what)
        self.assertEqual(self.c.error("task.cancel", user="u", task=task).kind, "already_finished")
        until(lambda: (lambda calls: calls["started"] == calls["dropped"])(self.d.stats()["calls"]), what=f"{what}: the end of its calls")

    def test_cancel_at_every_stage(self):
        def at(kind):
            task = submit(self.c, "u", text)
            until(lambda: kind in [e["type"] for e in self.c.call("task.poll", user="u", task=task)["events"]], what=kind)
            return task

        n = len(self.up.chats())
        text, self.up.faults = "x", ["slow"]
        task = submit(self.c, "u", text)
        until(lambda: len(self.up.chats()) > n, what="the question at the service")
        self.cancelled(task, "while the model answers")
        self.up.faults = ["429:30"]
        n = len(self.up.chats())
        self.cancelled(at("retry"), "while a retry waits")
        self.assertEqual(len(self.up.chats()) - n, 1)
        text = 'use normal__never {} use normal__slow {"seconds": 0.1}'
        n = len(self.up.chats())
        self.cancelled(at("tool_call"), "while tools run")
        self.assertEqual(len(self.up.chats()) - n, 1, "the model was not asked again")
        self.c.call("context.set", user="u", fields={"mcp_server_name": "init_hangs"})
        try:
            self.cancelled(at("start"), "while the MCP server starts")
            self.up.delay = 5
            task = submit(self.c, "u", "x")
            self.cancelled(task, "at once")
        finally:
            self.c.call("context.set", user="u", fields={"mcp_server_name": "normal"})
            self.up.delay = 0
        self.assertEqual(self.c.call("agent.run", user="u", input="still there?")["text"], "echo: still there?")

    def test_a_call_under_way_is_on_the_list_and_can_be_cancelled(self):
        self.up.delay = 5
        slot = self.c.begin("agent.run", user="u", input="long")
        (task,) = until(lambda: [t for t in self.c.call("task.list", user="u")["tasks"] if not t["submitted"] and t["state"] == "running"], what="the call on the list")
        self.assertEqual(task["method"], "agent.run")
        self.c.call("task.cancel", user="u", task=task["task"])
        with self.assertRaises(RpcError) as caught:
            self.c.end(slot)
        self.assertEqual(caught.exception.kind, "cancelled")
        self.assertEqual(self.c.error("task.poll", user="u", task=task["task"]).kind, "not_found", "its end was its reply")

    def test_it_goes_on_when_its_connection_ends(self):
        self.up.delay = 0.5
        c, n = self.d.connect(), len(self.up.chats())
        task = submit(c, "u", "alone")
        c.close()
        self.assertEqual(follow(self.c, "u", task)[0]["result"]["text"], "echo: alone")
        self.assertEqual(len(self.up.chats()) - n, 1)

    def test_polls_wait_and_hold_up_nobody(self):
        self.up.delay = 1.5 * SLOW
        task = submit(self.c, "u", "x")
        first = self.c.call("task.poll", user="u", task=task, wait_ms=5000)
        begin = time.monotonic()
        none = self.c.call("task.poll", user="u", task=task, after=first["next"], wait_ms=300)
        self.assertTrue(0.25 < time.monotonic() - begin < 1.4 * SLOW, "as long as it was asked to")
        self.assertEqual((none["events"], none["next"]), ([], first["next"]))
        waiting = [self.d.connect().begin("task.poll", user="u", task=task, after=first["next"], wait_ms=10 ** 9) for _ in range(20)]
        for _ in range(50):
            begin = time.monotonic()
            self.c.call("host.ping")
            self.c.call("task.list", user="v")
            self.assertLess(time.monotonic() - begin, 0.5 * SLOW)
        replies = [json.loads(s[1]) if s[0].wait(20) else None for s in waiting]
        self.assertTrue(all(r and r["result"]["events"] for r in replies), "all were answered when it went on")
        again = [self.c.call("task.poll", user="u", task=task, after=first["next"])["events"] for _ in range(2)]
        self.assertEqual(again[0][:1], again[1][:1], "a repeated poll is harmless")

    def test_a_poll_whose_client_is_gone_leaves_nothing(self):
        self.up.delay = 5
        task = submit(self.c, "u", "x")
        c = self.d.connect()
        after = self.c.call("task.poll", user="u", task=task, wait_ms=5000)["next"]
        for _ in range(10):
            c.begin("task.poll", user="u", task=task, after=after, wait_ms=25000)
        until(lambda: self.d.stats()["requests"]["in_flight"] == 12, what="ten polls, the task and this")
        c.close()
        until(lambda: self.d.stats()["requests"]["in_flight"] == 2, what="the polls' end")
        self.assertEqual(self.c.call("task.cancel", user="u", task=task)["state"], "cancelled")

    def test_bad_params(self):
        task = submit(self.c, "u", "x")
        follow(self.c, "u", task)
        for more in ({"after": -1}, {"after": 0.5}, {"wait_ms": -1}):
            self.assertEqual(self.c.error("task.poll", user="u", task=task, **more).kind, "invalid_param")
        self.assertEqual(self.c.call("task.poll", user="u", task=task, after=10 ** 15)["next"], self.c.call("task.poll", user="u", task=task)["next"])
        self.up.delay = 0.5
        task = submit(self.c, "u", "x")
        self.assertEqual(self.c.error("task.respond", user="u", task=task, request="1", json={}).kind, "nothing_asked")


class Kept(unittest.TestCase):
    def test_a_slow_or_dead_poller_costs_a_bounded_amount(self):
        size, tasks = (1 << 20) * 4, 8
        with Upstream() as up, Daemon(host(up, "tasks: {event_bytes: 64KiB, bytes: 128MiB}\n")) as d:
            configure(d.client, "u")
            up.chunk = 512
            follow(d.client, "u", submit(d.client, "u", "warm up"))
            text = "".join(f"{i:07} " for i in range(size // 8))
            ids = [submit(d.client, "u", text) for _ in range(tasks)]
            replies = []
            for task in ids:
                until(lambda: d.client.call("task.list", user="u")["tasks"] and all(t["state"] in ENDED for t in d.client.call("task.list", user="u")["tasks"]),
                      seconds=60, what="the end of all")
                held = d.stats()["tasks"]["bytes"]
                reply = d.client.call("task.poll", user="u", task=task)
                replies.append(reply)
                self.assertEqual(reply["result"]["text"], "echo: " + text, "the result is whole")
                self.assertGreater(reply["dropped"], 0, "what was dropped is said")
                self.assertEqual(reply["events"][-1]["type"], "end")
                events = sum(len(json.dumps(e)) for e in reply["events"])
                self.assertLess(events, 80 << 10)
                self.assertEqual(reply["events"][0]["n"], reply["dropped"] + 1)
                self.assertLess(held, tasks * (2 * size + (256 << 10)) + (1 << 20), "results and bounded events, nothing else")
                after = d.client.call("task.poll", user="u", task=task, after=reply["next"])
                self.assertEqual((after["events"], after.get("dropped")), ([], None))
                self.assertLess(d.stats()["tasks"]["bytes"], held, "what was fetched is freed")
                held = d.stats()["tasks"]["bytes"]

    def test_results_go_by_age_number_and_bytes(self):
        with Upstream() as up, Daemon(host(up, "tasks: {keep: 2s, per_user: 2, entries: 3, bytes: 64KiB}\n")) as d:
            for user in ("u", "v"):
                configure(d.client, user)

            def run(user, text="x"):
                task = submit(d.client, user, text)
                follow(d.client, user, task)
                return task

            def kept(user):
                return [t["task"] for t in d.client.call("task.list", user=user)["tasks"]]

            a, b, c = run("u"), run("u"), run("u")
            self.assertEqual(kept("u"), [c, b], "two of a user, the newest first")
            self.assertEqual(d.client.error("task.poll", user="u", task=a).kind, "not_found")
            e, f = run("v"), run("v")
            self.assertEqual((kept("u"), kept("v")), ([c], [f, e]), "three in all")
            big = run("v", "y" * 100000)
            self.assertEqual((kept("u"), kept("v")), ([], [big]), "the newest stays, however large")
            self.assertEqual(len(d.client.call("task.poll", user="v", task=big)["result"]["text"]), 100006)
            time.sleep(2.1)
            self.assertEqual(d.client.call("job.run", name="task_cleanup")["note"], "1 ended tasks dropped")
            self.assertEqual(d.client.error("task.poll", user="v", task=big).kind, "not_found")
            self.assertEqual(d.stats()["tasks"], {"running": 0, "ended": 0, "bytes": 0})

    def test_they_go_with_their_user(self):
        sweep = "maintenance: {context_cleanup: {interval: 1h, max_age: 1s}}\n"
        with Upstream() as up, Daemon(host(up, sweep)) as d:
            for user in ("gone", "swept"):
                configure(d.client, user)
                follow(d.client, user, submit(d.client, user, "x"))
            up.delay = 2.5
            running = submit(d.client, "swept", "long")
            d.client.call("context.delete", user="gone")
            self.assertEqual(d.client.call("task.list", user="gone")["tasks"], [])
            time.sleep(1.2)
            self.assertIn("1 contexts removed", d.client.call("job.run", name="context_cleanup")["note"])
            self.assertEqual([t["task"] for t in d.client.call("task.list", user="swept")["tasks"]], [running], "what runs finishes")
            self.assertEqual(follow(d.client, "swept", running)[0]["result"]["text"], "echo: long")

    def test_a_restart_loses_them_and_says_so(self):
        with Upstream() as up:
            with Daemon(host(up)) as d:
                configure(d.client, "u")
                task = submit(d.client, "u", "x")
                follow(d.client, "u", task)
            with Daemon(host(up)) as d:
                for method in ("task.poll", "task.cancel"):
                    self.assertEqual(d.client.error(method, user="u", task=task).kind, "task_lost")

    def test_a_daemon_that_stops_ends_tasks_and_their_polls(self):
        with Upstream() as up, Daemon(host(up)) as d:
            configure(d.client, "u")
            up.delay = 60
            task = submit(d.client, "u", "long")
            after = d.client.call("task.poll", user="u", task=task, wait_ms=5000)["next"]
            slot = d.client.begin("task.poll", user="u", task=task, after=after, wait_ms=25000)
            time.sleep(0.2)
            d.process.send_signal(signal.SIGTERM)
            try:
                self.assertEqual(d.client.end(slot, 20 * SLOW)["state"], "cancelled")
            except RpcError as e:
                self.assertEqual(e.kind, "cancelled")


class Many(unittest.TestCase):
    def test_1000_tasks_with_1000_pollers(self):
        count, users = 1000, 20
        up = subprocess.Popen([str(BIN / "bench_sse_upstream"), "50", str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(up.stdout.close)
        self.addCleanup(up.wait)
        self.addCleanup(up.stdin.close)
        base = f"http://127.0.0.1:{up.stdout.readline().strip()}/v1"
        limits = "limits: {requests_per_connection: 10k, bytes_per_connection: 1GiB}\ncalls: {attempts: 1}\n"
        with Daemon(f"contexts: {{persistence: false}}\n{limits}providers:\n  Fake: {{plugin: openai, base_url: \"{base}\"}}\n") as d:
            for u in range(users):
                configure(d.client, f"u{u}")
            clients = [d.connect() for _ in range(8)]
            begin = time.monotonic()
            submits = [clients[i % 8].begin("task.submit", user=f"u{i % users}", method="agent.run", params={"input": f"MARK-{i:05}"}) for i in range(count)]
            tasks = [clients[i % 8].end(s, 60)["task"] for i, s in enumerate(submits)]

            def poll(i, after):
                return clients[i % 8].begin("task.poll", user=f"u{i % users}", task=tasks[i], after=after, wait_ms=25000)

            waiting, said, done, polls, most = {i: poll(i, 0) for i in range(count)}, [""] * count, 0, count, 0
            while waiting:
                most = max(most, d.stats()["requests"]["in_flight"])
                for i, slot in list(waiting.items()):
                    reply = clients[i % 8].end(slot, 120)
                    said[i] += "".join(e["text"] for e in reply["events"] if e["type"] == "text")
                    self.assertNotIn("dropped", reply)
                    if reply["state"] in ENDED:
                        self.assertEqual((reply["state"], reply["result"]["text"]), ("complete", f"MARK-{i:05} " * 20))
                        del waiting[i]
                        done += 1
                    else:
                        waiting[i] = poll(i, reply["next"])
                        polls += 1
            self.assertEqual(done, count)
            self.assertEqual(said, [f"MARK-{i:05} " * 20 for i in range(count)], "the events tell the same")
            self.assertGreater(most, count, "tasks and polls were in flight together")
            print(f"tasks: {count} tasks, {polls} polls, {most} requests in flight at most, {time.monotonic() - begin:.1f} s")
            for c in clients:
                c.close()


if __name__ == "__main__":
    unittest.main()
