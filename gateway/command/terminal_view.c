/* JSON by the strict reader of protocol/; lines by snprintf. */
#include "gateway/command/terminal_view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/json.h"

enum { DEPTH = 8, KEYS_MAX = 16, COLUMNS_MAX = 32, RATE_S = 5, LINE_MAX = 512, TEXT_MAX = 65536, WIDE = 120 };

/* --- out of JSON ------------------------------------------------------------------------------------------ */

static int64_t number(const struct json_value *v)
{
    int64_t n;
    return v->type == JSON_NUMBER && json_integer(v->text, &n) ? n : 0;
}

/* Control characters, those of U+0080 to U+009F too, would speak to the terminal. */
static void put_plain(char *to, size_t size, struct slice text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len && n + 1 < size; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool high_control = c == 0xc2 && i + 1 < text.len && (unsigned char)text.ptr[i + 1] < 0xa0;
        to[n++] = c < ' ' || c == 0x7f || high_control ? '?' : (char)c;
        i += high_control;
    }
    while (n > 0 && n + 1 == size && ((unsigned char)to[n - 1] & 0x80)) /* a character that was cut */
        n--;
    to[n] = '\0';
}

static void take_text(char *to, size_t size, const struct json_value *v)
{
    struct buf scratch;
    struct slice text = SLICE_NONE;
    buf_init(&scratch, TEXT_MAX);
    if (v->type == JSON_STRING && json_string(v->text, TEXT_MAX, &scratch, &text))
        put_plain(to, size, text);
    else
        to[0] = '\0';
    buf_deinit(&scratch);
}

static bool members(struct slice json, const char *const *names, size_t n, struct json_value *values)
{
    struct slice keys[KEYS_MAX];
    enum json_kind top;
    for (size_t i = 0; i < n; i++)
        keys[i] = slice_str(names[i]);
    return json_members(json, DEPTH, keys, n, values, &top) == JSON_OK && top == JSON_OBJECT;
}

static struct slice without_space(struct slice s)
{
    while (s.len > 0 && strchr(" \t\r\n", s.ptr[0]))
        s = slice_of(s.ptr + 1, s.len - 1);
    return s;
}

/* The next element of an array, as it is written. */
static struct json_value next_element(struct slice *rest)
{
    struct slice before = *rest;
    struct json_value v = {.type = json_next(rest, NULL, 0, NULL)};
    if (v.type == JSON_ABSENT)
        return v;
    v.text = without_space(slice_of(before.ptr, (size_t)(rest->ptr - before.ptr)));
    v.text = without_space(slice_of(v.text.ptr + 1, v.text.len - 1)); /* the bracket or the comma */
    return v;
}

#define TAKE_TEXT(to, value) take_text((to), sizeof(to), (value))

/* --- figures ---------------------------------------------------------------------------------------------- */

/* The columns of the history that are shown. */
enum column {
    TIME,
    CONNECTIONS,
    SUBSCRIPTIONS,
    SENT,
    RECEIVED,
    SENT_BYTES,
    CHANGES,
    CONFLATED,
    QUEUED_BYTES,
    DIRTY,
    P50,
    P99,
    COLUMN_COUNT
};

static const char *const column_names[COLUMN_COUNT] = {
    "time_ms", "connections", "subscriptions", "sent",  "received",       "sent_bytes",
    "changes", "conflated",   "queued_bytes",  "dirty", "latency_p50_us", "latency_p99_us"};

/* Where each column stands in a row; -1: nowhere. */
static void find_columns(struct slice names, int place[COLUMN_COUNT])
{
    char name[32];
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        place[i] = -1;
    for (int at = 0; at < COLUMNS_MAX; at++) {
        struct json_value v = next_element(&names);
        if (v.type == JSON_ABSENT)
            return;
        TAKE_TEXT(name, &v);
        for (size_t i = 0; i < COLUMN_COUNT; i++)
            if (strcmp(name, column_names[i]) == 0)
                place[i] = at;
    }
}

/* The numbers of a row that are wanted; -1 for null. */
static void read_row(struct slice row, const int place[COLUMN_COUNT], int64_t values[COLUMN_COUNT])
{
    int64_t all[COLUMNS_MAX] = {0};
    for (int at = 0; at < COLUMNS_MAX; at++) {
        struct json_value v = next_element(&row);
        if (v.type == JSON_ABSENT)
            break;
        all[at] = v.type == JSON_NUMBER ? number(&v) : -1;
    }
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        values[i] = place[i] >= 0 ? all[place[i]] : 0;
}

