/* Reads the file in three steps: libyaml tells where everything stands, the schema says what may stand there (so that every
 * complaint has its line), libcyaml loads it; then values go through the same parsers as flags do. */
#include "gateway/config/options_file.h"
#include "gateway/base/nearest.h"
#include "gateway/base/text.h"
#include "gateway/config/option.h"
#include "gateway/config/option_texts.h"
#include "gateway/config/yaml_advice.h"
#include "protocol/base/alloc.h"

#include <cyaml/cyaml.h>
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <yaml.h>

enum {
    FILE_MAX_BYTES = 1 << 20,
    TOKENS_MAX = 1000,
    NAMES_MAX = 1000,
    PATTERNS_MAX = 1000,
    KEYS_MAX = 1000,
    COMPLAINTS_MAX = 20, /* more are not printed */
    KEY_QUOTED_MAX = 64, /* bytes of a key that is quoted back */
    OPTIONS_MAX = 128,   /* rows of the option table the schema has room for */
    TOKEN_MIN_BYTES = 1,
    TOKEN_MAX_BYTES = 512,
    TOKEN_NAME_MAX_BYTES = 64
};

/* --- what the file holds ---------------------------------------------------------------------------------- */

struct file_list {
    char **texts;
    uint32_t len;
};

struct file_grants {
    char *token; /* NULL for anonymous */
    char *name;
    char *admin, *metrics;                   /* may be NULL */
    struct file_list verbs[GRANT_COUNT + 1]; /* the last one: deny */
};

struct file_name {
    char *pattern;
    char *type;
    char *max_page_size; /* may be NULL */
};

struct file {
    char *values[OPTIONS_MAX]; /* by row of the option table; a list is in `lists` instead */
    struct file_list lists[OPTIONS_MAX];
    struct file_grants *anonymous, *users;
    struct file_grants *tokens;
    uint32_t tokens_len;
    struct file_name *names;
    uint32_t names_len;
};

enum { DENY = GRANT_COUNT };
static const char *const verb_keys[GRANT_COUNT + 1] = {[GRANT_SUBSCRIBE] = "subscribe",
                                                       [GRANT_CALL] = "call",
                                                       [GRANT_WRITE] = "write",
                                                       [GRANT_SERVE] = "serve",
                                                       [DENY] = "deny"};

/* --- the schema ------------------------------------------------------------------------------------------- */

#define NEEDED   CYAML_FLAG_POINTER
#define OPTIONAL ((enum cyaml_flag)(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL))
/* An option without a value (`redis:`) counts as not set. */
#define OPTIONAL_OR_NULL ((enum cyaml_flag)(CYAML_FLAG_POINTER_NULL_STR | CYAML_FLAG_OPTIONAL))

static const struct cyaml_schema_value text_schema = {CYAML_VALUE_STRING(NEEDED, char, 0, OPTION_TEXT_MAX)};

#define TEXT(key_, flags_, struct_, member_)                                                                           \
    {                                                                                                                  \
        .key = (key_), .data_offset = offsetof(struct_, member_), .value = {                                           \
            CYAML_VALUE_STRING(flags_, char, 0, OPTION_TEXT_MAX)                                                       \
        }                                                                                                              \
    }
#define LIST(key_, offset_, type_, entry_, max_)                                                                       \
    {                                                                                                                  \
        .key = (key_), .data_offset = (uint32_t)(offset_), .count_offset = (uint32_t)((offset_) + sizeof(void *)),     \
        .count_size = sizeof(uint32_t), .value = {                                                                     \
            CYAML_VALUE_SEQUENCE(OPTIONAL, type_, entry_, 0, max_)                                                     \
        }                                                                                                              \
    }
#define VERB(key_, verb_)                                                                                              \
    LIST(key_, offsetof(struct file_grants, verbs) + (verb_) * sizeof(struct file_list), char *, &text_schema,         \
         PATTERNS_MAX)
