/* The link against a real redis-server: greeting, order, loss and return; and against servers that are none. */
#include "redis/link.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "redis/functions.h"
#include "tests/unit/redis/server.h"
#include "tests/unit/unit.h"

/* What the events of a link told. */
struct seen {
    struct event_base *base;
    struct link *link;
    int ups, downs, pushes, pongs, logs;
    const int *waiting; /* callbacks that a test waits for, or NULL */
    int waiting_at_down;
    char why[256], log[256];
    int lines; /* of every level; logs counts warnings and errors */
    char said[256];
    bool free_on_up;
};

/* What came back for commands. */
struct answers {
    int replies, nulls, total;
    char text[64][256];
    struct link *free_this; /* in the callback */
    int *waiting;           /* counts down */
};

static void on_up(void *arg)
{
    struct seen *s = arg;
    s->ups++;
    if (s->free_on_up)
        link_free(s->link);
}

static void on_down(void *arg, const char *why)
{
    struct seen *s = arg;
    s->downs++;
    s->waiting_at_down = s->waiting ? *s->waiting : 0;
    snprintf(s->why, sizeof s->why, "%s", why);
}

static void on_push(void *arg, const struct reply *push)
{
    struct seen *s = arg;
    CU_ASSERT_EQUAL(push->type, REPLY_PUSH);
    s->pushes++;
}

static void on_pong(void *arg, int64_t round_trip_us)
{
    struct seen *s = arg;
    CU_ASSERT_TRUE(round_trip_us >= 0);
    CU_ASSERT_EQUAL(round_trip_us, link_stats(s->link)->rtt_us);
    s->pongs++;
}

static void on_log(void *arg, int level, const char *text)
{
    struct seen *s = arg;
    s->lines++;
    snprintf(s->said, sizeof s->said, "%s", text);
    if (level > 1)
        return;
    s->logs++;
    snprintf(s->log, sizeof s->log, "%s", text);
}

static const struct link_events events = {
    .on_up = on_up, .on_down = on_down, .on_push = on_push, .on_pong = on_pong, .on_log = on_log};

static void note(struct answers *a, const char *text, size_t len)
{
    if (a->total < 64)
        snprintf(a->text[a->total], sizeof a->text[0], "%.*s", (int)len, text ? text : "");
    a->total++;
    if (a->waiting)
        (*a->waiting)--;
}

static void on_answer(void *arg, const struct reply *r)
{
    struct answers *a = arg;
    char number[32];
    if (!r) {
        a->nulls++;
        note(a, "(none)", 6);
    } else if (r->type == REPLY_INTEGER) {
        a->replies++;
        snprintf(number, sizeof number, "%lld", (long long)r->integer);
        note(a, number, strlen(number));
    } else {
        a->replies++;
        note(a, r->text.ptr, r->text.len);
    }
    if (a->free_this) {
        struct link *l = a->free_this;
        a->free_this = NULL;
        link_free(l);
    }
}

/* command takes words that are separated by single spaces. */
static void command(struct link *l, struct answers *a, const char *words)
{
    struct slice argv[16], rest = slice_str(words);
    size_t argc = 0;
    while (argc < 15 && slice_cut(&rest, ' ', &argv[argc]))
        argc++;
    argv[argc++] = rest;
    link_command(l, a ? on_answer : NULL, a, argc, argv);
}

/* An answer of a subscription: the channel that was confirmed, or the error. */
static void on_subscribed(void *arg, const struct reply *r)
{
    struct answers *a = arg;
    const char *none = "(none)";
    struct slice text = !r ? slice_str(none) : r->type == REPLY_PUSH ? reply_at(r, 1)->text : r->text;
    a->replies += r != NULL;
    a->nulls += r == NULL;
    note(a, text.ptr, text.len);
}

static bool subscribe(struct link *l, struct answers *a, const char *channel)
{
    return link_subscribe(l, slice_str(channel), on_subscribed, a);
}

static bool unsubscribe(struct link *l, struct answers *a, const char *channel)
{
    return link_unsubscribe(l, slice_str(channel), on_subscribed, a);
}

static struct seen *open_link(const struct link_config *config)
{
    struct seen *s = calloc(1, sizeof *s);
    s->base = event_base_new();
    s->link = link_new(s->base, config, &events, s);
    link_start(s->link);
    return s;
}

static struct seen *open_server(const struct server *server)
{
    struct link_config c = {.unix_path = server->socket};
    return open_link(&c);
}

static void close_link(struct seen *s)
{
    link_free(s->link);
    event_base_loop(s->base, EVLOOP_NONBLOCK);
    event_base_free(s->base);
    free(s);
}

static int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(fd, (struct sockaddr *)&at, sizeof at) == 0, "bind");
    must(getsockname(fd, (struct sockaddr *)&at, &size) == 0, "getsockname");
    close(fd);
    return ntohs(at.sin_port);
}

/* --- greeting --- */

static void test_greets_and_loads_the_library(void)
{
    struct server server;
    server_start(&server, NULL);
    struct seen *s = open_server(&server);
    struct answers a = {0};
    CU_ASSERT_EQUAL(link_state(s->link), LINK_CONNECTING);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    CU_ASSERT_EQUAL(link_state(s->link), LINK_UP);
    command(s->link, &a, "FCALL_RO sg_version 0");
    command(s->link, &a, "CLIENT GETNAME");
    CU_ASSERT_TRUE(loop_until(s->base, &a.total, 2));
    char expected[16];
    snprintf(expected, sizeof expected, "%d", SG_FUNCTIONS_VERSION);
    CU_ASSERT_STRING_EQUAL(a.text[0], expected);
    CU_ASSERT_STRING_EQUAL(a.text[1], "syncgate");
    CU_ASSERT_EQUAL(link_stats(s->link)->connects, 1);
    close_link(s);
    server_stop(&server);
}

