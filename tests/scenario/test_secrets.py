"""Where a secret could be read that nobody should read it: /proc, cores, children, the log, errors. Asserted from outside."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from harness.daemon import BIN, SLOW, Daemon, run_tdad, until
from harness.upstream import Upstream

SERVER = pathlib.Path(__file__).resolve().parent / "harness" / "mcp_server.py"
NOBODY = 65534
KEYS = {"OPENAI_API_KEY": "canary-openai-1", "AWS_SECRET_ACCESS_KEY": "canary-amazon-2", "MY_DATABASE": "canary-database-3"}
ONE = f"mcp_servers: {{one: {{command: [{sys.executable}, {SERVER}], env: {{DATABASE: \"${{env:MY_DATABASE}}\"}}}}}}\n"


def proc(pid, name):
    return pathlib.Path(f"/proc/{pid}/{name}").read_bytes()


class Process(unittest.TestCase):
    def test_the_environment_of_host_and_launcher_holds_no_key(self):
        with Daemon("contexts: {persistence: true}\n" + ONE, env=KEYS) as d:
            d.client.call("configure", provider="offline", model="offline-1", mcp_server={"name": "one"})
            child = json.loads(d.client.call("tools.call", name="whoami")["content"][0]["text"])
            self.assertEqual(child["env"]["DATABASE"], "canary-database-3", "what the operator gives a server, it gets")
            self.assertNotIn("canary", json.dumps({k: v for k, v in child["env"].items() if k != "DATABASE"}))
            if os.geteuid() != 0:
                self.assertRaises(PermissionError, proc, d.process.pid, "environ")
                return
            environ = proc(d.process.pid, "environ")
            self.assertGreater(len(environ), 100, "its place is there")
            self.assertEqual(environ.strip(b"\0"), b"", "and nothing is in it")
            (launcher,) = [p for p in d.descendants() if b"tda-launcher" in proc(p, "cmdline")]
            self.assertEqual([e.split(b"=")[0] for e in proc(launcher, "environ").split(b"\0") if e], [b"PATH"])
            explained = {row["path"]: row for row in json.loads(json.dumps(d.client.call("config.explain")["settings"]))}
            self.assertEqual(explained["mcp_servers.one.env.DATABASE"]["value"], "(set)")

    def test_what_was_in_the_environment_still_counts(self):
        with Upstream(keys={"canary-openai-1"}) as up, Daemon("plugins: {load: [offline]}\n", env={**KEYS, "OPENAI_BASE_URL": up.base}) as d:
            d.client.call("plugin.load", name="openai")  # long after the start
            d.client.call("configure", provider="openai", model="model1")
            d.client.call("chat.complete", messages=[{"role": "user", "content": "x"}])
            self.assertEqual({s.key for s in up.seen}, {"canary-openai-1"})

    @unittest.skipUnless(os.geteuid() == 0, "only root can start it as another user and look at it as that user")
    def test_another_process_of_the_same_user_reads_neither_environment_nor_memory(self):
        become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        chown = ["sh", "-c", f'chown -R {NOBODY} "$(dirname "$2")" && exec {" ".join(become)} "$0" "$@"']
        with Daemon(env=KEYS, under=chown, wait=False) as d:
            until(lambda: " ready" in d.text() or d.process.poll() is not None, 20, "it is ready")
            self.assertIn(" ready", d.text())
            pids = [d.process.pid, *d.descendants()]
            self.assertEqual(len(pids), 2)
            for pid in pids:
                self.assertIn(f"Uid:\t{NOBODY}".encode(), proc(pid, "status"))
                for name in ("environ", "mem", "maps"):
                    r = subprocess.run([*become, "head", "-c", "1", f"/proc/{pid}/{name}"], capture_output=True, text=True)
                    self.assertIn("Permission denied", r.stderr, f"{pid} {name}")
            own = subprocess.run([*become, "head", "-c", "1", "/proc/self/environ"], capture_output=True, text=True)
            self.assertEqual(own.returncode, 0, "whereas an ordinary process of that user can be read")

    def test_an_abort_leaves_no_core(self):
        with tempfile.TemporaryDirectory() as folder:
            dumps = ["sh", "-c", f'cd {folder} && ulimit -c unlimited && exec "$0" "$@"']
            control = subprocess.Popen([*dumps, "sleep", "100"])
            until(lambda: b"sleep" == proc(control.pid, "comm").strip(), what="it has become sleep")
            control.send_signal(signal.SIGABRT)
            if not os.waitpid(control.pid, 0)[1] & 0x80:
                self.skipTest("no process leaves a core here")
            control.returncode = 0
            for path in pathlib.Path(folder).iterdir():
                path.unlink()
            d = Daemon(env=KEYS, under=dumps)
            d.client.close()
            d.stopped = True
            d.process.send_signal(signal.SIGABRT)
            status = os.waitpid(d.process.pid, 0)[1]
            d.process.returncode = 0
            d.log.close()
            shutil.rmtree(d.dir)
            self.assertEqual((os.WTERMSIG(status), status & 0x80), (signal.SIGABRT, 0))
            self.assertEqual(list(pathlib.Path(folder).iterdir()), [])


class Credentials(unittest.TestCase):
    """${credential:NAME}: what systemd's LoadCredential= puts into a folder of the service's own."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        (self.folder / "openai").write_text("canary-loaded-5\n")
        self.env = {"CREDENTIALS_DIRECTORY": str(self.folder)}

    def tearDown(self):
        shutil.rmtree(self.folder)

    def test_it_reaches_the_upstream_and_nothing_else(self):
        with Upstream(keys={"canary-loaded-5"}) as up:
            yaml = f"contexts: {{persistence: true}}\nproviders:\n  openai: {{base_url: \"{up.base}\", api_key: \"${{credential:openai}}\"}}\n"
            with Daemon(yaml, env=self.env) as d:
                d.client.call("configure", provider="openai", model="model1")
                d.client.call("chat.complete", messages=[{"role": "user", "content": "x"}])
                self.assertEqual({s.key for s in up.seen}, {"canary-loaded-5"})
                self.assertNotIn("canary", json.dumps(d.client.call("config.explain")) + d.text())

    def test_profiles_take_it_too(self):
        yaml = "profiles: {A: {provider: openai, model: m, credentials: {api_key: '${credential:openai}'}}}"
        (self.folder / "c.yaml").write_text(yaml)
        code, out, err = run_tdad("--config", str(self.folder / "c.yaml"), "--explain", env=self.env)
        self.assertEqual(code, 0, err)
        self.assertRegex(out, r"profiles\.A\.credentials\.api_key +\(set\)")

    def refused(self, name, env):
        (self.folder / "c.yaml").write_text(f"providers: {{openai: {{api_key: \"${{credential:{name}}}\"}}}}\n")
        code, out, err = run_tdad("--config", str(self.folder / "c.yaml"), "--check", env=env)
        self.assertEqual((code, out), (78, ""), err)
        self.assertIn("providers.openai.api_key: ${credential:", err)
        return err

    def test_what_is_missing_is_said(self):
        self.assertIn("LoadCredential=openai:", self.refused("openai", {}))
        self.assertIn("No such file", self.refused("nope", self.env))
        for name in ("../openai", ".openai", "", "/etc/hostname"):
            self.assertIn("as LoadCredential= has it", self.refused(name, self.env))


