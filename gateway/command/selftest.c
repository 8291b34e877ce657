/* Two connections, as two gateways would have them: what is published on one has to be heard on the other. */
#include "gateway/command/selftest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/command/checkup.h"
#include "gateway/command/redis_check.h"
#include "redis/keys.h"

enum {
    ROUNDS = 200,          /* of the latency */
    LOAD = 10,             /* other commands in each */
    SKEW_MAX_MS = 1000,    /* of the clocks; nothing depends on it, but logs and ages are hard to read */
    SLOW_US = 20 * 1000,   /* a change takes so long in a Redis that is far away, or busy */
    LATENCY_NAME_MAX = 256 /* of a channel: prefix, name, number of the database */
};

struct selftest {
    struct redis_check check; /* publishes */
    struct talk *listener;
    char channel[LATENCY_NAME_MAX];
};

static int64_t now_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* --- the canary ------------------------------------------------------------------------------------------- */

static bool add_broken(struct selftest *s, const char *subject, const struct reply *r, const struct talk *t)
{
    struct slice text = r && r->type == REPLY_ERROR ? r->text : slice_str(talk_why(t));
    findings_add(s->check.findings, FINDING_BAD, subject,
                 s->check.lacks_rights ? "see the rights that are missing" : NULL, "%.*s", (int)text.len,
                 text.len ? text.ptr : "");
    return false;
}

static bool open_listener(struct selftest *s)
{
    char why[TALK_WHY_MAX] = "";
    bool answered;
    s->listener = talk_open(&s->check.config, &answered, why);
    if (!s->listener)
        findings_add(s->check.findings, FINDING_BAD, "two links", "is `maxclients` of Redis reached?",
                     "a second connection failed: %s", why);
    return s->listener;
}

static bool subscribe(struct selftest *s)
{
    talk_say(s->listener, 2, (struct slice[]){SLICE_LIT("SSUBSCRIBE"), slice_str(s->channel)});
    const struct reply *r = talk_push(s->listener);
    return (r && r->type == REPLY_PUSH) || add_broken(s, "two links", r, s->listener);
}

/* What came on the channel; empty when nothing did. */
static struct slice hear(struct selftest *s)
{
    const struct reply *r = talk_push(s->listener);
    return r && r->type == REPLY_PUSH && r->len >= 3 ? reply_at(r, 2)->text : SLICE_NONE;
}

static bool check_canary(struct selftest *s)
{
    if (!open_listener(s) || !subscribe(s))
        return false;
    const struct reply *r = TALK_ASK(s->check.talk, "SPUBLISH", s->channel, "canary");
    if (!r || r->type == REPLY_ERROR)
        return add_broken(s, "two links", r, s->check.talk);
    if (r->type == REPLY_INTEGER && r->integer == 0) {
        findings_add(s->check.findings, FINDING_BAD, "two links",
                     "do both reach the same Redis? A proxy or a balancer in between may not take them to one",
                     "what one connection publishes has no listener on the other");
        return false;
    }
    if (!slice_eq(hear(s), SLICE_LIT("canary")))
        return add_broken(s, "two links", NULL, s->listener);
    findings_add(s->check.findings, FINDING_OK, "two links", NULL, "what one publishes, the other hears");
    return true;
}

/* --- writing ---------------------------------------------------------------------------------------------- */

/* The functions note for ten seconds in which database they are (docs/redis-api.md, Databases). */
static bool has_note(struct selftest *s, char note[LATENCY_NAME_MAX])
{
    snprintf(note, LATENCY_NAME_MAX, "%s@{db}", s->check.options->prefix);
    const struct reply *r = TALK_ASK(s->check.talk, "EXISTS", note);
    return r && r->integer != 0;
}

/* Deleting a variable leaves its revision for a day; here that goes too. */
static void take_away(struct selftest *s, const char *note)
{
    char variable[sizeof(s->check.root) + 2];
    snprintf(variable, sizeof(variable), "%s:v", s->check.root);
    TALK_ASK(s->check.talk, "UNLINK", s->check.root, variable);
    if (note)
        TALK_ASK(s->check.talk, "UNLINK", note);
}