static int64_t rate(const int64_t from[COLUMN_COUNT], const int64_t to[COLUMN_COUNT], enum column c)
{
    int64_t passed_ms = to[TIME] - from[TIME];
    return passed_ms > 0 && to[c] > from[c] ? (int64_t)((double)(to[c] - from[c]) * 1000 / (double)passed_ms + 0.5) : 0;
}

static void take_history(struct terminal_view *v, struct slice names, struct slice rows)
{
    int place[COLUMN_COUNT];
    int64_t ring[RATE_S + 1][COLUMN_COUNT] = {{0}};
    size_t n = 0;
    find_columns(names, place);
    for (struct json_value row; (row = next_element(&rows)).type == JSON_ARRAY; n++)
        read_row(row.text, place, ring[n % (RATE_S + 1)]);
    if (n == 0)
        return;
    const int64_t *last = ring[(n - 1) % (RATE_S + 1)], *first = ring[n > RATE_S ? n % (RATE_S + 1) : 0];
    v->connections = last[CONNECTIONS];
    v->subscriptions = last[SUBSCRIPTIONS];
    v->queued_bytes = last[QUEUED_BYTES];
    v->dirty = last[DIRTY];
    v->sent_per_s = rate(first, last, SENT);
    v->received_per_s = rate(first, last, RECEIVED);
    v->bytes_per_s = rate(first, last, SENT_BYTES);
    v->changes_per_s = rate(first, last, CHANGES);
    v->conflated_per_s = rate(first, last, CONFLATED);
    v->p50_us = last[P50];
    v->p99_us = last[P99];
}

bool terminal_take_stats(struct terminal_view *v, struct slice json)
{
    static const char *const names[] = {"id",      "version", "address",    "state",
                                        "workers", "now_ms",  "started_ms", "history"};
    static const char *const parts[] = {"columns", "rows"};
    struct json_value m[8], h[2];
    if (!members(json, names, 8, m) || m[7].type != JSON_OBJECT || !members(m[7].text, parts, 2, h) ||
        h[0].type != JSON_ARRAY || h[1].type != JSON_ARRAY)
        return false;
    TAKE_TEXT(v->id, &m[0]);
    TAKE_TEXT(v->version, &m[1]);
    TAKE_TEXT(v->address, &m[2]);
    TAKE_TEXT(v->state, &m[3]);
    v->workers = number(&m[4]);
    v->now_ms = number(&m[5]);
    v->started_ms = number(&m[6]);
    v->p50_us = v->p99_us = -1;
    take_history(v, h[0].text, h[1].text);
    return true;
}

/* --- links ------------------------------------------------------------------------------------------------ */

/* What is added up of /metrics, over the workers. */
enum sum { UP, CONNECTS, LOSSES, ROUND_TRIP_SUM, ROUND_TRIP_COUNT, SUMS };

static const char *const sum_names[SUMS] = {"syncgate_redis_up", "syncgate_redis_link_connects_total",
                                            "syncgate_redis_link_losses_total", "syncgate_redis_round_trip_seconds_sum",
                                            "syncgate_redis_round_trip_seconds_count"};

/* `name{labels} value`; -1 when it is none of those above. */
static int read_sample(struct slice line, double *value)
{
    char text[32];
    size_t name_len = 0;
    while (name_len < line.len && line.ptr[name_len] != '{' && line.ptr[name_len] != ' ')
        name_len++;
    const char *space = line.len ? memrchr(line.ptr, ' ', line.len) : NULL;
    for (int i = 0; space && i < SUMS; i++) {
        if (!slice_eq(slice_of(line.ptr, name_len), slice_str(sum_names[i])))
            continue;
        snprintf(text, sizeof(text), "%.*s", (int)(line.ptr + line.len - space - 1), space + 1);
        *value = strtod(text, NULL);
        return i;
    }
    return -1;
}

