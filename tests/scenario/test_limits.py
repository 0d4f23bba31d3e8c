"""One table over all bounds: each setting that bounds something is met here by somebody who goes too far, or names the test that does. He is told what, how much and
which setting it is, and when to come back where room comes by itself; meanwhile others are served; with room again he is served too."""
import collections
import pathlib
import re
import time
import unittest

from harness.client import RpcError
from harness.daemon import SLOW, SOURCE, Daemon, until
from harness.upstream import Upstream

SERVER = pathlib.Path(__file__).resolve().parent / "harness" / "mcp_server.py"
SHORT = f"{200 * SLOW}ms"


def patiently(ask):
    """Comes back when it is told to: a process that makes room takes its time to end."""
    end = time.monotonic() + 10 * SLOW
    while True:
        try:
            return ask()
        except RpcError as e:
            if "retry_ms" not in e.data or time.monotonic() > end:
                raise
            time.sleep(e.data["retry_ms"] / 1000)


class World:
    """A daemon with one setting set, a service, two MCP servers, and the users u and v."""

    def __init__(self, row):
        *groups, leaf = row.setting.split(".")
        self.up = Upstream()
        yaml = ["loops: 1", f"providers: {{Fake: {{plugin: openai, base_url: \"{self.up.base}\"}}}}"]
        yaml += ["mcp_servers:"] + [f"  {name}: {{command: [python3, {SERVER}, {mode}], stateful: true}}" for name, mode in (("one", row.mode), ("two", "normal"))]
        more = {"contexts": "persistence: false", "calls": "attempts: 1", "mcp": f"stop_grace: {SHORT}"}
        value = "{" + ", ".join(filter(None, [more.pop(groups[0], None), f"{groups[1]}: {{{leaf}: {row.value}}}" if len(groups) > 1 else f"{leaf}: {row.value}"])) + "}"
        yaml += [f"{groups[0]}: {value}"] + [f"{k}: {{{v}}}" for k, v in more.items()]
        self.d = Daemon("\n".join(yaml) + "\n")
        self.c = self.d.client
        self.slots, self.kept = [], None
        for user in row.users:
            patiently(lambda: self.configure(user))

    def configure(self, user):
        return self.c.call("configure", user=user, provider="Fake", model="model1", credentials={"api_key": "some-key-1"}, mcp_server={"name": "one"})

    def chat(self, user, text="hello", **more):
        return self.c.call("chat.complete", user=user, messages=[{"role": "user", "content": text}], **more)

    def use(self, user, name="whoami", session="a", **arguments):
        return self.c.call("tools.call", user=user, name=name, arguments=arguments, session=session)

    def send(self, user, text):
        """On a connection of its own, which ends with a message that is too large."""
        return self.d.connect().call("chat.complete", user=user, messages=[{"role": "user", "content": text}])

    def hold(self, method, **params):
        """A call that goes on until the end of the row."""
        self.slots.append(self.c.begin(method, **params))

    def hold_chat(self, user):
        self.up.faults = ["stall"]
        self.hold("chat.complete", user=user, messages=[{"role": "user", "content": "hello"}])
        until(lambda: self.up.chats(), what="the call's arrival at the service")

    def hold_tool(self, user, session="a"):
        patiently(lambda: self.use(user, session=session))
        self.hold("tools.call", user=user, name="slow", arguments={"seconds": 2 * SLOW}, session=session)

    def stall(self):
        self.up.faults = ["stall"]

    def submit(self, user):
        return self.c.call("task.submit", user=user, method="chat.complete", params={"messages": [{"role": "user", "content": "hello"}]})["task"]

    def hold_task(self, user):
        self.stall()
        self.kept = self.submit(user)
        until(lambda: not self.up.faults, what="the task's call at the service")

    def put(self, tag):
        self.c.call("profile.put", user="u", tag=tag, provider="Fake", model="model1", credentials={"api_key": "some-key-1"})

    def token(self):
        self.kept = self.c.call("token.create", service=True, label="x")["id"]

    def session(self, user):
        self.kept = self.c.call("session.create", user=user)["session"]
        return self.kept

    def turn(self, session):
        self.c.call("agent.run", user="u", session=session, input="hello")

    def let_go(self):
        self.up.released.set()
        for slot in self.slots:
            try:
                self.c.end(slot)
            except RpcError:
                pass
        self.slots = []

    def close(self):
        self.let_go()
        self.d.stop()
        self.up.close()


Row = collections.namedtuple("Row", "setting value fill ask kind room mode users other", defaults=[None, "normal", "uv", lambda w: w.chat("v")])
NOBODY = None  # in `other`: the bound is everybody's

