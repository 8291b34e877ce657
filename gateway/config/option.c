/* The rows of the option table found by name, and the values of each type: from text, to text. */
#include "gateway/config/option.h"
#include "gateway/config/option_units.h"
#include "gateway/base/nearest.h"
#include "gateway/base/text.h"
#include "protocol/base/alloc.h"

#include <assert.h>
#include <inttypes.h>

enum { QUOTE_MAX = 80 }; /* bytes of a value that is quoted back */

const struct option *option_find(struct slice name)
{
    for (size_t i = 0; i < option_count; i++) {
        if (slice_eq(name, slice_str(option_table[i].name)))
            return &option_table[i];
    }
    return NULL;
}

const struct option *option_find_flag(struct slice flag)
{
    for (size_t i = 0; i < option_count; i++) {
        if (slice_eq(flag, slice_str(option_flag(&option_table[i]))))
            return &option_table[i];
    }
    return NULL;
}

const char *option_flag(const struct option *row)
{
    return row->flag ? row->flag : row->name;
}

const char *option_nearest_flag(struct slice flag)
{
    static struct nearest n;
    nearest_init(&n, flag);
    for (size_t i = 0; i < option_count; i++)
        nearest_offer(&n, slice_str(option_flag(&option_table[i])));
    for (size_t i = 0; i < option_actions_count; i++)
        nearest_offer(&n, slice_str(option_actions[i].name));
    return nearest_found(&n);
}

/* What all of them begin with would make all of them alike. */
const char *option_nearest_env(struct slice variable)
{
    static const char head[] = "SYNCGATE_";
    const size_t skip = sizeof(head) - 1;
    static char name[sizeof(head) + sizeof(((struct nearest *)NULL)->best)];
    struct nearest n;
    if (variable.len < skip)
        return NULL;
    nearest_init(&n, slice_of(variable.ptr + skip, variable.len - skip));
    for (size_t i = 0; i < option_count; i++)
        nearest_offer(&n, slice_str(option_env(&option_table[i]) + skip));
    nearest_offer(&n, slice_str(&OPTION_TOKEN_VARIABLE[skip]));
    if (!nearest_found(&n))
        return NULL;
    snprintf(name, sizeof(name), "%s%s", head, n.best);
    return name;
}

/* --- numbers ---------------------------------------------------------------------------------------------- */

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first: printing takes the first that divides. */
static const struct unit size_units[] = {{"GiB", GIB}, {"MiB", MIB}, {"KiB", KIB}, {"B", 1}};
static const struct unit time_units[] = {{"h", HOUR}, {"m", MINUTE}, {"s", SECOND}, {"ms", 1}};
enum { UNITS = 4 };

/* A number and its unit; a size without one counts bytes, a time without one is nothing but 0. */
static bool parse_units(const struct unit units[UNITS], bool needs_unit, const char *text, int64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    int64_t number;
    if (!slice_i64(slice_of(text, digits), &number))
        return false;
    const char *unit = text + digits;
    if (*unit == '\0') {
        *out = number;
        return !needs_unit || number == 0;
    }
    for (size_t i = 0; i < UNITS; i++) {
        if (strcmp(unit, units[i].name) == 0)
            return !__builtin_mul_overflow(number, units[i].factor, out);
    }
    return false;
}

static void print_units(const struct unit units[UNITS], int64_t number, FILE *to)
{
    size_t i = 0;
    while (i < UNITS - 1 && number % units[i].factor != 0)
        i++;
    fprintf(to, "%" PRId64 "%s", number / units[i].factor, number == 0 ? "" : units[i].name);
}

static void print_number(const struct option *row, int64_t number, FILE *to)
{
    if (row->type == OPTION_SIZE)
        print_units(size_units, number, to);
    else if (row->type == OPTION_DURATION)
        print_units(time_units, number, to);
    else
        fprintf(to, "%" PRId64, number);
}

static bool parse_number(const struct option *row, const char *text, int64_t *out)
{
    if (row->type == OPTION_SIZE)
        return parse_units(size_units, false, text, out);
    if (row->type == OPTION_DURATION)
        return parse_units(time_units, true, text, out);
    return slice_i64(slice_str(text), out);
}

bool option_parse_bool(const char *text, bool *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i % 2 == 1;
            return true;
        }
    }
    return false;
}

/* The index of text among the row's words, -1 when it is none of them. */
static int parse_word(const struct option *row, const char *text)
{
    for (int i = 0; row->words[i]; i++) {
        if (strcmp(text, row->words[i]) == 0)
            return i;
    }
    return -1;
}

