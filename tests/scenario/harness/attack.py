"""Clients that mean no good, honest callers, and a daemon that is told to stop amid both."""
import json
import pathlib
import random
import socket
import struct
import tempfile
import threading
import time

from .client import RpcError, connect, frame, hello, is_ws
from .daemon import SLOW, Daemon

NO_CALL = struct.pack(">I", 0x80000001) + b"{}"  # gets an error reply


def attacks(url, chance):
    """What an attacker may do with a fresh socket, which closes afterwards; OSError when the daemon has enough of it."""

    def half(s):
        s.sendall(hello(url)[:5])

    def pipelined(s):
        s.sendall(hello(url))
        message = struct.pack(">I", 0x80000001) + b'{"jsonrpc":"2.0","id":1,"method":"host.info"}'
        s.sendall(frame(url, message) * 50)

    def claim(s):
        s.sendall(hello(url))
        s.sendall((b"\x01" if url.startswith("ipc") else b"\x82\xff" if is_ws(url) else b"") + struct.pack(">Q", chance.choice([1 << 32, 1 << 63, (1 << 64) - 1])))
        s.sendall(b"\x80\0\0\1xxxx")

    def no_id(s):
        s.sendall(hello(url) + frame(url, b"\0\0\0\1" * 40))

    return [lambda s: None, half, pipelined, claim, no_id, lambda s: s.sendall(chance.randbytes(200)), lambda s: s.sendall(b"GET / HTTP/1.1\r\n\r\n")]


def deaf(url, s):
    """Asks and goes on writing, byte by byte, but takes no reply: the daemon's write fails while it is busy reading."""
    s.sendall(hello(url))
    if url.startswith("ipc"):
        s.shutdown(socket.SHUT_RD)
    else:
        getattr(s, "_ssl", s).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close resets
    message = frame(url, NO_CALL)
    s.sendall(message)
    for i in range(3000 if url.startswith("ipc") else 30):
        s.sendall(message[i % len(message):][:1])


class Attackers:
    """with Attackers(urls): each thread attacks until the end."""

    def __init__(self, urls, n=4):
        self.urls, self.stopping, self.count = urls, threading.Event(), 0
        self.threads = [threading.Thread(target=self.run, args=(random.Random(i),)) for i in range(n)]

    def run(self, chance):
        while not self.stopping.is_set():
            url = chance.choice(self.urls)
            try:
                with connect(url) as s:
                    deaf(url, s) if chance.random() < 0.5 else chance.choice(attacks(url, chance))(s)
            except OSError:
                pass
            self.count += 1

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for t in self.threads:
            t.join()


class Callers:
    """Each thread has a connection of its own and up to 4 calls under way on it, until the daemon ends it. `ended` has the outcome of
    each call by its text: "answered", "told" that the daemon is shutting down, or "closed" without a reply."""

    def __init__(self, daemon, n=4):
        self.ended, self.others = {}, []
        self.urls = urls = daemon.listeners()
        self.threads = [threading.Thread(target=self.run, args=(daemon.connect(urls[i % len(urls)]), i)) for i in range(n)]
        for t in self.threads:
            t.start()

    def run(self, client, index):
        slots, serial = [], 0
        while client.closed is None or slots:
            try:
                while len(slots) < 4:
                    text = f"call {index}-{serial}."
                    slots.append((text, client.begin("chat.complete", user="caller", messages=[{"role": "user", "content": text}])))
                    serial += 1
            except OSError:
                pass
            if not slots:
                break
            text, slot = slots.pop(0)
            self.ended[text] = self.outcome(client, text, slot)
        client.close()

    def outcome(self, client, text, slot):
        try:
            result = client.end(slot)
            if f"echo: {text}" not in str(result):
                self.others.append(result)
            return "answered"
        except RpcError as e:
            if e.kind != "shutting_down":
                self.others.append((e.kind, e.message))
            return "told"
        except OSError as e:
            if isinstance(e, TimeoutError):
                self.others.append("no reply, and the connection stands")
            return "closed"

    def join(self):
        for t in self.threads:
            t.join()


def refused(audit):
    """The daemon's own account: the log leaves out what attackers write too much of."""
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    assert not any("lost" in line for line in lines)
    return sum(line["method"] == "chat.complete" and line["outcome"] == "shutting_down" for line in lines)


EVERYWHERE = ("tcp://127.0.0.1:0", "tls+tcp://127.0.0.1:0", "ws://127.0.0.1:0/tda")


def stop_amid(up, seconds, listen=EVERYWHERE):
    """SIGTERM amid attackers and callers, on ipc and what `listen` says. The daemon exits with 0 soon, also when no timeout helps; each call that it took is
    answered to its caller, or told that the daemon is shutting down. Returns the figures."""
    with up.lock:
        up.seen.clear()
    up.delay = 0.02
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, \
         Daemon(f"audit: {{path: {folder}/audit}}\ncontexts: {{persistence: false}}\nlimits: {{handshake_timeout: 10m}}\nproviders:\n  Fake: {{plugin: openai, base_url: \"{up.base}\"}}\n",
                listen=listen) as d:
        d.client.call("configure", user="caller", provider="Fake", model="model1", credentials={"api_key": "k"})
        callers = Callers(d)
        with Attackers(d.listeners()) as attackers:
            time.sleep(seconds)
            begin = time.monotonic()
            d.stop(limit=8 * SLOW)
            took = time.monotonic() - begin
        callers.join()
        audited = refused(pathlib.Path(folder) / "audit")
    asked = {s.json["messages"][-1]["content"] for s in up.chats()}
    outcomes = list(callers.ended.values())
    lost = [text for text, outcome in callers.ended.items() if text in asked and outcome != "answered"]
    assert not callers.others, callers.others[:5]
    assert "answered" in outcomes
    assert not lost, f"carried out and not answered: {lost[:5]}"
    closed = [text for text, outcome in callers.ended.items() if outcome == "closed"]
    assert outcomes.count("told") == audited, f"{audited} refused, {outcomes.count('told')} told so; closed: {closed[:8]} of {callers.urls}"
    return {"seconds": took, "attackers": attackers.count, **{o: outcomes.count(o) for o in ("answered", "told", "closed")}}
