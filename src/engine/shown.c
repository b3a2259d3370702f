/* shown.c -- see shown.h. */
#include "engine/shown.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(offsetof(struct item, row) == 0 && offsetof(struct item, n) == 4, "first_behind() reads them");
_Static_assert(offsetof(struct media_span, row) == 0 && offsetof(struct media_span, n) == 4, "first_behind() reads them");

/* ---- checking ---------------------------------------------------------------------------------------------------- */

static bool check_pictures(const struct media *m, const struct vision *v, uint32_t patches_max, struct err *e)
{
    for (uint32_t i = 0; i < m->n_picture; i++) {
        const struct picture *p = &m->picture[i];
        bool                  fits = p->rows && p->columns && p->rows % v->merge == 0 && p->columns % v->merge == 0
                                     && (!v->side || (p->rows == v->side && p->columns == v->side));
        if (!fits)
            return err_set(e, ERR_INVALID, "picture %" PRIu32 " has %" PRIu32 " x %" PRIu32 " patches, which the model cannot take", i,
                           p->rows, p->columns);
        if ((uint64_t)p->rows * p->columns > patches_max)
            return err_set(e, ERR_INVALID, "picture %" PRIu32 " has %" PRIu64 " patches; %" PRIu32 " are looked at here at most", i,
                           (uint64_t)p->rows * p->columns, patches_max);
    }
    return true;
}

static bool check_span(const struct media *m, const struct vision *v, const struct media_span *s, struct err *e)
{
    uint32_t rows = 1;
    if (s->picture == MEDIA_NEWLINE ? !v->newline : s->picture >= m->n_picture)
        return err_set(e, ERR_INVALID, "row %" PRIu32 " of the prompt shows a picture that is not there", s->row);
    if (s->picture != MEDIA_NEWLINE)
        rows = vision_features(v, m->picture[s->picture].rows, m->picture[s->picture].columns);
    return (s->n > 0 && s->from < rows && s->n <= rows - s->from)
           || err_set(e, ERR_INVALID, "row %" PRIu32 " of the prompt shows more than a picture has", s->row);
}

/* Items rise, and the spans cover them without a gap. */
static bool check_order(const struct job *j, const struct vision *v, struct err *e)
{
    const struct media *m = &j->media;
    uint32_t            row = 0, s = 0;
    for (uint32_t i = 0; i < m->n_item; i++) {
        const struct item *it = &m->item[i];
        if (it->n == 0 || it->row < row || it->row > j->n_token || it->n > j->n_token - it->row)
            return err_set(e, ERR_INVALID, "item %" PRIu32 " lies outside the prompt or over the one before", i);
        if (v->axes && (uint64_t)it->n_pair * it->rows * it->columns != (uint64_t)it->n * v->merge * v->merge)
            return err_set(e, ERR_INVALID, "item %" PRIu32 " has %" PRIu32 " rows for a grid of %" PRIu32 " x %" PRIu32 " x %" PRIu32, i, it->n,
                           it->n_pair, it->rows, it->columns);
        for (row = it->row; s < m->n_span && row < it->row + it->n; row += m->span[s++].n) {
            if (m->span[s].row != row || m->span[s].n > it->row + it->n - row)
                return err_set(e, ERR_INVALID, "the spans of item %" PRIu32 " do not fit", i);
            if (!check_span(m, v, &m->span[s], e))
                return false;
        }
        if (row != it->row + it->n)
            return err_set(e, ERR_INVALID, "item %" PRIu32 " has rows without features", i);
    }
    return s == m->n_span || err_set(e, ERR_INVALID, "there are features for rows outside all items");
}

/* The row behind each picture's last. */
static void find_ends(const struct media *m, uint32_t *until)
{
    for (uint32_t i = 0; i < m->n_span; i++)
        if (m->span[i].picture != MEDIA_NEWLINE)
            until[m->span[i].picture] = m->span[i].row + m->span[i].n;
}

/* Pages that are held at once at most: a picture's from its first row to its last. */
static uint64_t pages_at_once(const struct media *m, const struct vision *v)
{
    uint32_t *until = mem_array(m->n_picture + 1, sizeof *until), *begun = mem_array(m->n_picture + 1, sizeof *begun);
    uint64_t  most = 0;
    uint32_t  n = 0;
    find_ends(m, until);
    for (uint32_t i = 0; i < m->n_span; i++) {
        const struct media_span *s = &m->span[i];
        uint64_t                 pages = 0;
        uint32_t                 k = 0, kept = 0;
        while (k < n && begun[k] != s->picture)
            k++;
        if (k == n && s->picture != MEDIA_NEWLINE)
            begun[n++] = s->picture;
        for (k = 0; k < n; k++)
            if (until[begun[k]] > s->row) {
                pages += gallery_pages(vision_features(v, m->picture[begun[k]].rows, m->picture[begun[k]].columns));
                begun[kept++] = begun[k];
            }
        n = kept;
        most = pages > most ? pages : most;
    }
    free(until);
    free(begun);
    return most;
}

