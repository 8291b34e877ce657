/* Runs a fuzz target over the files of the folders that it is given, where there is no libFuzzer: what a
 * fuzzer once found stays a test. Fails when there is nothing to run. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t inputs;

static void die(const char *path)
{
    perror(path);
    exit(EXIT_FAILURE);
}

static void replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    /* Exactly as large as the input, so that the sanitizer sees a read past its end. */
    uint8_t *data = malloc(size ? size : 1);
    if (!file || !data)
        die(path);
    size_t length = fread(data, 1, size, file);
    if (length != size)
        die(path);
    fclose(file);
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(data, length);
    free(data);
    inputs++;
}

static void replay_folder(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0)
        die(path);
    for (int i = 0; i < count; i++) {
        char inner[4096];
        struct stat info;
        int length = snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
        if (length < 0 || (size_t)length >= sizeof inner || stat(inner, &info) != 0)
            die(path);
        if (S_ISREG(info.st_mode))
            replay_file(inner, (size_t)info.st_size);
        free(entries[i]);
    }
    free((void *)entries);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay_folder(argv[i]);
    printf("%zu inputs replayed\n", inputs);
    return inputs ? EXIT_SUCCESS : EXIT_FAILURE;
}
