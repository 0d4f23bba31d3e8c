"""Cases of failure: what vendors refuse, and what is no answer at all."""
import email.utils
import time

from answers import BOTH, TOOLS, parts_of, said, same_found
from bench import IDLE_MS, same
from harness.daemon import SLOW
from service import Service, whole_reply
from words import Call, NotApplicable, Reply, Says, Text, case

WAIT_S, DEADLINE_MS = 7, 4000

# ---- refusals ----

def refused(b, kind, neutral, attempts):
    u, p = b.user(), b.provider
    for s in BOTH:
        reply = p.refusal(kind)
        reply.pieces = [piece.replace(b": KEY", b": " + u.key.encode()) for piece in reply.pieces]
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
    """Longer than DEADLINE_MS: no second attempt, and the caller is told how long."""
    u, p = b.user(), b.provider
    reply = p.refusal("rate")
    reply.headers.update(headers)
    if body is not None:
        reply.pieces = [body]
    x = b.fails(u, reply, "rate_limited", 1, deadline_ms=DEADLINE_MS)
    found = x.error.data["retry_ms"]
    assert ms - slack <= found <= ms + slack, f"retry_ms {found} instead of {ms}"


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
        waits(b, headers, ms, body)
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
