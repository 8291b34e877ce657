/* The engines of two gateways in a world of memory: topics, subscriptions, fan-out, calls, connections and the peers above them are the
 * gateway's own objects; Redis, the sockets, the clock and the clients are played here, behind the headers of redis/ and of
 * net/socket.h, whose functions this program defines itself. Nothing happens by itself: a test moves commands to Redis, what Redis says
 * to the gateways, bytes out of the sockets, and the clock.
 *
 * There is one world at a time. Names are few, values and ids of items are small numbers. A client is connected to the gateway that its
 * number says, the even ones to the first, the odd ones to the second; or to the other one, when that takes nobody. */
#ifndef SYNCGATE_TESTS_UNIT_ENGINE_WORLD_H
#define SYNCGATE_TESTS_UNIT_ENGINE_WORLD_H

#include "gateway/access/grants.h"
#include "gateway/net/conn.h"

enum { WORLD_GATEWAYS = 2, WORLD_NAMES = 3, WORLD_CLIENTS = 6, WORLD_ITEMS = 12, WORLD_IDS = 24, WORLD_PAGE = 4 };

/* --- what Redis holds; as of its last change, which clients may not know yet --- */

struct world_var {
    int64_t rev; /* 0: never existed */
    bool exists;
    int value;
};

struct world_list {
    int64_t rev;
    bool exists;
    int total;
    int ids[WORLD_ITEMS], values[WORLD_ITEMS];
};

/* --- what a client holds, by the book; a frame that does not apply is noted in world_wrong --- */

/* A subscription, as its client sees it. What is marked with * holds until nothing is owed to the client any more. */
struct world_follow {
    bool subscribed;     /* as far as it knows */
    bool told;           /* it got a state */
    int asked;           /* * so many answers may come */
    bool fresh;          /* * it was not subscribed before it asked */
    bool unsure;         /* * the item left the list: what it asked may be answered, or have been */
    bool ended;          /* * by the client: what was on its way may come still */
    bool failed;         /* * by an error: nothing comes, and it does not ask again */
    bool denied;         /* it asked without a grant: an error has to come */
    bool lost;           /* its grant went, and that has to be told */
    int64_t interval_ms; /* the least time between two updates; 0: none */
    int64_t updated_ms;  /* when it got the last one; -1: cannot be told */
    uint64_t updated_turn;
    int updated_rank; /* and how far that one went: deletes, inserts, sets, count */
};

struct world_item {
    struct world_follow follow;
    int value;
    int newest; /* state of this id that it was told, be it by the page, in the order of Redis */
    int as_of;  /* likewise of the subscription, as of the page */
};

struct world_held {
    struct world_follow follow;
    int value, newest;
    int page, size, total, count; /* size: last one asked for */
    int ids[WORLD_PAGE], values[WORLD_PAGE];
    struct world_item items[WORLD_IDS]; /* single ones */
    int as_of; /* state of the list in Redis, by its number: it holds that one, or a newer one */
};

/* A call that a client was asked to run. */
struct world_job {
    int call, name;
    char id[16];
};
enum { WORLD_JOBS = 256 };

struct world_client {
    struct conn *conn; /* NULL: not connected */
    int gateway;       /* where it is connected */
    int closed;        /* the code of the close frame that came, 0 for none; it answers that */
    struct world_held vars[WORLD_NAMES], lists[WORLD_NAMES];
    size_t room;                                   /* bytes that its socket takes before it is full; SIZE_MAX: never */
    size_t most;                                   /* bytes that waited for it, at most */
    bool behind;                                   /* it reads what was told a while ago */
    int granted[GRANT_COUNT];                      /* numbers of the names, as bits */
    bool serves[WORLD_NAMES], served[WORLD_NAMES]; /* functions; * or before */
    bool offered[WORLD_NAMES];
    bool refused[WORLD_NAMES]; /* * an error may come, that it may not serve it */
    struct world_job jobs[WORLD_JOBS];
    int njobs;
};

extern struct world_var world_vars[WORLD_NAMES];
extern struct world_list world_lists[WORLD_NAMES];
extern struct world_client world_clients[WORLD_CLIENTS];
extern const struct dialect *world_dialect; /* of those who connect next; SockSync v1 at first */
extern const char *world_wrong;             /* what a client was told that does not apply; NULL: nothing */

