"""A daemon with MCP servers, and what tests say to it."""
import json
import pathlib
import sys

from .client import RpcError
from .daemon import Daemon
from .tasks import follow

FAULTY = pathlib.Path(__file__).parent / "mcp_server.py"


def faulty(mode="normal", record=None, **more):
    """mcp_server.py in a mode, as a server's settings."""
    return {"command": [sys.executable, str(FAULTY), mode], "env": {"MCP_RECORD": str(record)} if record else {}, **more}


def text_of(result):
    return "".join(p.get("text", "") for p in result["content"])


class Host(Daemon):
    """servers: {name: settings}; more: further lines of YAML. Everybody's model is offline-1, unless `configure` says more."""

    def __init__(self, servers, more="", **daemon):
        super().__init__(f"contexts: {{persistence: false}}\n{more}mcp_servers: {json.dumps(servers)}\n", **daemon)

    def configure(self, user, server, **more):
        return self.client.call("configure", **{"user": user, "provider": "offline", "model": "offline-1", "mcp_server": {"name": server}, **more})

    def call(self, user, rpc, /, **params):
        return self.client.call(rpc, user=user, **params)

    def tools(self, user):
        return {t["name"]: t for t in self.call(user, "tools.list")["tools"]}

    def use(self, user, tool, /, **arguments):
        return self.call(user, "tools.call", name=tool, arguments=arguments)

    def said(self, user, tool, /, **arguments):
        return text_of(self.use(user, tool, **arguments))

    def refused(self, user, tool, /, **arguments):
        return self.client.error("tools.call", user=user, name=tool, arguments=arguments)

    def begin(self, user, method, /, **params):
        return self.call(user, "task.submit", method=method, params=params)["task"]

    def end(self, user, task):
        """(result, events); RpcError when it failed."""
        reply, events = follow(self.client, user, task)
        if reply["state"] != "complete":
            raise RpcError(reply["error"])
        return reply["result"], events

    def ask(self, user, task, but=None):
        """A task's question, or the next one `but` that."""
        after = 0
        while True:
            reply = self.call(user, "task.poll", task=task, after=after, wait_ms=10000)
            after = reply["next"]
            for event in reply["events"]:
                if event["type"] == "ask" and event != but:
                    return event
            if reply["state"] not in ("pending", "running"):
                raise AssertionError(f"it ended and asked nothing: {reply}")

    def children(self):
        return [p for p in self.descendants() if "tda-launcher" not in pathlib.Path(f"/proc/{p}/comm").read_text()]


def messages(record):
    """What a server of faulty() was sent."""
    path = pathlib.Path(record)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def methods(record):
    return [m.get("method") for m in messages(record)]


def starts(record):
    """Pids of the processes that were started for it."""
    path = pathlib.Path(f"{record}.starts")
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []
