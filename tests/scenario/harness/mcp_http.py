"""An MCP server over HTTP in the test's own process: `seen` is what it was sent, `faults` how it is to misbehave.

era "legacy": Streamable HTTP with sessions, as of 2025-11-25; "modern": stateless, as of 2026-07-28; "sse": HTTP+SSE of 2024-11-05. Tools as in mcp_server.py.
faults = {"tools/call": ["reset"]}: by JSON-RPC method, or GET, DELETE, /path; a list is for one request each, a word for all of them. Words: see Fault."""
import http.server
import itertools
import json
import queue
import select
import socket
import struct
import threading
import time

from .mcp_server import COLOUR, tools

MODERN = "2026-07-28"
PROTOCOL = "io.modelcontextprotocol/protocolVersion"


class Seen:
    def __init__(self, verb, path, headers, body, peer):
        self.verb, self.path, self.headers, self.body, self.peer = verb, path, headers, body, peer
        self.message = json.loads(body) if body and body[:1] in (b"{", b"[") else {}
        self.method = self.message.get("method") if isinstance(self.message, dict) else None
        self.session = headers.get("mcp-session-id")
        self.gone = False  # the client closed before the answer's end

    @property
    def tool(self):
        return self.message["params"]["name"] if self.method == "tools/call" else None


class Session:
    def __init__(self, number):
        self.id, self.calls = f"session-{number}", 0
        self.outbox = queue.Queue()   # for the stream that the client opens by GET
        self.answers = queue.Queue()  # the client's, to what it was asked
        self.streams = 0


class Gone(Exception):
    """The client has closed the connection."""


