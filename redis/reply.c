/* Builds struct reply trees in an arena through hiredis' reader, and refuses what is too large before memory is taken for it.
 * The arena's first chunk stays, so that events and small answers cost no allocation; further chunks go back at once. */
#include "redis/reply.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>

#include <hiredis/read.h>

#include "protocol/base/alloc.h"

enum {
    CHUNK_FIRST = 32 * 1024,
    CHUNK_MAX = 1024 * 1024, /* chunks double up to this; a longer text gets a chunk of its own */
    HEADER_MAX = 32          /* the length line of a bulk string or array */
};

struct chunk {
    struct chunk *next;
    size_t size, used;
    alignas(max_align_t) char bytes[];
};

struct reply_reader {
    redisReader *resp;
    struct chunk *first;  /* stays */
    struct chunk *newest; /* the one that is filled; == first most of the time */
    size_t memory;        /* of all chunks */
    const char *why;      /* a limit of ours was exceeded */
};

static const struct reply reply_nil = {.type = REPLY_NIL};

const struct reply *reply_at(const struct reply *r, size_t i)
{
    bool has_elements = r->type == REPLY_ARRAY || r->type == REPLY_PUSH;
    return has_elements && i < r->len ? r->elements[i] : &reply_nil;
}

bool reply_i64(const struct reply *r, int64_t *out)
{
    if (r->type == REPLY_STRING)
        return slice_i64(r->text, out);
    if (r->type != REPLY_INTEGER)
        return false;
    *out = r->integer;
    return true;
}

/* --- the arena --- */

static struct chunk *chunk_new(size_t size)
{
    struct chunk *c = malloc(sizeof *c + size);
    if (c)
        *c = (struct chunk){.size = size};
    return c;
}

