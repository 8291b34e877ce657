/* One request. The limit is an alarm: it covers name look-up, connecting and an answer that drips. */
#include "gateway/command/healthcheck.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/command/fetch.h"
#include "redis/dial.h"

static void on_alarm(int signal_number)
{
    static const char line[] = "healthcheck: no answer in time\n";
    (void)signal_number;
    ssize_t written = write(STDERR_FILENO, line, sizeof(line) - 1);
    (void)written;
    _exit(EXIT_FAILURE);
}

static int say(const char *text, const char *what)
{
    fprintf(stderr, "healthcheck: %s: %s\n", text, what);
    return EXIT_FAILURE;
}

int healthcheck_run(const struct options *o)
{
    struct fetch_place place;
    const char *text, *wrong = fetch_place(o, "/healthz", &place, &text);
    if (wrong)
        return say(text, wrong);
    signal(SIGALRM, on_alarm);
    signal(SIGPIPE, SIG_IGN); /* of a write inside TLS */
    alarm(HEALTHCHECK_LIMIT_S);
    char why[FETCH_WHY_MAX];
    int status = fetch_get(&place, NULL, DIAL_FOREVER, NULL, why);
    alarm(0);
    if (status == 200)
        return EXIT_SUCCESS;
    if (status > 0)
        snprintf(why, sizeof(why), "answered %d", status);
    return say(text, why);
}
