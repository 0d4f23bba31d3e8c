"""The unit: systemd takes every line of it, and its exposure is at most 2.0."""
import pathlib
import re
import tempfile
import unittest

from installed import BUILD, has_tool, run

UNIT = BUILD / "tools" / "package" / "tda.service"


@has_tool("systemd-analyze")
class Service(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.unit = pathlib.Path(self.folder.name) / "tda.service"
        text = UNIT.read_text()
        self.lines = text
        self.unit.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={BUILD}/bin/tdad", text))

    def tearDown(self):
        self.folder.cleanup()

    def test_every_line_is_understood(self):
        self.assertEqual(run("systemd-analyze", "verify", "--man=no", self.unit), "")

    def test_exposure(self):
        out = run("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", self.unit)
        self.assertRegex(out, r"Overall exposure level for tda.service: [01]\.\d|2\.0")

    def test_the_daemon_is_started_as_it_wants_to_be(self):
        for line in ("Type=notify", "NotifyAccess=main", "User=tda", "RuntimeDirectory=tda", "StateDirectory=tda", "KillMode=mixed"):
            self.assertIn(f"\n{line}\n", self.lines)
        self.assertRegex(self.lines, r"\nWatchdogSec=\d+s\n")
        self.assertRegex(self.lines, r"\nExecStart=/\S+/bin/tdad --config /\S*etc/tda/tda.yaml\n")


if __name__ == "__main__":
    unittest.main()
