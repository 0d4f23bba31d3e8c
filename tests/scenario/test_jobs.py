"""The scheduler and the sweep of idle contexts: acceptance lines 38 to 41."""
import pathlib
import subprocess
import tempfile
import time
import unittest

from harness.daemon import SLOW, Daemon, until
from harness.upstream import Upstream

QUICK = "contexts: {persistence: false}\nmaintenance: {context_cleanup: {interval: 1s, max_age: 1s}}\n"


YEAR_S = 365 * 24 * 3600
JUMPING_CLOCK = r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
/* The wall clock, and no other, is as many seconds off as the file says. */
int clock_gettime(clockid_t id, struct timespec *ts) {
    int rc = (int)syscall(SYS_clock_gettime, id, ts);
    FILE *f = id == CLOCK_REALTIME ? fopen(getenv("JUMP_FILE"), "r") : NULL;
    long jump = 0;
    if (f && fscanf(f, "%ld", &jump) == 1) ts->tv_sec += jump;
    if (f) fclose(f);
    return rc;
}
time_t time(time_t *t) {
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return t ? (*t = ts.tv_sec) : ts.tv_sec;
}
"""


class Jobs(unittest.TestCase):
    def job(self, d):
        return {j["name"]: j for j in d.client.call("job.list")["jobs"]}.get("context_cleanup")

    def test_38_shared_mode_schedules_no_sweep(self):
        with Daemon("contexts: {persistence: true}\n" + QUICK.split("\n", 1)[1]) as d:
            self.assertIsNone(self.job(d))
            self.assertEqual(d.client.error("job.run", name="context_cleanup").kind, "unknown_job")

    def test_38_the_first_sweep_comes_after_one_interval(self):
        with Daemon("contexts: {persistence: false}\nmaintenance: {context_cleanup: {interval: 2s}}\n") as d:
            self.assertEqual(self.job(d)["runs"], 0)
            until(lambda: self.job(d)["runs"] == 1, seconds=6)

    def test_39_40_41_idle_ones_go_used_ones_stay_and_reads_are_no_use(self):
        with Upstream() as up, Daemon(QUICK + f"providers:\n  Fake: {{plugin: openai, base_url: \"{up.base}\"}}\n") as d:
            c = d.client
            for user in ("idle", "busy", "asking"):
                c.call("configure", user=user, provider="Fake", model="model1", credentials={"api_key": "k" * 12})
            up.delay = 3.5
            slot = c.begin("chat.complete", user="asking", messages=[{"role": "user", "content": "long"}])
            time.sleep(0.3)
            up.delay = 0
            end = time.monotonic() + 3
            while time.monotonic() < end:
                c.call("chat.complete", user="busy", messages=[{"role": "user", "content": "x"}])
                for user in ("idle", "asking"):
                    c.call("status", user=user)
                c.call("context.list")
                time.sleep(0.1)
            self.assertEqual(c.error("chat.complete", user="idle", messages=[{"role": "user", "content": "x"}]).kind, "not_configured")
            self.assertTrue(c.call("status", user="busy")["configured"])
            self.assertFalse(c.call("status", user="asking")["configured"], "detached, although in use")
            self.assertEqual(c.end(slot)["text"], "echo: long", "and the question ends well")
            self.assertEqual({s.key for s in up.seen}, {"k" * 12})
            calls = until(lambda: (lambda x: x if x["started"] == x["dropped"] else None)(c.call("host.stats")["calls"]))
            self.assertEqual(calls["started"], calls["finished"])

    def test_39_a_jump_of_the_wall_clock_changes_nothing(self):
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            library, jump = pathlib.Path(folder) / "jump.so", pathlib.Path(folder) / "jump"
            jump.write_text("0")
            subprocess.run(["cc", "-shared", "-fPIC", "-o", library, "-xc", "-"], input=JUMPING_CLOCK, text=True, check=True)
            env = {"LD_PRELOAD": str(library), "JUMP_FILE": str(jump)}
            if SLOW > 1:
                env["ASAN_OPTIONS"] = "verify_asan_link_order=0"  # of what is loaded first
            with Daemon("contexts: {persistence: false}\nmaintenance: {context_cleanup: {interval: 1s, max_age: 3s}}\n", env=env) as d:
                for years in (1, -1):
                    d.client.call("context.set", user="u", fields={"model": "m"})
                    jump.write_text(str(years * YEAR_S))
                    runs = self.job(d)["runs"]
                    until(lambda: self.job(d)["runs"] > runs, seconds=4, what="the next sweep at its usual time")
                    self.assertEqual(d.client.call("context.list")["count"], 1, "not older by a year")
                    self.assertLessEqual(self.job(d)["next_run_s"], 1)
                    until(lambda: d.client.call("context.list")["count"] == 0, seconds=10, what="its end at its own age")
                    d.client.error("context.get", user="u")  # a line in the log
                    said = time.strftime("%Y-%m", time.gmtime(time.time() + years * YEAR_S))
                    until(lambda: f"\n{said}" in d.text(), what="a line of that time: the clock really jumped")

    def test_a_job_runs_now_and_says_what_it_did(self):
        with Daemon("contexts: {persistence: false}\n") as d:
            d.client.call("context.set", user="a", fields={})
            r = d.client.call("job.run", name="context_cleanup")
            self.assertIn("0 contexts removed, 1 kept", str(r))
            self.assertEqual(self.job(d)["runs"], 1)


if __name__ == "__main__":
    unittest.main()
