#ifndef AGENT_QUESTIONS_H
#define AGENT_QUESTIONS_H

#include "agent/agent.h"

/* What is asked on the way of this call reaches the work's user, if somebody listens to its events. [loop] */
void questions_hear(struct work *w, struct call_spec *spec);

#endif
