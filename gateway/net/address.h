/* Where this program listens: the parts of a --listen address, and why it cannot be listened at. */
#ifndef SYNCGATE_GATEWAY_NET_ADDRESS_H
#define SYNCGATE_GATEWAY_NET_ADDRESS_H

#include "gateway/config/options.h"

/* As libwebsockets wants them. */
struct address {
    char host[256]; /* empty: every interface; or the path of a unix socket, with `@` in front an abstract one */
    int port;
    bool unix_socket;
    bool v4_only;
};

/* address_parse reads a text that the option keeps. NULL, or a static sentence about what is wrong. */
const char *address_parse(const char *text, struct address *out);

/* address_fault: why nobody can listen there, as the kernel says it (in use, no right, not ours, no such folder); NULL when one
 * can. Nothing stays bound. `shared`: with others of our kind, by SO_REUSEPORT. A socket file that was left behind is removed, as
 * listening would do; a file of another kind is not. */
const char *address_fault(const struct address *a, bool shared);

/* address_cure: what to do about such a fault, a static text; NULL when there is nothing to say. address_complain: both in the log. */
const char *address_cure(const char *fault);
void address_complain(const char *text, const char *fault);

/* address_usable: can all addresses of these options be listened at? Says in the log which one cannot, and why. Passed sockets
 * are there already. address_files_readable: the same for the files of TLS, without which libwebsockets would listen all the same. */
bool address_usable(const struct options *o, bool shared);
bool address_files_readable(const struct options *o);

#endif
