/* Loops over the option table that write for people and for YAML readers. */
#include "gateway/config/options_print.h"
#include "gateway/config/option.h"
#include "protocol/base/alloc.h"

enum { HELP_COLUMN = 30, HELP_WIDTH = 100 };

/* --- help ------------------------------------------------------------------------------------------------- */

static void indent(FILE *to, int from)
{
    fprintf(to, "%*s", HELP_COLUMN > from ? HELP_COLUMN - from : 1, "");
}

/* Writes words from HELP_COLUMN on, broken before HELP_WIDTH. */
static void print_wrapped(FILE *to, const char *text)
{
    size_t column = HELP_COLUMN;
    while (*text) {
        size_t len = strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + len > HELP_WIDTH) {
            fputc('\n', to);
            indent(to, 0);
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            fputc(' ', to);
            column++;
        }
        fprintf(to, "%.*s", (int)len, text);
        column += len;
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}

/* The help sentence of a row with its range and default behind it. */
static void describe(const struct option *row, char *out, size_t size)
{
    FILE *to = fmemopen(out, size, "w");
    if (!to)
        abort(); /* out of memory */
    fputs(row->help, to);
    if (row->type != OPTION_STRING && row->type != OPTION_LIST && row->type != OPTION_BOOL) {
        fputs(" (", to);
        option_print_range(row, to);
        fputs(")", to);
    }
    if (row->initial && row->type != OPTION_BOOL)
        fprintf(to, " [%s]", row->initial);
    fclose(to);
}

static void print_row(FILE *to, const struct option *row)
{
    char text[512];
    int len = fprintf(to, "  --%s%s%s", option_flag(row), row->arg ? " " : "", row->arg ? row->arg : "");
    indent(to, len);
    describe(row, text, sizeof(text));
    print_wrapped(to, text);
}

static void print_action(FILE *to, const struct option_action *a)
{
    int len = fprintf(to, "  --%s%s%s", a->name, a->arg && a->arg[1] != '=' ? " " : "", a->arg ? a->arg : "");
    indent(to, len);
    print_wrapped(to, a->help);
}

void options_print_help(FILE *to)
{
    fputs("Usage: syncgate [--OPTION VALUE | --OPTION=VALUE]...\n"
          "A sync gateway: live variables, lists and calls over WebSocket, with their state in Redis.\n\n",
          to);
    for (size_t i = 0; i < option_count; i++)
        print_row(to, &option_table[i]);
    fputs("\nInstead of running:\n", to);
    for (size_t i = 0; i < option_actions_count; i++)
        print_action(to, &option_actions[i]);
    fputs("\n"
          "--max-message is also SYNCGATE_MAX_MESSAGE in the environment and max_message in the file, and so for\n"
          "every option. A flag goes before the environment, the environment before the file. Tokens, grants and\n"
          "declared names stand in the file: docs/configuration.md.\n",
          to);
}

const char *options_version(void)
{
    return SYNCGATE_VERSION;
}

void options_print_version(FILE *to)
{
    fprintf(to, "syncgate %s\n", options_version());
}

/* --- the document ----------------------------------------------------------------------------------------- */

/* `|` would end the cell. */
static void print_cell(FILE *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', to);
        fputc(*text, to);
    }
}

static void print_markdown_row(FILE *to, const struct option *row)
{
    fprintf(to, "| `--%s%s%s` | `%s` | ", option_flag(row), row->arg ? " " : "", row->arg ? row->arg : "",
            option_env(row));
    if (row->flag_only)
        fputs("- | ", to);
    else
        fprintf(to, "`%s` | ", option_key(row));
    if (row->initial)
        fprintf(to, "`%s` | ", row->initial);
    else
        fputs("none | ", to);
    option_print_range(row, to);
    fputs(" | ", to);
    print_cell(to, row->help);
    fputs(" |\n", to);
}

