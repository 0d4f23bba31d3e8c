/* Ask as one user, and read the answer as it comes:  cc example.c $(pkg-config --cflags --libs tda-client) && ./a.out */
#include <stdio.h>
#include <stdlib.h>
#include <tda/client.h>

static int failed(const struct tda_client_error *e) {
    fprintf(stderr, "%s: %s %s\n", e->kind, e->message, e->hint);
    return 1;
}

int main(void) {
    struct tda_client_options o = {.size = sizeof o, .url = getenv("TDA_SOCKET"), .user = "alice"};
    struct tda_client_stream *stream;
    struct tda_client_error e;
    struct tda_client *tda;
    const char *event;
    char *result;

    if (tda_client_open(&o, &tda, &e)) return failed(&e);
    if (tda_client_call(tda, "configure", "{\"provider\": \"offline\", \"model\": \"offline-1\"}", &result, &e)) return failed(&e);
    free(result);
    if (tda_client_stream_open(tda, "agent.run", "{\"input\": \"Who is there?\"}", &stream, &e)) return failed(&e);
    enum tda_client_status status;
    while (!(status = tda_client_stream_next(stream, &event, &e)) && event) puts(event); /* one JSON object each */
    if (status) return failed(&e);
    puts(tda_client_stream_result(stream));
    tda_client_stream_free(stream);
    tda_client_close(tda);
    return 0;
}
