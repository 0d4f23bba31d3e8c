"""Two users never share a child, a session, a token or a list that is one's own; asserted on what servers received. Acceptance line 12, and the mistakes of other gateways:
sessions pooled by address and credentials, replies routed by an id that two clients chose, lists cached for all, tokens kept by address."""
import json
import pathlib
import re
import tempfile
import threading
import unittest

from harness.daemon import SLOW, until
from harness.host import Host, faulty, messages, text_of
from harness.mcp_http import McpHttp
from harness.sign_in import OAuth, visit

USERS = [f"user{i}" for i in range(6)]


def all_at_once(host, work):
    """work: {user: [(tool, arguments)]}, each user's in order, users side by side; {user: [text]}."""
    said = {}

    def run(user):
        c = host.connect()
        said[user] = [text_of(c.call("tools.call", user=user, name=tool, arguments=arguments)) for tool, arguments in work[user]]
        c.close()

    threads = [threading.Thread(target=run, args=(u,)) for u in work]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert set(said) == set(work), f"no answers for {set(work) - set(said)}"
    return said


class Children(unittest.TestCase):
    def test_each_has_a_process_that_counts_for_him_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            with Host({"s": {**faulty(), "env": {"MCP_RECORD": f"{folder}/${{user_hash}}"}}}) as h:
                for u in USERS:
                    h.configure(u, "s")
                said = all_at_once(h, {u: [pair for i in range(50) for pair in (("count", {}), ("echo", {"text": f"of {u}: {i}"}))] for u in USERS})
                processes = {u: {line.split()[1] for line in said[u][0::2]} for u in USERS}
                self.assertEqual({len(p) for p in processes.values()}, {1})
                self.assertEqual(len(set.union(*processes.values())), len(USERS))
                for u in USERS:
                    self.assertEqual([line.split()[2] for line in said[u][0::2]], [str(i + 1) for i in range(50)], "nobody else's calls are counted")
                    self.assertEqual(said[u][1::2], [f"of {u}: {i}" for i in range(50)])
            files = [p for p in pathlib.Path(folder).iterdir() if p.suffix != ".starts"]
            self.assertEqual(len(files), len(USERS))
            for path in files:
                texts = [m["params"]["arguments"]["text"] for m in messages(path) if m.get("params", {}).get("name") == "echo"]
                self.assertEqual(len({t.split(":")[0] for t in texts}), 1, "one child saw one user")

    def test_an_answer_that_comes_too_late_is_nobodys(self):
        with Host({"s": faulty()}, "calls: {tool_timeout: 500ms}\n") as h:
            h.configure("a", "s")
            for i in range(3):
                self.assertEqual(h.refused("a", "slow", seconds=0.8 * SLOW).kind, "timeout")
                slots = [h.client.begin("tools.call", user="a", name="echo", arguments={"text": f"{i}-{k}"}) for k in range(30)]
                self.assertEqual([text_of(h.client.end(s)) for s in slots], [f"{i}-{k}" for k in range(30)])

    def test_what_one_cancels_goes_on_for_the_other(self):
        with tempfile.TemporaryDirectory() as folder:
            with Host({"s": {**faulty(), "env": {"MCP_RECORD": f"{folder}/${{user_hash}}"}}}) as h:
                tasks = {}
                for u in ("a", "b"):
                    h.configure(u, "s")
                    tasks[u] = h.begin(u, "tools.call", name="slow", arguments={"seconds": 1.5})
                until(lambda: sum("slow" in p.read_text() for p in pathlib.Path(folder).iterdir()) == 2, what="both calls")
                h.call("a", "task.cancel", task=tasks["a"])
                self.assertEqual(text_of(h.end("b", tasks["b"])[0]), "slept")
                cancelled = [p for p in pathlib.Path(folder).iterdir() if "notifications/cancelled" in p.read_text()]
                self.assertEqual(len(cancelled), 1)


