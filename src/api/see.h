/* see.h -- requests that show something, on threads of their own: there they may wait for the network and decode. */
#ifndef API_SEE_H
#define API_SEE_H

#include "api/asked.h"

/* Takes over q and doc: renders the messages, brings what they show, and begins the answer or fails the call.  When the client
 * goes or the api stops, what is under way ends within a second or so. */
void see_begin(const struct asked *q, struct json_doc *doc);

/* The api's lock is held: has everything that is being brought end. */
void see_stop_all(struct api *a);

/* The api's lock is held: has end what is being brought for requests whose time ran out. */
void see_tick_all(struct api *a);

#endif
