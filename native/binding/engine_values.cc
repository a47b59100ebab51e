#include "binding/engine_values.h"

#include <cmath>

namespace gristmill::binding {

namespace {

[[noreturn]] void Invalid(const char* option, const char* expected, const std::string& received) {
  throw CodedError("OPTION_INVALID",
                   {{"option", option}, {"expected", expected}, {"received", received}});
}

int32_t IntegerOf(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsNumber()) Invalid(name, "an integer", "another value");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (number != std::floor(number) || std::abs(number) > 2147483647.0) {
    Invalid(name, "an integer", std::to_string(number));
  }
  return static_cast<int32_t>(number);
}

std::string StringOf(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsString()) Invalid(name, "a string", "another value");
  return value.As<Napi::String>().Utf8Value();
}

std::string StringOr(const Napi::Object& object, const char* name, const char* fallback) {
  return object.Get(name).IsUndefined() ? fallback : StringOf(object, name);
}

bool BooleanOf(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsBoolean()) Invalid(name, "a boolean", "another value");
  return value.As<Napi::Boolean>().Value();
}

Napi::Object ObjectOf(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsObject()) Invalid(name, "an object", "another value");
  return value.As<Napi::Object>();
}

engine::Documents DocumentsOf(const Napi::Object& request) {
  const auto data = ViewOf<uint8_t>(request.Get("data"), "data");
  const auto offsets = ViewOf<int32_t>(request.Get("offsets"), "offsets");
  const engine::Documents documents{data, offsets};
  engine::CheckDocuments(documents);
  return documents;
}

void CheckIndices(const char* option, const std::vector<int32_t>& indices, int32_t count) {
  for (const int32_t index : indices) {
    if (index < 0 || index >= count) Invalid(option, "indices of documents", std::to_string(index));
  }
}

std::vector<int32_t> DocsOf(const Napi::Object& request, int32_t count) {
  std::vector<int32_t> docs;
  const Napi::Value value = request.Get("docs");
  if (value.IsNull() || value.IsUndefined()) {
    for (int32_t index = 0; index < count; ++index) docs.push_back(index);
    return docs;
  }
  const auto view = ViewOf<int32_t>(value, "docs");
  docs.assign(view.begin(), view.end());
  CheckIndices("docs", docs, count);
  return docs;
}

text::LineFormat LineFormatOf(const Napi::Object& request) {
  const Napi::Object object = ObjectOf(request, "lineFormat");
  text::LineFormat format;
  format.prefix = StringOf(object, "prefix");
  format.suffix = StringOf(object, "suffix");
  format.min_digits = IntegerOf(object, "minDigits");
  format.first_line = IntegerOf(object, "firstLine");
  if (format.min_digits < 0 || format.min_digits > 16) {
    Invalid("minDigits", "0..16", std::to_string(format.min_digits));
  }
  if (format.first_line < 0 || format.first_line > 1) {
    Invalid("firstLine", "0 or 1", std::to_string(format.first_line));
  }
  return format;
}

}  // namespace

engine::Frame ToFrame(const Napi::Object& object) {
  engine::Frame frame;
  frame.prefix = StringOf(object, "prefix");
  frame.suffix = StringOf(object, "suffix");
  const Napi::Value bos = object.Get("addBos");
  if (bos.IsString() && bos.As<Napi::String>().Utf8Value() == "twice") {
    frame.n_bos = 2;
  } else {
    frame.n_bos = BooleanOf(object, "addBos") ? 1 : 0;
  }
  if (!object.Get("spacePrefix").IsUndefined())
    frame.space_prefix = BooleanOf(object, "spacePrefix");
  frame.trim_start = object.Get("trimStart").ToBoolean();
  frame.trim_end = object.Get("trimEnd").ToBoolean();
  frame.max_tokens = IntegerOf(object, "maxTokens");
  if (frame.max_tokens < 1)
    Invalid("frame.maxTokens", "at least 1", std::to_string(frame.max_tokens));
  const std::string truncate = StringOf(object, "truncate");
  if (truncate != "prompt" && truncate != "content") {
    Invalid("frame.truncate", "prompt or content", truncate);
  }
  frame.truncate_content = truncate == "content";
  return frame;
}

