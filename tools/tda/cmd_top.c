/* The daemon as it works, every two seconds, on the whole terminal: ncursesw draws, host.stats and host.info tell. Without a
 * terminal it is `tda stats` once. Rates are differences between two looks. */
#include <locale.h>
#include <ncurses.h>
#include <time.h>
#include <unistd.h>

#include "tda.h"

/* Keys are not heard while it waits for the daemon. */
enum {
    REFRESH_MS = 2000,
    PATIENCE_MS = 2000,
    RECONNECT_MS = 500,
    NAME_WIDTH = 26,
    ROWS_MAX = 256,
    NAME_BYTES = 64,
    PAGE_LINES = 300,
    PAGE_COLUMNS = 300
};

struct rate {
    char name[NAME_BYTES];
    uint64_t count;
};

struct top {
    const struct options *o;
    struct tda_client *client;
    struct json_doc *doc, *info_doc;
    struct json stats, info;
    struct rate before[ROWS_MAX]; /* what was counted at the last look */
    size_t n_before;
    uint64_t requests_before;
    double seconds; /* since the last look; 0: there was none */
    int64_t looked_ns;
    char fault[320]; /* the daemon does not answer */
};

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint64_t number(struct json v, const char *path) {
    int64_t n = 0;
    return json_i64(json_get(v, path), &n) && n > 0 ? (uint64_t)n : 0;
}

/* ---- looking ---- */

static bool ask(struct top *t, const char *method, struct json_doc **doc, struct json *ret) {
    struct tda_client_error e;
    char *reply = NULL;
    if (tda_client_call(t->client, method, "{}", &reply, &e)) {
        snprintf(t->fault, sizeof t->fault, "%s", e.message);
        return false;
    }
    json_free(*doc);
    *doc = NULL;
    bool ok = json_parse(tda_str_of(reply), 0, doc, NULL) == TDA_OK;
    free(reply);
    *ret = json_root(*doc);
    return ok;
}

static const char *const lists[] = {"methods", "providers", "servers"};

static struct json list_of(const struct top *t, size_t i) {
    char path[32];
    snprintf(path, sizeof path, "latency.%s", lists[i]);
    return json_get(t->stats, path);
}

/* Names of a method and of a provider may be the same: the list's number stands before. */
static void label(char out[NAME_BYTES], size_t list, struct json row) {
    tda_str name = json_str(json_key(row, TDA_STR("name")));
    snprintf(out, NAME_BYTES, "%zu%.*s", list, (int)(name.n < NAME_BYTES - 2 ? name.n : NAME_BYTES - 2), name.p ? name.p : "");
}

static void remember(struct top *t) {
    t->n_before = 0;
    t->requests_before = number(t->stats, "requests.total");
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (struct json row = json_first(list_of(t, i)); json_type(row) && t->n_before < ROWS_MAX; row = json_next(row)) {
            struct rate *r = &t->before[t->n_before++];
            label(r->name, i, row);
            r->count = number(row, "count");
        }
}

static void look(struct top *t) {
    int64_t now = now_ns();
    if (json_type(t->stats)) remember(t);
    t->fault[0] = 0;
    if (!ask(t, "host.stats", &t->doc, &t->stats)) return;
    t->seconds = t->looked_ns ? (double)(now - t->looked_ns) / 1e9 : 0;
    t->looked_ns = now;
}

static double per_second(const struct top *t, uint64_t count, uint64_t before) {
    return t->seconds > 0 && count >= before ? (double)(count - before) / t->seconds : 0;
}

static double rate_of(const struct top *t, size_t list, struct json row) {
    char name[NAME_BYTES];
    uint64_t count = number(row, "count");
    label(name, list, row);
    for (size_t i = 0; i < t->n_before; i++)
        if (strcmp(t->before[i].name, name) == 0) return per_second(t, count, t->before[i].count);
    return per_second(t, count, 0);
}

/* ---- drawing ---- */

static WINDOW *page; /* wider than most terminals, of which as much shows as there is: a narrow one cuts lines and wraps none */

static int bottom(void) {
    return (LINES < PAGE_LINES ? LINES : PAGE_LINES) - 1;
}

/* "0.4 ms", "12 ms", "3.1 s": four places are enough to see what is slow. */
static void put_time(uint64_t us) {
    if (us < 10000)
        wprintw(page, "%7.1f ms", (double)us / 1000);
    else if (us < 10000000)
        wprintw(page, "%7.0f ms", (double)us / 1000);
    else
        wprintw(page, "%7.0f s ", (double)us / 1e6);
}

static void put_clean(tda_str text, int width) {
    struct buf clean;
    buf_init(&clean, 4096);
    text_sanitise(text, &clean);
    wprintw(page, "%-*.*s", width, (int)(clean.n < (size_t)width ? clean.n : (size_t)width), clean.p ? clean.p : "");
    buf_fini(&clean);
}