class Said(unittest.TestCase):
    """Upstreams and servers that repeat the secret that they were given: it ends at the redactor, whoever's it is."""

    def ask_all(self, d, **user):
        heard = []
        for call in (dict(method="configure", provider="Fake", model="model1"), dict(method="chat.complete", messages=[{"role": "user", "content": "x"}]),
                     dict(method="models.list", provider="Fake"), dict(method="agent.run", input="x")):
            try:
                heard.append(d.client.call(call.pop("method"), **call, **user))
            except Exception as e:
                heard.append(e.__dict__)
        return json.dumps(heard, default=str)

    def check(self, yaml, env, secret, **user):
        with Upstream(keys=set()) as up:  # refuses every key with "Incorrect API key provided: KEY"
            with Daemon("log: {level: debug}\n" + yaml.format(base=up.base), env=env) as d:
                heard = self.ask_all(d, **user)
                self.assertEqual({s.key for s in up.seen}, {secret}, "it was given")
                self.assertIn("[redacted]", heard)
                self.assertNotIn(secret, heard)
                self.assertNotIn(secret, d.text())

    def test_the_operators_key_of_the_file(self):
        self.check("contexts: {{persistence: true}}\nproviders: {{Fake: {{plugin: openai, base_url: \"{base}\", api_key: canary-file-key-6}}}}\n", {}, "canary-file-key-6")

    def test_the_operators_key_lent_to_a_user(self):
        self.check("contexts: {{persistence: false, users_may_use_host_keys: true}}\n"
                   "providers: {{Fake: {{plugin: openai, base_url: \"{base}\", api_key: canary-file-key-6}}}}\n", {}, "canary-file-key-6", user="u")

    def test_the_operators_key_of_the_environment(self):
        with Upstream(keys=set()) as up:
            with Daemon("contexts: {persistence: true}\nlog: {level: debug}\n", env={"OPENAI_API_KEY": "canary-environment-7", "OPENAI_BASE_URL": up.base}) as d:
                e = d.client.error("configure", provider="openai", model="model1")
                self.assertEqual({s.key for s in up.seen}, {"canary-environment-7"}, "it was given")
                self.assertIn("[redacted]", e.message)
                self.assertNotIn("canary", str(e.__dict__) + d.text())

    def test_a_servers_secret_that_it_writes_to_its_stderr(self):
        with Daemon("contexts: {persistence: true}\nlog: {level: debug}\n" + ONE.replace(str(SERVER), f"{SERVER}, tells"), env=KEYS) as d:
            e = d.client.error("configure", provider="offline", model="offline-1", mcp_server={"name": "one"})
            self.assertIn("cannot connect as [redacted]", e.message)
            self.assertNotIn("canary", str(e.__dict__))
            self.assertIn("cannot connect as [redacted]", d.text())
            self.assertNotIn("canary", d.text())


if __name__ == "__main__":
    unittest.main()
