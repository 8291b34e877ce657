/* The offer of a client, and zlib: each message is compressed and decompressed for itself, by streams that are reset in
 * between. */
#include "gateway/net/deflate.h"

#include <assert.h>
#include <ctype.h>
#include <zlib.h>

#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"

enum {
    WINDOW_BITS = 15, /* what both sides may use when nobody says otherwise */
    WINDOW_BITS_LEAST = 8,
    /* The time is spent once for all readers, but it keeps the loop: 4 µs for 120 bytes, 8 for a kilobyte, 250 for 20. Level 6
     * makes 20 kB smaller by 3 % in 30 % more time. A smaller memory is sooner cleared between messages, a quarter of the time
     * of a small one. */
    LEVEL = 4,
    MEMORY_LEVEL = 6,
    PAYLOAD_LEAST = 64,                   /* a shorter message gains nothing */
    PACKED_FRAME_MAX = 256 * 1024 * 1024, /* as large as the encoders make them */
    PIECE_FIRST = 4096,                   /* room for the first bytes that are decompressed */
    BUFFER_KEPT = 64 * 1024               /* of each buffer, between two messages */
};

static const char tail[] = {0, 0, (char)0xff, (char)0xff}; /* ends a flushed block; not sent (section 7.2.1) */

struct deflate {
    z_stream packer, unpacker;
    struct buf frame;   /* a twin in the making */
    struct buf message; /* of a client */
    size_t message_max;
};

/* --- the handshake --- */

/* The parameters of one offer. */
enum {
    SERVER_NO_CONTEXT_TAKEOVER = 1,
    CLIENT_NO_CONTEXT_TAKEOVER = 2,
    SERVER_MAX_WINDOW_BITS = 4,
    CLIENT_MAX_WINDOW_BITS = 8
};

static const struct parameter {
    const char *name;
    unsigned bit;
    bool may_stand_alone;
    bool may_have_value;
} parameters[] = {
    {"server_no_context_takeover", SERVER_NO_CONTEXT_TAKEOVER, true, false},
    {"client_no_context_takeover", CLIENT_NO_CONTEXT_TAKEOVER, true, false},
    {"server_max_window_bits", SERVER_MAX_WINDOW_BITS, false, true},
    {"client_max_window_bits", CLIENT_MAX_WINDOW_BITS, true, true},
};

static struct slice trimmed(struct slice s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* The trimmed part before the next `delim`; false when nothing is left. No value that could be accepted holds a delimiter,
 * so quotes need no care here. */
static bool next_part(struct slice *rest, char delim, struct slice *part)
{
    if (!rest->ptr)
        return false;
    if (!slice_cut(rest, delim, part)) {
        *part = *rest;
        *rest = SLICE_NONE;
    }
    *part = trimmed(*part);
    return true;
}

static bool same_name(struct slice a, const char *b)
{
    return a.len == strlen(b) && strncasecmp(a.ptr, b, a.len) == 0;
}

/* A number of bits from 8 to 15, also in quotes. */
static bool read_bits(struct slice value, int64_t *bits)
{
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        value = slice_of(value.ptr + 1, value.len - 2);
    return slice_i64(value, bits) && *bits >= WINDOW_BITS_LEAST && *bits <= WINDOW_BITS;
}

static bool read_parameter(struct slice text, unsigned *seen)
{
    struct slice value = text, name;
    bool has_value = slice_cut(&value, '=', &name);
    if (!has_value)
        name = text;
    for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
        const struct parameter *p = &parameters[i];
        if (!same_name(trimmed(name), p->name))
            continue;
        if (*seen & p->bit || (has_value ? !p->may_have_value : !p->may_stand_alone))
            return false;
        *seen |= p->bit;
        int64_t bits = WINDOW_BITS;
        if (has_value && !read_bits(trimmed(value), &bits))
            return false;
        return p->bit != SERVER_MAX_WINDOW_BITS || bits == WINDOW_BITS;
    }
    return false;
}

