"""An authorization server beside McpHttp. A browser says by the header x-user who sits before it, and consents at once; each access token is one user's."""
import base64
import hashlib
import http.client
import itertools
import json
import urllib.parse


def visit(url, user):
    """What `user`'s browser does with an authorisation's page: the address that it ends up at."""
    to = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(to.netloc, timeout=10)
    connection.request("GET", f"{to.path}?{to.query}", headers={"x-user": user})
    return connection.getresponse().getheader("location")


class OAuth:
    """McpHttp(keys={}, oauth=OAuth()). `tokens` and `refreshes` are {token: user}, `grants` the bodies of token requests."""

    def __init__(self, expires_in=3600):
        self.expires_in, self.serial = expires_in, itertools.count(1)
        self.codes, self.tokens, self.refreshes, self.grants, self.registered = {}, {}, {}, [], []

    def attach(self, mcp):
        self.mcp, self.origin = mcp, mcp.origin
        mcp.keys = self.tokens

    def metadata(self):
        return {"issuer": self.origin, "authorization_endpoint": f"{self.origin}/authorize", "token_endpoint": f"{self.origin}/token",
                "registration_endpoint": f"{self.origin}/register", "code_challenge_methods_supported": ["S256"], "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token"], "token_endpoint_auth_methods_supported": ["none"],
                "authorization_response_iss_parameter_supported": True}

    def get(self, handler):
        """True when it was for us."""
        path, _, query = handler.path.partition("?")
        if path == f"/.well-known/oauth-protected-resource{self.mcp.path}":
            handler.answer(200, json.dumps({"resource": self.mcp.url, "authorization_servers": [self.origin]}))
        elif path == "/.well-known/oauth-authorization-server":
            handler.answer(200, json.dumps(self.metadata()))
        elif path == "/authorize":
            self.authorize(handler, dict(urllib.parse.parse_qsl(query)))
        elif path.startswith("/.well-known/"):
            handler.answer(404)
        else:
            return False
        return True

    def authorize(self, handler, asked):
        code = f"code-{next(self.serial)}"
        self.codes[code] = (handler.seen.headers["x-user"], asked)
        back = urllib.parse.urlencode({"code": code, "state": asked["state"], "iss": self.origin})
        handler.answer(302, headers=[("location", f"{asked['redirect_uri']}?{back}")])

    def post(self, handler):
        if handler.path == "/register":
            self.registered.append(handler.seen.message)
            handler.answer(201, json.dumps({**handler.seen.message, "client_id": f"client-{next(self.serial)}"}))
        elif handler.path == "/token":
            self.token(handler, dict(urllib.parse.parse_qsl(handler.seen.body.decode())))
        else:
            return False
        return True

    def token(self, handler, asked):
        self.grants.append(asked)
        user = self.refreshes.pop(asked.get("refresh_token"), None) if asked.get("grant_type") == "refresh_token" else self.of_code(asked)
        if not user:
            handler.answer(400, json.dumps({"error": "invalid_grant"}))
            return
        n = next(self.serial)
        self.tokens[f"access-{user}-{n}"] = user
        self.refreshes[f"refresh-{user}-{n}"] = user
        handler.answer(200, json.dumps({"access_token": f"access-{user}-{n}", "refresh_token": f"refresh-{user}-{n}", "token_type": "Bearer", "expires_in": self.expires_in}))

    def of_code(self, asked):
        user, given = self.codes.pop(asked.get("code"), (None, {}))
        proof = base64.urlsafe_b64encode(hashlib.sha256(asked.get("code_verifier", "").encode()).digest()).decode().rstrip("=")
        fits = proof == given.get("code_challenge") and asked.get("redirect_uri") == given.get("redirect_uri") and given.get("resource") == self.mcp.url
        return user if fits else None

    def expire(self):
        """No access token is worth anything any more; refresh tokens are."""
        self.tokens.clear()
