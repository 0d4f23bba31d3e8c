"""Idempotency, sentence by sentence; whatever is "done once" is counted at the service. With nng's own REQ, which sends again by itself."""
import ctypes
import ctypes.util
import json
import socket
import tempfile
import threading
import time
import unittest

from harness.daemon import SLOW, Daemon, until
from harness.upstream import Upstream

YAML = "contexts: {{persistence: false}}\nidempotency: {{keep: 2s, entries: 10}}\ncalls: {{attempts: 1}}\nproviders:\n  Fake: {{plugin: openai, base_url: \"{}\"}}\n"


class Req:
    """nng's REQ socket, by the library itself."""

    nng = None

    def __init__(self, url, resend_ms):
        if Req.nng is None:
            Req.nng = ctypes.CDLL(ctypes.util.find_library("nng") or "libnng.so.1")
        self.socket = ctypes.c_uint32()
        self.check(self.nng.nng_req0_open(ctypes.byref(self.socket)))
        for option, ms in ((b"req:resend-time", resend_ms), (b"recv-timeout", 30000 * SLOW), (b"reconnect-time-min", 50), (b"reconnect-time-max", 50)):
            self.check(self.nng.nng_socket_set_ms(self.socket, option, ms))
        self.check(self.nng.nng_dial(self.socket, url.encode(), None, 0))

    @staticmethod
    def check(code):
        if code:
            raise OSError(f"nng: {code}")

    def call(self, method, /, **params):
        text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        self.check(self.nng.nng_send(self.socket, text, ctypes.c_size_t(len(text)), 0))
        buffer, size = ctypes.create_string_buffer(1 << 20), ctypes.c_size_t(1 << 20)
        self.check(self.nng.nng_recv(self.socket, buffer, ctypes.byref(size), 0))
        return json.loads(buffer.raw[:size.value])

    def close(self):
        self.nng.nng_close(self.socket)


