/* The option table, and the table of what else the program can be told to do. */
#include "gateway/config/option.h"
#include "gateway/config/option_texts.h"
#include "gateway/config/option_units.h"

enum { FILES_MAX = 1 << 20 }; /* of a process, see main.c */

static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const formats[] = {"logfmt", "json", NULL};
static const char *const jwt_algorithms[] = {"off", "HS256", "HS384", "HS512", "RS256", "ES256", "EdDSA", NULL};
static const char *const expiries[] = {"close", "anonymous", NULL};
static const char *const switches[] = {"off", "on", NULL};
static const char *const index_modes[] = {"page", "absolute", NULL};

#define MEMBER(member) .offset = offsetof(struct options, member), .size = sizeof(((struct options *)NULL)->member)

/* To add one: a member in options.h, a row here, `syncgate --print-options-markdown` into docs/configuration.md. */
const struct option option_table[] = {
    {"listen", OPTION_LIST, "ADDRESS", "127.0.0.1:8080", .take = option_take_listen, MEMBER(listen),
     .len_offset = offsetof(struct options, listen_len), .fixed = true,
     .help = "where clients connect: ADDR:PORT, [V6]:PORT, *:PORT or unix:PATH; may be given several times"},
    {"redis", OPTION_STRING, "URL", NULL, .take = option_take_redis, MEMBER(redis), .secret = true, .fixed = true,
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
    {"prefix", OPTION_STRING, "TEXT", "sg:", .take = option_take_prefix, MEMBER(prefix), .fixed = true,
     .help = "in front of every key and channel in Redis; several prefixes can share one Redis"},
    {"log-level", OPTION_WORD, "LEVEL", "info", .words = levels, MEMBER(log_level),
     .help = "the least important lines to log"},
    {"log-format", OPTION_WORD, "FORMAT", "logfmt", .words = formats, MEMBER(log_format),
     .help = "how a line is written; the fields are the same"},
    {"trusted-proxy", OPTION_LIST, "CIDR", NULL, .take = option_take_proxy, MEMBER(trusted_proxy),
     .len_offset = offsetof(struct options, trusted_proxy_len),
     .help = "whose X-Forwarded-For says who the client is: a network, an address, or unix for unix sockets; "
             "may be given several times"},
    {"admin-from", OPTION_LIST, "CIDR", NULL, .take = option_take_proxy, MEMBER(admin_from),
     .len_offset = offsetof(struct options, admin_from_len),
     .help = "from where /admin/ may be used, by those who may: a network, an address, or unix; may be given several "
             "times; without it from everywhere"},
    {"metrics-from", OPTION_LIST, "CIDR", NULL, .take = option_take_proxy, MEMBER(metrics_from),
     .len_offset = offsetof(struct options, metrics_from_len),
     .help = "from where /metrics may be read without a token of an entry with metrics: true, likewise"},
    {"page-from", OPTION_LIST, "CIDR", NULL, .take = option_take_proxy, MEMBER(page_from),
     .len_offset = offsetof(struct options, page_from_len),
     .help = "from where the page at / and the documents may be seen, likewise; pages of others may import the client "
             "all the same"},
    {"allowed-origins", OPTION_LIST, "ORIGIN", "same-host", .flag = "allowed-origin", .take = option_take_origin,
     MEMBER(allowed_origins), .len_offset = offsetof(struct options, allowed_origins_len),
     .help = "whose web pages may connect: same-host, https://example.com, https://*.example.com, null or *; "
             "may be given several times"},
    {"max-message", OPTION_SIZE, "SIZE", "1MiB", KIB, 64 * MIB, MEMBER(max_message),
     .help = "largest message of a client; a larger one closes with 1009"},
    {"max-value", OPTION_SIZE, "SIZE", "0", 0, 64 * MIB, MEMBER(max_value),
     .help =
         "largest value that a client may write, of a variable or an item; larger ones end in error 6; 0 is as large "
         "as its message"},
    {"max-cache", OPTION_SIZE, "SIZE", "0", 0, 1024 * GIB, MEMBER(max_cache),
     .help = "state that one process holds, over which names without users go at once and names that it does not hold "
             "end in error 8; 0 is no limit"},
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
    {"subscriptions-per-connection", OPTION_INT, "N", "10000", 1, 1000000, MEMBER(subscriptions_per_connection),
     .help = "most subscriptions of one client, list items among them; more end in error 8"},
    {"items-per-connection", OPTION_INT, "N", "5000", 1, 1000000, MEMBER(items_per_connection),
     .help = "most list items that one client subscribes to; more end in error 8"},
    {"names-per-second", OPTION_INT, "N", "1000", 0, 1000000, MEMBER(names_per_second),
     .help = "questions to Redis that one client may cause in a second, for what nobody here holds; five times as many "
             "at once, then it is read from so much more slowly; 0 is no limit"},
    {"messages-per-second", OPTION_INT, "N", "100000", 0, 10000000, MEMBER(messages_per_second),
     .help = "messages of one client in a second, likewise"},
    {"bytes-per-second", OPTION_SIZE, "SIZE", "64MiB", 0, 64 * GIB, MEMBER(bytes_per_second),
     .help = "bytes of the messages of one client in a second, likewise"},
    {"answer-bytes-per-second", OPTION_SIZE, "SIZE", "64MiB", 0, 64 * GIB, MEMBER(answer_bytes_per_second),
     .help = "bytes that one client may be answered in a second, likewise; changes do not count"},
    {"rate-patience", OPTION_DURATION, "TIME", "1m", 0, HOUR, MEMBER(rate_patience_ms),
     .help = "a client that is over one of these rates for so long is closed with 1008; 0 is never"},
    {"max-connections", OPTION_INT, "N", "0", 0, FILES_MAX, MEMBER(max_connections),
     .help = "most WebSockets of one process (each worker counts its own); more get 503; 0 is no limit"},
    {"connections-per-address", OPTION_INT, "N", "0", 0, FILES_MAX, MEMBER(connections_per_address),
     .help =
         "most WebSockets from one address (IPv6: one /64) to one process; more get 429; loopback, unix sockets and "
         "trusted proxies do not count; 0 is no limit"},
    {"handshakes-per-address", OPTION_INT, "N", "0", 0, 1000000, MEMBER(handshakes_per_address),
     .help = "WebSocket handshakes from one address to one process in a second, five times as many at once, likewise"},
    {"connections-per-user", OPTION_INT, "N", "0", 0, FILES_MAX, MEMBER(connections_per_user),
     .help = "most WebSockets with one token at one process; more get 429; 0 is no limit"},
    {"calls-per-user", OPTION_INT, "N", "0", 0, 1000000, MEMBER(calls_per_user),
     .help = "most calls of clients with one token at one process that wait for their answer; 0 is no limit"},
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
    {"jwt-algorithm", OPTION_WORD, "NAME", "off", .words = jwt_algorithms, MEMBER(jwt_algorithm),
     .help = "how signed tokens (JWT) are signed: the one algorithm of all keys, whatever a token says of itself"},
    {"jwt-key-files", OPTION_LIST, "FILE", NULL, .flag = "jwt-key-file", MEMBER(jwt_key_files),
     .len_offset = offsetof(struct options, jwt_key_files_len),
     .help =
         "a secret of at least 32 bytes (HS...) or a public key (PEM); each of several counts; read again by a reload"},
    {"jwt-issuer", OPTION_STRING, "TEXT", NULL, MEMBER(jwt_issuer), .help = "the `iss` that a signed token must have"},
    {"jwt-audience", OPTION_STRING, "TEXT", NULL, MEMBER(jwt_audience),
     .help = "what `aud` of a signed token must be, or hold"},
    {"jwt-leeway", OPTION_DURATION, "TIME", "10s", 0, 10 * MINUTE, MEMBER(jwt_leeway_ms),
     .help = "how far the clock of who signs may be off"},
    {"jwt-max-age", OPTION_DURATION, "TIME", "0", 0, 24 * HOUR, MEMBER(jwt_max_age_ms),
     .help = "how old a signed token may become, by its `iat`; 0: as it says itself, and one without `exp` is refused"},
    {"token-grace", OPTION_DURATION, "TIME", "10s", 0, 10 * MINUTE, MEMBER(token_grace_ms),
     .help = "how long a connection outlives its token, so that it can show a new one"},
    {"token-expiry", OPTION_WORD, "WHAT", "close", .words = expiries, MEMBER(token_expiry_anonymous),
     .help = "what becomes of a connection whose token has expired: closed with 4401, or anonymous"},
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
