/* Inside of HTTP: one flow (http.c), its request (http_request.c), how it failed (http_fail.c), the engine of a loop
 * (http_engine.c). The loop's thread only. */
#ifndef LOOP_HTTP_IMPL_H
#define LOOP_HTTP_IMPL_H

#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "loop/loop_impl.h"

TAILQ_HEAD(http_queue, http_flow);

enum http_phase {
    HTTP_QUEUED,     /* not handed to curl yet: before the first round, or behind a look-up of the same name */
    HTTP_RESOLVING,  /* curl has it, no socket yet: perhaps a name look-up, perhaps a pooled connection */
    HTTP_CONNECTING, /* a socket is open */
    HTTP_SENT        /* the connection stands, request and answer are on their way */
};

/* The request's headers as curl wants them, in one block, because one of them may hold a secret. */
struct http_headers {
    void *block;
    size_t size;
    struct curl_slist *list;
};

struct http_flow {
    struct flow flow;
    struct http_engine *engine;
    CURL *easy;
    CURLU *url;
    struct http_headers headers;
    char origin[300]; /* "host:port", for sentences */
    char *host;       /* from curl; names are looked up once at a time */
    bool by_name;     /* the host is no address */
    bool user_given, by_type, endless;
    bool posts;  /* has a body: never sent twice, for the other side may have acted on it */
    bool sent;   /* handed to a connection once */
    bool resent; /* curl was about to do it again */

    enum http_phase phase;
    bool added;                   /* curl's multi holds `easy` */
    struct http_queue *queue;     /* the one it stands in, or NULL */
    TAILQ_ENTRY(http_flow) entry; /* of `queue` */
    struct http_queue behind;     /* while RESOLVING: those that wait for the same name */
    struct timer timer;           /* the nearest deadline; moved only when it fires */
    int64_t connect_ns, idle_ns, total_ns;
    int64_t opened_ns, heard_ns; /* heard: the last sign of life of the other side, or of our upload */
    curl_off_t uploaded;

    struct buf head; /* header lines of the answer, until STATUS */
    size_t head_bytes;
    unsigned interims;
    int32_t status; /* 0 before STATUS */
    struct framer *framer;
    uint64_t bytes, max_bytes; /* decoded */
    bool paused, held;         /* the owner asked for it; curl has been told */
    bool resuming;
    struct task resume;

    unsigned sockets; /* opened for this flow */
    int socket_errno;
    tda_status watch_failed;
    const char *denied_what; /* an address was refused: why, and which */
    char denied_ip[INET6_ADDRSTRLEN];
    char curl_text[CURL_ERROR_SIZE];
};

/* ---- http_request.c ---- */

/* A new easy handle, ready to be added. E_INVALID, E_LIMIT, E_NOMEM. */
tda_status http_request_make(struct http_flow *f, const struct http_spec *spec, struct error *e);
void http_request_drop(struct http_flow *f); /* wipes the headers */

/* ---- http_sign.c ---- */

/* The headers that sign `spec` for AWS. They point into `signature` and spec->sign; http_signed_fini frees. */
struct http_signed {
    struct sigv4_signature signature;
    tda_kv headers[HTTP_SECRETS_MAX];
    size_t n;
};
tda_status http_sign(const struct http_spec *spec, tda_str method, CURLU *url, struct http_signed *ret, struct error *e);
void http_signed_fini(struct http_signed *s);

/* ---- http.c: what the engine tells a flow ---- */

void http_flow_done(struct http_flow *f, CURLcode rc);
/* Callbacks for curl, set by http_request.c; the flow is their argument. */
size_t http_on_header(char *p, size_t size, size_t n, void *arg);
size_t http_on_body(char *p, size_t size, size_t n, void *arg);
int http_on_ready_to_send(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port);
curl_socket_t http_on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address);

/* ---- http_fail.c: emits FAIL ---- */

void http_fail_curl(struct http_flow *f, CURLcode rc);
void http_fail_timeout(struct http_flow *f);
void http_fail_total(struct http_flow *f);
/* what: "one item in ", or nothing. */
bool http_fail_size(struct http_flow *f, const char *what);

/* ---- http_engine.c ---- */

/* A look-up that nobody waits for any more. */
struct http_lookup {
    TAILQ_ENTRY(http_lookup) entry;
    CURL *easy;
    char *host; /* from curl */
    uint32_t lane;
    bool user_given;
};

struct http_engine {
    struct loop *loop;
    CURLM *multi;
    CURLSH *share;      /* TLS sessions, so that a new connection resumes */
    struct timer timer; /* curl's own */
    struct timer quiet; /* no flow for a while: a large pool goes */
    struct task kick;   /* starts what is queued */
    bool kicked;
    struct http_queue queued, users_queued; /* in order */
    struct http_queue resolving;
    TAILQ_HEAD(, http_lookup) lost;
    unsigned n_resolving, n_users_resolving; /* those lost included */
    unsigned active;                         /* flows that curl has */
    unsigned sockets;                        /* open, pooled ones included */
};

void http_engine_submit(struct http_engine *e, struct http_flow *f);   /* starts later, never from inside */
void http_engine_resolved(struct http_engine *e, struct http_flow *f); /* its name is known: let the others go */
void http_engine_remove(struct http_engine *e, struct http_flow *f);   /* not from inside a callback of curl's */
void http_engine_collect(struct http_engine *e);                       /* tell the flows that have ended */
int http_on_close_socket(void *engine, curl_socket_t fd);

#endif
