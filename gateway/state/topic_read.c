/* Reads go in turn (reads.h). What Redis refuses, or what is too large for the link, is an error for its name and for nobody else. */
#include "gateway/state/topic_read.h"

#include "gateway/base/clock.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/state/registry.h"
#include "gateway/state/request.h"

enum {
    RETRY_MS = 1000, /* after a read that Redis answered with something unusable */
    IN_VAIN_FREE = 32,
    BARRED_LOOK_MIN_MS = 2000, /* doubling */
    BARRED_LOOK_MAX_MS = 60 * 1000,
    BARRED_MS = 15 * 60 * 1000 /* then it is tried whether Redis lets it through by now */
};

static void retry_at(struct topic *t, int64_t when_ms)
{
    t->retry_ms = when_ms;
    if (!list_linked(&t->refused))
        list_append(&t->gw->topics->refused, &t->refused);
}

void topic_retry_later(struct topic *t)
{
    retry_at(t, clock_now_ms() + RETRY_MS);
}

/* A read must be behind the subscription, or it misses what comes between the two. Of a barred name only the size is asked for. */
static bool may_read(const struct topic *t)
{
    const struct gateway *g = t->gw;
    return !t->reading && g->redis_up && link_state(g->link) == LINK_UP &&
           (t->barred || hub_subscribed(g->hub, &t->member)) && t->retry_ms <= clock_now_ms();
}

/* Begins the reads that fit into the window now. One that the link does not take ends it: it is full with other things. */
static void go_on(struct topics *r)
{
    struct read *one;
    if (r->going_on)
        return;
    r->going_on = true;
    r->link_full = false;
    while (!r->link_full && (one = reads_next(&r->reads))) {
        struct topic *t = container_of(one, struct topic, read);
        if (may_read(t))
            t->ops->read(t);
        if (!t->reading)
            reads_done(&r->reads, one);
    }
    r->going_on = false;
}

/* Whoever waits for the name is told too: it is not unknown any more, and what it is, nobody can say. */
static void fail_requests(struct topic *t, const char *text)
{
    struct list_node *n;
    while ((n = list_first(&t->requests)))
        request_fail(container_of(n, struct request, in_item), ERROR_OTHER, text);
    while ((n = list_first(&t->waiting))) {
        struct sub *s = container_of(n, struct sub, in_target);
        topic_error(s->key.conn, t, ERROR_OTHER, text, s->topic->ops->sub_id(s));
        sub_free(s);
    }
}

/* It is nobody's fault, so it does not count against the peer. */
static void tell_void(struct sub *s, const char *text)
{
    struct conn *c = s->key.conn;
    struct buf *out = &c->gw->scratch;
    buf_reset(out);
    metric_add(METRIC_ERRORS_8, 1);
    conn_answer_scratch(c, c->dialect->error(out, ERROR_OTHER, slice_str(text), s->topic->kind, s->topic->name,
                                             s->topic->ops->sub_id(s)));
}

static const char too_large[] = "value too large", damaged_data[] = TOPIC_DAMAGED_TEXT;

static void tell_too_large(struct sub *s)
{
    tell_void(s, too_large);
}

static void tell_damaged(struct sub *s)
{
    tell_void(s, damaged_data);
}

static void tell_refused(struct sub *s)
{
    tell_void(s, s->topic->refusal);
}

/* What Redis holds cannot be known for now: subscribers keep what they hold and are told once that it is void, whoever asks is
 * refused. */
static void topic_void(struct topic *t, void (*tell)(struct sub *s))
{
    conn_settle(t->gw);
    topic_set_state(t, TOPIC_LOADING);
    t->told_void = true;
    t->ops->each_sub(t, tell);
}

/* What clients are told is the word that stands first in what Redis says: the rest may hold addresses of ours. */
static const char *refusal_text(struct slice error)
{
    static char text[64];
    struct slice rest = error, word = error;
    (void)slice_cut(&rest, ' ', &word);
    snprintf(text, sizeof(text), "redis refuses: %.*s", word.len < 32 ? (int)word.len : 32, word.ptr);
    return text;
}

