"""Vendors' own fields and credentials, read off what their services received; acceptance lines 13, 19 and 48. Amazon's are in test_amazon.py."""
import json
import pathlib
import threading
import unittest

from harness.daemon import Daemon
from harness.upstream import Upstream

AZURE = "azure_deployment_details"
KEYS = [f"canary-{vendor}-{user}" for vendor in ("azure", "friendli", "openai", "anthropic", "google", "ollama") for user in ("u1", "u2")]


class Vendors(unittest.TestCase):
    def setUp(self):
        self.one, self.two = Upstream(), Upstream()
        self.addCleanup(self.one.close)
        self.addCleanup(self.two.close)
        self.d = Daemon("contexts: {persistence: false}\negress: {allow_private: true}\ncalls: {attempts: 1}\nlog: {level: debug}\n")
        self.addCleanup(self.d.stop)
        self.c = self.d.client

    def azure(self, user, up, deployment, version, **more):
        root = up.base.removesuffix("/v1")
        return self.c.call("configure", user=user, provider="azure", model="gpt-x", credentials={"api_key": f"canary-azure-{user}"},
                           azure_deployment_details={"endpoint": root, "deployment_name": deployment, "api_version": version}, **more)

    def friendli(self, user, up, model):
        return self.c.call("configure", user=user, provider="friendli", model=model,
                           friendli_details={"token": f"canary-friendli-{user}", "endpoint_url": up.base.removesuffix("/v1"), "models_path": "/v1/models"})

    def ask_at_once(self, rounds=30):
        """Both users ask, in turns and at the same time."""
        def work(user):
            c = self.d.connect()
            for i in range(rounds):
                self.assertEqual(c.call("chat.complete", user=user, input=f"{user} asks {i}")["text"], f"echo: {user} asks {i}")
            c.close()
        threads = [threading.Thread(target=work, args=(u,)) for u in ("u1", "u2")]
        [t.start() for t in threads]
        [t.join() for t in threads]

    def test_13_azure_details_are_the_callers_own(self):
        self.azure("u1", self.one, "blue", "2024-10-21")
        self.azure("u2", self.two, "green", "v1")
        self.ask_at_once()
        self.assertEqual({s.path for s in self.one.seen}, {"/openai/deployments/blue/chat/completions?api-version=2024-10-21"})
        self.assertEqual({s.path for s in self.two.seen}, {"/openai/v1/chat/completions"})
        for up, user in ((self.one, "u1"), (self.two, "u2")):
            self.assertEqual({s.headers.get("api-key") for s in up.seen}, {f"canary-azure-{user}"})
            self.assertFalse([s for s in up.seen if "authorization" in s.headers])
            asked = [s.json["messages"][-1]["content"] for s in up.seen if "asks" in s.body.decode()]
            self.assertEqual(sorted(asked), sorted(f"{user} asks {i}" for i in range(30)))
        self.assertEqual({s.json["model"] for s in self.two.seen}, {"green"})

    def test_13_friendli_details_are_the_callers_own(self):
        self.friendli("u1", self.one, "model1")
        self.friendli("u2", self.two, "model2")
        self.ask_at_once()
        for up, user, model in ((self.one, "u1", "model1"), (self.two, "u2", "model2")):
            self.assertEqual({s.key for s in up.seen}, {f"canary-friendli-{user}"})
            self.assertEqual({s.json["model"] for s in up.chats()}, {model})
            self.assertEqual({s.path for s in up.chats()}, {"/v1/chat/completions"})

    def fields(self):
        return self.c.call("context.get", user="u1")["context"]

    def test_19_a_switch_of_provider_leaves_nothing(self):
        self.azure("u1", self.one, "blue", "2024-10-21")
        context = self.fields()
        self.assertEqual((context[AZURE]["deployment_name"], context["credentials"]), ("blue", ["api_key"]))

        self.friendli("u1", self.two, "model1")
        context = self.fields()
        self.assertFalse(context.get(AZURE), "nothing of Azure's")
        self.assertEqual(context["credentials"], ["token"])
        self.assertNotIn("token", context["friendli_details"])

        e = self.c.error("configure", user="u1", provider="openai", model="model1")
        self.assertEqual((e.kind, e.data["field"]), ("missing_credential", "credentials.api_key"), "Azure's key of the same name is gone")
        self.assertEqual(self.fields()["provider"], "friendli", "and the old configuration works on")

        before = len(self.one.seen)
        self.c.call("configure", user="u1", provider="openai", model="model1", base_url=self.one.base, credentials={"api_key": "canary-openai-u1"})
        context = self.fields()
        self.assertFalse(context.get(AZURE) or context.get("friendli_details"), context)
        self.assertEqual(context["credentials"], ["api_key"])
        self.c.call("chat.complete", user="u1", input="after the switch")
        later = self.one.seen[before:]
        self.assertEqual({s.key for s in later}, {"canary-openai-u1"})
        self.assertFalse([s for s in later if "canary-azure" in str(s.headers) or "canary-friendli" in str(s.headers)])

    def test_48_keys_of_all_vendors_stay_where_they_belong(self):
        own = {"azure": lambda u: {"credentials": {"api_key": f"canary-azure-{u}"}, AZURE: {"endpoint": "http://127.0.0.1:9"}},
               "friendli": lambda u: {"credentials": {"token": f"canary-friendli-{u}"}, "base_url": "http://127.0.0.1:9/v1"},
               "anthropic": lambda u: {"credentials": {"api_key": f"canary-anthropic-{u}"}, "base_url": "http://127.0.0.1:9"},
               "google": lambda u: {"credentials": {"api_key": f"canary-google-{u}"}, "base_url": "http://127.0.0.1:9"},
               "ollama": lambda u: {"credentials": {"api_key": f"canary-ollama-{u}"}, "base_url": "http://127.0.0.1:9"},
               "openai": lambda u: {"credentials": {"api_key": f"canary-openai-{u}"}, "base_url": self.one.base}}
        said = []
        for vendor, more in own.items():
            for user in ("u1", "u2"):
                try:
                    said.append(self.c.call("configure", user=user, provider=vendor, model="model1", **more(user)))
                except Exception as e:
                    said.append(e.__dict__)
                said += [self.c.call(m, user=user) for m in ("context.get", "status") if self.known(user)]
        said += [self.c.call(m) for m in ("host.stats", "config.explain", "plugin.list", "context.list", "job.list")]
        text = json.dumps(said, default=str) + self.d.text()
        for pid in [self.d.process.pid, *self.d.descendants()]:
            for name in ("cmdline", "environ"):
                try:
                    text += (pathlib.Path("/proc") / str(pid) / name).read_bytes().decode(errors="replace")
                except OSError:
                    pass
        self.assertEqual([k for k in KEYS if k in text], [])
        self.assertEqual({s.key for s in self.one.seen}, {"canary-openai-u1", "canary-openai-u2"}, "the openai users' own, and no other vendor's")

    def known(self, user):
        return user in [c["user"] for c in self.c.call("context.list")["contexts"]]


if __name__ == "__main__":
    unittest.main()