/* A change through the library, as an application makes it. It is heard on the same channel as the canary. */
static void check_change(struct selftest *s)
{
    if (!s->check.has_library) {
        findings_add(s->check.findings, FINDING_NOTE, "a change", NULL, "not tried out: the library is not loaded");
        return;
    }
    char note[LATENCY_NAME_MAX];
    bool noted = has_note(s, note);
    const struct reply *r = TALK_ASK(s->check.talk, "FCALL", "sg_var_set", "1", s->check.root, "\"selftest\"");
    if (!r || r->type == REPLY_ERROR) {
        add_broken(s, "a change", r, s->check.talk);
        return;
    }
    struct slice event = hear(s);
    if (event.len > 0)
        findings_add(s->check.findings, FINDING_OK, "a change", NULL, "written by the library and heard");
    else
        add_broken(s, "a change", NULL, s->listener);
    take_away(s, noted ? NULL : note);
}

/* --- time ------------------------------------------------------------------------------------------------- */

static void check_clock(struct selftest *s)
{
    int64_t seconds, us, before = now_us(CLOCK_REALTIME);
    const struct reply *r = TALK_ASK(s->check.talk, "TIME");
    int64_t middle = before + (now_us(CLOCK_REALTIME) - before) / 2;
    if (!r || !reply_i64(reply_at(r, 0), &seconds) || !reply_i64(reply_at(r, 1), &us))
        return; /* a right that is missing, which was told */
    int64_t skew_ms = (seconds * 1000000 + us - middle) / 1000;
    bool good = skew_ms <= SKEW_MAX_MS && skew_ms >= -SKEW_MAX_MS;
    findings_add(s->check.findings, good ? FINDING_OK : FINDING_NOTE, "clocks",
                 good ? NULL : "let both machines keep time (NTP); the state does not depend on it, ages and logs do",
                 "Redis is %" PRId64 " ms %s this machine", skew_ms < 0 ? -skew_ms : skew_ms,
                 skew_ms < 0 ? "behind" : "ahead of");
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* One change among others: from the moment it is sent to the moment the other connection has it. False when the link is lost. */
static bool time_round(struct selftest *s, int64_t *took_us)
{
    struct talk *t = s->check.talk;
    int64_t start = now_us(CLOCK_MONOTONIC);
    for (int i = 0; i < LOAD; i++)
        talk_say(t, 2, (struct slice[]){SLICE_LIT("PING"), SLICE_LIT("load")});
    talk_say(t, 3, (struct slice[]){SLICE_LIT("SPUBLISH"), slice_str(s->channel), SLICE_LIT("round")});
    bool heard = hear(s).len > 0;
    *took_us = now_us(CLOCK_MONOTONIC) - start;
    for (int i = 0; i <= LOAD; i++)
        heard = talk_hear(t) && heard;
    return heard;
}

static void check_latency(struct selftest *s)
{
    int64_t took_us[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        if (!time_round(s, &took_us[i])) {
            add_broken(s, "latency", NULL, talk_why(s->listener)[0] ? s->listener : s->check.talk);
            return;
        }
    }
    qsort(took_us, ROUNDS, sizeof(took_us[0]), by_size);
    int64_t half = took_us[ROUNDS / 2], most = took_us[ROUNDS * 99 / 100];
    bool slow = half > SLOW_US;
    findings_add(s->check.findings, slow ? FINDING_NOTE : FINDING_OK, "latency",
                 slow ? "is Redis far away, or busy? redis-cli --latency, SLOWLOG GET" : NULL,
                 "from link to link: half within %" PRId64 ".%02" PRId64 " ms, 99 of 100 within %" PRId64 ".%02" PRId64
                 " ms",
                 half / 1000, half % 1000 / 10, most / 1000, most % 1000 / 10);
}

/* --- all of it -------------------------------------------------------------------------------------------- */

static void check_links(struct selftest *s)
{
    char *channel = s->channel;
    snprintf(channel, sizeof(s->channel), "%s", s->check.root);
    size_t len = keys_channel(slice_str(channel), s->check.config.db, channel, sizeof(s->channel) - 1);
    channel[len] = '\0';
    if (!check_canary(s))
        return;
    check_change(s);
    check_clock(s);
    check_latency(s);
}

int selftest_run(const struct options *o, FILE *to)
{
    struct findings f = {.to = to};
    struct selftest s = {.listener = NULL};
    checkup_files(o, &f);
    if (!o->redis) {
        findings_add(&f, FINDING_BAD, "redis",
                     "--redis redis://HOST; for the private one of a gateway that runs: unix:DATA-DIR/redis.sock",
                     "which one? --selftest needs --redis");
    } else {
        if (redis_check_begin(&s.check, o, &f)) {
            redis_check_all(&s.check);
            check_links(&s);
        }
        redis_check_end(&s.check);
        talk_close(s.listener);
    }
    if (f.bad > 0)
        fprintf(to, "\n%zu to mend\n", f.bad);
    else
        fputs("\nall is well\n", to);
    return f.bad == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
