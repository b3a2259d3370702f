/* bench_answer.h -- one streamed answer of an OpenAI-compatible server: what its events tell, and when. */
#ifndef APP_BENCH_ANSWER_H
#define APP_BENCH_ANSWER_H

#include "app/samples.h"
#include "base/str.h"

struct bench_answer {
    uint64_t asked_ns, first_ns, last_ns;   /* first and last piece of text; 0: none came */
    uint64_t pieces;                        /* events with text; a server may put several tokens into one */
    uint64_t prompt_tokens, cached_tokens, answer_tokens;   /* of its usage */
    bool     has_usage, has_cached;
    bool     ended;                         /* "[DONE]" or a finish_reason came: nothing is missing */
    char     error[200];                    /* the server's own, or what is wrong with the stream; "": nothing */
};

/* Takes the data of the next event, which came at now_ns.  The pause since the piece before it goes to gaps in
 * milliseconds (NULL: nowhere). */
void bench_answer_event(struct bench_answer *a, struct str data, uint64_t now_ns, struct samples *gaps);

/* Drawn tokens by the server's count, or the number of pieces. */
uint64_t bench_answer_tokens(const struct bench_answer *a);

/* The message of an error body {"error": {"message": …}}, or its beginning, on one line, into out (of n bytes). */
void bench_answer_message(struct str body, char *out, size_t n);

#endif