static void test_many_load_at_once(void)
{
    enum { N = 8 };
    struct server server;
    struct seen *s[N];
    server_start(&server, NULL);
    for (int i = 0; i < N; i++)
        s[i] = open_server(&server);
    for (bool all = false; !all;) {
        all = true;
        for (int i = 0; i < N; i++) {
            event_base_loop(s[i]->base, EVLOOP_NONBLOCK);
            all = all && s[i]->ups;
        }
    }
    for (int i = 0; i < N; i++) {
        CU_ASSERT_EQUAL(s[i]->ups, 1);
        CU_ASSERT_EQUAL(s[i]->logs, 0);
        close_link(s[i]);
    }
    server_stop(&server);
}

static void load_named(const struct server *server, const char *name, const char *code)
{
    char request[1024], answer[128], expected[64];
    snprintf(request, sizeof request, "*4\r\n$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n$7\r\nREPLACE\r\n$%zu\r\n%s\r\n",
             strlen(code), code);
    must(server_say(server, request, answer, sizeof answer), "FUNCTION LOAD");
    snprintf(expected, sizeof expected, "$%zu\r\n%s", strlen(name), name);
    CU_ASSERT_NSTRING_EQUAL(answer, expected, strlen(expected));
}

static void load_library(const struct server *server, const char *code)
{
    load_named(server, "syncgate", code);
}

static void load_version(const struct server *server, int version)
{
    char code[512];
    snprintf(code, sizeof code,
             "#!lua name=syncgate\nredis.register_function{function_name='sg_version', flags={'no-writes'},"
             " callback=function() return %d end}",
             version);
    load_library(server, code);
}

static void check_version(struct seen *s, int expected)
{
    struct answers a = {0};
    char text[16];
    command(s->link, &a, "FCALL_RO sg_version 0");
    CU_ASSERT_TRUE(loop_until(s->base, &a.total, 1));
    snprintf(text, sizeof text, "%d", expected);
    CU_ASSERT_STRING_EQUAL(a.text[0], text);
}

static void test_older_library_is_replaced(void)
{
    struct server server;
    server_start(&server, NULL);
    load_version(&server, SG_FUNCTIONS_VERSION - 1);
    struct seen *s = open_server(&server);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    check_version(s, SG_FUNCTIONS_VERSION);
    close_link(s);
    server_stop(&server);
}

static void test_newer_library_stays(void)
{
    struct server server;
    server_start(&server, NULL);
    load_version(&server, SG_FUNCTIONS_VERSION + 7);
    struct seen *s = open_server(&server);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    check_version(s, SG_FUNCTIONS_VERSION + 7);
    close_link(s);
    server_stop(&server);
}

static void test_foreign_library_is_replaced(void)
{
    struct server server;
    server_start(&server, NULL);
    load_library(&server, "#!lua name=syncgate\n"
                          "redis.register_function{function_name='other', callback=function() return 1 end}");
    struct seen *s = open_server(&server);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    check_version(s, SG_FUNCTIONS_VERSION);
    CU_ASSERT_EQUAL(s->logs, 0);
    close_link(s);
    server_stop(&server);
}

static void test_flushed_library_comes_back(void)
{
    struct server server;
    struct link_config c = {.ping_interval_ms = 20};
    server_start(&server, NULL);
    c.unix_path = server.socket;
    struct seen *s = open_link(&c);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    struct answers a = {0};
    command(s->link, &a, "FUNCTION FLUSH");
    CU_ASSERT_TRUE(loop_until(s->base, &a.total, 1));
    char ours[16];
    snprintf(ours, sizeof ours, "%d", SG_FUNCTIONS_VERSION);
    for (a.total = 0; strcmp(a.text[0], ours) != 0;) {
        a.total = 0;
        command(s->link, &a, "FCALL_RO sg_version 0");
        CU_ASSERT_TRUE_FATAL(loop_until(s->base, &a.total, 1));
    }
    CU_ASSERT_EQUAL(s->ups, 1);
    CU_ASSERT_EQUAL(s->downs, 0);
    close_link(s);
    server_stop(&server);
}

static void test_user_password_and_database(void)
{
    static const char *const options[] = {"--requirepass", "topsecret", "--user", "gate",  "on",
                                          ">pw:@/",        "~*",        "&*",     "+@all", NULL};
    struct server server;
    struct answers a = {0};
    char answer[64];
    signal(SIGPIPE, SIG_IGN);
    server_start(&server, options);
    CU_ASSERT_TRUE(server_say(&server, "PING\r\n", answer, sizeof answer));
    CU_ASSERT_NSTRING_EQUAL(answer, "-NOAUTH", 7);

    struct link_config plain = {.unix_path = server.socket, .password = "topsecret"};
    struct seen *s = open_link(&plain);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    close_link(s);

    struct link_config named = {.unix_path = server.socket, .user = "gate", .password = "pw:@/", .db = 5};
    s = open_link(&named);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    command(s->link, &a, "ACL WHOAMI");
    command(s->link, &a, "SET here 1");
    command(s->link, &a, "MOVE here 6");
    CU_ASSERT_TRUE(loop_until(s->base, &a.total, 3));
    CU_ASSERT_STRING_EQUAL(a.text[0], "gate");
    CU_ASSERT_STRING_EQUAL(a.text[2], "1");
    close_link(s);
    server_stop(&server);
}

