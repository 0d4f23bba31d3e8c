"""The plugin amazon against a fake of Bedrock that checks signatures with AWS's own signer; acceptance lines 13 and 20. Asserted on what that fake received."""
import json
import re
import threading
import unittest

from harness.daemon import Daemon
from harness.peers import need_peers
from harness.requester import SigningServer

KEYS = {"AKIDONE": {"secret": "canary-secret-one/+1"}, "ASIATWO": {"secret": "canary-secret-two", "session": "canary-session//two=="}}
ONE = {"access_key_id": "AKIDONE", "secret_access_key": KEYS["AKIDONE"]["secret"]}
TWO = {"access_key_id": "ASIATWO", "secret_access_key": KEYS["ASIATWO"]["secret"], "session_token": KEYS["ASIATWO"]["session"]}
ARN = "arn:aws:bedrock:{}:123456789012:{}"
PROFILE, ANONYMOUS = "inference-profile/us.anthropic.claude-x-v1:0", "application-inference-profile/a1b2c3d4"
SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=(\w+)/\d{8}/([^/]+)/([^/]+)/aws4_request, ")


def setUpModule():
    need_peers()


def tdad(server, settings="", contexts="persistence: false", env=None):
    return Daemon(f'contexts: {{{contexts}}}\nplugins: {{load: [amazon]}}\ncalls: {{attempts: 1}}\nproviders: {{amazon: {{base_url: "{server.base}"{settings}}}}}\n', env=env)


def scope(seen):
    """(access key id, region, service)"""
    return SCOPE.match(seen["headers"]["authorization"]).groups()


