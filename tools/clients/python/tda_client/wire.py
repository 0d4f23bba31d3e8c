"""SP's req protocol (nanomsg, nng) over ipc, tcp and tls+tcp: one connection, any number of requests in flight, from any thread.

A connection begins with eight bytes each way: 0 "SP" 0, the protocol (0x30 REQ, 0x31 REP), 0 0. Then messages: a length of 64 bits, big-endian,
and so many bytes; on ipc a byte 1 stands before the length. A request's body begins with its number, 32 bits with the highest set, and its reply's
body with the same."""
import itertools
import json
import socket
import ssl
import struct
import threading

from .errors import TdaError
from .tls import TlsSocket

HELLO_REQ, HELLO_REP = b"\0SP\0\0\x30\0\0", b"\0SP\0\0\x31\0\0"
REPLY_MAX = 256 << 20
CONNECT_S = 5


class Lost(Exception):
    """The connection is gone; whether the request arrived is not known."""


class Late(Exception):
    """No reply in time."""


class Foreign(Exception):
    """What answers speaks another protocol."""


def dial(url, ca=None):
    scheme, _, rest = url.partition("://")
    if scheme == "ipc":
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(CONNECT_S)
        try:
            s.connect(rest)
        except OSError:
            s.close()
            raise
        return s
    host, _, port = rest.rpartition(":")
    s = socket.create_connection((host.strip("[]"), int(port)), CONNECT_S)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            s.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
    if scheme != "tls+tcp":
        return s
    try:
        return TlsSocket(s, ssl.create_default_context(cafile=ca), host.strip("[]"))
    except OSError:
        s.close()
        raise


class Connection:
    def __init__(self, url, ca=None):
        self._before = b"\x01" if url.startswith("ipc:") else b""
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting = {}  # number -> [event, reply or None]
        self.lost = None
        self._socket = dial(url, ca)
        self._stream = self._socket.makefile("rb")
        try:
            self._socket.sendall(HELLO_REQ)
            if self._read(8) != HELLO_REP:
                raise Foreign("what answers is no REP socket")
            self._socket.settimeout(None)
        except BaseException:
            self.close()
            raise
        threading.Thread(target=self._receive, name="tda_client", daemon=True).start()

    def _read(self, n):
        data = self._stream.read(n)
        if len(data) < n:
            raise Lost("the daemon closed the connection")
        return data

    def _receive(self):
        try:
            while True:
                (size,) = struct.unpack(">Q", self._read(8 + len(self._before))[-8:])
                if not 4 <= size <= REPLY_MAX:
                    raise Lost(f"a reply of {size} bytes")
                body = self._read(size)
                with self._lock:
                    slot = self._waiting.pop(struct.unpack(">I", body[:4])[0], None)
                if slot:
                    slot[1] = body[4:]
                    slot[0].set()
        except (OSError, ValueError, Lost) as error:
            with self._lock:
                self.lost = error
                waiting, self._waiting = self._waiting, {}
            for slot in waiting.values():
                slot[0].set()

    def exchange(self, message, timeout):
        """The reply's bytes. Lost, or Late."""
        number = 0x80000000 | next(self._numbers) & 0x7FFFFFFF
        slot = [threading.Event(), None]
        with self._lock:
            if self.lost:
                raise Lost(str(self.lost))
            self._waiting[number] = slot
            try:
                self._socket.sendall(self._before + struct.pack(">QI", len(message) + 4, number) + message)
            except OSError as error:
                raise Lost(str(error)) from error
        try:
            if not slot[0].wait(max(timeout, 0)):
                raise Late
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        if slot[1] is None:
            raise Lost(str(self.lost))
        return slot[1]

    def greet(self, auth=None):
        """Who answers: {"name": "tdad", "boot": ...}. TdaError when the token is not good."""
        request = {"jsonrpc": "2.0", "id": 1, "method": "host.info", "params": {"auth": auth} if auth else {}}
        try:
            reply = json.loads(self.exchange(json.dumps(request).encode(), CONNECT_S))
            if "kind" in reply.get("error", {}).get("data", {}):
                raise TdaError.of(reply["error"])
            return reply["result"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Foreign("what answers is no tdad") from error

    def close(self):
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()
