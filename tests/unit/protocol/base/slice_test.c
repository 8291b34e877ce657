/* Slices: cutting and canonical integers. */
#include "protocol/base/slice.h"

#include "tests/unit/unit.h"

static void test_eq(void)
{
    CU_ASSERT_TRUE(slice_eq(SLICE_LIT("ab"), slice_of("abc", 2)));
    CU_ASSERT_FALSE(slice_eq(SLICE_LIT("ab"), SLICE_LIT("abc")));
    CU_ASSERT_FALSE(slice_eq(SLICE_LIT("ab"), SLICE_LIT("ac")));
    CU_ASSERT_TRUE(slice_eq(SLICE_NONE, slice_str("")));
}

static void test_cut(void)
{
    struct slice rest = SLICE_LIT("vs 12  x"), head = SLICE_NONE;
    CU_ASSERT_TRUE(slice_cut(&rest, ' ', &head));
    CU_ASSERT_TRUE(slice_eq(head, SLICE_LIT("vs")));
    CU_ASSERT_TRUE(slice_cut(&rest, ' ', &head));
    CU_ASSERT_TRUE(slice_eq(head, SLICE_LIT("12")));
    CU_ASSERT_TRUE(slice_cut(&rest, ' ', &head));
    CU_ASSERT_EQUAL(head.len, 0);
    CU_ASSERT_FALSE(slice_cut(&rest, ' ', &head));
    CU_ASSERT_EQUAL(head.len, 0);
    CU_ASSERT_TRUE(slice_eq(rest, SLICE_LIT("x")));
}

static void test_cut_at_the_end(void)
{
    struct slice rest = SLICE_LIT("a "), head = SLICE_NONE;
    CU_ASSERT_TRUE(slice_cut(&rest, ' ', &head));
    CU_ASSERT_EQUAL(rest.len, 0);
    CU_ASSERT_FALSE(slice_cut(&rest, ' ', &head));
    rest = SLICE_NONE;
    CU_ASSERT_FALSE(slice_cut(&rest, ' ', &head));
}

static void test_put(void)
{
    char bytes[8] = "", *at = bytes;
    struct slice a = slice_put(&at, SLICE_LIT("ab"));
    struct slice none = slice_put(&at, SLICE_NONE);
    struct slice b = slice_put(&at, SLICE_LIT("cde"));
    CU_ASSERT_STRING_EQUAL(bytes, "abcde");
    CU_ASSERT_PTR_EQUAL(at, bytes + 5);
    CU_ASSERT_TRUE(slice_eq(a, SLICE_LIT("ab")));
    CU_ASSERT_PTR_EQUAL(a.ptr, bytes);
    CU_ASSERT_EQUAL(none.len, 0);
    CU_ASSERT_TRUE(slice_eq(b, SLICE_LIT("cde")));
}

static const struct {
    const char *text;
    bool good;
    int64_t value;
} integers[] = {
    {"0", true, 0},
    {"7", true, 7},
    {"-1", true, -1},
    {"9223372036854775807", true, INT64_MAX},
    {"-9223372036854775808", true, INT64_MIN},
    {"9223372036854775808", false, 0},
    {"-9223372036854775809", false, 0},
    {"9999999999999999999", false, 0},
    {"99999999999999999999", false, 0},
    {"", false, 0},
    {"-", false, 0},
    {"-0", false, 0},
    {"00", false, 0},
    {"01", false, 0},
    {"-01", false, 0},
    {"+1", false, 0},
    {" 1", false, 0},
    {"1 ", false, 0},
    {"1.0", false, 0},
    {"1e3", false, 0},
    {"0x1", false, 0},
    {"--1", false, 0},
};

static void test_i64(void)
{
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        int64_t n = 42;
        bool good = slice_i64(slice_str(integers[i].text), &n);
        bool right = good == integers[i].good && n == (good ? integers[i].value : 42);
        if (!right)
            printf("\n    %s\n", integers[i].text);
        CU_ASSERT_TRUE(right);
    }
}

UNIT_MAIN("protocol/base/slice", UNIT(test_eq), UNIT(test_cut), UNIT(test_cut_at_the_end), UNIT(test_put),
          UNIT(test_i64))
