/* err.c -- see err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct { int status; const char *type; } kinds[] = {
#define ERR(name, status, type, when) {status, type},
#include "base/err.def"
#undef ERR
};

/* Strings of files and requests stand in messages; their control characters must not reach a terminal. */
static void make_printable(char *p)
{
    for (; *p; p++)
        if (((unsigned char)*p < 0x20 && *p != '\n') || *p == 0x7F)
            *p = ' ';
}

static void fill(struct err *e, enum err_kind kind, const char *fmt, va_list ap)
{
    e->kind = kind;
    e->param[0] = e->code[0] = '\0';
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    make_printable(e->text);
}

bool err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
    if (!e)
        return false;
    va_list ap;
    va_start(ap, fmt);
    fill(e, kind, fmt, ap);
    va_end(ap);
    return false;
}

bool err_param(struct err *e, const char *param, const char *fmt, ...)
{
    if (!e)
        return false;
    va_list ap;
    va_start(ap, fmt);
    fill(e, ERR_INVALID, fmt, ap);
    va_end(ap);
    snprintf(e->param, sizeof e->param, "%s", param);
    return false;
}

bool err_os(struct err *e, const char *fmt, ...)
{
    int why = errno;
    if (!e)
        return false;
    va_list ap;
    va_start(ap, fmt);
    fill(e, why == ENOENT ? ERR_NOT_FOUND : why == ENOMEM ? ERR_MEMORY : ERR_IO, fmt, ap);
    va_end(ap);
    size_t n = strlen(e->text);
    snprintf(e->text + n, sizeof e->text - n, ": %s", strerror(why));
    return false;
}

bool err_in(struct err *e, const char *fmt, ...)
{
    if (!e)
        return false;
    char    was[sizeof e->text];
    va_list ap;
    memcpy(was, e->text, sizeof was);
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    size_t n = strlen(e->text);
    snprintf(e->text + n, sizeof e->text - n, ": %s", was);
    return false;
}

int err_status(enum err_kind kind)
{
    CHECK(kind < ERR_COUNT);
    return kinds[kind].status;
}

const char *err_type(enum err_kind kind)
{
    CHECK(kind < ERR_COUNT);
    return kinds[kind].type;
}

void check_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "hearth: defect: CHECK(%s) failed at %s:%d\n", expr, file, line);
    abort();
}
