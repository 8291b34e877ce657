/* WebSocket framing of what the server sends, and the shared, immutable result.
 * The payload is written behind room for the usual header and moved only when the header has another size. */
#include "protocol/base/frame.h"

#include <assert.h>
#include <stdlib.h>

#include "protocol/base/alloc.h"

enum {
    FIN_TEXT = 0x81,
    FIN_BINARY = 0x82,
    LEN_16 = 126, /* the length follows in 2 bytes */
    LEN_64 = 127, /* the length follows in 8 bytes */
    HEADER_7 = 2,
    HEADER_16 = 4,
    HEADER_64 = 10,
    HEADER_ROOM = HEADER_16 /* left by frame_begin */
};

size_t frame_begin(struct buf *out)
{
    size_t mark = out->len;
    if (buf_reserve(out, HEADER_ROOM))
        out->len += HEADER_ROOM;
    return mark;
}

static size_t header_size(size_t payload)
{
    if (payload < LEN_16)
        return HEADER_7;
    return payload <= UINT16_MAX ? HEADER_16 : HEADER_64;
}

static void write_header(unsigned char *at, size_t header, size_t payload)
{
    at[0] = FIN_TEXT;
    if (header == HEADER_7) {
        at[1] = (unsigned char)payload;
        return;
    }
    at[1] = header == HEADER_16 ? LEN_16 : LEN_64;
    for (size_t i = header; i > HEADER_7; i--) { /* network byte order */
        at[i - 1] = (unsigned char)(payload & 0xff);
        payload >>= 8;
    }
}

void frame_end(struct buf *out, size_t mark)
{
    size_t header = 0;
    if (!out->failed) {
        assert(out->len >= mark + HEADER_ROOM);
        header = header_size(out->len - mark - HEADER_ROOM);
        if (header > HEADER_ROOM)
            (void)buf_reserve(out, header - HEADER_ROOM);
    }
    if (out->failed) { /* half a message must not stay behind the whole ones */
        if (out->len > mark)
            out->len = mark;
        return;
    }
    size_t payload = out->len - mark - HEADER_ROOM;
    char *start = out->ptr + mark;
    if (header != HEADER_ROOM)
        memmove(start + header, start + HEADER_ROOM, payload);
    write_header((unsigned char *)start, header, payload);
    out->len = mark + header + payload;
}

void frame_end_binary(struct buf *out, size_t mark)
{
    frame_end(out, mark);
    if (!out->failed)
        out->ptr[mark] = (char)FIN_BINARY;
}

static size_t bytes_live;

size_t frame_bytes_live(void)
{
    return bytes_live;
}

struct frame *frame_new(struct slice wire, uint32_t messages)
{
    struct frame *f = sg_malloc(sizeof *f + wire.len);
    bytes_live += sizeof *f + wire.len;
    f->refs = 1;
    f->messages = messages;
    f->begun = 0;
    f->len = wire.len;
    f->of = NULL;
    f->twin = NULL;
    if (wire.len)
        memcpy(f->bytes, wire.ptr, wire.len);
    return f;
}

struct frame *frame_ref(struct frame *f)
{
    assert(f->refs > 0);
    assert(f->refs < UINT32_MAX);
    f->refs++;
    return f;
}

void frame_free(struct frame *f)
{
    /* A twin has none of its own, so this goes round twice at most. */
    while (f) {
        struct frame *twin = f->twin == f ? NULL : f->twin;
        bytes_live -= sizeof *f + f->len;
        free(f);
        assert(!twin || twin->refs > 0);
        f = twin && --twin->refs == 0 ? twin : NULL;
    }
}
