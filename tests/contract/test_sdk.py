"""The SDK as others get it: headers alone in every dialect, an installed tree, a plugin built out of it, and plugins that break the contract (acceptance
line 47): each refused by name with the reason while the others load and answer."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenario"))
from harness.daemon import BUILD, SOURCE, Daemon, until  # noqa: E402

BASE = ["-shared", "-fPIC", "-fvisibility=hidden", "-I", str(SOURCE / "include")]


def run(*args, **kwargs):
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kwargs)
    assert r.returncode == 0, f"{args}:\n{r.stdout}{r.stderr}"
    return r.stdout


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tda-sdk-", dir=BUILD))

    def tearDown(self):
        shutil.rmtree(self.folder)

    def build(self, name, *defines):
        out = self.folder / f"{name}.so"
        run("cc", *BASE, *[f"-D{d}" for d in defines], HERE / "broken" / "broken.c", "-o", out)
        out.chmod(0o644)
        return out


class Headers(Folder):
    def test_each_compiles_alone_in_every_dialect(self):
        compilers = [("gcc", "g++")] + ([("clang", "clang++")] if shutil.which("clang") else [])
        for header in sorted((SOURCE / "include" / "tda").glob("*.h")):
            for c, cxx in compilers:
                for std in ("c11", "c17"):
                    unit = self.folder / "alone.c"
                    unit.write_text(f'#include "tda/{header.name}"\n')
                    run(c, f"-std={std}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I", SOURCE / "include", unit)
                for std in ("c++11", "c++14", "c++17", "c++20"):
                    unit = self.folder / "alone.cc"
                    unit.write_text(f'#include "tda/{header.name}"\n')
                    run(cxx, f"-std={std}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I", SOURCE / "include", unit)


class Installed(Folder):
    def test_a_plugin_is_built_from_an_installed_tree_in_two_ways(self):
        prefix = self.folder / "prefix"
        run("cmake", "--install", BUILD, "--prefix", prefix)
        pc = next(prefix.rglob("tda-plugin.pc"))
        env = dict(os.environ, PKG_CONFIG_PATH=str(pc.parent))
        cflags = run("pkg-config", f"--define-variable=prefix={prefix}", "--cflags", "tda-plugin", env=env).split()
        self.assertTrue(any(str(prefix) in f for f in cflags), cflags)
        one_liner = self.folder / "one.so"
        run("cc", "-shared", "-fPIC", "-fvisibility=hidden", *cflags, HERE / "template" / "template.c", "-o", one_liner)
        tree = self.folder / "tree"
        run("cmake", "-S", HERE / "template", "-B", tree, f"-DCMAKE_PREFIX_PATH={prefix}")
        run("cmake", "--build", tree)
        by_cmake = tree / "plugins" / "template.so"
        exported = [line.split()[-1] for line in run("nm", "-D", "--defined-only", by_cmake).splitlines()]
        self.assertEqual(exported, ["tda_plugin_entry_v0"])
        for plugin in (one_liner, by_cmake):
            plugin.chmod(0o644)
            with Daemon(f"contexts: {{persistence: false}}\nplugins: {{load: [{plugin}], strict_modes: false}}\n"
                        "providers: {t: {plugin: template, greeting: howdy}}\n") as d:
                d.client.call("configure", user="u", provider="t", model="m1")
                reply = d.client.call("chat.complete", user="u", messages=[{"role": "user", "content": '{"say": "there"}'}])
                self.assertEqual(reply["text"], "howdy from m1: there")
                self.assertEqual(d.client.call("host.stats")["calls"]["plugin_bugs"], 0)
                self.objects(d)


    def objects(self, d):
        """A plugin's object belongs to a user and a configuration, and is dropped once, after it."""
        def how_many(user):
            return d.client.call("chat.complete", user=user, messages=[{"role": "user", "content": "how many"}])["text"].split(": ")[1]

        d.client.call("configure", user="v", provider="t", model="m2")
        self.assertEqual([how_many("u"), how_many("u"), how_many("v")], ["1 asked, 1 made, 0 dropped", "2 asked, 1 made, 0 dropped", "1 asked, 2 made, 0 dropped"])
        d.client.call("configure", user="u", provider="t", model="m3")
        until(lambda: how_many("u").endswith("3 made, 1 dropped"), what="the drop of the former configuration's object")
        d.client.call("context.delete", user="v")
        until(lambda: how_many("u").endswith("3 made, 2 dropped"), what="the drop of a deleted user's object")


