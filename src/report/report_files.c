/* SPDX-License-Identifier: Apache-2.0 */
/* A report's files are made in a folder inside the requested one, and then moved into place
 * together, the page last. If a report is stopped, the next one removes that folder; files of an
 * earlier report that the new one does not have are removed too. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/options.h"
#include "base/out_name.h"
#include "base/out_stream.h"
#include "report/raster.h"
#include "report/report_parts.h"

#define PARTIAL ".report-partial-"

typedef struct Output {
  const char *directory;
  char *temporary;
  int lock;      /* the temporary folder, locked as long as its process runs */
  json_t *names; /* of files, in the order in which they are put in place */
} Output;

/* `folder`/`name`, to be freed. */
static xt_status join(const char *folder, const char *name, char **out, xt_error *error) {
  const size_t size = strlen(folder) + strlen(name) + 2;
  TRY(MEM_ALLOC(out, size, error));
  snprintf(*out, size, "%s/%s", folder, name);
  return XT_STATUS_OK;
}

/* ---- the temporary folder -------------------------------------------------------------------- */

static void remove_folder(const char *path) {
  DIR *folder = opendir(path);
  for (const struct dirent *entry; folder && (entry = readdir(folder));) {
    char *file;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (join(path, entry->d_name, &file, NULL) != XT_STATUS_OK) break;
    unlink(file);
    free(file);
  }
  if (folder) closedir(folder);
  rmdir(path);
}

/* Removes the folders of killed reports; a running report holds its folder's lock. */
static void remove_leftovers(const char *directory) {
  DIR *folder = opendir(directory);
  for (const struct dirent *entry; folder && (entry = readdir(folder));) {
    char *path;
    if (strncmp(entry->d_name, PARTIAL, strlen(PARTIAL)) != 0) continue;
    if (join(directory, entry->d_name, &path, NULL) != XT_STATUS_OK) break;
    const int lock = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0) remove_folder(path);
    if (lock >= 0) close(lock);
    free(path);
  }
  if (folder) closedir(folder);
}

