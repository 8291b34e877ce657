/* Allocation: what the wrappers promise beyond the C library. */
#include "protocol/base/alloc.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static void test_nothing_is_something(void)
{
    void *none[] = {sg_malloc(0), sg_calloc(0, 8), sg_calloc(8, 0)};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        CU_ASSERT_PTR_NOT_NULL(none[i]);
        free(none[i]);
    }
}

static void test_calloc_is_zero(void)
{
    static const char zero[48];
    char *p = sg_calloc(3, 16);
    CU_ASSERT_EQUAL(memcmp(p, zero, sizeof zero), 0);
    free(p);
}

static void test_memdup_ends_with_nul(void)
{
    char *copy = sg_memdup("a\0b", 3);
    CU_ASSERT_EQUAL(memcmp(copy, "a\0b\0", 4), 0);
    free(copy);
    copy = sg_memdup(NULL, 0);
    CU_ASSERT_EQUAL(copy[0], '\0');
    free(copy);
}

static void test_realloc_keeps(void)
{
    char *p = sg_realloc(NULL, 4);
    memcpy(p, "abc", 4);
    p = sg_realloc(p, 4096);
    CU_ASSERT_STRING_EQUAL(p, "abc");
    free(p);
}

/* A sanitizer's allocator ends the process in its own way, so only "it does not return" is asserted. */
static void test_too_much_aborts(void)
{
    fflush(NULL);
    pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        fclose(stderr);
        volatile size_t size = SIZE_MAX / 2;
        free(sg_malloc(size));
        _exit(0);
    }
    int status = 0;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

UNIT_MAIN("protocol/base/alloc", UNIT(test_nothing_is_something), UNIT(test_calloc_is_zero),
          UNIT(test_memdup_ends_with_nul), UNIT(test_realloc_keeps), UNIT(test_too_much_aborts))
