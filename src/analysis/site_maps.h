/* SPDX-License-Identifier: Apache-2.0 */
/* Maps: what the configurations of a site are measured by. report.json has them, and the page's map
 * can be coloured by each. */
#ifndef ANALYSIS_SITE_MAPS_H
#define ANALYSIS_SITE_MAPS_H

#include "analysis/analysis_parts.h"

/* How values are shown: shares as percentages, differences of shares as points, numbers with their
 * sign where 0 is the middle, other numbers, and numbers that are drawn by their logarithms. */
typedef enum MapScale { MAP_SHARE, MAP_POINTS, MAP_SIGNED, MAP_NUMBER, MAP_LOGARITHM } MapScale;

/* The value of a configuration in several languages is the sum of its `sums` in them over that of
 * its `weights`: a mean, or a ratio of means. */
struct SiteMap {
  const char *id, *title, *unit;
  MapScale scale;
  double *sums, *weights; /* [languages][cells]; weight 0: there is nothing */
};

/* Makes the maps of all sites of a group whose other members are filled in. Those that have nothing
 * are left out. */
xt_status analysis_maps(xt_analysis *a, AnalysisGroup *g, xt_error *error);

/* The value of cell `c` in languages [first, end); NaN: there is none. */
double site_map_value(const SiteMap *map, size_t cells, size_t first, size_t end, size_t c);

#endif
