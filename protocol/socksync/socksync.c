/* The table through which the gateway speaks SockSync. */
#include "protocol/socksync/socksync.h"

#include "protocol/message.h"
#include "protocol/socksync/encode.h"
#include "protocol/socksync/receive.h"

static const struct route routes[] = {
    {"/ws", false, "socksync.v1"},
    {"/ws/socksync", false, "socksync.v1"},
    {NULL, false, NULL},
};

static const struct var_codec var = {.set = encode_var_set};
static const struct list_codec list = {
    .page = encode_page, .steps = encode_steps, .item_set = encode_item_set, .item_delete = encode_item_delete};
static const struct call_codec call = {.call = encode_call, .ret = encode_return};

const struct dialect socksync_dialect = {
    .name = "socksync",
    .routes = routes,
    .receive = receive_message,
    .var = &var,
    .list = &list,
    .call = &call,
    .about = message_about,
    .error = encode_error,
    .signed_in = encode_auth,
    .waiting = encode_waiting,
    .offered = encode_subscribe,
    .withdrawn = encode_unsubscribe,
};
