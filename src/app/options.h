/* options.h -- the command line, from one table (options.def). */
#ifndef APP_OPTIONS_H
#define APP_OPTIONS_H

#include "base/err.h"

#include <stdint.h>

enum command {
#define COMMAND(name, typed, args, least, most, help) COMMAND_##name,
#include "app/commands.def"
#undef COMMAND
    COMMAND_COUNT
};

enum { OPTION_TEXTS_MAX = 64 };

struct option_TEXT   { const char *v; };
struct option_COUNT  { uint64_t v; };
struct option_BYTES  { uint64_t v; };
struct option_NUMBER { double v; };
struct option_FLAG   { bool v; };
struct option_TEXTS  { const char *v[OPTION_TEXTS_MAX]; unsigned n; };

/* Strings borrow from argv.  `given` tells an option that was named from a zero value. */
struct options {
    enum command command;
    const char  *arg[2];            /* positional arguments; NULL when absent */
    struct {
#define OPTION(field, name, kind, arg, least, most, commands, help) bool field;
#include "app/options.def"
#undef OPTION
    } given;
#define OPTION(field, name, kind, arg, least, most, commands, help) struct option_##kind field;
#include "app/options.def"
#undef OPTION
};

enum options_result { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_WRONG };

/* DONE: --help or --version was printed to stdout.  WRONG: *e says what and what to try. */
enum options_result options_parse(struct options *o, int argc, char **argv, struct err *e);

#endif
