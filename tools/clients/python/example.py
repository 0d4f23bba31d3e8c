#!/usr/bin/env python3
"""Ask as one user, and read the answer as it comes. TDA_SOCKET says where the daemon is."""
import sys

from tda_client import Client, TdaError

with Client(user="alice") as tda:
    tda.configure(provider="offline", model="offline-1")
    try:
        stream = tda.stream(" ".join(sys.argv[1:]) or "Who is there?")
        for event in stream:
            if event["type"] == "text":
                print(event["text"], end="", flush=True)
            elif event["type"] == "tool_call":
                print(f"[{event['tool']} {event['args']}]")
    except KeyboardInterrupt:
        stream.cancel()
    except TdaError as error:
        sys.exit(f"{error.kind}: {error}")
    print()
