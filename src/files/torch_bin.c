/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints written by torch.save since torch 1.6: a zip archive of
 *
 *   <prefix>/data.pkl    a pickle of the state_dict, where each storage is a persistent id
 *                        ('storage', torch.HalfStorage, key, device, elements)
 *   <prefix>/data/<key>  the bytes of that storage
 *   <prefix>/byteorder   "little" or "big"; absent in older files, which are little-endian
 *
 * A tensor is _rebuild_tensor_v2(storage, offset, shape, strides, ...): a view of a storage, which
 * several may share (tied weights). */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "files/checkpoint_parts.h"
#include "files/pickle.h"
#include "files/zip_archive.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef struct TypeName {
  const char *module, *name;
  Dtype dtype; /* DTYPE_COUNT: bytes without a type, or not a storage */
} TypeName;

static const TypeName storages[] = {
    {"torch", "FloatStorage", DTYPE_F32},
    {"torch", "HalfStorage", DTYPE_F16},
    {"torch", "BFloat16Storage", DTYPE_BF16},
    {"torch", "DoubleStorage", DTYPE_F64},
    {"torch", "LongStorage", DTYPE_I64},
    {"torch", "IntStorage", DTYPE_I32},
    {"torch", "ShortStorage", DTYPE_I16},
    {"torch", "CharStorage", DTYPE_I8},
    {"torch", "ByteStorage", DTYPE_U8},
    {"torch", "BoolStorage", DTYPE_BOOL},
    {"torch.storage", "UntypedStorage", DTYPE_COUNT},
    {"torch", "UntypedStorage", DTYPE_COUNT},
};

/* _rebuild_tensor_v3 names the type of an untyped storage. */
static const TypeName types[] = {
    {"torch", "float32", DTYPE_F32},   {"torch", "float16", DTYPE_F16},
    {"torch", "bfloat16", DTYPE_BF16}, {"torch", "float64", DTYPE_F64},
    {"torch", "int64", DTYPE_I64},     {"torch", "int32", DTYPE_I32},
    {"torch", "int16", DTYPE_I16},     {"torch", "int8", DTYPE_I8},
    {"torch", "uint64", DTYPE_U64},    {"torch", "uint32", DTYPE_U32},
    {"torch", "uint16", DTYPE_U16},    {"torch", "uint8", DTYPE_U8},
    {"torch", "bool", DTYPE_BOOL},
};

static const TypeName functions[] = {
    {"collections", "OrderedDict", DTYPE_COUNT},
    {"torch._utils", "_rebuild_tensor_v2", DTYPE_COUNT},
    {"torch._utils", "_rebuild_tensor_v3", DTYPE_COUNT},
    {"torch._utils", "_rebuild_parameter", DTYPE_COUNT},
};

static const TypeName *find_name(const TypeName *table, size_t count, const char *module,
                                 size_t module_length, const char *name, size_t name_length) {
  for (size_t i = 0; i < count; i++)
    if (strlen(table[i].module) == module_length &&
        memcmp(table[i].module, module, module_length) == 0 &&
        strlen(table[i].name) == name_length && memcmp(table[i].name, name, name_length) == 0)
      return &table[i];
  return NULL;
}

static bool is_allowed(const char *module, size_t module_length, const char *name,
                       size_t name_length) {
  return find_name(storages, COUNT(storages), module, module_length, name, name_length) ||
         find_name(types, COUNT(types), module, module_length, name, name_length) ||
         find_name(functions, COUNT(functions), module, module_length, name, name_length);
}

typedef struct Reader {
  Checkpoint *checkpoint;
  ZipArchive zip;
  Pickle pickle;
  const char *prefix; /* [prefix_length], with the slash */
  size_t prefix_length;
  const FileMap *map;
  long long base;  /* of data.pkl in the file */
  char field[160]; /* the tensor being read, for messages */
  xt_error *error;
} Reader;

#define BIN_ERROR(r, status, value, ...)                                                          \
  err_set((r)->error, status, (r)->map->path, (r)->field, (r)->base + (long long)(value)->offset, \
          __VA_ARGS__)

typedef struct Storage {
  const ZipEntry *entry;
  Dtype dtype; /* DTYPE_COUNT: untyped, elements are bytes */
  uint64_t elements;
} Storage;

static const ZipEntry *find_entry(const Reader *r, const char *directory, const char *name,
                                  size_t length) {
  char path[512];
  const size_t middle = strlen(directory);
  /* longer than any entry's name */
  if (r->prefix_length + middle + length > sizeof path) return NULL;
  memcpy(path, r->prefix, r->prefix_length);
  memcpy(path + r->prefix_length, directory, middle);
  if (length) memcpy(path + r->prefix_length + middle, name, length);
  return zip_archive_find(&r->zip, path, r->prefix_length + middle + length);
}

