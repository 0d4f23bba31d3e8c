"""What was used, and what may be: sums, limits, and a user erased; acceptance line 33."""
import time
import unittest

from harness.client import RpcError
from harness.daemon import BIN, until
from harness.upstream import Upstream
from test_sessions import DAY_MS, Place, configure, fake, offline, run, try_submit


class Usage(unittest.TestCase):
    def test_33_sums_by_call_turn_session_user_and_day(self):
        with Upstream() as up, Place() as place:
            yaml = fake(up) + f"mcp_servers: {{a: {{command: [{BIN}/mcp-sqlite, {BIN.parent}/share/tda/sample.db]}}}}\n"
            with place.daemon(yaml) as d:
                c = d.client
                c.call("configure", user="u", provider="Fake", model="model1", credentials={"api_key": "k" * 12}, mcp_server={"name": "a"})
                s = c.call("session.create", user="u")["session"]
                one = run(c, "u", s, 'use a__query {"sql": "SELECT 1"}')["meta"]["usage"]
                two = run(c, "u", s, "plain")["meta"]["usage"]
                three = c.call("chat.complete", user="u", messages=[{"role": "user", "content": "no session"}])["meta"]["usage"]
                got = c.call("session.get", user="u", session=s)
                calls = [t["calls"] for t in got["history"]]
                self.assertEqual([len(x) for x in calls], [2, 1], "a row a call")
                for kind in ("input", "output"):
                    self.assertEqual(sum(x[kind] for x in calls[0]), one[kind])
                    self.assertEqual(got["history"][0]["usage"][kind], one[kind])
                    self.assertEqual(got["usage"][kind], one[kind] + two[kind])
                    self.assertEqual(c.call("usage.get", user="u")["total"][kind], one[kind] + two[kind] + three[kind])
                self.assertEqual(c.call("usage.get", user="other")["usage"], [])
                total = c.call("usage.get", user="u", days=1)
            with place.daemon(yaml) as d:
                self.assertEqual(d.client.call("usage.get", user="u", days=1), total, "as it was before the restart")
                self.assertEqual(time.strftime("%Y-%m-%d", time.gmtime()), total["usage"][0]["day"])

    def test_33_usage_is_seen_at_once_and_a_clean_end_keeps_it(self):
        messages = [{"role": "user", "content": "no session"}]
        with Upstream() as up, Place() as place:
            with place.daemon(fake(up)) as d:
                c = d.client
                configure(c, "u")
                for n in range(1, 4):
                    c.call("chat.complete", user="u", messages=messages)
                    self.assertEqual(c.call("usage.get", user="u")["total"]["calls"], n, "who asks sees what he was told of")
                for _ in range(20):
                    c.call("chat.complete", user="u", messages=messages)
            self.assertEqual(place.sql("SELECT sum(calls) AS n FROM usage")[0]["n"], 23, "a clean end loses nothing")
            with place.daemon(fake(up)) as d:
                self.assertEqual(d.client.call("usage.get", user="u")["total"]["calls"], 23)

    def test_33_unknown_is_marked(self):
        with Place() as place, place.daemon() as d:
            c = d.client
            offline(c, "u")
            s = c.call("session.create", user="u")["session"]
            meta = run(c, "u", s, "hello")["meta"]
            got = c.call("session.get", user="u", session=s)
            known = meta["usage"]["known"]
            self.assertEqual((got["usage"]["known"], got["usage"]["unknown_calls"]), (known, 0 if known else 1))
            self.assertEqual(c.call("usage.get", user="u")["total"]["known"], known)

    def test_limits(self):
        with Upstream() as up, Place() as place:
            yaml = fake(up) + "limits: {per_user: {requests_per_minute: 4}}\n"
            with place.daemon(yaml) as d:
                c = d.client
                configure(c, "u")
                for _ in range(3):
                    c.call("chat.complete", user="u", messages=[{"role": "user", "content": "x"}])
                e = c.error("chat.complete", user="u", messages=[{"role": "user", "content": "x"}])
                self.assertEqual(e.kind, "rate_limited")
                self.assertTrue(10000 < e.data["retry_ms"] <= 15001, e.data)
                self.assertEqual(len(up.chats()), 3, "refused before anything went out")
                configure(c, "other")
                c.call("chat.complete", user="other", messages=[{"role": "user", "content": "x"}])
            yaml = fake(up) + "limits: {per_user: {tokens_per_day: 10}}\n"
            with place.daemon(yaml) as d:
                c = d.client
                e = c.error("configure", user="u", provider="Fake", model="model1", credentials={"api_key": "k"})
                self.assertEqual(e.kind, "quota_exceeded", "what was used before the restart counts")
                self.assertTrue(0 < e.data["retry_ms"] <= DAY_MS)
                self.assertIn("tokens", e.message)

    def test_tasks_in_flight(self):
        with Upstream() as up, Place() as place, place.daemon(fake(up) + "limits: {per_user: {tasks: 2}}\n") as d:
            c, asked = d.client, {"method": "chat.complete", "params": {"messages": [{"role": "user", "content": "x"}]}}
            configure(c, "u")
            configure(c, "v")
            up.delay = 5
            tasks = [c.call("task.submit", user="u", **asked)["task"] for _ in range(2)]
            e = c.error("task.submit", user="u", **asked)
            self.assertEqual(e.kind, "too_many_tasks")
            self.assertGreater(e.data["retry_ms"], 0)
            c.call("task.cancel", user="v", task=c.call("task.submit", user="v", **asked)["task"])
            c.call("task.cancel", user="u", task=tasks[0])
            last = until(lambda: try_submit(c, asked), what="room for another")
            self.assertEqual(c.call("user.delete", user="u")["deleted"], True)
            self.assertEqual(c.error("task.poll", user="u", task=last).kind, "not_found", "tasks go with their user")

    def test_user_delete_erases_a_user_everywhere(self):
        with Upstream() as up, Place() as place, place.daemon(fake(up)) as d:
            c = d.client
            for user in ("gone", "stays"):
                configure(c, user)
                s = c.call("session.create", user=user, title=f"title of {user}")["session"]
                run(c, user, s, f"canary of {user}", idempotency_key="k")
            up.delay = 2
            slot = c.begin("agent.run", user="gone", session=s, input="running")  # not his session, and hidden
            slow = c.begin("chat.complete", user="gone", messages=[{"role": "user", "content": "running"}])
            until(lambda: len(up.chats()) == 3)
            reply = c.call("user.delete", user="gone")
            self.assertEqual((reply["deleted"], reply["context"], reply["sessions"]), (True, True, 1))
            with self.assertRaises(RpcError) as caught:
                c.end(slow)
            self.assertEqual(caught.exception.kind, "cancelled")
            self.assertEqual(c.call("user.delete", user="gone")["context"], False)
            with self.assertRaises(RpcError):
                c.end(slot)
            up.delay = 0
            self.assertEqual(c.call("status", user="gone")["configured"], False)
            self.assertEqual(c.call("session.list", user="gone")["sessions"], [])
            self.assertEqual(c.call("usage.get", user="gone")["usage"], [])
            self.assertEqual(c.call("session.get", user="stays", session=s)["turns"], 1)
            self.assertEqual(c.call("user.delete", user="gone")["sessions"], 0, "again is no error")
            c.call("job.run", name="reply_cleanup")
            for name in place.path.parent.iterdir():
                self.assertNotIn(b"canary of gone", name.read_bytes(), f"{name.name}: what was erased is overwritten")
            self.assertIn(b"canary of stays", b"".join(n.read_bytes() for n in place.path.parent.iterdir()))


if __name__ == "__main__":
    unittest.main()