class Connections(unittest.TestCase):
    """Who shares what, where the operator says so."""

    def test_each_session_of_one_user_has_its_own_where_the_server_is_stateful(self):
        with Host({"s": faulty(stateful=True), "t": faulty()}) as h:
            for server, wanted in (("s", 2), ("t", 1)):
                h.configure("a", server)
                sessions = [h.call("a", "session.create")["session"] for _ in range(2)]
                said = {s: [] for s in sessions}
                for _ in range(3):
                    for s in sessions:
                        said[s].append(h.call("a", "agent.run", session=s, input=f"use {server}__count {{}}")["text"])
                pids = {s: {re.search(r"fake (\d+)", text).group(1) for text in said[s]} for s in sessions}
                self.assertEqual({len(p) for p in pids.values()}, {1}, said)
                self.assertEqual(len(set.union(*pids.values())), wanted)
                if wanted == 2:
                    self.assertEqual([re.search(r"fake \d+ (\d+)", text).group(1) for text in said[sessions[1]]], ["1", "2", "3"], "the other session's calls are not counted")

    def test_one_for_all_where_it_is_shared(self):
        with Host({"s": faulty(share=True)}, "loops: 1\n") as h:  # one for each loop
            for u in USERS:
                h.configure(u, "s")
            said = all_at_once(h, {u: [("echo", {"text": f"{u} {i}"}) for i in range(40)] for u in USERS})
            for u in USERS:
                self.assertEqual(said[u], [f"{u} {i}" for i in range(40)], "each answer to who asked")
            pids = {json.loads(h.said(u, "whoami"))["pid"] for u in USERS}
            self.assertEqual(len(pids), 1)
            tasks = {u: h.begin(u, "tools.call", name="slow", arguments={"seconds": 1}) for u in USERS}
            h.call(USERS[0], "task.cancel", task=tasks[USERS[0]])
            for u in USERS[1:]:
                self.assertEqual(text_of(h.end(u, tasks[u])[0]), "slept", "cancelled for one, and for nobody else")
            h.client.call("context.delete", user=USERS[1])
            self.assertEqual(json.loads(h.said(USERS[2], "whoami"))["pid"], pids.pop(), "it goes with the last of them")


class Sessions(unittest.TestCase):
    """One address, and one bearer token for all, which the operator has given."""

    def test_each_has_a_session_of_his_own(self):
        with McpHttp(keys={"shared": "everybody"}) as s, Host({"s": {"url": s.url, "bearer": "${env:MCP_KEY}"}}, env={"MCP_KEY": "shared"}) as h:
            for u in USERS:
                h.configure(u, "s")
            said = all_at_once(h, {u: [pair for i in range(40) for pair in (("count", {}), ("echo", {"text": f"of {u}: {i}"}))] for u in USERS})
            sessions = {u: {line.split()[0] for line in said[u][0::2]} for u in USERS}
            self.assertEqual({len(x) for x in sessions.values()}, {1})
            self.assertEqual(len(set.union(*sessions.values())), len(USERS))
            texts = {}
            for r in s.requests("tools/call", "echo"):
                self.assertEqual(r.headers["authorization"], "Bearer shared")
                texts.setdefault(r.session, set()).add(r.message["params"]["arguments"]["text"].split(":")[0])
            self.assertEqual({len(t) for t in texts.values()}, {1}, "one session saw one user")
            for u in USERS:
                self.assertEqual(said[u][1::2], [f"of {u}: {i}" for i in range(40)])

    def test_ids_are_not_taken_twice_in_a_session(self):
        with McpHttp() as s, Host({"s": {"url": s.url}}) as h:
            for u in ("a", "b"):
                h.configure(u, "s")
            all_at_once(h, {u: [("echo", {"text": "x"})] * 50 for u in ("a", "b")})
            ids = [(r.session, json.dumps(r.message["id"])) for r in s.requests("tools/call")]
            self.assertEqual(len(ids), len(set(ids)))

    def test_a_change_of_configuration_is_a_new_session(self):
        with McpHttp() as s, Host({"s": {"url": s.url}, "t": {"url": s.url}}) as h:
            h.configure("a", "s")
            first = h.said("a", "count").split()[0]
            h.configure("a", "t")
            self.assertNotEqual(h.said("a", "count").split()[0], first)
            until(lambda: [r.session for r in s.verbs("DELETE")] == [first], what="the end of the former")

    def test_what_one_loses_the_other_keeps(self):
        with McpHttp() as s, Host({"s": {"url": s.url}}) as h:
            for u in ("a", "b"):
                h.configure(u, "s")
            kept = h.said("b", "count").split()[0]
            for _ in range(3):
                s.faults = {"tools/call": ["lost404"]}
                h.use("a", "echo", text="x")
                self.assertEqual(h.said("b", "count").split()[0], kept)


