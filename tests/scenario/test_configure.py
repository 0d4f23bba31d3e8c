"""configure: acceptance lines 14 to 18 and 21 to 23."""
import json
import pathlib
import sys
import threading
import time
import unittest

from harness.daemon import Daemon, until
from harness.upstream import Upstream

SERVER = pathlib.Path(__file__).parent / "harness" / "mcp_server.py"
FAST = "calls: {retry_base: 5ms, connect_timeout: 2s, idle_timeout: 2s}\n"
KEY, OTHER = "canary-key-0001", "canary-key-0002"


def servers(*modes):
    return "mcp_servers:\n" + "".join(f"  {m}: {{command: [{sys.executable}, {SERVER}, {m}]}}\n" for m in modes) + \
        "  missing: {command: [/nonexistent/server]}\n"


class Configure(unittest.TestCase):
    def setUp(self):
        self.up = Upstream(keys={KEY, OTHER})
        self.d = Daemon("contexts: {persistence: false}\n" + FAST + "mcp: {ready_timeout: 2s, stop_grace: 300ms}\n"
                        f"providers:\n  Fake: {{plugin: openai, base_url: \"{self.up.base}\"}}\n  Absent: {{plugin: absent}}\n"
                        "plugins: {load: [offline, openai, mcp, absent]}\n" +
                        servers("normal", "init_hangs", "dies", "list_fails", "list_hangs", "endless_pages", "init_garbage", "old"))
        self.c = self.d.client
        self.good = dict(user="u", provider="Fake", model="model1", credentials={"api_key": KEY}, mcp_server={"name": "normal"})

    def tearDown(self):
        self.up.close()
        self.d.stop()

    def dump(self, user="u"):
        return json.dumps(self.c.call("context.get", user=user), sort_keys=True)

    def works(self, user="u"):
        n = len(self.up.seen)
        reply = self.c.call("chat.complete", user=user, messages=[{"role": "user", "content": "still there?"}])
        self.assertEqual(reply["text"], "echo: still there?")
        return self.up.seen[n].key

    def test_14_15_each_wrong_input_is_its_own_error_and_changes_nothing(self):
        self.c.call("configure", **self.good)
        before, kinds = self.dump(), []
        for change, kind in (({"provider": None}, "missing_provider"), ({"model": None}, "missing_model"), ({"model": ""}, "missing_model"),
                             ({"provider": "Nobody"}, "unknown_provider"), ({"provider": "Absent"}, "plugin_not_loaded"),
                             ({"provider": "openai", "credentials": None, "base_url": None}, "missing_credential"),
                             ({"credentials": {"apikey": KEY}}, "unknown_credential"), ({"credentials": {"api_key": ""}}, "missing_credential"),
                             ({"mcp_server": {}}, "missing_server_name"), ({"mcp_server": {"name": "nowhere"}}, "missing_server_id"),
                             ({"mcp_server": {"name": "nowhere", "id": "i"}}, "missing_server_address"),
                             ({"mcp_server": {"name": "x", "command": ["sh"]}}, "command_refused"),
                             ({"credentials": {"api_key": "wrong-key-1234"}}, "credentials_refused"),
                             ({"mcp_server": {"name": "missing"}}, "mcp_unreachable"), ({"mcp_server": {"name": "dies"}}, "mcp_unreachable"),
                             ({"mcp_server": {"name": "list_fails"}}, "listing_failed")):
            params = {k: v for k, v in {**self.good, **change}.items() if v is not None}
            e = self.c.error("configure", **params)
            kinds.append(e.kind)
            self.assertEqual(e.kind, kind, f"{change}: {e.message}")
            self.assertEqual(self.dump(), before)
        self.assertEqual(self.works(), KEY)

    def test_16_a_wrong_key_beside_a_right_one(self):
        self.c.call("configure", **self.good)
        e = self.c.error("configure", **{**self.good, "user": "u2", "credentials": {"api_key": "wrong-key-1234"}})
        self.assertEqual(e.kind, "credentials_refused")
        self.assertEqual(self.c.error("context.get", user="u2").kind, "not_configured")

    def test_17_the_same_again_costs_nothing_and_a_new_key_is_tried(self):
        self.assertEqual(self.c.call("configure", **self.good)["status"], "configured")
        n = len(self.up.seen)
        self.assertEqual(self.c.call("configure", **self.good)["status"], "already_configured")
        self.assertEqual(len(self.up.seen), n, "no upstream call")
        self.assertEqual(self.c.call("configure", **{**self.good, "user": "u2"})["status"], "configured", "another's being the same is no shortcut")
        n = len(self.up.seen)
        self.assertEqual(self.c.call("configure", **{**self.good, "credentials": {"api_key": OTHER}})["status"], "configured")
        self.assertEqual({s.key for s in self.up.seen[n:]}, {OTHER})

    def test_18_a_failure_at_every_step_leaves_the_old_one_working(self):
        self.c.call("configure", **self.good)
        self.c.call("configure", **{**self.good, "user": "u2", "credentials": {"api_key": OTHER}})
        before = self.dump()
        changed = {**self.good, "model": "model2"}
        for step in ("401", "500", "reset", "stall", "html", "malformed", "dies", "init_hangs", "list_fails", "list_hangs", "endless_pages"):
            params = dict(changed)
            if step in ("dies", "init_hangs", "list_fails", "list_hangs", "endless_pages"):
                params["mcp_server"] = {"name": step}
            else:
                self.up.any_faults = [step] * 12
            self.c.error("configure", **params)
            self.up.any_faults = []
            self.assertEqual(self.dump(), before, step)
            self.assertEqual(self.works(), KEY, step)
            self.assertEqual(self.works("u2"), OTHER, step)
        self.up.released.set()
        self.assertEqual(self.c.call("tools.call", user="u", name="add", arguments={"a": 1, "b": 1})["content"][0]["text"], "2")

    def test_21_a_hanging_server_delays_its_user_alone(self):
        hanging = []
        for i in range(5):
            hanging.append(self.c.begin("configure", **{**self.good, "user": f"slow{i}", "mcp_server": {"name": "init_hangs"}}))
            self.c.call("configure", **{**self.good, "user": f"quick{i}"})
            self.assertFalse(hanging[-1][0].is_set(), "it had to wait for the one that hangs")
        for slot in hanging:
            with self.assertRaises(Exception) as e:
                self.c.end(slot)
            self.assertIn(e.exception.kind, ("timeout", "mcp_unreachable"), e.exception.message)

    def test_22_two_at_once_end_as_one_of_them(self):
        for round_ in range(10):
            a = {**self.good, "model": "model1", "credentials": {"api_key": KEY}}
            b = {**self.good, "model": "model2", "credentials": {"api_key": OTHER}, "mcp_server": {"name": "old"}}
            slots = [self.c.begin("configure", **a), self.c.begin("configure", **b)]
            for slot in slots:
                try:
                    self.c.end(slot)
                except Exception as e:
                    self.assertIn(e.kind, ("busy", "changed_meanwhile", "configure_running"), e.message)
            context = self.c.call("context.get", user="u")["context"]
            pair = (context["model"], self.works(), context["mcp_server_name"])
            self.assertIn(pair, (("model1", KEY, "normal"), ("model2", OTHER, "old")))
            self.c.call("context.delete", user="u")

    def test_23_a_question_finishes_on_what_it_began_with(self):
        self.c.call("configure", **self.good)
        self.up.delay = 0.5
        n = len(self.up.seen)
        slot = self.c.begin("agent.run", user="u", input='use normal__slow {"seconds": 0.6}')
        until(lambda: len(self.up.seen) > n, what="the first model call")
        self.up.delay = 0
        self.c.call("configure", **{**self.good, "model": "model2", "credentials": {"api_key": OTHER}, "mcp_server": {"name": "old"}})
        reply = self.c.end(slot)
        self.assertEqual((reply["meta"]["model"], reply["meta"]["mcp_server"]), ("model1", "normal"))
        mine = [s for s in self.up.seen[n:] if "normal__slow" in s.body.decode()]
        self.assertEqual({(s.json["model"], s.key) for s in mine}, {("model1", KEY)})
        self.assertEqual(self.works(), OTHER)
        until(lambda: self.c.call("host.stats")["children"] == 1, what="the former server's end")

    def test_servers_that_talk_strangely_are_borne(self):
        for mode in ("init_garbage", "old"):
            self.c.call("configure", **{**self.good, "mcp_server": {"name": mode}})
            self.assertEqual(self.c.call("tools.call", user="u", name="echo", arguments={"text": "x"})["content"][0]["text"], "x")

    def test_a_switch_leaves_nothing_of_the_former_provider(self):
        self.c.call("configure", **self.good)
        self.c.call("context.set", user="u", fields={"provider": "offline", "model": "offline-1"})
        context = self.c.call("context.get", user="u")["context"]
        self.assertEqual(context["credentials"], [])
        self.c.call("context.set", user="u", fields={"provider": "Fake", "model": "model1"})
        n = len(self.up.seen)
        self.c.error("chat.complete", user="u", messages=[{"role": "user", "content": "x"}])
        self.assertEqual({s.key for s in self.up.seen[n:]}, {""}, "the old key must not come back")


if __name__ == "__main__":
    unittest.main()
