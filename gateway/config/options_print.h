/* What can be printed from the option table: help, the effective configuration, the table of docs/configuration.md. */
#ifndef SYNCGATE_GATEWAY_CONFIG_OPTIONS_PRINT_H
#define SYNCGATE_GATEWAY_CONFIG_OPTIONS_PRINT_H

#include "gateway/config/options.h"

void options_print_help(FILE *to);
void options_print_version(FILE *to);
/* options_print_config writes a file that loads to the same options, except that secrets are replaced (tokens by placeholders). */
void options_print_config(const struct options *o, FILE *to);
void options_print_markdown(FILE *to);

#endif
