/* site.h -- a web server on 127.0.0.1 with every fault that the tests of fetch want; one request a connection. */
#ifndef TEST_BASE_SITE_H
#define TEST_BASE_SITE_H

#include "base/buf.h"
#include "base/threads.h"

/* /ok: "hello".  /to/URL: a redirect there.  /round: one to itself.  /lost: one without a goal, with a body without an end.
 * /status/NNN.  /empty.  /short: less than declared.  /long: 1 MB, declared.  /endless.  /slow: a byte in 50 ms.  /silent.
 * /gzip, /bomb: packed, 4 MB of zeros.  /torn: no gzip, though it says so.  /garbage: no HTTP. */
struct site {
    int         listener;
    unsigned    port;
    atomic_word asked;                  /* requests so far */
    char        last[2048];             /* the last one's head; read it after its answer came */
    char       *gzip;
    size_t      gzip_bytes;
    pthread_t   thread;
};

void site_open(struct site *s);
void site_close(struct site *s);

#endif
