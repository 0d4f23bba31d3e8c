"""Configuration as operators meet it: acceptance line 37, bad YAML of each kind, --check, --explain, precedence."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from harness.daemon import BIN, Daemon, run_tdad

CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "configs"


def check(text, env=None, *args):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "t.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return run_tdad("--config", str(path), "--check", *args, env=env)


def explain(text, env=None, *args):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "t.yaml"
        path.write_text(text)
        code, out, err = run_tdad("--config", str(path), "--explain=json", *args, env=env)
        assert code == 0, err
        return {row["path"]: row for row in json.loads(out)}


class Yaml(unittest.TestCase):
    def bad(self, text, *words):
        code, out, err = check(text)
        with self.subTest(text=text[:80]):
            self.assertEqual(code, 78, out + err)
            for word in words:
                self.assertIn(word, err)
        self.assertNotIn("Sanitizer", err)
        return err

    def test_each_kind_of_bad_yaml_says_where_and_what(self):
        self.bad("contexts: {persistence: maybe}", "t.yaml:1:25", "contexts.persistence", "true, false")
        self.bad("contexts:\n  persistance: true", "t.yaml:2:16", "did you mean contexts.persistence")
        self.bad("contextz: {}", "no such setting")
        self.bad("loops: 1.5", "t.yaml:1:8", "0 to 64")
        self.bad("loops: -1", "loops")
        self.bad("loops: 65", "loops")
        self.bad("loops: \"2\"", "quotes")
        self.bad("loops: [1]", "list")
        self.bad("loops:", "no value")
        self.bad("contexts: 7", "map")
        self.bad("limits: {message_bytes: 16MB}", "MiB")
        self.bad("calls: {turn_timeout: 30}", "unit")
        self.bad("log: {level: loud}", "error|warn|info|debug")
        self.bad("a: b: c", "not well-formed YAML")
        self.bad("loops: 1\nloops: 2", "twice", "t.yaml:2:1")
        self.bad("x: &a 1\ny: *a", "aliases")
        self.bad("loops: !!int 1", "tags")
        self.bad("loops: 1\n---\nloops: 2", "one document")
        self.bad("[" * 5000, "deep")
        self.bad("listen: []", "at least one")
        for url in ("ws://x", "ipc://relative", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "tcp://127.0.0.1:x", "tcp://:1", "tls+tcp://h", "wss://h:99999/x", "http://h:1"):
            self.bad(f"listen: ['{url}']", url, "ipc:///absolute/path, and tcp, tls+tcp, ws and wss with HOST:PORT")
        self.bad(b"loops: \xff\xfe\xff", "UTF-8")
        self.bad(b"x" * (2 << 20), "larger")
        self.bad("- a", "map")
        self.bad("mcp_servers: {s: {command: ls}}", "list")
        self.bad("mcp_servers: {s: {}}", "command")
        self.bad("mcp_servers: {s: {command: [ls], url: 'http://x'}}", "not both")
        self.bad("mcp_servers: {s: {command: [ls, '${env:HOME}']}}", "arguments can be seen")
        self.bad("mcp_servers: {s: {command: [ls], env: {A: '${env:NO_SUCH_VARIABLE}'}}}", "not set")
        self.bad("mcp_servers: {s: {command: [ls], env: {A: '${nope}'}}}", "not known")
        self.bad("mcp_servers: {s: {comand: [ls]}}", "did you mean command")
        self.bad("mcp_servers: {s: {command: [ls], era: new}}", "mcp_servers.s.era", "any, legacy", "modern")
        self.bad("mcp_servers: {s: {command: [ls], asks: form}}", "mcp_servers.s.asks", "list")
        self.bad("mcp_servers: {s: {command: [ls], asks: [form, file]}}", "allowed: form, url")
        self.bad("mcp_servers: {s: {command: [ls], share: maybe}}", "mcp_servers.s.share", "true, false")
        self.bad("mcp_servers: {s: {command: [ls], idle_close: 10}}", "mcp_servers.s.idle_close", "unit")
        self.bad("mcp_servers: {s: {command: [ls, '${user_hash}'], share: true}}", "mcp_servers.s", "${user_hash}", "all users")
        self.bad("mcp_servers: {s: {command: [ls], env: {A: 'x${session_hash}'}, share: true}}", "${session_hash}", "all users")
        self.bad("mcp_servers: {s: {command: [ls], stateful: true, share: true}}", "either `share` or `stateful`")
        self.bad("mcp_servers: {s: {command: [ls], asks: [url], share: true}}", "shared server cannot ask")
        self.bad("mcp_servers: {s: {url: 'https://x', oauth: {client_id: c}, share: true}}", "users log in", "client_credentials")
        self.bad("mcp_servers: {s: {command: [ls], bearer: '${env:HOME}'}}", "for a server at a url")
        self.bad("mcp_servers: {s: {url: 'http://x', bearer: plain}}", "mcp_servers.s.bearer", "${env:NAME}")
        self.bad("mcp_servers: {s: {url: 'http://x', headers: {Mcp-Session-Id: x}}}", "mcp_servers.s.headers.Mcp-Session-Id")
        self.bad("mcp_servers: {s: {url: 'http://x', headers: {'a b': x}}}", "not a header")
        self.bad("mcp_servers: {s: {url: 'http://x', headers: {a: \"x\\ny\"}}}", "line breaks")
        self.bad("mcp_servers: {s: {url: 'http://x', headers: {Authorization: x}, bearer: '${env:HOME}'}}", "either the header")
        self.bad("mcp_servers: {s: {url: 'http://x', oauth: {client: x}}}", "did you mean client_id")
        self.bad("mcp_servers: {s: {url: 'http://x', oauth: {client_id: x, client_secret: y}}}", "comes from elsewhere")
        self.bad("mcp_servers: {s: {url: 'http://x', oauth: {grant: client_credentials}}}", "client_id and client_secret")
        self.bad("mcp_servers: {s: {url: 'http://x', oauth: {grant: password}}}", "authorization_code", "client_credentials")

    def test_how_connections_to_a_server_are_kept(self):
        e = explain("mcp: {idle_close: 3m}\nmcp_servers:\n  plain: {command: [ls]}\n  shared: {url: 'http://x', share: true, era: modern, idle_close: 1h}\n"
                    "  own: {command: [ls, '${session_hash}'], asks: []}")
        got = lambda name: [e[f"mcp_servers.{name}.{k}"]["value"] for k in ("era", "asks", "share", "stateful", "idle_close")]
        self.assertEqual(got("plain"), ["any", "none", "false", "false", "3m"])
        self.assertEqual(got("shared"), ["modern", "none", "true", "false", "1h"])
        self.assertEqual(got("own"), ["any", "none", "false", "true", "3m"])
        self.bad("providers: {p: {plugin: openai, base_ulr: 'http://x'}}", "did you mean base_url")
        self.bad("providers: {p: {plugin: openai, base_url: 'nonsense'}}", "url")
        self.bad("providers: {p: {plugin: nothere}}", "plugins.load")
        self.bad("plugins: {sha256: {x: abc}}", "64 hexadecimal")

    def test_a_check_does_not_pass_with_a_plugin_that_would_be_refused(self):
        err = self.bad("plugins: {load: [openai, nothere]}", "nothere.so")
        self.assertIn("1 of its plugins is refused", err)

    def test_all_errors_of_a_file_are_told_at_once(self):
        err = self.bad("loops: x\nlog: {level: y}\nnope: 1\n")
        self.assertEqual(len([l for l in err.splitlines() if "t.yaml:" in l and ": " in l[8:]]), 3, err)

    def test_a_secret_is_never_shown(self):
        rows = explain("providers: {p: {plugin: openai, api_key: canary-1}, q: {plugin: openai, api_key: '${env:K}'}}\n"
                       "mcp_servers: {s: {command: [ls], env: {X: '${env:K}'}}, t: {url: 'http://x', headers: {x-y: '${env:K}'}, "
                       "oauth: {client_id: a, client_secret: '${env:K}'}}, u: {url: 'http://x', bearer: '${env:K}'}}", {"K": "canary-2"})
        self.assertNotIn("canary", json.dumps(rows))
        self.assertEqual(rows["providers.p.api_key"]["value"], "(set)")

    def test_the_shipped_configurations_are_right(self):
        for path in CONFIGS.glob("*.yaml"):
            code, out, err = run_tdad("--config", str(path), "--check", env={"TDA_DEMO_DIR": "/tmp"})
            self.assertEqual(code, 0, f"{path.name}: {err}")

    def test_no_file(self):
        code, _, err = run_tdad("--config", "/nonexistent.yaml", "--check")
        self.assertEqual(code, 78)
        self.assertIn("/nonexistent.yaml", err)


class Environment(unittest.TestCase):
    def test_37_environment_beats_yaml_and_the_command_line_beats_both(self):
        yaml = "maintenance: {context_cleanup: {interval: 60s, max_age: 1h}}\nloops: 1\n"
        rows = explain(yaml)
        self.assertEqual(rows["maintenance.context_cleanup.interval"]["value"], "1m")
        env = {"TDA_USER_CONTEXT_CLEANUP_INTERVAL": "90", "TDA_USER_CONTEXT_MAX_AGE_HOURS": "48", "TDA_LOOPS": "2"}
        rows = explain(yaml, env)
        self.assertEqual([rows["maintenance.context_cleanup." + x]["value"] for x in ("interval", "max_age")], ["90s", "48h"])
        self.assertIn("TDA_LOOPS", rows["loops"]["source"])
        rows = explain(yaml, env, "--set", "loops=3")
        self.assertEqual((rows["loops"]["value"], rows["loops"]["source"]), ("3", "--set"))

    def test_37_every_setting_has_a_variable(self):
        """Each is set to its default, so that the whole table can be set at once and nothing else changes."""
        scalars = {path: row for path, row in explain("").items() if row.get("variable") and path not in ("listen", "plugins.load")}
        self.assertGreater(len(scalars), 80)
        self.assertEqual(len({row["variable"] for row in scalars.values()}), len(scalars))
        bare = {"TDA_USER_CONTEXT_CLEANUP_INTERVAL": "300", "TDA_USER_CONTEXT_MAX_AGE_HOURS": "24"}
        for path, row in explain("", {row["variable"]: bare.get(row["variable"], row["default"]) for row in scalars.values()}).items():
            if path in scalars:
                self.assertEqual(row["source"], f"environment {row['variable']}", path)
        rows = explain("limits: {requests_per_user: 9}\n", {"TDA_LIMITS_REQUESTS_PER_USER": "7"})
        self.assertEqual(rows["limits.requests_per_user"]["value"], "7")

    def test_37_every_bad_value_refuses_to_start_and_names_the_variable(self):
        for variable in ("TDA_USER_CONTEXT_CLEANUP_INTERVAL", "TDA_USER_CONTEXT_MAX_AGE_HOURS", "TDA_MAX_USERS", "TDA_USER_CONFIG_CLEANUP_HOURS"):
            for value in ("0", "-5", "abc", "", "1.5", "99999999999999999999", "1 "):
                code, _, err = run_tdad("--check", env={variable: value})
                self.assertEqual(code, 78, f"{variable}={value!r}")
                self.assertIn(variable, err)
                self.assertIn("allowed", err)
        for variable in ("TDA_CONFIGURATION_PERSISTENCE", "TDA_SESSIONS_FILTER_BY_USER", "TDA_USER_CONFIG_CLEANUP_ENABLED"):
            for value in ("maybe", "", "2", "tru"):
                code, _, err = run_tdad("--check", env={variable: value})
                self.assertEqual((code, variable in err), (78, True), f"{variable}={value!r}: {err}")
            for value in ("true", "FALSE", "yes", "No", "on", "off", "1", "0"):
                self.assertEqual(run_tdad("--check", env={variable: value})[0], 0, f"{variable}={value}")

    def test_old_names_are_taken_and_said(self):
        code, _, err = run_tdad("--check", env={"TDA_USER_CONFIG_CLEANUP_HOURS": "12", "TDA_USER_CONFIG_CLEANUP_ENABLED": "false"})
        self.assertEqual(code, 0)
        self.assertIn("old name", err)
        rows = explain("", {"TDA_USER_CONFIG_CLEANUP_HOURS": "12"})
        self.assertEqual(rows["maintenance.context_cleanup.max_age"]["value"], "12h")

    def test_a_misspelt_variable_is_pointed_out(self):
        _, _, err = run_tdad("--check", env={"TDA_USER_CONTEXT_MAX_AGE_HOUR": "12"})
        self.assertIn("TDA_USER_CONTEXT_MAX_AGE_HOURS", err)

    def test_the_vendors_variables_reach_the_shared_context_only(self):
        env = {"OPENAI_API_KEY": "canary-env-key"}
        with Daemon("contexts: {persistence: false}\n", env=env) as d:
            e = d.client.error("configure", user="u", provider="openai", model="m")
            self.assertEqual(e.kind, "missing_credential")


class CommandLine(unittest.TestCase):
    def test_help_version_and_wrong_usage(self):
        for args, code, word in ((["--help"], 0, "usage"), (["--version"], 0, "0.1"), (["--nope"], 2, "--help"), (["extra"], 2, "extra"),
                                 (["--reference", "settings"], 0, "| loops |"), (["--reference", "methods"], 0, "## agent.run"),
                                 (["--set", "loops"], 2, "PATH=VALUE"), (["--set", "loops=x", "--check"], 78, "--set"),
                                 (["--reference", "x"], 2, "one of settings methods ")):
            got, out, err = run_tdad(*args)
            self.assertEqual(got, code, args)
            self.assertIn(word, out + err)

    def test_a_second_daemon_on_the_same_socket_is_refused_and_a_stale_one_is_taken_over(self):
        with Daemon("") as d:
            code, _, err = run_tdad("--set", f"listen={d.url}")
            self.assertEqual(code, 1)
            self.assertIn("another", err)
            self.assertEqual(d.client.call("host.ping"), {"pong": True})
            mode = os.stat(d.url[len("ipc://"):]).st_mode & 0o777
            self.assertEqual(mode, 0o600)
        d = Daemon("")
        path = d.url[len("ipc://"):]
        d.process.kill()
        d.process.wait()
        self.assertTrue(os.path.exists(path))
        p = subprocess.Popen([str(BIN / "tdad"), "--set", f"listen={d.url}"], env=dict(os.environ, TDA_SESSIONS_PATH="none", TDA_PLUGIN_DIR=str(BIN.parent / "plugins")),
                             stderr=subprocess.DEVNULL)
        d._client = None
        d.process = p
        d.ready()
        d.stop()

    def test_what_is_not_encrypted_is_bound_to_loopback_only(self):
        for url in ("tcp://0.0.0.0:0", "tcp://*:7700", "tcp://192.0.2.1:7700", "ws://*:7700/tda"):
            code, _, err = run_tdad("--set", f"listen={url}")
            self.assertEqual(code, 1, url)
            self.assertIn("would cross the network readable", err)
            self.assertIn("tls+tcp", err)


if __name__ == "__main__":
    unittest.main()
