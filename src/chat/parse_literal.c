/* parse_literal.c -- strings and numbers as they are written. */
#include "chat/parse.h"
#include "chat/text.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* n hexadecimal digits at s.p[at]. */
static bool hex_digits(struct str s, size_t at, size_t n, uint32_t *out)
{
    *out = 0;
    if (s.n - at < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int d = hex(s.p[at + i]);
        if (d < 0)
            return false;
        *out = *out << 4 | (uint32_t)d;
    }
    return true;
}

/* One escape, s.p[at] being the character behind the backslash: writes it to `to`, moves both on. */
static bool escape(struct parser *p, struct str s, size_t *at, char **to)
{
    static const char letters[] = "abfnrtv\\'\"", means[] = "\a\b\f\n\r\t\v\\'\"";
    char              c = s.p[*at];
    const char       *known = c ? strchr(letters, c) : NULL;
    size_t            n = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    uint32_t          cp = 0;
    if (known) {
        *(*to)++ = means[known - letters];
        ++*at;
        return true;
    }
    if (c == '\n') {
        ++*at;
        return true;
    }
    if (c >= '0' && c <= '7') {
        for (n = 0; n < 3 && *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '7'; n++)
            cp = cp * 8 + (uint32_t)(s.p[(*at)++] - '0');
    } else if (n) {
        if (!hex_digits(s, *at + 1, n, &cp) || cp > 0x10FFFF)
            return parse_fail(p, "a string has a bad \\%c escape", c);
        *at += n + 1;
    } else {
        *(*to)++ = '\\';
        return true;
    }
    if (cp >= 0xD800 && cp < 0xE000)
        return parse_fail(p, "a string has an escape for half a character");
    *to += utf8_encode(cp, *to);
    return true;
}

/* No escape is shorter than what it stands for, so the literals' own length is enough room. */
struct node *parse_string(struct parser *p)
{
    struct node *n = parse_node(p, N_CONST);
    size_t       bytes = 0;
    for (size_t i = p->at; p->tokens.at[i].type == T_STRING; i++)
        bytes += p->tokens.at[i].text.n;
    char *from = n ? parse_new(p, bytes, 1) : NULL, *to = from;
    if (!from)
        return NULL;
    for (; parse_token(p)->type == T_STRING; p->at++) {
        struct str s = {parse_token(p)->text.p + 1, parse_token(p)->text.n - 2};
        for (size_t i = 0; i < s.n;)
            if (s.p[i] != '\\')
                *to++ = s.p[i++];
            else if (++i, !escape(p, s, &i, &to))
                return NULL;
    }
    struct text *t = text_constant(&p->t->arena, (struct str){from, (size_t)(to - from)});
    if (!t) {
        parse_fail(p, "the template is too large");
        return NULL;
    }
    n->value = value_text(t);
    return n;
}

static bool whole(struct str digits, unsigned base, int64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] == '_')
            continue;
        int d = hex(digits.p[i]);
        if (d < 0 || (unsigned)d >= base || __builtin_mul_overflow(*out, (int64_t)base, out) ||
            __builtin_add_overflow(*out, d, out))
            return false;
    }
    return digits.n > 0;
}

struct node *parse_number(struct parser *p)
{
    const struct token *t = parse_token(p);
    struct node        *n = parse_node(p, N_CONST);
    struct str          s = t->text;
    if (!n)
        return NULL;
    if (t->type == T_INT) {
        char     c = s.n > 1 ? (char)(s.p[1] | 0x20) : '\0';
        unsigned base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 10;
        size_t   skip = base == 10 ? 0 : 2;
        int64_t  i;
        if (!whole((struct str){s.p + skip, s.n - skip}, base, &i)) {
            parse_fail(p, "'%.*s' is not a number of 64 bits", (int)(s.n < 100 ? s.n : 100), s.p);
            return NULL;
        }
        n->value = value_int(i);
    } else {
        char  *text = parse_new(p, s.n + 1, 1);
        size_t k = 0;
        if (!text)
            return NULL;
        for (size_t i = 0; i < s.n; i++)
            if (s.p[i] != '_')
                text[k++] = s.p[i];
        n->value = value_float(strtod(text, NULL));
    }
    p->at++;
    return n;
}
