/* The exposition text: every row is there, heads come once per name, rows of one name stand together, labels are right, seconds
 * are seconds, and one process tells of all workers. */
#include "gateway/observe/metrics.h"

#include <sys/wait.h>
#include <unistd.h>

#include "protocol/dialects.h"
#include "tests/unit/unit.h"

static struct buf rendered(void)
{
    struct buf out;
    buf_init(&out, metrics_workers() * METRICS_BYTES_MAX);
    metrics_render(&out);
    buf_put_char(&out, '\0');
    CU_ASSERT_FALSE_FATAL(out.failed);
    CU_ASSERT_TRUE(out.len < metrics_workers() * METRICS_BYTES_MAX / 2); /* else it is time for more */
    return out;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what))
        n++;
    return n;
}

static void test_rows(void)
{
    metrics_begin(-1);
    metrics_connections(dialects[0], false, 13);
    metrics_connections(dialects[0], false, -1);
    metrics_connections(dialects[1], true, 3);
    CU_ASSERT_EQUAL(metrics_total(METRIC_CONNECTIONS), 12);
    metrics[METRIC_ERRORS_3] = 7;
    metric_add(METRIC_ERRORS_3, 2);
    metrics[METRIC_GAPS] = INT64_MAX;
    struct buf out = rendered();
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "# TYPE syncgate_connections gauge\n"
                                           "syncgate_connections{protocol=\"socksync\",state=\"open\"} 12\n"
                                           "syncgate_connections{protocol=\"socksync2\",state=\"open\"} 0\n"
                                           "syncgate_connections{protocol=\"socksync\",state=\"closing\"} 0\n"
                                           "syncgate_connections{protocol=\"socksync2\",state=\"closing\"} 3\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "# HELP syncgate_errors_total Error frames sent, by code.\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_errors_total{code=\"3\"} 9\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_gaps_total 9223372036854775807\n"));
    CU_ASSERT_EQUAL(count(out.ptr, "# TYPE syncgate_errors_total counter\n"), 1);
    CU_ASSERT_EQUAL(count(out.ptr, "worker="), 0);
    CU_ASSERT_EQUAL(out.ptr[out.len - 2], '\n');
    buf_deinit(&out);
}

static void test_histograms(void)
{
    metric_observe(HISTOGRAM_MESSAGES_PER_WRITE, 1);
    metric_observe(HISTOGRAM_MESSAGES_PER_WRITE, 4);
    metric_observe(HISTOGRAM_MESSAGES_PER_WRITE, 5000);
    metric_observe(HISTOGRAM_CALL_ERROR, 64);
    metric_observe(HISTOGRAM_CALL_ERROR, 1500000);
    metric_observe(HISTOGRAM_CALL_ERROR, 100000000);
    struct buf out = rendered();
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "# TYPE syncgate_messages_per_write histogram\n"
                                           "syncgate_messages_per_write_bucket{le=\"1\"} 1\n"
                                           "syncgate_messages_per_write_bucket{le=\"2\"} 1\n"
                                           "syncgate_messages_per_write_bucket{le=\"4\"} 2\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_messages_per_write_bucket{le=\"1024\"} 2\n"
                                           "syncgate_messages_per_write_bucket{le=\"+Inf\"} 3\n"
                                           "syncgate_messages_per_write_sum 5005\n"
                                           "syncgate_messages_per_write_count 3\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_writes_total 3\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_messages_sent_total 5005\n"));
    const char *first = "\nsyncgate_call_duration_seconds_bucket{outcome=\"error\",le=\"0.000064\"} 1\n";
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, first));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "{outcome=\"error\",le=\"1.048576\"} 1\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "{outcome=\"error\",le=\"2.097152\"} 2\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_call_duration_seconds_sum{outcome=\"error\"} 101.500064\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_call_duration_seconds_count{outcome=\"error\"} 3\n"));
    CU_ASSERT_EQUAL(count(out.ptr, "# TYPE syncgate_call_duration_seconds histogram\n"), 1);
    buf_deinit(&out);
}

/* The value of a metric without labels, as it is told now. */
static double told(const char *name)
{
    char line[64];
    struct buf out = rendered();
    snprintf(line, sizeof(line), "\n%s ", name);
    const char *at = strstr(out.ptr, line);
    CU_ASSERT_PTR_NOT_NULL(at);
    double value = at ? strtod(at + strlen(line), NULL) : -1;
    buf_deinit(&out);
    return value;
}

