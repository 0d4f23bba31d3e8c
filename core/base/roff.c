#include "base/roff.h"

enum { CELLS_MAX = 8 };

struct page {
    struct buf *out;
    tda_str heads[CELLS_MAX]; /* of the table that is being read */
    size_t n_heads;
    bool in_block;
};

/* ---- text ---- */

static bool starts(tda_str s, const char *with) {
    return s.n >= strlen(with) && memcmp(s.p, with, strlen(with)) == 0;
}

static void add_char(struct page *p, char c, bool code) {
    if (c == '\\')
        buf_add_z(p->out, "\\e");
    else if (c == '-' && code)
        buf_add_z(p->out, "\\-");
    else
        buf_add_char(p->out, c);
}

/* A line that begins with one of these would be an order. */
static void add_guard(struct page *p, tda_str s) {
    if (s.n && (s.p[0] == '.' || s.p[0] == '\'')) buf_add_z(p->out, "\\&");
}

static void add_text(struct page *p, tda_str s) {
    bool code = false;
    add_guard(p, s);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '`') {
            code = !code;
            buf_add_z(p->out, code ? "\\fB" : "\\fR");
        } else {
            add_char(p, s.p[i], code);
        }
    }
}

static void add_line(struct page *p, const char *order, tda_str text) {
    buf_add_z(p->out, order);
    add_text(p, text);
    buf_add_char(p->out, '\n');
}

static void add_block_line(struct page *p, tda_str s) {
    add_guard(p, s);
    for (size_t i = 0; i < s.n; i++) add_char(p, s.p[i], true);
    buf_add_char(p->out, '\n');
}

/* ---- tables ---- */

static tda_str trim(tda_str s) {
    while (s.n && s.p[0] == ' ') s = (tda_str){s.p + 1, s.n - 1};
    while (s.n && s.p[s.n - 1] == ' ') s.n--;
    return s;
}

static size_t split(tda_str line, tda_str cells[CELLS_MAX]) {
    size_t n = 0;
    for (const char *at = line.p + 1, *end = line.p + line.n; at < end && n < CELLS_MAX; n++) {
        const char *bar = memchr(at, '|', (size_t)(end - at));
        if (!bar) bar = end;
        cells[n] = trim((tda_str){at, (size_t)(bar - at)});
        at = bar + 1;
    }
    return n;
}

static void add_row(struct page *p, tda_str line) {
    tda_str cells[CELLS_MAX];
    size_t n = split(line, cells);
    const char *before = "";
    if (!p->n_heads) {
        memcpy(p->heads, cells, sizeof cells);
        p->n_heads = n;
        return;
    }
    if (n < 2 || starts(cells[0], "---")) return; /* the line below the heads */
    add_line(p, ".TP\n.B ", cells[0]);
    for (size_t i = 1; i + 1 < n; i++) {
        if (!cells[i].n) continue;
        buf_addf(p->out, "%s%.*s: ", before, STR_FMT(p->heads[i]));
        add_text(p, cells[i]);
        before = "; ";
    }
    if (before[0]) buf_add_z(p->out, ".\n.br\n");
    add_line(p, "", cells[n - 1]);
}

/* ---- lines ---- */

static tda_str skip(tda_str s, size_t n) {
    return (tda_str){s.p + n, s.n - n};
}

static void add(struct page *p, tda_str line) {
    if (starts(line, "```")) {
        p->in_block = !p->in_block;
        buf_add_z(p->out, p->in_block ? ".PP\n.EX\n" : ".EE\n");
        return;
    }
    if (p->in_block) {
        add_block_line(p, line);
        return;
    }
    if (!starts(line, "|")) p->n_heads = 0;
    if (starts(line, "|"))
        add_row(p, line);
    else if (starts(line, "### "))
        add_line(p, ".SS ", skip(line, 4));
    else if (starts(line, "## "))
        add_line(p, ".SH ", skip(line, 3));
    else if (starts(line, "- "))
        add_line(p, ".IP \\(bu 2\n", skip(line, 2));
    else if (line.n > 3 && line.p[0] >= '1' && line.p[0] <= '9' && line.p[1] == '.')
        add_line(p, ".IP \\(bu 2\n", skip(line, 3));
    else if (!line.n)
        buf_add_z(p->out, ".PP\n");
    else if (!starts(line, "# "))
        add_line(p, "", line);
}

void roff_page(const char *name, unsigned section, const char *summary, tda_str markdown, struct buf *out) {
    struct page p = {.out = out};
    buf_addf(
        out,
        ".\\\" Written by the program itself: do not change it here.\n.TH \"%s\" \"%u\" \"\" \"tda\" \"\"\n.nr HY 0\n.nh\n.ad l\n",
        name, section);
    buf_addf(out, ".SH NAME\n%s \\- %s\n", name, summary);
    for (size_t i = 0; i < markdown.n;) {
        const char *end = memchr(markdown.p + i, '\n', markdown.n - i);
        size_t n = end ? (size_t)(end - markdown.p) - i : markdown.n - i;
        add(&p, (tda_str){markdown.p + i, n});
        i += n + 1;
    }
}
