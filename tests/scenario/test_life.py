"""The daemon under a supervisor: what it tells, and what becomes of a loop that hangs."""
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from harness.daemon import SOURCE, Daemon, until

SLEEPER = r"""
#include <time.h>
#include "tda/plugin.h"
TDA_PLUGIN_NOTE("id sleeper\nversion 1.0.0\nprovides tda.provider/1\n");
static const struct tda_host *host;
static tda_status start(void *self, tda_call call, const struct tda_request *r) {
    struct tda_result done = {.size = sizeof done, .retry_ms = -1};
    (void)self;
    int seconds = r->model.n == 4 ? 60 : 2; /* "long" */
    for (struct timespec left = {seconds, 0}; nanosleep(&left, &left);) {}
    host->finish(call, &done);
    return TDA_OK;
}
static void on_flow(void *self, tda_call call, const struct tda_flow_event *e) { (void)self, (void)call, (void)e; }
static const struct tda_provider provider = {.size = sizeof provider, .start = start, .on_flow = on_flow};
static const void *interface(tda_str id) { return tda_str_eq(id, TDA_STR(TDA_PROVIDER_ID)) ? &provider : 0; }
static const struct tda_plugin plugin = {sizeof plugin, TDA_ABI_MINOR, "sleeper", "1.0.0", 0, interface};
TDA_PLUGIN_ENTRY(const struct tda_host *h) { host = h; return &plugin; }
"""


class Supervisor:
    """The end of NOTIFY_SOCKET."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.heard = []
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                self.heard.append(self.socket.recv(4096).decode())
            except OSError:
                return


class Life(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tda-life-", dir="/tmp"))
        self.supervisor = Supervisor(self.folder)

    def tearDown(self):
        self.supervisor.socket.close()
        shutil.rmtree(self.folder)

    def sleeper(self, timeout, model):
        plugin = self.folder / "sleeper.so"
        source = self.folder / "sleeper.c"
        source.write_text(SLEEPER)
        subprocess.run(["cc", "-shared", "-fPIC", "-fvisibility=hidden", "-I", str(SOURCE / "include"), str(source), "-o", str(plugin)], check=True)
        d = Daemon(f"contexts: {{persistence: false}}\nloops: 2\nwatchdog: {{timeout: {timeout}}}\n"
                   f"plugins: {{load: [offline, {plugin}], strict_modes: false}}\nproviders: {{S: {{plugin: sleeper}}}}\n")
        d.client.call("context.set", user="u", fields={"provider": "S", "model": model})
        return d

    def hang(self, d):
        def ask():
            try:
                d.connect().call("chat.complete", user="u", messages=[{"role": "user", "content": "x"}])
            except (OSError, ConnectionError, AssertionError):
                pass
        t = threading.Thread(target=ask)
        t.start()
        return t

    def test_it_says_ready_alive_and_stopping(self):
        d = Daemon(env={"NOTIFY_SOCKET": self.supervisor.path, "WATCHDOG_USEC": "2000000"})
        until(lambda: self.supervisor.heard.count("WATCHDOG=1") >= 2, what="being fed")
        d.stop()
        heard = [h for h in self.supervisor.heard if h != "WATCHDOG=1"]
        self.assertEqual(heard, ["READY=1", "STOPPING=1"])

    def test_a_watchdog_that_is_for_another_process_is_not_fed(self):
        d = Daemon(env={"NOTIFY_SOCKET": self.supervisor.path, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"})
        until(lambda: "READY=1" in self.supervisor.heard, what="ready")
        d.stop()
        self.assertNotIn("WATCHDOG=1", self.supervisor.heard)

    def test_a_plugin_whose_load_never_returns_does_not_keep_the_daemon(self):
        plugin, source = self.folder / "stuck.so", self.folder / "stuck.c"
        source.write_text(SLEEPER + "\n#include <unistd.h>\n__attribute__((constructor)) static void stay(void) { for (;;) pause(); }\n")
        d = Daemon(f"contexts: {{persistence: false}}\nplugins: {{load: [offline, {plugin}], strict_modes: false}}\n")
        subprocess.run(["cc", "-shared", "-fPIC", "-fvisibility=hidden", "-I", str(SOURCE / "include"), str(source), "-o", str(plugin)], check=True)
        d.client.begin("plugin.load", name=str(plugin))
        until(lambda: d.client.call("host.stats")["requests"]["in_flight"] >= 2, what="the load")
        d.process.terminate()
        self.assertEqual(d.process.wait(60), 0)
        self.assertIn("never returned", d.text())
        d.stop(check=False)

    def test_a_callback_that_takes_seconds_is_named(self):
        d = self.sleeper("30s", "short")
        asking = self.hang(d)
        until(lambda: "a callback does not return" in d.text(), what="the log line")
        self.assertIn('"plugin sleeper"', d.text())
        asking.join()
        d.client.call("host.ping")
        d.stop()

    def test_a_loop_that_hangs_ends_the_daemon_and_says_where(self):
        d = self.sleeper("2s", "long")
        asking = self.hang(d)
        self.assertEqual(d.process.wait(60), -signal.SIGABRT)
        asking.join()
        text = d.text()
        self.assertIn("a loop hangs", text)
        self.assertIn("sleeper.so", text, "the backtrace goes through the plugin")
        d.stopped = True
        d.log.close()
        shutil.rmtree(d.dir)


if __name__ == "__main__":
    unittest.main()
