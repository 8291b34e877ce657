/* The ids that left a list lately: who was told an older state learns by them whether an item left the list or only the page. */
#ifndef SYNCGATE_GATEWAY_STATE_GONE_H
#define SYNCGATE_GATEWAY_STATE_GONE_H

#include "protocol/base/map.h"

enum { GONE_MAX = 1024 }; /* ids that are remembered; one more, and all are forgotten */

struct gone {
    int64_t opaque_rev; /* what left the list before this revision is not known one by one */
    struct map _by_id;
};

void gone_init(struct gone *g);
void gone_deinit(struct gone *g);
/* gone_add: the id left the list. rev: of the list now, as below. */
void gone_add(struct gone *g, struct slice id, int64_t rev);
/* gone_forget: the id came back. */
void gone_forget(struct gone *g, struct slice id);
bool gone_has(const struct gone *g, struct slice id);
/* gone_clear: what left the list before rev is not known any more. */
void gone_clear(struct gone *g, int64_t rev);

#endif
