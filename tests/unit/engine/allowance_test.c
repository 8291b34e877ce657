/* Rates of one connection: who is over one is not read from, reads on when time has passed, and is closed when it stays over. */
#include "gateway/observe/metrics.h"
#include "tests/unit/engine/world.h"
#include "tests/unit/engine/world_parts.h"

#include "tests/unit/unit.h"

static struct options *options(void)
{
    return (struct options *)(uintptr_t)world_hosts[0].g.opt;
}

static bool is_held(void)
{
    return world_clients[0].conn && world_clients[0].conn->reading_held & HOLD_RATE;
}

static void send(int messages)
{
    while (messages-- > 0)
        world_say(0, "{\"func\":\"ping\"}");
}

/* rate: of messages in a second; five times as many at once. */
static void begin(int64_t rate, int64_t patience_ms)
{
    world_begin();
    options()->messages_per_second = rate;
    options()->rate_patience_ms = patience_ms;
    world_connect(0);
    world_settle();
    (void)world_heard(0);
}

static void end(void)
{
    options()->messages_per_second = options()->rate_patience_ms = 0;
    world_end();
}

static void test_who_is_over_waits_until_it_is_not(void)
{
    begin(10, 0);
    int64_t before = metrics[METRIC_LIMITED_MESSAGES];
    send(50);
    CU_ASSERT(!is_held());
    send(1);
    CU_ASSERT(is_held());
    CU_ASSERT_EQUAL(metrics[METRIC_LIMITED_MESSAGES] - before, 1);
    world_pass(100);
    CU_ASSERT(is_held());
    world_pass(200);
    CU_ASSERT(!is_held());
    end();
}

static void test_a_long_wait_goes_round_the_wheel(void)
{
    begin(10, 0);
    send(50 + 10 * 10); /* ten seconds too many */
    world_pass(9900);
    CU_ASSERT(is_held());
    world_pass(500);
    CU_ASSERT(!is_held());
    end();
}

static void test_who_stays_over_is_closed(void)
{
    begin(10, 2000);
    send(51);
    for (int tick = 0; tick < 15; tick++) {
        send(is_held() ? 0 : 2);
        world_pass(100);
    }
    CU_ASSERT_EQUAL(world_clients[0].closed, 0);
    for (int tick = 0; tick < 15 && !world_clients[0].closed; tick++) {
        send(is_held() ? 0 : 2);
        world_pass(100);
    }
    CU_ASSERT_EQUAL(world_clients[0].closed, 1008);
    end();
}

/* However long it would have to wait. */
static void test_who_is_far_over_is_closed_in_time(void)
{
    begin(10, 2000);
    send(50 + 10 * 60);
    world_pass(1900);
    CU_ASSERT_EQUAL(world_clients[0].closed, 0);
    world_pass(400);
    CU_ASSERT_EQUAL(world_clients[0].closed, 1008);
    end();
}

static void test_bursts_with_calm_between_are_none_of_a_flood(void)
{
    begin(10, 2000);
    for (int burst = 0; burst < 10; burst++) {
        send(60);
        CU_ASSERT(is_held());
        world_pass(1500);
        CU_ASSERT(!is_held());
        world_pass(10000);
    }
    CU_ASSERT_EQUAL(world_clients[0].closed, 0);
    end();
}

/* That it was over another one long ago does not count. */
static void test_one_rate_after_another(void)
{
    begin(10, 2000);
    send(51);
    world_pass(30000);
    options()->answer_bytes_per_second = 10;
    send(10);
    CU_ASSERT(is_held());
    world_pass(1000);
    CU_ASSERT_EQUAL(world_clients[0].closed, 0);
    options()->answer_bytes_per_second = 0; /* as a reload may */
    world_pass(10000);
    CU_ASSERT_EQUAL(world_clients[0].closed, 0);
    CU_ASSERT(!is_held());
    end();
}

static void test_who_leaves_while_it_waits(void)
{
    begin(10, 0);
    send(60);
    CU_ASSERT(is_held());
    world_leave(0);
    world_pass(10000);
    end();
}

UNIT_MAIN("engine/allowance", UNIT(test_who_is_over_waits_until_it_is_not), UNIT(test_a_long_wait_goes_round_the_wheel),
          UNIT(test_who_stays_over_is_closed), UNIT(test_who_is_far_over_is_closed_in_time),
          UNIT(test_bursts_with_calm_between_are_none_of_a_flood), UNIT(test_one_rate_after_another),
          UNIT(test_who_leaves_while_it_waits))