/* ('storage', torch.XStorage, key, device, elements) */
static xt_status read_storage(Reader *r, const PickleValue *value, Storage *out) {
  if (value->kind != PICKLE_PERSISTENT)
    return BIN_ERROR(r, XT_STATUS_INPUT, value, "the tensor's storage is %s",
                     pickle_kind_name((PickleKind)value->kind));
  const PickleValue *id = pickle_item(&r->pickle, value, 0);
  if (id->kind != PICKLE_TUPLE || id->count != 5 ||
      !pickle_is_text(pickle_item(&r->pickle, id, 0), "storage"))
    return BIN_ERROR(r, XT_STATUS_INPUT, value,
                     "the storage's id is not ('storage', type, key, device, number of elements)");
  const PickleValue *type = pickle_item(&r->pickle, id, 1), *key = pickle_item(&r->pickle, id, 2);
  const PickleValue *elements = pickle_item(&r->pickle, id, 4);
  const TypeName *found = type->kind != PICKLE_GLOBAL
                              ? NULL
                              : find_name(storages, COUNT(storages), type->text, type->length,
                                          type->name, type->name_length);
  if (!found)
    return BIN_ERROR(r, XT_STATUS_INPUT, id, "the storage has no type such as torch.HalfStorage");
  if (key->kind != PICKLE_TEXT || elements->kind != PICKLE_INT || elements->number < 0)
    return BIN_ERROR(r, XT_STATUS_INPUT, id,
                     "the storage's key is not a text, or its size not a number >= 0");
  out->dtype = found->dtype;
  out->elements = (uint64_t)elements->number;
  out->entry = find_entry(r, "data/", key->text, key->length);
  if (!out->entry)
    return BIN_ERROR(r, XT_STATUS_INPUT, id,
                     "the archive has no entry data/%.*s for the tensor's storage",
                     key->length < 64 ? (int)key->length : 64, key->text);
  const uint64_t size = found->dtype == DTYPE_COUNT ? 1 : dtype_size(found->dtype);
  if (out->elements > (uint64_t)INT64_MAX / size || out->elements * size != out->entry->size)
    return BIN_ERROR(r, XT_STATUS_INPUT, id,
                     "storage data/%.*s has %zu bytes, but is said to hold %llu elements of %llu",
                     (int)key->length, key->text, out->entry->size,
                     (unsigned long long)out->elements, (unsigned long long)size);
  return XT_STATUS_OK;
}

static xt_status read_shape(Reader *r, const PickleValue *shape, Tensor *tensor) {
  if (shape->kind != PICKLE_TUPLE)
    return BIN_ERROR(r, XT_STATUS_INPUT, shape, "the tensor's shape is %s, expected a tuple",
                     pickle_kind_name((PickleKind)shape->kind));
  if (shape->count > TENSOR_MAX_DIMS)
    return BIN_ERROR(r, XT_STATUS_UNSUPPORTED, shape, "has %u dimensions, at most %d are handled",
                     shape->count, TENSOR_MAX_DIMS);
  tensor->dims = (int)shape->count;
  for (size_t i = 0; i < shape->count; i++) {
    const PickleValue *size = pickle_item(&r->pickle, shape, i);
    if (size->kind != PICKLE_INT || size->number < 0)
      return BIN_ERROR(r, XT_STATUS_INPUT, size,
                       "dimension %zu of the tensor's shape is not a whole number >= 0", i);
    tensor->shape[i] = size->number;
  }
  return XT_STATUS_OK;
}

/* Only row-major views: a stride of a dimension of one element never moves, so any is right. */
static xt_status check_strides(Reader *r, const PickleValue *strides, const Tensor *tensor) {
  if (strides->kind != PICKLE_TUPLE || strides->count != (size_t)tensor->dims)
    return BIN_ERROR(r, XT_STATUS_INPUT, strides,
                     "the tensor's strides are not a tuple of %d numbers", tensor->dims);
  int64_t expected = 1;
  for (int i = tensor->dims - 1; i >= 0; i--) {
    const PickleValue *stride = pickle_item(&r->pickle, strides, (size_t)i);
    if (stride->kind != PICKLE_INT)
      return BIN_ERROR(r, XT_STATUS_INPUT, stride, "stride %d is not a whole number", i);
    if (tensor->bytes && tensor->shape[i] != 1 && stride->number != expected)
      return BIN_ERROR(
          r, XT_STATUS_UNSUPPORTED, stride,
          "is not contiguous: stride %d is %lld, expected %lld; save it with .contiguous()", i,
          (long long)stride->number, (long long)expected);
    if (tensor->bytes) expected *= tensor->shape[i];
  }
  return XT_STATUS_OK;
}

