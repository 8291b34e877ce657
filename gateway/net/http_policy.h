/* What every answer tells browsers: take it for what it says it is, say nothing of this address elsewhere, show it in no frame. */
#ifndef SYNCGATE_GATEWAY_NET_HTTP_POLICY_H
#define SYNCGATE_GATEWAY_NET_HTTP_POLICY_H

#define HTTP_POLICY_SNIFF    "nosniff"
#define HTTP_POLICY_REFERRER "no-referrer"
/* What is no page brings nothing and runs nothing. */
#define HTTP_POLICY_CONTENT "default-src 'none'; frame-ancestors 'none'"
/* The page takes everything from here. Only WebSockets may go elsewhere: it can show a second gateway beside its own. A script has the
 * policy of a page, since as a worker it goes by its own. */
#define HTTP_POLICY_PAGE                                                                                               \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "                       \
    "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* Of an answer that is written by hand. */
#define HTTP_POLICY_TEXT                                                                                               \
    "x-content-type-options: " HTTP_POLICY_SNIFF "\r\nreferrer-policy: " HTTP_POLICY_REFERRER                          \
    "\r\ncontent-security-policy: " HTTP_POLICY_CONTENT "\r\ncache-control: no-store\r\n"

#endif
