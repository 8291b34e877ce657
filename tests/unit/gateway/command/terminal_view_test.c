/* Answers as gateways give them, and as nobody should: what becomes of them as lines. */
#include "gateway/command/terminal_view.h"
#include "tests/unit/unit.h"

#include <string.h>

static const char stats[] =
    "{\"id\":\"ab\",\"version\":\"1.2.3\",\"worker\":0,\"workers\":1,\"now_ms\":100000,\"address\":\"127.0.0.1:80\","
    "\"state\":\"ready\",\"pid\":1,\"started_ms\":40000,\"taps\":0,\"history\":{\"columns\":[\"time_ms\",\"sent\","
    "\"connections\","
    "\"new\",\"latency_p50_us\",\"latency_p99_us\"],\"rows\":[[1000,0,1,9,null,null],[2000,100,2,9,1500,3000],[3000,"
    "300,3,9,"
    "2500,123456]]}}";
static const char connections[] =
    "{\"worker\":0,\"total\":2,\"connections\":[{\"id\":7,\"remote\":\"10.0.0.1\",\"token\":\"a\\u001b[2Jb\","
    "\"subscriptions\":3,"
    "\"dirty\":1,\"queued_bytes\":100,\"unsent_bytes\":28,\"rtt_us\":1200,\"trouble\":5,\"why\":[\"slow\",\"late\"]},"
    "{\"id\":8,\"remote\":\"::1\",\"trouble\":9,\"why\":[]}]}";
static const char fleet[] =
    "{\"gateways\":[{\"id\":\"x\",\"self\":true,\"age_ms\":1500,\"record\":{\"host\":\"here\",\"address\":\"127.0.0.1:"
    "80\",\"state\":"
    "\"ready\",\"workers\":1,\"connections\":3,\"sent_per_s\":44}},{\"self\":false,\"record\":\"none\"}]}";
static const char figures[] = "# HELP x\nsyncgate_redis_up{worker=\"0\"} 1\nsyncgate_redis_up{worker=\"1\"} 0\n"
                              "syncgate_redis_link_losses_total{worker=\"0\"} 2\n"
                              "syncgate_redis_round_trip_seconds_sum{worker=\"0\"} 0.010\n"
                              "syncgate_redis_round_trip_seconds_count{worker=\"0\"} 4\n";

static struct terminal_view view;

static char *write(size_t columns, size_t rows, bool ansi)
{
    static char text[65536];
    struct buf out;
    buf_init(&out, sizeof(text) - 1);
    terminal_write(&view, columns, rows, ansi, &out);
    CU_ASSERT_FALSE_FATAL(out.failed);
    memcpy(text, out.ptr, out.len);
    text[out.len] = '\0';
    buf_deinit(&out);
    return text;
}

static void take_all(void)
{
    view = (struct terminal_view){.id = ""};
    CU_ASSERT_TRUE(terminal_take_stats(&view, slice_str(stats)));
    CU_ASSERT_TRUE(terminal_take_connections(&view, slice_str(connections)));
    CU_ASSERT_TRUE(terminal_take_fleet(&view, slice_str(fleet)));
    CU_ASSERT_TRUE(terminal_take_metrics(&view, slice_str(figures)));
}

/* By the names of the columns, whatever their order, and others are no trouble. */
static void test_figures(void)
{
    take_all();
    CU_ASSERT_EQUAL(view.connections, 3);
    CU_ASSERT_EQUAL(view.sent_per_s, 150);
    CU_ASSERT_EQUAL(view.p50_us, 2500);
    CU_ASSERT_EQUAL(view.p99_us, 123456);
    CU_ASSERT_EQUAL(view.links, 2);
    CU_ASSERT_EQUAL(view.links_up, 1);
    CU_ASSERT_EQUAL(view.losses, 2);
    CU_ASSERT_EQUAL(view.list_len, 2);
    CU_ASSERT_EQUAL(view.list[0].id, 8); /* the worst first */
    CU_ASSERT_EQUAL(view.fleet_len, 1);
    CU_ASSERT_EQUAL(view.fleet_total, 2);
    const char *text = write(500, 0, false);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "syncgate 1.2.3  127.0.0.1:80  ready  up 60 s\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "half within 2.5 ms, 99 of 100 within 123 ms\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "1 of 2 up, round trip 2.50 ms"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "slow; late\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "and 1 more\n"));
    text = write(80, 0, false); /* where the reason would not be seen at the end of the line */
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n           slow; late\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "   1 s\n"));
}

