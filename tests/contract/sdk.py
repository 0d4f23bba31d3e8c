"""What the contract's tests share: a folder for each test, and plugins compiled into it as their authors would."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenario"))
from harness.daemon import BUILD, SOURCE  # noqa: E402

BASE = ["-shared", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused", "-Werror", "-I", str(SOURCE / "include")]


def run(*args, **kwargs):
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kwargs)
    assert r.returncode == 0, f"{args}:\n{r.stdout}{r.stderr}"
    return r.stdout


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tda-sdk-", dir=BUILD))

    def tearDown(self):
        shutil.rmtree(self.folder)

    def compile(self, source, name, *options):
        """tests/contract/SOURCE as NAME.so in this test's folder; put in place as a whole, as an installation is."""
        out = self.folder / f"{name}.so"
        fresh = self.folder / f"{name}.so.new"
        run("cc", *BASE, HERE / source, "-o", fresh, *options)
        fresh.chmod(0o644)
        fresh.rename(out)
        return out
