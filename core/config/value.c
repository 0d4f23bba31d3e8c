#include "config/value.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"

#define BOOL VALUE_BOOL
#define INT VALUE_INT
#define SIZE VALUE_SIZE
#define TIME VALUE_TIME
#define ENUM VALUE_ENUM
#define TEXT VALUE_TEXT
#define AMOUNT VALUE_AMOUNT
const struct setting settings[] = {
#define S(member, path, type, def, min, max, env, help) {path, type, offsetof(struct config, member), def, min, max, env, help},
#include "config/settings.def"
#undef S
};
#undef BOOL
#undef INT
#undef SIZE
#undef TIME
#undef ENUM
#undef TEXT
#undef AMOUNT
const size_t n_settings = ARRAY_LEN(settings);

struct unit {
    const char *word;
    int64_t factor;
};

/* Largest last, so that formatting can take the largest that divides. */
static const struct unit int_units[] = {{"", 1}, {"k", 1000}, {"M", 1000000}, {"G", 1000000000}};
static const struct unit size_units[] = {{"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
static const struct unit time_units[] = {
    {"ms", NS_PER_MS}, {"s", NS_PER_S}, {"m", 60LL * NS_PER_S}, {"h", 3600LL * NS_PER_S}, {"d", 86400LL * NS_PER_S}};

static const struct unit *units_of(enum value_type type, size_t *ret_n) {
    switch (type) {
    case VALUE_INT: *ret_n = ARRAY_LEN(int_units); return int_units;
    case VALUE_SIZE: *ret_n = ARRAY_LEN(size_units); return size_units;
    default: *ret_n = ARRAY_LEN(time_units); return time_units;
    }
}

const char *value_type_name(enum value_type type) {
    static const char *const names[] = {"true or false", "number", "size", "time", "word", "text", "amount"};
    return names[type];
}

const struct setting *setting_find(const char *path) {
    for (size_t i = 0; i < n_settings; i++)
        if (strcmp(settings[i].path, path) == 0) return &settings[i];
    return NULL;
}

bool bool_parse(tda_str text, bool *ret) {
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_equal_nocase(text, tda_str_of(words[i]))) {
            *ret = i % 2;
            return true;
        }
    return false;
}

/* Digits, then one of the type's units. No sign, no blank, no fraction. */
bool number_parse(enum value_type type, tda_str text, int64_t bare_unit, int64_t *ret) {
    int64_t v = 0, factor = 0;
    size_t i = 0, n;
    for (; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, text.p[i] - '0', &v)) return false;
    if (i == 0) return false;
    tda_str unit = {text.p + i, text.n - i};
    const struct unit *units = units_of(type, &n);
    for (size_t u = 0; u < n; u++)
        if (tda_str_eq(unit, tda_str_of(units[u].word))) factor = units[u].factor;
    if (type == VALUE_TIME && unit.n == 0) factor = v == 0 ? 1 : bare_unit;
    return factor && !__builtin_mul_overflow(v, factor, ret);
}

bool amount_parse(tda_str text, double *ret) {
    double v = 0, place = 1;
    bool fraction = false;
    size_t digits = 0;
    for (size_t i = 0; i < text.n; i++) {
        bool digit = text.p[i] >= '0' && text.p[i] <= '9';
        if (!digit && (text.p[i] != '.' || fraction)) return false;
        fraction = fraction || !digit;
        digits += digit;
        if (!digit) continue;
        v = v * 10 + (text.p[i] - '0');
        if (fraction) place *= 10;
    }
    if (!digits || digits > 15) return false;
    *ret = v / place;
    return true;
}

static bool parse_amount(const struct setting *s, tda_str text, double *ret) {
    double v, low = 0, high = 0;
    bool ok = amount_parse(text, &v) && amount_parse(tda_str_of(s->min), &low) && amount_parse(tda_str_of(s->max), &high);
    if (ok && v >= low && v <= high) *ret = v;
    return ok && v >= low && v <= high;
}

static bool parse_word(const char *words, tda_str text, int64_t *ret) {
    int64_t index = 0;
    for (const char *w = words; *w; index++) {
        size_t n = strcspn(w, "|");
        if (tda_str_eq(text, (tda_str){w, n})) {
            *ret = index;
            return true;
        }
        w += n + (w[n] == '|');
    }
    return false;
}

