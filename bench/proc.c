/* The kernel rounds times in /proc/PID/stat to 10 ms; the sum of both is known to the nanosecond from the schedstat of each thread,
 * so only the ratio of user to system is taken from stat. smaps_rollup is exact where status is an estimate per core. */
#include "bench/proc.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static bool read_file(int pid, const char *name, char *out, size_t size)
{
    char path[96];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    size_t len = fread(out, 1, size - 1, f);
    out[len] = '\0';
    fclose(f);
    return len > 0;
}

/* Time on a core of all threads, in ns; 0 when the kernel does not tell. */
static int64_t exact_ns(int pid)
{
    char path[64], text[128];
    int64_t sum = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    for (struct dirent *d; threads && (d = readdir(threads));) {
        snprintf(path, sizeof(path), "task/%.16s/schedstat", d->d_name);
        if (d->d_name[0] != '.' && read_file(pid, path, text, sizeof(text)))
            sum += strtoll(text, NULL, 10);
    }
    if (threads)
        closedir(threads);
    return sum;
}

/* Fields 14 and 15, counted from behind the program's name, which may hold anything. */
static bool add_times(int pid, struct proc_sample *s)
{
    char text[2048];
    if (!read_file(pid, "stat", text, sizeof(text)))
        return false;
    char *p = strrchr(text, ')');
    for (int field = 2; p && field < 14; field++)
        p = strchr(p + 1, ' ');
    if (!p)
        return false;
    int64_t tick_us = 1000000 / sysconf(_SC_CLK_TCK);
    int64_t user_us = strtoll(p, &p, 10) * tick_us, system_us = strtoll(p, NULL, 10) * tick_us;
    int64_t both_us = exact_ns(pid) / 1000;
    if (both_us > 0) {
        int64_t ticks_us = user_us + system_us;
        user_us = ticks_us > 0 ? (int64_t)((double)both_us * (double)user_us / (double)ticks_us) : 0;
        system_us = both_us - user_us;
    }
    s->user_us += user_us;
    s->system_us += system_us;
    return true;
}

static bool add_memory(int pid, struct proc_sample *s)
{
    char text[8192];
    const char *line = NULL;
    if (read_file(pid, "smaps_rollup", text, sizeof(text)))
        line = strstr(text, "\nRss:");
    if (!line && read_file(pid, "status", text, sizeof(text)))
        line = strstr(text, "\nVmRSS:");
    if (!line)
        return false;
    s->rss_bytes += strtoll(strchr(line, ':') + 1, NULL, 10) * 1024;
    return true;
}

bool proc_sample(const struct proc_pids *pids, struct proc_sample *out)
{
    *out = (struct proc_sample){0};
    for (size_t i = 0; i < pids->len; i++)
        if (!add_times(pids->pid[i], out) || !add_memory(pids->pid[i], out))
            return false;
    return true;
}

int64_t proc_self_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}
