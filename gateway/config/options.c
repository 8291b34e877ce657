/* Gathers the options from their four sources, weakest first, and answers what sessions ask of them. */
#include "gateway/config/options.h"
#include "gateway/access/identity.h"
#include "gateway/config/option.h"
#include "gateway/config/options_file.h"
#include "gateway/config/options_man.h"
#include "gateway/config/options_print.h"
#include "protocol/base/alloc.h"

#include <arpa/inet.h>
#include <assert.h>
#include <sched.h>
#include <time.h>

enum { WORKERS_MAX = 256 };

/* --- the command line ------------------------------------------------------------------------------------- */

struct given {
    const struct option *row;
    const char *text;
};

/* One run of options_load. */
struct load {
    struct options *o;
    char **envp;
    FILE *to, *err;
    struct given *flags; /* in the order of the command line */
    size_t flags_len;
    bool failed;
};

static void complain(struct load *l, const char *where, const char *what)
{
    fprintf(l->err, "%s: %s\n", where, what);
    l->failed = true;
}

static void complain_of(struct load *l, const char *where, const char *given, const char *what)
{
    fprintf(l->err, "%s: %s: %s\n", where, given, what);
    l->failed = true;
}

static void complain_flag(struct load *l, const char *name, const char *what)
{
    fprintf(l->err, "--%s: %s\n", name, what);
    l->failed = true;
}

/* Flags that print something and end the program at once. */
static const struct {
    const char *flag;
    void (*print)(FILE *to);
} printers[] = {
    {"--help", options_print_help},
    {"-h", options_print_help},
    {"--version", options_print_version},
    {"--print-options-markdown", options_print_markdown}, /* for docs/configuration.md */
    {"--print-man-flags", options_print_man_flags},       /* for deploy/man */
    {"--print-man-keys", options_print_man_keys},
    {"--print-man-actions", options_print_man_actions},
};

static bool try_printers(struct load *l, const char *arg)
{
    for (size_t i = 0; i < sizeof(printers) / sizeof(printers[0]); i++) {
        if (strcmp(arg, printers[i].flag) == 0) {
            printers[i].print(l->to);
            return true;
        }
    }
    return false;
}

/* What stands behind the = may be a secret, so it is not repeated. */
static void complain_unknown(struct load *l, struct slice name)
{
    const char *meant = option_nearest_flag(name);
    if (meant)
        fprintf(l->err, "--%.*s: unknown option, did you mean --%s?\n", (int)name.len, name.ptr, meant);
    else
        fprintf(l->err, "--%.*s: unknown option, see --help\n", (int)name.len, name.ptr);
    l->failed = true;
}

/* The name of --name or --name=value. */
static struct slice name_of(const char *arg)
{
    return slice_of(arg + 2, strcspn(arg + 2, "="));
}

/* Takes `--name=value`, `--name value` or `--bool` at argv[i]; returns the index of the next one. */
static int take_flag(struct load *l, int argc, char **argv, int i)
{
    struct slice name = name_of(argv[i]);
    const char *equals = name.ptr[name.len] == '=' ? name.ptr + name.len : NULL;
    const struct option *row = option_find_flag(name);
    if (!row) {
        complain_unknown(l, name);
        bool has_value = !equals && i + 1 < argc && argv[i + 1][0] != '-';
        return i + 1 + has_value;
    }
    const char *text = equals ? equals + 1 : "true";
    if (!equals && row->type != OPTION_BOOL) {
        if (++i == argc) {
            complain_flag(l, option_flag(row), "a value is missing");
            return i;
        }
        text = argv[i];
    }
    l->flags[l->flags_len++] = (struct given){row, text};
    return i + 1;
}

static bool takes_url(const struct option_action *a)
{
    return a->arg && strcmp(a->arg, "[URL]") == 0;
}

/* What stands behind the flag of an action: `=full`, `=URL`, or the URL as an argument of its own. */
static void take_action_value(struct load *l, const struct option_action *a, const char *value)
{
    if (takes_url(a))
        l->o->url = value;
    else if (a->arg && strcmp(value, "full") == 0)
        l->o->full = true;
    else
        complain_flag(l, a->name, a->arg ? "only =full may follow" : "no value may follow");
}

