from .errors import TdaError

WAIT_MS, GRACE_S = 20000, 15  # a poll's reply that is later than that will not come: the way is dead


class Stream:
    """A task's events as they come: {"type": "text", "text": ...}, "thinking", "tool_call", "tool_result", "usage", "warning", "end", ...

    Iteration ends with the task. An error of the task is raised; after cancel() it just ends. Then `state` is complete or cancelled, and
    `result` what the method gives when it is called without a stream. After Timeout or Unreachable iteration may go on: nothing is lost."""

    def __init__(self, client, method, params):
        self._client, self._after, self._events = client, 0, []
        self.dropped = 0  # events that the daemon had to drop, because nobody fetched them
        self.result = self._error = None
        outer = {k: params.pop(k) for k in ("user", "auth", "idempotency_key") if k in params}
        submitted = client.call("task.submit", method=method, params=params, **outer)
        self._user = {k: outer[k] for k in ("user", "auth") if k in outer}
        self.task, self.state = submitted["task"], submitted["state"]

    def cancel(self):
        """Ends the task, from any thread. What remains of its events still comes."""
        self._client.cancel(self.task, **self._user)

    def _poll(self):
        poll = self._client.call("task.poll", task=self.task, after=self._after, wait_ms=WAIT_MS, timeout=WAIT_MS / 1000 + GRACE_S, **self._user)
        self._events = [e for e in poll["events"] if e["n"] > self._after]
        self._after = max(self._after, poll["next"])
        self.dropped += poll.get("dropped", 0)
        self.state, self.result, self._error = poll["state"], poll.get("result"), poll.get("error")

    def __iter__(self):
        return self

    def __next__(self):
        while not self._events:
            if self.state == "error" and self._error:
                raise TdaError.of(self._error)
            if self.state not in ("pending", "running"):
                raise StopIteration
            self._poll()
        return self._events.pop(0)
