/* Files as beginners write them: which line is named, and what about it. They go through the whole reader, so that what libyaml
 * says is what it says. */
#include "gateway/config/options.h"
#include "protocol/base/alloc.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *text, *begins;
} cases[] = {
    {"anonymous:\n  subscribe: [*]\n", "y.yaml:2: a star needs quotes in YAML: \"*\"\n"},
    {"anonymous:\n  subscribe: [\"a\", *.b, c]\n", "y.yaml:2: a star needs quotes in YAML: \"*.b\"\n"},
    {"anonymous:\n  subscribe: *\nworkers: 1\n", "y.yaml:2: a star needs quotes in YAML: \"*\"\n"},
    {"listen: *:8080\n", "y.yaml:1: a star needs quotes in YAML: \"*:8080\"\n"},
    {"dev: true\nanonymous:\n\tsubscribe: []\n", "y.yaml:3: this line is indented with a tab"},
    {"anonymous:\n  subscribe: []\n call: []\n", "y.yaml:3: this line is indented by 1, line 2 above it by 2: "},
    {"workers: 2\n\n# and\n  linger: 1s\n", "y.yaml:4: this line is indented by 2, line 1 above it by 0: "},
    {"tokens:\n  - name: a\n    token: b\n   write: []\n",
     "y.yaml:4: this line is indented by 3, line 3 above it by 4: "},
    {"workers: 4\nlinger:10s\nprefix: x\n", "y.yaml:3: a key is followed by a colon, a space"},
    {"listen: [\"*:80\"\nworkers: 1\n", "y.yaml:2: a comma or the ]"},
    {"anonymous: {call: []\nworkers: 1\n", "y.yaml:2: a comma or the }"},
    {"dev: true\nprefix: \"abc\nworkers: 1\n", "y.yaml:2: a quote that begins in line 2 is never closed\n"},
    {"prefix: @x\n", "y.yaml:1: no value begins with `@` in YAML: put it in quotes\n"},
    {"workers:4\n", "y.yaml:1: expected keys with values (`key: value`); is a space missing behind the colon?\n"},
    {"data_dir: a: b\n", "y.yaml:1: this does not fit what stands above"},
};

static void test_cases(void)
{
    char folder[] = "/tmp/syncgate-yaml-XXXXXX";
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    CU_ASSERT_EQUAL_FATAL(chdir(folder), 0);
    char *argv[] = {(char *)(uintptr_t) "syncgate", (char *)(uintptr_t) "--config=y.yaml", NULL}, *envp[] = {NULL};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        FILE *f = fopen("y.yaml", "w");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        fputs(cases[i].text, f);
        fclose(f);
        struct options o;
        char *said = NULL;
        size_t len;
        FILE *err = open_memstream(&said, &len);
        CU_ASSERT_EQUAL(options_load(&o, 2, argv, envp, err, err), OPTIONS_EXIT_FAILURE);
        fclose(err);
        CU_ASSERT_EQUAL(strncmp(said, cases[i].begins, strlen(cases[i].begins)), 0);
        if (strncmp(said, cases[i].begins, strlen(cases[i].begins)) != 0)
            printf("\n    expected: %s\n    said: %s", cases[i].begins, said);
        free(said);
    }
    remove("y.yaml");
    CU_ASSERT_EQUAL(chdir("/"), 0);
    rmdir(folder);
}

UNIT_MAIN("gateway/config/yaml_advice", UNIT(test_cases))
