/* Options from all four sources, by tables of named cases: what is taken, what is refused with which words, who wins. */
#include "gateway/config/option.h"
#include "gateway/config/options.h"
#include "protocol/base/alloc.h"
#include "tests/unit/unit.h"

#include <sched.h>
#include <unistd.h>

enum { ARGS_MAX = 12 };

/* One run of options_load and what it printed. */
struct run {
    struct options o;
    enum options_result result;
    char *to, *err;
};

/* argv without the program's name and envp, each ended by NULL. */
static struct run run(const char *const args[], const char *const env[])
{
    struct run r = {0};
    char *argv[ARGS_MAX + 2] = {(char *)(uintptr_t) "syncgate"}, *envp[ARGS_MAX + 1] = {0};
    int argc = 1;
    for (size_t i = 0; args[i]; i++)
        argv[argc++] = (char *)(uintptr_t)args[i];
    for (size_t i = 0; env && env[i]; i++)
        envp[i] = (char *)(uintptr_t)env[i];
    size_t to_len, err_len;
    FILE *to = open_memstream(&r.to, &to_len), *err = open_memstream(&r.err, &err_len);
    r.result = options_load(&r.o, argc, argv, envp, to, err);
    fclose(to);
    fclose(err);
    return r;
}

static void end(struct run *r)
{
    if (r->result == OPTIONS_RUN)
        options_deinit(&r->o);
    free(r->to);
    free(r->err);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NOTHING   ((const char *const[]){NULL})

static void write_file(const char *text, size_t len)
{
    FILE *f = fopen("c.yaml", "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(text, 1, len, f), len);
    fclose(f);
}

static struct run run_file(const char *text)
{
    write_file(text, strlen(text));
    return run(ARGS("--config", "c.yaml"), NULL);
}

/* --- defaults --------------------------------------------------------------------------------------------- */

static const struct {
    const char *option, *printed;
} defaults[] = {{"listen", "127.0.0.1:8080"},
                {"data-dir", "./syncgate-data"},
                {"workers", "1"},
                {"prefix", "sg:"},
                {"log-level", "info"},
                {"log-format", "logfmt"},
                {"allowed-origin", "same-host"},
                {"max-message", "1MiB"},
                {"max-value", "0"},
                {"max-cache", "0"},
                {"max-depth", "64"},
                {"max-page-size", "100"},
                {"call-timeout", "30s"},
                {"calls-per-connection", "64"},
                {"ping-interval", "30s"},
                {"subscribe-timeout", "5s"},
                {"sweep-interval", "30s"},
                {"probe-interval", "1s"},
                {"queue-budget", "64KiB"},
                {"stall-timeout", "10s"},
                {"errors-per-minute", "100"},
                {"subscriptions-per-connection", "10000"},
                {"items-per-connection", "5000"},
                {"names-per-second", "1000"},
                {"messages-per-second", "100000"},
                {"bytes-per-second", "64MiB"},
                {"answer-bytes-per-second", "64MiB"},
                {"rate-patience", "1m"},
                {"max-connections", "0"},
                {"connections-per-address", "0"},
                {"handshakes-per-address", "0"},
                {"connections-per-user", "0"},
                {"calls-per-user", "0"},
                {"memory-budget", "0"},
                {"drain-delay", "0"},
                {"drain-seconds", "5"},
                {"linger", "10s"},
                {"index-mode", "page"},
                {"deflate", "off"},
                {"jwt-algorithm", "off"},
                {"jwt-leeway", "10s"},
                {"jwt-max-age", "0"},
                {"token-grace", "10s"},
                {"token-expiry", "close"},
                {"dev", "false"}};

static void expect_printed(const struct options *o, const char *name, const char *expected)
{
    char printed[256] = "";
    FILE *to = fmemopen(printed, sizeof(printed), "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(to);
    option_print(o, option_find_flag(slice_str(name)), 0, to);
    fclose(to);
    CU_ASSERT_STRING_EQUAL(printed, expected);
    if (strcmp(printed, expected) != 0)
        printf("\n    --%s is %s", name, printed);
}

static void test_defaults(void)
{
    struct run r = run(NOTHING, NULL);
    CU_ASSERT_EQUAL_FATAL(r.result, OPTIONS_RUN);
    CU_ASSERT_STRING_EQUAL(r.err, "");
    CU_ASSERT_EQUAL(r.o.listen_len, 1);
    CU_ASSERT_PTR_NULL(r.o.redis);
    CU_ASSERT_PTR_NULL(r.o.config_file);
    CU_ASSERT_PTR_NULL(r.o.tls_cert);
    CU_ASSERT_EQUAL(r.o.trusted_proxy_len, 0);
    CU_ASSERT_PTR_NULL(r.o.tls_key);
    CU_ASSERT_EQUAL(option_count, sizeof(defaults) / sizeof(defaults[0]) + 11);
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
        expect_printed(&r.o, defaults[i].option, defaults[i].printed);
    CU_ASSERT_EQUAL(r.o.max_message, 1 << 20);
    CU_ASSERT_EQUAL(r.o.call_timeout_ms, 30000);
    CU_ASSERT_EQUAL(r.o.log_level, LOG_LEVEL_INFO);
    CU_ASSERT_EQUAL(r.o.tokens_len, 0);
    CU_ASSERT_EQUAL(r.o.names_len, 0);
    end(&r);
}

static void test_default_grants(void)
{
    struct run r = run(NOTHING, NULL);
    CU_ASSERT_EQUAL_FATAL(r.result, OPTIONS_RUN);
    CU_ASSERT_TRUE(r.o.anonymous_default);
    CU_ASSERT_TRUE(grants_allow(&r.o.anonymous, GRANT_SUBSCRIBE, SLICE_LIT("x")));
    CU_ASSERT_TRUE(grants_allow(&r.o.anonymous, GRANT_CALL, SLICE_LIT("x")));
    CU_ASSERT_FALSE(grants_allow(&r.o.anonymous, GRANT_WRITE, SLICE_LIT("x")));
    CU_ASSERT_FALSE(grants_allow(&r.o.anonymous, GRANT_SERVE, SLICE_LIT("x")));
    end(&r);
    r = run(ARGS("--dev"), NULL);
    CU_ASSERT_FALSE(r.o.anonymous_default);
    end(&r);
    r = run_file("anonymous: {}");
    CU_ASSERT_FALSE(r.o.anonymous_default);
    end(&r);
}

static void test_dev_declares_what_the_page_shows(void)
{
    struct run r = run(ARGS("--dev"), NULL);
    CU_ASSERT_PTR_NOT_NULL(options_name(&r.o, KIND_VAR, SLICE_LIT("demo:clock")));
    CU_ASSERT_PTR_NOT_NULL(options_name(&r.o, KIND_LIST, SLICE_LIT("demo:todo")));
    CU_ASSERT_PTR_NULL(options_name(&r.o, KIND_VAR, SLICE_LIT("price")));
    end(&r);
    r = run_file("dev: true\nnames: [{pattern: 'demo:*', type: list, max_page_size: 5}]");
    CU_ASSERT_EQUAL(r.o.names_len, 2);
    CU_ASSERT_EQUAL(options_name(&r.o, KIND_LIST, SLICE_LIT("demo:todo"))->max_page_size, 5);
    end(&r);
    r = run(NOTHING, NULL);
    CU_ASSERT_PTR_NULL(options_name(&r.o, KIND_VAR, SLICE_LIT("demo:clock")));
    end(&r);
}

/* --- values ----------------------------------------------------------------------------------------------- */

static const struct {
    const char *what, *flag, *value, *printed; /* NULL: refused */
} values[] = {
    {"bytes", "max-message", "2000", "2000B"},
    {"bytes with unit", "max-message", "2048B", "2KiB"},
    {"mebibytes", "max-message", "64MiB", "64MiB"},
    {"gibibytes", "queue-budget", "1GiB", "1GiB"},
    {"below the range", "max-message", "1023", NULL},
    {"above the range", "max-message", "65MiB", NULL},
    {"decimal unit", "max-message", "1MB", NULL},
    {"lower case unit", "max-message", "1mib", NULL},
    {"space before the unit", "max-message", "1 MiB", NULL},
    {"negative size", "max-message", "-1MiB", NULL},
    {"size that overflows", "queue-budget", "9223372036854775807GiB", NULL},
    {"unit without number", "max-message", "MiB", NULL},
    {"fraction", "max-message", "1.5MiB", NULL},
    {"milliseconds", "call-timeout", "1500ms", "1500ms"},
    {"seconds", "call-timeout", "90s", "90s"},
    {"whole minutes", "call-timeout", "120s", "2m"},
    {"hours", "call-timeout", "24h", "24h"},
    {"zero needs no unit", "drain-delay", "0", "0"},
    {"zero with unit", "drain-delay", "0s", "0"},
    {"time without unit", "call-timeout", "30", NULL},
    {"time above the range", "call-timeout", "25h", NULL},
    {"number", "workers", "3", "3"},
    {"number with leading zero", "workers", "03", NULL},
    {"number with plus", "workers", "+3", NULL},
    {"no number", "workers", "", NULL},
    {"number above the range", "workers", "257", NULL},
    {"word", "log-level", "debug", "debug"},
    {"wrong word", "log-level", "INFO", NULL},
    {"another word kept as enum", "log-format", "json", "json"},
    {"wrong format", "log-format", "xml", NULL},
    {"network", "trusted-proxy", "10.0.0.0/8", "10.0.0.0/8"},
    {"network with stray bits", "trusted-proxy", "10.0.0.1/8", NULL},
    {"hosts below one", "allowed-origin", "https://*.example.com", "https://*.example.com"},
    {"an origin with a path", "allowed-origin", "https://example.com/", NULL},
    {"word kept as bool", "index-mode", "absolute", "absolute"},
    {"wrong word kept as bool", "index-mode", "pages", NULL},
    {"IPv4", "listen", "0.0.0.0:80", "0.0.0.0:80"},
    {"IPv6", "listen", "[::1]:80", "[::1]:80"},
    {"localhost", "listen", "localhost:80", "127.0.0.1:80"},
    {"all addresses", "listen", "*:80", "0.0.0.0:80"},
    {"any port", "listen", "127.0.0.1:0", "127.0.0.1:0"},
    {"unix socket", "listen", "unix:/run/s.sock", "unix:/run/s.sock"},
    {"unix without path", "listen", "unix:", NULL},
    {"no port", "listen", "127.0.0.1", NULL},
    {"empty port", "listen", "127.0.0.1:", NULL},
    {"port too large", "listen", "127.0.0.1:65536", NULL},
    {"port with sign", "listen", "127.0.0.1:+80", NULL},
    {"name instead of address", "listen", "example.org:80", NULL},
    {"IPv6 without brackets", "listen", "::1:80", NULL},
    {"brackets around IPv4", "listen", "[127.0.0.1]:80", NULL},
    {"no address", "listen", ":80", NULL},
    {"unix path too long", "listen",
     "unix:/"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     NULL},
    {"redis", "redis", "redis://r:6379/2", "redis://r:6379/2"},
    {"password hidden", "redis", "redis://u:secret@r", "redis://u:redacted@r"},
    {"password without user hidden", "redis", "redis://:secret@r", "redis://:redacted@r"},
    {"redis on a socket", "redis", "unix:/r.sock", "unix:/r.sock"},
    {"redis over http", "redis", "http://r", NULL},
    {"prefix", "prefix", "acme:", "acme:"},
    {"prefix with brace", "prefix", "a{b", NULL},
    {"prefix with @", "prefix", "a@", NULL},
    {"empty prefix", "prefix", "", NULL},
    {"empty folder", "data-dir", "", NULL},
    {"control character", "data-dir", "a\nb", NULL},
    {"not UTF-8", "data-dir", "a\xff", NULL},
};

static void test_values(void)
{
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char flag[256];
        snprintf(flag, sizeof(flag), "--%s=%s", values[i].flag, values[i].value);
        struct run r = run(ARGS(flag), NULL);
        bool good = (r.result == OPTIONS_RUN) == (values[i].printed != NULL);
        CU_ASSERT_TRUE(good);
        if (good && values[i].printed) {
            expect_printed(&r.o, values[i].flag, values[i].printed);
        } else if (good) {
            snprintf(flag, sizeof(flag), "--%s: ", values[i].flag);
            CU_ASSERT_EQUAL(strncmp(r.err, flag, strlen(flag)), 0);
        }
        if (!good)
            printf("\n    %s: --%s=%s, %s", values[i].what, values[i].flag, values[i].value, r.err);
        end(&r);
    }
}

static void test_bool(void)
{
    static const struct {
        const char *flag;
        bool dev;
    } flags[] = {{"--dev", true}, {"--dev=true", true}, {"--dev=no", false}, {"--dev=0", false}};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct run r = run(ARGS(flags[i].flag), NULL);
        CU_ASSERT_EQUAL_FATAL(r.result, OPTIONS_RUN);
        CU_ASSERT_EQUAL(r.o.dev, flags[i].dev);
        end(&r);
    }
}

/* Every default is a good value of its own row, and nothing but `dev` and the texts goes without a range. */
static void test_table(void)
{
    CU_ASSERT_TRUE(option_count > 0);
    for (size_t i = 0; i < option_count; i++) {
        const struct option *row = &option_table[i];
        CU_ASSERT_PTR_EQUAL(option_find(slice_str(row->name)), row);
        CU_ASSERT_TRUE(row->min <= row->max);
        CU_ASSERT_TRUE(strlen(row->help) > 10);
        CU_ASSERT_EQUAL(row->arg == NULL, row->type == OPTION_BOOL);
        CU_ASSERT_EQUAL(row->words != NULL, row->type == OPTION_WORD);
    }
    CU_ASSERT_STRING_EQUAL(option_env(option_find(SLICE_LIT("max-message"))), "SYNCGATE_MAX_MESSAGE");
    CU_ASSERT_STRING_EQUAL(option_key(option_find(SLICE_LIT("max-message"))), "max_message");
}

/* --- the command line ------------------------------------------------------------------------------------- */

static const struct {
    const char *what;
    const char *args[4];
    const char *err;
} refused[] = {
    {"unknown flag", {"--nonsense", "1"}, "--nonsense: unknown option, see --help\n"},
    {"underscore in a flag", {"--max_message=1MiB"}, "--max_message: unknown option, did you mean --max-message?\n"},
    {"slip in a flag", {"--lisen", "*:80"}, "--lisen: unknown option, did you mean --listen?\n"},
    {"slip in an action", {"--helthcheck"}, "--helthcheck: unknown option, did you mean --healthcheck?\n"},
    {"a secret behind a slip", {"--tls-kye=hunter22"}, "--tls-kye: unknown option, did you mean --tls-key?\n"},
    {"two things at a time",
     {"--selftest", "--top"},
     "--top: one thing at a time: another flag wants something else than running, too\n"},
    {"half a check", {"--check-config=half"}, "--check-config: only =full may follow\n"},
    {"value of an action", {"--selftest=x"}, "--selftest: no value may follow\n"},
    {"once alone", {"--once"}, "--once: goes with --top only\n"},
    {"a URL is not quoted back",
     {"--trusted-proxy", "http://a:hunter22@b"},
     "--trusted-proxy: expected a network as in 10.0.0.0/8 or 2001:db8::/32, one address, or unix\n"},
    {"argument", {"serve"}, "serve: unexpected argument, see --help\n"},
    {"argument meant as a flag", {"selftest"}, "selftest: unexpected argument, did you mean --selftest?\n"},
    {"one dash", {"-lisen"}, "-lisen: unexpected argument, did you mean --listen?\n"},
    {"value missing", {"--workers"}, "--workers: a value is missing\n"},
    {"range", {"--workers", "x"}, "--workers: expected a whole number, 0 to 256; given is `x`\n"},
    {"words", {"--log-level", "x"}, "--log-level: expected one of error, warn, info, debug; given is `x`\n"},
    {"bool with a strange value", {"--dev=x"}, "--dev: expected true or false; given is `x`\n"},
    {"every fault is told",
     {"--workers=x", "--drain-delay=y"},
     "--workers: expected a whole number, 0 to 256; given is `x`\n"
     "--drain-delay: expected a time in ms, s, m or h, 0 to 10m; given is `y`\n"},
    {"same address twice", {"--listen", "*:80", "--listen=0.0.0.0:80"}, "listen: an address stands there twice\n"},
    {"free port for several workers",
     {"--listen", "*:0", "--workers=2"},
     "listen: port 0 (any free one) works with one worker only, they share the port\n"},
    {"no such file", {"--config", "nowhere.yaml"}, "nowhere.yaml: No such file or directory\n"},
};

static void test_refused(void)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct run r = run(refused[i].args, NULL);
        CU_ASSERT_EQUAL(r.result, OPTIONS_EXIT_FAILURE);
        CU_ASSERT_STRING_EQUAL(r.err, refused[i].err);
        CU_ASSERT_STRING_EQUAL(r.to, "");
        if (strcmp(r.err, refused[i].err) != 0)
            printf("\n    %s: %s", refused[i].what, r.err);
        end(&r);
    }
}

