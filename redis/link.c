/* The state machine of the connection: resolve, connect, greet, stay up by pings, and begin again. Commands are encoded into one
 * outbox that is written once per turn; replies go to the callbacks in the order in which the commands were sent. */
#include "redis/link.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <time.h>

#include <event2/event.h>
#include <event2/util.h>

#include "protocol/base/alloc.h"
#include "protocol/base/buf.h"
#include "redis/advice.h"
#include "redis/functions.h"
#include "redis/resolver.h"
#include "redis/wire.h"

enum {
    READ_CHUNK = 16 * 1024,        /* what the reader likes to be fed */
    READ_TURN_MAX = 1024 * 1024,   /* read per turn of the loop; then others get their turn */
    OUTBOX_MAX = 64 * 1024 * 1024, /* commands beyond are refused */
    OUTBOX_KEEP = 64 * 1024,       /* memory that an idle outbox keeps */
    PENDING_MAX = 100 * 1000,
    PING_INTERVAL_MS = 1000,
    PING_TIMEOUT_MS = 5000,
    BACKOFF_FIRST_MS = 20,
    BACKOFF_MAX_MS = 500,
    YOUNG_MAX_MS = 30 * 1000,
    YOUNG_FREE = 3,         /* a Redis that restarts or fails over may do so some times in a row */
    SAME_LOG_MS = 30 * 1000 /* what repeats is told this often */
};

/* What is told of, each for itself: what goes on is no news because something else was told in between. */
enum { TOLD_LOSS, TOLD_LOADING, TOLD_LIBRARY, TOLD_ADDRESS /* of the first one */ };

struct told {
    char text[256]; /* the last one; empty: none */
    int64_t ms;
};

enum { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

enum awaits { AWAITS_REPLY, AWAITS_SUBSCRIBED, AWAITS_UNSUBSCRIBED };

/* One awaited answer. What a subscription awaits is the push that names its channel, or an error in its stead: nothing else takes its
 * place in the queue, or the answers behind it would go to the wrong commands. */
struct awaited {
    link_reply_fn *cb;
    void *arg;
    struct slice channel; /* borrowed from whoever asked; none for AWAITS_REPLY */
    enum awaits awaits;
    bool echoed;  /* a PING that repeats the channel's name is behind it and ends it, see is_cluster */
    bool refused; /* echoed: its error came */
};

struct queue {
    struct awaited *ring;
    size_t cap, head, len; /* cap is a power of two */
};

struct link {
    struct link_config config;
    struct link_events events;
    void *arg;
    struct event_base *base;

    enum link_state state;
    unsigned depth;     /* callbacks of ours on the stack; link_free waits for 0 */
    const char *doomed; /* the link is lost at the end of the turn, for this reason */

    struct resolver *resolver;
    struct address addresses[RESOLVER_ADDRESSES_MAX];
    size_t naddresses, next_address;

    struct wire wire;
    struct event *readable, *writable; /* of wire.fd; NULL while there is none */
    struct event *timer;         /* waiting: next attempt; connecting, greeting: deadline; up: next look at the pings */
    struct event *flush;         /* activated by the first command of a turn */
    struct event *again;         /* there may be more to read than one turn was allowed to */
    struct reply_reader *reader; /* of this connection */
    struct buf outbox;
    size_t written; /* bytes at the front of outbox that are gone */
    struct queue queue;
    size_t commands_pending; /* entries of the queue that await a reply */

    int64_t up_since_ms;
    int64_t heard_us;  /* the last bytes from Redis */
    int64_t pinged_us; /* 0: no ping under way */
    int64_t echo,
        echoed; /* numbers that pings carry, the last that was asked and answered: answers belong to what was asked */
    unsigned failures;    /* in a row */
    unsigned young;       /* losses in a row, each soon after it came up */
    bool loading_library; /* while the link is up */
    unsigned connection;  /* how many there were: whether it is still the same one */
    bool is_cluster;      /* of this connection: Redis takes subscriptions away when it gives their slot away */
    bool library_exists;  /* although sg_version is missing: the next load replaces it */
    struct told told[TOLD_ADDRESS + RESOLVER_ADDRESSES_MAX];
    struct link_stats stats;
};

static void greet(struct link *l);

/* --- small things --- */

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t now_ms(void)
{
    return now_us() / 1000;
}

static void arm(struct link *l, int64_t delay_ms)
{
    struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = (delay_ms % 1000) * 1000};
    evtimer_add(l->timer, &delay);
}