static void arena_reset(struct reply_reader *r)
{
    for (struct chunk *c = r->first->next, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    r->first->next = NULL;
    r->first->used = 0;
    r->newest = r->first;
    r->memory = r->first->size;
}

static void *refuse(struct reply_reader *r, const char *why)
{
    if (!r->why)
        r->why = why;
    return NULL;
}

static bool arena_grow(struct reply_reader *r, size_t need)
{
    size_t size = r->newest->size < CHUNK_MAX / 2 ? r->newest->size * 2 : CHUNK_MAX;
    if (size < need)
        size = need;
    struct chunk *c = size <= REPLY_ARENA_MAX - r->memory ? chunk_new(size) : NULL;
    if (!c) {
        refuse(r, "a reply takes too much memory");
        return false;
    }
    r->newest->next = c;
    r->newest = c;
    r->memory += size;
    return true;
}

static void *arena_take(struct reply_reader *r, size_t size)
{
    if (size > REPLY_ARENA_MAX)
        return refuse(r, "a reply takes too much memory");
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (size > r->newest->size - r->newest->used && !arena_grow(r, size))
        return NULL;
    void *room = r->newest->bytes + r->newest->used;
    r->newest->used += size;
    return room;
}

/* --- what hiredis calls for each element --- */

/* While it is built a reply's elements can be written to. */
struct node {
    struct reply reply;
    const struct reply **slots;
};

static struct node *node_new(const redisReadTask *task, enum reply_type type)
{
    struct node *n = arena_take(task->privdata, sizeof *n);
    if (!n)
        return NULL;
    *n = (struct node){.reply.type = type};
    if (task->parent) {
        struct node *parent = task->parent->obj;
        parent->slots[task->idx] = &n->reply;
    }
    return n;
}

static void *create_string(const redisReadTask *task, char *text, size_t len)
{
    struct node *n = node_new(task, task->type == REDIS_REPLY_ERROR ? REPLY_ERROR : REPLY_STRING);
    if (!n)
        return NULL;
    if (task->type == REDIS_REPLY_VERB) { /* "txt:" is the type of what follows; hiredis has checked that it is there */
        text += 4;
        len -= 4;
    }
    char *copy = arena_take(task->privdata, len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    n->reply.text = slice_of(copy, len);
    return n;
}

static size_t depth_of(const redisReadTask *task)
{
    size_t depth = 1;
    while ((task = task->parent))
        depth++;
    return depth;
}

static void *create_array(const redisReadTask *task, size_t len)
{
    struct reply_reader *r = task->privdata;
    if (depth_of(task) > REPLY_DEPTH_MAX)
        return refuse(r, "a reply is nested too deeply");
    struct node *n = node_new(task, task->type == REDIS_REPLY_PUSH ? REPLY_PUSH : REPLY_ARRAY);
    if (!n)
        return NULL;
    n->slots = arena_take(r, len * sizeof(struct reply *));
    if (!n->slots)
        return NULL;
    n->reply.elements = n->slots;
    n->reply.len = len;
    return n;
}

static void *create_integer(const redisReadTask *task, long long value)
{
    struct node *n = node_new(task, REPLY_INTEGER);
    if (n)
        n->reply.integer = value;
    return n;
}

static void *create_double(const redisReadTask *task, double value, char *text, size_t len)
{
    (void)value;
    return create_string(task, text, len);
}

static void *create_nil(const redisReadTask *task)
{
    return node_new(task, REPLY_NIL);
}

static void *create_bool(const redisReadTask *task, int value)
{
    struct node *n = node_new(task, REPLY_BOOL);
    if (n)
        n->reply.integer = value != 0;
    return n;
}

/* No freeObject: a tree goes with its arena. */
static redisReplyObjectFunctions functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createDouble = create_double,
    .createNil = create_nil,
    .createBool = create_bool,
};

/* --- the reader --- */

struct reply_reader *reply_reader_new(void)
{
    struct reply_reader *r = sg_calloc(1, sizeof *r);
    r->first = sg_malloc(sizeof *r->first + CHUNK_FIRST);
    *r->first = (struct chunk){.size = CHUNK_FIRST};
    arena_reset(r);
    r->resp = redisReaderCreateWithFunctions(&functions);
    if (!r->resp)
        abort();
    r->resp->privdata = r;
    r->resp->maxelements = REPLY_ELEMENTS_MAX;
    return r;
}

void reply_reader_free(struct reply_reader *r)
{
    if (!r)
        return;
    redisReaderFree(r->resp);
    arena_reset(r);
    free(r->first);
    free(r);
}

void reply_reader_feed(struct reply_reader *r, struct slice bytes)
{
    if (bytes.len > 0 && !r->why)
        (void)redisReaderFeed(r->resp, bytes.ptr, bytes.len); /* a failure is kept and told by reply_reader_next */
}

/* An element of which only a part has come is kept by hiredis without a bound. Returns false when the part is already longer
 * than the whole may be. */
static bool bounded(struct reply_reader *r)
{
    const redisReader *resp = r->resp;
    if (resp->ridx < 0)
        return true;
    const redisReadTask *task = resp->task[resp->ridx];
    struct slice part = slice_of(resp->buf + resp->pos, resp->len - resp->pos), line;
    if (task->type < 0 || part.len == 0)
        return true;
    if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_VERB)
        return part.len <= REPLY_LINE_MAX;
    int64_t announced;
    if (!slice_cut(&part, '\r', &line))
        return part.len <= HEADER_MAX;
    return slice_i64(line, &announced) && announced <= REPLY_TEXT_MAX;
}

enum reply_next reply_reader_next(struct reply_reader *r, const struct reply **out)
{
    void *root = NULL;
    *out = NULL;
    if (r->resp->ridx < 0)
        arena_reset(r);
    if (r->why || redisReaderGetReply(r->resp, &root) != REDIS_OK || r->why)
        return REPLY_BROKEN;
    if (root) {
        *out = &((struct node *)root)->reply;
        return REPLY_READY;
    }
    if (bounded(r))
        return REPLY_MORE;
    refuse(r, "an element of a reply is too long");
    return REPLY_BROKEN;
}

const char *reply_reader_why(const struct reply_reader *r)
{
    return r->why ? r->why : r->resp->errstr;
}

size_t reply_reader_memory(const struct reply_reader *r)
{
    return r->memory;
}
