/* What a turn tells whoever listens while it runs: one JSON object each, {"type": ...}. Costs nothing when nobody does. [loop]
 *
 *   start {provider, model, profile}        text {text}        thinking {text}        usage {step's tokens, cost}
 *   tool_call {id, tool, server, args}      tool_result {id, tool, is_error, text, cut?}
 *   progress {id?, tool, progress, total?, text?}   of a call that runs, as its server tells
 *   tools_changed {server, tools: [{name, pinned}]}   these are refused until they are approved
 *   resource_updated {uri}
 *   retry {attempt, wait_ms, kind}          warning {text}                            end {stop, kind?}
 *
 * Text is clean, as in the reply. What is long in a tool's arguments or result is cut here: the reply and the model get it whole.
 */
#ifndef AGENT_EVENTS_H
#define AGENT_EVENTS_H

#include "agent/agent.h"

struct toolbox;

void event_start(struct work *w);
/* The start of a character whose rest is in the next piece. */
struct text_rest {
    bool thinking;
    uint32_t n;
    char bytes[4];
};
/* `thinking`: else text of the answer. False: nothing was said, for nobody listens or nothing is left of it. */
bool event_text(struct work *w, struct text_rest *rest, bool thinking, tda_str text);
void event_tool_call(struct work *w, tda_str id, tda_str tool, tda_str server, tda_str args);
void event_tool_result(struct work *w, const struct tda_part *result, tda_str tool);
void event_progress(struct work *w, tda_str id, const char *tool, tda_str text, tda_str json); /* json: the server's */
void event_tools_changed(struct work *w, const struct toolbox *t);                             /* those that are not as approved */
void event_resource_updated(struct work *w, tda_str uri);
void event_usage(struct work *w, const struct tda_usage *u, const double *cost); /* cost NULL: not known */
void event_retry(struct work *w, uint32_t attempt, int64_t wait_ms, uint32_t cls);
void event_warning(struct work *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* False: nobody listens, or it is no question that a user may be shown. */
bool event_ask(struct work *w, const struct question *q);
void event_ask_over(struct work *w, uint64_t number);
void event_end(struct work *w, const char *stop, const struct error *e); /* e: `stop` says nothing */

#endif