bool shown_check(const struct job *j, const struct vision *v, uint32_t patches_max, uint32_t n_page, struct err *e)
{
    if (j->media.n_item == 0)
        return true;
    if (!v->prog)
        return err_set(e, ERR_UNSUPPORTED, "this model reads text; it has no eyes for pictures");
    if (!check_pictures(&j->media, v, patches_max, e) || !check_order(j, v, e))
        return false;
    uint64_t pages = pages_at_once(&j->media, v);
    return pages <= n_page || err_set(e, ERR_INVALID, "the pictures take %" PRIu64 " pages of features at once; there are %" PRIu32, pages, n_page);
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static void *copied(const void *p, size_t n, size_t each)
{
    void *out = mem_array(n + 1, each);
    if (n)
        memcpy(out, p, n * each);
    return out;
}

/* Its key, where it lies in a block that begins at row `first`, and in which shape. */
static void add_name(const struct item *it, uint32_t first, struct sha256_run *h)
{
    int64_t where[5] = {(int64_t)it->row - first, it->n, it->n_pair, it->rows, it->columns};
    sha256_add(h, where, sizeof where);
    sha256_add(h, &it->seconds, sizeof it->seconds);
    sha256_add(h, it->key.byte, sizeof it->key.byte);
}

/* What rows first … first + n - 1 show: each item that reaches in. */
static struct kv_seen name_of(const struct shown *x, uint32_t first, uint32_t n, uint32_t *at, struct sha256_run *h)
{
    const struct media *m = &x->media;
    struct kv_seen      seen = {.n = 0};
    while (*at < m->n_item && m->item[*at].row + m->item[*at].n <= first)
        ++*at;
    for (uint32_t i = *at; i < m->n_item && m->item[i].row < first + n;) {
        seen.item[seen.n].from = m->item[i].row > first ? m->item[i].row - first : 0;
        sha256_start(h);
        do
            add_name(&m->item[i++], first, h);
        while (seen.n == KV_SEEN_MAX - 1 && i < m->n_item && m->item[i].row < first + n);
        seen.item[seen.n++].name = sha256_end(h);
    }
    return seen;
}

static void set_positions(struct shown *x, const struct vision *v)
{
    uint32_t at = 0, row = 0;
    x->pos = mem_array((size_t)x->n_prompt * SHOWN_AXES, sizeof *x->pos);
    for (uint32_t i = 0; i <= x->media.n_item; i++) {
        const struct item *it = &x->media.item[i];
        uint32_t           end = i < x->media.n_item ? it->row : x->n_prompt;
        for (; row < end; row++, at++)
            for (uint32_t axis = 0; axis < SHOWN_AXES; axis++)
                x->pos[(size_t)axis * x->n_prompt + row] = at;
        if (i == x->media.n_item)
            break;
        at = vision_positions(v, at, it->n_pair, it->rows, it->columns, it->seconds, x->pos + row, x->n_prompt);
        row += it->n;
    }
    x->behind = at;
}

/* The pictures' names under a salt: features, too, are shared with equal salts only. */
static struct picture *salted(const struct job *j, struct sha256_run *h)
{
    struct picture *p = copied(j->media.picture, j->media.n_picture, sizeof *p);
    for (uint32_t i = 0; j->salt.n && i < j->media.n_picture; i++) {
        sha256_start(h);
        sha256_add(h, p[i].key.byte, sizeof p[i].key.byte);
        sha256_add(h, j->salt.p, j->salt.n);
        p[i].key = sha256_end(h);
    }
    return p;
}

struct shown *shown_new(const struct job *j, const struct vision *v, uint32_t block_tokens, struct sha256_run *h)
{
    const struct media *m = &j->media;
    struct shown       *x = mem_new(sizeof *x);
    uint32_t            at = 0;
    *x = (struct shown){
        .media = {salted(j, h), copied(m->item, m->n_item, sizeof *m->item),
                  copied(m->span, m->n_span, sizeof *m->span), m->n_picture, m->n_item, m->n_span},
        .n_seen = j->n_token / block_tokens + (j->n_token % block_tokens != 0), .n_prompt = j->n_token, .behind = j->n_token,
        .together = v->sees, .want = MEDIA_NEWLINE,
        .sight = mem_array(m->n_picture + 1, sizeof *x->sight), .until = mem_array(m->n_picture + 1, sizeof *x->until),
        .counted = mem_array(m->n_picture + 1, sizeof *x->counted),
    };
    find_ends(&x->media, x->until);
    x->seen = mem_array(x->n_seen, sizeof *x->seen);
    for (uint32_t k = 0; k < x->n_seen; k++)
        x->seen[k] = name_of(x, k * block_tokens, block_tokens, &at, h);
    if (v->axes)
        set_positions(x, v);
    return x;
}

void shown_free(struct shown *x)
{
    if (!x)
        return;
    for (uint32_t i = 0; i < x->media.n_picture; i++)
        CHECK(!x->sight[i]);
    free((void *)(uintptr_t)x->media.picture);
    free((void *)(uintptr_t)x->media.item);
    free((void *)(uintptr_t)x->media.span);
    free(x->seen);
    free(x->pos);
    free(x->sight);
    free(x->until);
    free(x->counted);
    free(x);
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

const struct kv_seen *shown_in_block(const struct shown *x, uint32_t k)
{
    return x && k < x->n_seen && x->seen[k].n ? &x->seen[k] : NULL;
}

uint32_t shown_pos(const struct shown *x, uint32_t axis, uint32_t row)
{
    if (!x || !x->pos)
        return row;
    return row < x->n_prompt ? x->pos[(size_t)axis * x->n_prompt + row] : x->behind + (row - x->n_prompt);
}

/* The first of n rising things that ends behind row; n: none.  Items and spans begin alike: with their first row and how many. */
static uint32_t first_behind(const void *things, size_t each, uint32_t n, uint32_t row)
{
    uint32_t low = 0, high = n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2, rows[2];
        memcpy(rows, (const char *)things + mid * each, sizeof rows);
        if (rows[0] + rows[1] > row)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

static uint32_t item_at(const struct shown *x, uint32_t row)
{
    return first_behind(x->media.item, sizeof *x->media.item, x->media.n_item, row);
}

uint32_t shown_span_at(const struct shown *x, uint32_t row)
{
    return first_behind(x->media.span, sizeof *x->media.span, x->media.n_span, row);
}

uint32_t shown_see(const struct shown *x, uint32_t row)
{
    if (!x || !x->together)
        return row + 1;
    uint32_t i = item_at(x, row);
    bool     in = i < x->media.n_item && x->media.item[i].row <= row;
    return in ? x->media.item[i].row + x->media.item[i].n : row + 1;
}

uint32_t shown_whole(const struct shown *x, uint32_t n)
{
    if (!x || !x->together || n == 0)
        return n;
    uint32_t i = item_at(x, n);
    return i < x->media.n_item && x->media.item[i].row < n ? x->media.item[i].row : n;
}

uint32_t shown_readable(const struct shown *x, uint32_t past, uint32_t n)
{
    uint32_t end = past + n;
    for (uint32_t i = shown_span_at(x, past); i < x->media.n_span && x->media.span[i].row < end; i++) {
        const struct media_span *s = &x->media.span[i];
        const struct sight      *sight = s->picture == MEDIA_NEWLINE ? NULL : x->sight[s->picture];
        if (s->picture != MEDIA_NEWLINE && !(sight && sight->state == SIGHT_READY))
            end = s->row > past ? s->row : past;
    }
    end = shown_whole(x, end);
    return end > past ? end - past : 0;
}

uint32_t shown_least(const struct shown *x, uint32_t past)
{
    return x ? shown_see(x, past) - past : 1;
}

uint32_t shown_spans(const struct shown *x, const struct gallery *g, uint32_t past, uint32_t n, uint32_t row, struct span *out)
{
    uint32_t n_out = 0;
    for (uint32_t i = shown_span_at(x, past); i < x->media.n_span && x->media.span[i].row < past + n; i++) {
        const struct media_span *s = &x->media.span[i];
        uint32_t at = s->row > past ? s->row : past, end = s->row + s->n < past + n ? s->row + s->n : past + n;
        while (at < end) {
            const struct sight *sight = s->picture == MEDIA_NEWLINE ? NULL : x->sight[s->picture];
            CHECK(s->picture == MEDIA_NEWLINE || (sight && sight->state == SIGHT_READY));
            struct span span = gallery_span(g, sight, s->from + (at - s->row), end - at);
            span.row = row + (at - past);
            at += span.n;
            out[n_out++] = span;
        }
    }
    return n_out;
}

/* ---- holding ----------------------------------------------------------------------------------------------------- */

static void let_go(struct shown *x, struct gallery *g, uint32_t i)
{
    if (x->sight[i])
        gallery_unref(g, x->sight[i]);
    x->sight[i] = NULL;
}

void shown_pass(struct shown *x, struct gallery *g, uint32_t n_done)
{
    for (; x->passed < x->media.n_picture && x->until[x->passed] <= n_done; x->passed++)
        let_go(x, g, x->passed);
    for (uint32_t i = x->passed; i < x->media.n_picture && x->sight[i]; i++)
        if (x->until[i] <= n_done)
            let_go(x, g, i);
}

void shown_release(struct shown *x, struct gallery *g)
{
    for (uint32_t i = 0; i < x->media.n_picture; i++)
        let_go(x, g, i);
    x->passed = 0;
    x->want = MEDIA_NEWLINE;
}
