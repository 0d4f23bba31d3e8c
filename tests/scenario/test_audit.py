"""The audit log: who asked for what and how it ended, one line each, and nothing of what was said."""
import json
import os
import signal
import stat
import unittest

from harness.daemon import Daemon, run_tdad, until

CANARY, KEY = "canary-of-content", "sk-canary-of-a-key"
YAML = "contexts: {persistence: false}\n"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def asked(rows):
    return [(r["who"], r["method"], r["user"], r["outcome"]) for r in rows]


class Audit(unittest.TestCase):
    maxDiff = None

    def start(self, path=None, **more):
        self.d = Daemon(YAML, env={"TDA_AUDIT_PATH": path} if path else None, **more)
        self.addCleanup(self.d.stop)
        return self.d.client

    def beside(self, **more):
        """In the daemon's own folder, which there is only now."""
        self.start(**more)
        self.path = self.d.dir / "audit"
        return self.again(self.path)

    def again(self, path):
        self.d.process.terminate()
        self.d.process.wait()
        self.d.env["TDA_AUDIT_PATH"] = str(path)
        self.d.start()
        self.d.ready()
        return self.d.client

    def rows(self, path, method, n=1):
        until(lambda: sum(r.get("method") == method for r in lines(path)) >= n, what=f"{n} lines of {method}")
        return lines(path)

    def test_a_line_for_each_request_of_two_users_and_of_a_stranger(self):
        c = self.beside(listen=["tcp://127.0.0.1:0"])
        uid = f"uid {os.getuid()}"
        far = self.d.connect(self.d.listeners()[1])
        alice = c.call("token.create", user="alice", label="laptop")
        until(lambda: "token.create" in self.path.read_text())
        start = len(lines(self.path))
        far.auth = alice["token"]
        refused = far.error("configure", provider="offline", model="offline-1", credentials={"api_key": KEY})
        far.call("configure", provider="offline", model="offline-1")
        far.call("agent.run", input=CANARY, idempotency_key="k")
        far.call("agent.run", input=CANARY, idempotency_key="k")
        far.error("agent.run", user="bob", input=CANARY)
        far.error("context.list")
        far.auth = "tda_" + "0" * 64
        far.error("agent.run", user="bob", input=CANARY)
        far.close()
        c.error("agent.run", user="bob", input=CANARY)
        c.error("agent.run", user=f"{CANARY} no id", input=CANARY)
        c.error(f"no.such.{CANARY}")
        c.call("session.list", user="bob")
        c.call("token.list")
        laptop = f"token laptop/{alice['id']}"
        rows = self.rows(self.path, "token.list")[start:]
        self.assertEqual(asked(rows), [(laptop, "configure", "alice", refused.kind), (laptop, "configure", "alice", "ok"), (laptop, "agent.run", "alice", "ok"), (laptop, "agent.run", "alice", "repeated"),
                                       (laptop, "agent.run", "bob", "denied"), (laptop, "context.list", None, "denied"), (None, "agent.run", "bob", "token_invalid"),
                                       (uid, "agent.run", "bob", "not_configured"), (uid, "agent.run", None, "user_invalid"), (uid, None, None, "unknown_method"),
                                       (uid, "session.list", "bob", "ok"), (uid, "token.list", None, "ok")])
        self.assertTrue(all(set(r) == {"time", "request", "who", "method", "user", "outcome", "us"} and r["us"] >= 0 for r in rows))
        text = self.path.read_text()
        for secret in (CANARY, KEY, alice["token"], "tda_"):
            self.assertNotIn(secret, text)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_a_task_is_his_who_submitted_it(self):
        c = self.beside()
        c.call("configure", user="u", provider="offline", model="offline-1")
        c.call("task.submit", user="u", method="agent.run", params={"input": "hello"})
        (run,) = [r for r in self.rows(self.path, "agent.run") if r.get("method") == "agent.run"]
        self.assertEqual((run["who"], run["user"], run["outcome"]), (f"uid {os.getuid()}", "u", "ok"))

    def test_rotation_goes_on_in_a_new_file(self):
        c = self.beside()
        c.call("host.info")
        self.rows(self.path, "host.info")
        old = self.path.rename(self.path.with_name("audit.1"))
        c.call("host.ping")
        self.rows(old, "host.ping")
        self.d.process.send_signal(signal.SIGHUP)
        until(self.path.exists, what="the new file")
        c.call("session.list", user="u")
        self.assertEqual(asked(self.rows(self.path, "session.list"))[-1][1:], ("session.list", "u", "ok"))
        self.assertNotIn("session.list", old.read_text())
        self.path.rename(self.path.with_name("audit.2"))
        c.call("config.reload")
        until(self.path.exists, what="the next file")

    def test_what_waits_is_written_at_the_end_and_a_start_appends(self):
        c = self.beside()
        for _ in range(200):
            c.call("host.info")
        self.d.process.terminate()
        self.d.process.wait()
        self.assertEqual(sum(r["method"] == "host.info" for r in lines(self.path)), 200)
        self.again(self.path)
        self.d.client.call("host.info")
        until(lambda: sum(r["method"] == "host.info" for r in lines(self.path)) == 201)
        self.assertGreater(len(lines(self.path)), 200)

    def test_a_full_disk_stops_no_call(self):
        c = self.start("/dev/full")
        for _ in range(100):
            c.call("host.info")
        until(lambda: "the audit log cannot be written" in self.d.text())
        self.assertEqual(self.d.text().count("the audit log cannot be written"), 1, "said once")

    def test_a_reader_that_sleeps_stops_no_call_and_lost_lines_are_counted(self):
        self.start()
        d, pipe = self.d, self.d.dir / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        self.again(pipe)
        until(lambda: d.client.call("host.info") and "the audit log cannot be written" in d.text(), seconds=60)
        os.read(reader, 1 << 20)
        until(lambda: d.client.call("host.info") and b'{"lost":' in os.read(reader, 1 << 20), seconds=30)

    def test_one_that_cannot_be_opened_is_said_at_the_start(self):
        code, _, err = run_tdad("--set", "audit.path=/nowhere/audit", "--set", "listen=ipc:///tmp/tda-audit-never.sock")
        self.assertEqual(code, 1)
        self.assertIn("audit.path wants a file", err)


if __name__ == "__main__":
    unittest.main()
