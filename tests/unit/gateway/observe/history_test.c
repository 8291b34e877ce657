/* The two rings: every second in one, every tenth in the other, the oldest goes. */
#include "gateway/observe/history.h"
#include "gateway/observe/metrics.h"
#include "tests/unit/unit.h"

static size_t rows(const struct history *h, enum history_span span, struct buf *out)
{
    struct jsonw w = {.out = out};
    buf_reset(out);
    jsonw_open(&w, NULL, '{');
    history_write(h, &w, span, 0);
    jsonw_close(&w, '}');
    CU_ASSERT_FALSE_FATAL(out->failed);
    size_t n = 0;
    for (size_t i = 0; i + 1 < out->len; i++)
        n += out->ptr[i] == ']' && (out->ptr[i + 1] == ',' || out->ptr[i + 1] == ']');
    return n - 1; /* the columns end so too */
}

static void test_rows(void)
{
    struct buf out;
    struct history *h = history_new();
    buf_init(&out, 1 << 20);
    CU_ASSERT_EQUAL(rows(h, HISTORY_MINUTES, &out), 0);
    history_take(h);
    CU_ASSERT_EQUAL(rows(h, HISTORY_MINUTES, &out), 1);
    CU_ASSERT_EQUAL(rows(h, HISTORY_HOUR, &out), 1);
    for (int i = 0; i < HISTORY_COARSE; i++)
        history_take(h);
    CU_ASSERT_EQUAL(rows(h, HISTORY_MINUTES, &out), 1 + HISTORY_COARSE);
    CU_ASSERT_EQUAL(rows(h, HISTORY_HOUR, &out), 2);
    for (int i = 0; i < HISTORY_COARSE * HISTORY_COARSE_ROWS; i++)
        history_take(h);
    CU_ASSERT_EQUAL(rows(h, HISTORY_MINUTES, &out), HISTORY_SECONDS);
    CU_ASSERT_EQUAL(rows(h, HISTORY_HOUR, &out), HISTORY_COARSE_ROWS);
    buf_deinit(&out);
    history_free(h);
}

UNIT_MAIN("gateway/observe/history", UNIT(test_rows))
