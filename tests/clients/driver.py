"""One call a line on stdin, its reply a line on stdout: what every driver of this folder does with its client.

call METHOD PARAMS     {"result": ...} or {"error": {code, message, kind, field, hint, retry_ms}}
stream METHOD PARAMS   {"events": [...], "state": ..., "result": ...} or {"events": [...], "error": {...}}; the input "cancel me" is cancelled once it runs"""
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "clients" / "python"))
from tda_client import Client, TdaError  # noqa: E402


def failure(e):
    return {"error": {"code": e.code or 0, "message": e.message, "kind": e.kind, "field": e.field or "", "hint": e.hint or "",
                      "retry_ms": -1 if e.retry_ms is None else e.retry_ms}}


def stream(client, method, params):
    events = []
    try:
        s = client.stream(method=method, **params)
        for event in s:
            events.append(event)
            if params.get("input") == "cancel me" and event["type"] == "start":
                s.cancel()
        return {"events": events, "state": s.state, "result": s.result}
    except TdaError as e:
        return {"events": events, **failure(e)}


def main():
    try:
        client = Client(reconnect=float(os.environ.get("RECONNECT_MS", "10000")) / 1000)
    except TdaError as e:
        print(json.dumps(failure(e)))
        return
    for line in sys.stdin:
        what, method, params = line.split(" ", 2)
        params = json.loads(params)
        try:
            reply = stream(client, method, params) if what == "stream" else {"result": client.call(method, **params)}
        except TdaError as e:
            reply = failure(e)
        print(json.dumps(reply), flush=True)
    client.close()


main()
