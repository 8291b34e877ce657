/* A loop of asking, writing and waiting for a key. The terminal is put back whatever ends it. */
#include "gateway/command/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "gateway/base/text.h"
#include "gateway/command/fetch.h"
#include "gateway/command/terminal_view.h"
#include "gateway/config/option.h"
#include "protocol/base/alloc.h"
#include "redis/dial.h"

enum {
    EVERY_MS = 1000,
    ANSWER_MS = 5000,
    ASKED_PER_WORKER = 8, /* of --once: until each has answered, as the kernel chooses */
    TEXT_COLUMNS = 500,
    PAGE_BYTES_MAX = 1 << 20
};

struct terminal {
    struct fetch_place place;
    const char *text, *token;
    struct terminal_view view;
    char why[FETCH_WHY_MAX]; /* why there is nothing to be seen; empty: there is */
};

/* --- asking ----------------------------------------------------------------------------------------------- */

static void explain(struct terminal *t, int status)
{
    if (status == 401)
        snprintf(t->why, sizeof(t->why),
                 "the token of an admin is needed: put it into %s (who may use /admin/: docs/running.md)",
                 OPTION_TOKEN_VARIABLE);
    else if (status == 403)
        snprintf(t->why, sizeof(t->why), "the token in %s is no admin's: it needs `admin: true`",
                 OPTION_TOKEN_VARIABLE);
    else if (status == 404)
        snprintf(t->why, sizeof(t->why), "nothing is there: is that a syncgate?");
    else if (status > 0)
        snprintf(t->why, sizeof(t->why), "answered %d", status);
}

/* Asks for what lies there and has it taken in. False: t->why says what is wrong. */
static bool ask(struct terminal *t, const char *target, bool (*take)(struct terminal_view *, struct slice), int *status)
{
    struct buf body;
    buf_init(&body, FETCH_BODY_MAX);
    snprintf(t->place.target, sizeof(t->place.target), "%s", target);
    t->why[0] = '\0';
    *status = fetch_get(&t->place, t->token, dial_now_ms() + ANSWER_MS, &body, t->why);
    bool good = *status == 200 && take(&t->view, buf_slice(&body));
    if (*status != 200)
        explain(t, *status);
    else if (!good)
        snprintf(t->why, sizeof(t->why), "%s is not what a gateway of this version says", target);
    buf_deinit(&body);
    return good;
}

/* The fleet is Redis', which may be away, and balancers keep /metrics to themselves: the gateway is looked at all the same. */
static bool look(struct terminal *t)
{
    int status;
    if (!ask(t, "/metrics", terminal_take_metrics, &status))
        t->view.has_links = false;
    if (!ask(t, "/admin/stats", terminal_take_stats, &status) ||
        !ask(t, "/admin/connections?order=trouble&limit=50", terminal_take_connections, &status))
        return false;
    if (ask(t, "/admin/fleet", terminal_take_fleet, &status))
        return true;
    bool redis_away = status == 503;
    if (redis_away) {
        t->view.fleet_len = 0;
        snprintf(t->view.fleet_why, sizeof(t->view.fleet_why), "not known: Redis is away");
        t->why[0] = '\0';
    }
    return redis_away;
}

/* Each request reaches a worker that the kernel chooses. */
static bool look_at_all(struct terminal *t)
{
    int status;
    if (!look(t))
        return false;
    for (int64_t left = t->view.workers * ASKED_PER_WORKER; left > 0 && (int64_t)t->view.seen_len < t->view.workers;
         left--)
        if (!ask(t, "/admin/connections?order=trouble&limit=50", terminal_take_connections, &status))
            return false;
    return true;
}

