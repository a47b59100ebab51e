/** What draws figures: Observable Plot, and a document for it to draw in. */
export * as Plot from '@observablehq/plot';
export { parseHTML } from 'linkedom';
