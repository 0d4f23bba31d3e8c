/* Pure parts of the loop: framing in any cut, the judge of addresses, origins; and the loop's own thread, timers and inbox. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "loop/egress.h"
#include "loop/flow_impl.h"
#include "loop/url.h"

TestSuite(loop, .timeout = 30);

static bool collect(void *arg, tda_str name, tda_str id, tda_str data) {
    buf_addf(arg, "<%.*s|%.*s|%.*s>", STR_FMT(name), STR_FMT(id), STR_FMT(data));
    return true;
}

static tda_status frame(uint32_t framing, tda_str text, size_t cut, size_t max, struct buf *out) {
    struct framer *f;
    tda_status s = framer_new(framing, max, &f);
    for (size_t at = 0; at < text.n && !s; at += cut)
        s = framer_feed(f, (tda_str){text.p + at, text.n - at < cut ? text.n - at : cut}, collect, out);
    if (!s) s = framer_end(f, collect, out);
    framer_free(f);
    return s;
}

static void same_in_every_cut(uint32_t framing, const char *text, const char *expected) {
    for (size_t cut = 1; cut <= strlen(text); cut++) {
        struct buf out;
        buf_init(&out, 65536);
        cr_assert(frame(framing, tda_str_of(text), cut, 1000, &out) == TDA_OK);
        cr_assert(tda_str_eq(buf_str(&out), tda_str_of(expected)), "cut %zu: %.*s", cut, STR_FMT(buf_str(&out)));
        buf_fini(&out);
    }
}

Test(loop, server_sent_events) {
    same_in_every_cut(TDA_FRAME_SSE,
                      "\xef\xbb\xbf"
                      "data: a\n\n",
                      "<||a>");
    same_in_every_cut(TDA_FRAME_SSE, "event: e\r\nid: 7\r\ndata: a\r\ndata:b\r\n\r\ndata: c\r\r", "<e|7|a\nb><|7|c>");
    same_in_every_cut(TDA_FRAME_BY_TYPE, "id: 7\nretry: 250\n\ndata: a\n\nretry: x\n\nevent: e\n\nid: 8\n\n", "<|7|><|7|a><|8|>");
    same_in_every_cut(TDA_FRAME_SSE, ": comment\ndata\n\nretry: 5\ndata:  x\n\n", "<||><|| x>");
    same_in_every_cut(TDA_FRAME_SSE, "data: whole\n\ndata: cut short\n", "<||whole>");
}

Test(loop, lines) {
    same_in_every_cut(TDA_FRAME_LINES, "a\r\n\nb\nrest", "<||a><||><||b><||rest>");
    same_in_every_cut(TDA_FRAME_NDJSON, "{}\n\n \r\n[1]\n", "<||{}><||[1]>");
}

/* Frames made by AWS's own codec: tests/fuzz/eventstream.mjs. */
static tda_str read_frames(const char *name, char *room, size_t size) {
    const char *source = getenv("TDA_SOURCE_DIR");
    char path[512];
    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/eventstream/%s", source ? source : ".", name);
    FILE *f = fopen(path, "rb");
    cr_assert(f, "%s", path);
    size_t n = fread(room, 1, size, f);
    fclose(f);
    return (tda_str){room, n};
}

Test(loop, frames_of_aws_in_every_cut) {
    static const struct {
        const char *name, *items;
        tda_status end;
    } rows[] = {
        {"converse",
         "<messageStart|event|{\"role\":\"assistant\"}><contentBlockDelta|event|{\"delta\":{\"text\":\"grüße "
         "漢字\"}}><messageStop|event|{\"stopReason\":\"end_turn\"}>",
         TDA_OK},
        {"exception", "<messageStart|event|{\"role\":\"assistant\"}><throttlingException|exception|{\"message\":\"slow down\"}>",
         TDA_OK},
        {"error", "<InternalError|error|it broke>", TDA_OK},
        {"types", "<all|event|x>", TDA_OK},
        {"bare", "<||>", TDA_OK},
        {"flipped", "<messageStart|event|{\"role\":\"assistant\"}><contentBlockDelta|event|{\"delta\":{\"text\":\"grüße 漢字\"}}>",
         TDA_E_PROTOCOL}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char room[2048];
        tda_str text = read_frames(rows[i].name, room, sizeof room);
        for (size_t cut = 1; cut <= text.n; cut++) {
            struct buf out;
            buf_init(&out, 65536);
            cr_assert(frame(TDA_FRAME_AWS_EVENTSTREAM, text, cut, 1000, &out) == rows[i].end, "%s, cut %zu", rows[i].name, cut);
            cr_assert(tda_str_eq(buf_str(&out), tda_str_of(rows[i].items)), "%s, cut %zu: %.*s", rows[i].name, cut,
                      STR_FMT(buf_str(&out)));
            buf_fini(&out);
        }
    }
}

