"""Blocking providers (TDA_P_BLOCKING): a run that waits holds up nobody else, is answered for when it is late, and is dropped once, whatever happens."""
import sqlite3
import time
import unittest

from sdk import Folder
from harness.daemon import Daemon, until

ME = "contexts: {persistence: false}\n"


def ask(c, user, text, **more):
    return c.call("chat.complete", user=user, messages=[{"role": "user", "content": text}], **more)["text"]


class Sql(Folder):
    """The example, with a real lock that another process could hold."""

    def setUp(self):
        super().setUp()
        self.file = self.folder / "data.db"
        with sqlite3.connect(self.file) as db:
            db.execute("create table t (a, b)")
            db.executemany("insert into t values (?, ?)", [(i, f"row {i}") for i in range(500)])
        self.so = self.compile("blocking/sql.c", "sql", "-lsqlite3")

    def daemon(self, more=""):
        return Daemon(f"{ME}plugins: {{load: [offline, {self.so}], strict_modes: false}}\nproviders: {{Data: {{plugin: sql, file: \"{self.file}\"}}}}\n{more}")

    def lock(self):
        db = sqlite3.connect(self.file, isolation_level=None)
        db.execute("begin exclusive")
        return db

    def test_rows_are_answers(self):
        with self.daemon() as d:
            d.client.call("configure", user="u", provider="Data", model="m")
            self.assertEqual(ask(d.client, "u", "select a, b from t where a < 2"), "0|row 0\n1|row 1\n")
            self.assertEqual(ask(d.client, "u", "select count(*) from t a, t b"), "250000\n")
            rows = ask(d.client, "u", "select b from t order by a").split("\n")
            self.assertEqual(rows, [f"row {i}" for i in range(500)] + [""], "all of them, in order")
            self.assertIn("no such table", d.client.error("chat.complete", user="u", messages=[{"role": "user", "content": "select * from no"}]).message)

    def test_many_that_wait_hold_up_nobody(self):
        with self.daemon("loops: 1\nlimits: {workers: 4, worker_queue: 200}\n") as d:
            c = d.client
            for user, provider in (("u", "Data"), ("v", "offline")):
                c.call("configure", user=user, provider=provider, model="offline-1")
            held = self.lock()
            slots = [c.begin("chat.complete", user="u", messages=[{"role": "user", "content": f"select b from t where a = {i}"}]) for i in range(100)]
            until(lambda: d.stats()["workers"]["waiting"] == 96, what="four run, the rest waits")
            times = []
            for _ in range(50):
                begin = time.monotonic()
                ask(c, "v", "hello")
                times.append(time.monotonic() - begin)
            self.assertLess(sorted(times)[45], 0.25, "another user's call on the same loop")
            self.assertEqual(d.stats()["workers"]["running"], 4)
            held.close()
            self.assertEqual([c.end(s)["text"] for s in slots], [f"row {i}\n" for i in range(100)])
            until(lambda: d.stats()["calls"]["started"] == d.stats()["calls"]["dropped"])
            self.assertEqual(ask(c, "u", "how many"), "102 runs, 101 drops, 0 cancels")  # configure's, the hundred, this one

    def test_a_deadline_and_a_cancel_answer_at_once_and_drop_once(self):
        with self.daemon("limits: {workers: 2}\n") as d:
            c = d.client
            c.call("configure", user="u", provider="Data", model="m")
            held = self.lock()
            begin = time.monotonic()
            slots = []
            for n, deadline in ((2, 1500), (4, 200)):
                slots += [c.begin("chat.complete", user="u", deadline_ms=deadline, messages=[{"role": "user", "content": "select * from t"}]) for _ in range(n)]
                until(lambda: d.stats()["workers"]["oldest_ms"] > 0, what="the first two run")
            for s in slots:
                with self.assertRaises(Exception) as caught:
                    c.end(s)
                self.assertEqual(caught.exception.kind, "timeout")
            self.assertLess(time.monotonic() - begin, 4)
            until(lambda: (d.stats()["calls"]["started"], d.stats()["calls"]["dropped"]) == (7, 7), what="one drop each")
            other = d.connect()
            other.begin("chat.complete", user="u", messages=[{"role": "user", "content": "select * from t"}])
            until(lambda: d.stats()["workers"]["oldest_ms"] > 50, what="it runs")
            other.close()
            until(lambda: (d.stats()["calls"]["started"], d.stats()["calls"]["dropped"]) == (8, 8), what="one drop each")
            held.close()
            # The four that waited for a thread were never heard of: configure, two late ones, the cancelled one, this one.
            self.assertEqual(ask(c, "u", "how many"), "5 runs, 4 drops, 3 cancels")


