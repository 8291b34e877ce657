/* Log lines in both formats: which fields there are, what is quoted, what is escaped, where a long one is cut. */
#include "gateway/observe/log_render.h"
#include "protocol/json.h"
#include "tests/unit/unit.h"

#define HEAD      "ts=2024-02-29T12:34:56.007Z level=info"
#define JSON_HEAD "{\"ts\":\"2024-02-29T12:34:56.007Z\",\"level\":\"info\""

static const int64_t leap_day_ms = 1709210096007;

static const struct {
    const char *what, *text, *line, *json; /* json: what stands behind the head; NULL: not compared */
} lines[] = {
    {"a word", "ready", HEAD " msg=ready\n", ",\"msg\":\"ready\"}"},
    {"a sentence", "the link is up", HEAD " msg=\"the link is up\"\n", NULL},
    {"pairs alone", "conn=5 reason=drain", HEAD " conn=5 reason=drain\n", ",\"conn\":5,\"reason\":\"drain\"}"},
    {"a word and pairs", "closed conn=5 reason=drain", HEAD " msg=closed conn=5 reason=drain\n",
     ",\"msg\":\"closed\",\"conn\":5,\"reason\":\"drain\"}"},
    {"a sentence and pairs", "listens now url=http://127.0.0.1:8080/",
     HEAD " msg=\"listens now\" url=http://127.0.0.1:8080/\n", NULL},
    {"a value with spaces", "lost why=Connection refused by peer conn=5",
     HEAD " msg=lost why=\"Connection refused by peer\" conn=5\n", NULL},
    {"an empty value", "a b= c=1", HEAD " msg=a b=\"\" c=1\n", ",\"msg\":\"a\",\"b\":\"\",\"c\":1}"},
    {"an empty value at the end", "a b=", HEAD " msg=a b=\"\"\n", ",\"msg\":\"a\",\"b\":\"\"}"},
    {"nothing", "", HEAD " msg=\"\"\n", ",\"msg\":\"\"}"},
    {"a quoted value stays", "a name=\"x y\" c=1", HEAD " msg=a name=\"x y\" c=1\n", NULL},
    {"a quoted value hides pairs", "a name=\"x level=error\" c=1", HEAD " msg=a name=\"x level=error\" c=1\n",
     ",\"msg\":\"a\",\"name\":\"x level=error\",\"c\":1}"},
    {"an escaped quote stays inside", "a name=\"x\\\" b=1\" c=2", HEAD " msg=a name=\"x\\\" b=1\" c=2\n",
     ",\"msg\":\"a\",\"name\":\"x\\\" b=1\",\"c\":2}"},
    {"a quote that does not close", "a name=\"x y", HEAD " msg=a name=\"\\\"x y\"\n",
     ",\"msg\":\"a\",\"name\":\"\\\"x y\"}"},
    {"an escaped line end is no escape", "a name=\"\\\n\"", HEAD " msg=a name=\"\\\"\\\\\\n\\\"\"\n", NULL},
    {"a line end", "a\nlevel=error", HEAD " msg=\"a\\nlevel=error\"\n", ",\"msg\":\"a\\u000alevel=error\"}"},
    {"controls", "a=\x01\x1b[31m\r\t\x7f", HEAD " a=\"\\x01\\x1b[31m\\r\\t\\x7f\"\n",
     ",\"a\":\"\\u0001\\u001b[31m\\u000d\\u0009\\u007f\"}"},
    {"quotes and backslashes", "a=say \"hi\\\"", HEAD " a=\"say \\\"hi\\\\\\\"\"\n", ",\"a\":\"say \\\"hi\\\\\\\"\"}"},
    {"an equals sign in a value", "a=b=c", HEAD " a=\"b=c\"\n", NULL},
    {"characters beyond ASCII", "a=grüße", HEAD " a=\"grüße\"\n", ",\"a\":\"grüße\"}"},
    {"C1 controls", "a=\xc2\x9b", HEAD " a=\"\\xc2\\x9b\"\n", ",\"a\":\"\\u009b\"}"},
    {"bytes that are not UTF-8", "a=\xff\xc3", HEAD " a=\"\\xff\\xc3\"\n", ",\"a\":\"\\ufffd\\ufffd\"}"},
    {"overlong and surrogates", "a=\xc0\xaf\xe0\x80\xaf\xed\xa0\x80",
     HEAD " a=\"\\xc0\\xaf\\xe0\\x80\\xaf\\xed\\xa0\\x80\"\n", NULL},
    {"capitals are no key", "a FOO=1", HEAD " msg=\"a FOO=1\"\n", NULL},
    {"a number in quotes is text", "a n=\"5\" m=5 o=05 p=-7 q=1.5", HEAD " msg=a n=\"5\" m=5 o=05 p=-7 q=1.5\n",
     ",\"msg\":\"a\",\"n\":\"5\",\"m\":5,\"o\":\"05\",\"p\":-7,\"q\":\"1.5\"}"},
    {"escapes of a quoted value", "a b=\"\\x00\\xff\\n\\\"\\\\\\xc3\\xbc\"",
     HEAD " msg=a b=\"\\x00\\xff\\n\\\"\\\\\\xc3\\xbc\"\n", ",\"msg\":\"a\",\"b\":\"\\u0000\\ufffd\\u000a\\\"\\\\ü\"}"},
    {"an escape that is none", "a b=\"\\xZZ\\q\"", HEAD " msg=a b=\"\\xZZ\\q\"\n", ",\"msg\":\"a\",\"b\":\"xZZq\"}"},
};

