/* The hub on a link to a real redis-server: who gets which message, leaving and joining inside callbacks, and resync. */
#include "redis/hub.h"

#include "tests/unit/redis/server.h"
#include "tests/unit/unit.h"

struct fixture {
    struct server server;
    struct event_base *base;
    struct link *link;
    struct hub *hub;
    const char *user;
    int ups;
};

/* A member that notes what it is told, and does something once. */
struct listener {
    struct hub_member member;
    struct fixture *f;
    int messages, resyncs, refusals;
    char last[64], why[64];
    struct listener *leave, *join; /* when the next message or resync comes */
};

static const struct slice channel_a = {"t:{a}", 5}, channel_b = {"t:{b}", 5};

static void on_up(void *arg)
{
    struct fixture *f = arg;
    hub_on_up(f->hub);
    f->ups++;
}

static void on_push(void *arg, const struct reply *push)
{
    struct fixture *f = arg;
    CU_ASSERT_TRUE(hub_on_push(f->hub, push));
}

static void act(struct listener *l)
{
    struct listener *leave = l->leave, *join = l->join;
    l->leave = l->join = NULL;
    if (leave)
        hub_leave(l->f->hub, &leave->member);
    if (join)
        hub_join(l->f->hub, channel_a, &join->member);
}

static void on_message(struct hub_member *m, struct slice payload)
{
    struct listener *l = container_of(m, struct listener, member);
    l->messages++;
    snprintf(l->last, sizeof l->last, "%.*s", (int)payload.len, payload.ptr);
    act(l);
}

static void on_resync(struct hub_member *m)
{
    struct listener *l = container_of(m, struct listener, member);
    l->resyncs++;
    act(l);
}

static void on_refused(struct hub_member *m, struct slice why)
{
    struct listener *l = container_of(m, struct listener, member);
    l->refusals++;
    snprintf(l->why, sizeof l->why, "%.*s", (int)why.len, why.ptr);
    act(l);
}

static struct listener listener(struct fixture *f)
{
    return (struct listener){.member = {.on_message = on_message, .on_resync = on_resync, .on_refused = on_refused},
                             .f = f};
}

static void setup_as(struct fixture *f, const char *user, const char *const *options)
{
    static const struct link_events events = {.on_up = on_up, .on_push = on_push};
    *f = (struct fixture){.user = user};
    server_start(&f->server, options);
    f->base = event_base_new();
    struct link_config config = {.unix_path = f->server.socket, .password = f->user ? "pw" : NULL, .user = f->user};
    f->link = link_new(f->base, &config, &events, f);
    f->hub = hub_new(f->link);
    link_start(f->link);
}

static void setup(struct fixture *f, const char *const *options)
{
    setup_as(f, NULL, options);
}

static void teardown(struct fixture *f)
{
    CU_ASSERT_EQUAL(hub_channels(f->hub), 0);
    link_free(f->link);
    hub_free(f->hub);
    event_base_loop(f->base, EVLOOP_NONBLOCK);
    event_base_free(f->base);
    server_stop(&f->server);
}

static void on_published(void *arg, const struct reply *r)
{
    (void)arg;
    CU_ASSERT_PTR_NOT_NULL(r);
}

static void publish(struct fixture *f, struct slice channel, const char *text)
{
    link_command(f->link, on_published, NULL, 3, (struct slice[]){SLICE_LIT("SPUBLISH"), channel, slice_str(text)});
}

static void on_settled(void *arg, const struct reply *r)
{
    CU_ASSERT_PTR_NOT_NULL(r);
    *(int *)arg = 1;
}

/* settle waits until everything that was sent is answered: pushes come before the reply of what was sent after them. */
static void settle(struct fixture *f)
{
    int settled = 0;
    link_command(f->link, on_settled, &settled, 1, (struct slice[]){SLICE_LIT("PING")});
    CU_ASSERT_TRUE_FATAL(loop_until(f->base, &settled, 1));
}