class Amazon(unittest.TestCase):
    def setUp(self):
        self.server = SigningServer(KEYS, bearers=["canary-bearer"])
        self.addCleanup(self.server.close)

    def daemon(self, *args, **kwargs):
        d = tdad(self.server, *args, **kwargs)
        self.addCleanup(self.stop, d)
        return d

    def stop(self, d):
        log = d.text()
        d.stop()
        self.assertNotIn("canary", log)

    def configure(self, d, user, **more):
        return d.client.call("configure", **{"user": user, "provider": "amazon", "model": "amazon.nova-lite", "aws_region": "us-east-1", **more})

    def refused(self, d, user, **more):
        return d.client.error("configure", **{"user": user, "provider": "amazon", "model": "amazon.nova-lite", "aws_region": "us-east-1", **more})

    def ask(self, d, user, text="grüße 漢字", **more):
        return d.client.call("chat.complete", user=user, input=text, **more)["text"]

    def test_each_kind_of_name_is_signed(self):
        d = self.daemon()
        models = ("amazon.nova-lite", "anthropic.claude-3-5-sonnet-20241022-v2:0", ARN.format("us-east-1", PROFILE), ARN.format("us-east-1", ANONYMOUS), "odd name/ü")
        for user, credentials in (("one", ONE), ("two", TWO)):
            for model in models:
                self.configure(d, user, model=model, credentials=credentials)
                for stream in (False, True):
                    self.assertEqual(self.ask(d, user, stream=stream), "echo: grüße 漢字", f"{user} {model}")
        seen = self.server.seen
        self.assertEqual(len(seen), 2 * len(models) * 3, "a word to validate, two answers")
        self.assertEqual({s["verdict"] for s in seen}, {"accepted"})
        for i, s in enumerate(seen):
            key = "AKIDONE" if i < len(seen) // 2 else "ASIATWO"
            self.assertEqual(scope(s), (key, "us-east-1", "bedrock"))
            self.assertEqual(s["headers"].get("x-amz-security-token"), KEYS[key].get("session"))
        paths = {s["url"].rsplit("/", 1)[0] for s in seen}
        self.assertIn("/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-x-v1%3A0", paths)
        self.assertEqual({p.count("/") for p in paths}, {2}, "a model is one step")
        for secret in (ONE, TWO):
            self.assertNotIn(secret["secret_access_key"], json.dumps(seen))

    def test_what_is_not_the_key_is_refused(self):
        d = self.daemon()
        for credentials in ({**ONE, "secret_access_key": "canary-secret-1"}, {**TWO, "session_token": "canary-other"}, {k: TWO[k] for k in ("access_key_id", "secret_access_key")},
                            {"access_key_id": "AKIDNOBODY", "secret_access_key": "canary-x"}, {"bearer_token": "canary-unknown"}):
            e = self.refused(d, "u", credentials=credentials)
            self.assertEqual((e.kind, e.data["http_status"]), ("credentials_refused", 403), e.__dict__)
        self.assertNotIn("accepted", [s["verdict"] for s in self.server.seen])
        n = len(self.server.seen)
        e = self.refused(d, "u", credentials={"secret_access_key": "canary-half"})
        self.assertEqual((e.kind, e.data.get("upstream_code")), ("credentials_refused", "missing_credential"), e.__dict__)
        self.assertEqual(len(self.server.seen), n, "half a pair sends nothing")
        self.assertFalse(d.client.call("status", user="u")["configured"])

    def test_a_bearer_token_comes_first(self):
        d = self.daemon()
        self.configure(d, "u", credentials={**ONE, "bearer_token": "canary-bearer"})
        self.ask(d, "u")
        self.assertEqual({s["headers"]["authorization"] for s in self.server.seen}, {"Bearer canary-bearer"})

    def test_13_region_and_vendor_are_the_calling_users(self):
        d = self.daemon(", region: ap-south-1, api: invoke")
        anonymous = ARN.format("us-west-2", ANONYMOUS)
        self.configure(d, "u1", aws_region="eu-west-1", model=ARN.format("eu-west-1", PROFILE), credentials=ONE)  # its name says the vendor
        self.configure(d, "u2", aws_region="us-west-2", model=anonymous, credentials=TWO, model_provider_in_profile="anthropic")
        n = len(self.server.seen)
        e = self.refused(d, "u3", aws_region="us-west-2", model=anonymous, credentials=TWO)
        self.assertIn("model_provider_in_profile", e.message, "u2's is not his")
        for user in ("u1", "u2", "u2", "u1"):
            self.assertEqual(self.ask(d, user, stream=False), "echo: grüße 漢字")
        u1, u2 = ("AKIDONE", "eu-west-1", "bedrock"), ("ASIATWO", "us-west-2", "bedrock")
        self.assertEqual([scope(s) for s in self.server.seen[n:]], [u1, u2, u2, u1])
        for s in self.server.seen:
            self.assertEqual((s["url"].endswith("/invoke"), json.loads(s["body"])["anthropic_version"], s["verdict"]), (True, "bedrock-2023-05-31", "accepted"))

    def test_13_two_users_at_once_two_regions(self):
        d = self.daemon(", region: ap-south-1")
        who = {"u1": ("AKIDONE", "eu-west-1"), "u2": ("ASIATWO", "us-west-2"), "u3": ("AKIDONE", "ap-south-1"), "u4": ("ASIATWO", "eu-north-1")}
        self.configure(d, "u1", aws_region="eu-west-1", credentials=ONE)
        self.configure(d, "u2", aws_region="us-west-2", credentials=TWO)
        d.client.call("configure", user="u3", provider="amazon", model="amazon.nova-lite", credentials=ONE)  # the operator's
        self.configure(d, "u4", aws_region="eu-north-1", credentials=TWO)

        def many(user):
            c = d.connect()
            for i in range(25):
                self.assertEqual(c.call("chat.complete", user=user, input=f"{user} asks {i}", stream=i % 2 == 0)["text"], f"echo: {user} asks {i}")
            c.close()
        threads = [threading.Thread(target=many, args=(user,)) for user in who]
        [t.start() for t in threads]
        [t.join() for t in threads]
        asked = [(s, re.search(r"(u\d) asks", s["body"])) for s in self.server.seen]
        self.assertEqual(sum(m is not None for _, m in asked), 100)
        for s, m in asked:
            self.assertEqual(s["verdict"], "accepted")
            if m:
                self.assertEqual(scope(s), (*who[m[1]], "bedrock"), m[1])
        self.configure(d, "u1", aws_region="sa-east-1")
        self.ask(d, "u1")
        self.assertEqual(scope(self.server.seen[-1]), ("AKIDONE", "sa-east-1", "bedrock"), "a new region, the same credentials")

    def test_13_the_region_of_an_arn_counts_where_there_is_no_other(self):
        d = self.daemon()
        d.client.call("configure", user="u", provider="amazon", model=ARN.format("ca-central-1", PROFILE), credentials=ONE)
        self.assertEqual(scope(self.server.seen[-1]), ("AKIDONE", "ca-central-1", "bedrock"))
        n = len(self.server.seen)
        e = d.client.error("configure", user="v", provider="amazon", model="amazon.nova-lite", credentials=ONE)
        self.assertIn("aws_region", e.message)
        self.assertEqual(len(self.server.seen), n)

    def test_20_the_vendor_in_a_profile(self):
        d = self.daemon()
        for resource, vendor in ((PROFILE, "anthropic"), ("inference-profile/eu.mistral.pixtral-large-v1:0", "mistral"), ("foundation-model/zai.glm-4.7", "zai"),
                                 ("inference-profile/us-gov.amazon.nova-pro-v1:0", "amazon"), ("inference-profile/global.anthropic.claude-y", "anthropic"),
                                 (ANONYMOUS, None), ("provisioned-model/abc", None)):
            self.configure(d, "u", model=ARN.format("us-east-1", resource), credentials=ONE)
            self.assertEqual(d.client.call("context.get", user="u")["context"]["model_provider_in_profile"], vendor, resource)
            self.assertEqual(self.ask(d, "u"), "echo: grüße 漢字", "Converse needs no vendor")
        for resource, vendor in ((ANONYMOUS, "cohere"), (PROFILE, "anthropic")):
            self.configure(d, "u", model=ARN.format("us-east-1", resource), model_provider_in_profile="cohere", credentials=ONE)
            self.assertEqual(d.client.call("context.get", user="u")["context"]["model_provider_in_profile"], vendor, "the user's word, but the name's first")
        self.configure(d, "u", model="anthropic.claude-x-v1:0")
        self.assertIsNone(d.client.call("context.get", user="u")["context"]["model_provider_in_profile"], "a plain id is no profile")

    def test_20_invoke_model_wants_a_vendor(self):
        d = self.daemon(", api: invoke")
        for model in (ARN.format("us-east-1", ANONYMOUS), ARN.format("us-east-1", "inference-profile/us.meta.llama-x"), "nonsense"):
            e = self.refused(d, "u", model=model, credentials=ONE)
            self.assertEqual(e.kind, "upstream_refused", e.__dict__)
            self.assertIn("InvokeModel", e.message)
        self.assertEqual((self.server.seen, d.client.error("context.get", user="u").kind), ([], "not_configured"), "nothing was sent or committed")

    def test_20_an_empty_model_is_refused(self):
        d = self.daemon()
        self.configure(d, "u", credentials=ONE)
        before, n = d.client.call("context.get", user="u"), len(self.server.seen)
        for more in ({"model": ""}, {}):
            e = d.client.error("configure", user="u", provider="amazon", aws_region="eu-west-1", credentials=TWO, **more)
            self.assertEqual((e.kind, e.data["field"]), ("missing_model", "model"), e.__dict__)
        self.assertEqual((d.client.call("context.get", user="u"), len(self.server.seen)), (before, n), "nothing was sent or committed")
        self.ask(d, "u")
        self.assertEqual(scope(self.server.seen[-1]), ("AKIDONE", "us-east-1", "bedrock"))