/* A wrong password is tried again for ever, is told once, and never stands in the log. */
static void test_wrong_password_keeps_trying(void)
{
    static const char *const options[] = {"--requirepass", "topsecret", NULL};
    struct server server;
    server_start(&server, options);
    struct link_config c = {.unix_path = server.socket, .password = "hunter2", .backoff_max_ms = 5};
    struct seen *s = open_link(&c);
    char answer[64];
    CU_ASSERT_TRUE(loop_until(s->base, &s->logs, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(s->log, "WRONGPASS"));
    CU_ASSERT_PTR_NULL(strstr(s->log, "hunter2"));
    for (int tries = 0; tries < 10;) {
        enum link_state before = link_state(s->link);
        event_base_loop(s->base, EVLOOP_ONCE);
        tries += before == LINK_WAITING && link_state(s->link) != LINK_WAITING;
    }
    CU_ASSERT_EQUAL(s->logs, 1);
    CU_ASSERT_EQUAL(s->ups, 0);
    CU_ASSERT_EQUAL(s->downs, 0);
    CU_ASSERT_TRUE(server_say(&server, "AUTH topsecret\r\nCONFIG SET requirepass hunter2\r\n", answer, sizeof answer));
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    close_link(s);
    server_stop(&server);
}

/* --- commands and pushes --- */

static void test_commands_in_order(void)
{
    struct server server;
    struct answers a = {0};
    char word[32], expected[32];
    server_start(&server, NULL);
    struct seen *s = open_server(&server);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    for (int i = 0; i < 60; i++) {
        snprintf(word, sizeof word, "ECHO %d", i);
        command(s->link, &a, word);
    }
    command(s->link, NULL, "SET x 1");
    command(s->link, &a, "NOSUCHCOMMAND");
    CU_ASSERT_TRUE(link_outbox_bytes(s->link) > 0);
    CU_ASSERT_TRUE(loop_until(s->base, &a.total, 61));
    for (int i = 0; i < 60; i++) {
        snprintf(expected, sizeof expected, "%d", i);
        CU_ASSERT_STRING_EQUAL(a.text[i], expected);
    }
    CU_ASSERT_NSTRING_EQUAL(a.text[60], "ERR unknown command", 19);
    CU_ASSERT_EQUAL(link_outbox_bytes(s->link), 0);
    close_link(s);
    server_stop(&server);
}

static void test_not_up_answers_at_once(void)
{
    struct link_config c = {.unix_path = "/nonexistent/redis.sock"};
    struct seen *s = open_link(&c);
    struct answers a = {0};
    command(s->link, &a, "PING");
    CU_ASSERT_EQUAL(a.nulls, 1);
    command(s->link, NULL, "PING");
    CU_ASSERT_FALSE(subscribe(s->link, &a, "c"));
    CU_ASSERT_FALSE(unsubscribe(s->link, &a, "c"));
    CU_ASSERT_EQUAL(a.total, 1);
    CU_ASSERT_EQUAL(s->logs, 1);
    CU_ASSERT_EQUAL(link_outbox_bytes(s->link), 0);
    close_link(s);
}

static void test_pending_max_refuses(void)
{
    struct server server;
    struct answers a = {0};
    server_start(&server, NULL);
    struct link_config c = {.unix_path = server.socket, .pending_max = 3};
    struct seen *s = open_link(&c);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    for (int i = 0; i < 5; i++)
        command(s->link, &a, "ECHO x");
    CU_ASSERT_EQUAL(a.nulls, 2);
    CU_ASSERT_TRUE(loop_until(s->base, &a.replies, 3));
    command(s->link, &a, "ECHO x");
    CU_ASSERT_TRUE(loop_until(s->base, &a.replies, 4));
    CU_ASSERT_EQUAL(a.nulls, 2);
    close_link(s);
    server_stop(&server);
}

static void test_huge_command_is_refused(void)
{
    struct server server;
    struct answers a = {0};
    server_start(&server, NULL);
    struct seen *s = open_server(&server);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    size_t size = (size_t)65 << 20;
    char *huge = malloc(size);
    memset(huge, 'x', size);
    link_command(s->link, on_answer, &a, 2, (struct slice[]){SLICE_LIT("ECHO"), slice_of(huge, size)});
    CU_ASSERT_EQUAL(a.nulls, 1);
    /* What fits goes through whole, over many turns, and others behind it too. */
    link_command(s->link, on_answer, &a, 2, (struct slice[]){SLICE_LIT("ECHO"), slice_of(huge, size / 2)});
    command(s->link, &a, "ECHO behind");
    CU_ASSERT_TRUE(loop_until(s->base, &a.replies, 2));
    CU_ASSERT_STRING_EQUAL(a.text[2], "behind");
    CU_ASSERT_EQUAL(s->downs, 0);
    free(huge);
    close_link(s);
    server_stop(&server);
}

/* A subscription that does not fit into the outbox must not be missed silently: the link is lost, and all is made anew. */
static void test_full_outbox_rebuilds(void)
{
    struct server server;
    struct answers a = {0};
    size_t size = (size_t)32 << 20;
    char *large = malloc(size), channel[1024];
    memset(large, 'x', size);
    memset(channel, 'c', sizeof channel);
    server_start(&server, NULL);
    struct seen *s = open_server(&server);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    const struct slice fill[] = {SLICE_LIT("ECHO"), slice_of(large, size - 512)};
    link_command(s->link, on_answer, &a, 2, fill);
    link_command(s->link, on_answer, &a, 2, fill);
    CU_ASSERT_EQUAL(a.nulls, 0);
    CU_ASSERT_FALSE(link_subscribe(s->link, slice_of(channel, sizeof channel), on_subscribed, &a));
    CU_ASSERT_EQUAL(s->downs, 0); /* not from inside the call */
    CU_ASSERT_TRUE(loop_until(s->base, &s->downs, 1));
    CU_ASSERT_EQUAL(a.nulls, 2);
    CU_ASSERT_STRING_EQUAL(s->why, "its outbox is full");
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 2));
    free(large);
    close_link(s);
    server_stop(&server);
}

/* The reply of a read that follows SSUBSCRIBE comes after the subscription is in force, and messages stand in the stream
 * before the replies of what was asked later. */
static int pushes_at_reply;
static void on_ordered(void *arg, const struct reply *r)
{
    struct seen *s = arg;
    pushes_at_reply = r ? s->pushes : -1;
    s->logs++;
}

