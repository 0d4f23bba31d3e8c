"""Signatures and event streams of AWS's kind, judged by AWS's own signer and framed by its own codec."""
import json
import unittest

from harness.peers import need_peers
from harness.requester import Requester, SigningServer

KEYS = {"AKIDONE": {"secret": "canary-secret-one/+1"}, "ASIATWO": {"secret": "canary-secret-two", "session": "canary-session//two=="}}
ONE = {"key_id": "AKIDONE", "secret_key": KEYS["AKIDONE"]["secret"]}
TWO = {"key_id": "ASIATWO", "secret_key": KEYS["ASIATWO"]["secret"], "session": KEYS["ASIATWO"]["session"]}
COLON = "anthropic.claude-3-5-sonnet-20241022-v2%3A0"
ARN = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-x%3A0"
BODY = json.dumps({"messages": [{"role": "user", "content": [{"text": "grüße 漢字 and more"}]}]})
JSON = {"content-type": "application/json"}


def setUpModule():
    need_peers()


class Aws(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = SigningServer(KEYS, bearers=["canary-bearer"])
        cls.d = Requester(provider=f', base_url: "{cls.server.base}", api_key: canary-bearer', more="log: {level: debug}\n")
        for user, credentials in {"one": ONE, "two": TWO, "none": {}, "wrong": {**ONE, "secret_key": "canary-secret-1"}, "half": {"secret_key": "canary-half"},
                                  "cold": {k: TWO[k] for k in ("key_id", "secret_key")}, "both": {**ONE, "api_key": "canary-bearer"}}.items():
            cls.d.configure(user, credentials=credentials)

    @classmethod
    def tearDownClass(cls):
        log = cls.d.text()
        cls.d.stop()
        cls.server.close()
        assert "canary" not in log, log

    def post(self, user, model=COLON, path="converse", auth="aws", **more):
        return self.d.ask(user, url=f"{self.server.base}/model/{model}/{path}", auth=auth, headers=JSON, **{"body": BODY, **more})

    def test_what_is_signed_is_accepted(self):
        for user in ("one", "two"):
            for model in ("amazon.nova-lite", COLON, ARN):
                self.assertIn("echo: grüße 漢字 and more", self.post(user, model), f"{user} {model}")
        for url in ("/", "/a//b/./c/../d/", "/foundation-models?byOutputModality=TEXT&a-b=1&a=x%20y&a=b&empty", "/%C3%BC?q=%2F%2b"):
            self.assertTrue(self.d.ask("one", url=self.server.base + url, auth="aws").startswith("200\n"), url)
        last = self.server.seen[-1]
        self.assertEqual(last["verdict"], "accepted")
        self.assertNotIn("canary", json.dumps(last), "the secret itself is never sent")

    def test_the_host_is_signed_as_it_is_sent(self):
        with Requester(note=f"host http://localhost:{self.server.port}") as d:
            d.client.call("configure", user="one", provider="requester", model="m", credentials=ONE)
            self.assertTrue(d.ask("one", url=f"http://LocalHost:{self.server.port}/x", auth="aws").startswith("200\n"))

    def test_long_bodies(self):
        for n in (0, 1, 200_000, 5_000_000):
            self.assertTrue(self.d.ask("two", url=self.server.base + "/x", method="POST", auth="aws", fill=n).startswith("200\n"), n)
            self.assertEqual(self.server.seen[-1]["bytes"], n)

    def stream(self, model):
        return self.d.ask("one", url=f"{self.server.base}/model/{model}/converse-stream", auth="aws", framing=4, body=BODY)

    def test_an_event_stream(self):
        lines = self.stream(ARN).splitlines()
        self.assertEqual(lines[:2], ["200", 'event messageStart {"role":"assistant","p":"abc"}'])
        deltas = [json.loads(x.split(" ", 2)[2])["delta"]["text"] for x in lines if x.startswith("event contentBlockDelta ")]
        self.assertEqual("".join(deltas), "echo: grüße 漢字 and more")
        self.assertTrue(lines[-1].startswith("event metadata "))
        self.assertEqual(self.stream("exception").splitlines()[-1], 'exception throttlingException {"message":"Too many requests"}')

    def test_an_event_stream_that_is_not_whole(self):
        for model, word in (("corrupt", "the checksum of a frame is wrong"), ("cut", "it ends within a frame")):
            e = self.d.refused("one", url=f"{self.server.base}/model/{model}/converse-stream", auth="aws", framing=4, body=BODY)
            self.assertEqual(e.kind, "protocol", model)
            self.assertIn(word, e.message)
        e = self.d.refused("one", url=f"{self.server.base}/x", auth="aws", framing=4)
        self.assertIn("it ends within a frame", e.message, "JSON is no event stream")

    def test_what_is_not_the_key_is_refused(self):
        self.assertIn("403\n", self.post("wrong"))
        self.assertIn("403\n", self.post("cold"), "a session's key without its token")
        self.assertIn("does not match", self.server.seen[-2]["verdict"])

    def test_half_a_pair_sends_nothing(self):
        n = len(self.server.seen)
        for user in ("none", "half"):
            e = self.d.refused(user, url=self.server.base + "/x", auth="aws")
            self.assertEqual((e.kind, e.data.get("upstream_code")), ("credentials_refused", "missing_credential"), e.__dict__)
        self.assertEqual(len(self.server.seen), n)

    def test_the_first_of_the_chain_that_the_user_has(self):
        self.assertIn("echo", self.post("one", auth="chain"))
        self.assertIn("Credential=AKIDONE/", self.server.seen[-1]["headers"]["authorization"])
        self.assertIn("echo", self.post("both", auth="chain"))
        self.assertEqual(self.server.seen[-1]["headers"]["authorization"], "Bearer canary-bearer")
        self.d.refused("none", url=self.server.base + "/x", auth="chain")

    def test_headers_of_the_signers_own_are_refused(self):
        n = len(self.server.seen)
        for name in ("x-amz-date", "X-Amz-Security-Token", "authorization", "Host", "x-amz-content-sha256"):
            e = self.d.refused("two", url=self.server.base + "/x", auth="aws", headers={name: "x"})
            self.assertIn("flow_open said -1", e.message, name)
        for region in ("us/east", "", "US", "x\ny"):
            self.assertIn("flow_open said -1", self.d.refused("one", url=self.server.base + "/x", auth="aws", region=region).message)
        self.assertEqual(len(self.server.seen), n)
        self.assertTrue(self.d.ask("two", url=self.server.base + "/x", auth="aws", headers={"X-Amz-Target": "a   b", "accept": "x/y"}).startswith("200\n"))


class HostKeys(unittest.TestCase):
    def test_a_users_own_key_comes_before_any_of_the_operators(self):
        with SigningServer(KEYS, bearers=["canary-bearer"]) as server:
            provider = f', base_url: "{server.base}", api_key: canary-bearer, session: "{TWO["session"]}"'
            with Requester(provider=provider, contexts="persistence: false, users_may_use_host_keys: true") as d:
                url = f"{server.base}/model/{ARN}/converse"
                d.configure("own", credentials=ONE)
                d.configure("lent")
                d.ask("own", url=url, auth="chain", body=BODY)
                d.ask("lent", url=url, auth="chain", body=BODY)
                own, lent = server.seen
                self.assertIn("Credential=AKIDONE/", own["headers"]["authorization"])
                self.assertNotIn("x-amz-security-token", own["headers"], "the operator's session is not mixed in")
                self.assertEqual([own["verdict"], lent["verdict"], lent["headers"]["authorization"]], ["accepted", "accepted", "Bearer canary-bearer"])


if __name__ == "__main__":
    unittest.main()
