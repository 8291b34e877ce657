/* See the header. A word never acts as a pattern: what it holds stands for itself. */
#include "gateway/access/identity.h"

#include <assert.h>
#include <string.h>

#include "protocol/base/alloc.h"
#include "protocol/json.h"
#include "protocol/message.h"

enum {
    PATTERN_MAX = 512,   /* bytes, as a name has */
    PATTERNS_MAX = 1000, /* of one token */
    WORD_MAX = JWT_WORD_MAX
};

static const struct slice info_head = SLICE_LIT("info.");

static bool has_head(struct slice s, struct slice head)
{
    return s.len > head.len && memcmp(s.ptr, head.ptr, head.len) == 0;
}

/* --- words --- */

static bool is_info_key(struct slice key)
{
    for (size_t i = 0; i < key.len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", key.ptr[i]))
            return false;
    return key.len > 0 && key.len <= WORD_MAX;
}

/* What the braces around `key` stand for; empty when there is nothing. Decoded into `scratch`, or borrowed. */
static struct slice word_of(const struct jwt_claims *c, struct slice key, struct buf *scratch)
{
    struct json_value v;
    enum json_kind top;
    struct slice text;
    int64_t n;
    if (slice_eq(key, SLICE_LIT("user")))
        return c->user;
    if (slice_eq(key, SLICE_LIT("session")))
        return c->session;
    if (slice_eq(key, SLICE_LIT("tenant")))
        return c->tenant;
    if (!has_head(key, info_head) || !c->info.len)
        return SLICE_NONE;
    key = slice_of(key.ptr + info_head.len, key.len - info_head.len);
    if (json_members(c->info, JSON_DEPTH_LIMIT, &key, 1, &v, &top) != JSON_OK || top != JSON_OBJECT)
        return SLICE_NONE;
    if (v.type == JSON_NUMBER && v.text.len <= 20 && !memchr(v.text.ptr, '.', v.text.len) && json_integer(v.text, &n))
        return v.text;
    return v.type == JSON_STRING && json_string(v.text, WORD_MAX, scratch, &text) ? text : SLICE_NONE;
}

static void put_word(struct buf *out, struct slice word)
{
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] == '*' || word.ptr[i] == '?')
            buf_put_char(out, GLOB_LITERAL);
        buf_put_char(out, word.ptr[i]);
    }
}

/* --- patterns --- */

const char *identity_check_places(const char *pattern)
{
    for (const char *at = pattern; (at = strpbrk(at, "{}")); at++) {
        const char *end = *at == '{' ? strchr(at, '}') : NULL;
        if (!end)
            return "a brace without its other one";
        struct slice key = slice_of(at + 1, (size_t)(end - at - 1));
        bool info = has_head(key, info_head) && is_info_key(slice_of(key.ptr + info_head.len, key.len - info_head.len));
        if (!info && !slice_eq(key, SLICE_LIT("user")) && !slice_eq(key, SLICE_LIT("session")) &&
            !slice_eq(key, SLICE_LIT("tenant")))
            return "braces hold one of user, session, tenant, info.KEY";
        at = end;
    }
    return NULL;
}

/* The pattern with words in its places; one whose word is not told, or cannot be part of a name, grants nothing and is left out. */
static void patterns_put(struct patterns *to, const char *pattern, const struct jwt_claims *c)
{
    struct buf out, scratch;
    bool good = true;
    buf_init(&out, (size_t)2 * PATTERN_MAX);
    buf_init(&scratch, (size_t)WORD_MAX);
    for (const char *at = pattern; *at && good;) {
        size_t plain = strcspn(at, "{");
        buf_put(&out, at, plain);
        at += plain;
        if (!*at)
            break;
        const char *end = strchr(at, '}');
        assert(end); /* identity_check_places */
        struct slice word = word_of(c, slice_of(at + 1, (size_t)(end - at - 1)), &scratch);
        good = message_name_valid(word);
        put_word(&out, word);
        buf_reset(&scratch);
        at = end + 1;
    }
    buf_put_char(&out, '\0');
    if (good && !out.failed)
        patterns_add(to, out.ptr);
    buf_deinit(&out);
    buf_deinit(&scratch);
}

static void patterns_put_all(struct patterns *to, const struct patterns *from, const struct jwt_claims *c)
{
    for (size_t i = 0; i < from->len; i++)
        patterns_put(to, from->globs[i], c);
}

