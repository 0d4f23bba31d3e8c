"""Tasks as a client uses them."""
ENDED = ("complete", "error", "cancelled")


def submit(c, user, text, method="agent.run", **more):
    return c.call("task.submit", user=user, method=method, params={"input": text}, **more)["task"]


def follow(c, user, task, **more):
    """Polls to the end: (last reply, all events)."""
    after, events = 0, []
    while True:
        reply = c.call("task.poll", user=user, task=task, after=after, wait_ms=20000, **more)
        events += reply["events"]
        after = reply["next"]
        if reply["state"] in ENDED:
            return reply, events
