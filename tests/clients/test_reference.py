"""The reference of the protocol is held to the daemon: methods, members of results, kinds of errors, events."""
import json
import pathlib
import re
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenario"))
sys.path.insert(0, str(HERE.parents[1] / "tools" / "clients" / "python"))
from harness.client import RpcError  # noqa: E402
from harness.daemon import SOURCE, Daemon, run_tdad  # noqa: E402
from harness.upstream import Upstream  # noqa: E402
from tda_client.client import only_reads  # noqa: E402
from test_clients import SCENARIO, yaml  # noqa: E402

MORE = [{"call": "host.stats"}, {"call": "host.methods"}, {"call": "config.explain"}, {"call": "models.list", "params": {"user": "bob"}},
        {"call": "plugin.list"}, {"call": "mcp.list", "params": {"user": "bob"}}, {"call": "job.list"}, {"call": "token.list"}, {"call": "job.run", "params": {"name": "reply_cleanup"}}, {"call": "context.get", "params": {"user": "bob"}},
        {"call": "profile.list", "params": {"user": "bob"}}, {"call": "session.list", "params": {"user": "bob"}}, {"call": "usage.get", "params": {"user": "bob"}}]


class Reference(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Upstream(keys={"key-of-bob"})
        cls.d = Daemon(yaml(cls.up))
        cls.reference = cls.d.client.call("host.methods")
        cls.methods = {m["name"]: m for m in cls.reference["methods"]}
        cls.kinds = {e["kind"] for e in cls.reference["errors"]}

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()
        cls.up.close()

    def test_every_method_says_what_it_gives_and_how_it_fails(self):
        for name, m in self.methods.items():
            self.assertTrue(m.get("results"), f"{name} has no row in core/route/method_docs.c")
            self.assertLessEqual(set(m["errors"]), self.kinds, name)

    def test_clients_and_daemon_agree_on_what_only_reads(self):
        for name, m in self.methods.items():
            self.assertEqual(m["reads"], only_reads(name), name)

    def test_results_and_errors_are_what_the_reference_says(self):
        told = set()
        anywhere = {"syntax", "limit", "invalid_request", "unknown_method", "unknown_param", "missing_param", "wrong_type", "invalid_param",
                    "user_required", "user_invalid", "busy", "idempotency_conflict", "not_configured"}
        for step in SCENARIO + MORE:
            name, params = step.get("call", "task.submit"), step.get("params", {})
            if step in MORE and name not in self.methods:
                continue
            if "stream" in step:
                params = {"user": params.pop("user"), "method": step["stream"], "params": params}
            self.up.faults = [step["fault"]] if "fault" in step else []
            try:
                result = self.d.client.call(name, **params)
            except RpcError as e:
                self.assertIn(e.kind, self.kinds)
                if name in self.methods:
                    self.assertIn(e.kind, anywhere | set(self.methods[name]["errors"]), name)
                continue
            documented = {w.split("[")[0].split(".")[0] for r in self.methods[name]["results"] for w in r["name"].split(", ")}
            self.assertLessEqual(set(result), documented, name)
            told.add(name)
        elsewhere = {"task.poll", "task.list", "session.get", "session.export", "prompts.list", "prompts.get", "completions.get", "resources.list", "resources.read"}
        self.assertLessEqual({m for m in self.methods if only_reads(m)} - elsewhere, told)

    def test_every_kind_in_the_source_is_explained(self):
        found = set()
        for folder in ("route", "agent", "context", "jobs", "plugin"):
            for path in (SOURCE / "core" / folder).glob("*.c"):
                found |= set(re.findall(r'error_set\([^;"]*?"([a-z0-9_]+)",', path.read_text()))
                found |= set(re.findall(r'missing\(e, "([a-z_]+)"', path.read_text()))
        self.assertGreater(len(found), 60)
        self.assertEqual(found - self.kinds, set(), "to be explained in error_docs of core/route/method_docs.c")

    def test_the_page_holds_it_all(self):
        code, page, _ = run_tdad("--reference", "methods")
        self.assertEqual(code, 0)
        for name, m in self.methods.items():
            self.assertIn(f"\n### {name}\n", page)
            for row in m["params"] + m["results"]:
                self.assertIn(f"| `{row['name']}` | {row['type']}", page)
        for kind in self.kinds:
            self.assertIn(f"| `{kind}` |", page)
        self.assertIn(json.dumps("jsonrpc"), page)


if __name__ == "__main__":
    unittest.main()
