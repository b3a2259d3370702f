/* The parts of a pull that need no server: names, what the hub says, which files make a model, the cache folder.  The rest is tested over real
 * connections, by test/clients/test_hub.py. */
#include "base/file.h"
#include "base/mem.h"
#include "hub/blob.h"
#include "hub/cache.h"
#include "hub/digest.h"
#include "hub/plan.h"
#include "hub/refusal.h"
#include "hub/walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SHA1 "0123456789abcdef0123456789abcdef01234567"
#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* ---- names -------------------------------------------------------------------------------------------------------- */

static void names_in_their_parts(void **state)
{
    static const struct {
        const char *text, *repo, *revision, *choice;
    } good[] = {
        {"org/name", "org/name", "main", ""},
        {"gpt2", "gpt2", "main", ""},
        {"mlx-community/Llama-3.2-3B-Instruct-4bit@v1.0", "mlx-community/Llama-3.2-3B-Instruct-4bit", "v1.0", ""},
        {"o/n@refs/pr/12:Q4_K_M", "o/n", "refs/pr/12", "Q4_K_M"},
        {"o/n:sub/file-Q8_0.gguf", "o/n", "main", "sub/file-Q8_0.gguf"},
        {"o_1/n.2@" SHA1, "o_1/n.2", SHA1, ""},
    };
    static const char *const bad[] = {"", "/", "o/", "/n", "o/n/x", "../n", "o/..", "o/n..x", "o--p/n", "-o/n", "o/n-", "o/.n", "o/n.git", "o/n n", "o/n@",
                                      "o/n@/x", "o/n@x/", "o/n@.x", "o/n@a/../b", "o/n@a b", "o/n@-x", "o/n@x.lock", "o/n:", "o/n:../x", "o/n:/x", "~/n", "./n"};
    struct hub_name n;
    struct err      e;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(hub_name_parse(&n, good[i].text, &e));
        assert_string_equal(n.repo, good[i].repo);
        assert_string_equal(n.revision, good[i].revision);
        assert_string_equal(n.choice, good[i].choice);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (hub_name_parse(&n, bad[i], &e))
            fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(e.kind, ERR_INVALID);
    }
    char part[HUB_PART_MAX + 4] = "o/";
    memset(part + 2, 'x', HUB_PART_MAX + 1);
    part[2 + HUB_PART_MAX + 1] = '\0';
    assert_false(hub_name_parse(&n, part, &e));
    part[2 + HUB_PART_MAX] = '\0';
    assert_true(hub_name_parse(&n, part, &e));
}

static void folders_have_names_and_names_folders(void **state)
{
    char repo[2 * HUB_PART_MAX + 2];
    (void)state;
    char *folder = hub_folder_name("org/na-me");
    assert_string_equal(folder, "models--org--na-me");
    assert_true(hub_folder_repo(folder, repo));
    assert_string_equal(repo, "org/na-me");
    free(folder);
    assert_true(hub_folder_repo("models--gpt2", repo));
    assert_string_equal(repo, "gpt2");
    assert_false(hub_folder_repo("datasets--org--x", repo) || hub_folder_repo("models--", repo) || hub_folder_repo("models--a--b--c", repo));
    assert_true(hub_repo_of("/h/hub/models--o--n/snapshots/x", repo) && strcmp(repo, "o/n") == 0);
    assert_true(hub_repo_of("models--o--n/blobs/x", repo) && strcmp(repo, "o/n") == 0);
    assert_false(hub_repo_of("/h/models--o--n", repo) || hub_repo_of("/h/x/snapshots/models--o--n/y", repo) || hub_repo_of("", repo));
}

