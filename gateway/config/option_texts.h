/* What the texts of options have to look like. Each checks one as written and returns it as it is kept, allocated (NULL in *kept: none);
 * it returns what is wrong with it, a static sentence, or NULL. */
#ifndef SYNCGATE_GATEWAY_CONFIG_OPTION_TEXTS_H
#define SYNCGATE_GATEWAY_CONFIG_OPTION_TEXTS_H

const char *option_take_listen(const char *text, char **kept);
const char *option_take_redis(const char *text, char **kept);
const char *option_take_prefix(const char *text, char **kept);
const char *option_take_proxy(const char *text, char **kept);
const char *option_take_origin(const char *text, char **kept);

/* NULL when the text is a good pattern of names, else a static sentence. */
const char *option_check_glob(const char *text);
/* Likewise of one with places for the words of whoever is known: `orders:{user}`. */
const char *option_check_user_glob(const char *text);

#endif
