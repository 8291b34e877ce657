/* Growth by doubling; the memory is given back when everything was consumed and it had become large. */
#include "bench/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CAP_FIRST = 256, CAP_KEPT = 64 * 1024 };

void bytes_deinit(struct bytes *b)
{
    free(b->ptr);
    *b = (struct bytes){0};
}

static char *room(struct bytes *b, size_t len)
{
    if (b->len + len > b->cap) {
        size_t cap = b->cap ? b->cap : CAP_FIRST;
        while (cap < b->len + len)
            cap *= 2;
        char *ptr = realloc(b->ptr, cap);
        if (!ptr)
            bench_die("out of memory");
        b->ptr = ptr;
        b->cap = cap;
    }
    return b->ptr + b->len;
}

void bytes_put(struct bytes *b, const void *data, size_t len)
{
    if (len == 0)
        return;
    memcpy(room(b, len), data, len);
    b->len += len;
}

void bytes_text(struct bytes *b, const char *text)
{
    bytes_put(b, text, strlen(text));
}

void bytes_format(struct bytes *b, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(text))
        bench_die("a line is too long");
    bytes_put(b, text, (size_t)len);
}

void bytes_consume(struct bytes *b, size_t n)
{
    b->len -= n;
    if (b->len > 0)
        memmove(b->ptr, b->ptr + n, b->len);
    else if (b->cap > CAP_KEPT)
        bytes_deinit(b);
}

void *bench_alloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (!p)
        bench_die("out of memory");
    return p;
}

void bench_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("syncgate-bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

int64_t bench_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
