/* The rest is words, so that compression meets something like text. */
#include "bench/payload.h"

#include <stdio.h>

static const char *const words[] = {"amber",  "bridge", "candle", "delta",   "engine", "forest", "garden",  "harbor",
                                    "island", "jacket", "kettle", "lantern", "meadow", "needle", "orchard", "pepper"};

void payload_put(struct bytes *out, size_t size, int64_t seq, int64_t time_ns)
{
    size_t end = out->len + size;
    bytes_put(out, "\"", 1);
    if (seq >= 0)
        bytes_format(out, PAYLOAD_MARK "%012llx%014llx", (unsigned long long)seq, (unsigned long long)time_ns);
    for (uint64_t state = (uint64_t)seq + 1; out->len + 1 < end;) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        const char *word = words[state >> 60];
        size_t len = strlen(word), room = end - 1 - out->len;
        bytes_put(out, word, len < room ? len : room);
        if (out->len + 1 < end)
            bytes_put(out, " ", 1);
    }
    bytes_put(out, "\"", 1);
}