namespace {

engine::Frame FrameOf(const Napi::Object& request, const engine::SlotContext& slots) {
  const engine::Frame frame = ToFrame(ObjectOf(request, "frame"));
  if (frame.max_tokens > slots.ctx_slot()) {
    throw CodedError("ENGINE_CONTEXT_TOO_SMALL", {{"file", slots.file().path},
                                                  {"context", std::to_string(slots.ctx_slot())},
                                                  {"needed", std::to_string(frame.max_tokens)}});
  }
  return frame;
}

char QuoteOf(const Napi::Object& part) {
  const std::string quote = StringOf(part, "quote");
  if (quote != "\"" && quote != "'") Invalid("grammar quote", "\" or '", quote);
  return quote.front();
}

engine::Grammar::Part PartOf(const Napi::Object& object) {
  using Kind = engine::Grammar::PartKind;
  engine::Grammar::Part part;
  const std::string kind = StringOf(object, "kind");
  if (kind == "literal") {
    part.text = StringOf(object, "text");
  } else if (kind == "lineFrom") {
    part.kind = Kind::kLineFrom;
    if (!object.Get("ascending").IsUndefined()) part.ascending = BooleanOf(object, "ascending");
  } else if (kind == "lineTo") {
    part.kind = Kind::kLineTo;
  } else if (kind == "source") {
    part.kind = Kind::kSource;
    part.line_scope = StringOf(object, "scope") == "line";
    part.quote = QuoteOf(object);
  } else if (kind == "target") {
    part.kind = Kind::kTarget;
    part.quote = QuoteOf(object);
    part.max_bytes = IntegerOf(object, "maxBytes");
  } else {
    Invalid("grammar part", "literal, lineFrom, lineTo, source or target", kind);
  }
  return part;
}

engine::Grammar GrammarOf(const Napi::Object& object) {
  engine::Grammar grammar;
  const Napi::Object whole = ObjectOf(object, "whole");
  const uint32_t n_whole = whole.As<Napi::Array>().Length();
  for (uint32_t index = 0; index < n_whole; ++index) {
    const Napi::Value program = whole.Get(index);
    if (!program.IsString()) Invalid("grammar.whole", "strings", "another value");
    grammar.whole.push_back(program.As<Napi::String>().Utf8Value());
  }
  const Napi::Object ops = ObjectOf(object, "ops");
  const uint32_t n_ops = ops.As<Napi::Array>().Length();
  for (uint32_t index = 0; index < n_ops; ++index) {
    const Napi::Value op = ops.Get(index);
    if (!op.IsObject()) Invalid("grammar.ops", "objects", "another value");
    const Napi::Object parts = ObjectOf(op.As<Napi::Object>(), "parts");
    std::vector<engine::Grammar::Part> converted;
    const uint32_t n_parts = parts.As<Napi::Array>().Length();
    for (uint32_t at = 0; at < n_parts; ++at) {
      const Napi::Value part = parts.Get(at);
      if (!part.IsObject()) Invalid("grammar parts", "objects", "another value");
      converted.push_back(PartOf(part.As<Napi::Object>()));
    }
    grammar.ops.push_back(std::move(converted));
  }
  grammar.separator = StringOf(object, "separator");
  grammar.max_ops = IntegerOf(object, "maxOps");
  grammar.first_line = IntegerOf(object, "firstLine");
  if (grammar.first_line < 0 || grammar.first_line > 1) {
    Invalid("grammar.firstLine", "0 or 1", std::to_string(grammar.first_line));
  }
  engine::CheckGrammar(grammar);
  return grammar;
}

}  // namespace

