/* Rights are tried out, each by the command itself on a key that nobody has: what a user may do is known to nobody else, as asking
 * (ACL DRYRUN) takes rights that gateways need not have. */
#include "gateway/command/redis_check.h"

#include <event2/util.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { WORDS_MAX = 6, LIST_MAX = 400, KEYS_PATTERN_MAX = 80, PUBSUB_LIMIT_MIN = 2 << 20 };

/* --- who answers ------------------------------------------------------------------------------------------ */

static void name_root(struct redis_check *c)
{
    unsigned char random[8];
    char hex[2 * sizeof(random) + 1];
    evutil_secure_rng_get_bytes(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(hex + 2 * i, 3, "%02x", random[i]);
    snprintf(c->root, sizeof(c->root), "%s@{selftest:%s}", c->options->prefix, hex);
}

static void print_place(const struct link_config *config, char *out, size_t size)
{
    if (config->unix_path)
        snprintf(out, size, "unix:%s", config->unix_path);
    else
        snprintf(out, size, "%s:%d", config->host, config->port);
}

static void tell_away(struct redis_check *c, const char *place, bool answered, const char *why)
{
    if (answered)
        findings_add(c->findings, FINDING_BAD, "redis", NULL, "%s answers, but cannot be used: %s", place, why);
    else
        findings_add(c->findings, FINDING_BAD, "redis",
                     c->config.tls
                         ? "does it run, does it listen there with TLS (redis:// is without), does a firewall "
                           "let this machine in?"
                         : "does it run, does it listen there, does a firewall let this machine in?",
                     "cannot reach %s: %s", place, why);
}

bool redis_check_begin(struct redis_check *c, const struct options *o, struct findings *f)
{
    char why[TALK_WHY_MAX] = "", place[300];
    bool answered = false;
    *c = (struct redis_check){.options = o, .findings = f};
    name_root(c);
    const char *wrong = link_config_parse(o->redis, &c->config);
    if (wrong) {
        findings_add(f, FINDING_BAD, "redis", NULL, "%s", wrong);
        return false;
    }
    print_place(&c->config, place, sizeof(place));
    c->talk = talk_open(&c->config, &answered, why);
    if (!c->talk) {
        tell_away(c, place, answered, why);
        return false;
    }
    const struct talk_server *server = talk_server(c->talk);
    findings_add(f, FINDING_OK, "redis", NULL, "%s %s answers at %s, as user %s, database %d", server->name,
                 server->version, place, c->config.user ? c->config.user : "default", c->config.db);
    if (strcmp(server->mode, "cluster") == 0)
        findings_add(f, FINDING_NOTE, "cluster", NULL, "this node alone was looked at");
    return true;
}

void redis_check_end(struct redis_check *c)
{
    talk_close(c->talk);
    link_config_deinit(&c->config);
}

/* --- the library ------------------------------------------------------------------------------------------ */

static bool begins(const struct reply *r, const char *word)
{
    return r && r->type == REPLY_ERROR && r->text.len >= strlen(word) && memcmp(r->text.ptr, word, strlen(word)) == 0;
}

static void check_library(struct redis_check *c)
{
    const struct reply *r = TALK_ASK(c->talk, "FCALL_RO", "sg_version", "0");
    int64_t version;
    if (begins(r, "ERR Function not found"))
        findings_add(c->findings, FINDING_NOTE, "library", NULL, "not there yet: the first gateway loads it");
    else if (r && reply_i64(r, &version) && version < SG_FUNCTIONS_VERSION)
        findings_add(c->findings, FINDING_NOTE, "library", NULL,
                     "version %lld; the first gateway of this version loads version %d", (long long)version,
                     SG_FUNCTIONS_VERSION);
    else if (r && reply_i64(r, &version)) {
        c->has_library = true;
        findings_add(c->findings, FINDING_OK, "library", NULL, "version %lld", (long long)version);
    } else if (r && !begins(r, "NOPERM"))
        findings_add(c->findings, FINDING_BAD, "library", NULL, "%.*s", (int)r->text.len, r->text.ptr);
}

/* --- rights ----------------------------------------------------------------------------------------------- */

/* In the words of a command: the root, and another name beside it. */
static const char root[] = "<root>", beside[] = "<root>:2";

struct right {
    const char *grant; /* as ACL SETUSER takes it */
    const char *words[WORDS_MAX];
    bool creates; /* a key, which the next command takes away */
    bool pushes;  /* the answer is a push */
};

/* Those of docs/redis-api.md. Deleting comes first: without it nothing is created. */
static const struct right rights[] = {
    {.grant = "+unlink", .words = {"UNLINK", root}},
    {.grant = "+del", .words = {"DEL", root}},
    {.grant = "+expire", .words = {"EXPIRE", root, "60"}},
    {.grant = "+persist", .words = {"PERSIST", root}},
    {.grant = "+copy", .words = {"COPY", root, beside}},
    {.grant = "+exists", .words = {"EXISTS", root}},
    {.grant = "+get", .words = {"GET", root}},
    {.grant = "+incr", .words = {"INCR", root}, .creates = true},
    {.grant = "+@hash", .words = {"HGET", root, "f"}},
    {.grant = "+@hash", .words = {"HKEYS", root}},
    {.grant = "+@hash", .words = {"HDEL", root, "f"}},
    {.grant = "+@hash", .words = {"HSET", root, "f", "v"}, .creates = true},
    {.grant = "+@sortedset", .words = {"ZRANGE", root, "0", "0"}},
    {.grant = "+@sortedset", .words = {"ZSCORE", root, "m"}},
    {.grant = "+@sortedset", .words = {"ZREM", root, "m"}},
    {.grant = "+@sortedset", .words = {"ZADD", root, "0", "m"}, .creates = true},
    {.grant = "+@set", .words = {"SMEMBERS", root}},
    {.grant = "+@set", .words = {"SREM", root, "m"}},
    {.grant = "+@set", .words = {"SADD", root, "m"}, .creates = true},
    {.grant = "+time", .words = {"TIME"}},
    {.grant = "+fcall", .words = {"FCALL", "sg_version", "0"}},
    {.grant = "+fcall_ro", .words = {"FCALL_RO", "sg_version", "0"}},
    {.grant = "+function|load", .words = {"FUNCTION", "LOAD", "-- no library"}},
    {.grant = "+spublish", .words = {"SPUBLISH", root, ""}},
    {.grant = "+ssubscribe", .words = {"SSUBSCRIBE", root}, .pushes = true},
    {.grant = "+sunsubscribe", .words = {"SUNSUBSCRIBE", root}, .pushes = true},
};

enum { RIGHTS = sizeof(rights) / sizeof(rights[0]) };

static const struct reply *try_right(struct redis_check *c, const struct right *right)
{
    char other[sizeof(c->root) + 2];
    struct slice words[WORDS_MAX];
    size_t n = 0;
    snprintf(other, sizeof(other), "%s:2", c->root);
    for (; n < WORDS_MAX && right->words[n]; n++) {
        const char *word = right->words[n];
        words[n] = slice_str(word == root ? c->root : word == beside ? other : word);
    }
    talk_say(c->talk, n, words);
    return right->pushes ? talk_push(c->talk) : talk_hear(c->talk);
}

/* Puts a word on a list that spaces separate, once. */
static void note(char list[LIST_MAX], const char *word)
{
    size_t len = strlen(list);
    if (!strstr(list, word))
        snprintf(list + len, LIST_MAX - len, "%s%s", len ? " " : "", word);
}

static bool mentions(struct slice text, const char *word)
{
    return memmem(text.ptr, text.len, word, strlen(word));
}

/* What is missing for this refusal: the command, the keys or the channels. */
static void note_refusal(struct redis_check *c, const struct right *right, struct slice error, char missing[LIST_MAX])
{
    char pattern[KEYS_PATTERN_MAX];
    if (mentions(error, "channel"))
        snprintf(pattern, sizeof(pattern), "'&%s*'", c->options->prefix);
    else if (mentions(error, " key"))
        snprintf(pattern, sizeof(pattern), "'~%s*'", c->options->prefix);
    else
        snprintf(pattern, sizeof(pattern), "%s", right->grant);
    note(missing, pattern);
}

static void check_rights(struct redis_check *c)
{
    char missing[LIST_MAX] = "", cure[LIST_MAX + 100];
    bool can_delete = false;
    for (size_t i = 0; i < RIGHTS; i++) {
        if (rights[i].creates && !can_delete)
            continue;
        const struct reply *r = try_right(c, &rights[i]);
        if (!r)
            return; /* told by who looks at the connection */
        if (begins(r, "NOPERM"))
            note_refusal(c, &rights[i], r->text, missing);
        else if (strcmp(rights[i].words[0], "UNLINK") == 0)
            can_delete = true;
        if (rights[i].creates)
            TALK_ASK(c->talk, "UNLINK", c->root);
    }
    if (!missing[0]) {
        findings_add(c->findings, FINDING_OK, "rights", NULL, "all that a gateway needs");
        return;
    }
    c->lacks_rights = true;
    snprintf(cure, sizeof(cure), "redis-cli ACL SETUSER %s %s   (all of them: docs/redis-api.md, Rights)",
             c->config.user ? c->config.user : "default", missing);
    findings_add(c->findings, FINDING_BAD, "rights", cure, "missing: %s", missing);
}

/* --- settings --------------------------------------------------------------------------------------------- */

/* The value of one setting in `out`; false when this user may not see it. */
static bool setting(struct redis_check *c, const char *name, char *out, size_t size)
{
    const struct reply *r = TALK_ASK(c->talk, "CONFIG", "GET", name);
    struct slice value = r && r->type == REPLY_ARRAY ? reply_at(r, 1)->text : SLICE_NONE;
    snprintf(out, size, "%.*s", (int)value.len, value.len ? value.ptr : "");
    return r && r->type == REPLY_ARRAY && r->len >= 2;
}

static void check_memory(struct redis_check *c, const char *policy)
{
    char limit[32];
    bool limited = setting(c, "maxmemory", limit, sizeof(limit)) && strcmp(limit, "0") != 0;
    if (strcmp(policy, "noeviction") == 0)
        findings_add(c->findings, FINDING_OK, "memory", NULL, "maxmemory %s, noeviction",
                     limited ? limit : "has no limit");
    else
        findings_add(
            c->findings, limited ? FINDING_BAD : FINDING_NOTE, "memory",
            "redis-cli CONFIG SET maxmemory-policy noeviction, and in redis.conf",
            "maxmemory-policy is %s: what is evicted is gone without a word to subscribers, and half a list is damaged",
            policy);
}

/* The hard limit of `class` in a line like `normal 0 0 0 slave 268435456 … pubsub 33554432 8388608 60`; -1: not there. */
static int64_t hard_limit(struct slice line, const char *class)
{
    struct slice word;
    int64_t limit;
    while (slice_cut(&line, ' ', &word)) {
        if (slice_eq(word, slice_str(class)))
            return slice_cut(&line, ' ', &word) && slice_i64(word, &limit) ? limit : -1;
    }
    return -1;
}

static void check_output(struct redis_check *c)
{
    char line[200];
    if (!setting(c, "client-output-buffer-limit", line, sizeof(line)))
        return;
    int64_t limit = hard_limit(slice_str(line), "pubsub");
    static const char cure[] =
        "redis-cli CONFIG SET client-output-buffer-limit 'pubsub 32mb 8mb 30', and in redis.conf";
    if (limit == 0)
        findings_add(c->findings, FINDING_NOTE, "output limit", cure,
                     "pubsub has none: a gateway that hangs takes memory of Redis without end");
    else if (limit > 0 && limit < PUBSUB_LIMIT_MIN)
        findings_add(c->findings, FINDING_BAD, "output limit", cure,
                     "pubsub %lld bytes: answers and large values cut the gateways' connections", (long long)limit);
    else if (limit > 0)
        findings_add(c->findings, FINDING_OK, "output limit", NULL, "pubsub %lld bytes: values must stay well below",
                     (long long)limit);
}

static void check_rest(struct redis_check *c)
{
    char text[64];
    if (setting(c, "databases", text, sizeof(text))) {
        bool one = strcmp(text, "1") == 0;
        findings_add(c->findings, one ? FINDING_OK : FINDING_NOTE, "databases",
                     one ? NULL
                         : "`databases 1` in redis.conf, if nothing else lives there, makes changes a little cheaper",
                     "%s", text);
    }
    if (setting(c, "appendonly", text, sizeof(text))) {
        bool on = strcmp(text, "yes") == 0;
        findings_add(c->findings, on ? FINDING_OK : FINDING_NOTE, "persistence",
                     on ? NULL : "`appendonly yes` keeps the state over a crash of Redis, but for the last second",
                     "appendonly %s", text);
    }
}

static void check_settings(struct redis_check *c)
{
    char policy[64];
    if (!setting(c, "maxmemory-policy", policy, sizeof(policy))) {
        findings_add(c->findings, FINDING_NOTE, "settings",
                     "as an admin: redis-cli CONFIG GET maxmemory-policy (noeviction), client-output-buffer-limit "
                     "(pubsub 32mb 8mb 30)",
                     "this user may not see them (CONFIG GET), and need not");
        return;
    }
    check_memory(c, policy);
    check_output(c);
    check_rest(c);
}

void redis_check_all(struct redis_check *c)
{
    check_library(c);
    check_rights(c);
    check_settings(c);
    if (talk_why(c->talk)[0])
        findings_add(c->findings, FINDING_BAD, "connection", NULL, "Redis was lost: %s", talk_why(c->talk));
}
