/* Replays the files of tests/vectors against the protocol code and a model of the gateway. The format is described in
 * tests/vectors/README.md. */
#include <CUnit/Basic.h>
#include <dirent.h>

#include "protocol/dialects.h"
#include "protocol/message.h"
#include "tests/unit/protocol/model.h"
#include "tests/unit/unit.h"

#define VECTORS SYNCGATE_SOURCE_DIR "/tests/vectors/"

enum { WORDS_MAX = 16, LINE_MAX_BYTES = 100000, BINDINGS = 32 };

static const char *file_name;
static int line_number, failures;

static void complain(const char *what, struct slice detail)
{
    printf("\n    %s:%d: %s: %.*s", file_name, line_number, what, (int)detail.len, detail.ptr);
    failures++;
}

/* ---- ids that the gateway chooses ---- */

static struct binding {
    struct slice word; /* "$word" with its quotes */
    struct slice id;
} bindings[BINDINGS];
static size_t nbindings;

/* find_word: the first "$word" from `from` on; SLICE_NONE when there is none. */
static struct slice find_word(struct slice text, size_t from)
{
    for (size_t i = from; i + 1 < text.len; i++) {
        if (text.ptr[i] != '"' || text.ptr[i + 1] != '$')
            continue;
        const char *end = memchr(text.ptr + i + 1, '"', text.len - i - 1);
        if (end)
            return slice_of(text.ptr + i, (size_t)(end + 1 - (text.ptr + i)));
    }
    return SLICE_NONE;
}

static const struct binding *find_binding(struct slice word)
{
    for (size_t i = 0; i < nbindings; i++)
        if (slice_eq(bindings[i].word, word))
            return &bindings[i];
    return NULL;
}

/* substitute puts ids in for the words that are bound. */
static struct slice substitute(struct slice text)
{
    struct buf out;
    size_t at = 0;
    buf_init(&out, LINE_MAX_BYTES);
    for (struct slice w = find_word(text, 0); w.len; w = find_word(text, at)) {
        const struct binding *b = find_binding(w);
        size_t before = (size_t)(w.ptr - text.ptr);
        buf_put(&out, text.ptr + at, before - at);
        buf_put_slice(&out, b ? b->id : w);
        at = before + w.len;
    }
    buf_put(&out, text.ptr + at, text.len - at);
    struct slice kept = model_keep(buf_slice(&out));
    buf_deinit(&out);
    return kept;
}

/* ---- comparing ---- */

/* without_message leaves out the message of an error. */
static struct slice without_message(struct slice text)
{
    struct json_value v[1];
    enum json_kind top;
    if (json_members(text, 64, &SLICE_LIT("message"), 1, v, &top) != JSON_OK || v->type == JSON_ABSENT)
        return text;
    const char *from = v->text.ptr - strlen(",\"message\":"), *behind = v->text.ptr + v->text.len;
    struct buf out;
    buf_init(&out, LINE_MAX_BYTES);
    buf_put(&out, text.ptr, (size_t)(from - text.ptr));
    buf_put(&out, behind, (size_t)(text.ptr + text.len - behind));
    struct slice kept = model_keep(buf_slice(&out));
    buf_deinit(&out);
    return kept;
}

static bool matches(struct slice expected, struct slice actual)
{
    static const char any_error[] = "{\"func\":\"error\",";
    if (expected.len > sizeof any_error && memcmp(expected.ptr, any_error, sizeof any_error - 1) == 0 &&
        slice_eq(without_message(expected), expected))
        actual = without_message(actual);
    struct slice word = find_word(expected, 0);
    if (!word.len)
        return slice_eq(expected, actual);

    size_t head = (size_t)(word.ptr - expected.ptr), tail = expected.len - head - word.len;
    if (actual.len <= head + tail || memcmp(actual.ptr, expected.ptr, head) != 0 ||
        memcmp(actual.ptr + actual.len - tail, word.ptr + word.len, tail) != 0)
        return false;
    struct slice id = slice_of(actual.ptr + head, actual.len - head - tail);
    if (!json_id_canonical(id, MESSAGE_CALL_ID_MAX))
        return false;
    CU_ASSERT_FATAL(nbindings < BINDINGS);
    bindings[nbindings++] = (struct binding){model_keep(word), model_keep(id)};
    return true;
}

static void expect(struct model_conn *c, struct slice expected)
{
    struct slice actual;
    if (!model_next(c, &actual)) {
        complain("nothing was sent", expected);
        return;
    }
    if (!json_valid(actual, 64))
        complain("not JSON", actual);
    if (!matches(substitute(expected), actual)) {
        complain("expected", expected);
        complain("     got", actual);
    }
}

/* nothing_left: every message that the line before caused has been listed. */
static void nothing_left(void)
{
    struct slice message;
    for (size_t i = 0; i < model.nconns; i++) {
        while (model_next(&model.conns[i], &message))
            complain("not listed", message);
        if (model.conns[i].close_code)
            complain("closed", model.conns[i].name);
    }
}