static void take_action(struct load *l, const struct option_action *a)
{
    if (l->o->action != ACTION_RUN && l->o->action != a->action)
        complain_flag(l, a->name, "one thing at a time: another flag wants something else than running, too");
    l->o->action = a->action;
}

/* Takes the flag of an action at argv[*i] and what belongs to it, and moves on; false when it is none. */
static bool try_action(struct load *l, int argc, char **argv, int *i)
{
    if (strncmp(argv[*i], "--", 2) != 0)
        return false;
    struct slice name = name_of(argv[*i]);
    for (size_t n = 0; n < option_actions_count; n++) {
        const struct option_action *a = &option_actions[n];
        if (!slice_eq(name, slice_str(a->name)))
            continue;
        take_action(l, a);
        (*i)++;
        if (name.ptr[name.len] == '=')
            take_action_value(l, a, name.ptr + name.len + 1);
        else if (takes_url(a) && *i < argc && argv[*i][0] != '-')
            l->o->url = argv[(*i)++];
        return true;
    }
    return false;
}

/* The URL of an action may also stand behind other flags: --top --once URL. */
static bool try_url(struct load *l, const char *arg)
{
    for (size_t n = 0; n < option_actions_count; n++) {
        if (option_actions[n].action != l->o->action || !takes_url(&option_actions[n]) || l->o->url || arg[0] == '-')
            continue;
        l->o->url = arg;
        return true;
    }
    return false;
}

/* `selftest` and `-selftest` are meant as flags. */
static void complain_argument(struct load *l, const char *arg)
{
    const char *meant = option_nearest_flag(slice_str(arg + strspn(arg, "-")));
    char text[128] = "unexpected argument, see --help";
    if (meant)
        snprintf(text, sizeof(text), "unexpected argument, did you mean --%s?", meant);
    complain(l, arg, text);
}

/* Returns true when something was printed that ends the program. */
static bool read_flags(struct load *l, int argc, char **argv)
{
    for (int i = 1; i < argc;) {
        if (try_printers(l, argv[i]))
            return true;
        if (try_action(l, argc, argv, &i))
            continue;
        if (strcmp(argv[i], "--once") == 0) {
            l->o->once = true;
            i++;
        } else if (strncmp(argv[i], "--", 2) == 0) {
            i = take_flag(l, argc, argv, i);
        } else if (try_url(l, argv[i])) {
            i++;
        } else {
            complain_argument(l, argv[i++]);
        }
    }
    if (l->o->once && l->o->action != ACTION_TOP)
        complain_flag(l, "once", "goes with --top only");
    return false;
}

/* --- the sources ------------------------------------------------------------------------------------------ */

/* The variable's text; NULL when it is not there or empty (compose files write `SYNCGATE_REDIS: ${REDIS:-}`). */
static const char *variable(const struct load *l, const struct option *row)
{
    const char *name = option_env(row);
    size_t len = strlen(name);
    for (char **p = l->envp; *p; p++) {
        if (strncmp(*p, name, len) == 0 && (*p)[len] == '=')
            return (*p)[len + 1] ? *p + len + 1 : NULL;
    }
    return NULL;
}

static void set_defaults(struct options *o)
{
    char why[OPTION_WHY_MAX];
    for (size_t i = 0; i < option_count; i++) {
        const struct option *row = &option_table[i];
        bool good = !row->initial || option_set(o, row, row->initial, why);
        assert(good); /* the table is ours */
        (void)good;
    }
    o->anonymous.name = "anonymous";
    o->anonymous_default = true;
    patterns_add(&o->anonymous.verbs[GRANT_SUBSCRIBE], "*");
    patterns_add(&o->anonymous.verbs[GRANT_CALL], "*");
}

/* The file is named by the last --config or by the environment. */
static void set_from_file(struct load *l)
{
    const struct option *row = option_find(SLICE_LIT("config"));
    const char *path = variable(l, row);
    for (size_t i = 0; i < l->flags_len; i++) {
        if (l->flags[i].row == row)
            path = l->flags[i].text;
    }
    if (path && !options_file_load(l->o, path, l->err))
        l->failed = true;
}

