/* unicode.h -- what a character is, as tokenizers ask it (utf8proc wrapped), and GPT-2's byte alphabet. */
#ifndef TEXT_UNICODE_H
#define TEXT_UNICODE_H

#include "base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

bool uni_space(uint32_t cp);        /* the property White_Space */
bool uni_number(uint32_t cp);       /* Nd, Nl, No */
bool uni_punct(uint32_t cp);        /* P* and ASCII's other marks ($ + < = > ^ ` | ~) */
bool uni_mark(uint32_t cp);         /* Mn, Mc, Me */
bool uni_mark_thin(uint32_t cp);    /* Mn: takes no room of its own */
bool uni_word(uint32_t cp);         /* a letter, mark, digit or connector */
bool uni_control(uint32_t cp);      /* Cc, Cf, Co, but not tab and line ends */
bool uni_chinese(uint32_t cp);      /* an ideograph, by blocks */

enum uni_form { UNI_NFC, UNI_NFD, UNI_NFKC, UNI_NFKD };

/* Append s (valid UTF-8) in another form. */
void uni_normalize(struct str s, enum uni_form form, struct buf *out);
void uni_lower(struct str s, struct buf *out);

/* GPT-2's alphabet: a printable character for each byte, so that any bytes can be spelled as text. */
void uni_spell_bytes(struct str bytes, struct buf *out);
int  uni_spelled_byte(uint32_t cp);     /* -1: in no spelling */

#ifdef __cplusplus
}
#endif
#endif
