"""Ollama's /api/chat: NDJSON, arguments as objects, no ids."""
from service import Provider, as_bytes, body_of, pieces_of, whole_reply
from words import Asked, Call, Image, Refusal, Result, Text, Thinking


def error(status, message):
    return Refusal(status, None, {"error": message})


def line(value):
    return as_bytes(value) + b"\n"


class Ollama(Provider):
    name = plugin = "ollama"
    models = ["llama-model:8b", "hub/model-2:latest"]
    stream_type = "application/x-ndjson"
    has_ids = False
    opaque_on = None
    stops = {"end_turn": "stop", "max_tokens": "length", "tool_use": "stop"}
    errors = {
        "bad_request": error(400, "invalid think value"),
        "auth": error(401, "unauthorized: KEY"),
        "permission": error(403, "this model requires a subscription"),
        "not_found": error(404, "model 'no-such-model' not found"),
        "rate": error(429, "too many requests"),
        "server": error(500, "llama runner process has terminated"),
        "overloaded": error(503, "server busy, please try again. maximum pending requests exceeded"),
    }
    not_applicable = {
        "thinking_round_trip": "thinking has no signature here",
        "tool_choice": "the wire has no tool choice",
        "quota": "no error of its own",
        "context_full": "the server cuts the conversation and says nothing",
        "request_id": "answers carry none",
    }
    types = """
import type { ChatRequest, Message, Tool, ToolCall } from "ollama";
type Turn = Omit<Message, "images" | "tool_calls"> & { images?: string[]; tool_calls?: (ToolCall & { id?: string })[]; tool_call_id?: string };
type Offered = Omit<Tool, "function"> & { function: Omit<Tool["function"], "parameters"> & { parameters: object } };
type Params = Omit<ChatRequest, "messages" | "tools"> & { messages: Turn[]; tools?: Offered[] };"""
    aimock = ""
    aimock_not = {"thinking": "says reasoning_content where Ollama says thinking"}

    def environment(self, base, key):
        return {"OLLAMA_HOST": base.removeprefix("http://"), "OLLAMA_API_KEY": key}, {}

    def chat_path(self, model, stream):
        return "/api/chat"

    def is_chat(self, seen):
        return seen.path == "/api/chat"

    # ---- requests ----

    def read(self, seen):
        b = body_of(seen)
        asked = Asked(b.pop("model"), b.pop("stream", True))
        for m in b.pop("messages"):
            self.read_message(asked, m)
        for tool in b.pop("tools", []):
            assert tool["type"] == "function"
            f = tool["function"]
            asked.tools[f["name"]] = (f.get("description", ""), f["parameters"])
        options = b.pop("options", {})
        for ours, theirs in (("max_tokens", "num_predict"), ("temperature",) * 2, ("top_p",) * 2, ("stop",) * 2):
            if theirs in options:
                asked.sampling[ours] = options.pop(theirs)
        if "think" in b:
            asked.sampling["reasoning"] = b.pop("think")
        asked.extra = {**b, **({"options": options} if options else {})}
        return asked

    def read_message(self, asked, m):
        role, text = m.pop("role"), m.pop("content", "")
        if role == "system":
            asked.system += text
        elif role == "tool":
            m.pop("tool_call_id", None)
            failed = text.startswith("Error: ")
            asked.add("user", [Result(None, m.pop("tool_name"), text.removeprefix("Error: "), failed)])
            asked.add("user", [Image(None, data) for data in m.pop("images", [])])
        else:
            parts = [Thinking(m.pop("thinking"))] if "thinking" in m else []
            parts += [Text(text)] if text else []
            parts += [Image(None, data) for data in m.pop("images", [])]
            for call in m.pop("tool_calls", []):
                assert isinstance(call["function"]["arguments"], dict), "arguments are an object"
                parts.append(Call(None, call["function"]["name"], call["function"]["arguments"]))
            asked.add(role, parts)
        assert not m, f"a message with {m}"

    # ---- answers ----

    def chunk(self, says, model, message, last):
        wire = {"model": model or self.models[0], "created_at": "2026-11-01T10:00:00.000000Z", "message": {"role": "assistant", "content": "", **message},
                "done": last}
        if last:
            wire.update(done_reason=self.stops[says.stop], total_duration=5000000, load_duration=1000000)
        if last and says.usage:
            wire.update(prompt_eval_count=says.usage["input"], eval_count=says.usage["output"])
        return wire

    def calls(self, parts):
        return [{"function": {"index": i, "name": p.name, "arguments": p.args}} for i, p in enumerate(parts)]

    def whole(self, says, model):
        message = {"content": "".join(p.text for p in says.parts if isinstance(p, Text))}
        thought = "".join(p.text for p in says.parts if isinstance(p, Thinking))
        calls = [p for p in says.parts if isinstance(p, Call)]
        message.update({"thinking": thought} if thought else {}, **({"tool_calls": self.calls(calls)} if calls else {}))
        return self.chunk(says, model, message, True)

    def stream(self, says, model):
        messages = []
        for p in says.parts:
            if isinstance(p, Call):
                messages.append({"tool_calls": self.calls([p])})
            else:
                messages += [{"thinking" if isinstance(p, Thinking) else "content": t} for t in pieces_of(p.text)]
        return [line(self.chunk(says, model, m, False)) for m in messages] + [line(self.chunk(says, model, {}, True))]

    def other(self, seen, service):
        if seen.path == "/api/tags":
            return whole_reply({"models": [{"name": m, "model": m, "size": 1, "details": {"family": "llama"}} for m in service.models]})
        if seen.path == "/api/version":
            return whole_reply({"version": "0.15.0"})
        if seen.path == "/api/show" and body_of(seen)["model"] in service.models:
            return whole_reply({"details": {"family": "llama"}, "capabilities": ["completion", "tools"]})
        return None

    def mid_stream(self):
        return [([line({"error": "an error was encountered while running the model"})], "upstream_failed", None)]

    def malformed_frame(self):
        return b'{"never": [closed\n'
