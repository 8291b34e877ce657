/* Two queues and a window of bytes. */
#include "gateway/state/reads.h"

enum { LATER_EVERY = 4 }; /* one in so many goes to those for whom nobody waits, so that they do come */

void reads_init(struct reads *r)
{
    *r = (struct reads){._window = READS_WINDOW_MAX};
    list_init(&r->_urgent);
    list_init(&r->_later);
    list_init(&r->_in_flight);
}

static void put(struct list *l, struct read *one)
{
    one->_in = l;
    list_append(l, &one->_node);
}

static void take_out(struct read *one)
{
    if (one->_in)
        list_remove(one->_in, &one->_node);
    one->_in = NULL;
}

void reads_want(struct reads *r, struct read *one, bool urgent)
{
    struct list *to = urgent ? &r->_urgent : &r->_later;
    if (one->_in == &r->_in_flight || one->_in == &r->_urgent || one->_in == to)
        return;
    take_out(one);
    put(to, one);
}

static struct read *first(const struct reads *r)
{
    bool later = r->_urgent.count == 0 || r->_turn % LATER_EVERY == LATER_EVERY - 1;
    const struct list *from = later && r->_later.count > 0 ? &r->_later : &r->_urgent;
    struct list_node *n = list_first(from);
    return n ? container_of(n, struct read, _node) : NULL;
}

static bool any_blamed(const struct reads *r)
{
    struct list_node *n = list_first(&r->_in_flight); /* if one is, it is alone */
    return n && container_of(n, struct read, _node)->blame;
}

static bool fits(const struct reads *r, const struct read *one, size_t room)
{
    if (r->_in_flight.count == 0)
        return true;
    return !one->blame && !any_blamed(r) && r->_in_flight.count < READS_MAX && r->_bytes + room <= r->_window;
}

/* The first in turn goes or none, so that a large one is not overtaken for ever. */
struct read *reads_next(struct reads *r)
{
    struct read *one = first(r);
    if (!one)
        return NULL;
    size_t room = one->expect ? one->expect + one->expect / 4 + READS_ROOM_EXTRA : READS_ROOM_FIRST;
    if (!fits(r, one, room))
        return NULL;
    r->_turn++;
    take_out(one);
    one->room = room;
    r->_bytes += room;
    put(&r->_in_flight, one);
    return one;
}

/* A window that was halved for a loss that had another cause, as an outage of the network, is not narrow for ever. */
static void answered(struct reads *r, size_t bytes)
{
    r->_bytes -= bytes;
    r->_since_loss += bytes;
    if (r->_window == READS_WINDOW_MAX || r->_since_loss / READS_WINDOWS_REGAIN < r->_window)
        return;
    r->_window *= 2;
    r->_since_loss = 0;
}

void reads_done(struct reads *r, struct read *one)
{
    if (one->_in == &r->_in_flight)
        answered(r, one->room);
    take_out(one);
}

static struct read *largest(const struct reads *r)
{
    struct read *found = NULL;
    list_each(&r->_in_flight, n)
    {
        struct read *one = container_of(n, struct read, _node);
        if (!found || one->room > found->room)
            found = one;
    }
    return found;
}

static void forget(struct list *l)
{
    list_each(l, n) take_out(container_of(n, struct read, _node));
}

/* Nobody tells why the link was lost. If it was an answer, it was the largest most likely; if it was all of them, fewer at once will
 * pass. If it was neither, reading one name alone and the others more slowly costs little. */
struct read *reads_lost(struct reads *r)
{
    struct read *suspect = largest(r);
    bool alone = r->_in_flight.count == 1;
    if (suspect && suspect->room < READS_CULPRIT)
        suspect = NULL;
    if (suspect)
        suspect->blame += alone ? 2 : 1;
    if (r->_in_flight.count > 1 && r->_window / 2 >= READS_WINDOW_MIN)
        r->_window /= 2;
    forget(&r->_in_flight);
    forget(&r->_urgent);
    forget(&r->_later);
    r->_bytes = 0;
    r->_since_loss = 0;
    return suspect && alone && suspect->blame >= READS_BLAME_MAX ? suspect : NULL;
}