static char strange[512];

static void on_strange(const char *name, const char *meant)
{
    size_t len = strlen(strange);
    snprintf(strange + len, sizeof(strange) - len, "%s=%s ", name, meant ? meant : "");
}

/* Slips are known from what other programs call theirs; what they have in common makes no two alike. */
static void test_strange_variables(void)
{
    static const char *const env[] = {"SYNCGATE_LISEN=a",
                                      "SYNCGATE_MAX-MESSAGE=b",
                                      "SYNCGATE_BIN=c",
                                      "SYNCGATE_TOKEN=d",
                                      "SYNCGATE_WORKERS=2",
                                      "SYNCGATE_PORT_80_TCP=e",
                                      "SYNC=f",
                                      "SYNCGATE_=g",
                                      NULL};
    struct run r = run(NOTHING, env);
    r.o.envp = (char **)(uintptr_t)env; /* that of run() is gone */
    strange[0] = '\0';
    options_strange_variables(&r.o, on_strange);
    CU_ASSERT_STRING_EQUAL(strange, "SYNCGATE_LISEN=SYNCGATE_LISTEN SYNCGATE_MAX-MESSAGE=SYNCGATE_MAX_MESSAGE "
                                    "SYNCGATE_BIN= SYNCGATE_PORT_80_TCP= SYNCGATE_= ");
    end(&r);
}

