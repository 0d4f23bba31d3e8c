"""Connections of adapters: HTTP flows to their server's origin and no other, questions that reach the user, deadlines that move."""
import http.server
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest

from harness.daemon import SOURCE, Daemon
from harness.tasks import follow

HERE = pathlib.Path(__file__).resolve().parent
FORM = {"message": "Which city?", "schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
STREAM = b"id: 7\nretry: 250\ndata:\n\nid: 8\n\nevent: message\ndata: one\ndata: two\n\n: comment\n\n"


class Server(http.server.BaseHTTPRequestHandler):
    seen = []

    def do_GET(self):
        Server.seen.append(self.path)
        stream = self.path.startswith("/stream")
        body = STREAM if stream else b"plain\n\nbytes"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8" if stream else "text/plain")
        self.end_headers()
        self.wfile.write(body * (3000 if self.path == "/stream/long" else 1))

    def log_message(self, *args):
        pass


class Connections(unittest.TestCase):
    def setUp(self):
        Server.seen = []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tda-ask-", dir="/tmp"))
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{self.http.server_port}"
        plugin = self.folder / "asker.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-fvisibility=hidden", "-I", str(SOURCE / "include"), str(HERE / "harness" / "asker.c"),
                        "-o", str(plugin)], check=True)
        self.d = Daemon(f"contexts: {{persistence: false}}\nplugins: {{load: [offline, {plugin}], strict_modes: false}}\n"
                        f"calls: {{tool_timeout: 1s, max_answer: 64KiB}}\n"
                        f"mcp_servers:\n  it: {{url: \"{self.base}/mcp\", adapter: asker}}\n"
                        f"  shared: {{url: \"{self.base}/mcp\", adapter: asker, share: true}}\n")
        self.c = self.d.client
        self.c.call("configure", user="u", provider="offline", model="offline-1", mcp_server={"name": "it"})

    def tearDown(self):
        self.d.stop()
        self.http.shutdown()
        self.http.server_close()
        shutil.rmtree(self.folder)

    def tool(self, name, **args):
        return self.c.call("tools.call", user="u", name=name, arguments=args)["content"][0]["text"]

    def submit(self, name, **args):
        return self.c.call("task.submit", user="u", method="tools.call", params={"name": name, "arguments": args})["task"]

    def asked(self, task):
        while True:
            reply = self.c.call("task.poll", user="u", task=task, wait_ms=20000)
            self.assertEqual(reply["state"], "running", reply)
            asks = [e for e in reply["events"] if e["type"] == "ask"]
            if asks:
                return asks[0]

    def result(self, task):
        reply, events = follow(self.c, "u", task)
        self.assertEqual(reply["state"], "complete", reply)
        return reply["result"]["content"][0]["text"], events

    # ---- a shared connection ----

    def test_a_shared_connection_knows_nobody_and_asks_nobody(self):
        self.assertEqual(self.tool("fields"), "offline;offline-1;it;it;{};")
        for user, model in (("a", "offline-1"), ("b", "offline-2")):
            self.c.call("configure", user=user, provider="offline", model=model, mcp_server={"name": "shared"})
            got = self.c.call("tools.call", user=user, name="fields", arguments={})["content"][0]["text"]
            self.assertEqual(got, "shared;shared;", "and nothing of who came first")
        for name in ("ask", "ask_anyone"):
            task = self.c.call("task.submit", user="a", method="tools.call", params={"name": name, "arguments": {"question": {"message": "?"}}})["task"]
            reply, events = follow(self.c, "a", task)
            self.assertEqual([e for e in events if e["type"] == "ask"], [])
            self.assertEqual(reply["result"]["content"][0]["text"], "refused other;")

    # ---- flows ----

    def test_an_answer_is_framed_by_its_type(self):
        for name in ("get", "get_on_call"):
            self.assertEqual(self.tool(name, url=self.base + "/stream"),
                             "status 200;id 7;retry 250;data ;id 8;retry -1;no data;id 8;retry -1;data one\ntwo;end;")
            self.assertEqual(self.tool(name, url=self.base + "/plain"), "status 200;id ;retry -1;data plain\n\nbytes;end;")

    def test_only_to_the_origin_of_the_server(self):
        for url in (f"http://localhost:{self.http.server_port}/", "http://127.0.0.1:1/", "https://127.0.0.1/", "file:///etc/passwd", ""):
            self.assertEqual(self.tool("get", url=url), "denied;")
        self.assertEqual(Server.seen, [])

    def test_a_stream_that_is_listened_to_has_no_end_by_size(self):
        self.assertIn("fail ", self.tool("get", url=self.base + "/stream/long"), "more than calls.max_answer")
        self.assertNotIn("fail ", self.tool("get", url=self.base + "/stream/long", total_ms=-1))

    # ---- questions ----

    def test_a_question_reaches_the_user_and_his_answer_the_server(self):
        for name in ("ask", "ask_anyone"):
            task = self.submit(name, question=FORM)
            ask = self.asked(task)
            self.assertEqual((ask["kind"], ask["server"], ask["message"], ask["schema"]), ("form", "it", FORM["message"], FORM["schema"]))
            for wrong in ({"action": "maybe"}, {"action": "accept", "content": 1}, {}):
                self.assertEqual(self.c.error("task.respond", user="u", task=task, request=ask["request"], json=wrong).kind, "invalid_answer")
            self.assertEqual(self.c.error("task.respond", user="u", task=task, request="99999", json={"action": "cancel"}).kind, "nothing_asked")
            self.c.call("task.respond", user="u", task=task, request=ask["request"], json={"action": "accept", "content": {"city": "Köln"}})
            text, events = self.result(task)
            self.assertIn("q;", text)
            self.assertIn('"action"', text)
            self.assertIn("ln\"}", text)
            self.assertEqual([e["request"] for e in events if e["type"] == "ask_over"], [ask["request"]])
            self.assertEqual(self.c.error("task.respond", user="u", task=task, request=ask["request"], json=None).kind, "already_finished")

    def test_another_user_cannot_answer(self):
        task = self.submit("ask", question=FORM)
        ask = self.asked(task)
        error = self.c.error("task.respond", user="v", task=task, request=ask["request"], json={"action": "accept"})
        self.assertIn(error.kind, ("denied", "not_found"))
        self.c.call("task.respond", user="u", task=task, request=ask["request"], json=None)
        self.assertIn('"cancel"', self.result(task)[0])

    def test_nobody_to_ask_is_a_cancel(self):
        self.assertEqual(self.tool("ask", question=FORM), 'q;{"action":"cancel"};')

    def test_a_page_is_a_web_page(self):
        task = self.submit("ask", question={"message": "go", "url": "https://example.org/x"})
        ask = self.asked(task)
        self.assertEqual((ask["kind"], ask["url"]), ("url", "https://example.org/x"))
        self.c.call("task.respond", user="u", task=task, request=ask["request"], json={"action": "decline"})
        self.assertIn('"decline"', self.result(task)[0])
        for url in ("javascript:alert(1)", "file:///etc/passwd", "https://"):
            self.assertIn('"cancel"', self.result(self.submit("ask", question={"message": "go", "url": url}))[0])

    def test_a_cancelled_task_takes_its_question_along(self):
        task = self.submit("ask", question=FORM)
        ask = self.asked(task)
        self.c.call("task.cancel", user="u", task=task)
        error = self.c.error("task.respond", user="u", task=task, request=ask["request"], json={"action": "accept"})
        self.assertEqual(error.kind, "already_finished")
        self.assertEqual(self.tool("get", url=self.base + "/plain")[:12], "q;{\"action\":", "the server is told cancel")

    # ---- deadlines ----

    def test_progress_moves_the_deadline(self):
        self.assertEqual(self.c.error("tools.call", user="u", name="work", arguments={}).kind, "timeout")
        self.c.call("tools.call", user="u", name="work", arguments={"steps": 12})
        error = self.c.error("tools.call", user="u", name="work", arguments={"steps": 100}, deadline_ms=1500)
        self.assertEqual(error.kind, "timeout", "not beyond what the caller gave")

    def test_the_users_time_is_not_the_servers(self):
        task = self.submit("ask", question=FORM)
        ask = self.asked(task)
        reply = self.c.call("task.poll", user="u", task=task, after=10 ** 6, wait_ms=2500)
        self.assertEqual(reply["state"], "running", "past calls.tool_timeout")
        self.c.call("task.respond", user="u", task=task, request=ask["request"], json={"action": "decline"})
        self.assertIn('"decline"', self.result(task)[0])


if __name__ == "__main__":
    unittest.main()
