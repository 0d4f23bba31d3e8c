"""What a case works with: one daemon, one fake vendor, users with a key each, and exchanges that are checked at the far end."""
import itertools
import json
import pathlib
import sys

from harness.client import RpcError
from harness.daemon import SLOW, Daemon
from service import Service
from words import NotApplicable, Says, Text

HERE = pathlib.Path(__file__).resolve().parent
ENTRY = "Vendor"
IDLE_MS = 600 if SLOW == 1 else 1500


def yaml_of(settings):
    """JSON is YAML."""
    return json.dumps(settings)


def config(provider, base, shared=False, entry=ENTRY, settings=None):
    calls = {"attempts": 3, "retry_base": "5ms", "idle_timeout": f"{IDLE_MS}ms", "attempt_timeout": f"{8 * SLOW}s", "turn_timeout": f"{30 * SLOW}s"}
    entry_settings = {"plugin": provider.plugin, **({"base_url": base} if base else {}), **provider.settings, **(settings or {})}
    sections = {"contexts": {"persistence": shared}, "egress": {"allow_private": True}, "calls": calls,
                "plugins": {"load": ["offline", "mcp", provider.plugin]},
                "mcp_servers": {"odd": {"command": [sys.executable, str(HERE / "odd_tools.py")]}}}
    if len(entry_settings) > 1:
        sections["providers"] = {entry: entry_settings}
    return "".join(f"{key}: {yaml_of(value)}\n" for key, value in sections.items())


def same(found, wanted, what=""):
    if found != wanted:
        raise AssertionError(f"{what}{': ' if what else ''}{short(found)} instead of {short(wanted)}")


def short(value):
    text = repr(value)
    return text if len(text) < 300 else f"{text[:200]}... ({len(text)} characters)"


def same_parts(found, wanted, what):
    """None among what was found stands for what that vendor's wire has no place for."""
    same([type(p).__name__ for p in found], [type(p).__name__ for p in wanted], what)
    for f, w in zip(found, wanted):
        for name in f._fields:
            if getattr(f, name) is not None:
                same(getattr(f, name), getattr(w, name), f"{what}, {name} of {type(f).__name__}")


class User:
    def __init__(self, name, key, model):
        self.name, self.key, self.model = name, key, model


class Exchange:
    """One call into tda and what the vendor saw of it."""

    def __init__(self, result, error, seen, asked):
        self.result, self.error, self.seen, self.asked = result, error, seen, asked

    @property
    def usage(self):
        return self.result["meta"]["usage"]


class Bench:
    def __init__(self, provider):
        self.provider = provider
        self.service = Service(provider)
        self.daemon = Daemon(config(provider, self.service.base))
        self.client = self.daemon.client
        self.numbers = itertools.count(1)
        self.bodies = []  # [case, body as text], for the type check
        self.case = ""
        self.typed = True

    def close(self, check=True):
        self.service.close()
        self.daemon.stop(check=check)

    def begin(self, case):
        self.case, self.typed = case, True
        self.service.script = []
        self.service.refused_keys = set()
        self.service.faults = []

    def end(self):
        same(self.service.faults, [], "the vendor could not read what it got")

    # ---- users ----

    def new_user(self, model=None):
        n = next(self.numbers)
        return User(f"user-{n}", f"canary-key-{n:04}-of-{self.case}".replace("_", "-"), model or self.provider.models[0])

    def configure(self, user, **more):
        """The result of configure, and the requests that it made."""
        since = len(self.service.seen)
        params = {"provider": ENTRY, **self.provider.configure(user.key, user.model), **more}
        result = self.client.call("configure", user=user.name, **params)
        return result, self.service.seen[since:]

    def refused_configure(self, user, **more):
        since = len(self.service.seen)
        params = {"provider": ENTRY, **self.provider.configure(user.key, user.model), **more}
        return self.client.error("configure", user=user.name, **params), self.service.seen[since:]

    def user(self, model=None, **more):
        user = self.new_user(model)
        self.configure(user, **more)
        return user

    # ---- exchanges ----

    def answer(self, says, user, stream):
        return self.provider.answer(says if isinstance(says, Says) else Says([Text(says)]), user.model, stream)

    def exchange(self, user, script, method="chat.complete", stream=True, service=None, **params):
        service = service or self.service
        service.script = list(script)
        if method == "chat.complete" and "messages" not in params:
            params.setdefault("input", "hello there")
        since, result, error = len(service.seen), None, None
        try:
            result = self.client.call(method, user=user.name, stream=stream, **params)
        except RpcError as e:
            error = e
        service.script = []
        seen = service.seen[since:]
        asked = [self.check_request(s, user, stream) for s in seen]
        self.check_reply(user, result, error)
        return Exchange(result, error, seen, asked)

    def check_request(self, seen, user, stream):
        p = self.provider
        same((seen.method, seen.path), ("POST", p.chat_path(user.model, stream)), "where the request went")
        same(p.key_of(seen), user.key, "whose key came along")
        same(seen.headers["content-type"].split(";")[0], "application/json", "content-type")
        same(seen.repeated, set(), "headers that came twice")
        same([n for n in self.keys_in(seen) if n != user.key], [], "keys of others in the request")
        assert user.key.encode() not in seen.body and user.key not in seen.path, "the key stands in the body or the address"
        p.check_headers(seen)
        asked = p.read(seen)
        if asked.model is not None:
            same(asked.model, user.model, "the model that was asked for")
        same(asked.stream, stream, "streaming")
        if self.typed:
            self.bodies.append([self.case, seen.body.decode()])
        return asked

    def keys_in(self, seen):
        import re
        return re.findall(r"canary-key-[\w-]+", str(seen.headers) + seen.body.decode(errors="replace"))

    def check_reply(self, user, result, error):
        text = json.dumps(result) if error is None else str(error.__dict__)
        assert user.key not in text, "the key came back in the reply"
        if error is None:
            same((result["meta"]["provider"], result["meta"]["model"]), (ENTRY, user.model), "labels of the reply")

    def ask(self, user, says, stream=True, **params):
        """One answer, which must be taken as it is."""
        x = self.exchange(user, [self.answer(says, user, stream)], stream=stream, **params)
        if x.error:
            raise AssertionError(f"{'stream' if stream else 'whole'}: {x.error.kind}: {x.error.message}")
        same(len(x.seen), 1, "requests for one answer")
        return x

    def fails(self, user, reply, kind, attempts=None, stream=True, **params):
        x = self.exchange(user, [reply], stream=stream, **params)
        if not x.error:
            raise AssertionError(f"taken for an answer: {short(x.result)}")
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if x.error.kind not in kinds:
            raise AssertionError(f"{x.error.kind} instead of {' or '.join(kinds)}: {x.error.message}")
        if attempts:
            same(len(x.seen), attempts, "attempts that the vendor saw")
        return x

    def still_works(self, user):
        same(self.ask(user, "as before").result["text"], "as before", "afterwards")


__all__ = ["Bench", "NotApplicable", "same", "same_parts"]
