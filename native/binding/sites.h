// Counting lines by site, and tables of counts, for JS.
#pragma once

#include <napi.h>

#include <memory>

#include "sites/site_table.h"

namespace gristmill::binding {

void ExportSites(Napi::Env env, Napi::Object exports);

// The table of `value`, a SiteTable or nothing. Throws DISPOSED, OPTION_INVALID.
std::shared_ptr<const sites::SiteTable> SiteTableOf(const Napi::Value& value);

}  // namespace gristmill::binding
