#include "redis/reply.h"

#include "tests/unit/unit.h"

/* show spells a reply: what kind, and what is inside. */
/* NOLINTNEXTLINE(misc-no-recursion): at most REPLY_DEPTH_MAX levels */
static void show(const struct reply *r, char *out, size_t size)
{
    size_t len = strlen(out);
    switch (r->type) {
    case REPLY_NIL:
        snprintf(out + len, size - len, "nil");
        break;
    case REPLY_INTEGER:
        snprintf(out + len, size - len, "%lld", (long long)r->integer);
        break;
    case REPLY_BOOL:
        snprintf(out + len, size - len, r->integer ? "true" : "false");
        break;
    case REPLY_STRING:
        snprintf(out + len, size - len, "'%.*s'", (int)r->text.len, r->text.ptr);
        break;
    case REPLY_ERROR:
        snprintf(out + len, size - len, "error '%.*s'", (int)r->text.len, r->text.ptr);
        break;
    case REPLY_ARRAY:
    case REPLY_PUSH:
        snprintf(out + len, size - len, r->type == REPLY_PUSH ? "push[" : "[");
        for (size_t i = 0; i < r->len; i++) {
            if (i)
                strncat(out, " ", size - strlen(out) - 1);
            show(reply_at(r, i), out, size);
        }
        strncat(out, "]", size - strlen(out) - 1);
        break;
    }
}

/* read_all feeds `bytes` in pieces and spells all replies, one per line; "broken" at the end when it is. */
static void read_all(struct slice bytes, size_t piece, char *out, size_t size)
{
    struct reply_reader *reader = reply_reader_new();
    const struct reply *r;
    enum reply_next next = REPLY_MORE;
    out[0] = '\0';
    while (bytes.len > 0 && next != REPLY_BROKEN) {
        size_t n = bytes.len < piece ? bytes.len : piece;
        reply_reader_feed(reader, slice_of(bytes.ptr, n));
        bytes = slice_of(bytes.ptr + n, bytes.len - n);
        while ((next = reply_reader_next(reader, &r)) == REPLY_READY) {
            show(r, out, size);
            strncat(out, "\n", size - strlen(out) - 1);
        }
    }
    if (next == REPLY_BROKEN) {
        strncat(out, "broken", size - strlen(out) - 1);
        CU_ASSERT_TRUE(strlen(reply_reader_why(reader)) > 0);
        reply_reader_feed(reader, SLICE_LIT("+OK\r\n"));
        CU_ASSERT_EQUAL(reply_reader_next(reader, &r), REPLY_BROKEN); /* for ever */
    }
    reply_reader_free(reader);
}

static void test_every_kind_in_every_piece(void)
{
    static const struct {
        const char *bytes, *shown;
    } cases[] = {
        {"+OK\r\n", "'OK'\n"},
        {"+\r\n", "''\n"},
        {"-ERR no such thing\r\n", "error 'ERR no such thing'\n"},
        {":0\r\n:-7\r\n:9223372036854775807\r\n", "0\n-7\n9223372036854775807\n"},
        {"$5\r\nhello\r\n", "'hello'\n"},
        {"$0\r\n\r\n", "''\n"},
        {"$7\r\na\r\nb\r\nc\r\n", "'a\r\nb\r\nc'\n"},
        {"$-1\r\n", "nil\n"},
        {"*-1\r\n", "nil\n"},
        {"_\r\n", "nil\n"},
        {"#t\r\n#f\r\n", "true\nfalse\n"},
        {",1.5\r\n,inf\r\n", "'1.5'\n'inf'\n"},
        {"(12345678901234567890123\r\n", "'12345678901234567890123'\n"},
        {"=7\r\ntxt:abc\r\n", "'abc'\n"},
        {"*0\r\n", "[]\n"},
        {"*3\r\n:1\r\n$1\r\nx\r\n_\r\n", "[1 'x' nil]\n"},
        {"*2\r\n*0\r\n*2\r\n+a\r\n*1\r\n:5\r\n", "[[] ['a' [5]]]\n"},
        {"~2\r\n+a\r\n+b\r\n", "['a' 'b']\n"},
        {"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n#t\r\n", "['a' 1 'b' [true]]\n"},
        {">3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n+OK\r\n", "push['smessage' 'c' 'hi']\n'OK'\n"},
        {"*1\r\n-SGID x\r\n", "[error 'SGID x']\n"},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "[[[[[[[1]]]]]]]\n"},
    };
    char out[512];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice bytes = slice_str(cases[i].bytes);
        for (size_t piece = 1; piece <= bytes.len; piece++) {
            read_all(bytes, piece, out, sizeof out);
            CU_ASSERT_STRING_EQUAL(out, cases[i].shown);
            if (strcmp(out, cases[i].shown) != 0)
                fprintf(stderr, "pieces of %zu of %s-> %s\n", piece, cases[i].bytes, out);
        }
    }
}