#define VERBS                                                                                                          \
    VERB("subscribe", GRANT_SUBSCRIBE), VERB("call", GRANT_CALL), VERB("write", GRANT_WRITE),                          \
        VERB("serve", GRANT_SERVE), VERB("deny", DENY)

/* The count stands right behind its array everywhere: LIST relies on it. */
_Static_assert(offsetof(struct file_list, len) == sizeof(void *), "count behind array");
_Static_assert(offsetof(struct file, tokens_len) == offsetof(struct file, tokens) + sizeof(void *), "likewise");
_Static_assert(offsetof(struct file, names_len) == offsetof(struct file, names) + sizeof(void *), "likewise");

static const struct cyaml_schema_field anonymous_fields[] = {VERBS, CYAML_FIELD_END};
static const struct cyaml_schema_field token_fields[] = {TEXT("token", NEEDED, struct file_grants, token),
                                                         TEXT("name", NEEDED, struct file_grants, name),
                                                         TEXT("admin", OPTIONAL, struct file_grants, admin),
                                                         TEXT("metrics", OPTIONAL, struct file_grants, metrics),
                                                         VERBS,
                                                         CYAML_FIELD_END};
static const struct cyaml_schema_field name_fields[] = {
    TEXT("pattern", NEEDED, struct file_name, pattern), TEXT("type", NEEDED, struct file_name, type),
    TEXT("max_page_size", OPTIONAL, struct file_name, max_page_size), CYAML_FIELD_END};

static const struct cyaml_schema_value token_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_grants, token_fields)};
static const struct cyaml_schema_value name_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_name, name_fields)};

static const struct cyaml_schema_field section_fields[] = {
    CYAML_FIELD_MAPPING_PTR("anonymous", OPTIONAL, struct file, anonymous, anonymous_fields),
    CYAML_FIELD_MAPPING_PTR("users", OPTIONAL, struct file, users, anonymous_fields),
    LIST("tokens", offsetof(struct file, tokens), struct file_grants, &token_schema, TOKENS_MAX),
    LIST("names", offsetof(struct file, names), struct file_name, &name_schema, NAMES_MAX), CYAML_FIELD_END};

/* The whole file: one key per option, then the sections. */
struct schema {
    char keys[OPTIONS_MAX][64];
    struct cyaml_schema_field fields[OPTIONS_MAX + sizeof(section_fields) / sizeof(section_fields[0])];
    struct cyaml_schema_value file;
};

static struct cyaml_schema_field option_field(const char *key, size_t i)
{
    if (option_table[i].type == OPTION_LIST)
        return (struct cyaml_schema_field)LIST(key, offsetof(struct file, lists) + i * sizeof(struct file_list), char *,
                                               &text_schema, OPTION_LIST_MAX);
    return (struct cyaml_schema_field){.key = key,
                                       .data_offset = (uint32_t)(offsetof(struct file, values) + i * sizeof(char *)),
                                       .value = {CYAML_VALUE_STRING(OPTIONAL_OR_NULL, char, 0, OPTION_TEXT_MAX)}};
}

static void schema_init(struct schema *s)
{
    size_t n = 0;
    assert(option_count <= OPTIONS_MAX);
    for (size_t i = 0; i < option_count; i++) {
        if (option_table[i].flag_only)
            continue;
        snprintf(s->keys[i], sizeof(s->keys[i]), "%s", option_key(&option_table[i]));
        s->fields[n++] = option_field(s->keys[i], i);
    }
    memcpy(&s->fields[n], section_fields, sizeof(section_fields));
    s->file = (struct cyaml_schema_value){CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file, s->fields)};
}

/* --- complaints ------------------------------------------------------------------------------------------- */

struct reader {
    const char *path;
    FILE *err;
    size_t complaints;
    bool loaded; /* the document is there */
    yaml_document_t document;
    char cyaml_says[OPTION_WHY_MAX]; /* the first complaint of libcyaml */
};

