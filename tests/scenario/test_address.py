"""Where calls go and whose credentials go with them: hosts of a note and of the operator, addresses in a context's fields, vendors' variables. Asserted on what
the upstreams received, asked for by a plugin that tries whatever the question says."""
import tempfile
import unittest

from harness.daemon import run_tdad
from harness.requester import Requester
from harness.upstream import Upstream

PRIVATE = "egress: {allow_private: true}\n"
LENT = "persistence: false, users_may_use_host_keys: true"


def keys(up):
    return [s.key for s in up.seen]


class Hosts(unittest.TestCase):
    def test_one_label_is_free_and_credentials_follow_the_region(self):
        with Upstream() as home, Upstream() as other:
            note = f"host http://api.*.tda.localhost:{home.port}\nhost http://control.*.tda.localhost:{home.port}"
            with Requester(note=note, more=PRIVATE) as d:
                at = lambda region, name="api": f"http://{name}.{region}.tda.localhost:{home.port}/models"  # noqa: E731
                d.configure("u", aws_region="eu-1", credentials={"api_key": "canary-key-1"})
                for url in (at("eu-1"), at("us-2"), at("eu-1", "control")):
                    d.ask("u", url=url, auth="bearer")
                d.configure("u", aws_region="us-2")
                d.ask("u", url=at("us-2"), auth="bearer")
                self.assertEqual(keys(home), ["canary-key-1"] * 4, "a change of region keeps it")
                self.assertEqual([s.headers["host"].split(".")[1] for s in home.seen], ["eu-1", "us-2", "eu-1", "us-2"])
                for url in (at("eu.1"), at("x", "evil"), f"http://tda.localhost:{home.port}/models", other.base + "/models", home.base + "/models",
                            f"http://api.x.tda.localhost:{other.port}/models"):
                    self.assertIn("flow_open said -13", d.refused("u", url=url, auth="bearer").message, url)
                d.configure("u", aws_region="us-2", base_url=other.base)
                self.assertEqual(d.refused("u", url="+/models", auth="bearer").data.get("upstream_code"), "missing_credential", "a base_url drops it")
                d.ask("u", url="+/models")
                d.configure("u", aws_region="us-2", base_url=other.base, credentials={"api_key": "canary-key-2"})
                d.ask("u", url="+/models", auth="bearer")
                for url in (at("us-2"), at("eu-1", "control")):
                    self.assertEqual(d.refused("u", url=url, auth="bearer").data.get("upstream_code"), "missing_credential", "bound to base_url")
                d.configure("u", aws_region="us-2")
                self.assertEqual(d.refused("u", url=at("us-2"), auth="bearer").data.get("upstream_code"), "missing_credential")
            self.assertEqual(keys(home), ["canary-key-1"] * 4)
            self.assertEqual(keys(other), ["", "canary-key-2"])

    def test_the_operator_narrows_and_extends(self):
        with Upstream() as a, Upstream() as b:
            note = f"host http://127.0.0.1:{a.port}\nhost http://x.*.tda.localhost:{a.port}"
            hosts = f', hosts: ["http://*.y.tda.localhost:{b.port}"]'
            with Requester(note=note, provider=hosts, more=PRIVATE) as d:
                d.configure("u", credentials={"api_key": "canary-key-1"})
                for url in (a.base + "/models", f"http://x.z.tda.localhost:{a.port}/models", b.base + "/models", f"http://y.tda.localhost:{b.port}/models"):
                    self.assertIn("flow_open said -13", d.refused("u", url=url, auth="bearer").message, url)
                d.ask("u", url=f"http://x.y.tda.localhost:{b.port}/models", auth="bearer")
            with Requester(note=note, provider=", hosts: []", more=PRIVATE) as d:
                d.configure("u", credentials={"api_key": "canary-key-1"})
                self.assertIn("flow_open said -13", d.refused("u", url=a.base + "/models").message)
            self.assertEqual((keys(a), keys(b)), ([], ["canary-key-1"]))

    def tdad(self, what, hosts):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(f"providers: {{openai: {{hosts: {hosts}}}}}\n")
            f.flush()
            return run_tdad(what, "--config", f.name)

    def test_hosts_that_are_none_are_refused_at_start(self):
        for hosts, word in (('["https://*.com"]', "*.com"), ("[nonsense]", "nonsense"), ("{a: b}", "a list is wanted"), ('["https://u:p@a.b.c"]', "u:p@")):
            code, _, err = self.tdad("--check", hosts)
            self.assertEqual((code, "hosts" in err, word in err), (78, True, True), err)

    def test_explain_shows_them(self):
        _, out, _ = self.tdad("--explain", '["https://*.openai.example.com"]')
        self.assertRegex(out, r"providers.openai.hosts +https://\*.openai.example.com +\S+yaml:1:\d+")


