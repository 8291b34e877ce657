/* Any bytes as the text of a log line: both formats end with the only line end, JSON is JSON, and a value that was quoted comes
 * out as one value. */
#include <stdint.h>
#include <stdlib.h>

#include "gateway/observe/log_render.h"
#include "protocol/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 4000, LINE_MAX = 4096 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static size_t render(char *line, size_t size, enum log_format format, const char *text)
{
    const struct log_head head = {format, 1709210096007, LOG_LEVEL_WARN, 7};
    size_t len = log_render(line, size, &head, text);
    require(len > 0 && len <= size);
    require(memchr(line, '\n', len) == line + len - 1);
    return len;
}

static void try_text(const char *text)
{
    char line[LINE_MAX];
    for (size_t size = 128; size <= LINE_MAX; size *= 2) {
        render(line, size, LOG_FORMAT_LOGFMT, text);
        size_t len = render(line, size, LOG_FORMAT_JSON, text);
        require(json_valid(slice_of(line, len - 1), 2));
    }
}

/* `m k="…" end=1`: the fields behind a peer's bytes are those that we wrote. */
static void try_value(struct slice bytes)
{
    static const struct slice keys[] = {SLICE_LIT("k"), SLICE_LIT("end"), SLICE_LIT("level")};
    static char text[4 * LINE_MAX] = "m k=";
    char line[LINE_MAX];
    struct json_value values[3];
    enum json_kind top;
    if (bytes.len > 256)
        bytes.len = 256;
    size_t len = 4 + log_render_quoted(text + 4, sizeof(text) - 4, bytes);
    memcpy(text + len, " end=1", sizeof(" end=1"));
    len = render(line, sizeof(line), LOG_FORMAT_JSON, text);
    require(json_members(slice_of(line, len - 1), 2, keys, 3, values, &top) == JSON_OK);
    require(values[0].type == JSON_STRING && slice_eq(values[1].text, SLICE_LIT("1")));
    require(slice_eq(values[2].text, SLICE_LIT("\"warn\"")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX + 1];
    if (size > TEXT_MAX)
        size = TEXT_MAX;
    memcpy(text, data, size);
    text[size] = '\0';
    try_text(text);
    try_value(slice_of((const char *)data, size));
    return 0;
}
