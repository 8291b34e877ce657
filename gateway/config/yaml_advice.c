/* The mistakes that people make with YAML, recognized by what libyaml says and by the line that it says it of. */
#include "gateway/config/yaml_advice.h"

#include <string.h>

static struct slice line_at(struct slice text, size_t number)
{
    struct slice line;
    while (slice_cut(&text, '\n', &line)) {
        if (number-- == 0)
            return line;
    }
    return number == 0 ? text : SLICE_NONE;
}

static struct slice indentation(struct slice line)
{
    size_t n = 0;
    while (n < line.len && (line.ptr[n] == ' ' || line.ptr[n] == '\t'))
        n++;
    return slice_of(line.ptr, n);
}

static bool is_blank(struct slice line)
{
    size_t n = indentation(line).len;
    return n == line.len || line.ptr[n] == '#' || line.ptr[n] == '\r';
}

/* The nearest line from `number` upwards that is indented with a tab; false when the lines above have none. */
static bool find_tab(struct slice text, size_t number, size_t *found)
{
    enum { LINES_ABOVE = 2 };
    for (size_t i = 0; i <= LINES_ABOVE && i <= number; i++) {
        struct slice line = line_at(text, number - i);
        if (memchr(line.len ? line.ptr : "", '\t', indentation(line).len)) {
            *found = number - i;
            return true;
        }
    }
    return false;
}

static bool says(const char *what, const char *word)
{
    return what && strstr(what, word);
}

/* The word that begins with `mark`, as far as it goes in a list. */
static struct slice word_from(struct slice line, char mark)
{
    const char *at = line.len ? memchr(line.ptr, mark, line.len) : NULL;
    size_t len = 0;
    if (!at)
        return SLICE_NONE;
    while (at + len < line.ptr + line.len && !strchr(" ,]}\t\r", at[len]))
        len++;
    return slice_of(at, len);
}

/* `[*]`: to YAML a star begins the name of an anchor. */
static size_t advise_star(const struct yaml_fault *f, struct slice text, FILE *to)
{
    size_t number = f->line;
    struct slice word = word_from(line_at(text, number), '*');
    if (!word.len) {
        number = f->began;
        word = word_from(line_at(text, number), '*');
    }
    fprintf(to, "a star needs quotes in YAML: \"%.*s\"", word.len ? (int)word.len : 1, word.len ? word.ptr : "*");
    return number + 1;
}

static size_t advise_character(const struct yaml_fault *f, struct slice text, FILE *to)
{
    struct slice line = line_at(text, f->line);
    if (f->column < line.len && (unsigned char)line.ptr[f->column] > ' ')
        fprintf(to, "no value begins with `%c` in YAML: put it in quotes", line.ptr[f->column]);
    else
        fputs("no value begins with such a character in YAML: put it in quotes", to);
    return f->line + 1;
}

/* The next line above that says something. */
static size_t line_above(struct slice text, size_t number)
{
    while (number > 0 && is_blank(line_at(text, --number)))
        continue;
    return number;
}

/* A line that stands further right than the one above, or to the left of it between two levels. */
static size_t advise_indentation(const struct yaml_fault *f, struct slice text, FILE *to)
{
    size_t above = line_above(text, f->line);
    size_t has = indentation(line_at(text, f->line)).len, before = indentation(line_at(text, above)).len;
    if (f->line > 0 && has != before)
        fprintf(
            to,
            "this line is indented by %zu, line %zu above it by %zu: what belongs to the same level begins in the same "
            "column",
            has, above + 1, before);
    else
        fputs("this does not fit what stands above: what belongs to the same level begins in the same column, and a "
              "value "
              "that holds `: ` needs quotes",
              to);
    return f->line + 1;
}

static size_t advise_plainly(const struct yaml_fault *f, const char *sentence, FILE *to)
{
    fputs(sentence, to);
    return f->line + 1;
}

static size_t advise_unclosed(const struct yaml_fault *f, const char *what, FILE *to)
{
    fprintf(to, "%s that begins in line %zu is never closed", what, f->began + 1);
    return f->began + 1;
}

size_t yaml_advice(const struct yaml_fault *f, struct slice text, FILE *to)
{
    size_t tab;
    if (!f->problem)
        return advise_plainly(f, "this is not YAML", to);
    if (says(f->context, "alias") || says(f->problem, "undefined alias"))
        return advise_star(f, text, to);
    if (find_tab(text, f->line, &tab)) {
        fputs("this line is indented with a tab: YAML takes spaces only", to);
        return tab + 1;
    }
    if (says(f->problem, "cannot start any token"))
        return advise_character(f, text, to);
    if (says(f->context, "quoted scalar") && says(f->problem, "end of stream"))
        return advise_unclosed(f, "a quote", to);
    if (says(f->problem, "',' or ']'"))
        return advise_plainly(f, "a comma or the ] of a list is missing here, or in a line above", to);
    if (says(f->problem, "',' or '}'"))
        return advise_plainly(f, "a comma or the } is missing here, or in a line above", to);
    if (says(f->problem, "node content"))
        return advise_plainly(f, "a value is missing here, or the ] or } of what was opened above", to);
    if (says(f->problem, "could not find expected ':'"))
        return advise_plainly(f,
                              "a key is followed by a colon, a space and its value (`key: value`): that is not so here "
                              "or in the line above",
                              to);
    if (says(f->problem, "mapping values are not allowed") || says(f->problem, "expected key") ||
        says(f->problem, "block end") || says(f->problem, "'-' indicator") || says(f->problem, "sequence entries"))
        return advise_indentation(f, text, to);
    fputs(f->problem, to);
    return f->line + 1;
}
