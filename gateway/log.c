/* Renders logfmt lines into a buffer on the stack and hands each to one write(), so that the lines of several processes on
 * one pipe do not mix. Every byte that is not plain text leaves escaped. */
#include "gateway/log.h"
#include "gateway/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 4096,
    VALUE_MAX_BYTES = 256, /* of log_value, before escaping */
    VALUE_SLOTS = 8
};

static enum log_level threshold = LOG_LEVEL_INFO;
static int worker_number = -1;

void log_init(enum log_level level, int worker)
{
    threshold = level;
    worker_number = worker;
}

int log_enabled(enum log_level level)
{
    return level <= threshold;
}

/* Text that grows in a fixed buffer and stops, whole characters only, when it is full. */
struct text {
    char *ptr;
    size_t len;
    size_t size;
    bool full;
    bool open; /* inside quotes */
};

static void put(struct text *t, const char *bytes, size_t len)
{
    if (t->full || len > t->size - t->len) {
        t->full = true;
        return;
    }
    memcpy(t->ptr + t->len, bytes, len);
    t->len += len;
}

static void put_str(struct text *t, const char *s)
{
    put(t, s, strlen(s));
}

static void put_escaped_byte(struct text *t, char c)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char byte = (unsigned char)c;
    switch (c) {
    case '\n':
        put_str(t, "\\n");
        return;
    case '\r':
        put_str(t, "\\r");
        return;
    case '\t':
        put_str(t, "\\t");
        return;
    default: {
        char escape[4] = {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
        put(t, escape, sizeof(escape));
    }
    }
}

static void put_quoted(struct text *t, struct slice s)
{
    put(t, "\"", 1);
    t->open = !t->full;
    while (s.len > 0) {
        size_t len = text_char_len(s);
        if (len == 0) {
            put_escaped_byte(t, s.ptr[0]);
            len = 1;
        } else if (s.ptr[0] == '"' || s.ptr[0] == '\\') {
            char escape[2] = {'\\', s.ptr[0]};
            put(t, escape, sizeof(escape));
        } else {
            put(t, s.ptr, len);
        }
        s = slice_of(s.ptr + len, s.len - len);
    }
    put(t, "\"", 1);
    t->open = t->open && t->full;
}

/* True for a value that stands without quotes: not empty, printable ASCII, no space, quote, equals sign or backslash. */
static bool is_bare(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= 0x20 || s.ptr[i] >= 0x7F || strchr("\"=\\", s.ptr[i]))
            return false;
    }
    return s.len > 0;
}

/* The length of `"…"` at the front of s when it is what put_quoted made (of printable characters and escapes, closed, then a
 * space or the end); 0 otherwise. */
static size_t quoted_len(struct slice s)
{
    if (s.len < 2 || s.ptr[0] != '"')
        return 0;
    for (size_t i = 1; i < s.len;) {
        size_t len = text_char_len(slice_of(s.ptr + i, s.len - i));
        if (len == 0)
            return 0;
        if (s.ptr[i] == '"')
            return i + 1 == s.len || s.ptr[i + 1] == ' ' ? i + 1 : 0;
        if (s.ptr[i] == '\\' && ++i < s.len && (s.ptr[i] < 0x20 || s.ptr[i] >= 0x7F))
            return 0;
        i += len;
    }
    return 0;
}

/* The length of `key` when s starts with `key=`; 0 otherwise. */
static size_t key_len(struct slice s)
{
    size_t i = 0;
    while (i < s.len &&
           (s.ptr[i] == '_' || (s.ptr[i] >= 'a' && s.ptr[i] <= 'z') || (s.ptr[i] >= '0' && s.ptr[i] <= '9')))
        i++;
    return i < s.len && s.ptr[i] == '=' ? i : 0;
}

/* Takes everything up to the next ` key=` (or the end) off the front of *rest, with the space. */
static struct slice take_value(struct slice *rest)
{
    size_t len = quoted_len(*rest);
    while (len < rest->len &&
           !(rest->ptr[len] == ' ' && key_len(slice_of(rest->ptr + len + 1, rest->len - len - 1)) > 0))
        len++;
    struct slice value = slice_of(rest->ptr, len);
    if (len < rest->len)
        len++;
    *rest = slice_of(rest->ptr + len, rest->len - len);
    return value;
}

static void put_value(struct text *t, struct slice value)
{
    if (is_bare(value) || (value.len > 0 && quoted_len(value) == value.len))
        put(t, value.ptr, value.len);
    else
        put_quoted(t, value);
}

static void put_pairs(struct text *t, struct slice rest)
{
    if (key_len(rest) == 0) {
        put_str(t, " msg=");
        put_value(t, take_value(&rest));
    }
    while (rest.len > 0) {
        size_t len = key_len(rest) + 1;
        put(t, " ", 1);
        put(t, rest.ptr, len);
        rest = slice_of(rest.ptr + len, rest.len - len);
        put_value(t, take_value(&rest));
    }
}

static void put_head(struct text *t, int64_t now_ms, enum log_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    char stamp[32] = "";
    if (gmtime_r(&seconds, &utc))
        strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    char head[96];
    int len = snprintf(head, sizeof(head), "ts=%s.%03dZ level=%s", stamp, (int)(now_ms % 1000), names[level]);
    put(t, head, (size_t)len);
    if (worker_number >= 0) {
        len = snprintf(head, sizeof(head), " worker=%d", worker_number);
        put(t, head, (size_t)len);
    }
}

size_t log_render(char *out, size_t size, int64_t now_ms, enum log_level level, const char *text)
{
    static const char cut[] = "…\"\n";
    struct text t = {.ptr = out, .size = size - sizeof(cut) + 1};
    put_head(&t, now_ms, level);
    put_pairs(&t, slice_str(text));
    const char *end = t.open ? cut : t.full ? "…\n" : "\n";
    memcpy(out + t.len, end, strlen(end));
    return t.len + strlen(end);
}

const char *log_value(struct slice bytes)
{
    static char slots[VALUE_SLOTS][4 * VALUE_MAX_BYTES + 8]; /* each byte may become four, quotes, the mark, NUL */
    static unsigned next;
    char *slot = slots[next++ % VALUE_SLOTS];
    bool cut = bytes.len > VALUE_MAX_BYTES;
    if (cut)
        bytes.len = VALUE_MAX_BYTES;
    struct text t = {.ptr = slot, .size = sizeof(slots[0]) - 1};
    put_quoted(&t, bytes);
    if (cut) {
        t.len--;
        put_str(&t, "…\"");
    }
    slot[t.len] = '\0';
    return slot;
}

static void write_line(const char *line, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, line, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nobody to tell */
        line += n;
        len -= (size_t)n;
    }
}

static void drop_newlines(char *text)
{
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == '\n')
        text[--len] = '\0';
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    int saved = errno;
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    drop_newlines(text); /* the lines of libraries end with one */

    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char line[LINE_MAX_BYTES];
    size_t len = log_render(line, sizeof(line), (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, level, text);
    write_line(line, len);
    errno = saved;
}
