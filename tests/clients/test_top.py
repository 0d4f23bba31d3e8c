"""`tda top` in a real terminal, and where there is none."""
import re
import subprocess
import unittest

from test_chat import Terminal, BIN, Daemon, clean_env, until


class Top(unittest.TestCase):
    def setUp(self):
        self.d = Daemon("contexts: {persistence: false}\n")
        self.c = self.d.client
        self.c.call("configure", user="alice", provider="offline", model="offline-1")

    def tearDown(self):
        self.d.stop()

    def ask(self, n):
        for _ in range(n):
            self.c.call("chat.complete", user="alice", messages=[{"role": "user", "content": "hi"}])

    def test_it_shows_what_happens_and_leaves_the_terminal_as_it_was(self):
        self.ask(3)
        t = Terminal(self.d.dir, f"{BIN}/tda top", {"TDA_SOCKET": self.d.url})
        try:
            t.shows("PROVIDER (attempts)")
            self.assertRegex(t.screen(), r"per-user, up 0d 00:00:\d\d, \d+ loops")
            self.ask(4)
            t.key("Space")
            t.shows("q: quit")
            row = re.search(r"^chat\.complete +(\d+) +0 ", t.shows("chat.complete"), re.M)
            self.assertIn(row.group(1), ("3", "7"))
            t.key("Space")
            t.shows("chat.complete                      7")
            t.key("q")
            t.shows("left with 0")
            self.assertNotIn("METHOD", t.screen())
        finally:
            t.close()

    def test_a_daemon_that_goes_away_is_said(self):
        t = Terminal(self.d.dir, f"{BIN}/tda top", {"TDA_SOCKET": self.d.url})
        try:
            t.shows("METHOD")
            self.d.process.terminate()
            self.d.process.wait(30)
            t.key("Space")
            until(lambda: self.d.url in t.screen().splitlines()[-1], what="the fault in the last line")
            t.key("q")
            t.shows("left with 0")
        finally:
            t.close()

    def test_without_a_terminal_it_is_stats(self):
        run = subprocess.run([f"{BIN}/tda", "top"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
                             env=clean_env({"TDA_SOCKET": self.d.url}))
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertRegex(run.stdout, r"(?m)^requests\.total +\d+$")


if __name__ == "__main__":
    unittest.main()