class Fault:
    """Ways to misbehave; a method returns True when the request goes on all the same."""

    def __init__(self, handler, seen, server):
        self.h, self.seen, self.s = handler, seen, server

    def run(self, word):
        if word.isdigit():
            self.h.answer(int(word), "<html>no</html>", "text/html")
            return False
        return getattr(self, word)()

    def lost404(self):
        self.s.sessions.pop(self.seen.session, None)
        self.h.refuse(404, -32001, "Session not found")

    def lost400(self):  # server-everything's way
        self.s.sessions.pop(self.seen.session, None)
        self.h.refuse(400, -32000, "Bad Request: No valid session ID provided")

    def reset(self):
        self.h.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.h.close_connection = True
        self.h.connection.close()

    def hang(self):
        self.h.hold(60)

    def html(self):
        self.h.answer(200, "<html>hello</html>", "text/html")

    def rubbish(self):
        self.h.answer(200, "{{{")

    def empty(self):
        self.h.answer(200, "")

    def redirect(self):
        self.h.answer(307, "", headers=[("location", self.s.redirect_to)])

    def wrong_id(self):
        self.h.answer(200, json.dumps({"jsonrpc": "2.0", "id": 424242, "result": {"content": []}}))

    def deep(self):
        self.h.answer(200, '{"jsonrpc":"2.0","id":%s,"result":%s1%s}' % (json.dumps(self.seen.message.get("id")), '{"x":' * 100000, "}" * 100000))

    def huge(self):
        self.h.begin("application/json")
        self.h.chunk(b'{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"' % json.dumps(self.seen.message.get("id")).encode())
        while not self.h.idle(0):
            self.h.chunk(b"x" * 65536)

    def huge_event(self):
        self.h.begin()
        self.h.chunk(b"data: ")
        while not self.h.idle(0):
            self.h.chunk(b"x" * 65536)

    def drip(self):  # it lives, and says nothing
        self.h.begin()
        while not self.h.idle(0.05):
            self.h.chunk(b": \n\n")

    def drip_bytes(self):
        self.h.begin()
        for b in b"data: " + b"x" * 100000:
            self.h.chunk(bytes([b]))
            if self.h.idle(0.05):
                break

    def cut(self):
        self.h.begin()
        self.h.chunk(b"event: mess")
        self.h.cut()

    def no_answer(self):  # the stream ends as it should, without an answer
        self.h.begin()
        self.h.end()

    def noise(self):
        self.h.begin()
        self.h.chunk(b": hello\n\nid: n1\ndata:\n\nevent: unknown\ndata: x\n\ndata: {{{\n\nretry: 10\n\ndata: \xff\xfe\n\n")
        self.h.streaming = True
        return True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.mcp.kept.append(self.request)

    def handle(self):
        try:
            super().handle()
        except (OSError, Gone):
            if hasattr(self, "seen"):
                self.seen.gone = True

    def log_message(self, *args):
        pass

    # ---- writing ----

    def answer(self, code, text="", kind="application/json", headers=()):
        data = text.encode()
        self.send_response(code)
        if data:
            self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        for k, v in headers:
            self.send_header(k, v)
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, code, number, message, **data):
        i = self.seen.message.get("id") if isinstance(self.seen.message, dict) else None
        self.answer(code, json.dumps({"jsonrpc": "2.0", "id": i, "error": {"code": number, "message": message, **({"data": data} if data else {})}}))

    def begin(self, kind="text/event-stream", headers=()):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        for k, v in headers:
            self.send_header(k, v)
        self.end_headers()
        self.streaming = True

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def event(self, message, **fields):
        head = "".join(f"{k}: {v}\n" for k, v in fields.items())
        self.chunk(f"{head}data: {message if isinstance(message, str) else json.dumps(message)}\n\n".encode())

    def end(self):
        self.wfile.write(b"0\r\n\r\n")

    def cut(self):
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def idle(self, seconds):
        """Waits; true when the test is over. Gone when the client has closed."""
        if select.select([self.connection], [], [], seconds)[0] and not self.connection.recv(1, socket.MSG_PEEK):
            raise Gone
        return self.server.mcp.released.is_set()

    def hold(self, seconds):
        self.close_connection = True
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.idle(0.05):
            pass

    # ---- requests ----

    def take(self):
        m = self.server.mcp
        self.streaming = False
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body, self.client_address)
        with m.lock:
            m.seen.append(self.seen)
            for key in (self.seen.method, self.command, self.path):
                fault = m.faults.get(key)
                if isinstance(fault, list):
                    fault = fault.pop(0) if fault else None
                if fault:
                    break
        self.key = self.seen.headers.get("authorization", "").removeprefix("Bearer ")
        if m.keys is not None and self.key not in m.keys and self.path == m.path:
            self.answer(401, "", headers=[("www-authenticate", f'Bearer resource_metadata="{m.origin}/.well-known/oauth-protected-resource{m.path}"' if m.oauth else "Bearer")])
            return False
        return not fault or Fault(self, self.seen, m).run(fault)

    def do_DELETE(self):
        if self.take():
            known = self.server.mcp.sessions.pop(self.seen.session, None)
            self.answer(200 if known else 404)

    def do_GET(self):
        m = self.server.mcp
        if not self.take():
            return
        if m.oauth and m.oauth.get(self):
            return
        if m.era == "sse" and self.path == "/sse":
            session = m.open()
            self.begin()
            self.event(f"/message?sessionId={session.id}", event="endpoint")
            self.pump(session)
        elif self.path == m.path and "last-event-id" in self.seen.headers:
            self.resume(self.seen.headers["last-event-id"])
        elif m.era == "legacy" and self.path == m.path and m.get_stream:
            session = m.sessions.get(self.seen.session)
            if not session:
                self.refuse(400, -32000, "no session")
                return
            self.begin()
            session.streams += 1
            self.pump(session)
        else:
            self.answer(405, headers=[("allow", "POST")])

    def pump(self, session):
        """What the session has to say, until the client closes."""
        while not self.idle(0.01):
            try:
                self.event(session.outbox.get(timeout=0.02))
            except queue.Empty:
                pass

    def resume(self, last):
        m = self.server.mcp
        self.begin()
        for i, message in enumerate(m.kept_back.pop(last, [])):
            self.event(message, id=f"{last}-{i}")
        self.end()

    def do_POST(self):
        m = self.server.mcp
        if not self.take():
            return
        if m.oauth and m.oauth.post(self):
            return
        if m.era == "sse":
            self.post_sse()
        elif m.era == "modern":
            self.post_modern()
        else:
            self.post_legacy()

    def post_sse(self):
        session = self.server.mcp.sessions.get(self.path.partition("sessionId=")[2])
        if not session or not self.path.startswith("/message"):
            self.answer(404)
            return
        self.answer(202)
        message = self.seen.message
        if message.get("method") is None:
            session.answers.put(message)
        elif "id" in message:
            threading.Thread(target=Call(self.server.mcp, session, message, session.outbox.put, self).run, daemon=True).start()

    def post_legacy(self):
        m, message = self.server.mcp, self.seen.message
        if not {"application/json", "text/event-stream"} <= {a.strip().split(";")[0] for a in self.seen.headers.get("accept", "").split(",")}:
            self.refuse(406, -32000, "Not Acceptable")
        elif message.get("method") == "initialize":
            session = m.open()
            self.reply(session, [("mcp-session-id", session.id)] if m.stateful else [])
        elif m.stateful and self.seen.session not in m.sessions:
            self.refuse(400, -32000, "Bad Request: Server not initialized")
        else:
            session = m.sessions.get(self.seen.session) or Session(0)
            if "id" in message and "method" in message:
                self.reply(session)
            else:
                if "method" not in message:
                    session.answers.put(message)
                self.answer(202)

    def post_modern(self):
        message, headers = self.seen.message, self.seen.headers
        params = message.get("params") or {}
        version = params.get("_meta", {}).get(PROTOCOL)
        name = {"tools/call": params.get("name"), "prompts/get": params.get("name"), "resources/read": params.get("uri")}.get(message.get("method"))
        if version != MODERN:
            self.refuse(400, -32022, "Unsupported protocol version", supported=[MODERN], requested=str(version))
        elif (headers.get("mcp-protocol-version"), headers.get("mcp-method"), headers.get("mcp-name")) != (version, message.get("method"), name):
            self.refuse(400, -32020, "headers and body differ")
        elif message["method"] == "subscriptions/listen":
            self.listen(message)
        elif "id" in message:
            self.reply(Session(0))
        else:
            self.answer(202)

    def listen(self, message):
        m, meta = self.server.mcp, {"io.modelcontextprotocol/subscriptionId": message["id"]}
        self.begin()
        self.event({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {"notifications": message["params"]["notifications"], "_meta": meta}})
        session = m.open()
        try:
            while not self.idle(0.01):
                try:
                    said = session.outbox.get(timeout=0.02)
                except queue.Empty:
                    continue
                self.event({**said, "params": {**said.get("params", {}), "_meta": meta}})
        finally:
            m.sessions.pop(session.id, None)

    def reply(self, session, headers=()):
        """One answer: as JSON, or as a stream when the server is told so or has more to say than the answer."""
        m, call = self.server.mcp, None
        if m.reopen and self.seen.method == "tools/call":
            i = f"event-{next(m.serial)}"
            said = []
            Call(m, session, self.seen.message, said.append, self).run()
            m.kept_back[i] = said
            self.begin(headers=headers)
            self.event("", id=i, retry=m.reopen)
            self.end()
            return
        if m.answers == "sse" and not self.streaming:
            self.begin(headers=headers)
        if self.streaming:
            call = Call(m, session, self.seen.message, self.event, self)
            call.run()
            self.end()
            return
        said = []
        Call(m, session, self.seen.message, said.append, self).run()
        self.answer(200, json.dumps(said[-1]), headers=headers)


