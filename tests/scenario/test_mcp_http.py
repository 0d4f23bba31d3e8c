"""MCP servers over HTTP: sessions, streams and their resumption, and servers that misbehave; asserted on what the server received."""
import json
import time
import unittest

from harness.client import RpcError
from harness.daemon import SLOW, until
from harness.host import Host
from harness.many import come_and_go
from harness.mcp_http import McpHttp
from harness.upstream import Upstream

LIMITS = "mcp: {ready_timeout: 5s, max_line: 1MiB}\ncalls: {tool_timeout: 3s}\n"


class Case(unittest.TestCase):
    era = "legacy"

    def setUp(self):
        self.s = McpHttp(self.era)
        self.h = None

    def tearDown(self):
        if self.h:
            self.h.stop()
        self.s.close()

    def start(self, more=LIMITS, users=("a",), **settings):
        self.h = Host({"s": {"url": self.s.url, **settings}}, more)
        for user in users:
            self.h.configure(user, "s")
        return self.h

    def still_there(self, user="a"):
        self.s.faults = {}
        self.assertEqual(self.h.said(user, "echo", text="still there"), "still there")


class Sessions(Case):
    def test_every_request_carries_session_and_version(self):
        h = self.start()
        h.use("a", "count")
        first, *rest = [r for r in self.s.requests() if r.method != "server/discover"]
        self.assertEqual((first.method, first.session), ("initialize", None))
        self.assertTrue(rest)
        for r in rest:
            self.assertEqual((r.session, r.headers.get("mcp-protocol-version")), ("session-1", "2025-11-25"), r.method or r.verb)
        for r in self.s.requests():
            if r.verb == "POST":
                self.assertIn("application/json", r.headers["content-type"])
                self.assertLessEqual({"application/json", "text/event-stream"}, {x.strip() for x in r.headers["accept"].split(",")})

    def test_a_lost_session_is_opened_again_and_the_call_made_once_more(self):
        h = self.start()
        for word in ("lost404", "lost400"):
            with self.subTest(word):
                before = len(self.s.requests("initialize"))
                self.s.faults = {"tools/call": [word]}
                self.assertEqual(h.said("a", "echo", text=word), word)
                self.assertEqual(len(self.s.requests("initialize")), before + 1)
                self.assertIsNone(self.s.requests("initialize")[-1].session, "a new session is asked for without the old one's id")

    def test_it_is_not_tried_for_ever(self):
        h = self.start()
        self.s.faults = {"tools/call": "lost404"}
        h.refused("a", "echo", text="x")
        self.assertLessEqual(len(self.s.requests("tools/call")), 3)
        self.still_there()

    def test_a_session_is_ended_with_its_user(self):
        h = self.start(users=("a", "b"))
        sessions = {u: json.loads(h.said(u, "whoami"))["session"] for u in ("a", "b")}
        self.assertNotEqual(sessions["a"], sessions["b"])
        h.client.call("context.delete", user="a")
        until(lambda: [r.session for r in self.s.verbs("DELETE")] == [sessions["a"]], what="DELETE of a's session, and of no other")
        self.still_there("b")
        h.stop()
        self.assertEqual({r.session for r in self.s.verbs("DELETE")}, set(sessions.values()), "and with the daemon")

    def test_a_delete_that_is_never_answered_holds_up_nothing(self):
        h = self.start(users=("a", "b"))
        self.s.faults = {"DELETE": "hang"}
        h.client.call("context.delete", user="a")
        until(lambda: self.s.verbs("DELETE"), what="DELETE")
        until(lambda: self.s.verbs("DELETE")[0].gone, seconds=10, what="the end of the wait for its answer")
        begin = time.monotonic()
        h.stop()
        self.assertLess(time.monotonic() - begin, 10 * SLOW)

    def test_a_server_without_sessions(self):
        self.s.stateful = False
        h = self.start()
        self.assertEqual(h.said("a", "echo", text="x"), "x")
        self.assertEqual({r.session for r in self.s.requests()}, {None})
        h.client.call("context.delete", user="a")
        time.sleep(0.3)
        self.assertEqual(self.s.verbs("DELETE"), [])


    def test_users_come_and_go_and_nothing_is_left(self):
        come_and_go(30, server={"url": self.s.url}, tool=("echo", {"text": "x"}), gone=lambda: not self.s.sessions)
        self.assertEqual(len(self.s.verbs("DELETE")), len(self.s.requests("initialize")))

    def test_21_one_that_hangs_delays_its_user_alone(self):
        with McpHttp() as hanging, Host({"s": {"url": self.s.url}, "hanging": {"url": hanging.url}}, LIMITS) as h:
            hanging.faults = {"POST": "hang"}
            slot = h.client.begin("configure", user="a", provider="offline", model="offline-1", mcp_server={"name": "hanging"})
            until(lambda: hanging.seen, what="its first request")
            begin = time.monotonic()
            h.configure("b", "s")
            self.assertEqual(h.said("b", "echo", text="x"), "x")
            self.assertLess(time.monotonic() - begin, 2 * SLOW)
            with self.assertRaises(RpcError) as caught:
                h.client.end(slot)
            self.assertEqual(caught.exception.kind, "timeout")


