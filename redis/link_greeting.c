/* What is said when a connection is there, the library that it needs, and the pings by which it is known to live. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "redis/advice.h"
#include "redis/functions.h"
#include "redis/link_parts.h"

/* --- greeting --- */

static void became_up(struct link *l)
{
    l->state = LINK_UP;
    l->up_since_ms = link_now_ms();
    l->stats.connects++;
    link_arm(l, l->config.ping_interval_ms);
    if (!link_is_flapping(l)) {
        link_forget_told(l);
        link_say(l, LOG_INFO, "connected to Redis");
    }
    if (l->events.on_up)
        l->events.on_up(l->arg);
}

static bool is_missing(const struct reply *r)
{
    return r->type == REPLY_ERROR && link_has_prefix(r->text, "ERR Function not found");
}

static bool needs_library(const struct reply *r)
{
    int64_t version;
    return is_missing(r) || (reply_i64(r, &version) && version < SG_FUNCTIONS_VERSION);
}

static void ask_version(struct link *l, link_reply_fn *cb)
{
    static const struct slice argv[] = {{"FCALL_RO", 8}, {"sg_version", 10}, {"0", 1}};
    link_ask(l, cb, 3, argv);
}

/* REPLACE is for an older library, or one that is none of ours: of several gateways that find nothing, each loads, and the
 * newest must win. */
static void load_library(struct link *l, const struct reply *version, link_reply_fn *cb)
{
    struct slice code = slice_of(sg_functions_lua, sg_functions_lua_len);
    struct slice argv[4] = {SLICE_LIT("FUNCTION"), SLICE_LIT("LOAD"), SLICE_LIT("REPLACE"), code};
    bool replace = !is_missing(version) || l->library_exists;
    if (!replace)
        argv[2] = code;
    link_ask(l, cb, replace ? 4 : 3, argv);
}

/* was_loaded: also when another gateway was quicker; the next answer shows with which version. */
static bool was_loaded(struct link *l, const struct reply *r)
{
    l->library_exists = r->type == REPLY_ERROR && link_has_prefix(r->text, "ERR Library ");
    return r->type != REPLY_ERROR || l->library_exists;
}

static void lose_refused(struct link *l, struct slice error)
{
    char why[ADVICE_MAX];
    advice_error(error, why);
    link_lose(l, why);
}

static void on_version(void *arg, const struct reply *r);

static void on_loaded(void *arg, const struct reply *r)
{
    struct link *l = arg;
    if (!r)
        return;
    if (was_loaded(l, r))
        ask_version(l, on_version);
    else
        lose_refused(l, r->text);
}

static void on_version(void *arg, const struct reply *r)
{
    struct link *l = arg;
    if (!r)
        return;
    if (needs_library(r)) {
        static const char text[] = "loading the function library into Redis";
        link_tell(l, TOLD_LOADING, text, LOG_INFO, text);
        load_library(l, r, on_loaded);
    } else if (r->type == REPLY_ERROR) {
        lose_refused(l, r->text);
    } else {
        became_up(l);
    }
}

static void on_selected(void *arg, const struct reply *r)
{
    if (r && r->type == REPLY_ERROR)
        lose_refused(arg, r->text);
}

/* The text of Redis repeats our arguments, the password among them. */
static void on_hello(void *arg, const struct reply *r)
{
    struct link *l = arg;
    char why[ADVICE_MAX];
    bool good = false;
    if (!r)
        return;
    if (r->type == REPLY_ERROR)
        advice_error(r->text, why);
    else
        good = advice_hello(r, why);
    if (good)
        l->is_cluster = slice_eq(advice_field(r, "mode"), SLICE_LIT("cluster"));
    else
        link_lose(l, why);
}

/* The greeting goes out in one piece; the first answer that is not good ends the attempt. */
void link_greet(struct link *l)
{
    const struct link_config *c = &l->config;
    struct slice hello[] = {SLICE_LIT("HELLO"),
                            SLICE_LIT("3"),
                            SLICE_LIT("SETNAME"),
                            SLICE_LIT("syncgate"),
                            SLICE_LIT("AUTH"),
                            slice_str(c->user ? c->user : "default"),
                            slice_str(c->password ? c->password : "")};
    l->state = LINK_GREETING;
    link_arm(l, c->ping_timeout_ms);
    link_ask(l, on_hello, c->password ? 7 : 4, hello);
    if (c->db) {
        char db[16];
        snprintf(db, sizeof db, "%d", c->db);
        link_ask(l, on_selected, 2, (struct slice[]){SLICE_LIT("SELECT"), slice_str(db)});
    }
    ask_version(l, on_version);
}