/* Line 0 is the file as a whole. */
static void complain(struct reader *r, size_t line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void complain(struct reader *r, size_t line, const char *fmt, ...)
{
    va_list args;
    r->complaints++;
    if (r->complaints > COMPLAINTS_MAX)
        return;
    if (line > 0)
        fprintf(r->err, "%s:%zu: ", r->path, line);
    else
        fprintf(r->err, "%s: ", r->path);
    va_start(args, fmt);
    vfprintf(r->err, fmt, args);
    va_end(args);
    fputc('\n', r->err);
}

static size_t line_of(const yaml_node_t *node)
{
    return node->start_mark.line + 1;
}

/* --- the document and its lines --------------------------------------------------------------------------- */

static const char *text_of(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

static yaml_node_t *node_at(struct reader *r, int index)
{
    yaml_node_t *node = yaml_document_get_node(&r->document, index);
    assert(node);
    return node;
}

/* The value under `key`; the mapping itself, whose line is the next best, when it is not there. */
static yaml_node_t *value_under(struct reader *r, yaml_node_t *mapping, const char *key)
{
    assert(mapping->type == YAML_MAPPING_NODE);
    for (yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < mapping->data.mapping.pairs.top; p++) {
        if (strcmp(text_of(node_at(r, p->key)), key) == 0)
            return node_at(r, p->value);
    }
    return mapping;
}

static yaml_node_t *entry_of(struct reader *r, yaml_node_t *sequence, size_t i)
{
    assert(sequence->type == YAML_SEQUENCE_NODE);
    assert(sequence->data.sequence.items.start + i < sequence->data.sequence.items.top);
    return node_at(r, sequence->data.sequence.items.start[i]);
}

static yaml_node_t *root_of(struct reader *r)
{
    return yaml_document_get_root_node(&r->document);
}

/* --- the shape -------------------------------------------------------------------------------------------- */

/* These walk document and schema together. The schema is a few levels deep, and so are they, even for an alias to itself.
 * NOLINTBEGIN(misc-no-recursion) */
static void check_shape(struct reader *r, yaml_node_t *node, const struct cyaml_schema_value *schema);

static const struct cyaml_schema_field *field_of(const struct cyaml_schema_field *fields, const char *key)
{
    for (; fields->key; fields++) {
        if (strcmp(fields->key, key) == 0)
            return fields;
    }
    return NULL;
}

static void complain_unknown(struct reader *r, const yaml_node_t *key, const struct cyaml_schema_field *fields)
{
    struct slice written = slice_str(text_of(key));
    struct nearest near;
    nearest_init(&near, written);
    for (; fields->key; fields++)
        nearest_offer(&near, slice_str(fields->key));
    const char *meant = nearest_found(&near);
    if (written.len >= KEY_QUOTED_MAX || !text_is_printable(written))
        complain(r, line_of(key), "unknown key");
    else if (meant)
        complain(r, line_of(key), "unknown key `%s`, did you mean `%s`?", text_of(key), meant);
    else
        complain(r, line_of(key), "unknown key `%s`", text_of(key));
}

/* Whether `key` stands in the mapping before the pair `end`. */
static bool has_key(struct reader *r, const yaml_node_t *mapping, const yaml_node_pair_t *end, const char *key)
{
    for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < end; p++) {
        const yaml_node_t *other = node_at(r, p->key);
        if (other->type == YAML_SCALAR_NODE && strcmp(text_of(other), key) == 0)
            return true;
    }
    return false;
}

static void check_pair(struct reader *r, const yaml_node_t *mapping, const yaml_node_pair_t *pair,
                       const struct cyaml_schema_field *fields)
{
    const yaml_node_t *key = node_at(r, pair->key);
    if (key->type != YAML_SCALAR_NODE) {
        complain(r, line_of(key), "a key must be a word");
        return;
    }
    const struct cyaml_schema_field *field = field_of(fields, text_of(key));
    if (!field)
        complain_unknown(r, key, fields);
    else if (has_key(r, mapping, pair, field->key))
        complain(r, line_of(key), "`%s` stands here a second time", field->key);
    else
        check_shape(r, node_at(r, pair->value), &field->value);
}

static void check_mapping(struct reader *r, const yaml_node_t *node, const struct cyaml_schema_field *fields)
{
    const yaml_node_pair_t *start = node->data.mapping.pairs.start, *top = node->data.mapping.pairs.top;
    if (top - start > KEYS_MAX) {
        complain(r, line_of(node), "too many keys");
        return;
    }
    for (const yaml_node_pair_t *p = start; p < top; p++)
        check_pair(r, node, p, fields);
    for (; fields->key; fields++) {
        if (!(fields->value.flags & CYAML_FLAG_OPTIONAL) && !has_key(r, node, top, fields->key))
            complain(r, line_of(node), "`%s` is missing", fields->key);
    }
}

static void check_sequence(struct reader *r, const yaml_node_t *node, const struct cyaml_schema_value *schema)
{
    size_t len = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (len > schema->sequence.max) {
        complain(r, line_of(node), "%zu entries, at most %u are possible", len, schema->sequence.max);
        return;
    }
    for (size_t i = 0; i < len; i++)
        check_shape(r, node_at(r, node->data.sequence.items.start[i]), schema->sequence.entry);
}

static void check_text(struct reader *r, const yaml_node_t *node, const struct cyaml_schema_value *schema)
{
    size_t len = node->data.scalar.length;
    if (len > schema->string.max)
        complain(r, line_of(node), "the value is too long");
    else if (memchr(text_of(node), '\0', len))
        complain(r, line_of(node), "the value holds a NUL character");
}

/* One word where a list of words belongs lacks only the brackets. What could hold a secret is not repeated. */
static bool is_lone_entry(const yaml_node_t *node, const struct cyaml_schema_value *schema)
{
    return schema->type == CYAML_SEQUENCE && schema->sequence.entry->type == CYAML_STRING &&
           node->type == YAML_SCALAR_NODE && node->data.scalar.length > 0 && node->data.scalar.length <= 100 &&
           !text_of(node)[strcspn(text_of(node), "@\"\\\n")];
}

static void check_shape(struct reader *r, yaml_node_t *node, const struct cyaml_schema_value *schema)
{
    static const struct {
        yaml_node_type_t node;
        const char *expected;
    } shapes[] = {[CYAML_STRING] = {YAML_SCALAR_NODE, "expected a single value"},
                  [CYAML_MAPPING] = {YAML_MAPPING_NODE, "expected keys with values (`key: value`)"},
                  [CYAML_SEQUENCE] = {YAML_SEQUENCE_NODE, "expected a list (`[one, two]`)"}};
    bool glued = node->type == YAML_SCALAR_NODE && strchr(text_of(node), ':');
    if (schema->type == CYAML_MAPPING && glued)
        complain(r, line_of(node), "%s; is a space missing behind the colon?", shapes[CYAML_MAPPING].expected);
    else if (is_lone_entry(node, schema))
        complain(r, line_of(node), "expected a list, which has brackets: [\"%s\"]", text_of(node));
    else if (node->type != shapes[schema->type].node)
        complain(r, line_of(node), "%s", shapes[schema->type].expected);
    else if (schema->type == CYAML_MAPPING)
        check_mapping(r, node, schema->mapping.fields);
    else if (schema->type == CYAML_SEQUENCE)
        check_sequence(r, node, schema);
    else
        check_text(r, node, schema);
}
/* NOLINTEND(misc-no-recursion) */

/* --- loading ---------------------------------------------------------------------------------------------- */

/* The file's bytes in a fresh buffer; NULL after a complaint. */
static unsigned char *read_bytes(struct reader *r, size_t *len)
{
    FILE *from = fopen(r->path, "rb");
    if (!from) {
        complain(r, 0, "%s", strerror(errno));
        return NULL;
    }
    unsigned char *bytes = sg_malloc(FILE_MAX_BYTES + 1);
    *len = fread(bytes, 1, FILE_MAX_BYTES + 1, from);
    if (ferror(from))
        complain(r, 0, "%s", strerror(errno));
    else if (*len > FILE_MAX_BYTES)
        complain(r, 0, "the file is larger than 1MiB");
    fclose(from);
    if (r->complaints == 0)
        return bytes;
    free(bytes);
    return NULL;
}

/* libyaml counts lines only of what it could decode. */
static size_t line_of_offset(const unsigned char *bytes, size_t len, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < offset && i < len; i++)
        line += bytes[i] == '\n';
    return line;
}

