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

/* Each of them, and what stands beside them in the table of characters. They are written as escapes, so that nobody is misled.
 * NOLINTBEGIN(misc-misleading-bidirectional) */
static void test_disguises(void)
{
    static const struct {
        const char *text;
        uint32_t code; /* 0: an honest one */
    } all[] = {{"\xd8\x9c", 0x061C},     {"\xe2\x80\x8e", 0x200E}, {"\xe2\x80\x8f", 0x200F},
               {"\xe2\x80\xa8", 0x2028}, {"\xe2\x80\xa9", 0x2029}, {"\xe2\x80\xaa", 0x202A},
               {"\xe2\x80\xae", 0x202E}, {"\xe2\x81\xa6", 0x2066}, {"\xe2\x81\xa9", 0x2069},
               {"\xd8\x9b", 0},          {"\xd8\x9d", 0},          {"\xe2\x80\x8d", 0},
               {"\xe2\x80\x90", 0},      {"\xe2\x80\xa7", 0},      {"\xe2\x80\xaf", 0},
               {"\xe2\x81\xa5", 0},      {"\xe2\x81\xaa", 0},      {"a", 0}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct slice s = slice_str(all[i].text);
        uint32_t code;
        CU_ASSERT_EQUAL(text_disguise(s, &code), all[i].code ? s.len : 0);
        CU_ASSERT(!all[i].code || code == all[i].code);
        CU_ASSERT_EQUAL(text_is_printable(s), !all[i].code);
        for (size_t cut = 1; cut < s.len; cut++)
            CU_ASSERT_EQUAL(text_disguise(slice_of(s.ptr, cut), &code), 0);
    }
}
/* NOLINTEND(misc-misleading-bidirectional) */

UNIT_MAIN("gateway/base/text", UNIT(test_cut), UNIT(test_disguises), UNIT(test_what_is_no_text_is_cut_too))