/* channels_of asks Redis how many shard channels somebody listens to. */
static int channels_of(struct fixture *f)
{
    char answer[256];
    settle(f);
    must(server_say(&f->server, "PUBSUB SHARDCHANNELS\r\n", answer, sizeof answer), "PUBSUB");
    return (int)strtol(answer + 1, NULL, 10);
}

static void test_messages_reach_their_members(void)
{
    struct fixture f;
    setup(&f, NULL);
    struct listener a1 = listener(&f), a2 = listener(&f), b = listener(&f);
    hub_join(f.hub, channel_a, &a1.member); /* before the link is up */
    CU_ASSERT_TRUE(loop_until(f.base, &f.ups, 1));
    CU_ASSERT_EQUAL(a1.resyncs, 1);
    hub_join(f.hub, channel_a, &a2.member);
    hub_join(f.hub, channel_b, &b.member);
    CU_ASSERT_EQUAL(hub_channels(f.hub), 2);
    publish(&f, channel_a, "one");
    publish(&f, channel_b, "two");
    publish(&f, SLICE_LIT("t:{c}"), "three");
    settle(&f);
    CU_ASSERT_EQUAL(a1.messages, 1);
    CU_ASSERT_STRING_EQUAL(a1.last, "one");
    CU_ASSERT_EQUAL(a2.messages, 1);
    CU_ASSERT_STRING_EQUAL(a2.last, "one");
    CU_ASSERT_EQUAL(b.messages, 1);
    CU_ASSERT_STRING_EQUAL(b.last, "two");
    CU_ASSERT_EQUAL(a2.resyncs + b.resyncs, 0);
    CU_ASSERT_EQUAL(channels_of(&f), 2);

    hub_leave(f.hub, &a1.member);
    CU_ASSERT_EQUAL(channels_of(&f), 2);
    hub_leave(f.hub, &a2.member);
    hub_leave(f.hub, &a2.member); /* again: nothing */
    CU_ASSERT_EQUAL(channels_of(&f), 1);
    publish(&f, channel_a, "four");
    settle(&f);
    CU_ASSERT_EQUAL(a1.messages + a2.messages, 2);
    hub_leave(f.hub, &b.member);
    CU_ASSERT_EQUAL(channels_of(&f), 0);
    teardown(&f);
}

static void test_leaving_and_joining_in_quick_succession(void)
{
    struct fixture f;
    setup(&f, NULL);
    struct listener a = listener(&f);
    CU_ASSERT_TRUE(loop_until(f.base, &f.ups, 1));
    for (int i = 0; i < 50; i++) {
        hub_join(f.hub, channel_a, &a.member);
        hub_leave(f.hub, &a.member);
    }
    hub_join(f.hub, channel_a, &a.member);
    publish(&f, channel_a, "here");
    settle(&f);
    CU_ASSERT_EQUAL(a.messages, 1);
    CU_ASSERT_EQUAL(a.resyncs, 0); /* each SUNSUBSCRIBE was our own */
    CU_ASSERT_EQUAL(channels_of(&f), 1);
    hub_leave(f.hub, &a.member);
    CU_ASSERT_EQUAL(channels_of(&f), 0);
    teardown(&f);
}

