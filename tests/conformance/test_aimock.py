#!/usr/bin/env python3
"""The same wire, spoken by somebody else: aimock answers for every provider whose plugin is there. One aimock, one daemon.

Where aimock is no oracle, the provider's `aimock_not` says why."""
import json
import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "scenario")]

from bench import same, yaml_of  # noqa: E402
from harness.client import RpcError  # noqa: E402
from harness.daemon import BUILD, SLOW, Daemon  # noqa: E402
from harness.peers import Aimock, need_peers  # noqa: E402
from service import load_providers  # noqa: E402
from words import NotApplicable  # noqa: E402

KEY, WRONG = "canary-key-of-aimock", "canary-key-unknown"
TEXT = "an answer of more than twenty characters, in chunks: \u00e4 \u6f22\u5b57 \U0001f642"
CALLS = [{"name": "get_weather", "arguments": {"city": "Berlin"}}, {"name": "get-time", "arguments": {}}]
TOOLS = [{"name": c["name"], "description": "a tool", "schema": {"type": "object", "properties": {"city": {"type": "string"}}}} for c in CALLS]


def fixture(words, response, **more):
    return {"match": {"userMessage": words}, "response": response, **more}


FIXTURES = [
    fixture("say it", {"content": TEXT}),
    fixture("call one", {"toolCalls": CALLS[:1]}),
    fixture("call two", {"toolCalls": CALLS}),
    fixture("think", {"content": TEXT, "reasoning": "let me see"}),
    fixture("too many", {"error": {"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}, "status": 429, "retryAfter": 60}),
    fixture("break", {"error": {"message": "it broke", "type": "server_error"}, "status": 500}),
    fixture("slowly", {"content": TEXT}, latency=20, chunkSize=2),
    fixture("stop short", {"content": TEXT * 4}, truncateAfterChunks=3),
    fixture("hang up", {"content": TEXT * 4}, latency=50, disconnectAfterMs=120),
]


class Peer:
    def __init__(self, mock, client, provider):
        self.mock, self.client, self.provider = mock, client, provider

    def ask(self, words, stream=True, user="good", **more):
        return self.client.call("chat.complete", user=f"{user}-{self.provider.name}", input=words, stream=stream, **more)

    def fails(self, kinds, words, **more):
        try:
            result = self.ask(words, **more)
        except RpcError as error:
            assert error.kind in kinds, f"{error.kind} instead of {' or '.join(kinds)}: {error.message}"
            return error
        raise AssertionError(f"taken for an answer: {result}")


def text(p):
    for stream in (False, True):
        r = p.ask("say it", stream)
        same((r["text"], r["stop"]), (TEXT, "end_turn"), f"stream: {stream}")
    journal = p.mock.get("/__aimock/journal")
    path = p.provider.aimock + p.provider.chat_path(p.provider.models[0], True).removeprefix(p.provider.base_path)
    same(journal[-1]["path"].split("?")[0], path.split("?")[0], "where aimock was asked")


def calls_of(p, words):
    found = []
    for stream in (False, True):
        r = p.ask(words, stream, tools=TOOLS)
        same(r["stop"], "tool_use", "stop")
        found.append([{"name": c["name"], "arguments": c["arguments"]} for c in r["parts"] if c["type"] == "tool_use"])
    return found


def tool_call(p):
    same(calls_of(p, "call one"), [CALLS[:1]] * 2, "the calls")


def parallel_calls(p):
    same(calls_of(p, "call two"), [CALLS] * 2, "the calls")


def thinking(p):
    for stream in (False, True):
        r = p.ask("think", stream)
        same([(c["type"], c["text"]) for c in r["parts"]], [("thinking", "let me see"), ("text", TEXT)], f"stream: {stream}")


def wrong_key(p):
    p.fails(("credentials_refused",), "say it", user="bad")


def error_429(p):
    error = p.fails(("rate_limited",), "too many", deadline_ms=5000)
    same(error.data["retry_ms"], 60000, "retry_ms")


def error_500(p):
    assert "it broke" in p.fails(("upstream_failed",), "break").message


def latency(p):
    same(p.ask("slowly")["text"], TEXT, "the text")


def truncated(p):
    p.fails(("unreachable", "protocol"), "stop short")


def disconnect(p):
    p.fails(("unreachable", "protocol"), "hang up")


def malformed(p):
    p.mock.get("/__aimock/chaos", "POST", {"malformedRate": 1})
    try:
        p.fails(("protocol",), "say it")
    finally:
        p.mock.get("/__aimock/chaos", "DELETE")


CASES = [text, tool_call, parallel_calls, thinking, wrong_key, error_429, error_500, latency, truncated, disconnect, malformed]


def cell(p, case):
    reason = p.provider.aimock_not.get(case.__name__)
    if reason:
        return f"n/a: aimock: {reason}"
    try:
        case(p)
        return "ok"
    except NotApplicable as reason:
        return f"n/a: {reason}"
    except Exception as error:
        print(f"--- {p.provider.name} {case.__name__}: {error}")
        return f"FAILED: {type(error).__name__}: {error}"


def config(mock, providers):
    entries = {}
    for p in providers:
        for user, key in (("good", KEY), ("bad", WRONG)):
            entries[f"{user}-{p.name}"] = {"plugin": p.plugin, "base_url": mock.url + p.aimock, **p.settings, **p.credentials(key)}
    sections = {"contexts": {"persistence": False, "users_may_use_host_keys": True}, "providers": entries,
                "plugins": {"load": sorted({p.plugin for p in providers})},
                "calls": {"attempts": 2, "retry_base": "5ms", "idle_timeout": f"{2 * SLOW}s"}}
    return "".join(f"{name}: {yaml_of(value)}\n" for name, value in sections.items())


def run(providers):
    """{provider: {case: cell}}; users are set up without validation, for aimock has no list of most vendors' models."""
    mock = Aimock(FIXTURES, KEY)
    try:
        with Daemon(config(mock, providers)) as d:
            table = {}
            for p in providers:
                for user in ("good", "bad"):
                    fields = {k: v for k, v in p.configure("", p.models[0]).items() if k != "credentials"}
                    d.client.call("context.set", user=f"{user}-{p.name}", fields={"provider": f"{user}-{p.name}", **fields})
                table[p.name] = {c.__name__: cell(Peer(mock, d.client, p), c) for c in CASES}
            return table
    finally:
        mock.close()


def main():
    out = BUILD / "conformance"
    out.mkdir(exist_ok=True)
    (out / "aimock.json").unlink(missing_ok=True)
    providers = [cls() for cls in load_providers().values()]
    why = {p.name: p.missing() or (p.aimock is None and "aimock does not speak it") for p in providers}
    need_peers()
    table = {name: {c.__name__: f"n/a: {reason}" for c in CASES} for name, reason in why.items() if reason}
    there = [p for p in providers if not why[p.name]]
    assert there, "no provider is there"
    table.update(run(there))
    (out / "aimock.json").write_text(json.dumps(table, indent=1))
    cells = [c for row in table.values() for c in row.values()]
    failed = sum(c.startswith("FAILED") for c in cells)
    print(f"aimock: {cells.count('ok')} ok, {len(cells) - cells.count('ok') - failed} not applicable, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
