/* Certificate and key, looked at as a start will read them. */
#ifndef SYNCGATE_GATEWAY_COMMAND_CERTIFICATE_H
#define SYNCGATE_GATEWAY_COMMAND_CERTIFICATE_H

#include "gateway/command/findings.h"

/* certificate_check says whether both PEM files can be read and belong together, and until when the certificate holds. */
void certificate_check(const char *cert, const char *key, struct findings *f);

#endif
