/* commands.h -- what `hearth COMMAND` runs: one function and one file each (commands.def).  False: *e says
 * why. */
#ifndef APP_COMMANDS_H
#define APP_COMMANDS_H

#include "app/options.h"

#define COMMAND(name, typed, args, least, most, help) MUST_USE bool command_##name(const struct options *o, struct err *e);
#include "app/commands.def"
#undef COMMAND

#endif
