/** `gristmill mix fit`, `predict`, `collect`, `report`: parsing and printing around the mixture room. */
import type { Command } from 'commander';

/** Adds the commands to `mix`. */
export function addFitCommands(_mix: Command): void {}
