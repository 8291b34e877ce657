/* The ring: newest first, what repeats is counted, the oldest goes. */
#include "gateway/observe/rejects.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what))
        n++;
    return n;
}

static struct buf written(const struct rejects *r)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    struct jsonw w = {.out = &out};
    jsonw_open(&w, NULL, '{');
    rejects_write(r, &w);
    jsonw_close(&w, '}');
    buf_put_char(&out, '\0');
    CU_ASSERT_FALSE_FATAL(out.failed);
    return out;
}

static void test_repeats_are_counted(void)
{
    struct rejects *r = rejects_new();
    for (int i = 0; i < 3; i++)
        rejects_add(r, 401, "10.0.0.1", "/ws", "unknown token");
    rejects_add(r, 401, "10.0.0.2", "/ws", "unknown token");
    rejects_add(r, 401, "10.0.0.1", "/ws", "unknown token");
    struct buf out = written(r);
    CU_ASSERT_EQUAL(strncmp(out.ptr, "{\"total\":5,", 11), 0);
    CU_ASSERT_EQUAL(count(out.ptr, "\"times\":"), 3);
    CU_ASSERT_EQUAL(count(out.ptr, "\"times\":3"), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(strstr(out.ptr, "10.0.0.2"), "\"times\":3") == NULL ? NULL : out.ptr);
    buf_deinit(&out);
    rejects_free(r);
}

static void test_the_oldest_goes(void)
{
    struct rejects *r = rejects_new();
    char subject[200];
    for (int i = 0; i < REFUSALS_KEPT + 5; i++) {
        snprintf(subject, sizeof(subject), "/%d/%0150d", i, 0); /* longer than is kept */
        rejects_add(r, 404, "unix", subject, "not found");
    }
    struct buf out = written(r);
    CU_ASSERT_EQUAL(count(out.ptr, "\"code\":404"), REFUSALS_KEPT);
    CU_ASSERT_PTR_NULL(strstr(out.ptr, "\"/4/"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\"/5/"));
    char newest[32];
    snprintf(newest, sizeof(newest), "\"/%d/", REFUSALS_KEPT + 4);
    const char *first = strstr(out.ptr, "\"subject\":");
    CU_ASSERT_EQUAL(strncmp(first + strlen("\"subject\":"), newest, strlen(newest)), 0);
    buf_deinit(&out);
    rejects_free(r);
}

static void test_ordinary_ends_are_none(void)
{
    CU_ASSERT_FALSE(rejects_closed(1000));
    CU_ASSERT_FALSE(rejects_closed(1001));
    CU_ASSERT_FALSE(rejects_closed(1012));
    CU_ASSERT_TRUE(rejects_closed(1008));
    CU_ASSERT_TRUE(rejects_closed(1009));
    CU_ASSERT_TRUE(rejects_closed(1013));
}

UNIT_MAIN("gateway/observe/rejects", UNIT(test_repeats_are_counted), UNIT(test_the_oldest_goes),
          UNIT(test_ordinary_ends_are_none))
