// What training asks of native/pages, on the thread that asks: features and hashed words of pages
// and documents, and the parts of a stack one by one. Scoring is binding/line_scorer.cc.
//
// Views are read while the call lasts and not kept.
#include "binding/pages.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "binding/convert.h"
#include "pages/character_table.h"
#include "pages/characters.h"
#include "pages/hashed_words.h"
#include "pages/site_evidence.h"
#include "pages/verdict.h"

namespace gristmill::binding {

namespace {

using pages::kBlock;

[[noreturn]] void Refuse(const std::string& option, const std::string& expected,
                         const std::string& received) {
  throw CodedError("OPTION_INVALID",
                   {{"option", option}, {"expected", expected}, {"received", received}});
}

uint32_t MaskOf(const Napi::Value& bits) {
  const int32_t n_bits = bits.ToNumber().Int32Value();
  if (n_bits < 1 || n_bits > 24) Refuse("hashBits", "1..24", std::to_string(n_bits));
  return (1u << n_bits) - 1;
}

// Writes columns of a block as rows.
void ColumnsToRows(const float* columns, int32_t width, int32_t count, float* rows) {
  for (int32_t row = 0; row < count; ++row) {
    for (int32_t column = 0; column < width; ++column) {
      rows[static_cast<size_t>(row) * static_cast<size_t>(width) + static_cast<size_t>(column)] =
          columns[column * kBlock + row];
    }
  }
}

// Calls visit(first, count, columns) for blocks of rows as columns.
template <typename Visit>
void ForEachBlock(std::span<const float> rows, int32_t width, size_t n_all, Visit&& visit) {
  const auto n_rows = static_cast<int32_t>(n_all);
  std::vector<float> columns(static_cast<size_t>(width) * kBlock);
  for (int32_t first = 0; first < n_rows; first += kBlock) {
    const int32_t count = std::min(kBlock, n_rows - first);
    const float* row = rows.data() + static_cast<size_t>(first) * static_cast<size_t>(width);
    for (int32_t at = 0; at < count; ++at) {
      for (int32_t column = 0; column < width; ++column) {
        columns[static_cast<size_t>(column * kBlock + at)] = *row++;
      }
    }
    visit(first, count, columns.data());
  }
}

size_t CheckRows(std::span<const float> rows, int32_t width, const char* name) {
  if (width < 1 || rows.size() / static_cast<size_t>(width) > INT32_MAX ||
      rows.size() % static_cast<size_t>(width) != 0) {
    Refuse(name, "rows of " + std::to_string(width) + " values", std::to_string(rows.size()));
  }
  return rows.size() / static_cast<size_t>(width);
}

// measureLines(text, hashBits) -> {lineOf, chars, features, ids, starts, nearAt}
Napi::Value MeasureLines(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Env env = info.Env();
    const uint32_t mask = MaskOf(info[1]);
    pages::Page page;
    page.Measure(ViewOf<uint8_t>(info[0], "text"), CancelFlag(nullptr, ""));
    const pages::PageScan& scan = page.scan();
    const int32_t n_lines = scan.n_lines();
    auto features =
        Napi::Float32Array::New(env, static_cast<size_t>(n_lines) * size_t{pages::kLineFeatures});
    std::vector<float> columns(size_t{pages::kLineFeatures} * kBlock);
    for (int32_t first = 0; first < n_lines; first += kBlock) {
      const int32_t count = std::min(kBlock, n_lines - first);
      page.lines().Fill(scan, first, count, columns.data());
      ColumnsToRows(columns.data(), pages::kLineFeatures, count,
                    features.Data() + static_cast<size_t>(first) * size_t{pages::kLineFeatures});
    }
    std::vector<int32_t> line_of;
    std::vector<int32_t> chars;
    std::vector<int32_t> ids;
    std::vector<int32_t> starts{0};
    std::vector<int32_t> near_at;
    const auto put = [&](uint32_t id) { ids.push_back(static_cast<int32_t>(id)); };
    for (int32_t line = 0; line < n_lines; ++line) {
      line_of.push_back(scan.lines()[static_cast<size_t>(line)].index);
      chars.push_back(scan.lines()[static_cast<size_t>(line)].chars);
      pages::ForEachOwnWord(scan, line, mask, put);
      near_at.push_back(static_cast<int32_t>(ids.size()));
      pages::ForEachNearWord(scan, line, mask, put);
      starts.push_back(static_cast<int32_t>(ids.size()));
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("lineOf", NewArray<int32_t>(env, line_of));
    result.Set("chars", NewArray<int32_t>(env, chars));
    result.Set("features", features);
    result.Set("ids", NewArray<int32_t>(env, ids));
    result.Set("starts", NewArray<int32_t>(env, starts));
    result.Set("nearAt", NewArray<int32_t>(env, near_at));
    return result;
  });
}

// pageWords(text) -> {lineOf, starts, words}: hashes of the words of each line that is not blank
Napi::Value PageWords(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Env env = info.Env();
    pages::PageScan scan;
    scan.Scan(ViewOf<uint8_t>(info[0], "text"), CancelFlag(nullptr, ""));
    std::vector<int32_t> line_of;
    std::vector<int32_t> starts{0};
    for (int32_t line = 0; line < scan.n_lines(); ++line) {
      line_of.push_back(scan.lines()[static_cast<size_t>(line)].index);
      starts.push_back(static_cast<int32_t>(scan.WordsEnd(line)));
    }
    auto words = Napi::Int32Array::New(env, scan.words().size());
    for (size_t word = 0; word < scan.words().size(); ++word) {
      words[word] = static_cast<int32_t>(scan.distinct()[scan.words()[word]].hash);
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("lineOf", NewArray<int32_t>(env, line_of));
    result.Set("starts", NewArray<int32_t>(env, starts));
    result.Set("words", words);
    return result;
  });
}

