"""A recording model service for many users at once: asyncio, bare HTTP/1.1, the form of OpenAI's chat. It judges each request as it comes: every mark in it must
be of the user whose key it carries. A process of its own: `with Recorder() as up: ... up.figures()`."""
import asyncio
import json
import multiprocessing
import os
import re

MARK = re.compile(rb"canary-([a-z]+)-(u\d+)\b")  # canary-key-u7-3, canary-model-u7, canary-word-u7-12


def owners(data):
    """Users whose marks are in these bytes."""
    return {m.group(2) for m in MARK.finditer(data)}


class Service:
    def __init__(self, figures):
        self.figures = figures
        self.foreign = []

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                n = re.search(rb"(?i)content-length: (\d+)", head)
                body = await reader.readexactly(int(n.group(1))) if n else b""
                await self.answer(head, body, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, head, body, writer):
        self.figures["requests"] += 1
        key = re.search(rb"(?i)authorization: Bearer (\S+)", head)
        whose = owners(key.group(1)) if key else set()
        if len(whose) != 1 or owners(head + body) != whose:
            self.foreign.append((head + body)[:2000].decode(errors="replace"))
            self.figures["foreign"] = list(self.foreign[:5]) + [len(self.foreign)]
        if b"GET " == head[:4]:
            user = next(iter(whose)).decode() if whose else "nobody"
            text, kind = json.dumps({"data": [{"id": f"canary-model-{user}"}]}), "application/json"
        else:
            request = json.loads(body)
            words = request["messages"][-1]["content"]
            if "slowly" in words:
                await asyncio.sleep(0.3)
            text, kind = spoken(request, "heard: " + words)
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(text)}\r\n\r\n{text}".encode())
        await writer.drain()


def spoken(request, words):
    """The answer, in the form that was asked for."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    base = {"id": "c", "model": request["model"]}
    if not request.get("stream"):
        message = {"role": "assistant", "content": words}
        return json.dumps({**base, "object": "chat.completion", "usage": usage, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}), "application/json"
    chunks = [{"choices": [{"index": 0, "delta": {"role": "assistant", "content": words}, "finish_reason": None}]},
              {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": usage}]
    events = [json.dumps({**base, "object": "chat.completion.chunk", **c}) for c in chunks] + ["[DONE]"]
    return "".join(f"data: {e}\n\n" for e in events), "text/event-stream"


async def main(ready, ask):
    figures = {"requests": 0, "foreign": []}
    service = Service(figures)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, limit=1 << 20, backlog=4096)
    ready.send(server.sockets[0].getsockname()[1])
    while True:
        while not ask.poll():
            await asyncio.sleep(0.05)
        if ask.recv() == "end":
            os._exit(0)  # whoever still waits for an answer has gone
        ask.send(dict(figures))


class Recorder:
    def __enter__(self):
        ready, theirs = multiprocessing.Pipe()
        self.ask, asked = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=lambda: asyncio.run(main(theirs, asked)), daemon=True)
        self.process.start()
        self.base = f"http://127.0.0.1:{ready.recv()}/v1"
        return self

    def figures(self):
        self.ask.send("figures")
        return self.ask.recv()

    def __exit__(self, *args):
        self.ask.send("end")
        self.process.join(5)
        self.process.kill()