static void test_pushes_in_stream_order(void)
{
    struct server server;
    struct answers a = {0}, c = {0};
    server_start(&server, NULL);
    struct seen *s = open_server(&server);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    CU_ASSERT_TRUE(subscribe(s->link, &c, "c"));
    command(s->link, &a, "SPUBLISH c one");
    command(s->link, &a, "SPUBLISH c two");
    link_command(s->link, on_ordered, s, 1, (struct slice[]){SLICE_LIT("PING")});
    CU_ASSERT_TRUE(loop_until(s->base, &s->logs, 1));
    CU_ASSERT_STRING_EQUAL(a.text[0], "1");
    CU_ASSERT_STRING_EQUAL(a.text[1], "1");
    CU_ASSERT_EQUAL(pushes_at_reply, 2);
    CU_ASSERT_STRING_EQUAL(c.text[0], "c");
    CU_ASSERT_EQUAL(link_stats(s->link)->pushes, 3);
    close_link(s);
    server_stop(&server);
}

/* One subscription that is refused is the business of who asked for it: all else goes on, and no answer is shifted. */
static void test_a_refused_subscription_is_one(void)
{
    static const char *const options[] = {"--user", "gate", "on", ">pw", "~*", "resetchannels", "&good", "+@all", NULL};
    struct server server;
    struct answers a = {0};
    server_start(&server, options);
    struct link_config c = {.unix_path = server.socket, .user = "gate", .password = "pw"};
    struct seen *s = open_link(&c);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    subscribe(s->link, &a, "good");
    command(s->link, &a, "ECHO fine");
    subscribe(s->link, &a, "bad");
    command(s->link, &a, "ECHO next");
    subscribe(s->link, &a, "worse");
    unsubscribe(s->link, &a, "bad");
    unsubscribe(s->link, &a, "good");
    command(s->link, &a, "ECHO last");
    CU_ASSERT_TRUE(loop_until(s->base, &a.total, 8));
    CU_ASSERT_STRING_EQUAL(a.text[0], "good");
    CU_ASSERT_STRING_EQUAL(a.text[1], "fine");
    CU_ASSERT_NSTRING_EQUAL(a.text[2], "NOPERM", 6);
    CU_ASSERT_STRING_EQUAL(a.text[3], "next");
    CU_ASSERT_NSTRING_EQUAL(a.text[4], "NOPERM", 6);
    CU_ASSERT_STRING_EQUAL(a.text[5], "bad");
    CU_ASSERT_STRING_EQUAL(a.text[6], "good");
    CU_ASSERT_STRING_EQUAL(a.text[7], "last");
    CU_ASSERT_EQUAL(s->downs, 0);
    CU_ASSERT_EQUAL(link_stats(s->link)->protocol_errors, 0);
    close_link(s);
    server_stop(&server);
}

/* --- a cluster that gives slots away --- */

static void cluster_says(const struct server *server, const char *command, const char *expected)
{
    char answer[512];
    do {
        must(server_say(server, command, answer, sizeof answer), command);
    } while (strncmp(expected, "txt:", 4) == 0 && !strstr(answer, expected + 4));
    if (strncmp(expected, "txt:", 4) != 0)
        CU_ASSERT_NSTRING_EQUAL(answer, expected, strlen(expected));
}

static void cluster_start(struct server *server)
{
    static const char *const options[] = {"--cluster-enabled",
                                          "yes",
                                          "--port",
                                          NULL,
                                          "--bind",
                                          "127.0.0.1",
                                          "--cluster-port",
                                          NULL,
                                          "--cluster-require-full-coverage",
                                          "no",
                                          NULL};
    const char *argv[sizeof options / sizeof options[0]];
    char port[16], bus[16];
    memcpy(argv, options, sizeof options);
    snprintf(port, sizeof port, "%d", free_port());
    snprintf(bus, sizeof bus, "%d", free_port());
    argv[3] = port;
    argv[7] = bus;
    server_start(server, argv);
    cluster_says(server, "CLUSTER ADDSLOTSRANGE 0 16383\r\n", "+OK");
    cluster_says(server, "CLUSTER INFO\r\n", "txt:cluster_state:ok");
}

/* Each answer is that of its command whatever Redis says in between of its own accord: two channels of a slot that is given away, one of
 * them while it is asked for again, one while it is left. */
static void test_slots_given_away(void)
{
    struct server server;
    struct answers a = {0};
    static const char give_away[] = "CLUSTER DELSLOTS 15891\r\n";
    char answer[64];
    cluster_start(&server);
    struct seen *s = open_server(&server);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    subscribe(s->link, &a, "one{t}"); /* in slot 15891, as all of them */
    subscribe(s->link, &a, "two{t}");
    CU_ASSERT_TRUE(loop_until(s->base, &a.total, 2));
    a.total = 0;
    int other = server_connect(&server);
    must(other >= 0 && write(other, "PING\r\n", 6) == 6 && read(other, answer, sizeof answer) > 0, "PING");
    kill(server.pid, SIGSTOP); /* so that it finds all of this at once, and what came first first */
    must(write(other, give_away, sizeof give_away - 1) == sizeof give_away - 1, "DELSLOTS");
    unsubscribe(s->link, &a, "one{t}");
    subscribe(s->link, &a, "three{t}");
    command(s->link, &a, "ECHO first");
    subscribe(s->link, &a, "two{t}");
    command(s->link, &a, "GET x{t}");
    command(s->link, &a, "ECHO second");
    unsubscribe(s->link, &a, "two{t}");
    command(s->link, &a, "ECHO third");
    event_base_loop(s->base, EVLOOP_NONBLOCK);
    kill(server.pid, SIGCONT);
    CU_ASSERT_TRUE(loop_until(s->base, &a.total, 8));
    CU_ASSERT_STRING_EQUAL(a.text[0], "one{t}");
    CU_ASSERT_NSTRING_EQUAL(a.text[1], "CLUSTERDOWN", 11);
    CU_ASSERT_STRING_EQUAL(a.text[2], "first");
    CU_ASSERT_NSTRING_EQUAL(a.text[3], "CLUSTERDOWN", 11);
    CU_ASSERT_NSTRING_EQUAL(a.text[4], "CLUSTERDOWN", 11);
    CU_ASSERT_STRING_EQUAL(a.text[5], "second");
    CU_ASSERT_STRING_EQUAL(a.text[6], "two{t}");
    CU_ASSERT_STRING_EQUAL(a.text[7], "third");
    CU_ASSERT_EQUAL(s->downs, 0);
    CU_ASSERT_EQUAL(link_stats(s->link)->protocol_errors, 0);
    close(other);
    close_link(s);
    server_stop(&server);
}

