/* lanes.h -- how kernels are written so that one source serves every instruction set.
 *
 * LANE functions work on vectors of sixteen lanes and vanish into their callers; so do TILEs, whose constant arguments
 * (format, rows, panels) then shape the code.  A sanitizer would have to instrument all of these copies, for minutes: there
 * a TILE is one plain function. */
#ifndef BACKEND_CPU_LANES_H
#define BACKEND_CPU_LANES_H

#define LANE static inline __attribute__((always_inline))

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

#ifdef SANITIZED
#define TILE static
#define UNROLL
#elif defined(__clang__)
#define TILE   LANE
/* Full: plain "unroll" is already done where a count is not yet a constant, and not again where it is. */
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define TILE   LANE
#define UNROLL _Pragma("GCC unroll 16")
#endif

#endif