static void say(struct link *l, int level, const char *text)
{
    if (l->events.on_log)
        l->events.on_log(l->arg, level, text);
}

/* A Redis that stays away would fill the log with the same line once per second. `what`: the part of the text that makes it news. */
static void tell(struct link *l, size_t about, const char *what, int level, const char *text)
{
    struct told *t = &l->told[about];
    int64_t now = now_ms();
    if (strncmp(what, t->text, sizeof t->text - 1) == 0 && now - t->ms < SAME_LOG_MS)
        return;
    snprintf(t->text, sizeof t->text, "%s", what);
    t->ms = now;
    say(l, level, text);
}

static void forget_told(struct link *l)
{
    for (size_t i = 0; i < sizeof l->told / sizeof l->told[0]; i++)
        l->told[i].text[0] = '\0';
}

static bool has_prefix(struct slice text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && memcmp(text.ptr, prefix, len) == 0;
}

/* enter and leave stand around everything that the loop calls: when a callback calls link_free, the link is freed at the end
 * of the outermost. */
static void enter(struct link *l)
{
    l->depth++;
}

static void destroy(struct link *l);

static void leave(struct link *l)
{
    assert(l->depth > 0);
    if (--l->depth == 0 && l->state == LINK_CLOSED)
        destroy(l);
}

/* --- the queue of awaited answers --- */

static void queue_put(struct queue *q, struct awaited a)
{
    if (q->len == q->cap) {
        size_t cap = q->cap ? q->cap * 2 : 64;
        struct awaited *ring = sg_malloc(cap * sizeof *ring);
        for (size_t i = 0; i < q->len; i++)
            ring[i] = q->ring[(q->head + i) & (q->cap - 1)];
        free(q->ring);
        *q = (struct queue){.ring = ring, .cap = cap, .len = q->len};
    }
    q->ring[(q->head + q->len++) & (q->cap - 1)] = a;
}

static struct awaited *queue_peek(struct queue *q)
{
    return q->len ? &q->ring[q->head] : NULL;
}

static struct awaited queue_take(struct queue *q)
{
    assert(q->len > 0);
    struct awaited a = q->ring[q->head];
    q->head = (q->head + 1) & (q->cap - 1);
    q->len--;
    return a;
}

/* --- losing a connection --- */

static void drop_event(struct event **e)
{
    if (*e)
        event_free(*e);
    *e = NULL;
}

/* disconnect forgets the connection, but not who awaits answers. The reader stays: its reply may be in use further up. */
static void disconnect(struct link *l)
{
    drop_event(&l->readable);
    drop_event(&l->writable);
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

static void fail_pending(struct link *l)
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
    if (now_ms() - l->up_since_ms >= LINK_STEADY_MS) {
        l->failures = l->young = 0;
        return false;
    }
    l->young++;
    l->stats.young_losses++;
    return true;
}

/* It comes and goes: that is told once, and when it ends. */
static bool is_flapping(const struct link *l)
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
    if (!is_flapping(l))
        l->told[TOLD_LOSS].text[0] = '\0';
    tell(l, TOLD_LOSS, what, LOG_WARN, text);
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
    tell(l, TOLD_ADDRESS + at, text, LOG_WARN, text);
}

