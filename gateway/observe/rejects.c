/* The newest entry is at `next - 1`. Only that one is compared with what comes: a flood of one kind stays one line. */
#include "gateway/observe/rejects.h"

#include <stdio.h>

#include "gateway/base/clock.h"
#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"

struct refusal {
    int64_t first_ms, last_ms; /* since 1970 */
    int64_t times;
    int code;
    char remote[48];
    char subject[64];
    char why[64];
};

struct rejects {
    struct refusal ring[REFUSALS_KEPT];
    size_t next, len;
    int64_t total;
};

struct rejects *rejects_new(void)
{
    return sg_calloc(1, sizeof(struct rejects));
}

void rejects_free(struct rejects *r)
{
    free(r);
}

bool rejects_closed(int code)
{
    return code == 1002 || code == 1003 || code == 1007 || code == 1008 || code == 1009 || code == 1013;
}

void rejects_count(unsigned status)
{
    static const struct {
        unsigned status;
        enum metric metric;
    } reasons[] = {{0, METRIC_REFUSED_TOO_LATE},    {1, METRIC_REFUSED_CROWDED},     {400, METRIC_REFUSED_MALFORMED},
                   {405, METRIC_REFUSED_MALFORMED}, {408, METRIC_REFUSED_TOO_LATE},  {411, METRIC_REFUSED_MALFORMED},
                   {413, METRIC_REFUSED_TOO_LARGE}, {426, METRIC_REFUSED_MALFORMED}, {431, METRIC_REFUSED_TOO_LARGE}};
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            metric_add(reasons[i].metric, 1);
}

static struct refusal *back(const struct rejects *r, size_t i)
{
    return (struct refusal *)&r->ring[(r->next + REFUSALS_KEPT - 1 - i) % REFUSALS_KEPT];
}

static bool same(const struct refusal *a, const struct refusal *b)
{
    return a->code == b->code && strcmp(a->remote, b->remote) == 0 && strcmp(a->subject, b->subject) == 0 &&
           strcmp(a->why, b->why) == 0;
}

void rejects_add(struct rejects *r, int code, const char *remote, const char *subject, const char *why)
{
    int64_t now = clock_wall_ms();
    struct refusal new = {.first_ms = now, .last_ms = now, .times = 1, .code = code};
    snprintf(new.remote, sizeof(new.remote), "%s", remote);
    snprintf(new.subject, sizeof(new.subject), "%s", subject);
    snprintf(new.why, sizeof(new.why), "%s", why);
    r->total++;
    if (r->len > 0 && same(back(r, 0), &new)) {
        back(r, 0)->times++;
        back(r, 0)->last_ms = now;
        return;
    }
    r->ring[r->next] = new;
    r->next = (r->next + 1) % REFUSALS_KEPT;
    r->len += r->len < REFUSALS_KEPT;
}

void rejects_write(const struct rejects *r, struct jsonw *w)
{
    jsonw_i64(w, "total", r->total);
    jsonw_open(w, "refusals", '[');
    for (size_t i = 0; i < r->len; i++) {
        const struct refusal *e = back(r, i);
        jsonw_open(w, NULL, '{');
        jsonw_i64(w, "time_ms", e->last_ms);
        jsonw_i64(w, "first_ms", e->first_ms);
        jsonw_i64(w, "times", e->times);
        jsonw_i64(w, "code", e->code);
        jsonw_str(w, "remote", e->remote);
        jsonw_str(w, "subject", e->subject);
        jsonw_str(w, "why", e->why);
        jsonw_close(w, '}');
    }
    jsonw_close(w, ']');
}
