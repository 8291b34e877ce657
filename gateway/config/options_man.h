/* The option table as parts of the manual pages, in roff (the man macros): deploy/man puts text around them. */
#ifndef SYNCGATE_GATEWAY_CONFIG_OPTIONS_MAN_H
#define SYNCGATE_GATEWAY_CONFIG_OPTIONS_MAN_H

#include <stdio.h>

/* options_print_man_flags: an entry per flag, for syncgate(1). */
void options_print_man_flags(FILE *to);
/* options_print_man_keys: an entry per key of the file, for syncgate.conf(5). */
void options_print_man_keys(FILE *to);
/* options_print_man_actions: an entry per flag that does something else than running, for syncgate(1). */
void options_print_man_actions(FILE *to);

#endif
