/* The program: reads the options, starts the private Redis when none is named, and runs one gateway here or several in
 * workers. */
#include "gateway/command/checkup.h"
#include "gateway/command/healthcheck.h"
#include "gateway/command/selftest.h"
#include "gateway/command/terminal.h"
#include "gateway/config/option.h"
#include "gateway/lifecycle/notify.h"
#include "gateway/lifecycle/reload.h"
#include "gateway/net/activation.h"
#include "gateway/net/address.h"
#include "gateway/observe/metrics.h"
#include "gateway/process/gateway.h"
#include "gateway/process/reap.h"
#include "gateway/process/workers.h"
#include "redis/embedded.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* libwebsockets keeps a table with a slot per possible descriptor: a limit of a thousand million would cost gigabytes. */
enum { FILES_MAX = 1 << 20 };

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max < FILES_MAX ? limit.rlim_max : FILES_MAX;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("the limit of open files stays low");
}

/* --- what is said at the start ---------------------------------------------------------------------------- */

/* The values of one option, separated by commas; secrets hidden. */
static void print_values(const struct options *o, const char *name, char *out, size_t size)
{
    const struct option *row = option_find(slice_str(name));
    FILE *to = fmemopen(out, size, "w");
    if (!to)
        abort(); /* out of memory */
    for (size_t i = 0; i < option_len(o, row); i++) {
        fputs(i > 0 ? "," : "", to);
        option_print(o, row, i, to);
    }
    fclose(to);
    out[size - 1] = '\0';
}

static void log_summary(const struct options *o)
{
    char listen[512] = "", redis[512] = "";
    print_values(o, "listen", listen, sizeof(listen));
    print_values(o, "redis", redis, sizeof(redis));
    log_info("syncgate starts version=%s listen=%s redis=%s prefix=%s workers=%d tokens=%zu names=%zu config=%s",
             options_version(), listen, o->redis ? redis : "embedded", o->prefix, (int)o->workers, o->tokens_len,
             o->names_len, o->config_file ? o->config_file : "none");
}

/* Strangers who may change things, or whatever nobody decided about, deserve a loud word; open reading by choice does not. */
static void warn_of_strangers(const struct options *o)
{
    const struct patterns *may = o->anonymous.verbs;
    if (!activation_listens_beyond_loopback(o))
        return;
    if (may[GRANT_WRITE].len > 0 || may[GRANT_SERVE].len > 0)
        log_warn("ANYONE who reaches this gateway may write or serve, and it listens beyond this machine: "
                 "see `anonymous` and `tokens` in docs/configuration.md");
    else if (o->anonymous_default)
        log_warn("ANYONE who reaches this gateway may subscribe to everything and call everything, and it listens "
                 "beyond this machine: set `anonymous` in a file, see docs/configuration.md");
}

/* Only of what looks like a slip: others call their variables so too, Kubernetes among them (SYNCGATE_PORT of a service). */
static void warn_of_variable(const char *name, const char *meant)
{
    if (meant)
        log_warn("an unknown variable of the environment is ignored name=%s meant=%s", name, meant);
}

static void warn_of_placeholders(const struct options *o)
{
    size_t n = options_placeholders(o);
    if (n > 0)
        log_warn("tokens written <...> are placeholders and let nobody in tokens=%zu", n);
}

/* --- running ---------------------------------------------------------------------------------------------- */

struct program {
    const struct options *options;
    struct options *reloaded; /* the same when they were read again; NULL: they are main's */
    const char *redis_url;
    struct embedded *embedded; /* NULL when a Redis was named */
};

static bool is_ours(const void *arg, pid_t pid)
{
    const struct program *p = arg;
    return workers_own(pid) || (p->embedded && embedded_pid(p->embedded) == pid);
}

static void on_second(void *arg)
{
    struct program *p = arg;
    if (p->embedded && embedded_reap(p->embedded))
        log_warn("the private redis-server was started again");
    reap_strangers(is_ours, p);
}

static void on_worker_second(void *arg)
{
    (void)arg;
    workers_beat();
}

