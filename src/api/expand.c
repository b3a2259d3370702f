/* expand.c -- see expand.h. */
#include "api/expand.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* The model's words. */
struct words {
    struct str image, video, start, end;        /* {NULL, 0}: it has none */
    bool       framed;                          /* the template writes `start` for a picture, and all else is put around it */
};

/* One conversation on its way. */
struct expansion {
    const struct tokenizer *tokenizer;
    struct views           *views;
    struct words            words;
    struct buf              text;
    struct cut {
        size_t end;
        bool   trusted;
    }                      *cut;
    size_t                  n_cut, room;
    size_t                 *order, n_order;     /* views as they came */
    size_t                  next[2];            /* the first picture, the first video that has not come */
};

static struct str word(const struct tokenizer *t, int32_t id)
{
    return id >= 0 ? tokenizer_token(t, id) : (struct str){NULL, 0};
}

static void end_cut(struct expansion *x, bool trusted)
{
    if (x->n_cut == x->room) {
        x->room = x->room ? 2 * x->room : 64;
        x->cut = mem_grow(x->cut, x->room, sizeof *x->cut);
    }
    x->cut[x->n_cut++] = (struct cut){x->text.n, trusted};
}

static void repeat(struct expansion *x, struct str what, uint32_t n)
{
    while (n-- > 0)
        buf_str(&x->text, what);
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

static void write_view(struct expansion *x, size_t i)
{
    const struct words *w = &x->words;
    const struct view  *v = &x->views->view[i];
    uint32_t            n = views_pads(x->views, i);
    if (v->is_video && x->views->eyes->vision->pairs) {
        for (uint32_t k = 0; k < views_blocks(x->views, i); k++) {
            buf_printf(&x->text, "<%.1f seconds>", v->second[k]);
            buf_str(&x->text, w->start);
            repeat(x, w->video, n);
            buf_str(&x->text, w->end);
        }
    } else if (w->framed) {
        buf_str(&x->text, STR("\n\n"));
        buf_str(&x->text, w->start);
        repeat(x, w->image, n);
        buf_str(&x->text, w->end);
        buf_str(&x->text, STR("\n\n"));
    } else {
        repeat(x, v->is_video ? w->video : w->image, n);
    }
}

/* The next view of its kind takes the place.  False: there is none left. */
static bool show(struct expansion *x, bool is_video, struct err *e)
{
    size_t *next = &x->next[is_video];
    while (*next < x->views->n && x->views->view[*next].is_video != is_video)
        ++*next;
    if (*next == x->views->n)
        return err_set(e, ERR_INVALID, "the chat template shows more %s than the messages have", is_video ? "videos" : "pictures");
    x->order[x->n_order++] = *next;
    write_view(x, *next);
    ++*next;
    return true;
}

/* The first placeholder in s; STR_NONE: none. */
static size_t find_placeholder(const struct expansion *x, struct str s, bool *is_video, struct str *found)
{
    const struct words *w = &x->words;
    struct str          image = w->framed ? w->start : w->image;
    size_t              a = image.n ? str_find(s, image) : STR_NONE, b = w->video.n ? str_find(s, w->video) : STR_NONE;
    *is_video = b < a;
    *found = *is_video ? w->video : image;
    return *is_video ? b : a;
}

/* A video in pairs brings its own frame around each: the template's goes. */
static void unframe(struct expansion *x, struct str *rest)
{
    struct str before = {x->text.p, x->text.n};
    if (!x->views->eyes->vision->pairs || !str_ends(before, x->words.start) || !str_starts(*rest, x->words.end))
        return;
    x->text.n -= x->words.start.n;
    x->text.p[x->text.n] = '\0';
    *rest = (struct str){rest->p + x->words.end.n, rest->n - x->words.end.n};
}

static bool take_trusted(struct expansion *x, struct str s, struct err *e)
{
    for (;;) {
        bool       is_video;
        struct str found;
        size_t     at = find_placeholder(x, s, &is_video, &found);
        if (at == STR_NONE)
            break;
        struct str rest = {s.p + at + found.n, s.n - at - found.n};
        buf_append(&x->text, s.p, at);
        if (is_video)
            unframe(x, &rest);
        if (!show(x, is_video, e))
            return false;
        s = rest;
    }
    buf_str(&x->text, s);
    return true;
}

/* Neighbouring runs of the template's own words are one text. */
static bool take_runs(struct expansion *x, const struct rendered *r, struct err *e)
{
    for (size_t i = 0, from = 0; i < r->n_run;) {
        bool trusted = r->run[i].trusted;
        while (i < r->n_run && r->run[i].trusted == trusted)
            i++;
        struct str s = {r->text.p + from, r->run[i - 1].end - from};
        from = r->run[i - 1].end;
        if (!trusted)
            buf_str(&x->text, s);
        else if (!take_trusted(x, s, e))
            return false;
        end_cut(x, trusted);
    }
    return !x->text.full || err_set(e, ERR_TOO_LARGE, "the messages and what they show make too long a prompt");
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static bool encode(struct expansion *x, struct ids *out, struct err *e)
{
    struct piece *piece = mem_array(x->n_cut + 1, sizeof *piece);
    for (size_t i = 0, from = 0; i < x->n_cut; from = x->cut[i++].end)
        piece[i] = (struct piece){{x->text.p + from, x->cut[i].end - from}, x->cut[i].trusted};
    bool ok = tokenizer_encode(x->tokenizer, piece, x->n_cut, false, out, e);
    free(piece);
    return ok;
}

/* Each block's pads stand together, in the order in which they were written. */
static bool find_rows(struct expansion *x, const struct ids *ids, uint32_t *row, struct err *e)
{
    const struct vision *v = x->views->eyes->vision;
    size_t               at = 0;
    for (size_t k = 0; k < x->n_order; k++) {
        size_t  i = x->order[k];
        int32_t pad = x->views->view[i].is_video ? v->video_token : v->image_token;
        for (uint32_t block = 0; block < views_blocks(x->views, i); block++) {
            uint32_t n = 0, wanted = views_pads(x->views, i);
            while (at < ids->n && ids->id[at] != v->image_token && ids->id[at] != v->video_token)
                at++;
            *row++ = (uint32_t)at;
            for (; n < wanted && at < ids->n && ids->id[at] == pad; n++)
                at++;
            if (n < wanted)
                return err_set(e, ERR_INTERNAL, "the tokenizer does not read the placeholders of pictures as such");
        }
    }
    return true;
}

static bool all_shown(const struct expansion *x, struct err *e)
{
    return x->n_order == x->views->n
           || err_set(e, ERR_INVALID, "the chat template shows %zu of the %zu pictures and videos that the messages have", x->n_order, x->views->n);
}

bool expand_encode(const struct tokenizer *t, const struct rendered *r, struct views *v, struct ids *out, struct err *e)
{
    const struct vision *s = v->eyes->vision;
    struct expansion     x = {.tokenizer = t, .views = v, .order = mem_array(v->n + 1, sizeof *x.order)};
    size_t               n_block = 1;
    x.words = (struct words){word(t, s->image_token), word(t, s->video_token), word(t, s->start_token), word(t, s->end_token), s->sees};
    buf_init(&x.text, (size_t)64 << 20);
    for (size_t i = 0; i < v->n; i++)
        n_block += views_blocks(v, i);
    uint32_t *row = mem_array(n_block, sizeof *row);
    bool      ok = take_runs(&x, r, e) && all_shown(&x, e) && encode(&x, out, e) && find_rows(&x, out, row, e);
    if (ok)
        views_place(v, x.order, row);
    else if (!e->param[0])
        snprintf(e->param, sizeof e->param, "messages");
    free(row);
    free(x.order);
    free(x.cut);
    buf_drop(&x.text);
    return ok;
}
