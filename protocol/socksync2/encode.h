/* The messages that the gateway sends in SockSync v2: the encoders of struct dialect, where each is described. Keys come in a fixed
 * order, values are copied byte for byte. */
#ifndef SYNCGATE_PROTOCOL_SOCKSYNC2_ENCODE_H
#define SYNCGATE_PROTOCOL_SOCKSYNC2_ENCODE_H

#include "protocol/dialect.h"

uint32_t v2_encode_var_set(struct buf *out, struct slice name, struct slice value);
uint32_t v2_encode_page(struct buf *out, struct slice name, const struct page *p);
/* v2_encode_steps: set_count with every change of the count, and before what changed it. */
uint32_t v2_encode_steps(struct buf *out, struct slice name, const struct dialect_limits *limits, const struct page *to,
                         const struct page_steps *steps);
/* v2_encode_error translates the code. */
uint32_t v2_encode_error(struct buf *out, enum error_code code, struct slice text, enum kind kind, struct slice name,
                         struct slice id);
uint32_t v2_encode_subscribe(struct buf *out, enum kind kind, struct slice name);
uint32_t v2_encode_unsubscribe(struct buf *out, enum kind kind, struct slice name);
uint32_t v2_encode_call(struct buf *out, struct slice name, struct slice id, struct slice args);
uint32_t v2_encode_return(struct buf *out, struct slice name, struct slice id, struct slice value);
uint32_t v2_encode_pong(struct buf *out, struct slice id);

#endif
