"""MCP servers that we did not write, from npm, and one of ours on the protocol's own package that speaks both eras."""
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from harness.daemon import alive, until
from harness.host import Host, faulty, text_of
from harness.mcp_http import MODERN, PROTOCOL
from harness.peers import NODE, NODE_DIR, entry, need_peers

HARNESS = pathlib.Path(__file__).parent / "harness"


def setUpModule():
    need_peers()


def server(name):
    return [str(NODE), str(entry(f"@modelcontextprotocol/server-{name}", f"mcp-server-{name}"))]


def content(result):
    """What a tool says: structured where it is."""
    return next((p["value"] for p in result["content"] if p["type"] == "json"), None) or text_of(result)


class Filesystem(unittest.TestCase):
    def test_each_user_has_his_own_folder_and_no_way_out(self):
        with tempfile.TemporaryDirectory() as folder:
            servers = {"who": {**faulty(), "env": {"WHO": "${user_hash}"}}, "files": {"command": [*server("filesystem"), f"{folder}/${{user_hash}}"]}}
            with Host(servers) as h:
                own = {}
                for u in ("alice", "bob"):
                    h.configure(u, "who")
                    own[u] = pathlib.Path(folder) / json.loads(h.said(u, "whoami"))["env"]["WHO"]
                    own[u].mkdir()
                    h.configure(u, "files")
                    h.use(u, "write_file", path=f"{own[u]}/note.txt", content=f"only {u} reads this")
                    self.assertEqual((own[u] / "note.txt").read_text(), f"only {u} reads this")
                self.assertGreaterEqual(len(h.tools("alice")), 14)
                for u, other in (("alice", "bob"), ("bob", "alice")):
                    for path in (f"{own[other]}/note.txt", f"{own[u]}/../{own[other].name}/note.txt"):
                        r = h.use(u, "read_text_file", path=path)
                        self.assertTrue(r["is_error"], r)
                        self.assertNotIn("only", json.dumps(r))


class SequentialThinking(unittest.TestCase):
    def test_what_it_draws_on_stderr_disturbs_nobody(self):
        with Host({"s": {"command": server("sequential-thinking")}}) as h:
            h.configure("a", "s")
            for i in range(1, 6):
                r = h.use("a", "sequentialthinking", thought=f"thought {i}", nextThoughtNeeded=i < 5, thoughtNumber=i, totalThoughts=5)
                self.assertIn(f'"thoughtNumber": {i}', json.dumps(content(r)).replace("\\n", "").replace('\\"', '"'))


