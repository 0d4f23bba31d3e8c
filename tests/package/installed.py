"""The packages, made from this build and unpacked into a folder: what the tests of this folder look at."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scenario"))
from harness.daemon import BUILD, SOURCE  # noqa: E402

IS_USR = "CMAKE_INSTALL_PREFIX:PATH=/usr\n" in (BUILD / "CMakeCache.txt").read_text()


def run(*args, code=0, **kwargs):
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=200, **kwargs)
    assert r.returncode == code, f"{args}: {r.returncode}\n{r.stdout}{r.stderr}"
    return r.stdout + r.stderr


@unittest.skipUnless(IS_USR, "packages are made for /usr: cmake -DCMAKE_INSTALL_PREFIX=/usr")
class Installed(unittest.TestCase):
    """cls.root has all packages unpacked, cls.debs their files by name, cls.home a folder for what is made."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="tda-package-"))
        run("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", cls.folder / "debs", cwd=BUILD)
        cls.debs = {p.name.split("_")[0]: p for p in (cls.folder / "debs").glob("*.deb")}
        cls.root, cls.home = cls.folder / "root", cls.folder / "home"
        cls.home.mkdir(mode=0o700)
        for deb in cls.debs.values():
            run("dpkg-deb", "-x", deb, cls.root)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def env(cls, **more):
        return {"PATH": f"{cls.root}/usr/bin:/usr/bin:/bin", "HOME": str(cls.home), "TDA_SOCKET": f"ipc://{cls.home}/tda/tda.sock", "TDA_PLUGINS_STRICT_MODES": "false",
                "STATE_DIRECTORY": str(cls.home / "state"), "RUNTIME_DIRECTORY": str(cls.home / "tda"), **more}

    @classmethod
    def files(cls):
        return sorted(p for p in cls.root.rglob("*") if p.is_file() and not p.is_symlink())


def is_elf(path):
    with open(path, "rb") as f:
        return f.read(4) == b"\x7fELF"


def has_tool(name):
    return unittest.skipUnless(shutil.which(name), f"there is no {name}")


__all__ = ["BUILD", "SOURCE", "Installed", "has_tool", "is_elf", "os", "run"]
