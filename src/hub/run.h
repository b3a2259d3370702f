/* run.h -- one pull: what its threads share, and how somebody watches it. */
#ifndef HUB_RUN_H
#define HUB_RUN_H

#include "hub/name.h"
#include "hub/place.h"

#include <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hub_progress {
    uint64_t bytes, bytes_all;          /* on the disk, of the files that the model needs */
    uint64_t fresh;                     /* of these: come over the network in this pull */
    size_t   files, files_all;
};

/* Both may be NULL; one call at a time.  note: a line for the user, from any thread.  progress: on the caller's thread, some
 * five times a second while files come, and once after the last. */
struct hub_watch {
    void (*note)(void *ctx, const char *line);
    void (*progress)(void *ctx, const struct hub_progress *p);
    void *ctx;
};

struct hub_run {
    const struct hub_place *place;
    const struct hub_name  *name;
    const struct hub_watch *watch;
    pthread_mutex_t         lock;       /* over what follows */
    pthread_cond_t          changed;
    struct hub_progress     now;
    bool                    stop;       /* something failed: *why says what */
    struct err              why;
};

void hub_run_init(struct hub_run *r, const struct hub_place *place, const struct hub_name *name, const struct hub_watch *watch);
void hub_run_drop(struct hub_run *r);
void hub_run_note(struct hub_run *r, const char *fmt, ...) PRINTF(2, 3);
void hub_run_count(struct hub_run *r, int64_t bytes, uint64_t fresh, size_t files);     /* adds */
void hub_run_fail(struct hub_run *r, const struct err *why);                            /* the first is kept */
bool hub_run_stopped(struct hub_run *r);
bool hub_run_sleep(struct hub_run *r, uint64_t ms);                                     /* false: stopped meanwhile */

#ifdef __cplusplus
}
#endif
#endif
