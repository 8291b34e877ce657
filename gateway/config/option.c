/* The option table, and the values of each type: from text, to text. */
#include "gateway/config/option.h"
#include "gateway/access/forwarded.h"
#include "gateway/access/origin.h"
#include "gateway/base/nearest.h"
#include "gateway/base/text.h"
#include "protocol/base/alloc.h"
#include "redis/keys.h"
#include "redis/link.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <sys/un.h>

#define KIB    INT64_C(1024)
#define MIB    (1024 * KIB)
#define GIB    (1024 * MIB)
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

enum {
    FILES_MAX = 1 << 20, /* of a process, see main.c */
    QUOTE_MAX = 80       /* bytes of a value that is quoted back */
};

static const char *take_listen(const char *text, char **kept);
static const char *take_redis(const char *text, char **kept);
static const char *take_prefix(const char *text, char **kept);
static const char *take_proxy(const char *text, char **kept);
static const char *take_origin(const char *text, char **kept);

static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const formats[] = {"logfmt", "json", NULL};
static const char *const switches[] = {"off", "on", NULL};
static const char *const index_modes[] = {"page", "absolute", NULL};

#define MEMBER(member) .offset = offsetof(struct options, member), .size = sizeof(((struct options *)NULL)->member)

/* To add one: a member in options.h, a row here, `syncgate --print-options-markdown` into docs/configuration.md. */
const struct option option_table[] = {
    {"listen", OPTION_LIST, "ADDRESS", "127.0.0.1:8080", .take = take_listen, MEMBER(listen),
     .len_offset = offsetof(struct options, listen_len), .fixed = true,
     .help = "where clients connect: ADDR:PORT, [V6]:PORT, *:PORT or unix:PATH; may be given several times"},
    {"redis", OPTION_STRING, "URL", NULL, .take = take_redis, MEMBER(redis), .secret = true, .fixed = true,
     .help = "redis://[user:password@]host[:port][/db], rediss:// for TLS, or unix:PATH; "
             "without it a private redis-server is started"},
    {"data-dir", OPTION_STRING, "DIR", "./syncgate-data", MEMBER(data_dir), .fixed = true,
     .help = "where the private redis-server keeps its data and its socket"},
    {"workers", OPTION_INT, "N", "1", 0, 256, MEMBER(workers), .fixed = true,
     .help = "processes that share the port; 0 is one per core it may use"},
    {"config", OPTION_STRING, "FILE", NULL, MEMBER(config_file), .flag_only = true, .help = "the YAML file to read"},
    {"tls-cert", OPTION_STRING, "FILE", NULL, MEMBER(tls_cert), .fixed = true,
     .help = "certificate chain (PEM): every --listen with a port then speaks TLS"},
    {"tls-key", OPTION_STRING, "FILE", NULL, MEMBER(tls_key), .fixed = true,
     .help = "the private key of --tls-cert (PEM)"},
    {"prefix", OPTION_STRING, "TEXT", "sg:", .take = take_prefix, MEMBER(prefix), .fixed = true,
     .help = "in front of every key and channel in Redis; several prefixes can share one Redis"},
    {"log-level", OPTION_WORD, "LEVEL", "info", .words = levels, MEMBER(log_level),
     .help = "the least important lines to log"},
    {"log-format", OPTION_WORD, "FORMAT", "logfmt", .words = formats, MEMBER(log_format),
     .help = "how a line is written; the fields are the same"},
    {"trusted-proxy", OPTION_LIST, "CIDR", NULL, .take = take_proxy, MEMBER(trusted_proxy),
     .len_offset = offsetof(struct options, trusted_proxy_len),
     .help = "whose X-Forwarded-For says who the client is: a network, an address, or unix for unix sockets; "
             "may be given several times"},
    {"allowed-origins", OPTION_LIST, "ORIGIN", "same-host", .flag = "allowed-origin", .take = take_origin,
     MEMBER(allowed_origins), .len_offset = offsetof(struct options, allowed_origins_len),
     .help = "whose web pages may connect: same-host, https://example.com, https://*.example.com, null or *; "
             "may be given several times"},
    {"max-message", OPTION_SIZE, "SIZE", "1MiB", KIB, 64 * MIB, MEMBER(max_message),
     .help = "largest message of a client; a larger one closes with 1009"},
    {"max-depth", OPTION_INT, "N", "64", 8, 64, MEMBER(max_depth),
     .help = "how deep a message may nest, the message itself included"},
    {"max-page-size", OPTION_INT, "N", "100", 1, OPTION_PAGE_SIZE_MAX, MEMBER(max_page_size),
     .help = "most items on a page of a list, and the size when a client names none"},
    {"call-timeout", OPTION_DURATION, "TIME", "30s", 10, 24 * HOUR, MEMBER(call_timeout_ms),
     .help = "a call without an answer by then ends in error 8"},
    {"calls-per-connection", OPTION_INT, "N", "64", 1, 65536, MEMBER(calls_per_connection),
     .help = "most calls of one client that wait for their answer"},
    {"ping-interval", OPTION_DURATION, "TIME", "30s", 50, HOUR, MEMBER(ping_interval_ms),
     .help = "how often a client is asked whether it lives; two missed answers close"},
    {"subscribe-timeout", OPTION_DURATION, "TIME", "5s", 10, 10 * MINUTE, MEMBER(subscribe_timeout_ms),
     .help = "how long a subscribe waits for Redis before it ends in error 8"},
    {"sweep-interval", OPTION_DURATION, "TIME", "30s", 50, HOUR, MEMBER(sweep_interval_ms),
     .help = "how often revisions are compared with Redis, so that even a silent loss heals"},
    {"probe-interval", OPTION_DURATION, "TIME", "1s", 50, HOUR, MEMBER(probe_interval_ms), .fixed = true,
     .help = "how often the gateway publishes something to hear it back; after three losses it is not ready"},
    {"queue-budget", OPTION_SIZE, "SIZE", "64KiB", 4 * KIB, GIB, MEMBER(queue_budget),
     .help = "answers and errors that may wait for one client; over it no more of its requests are read"},
    {"stall-timeout", OPTION_DURATION, "TIME", "10s", 50, HOUR, MEMBER(stall_timeout_ms),
     .help = "a client that takes nothing for so long while more than that waits is closed with 1013"},
    {"errors-per-minute", OPTION_INT, "N", "100", 1, 1000000, MEMBER(errors_per_minute),
     .help = "bad messages of one client that are answered within 60 s; the next closes with 1008"},
    {"max-connections", OPTION_INT, "N", "0", 0, FILES_MAX, MEMBER(max_connections),
     .help = "most WebSockets of one process (each worker counts its own); more get 503; 0 is no limit"},
    {"memory-budget", OPTION_SIZE, "SIZE", "0", 0, 1024 * GIB, MEMBER(memory_budget),
     .help = "resident memory of one process over which new WebSockets get 503; 0 is no limit"},
    {"drain-delay", OPTION_DURATION, "TIME", "0", 0, 10 * MINUTE, MEMBER(drain_delay_ms),
     .help = "how long a drain goes on accepting, so that a balancer sees /readyz first"},
    {"drain-seconds", OPTION_INT, "N", "5", 0, 3600, MEMBER(drain_seconds),
     .help = "over how many seconds a drain then spreads the closing of connections"},
    {"linger", OPTION_DURATION, "TIME", "10s", 0, HOUR, MEMBER(linger_ms),
     .help = "how long a name without subscribers stays subscribed in Redis"},
    {"index-mode", OPTION_WORD, "MODE", "page", .words = index_modes, MEMBER(index_absolute), .fixed = true,
     .help = "whether the index of an insert counts from the page's start or from the list's"},
    {"deflate", OPTION_WORD, "MODE", "off", .words = switches, MEMBER(deflate), .fixed = true,
     .help = "whether messages are compressed for clients that offer permessage-deflate"},
    {"dev", OPTION_BOOL, NULL, "false", MEMBER(dev),
     .help = "anonymous clients may do everything, and the page has something to show; for development only"},
};

