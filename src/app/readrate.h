/* readrate.h -- how fast this machine reads memory: the limit of drawing tokens one by one, each of which reads every weight. */
#ifndef APP_READRATE_H
#define APP_READRATE_H

#include "base/err.h"

/* Bytes a second with n threads, the best of a few turns that take half a second together.  ERR_MEMORY. */
MUST_USE bool read_rate(unsigned n_thread, double *out, struct err *e);

#endif