static void complain_syntax(struct reader *r, const yaml_parser_t *parser, const unsigned char *bytes, size_t len)
{
    if (parser->error == YAML_READER_ERROR) {
        complain(r, line_of_offset(bytes, len, parser->problem_offset), "%s: the file must be UTF-8 text",
                 parser->problem ? parser->problem : "not readable");
        return;
    }
    const struct yaml_fault fault = {.problem = parser->problem,
                                     .context = parser->context,
                                     .line = parser->problem_mark.line,
                                     .column = parser->problem_mark.column,
                                     .began = parser->context ? parser->context_mark.line : parser->problem_mark.line};
    char sentence[OPTION_WHY_MAX] = "";
    FILE *to = fmemopen(sentence, sizeof(sentence), "w");
    if (!to)
        abort(); /* out of memory */
    size_t line = yaml_advice(&fault, slice_of((const char *)bytes, len), to);
    fclose(to);
    sentence[sizeof(sentence) - 1] = '\0';
    complain(r, line, "%s", sentence);
}

static void parse(struct reader *r, const unsigned char *bytes, size_t len)
{
    yaml_parser_t parser;
    yaml_document_t second;
    if (!yaml_parser_initialize(&parser))
        abort(); /* out of memory */
    yaml_parser_set_input_string(&parser, bytes, len);
    r->loaded = yaml_parser_load(&parser, &r->document);
    if (r->loaded && yaml_parser_load(&parser, &second)) {
        yaml_node_t *more = yaml_document_get_root_node(&second);
        if (more)
            complain(r, line_of(more), "a second document begins here; one is enough");
        yaml_document_delete(&second);
    }
    if (parser.error != YAML_NO_ERROR)
        complain_syntax(r, &parser, bytes, len);
    yaml_parser_delete(&parser);
}

