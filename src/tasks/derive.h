/* SPDX-License-Identifier: Apache-2.0 */
/* Templates derived from a user's copy of released prompts, as the text around the fields of the
 * benchmark's own questions. */
#ifndef TASKS_DERIVE_H
#define TASKS_DERIVE_H

#include "tasks/prompt_set.h"
#include "tasks/raw.h"

/* Opens a prompt set of the templates that the prompts under `directory` have: its own split
 * folder, those of <title>_sample and <title>_unseen in it, or of the same in its folder <title>. A
 * language's template is the one that most of its first prompts agree on; then every prompt is
 * compared with what the template makes of each question, and `options->misfit` is called for
 * prompts that it makes of no question. `set` holds the benchmark's questions. Fills info's
 * templates, checked and misfits. The caller frees *out with prompt_set_close. */
xt_status derive_templates(const TaskEntry *entry, const char *directory,
                           const char *const *languages, const RawSet *set,
                           const xt_pilotset_options *options, PromptSet *out,
                           xt_pilotset_info *info, xt_error *error);

#endif
