/* The seam: what a dialect may ask of the gateway, played by one that can do everything. Its messages are one letter. */
#include "tests/unit/engine/world.h"

#include "protocol/base/frame.h"
#include "protocol/socksync/encode.h"
#include "tests/unit/unit.h"

struct chatty {
    struct dialect_peer peer;
    int messages, ticks;
};

static int closed;

static struct chatty *chatty_of(struct dialect_peer *peer)
{
    return container_of(peer, struct chatty, peer);
}

static void reply(struct actions *out, const char *text)
{
    size_t from = out->bytes->len, mark = frame_begin(out->bytes);
    buf_put(out->bytes, text, strlen(text));
    frame_end(out->bytes, mark);
    actions_reply(out, actions_add(out, ACTION_NONE), from, 1);
}

static void reply_number(struct actions *out, const char *what, int64_t n)
{
    char text[64];
    snprintf(text, sizeof text, "{\"%s\":%lld}", what, (long long)n);
    reply(out, text);
}

static void chatty_open(struct dialect_peer *peer, struct actions *out)
{
    struct slice room = peer->host->room(peer);
    char text[64];
    snprintf(text, sizeof text, "{\"room\":\"%.*s\"}", (int)room.len, room.len ? room.ptr : "");
    reply(out, text);
}

static void write_var(struct actions *out, struct slice name, uint32_t tag)
{
    struct action *a = actions_add(out, ACTION_SET);
    a->kind = KIND_VAR;
    a->name = name;
    a->value = SLICE_LIT("5");
    a->has_value = true;
    a->tag = tag;
}

static void chatty_receive(struct dialect_peer *peer, struct slice bytes, bool binary, struct actions *out)
{
    struct chatty *c = chatty_of(peer);
    struct action *a;
    c->messages++;
    switch (*bytes.ptr) {
    case 'm': /* many things at once, in this order */
        reply_number(out, "first", c->messages);
        a = actions_add(out, ACTION_SUBSCRIBE);
        a->kind = KIND_VAR;
        a->name = SLICE_LIT("v0");
        write_var(out, SLICE_LIT("v0"), 7);
        reply_number(out, "last", binary);
        break;
    case 'i': /* an item that is not there */
        a = actions_add(out, ACTION_DELETE);
        a->kind = KIND_LIST;
        a->name = SLICE_LIT("l0");
        a->id = SLICE_LIT("3");
        a->has_id = true;
        a->tag = 8;
        break;
    case 'f': /* more than there may be */
        for (int i = 0; i <= ACTIONS_MAX; i++)
            write_var(out, SLICE_LIT("v1"), 0);
        break;
    case 't':
        out->due_ms = 1000000 + 500; /* half a second after the world began */
        break;
    case 'n':
        out->due_ms = 0;
        break;
    case 'w':
        actions_add(out, ACTION_FAULT)->error = ERROR_ID;
        out->list[out->len - 1].text = "wrong";
        break;
    case 'e':
        actions_add(out, ACTION_FAULT)->error = ERROR_JSON;
        out->list[out->len - 1].text = "very wrong";
        reply(out, "never");
        break;
    default:
        break;
    }
}

static void chatty_answer(struct dialect_peer *peer, const struct answer *a, struct actions *out)
{
    static const char *const names[] = {
        [ANSWER_WRITTEN] = "written", [ANSWER_REFUSED] = "refused", [ANSWER_AWAY] = "away"};
    (void)peer;
    reply_number(out, names[a->what], a->tag);
}

static void chatty_tick(struct dialect_peer *peer, int64_t now_ms, struct actions *out)
{
    struct chatty *c = chatty_of(peer);
    reply_number(out, "tick", ++c->ticks);
    out->due_ms = c->ticks < 3 ? now_ms + 1000 : 0;
}

static void chatty_close(struct dialect_peer *peer)
{
    closed += chatty_of(peer)->messages;
}

static uint32_t silent_error(struct buf *out, enum error_code code, struct slice text, enum kind kind,
                             struct slice name, struct slice id)
{
    (void)out, (void)code, (void)text, (void)kind, (void)name, (void)id;
    return 0;
}

static int closes(enum error_code code)
{
    return code == ERROR_JSON ? 4400 : 0;
}