/* --- loss and return --- */

static void test_killed_server(void)
{
    struct server server;
    int waiting = 5;
    struct answers a = {.waiting = &waiting};
    server_start(&server, NULL);
    struct seen *s = open_server(&server);
    s->waiting = &waiting;
    s->waiting_at_down = -1;
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));

    kill(server.pid, SIGSTOP);
    for (int i = 0; i < 5; i++)
        command(s->link, &a, "ECHO x");
    event_base_loop(s->base, EVLOOP_NONBLOCK);
    server_kill(&server);
    CU_ASSERT_TRUE(loop_until(s->base, &s->downs, 1));
    CU_ASSERT_EQUAL(a.nulls, 5);
    CU_ASSERT_EQUAL(a.replies, 0);
    CU_ASSERT_EQUAL(s->waiting_at_down, 0);
    CU_ASSERT_NOT_EQUAL(link_state(s->link), LINK_UP);

    server_run(&server, NULL);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 2));
    CU_ASSERT_EQUAL(s->downs, 1);
    CU_ASSERT_EQUAL(link_stats(s->link)->losses, 1);
    command(s->link, &a, "ECHO again");
    CU_ASSERT_TRUE(loop_until(s->base, &a.replies, 1));
    close_link(s);
    server_stop(&server);
}

static void test_stopped_server_is_away(void)
{
    struct server server;
    struct answers a = {0};
    server_start(&server, NULL);
    struct link_config c = {.unix_path = server.socket, .ping_interval_ms = 20, .ping_timeout_ms = 100};
    struct seen *s = open_link(&c);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    kill(server.pid, SIGSTOP);
    command(s->link, &a, "ECHO x");
    CU_ASSERT_TRUE(loop_until(s->base, &s->downs, 1));
    CU_ASSERT_EQUAL(a.nulls, 1);
    CU_ASSERT_STRING_EQUAL(s->why, "it does not answer");
    kill(server.pid, SIGCONT);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 2));
    close_link(s);
    server_stop(&server);
}

static void test_pings_measure(void)
{
    struct server server;
    server_start(&server, NULL);
    struct link_config c = {.unix_path = server.socket, .ping_interval_ms = 5};
    struct seen *s = open_link(&c);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    uint64_t before = link_stats(s->link)->commands;
    while (link_stats(s->link)->commands < before + 5)
        event_base_loop(s->base, EVLOOP_ONCE);
    CU_ASSERT_TRUE(link_stats(s->link)->rtt_us > 0);
    CU_ASSERT_TRUE(s->pongs >= 2); /* each is two commands, and the third is perhaps on its way */
    CU_ASSERT_EQUAL(s->downs, 0);
    close_link(s);
    server_stop(&server);
}

/* Given up at the end of the turn, with what was pending; and up again without anything being wrong. */
static void test_rebuild(void)
{
    struct server server;
    struct answers a = {0};
    server_start(&server, NULL);
    struct seen *s = open_server(&server);
    link_rebuild(s->link, "not up yet"); /* has no effect */
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    CU_ASSERT_EQUAL(s->downs, 0);
    int64_t heard_us = link_heard_us(s->link);
    CU_ASSERT_TRUE(heard_us > 0);

    command(s->link, &a, "ECHO x");
    link_rebuild(s->link, "as a test");
    CU_ASSERT_EQUAL(link_state(s->link), LINK_UP);
    CU_ASSERT_TRUE(loop_until(s->base, &s->downs, 1));
    CU_ASSERT_EQUAL(a.nulls, 1);
    CU_ASSERT_STRING_EQUAL(s->why, "as a test");
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 2));
    CU_ASSERT_EQUAL(s->downs, 1);
    CU_ASSERT_TRUE(link_heard_us(s->link) > heard_us);
    close_link(s);
    server_stop(&server);
}

/* A master that became a replica refuses a write: everything pending is given up, and nothing works until a master is back. */
/* A Redis that takes the link and drops it again gets rest; one that is only restarted some times does not have to wait. */
static void test_lost_while_young(void)
{
    enum { FREE = 3, SLOW_MS = 400 };
    struct server server;
    char answer[64];
    server_start(&server, NULL);
    struct link_config config = {.unix_path = server.socket, .backoff_max_ms = 1, .young_max_ms = SLOW_MS};
    struct seen *s = open_link(&config);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    for (int losses = 1; losses <= FREE + 10; losses++) {
        CU_ASSERT_TRUE(server_say(&server, "CLIENT KILL SKIPME yes\r\n", answer, sizeof answer));
        CU_ASSERT_TRUE(loop_until(s->base, &s->downs, losses));
        CU_ASSERT_EQUAL(strstr(s->log, "times in a row soon after") != NULL, losses > FREE);
        CU_ASSERT_TRUE(loop_until(s->base, &s->ups, losses + 1));
    }
    CU_ASSERT_EQUAL(link_stats(s->link)->young_losses, FREE + 10);
    CU_ASSERT_EQUAL(link_stats(s->link)->losses, FREE + 10);
    /* Half to all of the longest pause. */
    int64_t pause_ms = link_stats(s->link)->pause_ms;
    CU_ASSERT_TRUE(pause_ms >= SLOW_MS / 2 && pause_ms <= SLOW_MS);
    close_link(s);
    server_stop(&server);
}

