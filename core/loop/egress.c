/* The table of networks behind egress_judge. IPv4 lists what is not public (IANA's special-purpose registry); IPv6 is public only
 * inside 2000::/3, less the parts listed. Pure functions, every thread. */
#include "loop/egress.h"

#include <arpa/inet.h>
#include <netinet/in.h>

struct verdict {
    enum egress_net net;
    const char *what;
};

struct v4_row {
    uint32_t net;
    unsigned bits;
    struct verdict verdict;
};

#define V4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define FORBIDDEN(what)                                                                                                            \
    { EGRESS_FORBIDDEN, (what) }
#define PRIVATE(what)                                                                                                              \
    { EGRESS_PRIVATE, (what) }

/* The first that matches counts. */
static const struct v4_row v4_rows[] = {
    {V4(169, 254, 0, 0), 16, FORBIDDEN("a link-local address")},
    {V4(100, 100, 100, 200), 32, FORBIDDEN("a cloud's metadata service")}, /* Alibaba */
    {V4(168, 63, 129, 16), 32, FORBIDDEN("a cloud's metadata service")},   /* Azure's wire server */
    {V4(192, 0, 0, 192), 32, FORBIDDEN("a cloud's metadata service")},     /* Oracle, classic */
    {V4(0, 0, 0, 0), 8, PRIVATE("an address of this machine")},
    {V4(10, 0, 0, 0), 8, PRIVATE("a private address")},
    {V4(100, 64, 0, 0), 10, PRIVATE("a carrier's private address")},
    {V4(127, 0, 0, 0), 8, PRIVATE("a loopback address")},
    {V4(172, 16, 0, 0), 12, PRIVATE("a private address")},
    {V4(192, 0, 0, 0), 24, PRIVATE("a reserved address")},
    {V4(192, 0, 2, 0), 24, PRIVATE("an address for examples")},
    {V4(192, 88, 99, 0), 24, PRIVATE("a reserved address")}, /* 6to4 relays, withdrawn */
    {V4(192, 168, 0, 0), 16, PRIVATE("a private address")},
    {V4(198, 18, 0, 0), 15, PRIVATE("an address for benchmarks")},
    {V4(198, 51, 100, 0), 24, PRIVATE("an address for examples")},
    {V4(203, 0, 113, 0), 24, PRIVATE("an address for examples")},
    {V4(224, 0, 0, 0), 4, PRIVATE("a multicast address")},
    {V4(240, 0, 0, 0), 4, PRIVATE("a reserved or broadcast address")},
};

struct v6_row {
    unsigned char net[16];
    unsigned bits;
    struct verdict verdict;
    int embeds; /* where an IPv4 address stands; 0: none; negative: inverted */
};

/* All that match count, the worst wins; outside of 2000::/3 nothing is public in any case. */
static const struct v6_row v6_rows[] = {
    {{0xfe, 0x80}, 10, FORBIDDEN("a link-local address"), 0},
    {{0xfd, 0x00, 0x0e, 0xc2}, 32, FORBIDDEN("a cloud's metadata service"), 0},   /* AWS */
    {{0xfd, 0x20, 0x00, 0xce}, 32, FORBIDDEN("a cloud's metadata service"), 0},   /* Google */
    {{0}, 96, {EGRESS_PUBLIC, NULL}, 12},                                         /* v4-compatible; :: and ::1 are 0.0.0.x */
    {{[10] = 0xff, [11] = 0xff}, 96, {EGRESS_PUBLIC, NULL}, 12},                  /* v4-mapped */
    {{[8] = 0xff, [9] = 0xff}, 96, {EGRESS_PUBLIC, NULL}, 12},                    /* v4-translated (SIIT) */
    {{0x00, 0x64, 0xff, 0x9b}, 96, {EGRESS_PUBLIC, NULL}, 12},                    /* NAT64 */
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, PRIVATE("a private address"), 12}, /* NAT64 of a site */
    {{0x20, 0x02}, 16, {EGRESS_PUBLIC, NULL}, 2},                                 /* 6to4 */
    {{0x20, 0x01, 0x00, 0x00}, 32, {EGRESS_PUBLIC, NULL}, 4},                     /* Teredo: its server */
    {{0x20, 0x01, 0x00, 0x00}, 32, {EGRESS_PUBLIC, NULL}, -12},                   /* Teredo: its client */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, PRIVATE("an address for examples"), 0},
    {{0x3f, 0xff}, 20, PRIVATE("an address for examples"), 0},
    {{0x20, 0x01, 0x00, 0x02}, 48, PRIVATE("an address for benchmarks"), 0},
    {{0x20, 0x01, 0x00, 0x10}, 28, PRIVATE("a reserved address"), 0}, /* ORCHID */
    {{0x20, 0x01, 0x00, 0x20}, 28, PRIVATE("a reserved address"), 0}, /* ORCHIDv2 */
    {{0xff}, 8, PRIVATE("a multicast address"), 0},
    {{0xfc}, 7, PRIVATE("a unique-local address"), 0},
    {{0xfe, 0xc0}, 10, PRIVATE("a site-local address"), 0},
};

