/* mlx.h -- the MLX backend's own: what its files share.
 *
 * This folder is the only C++ of the tree, because MLX has no other face.  It is no part of the program: it becomes
 * hearth-mlx.so, which backends.c loads when it is asked for.
 *
 * An MLX array is a node of a graph that is computed when somebody asks for it.  run() only writes the graph; draw() has
 * MLX start on it, and wait() waits for the tokens.  Calls come from one thread at a time but not always from the same
 * one, so the streams are those that may be used from any thread. */
#ifndef BACKEND_MLX_MLX_H
#define BACKEND_MLX_MLX_H

#include "backend/backend.h"
#include "backend/sample.h"

#include <mlx/mlx.h>
#include <mlx/version.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#if MLX_VERSION_NUMERIC < 32002
#error "MLX 0.32.2 or later is needed"
#endif

namespace mx = mlx::core;

/* Rows of a matrix that lie in one format.  bits 0: plain numbers, [out, in]; otherwise codes, with a scale and a bias for
 * each group of them (no bias where the codes are floats), as mx::quantized_matmul() takes them. */
struct piece {
    mx::array                w;
    std::optional<mx::array> scales, biases;
    int                      bits = 0, group = 0;
    std::string              mode = "affine";
};

/* One weight.  No piece: an optional one that is absent.  A vector is one plain piece, [out], in float32.  The first of n
 * experts has the pieces of all, [n, …], the others have none. */
struct held {
    std::vector<piece> pieces;
    bool               here = false;
};

/* Bytes of weights_take()'s result; `item`: of a plain number of a matrix, and of a scale. */
uint64_t weights_bytes(const struct weight *w, const struct tensor part[], size_t n, uint64_t item);

/* The parts, as matrices of plain numbers and scales of `type`, evaluated. */
std::vector<piece> weights_take(const struct weight *w, const struct tensor part[], size_t n, mx::Dtype type);

/* Makes one weight of those of n experts; matrices that are not alike become plain numbers of `type`. */
void weights_gather(held *expert, size_t n, mx::Dtype type);

/* A draw under way. */
struct flight {
    std::vector<draw>      how;         /* their lists in the two below */
    std::vector<draw_bias> bias;
    std::vector<draw_seen> seen;
    std::vector<mx::array> done;        /* what to wait for: the tokens, or a sign that the run is over; or nothing */
    struct drawn          *out;         /* lent until wait() */
    bool                   drawn;       /* *out is filled; otherwise the tokens are all there is to know */
};

struct backend {
    mx::Stream stream, host;            /* host: for drawing; the same where there is no GPU */
    bool       gpu, exact;
    bool       in_place;                /* states are written where they lie (write.cpp) */
    std::optional<mx::Dtype> type;      /* of activations and states, once it is known */
    std::vector<held>        weight;
    std::vector<std::vector<mx::array>> state;  /* TOKEN: keys and values, [n_block * block_tokens, width / 2]; SEQUENCE:
                                                   what is remembered, [seq_max + slot_extra, width], float32 */
    uint32_t    n_block = 0, block_tokens = 0;
    uint64_t    weight_bytes = 0;
    std::string broken;                 /* why the next run must fail; "" */

    backend(mx::Stream s, mx::Stream h, bool is_gpu, bool is_exact)
        : stream(s), host(h), gpu(is_gpu), exact(is_exact), in_place(false) {}
};

/* Rows of numbers, in the host's memory: they are read when a prompt is, once. */
struct features {
    std::vector<unsigned char> bytes;
};

/* An instruction with what it needs at every run made ready. */
struct step {
    const struct instr           *i;
    std::map<unsigned, mx::array> ready;        /* its vectors that are there, by number of the weight */
    std::string                   kernel;
};

struct plan {
    struct backend    *b;
    const struct prog *prog;
    struct plan_opts   opts;
    std::vector<step>  steps;
    std::vector<std::optional<mx::array>> value;        /* of the last run by val id: results; all with keep_all */
    std::optional<mx::array>              host_rows;    /* what result() returned */
    std::optional<mx::array>              tokens;       /* of the last draw */
    std::deque<std::unique_ptr<flight>>   flights;      /* oldest first */
    struct sampler *sampler = nullptr;
    uint32_t        n_vocab = 0, n_pick = 0;            /* n_pick: of the last run */
    struct overhead overhead = {};
};

/* The graph of one run; moves the states into it and back.  Throws. */
void walk_run(struct plan *pl, const struct batch *in);

/* Operations of a run of one token, those left out that only look at an array in another way. */
uint32_t walk_count(struct plan *pl);

/* What each instruction needs, once. */
std::vector<step> walk_steps(struct backend *b, const struct prog *p);

/* enum act, number by number. */
mx::array activate(uint8_t act, const mx::array &x, float limit);

/* OP_experts: rows of x through those that their rows of logits choose. */
mx::array experts(const struct backend *b, const step &s, const mx::array &x, const mx::array &logits);

/* Some sequences of equally many rows: inputs are [sequences, rows, width] and float32, as is all that comes out. */
struct recurred {
    mx::array out, memory;          /* memory: of any shape with as many numbers as the state has for the sequences */
};
recurred conv_rows(const step &s, const mx::array &x, const mx::array &memory);
recurred scan_rows(const step &s, const mx::array &x, const mx::array &in1, const mx::array &memory);
recurred delta_rows(const step &s, const mx::array &x, const mx::array &in1, const mx::array &memory);

/* Begins the draw of the last run's picked rows; the graph's head, to be evaluated, is left in pl->tokens. */
std::unique_ptr<flight> draw_begin(struct plan *pl, const struct draw how[], struct drawn out[]);

/* `state` with row i of `rows` in its row slot[i].  In place: the result is the same memory as `state`, which nobody may
 * read as it was any more, and nothing is copied; otherwise MLX copies a state that it cannot prove to be nobody else's. */
mx::array write_rows(const mx::array &state, const mx::array &rows, const mx::array &slot, bool in_place);

/* Whether writing in place works on this machine.  On a GPU its kernel is compiled and tried; when that fails, a line
 * says so. */
bool write_works(const struct backend *b);

#endif
