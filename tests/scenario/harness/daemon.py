"""A real tdad in a folder of its own."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from .client import Client

BUILD = pathlib.Path(os.environ.get("TDA_BUILD_DIR", pathlib.Path(__file__).resolve().parents[3] / "build" / "release"))
SOURCE = pathlib.Path(os.environ.get("TDA_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[3]))
BIN = BUILD / "bin"
SLOW = 5 if any((BUILD / "CMakeCache.txt").exists() and f"TDA_SANITIZE:STRING={s}" in (BUILD / "CMakeCache.txt").read_text()
                for s in ("address", "thread")) else 1

VENDORS = ("TDA_", "OPENAI_", "ANTHROPIC_", "AZURE_", "GEMINI_", "GOOGLE_", "AWS_", "FRIENDLI_", "OLLAMA_")


def clean_env(extra=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith(VENDORS)}
    env["TDA_PLUGIN_DIR"] = str(BUILD / "plugins")
    env["TDA_PLUGINS_STRICT_MODES"] = "false"  # a checkout may be writable by a group
    env["TDA_SESSIONS_PATH"] = env["TDA_TOKENS"] = "none"  # nothing outside of a test's own folder
    env["PATH"] = f"{BIN}:{env.get('PATH', '/usr/bin:/bin')}"
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:quarantine_size_mb=16")
    env.update(extra or {})
    return env


class Daemon:
    """with Daemon(yaml) as d: d.client.call(...)"""

    def __init__(self, yaml="", env=None, listen=None, args=(), wait=True, under=()):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tda-test-", dir="/tmp"))
        self.dir.chmod(0o700)
        self.url = f"ipc://{self.dir}/tda.sock"
        listen = [self.url] + list(listen or [])
        self.config = self.dir / "tda.yaml"
        self.token = None
        if any(not u.startswith("ipc:") for u in listen):
            self.token = self.make_token("--service", "--operator")  # a daemon does not listen elsewhere without one
        if any(u.startswith(("tls+tcp:", "wss:")) for u in listen):
            yaml += self.make_certificate()
        text = yaml if "listen:" in yaml else "listen: [" + ", ".join(f'"{u}"' for u in listen) + "]\n" + yaml
        self.config.write_text(text)
        self.log = open(self.dir / "log", "w+b")
        self.command = [*under, str(BIN / "tdad"), "--config", str(self.config), *args]
        self.env = clean_env({"TDA_CONTEXT_FILE": str(self.dir / "context.json"), "TDA_SESSIONS_PATH": str(self.dir / "sessions.db"),
                              "TDA_TOKENS": str(self.dir / "tokens.db"), **(env or {})})
        self.stopped = False
        self.start()
        if wait:
            self.ready()

    def start(self):
        """Also again, after the process has ended."""
        self._client = None
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=self.env)

    def make_token(self, *args):
        """In the daemon's file, while it does not run."""
        return subprocess.run([str(BIN / "tda"), "--quiet", "token", "create", "--store", str(self.dir / "tokens.db"), *args], capture_output=True, text=True,
                              check=True, env=clean_env()).stdout.strip()

    def make_certificate(self):
        """The settings for one that signs itself, for localhost."""
        self.cert, key = self.dir / "cert.pem", self.dir / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", self.cert, "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        return f"\ntls: {{cert: \"{self.cert}\", key: \"{key}\"}}\n"

    def ready(self):
        end = time.monotonic() + 20 * SLOW
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"tdad ended with {self.process.returncode}:\n{self.text()}")
            try:
                self.client.call("host.ping", timeout=20)
                return
            except (OSError, ConnectionError):
                self._client = None
                if time.monotonic() > end:
                    raise AssertionError(f"tdad is not ready:\n{self.text()}") from None
                time.sleep(0.02)

    @property
    def client(self):
        if self._client is None:
            self._client = Client(self.url)
        return self._client

    def connect(self, url=None, auth=None):
        url = url or self.url
        return Client(url, auth=auth or (None if url.startswith("ipc:") else self.token))

    def listeners(self):
        return self.client.call("host.info")["listeners"]

    def text(self):
        return (self.dir / "log").read_text(errors="replace")

    def stats(self):
        return self.client.call("host.stats")

    # ---- what the process looks like ----

    def fds(self):
        return self.stats()["descriptors"]

    def rss(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def descendants(self):
        """Pids of all living children, the launcher's included."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    pids = [int(p) for p in task.read_text().split()]
                except OSError:
                    continue
                found += pids
                todo += pids
        return found

    def stop(self, check=True, limit=30 * SLOW):
        """SIGTERM. Returns the log."""
        if self.stopped:
            return ""
        self.stopped = True
        family = self.descendants()
        if self._client:
            self._client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"tdad did not stop:\n{self.text()[-6000:]}") from None
        text = self.text()
        self.log.close()
        if check:
            for word in ("Sanitizer", "runtime error", "Assertion"):
                assert word not in text, text[-8000:]
            assert code == 0, f"exit code {code}:\n{text[-6000:]}"
            left = [p for p in family if alive(p)]
            assert not left, f"children outlived the daemon: {left}"
        shutil.rmtree(self.dir, ignore_errors=True)
        return text

    def kill(self):
        self.stopped = True
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print("--- log of tdad ---\n" + self.text()[-6000:])
        self.stop(check=kind is None)


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def run_tdad(*args, env=None, timeout=60):
    """tdad that is expected to end by itself: returns (exit code, stdout, stderr)."""
    r = subprocess.run([str(BIN / "tdad"), *args], capture_output=True, text=True, env=clean_env(env), timeout=timeout,
                       stdin=subprocess.DEVNULL)
    return r.returncode, r.stdout, r.stderr


def until(condition, seconds=10, what="condition"):
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not in {seconds} s: {what}")
