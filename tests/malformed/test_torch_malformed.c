/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged files of PyTorch: the ZIP archive, and the pickle in it. */
#include "damaged_files.h"

static const char fixture[] = XT_SOURCE_DIR "/tests/data/torch_small.bin";

static uint32_t get(const uint8_t *p, size_t bytes) {
  uint32_t v = 0;
  for (size_t i = 0; i < bytes; i++) v |= (uint32_t)p[i] << (8 * i);
  return v;
}
static void put(uint8_t *p, size_t bytes, uint64_t v) {
  for (size_t i = 0; i < bytes; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t crc_bitwise(const uint8_t *data, size_t size) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < size; i++) {
    crc ^= data[i];
    for (int k = 0; k < 8; k++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
  }
  return ~crc;
}

/* Offset of the first central record (data.pkl's: torch writes it first). */
static size_t central_of(const uint8_t *bytes, size_t size) {
  for (size_t i = 0; i + 4 <= size; i++)
    if (memcmp(bytes + i, "PK\1\2", 4) == 0) return i;
  fail();
  return 0;
}

static void damaged_zip(void **state) {
  (void)state;
  size_t size;
  uint8_t *bytes = read_whole(fixture, &size);
  /* the directory and end records */
  damage("pytorch_model.bin", bytes, size, central_of(bytes, size), size);
  const Folder folder = folder_make();
  xt_error error;
  for (size_t bit = 0; bit < 30 * 8; bit++) { /* the first local header */
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    try_file(&folder, "pytorch_model.bin", bytes, size, &error);
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  folder_remove(&folder);
  free(bytes);
}

/* Flips within data.pkl: with the old CRC each is caught by it, with the right one the unpickler is
 * alone. */
static void damaged_pickle(void **state) {
  (void)state;
  size_t size;
  uint8_t *bytes = read_whole(fixture, &size);
  const Folder folder = folder_make();
  const size_t central = central_of(bytes, size), length = get(bytes + central + 24, 4);
  const size_t pickle = 30 + get(bytes + 26, 2) + get(bytes + 28, 2);
  const uint32_t crc = get(bytes + central + 16, 4);
  assert_int_equal(crc_bitwise(bytes + pickle, length), crc);
  xt_error error;
  size_t refused = 0;
  for (size_t bit = 0; bit < length * 8; bit++) {
    bytes[pickle + bit / 8] ^= (uint8_t)(1u << bit % 8);
    if (bit % 8 == bit / 8 % 8)
      expect(&folder, "pytorch_model.bin", bytes, size, INPUT, "", (long long)pickle,
             "is damaged: its CRC-32");
    put(bytes + central + 16, 4, crc_bitwise(bytes + pickle, length));
    refused += try_file(&folder, "pytorch_model.bin", bytes, size, &error) != XT_STATUS_OK;
    put(bytes + central + 16, 4, crc);
    bytes[pickle + bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  assert_true(refused > length * 8 / 2);
  folder_remove(&folder);
  free(bytes);
}

/* A zip archive of "m/data.pkl" (at byte 40), "m/data/0" with 16 bytes and, if wanted,
 * "m/byteorder". */
static size_t zip_add(uint8_t *zip, size_t at, uint8_t *central, size_t *central_size,
                      const char *name, const void *data, size_t size) {
  const size_t length = strlen(name);
  uint8_t *record = central + *central_size;
  memset(record, 0, 46);
  memset(zip + at, 0, 30);
  memcpy(zip + at, "PK\3\4", 4);
  put(zip + at + 26, 2, length);
  memcpy(zip + at + 30, name, length);
  memcpy(zip + at + 30 + length, data, size);
  memcpy(record, "PK\1\2", 4);
  put(record + 16, 4, crc_bitwise(data, size));
  put(record + 20, 4, size);
  put(record + 24, 4, size);
  put(record + 28, 2, length);
  put(record + 42, 4, at);
  memcpy(record + 46, name, length);
  *central_size += 46 + length;
  return at + 30 + length + size;
}

enum { ZIP_ROOM = 8192 };
static size_t zip_make(uint8_t *zip, const void *pickle, size_t size, const char *byte_order) {
  uint8_t central[1024];
  size_t central_size = 0, at = 0;
  at = zip_add(zip, at, central, &central_size, "m/data.pkl", pickle, size);
  at = zip_add(zip, at, central, &central_size, "m/data/0", "0123456789abcdef", 16);
  if (byte_order)
    at = zip_add(zip, at, central, &central_size, "m/byteorder", byte_order, strlen(byte_order));
  memcpy(zip + at, central, central_size);
  uint8_t *end = zip + at + central_size;
  memset(end, 0, 22);
  memcpy(end, "PK\5\6", 4);
  put(end + 8, 2, byte_order ? 3 : 2);
  put(end + 10, 2, byte_order ? 3 : 2);
  put(end + 12, 4, central_size);
  put(end + 16, 4, at);
  return at + central_size + 22;
}

/* A state_dict {"w": tensor}; the pickle's pieces from byte 2 on. Ints are BININT1. */
#define HEAD    \
  "\x80\x02"    \
  "}"           \
  "X\x01\0\0\0" \
  "w"                                                 /* 9 bytes */
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n" /* 33 bytes */
#define STORAGE(type, key, n)       \
  "((X\x07\0\0\0storagec" type "\n" \
  "X\x01\0\0\0" key "X\x03\0\0\0cpuK" n "tQ"
#define TAIL                    \
  "\x89"                        \
  "ccollections\nOrderedDict\n" \
  ")RtR"                        \
  "s."
#define TENSOR(type, key, n, offset, shape, strides) \
  HEAD REBUILD STORAGE(type, key, n) "K" offset shape strides TAIL
#define F32 "torch\nFloatStorage"

#define CASE(text) text, sizeof text - 1
static const struct {
  const char *pickle;
  size_t size;
  xt_status status;
  const char *field;
  long long offset; /* in the pickle */
  const char *text;
} pickles[] = {
    {CASE(TENSOR(F32, "0", "\x04", "\0", "K\x02K\x02\x86", "K\x02K\x01\x86")), XT_STATUS_OK, "", -1,
     ""},
    {CASE(TENSOR(F32, "0", "\x04", "\x02", "K\x02\x85", "K\x01\x85")), XT_STATUS_OK, "", -1, ""},
    {CASE(TENSOR(F32, "0", "\x04", "\0", "K\x01K\x04\x86", "K\x09K\x01\x86")), XT_STATUS_OK, "", -1,
     ""},
    {CASE(TENSOR(F32, "0", "\x04", "\x03", "K\x02\x85", "K\x01\x85")), INPUT, "w", 94,
     "from element 3 on do not lie"},
    {CASE(TENSOR(F32, "0", "\x04", "\x05", "K\0\x85", "K\x01\x85")), INPUT, "w", 94,
     "from element 5 on"},
    {CASE(TENSOR(F32, "0", "\x04", "\0", "K\x02K\x02\x86", "K\x01K\x02\x86")), UNSUPPORTED, "w",
     103, "stride 1 is 2, expected 1"},
    {CASE(TENSOR(F32, "0", "\x04", "\0", "K\x02\x85", "K\x02\x85")), UNSUPPORTED, "w", 99,
     "not contiguous"},
    {CASE(TENSOR(F32, "0", "\x04", "\0", "K\x02\x85", "K\x02K\x01\x86")), INPUT, "w", 103,
     "not a tuple of 1"},
    {CASE(TENSOR(F32, "0", "\x04", "\0", "J\xff\xff\xff\xff\x85", "K\x01\x85")), INPUT, "w", 96,
     "dimension 0"},
    {CASE(TENSOR(F32, "0", "\x04", "\0", "\x8a\x08\0\0\0\0\0\0\0\x40\x85", "K\x01\x85")), INPUT,
     "w", 106, "overflows"},
    {CASE(TENSOR(F32, "0", "\x05", "\0", "K\x02\x85", "K\x01\x85")), INPUT, "w", 92,
     "has 16 bytes, but is said to hold 5"},
    {CASE(TENSOR(F32, "1", "\x04", "\0", "K\x02\x85", "K\x01\x85")), INPUT, "w", 92,
     "no entry data/1"},
    {CASE(TENSOR("torch.storage\nUntypedStorage", "0", "\x10", "\0", "K\x02\x85", "K\x01\x85")),
     INPUT, "w", 141, "has no type"},
    {CASE(TENSOR("torch\nQInt8Storage", "0", "\x10", "\0", "K\x02\x85", "K\x01\x85")), INPUT, "",
     56, "refused: torch.QInt8Storage at byte 56"},
    {CASE("\x80\x02"
          "cos\nsystem\nX\x04\0\0\0true\x85R."),
     INPUT, "", 2, "refused: os.system at byte 2 of the pickle"},
    {CASE("\x80\x04\x8c\x02os\x8c\x06system\x93."), INPUT, "", 14, "refused: os.system at byte 14"},
    {CASE("\x80\x02"
          "c__builtin__\neval\n."),
     INPUT, "", 2, "refused: __builtin__.eval"},
    {CASE("\x80\x02"
          "(S'x'\nios\nsystem\n."),
     INPUT, "", 3, "refused: pickle opcode 0x53"},
    {CASE("\x80\x02"
          "(ios\nsystem\n."),
     INPUT, "", 3, "refused: pickle opcode 0x69"},
    {CASE("\x80\x02\x82\x01."), INPUT, "", 2, "refused: pickle opcode 0x82"},
    {CASE("\x80\x02"
          "}}b."),
     INPUT, "", 4, "refused: attributes set on a dict"},
    {CASE("\x80\x02NN\x86)R."), INPUT, "", 6, "calls a tuple with a tuple"},
    {CASE("\x80\x02"
          "ccollections\nOrderedDict\n]\x85R."),
     INPUT, "", 29, "made with arguments"},
    {CASE("\x80\x07}."), INPUT, "", 0, "protocol 7"},
    {CASE("\x80\x02."), INPUT, "", 2, "empty stack"},
    {CASE("\x80\x02}}."), INPUT, "", 4, "1 values left over"},
    {CASE("\x80\x02}.x"), INPUT, "", 4, "1 bytes follow"},
    {CASE("\x80\x02}"), INPUT, "", 3, "without STOP"},
    {CASE("\x80\x02X\xff\xff\xff\xff"
          "."),
     INPUT, "", 2, "cut short"},
    {CASE("\x80\x02h\0."), INPUT, "", 2, "slot 0 is read before"},
    {CASE("\x80\x02}r\xff\xff\xff\x7f."), INPUT, "", 3, "slot 2147483647 is absurd"},
    {CASE("\x80\x02t."), INPUT, "", 2, "closes a MARK"},
    {CASE("\x80\x02}(Nu."), INPUT, "", 5, "a key without a value"},
    {CASE("\x80\x02](NNu."), INPUT, "", 6, "items are added to a list"},
    {CASE("\x80\x02}Na."), INPUT, "", 4, "items are added to a dict"},
    {CASE("\x80\x02\x8a\x09."), INPUT, "", 2, "an integer of 9 bytes"},
    {CASE("\x80\x02]."), UNSUPPORTED, "", 2, "holds a list, expected a state_dict"},
    {CASE("\x80\x02}K\x01Ns."), INPUT, "", 3, "name is an int"},
    {CASE("\x80\x02}X\x01\0\0\0wK\x01s."), UNSUPPORTED, "w", 9, "is an int, expected a tensor"},
    {CASE("\x80\x02]q\0h\0a."), UNSUPPORTED, "", 2, "holds a list"}, /* a list within itself */
};

static void crafted_torch(void **state) {
  (void)state;
  const Folder folder = folder_make();
  uint8_t zip[ZIP_ROOM];
  for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++) {
    const size_t size = zip_make(zip, pickles[i].pickle, pickles[i].size, NULL);
    if (pickles[i].status) {
      expect(&folder, "pytorch_model.bin", zip, size, pickles[i].status, pickles[i].field,
             40 + pickles[i].offset, pickles[i].text);
    } else {
      xt_error error;
      if (try_file(&folder, "pytorch_model.bin", zip, size, &error))
        fail_msg("case %zu: %s", i, error.message);
    }
  }
  folder_remove(&folder);
}

static void crafted_zip(void **state) {
  (void)state;
  static const char pickle[] = TENSOR(F32, "0", "\x04", "\0", "K\x02\x85", "K\x01\x85");
  const Folder folder = folder_make();
  uint8_t zip[ZIP_ROOM];
  xt_error error;
  const char *const name = "pytorch_model.bin";
  const size_t size = zip_make(zip, pickle, sizeof pickle - 1, "little");
  const long long central = (long long)central_of(zip, size), end = (long long)size - 22,
                  second = central + 56;
  assert_int_equal(try_file(&folder, name, zip, size, &error), XT_STATUS_OK);
  const struct {
    long long at;
    size_t bytes;
    uint64_t value;
    xt_status status;
    const char *field;
    long long offset;
    const char *text;
  } edits[] = {
      {central + 10, 2, 8, UNSUPPORTED, "", central, "m/data.pkl is compressed (method 8)"},
      {central + 8, 2, 1, UNSUPPORTED, "", central, "is encrypted"},
      {central + 20, 4, 1, INPUT, "", central, "two sizes"},
      {central + 42, 4, 1, INPUT, "", central, "no local header at byte 1"},
      {central + 42, 4, 0xffffffff, INPUT, "", central, "no valid ZIP64 field"},
      {central + 46, 1, 'n', INPUT, "", 0, "has another name"},
      {central + 46, 1, 0, INPUT, "", central, "holds a NUL"},
      {second, 1, 'X', INPUT, "", second, "not a whole record"},
      {second + 28, 2, 0xffff, INPUT, "", second, "not a whole record"},
      {second + 42, 4, 0, INPUT, "", 0, "has another name"},
      {end, 1, 'X', INPUT, "", (long long)size, "no zip end record"},
      {end + 4, 2, 1, UNSUPPORTED, "", end, "several files"},
      {end + 10, 2, 2, INPUT, "", central + 56 + 54, "bytes after its 2 entries"},
      {end + 10, 2, 4, INPUT, "", end, "4 zip entries do not fit"},
      {end + 10, 2, 999, INPUT, "", end, "999 zip entries do not fit"},
      {end + 10, 2, 0xffff, INPUT, "", end, "needs a ZIP64 one"},
      {end + 16, 4, 0xfffffffe, INPUT, "", end, "does not lie before"},
      {end + 20, 2, 1, INPUT, "", (long long)size, "no zip end record"},
      {0, 1, 'X', INPUT, "", 0, "does not begin like a zip archive"},
      {0, 2, 0x0280, UNSUPPORTED, "", 0, "before version 1.6"},
  };
  for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
    uint8_t copy[ZIP_ROOM];
    memcpy(copy, zip, size);
    put(copy + edits[i].at, edits[i].bytes, edits[i].value);
    expect(&folder, name, copy, size, edits[i].status, edits[i].field, edits[i].offset,
           edits[i].text);
  }
  folder_remove(&folder);
}

/* An entry whose bytes run into the next one's header, and byte orders. */
static void zip_entries(void **state) {
  (void)state;
  static const char pickle[] = TENSOR(F32, "0", "\x04", "\0", "K\x02\x85", "K\x01\x85");
  const Folder folder = folder_make();
  uint8_t zip[ZIP_ROOM];
  xt_error error;
  const char *const name = "pytorch_model.bin";
  size_t size = zip_make(zip, pickle, sizeof pickle - 1, "little");
  const long long central = (long long)central_of(zip, size);
  uint8_t copy[ZIP_ROOM];
  memcpy(copy, zip, size);
  put(copy + central + 20, 4, sizeof pickle);
  put(copy + central + 24, 4, sizeof pickle);
  expect(&folder, name, copy, size, INPUT, "", 40 + (long long)sizeof pickle - 1,
         "m/data/0 overlaps");
  size = zip_make(zip, pickle, sizeof pickle - 1, "big");
  xt_status status = try_file(&folder, name, zip, size, &error);
  assert_int_equal(status, UNSUPPORTED);
  assert_string_equal(error.field, "byteorder");
  size = zip_make(zip, pickle, sizeof pickle - 1, "medium");
  assert_int_equal(try_file(&folder, name, zip, size, &error), INPUT);
  assert_string_equal(error.field, "byteorder");
  folder_remove(&folder);
}

/* The same archive with every 32-bit place saturated and the true values in ZIP64 records. */
static void zip64_is_read(void **state) {
  (void)state;
  static const char pickle[] = TENSOR(F32, "0", "\x04", "\0", "K\x02\x85", "K\x01\x85");
  uint8_t zip[ZIP_ROOM] = {0}, wide[ZIP_ROOM] = {0};
  const size_t size = zip_make(zip, pickle, sizeof pickle - 1, NULL),
               central = central_of(zip, size);
  memcpy(wide, zip, central);
  size_t from = central, to = central;
  for (int i = 0; i < 2; i++) {
    const size_t record = 46 + get(zip + from + 28, 2);
    memcpy(wide + to, zip + from, record);
    put(wide + to + 20, 8, UINT64_MAX); /* both sizes */
    put(wide + to + 42, 4, UINT32_MAX);
    put(wide + to + 30, 2, 28);
    uint8_t *extra = wide + to + record;
    put(extra, 2, 1);
    put(extra + 2, 2, 24);
    put(extra + 4, 8, get(zip + from + 24, 4));
    put(extra + 12, 8, get(zip + from + 20, 4));
    put(extra + 20, 8, get(zip + from + 42, 4));
    from += record;
    to += record + 28;
  }
  const size_t record64 = to;
  memcpy(wide + to, "PK\6\6", 4);
  put(wide + to + 4, 8, 44);
  put(wide + to + 24, 8, 2);
  put(wide + to + 32, 8, 2);
  put(wide + to + 40, 8, record64 - central);
  put(wide + to + 48, 8, central);
  to += 56;
  memcpy(wide + to, "PK\6\7", 4);
  put(wide + to + 8, 8, record64);
  put(wide + to + 16, 4, 1);
  to += 20;
  memcpy(wide + to, "PK\5\6", 4);
  put(wide + to + 8, 4, UINT32_MAX);
  put(wide + to + 12, 8, UINT64_MAX);
  to += 22;
  damage("pytorch_model.bin", wide, to, central, to);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(crafted_torch), cmocka_unit_test(crafted_zip),
      cmocka_unit_test(zip_entries),   cmocka_unit_test(zip64_is_read),
      cmocka_unit_test(damaged_zip),   cmocka_unit_test(damaged_pickle)};
  return cmocka_run_group_tests_name("damaged torch files", tests, NULL, NULL);
}
