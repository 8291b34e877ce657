/* Asks: an answer finds its asker, or nobody when that went; whoever ended is not touched again. The address sanitizer watches
 * what is freed. */
#include "gateway/base/ask.h"

#include <string.h>

#include "tests/unit/unit.h"

static void test_answer_finds_the_asker(void)
{
    int asker;
    struct asks as;
    asks_init(&as, &asker);
    struct ask *first = ask_new(&as), *second = ask_new(&as);
    CU_ASSERT_EQUAL(as.open.count, 2);
    CU_ASSERT_PTR_EQUAL(ask_take(first), &asker);
    CU_ASSERT_EQUAL(as.open.count, 1);
    CU_ASSERT_PTR_EQUAL(ask_take(second), &asker);
    CU_ASSERT_EQUAL(as.open.count, 0);
    asks_deinit(&as);
}

static void test_late_answer_finds_nobody(void)
{
    int asker;
    struct asks as;
    struct ask embedded;
    asks_init(&as, &asker);
    struct ask *ended = ask_new(&as), *late = ask_new(&as);
    ask_begin(&embedded, &as);
    (void)ask_take(ended);
    asks_deinit(&as);
    memset(&as, 0xff, sizeof as); /* nothing looks there any more */
    CU_ASSERT_PTR_NULL(ask_take(late));
    CU_ASSERT_PTR_NULL(ask_end(&embedded));
}

static void test_embedded_ask_begins_again(void)
{
    int asker;
    struct asks as;
    struct ask a;
    memset(&a, 0xff, sizeof a);
    asks_init(&as, &asker);
    for (int i = 0; i < 2; i++) {
        ask_begin(&a, &as);
        CU_ASSERT_EQUAL(as.open.count, 1);
        CU_ASSERT_PTR_EQUAL(ask_end(&a), &asker);
        CU_ASSERT_EQUAL(as.open.count, 0);
    }
    asks_deinit(&as);
}

UNIT_MAIN("gateway/base/ask", UNIT(test_answer_finds_the_asker), UNIT(test_late_answer_finds_nobody),
          UNIT(test_embedded_ask_begins_again))