const size_t option_count = sizeof(option_table) / sizeof(option_table[0]);

const struct option_action option_actions[] = {
    {"check-config", "[=full]", ACTION_CHECK,
     "read everything that a start reads, try the addresses and the certificate, say what is wrong, exit with 0 or 1; "
     "full asks Redis too"},
    {"print-config", NULL, ACTION_PRINT, "print the effective configuration as a file, without its secrets"},
    {"selftest", NULL, ACTION_SELFTEST,
     "try out the Redis of --redis as a gateway would use it, print a table with cures, exit with 0 or 1; leaves "
     "nothing behind"},
    {"top", "[URL]", ACTION_TOP,
     "watch a gateway that runs: the one at the first listen address, or at the URL; an admin's token is taken "
     "from " OPTION_TOKEN_VARIABLE "; with --once print it once as text"},
    {"healthcheck", "[URL]", ACTION_HEALTHCHECK,
     "ask the gateway at the first listen address for /healthz, or ask the URL; exit with 0 when the answer is 200"},
    {"version", NULL, ACTION_VERSION, "print the version"},
    {"help", NULL, ACTION_HELP, "print this"},
};

const size_t option_actions_count = sizeof(option_actions) / sizeof(option_actions[0]);

const struct option *option_find(struct slice name)
{
    for (size_t i = 0; i < option_count; i++) {
        if (slice_eq(name, slice_str(option_table[i].name)))
            return &option_table[i];
    }
    return NULL;
}