class Call:
    """A JSON-RPC request, and its answer; `say` takes that and what comes before it."""

    def __init__(self, mcp, session, message, say, handler):
        self.m, self.session, self.message, self.say, self.h = mcp, session, message, say, handler
        self.params = message.get("params") or {}

    def result(self, value):
        if self.m.era == "modern":
            value = {"resultType": "complete", **value}
            if self.message["method"].split("/")[1] in ("list", "read", "discover"):
                value = {"ttlMs": self.m.ttl_ms, "cacheScope": self.m.cache_scope, **value}
        self.say({"jsonrpc": "2.0", "id": self.message["id"], "result": value})

    def text(self, value):
        self.result({"content": [{"type": "text", "text": value}]})

    def run(self):
        method = self.message["method"]
        name = {"initialize": "initialize", "server/discover": "discover", "tools/list": "list", "tools/call": "call", "ping": "ping"}.get(method)
        if not name or (name == "discover") != (self.m.era == "modern" and name in ("discover", "initialize")):
            self.say({"jsonrpc": "2.0", "id": self.message["id"], "error": {"code": -32601, "message": "Method not found"}})
        else:
            getattr(self, name)()

    def initialize(self):
        self.result({"protocolVersion": {"legacy": "2025-11-25", "sse": "2024-11-05"}[self.m.era], "capabilities": {"tools": {"listChanged": True}},
                     "serverInfo": {"name": "fake", "version": "1"}})

    def discover(self):
        self.result({"supportedVersions": [MODERN], "capabilities": {"tools": {"listChanged": True}}})

    def ping(self):
        self.result({})

    def list(self):
        own = [{"name": f"only_for_{self.m.keys[self.h.key]}", "inputSchema": {"type": "object"}}] if self.m.keys else []
        self.result({"tools": tools(self.m.changed) + own})

    def call(self):
        name, args = self.params["name"], self.params.get("arguments") or {}
        self.session.calls += 1
        if name == "echo":
            self.text(args["text"])
        elif name == "add":
            self.text(str(args["a"] + args["b"]))
        elif name == "whoami":
            self.text(json.dumps({"session": self.h.seen.session, "key": self.h.key, "headers": self.h.seen.headers}))
        elif name == "count":
            self.text(f"{self.session.id} {self.session.calls}")
        elif name == "raw":
            self.result(args["result"])
        elif name == "never":
            self.m.released.wait(60) if self.m.era == "sse" else self.h.hold(60)
        elif name == "steps":
            self.steps(args)
        elif name == "ask":
            self.ask(args.get("params") or COLOUR)
        elif name == "change":
            self.m.change()
            self.text("changed")
        else:
            self.result({"content": [{"type": "text", "text": f"MCP error -32602: Tool {name} not found"}], "isError": True})

    def steps(self, args):
        for i in range(int(args["n"])):
            time.sleep(args.get("ms", 50) / 1000)
            if "progressToken" in self.params.get("_meta", {}):
                self.say({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": self.params["_meta"]["progressToken"], "progress": i + 1,
                                                                                         "total": args["n"], "message": f"step {i + 1}"}})
        self.text("done")

    def ask(self, params):
        if self.m.era == "modern":
            given = self.params.get("inputResponses")
            if given:
                self.text(json.dumps([given["it"], self.params.get("requestState")]))
            else:
                self.result({"resultType": "input_required", "inputRequests": {"it": {"method": "elicitation/create", "params": params}}, "requestState": "opaque  state"})
            return
        (self.session.outbox.put if self.m.ask_on == "get" else self.say)({"jsonrpc": "2.0", "id": 0, "method": "elicitation/create", "params": params})
        answer = self.session.answers.get(timeout=60)
        self.text(json.dumps(answer.get("result", answer.get("error"))))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        pass