void options_print_markdown(FILE *to)
{
    fputs("| flag | environment | key | default | range | meaning |\n"
          "| --- | --- | --- | --- | --- | --- |\n",
          to);
    for (size_t i = 0; i < option_count; i++)
        print_markdown_row(to, &option_table[i]);
}

/* --- the effective configuration -------------------------------------------------------------------------- */

/* A double-quoted scalar; every text we keep is printable UTF-8. */
static void print_quoted(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', to);
        fputc(*text, to);
    }
    fputc('"', to);
}

static void print_value(FILE *to, const struct options *o, const struct option *row, size_t i)
{
    char text[OPTION_TEXT_MAX + 16] = "";
    FILE *memory = fmemopen(text, sizeof(text), "w");
    if (!memory)
        abort(); /* out of memory */
    option_print(o, row, i, memory);
    fclose(memory);
    if (row->type == OPTION_STRING || row->type == OPTION_LIST)
        print_quoted(to, text);
    else
        fputs(text, to);
}

static void print_option(FILE *to, const struct options *o, const struct option *row)
{
    size_t len = option_len(o, row);
    if (row->type == OPTION_LIST) {
        fprintf(to, "%s: [", option_key(row));
        for (size_t i = 0; i < len; i++) {
            fputs(i > 0 ? ", " : "", to);
            print_value(to, o, row, i);
        }
        fputs("]\n", to);
    } else if (len == 0) {
        fprintf(to, "%s: \"\"\n", option_key(row));
    } else {
        fprintf(to, "%s: ", option_key(row));
        print_value(to, o, row, 0);
        fputc('\n', to);
    }
}

static void print_patterns(FILE *to, const char *margin, const char *key, const struct patterns *p)
{
    fprintf(to, "%s%s: [", margin, key);
    for (size_t i = 0; i < p->len; i++) {
        fputs(i > 0 ? ", " : "", to);
        print_quoted(to, p->globs[i]);
    }
    fputs("]\n", to);
}

static void print_verbs(FILE *to, const char *margin, const struct grants *g)
{
    static const char *const keys[GRANT_COUNT] = {"subscribe", "call", "write", "serve"};
    for (size_t verb = 0; verb < GRANT_COUNT; verb++)
        print_patterns(to, margin, keys[verb], &g->verbs[verb]);
    if (g->deny.len)
        print_patterns(to, margin, "deny", &g->deny);
}

/* The number keeps redacted tokens different from one another, as tokens must be. */
static void print_token(FILE *to, const struct grants *g, size_t number)
{
    fprintf(to, "  - token: \"<redacted-%zu>\"\n    name: ", number);
    print_quoted(to, g->name);
    fprintf(to, "\n    admin: %s\n    metrics: %s\n", g->admin ? "true" : "false", g->metrics ? "true" : "false");
    print_verbs(to, "    ", g);
}

static void print_name(FILE *to, const struct name_pattern *n)
{
    fputs("  - pattern: ", to);
    print_quoted(to, n->glob);
    fprintf(to, "\n    type: %s\n", n->kind == KIND_VAR ? "var" : "list");
    if (n->max_page_size > 0)
        fprintf(to, "    max_page_size: %lld\n", (long long)n->max_page_size);
}

void options_print_config(const struct options *o, FILE *to)
{
    for (size_t i = 0; i < option_count; i++) {
        if (!option_table[i].flag_only)
            print_option(to, o, &option_table[i]);
    }
    fputs("anonymous:\n", to);
    print_verbs(to, "  ", &o->anonymous);
    if (o->jwt) {
        fputs("users:\n", to);
        print_verbs(to, "  ", &o->users);
    }
    fputs(o->tokens_len > 0 ? "tokens:\n" : "tokens: []\n", to);
    for (size_t i = 0; i < o->tokens_len; i++)
        print_token(to, &o->tokens[i], i + 1);
    fputs(o->names_len > 0 ? "names:\n" : "names: []\n", to);
    for (size_t i = 0; i < o->names_len; i++)
        print_name(to, &o->names[i]);
}
