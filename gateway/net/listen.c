/* A vhost of libwebsockets for each, because only these can listen. */
#include "gateway/net/listen.h"

#include <libwebsockets.h>
#include <stdio.h>
#include <unistd.h>

#include "gateway/net/acceptor.h"
#include "gateway/net/activation.h"
#include "gateway/net/address.h"
#include "gateway/net/porch.h"
#include "gateway/net/upgrade.h"
#include "gateway/observe/log.h"
#include "protocol/base/alloc.h"

struct listener {
    struct list_node node;
    struct listeners *all;
    struct acceptor *acceptor; /* of a socket that was passed; NULL: libwebsockets listens itself */
    struct lws_vhost *vhost;
    struct address address; /* libwebsockets keeps pointers to these two */
    char name[32];
    bool tls;
};

struct listeners {
    struct gateway *g;
    struct lws_context *context;
    const struct lws_protocols *protocols;
    struct porch *porch;
    struct list all;   /* struct listener */
    char address[288]; /* of the first one, for people */
};

struct listeners *listeners_new(struct gateway *g, struct lws_context *context, const struct lws_protocols *protocols,
                                struct porch *porch)
{
    struct listeners *ls = sg_calloc(1, sizeof(*ls));
    *ls = (struct listeners){.g = g, .context = context, .protocols = protocols, .porch = porch};
    list_init(&ls->all);
    return ls;
}

void listeners_free(struct listeners *ls)
{
    if (!ls)
        return;
    list_each(&ls->all, n)
    {
        struct listener *l = container_of(n, struct listener, node);
        if (l->acceptor)
            close(acceptor_free(l->acceptor));
        free(l);
    }
    free(ls);
}

const char *listeners_address(const struct listeners *ls)
{
    return ls->address;
}

static void say_url(const struct address *a, struct lws_vhost *vhost, bool tls)
{
    if (a->unix_socket) {
        log_info("listening on unix:%s", a->host);
        return;
    }
    const char *host = a->host[0] ? a->host : "127.0.0.1";
    bool v6 = strchr(host, ':') != NULL;
    int port = a->port ? a->port : lws_get_vhost_listen_port(vhost);
    printf("syncgate: http%s://%s%s%s:%d/\n", tls ? "s" : "", v6 ? "[" : "", host, v6 ? "]" : "", port);
    fflush(stdout);
}

/* libwebsockets' validity timers live in a sorted list that is walked for every connection; conn.c has a ping wheel.
 * Every vhost has to be told. */
const lws_retry_bo_t listeners_retry_policy;

static bool is_shared(const struct listeners *ls, const struct listener *l)
{
    return ls->g->worker >= 0 && !l->address.unix_socket;
}

static struct lws_vhost *new_vhost(struct listeners *ls, const struct listener *l)
{
    const struct options *opt = ls->g->opt;
    struct lws_context_creation_info info = {
        .vhost_name = l->name,
        .user = (void *)(uintptr_t)l,
        .port = l->address.port,
        .iface = l->address.host[0] ? l->address.host : NULL,
        .protocols = ls->protocols,
        .extensions = ls->g->deflate ? upgrade_extensions() : NULL,
        .timeout_secs = 10,
        .keepalive_timeout = 30,
        .retry_and_idle_policy = &listeners_retry_policy,
        .options = LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND |
                   (l->address.v4_only ? LWS_SERVER_OPTION_DISABLE_IPV6 : 0) |
                   (l->address.unix_socket ? LWS_SERVER_OPTION_UNIX_SOCK : 0) |
                   (is_shared(ls, l) ? LWS_SERVER_OPTION_ALLOW_LISTEN_SHARE : 0),
    };
    if (l->tls) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = opt->tls_cert;
        info.ssl_private_key_filepath = opt->tls_key;
    }
    return lws_create_vhost(ls->context, &info);
}

/* What the files hold is tried out with a listener that does not listen: libwebsockets changes those in use piece by piece. */
bool listeners_read_certificates(struct listeners *ls)
{
    const struct options *opt = ls->g->opt;
    struct lws_context_creation_info info = {
        .vhost_name = "trial",
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = ls->protocols,
        .retry_and_idle_policy = &listeners_retry_policy,
        .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
        .ssl_cert_filepath = opt->tls_cert,
        .ssl_private_key_filepath = opt->tls_key,
    };
    if (!opt->tls_cert)
        return true;
    if (!address_files_readable(opt))
        return false;
    struct lws_vhost *trial = lws_create_vhost(ls->context, &info);
    if (!trial)
        return false;
    lws_vhost_destroy(trial);
    return lws_tls_cert_updated(ls->context, opt->tls_cert, opt->tls_key, NULL, 0, NULL, 0) == 0;
}

