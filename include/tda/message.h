/* SPDX-License-Identifier: Apache-2.0
 * Plugins under any licence may include the headers in include/tda/. */
#ifndef TDA_MESSAGE_H
#define TDA_MESSAGE_H

#include "tda/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The neutral conversation: what a provider translates into its service's words, and back. No vendor's JSON in here. */

enum tda_role { TDA_ROLE_SYSTEM = 1, TDA_ROLE_USER = 2, TDA_ROLE_ASSISTANT = 3 };

enum tda_part_kind {
    TDA_PART_TEXT = 1,        /* text                                                                             */
    TDA_PART_IMAGE = 2,       /* mime, and data (base64 text) or url                                              */
    TDA_PART_JSON = 3,        /* text = one JSON value; name "structuredContent": a tool's, as its outputSchema says */
    TDA_PART_TOOL_USE = 4,    /* id, name, text = arguments, one JSON object                                      */
    TDA_PART_TOOL_RESULT = 5, /* id, name, is_error, parts; stands in a USER message                              */
    TDA_PART_THINKING = 6     /* text, and usually opaque                                                         */
};

struct tda_part {
    uint32_t size;
    uint32_t kind; /* enum tda_part_kind */
    uint32_t is_error;
    uint32_t n_parts;
    const struct tda_part *const *parts; /* TOOL_RESULT: TEXT, IMAGE and JSON parts                                */
    tda_str text;
    tda_str id;
    tda_str name;
    tda_str mime;
    tda_str data;
    tda_str url;
    tda_str opaque_tag; /* who made `opaque`: "<provider plugin>/<model>"; send it back to the same one only       */
    tda_str opaque;     /* a signature or an encrypted blob, byte for byte as it came                             */
};

struct tda_msg {
    uint32_t size;
    uint32_t role; /* enum tda_role */
    uint32_t n_parts;
    uint32_t reserved;
    const struct tda_part *const *parts;
};

struct tda_tool {
    uint32_t size;
    uint32_t reserved;
    tda_str name; /* [A-Za-z0-9_-]{1,64}: the host has aliased what was not                                */
    tda_str description;
    tda_str schema; /* JSON Schema of the arguments, raw text: copy it, do not rewrite it                    */
};

enum tda_op {
    TDA_OP_CHAT = 1,     /* answer the conversation                                                               */
    TDA_OP_VALIDATE = 2, /* show, as cheaply as the service allows, that credentials and model work               */
    TDA_OP_MODELS = 3,   /* emit one MODEL event for each model                                                   */
    TDA_OP_COUNT = 4     /* emit USAGE with the input tokens of the conversation                                  */
};

enum tda_tool_choice { TDA_CHOICE_AUTO = 0, TDA_CHOICE_NONE = 1, TDA_CHOICE_ANY = 2, TDA_CHOICE_TOOL = 3 };

/* Bits of tda_request.set: sampling parameters are absent unless the caller asked for them. */
enum tda_request_set { TDA_SET_TEMPERATURE = 1, TDA_SET_TOP_P = 2, TDA_SET_MAX_TOKENS = 4 };

struct tda_request {
    uint32_t size;
    uint32_t op; /* enum tda_op */
    tda_str model;
    const struct tda_msg *const *msgs; /* SYSTEM messages come first                                              */
    const struct tda_tool *const *tools;
    uint32_t n_msgs;
    uint32_t n_tools;
    uint32_t tool_choice; /* enum tda_tool_choice                                                                 */
    uint32_t set;         /* bits of enum tda_request_set                                                         */
    tda_str choice_name;  /* for TDA_CHOICE_TOOL                                                                  */
    uint64_t max_tokens;
    double temperature;
    double top_p;
    const tda_str *stop;
    uint32_t n_stop;
    uint32_t stream;     /* 1: deltas are wanted; emit as they arrive                                            */
    tda_str reasoning;   /* effort in the vendor's word, absent by default                                       */
    tda_str extra;       /* one JSON object of vendor fields to put into the request as they are, or absent      */
    int64_t deadline_ms; /* what is left for this attempt; the host enforces it                                  */
};

/* Tokens. A count that the service did not give is TDA_UNKNOWN, which is not 0. */
#define TDA_UNKNOWN UINT64_MAX

struct tda_usage {
    uint32_t size;
    uint32_t reserved;
    uint64_t input;       /* all input tokens, cached ones included                                               */
    uint64_t output;      /* all output tokens, reasoning included                                                */
    uint64_t cache_read;  /* of input                                                                             */
    uint64_t cache_write; /* of input                                                                             */
    uint64_t reasoning;   /* of output                                                                            */
};