class Contract(Folder):
    def setUp(self):
        super().setUp()
        self.so = self.compile("blocking/worker.c", "worker")

    def daemon(self, more="", plugins=""):
        d = Daemon(f"{ME}plugins: {{load: [offline, {self.so}], strict_modes: false{plugins}}}\n{more}")
        return d

    def configure(self, c, user="u", **more):
        c.call("configure", user=user, provider="worker", model="m1", **more)

    def test_what_works_on_a_worker_and_what_does_not(self):
        with self.daemon() as d:
            self.configure(d.client)
            self.assertEqual([ask(d.client, "u", "probe") for _ in range(3)], ["all answers right"] * 3)
            self.assertIn("said on a worker", d.text())

    def test_a_run_that_fails_or_forgets(self):
        with self.daemon() as d:
            self.configure(d.client)
            self.assertEqual(d.client.error("chat.complete", user="u", messages=[{"role": "user", "content": "fail"}]).kind, "internal")
            self.assertEqual(d.client.error("chat.complete", user="u", messages=[{"role": "user", "content": "forget"}]).kind, "protocol")
            self.assertEqual(d.stats()["calls"]["plugin_bugs"], 1)
            until(lambda: d.stats()["calls"]["started"] == d.stats()["calls"]["dropped"])

    def test_events_wait_for_room_and_none_is_lost(self):
        with self.daemon() as d:
            self.configure(d.client)
            before = d.rss()
            self.assertEqual(len(ask(d.client, "u", "flood")), 2000 * 4096)
            self.assertLess(d.rss() - before, 200 << 20)

    def test_late_events_are_refused(self):
        with self.daemon() as d:
            self.configure(d.client)
            self.assertEqual(d.client.error("chat.complete", user="u", deadline_ms=100, messages=[{"role": "user", "content": "sleep"}]).kind, "timeout")
            until(lambda: ask(d.client, "u", "how many").endswith("1 cancels, 1 refused"))

    def test_a_full_queue_says_when_to_come_back(self):
        with self.daemon("limits: {workers: 1, worker_queue: 1}\n") as d:
            self.configure(d.client)
            first = d.client.begin("chat.complete", user="u", messages=[{"role": "user", "content": "nap"}])
            until(lambda: d.stats()["workers"]["running"] == 1)
            second = d.client.begin("chat.complete", user="u", messages=[{"role": "user", "content": "nap"}])
            until(lambda: d.stats()["workers"]["waiting"] == 1)
            e = d.client.error("chat.complete", user="u", messages=[{"role": "user", "content": "nap"}])
            self.assertEqual(e.kind, "workers_busy")
            self.assertIn("limits.workers", e.data["hint"])
            self.assertGreater(e.data["retry_ms"], 0)
            self.assertEqual(d.stats()["workers"]["refused"], 1)
            for slot in (first, second):
                d.client.end(slot)

    def test_one_users_calls_leave_workers_and_room_for_others(self):
        with self.daemon("limits: {workers: 3, workers_per_user: 2, worker_queue: 10}\n") as d:
            self.configure(d.client, "greedy")
            self.configure(d.client, "v")
            slots = [d.client.begin("chat.complete", user="greedy", deadline_ms=4000, messages=[{"role": "user", "content": "sleep"}]) for _ in range(12)]
            until(lambda: d.stats()["workers"]["refused"] == 5, what="two run, five wait")
            self.assertEqual((d.stats()["workers"]["running"], d.stats()["workers"]["waiting"]), (2, 5))
            self.assertEqual([ask(d.client, "v", "probe") for _ in range(10)], ["all answers right"] * 10)
            self.assertEqual(d.stats()["workers"]["waiting"], 5, "the other user was served before them")
            kinds = []
            for s in slots:
                with self.assertRaises(Exception) as caught:
                    d.client.end(s)
                kinds.append(caught.exception.kind)
            self.assertEqual(sorted(kinds), ["timeout"] * 7 + ["workers_busy"] * 5)

    def test_one_that_never_returns_keeps_its_worker_and_the_host_stops(self):
        with self.daemon("limits: {workers: 2}\n") as d:
            self.configure(d.client)
            e = d.client.error("chat.complete", user="u", deadline_ms=200, messages=[{"role": "user", "content": "never"}])
            self.assertEqual(e.kind, "timeout")
            self.assertEqual([ask(d.client, "u", "probe") for _ in range(5)], ["all answers right"] * 5)
            until(lambda: d.stats()["workers"]["running"] == 1, what="only the one that never returns runs")
            until(lambda: d.client.call("plugin.list")["plugins"][1]["in_flight"] == 1)
            begin = time.monotonic()
            log = d.dir / "log"
            d.process.terminate()
            self.assertEqual(d.process.wait(20), 0)
            self.assertLess(time.monotonic() - begin, 10)
            self.assertIn("does not return", log.read_text())
            self.assertIn("plugin worker", log.read_text())

    def test_secrets_are_for_those_whom_the_operator_allows(self):
        with self.daemon() as d:
            self.configure(d.client, credentials={"api_key": "canary-key-77"})
            self.assertEqual(ask(d.client, "u", "secret"), "secret_get: -13, 0 bytes, ends with ", "its note does not ask for them")
        self.so = self.compile("blocking/worker.c", "worker2", "-DWANTS_SECRETS")
        with self.daemon() as d:
            entry = d.client.call("plugin.list")["plugins"][1]
            self.assertEqual(entry["state"], "refused")
            self.assertIn("plugins.allow_secrets", entry["reason"])
        with self.daemon(plugins=", allow_secrets: [worker]") as d:
            self.configure(d.client, credentials={"api_key": "canary-key-77"})
            self.configure(d.client, user="v", credentials={"api_key": "another-88"})
            self.configure(d.client, user="w")
            self.assertEqual([ask(d.client, u, "secret") for u in "uvw"],
                             ["secret_get: 0, 13 bytes, ends with 77", "secret_get: 0, 10 bytes, ends with 88", "secret_get: -4, 0 bytes, ends with "])
            self.assertNotIn("canary", d.text())


if __name__ == "__main__":
    unittest.main()
