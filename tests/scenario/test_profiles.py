"""Profiles and @TAG: acceptance lines 24-30, asserted on what upstreams and MCP servers received; and the operator's profiles."""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from harness.daemon import BIN, SLOW, Daemon, run_tdad, until
from harness.upstream import Upstream

SERVER = pathlib.Path(__file__).parent / "harness" / "mcp_server.py"
ROUNDS = int(os.environ.get("TDA_PROFILE_ROUNDS", 1000 if SLOW == 1 else 200))


def providers(**ups):
    return "providers:\n" + "".join(f"  {name}: {{plugin: openai, base_url: \"{up.base}\"}}\n" for name, up in ups.items())


def servers(folder, **modes):
    """mcp_servers that write what they receive to folder/NAME."""
    return "mcp_servers:\n" + "".join(
        f"  {name}: {{command: [{sys.executable}, {SERVER}, {mode}], env: {{MCP_RECORD: {folder}/{name}, MCP_NAME: {name}}}}}\n"
        for name, mode in modes.items())


class Host(Daemon):
    """A daemon in per-user mode, and what its clients ask again and again."""

    def __init__(self, yaml="", **more):
        super().__init__("contexts: {persistence: false}\n" + yaml, **more)

    def ask(self, user, text, method="agent.run", **more):
        return self.client.call(method, user=user, input=text, **more)

    def dump(self, *users):
        """All that can be seen of their state."""
        c = self.client
        contexts = [{k: v for k, v in row.items() if k != "idle_s"} for row in c.call("context.list")["contexts"]]
        return json.dumps([sorted(contexts, key=lambda r: r["user"])] +
                          [[c.call("context.get", user=u), c.call("profile.list", user=u), c.call("status", user=u)] for u in users])

    def counts(self):
        return self.stats()["calls"]

    def settle(self, users):
        """Every call and every connection was dropped as often as it was made, once the contexts are gone."""
        for u in users:
            self.client.call("context.delete", user=u)
        until(lambda: self.counts()["connections_open"] == 0 and self.counts()["started"] == self.counts()["dropped"], what=f"drops: {self.counts()}")
        until(lambda: self.stats()["children"] == 0, what="children gone")


def text_of(seen):
    return seen.json["messages"][-1]["content"]


