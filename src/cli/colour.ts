/** Whether a stream gets colours: what was asked for, else NO_COLOR and FORCE_COLOR, else whether it is a terminal. */
import { styleText } from 'node:util';

/** What `--color` takes. */
export const COLOUR_CHOICES = ['auto', 'always', 'never'] as const;
export type ColourChoice = (typeof COLOUR_CHOICES)[number];

/** Styles of what commands show. */
export type Style = 'red' | 'cyan' | 'bold' | 'dim' | 'strikethrough' | 'underline';

/** Text in a style, or as it is. */
export type Paint = (style: Style | readonly Style[], text: string) => string;

/** True when colours are wanted on `stream`. @see https://no-color.org */
export function wantsColour(
  stream: { readonly isTTY?: boolean },
  choice: ColourChoice = 'auto',
): boolean {
  if (choice !== 'auto') return choice === 'always';
  const [never, forced] = [process.env['NO_COLOR'] ?? '', process.env['FORCE_COLOR'] ?? ''];
  if (never !== '') return false;
  if (forced !== '') return forced !== '0' && forced !== 'false';
  return stream.isTTY === true;
}

/** Node looks at the standard output by itself otherwise, and takes the colours out of what `--color always` asks for. */
const AS_TOLD = { validateStream: false };

/** Paints where colours are wanted. */
export function painter(colour: boolean): Paint {
  if (!colour) return (_, text) => text;
  return (style, text) => {
    const styles = typeof style === 'string' ? [style] : style;
    return styles.reduce((painted, one) => styleText(one, painted, AS_TOLD), text);
  };
}