/* A list in the environment is separated by commas. */
static void set_from_variable(struct load *l, const struct option *row, const char *text)
{
    char why[OPTION_WHY_MAX];
    if (row->type != OPTION_LIST) {
        if (!option_set(l->o, row, text, why))
            complain(l, option_env(row), why);
        return;
    }
    struct slice rest = slice_str(text), part;
    option_clear(l->o, row);
    do {
        if (!slice_cut(&rest, ',', &part)) {
            part = rest;
            rest = SLICE_NONE;
        }
        char *value = sg_memdup(part.ptr, part.len);
        if (!option_set(l->o, row, value, why))
            complain(l, option_env(row), why);
        free(value);
    } while (rest.len > 0);
}

static void set_from_environment(struct load *l)
{
    for (size_t i = 0; i < option_count; i++) {
        const char *text = variable(l, &option_table[i]);
        if (text)
            set_from_variable(l, &option_table[i], text);
    }
}

/* The flags of a list together replace what weaker sources said. */
static void set_from_flags(struct load *l)
{
    char why[OPTION_WHY_MAX];
    for (size_t i = 0; i < l->flags_len; i++) {
        if (l->flags[i].row->type == OPTION_LIST)
            option_clear(l->o, l->flags[i].row);
    }
    for (size_t i = 0; i < l->flags_len; i++) {
        if (!option_set(l->o, l->flags[i].row, l->flags[i].text, why))
            complain_flag(l, option_flag(l->flags[i].row), why);
    }
}

/* --- what follows from several ---------------------------------------------------------------------------- */

static void allow_everything(struct grants *g)
{
    grants_deinit(g);
    for (size_t verb = 0; verb < GRANT_COUNT; verb++)
        patterns_add(&g->verbs[verb], "*");
}

/* What the page shows is known from the start. The file's own patterns count first. */
static void declare_demo(struct options *o)
{
    static const char glob[] = "demo:*";
    o->names = sg_realloc(o->names, (o->names_len + 2) * sizeof(*o->names));
    for (enum kind kind = KIND_VAR; kind <= KIND_LIST; kind++)
        if (!options_name(o, kind, slice_str(glob)))
            o->names[o->names_len++] = (struct name_pattern){.glob = sg_memdup(glob, sizeof(glob) - 1), .kind = kind};
}

static int64_t count_cores(void)
{
    cpu_set_t cores; /* those that we may use: a container has fewer than the machine */
    int n = sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 1;
    return n > WORKERS_MAX ? WORKERS_MAX : n;
}

static bool has_port_0(const char *address)
{
    size_t len = strlen(address);
    return strncmp(address, "unix:", 5) != 0 && len >= 2 && strcmp(address + len - 2, ":0") == 0;
}

static void check_listen(struct load *l)
{
    const struct options *o = l->o;
    if (o->listen_len == 0)
        complain(l, "listen", "at least one address is needed");
    for (size_t i = 0; i < o->listen_len; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(o->listen[i], o->listen[j]) == 0 && !has_port_0(o->listen[i]))
                complain(l, "listen", "an address stands there twice");
        }
        if (o->workers > 1 && has_port_0(o->listen[i]))
            complain(l, "listen", "port 0 (any free one) works with one worker only, they share the port");
    }
}

/* Whoever has no token is somebody else's business from here on, unless the file says what they may. */
static void read_jwt(struct load *l)
{
    struct options *o = l->o;
    const char *why;
    size_t file;
    if (o->jwt_algorithm == JWT_OFF) {
        if (o->jwt_key_files_len)
            complain(l, "jwt-key-file", "needs jwt-algorithm beside it");
        return;
    }
    if (!o->jwt_key_files_len) {
        complain(l, "jwt-algorithm", "needs jwt-key-file beside it");
        return;
    }
    o->jwt = jwt_keys_read(o->jwt_algorithm, o->jwt_key_files, o->jwt_key_files_len, &file, &why);
    if (!o->jwt)
        complain_of(l, "jwt-key-file", o->jwt_key_files[file], why);
    if (o->anonymous_default)
        grants_deinit(&o->anonymous);
    o->anonymous_default = false;
}

