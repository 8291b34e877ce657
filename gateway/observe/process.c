/* Small files of /proc, in the formats of proc(5). */
#include "gateway/observe/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gateway/observe/metrics.h"

enum { TEXT_BYTES = 1024 };

void process_begin(int64_t *values)
{
    struct timespec now;
    struct rlimit files;
    clock_gettime(CLOCK_REALTIME, &now);
    values[METRIC_PROCESS_START] = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        values[METRIC_PROCESS_FDS_MAX] = (int64_t)files.rlim_cur;
}

static bool read_text(pid_t pid, const char *file, char text[TEXT_BYTES])
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, TEXT_BYTES - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* statm: total and resident, in pages. */
static bool sample_memory(pid_t pid, int64_t *values)
{
    char text[TEXT_BYTES], *rest;
    if (!read_text(pid, "statm", text))
        return false;
    int64_t page = sysconf(_SC_PAGESIZE);
    values[METRIC_PROCESS_VIRTUAL] = strtoll(text, &rest, 10) * page;
    values[METRIC_PROCESS_RESIDENT] = strtoll(rest, NULL, 10) * page;
    return values[METRIC_PROCESS_RESIDENT] > 0; /* else it has ended, and its parent was not told yet */
}

/* stat: field 2 is the name in parentheses, 14 and 15 are user and system time in ticks. */
static void sample_cpu(pid_t pid, int64_t *values)
{
    enum { FIELDS_BEFORE = 12 }; /* from the parenthesis to field 14 */
    char text[TEXT_BYTES];
    char *at = read_text(pid, "stat", text) ? strrchr(text, ')') : NULL;
    for (int i = 0; at && i < FIELDS_BEFORE; i++)
        at = strchr(at + 1, ' ');
    if (!at)
        return;
    int64_t ticks = strtoll(at, &at, 10);
    ticks += strtoll(at, NULL, 10);
    values[METRIC_PROCESS_CPU] = ticks * (1000000 / sysconf(_SC_CLK_TCK));
}

static int64_t entries_of(const char *path)
{
    DIR *dir = opendir(path);
    int64_t count = 0;
    if (!dir)
        return 0;
    for (const struct dirent *e; (e = readdir(dir));)
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void sample_descriptors(pid_t pid, int64_t *values)
{
    char path[64];
    struct stat s;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    bool told =
        stat(path, &s) == 0 && s.st_size > 0; /* Linux 6.2 and newer tell the number; else there is only counting */
    values[METRIC_PROCESS_FDS] = told ? (int64_t)s.st_size : entries_of(path);
}

bool process_sample(pid_t pid, int64_t *values)
{
    if (!sample_memory(pid, values))
        return false;
    sample_cpu(pid, values);
    sample_descriptors(pid, values);
    return true;
}