/* What goes on is told when it begins, when it becomes worse, and not with every round. */
static void test_a_flapping_link_is_told_of_once(void)
{
    enum { ROUNDS = 20 };
    struct server server;
    char answer[64];
    server_start(&server, NULL);
    struct link_config config = {.unix_path = server.socket, .backoff_max_ms = 1, .young_max_ms = 2};
    struct seen *s = open_link(&config);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    for (int losses = 1; losses <= ROUNDS; losses++) {
        CU_ASSERT_TRUE(server_say(&server, "CLIENT KILL SKIPME yes\r\n", answer, sizeof answer));
        CU_ASSERT_TRUE(loop_until(s->base, &s->ups, losses + 1));
    }
    CU_ASSERT_EQUAL(s->downs, ROUNDS);
    CU_ASSERT_TRUE(s->lines <= 10);
    close_link(s);
    server_stop(&server);
}

/* Somebody else's library has a function of ours: each attempt fails, which is told once, and once more when the link is up. */
static void test_a_library_that_cannot_be_loaded(void)
{
    static const char foreign[] = "#!lua name=foreign\n"
                                  "redis.register_function{function_name='sg_state', callback=function() return 1 end}";
    struct server server;
    struct answers a = {0};
    server_start(&server, NULL);
    load_named(&server, "foreign", foreign);
    struct link_config c = {.unix_path = server.socket, .backoff_max_ms = 2, .ping_interval_ms = 2};
    struct seen *s = open_link(&c);
    for (int tries = 0; tries < 10;) {
        enum link_state before = link_state(s->link);
        event_base_loop(s->base, EVLOOP_ONCE);
        tries += before == LINK_WAITING && link_state(s->link) != LINK_WAITING;
    }
    CU_ASSERT_EQUAL(s->lines, 2);
    char answer[64];
    must(server_say(&server, "FUNCTION FLUSH\r\n", answer, sizeof answer), "FUNCTION FLUSH");
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    int lines = s->lines, pongs = s->pongs;
    must(server_say(&server, "FUNCTION DELETE syncgate\r\n", answer, sizeof answer), "FUNCTION DELETE");
    load_named(&server, "foreign", foreign);
    CU_ASSERT_TRUE(loop_until(s->base, &s->pongs, pongs + 20));
    CU_ASSERT_TRUE(s->lines <= lines + 4);
    must(server_say(&server, "FUNCTION DELETE foreign\r\n", answer, sizeof answer), "FUNCTION DELETE");
    while (!strstr(s->said, "there again"))
        event_base_loop(s->base, EVLOOP_ONCE);
    CU_ASSERT_EQUAL(s->downs, 0);
    CU_ASSERT_EQUAL(a.total, 0);
    close_link(s);
    server_stop(&server);
}

static void test_replica_is_away(void)
{
    struct server server;
    struct answers a = {0};
    char answer[64];
    server_start(&server, NULL);
    struct seen *s = open_server(&server);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    CU_ASSERT_TRUE(server_say(&server, "REPLICAOF 127.0.0.1 1\r\n", answer, sizeof answer));
    command(s->link, &a, "SET x 1");
    command(s->link, &a, "ECHO x");
    CU_ASSERT_TRUE(loop_until(s->base, &s->downs, 1));
    CU_ASSERT_EQUAL(a.nulls, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(s->why, "READONLY"));
    int logs = s->logs;
    CU_ASSERT_TRUE(loop_until(s->base, &s->logs, logs + 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(s->log, "it is a replica"));
    CU_ASSERT_TRUE(server_say(&server, "REPLICAOF NO ONE\r\n", answer, sizeof answer));
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 2));
    close_link(s);
    server_stop(&server);
}

/* --- freeing inside of callbacks --- */

static void test_free_in_reply(void)
{
    struct server server;
    struct answers a = {0};
    server_start(&server, NULL);
    struct seen *s = open_server(&server);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    command(s->link, &a, "ECHO one");
    command(s->link, &a, "ECHO two");
    command(s->link, &a, "ECHO three");
    a.free_this = s->link;
    CU_ASSERT_TRUE(loop_until(s->base, &a.total, 3));
    CU_ASSERT_EQUAL(a.replies, 1);
    CU_ASSERT_EQUAL(a.nulls, 2);
    CU_ASSERT_EQUAL(s->downs, 0);
    event_base_free(s->base);
    free(s);
    server_stop(&server);
}

static void test_free_in_loss(void)
{
    struct server server;
    struct answers a = {0};
    server_start(&server, NULL);
    struct seen *s = open_server(&server);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    kill(server.pid, SIGSTOP);
    command(s->link, &a, "ECHO one");
    command(s->link, &a, "ECHO two");
    a.free_this = s->link;
    event_base_loop(s->base, EVLOOP_NONBLOCK);
    server_kill(&server);
    CU_ASSERT_TRUE(loop_until(s->base, &a.nulls, 2));
    CU_ASSERT_EQUAL(s->downs, 0);
    event_base_free(s->base);
    free(s);
    server_stop(&server);
}

static void test_free_on_up(void)
{
    struct server server;
    server_start(&server, NULL);
    struct seen *s = open_server(&server);
    s->free_on_up = true;
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    event_base_free(s->base);
    free(s);
    server_stop(&server);
}

/* --- servers that are none --- */

struct fake {
    int listener;
    int port;
    pid_t pid;
};

/* fake_serve answers every connection with the same bytes, and with `more` (may be NULL) when it speaks again. */
static void fake_serve(struct fake *f, const char *bytes, size_t len, const char *more)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(f->listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(f->listener, 16) == 0, "listen");
    must(getsockname(f->listener, (struct sockaddr *)&at, &size) == 0, "getsockname");
    f->port = ntohs(at.sin_port);
    f->pid = fork();
    if (f->pid)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        char rest[4096];
        int fd = accept(f->listener, NULL, NULL);
        (void)!read(fd, rest, sizeof rest);
        (void)!write(fd, bytes, len);
        if (more && read(fd, rest, sizeof rest) > 0)
            (void)!write(fd, more, strlen(more));
        while (read(fd, rest, sizeof rest) > 0)
            continue;
        close(fd);
    }
}

