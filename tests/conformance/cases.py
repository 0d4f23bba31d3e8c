"""The one list of cases, in neutral words: what is asked of tda, what the vendor says, what must have arrived at the far end.

A case is a function of a Bench; it fails by AssertionError and may raise NotApplicable with the reason. Its first line of
documentation is its title in the matrix."""
import email.utils
import re
import time

import typecheck
from bench import ENTRY, IDLE_MS, config, same, same_parts
from harness.client import RpcError
from harness.daemon import SLOW, Daemon
from service import Service, whole_reply
from words import Call, Image, NotApplicable, Reply, Result, Says, Text, Thinking

CASES = []
ODD = "na\u00efve \u6f22\u5b57 \U0001f642\u200d\U0001f680 \u202eabc \"quoted\" back\\slash \t tab\nline \x01 </script> {\"a\": 1} data: [DONE] e\u0301"
BLOB = "EqQBCgIYAhIM+/9aZ==sig\u00b7nature/+=" + "A" * 300
LONG = "0123456789 \u00e4\u00f6\u00fc " * 15000
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Berlin", "\u6771\u4eac"]}, "n": {"type": "integer", "minimum": 0}},
          "required": ["city"], "additionalProperties": False}
TOOLS = [{"name": "get_weather", "description": "The weather \u2602.", "schema": SCHEMA},
         {"name": "get-time", "description": "The time.", "schema": {"type": "object", "properties": {}}}]
BOTH = (False, True)


def case(function):
    CASES.append(function)
    return function


def said(x, text, stop="end_turn"):
    same((x.result["text"], x.result["stop"]), (text, stop), "text and stop of the reply")


def parts_of(x):
    """The reply's parts in the words of words.py."""
    found = []
    for p in x.result["parts"]:
        if p["type"] == "tool_use":
            found.append(Call(p["id"], p["name"], p["arguments"]))
        else:
            found.append(Text(p["text"]) if p["type"] == "text" else Thinking(p["text"], p.get("opaque")))
    return found


def user_says(text):
    return {"role": "user", "content": text}


# ---- plain answers ----

@case
def text(b):
    """text"""
    u = b.user()
    x = b.ask(u, "hello back", stream=False, input="hello there")
    said(x, "hello back")
    same(x.asked[0].turns, [["user", [Text("hello there")]]], "what the vendor was asked")
    same((x.asked[0].tools, x.asked[0].choice, x.asked[0].system), ({}, "auto", ""), "what nobody asked for")
    same(x.asked[0].extra, {}, "members that nobody asked for")


@case
def stream(b):
    """stream"""
    u = b.user()
    x = b.ask(u, "an answer in a good many pieces", stream=True, input="hello there")
    said(x, "an answer in a good many pieces")
    same(x.asked[0].turns, [["user", [Text("hello there")]]], "what the vendor was asked")
    same(x.asked[0].extra, {}, "members that nobody asked for")


@case
def conversation(b):
    """system text and history"""
    u = b.user()
    messages = [user_says("first"), {"role": "assistant", "content": "second"}, user_says("third")]
    x = b.ask(u, "fourth", system="be brief", messages=messages)
    same(x.asked[0].system, "be brief", "the system text")
    same(x.asked[0].turns, [["user", [Text("first")]], ["assistant", [Text("second")]], ["user", [Text("third")]]], "the conversation")


@case
def unicode(b):
    """unicode"""
    u = b.user()
    for s in BOTH:
        x = b.ask(u, ODD, stream=s, input=ODD, system=ODD)
        same(x.asked[0].parts(Text), [Text(ODD)], "the question")
        same(x.asked[0].system, ODD, "the system text")
        same(x.result["text"], ODD.replace("\x01", ""), "the answer, without what would steer a terminal")


@case
def empty(b):
    """empty answer"""
    u = b.user()
    for s in BOTH:
        said(b.ask(u, Says([]), stream=s), "")


