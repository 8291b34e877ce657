/* The intrusive list. */
#include "protocol/base/list.h"

#include "tests/unit/unit.h"

struct thing {
    int number;
    struct list_node node;
};

static int number_of(struct list_node *n)
{
    return n ? container_of(n, struct thing, node)->number : -1;
}

static void test_order(void)
{
    struct list l;
    struct thing t[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    list_init(&l);
    CU_ASSERT_PTR_NULL(list_first(&l));
    CU_ASSERT_PTR_NULL(list_pop(&l));
    for (int i = 0; i < 4; i++)
        list_append(&l, &t[i].node);
    CU_ASSERT_EQUAL(l.count, 4);
    list_remove(&l, &t[1].node);
    CU_ASSERT_FALSE(list_linked(&t[1].node));
    CU_ASSERT_TRUE(list_linked(&t[2].node));
    list_append(&l, &t[1].node);
    static const int want[] = {0, 2, 3, 1};
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(number_of(list_pop(&l)), want[i]);
    CU_ASSERT_EQUAL(l.count, 0);
    CU_ASSERT_PTR_NULL(list_first(&l));
}

static void test_each_may_remove_its_node(void)
{
    struct list l;
    struct thing t[5] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    list_init(&l);
    for (int i = 0; i < 5; i++)
        list_append(&l, &t[i].node);
    int sum = 0;
    list_each(&l, n)
    {
        sum += number_of(n);
        if (number_of(n) % 2 == 0)
            list_remove(&l, n);
    }
    CU_ASSERT_EQUAL(sum, 10);
    CU_ASSERT_EQUAL(l.count, 2);
    CU_ASSERT_EQUAL(number_of(list_first(&l)), 1);
}

UNIT_MAIN("protocol/base/list", UNIT(test_order), UNIT(test_each_may_remove_its_node))