static void test_questions(void)
{
    struct run r = run(ARGS("--version"), NULL);
    CU_ASSERT_EQUAL(r.result, OPTIONS_EXIT_OK);
    CU_ASSERT_EQUAL(strncmp(r.to, "syncgate ", 9), 0);
    end(&r);
    r = run(ARGS("--workers=x", "--help"), NULL);
    CU_ASSERT_EQUAL(r.result, OPTIONS_EXIT_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.to, "--workers N"));
    end(&r);
    r = run(ARGS("--check-config"), NULL);
    CU_ASSERT_EQUAL(r.result, OPTIONS_RUN);
    CU_ASSERT_EQUAL(r.o.action, ACTION_CHECK);
    CU_ASSERT_FALSE(r.o.full);
    end(&r);
    r = run(ARGS("--check-config=full"), NULL);
    CU_ASSERT_TRUE(r.o.full);
    end(&r);
    r = run(ARGS("--top", "http://there", "--once"), NULL);
    CU_ASSERT_EQUAL(r.o.action, ACTION_TOP);
    CU_ASSERT_STRING_EQUAL(r.o.url, "http://there");
    CU_ASSERT_TRUE(r.o.once);
    end(&r);
    r = run(ARGS("--top", "--once", "http://there"), NULL);
    CU_ASSERT_EQUAL(r.result, OPTIONS_RUN);
    CU_ASSERT_STRING_EQUAL(r.o.url, "http://there");
    end(&r);
    r = run(ARGS("--check-config", "--workers=x"), NULL);
    CU_ASSERT_EQUAL(r.result, OPTIONS_EXIT_FAILURE);
    end(&r);
}

