"""The front door: bad messages get an error reply, attacks leave nothing behind, a good client never notices. On every transport."""
import itertools
import json
import os
import pathlib
import random
import re
import socket
import struct
import tempfile
import threading
import time
import unittest

from harness.attack import EVERYWHERE, Attackers, attacks, stop_amid
from harness.client import HANDSHAKE_REP, HANDSHAKE_REQ, RpcError, connect, frame, hello, host_port, is_ws
from harness.daemon import SLOW, Daemon, until
from harness.upstream import Upstream


class Messages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon("contexts: {persistence: false}\n", listen=EVERYWHERE)

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()

    def test_every_malformed_request_gets_an_error_reply(self):
        for url in self.d.listeners():
            c = self.d.connect(url)
            auth = b',"auth":"' + c.auth.encode() + b'"' if c.auth else b""
            for payload, code in ((b"", -32700), (b"{", -32700), (b"nonsense", -32700), (b"\xff\xfe", -32700), (b"[]", -32600), (b"7", -32600), (b"null", -32600),
                                  (b'{"jsonrpc":"2.0"}', -32600), (b'{"jsonrpc":"1.0","id":1,"method":"host.ping"}', -32600),
                                  (b'{"jsonrpc":"2.0","id":{},"method":"host.ping"}', -32600), (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
                                  (b'{"jsonrpc":"2.0","id":1,"method":"nope","params":{"x":1@AUTH}}', -32601), (b'{"jsonrpc":"2.0","id":1,"method":"host.ping","params":[1]}', -32600),
                                  (b'{"jsonrpc":"2.0","id":1,"method":"host.ping","params":{"x":1@AUTH}}', -32602),
                                  (b'{"a":1,"a":2}', -32700), (b"[" * 10000, -32700), (b'{"a":' * 10000, -32700),
                                  (b'{"jsonrpc":"2.0","id":1,"method":"host.ping","params":{"x":' + b"[" * 10000 + b"]" * 10000 + b"}}", -32700),
                                  (b'{"jsonrpc":"2.0","id":1,"method":"context.get","params":{"user":7@AUTH}}', -32602),
                                  (b'{"jsonrpc":"2.0","id":1,"method":"host.ping"} x', -32700),
                                  ('{"jsonrpc":"2.0","id":1,"method":"caf\udce9"}'.encode("utf-8", "surrogateescape"), -32700)):
                reply = json.loads(c.raw(payload.replace(b"@AUTH", auth)))
                self.assertEqual(reply["error"]["code"], code, payload[:60])
                self.assertTrue(reply["error"]["message"])
                self.assertEqual(reply["jsonrpc"], "2.0")
            deep, utf8 = (json.loads(c.raw(b'{"jsonrpc":"2.0","id":1,"method":"host.ping","params":{"x":' + x + b"}}"))["error"]["message"]
                          for x in (b"[" * 10000 + b"]" * 10000, b'"\xff"'))
            self.assertIn("too deeply", deep)
            self.assertIn("UTF-8", utf8)
            self.assertEqual(c.call("host.ping"), {"pong": True})
            c.close()

    def test_10_mb_are_taken_and_above_the_limit_is_an_error_reply(self):
        for url in self.d.listeners():
            c = self.d.connect(url)
            auth = b'"auth":"' + c.auth.encode() + b'",' if c.auth else b""
            reply = json.loads(c.raw(b'{"jsonrpc":"2.0","id":1,"method":"host.ping","params":{' + auth + b'"x":"' + b"a" * (10 << 20) + b'"}}'))
            self.assertEqual(reply["error"]["code"], -32602)
            if is_ws(url):  # the limit is nng's there: it closes
                with self.assertRaises(OSError):
                    c.raw(b"a" * (20 << 20))
                continue
            reply = json.loads(c.raw(b"a" * (20 << 20)))
            self.assertEqual(reply["error"]["data"]["kind"], "message_too_large", reply)
            self.assertEqual(self.d.connect(url).call("host.ping"), {"pong": True})

    def test_a_small_limit_and_the_next_message_in_the_same_burst(self):
        with Daemon("limits: {message_bytes: 1KiB, handshake_timeout: 60s}\n") as d:
            s = connect(d.url)
            s.sendall(HANDSHAKE_REQ)
            self.assertEqual(s.recv(8, socket.MSG_WAITALL), HANDSHAKE_REP)
            s.sendall(frame(d.url, struct.pack(">I", 0x80000001) + b" " * 2000) + frame(d.url, struct.pack(">I", 0x80000002) + b" " * 500))
            s.settimeout(5 * SLOW)
            reply = b""
            while piece := s.recv(4096):
                reply += piece
            self.assertIn(b"message_too_large", reply)
            s.close()

    def test_many_in_flight_on_one_connection(self):
        c = self.d.connect()
        slots = [c.begin("host.ping") for _ in range(2000)]
        for slot in slots:
            self.assertEqual(c.end(slot), {"pong": True})

    def test_an_idempotency_key_does_a_thing_once(self):
        c = self.d.client
        c.call("context.set", user="i", fields={"model": "a"})
        first = c.call("context.set", user="i", fields={"model": "b"}, idempotency_key="k1")
        again = c.call("context.set", user="i", fields={"model": "b"}, idempotency_key="k1")
        self.assertEqual(first, again)
        self.assertEqual(c.call("context.get", user="i")["context"]["epoch"], 2)
        self.assertEqual(c.error("context.set", user="i", fields={"model": "c"}, idempotency_key="k1").kind, "idempotency_conflict")


class Log(unittest.TestCase):
    def test_who_fails_all_the_time_does_not_fill_it(self):
        with Daemon("contexts: {persistence: false}\n") as d:
            begin, n = time.monotonic(), 3000
            for _ in range(n // 100):
                for slot in [d.client.begin("context.get", user="nobody") for _ in range(100)]:
                    with self.assertRaises(RpcError):
                        d.client.end(slot)
            seconds = time.monotonic() - begin
            time.sleep(1.1)  # the next second's first line says what was left out
            d.client.error("context.get", user="nobody")
            shown = d.text().count(" request failed ")
            left_out = sum(map(int, re.findall(r"lines were left out of=\"request failed\" count=(\d+)", d.text())))
            self.assertEqual(shown + left_out, n + 1)
            self.assertLess(shown, 50 * (seconds + 3))


class Sockets(unittest.TestCase):
    def test_every_tcp_socket_sends_without_delay(self):
        with tempfile.TemporaryDirectory(dir="/tmp") as folder, Upstream() as up:
            trace = pathlib.Path(folder) / "trace"
            strace = ["strace", "-D", "-ff", "-o", str(trace), "-e", "trace=bind,accept,accept4,connect,setsockopt"]
            yaml = f"contexts: {{persistence: false}}\nproviders:\n  Fake: {{plugin: openai, base_url: \"{up.base}\"}}\n"
            with Daemon(yaml, listen=["tcp://127.0.0.1:0"], under=strace, env={"ASAN_OPTIONS": "detect_leaks=0"}) as d:  # leaks cannot be looked for under a tracer
                for url in d.listeners():
                    d.connect(url).call("configure", user="u", provider="Fake", model="model1", credentials={"api_key": "some-key"})
                d.stop(check=SLOW == 1)  # the launcher gets no ASAN_OPTIONS, and says that it cannot look for leaks
            text = "".join(p.read_text() for p in pathlib.Path(folder).iterdir())  # a file for each thread
            (door,) = re.findall(r"bind\((\d+), \{sa_family=AF_INET,", text)
            accepted = set(re.findall(rf"accept4?\({door}, .*\) += (\d+)", text))
            connected = set(re.findall(r"connect\((\d+), \{sa_family=AF_INET,", text))
            self.assertTrue(accepted and connected)
            self.assertEqual(accepted | connected, set(re.findall(r"setsockopt\((\d+), SOL_TCP, TCP_NODELAY, \[1\], 4\) = 0", text)))


class Upgrade(unittest.TestCase):
    """Connections to a websocket's port that never become one."""
    def lurk(self, d, n):
        (url,) = (u for u in d.listeners() if is_ws(u))
        ours, lurkers = d.connect(url), []
        for i in range(n):
            s = socket.create_connection(host_port(url))
            self.addCleanup(s.close)
            if i % 2:
                s.sendall(b"GET /tda HTTP/1.1\r\nHost: ")
            lurkers.append(s)
        return ours, lurkers

    @staticmethod
    def is_ended(s):
        s.setblocking(False)
        try:
            return s.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def test_they_have_the_time_of_a_handshake(self):
        with Daemon("limits: {handshake_timeout: 500ms}\n", listen=["ws://127.0.0.1:0/tda"]) as d:
            fds = d.fds()
            ours, lurkers = self.lurk(d, 40)
            until(lambda: all(self.is_ended(s) for s in lurkers), 20, "the end of each of them")
            until(lambda: d.fds() <= fds + 1, what="their descriptors")
            self.assertEqual(ours.call("host.ping"), {"pong": True}, "one that is a websocket is left alone")
            self.assertGreaterEqual(d.stats()["front_door"]["connections_refused"], 40)

    def test_they_count_as_connections(self):
        with Daemon("limits: {handshake_timeout: 10m, connections: 12}\n", listen=["ws://127.0.0.1:0/tda"]) as d:
            ours, lurkers = self.lurk(d, 40)
            until(lambda: sum(self.is_ended(s) for s in lurkers) >= 30, 20, "the end of those that are too many")
            self.assertEqual(ours.call("host.ping"), {"pong": True})
            self.assertGreater(sum(not self.is_ended(s) for s in lurkers), 5, "those for which there is room may still say what they want")


class Full(unittest.TestCase):
    def test_who_says_nothing_makes_room_and_who_is_known_stays(self):
        with Daemon("limits: {connections: 8}\n", listen=["tcp://127.0.0.1:0"]) as d:
            url = next(u for u in d.listeners() if u.startswith("tcp"))
            silent = [connect(url) for _ in range(20)]
            known = [d.connect(url) for _ in range(7)]  # and the harness's own
            for c in known:
                self.assertEqual(c.call("host.ping"), {"pong": True})
            until(lambda: d.stats()["front_door"]["connections"] == 8, what="the end of who said nothing")
            for _ in range(5):
                with self.assertRaises((OSError, AssertionError)):
                    d.connect(url).call("host.ping", timeout=5)
            for c in [*known, d.client]:
                self.assertEqual(c.call("host.ping"), {"pong": True})
            self.assertGreaterEqual(d.stats()["front_door"]["connections_refused"], 20)
            for s in silent:
                s.close()


class Attack(unittest.TestCase):
    @staticmethod
    def get_in(url, bare):
        """A full backlog is no reason to count one attacker less."""
        while True:
            try:
                return connect(url, bare=bare)
            except (BlockingIOError, ConnectionRefusedError):
                time.sleep(0.002)

    def test_10000_connections_of_attackers(self):
        with Daemon("limits: {handshake_timeout: 1s, connections: 300}\n", listen=EVERYWHERE) as d:
            urls = d.listeners()
            good = [d.connect(url) for url in urls]
            for c in good:
                c.call("host.ping")
            fds, before, stop, answered, failed = d.fds(), d.rss(), threading.Event(), [0] * len(urls), []

            def keep_asking():
                try:
                    while not stop.is_set():
                        for i, c in enumerate(good):
                            assert c.call("host.ping", timeout=20) == {"pong": True}
                            answered[i] += 1
                except Exception as e:  # a thread's assertion would be lost
                    failed.append(e)

            asker = threading.Thread(target=keep_asking)
            asker.start()
            total, held, rss, garbage = int(os.environ.get("TDA_ATTACKS", 2000 if SLOW > 1 else 10000)), [], 0, random.Random(1)
            for i in itertools.count():
                if i >= total and (failed or min(answered) > 100):
                    break  # the good clients, on each transport, were served all the while
                url = urls[i % len(urls)]
                attack = attacks(url, garbage)[i // len(urls) % 7]
                try:
                    s = self.get_in(url, bare=garbage.random() < 0.3)  # then TLS and HTTP get to see it
                except OSError:
                    continue  # one of too many
                try:
                    attack(s)
                except OSError:
                    pass  # ended before all of it was sent
                if i % 51 == 7:  # on each transport in turn
                    held.append(s)
                else:
                    s.close()
                if len(held) > 100:
                    held.pop(0).close()
                if i == total // 2:
                    rss = d.rss()
            for s in held:
                s.close()
            until(lambda: d.client.call("host.stats")["front_door"]["connections"] <= len(good) + 1, what="the attackers' connections to be gone")
            stop.set()
            asker.join()
            self.assertEqual(failed, [])
            self.assertGreater(d.stats()["front_door"]["oversized"], total // 80, "claims of 4 GiB and more were seen")
            until(lambda: d.fds() <= fds + 2, what=f"descriptors back from {d.fds()} to {fds}")
            self.assertLess(d.rss(), before + (24 << 20) * SLOW, "memory is back")
            self.assertLess(d.rss(), rss + (8 << 20) * SLOW, "and does not grow with the second half")
            print(f"attack: {i} connections, {sum(answered)} pings answered meanwhile; descriptors {fds} before, {d.fds()} after; "
                  f"memory {before >> 10} KiB before, {d.rss() >> 10} KiB after; {d.stats()['front_door']}")

    def test_silence_is_ended(self):
        with Daemon("limits: {handshake_timeout: 500ms}\n", listen=["tcp://127.0.0.1:0", "tls+tcp://127.0.0.1:0"]) as d:
            for url in d.listeners():
                for first in (b"", HANDSHAKE_REQ[:4], HANDSHAKE_REQ + (b"\x01" if url.startswith("ipc") else b"") + b"\0\0"):
                    s = connect(url)
                    s.sendall(first)
                    s.settimeout(5)
                    begin = time.monotonic()
                    while s.recv(64):
                        pass
                    self.assertLess(time.monotonic() - begin, 4)
                    s.close()

    def test_silence_is_ended_after_a_rest_too(self):
        with Daemon("contexts: {persistence: false}\nlimits: {handshake_timeout: 500ms, requests_per_connection: 1}\n", listen=["tcp://127.0.0.1:0", "tls+tcp://127.0.0.1:0"]) as d:
            d.client.call("configure", user="u", provider="offline", model="offline-1")
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "agent.run", "params": {"user": "u", "input": "x", "auth": d.token}}).encode()
            for url in d.listeners():
                message, replies = frame(url, struct.pack(">I", 0x80000001) + body), b""
                with connect(url, timeout=10) as s:
                    s.sendall(HANDSHAKE_REQ + message * 50 + message[:5])
                    while piece := s.recv(65536):
                        replies += piece
                self.assertEqual(replies.count(b'"result"'), 50)

    def test_a_client_that_reads_nothing_is_bounded(self):
        with Daemon("limits: {requests_per_connection: 64, bytes_per_connection: 1MiB}\n") as d:
            d.client.call("host.ping")
            before = d.rss()
            s = connect(d.url)
            s.sendall(HANDSHAKE_REQ)
            s.settimeout(0.5)
            message = frame(d.url, struct.pack(">I", 0x80000001) + b'{"jsonrpc":"2.0","id":1,"method":"config.explain"}')
            sent = 0
            try:
                for _ in range(20000):
                    s.sendall(message)
                    sent += 1
            except OSError:
                pass
            self.assertLess(sent, 20000, "it is not read from for ever")
            self.assertLess(d.rss() - before, 48 << 20)
            self.assertEqual(d.client.call("host.ping"), {"pong": True})
            s.close()

    def test_what_the_socket_does_not_take_at_once_is_written_later(self):
        """More than a socket holds, asked for before any of it is read: all of it comes, whole and in order."""
        n = 400
        with Daemon("limits: {requests_per_connection: 4, bytes_per_connection: 1MiB}\n", listen=["tcp://127.0.0.1:0"]) as d:
            for url in d.listeners():
                replies, numbers, done = [], [], d.stats()["front_door"]["replies"]
                with connect(url, timeout=60) as s:
                    s.sendall(HANDSHAKE_REQ)
                    asks = [frame(url, struct.pack(">I", 0x80000000 + i) + b'{"jsonrpc":"2.0","id":%d,"method":"host.methods","params":{"auth":"%s"}}' %
                                  (i, d.token.encode())) for i in range(n)]
                    writer = threading.Thread(target=lambda: [s.sendall(a) for a in asks])
                    writer.start()
                    until(lambda: d.stats()["front_door"]["replies"] > done + 4, what="replies that wait for their reader")
                    read = s.makefile("rb")
                    self.assertEqual(read.read(8), HANDSHAKE_REP)
                    for _ in range(n):
                        head = read.read(9 if url.startswith("ipc") else 8)
                        body = read.read(struct.unpack(">Q", head[-8:])[0])
                        numbers.append(struct.unpack(">I", body[:4])[0] - 0x80000000)
                        replies.append(json.loads(body[4:]))
                    writer.join()
                self.assertEqual(numbers, list(range(n)))
                self.assertEqual([r["id"] for r in replies], list(range(n)))
                self.assertEqual({len(r["result"]["methods"]) for r in replies}, {len(replies[0]["result"]["methods"])})
                self.assertGreater(sum(len(json.dumps(r)) for r in replies), 4 << 20, "no socket holds so much")

    def test_requests_in_flight_are_bounded_per_user(self):
        with Daemon("contexts: {persistence: false}\nlimits: {requests_per_user: 4}\nmcp_servers:\n"
                    f"  s: {{command: [python3, {os.path.dirname(os.path.abspath(__file__))}/harness/mcp_server.py]}}\n") as d:
            for user in ("u", "v"):
                d.client.call("configure", user=user, provider="offline", model="offline-1", mcp_server={"name": "s"})
            slots = [d.client.begin("tools.call", user="u", name="slow", arguments={"seconds": 1}) for _ in range(4)]
            time.sleep(0.2)
            e = d.client.error("tools.call", user="u", name="add", arguments={"a": 1, "b": 1})
            self.assertIn("in flight", e.message + str(e.data))
            d.client.call("tools.call", user="v", name="add", arguments={"a": 1, "b": 1})
            for slot in slots:
                d.client.end(slot)


class Stop(unittest.TestCase):
    def test_a_connection_whose_reader_is_gone_goes_too(self):
        with Daemon("limits: {handshake_timeout: 10m}\nlog: {level: error}\n", listen=EVERYWHERE) as d:
            with Attackers(d.listeners()):
                time.sleep(1)
            until(lambda: d.stats()["front_door"]["connections"] <= 1, what="the attackers' connections to be gone")

    def test_terminated_amid_attackers_and_callers(self):
        with Upstream() as up:
            for _ in range(3):
                stop_amid(up, 0.5)


if __name__ == "__main__":
    unittest.main()