bool terminal_take_metrics(struct terminal_view *v, struct slice text)
{
    struct slice line;
    double sums[SUMS] = {0}, value = 0;
    int64_t links = 0;
    while (slice_cut(&text, '\n', &line)) {
        int i = read_sample(line, &value);
        if (i >= 0 && value >= 0 && value < 1e15)
            sums[i] += value;
        links += i == UP;
    }
    double count = sums[ROUND_TRIP_COUNT] - v->round_trips, sum_s = sums[ROUND_TRIP_SUM] - v->round_trip_sum_s;
    if (count > 0)
        v->round_trip_s = sum_s / count;
    v->round_trips = sums[ROUND_TRIP_COUNT];
    v->round_trip_sum_s = sums[ROUND_TRIP_SUM];
    v->links = links;
    v->links_up = (int64_t)sums[UP];
    v->connects = (int64_t)sums[CONNECTS];
    v->losses = (int64_t)sums[LOSSES];
    v->has_links = links > 0;
    return v->has_links;
}

/* --- connections ------------------------------------------------------------------------------------------ */

/* The sentences of `why`, as one. */
static void take_why(char why[TERMINAL_TEXT_MAX], const struct json_value *list)
{
    struct slice rest = list->text;
    char one[TERMINAL_TEXT_MAX];
    why[0] = '\0';
    for (struct json_value v; list->type == JSON_ARRAY && (v = next_element(&rest)).type == JSON_STRING;) {
        size_t len = strlen(why);
        TAKE_TEXT(one, &v);
        if (len > 0)
            put_plain(why + len, TERMINAL_TEXT_MAX - len, SLICE_LIT("; "));
        len = strlen(why);
        put_plain(why + len, TERMINAL_TEXT_MAX - len, slice_str(one));
    }
}

static bool take_connection(struct terminal_connection *c, struct slice json)
{
    static const char *const names[] = {"id",           "remote", "token", "subscriptions", "dirty", "queued_bytes",
                                        "unsent_bytes", "rtt_us", "sent",  "trouble",       "why"};
    struct json_value m[11];
    *c = (struct terminal_connection){.id = 0};
    if (!members(json, names, 11, m))
        return false;
    c->id = number(&m[0]);
    TAKE_TEXT(c->remote, &m[1]);
    TAKE_TEXT(c->token, &m[2]);
    c->subscriptions = number(&m[3]);
    c->dirty = number(&m[4]);
    c->queued_bytes = number(&m[5]);
    c->unsent_bytes = number(&m[6]);
    c->rtt_us = number(&m[7]);
    c->sent = number(&m[8]);
    c->trouble = number(&m[9]);
    take_why(c->why, &m[10]);
    return true;
}

/* What was known of that worker is old. */
static void forget_worker(struct terminal_view *v, int64_t worker)
{
    size_t kept = 0;
    for (size_t i = 0; i < v->list_len; i++) {
        if (v->list[i].worker != worker)
            v->list[kept++] = v->list[i];
    }
    v->list_len = kept;
}

/* Into its place; of a full list the least falls out. */
static void insert(struct terminal_view *v, const struct terminal_connection *c)
{
    size_t at = v->list_len;
    if (at == TERMINAL_CONNECTIONS_MAX && v->list[at - 1].trouble >= c->trouble)
        return;
    if (at == TERMINAL_CONNECTIONS_MAX)
        at--;
    else
        v->list_len++;
    for (; at > 0 && v->list[at - 1].trouble < c->trouble; at--)
        v->list[at] = v->list[at - 1];
    v->list[at] = *c;
}

bool terminal_take_connections(struct terminal_view *v, struct slice json)
{
    static const char *const names[] = {"worker", "connections"};
    struct json_value m[2];
    if (!members(json, names, 2, m) || m[1].type != JSON_ARRAY)
        return false;
    int64_t worker = number(&m[0]);
    if (worker >= 0 && worker < TERMINAL_WORKERS_MAX && !v->seen[worker]) {
        v->seen[worker] = true;
        v->seen_len++;
    }
    forget_worker(v, worker);
    struct slice rest = m[1].text;
    for (struct json_value e; (e = next_element(&rest)).type == JSON_OBJECT;) {
        struct terminal_connection c;
        if (!take_connection(&c, e.text))
            continue;
        c.worker = worker;
        insert(v, &c);
    }
    return true;
}

/* --- the fleet -------------------------------------------------------------------------------------------- */

