/* A growing run of bytes: what waits to be sent or is not parsed yet. Running out of memory aborts. */
#ifndef SYNCGATE_BENCH_BYTES_H
#define SYNCGATE_BENCH_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    char *ptr;
    size_t len, cap;
};

#define container_of(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

void bytes_deinit(struct bytes *b);
void bytes_put(struct bytes *b, const void *data, size_t len);
void bytes_text(struct bytes *b, const char *text);
void bytes_format(struct bytes *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* bytes_consume drops the first n bytes. */
void bytes_consume(struct bytes *b, size_t n);

/* bench_alloc: zeroed memory, or the program ends. */
void *bench_alloc(size_t count, size_t size);
/* bench_die prints a line and exits with 1. */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* bench_now_ns: CLOCK_MONOTONIC. */
int64_t bench_now_ns(void);

#endif
