/* Tells a supervisor how we are (the protocol of sd_notify(3)): datagrams to the socket that NOTIFY_SOCKET names. Without one
 * nothing is said. */
#ifndef SYNCGATE_GATEWAY_LIFECYCLE_NOTIFY_H
#define SYNCGATE_GATEWAY_LIFECYCLE_NOTIFY_H

/* notify_begin reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment, so that no child
 * speaks for us. notify_forget is for a child that we fork: only the main process is listened to. */
void notify_begin(void);
void notify_forget(void);

void notify_ready(void);
void notify_reloading(void); /* notify_ready follows when it is done */
void notify_stopping(void);
/* notify_alive: call about once a second while all is well; sent when somebody watches. */
void notify_alive(void);

#endif
