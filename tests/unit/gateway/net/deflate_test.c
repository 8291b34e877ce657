/* permessage-deflate: what is granted, and that every compressed frame means what the plain one said, read with zlib alone. */
#include "gateway/net/deflate.h"

#include <zlib.h>

#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"
#include "tests/unit/unit.h"

enum { MESSAGE_MAX = 100000 };

/* --- the handshake --- */

static const struct {
    const char *what, *header;
    size_t times;
    bool acceptable, says_bits;
} offers[] = {
    {"alone", "permessage-deflate", 1, true, false},
    {"browsers", "permessage-deflate; client_max_window_bits", 1, true, false},
    {"nothing kept", "permessage-deflate; server_no_context_takeover; client_no_context_takeover", 1, true, false},
    {"no spaces", "permessage-deflate;client_max_window_bits=10;server_no_context_takeover", 1, true, false},
    {"spaces and tabs", " permessage-deflate ;\tclient_max_window_bits = 12 ", 1, true, false},
    {"quoted", "permessage-deflate; client_max_window_bits=\"9\"", 1, true, false},
    {"letters of any size", "Permessage-Deflate; Client_No_Context_Takeover", 1, true, false},
    {"the largest window", "permessage-deflate; server_max_window_bits=15", 1, true, true},
    {"a smaller window", "permessage-deflate; server_max_window_bits=14", 1, false, false},
    {"a window without a size", "permessage-deflate; server_max_window_bits", 1, false, false},
    {"window too small", "permessage-deflate; client_max_window_bits=7", 1, false, false},
    {"window too large", "permessage-deflate; client_max_window_bits=16", 1, false, false},
    {"leading zero", "permessage-deflate; client_max_window_bits=09", 1, false, false},
    {"empty size", "permessage-deflate; client_max_window_bits=", 1, false, false},
    {"empty quotes", "permessage-deflate; client_max_window_bits=\"\"", 1, false, false},
    {"half a quote", "permessage-deflate; client_max_window_bits=\"", 1, false, false},
    {"a value where none belongs", "permessage-deflate; server_no_context_takeover=1", 1, false, false},
    {"unknown parameter", "permessage-deflate; level=9", 1, false, false},
    {"parameter twice", "permessage-deflate; client_max_window_bits; client_max_window_bits", 1, false, false},
    {"empty parameter", "permessage-deflate; ", 1, false, false},
    {"others", "x-webkit-deflate-frame, bbf-usp-protocol", 0, false, false},
    {"longer name", "permessage-deflates", 0, false, false},
    {"shorter name", "permessage-deflat", 0, false, false},
    {"in another's parameters", "x; permessage-deflate", 0, false, false},
    {"behind another", "x; a=b, permessage-deflate", 1, true, false},
    {"second choice", "permessage-deflate; server_max_window_bits=10, permessage-deflate", 2, true, false},
    {"first of two", "permessage-deflate; server_max_window_bits=15, permessage-deflate", 2, true, true},
    {"two that cannot be", "permessage-deflate; a, permessage-deflate; b", 2, false, false},
    {"empty elements", ",, permessage-deflate,", 1, true, false},
    {"nothing", "", 0, false, false},
};

static void test_offers(void)
{
    for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
        struct deflate_offer o = deflate_read_offer(slice_str(offers[i].header));
        bool good = o.times == offers[i].times && o.acceptable == offers[i].acceptable &&
                    o.says_window_bits == offers[i].says_bits;
        if (!good)
            printf("\n    %s: %s", offers[i].what, offers[i].header);
        CU_ASSERT_TRUE(good);
    }
}

static void test_answer(void)
{
    struct deflate_offer o = deflate_read_offer(SLICE_LIT("permessage-deflate"));
    CU_ASSERT_STRING_EQUAL(deflate_answer(&o), "; server_no_context_takeover; client_no_context_takeover");
    o = deflate_read_offer(SLICE_LIT("permessage-deflate; server_max_window_bits=15"));
    CU_ASSERT_STRING_EQUAL(deflate_answer(&o), "; server_no_context_takeover; client_no_context_takeover"
                                               "; server_max_window_bits=15");
}

/* --- frames --- */

static struct deflate *d;

static void begin(void)
{
    d = deflate_new(MESSAGE_MAX);
    for (int i = 0; i < METRIC_COUNT; i++)
        metrics[i] = 0;
}

static void end(void)
{
    deflate_free(d);
}

static void put_message(struct buf *wire, struct slice payload)
{
    size_t mark = frame_begin(wire);
    buf_put_slice(wire, payload);
    frame_end(wire, mark);
}

