"""OAuth at HTTP MCP servers: what was sent where, and whose token."""
import ipaddress
import json
import os
import pathlib
import pty
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from harness.daemon import BIN, SOURCE, Daemon, clean_env
from harness.oauth_server import AuthServer, Resource, visit
from harness.tasks import follow

HERE = pathlib.Path(__file__).resolve().parent


def own_name():
    """This machine's name, if it stands for an address of its own that is not public."""
    try:
        name = socket.gethostname()
        private = ipaddress.ip_address(socket.gethostbyname(name)).is_private
        return name if private and name != "localhost" else None
    except OSError:
        return None


NAME = own_name()
ADAPTER = tempfile.mkdtemp(prefix="tda-oauth-", dir="/tmp")


def setUpModule():
    subprocess.run(["cc", "-shared", "-fPIC", "-fvisibility=hidden", "-I", str(SOURCE / "include"), str(HERE / "harness" / "asker.c"), "-o",
                    ADAPTER + "/asker.so"], check=True)


def tearDownModule():
    shutil.rmtree(ADAPTER)


class OAuth(unittest.TestCase):
    def setUp(self):
        self.auth = AuthServer()
        self.resource = Resource(self.auth)
        self.d = None

    def start(self, more="", extra="", env=None):
        self.d = Daemon(f"contexts: {{persistence: false}}\nplugins: {{load: [offline, {ADAPTER}/asker.so], strict_modes: false}}\n{extra}"
                        f"log: {{level: debug}}\nmcp_servers:\n  it: {{url: \"{self.resource.url}\", adapter: asker{more}}}\n", env=env)
        self.c = self.d.client
        for user in ("u", "v"):
            self.configure(user)

    def configure(self, user):
        self.c.call("configure", user=user, provider="offline", model="offline-1", mcp_server={"name": "it"})

    def tearDown(self):
        log = self.d.stop() if self.d else ""
        for s in (self.auth, self.resource):
            s.stop()
        for word in ("token-", "refresh-", "code-", "code_verifier", "state="):
            self.assertNotIn(word, log)

    # ---- a user at his terminal ----

    def submit(self, user, **args):
        args = {"url": self.resource.url, "body": "hello", **args}
        return self.c.call("task.submit", user=user, method="tools.call", params={"name": "get", "arguments": args})["task"]

    def ask(self, user, task):
        after = 0
        while True:
            reply = self.c.call("task.poll", user=user, task=task, after=after, wait_ms=20000)
            after = reply["next"]
            asks = [e for e in reply["events"] if e["type"] == "ask"]
            if asks or reply["state"] != "running":
                self.assertTrue(asks, reply)
                return asks[-1]

    def respond(self, user, task, ask, redirect):
        answer = {"action": "accept", "content": {"redirect": redirect}}
        self.c.call("task.respond", user=user, task=task, request=ask["request"], json=answer)

    def end(self, user, task):
        reply, _ = follow(self.c, user, task)
        return reply

    def run_asked(self, user, **args):
        """A call that needs the user's authorisation, and gets it."""
        task = self.submit(user, **args)
        ask = self.ask(user, task)
        self.assertEqual((ask["kind"], ask["server"]), ("authorization", "it"))
        self.respond(user, task, ask, visit(ask["url"]))
        return self.end(user, task)

    def run_asked_again(self, user, **args):
        """Likewise, and each time that he is asked."""
        task, after, reply = self.submit(user, **args), 0, {"state": "running"}
        while reply["state"] in ("pending", "running"):
            reply = self.c.call("task.poll", user=user, task=task, after=after, wait_ms=20000)
            after = reply["next"]
            for ask in (e for e in reply["events"] if e["type"] == "ask"):
                self.respond(user, task, ask, visit(ask["url"]))
        return reply

    def text(self, reply):
        self.assertEqual(reply["state"], "complete", reply)
        return reply["result"]["content"][0]["text"]

    def refused(self, reply, kind="authorization_failed"):
        self.assertEqual(reply["state"], "error", reply)
        error = reply["error"]["data"]
        self.assertEqual(error["kind"], kind, reply)
        for word in ("token-", "code-", "state"):
            self.assertNotIn(word, reply["error"]["message"])
        return reply["error"]["message"]

    def call(self, user, **args):
        """A call that is not asked for anything."""
        args = {"url": self.resource.url, "body": "hello", **args}
        return self.c.call("tools.call", user=user, name="get", arguments=args)["content"][0]["text"]

    def bearers(self):
        return [s.authorization for s in self.resource.of("/mcp")]

    # ---- the way to a token ----

    def test_a_token_is_obtained_and_used(self):
        self.start()
        self.assertIn("welcome", self.text(self.run_asked("u")))
        self.assertIn("welcome", self.call("u"))
        first, *rest = self.bearers()
        self.assertEqual(first, "")
        self.assertEqual(len(set(rest)), 1)
        self.assertEqual([s.body for s in self.resource.of("/mcp")], [b"hello"] * 3, "the body came again")
        asked, = self.auth.of("/authorize")
        token, = self.auth.of("/token")
        self.assertEqual(asked.query["resource"], self.resource.url)
        self.assertEqual(token.form["resource"], self.resource.url)
        self.assertEqual(asked.query["scope"], "basic", "the challenge's")
        self.assertEqual(asked.query["code_challenge_method"], "S256")
        registered, = self.auth.clients.values()
        self.assertEqual(registered["application_type"], "native")
        for s in self.auth.seen:
            self.assertNotIn("token-", s.path + str(s.query) + s.authorization)
        self.assertNotIn("token", str([s.query for s in self.resource.seen]))

    def test_nobody_to_ask(self):
        self.start()
        error = self.c.error("tools.call", user="u", name="get", arguments={"url": self.resource.url, "body": "x"})
        self.assertEqual(error.kind, "authorization_required")
        self.assertIn("task.submit", error.data["hint"])
        self.assertEqual(self.auth.of("/register"), [], "nothing is made for nobody")

    def test_two_users_have_two_tokens(self):
        self.start()
        self.text(self.run_asked("u"))
        mine = set(self.bearers()) - {""}
        self.text(self.run_asked("v"))
        both = set(self.bearers()) - {""}
        self.assertEqual((len(mine), len(both)), (1, 2))
        n = len(self.bearers())
        self.call("u"), self.call("v")
        self.assertEqual(self.bearers()[n:], [*mine, *(both - mine)], "each goes with his own")
        self.assertEqual(len(self.auth.clients), 2)

    def test_a_token_goes_to_its_resource_only(self):
        self.start()
        self.text(self.run_asked("u"))
        for path in ("/other", "/mcp/../other", "/mcpx"):
            self.resource.open = True
            self.call("u", url=self.resource.base + path)
        self.assertEqual([s.authorization for s in self.resource.seen if s.path in ("/other", "/mcp/../other", "/mcpx")], ["", "", ""])
        self.assertIn("welcome", self.call("u"))

    def test_many_requests_wait_for_one_authorisation(self):
        self.start()
        self.assertEqual(self.text(self.run_asked("u", times=5)).count("welcome"), 5)
        self.assertEqual([len(self.auth.of(p)) for p in ("/register", "/authorize", "/token")], [1, 1, 1])
        self.assertEqual(self.d.stats()["authorizations"], {"users": 1, "servers": 1, "running": 0, "granted": 1, "failed": 0})

    def test_a_token_is_renewed_once_for_all(self):
        self.auth.expires_in = 2
        self.start()
        self.text(self.run_asked("u"))
        time.sleep(2)
        self.auth.expires_in = 3600
        self.assertEqual(self.call("u", times=5).count("welcome"), 5)
        grants = [s.form["grant_type"] for s in self.auth.of("/token")]
        self.assertEqual(grants, ["authorization_code", "refresh_token"])
        self.assertEqual(self.bearers().count(""), 1, "before it is due, not after a refusal")

    def test_a_refused_token_is_renewed(self):
        self.start()
        self.text(self.run_asked("u"))
        self.resource.revoked.update(self.auth.tokens)
        self.assertIn("welcome", self.call("u"))
        self.assertEqual([s.form["grant_type"] for s in self.auth.of("/token")], ["authorization_code", "refresh_token"])

    def test_the_user_is_asked_when_nothing_can_be_renewed(self):
        self.start()
        self.text(self.run_asked("u"))
        self.resource.revoked.update(self.auth.tokens)
        self.auth.refreshes.clear()
        self.assertIn("welcome", self.text(self.run_asked("u")))
        self.assertEqual(len(self.auth.of("/register")), 1)

    def test_a_server_that_refuses_each_token_has_its_user_asked_once(self):
        refuse = self.resource.check = lambda seen: (401, {"www-authenticate": self.resource.challenge}, b"")
        self.start()
        message = self.refused(self.run_asked_again("u", times=3))
        for word in ("401", "server it", "just brought", self.auth.issuer):
            self.assertIn(word, message)
        self.assertEqual([len(self.auth.of(p)) for p in ("/authorize", "/token")], [1, 1])
        carried = self.bearers()
        self.assertEqual(carried[:3], [""] * 3)
        self.assertEqual((len(carried), len(set(carried[3:]))), (6, 1), carried)
        self.assertTrue(carried[3].startswith("Bearer "))
        self.assertIn("just brought", self.refused(self.run_asked_again("u")), "another call asks anew")
        self.assertEqual(len(self.auth.of("/authorize")), 2)
        del self.resource.check
        self.assertIn("welcome", self.text(self.run_asked_again("u")))
        self.resource.check = refuse
        self.resource.revoked.update(self.auth.tokens)
        self.assertIn("just brought", self.refused(self.run_asked_again("u")), "one that was good, then renewed in vain, then asked")
        self.assertEqual(len(self.auth.of("/authorize")), 4)

    def test_metadata_that_has_moved_is_found_where_it_usually_is(self):
        self.auth.expires_in = 2
        self.resource.challenge = f'Bearer resource_metadata="{self.resource.base}/elsewhere"'
        was, there = self.resource.answer, [True]
        usual = "/.well-known/oauth-protected-resource/mcp"

        def answer(s):
            if s.path == "/elsewhere" and there:
                s.path = usual
            return was(s)

        self.resource.answer = answer
        self.start()
        self.text(self.run_asked("u"))
        there.clear()
        time.sleep(2)
        self.assertIn("welcome", self.call("u"))
        self.assertEqual([s.form["grant_type"] for s in self.auth.of("/token")], ["authorization_code", "refresh_token"])

    # ---- scopes ----

    def test_step_up_asks_for_what_there_was_and_what_is_missing(self):
        self.start()
        self.text(self.run_asked("u"))
        self.resource.needs = {"danger": "admin"}
        self.assertIn("welcome", self.text(self.run_asked("u", body="danger")))
        self.assertEqual([s.query["scope"] for s in self.auth.of("/authorize")], ["basic", "basic admin"])
        self.assertIn("welcome", self.call("u", body="danger"))

    def test_a_scope_that_is_not_granted_is_not_asked_for_for_ever(self):
        self.start()
        self.resource.needs = {"danger": "basic"}
        grant = self.auth.grant
        self.auth.grant = lambda scope, *more: grant("", *more)
        self.assertIn("not granted", self.refused(self.run_asked("u", body="danger")))
        self.assertEqual(len(self.auth.of("/authorize")), 1)

    def test_scopes_of_the_metadata_and_offline_access(self):
        self.resource.challenge = "Bearer"
        self.auth.metadata = {"scopes_supported": ["listed", "offline_access"]}
        self.start(', oauth: {scopes: "more"}')
        self.text(self.run_asked("u"))
        self.assertEqual(self.auth.of("/authorize")[0].query["scope"], "listed more offline_access")

    # ---- what is refused ----

    def attempt(self):
        """Up to the answer of the user, if he is asked at all."""
        task = self.submit("u")
        reply = self.c.call("task.poll", user="u", task=task, wait_ms=20000)
        asks = [e for e in reply["events"] if e["type"] == "ask"]
        if asks:
            self.respond("u", task, asks[0], visit(asks[0]["url"]))
        return self.end("u", task)

    def test_metadata_of_another_resource(self):
        self.start()
        for resource in ("https://evil.example.com/mcp", self.resource.base + "/mc", self.resource.url + "/deeper", None):
            self.resource.prm = {"resource": resource}
            self.assertIn("resource", self.refused(self.attempt()))
        self.assertEqual(self.auth.seen, [])

    def test_metadata_of_another_issuer(self):
        self.auth.metadata = {"issuer": "https://evil.example.com"}
        self.start()
        self.assertIn("issuer", self.refused(self.attempt()))
        self.assertEqual([len(self.auth.of(p)) for p in ("/register", "/authorize", "/token")], [0, 0, 0])

    def test_no_pkce(self):
        self.start()
        for methods in (None, ["plain"], []):
            self.auth.metadata = {"code_challenge_methods_supported": methods}
            self.assertIn("PKCE", self.refused(self.attempt()))
        self.assertEqual(self.auth.of("/register"), [])

    def test_an_answer_of_another_issuer(self):
        self.start()
        for iss in ("https://evil.example.com", self.auth.issuer + "/", self.auth.issuer.upper(), None):
            self.auth.iss = iss
            self.assertIn("iss", self.refused(self.attempt()))
        self.auth.metadata = {"authorization_response_iss_parameter_supported": None}
        self.auth.iss = "https://evil.example.com"
        self.refused(self.attempt())
        self.assertEqual(self.auth.of("/token"), [])
        self.auth.iss = None
        self.assertIn("welcome", self.text(self.attempt()))

    def test_a_wrong_paste_may_be_tried_again(self):
        self.start()
        task = self.submit("u")
        ask = self.ask("u", task)
        good = visit(ask["url"])
        self.respond("u", task, ask, good.replace("state=", "state=x"))
        second = self.ask("u", task)
        while second["request"] == ask["request"]:
            second = self.ask("u", task)
        self.assertIn("address", second["message"])
        self.respond("u", task, second, good)
        self.assertIn("welcome", self.text(self.end("u", task)))

    def test_declined(self):
        self.start()
        task = self.submit("u")
        ask = self.ask("u", task)
        self.c.call("task.respond", user="u", task=task, request=ask["request"], json={"action": "decline"})
        self.refused(self.end("u", task), "authorization_declined")
        self.assertEqual(self.auth.of("/token"), [])

    def test_the_token_endpoint_refuses(self):
        self.auth.refusal = "invalid_target"
        self.start()
        self.assertIn("invalid_target", self.refused(self.attempt()))

    @unittest.skipUnless(NAME, "this machine's name stands for no private address")
    def test_private_addresses_of_a_peers_naming(self):
        """Where the operator's server stands is his to say; what it names is not, unless he names it too."""
        self.resource.stop()
        self.resource = Resource(self.auth, NAME)
        self.start()
        error = self.c.error("tools.call", user="u", name="get", arguments={"url": self.resource.url, "body": "x"})
        self.assertEqual(error.kind, "authorization_failed")
        self.assertIn("127.0.0.1", str(error))
        self.assertEqual(self.auth.seen, [])
        self.d.stop()
        self.start(f', oauth: {{issuer: "{self.auth.issuer}"}}')
        self.assertIn("welcome", self.text(self.run_asked("u")))

    # ---- whose client ----

    def test_a_registered_client_and_its_issuer(self):
        self.start(', oauth: {client_id: "me:1", client_secret: "${env:SECRET}"}', env={"SECRET": "s&cret"})
        self.text(self.run_asked("u"))
        self.assertEqual(self.auth.of("/register"), [])
        self.assertEqual(self.auth.of("/authorize")[0].query["client_id"], "me:1")
        self.assertEqual(self.auth.of("/token")[0].authorization, "Basic bWUlM0ExOnMlMjZjcmV0")
        other = AuthServer()
        self.resource.prm = {"authorization_servers": [other.issuer]}
        self.resource.revoked.update(self.auth.tokens)
        self.assertIn("another authorization server", self.refused(self.attempt()))
        self.assertNotIn("me:1", str([(s.query, s.body) for s in other.seen]))
        other.stop()

    def test_another_authorization_server_gets_nothing_of_the_old(self):
        self.start()
        self.text(self.run_asked("u"))
        old, = self.auth.clients
        other = AuthServer()
        self.resource.prm = {"authorization_servers": [other.issuer]}
        self.resource.auth = other
        self.assertIn("welcome", self.text(self.run_asked("u")))
        self.assertEqual(len(other.clients), 1)
        self.assertNotIn(old, str([(s.query, s.body) for s in other.seen]))
        self.assertNotIn("refresh", str([s.body for s in other.seen if s.path == "/token"]))
        other.stop()

    def test_client_credentials_ask_nobody(self):
        self.auth.gives_refresh = False
        self.start(', oauth: {grant: client_credentials, client_id: me, client_secret: "${env:SECRET}"}', env={"SECRET": "secret"})
        self.assertIn("welcome", self.call("u"))
        form = self.auth.of("/token")[0].form
        self.assertEqual((form["grant_type"], form["scope"], form["resource"]), ("client_credentials", "basic", self.resource.url))

    def test_client_metadata_document(self):
        self.auth.metadata = {"client_id_metadata_document_supported": True}
        self.start(', oauth: {client_metadata_url: "https://host.example/client.json"}')
        self.text(self.run_asked("u"))
        self.assertEqual(self.auth.of("/authorize")[0].query["client_id"], "https://host.example/client.json")
        self.assertEqual(self.auth.of("/register"), [])

    def test_headers_and_bearer(self):
        self.resource.open = True
        self.start(', bearer: "${env:TOKEN}", headers: {X-Team: blue, X-Key: "${env:KEY}"}', env={"TOKEN": "tok", "KEY": "kkk"})
        self.assertIn("welcome", self.call("u"))
        seen, = self.resource.of("/mcp")
        self.assertEqual((seen.authorization, seen.headers["x-team"], seen.headers["x-key"]), ("Bearer tok", "blue", "kkk"))
        self.resource.open = False
        self.assertIn("status 401", self.call("u"))
        self.assertEqual(self.auth.seen, [])

    # ---- the command ----

    def at_a_terminal(self, *words):
        """tda at a terminal of its own: (a function that waits for a text on it, one that types)."""
        pid, fd = pty.fork()
        if not pid:
            os.environ.update(clean_env({"TDA_SOCKET": self.d.url, "TDA_USER": "u"}))
            os.execv(str(BIN / "tda"), ["tda", *words])
        self.addCleanup(os.close, fd)
        seen = b""

        def wait(pattern):
            nonlocal seen
            while not (found := re.search(pattern, seen.decode(errors="replace"), re.S)):
                try:
                    more = os.read(fd, 4096)
                except OSError:
                    more = b""
                self.assertTrue(more, seen.decode(errors="replace"))
                seen += more
            return found

        return wait, lambda text: os.write(fd, text.encode())

    def test_the_command_asks(self):
        self.start()
        wait, type_in = self.at_a_terminal("mcp", "call", "get", json.dumps({"url": self.resource.url, "body": "hello"}))
        url = wait(r"MCP server it asks.*visit (http\S+)\s.*paste").group(1)
        type_in(visit(url) + "\n")
        wait("welcome")

    def test_the_command_fills_in_forms(self):
        self.start()
        schema = {"type": "object", "required": ["city"], "properties": {
            "city": {"type": "string", "title": "City"}, "n": {"type": "integer", "default": 3}, "sure": {"type": "boolean"}, "tags": {"type": "array"}}}
        wait, type_in = self.at_a_terminal("mcp", "call", "ask", json.dumps({"question": {"message": "Where?", "schema": schema}}))
        for prompt, text in (("Where.*City > ", "K\u00f6ln"), ("n \\[3\\] > ", ""), ("sure .*> ", "y"), ("tags .*> ", "a, b")):
            wait(prompt)
            type_in(text + "\n")
        answer = wait(r'q;(\{"action".*?\}\});').group(1)
        self.assertEqual(json.loads(answer), {"action": "accept", "content": {"city": "K\u00f6ln", "n": 3, "sure": True, "tags": ["a", "b"]}})

    # ---- 2025-03-26 ----

    def test_no_metadata_at_all(self):
        self.resource.prm, self.resource.challenge, self.auth.iss = None, "Bearer", None
        was = self.resource.answer
        self.resource.answer = lambda s: self.auth.answer(s) if s.path in ("/register", "/authorize", "/token") else was(s)
        self.start()
        self.assertIn("welcome", self.text(self.run_asked("u")))
        self.assertEqual([s.path for s in self.resource.seen if "well-known" in s.path],
                         ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource",
                          "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"])

    # ---- how long ----

    def test_tokens_go_with_the_users_context(self):
        self.start()
        for method in ("context.delete", "user.delete"):
            self.text(self.run_asked("u"))
            self.c.call(method, user="u")
            self.configure("u")
            error = self.c.error("tools.call", user="u", name="get", arguments={"url": self.resource.url, "body": "x"})
            self.assertEqual(error.kind, "authorization_required")

    def test_a_cancelled_task_ends_its_authorisation(self):
        self.start()
        task = self.submit("u")
        ask = self.ask("u", task)
        self.c.call("task.cancel", user="u", task=task)
        self.assertEqual(self.end("u", task)["state"], "cancelled")
        self.assertEqual(visit(ask["url"])[:4], "http")
        self.assertEqual(self.auth.of("/token"), [])


if __name__ == "__main__":
    unittest.main()
