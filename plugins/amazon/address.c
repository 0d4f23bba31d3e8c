/* Where a user's requests go, and what the name of a model says. A model is a plain id, or an ARN:
 *
 *     anthropic.claude-x-v1:0         us.anthropic.claude-x-v1:0: the same by a geography's profile
 *     arn:PARTITION:bedrock:REGION:ACCOUNT:inference-profile/us.anthropic.claude-x-v1:0
 *     arn:PARTITION:bedrock:REGION:ACCOUNT:application-inference-profile/a1b2c3
 */
#include "amazon.h"

/* ---- names ---- */

/* Up to `end`, which is cut off with what follows it from `rest`; absent when there is none. */
static tda_str cut(tda_str *rest, char end) {
    const char *at = rest->n ? memchr(rest->p, end, rest->n) : NULL;
    if (!at) return (tda_str){NULL, 0};
    tda_str first = {rest->p, (size_t)(at - rest->p)};
    rest->p += first.n + 1;
    rest->n -= first.n + 1;
    return first;
}

bool model_is_arn(tda_str model) {
    return model.n > 4 && memcmp(model.p, "arn:", 4) == 0;
}

static tda_str arn_region(tda_str model) {
    tda_str field = {NULL, 0};
    if (!model_is_arn(model)) return field;
    for (int i = 0; i < 4; i++) field = cut(&model, ':');
    return field;
}

/* Geographies are "us", "eu", "jp" and the like, and a few words; no vendor has two letters. */
static bool is_geography(tda_str word) {
    return word.n == 2 || tda_str_eq(word, TDA_STR("apac")) || tda_str_eq(word, TDA_STR("global")) ||
           tda_str_eq(word, TDA_STR("us-gov"));
}

tda_str model_vendor(tda_str model) {
    while (cut(&model, '/').p) continue;
    tda_str word = cut(&model, '.');
    return is_geography(word) ? cut(&model, '.') : word;
}

/* ---- settings ---- */

/* It becomes part of a host's name. */
static bool is_region(tda_str s) {
    if (s.n < 2 || s.n >= REGION_SIZE || s.p[0] == '-') return false;
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] < 'a' || s.p[i] > 'z') && (s.p[i] < '0' || s.p[i] > '9') && s.p[i] != '-') return false;
    return true;
}

static bool take_region(struct call *c) {
    char shown[64];
    tda_str region = codec_context(&c->codec, TDA_CTX_AWS_REGION);
    if (!region.n) region = codec_setting(&c->codec, TDA_STR("region"));
    if (!region.n) region = arn_region(text_str(&c->codec.model));
    line_copy(shown, sizeof shown, region);
    if (!region.n)
        call_fail(&c->codec, TDA_C_REQUEST,
                  "there is no region: give aws_region, as in us-east-1, or the operator's setting region");
    else if (!is_region(region))
        call_fail(&c->codec, TDA_C_REQUEST, "\"%s\" is no region's name: it looks like us-east-1", shown);
    else
        line_copy(c->region, sizeof c->region, region);
    return !c->codec.over;
}

bool address(struct call *c) {
    tda_str url = codec_setting(&c->codec, TDA_STR("base_url"));
    return take_region(c) && (!url.n || codec_base_url(&c->codec, url, &c->base_url));
}
