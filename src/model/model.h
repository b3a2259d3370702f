/* model.h -- from a checkpoint to programs.
 *
 * One file a model, one line in models.def.  A model file reads the configuration, refuses what it cannot honour, and
 * writes the program "text": tokens in, "logits" out.  A model that sees has a program "vision", too: patches of pictures
 * in, features out, which "text" places among its rows. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "program/program.h"
#include "store/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

struct model_info {
    char     arch[64];              /* as the configuration names it: "LlamaForCausalLM" */
    uint32_t n_vocab, n_layer, width, n_head, n_kv_head, head_dim, ff;
    uint32_t context;               /* tokens the model was made for */
    uint64_t n_param;
};

/* How pictures become features, and features text.
 *
 * A picture is what the tower looks at as one: an image, a tile of one, a pair of frames.  It is a sequence of the program:
 * `lead` rows of zeroes first, then its patches, merge * merge neighbours side by side and these blocks in reading order.  A
 * patch is a row of channels * temporal * patch * patch numbers, [channel][frame][y][x]; an image shows the same frame
 * `temporal` times.  Every block makes one row of features, behind `lead` of no use; those of level 0 are the result
 * "features", and where levels follow they are "features.1", "features.2", …, all of model_info's width.
 *
 * The inputs of the program are "patches" and, where there are tables of positions, "place" and "share", n_place columns
 * each, which vision_fill() fills in with everything else that depends on a picture's size alone.  With `ordered`, blocks come
 * to the program in an order of vision_fill()'s, and so do the features. */
struct vision {
    struct prog *prog;              /* of the bundle, ended */
    uint32_t patch, temporal, channels, patch_width;
    uint32_t merge, lead;
    uint32_t n_level;               /* 1, or more */
    uint32_t n_place;               /* 0: no tables of positions */
    uint32_t side;                  /* patches along each side, where all pictures have one size; 0: any */
    bool     ordered, windows;      /* windows: the program wants batch.window */
    bool     axes;                  /* positions among text have three axes (time, row, column) that a picture spreads over */
    bool     sees;                  /* tokens of one picture see each other, those behind them, too (batch.see) */
    bool     pairs;                 /* every pair of frames of a video stands by itself among text, with its time before it */
    bool     newline;               /* an item of several tiles has model_newline() behind each of its rows */
    double   time_rate;             /* steps on the axis of time a second, for videos that are one item; 0: a step a pair */
    int32_t  image_token, video_token, start_token, end_token;  /* -1: there is none */
    /* Inside. */
    uint32_t grid, window;          /* points along a side of the table of positions; blocks along a window's */
};

/* What a picture of rows * columns patches wants, one after the other in the caller's room; n rows of the program from
 * vision_rows(), m features from vision_features() (those of no use are not counted).  Counts of windows: at most one a block.
 * rows and columns are multiples of `merge`, and `side` where that is set. */
struct vision_fill {
    uint32_t *pos;                  /* row of the patch, and column: [2], pos_stride apart; NULL: not wanted */
    size_t    pos_stride;
    float    *place, *share;        /* [n][n_place]; NULL where that is 0 */
    uint32_t *order;                /* [m] which block, counted in reading order, comes in each place; NULL: not wanted */
    uint32_t *window;               /* [windows] where each ends, counted from the picture's first row; NULL: not wanted */
};
uint32_t vision_rows(const struct vision *v, uint32_t rows, uint32_t columns);
uint32_t vision_features(const struct vision *v, uint32_t rows, uint32_t columns);
uint32_t vision_fill(const struct vision *v, uint32_t rows, uint32_t columns, const struct vision_fill *out);  /* how many windows */

/* Positions among text of an item of n_pair pictures of rows * columns patches, whose first token stands at `at`: three axes, `stride`
 * apart, a number for each of its tokens; seconds are between its pairs of frames (0: an image).  Returns where the text
 * behind goes on. */
uint32_t vision_positions(const struct vision *v, uint32_t at, uint32_t n_pair, uint32_t rows, uint32_t columns, double seconds,
                          uint32_t *pos, size_t stride);

struct model {
    struct model_info info;
    struct bundle    *bundle;       /* owned */
    struct prog      *text;         /* of the bundle, ended */
    struct vision     vision;       /* prog NULL: it sees nothing */
    const struct checkpoint *checkpoint;    /* borrowed */
    json              config;       /* of the text: config.json, or what it has under "text_config"; borrowed */
    uint32_t          tower_layers; /* of the tower's layers, those that its program runs; 0: all */
    struct made      *made;         /* tensors that the checkpoint has in another form; owned */
};

/* ERR_UNSUPPORTED for an architecture or a setting not known here, by name; ERR_CORRUPT for a configuration that makes
 * no sense, or a weight that is missing or has another shape (every weight is looked up, no number is read). */
MUST_USE bool model_open(struct model **out, const struct checkpoint *c, struct err *e);
void          model_close(struct model *m);     /* NULL is fine; the checkpoint stays open */

/* Finds a tensor by the name that it has in programs.  Checkpoints of models that see have their parts under many roofs, which
 * stand for three here: text is "model." and "lm_head.", the tower "vision.", what lies between "projector.".  real: room for 256,
 * gets the name in the checkpoint; or NULL. */
bool model_find(const struct model *m, const char *name, struct tensor *out, char *real);

/* The checkpoint tensors behind weight w, in stacking order, checked.  *n 0: optional and absent, or a constant. */
MUST_USE bool model_weight(const struct model *m, wt w, struct tensor part[4], size_t *n, struct err *e);

/* The row that stands behind each row of features (struct vision: newline), model_info's width. */
MUST_USE bool model_newline(const struct model *m, float *out, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