class Streams(Case):
    def test_an_answer_on_a_stream(self):
        self.s.answers = "sse"
        h = self.start()
        for i in range(20):
            self.assertEqual(h.said("a", "echo", text=f"{i}"), f"{i}")

    def test_a_stream_full_of_other_things(self):
        h = self.start()
        self.s.faults = {"tools/call": "noise"}
        self.assertEqual(h.said("a", "echo", text="after all"), "after all")

    def test_an_answer_that_comes_only_to_who_resumes(self):
        h = self.start()
        self.s.reopen = 500
        begin = time.monotonic()
        self.assertEqual(h.said("a", "echo", text="resumed"), "resumed")
        self.assertGreaterEqual(time.monotonic() - begin, 0.4, "as late as the server says")
        resumed = [r for r in self.s.verbs("GET") if "last-event-id" in r.headers]
        self.assertEqual([r.headers["last-event-id"] for r in resumed], ["event-" + resumed[0].headers["last-event-id"].rpartition("-")[2]])
        self.assertEqual(resumed[0].session, "session-1")
        self.assertEqual(len(self.s.requests("tools/call")), 1, "a call that ran is not made again")

    def test_news_on_the_stream_that_is_opened_by_get(self):
        h = self.start()
        until(lambda: [x for x in self.s.sessions.values() if x.streams], what="a GET stream")
        self.assertNotIn("late", h.tools("a"))
        self.s.change()
        until(lambda: "late" in h.tools("a"), what="the new tool")

    def test_a_server_that_has_no_such_stream(self):
        self.s.get_stream = False
        h = self.start()
        self.still_there()
        time.sleep(1)
        self.assertLessEqual(len(self.s.verbs("GET")), 2, "405 means that it is not asked again")

    def test_progress_moves_the_deadline(self):
        self.s.answers = "sse"
        self.start(LIMITS.replace("3s", "1s"))
        self.assertEqual(self.h.said("a", "steps", n=12, ms=250), "done", "three seconds, and never a second without a word")
        self.assertEqual(self.h.refused("a", "never").kind, "timeout")
        self.still_there()

    def test_what_is_cancelled_is_told_so(self):
        self.start()
        self.assertEqual(self.h.refused("a", "never").kind, "timeout")
        asked = self.s.requests("tools/call", "never")
        self.assertEqual(len(asked), 1)
        told = until(lambda: self.s.requests("notifications/cancelled"), what="notifications/cancelled")
        self.assertEqual([r.message["params"]["requestId"] for r in told], [asked[0].message["id"]])
        until(lambda: asked[0].gone, what="the end of its connection")
        self.still_there()


