/* main.c -- the command line's way in. */
#include "app/commands.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    static bool (*const run[])(const struct options *, struct err *) = {
#define COMMAND(name, typed, args, least, most, help) command_##name,
#include "app/commands.def"
#undef COMMAND
    };
    struct options o;
    struct err     e;
    switch (options_parse(&o, argc, argv, &e)) {
    case OPTIONS_DONE: return 0;
    case OPTIONS_WRONG: fprintf(stderr, "hearth: %s\n", e.text); return 2;
    case OPTIONS_RUN: break;
    }
    if (run[o.command](&o, &e))
        return 0;
    fprintf(stderr, "hearth: %s\n", e.text);
    return 1;
}
