#include "agent/limits.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/hash_table.h"

enum { USERS_MAX = 1 << 20 };

struct day_count {
    int64_t day;
    uint64_t tokens;
};

struct user_account {
    UT_hash_handle hh;
    struct user_account *next; /* of those that are being freed */
    int64_t next_ns;           /* when a minute's worth of requests is there again, but for one interval (GCRA) */
    struct day_count days[4];  /* the last counted first: a wall clock that jumps and comes back finds its day again */
    int64_t counted_ns;
    uint64_t tasks;
    char name[];
};

struct limits {
    const struct config *config;
    pthread_mutex_t lock;
    struct user_account *users;
};

tda_status limits_new(const struct config *c, struct limits **ret) {
    struct limits *l = calloc(1, sizeof *l);
    if (!l) return TDA_E_NOMEM;
    l->config = c;
    pthread_mutex_init(&l->lock, NULL);
    *ret = l;
    return TDA_OK;
}

static uint64_t tokens_of(const struct user_account *u, int64_t day) {
    for (size_t i = 0; i < ARRAY_LEN(u->days); i++)
        if (u->days[i].day == day) return u->days[i].tokens;
    return 0;
}

/* What was counted stays for a day's length: the wall clock's day alone may be another one for a moment only. */
static bool at_rest(const struct user_account *u, int64_t now, int64_t today) {
    bool counts = u->days[0].day && now - u->counted_ns < DAY_MS * NS_PER_MS;
    return u->tasks == 0 && u->next_ns <= now && !counts && tokens_of(u, today) == 0;
}

static void free_all(struct user_account *u) {
    while (u) {
        struct user_account *next = u->next;
        free(u);
        u = next;
    }
}

static uint64_t clean_locked(struct limits *l) {
    struct user_account *next = NULL, *gone = NULL;
    int64_t now = clock_now_ns(), today = clock_wall_ms() / DAY_MS;
    uint64_t n = 0;
    for (struct user_account *u = l->users; u; u = next) {
        next = u->hh.next;
        if (!at_rest(u, now, today)) continue;
        HASH_DEL(l->users, u);
        u->next = gone;
        gone = u;
        n++;
    }
    free_all(gone);
    return n;
}

