/* lex.h -- source to tokens, white space control done. */
#ifndef CHAT_LEX_H
#define CHAT_LEX_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum token_type { T_DATA, T_PRINT, T_PRINT_END, T_BLOCK, T_BLOCK_END, T_NAME, T_STRING, T_INT, T_FLOAT, T_OP, T_END };

struct token {
    enum token_type type;
    uint32_t        line;
    struct str      text;       /* a string with its quotes; an operator as written */
};

struct tokens {
    struct token *at;
    size_t        n;            /* the last one is T_END */
};

/* The tokens point into a copy of the source in the arena.  ERR_INVALID: "line N: …". */
MUST_USE bool lex(struct str source, struct arena *a, struct tokens *out, struct err *e);

#endif