@case
def long(b):
    """long question and answer"""
    u = b.user()
    for s in BOTH:
        x = b.ask(u, Says([Text(LONG)]), stream=s, input=LONG)
        same(x.asked[0].parts(Text), [Text(LONG)], "the question")
        said(x, LONG)


# ---- tools ----

@case
def tool_call(b):
    """tool call"""
    u = b.user()
    call = Call("call_1", "get_weather", {"city": "\u6771\u4eac", "n": 3, "deep": {"list": [1, None, "\""]}})
    for s in BOTH:
        x = b.ask(u, Says([Text("let me look"), call], stop="tool_use"), stream=s, tools=TOOLS)
        same(x.asked[0].tools, {t["name"]: (t["description"], t["schema"]) for t in TOOLS}, "the tools")
        same_found(b, parts_of(x), [Text("let me look"), call])
        same(x.result["stop"], "tool_use", "stop")


def same_found(b, found, wanted):
    """A vendor without ids: ours must be there, and each must be another."""
    calls = [p for p in found if isinstance(p, Call)]
    assert all(c.id for c in calls) and len({c.id for c in calls}) == len(calls), f"ids of the calls: {[c.id for c in calls]}"
    if not b.provider.has_ids:
        found = [p._replace(id=None) if isinstance(p, Call) else p for p in found]
    same_parts(found, wanted, "parts of the reply")


@case
def parallel_calls(b):
    """parallel calls"""
    u = b.user()
    calls = [Call("call_1", "get_weather", {"city": "Berlin"}), Call("call_2", "get-time", {}), Call("call_3", "get_weather", {"city": "\u6771\u4eac"})]
    for s in BOTH:
        x = b.ask(u, Says(calls, stop="tool_use"), stream=s, tools=TOOLS)
        same_found(b, parts_of(x), calls)
        same(x.result["stop"], "tool_use", "stop")


def with_results(results, calls, more=()):
    return [user_says("how is it?"),
            {"role": "assistant", "content": [{"type": "text", "text": "I look"}] + [
                {"type": "tool_use", "id": c.id, "name": c.name, "arguments": c.args} for c in calls]},
            {"role": "user", "content": results + list(more)}]


def result(call, content, is_error=False):
    return {"type": "tool_result", "id": call.id, "name": call.name, "is_error": is_error, "content": content}


TWO = [Call("call_1", "get_weather", {"city": "Berlin"}), Call("call_2", "get-time", {})]


@case
def tool_result(b):
    """tool results"""
    u = b.user()
    results = [result(TWO[0], [{"type": "text", "text": "rain"}]), result(TWO[1], [{"type": "text", "text": "noon"}])]
    x = b.ask(u, "it rains", messages=with_results(results, TWO), tools=TOOLS)
    same([role for role, _ in x.asked[0].turns], ["user", "assistant", "user"], "the turns")
    same_parts(x.asked[0].turns[1][1], [Text("I look")] + TWO, "the calls")
    wanted = [Result("call_1", "get_weather", "rain"), Result("call_2", "get-time", "noon")]
    same_parts(x.asked[0].turns[2][1], wanted, "the results")


@case
def tools_in_history(b):
    """tools in history only"""
    u = b.user()
    x = b.ask(u, "it rained", messages=with_results([result(TWO[0], "rain")], TWO[:1]))
    same_parts(x.asked[0].parts(Result), [Result("call_1", "get_weather", "rain")], "the results")
    if b.provider.history_needs_tools:
        assert "get_weather" in x.asked[0].tools, "the vendor refuses calls of tools that were not offered"


@case
def tool_error(b):
    """tool error"""
    u = b.user()
    x = b.ask(u, "sorry", messages=with_results([result(TWO[0], "no such city", True), result(TWO[1], [{"type": "text", "text": "noon"}])], TWO),
              tools=TOOLS)
    wanted = [Result("call_1", "get_weather", "no such city", True), Result("call_2", "get-time", "noon", False)]
    same_parts(x.asked[0].parts(Result), wanted, "the results")