static xt_status read_type(Reader *r, const PickleValue *call, const PickleValue *arguments,
                           const Storage *storage, Dtype *out) {
  *out = storage->dtype;
  if (pickle_is_global(pickle_item(&r->pickle, call, 0), "torch._utils", "_rebuild_tensor_v3")) {
    const PickleValue *type =
        arguments->count > 6 ? pickle_item(&r->pickle, arguments, 6) : arguments;
    const TypeName *found = type->kind != PICKLE_GLOBAL
                                ? NULL
                                : find_name(types, COUNT(types), type->text, type->length,
                                            type->name, type->name_length);
    if (!found || storage->dtype != DTYPE_COUNT)
      return BIN_ERROR(r, XT_STATUS_INPUT, call,
                       "an untyped storage and a type such as torch.uint16 were expected");
    *out = found->dtype;
  }
  if (*out == DTYPE_COUNT)
    return BIN_ERROR(r, XT_STATUS_INPUT, call, "the tensor's storage has no type");
  return XT_STATUS_OK;
}

/* _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks[, metadata]) */
static xt_status read_tensor(Reader *r, const PickleValue *call, const PickleValue *key) {
  const PickleValue *arguments = pickle_item(&r->pickle, call, 1);
  if (arguments->count < 6 || arguments->count > 8)
    return BIN_ERROR(r, XT_STATUS_INPUT, call,
                     "a tensor is rebuilt with %u arguments, expected 6 to 8", arguments->count);
  Tensor tensor = {.map = r->map};
  Storage storage = {0};
  TRY(read_storage(r, pickle_item(&r->pickle, arguments, 0), &storage));
  TRY(read_type(r, call, arguments, &storage, &tensor.dtype));
  TRY(read_shape(r, pickle_item(&r->pickle, arguments, 2), &tensor));
  const uint64_t size = dtype_size(tensor.dtype);
  uint64_t bytes = 0;
  if (!tensor_byte_count(tensor.shape, tensor.dims, size, &bytes))
    return BIN_ERROR(r, XT_STATUS_INPUT, pickle_item(&r->pickle, arguments, 2),
                     "the product of the shape overflows");
  tensor.bytes = (size_t)bytes;
  TRY(check_strides(r, pickle_item(&r->pickle, arguments, 3), &tensor));
  const PickleValue *offset = pickle_item(&r->pickle, arguments, 1);
  if (offset->kind != PICKLE_INT || offset->number < 0 ||
      (uint64_t)offset->number > storage.entry->size / size ||
      bytes > storage.entry->size - (uint64_t)offset->number * size)
    return BIN_ERROR(
        r, XT_STATUS_INPUT, offset,
        "the tensor's %llu bytes from element %lld on do not lie in its storage of %zu bytes",
        (unsigned long long)bytes, (long long)offset->number, storage.entry->size);
  tensor.data = storage.entry->data + (uint64_t)offset->number * size;
  return checkpoint_add(r->checkpoint, &tensor, key->text, key->length, r->error);
}

static xt_status read_item(Reader *r, const PickleValue *key, const PickleValue *value) {
  r->field[0] = 0;
  if (key->kind != PICKLE_TEXT || key->length == 0 || memchr(key->text, 0, key->length))
    return BIN_ERROR(r, XT_STATUS_INPUT, key, "a tensor's name is %s, expected a text",
                     key->kind == PICKLE_TEXT ? "empty or holds a NUL"
                                              : pickle_kind_name((PickleKind)key->kind));
  const size_t shown = key->length < sizeof r->field ? key->length : sizeof r->field - 1;
  memcpy(r->field, key->text, shown);
  r->field[shown] = 0;
  /* A Parameter wraps a tensor: _rebuild_parameter(tensor, requires_grad, hooks). */
  if (value->kind == PICKLE_CALL &&
      pickle_is_global(pickle_item(&r->pickle, value, 0), "torch._utils", "_rebuild_parameter")) {
    const PickleValue *arguments = pickle_item(&r->pickle, value, 1);
    if (arguments->count != 3)
      return BIN_ERROR(r, XT_STATUS_INPUT, value,
                       "a Parameter is rebuilt with %u arguments, expected 3", arguments->count);
    value = pickle_item(&r->pickle, arguments, 0);
  }
  if (value->kind == PICKLE_CALL) {
    const PickleValue *function = pickle_item(&r->pickle, value, 0);
    if (pickle_is_global(function, "torch._utils", "_rebuild_tensor_v2") ||
        pickle_is_global(function, "torch._utils", "_rebuild_tensor_v3"))
      return read_tensor(r, value, key);
    return BIN_ERROR(r, XT_STATUS_INPUT, value, "is made by calling %.*s, which makes no tensor",
                     (int)function->name_length, function->name);
  }
  return BIN_ERROR(
      r, XT_STATUS_UNSUPPORTED, value,
      "is %s, expected a tensor: the file must hold a model's state_dict and nothing else",
      pickle_kind_name((PickleKind)value->kind));
}

