"""`tda plugin check`: our own plugins pass it, and each broken one gets the sentence that helps its author."""
import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ["TDA_BUILD_DIR"])
SOURCE = pathlib.Path(os.environ["TDA_SOURCE_DIR"])
TOOL = BUILD / "bin" / "tda-plugin"
FIXTURES = HERE / "fixtures"
BUILD_LINE = ["cc", "-shared", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-I", str(SOURCE / "include"), "-Wl,-z,now,-z,relro"]
SANITIZED = "fsanitize" in (BUILD / "CMakeCache.txt").read_text() or "TDA_SANITIZE:STRING=a" in (BUILD / "CMakeCache.txt").read_text()


def tool(*args, **kwargs):
    return subprocess.run([str(TOOL), *map(str, args)], capture_output=True, text=True, timeout=280, **kwargs)


def findings(report, severity="failure"):
    return [f["text"] for c in report["cases"] for f in c["findings"] if f["severity"] == severity]


class Ours(unittest.TestCase):
    def test_each_of_our_plugins_keeps_the_contract(self):
        plugins = sorted((BUILD / "plugins").glob("*.so"))
        self.assertGreaterEqual(len(plugins), 3)

        def check(plugin):
            fixtures = FIXTURES / plugin.stem
            more = ["--fixtures", fixtures] if fixtures.is_dir() else []
            return tool("check", plugin, "--json", "--fuzz", "1", "--seed", "1", "--calls", "1000" if SANITIZED else "3000", *more)

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            for plugin, r in zip(plugins, pool.map(check, plugins)):
                with self.subTest(plugin.stem):
                    self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
                    report = json.loads(r.stdout)
                    self.assertTrue(report["passed"])
                    self.assertGreaterEqual(len(report["cases"]), 10)


class Examples(unittest.TestCase):
    def test_the_blocking_provider_keeps_the_contract_too(self):
        with tempfile.TemporaryDirectory(prefix="tda-check-", dir=BUILD) as folder:
            out = pathlib.Path(folder, "sql.so")
            subprocess.run([*BUILD_LINE, str(HERE / "blocking" / "sql.c"), "-o", str(out), "-lsqlite3"], check=True)
            r = tool("check", out, "--calls", "1000")
            self.assertEqual(r.returncode, 0, r.stdout)


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tda-check-", dir=BUILD))

    def tearDown(self):
        shutil.rmtree(self.folder)

    def build(self, source, *defines, flags=()):
        out = self.folder / f"{'-'.join(defines).lower() or 'good'}.so"
        r = subprocess.run([*BUILD_LINE, *flags, *[f"-D{d}" for d in defines], str(HERE / "broken" / source), "-o", str(out)], capture_output=True, text=True)
        self.assertEqual(r.returncode, 0, r.stderr)
        return out


class Broken(Folder):
    LOADED = {
        "LEAKS": "leaks 1",
        "LEAKS_FD": "file descriptors open",
        "BLOCKS": "blocks its loop: start took",
        "BLOCKS_FOR_EVER": "no return within",
        "STARTS_THREAD": "starts threads",
        "STARTS_THREAD_AT_BOOT": "starts threads while it is loaded",
        "CALLS_EXIT": "ends the process with exit code 3 (in its start",
        "SEGFAULTS": "crashes with signal 11",
        "CHANGES_ENV": "changes the environment (MISBEHAVES)",
        "CHANGES_SIGNAL": "changes what happens at",
        "CHANGES_CWD": "changes the current folder to /tmp",
        "USES_AFTER_DROP": "uses a handle after its drop, or one that never was, in host->state",
        "SHARES_STATICS": "uses a handle of another loop's thread",
        "ASKS_UNDECLARED": "asks for the setting \"base_url\", which its note does not declare",
        "ASKS_SECRET": "asks for the secret \"api_key\"",
        "FOREIGN_HOST": "asks for https://elsewhere.example.org:443, which is neither",
        "KEEPS_POINTER": "lent to it for one callback only",
        "DEPENDS_ON_CUTS": "what it says must not depend on that",
        "NEVER_FINISHES": "never finishes",
        "EMITS_AFTER_FINISH": "emits an event after finish",
        "FINISHES_TWICE": "finishes a call twice",
        "CLAIMS_EVERYTHING": "offers a table for the interface \"tda.unknown/1\", which does not exist",
        "IGNORES_SIZE": "a host table that ends before host->",
        "EXTRA_EXPORT": "exports \"helper\" besides its entry",
    }
    REFUSED = {
        "OTHER_MINOR": "built for interface 0.99",
        "OTHER_MAJOR": "built for interface 7.",
        "NO_NOTE": "has no note",
        "BAD_NOTE": "provides",
        "NO_ENTRY": "does not export tda_plugin_entry_v0",
        "UNKNOWN_NEED": "tda.telepathy/1",
        "UNKNOWN_INTERFACE": "tda.oracle/1",
        "OTHER_ID": "somebody",
        "ENTRY_REFUSES": "entry refused",
        "BOOT_FAILS": "boot failed",
        "SMALL_TABLE": "too small",
        "NO_TABLE": "promises",
        "FORGETS_FINISH": "never finishes",
        "START_FAILS": "its start failed",
    }

    def check(self, path, *more):
        r = tool("check", path, "--json", "--calls", "300", "--deadline", "100", *more)
        self.assertIn(r.returncode, (0, 1), r.stdout + r.stderr)
        report = json.loads(r.stdout)
        self.assertEqual(report["passed"], r.returncode == 0)
        return report

    def test_the_same_source_without_a_fault_passes(self):
        report = self.check(self.build("misbehaves.c"))
        self.assertEqual(findings(report), [])

    def test_each_fault_gets_its_sentence(self):
        rows = [("misbehaves.c", *row) for row in self.LOADED.items()] + [("broken.c", *row) for row in self.REFUSED.items()]
        if SANITIZED:  # the sanitizer has words of its own for these
            rows = [row for row in rows if row[1] not in ("LEAKS", "SEGFAULTS", "KEEPS_POINTER")][::4]  # and is slow

        def tell(row):
            source, define, _ = row
            return findings(self.check(self.build(source, define), *(["--deadline", "2"] if "EVER" in define else [])))

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for (_, define, words), told in zip(rows, pool.map(tell, rows)):
                with self.subTest(define):
                    self.assertTrue(any(words in t for t in told), f"{define}: {told}")

    def test_how_it_was_linked(self):
        for flags, words in ((["-Wl,-rpath,/tmp/x"], "/tmp/x"), (["-Wl,-z,execstack"], "-z noexecstack")):
            told = findings(self.check(self.build("misbehaves.c", flags=flags)))
            self.assertTrue(any(words in t for t in told), told)
        report = self.check(self.build("misbehaves.c", flags=["-Wl,-z,lazy,-z,norelro"]))
        self.assertTrue(report["passed"])
        self.assertTrue(any("-z now" in t for t in findings(report, "warning")), report)

    def test_fuzzing_says_how_to_see_it_again(self):
        path = self.build("misbehaves.c", "DEPENDS_ON_CUTS")
        told = [t for t in findings(self.check(path, "--fuzz", "5", "--seed", "7")) if "--reproduce" in t]
        self.assertTrue(told)
        seed = told[0].split("--reproduce ")[1].split()[0]
        again = tool("check", path, "--reproduce", seed)
        self.assertEqual(again.returncode, 1)
        self.assertIn(seed, again.stdout)


class Outputs(Folder):
    def test_for_people_and_for_programs(self):
        good, bad = self.build("misbehaves.c"), self.build("misbehaves.c", "FINISHES_TWICE")
        r = tool("check", bad, "--calls", "100")
        self.assertEqual(r.returncode, 1)
        self.assertIn("finishes a call twice", r.stdout)
        self.assertIn("it does not keep the contract", r.stdout)
        r = tool("check", bad, "--calls", "100", "--tap")
        self.assertTrue(r.stdout.startswith("TAP version 13\n1.."), r.stdout)
        self.assertIn("not ok", r.stdout)
        r = tool("check", good, "--calls", "100", "--tap")
        self.assertNotIn("not ok", r.stdout)
        self.assertEqual(tool("check", self.folder / "none.so").returncode, 2)
        self.assertEqual(tool("check", "/bin/true").returncode, 1)
        self.assertEqual(tool("check").returncode, 2)
        self.assertEqual(tool("chekc", good).returncode, 2)

    def test_info_and_list_execute_nothing(self):
        path = self.build("misbehaves.c", "CALLS_EXIT")
        out = json.loads(tool("info", path, "--json").stdout)
        self.assertEqual((out["id"], out["provides"], out["hosts"]), ("misbehaves", ["tda.provider/1"], ["https://api.example.com"]))
        self.assertEqual({c["name"]: c["type"] for c in out["config"]}, {"base_url": "url", "api_key": "secret"})
        self.assertIn("api_key", tool("info", path).stdout)
        (self.folder / "text.so").write_text("hello")
        listed = json.loads(tool("list", "--json", "--dir", self.folder).stdout)
        self.assertEqual([(e.get("id"), e["fits"]) for e in listed], [("misbehaves", True), (None, False)])
        self.assertIn("no ELF", listed[1]["reason"])
        self.assertIn("openai", tool("list", "--dir", BUILD / "plugins").stdout)

    def test_bench_measures(self):
        out = json.loads(tool("bench", BUILD / "plugins" / "openai.so", "--json").stdout.splitlines()[0])
        self.assertGreater(out["events_per_s"], 1000)
        if not SANITIZED:  # which counts memory its own way
            self.assertGreater(out["bytes_per_call"], 0)

    def test_the_client_hands_over(self):
        r = subprocess.run([str(BUILD / "bin" / "tda"), "plugin", "info", str(BUILD / "plugins" / "openai.so")], capture_output=True, text=True)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("openai", r.stdout)


if __name__ == "__main__":
    unittest.main()
