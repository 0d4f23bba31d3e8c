/* `tda plugin bench FILE`: what the codec costs, without network and without the rest of the host. */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "cmd.h"

enum { BENCH_NS = 1000000000, STREAM_EVENTS = 200, AT_ONCE = 200 };

static int64_t cpu_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

struct figures {
    uint64_t calls, events;
    int64_t wall_ns, cpu_ns;
    double bytes;
};

static void measure(struct tda_test *t, const struct fixture *f, struct figures *ret) {
    struct outcome o;
    struct plan p = {.fixture = f, .pieces = LINES};
    play(t, &p, &o); /* warm */
    outcome_fini(&o);
    int64_t wall = clock_now_ns(), cpu = cpu_ns();
    uint64_t emits = t->emits;
    do {
        play(t, &p, &o);
        outcome_fini(&o);
        ret->calls++;
    } while (clock_now_ns() - wall < BENCH_NS / 2);
    ret->wall_ns = clock_now_ns() - wall;
    ret->cpu_ns = cpu_ns() - cpu;
    ret->events = t->emits - emits;
}

/* Many calls begun and none answered: what one holds while it waits, the test host's own part taken off by a call of nothing. */
static double memory_of_call(struct tda_test *t, const struct fixture *f) {
    struct tda_test_call *calls[AT_ONCE];
    size_t before = memory_in_use();
    for (size_t i = 0; i < AT_ONCE; i++) calls[i] = tda_test_chat(t, f->model ? f->model : "model-1", "Say hello", 1);
    size_t after = memory_in_use();
    for (size_t i = 0; i < AT_ONCE; i++) {
        if (!calls[i]) continue;
        tda_test_cancel(calls[i]);
        tda_test_forget(calls[i]);
    }
    return after > before ? (double)(after - before) / AT_ONCE : 0;
}

static void print(const struct fixture *f, const struct figures *g, bool json) {
    double seconds = (double)g->wall_ns / NS_PER_S;
    double calls_s = (double)g->calls / seconds, cpu_us = (double)g->cpu_ns / 1000 / (double)g->calls,
           events_s = (double)g->events / seconds;
    if (json)
        printf("{\"fixture\":\"%s\",\"calls_per_s\":%.0f,\"cpu_us_per_call\":%.1f,\"events_per_s\":%.0f,\"bytes_per_call\":%.0f}\n",
               f->name, calls_s, cpu_us, events_s, g->bytes);
    else
        printf("%-44s %10.0f %12.1f %12.0f %12.0f\n", f->name, calls_s, cpu_us, events_s, g->bytes);
}

/* A long stream out of a short one: its second event, many times. */
static struct fixture *long_stream(void) {
    struct fixture *f = fixture_new("200 deltas of a chat completion stream");
    struct buf b;
    if (!f) return NULL;
    buf_init(&b, 1 << 20);
    buf_add_z(
        &b, "data: "
            "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n");
    for (int i = 0; i < STREAM_EVENTS; i++)
        buf_add_z(&b, "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" "
                      "word\"},\"finish_reason\":null}]}\n\n");
    buf_add_z(&b, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
    f->stream = true;
    f->answers[0] = (struct answer){.status = 200, .headers = str_dup(TDA_STR("content-type: text/event-stream"))};
    size_t n;
    char *body = buf_take(&b, &n);
    f->answers[0].body = (tda_str){body, n};
    f->n_answers = 1;
    return f;
}

int cmd_bench(const struct options *o) {
    struct fixtures fixtures = {0};
    struct error e = {.retry_ms = -1};
    const struct loaded *m;
    struct tda_test *t;
    if (kit_module(o->file, &m, &e) || kit_open(m, &t, &e)) return usage("%s: %s", o->file, e.text);
    if (o->fixtures && fixtures_read(o->fixtures, &fixtures, &e)) return usage("%s", e.text);
    if (!o->fixtures && m->provider) fixtures.list[fixtures.n++] = long_stream();
    if (!o->fixtures && m->adapter) fixtures_generic(m, &fixtures);
    if (!o->json) printf("%-44s %10s %12s %12s %12s\n", "FIXTURE", "CALLS/S", "CPU US/CALL", "EVENTS/S", "BYTES/CALL");
    for (size_t i = 0; i < fixtures.n && (o->fixtures || i < 2); i++) {
        struct figures g = {0};
        measure(t, fixtures.list[i], &g);
        if (!fixtures.list[i]->of_adapter) g.bytes = memory_of_call(t, fixtures.list[i]);
        print(fixtures.list[i], &g, o->json);
    }
    fixtures_free(&fixtures);
    return tda_test_close(t) ? EXIT_FOUND : EXIT_OK;
}
