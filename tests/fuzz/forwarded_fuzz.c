/* Any bytes as X-Forwarded-For, and as a network that is to be trusted: whoever comes out is the peer or stands in the header. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "gateway/access/forwarded.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const trusted[] = {"10.0.0.0/8", "2001:db8::/32", "unix"};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool same(const struct remote *a, const struct remote *b)
{
    return a->family == b->family && memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

static void try_header(struct slice header, const struct remote *peer)
{
    struct remote nobody = forwarded_client(NULL, 0, *peer, header);
    require(same(&nobody, peer));
    struct remote client = forwarded_client(trusted, 3, *peer, header), again;
    require(same(&client, peer) || client.family == AF_INET || client.family == AF_INET6);
    if (client.family != AF_UNIX) {
        require(remote_parse(slice_str(remote_text(&client)), &again));
        require(same(&client, &again));
    }
    const char *all[] = {"0.0.0.0/0", "::/0", "unix"};
    forwarded_client(all, 3, *peer, header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice header = slice_of((const char *)data, size);
    struct remote on_socket = {.family = AF_UNIX}, proxy = {0}, stranger = {0};
    require(remote_parse(SLICE_LIT("10.0.0.1"), &proxy));
    require(remote_parse(SLICE_LIT("192.0.2.1"), &stranger));
    try_header(header, &on_socket);
    try_header(header, &proxy);
    struct remote client = forwarded_client(trusted, 3, stranger, header);
    require(same(&client, &stranger));

    char text[128];
    if (size < sizeof(text)) {
        const char *const net[] = {text};
        memcpy(text, data, size);
        text[size] = '\0';
        if (!forwarded_check(text))
            forwarded_client(net, 1, proxy, SLICE_LIT("192.0.2.7"));
    }
    return 0;
}