static struct frame *frame_of(const struct slice *payloads, size_t count)
{
    struct buf wire;
    buf_init(&wire, 1 << 24);
    for (size_t i = 0; i < count; i++)
        put_message(&wire, payloads[i]);
    CU_ASSERT_FALSE_FATAL(wire.failed);
    struct frame *f = frame_new(buf_slice(&wire), (uint32_t)count);
    buf_deinit(&wire);
    return f;
}

/* The payload of a message as a client reads it: RFC 7692 section 7.2.2. */
static struct buf inflated(struct slice payload)
{
    struct buf in, out;
    buf_init(&in, 1 << 24);
    buf_init(&out, 1 << 24);
    buf_put_slice(&in, payload);
    buf_put(&in, "\0\0\xff\xff", 4);
    z_stream z = {.next_in = (Bytef *)in.ptr, .avail_in = (uInt)in.len};
    CU_ASSERT_EQUAL_FATAL(inflateInit2(&z, -15), Z_OK);
    z.next_out = (Bytef *)buf_reserve(&out, 1 << 20);
    z.avail_out = 1 << 20;
    CU_ASSERT_EQUAL(inflate(&z, Z_SYNC_FLUSH), Z_OK);
    CU_ASSERT_EQUAL(z.avail_in, 0);
    out.len = (1 << 20) - z.avail_out;
    inflateEnd(&z);
    buf_deinit(&in);
    return out;
}

struct wire_message {
    bool packed;
    struct slice payload;
};

static struct wire_message take(struct slice *rest)
{
    const unsigned char *p = (const unsigned char *)rest->ptr;
    size_t header = 2, len = p[1];
    CU_ASSERT_FATAL(rest->len >= 2);
    CU_ASSERT_TRUE(p[0] == 0x81 || p[0] == 0xC1);
    if (len >= 126) {
        header = len == 126 ? 4 : 10;
        len = 0;
        for (size_t i = 2; i < header; i++)
            len = len << 8 | p[i];
        CU_ASSERT_TRUE(len >= (header == 4 ? 126 : 65536)); /* the shortest form */
    }
    CU_ASSERT_FATAL(rest->len >= header + len);
    struct wire_message m = {p[0] == 0xC1, slice_of(rest->ptr + header, len)};
    *rest = slice_of(rest->ptr + header + len, rest->len - header - len);
    return m;
}

/* Every message of the twin says what it should; tells how many are compressed. */
static size_t check_twin(const struct frame *twin, const struct slice *payloads, size_t count)
{
    struct slice rest = slice_of(twin->bytes, twin->len);
    size_t packed = 0;
    CU_ASSERT_EQUAL(twin->messages, count);
    for (size_t i = 0; i < count; i++) {
        struct wire_message m = take(&rest);
        if (!m.packed) {
            CU_ASSERT_TRUE(slice_eq(m.payload, payloads[i]));
            continue;
        }
        struct buf text = inflated(m.payload);
        CU_ASSERT_TRUE(slice_eq(buf_slice(&text), payloads[i]));
        buf_deinit(&text);
        packed++;
    }
    CU_ASSERT_EQUAL(rest.len, 0);
    return packed;
}

static struct slice repeated(char *at, size_t len)
{
    static const char text[] = "{\"func\":\"set\",\"type\":\"var\",\"name\":\"price\"} ";
    for (size_t i = 0; i < len; i++)
        at[i] = text[i % (sizeof(text) - 1)];
    return slice_of(at, len);
}

static struct slice noise(char *at, size_t len)
{
    uint32_t x = 7;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        at[i] = (char)(x >> 24);
    }
    return slice_of(at, len);
}

static char space[300000];

/* Lengths around every form of header, before and after. */
static void test_round_trip(void)
{
    static const size_t lengths[] = {64, 65, 125, 126, 127, 1000, 65535, 65536, 300000};
    begin();
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct slice text = repeated(space, lengths[i]);
        struct frame *f = frame_of(&text, 1);
        struct frame *twin = deflate_twin(d, f);
        CU_ASSERT_PTR_NOT_EQUAL_FATAL(twin, f);
        CU_ASSERT_TRUE(twin->len < f->len);
        CU_ASSERT_EQUAL(check_twin(twin, &text, 1), 1);
        frame_unref(f);
    }
    end();
}