class Tags(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.own, cls.fast = Upstream(keys={"key-own-1"}), Upstream(keys={"key-fast-1"})
        cls.d = Host(providers(Own=cls.own, Fast=cls.fast))
        c = cls.d.client
        c.call("configure", user="u", provider="Own", model="model1", credentials={"api_key": "key-own-1"})
        c.call("profile.put", user="u", tag="Fast", provider="Fast", model="model2", credentials={"api_key": "key-fast-1"})

    @classmethod
    def tearDownClass(cls):
        cls.own.close()
        cls.fast.close()
        cls.d.stop()

    def test_24_one_request_only_and_nothing_changes(self):
        before = self.d.dump("u")
        r = self.d.ask("u", "@Fast which one?")
        self.assertEqual(r["text"], "echo: which one?")
        self.assertEqual([r["meta"][k] for k in ("provider", "model", "profile")], ["Fast", "model2", "Fast"])
        seen = self.fast.chats()[-1]
        self.assertEqual((seen.key, seen.json["model"], text_of(seen)), ("key-fast-1", "model2", "which one?"))
        self.assertEqual(self.d.dump("u"), before)
        r = self.d.ask("u", "and now?")
        self.assertEqual((r["meta"]["provider"], "profile" in r["meta"]), ("Own", False))
        seen = self.own.chats()[-1]
        self.assertEqual((seen.key, seen.json["model"], text_of(seen)), ("key-own-1", "model1", "and now?"))
        self.assertEqual({s.key for s in self.own.seen}, {"key-own-1"})
        self.assertEqual({s.key for s in self.fast.seen}, {"key-fast-1"})

    def test_24_a_task_too(self):
        before = self.d.dump("u")
        task = self.d.client.call("task.submit", user="u", method="agent.run", params={"input": "@fast in a task\nof two lines"})["task"]
        seen, after = [], 0
        while True:
            r = self.d.client.call("task.poll", user="u", task=task, after=after, wait_ms=5000)
            seen += r["events"]
            after = r["next"]
            if r["state"] not in ("pending", "running"):
                break
        self.assertEqual((r["state"], r["result"]["text"], r["result"]["meta"]["profile"]), ("complete", "echo: in a task\nof two lines", "Fast"))
        start = next(e for e in seen if e["type"] == "start")
        self.assertEqual((start["provider"], start["profile"]), ("Fast", "Fast"))
        self.assertEqual(self.d.client.error("task.submit", user="u", method="agent.run", params={"input": "@nope x"}).kind, "unknown_profile")
        self.assertEqual(self.d.dump("u"), before)

    def test_25_case_lines_and_places(self):
        for text, want in (("@FAST one", "one"), ("@fast\tone", "one"), ("@fAsT a\nb\n\n  c\n", "a\nb\n\n  c\n"), ("@fast\n    code\nmore", "    code\nmore"),
                           ("@fast   \r\nx", "x"), ("@fast \"quoted\" \\ é \u0001", None)):
            self.d.ask("u", text)
            if want is not None:
                self.assertEqual(text_of(self.fast.chats()[-1]), want)
            self.assertTrue(text_of(self.fast.chats()[-1]))
        for text in (" @fast one", "one @fast two", "\n@fast x", "@ fast", "a@fast b"):
            self.assertEqual(self.d.ask("u", text)["meta"]["provider"], "Own", text)
            self.assertEqual(text_of(self.own.chats()[-1]), text)

    def test_25_the_last_user_message_counts(self):
        history = [{"role": "user", "content": "@fast before"}, {"role": "assistant", "content": "@fast said"}]
        say = lambda *m: self.d.client.call("chat.complete", user="u", messages=history + list(m))  # noqa: E731
        self.assertEqual(say({"role": "user", "content": "now"})["meta"]["provider"], "Own")
        self.assertEqual(say({"role": "user", "content": "@FAST now\nand then"})["meta"]["provider"], "Fast")
        sent = self.fast.chats()[-1].json["messages"]
        self.assertEqual([m["content"] for m in sent], ["@fast before", "@fast said", "now\nand then"])
        parts = [{"type": "text", "text": "@fast look"}, {"type": "text", "text": "@fast stays"}]
        self.assertEqual(say({"role": "user", "content": parts})["meta"]["profile"], "Fast")
        content = self.fast.chats()[-1].json["messages"][-1]["content"]
        self.assertEqual("".join(p["text"] for p in content) if isinstance(content, list) else content, "look@fast stays")

    def test_25_errors_list_the_tags(self):
        n = len(self.own.seen) + len(self.fast.seen)
        for text, kind in (("@nope x", "unknown_profile"), ("@Fast: x", "unknown_profile"), ("@fastx y", "unknown_profile"), ("@fast", "missing_input"),
                           ("@FAST   ", "missing_input"), ("@fast\n\n \t", "missing_input"), ("@" + "x" * 5000 + " y", "unknown_profile")):
            for e in (self.d.client.error("agent.run", user="u", input=text),
                      self.d.client.error("chat.complete", user="u", messages=[{"role": "user", "content": text}])):
                self.assertEqual(e.kind, kind, text[:40])
                self.assertIn("Fast", e.data["hint"])
        self.assertEqual(len(self.own.seen) + len(self.fast.seen), n, "nothing was asked")

    def test_the_parameter(self):
        self.assertEqual(self.d.ask("u", "x", profile="FAST")["meta"]["profile"], "Fast")
        self.assertEqual(self.d.ask("u", "@fast x", profile="FAST")["meta"]["profile"], "Fast")
        self.assertEqual(self.d.client.error("agent.run", user="u", input="@fast x", profile="other").kind, "two_profiles")
        self.assertEqual(self.d.client.error("agent.run", user="u", input="x", profile="other").kind, "unknown_profile")
        self.assertEqual(self.d.client.error("agent.run", user="u", input="x", profile=7).kind, "wrong_type")
        self.assertEqual(self.d.client.error("context.get", user="u", profile="fast").kind, "unknown_param")

    def test_30_a_private_profile_is_its_users(self):
        c = self.d.client
        c.call("configure", user="v", provider="Own", model="model1", credentials={"api_key": "key-own-1"})
        n = len(self.fast.seen)
        for e in (c.error("agent.run", user="v", input="@Fast x"), c.error("agent.run", user="v", input="x", profile="Fast"),
                  c.error("profile.default", user="v", tag="Fast"), c.error("profile.delete", user="v", tag="Fast")):
            self.assertEqual(e.kind, "unknown_profile")
            self.assertNotIn("Fast", e.data["hint"])
        self.assertEqual(c.call("profile.list", user="v")["profiles"], [])
        self.assertEqual(len(self.fast.seen), n)

    def test_a_default(self):
        c = self.d.client
        c.call("configure", user="w", provider="Own", model="model1", credentials={"api_key": "key-own-1"})
        c.call("profile.put", user="w", tag="A", provider="Fast", model="model2", credentials={"api_key": "key-fast-1"})
        c.call("profile.put", user="w", tag="B", model="other")
        c.call("profile.default", user="w", tag="a")
        self.assertEqual([(p["tag"], p["default"]) for p in c.call("profile.list", user="w")["profiles"]], [("A", True), ("B", False)])
        self.assertEqual(self.d.ask("w", "x")["meta"]["profile"], "A")
        status = c.call("status", user="w")
        self.assertEqual((status["provider"], status["profile"]), ("Fast", "A"))
        r = self.d.ask("w", "@b x")
        self.assertEqual((r["meta"]["provider"], r["meta"]["model"]), ("Own", "other"), "a profile says what it changes; the rest is the context's")
        self.assertEqual(self.own.chats()[-1].key, "key-own-1")
        self.assertNotIn("profile", self.d.ask("w", "x", profile=None)["meta"])
        c.call("profile.delete", user="w", tag="A")
        self.assertEqual(c.call("profile.list", user="w")["default"], None)
        self.assertEqual(self.d.ask("w", "x")["meta"]["provider"], "Own")

    def test_a_user_with_profiles_alone(self):
        c = self.d.client
        c.call("profile.put", user="n", tag="F", provider="Fast", model="model2", credentials={"api_key": "key-fast-1"})
        self.assertEqual(c.error("agent.run", user="n", input="x").kind, "not_configured")
        self.assertEqual(self.d.ask("n", "@f x")["meta"]["provider"], "Fast")
        c.call("context.delete", user="n")
        self.assertEqual(c.error("agent.run", user="n", input="@f x").kind, "not_configured")
        self.assertEqual(c.call("profile.list", user="n")["profiles"], [])

    def test_what_is_refused(self):
        c = self.d.client
        for params, kind in (({"tag": "a b"}, "invalid_tag"), ({"tag": ""}, "invalid_tag"), ({"tag": "x" * 33}, "invalid_tag"), ({}, "missing_param"),
                             ({"tag": "A", "provider": "Own"}, "missing_model"), ({"tag": "A", "provider": "Nope", "model": "m"}, "unknown_provider"),
                             ({"tag": "A", "credentials": {"api_key": "k"}}, "missing_provider"), ({"tag": "A", "base_url": "http://x"}, "missing_provider"),
                             ({"tag": "A", "provider": "Own", "model": "m", "credentials": {"nope": "k"}}, "unknown_credential"),
                             ({"tag": "A", "mcp_server": {"name": "s", "command": ["sh"]}}, "command_refused"),
                             ({"tag": "A", "tools": "x"}, "wrong_type"), ({"tag": "A", "tools": [1]}, "invalid_param"), ({"tag": "A", "tools": ["a\0b"]}, "invalid_param"), ({"tag": "A", "tools": ["x" * 300]}, "invalid_param"),
                             ({"tag": "A", "tools": ["t%d" % i for i in range(2000)]}, "invalid_param")):
            self.assertEqual(c.error("profile.put", user="r", **params).kind, kind, params)
        self.assertNotIn('"r"', json.dumps(c.call("context.list")), "nothing was made")
        for i in range(16):
            c.call("profile.put", user="r", tag=f"T{i}", model="m")
        self.assertEqual(c.error("profile.put", user="r", tag="T16", model="m").kind, "too_many_profiles")
        c.call("profile.put", user="r", tag="t3", model="other")
        tags = [p["tag"] for p in c.call("profile.list", user="r")["profiles"]]
        self.assertEqual((len(tags), "t3" in tags, "T3" in tags), (16, True, False))


class Credentials(unittest.TestCase):
    def test_write_only_and_bound_to_provider_and_address(self):
        with Upstream() as a, Upstream() as b, Host("egress: {allow_private: true}\n" + providers(A=a, B=b)) as d:
            c = d.client
            put = lambda **p: c.call("profile.put", user="u", tag="P", model="model1", **p)  # noqa: E731
            put(provider="A", credentials={"api_key": "canary-profile-key"})
            shown = json.dumps([c.call("profile.list", user="u"), c.call("context.get", user="u"), c.call("config.explain")])
            self.assertNotIn("canary", shown)
            self.assertIn("api_key", shown)
            put(provider="A")
            d.ask("u", "@p still there")
            self.assertEqual(a.seen[-1].key, "canary-profile-key")
            put(provider="A", base_url=b.base)
            d.ask("u", "@p moved")
            self.assertEqual(b.seen[-1].key, "", "another address")
            put(provider="A", credentials={"api_key": "canary-profile-key"})
            put(provider="B")
            d.ask("u", "@p other")
            self.assertEqual(b.seen[-1].key, "", "another provider")
            put(provider="A")
            d.ask("u", "@p back")
            self.assertEqual(a.seen[-1].key, "", "gone is gone")
            self.assertNotIn("canary", d.text())

    def test_the_contexts_own_where_provider_and_address_are_the_same(self):
        with Upstream() as a, Upstream() as b, Host("egress: {allow_private: true}\n" + providers(A=a, B=b)) as d:
            c = d.client
            c.call("configure", user="u", provider="A", model="model1", credentials={"api_key": "canary-own"})
            c.call("profile.put", user="u", tag="SAME", provider="A", model="model2")
            c.call("profile.put", user="u", tag="MOVED", provider="A", model="model2", base_url=b.base)
            c.call("profile.put", user="u", tag="OTHER", provider="B", model="model2")
            d.ask("u", "@same x")
            self.assertEqual((a.seen[-1].key, a.seen[-1].json["model"]), ("canary-own", "model2"))
            d.ask("u", "@moved x")
            d.ask("u", "@other x")
            self.assertEqual([s.key for s in b.seen], ["", ""])
            c.call("configure", user="u", provider="A", model="model1", credentials={"api_key": "canary-new"})
            d.ask("u", "@same x")
            self.assertEqual(a.seen[-1].key, "canary-new", "derived anew after a configure")


class Overlap(unittest.TestCase):
    def test_26_all_at_once(self):
        """u1 and u2 have profiles of the same tags at different upstreams; all are used at once, with the defaults in between."""
        ways = [("u1", ""), ("u1", "PA"), ("u1", "PB"), ("u2", ""), ("u2", "PA"), ("u2", "PB")]
        name = lambda user, tag: f"{user}{tag or 'own'}"  # noqa: E731
        ups = {name(*w): Upstream(keys={f"key-{name(*w)}"}) for w in ways}
        try:
            with Host("loops: 2\nlimits: {requests_per_user: 5000}\n" + providers(**ups)) as d:
                c = d.client
                for user, tag in ways:
                    given = dict(user=user, provider=name(user, tag), model="model1" if not tag else "model2", credentials={"api_key": f"key-{name(user, tag)}"})
                    c.call("profile.put", tag=tag, **given) if tag else c.call("configure", **given)
                before = d.dump("u1", "u2")
                work = [(w, i) for i in range(ROUNDS) for w in ways]
                random.Random(26).shuffle(work)
                lock, failed = threading.Lock(), []

                def worker():
                    k = d.connect()
                    while True:
                        with lock:
                            if not work or failed:
                                break
                            batch = [work.pop() for _ in range(min(8, len(work)))]
                        slots = [((user, tag), i, k.begin("chat.complete", user=user, messages=[
                            {"role": "user", "content": (f"@{tag} " if tag else "") + f"{user} {tag} {i}"}])) for (user, tag), i in batch]
                        for (user, tag), i, slot in slots:
                            r = k.end(slot)
                            if (r["text"], r["meta"]["provider"], r["meta"].get("profile", "")) != (f"echo: {user} {tag} {i}", name(user, tag), tag):
                                failed.append(r)
                    k.close()

                threads = [threading.Thread(target=worker) for _ in range(4)]
                [t.start() for t in threads]
                [t.join() for t in threads]
                self.assertEqual(failed, [])
                self.assertEqual(d.dump("u1", "u2"), before)
            for user, tag in ways:
                up = ups[name(user, tag)]
                self.assertEqual({s.key for s in up.seen}, {f"key-{name(user, tag)}"})
                asked = sorted(text_of(s) for s in up.chats() if text_of(s).startswith("u"))
                self.assertEqual(asked, sorted(f"{user} {tag} {i}" for i in range(ROUNDS)), "each once, and nobody else's")
        finally:
            [up.close() for up in ups.values()]

    def test_26_each_profile_its_own_connection(self):
        with tempfile.TemporaryDirectory() as folder, Host(servers(folder, one="normal", two="normal")) as d:
            c = d.client
            c.call("configure", user="u", provider="offline", model="offline-1", mcp_server={"name": "one"})
            c.call("profile.put", user="u", tag="PA", mcp_server={"name": "one"})
            c.call("profile.put", user="u", tag="PB", mcp_server={"name": "two"})
            c.call("profile.put", user="u", tag="PC")
            pids = {}
            for i in range(20):
                for tag in ("", "PA", "PB", "PC"):
                    r = c.call("tools.call", user="u", name="count", **({"profile": tag} if tag else {}))
                    server, pid, n = r["content"][0]["text"].split()
                    pids.setdefault(tag, set()).add(pid)
                    self.assertEqual((server, n), ("two" if tag == "PB" else "one", str(i + 1)), "not respawned, and not shared")
            self.assertEqual(len(set.union(*pids.values())), 4)
            d.settle(["u"])

    def test_connections_of_many_profiles_are_bounded_and_end_with_them(self):
        with tempfile.TemporaryDirectory() as folder, Host(servers(folder, one="normal")) as d:
            c = d.client
            c.call("configure", user="u", provider="offline", model="offline-1", mcp_server={"name": "one"})
            for i in range(12):
                c.call("profile.put", user="u", tag=f"P{i}", tools=["count"])
            for _ in range(2):
                for i in range(12):
                    c.call("tools.call", user="u", name="count", profile=f"P{i}", timeout=30)
                    until(lambda: d.stats()["children"] <= 5, what="at most four of profiles and the context's own")
            d.settle(["u"])


class Failures(unittest.TestCase):
    def test_27_the_reply_names_profile_and_cause(self):
        with Upstream(keys={"key-own"}) as up, tempfile.TemporaryDirectory() as folder:
            with Host("calls: {attempts: 1}\nmcp: {ready_timeout: 500ms}\n" + providers(Own=up) +
                      servers(folder, good="normal", dies="dies", hangs="init_hangs", lists="list_fails")) as d:
                c = d.client
                c.call("configure", user="u", provider="Own", model="model1", credentials={"api_key": "key-own"}, mcp_server={"name": "good"})
                c.call("profile.put", user="u", tag="KEY", provider="Own", model="model1", credentials={"api_key": "wrong-key"})
                c.call("profile.put", user="u", tag="GONE", provider="openai", model="m", base_url="http://127.0.0.1:9/v1", credentials={"api_key": "k" * 9})
                for name in ("dies", "hangs", "lists"):
                    c.call("profile.put", user="u", tag=name, mcp_server={"name": name})
                before = d.dump("u")
                for tag, kind, cause in (("KEY", "credentials_refused", "provider Own"), ("GONE", None, "provider openai"), ("dies", None, "MCP server dies"),
                                         ("hangs", "timeout", "MCP server hangs"), ("lists", "listing_failed", "MCP server lists")):
                    e = c.error("agent.run", user="u", input=f"@{tag} x")
                    self.assertEqual(e.data["profile"], tag)
                    self.assertIn(f"profile {tag}: ", e.message)
                    self.assertIn(cause, e.message)
                    if kind:
                        self.assertEqual(e.kind, kind)
                    self.assertEqual(d.dump("u"), before)
                    self.assertIn(f"profile={tag}", d.text())
                    r = d.ask("u", 'use good__echo {"text": "own"}')
                    self.assertEqual(r["text"], "tool said: own", "the context goes on working")
                self.assertNotIn("profile", c.error("agent.run", user="u", input="x", profile=None, max_steps="x").data)
                d.settle(["u"])

    def cancelled_daemon(self, up, folder):
        d = Host("calls: {attempts: 3, retry_base: 50ms}\nlimits: {children_per_user: 64}\n" + providers(Own=up) +
                 servers(folder, good="normal", hangs="init_hangs", lists="list_hangs"))
        c = d.client
        c.call("configure", user="u", provider="Own", model="model1", credentials={"api_key": "key-own"}, mcp_server={"name": "good"})
        for tag, server in (("OPEN", "hangs"), ("LIST", "lists"), ("RUN", "good")):
            c.call("profile.put", user="u", tag=tag, provider="Own", model="model2", credentials={"api_key": "key-p"}, mcp_server={"name": server})
        return d

    def test_28_cancelled_at_each_stage(self):
        """Each stage is seen at the far end before the caller goes."""
        with Upstream(keys={"key-own", "key-p"}) as up, tempfile.TemporaryDirectory() as folder, self.cancelled_daemon(up, folder) as d:
            read = lambda name: (pathlib.Path(folder) / name).read_text() if (pathlib.Path(folder) / name).exists() else ""  # noqa: E731
            before = d.dump("u")
            asked = lambda: len([s for s in up.chats() if s.key == "key-p"])  # noqa: E731
            for text, fault, far_end in (("@OPEN x", None, lambda: "initialize" in read("hangs")), ("@LIST x", None, lambda: "tools/list" in read("lists")),
                                         ("@RUN x", "stall", lambda: asked() == 1), ("@RUN x", "slow", lambda: asked() == 2),
                                         ("@RUN x", "429 30", lambda: asked() == 3),
                                         ("@RUN use good__never {}", None, lambda: '"never"' in read("good")),
                                         ('@RUN use good__slow {"seconds": 1}', None, lambda: '"slow"' in read("good"))):
                up.faults[:] = [fault] if fault else []
                cancelled = d.stats()["requests"]["cancelled"]
                k = d.connect()
                k.begin("agent.run", user="u", input=text)
                until(far_end, what=text)
                k.close()
                until(lambda: d.stats()["requests"]["in_flight"] == 1, what=f"the end of {text}")
                self.assertEqual(d.stats()["requests"]["cancelled"], cancelled + 1, text)
                self.assertEqual(d.dump("u"), before, text)
            up.released.set()
            d.settle(["u"])
            self.assertEqual(d.counts()["plugin_bugs"], 0)

    def test_28_cancelled_at_any_moment(self):
        with Upstream(keys={"key-own", "key-p"}) as up, tempfile.TemporaryDirectory() as folder, self.cancelled_daemon(up, folder) as d:
            before = d.dump("u")
            stages = [("@OPEN x", None), ("@LIST x", None), ("@RUN x", "stall"), ("@RUN x", "slow"), ("@RUN x", "500"), ("@RUN x", None), ("own", None),
                      ('@RUN use good__never {}', None), ('@RUN use good__slow {"seconds": 1}', None)]
            chance = random.Random(28)
            for i in range(ROUNDS):
                text, fault = chance.choice(stages)
                up.faults[:] = [fault] if fault else []
                k = d.connect()
                k.begin("agent.run", user="u", input=text)
                time.sleep(chance.choice((0, 0, 0.001, 0.003, 0.01)))
                k.close()
                if i % 50 == 0:
                    self.assertEqual(d.dump("u"), before)
            until(lambda: d.stats()["requests"]["in_flight"] == 1, what="all cancelled ones ended")
            self.assertEqual(d.dump("u"), before)
            self.assertGreater(d.stats()["requests"]["cancelled"], ROUNDS // 2)
            up.faults[:] = []
            self.assertEqual(d.ask("u", '@RUN use good__echo {"text": "after"}')["text"], "tool said: after")
            self.assertEqual({(s.key, s.json["model"]) for s in up.chats()}, {("key-own", "model1"), ("key-p", "model2")})
            up.released.set()
            d.settle(["u"])
            self.assertEqual(d.counts()["plugin_bugs"], 0)


class Tools(unittest.TestCase):
    def test_29_a_tool_outside_the_list_is_refused_by_the_core(self):
        with Upstream() as up, tempfile.TemporaryDirectory() as folder:
            with Host(providers(Own=up) + servers(folder, one="normal")) as d:
                c = d.client
                c.call("configure", user="u", provider="Own", model="model1", mcp_server={"name": "one"})
                c.call("profile.put", user="u", tag="P", tools=["add", "one__count"])
                d.ask("u", "@P which tools?")
                offered = [t["function"]["name"] for t in up.chats()[-1].json["tools"]]
                self.assertEqual(sorted(offered), ["one__add", "one__count"], "the model is not offered the others")
                r = d.ask("u", '@P use one__echo {"text": "canary-forbidden"} use one__add {"a": 20, "b": 22}')
                self.assertIn("not enabled", r["text"])
                self.assertIn("42", r["text"])
                self.assertEqual([s["is_error"] for s in r["steps"]], [True, False])
                e = c.error("tools.call", user="u", profile="P", name="echo", arguments={"text": "canary-forbidden"})
                self.assertEqual((e.kind, e.data["profile"]), ("tool_disabled", "P"))
                listed = {t["name"]: t["enabled"] for t in c.call("tools.list", user="u", profile="P")["tools"]}
                self.assertEqual([n for n, on in listed.items() if on], ["add", "count"])
                self.assertEqual(d.ask("u", 'use one__echo {"text": "the context may"}')["text"], "tool said: the context may")
                self.assertNotIn("canary-forbidden", (pathlib.Path(folder) / "one").read_text())

    def test_the_contexts_own_list(self):
        with Upstream() as up, tempfile.TemporaryDirectory() as folder:
            with Host(providers(Own=up) + servers(folder, one="normal", two="normal")) as d:
                c = d.client
                self.assertEqual(c.error("tools.enable", user="u", tools=[]).kind, "not_configured")
                c.call("configure", user="u", provider="Own", model="model1", mcp_server={"name": "one"})
                pid = c.call("tools.call", user="u", name="count")["content"][0]["text"].split()[1]
                c.call("tools.enable", user="u", tools=["count"], prompts=["p"])
                self.assertEqual(c.error("tools.call", user="u", name="echo", arguments={"text": "x"}).kind, "tool_disabled")
                self.assertEqual(c.call("tools.call", user="u", name="count")["content"][0]["text"].split()[1], pid, "the connection stays")
                shown = c.call("context.get", user="u")["context"]
                self.assertEqual((shown["tools"], shown["prompts"]), (["count"], ["p"]))
                c.call("profile.put", user="u", tag="ALL", mcp_server={"name": "two"})
                c.call("tools.call", user="u", profile="ALL", name="echo", arguments={"text": "x"})
                c.call("tools.enable", user="u", tools=[])
                self.assertEqual(c.error("tools.call", user="u", name="count").kind, "tool_disabled")
                self.assertNotIn("tools", (d.ask("u", "x"), up.chats()[-1].json)[1])
                c.call("tools.enable", user="u", tools=None)
                c.call("tools.call", user="u", name="echo", arguments={"text": "x"})
                c.call("tools.enable", user="u", tools=["count"])
                c.call("configure", user="u", provider="Own", model="model1", mcp_server={"name": "two"})
                c.call("tools.call", user="u", name="echo", arguments={"text": "x"})  # the list was of the other server's tools


class Operators(unittest.TestCase):
    def yaml(self, up, folder="/tmp", more=""):
        return (providers(Own=up) + servers(folder, one="normal") +
                "profiles:\n  FAST: {provider: Own, model: model2, credentials: {api_key: \"${env:OPS_KEY}\"}, mcp_server: one, tools: [count]}\n"
                "  BIG: {model: huge}\n" + more)

    def test_for_everybody_and_hidden_by_ones_own(self):
        with Upstream() as up, tempfile.TemporaryDirectory() as folder:
            with Host(self.yaml(up, folder), env={"OPS_KEY": "canary-ops"}) as d:
                c = d.client
                for user in ("u", "v"):
                    c.call("configure", user=user, provider="Own", model="model1", credentials={"api_key": f"key-{user}"})
                self.assertEqual([(p["tag"], p["scope"]) for p in c.call("profile.list", user="nobody")["profiles"]], [("FAST", "operator"), ("BIG", "operator")])
                self.assertEqual(c.error("agent.run", user="nobody", input="@FAST x").kind, "not_configured")
                for user in ("u", "v"):
                    d.ask(user, "@fast x")
                    self.assertEqual((up.chats()[-1].key, up.chats()[-1].json["model"]), (f"key-{user}", "model2"), "the user's own key, not the operator's")
                self.assertEqual(d.ask("u", "@big x")["meta"]["model"], "huge")
                self.assertEqual(c.error("tools.call", user="u", profile="fast", name="echo", arguments={"text": "x"}).kind, "tool_disabled")
                self.assertEqual(c.error("profile.delete", user="u", tag="FAST").kind, "operators_profile")
                c.call("profile.put", user="u", tag="fast", model="mine")
                self.assertEqual(d.ask("u", "@FAST x")["meta"]["model"], "mine")
                self.assertEqual(d.ask("v", "@FAST x")["meta"]["model"], "model2")
                c.call("profile.default", user="v", tag="BIG")
                self.assertEqual(d.ask("v", "x")["meta"]["model"], "huge")
                c.call("profile.delete", user="u", tag="fast")
                self.assertEqual(d.ask("u", "@FAST x")["meta"]["model"], "model2")
                self.assertNotIn("canary", json.dumps([c.call("profile.list", user="u"), c.call("config.explain"), c.call("context.get", user="u")]) + d.text())
                self.assertEqual([s for s in up.seen if "canary" in s.key], [])
                d.settle(["u", "v"])

    def test_the_operators_key_only_when_he_says_so(self):
        for contexts, user, want in (("persistence: true", {}, "canary-ops"), ("persistence: false, users_may_use_host_keys: true", {"user": "u"}, "canary-ops"),
                                     ("persistence: false", {"user": "u"}, "")):
            with Upstream() as up, Upstream() as other:
                yaml = f"contexts: {{{contexts}}}\negress: {{allow_private: true}}\n" + self.yaml(up)
                with Daemon(yaml, env={"OPS_KEY": "canary-ops"}) as d:
                    d.client.call("configure", provider="Own", model="model1", base_url=other.base, **user)
                    d.client.call("chat.complete", input="@FAST x", **user)
                    self.assertEqual(up.seen[-1].key, want, contexts)
                    self.assertEqual({s.key for s in other.seen}, {""}, "never to an address that a user gave")

    def test_mistakes_are_told_with_their_places(self):
        def bad(text, *words):
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "t.yaml"
                path.write_text(text)
                code, out, err = run_tdad("--config", str(path), "--check", env={"K": "canary-k"})
                self.assertEqual(code, 78, text + out + err)
                for word in words:
                    self.assertIn(word, err)
                self.assertNotIn("canary", err)
        bad("profiles: []", "map")
        bad("profiles: {A: {}}", "t.yaml:1:", "says nothing")
        bad("profiles:\n  \"A B\": {model: m}", "t.yaml:2:", "tag", "allowed")
        bad("profiles: {A: {model: m}, a: {model: n}}", "case")
        bad("profiles: {A: {modle: m}}", "t.yaml:1:", "did you mean model")
        bad("profiles:\n  A:\n    provider: nope\n    model: m", "t.yaml:3:15", "nope", "there are")
        bad("profiles: {A: {provider: offline}}", "model")
        bad("profiles: {A: {provider: openai, model: m, credentials: {api_key: canary-k}}}", "t.yaml:1:", "${env:NAME}")
        bad("profiles: {A: {provider: openai, model: m, credentials: {api_key: '${file:/etc/hostname}'}}}", "${env:NAME}")
        bad("profiles: {A: {provider: openai, model: m, credentials: {api_key: '${env:NOT_THERE}'}}}", "not set")
        bad("profiles: {A: {provider: openai, model: m, credentials: {nope: '${env:K}'}}}", "t.yaml:1:", "no credential", "nope")
        bad("profiles: {A: {model: m, credentials: {api_key: '${env:K}'}}}", "names none")
        bad("profiles:\n  A:\n    model: m\n    mcp_server: nope", "t.yaml:4:17", "nope")
        bad("profiles: {A: {model: m, tools: {a: b}}}", "list")
        bad("profiles: {A: {provider: openai, model: m, base_url: nonsense}}", "t.yaml:1:", "base_url")
        bad("profiles: {A: {provider: offline, model: m, friendli_details: {token: x}}}", "credentials")
        bad("profiles: {A: {provider: offline, model: m, friendli_details: {nope: x}}}", "t.yaml:1:")

    def test_explain(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "t.yaml"
            path.write_text("profiles: {A: {provider: openai, model: m, credentials: {api_key: '${env:K}'}, tools: [a, b], mcp_server: null}}")
            code, out, err = run_tdad("--config", str(path), "--explain=json", env={"K": "canary-k"})
        self.assertEqual(code, 0, err)
        rows = {r["path"]: (r["value"], r["source"][-6:-3]) for r in json.loads(out)}
        self.assertEqual({k: v[0] for k, v in rows.items() if k.startswith("profiles.A")},
                         {"profiles.A.provider": "openai", "profiles.A.model": "m", "profiles.A.mcp_server": "", "profiles.A.credentials.api_key": "(set)",
                          "profiles.A.tools": "a, b"})


class CommandLine(unittest.TestCase):
    def test_tda_profile_and_ask(self):
        with Upstream(keys={"canary-cli-key"}) as up, Host(providers(Own=up)) as d:
            def tda(*args, code=0, env=None):
                r = subprocess.run([str(BIN / "tda"), "-u", "a", *args], capture_output=True, text=True, timeout=60,
                                   env={"PATH": os.environ["PATH"], "TDA_SOCKET": d.url, **(env or {})})
                self.assertEqual(r.returncode, code, f"{args}: {r.stdout}{r.stderr}")
                return r.stdout + r.stderr
            tda("configure", "--provider", "offline", "--model", "offline-1")
            self.assertIn("@FAST", tda("profile", "put", "FAST", "--provider", "Own", "--model", "model2", "--key-env", "K", "--tools", "a,b",
                                       env={"K": "canary-cli-key"}))
            said = tda("-v", "ask", "@fast hello there")
            self.assertIn("echo: hello there", said)
            self.assertIn("profile FAST", said)
            self.assertEqual(up.chats()[-1].key, "canary-cli-key")
            self.assertRegex(tda("profile"), r"FAST +private +false +Own +model2 +the context's +\[\"a\", ?\"b\"\]")
            tda("profile", "default", "FAST")
            self.assertIn("echo: x", tda("ask", "x"))
            self.assertIn("FAST", tda("status"))
            tda("profile", "default", "-")
            self.assertIn("the profiles here are: FAST", tda("ask", "@nope x", code=1))
            tda("profile", "delete", "fast")
            self.assertIn("no profile", tda("profile", "delete", "fast", code=1))
            self.assertIn("profile list", tda("profile", "nope", code=2))
            for word in ("profile", "ask"):
                self.assertIn("@FAST", tda("help", word))


if __name__ == "__main__":
    unittest.main()
