/* mcp-sqlite: a SQLite database as an MCP server over stdin and stdout. Read-only. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "rpc.h"

enum { LINE_MAX_BYTES = 4 << 20, ANSWER_MAX = 32 << 20, EXIT_DATABASE = 1, EXIT_USAGE = 2 };

static const char usage[] = "mcp-sqlite: a SQLite database as an MCP server (stdio, read-only)\n\n"
                            "usage: mcp-sqlite [OPTIONS] DATABASE\n\n"
                            "  -r, --row-limit N   rows of one answer (default 1000)\n"
                            "  -t, --timeout MS    time of one query (default 5000)\n"
                            "  -V, --version       print the version\n"
                            "  -h, --help          print this\n\n"
                            "Tools: list_tables, describe_table {table}, query {sql}.\n\n"
                            "examples:\n"
                            "  mcp-sqlite shop.db\n"
                            "  echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}' | mcp-sqlite shop.db\n\n"
                            "In a client's configuration: {\"command\": \"mcp-sqlite\", \"args\": [\"/path/to/shop.db\"]}\n";

static bool write_all(const char *p, size_t n) {
    while (n) {
        ssize_t done = write(1, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

static bool answer_line(struct db *db, const char *name, tda_str line, struct buf *out) {
    while (line.n && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == ' ')) line.n--;
    if (!line.n) return true;
    rpc_line(db, name, line, out);
    if (!out->n) return true;
    return buf_add_char(out, '\n') == TDA_OK && write_all(out->p, out->n);
}

/* Until stdin ends. */
static int serve(struct db *db, const char *name) {
    static char chunk[64 << 10];
    struct buf in, out;
    bool ok = true;
    buf_init(&in, LINE_MAX_BYTES);
    buf_init(&out, ANSWER_MAX);
    while (ok) {
        ssize_t n = read(0, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        if (buf_add(&in, chunk, (size_t)n)) {
            fprintf(stderr, "mcp-sqlite: a line of more than %d bytes\n", LINE_MAX_BYTES);
            break;
        }
        size_t at = 0;
        for (char *lf; ok && (lf = memchr(in.p + at, '\n', in.n - at)); at = (size_t)(lf - in.p) + 1)
            ok = answer_line(db, name, (tda_str){in.p + at, (size_t)(lf - in.p) - at}, &out);
        buf_drop_front(&in, at);
    }
    ok = ok && !in.status;
    buf_fini(&in);
    buf_fini(&out);
    return ok ? 0 : EXIT_DATABASE;
}

static int64_t number(const char *text, const char *option) {
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (!errno && end != text && !*end && v > 0 && v <= 100000000) return v;
    fprintf(stderr, "mcp-sqlite: %s wants a whole number from 1 to 100000000, not \"%s\"\n", option, text);
    exit(EXIT_USAGE);
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"row-limit", required_argument, NULL, 'r'},
                                            {"timeout", required_argument, NULL, 't'},
                                            {"version", no_argument, NULL, 'V'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct db_limits limits = {.rows = 1000, .timeout_ms = 5000, .bytes = 4 << 20, .cell = 8192};
    struct db *db;
    char why[400] = "out of memory";
    for (int opt; (opt = getopt_long(argc, argv, "r:t:Vh", options, NULL)) != -1;) switch (opt) {
        case 'r': limits.rows = number(optarg, "--row-limit"); break;
        case 't': limits.timeout_ms = number(optarg, "--timeout"); break;
        case 'V': puts("mcp-sqlite " MCP_SQLITE_VERSION); return 0;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs("try: mcp-sqlite --help\n", stderr); return EXIT_USAGE;
        }
    if (argc - optind != 1) {
        fprintf(stderr, "mcp-sqlite: one database is wanted\ntry: mcp-sqlite --help\n");
        return EXIT_USAGE;
    }
    signal(SIGPIPE, SIG_IGN);
    if (!db_open(argv[optind], &limits, &db, why, sizeof why)) {
        fprintf(stderr, "mcp-sqlite: %s: %s\n", argv[optind], why);
        return EXIT_DATABASE;
    }
    const char *slash = strrchr(argv[optind], '/');
    int code = serve(db, slash ? slash + 1 : argv[optind]);
    db_close(db);
    return code;
}
