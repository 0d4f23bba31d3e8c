"""`tda plugin new`: for each language whose compiler is here, a folder of each kind is written, built with its own Makefile against an installed tree, answers
from its recorded conversation, keeps the contract, and is loaded by a daemon."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenario"))
from harness.daemon import BUILD, Daemon  # noqa: E402

COMPILERS = {"c": "gcc", "cpp": "g++", "rust": "cargo", "go": "go"}
PATH = os.environ["PATH"] + os.pathsep + str(pathlib.Path.home() / ".cargo" / "bin")


@unittest.skipIf("TDA_SANITIZE:STRING=a" in (BUILD / "CMakeCache.txt").read_text(), "plugins of others are built without sanitizers")
class New(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="tda-new-", dir=BUILD))
        cls.prefix = cls.folder / "prefix"
        cls.run_ok("cmake", "--install", BUILD, "--prefix", cls.prefix)
        pc = next(cls.prefix.rglob("tda-plugin-test.pc"))
        cls.env = dict(os.environ, PATH=PATH, PKG_CONFIG_PATH=str(pc.parent), TDA=str(cls.prefix / "bin" / "tda"), GOFLAGS="-mod=mod", GOPROXY="off",
                       GOCACHE=str(cls.folder / "go-cache"), CARGO_NET_OFFLINE="true")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @staticmethod
    def run_ok(*args, **kwargs):
        r = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=280, **kwargs)
        assert r.returncode == 0, f"{args}:\n{r.stdout}{r.stderr}"
        return r.stdout

    def make(self, kind, lang):
        name, folder = f"my-{kind}-{lang}", pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        self.run_ok(self.env["TDA"], "plugin", "new", kind, "--lang", lang, name, "--dir", folder)
        tree = folder / name
        self.assertEqual([p for p in tree.rglob("*") if p.is_file() and "@NAME@" in p.read_text()], [], "names are filled in")
        self.run_ok("make", "-C", tree, env=self.env)
        if lang == "c":
            out = self.run_ok("make", "-C", tree, "test", env=self.env)
            self.assertIn("./run-test", out)
        report = json.loads(self.run_ok(self.env["TDA"], "plugin", "check", f"{name}.so", "--fixtures", "fixtures", "--json", "--fuzz", "1", "--seed", "3", cwd=tree))
        self.assertTrue(report["passed"])
        plugin = tree / f"{name}.so"
        plugin.chmod(0o644)
        return plugin

    def test_each_language_that_is_here(self):
        plugins = []
        for lang, compiler in COMPILERS.items():
            if not shutil.which(compiler, path=PATH):
                print(f"skipped: {lang}, for there is no {compiler}", file=sys.stderr)
                continue
            for kind in ("provider", "adapter"):
                with self.subTest(f"{kind} in {lang}"):
                    plugins.append(self.make(kind, lang))
        self.assertGreaterEqual(len(plugins), 4)
        files = ", ".join(map(str, plugins))
        with Daemon(f"contexts: {{persistence: false}}\nplugins: {{load: [{files}], strict_modes: false}}\n") as d:
            listed = d.client.call("plugin.list")["plugins"]
            self.assertEqual([(p["id"], p["state"]) for p in listed], [(p.stem, "loaded") for p in plugins])

    def test_a_recorded_conversation_that_does_not_fit_is_told(self):
        plugin = self.make("adapter", "c").rename(self.folder / "other.so")
        cases = self.folder / "cases"
        cases.mkdir()
        (cases / "wrong.case").write_text('op call_tool add {"a": 1, "b": 2}\nexpect class AUTH\nexpect sent text="4"\n')
        r = subprocess.run([self.env["TDA"], "plugin", "check", str(plugin), "--fixtures", str(cases)], capture_output=True, text=True)
        self.assertEqual(r.returncode, 1)
        self.assertIn("wrong: the call ended with class OK, wanted is AUTH", r.stdout)
        self.assertIn('wrong: what it sent does not hold "text="4""', r.stdout)
        (cases / "wrong.case").write_text("opp chat\n")
        r = subprocess.run([self.env["TDA"], "plugin", "check", str(plugin), "--fixtures", str(cases)], capture_output=True, text=True)
        self.assertEqual(r.returncode, 2)
        self.assertIn("wrong.case, line 1", r.stderr)

    def test_make_says_what_to_do_when_the_interface_is_not_installed(self):
        for lang in ("c", "cpp", "go"):  # Rust's has the interface's structs in the folder
            for kind in ("provider", "adapter"):
                name = f"lost-{kind}-{lang}"
                self.run_ok(self.env["TDA"], "plugin", "new", kind, "--lang", lang, name, "--dir", self.folder)
                env = dict(self.env, PKG_CONFIG_PATH="", PKG_CONFIG_LIBDIR=str(self.folder))
                r = subprocess.run(["make", "-C", str(self.folder / name)], capture_output=True, text=True, env=env)
                self.assertEqual(r.returncode, 2, name)
                self.assertIn("pkg-config does not find tda-plugin: install tda, or PKG_CONFIG_PATH=", r.stderr)

    def test_wrong_usage(self):
        for args, words in ((["provider", "--lang", "cobol", "x"], "--lang wants"), (["oracle", "--lang", "c", "x"], "provider or adapter"),
                            (["provider", "--lang", "c", "Bad Name"], "becomes the plugin's id"), (["provider", "--lang", "c"], "becomes the plugin's id")):
            r = subprocess.run([self.env["TDA"], "plugin", "new", *args], capture_output=True, text=True, cwd=self.folder)
            self.assertEqual(r.returncode, 2, args)
            self.assertIn(words, r.stderr)
        (self.folder / "taken").mkdir()
        r = subprocess.run([self.env["TDA"], "plugin", "new", "provider", "--lang", "c", "taken", "--dir", str(self.folder)], capture_output=True, text=True)
        self.assertEqual(r.returncode, 2)
        self.assertIn("exists", r.stderr)


if __name__ == "__main__":
    unittest.main()
