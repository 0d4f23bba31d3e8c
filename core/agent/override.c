/* @TAG: which profile a request asks for, and the request without the tag.
 *
 * Only the very start of the input, or of the last user message, is looked at: "@" and a letter or digit there begin a tag, which
 * ends at the next space or line end. What follows is kept as it is, all lines of it. */
#include <stdio.h>

#include "agent/profile.h"

enum { SHOWN_MAX = 40 };

/* ---- where a tag may stand ---- */

struct place {
    struct json text;    /* the string */
    struct json message; /* the message it is in; absent: it is `input` */
    struct json part;    /* the part it is in; absent: it is the content itself */
};

static struct json last_user_message(struct json messages) {
    struct json found = JSON_ABSENT;
    for (struct json m = json_first(messages); json_type(m); m = json_next(m))
        if (tda_str_eq(json_str(json_key(m, TDA_STR("role"))), TDA_STR("user"))) found = m;
    return found;
}

static struct place find_place(struct json params) {
    struct place p = {.text = json_key(params, TDA_STR("input"))};
    if (json_type(p.text)) return p;
    p.message = last_user_message(json_key(params, TDA_STR("messages")));
    p.text = json_key(p.message, TDA_STR("content"));
    if (json_type(p.text) != TDA_JSON_ARRAY) return p;
    p.part = json_first(p.text);
    bool is_text = tda_str_eq(json_str(json_key(p.part, TDA_STR("type"))), TDA_STR("text"));
    p.text = is_text ? json_key(p.part, TDA_STR("text")) : JSON_ABSENT;
    return p;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool begins_tag(tda_str text) {
    return text.n > 1 && text.p[0] == '@' && tag_valid((tda_str){text.p + 1, 1});
}

/* {NULL,0}: none. `ret_rest` is what follows, without the blanks up to the end of the tag's line. */
static tda_str take_tag(tda_str text, tda_str *ret_rest) {
    size_t n = 1;
    if (!begins_tag(text)) return (tda_str){0};
    while (n < text.n && !is_blank(text.p[n])) n++;
    tda_str tag = {text.p + 1, n - 1};
    while (n < text.n && (text.p[n] == ' ' || text.p[n] == '\t' || text.p[n] == '\r')) n++;
    if (n < text.n && text.p[n] == '\n') n++;
    *ret_rest = (tda_str){text.p + n, text.n - n};
    return tag;
}

static bool is_empty(tda_str text) {
    for (size_t i = 0; i < text.n; i++)
        if (!is_blank(text.p[i])) return false;
    return true;
}

/* ---- errors ---- */

static void add_tag(void *arg, const struct profile *p) {
    struct buf *known = arg;
    buf_addf(known, "%s%s", known->n ? ", " : "", profile_tag(p));
}

static void hint_known(struct agent *a, const struct snapshot *base, struct error *e) {
    struct buf known;
    buf_init(&known, 150);
    profiles_each(a->contexts, base, add_tag, &known);
    if (known.n)
        error_hint(e, "the profiles here are: %.*s", STR_FMT(buf_str(&known)));
    else
        error_hint(e, "there are no profiles; profile.put makes one. A text that begins with a space has no tag");
    buf_fini(&known);
}

static tda_status unknown(struct agent *a, const struct snapshot *base, tda_str tag, struct error *e) {
    struct buf shown;
    buf_init(&shown, 4 * SHOWN_MAX);
    text_sanitise((tda_str){tag.p, tag.n < SHOWN_MAX ? tag.n : SHOWN_MAX}, &shown);
    error_set(e, TDA_E_NOT_FOUND, "unknown_profile", "there is no profile \"%.*s\"", STR_FMT(buf_str(&shown)));
    error_field(e, "profile");
    buf_fini(&shown);
    hint_known(a, base, e);
    return TDA_E_NOT_FOUND;
}

static tda_status no_text(struct agent *a, const struct snapshot *base, const struct profile *p, struct error *e) {
    error_set(e, TDA_E_INVALID, "missing_input", "@%s is followed by no text", profile_tag(p));
    error_field(e, "input");
    hint_known(a, base, e);
    return TDA_E_INVALID;
}

static tda_status two_profiles(tda_str tag, tda_str param, struct error *e) {
    error_set(e, TDA_E_INVALID, "two_profiles", "the text names the profile %.*s and the parameter another, %.*s",
              (int)(tag.n < SHOWN_MAX ? tag.n : SHOWN_MAX), tag.p, (int)(param.n < SHOWN_MAX ? param.n : SHOWN_MAX), param.p);
    error_field(e, "profile");
    error_hint(e, "give one of them; a text that begins with a space has no tag");
    return TDA_E_INVALID;
}

/* ---- the request without the tag ---- */

/* An object's members as they are, but for one, which is left to the caller to write. */
static void copy_but(struct json object, const char *name, struct jw *w) {
    for (struct json m = json_first(object); json_type(m); m = json_next(m)) {
        if (tda_str_eq(json_name(m), tda_str_of(name))) continue;
        jw_key(w, json_name(m));
        jw_raw(w, json_raw(m));
    }
}

static bool is_same(struct json a, struct json b) {
    return a.doc == b.doc && a.node == b.node;
}

static void write_part(const struct place *p, tda_str rest, struct jw *w) {
    jw_begin_object(w);
    copy_but(p->part, "text", w);
    jw_put_str(w, "text", rest);
    jw_end_object(w);
}

static void write_message(const struct place *p, tda_str rest, struct jw *w) {
    jw_begin_object(w);
    copy_but(p->message, "content", w);
    jw_key(w, TDA_STR("content"));
    if (!json_type(p->part)) {
        jw_str(w, rest);
    } else {
        jw_begin_array(w);
        write_part(p, rest, w);
        for (struct json v = json_next(p->part); json_type(v); v = json_next(v)) jw_raw(w, json_raw(v));
        jw_end_array(w);
    }
    jw_end_object(w);
}

static void write_params(struct json params, const struct place *p, tda_str rest, struct jw *w) {
    bool in_messages = json_type(p->message);
    jw_begin_object(w);
    copy_but(params, in_messages ? "messages" : "input", w);
    if (!in_messages) {
        jw_put_str(w, "input", rest);
    } else {
        jw_open_array(w, "messages");
        for (struct json m = json_first(json_key(params, TDA_STR("messages"))); json_type(m); m = json_next(m))
            if (is_same(m, p->message))
                write_message(p, rest, w);
            else
                jw_raw(w, json_raw(m));
        jw_end_array(w);
    }
    jw_end_object(w);
}

static tda_status without_tag(struct json params, const struct place *p, tda_str rest, struct override *o, struct error *e) {
    struct buf text;
    struct jw w;
    buf_init(&text, json_raw(params).n * 2 + 1024);
    jw_init(&w, &text);
    write_params(params, p, rest, &w);
    tda_status s =
        text.status ? error_set(e, text.status, NULL, "%s", status_text(text.status)) : json_parse(buf_str(&text), 0, &o->doc, e);
    buf_fini(&text);
    if (!s) o->params = json_root(o->doc);
    return s;
}

/* ---- all of it ---- */

/* The name that counts; {NULL,0}: none. */
static tda_status find_name(const struct snapshot *base, struct json params, tda_str tag, tda_str *ret, struct error *e) {
    struct json param = json_key(params, TDA_STR("profile"));
    tda_str given = json_str(param);
    if (tag.p && given.p && !str_equal_nocase(tag, given)) return two_profiles(tag, given, e);
    if (tag.p)
        *ret = tag;
    else if (json_type(param))
        *ret = given;
    else
        *ret = tda_str_of(snapshot_default_profile(base));
    return TDA_OK;
}

tda_status override_find(struct agent *a, struct snapshot *base, struct json params, struct override *ret, struct error *e) {
    struct place place = find_place(params);
    tda_str rest, tag = take_tag(json_str(place.text), &rest), name = {0};
    *ret = (struct override){.params = params};
    tda_status s = find_name(base, params, tag, &name, e);
    if (s || !name.p) return s;
    struct profile *p = profile_find(a->contexts, base, name);
    if (!p) return unknown(a, base, name, e);
    if (tag.p && is_empty(rest)) return no_text(a, base, p, e);
    if (tag.p) s = without_tag(params, &place, rest, ret, e);
    if (!s) s = snapshot_derive(a->contexts, base, p, &ret->snapshot, e);
    return s;
}

void override_fini(struct override *o) {
    snapshot_unref(o->snapshot);
    json_free(o->doc);
    *o = (struct override){0};
}
