/* The porch with real sockets on loopback: who waits, who enters, who is turned away. */
#include "gateway/net/porch.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/observe/metrics.h"
#include "tests/unit/unit.h"

enum { MANY = PORCH_INSIDE_MAX + 40 };

static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

static struct scene {
    struct event_base *base;
    struct porch *porch;
    int listener;
    struct sockaddr_in address;
    struct visitor *inside[MANY];
    int fds[MANY];
    size_t entered, kicked, turned;
    unsigned status; /* of the last one turned away */
    bool crowd;
} s;

static void on_enter(void *arg, struct visitor *v, int fd, void *door)
{
    CU_ASSERT_PTR_EQUAL_FATAL(arg, &s);
    CU_ASSERT_PTR_EQUAL(door, &s.listener);
    CU_ASSERT_FATAL(s.entered < MANY);
    s.inside[s.entered] = v;
    s.fds[s.entered++] = fd;
}

static void on_kick(void *arg, struct visitor *v, int fd)
{
    (void)arg;
    (void)v;
    (void)fd;
    s.kicked++;
}

static size_t on_turned_away(void *arg, const struct remote *remote, unsigned status, const char *why,
                             const struct head *head, char *answer)
{
    (void)arg;
    (void)head;
    CU_ASSERT_EQUAL(remote->family, AF_INET);
    CU_ASSERT_PTR_NOT_NULL(why);
    s.turned++;
    s.status = status;
    return status >= 400 ? (size_t)snprintf(answer, PORCH_REFUSAL_BYTES, "refused %u", status) : 0;
}

static bool on_is_crowd(void *arg, const struct remote *remote)
{
    (void)arg;
    (void)remote;
    return s.crowd;
}

static void begin(size_t waiting_max, bool crowd)
{
    static const struct porch_events events = {
        .enter = on_enter, .kick = on_kick, .turned_away = on_turned_away, .is_crowd = on_is_crowd};
    s = (struct scene){.crowd = crowd, .base = event_base_new(), .listener = socket(AF_INET, SOCK_STREAM, 0)};
    s.address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(s.address);
    CU_ASSERT_EQUAL_FATAL(bind(s.listener, (struct sockaddr *)&s.address, len), 0);
    CU_ASSERT_EQUAL_FATAL(listen(s.listener, 64), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(s.listener, (struct sockaddr *)&s.address, &len), 0);
    s.porch = porch_new(s.base, waiting_max, &events, &s);
}

static void leave(size_t i)
{
    porch_leave(s.inside[i]);
    close(s.fds[i]);
}

static void finish(size_t first_inside)
{
    for (size_t i = first_inside; i < s.entered; i++)
        leave(i);
    porch_free(s.porch);
    event_base_free(s.base);
    close(s.listener);
}

/* A client from 127.0.0.`host`, who has said this before he is taken. */
static int client(unsigned host, const char *text, bool tls)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000u + host)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&s.address, sizeof(s.address)), 0);
    CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    porch_take(s.porch, accept4(s.listener, NULL, NULL, SOCK_NONBLOCK), &s.listener, tls);
    return fd;
}

static void turn(void)
{
    event_base_loop(s.base, EVLOOP_NONBLOCK);
}

static int64_t waiting(void)
{
    return metrics[METRIC_HANDSHAKES_WAITING];
}

/* What the client is told until its connection ends. */
static void told(int fd, const char *text)
{
    char have[64] = "";
    size_t len = 0;
    for (ssize_t n; len < sizeof(have) - 1 && (n = read(fd, have + len, sizeof(have) - 1 - len)) > 0;)
        len += (size_t)n;
    CU_ASSERT_STRING_EQUAL(have, text);
    close(fd);
}

static void test_a_whole_request_enters_at_once(void)
{
    begin(0, false);
    int fd = client(1, request, false);
    CU_ASSERT_EQUAL(s.entered, 1);
    CU_ASSERT_EQUAL(metrics[METRIC_HANDSHAKES_INSIDE], 1);
    char text[sizeof(request)] = "";
    CU_ASSERT_EQUAL(read(s.fds[0], text, sizeof(text)), sizeof(request) - 1); /* it was only looked at */
    CU_ASSERT_TRUE(porch_saw_head(s.inside[0]));
    finish(0);
    CU_ASSERT_EQUAL(metrics[METRIC_HANDSHAKES_INSIDE], 0);
    close(fd);
}

