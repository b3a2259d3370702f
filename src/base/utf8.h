/* utf8.h -- UTF-8 as it comes: checked, decoded, cut at whole characters. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/buf.h"
#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Length of the character at the front (1..4) and its code point; 0: the bytes there are no character (overlong forms,
 * surrogates and values over U+10FFFF are none). */
unsigned utf8_decode(struct str s, uint32_t *cp);
unsigned utf8_encode(uint32_t cp, char out[4]);     /* bytes written; cp must be a valid scalar value */
bool     utf8_valid(struct str s);

/* Number of bytes at the end that begin a character and may be completed by what follows: 0..3. */
unsigned utf8_tail(struct str s);

/* Appends s with each ill-formed part (longest possible start of a character, or one byte) as one U+FFFD, as Python's
 * errors="replace" and the WHATWG decoder do. */
bool utf8_clean(struct str s, struct buf *out);

#ifdef __cplusplus
}
#endif
#endif