/* --- beginning and end --- */

void world_begin(void);
void world_end(void);

/* --- what clients do --- */

void world_connect(int client);
/* world_connect_to likewise, with a room behind the path. world_heard: the texts that came since this was asked last, a line each. */
void world_connect_to(int client, struct slice room);
const char *world_heard(int client);
/* world_regrant: from now on it may do this to the names with these numbers. */
enum { WORLD_ALL = (1 << WORLD_NAMES) - 1 };
void world_regrant(int client, enum grant verb, int names);
/* world_leave: its socket is gone. */
void world_leave(int client);
/* world_say: the client sends this message, as if in one frame. */
void world_say_bytes(int client, struct slice bytes, bool binary);
void world_say(int client, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What a client says, and notes for itself; it does not say what it must not, as a good client. interval_ms: 0 for every change. */
void world_subscribe(int client, bool list, int name, int interval_ms);
void world_unsubscribe(int client, bool list, int name);
void world_page(int client, int name, int page, int size);
void world_subscribe_item(int client, int name, int id, int interval_ms);
void world_unsubscribe_item(int client, int name, int id);
void world_get_item(int client, int name, int id);
void world_write_var(int client, int name);
void world_write_item(int client, int name, int index, int id);
/* world_write_place: it moves the item; index -1 is the end. */
void world_write_place(int client, int name, int id, int index);

/* Functions. world_answer: the client ends one of its jobs, by their number; false: there is none. */
void world_serve(int client, int name);
void world_unserve(int client, int name);
void world_call(int client, int name);
bool world_answer(int client, int job, bool fails);
/* world_calls_stuck: a call that nobody runs, and that does not end, when everything arrived; NULL: none. */
const char *world_calls_stuck(void);
/* world_calls_difference: what is wrong with calls and functions when everything is at rest; NULL: nothing. */
const char *world_calls_difference(void);

/* world_stop: the client's socket takes no more than so many bytes; world_read: it takes so many more. */
void world_stop(int client, size_t bytes);
void world_read(int client, size_t bytes);

/* --- what others do: changes that Redis carries out at once and publishes --- */

/* world_fresh: a value that nobody used yet, so that what is older can be told from what is newer. */
int world_fresh(void);
void world_var_set(int name, int value);
void world_var_delete(int name);
void world_insert(int name, int index, int id, int value);
void world_set(int name, int id, int value);
void world_delete(int name, int id);
void world_move(int name, int id, int index);
void world_replace(int name, int count);
void world_drop(int name);
/* world_flush: FLUSHALL, of which nobody is told. */
void world_flush(void);

/* --- what links do --- */

/* world_redis: Redis takes so many of the commands that a gateway sent. world_hear: the gateway hears so many of the things that Redis
 * said, answers and changes in their order. Both return how many there were. */
size_t world_redis(int gateway, size_t most);
size_t world_hear(int gateway, size_t most);
/* world_exchange: everything arrives, everywhere. */
void world_exchange(void);
/* world_lose_event: the next change of a variable, a list or the functions that Redis said is lost on the way, without a trace. */
void world_lose_event(int gateway);
/* world_cut: the link is lost, with everything that was under way; world_mend: it is up again. */
void world_cut(int gateway);
void world_mend(int gateway);

/* world_kill: the process ends without a word, and another one takes its place. Its clients lose their connections. */
void world_kill(int gateway);

/* world_drain: it begins to end as planned, and another one takes its place when it has. world_accepts: it does not yet, or waits for a
 * balancer to notice. */
void world_drain(int gateway);
bool world_accepts(int gateway);
bool world_drains(int gateway);

/* --- time --- */

/* world_turn: the end of a turn of the loops. world_pass: time passes, with everything that is done by it. */
void world_turn(void);
void world_pass(int64_t ms);

/* world_settle: everybody reads, Redis and the links are well, and everything arrives; time passes until the sweep has been everywhere. */
void world_settle(void);
/* world_trace prints what happens, when somebody wants to see it (script.h). */
void world_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* world_difference: what some client holds wrongly now; NULL: nothing. */
const char *world_difference(void);

#endif