/* rest schedules the next attempt. */
static void rest(struct link *l, const char *why)
{
    bool was_up = l->state == LINK_UP;
    int64_t delay_ms = backoff(l, note_age(l, was_up));
    l->state = LINK_WAITING;
    l->stats.pause_ms = delay_ms;
    arm(l, delay_ms);
    fail_pending(l);
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
    arm(l, l->config.ping_timeout_ms);
    drop_event(&l->writable);
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

/* lose ends the connection or the attempt; the next address is tried, or all again after a while. Callers stand between enter and
 * leave and should return: the link may be closed. `why` may lie in the reader or the wire. */
static void lose(struct link *l, const char *why)
{
    char copy[200];
    assert(l->depth > 0);
    snprintf(copy, sizeof copy, "%s", why);
    disconnect(l);
    if (l->state != LINK_UP) {
        say_unreachable(l, copy);
        fail_pending(l); /* our own greeting */
    }
    if (l->state == LINK_UP || !try_next(l))
        rest(l, copy);
}

static void lose_protocol(struct link *l, const char *why)
{
    l->stats.protocol_errors++;
    lose(l, why);
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
            lose(l, l->wire.why);
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

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;
    (void)fd;
    (void)what;
    enter(l);
    if (l->doomed)
        lose(l, l->doomed);
    else if (l->wire.fd >= 0)
        write_out(l);
    leave(l);
}

static size_t decimal_len(size_t n)
{
    size_t len = 1;
    while (n >= 10) {
        n /= 10;
        len++;
    }
    return len;
}

static size_t encoded_len(size_t argc, const struct slice *argv)
{
    size_t len = 3 + decimal_len(argc);
    for (size_t i = 0; i < argc && len <= OUTBOX_MAX; i++)
        len += argv[i].len <= OUTBOX_MAX ? 5 + decimal_len(argv[i].len) + argv[i].len : OUTBOX_MAX;
    return len;
}

static void encode(struct buf *out, size_t argc, const struct slice *argv)
{
    buf_put_char(out, '*');
    buf_put_i64(out, (int64_t)argc);
    buf_put_lit(out, "\r\n");
    for (size_t i = 0; i < argc; i++) {
        buf_put_char(out, '$');
        buf_put_i64(out, (int64_t)argv[i].len);
        buf_put_lit(out, "\r\n");
        buf_put_slice(out, argv[i]);
        buf_put_lit(out, "\r\n");
    }
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

/* put queues one command, whole or not at all. */
static bool put(struct link *l, struct awaited a, size_t argc, const struct slice *argv)
{
    const struct slice ping[] = {SLICE_LIT("PING"), a.channel};
    compact_outbox(l);
    size_t need = encoded_len(argc, argv) + (a.echoed ? encoded_len(2, ping) : 0);
    if (need > OUTBOX_MAX - (l->outbox.len - l->written) || !buf_reserve(&l->outbox, need)) {
        l->outbox.failed = false;
        return false;
    }
    encode(&l->outbox, argc, argv);
    if (a.echoed)
        encode(&l->outbox, 2, ping);
    assert(!l->outbox.failed);
    queue_put(&l->queue, a);
    if (a.awaits == AWAITS_REPLY)
        l->commands_pending++;
    l->stats.commands++;
    event_active(l->flush, EV_TIMEOUT, 0);
    return true;
}

static void ask(struct link *l, link_reply_fn *cb, size_t argc, const struct slice *argv)
{
    if (!put(l, (struct awaited){.cb = cb, .arg = l}, argc, argv))
        l->doomed = "its outbox is full"; /* only when the commands of others fill it: seen at the end of the turn */
}

/* --- reading --- */

/* A replica that was a master, or a Redis that began to load: nothing that is asked here will be answered well. */
static bool is_no_master(struct slice error)
{
    static const char *const words[] = {"READONLY ", "MASTERDOWN ", "LOADING ", "NOAUTH "};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (has_prefix(error, words[i]))
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
    lose_protocol(l, why);
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
        lose(l, reply->text.ptr);
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
            lose_protocol(l, reply_reader_why(l->reader));
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
        lose(l, l->wire.why);
        return false;
    }
    *got = (size_t)n;
    if (n == 0)
        return true;
    l->stats.bytes_in += (uint64_t)n;
    l->heard_us = now_us();
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

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;
    (void)fd;
    enter(l);
    bool alive = read_in(l);
    /* Commands given meanwhile leave at the end of the turn; TLS may have waited for what was just read. */
    if (alive && ((what & EV_WRITE) || l->wire.ssl))
        write_out(l);
    leave(l);
}

/* --- connecting --- */

static void connected(struct link *l)
{
    const char *host = l->config.host;
    if (l->config.tls && !wire_secure(&l->wire, host, l->config.tls_ca_file)) {
        lose(l, l->wire.why);
        return;
    }
    drop_event(&l->writable);
    l->readable = event_new(l->base, l->wire.fd, EV_READ | EV_PERSIST, on_ready, l);
    l->writable = event_new(l->base, l->wire.fd, EV_WRITE, on_ready, l);
    event_add(l->readable, NULL);
    reply_reader_free(l->reader);
    l->reader = reply_reader_new();
    greet(l);
}

static void connect_next(struct link *l);

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;
    (void)fd;
    (void)what;
    enter(l);
    if (wire_connected(&l->wire))
        connected(l);
    else
        connect_next(l);
    leave(l);
}