# setting, its value, what fills it, the request that is too much, the error's kind; what makes room again (None: nothing does), ...
ROWS = [
    Row("limits.requests", 1, lambda w: w.hold_chat("u"), lambda w: w.chat("u"), "busy", World.let_go, other=NOBODY),
    Row("limits.requests_per_user", 1, lambda w: w.hold_chat("u"), lambda w: w.chat("u"), "user_busy", World.let_go),
    Row("limits.per_user.tasks", 1, lambda w: w.hold_task("u"), lambda w: w.submit("u"), "too_many_tasks", lambda w: w.c.call("task.cancel", user="u", task=w.kept)),
    Row("limits.per_user.requests_per_minute", 2, lambda w: w.chat("u"), lambda w: w.chat("u"), "rate_limited"),
    Row("limits.per_user.tokens_per_day", 5, lambda w: w.chat("u"), lambda w: w.chat("u"), "quota_exceeded"),
    Row("limits.profiles_per_user", 1, lambda w: w.put("a"), lambda w: w.put("b"), "too_many_profiles", lambda w: w.c.call("profile.delete", user="u", tag="a")),
    Row("limits.tokens", 1, lambda w: w.token(), lambda w: w.token(), "too_many_tokens", lambda w: w.c.call("token.revoke", id=w.kept)),
    Row("limits.message_bytes", "2KiB", None, lambda w: w.send("u", "x" * 4096), "message_too_large"),
    Row("limits.children", 1, lambda w: w.hold_tool("u"), lambda w: w.use("v"), "too_many_children", World.let_go, other=NOBODY),
    Row("limits.children_per_user", 1, lambda w: w.hold_tool("u"), lambda w: w.use("u", session="b"), "too_many_children", World.let_go, other=lambda w: patiently(lambda: w.use("v"))),
    Row("limits.mcp_connections", 1, lambda w: w.hold_tool("u"), lambda w: w.use("v"), "too_many_connections", World.let_go, other=NOBODY),
    Row("limits.mcp_connections_per_user", 1, lambda w: w.hold_tool("u"), lambda w: w.use("u", session="b"), "too_many_connections", World.let_go,
        other=lambda w: patiently(lambda: w.use("v"))),
    Row("contexts.max_users", 2, None, lambda w: w.configure("w"), "too_many_users", lambda w: w.c.call("context.delete", user="v"), other=lambda w: w.configure("v")),
    Row("sessions.per_user", 1, lambda w: w.session("u"), lambda w: w.session("u"), "too_many_sessions", lambda w: w.c.call("session.delete", user="u", session=w.kept),
        other=lambda w: w.c.call("session.create", user="v")),
    Row("sessions.turns", 1, lambda w: w.turn(w.session("u")), lambda w: w.turn(w.kept), "session_full", other=lambda w: w.session("v")),
    Row("calls.max_answer", "2KiB", None, lambda w: w.chat("u", "x" * 4096), "too_large"),
    Row("calls.attempt_timeout", SHORT, lambda w: w.stall(), lambda w: w.chat("u"), "timeout"),
    Row("calls.turn_timeout", SHORT, lambda w: w.stall(), lambda w: w.chat("u"), "timeout"),
    Row("calls.idle_timeout", SHORT, lambda w: w.stall(), lambda w: w.chat("u"), "timeout"),
    Row("calls.tool_timeout", SHORT, None, lambda w: w.use("u", "slow", seconds=30), "timeout"),
    Row("mcp.ready_timeout", SHORT, lambda w: w.c.call("context.set", user="u", fields={"provider": "Fake", "model": "model1", "mcp_server_name": "one"}), lambda w: w.use("u"), "timeout", mode="init_hangs", users="", other=NOBODY),
    Row("mcp.max_line", "2KiB", None, lambda w: w.use("u", "big", bytes=8192), "too_large"),
]

