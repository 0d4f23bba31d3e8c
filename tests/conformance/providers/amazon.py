"""Amazon Bedrock: Converse and ConverseStream, with a bearer token. Signatures are checked by a test of their own, against AWS's signer."""
import json
import re
import urllib.parse

import eventstream
from answers import user_says
from bench import same, same_parts
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
    assert re.fullmatch(r"[a-zA-Z0-9_.:-]{1,64}", r["toolUseId"]), r["toolUseId"]
    for c in r["content"]:
        assert isinstance(c.get("json", {}), dict) and "__type" not in str(c.get("json")), f"the service refuses {c}"
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
        assert isinstance(value["input"], dict) and re.fullmatch(r"[a-zA-Z0-9_.:-]{1,64}", value["toolUseId"]), value
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
        output = b.pop("outputConfig", {})
        if "effort" in output:
            asked.sampling["reasoning"] = output.pop("effort")
        asked.extra = {**b, **({"inferenceConfig": config} if config else {}), **({"outputConfig": output} if output else {})}
        return asked

    def read_tools(self, config, asked):
        assert config is None or config["tools"], "toolConfig wants tools"
        assert config or not (asked.parts(Call) or asked.parts(Result)), "a history with tools wants toolConfig"
        for tool in (config or {}).get("tools", []):
            spec = tool["toolSpec"]
            assert spec["inputSchema"]["json"]["type"] == "object" and spec.get("description", "x"), f"the service refuses {spec}"
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
        path, _, query = seen.path.partition("?")
        token = dict(urllib.parse.parse_qsl(query)).get("nextToken")
        if path == "/foundation-models":  # some answer only through a profile
            assert query == "byOutputModality=TEXT", query
            rows = [(m, ["ON_DEMAND"]) for m in service.models if ":inference" not in m] + [("a.model-of-profiles", ["INFERENCE_PROFILE"])]
            return whole_reply({"modelSummaries": [{"modelId": m, "modelName": m, "inferenceTypesSupported": types} for m, types in rows]})
        if path == "/inference-profiles" and not token:
            return whole_reply({"inferenceProfileSummaries": [], "nextToken": "a+b/c=&d"})
        if path == "/inference-profiles" and token == "a+b/c=&d":
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
        return [broken_checksum, no_choice, results, foreign_history, schemas, images, merged, without_usage, odd_events, kept_back, errors_by_name,
                error_message, regions]


def broken_checksum(b):
    """A frame whose CRC is wrong ends the answer."""
    u = b.user()
    frames = b.provider.stream(Says([Text("some text of a few frames")]), u.model)
    at = len(frames) // 2
    frames[at] = frames[at][:-6] + bytes([frames[at][-6] ^ 1]) + frames[at][-5:]
    b.fails(u, Reply(frames, type=b.provider.stream_type), "protocol")


TOOL = {"name": "look", "description": "", "schema": {"type": "object", "properties": {}}}


def called(*results, more=()):
    calls = [{"type": "tool_use", "id": r["id"], "name": "look", "arguments": {}} for r in results]
    return [user_says("go"), {"role": "assistant", "content": calls}, {"role": "user", "content": [*results, *more]}]


def result(content, id="t1", is_error=False):
    return {"type": "tool_result", "id": id, "name": "look", "content": content, "is_error": is_error}


