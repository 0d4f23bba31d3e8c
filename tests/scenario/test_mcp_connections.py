"""Connections to MCP servers: whose each is, how many there may be, how long one is kept. What counts is which process got whose call."""
import json
import pathlib
import sys
import tempfile
import unittest

from harness.client import RpcError
from harness.daemon import SLOW, Daemon, alive, until

SERVER = pathlib.Path(__file__).parent / "harness" / "mcp_server.py"


def command(mode="normal", *args):
    return f"command: [{', '.join([sys.executable, str(SERVER), mode, *args])}]"


def daemon(servers, more="", **options):
    """Servers: {name: what stands in its section}."""
    section = "".join(f"  {name}: {{{text}}}\n" for name, text in servers.items())
    return Daemon("loops: 1\ncontexts: {persistence: false}\n" + (more or "mcp: {stop_grace: 200ms}\n") + "mcp_servers:\n" + section, **options)


def configure(d, user, server):
    return d.client.call("configure", user=user, provider="offline", model="offline-1", mcp_server={"name": server})


def tool(d, user, name, **more):
    return d.client.call("tools.call", user=user, name=name, **more)["content"][0]["text"]


def whoami(d, user, **more):
    return json.loads(tool(d, user, "whoami", **more))


def children(d):
    return d.client.call("host.stats")["children"]


def running(d):
    calls = d.client.call("host.stats")["calls"]
    return calls["started"] - calls["finished"]


class Whose(unittest.TestCase):
    def test_a_stateful_server_has_a_process_for_each_session(self):
        with daemon({"s": command() + ", stateful: true"}) as d:
            configure(d, "a", "s")
            sessions = [d.client.call("session.create", user="a")["session"] for _ in range(2)]
            counts = [tool(d, "a", "count", session=s) for s in (*sessions, *sessions)] + [tool(d, "a", "count")]
            pids = [text.split()[1] for text in counts]
            self.assertEqual([text.split()[2] for text in counts], ["1", "1", "2", "2", "1"], "each keeps its own count")
            self.assertEqual((pids[0], pids[1]), (pids[2], pids[3]))
            self.assertEqual(len(set(pids)), 3, "one for each session, one for what is in none")

    def test_turns_of_a_session_go_to_its_process(self):
        with daemon({"s": command() + ", stateful: true"}) as d:
            configure(d, "a", "s")
            sessions = [d.client.call("session.create", user="a")["session"] for _ in range(2)]
            for s in sessions:
                d.client.call("agent.run", user="a", session=s, input="What is there?")
            self.assertEqual(len({whoami(d, "a", session=s)["pid"] for s in sessions}), 2)
            self.assertEqual(children(d), 3, "configure's, and no more than one for each session")

    def test_without_a_word_a_user_has_one_process(self):
        with daemon({"s": command()}) as d:
            configure(d, "a", "s")
            sessions = [d.client.call("session.create", user="a")["session"] for _ in range(2)]
            self.assertEqual(len({whoami(d, "a", session=s)["pid"] for s in sessions}), 1)
            self.assertEqual(children(d), 1)

    def test_the_session_s_hash_is_its_user_s(self):
        """What a server makes of ${session_hash}, a folder perhaps, is not reached by naming another's session."""
        with daemon({"s": command("normal", '"${session_hash}"') + ', env: {WHO: "${user_hash}"}'}) as d:
            for user in "ab":
                configure(d, user, "s")
            s = d.client.call("session.create", user="a")["session"]
            a, b, none = whoami(d, "a", session=s), whoami(d, "b", session=s), whoami(d, "a")
            self.assertEqual(len({a["argv"][2], b["argv"][2], none["argv"][2]}), 3)
            self.assertEqual(none["argv"][2], none["env"]["WHO"])
            self.assertEqual(a["env"]["WHO"], none["env"]["WHO"])
            self.assertNotEqual(a["env"]["WHO"], b["env"]["WHO"])

    def test_a_shared_server_has_one_process(self):
        with daemon({"s": command() + ", share: true"}, "limits: {children_per_user: 1, mcp_connections_per_user: 1}\n") as d:
            for user in "abc":
                configure(d, user, "s")
            counts = [tool(d, user, "count") for user in "abcabc"]
            self.assertEqual([text.split()[2] for text in counts], list("123456"))
            self.assertEqual(len({text.split()[1] for text in counts}), 1)
            self.assertEqual(d.client.call("host.stats")["calls"]["connections_open"], 1)
            pid = whoami(d, "a")["pid"]
            d.client.call("context.delete", user="a")
            self.assertEqual(whoami(d, "b")["pid"], pid, "it is nobody's, and outlives each of them")

    def test_two_shared_servers_are_not_mixed_up(self):
        with daemon({"s": command() + ", share: true, env: {MCP_NAME: first}", "t": command() + ", share: true, env: {MCP_NAME: second}"}) as d:
            configure(d, "a", "s")
            configure(d, "b", "t")
            self.assertEqual([whoami(d, user)["name"] for user in "abab"], ["first", "second"] * 2)

    def test_a_change_of_the_configuration_begins_anew(self):
        with daemon({"s": command(), "t": command()}) as d:
            configure(d, "a", "s")
            first = whoami(d, "a")["pid"]
            configure(d, "a", "t")
            second = whoami(d, "a")["pid"]
            self.assertNotEqual(first, second)
            until(lambda: not alive(first), what="the end of the former server's process")
            self.assertTrue(alive(second))


