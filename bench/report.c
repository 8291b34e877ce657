/* What was not measured is null in JSON and left out of the other line. */
#include "bench/report.h"

#include <stdio.h>
#include <string.h>

static double per(int64_t value, int64_t count)
{
    return count > 0 ? (double)value / (double)count : 0;
}

static int64_t server_us(const struct report_span *s)
{
    return s->server_user_us + s->server_system_us;
}

/* The first client is not part of the span. */
static int64_t connects(const struct report *r)
{
    return r->connected > 1 ? r->connected - 1 : 0;
}

static bool ran(const struct report *r)
{
    return r->publishes > 0;
}

/* --- the line to read --- */

static void print_connect(const struct report *r)
{
    printf("connected %lld", (long long)r->connected);
    if (r->failed)
        printf(" (%lld failed)", (long long)r->failed);
    printf(" in %.2f s", r->connect.seconds);
    if (r->opt->server.len > 0 && connects(r) > 0)
        printf(", server %.1f us and %.2f kB each", per(server_us(&r->connect), connects(r)),
               per(r->connect.rss_after - r->connect.rss_before, connects(r)) / 1000);
    if (r->connect.redis_reads >= 0 && r->opt->kind <= KIND_LIST)
        printf(", %lld Redis reads", (long long)r->connect.redis_reads);
}

static void print_cost(const struct report *r)
{
    if (r->opt->server.len > 0)
        printf("server %.3f us", per(server_us(&r->run), r->deliveries));
    if (r->opt->redis.len > 0)
        printf("%sRedis %.3f us", r->opt->server.len ? ", " : "", per(r->run.redis_us, r->deliveries));
    printf("%sgenerator %.3f us per delivery", r->opt->server.len + r->opt->redis.len ? ", " : "",
           per(r->run.self_us, r->deliveries));
}

static void print_run(const struct report *r)
{
    printf("; %lld publishes, %lld deliveries in %.2f s (%.0f/s): ", (long long)r->publishes, (long long)r->deliveries,
           r->run.seconds, r->run.seconds > 0 ? (double)r->deliveries / r->run.seconds : 0);
    print_cost(r);
    printf("; latency p50 %.3f p99 %.3f max %.3f ms; ", (double)histogram_at(&r->latency, 0.5) / 1e6,
           (double)histogram_at(&r->latency, 0.99) / 1e6, (double)r->latency.max / 1e6);
    if (r->gaps + r->duplicates + r->lost + r->misplaced == 0)
        printf("no gaps");
    else
        printf("%lld GAPS, %lld DUPLICATES, %lld LOST, %lld MISPLACED", (long long)r->gaps, (long long)r->duplicates,
               (long long)r->lost, (long long)r->misplaced);
}

static void print_trouble(const struct report *r)
{
    if (r->disconnected)
        printf("; %lld DISCONNECTED", (long long)r->disconnected);
    if (r->errors)
        printf("; %lld ERRORS", (long long)r->errors);
    if (r->held_back)
        printf("; %lld publishes held back", (long long)r->held_back);
    if (r->opt->slow)
        printf("; slow readers: %lld of %lld have the newest, %lld closed, at most %lld messages each",
               (long long)r->slow_newest, (long long)r->opt->slow, (long long)r->slow_closed,
               (long long)r->slow_messages_max);
    if (r->why[0])
        printf("; %s", r->why);
}

static void print_line(const struct report *r)
{
    printf("%s%s%s: ", r->opt->label, r->opt->label[0] ? " " : "", options_kind_name(r->opt->kind));
    print_connect(r);
    if (ran(r))
        print_run(r);
    print_trouble(r);
    putchar('\n');
}

/* --- JSON --- */

static void json_text(const char *key, const char *text)
{
    printf("\"%s\":\"", key);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < ' ' || c == 0x7f)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    printf("\",");
}

static void json_count(const char *key, int64_t value)
{
    printf("\"%s\":%lld,", key, (long long)value);
}

static void json_real(const char *key, bool known, double value)
{
    if (known)
        printf("\"%s\":%.6g,", key, value);
    else
        printf("\"%s\":null,", key);
}

static void json_histogram(const char *key, const struct histogram *h)
{
    if (h->count == 0) {
        printf("\"%s\":null,", key);
        return;
    }
    static const struct {
        const char *key;
        double share;
    } points[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
    printf("\"%s\":{", key);
    for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++)
        printf("\"%s\":%.1f,", points[i].key, (double)histogram_at(h, points[i].share) / 1000);
    printf("\"max\":%.1f,\"mean\":%.1f},", (double)h->max / 1000, histogram_mean(h) / 1000);
}

