"""Clients in C, Python, Node, and nngcat: the same scenario, the same replies; and connections that break, counted at the upstream."""
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenario"))
from harness.daemon import BIN, SLOW, Daemon, clean_env  # noqa: E402
from harness.peers import NODE, need_peers  # noqa: E402
from harness.upstream import Upstream  # noqa: E402
from proxy import Proxy  # noqa: E402

SCENARIO = json.loads((HERE / "scenario.json").read_text())
SAMPLE = BIN.parent / "share" / "tda"
DRIVERS = {"C": [str(BIN / "client_driver")], "Python": [sys.executable, str(HERE / "driver.py")], "Node": [str(NODE), str(HERE / "driver.mjs")]}
VOLATILE = {"pid", "boot", "uptime_s", "overhead_us", "upstream_us", "idle_s", "listeners"}
TIMEOUT = 30 * SLOW


def yaml(up, more=""):
    return (f"contexts: {{persistence: false}}\ncalls: {{attempts: 1}}\nmcp_servers:\n  shop: {{command: [{BIN}/mcp-sqlite, {SAMPLE}/sample.db]}}\n"
            f"providers:\n  Fake: {{plugin: openai, base_url: \"{up.base}\"}}\n{more}")


class Driver:
    """A program that makes the calls of one client: d.say("call", "host.ping", {})."""

    def __init__(self, command, url, env=None):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_env({"TDA_SOCKET": url, **(env or {})}))

    def say(self, what, method, params):
        self.process.stdin.write(f"{what} {method} {json.dumps(params)}\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self):
        line = self.process.stdout.readline()
        assert line, f"the driver ended with {self.process.wait()}"
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(TIMEOUT)
        self.process.stdout.close()
        assert code == 0, code


class Nngcat:
    """The same without a client of ours: what the wire says, in a driver's shape."""

    def __init__(self, url):
        self.url = url

    def request(self, method, params):
        text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        r = subprocess.run(["nngcat", "--req", "--connect", self.url, "--raw", "--recv-timeout", str(TIMEOUT), "--data", text], capture_output=True, check=True,
                           timeout=TIMEOUT)
        return json.loads(r.stdout)

    @staticmethod
    def failure(e):
        data = e["data"]
        return {"error": {"code": e["code"], "message": e["message"], "kind": data["kind"], "field": data.get("field", ""), "hint": data.get("hint", ""),
                          "retry_ms": data.get("retry_ms", -1)}}

    def say(self, what, method, params):
        if what == "stream":
            return self.stream(method, params)
        reply = self.request(method, params)
        return self.failure(reply["error"]) if "error" in reply else {"result": reply["result"]}

    def stream(self, method, params):
        user = {"user": params["user"]}
        submitted = self.request("task.submit", {**user, "method": method, "params": {k: v for k, v in params.items() if k != "user"}})
        if "error" in submitted:
            return {"events": [], **self.failure(submitted["error"])}
        events, poll = [], {"state": "pending", "next": 0}
        task = {**user, "task": submitted["result"]["task"]}
        while poll["state"] in ("pending", "running"):
            poll = self.request("task.poll", {**task, "after": poll["next"], "wait_ms": 5000})["result"]
            events += poll["events"]
            if params.get("input") == "cancel me" and poll["state"] == "running":
                self.request("task.cancel", task)
        if poll["state"] == "error":
            return {"events": events, **self.failure(poll["error"])}
        return {"events": events, "state": poll["state"], "result": poll.get("result")}

    def close(self):
        pass


def steady(v):
    """Without what differs from run to run."""
    if isinstance(v, dict):
        return {k: steady(x) for k, x in v.items() if k not in VOLATILE}
    return [steady(x) for x in v] if isinstance(v, list) else v


def joined(events):
    """Pieces of text put together: how they are cut depends on when somebody looks. And without their numbers, for the same reason."""
    all = []
    for e in events:
        e = {k: v for k, v in e.items() if k != "n"}
        if all and e["type"] == all[-1]["type"] == "text":
            all[-1]["text"] += e["text"]
        else:
            all.append(e)
    return all


def fits(expected, got):
    if expected == "*":
        return got is not None
    if isinstance(expected, dict):
        return isinstance(got, dict) and all(k in got and fits(x, got[k]) for k, x in expected.items())
    if isinstance(expected, list):
        return isinstance(got, list) and len(got) == len(expected) and all(map(fits, expected, got))
    return expected == got


def token_for(d, url):
    """What a client's environment has to say."""
    return {} if url.startswith("ipc:") else {"TDA_TOKEN": d.token, "TDA_CA": str(d.cert)}


class Same(unittest.TestCase):
    maxDiff = None

    def replies(self, name, url_of):
        with Upstream(keys={"key-of-bob"}) as up, Daemon(yaml(up), listen=["tcp://127.0.0.1:0", "tls+tcp://localhost:0", "ws://127.0.0.1:0/tda"]) as d:
            url = url_of(d)
            driver = Driver(DRIVERS[name], url, token_for(d, url)) if name in DRIVERS else Nngcat(url)
            got = []
            has_tasks = any(m["name"] == "task.submit" for m in d.client.call("host.methods")["methods"])
            for step in SCENARIO:
                if not has_tasks and ("stream" in step or "task." in step["call"]):
                    continue
                up.faults = [step["fault"]] if "fault" in step else []
                reply = driver.say("stream" if "stream" in step else "call", step.get("stream", step.get("call")), step.get("params", {}))
                if "events" in reply:
                    reply["events"] = joined(reply["events"])
                for part in ("events", "state", "result", "error"):
                    if part in step:
                        self.assertTrue(fits(step[part], reply.get(part)), f"{name}: {step}\ngot {reply}")
                got.append(steady(reply))
            driver.close()
            return got, [s.json["messages"] for s in up.chats()]

    def test_the_same_scenario_has_the_same_replies(self):
        need_peers()
        wanted = self.replies("nngcat", lambda d: d.url)
        for name in DRIVERS:
            for url_of in (lambda d: d.url, lambda d: d.listeners()[1], lambda d: d.listeners()[2], *([lambda d: d.listeners()[3]] if name == "C" else [])):
                self.assertEqual(self.replies(name, url_of), wanted, name)

    def test_a_token_that_is_not_good_and_a_certificate_that_nobody_knows(self):
        need_peers()
        with Daemon("contexts: {persistence: false}\n", listen=["tcp://127.0.0.1:0", "tls+tcp://localhost:0"]) as d:
            good, (tcp, tls) = token_for(d, d.listeners()[2]), d.listeners()[1:]
            for name, command in DRIVERS.items():
                for env, kind in (({}, "token_required"), ({"TDA_TOKEN": "tda_" + "0" * 64}, "token_invalid")):
                    driver = Driver(command, tcp, env)
                    self.assertEqual(driver.hear()["error"]["kind"], kind, name)
                    driver.close()
                driver = Driver(command, tls, {"TDA_TOKEN": good["TDA_TOKEN"]})
                self.assertEqual(driver.hear()["error"]["kind"], "unreachable", name)
                driver.close()


class Broken(unittest.TestCase):
    """The way between client and daemon breaks."""

    @classmethod
    def setUpClass(cls):
        need_peers()
        cls.up = Upstream(keys={"key-of-bob"})
        cls.d = Daemon(yaml(cls.up), listen=["tcp://127.0.0.1:0"])
        cls.d.client.call("configure", user="bob", provider="Fake", model="model1", credentials={"api_key": "key-of-bob"})

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()
        cls.up.close()

    def setUp(self):
        self.up.delay = 0.4
        self.addCleanup(setattr, self.up, "delay", 0)

    def asked(self, text):
        return [s for s in self.up.chats() if text in str(s.json["messages"])]

    def test_a_call_cut_anywhere_runs_once(self):
        for name, command in DRIVERS.items():
            for scheme in ("ipc", "tcp"):
                for where in ("request", "between", "reply"):
                    with self.subTest(name=name, scheme=scheme, where=where), tempfile.TemporaryDirectory(dir="/tmp") as folder:
                        proxy = Proxy(self.d.url if scheme == "ipc" else self.d.listeners()[1], folder if scheme == "ipc" else None)
                        driver = Driver(command, proxy.url, {"TDA_TOKEN": self.d.token} if scheme == "tcp" else {})
                        text = f"{name} {scheme} {where}"
                        proxy.cut_at(text.encode(), where)
                        reply = driver.say("call", "agent.run", {"user": "bob", "input": text})
                        driver.close()
                        proxy.close()
                        self.assertEqual(reply.get("result", reply).get("text"), f"echo: {text}")
                        self.assertEqual(proxy.cuts, 1)
                        self.assertLessEqual(proxy.connections, 2 + (name == "C"))  # nng begins one by itself before its socket is closed
                        self.assertEqual(len(self.asked(text)), 1)

    def test_a_stream_cut_anywhere_is_whole_and_runs_once(self):
        if not any(m["name"] == "task.submit" for m in self.d.client.call("host.methods")["methods"]):
            self.skipTest("this daemon has no tasks")
        for name, command in DRIVERS.items():
            for marker in ("task.submit", "task.poll"):
                for where in ("request", "between", "reply"):
                    with self.subTest(name=name, marker=marker, where=where), tempfile.TemporaryDirectory(dir="/tmp") as folder:
                        proxy = Proxy(self.d.url, folder)
                        driver = Driver(command, proxy.url)
                        text = f"{name} {marker} {where} streamed"
                        proxy.cut_at(marker.encode(), where)
                        reply = driver.say("stream", "agent.run", {"user": "bob", "input": text})
                        driver.close()
                        proxy.close()
                        self.assertEqual([e["type"] for e in joined(reply["events"])], ["start", "text", "usage", "end"])
                        self.assertEqual(joined(reply["events"])[1]["text"], f"echo: {text}")
                        self.assertEqual([e["n"] for e in reply["events"]], sorted({e["n"] for e in reply["events"]}))
                        self.assertEqual((reply["state"], reply["result"]["text"], proxy.cuts), ("complete", f"echo: {text}", 1))
                        self.assertEqual(len(self.asked(text)), 1)

    def test_a_restarted_daemon_is_not_asked_again(self):
        for name, command in DRIVERS.items():
            with self.subTest(name=name), Daemon(yaml(self.up)) as other, tempfile.TemporaryDirectory(dir="/tmp") as folder:
                other.client.call("configure", user="bob", provider="Fake", model="model1", credentials={"api_key": "key-of-bob"})
                proxy = Proxy(self.d.url, folder)
                driver = Driver(command, proxy.url)
                text = f"{name} restarted"
                driver.say("call", "host.ping", {})
                proxy.cut_at(text.encode(), "between")
                proxy.target = other.url
                reply = driver.say("call", "agent.run", {"user": "bob", "input": text})
                self.assertEqual(reply["error"]["kind"], "outcome_unknown")
                self.assertEqual(driver.say("call", "host.ping", {}), {"result": {"pong": True}})
                driver.close()
                proxy.close()
                self.assertEqual(len(self.asked(text)), 1)

    def test_what_only_reads_is_asked_again_even_then(self):
        for name, command in DRIVERS.items():
            with self.subTest(name=name), Daemon(yaml(self.up)) as other, tempfile.TemporaryDirectory(dir="/tmp") as folder:
                proxy = Proxy(self.d.url, folder)
                driver = Driver(command, proxy.url)
                driver.say("call", "host.ping", {})
                proxy.cut_at(b"context.list", "request")
                proxy.target = other.url
                self.assertEqual(driver.say("call", "context.list", {})["result"]["count"], 0)
                driver.close()
                proxy.close()

    def test_it_comes_back_with_the_daemon_or_gives_up_in_time(self):
        for name, command in DRIVERS.items():
            with self.subTest(name=name), tempfile.TemporaryDirectory(dir="/tmp") as folder:
                proxy = Proxy(self.d.url, folder)
                driver = Driver(command, proxy.url, {"RECONNECT_MS": "1000"})
                self.assertEqual(driver.say("call", "host.ping", {}), {"result": {"pong": True}})
                proxy.target = f"ipc://{folder}/nobody.sock"
                proxy.cut_at(b"host.stats", "request")
                self.assertEqual(driver.say("call", "host.stats", {})["error"]["kind"], "unreachable")
                tries = proxy.connections
                self.assertTrue(3 <= tries <= 15, tries)  # it backs off
                proxy.target = self.d.url
                self.assertEqual(driver.say("call", "host.ping", {}), {"result": {"pong": True}})
                driver.close()
                proxy.close()

    def test_a_connection_that_ended_while_idle_is_replaced(self):
        for name, command in DRIVERS.items():
            with self.subTest(name=name), Daemon(yaml(self.up)) as other, tempfile.TemporaryDirectory(dir="/tmp") as folder:
                proxy = Proxy(self.d.url, folder)
                driver = Driver(command, proxy.url)
                self.assertEqual(driver.say("call", "context.list", {})["result"]["count"], 1)
                proxy.target = other.url
                proxy.cut_now()
                time.sleep(0.2)
                began = time.monotonic()
                self.assertEqual(driver.say("call", "context.set", {"user": "new", "fields": {"model": "m"}}), {"result": {"epoch": 1}})
                self.assertLess(time.monotonic() - began, 2 * SLOW)
                self.assertEqual(other.client.call("context.list")["count"], 1)
                driver.close()
                proxy.close()

    def test_nobody_there_is_said_at_once(self):
        with socket.create_server(("127.0.0.1", 0)) as web:
            threading.Thread(target=lambda: [answer(*web.accept()) for _ in DRIVERS], daemon=True).start()
            for name, command in DRIVERS.items():
                for url, kind in (("ipc:///tmp/no-such-tdad.sock", "unreachable"), (f"tcp://127.0.0.1:{web.getsockname()[1]}", "protocol")):
                    driver = Driver(command, url)
                    self.assertEqual(driver.hear()["error"]["kind"], kind, (name, url))
                    driver.close()


def answer(connection, _):
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    connection.recv(100)
    connection.close()


if __name__ == "__main__":
    unittest.main()