const struct option *option_find_flag(struct slice flag)
{
    for (size_t i = 0; i < option_count; i++) {
        if (slice_eq(flag, slice_str(option_flag(&option_table[i]))))
            return &option_table[i];
    }
    return NULL;
}

const char *option_flag(const struct option *row)
{
    return row->flag ? row->flag : row->name;
}

const char *option_nearest_flag(struct slice flag)
{
    static struct nearest n;
    nearest_init(&n, flag);
    for (size_t i = 0; i < option_count; i++)
        nearest_offer(&n, slice_str(option_flag(&option_table[i])));
    for (size_t i = 0; i < option_actions_count; i++)
        nearest_offer(&n, slice_str(option_actions[i].name));
    return nearest_found(&n);
}

/* What all of them begin with would make all of them alike. */
const char *option_nearest_env(struct slice variable)
{
    static const char head[] = "SYNCGATE_";
    const size_t skip = sizeof(head) - 1;
    static char name[sizeof(head) + sizeof(((struct nearest *)NULL)->best)];
    struct nearest n;
    if (variable.len < skip)
        return NULL;
    nearest_init(&n, slice_of(variable.ptr + skip, variable.len - skip));
    for (size_t i = 0; i < option_count; i++)
        nearest_offer(&n, slice_str(option_env(&option_table[i]) + skip));
    nearest_offer(&n, slice_str(&OPTION_TOKEN_VARIABLE[skip]));
    if (!nearest_found(&n))
        return NULL;
    snprintf(name, sizeof(name), "%s%s", head, n.best);
    return name;
}

/* --- texts ------------------------------------------------------------------------------------------------ */

static char *copy_of(const char *text)
{
    return sg_memdup(text, strlen(text));
}

/* "ADDR:PORT" in its parts; false when there is no colon, no or no good port. */
static bool split_port(const char *text, struct slice *address)
{
    const char *colon = strrchr(text, ':');
    int64_t port;
    if (!colon || !slice_i64(slice_str(colon + 1), &port) || port < 0 || port > 65535)
        return false;
    *address = slice_of(text, (size_t)(colon - text));
    return true;
}

static bool is_address(int family, struct slice address)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char binary[sizeof(struct in6_addr)];
    if (address.len >= sizeof(text))
        return false;
    memcpy(text, address.ptr, address.len);
    text[address.len] = '\0';
    return inet_pton(family, text, binary) == 1;
}

static bool is_v6_in_brackets(struct slice a)
{
    return a.len > 2 && a.ptr[0] == '[' && a.ptr[a.len - 1] == ']' &&
           is_address(AF_INET6, slice_of(a.ptr + 1, a.len - 2));
}

static char *joined(const char *head, const char *tail)
{
    size_t head_len = strlen(head), tail_len = strlen(tail);
    char *text = sg_malloc(head_len + tail_len + 1);
    memcpy(text, head, head_len);
    memcpy(text + head_len, tail, tail_len + 1);
    return text;
}

static const char *take_unix(const char *path)
{
    if (path[0] == '\0')
        return "a path is missing behind unix:";
    return strlen(path) < sizeof(((struct sockaddr_un *)NULL)->sun_path) ? NULL
                                                                         : "the path of a socket has at most 107 bytes";
}

