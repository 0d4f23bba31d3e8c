"""The context map as its callers see it: acceptance lines 1 to 8."""
import json
import pathlib
import tempfile
import unittest

from harness.client import RpcError
from harness.daemon import Daemon, run_tdad, until

PER_USER = "contexts: {persistence: false}\n"
SHARED = "contexts: {persistence: true}\n"
VALUES = {
    "provider": "offline",
    "model": "offline-1",
    "aws_region": "eu-west-1",
    "azure_deployment_details": {"endpoint": "https://x.example", "deployment_name": "d", "api_version": "v"},
    "friendli_details": {"endpoint_url": "https://y.example", "models_path": "/v1/models"},
    "model_provider_in_profile": "anthropic",
    "mcp_server_name": "shop",
    "mcp_server_id": "id-1",
    "server_configs": {"shop": {}},
}
LIVE = ("llm_instance", "mcp_client")


class PerUser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon(PER_USER)
        cls.c = cls.d.client

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()

    def count(self):
        return self.c.call("context.list")["count"]

    def test_01_reading_an_unknown_user_creates_nothing(self):
        before = self.count()
        for method in ("context.get", "tools.list", "agent.run"):
            params = {"input": "hi"} if method == "agent.run" else {}
            self.assertEqual(self.c.error(method, user="nobody", **params).kind, "not_configured")
        self.assertFalse(self.c.call("status", user="nobody")["configured"])
        self.assertEqual(self.count(), before)

    def test_02_a_new_context_is_empty(self):
        self.c.call("context.set", user="new", fields={})
        context = self.c.call("context.get", user="new")["context"]
        self.assertEqual(context.pop("server_configs"), {})
        self.assertEqual(context.pop("credentials"), [])
        self.assertEqual(context.pop("epoch"), 1)
        self.assertEqual(set(context), set(VALUES) - {"server_configs"} | set(LIVE))
        self.assertEqual(set(context.values()), {None})
        idle = [x["idle_s"] for x in self.c.call("context.list")["contexts"] if x["user"] == "new"]
        self.assertEqual(idle, [0])

    def test_03_every_field_is_read_back_by_its_user_alone(self):
        self.c.call("context.set", user="u2", fields={})
        for field, value in VALUES.items():
            self.c.call("context.set", user="u1", fields={field: value})
            self.assertEqual(self.c.call("context.get", user="u1", field=field)["value"], value, field)
            empty = {} if field == "server_configs" else None
            self.assertEqual(self.c.call("context.get", user="u2", field=field)["value"], empty, field)
            self.c.call("context.set", user="u1", fields={field: None})
            self.assertEqual(self.c.call("context.get", user="u1", field=field)["value"], empty, field)
        for field in LIVE:
            self.assertEqual(self.c.error("context.get", user="u1", field=field).kind, "live_field")
            self.assertEqual(self.c.error("context.set", user="u1", fields={field: "x"}).kind, "live_field")

    def test_04_a_user_is_required(self):
        for method in ("context.get", "context.delete", "status", "agent.run", "tools.list", "configure"):
            e = self.c.error(method)
            self.assertEqual((e.kind, e.code), ("user_required", -32602), method)

    def test_07_user_ids_are_refused_never_altered(self):
        before = self.count()
        for user in ("../a", "al/ice", "", "a..b", "x" * 10000, "a\0b", "ü", "-a", "a b", "a\nb", ".a"):
            e = self.c.error("context.set", user=user, fields={})
            self.assertEqual(e.kind, "user_invalid", repr(user))
        for user in (7, None, ["a"], {}):
            self.c.error("context.set", user=user, fields={})
        self.assertEqual(self.count(), before)
        for user in ("a", "A.b_c@d:e-f", "9", "x" * 128):
            self.c.call("context.set", user=user, fields={})
            self.c.call("context.delete", user=user)

    def test_fields_are_checked(self):
        self.c.call("context.set", user="v", fields={"model": "m"})
        for fields, kind in (({"modell": "x"}, "unknown_field"), ({"model": 7}, "wrong_type"), ({"model": ""}, "invalid_value"),
                             ({"server_configs": []}, "wrong_type"), ({"server_configs": {"x": {"command": ["sh"]}}}, "command_refused"),
                             ({"azure_deployment_details": {"nope": "x"}}, "invalid_value"), ({"model": "a\nb"}, "invalid_value"),
                             ({"model": "x" * 5000}, "invalid_value"), ({"provider": "nobody"}, "unknown_provider")):
            self.assertEqual(self.c.error("context.set", user="v", fields={"aws_region": "changed", **fields}).kind, kind, str(fields)[:80])
        self.assertEqual(self.c.call("context.get", user="v")["context"]["model"], "m")
        self.assertIsNone(self.c.call("context.get", user="v")["context"]["aws_region"], "a set that fails sets nothing")

    def test_secrets_are_write_only_and_end_with_their_provider(self):
        self.c.call("context.set", user="s", fields={"friendli_details": {"token": "canary-token-123", "endpoint_url": "https://y.example"}})
        shown = json.dumps(self.c.call("context.get", user="s"))
        self.assertNotIn("canary-token-123", shown)
        self.assertEqual(self.c.call("context.get", user="s")["context"]["credentials"], ["token"])
        self.c.call("context.set", user="s", fields={"friendli_details": {"endpoint_url": "https://elsewhere.example"}})
        self.assertEqual(self.c.call("context.get", user="s")["context"]["credentials"], [], "the address changed, the token must go")