static void test_broken(void)
{
    static const char *const cases[] = {
        "x\r\n",
        "HTTP/1.1 200 OK\r\n",
        "\r\n",
        ":x\r\n",
        ":1x\r\n",
        ":9223372036854775808\r\n",
        "$x\r\n",
        "$-2\r\n",
        "$536870913\r\n",
        "$9223372036854775807\r\n",
        "*-2\r\n",
        "*1048577\r\n",
        "*4294967296\r\n",
        "%99999999\r\n",
        "#x\r\n",
        ",x\r\n",
        "(x\r\n",
        "=3\r\nabc\r\n",
        "_x\r\n",
        "|1\r\n+a\r\n:1\r\n",
        "$111111111111111111111111111111111111",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*0\r\n",
    };
    char out[512];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice bytes = slice_str(cases[i]);
        read_all(bytes, bytes.len, out, sizeof out);
        CU_ASSERT_STRING_EQUAL(out, "broken");
        if (strcmp(out, "broken") != 0)
            fprintf(stderr, "case %zu: %s\n", i, out);
        read_all(bytes, 1, out, sizeof out);
        CU_ASSERT_STRING_EQUAL(out, "broken");
    }
}

/* Prefixes of good replies are neither replies nor broken. */
static void test_prefixes_want_more(void)
{
    static const char whole[] = "%2\r\n$3\r\nkey\r\n*2\r\n:1\r\n=7\r\ntxt:abc\r\n+b\r\n,1.5\r\n";
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        struct reply_reader *reader = reply_reader_new();
        const struct reply *r;
        reply_reader_feed(reader, slice_of(whole, n));
        CU_ASSERT_EQUAL(reply_reader_next(reader, &r), REPLY_MORE);
        CU_ASSERT_PTR_NULL(r);
        reply_reader_free(reader);
    }
}

static void test_a_line_has_an_end(void)
{
    struct reply_reader *reader = reply_reader_new();
    const struct reply *r;
    char piece[1024];
    size_t fed = 1;
    memset(piece, 'a', sizeof piece);
    reply_reader_feed(reader, SLICE_LIT("+"));
    while (reply_reader_next(reader, &r) == REPLY_MORE && fed < (size_t)1 << 22) {
        reply_reader_feed(reader, slice_of(piece, sizeof piece));
        fed += sizeof piece;
    }
    CU_ASSERT_EQUAL(reply_reader_next(reader, &r), REPLY_BROKEN);
    CU_ASSERT_TRUE(fed <= REPLY_LINE_MAX + 2 * sizeof piece);
    reply_reader_free(reader);
}

static void feed_text(struct reply_reader *reader, size_t len)
{
    char head[32], piece[4096];
    snprintf(head, sizeof head, "$%zu\r\n", len);
    reply_reader_feed(reader, slice_str(head));
    memset(piece, 'x', sizeof piece);
    while (len > 0) {
        size_t n = len < sizeof piece ? len : sizeof piece;
        reply_reader_feed(reader, slice_of(piece, n));
        len -= n;
    }
    reply_reader_feed(reader, SLICE_LIT("\r\n"));
}

