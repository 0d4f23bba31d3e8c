"""What becomes of a tool's result on its way to the model: acceptance line 34, asserted on what the model was sent. What callers get is in test_catalogue.py."""
import json
import unittest

from harness.host import Host, faulty
from harness.upstream import Upstream

IMAGE = {"type": "image", "mimeType": "image/png", "data": "iVBORw0KGgo="}
# what the tool gives, the parts of it that count
RESULTS = {
    "object": ({"content": [{"type": "text", "text": "{\"a\": 1}"}], "structuredContent": {"a": 1}}, [{"type": "json", "value": {"a": 1}}]),
    "JSON inside of text": ({"content": [{"type": "text", "text": "{\"rows\": [1, 2]}"}]}, [{"type": "text", "text": "{\"rows\": [1, 2]}"}]),
    "plain text": ({"content": [{"type": "text", "text": "hello"}]}, [{"type": "text", "text": "hello"}]),
    "two texts": ({"content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}, [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]),
    "empty": ({"content": []}, []),
    "empty text": ({"content": [{"type": "text", "text": ""}]}, [{"type": "text", "text": ""}]),
}


class Results(unittest.TestCase):
    def setUp(self):
        self.up = Upstream()
        self.h = Host({"s": faulty()}, f"calls: {{max_tool_result: 1KiB}}\nproviders:\n  Fake: {{plugin: openai, base_url: \"{self.up.base}\"}}\n")
        self.h.configure("u", "s", provider="Fake", model="model1", credentials={"api_key": "k"})

    def tearDown(self):
        self.h.stop()
        self.up.close()

    def model_got(self, arguments, tool="raw"):
        """The tool's result, as the model was told it after it had asked for the tool."""
        with self.up.lock:
            self.up.seen.clear()
        self.h.call("u", "agent.run", input=f"use s__{tool} {json.dumps(arguments)}")
        last = self.up.chats()[-1].json["messages"]
        return [self.text(m) for m in last if m["role"] == "tool"]

    @staticmethod
    def text(message):
        content = message["content"]
        return content if isinstance(content, str) else "".join(p.get("text", "") for p in content)

    def test_34_what_the_model_gets(self):
        for what, (given, wanted) in RESULTS.items():
            with self.subTest(what):
                got = self.model_got({"result": given})
                self.assertEqual(len(got), 1, "one result for one call, also when it is empty")
                for part in wanted:
                    if part["type"] == "json":
                        self.assertEqual(json.loads(got[0]), part["value"])
                    else:
                        self.assertIn(part["text"], got[0])

    def test_34_the_error_flag(self):
        given = {"content": [{"type": "text", "text": "no such table"}], "isError": True}
        r = self.h.use("u", "raw", result=given)
        self.assertEqual((r["is_error"], r["content"][0]["text"]), (True, "no such table"))
        self.assertIn("no such table", self.model_got({"result": given})[0])

    def test_34_oversized(self):
        r = self.h.use("u", "big", bytes=100000)
        text = "".join(p["text"] for p in r["content"])
        self.assertLess(len(text), 1200)
        self.assertIn("cut by the host", text)
        got = self.model_got({"bytes": 100000}, "big")[0]
        self.assertLess(len(got), 1200)
        self.assertIn("cut by the host", got)

    def test_34_an_image_stays_whole_or_goes(self):
        r = self.h.use("u", "raw", result={"content": [IMAGE]})
        self.assertEqual([p["type"] for p in r["content"]], ["image"])
        r = self.h.use("u", "raw", result={"content": [dict(IMAGE, data="A" * 4000), {"type": "text", "text": "after it"}]})
        self.assertNotIn("image", [p["type"] for p in r["content"]])
        self.assertIn("after it", json.dumps(r["content"]))

    def test_34_what_is_no_result(self):
        for given in ({}, {"content": "text"}, {"content": 7}):
            with self.subTest(given):
                self.assertEqual(self.h.refused("u", "raw", result=given).kind, "protocol")
        self.assertEqual(self.h.said("u", "echo", text="still there"), "still there")

    def test_34_an_array(self):
        """Structured content is an object up to 2025-11-25, and any value from 2026-07-28 on."""
        given = {"content": [{"type": "text", "text": "[1, 2]"}], "structuredContent": [1, 2]}
        self.assertEqual(self.h.use("u", "raw", result=given)["content"], [{"type": "text", "text": "[1, 2]"}])
        with Host({"s": faulty("modern")}) as h:
            h.configure("u", "s")
            self.assertEqual(h.use("u", "raw", result=given)["content"], [{"type": "json", "value": [1, 2]}])


if __name__ == "__main__":
    unittest.main()
