/* Windows onto a paged list. A `window` is the true slice that (page, size) names, kept current by change
 * events, with holes where an item entered whose content is not known yet. A `page` is an immutable version
 * of it: what a subscriber was told. page_compare finds the shortest exact sequence from one version to
 * another (docs/protocol.md, the slide rule). */
#ifndef SYNCGATE_PROTOCOL_WINDOW_H
#define SYNCGATE_PROTOCOL_WINDOW_H

#include "protocol/base/slice.h"

/* One item of a list: immutable and refcounted (not atomic). A change of its value makes a new entry, so
 * "same entry" means "same id, told the same value", and "same id, other entry" means `set`. */
struct entry {
    uint32_t refs;
    uint32_t id_len;
    size_t value_len;
    char bytes[]; /* id (canonical JSON text), then value (JSON text as written) */
};

struct entry *entry_new(struct slice id, struct slice value);
struct entry *entry_ref(struct entry *e);
void entry_unref(struct entry *e); /* NULL is allowed */
/* entry_bytes_live: memory of all entries that there are. */
size_t entry_bytes_live(void);
static inline struct slice entry_id(const struct entry *e)
{
    return slice_of(e->bytes, e->id_len);
}
static inline struct slice entry_value(const struct entry *e)
{
    return slice_of(e->bytes + e->id_len, e->value_len);
}

/* An immutable version of a window. */
struct page {
    uint32_t refs;
    uint32_t count;
    int64_t number; /* 0-based, effective */
    int64_t size;
    int64_t total; /* items in the whole list */
    struct entry *slots[];
};

struct page *page_ref(struct page *p);
void page_unref(struct page *p); /* NULL is allowed */

/* page_clamp: the effective page for a list of `total` items (docs/protocol.md, rows 24 to 26). */
int64_t page_clamp(int64_t page, int64_t size, int64_t total);

/* The living slice. Positions given to its functions are absolute in the list. */
struct window {
    int64_t number;
    int64_t size;         /* 1 .. the owner's maximum */
    int64_t total;        /* of the list, as of the last event applied */
    uint32_t count;       /* slots in use = items of the slice, holes included */
    uint32_t holes;       /* slots that are NULL */
    struct entry **slots; /* `size` of them, owned */
    struct page *version; /* cached snapshot while nothing changed since, or NULL; owned */
};

void window_init(struct window *w, int64_t number, int64_t size);
void window_deinit(struct window *w);

/* Events, in the order Redis applied them. Each keeps `slots` exactly the slice (holes where content is
 * unknown) and says whether anything of the slice or the total changed. `total` is the list's length after
 * the event. A window whose page no longer exists (number > page_clamp) keeps count 0: its owner moves its
 * viewers. Entries are referenced, not taken. An event that cannot follow the state the window is in (an
 * index outside, another total, another id in the slot) resets it, so that everything is read again. A value
 * set again is a change even when its bytes are equal, unless it is the very entry. */
bool window_insert(struct window *w, int64_t index, struct entry *e, int64_t total);
bool window_set(struct window *w, int64_t index, struct entry *e, int64_t total);
bool window_delete(struct window *w, int64_t index, int64_t total);
bool window_move(struct window *w, int64_t from, int64_t to, struct entry *e, int64_t total);
/* window_reset: nothing is known any more but the length: all of the slice becomes holes. */
void window_reset(struct window *w, int64_t total);

/* window_want: the absolute range that covers all holes; false when there are none. */
bool window_want(const struct window *w, int64_t *start, int64_t *count);
/* window_fill: `entries[0..n)` stand at absolute positions start … in the very state the window is at. Only
 * holes are filled; a slot that is known keeps its entry unless `overwrite` (then an equal id and value keeps
 * the old entry, so that nothing is reported as changed). Returns true when anything changed. */
bool window_fill(struct window *w, int64_t start, struct entry *const *entries, size_t n, bool overwrite);

/* window_version: the current state as an immutable page, with a reference for the caller. There must be no
 * holes (asserted). Two calls without a change in between give the same object. */
struct page *window_version(struct window *w);

/* One step of a comparison. */
enum step_op { STEP_DELETE, STEP_INSERT, STEP_SET };
struct step {
    enum step_op op;
    bool gone;                 /* delete: the item left the list itself, not only the page */
    uint32_t index;            /* position in the page when it is applied */
    const struct entry *entry; /* delete: the old one; else the new. Borrowed. */
};

struct page_steps {
    struct step *steps; /* deletes, then inserts in ascending index, then sets */
    size_t len;
    size_t cap;
    bool set_count; /* the total differs from what a peer computes from the inserts and deletes */
    bool recounted; /* the total differs from what it was */
    bool replace;   /* send the whole page (set_all) instead of the steps */
    size_t deletes, inserts, sets;
    uint32_t *_scratch; /* private to page_compare; kept so that a steady state allocates nothing */
    size_t _scratch_cap;
};

void page_steps_init(struct page_steps *s);
void page_steps_deinit(struct page_steps *s);

/* page_compare fills `out` (emptied first, memory reused) with the shortest exact sequence that brings a peer
 * from `from` to `to`: deletes of what left or must move, inserts of what entered in ascending index, sets of
 * what changed in place. `replace` when the two differ in number or size, or deletes or inserts exceed half
 * the page size; for another number or size `steps` stays empty. An item that moved is delete + insert. What
 * stays is the heaviest common subsequence of ids, where an unchanged item weighs 2 and one that needs a set
 * 1: that gives the fewest steps. Returns false when nothing differs, total included. Cost: O(page) with a
 * common prefix and suffix, O(page log page) at worst. `gone` flags are left false: the caller knows. */
bool page_compare(const struct page *from, const struct page *to, struct page_steps *out);

#endif
