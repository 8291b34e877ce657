/* Resolve, connect, read and write, and begin again when it is lost. */
#include <assert.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <time.h>

#include "protocol/base/alloc.h"
#include "redis/advice.h"
#include "redis/link_parts.h"

/* --- small things --- */

int64_t link_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t link_now_ms(void)
{
    return link_now_us() / 1000;
}

void link_arm(struct link *l, int64_t delay_ms)
{
    struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = (delay_ms % 1000) * 1000};
    evtimer_add(l->timer, &delay);
}

void link_say(struct link *l, int level, const char *text)
{
    if (l->events.on_log)
        l->events.on_log(l->arg, level, text);
}

void link_tell(struct link *l, size_t about, const char *what, int level, const char *text)
{
    struct told *t = &l->told[about];
    int64_t now = link_now_ms();
    if (strncmp(what, t->text, sizeof t->text - 1) == 0 && now - t->ms < SAME_LOG_MS)
        return;
    snprintf(t->text, sizeof t->text, "%s", what);
    t->ms = now;
    link_say(l, level, text);
}

void link_forget_told(struct link *l)
{
    for (size_t i = 0; i < sizeof l->told / sizeof l->told[0]; i++)
        l->told[i].text[0] = '\0';
}

bool link_has_prefix(struct slice text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && memcmp(text.ptr, prefix, len) == 0;
}

void link_enter(struct link *l)
{
    l->depth++;
}

static void destroy(struct link *l);

void link_leave(struct link *l)
{
    assert(l->depth > 0);
    if (--l->depth == 0 && l->state == LINK_CLOSED)
        destroy(l);
}

/* --- losing a connection --- */

static void link_drop_event(struct event **e)
{
    if (*e)
        event_free(*e);
    *e = NULL;
}

void link_disconnect(struct link *l)
{
    link_drop_event(&l->readable);
    link_drop_event(&l->writable);
    event_del(l->timer);
    event_del(l->flush);
    event_del(l->again);
    wire_close(&l->wire);
    l->connection++;
    buf_reset(&l->outbox);
    buf_trim(&l->outbox, OUTBOX_KEEP);
    l->written = 0;
    l->pinged_us = l->echo = l->echoed = 0;
    l->loading_library = l->library_exists = false;
    l->doomed = NULL;
}

void link_fail_pending(struct link *l)
{
    while (l->queue.len) {
        struct awaited a = queue_take(&l->queue);
        if (a.cb)
            a.cb(a.arg, NULL);
    }
    l->commands_pending = 0;
}

static int64_t doubled(int64_t delay_ms, unsigned times, int64_t max_ms)
{
    for (unsigned i = 0; i < times && delay_ms < max_ms; i++)
        delay_ms *= 2;
    return delay_ms < max_ms ? delay_ms : max_ms;
}

/* Half to all of a delay that doubles with each failure: gateways that lost the same Redis do not come back in step. A Redis that
 * takes us and drops us again, perhaps because of what we ask, gets rest. */
static int64_t backoff(struct link *l, bool young)
{
    unsigned char random;
    int64_t delay_ms = young && l->young > YOUNG_FREE
                           ? doubled(l->config.backoff_max_ms, l->young - YOUNG_FREE, l->config.young_max_ms)
                           : doubled(BACKOFF_FIRST_MS, l->failures, l->config.backoff_max_ms);
    l->failures++;
    evutil_secure_rng_get_bytes(&random, sizeof random);
    return (delay_ms * (256 + random) + 511) / 512;
}

/* note_age looks at a link that is being lost. True: it was up, but not for long. */
static bool note_age(struct link *l, bool was_up)
{
    if (!was_up)
        return false;
    if (link_now_ms() - l->up_since_ms >= LINK_STEADY_MS) {
        l->failures = l->young = 0;
        return false;
    }
    l->young++;
    l->stats.young_losses++;
    return true;
}

/* It comes and goes: that is told once, and when it ends. */
bool link_is_flapping(const struct link *l)
{
    return l->young > 1;
}

static void say_lost(struct link *l, const char *why, int64_t delay_ms)
{
    char text[400], what[256];
    bool slow = l->young > YOUNG_FREE;
    if (slow)
        snprintf(
            text, sizeof text,
            "Redis is away: %s; it was lost %u times in a row soon after the link came up, next attempt in %lld ms",
            why, l->young, (long long)delay_ms);
    else
        snprintf(text, sizeof text, "Redis is away: %s", why);
    snprintf(what, sizeof what, "%d %s", slow, why);
    if (!link_is_flapping(l))
        l->told[TOLD_LOSS].text[0] = '\0';
    link_tell(l, TOLD_LOSS, what, LOG_WARN, text);
}