static void paths_stay_inside(void **state)
{
    static const char *const bad[] = {"", "/a", "a/", "a//b", "..", "../a", "a/..", "a/../b", ".", "a/./b", "a\\b", "a\nb", "a\x7f", "a\302\2331"};
    char                     text[HUB_PATH_MAX + 2];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(hub_path_fits(str_of(bad[i])));
    assert_true(hub_path_fits(STR("a")) && hub_path_fits(STR("a/b.c/..d")) && hub_path_fits(STR("ü ?#%")));
    assert_false(hub_path_fits((struct str){"a\0b", 3}));
    for (int i = 0; i <= HUB_PATH_MAX; i++)
        text[i] = i % 200 == 199 ? '/' : 'x';
    assert_true(hub_path_fits((struct str){text, HUB_PATH_MAX}));
    assert_false(hub_path_fits((struct str){text, HUB_PATH_MAX + 1}));
    memset(text, 'x', 256);
    assert_true(hub_path_fits((struct str){text, 255}));
    assert_false(hub_path_fits((struct str){text, 256}));
}

static void addresses_are_escaped(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 0);
    hub_url_part(&b, STR("refs/pr 1?#%\xc3\xbc~"), "");
    hub_url_part(&b, STR("/a/b"), "/");
    assert_string_equal(b.p, "refs%2Fpr%201%3F%23%25%C3%BC~/a/b");
    buf_drop(&b);
}

/* ---- what the hub says -------------------------------------------------------------------------------------------- */

static void a_tree_is_read(void **state)
{
    static const struct str page = STR(
        "[{\"type\":\"directory\",\"path\":\"..\"},{\"type\":\"file\",\"path\":\"config.json\",\"size\":7,\"oid\":\"" SHA1 "\"},"
        "{\"type\":\"file\",\"path\":\"a/b.safetensors\",\"size\":134,\"oid\":\"" SHA1 "\",\"lfs\":{\"oid\":\"" SHA256 "\",\"size\":1125899906842624}}]");
    struct hub_listing l;
    struct err         e;
    (void)state;
    hub_listing_init(&l);
    assert_true(hub_listing_read(&l, page, &e) && hub_listing_read(&l, STR("[]"), &e));
    assert_int_equal(l.n, 2);
    assert_string_equal(hub_listing_find(&l, STR("config.json"))->id, SHA1);
    assert_string_equal(l.at[1].id, SHA256);
    assert_true(l.at[1].bytes == HUB_FILE_BYTES_MAX && l.at[0].bytes == 7);
    assert_null(hub_listing_find(&l, STR("a")));
    assert_false(hub_listing_read(&l, STR("{}"), &e) || hub_listing_read(&l, (struct str){page.p, (size_t)HUB_JSON_MAX + 1}, &e));
    hub_listing_drop(&l);
}

static void there_are_bounds(void **state)
{
    struct hub_listing l;
    struct err         e;
    char               name[16];
    (void)state;
    hub_listing_init(&l);
    for (int i = 0; i < HUB_FILES_MAX; i++) {
        snprintf(name, sizeof name, "%d", i);
        assert_true(hub_listing_add(&l, str_of(name), 1, &e));
    }
    assert_false(hub_listing_add(&l, STR("one more"), 1, &e));
    assert_int_equal(e.kind, ERR_TOO_LARGE);
    hub_listing_drop(&l);
}

static void pages_follow_pages(void **state)
{
    (void)state;
    assert_true(str_is(hub_next_page(STR("<http://h/a?b=1>; rel=\"next\"")), "http://h/a?b=1"));
    assert_true(str_is(hub_next_page(STR("<x>; rel=\"prev\", <y>; rel=\"next\"")), "y"));
    assert_null(hub_next_page(STR("<x>; rel=\"prev\"")).p);
    assert_null(hub_next_page(STR("x>; rel=\"next\"")).p);
    assert_null(hub_next_page((struct str){NULL, 0}).p);
}

static void files_are_named_by_their_hash(void **state)
{
    struct hub_file git = {.bytes = 6, .id = SHA1}, lfs = {.bytes = 6, .id = SHA256};
    char            id[HUB_ID_MAX + 1];
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct hub_digest *d = hub_digest_new(i ? &lfs : &git);
        hub_digest_add(d, "hel", 3);
        hub_digest_add(d, "lo\n", 3);
        hub_digest_end(d, id);
        hub_digest_free(d);
        /* printf 'hello\n' | git hash-object --stdin; printf 'hello\n' | sha256sum */
        assert_string_equal(id, i ? "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03" : "ce013625030ba8dba906f756967f9e9ca394464a");
    }
}