static void test_leaving_inside_callbacks(void)
{
    struct fixture f;
    setup(&f, NULL);
    struct listener l[4], late = listener(&f);
    CU_ASSERT_TRUE(loop_until(f.base, &f.ups, 1));
    for (int i = 0; i < 4; i++) {
        l[i] = listener(&f);
        hub_join(f.hub, channel_a, &l[i].member);
    }
    l[0].leave = &l[0]; /* itself */
    l[1].leave = &l[2]; /* one that is not called yet */
    l[3].leave = &l[1]; /* one that was called */
    l[3].join = &late;
    publish(&f, channel_a, "first");
    settle(&f);
    CU_ASSERT_EQUAL(l[0].messages, 1);
    CU_ASSERT_EQUAL(l[1].messages, 1);
    CU_ASSERT_EQUAL(l[2].messages, 0);
    CU_ASSERT_EQUAL(l[3].messages, 1);
    CU_ASSERT_EQUAL(late.messages, 0); /* joined while this message was handed round */
    publish(&f, channel_a, "second");
    settle(&f);
    CU_ASSERT_EQUAL(l[0].messages, 1);
    CU_ASSERT_EQUAL(l[1].messages, 1);
    CU_ASSERT_EQUAL(l[3].messages, 2);
    CU_ASSERT_STRING_EQUAL(late.last, "second");

    /* The last one goes and comes back inside its own callback: one message each, no end of them. */
    hub_leave(f.hub, &late.member);
    l[3].leave = l[3].join = &l[3];
    publish(&f, channel_a, "third");
    settle(&f);
    CU_ASSERT_EQUAL(l[3].messages, 3);
    publish(&f, channel_a, "fourth");
    settle(&f);
    CU_ASSERT_EQUAL(l[3].messages, 4);
    CU_ASSERT_EQUAL(channels_of(&f), 1);
    l[3].leave = &l[3];
    publish(&f, channel_a, "fifth");
    settle(&f);
    CU_ASSERT_EQUAL(hub_channels(f.hub), 0);
    CU_ASSERT_EQUAL(channels_of(&f), 0);
    teardown(&f);
}

static void test_resync_after_return(void)
{
    struct fixture f;
    setup(&f, NULL);
    struct listener a = listener(&f), b = listener(&f), gone = listener(&f), late = listener(&f);
    CU_ASSERT_TRUE(loop_until(f.base, &f.ups, 1));
    hub_join(f.hub, channel_a, &a.member);
    hub_join(f.hub, channel_b, &b.member);
    hub_join(f.hub, SLICE_LIT("t:{gone}"), &gone.member);
    settle(&f);
    server_kill(&f.server);
    while (link_state(f.link) == LINK_UP)
        event_base_loop(f.base, EVLOOP_ONCE);
    hub_leave(f.hub, &gone.member);
    b.leave = &a;
    b.join = &late;
    server_run(&f.server, NULL);
    CU_ASSERT_TRUE(loop_until(f.base, &f.ups, 2));
    CU_ASSERT_EQUAL(a.resyncs, 1);
    CU_ASSERT_EQUAL(b.resyncs, 1);
    CU_ASSERT_EQUAL(gone.resyncs, 0);
    CU_ASSERT_EQUAL(late.resyncs, 0); /* a join is no reconnect */
    publish(&f, channel_a, "back");
    publish(&f, channel_b, "back");
    settle(&f);
    CU_ASSERT_STRING_EQUAL(b.last, "back");
    CU_ASSERT_STRING_EQUAL(late.last, "back");
    CU_ASSERT_EQUAL(a.messages, 0);
    CU_ASSERT_EQUAL(channels_of(&f), 2);
    hub_leave(f.hub, &b.member);
    hub_leave(f.hub, &late.member);
    teardown(&f);
}

/* Members that leave all channels while those are subscribed again. */
static void test_leaving_inside_resync(void)
{
    struct fixture f;
    setup(&f, NULL);
    struct listener l[3];
    char name[16];
    for (int i = 0; i < 3; i++) {
        l[i] = listener(&f);
        snprintf(name, sizeof name, "t:{%d}", i);
        hub_join(f.hub, slice_str(name), &l[i].member);
    }
    l[0].leave = &l[1]; /* a channel that is not done yet */
    l[2].leave = &l[0]; /* one that is */
    CU_ASSERT_TRUE(loop_until(f.base, &f.ups, 1));
    CU_ASSERT_EQUAL(l[0].resyncs, 1);
    CU_ASSERT_EQUAL(l[1].resyncs, 0);
    CU_ASSERT_EQUAL(l[2].resyncs, 1);
    CU_ASSERT_EQUAL(channels_of(&f), 1);
    hub_leave(f.hub, &l[2].member);
    teardown(&f);
}

