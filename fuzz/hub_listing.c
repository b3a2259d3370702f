/* Any bytes as what a hub says, cut at NUL bytes: the answer about a revision, two pages of a tree, a Link header, the index over the
 * weights, a choice.  Whatever is accepted stays inside its folder and is named by a hash. */
#include "hub/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct str next_piece(struct str *left)
{
    const char *end = left->n ? memchr(left->p, 0, left->n) : NULL;
    struct str  piece = {left->p, end ? (size_t)(end - left->p) : left->n};
    size_t      used = piece.n + (end != NULL);
    *left = (struct str){left->p + used, left->n - used};
    return piece;
}

static void check_files(const struct hub_listing *l)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct hub_file *f = &l->at[i];
        CHECK(hub_path_fits(str_of(f->path)) && f->path[0] != '/' && !strstr(f->path, "/../") && strncmp(f->path, "../", 3) != 0);
        CHECK(hub_is_hex(str_of(f->id), HUB_COMMIT) || hub_is_hex(str_of(f->id), HUB_ID_MAX));
        CHECK(f->bytes <= HUB_FILE_BYTES_MAX);
    }
}

static void check_picks(const struct hub_listing *l, const struct hub_picks *p)
{
    CHECK(p->n <= HUB_SHARDS_MAX);
    for (size_t i = 0; i < p->n; i++)
        CHECK(p->at[i] >= l->at && p->at[i] < l->at + l->n);
}

static void plan(const struct hub_listing *l, struct str index, const char *choice)
{
    struct hub_plan p;
    struct err      e = {0};
    if (!hub_plan(&p, l, choice, &e)) {
        CHECK(e.text[0] && strlen(e.text) < sizeof e.text);
        return;
    }
    CHECK(!p.gguf || p.weights.n == 1);
    if (p.index)
        (void)!hub_plan_index(&p, l, index, &e);
    check_picks(l, &p.first);
    check_picks(l, &p.weights);
    hub_plan_drop(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str         left = {(const char *)data, n}, revision = next_piece(&left);
    struct hub_listing l;
    struct hub_name    name;
    struct err         e;
    char               commit[HUB_COMMIT + 1], choice[HUB_CHOICE_MAX + 1] = "";
    if (hub_commit_read(commit, revision, &e))
        CHECK(hub_is_hex(str_of(commit), HUB_COMMIT));
    hub_listing_init(&l);
    (void)!hub_listing_read(&l, next_piece(&left), &e);
    (void)!hub_listing_read(&l, next_piece(&left), &e);
    check_files(&l);
    struct str link = next_piece(&left), next = hub_next_page(link), index = next_piece(&left), chosen = next_piece(&left);
    CHECK(!next.p || (next.p >= link.p && next.p + next.n <= link.p + link.n));
    if (chosen.n <= HUB_CHOICE_MAX)
        memcpy(choice, chosen.p, chosen.n);
    if (hub_name_parse(&name, choice, NULL))
        CHECK(hub_path_fits(str_of(name.revision)) && (!*name.choice || hub_path_fits(str_of(name.choice))));
    plan(&l, index, choice);
    plan(&l, index, "");
    hub_listing_drop(&l);
    return 0;
}
