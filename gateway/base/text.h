/* Bytes that people read or write: which of them are printable UTF-8. For logs and options; the wire has rules of its own. */
#ifndef SYNCGATE_GATEWAY_BASE_TEXT_H
#define SYNCGATE_GATEWAY_BASE_TEXT_H

#include "protocol/base/slice.h"

/* text_char_len: the length of the printable UTF-8 character at the front of s (not empty); 0 when there stands a control
 * (C0, DEL, C1), a surrogate, a disguise, an overlong or cut form, or anything else that is not UTF-8. */
size_t text_char_len(struct slice s);
/* text_disguise: the length of the character at the front of s (not empty) when that is one that makes people read something else than
 * stands there: a mark of direction, a separator of lines. 0: it is none. */
size_t text_disguise(struct slice s, uint32_t *code);
/* text_is_printable: all of s is such characters. */
bool text_is_printable(struct slice s);

/* text_cut: the beginning of UTF-8 text, at most `max` bytes (4 or more), not ending within a character. */
struct slice text_cut(struct slice s, size_t max);

#endif