/* What Redis refuses is told to the members of that channel, once; it is asked again with pace, and they are told when it agrees. */
static void test_refused_channels(void)
{
    static const char *const options[] = {"--user",        "gate",   "on",    ">pw", "~*",
                                          "resetchannels", "&t:{a*", "+@all", NULL};
    struct fixture f;
    char answer[64];
    setup_as(&f, "gate", options);
    struct listener a = listener(&f), b1 = listener(&f), b2 = listener(&f), gone = listener(&f);
    hub_join(f.hub, channel_b, &b1.member); /* before the link is up */
    CU_ASSERT_TRUE(loop_until(f.base, &f.ups, 1));
    settle(&f);
    CU_ASSERT_EQUAL(b1.refusals, 1);
    hub_join(f.hub, channel_a, &a.member);
    hub_join(f.hub, channel_b, &b2.member);
    CU_ASSERT_FALSE(hub_subscribed(f.hub, &b2.member));
    CU_ASSERT_PTR_NOT_NULL_FATAL(hub_refusal(&b2.member));
    CU_ASSERT_NSTRING_EQUAL(hub_refusal(&b2.member), "NOPERM", 6);
    CU_ASSERT_PTR_NULL(hub_refusal(&a.member));
    gone.leave = &gone;
    hub_join(f.hub, SLICE_LIT("t:{c}"), &gone.member);
    settle(&f);
    CU_ASSERT_EQUAL(gone.refusals, 1);
    publish(&f, channel_a, "goes on");
    for (int64_t now_ms = 0; now_ms <= 3 * HUB_RETRY_MS; now_ms += 1000) {
        hub_tick(f.hub, now_ms);
        settle(&f);
    }
    CU_ASSERT_STRING_EQUAL(a.last, "goes on");
    CU_ASSERT_EQUAL(b1.refusals, 1);
    CU_ASSERT_EQUAL(b1.resyncs, 1); /* when the link came up */
    CU_ASSERT_EQUAL(b2.resyncs, 0);
    must(server_say(&f.server, "ACL SETUSER gate &t:{b*\r\n", answer, sizeof answer), "ACL SETUSER");
    hub_tick(f.hub, 3 * HUB_RETRY_MS + 1);
    settle(&f);
    CU_ASSERT_EQUAL(b1.resyncs, 1); /* not its turn yet */
    hub_tick(f.hub, 5 * HUB_RETRY_MS);
    settle(&f);
    CU_ASSERT_EQUAL(b1.resyncs, 2);
    CU_ASSERT_EQUAL(b2.resyncs, 1);
    CU_ASSERT_PTR_NULL(hub_refusal(&b1.member));
    publish(&f, channel_b, "heard");
    settle(&f);
    CU_ASSERT_STRING_EQUAL(b2.last, "heard");
    CU_ASSERT_EQUAL(f.ups, 1);
    hub_leave(f.hub, &a.member);
    hub_leave(f.hub, &b1.member);
    hub_leave(f.hub, &b2.member);
    CU_ASSERT_EQUAL(channels_of(&f), 0);
    teardown(&f);
}

/* Left while it is asked for again, and Redis agrees: nobody stays subscribed to what nobody wants. */
static void test_left_while_asked_again(void)
{
    static const char *const options[] = {"--user", "gate", "on", ">pw", "~*", "resetchannels", "+@all", NULL};
    struct fixture f;
    char answer[64];
    setup_as(&f, "gate", options);
    struct listener a = listener(&f), back = listener(&f);
    CU_ASSERT_TRUE(loop_until(f.base, &f.ups, 1));
    hub_join(f.hub, channel_a, &a.member);
    settle(&f);
    CU_ASSERT_EQUAL(a.refusals, 1);
    must(server_say(&f.server, "ACL SETUSER gate allchannels\r\n", answer, sizeof answer), "ACL SETUSER");
    hub_tick(f.hub, HUB_RETRY_MS);
    hub_leave(f.hub, &a.member);
    settle(&f);
    CU_ASSERT_EQUAL(channels_of(&f), 0);
    hub_join(f.hub, channel_a, &back.member);
    publish(&f, channel_a, "back");
    settle(&f);
    CU_ASSERT_STRING_EQUAL(back.last, "back");
    hub_leave(f.hub, &back.member);
    CU_ASSERT_EQUAL(channels_of(&f), 0);
    teardown(&f);
}

