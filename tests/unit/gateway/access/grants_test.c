/* Globs and grants, by tables of named cases. */
#include "gateway/access/grants.h"
#include "tests/unit/unit.h"

static const struct {
    const char *what, *glob, *name;
    bool matches;
} globs[] = {
    {"equal", "price", "price", true},
    {"shorter name", "price", "pric", false},
    {"longer name", "price", "prices", false},
    {"empty glob, empty name", "", "", true},
    {"empty glob", "", "a", false},
    {"empty name", "a", "", false},
    {"star alone", "*", "anything at all", true},
    {"star takes nothing", "*", "", true},
    {"star at the end", "job.*", "job.resize", true},
    {"star at the end takes nothing", "job.*", "job.", true},
    {"star at the end, other head", "job.*", "jobs.x", false},
    {"star in front", "*:done", "order:7:done", true},
    {"star in front goes back", "*:done", ":done:done", true},
    {"star in the middle", "a*b", "axxb", true},
    {"star in the middle, wrong end", "a*b", "axxbc", false},
    {"two stars", "*a*", "bab", true},
    {"two stars, none", "*a*", "bbb", false},
    {"stars side by side", "a**b", "ab", true},
    {"order of parts matters", "*ab*cd*", "xcdxabx", false},
    {"star needs its end in full", "*aab", "aaab", true},
    {"question mark", "a?c", "abc", true},
    {"question mark needs one", "a?", "a", false},
    {"question mark takes one", "a?", "abc", false},
    {"question mark is one character of two bytes", "a?c", "aéc", true},
    {"question mark is one character of three bytes", "?", "€", true},
    {"question mark is one character of four bytes", "?", "🦊", true},
    {"two question marks are not two bytes", "??", "é", false},
    {"star steps over whole characters", "*?xy", "éxy", true},
    {"star never stops inside a character", "*??xy", "éxy", false},
    {"star and question mark need one", "*?", "", false},
    {"letters of the same first byte differ", "é", "è", false},
    {"case matters", "Price", "price", false},
    {"brackets are plain", "a[b]", "a[b]", true},
    {"backslash is plain", "a\\*", "a\\b", true},
    {"star in the name is plain", "a", "*", false},
};

static void test_globs(void)
{
    for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++) {
        bool got = glob_match(globs[i].glob, slice_str(globs[i].name));
        if (got != globs[i].matches)
            printf("\n    %s: \"%s\" against \"%s\"", globs[i].what, globs[i].glob, globs[i].name);
        CU_ASSERT_EQUAL(got, globs[i].matches);
    }
}

/* The name is a slice: what lies behind it is not looked at, and a cut character ends with it. */
static void test_bounds(void)
{
    CU_ASSERT_TRUE(glob_match("ab", slice_of("abc", 2)));
    CU_ASSERT_FALSE(glob_match("abc", slice_of("abc", 2)));
    CU_ASSERT_TRUE(glob_match("?", slice_of("\xF0\x9F\xA6\x8A", 2)));
    CU_ASSERT_FALSE(glob_match("a", slice_of("\0", 1)));
    CU_ASSERT_FALSE(glob_match("", slice_of("\0", 1)));
}

/* With backtracking over every star this would not end in our lifetime. */
static void test_hostile_glob(void)
{
    char name[512], glob[512];
    memset(name, 'a', sizeof(name));
    for (size_t i = 0; i < sizeof(glob) - 2; i += 2) {
        glob[i] = '*';
        glob[i + 1] = 'a';
    }
    glob[sizeof(glob) - 2] = 'b';
    glob[sizeof(glob) - 1] = '\0';
    CU_ASSERT_FALSE(glob_match(glob, slice_of(name, sizeof(name))));
    name[sizeof(name) - 1] = 'b';
    CU_ASSERT_TRUE(glob_match(glob, slice_of(name, sizeof(name))));
}

static void test_literal(void)
{
    CU_ASSERT_TRUE(glob_is_literal("price"));
    CU_ASSERT_TRUE(glob_is_literal(""));
    CU_ASSERT_FALSE(glob_is_literal("price*"));
    CU_ASSERT_FALSE(glob_is_literal("pr?ce"));
}

static void test_verbs(void)
{
    char *open[] = {"news", "job.*"};
    struct grants g = {.name = "backend", .verbs = {[GRANT_WRITE] = {open, 2}, [GRANT_SERVE] = {open, 1}}};
    CU_ASSERT_TRUE(grants_allow(&g, GRANT_WRITE, SLICE_LIT("job.resize")));
    CU_ASSERT_TRUE(grants_allow(&g, GRANT_WRITE, SLICE_LIT("news")));
    CU_ASSERT_FALSE(grants_allow(&g, GRANT_WRITE, SLICE_LIT("other")));
    CU_ASSERT_FALSE(grants_allow(&g, GRANT_SERVE, SLICE_LIT("job.resize")));
    CU_ASSERT_FALSE(grants_allow(&g, GRANT_SUBSCRIBE, SLICE_LIT("news")));
    CU_ASSERT_FALSE(grants_allow(&g, GRANT_CALL, SLICE_LIT("news")));
}

UNIT_MAIN("gateway/access/grants", UNIT(test_globs), UNIT(test_bounds), UNIT(test_hostile_glob), UNIT(test_literal),
          UNIT(test_verbs))
