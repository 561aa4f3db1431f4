/* SPDX-License-Identifier: Apache-2.0 */
#include "report/raster.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* The few parts of the libraries' stable interfaces (librsvg 2.46 on, Cairo 1.16 on) that are used,
 * declared here so that building needs neither. */
typedef struct Surface Surface; /* cairo_surface_t */
typedef struct Context Context; /* cairo_t */
typedef struct Handle Handle;   /* RsvgHandle */
typedef struct Rectangle {      /* RsvgRectangle */
  double x, y, width, height;
} Rectangle;
typedef struct LibraryError { /* GError */
  uint32_t domain;
  int code;
  char *message;
} LibraryError;

enum { FORMAT_ARGB32 = 0, METADATA_CREATE_DATE = 5 };
#define PNG_SCALE 2.0
#define POINTS_A_UNIT 0.75 /* 96 units, or 72 points, per inch */

struct Raster {
  void *rsvg, *cairo, *gobject;
  Handle *(*handle_new)(const uint8_t *, size_t, LibraryError **);
  int (*handle_render)(Handle *, Context *, const Rectangle *, LibraryError **);
  int (*handle_size)(Handle *, double *, double *);
  void (*handle_set_dpi)(Handle *, double);
  void (*unref)(void *);
  void (*error_free)(LibraryError *);
  Surface *(*image_create)(int, int, int);
  Surface *(*pdf_create)(const char *, double, double);
  void (*pdf_set_size)(Surface *, double, double);
  void (*pdf_set_metadata)(Surface *, int, const char *);
  int (*write_png)(Surface *, const char *);
  void (*surface_finish)(Surface *);
  int (*surface_status)(Surface *);
  void (*surface_destroy)(Surface *);
  Context *(*context_create)(Surface *);
  void (*context_destroy)(Context *);
  void (*show_page)(Context *);
  const char *(*status_text)(int);
};

struct RasterPages {
  const Raster *raster;
  Surface *surface;
  Context *context;
  char *path;
};

/* ---- the libraries --------------------------------------------------------------------------- */

static xt_status absent(const char *library, const char *package, xt_error *error) {
  return err_set(
      error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
      "PNG and PDF need the library %s, which is not there; install it (Debian and Ubuntu: %s)",
      library, package);
}

static xt_status find(void *library, const char *name, void *out, xt_error *error) {
  void *symbol = dlsym(library, name);
  if (!symbol)
    return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                   "PNG and PDF need a newer librsvg or Cairo: they have no %s", name);
  memcpy(out, &symbol, sizeof symbol); /* C has no cast from an object's pointer to a function's */
  return XT_STATUS_OK;
}

static xt_status find_all(Raster *r, xt_error *error) {
  const struct {
    void *library;
    const char *name;
    void *to;
  } symbols[] = {
      {r->rsvg, "rsvg_handle_new_from_data", &r->handle_new},
      {r->rsvg, "rsvg_handle_render_document", &r->handle_render},
      {r->rsvg, "rsvg_handle_get_intrinsic_size_in_pixels", &r->handle_size},
      {r->rsvg, "rsvg_handle_set_dpi", &r->handle_set_dpi},
      {r->gobject, "g_object_unref", &r->unref},
      {r->gobject, "g_error_free", &r->error_free},
      {r->cairo, "cairo_image_surface_create", &r->image_create},
      {r->cairo, "cairo_pdf_surface_create", &r->pdf_create},
      {r->cairo, "cairo_pdf_surface_set_size", &r->pdf_set_size},
      {r->cairo, "cairo_pdf_surface_set_metadata", &r->pdf_set_metadata},
      {r->cairo, "cairo_surface_write_to_png", &r->write_png},
      {r->cairo, "cairo_surface_finish", &r->surface_finish},
      {r->cairo, "cairo_surface_status", &r->surface_status},
      {r->cairo, "cairo_surface_destroy", &r->surface_destroy},
      {r->cairo, "cairo_create", &r->context_create},
      {r->cairo, "cairo_destroy", &r->context_destroy},
      {r->cairo, "cairo_show_page", &r->show_page},
      {r->cairo, "cairo_status_to_string", &r->status_text},
  };
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
    TRY(find(symbols[i].library, symbols[i].name, symbols[i].to, error));
  return XT_STATUS_OK;
}