/* --- who wins --------------------------------------------------------------------------------------------- */

static const struct {
    const char *what, *file, *env, *flag;
    int64_t page_size;
} orders[] = {
    {"default", "", "A=b", "--drain-delay=0", 100},
    {"file over default", "max_page_size: 7", "A=b", "--drain-delay=0", 7},
    {"environment over file", "max_page_size: 7", "SYNCGATE_MAX_PAGE_SIZE=8", "--drain-delay=0", 8},
    {"environment over default", "", "SYNCGATE_MAX_PAGE_SIZE=8", "--drain-delay=0", 8},
    {"empty variable is none", "max_page_size: 7", "SYNCGATE_MAX_PAGE_SIZE=", "--drain-delay=0", 7},
    {"longer name is another", "max_page_size: 7", "SYNCGATE_MAX_PAGE_SIZE_2=8", "--drain-delay=0", 7},
    {"flag over environment", "max_page_size: 7", "SYNCGATE_MAX_PAGE_SIZE=8", "--max-page-size=9", 9},
    {"flag over file", "max_page_size: 7", "A=b", "--max-page-size=9", 9},
    {"key without value is none", "max_page_size:", "A=b", "--drain-delay=0", 100},
};

static void test_precedence(void)
{
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        write_file(orders[i].file, strlen(orders[i].file));
        struct run r = run(ARGS(orders[i].flag, "--config", "c.yaml"), ARGS(orders[i].env));
        CU_ASSERT_EQUAL(r.result, OPTIONS_RUN);
        CU_ASSERT_EQUAL(r.o.max_page_size, orders[i].page_size);
        if (r.o.max_page_size != orders[i].page_size)
            printf("\n    %s: %s", orders[i].what, r.err);
        end(&r);
    }
}

