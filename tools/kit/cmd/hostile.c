/* Hostile users and hostile configuration: whatever stands there, the call ends and the process lives. */
#include <stdio.h>

#include "cmd.h"

enum { LONG_TEXT = 70000, MANY = 300 };

static char long_text[LONG_TEXT + 1];

static const char *const values[] = {
    "",
    " ",
    "not an address",
    "https://",
    "https://[::1",
    "http://user:pw@host/",
    "ftp://x/",
    "file:///etc/passwd",
    "http://x/?a=b",
    "http://x/\r\nx: y",
    "a\nb: c",
    "%00%0d%0a",
    "\xff\xfe\xc3(",
    "99999999999999999999999",
    "-1",
    "{\"a\":",
    "{\"endpoint\":\"http://169.254.169.254/\",\"endpoint_url\":\"x\",\"deployment_name\":7,\"api_version\":\"../..\"}",
    "\xe2\x80\xae right to left",
    long_text};

/* ---- configuration ---- */

static void play_ops(struct tda_test *t, const struct check *c, struct result *r, const char *what) {
    for (size_t i = 0; i < c->fixtures->n; i += c->fixtures->n / 12 + 1) {
        struct outcome o;
        step(r, "%s, %s", what, c->fixtures->list[i]->name);
        play(t, &(struct plan){.fixture = c->fixtures->list[i], .as_it_is = true}, &o);
        if (o.started && !o.finished) found(r, FAILURE, "%s: a call has no end", what);
        outcome_fini(&o);
    }
}

/* One thing is odd, the rest is as it should be. */
static void hostile_rule(struct tda_test *t, const struct check *c, const struct setting_rule *rule, struct result *r) {
    char what[120];
    set_user(t, c->fixtures->list[0], true);
    snprintf(what, sizeof what, "without the %s \"%s\"", rule->secret ? "secret" : "setting", rule->name);
    tda_test_secret(t, rule->name, 0);
    if (!rule->secret) tda_test_setting(t, rule->name, NULL);
    play_ops(t, c, r, what);
    tda_test_secret(t, rule->name, 1);
    for (size_t v = 0; v < ARRAY_LEN(values) && !rule->secret; v++) {
        snprintf(what, sizeof what, "%s set to \"%.40s\"", rule->name, values[v]);
        tda_test_setting(t, rule->name, values[v]);
        play_ops(t, c, r, what);
    }
    tda_test_setting(t, rule->name, NULL);
}

static void hostile_field(struct tda_test *t, const struct check *c, uint32_t key, struct result *r) {
    char what[120];
    set_user(t, c->fixtures->list[0], true);
    for (size_t v = 0; v < ARRAY_LEN(values); v++) {
        snprintf(what, sizeof what, "context field %u set to \"%.40s\"", key, values[v]);
        tda_test_context(t, key, values[v]);
        play_ops(t, c, r, what);
    }
    tda_test_context(t, key, NULL);
}

void case_settings(const struct check *c, struct result *r) {
    static const uint32_t keys[] = {TDA_CTX_MODEL,
                                    TDA_CTX_AWS_REGION,
                                    TDA_CTX_AZURE_DEPLOYMENT_DETAILS,
                                    TDA_CTX_FRIENDLI_DETAILS,
                                    TDA_CTX_MODEL_PROVIDER_IN_PROFILE,
                                    TDA_CTX_SERVER_CONFIGS};
    struct tda_test *t = open_instance(c, r);
    if (!t) return;
    memset(long_text, 'a', LONG_TEXT);
    for (size_t i = 0; i < c->note->n_rules; i++) hostile_rule(t, c, &c->note->rules[i], r);
    for (size_t k = 0; k < ARRAY_LEN(keys); k++) hostile_field(t, c, keys[k], r);
    close_instance(t, r, "hostile configuration");
}

/* ---- requests ---- */

static const tda_str texts[] = {{NULL, 0}, {"", 0}, {"\0\0", 2}, {"\xff\xfe\xc3(", 4}, {"\"\\\n\t\x01", 5}, {long_text, LONG_TEXT}};

struct scene {
    struct tda_part parts[8];
    const struct tda_part *part_list[8];
    struct tda_msg msgs[4];
    const struct tda_msg *msg_list[MANY];
    struct tda_tool tools[2];
    const struct tda_tool *tool_list[MANY];
    tda_str stop[3];
    struct tda_request r;
};

