"""The peers from npm that tools/node-setup installs into BUILD/node (TDA_NODE_DIR says another place); aimock as a service."""
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import urllib.request

from .daemon import BUILD, until

NODE_DIR = pathlib.Path(os.environ.get("TDA_NODE_DIR", BUILD / "node"))
NODE = NODE_DIR / "runtime" / "bin" / "node"
MODULES = NODE_DIR / "node_modules"


def need_peers():
    if not NODE.exists():
        raise AssertionError(f"the real peers are not in {NODE_DIR}: run tools/node-setup {BUILD}")


def entry(package, name):
    binaries = json.loads((MODULES / package / "package.json").read_text())["bin"]
    return MODULES / package / (binaries if isinstance(binaries, str) else binaries[name])


class Aimock:
    """Speaks most vendors' languages from fixtures: [{match, response, ...}], the first that fits."""

    def __init__(self, fixtures, key=None):
        """key: the only one that it takes; None: any."""
        self.headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
        self.folder = tempfile.TemporaryDirectory()
        path = pathlib.Path(self.folder.name) / "fixtures.json"
        path.write_text(json.dumps({"fixtures": fixtures}))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen([str(NODE), str(entry("@copilotkit/aimock", "llmock")), "-p", str(self.port), "-f", str(path), "--log-level", "warn"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env={**os.environ, **({"AIMOCK_API_KEYS": key} if key else {})})
        until(self.ready, seconds=20, what="aimock to listen")

    def ready(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def get(self, path, method="GET", body=None):
        request = urllib.request.Request(self.url + path, method=method, data=body and json.dumps(body).encode(), headers=self.headers)
        return json.loads(urllib.request.urlopen(request, timeout=10).read() or b"null")

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()
