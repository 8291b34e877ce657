/* The private redis-server: it keeps what was written, comes back when it dies, goes when we die, and says why it cannot run. */
#include "redis/embedded.h"

#include <sys/stat.h>

#include "tests/unit/redis/server.h"
#include "tests/unit/unit.h"

/* A folder for data folders; `path` is one that does not exist yet. */
struct place {
    char dir[64], path[512];
};

static void place_make(struct place *p)
{
    signal(SIGPIPE, SIG_IGN);
    snprintf(p->dir, sizeof p->dir, "/tmp/syncgate-test-XXXXXX");
    must(mkdtemp(p->dir) != NULL, "mkdtemp");
    snprintf(p->path, sizeof p->path, "%s/data", p->dir);
}

static struct embedded *start(const struct place *p)
{
    char why[256] = "";
    struct embedded *e = embedded_start(p->path, why, sizeof why);
    if (!e)
        fprintf(stderr, "%s\n", why);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e);
    CU_ASSERT_STRING_EQUAL(why, "");
    return e;
}

static void fail_with(const char *path, const char *expected)
{
    char why[256] = "";
    CU_ASSERT_PTR_NULL(embedded_start(path, why, sizeof why));
    CU_ASSERT_PTR_NOT_NULL(strstr(why, expected));
    if (!strstr(why, expected))
        fprintf(stderr, "why: %s\n", why);
}

/* say sends one command to the socket; the answer is in a buffer that the next call reuses. */
static const char *say(const char *socket_path, const char *command)
{
    static char answer[8192];
    struct server s = {.pid = 0};
    snprintf(s.socket, sizeof s.socket, "%s", socket_path);
    return server_say(&s, command, answer, sizeof answer) ? answer : "";
}

static pid_t pid_of(const char *socket_path)
{
    const char *at = strstr(say(socket_path, "INFO server\r\n"), "process_id:");
    return at ? (pid_t)strtol(at + 11, NULL, 10) : 0;
}

/* wait_for asks until the answer begins as expected. */
static bool wait_for(const char *socket_path, const char *command, const char *expected)
{
    int64_t until = server_now_ms() + PATIENCE_MS;
    while (strncmp(say(socket_path, command), expected, strlen(expected)) != 0) {
        if (server_now_ms() > until)
            return false;
        server_look_later();
    }
    return true;
}

static void test_keeps_what_was_written(void)
{
    struct place p;
    struct stat info;
    place_make(&p);
    struct embedded *e = start(&p);
    CU_ASSERT_EQUAL(stat(p.path, &info), 0);
    CU_ASSERT_EQUAL(info.st_mode & 0777, 0700);
    CU_ASSERT_STRING_EQUAL(say(embedded_socket(e), "SET here 1\r\n"), "+OK\r\n");
    CU_ASSERT_FALSE(embedded_reap(e));
    embedded_stop(e);
    e = start(&p);
    CU_ASSERT_TRUE(wait_for(embedded_socket(e), "GET here\r\n", "$1\r\n1"));
    embedded_stop(e);
    server_remove(p.dir);
}

static void test_listens_on_its_socket_alone(void)
{
    struct place p;
    struct stat info;
    place_make(&p);
    struct embedded *e = start(&p);
    CU_ASSERT_PTR_NOT_NULL(strstr(say(embedded_socket(e), "CONFIG GET port\r\n"), "$1\r\n0\r\n"));
    CU_ASSERT_EQUAL(stat(embedded_socket(e), &info), 0);
    CU_ASSERT_EQUAL(info.st_mode & 0777, 0700);
    pid_t pid = pid_of(embedded_socket(e));
    CU_ASSERT_TRUE(pid > 0);
    CU_ASSERT_EQUAL(getpgid(pid), pid); /* a Ctrl-C in our terminal does not reach it */
    embedded_stop(e);
    CU_ASSERT_EQUAL(kill(pid, 0), -1);
    server_remove(p.dir);
}

static void test_one_gateway_per_folder(void)
{
    struct place p;
    place_make(&p);
    struct embedded *e = start(&p);
    fail_with(p.path, "in use by another process");
    CU_ASSERT_STRING_EQUAL(say(embedded_socket(e), "PING\r\n"), "+PONG\r\n"); /* the first is unharmed */
    embedded_stop(e);
    e = start(&p);
    embedded_stop(e);
    server_remove(p.dir);
}