xt_status raster_open(Raster **out, xt_error *error) {
  Raster *r;
  *out = NULL;
  TRY(MEM_ALLOC(&r, 1, error));
  xt_status status = XT_STATUS_OK;
  r->rsvg = dlopen("librsvg-2.so.2", RTLD_NOW | RTLD_LOCAL);
  r->cairo = dlopen("libcairo.so.2", RTLD_NOW | RTLD_LOCAL);
  r->gobject = dlopen("libgobject-2.0.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!r->rsvg || !r->gobject)
    status = absent("librsvg", "librsvg2-2", error);
  else if (!r->cairo)
    status = absent("Cairo", "libcairo2", error);
  else
    status = find_all(r, error);
  if (status)
    raster_close(r);
  else
    *out = r;
  return status;
}

void raster_close(Raster *r) {
  /* The libraries stay loaded, because GLib registers types permanently and cannot be unloaded. */
  free(r);
}

/* ---- drawing --------------------------------------------------------------------------------- */

static xt_status library_error(const Raster *r, const char *path, LibraryError *wrong,
                               xt_error *error) {
  const xt_status status = err_set(error, XT_STATUS_IO, path, NULL, -1, "cannot be drawn: %s",
                                   wrong ? wrong->message : "librsvg does not say why");
  if (wrong) r->error_free(wrong);
  return status;
}

static xt_status load(const Raster *r, const TextBuffer *svg, const char *path, Handle **out,
                      double *width, double *height, xt_error *error) {
  LibraryError *wrong = NULL;
  *out = r->handle_new((const uint8_t *)svg->data, svg->size, &wrong);
  if (!*out) return library_error(r, path, wrong, error);
  r->handle_set_dpi(*out, 96);
  if (r->handle_size(*out, width, height)) return XT_STATUS_OK;
  r->unref(*out);
  return err_set(error, XT_STATUS_IO, path, NULL, -1, "cannot be drawn: it has no size");
}

static xt_status surface_check(const Raster *r, Surface *surface, const char *path,
                               xt_error *error) {
  const int code = r->surface_status(surface);
  return code ? err_set(error, XT_STATUS_IO, path, NULL, -1, "cannot write: %s",
                        r->status_text(code))
              : XT_STATUS_OK;
}

static xt_status draw(const Raster *r, Handle *handle, Context *context, double width,
                      double height, const char *path, xt_error *error) {
  const Rectangle area = {0, 0, width, height};
  LibraryError *wrong = NULL;
  return r->handle_render(handle, context, &area, &wrong) ? XT_STATUS_OK
                                                          : library_error(r, path, wrong, error);
}

xt_status raster_png(const Raster *r, const TextBuffer *svg, const char *path, xt_error *error) {
  Handle *handle;
  double width, height;
  TRY(load(r, svg, path, &handle, &width, &height, error));
  Surface *surface = r->image_create(FORMAT_ARGB32, (int)(PNG_SCALE * width + 0.5),
                                     (int)(PNG_SCALE * height + 0.5));
  Context *context = r->context_create(surface);
  xt_status status = draw(r, handle, context, PNG_SCALE * width, PNG_SCALE * height, path, error);
  r->context_destroy(context);
  if (!status) status = surface_check(r, surface, path, error);
  if (!status) {
    const int code = r->write_png(surface, path);
    if (code)
      status =
          err_set(error, XT_STATUS_IO, path, NULL, -1, "cannot write: %s", r->status_text(code));
  }
  r->surface_destroy(surface);
  r->unref(handle);
  return status;
}

xt_status raster_pages_open(const Raster *r, const char *path, RasterPages **out, xt_error *error) {
  TRY(MEM_ALLOC(out, 1, error));
  const xt_status status = mem_copy_text(&(*out)->path, path, strlen(path), error);
  if (status) {
    free(*out);
    return status;
  }
  (*out)->raster = r;
  (*out)->surface = r->pdf_create(path, 1, 1);
  (*out)->context = r->context_create((*out)->surface);
  r->pdf_set_metadata((*out)->surface, METADATA_CREATE_DATE,
                      "2000-01-01T00:00:00Z"); /* the same report gives the same bytes */
  return XT_STATUS_OK;
}

xt_status raster_pages_add(RasterPages *pages, const TextBuffer *svg, xt_error *error) {
  const Raster *r = pages->raster;
  Handle *handle;
  double width, height;
  TRY(load(r, svg, pages->path, &handle, &width, &height, error));
  r->pdf_set_size(pages->surface, POINTS_A_UNIT * width, POINTS_A_UNIT * height);
  const xt_status status = draw(r, handle, pages->context, POINTS_A_UNIT * width,
                                POINTS_A_UNIT * height, pages->path, error);
  if (!status) r->show_page(pages->context);
  r->unref(handle);
  return status;
}

xt_status raster_pages_close(RasterPages *pages, xt_error *error) {
  const Raster *r = pages->raster;
  r->context_destroy(pages->context);
  r->surface_finish(pages->surface);
  const xt_status status = surface_check(r, pages->surface, pages->path, error);
  r->surface_destroy(pages->surface);
  free(pages->path);
  free(pages);
  return status;
}

xt_status raster_pdf(const Raster *r, const TextBuffer *svg, const char *path, xt_error *error) {
  RasterPages *pages;
  TRY(raster_pages_open(r, path, &pages, error));
  const xt_status added = raster_pages_add(pages, svg, error),
                  closed = raster_pages_close(pages, added ? NULL : error);
  return added ? added : closed;
}
