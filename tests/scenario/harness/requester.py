"""The plugin requester.c, which sends whatever a question says, and the servers that only real peers' code can play."""
import json
import pathlib
import shutil
import subprocess
import tempfile
import urllib.request

from .daemon import BUILD, SOURCE, Daemon
from .peers import NODE, NODE_DIR

HERE = pathlib.Path(__file__).resolve().parent


class Requester(Daemon):
    """A daemon with requester.so, whose note gets `note` more lines: r.ask("u", url=...) is the answer's text."""

    def __init__(self, note="", provider="", more="", env=None, contexts="persistence: false"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tda-requester-", dir="/tmp"))
        plugin = self.folder / "requester.so"
        text = "".join(line + "\\n" for line in note.strip().split("\n")) if note else ""
        subprocess.run(["cc", "-shared", "-fPIC", "-fvisibility=hidden", "-I", str(SOURCE / "include"), f'-DNOTE_MORE="{text}"',
                        str(HERE / "requester.c"), "-o", str(plugin)], check=True)
        super().__init__(f"contexts: {{{contexts}}}\nplugins: {{load: [offline, {plugin}], strict_modes: false}}\n{more}"
                         f"calls: {{attempts: 1}}\nproviders:\n  requester: {{plugin: requester{provider}}}\n", env=env)

    def configure(self, user, **more):
        return self.client.call("configure", **{"user": user, "provider": "requester", "model": "m", **more})

    @staticmethod
    def params(user, question):
        return {"messages": [{"role": "user", "content": json.dumps(question)}], **({"user": user} if user else {})}

    def ask(self, user, **question):
        return self.client.call("chat.complete", **self.params(user, question))["text"]

    def refused(self, user, **question):
        return self.client.error("chat.complete", **self.params(user, question))

    def stop(self, check=True):
        shutil.rmtree(self.folder, ignore_errors=True)
        super().stop(check)


class SigningServer:
    """sigv4_server.mjs; keys: {key id: {"secret":, "session":}}."""

    def __init__(self, keys, bearers=()):
        self.process = subprocess.Popen([str(NODE), str(HERE / "sigv4_server.mjs"), str(NODE_DIR), json.dumps(keys), json.dumps(list(bearers))],
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.base = f"http://127.0.0.1:{self.port}"

    @property
    def seen(self):
        with urllib.request.urlopen(self.base + "/__seen", timeout=10) as r:
            return json.loads(r.read())

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()
