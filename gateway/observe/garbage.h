/* Bytes from Redis that make no sense (another program wrote there): dropped, counted and logged alike. */
#ifndef SYNCGATE_GATEWAY_OBSERVE_GARBAGE_H
#define SYNCGATE_GATEWAY_OBSERVE_GARBAGE_H

/* garbage_dropped: what they should have been, for the log. */
void garbage_dropped(const char *what);

#endif
