/* How an HTTP flow fails: curl's numbers and our deadlines as classes and sentences. A sentence names host and port, never a path,
 * a query or a header: those may hold secrets. */
#include <errno.h>
#include <stdio.h>

#include "loop/http_impl.h"

static void failed(struct http_flow *f, uint32_t cls, const char *before, const char *after) {
    flow_fail(&f->flow, cls, "%s%s%s", before, f->origin, after);
}

static void fail_denied(struct http_flow *f) {
    flow_fail(&f->flow, TDA_C_PERMISSION, "%s is at %s, %s: a connection to there is not allowed", f->origin, f->denied_ip,
              f->denied_what);
}

static const char *reason(int error, char *scratch, size_t size) {
    switch (error) {
    case ECONNREFUSED: return "nothing listens there (connection refused)";
    case EHOSTUNREACH: return "no route to the host";
    case ENETUNREACH: return "the network is unreachable";
    case ECONNRESET: return "the other side reset the connection";
    case EMFILE:
    case ENFILE: return "this machine has no file descriptor left";
    default: return strerror_r(error, scratch, size);
    }
}

static void fail_connect(struct http_flow *f) {
    char scratch[128];
    long os_errno = 0;
    curl_easy_getinfo(f->easy, CURLINFO_OS_ERRNO, &os_errno);
    int error = f->socket_errno ? f->socket_errno : (int)os_errno;
    flow_fail(&f->flow, TDA_C_NETWORK, "no connection to %s: %s", f->origin,
              error ? reason(error, scratch, sizeof scratch) : "every address failed");
}

static void fail_tls(struct http_flow *f) {
    for (char *p = f->curl_text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f) *p = ' ';
    flow_fail(&f->flow, TDA_C_NETWORK, "no secure connection to %s: %s", f->origin, f->curl_text[0] ? f->curl_text : "TLS failed");
}

static void fail_broken(struct http_flow *f) {
    if (f->status)
        failed(f, TDA_C_NETWORK, "the connection to ", " broke before the answer was complete");
    else
        failed(f, TDA_C_NETWORK, "the connection to ", " broke before an answer came");
}

static bool was_denied(const struct http_flow *f) {
    return f->denied_what && (f->sockets == 0 || f->phase == HTTP_SENT);
}

/* curl says the same of a header line that is longer than it takes. */
static void fail_memory(struct http_flow *f) {
    if (f->sent && !f->status)
        failed(f, TDA_C_TOO_LARGE, "a header line in the answer of ", " is too long");
    else
        failed(f, TDA_C_INTERNAL, "out of memory in a request to ", "");
}

void http_fail_curl(struct http_flow *f, CURLcode rc) {
    if (was_denied(f)) {
        fail_denied(f);
        return;
    }
    if (f->resent) {
        failed(f, TDA_C_NETWORK, "", " closed the connection without an answer");
        return;
    }
    switch ((int)rc) {
    case CURLE_COULDNT_RESOLVE_HOST: failed(f, TDA_C_NETWORK, "the name of ", " could not be resolved"); break;
    case CURLE_COULDNT_CONNECT: fail_connect(f); break;
    case CURLE_OPERATION_TIMEDOUT: http_fail_timeout(f); break;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS: fail_tls(f); break;
    case CURLE_GOT_NOTHING: failed(f, TDA_C_NETWORK, "", " closed the connection without an answer"); break;
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: fail_broken(f); break;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY: failed(f, TDA_C_PROTOCOL, "what ", " answered is not HTTP"); break;
    case CURLE_BAD_CONTENT_ENCODING: failed(f, TDA_C_PROTOCOL, "the answer of ", " is compressed in an unknown way"); break;
    case CURLE_OUT_OF_MEMORY: fail_memory(f); break;
    default: flow_fail(&f->flow, TDA_C_NETWORK, "the request to %s failed: %s", f->origin, curl_easy_strerror(rc)); break;
    }
}

static long long in_ms(int64_t ns) {
    return (long long)(ns / 1000000);
}

/* The setting is named where the number is the setting's, and not one that was asked for. */
static const char *named(int64_t value, int64_t setting, const char *name) {
    return value == setting ? name : "";
}

/* The deadline of the phase it is in. */
void http_fail_timeout(struct http_flow *f) {
    const struct config *c = loop_config(f->flow.loop);
    const char *connect = named(f->connect_ns, c->calls_connect_timeout, " (calls.connect_timeout)");
    switch (f->phase) {
    case HTTP_QUEUED:
    case HTTP_RESOLVING:
        flow_fail(&f->flow, TDA_C_TIMEOUT, "the name of %s was not resolved within %lld ms%s", f->origin, in_ms(f->connect_ns),
                  connect);
        break;
    case HTTP_CONNECTING:
        flow_fail(&f->flow, TDA_C_TIMEOUT, "no connection to %s within %lld ms%s", f->origin, in_ms(f->connect_ns), connect);
        break;
    case HTTP_SENT:
        flow_fail(&f->flow, TDA_C_TIMEOUT, "%s was silent for %lld ms%s", f->origin, in_ms(f->idle_ns),
                  named(f->idle_ns, c->calls_idle_timeout, " (calls.idle_timeout)"));
        break;
    }
}

bool http_fail_size(struct http_flow *f, const char *what) {
    return flow_fail(&f->flow, TDA_C_TOO_LARGE, "%sthe answer of %s has more than %llu bytes%s", what, f->origin,
                     (unsigned long long)f->max_bytes,
                     named((int64_t)f->max_bytes, loop_config(f->flow.loop)->calls_max_answer, " (calls.max_answer)"));
}

void http_fail_total(struct http_flow *f) {
    flow_fail(&f->flow, TDA_C_TIMEOUT, "%s did not finish within %lld ms", f->origin, in_ms(f->total_ns));
}
