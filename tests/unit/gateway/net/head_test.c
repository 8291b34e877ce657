/* The head of a request: whole, not yet, or refused. */
#include "gateway/net/head.h"

#include "tests/unit/unit.h"

static struct head head;

static enum head_verdict judge(const char *text)
{
    return head_judge(slice_str(text), &head);
}

static void refused(const char *text, unsigned status)
{
    CU_ASSERT_EQUAL(judge(text), HEAD_REFUSED);
    CU_ASSERT_EQUAL(head.status, status);
    if (head.status != status)
        printf("%u, not %u: %.60s\n", head.status, status, text);
    CU_ASSERT_PTR_NOT_NULL(head.why);
}

static void test_it_is_whole_at_its_empty_line(void)
{
    static const char text[] = "GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Forwarded-For:  1.2.3.4 \r\n\r\n";
    for (size_t len = 0; len < sizeof(text) - 1; len++)
        CU_ASSERT_EQUAL(head_judge(slice_of(text, len), &head), HEAD_MORE);
    CU_ASSERT_EQUAL(judge(text), HEAD_WHOLE);
    CU_ASSERT_TRUE(slice_eq(head.path, SLICE_LIT("/a")));
    CU_ASSERT_TRUE(slice_eq(head.forwarded_for, SLICE_LIT("1.2.3.4")));
    CU_ASSERT_EQUAL(judge("HEAD / HTTP/1.0\n\n"), HEAD_WHOLE); /* section 2.2 of RFC 9112 */
    CU_ASSERT_EQUAL(judge("GET / HTTP/1.1\r\nHost: x\r\n\r\nwhat follows: \x01"), HEAD_WHOLE);
}

static void test_what_is_malformed(void)
{
    static const char *const texts[] = {
        "\x16\x03\x01",
        "\r\n",
        " GET / HTTP/1.1\r\n\r\n",
        "GET\r\n\r\n",
        "GET /\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
        "GET /\x01 HTTP/1.1\r\n\r\n",
        "GET /x%00 HTTP/1.1\r\n\r\n",
        "GET /x% HTTP/1.1\r\n\r\n",
        "GET /x%4 HTTP/1.1\r\n\r\n",
        "GET /%xy?a=b HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\n: no name\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nA: \x02\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        refused(texts[i], 400);
    CU_ASSERT_EQUAL(judge("GET /%2e%C3%a9%01?a=%00&b=% HTTP/1.1\r\n\r\n"), HEAD_WHOLE);
    refused("PUT / HTTP/1.1\r\n\r\n", 405);
    refused("get / HTTP/1.1\r\n\r\n", 405);
}

static void test_bodies(void)
{
    CU_ASSERT_EQUAL(judge("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), HEAD_WHOLE);
    CU_ASSERT_EQUAL(judge("POST / HTTP/1.1\r\nContent-Length: 65536\r\n\r\n"), HEAD_WHOLE);
    refused("POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", 413);
    refused("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411);
    refused("GET /?a HTTP/1.1\r\nContent-Length: 1\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n", 413);
    CU_ASSERT_TRUE(slice_eq(head.path, SLICE_LIT("/")));
    CU_ASSERT_TRUE(slice_eq(head.forwarded_for, SLICE_LIT("1.1.1.1"))); /* read although the line before was wrong */
    refused("HEAD / HTTP/1.1\r\ntransfer-encoding: x\r\n\r\n", 413);
}

/* A request of `len` bytes, its end included. */
static char *of_length(size_t len)
{
    static const char start[] = "GET /p HTTP/1.1\r\nCookie: ", end[] = "\r\n\r\n";
    char *text = malloc(len + 1);
    memset(text, 'c', len);
    memcpy(text, start, sizeof(start) - 1);
    memcpy(text + len + 1 - sizeof(end), end, sizeof(end));
    return text;
}

static void test_how_large_it_may_be(void)
{
    char *text = of_length(HEAD_BYTES_MAX);
    CU_ASSERT_EQUAL(head_judge(slice_of(text, HEAD_BYTES_MAX), &head), HEAD_WHOLE);
    CU_ASSERT_EQUAL(head_judge(slice_of(text, HEAD_BYTES_MAX - 1), &head), HEAD_MORE);
    free(text);
    text = of_length(HEAD_BYTES_MAX + 1);
    refused(text, 431);
    CU_ASSERT_TRUE(slice_eq(head.path, SLICE_LIT("/p")));
    CU_ASSERT_EQUAL(head_judge(slice_of(text, HEAD_BYTES_MAX), &head), HEAD_MORE);
    free(text);
    text = of_length(2 * HEAD_BYTES_MAX);
    CU_ASSERT_EQUAL(head_judge(slice_of(text, HEAD_BYTES_MAX + 1), &head), HEAD_REFUSED);
    CU_ASSERT_EQUAL(head.status, 431);
    free(text);
}

static void test_how_many_fields(void)
{
    static const char line[] = "GET /?a&b HTTP/1.1\r\n", field[] = "a: b\r\n"; /* two arguments */
    char text[4096];
    size_t len = sizeof(line) - 1;
    memcpy(text, line, len);
    for (int i = 0; i < HEAD_FIELDS_MAX - 2; i++, len += sizeof(field) - 1)
        memcpy(text + len, field, sizeof(field) - 1);
    memcpy(text + len, "\r\n", 3);
    CU_ASSERT_EQUAL(judge(text), HEAD_WHOLE);
    memcpy(text + len, "a: b\r\n\r\n", 9);
    refused(text, 431);
}

/* At every place of a value, as they are looked for eight at a time. */
static void test_control_characters(void)
{
    char text[] = "GET / HTTP/1.1\r\nA: 0123456789abcdef0123456789\r\n\r\n";
    char *value = strstr(text, "0123");
    for (size_t at = 1; at < 25; at++) { /* spaces around a value are no part of it */
        char was = value[at];
        for (int c = 1; c < 256; c++) {
            bool control = (c < ' ' && c != '\t') || c == 0x7f;
            if (c == '\n' || c == '\r')
                continue; /* another line then */
            value[at] = (char)c;
            CU_ASSERT_EQUAL(judge(text), control ? HEAD_REFUSED : HEAD_WHOLE);
        }
        value[at] = was;
    }
}

UNIT_MAIN("gateway/net/head", UNIT(test_it_is_whole_at_its_empty_line), UNIT(test_what_is_malformed), UNIT(test_bodies),
          UNIT(test_how_large_it_may_be), UNIT(test_how_many_fields), UNIT(test_control_characters))
