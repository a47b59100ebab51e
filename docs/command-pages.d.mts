import type { Command } from 'commander';

export const root: string;
export const FOLDER: string;
export function commandPages(
  program: Command,
  help: {
    readonly examplesOf: (command: Command) => readonly (readonly [string, string])[];
    readonly pathOf: (command: Command) => string[];
  },
): Map<string, string>;
export function withBlock(page: string, block: string): string;
export function stalePages(pages: Map<string, string>): Map<string, string | null>;
export function writePages(pages: Map<string, string>): Map<string, string | null>;
