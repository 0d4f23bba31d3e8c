"""MCP servers as children: what they get, how they may fail, and that none outlives its user. Acceptance line 36."""
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time
import unittest

from harness.daemon import SLOW, Daemon, alive, until

SERVER = pathlib.Path(__file__).parent / "harness" / "mcp_server.py"
MODES = ("normal", "big_line", "ignores_term", "double_fork", "sessions", "noisy", "slow_eof", "pings", "rubbish", "init_rubbish", "init_big_line", "init_hangs",
         "list_hangs", "dies")


class Servers(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tda-mcp-", dir="/tmp"))
        self.d = Daemon("contexts: {persistence: false}\nmcp: {ready_timeout: 5s, stop_grace: 200ms, max_line: 1MiB}\n"
                        "calls: {tool_timeout: 1s}\nlimits: {children_per_user: 2, children: 6}\nmcp_servers:\n"
                        "  missing: {command: [/nonexistent/server]}\n  no_program: {command: [/etc/passwd]}\n" +
                        "".join(f"  {m}: {{command: [{sys.executable}, {SERVER}, {m}, \"${{user_hash}}\"], env: {{WHO: \"${{user_hash}}\", "
                                f"MCP_RECORD: {self.folder}/{m}}}, cwd: /tmp}}\n" for m in MODES))
        self.c = self.d.client

    def tearDown(self):
        self.d.stop()
        shutil.rmtree(self.folder)

    def received(self, mode):
        """What the server was sent, message by message."""
        return [json.loads(line) for line in (self.folder / mode).read_text().splitlines()]

    def configure(self, user, server):
        return self.c.call("configure", user=user, provider="offline", model="offline-1", mcp_server={"name": server})

    def whoami(self, user):
        return json.loads(self.c.call("tools.call", user=user, name="whoami")["content"][0]["text"])

    def test_users_share_no_process(self):
        self.configure("a", "normal")
        self.configure("b", "normal")
        a, b = self.whoami("a"), self.whoami("b")
        self.assertNotEqual(a["pid"], b["pid"])
        self.assertNotEqual(a["env"]["WHO"], b["env"]["WHO"])
        self.assertEqual((a["argv"][2], b["argv"][2]), (a["env"]["WHO"], b["env"]["WHO"]), "${user_hash}, in arguments too")
        self.assertEqual(self.whoami("a")["pid"], a["pid"], "the connection stays")
        allowed = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "WHO", "MCP_RECORD", "TDA_CHILD"}
        self.assertLessEqual(set(a["env"]), allowed)
        self.c.call("context.delete", user="a")
        until(lambda: not alive(a["pid"]), what="the child's end after its user's")
        self.assertTrue(alive(b["pid"]))

    def test_36_a_call_has_a_deadline(self):
        self.configure("a", "normal")
        begin = time.monotonic()
        self.assertEqual(self.c.error("tools.call", user="a", name="never").kind, "timeout")
        self.assertLess(time.monotonic() - begin, 10)
        self.assertEqual(self.c.call("tools.call", user="a", name="add", arguments={"a": 2, "b": 3})["content"][0]["text"], "5", "the server is still used")
        asked = {m["id"] for m in self.received("normal") if m.get("params", {}).get("name") == "never"}
        self.assertEqual([m["params"]["requestId"] for m in self.received("normal") if m.get("method") == "notifications/cancelled"], list(asked))

    def test_a_listing_has_the_deadline_of_its_request(self):
        """Both deadlines fall on the same instant: the request's and that of the call which lists the tools."""
        for i in range(3):
            begin = time.monotonic()
            e = self.c.error("configure", user="a", provider="offline", model="offline-1", mcp_server={"name": "list_hangs"}, deadline_ms=1000 * SLOW)
            self.assertEqual(e.kind, "timeout")
            self.assertLess(time.monotonic() - begin, 2 * SLOW)
        self.configure("a", "normal")
        until(lambda: self.c.call("host.stats")["calls"]["started"] == self.c.call("host.stats")["calls"]["dropped"], what="a drop for each start")

    def test_a_server_that_dies_is_started_again(self):
        self.configure("a", "normal")
        first = self.whoami("a")["pid"]
        e = self.c.error("tools.call", user="a", name="die")
        self.assertIn("exit code 3", e.message)
        self.assertIn("dying now", e.message)
        self.assertNotEqual(self.whoami("a")["pid"], first)

    def test_each_way_of_not_starting_says_which(self):
        for server, kind, words in (("missing", "mcp_unreachable", ("server cannot be started", "No such file")),
                                    ("no_program", "mcp_unreachable", ("passwd cannot be started", "Permission denied")),
                                    ("dies", "mcp_unreachable", ("exit code 7", "no database")), ("init_rubbish", "protocol", ("no JSON-RPC",)),
                                    ("init_big_line", "too_large", ("line of more than",)), ("init_hangs", "timeout", ("not ready in time",))):
            begin = time.monotonic()
            e = self.c.error("configure", user="a", provider="offline", model="offline-1", mcp_server={"name": server})
            self.assertEqual(e.kind, kind, e.message)
            for word in (server, *words):
                self.assertIn(word, e.message)
            self.assertLess(time.monotonic() - begin, 8 * SLOW)
            self.assertEqual(self.c.error("context.get", user="a").kind, "not_configured")
            until(lambda: self.c.call("host.stats")["children"] == 0, what="the end of what did not start well")

    def test_rubbish_in_place_of_an_answer(self):
        self.configure("a", "rubbish")
        self.assertIn("no JSON-RPC", self.c.error("tools.call", user="a", name="echo", arguments={"text": "x"}).message)
        self.configure("a", "normal")
        self.whoami("a")

    def test_a_server_may_ask_whether_we_are_there(self):
        self.configure("a", "pings")
        self.c.call("tools.call", user="a", name="echo", arguments={"text": "x"})
        answers = until(lambda: (lambda a: a if len(a) == 2 else None)([m for m in self.received("pings") if "method" not in m]), what="two answers")
        self.assertEqual(answers[0], {"jsonrpc": "2.0", "id": "are you there", "result": {}})
        self.assertEqual((answers[1]["id"], answers[1]["error"]["code"]), (77, -32601), "what was not offered is refused")

    def test_a_line_of_100_mb(self):
        self.configure("a", "big_line")
        e = self.c.error("tools.call", user="a", name="echo", arguments={"text": "x"})
        self.assertIn("line of more than", e.message)
        self.configure("b", "normal")
        self.assertLess(self.d.rss(), (200 << 20) * SLOW)

    def test_what_does_not_want_to_go_is_killed(self):
        for mode in ("ignores_term", "double_fork", "sessions", "slow_eof"):
            before = set(self.d.descendants())
            self.configure("a", mode)
            if mode == "sessions":
                until(lambda: len(set(self.d.descendants()) - before) >= 5, what="the processes that it starts")
            family = set(self.d.descendants()) - before
            self.assertTrue(family)
            self.c.call("context.delete", user="a")
            until(lambda: not [p for p in family if alive(p)], what=f"the end of {mode} and what it started")

    def test_noise_on_stderr_holds_up_nobody(self):
        self.configure("a", "noisy")
        for i in range(20):
            self.assertEqual(self.c.call("tools.call", user="a", name="add", arguments={"a": i, "b": 1})["content"][0]["text"], str(i + 1))

    def test_limits_on_children(self):
        for i in range(6):
            self.configure(f"u{i}", "normal")
        e = self.c.error("configure", user="one-more", provider="offline", model="offline-1", mcp_server={"name": "normal"})
        self.assertIn("child processes", e.message)
        self.c.call("context.delete", user="u0")
        until(lambda: self.c.call("host.stats")["children"] < 6)
        self.configure("one-more", "normal")

    def test_killing_the_daemon_kills_the_children(self):
        self.configure("a", "double_fork")
        self.configure("b", "ignores_term")
        family = self.d.descendants()
        self.assertGreaterEqual(len(family), 4)
        self.d.process.kill()
        until(lambda: not [p for p in family if alive(p)], what="the children's end")
        self.d.kill()

    def test_a_killed_launcher_takes_its_children_along_and_comes_back(self):
        self.configure("a", "normal")
        pid = self.whoami("a")["pid"]
        launcher = [p for p in self.d.descendants() if "tda-launcher" in open(f"/proc/{p}/comm").read()]
        os.kill(launcher[0], 9)
        until(lambda: not alive(pid), what="the child's end")
        self.assertNotEqual(self.whoami("a")["pid"], pid)

    def test_a_server_that_reads_late_gets_everything(self):
        """More waits for it than one line may have: it is handed over line by line."""
        with Daemon("contexts: {persistence: false}\nmcp: {max_line: 64KiB}\nmcp_servers:\n"
                    f"  s: {{command: [{sys.executable}, {SERVER}, reads_late]}}\n") as d:
            d.client.call("configure", user="a", provider="offline", model="offline-1", mcp_server={"name": "s"})
            texts = [f"{i}".ljust(30000, "x") for i in range(60)]
            slots = [d.client.begin("tools.call", user="a", name="echo", arguments={"text": t}) for t in texts]
            self.assertEqual([d.client.end(s)["content"][0]["text"] for s in slots], texts)


if __name__ == "__main__":
    unittest.main()