/* The first one is where this process is known to listen. */
static void note_address(struct listeners *ls, const char *address)
{
    if (!ls->address[0])
        snprintf(ls->address, sizeof(ls->address), "%s", address);
}

static void note_listener(struct listeners *ls, const struct listener *l)
{
    const struct address *a = &l->address;
    bool v6 = strchr(a->host, ':') != NULL;
    int port = a->port || a->unix_socket ? a->port : lws_get_vhost_listen_port(l->vhost);
    char text[sizeof(ls->address)];
    if (a->unix_socket)
        snprintf(text, sizeof(text), "unix:%s", a->host);
    else
        snprintf(text, sizeof(text), "%s%s%s:%d", v6 ? "[" : "", a->host[0] ? a->host : "*", v6 ? "]" : "", port);
    note_address(ls, text);
}

/* Why libwebsockets did not listen there, although it looked as if one could. */
static const char *refusal_of(const struct listeners *ls, const struct listener *l)
{
    const char *fault = address_fault(&l->address, is_shared(ls, l));
    if (fault)
        return fault;
    return l->tls ? "the certificate or its key is not good" : "libwebsockets refused it (see --log-level debug)";
}

static struct listener *new_listener(struct listeners *ls)
{
    struct listener *l = sg_calloc(1, sizeof(*l));
    l->all = ls;
    snprintf(l->name, sizeof(l->name), "listener-%zu", ls->all.count);
    list_append(&ls->all, &l->node);
    return l;
}

static bool listen_on(struct listeners *ls, const char *text)
{
    struct listener *l = new_listener(ls);
    const char *wrong = address_parse(text, &l->address);
    if (!wrong) {
        l->tls = ls->g->opt->tls_cert && !l->address.unix_socket;
        l->vhost = new_vhost(ls, l);
        wrong = l->vhost ? NULL : refusal_of(ls, l);
    }
    if (wrong) {
        address_complain(text, wrong);
        return false;
    }
    note_listener(ls, l);
    if (ls->g->worker <= 0)
        say_url(&l->address, l->vhost, ls->g->opt->tls_cert != NULL);
    return true;
}

static void on_socket(void *arg, int fd)
{
    struct listener *l = arg;
    porch_take(l->all->porch, fd, l, l->tls);
}

struct lws_vhost *listeners_vhost(const void *door)
{
    return ((const struct listener *)door)->vhost;
}

void listeners_accepted(struct lws_vhost *vhost, int fd)
{
    on_socket(lws_vhost_user(vhost), fd);
}

static bool listen_with(struct listeners *ls, int fd)
{
    struct listener *l = new_listener(ls);
    char name[160];
    activation_name(fd, name, sizeof(name));
    l->address.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    l->tls = ls->g->opt->tls_cert && !activation_is_unix(fd);
    l->vhost = new_vhost(ls, l);
    if (!l->vhost) {
        log_error("cannot serve the passed socket of %s: the certificate is not good", name);
        return false;
    }
    note_address(ls, name);
    l->acceptor = acceptor_new(ls->g->base, fd, on_socket, l);
    acceptor_watch(l->acceptor, true);
    if (ls->g->worker <= 0)
        log_info("listening on a passed socket address=%s", name);
    return true;
}

bool listeners_listen(struct listeners *ls)
{
    const struct options *opt = ls->g->opt;
    for (size_t i = 0; i < opt->sockets_len; i++)
        if (!listen_with(ls, opt->sockets[i]))
            return false;
    for (size_t i = 0; i < opt->listen_len && opt->sockets_len == 0; i++)
        if (!listen_on(ls, opt->listen[i]))
            return false;
    return true;
}

void listeners_stop(struct listeners *ls)
{
    list_each(&ls->all, n)
    {
        struct listener *l = container_of(n, struct listener, node);
        if (l->acceptor)
            close(
                acceptor_free(l->acceptor)); /* whoever passed it may hold it still, and then connections wait in it */
        else if (l->vhost)
            lws_vhost_destroy1(l->vhost); /* closes the listening socket, keeps the connections */
        l->acceptor = NULL;
        l->vhost = NULL;
        if (l->address.unix_socket)
            unlink(l->address.host);
    }
}
