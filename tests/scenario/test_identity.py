"""Who asks: every method with every identity that is not good, on every transport; tokens, their file and their life; certificates; front ends on ipc."""
import json
import os
import pathlib
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from harness.attack import EVERYWHERE
from harness.client import RpcError, host_port
from harness.daemon import BIN, Daemon, clean_env, run_tdad, until

NOBODY, GAMES = 65534, 5  # users that every Debian has
REFUSALS = {"token_required", "token_invalid", "token_expired", "not_trusted", "denied"}
YAML = f"contexts: {{persistence: false}}\nmcp_servers:\n  shop: {{command: [{BIN}/mcp-sqlite, {BIN.parent}/share/tda/sample.db]}}\n"


def tda(d, *args, code=0, env=None, url=None):
    r = subprocess.run([str(BIN / "tda"), "--socket", url or d.url, *args], capture_output=True, text=True, env=clean_env(env), timeout=60)
    assert r.returncode == code, f"{args}: exit {r.returncode}: {r.stdout}{r.stderr}"
    return r.stdout, r.stderr


def steady(v):
    """Without what changes by looking."""
    if isinstance(v, dict):
        return {k: steady(x) for k, x in v.items() if k not in ("idle_s", "age_ms", "ended_ms", "last_use")}
    return [steady(x) for x in v] if isinstance(v, list) else v


class Everything:
    """A daemon with something of everything for two users, and all the tokens that there can be."""

    def __init__(self):
        self.d = Daemon(YAML, listen=EVERYWHERE)
        self.c = self.d.client
        self.session, self.task = {}, {}
        for user in ("alice", "bob"):
            self.c.call("configure", user=user, provider="offline", model="offline-1", mcp_server={"name": "shop"})
            self.c.call("profile.put", user=user, tag="FAST", model="offline-2")
            self.session[user] = self.c.call("session.create", user=user)["session"]
            self.c.call("agent.run", user=user, session=self.session[user], input="Which tables are there?", idempotency_key=f"of {user}")
            self.task[user] = self.c.call("task.submit", user=user, method="agent.run", params={"input": "hello"})["task"]
            self.c.call("task.poll", user=user, task=self.task[user], wait_ms=20000)
        self.alice, self.bob = self.token(user="alice"), self.token(user="bob")
        self.service, self.operator = self.token(service=True), self.token(service=True, operator=True)
        self.expired, self.revoked = self.token(user="alice", expires="1s"), self.token(user="alice")
        self.c.call("token.revoke", id=next(t["id"] for t in reversed(self.c.call("token.list")["tokens"])))
        time.sleep(1.1)
        self.methods = self.c.call("host.methods")["methods"]

    def token(self, **spec):
        return self.c.call("token.create", **spec)["token"]

    def params(self, m, user):
        """What would have an effect on `user` if it were let through; from the table, so that a new method is no exception."""
        named = {"session": self.session[user], "task": self.task[user], "fields": {"model": "intruded"}, "tag": "FAST", "method": "agent.run", "params": {"input": "x"},
                 "path": f"{self.d.dir}/intruded.db", "id": "000000000000", "input": "intruded", "provider": "offline", "model": "intruded", "title": "intruded",
                 "request": "r", "json": None, "service": True}
        by_type = {"text": "x", "number": 1, "boolean": True, "object": {}, "list": []}
        names = [p for p in m["params"] if p["required"] or p["name"] in ("input", "provider", "model", "title", "service", "messages")]
        names = [p for p in names if p["name"] != "messages" or "input" not in {q["name"] for q in m["params"]}]
        params = {p["name"]: named.get(p["name"], by_type.get(p["type"].split(" or ")[0])) for p in names}
        if m["name"] == "job.run":
            params["name"] = "context_cleanup"
        if m["name"] == "plugin.load":
            params["name"] = "offline"
        return params if m["name"].startswith("token.") else {"user": user, **params}

    def dump(self):
        """All that is kept of anybody, and the counts of what is keyed by user."""
        c, kept = self.c, {"contexts": sorted(self.c.call("context.list")["contexts"], key=lambda x: x["user"]), "tokens": self.c.call("token.list")}
        for user in ("alice", "bob"):
            sessions = c.call("session.list", user=user)["sessions"]
            kept[user] = [c.call("context.get", user=user), c.call("status", user=user), c.call("profile.list", user=user), c.call("usage.get", user=user),
                          c.call("task.list", user=user), sessions, [c.call("session.get", user=user, session=s["session"]) for s in sessions]]
        stats = until(lambda: (s := c.call("host.stats"))["requests"]["users_in_flight"] == 1 and s, what="the last reply's request to be gone")
        kept["stats"] = [stats["contexts"], stats["stored_replies"], stats["tasks"], stats["requests"]["users_in_flight"], stats["children"], stats["calls"]["started"]]
        kept["jobs"] = [(j["name"], j["runs"]) for j in c.call("job.list")["jobs"] if j["name"] == "context_cleanup"]
        kept["plugins"] = [(p["id"], p["generation"]) for p in c.call("plugin.list")["plugins"]]
        kept["files"] = sorted(p.name for p in self.d.dir.iterdir())
        return steady(kept)