class Fields(unittest.TestCase):
    """A note that says: address friendli_details.endpoint_url."""
    NOTE = "address friendli_details.endpoint_url"

    def details(self, up, **more):
        return {"endpoint_url": up.base, **more}

    def test_a_credential_stays_with_the_address_it_was_given_for(self):
        with Upstream() as a, Upstream() as b:
            with Requester(note=self.NOTE, more=PRIVATE) as d:
                c = d.client
                d.configure("u", friendli_details=self.details(a), credentials={"api_key": "canary-key-a"})
                self.assertEqual(d.ask("u", ask="base_url"), a.base, "what the plugin is told")
                d.ask("u", url="+/models", auth="bearer")
                self.assertIn("flow_open said -13", d.refused("u", url=b.base + "/models", auth="bearer").message)
                # moved by configure, by context.set, and away
                d.configure("u", friendli_details=self.details(b))
                self.assertEqual(d.refused("u", url="+/models", auth="bearer").data.get("upstream_code"), "missing_credential")
                d.configure("u", friendli_details=self.details(a), credentials={"api_key": "canary-key-a"})
                c.call("context.set", user="u", fields={"friendli_details": self.details(b)})
                self.assertEqual(d.refused("u", url="+/models", auth="bearer").data.get("upstream_code"), "missing_credential")
                d.ask("u", url="+/models")
                self.assertEqual((keys(a), keys(b)), (["canary-key-a"], [""]))
                # a path is no other address
                d.configure("u", friendli_details=self.details(b), credentials={"api_key": "canary-key-b"})
                d.ask("u", url="+/models?x", auth="bearer")
                d.configure("v", friendli_details=self.details(a), credentials={"api_key": "canary-key-v"})
                d.ask("v", url="+/models", auth="bearer")
                self.assertEqual((keys(a), keys(b)), (["canary-key-a", "canary-key-v"], ["", "canary-key-b"]))

    def test_a_token_within_the_details(self):
        with Upstream() as a, Upstream() as b:
            with Requester(note=self.NOTE, more=PRIVATE) as d:
                c = d.client
                d.configure("u", friendli_details=self.details(a, token="canary-token-a"), credentials={})
                d.ask("u", url="+/models", auth="token")
                c.call("context.set", user="u", fields={"friendli_details": self.details(b, token="canary-token-b")})
                d.ask("u", url="+/models", auth="token")
                # step by step, the provider last
                c.call("context.set", user="w", fields={"friendli_details": self.details(b, token="canary-token-w")})
                c.call("context.set", user="w", fields={"provider": "requester", "model": "m"})
                d.ask("w", url="+/models", auth="token")
                c.call("context.set", user="w", fields={"friendli_details": self.details(a)})
                d.refused("w", url="+/models", auth="token")
                self.assertEqual((keys(a), keys(b)), (["canary-token-a"], ["canary-token-b", "canary-token-w"]))

    def test_it_comes_before_base_url_and_is_a_users(self):
        with Upstream() as theirs, Upstream() as mine:
            provider = f', base_url: "{theirs.base}", api_key: canary-operators'
            with Requester(note=self.NOTE, provider=provider, more=PRIVATE, contexts=LENT) as d:
                d.configure("u")
                d.ask("u", url="+/models", auth="bearer")
                d.configure("u", friendli_details=self.details(mine))
                self.assertEqual(d.refused("u", url="+/models", auth="bearer").data.get("upstream_code"), "missing_credential")
                d.ask("u", url="+/models")
                d.configure("u", base_url=theirs.base, friendli_details=self.details(mine))
                d.ask("u", url="+/models")
                d.configure("u", friendli_details={"models_path": "/x"})
                d.ask("u", url="+/models", auth="bearer")
            self.assertEqual((keys(theirs), keys(mine)), (["canary-operators"] * 2, ["", ""]))

    def test_a_pattern_does_not_make_a_users_address_the_operators(self):
        with Upstream() as up:
            note = f"{self.NOTE}\nhost http://*.tda.localhost:{up.port}"
            with Requester(note=note, provider=", api_key: canary-operators", contexts=LENT) as d:
                url = f"http://of-the-user.tda.localhost:{up.port}"
                d.configure("u", friendli_details={"endpoint_url": url})
                self.assertEqual(d.refused("u", url="+/models", auth="bearer").data.get("upstream_code"), "missing_credential")
                self.assertIn("not allowed", d.refused("u", url="+/models").message, "judged as a user's address")
                d.ask("u", url=f"http://of-the-vendor.tda.localhost:{up.port}/models", auth="bearer")
            self.assertEqual(keys(up), ["canary-operators"])

    def test_a_plugin_that_moves_the_address_gets_no_credentials_there(self):
        with Upstream() as home, Upstream() as elsewhere:
            for note in (f"host http://*.tda.localhost:{home.port}", f"host {home.base[:-3]}"):
                with Requester(note=f"{self.NOTE}\n{note}", more=PRIVATE) as d:
                    d.configure("u", model="put:" + elsewhere.base, credentials={"api_key": "canary-key"})
                    self.assertEqual(d.ask("u", ask="base_url"), elsewhere.base)
                    self.assertEqual(d.refused("u", url="+/models", auth="bearer").data.get("upstream_code"), "missing_credential")
                    d.ask("u", url="+/models")
            self.assertEqual((keys(home), keys(elsewhere)), ([], ["", ""]))

    def test_what_is_no_address(self):
        with Requester(note=self.NOTE) as d:
            for url in ("nonsense", "ftp://a.b", "http://u:p@a.b/", "https://a.b/" + "x" * 3000, "http://a\\u0000b"):
                for e in (d.client.error("configure", user="u", provider="requester", model="m", friendli_details={"endpoint_url": url}),
                          d.client.error("context.set", user="u", fields={"provider": "requester", "friendli_details": {"endpoint_url": url}})):
                    self.assertEqual((e.kind, e.data.get("field")), ("invalid_url", "friendli_details.endpoint_url"), e.__dict__)
            d.configure("u", friendli_details={"endpoint_url": "http://127.0.0.1:1", "token": "canary"})
            self.assertIn("not allowed", d.refused("u", url="+/x", auth="token").message, "a private address")
            d.configure("u", friendli_details={"endpoint_url": "", "token": "canary"})
            self.assertEqual(d.ask("u", ask="base_url"), "(unset)")


