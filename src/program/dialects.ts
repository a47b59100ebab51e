/**
 * The dialects by name.
 */
import type { Dialect } from './dialect.ts';
import { prox } from './prox.ts';
import type { DialectName } from './types.ts';
import { ultrax } from './ultrax.ts';

/** Every dialect, by name. */
export const DIALECTS: Readonly<Record<DialectName, Dialect>> = Object.freeze({ prox, ultrax });