static size_t render(char *out, size_t size, enum log_format format, int worker, const char *text)
{
    const struct log_head head = {format, leap_day_ms, LOG_LEVEL_INFO, worker};
    return log_render(out, size, &head, text);
}

static void expect_line(const char *what, const char *got, const char *expected)
{
    if (strcmp(got, expected) != 0)
        printf("\n    %s: %s", what, got);
    CU_ASSERT_STRING_EQUAL(got, expected);
}

static bool is_json_line(const char *line, size_t len)
{
    return line[len - 1] == '\n' && json_valid(slice_of(line, len - 1), 2);
}

static void test_lines(void)
{
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char out[512], json[512];
        out[render(out, sizeof(out) - 1, LOG_FORMAT_LOGFMT, -1, lines[i].text)] = '\0';
        expect_line(lines[i].what, out, lines[i].line);
        size_t len = render(out, sizeof(out) - 1, LOG_FORMAT_JSON, -1, lines[i].text);
        out[len] = '\0';
        CU_ASSERT_TRUE(is_json_line(out, len));
        snprintf(json, sizeof(json), JSON_HEAD "%s\n", lines[i].json ? lines[i].json : "");
        if (lines[i].json)
            expect_line(lines[i].what, out, json);
    }
}

static void test_worker(void)
{
    char out[256];
    out[render(out, sizeof(out) - 1, LOG_FORMAT_LOGFMT, 3, "bad")] = '\0';
    CU_ASSERT_STRING_EQUAL(out, HEAD " worker=3 msg=bad\n");
    out[render(out, sizeof(out) - 1, LOG_FORMAT_JSON, 3, "bad")] = '\0';
    CU_ASSERT_STRING_EQUAL(out, JSON_HEAD ",\"worker\":3,\"msg\":\"bad\"}\n");
}

static bool quotes_are_closed(const char *line, size_t len)
{
    bool open = false;
    for (size_t i = 0; i < len; i++) {
        if (line[i] == '\\')
            i++;
        else if (line[i] == '"')
            open = !open;
    }
    return !open;
}

/* Whatever the length, a line ends with its newline, holds no other, and its quotes (its braces) are closed. */
static void test_every_size(void)
{
    static const char text[] =
        "closed it name=\"a b\\\" c\" why=é\n\x01\" n=123456 m=-1 d=eeeeeeeeeee \"f\" e=\"\" g=\"ü\\x01\" f=g h i";
    for (int format = LOG_FORMAT_LOGFMT; format <= LOG_FORMAT_JSON; format++) {
        for (size_t size = 128; size < 300; size++) {
            char out[300];
            memset(out, 0x55, sizeof(out));
            size_t len = render(out, size, (enum log_format)format, -1, text);
            CU_ASSERT_TRUE_FATAL(len > 0 && len <= size);
            CU_ASSERT_PTR_EQUAL(memchr(out, '\n', len), out + len - 1);
            CU_ASSERT_TRUE(quotes_are_closed(out, len));
            CU_ASSERT_TRUE(format == LOG_FORMAT_LOGFMT || is_json_line(out, len));
            for (size_t i = size; i < sizeof(out); i++)
                CU_ASSERT_EQUAL_FATAL(out[i], 0x55);
        }
    }
}

/* Each byte, alone and in front of each other one, as it stands and as a quoted value. */
static void test_every_byte(void)
{
    for (unsigned a = 1; a < 256; a++) {
        for (unsigned b = 1; b < 256; b++) {
            char text[64] = "m k=", out[256], pair[2] = {(char)a, (char)b};
            memcpy(text + 4, pair, sizeof(pair));
            size_t len = render(out, sizeof(out), LOG_FORMAT_JSON, -1, text);
            CU_ASSERT_TRUE_FATAL(is_json_line(out, len));
            log_render_quoted(text + 4, sizeof(text) - 4, slice_of(pair, 2));
            len = render(out, sizeof(out), LOG_FORMAT_JSON, -1, text);
            CU_ASSERT_TRUE_FATAL(is_json_line(out, len));
        }
    }
}

UNIT_MAIN("gateway/observe/log_render", UNIT(test_lines), UNIT(test_worker), UNIT(test_every_size),
          UNIT(test_every_byte))
