"""Turns: their limits, a conversation that is too long for the model, what a listener hears and what is tried again; as the service sees it."""
import json
import pathlib
import unittest

from harness.daemon import Daemon
from harness.tasks import follow, submit
from harness.upstream import Upstream

SERVER = pathlib.Path(__file__).parent / "harness" / "mcp_server.py"
ENDLESS = 'again and again use s__add {"a": 1, "b": 2}'


def host(up, more=""):
    return (f"contexts: {{persistence: false}}\n{more}providers:\n  Fake: {{plugin: openai, base_url: \"{up.base}\"}}\n"
            f"mcp_servers:\n  s: {{command: [python3, {SERVER}]}}\n")


class Turn(unittest.TestCase):
    more = ""

    @classmethod
    def setUpClass(cls):
        cls.up = Upstream(models=("model1", "small", "dear"))
        cls.d = Daemon(host(cls.up, cls.more))
        cls.c = cls.d.client
        for model in ("model1", "small", "dear"):
            cls.c.call("configure", user=model, provider="Fake", model=model, credentials={"api_key": "k" * 9}, mcp_server={"name": "s"})

    @classmethod
    def tearDownClass(cls):
        cls.up.close()
        cls.d.stop()

    def setUp(self):
        self.up.faults = []
        self.n = len(self.up.chats())

    def sent(self):
        """The conversations that the service saw since the last look: each a list of messages."""
        chats = self.up.chats()[self.n:]
        self.n += len(chats)
        return [s.json["messages"] for s in chats]


class Limits(Turn):
    more = 'prices: {"fake/dear": {input: 1000, output: 2000, cache_read: 100}}\ncalls: {max_turn_tokens: 100}\n'

    def test_the_operators_limit_on_tokens(self):
        """Seven in, five out each time: the hundredth is reached in the ninth call."""
        reply = self.c.call("agent.run", user="model1", input=ENDLESS)
        self.assertEqual((reply["stopped_by"], reply["meta"]["usage"]["input"]), ("token_limit", 63))
        self.assertEqual((len(self.sent()), len(reply["steps"])), (9, 8))
        self.assertEqual(reply["stop"], "tool_use", "the answer that it stopped at")

    def test_a_callers_limits_are_the_lower_ones(self):
        for params, calls, why in (({"max_turn_tokens": 13}, 2, "token_limit"), ({"max_turn_tokens": 10 ** 6}, 9, "token_limit"), ({"max_steps": 3}, 3, "step_limit"),
                                   ({"max_steps": 10 ** 6}, 9, "token_limit")):
            reply = self.c.call("agent.run", user="model1", input=ENDLESS, **params)
            self.assertEqual((reply["stopped_by"], len(self.sent())), (why, calls), params)
        for params in ({"max_steps": 0}, {"max_turn_tokens": -1}, {"max_turn_tokens": 1.5}, {"max_cost": 0}):
            self.assertEqual(self.c.error("agent.run", user="dear", input="x", **params).kind, "invalid_param", params)

    def test_a_limit_on_cost_where_there_is_a_price(self):
        """7 * 1000 + 5 * 2000 for a million tokens: 0.017 each."""
        reply = self.c.call("agent.run", user="dear", input=ENDLESS, max_cost=0.04)
        self.assertEqual((reply["stopped_by"], len(self.sent())), ("cost_limit", 3))
        self.assertAlmostEqual(reply["meta"]["cost"], 0.051)
        e = self.c.error("agent.run", user="model1", input="x", max_cost=1)
        self.assertEqual((e.kind, e.data["field"]), ("no_price", "max_cost"))
        self.assertNotIn("cost", self.c.call("agent.run", user="model1", input="x")["meta"])

    def test_a_turn_that_stops_by_itself_met_no_limit(self):
        self.assertNotIn("stopped_by", self.c.call("agent.run", user="model1", input="x", max_turn_tokens=1))