/* Redis itself takes a subscription away when a slot moves. Here a push says so; what follows is real. */
static void take_away(struct fixture *f, struct slice channel)
{
    const struct reply kind = {.type = REPLY_STRING, .text = SLICE_LIT("sunsubscribe")};
    const struct reply name = {.type = REPLY_STRING, .text = channel};
    const struct reply *const elements[] = {&kind, &name};
    const struct reply push = {.type = REPLY_PUSH, .elements = elements, .len = 2};
    CU_ASSERT_TRUE(hub_on_push(f->hub, &push));
}

static void test_subscription_taken_away(void)
{
    struct fixture f;
    setup(&f, NULL);
    struct listener a = listener(&f);
    CU_ASSERT_TRUE(loop_until(f.base, &f.ups, 1));
    hub_join(f.hub, channel_a, &a.member);
    settle(&f);
    take_away(&f, channel_a);
    CU_ASSERT_EQUAL(a.resyncs, 1);
    publish(&f, channel_a, "still");
    settle(&f);
    CU_ASSERT_STRING_EQUAL(a.last, "still");
    CU_ASSERT_EQUAL(a.messages, 1);
    hub_leave(f.hub, &a.member);
    take_away(&f, channel_a); /* nobody has it: nothing */
    settle(&f);
    teardown(&f);
}

static void test_other_pushes_are_not_ours(void)
{
    struct fixture f;
    setup(&f, NULL);
    const struct reply kind = {.type = REPLY_STRING, .text = SLICE_LIT("invalidate")};
    const struct reply *const elements[] = {&kind};
    const struct reply push = {.type = REPLY_PUSH, .elements = elements, .len = 1};
    const struct reply empty = {.type = REPLY_PUSH};
    CU_ASSERT_FALSE(hub_on_push(f.hub, &push));
    CU_ASSERT_FALSE(hub_on_push(f.hub, &empty));
    teardown(&f);
}

enum { MANY = 2 * HUB_UNCONFIRMED_MAX + 500 };

static int subscribed(const struct fixture *f, const struct listener *l)
{
    int count = 0;
    for (int i = 0; i < MANY; i++)
        count += hub_subscribed(f->hub, &l[i].member);
    return count;
}

/* join_many joins all and waits until all are subscribed. */
static void join_many(struct fixture *f, struct listener *l)
{
    char name[32];
    for (int i = 0; i < MANY; i++) {
        l[i] = listener(f);
        snprintf(name, sizeof name, "t:{%d}", i);
        hub_join(f->hub, slice_str(name), &l[i].member);
    }
    CU_ASSERT_EQUAL(subscribed(f, l), HUB_UNCONFIRMED_MAX);
    while (subscribed(f, l) < MANY)
        settle(f);
}

/* In pieces: Redis 8 counts some 20 KB for each message that somebody publishes to themselves and has not read, and cuts a link for which
 * 32 MB wait. */
static void publish_to_many(struct fixture *f, struct listener *l)
{
    char name[32];
    int messages = 0;
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "t:{%d}", i);
        l[i].messages = 0;
        publish(f, slice_str(name), name);
        if (i % 1000 == 999)
            settle(f);
    }
    settle(f);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "t:{%d}", i);
        messages += l[i].messages == 1 && strcmp(l[i].last, name) == 0;
    }
    CU_ASSERT_EQUAL(messages, MANY);
}

