/* packs.h -- the files of repacked weights on this disk (backend/packfile.h): where they are, what they are of. */
#ifndef APP_PACKS_H
#define APP_PACKS_H

#include "base/hash.h"

#include <stdint.h>

struct pack {
    char    *path;
    char    *of;                    /* the path of the model; "": the file is damaged */
    char    *name;                  /* the model's, as models_name() has it */
    uint64_t bytes;
    int64_t  used_s;                /* since 1970: when it was last mapped, or made */
};

struct packs {
    struct pack *at;                /* the last used first */
    size_t       n;
};

/* The file for the checkpoint of that key, there or not; to be freed by the caller.  NULL: there is no home for it. */
char *packs_path(struct sha256 key);

void packs_read(struct packs *out);     /* none when there is no folder */
void packs_drop(struct packs *p);

/* Removes files that an older state of the same model has left: all of that model but the one at path. */
void packs_tidy(const char *path, const char *of);

#endif
