"""Reading the configuration again: whole or not at all, and what runs goes on with what it began with."""
import json
import pathlib
import signal
import ssl
import sys
import threading
import unittest

from harness.client import HANDSHAKE_REQ, connect, host_port
from harness.daemon import Daemon, until
from harness.upstream import Upstream

SERVER = pathlib.Path(__file__).parent / "harness" / "mcp_server.py"
PROFILE = "profiles:\n  FAST: {provider: A, model: %s}\n"


class Reload(unittest.TestCase):
    def setUp(self):
        self.one, self.two = Upstream(models=("m1", "m2", "m3", "m4")), Upstream(models=("m1", "m2", "m3", "m4"))
        self.d = Daemon(self.yaml())
        self.c = self.d.client
        self.file = self.d.config
        self.head = self.file.read_text().splitlines()[0] + "\n"

    def tearDown(self):
        self.d.stop()
        self.one.close()
        self.two.close()

    def yaml(self, upstream=None, model="m1", more=""):
        return (f"contexts: {{persistence: false, users_may_use_host_keys: true}}\ncalls: {{attempts: 1}}\n{more}"
                f"providers:\n  A: {{plugin: openai, base_url: \"{(upstream or self.one).base}\", api_key: \"key-one\"}}\n" + PROFILE % model)

    def write(self, text):
        self.file.write_text(self.head + text)

    def configure(self, user):
        self.c.call("configure", user=user, provider="A", model="m1")

    def ask(self, user, **more):
        return self.c.call("chat.complete", user=user, messages=[{"role": "user", "content": "hi"}], **more)

    def test_what_changes_counts_at_once_and_is_listed(self):
        self.configure("u")
        self.ask("u")
        self.write(self.yaml(self.two, model="m2", more="log: {level: debug}\nloops: 3\n"))
        reply = self.c.call("config.reload")
        self.assertEqual(reply["changed"], ["log.level", "profiles.FAST.model", "providers.A.base_url"])
        self.assertEqual(reply["restart"], ["loops"])
        before = len(self.one.chats())
        self.ask("u")
        self.assertEqual((len(self.one.chats()), len(self.two.chats()[-1:])), (before, 1), "the next goes to the new address")
        self.assertEqual(self.ask("u", profile="FAST")["meta"]["model"], "m2")
        self.assertEqual(self.two.chats()[-1].json["model"], "m2")
        shown = {s["path"]: s["value"] for s in self.c.call("config.explain")["settings"]}
        self.assertEqual((shown["log.level"], shown["providers.A.api_key"]), ("debug", "(set)"))
        self.assertEqual(self.c.call("config.reload")["changed"], [], "again, and nothing is new")

    def test_a_secret_that_changes_is_named_and_never_shown(self):
        self.configure("u")
        self.write(self.yaml().replace("key-one", "key-two-canary"))
        reply = self.c.call("config.reload")
        self.assertEqual(reply["changed"], ["providers.A.api_key"])
        self.assertNotIn("canary", json.dumps(reply))
        self.ask("u")
        self.assertEqual(self.one.chats()[-1].headers["authorization"], "Bearer key-two-canary")

    def test_a_renewed_certificate_is_shown_without_a_restart(self):
        def shown(url):
            return ssl.get_server_certificate(host_port(url), timeout=10)

        with Daemon("contexts: {persistence: false}\n", listen=["tls+tcp://127.0.0.1:0", "wss://127.0.0.1:0/tda"]) as d:
            urls = d.listeners()[1:]
            before = d.cert.read_text().strip()
            with connect(urls[0]) as kept:  # goes on with what it began with
                self.assertEqual([shown(u).strip() for u in urls], [before, before])
                d.make_certificate()
                after, key = d.cert.read_text().strip(), (d.dir / "key.pem").read_bytes()
                self.assertNotEqual(after, before)
                (d.dir / "key.pem").write_text("none\n")
                error = d.client.error("config.reload")
                self.assertEqual(error.kind, "bad_config")
                self.assertIn("tls.key", error.message)
                self.assertEqual([shown(u).strip() for u in urls], [before, before], "a bad one changes nothing")
                (d.dir / "key.pem").write_bytes(key)
                d.client.call("config.reload")
                for u in urls:
                    shown(u)  # was waited for before the reload
                self.assertEqual([shown(u).strip() for u in urls], [after, after])
                kept.sendall(HANDSHAKE_REQ)
                self.assertEqual(len(kept.recv(8)), 8)

    def test_a_listener_that_could_not_open_is_refused_though_it_waits_for_a_restart(self):
        for bad, word in (("tcp://192.0.2.1:7701", "tcp://192.0.2.1:7701"), ("tls+tcp://127.0.0.1:0", "certificate")):
            self.file.write_text(f'listen: ["{self.d.url}", "{bad}"]\n' + self.yaml())
            error = self.c.error("config.reload")
            self.assertEqual(error.kind, "bad_config")
            self.assertIn(word, error.message)

    def test_a_bad_file_changes_nothing_and_says_why(self):
        self.configure("u")
        for bad, word in ((self.yaml(more="clals: {attempts: 2}\n"), "calls"), (self.yaml() + "  BAD: {provider: Nobody, model: x}\n", "Nobody"),
                          ("{", ":1"), (self.yaml().replace("plugin: openai", "plugin: missing"), "missing")):
            self.write(bad)
            before = len(self.d.text())
            error = self.c.error("config.reload")
            self.assertEqual(error.kind, "bad_config")
            self.assertIn(word, error.message)
            logged = [line for line in self.d.text()[before:].splitlines() if "request failed" not in line]
            self.assertEqual((len(logged), "is not taken" in logged[0]), (1, True), logged)
            self.ask("u")
            self.assertEqual(self.ask("u", profile="FAST")["meta"]["model"], "m1")
        self.write(self.yaml(model="m3"))
        self.c.call("config.reload")
        self.assertEqual(self.ask("u", profile="FAST")["meta"]["model"], "m3", "and a good one is taken afterwards")

    def test_a_plugin_that_the_next_start_would_refuse_is_warned_of(self):
        absent = self.d.dir / "absent.so"
        self.write(f"plugins: {{load: [openai, {absent}, nowhere]}}\n" + self.yaml())
        reply = self.c.call("config.reload")
        self.assertEqual(reply["restart"], ["plugins.load"])
        self.assertEqual(len(reply["warnings"]), 2, reply)
        for warning, words in zip(reply["warnings"], ((str(absent), "tda.yaml:2"), ("nowhere.so", "plugins.dir"))):
            for word in words + ("plugins.load", "No such file", "put the file there"):
                self.assertIn(word, warning)
            self.assertIn(warning, self.d.text().replace('\\"', '"'))
        self.assertIn("2 warnings", reply["note"])
        absent.write_bytes(b"no ELF")
        self.assertIn("ELF", self.c.call("config.reload")["warnings"][0])
        self.write(self.yaml())
        self.assertNotIn("warnings", self.c.call("config.reload"))

    def test_a_server_that_is_the_same_keeps_its_connection(self):
        server = f"mcp_servers:\n  it: {{command: [{sys.executable}, {SERVER}, normal], env: {{WHO: %s}}}}\n"
        self.write(self.yaml() + server % "one")
        self.c.call("config.reload")
        self.c.call("configure", user="u", provider="A", model="m1", mcp_server={"name": "it"})
        pid = self.whoami()["pid"]
        self.write(self.yaml(model="m2") + server % "one")
        self.c.call("config.reload")
        self.assertEqual(self.whoami()["pid"], pid)
        self.write(self.yaml(model="m2") + server % "two")
        self.assertEqual(self.c.call("config.reload")["changed"], ["mcp_servers.it.env.WHO"])
        now = self.whoami()
        self.assertNotEqual(now["pid"], pid)
        self.assertEqual(now["env"]["WHO"], "two")

    def test_bounds_on_servers_count_at_once(self):
        server = f"mcp_servers:\n  it: {{command: [{sys.executable}, {SERVER}, normal]}}\n"
        use = {"name": "big", "arguments": {"bytes": 100000}}
        for section, bound, value, words in (("limits", "children", 0, "child processes"), ("limits", "children_per_user", 0, "this user has"),
                                             ("mcp", "max_line", "64KiB", "mcp.max_line")):
            for user in ("before", "after"):
                self.configure(f"{user}-{bound}")
                self.c.call("context.set", user=f"{user}-{bound}", fields={"mcp_server_name": "it"})
            self.write(self.yaml() + server)
            self.c.call("config.reload")
            self.assertFalse(self.c.call("tools.call", user=f"before-{bound}", **use)["is_error"])
            self.write(self.yaml(more=f"{section}: {{{bound}: {value}}}\n") + server)
            self.assertEqual(self.c.call("config.reload")["changed"], [f"{section}.{bound}"])
            self.assertIn(words, self.c.error("tools.call", user=f"after-{bound}", **use).message, "of processes that start from now on")

    def test_what_the_store_began_with_waits_for_a_restart(self):
        self.write(self.yaml(more="sessions: {per_user: 1, turns: 1}\n"))
        reply = self.c.call("config.reload")
        self.assertEqual((reply["changed"], reply["restart"]), ([], ["sessions.per_user", "sessions.turns"]))

    def test_whose_sessions_may_be_read_follows_at_once(self):
        listed = lambda: len(self.c.call("session.list", user="v")["sessions"])  # noqa: E731
        self.c.call("session.create", user="u")
        for setting, seen in (("true", 0), ("false", 1), ("true", 0)):
            self.write(self.yaml(more=f"sessions: {{filter_by_user: {setting}}}\n"))
            self.assertEqual(self.c.call("config.reload")["restart"], [])
            self.assertEqual(listed(), seen, setting)

    def whoami(self):
        return json.loads(self.c.call("tools.call", user="u", name="whoami")["content"][0]["text"])

    def test_sighup_does_the_same(self):
        self.configure("u")
        self.write(self.yaml(model="m4"))
        self.d.process.send_signal(signal.SIGHUP)
        until(lambda: self.ask("u", profile="FAST")["meta"]["model"] == "m4", what="the reload")

    def test_what_runs_ends_with_what_it_began_with(self):
        self.configure("u")
        self.one.delay = 2
        results = []
        asking = threading.Thread(target=lambda: results.append(self.d.connect().call(
            "chat.complete", user="u", messages=[{"role": "user", "content": "slow"}])))
        seen = len(self.one.chats())
        asking.start()
        until(lambda: len(self.one.chats()) > seen, what="the request upstream")
        self.write(self.yaml(self.two))
        self.c.call("config.reload")
        self.ask("u")
        self.assertTrue(self.two.chats())
        asking.join(20)
        self.assertEqual(len(results), 1)

    def test_reloads_amid_traffic(self):
        self.configure("u")
        stop = threading.Event()
        wrong = []

        def traffic():
            client = self.d.connect()
            while not stop.is_set():
                try:
                    model = client.call("chat.complete", user="u", profile="FAST", messages=[{"role": "user", "content": "x"}])["meta"]["model"]
                    if model not in ("m1", "m2"):
                        wrong.append(model)
                except Exception as e:  # noqa: BLE001
                    wrong.append(e)

        threads = [threading.Thread(target=traffic) for _ in range(4)]
        for t in threads:
            t.start()
        for i in range(40):
            self.write(self.yaml(self.two if i % 2 else self.one, model="m2" if i % 2 else "m1"))
            self.c.call("config.reload")
        stop.set()
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