static void resolve(struct load *l)
{
    if (l->o->workers == 0)
        l->o->workers = count_cores();
    if (l->o->dev) {
        allow_everything(&l->o->anonymous);
        declare_demo(l->o);
        l->o->anonymous_default = false;
    }
    if (!l->failed)
        check_listen(l);
    if (!l->failed)
        read_jwt(l);
}

static enum options_result finish(struct load *l)
{
    if (l->failed)
        return OPTIONS_EXIT_FAILURE;
    if (l->o->action != ACTION_PRINT)
        return OPTIONS_RUN;
    options_print_config(l->o, l->to);
    return OPTIONS_EXIT_OK;
}

static void own_grants(struct options *o)
{
    o->anonymous.owner = o;
    for (size_t i = 0; i < o->tokens_len; i++)
        o->tokens[i].owner = o;
}

enum options_result options_load(struct options *out, int argc, char **argv, char **envp, FILE *to, FILE *err)
{
    *out = (struct options){.argc = argc, .argv = argv, .envp = envp, .holders = 1};
    struct load l = {.o = out, .envp = envp, .to = to, .err = err};
    l.flags = sg_calloc((size_t)argc + 1, sizeof(*l.flags));

    enum options_result result = OPTIONS_EXIT_OK;
    if (!read_flags(&l, argc, argv)) {
        set_defaults(out);
        set_from_file(&l);
        set_from_environment(&l);
        set_from_flags(&l);
        resolve(&l);
        own_grants(out);
        result = finish(&l);
    }
    free(l.flags);
    if (result != OPTIONS_RUN)
        options_deinit(out);
    return result;
}

void options_deinit(struct options *o)
{
    for (size_t i = 0; i < option_count; i++)
        option_clear(o, &option_table[i]);
    grants_deinit(&o->anonymous);
    grants_deinit(&o->users);
    jwt_keys_free(o->jwt);
    for (size_t i = 0; i < o->tokens_len; i++) {
        grants_deinit(&o->tokens[i]);
        free((char *)(uintptr_t)o->tokens[i].name);
        free((char *)(uintptr_t)o->tokens[i].token);
    }
    free(o->tokens);
    for (size_t i = 0; i < o->names_len; i++)
        free(o->names[i].glob);
    free(o->names);
    *o = (struct options){0};
}

/* --- again ------------------------------------------------------------------------------------------------- */

struct options *options_again(const struct options *now, FILE *err, void (*on_fixed)(const char *name))
{
    struct options *o = sg_calloc(1, sizeof(*o));
    if (options_load(o, now->argc, now->argv, now->envp, err, err) != OPTIONS_RUN) {
        free(o);
        return NULL;
    }
    o->sockets = now->sockets;
    o->sockets_len = now->sockets_len;
    for (size_t i = 0; i < option_count; i++) {
        const struct option *row = &option_table[i];
        if (!row->fixed || option_equal(o, now, row))
            continue;
        on_fixed(option_flag(row));
        option_copy(o, now, row);
    }
    return o;
}

static void drop_holder(struct options *o)
{
    assert(o->holders > 0);
    if (--o->holders > 0)
        return;
    options_deinit(o);
    free(o);
}

void options_retire(struct options *o)
{
    drop_holder(o);
}

const struct grants *options_hold(const struct grants *g)
{
    if (g->identity)
        identity_hold(g->identity);
    else if (g->owner)
        g->owner->holders++;
    return g;
}

void options_release(const struct grants *g)
{
    if (g->identity)
        identity_release(g->identity);
    else if (g->owner)
        drop_holder(g->owner);
}

static bool is_ours(struct slice variable)
{
    for (size_t i = 0; i < option_count; i++) {
        if (slice_eq(variable, slice_str(option_env(&option_table[i]))))
            return true;
    }
    /* The second one is redis/embedded.c's. */
    return slice_eq(variable, SLICE_LIT(OPTION_TOKEN_VARIABLE)) ||
           slice_eq(variable, SLICE_LIT("SYNCGATE_REDIS_SERVER"));
}