/* Kept as a literal address, so that nobody further down has to resolve a name. */
static const char *take_listen(const char *text, char **kept)
{
    if (strncmp(text, "unix:", 5) == 0) {
        const char *why = take_unix(text + 5);
        if (!why)
            *kept = copy_of(text);
        return why;
    }
    struct slice address;
    if (!split_port(text, &address))
        return "expected ADDR:PORT with a port from 0 to 65535, or unix:PATH";
    const char *port = text + address.len;
    if (slice_eq(address, SLICE_LIT("localhost")))
        *kept = joined("127.0.0.1", port);
    else if (slice_eq(address, SLICE_LIT("*")))
        *kept = joined("0.0.0.0", port);
    else if (is_address(AF_INET, address) || is_v6_in_brackets(address))
        *kept = copy_of(text);
    else
        return "the address must be an IPv4 address, an IPv6 address in brackets, localhost or *";
    return NULL;
}

/* An empty text is a choice too: the private server, whatever the file says. */
static const char *take_redis(const char *text, char **kept)
{
    struct link_config parsed;
    if (text[0] == '\0')
        return NULL;
    const char *why = link_config_parse(text, &parsed);
    if (why)
        return why;
    link_config_deinit(&parsed);
    *kept = copy_of(text);
    return NULL;
}

/* `@` is ours: `<prefix>@{calls}` must not be a name under another prefix. */
static const char *take_prefix(const char *text, char **kept)
{
    const char *why = keys_prefix_fault(text);
    if (why)
        return why;
    if (!text_is_printable(slice_str(text)))
        return "a prefix is printable text";
    *kept = copy_of(text);
    return NULL;
}

static const char *take_proxy(const char *text, char **kept)
{
    const char *why = forwarded_check(text);
    if (!why)
        *kept = copy_of(text);
    return why;
}

static const char *take_origin(const char *text, char **kept)
{
    const char *why = origin_check(text);
    if (!why)
        *kept = copy_of(text);
    return why;
}

const char *option_check_glob(const char *text)
{
    if (text[0] == '\0' || strlen(text) > 512)
        return "a pattern has 1 to 512 bytes, as a name has";
    if (strpbrk(text, "{}"))
        return "a pattern holds no braces, no name does";
    return text_is_printable(slice_str(text)) ? NULL : "a pattern holds no control characters";
}

/* --- numbers ---------------------------------------------------------------------------------------------- */

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first: printing takes the first that divides. */
static const struct unit size_units[] = {{"GiB", GIB}, {"MiB", MIB}, {"KiB", KIB}, {"B", 1}};
static const struct unit time_units[] = {{"h", HOUR}, {"m", MINUTE}, {"s", SECOND}, {"ms", 1}};
enum { UNITS = 4 };

/* A number and its unit; a size without one counts bytes, a time without one is nothing but 0. */
static bool parse_units(const struct unit units[UNITS], bool needs_unit, const char *text, int64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    int64_t number;
    if (!slice_i64(slice_of(text, digits), &number))
        return false;
    const char *unit = text + digits;
    if (*unit == '\0') {
        *out = number;
        return !needs_unit || number == 0;
    }
    for (size_t i = 0; i < UNITS; i++) {
        if (strcmp(unit, units[i].name) == 0)
            return !__builtin_mul_overflow(number, units[i].factor, out);
    }
    return false;
}

static void print_units(const struct unit units[UNITS], int64_t number, FILE *to)
{
    size_t i = 0;
    while (i < UNITS - 1 && number % units[i].factor != 0)
        i++;
    fprintf(to, "%" PRId64 "%s", number / units[i].factor, number == 0 ? "" : units[i].name);
}

static void print_number(const struct option *row, int64_t number, FILE *to)
{
    if (row->type == OPTION_SIZE)
        print_units(size_units, number, to);
    else if (row->type == OPTION_DURATION)
        print_units(time_units, number, to);
    else
        fprintf(to, "%" PRId64, number);
}

static bool parse_number(const struct option *row, const char *text, int64_t *out)
{
    if (row->type == OPTION_SIZE)
        return parse_units(size_units, false, text, out);
    if (row->type == OPTION_DURATION)
        return parse_units(time_units, true, text, out);
    return slice_i64(slice_str(text), out);
}

bool option_parse_bool(const char *text, bool *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i % 2 == 1;
            return true;
        }
    }
    return false;
}

/* The index of text among the row's words, -1 when it is none of them. */
static int parse_word(const struct option *row, const char *text)
{
    for (int i = 0; row->words[i]; i++) {
        if (strcmp(text, row->words[i]) == 0)
            return i;
    }
    return -1;
}

/* --- members ---------------------------------------------------------------------------------------------- */

