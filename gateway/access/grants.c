/* Glob patterns and the question "may this holder do that". Matching never backtracks over more than the last star, so it
 * takes at most name length times pattern length steps whatever the pattern is. */
#include "gateway/access/grants.h"
#include "protocol/base/alloc.h"

#include <assert.h>

/* The bytes of the UTF-8 character at the front of s (not empty). Names were validated before; for a stray byte it is 1. */
static size_t character_len(struct slice s)
{
    unsigned char lead = (unsigned char)s.ptr[0];
    size_t len = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    return len < s.len ? len : s.len;
}

static struct slice skip(struct slice s, size_t len)
{
    return slice_of(s.ptr + len, s.len - len);
}

bool glob_match(const char *glob, struct slice name)
{
    const char *star = NULL;         /* behind the last `*` seen … */
    struct slice retry = SLICE_NONE; /* … and where its run ends so far */

    while (name.len > 0) {
        bool literal = *glob == GLOB_LITERAL;
        if (*glob == '*') {
            star = ++glob;
            retry = name;
        } else if (*glob == '?') {
            glob++;
            name = skip(name, character_len(name));
        } else if (glob[literal] != '\0' && glob[literal] == name.ptr[0]) {
            glob += 1 + literal;
            name = skip(name, 1);
        } else if (star) {
            retry = skip(retry, character_len(retry));
            name = retry;
            glob = star;
        } else {
            return false;
        }
    }
    while (*glob == '*')
        glob++;
    return *glob == '\0';
}

bool glob_is_literal(const char *glob)
{
    return strpbrk(glob, (const char[]){'*', '?', GLOB_LITERAL, '\0'}) == NULL;
}

static bool covers(const struct patterns *p, struct slice name)
{
    for (size_t i = 0; i < p->len; i++) {
        if (glob_match(p->globs[i], name))
            return true;
    }
    return false;
}

bool grants_allow(const struct grants *g, enum grant verb, struct slice name)
{
    assert(verb < GRANT_COUNT);
    return covers(&g->verbs[verb], name) && !covers(&g->deny, name);
}

void patterns_add(struct patterns *p, const char *glob)
{
    p->globs = sg_realloc(p->globs, (p->len + 1) * sizeof(*p->globs));
    p->globs[p->len++] = sg_text(glob);
}

static void patterns_deinit(struct patterns *p)
{
    for (size_t i = 0; i < p->len; i++)
        free(p->globs[i]);
    free(p->globs);
    *p = (struct patterns){0};
}

void grants_deinit(struct grants *g)
{
    for (size_t verb = 0; verb < GRANT_COUNT; verb++)
        patterns_deinit(&g->verbs[verb]);
    patterns_deinit(&g->deny);
}