static void keep_first(enum cyaml_log_e level, void *arg, const char *fmt, va_list args)
    __attribute__((format(printf, 3, 0)));
static void keep_first(enum cyaml_log_e level, void *arg, const char *fmt, va_list args)
{
    struct reader *r = arg;
    (void)level;
    if (r->cyaml_says[0] == '\0')
        vsnprintf(r->cyaml_says, sizeof(r->cyaml_says), fmt, args);
}

static void apply(struct reader *r, const struct file *file, struct options *o);

static void load(struct reader *r, const unsigned char *bytes, size_t len, const struct schema *schema,
                 struct options *o)
{
    struct cyaml_config config = {
        .log_fn = keep_first, .log_ctx = r, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR};
    struct file *file = NULL;
    enum cyaml_err result = cyaml_load_data(bytes, len, &config, &schema->file, (cyaml_data_t **)&file, NULL);
    if (result != CYAML_OK) {
        r->cyaml_says[strcspn(r->cyaml_says, "\n")] = '\0';
        complain(r, 1, "%s", r->cyaml_says[0] ? r->cyaml_says : cyaml_strerror(result));
    } else if (file) {
        apply(r, file, o);
    }
    cyaml_free(&config, &schema->file, file, 0);
}

bool options_file_load(struct options *o, const char *path, FILE *err)
{
    struct reader r = {.path = path, .err = err};
    struct schema schema = {0};
    size_t len;
    unsigned char *bytes = read_bytes(&r, &len);
    if (!bytes)
        return false;
    schema_init(&schema);
    parse(&r, bytes, len);
    if (r.loaded && root_of(&r) && r.complaints == 0) {
        check_shape(&r, root_of(&r), &schema.file);
        if (r.complaints == 0)
            load(&r, bytes, len, &schema, o);
    }
    if (r.loaded)
        yaml_document_delete(&r.document);
    free(bytes);
    return r.complaints == 0;
}