class Matrix(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.w = Everything()
        cls.d = cls.w.d

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()

    def identities(self, url):
        """(name, members of params, kind of the refusal): what is good for no method with alice's name in it."""
        w, rows = self.w, []
        wrong = ["tda_" + "0" * 64, "", "x", "tda_", "tda_" + "g" * 64, w.alice.upper(), w.alice[:-1], w.alice + "0", " " + w.alice, w.alice + "\0", "\0" * 68, "a" * 100000,
                 w.alice[4:], "' OR 1=1 --", 7, None, True, {}, [w.alice]]
        if not url.startswith("ipc:"):
            rows.append(("none", {}, "token_required"))
        rows += [(f"wrong {str(t)[:12]!r}", {"auth": t}, "token_invalid") for t in wrong]
        rows += [("expired", {"auth": w.expired}, "token_expired"), ("revoked", {"auth": w.revoked}, "token_invalid"), ("bob's", {"auth": w.bob}, "denied")]
        return rows

    def refused(self, c, method, params, kind, what):
        for more in ({}, {"idempotency_key": "of alice"}):
            e = c.error(method, **{**params, **more})
            self.assertEqual(e.kind, kind, f"{what}: {method}: {e.message}")

    def test_every_method_with_every_identity_that_is_not_good(self):
        w, calls = self.w, 0
        before = w.dump()
        for url in self.d.listeners():
            c = self.d.connect(url)
            c.auth = None
            for m in w.methods:
                params = {"user": "alice", **w.params(m, "alice")}
                for name, auth, kind in self.identities(url):
                    self.refused(c, m["name"], {**params, **auth}, kind, f"{url}: {name}")
                    calls += 1
                if m.get("operator"):
                    for name, token in (("a user's", w.alice), ("a service's", w.service)):
                        self.refused(c, m["name"], {**w.params(m, "alice"), "auth": token}, "denied", f"{url}: {name}")
            e = c.error("no.such.method", auth=w.expired)
            self.assertEqual(e.kind, "token_expired", "who may not ask is told nothing of what there is")
            c.close()
        self.assertEqual(w.dump(), before, "nobody's state was touched, and nothing was made for anybody")
        self.assertEqual(w.d.stats()["requests"]["in_flight"], 1)
        print(f"identity: {len(w.methods)} methods, {calls} refusals, nothing touched")

    def test_what_is_anothers_is_not_had_by_its_id(self):
        w = self.w
        before = w.dump()
        for url in self.d.listeners():
            c = self.d.connect(url)
            c.auth = w.bob
            for method, params, kinds in (("task.poll", {"task": w.task["alice"]}, {"denied"}), ("task.cancel", {"task": w.task["alice"]}, {"denied"}),
                                          ("task.respond", {"task": w.task["alice"], "request": "r", "json": {}}, {"denied"}),
                                          ("session.get", {"session": w.session["alice"]}, {"session_not_found"}),
                                          ("session.export", {"session": w.session["alice"]}, {"session_not_found"}),
                                          ("session.rename", {"session": w.session["alice"], "title": "x"}, {"session_not_found"}),
                                          ("session.delete", {"session": w.session["alice"]}, {"session_not_found"}),
                                          ("agent.run", {"session": w.session["alice"], "input": "x"}, {"session_not_found"})):
                self.assertIn(c.error(method, **params).kind, kinds, f"{url}: {method}")
            self.assertEqual({t["task"] for t in c.call("task.list")["tasks"]} & {w.task["alice"]}, set())
            self.assertEqual([s["session"] for s in c.call("session.list")["sessions"]], [w.session["bob"]])
            c.close()
        after = w.dump()
        for part in ("alice", "contexts", "tokens"):
            self.assertEqual(after[part], before[part])

    def test_zz_the_same_calls_with_the_right_identity_are_let_through(self):
        """Else the matrix would prove nothing. Last, for it changes things."""
        w, c = self.w, self.d.connect(self.d.listeners()[1])
        for m in sorted(w.methods, key=lambda m: (m["name"] in ("context.delete", "user.delete", "session.delete", "profile.delete"), m["name"] == "user.delete")):
            c.auth = w.operator if m["operator"] else w.alice
            try:
                c.call(m["name"], **w.params(m, "alice"))
            except RpcError as e:
                self.assertNotIn(e.kind, REFUSALS, f"{m['name']}: {e.message}")
        self.assertNotIn("alice", {x["user"] for x in w.c.call("context.list")["contexts"]}, "user.delete went through")
        for m in w.methods:  # a service may name users
            if not m["operator"]:
                c.auth = w.service
                try:
                    c.call(m["name"], **w.params(m, "bob"))
                except RpcError as e:
                    self.assertNotIn(e.kind, REFUSALS, f"{m['name']}: {e.message}")
        c.close()


class Tokens(unittest.TestCase):
    def test_a_users_token_implies_its_user(self):
        with Daemon(YAML, listen=["tcp://127.0.0.1:0"]) as d:
            c = d.connect(d.listeners()[1], d.client.call("token.create", user="alice")["token"])
            c.call("configure", provider="offline", model="offline-1")
            self.assertEqual([x["user"] for x in d.client.call("context.list")["contexts"]], ["alice"])
            self.assertIn("hello", c.call("agent.run", input="hello")["text"])
            self.assertEqual(c.error("agent.run", user="bob", input="hello").kind, "denied")
            self.assertEqual(c.error("host.ping", user="bob").kind, "denied")
            task = c.call("task.submit", method="agent.run", params={"input": "hello"})["task"]
            self.assertEqual(c.call("task.poll", task=task, wait_ms=20000)["task"], task)
            self.assertEqual(d.client.error("status", user="bob", auth=c.auth).kind, "denied", "on ipc a token that is given decides, too")
            c.close()

    def test_a_user_who_is_deleted_takes_his_tokens_along(self):
        with Daemon(YAML, listen=["tcp://127.0.0.1:0"]) as d:
            one, two, bob = (d.client.call("token.create", user=user)["token"] for user in ("alice", "alice", "bob"))
            service = d.client.call("token.create", service=True)["token"]
            c = d.connect(d.listeners()[1])
            c.call("configure", provider="offline", model="offline-1", auth=one)
            self.assertEqual(d.client.call("user.delete", user="alice")["tokens"], 2)
            self.assertEqual([c.error("status", auth=t).kind for t in (one, two)], ["token_invalid"] * 2)
            self.assertEqual(d.client.call("user.delete", user="alice")["tokens"], 0)
            c.call("status", auth=bob)
            c.call("status", auth=service, user="alice")
            c.close()
            d.process.kill()
            d.process.wait()
            d.start()
            d.ready()
            c = d.connect(d.listeners()[1])
            self.assertEqual([c.error("status", auth=t).kind for t in (one, two)], ["token_invalid"] * 2, "the file has forgotten them")
            c.call("status", auth=bob)
            c.close()

    def test_the_same_request_with_a_new_token_is_the_same_request(self):
        with Daemon(YAML, listen=["tcp://127.0.0.1:0"]) as d:
            one, two = (d.client.call("token.create", user="alice")["token"] for _ in range(2))
            c = d.connect(d.listeners()[1])
            first = c.call("context.set", fields={"model": "m"}, idempotency_key="k", auth=one)
            self.assertEqual(c.call("context.set", fields={"model": "m"}, idempotency_key="k", auth=two), first)
            self.assertEqual(c.error("context.set", fields={"model": "n"}, idempotency_key="k", auth=two).kind, "idempotency_conflict")
            c.close()

    def test_its_text_is_kept_nowhere_and_its_use_is_written_by_the_job_alone(self):
        with Daemon(YAML + "log: {level: debug}\n", listen=["tcp://127.0.0.1:0"]) as d:
            made = d.client.call("token.create", user="alice", label="laptop")
            c = d.connect(d.listeners()[1], made["token"])
            c.call("configure", provider="offline", model="offline-1", idempotency_key="k")
            session = c.call("session.create")["session"]
            c.call("agent.run", session=session, input="hello", idempotency_key="k2")
            c.error("status", auth=made["token"][:-1] + "x")
            file, db = d.dir / "tokens.db", (d.dir / "tokens.db").read_bytes()
            self.assertEqual(file.stat().st_mode & 0o777, 0o600)
            for _ in range(300):
                c.call("host.ping")
            self.assertEqual(file.read_bytes(), db, "300 requests, no write")
            row = next(t for t in d.client.call("token.list")["tokens"] if t["id"] == made["id"])
            self.assertIsNotNone(row["last_use"])
            d.client.call("job.run", name="token_save")
            self.assertNotEqual(file.read_bytes(), db)
            secret = made["token"].encode()
            for path in d.dir.rglob("*"):
                if path.is_file():
                    self.assertNotIn(secret, path.read_bytes(), path.name)
                    self.assertNotIn(secret[4:], path.read_bytes(), path.name)
            c.close()

    def test_revoked_is_revoked_at_once_and_after_kill_9(self):
        with Daemon(YAML, listen=["tcp://127.0.0.1:0"]) as d:
            kept, gone = (d.client.call("token.create", user="alice") for _ in range(2))
            c = d.connect(d.listeners()[1], gone["token"])
            c.call("host.ping")
            self.assertEqual(d.client.call("token.revoke", id=gone["id"])["tokens"], 2)
            self.assertEqual(c.error("host.ping").kind, "token_invalid", "on a connection that was there")
            d.process.kill()
            d.process.wait()
            d.start()
            d.ready()
            c = d.connect(d.listeners()[1], gone["token"])
            self.assertEqual(c.error("host.ping").kind, "token_invalid")
            self.assertEqual(c.call("host.ping", auth=kept["token"]), {"pong": True})
            self.assertEqual(d.client.error("token.revoke", id=gone["id"]).kind, "unknown_token")
            c.close()

    def test_what_cannot_be_made(self):
        with Daemon(YAML + "limits: {tokens: 2}\n") as d:
            for params, field in (({}, "user"), ({"user": "alice", "service": True}, "service"), ({"user": "alice", "operator": True}, "operator"),
                                  ({"user": "../x"}, "user"), ({"user": "a" * 129}, "user"), ({"user": "a\0b"}, "user"), ({"user": "alice", "label": "a\nb"}, "label"),
                                  ({"user": "alice", "label": "a" * 101}, "label"), ({"user": "alice", "expires": "soon"}, "expires"),
                                  ({"user": "alice", "expires": "0d"}, "expires"), ({"user": "alice", "expires": "99999d"}, "expires")):
                e = d.client.error("token.create", **params)
                self.assertEqual((e.kind, e.data.get("field")), ("invalid_param", field), params)
            self.assertFalse((d.dir / "tokens.db").exists(), "there is no file before there is a token")
            for _ in range(2):
                d.client.call("token.create", service=True)
            self.assertEqual(d.client.error("token.create", service=True).kind, "too_many_tokens")

    def test_what_cannot_be_written_is_no_token(self):
        with tempfile.TemporaryDirectory(dir="/tmp") as folder, Daemon(YAML, env={"TDA_TOKENS": f"{folder}/here/tokens.db"}) as d:
            os.rmdir(f"{folder}/here")
            e = d.client.error("token.create", service=True)
            self.assertEqual(e.kind, "tokens_not_saved")
            self.assertIn(f"{folder}/here/tokens.db", e.message)
            self.assertEqual(d.client.call("token.list")["tokens"], [])
            os.mkdir(f"{folder}/here")
            d.client.call("token.create", service=True)
        code, _, err = run_tdad("--set", "listen=ipc:///tmp/tda-no/s", env={"TDA_TOKENS": "/dev/null/tokens.db"})
        self.assertEqual(code, 1)
        self.assertIn("/dev/null/tokens.db", err)

    def test_without_a_store_there_are_none(self):
        with Daemon(YAML, env={"TDA_TOKENS": "none"}) as d:
            self.assertEqual(d.client.error("token.create", service=True).kind, "tokens_off")
            self.assertEqual(d.client.call("token.list"), {"tokens": []})

    def test_the_command(self):
        with Daemon(YAML, listen=["tcp://127.0.0.1:0"]) as d:
            tcp = d.listeners()[1]
            out, err = tda(d, "--user", "alice", "token", "create", "--expires", "30d", "--label", "laptop")
            token = out.strip()
            self.assertRegex(token, r"^tda_[0-9a-f]{64}$", "stdout is the token alone")
            self.assertIn("shown this once", err)
            (d.dir / "alice.token").write_text(out)
            d.client.call("configure", user="alice", provider="offline", model="offline-1")
            for env, args in (({"TDA_TOKEN": token}, ()), ({}, ("--token-file", str(d.dir / "alice.token"))), ({"TDA_TOKEN_FILE": str(d.dir / "alice.token")}, ())):
                self.assertIn("hello", tda(d, *args, "ask", "hello", url=tcp, env=env)[0])
            self.assertIn("a token is wanted", tda(d, "ping", code=1, url=tcp)[1])
            self.assertIn("operator's", tda(d, "token", "list", code=1, url=tcp, env={"TDA_TOKEN": token})[1])
            self.assertIn("every user of this machine", tda(d, "--token", token, "ping", code=2)[1])
            table = tda(d, "token", "list")[0]
            self.assertIn("laptop", table)
            rows = json.loads(tda(d, "--json", "token", "list")[0])["tokens"]
            (own,) = [t["id"] for t in rows if t["user"] == "alice"]
            self.assertIn("revoked", tda(d, "token", "revoke", own, env={"TDA_USER": "alice"})[0])
            self.assertIn("there is no such token", tda(d, "ping", code=1, url=tcp, env={"TDA_TOKEN": token})[1])
            self.assertIn("another process", tda(d, "token", "list", "--store", str(d.dir / "tokens.db"), code=1)[1])
            last = next(t["id"] for t in rows if t["id"] != own)
            self.assertIn("it was the last one", tda(d, "token", "revoke", last)[1])
            self.assertEqual(tda(d, "token", "make", code=2)[0], "")
            for words in (("token", "create"), ("token", "revoke")):
                tda(d, *words, code=2)

    def test_the_command_without_a_daemon(self):
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            store = ("--store", f"{folder}/tokens.db")
            run = lambda *args: subprocess.run([str(BIN / "tda"), *args, *store], capture_output=True, text=True, env=clean_env(), timeout=60)  # noqa: E731
            made = json.loads(run("--json", "token", "create", "--service", "--label", "first").stdout)
            self.assertEqual([json.loads(run("--json", "token", "list").stdout)[0][k] for k in ("id", "label", "service")], [made["id"], "first", True])
            self.assertEqual(run("token", "revoke", "nothing").returncode, 1)
            self.assertEqual(run("token", "revoke", made["id"]).returncode, 0)
            self.assertEqual(json.loads(run("--json", "token", "list").stdout), [])
            pathlib.Path(f"{folder}/tokens.db").write_bytes(b"no database at all" * 100)
            self.assertIn("tokens.db", run("token", "list").stderr)


class Start(unittest.TestCase):
    def refuses(self, words, *args, env=None, check_too=True):
        for more in (("--check",), ()) if check_too else ((),):
            code, _, err = run_tdad(*args, *more, env=env)
            self.assertIn(code, (1, 78), err)
            for word in words:
                self.assertIn(word, err)

    def test_a_listener_without_tokens_refuses_to_start_and_check_says_so(self):
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            env = {"TDA_TOKENS": f"{folder}/tokens.db"}
            for url in ("tcp://127.0.0.1:0", "ws://127.0.0.1:0/tda"):
                self.refuses([url, "there is no token", "tda token create --service --store " + env["TDA_TOKENS"]],
                             "--set", f"listen=[ipc://{folder}/tda.sock, {url}]", env=env)
                self.refuses([url, "there is no token", "identity.tokens"], "--set", f"listen={url}", env={"TDA_TOKENS": "none"})
            self.assertFalse(os.path.exists(env["TDA_TOKENS"]), "a check makes nothing")

    def test_check_beside_the_daemon_that_has_the_tokens(self):
        with Daemon(YAML, listen=["tcp://127.0.0.1:0"]) as d:
            r = subprocess.run([*d.command, "--check"], capture_output=True, text=True, env=d.env, timeout=30)
            self.assertEqual((r.returncode, r.stderr), (0, ""))

    def test_wrong_certificates(self):
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            f = pathlib.Path(folder)
            for name in ("one", "two"):
                subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f / f"{name}.key", "-out", f / f"{name}.pem",
                                "-days", "1", "-subj", "/CN=localhost"], check=True, capture_output=True)
            subprocess.run(["openssl", "pkey", "-in", f / "one.key", "-aes256", "-passout", "pass:x", "-out", f / "locked.key"], check=True, capture_output=True)
            (f / "empty").write_text("")
            subprocess.run([str(BIN / "tda"), "-q", "token", "create", "--service", "--store", f / "tokens.db"], check=True, capture_output=True, env=clean_env())
            for tls, words in (("{}", ["it needs a certificate and its key", "tls: {cert:"]), (f"{{cert: {f}/none.pem, key: {f}/one.key}}", ["tls.cert", "No such file"]),
                               (f"{{cert: {f}/one.pem, key: {f}/none.key}}", ["tls.key", "No such file"]),
                               (f"{{cert: {f}/one.key, key: {f}/one.key}}", ["tls.cert", "holds no certificate"]),
                               (f"{{cert: {f}/one.pem, key: {f}/one.pem}}", ["tls.key", "holds no private key"]),
                               (f"{{cert: {f}/one.pem, key: {f}/two.key}}", ["tls.key", "is not the key of the certificate"]),
                               (f"{{cert: {f}/one.pem, key: {f}/locked.key}}", ["tls.key", "passphrase"]),
                               (f"{{cert: {f}/empty, key: {f}/one.key}}", ["tls.cert"]), (f"{{cert: {f}, key: {f}/one.key}}", ["tls.cert", "no file of PEM"]),
                               (f"{{cert: {f}/one.pem, key: {f}/one.key, ca: {f}/empty}}", ["tls.ca", "holds no certificate"])):
                for url in ("tls+tcp://127.0.0.1:0", "wss://127.0.0.1:0/tda"):
                    self.refuses(words, "--set", f"listen={url}", "--set", f"tls={tls}", env={"TDA_TOKENS": str(f / "tokens.db")})

    def test_a_client_shows_a_certificate_where_tls_ca_asks_for_one(self):
        with Daemon(YAML, listen=["tls+tcp://127.0.0.1:0"]) as first:
            cert, key = first.cert.read_bytes(), (first.dir / "key.pem").read_bytes()
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            f = pathlib.Path(folder)
            (f / "cert.pem").write_bytes(cert)
            (f / "key.pem").write_bytes(key)
            with Daemon(f"{YAML}tls: {{cert: {f}/cert.pem, key: {f}/key.pem, ca: {f}/cert.pem}}\n", listen=["tcp://127.0.0.1:0"], args=("--set", f"listen=[ipc://{f}/s, \"tls+tcp://127.0.0.1:0\"]"),
                        wait=False) as d:
                d.url = f"ipc://{f}/s"
                d.ready()
                for shows in (False, True):
                    context = ssl._create_unverified_context()
                    if shows:
                        context.load_cert_chain(f / "cert.pem", f / "key.pem")
                    with socket.create_connection(host_port(d.listeners()[1]), 10) as s:
                        try:
                            t = context.wrap_socket(s)
                            t.sendall(b"\0SP\0\0\x30\0\0")
                            answer = t.recv(8)
                        except OSError:
                            answer = b""
                    self.assertEqual(len(answer), 8 if shows else 0)


