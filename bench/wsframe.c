/* A client's mask protects old proxies from scripts; a load generator needs none that is random. */
#include "bench/wsframe.h"

static size_t put_head(unsigned char *head, enum ws_opcode opcode, size_t payload, unsigned char mask_bit)
{
    head[0] = (unsigned char)(0x80U | opcode);
    if (payload < 126) {
        head[1] = (unsigned char)(mask_bit | payload);
        return 2;
    }
    size_t wide = payload < 65536 ? 2 : 8;
    head[1] = (unsigned char)(mask_bit | (wide == 2 ? 126U : 127U));
    for (size_t i = 0; i < wide; i++)
        head[2 + i] = (unsigned char)(payload >> (8 * (wide - 1 - i)));
    return 2 + wide;
}

void wsframe_put_head(struct bytes *out, enum ws_opcode opcode, size_t payload)
{
    unsigned char head[10];
    bytes_put(out, head, put_head(head, opcode, payload, 0));
}

void wsframe_put_masked(struct bytes *out, enum ws_opcode opcode, const char *payload, size_t len)
{
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned char head[10];
    bytes_put(out, head, put_head(head, opcode, len, 0x80));
    bytes_put(out, mask, sizeof(mask));
    bytes_put(out, payload, len);
    for (size_t i = 0; i < len; i++)
        out->ptr[out->len - len + i] = (char)((unsigned char)payload[i] ^ mask[i % 4]);
}