class Context(Turn):
    more = "models: {Fake/small: {context: 400}, Fake/dear: {context: 100k}}\n"

    def conversation(self, turns, size=200):
        messages = [{"role": "system", "content": "be brief"}]
        for i in range(turns):
            messages += [{"role": "user", "content": f"question {i} " + "q" * size},
                         {"role": "assistant", "content": [{"type": "tool_use", "id": f"c{i}", "name": "s__add", "arguments": {"a": i}}]},
                         {"role": "user", "content": [{"type": "tool_result", "id": f"c{i}", "name": "s__add", "content": "r" * size}]},
                         {"role": "assistant", "content": f"answer {i}"}]
        return messages + [{"role": "user", "content": "the last question"}]

    def check_whole(self, messages):
        """System and question stay, calls and results go together, the first after system is a user's."""
        self.assertEqual((messages[0]["role"], messages[0]["content"]), ("system", "be brief"))
        self.assertEqual(messages[1]["role"], "user")
        asked = [c["id"] for m in messages for c in m.get("tool_calls") or []]
        self.assertEqual(asked, [m["tool_call_id"] for m in messages if m["role"] == "tool"])
        return len(asked)

    def test_the_oldest_turns_go_whole(self):
        reply = self.c.call("chat.complete", user="small", messages=self.conversation(10))
        (messages,) = self.sent()
        kept = self.check_whole(messages)
        self.assertTrue(0 < kept < 10, kept)
        self.assertEqual(reply["left_out"], (10 - kept) * 4)
        self.assertIn(f"question {10 - kept} ", messages[1]["content"])
        self.assertIn("the last question", str(messages[-1]["content"]))
        self.assertEqual(reply["text"], "tool said: " + " | ".join(["r" * 200] * kept))
        self.assertNotIn("left_out", self.c.call("chat.complete", user="dear", messages=self.conversation(10)))
        self.assertEqual(len(self.sent()[0]), 42, "all of it, where there is room")

    def test_in_a_long_turn_the_oldest_calls_go_with_their_results(self):
        asked = 'again and again use s__big {"bytes": 300}'
        reply = self.c.call("agent.run", user="small", system="be brief", input=asked, max_steps=8)
        sent = self.sent()
        self.assertEqual(len(sent), 8)
        for messages in sent:
            self.check_whole(messages)
            self.assertIn(asked, str(messages[1]["content"]), "the question stays")
            self.assertLess(len(json.dumps(messages)), 400 * 4 * 2)
        self.assertGreater(reply["left_out"], 0)
        self.assertEqual(len(reply["steps"]), 7, "the caller is told all of them")

    def test_a_model_that_finds_it_too_long_is_asked_once_more(self):
        self.up.faults = ["context_full"]
        task = self.c.call("task.submit", user="model1", method="chat.complete", params={"messages": self.conversation(8)})["task"]
        reply, events = follow(self.c, "model1", task)
        self.assertEqual(reply["state"], "complete")
        first, second = self.sent()
        self.assertEqual(len(first), 34)
        self.assertTrue(self.check_whole(second) <= 4 and len(second) < 20, len(second))
        self.assertEqual(reply["result"]["left_out"], 34 - len(second))
        self.assertIn("left out", [e["text"] for e in events if e["type"] == "warning"][0])
        self.up.faults = ["context_full"] * 3
        e = self.c.error("chat.complete", user="model1", messages=self.conversation(8))
        self.assertEqual((e.kind, len(self.sent())), ("context_full", 2))
        self.up.faults = ["context_full"] * 3
        self.assertEqual(self.c.error("chat.complete", user="model1", input="x" * 100).kind, "context_full")
        self.assertEqual(len(self.sent()), 1, "a question alone cannot be shortened")


class Listeners(Turn):
    more = "calls: {attempts: 3, retry_base: 5ms}\n"

    def test_what_was_heard_is_not_tried_again(self):
        self.up.faults = ["truncate_sse"]
        reply, events = follow(self.c, "model1", submit(self.c, "model1", "x"))
        self.assertEqual((reply["state"], len(self.sent())), ("error", 1))
        self.assertEqual([e["text"] for e in events if e["type"] == "text"], ["half an ans"])
        self.up.faults = ["truncate_sse"]
        self.assertEqual(self.c.call("agent.run", user="model1", input="x")["text"], "echo: x")
        self.assertEqual(len(self.sent()), 2, "of a call nobody has heard anything")

    def test_retries_are_told(self):
        self.up.faults = ["500", "429:1"]
        reply, events = follow(self.c, "model1", submit(self.c, "model1", "x"))
        retries = [(e["attempt"], e["kind"]) for e in events if e["type"] == "retry"]
        self.assertEqual((reply["state"], retries, len(self.sent())), ("complete", [(1, "upstream_failed"), (2, "rate_limited")], 3))
        self.assertEqual([e["wait_ms"] for e in events if e["type"] == "retry"][1], 1000)

    def test_large_results_are_cut_with_a_note_to_the_model(self):
        with Upstream() as up, Daemon(host(up, "calls: {max_tool_result: 1KiB}\n")) as d:
            d.client.call("configure", user="u", provider="Fake", model="model1", credentials={"api_key": "k" * 9}, mcp_server={"name": "s"})
            d.client.call("agent.run", user="u", input='use s__big {"bytes": 5000}')
            (result,) = [m for m in up.chats()[-1].json["messages"] if m["role"] == "tool"]
            text = str(result["content"])
            self.assertIn("x" * 1024, text)
            self.assertNotIn("x" * 1025, text)
            self.assertIn("cut by the host: 3976 bytes are left out", text)


if __name__ == "__main__":
    unittest.main()
