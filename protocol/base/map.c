/* The hash map: chained buckets, doubled when full, and SipHash-1-3 (Aumasson and Bernstein) as the keyed hash, so that a
 * peer who chooses the keys cannot choose the collisions. */
#include "protocol/base/map.h"

#include <assert.h>
#include <stdlib.h>

#include "protocol/base/alloc.h"

enum { MAP_BUCKETS_MIN = 8, MAP_SPARSE = 8 /* shrink when fewer than one bucket in so many is used */ };

static uint64_t seed0, seed1;

/* load64 reads little-endian; compilers make one load of it. */
static inline uint64_t load64(const unsigned char *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 |
           (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

void map_seed(const unsigned char seed[16])
{
    seed0 = load64(seed);
    seed1 = load64(seed + 8);
}

static inline uint64_t rotate(uint64_t n, int bits)
{
    return n << bits | n >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static inline void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

uint64_t map_hash(struct slice key)
{
    uint64_t v[4] = {seed0 ^ 0x736f6d6570736575, seed1 ^ 0x646f72616e646f6d, seed0 ^ 0x6c7967656e657261,
                     seed1 ^ 0x7465646279746573};
    const unsigned char *p = (const unsigned char *)key.ptr;
    size_t whole = key.len & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8)
        sip_word(v, load64(p + i));

    uint64_t last = (uint64_t)(key.len & 0xff) << 56;
    for (size_t i = whole; i < key.len; i++)
        last |= (uint64_t)p[i] << (8 * (i - whole));
    sip_word(v, last);

    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *m)
{
    *m = (struct map){.buckets = NULL};
}

void map_deinit(struct map *m)
{
    free(m->buckets);
    map_init(m);
}

static struct map_node **bucket_of(const struct map *m, uint64_t hash)
{
    return &m->buckets[hash & (m->nbuckets - 1)];
}

struct map_node *map_find(const struct map *m, struct slice key)
{
    if (m->count == 0)
        return NULL;
    uint64_t hash = map_hash(key);
    struct map_node *n = *bucket_of(m, hash);
    while (n && !(n->hash == hash && slice_eq(n->key, key)))
        n = n->next;
    return n;
}

static void push(struct map *m, struct map_node *node)
{
    struct map_node **bucket = bucket_of(m, node->hash);
    node->next = *bucket;
    *bucket = node;
}

static void resize(struct map *m, size_t nbuckets)
{
    struct map old = *m;
    m->buckets = sg_calloc(nbuckets, sizeof(struct map_node *));
    m->nbuckets = nbuckets;
    for (size_t i = 0; i < old.nbuckets; i++) {
        for (struct map_node *n = old.buckets[i], *next; n; n = next) {
            next = n->next;
            push(m, n);
        }
    }
    free(old.buckets);
}

/* Both growing and shrinking happen here and never on removal: a walk may remove, but not insert. */
static void make_room(struct map *m)
{
    if (m->nbuckets == 0)
        resize(m, MAP_BUCKETS_MIN);
    else if (m->count >= m->nbuckets)
        resize(m, m->nbuckets * 2);
    else if (m->nbuckets > MAP_BUCKETS_MIN && m->count < m->nbuckets / MAP_SPARSE)
        resize(m, m->nbuckets / 2);
}

void map_insert(struct map *m, struct map_node *node)
{
    assert(!map_find(m, node->key));
    make_room(m);
    node->hash = map_hash(node->key);
    push(m, node);
    m->count++;
}

void map_remove(struct map *m, struct map_node *node)
{
    assert(m->count > 0);
    struct map_node **link = bucket_of(m, node->hash);
    while (*link != node) {
        assert(*link); /* the node is in this map */
        link = &(*link)->next;
    }
    *link = node->next;
    node->next = NULL;
    m->count--;
}

struct map_node *map_next(const struct map *m, const struct map_node *after)
{
    if (after && after->next)
        return after->next;
    size_t i = after ? (after->hash & (m->nbuckets - 1)) + 1 : 0;
    for (; i < m->nbuckets; i++)
        if (m->buckets[i])
            return m->buckets[i];
    return NULL;
}

static uint64_t reversed(uint64_t n)
{
    n = (n >> 1 & 0x5555555555555555) | (n & 0x5555555555555555) << 1;
    n = (n >> 2 & 0x3333333333333333) | (n & 0x3333333333333333) << 2;
    n = (n >> 4 & 0x0f0f0f0f0f0f0f0f) | (n & 0x0f0f0f0f0f0f0f0f) << 4;
    return __builtin_bswap64(n);
}

/* Counts from the highest bit of the mask down: a bucket is split into, or merged from, buckets that are neighbours in this
 * order, so a table of another size goes on at the same place. */
struct map_node *map_scan(const struct map *m, uint64_t *cursor)
{
    if (m->nbuckets == 0) {
        *cursor = 0;
        return NULL;
    }
    uint64_t mask = m->nbuckets - 1;
    struct map_node *n = m->buckets[*cursor & mask];
    *cursor = reversed(reversed(*cursor | ~mask) + 1);
    return n;
}
