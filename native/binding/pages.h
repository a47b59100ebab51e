#pragma once

#include <napi.h>

#include "pages/page_scorer.h"

namespace gristmill::binding {

// {counts, cuts, maxBins} as bins; `name` stands in errors. Throws OPTION_INVALID.
pages::Bins BinsOf(const Napi::Object& object, const char* name);

// {base, treeStarts, features, cuts, lefts, rights, leafStarts, leaves} over `bins`. Throws
// OPTION_INVALID.
pages::Trees TreesOf(const Napi::Object& object, const pages::Bins& bins);

void ExportPages(Napi::Env env, Napi::Object exports);

}  // namespace gristmill::binding
