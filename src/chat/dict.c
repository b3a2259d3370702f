/* dict.c -- dicts that keep the order in which keys came, as Python's do.  Small ones are searched from the front. */
#include "chat/run.h"

#include "base/hash.h"

#include <math.h>
#include <string.h>

enum { SMALL = 8 };

/* Numbers that are equal hash alike, whatever their type. */
static uint64_t number_hash(const struct value *v)
{
    double d = value_real(v);
    if (d == 0.0)
        d = 0.0;
    return hash64(&d, sizeof d, 1);
}

static bool hash(struct run *r, const struct value *v, uint64_t *out)
{
    *out = v->type;
    switch (v->type) {
    case V_NONE:
    case V_UNDEFINED: return true;
    case V_BOOL:
    case V_INT:
    case V_FLOAT: *out = number_hash(v); return true;
    case V_STR: *out = hash64(v->text->p, v->text->n, 2); return run_work(r, v->text->n);
    case V_TUPLE:
        if (!run_enter(r))
            return false;
        for (size_t i = 0; i < v->seq->n; i++) {
            uint64_t h;
            if (!run_step(r) || !hash(r, &v->seq->at[i], &h))
                return false;
            *out = *out * 31 + h;
        }
        run_leave(r);
        return true;
    case V_LIST:
    case V_DICT:
    case V_KEYS:
    case V_ITEMS: return run_fail(r, "unhashable type: '%s'", value_type_name(v));
    default: *out = hash64(&v->dict, sizeof v->dict, 3); return true;
    }
}

static bool grow(struct run *r, struct dict *d, size_t room)
{
    struct dict_entry *at = run_new(r, room, sizeof *at);
    if (!at)
        return false;
    if (d->n)
        memcpy(at, d->at, d->n * sizeof *at);
    d->at = at;
    d->room = room;
    if (room <= SMALL)
        return true;
    d->n_slot = 16;
    while (d->n_slot < room * 2)
        d->n_slot *= 2;
    if (!(d->slot = run_new(r, d->n_slot, sizeof *d->slot)))
        return false;
    for (size_t i = 0; i < d->n; i++) {
        size_t s = at[i].hash & (d->n_slot - 1);
        while (d->slot[s])
            s = (s + 1) & (d->n_slot - 1);
        d->slot[s] = (uint32_t)i + 1;
    }
    return true;
}

bool dict_new(struct run *r, size_t n, struct value *out)
{
    struct dict *d = run_new(r, 1, sizeof *d);
    if (!d || (n && !grow(r, d, n)))
        return false;
    *out = (struct value){.type = V_DICT, .dict = d};
    return true;
}

/* The entry with this key, or NULL; *slot is where it would go. */
static bool entry_find(struct run *r, const struct dict *d, const struct value *key, uint64_t h,
                       struct dict_entry **out)
{
    *out = NULL;
    size_t s = d->slot ? h & (d->n_slot - 1) : 0;
    for (size_t i = 0; d->slot ? d->slot[s] != 0 : i < d->n; i++) {
        struct dict_entry *e = &d->at[d->slot ? d->slot[s] - 1 : i];
        bool               same = false;
        if (e->hash == h && !value_eq(r, &e->key, key, &same))
            return false;
        if (same) {
            *out = e;
            return true;
        }
        s = (s + 1) & (d->n_slot - 1);
    }
    return true;
}

bool dict_find(struct run *r, const struct dict *d, const struct value *key, struct value **out)
{
    uint64_t           h;
    struct dict_entry *e;
    if (!hash(r, key, &h) || !entry_find(r, d, key, h, &e))
        return false;
    *out = e ? &e->value : NULL;
    return true;
}

bool dict_find_name(struct run *r, const struct dict *d, struct str name, struct value **out)
{
    struct text t = {.p = name.p, .n = name.n, .chars = TEXT_UNCOUNTED};
    struct value key = value_text(&t);
    return dict_find(r, d, &key, out);
}

bool dict_put(struct run *r, struct dict *d, const struct value *key, const struct value *value)
{
    uint64_t           h;
    struct dict_entry *e;
    if (!hash(r, key, &h) || !entry_find(r, d, key, h, &e))
        return false;
    if (e) {
        e->value = *value;
        return true;
    }
    if (d->n >= UINT32_MAX / 2)
        return run_limit(r, "makes too many bytes");
    if (d->n == d->room && !grow(r, d, d->room ? d->room * 2 : 4))
        return false;
    if (d->slot) {
        size_t s = h & (d->n_slot - 1);
        while (d->slot[s])
            s = (s + 1) & (d->n_slot - 1);
        d->slot[s] = (uint32_t)d->n + 1;
    }
    d->at[d->n++] = (struct dict_entry){*key, *value, h};
    return true;
}
