/* answer.h -- one request being answered by the engine.
 *
 * LIFE.  A handler fills an answer and gives it to answer_begin(), which submits a job per choice and sends the
 * headers of a stream.  From then on it is an actor: the engine's events, the client's going, a cancel, the timer and
 * the api's end leave a note under its lock and wake it; one thread of the pool at a time reads the notes, makes text
 * of ids and writes.  The reply is ended once, when every choice is closed or the answer has failed; the answer goes
 * away when, besides, every job has told its end, because until then the engine may call. */
#ifndef API_ANSWER_H
#define API_ANSWER_H

#include "api/asked.h"
#include "api/shape.h"

/* Takes over everything in q: the reply will be ended and all of it freed, also when the engine refuses the jobs. */
void answer_begin(const struct asked *q);

/* The api's lock is held for all of these, so that answers do not go away. */
bool answer_cancel(struct api *a, struct str id, const struct client *who);     /* false: none of that id runs */
void answer_stop_all(struct api *a);
void answer_tick_all(struct api *a);
void answer_list(struct api *a, const struct client *who, struct json_out *w);  /* a member "requests"; NULL: all */

#endif