class McpHttp:
    """with McpHttp() as s: s.url"""

    def __init__(self, era="legacy", keys=None, oauth=None):
        """keys: {bearer token: whose it is}; each sees a tool of his own. oauth: an authorization server that answers beside it, and fills `keys`."""
        self.era, self.keys, self.oauth = era, keys, oauth
        self.path = "/sse" if era == "sse" else "/mcp"
        self.answers = "json"       # or "sse"
        self.ask_on = "post"        # the stream that questions come on; or "get"
        self.get_stream = True
        self.stateful = True        # legacy: with sessions
        self.reopen = 0             # ms: answers come only to who resumes, this much later
        self.ttl_ms, self.cache_scope = 0, "private"
        self.faults, self.redirect_to = {}, ""
        self.seen, self.sessions, self.kept_back, self.kept = [], {}, {}, []
        self.changed = False
        self.serial = itertools.count(1)
        self.lock, self.released = threading.Lock(), threading.Event()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.mcp = self
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.url = self.origin + self.path
        if oauth:
            oauth.attach(self)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def open(self):
        session = Session(next(self.serial))
        self.sessions[session.id] = session
        return session

    def change(self):
        """The tools are not what they were; whoever listens is told."""
        self.changed = True
        for session in list(self.sessions.values()):
            session.outbox.put({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})

    def requests(self, method=None, tool=None):
        with self.lock:
            return [s for s in self.seen if (method is None or s.method == method) and (tool is None or s.tool == tool)]

    def verbs(self, verb):
        with self.lock:
            return [s for s in self.seen if s.verb == verb]

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        for connection in self.kept:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()
