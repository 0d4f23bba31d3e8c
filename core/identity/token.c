#include "identity/token.h"

#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"

static const char prefix[] = "tda_";
enum { PREFIX = sizeof prefix - 1, SECRET_SIZE = 32, ID_BYTES = (TOKEN_ID_SIZE - 1) / 2, EXPIRY_MAX_DAYS = 3650 };

static bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

tda_status token_read(tda_str text, unsigned char ret_hash[TOKEN_HASH_SIZE]) {
    if (text.n != TOKEN_TEXT_SIZE - 1 || memcmp(text.p, prefix, PREFIX) != 0) return TDA_E_INVALID;
    for (size_t i = PREFIX; i < text.n; i++)
        if (!is_hex(text.p[i])) return TDA_E_INVALID;
    crypto_hash_sha256(ret_hash, (const unsigned char *)text.p, text.n);
    return TDA_OK;
}

void token_draw(struct token *t, char ret_text[TOKEN_TEXT_SIZE]) {
    unsigned char secret[SECRET_SIZE], id[ID_BYTES];
    random_bytes(secret, sizeof secret);
    random_bytes(id, sizeof id);
    sodium_bin2hex(t->id, sizeof t->id, id, sizeof id);
    memcpy(ret_text, prefix, PREFIX);
    sodium_bin2hex(ret_text + PREFIX, TOKEN_TEXT_SIZE - PREFIX, secret, sizeof secret);
    crypto_hash_sha256(t->hash, (const unsigned char *)ret_text, TOKEN_TEXT_SIZE - 1);
    wipe(secret, sizeof secret);
}

static int64_t unit_ms(char c) {
    return c == 'd' ? DAY_MS : c == 'h' ? DAY_MS / 24 : c == 'm' ? DAY_MS / 24 / 60 : c == 's' ? 1000 : 0;
}

tda_status token_read_expiry(tda_str text, int64_t *ret_ms, struct error *e) {
    int64_t n = 0;
    bool good = text.n >= 2 && text.n <= 10;
    if (tda_str_eq(text, TDA_STR("never"))) {
        *ret_ms = 0;
        return TDA_OK;
    }
    for (size_t i = 0; good && i + 1 < text.n; i++) {
        good = text.p[i] >= '0' && text.p[i] <= '9';
        n = n * 10 + (text.p[i] - '0');
    }
    int64_t unit = good ? unit_ms(text.p[text.n - 1]) : 0;
    if (unit && n >= 1 && n <= EXPIRY_MAX_DAYS * DAY_MS / unit) {
        *ret_ms = n * unit;
        return TDA_OK;
    }
    error_set(e, TDA_E_INVALID, "invalid_param", "expires wants a time such as 30d, 12h or 90m, at most 3650d, or never");
    error_field(e, "expires");
    return TDA_E_INVALID;
}

static tda_status wrong(struct error *e, const char *field, const char *text) {
    error_set(e, TDA_E_INVALID, "invalid_param", "%s", text);
    error_field(e, "%s", field);
    return TDA_E_INVALID;
}

tda_status token_check(const struct token *t, struct error *e) {
    for (const char *p = t->label; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f) return wrong(e, "label", "label must be one line of at most 100 bytes");
    if (t->is_service && t->user[0]) return wrong(e, "service", "a token is either a service's or one user's");
    if (!t->is_service && t->is_operator) return wrong(e, "operator", "only a service token can be an operator's");
    if (!t->is_service && !t->user[0]) return wrong(e, "user", "say for whom the token is: a user, or service");
    if (!t->is_service && !user_id_valid(tda_str_of(t->user))) return wrong(e, "user", "this is no user id");
    return TDA_OK;
}

/* ---- telling ---- */

static void put_time(struct jw *w, const char *key, int64_t ms) {
    char text[32];
    clock_format_wall(ms, text, sizeof text);
    jw_put_z(w, key, ms ? text : NULL);
}

void token_write(const struct token *t, struct jw *w) {
    jw_put_z(w, "id", t->id);
    jw_put_bool(w, "service", t->is_service);
    jw_put_bool(w, "operator", t->is_operator);
    jw_put_z(w, "user", t->user[0] ? t->user : NULL);
    jw_put_z(w, "label", t->label);
    put_time(w, "created", t->created_ms);
    put_time(w, "expires", t->expires_ms);
}

void token_write_use(const struct token *t, struct jw *w) {
    put_time(w, "last_use", t->used_ms);
}
