"""What host.stats says of time and failures, against what was really asked."""
import pathlib
import re
import sys
import unittest

from harness.daemon import Daemon, until
from harness.upstream import Upstream

SERVER = pathlib.Path(__file__).parent / "harness" / "mcp_server.py"


class Stats(unittest.TestCase):
    def setUp(self):
        self.up = Upstream()
        self.d = Daemon(f"contexts: {{persistence: false}}\ncalls: {{retry_base: 1ms}}\nproviders:\n  A: {{plugin: openai, base_url: \"{self.up.base}\"}}\n"
                        f"mcp_servers:\n  it: {{command: [{sys.executable}, {SERVER}, normal]}}\n")
        self.c = self.d.client
        self.c.call("configure", user="u", provider="A", model="model1", credentials={"api_key": "k"}, mcp_server={"name": "it"})

    def tearDown(self):
        self.d.stop()
        self.up.close()

    def latency(self, of, name):
        return {m["name"]: m for m in self.d.stats()["latency"][of]}.get(name)

    def ask(self):
        self.c.call("chat.complete", user="u", messages=[{"role": "user", "content": "hi"}])

    def test_methods_providers_and_servers_are_counted_and_timed(self):
        self.up.delay = 0.05
        for _ in range(5):
            self.ask()
        self.up.faults.append("500")
        self.ask()
        self.c.error("chat.complete", user="u")
        for _ in range(3):
            self.c.call("tools.call", user="u", name="whoami")
        chat = self.latency("methods", "chat.complete")
        self.assertEqual((chat["count"], chat["failed"]), (7, 1))
        attempts = self.latency("providers", "A")
        self.assertEqual((attempts["count"], attempts["failed"]), (len(self.up.chats()), 1), "each attempt, as the service saw them")
        self.assertGreaterEqual(attempts["p50_us"], 50000)
        self.assertLessEqual(attempts["p50_us"], attempts["p90_us"])
        self.assertLessEqual(attempts["p99_us"], attempts["max_us"])
        self.assertEqual(self.latency("servers", "it")["count"], 3)
        self.assertIsNone(self.latency("methods", "agent.run"), "what nobody asked for is not listed")

    def test_the_report_says_how_it_fares(self):
        self.ask()
        wanted = re.compile(r"1 contexts, \d+ client connections, \d+ requests, 0 calls running, 1 children, \d+ MiB")
        until(lambda: wanted.fullmatch(self.c.call("job.run", name="report")["note"]), what="the report of a host at rest")  # a call ends after its reply
        self.assertIn(" report contexts=1 ", self.d.text())

    def test_overhead_and_upstream_add_up_to_what_the_caller_waited(self):
        self.up.delay = 0.2
        reply = self.c.call("chat.complete", user="u", messages=[{"role": "user", "content": "hi"}])
        whole = self.latency("methods", "chat.complete")["max_us"]
        service = self.latency("providers", "A")["max_us"]
        self.assertGreaterEqual(service, 200000)
        self.assertLess(abs(whole - service - reply["meta"]["overhead_us"]), 20000)


if __name__ == "__main__":
    unittest.main()
