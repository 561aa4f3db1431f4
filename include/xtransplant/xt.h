/* SPDX-License-Identifier: Apache-2.0 */
/* xtransplant: cross-lingual latent transplantation. Everything, in one include.
 *
 *     xt_error e;
 *     xt_model *model;
 *     xt_session *session;
 *     if (xt_model_open("Llama-2-7b-chat-hf", NULL, &model, &e)) return fail(&e);
 *     xt_session_create(model, &session, &e);
 *
 *     xt_request source = {en_ids, en_count, NULL, 0};
 *     xt_taps *taps;
 *     xt_session_capture(session, &source, &taps, &e);
 *
 *     xt_intervention put = {.write = XT_TAP_FFN, .layer = 0, .position = XT_POSITION_LAST,
 *                            .value = xt_taps_get(taps, XT_TAP_FFN, 0)};
 *     xt_request target = {sw_ids, sw_count, &put, 1};
 *     xt_generation out;
 *     xt_session_generate(session, &target, 1, NULL, &out, &e);
 *
 * error.h: status and messages. tokenizer.h: text and ids. model.h: loading. engine.h: sessions,
 * taps, interventions, generation. score.h: log-probabilities of given tokens. sweep.h: every
 * transplant of an instance. tasks.h: benchmarks and scoring. langid.h: a text's language. store.h:
 * results in a file. job.h: a benchmark swept into a store. metrics.h: perplexity and language of
 * responses. select.h: choosing layers for each question. analysis.h: statistics of results.
 * report.h: tables and figures. train.h: fine-tuning. verify.h: a comparison with transformers.
 * speed.h: what the machine gives. synth.h: random models. file.h: writing a file. api.h: what all
 * share. */
#ifndef XTRANSPLANT_XT_H
#define XTRANSPLANT_XT_H
#include "xtransplant/align.h"
#include "xtransplant/analysis.h"
#include "xtransplant/api.h"
#include "xtransplant/engine.h"
#include "xtransplant/error.h"
#include "xtransplant/file.h"
#include "xtransplant/job.h"
#include "xtransplant/langid.h"
#include "xtransplant/metrics.h"
#include "xtransplant/model.h"
#include "xtransplant/report.h"
#include "xtransplant/score.h"
#include "xtransplant/select.h"
#include "xtransplant/speed.h"
#include "xtransplant/store.h"
#include "xtransplant/sweep.h"
#include "xtransplant/synth.h"
#include "xtransplant/tasks.h"
#include "xtransplant/tokenizer.h"
#include "xtransplant/train.h"
#include "xtransplant/vector.h"
#include "xtransplant/verify.h"
#include "xtransplant/version.h"
#endif
