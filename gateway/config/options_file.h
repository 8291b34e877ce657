/* The configuration file (YAML, docs/configuration.md): every option by its key, and what only a file can say - grants of
 * anonymous peers, tokens, declared names. */
#ifndef SYNCGATE_GATEWAY_CONFIG_OPTIONS_FILE_H
#define SYNCGATE_GATEWAY_CONFIG_OPTIONS_FILE_H

#include "gateway/config/options.h"

/* options_file_load overwrites in `o` what the file at `path` sets. Prints each thing that is wrong as `path:line: message`;
 * returns false when there was any (`o` then stays valid for options_deinit). */
bool options_file_load(struct options *o, const char *path, FILE *err);

/* A token written `<…>` stands for a secret that is not there: --print-config writes such, examples hold such. A file may,
 * but nobody can present one. */
bool options_file_is_placeholder(struct slice token);

#endif
