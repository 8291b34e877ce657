/* One simulated client: connects, subscribes, and tells of what arrives. It reads frame headers and looks for the mark. */
#ifndef SYNCGATE_BENCH_CLIENT_H
#define SYNCGATE_BENCH_CLIENT_H

#include "bench/loop.h"
#include "bench/options.h"
#include "bench/stream.h"
#include "bench/wsframe.h"

struct clients;
struct dialect;

enum client_state {
    CLIENT_NEW,         /* not connected yet */
    CLIENT_CONNECTING,  /* TCP or TLS is under way */
    CLIENT_UPGRADING,   /* the upgrade was asked for */
    CLIENT_SUBSCRIBING, /* it waits for what confirms the subscription */
    CLIENT_READY,
    CLIENT_DEAD
};

struct client {
    struct clients *all;
    struct watch watch;
    struct stream stream;
    enum client_state state;
    bool publisher; /* publishes and subscribes to nothing */
    bool slow;      /* one of those that stop reading */
    bool reading;   /* false: it stopped */
    bool was_ready;
    bool seen;               /* something of the present phase arrived */
    uint8_t answers;         /* what the dialect counts while subscribing */
    uint32_t hint;           /* where the mark stood in the last message */
    int64_t number;          /* 0, 1, … */
    int64_t name;            /* the number of its name */
    int64_t next_seq;        /* what should arrive next (load.c) */
    uint64_t ahead;          /* bit n: next_seq + n names on has arrived already (load.c) */
    int64_t begun_ns;        /* when it began to connect */
    int64_t messages, bytes; /* that arrived */
    struct bytes in, out;    /* a frame that is not whole yet; what waits to be sent */
};

/* What a client speaks. */
struct dialect {
    const char *subprotocol; /* NULL: none */
    enum ws_opcode opcode;   /* of what is sent */
    const char *path;        /* in place of "/" */
    /* After the upgrade: appends the first message to `out`; client_is_ready when nothing is waited for. */
    void (*open)(struct client *c, const char *name, struct bytes *out);
    void (*message)(struct client *c, const char *p, size_t len, int64_t now_ns);
    /* Appends the message that publishes; NULL: clients do not publish. */
    void (*publish)(struct bytes *out, const char *name, const char *payload, size_t len);
};

/* What the clients tell. None may free a client. */
struct client_events {
    void (*ready)(struct client *c);
    /* A marked payload arrived. */
    void (*delivered)(struct client *c, int64_t seq, int64_t time_ns, int64_t now_ns);
    /* Lists: the length that a frame names. */
    void (*counted)(struct client *c, int64_t total, int64_t now_ns);
    /* The connection ended, or never came about; `why` says so. */
    void (*dead)(struct client *c, const char *why);
};

struct clients {
    struct loop *loop;
    const struct options *opt;
    const struct dialect *dialect;
    struct client_events events;
    void *user;
    int64_t messages; /* data messages that arrived at clients that are ready */
    int64_t bytes;    /* wire bytes that arrived */
    int64_t errors;   /* error messages of the server */
    int64_t unmarked; /* messages without a mark, where one was expected */
    char error[256];  /* the first error message */
    struct inflater *inflater;
};

void clients_init(struct clients *all, struct loop *loop, const struct options *opt, const struct dialect *dialect,
                  const struct client_events *events, void *user);
void clients_deinit(struct clients *all);

/* client_start connects to the server whose turn this number is. `slow` and `publisher` are set already. */
void client_start(struct client *c, struct clients *all, int64_t number, int64_t name);
/* client_pause, client_resume: it stops reading, and goes on. */
void client_pause(struct client *c);
void client_resume(struct client *c);
/* client_send writes a text or binary message; client_flush sends what waits. */
void client_send(struct client *c, enum ws_opcode opcode, const char *payload, size_t len);
void client_flush(struct client *c);
/* client_stop ends it without a word. */
void client_stop(struct client *c);

/* --- for dialects --- */

/* client_is_ready: what confirms the subscription has come. */
void client_is_ready(struct client *c);
void client_fail(struct client *c, const char *why, const char *text, size_t len);
/* client_error counts an error message of the server. */
void client_error(struct client *c, const char *text, size_t len);
/* client_marks reports all marks in a message, client_mark only the first; how many there were. */
size_t client_marks(struct client *c, const char *p, size_t len, int64_t now_ns);
size_t client_mark(struct client *c, const char *p, size_t len, int64_t now_ns);

#endif
