/* Intrusive hash map from bytes to structures that embed a map_node. Keyed SipHash-like hashing with a per-process seed,
 * because peers choose the keys. Iteration order is unspecified. */
#ifndef SYNCGATE_PROTOCOL_BASE_MAP_H
#define SYNCGATE_PROTOCOL_BASE_MAP_H

#include "protocol/base/slice.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
    struct slice key; /* borrowed: owned by the embedding structure, constant while it is in the map */
};

struct map {
    struct map_node **buckets; /* NULL while empty */
    size_t nbuckets;           /* power of two */
    size_t count;
};

/* map_seed sets the process-wide hash seed, once, before any map is filled (16 random bytes). Tests may skip it. */
void map_seed(const unsigned char seed[16]);
uint64_t map_hash(struct slice key);

void map_init(struct map *m);
/* map_deinit frees the table only; the embedding structures are their owner's. */
void map_deinit(struct map *m);
struct map_node *map_find(const struct map *m, struct slice key);
/* map_insert: node->key must be set by the caller and must not be in the map yet (asserted). */
void map_insert(struct map *m, struct map_node *node);
void map_remove(struct map *m, struct map_node *node);
/* map_next walks: start with NULL. The map must not change between steps, except by removing the node just returned
 * after its successor was asked for. */
struct map_node *map_next(const struct map *m, const struct map_node *after);
/* map_scan walks in steps between which the map may change: begin with *cursor 0; each step returns the first node of one bucket
 * (follow `next`), NULL when it is empty, and moves the cursor on, which is 0 again after the last. What is in the map all the
 * while is seen at least once, however the map grows and shrinks. */
struct map_node *map_scan(const struct map *m, uint64_t *cursor);

#endif