static void fill_parts(struct scene *s, tda_str text) {
    for (uint32_t i = 0; i < ARRAY_LEN(s->parts); i++) {
        s->parts[i] = (struct tda_part){
            .size = sizeof s->parts[i], .kind = i == 7 ? 99 : i, .text = text, .id = text, .name = text, .mime = text};
        s->parts[i].data = i % 2 ? text : (tda_str){NULL, 0};
        s->parts[i].url = text;
        s->parts[i].opaque_tag = text;
        s->parts[i].opaque = text;
        s->part_list[i] = &s->parts[i];
    }
    s->parts[TDA_PART_TOOL_RESULT].parts = s->part_list;
    s->parts[TDA_PART_TOOL_RESULT].n_parts = 4; /* up to JSON */
}

static void fill(struct scene *s, uint32_t op, tda_str text) {
    memset(s, 0, sizeof *s);
    fill_parts(s, text);
    for (uint32_t i = 0; i < ARRAY_LEN(s->msgs); i++)
        s->msgs[i] = (struct tda_msg){
            .size = sizeof s->msgs[i], .role = i == 3 ? 77 : i + 1, .n_parts = ARRAY_LEN(s->parts), .parts = s->part_list};
    for (size_t i = 0; i < MANY; i++) s->msg_list[i] = &s->msgs[i % ARRAY_LEN(s->msgs)];
    for (size_t i = 0; i < ARRAY_LEN(s->tools); i++)
        s->tools[i] =
            (struct tda_tool){.size = sizeof s->tools[i], .name = TDA_STR("tool"), .description = text, .schema = TDA_STR("{}")};
    s->tools[1].schema = text;
    for (size_t i = 0; i < MANY; i++) s->tool_list[i] = &s->tools[i % 2];
    for (size_t i = 0; i < ARRAY_LEN(s->stop); i++) s->stop[i] = text;
    s->r = (struct tda_request){
        .size = sizeof s->r, .op = op, .model = text, .msgs = s->msg_list, .tools = s->tool_list, .deadline_ms = 1000};
    s->r.n_msgs = ARRAY_LEN(s->msgs);
    s->r.n_tools = ARRAY_LEN(s->tools);
}

/* One thing after the other is odd; false: there are no more. */
static bool vary(struct scene *s, unsigned n) {
    static const double nan_zero = 0.0;
    switch (n) {
    case 0: s->r.n_msgs = s->r.n_tools = 0, s->r.msgs = NULL, s->r.tools = NULL; return true;
    case 1: s->msgs[1].n_parts = 0, s->msgs[1].parts = NULL; return true;
    case 2: s->r.n_msgs = MANY; return true;
    case 3: s->r.n_tools = MANY; return true;
    case 4:
        s->r.set = UINT32_MAX, s->r.temperature = nan_zero / nan_zero, s->r.top_p = 1e308 * 10, s->r.max_tokens = UINT64_MAX;
        return true;
    case 5: s->r.stop = s->stop, s->r.n_stop = ARRAY_LEN(s->stop); return true;
    case 6: s->r.extra = TDA_STR("[not an object"), s->r.reasoning = TDA_STR("\"}"); return true;
    case 7: s->r.extra = TDA_STR("{\"model\":\"other\",\"stream\":null,\"messages\":[]}"); return true;
    case 8: s->r.tool_choice = TDA_CHOICE_TOOL; return true;
    case 9: s->r.tool_choice = 99, s->r.stream = 7; return true;
    case 10: s->r.deadline_ms = INT64_MIN; return true;
    case 11: return true;
    default: return false;
    }
}

void case_requests(const struct check *c, struct result *r) {
    static struct scene s;
    struct tda_test *t = open_instance(c, r);
    memset(long_text, 'a', LONG_TEXT);
    for (uint32_t op = 0; t && t->module->provider && op <= TDA_OP_COUNT + 1; op++)
        for (size_t text = 0; text < ARRAY_LEN(texts); text++)
            for (unsigned n = 0;; n++) {
                struct outcome o;
                fill(&s, op, texts[text]);
                if (!vary(&s, n)) break;
                step(r, "hostile request: operation %u, text %zu, variation %u", op, text, n);
                play(t, &(struct plan){.fixture = c->fixtures->list[(n + op) % c->fixtures->n], .request = &s.r}, &o);
                if (o.started && !o.finished) found(r, FAILURE, "a call has no end (operation %u, variation %u)", op, n);
                outcome_fini(&o);
            }
    if (t) close_instance(t, r, "hostile requests");
}