/* The parent of workers speaks for them. */
static void on_ready(void *arg)
{
    (void)arg;
    notify_ready();
}

static void on_well(void *arg)
{
    (void)arg;
    notify_alive();
}

static void on_stopping(void *arg)
{
    (void)arg;
    notify_stopping();
}

static int run_worker(void *arg, int worker)
{
    const struct program *p = arg;
    notify_forget();
    log_init(p->options->log_level, worker);
    return gateway_run(p->options, p->redis_url, worker, on_worker_second, NULL);
}

/* In the parent of workers: for those that are started from now on. The workers say the same, and more. */
static void on_reload(void *arg)
{
    struct program *p = arg;
    notify_reloading();
    struct options *next = reload_options(p->options);
    notify_ready();
    if (!next)
        return;
    if (p->reloaded)
        options_retire(p->reloaded);
    p->options = p->reloaded = next;
    log_init(next->log_level, -1);
    log_set_format(next->log_format);
}

static int run(struct program *p)
{
    const struct workers_job job = {.run = run_worker,
                                    .on_second = on_second,
                                    .on_reload = on_reload,
                                    .on_ready = on_ready,
                                    .on_well = on_well,
                                    .on_stopping = on_stopping,
                                    .arg = p};
    if (p->options->workers > 1) {
        metrics_share((size_t)p->options->workers);
        return workers_run((size_t)p->options->workers, &job);
    }
    return gateway_run(p->options, p->redis_url, -1, on_second, p);
}

static int run_embedded(struct program *p)
{
    char why[256] = "", url[512];
    p->embedded = embedded_start(p->options->data_dir, why, sizeof(why));
    if (!p->embedded) {
        log_error("cannot start the private redis-server why=%s", why);
        return EXIT_FAILURE;
    }
    snprintf(url, sizeof(url), "unix:%s", embedded_socket(p->embedded));
    p->redis_url = url;
    log_info("the private redis-server is up socket=%s", embedded_socket(p->embedded));
    int code = run(p);
    embedded_stop(p->embedded);
    return code;
}

/* What was asked for instead of running: the exit code. */
static int do_instead(const struct options *o)
{
    signal(SIGPIPE, SIG_IGN);
    switch (o->action) {
    case ACTION_CHECK:
        return checkup_run(o, stdout, stderr);
    case ACTION_SELFTEST:
        return selftest_run(o, stdout);
    case ACTION_TOP:
        return terminal_run(o);
    case ACTION_HEALTHCHECK:
        return healthcheck_run(o);
    case ACTION_RUN:
    case ACTION_PRINT:
    case ACTION_HELP:
    case ACTION_VERSION:
        break;
    }
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct options options;
    enum options_result result = options_load(&options, argc, argv, environ, stdout, stderr);
    if (result != OPTIONS_RUN)
        return result == OPTIONS_EXIT_OK ? EXIT_SUCCESS : EXIT_FAILURE;
    if (options.action != ACTION_RUN) {
        int answer = do_instead(&options);
        options_deinit(&options);
        return answer;
    }

    log_set_format(options.log_format);
    log_init(options.log_level, -1);
    signal(SIGPIPE, SIG_IGN); /* a peer that is gone is an error of write(), not our end */
    raise_file_limit();
    int sockets[ACTIVATION_MAX], sockets_len = activation_take(sockets);
    if (sockets_len < 0) {
        options_deinit(&options);
        return EXIT_FAILURE;
    }
    options.sockets = sockets;
    options.sockets_len = (size_t)sockets_len;
    notify_begin();
    log_summary(&options);
    warn_of_strangers(&options);
    warn_of_placeholders(&options);
    options_strange_variables(&options, warn_of_variable);

    /* Before anything is started, and once, however many workers there are. */
    if (!address_files_readable(&options) || !address_usable(&options, options.workers > 1)) {
        options_deinit(&options);
        return EXIT_FAILURE;
    }
    struct program program = {.options = &options, .redis_url = options.redis};
    int code = options.redis ? run(&program) : run_embedded(&program);
    if (program.reloaded)
        options_retire(program.reloaded);
    options_deinit(&options);
    return code;
}
