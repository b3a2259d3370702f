/* rig.h -- a program on a backend, with random weights of any format: what proofs and the tests of backends run. */
#ifndef PROOF_RIG_H
#define PROOF_RIG_H

#include "backend/backend.h"

struct rig_opts {
    const struct backend_type *type;
    enum precision   precision;
    enum kv_format   kv_format;
    unsigned         n_thread;
    enum format      format;        /* of matrices; of vectors too when its blocks are single numbers */
    uint64_t         seed;          /* equal seeds: equal weights */
    struct plan_opts plan;
    uint32_t         n_block;
    struct pack_opts pack;          /* with a path, expect() is called before the first adopt() */
    bool             blank;         /* every part is zeroes: what a backend that reads it would compute with */
    struct err      *why;           /* NULL: a refusal's reason is printed on standard error */
};

struct rig {
    const struct backend_type *type;
    struct backend *backend;
    struct plan    *plan;
    char          **data;           /* of the weights' parts */
    size_t          n_data;
};

/* Weights whose name begins with "in." are F32 whatever the format.  False: the backend refuses
 * (rig_opts.why). */
bool rig_open(struct rig *r, const struct prog *p, const struct rig_opts *o);
void rig_close(struct rig *r);

/* Random bits; equal states give equal ones. */
uint64_t rig_random(uint64_t *state);
float    rig_normal(uint64_t *state);       /* about N(0, 1), at most 3.5 */

/* A random tensor of that format: floats near N(0, 1), or random codes with scales as quantisers make them; where a format
 * leaves open how long groups are and what scales are, the seed's upper half decides.  in 1: a vector.  Its bytes, unaligned, are in the
 * memory that is returned, to be freed; blank: they are zeroes. */
char *rig_tensor(enum format f, uint32_t rows, uint32_t in, uint64_t seed, bool blank, struct tensor *out);

/* Numbers 0 .. n-1 in random order. */
void rig_shuffle(uint32_t *out, uint32_t n, uint64_t seed);

#endif
