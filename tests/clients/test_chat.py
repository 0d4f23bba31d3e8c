"""`tda chat` in a real terminal: tmux types, and the screen is read."""
import itertools
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenario"))
from harness.daemon import BIN, SLOW, Daemon, clean_env, until  # noqa: E402
from harness.upstream import Upstream  # noqa: E402
from test_clients import yaml  # noqa: E402


NUMBERS = itertools.count()


class Terminal:
    """A program in a terminal of 100 columns."""

    def __init__(self, folder, command, env):
        self.socket = f"{folder}/tmux{next(NUMBERS)}"  # a server that was told to end may still be there
        self.env = {**clean_env(), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        setting = " ".join(f"{k}={shlex.quote(v)}" for k, v in env.items())
        self.tmux("new-session", "-d", "-x", "100", "-y", "40", f"env {setting} {command}; echo left with $?; exec cat")

    def tmux(self, *args):
        r = subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", "-u", *args], capture_output=True, text=True, env=self.env, timeout=20)
        assert r.returncode == 0, r.stderr
        return r.stdout

    def screen(self):
        return self.tmux("capture-pane", "-p", "-J", "-S", "-").rstrip("\n")

    def type(self, text):
        self.tmux("send-keys", "-l", text)
        self.key("Enter")

    def key(self, *names):
        self.tmux("send-keys", *names)

    def shows(self, text, times=1):
        try:
            until(lambda: self.screen().count(text) >= times, 10, text)
        except AssertionError:
            raise AssertionError(f"{text!r} is not on the screen:\n{self.screen()}") from None
        return self.screen()

    def leave(self):
        until(lambda: self.screen().rstrip().endswith("\n>"), 10, "a prompt")  # before it the key would be the shell's
        self.key("C-d")
        self.shows("left with 0")

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True)