static const struct var_codec var = {.set = encode_var_set};
static const struct route routes[] = {{NULL, false, NULL}};
static const struct dialect chatty = {
    .name = "chatty",
    .routes = routes,
    .peer_size = sizeof(struct chatty),
    .open = chatty_open,
    .receive = chatty_receive,
    .answer = chatty_answer,
    .tick = chatty_tick,
    .close = chatty_close,
    .var = &var,
    .error = silent_error,
    .closes = closes,
};

static void say(const char *letter, bool binary)
{
    world_say_bytes(0, slice_str(letter), binary);
    world_turn();
}

static void begin(struct slice room)
{
    closed = 0;
    world_begin();
    world_dialect = &chatty;
    world_connect_to(0, room);
    world_turn();
}

static void test_it_speaks_first_and_knows_its_room(void)
{
    begin(SLICE_LIT("lobby/7"));
    CU_ASSERT_STRING_EQUAL(world_heard(0), "{\"room\":\"lobby/7\"}\n");
    world_end();
}

static void test_many_actions_of_one_message(void)
{
    begin(SLICE_NONE);
    world_var_set(0, 1);
    world_exchange();
    (void)world_heard(0);
    say("m", true);
    CU_ASSERT_STRING_EQUAL(world_heard(0), "{\"first\":1}\n{\"last\":1}\n");
    world_exchange();
    CU_ASSERT_STRING_EQUAL(world_heard(0), "{\"func\":\"set\",\"type\":\"var\",\"name\":\"v0\",\"value\":1}\n"
                                           "{\"func\":\"set\",\"type\":\"var\",\"name\":\"v0\",\"value\":5}\n"
                                           "{\"written\":7}\n");
    world_end();
}

static void test_outcomes_come_back(void)
{
    begin(SLICE_NONE);
    (void)world_heard(0);
    say("i", false);
    world_exchange();
    CU_ASSERT_STRING_EQUAL(world_heard(0), "{\"refused\":8}\n");
    world_cut(0);
    say("i", false); /* answered from inside the question */
    CU_ASSERT_STRING_EQUAL(world_heard(0), "{\"away\":8}\n");
    world_mend(0);
    say("i", false);
    world_cut(0);
    world_turn();
    CU_ASSERT_STRING_EQUAL(world_heard(0), "{\"away\":8}\n");
    say("i", false);
    world_leave(0); /* nobody is there to be told */
    world_end();
}

static void test_too_many_actions_are_refused_whole(void)
{
    begin(SLICE_NONE);
    say("f", false);
    CU_ASSERT_EQUAL(world_redis(0, SIZE_MAX) > 0 && world_vars[1].exists, false);
    world_end();
}

static void test_timers(void)
{
    begin(SLICE_NONE);
    (void)world_heard(0);
    say("t", false);
    world_pass(400);
    CU_ASSERT_STRING_EQUAL(world_heard(0), "");
    world_pass(100);
    CU_ASSERT_STRING_EQUAL(world_heard(0), "{\"tick\":1}\n");
    say("x", false); /* says nothing of the timer: it stays */
    world_pass(1000);
    CU_ASSERT_STRING_EQUAL(world_heard(0), "{\"tick\":2}\n");
    say("n", false);
    world_pass(5000);
    CU_ASSERT_STRING_EQUAL(world_heard(0), "");
    say("t", false);
    world_leave(0);
    world_pass(5000);
    world_end();
}

static void test_errors_by_its_own_rule(void)
{
    begin(SLICE_NONE);
    (void)world_heard(0);
    say("w", false);
    CU_ASSERT_STRING_EQUAL(world_heard(0), "");
    CU_ASSERT_EQUAL(world_clients[0].closed, 0);
    say("e", false);
    CU_ASSERT_STRING_EQUAL(world_heard(0), "");
    CU_ASSERT_EQUAL(world_clients[0].closed, 4400);
    CU_ASSERT_EQUAL(closed, 2); /* once, with what it kept */
    world_end();
    CU_ASSERT_EQUAL(closed, 2);
}

UNIT_MAIN("engine/peer", UNIT(test_it_speaks_first_and_knows_its_room), UNIT(test_many_actions_of_one_message),
          UNIT(test_outcomes_come_back), UNIT(test_too_many_actions_are_refused_whole), UNIT(test_timers),
          UNIT(test_errors_by_its_own_rule))
