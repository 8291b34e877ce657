/* Memory for libevent, asked for as libevent does: this program takes the three functions in its place. */
#include "gateway/base/evalloc.h"

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

enum { MANY = 1000, SMALL = 32 };

static struct {
    void *(*take)(size_t);
    void *(*take_again)(void *, size_t);
    void (*give)(void *);
} heap;

void event_set_mem_functions(void *(*malloc_fn)(size_t), void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *))
{
    heap.take = malloc_fn;
    heap.take_again = realloc_fn;
    heap.give = free_fn;
}

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t) * (void *const *)a, y = (uintptr_t) * (void *const *)b;
    return (x > y) - (x < y);
}

static void take_many(void *out[MANY])
{
    for (size_t i = 0; i < MANY; i++) {
        out[i] = heap.take(i % SMALL + 1);
        memset(out[i], (int)i, i % SMALL + 1);
        CU_ASSERT_EQUAL((uintptr_t)out[i] % _Alignof(max_align_t), 0);
    }
    qsort(out, MANY, sizeof(out[0]), by_address);
}

static void give_many(void *const what[MANY])
{
    for (size_t i = 0; i < MANY; i++)
        heap.give(what[i]);
}

static void test_small_ones_have_a_place_of_their_own_and_it_is_used_again(void)
{
    static void *first[MANY], *again[MANY];
    evalloc_begin();
    take_many(first);
    for (size_t i = 1; i < MANY; i++)
        CU_ASSERT((char *)first[i] - (char *)first[i - 1] >= SMALL);
    uintptr_t from = (uintptr_t)first[0], to = (uintptr_t)first[MANY - 1];
    give_many(first);
    take_many(again);
    size_t known = 0;
    for (size_t i = 0; i < MANY; i++)
        known += (uintptr_t)again[i] >= from && (uintptr_t)again[i] <= to;
    CU_ASSERT(known > MANY - 256); /* the last block may have had cells that nobody took */
    give_many(again);
    evalloc_end();
}

static void test_a_change_of_size_keeps_the_bytes(void)
{
    const size_t sizes[] = {1, SMALL, SMALL + 1, 5000, 20000, SMALL + 1, SMALL, 3};
    size_t had = 0;
    evalloc_begin();
    char *p = heap.take_again(NULL, 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        p = heap.take_again(p, sizes[i]);
        for (size_t k = 0; k < had && k < sizes[i]; k++)
            CU_ASSERT_EQUAL(p[k], (char)k);
        for (size_t k = 0; k < sizes[i]; k++)
            p[k] = (char)k;
        had = sizes[i];
    }
    heap.give(p);
    heap.give(NULL);
    evalloc_end();
}

UNIT_MAIN("gateway/base/evalloc", UNIT(test_small_ones_have_a_place_of_their_own_and_it_is_used_again),
          UNIT(test_a_change_of_size_keeps_the_bytes))
