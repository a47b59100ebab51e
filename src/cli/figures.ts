/** Figures as people read them. */

/** A number with separators. */
export function count(value: number): string {
  return value.toLocaleString('en');
}
