"""tools/run, the first command that a stranger types: one question as two users, then up until Ctrl-C."""
import os
import pathlib
import re
import signal
import subprocess
import unittest

from harness.daemon import BUILD, SOURCE, Daemon, until

PLACE = pathlib.Path(f"{BUILD}-run")  # a build of its own, as a stranger's is


def run(*args, code=0, **env):
    r = subprocess.run([SOURCE / "tools" / "run", *args], capture_output=True, text=True, timeout=500, stdin=subprocess.DEVNULL,
                       env={**os.environ, "TDA_BUILD_DIR": str(PLACE), **env})
    assert r.returncode == code, f"exit code {r.returncode}:\n{r.stdout}{r.stderr}"
    return r.stdout + r.stderr


class Run(unittest.TestCase):
    def test_once_and_again(self):
        for _ in range(2):
            said = run("--once")
            self.assertRegex(said, r"alice asks: Which tables[^\0]*customers[^\0]*provider offline, model offline-1, MCP server shop, tools list_tables")
            self.assertRegex(said, r"bob asks: Which tables[^\0]*BOOKS[^\0]*provider offline, model offline-2, MCP server library, tools list_tables")

    def test_it_stays_up_and_ends_at_ctrl_c(self):
        run("--once")
        p = subprocess.Popen([SOURCE / "tools" / "run"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                             stdin=subprocess.DEVNULL, env={**os.environ, "TDA_BUILD_DIR": str(PLACE)})
        said = ""
        while "Ctrl-C stops it" not in said:
            line = p.stdout.readline()
            self.assertTrue(line, said)
            said += line
        tries = re.findall(r"^  ((?:export|tda) .*)$", said, re.M)
        self.assertEqual(len(tries), 4, "the socket, and three commands to try next")
        r = subprocess.run(["bash", "-ec", "\n".join(tries)], capture_output=True, text=True, timeout=60)
        self.assertEqual(r.returncode, 0, r.stderr)
        for word in ("8", "query", "alice", "bob"):
            self.assertIn(word, r.stdout)
        folder = pathlib.Path(re.search(r"ipc://(\S+)/tda\.sock", said).group(1))
        self.assertTrue(folder.exists())
        os.killpg(p.pid, signal.SIGINT)  # as a terminal does
        self.assertEqual(p.wait(30), 0)
        p.stdout.close()
        self.assertFalse(folder.exists(), "nothing is left behind")
        until(lambda: not group_alive(p.pid), what="the end of everything that was started")

    def test_a_failure_says_what_to_do(self):
        self.assertIn("tools/run --help", run("--twice", code=1))
        self.assertIn("TDA_BUILD_DIR", run(code=1, TDA_BUILD_DIR="/dev/null/build"))
        with Daemon("") as d:
            said = run("--once", code=1, TDA_SOCKET=d.url)
            self.assertIn("is another tdad running", said)
            self.assertEqual(d.client.call("context.list")["count"], 0, "the other daemon was not asked")


def group_alive(group):
    try:
        os.killpg(group, 0)
        return True
    except ProcessLookupError:
        return False


if __name__ == "__main__":
    unittest.main()