static void draw_head(const struct top *t) {
    uint64_t up = number(t->stats, "uptime_s");
    wattron(page, A_BOLD);
    wprintw(page, "tdad ");
    wattroff(page, A_BOLD);
    put_clean(json_str(json_key(t->info, TDA_STR("version"))), 10);
    wprintw(page, " %s, up %llud %02llu:%02llu:%02llu, %llu loops\n",
            tda_str_eq(json_str(json_key(t->info, TDA_STR("mode"))), TDA_STR("shared")) ? "shared" : "per-user",
            (unsigned long long)(up / 86400), (unsigned long long)(up / 3600 % 24), (unsigned long long)(up / 60 % 60),
            (unsigned long long)(up % 60), (unsigned long long)number(t->info, "loops"));
    wprintw(page, "memory %llu MiB   descriptors %llu   children %llu   contexts %llu   MCP connections %llu\n",
            (unsigned long long)(number(t->stats, "resident_bytes") >> 20), (unsigned long long)number(t->stats, "descriptors"),
            (unsigned long long)number(t->stats, "children"), (unsigned long long)number(t->stats, "contexts"),
            (unsigned long long)number(t->stats, "calls.connections_open"));
    wprintw(page, "requests %.1f/s   in flight %llu of %llu users   errors %llu   refused %llu   tasks %llu   clients %llu\n\n",
            per_second(t, number(t->stats, "requests.total"), t->requests_before),
            (unsigned long long)number(t->stats, "requests.in_flight"),
            (unsigned long long)number(t->stats, "requests.users_in_flight"),
            (unsigned long long)number(t->stats, "requests.errors"), (unsigned long long)number(t->stats, "requests.refused"),
            (unsigned long long)number(t->stats, "tasks.running"), (unsigned long long)number(t->stats, "front_door.connections"));
}

static void draw_row(const struct top *t, size_t list, struct json row) {
    uint64_t failed = number(row, "failed");
    put_clean(json_str(json_key(row, TDA_STR("name"))), NAME_WIDTH);
    wprintw(page, "%10llu", (unsigned long long)number(row, "count"));
    if (failed && has_colors()) wattron(page, COLOR_PAIR(1));
    wprintw(page, "%9llu", (unsigned long long)failed);
    if (failed && has_colors()) wattroff(page, COLOR_PAIR(1));
    wprintw(page, "%10.1f", rate_of(t, list, row));
    put_time(number(row, "p50_us"));
    put_time(number(row, "p99_us"));
    put_time(number(row, "max_us"));
    waddch(page, '\n');
}

static void draw_list(const struct top *t, size_t list, const char *title) {
    struct json rows = list_of(t, list);
    if (!json_count(rows) || getcury(page) >= bottom() - 2) return;
    wattron(page, A_REVERSE);
    wprintw(page, "%-*s%10s%9s%10s%10s%10s%10s", NAME_WIDTH, title, "COUNT", "FAILED", "PER S", "P50", "P99", "MAX");
    wattroff(page, A_REVERSE);
    waddch(page, '\n');
    for (struct json row = json_first(rows); json_type(row) && getcury(page) < bottom() - 1; row = json_next(row))
        draw_row(t, list, row);
    waddch(page, '\n');
}

static void draw(const struct top *t) {
    werase(page);
    if (json_type(t->stats)) {
        draw_head(t);
        draw_list(t, 1, "PROVIDER (attempts)");
        draw_list(t, 2, "MCP SERVER (tool calls)");
        draw_list(t, 0, "METHOD");
    }
    wmove(page, bottom(), 0);
    wclrtoeol(page);
    if (t->fault[0]) wattron(page, A_REVERSE);
    put_clean(t->fault[0] ? tda_str_of(t->fault) : TDA_STR("q: quit   space: now"), COLS < PAGE_COLUMNS ? COLS : PAGE_COLUMNS - 1);
    if (t->fault[0]) wattroff(page, A_REVERSE);
    prefresh(page, 0, 0, 0, 0, bottom(), COLS - 1);
}

/* ---- the command ---- */

static void run(struct top *t) {
    setlocale(LC_ALL, "");
    initscr();
    cbreak();
    noecho();
    curs_set(0);
    if (has_colors() && is_colourful(STDOUT_FILENO)) {
        start_color();
        use_default_colors();
        init_pair(1, COLOR_RED, -1);
    }
    page = newpad(PAGE_LINES, PAGE_COLUMNS);
    wtimeout(page, REFRESH_MS);
    for (int key = 0; page && key != 'q' && key != 'Q' && key != 3; key = wgetch(page)) {
        look(t);
        draw(t);
    }
    endwin();
}

int cmd_top(const struct options *o) {
    static struct top t;
    if (o->json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) return cmd_stats(o);
    t.o = o;
    struct tda_client_options co = {.size = sizeof co, .url = o->socket, .timeout_ms = PATIENCE_MS, .reconnect_ms = RECONNECT_MS};
    struct tda_client_error e;
    int code = EXIT_OK;
    if (tda_client_open(&co, &t.client, &e)) return rpc_failed(o, NULL, &e);
    if (ask(&t, "host.info", &t.info_doc, &t.info)) look(&t);
    if (t.fault[0]) {
        fprintf(stderr, "tda: %s\n", t.fault);
        code = EXIT_UNREACHABLE;
    } else {
        run(&t);
    }
    json_free(t.doc);
    json_free(t.info_doc);
    tda_client_close(t.client);
    return code;
}
