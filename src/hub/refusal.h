/* refusal.h -- what a hub's refusal means to the user, and what to do next. */
#ifndef HUB_REFUSAL_H
#define HUB_REFUSAL_H

#include "hub/name.h"
#include "hub/place.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hub_refusal {
    int      status;            /* HTTP */
    char     code[HUB_SHOWN_MAX + 1];   /* X-Error-Code: RepoNotFound, GatedRepo, RevisionNotFound, EntryNotFound; "": none */
    char     text[HUB_SHOWN_MAX + 1];   /* X-Error-Message, or the start of the body */
    uint64_t retry_s;           /* how long the hub wants to be left alone; 0: it does not say */
};

/* Fills *e, returns false. */
bool hub_refuse(const struct hub_refusal *r, const struct hub_place *p, const struct hub_name *name, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
