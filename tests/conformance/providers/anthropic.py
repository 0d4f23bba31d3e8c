"""Anthropic's Messages API."""
import json
import urllib.parse

from bench import config, same, same_parts
from harness.daemon import Daemon
from service import Provider, Service, body_of, pieces_of, sse, whole_reply
from words import Asked, Call, Image, Refusal, Reply, Result, Says, Text, Thinking


def error(status, kind, message):
    return Refusal(status, kind, {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req-77"})


def read_image(block):
    source = block["source"]
    assert source["type"] == "base64" and set(source) == {"type", "media_type", "data"}, source
    return Image(source["media_type"], source["data"])


def read_result(block):
    content = block.get("content", "")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    text = "\n".join(b["text"] for b in blocks if b["type"] == "text")
    images = [read_image(b) for b in blocks if b["type"] == "image"]
    assert len(blocks) == len(images) + sum(b["type"] == "text" for b in blocks), f"a result with {blocks}"
    return [Result(block["tool_use_id"], None, text, block.get("is_error", False))] + images


def read_content(content):
    if isinstance(content, str):
        return [Text(content)]
    parts = []
    for b in content:
        kind = b["type"]
        if kind == "text":
            assert b["text"], "the service refuses empty text"
            parts.append(Text(b["text"]))
        elif kind == "image":
            parts.append(read_image(b))
        elif kind == "tool_use":
            assert isinstance(b["input"], dict), b
            parts.append(Call(b["id"], b["name"], b["input"]))
        elif kind == "tool_result":
            parts.extend(read_result(b))
        elif kind == "thinking":
            parts.append(Thinking(b["thinking"], b["signature"]))
        elif kind == "redacted_thinking":
            parts.append(Thinking("", b["data"], True))
        else:
            raise AssertionError(f"a block of type {kind}")
    return parts


class Anthropic(Provider):
    name = plugin = "anthropic"
    models = ["claude-model-1", "claude-model-2"]
    request_id_header = "request-id"
    required_sampling = ("max_tokens",)
    usage_says = {"input", "output", "cache_read", "cache_write"}
    redacted = True
    stops = {"end_turn": "end_turn", "max_tokens": "max_tokens", "stop_sequence": "stop_sequence", "tool_use": "tool_use", "refusal": "refusal",
             "pause": "pause_turn", "context_full": "model_context_window_exceeded"}
    errors = {
        "bad_request": error(400, "invalid_request_error", "messages: at least one is wanted"),
        "auth": error(401, "authentication_error", "invalid x-api-key: KEY"),
        "permission": error(403, "permission_error", "Your API key may not use this resource"),
        "not_found": error(404, "not_found_error", "model: no-such-model"),
        "rate": error(429, "rate_limit_error", "Number of requests has exceeded your limit"),
        "quota": error(402, "billing_error", "Your credit balance is too low"),
        "server": error(500, "api_error", "Internal server error"),
        "overloaded": error(529, "overloaded_error", "Overloaded: try again"),
        "context_full": error(400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
    }
    types = """
import type { MessageCreateParams } from "@anthropic-ai/sdk/resources/messages";
type Until2026 = { temperature?: number; top_p?: number }; // the SDK's types are of version 2026-10-21, which has them no more
type Params = MessageCreateParams & Until2026;"""
    aimock = ""

    def environment(self, base, key):
        return {"ANTHROPIC_API_KEY": key, "ANTHROPIC_BASE_URL": base}, {}

    def key_of(self, seen):
        return seen.headers.get("x-api-key") or super().key_of(seen)

    def check_headers(self, seen):
        assert ("x-api-key" in seen.headers) != ("authorization" in seen.headers), "one header with the key, not two or none"
        assert seen.headers["anthropic-version"] in ("2023-06-01", "2026-10-21"), seen.headers

    def chat_path(self, model, stream):
        return "/v1/messages"

    def is_chat(self, seen):
        return seen.path == "/v1/messages"

    # ---- requests ----

    def read(self, seen):
        b = body_of(seen)
        asked = Asked(b.pop("model"), b.pop("stream", False))
        system = b.pop("system", "")
        asked.system = system if isinstance(system, str) else "".join(t["text"] for t in system)
        for m in b.pop("messages"):
            assert m["role"] in ("user", "assistant") and set(m) == {"role", "content"}, m
            asked.add(m["role"], read_content(m["content"]))
        for tool in b.pop("tools", []):
            asked.tools[tool["name"]] = (tool.get("description", ""), tool["input_schema"])
        choice = b.pop("tool_choice", {"type": "auto"})
        asked.choice = "tool:" + choice["name"] if choice["type"] == "tool" else choice["type"]
        for ours, theirs in (("max_tokens",) * 2, ("temperature",) * 2, ("top_p",) * 2, ("stop", "stop_sequences")):
            if theirs in b:
                asked.sampling[ours] = b.pop(theirs)
        if "effort" in b.get("output_config", {}):
            asked.sampling["reasoning"] = b.pop("output_config")["effort"]
        assert "max_tokens" in asked.sampling, "the service insists on max_tokens"
        asked.extra = b
        return asked

    # ---- answers ----

    def usage(self, usage):
        """Here input_tokens are those that came from no cache."""
        cached = {"cache_read_input_tokens": usage.get("cache_read"), "cache_creation_input_tokens": usage.get("cache_write")}
        cached = {k: v for k, v in cached.items() if v is not None}
        return {"input_tokens": usage["input"] - sum(cached.values()), "output_tokens": usage["output"], **cached}

    def message(self, says, model, content, stop, usage):
        return {"id": says.id, "type": "message", "role": "assistant", "model": model or self.models[0], "content": content,
                "stop_reason": stop, "stop_sequence": "END" if stop == "stop_sequence" else None, **({"usage": usage} if usage else {})}

    def block(self, part):
        if isinstance(part, Text):
            return {"type": "text", "text": part.text}
        if isinstance(part, Call):
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.args}
        if part.redacted:
            return {"type": "redacted_thinking", "data": part.opaque}
        return {"type": "thinking", "thinking": part.text, "signature": part.opaque}

    def whole(self, says, model):
        usage = says.usage and self.usage(says.usage)
        return self.message(says, model, [self.block(p) for p in says.parts], self.stops[says.stop], usage)

    def begin_and_deltas(self, part):
        block = self.block(part)
        if isinstance(part, Text):
            return {**block, "text": ""}, [{"type": "text_delta", "text": t} for t in pieces_of(part.text)]
        if isinstance(part, Call):
            deltas = [{"type": "input_json_delta", "partial_json": t} for t in [""] + pieces_of(json.dumps(part.args) if part.args else "", 5)]
            return {**block, "input": {}}, deltas
        if part.redacted:
            return block, []
        deltas = [{"type": "thinking_delta", "thinking": t} for t in pieces_of(part.text)]
        return {"type": "thinking", "thinking": "", "signature": ""}, deltas + [{"type": "signature_delta", "signature": part.opaque}]

    def stream(self, says, model):
        def event(kind, **more):
            return sse({"type": kind, **more}, kind)
        usage = says.usage and self.usage(says.usage)
        frames = [event("message_start", message=self.message(says, model, [], None, usage and {**usage, "output_tokens": 1})), event("ping")]
        for i, part in enumerate(says.parts):
            begin, deltas = self.begin_and_deltas(part)
            frames.append(event("content_block_start", index=i, content_block=begin))
            frames += [event("content_block_delta", index=i, delta=d) for d in deltas]
            frames += [event("ping"), event("content_block_stop", index=i), event("an_event_of_the_future", index=i)]
        delta = {"stop_reason": self.stops[says.stop], "stop_sequence": None}
        frames.append(event("message_delta", delta=delta, **({"usage": {"output_tokens": usage["output_tokens"]}} if usage else {})))
        return frames + [event("message_stop")]

    def other(self, seen, service):
        path, _, query = seen.path.partition("?")
        rows = [{"type": "model", "id": m, "display_name": m.title(), "created_at": "2026-01-01T00:00:00Z"} for m in service.models]
        if path == "/v1/models":  # one on a page, whatever the limit
            after = dict(urllib.parse.parse_qsl(query)).get("after_id")
            at = service.models.index(after) + 1 if after else 0
            page = rows[at:at + 1]
            return whole_reply({"data": page, "has_more": at + 1 < len(rows), "first_id": page[0]["id"], "last_id": page[-1]["id"]})
        return next((whole_reply(r) for r in rows if path == "/v1/models/" + r["id"]), None)

    def mid_stream(self):
        return [([sse(self.errors[kind].body, "error")], neutral, self.errors[kind].code)
                for kind, neutral in (("overloaded", "overloaded"), ("server", "upstream_failed"), ("bad_request", "upstream_refused"))]

    def malformed_frame(self):
        return b'event: content_block_delta\ndata: {"never": [closed\n\n'

    def retry_forms(self):
        return [("retry-after-ms", {"retry-after-ms": "7250"}, None, 7250)]

    def no_retry(self):
        return {"x-should-retry": "false"}

    def own_cases(self):
        return [headers, gateway, foreign_history, thinking_left_out, errors_by_text, interrupted]


def headers(b):
    """Version, beta, bearer and the longest answer are settings; a token counts where there is no key."""
    settings = {"version": "2026-10-21", "beta": "one,two", "max_tokens": 321, "auth": "bearer"}
    for credentials, settings, name in (({"api_key": "canary-1"}, settings, "authorization"), ({"api_key": "canary-1"}, {}, "x-api-key"),
                                        ({"auth_token": "canary-1"}, {}, "authorization"),
                                        ({"api_key": "canary-1", "auth_token": "canary-2"}, {}, "x-api-key")):
        with Service(b.provider) as service, Daemon(config(b.provider, service.base + "/v1/", settings=settings)) as d:
            d.client.call("configure", user="u", provider="Vendor", model=b.provider.models[0], credentials=credentials)
            d.client.call("chat.complete", user="u", input="hello")
            for seen in service.seen:
                same(b.provider.key_of(seen), "canary-1", f"the credential of {sorted(credentials)}")
                assert name in seen.headers and "canary-2" not in str(seen.headers), seen.headers
                same((seen.headers["anthropic-version"], seen.headers.get("anthropic-beta")),
                     ("2026-10-21", "one,two") if settings else ("2023-06-01", None), "version and beta")
            same(b.provider.read(service.seen[-1]).sampling, {"max_tokens": 321 if settings else 8192}, "the longest answer")
            same(service.faults, [], "faults")


def gateway(b):
    """Without a list of models the model itself is asked."""
    b.provider.other = lambda seen, service: whole_reply(b"<html>no</html>", "text/html", 404)
    try:
        u = b.new_user()
        _, seen = b.configure(u)
        same([(s.method, s.path) for s in seen], [("GET", "/v1/models/claude-model-1"), ("POST", "/v1/messages")], "what was asked")
        error, _ = b.refused_configure(b.new_user(model="no-such-model"))
        same(error.kind, "model_not_found", error.message)
    finally:
        del b.provider.other


def foreign_history(b):
    """Another service's ids, empty texts, neighbours of one role, thinking without a signature."""
    u = b.user()
    call = {"type": "tool_use", "id": "functions.look:0", "name": "look", "arguments": {"at": 1}}
    result = {"type": "tool_result", "id": "functions.look:0", "name": "look", "is_error": True, "content": [{"type": "json", "value": {"a": 1}}]}
    x = b.ask(u, "ok", messages=[
        {"role": "user", "content": "one"}, {"role": "user", "content": "two"}, {"role": "assistant", "content": [{"type": "thinking", "text": "hm"}]},
        {"role": "user", "content": [{"type": "text", "text": " \n"}, {"type": "text", "text": "three"}]},
        {"role": "assistant", "content": [call]}, {"role": "user", "content": "before"}, {"role": "user", "content": [result]}])
    wanted = [["user", [Text("one"), Text("two"), Text("three")]], ["assistant", [Call("functions_look_0", "look", {"at": 1})]],
              ["user", [Result("functions_look_0", None, '{"a": 1}', True), Text("before")]]]
    same([role for role, _ in x.asked[0].turns], [role for role, _ in wanted], "the turns")
    for (_, found), (_, parts) in zip(x.asked[0].turns, wanted):
        same_parts(found, parts, "parts")
    same(len(body_of(x.seen[0])["messages"]), 3, "messages")


def thinking_left_out(b):
    """Newer models leave the thinking out and sign it all the same."""
    u = b.user(mcp_server={"name": "odd"})
    for s in (False, True):
        says = Says([Thinking("", "c2lnbmF0dXJl"), Call("call_1", "odd__plain", {})], stop="tool_use")
        x = b.exchange(u, [b.answer(says, u, s), b.answer("done", u, s)], "agent.run", stream=s, input="do it")
        assert x.result, x.error and x.error.message
        same(body_of(x.seen[1])["messages"][1]["content"][0], {"type": "thinking", "thinking": "", "signature": "c2lnbmF0dXJl"}, "the thinking")


def errors_by_text(b):
    for status, kind, message, neutral in (
            (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", "quota"),
            (400, "invalid_request_error", "You have reached your specified API usage limits.", "quota"),
            (400, "invalid_request_error", "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", "context_full"),
            (413, "request_too_large", "Request exceeds the maximum size", "too_large"),
            (500, "overloaded_error", "Overloaded", "overloaded"), (504, "timeout_error", "Timed out", "timeout")):
        r = error(status, kind, message)
        x = b.fails(b.user(), whole_reply(r.body, status=status), neutral)
        same((x.error.data["upstream_code"], x.error.data["http_status"]), (kind, status), "code and status")


def interrupted(b):
    """An answer is whole with message_stop and not before, whatever the reason said."""
    u = b.user()
    frames = b.provider.stream(Says([Text("almost")]), u.model)
    x = b.fails(u, Reply(frames[:-1], type=b.provider.stream_type), "protocol")
    assert "message_stop" in x.error.message, x.error.message