/* Each says what to do. */
static void refusals_help(void **state)
{
    struct hub_place free_ = {.endpoint = (char[]){"http://h"}}, user = free_;
    struct hub_name  n = {.repo = "o/n", .revision = "v1"};
    struct err       e;
    (void)state;
    user.token = user.token_from = (char[]){"HF_TOKEN"};
    const struct {
        struct hub_refusal       r;
        const struct hub_place *p;
        enum err_kind           kind;
        const char             *says;
    } cases[] = {
        {{.status = 401, .code = "GatedRepo"}, &free_, ERR_AUTH, "accept its licence at http://h/o/n"},
        {{.status = 403, .code = "GatedRepo"}, &user, ERR_DENIED, "accept the licence"},
        {{.status = 401}, &free_, ERR_NOT_FOUND, "check the name"},
        {{.status = 401}, &user, ERR_AUTH, "settings/tokens"},
        {{.status = 404}, &user, ERR_NOT_FOUND, "check the name"},
        {{.status = 404, .code = "RevisionNotFound"}, &user, ERR_NOT_FOUND, "leave @v1 off"},
        {{.status = 404, .code = "EntryNotFound"}, &user, ERR_NOT_FOUND, "try again"},
        {{.status = 403, .text = "why"}, &free_, ERR_DENIED, "set HF_TOKEN"},
        {{.status = 429, .retry_s = 9}, &free_, ERR_RATE, "wait 9 s: try again then; with a token"},
        {{.status = 429}, &user, ERR_RATE, "wait a while: try again then"},
        {{.status = 502, .text = "bad"}, &user, ERR_IO, "HTTP 502, bad"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_false(hub_refuse(&cases[i].r, cases[i].p, &n, &e));
        if (e.kind != cases[i].kind || !strstr(e.text, cases[i].says))
            fail_msg("case %zu: %s", i, e.text);
    }
}

/* ---- which files -------------------------------------------------------------------------------------------------- */

static void list_files(struct hub_listing *l, const char *const *names, size_t n)
{
    hub_listing_init(l);
    for (size_t i = 0; i < n; i++)
        assert_true(hub_listing_add(l, str_of(names[i]), 1, NULL));
}

static void put_names(struct buf *b, const struct hub_picks *p)
{
    for (size_t i = 0; i < p->n; i++)
        buf_printf(b, "%s%s", b->n ? " " : "", p->at[i]->path);
}

/* The plan's files as text: "first names | weights names", or "! " and the refusal. */
static char *planned(const char *const *names, size_t n, const char *choice, const char *index)
{
    struct hub_listing l;
    struct hub_plan    p = {0};
    struct err         e;
    struct buf         first, weights;
    buf_init(&first, 0);
    buf_init(&weights, 0);
    list_files(&l, names, n);
    if (hub_plan(&p, &l, choice, &e) && (!p.index || hub_plan_index(&p, &l, str_of(index), &e))) {
        put_names(&first, &p.first);
        put_names(&weights, &p.weights);
        buf_printf(&first, "|%s", weights.n ? weights.p : "");
    } else {
        buf_printf(&first, "! %s", e.text);
    }
    hub_plan_drop(&p);
    hub_listing_drop(&l);
    buf_drop(&weights);
    return buf_take(&first);
}

#define PLANNED(want, choice, index, ...) do { \
        const char *const names_[] = {__VA_ARGS__}; \
        char             *got_ = planned(names_, sizeof names_ / sizeof names_[0], choice, index); \
        if (strncmp(got_, want, strlen(want)) != 0 || (got_[0] != '!' && strcmp(got_, want) != 0)) \
            fail_msg("got: %s\nwant: %s", got_, want); \
        free(got_); \
    } while (0)