static bool read_parameters(struct slice rest, unsigned *seen)
{
    struct slice part;
    while (next_part(&rest, ';', &part))
        if (!read_parameter(part, seen))
            return false;
    return true;
}

struct deflate_offer deflate_read_offer(struct slice header)
{
    struct deflate_offer offer = {0};
    struct slice extension, name;
    while (next_part(&header, ',', &extension)) {
        unsigned seen = 0;
        if (!next_part(&extension, ';', &name) || !same_name(name, "permessage-deflate"))
            continue;
        offer.times++;
        if (!offer.acceptable && read_parameters(extension, &seen)) {
            offer.acceptable = true;
            offer.says_window_bits = seen & SERVER_MAX_WINDOW_BITS;
        }
    }
    return offer;
}

const char *deflate_answer(const struct deflate_offer *offer)
{
    assert(offer->acceptable);
    return offer->says_window_bits
               ? "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15"
               : "; server_no_context_takeover; client_no_context_takeover";
}

/* --- life --- */

struct deflate *deflate_new(size_t message_max)
{
    struct deflate *d = sg_calloc(1, sizeof(*d));
    /* Negative bits: deflate without zlib's own header. It fails for want of memory only. */
    if (deflateInit2(&d->packer, LEVEL, Z_DEFLATED, -WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK ||
        inflateInit2(&d->unpacker, -WINDOW_BITS) != Z_OK)
        abort();
    buf_init(&d->frame, PACKED_FRAME_MAX);
    buf_init(&d->message, message_max + 1); /* the one that is too much */
    d->message_max = message_max;
    return d;
}

void deflate_set_message_max(struct deflate *d, size_t message_max)
{
    d->message_max = message_max;
}

void deflate_free(struct deflate *d)
{
    if (!d)
        return;
    deflateEnd(&d->packer);
    inflateEnd(&d->unpacker);
    buf_deinit(&d->frame);
    buf_deinit(&d->message);
    free(d);
}

static void empty(struct buf *b)
{
    buf_reset(b);
    buf_trim(b, BUFFER_KEPT);
}

/* --- the twin --- */

/* Takes the next message off a frame of ours (never masked): all of it, and its payload. */
static struct slice next_message(struct slice *rest, struct slice *payload)
{
    const unsigned char *p = (const unsigned char *)rest->ptr;
    assert(rest->len >= 2);
    size_t header = 2, len = p[1];
    if (len >= 126) {
        header = len == 126 ? 4 : 10;
        len = 0;
        assert(rest->len >= header);
        for (size_t i = 2; i < header; i++)
            len = len << 8 | p[i];
    }
    assert(rest->len - header >= len);
    struct slice whole = slice_of(rest->ptr, header + len);
    *payload = slice_of(rest->ptr + header, len);
    *rest = slice_of(rest->ptr + whole.len, rest->len - whole.len);
    return whole;
}

/* Appends the deflated payload without its tail; false when there was no memory. */
static bool pack(struct deflate *d, struct slice payload)
{
    z_stream *z = &d->packer;
    deflateReset(z);
    size_t room = deflateBound(z, (uLong)payload.len) + 2 * sizeof(tail);
    char *at = buf_reserve(&d->frame, room);
    if (!at)
        return false;
    z->next_in = (z_const Bytef *)payload.ptr;
    z->avail_in = (uInt)payload.len;
    z->next_out = (Bytef *)at;
    z->avail_out = (uInt)room;
    if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_in || !z->avail_out)
        return false;
    size_t len = room - z->avail_out;
    assert(len > sizeof(tail) && memcmp(at + len - sizeof(tail), tail, sizeof(tail)) == 0);
    d->frame.len += len - sizeof(tail);
    return true;
}

/* Appends the message compressed, or leaves the buffer as it was. */
static bool put_packed(struct deflate *d, struct slice whole, struct slice payload)
{
    enum { FIN_TEXT = 0x81, RSV1 = 0x40 };
    if ((unsigned char)whole.ptr[0] != FIN_TEXT || payload.len < PAYLOAD_LEAST || payload.len > PACKED_FRAME_MAX)
        return false;
    size_t mark = frame_begin(&d->frame);
    bool packed = pack(d, payload);
    frame_end(&d->frame, mark);
    if (d->frame.failed)
        return false;
    if (!packed || d->frame.len - mark >= whole.len) {
        d->frame.len = mark;
        return false;
    }
    d->frame.ptr[mark] = (char)(FIN_TEXT | RSV1);
    return true;
}