class Variables(unittest.TestCase):
    NOTE = "env api_key TDATEST_FIRST_KEY\nenv api_key TDATEST_SECOND_KEY\nenv region TDATEST_REGION\nenv region TDATEST_DEFAULT_REGION\nenv base_url TDATEST_URL"

    def test_the_first_that_is_set_wins_and_users_get_none(self):
        with Upstream() as up:
            env = {"TDATEST_FIRST_KEY": "canary-first", "TDATEST_SECOND_KEY": "canary-second", "TDATEST_REGION": "", "TDATEST_DEFAULT_REGION": "r2",
                   "TDATEST_URL": up.base}
            for first, key in (({}, "canary-first"), ({"TDATEST_FIRST_KEY": ""}, "canary-second")):
                for contexts, user in (("persistence: true", None), (LENT, "u")):
                    up.seen.clear()
                    with Requester(note=self.NOTE, env={**env, **first}, contexts=contexts) as d:
                        who = {"user": user} if user else {}
                        d.client.call("configure", provider="requester", model="m", **who)
                        self.assertEqual(d.ask(user, ask="region"), "r2")
                        d.ask(user, url="+/models", auth="bearer")
                        self.assertEqual(keys(up), [key])
            up.seen.clear()
            with Requester(note=self.NOTE, env=env) as d:
                d.configure("u")
                self.assertEqual([d.ask("u", ask=x) for x in ("region", "base_url")], ["(unset)"] * 2, "they are for the shared context")
                self.assertIn("flow_open said -13", d.refused("u", url=up.base + "/models", auth="bearer").message)
                self.assertEqual(up.seen, [])


if __name__ == "__main__":
    unittest.main()
