"""MCP's two eras: which one a server speaks is found out, over stdio and HTTP, whatever the server makes of the question."""
import json
import pathlib
import tempfile
import unittest

from harness.daemon import until
from harness.host import Host, faulty, messages, methods, starts
from harness.mcp_http import MODERN, PROTOCOL, McpHttp
from harness.peers import NODE, NODE_DIR, need_peers

DUAL = [str(NODE), str(pathlib.Path(__file__).parent / "harness" / "dual_era.mjs"), str(NODE_DIR)]


class Stdio(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.records = {}

    def tearDown(self):
        self.folder.cleanup()

    def server(self, mode, **more):
        self.records[mode] = pathlib.Path(self.folder.name) / mode
        return faulty(mode, self.records[mode], **more)

    def host(self, *modes, ready="5s", **more):
        return Host({m: self.server(m, **more) for m in modes}, f"mcp: {{ready_timeout: {ready}}}\ncalls: {{tool_timeout: 5s}}\n")

    def test_a_legacy_server_is_asked_once_and_then_initialised_on_the_same_pipe(self):
        with self.host("normal") as h:
            h.configure("a", "normal")
            self.assertEqual(methods(self.records["normal"])[:3], ["server/discover", "initialize", "notifications/initialized"])
            self.assertEqual(len(starts(self.records["normal"])), 1)
            h.configure("b", "normal")
            self.assertEqual(methods(self.records["normal"]).count("server/discover"), 1, "the era is the server's, not the user's")
            self.assertEqual(methods(self.records["normal"]).count("initialize"), 2)

    def test_one_that_exits_when_it_is_asked_is_started_again(self):
        with self.host("exits_on_probe") as h:
            h.configure("a", "exits_on_probe")
            self.assertEqual(h.said("a", "echo", text="hello"), "hello")
            self.assertEqual(len(starts(self.records["exits_on_probe"])), 2)
            h.configure("b", "exits_on_probe")
            self.assertEqual(len(starts(self.records["exits_on_probe"])), 3, "asked once")

    def test_one_that_says_nothing_or_rubbish_is_legacy(self):
        with self.host("silent_probe", "garbage_on_probe", ready="15s") as h:
            for mode in ("silent_probe", "garbage_on_probe"):
                h.configure("a", mode)
                self.assertEqual(h.said("a", "echo", text=mode), mode)
                self.assertIn("initialize", methods(self.records[mode]))

    def test_one_that_never_says_anything_has_a_deadline(self):
        with self.host("silent", ready="2s") as h:
            e = h.client.error("configure", user="a", provider="offline", model="offline-1", mcp_server={"name": "silent"})
            self.assertEqual(e.kind, "timeout", e.message)
            until(lambda: not h.children(), what="its end")

    def test_a_modern_one(self):
        with self.host("modern") as h:
            h.configure("a", "modern")
            self.assertEqual(h.said("a", "echo", text="hello"), "hello")
            asked = messages(self.records["modern"])
            self.assertNotIn("initialize", [m["method"] for m in asked])
            for m in asked:
                if "id" in m:
                    meta = m["params"]["_meta"]
                    self.assertEqual(meta[PROTOCOL], MODERN)
                    self.assertIsInstance(meta["io.modelcontextprotocol/clientCapabilities"], dict)

    def test_the_operator_may_know_better(self):
        with self.host("normal", era="legacy") as h:
            h.configure("a", "normal")
            self.assertNotIn("server/discover", methods(self.records["normal"]))
        with self.host("modern", "normal", era="modern") as h:
            h.configure("a", "modern")
            before = methods(self.records["normal"])
            h.client.error("configure", user="a", provider="offline", model="offline-1", mcp_server={"name": "normal"})
            self.assertNotIn("initialize", methods(self.records["normal"])[len(before):])

    def test_lines_that_are_no_utf8_and_answers_that_nobody_asked_for(self):
        with self.host("bad_utf8", "odd_ids") as h:
            for mode in ("bad_utf8", "odd_ids"):
                h.configure("a", mode)
                for i in range(5):
                    self.assertEqual(h.said("a", "echo", text=f"{mode} {i}"), f"{mode} {i}")
                self.assertEqual(len(starts(self.records[mode])), 1, "one bad line is not the end")

    def test_endless_pages_and_deep_nesting(self):
        with self.host("endless_pages", "normal") as h:
            try:
                h.configure("a", "endless_pages")
            except Exception as e:
                self.assertIn(getattr(e, "kind", None), ("listing_failed", "too_large", "mcp_unreachable", "protocol"), e)
            self.assertLessEqual(methods(self.records["endless_pages"]).count("tools/list"), 1001)
            h.configure("b", "normal")
            e = h.refused("b", "deep", depth=200000)
            self.assertEqual(e.kind, "protocol", e.message)
            for word in ("tools/call", "nested too deep", '"jsonrpc"'):
                self.assertIn(word, e.message)
            self.assertEqual(h.said("b", "echo", text="still there"), "still there")

    def test_tools_that_change_again_and_again_are_listed_a_few_times(self):
        with self.host("floods_changes") as h:
            h.configure("a", "floods_changes")
            h.use("a", "change")
            until(lambda: "late" in h.tools("a"), what="the new tool")
            self.assertLess(methods(self.records["floods_changes"]).count("tools/list"), 100, "1000 said so")


class Http(unittest.TestCase):
    def test_each_era(self):
        for era, first in (("legacy", "server/discover"), ("modern", "server/discover"), ("sse", "server/discover")):
            with self.subTest(era), McpHttp(era) as s, Host({"s": {"url": s.url}}) as h:
                h.configure("a", "s")
                self.assertEqual(h.said("a", "echo", text=era), era)
                self.assertEqual(s.requests()[0].method, first)
                self.assertEqual("initialize" in {m.method for m in s.requests()}, era != "modern")
                if era != "sse":
                    h.configure("b", "s")
                    self.assertEqual(len(s.requests("server/discover")), 1 if era == "legacy" else len(s.requests("server/discover")), "found out once")

    def test_what_is_no_evidence_of_an_era(self):
        for word in ("401", "403", "500", "503", "reset", "hang"):
            with self.subTest(word), McpHttp("modern") as s, Host({"s": {"url": s.url}}, "mcp: {ready_timeout: 2s}\n") as h:
                s.faults = {"server/discover": word}
                h.client.error("configure", user="a", provider="offline", model="offline-1", mcp_server={"name": "s"})
                self.assertEqual(s.requests("initialize"), [])
                s.faults = {}
                h.configure("a", "s")
                self.assertEqual(h.said("a", "echo", text="now"), "now")

    def test_a_modern_request_carries_its_headers(self):
        """The server refuses what has none; here what they are, for a name that no header can carry."""
        with McpHttp("modern") as s, Host({"s": {"url": s.url}}) as h:
            h.configure("a", "s")
            h.use("a", "echo", text="x")
            seen = s.requests("tools/call")[-1]
            self.assertEqual([seen.headers[k] for k in ("mcp-protocol-version", "mcp-method", "mcp-name")], [MODERN, "tools/call", "echo"])
            self.assertNotIn("mcp-session-id", seen.headers)


class DualEra(unittest.TestCase):
    """A server on the protocol's own package, which speaks both."""

    @classmethod
    def setUpClass(cls):
        need_peers()

    def test_over_stdio(self):
        command = DUAL + ["stdio"]
        with Host({"any": {"command": command}, "legacy": {"command": command, "era": "legacy"}, "modern": {"command": command + ["modern"]}}) as h:
            for server, era in (("any", "modern"), ("legacy", "legacy"), ("modern", "modern")):
                h.configure("a", server)
                self.assertEqual(json.loads(h.said("a", "whoami"))["era"], era)
                task = h.begin("a", "tools.call", name="steps", arguments={"n": 3})
                result, _ = h.end("a", task)
                self.assertEqual(result["content"][0]["text"], "done")
                self.assertNotIn("late", h.tools("a"))
                h.use("a", "change")
                until(lambda: "late" in h.tools("a"), what=f"{server}: the tool that is new")


if __name__ == "__main__":
    unittest.main()
