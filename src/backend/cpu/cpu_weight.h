/* SPDX-License-Identifier: Apache-2.0 */
/* A weight of the CPU backend, as its product reads it. */
#ifndef CPU_WEIGHT_H
#define CPU_WEIGHT_H

#include "backend/cpu/cpu.h"

#define CPU_MOST_GROUPS 4096 /* of a product's panels */
/* the other half is for the small groups at the end */
#define CPU_MOST_PANELS (CPU_GROUP_PANELS * CPU_MOST_GROUPS / 2)

/* A panel of a quantised weight; its columns are of one part. */
typedef struct QuantisedPanel {
  char *at;
  Dtype type;
  int first, columns;
} QuantisedPanel;

struct Weight {
  int n, k;
  Dtype type;
  int panels;
  size_t panel_stride, bytes;
  char *data;
  QuantisedPanel *quantised; /* [panels], in `data`; NULL: panels follow one another,
                                panel_stride apart */
};

#endif
