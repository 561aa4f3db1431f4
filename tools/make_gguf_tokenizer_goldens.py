# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/data/tokenizer/unigram-*-gguf: GGUF files with a SentencePiece Unigram vocabulary ("t5"), written with the
package gguf in the way of llama.cpp's convert_hf_to_gguf.py (conversion/t5.py), and what Hugging Face's tokenizers makes of texts
when the same SentencePiece model is converted as transformers converts T5's (SpmConverter).

  unigram-mapped-gguf   a compiled normalisation, blanks squeezed, EOS behind, padding tokens
  unigram-bytes-gguf    byte fallback, blanks kept, no mark in front, BOS

Needs gguf, sentencepiece, tokenizers, transformers.
"""
import os
import random
import tempfile

import sentencepiece
from gguf import GGUFWriter
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from make_tokenizer_goldens import CORPUS, OUT, TEXTS, lines_for, write

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
# From -> to, as code points: a few of nmt_nfkc's rules, whose whole table would make the file larger than all else.
RULES = {"\t": " ", "\n": " ", "\r": " ", "\u00a0": " ", "\u3000": " ", "\u200b": " ", "\u00ad": "", "\ufb01": "fi", "\u2460": "1", "\u00bd": "1\u20442",
         "e\u0301": "\u00e9", "A\u030a": "\u00c5", "\u212b": "\u00c5", "\uff21": "A", "\uff1f": "?", "\u1100\u1161": "\uac00", "\u2026": "..."}


def train(mapped):
    with tempfile.TemporaryDirectory() as scratch:
        text, rules, prefix = (os.path.join(scratch, name) for name in ("text", "rules.tsv", "m"))
        with open(text, "w", encoding="utf-8") as out:
            out.writelines(CORPUS * 3)
        with open(rules, "w", encoding="utf-8") as out:
            for old, new in RULES.items():
                out.write("\t".join(" ".join(f"{ord(c):04X}" for c in part) for part in (old, new)) + "\n")
        common = dict(input=text, model_prefix=prefix, model_type="unigram", num_threads=1, minloglevel=2, max_sentencepiece_length=12,
                      user_defined_symbols=["<turn>"])
        if mapped:
            sentencepiece.SentencePieceTrainer.train(**common, vocab_size=390, character_coverage=0.99, normalization_rule_tsv=rules, unk_id=2, eos_id=1,
                                                     pad_id=0, bos_id=-1)
        else:
            sentencepiece.SentencePieceTrainer.train(**common, vocab_size=620, character_coverage=0.98, normalization_rule_name="identity", byte_fallback=True,
                                                     remove_extra_whitespaces=False, add_dummy_prefix=False)
        proto = sentencepiece_model_pb2.ModelProto()
        with open(prefix + ".model", "rb") as file:
            proto.ParseFromString(file.read())
    return proto


def write_gguf(path, proto, padding, **ids):
    tokens = [piece.piece.encode() for piece in proto.pieces] + [f"[PAD{len(proto.pieces) + i}]".encode() for i in range(padding)]
    w = GGUFWriter(path, "llama")
    w.add_tokenizer_model("t5")
    w.add_tokenizer_pre("default")
    w.add_token_list(tokens)
    w.add_token_scores([piece.score for piece in proto.pieces] + [-10000.0] * padding)
    w.add_token_types([piece.type for piece in proto.pieces] + [UNUSED] * padding)
    w.add_add_space_prefix(proto.normalizer_spec.add_dummy_prefix)
    w.add_remove_extra_whitespaces(proto.normalizer_spec.remove_extra_whitespaces)
    if proto.normalizer_spec.precompiled_charsmap:
        w.add_precompiled_charsmap(proto.normalizer_spec.precompiled_charsmap)
    for key, value in ids.items():
        getattr(w, f"add_{key}")(value)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def converted(proto, template):
    """As SpmConverter and T5Converter of transformers make it."""
    spec = proto.normalizer_spec
    scheme = "always" if spec.add_dummy_prefix else "never"
    t = Tokenizer(models.Unigram([(piece.piece, piece.score) for piece in proto.pieces], unk_id=proto.trainer_spec.unk_id,
                                 byte_fallback=proto.trainer_spec.byte_fallback))
    t.add_tokens([AddedToken(piece.piece, normalized=False, special=piece.type != USER) for piece in proto.pieces if piece.type in (UNKNOWN, CONTROL, USER)])
    steps = [normalizers.Precompiled(spec.precompiled_charsmap)] if spec.precompiled_charsmap else []
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")]
    if steps:
        t.normalizer = normalizers.Sequence(steps)
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme)
    t.decoder = decoders.Metaspace(replacement="▁", prepend_scheme=scheme)
    if proto.trainer_spec.byte_fallback:
        t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    t.post_processor = processors.TemplateProcessing(single=template, special_tokens=[(token, t.token_to_id(token)) for token in template if token != "$A"])
    return PreTrainedTokenizerFast(tokenizer_object=t)


def main():
    for name, mapped, padding, template in (("unigram-mapped-gguf", True, 3, ["$A", "</s>"]), ("unigram-bytes-gguf", False, 0, ["<s>", "$A"])):
        directory = os.path.join(OUT, name)
        os.makedirs(directory, exist_ok=True)
        proto = train(mapped)
        ids = dict(eos_token_id=1, unk_token_id=2, pad_token_id=0) if mapped else dict(bos_token_id=1, eos_token_id=2, unk_token_id=0, add_bos_token=True, add_eos_token=False)
        write_gguf(os.path.join(directory, "vocabulary.gguf"), proto, padding, **ids)
        texts = TEXTS + CORPUS + ["a<turn>b  <turn> c", " <turn>", "ﬁsh\u00a0and\u3000A\u030a ", "[PAD390] x", "x\u00ady", "…", "Ａ？"]
        write(os.path.join(OUT, name + ".jsonl"), lines_for(name, converted(proto, template), texts, random.Random(5)))


if __name__ == "__main__":
    main()