/* --- members ---------------------------------------------------------------------------------------------- */

static void *member(const struct options *o, const struct option *row)
{
    return (char *)(uintptr_t)o + row->offset;
}

static size_t *list_len(const struct options *o, const struct option *row)
{
    assert(row->type == OPTION_LIST);
    return (size_t *)(void *)((char *)(uintptr_t)o + row->len_offset);
}

/* A word lives in an enum or, when there are two, in a bool. */
static void store_word(void *at, size_t size, int index)
{
    if (size == sizeof(bool)) {
        *(bool *)at = index != 0;
    } else {
        assert(size == sizeof(enum log_level));
        *(enum log_level *)at = (enum log_level)index;
    }
}

static int load_word(const void *at, size_t size)
{
    return size == sizeof(bool) ? *(const bool *)at : (int)*(const enum log_level *)at;
}

void option_clear(struct options *o, const struct option *row)
{
    if (row->type == OPTION_STRING) {
        char **text = member(o, row);
        free(*text);
        *text = NULL;
    } else if (row->type == OPTION_LIST) {
        char ***list = member(o, row);
        for (size_t i = 0; i < *list_len(o, row); i++)
            free((*list)[i]);
        free(*list);
        *list = NULL;
        *list_len(o, row) = 0;
    }
}

static void list_add(struct options *o, const struct option *row, char *text)
{
    char ***list = member(o, row);
    size_t *len = list_len(o, row);
    *list = sg_realloc(*list, (*len + 1) * sizeof(**list));
    (*list)[(*len)++] = text;
}

/* Text i of a string or list. */
static const char *text_at(const struct options *o, const struct option *row, size_t i)
{
    return row->type == OPTION_LIST ? (*(char ***)member(o, row))[i] : *(char **)member(o, row);
}

bool option_equal(const struct options *a, const struct options *b, const struct option *row)
{
    if (row->type != OPTION_STRING && row->type != OPTION_LIST)
        return memcmp(member(a, row), member(b, row), row->size) == 0;
    size_t len = option_len(a, row);
    if (len != option_len(b, row))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (strcmp(text_at(a, row, i), text_at(b, row, i)) != 0)
            return false;
    }
    return true;
}

void option_copy(struct options *to, const struct options *from, const struct option *row)
{
    if (row->type != OPTION_STRING && row->type != OPTION_LIST) {
        memcpy(member(to, row), member(from, row), row->size);
        return;
    }
    option_clear(to, row);
    for (size_t i = 0; i < option_len(from, row); i++) {
        if (row->type == OPTION_LIST)
            list_add(to, row, sg_text(text_at(from, row, i)));
        else
            *(char **)member(to, row) = sg_text(text_at(from, row, i));
    }
}

/* --- set -------------------------------------------------------------------------------------------------- */

static bool refuse(char why[OPTION_WHY_MAX], const char *sentence)
{
    snprintf(why, OPTION_WHY_MAX, "%s", sentence);
    return false;
}

/* "expected a size from 1KiB to 64MiB" and the like. */
static bool refuse_range(const struct option *row, char why[OPTION_WHY_MAX])
{
    static const char *const what[] = {[OPTION_INT] = "a whole number, ",
                                       [OPTION_SIZE] = "a size in B, KiB, MiB or GiB, ",
                                       [OPTION_DURATION] = "a time in ms, s, m or h, ",
                                       [OPTION_BOOL] = "true or false",
                                       [OPTION_WORD] = "one of "};
    FILE *to = fmemopen(why, OPTION_WHY_MAX, "w");
    assert(to);
    fprintf(to, "expected %s", what[row->type]);
    option_print_range(row, to);
    fclose(to);
    return false;
}

static bool set_text(struct options *o, const struct option *row, const char *text, char why[OPTION_WHY_MAX])
{
    char *kept = NULL;
    const char *wrong = NULL;
    if (strlen(text) > OPTION_TEXT_MAX)
        return refuse(why, "the value is too long");
    if (!text_is_printable(slice_str(text)))
        return refuse(why, "the value is not printable UTF-8");
    if (row->take)
        wrong = row->take(text, &kept);
    else if (text[0] == '\0')
        wrong = "the value is empty";
    else
        kept = sg_text(text);
    if (wrong)
        return refuse(why, wrong);
    if (row->type == OPTION_STRING) {
        option_clear(o, row);
        *(char **)member(o, row) = kept;
        return true;
    }
    if (*list_len(o, row) == OPTION_LIST_MAX) {
        free(kept);
        return refuse(why, "too many values");
    }
    list_add(o, row, kept);
    return true;
}