@unittest.skipUnless(os.geteuid() == 0, "becomes another user")
class Peers(unittest.TestCase):
    def connect_as(self, d, uid):
        os.seteuid(uid)
        try:
            return d.connect()
        finally:
            os.seteuid(0)

    def test_the_peers_user_decides_on_ipc(self):
        with Daemon(YAML + f"identity: {{front_ends: [{GAMES}], operators: [\"4\"]}}\n") as d:
            d.dir.chmod(0o711)
            listed, other, operator = (self.connect_as(d, uid) for uid in (GAMES, NOBODY, 4))
            listed.call("configure", user="alice", provider="offline", model="offline-1")
            self.assertEqual(listed.error("context.list").kind, "denied", "a front end is no operator")
            self.assertEqual(operator.call("context.list")["count"], 1)
            before = d.client.call("context.list")["count"], d.client.call("context.get", user="alice")
            for m in d.client.call("host.methods")["methods"]:
                self.assertEqual(other.error(m["name"], user="alice").kind, "not_trusted", m["name"])
                if m["operator"]:
                    self.assertEqual(listed.error(m["name"], user="alice").kind, "denied", m["name"])
            self.assertEqual((d.client.call("context.list")["count"], d.client.call("context.get", user="alice")), before)
            token = d.client.call("token.create", user="alice")["token"]
            self.assertTrue(other.call("status", auth=token)["configured"], "a token is good there, too")
            for c in (listed, other, operator):
                c.close()

    def test_nobody_else_gets_at_the_socket_unless_somebody_is_listed(self):
        with Daemon(YAML) as d:
            d.dir.chmod(0o711)
            with self.assertRaises(PermissionError):
                self.connect_as(d, NOBODY)

    def test_a_user_that_is_not_there(self):
        code, _, err = run_tdad("--set", "identity.front_ends=[no-such-user]", "--check")
        self.assertEqual(code, 78)
        self.assertIn('"no-such-user" is no user of this machine', err)


if __name__ == "__main__":
    unittest.main()