static void fake_start(struct fake *f, const char *bytes, size_t len)
{
    fake_serve(f, bytes, len, NULL);
}

static void fake_start_twice(struct fake *f, const char *bytes, const char *more)
{
    fake_serve(f, bytes, strlen(bytes), more);
}

static void fake_stop(struct fake *f)
{
    kill(f->pid, SIGKILL);
    waitpid(f->pid, NULL, 0);
    close(f->listener);
}

static void test_garbage_is_survived(void)
{
    static const struct {
        const char *bytes;
        const char *why; /* part of what is logged */
    } cases[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", "as reply type byte"},
        {"SSH-2.0-OpenSSH_9.2\r\n", "as reply type byte"},
        {"+OK\r\n", "does not speak"},
        {":1\r\n:2\r\n:3\r\n:4\r\n:5\r\n", "does not speak"},
        {"-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'default' 'hunter2'\r\n", "Redis 7.0"},
        {"*0\r\n:9999\r\n:2\r\n", "nobody asked for"}, /* the version is good enough */
        {"*0\r\n-ERR go away\r\n", "ERR go away"},
        {">2\r\n$7\r\nmessage\r\n$1\r\nx\r\nboo", "as reply type byte"},
        {"$99999999999\r\n", "too long"},
        {"*4294967295\r\n", "out of range"},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "too deeply"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake f;
        fake_start(&f, cases[i].bytes, strlen(cases[i].bytes));
        struct link_config c = {.host = "127.0.0.1", .port = f.port, .password = "hunter2", .backoff_max_ms = 1};
        struct seen *s = open_link(&c);
        CU_ASSERT_TRUE(loop_until(s->base, &s->logs, 1));
        CU_ASSERT_PTR_NOT_NULL(strstr(s->log, cases[i].why));
        if (!strstr(s->log, cases[i].why))
            fprintf(stderr, "case %zu: %s\n", i, s->log);
        CU_ASSERT_PTR_NULL(strstr(s->log, "hunter2"));
        close_link(s);
        fake_stop(&f);
    }
}

/* One answer too many: whatever its cause, it does not last until the next ping, and not until the next answer that looks odd. */
static void check_shift(const char *wrong, bool ping)
{
    struct fake f;
    fake_start_twice(&f, "%0\r\n:9999\r\n", wrong);
    struct link_config c = {
        .host = "127.0.0.1", .port = f.port, .backoff_max_ms = 1, .ping_interval_ms = ping ? 1 : 60000};
    struct seen *s = open_link(&c);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    if (!ping)
        link_check(s->link);
    CU_ASSERT_TRUE(loop_until(s->base, &s->downs, 1));
    CU_ASSERT_EQUAL(link_stats(s->link)->protocol_errors, 1);
    close_link(s);
    fake_stop(&f);
}

static void test_shifted_answers(void)
{
    check_shift("$1\r\n7\r\n:9999\r\n", true); /* another ping's echo */
    check_shift(":9999\r\n:9999\r\n", true);   /* the answer of something else */
    check_shift("$1\r\n1\r\n*0\r\n", true);    /* no version */
    check_shift("$5\r\nother\r\n", false);
    check_shift(">3\r\n$10\r\nssubscribe\r\n$1\r\nc\r\n:1\r\n", true); /* of what was not asked for */
}

static void test_silence_is_survived(void)
{
    struct fake f;
    fake_start(&f, "", 0);
    struct link_config c = {.host = "127.0.0.1", .port = f.port, .ping_timeout_ms = 50, .backoff_max_ms = 1};
    struct seen *s = open_link(&c);
    CU_ASSERT_TRUE(loop_until(s->base, &s->logs, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(s->log, "does not greet in time"));
    close_link(s);
    fake_stop(&f);
}

/* --- addresses --- */

static void test_tcp_by_number_and_name(void)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    struct server server;
    char port[16];
    snprintf(port, sizeof port, "%d", free_port());
    const char *options[] = {"--port", port, "--bind", "127.0.0.1", NULL};
    server_start(&server, options);
    for (size_t i = 0; i < 2; i++) {
        struct link_config c = {.host = hosts[i], .port = (int)strtol(port, NULL, 10)};
        struct seen *s = open_link(&c);
        CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
        close_link(s);
    }
    server_stop(&server);
}

