/* Whatever stands in an event: what is read lies inside of it and keeps its promises. */
#include "redis/change.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good)
        abort();
}

static void check_within(struct slice inner, struct slice outer)
{
    must(inner.len == 0 || (inner.ptr >= outer.ptr && inner.ptr + inner.len <= outer.ptr + outer.len));
}

static void check_change(struct slice payload)
{
    struct change c;
    if (!change_parse(payload, &c))
        return;
    check_within(c.id, payload);
    check_within(c.value, payload);
    must(c.rev >= 1 && c.total >= 0 && c.index >= 0 && c.from >= 0);
    bool has_value =
        c.op == CHANGE_VAR_SET || c.op == CHANGE_LIST_INSERT || c.op == CHANGE_LIST_SET || c.op == CHANGE_LIST_MOVE;
    bool has_id = has_value ? c.op != CHANGE_VAR_SET : c.op == CHANGE_LIST_DELETE;
    must((c.value.len > 0) == has_value);
    must((c.id.len > 0) == has_id);
    must(!has_id || c.index < c.total || (c.op == CHANGE_LIST_DELETE && c.index == c.total));
    must(c.op != CHANGE_LIST_MOVE || c.from < c.total);
}

static void check_call_event(struct slice payload)
{
    struct call_event e;
    if (!call_event_parse(payload, &e))
        return;
    const struct slice fields[] = {e.corr, e.gw, e.exec, e.name, e.body};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        check_within(fields[i], payload);
    must(e.rev >= 0 && e.timeout_ms >= 0);
    must(e.op != CALL_EVENT_CALL || (e.corr.len > 0 && e.gw.len > 0 && e.exec.len > 0 && e.name.len > 0));
    must(e.op != CALL_EVENT_RESULT || (e.corr.len > 0 && e.body.len > 0));
    must(e.op < CALL_EVENT_APPEARED || (e.op == CALL_EVENT_GATEWAY_BACK ? e.gw.len > 0 : e.rev >= 1));
    must(e.op != CALL_EVENT_AGAIN || (e.corr.len > 0 && e.gw.len > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice payload = slice_of((const char *)data, size);
    check_change(payload);
    check_call_event(payload);
    return 0;
}
