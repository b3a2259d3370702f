/* buf.h -- bytes that grow, up to a limit.
 *
 * When an append would pass bytes_max (0: no limit) nothing is appended and the buffer is marked full; later appends do
 * nothing either, so a writer checks once, at the end.  There is always a NUL behind the last byte. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/err.h"
#include "base/str.h"

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

struct buf {
    char  *p;
    size_t n, room, bytes_max;
    bool   full;
};

void buf_init(struct buf *b, size_t bytes_max);
void buf_drop(struct buf *b);
void buf_clear(struct buf *b);                              /* keeps the memory */

bool buf_append(struct buf *b, const void *p, size_t n);    /* false: full */
bool buf_str(struct buf *b, struct str s);
bool buf_char(struct buf *b, char c);
bool buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);

char      *buf_reserve(struct buf *b, size_t n);            /* room for n more bytes, NULL: full; then b->n += … */
void       buf_cut(struct buf *b, size_t from);             /* drops the first `from` bytes */
struct str buf_view(const struct buf *b);                   /* good until the next append */
char      *buf_take(struct buf *b);                         /* the bytes, to be freed by the caller; b is empty then */

#ifdef __cplusplus
}
#endif
#endif