static void expect_listen(struct run *r, const char *first, const char *second)
{
    CU_ASSERT_EQUAL_FATAL(r->result, OPTIONS_RUN);
    CU_ASSERT_EQUAL_FATAL(r->o.listen_len, second ? 2 : 1);
    CU_ASSERT_STRING_EQUAL(r->o.listen[0], first);
    if (second)
        CU_ASSERT_STRING_EQUAL(r->o.listen[1], second);
    end(r);
}

/* A stronger source replaces a list, it does not add to it. */
static void test_precedence_of_lists(void)
{
    static const char file[] = "listen: ['127.0.0.1:1', 'unix:a']";
    write_file(file, strlen(file));
    struct run r = run(ARGS("--config", "c.yaml"), NULL);
    expect_listen(&r, "127.0.0.1:1", "unix:a");
    r = run(ARGS("--config", "c.yaml"), ARGS("SYNCGATE_LISTEN=127.0.0.1:2,[::1]:2"));
    expect_listen(&r, "127.0.0.1:2", "[::1]:2");
    r = run(ARGS("--config", "c.yaml", "--listen", "127.0.0.1:3"), ARGS("SYNCGATE_LISTEN=127.0.0.1:2,[::1]:2"));
    expect_listen(&r, "127.0.0.1:3", NULL);
    r = run(ARGS("--listen", "127.0.0.1:3", "--listen=127.0.0.1:4"), NULL);
    expect_listen(&r, "127.0.0.1:3", "127.0.0.1:4");
}

static void test_file_from_environment(void)
{
    write_file("workers: 4", 10);
    struct run r = run(NOTHING, ARGS("SYNCGATE_CONFIG=c.yaml"));
    CU_ASSERT_EQUAL(r.o.workers, 4);
    end(&r);
    r = run(ARGS("--config=nowhere.yaml"), ARGS("SYNCGATE_CONFIG=c.yaml"));
    CU_ASSERT_EQUAL(r.result, OPTIONS_EXIT_FAILURE);
    end(&r);
    r = run(NOTHING, ARGS("SYNCGATE_WORKERS=many"));
    CU_ASSERT_STRING_EQUAL(r.err, "SYNCGATE_WORKERS: expected a whole number, 0 to 256; given is `many`\n");
    end(&r);
    write_file("redis: redis://r", 16);
    r = run(ARGS("--config=c.yaml", "--redis="), NULL);
    CU_ASSERT_EQUAL(r.result, OPTIONS_RUN);
    CU_ASSERT_PTR_NULL(r.o.redis); /* said to be none */
    end(&r);
}

static void test_workers_per_core(void)
{
    cpu_set_t before, one;
    CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, sizeof(before), &before), 0);
    struct run r = run(ARGS("--workers=0"), NULL);
    CU_ASSERT_EQUAL(r.o.workers, CPU_COUNT(&before));
    end(&r);

    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) {
        if (CPU_ISSET(i, &before))
            CPU_SET(i, &one);
    }
    CU_ASSERT_EQUAL_FATAL(sched_setaffinity(0, sizeof(one), &one), 0);
    r = run(ARGS("--workers=0"), NULL);
    CU_ASSERT_EQUAL(r.o.workers, 1);
    end(&r);
    sched_setaffinity(0, sizeof(before), &before);
}

/* --- the file --------------------------------------------------------------------------------------------- */

#define TOKEN(secret, name) "{token: " secret ", name: " name "}"

