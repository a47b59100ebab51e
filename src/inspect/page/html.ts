/** Templates of the page: `html` makes Preact's nodes. Texts are text nodes, always. */
import htm from 'htm';
import { type ComponentChild, h } from 'preact';

/** What a component returns. */
export type View = ComponentChild;

export const html = htm.bind(h) as (strings: TemplateStringsArray, ...values: unknown[]) => View;
