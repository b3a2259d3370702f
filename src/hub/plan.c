/* plan.c -- see plan.h. */
#include "hub/plan.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdlib.h>
#include <strings.h>

static bool pick(struct hub_picks *p, const struct hub_file *f)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->at[i] == f)
            return true;
    if (p->n == HUB_SHARDS_MAX)
        return false;
    if ((p->n & (p->n - 1)) == 0)
        p->at = mem_grow(p->at, p->n ? 2 * p->n : 1, sizeof *p->at);
    p->at[p->n++] = f;
    return true;
}

void hub_plan_drop(struct hub_plan *p)
{
    free(p->first.at);
    free(p->weights.at);
    *p = (struct hub_plan){0};
}

/* ---- GGUF ---------------------------------------------------------------------------------------------------------- */

static struct str base_of(struct str path)
{
    for (size_t i = path.n; i > 0; i--)
        if (path.p[i - 1] == '/')
            return (struct str){path.p + i, path.n - i};
    return path;
}

static bool is_gguf(const struct hub_file *f)
{
    struct str name = base_of(str_of(f->path));
    return str_ends(name, STR(".gguf")) && !str_starts(name, STR("mmproj"));
}

/* The name without .gguf and, of a file in parts, without "-00001-of-00003". */
static struct str stem_of(const struct hub_file *f, bool *in_parts)
{
    static const char form[] = "-00000-of-00000";
    struct str        s = base_of(str_of(f->path)), tail;
    s.n -= 5;
    *in_parts = s.n > sizeof form - 1;
    tail = (struct str){s.p + s.n - (sizeof form - 1), sizeof form - 1};
    for (size_t i = 0; *in_parts && i < tail.n; i++)
        *in_parts = form[i] == '0' ? tail.p[i] >= '0' && tail.p[i] <= '9' : tail.p[i] == form[i];
    s.n -= *in_parts ? tail.n : 0;
    return s;
}

static bool ends_in(struct str stem, struct str quant)
{
    return stem.n > quant.n && strchr("-._", stem.p[stem.n - quant.n - 1]) &&
           strncasecmp(stem.p + stem.n - quant.n, quant.p, quant.n) == 0;
}

static bool is_chosen(const struct hub_file *f, const char *choice)
{
    bool in_parts;
    return str_is(str_of(f->path), choice) || str_is(base_of(str_of(f->path)), choice) ||
           ends_in(stem_of(f, &in_parts), str_of(choice));
}

/* The files that are as chosen, all of them without a choice; of one in parts the first. */
static struct hub_picks gguf_matches(const struct hub_listing *l, const char *choice)
{
    struct hub_picks found = {0};
    for (size_t i = 0; i < l->n; i++) {
        const struct hub_file *f = &l->at[i];
        bool                   in_parts;
        if (!is_gguf(f) || (*choice && !is_chosen(f, choice)))
            continue;
        struct str stem = stem_of(f, &in_parts);
        if (!in_parts || str_starts((struct str){stem.p + stem.n, 7}, STR("-00001-")))
            if (!pick(&found, f))
                break;
    }
    return found;
}

/* ": a, b, …", as many as fit a message. */
static bool name_them(const struct hub_picks *p, struct err *e)
{
    size_t n = strlen(e->text);
    for (size_t i = 0; i < p->n; i++) {
        struct str  name = base_of(str_of(p->at[i]->path));
        const char *mark = i ? ", " : ": ";
        if (n + name.n + 8 > sizeof e->text) {
            memcpy(e->text + n, ", …", sizeof ", …");
            break;
        }
        memcpy(e->text + n, mark, 2);
        memcpy(e->text + n + 2, name.p, name.n);
        n += 2 + name.n;
        e->text[n] = '\0';
    }
    return false;
}

static const struct hub_file *usual(const struct hub_picks *all)
{
    static const char *const quants[] = {
#define QUANT(name) name,
#include "hub/quants.def"
#undef QUANT
    };
    if (all->n == 1)
        return all->at[0];
    for (size_t q = 0; q < sizeof quants / sizeof quants[0]; q++)
        for (size_t i = 0; i < all->n; i++)
            if (is_chosen(all->at[i], quants[q]))
                return all->at[i];
    return NULL;
}

