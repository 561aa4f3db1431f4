/* SPDX-License-Identifier: Apache-2.0 */
#include "text/langid_model.h"

#include <fasttext/fasttext.h>

#include <cstdio>
#include <istream>
#include <new>
#include <sstream>
#include <streambuf>
#include <string>
#include <utility>
#include <vector>

namespace {

/* Bytes as a stream, without a copy. */
struct MemoryBuffer : std::streambuf {
  MemoryBuffer(const void *data, size_t size) {
    char *begin = const_cast<char *>(static_cast<const char *>(data));
    setg(begin, begin, begin + size);
  }
};

/* The public way to load from a stream expects the header to have been read. */
struct Loader : fasttext::FastText {
  bool load(std::istream &in) {
    if (!checkModel(in)) return false;
    loadModel(in);
    return !in.fail();
  }
};

void set_message(char *message, size_t size, const char *what) {
  std::snprintf(message, size, "%s", what);
}

} // namespace

struct LangidModel {
  mutable Loader loader; /* predictLine changes nothing but is not const */
};

extern "C" int langid_model_built(void) { return 1; }

extern "C" LangidModel *langid_model_load(const void *data, size_t size, char *message,
                                          size_t message_size) {
  LangidModel *model = nullptr;
  message[0] = 0;
  try {
    MemoryBuffer buffer(data, size);
    std::istream in(&buffer);
    model = new LangidModel;
    if (model->loader.load(in)) return model;
    set_message(message, message_size, "the library cannot read it");
  } catch (const std::bad_alloc &) {
  } catch (const std::exception &error) {
    set_message(message, message_size, error.what());
  }
  delete model;
  return nullptr;
}

extern "C" void langid_model_free(LangidModel *model) { delete model; }

extern "C" int langid_model_predict(const LangidModel *model, const char *line, size_t length,
                                    char *label, size_t label_size, double *probability,
                                    char *message, size_t message_size) {
  label[0] = 0;
  *probability = 0;
  try {
    std::istringstream in(std::string(line, length));
    std::vector<std::pair<fasttext::real, std::string>> found;
    model->loader.predictLine(in, found, 1, 0);
    if (found.empty()) return 0;
    std::snprintf(label, label_size, "%s", found[0].second.c_str());
    *probability = static_cast<double>(found[0].first);
    return 0;
  } catch (const std::bad_alloc &) {
    message[0] = 0;
  } catch (const std::exception &error) {
    set_message(message, message_size, error.what());
  }
  return -1;
}
