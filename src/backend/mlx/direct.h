/* direct.h -- runs in which every sequence has one row, as a list of kernels of our own: five to a layer of a decoder whose
 * matrices are MLX's of 4 bits.  MLX sees one operation, so that writing a run costs the host next to nothing. */
#ifndef BACKEND_MLX_DIRECT_H
#define BACKEND_MLX_DIRECT_H

#include "backend/mlx/mlx.h"

struct direct;
void direct_free(struct direct *d);         /* NULL is fine */

/* NULL where the program, its formats or this machine have no such list, and *why says which; a list that computes something
 * else than MLX's operations do is dropped, and a line says so.  Tried on blocks 0 to 3. */
struct direct *direct_new(struct plan *pl, std::string *why);

/* Writes the run as walk_run() does.  False: it is not of that kind, and nothing was done. */
bool direct_run(struct plan *pl, const struct batch *in);

/* Draws the largest logit of each of n rows; false: it has no form here.  The tokens will be at *host too. */
bool direct_largest(struct plan *pl, const mx::array &logits, mx::array *tokens, const int32_t **host);

/* Fills in the kernels of a run of one token: without the merge that long sequences need. */
void direct_count(const struct direct *d, struct overhead *out);

#endif