static void say_unreachable(struct link *l, const char *why)
{
    char text[300];
    size_t at = l->next_address ? l->next_address - 1 : 0;
    const char *what = l->state == LINK_GREETING ? "Redis cannot be used" : "cannot reach Redis";
    if (l->naddresses > 1)
        snprintf(text, sizeof text, "%s: %s (address %zu of %zu)", what, why, at + 1, l->naddresses);
    else
        snprintf(text, sizeof text, "%s: %s", what, why);
    link_tell(l, TOLD_ADDRESS + at, text, LOG_WARN, text);
}

/* rest schedules the next attempt. */
static void rest(struct link *l, const char *why)
{
    bool was_up = l->state == LINK_UP;
    int64_t delay_ms = backoff(l, note_age(l, was_up));
    l->state = LINK_WAITING;
    l->stats.pause_ms = delay_ms;
    link_arm(l, delay_ms);
    link_fail_pending(l);
    if (l->state == LINK_CLOSED || !was_up)
        return;
    l->stats.losses++;
    say_lost(l, why, delay_ms);
    if (l->events.on_down)
        l->events.on_down(l->arg, why);
}

static void on_connected(evutil_socket_t fd, short what, void *arg);

/* try_next begins to connect to the next address that can be tried. False: none is left. Each has the whole deadline: one that never
 * answers must not take it from those behind it. */
static bool try_next(struct link *l)
{
    l->state = LINK_CONNECTING;
    link_arm(l, l->config.ping_timeout_ms);
    link_drop_event(&l->writable);
    while (l->next_address < l->naddresses) {
        const struct address *a = &l->addresses[l->next_address++];
        wire_close(&l->wire);
        if (!wire_connect(&l->wire, (const struct sockaddr *)&a->at, a->len))
            continue;
        l->writable = event_new(l->base, l->wire.fd, EV_WRITE, on_connected, l);
        event_add(l->writable, NULL);
        return true;
    }
    return false;
}

void link_lose(struct link *l, const char *why)
{
    char copy[200];
    assert(l->depth > 0);
    snprintf(copy, sizeof copy, "%s", why);
    link_disconnect(l);
    if (l->state != LINK_UP) {
        say_unreachable(l, copy);
        link_fail_pending(l); /* our own greeting */
    }
    if (l->state == LINK_UP || !try_next(l))
        rest(l, copy);
}

void link_lose_protocol(struct link *l, const char *why)
{
    l->stats.protocol_errors++;
    link_lose(l, why);
}

/* --- writing --- */

static void watch_writable(struct link *l)
{
    bool wanted = l->wire.read_needs_room || (l->wire.write_blocked && l->outbox.len > 0);
    if (wanted)
        event_add(l->writable, NULL);
    else
        event_del(l->writable);
}

/* write_out writes as much as goes. Returns false when the link was lost. */
static bool write_out(struct link *l)
{
    while (l->written < l->outbox.len) {
        ssize_t sent = wire_write(&l->wire, l->outbox.ptr + l->written, l->outbox.len - l->written);
        if (sent < 0) {
            link_lose(l, l->wire.why);
            return false;
        }
        if (sent == 0)
            break;
        l->written += (size_t)sent;
        l->stats.bytes_out += (uint64_t)sent;
    }
    if (l->written == l->outbox.len) {
        buf_reset(&l->outbox);
        buf_trim(&l->outbox, OUTBOX_KEEP);
        l->written = 0;
    }
    watch_writable(l);
    return true;
}

void link_on_flush(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;
    (void)fd;
    (void)what;
    link_enter(l);
    if (l->doomed)
        link_lose(l, l->doomed);
    else if (l->wire.fd >= 0)
        write_out(l);
    link_leave(l);
}

/* What is written already is cut off when it is the larger part: each byte is moved at most once on average. */
static void compact_outbox(struct link *l)
{
    if (l->written < OUTBOX_KEEP || l->written < l->outbox.len / 2)
        return;
    l->outbox.len -= l->written;
    memmove(l->outbox.ptr, l->outbox.ptr + l->written, l->outbox.len);
    l->written = 0;
}

