/* "Did you mean": the word of a list that is a slip of the fingers away from what was written. */
#ifndef SYNCGATE_GATEWAY_BASE_NEAREST_H
#define SYNCGATE_GATEWAY_BASE_NEAREST_H

#include "protocol/base/slice.h"

struct nearest {
    struct slice written;
    size_t distance; /* of the best so far */
    char best[64];   /* empty: nothing is near */
};

/* nearest_init: what was written, borrowed. Words of more than 63 bytes are near to nothing. */
void nearest_init(struct nearest *n, struct slice written);
/* nearest_offer: a word that could have been meant (copied). Of words that are equally near the first counts. */
void nearest_offer(struct nearest *n, struct slice word);
/* nearest_found: the best that is near enough, NULL when none is. Valid as long as n. */
const char *nearest_found(const struct nearest *n);

#endif
