/* wordpiece.c -- the longest token that the rest of the word begins with, again and again; a word that does not come
 * out even is unknown as a whole. */
#include "text/coder.h"

static size_t chars_in(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((uint8_t)s.p[i] & 0xC0) != 0x80;
    return n;
}

/* The id of the longest token at word[at…], *end is where it ends; -1: none. */
static int32_t longest(const struct coder *m, struct coder_run *r, struct str word, size_t at, size_t *end)
{
    size_t most = word.n - at < m->token_bytes_max ? word.n - at : m->token_bytes_max;
    for (size_t n = most; n > 0; n--) {
        if (at + n < word.n && ((uint8_t)word.p[at + n] & 0xC0) == 0x80)
            continue;
        buf_clear(&r->text);
        if (at > 0)
            buf_str(&r->text, m->word_prefix);
        buf_append(&r->text, word.p + at, n);
        int32_t id = lexicon_find(&m->names, buf_view(&r->text));
        if (id >= 0) {
            *end = at + n;
            return id;
        }
    }
    return -1;
}

void wordpiece_encode(const struct coder *m, struct coder_run *r, struct str word, struct ids *out)
{
    size_t before = out->n;
    bool   even = chars_in(word) <= m->word_chars_max;
    for (size_t at = 0; even && at < word.n;) {
        int32_t id = longest(m, r, word, at, &at);
        even = id >= 0;
        if (even)
            ids_push(out, id);
    }
    if (!even) {
        out->n = before;
        ids_push(out, m->unk);
    }
}
