/**
 * Prompts: a chat template rendered around a place for the document's text.
 *
 * The text itself never passes through the template engine: the template is rendered once per run with a marker
 * in place of the text, and what stands before and after the marker becomes the {@link PromptFrame} that the
 * engine tokenises around every document. So text can never be taken for template code or special tokens.
 * Templates are rendered with bounds and without a clock: the same profile gives the same prompt on every day.
 */
import { GristmillError } from '../errors.ts';
import type { PromptFrame } from '../native/engine.ts';
import type { Profile } from './profile.ts';
import { renderTemplate } from './template-rendering.ts';
import type { TemplateReply } from './template-worker.ts';

/** What of a model a prompt needs; the engine's `info()` has these. */
export interface PromptModel {
  readonly chatTemplate: string | null;
  readonly bosToken: string;
  readonly eosToken: string;
  readonly addBos: boolean;
}

/** How long a prompt may be and how it begins. */
export interface PromptLimits {
  readonly maxTokens: number;
  readonly truncate: 'prompt' | 'content';
  /** See the profile's schema. Default `model`. */
  readonly bos?: 'model' | 'none' | 'once' | 'twice' | undefined;
  /** Default true. */
  readonly spacePrefix?: boolean | undefined;
}

/**
 * The day that `strftime_now` of a template tells, unless the profile names another (`chat.date`): the one that Llama
 * 3's own template takes where it has no clock.
 */
export const TEMPLATE_DATE = '2024-07-26';

/** Private-use characters around a name: nothing a template contains or changes by accident. */
const MARKER = '\ue000gristmill-text\ue001';

/**
 * Renders a stage's prompt around its text.
 *
 * @param profile the refiner's profile
 * @param user the user message with `placeholder` once
 * @param placeholder `{text}` or `{lines}`
 * @throws PROFILE_TEMPLATE_FAILED when the template does not render or loses or repeats the text
 */
export function promptFrame(
  profile: Pick<Profile, 'name' | 'chat'>,
  model: PromptModel,
  user: string,
  placeholder: '{text}' | '{lines}',
  { maxTokens, truncate, bos = 'model', spacePrefix = true }: PromptLimits,
): PromptFrame {
  const source = templateOf(profile, model);
  // Tabs around the marker show whether the template trims the message; its own text has spaces and line feeds there.
  const content = user.split(placeholder).join(`\t${MARKER}\t`);
  const rendered = render(profile, model, source, content);
  const at = rendered.indexOf(MARKER);
  if (at < 0 || rendered.indexOf(MARKER, at + 1) >= 0) {
    throw new GristmillError('PROFILE_TEMPLATE_FAILED', {
      profile: profile.name,
      reason: `the text appears ${at < 0 ? 'nowhere' : 'more than once'} in the rendered prompt`,
    });
  }
  let prefix = rendered.slice(0, at);
  let suffix = rendered.slice(at + MARKER.length);
  const trimStart = !prefix.endsWith('\t');
  const trimEnd = !suffix.startsWith('\t');
  if (!trimStart) prefix = prefix.slice(0, -1);
  if (!trimEnd) suffix = suffix.slice(1);
  const { text, addBos } = firstTokens(prefix, model, bos);
  const frame = { prefix: text, suffix, addBos, trimStart, trimEnd, maxTokens, truncate };
  return spacePrefix ? frame : { ...frame, spacePrefix };
}

/** A template around several messages: what stands before, between and behind them. */
export interface ConversationFrame {
  /** One more than messages; none has the marks of a message. */
  readonly pieces: readonly string[];
  /** Of each message: whether the template strips white space at its ends. */
  readonly trims: readonly { readonly start: boolean; readonly end: boolean }[];
  /** The last piece as the frame of nothing: what an answer stands behind. */
  readonly invitation: PromptFrame;
}

/**
 * Renders a template around messages that are not known yet, up to its invitation to answer. The messages never pass
 * through the template engine, a system message neither; where the template refuses a system message or leaves it out,
 * it stands at the head of the message behind it.
 *
 * @param roles `system`, `user` or `assistant` of each message
 * @throws PROFILE_TEMPLATE_FAILED when the template does not render, or loses, repeats or moves a message
 */
