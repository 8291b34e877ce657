/* The table through which the gateway speaks SockSync. */
#include "protocol/socksync/socksync.h"

#include "protocol/socksync/encode.h"
#include "protocol/socksync/receive.h"

const struct dialect socksync_dialect = {
    .name = "socksync",
    .subprotocol = "socksync.v1",
    .receive = receive_message,
    .var_set = encode_var_set,
    .item_set = encode_item_set,
    .item_delete = encode_item_delete,
    .page = encode_page,
    .steps = encode_steps,
    .error = encode_error,
    .waiting = encode_waiting,
    .subscribe = encode_subscribe,
    .unsubscribe = encode_unsubscribe,
    .call = encode_call,
    .ret = encode_return,
    .pong = encode_pong,
};
