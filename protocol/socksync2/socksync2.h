/* SockSync v2: the later revision of SockSync, in which the items of a list have places and no ids. The wire contract is
 * docs/protocol-v2.md. It is spoken over the same variables, lists and functions as v1: ids of items stay inside the gateway. */
#ifndef SYNCGATE_PROTOCOL_SOCKSYNC2_SOCKSYNC2_H
#define SYNCGATE_PROTOCOL_SOCKSYNC2_SOCKSYNC2_H

#include "protocol/dialect.h"

extern const struct dialect socksync2_dialect;

#endif
