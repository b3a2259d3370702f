/* experts.h -- the expert op of a plan: rows choose, are put in order by expert, and go through the chosen experts' panels.
 *
 * Only chosen experts' weights are read.  A slot is one row at one of its experts. */
#ifndef BACKEND_CPU_EXPERTS_H
#define BACKEND_CPU_EXPERTS_H

#include "backend/cpu/cpu.h"

/* Room for the largest of a program's expert ops. */
uint64_t experts_bytes(const struct prog *p, uint32_t rows);
void     experts_place(struct plan *pl, uint32_t rows, uint8_t *base);

/* Appends the steps of one.  ERR_UNSUPPORTED: its experts' weights differ in form. */
MUST_USE bool experts_add(struct plan *pl, struct step *s, char name[40], struct err *e);

#endif