static int print_once(struct terminal *t)
{
    struct buf out;
    if (!look_at_all(t)) {
        fprintf(stderr, "top: %s: %s\n", t->text, t->why);
        return EXIT_FAILURE;
    }
    buf_init(&out, PAGE_BYTES_MAX);
    terminal_write(&t->view, TEXT_COLUMNS, 0, false, &out);
    fwrite(out.ptr, 1, out.len, stdout);
    buf_deinit(&out);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- the terminal ----------------------------------------------------------------------------------------- */

static volatile sig_atomic_t told_to_end, resized;

static void on_end(int number)
{
    (void)number;
    told_to_end = 1;
}

static void on_resize(int number)
{
    (void)number;
    resized = 1;
}

/* Without SA_RESTART, so that waiting ends. */
static void listen_to_signals(void)
{
    struct sigaction end = {.sa_handler = on_end}, resize = {.sa_handler = on_resize};
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGHUP, &end, NULL);
    sigaction(SIGWINCH, &resize, NULL);
}

static void put(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, text, len);
        if (n < 0 && errno != EINTR) {
            told_to_end = 1;
            return;
        }
        text += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

#define PUT_LIT(text) put((text), sizeof(text) - 1)

static struct winsize size_of_terminal(void)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    struct winsize asked;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &asked) == 0 && asked.ws_row > 0 && asked.ws_col > 0)
        size = asked;
    return size;
}

static void show(struct terminal *t, bool good)
{
    struct winsize size = size_of_terminal();
    struct buf out;
    char foot[FETCH_WHY_MAX + 300];
    buf_init(&out, PAGE_BYTES_MAX);
    buf_put_lit(&out, "\x1b[H");
    if (t->view.id[0])
        terminal_write(&t->view, size.ws_col, size.ws_row > 2 ? (size_t)size.ws_row - 2 : 1, true, &out);
    buf_put_lit(&out, "\x1b[J");
    int len = snprintf(foot, sizeof(foot), "%s: %s", t->text, good ? "q ends" : t->why);
    if (len > size.ws_col)
        len = size.ws_col;
    char place[32];
    buf_put(&out, place,
            (size_t)snprintf(place, sizeof(place), "\x1b[%d;1H%s", size.ws_row, good ? "\x1b[2m" : "\x1b[7m"));
    buf_put(&out, foot, (size_t)len);
    buf_put_lit(&out, "\x1b[0m");
    put(out.ptr, out.len);
    buf_deinit(&out);
}

/* Waits until it is time to look again. False: q, or the end of the input. */
static bool wait_for_key(int64_t until_ms)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    while (!told_to_end && !resized) {
        int64_t left = until_ms - dial_now_ms();
        if (left <= 0)
            break;
        char key = 0;
        if (poll(&in, 1, (int)left) <= 0)
            continue;
        if (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q' || key == 4)
            return false;
    }
    resized = 0;
    return !told_to_end;
}

static int watch(struct terminal *t)
{
    struct termios before, keys;
    bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    listen_to_signals();
    if (terminal) {
        keys = before;
        keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &keys);
    }
    PUT_LIT("\x1b[?1049h\x1b[?25l\x1b[2J");
    int64_t next_ms;
    do {
        next_ms = dial_now_ms() + EVERY_MS;
        show(t, look(t));
    } while (!told_to_end && wait_for_key(next_ms));
    PUT_LIT("\x1b[?25h\x1b[?1049l");
    if (terminal)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    return EXIT_SUCCESS;
}

/* A token goes into a header as it is. */
static const char *token_of_environment(void)
{
    const char *token = getenv(OPTION_TOKEN_VARIABLE);
    return token && token[0] ? token : NULL;
}

int terminal_run(const struct options *o)
{
    struct terminal *t = sg_calloc(1, sizeof(*t));
    const char *wrong = fetch_place(o, "/admin/stats", &t->place, &t->text);
    int code = EXIT_FAILURE;
    t->token = token_of_environment();
    if (!wrong && t->token && !text_is_printable(slice_str(t->token)))
        wrong = "the token in " OPTION_TOKEN_VARIABLE " holds control characters";
    if (wrong)
        fprintf(stderr, "top: %s: %s\n", t->text, wrong);
    else if (o->once || !isatty(STDOUT_FILENO))
        code = print_once(t);
    else
        code = watch(t);
    free(t);
    return code;
}