/* Every byte counts: whichever is wrong, nothing of its frame is handed on. And a stream that is cut short is no whole one. */
Test(loop, a_frame_of_aws_with_a_wrong_byte) {
    char room[2048];
    tda_str text = read_frames("error", room, sizeof room);
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < text.n; i++) {
        room[i] ^= 0x40;
        cr_assert(frame(TDA_FRAME_AWS_EVENTSTREAM, text, text.n, 1000, &out) == TDA_E_PROTOCOL, "byte %zu", i);
        room[i] ^= 0x40;
        if (i)
            cr_assert(frame(TDA_FRAME_AWS_EVENTSTREAM, (tda_str){room, i}, text.n, 1000, &out) == TDA_E_PROTOCOL, "cut at %zu", i);
    }
    cr_assert(out.n == 0);
    cr_assert(frame(TDA_FRAME_AWS_EVENTSTREAM, text, 5, text.n - 17, &out) == TDA_E_LIMIT && out.n == 0);
    cr_assert(frame(TDA_FRAME_AWS_EVENTSTREAM, text, 5, text.n - 16, &out) == TDA_OK && out.n > 0);
    buf_fini(&out);
}

static void why(const char *head, size_t n, const char *expected) {
    struct framer *f;
    struct buf out;
    char prelude[12];
    memcpy(prelude, head, 8);
    uint32_t crc = eventstream_crc((tda_str){head, 8});
    for (size_t i = 0; i < 4; i++) prelude[8 + i] = (char)(crc >> (24 - 8 * i));
    if (n == 12) memcpy(prelude, head, 12);
    buf_init(&out, 1000);
    cr_assert(framer_new(TDA_FRAME_AWS_EVENTSTREAM, 1000, &f) == TDA_OK);
    cr_assert(framer_feed(f, (tda_str){prelude, 12}, collect, &out) == TDA_E_PROTOCOL);
    cr_assert_str_eq(framer_why(f), expected);
    framer_free(f);
    buf_fini(&out);
}

Test(loop, what_is_wrong_with_a_frame_of_aws_is_said_at_once) {
    why("{\"message\": \"", 12, "the checksum of a frame's head is wrong");
    why("\0\0\0\x0f\0\0\0\0", 8, "a frame's lengths make no sense");
    why("\0\0\0\x20\0\0\0\x11", 8, "a frame's lengths make no sense");
    why("\xff\xff\xff\xff\0\x10\0\0", 8, "a frame's lengths make no sense");
}

Test(loop, an_item_has_a_bound) {
    struct buf out;
    char text[5000];
    memset(text, 'x', sizeof text);
    buf_init(&out, 65536);
    for (size_t cut = 1; cut < 3000; cut = cut * 2 + 1)
        cr_assert(frame(TDA_FRAME_LINES, (tda_str){text, sizeof text}, cut, 1000, &out) == TDA_E_LIMIT);
    buf_fini(&out);
}

Test(loop, addresses_are_judged_whatever_they_wear) {
    static const struct {
        const char *ip;
        enum egress_net net;
    } rows[] = {{"8.8.8.8", EGRESS_PUBLIC},
                {"127.0.0.1", EGRESS_PRIVATE},
                {"10.1.2.3", EGRESS_PRIVATE},
                {"172.31.0.1", EGRESS_PRIVATE},
                {"172.32.0.1", EGRESS_PUBLIC},
                {"192.168.0.1", EGRESS_PRIVATE},
                {"169.254.169.254", EGRESS_FORBIDDEN},
                {"0.0.0.0", EGRESS_PRIVATE},
                {"100.64.0.1", EGRESS_PRIVATE},
                {"255.255.255.255", EGRESS_PRIVATE},
                {"::1", EGRESS_PRIVATE},
                {"::ffff:127.0.0.1", EGRESS_PRIVATE},
                {"::ffff:8.8.8.8", EGRESS_PUBLIC},
                {"64:ff9b::a9fe:a9fe", EGRESS_FORBIDDEN},
                {"2002:7f00:1::", EGRESS_PRIVATE},
                {"fe80::1", EGRESS_FORBIDDEN},
                {"fd00::1", EGRESS_PRIVATE},
                {"2606:4700::1", EGRESS_PUBLIC},
                {"fd00:ec2::254", EGRESS_FORBIDDEN},
                {"nonsense", EGRESS_FORBIDDEN}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) cr_assert(egress_judge_text(rows[i].ip, NULL) == rows[i].net, "%s", rows[i].ip);
    cr_assert(!egress_allows(EGRESS_PRIVATE, true, false) && egress_allows(EGRESS_PRIVATE, false, false) &&
              !egress_allows(EGRESS_FORBIDDEN, false, true));
}