engine::EngineOptions ToEngineOptions(const Napi::Value& value) {
  if (!value.IsObject()) Invalid("options", "an object", "another value");
  const Napi::Object object = value.As<Napi::Object>();
  engine::EngineOptions options;
  options.model_path = StringOf(object, "modelPath");
  options.device = StringOf(object, "device");
  options.n_threads = IntegerOf(object, "nThreads");
  options.n_slots = IntegerOf(object, "nSlots");
  options.n_ctx_slot = IntegerOf(object, "nCtxSlot");
  options.n_ubatch = IntegerOf(object, "nUbatch");
  options.fit_slots = object.Get("fitSlots").ToBoolean();
  options.flash_attention = StringOr(object, "flashAttention", "auto");
  options.kv_type = StringOr(object, "kvType", "f16");
  return options;
}

void ToPlanJob(const Napi::Object& request, engine::PlanJob& job) {
  job.documents = DocumentsOf(request);
  job.docs = DocsOf(request, job.documents.size());
  job.format = LineFormatOf(request);
  const Napi::Object rule = ObjectOf(request, "windows");
  const std::string unit = StringOf(rule, "unit");
  if (unit != "tokens" && unit != "characters") {
    Invalid("windows.unit", "tokens or characters", unit);
  }
  job.in_characters = unit == "characters";
  job.rule.separator = job.in_characters ? 1 : 0;
  job.rule.max_size = IntegerOf(rule, "max");
  if (job.rule.max_size < 1) {
    Invalid("windows.max", "at least 1", std::to_string(job.rule.max_size));
  }
  const Napi::Value overlap = rule.Get("overlap");
  job.rule.overlap = overlap.IsNumber() ? overlap.As<Napi::Number>().DoubleValue() : 0;
  if (!(job.rule.overlap >= 0 && job.rule.overlap <= 0.5)) {
    Invalid("windows.overlap", "0 to 0.5", std::to_string(job.rule.overlap));
  }
  job.count_bos = rule.Get("countBos").ToBoolean();
}

void ToScoreJob(const Napi::Object& request, const engine::SlotContext& slots,
                engine::ScoreJob& job) {
  job.documents = DocumentsOf(request);
  job.docs = DocsOf(request, job.documents.size());
  job.frame = FrameOf(request, slots);
  const Napi::Object answers = ObjectOf(request, "answers");
  const Napi::Value keep = answers.Get(uint32_t{0});
  const Napi::Value drop = answers.Get(uint32_t{1});
  if (!keep.IsString() || !drop.IsString()) Invalid("answers", "two strings", "other values");
  job.keep = keep.As<Napi::String>().Utf8Value();
  job.drop = drop.As<Napi::String>().Utf8Value();
}

void ToGenerateJob(const Napi::Object& request, const engine::SlotContext& slots, bool windowed,
                   engine::GenerateJob& job) {
  job.documents = DocumentsOf(request);
  job.frame = FrameOf(request, slots);
  if (job.NeedsModel()) {
    job.max_new_tokens = IntegerOf(request, "maxNewTokens");
    if (job.max_new_tokens < 1)
      Invalid("maxNewTokens", "at least 1", std::to_string(job.max_new_tokens));
  }
  if (!windowed) {
    job.doc = DocsOf(request, job.documents.size());
    return;
  }
  job.format = LineFormatOf(request);
  const Napi::Object windows = ObjectOf(request, "windows");
  for (auto [name, column] : {std::pair{"doc", &job.doc}, std::pair{"lineStart", &job.line_start},
                              std::pair{"lineEnd", &job.line_end}}) {
    const auto view = ViewOf<int32_t>(windows.Get(name), name);
    column->assign(view.begin(), view.end());
    if (column->size() != job.doc.size()) {
      Invalid(name, "one entry per window", std::to_string(column->size()));
    }
  }
  CheckIndices("windows.doc", job.doc, job.documents.size());
  for (const int32_t line : job.line_start) {
    if (line < 0) Invalid("windows.lineStart", "at least 0", std::to_string(line));
  }
  const Napi::Value grammar = request.Get("grammar");
  if (grammar.IsObject()) job.grammar = GrammarOf(grammar.As<Napi::Object>());
}

