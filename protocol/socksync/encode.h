/* The messages that the gateway sends: the encoders of struct dialect, where each is described. Keys come in a fixed order,
 * values and ids are copied byte for byte. */
#ifndef SYNCGATE_PROTOCOL_SOCKSYNC_ENCODE_H
#define SYNCGATE_PROTOCOL_SOCKSYNC_ENCODE_H

#include "protocol/dialect.h"

uint32_t encode_var_set(struct buf *out, struct slice name, struct slice value);
uint32_t encode_item_set(struct buf *out, struct slice name, const struct entry *e);
uint32_t encode_item_delete(struct buf *out, struct slice name, struct slice id, bool gone);
uint32_t encode_page(struct buf *out, struct slice name, const struct page *p);
uint32_t encode_steps(struct buf *out, struct slice name, const struct dialect_limits *limits, const struct page *to,
                      const struct page_steps *steps);
/* encode_error: `text` is plain UTF-8 (json_string gives it from text_json); empty text, name or id: no such field. */
uint32_t encode_error(struct buf *out, enum error_code code, struct slice text, enum kind kind, struct slice name,
                      struct slice id);
uint32_t encode_waiting(struct buf *out, struct slice text, enum kind kind, struct slice name, struct slice id);
uint32_t encode_subscribe(struct buf *out, enum kind kind, struct slice name);
uint32_t encode_unsubscribe(struct buf *out, enum kind kind, struct slice name);
/* encode_call: empty args: no such field. */
uint32_t encode_call(struct buf *out, struct slice name, struct slice id, struct slice args);
uint32_t encode_return(struct buf *out, struct slice name, struct slice id, struct slice value);
uint32_t encode_pong(struct buf *out, struct slice id);
uint32_t encode_auth(struct buf *out, struct slice user, int64_t expires_s);

#endif
