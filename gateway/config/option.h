/* One row per option: what it is called, what it may be, what it is by default, where it is kept. Everything that knows
 * options - flags, environment, file, help, print-out, document - is a loop over these rows. */
#ifndef SYNCGATE_GATEWAY_CONFIG_OPTION_H
#define SYNCGATE_GATEWAY_CONFIG_OPTION_H

#include "gateway/config/options.h"

enum option_type {
    OPTION_STRING,
    OPTION_LIST, /* of strings: the flag repeated, the variable with commas, a YAML list */
    OPTION_INT,
    OPTION_SIZE,     /* bytes: a number and B, KiB, MiB or GiB */
    OPTION_DURATION, /* milliseconds: a number and ms, s, m or h */
    OPTION_BOOL,
    OPTION_WORD /* one of `words`, kept as its index */
};

enum {
    OPTION_LIST_MAX = 32,        /* values of one list */
    OPTION_TEXT_MAX = 4096,      /* bytes of one value as written */
    OPTION_WHY_MAX = 256,        /* a sentence about a value */
    OPTION_PAGE_SIZE_MAX = 10000 /* as large as --max-page-size may be */
};

struct option {
    const char *name; /* the flag without its dashes: max-message */
    enum option_type type;
    const char *arg;          /* what the help calls its value; NULL for a bool */
    const char *initial;      /* the default, as one would write it; NULL: none */
    int64_t min, max;         /* int, size, duration */
    const char *const *words; /* NULL-terminated */
    /* string, list: checks the text and returns it as it is kept, allocated (or NULL in *kept: none). Returns what is wrong,
     * or NULL. Without it every text but an empty one is good. */
    const char *(*take)(const char *text, char **kept);
    size_t offset, size; /* the member of struct options */
    size_t len_offset;   /* list: the member that counts */
    const char
        *flag; /* list: the flag when it is another than `name`, as it gives one value: allowed-origin; else NULL */
    bool flag_only; /* not in a file: it names the file */
    bool fixed;     /* a reload cannot change it */
    bool secret;    /* print-outs hide the password of the URL */
    const char *help;
};

extern const struct option option_table[];
extern const size_t option_count;

/* Flags that make the program do something else than run. They are flags only. */
struct option_action {
    const char *name; /* the flag without its dashes */
    const char *arg;  /* what may follow, as the help calls it: "[URL]"; NULL: nothing */
    enum options_action action;
    const char *help;
};

extern const struct option_action option_actions[];
extern const size_t option_actions_count;

/* Variables of the environment that are no options. */
#define OPTION_TOKEN_VARIABLE "SYNCGATE_TOKEN"

/* option_find: the row of that name (slice, no dashes), NULL when there is none. option_find_flag: that of the flag. */
const struct option *option_find(struct slice name);
const struct option *option_find_flag(struct slice flag);
/* option_flag: the flag without its dashes. */
const char *option_flag(const struct option *row);

/* option_set parses text into its member; a list gets one more value. Returns false and a sentence in `why`. */
bool option_set(struct options *o, const struct option *row, const char *text, char why[OPTION_WHY_MAX]);
/* option_clear frees what the member holds: an empty list, no text. Numbers stay. */
void option_clear(struct options *o, const struct option *row);

/* option_equal: both hold the same; option_copy makes `to` hold what `from` holds. */
bool option_equal(const struct options *a, const struct options *b, const struct option *row);
void option_copy(struct options *to, const struct options *from, const struct option *row);

/* option_len: how many values there are (a list's length; 0 for a text that is not set). */
size_t option_len(const struct options *o, const struct option *row);
/* option_nearest: the flag (without dashes), key or variable that may have been meant, NULL when nothing is near. Valid until the
 * next call of the same function. */
const char *option_nearest_flag(struct slice flag);
const char *option_nearest_env(struct slice variable);
/* option_print writes value i as one would write it (`1MiB`, `30s`, `true`); secrets hidden. */
void option_print(const struct options *o, const struct option *row, size_t i, FILE *to);
/* option_print_range writes `1KiB to 64MiB` or `page, absolute`; nothing for types without. */
void option_print_range(const struct option *row, FILE *to);
/* option_env: SYNCGATE_MAX_MESSAGE; option_key: max_message. Valid until the next call of the same function. */
const char *option_env(const struct option *row);
const char *option_key(const struct option *row);

/* option_parse_bool takes true, yes, on, 1 and their opposites; false when the text is none of them. */
bool option_parse_bool(const char *text, bool *out);

#endif
