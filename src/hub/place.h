/* place.h -- which hub, as whom, and the folder where its files are kept, from the variables that every program of the
 * Hugging Face family reads:
 *
 *   HF_ENDPOINT                          the hub (https://huggingface.co)
 *   HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE  the folder; else $HF_HOME/hub, and HF_HOME is $XDG_CACHE_HOME/huggingface or
 *                                        ~/.cache/huggingface
 *   HF_TOKEN, HUGGING_FACE_HUB_TOKEN     the user's token; else the file HF_TOKEN_PATH or $HF_HOME/token.
 *                                        HF_HUB_DISABLE_IMPLICIT_TOKEN: none
 *   HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE no network
 *   SSL_CERT_FILE, REQUESTS_CA_BUNDLE    who vouches for servers (the system's list)
 *   HF_HUB_DOWNLOAD_TIMEOUT              seconds without a byte after which a connection is given up (30) */
#ifndef HUB_PLACE_H
#define HUB_PLACE_H

#include "base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hub_place {
    char    *endpoint;          /* without / at its end */
    char    *cache;
    char    *token;             /* NULL: none */
    char    *token_from;        /* the variable or file that it is from, for messages */
    char    *authorities;       /* NULL: the system's */
    unsigned stall_s;
    bool     offline;
};

/* ERR_INVALID: a variable says what cannot be, or there is no home folder.  Nothing is made or connected to. */
MUST_USE bool hub_place_open(struct hub_place *out, struct err *e);
void          hub_place_drop(struct hub_place *p);

#ifdef __cplusplus
}
#endif
#endif
