/* The hash map and its hash. */
#include "protocol/base/map.h"

#include "protocol/base/list.h"
#include "tests/unit/unit.h"

/* The hash is SipHash-1-3: with a zero key these are also the values of Python's hash() under PYTHONHASHSEED=0. */
static const struct {
    const char *text;
    uint64_t hash;
} hashes[] = {
    {"a", 0x407448d2b89b1813},
    {"price", 0x321c0b1a406de31f},
    {"1234567", 0xa33d651594fdae81},
    {"12345678", 0x3489982430560a87},
    {"123456789", 0x0fbc0f0007965fcf},
    {"order:4711:lines:5", 0x5cb394695f0abf45},
    {"The quick brown fox jumps over the lazy dog", 0x8df676d3d00c451e},
};

static void test_hash(void)
{
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        CU_ASSERT_EQUAL(map_hash(slice_str(hashes[i].text)), hashes[i].hash);
}

static void test_hash_depends_on_the_seed(void)
{
    static const unsigned char zero[16];
    unsigned char seed[16] = {0};
    uint64_t before = map_hash(SLICE_LIT("price"));
    for (size_t i = 0; i < sizeof seed; i++) {
        seed[i] = 1;
        map_seed(seed);
        CU_ASSERT_NOT_EQUAL(map_hash(SLICE_LIT("price")), before);
        seed[i] = 0;
    }
    map_seed(zero);
    CU_ASSERT_EQUAL(map_hash(SLICE_LIT("price")), before);
}

enum { ITEMS = 5000 };

struct item {
    int number;
    bool seen;
    struct map_node node;
    char key[16];
};

static struct item items[ITEMS];

static void fill(struct map *m)
{
    map_init(m);
    for (int i = 0; i < ITEMS; i++) {
        struct item *it = &items[i];
        *it = (struct item){.number = i};
        int len = snprintf(it->key, sizeof it->key, "k%d", i);
        it->node.key = slice_of(it->key, (size_t)len);
        map_insert(m, &it->node);
    }
}

static struct item *find(const struct map *m, int i)
{
    char key[16];
    int len = snprintf(key, sizeof key, "k%d", i);
    struct map_node *n = map_find(m, slice_of(key, (size_t)len));
    return n ? container_of(n, struct item, node) : NULL;
}

static void test_find(void)
{
    struct map m;
    fill(&m);
    CU_ASSERT_EQUAL(m.count, ITEMS);
    bool good = true;
    for (int i = 0; i < ITEMS; i++)
        good = good && find(&m, i) == &items[i];
    CU_ASSERT_TRUE(good);
    CU_ASSERT_PTR_NULL(find(&m, ITEMS));
    CU_ASSERT_PTR_NULL(map_find(&m, SLICE_NONE));
    map_deinit(&m);
    CU_ASSERT_PTR_NULL(map_find(&m, SLICE_LIT("k1")));
    CU_ASSERT_PTR_NULL(map_next(&m, NULL));
}

static void test_keys_with_zero_bytes(void)
{
    struct map m;
    struct map_node a = {.key = SLICE_LIT("a")}, b = {.key = SLICE_LIT("a\0")}, none = {.key = SLICE_NONE};
    map_init(&m);
    map_insert(&m, &a);
    map_insert(&m, &b);
    map_insert(&m, &none);
    CU_ASSERT_PTR_EQUAL(map_find(&m, SLICE_LIT("a")), &a);
    CU_ASSERT_PTR_EQUAL(map_find(&m, SLICE_LIT("a\0")), &b);
    CU_ASSERT_PTR_EQUAL(map_find(&m, slice_str("")), &none);
    map_deinit(&m);
}

static void test_remove_and_insert_again(void)
{
    struct map m;
    fill(&m);
    for (int i = 0; i < ITEMS; i += 2)
        map_remove(&m, &items[i].node);
    CU_ASSERT_EQUAL(m.count, ITEMS / 2);
    bool good = true;
    for (int i = 0; i < ITEMS; i++)
        good = good && find(&m, i) == (i % 2 ? &items[i] : NULL);
    CU_ASSERT_TRUE(good);
    for (int i = 0; i < ITEMS; i += 2)
        map_insert(&m, &items[i].node);
    CU_ASSERT_PTR_EQUAL(find(&m, 0), &items[0]);
    map_deinit(&m);
}

