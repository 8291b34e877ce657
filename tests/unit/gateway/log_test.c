/* Log lines: what is quoted, what is escaped, where a long one is cut, and that one line is one write. */
#include "gateway/log.h"
#include "tests/unit/unit.h"

#include <sys/socket.h>
#include <unistd.h>

#define HEAD "ts=2024-02-29T12:34:56.007Z level=info"

static const int64_t leap_day_ms = 1709210096007;

static const struct {
    const char *what, *text, *line;
} lines[] = {
    {"a word", "ready", HEAD " msg=ready\n"},
    {"a sentence", "the link is up", HEAD " msg=\"the link is up\"\n"},
    {"pairs alone", "conn=5 reason=drain", HEAD " conn=5 reason=drain\n"},
    {"a word and pairs", "closed conn=5 reason=drain", HEAD " msg=closed conn=5 reason=drain\n"},
    {"a sentence and pairs", "listens now url=http://127.0.0.1:8080/",
     HEAD " msg=\"listens now\" url=http://127.0.0.1:8080/\n"},
    {"a value with spaces", "lost why=Connection refused by peer conn=5",
     HEAD " msg=lost why=\"Connection refused by peer\" conn=5\n"},
    {"an empty value", "a b= c=1", HEAD " msg=a b=\"\" c=1\n"},
    {"an empty value at the end", "a b=", HEAD " msg=a b=\"\"\n"},
    {"nothing", "", HEAD " msg=\"\"\n"},
    {"a quoted value stays", "a name=\"x y\" c=1", HEAD " msg=a name=\"x y\" c=1\n"},
    {"a quoted value hides pairs", "a name=\"x level=error\" c=1", HEAD " msg=a name=\"x level=error\" c=1\n"},
    {"an escaped quote stays inside", "a name=\"x\\\" b=1\" c=2", HEAD " msg=a name=\"x\\\" b=1\" c=2\n"},
    {"a quote that does not close", "a name=\"x y", HEAD " msg=a name=\"\\\"x y\"\n"},
    {"an escaped line end is no escape", "a name=\"\\\n\"", HEAD " msg=a name=\"\\\"\\\\\\n\\\"\"\n"},
    {"a line end", "a\nlevel=error", HEAD " msg=\"a\\nlevel=error\"\n"},
    {"controls", "a=\x01\x1b[31m\r\t\x7f", HEAD " a=\"\\x01\\x1b[31m\\r\\t\\x7f\"\n"},
    {"quotes and backslashes", "a=say \"hi\\\"", HEAD " a=\"say \\\"hi\\\\\\\"\"\n"},
    {"an equals sign in a value", "a=b=c", HEAD " a=\"b=c\"\n"},
    {"characters beyond ASCII", "a=grüße", HEAD " a=\"grüße\"\n"},
    {"C1 controls", "a=\xc2\x9b", HEAD " a=\"\\xc2\\x9b\"\n"},
    {"bytes that are not UTF-8", "a=\xff\xc3", HEAD " a=\"\\xff\\xc3\"\n"},
    {"overlong and surrogates", "a=\xc0\xaf\xe0\x80\xaf\xed\xa0\x80",
     HEAD " a=\"\\xc0\\xaf\\xe0\\x80\\xaf\\xed\\xa0\\x80\"\n"},
    {"capitals are no key", "a FOO=1", HEAD " msg=\"a FOO=1\"\n"},
};

static void test_lines(void)
{
    log_init(LOG_LEVEL_INFO, -1);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char out[512];
        size_t len = log_render(out, sizeof(out) - 1, leap_day_ms, LOG_LEVEL_INFO, lines[i].text);
        out[len] = '\0';
        if (strcmp(out, lines[i].line) != 0)
            printf("\n    %s: %s", lines[i].what, out);
        CU_ASSERT_STRING_EQUAL(out, lines[i].line);
    }
}

static void test_worker(void)
{
    log_init(LOG_LEVEL_INFO, 3);
    char out[256];
    size_t len = log_render(out, sizeof(out) - 1, 0, LOG_LEVEL_ERROR, "bad");
    out[len] = '\0';
    CU_ASSERT_STRING_EQUAL(out, "ts=1970-01-01T00:00:00.000Z level=error worker=3 msg=bad\n");
    log_init(LOG_LEVEL_INFO, -1);
}

/* Whatever the length, a line ends with its newline, holds no other, and its quotes are closed. */
static void test_every_size(void)
{
    static const char text[] = "closed it name=\"a b\\\" c\" why=é\n\x01\" d=eeeeeeeeeeeeeeeeeeeeeeeeeee f=g h i";
    for (size_t size = 128; size < 256; size++) {
        char out[256];
        memset(out, 0x55, sizeof(out));
        size_t len = log_render(out, size, leap_day_ms, LOG_LEVEL_INFO, text);
        CU_ASSERT_TRUE_FATAL(len > 0 && len <= size);
        CU_ASSERT_PTR_EQUAL(memchr(out, '\n', len), out + len - 1);
        bool open = false;
        for (size_t i = 0; i < len; i++) {
            if (out[i] == '\\')
                i++;
            else if (out[i] == '"')
                open = !open;
        }
        CU_ASSERT_FALSE(open);
        for (size_t i = size; i < sizeof(out); i++)
            CU_ASSERT_EQUAL_FATAL(out[i], 0x55);
    }
}

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

UNIT_MAIN("gateway/log", UNIT(test_lines), UNIT(test_worker), UNIT(test_every_size), UNIT(test_value),
          UNIT(test_two_values_in_one_line), UNIT(test_one_write_per_line), UNIT(test_levels))
