#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "tda.h"

enum { DIAL_MS = 5000, PROGRESS_AFTER_MS = 2000, PROGRESS_EVERY_MS = 200 };

const char *default_socket(void) {
    static char url[256];
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (geteuid() == 0) return "ipc:///run/tda/tda.sock";
    if (runtime && runtime[0] == '/')
        snprintf(url, sizeof url, "ipc://%s/tda/tda.sock", runtime);
    else
        snprintf(url, sizeof url, "ipc:///tmp/tda-%u/tda.sock", (unsigned)geteuid());
    return url;
}

/* ---- progress: a line on stderr that says how long, for people who wait ---- */

static void show_progress(int64_t waited_ms) {
    static const char wheel[] = "|/-\\";
    fprintf(stderr, "\r%c waiting, %lld s ", wheel[waited_ms / PROGRESS_EVERY_MS % 4], (long long)(waited_ms / 1000));
    fflush(stderr);
}

static int receive(const struct options *o, nng_socket s, nng_msg **ret) {
    int64_t waited = 0, limit = o->timeout_s * 1000;
    bool shows = !o->quiet && isatty(2), shown = false;
    int rc = NNG_ETIMEDOUT;
    while (rc == NNG_ETIMEDOUT && waited < limit) {
        int64_t slice = !shows ? limit : waited < PROGRESS_AFTER_MS ? PROGRESS_AFTER_MS : PROGRESS_EVERY_MS;
        if (slice > limit - waited) slice = limit - waited;
        nng_socket_set_ms(s, NNG_OPT_RECVTIMEO, (nng_duration)slice);
        rc = nng_recvmsg(s, ret, 0);
        waited += slice;
        if (rc == NNG_ETIMEDOUT && shows) {
            show_progress(waited);
            shown = true;
        }
    }
    if (shown) fputs("\r\033[K", stderr);
    return rc;
}

/* ---- one exchange ---- */

static int unreachable(const struct options *o, int rc) {
    fprintf(stderr, "tda: no daemon answers on %s: %s\n", o->socket, nng_strerror(rc));
    fputs("     start one with: tdad --config FILE   or say where it is: tda --socket URL, TDA_SOCKET\n", stderr);
    return EXIT_UNREACHABLE;
}

static int exchange(const struct options *o, tda_str request, nng_msg **ret) {
    nng_socket s;
    nng_msg *msg;
    int rc = nng_req0_open(&s);
    if (rc) return unreachable(o, rc);
    nng_socket_set_ms(s, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE); /* nothing is sent twice behind our back */
    nng_socket_set_size(s, NNG_OPT_RECVMAXSZ, 0);
    nng_socket_set_ms(s, NNG_OPT_SENDTIMEO, DIAL_MS);
    rc = nng_dial(s, o->socket, NULL, 0);
    if (!rc) rc = nng_msg_alloc(&msg, request.n);
    if (rc) {
        nng_close(s);
        return unreachable(o, rc);
    }
    memcpy(nng_msg_body(msg), request.p, request.n);
    rc = nng_sendmsg(s, msg, 0);
    if (rc) nng_msg_free(msg);
    if (!rc) rc = receive(o, s, ret);
    nng_close(s);
    if (!rc) return EXIT_OK;
    if (rc != NNG_ETIMEDOUT) return unreachable(o, rc);
    fprintf(stderr, "tda: no reply within %lld seconds; --timeout waits longer\n", (long long)o->timeout_s);
    return EXIT_TIMEOUT;
}

static int read_reply(const struct options *o, tda_str text, struct json_doc **ret_doc, struct json *ret_result) {
    struct error e = {.retry_ms = -1};
    struct json_doc *doc;
    if (json_parse(text, 0, &doc, &e)) {
        fprintf(stderr, "tda: what answered is no tdad: %s\n", e.text);
        return EXIT_UNREACHABLE;
    }
    struct json failure = json_key(json_root(doc), TDA_STR("error"));
    if (json_type(failure)) {
        if (o->json)
            fprintf(stderr, "%.*s\n", STR_FMT(json_raw(failure))); /* for programs: the same, whole */
        else
            print_error(failure);
        json_free(doc);
        return EXIT_FAILED;
    }
    *ret_doc = doc;
    *ret_result = json_key(json_root(doc), TDA_STR("result"));
    return EXIT_OK;
}

int rpc_call(const struct options *o, const char *method, tda_str params, struct json_doc **ret_doc, struct json *ret_result) {
    struct buf request;
    struct jw w;
    nng_msg *reply = NULL;
    buf_init(&request, 1 << 30);
    jw_init(&w, &request);
    jw_begin_object(&w);
    jw_put_z(&w, "jsonrpc", "2.0");
    jw_put_i64(&w, "id", 1);
    jw_put_z(&w, "method", method);
    if (params.n) jw_put_raw(&w, "params", params);
    jw_end_object(&w);
    int code = request.status ? usage("the request is too large") : exchange(o, buf_str(&request), &reply);
    buf_fini(&request);
    if (code) return code;
    code = read_reply(o, (tda_str){nng_msg_body(reply), nng_msg_len(reply)}, ret_doc, ret_result);
    nng_msg_free(reply);
    return code;
}

void params_begin(struct jw *w, struct buf *out, const struct options *o) {
    buf_init(out, 1 << 30);
    jw_init(w, out);
    jw_begin_object(w);
    if (o->user) jw_put_z(w, "user", o->user);
}

int params_call(const struct options *o, const char *method, struct jw *w, struct json_doc **ret_doc, struct json *ret_result) {
    jw_end_object(w);
    int code = rpc_call(o, method, buf_str(w->out), ret_doc, ret_result);
    buf_fini(w->out);
    if (code || !o->json) return code;
    print_raw(json_raw(*ret_result));
    json_free(*ret_doc);
    *ret_doc = NULL;
    return EXIT_OK;
}
