/* Inside of `tda plugin`: what its commands share.
 *
 *   main.c       commands and options
 *   audit.c      a file judged without executing any of it
 *   fixture.c    recorded conversations with a service, from files; generic.c those that fit every plugin
 *   play.c       one conversation played to the plugin, in whichever way
 *   child.c      a case in a process of its own, with limits and a deadline; state.c what a plugin must leave as it was
 *   cases.c, hostile.c, tables.c, fuzz.c   the contract
 *   report.c     findings for people, as JSON, as TAP
 *   list.c, bench.c, new.c                 the other commands */
#ifndef CMD_H
#define CMD_H

#include "../host/kit.h"
#include "json/json.h"

enum exit_code { EXIT_OK = 0, EXIT_FOUND = 1, EXIT_USAGE = 2 };

struct options {
    const char *file;
    const char *fixtures; /* a folder, or NULL */
    const char *dir, *lang, *kind;
    bool json, tap, help;
    unsigned calls, fuzz_s, deadline_s;
    uint64_t seed; /* 0: from the clock */
    bool reproduce;
};

int usage(const char *fmt, ...) PRINTF_LIKE(1, 2);
int cmd_list(const struct options *o);
int cmd_info(const struct options *o);
int cmd_check(const struct options *o);
int cmd_bench(const struct options *o);
int cmd_new(const struct options *o);

/* ---- findings ---- */

enum severity { NOTE, WARNING, FAILURE };
enum { FINDINGS_MAX = 48, FINDING_SIZE = 600, STEP_SIZE = 200, CASES_MAX = 64 };

struct finding {
    enum severity severity;
    char text[FINDING_SIZE];
};

/* Of one case; lies in memory that the child shares with its parent. */
struct result {
    const char *name;
    char step[STEP_SIZE]; /* what is being done, for the sentence about a crash */
    char callback[32];
    uint64_t seed; /* fuzz: of the round that runs */
    uint64_t rounds;
    bool finished, skipped;
    unsigned blocked; /* how often a callback waited */
    bool hopeless;    /* it blocks: what else is played would take for ever */
    size_t n;
    struct finding findings[FINDINGS_MAX];
};

/* One sentence: what, where, what to do. The same one is told once. */
void found(struct result *r, enum severity severity, const char *fmt, ...) PRINTF_LIKE(3, 4);
void step(struct result *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool has_failed(const struct result *r);

struct report {
    const struct options *options;
    struct note note;
    uint32_t abi_major, abi_minor;
    struct result *results[CASES_MAX];
    size_t n;
};
int report_print(const struct report *r); /* the exit code */

/* ---- audit.c ---- */

struct audit {
    char *bytes;
    size_t size;
    struct elf_facts_of_note {
        uint32_t abi_major, abi_minor;
    } abi;
    struct note note;
    const char *needed[32];
    size_t n_needed;
    const char *exports[64];
    size_t n_exports;
    const char *rpath, *runpath;
    bool bind_now, relro, textrel, static_tls, exec_stack, write_exec;
    char glibc[24]; /* newest version that it needs: "2.34" */
};
/* Facts, executing nothing. The error says why it is no plugin. */
tda_status audit_file(const char *file, struct audit *ret, struct error *e);
void audit_judge(const struct audit *a, struct result *r);
void audit_fini(struct audit *a);

/* ---- fixtures ---- */

enum { ANSWERS_MAX = 8, RULES_MAX = 24, SETTINGS_MAX = 8, FIXTURES_MAX = 512 };

struct answer {
    int32_t status;
    char *headers;
    tda_str body;
    uint32_t fail_cls; /* instead of an end; 0: it ends well */
};

struct rule { /* of a server: what it says when a line holds `word` */
    char *word, *reply;
};

struct fixture {
    char *name;
    bool of_adapter;
    uint32_t op;
    char *model, *ask, *tool, *args, *url;
    bool stream;
    struct answer answers[ANSWERS_MAX];
    size_t n_answers;
    struct rule rules[RULES_MAX];
    size_t n_rules;
    struct kit_value settings[SETTINGS_MAX]; /* and fields of the context, by key */
    size_t n_settings;
    char *want_class, *want_text, *want_sent; /* NULL: not said */
};

struct fixtures {
    struct fixture *list[FIXTURES_MAX];
    size_t n;
};

tda_status fixtures_read(const char *dir, struct fixtures *ret, struct error *e);
void fixtures_generic(const struct loaded *m, struct fixtures *ret);
void fixtures_free(struct fixtures *f);
struct fixture *fixture_new(const char *name);
void fixture_free(struct fixture *f);

/* ---- play.c ---- */

enum pieces { WHOLE, CUT_AT, BYTES, LINES, RANDOM };
enum stop { STOP_NONE, STOP_CANCEL, STOP_DEADLINE, STOP_BREAK, STOP_END, STOP_CLOSE };

struct plan {
    const struct fixture *fixture;
    enum pieces pieces;
    size_t cut_at;      /* CUT_AT: byte of all bodies in a row */
    uint64_t random;    /* RANDOM */
    enum stop stop;     /* what happens... */
    unsigned stop_at;   /* ...instead of this event, counted from 1 */
    uint64_t refuse_at; /* number of the emit that says refuse_status; 0: none */
    tda_status refuse_status;
    bool send_again;
    bool as_it_is;                     /* the user's configuration is not the fixture's, but what was set before */
    const struct tda_request *request; /* NULL: the fixture's */
};

struct outcome {
    char *transcript; /* of the call; of an adapter, the connection's before it */
    char *text;
    char *sent;
    bool started, finished;
    uint32_t cls;
    unsigned events;
    size_t bytes;
    uint64_t emits;
};

void play(struct tda_test *t, const struct plan *p, struct outcome *ret);
void set_user(struct tda_test *t, const struct fixture *f, bool on); /* the fixture's settings and context */
void outcome_fini(struct outcome *o);
size_t fixture_bytes(const struct fixture *f);

/* ---- child.c, state.c ---- */

struct check {
    const struct options *options;
    const char *file;
    const struct fixtures *fixtures;
    const struct note *note;
};

typedef void (*case_fn)(const struct check *c, struct result *r);
/* Runs `fn` in a child. What ends the child other than fn's return is a finding. */
void run_case(const struct check *c, const char *name, case_fn fn, unsigned deadline_s, struct result *r);

struct state;
struct state *state_take(void);
/* Says what is not as it was, and frees. */
void state_compare(struct state *s, const struct note *note, struct result *r);
size_t memory_in_use(void); /* 0: not known in this build */
unsigned count_entries(const char *dir);

/* ---- the contract ---- */

void case_load(const struct check *c, struct result *r);
void case_tables(const struct check *c, struct result *r);
void case_interface(const struct check *c, struct result *r);
void case_settings(const struct check *c, struct result *r);
void case_requests(const struct check *c, struct result *r);
void case_answers(const struct check *c, struct result *r);
void case_split(const struct check *c, struct result *r);
void case_cancel(const struct check *c, struct result *r);
void case_refusals(const struct check *c, struct result *r);
void case_leaks(const struct check *c, struct result *r);
void case_threads(const struct check *c, struct result *r);
void case_fuzz(const struct check *c, struct result *r);
/* An instance, or a finding. */
struct tda_test *open_instance(const struct check *c, struct result *r);
/* What the host holds against the plugin becomes findings; closes. */
void close_instance(struct tda_test *t, struct result *r, const char *where);
const char *read_whole(const char *path, size_t max, size_t *ret_n); /* malloc'ed; NULL: errno */

#endif
