"""Sessions: acceptance lines 45, 46; a turn acknowledged is a turn kept, across kill -9 and a full disk."""
import json
import os
import pathlib
import random
import shutil
import sqlite3
import stat
import subprocess
import tempfile
import threading
import time
import unittest

from harness.client import RpcError
from harness.daemon import BIN, Daemon, run_tdad, until
from harness.upstream import Upstream

PER_USER = "contexts: {persistence: false}\n"
DAY_MS = 24 * 3600 * 1000


def fake(up):
    return f"providers:\n  Fake: {{plugin: openai, base_url: \"{up.base}\"}}\n"


class Place:
    """A folder whose sessions outlive the daemons that use it."""

    def __init__(self, yaml=PER_USER, under=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tda-store-", dir=under or "/tmp"))
        self.path = self.dir / "state" / "sessions.db"
        self.yaml = yaml

    def daemon(self, more="", **env):
        return Daemon(self.yaml + more, env={"TDA_SESSIONS_PATH": str(self.path), **env})

    def sql(self, text):
        """As the real sqlite3 sees it."""
        r = subprocess.run(["sqlite3", "-json", str(self.path), text], capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout or "[]")

    def __enter__(self):
        return self

    def __exit__(self, *args):
        shutil.rmtree(self.dir, ignore_errors=True)


def offline(c, user, **more):
    c.call("configure", user=user, provider="offline", model="offline-1", **more)


def configure(c, user, model="model1"):
    c.call("configure", user=user, provider="Fake", model=model, credentials={"api_key": f"key-of-{user}"})


def run(c, user, session, text, **more):
    return c.call("agent.run", user=user, session=session, input=text, **more)


def try_submit(c, asked):
    try:
        return c.call("task.submit", user="u", **asked)["task"]
    except RpcError:
        return None


def texts(got):
    return [(m["role"], "".join(p.get("text", "") for p in m["content"])) for t in got["history"] for m in t["messages"]]


class Sessions(unittest.TestCase):
    def test_a_title_by_the_model(self):
        with Upstream() as up, Place(PER_USER + "calls: {attempts: 1}\nsessions: {title: model}\n" + fake(up)) as place, place.daemon() as d:
            c = d.client
            configure(c, "u")
            s = c.call("session.create", user="u")["session"]
            before = len(up.chats())
            reply = run(c, "u", s, "how is the weather")
            asked = [x.json["messages"] for x in up.chats()[before:]]
            self.assertEqual(len(asked), 2, "the turn, and the title")
            self.assertIn("title", asked[1][0]["content"])
            self.assertEqual((reply["text"], asked[1][1]["content"]), ("echo: how is the weather", "how is the weather"))
            got = c.call("session.get", user="u", session=s)
            self.assertEqual((got["title"], len(got["history"])), ("echo: how is the weather", 1), "the title is the model's, and no turn")
            self.assertEqual(got["usage"]["calls"], 2, "its tokens count")
            run(c, "u", s, "and tomorrow")
            self.assertEqual(len(up.chats()) - before, 3, "asked once")

            named = c.call("session.create", user="u", title="mine")["session"]
            run(c, "u", named, "x")
            self.assertEqual(len(up.chats()) - before, 4, "not where there is a title")

            other = c.call("session.create", user="u")["session"]
            up.faults = [None, "500"]
            self.assertEqual(run(c, "u", other, "what if it fails")["text"], "echo: what if it fails")
            self.assertEqual(c.call("session.get", user="u", session=other)["title"], "what if it fails")

    def test_a_session_remembers_what_was_said(self):
        with Upstream() as up, Place() as place, place.daemon(fake(up)) as d:
            c = d.client
            configure(c, "alice")
            s = c.call("session.create", user="alice")["session"]
            self.assertRegex(s, "^s-[0-9a-f]{32}$")
            reply = run(c, "alice", s, "  first\n  question ")
            self.assertEqual((reply["text"], reply["session"]), ("echo:   first\n  question ", s))
            run(c, "alice", s, "second", system="be brief")
            sent = up.chats()[-1].json["messages"]
            self.assertEqual([(m["role"], m["content"]) for m in sent if m["role"] != "system"],
                             [("user", "  first\n  question "), ("assistant", "echo:   first\n  question "), ("user", "second")])
            self.assertEqual(sent[0]["role"], "system", "instructions come first and are not kept")
            got = c.call("session.get", user="alice", session=s)
            self.assertEqual(got["title"], "first question")
            self.assertEqual(got["turns"], 2)
            self.assertEqual([r for r, _ in texts(got)], ["user", "assistant"] * 2)
            self.assertEqual([(t["n"], t["provider"], t["model"], t["stop"]) for t in got["history"]],
                             [(1, "Fake", "model1", "end_turn"), (2, "Fake", "model1", "end_turn")])
            lines = [json.loads(x) for x in c.call("session.export", user="alice", session=s)["lines"].splitlines()]
            self.assertEqual([x["type"] for x in lines], ["session", "turn", "turn"])
            self.assertEqual(lines[2]["messages"], got["history"][1]["messages"])
            self.assertEqual(oct(place.path.stat().st_mode & 0o777), "0o600")
            self.assertEqual(oct(place.path.parent.stat().st_mode & 0o777), "0o700")

    def test_tool_calls_and_results_are_kept_whole(self):
        with Upstream() as up, Place() as place, place.daemon(
                fake(up) + f"mcp_servers: {{a: {{command: [{BIN}/mcp-sqlite, {BIN.parent}/share/tda/sample.db]}}}}\n") as d:
            c = d.client
            c.call("configure", user="u", provider="Fake", model="model1", credentials={"api_key": "k" * 12}, mcp_server={"name": "a"})
            s = c.call("session.create", user="u", title="tools")["session"]
            run(c, "u", s, 'use a__query {"sql": "SELECT 40+2 AS x"}')
            run(c, "u", s, "and then?")
            sent = up.chats()[-1].json["messages"]
            self.assertEqual([m["role"] for m in sent], ["user", "assistant", "tool", "assistant", "user"])
            self.assertEqual(sent[1]["tool_calls"][0]["id"], sent[2]["tool_call_id"])
            self.assertIn("42", str(sent[2]["content"]))
            run(c, "u", s, 'again and again use a__query {"sql": "SELECT 1"}', max_steps=1)
            run(c, "u", s, "after the limit")
            sent = up.chats()[-1].json["messages"]
            asked = [t["id"] for m in sent for t in m.get("tool_calls", [])]
            answered = [m["tool_call_id"] for m in sent if m["role"] == "tool"]
            self.assertEqual(asked, answered, "a call that was not run has a result, too")
            self.assertEqual(c.call("session.get", user="u", session=s)["title"], "tools")

    def test_45_other_users_sessions(self):
        for hidden in (True, False):
            with Place() as place, place.daemon(TDA_SESSIONS_FILTER_BY_USER=str(hidden).lower()) as d:
                c = d.client
                offline(c, "u1")
                offline(c, "u2")
                s = c.call("session.create", user="u1", title="mine")["session"]
                run(c, "u1", s, "a secret")
                listed = [x["session"] for x in c.call("session.list", user="u2")["sessions"]]
                if hidden:
                    self.assertEqual(listed, [])
                    unknown = c.error("session.get", user="u2", session="s-" + "0" * 32)
                    for method, more in (("session.get", {}), ("session.export", {}), ("session.rename", {"title": "x"}),
                                         ("session.delete", {}), ("agent.run", {"input": "x"})):
                        e = c.error(method, user="u2", session=s, **more)
                        self.assertEqual((e.kind, e.message), ("session_not_found", unknown.message), f"{method}: as one that is not there")
                else:
                    self.assertEqual(listed, [s])
                    self.assertIn("a secret", c.call("session.export", user="u2", session=s)["lines"])
                    for method, more in (("session.rename", {"title": "x"}), ("session.delete", {}), ("agent.run", {"input": "x"})):
                        self.assertEqual(c.error(method, user="u2", session=s, **more).kind, "session_read_only", method)
                self.assertEqual(place.sql("SELECT user, title, turns FROM sessions"), [{"user": "u1", "title": "mine", "turns": 1}],
                                 "nothing was changed, and no copy made")

    def test_a_key_knows_the_profile_that_was_asked_for(self):
        """The tag is part of what was asked, whether its user is configured or not any more."""
        with Upstream() as up, Place() as place:
            def asked(c):
                return run(c, "u", s, "@A once", idempotency_key="k1")["text"], c.error("agent.run", user="u", session=s, input="@B once", idempotency_key="k1").kind

            def prepare(c):
                configure(c, "u")
                for tag in ("A", "B"):
                    c.call("profile.put", user="u", tag=tag, model="model2")

            with place.daemon(fake(up)) as d:
                prepare(d.client)
                s = d.client.call("session.create", user="u")["session"]
                self.assertEqual(asked(d.client), ("echo: once", "idempotency_conflict"))
            with place.daemon(fake(up)) as d:
                self.assertEqual(asked(d.client), ("echo: once", "idempotency_conflict"), "nobody is configured")
            with place.daemon(fake(up)) as d:
                prepare(d.client)
                self.assertEqual(asked(d.client), ("echo: once", "idempotency_conflict"), "nothing is in memory")
            self.assertEqual(len(up.chats()), 1, "counted at the upstream")

    def test_list_search_sort_and_pages(self):
        with Place() as place, place.daemon() as d:
            c = d.client
            offline(c, "u")
            made = [c.call("session.create", user="u", title=f"title {i:02} {'100%' if i == 7 else '_x'}")["session"] for i in range(25)]
            for sort in ("updated", "created", "title"):
                seen, cursor = [], {}
                while True:
                    page = c.call("session.list", user="u", sort=sort, limit=7, **cursor)
                    seen += [x["session"] for x in page["sessions"]]
                    if "cursor" not in page:
                        break
                    cursor = {"cursor": page["cursor"]}
                self.assertEqual(seen, made if sort == "title" else made[::-1], sort)
            run(c, "u", made[3], "something about Elephants")
            self.assertEqual(c.call("session.list", user="u")["sessions"][0]["session"], made[3], "the last used one first")
            for search, found in (("100%", [made[7]]), ("elephants", [made[3]]), ("TITLE 11", [made[11]]), ("no such", []), ("' OR 1", [])):
                self.assertEqual([x["session"] for x in c.call("session.list", user="u", search=search)["sessions"]], found, search)
            for bad in ({"cursor": "x"}, {"cursor": "t3-x"}, {"sort": "size"}, {"limit": 0}, {"limit": 1.5}):
                self.assertEqual(c.error("session.list", user="u", **bad).kind, "invalid_param", bad)
            c.call("session.rename", user="u", session=made[0], title="another")
            c.call("session.delete", user="u", session=made[1])
            titles = {x["session"]: x["title"] for x in c.call("session.list", user="u", limit=100)["sessions"]}
            self.assertEqual(titles[made[0]], "another")
            self.assertNotIn(made[1], titles)

    def test_inherit_or_follow(self):
        with Upstream() as up, Place() as place, place.daemon(fake(up)) as d:
            c = d.client
            configure(c, "u", "model1")
            follows = c.call("session.create", user="u")["session"]
            inherits = c.call("session.create", user="u", follow=False)["session"]
            configure(c, "u", "model2")
            for session, model in ((follows, "model2"), (inherits, "model1")):
                reply = run(c, "u", session, "x")
                sent = up.chats()[-1]
                self.assertEqual((sent.json["model"], sent.key, reply["meta"]["model"]), (model, "key-of-u", model))
            self.assertEqual(c.call("context.get", user="u")["context"]["model"], "model2", "the user's own is as it was")
            self.assertNotIn("key-of-u", place.sql("SELECT context FROM sessions WHERE context IS NOT NULL")[0]["context"])
            offline(c, "u")
            run(c, "u", inherits, "x")
            self.assertEqual((up.chats()[-1].json["model"], up.chats()[-1].key), ("model1", ""), "the key went with the provider")

    def test_one_turn_at_a_time_and_a_failed_one_leaves_nothing(self):
        with Upstream() as up, Place() as place, place.daemon(fake(up)) as d:
            c = d.client
            configure(c, "u")
            s = c.call("session.create", user="u")["session"]
            up.delay = 1
            slot = c.begin("agent.run", user="u", session=s, input="slow")
            until(lambda: len(up.chats()) == 1)
            e = c.error("agent.run", user="u", session=s, input="at once")
            self.assertEqual(e.kind, "session_busy")
            self.assertGreater(e.data["retry_ms"], 0)
            c.end(slot)
            up.delay = 0
            up.faults = ["401"]
            self.assertEqual(c.error("agent.run", user="u", session=s, input="refused").kind, "credentials_refused")
            self.assertEqual([t for _, t in texts(c.call("session.get", user="u", session=s))], ["slow", "echo: slow"])
            gone = d.connect()
            up.delay = 1
            gone.begin("agent.run", user="u", session=s, input="hangs up")
            until(lambda: len(up.chats()) == 3)
            gone.close()
            until(lambda: d.stats()["requests"]["in_flight"] == 1)
            self.assertEqual(c.call("session.get", user="u", session=s)["turns"], 1)


    def test_a_turn_that_cannot_be_kept_is_an_error_and_its_tokens_count(self):
        with Upstream() as up, Place() as place, place.daemon(fake(up) + "sessions: {turns: 2}\n") as d:
            c = d.client
            configure(c, "u")
            s = c.call("session.create", user="u")["session"]
            up.delay = 1
            slot = c.begin("agent.run", user="u", session=s, input="slow")
            until(lambda: len(up.chats()) == 1)
            c.call("session.delete", user="u", session=s)
            with self.assertRaises(RpcError) as caught:
                c.end(slot)
            self.assertEqual(caught.exception.kind, "session_not_found")
            until(lambda: c.call("usage.get", user="u")["total"]["calls"] == 1)
            up.delay = 0
            s = c.call("session.create", user="u")["session"]
            for _ in range(2):
                run(c, "u", s, "x")
            self.assertEqual(c.error("agent.run", user="u", session=s, input="x").kind, "session_full")
            self.assertEqual(len(up.chats()), 3, "said before the model is paid")


class Kept(unittest.TestCase):
    def test_a_key_is_answered_from_the_store_after_kill_9(self):
        with Upstream() as up, Place() as place:
            d = place.daemon(fake(up))
            configure(d.client, "u")
            s = d.client.call("session.create", user="u")["session"]
            first = run(d.client, "u", s, "once", idempotency_key="k1")
            d.kill()
            with place.daemon(fake(up)) as d:
                c = d.client
                again = run(c, "u", s, "once", idempotency_key="k1")
                self.assertEqual({k: again[k] for k in ("text", "parts", "session")}, {k: first[k] for k in ("text", "parts", "session")})
                self.assertEqual((again["meta"]["model"], again["meta"]["stored"]), ("model1", True))
                self.assertEqual(len(up.chats()), 1, "counted at the upstream")
                self.assertEqual(c.error("agent.run", user="u", session=s, input="other", idempotency_key="k1").kind, "idempotency_conflict")
                self.assertEqual(c.error("agent.run", user="u", session=s, input="new", idempotency_key="k2").kind, "not_configured")
                configure(c, "u")
                run(c, "u", s, "new", idempotency_key="k2")
                self.assertEqual(up.chats()[-1].json["messages"][0]["content"], "once", "the history is there, the context was not")
                self.assertEqual(c.call("session.get", user="u", session=s)["turns"], 2)

    def test_a_task_in_a_session_keeps_its_key_too(self):
        def task(c):
            return c.call("task.submit", user="u", method="agent.run", params={"session": s, "input": "once"}, idempotency_key="k1")["task"]

        def result(c, t):
            return until(lambda: c.call("task.poll", user="u", task=t, wait_ms=1000).get("result"), what="the result")

        with Upstream() as up, Place() as place:
            d = place.daemon(fake(up))
            configure(d.client, "u")
            s = d.client.call("session.create", user="u")["session"]
            first = result(d.client, task(d.client))
            self.assertEqual(first["session"], s)
            d.kill()
            with place.daemon(fake(up)) as d:
                again = result(d.client, task(d.client))
                self.assertEqual((again["text"], again["meta"]["stored"]), (first["text"], True))
                self.assertEqual(len(up.chats()), 1, "counted at the upstream")

    def test_46_kill_9_while_clients_write(self):
        cycles, acknowledged, asked = int(os.environ.get("TDA_KILLS", "20")), {}, 0
        chance = random.Random()
        with Place() as place:
            sessions, wrong = {}, []
            for cycle in range(cycles):
                d = place.daemon("log: {level: error}\n", TDA_LOOPS="2")
                lock, clients = threading.Lock(), {}

                def client(number, cycle=cycle, d=d, lock=lock, clients=clients):
                    nonlocal asked
                    user = f"u{number}"
                    try:
                        c = clients[number] = d.connect()
                        offline(c, user)
                        place_in = (user, cycle // 20)
                        with lock:
                            s = sessions.get(place_in)
                        if s is None:
                            s = c.call("session.create", user=user)["session"]
                            with lock:
                                sessions[place_in] = s
                                acknowledged[s] = []
                        for i in range(100000):
                            word = f"turn-{cycle}-{i}"
                            with lock:
                                asked += 1
                            run(c, user, s, word, idempotency_key=f"{cycle}-{i}")
                            with lock:
                                acknowledged[s].append(word)
                    except RpcError as e:
                        wrong.append(f"{e.kind}: {e}")
                    except (OSError, ConnectionError, TimeoutError):
                        pass

                threads = [threading.Thread(target=client, args=(n,)) for n in range(4)]
                for t in threads:
                    t.start()
                time.sleep(chance.uniform(0.02, 0.4))
                d.kill()
                for t in threads:
                    t.join()
                for c in clients.values():
                    c.close()
                self.assertEqual(wrong, [])
                self.assertEqual(place.sql("PRAGMA integrity_check"), [{"integrity_check": "ok"}])
                self.assertEqual(place.sql("PRAGMA foreign_key_check"), [])
            self.assertGreater(sum(map(len, acknowledged.values())), cycles, "it was written meanwhile")
            torn = place.sql("SELECT count(*) AS n FROM sessions s WHERE turns <> (SELECT count(*) FROM turns WHERE session=s.n)"
                             " OR turns <> ifnull((SELECT max(turn) FROM turns WHERE session=s.n), 0)")[0]["n"]
            keyless = place.sql("SELECT count(*) AS n FROM turns t WHERE NOT EXISTS(SELECT 1 FROM keys WHERE turn=t.n)")[0]["n"]
            self.assertEqual((torn, keyless), (0, 0))
            db = sqlite3.connect(place.path)
            for s, words in acknowledged.items():
                stored = []
                for (messages,) in db.execute("SELECT t.messages FROM turns t JOIN sessions s ON s.n=t.session WHERE s.id=? ORDER BY turn", (s,)):
                    question, answer = json.loads(messages)
                    self.assertEqual((question["role"], answer["role"]), ("user", "assistant"))
                    stored.append(question["content"][0]["text"])
                self.assertEqual(len(stored), len(set(stored)), "no turn is there twice")
                self.assertEqual([w for w in words if w not in set(stored)], [], "every acknowledged turn is there")
                self.assertEqual([w for w in stored if w in set(words)], words, "in their order")
            turns = db.execute("SELECT count(*), sum(calls) FROM turns").fetchone()
            self.assertEqual(db.execute("SELECT sum(turns), sum(calls) FROM usage").fetchone(), turns, "usage goes with its turn")
            db.close()
            print(f"{cycles} kills, {asked} turns asked for, {sum(map(len, acknowledged.values()))} acknowledged, {turns[0]} in the store")

    def test_a_full_disk_is_an_error_and_loses_nothing(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tda-full-", dir="/tmp"))
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k,mode=0700", "tmpfs", str(folder)], capture_output=True, text=True)
        if mounted.returncode:
            folder.rmdir()
            self.skipTest(f"mount is not allowed here: {mounted.stderr.strip()}")
        try:
            with Place(under=folder) as place:
                with place.daemon() as d:
                    c = d.client
                    offline(c, "u")
                    s = c.call("session.create", user="u")["session"]
                    kept, failed = [], []
                    for i in range(400):
                        word = f"w{i} " + "x" * 20000
                        try:
                            run(c, "u", s, word)
                            kept.append(word)
                        except RpcError as e:
                            self.assertEqual(e.kind, "store_full")
                            self.assertIn("disk is full", e.message)
                            failed.append(word)
                        if len(failed) == 5:
                            break
                    self.assertEqual(len(failed), 5)
                    self.assertGreater(len(kept), 5)
                    stored = [t for r, t in texts(c.call("session.get", user="u", session=s, limit=1000)) if r == "user"]
                    self.assertEqual(stored, kept)
                    self.assertEqual(d.text().count("session store fails"), 1, "said once")
                    filler = subprocess.run(["mount", "-o", "remount,size=8m", str(folder)], capture_output=True)
                    self.assertEqual(filler.returncode, 0)
                    more = 0

                    def works_again():
                        nonlocal more
                        run(c, "u", s, "room again")
                        more += 1
                        return "works again" in d.text()

                    until(works_again, what="the log says that it works again")
                self.assertEqual(place.sql("PRAGMA integrity_check"), [{"integrity_check": "ok"}])
                self.assertEqual(place.sql("SELECT count(*) AS n FROM turns"), [{"n": len(kept) + more}])
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
            folder.rmdir()

    def test_the_file_is_one_daemons_and_is_checked(self):
        with Place() as place:
            with place.daemon() as d:
                offline(d.client, "u")
                s = d.client.call("session.create", user="u")["session"]
                run(d.client, "u", s, "hello")
                env = {"TDA_SESSIONS_PATH": str(place.path)}
                code, _, err = run_tdad("--set", f"listen=ipc://{place.dir}/s.sock", env=env)
                self.assertEqual(code, 1)
                self.assertIn("another tdad", err)
                copy = place.dir / "backup.db"
                self.assertEqual(d.client.call("store.backup", path=str(copy))["path"], str(copy))
                self.assertEqual(d.client.error("store.backup", path=str(copy)).kind, "backup_exists")
                self.assertEqual(d.client.error("store.backup", path="relative.db").kind, "backup_failed")
                self.assertEqual(stat.S_IMODE(copy.stat().st_mode), 0o600)
            self.assertEqual([p.name for p in place.dir.iterdir() if "backup" in p.name], ["backup.db"])
            whole = place.path.read_bytes()
            torn = bytearray(whole)
            torn[4096:4096 * 4] = random.Random(1).randbytes(4096 * 3)
            place.path.write_bytes(torn)
            code, _, err = run_tdad("--set", f"listen=ipc://{place.dir}/s.sock", env=env)
            self.assertEqual(code, 1)
            self.assertIn("damaged", err)
            self.assertIn("tda backup", err)
            self.assertEqual(place.path.read_bytes(), torn, "never replaced")
            for name in place.path.parent.iterdir():
                name.unlink()
            shutil.copy(copy, place.path)
            with place.daemon() as d:
                self.assertEqual(d.client.call("session.get", user="u", session=s)["turns"], 1)

    def test_schema_versions(self):
        with Place() as place:
            with place.daemon() as d:
                offline(d.client, "u")
                s = d.client.call("session.create", user="u")["session"]
                run(d.client, "u", s, "hello")
            subprocess.run(["sqlite3", str(place.path), "DROP TABLE usage; DROP TABLE pins; PRAGMA user_version=1"], check=True)  # as the first schema was
            with place.daemon() as d:
                self.assertIn("up to date", d.text())
                self.assertEqual(d.client.call("session.get", user="u", session=s)["turns"], 1)
                self.assertEqual(d.client.call("usage.get", user="u")["usage"], [])
            subprocess.run(["sqlite3", str(place.path), "PRAGMA user_version=99"], check=True)
            env = {"TDA_SESSIONS_PATH": str(place.path)}
            code, _, err = run_tdad("--set", f"listen=ipc://{place.dir}/s.sock", env=env)
            self.assertEqual(code, 1)
            self.assertIn("later version", err)
            other = place.dir / "other.db"
            subprocess.run(["sqlite3", str(other), "CREATE TABLE x(y)"], check=True)
            code, _, err = run_tdad("--set", f"listen=ipc://{place.dir}/s.sock", env={"TDA_SESSIONS_PATH": str(other)})
            self.assertEqual(code, 1)
            self.assertIn("another program", err)

    def test_retention(self):
        with Place() as place:
            more = "sessions: {per_user: 6}\nmaintenance: {session_retention: {interval: 1h, max_age: 1d, keep_per_user: 2, usage_max_age: 2d}}\n"
            with place.daemon(more) as d:
                c = d.client
                offline(c, "u")
                made = [c.call("session.create", user="u", title=f"t{i}")["session"] for i in range(6)]
                self.assertEqual(c.error("session.create", user="u").kind, "too_many_sessions")
                c.call("session.create", user="other", title="old")
                run(c, "u", made[0], "used last")
            subprocess.run(["sqlite3", str(place.path), f"UPDATE sessions SET updated_ms=updated_ms-{2 * DAY_MS} WHERE user='other';"
                            "INSERT INTO usage SELECT user, day-3, provider, model, 1, 1, 0, 1, 1, 0, 0, 0 FROM usage"], check=True)
            with place.daemon(more) as d:
                note = d.client.call("job.run", name="session_retention")["note"]
                self.assertEqual(note, "5 sessions, 0 keys, 1 rows of usage removed")
                self.assertEqual([x["session"] for x in d.client.call("session.list", user="u")["sessions"]], [made[0], made[5]])

    def test_without_a_store(self):
        with Daemon(PER_USER, env={"TDA_SESSIONS_PATH": "none"}) as d:
            offline(d.client, "u")
            for method, more in (("session.create", {}), ("session.list", {}), ("usage.get", {}), ("agent.run", {"input": "x", "session": "s-1"})):
                self.assertEqual(d.client.error(method, user="u", **more).kind, "sessions_off", method)
            self.assertTrue(d.client.call("agent.run", user="u", input="x")["text"])


if __name__ == "__main__":
    unittest.main()