static void folders_are_planned(void **state)
{
    (void)state;
    PLANNED("config.json tokenizer.json|model.safetensors", "", NULL, "config.json", "tokenizer.json", "model.safetensors", "README.md",
            "x/y.json", "other.safetensors", "a.gguf", "pytorch_model.bin");
    PLANNED("config.json t.jinja tokenizer.model|b.safetensors c.safetensors", "", NULL, "config.json", "t.jinja", "tokenizer.model", "b.safetensors",
            "c.safetensors", "consolidated.safetensors", "x/d.safetensors");
    PLANNED("config.json|consolidated.safetensors", "", NULL, "config.json", "consolidated.safetensors");
    PLANNED("config.json model.safetensors.index.json|b.safetensors a.safetensors", "", "{\"weight_map\":{\"x\":\"b.safetensors\",\"y\":\"a.safetensors\",\"z\":\"b.safetensors\"}}",
            "config.json", "model.safetensors.index.json", "a.safetensors", "b.safetensors", "c.safetensors");
    PLANNED("! model.safetensors.index.json names a file that is not there: d.safetensors", "", "{\"weight_map\":{\"x\":\"d.safetensors\"}}", "config.json",
            "model.safetensors.index.json", "a.safetensors");
    PLANNED("! model.safetensors.index.json names a file that is not there: ", "", "{\"weight_map\":{\"x\":5}}", "config.json", "model.safetensors.index.json");
    PLANNED("! model.safetensors.index.json names a file that is not there: ?[2Jx", "", "{\"weight_map\":{\"x\":\"\\u001b[2Jx\"}}", "config.json", "model.safetensors.index.json");
    PLANNED("! model.safetensors.index.json names no weights", "", "{}", "config.json", "model.safetensors.index.json");
    PLANNED("! model.safetensors.index.json: no JSON", "", "{", "config.json", "model.safetensors.index.json");
    PLANNED("! there are no weights that hearth reads", "", NULL, "config.json", "pytorch_model.bin");
    PLANNED("! there are no weights that hearth reads", "", NULL, "model.safetensors");
}

static void gguf_files_are_chosen(void **state)
{
    (void)state;
    PLANNED("|m.gguf", "", NULL, "m.gguf", "config.json", "mmproj-m.gguf");
    PLANNED("|m-Q4_K_M.gguf", "", NULL, "m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-Q4_0.gguf");
    PLANNED("|m-Q4_0.gguf", "", NULL, "m-Q8_0.gguf", "m-Q4_0.gguf");
    PLANNED("|m-q8_0.gguf", "Q8_0", NULL, "m-q8_0.gguf", "m-Q4_0.gguf");
    PLANNED("|x/m.Q8_0.gguf", "q8_0", NULL, "x/m.Q8_0.gguf", "m-IQ8_0.gguf");
    PLANNED("|m-IQ8_0.gguf", "m-IQ8_0.gguf", NULL, "x/m.Q8_0.gguf", "m-IQ8_0.gguf");
    PLANNED("|x/m-Q8_0.gguf", "x/m-Q8_0.gguf", NULL, "x/m-Q8_0.gguf", "m-Q4_0.gguf");
    PLANNED("|m-Q8_0.gguf", "Q8_0", NULL, "m-Q8_0.gguf", "model.safetensors", "config.json");
    PLANNED("! choose one of the GGUF files, with : and its name behind the model's: a.gguf, b.gguf", "", NULL, "a.gguf", "b.gguf");
    PLANNED("! choose one", "Q8_0", NULL, "a-Q8_0.gguf", "b-Q8_0.gguf");
    PLANNED("! no GGUF file is \"Q2_K\"; there are: a-Q8_0.gguf, b.gguf", "Q2_K", NULL, "a-Q8_0.gguf", "b.gguf", "mmproj-Q2_K.gguf");
    PLANNED("! there is no GGUF file to choose \"Q2_K\" from", "Q2_K", NULL, "model.safetensors", "config.json");
    PLANNED("! m-F16-00001-of-00002.gguf is in several parts", "f16", NULL, "m-F16-00001-of-00002.gguf", "m-F16-00002-of-00002.gguf", "m-Q8_0.gguf");
}