static void test_half_a_request_waits(void)
{
    begin(0, false);
    int fd = client(1, "GET / HT", false);
    for (int i = 0; i < 3; i++)
        turn();
    CU_ASSERT_EQUAL(s.entered, 0);
    CU_ASSERT_EQUAL(waiting(), 1);
    CU_ASSERT_EQUAL(write(fd, request + 8, sizeof(request) - 9), sizeof(request) - 9);
    turn();
    CU_ASSERT_EQUAL(s.entered, 1);
    CU_ASSERT_EQUAL(waiting(), 0);
    finish(0);
    close(fd);
}

static void test_behind_tls_one_byte_is_enough(void)
{
    begin(0, false);
    int fd = client(1, "", true);
    turn();
    CU_ASSERT_EQUAL(s.entered, 0);
    CU_ASSERT_EQUAL(write(fd, "\x16", 1), 1);
    turn();
    CU_ASSERT_EQUAL(s.entered, 1);
    CU_ASSERT_FALSE(porch_saw_head(s.inside[0]));
    finish(0);
    close(fd);
}

static void test_who_goes_is_forgotten(void)
{
    begin(0, false);
    close(client(1, "", false));
    close(client(1, "GET", false));
    turn();
    CU_ASSERT_EQUAL(waiting(), 0);
    CU_ASSERT_EQUAL(s.turned, 0);
    finish(0);
}

static void test_a_refusal_arrives_although_more_was_sent(void)
{
    begin(0, false);
    int fd = client(1, "GET / HTTP/1.1\r\nContent-Length: 9\r\n\r\nnot wanted", false);
    CU_ASSERT_EQUAL(s.status, 413);
    turn();
    CU_ASSERT_EQUAL(write(fd, "more of it", 10), 10);
    turn();
    told(fd, "refused 413");
    finish(0);
}

static void test_one_address_has_a_share_of_the_waiting(void)
{
    int fds[PORCH_ADDRESS_WAITING_MAX + 1];
    begin(0, false);
    int other = client(2, "", false);
    int first = client(1, "", false);
    CU_ASSERT_EQUAL(write(first, request, sizeof(request) - 1), sizeof(request) - 1); /* not seen yet */
    for (size_t i = 0; i < PORCH_ADDRESS_WAITING_MAX; i++)
        fds[i] = client(1, "", false);
    CU_ASSERT_EQUAL(s.entered, 1); /* who made room had something to say */
    CU_ASSERT_EQUAL(s.turned, 0);
    fds[PORCH_ADDRESS_WAITING_MAX] = client(1, "", false);
    CU_ASSERT_EQUAL(s.turned, 1);
    CU_ASSERT_EQUAL(s.status, PORCH_CROWDED);
    told(fds[0], ""); /* who has waited longest */
    CU_ASSERT_EQUAL(waiting(), PORCH_ADDRESS_WAITING_MAX + 1);
    for (size_t i = 1; i <= PORCH_ADDRESS_WAITING_MAX; i++)
        close(fds[i]);
    close(other);
    close(first);
    finish(0);
}

static void test_a_proxy_stands_for_many(void)
{
    int fds[PORCH_ADDRESS_WAITING_MAX + 10];
    begin(0, true);
    for (size_t i = 0; i < PORCH_ADDRESS_WAITING_MAX + 10; i++)
        fds[i] = client(1, "", false);
    CU_ASSERT_EQUAL(s.turned, 0);
    for (size_t i = 0; i < PORCH_ADDRESS_WAITING_MAX + 10; i++)
        close(fds[i]);
    finish(0);
}

static void test_all_addresses_together_are_bounded(void)
{
    int fds[20];
    begin(16, false);
    for (unsigned i = 0; i < 20; i++)
        fds[i] = client(1 + i, "", false);
    CU_ASSERT_EQUAL(s.turned, 4);
    CU_ASSERT_EQUAL(waiting(), 16);
    for (unsigned i = 0; i < 4; i++)
        told(fds[i], "");
    for (unsigned i = 4; i < 20; i++)
        close(fds[i]);
    finish(0);
}

