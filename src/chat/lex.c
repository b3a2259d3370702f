/* lex.c -- see lex.h.
 *
 * The environment is Hugging Face's: trim_blocks (the newline after a block or comment goes), lstrip_blocks (so does
 * the white space before one that begins a line), and one newline at the end of the source is dropped. */
#include "chat/lex.h"

#include "chat/unicode.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { BRACKETS_MAX = 256, SOURCE_MAX = 1 << 20 };

struct lexer {
    struct str     s;
    size_t         at;
    uint32_t       line;
    bool           line_start;      /* what came before ended a line */
    char           bracket[BRACKETS_MAX];
    size_t         n_bracket;
    struct arena  *a;
    struct token  *token;
    size_t         n, room;
    struct err    *e;
};

static bool fail(struct lexer *l, const char *what)
{
    return err_set(l->e, ERR_INVALID, "line %u: %s", l->line, what);
}

static bool here(const struct lexer *l, const char *z)
{
    size_t n = strlen(z);
    return l->s.n - l->at >= n && memcmp(l->s.p + l->at, z, n) == 0;
}

static char peek(const struct lexer *l, size_t ahead)
{
    return ahead < l->s.n - l->at ? l->s.p[l->at + ahead] : '\0';
}

static void advance(struct lexer *l, size_t n)
{
    for (size_t i = 0; i < n; i++)
        l->line += l->s.p[l->at + i] == '\n';
    l->at += n;
}

static bool push(struct lexer *l, enum token_type type, size_t from, size_t n, uint32_t line)
{
    if (l->n == l->room) {
        size_t        room = l->room ? l->room * 2 : 256;
        struct token *token = arena_new(l->a, room * sizeof *token);
        if (!token)
            return fail(l, "the template is too large");
        if (l->n)
            memcpy(token, l->token, l->n * sizeof *token);
        l->token = token;
        l->room = room;
    }
    l->token[l->n++] = (struct token){type, line, {l->s.p + from, n}};
    return true;
}

static void skip_space(struct lexer *l)
{
    size_t n;
    while ((n = unicode_space((struct str){l->s.p + l->at, l->s.n - l->at})) > 0)
        advance(l, n);
}

/* The sign right behind an opening: '-', '+' or none. */
static char sign_at(const struct lexer *l, size_t ahead)
{
    char c = peek(l, ahead);
    return c == '-' || c == '+' ? c : '\0';
}

/* Where the text [from, to) ends when what follows it strips white space. */
static size_t stripped(const struct lexer *l, size_t from, size_t to, char sign, bool block)
{
    struct str text = {l->s.p + from, to - from};
    if (sign == '-')
        return from + unicode_rstrip(text);
    if (sign == '+' || !block)
        return to;
    size_t line = to;
    while (line > from && l->s.p[line - 1] != '\n')
        line--;
    if (line == from && !l->line_start)
        return to;
    struct str head = {l->s.p + line, to - line};
    return unicode_rstrip(head) == 0 ? line : to;
}

/* After a block's or comment's end: "-" takes all white space that follows, "+" nothing, else one newline goes. */
static void trim_after(struct lexer *l, char sign)
{
    if (sign == '-')
        skip_space(l);
    else if (sign != '+' && peek(l, 0) == '\n')
        advance(l, 1);
    l->line_start = l->s.p[l->at - 1] == '\n';
}

/* "{%- raw -%}" and its like at the place `at`: how long it is, 0 when it is not that. */
struct tag {
    size_t n;
    char   open, close;     /* the signs */
};

static struct tag word_tag(const struct lexer *l, size_t at, const char *word)
{
    struct lexer look = *l;
    struct tag   t = {0};
    look.at = at;
    if (!here(&look, "{%"))
        return t;
    t.open = sign_at(&look, 2);
    look.at += t.open ? 3 : 2;
    skip_space(&look);
    if (!here(&look, word))
        return t;
    look.at += strlen(word);
    skip_space(&look);
    t.close = sign_at(&look, 0);
    look.at += t.close ? 1 : 0;
    if (here(&look, "%}"))
        t.n = look.at + 2 - at;
    return t;
}