static void connect_next(struct link *l)
{
    if (!try_next(l))
        lose(l, l->wire.why);
}

static void take_addresses(struct link *l, const struct address *list, size_t count)
{
    memcpy(l->addresses, list, count * sizeof *list);
    l->naddresses = count;
    l->next_address = 0;
    connect_next(l);
}

static void on_addresses(void *arg, const struct address *list, size_t count, const char *why)
{
    struct link *l = arg;
    if (l->state != LINK_CONNECTING || l->wire.fd >= 0)
        return; /* the attempt that asked gave up */
    enter(l);
    if (count > 0)
        take_addresses(l, list, count);
    else
        lose(l, why);
    leave(l);
}

static void use_unix_path(struct link *l)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct address a = {.len = sizeof at};
    if (strlen(l->config.unix_path) >= sizeof at.sun_path) {
        lose(l, "the path of the socket is too long");
        return;
    }
    memcpy(at.sun_path, l->config.unix_path, strlen(l->config.unix_path));
    memcpy(&a.at, &at, sizeof at);
    take_addresses(l, &a, 1);
}

static void attempt(struct link *l)
{
    l->state = LINK_CONNECTING;
    l->naddresses = l->next_address = 0;
    arm(l, l->config.ping_timeout_ms);
    if (l->config.unix_path)
        use_unix_path(l);
    else if (!resolver_busy(l->resolver))
        resolver_ask(l->resolver, l->config.host, l->config.port);
}

/* --- greeting --- */

static void became_up(struct link *l)
{
    l->state = LINK_UP;
    l->up_since_ms = now_ms();
    l->stats.connects++;
    arm(l, l->config.ping_interval_ms);
    if (!is_flapping(l)) {
        forget_told(l);
        say(l, LOG_INFO, "connected to Redis");
    }
    if (l->events.on_up)
        l->events.on_up(l->arg);
}

static bool is_missing(const struct reply *r)
{
    return r->type == REPLY_ERROR && has_prefix(r->text, "ERR Function not found");
}

static bool needs_library(const struct reply *r)
{
    int64_t version;
    return is_missing(r) || (reply_i64(r, &version) && version < SG_FUNCTIONS_VERSION);
}

static void ask_version(struct link *l, link_reply_fn *cb)
{
    static const struct slice argv[] = {{"FCALL_RO", 8}, {"sg_version", 10}, {"0", 1}};
    ask(l, cb, 3, argv);
}

/* REPLACE is for an older library, or one that is none of ours: of several gateways that find nothing, each loads, and the
 * newest must win. */