// measureDocument(text, hashBits) -> {features, ids}
Napi::Value MeasureDocument(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Env env = info.Env();
    const uint32_t mask = MaskOf(info[1]);
    pages::Page page;
    page.Measure(ViewOf<uint8_t>(info[0], "text"), CancelFlag(nullptr, ""));
    const auto features = page.documents().Measure(page.scan(), page.lines());
    std::vector<uint32_t> words;
    pages::DocumentWords(page.scan(), mask, words);
    const std::vector<int32_t> ids(words.begin(), words.end());
    Napi::Object result = Napi::Object::New(env);
    result.Set("features", NewArray<float>(env, features));
    result.Set("ids", NewArray<int32_t>(env, ids));
    return result;
  });
}

// A page and what its site says of it: text, pages, linePages.
struct SitePage {
  pages::PageScan scan;
  pages::SiteLines site;

  explicit SitePage(const Napi::CallbackInfo& info) {
    scan.Scan(ViewOf<uint8_t>(info[0], "text"), CancelFlag(nullptr, ""));
    site.pages = info[1].ToNumber().Uint32Value();
    for (const int32_t pages : ViewOf<int32_t>(info[2], "linePages")) {
      site.lines.push_back(static_cast<uint32_t>(std::max(0, pages)));
    }
  }

  // Values of lines that are not blank, by line.
  template <typename T>
  Napi::Value Spread(Napi::Env env, const std::vector<T>& own, T other) const {
    std::vector<T> all(static_cast<size_t>(scan.n_all_lines()), other);
    for (size_t line = 0; line < own.size(); ++line) {
      all[static_cast<size_t>(scan.lines()[line].index)] = own[line];
    }
    return NewArray<T>(env, std::span<const T>(all));
  }
};

