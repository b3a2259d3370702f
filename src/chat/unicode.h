/* unicode.h -- characters as Python's str methods see them, but for rarities: of the characters that become several in
 * another case only the sharp s does, and Han numerals are not numeric. */
#ifndef CHAT_UNICODE_H
#define CHAT_UNICODE_H

#include "base/str.h"

size_t unicode_space(struct str s);     /* bytes of the white space character at the front; 0: none there */
size_t unicode_rstrip(struct str s);    /* length without the white space at the end */

enum unicode_class { U_ALPHA, U_DIGIT, U_DECIMAL, U_NUMERIC, U_HIDDEN, U_SPACE, U_CLASS_COUNT };
bool unicode_is(uint32_t cp, enum unicode_class c);

/* The character in another case, as UTF-8: 1..16 bytes, returned. */
enum unicode_case { U_LOWER, U_UPPER, U_TITLE };
size_t unicode_to(uint32_t cp, enum unicode_case c, char out[16]);
bool   unicode_cased(uint32_t cp);      /* has another case */

#endif