static bool lex_raw(struct lexer *l, struct tag begin)
{
    advance(l, begin.n);
    if (begin.close == '-')
        skip_space(l);
    l->line_start = l->s.p[l->at - 1] == '\n';
    for (size_t i = l->at; i + 1 < l->s.n; i++) {
        if (l->s.p[i] != '{' || l->s.p[i + 1] != '%')
            continue;
        struct tag end = word_tag(l, i, "endraw");
        if (end.n == 0)
            continue;
        size_t to = stripped(l, l->at, i, end.open, true);
        if (!push(l, T_DATA, l->at, to - l->at, l->line))
            return false;
        advance(l, i + end.n - l->at);
        trim_after(l, end.close);
        return true;
    }
    return fail(l, "Missing end of raw directive");
}

static bool lex_comment(struct lexer *l)
{
    struct str rest = {l->s.p + l->at + 2, l->s.n - l->at - 2};
    size_t     end = str_find(rest, STR("#}"));
    if (end == STR_NONE)
        return fail(l, "Missing end of comment tag");
    char sign = end > 0 && (rest.p[end - 1] == '-' || rest.p[end - 1] == '+') ? rest.p[end - 1] : '\0';
    advance(l, end + 4);
    trim_after(l, sign);
    return true;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits with single underscores between them: how many bytes from `ahead`. */
static size_t digits(const struct lexer *l, size_t ahead)
{
    size_t n = 0;
    while (is_digit(peek(l, ahead + n)) || (n && peek(l, ahead + n) == '_' && is_digit(peek(l, ahead + n + 1))))
        n++;
    return n;
}

static bool lex_number(struct lexer *l)
{
    size_t n = 0, from = l->at;
    char   base = (char)(peek(l, 1) | 0x20);
    if (peek(l, 0) == '0' && (base == 'x' || base == 'o' || base == 'b')) {
        for (n = 2; is_name_char(peek(l, n));)
            n++;
        l->at += n;
        return push(l, T_INT, from, n, l->line);
    }
    n = digits(l, 0);
    bool real = false, after_dot = from > 0 && l->s.p[from - 1] == '.';
    if (!after_dot && peek(l, n) == '.' && is_digit(peek(l, n + 1))) {
        n += 1 + digits(l, n + 1);
        real = true;
    }
    if (!after_dot && (peek(l, n) | 0x20) == 'e') {
        size_t sign = peek(l, n + 1) == '-' || peek(l, n + 1) == '+';
        if (is_digit(peek(l, n + 1 + sign))) {
            n += 1 + sign + digits(l, n + 1 + sign);
            real = true;
        }
    }
    l->at += n;
    return push(l, real ? T_FLOAT : T_INT, from, n, l->line);
}

static bool lex_string(struct lexer *l)
{
    char     quote = peek(l, 0);
    size_t   n = 1, from = l->at;
    uint32_t line = l->line;
    for (; from + n < l->s.n; n++) {
        if (l->s.p[from + n] == '\\')
            n++;
        else if (l->s.p[from + n] == quote) {
            advance(l, n + 1);
            return push(l, T_STRING, from, n + 1, line);
        }
    }
    return fail(l, "a string has no end");
}

static bool lex_operator(struct lexer *l)
{
    static const char two[][3] = {"//", "**", "==", "!=", "<=", ">="};
    char              c = peek(l, 0);
    size_t            n = 1;
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        if (here(l, two[i]))
            n = 2;
    if (n == 1 && (c == '\0' || !strchr("+-*/%~[](){}<>=.:|,;", c)))
        return err_set(l->e, ERR_INVALID, "line %u: unexpected char '%c'", l->line, c < ' ' ? '?' : c);
    if (strchr("([{", c)) {
        if (l->n_bracket == BRACKETS_MAX)
            return fail(l, "brackets are nested too deep");
        l->bracket[l->n_bracket++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (strchr(")]}", c)) {
        if (l->n_bracket == 0 || l->bracket[l->n_bracket - 1] != c)
            return err_set(l->e, ERR_INVALID, "line %u: unexpected '%c'", l->line, c);
        l->n_bracket--;
    }
    l->at += n;
    return push(l, T_OP, l->at - n, n, l->line);
}

/* Whether the tag that is open ends here; takes the end.  *ok is false when that failed. */
static bool tag_end(struct lexer *l, enum token_type open, bool *ok)
{
    const char *end = open == T_BLOCK ? "%}" : "}}";
    char        sign = sign_at(l, 0);
    if (l->n_bracket || (sign == '+' && open == T_PRINT))
        return false;
    struct lexer look = *l;
    look.at += sign ? 1 : 0;
    if (!here(&look, end))
        return false;
    *ok = push(l, open == T_BLOCK ? T_BLOCK_END : T_PRINT_END, l->at, 2, l->line);
    advance(l, sign ? 3 : 2);
    if (open == T_BLOCK || sign == '-')
        trim_after(l, sign);
    else
        l->line_start = false;
    return true;
}

static bool lex_inside(struct lexer *l, enum token_type open)
{
    for (;;) {
        bool ok = true;
        skip_space(l);
        if (tag_end(l, open, &ok))
            return ok;
        if (l->at >= l->s.n)
            return fail(l, "unexpected end of template");
        char c = peek(l, 0);
        if (is_digit(c))
            ok = lex_number(l);
        else if (c == '\'' || c == '"')
            ok = lex_string(l);
        else if (is_name_char(c)) {
            size_t n = 1;
            while (is_name_char(peek(l, n)))
                n++;
            ok = push(l, T_NAME, l->at, n, l->line);
            l->at += n;
        } else
            ok = lex_operator(l);
        if (!ok)
            return false;
    }
}

/* Text up to the next opening, then that opening and what it opens. */
static bool lex_next(struct lexer *l)
{
    size_t end = l->at;
    while (end < l->s.n &&
           !(l->s.p[end] == '{' && end + 1 < l->s.n && l->s.p[end + 1] && strchr("{%#", l->s.p[end + 1])))
        end++;
    if (end == l->s.n) {
        bool ok = push(l, T_DATA, l->at, end - l->at, l->line);
        l->at = end;
        return ok;
    }
    char   kind = l->s.p[end + 1];
    size_t to = stripped(l, l->at, end, sign_at(l, end + 2 - l->at), kind != '{');
    if (to > l->at && !push(l, T_DATA, l->at, to - l->at, l->line))
        return false;
    l->line_start = false;
    struct tag raw = word_tag(l, end, "raw");
    advance(l, end - l->at);
    if (raw.n)
        return lex_raw(l, raw);
    if (kind == '#')
        return lex_comment(l);
    enum token_type open = kind == '%' ? T_BLOCK : T_PRINT;
    if (!push(l, open, l->at, 2, l->line))
        return false;
    advance(l, sign_at(l, 2) ? 3 : 2);
    return lex_inside(l, open);
}

/* A copy with every line ending "\n", the last one gone. */
static bool normalised(struct str source, struct arena *a, struct str *out)
{
    char  *p = arena_new(a, source.n + 1);
    size_t n = 0;
    if (!p)
        return false;
    for (size_t i = 0; i < source.n; i++) {
        p[n++] = source.p[i] == '\r' ? '\n' : source.p[i];
        if (source.p[i] == '\r' && i + 1 < source.n && source.p[i + 1] == '\n')
            i++;
    }
    if (n && p[n - 1] == '\n')
        n--;
    *out = (struct str){p, n};
    return true;
}

bool lex(struct str source, struct arena *a, struct tokens *out, struct err *e)
{
    struct lexer l = {.line = 1, .line_start = true, .a = a, .e = e};
    if (source.n > SOURCE_MAX || !normalised(source, a, &l.s))
        return fail(&l, "the template is larger than 1 MiB");
    if (!utf8_valid(source))
        return fail(&l, "the template is not UTF-8");
    while (l.at < l.s.n)
        if (!lex_next(&l))
            return false;
    if (!push(&l, T_END, l.s.n, 0, l.line))
        return false;
    *out = (struct tokens){l.token, l.n};
    return true;
}
