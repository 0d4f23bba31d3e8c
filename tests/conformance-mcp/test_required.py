"""The client scenarios that a revision of the protocol requires, through the adapter in a real host.

usage: test_required.py VERSION [SCENARIO ...]     prints a line for each scenario, then how many passed; exits with 0 when all did"""
import concurrent.futures
import sys
import time

import suite

# scenario: how many different checks succeed. None of them may fail or warn; fewer means that something was not tried.
CHECKS = {
    "2025-11-25": {
        "initialize": 1, "tools_call": 2, "elicitation-sep1034-client-defaults": 5, "sse-retry": 3, "auth/metadata-default": 15, "auth/metadata-var1": 15,
        "auth/metadata-var2": 15, "auth/metadata-var3": 15, "auth/basic-cimd": 10, "auth/scope-from-www-authenticate": 11,
        "auth/scope-from-scopes-supported": 11, "auth/scope-omitted-when-undefined": 11, "auth/scope-step-up": 12, "auth/scope-retry-limit": 10,
        "auth/token-endpoint-auth-basic": 16, "auth/token-endpoint-auth-post": 16, "auth/token-endpoint-auth-none": 16, "auth/pre-registration": 10,
    },
    "2026-07-28": {
        "tools_call": 2, "request-metadata": 6, "auth/metadata-default": 16, "auth/metadata-var1": 16, "auth/metadata-var2": 16, "auth/metadata-var3": 16,
        "auth/basic-cimd": 10, "auth/scope-from-www-authenticate": 12, "auth/scope-from-scopes-supported": 12, "auth/scope-omitted-when-undefined": 12,
        "auth/scope-step-up": 14, "auth/scope-retry-limit": 11, "auth/token-endpoint-auth-basic": 17, "auth/token-endpoint-auth-post": 17,
        "auth/token-endpoint-auth-none": 17, "auth/pre-registration": 10, "auth/resource-mismatch": 2, "auth/offline-access-scope": 10,
        "auth/offline-access-not-supported": 12, "auth/authorization-server-migration": 14, "auth/iss-supported": 12, "auth/iss-not-advertised": 12,
        "auth/iss-supported-missing": 8, "auth/iss-wrong-issuer": 8, "auth/iss-unexpected": 8, "auth/iss-normalized": 8,
        "auth/metadata-issuer-mismatch": 3, "sep-2322-client-request-state": 5, "http-standard-headers": 9, "http-custom-headers": 18,
        "http-invalid-tool-headers": 12, "json-schema-ref-no-deref": 1,
    },
}
AT_ONCE = 2


def main():
    version, only = sys.argv[1], sys.argv[2:]
    names = only or suite.required(version)
    begin, good, total = time.monotonic(), 0, 0
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for name, outcome in zip(names, pool.map(lambda n: suite.run(n, version), names)):
            least = CHECKS[version].get(name, 1)  # what is not required may be named, too
            fine = suite.passed(outcome, least)
            good += fine
            total += outcome.statuses["SUCCESS"]
            print(f"{'ok    ' if fine else 'FAILED'} {name}: exit {outcome.code}, {len(outcome.checks)} checks ({least} needed), {dict(outcome.statuses)}", flush=True)
            if not fine:
                print("    " + outcome.output[-6000:].replace("\n", "\n    "))
    line = f"{version}: {good} of {len(names)} scenarios passed, {total} checks"
    print(f"{line}, {time.monotonic() - begin:.0f} s")
    if not only:
        (suite.BUILD / f"mcp-conformance-{version}.txt").write_text(f"MCP conformance, {line}\n")
    return 0 if good == len(names) else 1


if __name__ == "__main__":
    sys.exit(main())