/* ---- the cache folder ----------------------------------------------------------------------------------------------- */

struct cache {
    char             folder[32];
    struct hub_place place;
};

static void cache_open(struct cache *c)
{
    memcpy(c->folder, "/tmp/hearth-hub-XXXXXX", sizeof "/tmp/hearth-hub-XXXXXX");
    assert_non_null(mkdtemp(c->folder));
    c->place = (struct hub_place){.endpoint = (char[]){"http://h"}, .cache = c->folder};
}

static void cache_close(struct cache *c)
{
    uint64_t freed = 0;
    assert_true(walk_remove(c->folder, &freed, NULL));
    assert_int_equal(file_kind(c->folder), FILE_NONE);
}

/* A file of a commit, as the library would lay it: a blob of that name, and a link. */
static void put_file(const struct cache *c, const char *repo, const char *commit, const char *path, const char *blob, const char *text)
{
    struct hub_folders f;
    struct buf         to;
    buf_init(&to, 0);
    hub_folders_init(&f, &c->place, repo, commit);
    char *at = path_join(f.blobs, blob), *link = path_join(f.snapshot, path), *cut = strrchr(link, '/');
    assert_true(folder_make(f.blobs, NULL));
    FILE *file = fopen(at, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
    *cut = '\0';
    assert_true(folder_make(link, NULL));
    *cut = '/';
    buf_printf(&to, "../../%sblobs/%s", strchr(path, '/') ? "../" : "", blob);
    assert_int_equal(symlink(to.p, link), 0);
    buf_drop(&to);
    free(at);
    free(link);
    hub_folders_drop(&f);
}

static const char one[] = "1111111111111111111111111111111111111111", two[] = "2222222222222222222222222222222222222222";

static void put_model(const struct cache *c, const char *commit, const char *config)
{
    put_file(c, "o/n", commit, "config.json", config, config);
    put_file(c, "o/n", commit, "tokenizer.json", "tok", "tok");
    put_file(c, "o/n", commit, "model.safetensors", "weights", "weights");
    put_file(c, "o/n", commit, "sub/x.json", "sub", "sub!");
}

static bool has(const struct cache *c, const char *path)
{
    char *at = path_join(c->folder, path);
    bool  is = file_kind(at) != FILE_NONE;
    free(at);
    return is;
}

static struct hub_name named(const char *text)
{
    struct hub_name n;
    assert_true(hub_name_parse(&n, text, NULL));
    return n;
}

static bool found(const struct cache *c, const char *text, struct err *e)
{
    struct hub_name n = named(text);
    char           *path = NULL;
    bool            ok = hub_find(&path, &c->place, &n, e);
    assert_true(ok ? path != NULL && file_kind(path) != FILE_NONE : path == NULL && e->kind == ERR_NOT_FOUND);
    free(path);
    return ok;
}

static void write_ref(const struct cache *c, const char *text, const char *commit)
{
    struct hub_name n = named(text);
    assert_true(hub_ref_write(&c->place, &n, commit, NULL));
}

static void models_are_found_only_when_whole(void **state)
{
    struct cache c;
    struct err   e;
    (void)state;
    cache_open(&c);
    assert_false(found(&c, "o/n", &e));
    put_model(&c, one, "c1");
    assert_false(found(&c, "o/n", &e));         /* no revision leads there yet */
    assert_true(found(&c, "o/n@1111111111111111111111111111111111111111", &e) && found(&c, "o/n@1111", &e));
    assert_false(found(&c, "o/n@111", &e) || found(&c, "o/n@1112", &e));
    write_ref(&c, "o/n", one);
    write_ref(&c, "o/n@refs/pr/1", two);
    assert_true(found(&c, "o/n", &e));
    assert_false(found(&c, "o/n@refs/pr/1", &e));
    assert_false(found(&c, "o/n:Q4_0", &e));
    char *weights = path_join(c.folder, "models--o--n/blobs/weights");
    assert_int_equal(unlink(weights), 0);       /* a link that leads nowhere is no file */
    assert_false(found(&c, "o/n", &e));
    free(weights);
    put_file(&c, "o/q", two, "m-Q8_0.gguf", "q8", "q8");
    put_file(&c, "o/q", two, "d/m-Q5_0.gguf", "q5", "q5");
    write_ref(&c, "o/q", two);
    assert_true(found(&c, "o/q:Q8_0", &e) && found(&c, "o/q:m-Q5_0.gguf", &e) && found(&c, "o/q", &e));
    assert_false(found(&c, "o/q:Q4_0", &e));
    cache_close(&c);
}

static void models_are_listed(void **state)
{
    struct cache      c;
    struct hub_models m;
    (void)state;
    cache_open(&c);
    hub_models_read(&m, &c.place);
    assert_int_equal(m.n, 0);
    hub_models_drop(&m);
    put_model(&c, one, "c1");
    put_file(&c, "a/half", two, "config.json", "x", "x");
    write_ref(&c, "o/n", one);
    write_ref(&c, "o/n@v1", one);
    char *begun = path_join(c.folder, "models--z--z/blobs");
    assert_true(folder_make(begun, NULL));
    free(begun);
    hub_models_read(&m, &c.place);
    assert_int_equal(m.n, 3);
    assert_string_equal(m.at[0].repo, "a/half");
    assert_true(!m.at[0].whole && m.at[0].bytes == 1 && !*m.at[0].revisions);
    assert_true(m.at[1].whole && m.at[1].bytes == 2 + 3 + 7 + 4 && m.at[1].pulled_s > 0);
    assert_string_equal(m.at[1].commit, one);
    assert_true(strcmp(m.at[1].revisions, "main, v1") == 0 || strcmp(m.at[1].revisions, "v1, main") == 0);
    assert_true(strcmp(m.at[2].repo, "z/z") == 0 && !*m.at[2].commit && !m.at[2].whole);
    hub_models_drop(&m);
    cache_close(&c);
}

static void remove_it(const struct cache *c, const char *text, uint64_t bytes)
{
    struct hub_name n = named(text);
    struct err      e;
    uint64_t        freed;
    if (!hub_remove(&c->place, &n, strchr(text, '@') != NULL, &freed, &e))
        fail_msg("%s: %s", text, e.text);
    assert_int_equal(freed, bytes);
}

static void what_is_removed_and_what_stays(void **state)
{
    struct cache    c;
    struct err      e;
    struct hub_name none = named("o/none"), no_revision = named("o/n@v9");
    uint64_t        freed;
    (void)state;
    cache_open(&c);
    put_model(&c, one, "c1");
    put_model(&c, two, "c2!");
    put_file(&c, "o/q", one, "m-Q8_0.gguf", "q8", "q8..");
    put_file(&c, "o/q", one, "m-Q5_0.gguf", "q5", "q5");
    write_ref(&c, "o/n", one);
    write_ref(&c, "o/n@refs/pr/1", two);
    write_ref(&c, "o/q", one);
    assert_false(hub_remove(&c.place, &none, false, &freed, &e) || hub_remove(&c.place, &no_revision, true, &freed, &e));
    assert_int_equal(e.kind, ERR_NOT_FOUND);
    remove_it(&c, "o/n@refs/pr/1", 3);          /* its config; the rest is the other commit's too */
    assert_true(has(&c, "models--o--n/blobs/tok") && !has(&c, "models--o--n/blobs/c2!") && found(&c, "o/n", &e));
    assert_false(has(&c, "models--o--n/refs/refs/pr/1") || found(&c, "o/n@2222", &e));
    remove_it(&c, "o/q:Q8_0", 4);
    assert_true(found(&c, "o/q:Q5_0", &e) && !found(&c, "o/q:Q8_0", &e));
    remove_it(&c, "o/q:Q5_0", 2);
    assert_false(has(&c, "models--o--q"));
    remove_it(&c, "o/n", 2 + 3 + 7 + 4 + sizeof one - 1);           /* all there is, the ref with it */
    assert_false(has(&c, "models--o--n"));
    cache_close(&c);
}

/* Links that somebody has put there lead to nothing that may go. */
static void only_what_is_inside_is_removed(void **state)
{
    struct cache c, other;
    (void)state;
    cache_open(&c);
    cache_open(&other);
    put_model(&c, one, "c1");
    put_model(&c, two, "c2");
    put_model(&other, one, "c1");
    char *snapshot = path_join(c.folder, "models--o--n/snapshots/1111111111111111111111111111111111111111");
    char *folder = path_join(snapshot, "folder"), *file = path_join(snapshot, "file"), *target = path_join(other.folder, "models--o--n/blobs/tok");
    assert_int_equal(symlink(other.folder, folder), 0);
    assert_int_equal(symlink(target, file), 0);
    remove_it(&c, "o/n@1111", 2);
    assert_true(has(&other, "models--o--n/blobs/tok") && has(&c, "models--o--n/blobs/tok"));
    free(snapshot);
    free(folder);
    free(file);
    free(target);
    cache_close(&c);
    cache_close(&other);
}

/* ---- where, and as whom --------------------------------------------------------------------------------------------- */

static void variables_that_cannot_be_are_refused(void **state)
{
    static const char *const names[] = {"HF_ENDPOINT", "HF_TOKEN", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HUGGING_FACE_HUB_TOKEN",
                                        "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_DISABLE_IMPLICIT_TOKEN"};
    struct hub_place p;
    struct err       e;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unsetenv(names[i]);
    setenv("HF_HOME", "/nowhere", 1);
    assert_true(hub_place_open(&p, &e));
    assert_string_equal(p.endpoint, "https://huggingface.co");
    assert_string_equal(p.cache, "/nowhere/hub");
    assert_true(!p.token && !p.offline && p.stall_s == 30);
    hub_place_drop(&p);
    setenv("HF_ENDPOINT", "http://mirror:80/base//", 1);
    setenv("HF_TOKEN", " hf_x\n", 1);
    setenv("HF_HUB_OFFLINE", "Yes", 1);
    setenv("HF_HUB_DOWNLOAD_TIMEOUT", "99999", 1);
    assert_true(hub_place_open(&p, &e));
    assert_string_equal(p.endpoint, "http://mirror:80/base");
    assert_string_equal(p.token, "hf_x");
    assert_true(p.offline && p.stall_s == 3600);
    hub_place_drop(&p);
    setenv("HF_TOKEN", "a b", 1);
    assert_false(hub_place_open(&p, &e));
    assert_non_null(strstr(e.text, "HF_TOKEN"));
    setenv("HF_TOKEN", "", 1);
    setenv("HF_ENDPOINT", "huggingface.co", 1);
    assert_false(hub_place_open(&p, &e));
    assert_non_null(strstr(e.text, "HF_ENDPOINT"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_in_their_parts),
        cmocka_unit_test(folders_have_names_and_names_folders),
        cmocka_unit_test(paths_stay_inside),
        cmocka_unit_test(addresses_are_escaped),
        cmocka_unit_test(a_tree_is_read),
        cmocka_unit_test(there_are_bounds),
        cmocka_unit_test(pages_follow_pages),
        cmocka_unit_test(files_are_named_by_their_hash),
        cmocka_unit_test(refusals_help),
        cmocka_unit_test(folders_are_planned),
        cmocka_unit_test(gguf_files_are_chosen),
        cmocka_unit_test(models_are_found_only_when_whole),
        cmocka_unit_test(models_are_listed),
        cmocka_unit_test(what_is_removed_and_what_stays),
        cmocka_unit_test(only_what_is_inside_is_removed),
        cmocka_unit_test(variables_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
