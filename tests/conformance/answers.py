"""Cases of answers and of configuration: what is asked, what the vendor says, what comes of it."""
import re

import typecheck
from bench import ENTRY, config, same, same_parts
from harness.daemon import Daemon
from service import Service
from words import Call, Image, NotApplicable, Result, Says, Text, Thinking, case

ODD = "na\u00efve \u6f22\u5b57 \U0001f642\u200d\U0001f680 \u202eabc \"quoted\" back\\slash \t tab\nline \x01 </script> {\"a\": 1} data: [DONE] e\u0301"
BLOB = "EqQBCgIYAhIM+/9aZ==sig\u00b7nature/+=" + "A" * 300
LONG = "0123456789 \u00e4\u00f6\u00fc " * 15000
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Berlin", "\u6771\u4eac"]}, "n": {"type": "integer", "minimum": 0}},
          "required": ["city"], "additionalProperties": False}
TOOLS = [{"name": "get_weather", "description": "The weather \u2602.", "schema": SCHEMA},
         {"name": "get-time", "description": "The time.", "schema": {"type": "object", "properties": {}}}]
BOTH = (False, True)


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


def send_back(b, who, parts):
    """What the vendor gets when an answer's parts stand in the next request's history, as the caller got them."""
    calls = [p for p in parts if p["type"] == "tool_use"]
    go_on = [result(Call(c["id"], c["name"], {}), "noon") for c in calls] or "go on"
    return b.ask(who, "ok", tools=TOOLS, messages=[user_says("think"), {"role": "assistant", "content": parts}, {"role": "user", "content": go_on}])


@case
def thinking_elsewhere(b):
    """thinking goes to no other model"""
    u, other, p = b.user(), b.user(model=b.provider.models[1]), b.provider
    on_call = p.opaque_on == "call"
    if not p.opaque_on:
        raise NotApplicable("answers carry no blobs")
    for s in BOTH:
        says = [Thinking("let me see", None if on_call else BLOB), Call("call_1", "get-time", {}, BLOB if on_call else None)]
        parts = b.ask(u, Says(says, stop="tool_use"), stream=s, tools=TOOLS).result["parts"]
        marked = [part for part in parts if "opaque" in part]
        same(len(marked), 1, "parts of the reply with a blob")
        for tag, who in ((None, u), (None, other), (f"Somebody/{u.model}", u), (f"{ENTRY}/{other.model}", u)):
            sent = [{**part, "opaque_tag": tag or part["opaque_tag"]} if part in marked else part for part in parts]
            x = send_back(b, who, sent)
            same("A" * 300 in x.seen[0].body.decode(), tag is None and who is u, f"the blob of {tag or 'this model'} in a request of {who.model}")


@case
def thinking_forged(b):
    """a blob that no vendor made breaks nothing"""
    u, p = b.user(), b.provider
    tag, made_up = f"{ENTRY}/{u.model}", '"}], "model": "another", "x": [{"y": "\\'
    kinds = ({"type": "thinking", "text": "let me see"}, {"type": "tool_use", "id": "call_1", "name": "get-time", "arguments": {}}, {"type": "text", "text": "so"})
    b.typed = False
    for part in kinds:
        calls = [result(TWO[0]._replace(name="get-time"), "noon")] if part["type"] == "tool_use" else "go on"
        messages = [user_says("think"), {"role": "assistant", "content": [{**part, "opaque": made_up, "opaque_tag": tag}]}, {"role": "user", "content": calls}]
        x = b.exchange(u, [b.answer("ok", u, True)], tools=TOOLS, messages=messages)
        assert x.result or x.error.kind in ("upstream_refused", "invalid_message"), x.error.message
        same([a.extra for a in x.asked], [{}] * len(x.asked), f"what came of a blob on {part['type']}")


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
    wanted = {name: value for name, value in wanted.items() if name not in p.no_sampling}
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
