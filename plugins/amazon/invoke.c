/* Anthropic's own messages by InvokeModel: for what Converse has no words for, betas and tools of Anthropic's.
 *
 *     POST /model/MODEL/invoke                        Anthropic's body, with a version where the model would stand
 *     POST /model/MODEL/invoke-with-response-stream   events "chunk": {"bytes": base64 of one of Anthropic's events, "p": padding}
 *
 * InvokeModel passes a body on as it is, so whoever writes it must know the vendor. */
#include "amazon.h"

static const tda_str version = {"bedrock-2023-05-31", 18};

/* ---- whose model ---- */

/* The name says it, or the user. */
static tda_str vendor_of(const struct codec *c) {
    tda_str vendor = model_vendor(text_str(&c->model));
    return vendor.n ? vendor : codec_context(c, TDA_CTX_MODEL_PROVIDER_IN_PROFILE);
}

static void check_vendor(struct codec *c) {
    char shown[64];
    tda_str vendor = vendor_of(c);
    line_copy(shown, sizeof shown, vendor);
    if (!vendor.n)
        call_fail(
            c, TDA_C_REQUEST,
            "the model's name does not say whose model it is, which InvokeModel must know: give model_provider_in_profile, or "
            "have the operator set api to converse");
    else if (!text_equal_nocase(vendor, "anthropic"))
        call_fail(c, TDA_C_REQUEST,
                  "by InvokeModel only Anthropic's models can be asked, and this is %s's: it answers with api set to converse",
                  shown);
}

bool invoke_choose(struct call *call) {
    struct codec *c = &call->codec;
    tda_str api = codec_setting(c, TDA_STR("api"));
    call->invoke = text_equal_nocase(api, "invoke");
    claude_init(&call->claude);
    if (call->invoke)
        check_vendor(c);
    else if (api.n && !text_equal_nocase(api, "converse"))
        call_fail(c, TDA_C_REQUEST, "the setting api of the amazon plugin is neither converse nor invoke");
    return !c->over;
}

bool invoke_body(struct call *c, const struct tda_request *r, tda_str *ret_body) {
    return claude_body(&c->codec, r, version, ret_body);
}

/* ---- a stream ---- */

static int digit(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* E_SYNTAX, or what text_add said. */
static tda_status decode(tda_str base64, struct text *out) {
    unsigned bits = 0, have = 0;
    for (size_t i = 0; i < base64.n && base64.p[i] != '='; i++) {
        int value = digit(base64.p[i]);
        if (value < 0) return TDA_E_SYNTAX;
        bits = (bits << 6 | (unsigned)value) & 0xffff;
        have += 6;
        if (have < 8) continue;
        have -= 8;
        char byte = (char)(bits >> have & 0xff);
        text_add(out, (tda_str){&byte, 1}, BODY_MAX);
    }
    return out->status;
}

void invoke_chunk(struct call *call, tda_json root) {
    struct codec *c = &call->codec;
    struct text event = {0};
    tda_str bytes = member(root, "bytes");
    if (!bytes.n) return; /* an event of the future */
    switch (decode(bytes, &event)) {
    case TDA_OK: claude_event(c, &call->claude, (tda_str){NULL, 0}, text_str(&event)); break;
    case TDA_E_NOMEM: call_fail_memory(c); break;
    default: call_fail(c, TDA_C_PROTOCOL, "a chunk of the stream holds no base64");
    }
    text_fini(&event);
}
