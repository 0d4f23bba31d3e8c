"""Thousands of streams in flight on the loops: each answer is its own request's, whole, and nothing is left afterwards."""
import json
import subprocess
import unittest
import urllib.request

from harness.daemon import BIN, SLOW, Daemon, until

STREAMS = 4000 if SLOW == 1 else 1000
USERS = 20
LIMITS = "limits: {requests: 100k, requests_per_user: 10k, requests_per_connection: 10k, bytes_per_connection: 1GiB}\n"


class Streams(unittest.TestCase):
    def test_all_at_once(self):
        up = subprocess.Popen([str(BIN / "bench_sse_upstream"), "50", str(STREAMS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(up.stdout.close)
        self.addCleanup(up.wait)
        self.addCleanup(up.stdin.close)
        base = f"http://127.0.0.1:{up.stdout.readline().strip()}/v1"
        with Daemon(f"contexts: {{persistence: false}}\ncalls: {{attempts: 1}}\n{LIMITS}providers:\n  Fake: {{plugin: openai, base_url: \"{base}\"}}\n") as d:
            for u in range(USERS):
                d.client.call("configure", user=f"u{u}", provider="Fake", model="m", credentials={"api_key": f"key-{u}"})
            idle = d.fds()
            clients = [d.connect() for _ in range(8)]
            slots = [clients[i % 8].begin("chat.complete", user=f"u{i % USERS}", input=f"MARK-{i:05}", stream=True) for i in range(STREAMS)]
            for i, slot in enumerate(slots):
                reply = clients[i % 8].end(slot, 120)
                self.assertEqual(reply["text"], f"MARK-{i:05} " * 20, f"the answer of request {i}")
                self.assertEqual(reply["stop"], "end_turn")
            with urllib.request.urlopen(f"{base}/most", timeout=10) as answer:
                self.assertEqual(json.load(answer)["most"], STREAMS, "streams that the service had open at once")
            for c in clients:
                c.close()
            until(lambda: d.stats()["requests"]["in_flight"] <= 1 and d.fds() <= idle + 80, what="the streams' connections to be closed")


if __name__ == "__main__":
    unittest.main()
