/* Findings: for people, as JSON, as TAP. */
#include <stdio.h>
#include <unistd.h>

#include "cmd.h"

enum { SHOWN = 5 };

static bool is_colourful(void) {
    const char *no = getenv("NO_COLOR");
    return isatty(1) && !(no && no[0]);
}

static const char *verdict(const struct result *r) {
    if (r->skipped) return "skipped";
    return has_failed(r) ? "failed" : "ok";
}

static const char *severity_name(enum severity s) {
    static const char *const names[] = {"note", "warning", "failure"};
    return names[s];
}

static size_t count_failed(const struct report *r) {
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) n += has_failed(r->results[i]);
    return n;
}

/* What a plugin printed or called itself cannot move the terminal's cursor. */
static void print_clean(const char *text) {
    for (; *text; text++) putchar((unsigned char)*text < ' ' || *text == 127 ? '?' : *text);
}

static void print_people(const struct report *r) {
    static const char *const colours[] = {"", "\033[33m", "\033[31m"};
    bool colour = is_colourful();
    size_t failed = count_failed(r);
    printf("%s %s, interface %u.%u: %s\n", r->note.id ? r->note.id : "?", r->note.version ? r->note.version : "?", r->abi_major,
           r->abi_minor, r->options->file);
    for (size_t i = 0; i < r->n; i++) {
        const struct result *c = r->results[i];
        const char *mark = !colour ? "" : has_failed(c) ? "\033[31m" : "\033[32m";
        printf("  %s%-8s%s %s\n", mark, verdict(c), colour ? "\033[0m" : "", c->name);
        for (size_t k = 0; k < c->n && k < SHOWN; k++) {
            printf("           %s%s: ", colour ? colours[c->findings[k].severity] : "", severity_name(c->findings[k].severity));
            print_clean(c->findings[k].text);
            printf("%s\n", colour ? "\033[0m" : "");
        }
        if (c->n > SHOWN) printf("           and %zu more: --json has all\n", c->n - SHOWN);
        if (c->rounds) printf("           %llu rounds\n", (unsigned long long)c->rounds);
    }
    printf("%s%s%s\n",
           !colour  ? ""
           : failed ? "\033[31m"
                    : "\033[32m",
           failed ? "it does not keep the contract" : "it keeps the contract", colour ? "\033[0m" : "");
}

static void print_tap(const struct report *r) {
    printf("TAP version 13\n1..%zu\n", r->n);
    for (size_t i = 0; i < r->n; i++) {
        const struct result *c = r->results[i];
        printf("%sok %zu - %s%s\n", has_failed(c) ? "not " : "", i + 1, c->name, c->skipped ? " # SKIP" : "");
        for (size_t k = 0; k < c->n; k++) {
            printf("# %s: ", severity_name(c->findings[k].severity));
            print_clean(c->findings[k].text);
            putchar('\n');
        }
    }
}

static void write_case(struct jw *w, const struct result *c) {
    jw_begin_object(w);
    jw_put_z(w, "name", c->name);
    jw_put_z(w, "result", verdict(c));
    if (c->rounds) jw_put_u64(w, "rounds", c->rounds);
    jw_open_array(w, "findings");
    for (size_t k = 0; k < c->n; k++) {
        jw_begin_object(w);
        jw_put_z(w, "severity", severity_name(c->findings[k].severity));
        jw_put_z(w, "text", c->findings[k].text);
        jw_end_object(w);
    }
    jw_end_array(w);
    jw_end_object(w);
}

static void print_json(const struct report *r) {
    struct buf out;
    struct jw w;
    buf_init(&out, 16 << 20);
    jw_init(&w, &out);
    jw_begin_object(&w);
    jw_put_z(&w, "file", r->options->file);
    jw_put_z(&w, "id", r->note.id);
    jw_put_z(&w, "version", r->note.version);
    jw_put_bool(&w, "passed", !count_failed(r));
    jw_open_array(&w, "cases");
    for (size_t i = 0; i < r->n; i++) write_case(&w, r->results[i]);
    jw_end_array(&w);
    jw_end_object(&w);
    printf("%.*s\n", STR_FMT(buf_str(&out)));
    buf_fini(&out);
}

int report_print(const struct report *r) {
    if (r->options->json)
        print_json(r);
    else if (r->options->tap)
        print_tap(r);
    else
        print_people(r);
    return count_failed(r) ? EXIT_FOUND : EXIT_OK;
}