# Bounds that are met elsewhere: by which test. A C test is named as it is there.
ELSEWHERE = {
    "calls.attempts": "test_upstream.py::test_rate_and_server_errors_are_retried_and_then_told",
    "calls.connect_timeout": "test_upstream.py::test_nobody_there",
    "calls.max_steps": "test_turn.py::test_a_callers_limits_are_the_lower_ones",
    "calls.max_turn_tokens": "test_turn.py::test_a_callers_limits_are_the_lower_ones",
    "calls.max_cost": "test_turn.py::test_a_limit_on_cost_where_there_is_a_price",
    "calls.max_context": "test_turn.c",
    "calls.max_tool_result": "test_turn.py::test_large_results_are_cut_with_a_note_to_the_model",
    "limits.connections": "test_front_door.py::test_they_count_as_connections",
    "limits.requests_per_connection": "test_front_door.py::test_a_client_that_reads_nothing_is_bounded",
    "limits.bytes_per_connection": "test_front_door.py::test_a_client_that_reads_nothing_is_bounded",
    "limits.handshake_timeout": "test_front_door.py::test_a_connection_whose_reader_is_gone_goes_too",
    "limits.workers": "test_blocking.py::test_many_that_wait_hold_up_nobody",
    "limits.workers_per_user": "test_blocking.py::test_one_users_calls_leave_workers_and_room_for_others",
    "limits.worker_queue": "test_blocking.py::test_a_full_queue_says_when_to_come_back",
    "mcp.park_after": "test_mcp_health.py::test_its_time_over_one_attempt_is_let_through_and_the_next_wait_is_longer",
    "sessions.queue": "test_sessions.c::a_full_queue_is_busy_and_a_reserved_place_is_kept",
    "sessions.history": "test_limits.py::test_a_session_is_given_its_newest_turns",
    "mcp.max_tools": "test_limits.py::test_a_server_with_too_many_tools_has_the_first",
    "maintenance.session_retention.keep_per_user": "test_sessions.py::test_retention",
    "idempotency.entries": "test_idempotency.c",
    "idempotency.bytes": "test_idempotency.c",
    "tasks.per_user": "test_tasks.c",
    "tasks.entries": "test_tasks.c",
    "tasks.bytes": "test_tasks.c",
    "tasks.events": "test_tasks.c",
    "tasks.event_bytes": "test_tasks.py::test_a_slow_or_dead_poller_costs_a_bounded_amount",
    "watchdog.timeout": "test_life.py",
}
# Numbers that bound nothing: how many, how often, how long something stays or is waited for.
NO_BOUNDS = re.compile(r"^(loops|.*\.interval|.*_?max_age|.*\.keep|calls\.retry_base|.*\.stop_grace|mcp\.(idle_close|park_for|steady_after)|.*grace.*|shutdown.*)$")


class Bounds(unittest.TestCase):
    def error(self, ask, w):
        try:
            return self.fail(f"nothing was refused: {ask(w)}")
        except RpcError as e:
            return e

    def told(self, row, e):
        self.assertEqual(e.kind, row.kind, f"{e.message} {e.data}")
        self.assertIn(row.setting.split(".", 1)[1] if row.setting.startswith("contexts") else row.setting, e.message + " " + e.data.get("hint", ""))

    def test_who_goes_too_far(self):
        for row in ROWS:
            with self.subTest(row.setting):
                w = World(row)
                try:
                    if row.fill:
                        row.fill(w)
                    e = self.error(row.ask, w)
                    self.told(row, e)
                    if row.kind not in ("message_too_large", "too_large", "timeout", "unreachable", "session_full", "too_many_profiles", "too_many_sessions", "too_many_tokens"):
                        self.assertGreater(e.data.get("retry_ms", 0), 0, "it does not say when to come back")
                    if row.other:
                        row.other(w)
                    if row.room:
                        row.room(w)
                        until(lambda: self.served(row, w), what="being served again")
                finally:
                    w.close()

    @staticmethod
    def served(row, w):
        try:
            row.ask(w)
            return True
        except RpcError as e:
            if e.kind != row.kind:
                raise
            return False

    def test_a_session_is_given_its_newest_turns(self):
        w = World(Row("sessions.history", "2KiB", None, None, None))
        try:
            session = w.session("u")
            for word in ("oldest", "middle", "newest"):
                w.c.call("agent.run", user="u", session=session, input=word + " " + "x" * 600)
            w.c.call("agent.run", user="u", session=session, input="the question")
            sent = str(w.up.chats()[-1].json["messages"])
            self.assertIn("newest", sent)
            self.assertNotIn("oldest", sent)
        finally:
            w.close()

    def test_a_server_with_too_many_tools_has_the_first(self):
        w = World(Row("mcp.max_tools", 2, None, None, None))
        try:
            tools = w.c.call("tools.list", user="u")
            self.assertEqual(len(re.findall("'alias': 'one__", str(tools))), 2, tools)
            self.assertIn("more tools than mcp.max_tools", w.d.text())
        finally:
            w.close()

    def test_the_table_is_whole(self):
        rows = re.findall(r'^S\(\w+, "([\w.]+)", (?:INT|SIZE|TIME|AMOUNT),', (SOURCE / "core/config/settings.def").read_text(), re.M)
        bounds = {r for r in rows if not NO_BOUNDS.match(r)}
        named = {r.setting for r in ROWS} | set(ELSEWHERE)
        self.assertEqual(bounds - named, set(), "bounds that nobody meets")
        self.assertEqual(named - set(rows), set(), "no such settings")
        files = {p.name: p.read_text() for p in (SOURCE / "tests").rglob("test_*") if p.suffix in (".py", ".c")}
        for setting, place in ELSEWHERE.items():
            name, _, test = place.partition("::")
            self.assertIn(name, files, setting)
            self.assertTrue(re.search(rf"def {test}\(|, {test}\)" if test else ".", files[name]), f"{setting}: there is no {place}")


if __name__ == "__main__":
    unittest.main()
