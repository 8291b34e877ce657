/* Calls, by the books of those who make them and those who run them. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "tests/unit/engine/world_parts.h"

enum { CALLS = 2048, ANSWERED_LATE_MS = 8000 };

/* One call; its number is its id, and stands in its arguments. */
struct call {
    int client, name;
    bool open;
    int64_t made_ms;
    int runs;
    char gw[WORD_SIZE];  /* of its executor */
    int answer;          /* value, or code of the error as a negative number; 0: none */
    int64_t answered_ms; /* by its executor */
    bool excused;        /* that answer may be lost */
    bool unsure;         /* nobody here was told who runs it: it may be lost, and ends by its deadline */
};

static struct call calls[CALLS];
static int ncalls;
static int64_t restless_ms; /* until then anything may have been under way, or in the way */

void callers_begin(void)
{
    ncalls = 0;
    restless_ms = 0;
    memset(calls, 0, sizeof(calls));
}

void callers_rest(void)
{
    restless_ms = clock_now_ms();
}

/* --- what they say --- */

void world_serve(int client, int name)
{
    struct world_client *c = &world_clients[client];
    if (!c->conn || c->serves[name] || c->refused[name])
        return;
    c->serves[name] = c->granted[GRANT_SERVE] >> name & 1;
    c->refused[name] = !c->serves[name];
    c->served[name] = c->served[name] || c->serves[name];
    world_say(client, "{\"func\":\"subscribe\",\"type\":\"function\",\"name\":\"f%d\"}", name);
}

void world_unserve(int client, int name)
{
    struct world_client *c = &world_clients[client];
    if (!c->conn || !c->serves[name] || c->refused[name])
        return;
    c->serves[name] = false;
    world_say(client, "{\"func\":\"unsubscribe\",\"type\":\"function\",\"name\":\"f%d\"}", name);
}

void world_call(int client, int name)
{
    const struct conn *c = world_clients[client].conn;
    if (!c || c->state != CONN_OPEN || ncalls == CALLS)
        return;
    int number = ncalls++;
    calls[number] = (struct call){.client = client, .name = name, .open = true, .made_ms = clock_now_ms()};
    world_say(client, "{\"func\":\"call\",\"type\":\"function\",\"name\":\"f%d\",\"id\":%d,\"args\":{\"n\":%d}}", name,
              number, number);
}

bool world_answer(int client, int job, bool fails)
{
    struct world_client *c = &world_clients[client];
    if (job >= c->njobs || !c->conn || c->conn->state != CONN_OPEN)
        return false;
    struct world_job j = c->jobs[job];
    struct call *call = &calls[j.call];
    c->jobs[job] = c->jobs[--c->njobs];
    if (call->open) { /* else it is late */
        call->answer = fails ? -ERROR_ARGUMENTS : 2 * j.call + 1;
        call->answered_ms = clock_now_ms();
    }
    if (fails)
        world_say(client, "{\"func\":\"error\",\"type\":\"function\",\"name\":\"f%d\",\"id\":%s,\"error_code\":6}",
                  j.name, j.id);
    else
        world_say(client, "{\"func\":\"return\",\"type\":\"function\",\"name\":\"f%d\",\"id\":%s,\"value\":%d}", j.name,
                  j.id, 2 * j.call + 1);
    return true;
}

/* --- what happens to them --- */

void callers_bury(const char *gw)
{
    for (int i = 0; i < ncalls; i++)
        if (!gw || strcmp(calls[i].gw, gw) == 0)
            calls[i].excused = true;
}

void callers_unsure(struct slice args)
{
    int64_t number;
    if (args.len > 6 && slice_i64(slice_of(args.ptr + 5, args.len - 6), &number) && number < ncalls) /* {"n":1} */
        calls[number].unsure = true;
}

void callers_unsure_all(const char *gw)
{
    for (int i = 0; i < ncalls; i++) {
        const struct conn *c = world_clients[calls[i].client].conn;
        if (calls[i].open && c && strcmp(c->gw->id, gw) == 0)
            calls[i].unsure = true;
    }
}

/* Its calls go with it, and what it executes ends in errors. */
void caller_gone(int client)
{
    for (int i = 0; i < ncalls; i++)
        if (calls[i].client == client)
            calls[i].open = false;
}

bool caller_is_busy(const struct world_client *c)
{
    for (int i = 0; i < c->njobs; i++)
        if (calls[c->jobs[i].call].open)
            return true;
    for (int i = 0; i < ncalls; i++)
        if (calls[i].open && &world_clients[calls[i].client] == c)
            return true;
    return false;
}

void callers_tick(int64_t timeout_ms)
{
    for (int i = 0; i < ncalls; i++) {
        const struct world_client *c = &world_clients[calls[i].client];
        if (calls[i].open && c->room == SIZE_MAX && clock_now_ms() > calls[i].made_ms + timeout_ms + 200)
            wrong("a call that outlived its deadline");
    }
}

