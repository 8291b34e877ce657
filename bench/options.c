/* One row per option; the help text is printed from the same table. */
#include "bench/options.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bytes.h"

enum type { TYPE_FLAG, TYPE_COUNT, TYPE_REAL, TYPE_TEXT, TYPE_URL, TYPE_KIND, TYPE_PUBLISH, TYPE_PIDS };

struct row {
    const char *flag, *value;
    enum type type;
    size_t offset;
    int64_t min;
    const char *help;
};

#define AT(field) offsetof(struct options, field)

static const struct row rows[] = {
    {NULL, "Where and what", TYPE_FLAG, 0, 0, NULL},
    {"--url", "URL", TYPE_URL, 0, 0,
     "ws://, wss:// or unix:PATH; %s in its path stands for the name. Repeat it and the clients take turns. Without "
     "a path, the usual one of the kind"},
    {"--kind", "KIND", TYPE_KIND, AT(kind), 0,
     "var or list (SockSync), raw (every message is a delivery), socketio, mqtt, nats"},
    {"--name", "PATTERN", TYPE_TEXT, AT(name), 0,
     "what clients subscribe to; %d in it is the number of the client, so that each has a name of its own"},
    {"--names", "N", TYPE_COUNT, AT(names), 0, "with %d: only so many names, the clients spread over them"},
    {"--max-rate", "N", TYPE_COUNT, AT(max_rate), 0, "subscribe with max_rate: at most so many updates per second"},
    {"--deflate", NULL, TYPE_FLAG, AT(deflate), 0, "ask for permessage-deflate without context takeover"},
    {"--insecure", NULL, TYPE_FLAG, AT(insecure), 0, "accept any certificate"},
    {NULL, "Clients", TYPE_FLAG, 0, 0, NULL},
    {"--clients", "N", TYPE_COUNT, AT(clients), 1, "connections"},
    {"--connect-rate", "N", TYPE_COUNT, AT(connect_rate), 0,
     "new connections per second; 0: as fast as they are taken"},
    {"--handshakes", "N", TYPE_COUNT, AT(handshakes), 1, "connections that may be under way at once"},
    {"--slow", "N", TYPE_COUNT, AT(slow), 0, "so many of them stop reading while the others are measured, then go on"},
    {NULL, "Lists", TYPE_FLAG, 0, 0, NULL},
    {"--list-items", "N", TYPE_COUNT, AT(list_items), 0, "items that the list has at the start"},
    {"--windows", "N", TYPE_COUNT, AT(windows), 1, "the clients spread over the first N pages"},
    {"--page-size", "N", TYPE_COUNT, AT(page_size), 1, "of the pages"},
    {NULL, "Publishing", TYPE_FLAG, 0, 0, NULL},
    {"--publish", "HOW", TYPE_PUBLISH, 0, 0,
     "redis:URL (such as redis:redis://127.0.0.1:6379 or redis:unix:/run/redis.sock), ws (a connection to the first "
     "--url), "
     "http:URL (POST, %s is the name), or none"},
    {"--command", "NAME", TYPE_TEXT, AT(command), 0,
     "with Redis: fcall (sg_var_set, sg_list_insert; for var and list), publish (for the others) or spublish"},
    {"--channel", "PATTERN", TYPE_TEXT, AT(channel), 0, "of publish and spublish: %s is the name"},
    {"--before", "TEXT", TYPE_TEXT, AT(before), 0, "bytes in front of what publish, spublish and http send (\\xNN)"},
    {"--after", "TEXT", TYPE_TEXT, AT(after), 0, "bytes behind it"},
    {"--prefix", "TEXT", TYPE_TEXT, AT(prefix), 0, "the gateway's --prefix"},
    {"--window", "N", TYPE_COUNT, AT(window), 1,
     "publishes in flight: one is done when all its subscribers have it, then the next goes"},
    {"--rate", "N", TYPE_REAL, AT(rate), 0, "publishes per second instead, whether the last ones have arrived or not"},
    {"--size", "BYTES", TYPE_COUNT, AT(size), 40, "of what is published, a JSON string"},
    {"--keep", NULL, TYPE_FLAG, AT(keep), 0, "leave the variables and lists in Redis"},
    {NULL, "The run", TYPE_FLAG, 0, 0, NULL},
    {"--seconds", "S", TYPE_REAL, AT(seconds), 0, "of measuring"},
    {"--count", "N", TYPE_COUNT, AT(count), 0, "measure so many publishes instead, however long they take"},
    {"--warmup", "S", TYPE_REAL, AT(warmup), 0, "of the same before it"},
    {"--idle", NULL, TYPE_FLAG, AT(idle), 0, "connect and subscribe only: memory and processor time per connection"},
    {"--stall", "S", TYPE_REAL, AT(stall), 0, "what has not arrived after so long a silence is lost"},
    {"--allow-gaps", NULL, TYPE_FLAG, AT(allow_gaps), 0, "count gaps, but do not fail for them"},
    {"--server-pid", "PID", TYPE_PIDS, AT(server), 0, "a process of the server (here, not elsewhere); may be repeated"},
    {"--redis-pid", "PID", TYPE_PIDS, AT(redis), 0, "likewise of Redis"},
    {"--label", "TEXT", TYPE_TEXT, AT(label), 0, "goes into the report"},
    {"--json", NULL, TYPE_FLAG, AT(json_only), 0, "print the JSON line only"},
    {"--help", NULL, TYPE_FLAG, 0, 0, "print this"},
};
enum { ROWS = sizeof(rows) / sizeof(*rows) };