static void test_comes_back_when_it_dies(void)
{
    struct place p;
    place_make(&p);
    struct embedded *e = start(&p);
    /* Without this the killed server may have put off writing for a moment. */
    CU_ASSERT_STRING_EQUAL(say(embedded_socket(e), "CONFIG SET appendfsync always\r\n"), "+OK\r\n");
    CU_ASSERT_STRING_EQUAL(say(embedded_socket(e), "SET here 1\r\n"), "+OK\r\n");
    for (int round = 0; round < 2; round++) {
        pid_t pid = pid_of(embedded_socket(e));
        CU_ASSERT_TRUE_FATAL(pid > 0);
        kill(pid, SIGKILL);
        int64_t until = server_now_ms() + PATIENCE_MS;
        while (!embedded_reap(e) && server_now_ms() < until)
            server_look_later();
        CU_ASSERT_TRUE(wait_for(embedded_socket(e), "GET here\r\n", "$1\r\n1"));
        CU_ASSERT_NOT_EQUAL(pid_of(embedded_socket(e)), pid);
    }
    embedded_stop(e);
    server_remove(p.dir);
}

/* A gateway that is killed takes its redis-server along, and the next one may have the folder. */
static void test_goes_when_we_die(void)
{
    struct place p;
    char socket_path[128] = "";
    int fds[2];
    place_make(&p);
    must(pipe(fds) == 0, "pipe");
    pid_t gateway = fork();
    if (gateway == 0) {
        char why[256];
        struct embedded *e = embedded_start(p.path, why, sizeof why);
        must(e && write(fds[1], embedded_socket(e), strlen(embedded_socket(e))) > 0, why);
        pause();
    }
    must(read(fds[0], socket_path, sizeof socket_path - 1) > 0, "the gateway's socket");
    pid_t server = pid_of(socket_path);
    CU_ASSERT_TRUE(server > 0);
    CU_ASSERT_STRING_EQUAL(say(socket_path, "SET here 1\r\n"), "+OK\r\n");
    kill(gateway, SIGKILL);
    waitpid(gateway, NULL, 0);
    struct embedded *e = start(&p); /* waits for the lock, which the old server held until its end */
    CU_ASSERT_NOT_EQUAL(pid_of(embedded_socket(e)), server);
    CU_ASSERT_TRUE(wait_for(embedded_socket(e), "GET here\r\n", "$1\r\n1"));
    embedded_stop(e);
    close(fds[0]);
    close(fds[1]);
    server_remove(p.dir);
}

static void test_long_paths(void)
{
    struct place p;
    place_make(&p);
    size_t len = strlen(p.path);
    memset(p.path + len, 'x', 150);
    p.path[len + 150] = '\0';
    struct embedded *e = start(&p);
    CU_ASSERT_STRING_EQUAL(say(embedded_socket(e), "PING\r\n"), "+PONG\r\n");
    CU_ASSERT_TRUE(strlen(embedded_socket(e)) < 100);
    embedded_stop(e);
    server_remove(p.dir);
}

static void test_says_why_it_cannot_run(void)
{
    struct place p;
    char path[600];
    place_make(&p);
    snprintf(path, sizeof path, "%s/missing/data", p.dir);
    fail_with(path, "cannot create");
    snprintf(path, sizeof path, "%s/file", p.dir);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    fail_with(path, "cannot use");
    setenv("SYNCGATE_REDIS_SERVER", "/nonexistent/redis-server", 1);
    fail_with(p.path, "cannot run redis-server");
    setenv("SYNCGATE_REDIS_SERVER", "/bin/false", 1);
    fail_with(p.path, "ended at once");
    unsetenv("SYNCGATE_REDIS_SERVER");
    struct embedded *e = start(&p); /* a failure leaves the folder free */
    embedded_stop(e);
    embedded_stop(NULL);
    server_remove(p.dir);
}

UNIT_MAIN("redis/embedded_live", UNIT(test_keeps_what_was_written), UNIT(test_listens_on_its_socket_alone),
          UNIT(test_one_gateway_per_folder), UNIT(test_comes_back_when_it_dies), UNIT(test_goes_when_we_die),
          UNIT(test_long_paths), UNIT(test_says_why_it_cannot_run))