/* ---- lines ---- */

/* split cuts a line into words; '…' quotes. */
static size_t split(struct slice line, struct slice words[WORDS_MAX])
{
    size_t n = 0;
    while (line.len) {
        if (*line.ptr == ' ') {
            line = slice_of(line.ptr + 1, line.len - 1);
            continue;
        }
        char delim = ' ';
        if (*line.ptr == '\'') {
            delim = '\'';
            line = slice_of(line.ptr + 1, line.len - 1);
        }
        CU_ASSERT_FATAL(n < WORDS_MAX);
        if (!slice_cut(&line, delim, &words[n])) {
            words[n] = line;
            line = SLICE_NONE;
        }
        n++;
    }
    return n;
}

static bool word_is(struct slice word, const char *text)
{
    return slice_eq(word, slice_str(text));
}

static int64_t number(struct slice word)
{
    int64_t n = 0;
    if (!slice_i64(word, &n))
        complain("not a number", word);
    return n;
}

static void add_rule(struct model_rule rule)
{
    CU_ASSERT_FATAL(model.nrules < MODEL_RULES);
    rule.pattern = model_keep(rule.pattern);
    rule.conn = model_keep(rule.conn);
    model.rules[model.nrules++] = rule;
}

static bool grant(const struct slice *words, size_t n)
{
    static const char *const verbs[VERBS] = {"subscribe", "call", "write", "serve"};
    struct slice verb = words[0], conn = SLICE_NONE;
    bool all = !slice_cut(&verb, '.', &conn);
    for (int v = 0; v < VERBS; v++) {
        if (!word_is(verb, verbs[v]))
            continue;
        for (size_t i = 1; i < n || i == 1; i++)
            add_rule((struct model_rule){
                .all = all, .conn = conn, .verb = (enum verb)v, .pattern = i < n ? words[i] : SLICE_NONE});
        return true;
    }
    return false;
}

static void option(const struct slice *words, size_t n)
{
    if (n == 2 && word_is(words[0], "max-page-size"))
        model.max_page_size = number(words[1]);
    else if (n == 2 && word_is(words[0], "index-mode") && word_is(words[1], "absolute"))
        model.limits.index_absolute = true;
    else if (n >= 3 && word_is(words[0], "declare"))
        add_rule((struct model_rule){.declares = word_is(words[1], "var") ? KIND_VAR : KIND_LIST,
                                     .pattern = words[2],
                                     .max_page_size = n > 3 ? number(words[3]) : 0});
    else if (!grant(words, n))
        complain("unknown option", words[0]);
}

/* id_of: a JSON string or integer is that, any other text is a string. */
static struct slice id_of(struct slice arg)
{
    struct buf out;
    buf_init(&out, 2000);
    if (json_id_canonical(arg, SOCKSYNC_ITEM_ID_MAX))
        buf_put_slice(&out, arg);
    else
        json_quote(&out, arg);
    struct slice kept = model_keep(buf_slice(&out));
    buf_deinit(&out);
    return kept;
}

static int change_all(struct slice name, struct slice array)
{
    static const struct slice keys[] = {SLICE_LIT("id"), SLICE_LIT("value")};
    struct model_item items[MODEL_ITEMS];
    struct json_value v[2];
    struct buf scratch;
    size_t n = 0;
    buf_init(&scratch, 10000);
    (void)buf_reserve(&scratch, 10000);
    for (; json_next(&array, keys, 2, v) == JSON_OBJECT; n++) {
        CU_ASSERT_EQUAL_FATAL(json_id(&v[0], SOCKSYNC_ITEM_ID_MAX, &scratch, &items[n].id), JSON_ID_OK);
        items[n].value = v[1].text;
    }
    int refusal = list_set_all(name, items, n);
    buf_deinit(&scratch);
    return refusal;
}

/* from_end: -1 is behind the last. */
static int64_t from_end(struct slice word, struct slice name, int64_t last)
{
    int64_t n = number(word);
    return n == -1 ? list_of(name)->total + last : n;
}

static void change(const struct slice *words, size_t n)
{
    struct slice name = n > 2 ? words[2] : SLICE_NONE;
    int refusal = 0;
    if (n == 4 && word_is(words[1], "sg_var_set"))
        change_var(name, words[3]);
    else if (n == 3 && word_is(words[1], "sg_var_delete"))
        change_var(name, SLICE_NONE);
    else if (n == 6 && word_is(words[1], "sg_list_insert"))
        refusal = list_insert(name, from_end(words[3], name, 0), id_of(words[4]), words[5]);
    else if (n == 5 && word_is(words[1], "sg_list_set"))
        refusal = list_set(name, id_of(words[3]), words[4]);
    else if (n == 4 && word_is(words[1], "sg_list_delete"))
        refusal = list_delete(name, id_of(words[3]));
    else if (n == 5 && word_is(words[1], "sg_list_move"))
        refusal = list_move(name, id_of(words[3]), from_end(words[4], name, -1));
    else if (n == 4 && word_is(words[1], "sg_list_set_all"))
        refusal = change_all(name, words[3]);
    else if (n == 3 && word_is(words[1], "sg_list_drop"))
        refusal = list_drop(name);
    else
        complain("unknown change", n > 1 ? words[1] : SLICE_NONE);
    if (refusal)
        complain("refused", name);
}

