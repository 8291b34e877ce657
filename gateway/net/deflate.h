/* permessage-deflate (RFC 7692) without context takeover on either side: what is offered and answered, the compressed form of
 * a frame, made once for all who read it, and the messages of clients. Only here is zlib used.
 *
 * Because no message leans on an earlier one, one compressor and one decompressor serve every connection of the loop: a
 * connection costs nothing. */
#ifndef SYNCGATE_GATEWAY_NET_DEFLATE_H
#define SYNCGATE_GATEWAY_NET_DEFLATE_H

#include "protocol/base/frame.h"

/* --- the handshake (section 7.1) --- */

struct deflate_offer {
    size_t times;          /* how often the header offers permessage-deflate */
    bool acceptable;       /* one of the offers can be granted */
    bool says_window_bits; /* that one names server_max_window_bits, so the answer must too */
};

/* deflate_read_offer reads the value of Sec-WebSocket-Extensions. An offer with parameters that are unknown, malformed or
 * repeated is declined, and one that asks for a smaller window of ours: what is compressed once has one window. */
struct deflate_offer deflate_read_offer(struct slice header);
/* deflate_answer: the parameters behind "permessage-deflate" in the answer to an acceptable offer. */
const char *deflate_answer(const struct deflate_offer *offer);

/* --- messages (sections 7.2.1 and 7.2.2) --- */

struct deflate;

/* message_max: bytes of the largest message a client may send, decompressed. */
struct deflate *deflate_new(size_t message_max);
void deflate_set_message_max(struct deflate *d, size_t message_max);
void deflate_free(struct deflate *d);

/* deflate_twin returns what a connection with permessage-deflate is sent in place of f: the same messages, compressed where
 * that makes them smaller, or f itself when it does nowhere (control frames never are). Made at the first call and kept
 * in f, which owns it. */
struct frame *deflate_twin(struct deflate *d, struct frame *f);

/* deflate_packed_max: more bytes than this no client needs for a message of message_max. */
size_t deflate_packed_max(size_t message_max);

enum unpacked { UNPACKED, UNPACK_MALFORMED, UNPACK_TOO_BIG };

/* deflate_unpack decompresses the payload of a whole message. `out` is valid until deflate_unpack_done, which must follow
 * whatever the result is. */
enum unpacked deflate_unpack(struct deflate *d, struct slice packed, struct slice *out);
void deflate_unpack_done(struct deflate *d);

#endif
