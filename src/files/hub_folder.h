/* SPDX-License-Identifier: Apache-2.0 */
/* Where the Hugging Face hub's client keeps a model on disk:
 *     CACHE/models--ORG--NAME/refs/main            the commit that "main" was when it was downloaded
 *     CACHE/models--ORG--NAME/snapshots/COMMIT/    the model's files (links into ../../blobs)
 * xt_model_locate (model.h) finds the snapshot without a network. */
#ifndef FILES_HUB_FOLDER_H
#define FILES_HUB_FOLDER_H

#include "base/err.h"

#define HUB_NAME_SIZE 256

/* The name that a model's folder gives it: its last part, and NAME for a snapshot of the cache. */
void hub_folder_name(const char *path, char out[HUB_NAME_SIZE]);

/* Refuses a folder that holds an adapter (LoRA) in place of a model. */
xt_status hub_folder_refuse_adapter(const char *directory, xt_error *error);

#endif