@case
def tool_image(b):
    """image in a tool result"""
    u = b.user()
    content = [{"type": "text", "text": "a picture"}, {"type": "image", "mime": "image/png", "data": PIXEL}]
    x = b.ask(u, "nice", messages=with_results([result(TWO[0], content)], TWO[:1]), tools=TOOLS)
    same_parts(x.asked[0].parts(Image), [Image("image/png", PIXEL)], "the image")


@case
def tool_choice(b):
    """tool choice"""
    u = b.user()
    for choice in ("auto", "none", "any", "tool:get-time"):
        if choice in b.provider.no_choice:
            continue
        x = b.ask(u, "ok", tools=TOOLS, tool_choice=choice)
        same(x.asked[0].choice, choice, "tool_choice")


def use(alias_of, says_after):
    """A script: the first answer calls the tool that `alias_of` picks of those offered, the second is text."""
    def first(b, u, s):
        def make(seen):
            alias = alias_of(b.provider.read(seen).tools)
            return b.answer(Says([Call("call_9", alias, {"x": 1})], stop="tool_use"), u, s)
        return make
    return lambda b, u, s: [first(b, u, s), b.answer(says_after, u, s)]


@case
def alias(b):
    """tool names that vendors refuse: one alias, the same in every turn"""
    u = b.user(mcp_server={"name": "odd"})

    def odd(tools):
        return next(name for name, (description, _) in tools.items() if description == "tool 0")

    script, seen = use(odd, "done"), []
    for s in (True, False, True):
        x = b.exchange(u, script(b, u, s), "agent.run", stream=s, input="do it")
        assert x.result, x.error and x.error.message
        same(x.result["steps"][0]["tool"], "org.acme/do it", "the tool that was called")
        same_parts(x.asked[1].parts(Call), [Call("call_9", odd(x.asked[0].tools), {"x": 1})], "the call in the second request")
        same(x.asked[1].parts(Result)[0].text, 'org.acme/do it got {"x": 1}', "what the server got")
        seen += [sorted(a.tools) for a in x.asked]
    same(seen, [seen[0]] * 6, "the names in every request")
    same(len(seen[0]), 5, "five tools have five names")
    bad = [n for n in seen[0] if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", n)]
    same(bad, [], "names that a vendor would refuse")


# ---- images, thinking ----

@case
def image(b):
    """image in"""
    u = b.user()
    content = [{"type": "text", "text": "what is this?"}, {"type": "image", "mime": "image/png", "data": PIXEL}]
    x = b.ask(u, "a pixel", messages=[{"role": "user", "content": content}])
    same_parts(x.asked[0].turns[0][1], [Text("what is this?"), Image("image/png", PIXEL)], "what the vendor was asked")


@case
def thinking(b):
    """thinking"""
    u = b.user()
    for s in BOTH:
        x = b.ask(u, Says([Thinking("let me see", BLOB if b.provider.opaque_on == "thinking" else None), Text("so it is")]), stream=s)
        same([(type(p).__name__, p.text) for p in parts_of(x)], [("Thinking", "let me see"), ("Text", "so it is")], "parts of the reply")
        said(x, "so it is")


def thought(b, alias):
    on_call = b.provider.opaque_on == "call"
    parts = [Thinking("let me see", None if on_call else BLOB), Call("call_9", alias, {"x": 1}, BLOB if on_call else None)]
    if b.provider.redacted:
        parts.insert(1, Thinking("", BLOB + "redacted", True))
    return parts


@case
def thinking_round_trip(b):
    """thinking goes back byte for byte"""
    u = b.user(mcp_server={"name": "odd"})
    for s in BOTH:
        def first(seen):
            return b.answer(Says(thought(b, "odd__plain"), stop="tool_use"), u, s)
        x = b.exchange(u, [first, b.answer("done", u, s)], "agent.run", stream=s, input="think, then do it")
        assert x.result, x.error and x.error.message
        wanted = thought(b, "odd__plain")
        found = x.asked[1].turns[1][1]
        if b.provider.opaque_on == "call":
            wanted, found = [p for p in wanted if not isinstance(p, Thinking)], [p for p in found if not isinstance(p, Thinking)]
        same_parts(found, wanted, "the assistant's turn in the second request")


@case
def thinking_elsewhere(b):
    """thinking goes to no other model"""
    u, other, p = b.user(), b.user(model=b.provider.models[1]), b.provider
    for tag, who, goes in ((f"{ENTRY}/{u.model}", other, False), (f"Somebody/{u.model}", u, False), (f"{ENTRY}/{u.model}", u, True)):
        blob = {"opaque": BLOB, "opaque_tag": tag}
        part = {"type": "thinking", "text": "let me see", **blob}
        if p.opaque_on == "call":
            part = {"type": "tool_use", "id": "call_1", "name": "get-time", "arguments": {}, **blob}
        back = [result(Call("call_1", "get-time", {}), "noon") if p.opaque_on == "call" else {"type": "text", "text": "go on"}]
        x = b.ask(who, "ok", tools=TOOLS, messages=[user_says("think"), {"role": "assistant", "content": [part, {"type": "text", "text": "so it is"}]},
                                                    {"role": "user", "content": back}])
        there = "A" * 300 in x.seen[0].body.decode()
        same(there, goes and "thinking_round_trip" not in p.not_applicable, f"the blob of {tag} in a request to {ENTRY}/{who.model}")


# ---- the end of an answer ----

@case
def stops(b):
    """stop reasons"""
    u = b.user()
    for reason, word in b.provider.stops.items():
        for s in BOTH:
            parts = [Call("call_1", "get-time", {})] if reason == "tool_use" else [Text("so far")]
            x = b.ask(u, Says(parts, stop=reason), stream=s, tools=TOOLS)
            same(x.result["stop"], reason, f"stop for {word}")
            if b.provider.stop_raw_is_word:
                same(x.result["stop_raw"], word, "stop_raw")


@case
def max_tokens(b):
    """max tokens"""
    u = b.user()
    x = b.ask(u, Says([Text("cut sho")], stop="max_tokens"), max_tokens=77)
    same(x.asked[0].sampling, {"max_tokens": 77}, "sampling parameters")
    said(x, "cut sho", "max_tokens")


@case
def sampling(b):
    """sampling parameters: only when asked for"""
    u, p = b.user(), b.provider
    for s in BOTH:
        x = b.ask(u, "ok", stream=s)
        same(sorted(x.asked[0].sampling), sorted(p.required_sampling), "sampling parameters that nobody asked for")
    wanted = {"temperature": 0.25, "top_p": 0.5, "stop": ["END", "\n\n"], "max_tokens": 99}
    same(b.ask(u, "ok", **wanted).asked[0].sampling, wanted, "sampling parameters")
    same(b.ask(u, "ok", temperature=0).asked[0].sampling["temperature"], 0, "a temperature of 0")


@case
def reasoning(b):
    """reasoning effort: only when asked for"""
    u = b.user()
    assert "reasoning" not in b.ask(u, "ok").asked[0].sampling, "an effort that nobody asked for"
    same(b.ask(u, "ok", reasoning="low").asked[0].sampling.get("reasoning"), "low", "the effort")


@case
def extra(b):
    """extra passed through"""
    u = b.user()
    b.typed = False
    x = b.ask(u, "ok", extra=b.provider.extra, temperature=0.5)
    same(x.asked[0].extra, b.provider.extra, "the vendor's own members")
    same(x.asked[0].sampling["temperature"], 0.5, "what stands beside them")


@case
def usage(b):
    """usage, normalised"""
    u, p = b.user(), b.provider
    counts = {"input": 1000, "output": 200, "cache_read": 600, "cache_write": 100, "reasoning": 50}
    counts = {k: v for k, v in counts.items() if k in p.usage_says}
    for s in BOTH:
        x = b.ask(u, Says([Text("so")], usage=counts), stream=s)
        wanted = {k: counts.get(k) for k in ("input", "output", "cache_read", "cache_write", "reasoning")}
        same({k: x.usage[k] for k in wanted}, wanted, f"usage, {'stream' if s else 'whole'}")
        same(x.usage["known"], True, "known")


@case
def usage_unknown(b):
    """usage that the vendor does not say is marked unknown"""
    u = b.user()
    for s in BOTH:
        x = b.ask(u, Says([Text("so")], usage=None), stream=s)
        same((x.usage["input"], x.usage["output"], x.usage["known"]), (None, None, False), f"usage, {'stream' if s else 'whole'}")


# ---- configuration ----

@case
def models(b):
    """models list"""
    if "models.list" not in {m["name"] for m in b.client.call("host.methods")["methods"]}:
        raise NotApplicable("models.list is not there yet")
    u = b.user()
    since = len(b.service.seen)
    found = [m["id"] for m in b.client.call("models.list", user=u.name)["models"]]
    same(sorted(found), sorted(b.provider.listed(u)), "the models")
    for seen in b.service.seen[since:]:
        same((seen.method, b.provider.key_of(seen)), ("GET", u.key), "method and key")


@case
def validation(b):
    """configure validates"""
    u = b.new_user()
    _, seen = b.configure(u)
    assert seen, "nobody asked the vendor"
    same({b.provider.key_of(s) for s in seen}, {u.key}, "whose key came along")
    for s in seen:
        assert not b.provider.is_chat(s) or b.provider.read(s).sampling.get("max_tokens", 1000) <= 16, f"validation that costs: {s.path}"
    same(b.client.call("status", user=u.name)["configured"], True, "configured")
    b.still_works(u)


@case
def validation_refused(b):
    """configure refuses a key"""
    u = b.new_user()
    b.service.refused_keys = {u.key}
    error, seen = b.refused_configure(u)
    same(error.kind, "credentials_refused", error.message)
    same({b.provider.key_of(s) for s in seen}, {u.key}, "whose key came along")
    assert u.key not in str(error.__dict__), "the key came back"
    same(b.client.call("status", user=u.name)["configured"], False, "configured")


@case
def validation_model(b):
    """configure refuses a model"""
    u = b.new_user(model="no-such-model")
    error, _ = b.refused_configure(u)
    same(error.kind, "model_not_found", error.message)
    same(b.client.call("status", user=u.name)["configured"], False, "configured")


@case
def base_url(b):
    """base_url override"""
    with Service(b.provider) as other:
        since, u = len(b.service.seen), b.new_user()
        b.configure(u, **b.provider.override(other.base))
        x = b.exchange(u, [b.answer("from elsewhere", u, True)], service=other)
        assert x.result, x.error and x.error.message
        said(x, "from elsewhere")
        same(len(b.service.seen), since, "requests at the former address")


@case
def environment(b):
    """the vendor's environment variables"""
    p, key = b.provider, "canary-key-of-the-operator"
    with Service(p) as service:
        env, settings = p.environment(service.base, key)
        base = settings.pop("base_url", None)
        with Daemon(config(p, base, shared=True, entry=p.plugin, settings=settings), env=env) as d:
            params = p.configure("unused", p.models[0])
            params.pop("credentials", None)
            d.client.call("configure", provider=p.plugin, **params)
            service.script = [p.answer(Says([Text("yours")]), p.models[0], True)]
            since = len(service.seen)
            same(d.client.call("chat.complete", input="whose key?")["text"], "yours", "the answer")
            same([p.key_of(s) for s in service.seen[since:]], [key], "the key that came along")
        same(service.faults, [], "the vendor could not read what it got")


# ---- refusals ----

def refused(b, kind, neutral, attempts):
    u, p = b.user(), b.provider
    for s in BOTH:
        reply = p.refusal(kind)
        reply.pieces = [piece.replace(b"KEY", u.key.encode()) for piece in reply.pieces]
        x = b.fails(u, reply, neutral, attempts, stream=s)
        r = p.errors[kind]
        same((x.error.data.get("http_status"), x.error.data.get("upstream_code")), (r.status, r.code), "status and code")
        message = p.message_of(r)
        assert message.replace("KEY", "")[:12] in x.error.message, f"the vendor's text is not in: {x.error.message}"
    b.still_works(u)
    return x


@case
def error_400(b):
    """400: the request"""
    refused(b, "bad_request", "upstream_refused", 1)


@case
def error_401(b):
    """401: the key"""
    refused(b, "auth", "credentials_refused", 1)


@case
def error_403(b):
    """403: not allowed"""
    refused(b, "permission", "permission", 1)


@case
def error_404(b):
    """404: the model"""
    refused(b, "not_found", "model_not_found", 1)


@case
def context_full(b):
    """conversation too long"""
    refused(b, "context_full", "context_full", 1)


@case
def error_429(b):
    """429 without Retry-After"""
    x = refused(b, "rate", "rate_limited", 3)
    same(x.error.data["retry_ms"], 0, "retry_ms")


def waits(b, headers, ms, body=None, slack=0):
    """Longer than the deadline leaves: no second attempt, and the caller is told how long."""
    u, p = b.user(), b.provider
    reply = p.refusal("rate")
    reply.headers.update(headers)
    if body is not None:
        reply.pieces = [body]
    x = b.fails(u, reply, "rate_limited", 1, deadline_ms=4000 * SLOW)
    found = x.error.data["retry_ms"]
    assert ms - slack <= found <= ms + slack, f"retry_ms {found} instead of {ms}"


WAIT_S = 7 * SLOW


@case
def retry_seconds(b):
    """429 with Retry-After in seconds"""
    waits(b, {"retry-after": str(WAIT_S)}, WAIT_S * 1000)
    u = b.user()
    begin = time.monotonic()
    x = b.exchange(u, [b.provider.refusal("rate", retry_after="1"), b.answer("at last", u, True)])
    assert x.result, x.error and x.error.message
    said(x, "at last")
    assert 0.95 <= time.monotonic() - begin < 5 * SLOW, "a second was to be waited for"


@case
def retry_date(b):
    """429 with Retry-After as a date"""
    waits(b, {"retry-after": email.utils.formatdate(time.time() + WAIT_S, usegmt=True)}, WAIT_S * 1000, slack=1500)


@case
def retry_vendor(b):
    """429 with the vendor's own forms"""
    forms = b.provider.retry_forms()
    if not forms and not b.provider.no_retry():
        raise NotApplicable("the vendor has none")
    for _, headers, body, ms in forms:
        waits(b, headers, ms * SLOW if SLOW == 1 else ms, body)
    if b.provider.no_retry():
        reply = b.provider.refusal("rate")
        reply.headers.update(b.provider.no_retry())
        b.fails(b.user(), reply, "quota", 1)


@case
def quota(b):
    """quota told from rate limit"""
    refused(b, "quota", "quota", 1)


@case
def error_500(b):
    """500"""
    refused(b, "server", "upstream_failed", 3)


@case
def overloaded(b):
    """overloaded (503, 529)"""
    refused(b, "overloaded", "overloaded", 3)


@case
def request_id(b):
    """the vendor's request id is reported"""
    x = b.fails(b.user(), b.provider.refusal("bad_request"), "upstream_refused")
    same(x.error.data.get("upstream_request_id"), "req-77", "upstream_request_id")


@case
def redirect(b):
    """redirects are not followed"""
    u = b.user()
    with Service(b.provider) as other:
        for status in (301, 302, 307, 308):
            location = other.address + b.provider.chat_path(u.model, True)
            b.fails(u, whole_reply(b"", "text/html", status, {"location": location}), "protocol", 1)
        same(other.seen, [], "a key must not travel to another host")
    b.still_works(u)


# ---- answers that are none ----

def half(b, u, text="half an answer, of which the rest never comes"):
    frames = b.provider.stream(Says([Text(text)]), u.model)
    return frames[:len(frames) // 2]


@case
def mid_stream(b):
    """error in the middle of a stream"""
    u = b.user()
    for frames, kind, code in b.provider.mid_stream():
        x = b.fails(u, Reply(half(b, u) + frames, type=b.provider.stream_type), kind)
        same(x.error.data.get("upstream_code"), code, "code")
        assert "half an" not in str(x.error.__dict__), "the half answer"
    b.still_works(u)


@case
def truncated(b):
    """truncated stream, truncated answer"""
    u, p = b.user(), b.provider
    b.fails(u, Reply(half(b, u), type=p.stream_type, ending="cut"), ("unreachable", "protocol"))
    b.fails(u, Reply(half(b, u), type=p.stream_type), "protocol")
    b.fails(u, Reply([], type=p.stream_type), "protocol")
    whole = b.answer("half an answer", u, False)
    whole.pieces, whole.ending = [whole.body[:len(whole.body) // 2]], "cut"
    b.fails(u, whole, ("unreachable", "protocol"), stream=False)
    b.still_works(u)


@case
def stall(b):
    """stall"""
    u = b.user()
    begin = time.monotonic()
    x = b.fails(u, Reply(half(b, u), type=b.provider.stream_type, ending="hang"), "timeout")
    took = time.monotonic() - begin
    assert IDLE_MS / 1000 * 0.9 * len(x.seen) < took < IDLE_MS / 1000 * len(x.seen) + 4 * SLOW, f"{len(x.seen)} attempts in {took:.1f} s"
    b.still_works(u)


@case
def malformed(b):
    """malformed JSON"""
    u, p = b.user(), b.provider
    b.fails(u, whole_reply(b'{"never": [closed', p.content_type), "protocol", stream=False)
    b.fails(u, whole_reply(b"[]", p.content_type), "protocol", stream=False)
    b.fails(u, whole_reply(b"", p.content_type), "protocol", stream=False)
    b.fails(u, Reply(half(b, u) + [p.malformed_frame()], type=p.stream_type), "protocol")
    b.still_works(u)


@case
def html(b):
    """a web page instead of an answer"""
    u = b.user()
    page = b"<!DOCTYPE html><html><head><title>Welcome to the proxy</title></head><body><p>hello</p></body></html>"
    for s in BOTH:
        b.fails(u, whole_reply(page, "text/html"), "protocol", stream=s)
        x = b.fails(u, whole_reply(page, "text/html", 502), "upstream_failed", stream=s)
        assert "<" not in x.error.message and "Welcome to the proxy" in x.error.message, x.error.message
    b.still_works(u)


@case
def slow_bytes(b):
    """one byte at a time"""
    u, p = b.user(), b.provider
    says = Says([Text("a \u00e4 \u6f22 \U0001f642 b"), Call("call_1", "get-time", {"k": "\u6f22\U0001f642"})], stop="tool_use")
    for s in BOTH:
        reply = b.answer(says, u, s)
        reply.pieces = [bytes([byte]) for byte in reply.body]
        x = b.exchange(u, [reply], stream=s, tools=TOOLS)
        assert x.result, x.error and x.error.message
        same_found(b, parts_of(x), says.parts)


@case
def own(b):
    """what only this vendor does"""
    cases = b.provider.own_cases()
    if not cases:
        raise NotApplicable("nothing")
    for own_case in cases:
        own_case(b)


@case
def types(b):
    """request bodies have the vendor's own TypeScript types"""
    if not b.provider.types:
        raise NotApplicable("the vendor publishes none")
    typecheck.check(b.provider, b.bodies)


__all__ = ["CASES", "RpcError"]
