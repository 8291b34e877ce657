/* Questions to Redis that may outlive who asked them. Each is answered once, also when the link is away (then maybe from inside the
 * question), and a late answer finds nobody. */
#ifndef SYNCGATE_GATEWAY_BASE_ASK_H
#define SYNCGATE_GATEWAY_BASE_ASK_H

#include "protocol/base/list.h"

/* What one asker has open; embedded in it. */
struct asks {
    void *asker;
    struct list open; /* struct ask */
};

struct ask {
    struct list_node node; /* asks->open */
    struct asks *asks;     /* NULL: the asker went */
};

void asks_init(struct asks *as, void *asker);
/* asks_deinit: the asker goes. What is still open is freed by its answer. */
void asks_deinit(struct asks *as);

/* An ask on its own: ask_new with the question, ask_take with its answer, which frees it and returns the asker (NULL: it went). */
struct ask *ask_new(struct asks *as);
void *ask_take(struct ask *a);

/* Likewise for one that is embedded in what the answer needs; freeing that stays with the caller. */
void ask_begin(struct ask *a, struct asks *as);
void *ask_end(struct ask *a);

#endif
