"""A REQ client of the SP protocol over ipc and tcp, written from the protocol's text; many requests in flight on one connection."""
import itertools
import json
import socket
import struct
import threading

HANDSHAKE_REQ = b"\0SP\0\0\x30\0\0"
HANDSHAKE_REP = b"\0SP\0\0\x31\0\0"


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(error.get("message"))
        self.code = error.get("code")
        self.message = error.get("message")
        self.data = error.get("data") or {}
        self.kind = self.data.get("kind")


def connect(url, timeout=30):
    if url.startswith("ipc://"):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(timeout)
        try:
            s.connect(url[len("ipc://"):])
        except OSError:
            s.close()
            raise
    else:
        host, port = url[len("tcp://"):].rsplit(":", 1)
        s = socket.create_connection((host, int(port)), timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def frame(url, payload):
    head = b"\x01" if url.startswith("ipc://") else b""
    return head + struct.pack(">Q", len(payload)) + payload


class Client:
    """call() may be used from many threads at once."""

    def __init__(self, url, timeout=60):
        self.url = url
        self.timeout = timeout
        self.lock = threading.Lock()
        self.waiting = {}
        self.serial = itertools.count(1)
        self.closed = None
        self.sock = connect(url, timeout)
        try:
            self.sock.sendall(HANDSHAKE_REQ)
            if self._exactly(8) != HANDSHAKE_REP:
                raise ConnectionError("the peer is no REP")
        except OSError:
            self.sock.close()
            raise
        self.sock.settimeout(None)
        threading.Thread(target=self._read, daemon=True).start()

    def _exactly(self, n):
        data = b""
        while len(data) < n:
            piece = self.sock.recv(n - len(data))
            if not piece:
                raise ConnectionError("closed by the daemon")
            data += piece
        return data

    def _read(self):
        try:
            while True:
                if self.url.startswith("ipc://"):
                    self._exactly(1)
                (n,) = struct.unpack(">Q", self._exactly(8))
                body = self._exactly(n)
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
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
