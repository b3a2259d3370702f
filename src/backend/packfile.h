/* packfile.h -- weights as a backend repacked them, kept in a file that the next start maps.
 *
 * A head of HEAD bytes, then the weights as one piece of memory, laid out as the backend likes: it knows what lies where
 * from the weights themselves, and `shape` is the hash of all that it computes this from.  So there is no table to trust.
 * The head ends with a hash of itself and has a sum of all that follows, so that a file of which only a part reached the
 * disk before the power went is not taken for whole.  Numbers are little-endian, as every host here.
 *
 * A file is only ever seen whole: it is written under another name, and takes the place of an older one when it is done.
 * Nothing else may write to it; who removes it does not disturb those who have mapped it.
 *
 * Measured (Linux 6.18, ext4, two cores of an EPYC; runs alternated within one process): decoding with weights in a mapped
 * file takes 0 to 1 % longer than on anonymous huge pages.  So there is no reading into memory of our own. */
#ifndef BACKEND_PACKFILE_H
#define BACKEND_PACKFILE_H

#include "base/err.h"
#include "base/hash.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PACKFILE_HEAD = 4096, PACKFILE_LABEL = 3072, PACKFILE_PIECE = 256 << 10 };

struct packfile_head {
    struct sha256 key;              /* what it was made from */
    uint32_t      layout;           /* how the backend packs, by its own count */
    uint64_t      shape, bytes;     /* of what follows the head */
    uint64_t      sum;
    char          label[PACKFILE_LABEL];    /* for people: the model's path */
};

/* ERR_CORRUPT, ERR_UNSUPPORTED (another version of this very format).  n: the bytes there are; file_bytes: of the file. */
MUST_USE bool packfile_parse(struct packfile_head *out, const uint8_t *p, size_t n, uint64_t file_bytes, struct err *e);
void          packfile_print(const struct packfile_head *h, uint8_t out[PACKFILE_HEAD]);

/* The head of a file; only its first bytes are read. */
MUST_USE bool packfile_look(struct packfile_head *out, const char *path, struct err *e);

/* Piece i of the memory's sum; the sum is that of all pieces, in any order. */
uint32_t packfile_pieces(uint64_t bytes);
uint64_t packfile_piece_sum(const uint8_t *data, uint64_t bytes, uint32_t i);

struct packfile {
    uint8_t *data;                  /* NULL: there is none */
    uint64_t bytes;
    char    *path, *unfinished;     /* the name while it is written; NULL: it was mapped, or is done */
    int      fd;                    /* of that; -1 */
};

/* Maps what an earlier start left for this key, layout, shape and number of bytes, and marks it as used now.  Whether
 * head.sum is that of the data is the caller's to find out.  ERR_NOT_FOUND: there is none; anything else: it is no good. */
MUST_USE bool packfile_open(struct packfile *out, const char *path, const struct packfile_head *want, uint64_t *sum, struct err *e);

/* Room on the disk for a new one, zeroed, to be written to; folders are made.  ERR_TOO_LARGE: it would leave the disk
 * less than PACKFILE_SPARE.  What dead processes left unfinished in the folder is removed. */
#define PACKFILE_SPARE ((uint64_t)512 << 20)
MUST_USE bool packfile_new(struct packfile *out, const char *path, uint64_t bytes, struct err *e);

/* Gives it its name; from now on it can only be read.  False: it has none, but the memory is as good as before. */
MUST_USE bool packfile_finish(struct packfile *f, const struct packfile_head *h, struct err *e);

void packfile_close(struct packfile *f);        /* removes what is unfinished; a zeroed one is fine */

#ifdef __cplusplus
}
#endif
#endif