static void *member(const struct options *o, const struct option *row)
{
    return (char *)(uintptr_t)o + row->offset;
}

static size_t *list_len(const struct options *o, const struct option *row)
{
    assert(row->type == OPTION_LIST);
    return (size_t *)(void *)((char *)(uintptr_t)o + row->len_offset);
}

/* A word lives in an enum or, when there are two, in a bool. */
static void store_word(void *at, size_t size, int index)
{
    if (size == sizeof(bool)) {
        *(bool *)at = index != 0;
    } else {
        assert(size == sizeof(enum log_level));
        *(enum log_level *)at = (enum log_level)index;
    }
}

static int load_word(const void *at, size_t size)
{
    return size == sizeof(bool) ? *(const bool *)at : (int)*(const enum log_level *)at;
}

void option_clear(struct options *o, const struct option *row)
{
    if (row->type == OPTION_STRING) {
        char **text = member(o, row);
        free(*text);
        *text = NULL;
    } else if (row->type == OPTION_LIST) {
        char ***list = member(o, row);
        for (size_t i = 0; i < *list_len(o, row); i++)
            free((*list)[i]);
        free(*list);
        *list = NULL;
        *list_len(o, row) = 0;
    }
}

static void list_add(struct options *o, const struct option *row, char *text)
{
    char ***list = member(o, row);
    size_t *len = list_len(o, row);
    *list = sg_realloc(*list, (*len + 1) * sizeof(**list));
    (*list)[(*len)++] = text;
}

/* Text i of a string or list. */
static const char *text_at(const struct options *o, const struct option *row, size_t i)
{
    return row->type == OPTION_LIST ? (*(char ***)member(o, row))[i] : *(char **)member(o, row);
}

bool option_equal(const struct options *a, const struct options *b, const struct option *row)
{
    if (row->type != OPTION_STRING && row->type != OPTION_LIST)
        return memcmp(member(a, row), member(b, row), row->size) == 0;
    size_t len = option_len(a, row);
    if (len != option_len(b, row))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (strcmp(text_at(a, row, i), text_at(b, row, i)) != 0)
            return false;
    }
    return true;
}

void option_copy(struct options *to, const struct options *from, const struct option *row)
{
    if (row->type != OPTION_STRING && row->type != OPTION_LIST) {
        memcpy(member(to, row), member(from, row), row->size);
        return;
    }
    option_clear(to, row);
    for (size_t i = 0; i < option_len(from, row); i++) {
        if (row->type == OPTION_LIST)
            list_add(to, row, copy_of(text_at(from, row, i)));
        else
            *(char **)member(to, row) = copy_of(text_at(from, row, i));
    }
}

/* --- set -------------------------------------------------------------------------------------------------- */

static bool refuse(char why[OPTION_WHY_MAX], const char *sentence)
{
    snprintf(why, OPTION_WHY_MAX, "%s", sentence);
    return false;
}

/* "expected a size from 1KiB to 64MiB" and the like. */
static bool refuse_range(const struct option *row, char why[OPTION_WHY_MAX])
{
    static const char *const what[] = {[OPTION_INT] = "a whole number, ",
                                       [OPTION_SIZE] = "a size in B, KiB, MiB or GiB, ",
                                       [OPTION_DURATION] = "a time in ms, s, m or h, ",
                                       [OPTION_BOOL] = "true or false",
                                       [OPTION_WORD] = "one of "};
    FILE *to = fmemopen(why, OPTION_WHY_MAX, "w");
    assert(to);
    fprintf(to, "expected %s", what[row->type]);
    option_print_range(row, to);
    fclose(to);
    return false;
}

static bool set_text(struct options *o, const struct option *row, const char *text, char why[OPTION_WHY_MAX])
{
    char *kept = NULL;
    const char *wrong = NULL;
    if (strlen(text) > OPTION_TEXT_MAX)
        return refuse(why, "the value is too long");
    if (!text_is_printable(slice_str(text)))
        return refuse(why, "the value is not printable UTF-8");
    if (row->take)
        wrong = row->take(text, &kept);
    else if (text[0] == '\0')
        wrong = "the value is empty";
    else
        kept = copy_of(text);
    if (wrong)
        return refuse(why, wrong);
    if (row->type == OPTION_STRING) {
        option_clear(o, row);
        *(char **)member(o, row) = kept;
        return true;
    }
    if (*list_len(o, row) == OPTION_LIST_MAX) {
        free(kept);
        return refuse(why, "too many values");
    }
    list_add(o, row, kept);
    return true;
}

