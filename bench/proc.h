/* What /proc says about other processes: processor time and resident memory. */
#ifndef SYNCGATE_BENCH_PROC_H
#define SYNCGATE_BENCH_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROC_PIDS_MAX = 64 };

struct proc_pids {
    int pid[PROC_PIDS_MAX];
    size_t len;
};

struct proc_sample {
    int64_t user_us, system_us; /* since the processes began; the sum is exact, the split is not */
    int64_t rss_bytes;
};

/* proc_sample sums over the processes. False when one of them cannot be read. */
bool proc_sample(const struct proc_pids *pids, struct proc_sample *out);
/* proc_self_us: user and system time of this process. */
int64_t proc_self_us(void);

#endif
