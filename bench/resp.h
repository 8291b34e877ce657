/* The protocol of Redis, version 2: commands out, replies in. */
#ifndef SYNCGATE_BENCH_RESP_H
#define SYNCGATE_BENCH_RESP_H

#include <sys/types.h>

#include "bench/bytes.h"

struct resp_value {
    char type;       /* + - : $ * as on the wire */
    const char *ptr; /* the text; NULL for nil and arrays */
    size_t len;
    int64_t number; /* of ':', and how many elements '*' has */
};

/* resp_parse reads one whole reply, its values one after the other, arrays in front of their elements. Returns its length in
 * bytes, 0 when bytes are missing, -1 when it is none. Values beyond `max` are read and dropped. */
ssize_t resp_parse(const char *bytes, size_t len, struct resp_value *values, size_t max, size_t *count);

/* resp_command appends a command: resp_command(out, 3), then its words. */
void resp_command(struct bytes *out, size_t words);
void resp_word(struct bytes *out, const char *text, size_t len);
void resp_text(struct bytes *out, const char *text);

#endif
