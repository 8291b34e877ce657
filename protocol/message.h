/* What the dialects that speak JSON of the form {"func", "type", "name", …} have in common: how such a message is written, and what
 * a name may be. */
#ifndef SYNCGATE_PROTOCOL_MESSAGE_H
#define SYNCGATE_PROTOCOL_MESSAGE_H

#include "protocol/dialect.h"

/* Bytes of decoded text. */
enum { MESSAGE_NAME_MAX = 512, MESSAGE_CALL_ID_MAX = 128 };

/* message_begin opens a message up to its name: head is everything before that name's quote, see message_head. The message is then
 * given its other fields, and closed. */
size_t message_begin(struct buf *out, struct slice head, struct slice name);
/* message_end closes it. Returns 1, the number of messages. */
uint32_t message_end(struct buf *out, size_t mark);

/* message_head: "set", "var" -> the bytes before the name. */
#define message_head(func, type) SLICE_LIT("{\"func\":\"" func "\",\"type\":\"" type "\",\"name\":")

/* key: with its comma and colon, as message_key makes it. json: copied byte for byte. */
#define message_key(key) SLICE_LIT(",\"" key "\":")
void message_put(struct buf *out, struct slice key, struct slice json);
void message_put_number(struct buf *out, struct slice key, int64_t n);
/* message_put_text writes UTF-8 as a JSON string. */
void message_put_text(struct buf *out, struct slice key, struct slice utf8);

/* message_kind_name: "var", "list", "function". */
struct slice message_kind_name(enum kind kind);
/* message_kind: the kind of that name, KIND_NONE when there is none. */
enum kind message_kind(struct slice name);

/* message_name_valid: is this decoded text a name? Its length is limited by whoever decodes it. */
bool message_name_valid(struct slice name);

/* message_about: `about` of struct dialect. */
struct slice message_about(struct slice message, bool ours, struct buf *scratch);

#endif