static void test_refused_port_keeps_trying(void)
{
    struct link_config c = {.host = "127.0.0.1", .port = free_port(), .backoff_max_ms = 2};
    struct seen *s = open_link(&c);
    CU_ASSERT_TRUE(loop_until(s->base, &s->logs, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(s->log, "Connection refused"));
    struct server server;
    char port[16];
    snprintf(port, sizeof port, "%d", c.port);
    const char *options[] = {"--port", port, "--bind", "127.0.0.1", NULL};
    server_start(&server, options);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    close_link(s);
    server_stop(&server);
}

/* Whether a name server says no or there is none to be reached, the link goes on trying. */
static void test_unknown_name_keeps_trying(void)
{
    struct link_config c = {.host = "host.invalid", .port = 1, .ping_timeout_ms = 30, .backoff_max_ms = 1};
    struct seen *s = open_link(&c);
    CU_ASSERT_EQUAL(link_state(s->link), LINK_CONNECTING);
    CU_ASSERT_TRUE(loop_until(s->base, &s->logs, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(s->log, "name"));
    close_link(s); /* with a question in flight, or not */
    s = open_link(&c);
    close_link(s); /* with one in flight, surely */
}

/* --- TLS --- */

static void make_certificate(const struct server *server, const char *file, const char *name)
{
    char shell[512];
    snprintf(shell, sizeof shell,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=%s "
             "-addext subjectAltName=%s -keyout %s/%s.key -out %s/%s.crt 2>/dev/null",
             file, name, server->dir, file, server->dir, file);
    must(system(shell) == 0, "openssl");
}

/* A server with a certificate for localhost at 127.0.0.1:port. */
static void secure_run(struct server *server, int port)
{
    char number[16], certificate[128], key[128];
    snprintf(number, sizeof number, "%d", port);
    snprintf(certificate, sizeof certificate, "%s/redis.crt", server->dir);
    snprintf(key, sizeof key, "%s/redis.key", server->dir);
    const char *options[] = {"--tls-port", number,           "--bind", "127.0.0.1",          "--tls-cert-file",
                             certificate,  "--tls-key-file", key,      "--tls-auth-clients", "no",
                             NULL};
    server_run(server, options);
}

static void secure_start(struct server *server, int port)
{
    server_start(server, NULL); /* for its folder */
    server_kill(server);
    make_certificate(server, "redis", "DNS:localhost");
    make_certificate(server, "other", "DNS:localhost");
    secure_run(server, port);
}

static void test_tls(void)
{
    struct server server;
    struct answers a = {0};
    char authority[128];
    int port = free_port();
    size_t size = (size_t)20 << 20;
    char *large = malloc(size);
    memset(large, 'x', size);
    secure_start(&server, port);
    snprintf(authority, sizeof authority, "%s/redis.crt", server.dir);

    struct link_config c = {.host = "localhost", .port = port, .tls = true, .tls_ca_file = authority};
    struct seen *s = open_link(&c);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 1));
    link_command(s->link, on_answer, &a, 2, (struct slice[]){SLICE_LIT("ECHO"), slice_of(large, size)});
    command(s->link, &a, "ECHO behind");
    CU_ASSERT_TRUE(loop_until(s->base, &a.replies, 2));
    CU_ASSERT_STRING_EQUAL(a.text[1], "behind");
    CU_ASSERT_TRUE(link_stats(s->link)->bytes_in > size);
    server_kill(&server);
    CU_ASSERT_TRUE(loop_until(s->base, &s->downs, 1));
    secure_run(&server, port);
    CU_ASSERT_TRUE(loop_until(s->base, &s->ups, 2));
    close_link(s);
    free(large);
    server_stop(&server);
}

static void test_tls_refuses_whom_it_cannot_know(void)
{
    struct server server;
    char authority[128], other[128];
    int port = free_port();
    secure_start(&server, port);
    snprintf(authority, sizeof authority, "%s/redis.crt", server.dir);
    snprintf(other, sizeof other, "%s/other.crt", server.dir);
    const struct {
        const char *host, *ca_file, *why;
    } cases[] = {
        {"127.0.0.1", authority, "certificate is refused: IP address mismatch"}, /* it is another host's */
        {"localhost", other, "certificate is refused"},                          /* of another authority */
        {"localhost", NULL, "certificate is refused"},                           /* none of the system's */
        {"localhost", "/nonexistent.crt", "cannot use /nonexistent.crt"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct link_config c = {.host = cases[i].host, .port = port, .tls = true, .tls_ca_file = cases[i].ca_file};
        struct seen *s = open_link(&c);
        CU_ASSERT_TRUE(loop_until(s->base, &s->logs, 1));
        CU_ASSERT_PTR_NOT_NULL(strstr(s->log, cases[i].why));
        if (!strstr(s->log, cases[i].why))
            fprintf(stderr, "case %zu: %s\n", i, s->log);
        CU_ASSERT_EQUAL(s->ups, 0);
        close_link(s);
    }
    server_stop(&server);
}

/* TLS spoken to a server that knows none. */
static void test_tls_against_plain(void)
{
    struct server server;
    char port[16];
    snprintf(port, sizeof port, "%d", free_port());
    const char *options[] = {"--port", port, "--bind", "127.0.0.1", NULL};
    server_start(&server, options);
    struct link_config c = {
        .host = "127.0.0.1", .port = (int)strtol(port, NULL, 10), .tls = true, .ping_timeout_ms = 200};
    struct seen *s = open_link(&c);
    CU_ASSERT_TRUE(loop_until(s->base, &s->logs, 1));
    CU_ASSERT_EQUAL(s->ups, 0);
    close_link(s);
    server_stop(&server);
}

static void test_library_source_has_our_version(void)
{
    char expected[32];
    snprintf(expected, sizeof expected, "VERSION = %d\n", SG_FUNCTIONS_VERSION);
    CU_ASSERT_PTR_NOT_NULL(strstr(sg_functions_lua, expected));
    CU_ASSERT_EQUAL(strlen(sg_functions_lua), sg_functions_lua_len);
}

UNIT_MAIN("redis/link_live", UNIT(test_greets_and_loads_the_library), UNIT(test_many_load_at_once),
          UNIT(test_older_library_is_replaced), UNIT(test_newer_library_stays), UNIT(test_foreign_library_is_replaced),
          UNIT(test_flushed_library_comes_back), UNIT(test_user_password_and_database),
          UNIT(test_wrong_password_keeps_trying), UNIT(test_commands_in_order), UNIT(test_not_up_answers_at_once),
          UNIT(test_pending_max_refuses), UNIT(test_huge_command_is_refused), UNIT(test_full_outbox_rebuilds),
          UNIT(test_pushes_in_stream_order), UNIT(test_a_refused_subscription_is_one), UNIT(test_slots_given_away),
          UNIT(test_a_flapping_link_is_told_of_once), UNIT(test_a_library_that_cannot_be_loaded),
          UNIT(test_shifted_answers), UNIT(test_killed_server), UNIT(test_stopped_server_is_away),
          UNIT(test_pings_measure), UNIT(test_rebuild), UNIT(test_lost_while_young), UNIT(test_replica_is_away),
          UNIT(test_free_in_reply), UNIT(test_free_in_loss), UNIT(test_free_on_up), UNIT(test_garbage_is_survived),
          UNIT(test_silence_is_survived), UNIT(test_tcp_by_number_and_name), UNIT(test_refused_port_keeps_trying),
          UNIT(test_unknown_name_keeps_trying), UNIT(test_tls), UNIT(test_tls_refuses_whom_it_cannot_know),
          UNIT(test_tls_against_plain), UNIT(test_library_source_has_our_version))