void options_strange_variables(const struct options *o, void (*on)(const char *name, const char *meant))
{
    static const char head[] = "SYNCGATE_";
    char name[64];
    for (char **p = o->envp; *p; p++) {
        struct slice variable = slice_of(*p, strcspn(*p, "="));
        if (strncmp(*p, head, strlen(head)) != 0 || variable.len >= sizeof(name) || is_ours(variable))
            continue;
        memcpy(name, variable.ptr, variable.len);
        name[variable.len] = '\0';
        on(name, option_nearest_env(variable));
    }
}

/* --- questions -------------------------------------------------------------------------------------------- */

/* Takes a time that depends on the presented token alone. */
static bool token_is(const char *kept, struct slice presented)
{
    size_t len = strlen(kept);
    size_t difference = len ^ presented.len;
    for (size_t i = 0; i < presented.len; i++)
        difference |= (unsigned char)(kept[i % len] ^ presented.ptr[i]);
    return difference == 0;
}

const struct grants *options_token(const struct options *o, struct slice token)
{
    const struct grants *found = NULL;
    if (token.len == 0)
        return &o->anonymous;
    if (options_file_is_placeholder(token))
        return NULL;
    for (size_t i = 0; i < o->tokens_len; i++) { /* to the end, so that the time does not tell which one it was */
        if (token_is(o->tokens[i].token, token))
            found = &o->tokens[i];
    }
    return found;
}

static const struct grants *present_signed(const struct options *o, struct slice token, const char **why)
{
    const struct jwt_rules rules = {.issuer = o->jwt_issuer,
                                    .audience = o->jwt_audience,
                                    .leeway_s = o->jwt_leeway_ms / 1000,
                                    .max_age_s = o->jwt_max_age_ms / 1000};
    struct jwt_claims claims;
    *why = jwt_verify(o->jwt, &rules, token, (int64_t)time(NULL), &claims);
    if (*why)
        return NULL;
    const struct identity *i = identity_new(&o->users, &claims, why);
    return i ? &i->grants : NULL;
}

const struct grants *options_present(const struct options *o, struct slice token, const char **why)
{
    const struct grants *known = options_token(o, token);
    *why = "unknown token";
    if (known)
        return options_hold(known);
    return o->jwt && jwt_is(token) ? present_signed(o, token, why) : NULL;
}

const struct grants *options_renew(const struct options *o, const struct grants *old)
{
    const char *why;
    if (!old->identity) {
        const struct grants *g = old->token ? options_token(o, slice_str(old->token)) : &o->anonymous;
        return g ? options_hold(g) : NULL;
    }
    if (!jwt_keys_hold(o->jwt, old->identity->claims.key))
        return NULL;
    const struct identity *i = identity_new(&o->users, &old->identity->claims, &why);
    return i ? &i->grants : NULL;
}

size_t options_placeholders(const struct options *o)
{
    size_t n = 0;
    for (size_t i = 0; i < o->tokens_len; i++)
        n += options_file_is_placeholder(slice_str(o->tokens[i].token));
    return n;
}

const struct name_pattern *options_name(const struct options *o, enum kind kind, struct slice name)
{
    for (size_t i = 0; i < o->names_len; i++) {
        if (o->names[i].kind == kind && glob_match(o->names[i].glob, name))
            return &o->names[i];
    }
    return NULL;
}

static bool is_loopback_v6(const struct in6_addr *a)
{
    return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

/* address is one of the forms that the option keeps. */
static bool is_beyond_loopback(const char *address)
{
    char host[INET6_ADDRSTRLEN] = "";
    struct in6_addr v6;
    bool brackets = address[0] == '[';
    size_t len = strcspn(address, brackets ? "]" : ":") - brackets;
    if (strncmp(address, "unix:", 5) == 0)
        return false;
    assert(len < sizeof(host));
    memcpy(host, address + brackets, len);
    if (brackets)
        return inet_pton(AF_INET6, host, &v6) != 1 || !is_loopback_v6(&v6);
    return strncmp(host, "127.", 4) != 0;
}

bool options_listens_beyond_loopback(const struct options *o)
{
    for (size_t i = 0; i < o->listen_len; i++) {
        if (is_beyond_loopback(o->listen[i]))
            return true;
    }
    return false;
}
