#include <stdio.h>

#include "xtransplant/xt.h"

int main(void) {
  printf("xtransplant %s\n", xt_version());
  return 0;
}
