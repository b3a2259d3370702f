/* eyes.h -- what showing pictures to the model takes, as the command line and the checkpoint's files say. */
#ifndef APP_EYES_H
#define APP_EYES_H

#include "api/views.h"
#include "app/load.h"

struct app_eyes {
    struct eyes       eyes;
    struct processor *processor;
    struct fetch     *fetch;
    const char       *root[OPTION_TEXTS_MAX + 1], *host[OPTION_TEXTS_MAX + 1];
};

/* Opens nothing, and *seeing is NULL, where the model sees nothing.  A picture that would have more patches than patches_max is
 * made smaller, as the processor does with a lower "max_pixels". */
MUST_USE bool app_eyes_open(struct app_eyes *out, const struct loaded *l, const struct options *o, uint32_t patches_max,
                            const struct eyes **seeing, struct err *e);
void          app_eyes_close(struct app_eyes *x);       /* a zeroed one is fine */

#endif
