"""A REQ client of the SP protocol over ipc, tcp, tls+tcp, ws and wss, written from the protocol's text; many requests in flight on one connection."""
import base64
import itertools
import json
import os
import socket
import ssl
import struct
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tools", "clients", "python"))
from tda_client.tls import TlsSocket  # noqa: E402

HANDSHAKE_REQ = b"\0SP\0\0\x30\0\0"
HANDSHAKE_REP = b"\0SP\0\0\x31\0\0"


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(error.get("message"))
        self.code = error.get("code")
        self.message = error.get("message")
        self.data = error.get("data") or {}
        self.kind = self.data.get("kind")


def is_ws(url):
    return url.startswith(("ws://", "wss://"))


def is_tls(url):
    return url.startswith(("tls+tcp://", "wss://"))


def host_port(url):
    host, port = url.partition("://")[2].partition("/")[0].rsplit(":", 1)
    return host, int(port)


def upgrade(s, url):
    """HTTP's handshake of a websocket."""
    host, port = host_port(url)
    path = "/" + url.partition("://")[2].partition("/")[2]
    s.sendall((f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
               f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Protocol: rep.sp.nanomsg.org\r\n\r\n").encode())
    reply = b""
    while not reply.endswith(b"\r\n\r\n"):
        piece = s.recv(1)
        if not piece:
            raise ConnectionError(f"no websocket: {reply!r}")
        reply += piece
    if b" 101 " not in reply:
        raise ConnectionError(f"no websocket: {reply!r}")


def hello(url):
    """What a client says first on its connection."""
    return b"" if is_ws(url) else HANDSHAKE_REQ


def connect(url, timeout=30, bare=False):
    """As far as the transport goes: of TLS any certificate will do, of a websocket HTTP is done with. bare: without either."""
    if url.startswith("ipc://"):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(timeout)
        try:
            s.connect(url[len("ipc://"):])
        except OSError:
            s.close()
            raise
    else:
        s = socket.create_connection(host_port(url), timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if is_tls(url) and not bare:
                s = TlsSocket(s, ssl._create_unverified_context(), "localhost")
            if is_ws(url) and not bare:
                upgrade(s, url)
        except OSError:
            s.close()
            raise
    return s


def frame(url, payload):
    if is_ws(url):  # one binary frame, masked with zeros
        n = len(payload)
        size = bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n) if n < 1 << 16 else b"\xff" + struct.pack(">Q", n)
        return b"\x82" + size + b"\0\0\0\0" + payload
    head = b"\x01" if url.startswith("ipc://") else b""
    return head + struct.pack(">Q", len(payload)) + payload


class Client:
    """call() may be used from many threads at once."""

    def __init__(self, url, timeout=60, auth=None):
        """auth: a token, put into each call that has none."""
        self.url, self.auth = url, auth
        self.timeout = timeout
        self.lock = threading.Lock()
        self.waiting = {}
        self.serial = itertools.count(1)
        self.closed = None
        self.sock = connect(url, timeout)
        try:
            self.sock.sendall(hello(url))
            if not is_ws(url) and self._exactly(8) != HANDSHAKE_REP:
                raise ConnectionError("the peer is no REP")
        except OSError:
            self.sock.close()
            raise
        self.sock.settimeout(None)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _exactly(self, n):
        data = b""
        while len(data) < n:
            piece = self.sock.recv(n - len(data))
            if not piece:
                raise ConnectionError("closed by the daemon")
            data += piece
        return data

    def _message(self):
        body, last = b"", not is_ws(self.url)
        while not last:
            head, n = self._exactly(2)
            n &= 0x7F
            n = struct.unpack(">H", self._exactly(2))[0] if n == 126 else struct.unpack(">Q", self._exactly(8))[0] if n == 127 else n
            piece, last = self._exactly(n), head & 0x80
            if head & 0x0F == 8:
                raise ConnectionError("closed by the daemon")
            body += piece
        if is_ws(self.url):
            return body
        if self.url.startswith("ipc://"):
            self._exactly(1)
        return self._exactly(struct.unpack(">Q", self._exactly(8))[0])

    def _read(self):
        try:
            while True:
                body = self._message()
                (number,) = struct.unpack(">I", body[:4])
                with self.lock:
                    slot = self.waiting.pop(number, None)
                if slot:
                    slot[1] = body[4:]
                    slot[0].set()
        except (OSError, ConnectionError) as error:
            with self.lock:
                self.closed = error
                slots, self.waiting = list(self.waiting.values()), {}
            for slot in slots:
                slot[0].set()

    def send(self, payload):
        """Sends raw bytes as one request; returns a slot for wait()."""
        number = 0x80000000 | next(self.serial)
        slot = [threading.Event(), None]
        with self.lock:
            if self.closed:
                raise ConnectionError(str(self.closed))
            self.waiting[number] = slot
            self.sock.sendall(frame(self.url, struct.pack(">I", number) + payload))
        return slot

    def wait(self, slot, timeout=None):
        if not slot[0].wait(timeout or self.timeout):
            raise TimeoutError("no reply")
        if slot[1] is None:
            raise ConnectionError("closed by the daemon")
        return slot[1]

    def raw(self, payload, timeout=None):
        return self.wait(self.send(payload), timeout)

    def begin(self, method, /, **params):
        if self.auth:
            params.setdefault("auth", self.auth)
        return self.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode())

    def end(self, slot, timeout=None):
        reply = json.loads(self.wait(slot, timeout))
        if "error" in reply:
            raise RpcError(reply["error"])
        return reply["result"]

    def call(self, method, /, timeout=None, **params):
        return self.end(self.begin(method, **params), timeout)

    def error(self, method, /, **params):
        """The RpcError that the call must end with."""
        try:
            result = self.call(method, **params)
        except RpcError as e:
            return e
        raise AssertionError(f"{method} {params} succeeded: {result}")

    def close(self):
        """The reader ends first: one that is within OpenSSL would go on with the descriptor's number, which may be another connection's by then, take what
        came there for TLS and send an alert into it."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.reader.join()
        self.sock.close()