/* --- from the file into the options ----------------------------------------------------------------------- */

static void apply_option(struct reader *r, const struct file *file, size_t i, struct options *o)
{
    const struct option *row = &option_table[i];
    const struct file_list *list = &file->lists[i];
    yaml_node_t *node = value_under(r, root_of(r), option_key(row));
    char why[OPTION_WHY_MAX];
    if (file->values[i] && !option_set(o, row, file->values[i], why))
        complain(r, line_of(node), "%s: %s", option_key(row), why);
    if (row->type != OPTION_LIST || node == root_of(r))
        return;
    option_clear(o, row);
    for (size_t j = 0; j < list->len; j++) {
        if (!option_set(o, row, list->texts[j], why))
            complain(r, line_of(entry_of(r, node, j)), "%s: %s", option_key(row), why);
    }
}

/* Says what stands there, unless that would spoil the line. Not for secrets. */
static void complain_given(struct reader *r, size_t line, const char *key, const char *sentence, const char *given)
{
    struct slice text = slice_str(given);
    if (text.len > 0 && text.len < KEY_QUOTED_MAX && text_is_printable(text))
        complain(r, line, "%s: %s; given is `%s`", key, sentence, given);
    else
        complain(r, line, "%s: %s", key, sentence);
}

typedef const char *check_fn(const char *pattern);

static void apply_patterns(struct reader *r, const struct file_list *from, yaml_node_t *holder, int verb,
                           check_fn *check, struct patterns *to)
{
    if (from->len == 0)
        return;
    yaml_node_t *list = value_under(r, holder, verb_keys[verb]);
    for (size_t i = 0; i < from->len; i++) {
        const char *wrong = check(from->texts[i]);
        if (wrong)
            complain_given(r, line_of(entry_of(r, list, i)), verb_keys[verb], wrong, from->texts[i]);
        patterns_add(to, from->texts[i]);
    }
}

static void apply_verbs(struct reader *r, const struct file_grants *from, yaml_node_t *holder, check_fn *check,
                        struct grants *to)
{
    for (int verb = 0; verb < GRANT_COUNT; verb++)
        apply_patterns(r, &from->verbs[verb], holder, verb, check, &to->verbs[verb]);
    apply_patterns(r, &from->verbs[DENY], holder, DENY, check, &to->deny);
}

/* A given section is the whole truth: what it does not grant is not granted. */
static void apply_anonymous(struct reader *r, const struct file *file, struct options *o)
{
    if (!file->anonymous)
        return;
    grants_deinit(&o->anonymous);
    o->anonymous_default = false;
    apply_verbs(r, file->anonymous, value_under(r, root_of(r), "anonymous"), option_check_glob, &o->anonymous);
}

static void apply_users(struct reader *r, const struct file *file, struct options *o)
{
    if (file->users)
        apply_verbs(r, file->users, value_under(r, root_of(r), "users"), option_check_user_glob, &o->users);
}

bool options_file_is_placeholder(struct slice token)
{
    return token.len >= 2 && token.ptr[0] == '<' && token.ptr[token.len - 1] == '>';
}

static const char *check_token(const char *token)
{
    size_t len = strlen(token);
    if (len < TOKEN_MIN_BYTES || len > TOKEN_MAX_BYTES)
        return "a token has 1 to 512 bytes";
    if (!text_is_printable(slice_str(token)))
        return "a token holds no control characters";
    if (token[0] == ' ' || token[len - 1] == ' ')
        return "a token neither begins nor ends with a space, headers cannot carry it";
    return NULL;
}