class Faults(Case):
    """Whatever the server does to one call, the next one works, and the neighbour's work all the while."""

    def test_each(self):
        self.start(users=("a", "b"))
        once = {"401", "403", "404", "500", "reset", "html", "rubbish", "empty", "wrong_id", "deep", "cut", "no_answer", "redirect"}
        for word in sorted(once):
            with self.subTest(word), Upstream() as elsewhere:
                self.s.redirect_to = elsewhere.base
                self.s.faults = {"tools/call": [word] * 4}
                before = len(self.s.requests("tools/call"))
                e = self.h.refused("a", "echo", text=word)
                self.assertIn(e.kind, ("mcp_unreachable", "protocol", "unreachable", "timeout", "upstream_failed", "permission", "credentials_refused", "upstream_refused",
                                       "authorization_failed", "authorization_required", "too_large"), f"{word}: {e.message}")
                self.assertLessEqual(len(self.s.requests("tools/call")) - before, 2)
                self.assertEqual(elsewhere.seen, [], "a redirection is not followed")
                self.still_there("a")
                self.still_there("b")

    def bounded(self, word, seconds=8):
        self.s.faults = {"tools/call": [word]}
        begin, rss = time.monotonic(), self.h.rss()
        e = self.h.refused("a", "echo", text=word)
        self.assertLess(time.monotonic() - begin, seconds * SLOW)
        self.assertLess(self.h.rss() - rss, (32 << 20) * SLOW)
        until(lambda: self.s.requests("tools/call")[-1].gone, what="the end of the connection")
        self.still_there()
        return e

    def test_a_stream_that_lives_and_says_nothing(self):
        self.start()
        for word in ("drip", "drip_bytes", "hang"):
            with self.subTest(word):
                self.assertEqual(self.bounded(word).kind, "timeout")

    def test_what_has_no_end(self):
        self.start(LIMITS.replace("calls: {", "calls: {max_answer: 2MiB, "))
        for word in ("huge", "huge_event"):
            with self.subTest(word):
                self.assertEqual(self.bounded(word).kind, "too_large")

    def test_a_neighbour_does_not_wait(self):
        self.start(users=("a", "b"))
        self.s.faults = {"tools/call": ["drip", "hang", "drip_bytes"]}
        slots = [self.h.client.begin("tools.call", user="a", name="echo", arguments={"text": "x"}) for _ in range(3)]
        until(lambda: len(self.s.requests("tools/call")) == 3, what="three calls that hang")
        begin = time.monotonic()
        for i in range(20):
            self.assertEqual(self.h.said("b", "echo", text=f"{i}"), f"{i}")
        self.assertLess(time.monotonic() - begin, 2 * SLOW)
        for slot in slots:
            with self.assertRaises(Exception):
                self.h.client.end(slot)


class ModernFaults(Faults):
    era = "modern"


class Questions(unittest.TestCase):
    """Elicitation: the server asks, the user answers through his task."""

    def each(self):
        for era, on in (("legacy", "post"), ("legacy", "get"), ("sse", "post"), ("modern", "post")):
            with self.subTest(era=era, on=on), McpHttp(era) as s, Host({"s": {"url": s.url, "asks": ["form"]}}, LIMITS.replace("3s", "20s")) as h:
                s.ask_on = on
                s.answers = "sse"
                h.configure("a", "s")
                h.configure("b", "s")
                yield era, s, h

    def test_an_answer(self):
        for era, s, h in self.each():
            task = h.begin("a", "tools.call", name="ask", arguments={})
            ask = h.ask("a", task)
            self.assertIn("Which colour?", json.dumps(ask))
            self.assertEqual(h.client.error("task.respond", user="b", task=task, request=ask["request"], json={"action": "accept", "content": {"colour": "red"}}).kind, "denied")
            h.call("a", "task.respond", task=task, request=ask["request"], json={"action": "accept", "content": {"colour": "green"}})
            result, _ = h.end("a", task)
            self.answered(era, result, {"action": "accept", "content": {"colour": "green"}})

    def answered(self, era, result, wanted):
        got = json.loads(result["content"][0]["text"])
        if era == "modern":
            self.assertEqual(got[1], "opaque  state", "as it was, to the byte")
            got = got[0]
        self.assertEqual(got, wanted)

    def test_defaults_a_refusal_and_nobody_to_ask(self):
        for era, s, h in self.each():
            for said, wanted in (({"action": "accept", "content": {}}, {"action": "accept", "content": {"colour": "blue"}}), ({"action": "decline"}, {"action": "decline"})):
                task = h.begin("a", "tools.call", name="ask", arguments={})
                h.call("a", "task.respond", task=task, request=h.ask("a", task)["request"], json=said)
                self.answered(era, h.end("a", task)[0], wanted)
            self.answered(era, h.use("a", "ask"), {"action": "cancel"})  # a plain call has nobody who could answer

    def test_two_users_are_asked_apart(self):
        for era, s, h in self.each():
            tasks = {u: h.begin(u, "tools.call", name="ask", arguments={}) for u in ("a", "b")}
            asks = {u: h.ask(u, t) for u, t in tasks.items()}
            for u in ("b", "a"):
                h.call(u, "task.respond", task=tasks[u], request=asks[u]["request"], json={"action": "accept", "content": {"colour": f"{u}'s"}})
            for u in ("a", "b"):
                self.answered(era, h.end(u, tasks[u])[0], {"action": "accept", "content": {"colour": f"{u}'s"}})

    def test_what_is_not_offered(self):
        with McpHttp() as s, Host({"s": {"url": s.url, "asks": []}}, LIMITS) as h:
            s.answers = "sse"
            h.configure("a", "s")
            self.assertNotIn("elicitation", s.requests("initialize")[0].message["params"]["capabilities"])
            self.assertIn("-3260", h.said("a", "ask"), "refused by the adapter, and the call goes on")


if __name__ == "__main__":
    unittest.main()