static bool gguf_choose(struct hub_plan *p, const struct hub_listing *l, const char *choice, const struct hub_picks *all,
                        struct err *e)
{
    struct hub_picks found = gguf_matches(l, choice);
    bool             in_parts, ok = true;
    p->n_gguf = all->n;
    p->gguf = *choice ? (found.n == 1 ? found.at[0] : NULL) : usual(all);
    if (all->n == 0)
        ok = err_set(e, ERR_NOT_FOUND, "there is no GGUF file to choose \"%s\" from", choice);
    else if (found.n == 0)
        ok = err_set(e, ERR_NOT_FOUND, "no GGUF file is \"%s\"; there are", choice) || name_them(all, e);
    else if (!p->gguf)
        ok = err_set(e, ERR_NOT_FOUND, "choose one of the GGUF files, with : and its name behind the model's") || name_them(&found, e);
    else if (stem_of(p->gguf, &in_parts), in_parts)
        ok = err_set(e, ERR_UNSUPPORTED, "%s is in several parts, which are read but not pulled yet: fetch them by hand, or choose a smaller one", p->gguf->path);
    else
        ok = pick(&p->weights, p->gguf);
    free(found.at);
    return ok;
}

/* ---- folders ------------------------------------------------------------------------------------------------------- */

static bool is_wanted(struct str name)
{
    static const char *const ends[] = {
#define WANTED(end, what) end,
#include "hub/files.def"
#undef WANTED
    };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (str_ends(name, str_of(ends[i])))
            return str_find(name, STR("/")) == STR_NONE;
    return false;
}

/* Some repositories hold the weights twice, under names of their maker's own form. */
static bool is_second_form(const char *path)
{
    return str_starts(str_of(path), STR("consolidated"));
}

static bool every_shard(struct hub_plan *p, const struct hub_listing *l, bool second_form)
{
    for (size_t i = 0; i < l->n; i++) {
        struct str name = str_of(l->at[i].path);
        if (str_ends(name, STR(".safetensors")) && str_find(name, STR("/")) == STR_NONE &&
            is_second_form(l->at[i].path) == second_form && !pick(&p->weights, &l->at[i]))
            return false;
    }
    return p->weights.n > 0;
}

/* False: there are no weights that a folder can have. */
static bool folder_choose(struct hub_plan *p, const struct hub_listing *l)
{
    const struct hub_file *one = hub_listing_find(l, STR("model.safetensors"));
    if (!hub_listing_find(l, STR("config.json")))
        return false;
    if (one && !pick(&p->weights, one))
        return false;
    if (!one)
        p->index = hub_listing_find(l, STR("model.safetensors.index.json"));
    if (!one && !p->index && !every_shard(p, l, false) && !every_shard(p, l, true))
        return false;
    for (size_t i = 0; i < l->n; i++)
        if (is_wanted(str_of(l->at[i].path)) && !pick(&p->first, &l->at[i]))
            return false;
    return true;
}

bool hub_plan(struct hub_plan *out, const struct hub_listing *l, const char *choice, struct err *e)
{
    struct hub_plan  p = {0};
    struct hub_picks ggufs = gguf_matches(l, "");
    bool             ok = !*choice && folder_choose(&p, l);
    if (!ok && (*choice || ggufs.n)) {
        hub_plan_drop(&p);
        ok = gguf_choose(&p, l, choice, &ggufs, e);
    } else if (!ok) {
        err_set(e, ERR_UNSUPPORTED, "there are no weights that hearth reads: neither a .gguf file nor config.json with *.safetensors");
    }
    free(ggufs.at);
    if (ok)
        *out = p;
    else
        hub_plan_drop(&p);
    return ok;
}

bool hub_plan_index(struct hub_plan *p, const struct hub_listing *l, struct str text, struct err *e)
{
    struct json_doc *doc;
    struct err       why;
    char             shown[HUB_SHOWN_MAX + 1];
    if (text.n > HUB_JSON_MAX || !json_parse(&doc, text, &why))
        return err_set(e, ERR_CORRUPT, "%s: no JSON of a size that an index has", p->index->path);
    const struct hub_file *last = NULL;
    bool                   ok = true;
    for (struct json_iter it = json_iter(json_get(json_root(doc), "weight_map")); ok && json_next(&it);) {
        struct str name = json_str(it.value);
        if (last && str_is(name, last->path))
            continue;
        last = name.p ? hub_listing_find(l, name) : NULL;
        if (!last)
            ok = err_set(e, ERR_CORRUPT, "%s names a file that is not there: %s", p->index->path, hub_shown(name, shown));
        else if (!pick(&p->weights, last))
            ok = err_set(e, ERR_TOO_LARGE, "%s names over %d files", p->index->path, HUB_SHARDS_MAX);
    }
    if (ok && p->weights.n == 0)
        ok = err_set(e, ERR_CORRUPT, "%s names no weights", p->index->path);
    json_free(doc);
    return ok;
}

bool hub_plan_weights(struct hub_plan *p, const struct hub_listing *l, const char *folder, struct err *e)
{
    if (!p->index)
        return true;
    struct buf text;
    char      *path = path_join(folder, p->index->path);
    buf_init(&text, 0);
    bool ok = file_read(&text, path, HUB_JSON_MAX, e) && hub_plan_index(p, l, buf_view(&text), e);
    buf_drop(&text);
    free(path);
    return ok;
}