static bool set(struct options *o, const struct option *row, const char *text, char why[OPTION_WHY_MAX])
{
    int64_t number;
    bool truth;
    int word;
    switch (row->type) {
    case OPTION_STRING:
    case OPTION_LIST:
        return set_text(o, row, text, why);
    case OPTION_INT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        if (!parse_number(row, text, &number) || number < row->min || number > row->max)
            return refuse_range(row, why);
        *(int64_t *)member(o, row) = number;
        return true;
    case OPTION_BOOL:
        if (!option_parse_bool(text, &truth))
            return refuse_range(row, why);
        *(bool *)member(o, row) = truth;
        return true;
    case OPTION_WORD:
        word = parse_word(row, text);
        if (word < 0)
            return refuse_range(row, why);
        store_word(member(o, row), row->size, word);
        return true;
    }
    abort(); /* every type has its case */
}

/* Says what was given, behind the sentence; not when it may be a secret, or would spoil the line. */
static void quote_back(const struct option *row, const char *text, char why[OPTION_WHY_MAX])
{
    size_t len = strlen(why);
    bool plain = text[0] && strlen(text) <= QUOTE_MAX && text_is_printable(slice_str(text)) && !strchr(text, '@');
    if (plain && !row->secret)
        snprintf(why + len, OPTION_WHY_MAX - len, "; given is `%s`", text);
}

bool option_set(struct options *o, const struct option *row, const char *text, char why[OPTION_WHY_MAX])
{
    if (set(o, row, text, why))
        return true;
    quote_back(row, text, why);
    return false;
}

/* --- print ------------------------------------------------------------------------------------------------ */

size_t option_len(const struct options *o, const struct option *row)
{
    if (row->type == OPTION_LIST)
        return *list_len(o, row);
    if (row->type == OPTION_STRING)
        return *(char **)member(o, row) != NULL;
    return 1;
}

/* A URL with its password, if it has one, replaced. */
static void print_url(const char *url, FILE *to)
{
    const char *authority = strstr(url, "://");
    const char *at = authority ? strrchr(authority, '@') : NULL;
    const char *colon = at ? memchr(authority + 3, ':', (size_t)(at - authority - 3)) : NULL;
    if (colon)
        fprintf(to, "%.*s:redacted%s", (int)(colon - url), url, at);
    else
        fputs(url, to);
}

void option_print(const struct options *o, const struct option *row, size_t i, FILE *to)
{
    assert(i < option_len(o, row));
    const void *at = member(o, row);
    switch (row->type) {
    case OPTION_STRING:
    case OPTION_LIST: {
        const char *text = row->type == OPTION_LIST ? (*(char **const *)at)[i] : *(char *const *)at;
        if (row->secret)
            print_url(text, to);
        else
            fputs(text, to);
        break;
    }
    case OPTION_INT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        print_number(row, *(const int64_t *)at, to);
        break;
    case OPTION_BOOL:
        fputs(*(const bool *)at ? "true" : "false", to);
        break;
    case OPTION_WORD:
        fputs(row->words[load_word(at, row->size)], to);
        break;
    }
}

void option_print_range(const struct option *row, FILE *to)
{
    switch (row->type) {
    case OPTION_INT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        print_number(row, row->min, to);
        fputs(" to ", to);
        print_number(row, row->max, to);
        break;
    case OPTION_WORD:
        for (size_t i = 0; row->words[i]; i++)
            fprintf(to, "%s%s", i > 0 ? ", " : "", row->words[i]);
        break;
    case OPTION_STRING:
    case OPTION_LIST:
    case OPTION_BOOL:
        break;
    }
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

const char *option_key(const struct option *row)
{
    static char key[64];
    size_t len = strlen(row->name);
    assert(len < sizeof(key));
    for (size_t i = 0; i <= len; i++)
        key[i] = row->name[i] == '-' ? '_' : row->name[i];
    return key;
}

const char *option_env(const struct option *row)
{
    static char env[80] = "SYNCGATE_";
    const size_t head = sizeof("SYNCGATE_") - 1;
    const char *key = option_key(row);
    size_t len = strlen(key);
    assert(head + len < sizeof(env));
    for (size_t i = 0; i <= len; i++)
        env[head + i] = upper(key[i]);
    return env;
}