export function conversationFrame(
  profile: Pick<Profile, 'name' | 'chat'>,
  model: PromptModel,
  roles: readonly string[],
  { bos = 'model', spacePrefix = true, ...limits }: PromptLimits,
): ConversationFrame {
  const source = templateOf(profile, model);
  const marked = roles.map((role, index) => ({ role, content: `\t${markerOf(index)}\t` }));
  const [system, next, ...rest] = marked;
  const attempts = [marked];
  if (roles[0] === 'system' && next !== undefined) {
    attempts.push([{ ...next, content: `${system!.content}\n\n${next.content}` }, ...rest]);
  }
  const reasons: string[] = [];
  for (const messages of attempts) {
    const rendered = renderMessages(profile, model, source, [messages]);
    const found = 'text' in rendered ? piecesOf(rendered.text, roles.length) : rendered.reason;
    if (typeof found === 'string') {
      reasons.push(found);
      continue;
    }
    const [head, ...others] = found.pieces;
    const { text: first, addBos } = firstTokens(head!, model, bos);
    const pieces = [first, ...others];
    const suffix = pieces.at(-1)!;
    const ends = { prefix: '', suffix, addBos, trimStart: false, trimEnd: false, spacePrefix };
    return { pieces, trims: found.trims, invitation: { ...ends, ...limits } };
  }
  throw new GristmillError('PROFILE_TEMPLATE_FAILED', {
    profile: profile.name,
    reason: reasons[0],
  });
}

function markerOf(index: number): string {
  return `${MARKER.slice(0, -1)}-${index}${MARKER.slice(-1)}`;
}

/** A rendered text cut at its markers, or why it cannot be. */
function piecesOf(
  rendered: string,
  nMessages: number,
): Pick<ConversationFrame, 'pieces' | 'trims'> | string {
  const pieces: string[] = [];
  const trims: { start: boolean; end: boolean }[] = [];
  let rest = rendered;
  for (let message = 0; message < nMessages; message++) {
    const parts = rest.split(markerOf(message));
    if (parts.length !== 2) {
      return `message ${message} appears ${parts.length < 2 ? 'nowhere, or not in its place,' : 'more than once'} in the rendered prompt`;
    }
    let [before, behind] = parts as [string, string];
    const trim = { start: !before.endsWith('\t'), end: !behind.startsWith('\t') };
    if (!trim.start) before = before.slice(0, -1);
    if (!trim.end) behind = behind.slice(1);
    pieces.push(before);
    trims.push(trim);
    rest = behind;
  }
  return { pieces: [...pieces, rest], trims };
}

/** BOS tokens in front of a prompt; a BOS that the template writes counts, and is taken off its text. */
function firstTokens(
  text: string,
  { bosToken, addBos }: PromptModel,
  bos: NonNullable<PromptLimits['bos']>,
): { readonly text: string; readonly addBos: PromptFrame['addBos'] } {
  const isWritten = bosToken !== '' && text.startsWith(bosToken);
  const rest = isWritten ? text.slice(bosToken.length) : text;
  if (bos !== 'model') return { text: rest, addBos: bos === 'twice' ? 'twice' : bos === 'once' };
  return { text: rest, addBos: addBos || isWritten };
}

function templateOf(profile: Pick<Profile, 'name' | 'chat'>, model: PromptModel): string {
  const source = profile.chat.template === 'gguf' ? model.chatTemplate : profile.chat.template;
  if (source !== null) return source;
  throw new GristmillError('PROFILE_TEMPLATE_FAILED', {
    profile: profile.name,
    reason: 'the profile asks for the model’s own chat template, but the model has none',
  });
}

function render(
  profile: Pick<Profile, 'name' | 'chat'>,
  model: PromptModel,
  source: string,
  content: string,
): string {
  const system = profile.chat.system;
  const withSystem = [
    ...(system === null ? [] : [{ role: 'system', content: system }]),
    { role: 'user', content },
  ];
  const attempts = [withSystem];
  // Some templates refuse a system message: say it at the head of the user's then.
  if (system !== null) attempts.push([{ role: 'user', content: `${system}\n\n${content}` }]);
  const reply = renderMessages(profile, model, source, attempts);
  if ('text' in reply) return reply.text;
  throw new GristmillError('PROFILE_TEMPLATE_FAILED', {
    profile: profile.name,
    reason: reply.reason,
  });
}

function renderMessages(
  profile: Pick<Profile, 'chat'>,
  model: PromptModel,
  source: string,
  attempts: readonly (readonly { readonly role: string; readonly content: string }[])[],
): TemplateReply {
  return renderTemplate({
    source,
    attempts: attempts.map((messages) => ({
      messages,
      add_generation_prompt: true,
      bos_token: model.bosToken,
      eos_token: model.eosToken,
      enable_thinking: false,
    })),
    date: profile.chat.date ?? TEMPLATE_DATE,
  });
}