class HowMany(unittest.TestCase):
    def test_connections_of_a_user(self):
        with daemon({"s": command() + ", stateful: true"}, "limits: {mcp_connections_per_user: 2}\n") as d:
            configure(d, "a", "s")
            busy = [d.client.begin("tools.call", user="a", name="slow", arguments={"seconds": 3 * SLOW}, session=s) for s in ("one", "two")]
            until(lambda: running(d) == 2, what="both calls")
            e = d.client.error("tools.call", user="a", name="whoami", session="three")
            self.assertEqual(e.kind, "too_many_connections", e.message)
            self.assertIn("this user has 2", e.message)
            self.assertIn("mcp_connections_per_user", e.data["hint"])
            self.assertGreater(e.data["retry_ms"], 0)
            configure(d, "b", "s")
            whoami(d, "b")
            for slot in busy:
                d.client.end(slot)

    def test_an_idle_connection_makes_room(self):
        with daemon({"s": command() + ", stateful: true"}, "limits: {mcp_connections_per_user: 2}\n") as d:
            configure(d, "a", "s")
            one, two, three = (whoami(d, "a", session=s)["pid"] for s in ("one", "two", "three"))
            until(lambda: not alive(one), what="the end of the process that was idle the longest")
            self.assertTrue(alive(two) and alive(three))

    def test_connections_in_all(self):
        with daemon({"s": command()}, "limits: {mcp_connections: 2}\n") as d:
            for user in "ab":
                configure(d, user, "s")
            busy = [d.client.begin("tools.call", user=user, name="slow", arguments={"seconds": 2 * SLOW}) for user in "ab"]
            until(lambda: running(d) == 2, what="both calls")
            e = d.client.error("configure", user="c", provider="offline", model="offline-1", mcp_server={"name": "s"})
            self.assertEqual((e.kind, e.data["retry_ms"]), ("too_many_connections", 1000), e.message)
            self.assertEqual(children(d), 2)
            for slot in busy:
                d.client.end(slot)

    def test_who_idles_keeps_nobody_out(self):
        for limit in ("mcp_connections", "children"):
            with self.subTest(limit), daemon({"s": command()}, f"limits: {{{limit}: 2}}\n") as d:
                for user in "ab":
                    configure(d, user, "s")
                first, second = (whoami(d, user)["pid"] for user in "ab")
                e = d.client.error("configure", user="c", provider="offline", model="offline-1", mcp_server={"name": "s"})
                self.assertEqual(e.data["retry_ms"], 250, e.message)

                def configured():
                    try:
                        return configure(d, "c", "s")
                    except RpcError:
                        return None
                until(configured, what="room for one who has none")
                self.assertEqual((alive(first), alive(second)), (False, True), "the one idle the longest made room, and no other")


    def test_who_idles_keeps_nobody_out_whose_loop_is_another(self):
        """Users are spread over the loops, and the bound is of all of them."""
        with Daemon("loops: 4\ncontexts: {persistence: false}\nmcp: {stop_grace: 200ms}\nlimits: {children: 1}\n"
                    f"mcp_servers:\n  s: {{{command()}}}\n") as d:
            for user in "abcdefgh":
                def configured():
                    try:
                        return configure(d, user, "s")
                    except RpcError as e:
                        self.assertEqual(e.kind, "too_many_children", e.message)
                        return None
                until(configured, what=f"room for {user}, while another idles")
                self.assertEqual(children(d), 1)

    def test_children_of_a_user(self):
        with daemon({"s": command() + ", stateful: true"}, "limits: {children_per_user: 1}\n") as d:
            configure(d, "a", "s")
            busy = d.client.begin("tools.call", user="a", name="slow", arguments={"seconds": 2 * SLOW})
            until(lambda: running(d) == 1, what="the call")
            e = d.client.error("tools.call", user="a", name="whoami", session="two")
            self.assertEqual((e.kind, e.data["retry_ms"]), ("too_many_children", 1000), e.message)
            configure(d, "b", "s")
            self.assertEqual(children(d), 2)
            d.client.end(busy)

    def test_an_idle_process_makes_room(self):
        with daemon({"s": command() + ", stateful: true"}, "limits: {children_per_user: 1}\n") as d:
            configure(d, "a", "s")
            e = d.client.error("tools.call", user="a", name="whoami", session="two")
            self.assertEqual((e.kind, e.data["retry_ms"]), ("too_many_children", 250), e.message)
            self.assertIn("try again", e.data["hint"])

            def answered():
                try:
                    return whoami(d, "a", session="two")
                except RpcError:
                    return None
            until(answered, what="room")
            self.assertEqual(children(d), 1)