// siteFactors(text, pages, linePages) -> Float32Array by line, blank ones included: what the odds
// of "keep" are to be multiplied by
Napi::Value SiteFactorsJs(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const SitePage page(info);
    std::vector<float> factors(static_cast<size_t>(page.scan.n_lines()));
    pages::SiteFactors(page.site, page.scan.lines(), factors);
    return page.Spread<float>(info.Env(), factors, 1.0f);
  });
}

// siteSteps(text, pages, linePages) -> Uint8Array by line: what the factors are made of
Napi::Value SiteStepsJs(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const SitePage page(info);
    std::vector<uint8_t> steps(static_cast<size_t>(page.scan.n_lines()));
    pages::SiteSteps(page.site, page.scan.lines(), steps);
    return page.Spread<uint8_t>(info.Env(), steps, uint8_t{0});
  });
}

// binRows(bins, rows) -> Uint8Array
Napi::Value BinRows(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const pages::Bins bins = BinsOf(info[0].ToObject(), "bins");
    const std::span<const float> rows = ViewOf<float>(info[1], "rows");
    const int32_t width = bins.n_features;
    const size_t n_rows = width == 0 && rows.empty() ? 0 : CheckRows(rows, width, "rows");
    auto binned = Napi::Uint8Array::New(info.Env(), rows.size());
    uint8_t* const to = binned.Data();
    ForEachBlock(rows, width, n_rows, [&](int32_t first, int32_t count, const float* columns) {
      int32_t own[kBlock];
      for (int32_t feature = 0; feature < width; ++feature) {
        pages::BinValues(bins.CutsOf(feature), columns + feature * kBlock, count, own);
        for (int32_t at = 0; at < count; ++at) {
          to[static_cast<size_t>(first + at) * static_cast<size_t>(width) +
             static_cast<size_t>(feature)] = static_cast<uint8_t>(own[at]);
        }
      }
    });
    return binned;
  });
}

// regressionLogits({bins, wordWeights, binWeights}, features, {ids, starts, nearAt}) ->
// Float32Array. `starts` may begin anywhere in `ids`.
Napi::Value RegressionLogits(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Object model = info[0].ToObject();
    pages::Regression regression;
    regression.bins = BinsOf(model.Get("bins").ToObject(), "bins");
    regression.word_weights = ViewOf<float>(model.Get("wordWeights"), "wordWeights");
    regression.bin_weights = ViewOf<float>(model.Get("binWeights"), "binWeights");
    regression.Check();
    const std::span<const float> features = ViewOf<float>(info[1], "features");
    const Napi::Object words = info[2].ToObject();
    const auto ids = ViewOf<int32_t>(words.Get("ids"), "ids");
    const auto starts = ViewOf<int32_t>(words.Get("starts"), "starts");
    const auto near_at = ViewOf<int32_t>(words.Get("nearAt"), "nearAt");
    // A regression over words alone has rows without features.
    const int32_t width = regression.bins.n_features;
    const size_t n_rows =
        width == 0 && features.empty() ? near_at.size() : CheckRows(features, width, "features");
    if (n_rows > INT32_MAX || starts.size() != n_rows + 1 || near_at.size() != n_rows) {
      Refuse("starts", std::to_string(n_rows + 1) + " elements", std::to_string(starts.size()));
    }
    auto logits = Napi::Float32Array::New(info.Env(), n_rows);
    float* const to = logits.Data();
    // Both ends are looked at once and used: the memory may be shared.
    const auto sum_of = [&](int32_t begin, int32_t end) {
      if (begin < 0 || end < begin || static_cast<size_t>(end) > ids.size()) {
        Refuse("starts", "ascending starts inside ids", std::to_string(begin));
      }
      double sum = 0;
      for (int32_t at = begin; at < end; ++at) {
        const auto id = static_cast<uint32_t>(ids[static_cast<size_t>(at)]);
        if (id > regression.word_mask()) {
          Refuse("ids", "0.." + std::to_string(regression.word_mask()), std::to_string(id));
        }
        sum += static_cast<double>(regression.word_weights[id]);
      }
      return pages::WordScale(int64_t{end} - begin) * sum;
    };
    ForEachBlock(features, width, n_rows, [&](int32_t first, int32_t count, const float* columns) {
      double shape[kBlock];
      regression.SumBins(columns, count, shape);
      for (int32_t at = 0; at < count; ++at) {
        const auto row = static_cast<size_t>(first + at);
        const int32_t near = near_at[row];
        const double own = sum_of(starts[row], near);
        to[row] = static_cast<float>(own + sum_of(near, starts[row + 1]) + shape[at]);
      }
    });
    return logits;
  });
}

