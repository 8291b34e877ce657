/* Numbers spelled in digits: the ends of the range and the lengths between. */
#include "gateway/base/decimal.h"

#include "tests/unit/unit.h"

static const struct {
    uint64_t n;
    const char *text;
} numbers[] = {
    {0, "0"}, {9, "9"}, {10, "10"}, {1020304050, "1020304050"}, {UINT64_MAX, "18446744073709551615"},
};

static void test_decimal(void)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct decimal d = decimal_of(numbers[i].n);
        CU_ASSERT_TRUE(slice_eq(decimal_slice(&d), slice_str(numbers[i].text)));
    }
}

UNIT_MAIN("gateway/base/decimal", UNIT(test_decimal))
