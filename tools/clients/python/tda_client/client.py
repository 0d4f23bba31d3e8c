import json
import os
import pathlib
import random
import secrets
import threading
import time

from .errors import OutcomeUnknown, TdaError, Timeout, Unreachable
from .stream import Stream
from .wire import Connection, Foreign, Late, Lost

TIMEOUT_S, RECONNECT_S = 600, 10
BACKOFF_S, BACKOFF_MAX_S = 0.05, 2
READING = (".list", ".get", ".poll", ".explain", ".read", ".export")


def default_url():
    if os.geteuid() == 0:
        return "ipc:///run/tda/tda.sock"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return f"ipc://{runtime}/tda/tda.sock" if runtime.startswith("/") else f"ipc:///tmp/tda-{os.geteuid()}/tda.sock"


def default_token():
    path = os.environ.get("TDA_TOKEN_FILE")
    return pathlib.Path(path).read_text().strip() if path else os.environ.get("TDA_TOKEN")


def only_reads(method):
    """Such a method may be asked twice, and a key would only fill the daemon's memory. host.methods says the same."""
    return method.startswith("host.") or method == "status" or method.endswith(READING)


class Client:
    """A tdad. May be used by many threads at once; they share one connection.

    url: "ipc:///path", "tcp://host:port" or "tls+tcp://host:port" (default: $TDA_SOCKET, else where a tdad listens by itself); user: put into every
    call (default: $TDA_USER); auth: a token, which all but ipc want (default: $TDA_TOKEN, or what the file $TDA_TOKEN_FILE holds); ca: a file of
    authorities that the daemon's certificate is judged by (default: $TDA_CA, else the system's); timeout: seconds for a reply; reconnect: seconds for which a lost connection is tried again. The first connection
    is tried once, here."""

    def __init__(self, url=None, user=None, *, auth=None, ca=None, timeout=TIMEOUT_S, reconnect=RECONNECT_S):
        self.url = url or os.environ.get("TDA_SOCKET") or default_url()
        if not self.url.startswith(("ipc://", "tcp://", "tls+tcp://")):
            raise ValueError(f"an address begins with ipc://, tcp:// or tls+tcp://, not {self.url!r}")
        self._ca = ca or os.environ.get("TDA_CA")
        self.timeout, self.reconnect = timeout, reconnect
        self._common = {k: v for k, v in (("user", user or os.environ.get("TDA_USER")), ("auth", auth or default_token())) if v}
        self._lock = threading.Lock()
        self._connection = self._boot = None
        self._closed = False
        try:
            self._connected()
        except (OSError, Lost, Late, Foreign) as error:
            raise self._unreachable(error) from error

    # ---- what one asks for ----

    def ask(self, text, **params):
        """A whole turn, with tools: {"text": ..., "meta": {...}, ...}."""
        return self.call("agent.run", input=text, **params)

    def stream(self, text=None, *, method="agent.run", **params):
        """The same, event by event: for event in client.stream("..."): ..."""
        return Stream(self, method, {"input": text, **params} if text is not None else params)

    def configure(self, **fields):
        """provider=, model=, credentials={...}, mcp_server={"name": ...}, ...: tried first, then published together."""
        return self.call("configure", **fields)

    def cancel(self, task, **params):
        """Ends a task. False: it had ended already."""
        try:
            self.call("task.cancel", task=task, **params)
        except TdaError as error:
            if error.kind != "already_finished":
                raise
            return False
        return True

    def call(self, method, /, *, timeout=None, **params):
        """Any method; its result. TdaError when it is refused. Runs once, even when the connection breaks in the middle."""
        params = {**self._common, **params}
        if not only_reads(method):
            params.setdefault("idempotency_key", secrets.token_hex(16))
        request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        reply = json.loads(self._until_answered(method, request, timeout or self.timeout))
        if "error" in reply:
            raise TdaError.of(reply["error"])
        return reply["result"]

    # ---- one connection, and the next ----

    def _unreachable(self, error):
        if isinstance(error, Foreign):
            return TdaError(f"{error} on {self.url}", "protocol")
        return Unreachable(f"no daemon answers on {self.url}: {error}", "unreachable", hint="start one with: tdad --config FILE")

    def _connected(self):
        """The connection, and which run of the daemon it leads to."""
        with self._lock:
            if self._closed:
                raise ValueError("the client is closed")
            if self._connection is None or self._connection.lost:
                connection = Connection(self.url, self._ca)
                try:
                    info = connection.greet(self._common.get("auth"))
                    if info.get("name") != "tdad":
                        raise Foreign("what answers is no tdad")
                except BaseException:
                    connection.close()
                    raise
                self._connection, self._boot = connection, info.get("boot", info.get("pid"))
            return self._connection, self._boot

    def _until_answered(self, method, request, timeout):
        deadline = time.monotonic() + timeout
        sent_to, lost_at, pause = None, None, BACKOFF_S
        while True:
            try:
                connection, boot = self._connected()
                if sent_to not in (None, boot) and not only_reads(method):
                    raise OutcomeUnknown("the daemon was restarted while it worked on this", "outcome_unknown",
                                         hint="look whether it was done, then ask again")
                sent_to, lost_at, pause = boot, None, BACKOFF_S
                return connection.exchange(request, deadline - time.monotonic())
            except Foreign as error:
                raise self._unreachable(error) from error
            except (OSError, Lost, Late) as error:
                now = time.monotonic()
                if now >= deadline:
                    raise Timeout(f"no reply to {method} within {timeout} s", "timeout") from None
                lost_at = lost_at or now
                if now - lost_at >= self.reconnect:
                    raise self._unreachable(error) from error
            time.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, BACKOFF_MAX_S)

    def close(self):
        with self._lock:
            self._closed = True
            if self._connection:
                self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
