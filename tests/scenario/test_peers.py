"""Peers that we did not write: aimock as the service behind the openai plugin, MCP's own servers over stdio, nngcat as a client.

tools/node-setup installs them into BUILD/node (TDA_NODE_DIR says another place)."""
import json
import pathlib
import subprocess
import tempfile
import time
import unittest
import urllib.request

from harness.daemon import Daemon, alive, until
from harness.peers import NODE, Aimock, entry, need_peers

FIXTURES = [
    {"match": {"userMessage": "add two and three", "hasToolResult": True}, "response": {"content": "it is five"}},
    {"match": {"userMessage": "add two and three"},
     "response": {"toolCalls": [{"name": "everything__get-sum", "arguments": {"a": 2, "b": 3}}]}},
    {"match": {"userMessage": "who are you"}, "response": {"content": "a mock of some twenty characters and more, in chunks: ä ö ü 漢字 🙂"}},
]


def setUpModule():
    need_peers()


class OpenAi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mock = Aimock(FIXTURES)
        cls.d = Daemon("contexts: {persistence: false}\ncalls: {attempts: 2, retry_base: 5ms}\n"
                       f"providers:\n  Mock: {{plugin: openai, base_url: \"{cls.mock.url}/v1\"}}\nmcp_servers:\n"
                       f"  everything: {{command: [{NODE}, {entry('@modelcontextprotocol/server-everything', 'mcp-server-everything')}, stdio]}}\n")
        cls.c = cls.d.client
        cls.c.call("configure", user="u", provider="Mock", model="gpt-4o", credentials={"api_key": "mock-key-of-u"}, mcp_server={"name": "everything"})

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()
        cls.mock.close()

    def test_an_answer_streamed_and_whole(self):
        for stream in (True, False):
            r = self.c.call("chat.complete", user="u", stream=stream, messages=[{"role": "user", "content": "who are you"}])
            self.assertEqual(r["text"], FIXTURES[2]["response"]["content"], f"stream: {stream}")
            self.assertEqual(r["stop"], "end_turn")

    def test_a_turn_with_a_real_tool_of_a_real_server(self):
        r = self.c.call("agent.run", user="u", input="add two and three")
        self.assertEqual(r["text"], "it is five")
        self.assertEqual([(s["tool"], s["server"], s["is_error"]) for s in r["steps"]], [("get-sum", "everything", False)])
        journal = json.dumps(self.mock.get("/__aimock/journal"))
        self.assertIn("The sum of 2 and 3 is 5", journal, "the model got the tool's result")

    def test_chaos(self):
        for rates, kinds in (({"dropRate": 1}, ("upstream_failed",)), ({"malformedRate": 1}, ("protocol",)), ({"disconnectRate": 1}, ("unreachable", "protocol"))):
            self.mock.get("/__aimock/chaos", "POST", rates)
            try:
                e = self.c.error("chat.complete", user="u", messages=[{"role": "user", "content": "who are you"}])
            finally:
                urllib.request.urlopen(urllib.request.Request(self.mock.url + "/__aimock/chaos", method="DELETE"), timeout=10)
            self.assertIn(e.kind, kinds, f"{rates}: {e.message}")
        self.c.call("chat.complete", user="u", messages=[{"role": "user", "content": "who are you"}])


