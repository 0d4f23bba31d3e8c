/* Inside of `tda chat`: chat.c reads lines and knows the commands, chat_turn.c shows one turn. */
#ifndef TDA_COMMAND_CHAT_H
#define TDA_COMMAND_CHAT_H

#include "tda.h"

struct chat {
    const struct options *o;
    struct tda_client *client;
    bool has_tasks, has_sessions, has_profiles; /* what this daemon offers */
    bool quit;
    char session[64], profile[64]; /* "": none */
};

/* A call whose errors are printed. False after one; else the caller frees the document. Takes params, begun with chat_params. */
bool chat_call(struct chat *c, const char *method, struct jw *params, struct json_doc **ret);
void chat_params(struct jw *w, struct buf *out);

/* Asks, and prints what comes. Ctrl-C cancels the turn; a second one no longer waits for its end. */
void chat_turn(struct chat *c, tda_str text);
/* `waiting` of the client: false once after Ctrl-C. */
bool chat_waiting(void *arg, int64_t waited_ms);
void chat_catch_interrupts(void);

#endif