static const char *const kinds[KIND_COUNT] = {"var", "list", "raw", "socketio", "mqtt", "nats"};

static const struct options defaults = {
    .clients = 1000,
    .handshakes = 128,
    .name = "bench",
    .windows = 1,
    .page_size = 25,
    .list_items = 1000,
    .prefix = "sg:",
    .before = "",
    .after = "",
    .window = 1,
    .size = 120,
    .seconds = 10,
    .warmup = 1,
    .stall = 5,
    .label = "",
};

const char *options_kind_name(enum kind kind)
{
    return kinds[kind];
}

/* --- help --- */

static void print_default(const struct row *r)
{
    const char *field = (const char *)&defaults + r->offset;
    if (r->type == TYPE_COUNT && *(const int64_t *)(const void *)field > 0)
        printf(" [%lld]", (long long)*(const int64_t *)(const void *)field);
    else if (r->type == TYPE_REAL && *(const double *)(const void *)field > 0)
        printf(" [%g]", *(const double *)(const void *)field);
    else if (r->type == TYPE_TEXT && *(const char *const *)(const void *)field &&
             **(const char *const *)(const void *)field)
        printf(" [%s]", *(const char *const *)(const void *)field);
    else if (r->type == TYPE_KIND)
        printf(" [%s]", kinds[defaults.kind]);
}

static void print_wrapped(const char *text)
{
    enum { INDENT = 26, WIDTH = 78 };
    for (int column = 0; *text;) {
        int word = (int)strcspn(text, " ");
        if (column > 0 && column + 1 + word > WIDTH) {
            printf("\n%*s", INDENT, "");
            column = 0;
        }
        column += printf("%s%.*s", column > 0 ? " " : "", word, text);
        text += word;
        text += strspn(text, " ");
    }
}

static _Noreturn void help(void)
{
    puts("Usage: syncgate-bench --url URL [OPTION VALUE]...\n"
         "Connects clients to a WebSocket server, publishes, and says what a delivery costs and how long it takes.\n"
         "Prints one line to read and one line of JSON. Exit code: 0, 1 on a failure, 2 when a message was lost or "
         "came twice.");
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *r = &rows[i];
        if (!r->flag) {
            printf("\n%s\n", r->value);
            continue;
        }
        char head[64];
        snprintf(head, sizeof(head), "%s%s%s", r->flag, r->value ? " " : "", r->value ? r->value : "");
        printf("  %-23s ", head);
        print_wrapped(r->help);
        print_default(r);
        putchar('\n');
    }
    exit(0);
}

/* --- reading --- */

static _Noreturn void wrong(const char *flag, const char *value, const char *why)
{
    bench_die("%s %s: %s (--help)", flag, value, why);
}

static const struct row *find(const char *flag, size_t len)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].flag && strlen(rows[i].flag) == len && memcmp(rows[i].flag, flag, len) == 0)
            return &rows[i];
    return NULL;
}

static int64_t count_of(const char *flag, const char *value, int64_t min)
{
    char *end;
    long long n = strtoll(value, &end, 10);
    if (*end || end == value || n < min || n > 1000000000)
        wrong(flag, value, "not a number in range");
    return n;
}

static void set_kind(struct options *o, const char *value)
{
    for (int k = 0; k < KIND_COUNT; k++)
        if (strcmp(kinds[k], value) == 0) {
            o->kind = (enum kind)k;
            return;
        }
    wrong("--kind", value, "unknown");
}