static const struct {
    const char *what, *text, *err;
} files[] = {
    {"nothing", "", ""},
    {"a comment", "# nothing\n", ""},
    {"an empty mapping", "{}", ""},
    {"a list", "[dev]", "c.yaml:1: expected keys with values (`key: value`)\n"},
    {"a word", "dev", "c.yaml:1: expected keys with values (`key: value`)\n"},
    {"unknown key", "\n\nlisen: []\n", "c.yaml:3: unknown key `lisen`, did you mean `listen`?\n"},
    {"dashes", "workers: 1\nmax-message: 1MiB\n", "c.yaml:2: unknown key `max-message`, did you mean `max_message`?\n"},
    {"the file names itself", "config: c.yaml", "c.yaml:1: unknown key `config`\n"},
    {"key twice", "dev: true\nworkers: 1\ndev: false\n", "c.yaml:3: `dev` stands here a second time\n"},
    {"key that is no word", "? [a]\n: b\n", "c.yaml:1: a key must be a word\n"},
    {"list for a value", "workers: [1]", "c.yaml:1: expected a single value\n"},
    {"value for a list", "workers: 1\nlisten: 0.0.0.0:80\n",
     "c.yaml:2: expected a list, which has brackets: [\"0.0.0.0:80\"]\n"},
    {"a secret for a list", "workers: 1\nlisten: a:hunter22@b\n", "c.yaml:2: expected a list (`[one, two]`)\n"},
    {"value for a list of keys", "workers: 1\ntokens: abc\n", "c.yaml:2: expected a list (`[one, two]`)\n"},
    {"bad value", "# here\nworkers: many\n", "c.yaml:2: workers: expected a whole number, 0 to 256; given is `many`\n"},
    {"bad value in a list", "listen:\n  - 127.0.0.1:80\n  - 127.0.0.1\n",
     "c.yaml:3: listen: expected ADDR:PORT with a port from 0 to 65535, or unix:PATH; given is `127.0.0.1`\n"},
    {"empty list", "listen: []", "listen: at least one address is needed\n"},
    {"several faults", "dev: 2\nlinger: 3\n",
     "c.yaml:2: linger: expected a time in ms, s, m or h, 0 to 1h; given is `3`\n"
     "c.yaml:1: dev: expected true or false; given is `2`\n"},
    {"NUL in a value", "data_dir: \"a\\0b\"", "c.yaml:1: the value holds a NUL character\n"},
    {"control in a value", "data_dir: \"a\\nb\"", "c.yaml:1: data_dir: the value is not printable UTF-8\n"},
    {"not closed", "dev: true\nlisten: [\n",
     "c.yaml:3: a value is missing here, or the ] or } of what was opened above\n"},
    {"tab", "dev: true\n\tworkers: 1\n", "c.yaml:2: this line is indented with a tab: YAML takes spaces only\n"},
    {"not UTF-8", "dev: true\n# \n# \xff\n", "c.yaml:3: invalid leading UTF-8 octet: the file must be UTF-8 text\n"},
    {"two documents", "dev: true\n---\ndev: false\n", "c.yaml:3: a second document begins here; one is enough\n"},
    {"unknown alias", "listen: *x", "c.yaml:1: a star needs quotes in YAML: \"*x\"\n"},
    {"alias to itself", "listen: &x [*x]", "c.yaml:1: expected a single value\n"},
    {"alias", "anonymous: {subscribe: &x [a], call: *x}", ""},
    {"no grants at all", "anonymous:\n", "c.yaml:1: expected keys with values (`key: value`)\n"},
    {"unknown verb", "anonymous:\n  read: []\n", "c.yaml:2: unknown key `read`\n"},
    {"empty pattern", "anonymous:\n  call:\n    - a\n    - ''\n",
     "c.yaml:4: call: a pattern has 1 to 512 bytes, as a name has\n"},
    {"pattern with brace", "anonymous: {call: ['{a}']}",
     "c.yaml:1: call: a pattern holds no braces, no name does; given is `{a}`\n"},
    {"token without token", "tokens:\n  - name: a\n", "c.yaml:2: `token` is missing\n"},
    {"token without name", "tokens:\n  - token: abcdefgh\n", "c.yaml:2: `name` is missing\n"},
    {"empty token", "tokens:\n  - name: a\n    token: \"\"\n", "c.yaml:3: token: a token has 1 to 512 bytes\n"},
    {"token that ends with a space", "tokens: [" TOKEN("'abcdefgh '", "a") "]",
     "c.yaml:1: token: a token neither begins nor ends with a space, headers cannot carry it\n"},
    {"token with a line end", "tokens: [" TOKEN("\"abc\\ndef\"", "a") "]",
     "c.yaml:1: token: a token holds no control characters\n"},
    {"token of any letters", "tokens: [" TOKEN("'s3cret/+ &=%€'", "a") "]", ""},
    {"token of the anonymous", "tokens: [" TOKEN("abcdefgh", "anonymous") "]",
     "c.yaml:1: name: the name anonymous is taken\n"},
    {"same token", "tokens:\n- " TOKEN("abcdefgh", "a") "\n- " TOKEN("ijklmnop", "b") "\n- " TOKEN("abcdefgh", "c"),
     "c.yaml:4: token: the same as that of line 2\n"},
    {"admin that is neither", "tokens:\n  - token: abcdefgh\n    name: a\n    admin: maybe\n",
     "c.yaml:4: admin: expected true or false; given is `maybe`\n"},
    {"metrics that is neither", "tokens:\n  - token: abcdefgh\n    name: a\n    metrics: maybe\n",
     "c.yaml:4: metrics: expected true or false; given is `maybe`\n"},
    {"admin of the anonymous", "anonymous: {admin: true}\n", "c.yaml:1: unknown key `admin`\n"},
    {"unknown key in a token", "tokens:\n  - token: abcdefgh\n    name: a\n    wriet: []\n",
     "c.yaml:4: unknown key `wriet`, did you mean `write`?\n"},
    {"declared function", "names:\n  - {pattern: a, type: function}\n",
     "c.yaml:2: type: expected var or list; given is `function`\n"},
    {"name without type", "names:\n  - {pattern: a}\n", "c.yaml:2: `type` is missing\n"},
    {"pages of a variable", "names:\n  - pattern: a\n    type: var\n    max_page_size: 5\n",
     "c.yaml:4: max_page_size: only a list has pages\n"},
    {"page size", "names:\n  - pattern: a\n    type: list\n    max_page_size: 0\n",
     "c.yaml:4: max_page_size: expected a whole number, 1 to 10000\n"},
};