static void leave_many(struct fixture *f, struct listener *l)
{
    for (int i = 0; i < MANY; i++)
        hub_leave(f->hub, &l[i].member);
}

/* Who had to wait for Redis' word is told when it is subscribed. */
static void test_many_channels(void)
{
    static struct listener l[MANY];
    struct fixture f;
    setup(&f, NULL);
    CU_ASSERT_TRUE(loop_until(f.base, &f.ups, 1));
    join_many(&f, l);
    for (int i = 0; i < MANY; i++)
        CU_ASSERT_EQUAL(l[i].resyncs, i < HUB_UNCONFIRMED_MAX ? 0 : 1);
    publish_to_many(&f, l);
    leave_many(&f, l);
    CU_ASSERT_EQUAL(channels_of(&f), 0);
    teardown(&f);
}

/* The first that were joined are the first again on every connection, also after one that was lost in between. */
static void test_many_channels_come_back(void)
{
    static struct listener l[MANY];
    struct fixture f;
    setup(&f, NULL);
    CU_ASSERT_TRUE(loop_until(f.base, &f.ups, 1));
    join_many(&f, l);
    for (int times = 0; times < 2; times++) {
        int ups = f.ups;
        for (int i = 0; i < MANY; i++)
            l[i].resyncs = 0;
        link_rebuild(f.link, "as a test");
        CU_ASSERT_TRUE(loop_until(f.base, &f.ups, ups + 1));
        CU_ASSERT_EQUAL(subscribed(&f, l), HUB_UNCONFIRMED_MAX);
        for (int i = 0; i < MANY; i++)
            CU_ASSERT_EQUAL(l[i].resyncs, i < HUB_UNCONFIRMED_MAX ? 1 : 0);
    }
    hub_leave(f.hub, &l[MANY - 1].member); /* not subscribed yet, so there is nothing to be unsubscribed */
    while (subscribed(&f, l) < MANY - 1)
        settle(&f);
    hub_join(f.hub, SLICE_LIT("t:{2499}"), &l[MANY - 1].member);
    publish_to_many(&f, l);
    leave_many(&f, l);
    CU_ASSERT_EQUAL(channels_of(&f), 0);
    teardown(&f);
}

/* Redis took a channel that leads away, after very many others were joined: on the next connection it is among the first all the same. */
static void test_who_leads_stays_in_front(void)
{
    static struct listener l[MANY];
    struct fixture f;
    setup(&f, NULL);
    CU_ASSERT_TRUE(loop_until(f.base, &f.ups, 1));
    struct listener leading = listener(&f);
    hub_join(f.hub, channel_a, &leading.member);
    hub_lead(&leading.member);
    settle(&f);
    join_many(&f, l);
    take_away(&f, channel_a);
    CU_ASSERT_EQUAL(leading.resyncs, 1);
    link_rebuild(f.link, "as a test");
    CU_ASSERT_TRUE(loop_until(f.base, &f.ups, 2));
    CU_ASSERT_EQUAL(leading.resyncs, 2);
    publish(&f, channel_a, "heard");
    settle(&f);
    CU_ASSERT_STRING_EQUAL(leading.last, "heard");
    hub_leave(f.hub, &leading.member);
    leave_many(&f, l);
    teardown(&f);
}

UNIT_MAIN("redis/hub_live", UNIT(test_messages_reach_their_members), UNIT(test_leaving_and_joining_in_quick_succession),
          UNIT(test_leaving_inside_callbacks), UNIT(test_resync_after_return), UNIT(test_leaving_inside_resync),
          UNIT(test_subscription_taken_away), UNIT(test_refused_channels), UNIT(test_left_while_asked_again),
          UNIT(test_other_pushes_are_not_ours), UNIT(test_many_channels), UNIT(test_many_channels_come_back),
          UNIT(test_who_leads_stays_in_front))