static void set_publish(struct options *o, const char *value)
{
    const char *why = NULL;
    if (strncmp(value, "redis:", 6) == 0) {
        o->publish = PUBLISH_REDIS;
        why = url_parse(strncmp(value + 6, "//", 2) == 0 ? value : value + 6, &o->publish_url);
    } else if (strncmp(value, "http:", 5) == 0) {
        o->publish = PUBLISH_HTTP;
        why = url_parse(strncmp(value + 5, "//", 2) == 0 ? value : value + 5, &o->publish_url);
    } else if (strcmp(value, "ws") == 0) {
        o->publish = PUBLISH_WS;
    } else if (strcmp(value, "none") == 0) {
        o->publish = PUBLISH_NONE;
    } else {
        why = "none of redis:URL, ws, http:URL, none";
    }
    if (why)
        wrong("--publish", value, why);
}

static void add_url(struct options *o, const char *value)
{
    if (o->urls_len == URLS_MAX)
        wrong("--url", value, "too many");
    const char *why = url_parse(value, &o->urls[o->urls_len]);
    if (why)
        wrong("--url", value, why);
    o->urls_len++;
}

static void add_pid(struct proc_pids *pids, const char *flag, const char *value)
{
    if (pids->len == PROC_PIDS_MAX)
        wrong(flag, value, "too many");
    pids->pid[pids->len++] = (int)count_of(flag, value, 1);
}

static void set(struct options *o, const struct row *r, const char *value)
{
    void *field = (char *)o + r->offset;
    char *end;
    switch (r->type) {
    case TYPE_FLAG:
        *(bool *)field = true;
        break;
    case TYPE_COUNT:
        *(int64_t *)field = count_of(r->flag, value, r->min);
        break;
    case TYPE_REAL:
        *(double *)field = strtod(value, &end);
        if (*end || end == value || !(*(double *)field >= 0 && *(double *)field < 1e9))
            wrong(r->flag, value, "not a number in range");
        break;
    case TYPE_TEXT:
        *(const char **)field = value;
        break;
    case TYPE_URL:
        add_url(o, value);
        break;
    case TYPE_KIND:
        set_kind(o, value);
        break;
    case TYPE_PUBLISH:
        set_publish(o, value);
        break;
    case TYPE_PIDS:
        add_pid(field, r->flag, value);
        break;
    }
}

static void check(struct options *o)
{
    bool socksync = o->kind == KIND_VAR || o->kind == KIND_LIST;
    if (o->urls_len == 0)
        bench_die("--url is missing (--help)");
    if (strlen(o->name) > NAME_BYTES_MAX - 32)
        wrong("--name", o->name, "too long");
    if (o->slow >= o->clients)
        bench_die("--slow must leave a client that reads");
    if (!o->command)
        o->command = socksync ? "fcall" : "publish";
    if (strcmp(o->command, "fcall") != 0 && strcmp(o->command, "publish") != 0 && strcmp(o->command, "spublish") != 0)
        wrong("--command", o->command, "none of fcall, publish, spublish");
    if (o->publish == PUBLISH_WS && (o->kind == KIND_SOCKETIO || o->kind == KIND_RAW || o->kind == KIND_LIST))
        bench_die("--publish ws works with --kind var, mqtt and nats");
    if (o->publish == PUBLISH_NONE)
        o->idle = true;
    if (o->idle)
        o->seconds = o->warmup = 0;
    if (o->kind == KIND_LIST && o->publish != PUBLISH_REDIS && !o->idle)
        bench_die("--kind list is published to with --publish redis:URL");
}

void options_parse(int argc, char **argv, struct options *out)
{
    *out = defaults;
    for (int i = 1; i < argc; i++) {
        size_t len = strcspn(argv[i], "=");
        const struct row *r = find(argv[i], len);
        if (!r)
            bench_die("%s: unknown (--help)", argv[i]);
        if (strcmp(r->flag, "--help") == 0)
            help();
        const char *value = argv[i][len] ? argv[i] + len + 1 : NULL;
        if (r->type == TYPE_FLAG && value)
            wrong(r->flag, value, "takes no value");
        if (r->type != TYPE_FLAG && !value) {
            if (++i == argc)
                bench_die("%s: a value is missing", r->flag);
            value = argv[i];
        }
        set(out, r, value);
    }
    check(out);
}

/* --- names --- */

int64_t options_name_count(const struct options *o)
{
    if (!strstr(o->name, "%d"))
        return 1;
    return o->names > 0 && o->names < o->clients ? o->names : o->clients;
}

void options_name(const struct options *o, int64_t number, char out[NAME_BYTES_MAX])
{
    const char *mark = strstr(o->name, "%d");
    int head = mark ? (int)(mark - o->name) : (int)strlen(o->name);
    int len = snprintf(out, NAME_BYTES_MAX, "%.*s", head, o->name);
    if (mark)
        snprintf(out + len, NAME_BYTES_MAX - (size_t)len, "%lld%s", (long long)number, mark + 2);
}