static void load_library(struct link *l, const struct reply *version, link_reply_fn *cb)
{
    struct slice code = slice_of(sg_functions_lua, sg_functions_lua_len);
    struct slice argv[4] = {SLICE_LIT("FUNCTION"), SLICE_LIT("LOAD"), SLICE_LIT("REPLACE"), code};
    bool replace = !is_missing(version) || l->library_exists;
    if (!replace)
        argv[2] = code;
    ask(l, cb, replace ? 4 : 3, argv);
}

/* was_loaded: also when another gateway was quicker; the next answer shows with which version. */
static bool was_loaded(struct link *l, const struct reply *r)
{
    l->library_exists = r->type == REPLY_ERROR && has_prefix(r->text, "ERR Library ");
    return r->type != REPLY_ERROR || l->library_exists;
}

static void lose_refused(struct link *l, struct slice error)
{
    char why[ADVICE_MAX];
    advice_error(error, why);
    lose(l, why);
}

static void on_version(void *arg, const struct reply *r);

static void on_loaded(void *arg, const struct reply *r)
{
    struct link *l = arg;
    if (!r)
        return;
    if (was_loaded(l, r))
        ask_version(l, on_version);
    else
        lose_refused(l, r->text);
}

static void on_version(void *arg, const struct reply *r)
{
    struct link *l = arg;
    if (!r)
        return;
    if (needs_library(r)) {
        static const char text[] = "loading the function library into Redis";
        tell(l, TOLD_LOADING, text, LOG_INFO, text);
        load_library(l, r, on_loaded);
    } else if (r->type == REPLY_ERROR) {
        lose_refused(l, r->text);
    } else {
        became_up(l);
    }
}

static void on_selected(void *arg, const struct reply *r)
{
    if (r && r->type == REPLY_ERROR)
        lose_refused(arg, r->text);
}

/* The text of Redis repeats our arguments, the password among them. */
static void on_hello(void *arg, const struct reply *r)
{
    struct link *l = arg;
    char why[ADVICE_MAX];
    bool good = false;
    if (!r)
        return;
    if (r->type == REPLY_ERROR)
        advice_error(r->text, why);
    else
        good = advice_hello(r, why);
    if (good)
        l->is_cluster = slice_eq(advice_field(r, "mode"), SLICE_LIT("cluster"));
    else
        lose(l, why);
}

/* The greeting goes out in one piece; the first answer that is not good ends the attempt. */
static void greet(struct link *l)
{
    const struct link_config *c = &l->config;
    struct slice hello[] = {SLICE_LIT("HELLO"),
                            SLICE_LIT("3"),
                            SLICE_LIT("SETNAME"),
                            SLICE_LIT("syncgate"),
                            SLICE_LIT("AUTH"),
                            slice_str(c->user ? c->user : "default"),
                            slice_str(c->password ? c->password : "")};
    l->state = LINK_GREETING;
    arm(l, c->ping_timeout_ms);
    ask(l, on_hello, c->password ? 7 : 4, hello);
    if (c->db) {
        char db[16];
        snprintf(db, sizeof db, "%d", c->db);
        ask(l, on_selected, 2, (struct slice[]){SLICE_LIT("SELECT"), slice_str(db)});
    }
    ask_version(l, on_version);
}

/* --- pings --- */

static void on_reloaded(void *arg, const struct reply *r)
{
    struct link *l = arg;
    l->loading_library = false;
    if (r && !was_loaded(l, r))
        tell(l, TOLD_LIBRARY, r->text.ptr, LOG_ERROR, r->text.ptr);
}

static void reload_library(struct link *l, const struct reply *version)
{
    static const char text[] = "the function library is gone from Redis or older; loading it";
    tell(l, TOLD_LOADING, text, LOG_WARN, text);
    l->loading_library = true;
    load_library(l, version, on_reloaded);
}

static void library_is_there(struct link *l)
{
    if (!l->told[TOLD_LOADING].text[0])
        return;
    l->told[TOLD_LOADING].text[0] = l->told[TOLD_LIBRARY].text[0] = '\0';
    say(l, LOG_INFO, "the function library is there again");
}