void topic_refused(struct topic *t, struct slice error)
{
    t->refusal = refusal_text(error);
    if (!t->told_void)
        topic_void(t, tell_refused);
    fail_requests(t, t->refusal);
    t->refusal = NULL;
}

void topic_want_read(struct topic *t)
{
    struct topics *r = t->gw->topics;
    const char *refusal = hub_refusal(&t->member);
    if (t->barred)
        fail_requests(t, too_large);
    else if (refusal)
        fail_requests(t, refusal_text(slice_str(refusal)));
    if (!may_read(t))
        return;
    reads_want(&r->reads, &t->read, t->requests.count > 0);
    go_on(r);
}

static enum read_reason why_read(const struct topic *t)
{
    if (t->state == TOPIC_LOADING)
        return READ_FIRST;
    if (t->state == TOPIC_STALE)
        return t->missed;
    return t->confirm ? READ_CONFIRM : READ_CONTENT;
}

void topic_read_begins(struct topic *t)
{
    metric_add((enum metric)(METRIC_READS_FIRST + (int)why_read(t)), 1);
    t->reading = true;
    t->confirm = false;
    t->reads++;
}

size_t topic_room(const struct topic *t)
{
    return t->barred ? 0 : t->read.room;
}

/* What was in flight when the link was lost stays booked until topics_link_down looks who it was. */
static bool was_lost(const struct topic *t, const struct store_result *r)
{
    return r->status == STORE_AWAY && link_state(t->gw->link) != LINK_UP;
}

/* Until somebody mends it. */
static void topic_damaged(struct topic *t, struct slice text)
{
    if (!t->damaged) {
        log_limited(LOG_FAILED, LOG_LEVEL_WARN, "damaged data name=%s error=%s", log_value(t->name), log_value(text));
        metric_add(METRIC_DAMAGED, 1);
        t->damaged = true;
        topic_void(t, tell_damaged);
    }
    fail_requests(t, damaged_data);
}

bool topic_healed(struct topic *t)
{
    bool healed = t->told_void;
    if (t->damaged)
        log_limited(LOG_FAILED, LOG_LEVEL_INFO, "damaged data was mended name=%s", log_value(t->name));
    t->damaged = t->told_void = false;
    return healed;
}

/* Not something that passes in a moment: rights of the user, a slot that is elsewhere. */
static bool is_barrier(struct slice error)
{
    static const char *const words[] = {"NOPERM", "MOVED", "ASK", "CLUSTERDOWN"};
    struct slice rest = error, word = error;
    (void)slice_cut(&rest, ' ', &word);
    for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
        if (slice_eq(word, slice_str(words[k])))
            return true;
    }
    return false;
}

/* It may go on for ever, once a second: one line when it begins. */
static void read_barred(struct topic *t, struct slice error)
{
    if (!t->told_void)
        log_limited(LOG_FAILED, LOG_LEVEL_WARN, "read refused name=%s error=%s", log_value(t->name), log_value(error));
    topic_refused(t, error);
}

static void read_refused(struct topic *t, const struct store_result *r)
{
    if (r->status == STORE_AWAY)
        t->gw->topics->link_full = true;
    else if (r->status == STORE_REFUSED && r->refusal == REFUSAL_DATA)
        topic_damaged(t, r->text);
    else if (is_barrier(r->text))
        read_barred(t, r->text);
    else
        log_limited(LOG_FAILED, LOG_LEVEL_WARN, "read failed name=%s error=%s", log_value(t->name), log_value(r->text));
    topic_retry_later(t);
}

static void look_later(struct topic *t)
{
    int64_t wait_ms = 2 * t->barred_look_ms;
    wait_ms = wait_ms < BARRED_LOOK_MAX_MS ? wait_ms : BARRED_LOOK_MAX_MS;
    t->barred_look_ms = wait_ms > BARRED_LOOK_MIN_MS ? wait_ms : BARRED_LOOK_MIN_MS;
    retry_at(t, clock_now_ms() + t->barred_look_ms);
}

