/* The table through which the gateway speaks SockSync v2. */
#include "protocol/socksync2/socksync2.h"

#include "protocol/message.h"
#include "protocol/socksync2/encode.h"
#include "protocol/socksync2/receive.h"

static const struct route routes[] = {
    {"/ws/socksync/v2", false, "socksync.v2"},
    {"/ws/socksync", false, "socksync.v2"},
    {"/ws", false, "socksync.v2"},
    {NULL, false, NULL},
};

static const struct var_codec var = {.set = v2_encode_var_set};
static const struct list_codec list = {.page = v2_encode_page, .steps = v2_encode_steps};
static const struct call_codec call = {.call = v2_encode_call, .ret = v2_encode_return};

const struct dialect socksync2_dialect = {
    .name = "socksync2",
    .routes = routes,
    .receive = v2_receive,
    .var = &var,
    .list = &list,
    .call = &call,
    .about = message_about,
    .error = v2_encode_error,
    .offered = v2_encode_subscribe,
    .withdrawn = v2_encode_unsubscribe,
};