Napi::Value FromEngineInfo(Napi::Env env, const engine::SlotContext& slots) {
  const engine::ModelFile& file = slots.file();
  Napi::Object info = Napi::Object::New(env);
  info.Set("architecture", file.architecture);
  info.Set("name", file.name);
  info.Set("nParams", static_cast<double>(file.n_params));
  info.Set("nVocab", static_cast<double>(file.n_vocab));
  info.Set("nCtxTrain", static_cast<double>(file.n_ctx_train));
  info.Set("nEmbd", static_cast<double>(file.n_embd));
  info.Set("nLayer", static_cast<double>(file.n_layer));
  info.Set("nHead", static_cast<double>(file.n_head));
  info.Set("nHeadKv", static_cast<double>(file.n_head_kv));
  info.Set("quantisation", file.quantisation);
  if (file.chat_template) {
    info.Set("chatTemplate", *file.chat_template);
  } else {
    info.Set("chatTemplate", env.Null());
  }
  info.Set("bosToken", file.bos_token);
  info.Set("eosToken", file.eos_token);
  info.Set("addBos", slots.tokenizer().add_bos());
  info.Set("device", slots.device_name());
  info.Set("nSlots", slots.n_slots());
  return info;
}

Napi::Value FromPlanJob(Napi::Env env, const engine::PlanJob& job) {
  Napi::Object plan = Napi::Object::New(env);
  plan.Set("doc", FromVector(env, job.doc));
  plan.Set("lineStart", FromVector(env, job.line_start));
  plan.Set("ownStart", FromVector(env, job.own_start));
  plan.Set("lineEnd", FromVector(env, job.line_end));
  plan.Set("size", FromVector(env, job.size));
  plan.Set("oversize", FromVector(env, job.oversize));
  return plan;
}

Napi::Value FromScoreJob(Napi::Env env, const engine::ScoreJob& job) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("logitDiff", FromVector(env, job.logit_diff));
  result.Set("promptTokens", FromVector(env, job.prompt_tokens));
  result.Set("flags", FromVector(env, job.flags));
  return result;
}

Napi::Value FromGenerateJob(Napi::Env env, const engine::GenerateJob& job) {
  Napi::Object result = Napi::Object::New(env);
  Napi::Array programs = Napi::Array::New(env, job.programs.size());
  for (size_t index = 0; index < job.programs.size(); ++index) {
    programs.Set(static_cast<uint32_t>(index), job.programs[index]);
  }
  result.Set("programs", programs);
  result.Set("promptTokens", FromVector(env, job.prompt_tokens));
  result.Set("newTokens", FromVector(env, job.new_tokens));
  result.Set("flags", FromVector(env, job.flags));
  return result;
}

Napi::Value FromPromptJob(Napi::Env env, const engine::PromptJob& job) {
  std::vector<int32_t> tokens;
  std::vector<int32_t> offsets{0};
  for (const engine::Tokens& prompt : job.prompts()) {
    tokens.insert(tokens.end(), prompt.begin(), prompt.end());
    offsets.push_back(static_cast<int32_t>(tokens.size()));
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("tokens", FromVector(env, tokens));
  result.Set("offsets", FromVector(env, offsets));
  result.Set("flags", FromVector(env, job.flags));
  return result;
}

Napi::Value FromCounters(Napi::Env env, const engine::Counters& counters) {
  Napi::Object stats = Napi::Object::New(env);
  const auto set = [&](const char* name, const std::atomic<int64_t>& value) {
    stats.Set(name, static_cast<double>(value.load()));
  };
  set("promptTokens", counters.prompt_tokens);
  set("prefixTokensReused", counters.prefix_tokens_reused);
  set("decodeSteps", counters.decode_steps);
  set("decodeCalls", counters.decode_calls);
  set("ubatches", counters.ubatches);
  set("idealUbatches", counters.ideal_ubatches);
  set("sampledTokens", counters.sampled_tokens);
  set("forcedTokens", counters.forced_tokens);
  set("padTokens", counters.pad_tokens);
  set("dummyTokens", counters.dummy_tokens);
  set("prefillNs", counters.prefill_ns);
  set("decodeNs", counters.decode_ns);
  set("hostNs", counters.host_ns);
  set("tokenizeNs", counters.tokenize_ns);
  return stats;
}

}  // namespace gristmill::binding
