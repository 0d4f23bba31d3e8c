"""An authorisation that a connection needs for its very first request: who is asked, who waits with him, whose token it becomes."""
import json
import threading
import time
import unittest

from harness.daemon import Daemon, until
from harness.oauth_server import AuthServer, Resource, visit
from harness.tasks import follow


class Opening(unittest.TestCase):
    """With the adapter mcp, which needs the token for its very first request."""

    def setUp(self):
        self.auth = AuthServer()
        self.resource = Resource(self.auth)
        self.addCleanup(self.auth.stop)
        self.addCleanup(self.resource.stop)

    def host(self, persistence="false", more=""):
        d = Daemon(f"contexts: {{persistence: {persistence}}}\nmcp: {{ready_timeout: 3s}}\nmcp_servers:\n  it: {{url: \"{self.resource.url}\"{more}}}\n")
        self.addCleanup(d.stop)
        return d, d.client

    CONFIGURE = {"provider": "offline", "model": "offline-1", "mcp_server": {"name": "it"}}

    def submit(self, c, user, method, **params):
        return c.call("task.submit", user=user, method=method, params=params)["task"]

    def asked(self, c, user, task):
        reply = c.call("task.poll", user=user, task=task, wait_ms=20000)
        return next(e for e in reply["events"] if e["type"] == "ask")

    def answer(self, c, user, task, ask):
        c.call("task.respond", user=user, task=task, request=ask["request"], json={"action": "accept", "content": {"redirect": visit(ask["url"])}})
        reply, _ = follow(c, user, task)
        self.assertEqual(reply["state"], "complete", reply)
        return reply["result"]

    def test_configure_as_a_task_asks(self):
        d, c = self.host()
        self.assertEqual(c.error("configure", user="u", **self.CONFIGURE).kind, "authorization_required")
        who = {}
        for user in ("u", "v"):
            task = self.submit(c, user, "configure", **self.CONFIGURE)
            ask = self.asked(c, user, task)
            time.sleep(3.5)  # the user takes longer than mcp.ready_timeout
            self.assertEqual(self.answer(c, user, task, ask)["tools"], 1)
            who[user] = c.call("tools.call", user=user, name="whoami")["content"][0]["text"]
        self.assertNotEqual(who["u"], who["v"])
        self.assertLessEqual(set(who.values()), set(self.auth.tokens))
        self.assertEqual(c.call("tools.call", user="u", name="whoami")["content"][0]["text"], who["u"])

    def test_who_was_asked_goes_and_another_who_waits_is_asked(self):
        d, c = self.host()
        task = self.submit(c, "u", "configure", **self.CONFIGURE)
        self.answer(c, "u", task, self.asked(c, "u", task))
        self.resource.revoked.update(self.auth.tokens)
        self.auth.refreshes.clear()
        tasks = [self.submit(c, "u", "tools.call", name="whoami", arguments={}) for _ in range(3)]
        waits = d.connect()
        slot = waits.begin("tools.call", user="u", name="whoami")
        until(lambda: self.bodies().count("tools/call") == 4, what="four calls that were refused")
        for _ in range(2):
            task, ask = self.whoever_is_asked(c, tasks)
            tasks.remove(task)
            c.call("task.cancel", user="u", task=task)
        task, ask = self.whoever_is_asked(c, tasks)
        result = self.answer(c, "u", task, ask)
        self.assertIn(result["content"][0]["text"], self.auth.tokens)
        self.assertEqual(waits.end(slot)["content"], result["content"], "who could not be asked has waited too")
        self.assertEqual(len(self.auth.of("/authorize")), 2, "configure's, and one for the four")

    def test_who_joins_one_that_could_not_be_asked_is_asked(self):
        d, c = self.host()
        task = self.submit(c, "u", "configure", **self.CONFIGURE)
        self.answer(c, "u", task, self.asked(c, "u", task))
        self.resource.revoked.update(self.auth.tokens)
        self.auth.refreshes.clear()
        was, go_on = self.resource.answer, threading.Event()

        def answer(seen):
            if seen.path.startswith("/.well-known"):
                go_on.wait(20)
            return was(seen)

        self.resource.answer = answer
        waits = d.connect()
        slot = waits.begin("tools.call", user="u", name="whoami")
        until(lambda: self.bodies().count("tools/call") == 1, what="a call that was refused")
        task = self.submit(c, "u", "tools.call", name="whoami", arguments={})
        until(lambda: self.bodies().count("tools/call") == 2, what="another")
        time.sleep(0.2)
        go_on.set()
        result = self.answer(c, "u", task, self.asked(c, "u", task))
        self.assertEqual(waits.end(slot)["content"], result["content"])

    def test_who_was_asked_goes_and_nobody_else_can_be(self):
        d, c = self.host()
        task = self.submit(c, "u", "configure", **self.CONFIGURE)
        self.answer(c, "u", task, self.asked(c, "u", task))
        self.resource.revoked.update(self.auth.tokens)
        self.auth.refreshes.clear()
        task = self.submit(c, "u", "tools.call", name="whoami", arguments={})
        self.whoever_is_asked(c, [task])
        waits = d.connect()
        slot = waits.begin("tools.call", user="u", name="whoami")
        until(lambda: self.bodies().count("tools/call") == 2, what="two calls that were refused")
        c.call("task.cancel", user="u", task=task)
        with self.assertRaises(Exception) as caught:
            waits.end(slot)
        self.assertEqual(caught.exception.kind, "authorization_required")
        self.assertIn("who was asked is gone", caught.exception.message)

    def bodies(self):
        return [json.loads(s.body).get("method") for s in self.resource.of("/mcp") if s.body]

    def whoever_is_asked(self, c, tasks):
        """The task that asks now, and its question."""
        found = []

        def look():
            for task in tasks:
                events = c.call("task.poll", user="u", task=task)["events"]
                over = {e["request"] for e in events if e["type"] == "ask_over"}
                found.extend((task, e) for e in events if e["type"] == "ask" and e["request"] not in over)
            return found

        until(look, what="a question")
        return found[0]

    def test_a_refusal_is_told_with_its_step(self):
        self.resource.prm = {"resource": "https://evil.example.com/mcp"}
        d, c = self.host()
        error = c.error("configure", user="u", **self.CONFIGURE)
        self.assertEqual(error.kind, "authorization_failed")
        self.assertIn("https://evil.example.com/mcp", error.message)

    def own(self, name="mine", **more):
        return {"provider": "offline", "model": "offline-1", "mcp_server": {"name": name, "id": "i", "url": self.resource.url, **more}}

    def test_a_users_own_token_for_his_own_server(self):
        d = Daemon(f"contexts: {{persistence: false}}\negress: {{allow_private: true}}\nmcp_servers:\n"
                   f"  it: {{url: \"{self.resource.url}\", bearer: \"${{env:TOKEN}}\"}}\n", env={"TOKEN": "operators-token"})
        self.addCleanup(d.stop)
        c = d.client
        for user in ("u", "v"):
            self.auth.tokens[f"{user}s-token"] = {"scope": "", "resource": self.resource.url}
            c.call("configure", user=user, **self.own(bearer=f"{user}s-token"))
            self.assertEqual(c.call("tools.call", user=user, name="whoami")["content"][0]["text"], f"{user}s-token")
            self.assertNotIn("s-token", json.dumps(c.call("context.get", user=user)))
            self.assertIn("mcp_server.bearer", c.call("context.get", user=user)["context"]["credentials"])
        self.assertEqual({s.authorization for s in self.resource.of("/mcp")}, {"Bearer us-token", "Bearer vs-token"})
        # the same server without a token: nobody's goes there
        self.assertEqual(c.error("configure", user="w", **self.own()).kind, "authorization_required")
        task = self.submit(c, "w", "configure", **self.own())
        self.assertEqual(self.answer(c, "w", task, self.asked(c, "w", task))["tools"], 1)
        self.assertNotIn("operators-token", str([s.headers for s in self.resource.seen + self.auth.seen]))
        # kept while the server is the same, and gone with it
        c.call("configure", user="u", **{**self.own(), "model": "offline-2"})
        other = Resource(self.auth)
        self.addCleanup(other.stop)
        other.open = True
        c.call("configure", user="u", **{**self.own(), "mcp_server": {"name": "mine", "id": "i", "url": other.url}})
        self.assertEqual({s.authorization for s in other.of("/mcp")}, {""})
        self.assertEqual(c.error("configure", user="u", **self.own()).kind, "authorization_required")
        # the operator's servers take none, and a field is no place for one
        error = c.error("configure", user="u", **{**self.own(), "mcp_server": {"name": "it", "bearer": "x"}})
        self.assertEqual((error.kind, error.data["field"]), ("unknown_credential", "mcp_server.bearer"))
        for wrong in ("", "a\nb", 3):
            self.assertEqual(c.error("configure", user="u", **self.own(bearer=wrong)).kind, "invalid_credential")
        fields = {"server_configs": {"mine": {"url": self.resource.url, "bearer": "canary"}}}
        self.assertEqual(c.error("context.set", user="v", fields=fields).kind, "invalid_value")

    def test_in_shared_mode_all_loops_use_one_authorisation(self):
        """The shared context is served by every loop: what one of them obtained serves the others, and who comes meanwhile joins."""
        d, c = self.host("true")
        task = self.submit(c, "u", "configure", **self.CONFIGURE)
        self.answer(c, "u", task, self.asked(c, "u", task))
        tokens = {c.call("tools.call", user=f"user{i}", name="whoami")["content"][0]["text"] for i in range(16)}
        self.assertEqual((len(tokens), len(self.auth.of("/authorize"))), (1, 1))
        self.resource.revoked.update(self.auth.tokens)
        tasks = [self.submit(c, f"user{i}", "tools.call", name="whoami", arguments={}) for i in range(16)]
        ends = [follow(c, f"user{i}", t)[0] for i, t in enumerate(tasks)]
        self.assertEqual({e["state"] for e in ends}, {"complete"}, ends)
        self.assertEqual(len(self.auth.of("/authorize")), 1)
        self.assertEqual([s.form["grant_type"] for s in self.auth.of("/token")], ["authorization_code", "refresh_token"])


if __name__ == "__main__":
    unittest.main()