/* What was lost again and again soon after it came up has stayed for a while. */
static void look_at_age(struct link *l)
{
    char text[100];
    if (!l->young || now_ms() - l->up_since_ms < LINK_STEADY_MS)
        return;
    snprintf(text, sizeof text, "connected to Redis; the link is steady again after %u losses", l->young);
    if (is_flapping(l))
        say(l, LOG_INFO, text);
    l->failures = l->young = 0;
    forget_told(l);
}

/* Errors say nothing about order; a script that runs for too long answers everything with one. */
static void on_echo(void *arg, const struct reply *r)
{
    struct link *l = arg;
    int64_t number;
    if (!r)
        return;
    l->echoed++;
    if (r->type != REPLY_ERROR && !(reply_i64(r, &number) && number == l->echoed))
        lose_protocol(l, "it answers another command than it was asked");
}

static void ask_echo(struct link *l)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)++l->echo);
    ask(l, on_echo, 2, (struct slice[]){SLICE_LIT("PING"), slice_str(digits)});
}

void link_check(struct link *l)
{
    if (l->state == LINK_UP && l->echo == l->echoed)
        ask_echo(l);
}

/* The ping asks for the library's version, so that a library that was removed or replaced by an older one while the link
 * was up is back within a ping's interval. */
static void on_pong(void *arg, const struct reply *r)
{
    struct link *l = arg;
    int64_t version;
    if (!r)
        return;
    if (r->type != REPLY_ERROR && !reply_i64(r, &version)) {
        lose_protocol(l, "its version of the function library is none");
        return;
    }
    l->stats.rtt_us = now_us() - l->pinged_us;
    l->pinged_us = 0;
    look_at_age(l);
    if (l->events.on_pong)
        l->events.on_pong(l->arg, l->stats.rtt_us);
    if (needs_library(r) && !l->loading_library)
        reload_library(l, r);
    else if (r->type != REPLY_ERROR && !needs_library(r))
        library_is_there(l);
}

static void ping(struct link *l)
{
    l->pinged_us = now_us();
    ask_echo(l);
    ask_version(l, on_pong);
}

/* Silence counts, not the ping alone: while events still come in, the answer is behind them. */
static bool is_silent(const struct link *l, int64_t *left_ms)
{
    int64_t since_us = l->pinged_us > l->heard_us ? l->pinged_us : l->heard_us;
    *left_ms = since_us / 1000 + l->config.ping_timeout_ms - now_ms();
    return *left_ms <= 0;
}

static void look_at_pings(struct link *l)
{
    int64_t left_ms;
    if (!l->pinged_us) {
        ping(l);
    } else if (is_silent(l, &left_ms)) {
        lose(l, "it does not answer");
        return;
    } else if (left_ms < l->config.ping_interval_ms) {
        arm(l, left_ms);
        return;
    }
    arm(l, l->config.ping_interval_ms);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;
    (void)fd;
    (void)what;
    enter(l);
    switch (l->state) {
    case LINK_WAITING:
        attempt(l);
        break;
    case LINK_CONNECTING:
        lose(l, resolver_busy(l->resolver) ? "the host's name is not resolved in time" : "it does not accept in time");
        break;
    case LINK_GREETING:
        lose(l, "it does not greet in time");
        break;
    case LINK_UP:
        look_at_pings(l);
        break;
    case LINK_CLOSED:
        break;
    }
    leave(l);
}

/* --- life --- */

static char *copy_text(const char *text)
{
    return text ? sg_memdup(text, strlen(text)) : NULL;
}

