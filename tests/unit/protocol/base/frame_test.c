/* Frames: the header of each length class, several messages in one buffer, the count of references. */
#include "protocol/base/frame.h"

#include "tests/unit/unit.h"

static const struct {
    size_t payload;
    size_t header;
    unsigned char bytes[10];
} headers[] = {
    {0, 2, {0x81, 0}},
    {1, 2, {0x81, 1}},
    {125, 2, {0x81, 125}},
    {126, 4, {0x81, 126, 0, 126}},
    {127, 4, {0x81, 126, 0, 127}},
    {300, 4, {0x81, 126, 1, 44}},
    {65535, 4, {0x81, 126, 255, 255}},
    {65536, 10, {0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
    {70001, 10, {0x81, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x71}},
};

/* put_message writes one message whose bytes count up from `first`. */
static void put_message(struct buf *b, size_t payload, unsigned first)
{
    size_t mark = frame_begin(b);
    for (size_t i = 0; i < payload; i++)
        buf_put_char(b, (char)(unsigned char)(first + i));
    frame_end(b, mark);
}

static bool payload_is(const char *at, size_t payload, unsigned first)
{
    for (size_t i = 0; i < payload; i++)
        if ((unsigned char)at[i] != (unsigned char)(first + i))
            return false;
    return true;
}

static void test_headers(void)
{
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct buf b;
        buf_init(&b, 1 << 20);
        put_message(&b, headers[i].payload, 7);
        CU_ASSERT_EQUAL_FATAL(b.len, headers[i].header + headers[i].payload);
        CU_ASSERT_EQUAL(memcmp(b.ptr, headers[i].bytes, headers[i].header), 0);
        CU_ASSERT_TRUE(payload_is(b.ptr + headers[i].header, headers[i].payload, 7));
        buf_deinit(&b);
    }
}

static void test_messages_follow_one_another(void)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    size_t at = 0;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        put_message(&b, headers[i].payload, (unsigned)i);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        CU_ASSERT_EQUAL_FATAL(memcmp(b.ptr + at, headers[i].bytes, headers[i].header), 0);
        CU_ASSERT_TRUE(payload_is(b.ptr + at + headers[i].header, headers[i].payload, (unsigned)i));
        at += headers[i].header + headers[i].payload;
    }
    CU_ASSERT_EQUAL(at, b.len);
    buf_deinit(&b);
}

/* Whatever the maximum, the buffer holds whole messages only. */
static void test_a_message_that_does_not_fit_leaves_nothing(void)
{
    struct buf whole;
    buf_init(&whole, 1 << 20);
    put_message(&whole, 5, 1);
    for (size_t max = whole.len; max < whole.len + 70; max++) {
        struct buf b;
        buf_init(&b, max);
        put_message(&b, 5, 1);
        CU_ASSERT_TRUE(!b.failed || max < whole.len + 2);
        put_message(&b, 70, 2);
        CU_ASSERT_TRUE(b.failed);
        CU_ASSERT_TRUE(slice_eq(buf_slice(&b), b.len ? buf_slice(&whole) : SLICE_NONE));
        buf_deinit(&b);
    }
    buf_deinit(&whole);
}

static void test_no_room_for_the_long_header(void)
{
    struct buf b;
    buf_init(&b, 65536 + 9);
    put_message(&b, 65536, 1);
    CU_ASSERT_TRUE(b.failed);
    CU_ASSERT_EQUAL(b.len, 0);
    buf_deinit(&b);
    buf_init(&b, 65536 + 10);
    put_message(&b, 65536, 1);
    CU_ASSERT_FALSE(b.failed);
    CU_ASSERT_EQUAL(b.len, 65536 + 10);
    buf_deinit(&b);
}

static void test_binary(void)
{
    struct buf b;
    buf_init(&b, 8);
    size_t mark = frame_begin(&b);
    buf_put(&b, "\0\1", 2);
    frame_end_binary(&b, mark);
    CU_ASSERT_EQUAL(b.len, 4);
    CU_ASSERT_EQUAL(memcmp(b.ptr, "\x82\x02\0\1", 4), 0);
    mark = frame_begin(&b);
    buf_put(&b, "12345", 5);
    frame_end_binary(&b, mark);
    CU_ASSERT_TRUE(b.failed);
    CU_ASSERT_EQUAL(b.len, 4);
    buf_deinit(&b);
}

static void test_references(void)
{
    struct frame *f = frame_new(SLICE_LIT("\x81\x01x\x81\x00"), 2);
    CU_ASSERT_EQUAL(f->refs, 1);
    CU_ASSERT_EQUAL(f->messages, 2);
    CU_ASSERT_EQUAL(f->len, 5);
    CU_ASSERT_PTR_EQUAL(frame_ref(f), f);
    CU_ASSERT_EQUAL(f->refs, 2);
    frame_unref(f);
    CU_ASSERT_EQUAL(f->refs, 1);
    CU_ASSERT_EQUAL(memcmp(f->bytes, "\x81\x01x\x81\x00", 5), 0);
    frame_unref(f); /* a leak checker sees the rest */
    frame_unref(NULL);
}

UNIT_MAIN("protocol/base/frame", UNIT(test_headers), UNIT(test_messages_follow_one_another),
          UNIT(test_a_message_that_does_not_fit_leaves_nothing), UNIT(test_no_room_for_the_long_header),
          UNIT(test_binary), UNIT(test_references))
