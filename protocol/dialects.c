/* A new dialect is one row here. */
#include "protocol/dialects.h"

#include "protocol/socksync/socksync.h"
#include "protocol/socksync2/socksync2.h"

const struct dialect *const dialects[] = {&socksync_dialect, &socksync2_dialect, NULL};

static struct slice without_slash(struct slice path)
{
    return slice_of(path.ptr, path.len > 1 && path.ptr[path.len - 1] == '/' ? path.len - 1 : path.len);
}

static bool fits(const struct route *r, struct slice path, struct slice *room)
{
    struct slice base = slice_str(r->path);
    *room = SLICE_NONE;
    if (!r->with_room)
        return slice_eq(without_slash(path), base);
    if (path.len <= base.len + 1 || memcmp(path.ptr, base.ptr, base.len) != 0 || path.ptr[base.len] != '/')
        return false;
    *room = slice_of(path.ptr + base.len + 1, path.len - base.len - 1);
    return true;
}

/* The next word of a list; false at its end. */
static bool next_word(struct slice *rest, struct slice *word)
{
    static const char separators[] = ", \t";
    while (rest->len && memchr(separators, *rest->ptr, sizeof(separators) - 1))
        *rest = slice_of(rest->ptr + 1, rest->len - 1);
    size_t len = 0;
    while (len < rest->len && !memchr(separators, rest->ptr[len], sizeof(separators) - 1))
        len++;
    *word = slice_of(rest->ptr, len);
    *rest = slice_of(rest->ptr + len, rest->len - len);
    return len > 0;
}

/* At which place the client names the sub-protocol; SIZE_MAX: nowhere. */
static size_t place_of(const char *subprotocol, struct slice offered)
{
    size_t place = 0;
    for (struct slice word; subprotocol && next_word(&offered, &word); place++)
        if (slice_eq(word, slice_str(subprotocol)))
            return place;
    return SIZE_MAX;
}

bool dialects_match(struct slice path, struct slice offered, struct dialect_match *out)
{
    struct slice room;
    size_t best = SIZE_MAX;
    *out = (struct dialect_match){.dialect = NULL};
    for (const struct dialect *const *d = dialects; *d; d++) {
        for (const struct route *r = (*d)->routes; r->path; r++) {
            if (!fits(r, path, &room))
                continue;
            size_t place = place_of(r->subprotocol, offered);
            if (out->dialect && place >= best)
                continue;
            *out = (struct dialect_match){*d, place == SIZE_MAX ? NULL : r->subprotocol, room};
            best = place;
        }
    }
    return out->dialect != NULL;
}

bool dialects_serve(struct slice path)
{
    struct dialect_match match;
    return dialects_match(path, SLICE_NONE, &match);
}
