/* A unit test program in a few lines: functions `static void test_x(void)` with CU_ASSERT…, then UNIT_MAIN at
 * the end of the file. Prints CUnit's summary; the exit code is 0 only when tests ran and none failed.
 *
 *     UNIT_MAIN("protocol/base/slice", UNIT(test_equal), UNIT(test_split))
 */
#ifndef SYNCGATE_TESTS_UNIT_UNIT_H
#define SYNCGATE_TESTS_UNIT_UNIT_H

#include <CUnit/Basic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define UNIT(function)                                                                                                 \
    {                                                                                                                  \
#function, function                                                                                            \
    }
#define UNIT_MAIN(name, ...)                                                                                           \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        CU_TestInfo tests[] = {__VA_ARGS__, CU_TEST_INFO_NULL};                                                        \
        return unit_run(name, tests);                                                                                  \
    }

/* unit_run runs one suite; tests ends with CU_TEST_INFO_NULL. Returns the program's exit code. */
static inline int unit_run(const char *name, CU_TestInfo *tests)
{
    CU_SuiteInfo suites[] = {{.pName = name, .pTests = tests}, CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) {
        fprintf(stderr, "%s: %s\n", name, CU_get_error_msg());
        return EXIT_FAILURE;
    }
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_ErrorCode result = CU_basic_run_tests();
    bool good = result == CUE_SUCCESS && CU_get_number_of_tests_run() > 0 && CU_get_number_of_tests_failed() == 0 &&
                CU_get_number_of_failures() == 0;
    CU_cleanup_registry();
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
