"""An authorization server and a protected MCP server, each on a port of its own, that keep what they were sent.

The authorization server consents to whatever it is asked; the checks of OAuth 2.1 are made for real: codes are good once, PKCE, redirect
address and client must fit, refresh tokens rotate. Knobs are attributes, set before or while it runs."""
import base64
import hashlib
import http.server
import json
import threading
import urllib.parse
import urllib.request

JSON = "application/json"


class Seen:
    def __init__(self, method, path, headers, body):
        self.method, self.headers, self.body = method, headers, body
        self.path, _, query = path.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query))

    @property
    def form(self):
        return dict(urllib.parse.parse_qsl(self.body.decode()))

    @property
    def authorization(self):
        return self.headers.get("authorization", "")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        with self.server.owner.lock:
            self.server.owner.seen.append(seen)
        code, headers, data = self.server.owner.answer(seen)
        data = json.dumps(data).encode() if isinstance(data, (dict, list)) else data
        self.send_response(code)
        for k, v in headers.items():
            self.send_header(k, v)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = do


class Server:
    def __init__(self, host="127.0.0.1"):
        self.seen, self.lock = [], threading.RLock()
        self.http = http.server.ThreadingHTTPServer((host, 0), Handler)
        self.http.owner = self
        self.base = f"http://{host}:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()

    def of(self, path, method=None):
        with self.lock:
            return [s for s in self.seen if s.path == path and (not method or s.method == method)]


class AuthServer(Server):
    def __init__(self):
        super().__init__()
        self.issuer = self.base
        self.metadata = {}  # over what is usual; None: left out
        self.iss = "correct"  # of the redirect: a text, or None
        self.expires_in, self.gives_refresh = 3600, True
        self.refusal = None  # OAuth error word of the token endpoint
        self.codes, self.tokens, self.refreshes, self.clients = {}, {}, {}, {}
        self.n = 0

    def next(self, what):
        with self.lock:
            self.n += 1
            return f"{what}-{self.n}-of-{self.http.server_port}"

    def document(self):
        usual = {"issuer": self.issuer, "authorization_endpoint": self.base + "/authorize", "token_endpoint": self.base + "/token",
                 "registration_endpoint": self.base + "/register", "code_challenge_methods_supported": ["S256"],
                 "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
                 "authorization_response_iss_parameter_supported": True}
        return {k: v for k, v in {**usual, **self.metadata}.items() if v is not None}

    def answer(self, seen):
        if seen.path == "/.well-known/oauth-authorization-server":
            return 200, {"content-type": JSON}, self.document()
        if seen.path == "/register":
            client = self.next("client")
            self.clients[client] = json.loads(seen.body)
            return 201, {"content-type": JSON}, {"client_id": client, **self.clients[client]}
        if seen.path == "/authorize":
            return self.authorize(seen.query)
        if seen.path == "/token":
            return self.token(seen)
        return 404, {}, b""

    def authorize(self, q):
        code = self.next("code")
        self.codes[code] = q
        back = {"code": code, "state": q["state"]}
        iss = self.issuer if self.iss == "correct" else self.iss
        if iss is not None:
            back["iss"] = iss
        return 302, {"location": q["redirect_uri"] + "?" + urllib.parse.urlencode(back)}, b""

    def grant(self, scope, resource, client):
        token, more = self.next("token"), {}
        self.tokens[token] = {"scope": scope, "resource": resource, "client": client}
        if self.gives_refresh:
            more["refresh_token"] = self.next("refresh")
            self.refreshes[more["refresh_token"]] = self.tokens[token]
        return 200, {"content-type": JSON}, {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in, "scope": scope, **more}

    def token(self, seen):
        f = seen.form
        client = f.get("client_id") or urllib.parse.unquote(base64.b64decode(seen.authorization.removeprefix("Basic ")).decode().partition(":")[0])
        refused = 400, {"content-type": JSON}, {"error": self.refusal or "invalid_grant"}
        if self.refusal:
            return refused
        if f["grant_type"] == "client_credentials":
            return self.grant(f.get("scope", ""), f["resource"], client)
        if f["grant_type"] == "refresh_token":
            was = self.refreshes.pop(f["refresh_token"], None)
            return self.grant(was["scope"], was["resource"], client) if was and was["client"] == client else refused
        q = self.codes.pop(f["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(f["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        fits = q and q["code_challenge"] == challenge and q["redirect_uri"] == f["redirect_uri"] and q["client_id"] == client
        return self.grant(q.get("scope", ""), q["resource"], client) if fits and q["resource"] == f["resource"] else refused


class Resource(Server):
    """`/mcp`: MCP of the legacy era without sessions, and an echo for what is no JSON-RPC."""

    def __init__(self, auth, host="127.0.0.1"):
        super().__init__(host)
        self.auth, self.url = auth, self.base + "/mcp"
        self.prm = {}  # over what is usual; None: left out
        self.challenge = f'Bearer resource_metadata="{self.base}/.well-known/oauth-protected-resource/mcp", scope="basic"'
        self.needs = {}  # JSON-RPC method or body -> scope
        self.revoked = set()
        self.open = False  # no token is wanted

    def answer(self, seen):
        if seen.path == "/.well-known/oauth-protected-resource/mcp" and self.prm is not None:
            usual = {"resource": self.url, "authorization_servers": [self.auth.issuer], "scopes_supported": ["listed"]}
            return 200, {"content-type": JSON}, {k: v for k, v in {**usual, **self.prm}.items() if v is not None}
        if seen.path not in ("/mcp", "/other"):
            return 404, {}, b""
        return self.check(seen) or self.serve(seen)

    def check(self, seen):
        token = self.auth.tokens.get(seen.authorization.removeprefix("Bearer "))
        if self.open:
            return None
        if not token or seen.authorization.removeprefix("Bearer ") in self.revoked or token["resource"] not in (self.url, self.base):
            return 401, {"www-authenticate": self.challenge}, b""
        body = seen.body.decode(errors="replace")
        for word, scope in self.needs.items():
            if word in body and scope not in token["scope"].split():
                return 403, {"www-authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}, b""
        return None

    def serve(self, seen):
        try:
            request = json.loads(seen.body or b"{}")
        except ValueError:
            return 200, {"content-type": "text/plain"}, b"welcome"
        results = {"initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "r", "version": "1"}},
                   "tools/list": {"tools": [{"name": "whoami", "inputSchema": {"type": "object"}}]},
                   "tools/call": {"content": [{"type": "text", "text": seen.authorization.removeprefix("Bearer ")}]}}
        if "id" not in request:
            return 202, {}, b""
        if request["method"] not in results:
            return 400, {"content-type": JSON}, {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "no"}}
        return 200, {"content-type": JSON}, {"jsonrpc": "2.0", "id": request["id"], "result": results[request["method"]]}


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


def visit(url):
    """What a browser does, up to the address that it is sent to."""
    try:
        urllib.request.build_opener(NoRedirect).open(url)
    except urllib.error.HTTPError as e:
        return e.headers["location"]
    raise AssertionError("no redirect")