// treeLogits(trees, bins, rows) -> Float32Array
Napi::Value TreeLogits(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const pages::Bins bins = BinsOf(info[1].ToObject(), "bins");
    const pages::Trees trees = TreesOf(info[0].ToObject(), bins);
    const std::span<const float> rows = ViewOf<float>(info[2], "rows");
    const size_t n_rows = CheckRows(rows, bins.n_features, "rows");
    auto logits = Napi::Float32Array::New(info.Env(), n_rows);
    ForEachBlock(rows, bins.n_features, n_rows,
                 [&](int32_t first, int32_t count, const float* columns) {
                   trees.Score(columns, count, logits.Data() + first);
                 });
    return logits;
  });
}

// logitColumns(logits, features) -> [nLines x kLogitFeatures], of one page
Napi::Value LogitColumns(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const std::span<const float> logits = ViewOf<float>(info[0], "logits");
    const std::span<const float> features = ViewOf<float>(info[1], "features");
    const size_t n_lines = CheckRows(features, pages::kLineFeatures, "features");
    if (logits.size() != n_lines) {
      Refuse("logits", std::to_string(n_lines), std::to_string(logits.size()));
    }
    std::vector<double> weights(n_lines);
    for (size_t line = 0; line < n_lines; ++line) {
      weights[line] = std::exp2(
          static_cast<double>(features[line * size_t{pages::kLineFeatures} + pages::kLogChars]));
    }
    pages::LogitFeatures around;
    around.Measure(logits, weights);
    auto rows = Napi::Float32Array::New(info.Env(), n_lines * size_t{pages::kLogitFeatures});
    float columns[pages::kLogitFeatures * kBlock];
    for (size_t first = 0; first < n_lines; first += kBlock) {
      const auto count = static_cast<int32_t>(std::min<size_t>(kBlock, n_lines - first));
      around.Fill(static_cast<int32_t>(first), count, columns);
      ColumnsToRows(columns, pages::kLogitFeatures, count,
                    rows.Data() + first * size_t{pages::kLogitFeatures});
    }
    return rows;
  });
}

// pageVerdict(blended log-odds, features) -> {logits, doubt}, of one page
Napi::Value PageVerdict(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const std::span<const float> blended = ViewOf<float>(info[0], "logits");
    const std::span<const float> features = ViewOf<float>(info[1], "features");
    if (CheckRows(features, pages::kLineFeatures, "features") != blended.size()) {
      Refuse("logits", "one for each row of features", std::to_string(blended.size()));
    }
    const auto form_of = [&](size_t line) -> pages::LineForm {
      const float* own = features.data() + line * size_t{pages::kLineFeatures};
      return {std::exp2(static_cast<double>(own[pages::kLogChars])) - 1, own[pages::kEndKind],
              own[pages::kLogSeparators]};
    };
    auto logits = NewArray<float>(info.Env(), blended);
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("doubt", pages::DoubtOf(blended, form_of));
    pages::ProtectTitles({logits.Data(), logits.ElementLength()}, form_of);
    result.Set("logits", logits);
    return result;
  });
}