/* --- pings --- */

static void on_reloaded(void *arg, const struct reply *r)
{
    struct link *l = arg;
    l->loading_library = false;
    if (r && !was_loaded(l, r))
        link_tell(l, TOLD_LIBRARY, r->text.ptr, LOG_ERROR, r->text.ptr);
}

static void reload_library(struct link *l, const struct reply *version)
{
    static const char text[] = "the function library is gone from Redis or older; loading it";
    link_tell(l, TOLD_LOADING, text, LOG_WARN, text);
    l->loading_library = true;
    load_library(l, version, on_reloaded);
}

static void library_is_there(struct link *l)
{
    if (!l->told[TOLD_LOADING].text[0])
        return;
    l->told[TOLD_LOADING].text[0] = l->told[TOLD_LIBRARY].text[0] = '\0';
    link_say(l, LOG_INFO, "the function library is there again");
}

/* What was lost again and again soon after it came up has stayed for a while. */
static void look_at_age(struct link *l)
{
    char text[100];
    if (!l->young || link_now_ms() - l->up_since_ms < LINK_STEADY_MS)
        return;
    snprintf(text, sizeof text, "connected to Redis; the link is steady again after %u losses", l->young);
    if (link_is_flapping(l))
        link_say(l, LOG_INFO, text);
    l->failures = l->young = 0;
    link_forget_told(l);
}

/* Errors say nothing about order; a script that runs for too long answers everything with one. */
static void on_echo(void *arg, const struct reply *r)
{
    struct link *l = arg;
    int64_t number;
    if (!r)
        return;
    l->echoed++;
    if (r->type != REPLY_ERROR && !(reply_i64(r, &number) && number == l->echoed))
        link_lose_protocol(l, "it answers another command than it was asked");
}

static void ask_echo(struct link *l)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)++l->echo);
    link_ask(l, on_echo, 2, (struct slice[]){SLICE_LIT("PING"), slice_str(digits)});
}

void link_check(struct link *l)
{
    if (l->state == LINK_UP && l->echo == l->echoed)
        ask_echo(l);
}

/* The ping asks for the library's version, so that a library that was removed or replaced by an older one while the link
 * was up is back within a ping's interval. */
static void on_pong(void *arg, const struct reply *r)
{
    struct link *l = arg;
    int64_t version;
    if (!r)
        return;
    if (r->type != REPLY_ERROR && !reply_i64(r, &version)) {
        link_lose_protocol(l, "its version of the function library is none");
        return;
    }
    l->stats.rtt_us = link_now_us() - l->pinged_us;
    l->pinged_us = 0;
    look_at_age(l);
    if (l->events.on_pong)
        l->events.on_pong(l->arg, l->stats.rtt_us);
    if (needs_library(r) && !l->loading_library)
        reload_library(l, r);
    else if (r->type != REPLY_ERROR && !needs_library(r))
        library_is_there(l);
}

static void ping(struct link *l)
{
    l->pinged_us = link_now_us();
    ask_echo(l);
    ask_version(l, on_pong);
}

/* Silence counts, not the ping alone: while events still come in, the answer is behind them. */
static bool is_silent(const struct link *l, int64_t *left_ms)
{
    int64_t since_us = l->pinged_us > l->heard_us ? l->pinged_us : l->heard_us;
    *left_ms = since_us / 1000 + l->config.ping_timeout_ms - link_now_ms();
    return *left_ms <= 0;
}

void link_look_at_pings(struct link *l)
{
    int64_t left_ms;
    if (!l->pinged_us) {
        ping(l);
    } else if (is_silent(l, &left_ms)) {
        link_lose(l, "it does not answer");
        return;
    } else if (left_ms < l->config.ping_interval_ms) {
        link_arm(l, left_ms);
        return;
    }
    link_arm(l, l->config.ping_interval_ms);
}
