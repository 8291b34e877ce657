/* TCP_INFO and SIOCOUTQ. A kernel that knows fewer fields answers with less; what is missing stays 0. */
#include "gateway/observe/kernel.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

uint64_t kernel_unsent(int fd)
{
    int queued = 0;
    return ioctl(fd, SIOCOUTQ, &queued) == 0 && queued > 0 ? (uint64_t)queued : 0;
}

bool kernel_has_room(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) > 0;
}

bool kernel_look(int fd, struct kernel_view *out)
{
    *out = (struct kernel_view){0};
    int queued = 0;
    if (ioctl(fd, SIOCOUTQ, &queued) != 0)
        return false;
    out->unsent = queued;
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return true;
    out->tcp = true;
    out->rtt_us = info.tcpi_rtt;
    out->lost = info.tcpi_total_retrans;
    return true;
}
