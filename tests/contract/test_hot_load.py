"""plugin.load: a provider is replaced while hundreds of calls run. Nothing is lost, each call is answered by one generation, and what begins after the
load's reply is answered by the new one."""
import re
import subprocess
import threading
import time
import unittest

from sdk import Folder
from harness.client import RpcError
from harness.daemon import BIN, Daemon, until

USERS = [f"u{i}" for i in range(20)]


class HotLoad(Folder):
    def version(self, n, *options):
        return self.compile("versions/versions.c", "versions", f'-DVERSION="{n}"', *options)

    def daemon(self, more="", where=None):
        self.version(1)
        return Daemon(f"contexts: {{persistence: false}}\nloops: 2\nplugins: {{load: [offline, {where or self.folder / 'versions.so'}], strict_modes: false{more}}}\n")

    def configure(self, d):
        for user in USERS:
            d.client.call("configure", user=user, provider="versions", model="m")

    def listed(self, d):
        return [(p["generation"], p["version"], p["state"], p["in_flight"]) for p in d.client.call("plugin.list")["plugins"] if p["id"] == "versions"]

    def ask(self, d, user="u0", text="x"):
        return d.client.call("chat.complete", user=user, messages=[{"role": "user", "content": text}])["text"]

    def test_upgraded_under_load(self):
        with self.daemon() as d:
            self.configure(d)
            answers, loaded_at, stop = [], [], threading.Event()
            lock = threading.Lock()

            def keep_asking(user):
                c = d.connect()
                while not stop.is_set():
                    batch = [(time.monotonic(), c.begin("chat.complete", user=user, messages=[{"role": "user", "content": "x"}])) for _ in range(20)]
                    for began, slot in batch:
                        text = c.end(slot)["text"]
                        with lock:
                            answers.append((began, text))
                c.close()

            threads = [threading.Thread(target=keep_asking, args=(u,)) for u in USERS]
            for t in threads:
                t.start()
            until(lambda: sum(p[3] for p in self.listed(d)) >= 200, what="hundreds of calls in flight")
            self.version(2)
            seen = self.listed(d)
            reply = d.client.call("plugin.load", name="versions")
            loaded_at.append(time.monotonic())
            after = self.listed(d)
            self.assertEqual((reply["generation"], reply["version"]), (2, "2"))
            self.assertEqual([p[:3] for p in after], [(1, "1", "replaced"), (2, "2", "loaded")], seen)
            time.sleep(0.8)
            stop.set()
            for t in threads:
                t.join()
            self.assertEqual({t for _, t in answers}, {"version 1", "version 2"}, "each by exactly one, none by an error")
            late = [t for began, t in answers if began > loaded_at[0]]
            self.assertGreater(len(late), 100)
            self.assertEqual(set(late), {"version 2"}, "what began after the reply")
            self.assertGreater(sum(t == "version 1" for _, t in answers), 200)
            until(lambda: [p[3] for p in self.listed(d)] == [0, 0], what="the old one drained")
            stats = d.stats()["calls"]
            self.assertEqual((stats["started"], stats["plugin_bugs"]), (stats["dropped"], 0))
            asked = len(answers) + len(USERS)
            calls = {p["generation"]: p["calls"] for p in d.client.call("plugin.list")["plugins"] if p["id"] == "versions"}
            self.assertEqual(sum(calls.values()), asked, "none lost, none done twice")
            self.assertEqual(self.ask(d, text="how many"), f"version 2: {calls[2] + 1} starts, {calls[2]} drops")

    def test_what_runs_ends_on_the_old_one(self):
        with self.daemon() as d:
            self.version(1, "-DSLOW=1500")
            d.client.call("plugin.load", name="versions")
            self.configure(d)
            slots = [d.client.begin("chat.complete", user=u, messages=[{"role": "user", "content": "x"}]) for u in USERS]
            until(lambda: self.listed(d)[1][3] == len(USERS))
            self.version(3)
            d.client.call("plugin.load", name="versions")
            self.assertEqual([p[2:] for p in self.listed(d)], [("replaced", 0), ("replaced", len(USERS)), ("loaded", 0)])
            self.assertEqual({self.ask(d, u) for u in USERS}, {"version 3"})
            self.assertEqual({d.client.end(s)["text"] for s in slots}, {"version 1"})

    def test_a_new_one_that_fails_leaves_the_old_serving(self):
        with self.daemon(", sha256: {}") as d:
            self.configure(d)
            e = d.client.error("plugin.load", name="versions")
            self.assertEqual(e.kind, "same_file")
            self.assertIn("renaming", e.data["hint"])
            self.version(2, "-DREFUSES")
            e = d.client.error("plugin.load", name="versions")
            self.assertEqual(e.kind, "open_failed")
            self.assertEqual(self.listed(d), [(1, "1", "loaded", 0)])
            broken = self.folder / "versions.so"
            broken.unlink()
            broken.write_bytes(b"no ELF")
            self.assertEqual(d.client.error("plugin.load", name="versions").kind, "bad_elf")
            broken.unlink()
            self.assertEqual(d.client.error("plugin.load", name="versions").kind, "unreadable")
            self.assertEqual(self.ask(d), "version 1")
            self.assertEqual(d.text().count("plugin not loaded"), 4)
            self.version(5)
            self.assertEqual(d.client.call("plugin.load", file=str(broken))["generation"], 2)
            self.assertEqual(self.ask(d), "version 5")

    def test_only_what_the_operator_allows(self):
        with self.daemon() as d:
            other = self.compile("versions/versions.c", "other", '-DVERSION="9"')
            for params in ({"file": str(other)}, {"file": "other.so"}, {"name": "../other"}, {"name": str(other)}, {"name": "a/b"}, {"name": ""}):
                self.assertEqual(d.client.error("plugin.load", **params).kind, "path_not_allowed", params)
            self.assertEqual(d.client.error("plugin.load").kind, "missing_param")
            self.assertEqual(d.client.error("plugin.load", name="a", file="b").kind, "missing_param")
            self.assertEqual(d.client.error("plugin.load", name="nosuch").kind, "unreadable")

    def test_a_plugin_that_was_not_there_comes_from_the_plugin_folder(self):
        with Daemon(f"contexts: {{persistence: false}}\nplugins: {{load: [offline], dir: {self.folder}, strict_modes: false}}\n",
                    env={"TDA_PLUGIN_DIR": str(self.folder)}, wait=False) as d:
            d.ready()
            self.version(1)
            self.assertEqual(d.client.error("configure", user="u", provider="versions", model="m").kind, "unknown_provider")
            out = subprocess.run([BIN / "tda", "--socket", d.url, "plugins", "load", "versions"], capture_output=True, text=True)
            self.assertEqual(out.returncode, 0, out.stderr)
            self.assertTrue(re.search(r"generation\s+1", out.stdout), out.stdout)
            d.client.call("configure", user="u0", provider="versions", model="m")
            self.assertEqual(self.ask(d), "version 1")
            self.version(2)
            self.assertEqual(d.client.call("plugin.load", file=str(self.folder / "versions.so"))["generation"], 2)
            self.assertEqual(self.ask(d), "version 2")
            out = subprocess.run([BIN / "tda", "--socket", d.url, "plugins"], capture_output=True, text=True).stdout
            self.assertTrue(re.search(r"versions +2 +2 +loaded", out), out)

    def test_loads_at_once_are_one_after_the_other(self):
        with self.daemon() as d:
            self.configure(d)
            self.version(2)
            slots = [d.client.begin("plugin.load", name="versions") for _ in range(8)]
            kinds = []
            for s in slots:
                try:
                    kinds.append(d.client.end(s)["generation"])
                except RpcError as e:
                    kinds.append(e.kind)
            self.assertEqual(kinds.count(2), 1, kinds)
            self.assertLessEqual(set(kinds), {2, "busy", "same_file"})
            self.assertEqual(self.ask(d), "version 2")


if __name__ == "__main__":
    unittest.main()