bool link_put(struct link *l, struct awaited a, size_t argc, const struct slice *argv)
{
    const struct slice ping[] = {SLICE_LIT("PING"), a.channel};
    compact_outbox(l);
    size_t need = link_encoded_len(argc, argv) + (a.echoed ? link_encoded_len(2, ping) : 0);
    if (need > OUTBOX_MAX - (l->outbox.len - l->written) || !buf_reserve(&l->outbox, need)) {
        l->outbox.failed = false;
        return false;
    }
    link_encode(&l->outbox, argc, argv);
    if (a.echoed)
        link_encode(&l->outbox, 2, ping);
    assert(!l->outbox.failed);
    queue_put(&l->queue, a);
    if (a.awaits == AWAITS_REPLY)
        l->commands_pending++;
    l->stats.commands++;
    event_active(l->flush, EV_TIMEOUT, 0);
    return true;
}

void link_ask(struct link *l, link_reply_fn *cb, size_t argc, const struct slice *argv)
{
    if (!link_put(l, (struct awaited){.cb = cb, .arg = l}, argc, argv))
        l->doomed = "its outbox is full"; /* only when the commands of others fill it: seen at the end of the turn */
}

/* --- reading --- */

/* A replica that was a master, or a Redis that began to load: nothing that is asked here will be answered well. */
static bool is_no_master(struct slice error)
{
    static const char *const words[] = {"READONLY ", "MASTERDOWN ", "LOADING ", "NOAUTH "};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (link_has_prefix(error, words[i]))
            return true;
    }
    return false;
}

/* take_first ends what awaits its answer the longest. Returns false when the link was lost over it. */
static bool take_first(struct link *l, const struct reply *answer)
{
    struct awaited taken = queue_take(&l->queue);
    unsigned connection = l->connection;
    if (taken.awaits == AWAITS_REPLY)
        l->commands_pending--;
    if (taken.cb)
        taken.cb(taken.arg, answer);
    return l->connection == connection; /* a greeting that fails loses the link from inside its callback */
}

static bool give_up(struct link *l, const char *why)
{
    link_lose_protocol(l, why);
    return false;
}

static bool is_first(const struct awaited *a, enum awaits awaits, const struct reply *push)
{
    return a && a->awaits == awaits && slice_eq(a->channel, reply_at(push, 1)->text);
}

/* Redis never subscribes of its own accord. It does unsubscribe: a channel whose slot it gave away. When that is the very channel
 * that is being left, the push cannot be told from the answer, and the answer is an error: the echo behind it ends it. */
static bool take_push(struct link *l, const struct reply *push)
{
    const struct awaited *a = queue_peek(&l->queue);
    struct slice kind = reply_at(push, 0)->text;
    l->stats.pushes++;
    if (slice_eq(kind, SLICE_LIT("ssubscribe")))
        return is_first(a, AWAITS_SUBSCRIBED, push) ? take_first(l, push)
                                                    : give_up(l, "a confirmation that nobody asked for");
    if (slice_eq(kind, SLICE_LIT("sunsubscribe")) && is_first(a, AWAITS_UNSUBSCRIBED, push))
        return a->echoed || take_first(l, push);
    unsigned connection = l->connection;
    if (l->state == LINK_UP && l->events.on_push)
        l->events.on_push(l->arg, push);
    return l->connection == connection;
}

/* One error belongs to the subscription in front; anything else is the answer to something else. */
static bool take_subscription_reply(struct link *l, struct awaited *a, const struct reply *reply)
{
    bool is_error = reply->type == REPLY_ERROR;
    if (is_error && !a->echoed)
        return take_first(l, reply);
    if (is_error && !a->refused)
        return a->refused = true;
    if (a->echoed && reply->type == REPLY_STRING && slice_eq(reply->text, a->channel))
        return take_first(l, reply);
    return give_up(l, "a subscription was not confirmed");
}

/* take_reply hands a reply to whom it belongs. Returns false when the link was lost over it. */
static bool take_reply(struct link *l, const struct reply *reply)
{
    struct awaited *a = queue_peek(&l->queue);
    bool is_error = reply->type == REPLY_ERROR;
    if (!a)
        return give_up(l, is_error ? reply->text.ptr : "a reply that nobody asked for");
    if (l->state == LINK_UP && is_error && is_no_master(reply->text)) {
        link_lose(l, reply->text.ptr);
        return false;
    }
    return a->awaits == AWAITS_REPLY ? take_first(l, reply) : take_subscription_reply(l, a, reply);
}

