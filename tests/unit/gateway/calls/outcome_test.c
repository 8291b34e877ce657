/* How a call ended: the four forms, read and written, and what is none of them. */
#include "gateway/calls/outcome.h"

#include "tests/unit/unit.h"

static const struct {
    const char *bytes;
    struct outcome is;
} good[] = {
    {"n", {.rest = {NULL, 0}}},
    {"v null", {.rest = {"null", 4}}},
    {"v {\"a\": 1.0}", {.rest = {"{\"a\": 1.0}", 10}}},
    {"e 6 b is missing", {.failed = true, .code = 6, .rest = {"b is missing", 12}}},
    {"e 8 ", {.failed = true, .code = 8, .rest = {"", 0}}},
    {"t", {.failed = true, .timed_out = true, .code = 8, .rest = {"timeout", 7}}},
    {"e 8 timeout", {.failed = true, .code = 8, .rest = {"timeout", 7}}},
    {"e 1  two words", {.failed = true, .code = 1, .rest = {" two words", 10}}},
};

static void test_forms(void)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct outcome o;
        struct buf out;
        buf_init(&out, 100);
        CU_ASSERT_TRUE_FATAL(outcome_parse(slice_str(good[i].bytes), &o));
        CU_ASSERT_EQUAL(o.failed, good[i].is.failed);
        CU_ASSERT_EQUAL(o.timed_out, good[i].is.timed_out);
        if (o.failed)
            CU_ASSERT_EQUAL(o.code, good[i].is.code);
        CU_ASSERT_EQUAL(o.rest.ptr == NULL, good[i].is.rest.ptr == NULL);
        CU_ASSERT_TRUE(slice_eq(o.rest, good[i].is.rest));
        outcome_put(&out, &o);
        CU_ASSERT_TRUE(slice_eq(buf_slice(&out), slice_str(good[i].bytes)));
        buf_deinit(&out);
    }
}

static void test_garbage(void)
{
    static const char *const bytes[] = {"",           "n ",
                                        "N",          "v",
                                        "v ",         "v NaN",
                                        "v {}x",      "e",
                                        "e ",         "e 8",
                                        "e x y",      "e 08 x",
                                        "e 8 \xff",   "x 1",
                                        "vv 1",       " v 1",
                                        "t ",         "tt",
                                        "v \xff",     "[1]",
                                        "e 1.0 text", "e 99999999999999999999 x"};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        struct outcome o;
        bool wrong = outcome_parse(slice_str(bytes[i]), &o);
        if (wrong)
            printf("\n    %s\n", bytes[i]);
        CU_ASSERT_FALSE(wrong);
    }
}

static void test_codes_beyond_the_protocol(void)
{
    static const char *const bytes[] = {"e 0 x", "e 9 x", "e -1 x", "e 9223372036854775807 x"};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        struct outcome o;
        CU_ASSERT_TRUE(outcome_parse(slice_str(bytes[i]), &o));
        CU_ASSERT_TRUE(o.failed);
        CU_ASSERT_EQUAL(o.code, ERROR_OTHER);
    }
}

static void test_depth_is_bounded(void)
{
    char bytes[2 + 2 * (OUTCOME_DEPTH_MAX + 1)] = "v ";
    for (size_t depth = OUTCOME_DEPTH_MAX; depth <= OUTCOME_DEPTH_MAX + 1; depth++) {
        struct outcome o;
        memset(bytes + 2, '[', depth);
        memset(bytes + 2 + depth, ']', depth);
        CU_ASSERT_EQUAL(outcome_parse(slice_of(bytes, 2 + 2 * depth), &o), depth == OUTCOME_DEPTH_MAX);
    }
}

UNIT_MAIN("gateway/calls/outcome", UNIT(test_forms), UNIT(test_garbage), UNIT(test_codes_beyond_the_protocol),
          UNIT(test_depth_is_bounded))