static void copy_config(struct link_config *to, const struct link_config *from)
{
    *to = *from;
    to->host = copy_text(from->host);
    to->unix_path = copy_text(from->unix_path);
    to->user = copy_text(from->user);
    to->password = copy_text(from->password);
    to->tls_ca_file = copy_text(from->tls_ca_file);
    if (!to->ping_interval_ms)
        to->ping_interval_ms = PING_INTERVAL_MS;
    if (!to->ping_timeout_ms)
        to->ping_timeout_ms = PING_TIMEOUT_MS;
    if (!to->backoff_max_ms)
        to->backoff_max_ms = BACKOFF_MAX_MS;
    if (!to->young_max_ms)
        to->young_max_ms = YOUNG_MAX_MS;
    if (!to->pending_max)
        to->pending_max = PENDING_MAX;
}

struct link *link_new(struct event_base *base, const struct link_config *config, const struct link_events *events,
                      void *arg)
{
    assert(!config->host != !config->unix_path);
    struct link *l = sg_calloc(1, sizeof *l);
    copy_config(&l->config, config);
    l->events = *events;
    l->arg = arg;
    l->base = base;
    l->state = LINK_WAITING;
    wire_init(&l->wire);
    buf_init(&l->outbox, 2 * (size_t)OUTBOX_MAX); /* what is written counts until it is cut off, see put */
    l->timer = evtimer_new(base, on_timer, l);
    l->flush = evtimer_new(base, on_flush, l);
    l->again = evtimer_new(base, on_ready, l);
    l->resolver = resolver_new(base, on_addresses, l);
    return l;
}

void link_start(struct link *l)
{
    assert(l->state == LINK_WAITING);
    enter(l);
    attempt(l);
    leave(l);
}

void link_rebuild(struct link *l, const char *why)
{
    if (l->state != LINK_UP)
        return;
    l->doomed = why;
    event_active(l->flush, EV_TIMEOUT, 0);
}

static void destroy(struct link *l)
{
    assert(l->depth == 0);
    drop_event(&l->timer);
    drop_event(&l->flush);
    drop_event(&l->again);
    resolver_free(l->resolver);
    reply_reader_free(l->reader);
    buf_deinit(&l->outbox);
    free(l->queue.ring);
    link_config_deinit(&l->config);
    free(l);
}

void link_free(struct link *l)
{
    if (!l)
        return;
    assert(l->state != LINK_CLOSED);
    enter(l);
    disconnect(l);
    l->state = LINK_CLOSED;
    fail_pending(l);
    leave(l);
}

enum link_state link_state(const struct link *l)
{
    return l->state;
}

const struct link_stats *link_stats(const struct link *l)
{
    return &l->stats;
}

int64_t link_heard_us(const struct link *l)
{
    return l->heard_us;
}

size_t link_outbox_bytes(const struct link *l)
{
    return l->outbox.len - l->written;
}

/* --- commands --- */

void link_command(struct link *l, link_reply_fn *cb, void *arg, size_t argc, const struct slice *argv)
{
    bool accepted = l->state == LINK_UP && l->commands_pending < l->config.pending_max &&
                    put(l, (struct awaited){.cb = cb, .arg = arg}, argc, argv);
    if (!accepted && cb)
        cb(arg, NULL);
}

/* A subscription that is not made would be missed silently; a new connection makes all of them. */
static bool subscription(struct link *l, struct slice verb, struct awaited a)
{
    if (l->state != LINK_UP)
        return false;
    if (put(l, a, 2, (struct slice[]){verb, a.channel}))
        return true;
    l->doomed = "its outbox is full";
    event_active(l->flush, EV_TIMEOUT, 0);
    return false;
}

bool link_subscribe(struct link *l, struct slice channel, link_reply_fn *cb, void *arg)
{
    return subscription(l, SLICE_LIT("SSUBSCRIBE"),
                        (struct awaited){.cb = cb, .arg = arg, .channel = channel, .awaits = AWAITS_SUBSCRIBED});
}

bool link_unsubscribe(struct link *l, struct slice channel, link_reply_fn *cb, void *arg)
{
    return subscription(
        l, SLICE_LIT("SUNSUBSCRIBE"),
        (struct awaited){
            .cb = cb, .arg = arg, .channel = channel, .awaits = AWAITS_UNSUBSCRIBED, .echoed = l->is_cluster});
}
