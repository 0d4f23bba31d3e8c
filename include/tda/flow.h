/* SPDX-License-Identifier: Apache-2.0
 * Plugins under any licence may include the headers in include/tda/. */
#ifndef TDA_FLOW_H
#define TDA_FLOW_H

#include "tda/message.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A flow is one exchange with the outside, run by the host: sockets, TLS, pools, framing, deadlines, egress rules and secrets
 * are the host's. A plugin asks for it with flow_open and gets events. A flow belongs to the call or connection that opened
 * it and ends with it. */

enum tda_flow_kind {
    TDA_FLOW_HTTP = 1,  /* one request: method, url, headers, body, framing, auth. Of a connection or a call on one: to
                           the origin of its server's url only                                                    */
    TDA_FLOW_SERVER = 2 /* adapters: the process behind this connection's server, as the operator's YAML says;
                           the host alone knows command, arguments and environment. Framing LINES.                */
};

enum tda_framing {
    TDA_FRAME_NONE = 0,   /* ITEM.data = bytes as they come                                               */
    TDA_FRAME_SSE = 1,    /* ITEM = one event: name, id, data (WHATWG HTML, "server-sent events")         */
    TDA_FRAME_NDJSON = 2, /* ITEM.data = one non-empty line                                               */
    TDA_FRAME_LINES = 3,  /* ITEM.data = one line, "\r" at its end removed                                */
    /* application/vnd.amazon.eventstream. ITEM.id = :message-type, "event", "exception" or "error"; name = :event-type,
     * :exception-type or :error-code; data = the payload, or an error's :error-message. Checksums are checked: a frame that
     * is not intact, or a stream that ends within one, is a FAIL with PROTOCOL.                                     */
    TDA_FRAME_AWS_EVENTSTREAM = 4,
    /* SSE where the answer's content-type is text/event-stream, else NONE. Events without data come too when they have an id or a
     * retry: who resumes a stream needs both.                                                                      */
    TDA_FRAME_BY_TYPE = 5
};

/* Framing applies to answers with status 200 to 299; the body of any other answer comes unframed. */

enum tda_auth_kind {
    TDA_AUTH_NONE = 0,
    TDA_AUTH_HEADER = 1,    /* header: prefix + the secret                                                        */
    TDA_AUTH_BASIC = 2,     /* secret = "user:password"                                                           */
    TDA_AUTH_AWS_SIGV4 = 3, /* AWS Signature Version 4 of the whole request. The host adds x-amz-date,
                               x-amz-content-sha256, x-amz-security-token and authorization, and signs them with
                               host, content-type and whatever else begins with x-amz-: give none of those four   */
    TDA_AUTH_SERVER = 4     /* connections: what the configuration says of their server, be it headers, a bearer token or
                               OAuth 2.1. The host obtains, refreshes and attaches tokens, asks the user where it must, and
                               sends the request again once it may; a 401 that reaches the plugin is final. No other field  */
};

/* Filled in by the host after the plugin returned. The plugin names the secret and never sees it. */
struct tda_auth {
    uint32_t size;
    uint32_t kind; /* enum tda_auth_kind */
    tda_str header;
    tda_str prefix;
    tda_str secret; /* its name among the user's credentials, as in the note: "api_key". A user who has none gets
                       AUTH, unless `optional`.                                                                   */
    uint32_t optional;
    uint32_t reserved;
    /* TDA_AUTH_AWS_SIGV4: `secret` is the secret access key. All of a signature comes from one owner: what a user lacks is
     * never filled in from the operator's. */
    tda_str region;  /* "us-east-1" */
    tda_str service; /* "bedrock" */
    tda_str key_id;  /* name of the credential that is the access key id */
    tda_str session; /* name of the credential that is a session token; absent, or unset: there is none */
    /* Tried where there is no `secret`: "the bearer key, else a signature". The user's own are tried all along the chain before
     * any of the operator's. At most 4 long; its last one says whether it is all `optional`. NULL: none.                   */
    const struct tda_auth *otherwise;
};

struct tda_flow_request {
    uint32_t size;
    uint32_t kind;    /* enum tda_flow_kind */
    uint32_t framing; /* enum tda_framing */
    uint32_t n_headers;
    const tda_kv *headers; /* names and values without CR, LF or NUL, or TDA_E_INVALID                            */
    tda_str method;        /* absent: GET, or POST when there is a body                                           */
    tda_str url;           /* http or https; redirects are never followed                                         */
    tda_str body;          /* copied by the host                                                                  */
    const struct tda_auth *auth;
    int64_t idle_ms;    /* longest silence; 0: the operator's setting; -1, of connections: any                     */
    int64_t total_ms;   /* 0: the call's deadline; -1, of connections: as long as the connection                    */
    uint64_t max_bytes; /* of decoded answer; 0: the operator's setting; never above it                           */
};

enum tda_flow_event_kind {
    TDA_FLOW_STATUS = 1,   /* status, headers (names in lower case): once, before any ITEM                        */
    TDA_FLOW_ITEM = 2,     /* name, id, data                                                                      */
    TDA_FLOW_END = 3,      /* complete: the last event. A child: status = exit code, or 128 + signal              */
    TDA_FLOW_FAIL = 4,     /* cls, text: the last event                                                           */
    TDA_FLOW_WRITABLE = 5, /* after flow_send said TDA_E_AGAIN                                                    */
    TDA_FLOW_STDERR = 6    /* data = one line of a child's stderr                                                 */
};

struct tda_flow_event {
    uint32_t size;
    uint32_t kind; /* enum tda_flow_event_kind */
    tda_flow flow;
    int32_t status;
    uint32_t cls; /* enum tda_class */
    const tda_kv *headers;
    uint32_t n_headers;
    uint32_t reserved;
    tda_str name;
    tda_str id;
    tda_str data;
    tda_str text;
    int64_t retry_ms; /* of an SSE event that says so; -1: it does not */
};

#ifdef __cplusplus
}
#endif
#endif