static void unbar(struct topic *t)
{
    log_info("a name is read again that was too large name=%s", log_value(t->name));
    metric_add(METRIC_NAMES_TOO_LARGE, -1);
    t->barred = false;
    t->retry_ms = 0;
    topic_join(t);
    if (t->users) /* and the hub let it join; else on_resync does */
        topic_want_read(t);
}

/* It is smaller than what cut the link, or it is time to try whether Redis lets more through by now. */
static void barred_looked(struct topic *t, size_t bytes)
{
    if (bytes < t->barred_bytes || t->barred_until_ms <= clock_now_ms())
        unbar(t);
    else
        look_later(t);
}

bool topic_read_ends(struct topic *t, const struct store_result *r, size_t larger)
{
    struct topics *all = t->gw->topics;
    t->reading = false;
    if (was_lost(t, r))
        return false; /* on_resync reads again */
    reads_done(&all->reads, &t->read);
    bool good = r->status == STORE_OK;
    if (hub_refusal(&t->member)) {
        good = false; /* nobody tells what comes behind it; on_resync reads again */
    } else if (!good) {
        read_refused(t, r);
    } else if (t->barred) {
        barred_looked(t, larger);
        good = false;
    } else {
        t->reads_done = t->reads;
        if (!larger) {
            t->read.blame = 0;
            t->barred_look_ms = 0;
        }
    }
    go_on(all);
    return good;
}

/* Reasons that come from what somebody published: anybody who may publish can make them up, as often as he likes. */
static bool is_doubt(enum read_reason why)
{
    return why == READ_GAP || why == READ_BACK || why == READ_MALFORMED;
}

bool topic_found(struct topic *t, int64_t rev)
{
    bool back = t->back || rev < t->rev;
    bool in_vain = t->state == TOPIC_STALE && is_doubt(t->missed) && rev == t->rev;
    t->in_vain = in_vain ? t->in_vain + 1 : 0;
    t->doubt_ms = t->in_vain > IN_VAIN_FREE ? clock_now_ms() + RETRY_MS : 0;
    t->back = false;
    t->rev = rev;
    topic_set_state(t, TOPIC_READY);
    return back;
}

void topic_missed(struct topic *t, enum read_reason why)
{
    if (t->state == TOPIC_READY)
        topic_set_state(t, TOPIC_STALE);
    t->missed = why;
    if (is_doubt(why) && t->doubt_ms > clock_now_ms())
        retry_at(t, t->doubt_ms);
    else
        topic_want_read(t);
}

/* Its answer cut the link each time, for everybody. Its changes would do the same, so they are not listened to either. */
static void bar(struct topic *t)
{
    t->barred = true;
    t->barred_until_ms = clock_now_ms() + BARRED_MS;
    t->barred_bytes = t->read.expect;
    t->read.expect = 0;
    t->read.blame = READS_BLAME_MAX / 2; /* one more loss will do */
    metric_add(METRIC_NAMES_TOO_LARGE, 1);
    log_error("a name is too large for Redis' client-output-buffer-limit name=%s bytes=%zu", log_value(t->name),
              t->barred_bytes);
    t->exists = false; /* as far as anybody may know */
    hub_leave(t->gw->hub, &t->member);
    look_later(t);
    topic_void(t, tell_too_large);
    fail_requests(t, too_large);
}

void topics_link_down(struct topics *r)
{
    struct read *culprit = reads_lost(&r->reads);
    list_each(&r->all, n)
    {
        struct topic *t = container_of(n, struct topic, all);
        if (t->state == TOPIC_READY)
            topic_set_state(t, TOPIC_STALE);
        t->missed = READ_RECONNECT;
    }
    if (culprit)
        bar(container_of(culprit, struct topic, read));
}