class Tokens(unittest.TestCase):
    def test_a_bearer_token_goes_to_its_server_and_to_no_other(self):
        with McpHttp(keys={"canary-one": "one"}) as one, McpHttp() as two, McpHttp() as elsewhere:
            servers = {"one": {"url": one.url, "bearer": "${env:KEY_ONE}", "headers": {"X-Api-Key": "${env:KEY_TWO}"}}, "two": {"url": two.url}}
            with Host(servers, "log: {level: debug}\negress: {allow_private: true}\n", env={"KEY_ONE": "canary-one", "KEY_TWO": "canary-two"}) as h:
                h.configure("a", "one")
                h.configure("b", "two")
                h.client.call("configure", user="c", provider="offline", model="offline-1", mcp_server={"name": "mine", "id": "mine", "url": elsewhere.url})
                for u in ("a", "b", "c"):
                    h.use(u, "echo", text="x")
                one.faults = {"tools/call": ["redirect"]}
                one.redirect_to = two.url
                h.refused("a", "echo", text="x")
                self.assertEqual({r.headers.get("authorization") for r in one.seen}, {"Bearer canary-one"})
                self.assertEqual({r.headers.get("x-api-key") for r in one.seen}, {"canary-two"})
                for s in (two, elsewhere):
                    self.assertNotIn("canary", json.dumps([r.headers for r in s.seen]))
                heard = json.dumps([h.client.call(m) for m in ("host.stats", "config.explain", "context.list")] + [h.call("a", m) for m in ("context.get", "status", "tools.list")])
                self.assertNotIn("canary", heard + h.text())

    def test_a_refused_token_says_so_and_is_not_tried_for_ever(self):
        with McpHttp(keys={"right": "x"}) as s, Host({"s": {"url": s.url, "bearer": "${env:KEY}"}}, env={"KEY": "canary-wrong"}) as h:
            e = h.client.error("configure", user="a", provider="offline", model="offline-1", mcp_server={"name": "s"})
            self.assertNotIn("canary", e.message + h.text())
            self.assertEqual({r.headers["authorization"] for r in s.seen}, {"Bearer canary-wrong"})
            self.assertLess(len(s.seen), 6)


