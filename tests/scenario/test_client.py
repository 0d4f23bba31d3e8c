"""The tda command as people and scripts use it."""
import json
import os
import pty
import signal
import subprocess
import termios
import unittest

from harness.daemon import BIN, Daemon, until
from harness.upstream import Upstream

SAMPLE = BIN.parent / "share" / "tda"


def read_until(fd, end):
    """What a terminal shows up to `end`, or until the program has left it."""
    text = ""
    while end is None or end not in text:
        try:
            data = os.read(fd, 4096)
        except OSError:
            break
        text += data.decode()
    return text


class Client(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Upstream(keys={"canary-cli-key"})
        cls.d = Daemon("contexts: {persistence: false}\nmcp_servers:\n"
                       f"  shop: {{command: [{BIN}/mcp-sqlite, {SAMPLE}/sample.db]}}\nproviders:\n  Fake: {{plugin: openai, base_url: \"{cls.up.base}\"}}\n")

    @classmethod
    def tearDownClass(cls):
        cls.up.close()
        cls.d.stop()

    def tda(self, *args, code=0, stdin=None, env=None):
        r = subprocess.run([str(BIN / "tda"), *args], capture_output=True, text=True, input=stdin, timeout=60,
                           env={"PATH": os.environ["PATH"], "TDA_SOCKET": self.d.url, **(env or {})})
        self.assertEqual(r.returncode, code, f"{args}: {r.stdout}{r.stderr}")
        return r.stdout + r.stderr

    def test_sessions_usage_and_backup(self):
        self.tda("-u", "s", "configure", "--provider", "offline", "--model", "offline-1", "--mcp-server", "shop")
        s = self.tda("-u", "s", "sessions", "new").strip()
        self.assertIn("customers", self.tda("-u", "s", "--session", s, "ask", "Which tables are there?"))
        self.assertRegex(self.tda("-u", "s", "sessions"), f"{s} .* 1 +Which tables are there")
        self.assertEqual(self.tda("-u", "s", "sessions", "list", "--search", "nothing like it").count("\n"), 1)
        said = self.tda("-u", "s", "sessions", "show", s)
        self.assertRegex(said, r"user: Which tables are there\?\n  tool list_tables \{.*\}\nassistant: [^\0]*customers")
        self.assertEqual(self.tda("-u", "s", "sessions", "rename", s, "Tables"), "renamed\n")
        lines = [json.loads(x) for x in self.tda("-u", "s", "sessions", "export", s).splitlines()]
        self.assertEqual([(x["type"], x.get("title")) for x in lines], [("session", "Tables"), ("turn", None)])
        self.assertRegex(self.tda("-u", "s", "usage", "--days", "1"), r"offline +offline-1 +1 +2 ")
        self.assertIn("days must be", self.tda("-u", "s", "usage", "--days", "0", code=1))
        copy = self.d.dir / "copy.db"
        self.assertIn(str(copy), self.tda("backup", str(copy)))
        self.assertIn("replaces nothing", self.tda("backup", str(copy), code=1))
        self.assertEqual(self.tda("-u", "s", "sessions", "delete", s), "deleted\n")
        self.assertIn("no such session", self.tda("-u", "s", "sessions", "show", s, code=1))
        self.assertIn("sessions list | new", self.tda("-u", "s", "sessions", "shw", s, code=2))
        self.assertEqual(self.tda("-u", "s", "user", "delete"), "erased\n")
        self.assertIn("orders.jsonl", self.tda("help", "sessions"))

    def test_a_whole_session(self):
        self.assertIn("configured: provider offline", self.tda("--user", "a", "configure", "--provider", "offline", "--model", "offline-1", "--mcp-server", "shop"))
        self.assertIn("customers", self.tda("--user", "a", "ask", "Which tables are there?"))
        self.assertIn("8", self.tda("-u", "a", "ask", "How many customers are there?"))
        said = self.tda("-u", "a", "-v", "ask", "Which tables are there?")
        self.assertIn("-- provider offline, model offline-1, MCP server shop, tools list_tables", said)
        self.assertIn("query", self.tda("-u", "a", "tools"))
        self.assertIn("40", self.tda("-u", "a", "call-tool", "query", '{"sql": "SELECT count(*) FROM orders"}'))
        self.assertEqual(json.loads(self.tda("-u", "a", "--json", "status"))["provider"], "offline")
        self.assertIn("offline-1", self.tda("-u", "a", "context", "get", "model"))
        self.tda("-u", "a", "context", "set", "aws_region=eu-west-1")
        self.assertIn("eu-west-1", self.tda("-u", "a", "context", "get"))
        self.assertIn("a ", self.tda("context", "list"))
        self.assertRegex(self.tda("jobs"), r"context_cleanup +true +0 +0 +- +- +\d+")
        for words in (["jobs", "run", "context_cleanup"], ["plugins"], ["stats"], ["info"], ["ping"], ["methods"], ["call", "host.ping"],
                      ["call", "context.get", '{"user": "a"}']):
            self.tda(*words)
        self.assertRegex(self.tda("methods"), r"host\.ping +Answers at once")
        for words in (["call", "plugin.list"], ["call", "host.ping", "{}"], ["jobs"], ["context", "list"]):
            self.tda(*words, env={"TDA_USER": "a"})
        self.tda("-u", "a", "context", "delete")
        self.assertIn("not configured", self.tda("-u", "a", "ask", "x", code=1))

    def test_keys_come_from_files_variables_and_stdin(self):
        for args, env, stdin in ((["--key-env", "MY_KEY"], {"MY_KEY": "canary-cli-key"}, None),
                                 (["--credential-env", "api_key=MY_KEY"], {"MY_KEY": "canary-cli-key"}, None), (["--key-file", "-"], None, "canary-cli-key\n")):
            self.tda("-u", "k", "configure", "--provider", "Fake", "--model", "model1", *args, env=env, stdin=stdin)
            self.assertEqual(self.up.seen[-1].key, "canary-cli-key")
            self.tda("-u", "k", "context", "delete")
        self.assertIn("can be read by every user", self.tda("-u", "k", "configure", "--key", "x", code=2))

    def test_an_interrupted_prompt_gives_the_echo_back(self):
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(BIN / "tda", ["tda", "-u", "k", "configure", "--provider", "Fake", "--model", "m", "--key-file", "-"], {"TDA_SOCKET": self.d.url})
        echo = lambda: termios.tcgetattr(fd)[3] & termios.ECHO  # noqa: E731
        until(lambda: not echo(), what="a prompt without echo")
        os.write(fd, b"\x03")
        self.assertEqual(os.WTERMSIG(os.waitpid(pid, 0)[1]), signal.SIGINT)
        self.assertTrue(echo())
        os.close(fd)

    def test_an_answer_shows_as_it_comes_on_a_terminal(self):
        self.tda("-u", "w", "configure", "--provider", "Fake", "--model", "model1", "--key-env", "K", env={"K": "canary-cli-key"})
        self.up.faults.append("pause")
        self.up.released.clear()
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(BIN / "tda", ["tda", "-u", "w", "ask", "hello"], {"TDA_SOCKET": self.d.url})
        self.assertEqual(read_until(fd, "half an ans"), "half an ans")
        self.up.released.set()
        self.assertEqual(read_until(fd, "\n"), "wer\r\n")
        self.assertEqual(read_until(fd, None), "", "and it is not printed once more")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        os.close(fd)

    def test_exit_codes_and_hints(self):
        self.assertIn("did you mean status", self.tda("statuss", code=2))
        self.assertIn("did you mean --user", self.tda("--usr", "x", "status", code=2))
        self.assertIn("command", self.tda(code=2))
        self.assertIn("no daemon answers", self.tda("--socket", "ipc:///tmp/no-such.sock", "ping", code=3))
        self.assertIn("--user", self.tda("status", code=1))
        self.assertIn("takes no arguments", self.tda("ping", "there", code=2))
        self.assertIn("did you mean status", self.tda("help", "statuss", code=2))
        self.assertIn("the operator's servers are: shop", self.tda("-u", "x", "configure", "--provider", "offline", "--model", "m", "--mcp-server", "shpo", code=1))
        self.assertEqual(json.loads(self.tda("--json", "-u", "nobody", "ask", "x", code=1))["data"]["kind"], "not_configured")
        self.assertIn("JSON object", self.tda("call", "host.ping", "{x", code=2))

    def test_help_for_every_command(self):
        text = self.tda("--help")
        for line in self.tda("__complete").split():
            if not line.startswith("-"):
                self.assertIn(line, text)
                self.assertIn("example", self.tda("help", line))
        self.assertIn("complete -o default", self.tda("complete", "bash"))
        self.assertIn("--key-file", self.tda("__complete", "configure"))

    def test_text_of_others_cannot_drive_the_terminal(self):
        self.up.delay = 0
        self.tda("-u", "t", "configure", "--provider", "Fake", "--model", "model1", "--key-env", "K", env={"K": "canary-cli-key"})
        said = self.tda("-u", "t", "chat", "\x1b[31mred\x07")
        self.assertNotIn("\x1b", said)
        self.assertNotIn("\x07", said)


if __name__ == "__main__":
    unittest.main()