static void test_files(void)
{
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct run r = run_file(files[i].text);
        CU_ASSERT_EQUAL(r.result, files[i].err[0] ? OPTIONS_EXIT_FAILURE : OPTIONS_RUN);
        CU_ASSERT_STRING_EQUAL(r.err, files[i].err);
        if (strcmp(r.err, files[i].err) != 0)
            printf("\n    %s: %s", files[i].what, r.err);
        end(&r);
    }
}

static const char full[] =
    "listen: ['0.0.0.0:80', 'unix:/run/sg \"x\\y.sock']\n"
    "redis: redis://u:secret@redis:6379/3\n"
    "data_dir: /var/lib/größe\n"
    "workers: 4\n"
    "max_message: 2MiB\n"
    "call_timeout: 1500ms\n"
    "index_mode: absolute\n"
    "log_level: warn\n"
    "anonymous: {subscribe: ['public.*', '?']}\n"
    "tokens:\n"
    "  - {token: backend-secret, name: backend, admin: yes, metrics: on, write: ['*'], serve: ['job.*', 'x\\y']}\n"
    "  - {token: viewer-secret, name: \"vie\\\"wer\", subscribe: ['*']}\n"
    "names:\n"
    "  - {pattern: 'order:*', type: var}\n"
    "  - {pattern: 'feed:*', type: list, max_page_size: 50}\n"
    "  - {pattern: 'f*', type: list}\n";

static void test_sections(void)
{
    struct run r = run_file(full);
    CU_ASSERT_EQUAL_FATAL(r.result, OPTIONS_RUN);
    const struct options *o = &r.o;
    CU_ASSERT_TRUE(grants_allow(&o->anonymous, GRANT_SUBSCRIBE, SLICE_LIT("public.x")));
    CU_ASSERT_FALSE(grants_allow(&o->anonymous, GRANT_SUBSCRIBE, SLICE_LIT("private")));
    CU_ASSERT_FALSE(grants_allow(&o->anonymous, GRANT_CALL, SLICE_LIT("x"))); /* the section is the whole truth */
    CU_ASSERT_STRING_EQUAL(o->anonymous.name, "anonymous");

    const struct grants *backend = options_token(o, SLICE_LIT("backend-secret"));
    CU_ASSERT_TRUE(backend && backend->admin && backend->metrics);
    CU_ASSERT_FALSE(options_token(o, SLICE_LIT("viewer-secret"))->admin);
    CU_ASSERT_FALSE(options_token(o, SLICE_LIT("viewer-secret"))->metrics);
    CU_ASSERT_TRUE_FATAL(backend && strcmp(backend->name, "backend") == 0);
    CU_ASSERT_TRUE(grants_allow(backend, GRANT_SERVE, SLICE_LIT("job.x")));
    CU_ASSERT_FALSE(grants_allow(backend, GRANT_SUBSCRIBE, SLICE_LIT("job.x")));

    const struct name_pattern *feed = options_name(o, KIND_LIST, SLICE_LIT("feed:7"));
    CU_ASSERT_TRUE(feed && feed->max_page_size == 50);
    const struct name_pattern *f = options_name(o, KIND_LIST, SLICE_LIT("f"));
    CU_ASSERT_TRUE(f && f->max_page_size == 0);
    CU_ASSERT_PTR_NULL(options_name(o, KIND_VAR, SLICE_LIT("feed:7")));
    CU_ASSERT_PTR_NOT_NULL(options_name(o, KIND_VAR, SLICE_LIT("order:7")));
    CU_ASSERT_PTR_NULL(options_name(o, KIND_FUNCTION, SLICE_LIT("order:7")));
    end(&r);
}

static void test_tokens(void)
{
    static const struct {
        const char *what, *token, *name; /* NULL: nobody's */
    } tokens[] = {
        {"none", "", "anonymous"},
        {"first", "backend-secret", "backend"},
        {"second", "viewer-secret", "vie\"wer"},
        {"unknown", "other-secret", NULL},
        {"shorter", "backend-secre", NULL},
        {"longer", "backend-secrett", NULL},
        {"twice", "backend-secretbackend-secret", NULL},
        {"other case", "Backend-secret", NULL},
        {"placeholder", "<redacted-1>", NULL},
    };
    struct run r = run_file(full);
    CU_ASSERT_EQUAL_FATAL(r.result, OPTIONS_RUN);
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        const struct grants *g = options_token(&r.o, slice_str(tokens[i].token));
        bool good = tokens[i].name ? g && strcmp(g->name, tokens[i].name) == 0 : !g;
        if (!good)
            printf("\n    %s", tokens[i].what);
        CU_ASSERT_TRUE(good);
    }
    CU_ASSERT_PTR_NULL(options_token(&r.o, slice_of("backend-secret\0", 15)));
    end(&r);
}