static const char *check_token_name(const char *name)
{
    if (name[0] == '\0' || strlen(name) > TOKEN_NAME_MAX_BYTES || !text_is_printable(slice_str(name)))
        return "the name of a token has 1 to 64 bytes without control characters";
    return strcmp(name, "anonymous") == 0 ? "the name anonymous is taken" : NULL;
}

static void apply_token(struct reader *r, const struct file *file, size_t i, struct options *o)
{
    const struct file_grants *from = &file->tokens[i];
    yaml_node_t *list = value_under(r, root_of(r), "tokens");
    yaml_node_t *holder = entry_of(r, list, i);
    const char *wrong = check_token(from->token);
    if (wrong)
        complain(r, line_of(value_under(r, holder, "token")), "token: %s", wrong);
    wrong = check_token_name(from->name);
    if (wrong)
        complain(r, line_of(value_under(r, holder, "name")), "name: %s", wrong);
    for (size_t j = 0; j < i; j++) {
        if (strcmp(file->tokens[j].token, from->token) == 0) /* the secret itself stays out of the message */
            complain(r, line_of(value_under(r, holder, "token")), "token: the same as that of line %zu",
                     line_of(value_under(r, entry_of(r, list, j), "token")));
    }
    struct grants *to = &o->tokens[o->tokens_len++];
    *to = (struct grants){.name = sg_text(from->name), .token = sg_text(from->token)};
    if (from->admin && !option_parse_bool(from->admin, &to->admin))
        complain_given(r, line_of(value_under(r, holder, "admin")), "admin", "expected true or false", from->admin);
    if (from->metrics && !option_parse_bool(from->metrics, &to->metrics))
        complain_given(r, line_of(value_under(r, holder, "metrics")), "metrics", "expected true or false",
                       from->metrics);
    apply_verbs(r, from, holder, option_check_glob, to);
}

static void apply_name(struct reader *r, const struct file *file, size_t i, struct options *o)
{
    const struct file_name *from = &file->names[i];
    yaml_node_t *holder = entry_of(r, value_under(r, root_of(r), "names"), i);
    struct name_pattern *to = &o->names[o->names_len++];
    *to = (struct name_pattern){.glob = sg_text(from->pattern)};

    const char *wrong = option_check_glob(from->pattern);
    if (wrong)
        complain_given(r, line_of(value_under(r, holder, "pattern")), "pattern", wrong, from->pattern);
    if (strcmp(from->type, "var") == 0)
        to->kind = KIND_VAR;
    else if (strcmp(from->type, "list") == 0)
        to->kind = KIND_LIST;
    else
        complain_given(r, line_of(value_under(r, holder, "type")), "type", "expected var or list", from->type);
    if (!from->max_page_size)
        return;
    yaml_node_t *size = value_under(r, holder, "max_page_size");
    if (to->kind == KIND_VAR)
        complain(r, line_of(size), "max_page_size: only a list has pages");
    if (!slice_i64(slice_str(from->max_page_size), &to->max_page_size) || to->max_page_size < 1 ||
        to->max_page_size > OPTION_PAGE_SIZE_MAX)
        complain(r, line_of(size), "max_page_size: expected a whole number, 1 to %d", OPTION_PAGE_SIZE_MAX);
}

static void apply(struct reader *r, const struct file *file, struct options *o)
{
    for (size_t i = 0; i < option_count; i++)
        apply_option(r, file, i, o);
    apply_anonymous(r, file, o);
    apply_users(r, file, o);
    o->tokens = sg_calloc(file->tokens_len + 1, sizeof(*o->tokens));
    for (size_t i = 0; i < file->tokens_len; i++)
        apply_token(r, file, i, o);
    o->names = sg_calloc(file->names_len + 1, sizeof(*o->names));
    for (size_t i = 0; i < file->names_len; i++)
        apply_name(r, file, i, o);
}