enum tda_stop {
    TDA_STOP_END_TURN = 1,
    TDA_STOP_MAX_TOKENS = 2,
    TDA_STOP_SEQUENCE = 3,
    TDA_STOP_TOOL_USE = 4,
    TDA_STOP_REFUSAL = 5,
    TDA_STOP_FILTER = 6,
    TDA_STOP_CONTEXT_FULL = 7,
    TDA_STOP_PAUSE = 8,
    TDA_STOP_MALFORMED_TOOL = 9,
    TDA_STOP_OTHER = 10
};

enum tda_event_kind {
    TDA_EV_START = 1,      /* id = the service's id of the answer, name = the model that really answers           */
    TDA_EV_PART_START = 2, /* index, part_kind; TOOL_USE: id, name                                                */
    TDA_EV_TEXT = 3,       /* index, text                                                                         */
    TDA_EV_THINK = 4,      /* index, text                                                                         */
    TDA_EV_ARGS = 5,       /* index, text = a fragment of the arguments                                           */
    TDA_EV_SIGNATURE = 6,  /* index, text = opaque blob for that part                                             */
    TDA_EV_PART_STOP = 7,  /* index                                                                               */
    TDA_EV_USAGE = 8,      /* usage; a later one replaces an earlier one                                          */
    TDA_EV_STOP = 9,       /* stop, raw = the vendor's own word                                                   */
    TDA_EV_ERROR = 10,     /* text; for the log of the turn. The end is said by finish.                           */
    TDA_EV_MODEL = 11,     /* OP_MODELS: id, name                                                                 */
    TDA_EV_ITEM = 12,      /* adapters, LIST_*: name, text = description, json = the schema or the whole item     */
    TDA_EV_CONTENT = 13,   /* adapters, CALL_TOOL and the like: part                                              */
    TDA_EV_PROGRESS = 14   /* adapters: text, and json as the server gave it. Moves the call's deadline on, up to the
                              operator's hard limit                                                               */
};

struct tda_event {
    uint32_t size;
    uint32_t kind; /* enum tda_event_kind */
    uint32_t index;
    uint32_t part_kind; /* enum tda_part_kind */
    uint32_t stop;      /* enum tda_stop */
    uint32_t reserved;
    tda_str id;
    tda_str name;
    tda_str text;
    tda_str raw;
    tda_str json;
    const struct tda_usage *usage;
    const struct tda_part *part;
    tda_str whole; /* LIST_TOOLS: the tool as the server describes it, JSON */
};

/* How a call, a connection or a flow ended. The host retries by class; a plugin never does. */
#define TDA_CLASS_MAP(X)                                                                                                           \
    X(OK, 0, "ok")                                                                                                                 \
    X(AUTH, 1, "the credentials were refused")                                                                                     \
    X(PERMISSION, 2, "these credentials may not do this")                                                                          \
    X(NOT_FOUND, 3, "the service does not know this model or address")                                                             \
    X(REQUEST, 4, "the service refused the request as wrong")                                                                      \
    X(TOO_LARGE, 5, "the request or the answer is too large")                                                                      \
    X(RATE, 6, "too many requests: later")                                                                                         \
    X(QUOTA, 7, "the account's quota is used up")                                                                                  \
    X(OVERLOADED, 8, "the service is overloaded")                                                                                  \
    X(UPSTREAM, 9, "the service failed")                                                                                           \
    X(TIMEOUT, 10, "no answer in time")                                                                                            \
    X(NETWORK, 11, "the service could not be reached")                                                                             \
    X(PROTOCOL, 12, "the answer could not be understood")                                                                          \
    X(CANCELLED, 13, "cancelled")                                                                                                  \
    X(CONTEXT_FULL, 14, "the conversation is too long for the model")                                                              \
    X(FILTER, 15, "refused by the service's content filter")                                                                       \
    X(INTERNAL, 16, "a fault in the plugin or the host")

enum tda_class {
#define TDA_CLASS_ENUM(name, number, text) TDA_C_##name = (number),
    TDA_CLASS_MAP(TDA_CLASS_ENUM)
#undef TDA_CLASS_ENUM
};

struct tda_result {
    uint32_t size;
    uint32_t cls;        /* enum tda_class                                                                        */
    int64_t retry_ms;    /* when the service asked to wait: how long. -1: it did not say                           */
    int32_t http_status; /* 0: none                                                                               */
    uint32_t is_error;   /* adapters, CALL_TOOL: the tool itself reports an error (class OK)                       */
    tda_str code;        /* the vendor's code                                                                     */
    tda_str text;        /* the vendor's text; it goes to the caller with secrets redacted                        */
    tda_str request_id;
};

#ifdef __cplusplus
}
#endif
#endif
