"""What goes over the wire: acceptance lines 10, 11, 12 and 48, asserted on what upstreams and children received."""
import json
import os
import pathlib
import random
import sys
import threading
import unittest

from harness.daemon import Daemon
from harness.upstream import Upstream

SERVER = pathlib.Path(__file__).parent / "harness" / "mcp_server.py"


def providers(**bases):
    return "providers:\n" + "".join(f"  {name}: {{plugin: openai, base_url: \"{up.base}\"}}\n" for name, up in bases.items())


class Wire(unittest.TestCase):
    def ask_many(self, d, who, n, workers=8):
        """n questions by each of `who`, interleaved over several connections; returns [(user, question, reply)]."""
        work = [(user, f"{user} asks {i}") for i in range(n) for user in who]
        random.Random(7).shuffle(work)
        done, lock = [], threading.Lock()

        def worker():
            c = d.connect()
            while True:
                with lock:
                    if not work:
                        break
                    user, question = work.pop()
                reply = c.call("chat.complete", user=user, messages=[{"role": "user", "content": question}])
                with lock:
                    done.append((user, question, reply))
            c.close()

        threads = [threading.Thread(target=worker) for _ in range(workers)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        return done

    def test_10_two_users_two_providers_1000_questions(self):
        with Upstream(keys={"key-one-111"}) as a, Upstream(keys={"key-two-222"}) as b:
            with Daemon("contexts: {persistence: false}\n" + providers(FakeA=a, FakeB=b)) as d:
                d.client.call("configure", user="u1", provider="FakeA", model="model1", credentials={"api_key": "key-one-111"})
                d.client.call("configure", user="u2", provider="FakeB", model="model2", credentials={"api_key": "key-two-222"})
                done = self.ask_many(d, ("u1", "u2"), 500)
            self.assertEqual(len(done), 1000)
            for user, question, reply in done:
                self.assertEqual(reply["text"], f"echo: {question}", "each reply belongs to its question")
                want = ("FakeA", "model1") if user == "u1" else ("FakeB", "model2")
                self.assertEqual((reply["meta"]["provider"], reply["meta"]["model"]), want)
            for up, key, model, user in ((a, "key-one-111", "model1", "u1"), (b, "key-two-222", "model2", "u2")):
                self.assertEqual({s.key for s in up.seen}, {key})
                chats = [s.json for s in up.chats()]
                self.assertEqual({x["model"] for x in chats}, {model})
                asked = sorted(x["messages"][-1]["content"] for x in chats if "asks" in x["messages"][-1]["content"])
                self.assertEqual(asked, sorted(f"{user} asks {i}" for i in range(500)), "each question once, and nobody else's")

    def test_11_one_provider_two_keys(self):
        with Upstream(keys={"key-one-111", "key-two-222"}) as up:
            with Daemon("contexts: {persistence: false}\nloops: 1\n" + providers(Fake=up)) as d:
                for user, key in (("u1", "key-one-111"), ("u2", "key-two-222")):
                    d.client.call("configure", user=user, provider="Fake", model="model1", credentials={"api_key": key})
                done = self.ask_many(d, ("u1", "u2"), 200)
            self.assertEqual(len(done), 400)
            asked = [s for s in up.chats() if "asks" in s.body.decode()]
            self.assertEqual(len(asked), 400)
            for s in asked:
                self.assertEqual(s.key, "key-one-111" if s.json["messages"][-1]["content"].startswith("u1 ") else "key-two-222")
            keys = {}
            for s in asked:
                keys.setdefault(s.peer, set()).add(s.key)
            self.assertLess(len(keys), 40, "connections are pooled")
            self.assertTrue([k for k in keys.values() if len(k) == 2], "by origin, so that both keys went over one of them")
            for user, question, reply in done:
                self.assertEqual(reply["text"], f"echo: {question}")

    def test_12_each_user_his_own_mcp_server(self):
        record = {}
        yaml = "contexts: {persistence: false}\nmcp_servers:\n"
        for name in ("one", "two"):
            record[name] = pathlib.Path("/tmp") / f"tda-record-{os.getpid()}-{name}"
            mode = "normal" if name == "one" else "pages"
            yaml += (f"  {name}: {{command: [{sys.executable}, {SERVER}, {mode}], "
                     f"env: {{MCP_RECORD: {record[name]}, MCP_NAME: {name}}}}}\n")
        try:
            with Daemon(yaml) as d:
                c = d.client
                c.call("configure", user="u1", provider="offline", model="offline-1", mcp_server={"name": "one"})
                before = c.call("tools.list", user="u1")["tools"]
                c.call("configure", user="u2", provider="offline", model="offline-1", mcp_server={"name": "two"})
                self.assertEqual(c.call("tools.list", user="u1")["tools"], before, "the other's configure changes nothing here")
                self.assertEqual([t["name"] for t in c.call("tools.list", user="u2")["tools"]], [f"tool{i}" for i in range(5)], "all pages")
                for i in range(50):
                    c.call("tools.call", user="u1", name="echo", arguments={"text": f"from-u1-{i}"})
                    c.error("tools.call", user="u2", name="tool0", arguments={"text": f"from-u2-{i}"})  # its server knows no such tool after all
                    c.error("tools.call", user="u2", name="echo", arguments={"text": f"never-u2-{i}"})
                c.call("agent.run", user="u1", input='use one__echo {"text": "by-model-u1"}')
            one, two = record["one"].read_text(), record["two"].read_text()
            self.assertEqual(one.count("from-u1"), 50)
            self.assertIn("by-model-u1", one)
            self.assertNotIn("u2", one)
            self.assertEqual(two.count("from-u2"), 50)
            self.assertNotIn("never-u2", two, "a tool of the other's server is refused by the core")
            self.assertNotIn("u1", two)
        finally:
            for path in record.values():
                path.unlink(missing_ok=True)


class Canaries(unittest.TestCase):
    def test_48_keys_stay_where_they_belong(self):
        user_key, host_key, server_secret = "canary-user-key-4711", "canary-host-key-4712", "canary-server-4713"
        with Upstream(keys={user_key}) as up:
            yaml = ("contexts: {persistence: false}\nlog: {level: debug}\negress: {allow_private: true}\ncalls: {retry_base: 5ms}\n" + providers(Fake=up) +
                    f"mcp_servers:\n  one: {{command: [{sys.executable}, {SERVER}], env: {{SECRET: \"${{env:SERVER_SECRET}}\"}}}}\n")
            env = {"OPENAI_API_KEY": host_key, "SERVER_SECRET": server_secret}
            with Daemon(yaml, env=env) as d:
                c, heard = d.client, []
                heard.append(c.call("configure", user="u", provider="Fake", model="model1", credentials={"api_key": user_key}, mcp_server={"name": "one"}))
                child = json.loads(c.call("tools.call", user="u", name="whoami")["content"][0]["text"])
                self.assertEqual(child["env"]["SECRET"], server_secret, "what the operator gives a server, it gets")
                for fault in ("401", "500", "html", "reset", "malformed"):
                    up.faults = [fault] * 6
                    heard.append(str(c.error("chat.complete", user="u", messages=[{"role": "user", "content": "x"}]).__dict__))
                    up.faults = []
                heard.append(c.error("configure", user="u", provider="Fake", model="model1", credentials={"api_key": user_key + "x"}).__dict__)
                heard.append(c.error("configure", user="u", provider="Fake", model="model1", credentials={"nope": user_key}).__dict__)
                for method in ("context.get", "status", "tools.list"):
                    heard.append(c.call(method, user="u"))
                for method in ("host.stats", "host.info", "plugin.list", "config.explain", "context.list", "job.list"):
                    heard.append(c.call(method))
                said = json.dumps(heard, default=str)
                for secret in (user_key, host_key, server_secret):
                    self.assertNotIn(secret, said)
                    self.assertNotIn(secret, d.text())
                for secret in (user_key, host_key):
                    self.assertNotIn(secret, json.dumps(child), "a child sees neither users' nor the host's keys")
                self.assertEqual(child["fds"][:3], [0, 1, 2])
                self.assertLessEqual(len(child["fds"]), 4, "0 to 2, and the one that lists them")
                for pid in d.descendants():
                    self.assertNotIn(b"canary", pathlib.Path(f"/proc/{pid}/cmdline").read_bytes())
                self.assertNotIn(b"canary", pathlib.Path(f"/proc/{d.process.pid}/cmdline").read_bytes())
                self.assertIn("\nMax core file size        0                    0", pathlib.Path(f"/proc/{d.process.pid}/limits").read_text())
            self.assertEqual({s.key for s in up.seen} - {user_key + "x"}, {user_key}, "the host's own key is not lent to users")

    def test_a_users_address_never_gets_the_hosts_key(self):
        with Upstream() as home, Upstream() as elsewhere:
            yaml = ("contexts: {persistence: false, users_may_use_host_keys: true}\negress: {allow_private: true}\nproviders:\n"
                    f"  Fake: {{plugin: openai, base_url: \"{home.base}\", api_key: canary-host-key}}\n")
            with Daemon(yaml) as d:
                d.client.call("configure", user="u", provider="Fake", model="model1")
                d.client.call("chat.complete", user="u", messages=[{"role": "user", "content": "x"}])
                self.assertEqual({s.key for s in home.seen}, {"canary-host-key"})
                d.client.call("configure", user="u", provider="Fake", model="model1", base_url=elsewhere.base)
                d.client.call("chat.complete", user="u", messages=[{"role": "user", "content": "x"}])
                self.assertEqual({s.key for s in elsewhere.seen}, {""})

    def test_a_users_key_does_not_follow_a_change_of_address(self):
        with Upstream() as one, Upstream() as two:
            with Daemon("contexts: {persistence: false}\negress: {allow_private: true}\n") as d:
                d.client.call("configure", user="u", provider="openai", model="model1", base_url=one.base, credentials={"api_key": "canary-key-1"})
                d.client.call("configure", user="u", provider="openai", model="model1", base_url=two.base)
                d.client.call("chat.complete", user="u", messages=[{"role": "user", "content": "x"}])
                self.assertEqual({s.key for s in one.seen}, {"canary-key-1"})
                self.assertEqual({s.key for s in two.seen}, {""})

    def test_private_addresses_of_users_are_refused(self):
        with Upstream() as up, Daemon("contexts: {persistence: false}\n") as d:
            for base in (up.base, up.base.replace("127.0.0.1", "localhost"), up.base.replace("127.0.0.1", "[::ffff:127.0.0.1]"),
                         up.base.replace("127.0.0.1", "2130706433"), "http://169.254.169.254/v1", "http://0.0.0.0:1/v1"):
                e = d.client.error("configure", user="u", provider="openai", model="model1", base_url=base, credentials={"api_key": "k" * 10})
                self.assertIn("not allowed", e.message, base)
            self.assertEqual(up.seen, [])


if __name__ == "__main__":
    unittest.main()
