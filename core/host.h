/* The daemon's parts, as main.c puts them together. */
#ifndef HOST_H
#define HOST_H

#include "agent/agent.h"
#include "config/config.h"
#include "identity/identity.h"
#include "route/route.h"
#include "server/server.h"
#include "session/open.h"

struct reload;

struct host {
    char context_file[512]; /* empty: not kept */
    uint64_t saved_epoch;
    char kept_aside[560]; /* where a damaged context file went; empty: there was none */
    struct sessions *sessions;
    struct retention_ages ages; /* the retention job's */
    struct limits *limits;
    struct config_source source; /* where the configuration is read from, again at each reload */
    struct config *config;       /* the one it began with: config_now(config) is what counts */
    struct plugins *plugins;
    struct identity *identity;
    struct audit *audit; /* NULL: off */
    struct contexts *contexts;
    struct agent agent;
    struct reload *reloads; /* reload.c's */
    struct jobs *jobs;
    struct launcher *launcher;
    struct loop **loops;
    unsigned n_loops, n_started;
    struct router *router;
    struct server *server;
};

/* Do the profiles of `c` fit the plugins? That is known only by making them; here for nobody. */
tda_status host_check_profiles(const struct config *c, struct plugins *plugins, struct buf *report);

/* reload.c: the job that reads the configuration again. [job thread] */
tda_status host_reload(void *host, char *note, size_t note_size);
/* Members for config.reload: what the last one changed. [job thread, after it] */
void host_write_reload(void *host, struct jw *w);
void host_free_reloads(struct host *h);

/* report.c: the job that says how the host fares. [job thread] */
tda_status host_report(void *host, char *note, size_t note_size);

#endif
