/* plugin.h -- a backend in a file of its own, hearth-NAME.so, loaded when it is asked for: the program starts without the
 * libraries that it needs. */
#ifndef BACKEND_PLUGIN_H
#define BACKEND_PLUGIN_H

#include "backend/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The one thing that such a file shows.  NULL: it was built with other headers than those that `abi`, the caller's
 * HEARTH_ABI, stands for. */
__attribute__((visibility("default"))) const struct backend_type *hearth_backend(const char *abi);

#ifdef __cplusplus
}
#endif
#endif
