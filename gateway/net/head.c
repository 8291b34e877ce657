/* RFC 9112, sections 2 to 6, as strictly as needed: what passes here, libwebsockets reads without giving up, and it gives up without
 * an answer. */
#include "gateway/net/head.h"

#include <strings.h>

struct reader {
    struct head *out;
    struct slice rest; /* lines that were not read yet */
    bool posts;
    size_t fields;
    int lengths; /* Content-Length fields */
};

static enum head_verdict refuse(struct head *out, unsigned status, const char *why)
{
    out->status = status;
    out->why = why;
    return HEAD_REFUSED;
}

/* Letters, digits and !#$%&'*+-.^_`|~ as bits: every byte of each name is asked for. */
static bool is_token_char(char c)
{
    static const uint64_t bits[4] = {0x3ff6cfa00000000, 0x57ffffffc7fffffe};
    return bits[(unsigned char)c >> 6] >> (c & 63) & 1;
}

static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_token_char(s.ptr[i]))
            return false;
    return s.len > 0;
}

#define EACH_BYTE(b) ((uint64_t)(b)*UINT64_C(0x0101010101010101))

/* False: none of these eight bytes is a control character. Heads are mostly long values without any. */
static bool may_hold_control(const char *eight)
{
    uint64_t w, del;
    memcpy(&w, eight, sizeof(w));
    del = w ^ EACH_BYTE(0x7f);
    return (((w - EACH_BYTE(' ')) & ~w) | ((del - EACH_BYTE(1)) & ~del)) & EACH_BYTE(0x80);
}

/* Every control character but the tab. */
static bool has_control(struct slice s)
{
    size_t i = 0;
    while (s.len - i >= sizeof(uint64_t) && !may_hold_control(s.ptr + i))
        i += sizeof(uint64_t);
    for (; i < s.len; i++)
        if (((unsigned char)s.ptr[i] < ' ' && s.ptr[i] != '\t') || s.ptr[i] == 0x7f)
            return true;
    return false;
}

static bool same(struct slice a, const char *b)
{
    return a.len == strlen(b) && strncasecmp(a.ptr, b, a.len) == 0;
}

static struct slice trimmed(struct slice s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = slice_of(s.ptr + 1, s.len - 1);
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* The length of the head, its empty line included; 0: it has not come yet. A line may end without a CR (section 2.2). */
static size_t end_of_head(struct slice s)
{
    for (const char *p = s.ptr, *end = s.ptr + s.len; (p = memchr(p, '\n', (size_t)(end - p)));) {
        p++;
        if (p < end && *p == '\n')
            return (size_t)(p + 1 - s.ptr);
        if (end - p >= 2 && p[0] == '\r' && p[1] == '\n')
            return (size_t)(p + 2 - s.ptr);
    }
    return 0;
}

static struct slice next_line(struct slice *rest)
{
    struct slice line = SLICE_NONE;
    slice_cut(rest, '\n', &line);
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

static size_t arguments_of(struct slice query)
{
    size_t n = 1;
    for (size_t i = 0; i < query.len; i++)
        n += query.ptr[i] == '&';
    return n;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

/* What is escaped is two digits, and no NUL: libwebsockets ends the connection over that one without a word. */
static bool escapes_well(struct slice path)
{
    const char *end = path.ptr + path.len;
    for (const char *p = path.ptr; (p = memchr(p, '%', (size_t)(end - p))); p++)
        if (end - p < 3 || !is_hex(p[1]) || !is_hex(p[2]) || (p[1] == '0' && p[2] == '0'))
            return false;
    return true;
}

static void read_target(struct reader *r, struct slice target)
{
    r->out->path = target;
    struct slice query = target, path;
    if (slice_cut(&query, '?', &path)) {
        r->out->path = path;
        r->fields += arguments_of(query);
    }
}

static enum head_verdict read_request_line(struct reader *r, struct slice line)
{
    struct slice rest = line, method, target;
    if (has_control(line) || !slice_cut(&rest, ' ', &method) || !slice_cut(&rest, ' ', &target) || !is_token(method) ||
        !target.len)
        return refuse(r->out, 400, "the request line is malformed");
    if (!slice_eq(rest, slice_str("HTTP/1.1")) && !slice_eq(rest, slice_str("HTTP/1.0")))
        return refuse(r->out, 400, "HTTP/1.1 is spoken here");
    read_target(r, target);
    if (!escapes_well(r->out->path))
        return refuse(r->out, 400, "the path is malformed");
    r->posts = slice_eq(method, slice_str("POST"));
    if (!r->posts && !slice_eq(method, slice_str("GET")) && !slice_eq(method, slice_str("HEAD")))
        return refuse(r->out, 405, "GET, HEAD and POST only");
    return HEAD_WHOLE;
}

static enum head_verdict read_length(struct reader *r, struct slice value)
{
    int64_t len;
    if (r->lengths++ || !slice_i64(value, &len) || len < 0)
        return refuse(r->out, 400, "Content-Length is malformed");
    if (len > 0 && !r->posts)
        return refuse(r->out, 413, "this request takes no body");
    if (len > HEAD_BODY_MAX)
        return refuse(r->out, 413, "the body is too large");
    return HEAD_WHOLE;
}

static enum head_verdict read_field(struct reader *r, struct slice line)
{
    struct slice value = line, name;
    if (has_control(line) || !slice_cut(&value, ':', &name) || !is_token(name))
        return refuse(r->out, 400, "a header field is malformed");
    value = trimmed(value);
    if (same(name, "transfer-encoding"))
        return r->posts ? refuse(r->out, 411, "a body needs Content-Length")
                        : refuse(r->out, 413, "this request takes no body");
    if (same(name, "content-length"))
        return read_length(r, value);
    if (same(name, "x-forwarded-for"))
        r->out->forwarded_for = value;
    return HEAD_WHOLE;
}

/* All fields are read, also after one that is wrong: who asks is told by one of them. The first fault counts. */
static enum head_verdict read_fields(struct reader *r)
{
    struct head first = {0};
    for (struct slice line; (line = next_line(&r->rest)).len;) {
        r->fields++;
        if (read_field(r, line) == HEAD_REFUSED && !first.status)
            first = *r->out;
    }
    if (first.status)
        return refuse(r->out, first.status, first.why);
    return r->fields > HEAD_FIELDS_MAX ? refuse(r->out, 431, "too many header fields") : HEAD_WHOLE;
}

enum head_verdict head_judge(struct slice bytes, struct head *out)
{
    *out = (struct head){0};
    if (bytes.len == 0)
        return HEAD_MORE;
    if (!is_token_char(bytes.ptr[0]))
        return refuse(out, 400, "the request line is malformed");
    size_t len = end_of_head(bytes);
    struct reader r = {.out = out, .rest = slice_of(bytes.ptr, len ? len : bytes.len)};
    if (len == 0 && bytes.len <= HEAD_BYTES_MAX)
        return HEAD_MORE;
    enum head_verdict verdict = read_request_line(&r, next_line(&r.rest));
    if (len == 0 || len > HEAD_BYTES_MAX)
        return refuse(out, 431, "the request and its header fields are larger than 16 KiB");
    return verdict == HEAD_WHOLE ? read_fields(&r) : verdict;
}