class Limits(unittest.TestCase):
    def test_08_the_cap_on_users(self):
        with Daemon("contexts: {persistence: false, max_users: 3}\n") as d:
            for user in "abc":
                d.client.call("context.set", user=user, fields={"model": user})
            e = d.client.error("context.set", user="d", fields={})
            self.assertEqual((e.kind, e.data["retry_ms"]), ("too_many_users", 1000))
            for user in "abc":
                self.assertEqual(d.client.call("context.get", user=user, field="model")["value"], user)
                d.client.call("context.set", user=user, fields={"model": user * 2})
            d.client.call("context.delete", user="a")
            d.client.call("context.set", user="d", fields={})
            self.assertEqual(d.client.call("context.list")["count"], 3)


class Shared(unittest.TestCase):
    def test_05_shared_mode_has_one_context(self):
        with Daemon(SHARED) as d:
            c = d.client
            c.call("context.set", fields={"model": "m1"})
            c.call("context.set", user="alice", fields={"aws_region": "eu"})
            for user in ({}, {"user": "alice"}, {"user": "bob"}):
                context = c.call("context.get", **user)["context"]
                self.assertEqual((context["model"], context["aws_region"]), ("m1", "eu"))
            self.assertEqual(c.call("context.list")["count"], 0, "no entries per user")
            self.assertEqual(c.call("context.list")["mode"], "shared")

    def test_the_shared_context_outlives_the_daemon_without_its_secrets(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "context.json"
            env = {"TDA_CONTEXT_FILE": str(path)}
            with Daemon(SHARED, env=env) as d:
                d.client.call("context.set", fields={"provider": "offline", "model": "kept", "server_configs": {"s": {}}})
                d.client.call("context.set", fields={"friendli_details": {"token": "canary-tok-1", "endpoint_url": "https://e.example"}})
                until(path.exists)
            self.assertNotIn("canary", path.read_text())
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            with Daemon(SHARED, env=env) as d:
                context = d.client.call("context.get")["context"]
                self.assertEqual((context["model"], context["server_configs"], context["credentials"]), ("kept", {"s": {}}, []))
                self.assertEqual(context["friendli_details"], {"endpoint_url": "https://e.example"})
            whole = path.read_text()
            for torn in ("", "{", whole[:len(whole) // 2], '{"version": 1}', '{"version": 1, "fields": {"provider": 7}}'):
                path.write_text(torn)
                with Daemon(SHARED, env=env) as d:
                    self.assertEqual(d.client.error("context.get").kind, "not_configured", torn)
                    aside = d.client.call("host.info")["damaged_context_kept_as"]
                    self.assertRegex(aside, r"context\.json\.damaged-\d{4}-")
                    self.assertEqual(pathlib.Path(aside).read_text(), torn, "kept as it was")
                    self.assertIn("damaged", d.text())
                    d.client.call("context.set", fields={"provider": "offline", "model": "anew"})
                    until(path.exists)
                self.assertEqual(pathlib.Path(aside).read_text(), torn)
            for later in ('{"version": 9}', '{"version": 2, "fields": {}}'):
                path.write_text(later)
                code, _, err = run_tdad("--set", f"listen=ipc://{folder}/s.sock", env={**env, "TDA_CONFIGURATION_PERSISTENCE": "true"})
                self.assertEqual(code, 1)
                self.assertIn(str(path), err)
                self.assertIn("later version", err)
                self.assertEqual(path.read_text(), later)
            path.unlink()
            with Daemon(PER_USER, env=env) as d:
                d.client.call("context.set", user="a", fields={"model": "m"})
            self.assertFalse(path.exists(), "per-user contexts are in memory only")

    def test_06_per_user_mode_leaves_the_shared_context_alone(self):
        with Daemon(PER_USER + "log: {level: debug}\n") as d:
            c = d.client
            before = c.error("context.get").kind
            c.call("context.set", user="alice", fields=VALUES)
            self.assertEqual(c.error("context.get").kind, before)

    def test_mirroring_copies_labels_and_never_secrets(self):
        with Daemon("contexts: {persistence: false, mirror_to_shared: true}\n") as d:
            c = d.client
            c.call("context.set", user="alice", fields={"provider": "offline", "model": "m", "friendli_details": {"token": "canary-xyz-1"}})
            shared = c.call("context.get")["context"]
            self.assertEqual((shared["provider"], shared["model"], shared["credentials"]), ("offline", "m", []))


if __name__ == "__main__":
    unittest.main()
