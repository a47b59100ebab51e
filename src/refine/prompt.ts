/**
 * Prompts: a chat template rendered around a place for the document's text.
 *
 * The text itself never passes through the template engine: the template is rendered once per run with a marker
 * in place of the text, and what stands before and after the marker becomes the {@link PromptFrame} that the
 * engine tokenises around every document. So text can never be taken for template code or special tokens.
 * Templates are rendered with bounds and without a clock: the same profile gives the same prompt on every day.
 */
import { GristmillError } from '../errors.ts';
import type { PromptFrame } from '../native-engine.ts';
import type { Profile } from './profile.ts';
import { renderTemplate } from './template-rendering.ts';

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
  const source = profile.chat.template === 'gguf' ? model.chatTemplate : profile.chat.template;
  if (source === null) {
    throw new GristmillError('PROFILE_TEMPLATE_FAILED', {
      profile: profile.name,
      reason: 'the profile asks for the model’s own chat template, but the model has none',
    });
  }
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
  let addBos: PromptFrame['addBos'] = model.addBos;
  if (model.bosToken !== '' && prefix.startsWith(model.bosToken)) {
    prefix = prefix.slice(model.bosToken.length);
    addBos = true;
  }
  if (bos !== 'model') addBos = bos === 'twice' ? 'twice' : bos === 'once';
  const frame = { prefix, suffix, addBos, trimStart, trimEnd, maxTokens, truncate };
  return spacePrefix ? frame : { ...frame, spacePrefix };
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
  const reply = renderTemplate({
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
  if ('text' in reply) return reply.text;
  throw new GristmillError('PROFILE_TEMPLATE_FAILED', {
    profile: profile.name,
    reason: reply.reason,
  });
}