class Everything(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        server = entry("@modelcontextprotocol/server-everything", "mcp-server-everything")
        cls.d = Daemon("contexts: {persistence: false}\ncalls: {tool_timeout: 2s}\nmcp_servers:\n"
                       f"  everything: {{command: [{NODE}, {server}, stdio], env: {{GIVEN: \"yes\"}}}}\n",
                       env={"OPENAI_API_KEY": "canary-host-key", "TDA_CANARY": "canary-of-tda", "SOME_TOKEN": "canary-token"})
        cls.c = cls.d.client
        cls.c.call("configure", user="u", provider="offline", model="offline-1", mcp_server={"name": "everything"})

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()

    def tool(self, name, **arguments):
        return self.c.call("tools.call", user="u", name=name, arguments=arguments)

    def test_tools(self):
        names = {t["name"] for t in self.c.call("tools.list", user="u")["tools"]}
        self.assertLessEqual({"echo", "get-sum", "get-env", "trigger-long-running-operation"}, names)
        self.assertIn("hello there", self.tool("echo", message="hello there")["content"][0]["text"])
        self.assertEqual(self.tool("get-tiny-image")["content"][1]["type"], "image")
        structured = self.tool("get-structured-content", location="New York")["content"]
        self.assertIn("temperature", json.dumps(structured))
        self.assertTrue(self.tool("get-sum", a="not a number", b=1)["is_error"])

    def test_the_childs_environment(self):
        env = json.loads(self.tool("get-env")["content"][0]["text"])
        self.assertEqual(env["GIVEN"], "yes")
        self.assertNotIn("canary", json.dumps(env))
        self.assertLessEqual(set(env), {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "GIVEN", "TDA_CHILD"})

    def test_a_long_one_ends_at_its_deadline_and_the_server_goes_on(self):
        """It says each half second how far it is: that moves the deadline of a tool on, and not the one of the request."""
        self.assertIn("completed", self.tool("trigger-long-running-operation", duration=4, steps=8)["content"][0]["text"])
        begin = time.monotonic()
        e = self.c.error("tools.call", user="u", name="trigger-long-running-operation", arguments={"duration": 60, "steps": 120}, deadline_ms=3000)
        self.assertEqual(e.kind, "timeout")
        self.assertLess(time.monotonic() - begin, 15)
        self.assertIn("again", self.tool("echo", message="again")["content"][0]["text"])


class Memory(unittest.TestCase):
    def test_users_share_neither_process_nor_state(self):
        with tempfile.TemporaryDirectory() as folder:
            server = entry("@modelcontextprotocol/server-memory", "mcp-server-memory")
            yaml = ("contexts: {persistence: false}\nmcp_servers:\n"
                    f"  memory: {{command: [{NODE}, {server}], env: {{MEMORY_FILE_PATH: \"{folder}/${{user_hash}}.json\"}}}}\n")
            with Daemon(yaml) as d:
                c = d.client
                for user in ("alice", "bob"):
                    c.call("configure", user=user, provider="offline", model="offline-1", mcp_server={"name": "memory"})
                    c.call("tools.call", user=user, name="create_entities",
                           arguments={"entities": [{"name": f"secret of {user}", "entityType": "note", "observations": [f"only {user} knows"]}]})
                for user, other in (("alice", "bob"), ("bob", "alice")):
                    graph = json.dumps(c.call("tools.call", user=user, name="read_graph"))
                    self.assertIn(f"secret of {user}", graph)
                    self.assertNotIn(f"secret of {other}", graph)
                children = [p for p in d.descendants() if "launcher" not in pathlib.Path(f"/proc/{p}/comm").read_text()]
                self.assertEqual(len(children), 2)
            self.assertFalse([p for p in children if alive(p)])
            files = sorted(pathlib.Path(folder).iterdir())
            self.assertEqual(len(files), 2, "a file for each user")
            for path in files:
                self.assertNotIn("alice", path.name + "bob" * ("bob" in path.name))
                self.assertEqual(sum(f"secret of {u}" in path.read_text() for u in ("alice", "bob")), 1)
            with Daemon(yaml) as d:
                d.client.call("configure", user="alice", provider="offline", model="offline-1", mcp_server={"name": "memory"})
                self.assertIn("secret of alice", json.dumps(d.client.call("tools.call", user="alice", name="read_graph")), "the hash is the same after a restart")


class Nngcat(unittest.TestCase):
    def test_a_client_that_we_did_not_write(self):
        with Daemon("", listen=["tcp://127.0.0.1:0", "tls+tcp://localhost:0", "ws://127.0.0.1:0/tda", "wss://localhost:0/tda"]) as d:
            for url in d.listeners():
                auth = {} if url.startswith("ipc:") else {"auth": d.token}
                for request, word in (({"jsonrpc": "2.0", "id": 7, "method": "host.ping", "params": auth}, '"pong":true'),
                                      ({"jsonrpc": "2.0", "id": 8, "method": "nope", "params": auth}, "-32601")):
                    r = subprocess.run(["nngcat", "--req", *(["--cacert", str(d.cert)] if "s" in url.partition(":")[0] else []), "--connect", url, "--ascii", "--data", json.dumps(request), "--recv-timeout", "10"], capture_output=True,
                                       text=True, timeout=30)
                    self.assertEqual(r.returncode, 0, r.stderr)
                    self.assertIn(word, r.stdout.replace(" ", ""))


if __name__ == "__main__":
    unittest.main()
