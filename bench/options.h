/* What the command line asks for. */
#ifndef SYNCGATE_BENCH_OPTIONS_H
#define SYNCGATE_BENCH_OPTIONS_H

#include "bench/proc.h"
#include "bench/url.h"

enum { URLS_MAX = 64, NAME_BYTES_MAX = 512 };

enum kind { KIND_VAR, KIND_LIST, KIND_RAW, KIND_SOCKETIO, KIND_MQTT, KIND_NATS, KIND_COUNT };
enum publish { PUBLISH_NONE, PUBLISH_REDIS, PUBLISH_WS, PUBLISH_HTTP };

struct options {
    struct url urls[URLS_MAX];
    size_t urls_len;
    int64_t clients, connect_rate, handshakes;
    const char *name; /* may hold %d */
    int64_t names;    /* how many different ones; 0: as many as clients when `name` holds %d, else one */
    enum kind kind;
    int64_t max_rate; /* of the subscription; 0: none */

    int64_t windows, page_size, list_items;

    enum publish publish;
    struct url publish_url;     /* PUBLISH_REDIS, PUBLISH_HTTP */
    const char *command;        /* fcall, publish or spublish; NULL: what fits the kind */
    const char *channel;        /* of publish and spublish, may hold %s; NULL: the name */
    const char *before, *after; /* bytes around the payload, with \xNN */
    const char *prefix;
    int64_t window, size;
    double rate;   /* per second; 0: closed loop */
    int64_t count; /* of publishes to measure; 0: for some seconds */
    bool keep;

    double seconds, warmup, stall;
    int64_t slow;
    bool idle, allow_gaps, insecure, deflate;

    struct proc_pids server, redis;
    const char *label;
    bool json_only;
};

/* options_parse fills `out`. Ends the program after --help (0) and after a mistake, which it names (1). */
void options_parse(int argc, char **argv, struct options *out);
const char *options_kind_name(enum kind kind);
/* options_name_count: how many names there are. */
int64_t options_name_count(const struct options *o);
/* options_name writes the name with this number. */
void options_name(const struct options *o, int64_t number, char out[NAME_BYTES_MAX]);

#endif