class Everything(unittest.TestCase):
    def test_one_that_does_not_end_by_itself_is_ended(self):
        """Left without an answer to roots/list it stays for a minute after its stdin has ended."""
        command = [sys.executable, str(HARNESS / "roots.py"), *server("everything"), "stdio"]
        with Host({"s": {"command": command}}, "mcp: {stop_grace: 1s}\n") as h:
            h.configure("a", "s")
            self.assertIn("hello", h.said("a", "echo", message="hello"))
            commands = {p: pathlib.Path(f"/proc/{p}/cmdline").read_text() for p in h.children()}
            node = [p for p, text in commands.items() if "server-everything" in text and "roots.py" not in text]
            self.assertEqual(len(node), 1)
            begin = time.monotonic()
            h.client.call("context.delete", user="a")
            until(lambda: not alive(node[0]), seconds=20, what="its end")
            self.assertGreaterEqual(time.monotonic() - begin, 0.9, "first it is given its time")
            until(lambda: h.stats()["children"] == 0, what="the end of its wrapper")

    def test_prompts_resources_and_completion(self):
        with Host({"s": {"command": [*server("everything"), "stdio"]}}) as h:
            h.configure("a", "s")
            prompts = {p["name"] for p in h.call("a", "prompts.list")["prompts"]}
            self.assertLessEqual({"simple-prompt", "args-prompt"}, prompts)
            self.assertIn("Zürich", json.dumps(h.call("a", "prompts.get", name="args-prompt", arguments={"city": "Zürich"}), ensure_ascii=False))
            resources = h.call("a", "resources.list")["resources"]
            self.assertGreaterEqual(len(resources), 7)
            self.assertTrue(h.call("a", "resources.read", uri=resources[0]["uri"]))

    def test_over_http(self):
        """Streamable HTTP with sessions, and HTTP+SSE, as its makers serve them."""
        for transport, path in (("streamableHttp", "/mcp"), ("sse", "/sse")):
            with self.subTest(transport):
                port = free_port()
                with Process([*server("everything"), transport], {"PORT": str(port)}):
                    until(lambda: listens(port), seconds=20, what="it to listen")
                    with Host({"s": {"url": f"http://127.0.0.1:{port}{path}"}}) as h:
                        for u in ("a", "b"):
                            h.configure(u, "s")
                        for i in range(10):
                            for u in ("a", "b"):
                                self.assertIn(f"{u} {i}", h.said(u, "echo", message=f"{u} {i}"))
                        self.assertEqual(h.said("a", "trigger-long-running-operation", duration=2, steps=4).count("completed"), 1)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Process:
    def __init__(self, command, env=None):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **(env or {})})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class DualEra(unittest.TestCase):
    """Over HTTP, both eras from one address."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.record = pathlib.Path(self.folder.name) / "record"
        self.server = Process([str(NODE), str(HARNESS / "dual_era.mjs"), str(NODE_DIR), "http"], {"MCP_RECORD": str(self.record)})
        self.addCleanup(self.server.__exit__)
        url = f"http://127.0.0.1:{int(self.server.process.stdout.readline())}/mcp"
        self.h = Host({"any": {"url": url, "asks": ["form"], "bearer": "${env:KEY}"}, "legacy": {"url": url, "era": "legacy"}}, env={"KEY": "token-of-the-operator"})

    def tearDown(self):
        self.h.stop()
        self.folder.cleanup()

    def seen(self):
        return [json.loads(line) for line in self.record.read_text().splitlines()]

    def test_the_newer_one_is_spoken(self):
        self.h.configure("a", "any")
        self.assertEqual(json.loads(self.h.said("a", "whoami"))["era"], "modern")
        self.assertEqual(json.loads(self.h.said("a", "whoami"))["authorization"], "Bearer token-of-the-operator")
        for r in self.seen():
            self.assertEqual((r["method"], r["headers"].get("mcp-protocol-version"), r["body"]["params"]["_meta"][PROTOCOL]), ("POST", MODERN, MODERN))
            self.assertEqual(r["headers"]["mcp-method"], r["body"]["method"])
            self.assertEqual(r["headers"]["authorization"], "Bearer token-of-the-operator", "every request, and only in the header")
        self.h.configure("b", "legacy")
        self.assertEqual(json.loads(self.h.said("b", "whoami"))["era"], "legacy")

    def test_news_questions_and_progress(self):
        h = self.h
        h.configure("a", "any")
        self.assertNotIn("late", h.tools("a"))
        until(lambda: [r for r in self.seen() if r["body"]["method"] == "subscriptions/listen"], what="a subscription")
        h.use("a", "change")
        until(lambda: "late" in h.tools("a"), what="the tool that is new")
        task = h.begin("a", "tools.call", name="ask", arguments={})
        h.call("a", "task.respond", task=task, request=h.ask("a", task)["request"], json={"action": "accept", "content": {"colour": "green"}})
        self.assertEqual(text_of(h.end("a", task)[0]), "chosen: green")
        retry = [r["body"] for r in self.seen() if "inputResponses" in r["body"].get("params", {})]
        self.assertEqual([(m["params"]["name"], m["params"]["requestState"]) for m in retry], [("ask", "opaque  state")])
        self.assertEqual(h.said("a", "steps", n=4), "done")

    def test_prompts_and_resources(self):
        h = self.h
        h.configure("a", "any")
        self.assertEqual([p["name"] for p in h.call("a", "prompts.list")["prompts"]], ["greet"])
        self.assertIn("Say hello to Ada.", json.dumps(h.call("a", "prompts.get", name="greet", arguments={"name": "Ada"})))
        self.assertEqual([r["uri"] for r in h.call("a", "resources.list")["resources"]], ["note://today"])
        self.assertIn("note", json.dumps(h.call("a", "resources.read", uri="note://today")))


if __name__ == "__main__":
    unittest.main()