class Cable:
    """Between a client and the daemon; can be cut."""

    def __init__(self, path):
        self.path = path
        self.folder = tempfile.TemporaryDirectory(prefix="tda-cable-", dir="/tmp")
        self.url = f"ipc://{self.folder.name}/s"
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(f"{self.folder.name}/s")
        self.door.listen(16)
        self.ends, self.connections = [], 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.door.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.path)
            self.connections += 1
            self.ends += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.copy, args=(a, b), daemon=True).start()

    @staticmethod
    def copy(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass

    def cut(self):
        ends, self.ends = self.ends, []
        for s in ends:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def close(self):
        self.door.close()
        self.cut()
        self.folder.cleanup()


class Idempotency(unittest.TestCase):
    def setUp(self):
        self.up = Upstream()
        self.d = Daemon(YAML.format(self.up.base))
        self.c = self.d.client
        for user in ("u", "v"):
            self.c.call("configure", user=user, provider="Fake", model="model1", credentials={"api_key": f"key-{user}"})
        self.n = len(self.up.chats())

    def tearDown(self):
        self.up.close()
        self.d.stop()

    def asked(self):
        """How often the service was asked since the last look."""
        n, self.n = len(self.up.chats()) - self.n, len(self.up.chats())
        return n

    def run_turn(self, user="u", text="hello", key="k", c=None):
        return (c or self.c).call("agent.run", user=user, input=text, idempotency_key=key)

    def test_without_a_key_every_request_is_done(self):
        for _ in range(2):
            self.c.call("agent.run", user="u", input="hello")
        self.assertEqual(self.asked(), 2)

    def test_a_finished_one_answers_from_memory_for_a_set_time(self):
        first = self.run_turn()
        self.assertEqual([self.run_turn() for _ in range(3)], [first] * 3)
        self.assertEqual(self.asked(), 1)
        time.sleep(2.1)
        self.run_turn()
        self.assertEqual(self.asked(), 1, "after idempotency.keep it is a new request")

    def test_the_memory_is_bounded(self):
        for i in range(12):
            self.run_turn(key=f"k{i}")
        self.assertEqual(self.d.stats()["stored_replies"]["entries"], 10)
        self.assertEqual(self.asked(), 12)
        self.run_turn(key="k11")
        self.assertEqual(self.asked(), 0)
        self.run_turn(key="k0")
        self.assertEqual(self.asked(), 1, "the oldest went")

    def test_the_key_is_the_users_own(self):
        self.run_turn("u")
        self.run_turn("v")
        self.assertEqual(self.asked(), 2)
        self.assertEqual({s.key for s in self.up.chats()}, {"key-u", "key-v"})

    def test_the_same_key_with_other_parameters_is_an_error(self):
        self.run_turn()
        for method, params in (("agent.run", {"input": "other"}), ("chat.complete", {"input": "hello"}), ("agent.run", {"input": "hello", "max_steps": 2})):
            e = self.c.error(method, user="u", idempotency_key="k", **params)
            self.assertEqual((e.kind, e.data["field"]), ("idempotency_conflict", "idempotency_key"))
        self.assertEqual(self.asked(), 1)

    def test_a_running_one_is_joined(self):
        self.up.delay = 0.5
        slots = [(c, c.begin("agent.run", user="u", input="hello", idempotency_key="k")) for c in [self.d.connect() for _ in range(10)]]
        replies = [c.end(slot) for c, slot in slots]
        self.assertEqual(replies, replies[:1] * 10)
        for c, _ in slots:
            c.close()
        self.assertEqual(self.asked(), 1)

    def test_retryable_errors_are_not_stored_and_others_are(self):
        self.up.faults = ["500"]
        self.assertEqual(self.c.error("agent.run", user="u", input="x", idempotency_key="r").kind, "upstream_failed")
        self.assertEqual(self.c.call("agent.run", user="u", input="x", idempotency_key="r")["text"], "echo: x")
        self.assertEqual(self.asked(), 2)
        self.up.faults = ["401"]
        for _ in range(2):
            self.assertEqual(self.c.error("agent.run", user="u", input="x", idempotency_key="s").kind, "credentials_refused")
        self.assertEqual(self.asked(), 1)

    def test_a_keyed_call_goes_on_when_its_connection_drops_and_an_unkeyed_one_is_cancelled(self):
        self.up.delay = 0.5
        c = self.d.connect()
        c.begin("agent.run", user="u", input="keyed", idempotency_key="k")
        c.begin("agent.run", user="u", input="unkeyed")
        until(lambda: len(self.up.chats()) - self.n == 2, what="both at the service")
        c.close()
        until(lambda: self.d.stats()["requests"]["in_flight"] == 1, what="the end of both")
        self.assertEqual(self.d.stats()["requests"]["cancelled"], 1)
        self.assertEqual(self.run_turn(text="keyed")["text"], "echo: keyed")
        self.assertEqual(self.asked(), 2, "the keyed one was not asked again")

    def test_a_cancelled_one_is_not_stored(self):
        self.up.delay = 3
        slot = self.c.begin("agent.run", user="u", input="x", idempotency_key="k")
        (task,) = until(lambda: self.c.call("task.list", user="u")["tasks"], what="it on the list")
        self.c.call("task.cancel", user="u", task=task["task"])
        with self.assertRaises(Exception) as caught:
            self.c.end(slot)
        self.assertEqual(caught.exception.kind, "cancelled")
        self.up.delay = 0
        self.assertEqual(self.run_turn(text="x")["text"], "echo: x")

    def test_the_promise_holds_for_the_life_of_the_process(self):
        self.run_turn()
        self.d.stop()
        self.d = Daemon(YAML.format(self.up.base))
        self.c = self.d.client
        self.c.call("configure", user="u", provider="Fake", model="model1", credentials={"api_key": "key-u"})
        self.asked()
        self.run_turn()
        self.assertEqual(self.asked(), 1)

    def test_a_submit_that_is_sent_again_is_one_task(self):
        submit = dict(user="u", method="agent.run", params={"input": "hello"}, idempotency_key="s")
        tasks = {self.c.call("task.submit", **submit)["task"] for _ in range(3)}
        self.assertEqual(len(tasks), 1)
        (task,) = tasks
        until(lambda: self.c.call("task.poll", user="u", task=task, wait_ms=5000)["state"] == "complete")
        self.assertEqual(self.asked(), 1)
        self.assertEqual(self.c.error("task.submit", **{**submit, "params": {"input": "other"}}).kind, "idempotency_conflict")

    def test_a_call_longer_than_the_resend_time_runs_once(self):
        self.up.delay = 1.5
        for listener in self.d.listeners():
            req = Req(listener, 200)
            before = self.d.stats()["requests"]["total"]
            self.assertEqual(req.call("agent.run", user="u", input="long", idempotency_key="resent")["result"]["text"], "echo: long")
            self.assertGreater(self.d.stats()["requests"]["total"] - before, 3, "it really was sent again")
            self.assertEqual(self.asked(), 1)
            req.close()

    def test_a_connection_cut_in_the_middle_runs_it_once(self):
        self.up.delay = 1.5
        cable = Cable(self.d.url.removeprefix("ipc://"))
        self.addCleanup(cable.close)
        req = Req(cable.url, 60000)

        def cut():
            for _ in range(2):
                until(lambda: len(self.up.chats()) > self.n, what="the call at the service")
                time.sleep(0.3)
                cable.cut()

        thread = threading.Thread(target=cut)
        thread.start()
        self.assertEqual(req.call("agent.run", user="u", input="cut", idempotency_key="cut")["result"]["text"], "echo: cut")
        thread.join()
        self.assertGreaterEqual(cable.connections, 3, "it was cut twice, and came back")
        self.assertEqual(self.asked(), 1)
        req.close()


if __name__ == "__main__":
    unittest.main()
