/* `tda plugin check FILE`: the file without executing it, then the contract, case by case. */
#include <stdio.h>
#include <sys/mman.h>

#include "cmd.h"

static const struct {
    const char *name;
    case_fn fn;
    bool only_provider, blocking_too;
} cases[] = {
    {"loads, boots, opens and closes", case_load, false, true},
    {"refuses interfaces that do not exist", case_interface, false, true},
    {"survives hosts of other versions and tables cut at every field", case_tables, false, true},
    {"answers: every call has one end and one drop", case_answers, false, true},
    {"answers cut at every byte say the same", case_split, false, false},
    {"cancel, deadline, broken connection and cut answer at every event", case_cancel, false, false},
    {"an event that the host does not take, at every event", case_refusals, false, false},
    {"hostile requests", case_requests, true, true},
    {"hostile configuration", case_settings, false, true},
    {"many calls leave nothing behind", case_leaks, false, true},
    {"two instances on two threads", case_threads, false, true},
};

static struct result *add_result(struct report *r, const char *name) {
    struct result *x = mmap(NULL, sizeof *x, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (x == MAP_FAILED || r->n == CASES_MAX) return NULL;
    x->name = name;
    r->results[r->n++] = x;
    return x;
}

/* What the checker must know of the tables before it can play to them, learnt in a child: nothing of the plugin runs in this
 * process. */
struct kinds {
    bool loaded, provider, adapter, blocking;
};
static struct kinds *kinds;

static void look(const struct check *c, struct result *r) {
    struct tda_test *t = open_instance(c, r);
    if (!t) return;
    const struct loaded *m = t->module;
    *kinds = (struct kinds){true, m->provider != NULL, m->adapter != NULL, m->provider && (m->provider->flags & TDA_P_BLOCKING)};
    close_instance(t, r, "loading");
}

static tda_status gather(const struct options *o, const struct note *note, struct fixtures *fixtures, struct error *e) {
    const struct tda_provider some_provider = {0};
    const struct tda_adapter some_adapter = {0};
    struct loaded m = {
        .provider = kinds->provider ? &some_provider : NULL, .adapter = kinds->adapter ? &some_adapter : NULL, .note = *note};
    tda_status s = o->fixtures ? fixtures_read(o->fixtures, fixtures, e) : TDA_OK;
    if (!s) fixtures_generic(&m, fixtures);
    return s || fixtures->n ? s : error_set(e, TDA_E_NOMEM, NULL, "no memory");
}

static void run_cases(const struct check *c, struct report *report) {
    bool hopeless = false;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct result *r = add_result(report, cases[i].name);
        if (!r) return;
        r->skipped = hopeless || (cases[i].only_provider && !kinds->provider) || (kinds->blocking && !cases[i].blocking_too);
        if (!r->skipped) run_case(c, cases[i].name, cases[i].fn, c->options->deadline_s, r);
        if (r->hopeless) found(r, NOTE, "what follows is left out: it would take for ever");
        hopeless |= r->hopeless;
    }
}

static void run_fuzz(const struct check *c, struct report *report) {
    static char name[96]; /* until the report is printed */
    struct result *r = add_result(report, name);
    if (!r) return;
    snprintf(name, sizeof name, "spoilt answers, seed 0x%llx", (unsigned long long)c->options->seed);
    run_case(c, name, case_fuzz, c->options->fuzz_s + c->options->deadline_s, r);
}

static int contract(const struct options *o, struct report *report) {
    struct fixtures fixtures = {0};
    struct error e = {.retry_ms = -1};
    struct check c = {.options = o, .file = o->file, .fixtures = &fixtures, .note = &report->note};
    struct result *r = add_result(report, "loads");
    kinds = mmap(NULL, sizeof *kinds, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!r || kinds == MAP_FAILED) return usage("no memory");
    run_case(&c, r->name, look, o->deadline_s, r);
    if (!kinds->loaded) {
        if (!r->n) found(r, FAILURE, "it cannot be loaded");
        return EXIT_OK;
    }
    if (gather(o, &report->note, &fixtures, &e)) return usage("%s", e.text);
    report->n--; /* the first case says the same, and more */
    if (!o->reproduce) run_cases(&c, report);
    if (o->fuzz_s || o->reproduce) run_fuzz(&c, report);
    fixtures_free(&fixtures);
    return EXIT_OK;
}

int cmd_check(const struct options *o) {
    struct report report = {.options = o};
    struct error e = {.retry_ms = -1};
    struct audit audit;
    struct result *r = add_result(&report, "the file, without executing it");
    if (!r) return usage("no memory");
    tda_status s = audit_file(o->file, &audit, &e);
    report.note = audit.note;
    report.abi_major = audit.abi.abi_major;
    report.abi_minor = audit.abi.abi_minor;
    if (s == TDA_E_NOT_FOUND) return usage("%s", e.text);
    if (s)
        found(r, FAILURE, "it is no plugin of this host: %s%s%s", e.text, e.hint[0] ? "; " : "", e.hint);
    else
        audit_judge(&audit, r);
    int code = s || audit.abi.abi_major != TDA_ABI_MAJOR || audit.abi.abi_minor != TDA_ABI_MINOR ? EXIT_OK : contract(o, &report);
    if (!code) code = report_print(&report);
    audit_fini(&audit);
    return code;
}
