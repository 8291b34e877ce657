/* Decides which lines are written and hands each to one write(), so that the lines of several processes on one pipe do not
 * mix. */
#include "gateway/observe/log.h"
#include "gateway/observe/log_limit.h"
#include "gateway/observe/log_render.h"

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
static enum log_format line_format = LOG_FORMAT_LOGFMT;
static int worker_number = -1;

static struct kind {
    const char *name;
    struct log_limit limit;
    enum log_level level; /* of the last line that was held back */
} kinds[] = {
#define LOG_KIND_ROW(suffix, text, lines, at_once)                                                                     \
    [LOG_##suffix] = {.name = (text), .limit = {.per_minute = (lines), .burst = (at_once)}},
    FOR_EACH_LOG_KIND(LOG_KIND_ROW)
#undef LOG_KIND_ROW
};

void log_init(enum log_level level, int worker)
{
    threshold = level;
    worker_number = worker;
}

void log_set_format(enum log_format format)
{
    line_format = format;
}

int log_enabled(enum log_level level)
{
    return level <= threshold;
}

const char *log_value(struct slice bytes)
{
    static const char mark[] = "…\"";
    static char slots[VALUE_SLOTS][4 * VALUE_MAX_BYTES + 2 + sizeof(mark)];
    static unsigned next;
    char *slot = slots[next++ % VALUE_SLOTS];
    bool cut = bytes.len > VALUE_MAX_BYTES;
    if (cut)
        bytes.len = VALUE_MAX_BYTES;
    size_t len = log_render_quoted(slot, sizeof(slots[0]), bytes);
    if (cut)
        memcpy(slot + len - 1, mark, sizeof(mark));
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

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
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

    const struct log_head head = {line_format, clock_ms(CLOCK_REALTIME), level, worker_number};
    char line[LINE_MAX_BYTES];
    write_line(line, log_render(line, sizeof(line), &head, text));
    errno = saved;
}

bool log_admit(enum log_kind kind, enum log_level level)
{
    struct kind *k = &kinds[kind];
    if (!log_enabled(level))
        return false;
    if (log_limit_take(&k->limit, clock_ms(CLOCK_MONOTONIC_COARSE)))
        return true;
    k->level = level;
    return false;
}

static void tell_suppressed(uint64_t (*report)(struct log_limit *l))
{
    for (size_t i = 0; i < LOG_KIND_COUNT; i++) {
        uint64_t lines = report(&kinds[i].limit);
        if (lines > 0)
            log_line(kinds[i].level, "suppressed lines kind=%s lines=%llu", kinds[i].name, (unsigned long long)lines);
    }
}

void log_suppressed(void)
{
    tell_suppressed(log_limit_report);
}

void log_suppressed_end(void)
{
    tell_suppressed(log_limit_end);
}
