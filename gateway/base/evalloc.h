/* Memory for libevent. It keeps a small record per descriptor for ever; taken from the heap, between what connections take, each
 * would pin a page that the connections have left long ago: when 6 000 connections had come and gone, 7.4 MB stayed resident, and
 * 17.6 MB with libevent on the heap (5.4 MB before them; release build, glibc 2.36). */
#ifndef SYNCGATE_GATEWAY_BASE_EVALLOC_H
#define SYNCGATE_GATEWAY_BASE_EVALLOC_H

/* evalloc_begin: before anything else of libevent is used. evalloc_end: after the last event_base_free. */
void evalloc_begin(void);
void evalloc_end(void);

#endif
