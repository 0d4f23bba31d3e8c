"""What the scenario tests share: a real daemon, a client, a recording upstream. Python's standard library only."""
