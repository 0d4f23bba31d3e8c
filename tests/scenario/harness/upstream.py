"""A fake OpenAI-compatible service that keeps what it was sent, byte for byte, and misbehaves when told to.

It answers "echo: <last user text>". When tools are offered, no tool result is there yet and the text says `use TOOL {json}`, it asks for
that tool. A fault is one of FAULTS, set for the next n requests or for a key."""
import http.server
import json
import re
import socket
import struct
import threading
import time

FAULTS = ("reset", "stall", "401", "429", "500", "html", "html502", "truncate", "truncate_sse", "unfinished", "malformed", "slow", "redirect", "big", "empty",
          "context_full", "interim", "pause")


class Seen:
    def __init__(self, method, path, headers, body, peer):
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.peer = peer  # one connection, one peer
        self.at = time.monotonic()

    @property
    def key(self):
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def json(self):
        return json.loads(self.body)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.up.kept.append(self.request)

    def log_message(self, *args):
        pass

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            pass

    def take(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body, self.client_address)
        up = self.server.up
        with up.lock:
            up.seen.append(seen)
            fault = up.key_faults.get(seen.key)
            if not fault and up.faults and not self.path.endswith("/models"):
                fault = up.faults.pop(0)
            elif not fault and up.any_faults:
                fault = up.any_faults.pop(0)
        return seen, fault

    def answer(self, code, text, kind="application/json", headers=()):
        data = text.encode() if isinstance(text, str) else text
        self.send_response(code)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.send_header("x-request-id", "req-42")
        for k, v in headers:
            self.send_header(k, v)
        self.end_headers()
        self.wfile.write(data)

    def error(self, code, kind, message, headers=()):
        self.answer(code, json.dumps({"error": {"message": message, "type": kind, "param": None, "code": kind}}), headers=headers)

    def do_GET(self):
        seen, fault = self.take()
        if self.fault(fault, seen) or self.refused(seen):
            return
        if self.path.endswith("/models"):
            self.answer(200, json.dumps({"object": "list", "data": [{"id": m, "object": "model"} for m in self.server.up.models]}))
        else:
            self.error(404, "not_found", "no such path")

    def refused(self, seen):
        up = self.server.up
        if up.keys is not None and seen.key not in up.keys:
            self.error(401, "invalid_api_key", f"Incorrect API key provided: {seen.key}")
            return True
        return False

    def do_POST(self):
        seen, fault = self.take()
        if self.server.up.delay:
            time.sleep(self.server.up.delay)
        if self.fault(fault, seen) or self.refused(seen):
            return
        try:
            request = json.loads(seen.body)
        except ValueError:
            self.error(400, "invalid_request_error", "not JSON")
            return
        message, stop = self.reply(request)
        with self.server.up.lock:
            usage = self.server.up.usages.pop(0) if self.server.up.usages else {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
        if request.get("stream"):
            self.stream(request, message, stop, usage)
        else:
            self.answer(200, json.dumps({"id": "chatcmpl-1", "object": "chat.completion", "model": request.get("model"), "usage": usage,
                                         "choices": [{"index": 0, "message": message, "finish_reason": stop}]}))

    @staticmethod
    def text_of(message):
        content = message.get("content")
        if isinstance(content, list):
            return "".join(p.get("text", "") for p in content)
        return content or ""

    def reply(self, request):
        messages = request.get("messages", [])
        last = next((self.text_of(m) for m in reversed(messages) if m["role"] == "user"), "")
        results = [self.text_of(m) for m in messages if m["role"] == "tool"]
        uses = re.findall(r"use (\S+) (\{.*?\})(?= use |$)", last, re.S)
        endless = "again and again" in last
        if request.get("tools") and uses and (not results or endless):
            n = len(messages)
            calls = [{"id": f"call_{n}_{i}", "type": "function", "function": {"name": name, "arguments": args}}
                     for i, (name, args) in enumerate(uses)]
            return {"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls"
        text = "tool said: " + " | ".join(results) if results else "echo: " + last
        return {"role": "assistant", "content": text}, "stop"

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def begin_stream(self):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def event(self, delta, stop=None, **more):
        body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": stop}]}
        body.update(more)
        self.chunk(b"data: " + json.dumps(body).encode() + b"\n\n")

    def stream(self, request, message, stop, usage):
        self.begin_stream()
        self.event({"role": "assistant", "content": ""}, model=request.get("model"))
        text = message["content"] or ""
        step = self.server.up.chunk
        for i in range(0, len(text), step):
            self.event({"content": text[i:i + step]})
        for i, call in enumerate(message.get("tool_calls", [])):
            f = call["function"]
            self.event({"tool_calls": [{"index": i, "id": call["id"], "type": "function", "function": {"name": f["name"], "arguments": ""}}]})
            for k in range(0, len(f["arguments"]), 5):
                self.event({"tool_calls": [{"index": i, "function": {"arguments": f["arguments"][k:k + 5]}}]})
        self.event({}, stop)
        if usage and request.get("stream_options", {}).get("include_usage"):
            self.chunk(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n")
        self.chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def cut(self):
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def fault(self, fault, seen):
        if not fault:
            return False
        if fault.startswith("interim:"):  # so many interim answers, and then the real one
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * int(fault[8:]))
            return False
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        elif fault == "stall":
            self.server.up.released.wait(60)
            self.close_connection = True
        elif fault == "401":
            self.error(401, "invalid_api_key", f"Incorrect API key provided: {seen.key}")
        elif fault.startswith("429"):
            self.error(429, "rate_limit_exceeded", "slow down", headers=[("retry-after", fault[4:])] if fault[4:] else [])
        elif fault == "context_full":
            self.error(400, "context_length_exceeded", "This model's maximum context length is 4097 tokens.")
        elif fault == "500":
            self.error(500, "server_error", "it broke")
        elif fault == "html":
            self.answer(200, "<html><body>hello</body></html>", "text/html")
        elif fault == "html502":
            self.answer(502, "<html><body>bad gateway</body></html>", "text/html")
        elif fault == "malformed":
            self.answer(200, '{"choices": [', "application/json")
        elif fault == "empty":
            self.answer(200, "", "application/json")
        elif fault == "truncate":
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "5000")
            self.end_headers()
            self.wfile.write(b'{"choices":')
            self.cut()
        elif fault == "truncate_sse":
            self.begin_stream()
            self.event({"role": "assistant", "content": "half an ans"})
            self.cut()
        elif fault == "unfinished":  # whole as HTTP, but the end marker is not there
            self.begin_stream()
            self.event({"role": "assistant", "content": "half an ans"})
            self.wfile.write(b"0\r\n\r\n")
        elif fault == "pause":  # half of the answer, and the rest when the test says so
            self.begin_stream()
            self.event({"role": "assistant", "content": "half an ans"})
            self.server.up.released.wait(60)
            self.event({"content": "wer"})
            self.event({}, "stop")
            self.chunk(b"data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")
        elif fault == "slow":
            self.begin_stream()
            try:
                for _ in range(600):
                    self.chunk(b":")
                    time.sleep(0.1)
            except OSError:
                pass
            self.close_connection = True
        elif fault == "redirect":
            self.answer(302, "", headers=[("location", self.server.up.redirect_to)])
        elif fault == "big":
            self.begin_stream()
            try:
                while True:
                    self.event({"content": "x" * 65536})
            except OSError:
                pass
            self.close_connection = True
        return True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        pass


class Upstream:
    """with Upstream(keys=["k1"]) as up: up.base is its base_url, up.seen what it got."""

    def __init__(self, keys=None, models=("model1", "model2"), port=0):
        self.keys = keys
        self.models = models
        self.seen = []
        self.faults = []       # for chat calls, one each
        self.any_faults = []   # for any request
        self.key_faults = {}
        self.usages = []       # of chat calls, one each; None: it does not say
        self.delay = 0
        self.chunk = 7         # characters of one delta
        self.redirect_to = ""
        self.released = threading.Event()
        self.kept = []         # connections, to be ended with the service
        self.lock = threading.Lock()
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.up = self
        self.port = self.server.server_address[1]
        self.base = f"http://127.0.0.1:{self.port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def chats(self):
        with self.lock:
            return [s for s in self.seen if s.path.endswith("/chat/completions")]

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
