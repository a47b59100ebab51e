/**
 * What a refusal is about: this prompt, the request's form, or the expert as a whole.
 *
 * Lists of wordings are never whole. So they only sort: what they know of concerns its document alone and says nothing
 * of the expert; any other refusal that may be about one prompt fails its document too, and only many of them in a row
 * (`maxFailures`) end the run. A key or an address that is refused ends it at once.
 */

/** How servers say that one prompt is too long or not allowed; in lower case. */
const OF_PROMPT = [
  // its length
  'context_length',
  'context length',
  'context_size',
  'context size',
  'context window',
  'context_window',
  'maximum context',
  'input length',
  'input_length',
  'prompt length',
  'input is too long',
  'input too long',
  'is too long',
  'are too long',
  'too long for',
  'prompt too long',
  'text too long',
  'message too long',
  'is too large',
  'entity too large',
  'too many tokens',
  'too many input tokens',
  'max_new_tokens',
  'longer than the model',
  'exceeds the maximum number of tokens',
  'maximum number of tokens',
  'max_prompt_tokens',
  'exceeds the token limit',
  'exceeds token limit',
  'token count',
  'maximum allowed length',
  'string_above_max_length',
  'reduce the length',
  'request_too_large',
  // what it says
  'content_filter',
  'content filter',
  'content_policy',
  'content policy',
  'content management policy',
  'content_blocked',
  'contentblocked',
  'responsibleaipolicy',
  'usage policies',
  'usage policy',
  'flagged',
  'moderation',
  'inappropriate',
  'data_inspection_failed',
  'datainspectionfailed',
  'sensitive',
  'unsafe',
  'safety',
  'content exists risk',
  'prohibited',
  'guardrail',
  'invalid_prompt',
  'policy violation',
  'violates',
  'not allowed by',
];

/** How servers say with 403 that the caller is not let in. */
const OF_KEY = [
  'api key',
  'api_key',
  'apikey',
  'unauthorized',
  'unauthorised',
  'unauthenticated',
  'authentication',
  'credential',
  'permission',
  'not authorized',
  'access denied',
  'no access',
  'not have access',
  'forbidden',
  'subscription',
  'billing',
  'account',
  'region',
  'country',
];

/** How servers say that waiting does not help: the money or the quota is gone. */
const OF_QUOTA = [
  'insufficient_quota',
  'exceeded your current quota',
  'insufficient balance',
  'insufficient_balance',
  'insufficient credits',
  'credit balance',
  'billing_hard_limit',
  'out of credits',
  'payment required',
];

/** Statuses that concern every request. */
const OF_EVERYTHING = new Set([401, 404, 405, 407, 410]);
/** How much of a body is looked at. */
const MAX_SEEN_CHARS = 65_536;

/** Whom a refusal concerns: `prompt`: this one for sure; `maybe prompt`; `all`; `quota`: all, until somebody pays. */
export type Concern = 'prompt' | 'maybe prompt' | 'all' | 'quota';

/** Whether a text names a prompt as the cause. */
export function concernsPrompt(text: string): boolean {
  return says(text, OF_PROMPT);
}

/** Whether a text says that a quota is used up for good. */
export function concernsQuota(text: string): boolean {
  return says(text, OF_QUOTA);
}

/** @param status neither 2xx nor one that is tried again */
export function concernOf(status: number, body: string): Concern {
  if (status === 402 || (status === 403 && concernsQuota(body))) return 'quota';
  if (OF_EVERYTHING.has(status) || status < 400) return 'all';
  if (status === 413 || status === 451 || concernsPrompt(body)) return 'prompt';
  // The key of a prompt that is not allowed would be refused with the words of a key.
  return status === 403 && says(body, OF_KEY) ? 'all' : 'maybe prompt';
}

function says(text: string, needles: readonly string[]): boolean {
  const start = text.slice(0, MAX_SEEN_CHARS).toLowerCase();
  return needles.some((needle) => start.includes(needle));
}
