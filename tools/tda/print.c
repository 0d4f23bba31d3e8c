#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tda.h"

enum { GAP = 2 };

bool is_colourful(int fd) {
    const char *no = getenv("NO_COLOR");
    return isatty(fd) && !(no && no[0]);
}

static void print_clean(FILE *f, tda_str text) {
    struct buf clean;
    buf_init(&clean, SIZE_MAX / 4);
    text_sanitise(text, &clean);
    fwrite(clean.p, 1, clean.n, f);
    buf_fini(&clean);
}

void print_text(tda_str text) {
    print_clean(stdout, text);
    if (!text.n || text.p[text.n - 1] != '\n') putchar('\n');
}

void print_word(FILE *f, const char *before, tda_str word) {
    fputs(before, f);
    print_clean(f, word);
}

void print_raw(tda_str json) {
    fwrite(json.p, 1, json.n, stdout);
    putchar('\n');
}

static tda_str as_text(struct json v) {
    uint32_t type = json_type(v);
    if (type == TDA_JSON_NONE || type == TDA_JSON_NULL) return TDA_STR("-");
    return type == TDA_JSON_STRING ? json_str(v) : json_raw(v);
}

void print_value(struct json v) {
    print_text(as_text(v));
}

static void print_when(struct json error) {
    int64_t ms = -1;
    if (!json_i64(json_get(error, "data.retry_ms"), &ms) || ms <= 0) return;
    if (ms < 1000)
        fprintf(stderr, "     come back in %lld ms\n", (long long)ms);
    else if (ms < 120000)
        fprintf(stderr, "     come back in %lld s\n", (long long)(ms + 999) / 1000);
    else
        fprintf(stderr, "     come back in %lld min\n", (long long)(ms + 59999) / 60000);
}

void print_error(struct json error) {
    bool colour = is_colourful(2);
    tda_str hint = json_str(json_get(error, "data.hint"));
    if (!hint.n && tda_str_eq(json_str(json_get(error, "data.field")), TDA_STR("user")))
        hint = TDA_STR("say on whose behalf: --user NAME, or the variable TDA_USER");
    fputs(colour ? "\033[31mtda:\033[0m " : "tda: ", stderr);
    print_clean(stderr, json_str(json_key(error, TDA_STR("message"))));
    fputc('\n', stderr);
    if (hint.n) {
        fputs("     ", stderr);
        print_clean(stderr, hint);
        fputc('\n', stderr);
    }
    print_when(error);
}

/* ---- tables ---- */

void table_begin(struct table *t, size_t columns) {
    *t = (struct table){.columns = columns};
    buf_init(&t->cells, 64 << 20);
}

/* Cells are kept NUL-terminated, one after the other, on one line each. */
void table_cell(struct table *t, tda_str text) {
    size_t at = t->cells.n;
    text_sanitise(text, &t->cells);
    for (size_t i = at; i < t->cells.n; i++)
        if (t->cells.p[i] == '\n' || t->cells.p[i] == '\t') t->cells.p[i] = ' ';
    buf_add_char(&t->cells, 0);
    t->n++;
}

void table_value(struct table *t, struct json v) {
    table_cell(t, as_text(v));
}

/* Columns on a terminal: characters, not bytes. */
static size_t width(const char *cell) {
    size_t n = 0;
    for (; *cell; cell++) n += ((unsigned char)*cell & 0xc0) != 0x80;
    return n;
}

void table_print(struct table *t) {
    size_t widths[16] = {0}, i = 0;
    bool colour = is_colourful(1);
    if (t->cells.status || t->columns > ARRAY_LEN(widths)) return;
    const char *cell = t->cells.p;
    for (; i < t->n; i++, cell += strlen(cell) + 1)
        if (width(cell) > widths[i % t->columns]) widths[i % t->columns] = width(cell);
    cell = t->cells.p;
    for (i = 0; i < t->n; i++, cell += strlen(cell) + 1) {
        bool last = i % t->columns == t->columns - 1, heading = i < t->columns;
        if (heading && colour) fputs("\033[1m", stdout);
        fputs(cell, stdout);
        if (heading && colour) fputs("\033[0m", stdout);
        if (last)
            putchar('\n');
        else
            printf("%*s", (int)(widths[i % t->columns] - width(cell) + GAP), "");
    }
    buf_fini(&t->cells);
}

/* ---- input ---- */

tda_str read_all(const char *path, size_t max) {
    struct buf text;
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? 0 : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 1;
    buf_init(&text, max + 65536);
    while (n > 0 && text.n <= max && !buf_reserve(&text, 65536)) {
        n = read(fd, text.p + text.n, 65536);
        if (n > 0) text.n += (size_t)n;
    }
    if (n < 0 || text.n > max) {
        fprintf(stderr, "tda: %s: %s\n", is_stdin ? "stdin" : path, n < 0 ? strerror(errno) : "too large");
        buf_fini(&text);
        if (fd > 0) close(fd);
        return (tda_str){0};
    }
    if (fd > 0) close(fd);
    size_t size = text.n;
    if (!size) buf_add(&text, "", 0);
    char *p = buf_take(&text, &size);
    return (tda_str){p ? p : str_dup(TDA_STR("")), size};
}
