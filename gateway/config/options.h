/* The one option table: flags, environment (SYNCGATE_…), file, defaults, --help, --print-config and docs/configuration.md all
 * come from it. Precedence: flag, then environment, then file, then default. */
#ifndef SYNCGATE_GATEWAY_CONFIG_OPTIONS_H
#define SYNCGATE_GATEWAY_CONFIG_OPTIONS_H

#include <stdio.h>
#include "gateway/access/grants.h"
#include "gateway/access/jwt.h"
#include "gateway/observe/log.h"
#include "protocol/dialect.h"

/* A name that is known before it exists in Redis. */
struct name_pattern {
    char *glob;
    enum kind kind;        /* KIND_VAR or KIND_LIST */
    int64_t max_page_size; /* 0: the option's */
};

/* What the program is to do instead of running: docs in option.h's table. */
enum options_action {
    ACTION_RUN,
    ACTION_CHECK,       /* checkup.h */
    ACTION_PRINT,       /* was done by options_load */
    ACTION_SELFTEST,    /* selftest.h */
    ACTION_TOP,         /* terminal.h */
    ACTION_HEALTHCHECK, /* healthcheck.h */
    ACTION_HELP,        /* like ACTION_PRINT, and so is the next */
    ACTION_VERSION
};

struct options {
    /* How they were made, to make them again: borrowed, of main. */
    int argc;
    char **argv, **envp;
    size_t holders;     /* of grants in here, and the maker */
    const int *sockets; /* listening ones that were passed (activation.h), instead of `listen`; borrowed, of main */
    size_t sockets_len;
    char **listen; /* "ADDR:PORT", "[v6]:PORT" or "unix:PATH" */
    size_t listen_len;
    char *redis; /* NULL: embedded */
    char *data_dir;
    int64_t workers; /* 0 was resolved to the number of cores */
    char *config_file;
    char *prefix;
    enum log_level log_level;
    enum log_format log_format;
    char **trusted_proxy; /* networks, see forwarded.h */
    size_t trusted_proxy_len;
    char **admin_from; /* networks, as the next two; none: as far as grants say */
    size_t admin_from_len;
    char **metrics_from;
    size_t metrics_from_len;
    char **page_from;
    size_t page_from_len;
    char **allowed_origins; /* see origin.h */
    size_t allowed_origins_len;
    int64_t max_message; /* bytes */
    int64_t max_depth;
    int64_t max_page_size;
    int64_t call_timeout_ms;
    int64_t calls_per_connection;
    int64_t ping_interval_ms;
    int64_t subscribe_timeout_ms;
    int64_t sweep_interval_ms;
    int64_t probe_interval_ms;
    int64_t queue_budget; /* bytes per connection: answers and errors that wait */
    int64_t stall_timeout_ms;
    int64_t errors_per_minute;
    int64_t subscriptions_per_connection;
    int64_t items_per_connection; /* item subscriptions among them */
    int64_t names_per_second;     /* allowance.h, as the next three; 0: no limit */
    int64_t messages_per_second;
    int64_t bytes_per_second;
    int64_t answer_bytes_per_second;
    int64_t rate_patience_ms;        /* 0: without end */
    int64_t max_connections;         /* of one process; 0: no limit */
    int64_t max_value;               /* bytes of one value that a client writes; 0: as its message */
    int64_t max_cache;               /* bytes of state of one process; 0: no limit */
    int64_t connections_per_address; /* addresses.h, as the next; of one process; 0: no limit */
    int64_t handshakes_per_address;
    int64_t connections_per_user; /* users.h, as the next */
    int64_t calls_per_user;
    int64_t memory_budget; /* bytes resident of one process; 0: none */
    int64_t drain_delay_ms;
    int64_t drain_seconds;
    int64_t linger_ms;   /* --linger 10s: how long a name without subscribers stays subscribed in Redis */
    bool index_absolute; /* --index-mode page|absolute */
    char *tls_cert;      /* PEM files; both or neither */
    char *tls_key;
    bool deflate; /* --deflate off|on: permessage-deflate */
    bool dev;     /* anonymous may do everything */
    enum options_action action;
    const char *url; /* of the action that asks a gateway; NULL: the first listen address. Borrowed */
    bool full, once; /* --check-config=full, --once */
    enum jwt_algorithm jwt_algorithm;
    char **jwt_key_files;
    size_t jwt_key_files_len;
    char *jwt_issuer, *jwt_audience; /* NULL: any */
    int64_t jwt_leeway_ms, jwt_max_age_ms;
    int64_t token_grace_ms;
    bool token_expiry_anonymous; /* --token-expiry close|anonymous */
    struct jwt_keys *jwt;        /* read from the files; NULL: JWT_OFF */
    struct grants anonymous;
    struct grants users;    /* what everybody who is known may do, with {places} */
    bool anonymous_default; /* neither a file nor --dev said what anonymous peers may do */
    struct grants *tokens;
    size_t tokens_len;
    struct name_pattern *names;
    size_t names_len;
};

enum options_result { OPTIONS_RUN, OPTIONS_EXIT_OK, OPTIONS_EXIT_FAILURE };

/* options_load reads everything and prints what was asked for (--help, --version, --print-config) or what is wrong
 * (`file:line: message`, `--flag: message`) to the streams. On OPTIONS_RUN `out` is filled, and out->action is to be done. */
enum options_result options_load(struct options *out, int argc, char **argv, char **envp, FILE *to, FILE *err);
void options_deinit(struct options *o);
/* options_again makes options as `now` were made, from what the file holds by now; what cannot change at run time keeps its
 * value, and `on_fixed` is told the name of each that would have. NULL after complaints to `err`. options_retire ends what it
 * returned when nobody holds grants of it any more. */
struct options *options_again(const struct options *now, FILE *err, void (*on_fixed)(const char *name));
void options_retire(struct options *o);
/* options_hold keeps the options of these grants alive until options_release. */
const struct grants *options_hold(const struct grants *g);
void options_release(const struct grants *g);
/* options_strange_variables tells of each SYNCGATE_… variable that is none of ours, with the one that may have been meant, or NULL. */
void options_strange_variables(const struct options *o, void (*on)(const char *name, const char *meant));
/* options_version: "0.1.0". */
const char *options_version(void);

/* options_token finds the grants of a token in constant time per token; NULL when there is none. An empty token is anonymous. */
const struct grants *options_token(const struct options *o, struct slice token);
/* options_present: the grants of who shows this token, or none (empty): held, to be released. NULL: then *why is a static sentence for
 * whoever showed it. */
const struct grants *options_present(const struct options *o, struct slice token, const char **why);
/* options_renew: the same holder's grants by these options, held. NULL when they do not know that token, or the key that signed it. */
const struct grants *options_renew(const struct options *o, const struct grants *old);
/* options_placeholders: how many tokens are `<…>`, which nobody can present. */
size_t options_placeholders(const struct options *o);
/* options_name finds the first pattern of that kind which covers the name, NULL when none does. */
const struct name_pattern *options_name(const struct options *o, enum kind kind, struct slice name);
/* True when any listen address is reachable from beyond this machine. */
bool options_listens_beyond_loopback(const struct options *o);

#endif
