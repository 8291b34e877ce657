/* The list of what one message asked for. */
#include "protocol/dialect.h"

struct action *actions_add(struct actions *as, enum action_op op)
{
    as->overflow = as->overflow || as->len == ACTIONS_MAX;
    if (as->overflow)
        as->len = 0; /* refused whole: its place is as good as any */
    struct action *a = &as->list[as->len++];
    *a = (struct action){.op = op};
    return a;
}

void actions_reply(const struct actions *as, struct action *a, size_t from, uint32_t messages)
{
    *a =
        (struct action){.op = ACTION_REPLY, .messages = messages, .bytes_at = from, .bytes_len = as->bytes->len - from};
}
