"""Google's Gemini API: generateContent and streamGenerateContent."""
import json
import urllib.parse

from bench import same
from service import Provider, as_bytes, body_of, pieces_of, whole_reply
from words import Asked, Call, Image, Refusal, Reply, Result, Says, Text, Thinking

TYPE = "type.googleapis.com/google.rpc."


def error(status, word, message, *details, code=None):
    return Refusal(status, code or word, {"error": {"code": status, "message": message, "status": word, "details": list(details)}})


def frame(value):
    return b"data: " + as_bytes(value) + b"\r\n\r\n"


def read_part(part):
    p = dict(part)
    opaque = p.pop("thoughtSignature", None)
    if "functionCall" in p:
        call = p.pop("functionCall")
        found = [Call(None, call["name"], call.get("args", {}), opaque)]
    elif "functionResponse" in p:
        f = p.pop("functionResponse")
        response = f["response"]
        assert isinstance(response, dict) and len(response) == 1, f"response is an object with output or error: {response}"
        failed = "error" in response
        found = [Result(None, f["name"], response["error" if failed else "output"], failed)]
        found += [i for inner in f.get("parts", []) for i in read_part(inner)]
    elif "inlineData" in p:
        data = p.pop("inlineData")
        found = [Image(data["mimeType"], data["data"])]
    else:
        text = p.pop("text")
        found = [Thinking(text, opaque) if p.pop("thought", False) else Text(text)]
    assert not p, f"a part with {p}"
    return found