static void json_connect(const struct report *r)
{
    bool server = r->opt->server.len > 0 && connects(r) > 0;
    const struct report_span *s = &r->connect;
    json_count("connected", r->connected);
    json_count("failed", r->failed);
    json_real("connect_seconds", true, s->seconds);
    json_real("connect_server_us", server, per(server_us(s), connects(r)));
    json_real("connect_generator_us", connects(r) > 0, per(s->self_us, connects(r)));
    json_real("connect_redis_reads", s->redis_reads >= 0, (double)s->redis_reads);
    json_histogram("ready_us", &r->ready);
    json_real("rss_bytes", server, (double)s->rss_after);
    json_real("rss_bytes_per_connection", server, per(s->rss_after - s->rss_before, connects(r)));
}

static void json_run(const struct report *r)
{
    bool server = r->opt->server.len > 0 && ran(r), redis = r->opt->redis.len > 0 && ran(r);
    const struct report_span *s = &r->run;
    json_count("publishes", r->publishes);
    json_count("deliveries", r->deliveries);
    json_count("messages", r->messages);
    json_count("received_bytes", r->bytes);
    json_real("seconds", true, s->seconds);
    json_real("deliveries_per_second", ran(r), s->seconds > 0 ? (double)r->deliveries / s->seconds : 0);
    json_real("server_us_per_delivery", server, per(server_us(s), r->deliveries));
    json_real("server_us_per_message", server, per(server_us(s), r->messages));
    json_real("server_user_us_per_delivery", server, per(s->server_user_us, r->deliveries));
    json_real("server_system_us_per_delivery", server, per(s->server_system_us, r->deliveries));
    json_real("server_busy", server, s->seconds > 0 ? (double)server_us(s) / 1e6 / s->seconds : 0);
    json_real("redis_us_per_delivery", redis, per(s->redis_us, r->deliveries));
    json_real("redis_us_per_publish", redis, per(s->redis_us, r->publishes));
    json_real("redis_reads_per_publish", ran(r) && s->redis_reads >= 0, per(s->redis_reads, r->publishes));
    json_real("redis_commands_per_publish", ran(r) && s->redis_commands >= 0, per(s->redis_commands, r->publishes));
    json_real("generator_us_per_delivery", ran(r), per(s->self_us, r->deliveries));
    json_real("generator_busy", ran(r), s->seconds > 0 ? (double)s->self_us / 1e6 / s->seconds : 0);
    json_real("rss_bytes_grown", server, (double)(s->rss_after - s->rss_before));
    json_histogram("latency_us", &r->latency);
}

static void json_trouble(const struct report *r)
{
    json_count("gaps", r->gaps);
    json_count("duplicates", r->duplicates);
    json_count("lost", r->lost);
    json_count("misplaced", r->misplaced);
    json_count("overtaken", r->overtaken);
    json_count("disconnected", r->disconnected);
    json_count("errors", r->errors);
    json_count("unmarked", r->unmarked);
    json_count("held_back", r->held_back);
    if (r->opt->slow) {
        json_count("slow_newest", r->slow_newest);
        json_count("slow_closed", r->slow_closed);
        json_count("slow_messages_max", r->slow_messages_max);
        json_count("slow_bytes_max", r->slow_bytes_max);
    }
    json_text("why", r->why);
}

static void print_json(const struct report *r)
{
    const struct options *o = r->opt;
    putchar('{');
    json_text("label", o->label);
    json_text("kind", options_kind_name(o->kind));
    json_count("clients", o->clients);
    json_count("slow", o->slow);
    json_count("names", options_name_count(o));
    json_count("windows", o->windows);
    json_count("window", o->window);
    json_real("rate", o->rate > 0, o->rate);
    json_count("size", o->size);
    json_connect(r);
    json_run(r);
    json_trouble(r);
    printf("\"exit_code\":%d}\n", report_exit_code(r));
}

void report_print(const struct report *r)
{
    if (!r->opt->json_only)
        print_line(r);
    print_json(r);
    fflush(stdout);
}

int report_exit_code(const struct report *r)
{
    if (r->failed + r->disconnected + r->errors + r->misplaced > 0 || r->connected == 0)
        return 1;
    bool holes = r->gaps + r->lost > 0 && !r->opt->allow_gaps;
    if (holes || r->duplicates > 0 || (r->opt->slow > 0 && r->slow_newest + r->slow_closed < r->opt->slow))
        return 2;
    return 0;
}
