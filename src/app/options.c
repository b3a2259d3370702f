/* options.c -- see options.h.  getopt_long does the reading; the table does the rest. */
#include "app/options.h"

#include "base/mem.h"
#include "base/str.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN(command) (1u << COMMAND_##command)

enum kind { KIND_TEXT, KIND_COUNT, KIND_BYTES, KIND_NUMBER, KIND_FLAG, KIND_TEXTS };

static const struct row {
    const char *name, *arg, *help;
    enum kind   kind;
    unsigned    commands;
    double      least, most;
    size_t      value, given;       /* offsets in struct options */
} rows[] = {
#define OPTION(field, name, kind, arg, least, most, commands, help) \
    {name, arg, help, KIND_##kind, commands, least, most, \
     offsetof(struct options, field), offsetof(struct options, given.field)},
#include "app/options.def"
#undef OPTION
};

static const struct {
    const char *name, *args, *help;
    int         least, most;
} commands[] = {
#define COMMAND(name, typed, args, least, most, help) {typed, args, help, least, most},
#include "app/commands.def"
#undef COMMAND
};

enum { N_ROWS = sizeof rows / sizeof rows[0], HELP = 'h', VERSION = 'V', FIRST = 256 };

static void help_all(void)
{
    puts("hearth: your own machine as an AI server\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        printf("  hearth %-11s %-15s %s\n", commands[i].name, commands[i].args, commands[i].help);
    puts("\nhearth COMMAND --help lists a command's options.  MODEL is a .gguf file, a folder with config.json and *.safetensors,\n"
         "or the name of a model on a Hugging Face hub, fetched when it is not here: ORG/NAME[@REVISION][:QUANTISATION].");
}

static void help_command(enum command c)
{
    printf("usage: hearth %s %s%s[options]\n%s\n\n", commands[c].name, commands[c].args, *commands[c].args ? " " : "",
           commands[c].help);
    for (int i = 0; i < N_ROWS; i++) {
        if (!(rows[i].commands & 1u << c))
            continue;
        char left[40];
        snprintf(left, sizeof left, "--%s %s", rows[i].name, rows[i].arg);
        printf("  %-22s %s\n", left, rows[i].help);
    }
    puts("  --help                 this text\n"
         "  --version              the version of hearth");
}

static const char units[] = "kmgt";

/* 4096, 512m, 1.5g; k, m, g, t count in 1024s. */
static bool bytes_of(const char *text, double *out)
{
    size_t      n = strlen(text);
    double      scale = 1;
    const char *unit = n ? strchr(units, text[n - 1] | 0x20) : NULL;
    if (unit && *unit) {
        n--;
        for (const char *u = units; u <= unit; u++)
            scale *= 1024;
    }
    if (!str_f64((struct str){text, n}, out))
        return false;
    *out *= scale;
    return true;
}

/* A limit as one would type it. */
static const char *limit_text(const struct row *r, double limit, char out[static 32])
{
    int unit = 0;
    for (; r->kind == KIND_BYTES && unit < 4 && fmod(limit, 1024) == 0; unit++)
        limit /= 1024;
    snprintf(out, 32, "%.10g%.*s", limit, unit > 0, unit ? &units[unit - 1] : "");
    return out;
}

static bool in_range(const struct row *r, double v, const char *text, struct err *e)
{
    char least[32], most[32];
    return (v >= r->least && v <= r->most) ||
           err_param(e, r->name, "--%s goes from %s to %s, not %s", r->name, limit_text(r, r->least, least),
                     limit_text(r, r->most, most), text);
}

static bool fits(const struct row *r, const char *text, struct err *e)
{
    double n = (double)strlen(text);
    if (n < r->least)
        return err_param(e, r->name, "--%s may not be empty", r->name);
    return n <= r->most || err_param(e, r->name, "--%s takes %.0f bytes, not %.0f", r->name, r->most, n);
}

static bool set_number(void *at, const struct row *r, const char *text, struct err *e)
{
    uint64_t count;
    double   v;
    switch (r->kind) {
    case KIND_COUNT:
        if (!str_u64(str_of(text), &count))
            return err_param(e, r->name, "--%s wants a whole number, not \"%s\"", r->name, text);
        ((struct option_COUNT *)at)->v = count;
        return in_range(r, (double)count, text, e);
    case KIND_BYTES:
        if (!bytes_of(text, &v))
            return err_param(e, r->name, "--%s wants a size as 8g or 512m, not \"%s\"", r->name, text);
        if (!in_range(r, v, text, e))
            return false;
        ((struct option_BYTES *)at)->v = (uint64_t)v;
        return true;
    default:
        if (!str_f64(str_of(text), &v))
            return err_param(e, r->name, "--%s wants a number, not \"%s\"", r->name, text);
        ((struct option_NUMBER *)at)->v = v;
        return in_range(r, v, text, e);
    }
}

static bool set_value(struct options *o, const struct row *r, const char *text, struct err *e)
{
    void *at = (char *)o + r->value;
    *(bool *)((char *)o + r->given) = true;
    switch (r->kind) {
    case KIND_FLAG: ((struct option_FLAG *)at)->v = true; return true;
    case KIND_TEXT: ((struct option_TEXT *)at)->v = text; return fits(r, text, e);
    case KIND_COUNT:
    case KIND_BYTES:
    case KIND_NUMBER: return set_number(at, r, text, e);
    case KIND_TEXTS: break;
    }
    struct option_TEXTS *list = at;
    if (list->n == OPTION_TEXTS_MAX)
        return err_param(e, r->name, "--%s may be given at most %d times", r->name, OPTION_TEXTS_MAX);
    list->v[list->n++] = text;
    return fits(r, text, e);
}

/* The command that the first arguments name, and how many of them do; 0: none. */
static int find_command(int argc, char **argv, enum command *out)
{
    for (int i = 0; i < COMMAND_COUNT; i++) {
        const char *typed = commands[i].name, *space = strchr(typed, ' ');
        size_t      n = space ? (size_t)(space - typed) : strlen(typed);
        if (strlen(argv[1]) != n || strncmp(argv[1], typed, n) != 0)
            continue;
        if (space && (argc < 3 || strcmp(argv[2], space + 1) != 0))
            continue;
        *out = (enum command)i;
        return space ? 2 : 1;
    }
    return 0;
}

static void fill_long_options(enum command c, struct option out[static N_ROWS + 3])
{
    int n = 0;
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].commands & 1u << c)
            out[n++] = (struct option){rows[i].name, rows[i].kind == KIND_FLAG ? no_argument : required_argument, NULL,
                                       FIRST + i};
    out[n++] = (struct option){"help", no_argument, NULL, HELP};
    out[n++] = (struct option){"version", no_argument, NULL, VERSION};
    out[n] = (struct option){0};
}

