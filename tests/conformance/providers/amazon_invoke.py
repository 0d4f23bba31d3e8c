"""Anthropic's messages in Amazon Bedrock's wrapping: InvokeModel, and chunks of base64 in an event stream."""
import base64
import json
import urllib.parse

import eventstream
from bench import same
from providers.amazon import Amazon
from providers.anthropic import Anthropic
from service import as_bytes, body_of
from words import Reply, Says, Text

VERBS = ("/invoke", "/invoke-with-response-stream")


def chunk(event):
    return eventstream.event("chunk", as_bytes({"bytes": base64.b64encode(as_bytes(event)).decode(), "p": "abcdef"}))


def event_of(frame):
    return json.loads(next(line.removeprefix(b"data: ") for line in frame.split(b"\n") if line.startswith(b"data: ")))


class AmazonInvoke(Anthropic):
    name, plugin, settings = "amazon_invoke", "amazon", {"api": "invoke"}
    models, errors = Amazon.models, Amazon.errors
    stream_type, request_id_header = Amazon.stream_type, Amazon.request_id_header
    types = Anthropic.types.rpartition("type Params")[0] + """
type Without<T> = T extends unknown ? Omit<T, "model" | "stream"> : never;
type Params = Without<MessageCreateParams> & Until2026 & { anthropic_version: "bedrock-2023-05-31" };"""
    not_applicable = {"validation_model": "a name that says no vendor is not asked for: see `vendors`"}
    aimock = None
    credentials, environment, check_headers = Amazon.credentials, Amazon.environment, Amazon.check_headers
    key_of, other, no_retry = Amazon.key_of, Amazon.other, Amazon.no_retry

    def configure(self, key, model):
        return {"model": model, "credentials": self.credentials(key), "aws_region": "us-east-1"}

    def retry_forms(self):
        return []

    def chat_path(self, model, stream):
        return f"/model/{urllib.parse.quote(model, safe='-._~')}{VERBS[stream]}"

    def is_chat(self, seen):
        return seen.path.endswith(VERBS)

    def read(self, seen):
        b = body_of(seen)
        assert b.pop("anthropic_version") == "bedrock-2023-05-31" and not {"model", "stream"} & set(b), b
        return self.read_body(b, urllib.parse.unquote(seen.path.split("/")[2]), seen.path.endswith(VERBS[1]))

    def stream(self, says, model):
        events = [event_of(frame) for frame in super().stream(says, model)]
        events[-1]["amazon-bedrock-invocationMetrics"] = {"inputTokenCount": 1, "outputTokenCount": 1}
        return [chunk(e) for e in events]

    def mid_stream(self):
        overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        return Amazon.mid_stream(self) + [([chunk(overloaded)], "overloaded", "overloaded_error")]

    def malformed_frame(self):
        return eventstream.event("chunk", as_bytes({"bytes": base64.b64encode(b'{"never": [closed').decode()}))

    def own_cases(self):
        return [broken_chunks, vendors]


def broken_chunks(b):
    """What is no base64 ends the answer; an event without bytes is passed over; padding may be missing."""
    u = b.user()
    frames = b.provider.stream(Says([Text("some text")]), u.model)
    for bad in ('{"bytes": "a$b="}', '{"bytes": "////"}'):
        b.fails(u, Reply(frames[:3] + [eventstream.event("chunk", bad.encode())] + frames[3:], type=b.provider.stream_type), "protocol")
    loose = [f for f in frames[:3]] + [eventstream.event("eventOfTheFuture", b"{}")]
    loose += [eventstream.event("chunk", as_bytes({"bytes": base64.b64encode(as_bytes(e)).decode().rstrip("=")}))
              for e in (event_of(f) for f in Anthropic.stream(b.provider, Says([Text("some text")]), u.model)[3:])]
    x = b.exchange(u, [Reply(loose, type=b.provider.stream_type)])
    assert x.result, x.error and x.error.message
    same(x.result["text"], "some text", "the answer")


def vendors(b):
    """InvokeModel's bodies are the vendor's own: whose model it is must be known, from its name or from the user."""
    plain = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"
    b.service.models.append(plain)
    for model, field, word in ((plain, None, "model_provider_in_profile"), ("meta.llama-x-v1:0", None, "meta's"), (plain, "cohere", "cohere's"),
                               (plain.replace("application-inference-profile/a1b2c3", "inference-profile/eu.mistral.big-v1:0"), None, "mistral's")):
        u = b.new_user(model)
        error, seen = b.refused_configure(u, **({"model_provider_in_profile": field} if field else {}))
        assert word in error.message, error.message
        same((seen, b.client.call("status", user=u.name)["configured"]), ([], False), f"what came of {model}")
    error, seen = b.refused_configure(b.new_user("anthropic.no-such-model"))
    same((error.kind, len(seen)), ("model_not_found", 1), "a model that there is not")
    u = b.user(plain, model_provider_in_profile="anthropic")
    b.ask(u, "ok")
