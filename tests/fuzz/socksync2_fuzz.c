/* SockSync v2, see dialect.h. */
#include "protocol/socksync2/socksync2.h"
#include "tests/fuzz/dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_dialect(&socksync2_dialect, false, data, size);
}