static xt_status output_open(const char *directory, Output *out, xt_error *error) {
  *out = (Output){.directory = directory, .lock = -1};
  if (mkdir(directory, 0777) != 0 && errno != EEXIST)
    return err_io(error, directory, "cannot make the folder");
  remove_leftovers(directory);
  out->names = json_array();
  if (!out->names) return err_memory(error, 0);
  TRY(join(directory, PARTIAL "XXXXXX", &out->temporary, error));
  if (!mkdtemp(out->temporary)) {
    const xt_status status = err_io(error, out->temporary, "cannot write");
    free(out->temporary);
    out->temporary = NULL;
    return status;
  }
  out->lock = open(out->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (out->lock >= 0)
    flock(out->lock, LOCK_EX | LOCK_NB); /* on a file system without locks the folder of a
                                            running report may be removed */
  return XT_STATUS_OK;
}

static void output_close(Output *out) {
  if (out->temporary) remove_folder(out->temporary);
  if (out->lock >= 0) close(out->lock);
  free(out->temporary);
  json_decref(out->names);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Records a file of the report; *path is its temporary path, to be freed. */
static xt_status output_name(Output *out, const char *id, const char *ending, char **path,
                             xt_error *error) {
  char *name;
  const size_t size = strlen(id) + strlen(ending) + 2;
  TRY(MEM_ALLOC(&name, size, error));
  snprintf(name, size, "%s.%s", id, ending);
  xt_status status = json_array_append_new(out->names, json_string(name)) == 0
                         ? XT_STATUS_OK
                         : err_memory(error, 0);
  if (!status) status = join(out->temporary, name, path, error);
  free(name);
  return status;
}

static xt_status write_file(Output *out, const char *id, const char *ending, const TextBuffer *text,
                            xt_error *error) {
  char *path;
  if (text->failed) return err_memory(error, 0);
  TRY(output_name(out, id, ending, &path, error));
  OutStream to;
  const int fd = out_create(path);
  xt_status status = fd < 0 ? err_io(error, path, "cannot write") : XT_STATUS_OK;
  if (!status && !out_stream_open(fd, &to)) status = err_memory(error, BUFSIZ);
  if (!status) {
    fwrite(text->data, 1, text->size, to.stream); /* a failure is reported when it is closed */
    if (!out_stream_close(&to, true)) status = err_io(error, path, "cannot write");
  }
  free(path);
  return status;
}

static xt_status write_figure(Output *out, const ReportFigure *figure, xt_error *error) {
  TextBuffer whole = {0};
  text_buffer_add_text(&whole, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
  text_buffer_add(&whole, figure->svg.data, figure->svg.size);
  const xt_status status = write_file(out, figure->id, "svg", &whole, error);
  text_buffer_free(&whole);
  return status;
}

static xt_status write_table(Output *out, const Table *table, xt_error *error) {
  TextBuffer csv = {0}, latex = {0};
  table_to_csv(table, &csv);
  xt_status status = write_file(out, table->id, "csv", &csv, error);
  if (!table->data) table_to_latex(table, &latex);
  if (!status && !table->data) status = write_file(out, table->id, "tex", &latex, error);
  text_buffer_free(&csv);
  text_buffer_free(&latex);
  return status;
}

static xt_status write_tables(Output *out, const TableList *list, xt_error *error) {
  TextBuffer document = {0};
  for (size_t i = 0; i < list->count; i++) TRY(write_table(out, list->tables[i], error));
  table_latex_document(list, &document);
  const xt_status status = write_file(out, "tables", "tex", &document, error);
  text_buffer_free(&document);
  return status;
}

/* Each figure as .png and .pdf, and all of them in figures.pdf, one per page. */
static xt_status write_rasters(Output *out, const xt_report *r, const xt_report_write_options *how,
                               xt_error *error) {
  Raster *raster;
  RasterPages *pages = NULL;
  char *path = NULL;
  TRY(raster_open(&raster, error));
  xt_status status = XT_STATUS_OK;
  if (how->pdf && r->figure_count) TRY_DONE(output_name(out, "figures", "pdf", &path, error));
  if (path) TRY_DONE(raster_pages_open(raster, path, &pages, error));
  for (size_t i = 0; i < r->figure_count; i++) {
    const ReportFigure *f = &r->figures[i];
    for (int kind = 0; kind < 2; kind++) {
      char *one;
      if (!(kind ? how->pdf : how->png)) continue;
      TRY_DONE(output_name(out, f->id, kind ? "pdf" : "png", &one, error));
      status =
          kind ? raster_pdf(raster, &f->svg, one, error) : raster_png(raster, &f->svg, one, error);
      free(one);
      if (status) goto done;
    }
    if (pages) TRY_DONE(raster_pages_add(pages, &f->svg, error));
  }
  if (pages) {
    status = raster_pages_close(pages, error);
    pages = NULL;
  }
done:
  if (pages) raster_pages_close(pages, NULL);
  free(path);
  raster_close(raster);
  return status;
}

/* ---- putting in place ------------------------------------------------------------------------ */

/* Whether a report can have written a file with this name, so that a list from a file cannot name
 * other files. */
static bool is_ours(const char *name) {
  static const char *const endings[] = {"csv", "tex", "svg", "png", "pdf"};
  const size_t length =
      strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
  if (length == 0 || name[length] != '.') return false;
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
    if (strcmp(name + length + 1, endings[i]) == 0) return true;
  return false;
}

static bool has_name(const json_t *names, const char *name) {
  size_t i;
  json_t *value;
  json_array_foreach((json_t *)(uintptr_t)names, i,
                     value) if (strcmp(json_string_value(value), name) == 0) return true;
  return false;
}

/* Removes files that the folder's earlier report lists, and that this report does not have. */
static void remove_earlier(const Output *out, const json_t *earlier) {
  size_t i;
  const json_t *value;
  const json_t *files = json_object_get(earlier, "files");
  for (i = 0; json_is_array(files) && i < json_array_size(files); i++) {
    const char *name = json_string_value(value = json_array_get(files, i));
    char *path;
    if (!value || !name || !is_ours(name) || has_name(out->names, name)) continue;
    if (join(out->directory, name, &path, NULL) != XT_STATUS_OK) return;
    struct stat about;
    if (lstat(path, &about) == 0 && S_ISREG(about.st_mode)) unlink(path);
    free(path);
  }
}

/* Only regular files are replaced, not the target of a link, a pipe or a folder. */
static xt_status check_targets(const Output *out, xt_error *error) {
  size_t i;
  json_t *value;
  json_array_foreach(out->names, i, value) {
    struct stat about;
    char *path;
    TRY(join(out->directory, json_string_value(value), &path, error));
    const bool bad = lstat(path, &about) == 0 && !S_ISREG(about.st_mode);
    const xt_status status = bad ? err_set(error, XT_STATUS_IO, path, NULL, -1,
                                           "is not a regular file, so that a report's file "
                                           "cannot replace it; remove it, or give another folder")
                                 : XT_STATUS_OK;
    free(path);
    TRY(status);
  }
  return XT_STATUS_OK;
}

static xt_status publish(const Output *out, xt_error *error) {
  size_t i;
  json_t *value;
  json_t *earlier = NULL;
  char *path;
  TRY(check_targets(out, error));
  TRY(join(out->directory, "report.json", &path, error));
  /* there is none, or it is not a report's */
  if (json_parse_file(path, &earlier, NULL) != XT_STATUS_OK) earlier = NULL;
  free(path);
  json_array_foreach(out->names, i, value) {
    char *from, *to = NULL;
    xt_status status = join(out->temporary, json_string_value(value), &from, error);
    if (!status) status = join(out->directory, json_string_value(value), &to, error);
    if (!status && !out_rename(from, to)) status = err_io(error, to, "cannot write");
    free(from);
    free(to);
    if (status) {
      json_decref(earlier);
      return status;
    }
  }
  remove_earlier(out, earlier);
  json_decref(earlier);
  return XT_STATUS_OK;
}

/* report.json names all files; it and the page come last. */
static xt_status write_whole(Output *out, xt_report *r, xt_error *error) {
  TextBuffer json = {0}, page = {0};
  xt_status status;
  TRY_DONE(report_to_json(r, out->names, &json, error));
  TRY_DONE(report_to_page(r, &page, error));
  TRY_DONE(write_file(out, "report", "json", &json, error));
  TRY_DONE(write_file(out, "report", "html", &page, error));
done:
  text_buffer_free(&json);
  text_buffer_free(&page);
  return status;
}

xt_status xt_report_write(xt_report *r, const char *directory,
                          const xt_report_write_options *options, xt_error *error) {
  TRY(OPTIONS_CHECK(options, error));
  const xt_report_write_options how = options ? *options : (xt_report_write_options){0};
  Output out;
  xt_status status;
  if (r->strategies)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "strategies", -1,
                   "a report of strategies alone cannot be written");
  TRY_DONE(output_open(directory, &out, error));
  TRY_DONE(write_tables(&out, &r->tables, error));
  for (size_t i = 0; i < r->figure_count; i++) TRY_DONE(write_figure(&out, &r->figures[i], error));
  if (how.png || how.pdf) TRY_DONE(write_rasters(&out, r, &how, error));
  TRY_DONE(write_whole(&out, r, error));
  TRY_DONE(publish(&out, error));
done:
  output_close(&out);
  return status;
}