static struct slice unhex(struct slice hex)
{
    static const char digits[] = "0123456789abcdef";
    struct buf out;
    buf_init(&out, LINE_MAX_BYTES);
    for (size_t i = 0; i + 1 < hex.len; i += 2) {
        const char *high = strchr(digits, hex.ptr[i]), *low = strchr(digits, hex.ptr[i + 1]);
        CU_ASSERT_FATAL(high && low);
        buf_put_char(&out, (char)(unsigned char)((high - digits) << 4 | (low - digits)));
    }
    struct slice kept = model_keep(buf_slice(&out));
    buf_deinit(&out);
    return kept;
}

static void send_line(struct model_conn *c, struct slice text)
{
    struct slice verb = SLICE_NONE, rest = text;
    if (!c->open)
        complain("closed already", c->name);
    else if (word_is(text, "close"))
        model_close(c);
    else if (word_is(text, "open"))
        return;
    else if (slice_cut(&rest, ' ', &verb) && (word_is(verb, "bytes") || word_is(verb, "binary")))
        model_receive(c, unhex(rest), word_is(verb, "binary"));
    else
        model_receive(c, substitute(text), false);
}

static void expect_line(struct model_conn *c, struct slice text)
{
    struct slice verb = SLICE_NONE, rest = text;
    if (!(slice_cut(&rest, ' ', &verb) && word_is(verb, "close"))) {
        expect(c, text);
        return;
    }
    if (c->close_code != number(rest))
        complain("expected", text);
    c->close_code = 0;
    model_close(c);
}

/* play_line: `name` is what stands before > or <. */
static void play_line(struct slice line)
{
    struct slice words[WORDS_MAX] = {SLICE_NONE};
    if (line.len == 0 || *line.ptr == '#')
        return;
    if (*line.ptr == '@' || *line.ptr == '!') {
        nothing_left();
        size_t n = split(slice_of(line.ptr + 1, line.len - 1), words);
        if (*line.ptr == '@')
            option(words, n);
        else
            change(words, n);
        return;
    }
    size_t mark = 0;
    while (mark < line.len && line.ptr[mark] != '>' && line.ptr[mark] != '<')
        mark++;
    CU_ASSERT_FATAL(mark < line.len);
    struct slice name = slice_of(line.ptr, mark);
    size_t skip = mark + 1 < line.len ? mark + 2 : mark + 1;
    struct slice text = slice_of(line.ptr + skip, line.len - skip);
    if (line.ptr[mark] == '>') {
        nothing_left();
        send_line(model_conn_of(name), text);
    } else {
        expect_line(model_conn_of(name), text);
    }
}

/* ---- files ---- */

static struct slice read_file(const char *name)
{
    char path[1024];
    CU_ASSERT_FATAL(snprintf(path, sizeof path, VECTORS "%s/%s", dialect->name, name) < (int)sizeof path);
    FILE *f = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    char *text = sg_malloc(LINE_MAX_BYTES);
    size_t len = fread(text, 1, LINE_MAX_BYTES, f);
    CU_ASSERT_FATAL(len > 0 && len < LINE_MAX_BYTES);
    fclose(f);
    return slice_of(text, len);
}

static void play_file(const char *name)
{
    struct slice text = read_file(name), rest = text, line;
    model_init();
    file_name = name;
    line_number = 0;
    nbindings = 0;
    while (slice_cut(&rest, '\n', &line)) {
        line_number++;
        play_line(line);
    }
    if (rest.len)
        complain("no newline at the end", rest);
    nothing_left();
    model_deinit();
    free((void *)text.ptr);
}

static int is_vector(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return len > 4 && strcmp(entry->d_name + len - 4, ".txt") == 0;
}

static void play_folder(const struct dialect *which)
{
    char path[1024];
    struct dirent **entries;
    dialect = which;
    CU_ASSERT_FATAL(snprintf(path, sizeof path, VECTORS "%s", which->name) < (int)sizeof path);
    int count = scandir(path, &entries, is_vector, alphasort);
    CU_ASSERT_FATAL(count > 0);
    for (int i = 0; i < count; i++) {
        failures = 0;
        play_file(entries[i]->d_name);
        CU_ASSERT_EQUAL(failures, 0);
        free(entries[i]);
    }
    free((void *)entries);
}

/* Every dialect has a folder of its name. */
static void test_transcripts(void)
{
    for (const struct dialect *const *d = dialects; *d; d++)
        play_folder(*d);
}

UNIT_MAIN("protocol/transcript", UNIT(test_transcripts))