static void test_process(void)
{
    CU_ASSERT_TRUE(told("process_resident_memory_bytes") > 100000);
    CU_ASSERT_TRUE(told("process_virtual_memory_bytes") > 100000);
    CU_ASSERT_TRUE(told("process_open_fds") >= 3);
    CU_ASSERT_TRUE(told("process_max_fds") >= told("process_open_fds"));
    CU_ASSERT_TRUE(told("process_start_time_seconds") > 1600000000);
    double cpu = told("process_cpu_seconds_total"), later = cpu;
    for (int round = 0; round < 10000 && later <= cpu; round++)
        later = told("process_cpu_seconds_total");
    CU_ASSERT_TRUE(later > cpu);
    double open = told("process_open_fds");
    int fd = dup(STDERR_FILENO);
    CU_ASSERT_EQUAL(told("process_open_fds"), open + 1);
    close(fd);
    CU_ASSERT_EQUAL(told("process_open_fds"), open);
}

/* Worker 1 is another process, which lives while we look and then does not. */
static void count_as_worker(int up, int down)
{
    char c;
    metrics_begin(1);
    metrics[METRIC_NAMES] = 2;
    metrics[METRIC_CHANGES] += 3;
    metric_observe(HISTOGRAM_TURN, 1000);
    if (write(up, "x", 1) != 1 || read(down, &c, 1) != 0)
        _exit(1);
    _exit(0);
}

static void run_worker(struct buf *alive)
{
    int up[2] = {-1, -1}, down[2] = {-1, -1};
    char c;
    int status = -1;
    CU_ASSERT_FATAL(pipe(up) == 0 && pipe(down) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(down[1]);
        count_as_worker(up[1], down[0]);
    }
    CU_ASSERT_EQUAL_FATAL(read(up[0], &c, 1), 1);
    *alive = rendered();
    close(down[1]);
    waitpid(pid, &status, 0);
    CU_ASSERT_EQUAL(status, 0);
    close(up[0]);
    close(up[1]);
    close(down[0]);
}

static void test_workers(void)
{
    metrics_share(2);
    metrics_begin(0);
    metrics[METRIC_NAMES] = 7;
    struct buf out;
    run_worker(&out);
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_names{worker=\"0\"} 7\nsyncgate_names{worker=\"1\"} 2\n#"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "{protocol=\"socksync\",state=\"open\",worker=\"1\"} 0\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_loop_turn_seconds_bucket{worker=\"1\",le=\"0.001024\"} 1\n"));
    CU_ASSERT_EQUAL(count(out.ptr, "# TYPE syncgate_names gauge\n"), 1);
    CU_ASSERT_EQUAL(count(out.ptr, "\nprocess_open_fds{"), 2);
    buf_deinit(&out);

    out = rendered();
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_names{worker=\"1\"} 0\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_changes_total{worker=\"1\"} 3\n"));
    CU_ASSERT_EQUAL(count(out.ptr, "\nprocess_open_fds{"), 1);
    buf_deinit(&out);

    run_worker(&out);
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_names{worker=\"1\"} 2\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "\nsyncgate_changes_total{worker=\"1\"} 6\n"));
    buf_deinit(&out);
}

/* The rows of the table as they stand in it. */
static const struct {
    const char *type, *name, *help;
} rows[] = {
#define ROW(suffix, type, name, labels, help)                 {type, name, help},
#define HISTOGRAM(suffix, shift, buckets, name, labels, help) {"histogram", name, help},
    FOR_EACH_METRIC(ROW, HISTOGRAM)
#undef ROW
#undef HISTOGRAM
};

static void test_table(void)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool first = i == 0 || strcmp(rows[i].name, rows[i - 1].name) != 0;
        for (size_t j = 0; first && j < i; j++)
            CU_ASSERT_STRING_NOT_EQUAL(rows[i].name,
                                       rows[j].name); /* else the rows of one name do not stand together */
        CU_ASSERT_EQUAL(first, rows[i].help[0] != '\0');
        CU_ASSERT_TRUE(first || strcmp(rows[i].type, rows[i - 1].type) == 0);
        size_t len = strlen(rows[i].name);
        bool total = len > 6 && strcmp(rows[i].name + len - 6, "_total") == 0;
        CU_ASSERT_EQUAL(total, strcmp(rows[i].type, "counter") == 0);
        CU_ASSERT_PTR_NULL(strpbrk(rows[i].help, "\\\n"));
    }
}

UNIT_MAIN("gateway/observe/metrics", UNIT(test_rows), UNIT(test_histograms), UNIT(test_process), UNIT(test_table),
          UNIT(test_workers))
