/* vision.c -- what depends on a picture's size: the order of its blocks, its places in tables of positions, its windows; and
 * where it stands among text.  See model.h. */
#include "model/vision.h"

#include <math.h>
#include <string.h>

uint32_t vision_rows(const struct vision *v, uint32_t rows, uint32_t columns)
{
    return v->lead + rows * columns;
}

uint32_t vision_features(const struct vision *v, uint32_t rows, uint32_t columns)
{
    return rows / v->merge * (columns / v->merge);
}

/* Point i of n, spread over the table's side so that the first and last meet its ends.  As the models were trained: in single
 * precision, counted from the nearer end. */
static float spread(uint32_t i, uint32_t n, uint32_t grid)
{
    if (n == 1)
        return 0;
    float step = (float)(grid - 1) / (float)(n - 1);
    return i < n / 2 ? step * (float)i : (float)(grid - 1) - step * (float)(n - i - 1);
}

/* The four points around a patch and their weights. */
static void between(const struct vision *v, uint32_t y, uint32_t rows, uint32_t x, uint32_t columns, float place[4], float share[4])
{
    float    at_y = spread(y, rows, v->grid), at_x = spread(x, columns, v->grid);
    uint32_t top = (uint32_t)at_y, left = (uint32_t)at_x;
    uint32_t bottom = top + 1 < v->grid ? top + 1 : top, right = left + 1 < v->grid ? left + 1 : left;
    float    dy = at_y - (float)top, dx = at_x - (float)left;
    place[0] = (float)(top * v->grid + left);
    place[1] = (float)(top * v->grid + right);
    place[2] = (float)(bottom * v->grid + left);
    place[3] = (float)(bottom * v->grid + right);
    share[0] = (1 - dy) * (1 - dx);
    share[1] = (1 - dy) * dx;
    share[2] = dy * (1 - dx);
    share[3] = dy * dx;
}

/* The row of `row`, which shows the patch at y, x. */
static void fill_row(const struct vision *v, const struct vision_fill *out, uint32_t row, uint32_t y, uint32_t rows, uint32_t x,
                     uint32_t columns)
{
    if (out->pos) {
        out->pos[row] = y;
        out->pos[out->pos_stride + row] = x;
    }
    if (!v->n_place)
        return;
    float *place = out->place + (size_t)row * v->n_place, *share = out->share + (size_t)row * v->n_place;
    if (v->n_place == 4) {
        between(v, y, rows, x, columns, place, share);
    } else {
        memset(share, 0, v->n_place * sizeof *share);
        memset(place, 0, v->n_place * sizeof *place);
        place[0] = (float)(v->lead + y * columns + x);
        share[0] = 1;
    }
}

/* What stands before the patches has the table's first row, and that behind the patches' rows. */
static void fill_lead(const struct vision *v, const struct vision_fill *out, uint32_t n_patch)
{
    for (uint32_t row = 0; row < v->lead; row++) {
        if (out->pos)
            out->pos[row] = out->pos[out->pos_stride + row] = 0;
        if (!v->n_place)
        return;
    float *place = out->place + (size_t)row * v->n_place, *share = out->share + (size_t)row * v->n_place;
        for (uint32_t k = 0; k < v->n_place; k++) {
            place[k] = (float)(k == 0 ? row : n_patch + v->lead + row);
            share[k] = k < 2 ? 1 : 0;
        }
    }
}

uint32_t vision_fill(const struct vision *v, uint32_t rows, uint32_t columns, const struct vision_fill *out)
{
    uint32_t down = rows / v->merge, across = columns / v->merge, side = v->window ? v->window : down > across ? down : across;
    uint32_t row = v->lead, block = 0, n_window = 0;
    fill_lead(v, out, rows * columns);
    for (uint32_t wy = 0; wy < down; wy += side)
        for (uint32_t wx = 0; wx < across; wx += side) {
            for (uint32_t y = wy; y < wy + side && y < down; y++)
                for (uint32_t x = wx; x < wx + side && x < across; x++) {
                    for (uint32_t i = 0; i < v->merge * v->merge; i++)
                        fill_row(v, out, row++, y * v->merge + i / v->merge, rows, x * v->merge + i % v->merge, columns);
                    if (out->order)
                        out->order[block++] = y * across + x;
                }
            if (out->window)
                out->window[n_window] = row;
            n_window++;
        }
    return n_window;
}

/* A file may say that years lie between two frames. */
static const double FAR = 1 << 30;

uint32_t vision_positions(const struct vision *v, uint32_t at, uint32_t n_pair, uint32_t rows, uint32_t columns, double seconds,
                          uint32_t *pos, size_t stride)
{
    uint32_t down = rows / v->merge, across = columns / v->merge, n = 0;
    if (!v->axes) {
        for (uint32_t i = 0; i < n_pair * down * across; i++)
            pos[i] = at + i;
        return at + n_pair * down * across;
    }
    double step = v->time_rate > 0 && seconds > 0 ? v->time_rate * seconds : 1;
    for (uint32_t t = 0; t < n_pair; t++)
        for (uint32_t y = 0; y < down; y++)
            for (uint32_t x = 0; x < across; x++, n++) {
                pos[n] = at + (uint32_t)fmin(floor(t * step), FAR);
                pos[stride + n] = at + y;
                pos[2 * stride + n] = at + x;
            }
    return at + (down > across ? down : across);
}
