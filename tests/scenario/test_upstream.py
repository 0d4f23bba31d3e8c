"""Upstreams that misbehave: each a clear error, what may be retried is, nothing is retried that must not be."""
import pathlib
import socket
import time
import unittest

from harness.daemon import Daemon, until
from harness.upstream import Upstream

KEY = "canary-key-0001"
FAST = ("contexts: {persistence: false}\ncalls: {attempts: 3, retry_base: 5ms, connect_timeout: 1s, idle_timeout: 600ms, attempt_timeout: 3s, "
        "turn_timeout: 8s, max_answer: 1MiB}\n")


class Bad(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Upstream()
        cls.gone = socket.socket()
        cls.gone.bind(("127.0.0.1", 0))
        refused = cls.gone.getsockname()[1]
        cls.d = Daemon(FAST + f"providers:\n  Fake: {{plugin: openai, base_url: \"{cls.up.base}\"}}\n"
                       f"  Refused: {{plugin: openai, base_url: \"http://127.0.0.1:{refused}/v1\"}}\n"
                       "  Nowhere: {plugin: openai, base_url: \"http://no-such-host.invalid/v1\"}\n")
        cls.c = cls.d.client
        cls.c.call("configure", user="u", provider="Fake", model="model1", credentials={"api_key": KEY})

    @classmethod
    def tearDownClass(cls):
        cls.up.released.set()
        cls.up.close()
        cls.d.stop()

    def setUp(self):
        self.up.faults = []

    def ask(self, **more):
        return self.c.call("chat.complete", user="u", messages=[{"role": "user", "content": "hi there"}], **more)

    def fails(self, fault, kind, attempts, times=5, **more):
        self.up.faults = [fault] * times
        n = len(self.up.seen)
        e = self.c.error("chat.complete", user="u", messages=[{"role": "user", "content": "hi there"}], **more)
        self.up.faults = []
        self.assertEqual(e.kind, kind, f"{fault}: {e.message}")
        self.assertEqual(len(self.up.seen) - n, attempts, f"{fault}: attempts that the upstream saw")
        self.assertNotIn(KEY, str(e.__dict__))
        self.assertEqual(self.ask()["text"], "echo: hi there", f"after {fault}")
        return e

    def test_credentials_and_requests_are_never_retried(self):
        self.assertEqual(self.fails("401", "credentials_refused", 1).data.get("http_status"), 401)

    def test_rate_and_server_errors_are_retried_and_then_told(self):
        self.fails("429", "rate_limited", 3)
        self.fails("500", "upstream_failed", 3)

    def test_interim_answers_are_no_answer_and_have_a_bound(self):
        self.up.faults = ["interim:64"]
        self.assertEqual(self.ask()["text"], "echo: hi there")
        e = self.fails("interim:65", "protocol", 1)
        self.assertIn(f"127.0.0.1:{self.up.port} sent more than 64 interim answers", e.message)

    def test_a_retry_that_succeeds_is_no_error(self):
        self.up.faults = ["500", "429"]
        reply = self.ask()
        self.assertEqual((reply["text"], reply["meta"]["attempts"]), ("echo: hi there", 3))

    def test_retry_after_is_heeded(self):
        self.up.faults = ["429:1"]
        begin = time.monotonic()
        self.assertEqual(self.ask()["text"], "echo: hi there")
        self.assertGreaterEqual(time.monotonic() - begin, 0.95)

    def test_reset_and_truncated_answers_are_never_taken_for_whole(self):
        for stream in (True, False):
            for fault in ("reset", "truncate", "truncate_sse"):
                e = self.fails(fault, "unreachable", 3, stream=stream)
                self.assertNotIn("half an ans", str(e.__dict__))
                self.assertIn(str(self.up.port), e.message)
        self.assertNotIn("half an ans", str(self.fails("unfinished", "protocol", 1).__dict__))

    def test_stall_ends_at_the_idle_timeout(self):
        begin = time.monotonic()
        self.up.faults = ["stall"] * 3
        e = self.c.error("chat.complete", user="u", messages=[{"role": "user", "content": "x"}])
        self.assertIn(e.kind, ("timeout",))
        self.assertLess(time.monotonic() - begin, 7)

    def test_a_drip_ends_at_the_deadline_of_the_attempt(self):
        self.up.faults = ["slow"] * 5
        begin = time.monotonic()
        e = self.c.error("chat.complete", user="u", messages=[{"role": "user", "content": "x"}], deadline_ms=2000)
        self.assertEqual(e.kind, "timeout", e.message)
        self.assertLess(time.monotonic() - begin, 6)

    def test_what_is_no_answer(self):
        for stream in (True, False):
            for fault in ("html", "malformed", "empty"):
                self.assertIn("base_url", self.fails(fault, "protocol", 1, stream=stream).message)
            self.assertEqual(self.fails("html502", "upstream_failed", 3, stream=stream).data.get("http_status"), 502)

    def test_an_endless_answer_is_cut_off(self):
        self.up.faults = ["big"]
        e = self.c.error("chat.complete", user="u", messages=[{"role": "user", "content": "x"}])
        self.assertEqual(e.kind, "too_large", e.message)

    def test_redirects_are_not_followed(self):
        with Upstream() as other:
            self.up.redirect_to = other.base + "/chat/completions"
            self.up.faults = ["redirect"] * 5
            self.c.error("chat.complete", user="u", messages=[{"role": "user", "content": "x"}])
            self.assertEqual(other.seen, [], "a key must not travel to another host")

    def test_nobody_there(self):
        for provider in ("Refused", "Nowhere"):
            e = self.c.error("configure", user="v", provider=provider, model="m", credentials={"api_key": KEY})
            self.assertEqual(e.kind, "unreachable", e.message)
            self.assertIn(".invalid" if provider == "Nowhere" else "127.0.0.1", e.message)

    def test_a_service_that_goes_away_and_comes_back(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        with Daemon(FAST + f"providers:\n  Fake: {{plugin: openai, base_url: \"http://127.0.0.1:{port}/v1\"}}\n") as d:
            ask = dict(user="u", messages=[{"role": "user", "content": "hi"}])
            with Upstream(port=port):
                d.client.call("configure", user="u", provider="Fake", model="model1", credentials={"api_key": KEY})
                d.client.call("chat.complete", **ask)
            e = d.client.error("chat.complete", **ask)
            self.assertEqual(e.kind, "unreachable", e.message)
            self.assertRegex(e.message, f"127.0.0.1:{port}.*refused")
            with Upstream(port=port) as up:
                self.assertEqual(d.client.call("chat.complete", **ask)["text"], "echo: hi")
                self.assertEqual([s.key for s in up.seen], [KEY], "the configuration was not lost")

    def test_a_keyed_call_outlives_its_connection_and_is_done_once(self):
        n = len(self.up.chats())
        ask = dict(user="u", messages=[{"role": "user", "content": "only once"}], idempotency_key="once-1")
        self.up.delay = 0.6
        c = self.d.connect()
        c.begin("chat.complete", **ask)
        until(lambda: len(self.up.chats()) > n, what="the call at the service")
        c.close()  # as nng's REQ sees it when a connection drops: it sends again on the next one
        replies = [self.c.begin("chat.complete", **ask) for _ in range(3)]
        self.assertEqual({self.c.end(r)["text"] for r in replies}, {"echo: only once"}, "a running one is joined")
        self.up.delay = 0
        self.assertEqual(self.c.call("chat.complete", **ask)["text"], "echo: only once", "a finished one is answered from memory")
        self.assertEqual(len(self.up.chats()) - n, 1, "the service was asked once")
        other = {**ask, "messages": [{"role": "user", "content": "something else"}]}
        self.assertEqual(self.c.error("chat.complete", **other).kind, "idempotency_conflict")
        self.assertEqual(len(self.up.chats()) - n, 1)

    def test_cancelling_by_hanging_up_closes_the_upstream(self):
        self.up.faults = ["slow"]
        c = self.d.connect()
        c.begin("chat.complete", user="u", messages=[{"role": "user", "content": "x"}])
        time.sleep(0.3)
        before = self.c.call("host.stats")["loops"]
        c.close()
        end = time.monotonic() + 5
        while time.monotonic() < end and sum(l["flows_open"] for l in self.c.call("host.stats")["loops"]) > 0:
            time.sleep(0.05)
        self.assertEqual(sum(l["flows_open"] for l in self.c.call("host.stats")["loops"]), 0, before)


class Agent(unittest.TestCase):
    def test_the_step_limit_ends_a_model_that_never_stops(self):
        server = pathlib.Path(__file__).parent / "harness" / "mcp_server.py"
        with Upstream() as up, Daemon("contexts: {persistence: false}\ncalls: {max_steps: 4}\n"
                                      f"providers:\n  Fake: {{plugin: openai, base_url: \"{up.base}\"}}\n"
                                      f"mcp_servers:\n  s: {{command: [python3, {server}]}}\n") as d:
            d.client.call("configure", user="u", provider="Fake", model="model1", mcp_server={"name": "s"})
            n = len([s for s in up.seen if s.method == "POST"])
            e = None
            try:
                reply = d.client.call("agent.run", user="u", input='again and again use s__add {"a": 1, "b": 2}')
                self.assertIn("step", str(reply.get("stop_raw", "")) + str(reply))
            except Exception as error:
                e = error
                self.assertIn("step", e.message)
            self.assertEqual(len([s for s in up.seen if s.method == "POST"]) - n, 4)

    def test_several_tools_in_one_step_and_tools_that_fail(self):
        server = pathlib.Path(__file__).parent / "harness" / "mcp_server.py"
        with Upstream() as up, Daemon("contexts: {persistence: false}\n"
                                      f"providers:\n  Fake: {{plugin: openai, base_url: \"{up.base}\"}}\n"
                                      f"mcp_servers:\n  s: {{command: [python3, {server}]}}\n") as d:
            d.client.call("configure", user="u", provider="Fake", model="model1", mcp_server={"name": "s"})
            reply = d.client.call("agent.run", user="u", input='use s__add {"a": 1, "b": 2} use s__fail {} use s__echo {"text": "three"}')
            self.assertEqual(reply["text"], "tool said: 3 | Error: it did not work | three")
            self.assertEqual([s["is_error"] for s in reply["steps"]], [False, True, False])
            reply = d.client.call("agent.run", user="u", input='use s__nosuch {}')
            self.assertTrue(reply["steps"][0]["is_error"], "a tool that is not there is refused by the core")


if __name__ == "__main__":
    unittest.main()
