/* SPDX-License-Identifier: Apache-2.0 */
/* The byte-level tokenizer of a random model. */
#include <stdlib.h>

#include "base/out_file.h"
#include "base/file_map.h"
#include "synth/synth_tokenizer.h"

xt_status synth_save(const char *directory, const char *name, const TextBuffer *text,
                     xt_error *error) {
  char *path;
  if (text->failed) return err_memory(error, text->size);
  TRY(file_join(directory, name, &path, error));
  const xt_status status = out_file_save(path, text->data, text->size, error);
  free(path);
  return status;
}

/* Ids of a written byte-level tokenizer: Llama-style vocabularies begin with the special tokens,
 * Qwen2's end with them. */
static int first_byte_id(const SynthTokenizer *t) { return t->qwen ? 0 : 3; }
int synth_special_id(const SynthTokenizer *t, int k) {
  return !t->qwen ? k : t->vocab > 151645 ? 151643 + k : 256 + k;
}
static const char *special_name(const SynthTokenizer *t, int k) {
  static const char *const llama[] = {"<unk>", "<s>", "</s>"}, *const qwen[] = {"<|endoftext|>",
                                                                                "<|im_start|>",
                                                                                "<|im_end|>"};
  return t->qwen ? qwen[k] : llama[k];
}

/* GPT-2's printable stand-in of a byte. */
static int byte_codepoint(int byte) {
  if ((byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174) return byte;
  int before = 0;
  for (int b = 0; b < byte; b++)
    before += !((b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174);
  return 256 + before;
}

xt_status synth_tokenizer_write(const SynthTokenizer *tokenizer, const char *directory,
                                xt_error *error) {
  TextBuffer text = {0};
  text_buffer_add_text(&text, "{\n \"version\": \"1.0\",\n \"truncation\": null,\n \"padding\": "
                              "null,\n \"added_tokens\": [");
  for (int k = 0; k < 3; k++)
    text_buffer_format(&text,
                       "%s\n  {\"id\": %d, \"content\": \"%s\", \"single_word\": false, "
                       "\"lstrip\": false, \"rstrip\": false, "
                       "\"normalized\": false, \"special\": true}",
                       k ? "," : "", synth_special_id(tokenizer, k), special_name(tokenizer, k));
  text_buffer_add_text(&text,
                       "],\n \"normalizer\": null,\n \"pre_tokenizer\": {\"type\": \"ByteLevel\", "
                       "\"add_prefix_space\": false, "
                       "\"trim_offsets\": true, \"use_regex\": true},\n \"post_processor\": ");
  if (tokenizer->qwen)
    text_buffer_add_text(&text, "null");
  else
    text_buffer_add_text(&text, "{\"type\": \"TemplateProcessing\", \"single\": "
                                "[{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}, "
                                "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], \"pair\": "
                                "[{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, "
                                "{\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}], "
                                "\"special_tokens\": {\"<s>\": {\"id\": \"<s>\", "
                                "\"ids\": [1], \"tokens\": [\"<s>\"]}}}");
  text_buffer_add_text(
      &text,
      ",\n \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": "
      "true, "
      "\"use_regex\": true},\n \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": "
      "null, "
      "\"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": false, "
      "\"byte_fallback\": false, \"vocab\": {");
  /* The special tokens too: Hugging Face gives those that the vocabulary lacks new ids, whatever
   * "added_tokens" says. */
  for (int k = 0; k < 3; k++)
    text_buffer_format(&text, "\"%s\": %d, ", special_name(tokenizer, k),
                       synth_special_id(tokenizer, k));
  for (int b = 0; b < 256; b++)
    text_buffer_format(&text, "%s\"\\u%04x\": %d", b ? ", " : "", (unsigned)byte_codepoint(b),
                       first_byte_id(tokenizer) + b);
  text_buffer_add_text(&text, "}, \"merges\": []}\n}\n");
  xt_status status = synth_save(directory, "tokenizer.json", &text, error);
  text_buffer_free(&text);
  TRY(status);
  text_buffer_format(&text,
                     "{\n \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n "
                     "\"clean_up_tokenization_spaces\": false,\n"
                     " \"bos_token\": %s,\n \"eos_token\": \"%s\"\n}\n",
                     tokenizer->qwen ? "null" : "\"<s>\"",
                     special_name(tokenizer, tokenizer->qwen ? 0 : 2));
  status = synth_save(directory, "tokenizer_config.json", &text, error);
  text_buffer_free(&text);
  return status;
}