static bool set(struct options *o, const struct option *row, const char *text, char why[OPTION_WHY_MAX])
{
    int64_t number;
    bool truth;
    int word;
    switch (row->type) {
    case OPTION_STRING:
    case OPTION_LIST:
        return set_text(o, row, text, why);
    case OPTION_INT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        if (!parse_number(row, text, &number) || number < row->min || number > row->max)
            return refuse_range(row, why);
        *(int64_t *)member(o, row) = number;
        return true;
    case OPTION_BOOL:
        if (!option_parse_bool(text, &truth))
            return refuse_range(row, why);
        *(bool *)member(o, row) = truth;
        return true;
    case OPTION_WORD:
        word = parse_word(row, text);
        if (word < 0)
            return refuse_range(row, why);
        store_word(member(o, row), row->size, word);
        return true;
    }
    abort(); /* every type has its case */
}

/* Says what was given, behind the sentence; not when it may be a secret, or would spoil the line. */
static void quote_back(const struct option *row, const char *text, char why[OPTION_WHY_MAX])
{
    size_t len = strlen(why);
    bool plain = text[0] && strlen(text) <= QUOTE_MAX && text_is_printable(slice_str(text)) && !strchr(text, '@');
    if (plain && !row->secret)
        snprintf(why + len, OPTION_WHY_MAX - len, "; given is `%s`", text);
}

bool option_set(struct options *o, const struct option *row, const char *text, char why[OPTION_WHY_MAX])
{
    if (set(o, row, text, why))
        return true;
    quote_back(row, text, why);
    return false;
}

/* --- print ------------------------------------------------------------------------------------------------ */

size_t option_len(const struct options *o, const struct option *row)
{
    if (row->type == OPTION_LIST)
        return *list_len(o, row);
    if (row->type == OPTION_STRING)
        return *(char **)member(o, row) != NULL;
    return 1;
}

/* A URL with its password, if it has one, replaced. */
static void print_url(const char *url, FILE *to)
{
    const char *authority = strstr(url, "://");
    const char *at = authority ? strrchr(authority, '@') : NULL;
    const char *colon = at ? memchr(authority + 3, ':', (size_t)(at - authority - 3)) : NULL;
    if (colon)
        fprintf(to, "%.*s:redacted%s", (int)(colon - url), url, at);
    else
        fputs(url, to);
}

void option_print(const struct options *o, const struct option *row, size_t i, FILE *to)
{
    assert(i < option_len(o, row));
    const void *at = member(o, row);
    switch (row->type) {
    case OPTION_STRING:
    case OPTION_LIST: {
        const char *text = row->type == OPTION_LIST ? (*(char **const *)at)[i] : *(char *const *)at;
        if (row->secret)
            print_url(text, to);
        else
            fputs(text, to);
        break;
    }
    case OPTION_INT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        print_number(row, *(const int64_t *)at, to);
        break;
    case OPTION_BOOL:
        fputs(*(const bool *)at ? "true" : "false", to);
        break;
    case OPTION_WORD:
        fputs(row->words[load_word(at, row->size)], to);
        break;
    }
}

void option_print_range(const struct option *row, FILE *to)
{
    switch (row->type) {
    case OPTION_INT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        print_number(row, row->min, to);
        fputs(" to ", to);
        print_number(row, row->max, to);
        break;
    case OPTION_WORD:
        for (size_t i = 0; row->words[i]; i++)
            fprintf(to, "%s%s", i > 0 ? ", " : "", row->words[i]);
        break;
    case OPTION_STRING:
    case OPTION_LIST:
    case OPTION_BOOL:
        break;
    }
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

const char *option_key(const struct option *row)
{
    static char key[64];
    size_t len = strlen(row->name);
    assert(len < sizeof(key));
    for (size_t i = 0; i <= len; i++)
        key[i] = row->name[i] == '-' ? '_' : row->name[i];
    return key;
}

const char *option_env(const struct option *row)
{
    static char env[80] = "SYNCGATE_";
    const size_t head = sizeof("SYNCGATE_") - 1;
    const char *key = option_key(row);
    size_t len = strlen(key);
    assert(head + len < sizeof(env));
    for (size_t i = 0; i <= len; i++)
        env[head + i] = upper(key[i]);
    return env;
}
