/* A loop over the rows, with what roff would take for its own escaped. */
#include "gateway/config/options_man.h"
#include "gateway/config/option.h"

#include <stdlib.h>

/* Inside a line that begins with something else. A dash is escaped, so that it stays the one that shells know. */
static void print_roff(FILE *to, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '\\':
            fputs("\\e", to);
            break;
        case '-':
            fputs("\\-", to);
            break;
        case '\'':
            fputs("\\(aq", to);
            break;
        case '"':
            fputs("\\(dq", to);
            break;
        case '~':
            fputs("\\(ti", to);
            break;
        case '^':
            fputs("\\(ha", to);
            break;
        default:
            fputc(*text, to);
        }
    }
}

/* What the value may be, from the range or the words of the row; nothing for texts. */
static void print_range(FILE *to, const struct option *row)
{
    char range[512] = "";
    FILE *memory = fmemopen(range, sizeof(range), "w");
    if (!memory)
        abort(); /* out of memory */
    option_print_range(row, memory);
    fclose(memory);
    if (range[0] == '\0')
        return;
    fputs(row->type == OPTION_WORD ? "\nOne of: " : "\nRange: ", to);
    print_roff(to, range);
    fputc('.', to);
}

static void print_rest(FILE *to, const struct option *row)
{
    fputs("\\&", to); /* the help may begin with a dot */
    print_roff(to, row->help);
    fputc('.', to);
    print_range(to, row);
    if (row->initial) {
        fputs("\nDefault:\n.BR ", to);
        print_roff(to, row->initial);
        fputs(" .\n", to);
    } else {
        fputs("\nNot set by default.\n", to);
    }
}

void options_print_man_flags(FILE *to)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *row = &option_table[i];
        fputs(".TP\n.BR \\-\\-", to);
        print_roff(to, option_flag(row));
        if (row->arg)
            fprintf(to, " \" \" \\fI%s\\fR", row->arg);
        fputs(" \", \" ", to);
        print_roff(to, option_env(row));
        fputc('\n', to);
        print_rest(to, row);
    }
}

void options_print_man_keys(FILE *to)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *row = &option_table[i];
        if (row->flag_only)
            continue;
        fputs(".TP\n.B ", to);
        print_roff(to, option_key(row));
        fputs(row->type == OPTION_LIST ? " (list)\n" : "\n", to);
        print_rest(to, row);
    }
}

void options_print_man_actions(FILE *to)
{
    for (size_t i = 0; i < option_actions_count; i++) {
        const struct option_action *a = &option_actions[i];
        fputs(".TP\n.BR \\-\\-", to);
        print_roff(to, a->name);
        if (a->arg)
            fprintf(to, " \"%s\\fI%s\\fR\"", a->arg[1] == '=' ? "" : " ", a->arg);
        fputs("\n\\&", to);
        print_roff(to, a->help);
        fputs(".\n", to);
    }
}