/* What is printed loads to what is printed, keeps no secret, and its placeholders open nothing. */
static void test_print_config(void)
{
    write_file(full, strlen(full));
    struct run first = run(ARGS("--config", "c.yaml", "--print-config"), NULL);
    CU_ASSERT_EQUAL_FATAL(first.result, OPTIONS_EXIT_OK);
    CU_ASSERT_PTR_NULL(strstr(first.to, "secret"));
    CU_ASSERT_PTR_NOT_NULL(strstr(first.to, "redis: \"redis://u:redacted@redis:6379/3\"\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(first.to, "max_message: 2MiB\n"));

    write_file(first.to, strlen(first.to));
    struct run second = run(ARGS("--config", "c.yaml", "--print-config"), NULL);
    CU_ASSERT_EQUAL(second.result, OPTIONS_EXIT_OK);
    CU_ASSERT_STRING_EQUAL(second.err, "");
    CU_ASSERT_STRING_EQUAL(second.to, first.to);

    struct run third = run(ARGS("--config", "c.yaml"), NULL);
    CU_ASSERT_EQUAL_FATAL(third.result, OPTIONS_RUN);
    CU_ASSERT_EQUAL_FATAL(third.o.tokens_len, 2);
    CU_ASSERT_TRUE(third.o.tokens[0].admin);
    CU_ASSERT_TRUE(third.o.tokens[0].metrics);
    CU_ASSERT_FALSE(third.o.tokens[1].admin);
    CU_ASSERT_EQUAL(options_placeholders(&third.o), 2);
    CU_ASSERT_PTR_NULL(options_token(&third.o, slice_str(third.o.tokens[0].token)));
    CU_ASSERT_STRING_EQUAL(third.o.tokens[0].verbs[GRANT_SERVE].globs[1], "x\\y");
    end(&first);
    end(&second);
    end(&third);
}

static void test_dev(void)
{
    struct run r = run_file("dev: true\nanonymous: {}\n");
    CU_ASSERT_EQUAL_FATAL(r.result, OPTIONS_RUN);
    for (enum grant verb = 0; verb < GRANT_COUNT; verb++)
        CU_ASSERT_TRUE(grants_allow(&r.o.anonymous, verb, SLICE_LIT("anything")));
    end(&r);
}

static void test_large_file(void)
{
    size_t len = (1 << 20) + 1;
    char *text = sg_malloc(len);
    memset(text, '\n', len);
    write_file(text, len - 1);
    struct run r = run(ARGS("--config", "c.yaml"), NULL);
    CU_ASSERT_EQUAL(r.result, OPTIONS_RUN);
    end(&r);
    write_file(text, len);
    r = run(ARGS("--config", "c.yaml"), NULL);
    CU_ASSERT_EQUAL(r.result, OPTIONS_EXIT_FAILURE);
    CU_ASSERT_STRING_EQUAL(r.err, "c.yaml: the file is larger than 1MiB\n");
    end(&r);
    free(text);
}

/* Every prefix of a good file is good or refused, never worse. */
static void test_every_prefix(void)
{
    size_t good = 0;
    for (size_t len = 0; len < sizeof(full); len++) {
        write_file(full, len);
        struct run r = run(ARGS("--config", "c.yaml"), NULL);
        CU_ASSERT_EQUAL(r.result == OPTIONS_RUN, r.err[0] == '\0');
        good += r.result == OPTIONS_RUN;
        end(&r);
    }
    CU_ASSERT_TRUE(good > 0);
    CU_ASSERT_TRUE(good < sizeof(full));
}

static void test_too_many(void)
{
    char *text;
    size_t len;
    FILE *to = open_memstream(&text, &len);
    fputs("anonymous:\n  call:\n", to);
    for (int i = 0; i < 1001; i++)
        fputs("  - a\n", to);
    fclose(to);
    struct run r = run_file(text);
    CU_ASSERT_STRING_EQUAL(r.err, "c.yaml:3: 1001 entries, at most 1000 are possible\n");
    end(&r);
    free(text);
}

/* --- loopback --------------------------------------------------------------------------------------------- */

static void test_loopback(void)
{
    static const struct {
        const char *listen;
        bool beyond;
    } cases[] = {
        {"127.0.0.1:80", false},
        {"127.8.9.1:80", false},
        {"localhost:80", false},
        {"[::1]:80", false},
        {"unix:/run/x.sock", false},
        {"[::ffff:127.0.0.1]:80", false},
        {"0.0.0.0:80", true},
        {"*:80", true},
        {"[::]:80", true},
        {"192.168.0.1:80", true},
        {"[::ffff:10.0.0.1]:80", true},
        {"[fe80::1]:80", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct run r = run(ARGS("--listen", "unix:first", "--listen", cases[i].listen), NULL);
        CU_ASSERT_EQUAL_FATAL(r.result, OPTIONS_RUN);
        CU_ASSERT_EQUAL(options_listens_beyond_loopback(&r.o), cases[i].beyond);
        end(&r);
    }
}

/* The cases write their files into a folder of their own. */
static void test_in_folder(void)
{
    static char folder[] = "/tmp/syncgate-options-XXXXXX";
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    CU_ASSERT_EQUAL_FATAL(chdir(folder), 0);
}

static void test_clean_folder(void)
{
    char folder[64];
    unlink("c.yaml");
    CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(folder, sizeof(folder)));
    CU_ASSERT_EQUAL(rmdir(folder), 0);
}

UNIT_MAIN("gateway/config/options", UNIT(test_in_folder), UNIT(test_defaults), UNIT(test_default_grants),
          UNIT(test_dev_declares_what_the_page_shows), UNIT(test_values), UNIT(test_bool), UNIT(test_table),
          UNIT(test_refused), UNIT(test_strange_variables), UNIT(test_questions), UNIT(test_precedence),
          UNIT(test_precedence_of_lists), UNIT(test_file_from_environment), UNIT(test_workers_per_core),
          UNIT(test_files), UNIT(test_sections), UNIT(test_tokens), UNIT(test_print_config), UNIT(test_dev),
          UNIT(test_large_file), UNIT(test_every_prefix), UNIT(test_too_many), UNIT(test_loopback),
          UNIT(test_clean_folder))