// spreadScores(lineOf, scores, nAllLines) -> Float32Array
Napi::Value SpreadScoresJs(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const std::span<const int32_t> line_of = ViewOf<int32_t>(info[0], "lineOf");
    const std::span<const float> scores = ViewOf<float>(info[1], "scores");
    const double n_all = info[2].ToNumber().DoubleValue();
    if (scores.size() != line_of.size()) {
      Refuse("scores", std::to_string(line_of.size()), std::to_string(scores.size()));
    }
    if (!(n_all >= static_cast<double>(scores.size()) && n_all <= INT32_MAX)) {
      Refuse("nAllLines", "as many as there are scores, at least", std::to_string(n_all));
    }
    auto all = Napi::Float32Array::New(info.Env(), static_cast<size_t>(n_all));
    pages::SpreadScores(scores, {all.Data(), all.ElementLength()},
                        [&](size_t line) { return line_of[line]; });
    return all;
  });
}

// floatsOfBf16(words) -> Float32Array
Napi::Value FloatsOfBf16(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const std::span<const uint16_t> words = ViewOf<uint16_t>(info[0], "words");
    auto floats = Napi::Float32Array::New(info.Env(), words.size());
    float* to = floats.Data();
    for (const uint16_t word : words) *to++ = std::bit_cast<float>(uint32_t{word} << 16);
    return floats;
  });
}

// areFinite(values) -> boolean
Napi::Value AreFinite(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const std::span<const float> values = ViewOf<float>(info[0], "values");
    const bool all =
        std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
    return Napi::Boolean::New(info.Env(), all);
  });
}

// characterTable() -> {unicode, plain, folded, classes}: by UTF-16 unit; for tests
Napi::Value CharacterTable(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::vector<uint16_t> plain;
  std::vector<uint16_t> folded;
  std::vector<uint8_t> classes;
  for (const pages::Character& character : pages::Characters()) {
    plain.push_back(character.plain);
    folded.push_back(character.folded);
    classes.push_back(character.bits);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("unicode", pages::kUnicodeVersion);
  result.Set("plain", NewArray<uint16_t>(env, plain));
  result.Set("folded", NewArray<uint16_t>(env, folded));
  result.Set("classes", NewArray<uint8_t>(env, classes));
  return result;
}

}  // namespace

pages::Bins BinsOf(const Napi::Object& object, const char* name) {
  return pages::Bins::From(name, object.Get("maxBins").ToNumber().Int32Value(),
                           ViewOf<int32_t>(object.Get("counts"), name),
                           ViewOf<float>(object.Get("cuts"), name));
}

pages::Trees TreesOf(const Napi::Object& object, const pages::Bins& bins) {
  pages::TreeArrays arrays;
  arrays.base = object.Get("base").ToNumber().DoubleValue();
  arrays.tree_starts = ViewOf<int32_t>(object.Get("treeStarts"), "treeStarts");
  arrays.features = ViewOf<uint16_t>(object.Get("features"), "features");
  arrays.cuts = ViewOf<uint8_t>(object.Get("cuts"), "cuts");
  arrays.lefts = ViewOf<int16_t>(object.Get("lefts"), "lefts");
  arrays.rights = ViewOf<int16_t>(object.Get("rights"), "rights");
  arrays.leaf_starts = ViewOf<int32_t>(object.Get("leafStarts"), "leafStarts");
  arrays.leaves = ViewOf<float>(object.Get("leaves"), "leaves");
  return pages::Trees::From(arrays, bins);
}

void ExportPages(Napi::Env env, Napi::Object exports) {
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("siteFactors", SiteFactorsJs);
  add("siteSteps", SiteStepsJs);
  add("measureLines", MeasureLines);
  add("measureDocument", MeasureDocument);
  add("pageWords", PageWords);
  add("binRows", BinRows);
  add("regressionLogits", RegressionLogits);
  add("treeLogits", TreeLogits);
  add("floatsOfBf16", FloatsOfBf16);
  add("areFinite", AreFinite);
  add("logitColumns", LogitColumns);
  add("pageVerdict", PageVerdict);
  add("spreadScores", SpreadScoresJs);
  add("characterTable", CharacterTable);
}

}  // namespace gristmill::binding