static void test_made_once(void)
{
    begin();
    struct slice text = repeated(space, 500);
    struct frame *f = frame_of(&text, 1);
    struct frame *twin = deflate_twin(d, f);
    CU_ASSERT_PTR_EQUAL(deflate_twin(d, f), twin);
    CU_ASSERT_PTR_EQUAL(deflate_twin(d, twin), twin);
    CU_ASSERT_EQUAL(metrics[METRIC_DEFLATED], 1);
    CU_ASSERT_EQUAL(metrics[METRIC_DEFLATED_FROM], (int64_t)f->len);
    CU_ASSERT_EQUAL(metrics[METRIC_DEFLATED_TO], (int64_t)twin->len);
    frame_ref(twin); /* a queue */
    frame_unref(f);
    CU_ASSERT_EQUAL(twin->refs, 1);
    CU_ASSERT_EQUAL(check_twin(twin, &text, 1), 1);
    frame_unref(twin);
    end();
}

/* Each message is compressed for itself: nobody keeps what the one before said. */
static void test_several_messages(void)
{
    begin();
    struct slice payloads[] = {repeated(space, 400),          SLICE_LIT(""),
                               noise(space + 1000, 400),      SLICE_LIT("{\"a\":1}"),
                               repeated(space + 2000, 70000), repeated(space + 80000, 400)};
    enum { COUNT = sizeof(payloads) / sizeof(payloads[0]) };
    struct frame *f = frame_of(payloads, COUNT);
    struct frame *twin = deflate_twin(d, f);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(twin, f);
    CU_ASSERT_EQUAL(check_twin(twin, payloads, COUNT), 3);
    frame_unref(f);
    end();
}

static void expect_plain(struct frame *f)
{
    CU_ASSERT_PTR_EQUAL(deflate_twin(d, f), f);
    CU_ASSERT_PTR_EQUAL(deflate_twin(d, f), f); /* and it is not tried again */
    CU_ASSERT_EQUAL(metrics[METRIC_DEFLATED], 0);
    CU_ASSERT_EQUAL(f->refs, 1);
    frame_unref(f);
}

static void test_sent_plain(void)
{
    begin();
    struct slice small[] = {repeated(space, 63), SLICE_LIT("")};
    expect_plain(frame_of(small, 2));
    struct slice dense = noise(space, 5000);
    expect_plain(frame_of(&dense, 1));
    expect_plain(frame_new(SLICE_NONE, 0));
    expect_plain(frame_new(SLICE_LIT("\x89\0"), 0)); /* ping */
    char close[127] = {(char)0x88, 125};             /* with a reason that would shrink */
    expect_plain(frame_new(slice_of(close, sizeof(close)), 0));
    end();
}

/* --- messages of clients --- */

static struct buf deflated(struct slice text, int flush)
{
    struct buf out;
    buf_init(&out, 1 << 24);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)text.ptr, .avail_in = (uInt)text.len};
    CU_ASSERT_EQUAL_FATAL(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&z, (uLong)text.len) + 64;
    z.next_out = (Bytef *)buf_reserve(&out, room);
    z.avail_out = (uInt)room;
    CU_ASSERT_EQUAL(deflate(&z, flush), flush == Z_FINISH ? Z_STREAM_END : Z_OK);
    out.len = room - z.avail_out;
    deflateEnd(&z);
    return out;
}

static struct buf packed_as_clients_do(struct slice text)
{
    struct buf out = deflated(text, Z_SYNC_FLUSH);
    CU_ASSERT_FATAL(out.len >= 4 && memcmp(out.ptr + out.len - 4, "\0\0\xff\xff", 4) == 0);
    out.len -= 4;
    return out;
}

static void expect_unpacked(struct slice packed, enum unpacked expected, struct slice text)
{
    struct slice got;
    enum unpacked result = deflate_unpack(d, packed, &got);
    CU_ASSERT_EQUAL(result, expected);
    if (result == UNPACKED)
        CU_ASSERT_TRUE(slice_eq(got, text));
    deflate_unpack_done(d);
}

static void test_unpack(void)
{
    static const size_t lengths[] = {1, 10, 4095, 4096, 4097, 8192, 16384, 99999, MESSAGE_MAX};
    begin();
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        for (int dense = 0; dense < 2; dense++) {
            struct slice text = dense ? noise(space, lengths[i]) : repeated(space, lengths[i]);
            struct buf packed = packed_as_clients_do(text);
            CU_ASSERT_TRUE(packed.len <= deflate_packed_max(lengths[i]));
            expect_unpacked(buf_slice(&packed), UNPACKED, text);
            buf_deinit(&packed);
        }
    }
    end();
}

