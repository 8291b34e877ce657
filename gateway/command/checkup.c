/* The parts of a start that can fail, one after the other. */
#include "gateway/command/checkup.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/command/certificate.h"
#include "gateway/command/redis_check.h"
#include "gateway/config/option.h"
#include "gateway/net/address.h"
#include "redis/dial.h"

/* --- addresses -------------------------------------------------------------------------------------------- */

static bool somebody_answers(const char *path)
{
    struct wire w;
    bool open = dial_open(&w, &(struct dial){.unix_path = path}, dial_now_ms() + 1000);
    wire_close(&w);
    return open;
}

/* Trying it out would take the place of a socket that is in use. */
static const char *socket_fault(const char *path, bool *in_use)
{
    struct stat there;
    char folder[256];
    if (somebody_answers(path)) {
        *in_use = true;
        return strerror(EADDRINUSE);
    }
    if (path[0] == '@')
        return NULL;
    if (lstat(path, &there) == 0 && !S_ISSOCK(there.st_mode))
        return "a file of another kind is there";
    snprintf(folder, sizeof(folder), "%s", path);
    return access(dirname(folder), W_OK | X_OK) == 0 ? NULL : strerror(errno);
}

static void check_address(const struct options *o, const char *text, struct findings *f)
{
    struct address a;
    bool in_use = false;
    const char *fault = address_parse(text, &a);
    if (!fault && a.unix_socket) {
        fault = socket_fault(a.host, &in_use);
    } else if (!fault) {
        fault = address_fault(&a, o->workers > 1);
        in_use = fault && strcmp(fault, strerror(EADDRINUSE)) == 0;
    }
    if (in_use)
        findings_add(f, FINDING_NOTE, "listen", "well if that is the gateway that runs with this configuration",
                     "%s is in use", text);
    else if (fault)
        findings_add(f, FINDING_BAD, "listen", address_cure(fault), "cannot listen on %s: %s", text, fault);
    else
        findings_add(f, FINDING_OK, "listen", NULL, "%s is free", text);
}

/* --- the rest --------------------------------------------------------------------------------------------- */

void checkup_files(const struct options *o, struct findings *f)
{
    if (o->tls_cert && o->tls_key)
        certificate_check(o->tls_cert, o->tls_key, f);
    else if (o->tls_cert || o->tls_key)
        findings_add(f, FINDING_BAD, "tls", NULL, "--tls-cert and --tls-key go together; %s is missing",
                     o->tls_cert ? "--tls-key" : "--tls-cert");
}

/* Whether a program of that name can be run, as execvp would find it. */
static bool is_in_path(const char *program)
{
    char file[1024];
    const char *path = getenv("PATH");
    struct slice rest = slice_str(path ? path : "/bin:/usr/bin"), folder;
    if (strchr(program, '/'))
        return access(program, X_OK) == 0;
    for (bool more = true; more;) {
        more = slice_cut(&rest, ':', &folder);
        if (!more)
            folder = rest;
        snprintf(file, sizeof(file), "%.*s/%s", (int)folder.len, folder.len ? folder.ptr : ".", program);
        if (access(file, X_OK) == 0)
            return true;
    }
    return false;
}

static void check_private(struct findings *f)
{
    const char *program = getenv("SYNCGATE_REDIS_SERVER");
    program = program ? program : "redis-server";
    if (is_in_path(program))
        findings_add(f, FINDING_OK, "redis", NULL, "a private one, by %s", program);
    else
        findings_add(f, FINDING_BAD, "redis", "install redis-server, or name a Redis that runs: --redis redis://HOST",
                     "no --redis, and %s is not found in PATH", program);
}

static void check_redis(const struct options *o, struct findings *f)
{
    struct redis_check c;
    if (redis_check_begin(&c, o, f))
        redis_check_all(&c);
    redis_check_end(&c);
}

/* What is not ours is no fault: containers and shells have others. */
static FILE *variables_to;

static void tell_variable(const char *name, const char *meant)
{
    if (meant)
        fprintf(variables_to, "%s: unknown variable, ignored; did you mean %s?\n", name, meant);
    else
        fprintf(variables_to, "%s: none of our variables, ignored\n", name);
}

int checkup_run(const struct options *o, FILE *to, FILE *err)
{
    struct findings f = {.to = o->full ? to : err, .faults_only = !o->full};
    variables_to = err;
    options_strange_variables(o, tell_variable);
    checkup_files(o, &f);
    for (size_t i = 0; i < o->listen_len; i++)
        check_address(o, o->listen[i], &f);
    if (!o->redis)
        check_private(&f);
    else if (o->full)
        check_redis(o, &f);
    if (f.bad == 0)
        fputs("the configuration is good\n", to);
    return f.bad == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