static struct frame *make_twin(struct deflate *d, struct frame *f)
{
    struct slice rest = slice_of(f->bytes, f->len), payload;
    bool smaller = false;
    buf_reset(&d->frame);
    while (rest.len) {
        struct slice whole = next_message(&rest, &payload);
        if (put_packed(d, whole, payload))
            smaller = true;
        else
            buf_put_slice(&d->frame, whole);
    }
    if (!smaller || d->frame.failed)
        return f;
    struct frame *twin = frame_new(buf_slice(&d->frame), f->messages);
    twin->twin = twin;
    twin->of = f->of;
    metric_add(METRIC_DEFLATED, 1);
    metric_add(METRIC_DEFLATED_FROM, (int64_t)f->len);
    metric_add(METRIC_DEFLATED_TO, (int64_t)twin->len);
    return twin;
}

struct frame *deflate_twin(struct deflate *d, struct frame *f)
{
    if (!f->twin) {
        f->twin = make_twin(d, f);
        empty(&d->frame);
    }
    return f->twin;
}

/* --- messages of clients --- */

size_t deflate_packed_max(size_t message_max)
{
    return message_max + message_max / 1024 + 64; /* blocks that are stored as they are */
}

static size_t room_for(const struct deflate *d, size_t packed)
{
    size_t left = d->message.max - d->message.len;
    size_t wanted = d->message.len ? d->message.len : 4 * packed;
    if (wanted < PIECE_FIRST)
        wanted = PIECE_FIRST;
    return wanted < left ? wanted : left;
}

/* Decompresses what is one run of bytes in the message. `ended` tells that a final block (BFINAL) was its last thing. */
static enum unpacked unpack(struct deflate *d, struct slice bytes, bool *ended)
{
    z_stream *z = &d->unpacker;
    z->next_in = (z_const Bytef *)bytes.ptr;
    z->avail_in = (uInt)bytes.len;
    do {
        size_t room = room_for(d, bytes.len);
        char *at = buf_reserve(&d->message, room);
        if (!at)
            return UNPACK_TOO_BIG;
        z->next_out = (Bytef *)at;
        z->avail_out = (uInt)room;
        int result = inflate(z, Z_SYNC_FLUSH);
        d->message.len += room - z->avail_out;
        if (d->message.len > d->message_max)
            return UNPACK_TOO_BIG;
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return UNPACK_MALFORMED;
        *ended = result == Z_STREAM_END;
        if (*ended) /* section 7.2.3.4: other blocks may follow */
            inflateReset(z);
        if (*ended && !z->avail_in)
            break;
    } while (z->avail_in || !z->avail_out);
    return UNPACKED;
}

/* zlib.h on data_type: 128 is set when an end of block was the last thing it saw, the low bits count what it holds back. */
static bool at_end_of_block(const z_stream *z)
{
    enum { END_OF_BLOCK = 128, BITS_HELD = 63 };
    return z->data_type & END_OF_BLOCK && !(z->data_type & BITS_HELD);
}

enum unpacked deflate_unpack(struct deflate *d, struct slice packed, struct slice *out)
{
    bool ended = false;
    inflateReset(&d->unpacker);
    buf_reset(&d->message);
    enum unpacked result = unpack(d, packed, &ended);
    if (result == UNPACKED && !ended) {
        result = unpack(d, slice_of(tail, sizeof(tail)), &ended);
        if (result == UNPACKED && !ended && !at_end_of_block(&d->unpacker))
            result = UNPACK_MALFORMED;
    }
    *out = buf_slice(&d->message);
    return result;
}

void deflate_unpack_done(struct deflate *d)
{
    empty(&d->message);
}
