/* listing.c -- see listing.h. */
#include "hub/listing.h"

#include "base/json.h"
#include "base/mem.h"

#include <stdlib.h>

void hub_listing_init(struct hub_listing *l)
{
    *l = (struct hub_listing){0};
    arena_init(&l->arena, 0);
}

void hub_listing_drop(struct hub_listing *l)
{
    arena_drop(&l->arena);
    free(l->at);
    *l = (struct hub_listing){0};
}

static bool answer_parse(struct json_doc **out, struct str text, struct err *e)
{
    struct err why;
    if (text.n > HUB_JSON_MAX)
        return err_set(e, ERR_TOO_LARGE, "the hub's answer has %zu bytes; the limit is %d", text.n, HUB_JSON_MAX);
    return json_parse(out, text, &why) || err_set(e, ERR_CORRUPT, "the hub's answer is no JSON (%.200s): is that a hub?", why.text);
}

bool hub_commit_read(char out[HUB_COMMIT + 1], struct str text, struct err *e)
{
    struct json_doc *doc;
    if (!answer_parse(&doc, text, e))
        return false;
    struct str sha = json_str(json_get(json_root(doc), "sha"));
    bool       ok = hub_is_hex(sha, HUB_COMMIT) || err_set(e, ERR_CORRUPT, "the hub's answer names no commit");
    if (ok) {
        memcpy(out, sha.p, HUB_COMMIT);
        out[HUB_COMMIT] = '\0';
    }
    json_free(doc);
    return ok;
}

bool hub_listing_add(struct hub_listing *l, struct str path, uint64_t bytes, struct err *e)
{
    char shown[HUB_SHOWN_MAX + 1];
    if (!hub_path_fits(path))
        return err_set(e, ERR_CORRUPT, "a file of the repository has a name that leads elsewhere or cannot be: %s", hub_shown(path, shown));
    if (l->n == HUB_FILES_MAX)
        return err_set(e, ERR_TOO_LARGE, "the repository has over %d files", HUB_FILES_MAX);
    if ((l->n & (l->n - 1)) == 0)
        l->at = mem_grow(l->at, l->n ? 2 * l->n : 1, sizeof *l->at);
    l->at[l->n++] = (struct hub_file){.path = arena_copy(&l->arena, path.p, path.n), .bytes = bytes};
    return true;
}

/* One entry of a tree; folders, and kinds of entries yet to be invented, are passed over. */
static bool entry_read(struct hub_listing *l, json v, struct err *e)
{
    if (!json_is(json_get(v, "type"), "file"))
        return true;
    json       lfs = json_get(v, "lfs");
    bool       is_lfs = json_type(lfs) == JSON_OBJECT;
    struct str path = json_str(json_get(v, "path")), id = json_str(json_get(is_lfs ? lfs : v, "oid"));
    uint64_t   bytes;
    char       shown[HUB_SHOWN_MAX + 1];
    if (!json_u64(json_get(is_lfs ? lfs : v, "size"), &bytes) || bytes > HUB_FILE_BYTES_MAX || !hub_is_hex(id, is_lfs ? HUB_ID_MAX : HUB_COMMIT))
        return err_set(e, ERR_CORRUPT, "the hub's answer says no size or no hash of %s", hub_shown(path, shown));
    if (!hub_listing_add(l, path, bytes, e))
        return false;
    memcpy(l->at[l->n - 1].id, id.p, id.n);
    return true;
}

bool hub_listing_read(struct hub_listing *l, struct str text, struct err *e)
{
    struct json_doc *doc;
    if (!answer_parse(&doc, text, e))
        return false;
    json root = json_root(doc);
    bool ok = json_type(root) == JSON_ARRAY ||
              err_set(e, ERR_CORRUPT, "the hub's list of files is %s, not an array", json_type_name(root));
    for (struct json_iter it = json_iter(root); ok && json_next(&it);)
        ok = entry_read(l, it.value, e);
    json_free(doc);
    return ok;
}

const struct hub_file *hub_listing_find(const struct hub_listing *l, struct str path)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_is(path, l->at[i].path))
            return &l->at[i];
    return NULL;
}

struct str hub_next_page(struct str link)
{
    while (link.n) {
        size_t open = str_find(link, STR("<")), close = str_find(link, STR(">"));
        if (open == STR_NONE || close == STR_NONE || close < open)
            break;
        struct str target = {link.p + open + 1, close - open - 1};
        link = (struct str){link.p + close + 1, link.n - close - 1};
        size_t     next = str_find(link, STR("<"));
        struct str about = {link.p, next == STR_NONE ? link.n : next};
        if (target.n && (str_find(about, STR("rel=\"next\"")) != STR_NONE || str_find(about, STR("rel=next")) != STR_NONE))
            return target;
    }
    return (struct str){NULL, 0};
}
