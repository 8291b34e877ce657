/* What is cut ends with a whole character. */
#include "gateway/base/text.h"
#include "tests/unit/unit.h"

static void check(const char *text, size_t max, const char *expected)
{
    struct slice got = text_cut(slice_str(text), max);
    CU_ASSERT_EQUAL(got.len, strlen(expected));
    CU_ASSERT_EQUAL(memcmp(got.ptr, expected, strlen(expected)), 0);
}

static void test_cut(void)
{
    check("", 4, "");
    check("abcd", 4, "abcd");
    check("abcde", 4, "abcd");
    check("abc\xe2\x82\xac", 4, "abc");
    check("abc\xe2\x82\xac", 5, "abc");
    check("abc\xe2\x82\xac", 6, "abc\xe2\x82\xac");
    check("\xf0\x9f\x90\xb8\xf0\x9f\x90\xb8", 7, "\xf0\x9f\x90\xb8");
    check("\xf0\x9f\x90\xb8\xf0\x9f\x90\xb8", 4, "\xf0\x9f\x90\xb8");
}

static void test_what_is_no_text_is_cut_too(void)
{
    struct slice got = text_cut(slice_str("\x80\x80\x80\x80\x80\x80\x80\x80\x80"), 8);
    CU_ASSERT_TRUE(got.len >= 4 && got.len <= 8);
}

UNIT_MAIN("gateway/base/text", UNIT(test_cut), UNIT(test_what_is_no_text_is_cut_too))
