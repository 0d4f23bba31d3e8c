"""mcp-sqlite as MCP clients meet it: by hand over its pipes, and with the protocol's own SDK as the client."""
import json
import pathlib
import subprocess
import tempfile
import unittest

from harness.daemon import BIN, BUILD
from harness.peers import MODULES, NODE, NODE_DIR

SAMPLE = BIN.parent / "share" / "tda" / "sample.db"
SDK_CLIENT = """
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
const client = new Client({ name: "test", version: "1" });
await client.connect(new StdioClientTransport({ command: process.argv[2], args: [process.argv[3]] }));
const tools = (await client.listTools()).tools.map((t) => t.name);
const rows = await client.callTool({ name: "query", arguments: { sql: "SELECT count(*) AS n FROM customers" } });
const refused = await client.callTool({ name: "query", arguments: { sql: "DROP TABLE customers" } });
console.log(JSON.stringify({ tools, rows: rows.structuredContent.rows, refused: refused.isError, version: client.getServerVersion() }));
await client.close();
"""


def ask(*messages, args=(), database=SAMPLE, code=0):
    lines = "".join(m if isinstance(m, str) else json.dumps(m) + "\n" for m in messages)
    r = subprocess.run([str(BIN / "mcp-sqlite"), *args, str(database)], input=lines, capture_output=True, text=True, timeout=60)
    assert r.returncode == code, r.stderr
    return [json.loads(line) for line in r.stdout.splitlines()]


def call(name, args=(), **arguments):
    return ask({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}, args=args)[0]["result"]


def query(sql, *args):
    return call("query", args=args, sql=sql)


class Tools(unittest.TestCase):
    def test_tools(self):
        self.assertIn(["customers", "table"], call("list_tables")["structuredContent"]["rows"])
        self.assertEqual(call("describe_table", table="products")["structuredContent"]["rows"][0], ["id", "INTEGER", 0, 1])
        r = query("SELECT name, id FROM customers ORDER BY id LIMIT 1")
        self.assertEqual(r["structuredContent"], {"columns": ["name", "id"], "rows": [["Ada Lovelace", 1]], "truncated": False})
        self.assertEqual(json.loads(r["content"][0]["text"]), r["structuredContent"])

    def test_it_only_reads(self):
        with tempfile.TemporaryDirectory() as folder:
            before = SAMPLE.read_bytes()
            for sql in ("DELETE FROM orders", "INSERT INTO customers VALUES (99,'x','y','z')", "DROP TABLE orders", "CREATE TABLE x(y)", "PRAGMA user_version = 7",
                        f"ATTACH '{folder}/x.db' AS x", f"VACUUM INTO '{folder}/copy.db'", "SELECT load_extension('x')", "UPDATE orders SET day = 1", "BEGIN",
                        "SELECT 1; DELETE FROM orders", "PRAGMA query_only = 0", "REINDEX", "ANALYZE", ""):
                self.assertTrue(query(sql)["isError"], sql)
            self.assertEqual(SAMPLE.read_bytes(), before)
            self.assertEqual(list(pathlib.Path(folder).iterdir()), [])

    def test_bounds(self):
        r = query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n", "--row-limit", "10")
        self.assertEqual((len(r["structuredContent"]["rows"]), r["structuredContent"]["truncated"]), (10, True))
        r = query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n", "--timeout", "300")
        self.assertIn("300 ms", r["content"][0]["text"])
        self.assertTrue(query("SELECT zeroblob(100000000)")["isError"])
        self.assertLess(len(json.dumps(query("SELECT printf('%.*c', 1000000, 'x')"))), 100000)

    def test_errors_say_what_to_do(self):
        self.assertIn("there are: customers", query("SELECT * FROM custommers")["content"][0]["text"])
        self.assertIn("there are: customers", call("describe_table", table="nope")["content"][0]["text"])
        self.assertIn("sql", call("query")["content"][0]["text"])
        for message, code in (("nonsense\n", -32700), ({"jsonrpc": "2.0", "id": 1, "method": "nope"}, -32601), ({"id": 1, "method": "ping"}, -32600),
                              ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "nope"}}, -32602)):
            self.assertEqual(ask(message)[0]["error"]["code"], code)
        self.assertEqual(ask({"jsonrpc": "2.0", "method": "notifications/initialized"}), [])
        r = subprocess.run([str(BIN / "mcp-sqlite"), "/nonexistent.db"], capture_output=True, text=True, timeout=10)
        self.assertEqual((r.returncode, "/nonexistent.db" in r.stderr), (1, True))
        self.assertEqual(subprocess.run([str(BIN / "mcp-sqlite")], capture_output=True, timeout=10).returncode, 2)

    def test_a_file_that_is_no_database(self):
        with tempfile.NamedTemporaryFile(suffix=".db") as f:
            f.write(b"no database at all" * 1000)
            f.flush()
            ask(database=f.name, code=1)


class Sdk(unittest.TestCase):
    def test_the_protocols_own_client(self):
        self.assertTrue(MODULES.exists(), f"run tools/node-setup {BUILD}")
        script = NODE_DIR / "sqlite-client.mjs"
        script.write_text(SDK_CLIENT)
        r = subprocess.run([str(NODE), str(script), str(BIN / "mcp-sqlite"), str(SAMPLE)], capture_output=True, text=True, timeout=60)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(json.loads(r.stdout), {"tools": ["list_tables", "describe_table", "query"], "rows": [[8]], "refused": True,
                                                "version": {"name": "mcp-sqlite", "version": "0.1.0"}})


if __name__ == "__main__":
    unittest.main()