/* The examples of RFC 7692 section 7.2.3. */
static void test_unpack_examples(void)
{
    begin();
    struct slice hello = SLICE_LIT("Hello");
    expect_unpacked(SLICE_LIT("\xf2\x48\xcd\xc9\xc9\x07\x00"), UNPACKED, hello);
    expect_unpacked(SLICE_LIT("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), UNPACKED, hello); /* stored */
    expect_unpacked(SLICE_LIT("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), UNPACKED, hello);             /* BFINAL */
    expect_unpacked(SLICE_LIT("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), UNPACKED, hello);
    expect_unpacked(SLICE_LIT("\x00"), UNPACKED, SLICE_LIT(""));
    /* Not in there, but what Z_FINISH makes: */
    expect_unpacked(SLICE_LIT("\xf3\x48\xcd\xc9\xc9\x07\x00"), UNPACKED, hello);
    end();
}

/* The end of the text falls on the end of the room for it, with a final block behind. */
static void test_unpack_final_block_at_full_room(void)
{
    begin();
    for (size_t len = 4090; len < 4103; len++) {
        struct slice text = repeated(space, len);
        struct buf packed = deflated(text, Z_FINISH);
        expect_unpacked(buf_slice(&packed), UNPACKED, text);
        buf_deinit(&packed);
    }
    end();
}

static void test_unpack_keeps_no_context(void)
{
    begin();
    struct slice text = repeated(space, 1000);
    struct buf first = packed_as_clients_do(text);
    expect_unpacked(buf_slice(&first), UNPACKED, text);
    buf_deinit(&first);
    /* A fixed block with one match, 3 bytes back: there is nothing back there. */
    expect_unpacked(SLICE_LIT("\x02\x22\x00"), UNPACK_MALFORMED, SLICE_NONE);
    expect_unpacked(SLICE_LIT("\xf2\x48\xcd\xc9\xc9\x07\x00"), UNPACKED, SLICE_LIT("Hello"));
    end();
}

static void test_unpack_malformed(void)
{
    begin();
    struct slice text = repeated(space, 1000);
    struct buf packed = packed_as_clients_do(text);
    expect_unpacked(SLICE_NONE, UNPACK_MALFORMED, text);
    expect_unpacked(SLICE_LIT("\xff\xff\xff"), UNPACK_MALFORMED, text);                  /* no such block */
    expect_unpacked(SLICE_LIT("\x00\x05\x00\xfa\xf0Hello\x00"), UNPACK_MALFORMED, text); /* length and its complement */
    expect_unpacked(SLICE_LIT("\x00\x10\x00\xef\xffHello"), UNPACK_MALFORMED, text); /* a stored block that is cut */
    for (size_t len = 0; len + 1 < packed.len; len++) {
        struct slice got;
        CU_ASSERT_EQUAL(deflate_unpack(d, slice_of(packed.ptr, len), &got), UNPACK_MALFORMED);
        deflate_unpack_done(d);
    }
    expect_unpacked(buf_slice(&packed), UNPACKED, text);
    buf_deinit(&packed);
    end();
}

static void test_unpack_bomb(void)
{
    begin();
    static char zeros[1 << 20];
    struct buf packed = packed_as_clients_do(slice_of(zeros, MESSAGE_MAX + 1));
    expect_unpacked(buf_slice(&packed), UNPACK_TOO_BIG, SLICE_NONE);
    buf_deinit(&packed);
    packed = packed_as_clients_do(slice_of(zeros, sizeof(zeros)));
    struct slice got;
    CU_ASSERT_EQUAL(deflate_unpack(d, buf_slice(&packed), &got), UNPACK_TOO_BIG);
    CU_ASSERT_EQUAL(got.len, MESSAGE_MAX + 1); /* and it stopped there */
    deflate_unpack_done(d);
    expect_unpacked(SLICE_LIT("\xf2\x48\xcd\xc9\xc9\x07\x00"), UNPACKED, SLICE_LIT("Hello"));
    buf_deinit(&packed);
    end();
}

UNIT_MAIN("gateway/net/deflate", UNIT(test_offers), UNIT(test_answer), UNIT(test_round_trip), UNIT(test_made_once),
          UNIT(test_several_messages), UNIT(test_sent_plain), UNIT(test_unpack), UNIT(test_unpack_examples),
          UNIT(test_unpack_final_block_at_full_room), UNIT(test_unpack_keeps_no_context), UNIT(test_unpack_malformed),
          UNIT(test_unpack_bomb))
