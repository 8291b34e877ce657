/* The world, for the files that make it up: world.c is above all others. */
#ifndef SYNCGATE_TESTS_UNIT_ENGINE_WORLD_PARTS_H
#define SYNCGATE_TESTS_UNIT_ENGINE_WORLD_PARTS_H

#include "protocol/json.h"
#include "tests/unit/engine/world.h"

struct host;

enum { WORD_SIZE = 24, HELD_MAX = 64 };

/* What a gateway holds of redis/: each knows its host, and nothing else. */
struct link {
    struct host *host;
};
struct hub {
    struct host *host;
};
struct store {
    struct host *host;
};

/* One gateway, and the ends of its link. */
struct host {
    struct gateway g;
    struct link link;
    struct hub hub;
    struct store store;
    struct list to_redis, to_gateway; /* struct errand */
    struct list members;              /* struct hub_member, joined */
    bool cut;
    int64_t doors_ms;  /* of a drain: when it stopped listening, 0: it did not; */
    size_t doors_open; /* how many connections there were, and how many were closed since */
    size_t closes;
};

extern struct host world_hosts[WORLD_GATEWAYS];

/* --- world_clock.c --- */

/* clock_set: now. clock_advance: so much later; what is due runs. clock_forget: whatever waits for a time. */
void clock_set(int64_t now_ms);
void clock_advance(int64_t ms);
void clock_forget(void);

/* --- world_link.c --- */

/* Something asked of Redis, and then its answer; or, without `answer`, what Redis published. */
struct errand {
    struct list_node node;
    void (*run)(struct errand *e);               /* Redis takes it: fills in the answer */
    void (*answer)(struct errand *e, bool away); /* and the gateway hears that; away: the link was lost */
    struct host *host;
    void *cb, *arg;
    int name;
    bool is_list;
    int64_t index;
    int id, value;
    enum store_refusal refusal;
    int64_t rev;          /* of a write; any number that is the answer */
    struct world_var var; /* snapshots */
    struct world_list list;
    struct store_range ranges[64];
    size_t nranges;
    int ids[64];
    size_t nids;
    char channel[32], event[128]; /* published */
    /* of calls */
    char gw[WORD_SIZE], exec[WORD_SIZE], other[WORD_SIZE]; /* other: gateway */
    char body[64];
    bool ran;
    int64_t ms;
    struct {
        char exec[WORD_SIZE];
        int inflight;
    } busy[WORLD_CLIENTS];
    size_t nbusy;
    struct {
        char exec[WORD_SIZE];
        int name;
    } held[HELD_MAX];
    size_t nheld;
};

void host_begin(struct host *h);
/* host_end: what is under way is lost, as with a link that is freed. */
void host_end(struct host *h);
struct errand *errand_new(struct store *s, void (*run)(struct errand *), void (*answer)(struct errand *, bool),
                          struct slice name, void *cb, void *arg);
/* errand_send: may be answered from inside. */
void errand_send(struct errand *e);
struct store_result errand_result(const struct errand *e, bool away);
/* errand_wrote answers a store_write_fn. */
void errand_wrote(struct errand *e, bool away);
/* publish returns how many gateways are listening. */
int publish(const char *channel, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- world_redis.c --- */

/* number_of: "v1" and "l1" are numbers 1 of their kinds. as_number: -1 when it is none. */
int number_of(struct slice name);
int as_number(struct slice text);
/* world_flushed: Redis went back, so what is older may be the newest. */
extern bool world_flushed;
/* order_of: values by when Redis took them; the same value is never taken twice. */
int order_of(int value);
void redis_begin(void);
/* writes_begun: so many writes of variables and lists were asked for. */
extern int writes_begun;
/* past_find: the first state of that list, from number `from` on, that matches; -1: none. Not after Redis went back. */
int past_find(int name, int from, bool (*matches)(const struct world_list *l, const void *arg), const void *arg);

/* --- world_calls.c --- */

/* calls_flush: Redis forgets all of them. */
void calls_flush(void);
/* calls_registered: Redis may choose an executor of this gateway. */
bool calls_registered(const char *gw);

/* --- world_callers.c --- */

void callers_begin(void);
/* callers_rest: from now on nothing is in the way. */
void callers_rest(void);
/* callers_tick: no call is older than that. */
void callers_tick(int64_t timeout_ms);
/* callers_bury: what this gateway (NULL: any) executed may be lost. */
void callers_bury(const char *gw);
/* callers_unsure: the answer that names the executor of the call with these arguments was lost. */
void callers_unsure(struct slice args);
/* callers_unsure_all: the answer that tells which calls of this gateway came was lost. */
void callers_unsure_all(const char *gw);
void caller_gone(int client);
void caller_hears(struct world_client *c, struct slice func, int name, const struct json_value *f);

bool caller_is_busy(const struct world_client *c);

/* --- world_drains.c --- */

void drain_prepare(struct host *h);
/* drain_tick, before the turn ends. */
void drain_tick(struct host *h);
/* client_closed: a close frame came with this reason. */
void client_closed(struct world_client *c, struct slice reason);

/* --- world_clients.c --- */

void clients_begin(void);
void clients_end(void);

/* world_turns: so many have ended. */
extern uint64_t world_turns;

/* --- world_books.c --- */

/* What stands in a message. */
enum { F_FUNC, F_TYPE, F_NAME, F_ID, F_VALUE, F_INDEX, F_PAGE, F_TOTAL, F_ITEMS, F_CODE, F_GONE, F_ARGS, FIELDS };

/* client_hears: a text that came, which it notes for itself. */
void client_hears(struct world_client *c, struct slice text);
/* client_settled: nothing is owed to it any more. */
void client_settled(struct world_client *c);
/* client_fell_behind: when it was told something says nothing about when it hears that. */
void client_fell_behind(struct world_client *c);
/* client_loses: the grant for the names with this number. */
void client_loses(struct world_client *c, int name);
void wrong(const char *what);

#endif