static bool take_gateway(struct terminal_gateway *g, struct slice json)
{
    static const char *const names[] = {"self", "age_ms", "record"};
    static const char *const of_record[] = {"host",    "address",     "state",      "version",       "worker",
                                            "workers", "connections", "sent_per_s", "changes_per_s", "queued_bytes"};
    struct json_value m[3], r[10];
    *g = (struct terminal_gateway){.age_ms = 0};
    if (!members(json, names, 3, m) || m[2].type != JSON_OBJECT || !members(m[2].text, of_record, 10, r))
        return false;
    g->self = m[0].type == JSON_BOOL && slice_eq(m[0].text, SLICE_LIT("true"));
    g->age_ms = number(&m[1]);
    TAKE_TEXT(g->host, &r[0]);
    TAKE_TEXT(g->address, &r[1]);
    TAKE_TEXT(g->state, &r[2]);
    TAKE_TEXT(g->version, &r[3]);
    g->worker = number(&r[4]);
    g->workers = number(&r[5]);
    g->connections = number(&r[6]);
    g->sent_per_s = number(&r[7]);
    g->changes_per_s = number(&r[8]);
    g->queued_bytes = number(&r[9]);
    return true;
}

bool terminal_take_fleet(struct terminal_view *v, struct slice json)
{
    static const char *const names[] = {"gateways"};
    struct json_value m[1];
    if (!members(json, names, 1, m) || m[0].type != JSON_ARRAY)
        return false;
    struct slice rest = m[0].text;
    v->fleet_len = 0;
    v->fleet_total = 0;
    v->fleet_why[0] = '\0';
    for (struct json_value e; (e = next_element(&rest)).type == JSON_OBJECT; v->fleet_total++) {
        if (v->fleet_len < TERMINAL_FLEET_MAX && take_gateway(&v->fleet[v->fleet_len], e.text))
            v->fleet_len++;
    }
    return true;
}

/* --- lines ------------------------------------------------------------------------------------------------ */

struct page {
    struct buf *out;
    size_t columns, rows; /* rows: still to be written */
    bool endless, ansi;
};

/* Never in the middle of a character. */
static size_t cut(const char *text, size_t max)
{
    size_t len = strlen(text);
    if (len <= max)
        return len;
    while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
        max--;
    return max;
}

__attribute__((format(printf, 3, 4))) static void line(struct page *p, bool heading, const char *format, ...)
{
    char text[LINE_MAX];
    va_list args;
    if (!p->endless && p->rows == 0)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    size_t len = cut(text, p->columns);
    while (len > 0 && text[len - 1] == ' ')
        len--;
    if (heading && p->ansi)
        buf_put_lit(p->out, "\x1b[1m");
    buf_put(p->out, text, len);
    if (heading && p->ansi)
        buf_put_lit(p->out, "\x1b[0m");
    if (p->ansi)
        buf_put_lit(p->out, "\x1b[K\r");
    buf_put_char(p->out, '\n');
    p->rows -= !p->endless;
}

/* Narrow ones have 80 columns: reasons get a line of their own. */
static bool is_wide(const struct page *p)
{
    return p->columns >= WIDE;
}

static const char *bytes(char out[16], int64_t n)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    double size = (double)n;
    size_t unit = 0;
    for (; size >= 10000 && unit < 3; unit++)
        size /= 1024;
    snprintf(out, 16, "%.0f %s", size, units[unit]);
    return out;
}

static const char *span(char out[24], int64_t ms)
{
    int64_t s = ms / 1000;
    if (s < 120)
        snprintf(out, 24, "%" PRId64 " s", s);
    else if (s < 7200)
        snprintf(out, 24, "%" PRId64 " min", s / 60);
    else if (s < 172800)
        snprintf(out, 24, "%" PRId64 " h", s / 3600);
    else
        snprintf(out, 24, "%" PRId64 " days", s / 86400);
    return out;
}

/* "3.2 ms"; "-" when there was nothing to be measured. */
static const char *latency(char out[24], int64_t us)
{
    if (us < 0)
        snprintf(out, 24, "-");
    else if (us < 10000)
        snprintf(out, 24, "%" PRId64 ".%" PRId64 " ms", us / 1000, us % 1000 / 100);
    else
        snprintf(out, 24, "%" PRId64 " ms", us / 1000);
    return out;
}

static const char *fine(char out[24], double s)
{
    snprintf(out, 24, "%.2f ms", s < 1e4 ? s * 1000 : 0);
    return out;
}

