"""A fake vendor: a recording HTTP server that answers with a provider's wire bytes; and the base class of those providers."""
import copy
import http.server
import json
import pathlib
import socket
import threading

from harness.daemon import BUILD
from harness.upstream import Seen, Server
from words import NotApplicable, Refusal, Reply, Says, Text

TEXT = Says([Text("hi")])


class Provider:
    """What differs between vendors. A provider's module derives from this and fills in what is marked; README.md tells how."""
    name = ""               # row of the matrix, and of ctest: conformance_NAME
    plugin = ""             # NAME.so
    settings = {}           # of the operator's entry, beside base_url
    base_path = ""          # behind the server's address
    models = ["model-1", "model-2"]
    content_type = "application/json"
    stream_type = "text/event-stream"
    request_id_header = "x-request-id"
    required_sampling = ()  # what the vendor insists on: sent even when not asked for
    usage_says = {"input", "output"}  # which counts the wire can express
    stops = {}              # neutral reason -> the vendor's word
    stop_raw_is_word = True  # the reply's stop_raw is that word
    errors = {}             # kind -> Refusal; kinds: bad_request auth permission not_found rate quota server overloaded context_full
    opaque_on = "thinking"  # or "call": which part carries the signature; None: there is none
    redacted = False        # has thinking that is nothing but a blob
    extra = {"vendor_field": {"a": [1, 2.5, "x"]}}  # to be found again in Asked.extra
    not_applicable = {}     # case -> reason
    has_ids = True          # tool calls have ids on the wire
    history_needs_tools = False  # calls in the history want their tools declared
    no_sampling = ()        # sampling parameters that the wire cannot say
    no_choice = ()          # values of tool_choice that the wire cannot say
    types = None            # TypeScript that defines `Params`, the type of a request body; wants the vendor's package among the peers
    aimock = None           # path behind aimock's address, for base_url
    aimock_not = {}         # case -> why aimock is no oracle for it

    # ---- configuration ----

    def missing(self):
        """Why the row cannot run yet, or None."""
        return None if (BUILD / "plugins" / f"{self.plugin}.so").exists() else "plugin not built"

    def credentials(self, key):
        return {"api_key": key}

    def configure(self, key, model):
        """Parameters of configure, but for the provider's name."""
        return {"model": model, "credentials": self.credentials(key)}

    def override(self, base):
        """Parameters of configure that send a user's requests to another address."""
        return {"base_url": base}

    def environment(self, base, key):
        """(variables, settings of the entry) for the shared context: as users of the vendor's own tools set them."""
        raise NotImplementedError

    # ---- requests ----

    def key_of(self, seen):
        """The credential that came along."""
        return seen.headers.get("authorization", "").removeprefix("Bearer ")

    def check_headers(self, seen):
        """What must, and what must not, be among the headers of every request."""

    def chat_path(self, model, stream):
        raise NotImplementedError

    def is_chat(self, seen):
        return seen.method == "POST"

    def read(self, seen):
        """A chat request -> Asked. Strict: what it does not know goes to Asked.extra, what it must find it looks up with []."""
        raise NotImplementedError

    # ---- answers ----

    def whole(self, says, model):
        """Says -> JSON value or bytes of an answer that is no stream."""
        raise NotImplementedError

    def stream(self, says, model):
        """Says -> the frames of a stream, in order."""
        raise NotImplementedError

    def other(self, seen, service):
        """What is no chat: the model list, and what validation asks for. None: a 404."""
        return None

    def mid_stream(self):
        """[(frames of an error in the middle of a stream, kind of our error, code or None)]"""
        raise NotImplementedError

    def malformed_frame(self):
        return b"data: {\"never\": [closed\n\n"

    def retry_forms(self):
        """[(what it is, headers, body or None, milliseconds)] beside Retry-After: the vendor's own."""
        return []

    def no_retry(self):
        """Headers with which the vendor says that a retry does not help, or None."""
        return None

    def listed(self, user):
        """The ids that models.list must show."""
        return self.models

    def message_of(self, refusal):
        """The text in an error's body."""
        error = refusal.body.get("error", refusal.body)
        return error if isinstance(error, str) else error["message"]

    def own_cases(self):
        """Functions of a Bench: what only this vendor does."""
        return []

    # ---- used by the cases ----

    def answer(self, says, model, stream):
        if stream:
            return Reply(self.stream(says, model), type=self.stream_type)
        return whole_reply(self.whole(says, model), self.content_type)

    def refusal(self, kind, **headers):
        if kind not in self.errors:
            raise NotApplicable(f"{self.name} has no such error")
        r = self.errors[kind]
        return refusal_reply(r, self, headers)


