/* The growing buffer: growth, the maximum, the sticky failure, trimming. */
#include "protocol/base/buf.h"

#include "tests/unit/unit.h"

static void test_puts(void)
{
    struct buf b;
    buf_init(&b, 1000);
    buf_put_lit(&b, "{\"a\":");
    buf_put_i64(&b, -12);
    buf_put_char(&b, ',');
    buf_put_slice(&b, SLICE_LIT("x"));
    buf_put_slice(&b, SLICE_NONE);
    CU_ASSERT_TRUE(slice_eq(buf_slice(&b), SLICE_LIT("{\"a\":-12,x")));
    CU_ASSERT_FALSE(b.failed);
    buf_deinit(&b);
    CU_ASSERT_PTR_NULL(b.ptr);
    CU_ASSERT_EQUAL(b.len, 0);
}

static void test_integers(void)
{
    static const struct {
        int64_t n;
        const char *text;
    } cases[] = {{0, "0"}, {-1, "-1"}, {INT64_MAX, "9223372036854775807"}, {INT64_MIN, "-9223372036854775808"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;
        buf_init(&b, 64);
        buf_put_i64(&b, cases[i].n);
        CU_ASSERT_TRUE(slice_eq(buf_slice(&b), slice_str(cases[i].text)));
        buf_deinit(&b);
    }
}

static void test_grows_to_the_maximum_and_not_beyond(void)
{
    struct buf b;
    buf_init(&b, 1000);
    for (int i = 0; i < 1000; i++)
        buf_put_char(&b, (char)('a' + i % 26));
    CU_ASSERT_EQUAL(b.len, 1000);
    CU_ASSERT_FALSE(b.failed);
    CU_ASSERT_EQUAL(b.ptr[999], 'a' + 999 % 26);
    CU_ASSERT_TRUE(b.cap <= 1000);
    buf_put_char(&b, 'x');
    CU_ASSERT_TRUE(b.failed);
    CU_ASSERT_EQUAL(b.len, 1000);
    buf_deinit(&b);
}

static void test_failure_sticks(void)
{
    struct buf b;
    buf_init(&b, 8);
    buf_put_lit(&b, "12345");
    buf_put_lit(&b, "6789");
    CU_ASSERT_TRUE(b.failed);
    buf_put_char(&b, '6'); /* would fit, but a hole in the middle is worse than a cut */
    CU_ASSERT_TRUE(slice_eq(buf_slice(&b), SLICE_LIT("12345")));
    CU_ASSERT_PTR_NULL(buf_reserve(&b, 1));
    buf_reset(&b);
    CU_ASSERT_FALSE(b.failed);
    CU_ASSERT_EQUAL(b.len, 0);
    buf_put_lit(&b, "12345678");
    CU_ASSERT_FALSE(b.failed);
    buf_deinit(&b);
}

static void test_reserve(void)
{
    struct buf b;
    buf_init(&b, 100);
    CU_ASSERT_PTR_NOT_NULL(buf_reserve(&b, 0));
    char *room = buf_reserve(&b, 100);
    CU_ASSERT_PTR_NOT_NULL_FATAL(room);
    if (room)
        memset(room, 'r', 100);
    b.len += 100;
    CU_ASSERT_PTR_NOT_NULL(buf_reserve(&b, 0));
    CU_ASSERT_FALSE(b.failed);
    CU_ASSERT_PTR_NULL(buf_reserve(&b, SIZE_MAX));
    CU_ASSERT_TRUE(b.failed);
    buf_deinit(&b);
}

static void test_trim(void)
{
    struct buf b;
    buf_init(&b, 100000);
    buf_reserve(&b, 100000);
    buf_put_char(&b, 'x');
    buf_trim(&b, 0);
    CU_ASSERT_EQUAL(b.cap, 100000); /* not empty: nothing happens */
    buf_reset(&b);
    buf_trim(&b, 200000);
    CU_ASSERT_EQUAL(b.cap, 100000);
    buf_trim(&b, 512);
    CU_ASSERT_EQUAL(b.cap, 512);
    buf_put_lit(&b, "again");
    CU_ASSERT_TRUE(slice_eq(buf_slice(&b), SLICE_LIT("again")));
    buf_reset(&b);
    buf_trim(&b, 0);
    CU_ASSERT_PTR_NULL(b.ptr);
    buf_put_lit(&b, "again");
    CU_ASSERT_EQUAL(b.len, 5);
    buf_deinit(&b);
}

UNIT_MAIN("protocol/base/buf", UNIT(test_puts), UNIT(test_integers), UNIT(test_grows_to_the_maximum_and_not_beyond),
          UNIT(test_failure_sticks), UNIT(test_reserve), UNIT(test_trim))