static void test_one_address_has_a_share_of_the_places(void)
{
    int fds[PORCH_ADDRESS_INSIDE_MAX + 2];
    begin(0, false);
    for (size_t i = 0; i < PORCH_ADDRESS_INSIDE_MAX + 1; i++)
        fds[i] = client(1, request, false);
    CU_ASSERT_EQUAL(s.entered, PORCH_ADDRESS_INSIDE_MAX);
    CU_ASSERT_EQUAL(waiting(), 1);
    fds[PORCH_ADDRESS_INSIDE_MAX + 1] = client(2, request, false);
    CU_ASSERT_EQUAL(s.entered, PORCH_ADDRESS_INSIDE_MAX + 1);
    leave(0);
    turn();
    CU_ASSERT_EQUAL(s.entered, PORCH_ADDRESS_INSIDE_MAX + 2);
    CU_ASSERT_EQUAL(waiting(), 0);
    finish(1);
    for (size_t i = 0; i < PORCH_ADDRESS_INSIDE_MAX + 2; i++)
        close(fds[i]);
}

/* Four addresses take all places, and wait for more; a fifth comes last and is next but four. */
static void test_addresses_take_turns(void)
{
    enum { EACH = PORCH_ADDRESS_INSIDE_MAX, ADDRESSES = PORCH_INSIDE_MAX / EACH };
    static int fds[MANY];
    size_t n = 0;
    begin(0, false);
    for (unsigned a = 0; a < ADDRESSES; a++)
        for (int i = 0; i < EACH + 5; i++)
            fds[n++] = client(1 + a, request, false);
    CU_ASSERT_EQUAL(s.entered, PORCH_INSIDE_MAX);
    fds[n++] = client(99, request, false);
    CU_ASSERT_EQUAL(waiting(), 5 * ADDRESSES + 1);
    struct visitor *last = NULL;
    for (unsigned i = 0; i < ADDRESSES + 1; i++) {
        leave(EACH * (i % ADDRESSES) + i / ADDRESSES); /* one of each address */
        turn();
        last = s.inside[s.entered - 1];
    }
    CU_ASSERT_EQUAL(s.entered, PORCH_INSIDE_MAX + ADDRESSES + 1);
    bool found = false;
    for (size_t i = PORCH_INSIDE_MAX; i < s.entered; i++)
        found = found || porch_remote(s.inside[i])->address[3] == 99;
    CU_ASSERT_TRUE(found);
    CU_ASSERT_PTR_NOT_NULL(last);
    for (unsigned a = 0; a < ADDRESSES; a++)
        s.inside[EACH * a] = NULL;
    s.inside[1] = NULL;
    for (size_t i = 0; i < s.entered; i++)
        if (s.inside[i])
            leave(i);
    finish(s.entered);
    while (n > 0)
        close(fds[--n]);
}

static void test_closing_tells_who_waits(void)
{
    begin(0, false);
    int fd = client(1, "GET", false);
    porch_close(s.porch, "draining");
    CU_ASSERT_EQUAL(s.status, 503);
    CU_ASSERT_EQUAL(waiting(), 0);
    shutdown(fd, SHUT_WR);
    turn();
    told(fd, "refused 503");
    finish(0);
}

UNIT_MAIN("gateway/net/porch", UNIT(test_a_whole_request_enters_at_once), UNIT(test_half_a_request_waits),
          UNIT(test_behind_tls_one_byte_is_enough), UNIT(test_who_goes_is_forgotten),
          UNIT(test_a_refusal_arrives_although_more_was_sent), UNIT(test_one_address_has_a_share_of_the_waiting),
          UNIT(test_a_proxy_stands_for_many), UNIT(test_all_addresses_together_are_bounded),
          UNIT(test_one_address_has_a_share_of_the_places), UNIT(test_addresses_take_turns),
          UNIT(test_closing_tells_who_waits))
