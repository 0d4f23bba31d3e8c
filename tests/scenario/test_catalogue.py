"""What the core makes of a server's tools, prompts and resources. Acceptance lines 29, 34, 35."""
import json
import pathlib
import shutil
import sys
import tempfile
import unittest

from harness.daemon import Daemon

SERVER = pathlib.Path(__file__).parent / "harness" / "catalogue_server.py"


class Catalogue(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="tda-catalogue-", dir="/tmp"))
        servers = {"full": {}, "bare": {"MCP_OFFERS": "tools"}, "none": {"MCP_OFFERS": ""}}
        cls.d = Daemon("contexts: {persistence: false}\ncalls: {max_tool_result: 4KiB}\nlog: {level: debug}\nmcp_servers:\n" + "".join(
            f"  {name}: {{command: [{sys.executable}, {SERVER}], env: {json.dumps({'MCP_RECORD': str(cls.folder / name), **env})}}}\n"
            for name, env in servers.items()))
        cls.c = cls.d.client
        for name in servers:
            cls.c.call("configure", user=name, provider="offline", model="offline-1", mcp_server={"name": name})

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()
        shutil.rmtree(cls.folder)

    def received(self, method, server="full"):
        lines = [json.loads(line) for line in (self.folder / server).read_text().splitlines()]
        return [m.get("params", {}) for m in lines if m.get("method") == method]

    def call_tool(self, name, user="full", **arguments):
        return self.c.call("tools.call", user=user, name=name, arguments=arguments)

    def give(self, result):
        return self.call_tool("give", value=result)


class Tools(Catalogue):
    def test_each_tool_has_an_alias_that_leads_back(self):
        tools = self.c.call("tools.list", user="full")["tools"]
        aliases = [t["alias"] for t in tools]
        self.assertEqual(len(set(aliases)), len(tools))
        for t in tools:
            self.assertRegex(t["alias"], r"^full__[A-Za-z0-9_-]{1,58}$")
        for name in ("dotted.name", "dotted_name"):
            alias = next(t["alias"] for t in tools if t["name"] == name)
            self.assertEqual(self.call_tool(alias)["tool"], name)
            self.assertEqual(self.received("tools/call")[-1]["name"], name, "the server gets its own name")

    def test_what_the_server_says_of_a_tool_is_marked(self):
        tool = next(t for t in self.c.call("tools.list", user="full")["tools"] if t["name"] == "rows")
        self.assertEqual(tool["annotations"], {"trusted": False, "claims": {"readOnlyHint": True, "title": "Trust me"}})
        self.assertEqual((tool["title"], tool["output_schema"]["required"]), ("Rows", ["rows"]))

    def test_29_a_disabled_tool_is_refused_whoever_asks(self):
        self.c.call("tools.enable", user="full", tools=["rows"])
        before = len(self.received("tools/call"))
        try:
            self.assertEqual(self.c.error("tools.call", user="full", name="change").kind, "tool_disabled")
            self.assertEqual(self.c.error("tools.call", user="full", name="full__change").kind, "tool_disabled")
            self.assertEqual([t["name"] for t in self.c.call("tools.list", user="full")["tools"] if t["enabled"]], ["rows"])
            self.assertEqual(len(self.received("tools/call")), before)
        finally:
            self.c.call("tools.enable", user="full", tools=None)

    def test_35_arguments(self):
        for given, sent in (({"db_name": "a", "object_name": "b"}, {"db_name": "a", "object_name": "b"}),
                            ({"database_name": "a", "table_name": "b"}, {"db_name": "a", "object_name": "b"}),
                            ({"database": "a", "view_name": "b", "other": [1]}, {"db_name": "a", "object_name": "b", "other": [1]})):
            self.call_tool("describe", **given)
            self.assertEqual(self.received("tools/call")[-1]["arguments"], sent)
        before = len(self.received("tools/call"))
        e = self.c.error("tools.call", user="full", name="describe", arguments={"limit": 3})
        self.assertEqual((e.kind, e.data["field"]), ("missing_argument", "arguments.db_name"))
        self.assertIn("db_name, object_name are required", e.message)
        self.assertEqual(len(self.received("tools/call")), before, "refused before the call")

    def test_34_results(self):
        text = lambda t: {"type": "text", "text": t}
        for result, content in (({"content": [text("plain")]}, [text("plain")]),
                                ({"content": [text('{"a": [1]}')]}, [text('{"a": [1]}')]),
                                ({"content": [text("beside")], "structuredContent": {"a": 1.50}}, [{"type": "json", "value": {"a": 1.5}}]),
                                ({"content": []}, []),
                                ({"content": [text("")]}, [text("")]),
                                ({"content": [text("a"), {"type": "image", "mimeType": "image/png", "data": "AAAA"}]},
                                 [text("a"), {"type": "image", "mime": "image/png", "data": "AAAA"}])):
            got = self.give(result)
            self.assertEqual((got["content"], got["is_error"]), (content, False))
        got = self.give({"content": [text("no such table")], "isError": True})
        self.assertEqual((got["content"], got["is_error"]), ([text("no such table")], True))
        got = self.give({"content": [text("x" * 5000)]})
        self.assertEqual(got["content"][0], text("x" * 4096))
        self.assertIn("904 bytes are left out", got["content"][1]["text"])
        self.assertEqual(self.c.error("tools.call", user="full", name="give", arguments={"value": {"content": 7}}).kind, "protocol")

    def test_a_structured_result_keeps_its_schema(self):
        good, bad = {"rows": [{"n": 1}, {"n": 2}]}, {"rows": [{"n": 1}, {"n": "2"}]}
        for name in ("rows", "rows_draft_07", "rows_unknown", "rows_loop"):
            got = self.call_tool(name, value=good)
            self.assertEqual((got["content"], got["is_error"]), ([{"type": "json", "value": good}], False), name)
        for name in ("rows", "rows_draft_07"):
            got = self.call_tool(name, value=bad)
            self.assertTrue(got["is_error"])
            self.assertEqual(len(got["content"]), 1)
            self.assertIn('rows.1.n must be of type "integer", and is string', got["content"][0]["text"])
        for name in ("rows_unknown", "rows_loop"):
            self.assertFalse(self.call_tool(name, value=bad)["is_error"], "what cannot be judged is not refused")
        self.assertIn("dialect that is not known", self.d.text())

    def test_progress_is_an_event_of_the_task(self):
        task = self.c.call("task.submit", user="full", method="tools.call", params={"name": "work", "arguments": {"steps": 3}})["task"]
        events, after = [], 0
        while True:
            got = self.c.call("task.poll", user="full", task=task, after=after, wait_ms=5000)
            events += got["events"]
            after = got["next"]
            if got["state"] == "complete":
                break
        self.assertEqual([{k: v for k, v in e.items() if k != "n"} for e in events],
                         [{"type": "progress", "tool": "work", "progress": i, "total": 3, "text": f"step {i}"} for i in (1, 2, 3)])

    def test_a_burst_of_changes_is_one_listing(self):
        self.c.call("tools.list", user="full")
        before = len(self.received("tools/list"))
        self.call_tool("change")
        self.call_tool("dotted_name")
        self.call_tool("dotted_name")
        self.assertEqual(len(self.received("tools/list")), before + 1)


if __name__ == "__main__":
    unittest.main()
