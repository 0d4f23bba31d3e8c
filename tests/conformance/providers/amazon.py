"""Amazon Bedrock: Converse and ConverseStream, with a bearer token. Signatures are checked by a test of their own, against AWS's signer."""
import json
import urllib.parse

import eventstream
from service import Provider, as_bytes, body_of, pieces_of, whole_reply
from words import Asked, Call, Image, Refusal, Reply, Result, Says, Text, Thinking

REGION = "us-east-1"


def error(status, kind, message):
    return Refusal(status, kind, {"message": message}, {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"})


def event(kind, value):
    return eventstream.event(kind, as_bytes({**value, "p": "abcdefghij"}))


def read_image(image):
    return Image("image/" + image["format"], image["source"]["bytes"])


def read_result(r):
    assert r["content"] or r.get("status") != "error", "a failed result wants content"
    texts = [c["text"] if "text" in c else json.dumps(c["json"]) for c in r["content"] if "image" not in c]
    found = Result(r["toolUseId"], None, "\n".join(texts), r.get("status", "success") == "error")
    return [found] + [read_image(c["image"]) for c in r["content"] if "image" in c]


def read_block(block):
    assert len(block) == 1, f"a block is a union: {block}"
    (kind, value), = block.items()
    if kind == "text":
        assert value.strip(), "the service refuses blank text"
        return [Text(value)]
    if kind == "image":
        return [read_image(value)]
    if kind == "toolUse":
        assert isinstance(value["input"], dict), value
        return [Call(value["toolUseId"], value["name"], value["input"])]
    if kind == "toolResult":
        return read_result(value)
    assert kind == "reasoningContent", kind
    if "redactedContent" in value:
        return [Thinking("", value["redactedContent"], True)]
    return [Thinking(value["reasoningText"]["text"], value["reasoningText"].get("signature"))]


class Amazon(Provider):
    name = plugin = "amazon"
    models = ["anthropic.claude-model-20241022-v2:0", f"arn:aws:bedrock:{REGION}:123456789012:inference-profile/us.anthropic.claude-model-v1:0"]
    stream_type = "application/vnd.amazon.eventstream"
    request_id_header = "x-amzn-requestid"
    usage_says = {"input", "output", "cache_read", "cache_write"}
    redacted = True
    history_needs_tools = True
    no_choice = ("none",)
    stops = {"end_turn": "end_turn", "max_tokens": "max_tokens", "stop_sequence": "stop_sequence", "tool_use": "tool_use", "filter": "content_filtered",
             "malformed_tool": "malformed_tool_use", "context_full": "model_context_window_exceeded"}
    errors = {
        "bad_request": error(400, "ValidationException", "messages: at least one is wanted"),
        "auth": error(403, "UnrecognizedClientException", "The security token included in the request is invalid"),
        "permission": error(403, "AccessDeniedException", "You don't have access to the model with the specified model ID."),
        "not_found": error(404, "ResourceNotFoundException", "Could not resolve the foundation model from the provided model identifier."),
        "rate": error(429, "ThrottlingException", "Too many requests, please wait before trying again."),
        "quota": error(400, "ServiceQuotaExceededException", "Your request exceeds the service quota for your account."),
        "server": error(500, "InternalServerException", "The system encountered an unexpected error."),
        "overloaded": error(503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
        "context_full": error(400, "ValidationException", "Input is too long for requested model."),
    }
    not_applicable = {"reasoning": "Converse has no member for the effort: extra has additionalModelRequestFields"}
    types = """
import type { ConverseRequest } from "@aws-sdk/client-bedrock-runtime";
type Wire<T> = T extends Uint8Array ? string : T extends string ? `${T}` : T extends (infer U)[] ? Wire<U>[]
  : T extends object ? { [K in keyof T]: Wire<T[K]> } : T;
type Params = Wire<Omit<ConverseRequest, "modelId">>;"""
    aimock = ""
    aimock_not = {"error_429": "its errors lack Bedrock's x-amzn-errortype", "error_500": "its errors lack Bedrock's x-amzn-errortype"}

    def credentials(self, key):
        return {"bearer_token": key}

    def configure(self, key, model):
        return {**super().configure(key, model), "aws_region": REGION}

    def environment(self, base, key):
        return {"AWS_BEARER_TOKEN_BEDROCK": key, "AWS_REGION": REGION}, {"base_url": base}

    def check_headers(self, seen):
        assert seen.headers["authorization"].startswith("Bearer "), "the token goes as it is"

    def chat_path(self, model, stream):
        return f"/model/{urllib.parse.quote(model, safe='-._~')}/" + ("converse-stream" if stream else "converse")

    def is_chat(self, seen):
        return seen.path.endswith(("/converse", "/converse-stream"))

    # ---- requests ----

    def read(self, seen):
        b = body_of(seen)
        asked = Asked(urllib.parse.unquote(seen.path.split("/")[2]), seen.path.endswith("-stream"))
        asked.system = "".join(block["text"] for block in b.pop("system", []))
        roles = [m["role"] for m in b["messages"]]
        assert roles[0] == "user" and all(x != y for x, y in zip(roles, roles[1:])), f"roles alternate, the user begins: {roles}"
        for m in b.pop("messages"):
            asked.add(m["role"], [found for block in m["content"] for found in read_block(block)])
        self.read_tools(b.pop("toolConfig", None), asked)
        config = b.pop("inferenceConfig", {})
        for ours, theirs in (("max_tokens", "maxTokens"), ("temperature",) * 2, ("top_p", "topP"), ("stop", "stopSequences")):
            if theirs in config:
                asked.sampling[ours] = config.pop(theirs)
        asked.extra = {**b, **({"inferenceConfig": config} if config else {})}
        return asked

    def read_tools(self, config, asked):
        assert config or not (asked.parts(Call) or asked.parts(Result)), "a history with tools wants toolConfig"
        for tool in (config or {}).get("tools", []):
            spec = tool["toolSpec"]
            asked.tools[spec["name"]] = (spec.get("description", ""), spec["inputSchema"]["json"])
        choice = (config or {}).get("toolChoice", {"auto": {}})
        asked.choice = "tool:" + choice["tool"]["name"] if "tool" in choice else next(iter(choice))

    # ---- answers ----

    def block(self, p):
        if isinstance(p, Text):
            return {"text": p.text}
        if isinstance(p, Call):
            return {"toolUse": {"toolUseId": p.id, "name": p.name, "input": p.args}}
        if p.redacted:
            return {"reasoningContent": {"redactedContent": p.opaque}}
        return {"reasoningContent": {"reasoningText": {"text": p.text, "signature": p.opaque}}}

    def usage(self, usage):
        """inputTokens without what the cache gave or took."""
        cached = {"cacheReadInputTokens": usage.get("cache_read"), "cacheWriteInputTokens": usage.get("cache_write")}
        cached = {k: v for k, v in cached.items() if v is not None}
        return {"inputTokens": usage["input"] - sum(cached.values()), "outputTokens": usage["output"],
                "totalTokens": usage["input"] + usage["output"], **cached}

    def whole(self, says, model):
        return {"output": {"message": {"role": "assistant", "content": [self.block(p) for p in says.parts]}}, "stopReason": self.stops[says.stop],
                "metrics": {"latencyMs": 5}, **({"usage": self.usage(says.usage)} if says.usage else {})}

    def deltas(self, p):
        if isinstance(p, Text):
            return [{"text": t} for t in pieces_of(p.text)]
        if isinstance(p, Call):
            return [{"toolUse": {"input": t}} for t in pieces_of(json.dumps(p.args), 5)]
        if p.redacted:
            return [{"reasoningContent": {"redactedContent": p.opaque}}]
        return [{"reasoningContent": {"text": t}} for t in pieces_of(p.text)] + [{"reasoningContent": {"signature": p.opaque}}]

    def stream(self, says, model):
        frames = [event("messageStart", {"role": "assistant"})]
        for i, p in enumerate(says.parts):
            if isinstance(p, Call):  # text and thinking have no start
                frames.append(event("contentBlockStart", {"contentBlockIndex": i, "start": {"toolUse": {"toolUseId": p.id, "name": p.name}}}))
            frames += [event("contentBlockDelta", {"contentBlockIndex": i, "delta": d}) for d in self.deltas(p)]
            frames.append(event("contentBlockStop", {"contentBlockIndex": i}))
        frames.append(event("messageStop", {"stopReason": self.stops[says.stop]}))
        usage = {"usage": self.usage(says.usage)} if says.usage else {}
        return frames + [event("metadata", {**usage, "metrics": {"latencyMs": 5}})]

    def other(self, seen, service):
        path = seen.path.split("?")[0]
        if path == "/foundation-models":
            return whole_reply({"modelSummaries": [{"modelId": m, "modelName": m, "outputModalities": ["TEXT"]} for m in service.models if ":inference" not in m]})
        if path == "/inference-profiles":
            return whole_reply({"inferenceProfileSummaries": [
                {"inferenceProfileArn": m, "inferenceProfileId": m.split("/")[-1], "inferenceProfileName": m.split("/")[-1], "status": "ACTIVE"}
                for m in service.models if ":inference" in m]})
        return None

    def mid_stream(self):
        body = as_bytes({"message": "in the middle"})
        return [([eventstream.exception(kind, body)], neutral, kind)
                for kind, neutral in (("throttlingException", "rate_limited"), ("internalServerException", "upstream_failed"),
                                      ("serviceUnavailableException", "overloaded"), ("modelStreamErrorException", "upstream_failed"))]

    def malformed_frame(self):
        return eventstream.event("contentBlockDelta", b'{"never": [closed')

    def own_cases(self):
        return [broken_checksum]


def broken_checksum(b):
    """A frame whose CRC is wrong ends the answer."""
    u = b.user()
    frames = b.provider.stream(Says([Text("some text of a few frames")]), u.model)
    at = len(frames) // 2
    frames[at] = frames[at][:-6] + bytes([frames[at][-6] ^ 1]) + frames[at][-5:]
    b.fails(u, Reply(frames, type=b.provider.stream_type), "protocol")
