#include "redis/keys.h"

#include "tests/unit/unit.h"

static void test_roots(void)
{
    static const struct {
        const char *prefix, *name, *root;
    } cases[] = {
        {"sg:", "price", "sg:{price}"}, {"", "price", "{price}"},
        {"acme:", "a", "acme:{a}"},     {"sg:", "order:7 / \xc3\xa9", "sg:{order:7 / \xc3\xa9}"},
        {"sg:", "@x", "sg:{@x}"},
    };
    char out[KEYS_PREFIX_MAX + KEYS_NAME_MAX + 2];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice prefix = slice_str(cases[i].prefix), name = slice_str(cases[i].name);
        size_t len = keys_root(prefix, name, out, sizeof out);
        CU_ASSERT_TRUE(slice_eq(slice_of(out, len), slice_str(cases[i].root)));
        CU_ASSERT_EQUAL(keys_root(prefix, name, out, len), len); /* exactly enough room */
        CU_ASSERT_EQUAL(keys_root(prefix, name, out, len - 1), 0);
    }
}

static void test_longest_name(void)
{
    char name[KEYS_NAME_MAX + 1], out[KEYS_PREFIX_MAX + KEYS_NAME_MAX + 3];
    memset(name, 'n', sizeof name);
    CU_ASSERT_EQUAL(keys_root(SLICE_LIT("p"), slice_of(name, KEYS_NAME_MAX), out, sizeof out), KEYS_NAME_MAX + 3);
    CU_ASSERT_EQUAL(keys_root(SLICE_LIT("p"), slice_of(name, KEYS_NAME_MAX + 1), out, sizeof out), 0);
}

static void test_names_that_do_not_fit(void)
{
    static const struct slice names[] = {{"", 0}, {"{", 1}, {"a}b", 3}, {"{x}", 3}, {"a\0b", 3}};
    char out[64];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CU_ASSERT_FALSE(keys_name_fits(names[i]));
        CU_ASSERT_EQUAL(keys_root(SLICE_LIT("sg:"), names[i], out, sizeof out), 0);
    }
}

static void test_prefixes(void)
{
    static const char *const good[] = {"sg:", "a/b.c-d_e:", "~!", "\xc3\xa9"};
    static const char *const bad[] = {"", "a@", "a b", "{", "x}", "\t", "a\n", "\x7f"};
    char prefix[KEYS_PREFIX_MAX + 2] = "";
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CU_ASSERT_PTR_NULL(keys_prefix_fault(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_PTR_NOT_NULL(keys_prefix_fault(bad[i]));
    memset(prefix, 'p', KEYS_PREFIX_MAX);
    CU_ASSERT_PTR_NULL(keys_prefix_fault(prefix));
    prefix[KEYS_PREFIX_MAX] = 'p';
    CU_ASSERT_PTR_NOT_NULL(keys_prefix_fault(prefix));
}

static void test_channels(void)
{
    char out[32] = "sg:{price}";
    struct slice root = slice_str("sg:{price}"), in_place = slice_of(out, root.len);
    CU_ASSERT_EQUAL(keys_channel(root, 0, out, root.len), root.len);
    CU_ASSERT_TRUE(slice_eq(in_place, root));
    CU_ASSERT_EQUAL(keys_channel(in_place, 3, out, sizeof out), root.len + 2);
    CU_ASSERT_TRUE(slice_eq(slice_of(out, root.len + 2), SLICE_LIT("sg:{price}@3")));
    CU_ASSERT_EQUAL(keys_channel(root, INT32_MAX, out, sizeof out), root.len + KEYS_DB_MAX - 1);
    CU_ASSERT_TRUE(slice_eq(slice_of(out, root.len + KEYS_DB_MAX - 1), SLICE_LIT("sg:{price}@2147483647")));
    CU_ASSERT_EQUAL(keys_channel(root, 3, out, root.len + 1), 0);
    CU_ASSERT_EQUAL(keys_channel(slice_of(out, 0), 3, out, sizeof out), 0);
}

UNIT_MAIN("redis/keys", UNIT(test_roots), UNIT(test_channels), UNIT(test_longest_name),
          UNIT(test_names_that_do_not_fit), UNIT(test_prefixes))