static xt_status read_items(Reader *r) {
  const PickleValue *root = &r->pickle.values[r->pickle.root];
  if (root->kind != PICKLE_DICT && root->kind != PICKLE_MAPPING)
    return BIN_ERROR(r, XT_STATUS_UNSUPPORTED, root, "the file holds %s, expected a state_dict",
                     pickle_kind_name((PickleKind)root->kind));
  for (size_t i = 0; i < root->count; i += 2)
    TRY(read_item(r, pickle_item(&r->pickle, root, i), pickle_item(&r->pickle, root, i + 1)));
  return XT_STATUS_OK;
}

/* All entries of torch's archives lie in one folder, named after the file. */
static xt_status find_prefix(Reader *r) {
  for (size_t i = 0; i < r->zip.count; i++) {
    static const char name[] = "/data.pkl";
    const ZipEntry *entry = &r->zip.entries[i];
    const size_t tail = sizeof name - 1;
    if (entry->name_length <= tail ||
        memcmp(entry->name + entry->name_length - tail, name, tail) != 0)
      continue;
    if (memchr(entry->name, '/', entry->name_length - tail)) continue;
    if (r->prefix)
      return err_set(r->error, XT_STATUS_INPUT, r->map->path, NULL, (long long)entry->header,
                     "the archive holds two data.pkl; expected one");
    r->prefix = entry->name;
    r->prefix_length = entry->name_length - tail + 1;
  }
  if (!r->prefix)
    return err_set(r->error, XT_STATUS_INPUT, r->map->path, NULL, -1,
                   "the zip archive holds no data.pkl: not written by torch.save");
  if (find_entry(r, "constants.pkl", "", 0))
    return err_set(r->error, XT_STATUS_UNSUPPORTED, r->map->path, NULL, -1,
                   "is a TorchScript program; expected a checkpoint written by torch.save");
  return XT_STATUS_OK;
}

static xt_status check_byte_order(const Reader *r) {
  const ZipEntry *order = find_entry(r, "byteorder", "", 0);
  if (!order || (order->size == 6 && memcmp(order->data, "little", 6) == 0)) return XT_STATUS_OK;
  const bool big = order->size == 3 && memcmp(order->data, "big", 3) == 0;
  return err_set(r->error, big ? XT_STATUS_UNSUPPORTED : XT_STATUS_INPUT, r->map->path, "byteorder",
                 order->data - r->map->data, "%s; expected \"little\"",
                 big ? "the tensors are big-endian" : "is neither \"little\" nor \"big\"");
}

static xt_status read_archive(Reader *r) {
  TRY(find_prefix(r));
  TRY(check_byte_order(r));
  const ZipEntry *entry = find_entry(r, "data.pkl", "", 0);
  TRY(zip_archive_check(&r->zip, entry, r->error));
  r->base = entry->data - r->map->data;
  const PickleSource source = {entry->data, entry->size, r->map->path, r->base, is_allowed};
  TRY(pickle_read(&source, &r->pickle, r->error));
  return read_items(r);
}

xt_status torch_bin_read(Checkpoint *checkpoint, const FileMap *map, xt_error *error) {
  /* torch before 1.6 wrote bare pickles, and before 0.1.10 tar files. */
  if (map->size >= 2 && map->data[0] == 0x80 && map->data[1] <= 5)
    return err_set(
        error, XT_STATUS_UNSUPPORTED, map->path, NULL, 0,
        "is in torch's format from before version 1.6; load it in Python and torch.save it again");
  if (map->size < 4 || memcmp(map->data, "PK\3\4", 4) != 0)
    return err_set(error, XT_STATUS_INPUT, map->path, NULL, 0,
                   "does not begin like a zip archive, as torch.save's files do");
  Reader reader = {.checkpoint = checkpoint, .map = map, .error = error};
  TRY(zip_archive_open(map, &reader.zip, error));
  const xt_status status = read_archive(&reader);
  pickle_free(&reader.pickle);
  zip_archive_close(&reader.zip);
  return status;
}
