"""The catalogue of the protocol's own reference servers: server-everything and server-memory, as npm has them."""
import os
import pathlib
import subprocess
import tempfile
import unittest

from harness.daemon import BUILD, Daemon
from harness.peers import NODE, entry, need_peers


class Peers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need_peers()
        cls.folder = tempfile.TemporaryDirectory()
        cls.graph = pathlib.Path(cls.folder.name) / "graph.json"
        everything = entry("@modelcontextprotocol/server-everything", "mcp-server-everything")
        memory = entry("@modelcontextprotocol/server-memory", "mcp-server-memory")
        cls.d = Daemon("contexts: {persistence: false}\nmcp_servers:\n"
                       f"  everything: {{command: [{NODE}, {everything}, stdio], pin_tools: true}}\n"
                       f"  memory: {{command: [{NODE}, {memory}], env: {{MEMORY_FILE_PATH: {cls.graph}}}, pin_tools: true}}\n")
        cls.c = cls.d.client
        for name in ("everything", "memory"):
            cls.c.call("configure", user=name, provider="offline", model="offline-1", mcp_server={"name": name})

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()
        cls.folder.cleanup()

    def test_tools_and_what_they_promise(self):
        for user in ("everything", "memory"):
            tools = self.c.call("tools.list", user=user)["tools"]
            self.assertEqual({t["pinned"] for t in tools}, {"ok"}, "however often it says that they changed, these are the same")
            self.assertEqual({t["annotations"]["trusted"] for t in tools if "annotations" in t} - {False}, set())
        got = self.c.call("tools.call", user="everything", name="get-structured-content", arguments={"location": "Chicago"})
        self.assertFalse(got["is_error"], "draft-07, as the reference servers write it")
        self.assertEqual(set(got["content"][0]["value"]), {"temperature", "conditions", "humidity"})

    def test_a_tool_whose_schema_is_kept_reaches_the_disk(self):
        got = self.c.call("tools.call", user="memory", name="create_entities",
                          arguments={"entities": [{"name": "owl", "entityType": "bird", "observations": ["hoots"]}]})
        self.assertFalse(got["is_error"])
        self.assertIn("owl", self.graph.read_text())
        e = self.c.error("tools.call", user="memory", name="create_entities", arguments={"things": []})
        self.assertEqual((e.kind, e.data["field"]), ("missing_argument", "arguments.entities"))

    def test_prompts_and_completions(self):
        names = [p["name"] for p in self.c.call("prompts.list", user="everything")["prompts"]]
        self.assertIn("args-prompt", names)
        got = self.c.call("prompts.get", user="everything", name="args-prompt", arguments={"city": "Oslo"})
        self.assertIn("Oslo", got["messages"][0]["content"]["text"])
        got = self.c.call("completions.get", user="everything", prompt="completable-prompt", argument="department", value="E")
        self.assertEqual(got["values"], ["Engineering"])
        self.assertEqual(self.c.error("prompts.list", user="memory").kind, "not_offered")

    def test_resources(self):
        first = self.c.call("resources.list", user="everything", limit=2)
        self.assertEqual(len(first["resources"]), 2)
        self.assertIn("cursor", first)
        read = self.c.call("resources.read", user="everything", uri=first["resources"][0]["uri"])["contents"][0]
        self.assertEqual(read["uri"], first["resources"][0]["uri"])
        self.assertGreater(len(read["text"]), 100)
        self.assertIn("demo://resource/dynamic/text/{resourceId}", [t["template"] for t in self.c.call("resources.templates", user="everything")["templates"]])

    def test_a_watched_resource_tells_of_its_change(self):
        task = self.c.call("task.submit", user="memory", method="resources.watch", params={"uri": "memory://knowledge-graph"})["task"]
        events = []
        for i in range(20):  # a change before the server has taken the subscription is not told
            self.c.call("tools.call", user="memory", name="create_entities", arguments={"entities": [{"name": f"o{i}", "entityType": "bird", "observations": []}]})
            events = self.c.call("task.poll", user="memory", task=task, wait_ms=1000)["events"]
            if events:
                break
        self.assertEqual((events[0]["type"], events[0]["uri"]), ("resource_updated", "memory://knowledge-graph"))
        self.assertEqual(self.c.call("task.cancel", user="memory", task=task)["state"], "cancelled")

    def tda(self, *args, code=0, user="everything"):
        r = subprocess.run([BUILD / "bin" / "tda", "--socket", self.d.listeners()[0], "-u", user, *args], capture_output=True, text=True, timeout=60,
                           env={**os.environ, "TDA_USER": ""})
        self.assertEqual(r.returncode, code, r.stderr)
        return r.stdout + r.stderr

    def test_by_hand(self):
        tools = self.tda("mcp", "tools")
        self.assertRegex(tools, r"(?m)^NAME +STATE +ARGUMENTS +DESCRIPTION$")
        self.assertRegex(tools, r"(?m)^get-sum +enabled +a, b +Returns")
        self.assertIn("MCP server is everything, not memory", self.tda("mcp", "tools", "--server", "memory", code=2))
        self.assertEqual(self.tda("mcp", "call", "get-sum", '{"a": 2, "b": 3}'), "The sum of 2 and 3 is 5.\n")
        self.assertIn("the arguments a, b are required", self.tda("mcp", "call", "get-sum", code=1))
        self.assertRegex(self.tda("mcp", "prompts"), r"(?m)^args-prompt +enabled +city, state\? ")
        self.assertIn("user: What's weather in Oslo?", self.tda("mcp", "prompts", "args-prompt", "city=Oslo"))
        self.assertIn("there are more: --cursor 2", self.tda("mcp", "resources", "--limit", "2"))
        self.assertIn("demo://resource/dynamic/text/{resourceId}", self.tda("mcp", "resources", "templates"))
        self.assertIn("plaintext resource", self.tda("mcp", "resources", "demo://resource/dynamic/text/1"))
        self.assertIn("approved: get-sum", self.tda("mcp", "approve", "get-sum"))
        self.assertIn("offers no prompts", self.tda("mcp", "prompts", user="memory", code=1))


if __name__ == "__main__":
    unittest.main()