static void test_memory_goes_back(void)
{
    struct reply_reader *reader = reply_reader_new();
    const struct reply *r;
    size_t small = reply_reader_memory(reader), len = (size_t)8 << 20;
    feed_text(reader, len);
    CU_ASSERT_EQUAL(reply_reader_next(reader, &r), REPLY_READY);
    CU_ASSERT_EQUAL(r->text.len, len);
    CU_ASSERT_EQUAL(r->text.ptr[len - 1], 'x');
    CU_ASSERT_EQUAL(r->text.ptr[len], '\0');
    CU_ASSERT_TRUE(reply_reader_memory(reader) > len);
    CU_ASSERT_EQUAL(reply_reader_next(reader, &r), REPLY_MORE);
    CU_ASSERT_EQUAL(reply_reader_memory(reader), small);
    /* Small replies take nothing beyond the first chunk, however many. */
    for (int i = 0; i < 10000; i++) {
        reply_reader_feed(reader, SLICE_LIT(">3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"));
        CU_ASSERT_EQUAL(reply_reader_next(reader, &r), REPLY_READY);
        CU_ASSERT_EQUAL(reply_reader_memory(reader), small);
    }
    reply_reader_free(reader);
}

/* Announced lengths of nested arrays cost memory before the elements come: that is bounded too. */
static void test_arena_is_bounded(void)
{
    struct reply_reader *reader = reply_reader_new();
    const struct reply *r;
    enum reply_next next = REPLY_MORE;
    reply_reader_feed(reader, SLICE_LIT("*1000\r\n"));
    for (int i = 0; i < 1000 && next == REPLY_MORE; i++) {
        reply_reader_feed(reader, SLICE_LIT("*1048576\r\n"));
        next = reply_reader_next(reader, &r);
        CU_ASSERT_TRUE(reply_reader_memory(reader) <= REPLY_ARENA_MAX);
    }
    CU_ASSERT_EQUAL(next, REPLY_BROKEN); /* too deep, long before too large */
    reply_reader_free(reader);
}

static void test_many_elements(void)
{
    struct reply_reader *reader = reply_reader_new();
    const struct reply *r;
    reply_reader_feed(reader, SLICE_LIT("*100000\r\n"));
    for (int i = 0; i < 100000; i++) {
        char text[16];
        snprintf(text, sizeof text, ":%d\r\n", i);
        CU_ASSERT_EQUAL(reply_reader_next(reader, &r), REPLY_MORE);
        reply_reader_feed(reader, slice_str(text));
    }
    CU_ASSERT_EQUAL_FATAL(reply_reader_next(reader, &r), REPLY_READY);
    CU_ASSERT_EQUAL(r->len, 100000);
    CU_ASSERT_EQUAL(reply_at(r, 99999)->integer, 99999);
    CU_ASSERT_EQUAL(reply_at(r, 100000)->type, REPLY_NIL);
    reply_reader_free(reader);
}

static void test_at_and_i64(void)
{
    const struct reply number = {.type = REPLY_INTEGER, .integer = 7},
                       word = {.type = REPLY_STRING, .text = SLICE_LIT("-12")},
                       other = {.type = REPLY_STRING, .text = SLICE_LIT("1x")}, nil = {.type = REPLY_NIL};
    const struct reply *const elements[] = {&number, &word};
    const struct reply array = {.type = REPLY_ARRAY, .elements = elements, .len = 2};
    int64_t n = 0;
    CU_ASSERT_PTR_EQUAL(reply_at(&array, 1), &word);
    CU_ASSERT_EQUAL(reply_at(&array, 2)->type, REPLY_NIL);
    CU_ASSERT_EQUAL(reply_at(&word, 0)->type, REPLY_NIL);
    CU_ASSERT_EQUAL(reply_at(reply_at(&array, 5), 3)->type, REPLY_NIL);
    CU_ASSERT_TRUE(reply_i64(&number, &n));
    CU_ASSERT_EQUAL(n, 7);
    CU_ASSERT_TRUE(reply_i64(&word, &n));
    CU_ASSERT_EQUAL(n, -12);
    CU_ASSERT_FALSE(reply_i64(&other, &n));
    CU_ASSERT_FALSE(reply_i64(&nil, &n));
    CU_ASSERT_FALSE(reply_i64(&array, &n));
}

UNIT_MAIN("redis/reply", UNIT(test_every_kind_in_every_piece), UNIT(test_broken), UNIT(test_prefixes_want_more),
          UNIT(test_a_line_has_an_end), UNIT(test_memory_goes_back), UNIT(test_arena_is_bounded),
          UNIT(test_many_elements), UNIT(test_at_and_i64))
