/* In the topic's list while Redis has to answer, in the connection's while there is no room for an answer. */
#include "gateway/state/request.h"

#include "gateway/base/clock.h"
#include "gateway/net/pace.h"
#include "gateway/state/registry.h"
#include "gateway/state/subscriber.h"
#include "protocol/base/alloc.h"

struct request *request_new(struct topic *t, struct conn *c, bool subscribe, struct view *view, uint32_t slots,
                            struct watch *watch)
{
    struct request *q = sg_calloc(1, sizeof(*q));
    q->topic = t;
    q->conn = c;
    q->reads = t->reads;
    q->subscribe = subscribe;
    q->view = view;
    q->watch = watch;
    q->slots = slots;
    subscriber_of(c)->slots += q->slots;
    pace_waits(c, q->slots);
    q->deadline_ms = clock_now_ms() + t->gw->opt->subscribe_timeout_ms;
    list_append(&t->requests, &q->in_item);
    list_append(&subscriber_of(c)->requests, &q->in_conn);
    list_append(&t->gw->topics->deadlines, &q->in_deadlines);
    topic_use(t);
    return q;
}

/* Among those that wait for room in their connection's queue, or not any more. */
static void request_park(struct request *q)
{
    struct conn *c = q->conn;
    q->held = true;
    list_append(&subscriber_of(c)->held, &q->in_item);
    c->owed += (uint32_t)(sizeof(*q) + q->wire.len);
    conn_waits(c, WAIT_ANSWERS, true);
    conn_wait_for_room(c);
}

static void request_unpark(struct request *q)
{
    struct conn *c = q->conn;
    q->held = false;
    list_remove(&subscriber_of(c)->held, &q->in_item);
    c->owed -= (uint32_t)(sizeof(*q) + q->wire.len);
    conn_waits(c, WAIT_ANSWERS, subscriber_of(c)->held.count > 0);
}

bool request_hold(struct request *q)
{
    struct conn *c = q->conn;
    if (c->state != CONN_OPEN || (!subscriber_of(c)->held.count && conn_room(c)))
        return false;
    list_remove(&q->topic->requests, &q->in_item);
    list_remove(&q->topic->gw->topics->deadlines, &q->in_deadlines);
    pace_waits_no_more(c, q->slots);
    request_park(q);
    return true;
}

/* Back to those that wait for Redis. */
void request_release(struct request *q)
{
    struct topics *r = q->topic->gw->topics;
    request_unpark(q);
    list_append(&q->topic->requests, &q->in_item);
    pace_waits(q->conn, q->slots);
    q->deadline_ms = clock_now_ms() + r->g->opt->subscribe_timeout_ms;
    list_append(&r->deadlines, &q->in_deadlines);
}

bool request_hold_reply(struct conn *c, struct slice wire, uint32_t messages)
{
    if (!subscriber_of(c)->held.count)
        return false;
    struct request *q = sg_calloc(1, sizeof(*q) + wire.len);
    q->conn = c;
    q->messages = messages;
    memcpy(q->wire_bytes, wire.ptr, wire.len);
    q->wire = slice_of(q->wire_bytes, wire.len);
    list_append(&subscriber_of(c)->requests, &q->in_conn);
    request_park(q);
    return true;
}

void request_send_reply(struct request *q)
{
    conn_answer(q->conn, q->wire, q->messages);
    request_free(q);
}

static void leave_topic(struct request *q)
{
    struct topic *t = q->topic;
    if (!q->held) {
        pace_waits_no_more(q->conn, q->slots);
        list_remove(&t->requests, &q->in_item);
        list_remove(&t->gw->topics->deadlines, &q->in_deadlines);
    }
    t->ops->request_gone(q);
    topic_release(t);
}

void request_free(struct request *q)
{
    list_remove(&subscriber_of(q->conn)->requests, &q->in_conn);
    subscriber_of(q->conn)->slots -= q->slots;
    if (q->topic)
        leave_topic(q);
    if (q->held)
        request_unpark(q);
    pace_answered(q->conn, subscriber_of(q->conn)->requests.count, subscriber_of(q->conn)->slots);
    free(q);
}

const void *request_target(const struct request *q)
{
    return q->watch ? (const void *)q->watch : (const void *)q->topic;
}

static void fail_all(const struct list *requests, const struct sub *s, enum error_code code, const char *text)
{
    list_each(requests, n)
    {
        struct request *q = container_of(n, struct request, in_item);
        if (q->conn != s->key.conn || request_target(q) != s->key.target)
            continue;
        topic_error(q->conn, q->topic, code, text, q->topic->ops->request_id(q));
        request_free(q);
    }
}

/* Everything this connection still waits for here ends with its pending subscription. */
static void fail_pending(struct sub *s, enum error_code code, const char *text)
{
    fail_all(&s->topic->requests, s, code, text);
    fail_all(&subscriber_of(s->key.conn)->held, s, code, text);
    sub_free(s);
}

void request_fail(struct request *q, enum error_code code, const char *text)
{
    struct sub *s = sub_find(q->conn, q->topic, request_target(q));
    if (s && s->pending && !s->waiting && !s->quiet) {
        fail_pending(s, code, text);
        return;
    }
    topic_error(q->conn, q->topic, code, text, q->topic->ops->request_id(q));
    request_free(q);
}

bool request_fail_unknown(struct request *q)
{
    if (q->topic->reads_done <= q->reads) {
        q->topic->confirm = true;
        return false;
    }
    struct sub *s = q->subscribe ? sub_find(q->conn, q->topic, request_target(q)) : NULL;
    if (!s || !s->wait) {
        request_fail(q, ERROR_NAME, SUB_UNKNOWN_TEXT);
        return true;
    }
    request_free(q); /* and what it asked for before and after that, is asked once when the name is there */
    if (!s->waiting)
        sub_wait(s);
    return true;
}