static bool has_job(int client, int call)
{
    const struct world_client *c = &world_clients[client];
    for (int i = 0; i < c->njobs; i++)
        if (c->jobs[i].call == call)
            return true;
    return false;
}

const char *world_calls_stuck(void)
{
    for (int i = 0; i < ncalls; i++) {
        bool runs = !calls[i].open || calls[i].excused || calls[i].unsure;
        for (int client = 0; client < WORLD_CLIENTS; client++)
            runs = runs || has_job(client, i);
        if (!runs)
            return "a call that nobody runs";
    }
    return NULL;
}

const char *world_calls_difference(void)
{
    for (int i = 0; i < ncalls; i++)
        if (calls[i].open)
            return "a call that did not end";
    for (int name = 0; name < WORLD_NAMES; name++) {
        bool live = false;
        for (int i = 0; i < WORLD_CLIENTS; i++)
            live = live ||
                   (world_clients[i].conn && world_clients[i].serves[name] && !world_clients[i].conn->gw->draining);
        for (int i = 0; i < WORLD_CLIENTS; i++) {
            const struct world_client *c = &world_clients[i];
            if (c->conn && c->serves[name] && !(c->granted[GRANT_SERVE] >> name & 1))
                return "a function that is served without a grant";
            if (c->conn && c->offered[name] != (live && (c->granted[GRANT_CALL] >> name & 1)))
                return live ? "a function that is served was not offered" : "a function that nobody serves is offered";
        }
    }
    return NULL;
}

/* --- what they hear --- */

static void on_offer(struct world_client *c, int name, bool offered)
{
    if (c->offered[name] == offered)
        wrong(offered ? "a function that was offered twice" : "a function that was withdrawn twice");
    c->offered[name] = offered;
}

static void on_call(struct world_client *c, int name, struct slice id, struct slice args)
{
    static const struct slice keys[] = {SLICE_LIT("n")};
    struct json_value n;
    enum json_kind top;
    struct world_job *j = &c->jobs[c->njobs];
    if (json_members(args, 8, keys, 1, &n, &top) != JSON_OK || as_number(n.text) < 0 || as_number(n.text) >= ncalls ||
        id.len >= sizeof(j->id) || c->njobs == WORLD_JOBS) {
        wrong("a call that nobody made");
        return;
    }
    *j = (struct world_job){.call = as_number(n.text), .name = name};
    memcpy(j->id, id.ptr, id.len);
    c->njobs++;
    struct call *call = &calls[j->call];
    snprintf(call->gw, sizeof(call->gw), "%s", c->conn->gw->id);
    if (call->name != name || !c->served[name])
        wrong("a call that is not for this executor");
    if (++call->runs > 1)
        wrong("a call that ran twice");
}

/* The answer of an executor gets lost only with its gateway, or what Redis holds, or by coming too late. */
static bool may_be_lost(const struct call *call, int64_t timeout_ms)
{
    int64_t in_time = call->made_ms + timeout_ms - ANSWERED_LATE_MS;
    bool over = clock_now_ms() >= call->made_ms + timeout_ms;
    return !call->answer || call->excused || (over && (call->answered_ms > in_time || restless_ms > in_time));
}

static void on_end(struct world_client *c, int name, int id, int answer)
{
    struct call *call = id >= 0 && id < ncalls ? &calls[id] : NULL;
    if (!call || call->name != name || &world_clients[call->client] != c) {
        wrong("an answer to a call that nobody made");
        return;
    }
    if (!call->open)
        wrong("an answer to a call that had ended");
    call->open = false;
    if (answer > 0 && answer != call->answer)
        wrong("a call that returned something else");
    if (answer < 0 && answer != call->answer && !may_be_lost(call, c->conn->gw->opt->call_timeout_ms))
        wrong("the answer of an executor was lost");
}

void caller_hears(struct world_client *c, struct slice func, int name, const struct json_value *f)
{
    int id = as_number(f[F_ID].text);
    if (slice_eq(func, SLICE_LIT("\"subscribe\"")) || slice_eq(func, SLICE_LIT("\"unsubscribe\"")))
        on_offer(c, name, func.len == strlen("\"subscribe\""));
    else if (slice_eq(func, SLICE_LIT("\"call\"")))
        on_call(c, name, f[F_ID].text, f[F_ARGS].text);
    else if (slice_eq(func, SLICE_LIT("\"return\"")))
        on_end(c, name, id, as_number(f[F_VALUE].text));
    else if (f[F_ID].type == JSON_NUMBER) /* ids of executors are strings */
        on_end(c, name, id, -as_number(f[F_CODE].text));
    else if (f[F_ID].type == JSON_ABSENT && as_number(f[F_CODE].text) == ERROR_NAME)
        c->serves[name] = false;
}