class Broken(Folder):
    def listed(self, *files, more=""):
        yaml = f"contexts: {{persistence: false}}\nplugins: {{load: [offline, {', '.join(map(str, files))}], strict_modes: false{more}}}\n"
        with Daemon(yaml) as d:
            d.client.call("configure", user="u", provider="offline", model="offline-1")
            self.assertIn("no model", d.client.call("chat.complete", user="u", messages=[{"role": "user", "content": "x"}])["text"], "the good one works")
            return d.client.call("plugin.list")["plugins"][1:], d.text()

    def test_47_each_is_refused_by_name_with_the_reason(self):
        wanted = {"OTHER_MINOR": "0.99", "OTHER_MAJOR": "interface 7.", "NO_NOTE": "no note", "BAD_NOTE": "provides", "UNKNOWN_NEED": "tda.telepathy/1",
                  "UNKNOWN_INTERFACE": "tda.oracle/1", "OTHER_ID": "somebody", "NO_ENTRY": "tda_plugin_entry_v0", "ENTRY_REFUSES": "refused",
                  "BOOT_FAILS": "boot", "SMALL_TABLE": "too small", "NO_TABLE": "promises", "BLOCKING": "blocking"}
        files = [self.build(define.lower(), define) for define in wanted]
        listed, log = self.listed(*files)
        for entry, (define, word) in zip(listed, wanted.items()):
            self.assertEqual(entry["state"], "refused", define)
            self.assertIn(word, entry["reason"], define)
            self.assertIn(define.lower(), entry["file"])
        self.assertEqual(log.count("plugin refused"), len(wanted))

    def test_files_that_are_no_plugins(self):
        good = (BUILD / "plugins" / "offline.so").read_bytes()
        files, lengths = [], [0, 1, 63, 64, 512, 4096, len(good) // 4, len(good) // 2]
        for i, n in enumerate(lengths):
            path = self.folder / f"cut{i}.so"
            path.write_bytes(good[:n])
            files.append(path)
        text = self.folder / "text.so"
        text.write_text("hello\n")
        files += [text, self.folder / "missing.so", self.folder, pathlib.Path("/dev/null"), pathlib.Path("/bin/true")]
        listed, _ = self.listed(*files)
        for entry in listed:
            self.assertEqual(entry["state"], "refused", entry)
            self.assertTrue(entry["reason"], entry)

    def test_who_may_have_written_it(self):
        path = self.build("open")
        path.chmod(0o666)
        with Daemon(f"plugins: {{load: [offline, {path}]}}\n", env={"TDA_PLUGINS_STRICT_MODES": "true"}) as d:
            entry = d.client.call("plugin.list")["plugins"][1]
            self.assertIn("written by others", entry["reason"])

    def test_a_pin_that_does_not_fit(self):
        listed, _ = self.listed(self.build("pinned"), more=", sha256: {broken: " + "0" * 64 + "}")
        self.assertIn("sha256", listed[0]["reason"])

    def ask(self, *defines):
        path = self.build("behaves", *defines)
        with Daemon(f"contexts: {{persistence: false}}\nplugins: {{load: [offline, {path}], strict_modes: false}}\n") as d:
            d.client.call("configure", user="u", provider="broken", model="m")
            answers = []
            for _ in range(3):
                try:
                    answers.append(d.client.call("chat.complete", user="u", messages=[{"role": "user", "content": "x"}])["text"])
                except Exception as e:
                    answers.append(e)
            d.client.call("configure", user="v", provider="offline", model="offline-1")
            d.client.call("chat.complete", user="v", messages=[{"role": "user", "content": "x"}])
            calls = lambda: d.client.call("host.stats")["calls"]  # noqa: E731
            until(lambda: calls()["started"] == calls()["dropped"], what="one drop for each start")  # a drop comes after its reply
            return answers, calls()

    def test_misbehaviour_of_a_loaded_one(self):
        answers, stats = self.ask("FORGETS_FINISH")
        self.assertEqual({a.kind for a in answers}, {"protocol"})
        self.assertEqual(stats["plugin_bugs"], 3)
        for define in ("START_FAILS", "START_FAILS_AFTER_FINISH"):
            answers, stats = self.ask(define)
            self.assertEqual({a.kind for a in answers}, {"plugin_failed"}, define)
            self.assertEqual(stats["started"], stats["dropped"], define)

    def test_stale_handles_are_answers(self):
        answers, stats = self.ask()
        self.assertEqual(answers, ["all answers right"] * 3)
        self.assertGreater(stats["stale_uses"], 0)
        self.assertEqual((stats["plugin_bugs"], stats["started"]), (0, stats["dropped"]))


if __name__ == "__main__":
    unittest.main()