def as_bytes(body):
    return body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()


def whole_reply(body, kind="application/json", status=200, headers=None):
    return Reply([as_bytes(body)], status=status, type=kind, headers=dict(headers or {}), whole=True)


def refusal_reply(refusal: Refusal, provider, headers=None):
    all_headers = {provider.request_id_header: "req-77", **refusal.headers, **{k.replace("_", "-"): v for k, v in (headers or {}).items()}}
    return whole_reply(refusal.body, refusal.type, refusal.status, all_headers)


def sse(value, event=None):
    data = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return (f"event: {event}\n" if event else "").encode() + b"data: " + data.encode() + b"\n\n"


def pieces_of(text, size=7):
    """A text as the deltas of a stream."""
    return [text[i:i + size] for i in range(0, len(text), size)]


def body_of(seen):
    """The request's JSON, as one that may be taken apart."""
    value = json.loads(seen.body)
    assert isinstance(value, dict), "the body is one JSON object"
    return copy.deepcopy(value)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, *args):
        pass

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            pass

    def serve(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body, self.client_address)
        seen.repeated = {k.lower() for k in self.headers if len(self.headers.get_all(k)) > 1}
        self.say(self.server.service.reply_to(seen))

    do_GET = do_POST = do_PUT = do_HEAD = serve

    def say(self, reply):
        self.send_response(reply.status)
        self.send_header("content-type", reply.type)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.whole:
            promised = len(reply.body) + (100 if reply.ending != "end" else 0)
            self.send_header("content-length", str(promised))
        else:
            self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in reply.pieces:
            self.wfile.write(piece if reply.whole else b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b"")
            self.wfile.flush()
        if reply.ending == "hang":
            self.server.service.released.wait(60)
        if reply.ending != "end":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif not reply.whole:
            self.wfile.write(b"0\r\n\r\n")


class Service:
    """with Service(provider) as s: s.base is its base_url, s.seen what it got, s.script the answers to the next chats.

    An item of the script is a Reply, or a function of the request that makes one; the last one stays. Without a script it says "hi" to
    models and keys that it knows."""

    def __init__(self, provider):
        self.provider = provider
        self.models = list(provider.models)
        self.refused_keys = set()
        self.seen, self.script = [], []
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.service = self
        self.port = self.server.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.base = self.address + provider.base_path
        self.faults = []  # of the fake itself: a test must not pass over them
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def reply_to(self, seen):
        with self.lock:
            self.seen.append(seen)
            step = None
            if self.script and self.provider.is_chat(seen):
                step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        try:
            if step is not None:
                return step(seen) if callable(step) else step
            return self.unscripted(seen)
        except Exception as error:  # a reader that found what it must not
            self.faults.append(f"{seen.method} {seen.path}: {type(error).__name__}: {error}")
            return whole_reply({"fault": str(error)}, status=400)

    def unscripted(self, seen):
        p = self.provider
        if p.key_of(seen) in self.refused_keys:
            return p.refusal("auth")
        if not p.is_chat(seen):
            return p.other(seen, self) or p.refusal("not_found")
        asked = p.read(seen)
        if asked.model is not None and asked.model not in self.models:
            return p.refusal("not_found")
        return p.answer(TEXT, asked.model, asked.stream)

    def chats(self, since=0):
        with self.lock:
            return [s for s in self.seen[since:] if self.provider.is_chat(s)]

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()


def load_providers():
    """All of providers/, by name."""
    import importlib
    found = {}
    for path in sorted((pathlib.Path(__file__).parent / "providers").glob("*.py")):
        if path.stem != "__init__":
            for value in vars(importlib.import_module(f"providers.{path.stem}")).values():
                if isinstance(value, type) and issubclass(value, Provider) and value.name:
                    found[value.name] = value
    return found