static int64_t bound(const struct setting *s, const char *text, int64_t none) {
    int64_t v;
    return text && number_parse(s->type, tda_str_of(text), 0, &v) ? v : none;
}

static void say_allowed(const struct setting *s, int64_t bare_unit, char *why, size_t size) {
    const char *example = s->type == VALUE_SIZE ? ", such as 64KiB or 16MiB" : "";
    if (s->type == VALUE_TIME)
        example = bare_unit == NS_PER_S            ? ", a whole number of seconds, or with a unit: 300s, 5m"
                  : bare_unit == 3600LL * NS_PER_S ? ", a whole number of hours, or with a unit: 90m, 24h, 7d"
                                                   : ", with its unit: 250ms, 30s, 5m, 24h, 7d";
    if (s->type == VALUE_BOOL)
        snprintf(why, size, "allowed: true, false, yes, no, on, off, 1, 0");
    else if (s->type == VALUE_ENUM)
        snprintf(why, size, "allowed: %s", s->min);
    else
        snprintf(why, size, "allowed: a %s from %s to %s%s", value_type_name(s->type), s->min, s->max, example);
}

static tda_status put_text(char **member, tda_str text) {
    char *copy = str_dup(text);
    if (!copy) return TDA_E_NOMEM;
    free(*member);
    *member = copy;
    return TDA_OK;
}

tda_status setting_parse(const struct setting *s, tda_str text, int64_t bare_unit, struct config *c, char *why, size_t why_size) {
    void *member = (char *)c + s->offset;
    int64_t v;
    bool b, ok;
    why[0] = 0;
    switch (s->type) {
    case VALUE_TEXT: return put_text(member, text);
    case VALUE_BOOL:
        ok = bool_parse(text, &b);
        if (ok) *(bool *)member = b;
        break;
    case VALUE_AMOUNT: ok = parse_amount(s, text, member); break;
    case VALUE_ENUM:
        ok = parse_word(s->min, text, &v);
        if (ok) *(int64_t *)member = v;
        break;
    default:
        ok = number_parse(s->type, text, bare_unit, &v) && v >= bound(s, s->min, 0) && v <= bound(s, s->max, INT64_MAX);
        if (ok) *(int64_t *)member = v;
    }
    if (ok) return TDA_OK;
    say_allowed(s, bare_unit, why, why_size);
    return TDA_E_INVALID;
}

static void format_word(const char *words, int64_t index, struct buf *out) {
    while (index-- > 0) words += strcspn(words, "|") + 1;
    buf_add(out, words, strcspn(words, "|"));
}

/* In the largest unit that divides it; 24h, not 1d. */
static void format_number(const struct unit *units, size_t n, int64_t v, struct buf *out) {
    while (n > 1 && (v == 0 || v % units[n - 1].factor)) n--;
    if (units[n - 1].factor == 86400LL * NS_PER_S && v < 3 * 86400LL * NS_PER_S) n--;
    buf_addf(out, "%lld%s", (long long)(v / units[n - 1].factor), units[n - 1].word);
}

void setting_format(const struct setting *s, const struct config *c, struct buf *out) {
    const void *member = (const char *)c + s->offset;
    int64_t v = s->type >= VALUE_INT && s->type <= VALUE_ENUM ? *(const int64_t *)member : 0;
    size_t n;
    if (s->type == VALUE_TEXT) {
        buf_add_z(out, *(char *const *)member);
        return;
    }
    if (s->type == VALUE_AMOUNT) {
        buf_addf(out, "%.15g", *(const double *)member);
        return;
    }
    if (s->type == VALUE_BOOL) {
        buf_add_z(out, *(const bool *)member ? "true" : "false");
        return;
    }
    if (s->type == VALUE_ENUM) {
        format_word(s->min, v, out);
        return;
    }
    const struct unit *units = units_of(s->type, &n);
    format_number(units, n, v, out);
}

void time_format(int64_t ns, struct buf *out) {
    format_number(time_units, ARRAY_LEN(time_units), ns, out);
}