class OAuthTokens(unittest.TestCase):
    """Users sign in for themselves at a server that the operator has given to all."""

    def setUp(self):
        self.oauth = OAuth()
        self.s = McpHttp(oauth=self.oauth)
        self.h = Host({"s": {"url": self.s.url, "oauth": {"redirect_uri": "http://localhost:3000/callback"}}}, "log: {level: debug}\negress: {allow_private: true}\n")

    def tearDown(self):
        self.h.stop()
        self.s.close()

    def sign_in(self, user):
        task = self.h.begin(user, "configure", provider="offline", model="offline-1", mcp_server={"name": "s"})
        ask = self.h.ask(user, task)
        self.assertEqual((ask["kind"], ask["server"]), ("authorization", "s"))
        self.h.call(user, "task.respond", task=task, request=ask["request"], json={"action": "accept", "content": {"redirect": visit(ask["url"], user)}})
        self.h.end(user, task)

    def users_of_sessions(self):
        found = {}
        for r in self.s.requests("tools/call"):
            found.setdefault(r.session, set()).add(r.headers["authorization"].split("-")[1])
        return found

    def test_each_signs_in_for_himself(self):
        e = self.h.client.error("configure", user="nobody", provider="offline", model="offline-1", mcp_server={"name": "s"})
        self.assertNotEqual(e.kind, "internal", "a plain call has nobody who could sign in")
        for u in ("a", "b"):
            self.sign_in(u)
            self.assertEqual([n for n in self.h.tools(u) if n.startswith("only_for_")], [f"only_for_{u}"])
        for i in range(10):
            for u in ("a", "b"):
                self.assertEqual(self.h.said(u, "echo", text=f"{u} {i}"), f"{u} {i}")
        self.assertEqual(sorted(len(x) for x in self.users_of_sessions().values()), [1, 1])
        for r in self.s.requests("tools/call", "echo"):
            self.assertEqual(r.headers["authorization"].split("-")[1], r.message["params"]["arguments"]["text"].split()[0])
        self.assertNotIn("access-", self.h.text())
        self.assertNotIn("refresh-", self.h.text())

    def test_an_expired_token_is_refreshed_with_its_owners_alone(self):
        for u in ("a", "b"):
            self.sign_in(u)
        for _ in range(3):
            self.oauth.expire()
            for u in ("a", "b"):
                self.assertEqual(self.h.said(u, "echo", text=u), u)
        self.assertEqual([sorted(x)[0] for x in self.users_of_sessions().values() if len(x) > 1], [])
        self.assertTrue([g for g in self.oauth.grants if g["grant_type"] == "refresh_token"])

    def test_another_users_answer_is_not_taken(self):
        task = self.h.begin("a", "configure", provider="offline", model="offline-1", mcp_server={"name": "s"})
        ask = self.h.ask("a", task)
        other = self.h.begin("b", "configure", provider="offline", model="offline-1", mcp_server={"name": "s"})
        back = visit(self.h.ask("b", other)["url"], "b")
        self.assertEqual(self.h.client.error("task.respond", user="b", task=task, request=ask["request"], json={"action": "accept", "content": {"redirect": back}}).kind, "denied")
        self.h.call("a", "task.respond", task=task, request=ask["request"], json={"action": "accept", "content": {"redirect": back}})  # b's page, pasted by a
        self.h.ask("a", task, but=ask)  # asked once more: it is not the end of this sign-in
        self.assertEqual(self.oauth.grants, [], "nobody's code was used")
        self.assertEqual(self.oauth.tokens, {}, "nobody has got a token")

    def test_a_deleted_users_tokens_are_gone(self):
        self.sign_in("a")
        self.h.client.call("context.delete", user="a")
        grants = len(self.oauth.grants)
        self.sign_in("a")  # asks again
        self.assertEqual(self.oauth.grants[grants]["grant_type"], "authorization_code")


class Lists(unittest.TestCase):
    """A server that shows each caller another list, and says that it may be kept for an hour."""

    def test_a_private_list_is_its_users(self):
        for era in ("legacy", "modern"):
            with self.subTest(era), McpHttp(era, keys={"key-a": "a", "key-b": "b"}) as s:
                s.ttl_ms, s.cache_scope = 3600000, "private"
                servers = {u: {"url": s.url, "bearer": f"${{env:KEY_{u}}}"} for u in ("a", "b")}
                with Host(servers, env={"KEY_a": "key-a", "KEY_b": "key-b"}) as h:
                    for u in ("a", "b", "a", "b"):
                        h.configure(u, u)
                        self.assertEqual([n for n in h.tools(u) if n.startswith("only_for_")], [f"only_for_{u}"])
                    for u, other in (("a", "b"), ("b", "a")):
                        self.assertEqual(h.refused(u, f"only_for_{other}").kind, "unknown_tool")


if __name__ == "__main__":
    unittest.main()