void limits_free(struct limits *l) {
    if (!l) return;
    for (struct user_account *u = l->users; u; u = u->hh.next) u->next = u->hh.next;
    struct user_account *all = l->users;
    HASH_CLEAR(hh, l->users);
    free_all(all);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* NULL: there is no room, and nobody is at rest. */
static struct user_account *account_locked(struct limits *l, tda_str user) {
    struct user_account *u = NULL;
    HASH_FIND(hh, l->users, user.p, user.n, u);
    if (u) return u;
    if (HASH_COUNT(l->users) >= USERS_MAX && clean_locked(l) == 0) return NULL;
    u = calloc(1, sizeof *u + user.n + 1);
    if (!u) return NULL;
    if (user.n) memcpy(u->name, user.p, user.n);
    HASH_ADD(hh, l->users, name, user.n, u);
    if (u->hh.tbl) return u;
    free(u);
    return NULL;
}

static tda_status no_room(struct error *e) {
    error_set(e, TDA_E_BUSY, "busy", "too many users are active at once");
    error_hint(e, "try again: who is at rest makes room");
    if (e) e->retry_ms = 1000;
    return TDA_E_BUSY;
}

static tda_status check_tokens(const struct limits *l, const struct user_account *u, struct error *e) {
    uint64_t most = (uint64_t)config_now(l->config)->limits_user_tokens;
    int64_t now_ms = clock_wall_ms(), today = now_ms / DAY_MS;
    uint64_t used = tokens_of(u, today);
    if (!most || used < most) return TDA_OK;
    error_set(e, TDA_E_LIMIT, "quota_exceeded", "this user has used %llu tokens today; %llu a day are allowed",
              (unsigned long long)used, (unsigned long long)most);
    error_hint(e, "the day ends at midnight UTC; the operator's limit is limits.per_user.tokens_per_day");
    if (e) e->retry_ms = (today + 1) * DAY_MS - now_ms;
    return TDA_E_LIMIT;
}

static tda_status take_request(const struct limits *l, struct user_account *u, struct error *e) {
    int64_t rate = config_now(l->config)->limits_user_rate, now = clock_now_ns();
    if (!rate) return TDA_OK;
    int64_t interval = 60LL * NS_PER_S / rate, ahead = u->next_ns > now ? u->next_ns - now : 0;
    int64_t wait = ahead - (60LL * NS_PER_S - interval);
    if (wait <= 0) {
        u->next_ns = now + ahead + interval;
        return TDA_OK;
    }
    error_set(e, TDA_E_BUSY, "rate_limited", "this user may begin %lld requests a minute", (long long)rate);
    error_hint(e, "try again after retry_ms; the operator's limit is limits.per_user.requests_per_minute");
    if (e) e->retry_ms = wait / NS_PER_MS + 1;
    return TDA_E_BUSY;
}

tda_status limits_begin(struct limits *l, tda_str user, struct error *e) {
    if (!config_now(l->config)->limits_user_rate && !config_now(l->config)->limits_user_tokens) return TDA_OK;
    pthread_mutex_lock(&l->lock);
    struct user_account *u = account_locked(l, user);
    tda_status s = u ? check_tokens(l, u, e) : no_room(e);
    if (!s) s = take_request(l, u, e);
    pthread_mutex_unlock(&l->lock);
    return s;
}

static void count_tokens(struct user_account *u, int64_t day, uint64_t tokens) {
    size_t at = 0, last = ARRAY_LEN(u->days) - 1;
    while (at < last && u->days[at].day != day) at++;
    struct day_count it = u->days[at].day == day ? u->days[at] : (struct day_count){.day = day};
    memmove(u->days + 1, u->days, at * sizeof it);
    u->days[0] = it;
    u->days[0].tokens += tokens;
    u->counted_ns = clock_now_ns();
}

void limits_tokens(struct limits *l, tda_str user, int64_t day, uint64_t tokens) {
    if (!config_now(l->config)->limits_user_tokens || !tokens) return;
    pthread_mutex_lock(&l->lock);
    struct user_account *u = account_locked(l, user);
    if (u) count_tokens(u, day, tokens);
    pthread_mutex_unlock(&l->lock);
}

tda_status limits_task_begin(struct limits *l, tda_str user, struct error *e) {
    uint64_t most = (uint64_t)config_now(l->config)->limits_user_tasks;
    pthread_mutex_lock(&l->lock);
    struct user_account *u = account_locked(l, user);
    tda_status s = u ? TDA_OK : no_room(e);
    if (u && most && u->tasks >= most) {
        s = error_set(e, TDA_E_BUSY, "too_many_tasks", "this user has %llu tasks in flight, which is the limit",
                      (unsigned long long)u->tasks);
        error_hint(e, "wait for some to end, or cancel them; the operator's limit is limits.per_user.tasks");
        if (e) e->retry_ms = 1000;
    }
    if (!s) u->tasks++;
    pthread_mutex_unlock(&l->lock);
    return s;
}

void limits_task_end(struct limits *l, tda_str user) {
    struct user_account *u = NULL;
    pthread_mutex_lock(&l->lock);
    HASH_FIND(hh, l->users, user.p, user.n, u);
    if (u && u->tasks) u->tasks--;
    pthread_mutex_unlock(&l->lock);
}

void limits_forget(struct limits *l, tda_str user) {
    struct user_account *u = NULL;
    pthread_mutex_lock(&l->lock);
    HASH_FIND(hh, l->users, user.p, user.n, u);
    if (u) {
        memset(u->days, 0, sizeof u->days);
        u->next_ns = 0;
    }
    if (u && !u->tasks) {
        HASH_DEL(l->users, u);
        free(u);
    }
    pthread_mutex_unlock(&l->lock);
}

uint64_t limits_clean(struct limits *l) {
    pthread_mutex_lock(&l->lock);
    uint64_t n = clean_locked(l);
    pthread_mutex_unlock(&l->lock);
    return n;
}