static void write_figures(const struct terminal_view *v, struct page *p)
{
    char a[24], b[24], c[16], d[16];
    line(p, true, "syncgate %s  %s  %s  up %s", v->version, v->address, v->state, span(a, v->now_ms - v->started_ms));
    line(p, false, "connections %-9" PRId64 " subscriptions %-9" PRId64 " waiting %-10s behind %" PRId64,
         v->connections, v->subscriptions, bytes(c, v->queued_bytes), v->dirty);
    line(p, false, "sent/s %-14" PRId64 " received/s %-12" PRId64 " out/s %-12s changes/s %" PRId64, v->sent_per_s,
         v->received_per_s, bytes(d, v->bytes_per_s), v->changes_per_s);
    line(p, false, "spared/s %-12" PRId64 " change to write: half within %s, 99 of 100 within %s", v->conflated_per_s,
         latency(a, v->p50_us), latency(b, v->p99_us));
}

static void write_links(const struct terminal_view *v, struct page *p)
{
    char trip[24];
    if (v->has_links)
        line(p, v->links_up < v->links,
             "links to Redis: %" PRId64 " of %" PRId64 " up, round trip %s, came up %" PRId64 " times, lost %" PRId64,
             v->links_up, v->links, fine(trip, v->round_trip_s), v->connects, v->losses);
}

static void write_fleet(const struct terminal_view *v, struct page *p, size_t most)
{
    char queued[16], name[160];
    line(p, false, "%s", "");
    if (v->fleet_why[0]) {
        line(p, true, "FLEET  %s", v->fleet_why);
        return;
    }
    int width = is_wide(p) ? 40 : 24;
    line(p, true, "  %-*s %-12s %7s %8s %7s %9s %5s", width, "GATEWAY", "STATE", "CONNS", "SENT/S", "CHG/S", "WAITING",
         "AGE");
    for (size_t i = 0; i < v->fleet_len && i < most; i++) {
        const struct terminal_gateway *g = &v->fleet[i];
        if (g->workers > 1)
            snprintf(name, sizeof(name), "%s %s #%" PRId64, g->host, g->address, g->worker);
        else
            snprintf(name, sizeof(name), "%s %s", g->host, g->address);
        line(p, false, "%s %-*.*s %-12.12s %7" PRId64 " %8" PRId64 " %7" PRId64 " %9s %3" PRId64 " s",
             g->self ? "*" : " ", width, width, name, g->state, g->connections, g->sent_per_s, g->changes_per_s,
             bytes(queued, g->queued_bytes), g->age_ms / 1000);
    }
    size_t shown = v->fleet_len < most ? v->fleet_len : most;
    if (v->fleet_total > (int64_t)shown)
        line(p, false, "  and %" PRId64 " more", v->fleet_total - (int64_t)shown);
}

static void write_connections(const struct terminal_view *v, struct page *p)
{
    char queued[16], rtt[24], id[48];
    line(p, false, "%s", "");
    if (v->workers > 1)
        line(p, true, "SLOWEST CLIENTS  of %zu of %" PRId64 " workers", v->seen_len, v->workers);
    else
        line(p, true, "SLOWEST CLIENTS");
    int width = is_wide(p) ? 40 : 16;
    line(p, true, "  %-8s %-*s %-12s %5s %6s %9s %8s  %s", "ID", width, "REMOTE", "TOKEN", "NAMES", "BEHIND", "WAITING",
         "RTT", is_wide(p) ? "WHY" : "");
    for (size_t i = 0; i < v->list_len; i++) {
        const struct terminal_connection *c = &v->list[i];
        if (v->workers > 1)
            snprintf(id, sizeof(id), "%" PRId64 "#%" PRId64, c->id, c->worker);
        else
            snprintf(id, sizeof(id), "%" PRId64, c->id);
        line(p, false, "  %-8s %-*.*s %-12.12s %5" PRId64 " %6" PRId64 " %9s %8s  %s", id, width, width, c->remote,
             c->token, c->subscriptions, c->dirty, bytes(queued, c->queued_bytes + c->unsent_bytes),
             c->rtt_us > 0 ? latency(rtt, c->rtt_us) : "-", is_wide(p) ? c->why : "");
        if (!is_wide(p) && c->why[0])
            line(p, false, "           %s", c->why);
    }
    if (v->list_len == 0)
        line(p, false, "  nobody is connected");
}

void terminal_write(const struct terminal_view *v, size_t columns, size_t rows, bool ansi, struct buf *out)
{
    struct page p = {.out = out, .columns = columns, .rows = rows, .endless = rows == 0, .ansi = ansi};
    write_figures(v, &p);
    write_links(v, &p);
    write_fleet(v, &p, rows == 0 ? TERMINAL_FLEET_MAX : rows / 3);
    write_connections(v, &p);
}