/* dispatch takes all replies that are complete. Returns false when the link was lost or closed meanwhile. */
static bool dispatch(struct link *l)
{
    for (;;) {
        const struct reply *reply;
        enum reply_next next = reply_reader_next(l->reader, &reply);
        if (next == REPLY_MORE)
            return true;
        if (next == REPLY_BROKEN) {
            link_lose_protocol(l, reply_reader_why(l->reader));
            return false;
        }
        bool alive = reply->type == REPLY_PUSH ? take_push(l, reply) : take_reply(l, reply);
        if (!alive)
            return false;
    }
}

static bool read_once(struct link *l, size_t *got)
{
    char chunk[READ_CHUNK];
    ssize_t n = wire_read(&l->wire, chunk, sizeof chunk);
    if (n < 0) {
        link_lose(l, l->wire.why);
        return false;
    }
    *got = (size_t)n;
    if (n == 0)
        return true;
    l->stats.bytes_in += (uint64_t)n;
    l->heard_us = link_now_us();
    reply_reader_feed(l->reader, slice_of(chunk, (size_t)n));
    return dispatch(l);
}

/* read_in reads what is there, at most one turn's worth. Returns false when the link was lost or closed meanwhile. */
static bool read_in(struct link *l)
{
    size_t total = 0, got = 0;
    do {
        if (!read_once(l, &got))
            return false;
        total += got;
        bool drained = got == 0 || (!l->wire.ssl && got < READ_CHUNK);
        if (drained)
            return true;
    } while (total < READ_TURN_MAX);
    /* Bytes that wait inside TLS do not make the socket readable. */
    evtimer_add(l->again, &(struct timeval){0});
    return true;
}

void link_on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;
    (void)fd;
    link_enter(l);
    bool alive = read_in(l);
    /* Commands given meanwhile leave at the end of the turn; TLS may have waited for what was just read. */
    if (alive && ((what & EV_WRITE) || l->wire.ssl))
        write_out(l);
    link_leave(l);
}

/* --- connecting --- */

static void connected(struct link *l)
{
    const char *host = l->config.host;
    if (l->config.tls && !wire_secure(&l->wire, host, l->config.tls_ca_file)) {
        link_lose(l, l->wire.why);
        return;
    }
    link_drop_event(&l->writable);
    l->readable = event_new(l->base, l->wire.fd, EV_READ | EV_PERSIST, link_on_ready, l);
    l->writable = event_new(l->base, l->wire.fd, EV_WRITE, link_on_ready, l);
    event_add(l->readable, NULL);
    reply_reader_free(l->reader);
    l->reader = reply_reader_new();
    l->greet(l);
}

static void connect_next(struct link *l);

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;
    (void)fd;
    (void)what;
    link_enter(l);
    if (wire_connected(&l->wire))
        connected(l);
    else
        connect_next(l);
    link_leave(l);
}

static void connect_next(struct link *l)
{
    if (!try_next(l))
        link_lose(l, l->wire.why);
}

static void take_addresses(struct link *l, const struct address *list, size_t count)
{
    memcpy(l->addresses, list, count * sizeof *list);
    l->naddresses = count;
    l->next_address = 0;
    connect_next(l);
}

void link_on_addresses(void *arg, const struct address *list, size_t count, const char *why)
{
    struct link *l = arg;
    if (l->state != LINK_CONNECTING || l->wire.fd >= 0)
        return; /* the attempt that asked gave up */
    link_enter(l);
    if (count > 0)
        take_addresses(l, list, count);
    else
        link_lose(l, why);
    link_leave(l);
}

static void use_unix_path(struct link *l)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct address a = {.len = sizeof at};
    if (strlen(l->config.unix_path) >= sizeof at.sun_path) {
        link_lose(l, "the path of the socket is too long");
        return;
    }
    memcpy(at.sun_path, l->config.unix_path, strlen(l->config.unix_path));
    memcpy(&a.at, &at, sizeof at);
    take_addresses(l, &a, 1);
}

void link_attempt(struct link *l)
{
    l->state = LINK_CONNECTING;
    l->naddresses = l->next_address = 0;
    link_arm(l, l->config.ping_timeout_ms);
    if (l->config.unix_path)
        use_unix_path(l);
    else if (!resolver_busy(l->resolver))
        resolver_ask(l->resolver, l->config.host, l->config.port);
}

static void destroy(struct link *l)
{
    assert(l->depth == 0);
    link_drop_event(&l->timer);
    link_drop_event(&l->flush);
    link_drop_event(&l->again);
    resolver_free(l->resolver);
    reply_reader_free(l->reader);
    buf_deinit(&l->outbox);
    free(l->queue.ring);
    link_config_deinit(&l->config);
    free(l);
}
