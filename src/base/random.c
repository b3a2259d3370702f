/* random.c -- see random.h. */
#include "base/random.h"

#include "base/err.h"

#include <sys/random.h>
#include <unistd.h>

void random_bytes(void *out, size_t n)
{
    /* getentropy() gives at most 256 bytes a call. */
    for (size_t done = 0; done < n;) {
        size_t take = n - done < 256 ? n - done : 256;
        CHECK(getentropy((char *)out + done, take) == 0);
        done += take;
    }
}

uint64_t random_u64(void)
{
    uint64_t v;
    random_bytes(&v, sizeof v);
    return v;
}