static void test_table_follows_the_count(void)
{
    struct map m;
    fill(&m);
    CU_ASSERT_TRUE(m.nbuckets >= ITEMS);
    for (int i = 1; i < ITEMS; i++)
        map_remove(&m, &items[i].node);
    for (int i = 1; i < 20; i++) /* each insertion halves it while it is sparse */
        map_insert(&m, &items[i].node);
    CU_ASSERT_TRUE(m.nbuckets < 256);
    bool good = true;
    for (int i = 0; i < ITEMS; i++)
        good = good && find(&m, i) == (i < 20 ? &items[i] : NULL);
    CU_ASSERT_TRUE(good);
    map_deinit(&m);
}

static void test_walk(void)
{
    struct map m;
    fill(&m);
    size_t steps = 0;
    for (struct map_node *n = map_next(&m, NULL); n; n = map_next(&m, n)) {
        struct item *it = container_of(n, struct item, node);
        CU_ASSERT_FALSE(it->seen);
        it->seen = true;
        steps++;
    }
    CU_ASSERT_EQUAL(steps, ITEMS);
    map_deinit(&m);
}

/* How often each item was seen; the map is changed by `meddle` after every step. */
static void scan(struct map *m, void (*meddle)(struct map *m, int step))
{
    uint64_t cursor = 0;
    int step = 0;
    do {
        for (struct map_node *n = map_scan(m, &cursor); n; n = n->next)
            container_of(n, struct item, node)->seen = true;
        meddle(m, step++);
    } while (cursor);
}

static void leave_alone(struct map *m, int step)
{
    (void)m, (void)step;
}

static void grow(struct map *m, int step)
{
    if (step + 100 < ITEMS)
        map_insert(m, &items[step + 100].node);
}

/* Those from 100 on go in the first steps; the insertions that follow halve the table again and again. */
static void shrink(struct map *m, int step)
{
    for (int i = 0; step < 10 && i < (ITEMS - 100) / 10; i++)
        map_remove(m, &items[100 + step * ((ITEMS - 100) / 10) + i].node);
    if (step >= 10 && step < 40)
        map_insert(m, &items[100 + step].node);
}

static void test_scan(void)
{
    void (*const meddlers[])(struct map *, int) = {leave_alone, grow, shrink};
    for (size_t k = 0; k < sizeof(meddlers) / sizeof(meddlers[0]); k++) {
        struct map m;
        fill(&m);
        if (meddlers[k] == grow)
            for (int i = 100; i < ITEMS; i++)
                map_remove(&m, &items[i].node);
        scan(&m, meddlers[k]);
        bool all = true;
        for (int i = 0; i < (meddlers[k] == leave_alone ? ITEMS : 100); i++)
            all = all && items[i].seen;
        CU_ASSERT_TRUE(all);
        map_deinit(&m);
    }
}

static void test_scan_of_nothing(void)
{
    struct map m;
    map_init(&m);
    uint64_t cursor = 12345; /* of somebody who makes it up */
    CU_ASSERT_PTR_NULL(map_scan(&m, &cursor));
    CU_ASSERT_EQUAL(cursor, 0);
    fill(&m);
    for (cursor = UINT64_MAX - 1; cursor;) /* ends all the same */
        (void)map_scan(&m, &cursor);
    map_deinit(&m);
}

static void test_walk_that_removes(void)
{
    struct map m;
    fill(&m);
    size_t steps = 0;
    for (struct map_node *n = map_next(&m, NULL), *next; n; n = next, steps++) {
        next = map_next(&m, n);
        map_remove(&m, n);
    }
    CU_ASSERT_EQUAL(steps, ITEMS);
    CU_ASSERT_EQUAL(m.count, 0);
    CU_ASSERT_PTR_NULL(map_next(&m, NULL));
    map_deinit(&m);
}

UNIT_MAIN("protocol/base/map", UNIT(test_hash), UNIT(test_hash_depends_on_the_seed), UNIT(test_find),
          UNIT(test_keys_with_zero_bytes), UNIT(test_remove_and_insert_again), UNIT(test_table_follows_the_count),
          UNIT(test_walk), UNIT(test_walk_that_removes), UNIT(test_scan), UNIT(test_scan_of_nothing))