def no_choice(b):
    """There is no word for it: tools are left out, but for a history that has calls in it."""
    u = b.user()
    x = b.ask(u, "ok", tools=[TOOL], tool_choice="none")
    assert "toolConfig" not in body_of(x.seen[0])
    x = b.ask(u, "ok", tools=[TOOL, {**TOOL, "name": "other"}], tool_choice="none", messages=called(result("seen")))
    config = body_of(x.seen[0])["toolConfig"]
    same(([t["toolSpec"]["name"] for t in config["tools"]], "toolChoice" in config), (["look", "other"], False), "toolConfig")
    x = b.ask(u, "ok", messages=called(result("a", "t1"), result("b", "t2")))
    same(body_of(x.seen[0])["toolConfig"], {"tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}]}, "tools of the history")


def results(b):
    """JSON objects as json, other JSON as text; nothing said, nothing sent, but for an error."""
    u = b.user()
    for content, is_error, wanted in (
            ([{"type": "json", "value": {"a": [1]}}], False, {"content": [{"json": {"a": [1]}}]}),
            ([{"type": "json", "value": [1, 2]}], False, {"content": [{"text": "[1, 2]"}]}),
            ([{"type": "json", "value": {"x": {"__type": "a"}}}], False, {"content": [{"text": '{"x": {"__type": "a"}}'}]}),
            ([{"type": "text", "text": " \n"}], False, {"content": []}),
            ([{"type": "text", "text": ""}], True, {"status": "error", "content": [{"text": "the tool failed without saying why"}]}),
            ("no", True, {"status": "error", "content": [{"text": "no"}]})):
        x = b.ask(u, "ok", tools=[TOOL], messages=called(result(content, is_error=is_error)))
        same(body_of(x.seen[0])["messages"][2]["content"], [{"toolResult": {"toolUseId": "t1", **wanted}}], f"a result of {content}")


def foreign_history(b):
    """Other services' ids, blank texts, neighbours of one role, reasoning without a signature; results first."""
    u = b.user()
    odd, long = "functions.look:0/\u00fc", "x" * 80
    x = b.ask(u, "ok", tools=[TOOL], messages=[
        user_says("one"), user_says(" \n"), user_says("two"), {"role": "assistant", "content": [{"type": "thinking", "text": "hm"}]}, user_says("three"),
        {"role": "assistant", "content": [{"type": "tool_use", "id": i, "name": "look", "arguments": {}} for i in (odd, long, long + "y")]},
        user_says("before"), {"role": "user", "content": [result("a", odd)]}, {"role": "user", "content": [result("b", long), result("c", long + "y")]}])
    calls, found = x.asked[0].parts(Call), x.asked[0].parts(Result)
    same(calls[0].id, "functions.look:0___", "an id of odd letters")
    same([c.id for c in calls], [r.id for r in found], "ids of calls and results")
    same(len({c.id for c in calls}), 3, "different ids")
    same([[type(p).__name__ for p in parts] for _, parts in x.asked[0].turns], [["Text"] * 3, ["Call"] * 3, ["Result"] * 3 + ["Text"]], "the turns")


def schemas(b):
    """The service insists on a type at the top."""
    u = b.user()
    for schema in ({}, {"properties": {"a": {"type": "string"}}}):
        x = b.ask(u, "ok", tools=[{**TOOL, "schema": schema}])
        same(x.asked[0].tools["look"][1], {"type": "object", **schema}, f"the schema {schema}")


def images(b):
    """As data or from S3; an address of the web is refused before anything is sent."""
    u = b.user()

    def ask(image):
        since = len(b.service.seen)
        b.service.script = [b.answer("ok", u, True)]
        b.client.call("chat.complete", user=u.name, messages=[{"role": "user", "content": [{"type": "image", **image}]}])
        b.service.script = []
        return body_of(b.service.seen[since])["messages"][0]["content"][0]["image"]
    same(ask({"mime": "image/jpg", "data": "AAAA"}), {"format": "jpeg", "source": {"bytes": "AAAA"}}, "a JPEG")
    same(ask({"mime": "image/webp", "url": "s3://b/k.webp"}), {"format": "webp", "source": {"s3Location": {"uri": "s3://b/k.webp"}}}, "of S3")
    since = len(b.service.seen)
    e = b.client.error("chat.complete", user=u.name, messages=[{"role": "user", "content": [{"type": "image", "mime": "image/png", "url": "https://a.b/c.png"}]}])
    assert "image as data" in e.message, e.message
    same(len(b.service.seen), since, "requests")


def merged(b):
    """Extra's inferenceConfig and outputConfig are merged into ours, and win; the conversation's members are refused."""
    u = b.user()
    extra = {"inferenceConfig": {"temperature": 0.1, "topK": 3}, "outputConfig": {"textFormat": {}}, "additionalModelRequestFields": {"thinking": {"type": "adaptive"}}}
    b.typed = False
    x = b.ask(u, "ok", temperature=0.5, max_tokens=9, reasoning="high", extra=extra)
    same(x.asked[0].sampling, {"temperature": 0.1, "max_tokens": 9, "reasoning": "high"}, "sampling")
    same(x.asked[0].extra, {**extra, "inferenceConfig": {"topK": 3}}, "extra")
    for name in ("messages", "system", "toolConfig"):
        since = len(b.service.seen)
        assert name in b.client.error("chat.complete", user=u.name, input="x", extra={name: []}).message
        same(len(b.service.seen), since, "requests")


def without_usage(b):
    """With messageStop and the stream's end the answer is whole; metadata of the future changes nothing."""
    u = b.user()
    frames = b.provider.stream(Says([Text("all of it")]), u.model)
    x = b.exchange(u, [Reply(frames[:-1], type=b.provider.stream_type)])
    same((x.result["text"], x.usage["known"]), ("all of it", False), "an answer without metadata")
    x = b.fails(u, Reply(frames[:-2], type=b.provider.stream_type), "protocol")
    assert "messageStop" in x.error.message, x.error.message


def odd_events(b):
    """Unknown events and deltas, tools that run at the service, no messageStart."""
    u = b.user()
    frames = [event("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "s1", "name": "search", "type": "server_tool_use"}}}),
              event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{}"}}}), event("contentBlockStop", {"contentBlockIndex": 0}),
              event("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolResult": {"toolUseId": "s1"}}}),
              event("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolResult": [{"text": "found"}]}}), event("contentBlockStop", {"contentBlockIndex": 1}),
              event("eventOfTheFuture", {}), event("contentBlockStart", {"contentBlockIndex": 2, "start": {}}),
              event("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"citation": {"title": "x"}}}),
              event("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"text": "so"}}), event("contentBlockStop", {"contentBlockIndex": 2}),
              event("messageStop", {"stopReason": "end_turn"}), event("metadata", {"metrics": {}})]
    x = b.exchange(u, [Reply(frames, type=b.provider.stream_type)])
    assert x.result, x.error and x.error.message
    same((x.result["parts"], x.result["stop"]), ([{"type": "text", "text": "so"}], "end_turn"), "the answer")
    frames[0] = event("contentBlockStart", {"contentBlockIndex": 0, "start": {}})
    assert "without a name" in b.fails(u, Reply(frames, type=b.provider.stream_type), "protocol").error.message


def kept_back(b):
    """Reasoning whose text the vendor keeps back is signed all the same."""
    u = b.user(mcp_server={"name": "odd"})
    for s in (False, True):
        says = Says([Thinking("", "c2lnbmF0dXJl"), Call("call_1", "odd__plain", {})], stop="tool_use")
        x = b.exchange(u, [b.answer(says, u, s), b.answer("done", u, s)], "agent.run", stream=s, input="do it")
        assert x.result, x.error and x.error.message
        same_parts(x.asked[1].turns[1][1], says.parts, "the assistant's turn in the second request")


def errors_by_name(b):
    """The name decides, wherever it stands; where it stands for a good deal, the text."""
    def say(status, name, message="It says so.", header=True, where="message"):
        headers = {"x-amzn-errortype": name} if header else {}
        return whole_reply({where: message, **({} if header else {"__type": f"com.amazon.coral.service#{name}"})}, status=status, headers=headers)
    for reply, neutral, attempts in (
            (say(400, "ThrottlingException"), "rate_limited", 3), (say(429, "ModelNotReadyException"), "overloaded", 3),
            (say(424, "ModelErrorException"), "upstream_failed", 3), (say(408, "ModelTimeoutException"), "timeout", 3),
            (say(403, "ExpiredTokenException", header=False), "credentials_refused", 1),
            (say(403, "InvalidSignatureException", where="Message"), "credentials_refused", 1),
            (say(403, "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid."), "credentials_refused", 1),
            (say(429, "ThrottlingException", "Too many tokens per day, please wait before trying again."), "quota", 1),
            (say(400, "ValidationException", "The provided model identifier is invalid."), "model_not_found", 1),
            (say(400, "ValidationException", "prompt is too long: 210000 tokens > 200000 maximum"), "context_full", 1),
            (say(413, "RequestEntityTooLargeException"), "too_large", 1)):
        x = b.fails(b.user(), reply, neutral, attempts)
        assert "Exception" in x.error.data["upstream_code"] and "#" not in x.error.data["upstream_code"], x.error.data


def error_message(b):
    """A message of type error has no JSON; an exception of the future is the service's failure."""
    u = b.user()
    begin = b.provider.stream(Says([Text("half")]), u.model)[:2]
    for frame, neutral, code in ((eventstream.message({":message-type": "error", ":error-code": "ThrottlingException", ":error-message": "Slow down."}, b""),
                                  "rate_limited", "ThrottlingException"),
                                 (eventstream.exception("newException", b'{"message": "Slow down."}'), "upstream_failed", "newException"),
                                 (eventstream.exception("validationException", b'{"message": "Slow down."}'), "upstream_refused", "validationException")):
        x = b.fails(u, Reply(begin + [frame], type=b.provider.stream_type), neutral)
        same((x.error.data["upstream_code"], "Slow down." in x.error.message), (code, True), "code and text")


def regions(b):
    """A region is wanted, and one that could be part of a host's name; an ARN has one."""
    u = b.new_user()
    since = len(b.service.seen)
    for region, word in ((None, "aws_region"), ("us-east-1.evil.example", "is no region"), ("US", "is no region"), ("-x", "is no region"), ("x" * 60, "is no region")):
        error = b.client.error("configure", user=u.name, provider="Vendor", model=u.model, credentials=b.provider.credentials(u.key),
                               **({"aws_region": region} if region else {}))
        assert word in error.message, error.message
    same(len(b.service.seen), since, "requests")
    u.model = b.provider.models[1]
    b.client.call("configure", user=u.name, provider="Vendor", model=u.model, credentials=b.provider.credentials(u.key))
    b.ask(u, "ok")
