#include "xtransplant/version.h"

const char *xt_version(void) { return XT_VERSION; }