/* Pings that were counted before do not count again. */
static void test_round_trip_is_of_now(void)
{
    take_all();
    CU_ASSERT_TRUE(
        terminal_take_metrics(&view, SLICE_LIT("syncgate_redis_up 1\nsyncgate_redis_round_trip_seconds_sum 0.110\n"
                                               "syncgate_redis_round_trip_seconds_count 5\n")));
    CU_ASSERT_DOUBLE_EQUAL(view.round_trip_s, 0.1, 1e-9);
}

static void test_workers_are_gathered(void)
{
    take_all();
    CU_ASSERT_TRUE(
        terminal_take_connections(&view, SLICE_LIT("{\"worker\":1,\"connections\":[{\"id\":1,\"trouble\":7}]}")));
    CU_ASSERT_EQUAL(view.list_len, 3);
    CU_ASSERT_EQUAL(view.list[1].worker, 1);
    CU_ASSERT_TRUE(terminal_take_connections(&view, SLICE_LIT("{\"worker\":0,\"connections\":[]}")));
    CU_ASSERT_EQUAL(view.list_len, 1);
    CU_ASSERT_EQUAL(view.seen_len, 2);
    CU_ASSERT_TRUE(terminal_take_connections(&view, SLICE_LIT("{\"worker\":99999,\"connections\":[]}")));
    CU_ASSERT_EQUAL(view.seen_len, 2);
}

static void test_nobody_controls_the_terminal(void)
{
    take_all();
    CU_ASSERT_STRING_EQUAL(view.list[1].token, "a?[2Jb");
    CU_ASSERT_TRUE(terminal_take_connections(
        &view,
        SLICE_LIT("{\"worker\":0,\"connections\":[{\"id\":1,\"token\":\"\\u009b2J\xc3\xa4\",\"remote\":\"a\\nb\"}]}")));
    CU_ASSERT_STRING_EQUAL(view.list[0].token, "?2J\xc3\xa4");
    CU_ASSERT_STRING_EQUAL(view.list[0].remote, "a?b");
    CU_ASSERT_PTR_NULL(strchr(write(500, 0, false), '\x1b'));
}

static void test_size(void)
{
    take_all();
    for (size_t rows = 1; rows < 20; rows++) {
        for (size_t columns = 1; columns < 100; columns += 7) {
            size_t lines = 0, length = 0;
            for (const char *p = write(columns, rows, false); *p; p++) {
                length = *p == '\n' ? 0 : length + 1;
                lines += *p == '\n';
                CU_ASSERT_FATAL(length <= columns);
            }
            CU_ASSERT_FATAL(lines <= rows);
        }
    }
}

static void test_other_answers(void)
{
    static const char *const bad[] = {"",
                                      "{}",
                                      "[]",
                                      "null",
                                      "{\"history\":{}}",
                                      "{\"history\":{\"columns\":[],\"rows\":{}}}",
                                      "{\"connections\":{}}",
                                      "{\"gateways\":3}",
                                      "\xff",
                                      "{"};
    view = (struct terminal_view){.id = ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CU_ASSERT_FALSE(terminal_take_stats(&view, slice_str(bad[i])));
        CU_ASSERT_FALSE(terminal_take_connections(&view, slice_str(bad[i])));
        CU_ASSERT_FALSE(terminal_take_fleet(&view, slice_str(bad[i])));
        CU_ASSERT_FALSE(terminal_take_metrics(&view, slice_str(bad[i])));
    }
    CU_ASSERT_TRUE(terminal_take_stats(
        &view, SLICE_LIT("{\"history\":{\"columns\":[1,[2],{}],\"rows\":[[],[\"x\"],[[1],{}],[1e300]]}}")));
    CU_ASSERT_TRUE(terminal_take_connections(&view, SLICE_LIT("{\"connections\":[{},3,{\"why\":[1,\"a\"]}]}")));
    CU_ASSERT_TRUE(terminal_take_fleet(&view, SLICE_LIT("{\"gateways\":[{\"record\":{}},{},null]}")));
    write(80, 24, true);
}

UNIT_MAIN("gateway/command/terminal_view", UNIT(test_figures), UNIT(test_round_trip_is_of_now),
          UNIT(test_workers_are_gathered), UNIT(test_nobody_controls_the_terminal), UNIT(test_size),
          UNIT(test_other_answers))
