"""Plugins of other days: compiled once for a minor of the interface and kept. Those of this minor load, answer and keep the contract; during 0.x those of
another are refused, with both numbers in the sentence."""
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenario"))
from harness.daemon import BUILD, SOURCE, Daemon  # noqa: E402

HOST = (SOURCE / "include" / "tda" / "host.h").read_text()
NOW = tuple(int(re.search(rf"TDA_ABI_{w} (\d+)u", HOST).group(1)) for w in ("MAJOR", "MINOR"))


def frozen(root):
    """{(major, minor): [files]} of this machine."""
    all_of = {}
    for path in sorted(root.glob(f"*/{platform.machine()}/*.so")):
        all_of.setdefault(tuple(map(int, path.parent.parent.name.split("."))), []).append(path)
    return all_of


class Frozen(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tda-frozen-", dir=BUILD))

    def tearDown(self):
        shutil.rmtree(self.folder)

    def copies(self, files, prefix=""):
        out = []
        for f in files:
            out.append(pathlib.Path(shutil.copy(f, self.folder / f"{prefix}{f.name}")))
            out[-1].chmod(0o644)
        return out

    def listed(self, files):
        yaml = f"contexts: {{persistence: false}}\nplugins: {{load: [{', '.join(map(str, files))}], strict_modes: false}}\n"
        with Daemon(yaml) as d:
            return d.client.call("plugin.list")["plugins"]

    def fresh(self):
        """This minor's as `freeze` makes them now; where they are frozen already, those."""
        kept = frozen(HERE / "frozen").get(NOW)
        if kept:
            return self.copies(kept)
        subprocess.run([str(HERE / "frozen" / "freeze"), "--into", str(self.folder)], check=True, capture_output=True)
        again = subprocess.run([str(HERE / "frozen" / "freeze"), "--into", str(self.folder)], capture_output=True, text=True)
        self.assertEqual(again.returncode, 1, "what is frozen stays")
        return self.copies(frozen(self.folder)[NOW])

    def test_those_of_this_minor_load_and_keep_the_contract(self):
        files = self.fresh()
        self.assertEqual([p["state"] for p in self.listed(files)], ["loaded"] * len(files))
        for f in files:
            r = subprocess.run([str(BUILD / "bin" / "tda-plugin"), "check", str(f), "--calls", "500"], capture_output=True, text=True)
            self.assertEqual(r.returncode, 0, r.stdout)

    def test_those_of_another_minor_are_refused_with_both_numbers(self):
        self.assertEqual(NOW[0], 0, "from 1.0 on they must load: write that test")
        others = {v: f for v, f in frozen(HERE / "frozen").items() if v != NOW}
        other = (NOW[0], NOW[1] + 1)  # one that is to come, so that this test has something to refuse in every minor
        copy = self.copies(self.fresh(), "later-")[0]
        self.renumber(copy, other[1])
        for version, files in [*others.items(), (other, [copy])]:
            entries = self.listed(self.copies(files) if version != other else files)
            for entry in entries:
                self.assertEqual(entry["state"], "refused", entry)
                self.assertIn(f"built for interface {version[0]}.{version[1]}, and this host has {NOW[0]}.{NOW[1]}", entry["reason"])
                r = subprocess.run([str(BUILD / "bin" / "tda-plugin"), "check", entry["file"]], capture_output=True, text=True)
                self.assertEqual(r.returncode, 1)
                self.assertIn(f"built for interface {version[0]}.{version[1]}, and this host has {NOW[0]}.{NOW[1]}", r.stdout)

    def renumber(self, path, minor):
        data = bytearray(path.read_bytes())
        at = data.index(b"TDA\0" + NOW[0].to_bytes(4, "little"))
        data[at + 8:at + 12] = minor.to_bytes(4, "little")
        path.write_bytes(data)


if __name__ == "__main__":
    unittest.main()
