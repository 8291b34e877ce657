/* SockSync v1, see dialect.h. */
#include "protocol/socksync/socksync.h"
#include "tests/fuzz/dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_dialect(&socksync_dialect, true, data, size);
}
