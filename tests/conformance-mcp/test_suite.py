"""suite.py can tell a scenario that passes from one that fails or checks nothing."""
import pathlib
import sys
import unittest

import suite

CLIENT = f"{sys.executable} {pathlib.Path(__file__).with_name('trivial_client.py')}"


class Suite(unittest.TestCase):
    def test_what_is_required(self):
        self.assertEqual([len(suite.required(v)) for v in ("2025-11-25", "2026-07-28")], [18, 32])

    def test_a_client_that_does_it_right(self):
        for version in ("2025-11-25", "2026-07-28"):
            outcome = suite.run("tools_call", version, CLIENT)
            self.assertTrue(suite.passed(outcome, 1), outcome)
            self.assertIn("ToolAddNumbers", outcome.checks)

    def test_one_that_does_it_wrong(self):
        for command in (CLIENT + " --wrong", "true", "false"):
            self.assertFalse(suite.passed(suite.run("tools_call", "2025-11-25", command), 1), command)

    def test_a_client_that_does_not_end(self):
        outcome = suite.run("tools_call", "2025-11-25", "sleep 4; true", timeout=1)
        self.assertFalse(suite.passed(outcome, 0))

    def test_nothing_checked_is_not_passed(self):
        outcome = suite.run("http-standard-headers", "2026-07-28", "true")
        self.assertEqual(outcome.code, 0, "the suite itself calls this passed")
        self.assertFalse(suite.passed(outcome, 1))


if __name__ == "__main__":
    unittest.main()