static bool take_arguments(struct options *o, int argc, char **argv, struct err *e)
{
    int n = argc - optind;
    if (n < commands[o->command].least)
        return err_set(e, ERR_INVALID, "hearth %s needs %s; hearth %s --help says more", commands[o->command].name,
                       commands[o->command].args, commands[o->command].name);
    if (n > commands[o->command].most)
        return err_set(e, ERR_INVALID, "\"%s\" is one argument too many for hearth %s (quote texts with spaces)",
                       argv[optind + commands[o->command].most], commands[o->command].name);
    if (n > 0 && !*argv[optind])
        return err_set(e, ERR_INVALID, "MODEL may not be empty; hearth %s --help says more", commands[o->command].name);
    for (int i = 0; i < n; i++)
        o->arg[i] = argv[optind + i];
    return true;
}

enum options_result options_parse(struct options *o, int argc, char **argv, struct err *e)
{
    *o = (struct options){0};
    const char *first = argc > 1 ? argv[1] : "--help";
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 || strcmp(first, "help") == 0) {
        help_all();
        return OPTIONS_DONE;
    }
    if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0) {
        puts("hearth " HEARTH_VERSION);
        return OPTIONS_DONE;
    }
    int words = find_command(argc, argv, &o->command);
    if (words == 0) {
        err_set(e, ERR_INVALID, "there is no command \"%s\"; hearth --help lists them", first);
        return OPTIONS_WRONG;
    }
    struct option table[N_ROWS + 3];
    fill_long_options(o->command, table);
    opterr = 0;
    optind = 1 + words;
    for (int c; (c = getopt_long(argc, argv, ":hV", table, NULL)) != -1;) {
        if (c == HELP) {
            help_command(o->command);
            return OPTIONS_DONE;
        }
        if (c == VERSION) {
            puts("hearth " HEARTH_VERSION);
            return OPTIONS_DONE;
        }
        if (c < FIRST) {
            err_set(e, ERR_INVALID, c == ':' ? "%s wants a value" : "%s is no option of hearth %s; --help lists them",
                    argv[optind - 1], commands[o->command].name);
            return OPTIONS_WRONG;
        }
        if (!set_value(o, &rows[c - FIRST], optarg, e))
            return OPTIONS_WRONG;
    }
    return take_arguments(o, argc, argv, e) ? OPTIONS_RUN : OPTIONS_WRONG;
}
