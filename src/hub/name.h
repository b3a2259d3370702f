/* name.h -- what a user types to mean a model on a hub: ORG/NAME[@REVISION][:CHOICE].
 *
 * REVISION is a branch, tag or commit (main unless named).  CHOICE says which GGUF file of the repository: a quantisation
 * that its name ends in ("Q4_K_M", in any case) or the file's own name. */
#ifndef HUB_NAME_H
#define HUB_NAME_H

#include "base/err.h"
#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HUB_PART_MAX = 96, HUB_REVISION_MAX = 200, HUB_CHOICE_MAX = 255, HUB_COMMIT = 40, HUB_PATH_MAX = 1024 };

struct hub_name {
    char repo[2 * HUB_PART_MAX + 2];    /* ORG/NAME; the oldest repositories have no ORG */
    char revision[HUB_REVISION_MAX + 1];
    char choice[HUB_CHOICE_MAX + 1];    /* "": none */
};

/* ERR_INVALID: the text can name no repository, by the hub's own rules (letters, digits, - _ . and no -- or ..). */
MUST_USE bool hub_name_parse(struct hub_name *out, const char *text, struct err *e);

bool hub_is_hex(struct str s, size_t digits);       /* so many digits of hexadecimal, lower case; a commit has HUB_COMMIT */

/* Whether a path from outside stays inside the folder that it is put in and can be a file's: relative, no empty, "." or
 * ".." component, no backslash or control character, at most HUB_PATH_MAX bytes. */
bool hub_path_fits(struct str path);

/* What strangers say, for a message: the start of it, what is no printable ASCII as ?, so that no terminal obeys it. */
enum { HUB_SHOWN_MAX = 160 };
const char *hub_shown(struct str s, char out[HUB_SHOWN_MAX + 1]);

/* The repository's folder in the cache, "models--ORG--NAME", to be freed by the caller; and back.  False: it is no such
 * folder's name. */
char *hub_folder_name(const char *repo);
bool  hub_folder_repo(const char *folder, char repo[2 * HUB_PART_MAX + 2]);

#ifdef __cplusplus
}
#endif
#endif
