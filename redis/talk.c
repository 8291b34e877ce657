/* The reader of replies over a wire that waits. */
#include "redis/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/alloc.h"
#include "protocol/base/buf.h"
#include "redis/advice.h"
#include "redis/dial.h"

enum { ANSWER_MS = 5000, COMMAND_MAX = 1 << 20, WORDS_MAX = 16, CHUNK = 16 * 1024 };

struct talk {
    struct wire wire;
    struct reply_reader *reader;
    struct talk_server server;
    char why[TALK_WHY_MAX]; /* set: the connection is lost */
};

static void lost(struct talk *t, const char *why)
{
    if (!t->why[0])
        snprintf(t->why, sizeof(t->why), "%s", why);
}

void talk_say(struct talk *t, size_t argc, const struct slice *argv)
{
    struct buf out;
    buf_init(&out, COMMAND_MAX);
    buf_put_char(&out, '*');
    buf_put_i64(&out, (int64_t)argc);
    buf_put_lit(&out, "\r\n");
    for (size_t i = 0; i < argc; i++) {
        buf_put_char(&out, '$');
        buf_put_i64(&out, (int64_t)argv[i].len);
        buf_put_lit(&out, "\r\n");
        buf_put_slice(&out, argv[i]);
        buf_put_lit(&out, "\r\n");
    }
    if (out.failed)
        lost(t, "the command is too long");
    else if (!t->why[0] && !dial_write(&t->wire, out.ptr, out.len, dial_now_ms() + ANSWER_MS))
        lost(t, t->wire.why);
    if (out.ptr)
        explicit_bzero(out.ptr, out.len); /* of the greeting: the password */
    buf_deinit(&out);
}

static const struct reply *next(struct talk *t)
{
    int64_t until_ms = dial_now_ms() + ANSWER_MS;
    char chunk[CHUNK];
    const struct reply *reply;
    while (!t->why[0]) {
        enum reply_next got = reply_reader_next(t->reader, &reply);
        if (got == REPLY_READY)
            return reply;
        ssize_t n = got == REPLY_MORE ? dial_read(&t->wire, chunk, sizeof(chunk), until_ms) : -1;
        if (got == REPLY_BROKEN)
            lost(t, reply_reader_why(t->reader));
        else if (n <= 0)
            lost(t, t->wire.why);
        else
            reply_reader_feed(t->reader, slice_of(chunk, (size_t)n));
    }
    return NULL;
}

const struct reply *talk_hear(struct talk *t)
{
    const struct reply *reply;
    while ((reply = next(t)) && reply->type == REPLY_PUSH)
        continue;
    return reply;
}

const struct reply *talk_push(struct talk *t)
{
    const struct reply *reply;
    while ((reply = next(t)) && reply->type != REPLY_PUSH && reply->type != REPLY_ERROR)
        continue;
    return reply;
}

const struct reply *talk_ask(struct talk *t, const char *const *words)
{
    struct slice argv[WORDS_MAX];
    size_t argc = 0;
    for (; argc < WORDS_MAX && words[argc]; argc++)
        argv[argc] = slice_str(words[argc]);
    talk_say(t, argc, argv);
    return talk_hear(t);
}

const char *talk_why(const struct talk *t)
{
    return t->why;
}

const struct talk_server *talk_server(const struct talk *t)
{
    return &t->server;
}

/* --- greeting --------------------------------------------------------------------------------------------- */

static void keep(char *to, size_t size, struct slice text)
{
    snprintf(to, size, "%.*s", (int)text.len, text.len ? text.ptr : "");
}

static bool greet(struct talk *t, const struct link_config *c, char why[ADVICE_MAX])
{
    const struct slice hello[] = {SLICE_LIT("HELLO"),
                                  SLICE_LIT("3"),
                                  SLICE_LIT("SETNAME"),
                                  SLICE_LIT("syncgate-tool"),
                                  SLICE_LIT("AUTH"),
                                  slice_str(c->user ? c->user : "default"),
                                  slice_str(c->password ? c->password : "")};
    talk_say(t, c->password ? 7 : 4, hello);
    const struct reply *r = talk_hear(t);
    if (!r || r->type == REPLY_ERROR) {
        if (r)
            advice_error(r->text, why);
        return false;
    }
    keep(t->server.name, sizeof(t->server.name), advice_field(r, "server"));
    keep(t->server.version, sizeof(t->server.version), advice_field(r, "version"));
    keep(t->server.mode, sizeof(t->server.mode), advice_field(r, "mode"));
    return advice_hello(r, why);
}

static bool select_db(struct talk *t, int db, char why[ADVICE_MAX])
{
    char number[16];
    if (db == 0)
        return true;
    snprintf(number, sizeof(number), "%d", db);
    const struct reply *r = TALK_ASK(t, "SELECT", number);
    if (r && r->type == REPLY_ERROR)
        advice_error(r->text, why);
    return r && r->type != REPLY_ERROR;
}

struct talk *talk_open(const struct link_config *c, bool *answered, char why[TALK_WHY_MAX])
{
    char port[16], advice[ADVICE_MAX] = "";
    struct talk *t = sg_calloc(1, sizeof(*t));
    snprintf(port, sizeof(port), "%d", c->port);
    const struct dial to = {
        .host = c->host, .port = port, .unix_path = c->unix_path, .tls = c->tls, .ca_file = c->tls_ca_file};
    t->reader = reply_reader_new();
    if (!dial_open(&t->wire, &to, dial_now_ms() + ANSWER_MS))
        lost(t, t->wire.why);
    else if (greet(t, c, advice) && select_db(t, c->db, advice))
        return t;
    *answered = advice[0];
    snprintf(why, TALK_WHY_MAX, "%s", advice[0] ? advice : t->why);
    talk_close(t);
    return NULL;
}

void talk_close(struct talk *t)
{
    if (!t)
        return;
    wire_close(&t->wire);
    reply_reader_free(t->reader);
    free(t);
}