Test(loop, origins) {
    static const char *const rows[][2] = {{"https://API.Example.com/v1?x", "https://api.example.com:443"},
                                          {"http://h:8080", "http://h:8080"},
                                          {"https://h:443/", "https://h:443"},
                                          {"http://[::1]/", "http://[::1]:80"}};
    static const char *const bad[] = {
        "", "h", "ftp://h/", "https://user@h/", "https://user:pw@h/", "file:///etc/passwd", "http://h:99999/"};
    char origin[300];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cr_assert(url_origin(tda_str_of(rows[i][0]), origin, sizeof origin) == TDA_OK, "%s", rows[i][0]);
        cr_assert_str_eq(origin, rows[i][1]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert(url_origin(tda_str_of(bad[i]), origin, sizeof origin) != TDA_OK, "%s", bad[i]);
}

Test(loop, one_label_of_a_pattern_is_free) {
    static const char *const bad[] = {
        "https://*.com",        "https://api.*",           "https://a*.example.com", "https://*",
        "https://*.*.a.com",    "https://u@*.example.com", "https://a.com/*.b.c",    "*.example.com",
        "https://*a.b.com",     "https://*.example.",      "https://*..com",         "https://a.com?*.b.c",
        "https://x.com#/*.b.c", "https://a.com:*.b.c",     "https:\\\\*.b.com",      "https://*.com?a.b",
        "https://*.com#a.b",    "https://*.com..",         "https://*.com:443/a.b"};
    static const struct {
        const char *pattern, *url;
        bool matches;
    } rows[] = {{"https://Runtime.*.aws.com", "https://runtime.us-east-1.AWS.com/model/x", true},
                {"https://runtime.*.aws.com", "https://runtime.us.east.aws.com", false},
                {"https://runtime.*.aws.com", "https://runtime.aws.com", false},
                {"https://runtime.*.aws.com", "https://runtime..aws.com", false},
                {"https://runtime.*.aws.com", "https://runtime.x.aws.com.evil.org", false},
                {"https://runtime.*.aws.com", "https://runtime.evil.org/.aws.com", false},
                {"https://runtime.*.aws.com", "http://runtime.x.aws.com", false},
                {"https://runtime.*.aws.com", "https://runtime.x.aws.com:8443", false},
                {"http://*.b.localhost:81/", "http://a.b.localhost:81", true},
                {"https://api.example.com", "https://api.example.com/v1", true},
                {"https://api.example.com", "https://xapi.example.com", false}};
    char pattern[300], origin[300];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_expect(url_pattern(tda_str_of(bad[i]), pattern, sizeof pattern) == TDA_E_INVALID, "%s: %s", bad[i], pattern);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cr_assert(url_pattern(tda_str_of(rows[i].pattern), pattern, sizeof pattern) == TDA_OK, "%s", rows[i].pattern);
        bool matches = url_origin(tda_str_of(rows[i].url), origin, sizeof origin) == TDA_OK && url_matches(pattern, origin);
        cr_expect(matches == rows[i].matches, "%s %s", rows[i].pattern, rows[i].url);
    }
}

/* ---- the thread ---- */

static struct config config;
static int order[8], n_order;
struct step {
    struct task task;
    int number;
};

static void note(struct task *t) {
    order[n_order++] = CONTAINER_OF(t, struct step, task)->number;
}

static struct step deferred = {{.run = note}, 3};
static void note_and_defer(struct task *t) {
    note(t);
    loop_defer(loop_self(), &deferred.task);
}

Test(loop, posts_keep_their_order_and_deferred_ones_come_after_the_callback) {
    struct loop *l;
    struct step a = {{.run = note}, 1}, b = {{.run = note_and_defer}, 2}, c = {{.run = note}, 4};
    cr_assert(loop_new(&(struct loop_options){.config = &config}, &l) == TDA_OK && loop_start(l) == TDA_OK);
    loop_post(l, &a.task);
    loop_post(l, &b.task);
    loop_post(l, &c.task);
    loop_stop(l);
    loop_free(l);
    cr_assert(n_order == 4);
    for (int i = 0; i < 4; i++) cr_assert(order[i] == i + 1, "%d at %d", order[i], i);
}

static int64_t fired[100];
static int n_fired;
static struct timer timers[100];
static void fire(struct timer *t) {
    fired[n_fired++] = t->at_ns;
}

static void set_timers(struct task *t) {
    (void)t;
    int64_t now = clock_now_ns();
    for (int i = 0; i < 100; i++) {
        timers[i].fire = fire;
        timer_set(loop_self(), &timers[i], now + (i * 37 % 100) * NS_PER_MS / 2);
    }
    for (int i = 0; i < 100; i += 10) timer_stop(loop_self(), &timers[i]);
}

Test(loop, timers_fire_in_order_and_stopped_ones_do_not) {
    struct loop *l;
    struct task t = {.run = set_timers};
    cr_assert(loop_new(&(struct loop_options){.config = &config}, &l) == TDA_OK && loop_start(l) == TDA_OK);
    loop_post(l, &t);
    usleep(300000);
    loop_stop(l);
    loop_free(l);
    cr_assert(n_fired == 90, "%d", n_fired);
    for (int i = 1; i < n_fired; i++) cr_assert(fired[i] >= fired[i - 1]);
}
