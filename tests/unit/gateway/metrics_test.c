/* The exposition text: every row is there, heads come once per name, rows of one name stand together, labels are right. */
#include "gateway/metrics.h"
#include "tests/unit/unit.h"

static struct buf rendered(int worker)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    metrics_render(&out, worker);
    buf_put_char(&out, '\0');
    CU_ASSERT_FALSE_FATAL(out.failed);
    return out;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what))
        n++;
    return n;
}

static void test_rows(void)
{
    metrics[METRIC_CONNECTIONS] = 12;
    metrics[METRIC_ERRORS_3] = 7;
    metric_add(METRIC_ERRORS_3, 2);
    metrics[METRIC_WRITES] = INT64_MAX;
    struct buf out = rendered(-1);
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "# HELP syncgate_connections WebSocket connections that are open.\n"
                                           "# TYPE syncgate_connections gauge\n"
                                           "syncgate_connections{protocol=\"socksync\"} 12\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_errors_total{code=\"3\"} 9\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_writes_total 9223372036854775807\n"));
    CU_ASSERT_EQUAL(count(out.ptr, "# TYPE syncgate_errors_total counter\n"), 1);
    CU_ASSERT_EQUAL(count(out.ptr, "worker="), 0);
    CU_ASSERT_EQUAL(out.ptr[out.len - 2], '\n');
    buf_deinit(&out);
}

static void test_worker_label(void)
{
    metrics[METRIC_CONNECTIONS] = 1;
    metrics[METRIC_NAMES] = 2;
    struct buf out = rendered(4);
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_connections{protocol=\"socksync\",worker=\"4\"} 1\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_names{worker=\"4\"} 2\n"));
    CU_ASSERT_EQUAL(count(out.ptr, "worker=\"4\"}"), METRIC_COUNT);
    buf_deinit(&out);
}

/* Names of the table as they stand in it. */
static const char *const names[] = {
#define NAME(suffix, type, name, labels, help) name,
    FOR_EACH_METRIC(NAME)
#undef NAME
};
static const char *const helps[] = {
#define HELP(suffix, type, name, labels, help) help,
    FOR_EACH_METRIC(HELP)
#undef HELP
};
static const char *const types[] = {
#define TYPE(suffix, type, name, labels, help) type,
    FOR_EACH_METRIC(TYPE)
#undef TYPE
};

static void test_table(void)
{
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        bool first = i == 0 || strcmp(names[i], names[i - 1]) != 0;
        for (size_t j = 0; first && j < i; j++)
            CU_ASSERT_STRING_NOT_EQUAL(names[i], names[j]); /* else the rows of one name do not stand together */
        CU_ASSERT_EQUAL(first, helps[i][0] != '\0');
        CU_ASSERT_TRUE(first || strcmp(types[i], types[i - 1]) == 0);
        size_t len = strlen(names[i]);
        bool total = len > 6 && strcmp(names[i] + len - 6, "_total") == 0;
        CU_ASSERT_EQUAL(total, strcmp(types[i], "counter") == 0);
        CU_ASSERT_PTR_NULL(strpbrk(helps[i], "\\\n"));
    }
}

UNIT_MAIN("gateway/metrics", UNIT(test_rows), UNIT(test_worker_label), UNIT(test_table))
