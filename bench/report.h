/* The numbers of one run, and the two lines that tell them. */
#ifndef SYNCGATE_BENCH_REPORT_H
#define SYNCGATE_BENCH_REPORT_H

#include "bench/histogram.h"
#include "bench/options.h"

/* Processor time in microseconds and memory, between two moments. */
struct report_span {
    double seconds;
    int64_t server_user_us, server_system_us, redis_us, self_us;
    int64_t rss_before, rss_after;
    int64_t redis_reads, redis_commands; /* FCALL_RO and all commands; -1 when Redis was not asked */
};

struct report {
    const struct options *opt;
    struct report_span connect; /* all clients but the first */
    struct report_span run;
    struct histogram ready;   /* ns from connect to subscribed */
    struct histogram latency; /* ns from publish to delivery */
    int64_t connected, failed, disconnected;
    int64_t publishes, deliveries, messages, bytes;
    int64_t gaps, duplicates, lost, misplaced, overtaken, errors, unmarked, held_back;
    int64_t slow_newest, slow_closed, slow_messages_max, slow_bytes_max;
    char why[512]; /* the first thing that went wrong */
};

/* report_print writes both lines to standard output. */
void report_print(const struct report *r);
/* report_exit_code: 0, 1 (clients failed) or 2 (gaps, duplicates, losses). */
int report_exit_code(const struct report *r);

#endif