/* --- what a token grants --- */

static const char *put_claimed(struct patterns *to, const struct json_value *array, size_t *left)
{
    static const char wrong[] = "the token's grants are malformed";
    struct slice rest = array->text, pattern;
    struct json_value each;
    struct buf scratch;
    char text[PATTERN_MAX + 1];
    const char *why = NULL;
    if (array->type == JSON_ABSENT || array->type == JSON_NULL)
        return NULL;
    if (array->type != JSON_ARRAY)
        return wrong;
    buf_init(&scratch, PATTERN_MAX);
    while (!why && json_element(&rest, &each)) {
        buf_reset(&scratch);
        if (*left == 0)
            why = "the token grants too many patterns";
        else if (each.type != JSON_STRING || !json_string(each.text, PATTERN_MAX, &scratch, &pattern) ||
                 !message_name_valid(pattern))
            why = wrong;
        else {
            memcpy(text, pattern.ptr, pattern.len);
            text[pattern.len] = '\0';
            patterns_add(to, text);
            --*left;
        }
    }
    buf_deinit(&scratch);
    return why;
}

static const char *put_claims(struct grants *g, struct slice grants)
{
    enum { DENY = GRANT_COUNT, FIELDS };
    static const struct slice keys[FIELDS] = {
        [GRANT_SUBSCRIBE] = SLICE_LIT("subscribe"),
        [GRANT_CALL] = SLICE_LIT("call"),
        [GRANT_WRITE] = SLICE_LIT("write"),
        [GRANT_SERVE] = SLICE_LIT("serve"),
        [DENY] = SLICE_LIT("deny"),
    };
    struct json_value v[FIELDS];
    enum json_kind top;
    size_t left = PATTERNS_MAX;
    const char *why = NULL;
    if (!grants.len)
        return NULL;
    if (json_members(grants, JSON_DEPTH_LIMIT, keys, FIELDS, v, &top) != JSON_OK || top != JSON_OBJECT)
        return "the token's grants are malformed";
    for (size_t verb = 0; verb < FIELDS && !why; verb++)
        why = put_claimed(verb == DENY ? &g->deny : &g->verbs[verb], &v[verb], &left);
    return why;
}

/* --- life --- */

static struct slice kept(char **at, struct slice s)
{
    return s.ptr ? slice_put(at, s) : SLICE_NONE;
}

/* What is borrowed comes into memory of its own; the user's name with a NUL behind it. */
static void keep_claims(struct identity *i, const struct jwt_claims *c)
{
    static const struct slice nobody = SLICE_LIT("somebody");
    struct slice user = c->user.len ? c->user : nobody;
    char *at = i->memory = sg_malloc(user.len + 1 + c->user.len + c->session.len + c->token_id.len + c->tenant.len +
                                     c->info.len + c->grants.len);
    i->grants.name = at;
    i->grants.person = c->user.len > 0;
    (void)slice_put(&at, user);
    *at++ = '\0';
    i->claims = (struct jwt_claims){.user = kept(&at, c->user),
                                    .session = kept(&at, c->session),
                                    .token_id = kept(&at, c->token_id),
                                    .tenant = kept(&at, c->tenant),
                                    .info = kept(&at, c->info),
                                    .grants = kept(&at, c->grants),
                                    .expires_s = c->expires_s,
                                    .key = c->key};
}

struct identity *identity_new(const struct grants *users, const struct jwt_claims *claims, const char **why)
{
    struct identity *i = sg_calloc(1, sizeof(*i));
    i->holders = 1;
    i->grants.identity = i;
    keep_claims(i, claims);
    for (size_t verb = 0; verb < GRANT_COUNT; verb++)
        patterns_put_all(&i->grants.verbs[verb], &users->verbs[verb], &i->claims);
    patterns_put_all(&i->grants.deny, &users->deny, &i->claims);
    *why = put_claims(&i->grants, i->claims.grants);
    if (!*why)
        return i;
    identity_release(i);
    return NULL;
}

void identity_hold(struct identity *i)
{
    i->holders++;
}

void identity_release(struct identity *i)
{
    assert(i->holders > 0);
    if (--i->holders > 0)
        return;
    grants_deinit(&i->grants);
    free(i->memory);
    free(i);
}
