/* Which lines are written, that one line is one write, what a peer's bytes look like, and what storms leave of themselves. */
#include "gateway/observe/log.h"
#include "tests/unit/unit.h"

#include <sys/socket.h>
#include <unistd.h>

static void test_value(void)
{
    CU_ASSERT_STRING_EQUAL(log_value(SLICE_LIT("price")), "\"price\"");
    CU_ASSERT_STRING_EQUAL(log_value(SLICE_LIT("x\" level=error \"")), "\"x\\\" level=error \\\"\"");
    CU_ASSERT_STRING_EQUAL(log_value(slice_of("a\0b\n", 4)), "\"a\\x00b\\n\"");
    CU_ASSERT_STRING_EQUAL(log_value(SLICE_NONE), "\"\"");

    char longest[257];
    memset(longest, '\x01', sizeof(longest));
    CU_ASSERT_EQUAL(strlen(log_value(slice_of(longest, 256))), 4 * 256 + 2);
    const char *cut = log_value(slice_of(longest, 257));
    CU_ASSERT_STRING_EQUAL(cut + (size_t)4 * 256, "1…\"");
}

static void test_two_values_in_one_line(void)
{
    const char *a = log_value(SLICE_LIT("a"));
    const char *b = log_value(SLICE_LIT("b"));
    CU_ASSERT_STRING_EQUAL(a, "\"a\"");
    CU_ASSERT_STRING_EQUAL(b, "\"b\"");
}

/* A datagram is exactly one write(). */
static void test_one_write_per_line(void)
{
    int pair[2], saved = dup(STDERR_FILENO);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    log_init(LOG_LEVEL_WARN, -1);
    dup2(pair[1], STDERR_FILENO);
    log_info("not this one");
    log_debug("nor this one");
    log_warn("%s conn=%d\n", "gone", 7);
    dup2(saved, STDERR_FILENO);
    log_init(LOG_LEVEL_INFO, -1);

    char got[512];
    ssize_t len = recv(pair[0], got, sizeof(got) - 1, MSG_DONTWAIT);
    CU_ASSERT_TRUE_FATAL(len > 0);
    got[len] = '\0';
    CU_ASSERT_PTR_NOT_NULL(strstr(got, "Z level=warn msg=gone conn=7\n"));
    CU_ASSERT_EQUAL(recv(pair[0], got, sizeof(got), MSG_DONTWAIT), -1);
    close(pair[0]);
    close(pair[1]);
    close(saved);
}

static void test_levels(void)
{
    log_init(LOG_LEVEL_ERROR, -1);
    CU_ASSERT_TRUE(log_enabled(LOG_LEVEL_ERROR));
    CU_ASSERT_FALSE(log_enabled(LOG_LEVEL_WARN));
    log_init(LOG_LEVEL_DEBUG, -1);
    CU_ASSERT_TRUE(log_enabled(LOG_LEVEL_DEBUG));
    log_init(LOG_LEVEL_INFO, -1);
}

/* What stands on standard error after `say`. */
static const char *written(void (*say)(void))
{
    static char got[65536];
    int saved = dup(STDERR_FILENO);
    FILE *file = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    dup2(fileno(file), STDERR_FILENO);
    say();
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    got[fread(got, 1, sizeof(got) - 1, file)] = '\0';
    fclose(file);
    return got;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

enum { STORM = 1000, BURST = 200 };
static size_t evaluated;

static void storm(void)
{
    for (int i = 0; i < STORM; i++)
        log_limited(LOG_CLOSED, LOG_LEVEL_INFO, "gone n=%zu", ++evaluated);
    log_limited(LOG_REFUSED, LOG_LEVEL_INFO, "another kind");
    log_info("one of ours");
    log_suppressed();
    log_suppressed();
}

/* A few more than the burst may pass when the machine is slow; what did not pass is counted, exactly, once. */
static void test_storm(void)
{
    evaluated = 0;
    const char *got = written(storm);
    size_t lines = count(got, "msg=gone");
    char told[64];
    snprintf(told, sizeof(told), "msg=\"suppressed lines\" kind=closed lines=%zu\n", STORM - lines);
    CU_ASSERT_TRUE(lines >= BURST && lines < STORM / 2);
    CU_ASSERT_EQUAL(evaluated, lines);
    CU_ASSERT_EQUAL(count(got, told), 1);
    CU_ASSERT_EQUAL(count(got, "suppressed"), 1);
    CU_ASSERT_EQUAL(count(got, "another kind"), 1);
    CU_ASSERT_EQUAL(count(got, "one of ours"), 1);
}

static void ours(void)
{
    for (int i = 0; i < STORM / 4; i++)
        log_info("ours");
}

static void test_ours_are_never_held_back(void)
{
    CU_ASSERT_EQUAL(count(written(ours), "msg=ours"), STORM / 4);
}

/* Lines below the threshold are neither written nor counted as held back. */
static void test_limit_below_threshold(void)
{
    log_init(LOG_LEVEL_WARN, -1);
    CU_ASSERT_STRING_EQUAL(written(storm), "");
    log_init(LOG_LEVEL_INFO, -1);
}

static void one_line(void)
{
    log_info("ready port=%d why=%s", 80, "x y");
}

static void test_format(void)
{
    log_set_format(LOG_FORMAT_JSON);
    const char *got = written(one_line);
    log_set_format(LOG_FORMAT_LOGFMT);
    CU_ASSERT_PTR_NOT_NULL(strstr(got, "\"level\":\"info\",\"msg\":\"ready\",\"port\":80,\"why\":\"x y\"}\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(written(one_line), " level=info msg=ready port=80 why=\"x y\"\n"));
}

UNIT_MAIN("gateway/observe/log", UNIT(test_value), UNIT(test_two_values_in_one_line), UNIT(test_one_write_per_line),
          UNIT(test_levels), UNIT(test_storm), UNIT(test_ours_are_never_held_back), UNIT(test_limit_below_threshold),
          UNIT(test_format))
