"""OpenAI's Chat Completions: the wire that azure and friendli share."""
import json

from service import Provider, body_of, pieces_of, sse, whole_reply
from words import Asked, Call, Image, Refusal, Result, Text, Thinking


def error(status, kind, code, message, **headers):
    return Refusal(status, code or kind, {"error": {"message": message, "type": kind, "param": None, "code": code}}, headers)


def read_content(content):
    if isinstance(content, str):
        return [Text(content)] if content else []
    parts = []
    for part in content or []:
        if part["type"] == "text":
            parts.append(Text(part["text"]))
        else:
            assert part["type"] == "image_url", part
            head, data = part["image_url"]["url"].split(",", 1)
            parts.append(Image(head.removeprefix("data:").removesuffix(";base64"), data))
    return parts


def read_message(asked, m):
    role = m.pop("role")
    if role == "tool":
        text = m.pop("content")
        assert isinstance(text, str), "the content of a tool message is text"
        failed = text.startswith("Error: ")
        asked.add("user", [Result(m.pop("tool_call_id"), None, text.removeprefix("Error: "), failed)])
    elif role in ("system", "developer"):
        asked.system += "".join(p.text for p in read_content(m.pop("content")))
    else:
        parts = read_content(m.pop("content"))
        for call in m.pop("tool_calls", []):
            assert call["type"] == "function" and isinstance(call["function"]["arguments"], str), call
            parts.append(Call(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])))
        asked.add(role, parts)
    assert not m, f"a message with {m}"


def read_choice(value):
    if isinstance(value, dict):
        assert value["type"] == "function"
        return "tool:" + value["function"]["name"]
    return {"required": "any"}.get(value, value)


class OpenAIChat(Provider):
    name = "openai"
    plugin = "openai"
    base_path = "/v1"
    usage_says = {"input", "output", "cache_read", "reasoning"}
    opaque_on = None
    stops = {"end_turn": "stop", "max_tokens": "length", "filter": "content_filter", "tool_use": "tool_calls"}
    errors = {
        "bad_request": error(400, "invalid_request_error", None, "messages: at least one is wanted"),
        "auth": error(401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: KEY"),
        "permission": error(403, "permission_error", "unsupported_country", "not from here"),
        "not_found": error(404, "invalid_request_error", "model_not_found", "The model does not exist"),
        "rate": error(429, "requests", "rate_limit_exceeded", "Rate limit reached"),
        "quota": error(429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota"),
        "server": error(500, "server_error", None, "The server had an error"),
        "overloaded": error(503, "server_error", "overloaded", "The engine is overloaded"),
        "context_full": error(400, "invalid_request_error", "context_length_exceeded", "maximum context length is 8192 tokens"),
    }
    not_applicable = {"thinking_round_trip": "Chat Completions takes no thinking back"}
    types = ('import type { ChatCompletionCreateParams } from "openai/resources/chat/completions";\n'
             'type Params = ChatCompletionCreateParams;')
    aimock = "/v1"

    def environment(self, base, key):
        return {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": base}, {}

    def chat_path(self, model, stream):
        return self.base_path + "/chat/completions"

    def is_chat(self, seen):
        return seen.path.split("?")[0].endswith("/chat/completions")

    def check_headers(self, seen):
        assert seen.headers["authorization"].startswith("Bearer "), "the key goes as a bearer token"

    # ---- requests ----

    def read(self, seen):
        b = body_of(seen)
        asked = Asked(b.pop("model", None), b.pop("stream", False))
        options = b.pop("stream_options", None)
        assert options == ({"include_usage": True} if asked.stream else None), f"stream_options: {options}"
        for m in b.pop("messages"):
            read_message(asked, m)
        for tool in b.pop("tools", []):
            assert tool["type"] == "function"
            f = tool["function"]
            asked.tools[f["name"]] = (f.get("description", ""), f["parameters"])
        asked.choice = read_choice(b.pop("tool_choice", "auto"))
        for ours, theirs in (("max_tokens", "max_completion_tokens"), ("temperature",) * 2, ("top_p",) * 2, ("stop",) * 2,
                             ("reasoning", "reasoning_effort")):
            if theirs in b:
                asked.sampling[ours] = b.pop(theirs)
        asked.extra = b
        return asked

    # ---- answers ----

    def usage(self, usage):
        wire = {"prompt_tokens": usage["input"], "completion_tokens": usage["output"], "total_tokens": usage["input"] + usage["output"]}
        if "cache_read" in usage:
            wire["prompt_tokens_details"] = {"cached_tokens": usage["cache_read"]}
        if "reasoning" in usage:
            wire["completion_tokens_details"] = {"reasoning_tokens": usage["reasoning"]}
        return wire

    def envelope(self, says, model, kind, choices, usage):
        wire = {"id": says.id, "object": kind, "created": 1700000000, "model": model or self.models[0], "choices": choices}
        if usage:
            wire["usage"] = self.usage(says.usage)
        return wire

    def whole(self, says, model):
        message = {"role": "assistant", "content": "".join(p.text for p in says.parts if isinstance(p, Text)) or None, "refusal": None}
        calls = [{"id": p.id, "type": "function", "function": {"name": p.name, "arguments": json.dumps(p.args)}}
                 for p in says.parts if isinstance(p, Call)]
        thought = "".join(p.text for p in says.parts if isinstance(p, Thinking))
        if not calls and message["content"] is None:
            message["content"] = ""
        message.update({"tool_calls": calls} if calls else {}, **({"reasoning_content": thought} if thought else {}))
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.stops[says.stop]}
        return self.envelope(says, model, "chat.completion", [choice], says.usage)

    def deltas(self, says):
        yield {"role": "assistant", "content": ""}
        n = 0
        for p in says.parts:
            if isinstance(p, Call):
                yield {"tool_calls": [{"index": n, "id": p.id, "type": "function", "function": {"name": p.name, "arguments": ""}}]}
                for piece in pieces_of(json.dumps(p.args), 5):
                    yield {"tool_calls": [{"index": n, "function": {"arguments": piece}}]}
                n += 1
            else:
                for piece in pieces_of(p.text):
                    yield {"reasoning_content" if isinstance(p, Thinking) else "content": piece}

    def stream(self, says, model):
        def chunk(choices, usage=False):
            return sse(self.envelope(says, model, "chat.completion.chunk", choices, usage))
        frames = [chunk([{"index": 0, "delta": d, "finish_reason": None}]) for d in self.deltas(says)]
        frames.append(chunk([{"index": 0, "delta": {}, "finish_reason": self.stops[says.stop]}]))
        if says.usage:
            frames.append(chunk([], usage=True))
        return frames + [sse("[DONE]")]

    def other(self, seen, service):
        path = seen.path.removeprefix(self.base_path)
        row = {"object": "model", "created": 1, "owned_by": "x"}
        if path == "/models":
            return whole_reply({"object": "list", "data": [{"id": m, **row} for m in service.models]})
        if path.removeprefix("/models/") in service.models:
            return whole_reply({"id": path.removeprefix("/models/"), **row})
        return None

    def mid_stream(self):
        wrong = {"message": "The server had an error", "type": "server_error", "param": None, "code": None}
        busy = {"message": "Overloaded", "type": "overloaded_error", "param": None, "code": "overloaded"}
        return [([sse({"error": wrong})], "upstream_failed", "server_error"), ([sse({"error": busy}, "error")], "overloaded", "overloaded")]

    def retry_forms(self):
        return [("retry-after-ms", {"retry-after-ms": "7250"}, None, 7250)]

    def no_retry(self):
        return {"x-should-retry": "false"}