class Environment(unittest.TestCase):
    def test_awss_own_variables(self):
        keys = {"AWS_ACCESS_KEY_ID": "ASIATWO", "AWS_SECRET_ACCESS_KEY": TWO["secret_access_key"], "AWS_SESSION_TOKEN": TWO["session_token"]}
        with SigningServer(KEYS, bearers=["canary-bearer"]) as server:
            place = {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": server.base, "AWS_DEFAULT_REGION": "eu-west-3"}
            for env, wanted in (({**keys, "AWS_REGION": "us-west-1"}, "us-west-1"), (keys, "eu-west-3"), ({**keys, "AWS_BEARER_TOKEN_BEDROCK": "canary-bearer"}, None)):
                with Daemon("contexts: {persistence: true}\nplugins: {load: [amazon]}\n", env={**place, **env}) as d:
                    d.client.call("configure", provider="amazon", model="amazon.nova-lite")
                    self.assertEqual(d.client.call("chat.complete", input="hello")["text"], "echo: hello")
                last = server.seen[-1]
                self.assertEqual(last["verdict"], "accepted")
                if wanted:
                    self.assertEqual(scope(last), ("ASIATWO", wanted, "bedrock"))
                else:
                    self.assertEqual(last["headers"]["authorization"], "Bearer canary-bearer")


if __name__ == "__main__":
    unittest.main()
