/* The kind of a topic that is a variable. */
#ifndef SYNCGATE_GATEWAY_STATE_TOPIC_VAR_H
#define SYNCGATE_GATEWAY_STATE_TOPIC_VAR_H

#include "gateway/state/topic.h"

extern const struct topic_kind topic_var_kind;

/* topic_var_value: of a variable, borrowed; ptr NULL: null. */
struct slice topic_var_value(const struct topic *t);

#endif