class HowLong(unittest.TestCase):
    def test_an_idle_one_is_closed_and_comes_back(self):
        with daemon({"s": command() + ", idle_close: 300ms", "t": command()}) as d:
            configure(d, "a", "s")
            configure(d, "b", "t")
            first, other = whoami(d, "a")["pid"], whoami(d, "b")["pid"]
            until(lambda: not alive(first), what="the end of an idle process")
            until(lambda: d.client.call("host.stats")["calls"]["connections_open"] == 1, what="its connection's")
            self.assertNotEqual(whoami(d, "a")["pid"], first)
            self.assertEqual(whoami(d, "b")["pid"], other, "the default is minutes")

    def test_a_call_is_no_idleness(self):
        with daemon({"s": command() + ", idle_close: 100ms"}) as d:
            configure(d, "a", "s")
            self.assertEqual(tool(d, "a", "slow", arguments={"seconds": 1.5}), "slept")

    def test_a_shared_one_is_closed_too(self):
        with daemon({"s": command() + ", share: true, idle_close: 300ms"}) as d:
            configure(d, "a", "s")
            pid = whoami(d, "a")["pid"]
            until(lambda: not alive(pid), what="the end of an idle process")
            self.assertNotEqual(whoami(d, "a")["pid"], pid)

    def test_the_sweep_of_contexts_ends_their_children(self):
        with daemon({"s": command() + ", stateful: true"}, "maintenance: {context_cleanup: {max_age: 1s, interval: 1s}}\nmcp: {stop_grace: 200ms}\n") as d:
            configure(d, "a", "s")
            pids = [whoami(d, "a", session=s)["pid"] for s in ("one", "two")]
            until(lambda: not any(alive(p) for p in pids), 20, what="the end of a swept user's processes")
            self.assertEqual(d.client.call("host.stats")["contexts"], 0)


class Nothing(unittest.TestCase):
    def test_restarts_leave_no_process_and_no_descriptor(self):
        def standing(d):
            launcher = [p for p in d.descendants() if "tda-launcher" in pathlib.Path(f"/proc/{p}/comm").read_text()][0]
            states = [pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()[0] for p in d.descendants()]
            return d.fds(), len(list(pathlib.Path(f"/proc/{launcher}/fd").iterdir())), len(states), states.count("Z")

        with daemon({"s": command("double_fork"), "t": command()}, "mcp: {stop_grace: 200ms}\n") as d:
            configure(d, "a", "s")
            configure(d, "b", "t")
            whoami(d, "a"), whoami(d, "b")
            before = standing(d)
            for i in range(15):
                for user in "ab":
                    d.client.call("mcp.restart", user=user)
                    whoami(d, user)
            until(lambda: children(d) == 2, what="the end of the former ones")
            until(lambda: standing(d) == before, what=f"what there was before: {before}, not {standing(d)}")


class Goodbye(unittest.TestCase):
    def test_servers_see_the_end_of_the_daemon_and_end_by_themselves(self):
        """A user's and a shared one: stdin is closed, and there is time to write what is left; nobody is killed."""
        with tempfile.TemporaryDirectory(prefix="tda-bye-", dir="/tmp") as folder:
            polite = f"command: [sh, -c, '{sys.executable} {SERVER}; echo bye >> {folder}/$0', NAME]"
            d = daemon({"own": polite.replace("NAME", "own"), "shared": polite.replace("NAME", "shared") + ", share: true"}, "mcp: {stop_grace: 20s}\n")
            configure(d, "a", "own")
            configure(d, "b", "shared")
            d.stop()
            self.assertEqual({p.name: p.read_text() for p in pathlib.Path(folder).iterdir()}, {"own": "bye\n", "shared": "bye\n"})


if __name__ == "__main__":
    unittest.main()
