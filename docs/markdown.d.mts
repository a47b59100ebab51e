export function slugOf(heading: string): string;
export function proseLines(text: string): { line: string; number: number }[];
export function anchorsOf(text: string): Set<string>;
export function linksOf(text: string): { target: string; number: number }[];
export function shellBlocks(
  text: string,
): { number: number; mark: string | null; script: string }[];
