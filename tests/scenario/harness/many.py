"""Many users with a private server each, who come and expire."""
import concurrent.futures
import json
import pathlib
import time

from .daemon import BIN, BUILD, SLOW, Daemon, until


def zombies(d):
    """Children of the daemon, at any depth, that ended and were not waited for."""
    found = []
    for pid in d.descendants():
        try:
            if pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                found.append(pid)
        except OSError:
            pass
    return found


SQLITE = {"command": [f"{BIN}/mcp-sqlite", f"{BUILD}/share/tda/sample.db"]}
QUERY = ("query", {"sql": "SELECT count(*) FROM customers"})


def come(d, users, tool):
    """All of them configure the server and use its tool."""

    def one(i):
        c = d.connect()
        c.call("configure", user=f"u{i}", provider="offline", model="offline-1", mcp_server={"name": "own"})
        assert c.call("tools.call", user=f"u{i}", name=tool[0], arguments=tool[1])["is_error"] is False
        c.close()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(users)))


def come_and_go(users, rounds=2, server=SQLITE, tool=QUERY, gone=lambda: True):
    """Returns figures. Fails when processes, descriptors or memory do not return to where they were; gone: nor anything at the far end."""
    yaml = ("contexts: {persistence: false}\nlog: {level: error}\nmaintenance: {context_cleanup: {interval: 1d, max_age: 1s}}\nlimits: {children: 1000}\n"
            f"mcp_servers: {json.dumps({'own': server})}\n")
    kept = 4 if "command" in server else users // 2  # idle connections to a url are kept for whoever is next: as many as were used at once
    with Daemon(yaml) as d:
        come(d, 2, tool)  # what is made once: threads, pools
        expire(d)
        processes, descriptors, memory = len(d.descendants()), d.fds() if "command" in server else 0, []
        for _ in range(rounds):
            come(d, users, tool)
            children = d.stats()["children"]
            assert children == (users if "command" in server else 0), f"{children} children for {users} users"
            expire(d)
            descriptors = descriptors or d.fds()
            until(lambda: d.fds() <= descriptors + kept, what=f"{descriptors} descriptors as before; there are {d.fds()}")
            until(gone, what="the end of what was at the far end")
            assert len(d.descendants()) <= processes, d.descendants()
            assert not zombies(d), zombies(d)
            memory.append(d.rss())
        grown = memory[-1] - memory[0]
        assert grown < (4 << 20) * SLOW, f"memory after each round: {memory}"
        return {"users": users, "processes": processes, "descriptors": descriptors, "memory": memory}


def expire(d):
    """They have been idle for long enough: one sweep takes them all."""
    time.sleep(1.1)
    d.client.call("job.run", name="context_cleanup")
    until(lambda: d.stats()["contexts"] == 0, what="the end of all contexts")
    until(lambda: d.stats()["children"] == 0, seconds=30, what="the end of all children")


def rotate(users, group=5000, connections=4):
    """Users come once, are configured and expire, group by group. Returns resident bytes after each group; fails when the second half of them grows."""
    with Daemon("contexts: {persistence: false}\nlog: {level: error}\nmaintenance: {context_cleanup: {interval: 1d, max_age: 1s}}\n"
                f"limits: {{requests_per_connection: 1000}}\n") as d:
        clients = [d.connect() for _ in range(connections)]

        def some(k):
            for first in range(begin + k * 100, begin + group, connections * 100):
                slots = [clients[k].begin("context.set", user=f"user-{i}", fields={"model": f"model-{i}", "mcp_server_name": "s"}) for i in range(first, first + 100)]
                for slot in slots:
                    clients[k].end(slot)

        memory = []
        for begin in range(0, users, group):
            with concurrent.futures.ThreadPoolExecutor(connections) as pool:
                list(pool.map(some, range(connections)))
            assert d.stats()["contexts"] == group, d.stats()["contexts"]
            expire(d)
            memory.append(d.rss())
        for c in clients:
            c.close()
        settled = memory[len(memory) // 2 - 1]  # the allocator has found its places by then
        assert memory[-1] - settled < (1 << 20) * SLOW, f"memory after each {group} users: {memory}"
        return memory
