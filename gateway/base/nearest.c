/* The number of letters that are missing, too many, wrong, or swapped with their neighbour. */
#include "gateway/base/nearest.h"

#include <string.h>

enum { WORD_MAX = sizeof(((struct nearest *)NULL)->best) - 1 };

static size_t least(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Dashes and underscores, small and large letters are the same slip, which costs nothing. */
static char plain(char c)
{
    if (c == '-')
        return '_';
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t distance(struct slice a, struct slice b)
{
    size_t rows[3][WORD_MAX + 1]; /* before the last, the last, this one */
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.len; j++)
        last[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = plain(a.ptr[i - 1]), y = plain(b.ptr[j - 1]);
            row[j] = least(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y));
            bool swapped = i > 1 && j > 1 && x == plain(b.ptr[j - 2]) && y == plain(a.ptr[i - 2]);
            if (swapped && before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        size_t *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[b.len];
}

void nearest_init(struct nearest *n, struct slice written)
{
    *n = (struct nearest){.written = written, .distance = written.len / 3 + 1}; /* one slip in about three letters */
    if (n->distance > 4)
        n->distance = 4;
}

/* Nothing to be read in a word of one letter. */
void nearest_offer(struct nearest *n, struct slice word)
{
    if (n->written.len < 2 || n->written.len > WORD_MAX || word.len > WORD_MAX)
        return;
    size_t d = distance(n->written, word);
    if (d >= n->distance)
        return;
    n->distance = d;
    memcpy(n->best, word.ptr, word.len);
    n->best[word.len] = '\0';
}

const char *nearest_found(const struct nearest *n)
{
    return n->best[0] ? n->best : NULL;
}
