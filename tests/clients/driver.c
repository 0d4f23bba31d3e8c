/* See driver.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tda/client.h"

static void put_member(const char *name, const char *text) {
    printf("\"%s\":\"", name);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            printf("\\u%04x", (unsigned)*text);
        else
            putchar(*text);
    }
    fputs("\",", stdout);
}

static void put_failure(const struct tda_client_error *e) {
    printf("\"error\":{\"code\":%d,", e->code);
    put_member("message", e->message);
    put_member("kind", e->kind);
    put_member("field", e->field);
    put_member("hint", e->hint);
    printf("\"retry_ms\":%lld}", (long long)e->retry_ms);
}

static void call(struct tda_client *c, const char *method, const char *params) {
    struct tda_client_error e;
    char *result;
    putchar('{');
    if (tda_client_call(c, method, params, &result, &e)) {
        put_failure(&e);
    } else {
        printf("\"result\":%s", result);
        free(result);
    }
}

static enum tda_client_status events(struct tda_client_stream *s, bool cancels, struct tda_client_error *e) {
    const char *event, *comma = "";
    enum tda_client_status status;
    while (!(status = tda_client_stream_next(s, &event, e)) && event) {
        printf("%s%s", comma, event);
        comma = ",";
        if (cancels && strstr(event, "\"start\"") && tda_client_stream_cancel(s, e)) return e->status;
    }
    return status;
}

static void stream(struct tda_client *c, const char *method, const char *params) {
    struct tda_client_stream *s;
    struct tda_client_error e;
    fputs("{\"events\":[", stdout);
    enum tda_client_status status = tda_client_stream_open(c, method, params, &s, &e);
    if (status) {
        fputs("],", stdout);
        put_failure(&e);
        return;
    }
    status = events(s, strstr(params, "\"cancel me\"") != NULL, &e);
    fputs("],", stdout);
    if (status && strcmp(e.kind, "cancelled") != 0)
        put_failure(&e);
    else
        printf("\"state\":\"%s\",\"result\":%s", status ? "cancelled" : "complete", status ? "null" : tda_client_stream_result(s));
    tda_client_stream_free(s);
}

static bool looks(void *arg, int64_t waited_ms) {
    (void)arg;
    return waited_ms < 60000;
}

int main(void) {
    const char *patience = getenv("RECONNECT_MS");
    struct tda_client_options o = {.size = sizeof o,
                                   .url = getenv("TDA_SOCKET"),
                                   .auth = getenv("TDA_TOKEN"),
                                   .ca_file = getenv("TDA_CA"),
                                   .reconnect_ms = patience ? atoi(patience) : 0,
                                   .waiting = looks};
    struct tda_client *c;
    struct tda_client_error e;
    char *line = NULL;
    size_t size = 0;
    if (tda_client_open(&o, &c, &e)) {
        putchar('{');
        put_failure(&e);
        puts("}");
        return 0;
    }
    while (getline(&line, &size, stdin) > 0) {
        char *save, *what = strtok_r(line, " ", &save), *method = strtok_r(NULL, " ", &save), *params = strtok_r(NULL, "\n", &save);
        (strcmp(what, "stream") == 0 ? stream : call)(c, method, params);
        puts("}");
        fflush(stdout);
    }
    free(line);
    tda_client_close(c);
    return 0;
}
