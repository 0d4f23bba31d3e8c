/* The tools a work may use: its MCP connection and the catalogue of that server. [loop]
 *
 * The catalogue is kept with the connection: listed once, again when it is next wanted after the server said that its tools
 * changed, however often it said so. A name that is not in the catalogue is refused here, whoever asks. */
#ifndef AGENT_TOOLBOX_H
#define AGENT_TOOLBOX_H

#include "agent/agent.h"
#include "agent/catalogue.h"
#include "agent/pins.h"

struct toolbox {
    struct work *work;
    void (*done)(struct toolbox *t, const struct error *e); /* once, later */
    bool only_connect;                                      /* the tools are not needed: no catalogue */

    struct conn *conn;
    struct catalogue *catalogue;
    struct catalogue *listing;
    struct pins pins; /* where they are wanted */
    struct call *call;
    struct timer timer;
    char who[96];
    bool opening, cancelled, overflow, fresh;
    int64_t opened_ns;
};

/* `t` is the caller's, zeroed but for work, done and only_connect. Needs a snapshot with an mcp_server_name (see toolbox_wanted).
 */
bool toolbox_wanted(const struct work *w);
void toolbox_open(struct toolbox *t);
void toolbox_cancel(struct toolbox *t); /* done comes later with "cancelled", unless it came */
void toolbox_fini(struct toolbox *t);
/* How a tool of the catalogue stands to what the user has approved. */
enum pin_state toolbox_pin(const struct toolbox *t, const struct tool *tool);
/* May the work use it: enabled, and as approved? */
bool toolbox_allows(const struct toolbox *t, const struct tool *tool);

/* ---- one call of a tool ---- */

struct tool_call {
    struct work *work;
    struct toolbox *toolbox;
    tda_str id;                                               /* the model's, for the turn */
    tda_str name;                                             /* alias or the server's */
    tda_str args;                                             /* JSON object, or absent */
    void (*done)(struct tool_call *c, const struct error *e); /* once, later; e: the call could not be made or broke */

    const struct tool *tool;
    struct call *call;
    struct timer later;
    struct error fault;
    const struct tda_part **parts;
    uint32_t n_parts, cap_parts;
    const struct tda_part *structured; /* of `parts`: what the tool's output schema is about */
    size_t bytes, dropped;
    bool has_structured; /* though it may not be among `parts`, or not whole: too much came */
    bool is_error;
    bool cancelled;
};

/* Checks name and arguments, then asks the server. What comes beyond calls.max_tool_result is cut and said so; structured content
 * that is not there, or does not keep the tool's output schema, becomes an error result that says where. */
void tool_call_start(struct tool_call *c);
void tool_call_cancel(struct tool_call *c);

#endif
