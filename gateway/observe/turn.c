/* Changes of one read have one time; a turn reads a bounded number of times, so the times of a turn fit a small table. */
#include "gateway/observe/turn.h"

#include <stddef.h>
#include <time.h>

#include "gateway/observe/metrics.h"

enum { READS_MAX = 64 }; /* beyond, changes count as those of the last one */

static struct {
    int64_t began_us; /* 0: nothing arrived in this turn yet */
    int64_t heard_us; /* as of the last turn */
    struct {
        int64_t read_us, changes;
    } reads[READS_MAX];
    size_t nreads;
} turn;

int64_t turn_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void turn_begins(void)
{
    if (!turn.began_us)
        turn.began_us = turn_now_us();
}

void turn_change(int64_t read_us)
{
    size_t n = turn.nreads;
    if (n == 0 || (turn.reads[n - 1].read_us != read_us && n < READS_MAX)) {
        turn.reads[n].read_us = read_us;
        turn.reads[n].changes = 0;
        turn.nreads++;
    }
    turn.reads[turn.nreads - 1].changes++;
}

static void take_begin(int64_t us)
{
    if (!turn.began_us || us < turn.began_us)
        turn.began_us = us;
}

void turn_ends(int64_t heard_us)
{
    if (heard_us != turn.heard_us)
        take_begin(heard_us);
    turn.heard_us = heard_us;
    if (turn.nreads)
        take_begin(turn.reads[0].read_us);
    if (!turn.began_us)
        return;
    int64_t now = turn_now_us();
    metric_observe(HISTOGRAM_TURN, now - turn.began_us);
    for (size_t i = 0; i < turn.nreads; i++)
        histogram_add(&histograms[HISTOGRAM_CHANGE_TO_WRITE], histogram_shapes[HISTOGRAM_CHANGE_TO_WRITE],
                      now - turn.reads[i].read_us, turn.reads[i].changes);
    turn.began_us = 0;
    turn.nreads = 0;
}
