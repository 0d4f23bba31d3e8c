/* The job that says, now and then, how the host fares: one line for the log, and the job's note. */
#include <stdio.h>

#include "base/log.h"
#include "base/process.h"
#include "host.h"
#include "loop/flow.h"
#include "plugin/calls.h"

tda_status host_report(void *arg, char *note, size_t note_size) {
    const struct host *h = arg;
    struct call_stats calls;
    struct server_stats door = {0};
    calls_stats(h->plugins, &calls);
    if (h->server) server_stats(h->server, &door);
    uint64_t contexts = contexts_count(h->contexts), memory = process_resident_bytes() >> 20;
    int children = launcher_children(h->launcher);
    snprintf(note, note_size, "%llu contexts, %llu client connections, %llu requests, %llu calls running, %d children, %llu MiB",
             (unsigned long long)contexts, (unsigned long long)door.connections, (unsigned long long)door.requests_total,
             (unsigned long long)(calls.started - calls.dropped), children, (unsigned long long)memory);
    log_info("report", LOG_INT("contexts", (int64_t)contexts), LOG_INT("connections", (int64_t)door.connections),
             LOG_INT("requests", (int64_t)door.requests_total), LOG_INT("calls_running", (int64_t)(calls.started - calls.dropped)),
             LOG_INT("mcp_connections", (int64_t)calls.conns_open), LOG_INT("children", children), LOG_INT("mib", (int64_t)memory));
    return TDA_OK;
}
