"""What a model call carries there and back: tools' names, the list of models, clean text (acceptance line 32), sums of tokens (33)."""
import pathlib
import re
import subprocess
import unittest

from harness.daemon import BIN, Daemon
from harness.upstream import Upstream

SERVER = pathlib.Path(__file__).parent / "harness" / "mcp_server.py"
LEGAL = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
ODD = ["weather.now", "Größe/ermitteln", "x" * 100, "a b", "a.b", "plain_one"]


def tool(name):
    return {"name": name, "description": "d", "schema": {"type": "object"}}


class Calls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Upstream(keys=["key-of-u-1", "key-of-v-2"], models=("m-a", "m-b"))
        cls.d = Daemon("contexts: {persistence: false}\n"
                       f"providers:\n  Fake: {{plugin: openai, base_url: \"{cls.up.base}\"}}\n"
                       f"mcp_servers:\n  s: {{command: [python3, {SERVER}]}}\n")
        cls.c = cls.d.client
        cls.c.call("configure", user="u", provider="Fake", model="m-a", credentials={"api_key": "key-of-u-1"}, mcp_server={"name": "s"})
        cls.c.call("configure", user="v", provider="Fake", model="m-b", credentials={"api_key": "key-of-v-2"})

    @classmethod
    def tearDownClass(cls):
        cls.up.close()
        cls.d.stop()

    def chat(self, messages, names=(), **more):
        return self.c.call("chat.complete", user="v", messages=messages, tools=[tool(n) for n in names], **more)

    def offered(self):
        return [t["function"]["name"] for t in self.up.chats()[-1].json["tools"]]

    # ---- names ----

    def test_a_callers_tools_go_out_under_legal_names_and_come_back_under_their_own(self):
        self.chat([{"role": "user", "content": "hello"}], ODD)
        aliases = self.offered()
        for alias in aliases:
            self.assertRegex(alias, LEGAL)
        self.assertEqual(len(set(aliases)), len(ODD), "no two are mixed up")
        self.assertEqual(aliases[-1], "plain_one", "a legal name stays")
        text = " ".join(f'use {a} {{"n": {i}}}' for i, a in enumerate(aliases))
        for stream in (True, False):
            reply = self.chat([{"role": "user", "content": text}], ODD, stream=stream)
            uses = [p for p in reply["parts"] if p["type"] == "tool_use"]
            self.assertEqual([p["name"] for p in uses], ODD)
            self.assertEqual([p["arguments"] for p in uses], [{"n": i} for i in range(len(ODD))])

            results = [{"type": "tool_result", "id": p["id"], "name": p["name"], "content": f"r{i}"} for i, p in enumerate(uses)]
            reply = self.chat([{"role": "user", "content": text}, {"role": "assistant", "content": uses}, {"role": "user", "content": results}],
                              list(reversed(ODD)))
            self.assertEqual(reply["text"], "tool said: " + " | ".join(f"r{i}" for i in range(len(ODD))))
            sent = self.up.chats()[-1].json
            self.assertEqual([c["function"]["name"] for m in sent["messages"] for c in m.get("tool_calls", [])], aliases, "the same in every turn")
            self.assertEqual(self.offered(), list(reversed(aliases)))

    def test_a_tool_is_chosen_by_its_own_name(self):
        self.chat([{"role": "user", "content": "hello"}], ODD, tool_choice="tool:weather.now")
        sent = self.up.chats()[-1].json
        self.assertEqual(sent["tool_choice"]["function"]["name"], self.offered()[0])

    def test_names_in_a_conversation_without_tools(self):
        self.chat([{"role": "user", "content": "x"},
                   {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "odd name", "arguments": {}}]},
                   {"role": "user", "content": [{"type": "tool_result", "id": "1", "name": "odd name", "content": "r"}]}])
        (name,) = [c["function"]["name"] for m in self.up.chats()[-1].json["messages"] for c in m.get("tool_calls", [])]
        self.assertRegex(name, LEGAL)

    def test_two_tools_of_one_name_are_refused(self):
        n = len(self.up.chats())
        e = self.c.error("chat.complete", user="v", input="x", tools=[tool("a.b"), tool("c"), tool("a.b")])
        self.assertEqual((e.kind, e.data["field"]), ("invalid_param", "tools.2"))
        self.assertEqual(len(self.up.chats()), n)

    def test_a_turn_names_the_servers_tools_in_the_same_way(self):
        reply = self.c.call("agent.run", user="u", max_steps=1, input='again and again use s__add {"a": 1, "b": 2}')
        uses = [p for p in reply["parts"] if p["type"] == "tool_use"]
        self.assertEqual([p["name"] for p in uses], ["add"], "the tool's own name")
        self.c.call("agent.run", user="u", messages=[
            {"role": "user", "content": "x"}, {"role": "assistant", "content": uses},
            {"role": "user", "content": [{"type": "tool_result", "id": uses[0]["id"], "name": "add", "content": "3"}]}])
        names = [c["function"]["name"] for m in self.up.chats()[-1].json["messages"] for c in m.get("tool_calls", [])]
        self.assertEqual(names, ["s__add"], "and the alias again on the wire")

    # ---- models ----

    def test_models_are_listed_with_the_callers_own_key(self):
        n = len(self.up.seen)
        for user, key in (("u", "key-of-u-1"), ("v", "key-of-v-2")):
            reply = self.c.call("models.list", user=user)
            self.assertEqual((reply["provider"], reply["models"]), ("Fake", [{"id": "m-a", "name": "m-a"}, {"id": "m-b", "name": "m-b"}]))
            self.assertEqual(self.up.seen[-1].key, key)
        self.assertEqual(len(self.up.seen), n + 2)

    def test_models_of_another_provider_never_get_the_callers_key(self):
        reply = self.c.call("models.list", user="u", provider="OFFLINE")
        self.assertEqual((reply["provider"], reply["meta"]["provider"]), ("offline", "offline"))
        self.assertIn("offline-1", [m["id"] for m in reply["models"]])
        with Upstream() as other, Daemon("contexts: {persistence: false}\nproviders:\n"
                                         f"  One: {{plugin: openai, base_url: \"{self.up.base}\"}}\n  Two: {{plugin: openai, base_url: \"{other.base}\"}}\n") as d:
            d.client.call("configure", user="u", provider="One", model="m-a", credentials={"api_key": "key-of-u-1"})
            try:
                d.client.call("models.list", user="u", provider="Two")
            except Exception as e:
                self.assertEqual(e.kind, "credentials_refused")
            self.assertNotIn("key-of-u-1", [s.key for s in other.seen])
            self.assertEqual(d.client.call("status", user="u")["provider"], "One", "nothing has changed")

    def test_models_of_nobody(self):
        self.assertEqual(self.c.error("models.list", user="nobody").kind, "not_configured")
        self.assertEqual(self.c.error("models.list", user="nobody", provider="nosuch").kind, "unknown_provider")
        self.assertIn("offline-1", str(self.c.call("models.list", user="nobody", provider="offline")))
        self.assertFalse(self.c.call("status", user="nobody")["configured"], "a read creates nothing")

    def test_many_models_are_bounded(self):
        before, self.up.models = self.up.models, [f"model-{i}" for i in range(5000)]
        reply = self.c.call("models.list", user="u")
        self.up.models = before
        self.assertEqual((len(reply["models"]), reply["more"]), (2000, True))

    def test_the_command(self):
        out = subprocess.run([BIN / "tda", "--socket", self.d.url, "--user", "u", "models"], capture_output=True, text=True)
        self.assertEqual((out.returncode, [line.split() for line in out.stdout.splitlines()]), (0, [["ID", "NAME"], ["m-a", "m-a"], ["m-b", "m-b"]]))

    # ---- 32 ----

    def test_32_an_answer_is_clean_text(self):
        dirty = "\ufeffa\u0000b\u0007c\td\ne\u001b[31mf\u007f\u0085g"
        for stream in (True, False):
            reply = self.chat([{"role": "user", "content": dirty}], stream=stream)
            for text in (reply["text"], reply["parts"][0]["text"]):
                self.assertEqual(re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]", text), [], repr(text))
                self.assertIn("c\td\ne", text, "tab and newline stay")
        self.assertEqual(self.up.chats()[-1].json["messages"][-1]["content"], dirty, "what the user says is his own")

    # ---- 33 ----

    def test_33_tokens_are_summed_over_a_turn(self):
        self.up.usages = [{"prompt_tokens": 100, "completion_tokens": 10}, {"prompt_tokens": 200, "completion_tokens": 20}]
        usage = self.c.call("agent.run", user="u", input='use s__add {"a": 1, "b": 2}')["meta"]["usage"]
        self.assertEqual((usage["input"], usage["output"], usage["known"]), (300, 30, True))

    def test_33_unknown_is_marked_and_is_not_zero(self):
        for usages in ([None, None], [{"prompt_tokens": 100, "completion_tokens": 10}, None], [None, {"prompt_tokens": 100, "completion_tokens": 10}]):
            self.up.usages = list(usages)
            usage = self.c.call("agent.run", user="u", input='use s__add {"a": 1, "b": 2}')["meta"]["usage"]
            self.assertEqual((usage["input"], usage["output"], usage["known"]), (None, None, False), usages)
        self.up.usages = [{"prompt_tokens": 0, "completion_tokens": 0}]
        usage = self.chat([{"role": "user", "content": "x"}])["meta"]["usage"]
        self.assertEqual((usage["input"], usage["output"], usage["known"]), (0, 0, True))


if __name__ == "__main__":
    unittest.main()