class Google(Provider):
    name = plugin = "google"
    models = ["gemini-model-1", "gemini-model-2"]
    usage_says = {"input", "output", "cache_read", "reasoning"}
    opaque_on = "call"
    has_ids = False
    stops = {"end_turn": "STOP", "max_tokens": "MAX_TOKENS", "tool_use": "STOP", "filter": "SAFETY", "malformed_tool": "MALFORMED_FUNCTION_CALL"}
    errors = {
        "bad_request": error(400, "INVALID_ARGUMENT", "contents is not specified"),
        "auth": error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.",
                      {"@type": TYPE + "ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}, code="API_KEY_INVALID"),
        "permission": error(403, "PERMISSION_DENIED", "Your project has been denied access"),
        "not_found": error(404, "NOT_FOUND", "models/no-such-model is not found for API version v1beta"),
        "rate": error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted"),
        "quota": error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details",
                       {"@type": TYPE + "QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}),
        "server": error(500, "INTERNAL", "An internal error has occurred"),
        "overloaded": error(503, "UNAVAILABLE", "The model is overloaded"),
        "context_full": error(400, "INVALID_ARGUMENT",
                              "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    }
    not_applicable = {"request_id": "Gemini's answers carry none"}
    types = """
import type { Content, GenerationConfig, SafetySetting, Tool, ToolConfig } from "@google/genai";
type Wire<T> = T extends string ? `${T}` | Lowercase<`${T}`> : T extends (infer U)[] ? Wire<U>[] : T extends object ? { [K in keyof T]: Wire<T[K]> } : T;
type Json = { contents: Content[]; systemInstruction?: Content; tools?: Tool[]; toolConfig?: ToolConfig; generationConfig?: GenerationConfig;
              safetySettings?: SafetySetting[] };
type Params = Wire<Json>;"""
    aimock = ""

    def environment(self, base, key):
        return {"GOOGLE_API_KEY": key, "GEMINI_API_KEY": "canary-key-that-loses", "GOOGLE_GEMINI_BASE_URL": base}, {}

    def key_of(self, seen):
        return seen.headers.get("x-goog-api-key", "")

    def check_headers(self, seen):
        assert "key=" not in seen.path and "authorization" not in seen.headers, "the key goes in x-goog-api-key and nowhere else"

    def chat_path(self, model, stream):
        return f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")

    def is_chat(self, seen):
        return seen.path.split("?")[0].endswith("enerateContent")

    # ---- requests ----

    def read(self, seen):
        b = body_of(seen)
        path = urllib.parse.unquote(seen.path)
        asked = Asked(path.removeprefix("/v1beta/models/").partition(":")[0], ":stream" in path)
        asked.system = "".join(p["text"] for p in b.pop("systemInstruction", {"parts": []})["parts"])
        for content in b.pop("contents"):
            role = {"user": "user", "model": "assistant"}[content["role"]]
            asked.add(role, [found for part in content["parts"] for found in read_part(part)])
        for tool in b.pop("tools", []):
            for f in tool["functionDeclarations"]:
                asked.tools[f["name"]] = (f.get("description", ""), f["parametersJsonSchema"])
        calling = b.pop("toolConfig", {}).get("functionCallingConfig", {"mode": "AUTO"})
        names = calling.get("allowedFunctionNames")
        asked.choice = "tool:" + names[0] if names else calling["mode"].lower()
        self.read_config(b.pop("generationConfig", {}), asked, b)
        asked.extra = b
        return asked

    def read_config(self, config, asked, rest):
        for ours, theirs in (("max_tokens", "maxOutputTokens"), ("temperature",) * 2, ("top_p", "topP"), ("stop", "stopSequences")):
            if theirs in config:
                asked.sampling[ours] = config.pop(theirs)
        thinking = config.pop("thinkingConfig", {})
        thinking.pop("includeThoughts", None)
        if "thinkingLevel" in thinking:
            asked.sampling["reasoning"] = thinking.pop("thinkingLevel").lower()
        if config or thinking:
            rest["generationConfig"] = {**config, **({"thinkingConfig": thinking} if thinking else {})}

    # ---- answers ----

    def part(self, p):
        signature = {"thoughtSignature": p.opaque} if getattr(p, "opaque", None) else {}
        if isinstance(p, Call):
            return {"functionCall": {"name": p.name, "args": p.args}, **signature}
        return {"text": p.text, **({"thought": True} if isinstance(p, Thinking) else {}), **signature}

    def usage(self, usage):
        thoughts = usage.get("reasoning")
        wire = {"promptTokenCount": usage["input"], "candidatesTokenCount": usage["output"] - (thoughts or 0),
                "totalTokenCount": usage["input"] + usage["output"]}
        if thoughts is not None:
            wire["thoughtsTokenCount"] = thoughts
        if "cache_read" in usage:
            wire["cachedContentTokenCount"] = usage["cache_read"]
        return wire

    def response(self, says, model, parts, last):
        candidate = {"content": {"role": "model", **({"parts": parts} if parts else {})}, "index": 0}
        if last:
            candidate["finishReason"] = self.stops[says.stop]
        usage = {"usageMetadata": self.usage(says.usage)} if says.usage and last else {}
        return {"candidates": [candidate], "modelVersion": model or self.models[0], "responseId": says.id, **usage}

    def whole(self, says, model):
        return self.response(says, model, [self.part(p) for p in says.parts], True)

    def stream(self, says, model):
        frames = []
        for p in says.parts:
            if isinstance(p, Call):
                frames.append([self.part(p)])
            else:
                frames += [[self.part(p._replace(text=t))] for t in pieces_of(p.text)]
        return [frame(self.response(says, model, parts, False)) for parts in frames] + [frame(self.response(says, model, [], True))]

    def other(self, seen, service):
        path, _, query = seen.path.partition("?")
        rows = [{"name": "models/" + m, "displayName": m.title(), "supportedGenerationMethods": ["generateContent", "countTokens"]} for m in service.models]
        rows.insert(1, {"name": "models/embedding-1", "displayName": "no chat", "supportedGenerationMethods": ["embedContent"]})
        if path == "/v1beta/models":  # one on a page, whatever the size
            at = int(dict(urllib.parse.parse_qsl(query)).get("pageToken", 0))
            return whole_reply({"models": rows[at:at + 1], **({"nextPageToken": str(at + 1)} if at + 1 < len(rows) else {})})
        return next((whole_reply(r) for r in rows if path == "/v1beta/" + r["name"]), None)

    def mid_stream(self):
        return [([frame(self.errors[kind].body)], neutral, self.errors[kind].code)
                for kind, neutral in (("overloaded", "overloaded"), ("server", "upstream_failed"))]

    def retry_forms(self):
        body = json.loads(json.dumps(self.errors["rate"].body))
        body["error"]["details"].append({"@type": TYPE + "RetryInfo", "retryDelay": "7.250s"})
        return [("RetryInfo", {}, as_bytes(body), 7250)]

    def own_cases(self):
        return [blocked_prompt, signatures, unsigned_calls, results, config, quotas, all_thoughts, gateway]


def blocked_prompt(b):
    """No candidates at all, only a reason."""
    u = b.user()
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5}}
    for stream in (False, True):
        reply = whole_reply(frame(body) if stream else body, b.provider.stream_type if stream else b.provider.content_type)
        x = b.exchange(u, [reply], stream=stream)
        found = x.error.kind if x.error else x.result["stop"]
        assert found in ("filtered", "filter"), f"a blocked prompt became {found}"


def say(b, u, stream, *responses):
    """Responses as they stand: the last one ends the answer."""
    if stream:
        return Reply([frame(r) for r in responses], type=b.provider.stream_type)
    parts = [p for r in responses for p in r["candidates"][0].get("content", {}).get("parts", [])]
    return whole_reply({**responses[-1], "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]})


def response(*parts, **more):
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": 0, **more}]}


def signatures(b):
    """On any part, and back where they were: text is not joined over a signature, of two calls the first alone has one."""
    u = b.user(mcp_server={"name": "odd"})
    call = {"functionCall": {"name": "odd__plain", "args": {"x": 1}}}
    parts = [{"text": "a"}, {"text": "b"}, {"text": "signed", "thoughtSignature": "c2lnMQ=="}, {"text": "c"}, {"text": "", "thoughtSignature": "c2lnMg=="},
             {**call, "thoughtSignature": "c2lnMw=="}, call, {"text": "why", "thought": True, "thoughtSignature": "c2lnNA=="}]
    for s in (False, True):
        first = say(b, u, s, *[response(p) for p in parts], response(finishReason="STOP"))
        x = b.exchange(u, [first, b.answer("done", u, s)], "agent.run", stream=s, input="do it")
        assert x.result, x.error and x.error.message
        found = body_of(x.seen[1])["contents"]
        for p in found[1]["parts"]:
            assert not p.get("functionCall", {"id": 1}).get("id") is None and p.get("functionCall", {}).pop("id", 1), p
        same(found[1]["parts"], [{"text": "ab"}] + parts[2:], "the parts that went back")
        same([p["functionResponse"]["name"] for p in found[2]["parts"]], ["odd__plain"] * 2, "the results")


def unsigned_calls(b):
    """Gemini 3 refuses a turn whose first call is not signed; older models do not know the word for it."""
    calls = [{"type": "tool_use", "id": f"id{i}", "name": "look", "arguments": {}} for i in range(2)]
    results = [{"type": "tool_result", "id": f"id{i}", "content": "seen"} for i in range(2)]
    for model, wanted in (("gemini-3-pro", ["skip_thought_signature_validator", None]), ("gemini-2.5-flash", [None, None])):
        b.service.models.append(model)
        messages = [{"role": "user", "content": "look"}, {"role": "assistant", "content": calls}, {"role": "user", "content": results}]
        x = b.ask(b.user(model=model), "ok", messages=messages)
        same([c.opaque for c in x.asked[0].parts(Call)], wanted, model)
        same([r.name for r in x.asked[0].parts(Result)], ["look"] * 2, "a result without a name has its call's")


def results(b):
    """JSON as JSON; an error without a word; images behind all results; an image's address."""
    u = b.user()
    image = {"type": "image", "mime": "image/jpeg", "data": "AAAA"}
    content = [{"type": "tool_result", "id": "a", "name": "f", "content": [{"type": "text", "text": "see"}, image]},
               {"type": "tool_result", "id": "b", "name": "g", "is_error": True, "content": [image]},
               {"type": "tool_result", "id": "c", "name": "h", "content": [{"type": "json", "value": {"n": [1]}}]},
               {"type": "image", "mime": "image/png", "url": "https://example.com/a.png"}]
    calls = [{"type": "tool_use", "id": i, "name": n, "arguments": {}} for i, n in (("a", "f"), ("b", "g"), ("c", "h"))]
    messages = [{"role": "user", "content": "go"}, {"role": "assistant", "content": calls}, {"role": "user", "content": content}]
    b.service.script = [b.answer("ok", u, True)]
    since = len(b.service.seen)
    b.client.call("chat.complete", user=u.name, messages=messages)
    found = body_of(b.service.seen[since])["contents"][2]["parts"]
    inline = {"inlineData": {"mimeType": "image/jpeg", "data": "AAAA"}}
    same(found, [{"functionResponse": {"id": "a", "name": "f", "response": {"output": "see"}}},
                 {"functionResponse": {"id": "b", "name": "g", "response": {"error": "the tool failed without saying why"}}},
                 {"functionResponse": {"id": "c", "name": "h", "response": {"output": {"n": [1]}}}}, inline, inline,
                 {"fileData": {"mimeType": "image/png", "fileUri": "https://example.com/a.png"}}], "the parts")


def config(b):
    """Extra's generationConfig is merged into ours, and wins; budgets."""
    u = b.user()
    x = b.ask(u, "ok", temperature=0.5, max_tokens=9, extra={"generationConfig": {"topK": 3, "temperature": 0.1}, "safetySettings": []})
    same((x.asked[0].sampling, x.asked[0].extra), ({"temperature": 0.1, "max_tokens": 9}, {"generationConfig": {"topK": 3}, "safetySettings": []}), "config")
    for reasoning, budget in (("2048", 2048), ("none", 0), ("-1", -1)):
        x = b.ask(u, "ok", reasoning=reasoning)
        same(x.asked[0].extra, {"generationConfig": {"thinkingConfig": {"thinkingBudget": budget}}}, reasoning)


def quotas(b):
    """The text is the same for a minute's limit and for a day's: the details tell."""
    def failure(**violation):
        return {"@type": TYPE + "QuotaFailure", "violations": [violation]}
    wait = {"@type": TYPE + "RetryInfo", "retryDelay": "0.001s"}
    for details, neutral in (([failure(quotaId="GenerateRequestsPerMinutePerProjectPerModel"), wait], "rate_limited"),
                             ([failure(quotaId="GenerateRequestsPerDayPerProjectPerModel"), wait], "quota"),
                             ([failure(quotaId="PerMinute", quotaValue="0"), wait], "quota"), ([], "quota")):
        r = error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details.", *details)
        for body in (r.body, [r.body]):
            b.fails(b.user(), whole_reply(body, status=429), neutral, 1 if neutral == "quota" else 3)


def all_thoughts(b):
    """A count of 0 is left out: the total tells."""
    u = b.user()
    usage = {"promptTokenCount": 5, "totalTokenCount": 30, "toolUsePromptTokenCount": 2}
    for s in (False, True):
        x = b.exchange(u, [say(b, u, s, {**response(finishReason="MAX_TOKENS"), "usageMetadata": usage})], stream=s)
        assert x.result, x.error and x.error.message
        same((x.usage["input"], x.usage["output"]), (7, 23), "usage")


def gateway(b):
    """Without a list of models the model itself is asked."""
    b.provider.other = lambda seen, service: whole_reply(b"<html>no</html>", "text/html", 404)
    try:
        u = b.new_user()
        _, seen = b.configure(u)
        same([(s.method, s.path) for s in seen], [("GET", "/v1beta/models/gemini-model-1"), ("POST", "/v1beta/models/gemini-model-1:generateContent")],
             "what was asked")
    finally:
        del b.provider.other
