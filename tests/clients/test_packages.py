"""Each client as a stranger gets it: installed, and its example run against a real daemon."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenario"))
from harness.daemon import BUILD, SLOW, SOURCE, Daemon  # noqa: E402
from harness.peers import NODE, need_peers  # noqa: E402

CLIENTS = SOURCE / "tools" / "clients"
SAID = "you said: Who is there?"


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon("contexts: {persistence: false}\n")
        cls.folder = tempfile.TemporaryDirectory(dir="/tmp")
        cls.place = pathlib.Path(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.d.stop()
        cls.folder.cleanup()

    def run_it(self, *command, **more):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.place), "TDA_SOCKET": self.d.url, **more.pop("env", {})}
        r = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=env, timeout=60 * SLOW, **more)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        return r.stdout

    @unittest.skipIf(SLOW > 1, "a program of a stranger's is not built with sanitizers")
    def test_c(self):
        prefix = self.place / "installed"
        self.run_it("cmake", "--install", BUILD, "--prefix", prefix)
        (pc,) = prefix.rglob("tda-client.pc")
        pc.write_text(pc.read_text().replace(pc.read_text().split("\n")[0], f"prefix={prefix}"))
        env = {"PKG_CONFIG_PATH": str(pc.parent), "LD_LIBRARY_PATH": str(pc.parents[1])}
        flags = self.run_it("pkg-config", "--cflags", "--libs", "tda-client", env=env).split()
        self.run_it("cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", CLIENTS / "c" / "example.c", "-o", self.place / "shared", *flags)
        self.assertIn(SAID, self.run_it(self.place / "shared", env=env))
        self.run_it("c++", "-x", "c++", "-fsyntax-only", "-include", "tda/client.h", "/dev/null", *flags)
        static = [next(prefix.rglob("libtda-client.a")) if f == "-ltda-client" else f
                  for f in self.run_it("pkg-config", "--static", "--cflags", "--libs", "tda-client", env=env).split()]
        self.run_it("cc", CLIENTS / "c" / "example.c", "-o", self.place / "static", *static)
        self.assertIn(SAID, self.run_it(self.place / "static"))
        exported = self.run_it("nm", "-D", "--defined-only", next(prefix.rglob("libtda-client.so"))).split("\n")
        self.assertEqual({line.split()[-1] for line in exported if line and not line.split()[-1].startswith("tda_client_")}, set())

    def test_python(self):
        self.assertIn(SAID, self.run_it(sys.executable, CLIENTS / "python" / "example.py", env={"PYTHONPATH": str(CLIENTS / "python"), "PYTHONDONTWRITEBYTECODE": "1"}))
        imported = {line.split()[1].split(".")[0] for path in (CLIENTS / "python" / "tda_client").glob("*.py") for line in path.read_text().split("\n")
                    if line.startswith(("import ", "from ")) and not line.startswith("from .")}
        self.assertLessEqual(imported, set(sys.stdlib_module_names))

    def test_node(self):
        need_peers()
        modules = self.place / "node_modules"
        modules.mkdir()
        (modules / "tda-client").symlink_to(CLIENTS / "node")
        example = self.place / "example.js"
        example.write_text((CLIENTS / "node" / "example.js").read_text())
        (self.place / "package.json").write_text('{"type": "module"}')
        self.assertIn(SAID, self.run_it(NODE, example))
        for path in (CLIENTS / "node" / "lib").glob("*.js"):
            for line in path.read_text().split("\n"):
                if line.startswith("import ") or " from " in line and line.startswith("export"):
                    self.assertRegex(line, r'from "(node:|\./)')


if __name__ == "__main__":
    unittest.main()
