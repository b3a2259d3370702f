/* name.c -- see name.h. */
#include "hub/name.h"

#include "base/buf.h"

#include <stdio.h>

static bool is_one_of(char c, const char *others)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c && strchr(others, c));
}

static bool part_fits(struct str s)
{
    if (s.n == 0 || s.n > HUB_PART_MAX || strchr("-.", s.p[0]) || strchr("-.", s.p[s.n - 1]))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_one_of(s.p[i], "-_."))
            return false;
    return str_find(s, STR("--")) == STR_NONE && str_find(s, STR("..")) == STR_NONE;
}

static bool repo_fits(struct str s)
{
    size_t     cut = str_find(s, STR("/"));
    struct str name = cut == STR_NONE ? s : (struct str){s.p + cut + 1, s.n - cut - 1};
    return (cut == STR_NONE || part_fits((struct str){s.p, cut})) && part_fits(name) && !str_ends(name, STR(".git"));
}

/* Of ASCII, or of the second row that some terminals obey too (U+0080 to U+009F, in UTF-8). */
static bool is_control(struct str s, size_t i)
{
    unsigned char c = (unsigned char)s.p[i], next = i + 1 < s.n ? (unsigned char)s.p[i + 1] : 0;
    return c < ' ' || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0);
}

const char *hub_shown(struct str s, char out[HUB_SHOWN_MAX + 1])
{
    size_t n = 0;
    for (; n < s.n && n < HUB_SHOWN_MAX; n++)
        out[n] = s.p[n] >= ' ' && s.p[n] < 0x7f ? s.p[n] : '?';
    out[n] = '\0';
    return out;
}

bool hub_path_fits(struct str path)
{
    if (path.n == 0 || path.n > HUB_PATH_MAX)
        return false;
    for (size_t i = 0, from = 0; i <= path.n; i++) {
        if (i < path.n && (is_control(path, i) || path.p[i] == '\\'))
            return false;
        if (i < path.n && path.p[i] != '/')
            continue;
        struct str part = {path.p + from, i - from};
        if (part.n == 0 || part.n > 255 || str_is(part, ".") || str_is(part, ".."))
            return false;
        from = i + 1;
    }
    return true;
}

/* What git allows a branch to be called, roughly; a file of that name is made in refs/. */
static bool revision_fits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_one_of(s.p[i], "-_./+#=") || (s.p[i] == '.' && (i == 0 || s.p[i - 1] == '/')))
            return false;
    return hub_path_fits(s) && s.n <= HUB_REVISION_MAX && s.p[0] != '-' && !str_ends(s, STR(".lock"));
}

bool hub_is_hex(struct str s, size_t digits)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(s.p[i] >= '0' && s.p[i] <= '9') && !(s.p[i] >= 'a' && s.p[i] <= 'f'))
            return false;
    return s.n == digits;
}

/* Takes what is behind the first `mark` off s; NULL: there is none. */
static struct str behind(struct str *s, const char *mark)
{
    size_t     at = str_find(*s, str_of(mark));
    struct str tail = {NULL, 0};
    if (at != STR_NONE) {
        tail = (struct str){s->p + at + 1, s->n - at - 1};
        s->n = at;
    }
    return tail;
}

bool hub_name_parse(struct hub_name *out, const char *text, struct err *e)
{
    struct str repo = str_of(text), choice = behind(&repo, ":"), revision = behind(&repo, "@");
    if (!repo_fits(repo))
        return err_set(e, ERR_INVALID, "\"%.200s\" is no model's name on a hub: that is ORG/NAME, as mlx-community/"
                                       "Llama-3.2-3B-Instruct-4bit, then @REVISION and :QUANTISATION if wanted", text);
    if (!revision.p)
        revision = STR("main");
    if (!revision_fits(revision))
        return err_set(e, ERR_INVALID, "\"%.*s\" cannot be a revision: that is a branch, a tag or a commit of %.*s",
                       (int)(revision.n < 100 ? revision.n : 100), revision.p, (int)repo.n, repo.p);
    if (choice.p && (!hub_path_fits(choice) || choice.n > HUB_CHOICE_MAX))
        return err_set(e, ERR_INVALID, "behind the : comes a quantisation, as Q4_K_M, or a .gguf file of %.*s", (int)repo.n,
                       repo.p);
    *out = (struct hub_name){0};
    memcpy(out->repo, repo.p, repo.n);
    memcpy(out->revision, revision.p, revision.n);
    if (choice.p)
        memcpy(out->choice, choice.p, choice.n);
    return true;
}

static const struct str folder_mark = {"models--", 8};

char *hub_folder_name(const char *repo)
{
    struct buf b;
    buf_init(&b, 0);
    buf_str(&b, folder_mark);
    for (const char *p = repo; *p; p++)
        buf_str(&b, *p == '/' ? STR("--") : (struct str){p, 1});
    return buf_take(&b);
}

bool hub_folder_repo(const char *folder, char repo[2 * HUB_PART_MAX + 2])
{
    struct str s = str_of(folder);
    if (!str_starts(s, folder_mark))
        return false;
    s = (struct str){s.p + folder_mark.n, s.n - folder_mark.n};
    size_t cut = str_find(s, STR("--"));
    int    n = cut == STR_NONE ? snprintf(repo, 2 * HUB_PART_MAX + 2, "%s", s.p)
                               : snprintf(repo, 2 * HUB_PART_MAX + 2, "%.*s/%s", (int)cut, s.p, s.p + cut + 2);
    return n <= 2 * HUB_PART_MAX + 1 && repo_fits(str_of(repo));
}
