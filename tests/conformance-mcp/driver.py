#!/usr/bin/env python3
"""What the protocol's conformance suite runs as its client: a tdad of its own that has the suite's server in its YAML, and a user who does what the scenario wants.

usage: driver.py URL      environment, as the suite sets it: MCP_CONFORMANCE_SCENARIO, MCP_CONFORMANCE_CONTEXT
Exits with 0 when the host did, or refused, what it had to."""
import http.client
import json
import os
import pathlib
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scenario"))
from harness.client import RpcError
from harness.daemon import Daemon

CALLBACK = "http://localhost:3000/callback"  # never opened: where it leads is read from the redirection
METADATA = "https://conformance-test.local/client-metadata.json"
REFUSED = {"auth/resource-mismatch", "auth/iss-supported-missing", "auth/iss-wrong-issuer", "auth/iss-unexpected", "auth/iss-normalized", "auth/metadata-issuer-mismatch",
           "auth/scope-retry-limit"}  # the sign-in has to fail


def visit(url):
    """A user's browser that consents at once: where the authorization server sends it to."""
    to = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(to.netloc, timeout=10)
    connection.request("GET", f"{to.path}?{to.query}")
    return connection.getresponse().getheader("location")


class User:
    """The user `u`. `fill` is what he puts into forms."""

    def __init__(self, daemon):
        self.c, self.fill, self.asked = daemon.client, {}, []

    def call(self, method, **params):
        return self.c.call(method, user="u", **params)

    def begin(self, method, **params):
        return self.c.call("task.submit", user="u", method=method, params=params)["task"]

    def wait(self, task, answer=None):
        """Follows a task to its end and answers what it asks; `answer` is called instead for the first question."""
        after = 0
        while True:
            reply = self.call("task.poll", task=task, after=after, wait_ms=20000)
            after = reply["next"]
            for event in reply["events"]:
                if event["type"] == "ask":
                    self.asked.append(event)
                    if answer:
                        answer, before = None, answer
                        before()
                    self.call("task.respond", task=task, request=event["request"], json=self.answer(event))
            if reply["state"] == "complete":
                return reply["result"]
            if reply["state"] in ("error", "cancelled"):
                raise RpcError(reply["error"])

    def answer(self, event):
        print("asked:", json.dumps(event), file=sys.stderr)
        if event["kind"] == "authorization":
            return {"action": "accept", "content": {"redirect": visit(event["url"])}}
        return {"action": "accept", "content": self.fill}

    def do(self, method, **params):
        return self.wait(self.begin(method, **params))

    def configure(self):
        return self.do("configure", provider="offline", model="offline-1", mcp_server={"name": "it"})

    def tools(self):
        return [t["name"] for t in self.call("tools.list")["tools"]]

    def use(self, tool, **arguments):
        return self.do("tools.call", name=tool, arguments=arguments)


def text(result):
    return "".join(p.get("text", "") for p in result["content"])


# ---- scenarios: what is done once the user has the server ----

def nothing(u, context):
    u.tools()


def tools_call(u, context):
    assert "5" in text(u.use("add_numbers", a=2, b=3))


def elicitation(u, context):
    """He accepts, and leaves every field to its default."""
    u.use("test_client_elicitation_defaults")
    assert len(u.asked) == 1, u.asked


def sse_retry(u, context):
    u.use("test_reconnection")


def standard_headers(u, context):
    for tool in u.tools():
        u.use(tool)
    for resource in u.call("resources.list")["resources"]:
        u.do("resources.read", uri=resource["uri"])
    for prompt in u.call("prompts.list")["prompts"]:
        u.do("prompts.get", name=prompt["name"])


def custom_headers(u, context):
    for call in context["toolCalls"]:
        u.use(call["name"], **call["arguments"])


def invalid_tool_headers(u, context):
    names = u.tools()
    assert "valid_tool" in names and not [n for n in names if n.startswith("invalid")], names
    for name in names:
        u.use(name, region="us-west1")


def request_state(u, context):
    """Between a question and its answer he uses another tool: what belongs to the one must not get into the other."""
    u.fill = {"confirmed": True}
    u.wait(u.begin("tools.call", name="test_mrtr_echo_state", arguments={}), answer=lambda: u.use("test_mrtr_unrelated"))
    u.use("test_mrtr_no_state")
    u.use("test_mrtr_no_result_type")


def schema_echo(u, context):
    schema = next(t["schema"] for t in u.call("tools.list")["tools"] if t["name"] == "json_schema_2020_12_tool")
    u.use("json_schema_echo", schema=schema)


def authorised(u, context):
    u.tools()
    u.use("test-tool")


SCENARIOS = {
    "initialize": nothing, "request-metadata": nothing, "json-schema-ref-no-deref": nothing, "tools_call": tools_call, "elicitation-sep1034-client-defaults": elicitation,
    "sse-retry": sse_retry, "http-standard-headers": standard_headers, "http-custom-headers": custom_headers, "http-invalid-tool-headers": invalid_tool_headers,
    "sep-2322-client-request-state": request_state, "json-schema-2020-12-preservation": schema_echo,
}


def server(url, scenario, context):
    said = {"url": url, "asks": ["form", "url"]}
    if scenario.startswith("auth/"):
        said["oauth"] = {"redirect_uri": CALLBACK, "client_metadata_url": METADATA}
        if "client_secret" in context:
            said["oauth"] = {"redirect_uri": CALLBACK, "client_id": context["client_id"], "client_secret": "${env:CLIENT_SECRET}"}
        if "client-credentials" in scenario:
            said["oauth"]["grant"] = "client_credentials"
    return said


def main():
    url, scenario = sys.argv[1], os.environ["MCP_CONFORMANCE_SCENARIO"]
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    yaml = ("contexts: {persistence: false}\nlog: {level: debug}\negress: {allow_private: true}\n"  # the authorization server is on loopback, too
            f"mcp_servers: {json.dumps({'it': server(url, scenario, context)})}\n")
    with Daemon(yaml, env={"CLIENT_SECRET": context.get("client_secret", "")}) as d:
        u = User(d)
        try:
            u.configure()
        except RpcError as e:
            print(f"configure: {e.kind}: {e.message}", file=sys.stderr)
            assert scenario in REFUSED and e.kind == "authorization_failed", f"{scenario} was refused: {e.kind}: {e.message}"
        else:
            assert scenario not in REFUSED, "it should have been refused"
            SCENARIOS.get(scenario, authorised)(u, context)


if __name__ == "__main__":
    main()
