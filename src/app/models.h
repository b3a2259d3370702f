/* models.h -- what MODEL on the command line means: a file or folder here, or a model on a hub. */
#ifndef APP_MODELS_H
#define APP_MODELS_H

#include "app/options.h"
#include "hub/pull.h"

struct model_place {
    char *path;
    char *name;                 /* as the API shows it: a file's or folder's without ".gguf"; ORG/NAME of one from a hub */
};

/* A path that is there is that; anything else of the form ORG/NAME… is looked for in the cache folder, and pulled when it is not
 * there and o allows that.  Any other text is a path too, for whoever opens it to complain. */
MUST_USE bool model_place_find(struct model_place *out, const struct options *o, struct err *e);
void          model_place_drop(struct model_place *m);

/* hub_pull() with its progress on standard error: a bar on a terminal, else a line now and then.  Ctrl-C ends the program, and
 * the next pull goes on. */
MUST_USE bool models_pull(char **path, const struct hub_place *p, const struct hub_name *name, struct err *e);

/* The name of the model that lies at that path; to be freed by the caller. */
char *models_name(const char *path);

#endif
