/* SPDX-License-Identifier: Apache-2.0 */
/* The page's parts, embedded when the library is built (cmake/embed.cmake). Each ends with a NUL
 * that is not counted. */
#ifndef REPORT_ASSETS_H
#define REPORT_ASSETS_H

extern const unsigned char asset_page_html[], asset_page_css[], asset_page_js[],
    asset_page_measures_js[], asset_page_maps_js[], asset_page_compare_js[];
extern const unsigned long asset_page_html_size, asset_page_css_size, asset_page_js_size,
    asset_page_measures_js_size, asset_page_maps_js_size, asset_page_compare_js_size;

#endif