static struct verdict worse(struct verdict a, struct verdict b) {
    return b.net > a.net ? b : a;
}

static struct verdict judge_v4(uint32_t ip) {
    for (size_t i = 0; i < ARRAY_LEN(v4_rows); i++) {
        const struct v4_row *row = &v4_rows[i];
        if ((ip ^ row->net) >> (32 - row->bits) == 0) return row->verdict;
    }
    return (struct verdict){EGRESS_PUBLIC, "a public address"};
}

static uint32_t v4_at(const unsigned char *p) {
    return V4(p[0], p[1], p[2], p[3]);
}

static bool v6_matches(const unsigned char *ip, const struct v6_row *row) {
    size_t bytes = row->bits / 8;
    unsigned rest = row->bits % 8;
    if (memcmp(ip, row->net, bytes) != 0) return false;
    return rest == 0 || (ip[bytes] ^ row->net[bytes]) >> (8 - rest) == 0;
}

/* ISATAP: the interface part is [02]00:5efe, then an IPv4 address. */
static bool is_isatap(const unsigned char *ip) {
    return (ip[8] & 0xfd) == 0 && ip[9] == 0 && ip[10] == 0x5e && ip[11] == 0xfe;
}

static struct verdict embedded(const unsigned char *ip, int at) {
    return at > 0 ? judge_v4(v4_at(ip + at)) : judge_v4(~v4_at(ip - at));
}

static bool carries_v4(const unsigned char *ip) {
    for (size_t i = 0; i < ARRAY_LEN(v6_rows); i++)
        if (v6_rows[i].embeds == 12 && v6_rows[i].bits == 96 && v6_matches(ip, &v6_rows[i])) return true;
    return false;
}

static struct verdict judge_v6(const unsigned char *ip) {
    struct verdict v = {EGRESS_PUBLIC, "a public address"};
    if ((ip[0] & 0xe0) != 0x20 && !carries_v4(ip)) v = (struct verdict)PRIVATE("a reserved address");
    for (size_t i = 0; i < ARRAY_LEN(v6_rows); i++) {
        const struct v6_row *row = &v6_rows[i];
        if (!v6_matches(ip, row)) continue;
        if (row->verdict.net == v.net && row->verdict.what) v.what = row->verdict.what; /* the more telling words */
        v = worse(v, row->verdict);
        if (row->embeds) v = worse(v, embedded(ip, row->embeds));
    }
    if (is_isatap(ip)) v = worse(v, judge_v4(v4_at(ip + 12)));
    return v;
}

static struct verdict judge(const struct sockaddr *sa) {
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        return judge_v4(ntohl(in.sin_addr.s_addr));
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        return judge_v6(in6.sin6_addr.s6_addr);
    }
    return (struct verdict)FORBIDDEN("not an internet address");
}

enum egress_net egress_judge(const struct sockaddr *sa, const char **ret_what) {
    struct verdict v = judge(sa);
    if (ret_what) *ret_what = v.what;
    return v.net;
}

enum egress_net egress_judge_text(const char *ip, const char **ret_what) {
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, ip, &in.sin_addr) == 1) return egress_judge((const struct sockaddr *)&in, ret_what);
    if (inet_pton(AF_INET6, ip, &in6.sin6_addr) == 1) return egress_judge((const struct sockaddr *)&in6, ret_what);
    return egress_judge(&(struct sockaddr){.sa_family = AF_UNSPEC}, ret_what);
}

bool egress_allows(enum egress_net net, bool user_given, bool private_allowed) {
    if (net == EGRESS_FORBIDDEN) return false;
    return net == EGRESS_PUBLIC || !user_given || private_allowed;
}
