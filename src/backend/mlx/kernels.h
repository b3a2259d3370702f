/* kernels.h -- kernels of our own for runs in which every sequence has one row: one text for Metal and for CUDA, so that
 * what runs on the one has been run on the other.  Compiled when first launched; there is no form for a CPU, where MLX's
 * own operations are used. */
#ifndef BACKEND_MLX_KERNELS_H
#define BACKEND_MLX_KERNELS_H

#include "backend/mlx/mlx.h"

#include <array>

/* Memory that a kernel reads or writes: from byte `at` on of an array, which is evaluated. */
struct place {
    const mx::array *a = nullptr;
    size_t           at = 0;
    /* KEPT: what nothing in flight writes, or `all` of kernel_launch(); READ: what MLX may still be computing. */
    enum { KEPT, READ, WRITTEN } role = KEPT;
};

/* What kernels are told beside their memory; each looks at some of it.  The text in kernels.cpp has the same. */
struct kernel_args {
    int32_t rows, n, k;             /* rows of the run; of a matrix: out and in */
    int32_t in_stride, out_stride, add_stride;      /* numbers from row to row */
    int32_t q, key, value;          /* columns of in */
    int32_t table, window, splits;  /* blocks of a row of the table; records seen, 0: all; parts that a sequence is cut into */
    float   eps, scale, factor;
};

enum { SAY_MAX = 900 };             /* Metal takes 4 KB by value */
struct say_args {
    int32_t n, at, x[SAY_MAX];
};

struct launch {
    std::string name, options;      /* the function; lines of #define that make a variant of it */
    std::vector<place>    buffer;
    const void           *args;     /* of the caller */
    size_t                args_bytes;
    std::array<uint32_t, 3> grid;
    unsigned              simds;    /* of 32 threads, in a group */
    unsigned              by_rows = 0;              /* the side of the grid that grows with the run's rows, one for … */
    int                   rows = 1;                 /* … so many of them */
    void                 *ready = nullptr;          /* what it was compiled to */
};

/* Whether this build and this machine can launch kernels. */
bool kernels_here(const struct backend *b);

/* Hands it to the device, behind all that was handed over with the same `all` before.  Throws. */
void kernel_launch(mx::Stream s, launch &l, const mx::array &all);

/* Room that host and device see, zeroed: numbers that kernels leave for the host.  Owned by the caller. */
struct mailbox {
    virtual ~mailbox() = default;
    virtual int32_t *host() = 0;
    virtual place    device() = 0;
};
std::unique_ptr<mailbox> mailbox_new(int n);

unsigned kernels_attend_simds();        /* in a group of hearth_attend */
unsigned kernels_made();                /* how many were compiled so far */

#endif