class Chat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Upstream(keys={"key-of-bob"})
        cls.d = Daemon(yaml(cls.up))
        for user in ("alice", "carol"):
            cls.d.client.call("configure", user=user, provider="offline", model="offline-1", mcp_server={"name": "shop"})
        cls.d.client.call("configure", user="bob", provider="Fake", model="model1", credentials={"api_key": "key-of-bob"}, mcp_server={"name": "shop"})
        cls.methods = {m["name"] for m in cls.d.client.call("host.methods")["methods"]}

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()
        cls.up.close()

    def chat(self, user, home=None):
        if not home:
            folder = tempfile.TemporaryDirectory(dir="/tmp")
            self.addCleanup(folder.cleanup)
            home = folder.name
        t = Terminal(home, f"{BIN}/tda --user {user} chat", {"TDA_SOCKET": self.d.url, "HOME": home, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")})
        self.addCleanup(t.close)
        t.shows("Ctrl-D leaves")
        return t

    def test_question_tools_and_commands(self):
        t = self.chat("alice")
        t.shows("provider offline, model offline-1, MCP server shop")
        t.type("How many customers are there?")
        if "task.submit" in self.methods:
            t.shows('> query {"sql":"SELECT COUNT(*) AS n FROM customers"}')
            t.shows('  = {"columns":["n"],"rows":[[8]]')
        t.shows("Tool shop__query says:")
        t.type("/tools")
        t.shows("describe_table")
        t.type("/model offline-2")
        t.shows("model offline-2")
        t.type("/model")
        t.shows("offline-1  offline-1")
        t.type("/modle")
        t.shows("did you mean /model")
        t.type("/help")
        t.shows("Ctrl-C cancels an answer")
        t.type("/quit")
        t.shows("left with 0")

    def test_ctrl_c_cancels_the_turn_and_not_the_program(self):
        if "task.submit" not in self.methods:
            self.skipTest("this daemon has no tasks")
        t = self.chat("bob")
        self.up.faults = ["slow"]
        asked = len(self.up.chats())
        t.type("take your time")
        until(lambda: len(self.up.chats()) == asked + 1, 10, "the question at the upstream")
        t.shows("Ctrl-C cancels")
        t.key("C-c")
        t.shows("(cancelled)")
        until(lambda: self.d.stats()["requests"]["in_flight"] <= 1, 10, "the end of the turn in the daemon")
        t.type("and now?")
        t.shows("echo: and now?")
        self.assertEqual(len(self.up.chats()), asked + 2)
        t.leave()

    def test_ctrl_c_empties_the_line(self):
        t = self.chat("bob")
        asked = len(self.up.chats())
        t.tmux("send-keys", "-l", "half a quest")
        t.shows("> half a quest")
        t.key("C-c")
        t.shows("^C")
        t.type("grüezi 😀")
        t.shows("echo: grüezi 😀")
        self.assertEqual([s.json["messages"][-1]["content"] for s in self.up.chats()[asked:]], ["grüezi 😀"])

    def test_who_waits_sees_it_and_gets_the_answer(self):
        home = self.enterContext(tempfile.TemporaryDirectory(dir="/tmp"))  # goes after the terminal whose socket it holds
        t = Terminal(home, f"{BIN}/tda --user bob ask 'take your time'", {"TDA_SOCKET": self.d.url})
        self.addCleanup(t.close)
        self.up.delay = 3
        t.shows("waiting, 2 s")
        self.up.delay = 0
        self.assertNotIn("waiting", t.shows("echo: take your time"))
        t.shows("left with 0")

    def test_ctrl_c_ends_a_question_of_ask_in_the_daemon_too(self):
        home = self.enterContext(tempfile.TemporaryDirectory(dir="/tmp"))  # goes after the terminal whose socket it holds
        self.up.faults = ["slow"]
        asked = len(self.up.chats())
        t = Terminal(home, f"{BIN}/tda --user bob ask 'take your time'", {"TDA_SOCKET": self.d.url})
        self.addCleanup(t.close)
        until(lambda: len(self.up.chats()) == asked + 1, 10, "the question at the upstream")
        t.key("C-c")
        t.shows("cancelled")
        until(lambda: self.d.stats()["requests"]["in_flight"] <= 1, 10, "the end of the turn in the daemon")

    def test_a_question_that_takes_too_long_ends_in_the_daemon_too(self):
        self.up.faults = ["slow"]
        r = subprocess.run([str(BIN / "tda"), "--user", "bob", "--timeout", "1", "ask", "take your time"], capture_output=True, text=True, timeout=30 * SLOW,
                           env={"PATH": os.environ["PATH"], "TDA_SOCKET": self.d.url, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")})
        self.assertEqual(r.returncode, 4, r.stderr)
        self.assertIn("no reply within 1 seconds", r.stderr)
        until(lambda: self.d.stats()["requests"]["in_flight"] <= 1, 10, "the end of the turn in the daemon")

    def test_history_outlives_the_program(self):
        with tempfile.TemporaryDirectory(dir="/tmp") as home:
            t = self.chat("bob", home)
            t.type("a question of yesterday")
            t.shows("echo: a question of yesterday")
            t.leave()
            t.close()
            path = pathlib.Path(home) / ".local/state/tda/chat_history"
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            t = self.chat("bob", home)
            t.key("Up")
            t.shows("> a question of yesterday")
            t.key("Enter")
            t.shows("echo: a question of yesterday")
            t.close()

    def test_tab_completes_a_command(self):
        t = self.chat("alice")
        t.tmux("send-keys", "-l", "/to")
        t.key("Tab")
        t.shows("> /tools")
        t.key("Enter")
        t.shows("list_tables")

    def test_text_of_others_cannot_drive_the_terminal(self):
        t = self.chat("bob")
        t.type("x \\033[2J y")
        self.assertIn("Ctrl-D leaves", t.shows("echo: x"))

    def test_from_a_pipe(self):
        r = subprocess.run([str(BIN / "tda"), "--user", "bob", "chat"], input="one\n\n/nothing\ntwo\n", capture_output=True, text=True, timeout=30 * SLOW,
                           env={"PATH": os.environ["PATH"], "TDA_SOCKET": self.d.url, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")})
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("echo: one\n", r.stdout)
        self.assertIn("echo: two\n", r.stdout)
        self.assertIn("there is no /nothing", r.stdout)


if __name__ == "__main__":
    unittest.main()
